//! What no server wrote, and a damaged or foreign file may hold, never ends a server: it is an error, or
//! has no effect. And whatever a tree was made from, its snapshot is the same tree.

use proptest::collection::vec;
use proptest::prelude::*;
use zabd_jute::txn::{CreateKind, CreateTxn, Entry, SubTxn, Txn, TxnHeader};
use zabd_jute::{Acl, ErrorCode, OpCode, Record, SessionId, StatPersisted, Writer, Zxid};
use zabd_tree::{Caller, CheckOptions, LoadError, Owner, Pending, Tree, TreeOptions, WriteRequest};

const OPTIONS: TreeOptions = TreeOptions { hash_seed: 1, digest: true, emulate_353_ttl: false };
const CONTAINER: i64 = i64::MIN;

/// A session of server 255, whose name could be a time to live as well.
const OR_TTL: SessionId = SessionId(0xff00_0000_0000_4711_u64.cast_signed());

fn replay(tree: &mut Tree, kind: OpCode, txn: Txn<'_>) {
    replay_of(tree, SessionId(1), kind, txn);
}

fn replay_of(tree: &mut Tree, session: SessionId, kind: OpCode, txn: Txn<'_>) {
    let zxid = tree.last_zxid().next();
    let header = TxnHeader { session, cxid: 0, zxid, time_ms: 5, kind: kind.code() };
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
    let ttl = StatPersisted { ephemeral_owner: Owner::Ttl { ttl_ms: 1 }.stored(), ..stat };
    let tree = load(&body(&[("", stat), ("/ttl", ttl)])).expect("the body is one");
    let header =
        TxnHeader { session: SessionId::NONE, cxid: 0, zxid: Zxid(1), time_ms: 1_700_000_000_000, kind: 0 };
    let caller = Caller { session: SessionId::NONE, ids: &[], no_ephemerals: None };
    let reap = WriteRequest::DeleteContainer { path: "/ttl".into() };
    let (_, txn) = Pending::new(CheckOptions::default()).prepare(&tree, &caller, &header, reap);
    assert_eq!(txn, Txn::Error { code: ErrorCode::BadVersion.code() });
}

/// Paths that are none among those that are, and the special ones.
fn path() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "(/[ab]){1,3}",
        1 => "[/a]{0,4}",
        1 => Just("/".to_owned()),
        2 => "/zookeeper/quota(/[ab]){0,2}(/zookeeper_(limits|stats))?",
    ]
}

fn operation() -> impl Strategy<Value = (OpCode, Txn<'static>)> {
    let kind = prop_oneof![
        any::<bool>().prop_map(|ephemeral| CreateKind::Plain { ephemeral }),
        Just(CreateKind::Container),
        any::<i64>().prop_map(|ttl_ms| CreateKind::Ttl { ttl_ms }),
        Just(CreateKind::Ttl { ttl_ms: 0x4711 }),
    ];
    let data = || {
        prop_oneof![Just(None), Just(Some(&b"count=9223372036854775807,bytes=-1"[..])), Just(Some(&b"x"[..]))]
    };
    let acl = || vec("[ab]".prop_map(|id| Acl::new(31, "digest", id)), 0..2);
    prop_oneof![
        4 => (path(), data(), acl(), kind, any::<i32>()).prop_map(|(path, data, acl, kind, parent_cversion)| {
            (OpCode::Create, Txn::Create(CreateTxn { path: path.into(), data, acl, kind, parent_cversion }))
        }),
        2 => path().prop_map(|path| (OpCode::Delete, Txn::Delete { path: path.into() })),
        2 => (path(), data(), any::<i32>())
            .prop_map(|(path, data, version)| (OpCode::SetData, Txn::SetData { path: path.into(), data, version })),
        1 => any::<i32>().prop_map(|code| (OpCode::Error, Txn::Error { code })),
    ]
}

fn record() -> impl Strategy<Value = (OpCode, Txn<'static>)> {
    prop_oneof![
        8 => operation(),
        1 => vec(operation(), 0..4).prop_map(|parts| {
            let parts = parts.into_iter().map(|(kind, txn)| SubTxn { kind: kind.code(), txn });
            (OpCode::Multi, Txn::Multi(parts.collect()))
        }),
        1 => (path(), vec("[ab]".prop_map(|id| Acl::new(1, "ip", id)), 0..2), any::<i32>()).prop_map(
            |(path, acl, version)| (OpCode::SetAcl, Txn::SetAcl { path: path.into(), acl, version })
        ),
        1 => any::<i32>().prop_map(|timeout_ms| (OpCode::CreateSession, Txn::CreateSession { timeout_ms })),
        1 => proptest::option::of(vec(path().prop_map(Into::into), 0..3))
            .prop_map(|paths| (OpCode::CloseSession, Txn::CloseSession { paths })),
    ]
}

proptest! {
    /// Whatever records a log holds, in whatever order: they yield a tree.
    #[test]
    fn any_records_make_a_tree_that_survives_a_snapshot(records in vec((any::<bool>(), record()), 0..40)) {
        let mut tree = Tree::new(OPTIONS);
        for (may_be_ttl, (kind, txn)) in records {
            replay_of(&mut tree, if may_be_ttl { OR_TTL } else { SessionId(1) }, kind, txn);
        }
        assert_survives_a_snapshot(&mut tree);
        tree.remove_dead_sessions();
        assert_survives_a_snapshot(&mut tree);
    }

    #[test]
    fn arbitrary_bytes_load_or_explain(bytes in vec(any::<u8>(), 0..200)) {
        if let Err(error) = load(&[&[0; 8][..], &bytes].concat()) {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}
