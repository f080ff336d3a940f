//! Configurations against Java's `QuorumVerifier` itself; `data/README.md` says how they were captured.
//!
//! What Java reads is read here and printed to the same text; what Java refuses, or dies of, is an error here.

use serde_json::Value;
use zabd_jute::quorum::{Configuration, ConfigurationError, Member};

/// What Java reads and this server refuses: texts that Java cannot print again without losing something.
fn is_refused_on_purpose(error: &ConfigurationError) -> bool {
    matches!(
        error,
        ConfigurationError::Repeated { .. }
            | ConfigurationError::RepeatedAddress { .. }
            | ConfigurationError::NoAddress { .. }
    )
}

/// A host with several ports: their order, and which of them belong together, is up to Java's hash of the
/// resolved address.
fn has_a_host_twice(configuration: &Configuration) -> bool {
    let is_twice = |member: &Member| member.addresses().windows(2).any(|two| two[0].host == two[1].host);
    configuration.members().iter().any(is_twice)
}

fn check(case: &Value) {
    let text = case["in"].as_str().unwrap();
    let ours = Configuration::parse(text).and_then(|read| read.check_participants(true).map(|()| read));
    match (case["out"].as_str(), ours) {
        (Some(_), Ok(ours)) if has_a_host_twice(&ours) => (),
        (Some(printed), Ok(ours)) => assert_eq!(ours.to_string(), printed, "{text}"),
        (Some(_), Err(error)) => assert!(is_refused_on_purpose(&error), "{text}: {error}"),
        (None, Err(_)) => (),
        (None, Ok(ours)) => panic!("{text}: Java says {case}, here it is {ours}"),
    }
}

#[test]
fn configurations_are_read_and_printed_as_by_java() {
    let cases = include_str!("data/java_quorum_verifier.jsonl");
    assert!(300 <= cases.lines().count());
    for case in cases.lines() {
        check(&serde_json::from_str(case).unwrap());
    }
}
