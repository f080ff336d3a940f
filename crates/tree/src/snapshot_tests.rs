//! A snapshot taken in bites while the tree changes is the tree as it was when it began.

use zabd_jute::client::{CreateRequest, CreateTtlRequest, DeleteRequest, SetAclRequest, SetDataRequest};
use zabd_jute::txn::{CreateKind, CreateTxn, Entry, Txn, TxnDigest, TxnHeader};
use zabd_jute::{Acl, Id, OpCode, Reader, Writer};

use super::*;
use crate::acl::Caller;
use crate::ops::WriteRequest;
use crate::pending::{CheckOptions, Pending};

const OPTIONS: TreeOptions = TreeOptions { hash_seed: 3, digest: true, emulate_353_ttl: false };

/// A tree that is written to by random requests through the same checks as in a server.
struct World {
    tree: Tree,
    pending: Pending,
    random: u64,
    zxid: i64,
}

impl World {
    fn new(seed: u64) -> Self {
        let options = CheckOptions { extended_types: true, ..CheckOptions::default() };
        let (tree, pending) = (Tree::new(OPTIONS), Pending::new(options));
        Self { tree, pending, random: seed | 1, zxid: 0 }
    }

    fn below(&mut self, bound: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random % bound as u64) as usize
    }

    fn path(&mut self) -> String {
        let depth = 1 + self.below(3);
        let names: Vec<String> = (0..depth).map(|_| self.below(4).to_string()).collect();
        format!("/{}", names.join("/"))
    }

    /// One random request, prepared and applied; the tree's own assertion compares the digests.
    fn step(&mut self) {
        let path = self.path();
        let data = vec![b'x'; self.below(20)];
        let acl = if self.below(4) == 0 {
            Acl::new(31, "ip", format!("10.0.0.{}", self.below(3)))
        } else {
            Acl::open()
        };
        let request = match self.below(10) {
            0..5 => {
                // Any pair of the two, as clients send them: what contradicts itself becomes an error.
                let flags = self.below(7) as i32;
                let op = match self.below(6) {
                    0 => OpCode::CreateContainer,
                    1 => OpCode::CreateTtl,
                    2 | 3 => OpCode::Create2,
                    _ => OpCode::Create,
                };
                let ttl_ms = if flags > 4 { 1000 } else { -1 };
                let create =
                    CreateRequest { path: path.into(), data: Some(&data), acl: Some(vec![acl]), flags };
                WriteRequest::Create { op, request: CreateTtlRequest { create, ttl_ms } }
            }
            5 => WriteRequest::Delete(DeleteRequest { path: path.into(), version: -1 }),
            6 => WriteRequest::SetData(SetDataRequest { path: path.into(), data: Some(&data), version: -1 }),
            7 => WriteRequest::SetAcl(SetAclRequest { path: path.into(), acl: Some(vec![acl]), version: -1 }),
            8 => WriteRequest::CreateSession { timeout_ms: 4000 },
            _ => WriteRequest::CloseSession,
        };
        let session = SessionId(1 + self.below(4) as i64);
        self.apply(session, request);
    }

    fn apply(&mut self, session: SessionId, request: WriteRequest<'_>) {
        self.zxid += 1;
        let ids = [Id::new("ip", "10.0.0.1")];
        let caller = Caller { session, ids: &ids, no_ephemerals: None };
        let mut header =
            TxnHeader { session, cxid: 0, zxid: Zxid(self.zxid), time_ms: 1000 + self.zxid, kind: -1 };
        let (kind, txn) = self.pending.prepare(&self.tree, &caller, &header, request);
        header.kind = kind;
        let digest = TxnDigest { version: TxnDigest::VERSION, tree: self.pending.digest(&self.tree) };
        let mut logged = Vec::new();
        Entry { header, txn, digest: Some(digest) }.encode(&mut Writer::new(&mut logged));
        self.tree.apply(&Entry::decode(&mut Reader::new(&logged)).unwrap(), None, &mut ());
        self.pending.applied(header.zxid);
    }
}

/// Behind 2³¹−1 the counter of children stays, and with it the zxid of its last change, whatever a record says. The digest
/// in the record is that of the tree behind it: `World::apply` compares it.
#[test]
fn a_counter_of_children_ends_at_its_largest_value() {
    let mut world = World::new(1);
    world.tree.change_stat(NodeId::ROOT, |stat| stat.cversion = i32::MAX - 1);
    let mut create = |name: &str, flags| {
        let create = CreateRequest { path: name.into(), data: None, acl: Some(vec![Acl::open()]), flags };
        let request = CreateTtlRequest { create, ttl_ms: -1 };
        world.apply(SessionId(1), WriteRequest::Create { op: OpCode::Create, request });
        let stat = world.tree.node("/").unwrap().persisted();
        (stat.cversion, stat.pzxid, world.tree.node(name).is_some() || flags == 2)
    };
    assert_eq!(create("/n-", 2), (i32::MAX, Zxid(1), true));
    assert_eq!(create("/n-", 2), (i32::MAX, Zxid(1), true));
    assert_eq!(create("/named", 0), (i32::MAX, Zxid(1), true));
    assert_eq!(create("/n-", 2), (i32::MAX, Zxid(1), true));
    let mut names: Vec<_> = world.tree.node("/").unwrap().child_names().map(str::to_owned).collect();
    names.sort();
    assert_eq!(
        names,
        ["n-2147483646", "n-2147483647", "named", "zookeeper"],
        "the last numbered one was there"
    );
}

/// Everything that a client, or another server, could tell.
fn describe(tree: &Tree) -> String {
    let mut lines = vec![format!("{:?} {:?}", tree.digest(), tree.sessions().collect::<Vec<_>>())];
    let mut below = vec!["/".to_owned()];
    while let Some(path) = below.pop() {
        let node = tree.node(&path).expect("listed children exist");
        lines.push(format!("{path} {:?} {:?} {:?}", node.persisted(), node.data(), node.acl()));
        let prefix = if path == "/" { "" } else { &path };
        below.extend(node.child_names().map(|name| format!("{prefix}/{name}")));
    }
    for (session, _) in tree.sessions() {
        lines.push(format!("{session} {:?}", tree.ephemerals(session)));
    }
    lines.sort();
    lines.join("\n")
}

#[test]
fn a_snapshot_is_of_the_moment_when_it_began() {
    for seed in 1..200 {
        let mut world = World::new(seed * 0x9e37_79b9);
        for _ in 0..world.below(200) {
            world.step();
        }
        let expected = describe(&world.tree);
        let head = world.tree.begin_snapshot();
        let mut body = Vec::new();
        let bite = 1 + world.below(9);
        while world.tree.snapshot_chunk(&mut body, bite) {
            for _ in 0..world.below(12) {
                world.step();
            }
        }
        let digest = head.digest.map(|digest| (head.zxid, digest));
        let loaded = Tree::load(&body, head.zxid, digest, OPTIONS).unwrap();
        assert_eq!(describe(&loaded), expected, "seed {seed}");
        assert_eq!(Some(loaded.digest()), head.digest);
        assert_eq!(loaded.last_zxid(), head.zxid);
    }
}

/// Somebody else's tree goes on in another server, behind all that either of them knows.
#[test]
fn a_loaded_tree_may_go_on_behind_everything_that_it_names() {
    let mut world = World::new(5);
    (0..50).for_each(|_| world.step());
    let newest = world.tree.newest_named();
    assert!(Zxid::ZERO < newest && newest <= world.tree.last_zxid());
    let head = world.tree.begin_snapshot();
    let mut body = Vec::new();
    while world.tree.snapshot_chunk(&mut body, 3) {}
    // It says what the digest is to be at some transaction of its own server.
    let mut tree = Tree::load(&body, Zxid(1), Some((Zxid(1000), 4711)), OPTIONS).unwrap();
    assert_eq!((tree.newest_named(), Some(tree.digest())), (newest, head.digest));
    tree.stand_at(Zxid(999));
    assert_eq!(tree.last_zxid(), Zxid(999));
    (world.tree, world.zxid) = (tree, 999);
    (0..50).for_each(|_| world.step());
    assert!(world.tree.doubted_digest().is_none());
}

#[test]
#[should_panic(expected = "a tree goes on behind what it shows")]
fn a_tree_does_not_go_back() {
    let mut world = World::new(5);
    (0..50).for_each(|_| world.step());
    world.tree.stand_at(Zxid(3));
}

/// Servers before 3.5 have no such znode, and one that serves alone from what they left does not make it.
#[test]
fn a_configuration_that_is_not_in_the_file_comes_with_the_first_one() {
    let mut world = World::new(5);
    let header = TxnHeader {
        session: SessionId(1),
        cxid: 0,
        zxid: Zxid(1),
        time_ms: 0,
        kind: zabd_jute::OpCode::Delete.code(),
    };
    world.tree.replay(&Entry { header, txn: Txn::Delete { path: "/zookeeper/config".into() }, digest: None });
    let head = world.tree.begin_snapshot();
    let mut body = Vec::new();
    while world.tree.snapshot_chunk(&mut body, 3) {}
    let mut tree = Tree::load(&body, head.zxid, None, OPTIONS).unwrap();
    assert!(tree.node("/zookeeper/config").is_none());
    tree.set_configuration("server.1=h:1:2", zabd_jute::ConfigVersion(0), 0);
    assert_eq!(tree.node("/zookeeper/config").unwrap().data(), Some(&b"server.1=h:1:2"[..]));
}

#[test]
fn an_abandoned_snapshot_leaves_nothing_behind() {
    let mut world = World::new(5);
    (0..50).for_each(|_| world.step());
    world.tree.begin_snapshot();
    world.tree.abandon_snapshot();
    (0..50).for_each(|_| world.step());
    let expected = describe(&world.tree);
    let head = world.tree.begin_snapshot();
    let mut body = Vec::new();
    while world.tree.snapshot_chunk(&mut body, 3) {}
    assert_eq!(describe(&Tree::load(&body, head.zxid, None, OPTIONS).unwrap()), expected);
}

/// The tree is held for each of them, and each is in memory beside the tree.
#[test]
fn a_bite_of_large_znodes_is_a_short_one() {
    let mut world = World::new(3);
    let data = vec![b'x'; BITE_BYTES_ENOUGH / 2];
    for number in 0..8 {
        let path = format!("/{number}").into();
        let create = CreateRequest { path, data: Some(&data), acl: Some(vec![Acl::open()]), flags: 0 };
        let request = CreateTtlRequest { create, ttl_ms: -1 };
        world.apply(SessionId(1), WriteRequest::Create { op: OpCode::Create, request });
    }
    let expected = describe(&world.tree);
    let head = world.tree.begin_snapshot();
    // What goes before it is written is written at the end, in bites of the same kind.
    for number in 0..8 {
        let request = DeleteRequest { path: format!("/{number}").into(), version: -1 };
        world.apply(SessionId(1), WriteRequest::Delete(request));
    }
    let (mut body, mut longest) = (Vec::new(), 0);
    loop {
        let begin = body.len();
        let has_more = world.tree.snapshot_chunk(&mut body, 100);
        longest = longest.max(body.len() - begin);
        if !has_more {
            break;
        }
    }
    assert!(longest < 2 * BITE_BYTES_ENOUGH, "{longest} bytes");
    assert_eq!(describe(&Tree::load(&body, head.zxid, None, OPTIONS).unwrap()), expected);
}

/// All lists at once, where each znode has its own, would be as much as the tree.
#[test]
fn access_lists_are_written_in_bites_too() {
    const LISTS: usize = 5000;
    let mut world = World::new(3);
    for number in 0..LISTS {
        let acl = Acl::new(31, "digest", format!("{number}:{}", "x".repeat(500)));
        let create =
            CreateRequest { path: format!("/{number}").into(), data: None, acl: Some(vec![acl]), flags: 0 };
        let request = CreateTtlRequest { create, ttl_ms: -1 };
        world.apply(SessionId(1), WriteRequest::Create { op: OpCode::Create, request });
    }
    let expected = describe(&world.tree);
    let head = world.tree.begin_snapshot();
    assert!(world.tree.snapshot.as_ref().unwrap().opening.len() < 100);
    // A list that nobody has any more is written all the same, since the snapshot is of the moment when it began.
    let request = DeleteRequest { path: format!("/{}", LISTS - 1).into(), version: -1 };
    world.apply(SessionId(1), WriteRequest::Delete(request));
    let (mut body, mut longest) = (Vec::new(), 0);
    loop {
        let begin = body.len();
        let has_more = world.tree.snapshot_chunk(&mut body, 100_000);
        longest = longest.max(body.len() - begin);
        if !has_more {
            break;
        }
    }
    assert!(
        body.len() > 2 * longest && longest < BITE_BYTES_ENOUGH + 1000,
        "{longest} bytes of {}",
        body.len()
    );
    assert_eq!(describe(&Tree::load(&body, head.zxid, None, OPTIONS).unwrap()), expected);
}

#[test]
fn a_body_cut_anywhere_is_refused() {
    let mut world = World::new(9);
    (0..60).for_each(|_| world.step());
    world.tree.begin_snapshot();
    let mut body = Vec::new();
    while world.tree.snapshot_chunk(&mut body, 100) {}
    for cut in 0..body.len() {
        assert!(Tree::load(&body[..cut], Zxid(1), None, OPTIONS).is_err(), "cut at {cut} of {}", body.len());
    }
}

/// What Java writes when its snapshot ends within a transaction: the promise is of the one before.
mod a_promise_that_is_one_transaction_old {
    use super::*;

    fn create(zxid: i64, digest: Option<u64>) -> Entry<'static> {
        let header = TxnHeader {
            session: SessionId(1),
            cxid: 0,
            zxid: Zxid(zxid),
            time_ms: zxid,
            kind: OpCode::Create.code(),
        };
        let txn = Txn::Create(CreateTxn {
            path: format!("/{zxid}").into(),
            data: None,
            acl: vec![Acl::open()],
            kind: CreateKind::Plain { ephemeral: false },
            parent_cversion: zxid as i32,
        });
        Entry { header, txn, digest: digest.map(|tree| TxnDigest { version: TxnDigest::VERSION, tree }) }
    }

    /// A snapshot named after the first transaction that holds three and promises the digest of the second.
    fn loaded() -> (Tree, Vec<u64>) {
        loaded_with(Some(Zxid(2)))
    }

    fn loaded_with(promise: Option<Zxid>) -> (Tree, Vec<u64>) {
        let mut tree = Tree::new(OPTIONS);
        let mut digests = vec![tree.digest()];
        for zxid in 1..=3 {
            tree.replay(&create(zxid, None));
            digests.push(tree.digest());
        }
        tree.begin_snapshot();
        let mut body = Vec::new();
        while tree.snapshot_chunk(&mut body, 100) {}
        let digest = promise.map(|at| (at, digests[at.0 as usize]));
        (Tree::load(&body, Zxid(1), digest, OPTIONS).unwrap(), digests)
    }

    #[test]
    fn is_settled_by_the_record_behind_it() {
        let (mut tree, digests) = loaded();
        assert_eq!(tree.replay(&create(2, Some(digests[2]))).digest_mismatch, None);
        assert!(tree.doubted_digest().is_some());
        assert_eq!(tree.replay(&create(3, Some(digests[3]))).digest_mismatch, None);
        assert_eq!(tree.doubted_digest(), None);
    }

    #[test]
    fn is_a_mismatch_if_the_record_behind_it_says_another_digest() {
        let (mut tree, digests) = loaded();
        tree.replay(&create(2, Some(digests[2])));
        let mismatch =
            tree.replay(&create(3, Some(digests[3] + 1))).digest_mismatch.expect("the digest is another");
        assert_eq!(
            (mismatch.zxid, mismatch.expected, mismatch.actual),
            (Zxid(3), digests[3] + 1, digests[3])
        );
        assert_eq!(tree.doubted_digest(), None);
    }

    #[test]
    fn stays_in_doubt_while_the_records_say_nothing() {
        let (mut tree, digests) = loaded();
        tree.replay(&create(2, None));
        tree.replay(&create(3, None));
        let doubt = tree.doubted_digest().expect("nothing settled it");
        assert_eq!((doubt.zxid, doubt.expected, doubt.actual), (Zxid(2), digests[2], digests[3]));
    }

    /// What a Java leader streams while others write.
    #[test]
    fn or_of_none_ends_with_the_first_record_that_is_level() {
        let (mut tree, digests) = loaded_with(None);
        assert_eq!(tree.replay(&create(2, Some(digests[2]))).digest_mismatch, None);
        assert_eq!(tree.doubted_digest().map(|doubt| doubt.zxid), Some(Zxid(2)));
        assert_eq!(tree.replay(&create(3, Some(digests[3]))).digest_mismatch, None);
        assert_eq!(tree.doubted_digest(), None);
        let mismatch = tree.replay(&create(4, Some(digests[3]))).digest_mismatch.expect("the doubt is over");
        assert_eq!(mismatch.zxid, Zxid(4));
    }
}
