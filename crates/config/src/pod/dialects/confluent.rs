//! Confluent's image, `cp-zookeeper`: a fixed list of `ZOOKEEPER_*`, and `KAFKA_OPTS` for properties.
//!
//! The configuration is written anew at each start. `ZOOKEEPER_SERVERS` is a list, separated by semicolons, whose order numbers the
//! servers from 1. The image overwrites `myid`; here one that says otherwise ends the start.

use super::super::plan::{Lines, Plan};
use super::Becomes::{Line, Nothing, Own, Property};
use super::reader::Reader;
use super::{Becomes, Dialect, Variable, row};

/// Confluent's image.
pub static CONFLUENT: Dialect = Dialect {
    name: "confluent",
    image: "Confluent's image",
    user: (1000, 1000),
    prefixes: &["ZOOKEEPER_"],
    variables: VARIABLES,
    key_prefix: None,
    has_files: false,
    empty_counts: true,
    plan,
};

const VARIABLES: &[Variable] = &[
    row("ZOOKEEPER_CLIENT_PORT", "", Line("clientPort")),
    row("ZOOKEEPER_TICK_TIME", "", Line("tickTime")),
    row("ZOOKEEPER_GLOBAL_OUTSTANDING_LIMIT", "", Line("globalOutstandingLimit")),
    row("ZOOKEEPER_PRE_ALLOC_SIZE", "", Line("preAllocSize")),
    row("ZOOKEEPER_SNAP_COUNT", "", Line("snapCount")),
    row("ZOOKEEPER_TRACE_FILE", "", Line("traceFile")),
    row("ZOOKEEPER_MAX_CLIENT_CNXNS", "", Line("maxClientCnxns")),
    row("ZOOKEEPER_CLIENT_PORT_ADDRESS", "", Line("clientPortAddress")),
    row("ZOOKEEPER_MIN_SESSION_TIMEOUT", "", Line("minSessionTimeout")),
    row("ZOOKEEPER_MAX_SESSION_TIMEOUT", "", Line("maxSessionTimeout")),
    row("ZOOKEEPER_FSYNC_WARNING_THRESHOLDMS", "", Line("fsync.warningthresholdms")),
    row("ZOOKEEPER_AUTOPURGE_SNAP_RETAIN_COUNT", "", Line("autopurge.snapRetainCount")),
    row("ZOOKEEPER_AUTOPURGE_PURGE_INTERVAL", "", Line("autopurge.purgeInterval")),
    row("ZOOKEEPER_SYNC_ENABLED", "", Line("syncEnabled")),
    row("ZOOKEEPER_ELECTION_ALG", "", Line("electionAlg")),
    row("ZOOKEEPER_INIT_LIMIT", "", Own("`initLimit`, 10 if there are servers")),
    row("ZOOKEEPER_SYNC_LIMIT", "", Own("`syncLimit`, 5 if there are servers")),
    row("ZOOKEEPER_LEADER_SERVES", "", Line("leaderServes")),
    row("ZOOKEEPER_CNX_TIMEOUT", "", Line("cnxTimeout")),
    row("ZOOKEEPER_FORCE_SYNC", "", Line("forceSync")),
    row("ZOOKEEPER_JUTE_MAX_BUFFER", "", Line("jute.maxbuffer")),
    row("ZOOKEEPER_SKIP_ACL", "", Line("skipACL")),
    row("ZOOKEEPER_QUORUM_LISTEN_ON_ALL_IPS", "", Line("quorumListenOnAllIPs")),
    row("ZOOKEEPER_CLIENT_CNXN_SOCKET", "", Line("clientCnxnSocket")),
    row("ZOOKEEPER_SECURE_CLIENT_PORT", "", Line("secureClientPort")),
    row("ZOOKEEPER_SERVER_CNXN_SOCKET", "", Line("serverCnxnSocket")),
    row("ZOOKEEPER_TCP_KEEP_ALIVE", "", Line("tcpKeepAlive")),
    row(
        "ZOOKEEPER_X509_AUTHENTICATION_PROVIDER_SUPER_USER",
        "",
        Line("X509AuthenticationProvider.superUser"),
    ),
    row("ZOOKEEPER_SSL_AUTH_PROVIDER", "", Line("ssl.authProvider")),
    row("ZOOKEEPER_SSL_CLIENT_AUTH", "", Line("ssl.clientAuth")),
    row("ZOOKEEPER_SSL_KEYSTORE_LOCATION", "", Line("ssl.keyStore.location")),
    row("ZOOKEEPER_SSL_KEYSTORE_PASSWORD", "", Line("ssl.keyStore.password")),
    row("ZOOKEEPER_SSL_KEYSTORE_TYPE", "", Line("ssl.keyStore.type")),
    row("ZOOKEEPER_SSL_TRUSTSTORE_LOCATION", "", Line("ssl.trustStore.location")),
    row("ZOOKEEPER_SSL_TRUSTSTORE_PASSWORD", "", Line("ssl.trustStore.password")),
    row("ZOOKEEPER_SSL_TRUSTSTORE_TYPE", "", Line("ssl.trustStore.type")),
    row("ZOOKEEPER_SSL_ENABLED_PROTOCOLS", "", Line("ssl.enabledProtocols")),
    row("ZOOKEEPER_SSL_CONTEXT_SUPPLIER_CLASS", "", Line("ssl.context.supplier.class")),
    row("ZOOKEEPER_SSL_CIPHER_SUITES", "", Line("ssl.ciphersuites")),
    row("ZOOKEEPER_SSL_HOSTNAME_VERIFICATION", "", Line("ssl.hostnameVerification")),
    row("ZOOKEEPER_SSL_CRL", "", Line("ssl.crl")),
    row("ZOOKEEPER_SSL_OCPS", "", Line("ssl.ocsp")),
    row("ZOOKEEPER_SSL_HANDSHAKE_DETECTION_TIMEOUT_MILLIS", "", Line("ssl.handshakeDetectionTimeoutMillis")),
    row("ZOOKEEPER_SSL_QUORUM", "", Line("sslQuorum")),
    row("ZOOKEEPER_SSL_QUORUM_CLIENT_AUTH", "", Line("ssl.quorum.clientAuth")),
    row("ZOOKEEPER_SSL_QUORUM_KEYSTORE_LOCATION", "", Line("ssl.quorum.keyStore.location")),
    row("ZOOKEEPER_SSL_QUORUM_KEYSTORE_PASSWORD", "", Line("ssl.quorum.keyStore.password")),
    row("ZOOKEEPER_SSL_QUORUM_KEYSTORE_TYPE", "", Line("ssl.quorum.keyStore.type")),
    row("ZOOKEEPER_SSL_QUORUM_TRUSTSTORE_LOCATION", "", Line("ssl.quorum.trustStore.location")),
    row("ZOOKEEPER_SSL_QUORUM_TRUSTSTORE_PASSWORD", "", Line("ssl.quorum.trustStore.password")),
    row("ZOOKEEPER_SSL_QUORUM_TRUSTSTORE_TYPE", "", Line("ssl.quorum.trustStore.type")),
    row("ZOOKEEPER_SSL_QUORUM_ENABLED_PROTOCOLS", "", Line("ssl.quorum.enabledProtocols")),
    row("ZOOKEEPER_SSL_QUORUM_CIPHER_SUITES", "", Line("ssl.quorum.ciphersuites")),
    row("ZOOKEEPER_SSL_QUORUM_CONTEXT_SUPPLIER_CLASS", "", Line("ssl.quorum.context.supplier.class")),
    row("ZOOKEEPER_SSL_QUORUM_HOSTNAME_VERIFICATION", "", Line("ssl.quorum.hostnameVerification")),
    row("ZOOKEEPER_SSL_QUORUM_CRL", "", Line("ssl.quorum.crl")),
    row("ZOOKEEPER_SSL_QUORUM_OCPS", "", Line("ssl.quorum.ocsp")),
    row(
        "ZOOKEEPER_SSL_QUORUM_HANDSHAKE_DETECTION_TIMEOUT_MILLIS",
        "",
        Line("ssl.quorum.handshakeDetectionTimeoutMillis"),
    ),
    row("ZOOKEEPER_SERVER_CNXN_FACTORY", "", Line("serverCnxnFactory")),
    row("ZOOKEEPER_AUTH_PROVIDER_X509", "", Line("authProvider.x509")),
    row("ZOOKEEPER_AUTH_PROVIDER_SASL", "", Line("authProvider.sasl")),
    row("ZOOKEEPER_CLIENT_PORT_UNIFICATION", "", Line("client.portUnification")),
    row("ZOOKEEPER_ADMIN_ENABLE_SERVER", "", Line("admin.enableServer")),
    row("ZOOKEEPER_ADMIN_SERVER_ADDRESS", "", Line("admin.serverAddress")),
    row("ZOOKEEPER_ADMIN_SERVER_PORT", "", Line("admin.serverPort")),
    row("ZOOKEEPER_ADMIN_IDLE_TIMEOUT", "", Line("admin.idleTimeout")),
    row("ZOOKEEPER_ADMIN_COMMAND_URL", "", Line("admin.commandURL")),
    row("ZOOKEEPER_SERVERS", "", Own("`server.N` lines, separated by semicolons, N from 1")),
    row("ZOOKEEPER_GROUPS", "", Own("`group.N` lines, likewise")),
    row("ZOOKEEPER_WEIGHTS", "", Own("`weight.N` lines, likewise")),
    row("ZOOKEEPER_SERVER_ID", "", Own("`myid`; needed beside `ZOOKEEPER_SERVERS`")),
    row("ZOOKEEPER_LOG4J_ROOT_LOGLEVEL", "", Property("zookeeper.root.logger")),
    row("ZOOKEEPER_LOG4J_LOGGERS", "", Nothing("zabd has one level for everything")),
    row("ZOOKEEPER_TOOLS_LOG4J_LOGLEVEL", "", Nothing("for the image's tools")),
    row("KAFKA_OPTS", "", Own("read for `-D` words, which the configuration overrides")),
    row("KAFKA_HEAP_OPTS", "", Nothing("zabd has no heap to be set")),
    row("KAFKA_JMX_OPTS", "", Nothing("zabd has no JMX")),
    row("KAFKA_JMX_PORT", "", Nothing("zabd has no JMX")),
    row("KAFKA_JMX_HOSTNAME", "", Nothing("zabd has no JMX")),
    row("JMX_PORT", "", Nothing("zabd has no JMX")),
    row("KAFKA_LOG4J_OPTS", "", Nothing("zabd has no log4j")),
    row("KAFKA_GC_LOG_OPTS", "", OF_THE_JVM),
    row("KAFKA_JVM_PERFORMANCE_OPTS", "", OF_THE_JVM),
    row("KAFKA_DEBUG", "", OF_THE_JVM),
    row("JAVA_DEBUG_PORT", "", OF_THE_JVM),
    row("JAVA_DEBUG_OPTS", "", OF_THE_JVM),
    row("DEBUG_SUSPEND_FLAG", "", OF_THE_JVM),
    row("JAVA_HOME", "", OF_THE_JVM),
    row("CLASSPATH", "", OF_THE_JVM),
    row("LOG_DIR", "", Nothing("log lines go to standard output")),
    row("EXTRA_ARGS", "", Nothing("for the image's scripts")),
    row("COMPONENT", "zookeeper", Nothing("for the image's scripts")),
    row("SKIP_MESOS_AUTO_SETUP", "", Nothing("for TLS on Mesos")),
    row("MESOS_SANDBOX", "", Nothing("for TLS on Mesos")),
];

const OF_THE_JVM: Becomes = Nothing("for the virtual machine");

fn plan(reader: &mut Reader<'_>) -> Option<Plan> {
    let (data_dir, log_dir) =
        (reader.place("/var/lib/zookeeper/data"), reader.place("/var/lib/zookeeper/log"));
    let mut lines = Lines::default();
    lines.push("dataDir", &data_dir.to_string_lossy(), reader.dialect.image);
    lines.push("dataLogDir", &log_dir.to_string_lossy(), reader.dialect.image);
    let has_servers = !reader.value("ZOOKEEPER_SERVERS").is_empty();
    reader.lines(&mut lines, &own);
    if !["ZOOKEEPER_CLIENT_PORT", "ZOOKEEPER_SECURE_CLIENT_PORT"].iter().any(|name| reader.is_given(name)) {
        reader.error(
            "ZOOKEEPER_CLIENT_PORT",
            "there is no port for clients",
            "set ZOOKEEPER_CLIENT_PORT=2181",
        );
    }
    let has_id = reader.is_given("ZOOKEEPER_SERVER_ID");
    if has_servers && !has_id {
        let message = "ZOOKEEPER_SERVERS is set, but nothing says which of them this is";
        reader.error(
            "ZOOKEEPER_SERVER_ID",
            message,
            "set ZOOKEEPER_SERVER_ID=1, or another place in the list",
        );
    }
    let zoo_cfg = reader.zoo_cfg(reader.place("/etc/kafka/zookeeper.properties"), lines, false);
    let myid = if has_id { reader.myid("ZOOKEEPER_SERVER_ID", &data_dir, &zoo_cfg) } else { None };
    let mut plan = reader.plan(zoo_cfg, vec![data_dir, log_dir], Vec::new(), myid);
    if reader.is_given("KAFKA_OPTS") {
        plan.properties.push(("KAFKA_OPTS".to_owned(), reader.value("KAFKA_OPTS").to_owned()));
    }
    Some(plan)
}

fn own(reader: &mut Reader<'_>, name: &'static str, lines: &mut Lines) {
    let value = reader.value(name).to_owned();
    let has_servers = !reader.value("ZOOKEEPER_SERVERS").is_empty();
    let mut list = |key: &str| {
        for (index, item) in value.split(';').enumerate().filter(|_| !value.is_empty()) {
            lines.push(&format!("{key}.{}", index + 1), item, name);
        }
    };
    match name {
        "ZOOKEEPER_SERVERS" => list("server"),
        "ZOOKEEPER_GROUPS" => list("group"),
        "ZOOKEEPER_WEIGHTS" => list("weight"),
        "ZOOKEEPER_INIT_LIMIT" | "ZOOKEEPER_SYNC_LIMIT" => {
            let (key, default) = if name.contains("INIT") { ("initLimit", "10") } else { ("syncLimit", "5") };
            let said = if value.is_empty() && has_servers { default } else { &value };
            if reader.is_given(name) || has_servers {
                lines.push(key, said, &reader.by(name));
            }
        }
        _ => (),
    }
}
