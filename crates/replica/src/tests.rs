//! One replica alone: what it answers, when, and in which order. Each test reads as a transcript of
//! what goes out after what comes in.

use bytes::Bytes;
use proptest::prelude::*;
use zabd_jute::client::{
    ConnectResponse, CreateRequest, DeleteRequest, MultiHeader, MultiOp, MultiRequest, PathWatchRequest,
    ReplyHeader, SetDataRequest, WatcherEvent,
};
use zabd_jute::{Acl, Id, Limits, OpCode, Reader, Record, SessionId, Zxid};
use zabd_tree::{AuthSchemes, CheckOptions, Tree, TreeOptions};

use crate::read::{ReadOptions, touches_watches};
use crate::watches::{Identities, Watches};
use crate::{
    ConnId, Fact, HashSeed, Input, MemberOptions, Now, Output, Outputs, Replica, ReplicaOptions, Request,
    SessionRequest, SessionTimeouts,
};

mod long_replies;
mod records;
mod restore;
mod room;
mod waiting;

const TIMEOUTS: SessionTimeouts = SessionTimeouts { tick_ms: 2000, min_ms: 4000, max_ms: 40_000 };

/// A replica with its tree and watches, a clock that is set by hand, and a log that syncs on request.
struct Alone {
    replica: Replica,
    tree: Tree,
    watches: Watches,
    now_ms: i64,
    appended: Vec<Zxid>,
    facts: Vec<Fact>,
}

pub(crate) fn identities() -> Identities {
    [Id::new("ip", "127.0.0.1")].into()
}

impl Alone {
    fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    fn with_limits(limits: Limits) -> Self {
        let tree = Tree::new(TreeOptions { hash_seed: 1, digest: true, emulate_353_ttl: false });
        let options = ReplicaOptions {
            timeouts: TIMEOUTS,
            first_session: SessionId(0x0100_0000_0001_0000),
            check: CheckOptions {
                skip_acl: false,
                enforce_quota: false,
                extended_types: true,
                digest: true,
                schemes: AuthSchemes::default(),
                entry_bytes_max: limits.field_bytes_max,
                ..CheckOptions::default()
            },
            read: ReadOptions { skip_acl: false, limits },
            audit: false,
            reconfig: crate::ReconfigOptions::default(),
            member: MemberOptions::default(),
        };
        let now = Now { monotonic_ms: 0, wall_ms: 1_000_000 };
        Self {
            replica: Replica::new(now, &tree, options),
            tree,
            watches: Watches::new(HashSeed::with_seed(1), false),
            now_ms: 0,
            appended: Vec::new(),
            facts: Vec::new(),
        }
    }

    /// One step and what follows from it, as lines.
    fn feed(&mut self, input: Input) -> Vec<String> {
        let now = Now { monotonic_ms: self.now_ms, wall_ms: 1_000_000 + self.now_ms };
        let mut out = Outputs::default();
        self.replica.step(now, &self.tree, input, &mut out);
        let mut lines = self.lines(&mut out);
        while out.apply {
            out.apply = self.replica.apply(&mut self.tree, &mut self.watches, 2, &mut out);
            lines.extend(self.lines(&mut out));
        }
        lines
    }

    fn lines(&mut self, out: &mut Outputs) -> Vec<String> {
        let mut lines = Vec::new();
        let mut last = 0..0;
        for output in out.list.drain(..) {
            match output {
                Output::Append { zxid, .. } => self.appended.push(zxid),
                Output::Send { conn, end, .. } => {
                    last = last.end..end;
                    lines.push(format!("{} <- {}", conn.0, say(&out.bytes[last.clone()])));
                }
                Output::Again { conn } => {
                    lines.push(format!("{} <- {}", conn.0, say(&out.bytes[last.clone()])));
                }
                Output::Established { conn, session, .. } => {
                    self.watches.connect(conn, session, identities());
                }
                Output::Close { conn } => lines.push(format!("{} closed", conn.0)),
                Output::Fact(fact) => self.facts.push(fact),
                Output::CloseAll { .. } => lines.push("all closed".to_owned()),
                Output::Ensemble(_) => unreachable!("this server is alone"),
            }
        }
        out.bytes.clear();
        lines
    }

    fn sync(&mut self) -> Vec<String> {
        let upto = *self.appended.last().expect("something was appended");
        self.feed(Input::Synced { upto })
    }

    /// A client asks for a session.
    fn ask_for_session(&mut self, conn: u64) -> Vec<String> {
        let request = SessionRequest {
            last_zxid_seen: Zxid(0),
            timeout_ms: 10_000,
            session: SessionId::NONE,
            password: vec![0; 16],
            has_read_only_byte: true,
            takes_read_only: false,
        };
        self.feed(Input::Connect { conn: ConnId(conn), request })
    }

    fn begin_to_connect(&mut self, conn: u64) {
        assert_eq!(self.ask_for_session(conn), Vec::<String>::new());
    }

    fn connect(&mut self, conn: u64) -> SessionId {
        self.begin_to_connect(conn);
        let lines = self.sync();
        assert_eq!(lines, [format!("{conn} <- connected")]);
        self.watches.session(ConnId(conn)).expect("the session is established")
    }

    fn resume(&mut self, conn: u64, session: SessionId, password: [u8; 16], seen: i64) -> Vec<String> {
        let request = SessionRequest {
            last_zxid_seen: Zxid(seen),
            timeout_ms: 10_000,
            session,
            password: password.to_vec(),
            has_read_only_byte: false,
            takes_read_only: false,
        };
        self.feed(Input::Connect { conn: ConnId(conn), request })
    }

    fn ask(&mut self, conn: u64, session: SessionId, xid: i32, op: OpCode, body: Vec<u8>) -> Vec<String> {
        self.ask_code(conn, session, xid, op.code(), body)
    }

    fn ask_code(&mut self, conn: u64, session: SessionId, xid: i32, op: i32, body: Vec<u8>) -> Vec<String> {
        self.feed(Input::Request(Request {
            conn: ConnId(conn),
            session,
            xid,
            op,
            body: Bytes::from(body),
            identities: identities(),
        }))
    }
}

/// What clients do with ephemerals, and how far the disk gets meanwhile.
#[derive(Clone, Debug)]
enum Step {
    Ask {
        client: usize,
        op: Part,
    },
    Multi {
        client: usize,
        parts: Vec<Part>,
    },
    /// The session ends, and the client begins another one.
    Close {
        client: usize,
    },
    /// So many of the records that wait become durable.
    Sync {
        records: i64,
    },
}

#[derive(Clone, Copy, Debug)]
enum Part {
    Create { at: usize, flags: i32 },
    Delete { at: usize },
    Set { at: usize },
    Check { at: usize },
}

impl Part {
    fn path(at: usize) -> &'static str {
        ["/a", "/b", "/a/c"][at]
    }

    fn op(self) -> MultiOp<'static> {
        match self {
            Part::Create { at, flags } => {
                let create = CreateRequest {
                    path: Part::path(at).into(),
                    data: None,
                    acl: Some(vec![Acl::open()]),
                    flags,
                };
                let request = zabd_jute::client::CreateTtlRequest { create, ttl_ms: -1 };
                MultiOp::Create { op: OpCode::Create, request }
            }
            Part::Delete { at } => {
                MultiOp::Delete(DeleteRequest { path: Part::path(at).into(), version: -1 })
            }
            Part::Set { at } => {
                let request = SetDataRequest { path: Part::path(at).into(), data: Some(b"x"), version: -1 };
                MultiOp::SetData(request)
            }
            Part::Check { at } => MultiOp::Check(DeleteRequest { path: Part::path(at).into(), version: -1 }),
        }
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let part = prop_oneof![
        3 => (0..3_usize, 0..2).prop_map(|(at, flags)| Part::Create { at, flags }),
        2 => (0..3_usize).prop_map(|at| Part::Delete { at }),
        1 => (0..3_usize).prop_map(|at| Part::Set { at }),
        1 => (0..3_usize).prop_map(|at| Part::Check { at }),
    ];
    let step = prop_oneof![
        4 => (0..2_usize, part.clone()).prop_map(|(client, op)| Step::Ask { client, op }),
        4 => (0..2_usize, proptest::collection::vec(part, 1..4))
            .prop_map(|(client, parts)| Step::Multi { client, parts }),
        1 => (0..2_usize).prop_map(|client| Step::Close { client }),
        2 => (1..5_i64).prop_map(|records| Step::Sync { records }),
    ];
    proptest::collection::vec(step, 1..40)
}

proptest! {
    /// Whatever is on its way to the disk when something else is checked: the tree becomes what was proposed (its digest
    /// says so), and no ephemeral outlives its session.
    #[test]
    fn what_is_checked_in_flight_is_what_becomes_of_it(steps in steps()) {
        let mut alone = Alone::new();
        let mut sessions = [alone.connect(1), alone.connect(2)];
        let mut newest = sessions[1];
        for (xid, step) in (1..).zip(steps) {
            match step {
                Step::Ask { client, op } => {
                    let (op, body) = match op.op() {
                        MultiOp::Create { request, .. } => (OpCode::Create, request.create.to_bytes()),
                        MultiOp::Delete(request) | MultiOp::Check(request) => {
                            (OpCode::Delete, request.to_bytes())
                        }
                        MultiOp::SetData(request) => (OpCode::SetData, request.to_bytes()),
                    };
                    alone.ask(client as u64 + 1, sessions[client], xid, op, body);
                }
                Step::Multi { client, parts } => {
                    let body = multi(parts.into_iter().map(Part::op).collect());
                    alone.ask(client as u64 + 1, sessions[client], xid, OpCode::Multi, body);
                }
                Step::Close { client } => {
                    alone.ask(client as u64 + 1, sessions[client], xid, OpCode::CloseSession, vec![]);
                    alone.begin_to_connect(client as u64 + 1);
                    newest = SessionId(newest.0 + 1);
                    sessions[client] = newest;
                }
                Step::Sync { records } => {
                    let synced = alone.replica.positions().synced;
                    let upto = Zxid((synced.0 + records).min(alone.appended.last().expect("there are sessions").0));
                    alone.feed(Input::Synced { upto });
                }
            }
        }
        alone.sync();
        for owner in alone.tree.sessions_with_ephemerals() {
            prop_assert!(alone.tree.sessions().any(|(session, _)| session == owner), "{}", owner);
        }
    }
}

/// One frame or several, in words.
pub(crate) fn say(mut bytes: &[u8]) -> String {
    let mut said = Vec::new();
    while let Some(head) = bytes.first_chunk::<4>() {
        let (frame, rest) = bytes[4..].split_at(i32::from_be_bytes(*head) as usize);
        bytes = rest;
        said.push(say_frame(frame));
    }
    said.join(", ")
}

fn say_frame(frame: &[u8]) -> String {
    if frame.len() == 36 || frame.len() == 37 {
        let response = ConnectResponse::from_bytes(frame).unwrap();
        let how = if response.read_only == Some(true) { " read-only" } else { "" };
        return if response.timeout_ms > 0 { format!("connected{how}") } else { "refused".into() };
    }
    let mut r = Reader::new(frame);
    let header = ReplyHeader::decode(&mut r).unwrap();
    if header.xid == -1 {
        let event = WatcherEvent::decode(&mut r).unwrap();
        return format!("event {} {} at {}", event.kind, event.path, header.zxid.0);
    }
    let body = r.remaining().len();
    format!("{} zxid={} err={} +{body}", header.xid, header.zxid.0, header.err)
}

pub(crate) fn create(path: &str, flags: i32) -> Vec<u8> {
    CreateRequest { path: path.into(), data: Some(b"1"), acl: Some(vec![Acl::open()]), flags }.to_bytes()
}

fn set(path: &str, data: &[u8]) -> Vec<u8> {
    SetDataRequest { path: path.into(), data: Some(data), version: -1 }.to_bytes()
}

fn read(path: &str, watch: bool) -> Vec<u8> {
    PathWatchRequest { path: path.into(), watch }.to_bytes()
}

#[test]
fn a_write_is_answered_when_it_survives_a_crash_and_not_before() {
    let mut alone = Alone::new();
    let session = alone.connect(1);
    assert!(alone.ask(1, session, 1, OpCode::Create, create("/a", 0)).is_empty());
    assert!(alone.tree.node("/a").is_none(), "what is not durable is not shown");
    assert_eq!(alone.sync(), ["1 <- 1 zxid=2 err=0 +6"]);
    assert_eq!(alone.tree.node("/a").unwrap().data(), Some(&b"1"[..]));
}

/// Operators raise `jute.maxbuffer`: what a client may send then is logged, applied and watched.
#[test]
fn what_is_larger_than_javas_default_is_served_if_that_is_allowed() {
    let mut alone = Alone::with_limits(Limits { field_bytes_max: 8 << 20 });
    let session = alone.connect(1);
    let data = vec![7; 3 << 20];
    alone.ask(1, session, 1, OpCode::Create, create("/a", 0));
    alone.ask(1, session, 2, OpCode::SetData, set("/a", &data));
    let request = SetDataRequest { path: "/a".into(), data: Some(&data), version: -1 };
    let multi = MultiRequest { ops: vec![MultiOp::SetData(request)] };
    alone.ask(1, session, 3, OpCode::Multi, multi.to_bytes());
    let lines = alone.sync();
    assert_eq!(lines[1..], ["1 <- 2 zxid=3 err=0 +68", "1 <- 3 zxid=4 err=0 +86"]);
    let long_path = format!("/{}", "a".repeat(3 << 20));
    assert!(touches_watches(OpCode::Exists.code(), &read(&long_path, true)));
    alone.ask(1, session, 4, OpCode::Exists, read(&long_path, true));
    assert_eq!(alone.watches.total(), 1);
}

/// A path of a megabyte that ten thousand watch would otherwise take ten gigabytes at once.
#[test]
fn an_event_is_encoded_once_however_many_hear_of_it() {
    let mut alone = Alone::new();
    let path = format!("/{}", "a".repeat(10_000));
    let session = alone.connect(1);
    alone.ask(1, session, 1, OpCode::Create, create(&path, 0));
    alone.sync();
    for conn in 2..100 {
        let session = alone.connect(conn);
        assert_eq!(alone.ask(conn, session, 1, OpCode::Exists, read(&path, true)).len(), 1);
    }
    let mut out = Outputs::default();
    alone.ask(1, session, 2, OpCode::SetData, set(&path, b""));
    let upto = *alone.appended.last().expect("it was appended");
    let now = Now { monotonic_ms: 0, wall_ms: 1_000_000 };
    alone.replica.step(now, &alone.tree, Input::Synced { upto }, &mut out);
    alone.replica.apply(&mut alone.tree, &mut alone.watches, 9, &mut out);
    assert!(out.bytes.len() < 2 * path.len(), "{} bytes", out.bytes.len());
    let heard = alone.lines(&mut out);
    assert_eq!(heard.len(), 99);
    let event = heard[0].split_once(' ').expect("somebody hears it").1;
    for (line, conn) in heard.iter().zip(2..100) {
        assert_eq!(*line, format!("{conn} {event}"));
    }
    assert_eq!(heard[98], "1 <- 2 zxid=101 err=0 +68");
}

#[test]
fn a_failed_write_keeps_its_position() {
    let mut alone = Alone::new();
    let session = alone.connect(1);
    alone.ask(1, session, 1, OpCode::Create, create("/a", 0));
    alone.ask(1, session, 2, OpCode::Create, create("/a", 0));
    alone.ask(1, session, 3, OpCode::Create, create("/b", 0));
    let lines = alone.sync();
    assert_eq!(lines, ["1 <- 1 zxid=2 err=0 +6", "1 <- 2 zxid=3 err=-110 +0", "1 <- 3 zxid=4 err=0 +6"]);
    assert_eq!(alone.appended, [1, 2, 3, 4].map(Zxid));
}

#[test]
fn a_read_sees_exactly_what_was_sent_before_it() {
    let mut alone = Alone::new();
    let session = alone.connect(1);
    alone.ask(1, session, 1, OpCode::Create, create("/a", 0));
    assert!(alone.ask(1, session, 2, OpCode::GetData, read("/a", false)).is_empty());
    alone.ask(1, session, 3, OpCode::SetData, set("/a", b"longer"));
    assert!(alone.ask(1, session, 4, OpCode::GetData, read("/a", false)).is_empty());
    let lines = alone.sync();
    // 4 bytes of length and 68 of stat beside the data.
    assert_eq!(
        lines,
        [
            "1 <- 1 zxid=2 err=0 +6",
            "1 <- 2 zxid=2 err=0 +73",
            "1 <- 3 zxid=3 err=0 +68",
            "1 <- 4 zxid=3 err=0 +78"
        ]
    );
}

#[test]
fn a_read_with_nothing_before_it_is_answered_at_once() {
    let mut alone = Alone::new();
    let session = alone.connect(1);
    assert_eq!(alone.ask(1, session, 9, OpCode::Exists, read("/none", false)), ["1 <- 9 zxid=1 err=-101 +0"]);
    assert_eq!(alone.ask(1, session, 77, OpCode::Ping, vec![]), ["1 <- -2 zxid=1 err=0 +0"]);
}

#[test]
fn an_event_comes_before_the_reply_that_shows_its_change() {
    let mut alone = Alone::new();
    let session = alone.connect(1);
    let other = alone.connect(2);
    alone.ask(1, session, 1, OpCode::Exists, read("/a", true));
    alone.ask(2, other, 1, OpCode::GetChildren, read("/", true));
    alone.ask(1, session, 2, OpCode::Create, create("/a", 0));
    let lines = alone.sync();
    assert_eq!(lines, ["1 <- event 1 /a at 3", "2 <- event 4 / at 3", "1 <- 2 zxid=3 err=0 +6"]);
}

#[test]
fn closing_a_session_takes_its_ephemerals_and_its_connection() {
    let mut alone = Alone::new();
    let session = alone.connect(1);
    let other = alone.connect(2);
    alone.ask(1, session, 1, OpCode::Create, create("/e", 1));
    alone.sync();
    alone.ask(2, other, 1, OpCode::Exists, read("/e", true));
    alone.ask(1, session, 2, OpCode::Create, create("/f", 1));
    alone.ask(1, session, 3, OpCode::CloseSession, vec![]);
    // What comes behind the end of its session is dropped.
    alone.ask(1, session, 4, OpCode::Create, create("/g", 1));
    let lines = alone.sync();
    assert_eq!(
        lines,
        ["1 <- 2 zxid=4 err=0 +6", "2 <- event 2 /e at 5", "1 <- 3 zxid=5 err=0 +0", "1 closed"]
    );
    for path in ["/e", "/f", "/g"] {
        assert!(alone.tree.node(path).is_none(), "{path}");
    }
}

/// An ephemeral comes and goes while other writes are always on their way. Whoever has its path when the
/// session is closed, nobody or somebody else, is not touched.
#[test]
fn an_ephemeral_that_was_deleted_in_flight_is_not_deleted_again_with_its_session() {
    for is_taken_by_another in [false, true] {
        let mut alone = Alone::new();
        let (session, other) = (alone.connect(1), alone.connect(2));
        alone.ask(1, session, 1, OpCode::Create, create("/a", 1));
        let delete = DeleteRequest { path: "/a".into(), version: -1 }.to_bytes();
        alone.ask(1, session, 2, OpCode::Delete, delete);
        if is_taken_by_another {
            alone.ask(2, other, 3, OpCode::Create, create("/a", 0));
        }
        let upto = *alone.appended.last().unwrap();
        alone.ask(2, other, 4, OpCode::Create, create("/b", 0));
        alone.feed(Input::Synced { upto });
        alone.ask(1, session, 5, OpCode::CloseSession, Vec::new());
        alone.sync();
        assert_eq!(alone.tree.node("/a").is_some(), is_taken_by_another);
    }
}

/// A client deletes its ephemeral in a multi that is refused, while the ephemeral is still on its way to the disk. It is
/// there, and goes with its session: nobody else would ever remove it.
#[test]
fn an_ephemeral_that_a_refused_multi_deletes_goes_with_its_session() {
    let mut alone = Alone::new();
    let session = alone.connect(1);
    alone.ask(1, session, 1, OpCode::Create, create("/e", 1));
    let refused = vec![
        MultiOp::Delete(DeleteRequest { path: "/e".into(), version: -1 }),
        MultiOp::Check(DeleteRequest { path: "/none".into(), version: -1 }),
    ];
    alone.ask(1, session, 2, OpCode::Multi, multi(refused));
    alone.ask(1, session, 3, OpCode::CloseSession, vec![]);
    alone.sync();
    assert!(alone.tree.node("/e").is_none());
}

#[test]
fn a_silent_session_expires_like_a_closed_one() {
    let mut alone = Alone::new();
    let session = alone.connect(1);
    alone.ask(1, session, 1, OpCode::Create, create("/e", 1));
    alone.sync();
    alone.now_ms = 11_999;
    assert!(alone.feed(Input::Tick).is_empty());
    alone.now_ms = 12_000;
    alone.feed(Input::Tick);
    alone.feed(Input::Tick);
    assert_eq!(alone.facts, [Fact::SessionExpired { session, timeout_ms: 10_000 }]);
    assert_eq!(alone.sync(), ["1 closed"]);
    assert!(alone.tree.node("/e").is_none());
    assert_eq!(
        alone.resume(2, session, zabd_jute::client::password(session), 0),
        ["2 <- refused", "2 closed"]
    );
}

#[test]
fn an_operator_ends_a_session_like_a_silent_one() {
    let mut alone = Alone::new();
    let session = alone.connect(1);
    alone.ask(1, session, 1, OpCode::Create, create("/e", 1));
    alone.sync();
    alone.feed(Input::EndSession { session: zabd_jute::SessionId(7) });
    alone.feed(Input::EndSession { session });
    // On its way already.
    alone.feed(Input::EndSession { session });
    assert_eq!(alone.sync(), ["1 closed"]);
    assert!(alone.facts.is_empty() && alone.tree.node("/e").is_none());
    let last = alone.tree.last_zxid();
    alone.feed(Input::EndSession { session });
    alone.sync();
    assert_eq!(alone.tree.last_zxid(), last, "it ended once");
}

#[test]
fn a_sign_of_life_keeps_a_session() {
    let mut alone = Alone::new();
    let session = alone.connect(1);
    for now_ms in [9_000, 18_000, 27_000] {
        alone.now_ms = now_ms;
        alone.feed(Input::Touch { session });
        alone.feed(Input::Tick);
    }
    assert!(alone.facts.is_empty());
}

#[test]
fn a_wrong_password_disturbs_nobody_and_the_right_one_moves_the_session() {
    let mut alone = Alone::new();
    let session = alone.connect(1);
    assert_eq!(alone.resume(2, session, [7; 16], 0), ["2 <- refused", "2 closed"]);
    let password = zabd_jute::client::password(session);
    assert_eq!(alone.resume(3, session, password, 0), ["1 closed", "3 <- connected"]);
    assert_eq!(alone.appended.len(), 1, "resuming is no transaction");
}

#[test]
fn a_client_that_has_seen_more_is_turned_away() {
    let mut alone = Alone::new();
    let session = alone.connect(1);
    let password = zabd_jute::client::password(session);
    assert_eq!(alone.resume(2, session, password, 2), ["2 closed"]);
    let lines = alone.resume(2, session, password, 1);
    assert_eq!(lines, ["1 closed", "2 <- connected"]);
}

#[test]
fn unknown_operations_end_the_connection_in_their_turn() {
    let mut alone = Alone::new();
    let session = alone.connect(1);
    for op in [0, -1, 10, 13, 20, -10, 4711] {
        let line = "1 <- 5 zxid=-1 err=-6 +0";
        assert_eq!(alone.ask_code(1, session, 5, op, create("/x", 0)), [line, "1 closed"]);
    }
    assert_eq!(alone.appended.len(), 1);
}

#[test]
fn bytes_that_are_no_request_take_no_position() {
    let mut alone = Alone::new();
    let session = alone.connect(1);
    assert_eq!(alone.ask(1, session, 1, OpCode::Create, vec![1]), ["1 <- 1 zxid=1 err=-5 +0"]);
    assert_eq!(alone.ask(1, session, 2, OpCode::GetData, vec![]), ["1 <- 2 zxid=1 err=-5 +0"]);
    assert_eq!(alone.appended.len(), 1);
}

fn multi(ops: Vec<MultiOp<'_>>) -> Vec<u8> {
    MultiRequest { ops }.to_bytes()
}

fn multi_create(op: OpCode, path: &str) -> MultiOp<'_> {
    let create = CreateRequest { path: path.into(), data: None, acl: Some(vec![Acl::open()]), flags: 0 };
    MultiOp::Create { op, request: zabd_jute::client::CreateTtlRequest { create, ttl_ms: -1 } }
}

/// The results in a multi's reply: type and error of each.
fn multi_results(replica: &mut Alone, session: SessionId, ops: Vec<MultiOp<'_>>) -> Vec<(i32, i32)> {
    let mut out = Outputs::default();
    let now = Now { monotonic_ms: 0, wall_ms: 0 };
    let request = Request {
        conn: ConnId(1),
        session,
        xid: 1,
        op: OpCode::Multi.code(),
        body: multi(ops).into(),
        identities: identities(),
    };
    replica.replica.step(now, &replica.tree, Input::Request(request), &mut out);
    let upto = replica.replica.positions().appended;
    replica.replica.step(now, &replica.tree, Input::Synced { upto }, &mut out);
    replica.replica.apply(&mut replica.tree, &mut replica.watches, 9, &mut out);
    let mut r = Reader::new(&out.bytes[4..]);
    assert_eq!(ReplyHeader::decode(&mut r).unwrap().err, 0, "a failed multi is reported in its body");
    let mut results = Vec::new();
    loop {
        let header = MultiHeader::decode(&mut r).unwrap();
        if header == MultiHeader::END {
            assert!(r.remaining().is_empty());
            return results;
        }
        match header.op {
            -1 => assert_eq!(r.int(), Ok(header.err)),
            1 => drop(r.ustring().unwrap()),
            5 => drop(zabd_jute::Stat::decode(&mut r).unwrap()),
            15 => {
                r.ustring().unwrap();
                zabd_jute::Stat::decode(&mut r).unwrap();
            }
            _ => (),
        }
        results.push((header.op, header.err));
    }
}

#[test]
fn a_multi_answers_each_operation_in_kind() {
    let mut alone = Alone::new();
    let session = alone.connect(1);
    let ops = vec![
        multi_create(OpCode::Create, "/m"),
        multi_create(OpCode::Create2, "/m/n"),
        MultiOp::SetData(SetDataRequest { path: "/m".into(), data: None, version: 0 }),
        MultiOp::Check(DeleteRequest { path: "/m".into(), version: 1 }),
        MultiOp::Delete(DeleteRequest { path: "/m/n".into(), version: -1 }),
    ];
    assert_eq!(multi_results(&mut alone, session, ops), [(1, 0), (15, 0), (5, 0), (13, 0), (2, 0)]);
    assert_eq!(multi_results(&mut alone, session, vec![]), []);
}

#[test]
fn a_multi_whose_record_could_not_be_read_back_is_refused() {
    let mut alone = Alone::with_limits(Limits { field_bytes_max: 1000 });
    let session = alone.connect(1);
    let paths: Vec<_> = (0..30).map(|number| format!("/{number}")).collect();
    let ops = paths.iter().map(|path| multi_create(OpCode::Create, path)).collect();
    let results = multi_results(&mut alone, session, ops);
    assert_eq!((results[0], results[1], results.len()), ((-1, -8), (-1, -2), 30));
    assert!(alone.tree.node("/0").is_none());
}

/// Java reads no record back that is longer than its limit.
#[test]
fn a_session_with_more_ephemerals_than_a_record_holds_ends_in_several() {
    let mut alone = Alone::with_limits(Limits { field_bytes_max: 1000 });
    let session = alone.connect(1);
    for number in 0..50 {
        alone.ask(1, session, number, OpCode::Create, create(&format!("/{number:040}"), 1));
    }
    alone.sync();
    let before = alone.appended.len();
    alone.ask(1, session, 99, OpCode::CloseSession, vec![]);
    assert_eq!(alone.appended.len() - before, 50 - 20 + 1, "20 paths fit into the last record");
    let zxid = alone.appended.last().unwrap().0;
    assert_eq!(alone.sync(), [format!("1 <- 99 zxid={zxid} err=0 +0"), "1 closed".to_owned()]);
    assert_eq!(alone.tree.ephemerals_count(), 0);
}

#[test]
fn a_failed_multi_says_where_and_leaves_nothing() {
    let mut alone = Alone::new();
    let session = alone.connect(1);
    let ops = vec![
        multi_create(OpCode::Create, "/m"),
        MultiOp::Delete(DeleteRequest { path: "/none".into(), version: -1 }),
        multi_create(OpCode::Create, "/n"),
    ];
    assert_eq!(multi_results(&mut alone, session, ops), [(-1, 0), (-1, -101), (-1, -2)]);
    assert!(alone.tree.node("/m").is_none());
    assert_eq!(alone.tree.last_zxid(), Zxid(2));
}
