//! Whole configurations against `QuorumPeerConfig` itself; `data/README.md` says how it was captured.
//!
//! What Java refuses is refused here, in Java's words where they are more than the name of an exception;
//! what Java takes for a standalone server gives the same values. The exceptions are listed with reasons.

use serde_json::Value;
use std::io;
use zabd_config::Sources;

/// Lines where zabd differs on purpose.
const EXCEPTIONS: [(&str, &str); 6] = [
    ("clientPort=0", "release 3.9 takes any free port where 3.8 opened none"),
    ("dataDir=\n", "Java stumbles over the empty path; zabd says that it is not set"),
    ("snapCount=abc", "Java silently uses the default; zabd reports a number that is none"),
    ("server.1= a:2888:3888 ", "Java does not trim this value"),
    ("group.1=1", "who is in a group does not matter as long as there are no peers"),
    ("zookeeper.snapCount=5", "works with the prefix, with a warning"),
];

/// Java's words that name no rule: a number that does not parse, a port beyond 65535.
fn is_bare_exception(message: &str) -> bool {
    ["For input string", "port out of range", "Address unresolved: null"]
        .iter()
        .any(|start| message.starts_with(start))
}

fn check(case: &Value) {
    let text = case["cfg"].as_str().unwrap();
    let bytes: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    let ours = Sources::new().file("zoo.cfg", &bytes).resolve(&|_| Err(io::ErrorKind::NotFound.into()));
    if let Some(message) = case["error"].as_str() {
        let errors = ours.expect_err(text).to_string();
        let message = message.split(" <- ").next().unwrap();
        let is_ours_clearer = text.contains("tickTime=-5")
            || text.contains("standaloneEnabled=false\n")
            || text.contains("server.2=b")
            || text.contains("[::1:2888");
        assert!(
            is_bare_exception(message) || is_ours_clearer || errors.contains(message),
            "{text}: {errors}"
        );
        return;
    }
    if case["port"].is_null() {
        assert!(ours.unwrap_err().to_string().contains("clientPort is not set"), "{text}");
        return;
    }
    let config = ours.unwrap_or_else(|errors| panic!("{text}: {errors}"));
    let number = |name: &str| case[name].as_i64().unwrap();
    assert_eq!(config.data_dir.to_str(), case["dataDir"].as_str(), "{text}");
    assert_eq!(config.data_log_dir.to_str(), case["dataLogDir"].as_str(), "{text}");
    assert_eq!(config.client_port.map(i64::from), Some(number("port")), "{text}");
    assert_eq!(i64::from(config.tick_time_ms), number("tickTime"), "{text}");
    assert_eq!(i64::from(config.session_timeout_ms_min), number("min"), "{text}");
    assert_eq!(i64::from(config.session_timeout_ms_max), number("max"), "{text}");
    assert_eq!(i64::from(config.max_client_cnxns_per_ip), number("cnxns"), "{text}");
    assert_eq!(i64::from(config.client_port_listen_backlog), number("backlog"), "{text}");
    assert_eq!(i64::from(config.autopurge_snap_retain_count), number("retain"), "{text}");
    assert_eq!(config.autopurge_interval_hours.map_or(0, i64::from), number("purge").max(0), "{text}");
    let host = match config.client_port_address.to_string().as_str() {
        "localhost" => "127.0.0.1".to_owned(),
        "[::1]" => "0:0:0:0:0:0:0:1".to_owned(),
        host => host.to_owned(),
    };
    assert_eq!(Some(&*host), case["host"].as_str(), "{text}");
    for (key, value) in &config.system_properties {
        assert_eq!(case["properties"][key].as_str(), Some(&**value), "{text}");
    }
}

#[test]
fn java_starts_and_refuses_the_same() {
    let mut checked = 0;
    for line in include_str!("data/java_quorum_peer_config.jsonl").lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let text = case["cfg"].as_str().unwrap();
        if !EXCEPTIONS.iter().any(|(line, _)| text.contains(line)) {
            check(&case);
            checked += 1;
        }
    }
    assert!(130 < checked, "only {checked} configurations were compared");
}
