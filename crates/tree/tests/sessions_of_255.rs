//! The names of server 255's sessions begin like times to live. Their ephemerals are ephemerals all the same.

use std::borrow::Cow;

use zabd_jute::txn::{CreateKind, CreateTxn, Entry, Txn, TxnHeader};
use zabd_jute::{OpCode, SessionId, Zxid};
use zabd_tree::{Owner, Tree, TreeOptions};

const OPTIONS: TreeOptions = TreeOptions { hash_seed: 1, digest: true, emulate_353_ttl: false };
/// Of a server that goes by the wall clock, and of one whose machine has just started.
const SESSIONS: [u64; 2] = [0xffa2_1f33_c9b6_0001, 0xff00_0000_c9b6_0000];

struct Written {
    tree: Tree,
    session: SessionId,
}

impl Written {
    fn new(session: u64) -> Self {
        Self { tree: Tree::new(OPTIONS), session: SessionId(session.cast_signed()) }
    }

    fn write(&mut self, kind: OpCode, txn: Txn<'_>) {
        let zxid = Zxid(self.tree.last_zxid().0 + 1);
        let header = TxnHeader { session: self.session, cxid: 0, zxid, time_ms: 1, kind: kind.code() };
        self.tree.replay(&Entry { header, txn, digest: None });
    }

    fn create(&mut self, path: &str, kind: CreateKind) {
        let create = CreateTxn {
            path: Cow::Owned(path.to_owned()),
            data: None,
            acl: vec![],
            kind,
            parent_cversion: -1,
        };
        self.write(OpCode::Create, Txn::Create(create));
    }

    fn begin(&mut self) {
        self.write(OpCode::CreateSession, Txn::CreateSession { timeout_ms: 4000 });
    }

    fn owner(&self, path: &str) -> Owner {
        self.tree.node(path).unwrap().owner()
    }
}

#[test]
fn ephemerals_of_server_255_go_with_their_session() {
    for session in SESSIONS {
        let mut written = Written::new(session);
        written.begin();
        for path in ["/one", "/two"] {
            written.create(path, CreateKind::Plain { ephemeral: true });
            assert_eq!(written.owner(path), Owner::Session(written.session));
        }
        written.create("/stays", CreateKind::Ttl { ttl_ms: 4711 });
        assert_eq!(written.owner("/stays"), Owner::Ttl { ttl_ms: 4711 });
        assert_eq!(written.tree.ephemerals_count(), 2);
        written.write(OpCode::CloseSession, Txn::CloseSession { paths: None });
        assert_eq!(written.tree.ephemerals_count(), 0);
        assert!(written.tree.node("/one").is_none() && written.tree.node("/two").is_none());
        assert!(written.tree.node("/stays").is_some());
    }
}

/// A snapshot that is written while others go on has its sessions from its beginning and its znodes from its end.
#[test]
fn a_session_that_a_snapshot_does_not_know_yet_has_its_ephemerals_when_it_comes() {
    for session in SESSIONS {
        let mut written = Written::new(session);
        written.create("/of-it", CreateKind::Plain { ephemeral: true });
        written.create("/stays", CreateKind::Ttl { ttl_ms: 4711 });
        written.begin();
        assert_eq!(written.owner("/of-it"), Owner::Session(written.session));
        assert_eq!(written.tree.ephemerals(written.session), ["/of-it"]);
        written.write(OpCode::CloseSession, Txn::CloseSession { paths: None });
        assert!(written.tree.node("/of-it").is_none() && written.tree.node("/stays").is_some());
    }
}

/// Nor need it know of a session that ended while it was written.
#[test]
fn a_session_that_a_snapshot_does_not_know_any_more_takes_its_ephemerals_when_it_ends() {
    for session in SESSIONS {
        let mut written = Written::new(session);
        written.create("/of-it", CreateKind::Plain { ephemeral: true });
        written.write(OpCode::CloseSession, Txn::CloseSession { paths: None });
        assert!(written.tree.node("/of-it").is_none());
        assert_eq!(written.tree.sessions().count(), 0);
    }
}
