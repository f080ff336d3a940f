//! How far the disk is behind changes nothing that a client sees.
//!
//! Two servers get the same inputs. One has every record on the disk at once, so that each request is checked against the
//! tree alone; the other's disk falls behind and catches up as it likes, so that requests are checked against what is planned.
//! Their logs are the same bytes, and so is all that each connection is sent. In the end their trees are the same, and
//! the tree that the log makes, alone and behind a snapshot that was taken in bites meanwhile, is that tree too.
//! A failure names the seed of its run.
//!
//! Hard quotas stand aside: they are measured against the tree, without what is planned, as in Java.

use std::collections::BTreeMap;

use bytes::Bytes;
use zabd_jute::client::{
    CreateRequest, CreateTtlRequest, DeleteRequest, GetEphemeralsRequest, MultiOp, MultiRequest,
    PathWatchRequest, SetAclRequest, SetDataRequest,
};
use zabd_jute::txn::Entry;
use zabd_jute::{Acl, Id, Limits, OpCode, Reader, Record, SessionId, Zxid};
use zabd_tree::{AuthSchemes, CheckOptions, Tree, TreeOptions};

use crate::read::ReadOptions;
use crate::watches::{Identities, Watches};
use crate::{
    ConnId, HashSeed, Input, MemberOptions, Now, Output, Outputs, Replica, ReplicaOptions, Request,
    SessionRequest, SessionTimeouts,
};

const TREE: TreeOptions = TreeOptions { hash_seed: 1, digest: true, emulate_353_ttl: false };
const CLIENTS: usize = 3;
/// About a second.
const SEEDS: u64 = 2000;

struct Server {
    replica: Replica,
    tree: Tree,
    watches: Watches,
    log: Vec<(Zxid, Bytes)>,
    /// All that went out, by connection.
    sent: BTreeMap<u64, Vec<u8>>,
    sessions: BTreeMap<u64, SessionId>,
}

impl Server {
    fn new(check: CheckOptions) -> Self {
        let tree = Tree::new(TREE);
        let options = ReplicaOptions {
            timeouts: SessionTimeouts { tick_ms: 2000, min_ms: 4000, max_ms: 40_000 },
            first_session: SessionId(0x0100_0000_0001_0000),
            check,
            read: ReadOptions { skip_acl: false, limits: Limits::default() },
            audit: false,
            reconfig: crate::ReconfigOptions::default(),
            member: MemberOptions::default(),
        };
        Self {
            replica: Replica::new(Now { monotonic_ms: 0, wall_ms: 0 }, &tree, options),
            tree,
            watches: Watches::new(HashSeed::with_seed(1), false),
            log: Vec::new(),
            sent: BTreeMap::new(),
            sessions: BTreeMap::new(),
        }
    }

    fn feed(&mut self, now_ms: i64, input: Input) {
        let now = Now { monotonic_ms: now_ms, wall_ms: 1_000_000 + now_ms };
        let mut out = Outputs::default();
        self.replica.step(now, &self.tree, input, &mut out);
        self.carry_out(&mut out);
        while out.apply {
            out.apply = self.replica.apply(&mut self.tree, &mut self.watches, 1, &mut out);
            self.carry_out(&mut out);
        }
    }

    fn carry_out(&mut self, out: &mut Outputs) {
        let mut last = 0..0;
        for output in out.list.drain(..) {
            match output {
                Output::Append { zxid, entry } => self.log.push((zxid, entry)),
                Output::Send { conn, end, .. } => {
                    last = last.end..end;
                    self.sent.entry(conn.0).or_default().extend_from_slice(&out.bytes[last.clone()]);
                }
                Output::Again { conn } => {
                    self.sent.entry(conn.0).or_default().extend_from_slice(&out.bytes[last.clone()]);
                }
                Output::Established { conn, session, .. } => {
                    self.watches.connect(conn, session, identities());
                    self.sessions.insert(conn.0, session);
                }
                Output::Close { .. } | Output::Fact(_) => (),
                Output::CloseAll { .. } | Output::Ensemble(_) => unreachable!("this server is alone"),
            }
        }
        out.bytes.clear();
    }

    /// So many of the records that wait become durable.
    fn sync(&mut self, now_ms: i64, records: usize) {
        let positions = self.replica.positions();
        let upto = Zxid(positions.appended.0.min(positions.synced.0.saturating_add(records as i64)));
        self.feed(now_ms, Input::Synced { upto });
    }
}

fn identities() -> Identities {
    [Id::new("ip", "127.0.0.1"), Id::new("digest", "me:secret")].into()
}

/// Requests that nobody planned.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }

    fn path(&mut self) -> &'static str {
        const PATHS: [&str; 24] = [
            "/a",
            "/a",
            "/a/b",
            "/a/b",
            "/a/b/c",
            "/a/d",
            "/e",
            "/e",
            "/e/f",
            "/a/q-0000000000",
            "/a/q-0000000002",
            "/",
            "/zookeeper",
            "/zookeeper/quota/a",
            "/zookeeper/quota/a",
            "/zookeeper/quota/a/zookeeper_limits",
            "/zookeeper/quota/a/zookeeper_limits",
            "/zookeeper/quota/a/zookeeper_stats",
            "/zookeeper/quota/a/zookeeper_stats",
            "/zookeeper/quota/zookeeper_stats",
            "",
            "/a/",
            "//a",
            "a",
        ];
        // Most of what goes wrong goes wrong where requests meet.
        if self.below(3) == 0 { PATHS[self.below(PATHS.len())] } else { ["/a", "/e"][self.below(2)] }
    }

    fn data(&mut self) -> Option<&'static [u8]> {
        let data: [Option<&[u8]>; 8] = [
            None,
            Some(b""),
            Some(b"x"),
            Some(b"longer data"),
            Some(b"count=3,bytes=20"),
            Some(b"count=2,bytes=9=;byteHardLimit=30;countHardLimit=4"),
            Some(b"count=9223372036854775807,bytes=-1"),
            Some(b"count=x"),
        ];
        data[self.below(8)]
    }

    fn acl(&mut self) -> Option<Vec<Acl<'static>>> {
        match self.below(12) {
            0 => Some(vec![Acl::new(31, "auth", "")]),
            1 => Some(vec![Acl::new(1, "world", "anyone"), Acl::new(31, "ip", "127.0.0.1")]),
            2 => Some(vec![Acl::new(9, "digest", "me:secret")]),
            3 => [None, Some(vec![]), Some(vec![Acl::new(31, "none", "x")])][self.below(3)].clone(),
            _ => Some(vec![Acl::open()]),
        }
    }

    fn version(&mut self) -> i32 {
        [-1, -1, -1, 0, 1, 2][self.below(6)]
    }

    fn create(&mut self) -> CreateTtlRequest<'static> {
        let flags = [0, 0, 0, 1, 1, 1, 2, 3, 4, 5, 6, 7, -1][self.below(13)];
        let path = if flags == 2 || flags == 3 || flags == 6 { "/a/q-" } else { self.path() };
        let ttl_ms = if flags == 5 || flags == 6 { 1 + self.below(3000) as i64 } else { -1 };
        let create = CreateRequest { path: path.into(), data: self.data(), acl: self.acl(), flags };
        CreateTtlRequest { create, ttl_ms }
    }

    fn delete(&mut self) -> DeleteRequest<'static> {
        DeleteRequest { path: self.path().into(), version: self.version() }
    }

    fn set(&mut self) -> SetDataRequest<'static> {
        SetDataRequest { path: self.path().into(), data: self.data(), version: self.version() }
    }

    fn part(&mut self) -> MultiOp<'static> {
        match self.below(8) {
            0..4 => {
                let request = self.create();
                let op = match request.create.flags {
                    5 | 6 => OpCode::CreateTtl,
                    4 => OpCode::CreateContainer,
                    _ => [OpCode::Create, OpCode::Create2][self.below(2)],
                };
                MultiOp::Create { op, request }
            }
            4 | 5 => MultiOp::Delete(self.delete()),
            6 => MultiOp::SetData(self.set()),
            _ => MultiOp::Check(self.delete()),
        }
    }

    fn request(&mut self) -> (OpCode, Vec<u8>) {
        match self.below(24) {
            0..7 => {
                let request = self.create();
                match request.create.flags {
                    5 | 6 => (OpCode::CreateTtl, request.to_bytes()),
                    4 => (OpCode::CreateContainer, request.create.to_bytes()),
                    _ => ([OpCode::Create, OpCode::Create2][self.below(2)], request.create.to_bytes()),
                }
            }
            7..10 => (OpCode::Delete, self.delete().to_bytes()),
            10 | 11 => (OpCode::SetData, self.set().to_bytes()),
            12 | 13 => {
                let (path, acl) = (self.path().into(), self.acl());
                (OpCode::SetAcl, SetAclRequest { path, acl, version: self.version() }.to_bytes())
            }
            14..19 => {
                let ops = (0..self.below(5)).map(|_| self.part()).collect();
                (OpCode::Multi, MultiRequest { ops }.to_bytes())
            }
            19 => (OpCode::GetEphemerals, GetEphemeralsRequest { prefix: Some("/a".into()) }.to_bytes()),
            20 => (OpCode::CloseSession, Vec::new()),
            21 => (OpCode::Create, vec![0, 0, 0]),
            _ => {
                let op = [OpCode::Exists, OpCode::GetData, OpCode::GetChildren2][self.below(3)];
                (op, PathWatchRequest { path: self.path().into(), watch: self.below(2) == 0 }.to_bytes())
            }
        }
    }
}

/// Everything that a client, or another server, could tell.
fn describe(tree: &Tree) -> Vec<String> {
    let mut lines = vec![format!("digest {}", tree.digest()), format!("size {}", tree.data_size())];
    let mut below = vec!["/".to_owned()];
    while let Some(path) = below.pop() {
        let node = tree.node(&path).expect("listed children exist");
        let count = node.child_names().count();
        assert_eq!(count, node.num_children());
        lines.push(format!("{path} {:?} {:?} {:?} {count}", node.persisted(), node.data(), node.acl()));
        let prefix = if path == "/" { "" } else { &path };
        below.extend(node.child_names().map(|name| format!("{prefix}/{name}")));
    }
    for (session, timeout_ms) in tree.sessions() {
        lines.push(format!("{session} {timeout_ms} {:?}", tree.ephemerals(session)));
    }
    lines.extend(tree.reap_candidates(i64::MAX, 1));
    lines.sort();
    lines
}

/// Whoever loads a snapshot counts what limited parts hold, as Java does; what clients wrote there before the limit was set
/// is otherwise not known.
fn without_usage(mut lines: Vec<String>) -> Vec<String> {
    lines.retain(|line| !line.starts_with("size ") && !line.contains("/zookeeper_stats "));
    lines
}

fn replay(tree: &mut Tree, log: &[(Zxid, Bytes)]) {
    for (_, bytes) in log {
        let entry = Entry::decode(&mut Reader::new(bytes)).expect("our own record decodes");
        assert_eq!(tree.replay(&entry).digest_mismatch, None);
    }
}

/// Both servers, and what they get.
struct Pair {
    prompt: Server,
    late: Server,
    dice: Dice,
    now_ms: i64,
    conns: [u64; CLIENTS],
    /// Of the late server: what it is of, and its bytes so far.
    snapshot: Option<(zabd_tree::SnapshotHead, Vec<u8>, bool)>,
}

impl Pair {
    fn new(seed: u64) -> Self {
        let entry_bytes_max = if seed.is_multiple_of(3) { 600 } else { 1 << 20 };
        let check = CheckOptions {
            extended_types: true,
            schemes: AuthSchemes::default(),
            lists_closed: !seed.is_multiple_of(5),
            entry_bytes_max,
            ..CheckOptions::default()
        };
        let dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let (prompt, late) = (Server::new(check), Server::new(check));
        let mut pair = Self { prompt, late, dice, now_ms: 0, conns: [0; CLIENTS], snapshot: None };
        for client in 0..CLIENTS {
            pair.connect(client, client as u64 + 1);
        }
        pair.feed_late(usize::MAX >> 1);
        pair
    }

    fn feed_late(&mut self, records: usize) {
        self.late.sync(self.now_ms, records);
    }

    fn feed(&mut self, input: impl Fn() -> Input) {
        self.prompt.feed(self.now_ms, input());
        self.prompt.sync(self.now_ms, usize::MAX >> 1);
        self.late.feed(self.now_ms, input());
    }

    fn connect(&mut self, client: usize, conn: u64) {
        self.conns[client] = conn;
        let request = SessionRequest {
            last_zxid_seen: Zxid(0),
            timeout_ms: 4000,
            session: SessionId::NONE,
            password: vec![0; 16],
            has_read_only_byte: true,
            takes_read_only: false,
        };
        self.feed(|| Input::Connect { conn: ConnId(conn), request: request.clone() });
    }

    fn ask(&mut self, xid: i32) {
        let client = self.dice.below(CLIENTS);
        let conn = self.conns[client];
        // A client that was not told of its session yet waits.
        let Some(&session) = self.late.sessions.get(&conn) else { return };
        let (op, body) = self.dice.request();
        let body = Bytes::from(body);
        let (conn, op) = (ConnId(conn), op.code());
        self.feed(|| {
            Input::Request(Request { conn, session, xid, op, body: body.clone(), identities: identities() })
        });
    }

    fn step(&mut self, number: i32) {
        match self.dice.below(20) {
            0..14 => self.ask(number),
            14 => {
                let path = self.dice.path();
                self.feed(|| Input::Reap { path: path.to_owned() });
            }
            15 => {
                self.now_ms += self.dice.below(2500) as i64;
                self.feed(|| Input::Tick);
                let client = self.dice.below(CLIENTS);
                let known = self.late.sessions.get(&self.conns[client]).copied();
                if known.is_some_and(|session| self.prompt.tree.session_timeout_ms(session).is_none()) {
                    self.connect(client, 100 + number as u64);
                }
            }
            16 => self.bite(),
            _ => {
                let records = self.dice.below(6);
                self.feed_late(records);
            }
        }
    }

    fn bite(&mut self) {
        let bite = 1 + self.dice.below(3);
        let late = &mut self.late;
        let (_, body, has_more) =
            self.snapshot.get_or_insert_with(|| (late.tree.begin_snapshot(), Vec::new(), true));
        if *has_more {
            *has_more = late.tree.snapshot_chunk(body, bite);
        }
    }

    fn finish(mut self) {
        self.feed_late(usize::MAX >> 1);
        assert_eq!(self.prompt.log, self.late.log);
        assert_eq!(self.prompt.sent, self.late.sent);
        let tree = describe(&self.late.tree);
        assert_eq!(describe(&self.prompt.tree), tree);
        let mut replayed = Tree::new(TREE);
        replay(&mut replayed, &self.late.log);
        assert_eq!(describe(&replayed), tree);
        if let Some((head, mut body, has_more)) = self.snapshot {
            while has_more && self.late.tree.snapshot_chunk(&mut body, 1) {}
            let digest = head.digest.map(|digest| (head.zxid, digest));
            let mut loaded = Tree::load(&body, head.zxid, digest, TREE).expect("our own snapshot loads");
            replay(&mut loaded, &self.late.log);
            assert_eq!(without_usage(describe(&loaded)), without_usage(tree));
        }
        for owner in self.late.tree.sessions_with_ephemerals() {
            assert!(self.late.tree.session_timeout_ms(owner).is_some(), "{owner} is gone");
        }
    }
}

#[test]
fn a_disk_that_falls_behind_changes_nothing_that_clients_see() {
    for seed in 1..=SEEDS {
        let outcome = std::panic::catch_unwind(|| {
            let mut pair = Pair::new(seed);
            for number in 1..=120 {
                pair.step(number);
            }
            pair.finish();
        });
        assert!(outcome.is_ok(), "seed {seed}");
    }
}
