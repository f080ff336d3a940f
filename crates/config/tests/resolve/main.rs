//! Whole configurations: what operators write, what they get wrong, and what they read then.

mod auth;
mod members;
mod strength;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use zabd_config::{
    ClientAuth, CommandLine, Config, ConfigErrors, DigestAlg, ExitCode, FourLetterWords, ListenHost,
    LogFormat, LogLevel, MetricsProvider, SnapshotCompression, Sources, Start,
};

/// Files that exist in a test's world.
#[derive(Default)]
struct World(BTreeMap<PathBuf, &'static str>);

impl World {
    fn with(mut self, path: &str, text: &'static str) -> Self {
        self.0.insert(path.into(), text);
        self
    }

    fn resolve(&self, sources: Sources) -> Result<Config, ConfigErrors> {
        sources.resolve(&|path: &Path| {
            self.0
                .get(path)
                .map(|text| text.as_bytes().to_vec())
                .ok_or_else(|| io::ErrorKind::NotFound.into())
        })
    }

    fn file(&self, text: &str) -> Result<Config, ConfigErrors> {
        self.resolve(Sources::new().file("zoo.cfg", text.as_bytes()))
    }
}

fn file(text: &str) -> Result<Config, ConfigErrors> {
    World::default().file(text)
}

/// Adds what every configuration needs, so that a test shows only its own lines.
fn with(lines: &str) -> Config {
    file(&format!("{lines}\ndataDir=/data\nclientPort=2181\n"))
        .unwrap_or_else(|errors| panic!("{lines}: {errors}"))
}

fn errors(lines: &str) -> String {
    match file(&format!("{lines}\ndataDir=/data\nclientPort=2181\n")) {
        Ok(_) => panic!("{lines} is accepted"),
        Err(errors) => errors.to_string(),
    }
}

const TWO_VOTERS: &str = "No server failure will be tolerated. You need at least 3 servers.";

fn warnings(config: &Config) -> Vec<String> {
    config.warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn the_sample_configuration_works() {
    let text = "# The number of milliseconds of each tick\ntickTime=2000\ninitLimit=10\nsyncLimit=5\n\
                dataDir=/tmp/zookeeper\nclientPort=2181\n#maxClientCnxns=60\n";
    let config = file(text).unwrap();
    assert_eq!(config.data_dir, Path::new("/tmp/zookeeper"));
    assert_eq!(config.data_log_dir, config.data_dir);
    assert_eq!((config.client_port, &config.client_port_address), (Some(2181), &ListenHost::Any));
    assert_eq!(
        (config.tick_time_ms, config.session_timeout_ms_min, config.session_timeout_ms_max),
        (2000, 4000, 40_000)
    );
    assert_eq!((config.max_client_cnxns_per_ip, config.listen_backlog()), (60, 50));
    assert_eq!(warnings(&config), Vec::<String>::new());
    let echo: Vec<_> = config.effective.iter().map(ToString::to_string).collect();
    assert!(echo.contains(&"tickTime=2000 (zoo.cfg:2)".to_owned()), "{echo:?}");
}

#[test]
fn all_mistakes_are_reported_at_once_in_the_order_of_the_file() {
    let text = "tickTime=abc\nreconfigEnabled=yes\nclientPort=70000\nsnapCount=many\nminSessionTimeout=9000\n\
                maxSessionTimeout=5000\n";
    let errors = file(text).unwrap_err();
    assert_eq!(errors.exit_code(), ExitCode::InvalidInvocation);
    assert_eq!(
        errors.to_string(),
        "zoo.cfg:1: tickTime=abc is not a number; hint: milliseconds, for example `tickTime=2000`\n\
         zoo.cfg:2: Invalid option yes for reconfigEnabled. Choose 'true' or 'false.'; hint: write \
         `reconfigEnabled=true` or `reconfigEnabled=false`\n\
         zoo.cfg:3: clientPort=70000 is out of range; hint: a port from 1 to 65535, or 0 for any free one\n\
         zoo.cfg:4: snapCount=many is not a number; hint: transactions, for example `snapCount=50000`\n\
         zoo.cfg:5: minSessionTimeout must not be larger than maxSessionTimeout; hint: they are 9000 and 5000 ms; \
         unset, they are 2 and 20 times `tickTime`\n\
         dataDir is not set; hint: add `dataDir=/var/lib/zookeeper`"
    );
}

/// Whoever comes from Java, where these start, is told and served.
#[test]
fn numbers_that_mean_nothing_are_corrected() {
    for (line, told) in [
        ("flushDelay=-1", "flushDelay=-1 is below 0 and counts as 0"),
        ("maxWriteQueuePollTime=-1", "maxWriteQueuePollTime=-1 is below 0 and counts as 0"),
        ("fsync.warningthresholdms=-1", "fsync.warningthresholdms=-1 is below 0 and counts as 0"),
        ("globalOutstandingLimit=-1", "globalOutstandingLimit=-1 is below 0 and counts as 0"),
        ("connection_throttle_fill_time=0", "connection_throttle_fill_time=0 is below 1 and counts as 1"),
        ("nio.sessionlessCnxnTimeout=-1", "nio.sessionlessCnxnTimeout=-1 is below 1 and counts as 10000"),
        ("4lw.commands.whitelist=stat ruok", "there is no word `stat ruok`; words are separated by commas"),
        ("4lw.commands.whitelist=ruok, RUOK", "there is no word `RUOK`"),
        ("admin.enableServer=flase", "admin.enableServer=flase is not `false`, so the AdminServer is opened"),
        (
            "skipACL=yes\nsnapshot.trust.empty=yes",
            "snapshot.trust.empty=yes is neither true nor false and counts as false",
        ),
    ] {
        let told_here = warnings(&with(line));
        assert!(matches!(&told_here[..], [.., one] if one.contains(told)), "{line}: {told_here:?}");
    }
    let errors = file("dataDir=/d\nclientPort=1\npreAllocSize=abc").expect_err("no number").to_string();
    assert!(errors.contains("preAllocSize=abc is not a number"), "{errors}");
}

#[test]
fn javas_validation_messages_are_kept() {
    for (text, message) in [
        ("clientPort=2181", "dataDir is not set"),
        ("dataDir=\nclientPort=2181", "zoo.cfg:1: dataDir is not set"),
        ("dataDir=/d", "clientPort is not set"),
        (
            "dataDir=/d\nclientPortAddress=::1",
            "zoo.cfg:2: clientPortAddress is set but clientPort is not set",
        ),
        ("dataDir=/d\nclientPort=1\ntickTime=0", "zoo.cfg:3: tickTime is not set"),
        ("dataDir=/d\nclientPort=1\ntickTime=-5", "tickTime=-5 must be at least 1"),
        ("dataDir=/d\nclientPort=1\ntickTime=200000000", "makes session timeouts longer than 2147483647 ms"),
        ("dataDir=/d\nclientPort=1\nmaxSessionTimeout=100", "minSessionTimeout must not be larger"),
        ("dataDir=/d\nclientPort=1\nelectionAlg=0", "Invalid electionAlg value. Only 3 is supported."),
        ("dataDir=/d\nclientPort=1\npeerType=leader", "Unrecognised peertype: leader"),
        ("dataDir=/d\nclientPort=-1", "clientPort=-1 is out of range"),
        ("dataDir=/d\nclientPort=0x10", "clientPort=0x10 is not a number"),
        ("dataDir=/d\nclientPort=1\nclientPortAddress=a:b:c", "clientPortAddress=a:b:c is not an address"),
        ("dataDir=/d\nclientPort=1\nclientPortAddress=::1%", "clientPortAddress=::1% is not an address"),
        (
            "dataDir=/d\nclientPort=1\nsecureClientPortAddress=::1",
            "secureClientPortAddress is set but secureClientPort",
        ),
        ("dataDir=/d\nclientPort=1\nmetricsProvider.className=x.Y", "metrics provider class was not found"),
        ("dataDir=/d\nclientPort=1\nkey=\\u00g0", "zoo.cfg:3: Malformed \\uxxxx encoding."),
        (
            "dataDir=/d\nclientPort=1\nquorum.auth.serverRequireSasl=true",
            "quorum.auth.enableSasl is disabled, so cannot enable quorum.auth.serverRequireSasl",
        ),
    ] {
        let errors = file(text).expect_err(text).to_string();
        assert!(errors.contains(message), "{text}: {errors}");
        let mut mistakes = errors.lines().filter(|line| !line.starts_with("warning: "));
        assert!(mistakes.all(|line| line.contains("; hint: ")), "{errors}");
    }
}

#[test]
fn hints_name_what_somebody_may_have_meant() {
    let behind = "dataDir=/d\nclientPort=1\n";
    for (line, hint) in [
        (
            "metricsProvider.className=org.apache.zookeeper.metrics.prometheus.prometheus",
            "use `org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider`",
        ),
        (
            "metricsProvider.className=x.Y",
            "or `org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider`",
        ),
        (
            "maxClientCnxns = 60 # per host",
            "a comment cannot stand behind a value: put `# per host` on a line of its own",
        ),
        ("syncEnabled=true\t# really", "put `# really` on a line of its own"),
        ("authProvider.1=org.example.Mine", "`digest`, `ip`, `sasl`, `ensemble` and `x509` are built in"),
    ] {
        let errors = file(&format!("{behind}{line}")).expect_err(line).to_string();
        assert!(errors.contains("; hint: ") && errors.contains(hint), "{errors}");
    }
    let warnings = warnings(&with("metricsProvider.classname=x"));
    assert!(
        warnings.iter().any(|warning| warning.contains("did you mean `metricsProvider.className`?")),
        "{warnings:?}"
    );
}

#[test]
fn what_would_be_unsafe_to_ignore_ends_the_start() {
    for (lines, message) in [
        ("secureClientPort=2281", "secureClientPort=2281 asks for TLS, which needs `ssl.keyStore.location`"),
        ("sessionRequireClientSASLAuth=true", "Authentication scheme sasl is not available."),
        (
            "enforce.auth.enabled=true\nenforce.auth.schemes=sasl",
            "Authentication scheme sasl is not available.",
        ),
        ("enforce.auth.enabled=true", "zookeeper.enforce.auth.schemes must be configured"),
        (
            "enforce.auth.enabled=true\nenforce.auth.schemes=digest\nDigestAuthenticationProvider.enabled=false",
            "Authentication scheme digest is not available.",
        ),
        (
            "authProvider.1=org.apache.zookeeper.server.auth.KeyAuthenticationProvider",
            "authProvider.1=org.apache.zookeeper.server.auth.KeyAuthenticationProvider is a class that zabd cannot load",
        ),
        (
            "authProvider.1=org.example.Mine",
            "authProvider.1=org.example.Mine is a class that zabd cannot load",
        ),
        ("audit.impl.class=org.example.Audit", "zabd cannot stand in for"),
        ("serverCnxnFactory=org.example.Factory", "zabd cannot stand in for"),
        ("watchManagerName=org.example.Watches", "zabd cannot stand in for"),
        ("DigestAuthenticationProvider.digestAlg=ROT13", "is not a digest algorithm"),
        ("standaloneEnabled=false", "number of participants should be >0"),
        ("server.1=a:2888:3888:observer", "Observers w/o participants is an invalid configuration"),
        (
            "server.1=a:2888:3888\nserver.2=b:2888:3888:observer",
            "Observers w/o quorum is an invalid configuration",
        ),
        ("server.1=a:2888", "does not have the form server_config"),
        ("server.x=a:2888:3888", "server id x is not a number"),
    ] {
        let errors = errors(lines);
        assert!(errors.contains(message), "{lines}: {errors}");
        assert!(errors.starts_with("zoo.cfg:"), "{errors}");
    }
}

/// Somebody who writes a default down means it, so that it is told that there is nothing to it.
#[test]
fn what_has_no_effect_is_told_whatever_its_value() {
    for line in [
        "admin.httpVersion=11",
        "ssl.sslProvider=JDK",
        "metricsProvider.numWorkerThreads=1",
        "maxResponseCacheSize=400",
        "maxGetChildrenResponseCacheSize=0",
        "pathStats.enabled=true",
    ] {
        let told = warnings(&with(line));
        assert!(
            matches!(&told[..], [one] if one.contains(line.split('=').next().unwrap())),
            "{line}: {told:?}"
        );
    }
    for line in [
        "admin.enableServer=false",
        "admin.forceHttps=false",
        "quorum.auth.enableSasl=false",
        "serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory",
    ] {
        assert_eq!(warnings(&with(line)), Vec::<String>::new(), "{line}");
    }
}

/// An operator who has brought the flags of a Java server along looks for the lines that they ask for.
#[test]
fn what_java_logging_reads_is_told_once_with_what_does_it_here() {
    let words = "-Dlogback.configurationFile=/c/logback.xml -Dlog4j.configuration=file:/c/log4j.properties \
                 -Dlog4j2.configurationFile=/c/log4j2.xml -Dzookeeper.log.dir=/logs";
    let sources = Sources::new().jvm_flags("JVMFLAGS", words);
    let config =
        World::default().resolve(sources.pairs([("dataDir", "/data"), ("clientPort", "2181")])).unwrap();
    let told = warnings(&config);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("`zabd.log.level`") && told[0].contains("`zabd.log.format`"), "{told:?}");
    for name in [
        "logback.configurationFile (JVMFLAGS -Dlogback",
        "log4j.configuration (JVMFLAGS -Dlog4j",
        "log.dir (",
    ] {
        assert!(told[0].contains(name), "{name}: {told:?}");
    }
    assert!(matches!(with("zabd.log.format=JSON").log.format, LogFormat::Json));
    let start = Start::PortAndDirectory(["2181", "/data"].map(str::to_owned).to_vec());
    let environment = |name: &str| (name == "ZOO_LOG4J_PROP").then(|| "DEBUG,CONSOLE".to_owned());
    let config = zabd_config::load(&CommandLine { properties: vec![], start }, &environment).unwrap();
    let told = warnings(&config);
    let is_told =
        |each: &String| each.contains("`zabd.log.level`") && each.contains("no effect of ZOO_LOG4J_PROP");
    assert_eq!(told.iter().filter(|each| is_told(each)).count(), 1, "{told:?}");
}

#[test]
fn odd_keys_are_told_beside_mistakes() {
    let errors = errors("tickTiem=2000\nsnapCount=many");
    let lines: Vec<_> = errors.lines().collect();
    assert!(lines[0].contains("snapCount=many is not a number"), "{errors}");
    assert!(
        lines[1].starts_with("warning: zoo.cfg:") && lines[1].contains("did you mean `tickTime`?"),
        "{errors}"
    );
}

/// Release 3.10 takes units; 3.9 ends at one, and must not purge each hour what was to be purged each day.
#[test]
fn a_purge_interval_has_no_unit() {
    for value in ["500ms", "30s", "90m", "1h", "7d", "1 h", "PT1H"] {
        let told = errors(&format!("autopurge.purgeInterval={value}"));
        assert!(told.starts_with("zoo.cfg:1: ") && told.contains("autopurge.purgeInterval"), "{told}");
    }
    assert_eq!(with("autopurge.purgeInterval=7").autopurge_interval_hours, Some(7));
}

/// Java reads such a store with a provider of its own; to take it for one of another kind would be a start without its keys.
#[test]
fn a_store_of_a_kind_that_is_not_read_ends_the_start() {
    for side in ["ssl", "ssl.quorum"] {
        for store in ["keyStore", "trustStore"] {
            for kind in ["BCFKS", "bcfks"] {
                let told = errors(&format!("{side}.{store}.type={kind}"));
                assert!(
                    told.starts_with("zoo.cfg:1: ") && told.contains(&format!("{side}.{store}.type")),
                    "{told}"
                );
            }
        }
    }
}

#[test]
fn the_later_source_wins() {
    let base =
        || Sources::new().jvm_flags("JVMFLAGS", "-Dzookeeper.snapCount=11 -Dzookeeper.maxCnxns=11 -Xmx1g");
    let words = ["-DsnapCount=22", "-Dfile.encoding=UTF-8", "-Dzookeeper.globalOutstandingLimit=22"];
    let text = b"dataDir=/data\nclientPort=2181\nsnapCount=33\n";
    let sources = base().properties(words).file("zoo.cfg", text).pairs([("clientPort", "2182")]);
    let config = World::default().resolve(sources).unwrap();
    assert_eq!((config.max_cnxns, config.global_outstanding_limit, config.snap_count), (11, 22, 33));
    assert_eq!(config.client_port, Some(2182));
    assert_eq!(warnings(&config), Vec::<String>::new(), "properties of the JVM are nobody's business");
    let errors =
        World::default().resolve(base().properties(["-Dzookeeper.maxCnxns=x"]).file("zoo.cfg", text));
    assert!(errors.unwrap_err().to_string().starts_with("-Dzookeeper.maxCnxns: maxCnxns=x is not a number"));
}

#[test]
fn unknown_keys_become_properties_and_are_told() {
    let config = with("my.key=1\nsnapcount=5\nzookeeper.forceSync=no");
    assert_eq!(config.system_properties.get("zookeeper.my.key").map(String::as_str), Some("1"));
    assert!(!config.force_sync);
    assert_eq!(
        warnings(&config),
        [
            "zoo.cfg:1: nothing reads my.key",
            "zoo.cfg:2: nothing reads snapcount; hint: did you mean `snapCount`?",
            "zoo.cfg:3: zookeeper.forceSync works without its prefix too; Java reads only `forceSync` here",
        ]
    );
}

#[test]
fn a_repeated_key_is_told_and_the_last_wins() {
    let config = with("connectionMaxTokens=5\nconnection_throttle_tokens=7");
    assert_eq!(config.connection_throttle.max_tokens, 7);
    assert_eq!(
        warnings(&config),
        ["zoo.cfg:2: connection_throttle_tokens is set again, the value of zoo.cfg:1 is forgotten"]
    );
}

#[test]
fn exact_words_are_exact() {
    assert!(with("skipACL=yes").auth.skip_acl);
    assert!(!with("skipACL=true").auth.skip_acl);
    assert!(!with("forceSync=no").force_sync);
    assert!(with("forceSync=false").force_sync);
    assert_eq!(warnings(&with("forceSync=false")).len(), 1);
    assert!(!with("digest.enabled=yes").digest_enabled, "a property that is not `true` is false");
    assert!(with("enforceQuota=TRUE").enforce_quota);
}

#[test]
fn numbers_out_of_javas_range_are_bent_as_java_bends_them() {
    assert_eq!(with("snapCount=1").snap_count, 2);
    assert_eq!(with("autopurge.snapRetainCount=1").autopurge_snap_retain_count, 3);
    assert_eq!(with("autopurge.purgeInterval=-1").autopurge_interval_hours, None);
    assert_eq!(with("snapSizeLimitInKb=0").snap_size_limit_kb, None);
    assert_eq!(with("largeRequestThreshold=0").large_request_threshold_bytes, None);
    assert_eq!(with("largeRequestMaxBytes=-1").large_request_max_bytes, 104_857_600);
    assert_eq!(with("flushDelay=30").max_write_queue_poll_time_ms, 10);
    assert_eq!(with("maxBatchSize=0").max_batch_size, None);
    assert_eq!(with("connection_throttle_freeze_time=-1").connection_throttle.freeze_time_ms, None);
    assert_eq!(with("jute.maxbuffer=0x1000").jute_max_buffer_bytes, 4096);
    assert_eq!(with("jute.maxbuffer=010").jute_max_buffer_bytes, 8);
    assert_eq!(with("jute.maxbuffer=010").jute_extra_bytes, 1024);
    assert_eq!(with("jute.maxbuffer=4096").jute_record_max_bytes(), 8192);
    assert_eq!(with("jute.maxbuffer=2147483647").jute_record_max_bytes(), i32::MAX as u32);
    assert_eq!(with("clientPortListenBacklog=0").listen_backlog(), 50);
    assert_eq!(with("minSessionTimeout=-1\nmaxSessionTimeout=-1").session_timeout_ms_max, 60_000);
}

#[test]
fn session_weights_are_bent_and_counted_in_global_sessions() {
    let lines = "connection_throttle_tokens=10\nconnection_throttle_fill_count=2\nconnection_throttle_weight_enabled=true\n\
                 connection_throttle_global_session_weight=1\nconnection_throttle_local_session_weight=4\n\
                 connection_throttle_renew_session_weight=0";
    let config = with(lines);
    let throttle = config.connection_throttle;
    assert_eq!((throttle.global_session_weight, throttle.local_session_weight), (4, 4));
    assert_eq!(throttle.renew_session_weight, 4);
    assert_eq!((throttle.max_tokens, throttle.fill_count), (40, 8));
    assert_eq!(config.warnings.len(), 2);
}

#[test]
fn words_and_names_are_understood() {
    let config = with(
        "4lw.commands.whitelist= ruok , stat,,\nclientPortAddress=[::1]\nsnapshot.compression.method=GZ",
    );
    assert!(config.four_letter_words.allows("ruok") && config.four_letter_words.allows("srvr"));
    assert!(!config.four_letter_words.allows("mntr"));
    assert_eq!(config.client_port_address, ListenHost::Address("::1".parse().unwrap()));
    assert_eq!(config.snapshot_compression, SnapshotCompression::Gzip);
    assert!(with("readonlymode.enabled=true\n4lw.commands.whitelist=ruok").four_letter_words.allows("isro"));
    assert_eq!(with("4lw.commands.whitelist=ruok,*").four_letter_words, FourLetterWords::All);
    for name in ["zk-0.zk", "fe80::1%eth0", "[fe80::1%2]"] {
        let bare = name.trim_matches(['[', ']']);
        let config = with(&format!("clientPortAddress={name}"));
        assert_eq!(config.client_port_address, ListenHost::Name(bare.into()));
    }
    assert_eq!(with("clientPortAddress=0.0.0.0").client_port_address, ListenHost::Any);
    assert_eq!(with("DigestAuthenticationProvider.digestAlg=sha-512").auth.digest_alg, DigestAlg::Sha512);
    assert_eq!(with("DigestAuthenticationProvider.digestAlg=sha3-384").auth.digest_alg, DigestAlg::Sha3_384);
    assert_eq!(with("zabd.log.format=json").log.format, LogFormat::Json);
    let root = World::default().resolve(
        Sources::new()
            .properties(["-Dzookeeper.root.logger=DEBUG, CONSOLE"])
            .port_and_directory(&["1".into(), "d".into()]),
    );
    assert_eq!(root.unwrap().log.level, LogLevel::Debug);
}

#[test]
fn the_admin_server_is_where_it_is_asked_for() {
    let usual = with("").admin;
    assert_eq!((usual.enabled, usual.port, &*usual.command_url), (true, 8080, "/commands"));
    let lines = "admin.serverAddress=::1\nadmin.serverPort=9080\nadmin.commandURL=/zk/\nadmin.idleTimeout=10\n\
                 admin.snapshot.enabled=false\nadmin.rateLimiterIntervalInMS=7";
    let config = with(lines);
    assert_eq!(warnings(&config), Vec::<String>::new());
    let admin = config.admin;
    assert_eq!(admin.address, ListenHost::Address("::1".parse().unwrap()));
    assert_eq!((admin.port, &*admin.command_url, admin.idle_timeout_ms), (9080, "/zk", 10));
    assert_eq!((admin.snapshot_enabled, admin.rate_limit_interval_ms), (false, 7));
    assert!(
        with("admin.enableServer=FALSE").admin.enabled && !with("admin.enableServer=false").admin.enabled
    );
    assert!(errors("admin.commandURL=commands").contains("is not a path"));
}

#[test]
fn the_admin_server_has_the_stores_of_members_and_nothing_else_of_theirs() {
    let stores = "ssl.quorum.keyStore.location=/k.pem\nssl.quorum.trustStore.location=/t.pem\nssl.quorum.protocol=TLSv1.2\n\
                  ssl.quorum.clientAuth=want";
    assert_eq!(with(stores).admin_tls(), None);
    let side = with(&format!("{stores}\nadmin.forceHttps=true")).admin_tls().unwrap();
    assert_eq!(side.key_store.location.as_deref(), Some(Path::new("/k.pem")));
    assert_eq!(side.trust_store.location.as_deref(), Some(Path::new("/t.pem")));
    assert_eq!((side.client_auth, side.protocol), (ClientAuth::None, None));
    let side = with(&format!("{stores}\nadmin.portUnification=true\nadmin.needClientAuth=true"));
    assert_eq!(side.admin_tls().unwrap().client_auth, ClientAuth::Need);
    let told = warnings(&with("admin.needClientAuth=true"));
    assert!(told[0].starts_with("zoo.cfg:1: admin.needClientAuth has no effect without TLS"), "{told:?}");
}

#[test]
fn prometheus_is_told_by_tls_as_in_release_3_10() {
    let provider = "metricsProvider.className=org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider\n\
                    metricsProvider.ssl.keyStore.location=/k.pem\n";
    let with = |lines: &str| with(&format!("{provider}{lines}")).metrics;
    let metrics = with("metricsProvider.httpsPort=7443");
    assert_eq!((metrics.http_port, metrics.https_port), (None, Some(7443)));
    let side = metrics.side().unwrap();
    assert_eq!(side.key_store.location.as_deref(), Some(Path::new("/k.pem")));
    assert_eq!(side.client_auth, ClientAuth::Need);
    let metrics = with(
        "metricsProvider.httpsPort=7443\nmetricsProvider.httpPort=7000\nmetricsProvider.ssl.need.client.auth=false",
    );
    assert_eq!((metrics.http_port, metrics.https_port), (Some(7000), Some(7443)));
    assert_eq!(metrics.side().unwrap().client_auth, ClientAuth::None, "nobody could be believed");
    let metrics = with("metricsProvider.httpsPort=-1\nmetricsProvider.httpPort=7000");
    assert_eq!((metrics.http_port, metrics.side()), (Some(7000), None));
    let told = errors(&format!("{provider}metricsProvider.httpPort=-1"));
    assert!(told.contains("Either httpPort or httpsPort must be configured"), "{told}");
}

#[test]
fn who_logs_in_by_sasl() {
    let provider = "authProvider.sasl=org.apache.zookeeper.server.auth.SASLAuthenticationProvider";
    let config = with(&format!(
        "{provider}\nsessionRequireClientSASLAuth=true\nenforce.auth.schemes=digest\nenforce.auth.enabled=true\n\
         zabd.sasl.users=/users\nsuperUser=a\nsuperUser.2=b\nallowSaslFailedClients=true"
    ));
    assert_eq!(config.auth.enforce_schemes, ["sasl"], "a demand for SASL beats the others");
    let sasl = &config.auth.sasl;
    assert!(sasl.is_scheme && sasl.keeps_failed && sasl.has_users());
    assert_eq!((sasl.super_users.clone(), sasl.server_section()), (vec!["a".into(), "b".into()], "Server"));
    for (text, path) in
        [("/a/b", "/a/b"), ("=/a", "/a"), ("file:/a", "/a"), ("file:///a", "/a"), ("a/b.conf", "a/b.conf")]
    {
        let config = with(&format!("java.security.auth.login.config={text}\nsasl.serverconfig=Zk"));
        let sasl = &config.auth.sasl;
        assert_eq!(
            (sasl.jaas_file.as_deref(), sasl.server_section()),
            (Some(Path::new(path)), "Zk"),
            "{text}"
        );
    }
}

#[test]
fn metrics_providers_are_known_by_their_classes() {
    let prometheus = with(
        "metricsProvider.className=org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider\n\
         metricsProvider.httpHost=127.0.0.1\nmetricsProvider.httpPort=7001\nmetricsProvider.exportJvmInfo=false",
    );
    assert_eq!(warnings(&prometheus), Vec::<String>::new());
    let metrics = prometheus.metrics;
    assert_eq!(metrics.provider, MetricsProvider::Prometheus);
    assert_eq!((metrics.http_port, metrics.export_process), (Some(7001), false));
    assert_eq!(metrics.http_host, ListenHost::Address([127, 0, 0, 1].into()));
    let null =
        with("metricsProvider.className=org.apache.zookeeper.metrics.impl.NullMetricsProvider").metrics;
    assert_eq!((null.provider, null.http_port), (MetricsProvider::Null, Some(7000)));
}

/// zabd needs neither the threads nor the buffer, but a start that Java refuses is nothing to get used to.
#[test]
fn what_ends_javas_start_ends_it_although_it_has_no_effect() {
    let prometheus =
        "metricsProvider.className=org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider";
    for (lines, message) in [
        ("metricsProvider.numWorkerThreads=x", "metricsProvider.numWorkerThreads=x is not a number"),
        ("metricsProvider.maxQueueSize=1e6", "metricsProvider.maxQueueSize=1e6 is not a number"),
        (
            "metricsProvider.maxQueueSize=0",
            "zoo.cfg:2: metricsProvider.maxQueueSize=0 must be at least 1; hint: ",
        ),
        (
            "metricsProvider.workerShutdownTimeoutMs=",
            "metricsProvider.workerShutdownTimeoutMs= is not a number",
        ),
        (
            "intBufferStartingSizeBytes=31",
            "zoo.cfg:2: intBufferStartingSizeBytes=31 must be at least 32; hint: ",
        ),
    ] {
        let told = errors(&format!("{prometheus}\n{lines}"));
        assert!(told.contains(message), "{lines}: {told}");
    }
    for lines in [
        format!("{prometheus}\nmetricsProvider.numWorkerThreads=0\nmetricsProvider.maxQueueSize=0"),
        "metricsProvider.maxQueueSize=0".to_owned(),
        "intBufferStartingSizeBytes=32".to_owned(),
        "intBufferStartingSizeBytes=8k".to_owned(),
    ] {
        with(&lines);
    }
}

#[test]
fn relative_paths_are_told() {
    let config = file("dataDir=data\ndataLogDir=./log\nclientPort=2181\n").unwrap();
    assert_eq!(warnings(&config), ["zoo.cfg:1: data is relative. Prepend ./ to indicate that you're sure!"]);
}

#[test]
fn command_lines_are_javas() {
    let parse = |words: &[&str]| CommandLine::parse(words.iter().map(|word| (*word).to_owned()));
    assert_eq!(parse(&[]).unwrap().start, Start::Development);
    let file = parse(&["-Dzookeeper.snapCount=5", "-Xmx512m", "/etc/zoo.cfg"]).unwrap();
    assert_eq!(
        file,
        CommandLine {
            properties: vec!["-Dzookeeper.snapCount=5".into()],
            start: Start::File("/etc/zoo.cfg".into())
        }
    );
    assert!(
        matches!(parse(&["2181", "/data", "2000", "10"]).unwrap().start, Start::PortAndDirectory(words) if words.len() == 4)
    );
    // No limit, as in Java; before the directory a word like it is a flag.
    let unlimited = parse(&["2181", "/data", "2000", "-1"]).unwrap().start;
    assert!(matches!(unlimited, Start::PortAndDirectory(words) if words[3] == "-1"));
    assert!(parse(&["-1", "/data"]).is_err());
    let many = parse(&["1", "2", "3", "4", "5"]).unwrap_err().to_string();
    assert!(many.starts_with("Invalid number of arguments:[1, 2, 3, 4, 5]; hint: Usage: zabd"), "{many}");
    assert!(parse(&["--what"]).is_err());
    let server = parse(&["-Da=b", "server", "--config", "/zoo.cfg", "--client-port", "1"]).unwrap();
    let flags = vec!["--client-port".to_owned(), "1".to_owned()];
    assert_eq!(server.start, Start::Flags { config: Some("/zoo.cfg".into()), flags });
    let unfinished = parse(&["server", "--config"]).unwrap();
    let errors = zabd_config::load(&unfinished, &|_| None).unwrap_err().to_string();
    assert!(errors.contains("no key is named --config"), "{errors}");
}

#[test]
fn port_and_directory_has_its_own_defaults() {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let resolve = |words: &[String]| World::default().resolve(Sources::new().port_and_directory(words));
    let echo: Vec<_> =
        resolve(&["1".into(), "d".into()]).unwrap().effective.iter().map(ToString::to_string).collect();
    assert!(echo.contains(&"maxClientCnxns=0 (as no file says otherwise)".to_owned()), "{echo:?}");
    let config = resolve(&words(&["2181", "/data"])).unwrap();
    assert_eq!((config.max_client_cnxns_per_ip, config.tick_time_ms), (0, 3000));
    let config = resolve(&words(&["2181", "/data", "2000", "7"])).unwrap();
    assert_eq!((config.max_client_cnxns_per_ip, config.session_timeout_ms_min), (7, 4000));
    let errors = resolve(&words(&["port", "/data"])).unwrap_err().to_string();
    assert!(errors.starts_with("command line: clientPort=port is not a number"), "{errors}");
}

#[test]
fn what_shows_only_in_use_is_blamed_on_its_line() {
    let config = with("tickTime=2000");
    let taken = config.blame("clientPort", "is taken by another process", "stop it, or choose another port");
    let expected =
        "zoo.cfg:3: clientPort=2181 is taken by another process; hint: stop it, or choose another port";
    assert_eq!(taken.to_string(), expected);
    assert_eq!(
        config.blame("dataLogDir", "is full", "make room").to_string(),
        "dataLogDir is full; hint: make room"
    );
}

#[test]
fn development_is_a_valid_configuration() {
    let config = Config::for_development("./data", 0);
    assert_eq!((config.client_port, config.session_timeout_ms_max), (Some(0), 60_000));
}

#[test]
fn load_reads_file_myid_and_environment() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("zoo.cfg");
    let text = format!("dataDir={}\nclientPort=2181\n", directory.path().display());
    std::fs::write(&path, text).unwrap();
    std::fs::write(directory.path().join("myid"), "3\n").unwrap();
    let command = CommandLine { properties: vec![], start: Start::File(path.clone()) };
    let environment = |name: &str| match name {
        "SERVER_JVMFLAGS" => Some("-Dzookeeper.snapCount=5 -Dzookeeper.maxCnxns=5".to_owned()),
        "JVMFLAGS" => Some("-Dzookeeper.snapCount=6".to_owned()),
        _ => None,
    };
    let config = zabd_config::load(&command, &environment).unwrap();
    assert_eq!((config.myid, config.snap_count, config.max_cnxns), (Some(3), 6, 5));
    let flags = vec!["--snap-count=7".to_owned()];
    let start = Start::Flags { config: Some(path), flags };
    let flagged = zabd_config::load(&CommandLine { properties: vec![], start }, &environment).unwrap();
    assert_eq!((flagged.snap_count, flagged.client_port), (7, Some(2181)));
    let missing = CommandLine { properties: vec![], start: Start::File(directory.path().join("none.cfg")) };
    let errors = zabd_config::load(&missing, &|_| None).unwrap_err().to_string();
    assert!(errors.contains("none.cfg: file is missing; hint: Usage: zabd"), "{errors}");
    assert_eq!(errors.lines().count(), 1, "a missing file lacks no keys");
}

/// Java refuses the blanks, and stumbles over a weight that nobody has.
#[test]
fn what_cannot_be_misunderstood_is_accepted() {
    let text = "dataDir=/data\nclientPort=2181\n";
    let config = World::default().with("/data/myid", " 7 \n").file(text).unwrap();
    assert_eq!(config.myid, Some(7));
    let config = World::default().file(&format!("{text}group.1=1:2\nweight.1=1\n")).unwrap();
    assert!(config.ensemble.is_none(), "there is nobody to weigh");
    let errors = World::default()
        .resolve(Sources::new().properties(["-Djute.maxbuffer=-1"]).file("zoo.cfg", text.as_bytes()));
    assert!(errors.unwrap_err().to_string().starts_with("-Djute.maxbuffer: jute.maxbuffer=-1"));
}
