//! What no server wrote, and a damaged or foreign file may hold, never ends a server: it is an error, or
//! has no effect. And whatever a tree was made from, its snapshot is the same tree.

use zabd_jute::txn::{CreateKind, CreateTxn, Entry, Txn, TxnHeader};
use zabd_jute::{OpCode, Record, SessionId, StatPersisted, Writer, Zxid};
use zabd_tree::{LoadError, Tree, TreeOptions};

const OPTIONS: TreeOptions = TreeOptions { hash_seed: 1, digest: true, emulate_353_ttl: false };
const CONTAINER: i64 = i64::MIN;

fn replay(tree: &mut Tree, kind: OpCode, txn: Txn<'_>) {
    let zxid = tree.last_zxid().next();
    let header = TxnHeader { session: SessionId(1), cxid: 0, zxid, time_ms: 5, kind: kind.code() };
    assert!(!tree.replay(&Entry { header, txn, digest: None }).skipped);
}

fn create(path: &str) -> Txn<'_> {
    let kind = CreateKind::Plain { ephemeral: false };
    Txn::Create(CreateTxn { path: path.into(), data: Some(b"x"), acl: Vec::new(), kind, parent_cversion: -1 })
}

/// The body of a snapshot without sessions and lists.
fn body(nodes: &[(&str, StatPersisted)]) -> Vec<u8> {
    let mut body = Vec::new();
    let mut w = Writer::new(&mut body);
    w.count(0);
    w.count(0);
    for (path, stat) in nodes {
        w.ustring(path);
        w.buffer(Some(b"x"));
        w.long(-1);
        stat.encode(&mut w);
    }
    w.ustring("/");
    body
}

fn load(body: &[u8]) -> Result<Tree, LoadError> {
    Tree::load(body, Zxid(5), None, OPTIONS)
}

fn assert_survives_a_snapshot(tree: &mut Tree) {
    tree.begin_snapshot();
    let mut body = Vec::new();
    while tree.snapshot_chunk(&mut body, 10) {}
    let loaded = load(&body).expect("a snapshot of our own loads");
    assert_eq!((loaded.digest(), loaded.node_count()), (tree.digest(), tree.node_count()));
}

#[test]
fn a_creation_at_what_is_no_path_has_no_effect() {
    let mut tree = Tree::new(OPTIONS);
    replay(&mut tree, OpCode::Create, create("/a"));
    let before = (tree.digest(), tree.node_count());
    for path in ["//b", "//", "/a/", "/a//b", "", "a", "/"] {
        replay(&mut tree, OpCode::Create, create(path));
        assert_eq!((tree.digest(), tree.node_count()), before, "{path:?}");
    }
    assert_survives_a_snapshot(&mut tree);
}

#[test]
fn a_znode_at_what_is_no_path_makes_a_snapshot_unusable() {
    let stat = StatPersisted::default();
    assert!(load(&body(&[("", stat), ("/a", stat), ("/a/b", stat)])).is_ok());
    for path in ["//b", "//", "/a/", "/a//b", "a"] {
        let loaded = load(&body(&[("", stat), ("/a", stat), (path, stat)]));
        assert!(matches!(&loaded, Err(LoadError::Orphan { path: named }) if named == path), "{path:?}");
    }
}

/// Times in a file may be anything; Java computes ages with numbers that wrap around.
#[test]
fn ages_may_overflow() {
    let stat = StatPersisted { mtime_ms: i64::MIN, ephemeral_owner: CONTAINER, ..StatPersisted::default() };
    let tree = load(&body(&[("", stat), ("/container", stat)])).expect("the body is one");
    assert_eq!(tree.reap_candidates(1_700_000_000_000, 1), Vec::<String>::new());
}
