//! Bitnami's image: `ZOO_*` and `ALLOW_*`, each with a twin `NAME_FILE` for the file that holds the value.
//!
//! `ZOO_SERVERS` is a list of `host:port:port`, perhaps with `:observer` and `::id`; a single one is a standalone server. A zoo.cfg
//! that is there counts, and then no variable does. Without authentication the image starts only if told that this is meant;
//! with it, who may log in stands in a file `zoo_jaas.conf` beside zoo.cfg.

use super::super::plan::{Lines, Login, Plan};
use super::Becomes::{Line, Nothing, Own, Property, Switch, With};
use super::reader::Reader;
use super::{Dialect, Variable, logins, row};

/// Bitnami's image.
pub static BITNAMI: Dialect = Dialect {
    name: "bitnami",
    image: "Bitnami's image",
    user: (1001, 1001),
    prefixes: &["ZOO_", "ALLOW_"],
    variables: VARIABLES,
    key_prefix: Some("ZOO_CFG_"),
    has_files: true,
    empty_counts: false,
    plan,
};

const TLS: &str = "ZOO_TLS_CLIENT_ENABLE";
const TLS_QUORUM: &str = "ZOO_TLS_QUORUM_ENABLE";
const AUTH: &str = "ZOO_ENABLE_AUTH";
const AUTH_QUORUM: &str = "ZOO_ENABLE_QUORUM_AUTH";
const OF_CLIENT: super::Becomes = Own("section `Client` of `zoo_jaas.conf`, with `ZOO_ENABLE_AUTH`");
const OF_SERVER: super::Becomes = Own("section `Server`: users, and a password for each, in one order");
const OF_LEARNER: super::Becomes = Own("section `QuorumLearner`, with `ZOO_ENABLE_QUORUM_AUTH`");
const OF_QUORUM_SERVER: super::Becomes =
    Own("section `QuorumServer`: users, and a password for each, in one order");
const KEY_STORE: &str = "ZOO_TLS_CLIENT_KEYSTORE_FILE";
const TRUST_STORE: &str = "ZOO_TLS_CLIENT_TRUSTSTORE_FILE";
const ADMIN: &str = "ZOO_ENABLE_ADMIN_SERVER";
const PROMETHEUS: &str = "ZOO_ENABLE_PROMETHEUS_METRICS";

const VARIABLES: &[Variable] = &[
    row("ZOO_TICK_TIME", "2000", Line("tickTime")),
    row("ZOO_INIT_LIMIT", "10", Line("initLimit")),
    row("ZOO_SYNC_LIMIT", "5", Line("syncLimit")),
    row("ZOO_PRE_ALLOC_SIZE", "65536", Line("preAllocSize")),
    row("ZOO_SNAPCOUNT", "100000", Line("snapCount")),
    row("ZOO_DATA_LOG_DIR", "", Own("`dataLogDir`")),
    row(
        "ZOO_PORT_NUMBER",
        "2181",
        Own("`clientPort`; with `ZOO_TLS_CLIENT_ENABLE` only in `server.N` lines"),
    ),
    row("ZOO_MAX_CNXNS", "0", Line("maxCnxns")),
    row("ZOO_MAX_CLIENT_CNXNS", "60", Line("maxClientCnxns")),
    row("ZOO_RECONFIG_ENABLED", "no", Switch("reconfigEnabled")),
    row("ZOO_LISTEN_ALLIPS_ENABLED", "no", Switch("quorumListenOnAllIPs")),
    row("ZOO_AUTOPURGE_INTERVAL", "0", Line("autopurge.purgeInterval")),
    row("ZOO_AUTOPURGE_RETAIN_COUNT", "3", Line("autopurge.snapRetainCount")),
    row("ZOO_4LW_COMMANDS_WHITELIST", "srvr, mntr", Line("4lw.commands.whitelist")),
    row("ZOO_MAX_SESSION_TIMEOUT", "40000", Line("maxSessionTimeout")),
    row("ZOO_ADMIN_SERVER_ADDRESS", "127.0.0.1", With(ADMIN, "admin.serverAddress")),
    row("ZOO_ADMIN_SERVER_PORT_NUMBER", "8080", With(ADMIN, "admin.serverPort")),
    row(ADMIN, "no", Switch("admin.enableServer")),
    row("ZOO_SERVERS", "", Own("`server.N` lines, if there are two servers at least")),
    row("ZOO_PEER_TYPE", "", Line("peerType")),
    row(PROMETHEUS, "no", Own("`metricsProvider.className`, for yes or no")),
    row("ZOO_PROMETHEUS_METRICS_PORT_NUMBER", "7000", With(PROMETHEUS, "metricsProvider.httpPort")),
    row("ZOO_SERVER_ID", "1", Own("`myid`, if that is not there")),
    row("ZOO_LOG_LEVEL", "INFO", Property("zookeeper.console.threshold")),
    row("ZOO_FIPS_MODE", "yes", Own("`fips-mode`, which is for TLS")),
    row(TLS, "false", Own("TLS for clients, and no line `clientPort`")),
    row("ZOO_TLS_PORT_NUMBER", "3181", With(TLS, "secureClientPort")),
    row(KEY_STORE, "", With(TLS, "ssl.keyStore.location")),
    row("ZOO_TLS_CLIENT_KEYSTORE_TYPE", "", With(TLS, "ssl.keyStore.type")),
    row("ZOO_TLS_CLIENT_KEYSTORE_PASSWORD", "", With(TLS, "ssl.keyStore.password")),
    row(TRUST_STORE, "", With(TLS, "ssl.trustStore.location")),
    row("ZOO_TLS_CLIENT_TRUSTSTORE_TYPE", "", With(TLS, "ssl.trustStore.type")),
    row("ZOO_TLS_CLIENT_TRUSTSTORE_PASSWORD", "", With(TLS, "ssl.trustStore.password")),
    row("ZOO_TLS_CLIENT_AUTH", "need", With(TLS, "ssl.clientAuth")),
    row(TLS_QUORUM, "false", Own("`sslQuorum=true`, for yes")),
    row("ZOO_TLS_QUORUM_KEYSTORE_FILE", "", With(TLS_QUORUM, "ssl.quorum.keyStore.location")),
    row("ZOO_TLS_QUORUM_KEYSTORE_TYPE", "", With(TLS_QUORUM, "ssl.quorum.keyStore.type")),
    row("ZOO_TLS_QUORUM_KEYSTORE_PASSWORD", "", With(TLS_QUORUM, "ssl.quorum.keyStore.password")),
    row("ZOO_TLS_QUORUM_TRUSTSTORE_FILE", "", With(TLS_QUORUM, "ssl.quorum.trustStore.location")),
    row("ZOO_TLS_QUORUM_TRUSTSTORE_TYPE", "", With(TLS_QUORUM, "ssl.quorum.trustStore.type")),
    row("ZOO_TLS_QUORUM_TRUSTSTORE_PASSWORD", "", With(TLS_QUORUM, "ssl.quorum.trustStore.password")),
    row("ZOO_TLS_QUORUM_CLIENT_AUTH", "need", With(TLS_QUORUM, "ssl.quorum.clientAuth")),
    row("ALLOW_EMPTY_PASSWORD", "no", Own("must say yes, unless `ZOO_ENABLE_AUTH` does")),
    row("ALLOW_ANONYMOUS_LOGIN", "no", Own("the older name of `ALLOW_EMPTY_PASSWORD`")),
    row(AUTH, "no", Own("`authProvider.1` for SASL and `sessionRequireClientSASLAuth`, for yes")),
    row("ZOO_CLIENT_USER", "", OF_CLIENT),
    row("ZOO_CLIENT_PASSWORD", "", OF_CLIENT),
    row("ZOO_SERVER_USERS", "", OF_SERVER),
    row("ZOO_SERVER_PASSWORDS", "", OF_SERVER),
    row(AUTH_QUORUM, "no", Own("`quorum.auth.enableSasl` and what else says so, for yes")),
    row("ZOO_QUORUM_LEARNER_USER", "", OF_LEARNER),
    row("ZOO_QUORUM_LEARNER_PASSWORD", "", OF_LEARNER),
    row("ZOO_QUORUM_SERVER_USERS", "", OF_QUORUM_SERVER),
    row("ZOO_QUORUM_SERVER_PASSWORDS", "", OF_QUORUM_SERVER),
    row("ZOO_HEAP_SIZE", "1024", Nothing("zabd has no heap to be set")),
    row("ZOO_HC_TIMEOUT", "5", Nothing("seconds that `healthcheck.sh` waits")),
    row("JVMFLAGS", "", Own("read for `-D` words, as always")),
    row("BITNAMI_DEBUG", "false", Nothing("it is for what the image's scripts say")),
    row("MODULE", "zookeeper", Nothing("it is for what the image's scripts say")),
    row("JAVA_FIPS_MODE", "", Nothing("zabd has no Java")),
];

fn plan(reader: &mut Reader<'_>) -> Option<Plan> {
    let data_dir = reader.place("/bitnami/zookeeper/data");
    let log_dir = Some(reader.value("ZOO_DATA_LOG_DIR").to_owned()).filter(|dir| !dir.is_empty());
    let mut lines = Lines::default();
    lines.push("dataDir", &data_dir.to_string_lossy(), reader.dialect.image);
    reader.lines(&mut lines, &own);
    let path = reader.place("/opt/bitnami/zookeeper/conf/zoo.cfg");
    let zoo_cfg = reader.zoo_cfg(path, lines, true);
    let myid = reader.myid("ZOO_SERVER_ID", &data_dir, &zoo_cfg);
    let wanted = vec![reader.place("/opt/bitnami/zookeeper/logs")];
    let needed = std::iter::once(data_dir).chain(log_dir.map(Into::into)).collect();
    let login = login(reader);
    let mut plan = reader.plan(zoo_cfg, needed, wanted, myid);
    plan.login = login;
    // The image goes on for ever where Java gives up after some tries.
    plan.properties
        .insert(0, (reader.dialect.image.to_owned(), "-Dzookeeper.electionPortBindRetry=0".to_owned()));
    if reader.by("JVMFLAGS").ends_with("_FILE") {
        plan.properties.push((reader.by("JVMFLAGS"), reader.value("JVMFLAGS").to_owned()));
    }
    Some(plan)
}

/// Who may log in, if anybody must.
fn login(reader: &mut Reader<'_>) -> Option<Login> {
    let mut text = String::new();
    let switches = [AUTH, AUTH_QUORUM].map(|name| reader.is_yes(name));
    if switches[0] {
        let account = ["ZOO_CLIENT_USER", "ZOO_CLIENT_PASSWORD"];
        if account.iter().any(|name| reader.is_given(name)) {
            logins::account(reader, "Client", account, &mut text);
        }
        logins::users(reader, "Server", ["ZOO_SERVER_USERS", "ZOO_SERVER_PASSWORDS"], &mut text);
    }
    if switches[1] {
        let account = ["ZOO_QUORUM_LEARNER_USER", "ZOO_QUORUM_LEARNER_PASSWORD"];
        logins::account(reader, "QuorumLearner", account, &mut text);
        let users = ["ZOO_QUORUM_SERVER_USERS", "ZOO_QUORUM_SERVER_PASSWORDS"];
        logins::users(reader, "QuorumServer", users, &mut text);
    }
    let by = reader.by(if switches[0] { AUTH } else { AUTH_QUORUM });
    let is_fips = reader.is_given("ZOO_FIPS_MODE") && reader.is_yes("ZOO_FIPS_MODE");
    (!text.is_empty()).then_some(Login { by, text, is_fips })
}

fn own(reader: &mut Reader<'_>, name: &'static str, lines: &mut Lines) {
    let by = reader.by(name);
    let value = reader.value(name).to_owned();
    match name {
        "ZOO_DATA_LOG_DIR" if !value.is_empty() => lines.push("dataLogDir", &value, &by),
        "ZOO_PORT_NUMBER" if !reader.is_yes(TLS) => lines.push("clientPort", &value, &by),
        PROMETHEUS if reader.is_yes(name) => {
            let class = "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider";
            lines.push("metricsProvider.className", class, &by);
        }
        TLS if reader.is_yes(name) => {
            let trust = if reader.value("ZOO_TLS_CLIENT_AUTH") == "none" { "" } else { TRUST_STORE };
            needs(reader, name, [KEY_STORE, trust]);
        }
        TLS_QUORUM if reader.is_yes(name) => {
            lines.push("sslQuorum", "true", &by);
            needs(reader, name, ["ZOO_TLS_QUORUM_KEYSTORE_FILE", "ZOO_TLS_QUORUM_TRUSTSTORE_FILE"]);
        }
        AUTH if reader.is_yes(name) => {
            lines.push("authProvider.1", "org.apache.zookeeper.server.auth.SASLAuthenticationProvider", &by);
            lines.push("sessionRequireClientSASLAuth", "true", &by);
        }
        AUTH_QUORUM if reader.is_yes(name) => {
            for key in ["enableSasl", "learnerRequireSasl", "serverRequireSasl"] {
                lines.push(&format!("quorum.auth.{key}"), "true", &by);
            }
        }
        "ZOO_FIPS_MODE" if !reader.is_yes(name) => lines.push("fips-mode", "false", &by),
        "ZOO_SERVERS" => servers(reader, &value, lines),
        "ALLOW_EMPTY_PASSWORD"
            if ![name, "ALLOW_ANONYMOUS_LOGIN", AUTH].iter().any(|each| reader.is_yes(each)) =>
        {
            let message = "there is no authentication, and nothing says that this is meant";
            let hint = "set ALLOW_EMPTY_PASSWORD=yes, or ZOO_ENABLE_AUTH=yes with its users";
            reader.error(name, message, hint);
        }
        _ => (),
    }
}

/// What a switch that is on asks for, but for names that are empty.
fn needs(reader: &mut Reader<'_>, switch: &str, names: [&'static str; 2]) {
    for name in names.into_iter().filter(|name| !name.is_empty()) {
        if reader.value(name).is_empty() {
            let message = format!("{switch} is on, and there is no such store");
            reader.error(name, message, "name the file of a PKCS#12, JKS or PEM store");
        }
    }
}

/// One line for each server of the list; none for a single one.
fn servers(reader: &mut Reader<'_>, list: &str, lines: &mut Lines) {
    let by = reader.by("ZOO_SERVERS");
    let port = reader.value("ZOO_PORT_NUMBER").to_owned();
    let servers: Vec<_> = list.split([';', ',', ' ']).filter(|server| !server.is_empty()).collect();
    let has_ids = list.contains("::");
    for (index, server) in servers.iter().enumerate() {
        let (address, id) = match server.rsplit_once("::") {
            Some((address, id)) if has_ids => (address, id.to_owned()),
            _ => (*server, (index + 1).to_string()),
        };
        if !is_address(address) || has_ids && !server.contains("::") {
            let form = if has_ids { "`host:2888:3888::1`" } else { "`host:2888:3888`" };
            reader.error(
                "ZOO_SERVERS",
                format!("{server} is no server"),
                &format!("write {form}, or `:observer` behind the ports"),
            );
        } else if servers.len() > 1 {
            lines.push(&format!("server.{id}"), &format!("{address};{port}"), &by);
        }
    }
}

/// `host:port:port`, perhaps with a role.
fn is_address(text: &str) -> bool {
    let address =
        text.strip_suffix(":observer").or_else(|| text.strip_suffix(":participant")).unwrap_or(text);
    let mut parts = address.rsplitn(3, ':');
    let is_port = |part: Option<&str>| {
        part.is_some_and(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
    };
    is_port(parts.next()) && is_port(parts.next()) && parts.next().is_some_and(|host| !host.is_empty())
}
