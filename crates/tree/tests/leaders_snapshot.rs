//! The state that a leader sends behind SNAP is the body of a snapshot and a signature: every one that Java
//! servers were seen to send loads as it is, and what the tree then streams is such a state again.

use std::path::Path;

use serde_json::Value;
use zabd_jute::quorum::{SNAPSHOT_SIGNATURE, SnapshotStream};
use zabd_jute::{Limits, SessionId, Zxid};
use zabd_tree::{Tree, TreeOptions};

const OPTIONS: TreeOptions = TreeOptions { hash_seed: 3, digest: true, emulate_353_ttl: false };

/// A captured state: the zxid of its SNAP, the fields that another reader made of it, and its bytes.
struct State {
    zxid: Zxid,
    fields: Value,
    bytes: Vec<u8>,
}

fn unhex(text: &str) -> Vec<u8> {
    let byte = |two: &[u8]| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap();
    text.as_bytes().chunks(2).map(byte).collect()
}

fn hex(value: &Value) -> i64 {
    let digits = value.as_str().unwrap().strip_prefix("0x").unwrap();
    u64::from_str_radix(digits, 16).unwrap() as i64
}

fn captured() -> Vec<State> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/golden");
    let mut states = Vec::new();
    for folder in ["zab-java-3.8.0", "zab-java-other-versions"] {
        for entry in std::fs::read_dir(golden.join(folder)).unwrap() {
            let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            let mut zxid = Zxid::ZERO;
            for line in text.lines().filter(|line| line.contains("\"kind\":\"SNAP")) {
                let fields: Value = serde_json::from_str(line).unwrap();
                if fields["kind"] == "SNAP" {
                    zxid = Zxid(hex(&fields["zxid"]));
                } else if fields.get("signature").is_none_or(|signature| signature == "BenWasHere") {
                    let bytes = unhex(fields["hex"].as_str().unwrap());
                    states.push(State { zxid, fields, bytes });
                }
            }
        }
    }
    states
}

/// The part of a stream that is the body of a snapshot.
fn body(stream: &[u8]) -> &[u8] {
    let taken = SnapshotStream::new(Limits::default()).take(stream).unwrap();
    assert!(taken.is_complete);
    assert_eq!(taken.stream, stream.len());
    &stream[..taken.body]
}

fn check_content(tree: &Tree, fields: &Value) {
    let sessions: Vec<_> = tree.sessions().collect();
    let timeout =
        |session: &Value| (SessionId(hex(&session["id"])), session["timeout"].as_i64().unwrap() as i32);
    let mut expected: Vec<_> = fields["sessions"].as_array().unwrap().iter().map(timeout).collect();
    expected.sort_unstable();
    assert_eq!(sessions, expected);
    for node in fields["nodes"].as_array().unwrap() {
        let path = node["path"].as_str().unwrap();
        let found = tree.node(if path.is_empty() { "/" } else { path }).expect(path);
        let data = &node["data"];
        if let Some(length) = data["len"].as_u64() {
            assert_eq!(found.data().map(<[u8]>::len), Some(length as usize), "{path}");
        } else {
            let text = data.as_str().map(|text| text.as_bytes().to_vec());
            assert_eq!(found.data(), data["hex"].as_str().map(unhex).or(text).as_deref(), "{path}");
        }
        let (stat, persisted) = (&node["stat"], found.persisted());
        assert_eq!(persisted.czxid.0, hex(&stat["czxid"]), "{path}");
        assert_eq!(persisted.pzxid.0, hex(&stat["pzxid"]), "{path}");
        assert_eq!(persisted.mtime_ms, stat["mtime"].as_i64().unwrap(), "{path}");
        assert_eq!(i64::from(persisted.cversion), stat["cversion"].as_i64().unwrap(), "{path}");
        assert_eq!(persisted.ephemeral_owner, hex(&stat["ephemeralOwner"]), "{path}");
    }
}

#[test]
fn states_of_java_leaders_load_and_are_streamed_again() {
    let states = captured();
    assert_eq!(states.len(), 11);
    for State { zxid, fields, bytes } in states {
        let mut tree = Tree::load(body(&bytes), zxid, None, OPTIONS).unwrap();
        check_content(&tree, &fields);
        tree.begin_snapshot();
        let mut stream = Vec::new();
        while tree.snapshot_chunk(&mut stream, 3) {}
        stream.extend_from_slice(SNAPSHOT_SIGNATURE);
        let again = Tree::load(body(&stream), zxid, None, OPTIONS).unwrap();
        check_content(&again, &fields);
        assert_eq!((again.node_count(), again.digest()), (tree.node_count(), tree.digest()));
    }
}
