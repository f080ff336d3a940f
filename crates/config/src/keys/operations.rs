//! What operators and their tools look at.

use super::Section;
use super::tls::{kind, listed, password, path};
use crate::config::{FourLetterWords, MetricsProvider};
use crate::draft::Draft;
use crate::key::{Class, Key, Problem, Raw, Verdict, ignored_number};

/// A year, in milliseconds.
const NO_IDLE_TIMEOUT_MS: u64 = 365 * 86_400_000;

pub(super) const SECTION: Section = Section {
    title: "Operations",
    intro: "Four-letter words, audit, the AdminServer and metrics. Probes of a container platform have a listener of their own.",
    keys: &[
        Key::own("zabd.probes.port", "0", "8086")
            .class(Class::B)
            .doc("Port of the probes: `/livez`, `/readyz` and `/startupz` over HTTP, and the gRPC service `grpc.health.v1.Health`; \
                  0 opens none. docs/kubernetes.md tells what each of them means.")
            .custom(|d, raw| {
                d.config.probes.port = Some(super::basic::port(raw)?).filter(|port| *port != 0);
                Ok(None)
            }),
        Key::own("zabd.probes.address", "every interface", "127.0.0.1")
            .class(Class::B)
            .needs(&[("zabd.probes.port", "8086")])
            .doc("Address or host name that `zabd.probes.port` is bound on.")
            .custom(|d, raw| {
                let (host, warning) = super::basic::listen_host(raw)?;
                d.config.probes.address = host;
                Ok(warning)
            }),
        Key::prefixed("4lw.commands.whitelist", "srvr", "ruok,stat,mntr")
            .doc(
                "Four-letter words that are answered, separated by commas, or `*` for all. `srvr` always is.",
            )
            .custom(four_letter_words),
        Key::bare("readonlymode.enabled", "false", "true")
            .doc("A member that finds no leader serves reads to clients that take a read-only server; also allows the word `isro`.")
            .differently("needs no `localSessionsEnabled`, without which Java's answer cannot be read; a standalone server is never without a quorum")
            .lenient_bool(|d, v| d.config.read_only_mode = v),
        Key::own("zabd.slowOperationMs", "1000", "200")
            .class(Class::B)
            .unit("milliseconds")
            .doc("An operation that takes so long is told in the log, with its session, its paths and how long each stage took, ten of \
                  them in ten seconds at most; all are counted in `zk_zabd_slow_operations`. 0 tells none.")
            .long(0, |d, v| d.config.slow_operation_ms = Some(v as u64).filter(|from_ms| *from_ms != 0)),
        Key::prefixed("audit.enable", "false", "true")
            .doc("Write who did what to the audit log.")
            .lenient_bool(|d, v| d.config.audit_enabled = v),
        Key::prefixed("audit.impl.class", SLF4J_AUDIT, "org.apache.zookeeper.audit.Log4jAuditLogger")
            .class(Class::C)
            .doc("Java's class that writes it.")
            .no_effect("zabd writes the audit log itself")
            .custom(|_, raw| {
                super::known_class(raw, &[SLF4J_AUDIT, "org.apache.zookeeper.audit.Log4jAuditLogger"])
            }),
        Key::prefixed("admin.enableServer", "true", "false")
            .doc("Open the AdminServer; only the exact text `false` does not.")
            .differently("a port that cannot be opened is a warning; Java's standalone server ends with it")
            .custom(|d, raw| {
                d.config.admin.enabled = raw.value != "false";
                // Java compares with `false` as it is written: `False` opens the port, too.
                let is_clear = ["true", "false"].contains(&raw.value);
                Ok((!is_clear).then(|| format!("{}={} is not `false`, so the AdminServer is opened", raw.name, raw.value)))
            }),
        Key::prefixed("admin.serverAddress", "0.0.0.0", "127.0.0.1")
            .doc("Address of the AdminServer.")
            .custom(|d, raw| {
                let (host, warning) = super::basic::listen_host(raw)?;
                d.config.admin.address = host;
                Ok(warning)
            }),
        Key::prefixed("admin.serverPort", "8080", "9080").doc("Port of the AdminServer.").custom(|d, raw| {
            d.config.admin.port = super::basic::port(raw)?;
            Ok(None)
        }),
        Key::prefixed("admin.idleTimeout", "30000", "10000")
            .unit("milliseconds")
            .doc("An idle HTTP connection is closed after this long.")
            // To Jetty it is none then.
            .int(i32::MIN as i64, |d, v| {
                d.config.admin.idle_timeout_ms = if v <= 0 { NO_IDLE_TIMEOUT_MS } else { v as u64 };
            }),
        Key::prefixed("admin.commandURL", "/commands", "/zk").doc("Path of the commands.").custom(command_url),
        Key::prefixed("admin.httpVersion", "11", "10")
            .class(Class::B)
            .doc("Jetty's number for the version of HTTP.")
            .no_effect("HTTP/1.1 is spoken, which answers HTTP/1.0 too"),
        Key::prefixed("admin.portUnification", "false", "true")
            .doc("HTTP and HTTPS on one port, with the stores of `ssl.quorum.*`.")
            .differently(ADMIN_STORES)
            .lenient_bool(|d, v| d.config.admin.port_unification = v),
        Key::prefixed("admin.forceHttps", "false", "true")
            .doc("HTTPS alone, with the stores of `ssl.quorum.*`.")
            .differently(ADMIN_STORES)
            .lenient_bool(|d, v| d.config.admin.force_https = v),
        Key::prefixed("admin.needClientAuth", "false", "true")
            .doc("Demand client certificates, which `ssl.quorum.trustStore.*` must believe; without it none is asked for.")
            .lenient_bool(|d, v| d.config.admin.need_client_auth = v),
        Key::prefixed("admin.rateLimiterIntervalInMS", "300000", "60000")
            .unit("milliseconds")
            .doc("Least pause between two snapshots or restores by command. For `snapshot` it counts microseconds, as in Java: the \
                  default is 0.3 seconds.")
            .int(0, |d, v| d.config.admin.rate_limit_interval_ms = v as u64),
        Key::prefixed("admin.snapshot.enabled", "true", "false")
            .doc("Whether the command `snapshot` is served.")
            .lenient_bool(|d, v| d.config.admin.snapshot_enabled = v),
        Key::prefixed("admin.restore.enabled", "true", "false")
            .doc("Whether the command `restore` is served.")
            .differently("a member of an ensemble refuses `restore`, as the others would bring back what they have")
            .lenient_bool(|d, v| d.config.admin.restore_enabled = v),
        Key::file("metricsProvider.className", DEFAULT_METRICS, PROMETHEUS_METRICS)
            .class(Class::B)
            .doc("Java's default, Prometheus and null providers, by class. With Prometheus' the figures are at `/metrics` of a port of \
                  their own, and `mntr` names them as there; with the null one there are none.")
            .custom(metrics_provider),
        Key::file("metricsProvider.httpHost", "0.0.0.0", "127.0.0.1")
            .doc("Address of the Prometheus listener.")
            .custom(|d, raw| {
                let (host, warning) = super::basic::listen_host(raw)?;
                d.config.metrics.http_host = host;
                Ok(warning)
            }),
        Key::file("metricsProvider.httpPort", "7000, or none with `metricsProvider.httpsPort`", "7001")
            .doc("Port of the Prometheus listener; -1 is none.")
            .custom(|d, raw| {
                d.metrics_http_port = Some(port_or_none(raw)?.map_or(-1, i32::from));
                Ok(None)
            }),
        Key::file("metricsProvider.exportJvmInfo", "true", "false")
            .class(Class::B)
            .doc("Export figures of the process too.")
            .differently("a process has memory, threads and descriptors, and none of a JVM's pools, classes and collectors; \
                          docs/operating.md has the list")
            .lenient_bool(|d, v| d.config.metrics.export_process = v),
        Key::file("metricsProvider.numWorkerThreads", "1", "0")
            .class(Class::C)
            .doc("Threads that sum up observations.")
            .no_effect(NO_WORKERS)
            .int(i32::MIN as i64, |d, v| d.metrics_workers = v),
        Key::file("metricsProvider.maxQueueSize", "1000000", "1000")
            .class(Class::C)
            .doc("Observations that wait for them.")
            .no_effect(NO_WORKERS)
            .int(i32::MIN as i64, |d, v| d.metrics_queue = v),
        Key::file("metricsProvider.workerShutdownTimeoutMs", "1000", "500")
            .unit("milliseconds")
            .class(Class::C)
            .doc("How long a stop waits for them.")
            .no_effect(NO_WORKERS)
            .long(i64::MIN, ignored_number),
        Key::file("metricsProvider.httpsPort", "none", "7002")
            .class(Class::B)
            .doc("Port of the Prometheus listener with TLS, of release 3.10; the same as `metricsProvider.httpPort` takes both. -1 is none.")
            .differently("two ports are both opened, where Java 3.10 opens the one with TLS alone")
            .custom(|d, raw| {
                d.config.metrics.https_port = port_or_none(raw)?;
                Ok(None)
            }),
        metrics_tls("metricsProvider.ssl.keyStore.location", "none", "/etc/zookeeper/keystore.p12")
            .doc("Its key store.")
            .custom(|d, raw| path(raw, &mut d.config.metrics.tls.key_store.location)),
        metrics_tls("metricsProvider.ssl.keyStore.password", "none", "sesame")
            .doc("The password of that.")
            .secret()
            .custom(|d, raw| password(raw, &mut d.config.metrics.tls.key_store.password)),
        metrics_tls("metricsProvider.ssl.keyStore.type", "by suffix", "PEM")
            .doc("`JKS`, `PEM`, `PKCS12`.")
            .custom(|d, raw| kind(raw, &mut d.config.metrics.tls.key_store.kind)),
        metrics_tls("metricsProvider.ssl.trustStore.location", "none", "/etc/zookeeper/truststore.p12")
            .doc("Whose certificates it believes.")
            .custom(|d, raw| path(raw, &mut d.config.metrics.tls.trust_store.location)),
        metrics_tls("metricsProvider.ssl.trustStore.password", "none", "sesame")
            .doc("The password of that.")
            .secret()
            .custom(|d, raw| password(raw, &mut d.config.metrics.tls.trust_store.password)),
        metrics_tls("metricsProvider.ssl.trustStore.type", "by suffix", "PEM")
            .doc("`JKS`, `PEM`, `PKCS12`.")
            .custom(|d, raw| kind(raw, &mut d.config.metrics.tls.trust_store.kind)),
        metrics_tls("metricsProvider.ssl.need.client.auth", "true", "false")
            .doc("Demand client certificates.")
            .lenient_bool(|d, v| d.config.metrics.needs_client_auth = v),
        metrics_tls("metricsProvider.ssl.want.client.auth", "true", "false")
            .doc("Ask for client certificates, and do without.")
            .lenient_bool(|d, v| d.config.metrics.wants_client_auth = v),
        metrics_tls("metricsProvider.ssl.enabledProtocols", "TLSv1.3,TLSv1.2", "TLSv1.2")
            .doc("Protocols that are offered.")
            .custom(|d, raw| {
                d.config.metrics.tls.enabled_protocols = listed(raw);
                Ok(None)
            }),
        metrics_tls("metricsProvider.ssl.ciphersuites", "all that rustls has", "TLS_AES_256_GCM_SHA384")
            .doc("Cipher suites by their Java names.")
            .custom(|d, raw| {
                d.config.metrics.tls.cipher_suites = listed(raw);
                Ok(None)
            }),
        Key::file("metricsProvider.X", "none", "1")
            .family("metricsProvider.")
            .class(Class::C)
            .doc("Anything else is the provider's own.")
            .no_effect("no provider knows the key"),
    ],
};

/// A key of the Prometheus listener's TLS, which Java has from release 3.10 on.
const fn metrics_tls(name: &'static str, default: &'static str, example: &'static str) -> Key {
    Key::file(name, default, example).class(Class::B)
}

const ADMIN_STORES: &str =
    "without `admin.needClientAuth` no trust store is needed; stores that changed are read again";
const NO_WORKERS: &str = "figures are summed up where they come up, and wait nowhere";
const SLF4J_AUDIT: &str = "org.apache.zookeeper.audit.Slf4jAuditLogger";
const DEFAULT_METRICS: &str = "org.apache.zookeeper.metrics.impl.DefaultMetricsProvider";
const NULL_METRICS: &str = "org.apache.zookeeper.metrics.impl.NullMetricsProvider";
const PROMETHEUS_METRICS: &str = "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider";

/// All that a client may send, as they are written.
const FOUR_LETTER_WORDS: [&str; 18] = [
    "conf", "cons", "crst", "dirs", "dump", "envi", "gtmk", "hash", "isro", "mntr", "ruok", "srst", "srvr",
    "stat", "stmk", "wchc", "wchp", "wchs",
];

fn four_letter_words(draft: &mut Draft, raw: &Raw<'_>) -> Verdict {
    let words: Vec<_> = raw.value.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
    draft.config.four_letter_words = if words.contains(&"*") {
        FourLetterWords::All
    } else {
        FourLetterWords::Only(words.iter().copied().map(str::to_owned).collect())
    };
    let unknown = words.iter().find(|word| **word != "*" && !FOUR_LETTER_WORDS.contains(word));
    Ok(unknown.map(|word| format!("{}: there is no word `{word}`; words are separated by commas", raw.name)))
}

fn metrics_provider(draft: &mut Draft, raw: &Raw<'_>) -> Verdict {
    draft.config.metrics.provider = match raw.value {
        DEFAULT_METRICS => MetricsProvider::Default,
        PROMETHEUS_METRICS => MetricsProvider::Prometheus,
        NULL_METRICS => MetricsProvider::Null,
        other => {
            let text = format!("metrics provider class was not found: {}={other}", raw.key.name);
            let hint = if other.to_ascii_lowercase().contains("prometheus") {
                format!("use `{PROMETHEUS_METRICS}`")
            } else {
                format!("remove the line, or use `{DEFAULT_METRICS}` or `{PROMETHEUS_METRICS}`")
            };
            return Err(Problem::whole(text).hint(hint));
        }
    };
    Ok(None)
}

/// A path, with a slash before it and none behind.
fn command_url(draft: &mut Draft, raw: &Raw<'_>) -> Verdict {
    let path = raw.value.strip_suffix("/*").unwrap_or(raw.value).trim_end_matches('/');
    if !path.starts_with('/') || path.contains(|c: char| c.is_whitespace() || matches!(c, '?' | '#')) {
        return Err(
            Problem::value("is not a path").hint("a path that begins with a slash, for example `/commands`")
        );
    }
    path.clone_into(&mut draft.config.admin.command_url);
    Ok(None)
}

/// A port, or −1 for none.
fn port_or_none(raw: &Raw<'_>) -> Result<Option<u16>, Problem> {
    if raw.value == "-1" { Ok(None) } else { super::basic::port(raw).map(Some) }
}
