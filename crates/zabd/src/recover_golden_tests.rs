//! Directories that real Java servers left behind load to exactly the trees that Java loads from them.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use serde::Deserialize;
use zabd_storage::disk::RealDisk;

use super::*;

#[derive(Deserialize)]
struct Expected {
    zxid_dec: i64,
    tree_digest: Option<ExpectedDigest>,
    node_count: usize,
    sessions: Vec<ExpectedSession>,
    nodes: Vec<ExpectedNode>,
}

#[derive(Deserialize)]
struct ExpectedDigest {
    value: i128,
}

#[derive(Deserialize)]
struct ExpectedSession {
    id_dec: i64,
    timeout_ms: i32,
    ephemerals: Vec<String>,
}

#[derive(Deserialize)]
struct ExpectedNode {
    path: String,
    data: Option<String>,
    stat: ExpectedStat,
    acl: Vec<ExpectedAcl>,
}

#[derive(Deserialize, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
struct ExpectedStat {
    czxid: i64,
    mzxid: i64,
    ctime: i64,
    mtime: i64,
    version: i32,
    cversion: i32,
    aversion: i32,
    ephemeral_owner: i64,
    data_length: i32,
    num_children: i32,
    pzxid: i64,
}

#[derive(Deserialize, Debug, PartialEq)]
struct ExpectedAcl {
    perms: i32,
    scheme: String,
    id: String,
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/golden").join(name)
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Recovers a copy of `dir` and compares it with its `tree.json`; `data` and `log` are below it.
fn check(dir: &str, data: &str, log: &str, prepare: impl Fn(&Path)) {
    let scratch = tempfile::tempdir().unwrap();
    copy(&golden(dir), scratch.path());
    prepare(scratch.path());
    let options = RecoveryOptions {
        data_dir: scratch.path().join(data),
        log_dir: scratch.path().join(log),
        autocreate: true,
        trust_empty: dir.starts_with("java-3.4"),
        is_alone: true,
    };
    let has_digest = !dir.contains("digest-off");
    let tree_options = TreeOptions { hash_seed: 7, digest: has_digest, emulate_353_ttl: false };
    let recovered =
        recover(&RealDisk, &options, tree_options, Limits::default(), Reading::default()).unwrap();
    let text = std::fs::read(golden(dir).join("tree.json")).unwrap();
    compare(&recovered.tree, &serde_json::from_slice(&text).unwrap());
    // What was cut off or left is a directory that recovers again to the same.
    let again = recover(&RealDisk, &options, tree_options, Limits::default(), Reading::default()).unwrap();
    compare(&again.tree, &serde_json::from_slice(&text).unwrap());
}

fn compare(tree: &Tree, expected: &Expected) {
    assert_eq!(tree.last_zxid().0, expected.zxid_dec);
    for node in &expected.nodes {
        compare_node(tree, node);
    }
    assert_eq!(tree.node_count(), expected.nodes.len());
    assert_eq!(expected.nodes.len(), expected.node_count);
    let sessions: Vec<_> = tree.sessions().map(|(id, timeout_ms)| (id.0, timeout_ms)).collect();
    let mut expected_sessions: Vec<_> = expected.sessions.iter().map(|s| (s.id_dec, s.timeout_ms)).collect();
    expected_sessions.sort_unstable();
    assert_eq!(sessions, expected_sessions);
    for session in &expected.sessions {
        let mut ephemerals = session.ephemerals.clone();
        ephemerals.sort_unstable();
        assert_eq!(tree.ephemerals(zabd_jute::SessionId(session.id_dec)), ephemerals);
    }
    if let Some(digest) = &expected.tree_digest {
        assert_eq!(i128::from(tree.digest() as i64), digest.value);
    }
}

fn compare_node(tree: &Tree, expected: &ExpectedNode) {
    let path = &expected.path;
    let node = tree.node(path).unwrap_or_else(|| panic!("{path} is missing"));
    let data =
        expected.data.as_ref().map(|text| base64::engine::general_purpose::STANDARD.decode(text).unwrap());
    assert_eq!(node.data(), data.as_deref(), "data of {path}");
    let stat = node.stat();
    let stat = ExpectedStat {
        czxid: stat.czxid.0,
        mzxid: stat.mzxid.0,
        ctime: stat.ctime_ms,
        mtime: stat.mtime_ms,
        version: stat.version,
        cversion: stat.cversion,
        aversion: stat.aversion,
        ephemeral_owner: stat.ephemeral_owner,
        data_length: stat.data_length,
        num_children: stat.num_children,
        pzxid: stat.pzxid.0,
    };
    assert_eq!(stat, expected.stat, "stat of {path}");
    let acl: Vec<_> = node
        .acl_wire()
        .iter()
        .map(|acl| ExpectedAcl { perms: acl.perms, scheme: acl.id.scheme().into(), id: acl.id.id().into() })
        .collect();
    assert_eq!(acl, expected.acl, "access list of {path}");
}

fn nothing(_: &Path) {}

#[test]
fn java_3_4() {
    check("java-3.4.14/standalone", "", "", nothing);
}

#[test]
fn java_3_5() {
    check("java-3.5.9/standalone", "", "", nothing);
}

#[test]
fn java_3_8_with_every_kind_of_transaction() {
    check("java-3.8.0/standalone", "", "", nothing);
}

#[test]
fn java_3_8_compressed() {
    check("java-3.8.0/snapshot-gz", "", "", nothing);
    check("java-3.8.0/snapshot-snappy", "", "", nothing);
}

#[test]
fn java_3_8_member_of_an_ensemble_with_a_log_directory() {
    check("java-3.8.0/quorum1", "data", "log", nothing);
}

#[test]
fn java_3_8_with_bodyless_session_ends() {
    check("java-3.8.0/opt-no-closesessiontxn", "", "", nothing);
}

#[test]
fn java_3_9() {
    check("java-3.9.5/standalone", "", "", nothing);
}

#[test]
fn java_3_9_without_digests() {
    check("java-3.9.5/opt-digest-off", "", "", nothing);
}

/// All three fuzzy snapshots, taken while others were writing, lead to the same tree.
#[test]
fn java_3_8_fuzzy_snapshots() {
    check("java-3.8.0/fuzzy", "", "", nothing);
    let remove = |dir: &Path, name: &str| std::fs::remove_file(dir.join("version-2").join(name)).unwrap();
    check("java-3.8.0/fuzzy", "", "", |dir| remove(dir, "snapshot.7c9"));
    check("java-3.8.0/fuzzy", "", "", |dir| {
        remove(dir, "snapshot.7c9");
        remove(dir, "snapshot.76e");
    });
}

/// So do all eight snapshots of the long run, and none of them can be missed.
#[test]
fn java_3_8_from_each_of_its_snapshots() {
    let newest_first = ["dc", "d5", "ba", "9c", "85", "53", "27"];
    for removed in 1..=newest_first.len() {
        check("java-3.8.0/standalone", "", "", |dir| {
            for name in &newest_first[..removed] {
                std::fs::remove_file(dir.join("version-2").join(format!("snapshot.{name}"))).unwrap();
            }
        });
    }
}

#[test]
fn logs_without_a_snapshot_are_refused_unless_trusted() {
    let scratch = tempfile::tempdir().unwrap();
    copy(&golden("java-3.4.14/standalone"), scratch.path());
    let dir = scratch.path().to_owned();
    let options = RecoveryOptions {
        data_dir: dir.clone(),
        log_dir: dir,
        autocreate: true,
        trust_empty: false,
        is_alone: true,
    };
    let tree_options = TreeOptions { hash_seed: 7, digest: true, emulate_353_ttl: false };
    let refused =
        recover(&RealDisk, &options, tree_options, Limits::default(), Reading::default()).unwrap_err();
    assert!(refused.to_string().contains("snapshot.trust.empty"), "{refused}");
}
