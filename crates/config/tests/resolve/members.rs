//! Whole configurations of members of an ensemble: their lines, their files, and what is not there.

use super::*;

#[test]
fn one_server_line_is_a_standalone_server() {
    let config = with("server.1=zk1:2888:3888");
    assert_eq!(warnings(&config), ["zoo.cfg:1: Invalid configuration, only one server specified (ignoring)"]);
    let myid = World::default().with("/data/myid", "1\n");
    let text = "dataDir=/data\nserver.1=zk1:2888:3888;127.0.0.1:2182\n";
    let config = myid.file(text).unwrap();
    assert_eq!((config.client_port, config.myid), (Some(2182), Some(1)));
    assert_eq!(config.client_port_address.to_string(), "127.0.0.1");
    assert!(
        file(text).unwrap_err().to_string().contains("clientPort is not set"),
        "without myid Java has no port"
    );
    let conflict = myid.file(&format!("{text}clientPort=2181\n")).unwrap_err().to_string();
    assert!(
        conflict.contains("is different from client address found in dynamic file: 127.0.0.1:2182"),
        "{conflict}"
    );
    let wrong =
        World::default().with("/data/myid", "one\n").file("dataDir=/data\nclientPort=1\n").unwrap_err();
    assert_eq!(wrong.to_string().split(';').next(), Some("/data/myid: serverid one is not a number"));
}

const MEMBERS: &str = "server.1=a:2888:3888\nserver.2=b:2888:3888\nserver.3=c:2888:3888:observer\n";

fn member(id: &'static str, lines: &str) -> Result<Config, zabd_config::ConfigErrors> {
    let text = format!("dataDir=/data\nclientPort=2181\n{lines}");
    World::default().with("/data/myid", id).file(&text)
}

#[test]
fn extended_types_limit_the_number_of_a_member() {
    let start = |id: &'static str, enabled: bool| {
        let number = id.trim();
        let text = format!(
            "server.{number}=a:2888:3888\nserver.1=b:2888:3888\ninitLimit=10\nsyncLimit=5\nextendedTypesEnabled={enabled}\n"
        );
        member(id, &text).map(|config| config.ensemble.map(|ensemble| ensemble.myid))
    };
    assert_eq!(start("255\n", false).unwrap(), Some(255));
    assert_eq!(start("254\n", true).unwrap(), Some(254));
    let refused = start("255\n", true).unwrap_err().to_string();
    assert!(
        refused
            .contains("extendedTypesEnabled is true but Server ID is too large. Cannot be larger than 254"),
        "{refused}"
    );
}

const LIMITS: &str = "initLimit=10\nsyncLimit=5\n";

/// Java reads members from files only; but a server that starts alone although members were named takes writes that they never hear of.
#[test]
fn members_in_properties_end_the_start_of_a_lone_server() {
    let alone = "dataDir=/data\nclientPort=2181\n";
    let start = |word: &'static str, text: String| {
        let sources = Sources::new().jvm_flags("JVMFLAGS", word).file("zoo.cfg", text.as_bytes());
        World::default().with("/data/myid", "1\n").resolve(sources)
    };
    for word in ["-Dserver.1=a:2888:3888", "-Dzookeeper.server.1=a:2888:3888"] {
        for lines in ["", "server.2=b:2888:3888\n"] {
            let refused = start(word, format!("{alone}{lines}")).unwrap_err();
            assert_eq!(refused.exit_code(), ExitCode::InvalidInvocation);
            let key = word[2..].split('=').next().unwrap();
            let said = format!("JVMFLAGS -D{key}: {key} names a member, which is not read here");
            let refused = refused.to_string();
            assert!(
                refused.starts_with(&said) && refused.contains("write `server.1=…` into zoo.cfg"),
                "{refused}"
            );
        }
        let config = start(word, format!("{alone}{MEMBERS}{LIMITS}")).unwrap();
        assert!(config.ensemble.is_some());
        assert!(warnings(&config)[0].contains(": nothing reads "), "{:?}", warnings(&config));
    }
    for (word, told) in [("-Dgroup.1=1", 1), ("-Dserver.name=zk1", 0), ("-Dweightless=1", 0)] {
        assert_eq!(warnings(&start(word, alone.to_owned()).unwrap()).len(), told, "{word}");
    }
}

#[test]
fn members_may_be_flags() {
    let words = ["--server.1=a:2888:3888", "--server.2=b:2888:3888", "--initLimit=10", "--syncLimit=5"];
    let base = Sources::new().file("zoo.cfg", b"dataDir=/data\nclientPort=2181\n");
    let sources = base.flags(&words.map(str::to_owned));
    let config = World::default().with("/data/myid", "2\n").resolve(sources).unwrap();
    let ensemble = config.ensemble.unwrap();
    assert_eq!((ensemble.myid, &ensemble.members[..]), (2, "server.1=a:2888:3888\nserver.2=b:2888:3888"));
}

/// What is wrong with the line is not told once more as what is missing then.
#[test]
fn a_mistaken_line_of_a_server_is_one_mistake() {
    let others = "server.2=b:2888:3888\nserver.3=c:2888:3888\n";
    for (own, others) in [("a:2888", others), ("a:x:3888", others), ("a:2888:2888", others), ("a:2888", "")] {
        let text = format!("server.1={own}\n{others}{LIMITS}");
        let told = member("1\n", &text).unwrap_err();
        assert_eq!((told.iter().count(), told.warnings().count()), (1, 0), "{own}: {told}");
        assert!(told.to_string().starts_with("zoo.cfg:3: "), "{told}");
    }
}

/// Java's members start with these, and never lead.
#[test]
fn members_that_can_never_work_together_are_told() {
    for (lines, told) in [
        (
            "server.1=a:2888:3888\nserver.2=b:2888:3888\nserver.3=a:2889:3888\n",
            "zoo.cfg:5: server.3 has a:3888, and so has server.1 (zoo.cfg:3): only one of the two can run",
        ),
        (
            "server.1=a:2888:3888\nserver.2=b:2888:3888\ngroup.1=1:2\nweight.1=0\nweight.2=0\n",
            "zoo.cfg:6: all voters weigh 0",
        ),
    ] {
        let config = member("1\n", &format!("{lines}{LIMITS}")).unwrap();
        let warnings = warnings(&config);
        assert!(matches!(&warnings[..], [one, ..] if one.starts_with(told)), "{warnings:?}");
    }
    for sound in [
        "server.1=a:2888:3888\nserver.2=a:2889:3889\n",
        "server.1=a:2888:3888\nserver.2=b:2888:3888\ngroup.1=1:2\nweight.1=0\nweight.2=1\n",
        "server.1=a:2888:3888\nserver.2=b:2888:3888\ngroup.1=1:2\nweight.1=0\n",
    ] {
        let config = member("1\n", &format!("{sound}{LIMITS}")).unwrap();
        assert_eq!(warnings(&config), [TWO_VOTERS], "{sound}");
    }
}

#[test]
fn numbers_of_voters_that_buy_nothing_are_told_in_javas_words() {
    let even = "Non-optimal configuration, consider an odd number of servers.";
    for (voters, observers, told) in
        [(2, 1, Some(TWO_VOTERS)), (3, 1, None), (4, 0, Some(even)), (5, 0, None), (6, 1, Some(even))]
    {
        let line =
            |id| format!("server.{id}=h{id}:2888:3888{}\n", if id <= voters { "" } else { ":observer" });
        let lines: String = (1..=voters + observers).map(line).collect();
        let config = member("1\n", &format!("{lines}{LIMITS}")).unwrap();
        assert_eq!(warnings(&config), told.into_iter().collect::<Vec<_>>(), "{lines}");
    }
}

#[test]
fn a_file_is_no_quorum() {
    let told = member("1\n", &format!("{MEMBERS}{LIMITS}oraclePath=/run/oracle\n")).unwrap_err().to_string();
    let expected = "`oraclePath` is not served: a lone survivor of two does not go on by a file's word";
    assert!(told.contains(expected) && told.contains("add a third voter"), "{told}");
    // Nobody is there whom it could be about.
    with("oraclePath=/run/oracle");
}

#[test]
fn a_line_says_nothing_of_a_port_with_tls() {
    for client in [";2181;2281", ";;2281", ";127.0.0.1:2181;127.0.0.1:2281"] {
        let text = format!("server.1=a:2888:3888{client}\nserver.2=b:2888:3888\n{LIMITS}");
        let told = member("1\n", &text).unwrap_err().to_string();
        let is_named =
            told.contains("A port for clients with TLS is named here") && told.contains("`secureClientPort`");
        assert!(told.contains("server.1") && is_named, "{told}");
    }
    let nonsense = format!("server.1=a:2888:3888;2181;x\nserver.2=b:2888:3888\n{LIMITS}");
    assert!(!member("1\n", &nonsense).unwrap_err().to_string().contains("TLS"));
}

#[test]
fn one_port_for_clients_and_servers_is_refused() {
    for (own, extra, purpose, place) in [
        ("a:2181:3888", "", "quorum", "zoo.cfg:2"),
        ("a:2888:2181", "", "election", "zoo.cfg:2"),
        ("10.0.0.1:2888:2181", "clientPortAddress=10.0.0.1\n", "election", "zoo.cfg:2"),
        (
            "10.0.0.1:2888:2181",
            "clientPortAddress=10.0.0.2\nquorumListenOnAllIPs=true\n",
            "election",
            "zoo.cfg:2",
        ),
        ("a:2888:2181;2181", "", "election", "in the same line"),
    ] {
        let text = format!("server.1={own}\nserver.2=b:2888:3888\n{extra}{LIMITS}");
        let told = member("1\n", &text).unwrap_err().to_string();
        let expected = format!(
            "zoo.cfg:3: server.1 has 2181 for its {purpose} port, and clientPort ({place}) is 2181 too: only one"
        );
        assert!(told.starts_with(&expected), "{own} {extra}: {told}");
    }
    let apart = "server.1=10.0.0.1:2888:2181\nserver.2=b:2888:3888\nclientPortAddress=10.0.0.2\n";
    member("1\n", &format!("{apart}{LIMITS}")).unwrap();
    let of_another = "server.1=a:2888:3888\nserver.2=b:2181:3888\n";
    member("1\n", &format!("{of_another}{LIMITS}")).unwrap();
}

#[test]
fn several_servers_are_an_ensemble() {
    let limits = "initLimit=10\nsyncLimit=5\n";
    let config = member("2\n", &format!("{MEMBERS}{limits}")).unwrap();
    let ensemble = config.ensemble.unwrap();
    assert_eq!((ensemble.myid, ensemble.init_limit_ticks, ensemble.sync_limit_ticks), (2, 10, 5));
    assert_eq!(ensemble.members, MEMBERS.trim());
    let one_in_a_thousand = ensemble.acknowledgements_one_in;
    assert!(!ensemble.listen_on_all_ips);
    let one = member("1\n", &format!("server.1=a:2888:3888\nstandaloneEnabled=false\n{limits}")).unwrap();
    assert_eq!(one.ensemble.unwrap().myid, 1);
    let tuned = "quorumListenOnAllIPs=true\ncnxTimeout=7\nelectionPortBindRetry=5\nleaderConnectDelayDuringRetryMs=8\n\
                 fastleader.minNotificationInterval=9\nfastleader.maxNotificationInterval=99\n\
                 leader.ackLoggingFrequency=-1\n";
    let tuned = member("3\n", &format!("{MEMBERS}{limits}{tuned}")).unwrap().ensemble.unwrap();
    assert!(tuned.listen_on_all_ips);
    assert_eq!((tuned.connect_timeout_ms, tuned.leader_connect_delay_ms), (7, 8));
    assert_eq!(tuned.bind_attempts_max, Some(5));
    assert_eq!(tuned.notification_interval_ms, (9, 99));
    assert_eq!((tuned.acknowledgements_one_in, one_in_a_thousand), (0, 1000));
    let roles = "readonlymode.enabled=true\nleaderServes=no\nlocalSessionsEnabled=true\n\
                 localSessionsUpgradingEnabled=true\nobserverMasterPort=2191\n";
    let roles = member("3\n", &format!("{MEMBERS}{limits}{roles}")).unwrap();
    assert!(roles.read_only_mode);
    assert_eq!(warnings(&roles), [TWO_VOTERS]);
    let roles = roles.ensemble.unwrap();
    assert!(!roles.leader_serves && roles.local_sessions && roles.local_sessions_upgrade);
    assert_eq!((roles.observer_master_port, ensemble.observer_master_port), (Some(2191), None));
    assert!(ensemble.leader_serves && !ensemble.local_sessions && !ensemble.local_sessions_upgrade);
    assert!((ensemble.snapshot_size_factor - 0.33).abs() < 1e-9);
    for (text, expected, warnings) in [("-1", -1.0, 1), ("0", 0.0, 1), ("1", 1.0, 1), ("1.5", 0.33, 2)] {
        let config = member("3\n", &format!("{MEMBERS}{limits}snapshotSizeFactor={text}\n")).unwrap();
        assert_eq!(config.warnings.len(), warnings, "{text}: {:?}", config.warnings);
        assert!((config.ensemble.unwrap().snapshot_size_factor - expected).abs() < 1e-9, "{text}");
    }
    let groups = "group.1=1:2\nweight.1=3\n";
    let groups = member("1\n", &format!("{MEMBERS}{limits}{groups}")).unwrap().ensemble.unwrap();
    assert!(
        groups.members.contains("group.1=1:2\n") && groups.members.contains("weight.1=3"),
        "{}",
        groups.members
    );
}

#[test]
fn a_member_needs_its_number_and_its_limits() {
    let limits = "initLimit=10\nsyncLimit=5\n";
    for (id, lines, message) in [
        ("2\n", "syncLimit=5\n", "initLimit is not set"),
        ("2\n", "initLimit=10\n", "syncLimit is not set"),
        ("7\n", limits, "My id 7 not in the peer list"),
        ("", limits, "serverid"),
        ("one\n", limits, "serverid one is not a number"),
        ("2\n", "initLimit=10\nsyncLimit=abc\n", "syncLimit=abc is not a number"),
        ("2\n", "initLimit=10\nsyncLimit=5\nsslQuorum=true\n", "sslQuorum=true asks for TLS"),
        (
            "2\n",
            "initLimit=10\nsyncLimit=5\nquorum.auth.enableSasl=true\n",
            "quorum.auth.enableSasl=true needs a JAAS file",
        ),
    ] {
        let errors = member(id, &format!("{MEMBERS}{lines}")).unwrap_err();
        assert_eq!(errors.iter().count(), 1, "{lines}: told once: {errors}");
        assert!(errors.to_string().contains(message), "{lines}: {errors}");
    }
    let absent = member("7\n", &format!("{MEMBERS}{limits}")).unwrap_err().to_string();
    assert!(absent.starts_with("zoo.cfg: My id 7 not in the peer list, which is 1, 2, 3; "), "{absent}");
    assert!(absent.contains("the line of server.7 is missing"), "{absent}");
    assert!(!absent.contains("write the number"), "never another's number: {absent}");
    let missing =
        file(&format!("dataDir=/data\nclientPort=2181\n{MEMBERS}{limits}")).unwrap_err().to_string();
    assert!(missing.contains("myid file is missing") && missing.contains("/data/myid"), "{missing}");
}

/// What keeps the file from being read mostly keeps the directory from being used, and that says more.
#[test]
fn a_standalone_server_does_without_a_myid_that_it_may_not_read() {
    let denied = |path: &Path| match path.to_str() {
        Some("/data/myid") => Err(io::ErrorKind::PermissionDenied.into()),
        _ => Err(io::ErrorKind::NotFound.into()),
    };
    let start = "dataDir=/data\nclientPort=2181\n";
    let config = Sources::new().file("zoo.cfg", start.as_bytes()).resolve(&denied).unwrap();
    assert_eq!(warnings(&config), ["/data/myid: permission denied; a standalone server does without it"]);
    let member = format!("{start}server.1=a:1:2\nserver.2=b:1:2\ninitLimit=5\nsyncLimit=5\n");
    let errors = Sources::new().file("zoo.cfg", member.as_bytes()).resolve(&denied).unwrap_err();
    let text = errors.to_string();
    assert!(
        text.contains("/data/myid: permission denied; hint: let the user of this process read it"),
        "{text}"
    );
    let text = errors.naming_user("zk").to_string();
    assert!(text.contains("hint: let user zk read it: `chown zk /data/myid`, as root"), "{text}");
}

#[test]
fn members_may_stand_in_a_dynamic_file() {
    let start = "dataDir=/data\nclientPort=2181\ndynamicConfigFile=/zoo.dyn\n";
    let missing = file(start).unwrap_err().to_string();
    assert!(missing.starts_with("zoo.cfg:3: Error processing /zoo.dyn"), "{missing}");
    let single = World::default().with("/zoo.dyn", "server.1=a:2888:3888\n");
    assert!(single.file(start).is_ok());
    let twice = single.file(&format!("{start}server.1=a:2888:3888\n")).unwrap_err().to_string();
    assert!(
        twice.starts_with("zoo.cfg:4: parameter: server.1 must be in a separate dynamic config file"),
        "{twice}"
    );
    let strange = World::default().with("/zoo.dyn", "version=100\nserver.1=a:2888:3888\ntickTime=1\n");
    let strange = strange.file(start).unwrap_err().to_string();
    assert!(strange.contains("/zoo.dyn:1: dynamic file shouldn't have version inside"), "{strange}");
    assert!(strange.contains("/zoo.dyn:3: Unrecognised parameter: tickTime"), "{strange}");
}

/// Neither the line of dataDir nor a port for clients is to blame, which the line that is gone may have named.
#[test]
fn whoever_a_reconfiguration_has_removed_is_told_so() {
    let dynamic = "/conf/zoo.cfg.dynamic.10000000f";
    let world = World::default().with("/data/myid", "7\n").with(dynamic, MEMBERS);
    let lines = format!("dataDir=/data\ninitLimit=10\nsyncLimit=5\ndynamicConfigFile={dynamic}\n");
    let errors = world.file(&lines).unwrap_err();
    let told = errors.to_string();
    assert_eq!(errors.iter().count(), 1, "{told}");
    let start = format!(
        "{dynamic}: My id 7 not in the peer list, which is 1, 2, 3; hint: a reconfiguration has removed this server, or"
    );
    assert!(told.starts_with(&start), "{told}");
    assert!(
        told.contains(&format!(
            "write its line `server.7=HOST:QUORUM:ELECTION;CLIENT` into {dynamic}, start it"
        )),
        "{told}"
    );
}

/// The version is in the file's name; what was proposed and not committed stands beside zoo.cfg.
#[test]
fn a_dynamic_file_has_a_version_and_may_have_a_successor() {
    let lines = "initLimit=10\nsyncLimit=5\nreconfigEnabled=true\ndynamicConfigFile=/conf/zoo.cfg.dynamic.10000000f\n";
    let world =
        || World::default().with("/data/myid", "2\n").with("/conf/zoo.cfg.dynamic.10000000f", MEMBERS);
    let text = format!("dataDir=/data\nclientPort=2181\n{lines}");
    let ensemble = world().file(&text).unwrap().ensemble.unwrap();
    assert_eq!(ensemble.members, format!("{MEMBERS}version=10000000f"));
    assert_eq!((ensemble.next_members, ensemble.is_dynamic), (None, true));
    let next = "server.2=b:1:2\nversion=100000010";
    let ensemble = world().with("zoo.cfg.dynamic.next", next).file(&text).unwrap().ensemble.unwrap();
    assert_eq!(ensemble.next_members.as_deref(), Some(next));
    assert_eq!(ensemble.files.unwrap().zoo_cfg(), std::path::Path::new("zoo.cfg"));
}

/// A joiner's zoo.cfg names the members itself until it holds what its leader tells.
#[test]
fn a_change_may_stand_beside_a_file_that_names_the_members() {
    let text =
        format!("dataDir=/data\nclientPort=2181\ninitLimit=10\nsyncLimit=5\nreconfigEnabled=true\n{MEMBERS}");
    let next = "server.2=b:1:2\nversion=100000010";
    let world = World::default().with("/data/myid", "2\n").with("zoo.cfg.dynamic.next", next);
    let ensemble = world.file(&text).unwrap().ensemble.unwrap();
    assert_eq!((ensemble.next_members.as_deref(), ensemble.is_dynamic), (Some(next), false));
}

/// A change that cannot be read may be logged and committed. Whoever has no use for it does not look.
#[test]
fn a_change_that_cannot_be_read_ends_the_start() {
    let resolved = |reconfig: &str, members: &str, kind: io::ErrorKind| {
        let text =
            format!("dataDir=/data\nclientPort=2181\ninitLimit=10\nsyncLimit=5\n{reconfig}\n{members}");
        let read = |path: &Path| match path.to_str() {
            Some("/data/myid") => Ok(b"2".to_vec()),
            Some("zoo.cfg.dynamic.next") => Err(kind.into()),
            _ => Err(io::ErrorKind::NotFound.into()),
        };
        Sources::new().file("zoo.cfg", text.as_bytes()).resolve(&read)
    };
    let on = "reconfigEnabled=true";
    for kind in [io::ErrorKind::PermissionDenied, io::ErrorKind::Other] {
        let told = resolved(on, MEMBERS, kind).unwrap_err().to_string();
        assert!(told.starts_with("zoo.cfg.dynamic.next: cannot be read: "), "{told}");
        resolved("reconfigEnabled=false", MEMBERS, kind).unwrap();
        resolved(on, "", kind).unwrap();
    }
    resolved(on, MEMBERS, io::ErrorKind::NotFound).unwrap();
}
