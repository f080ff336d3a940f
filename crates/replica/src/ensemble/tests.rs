//! One member of an ensemble: what its clients hear while it finds no leader, and while it leads alone.

mod retiring;
mod shown;

use std::collections::VecDeque;

use bytes::Bytes;
use zabd_jute::client::{CreateMode, MultiOp, MultiRequest};
use zabd_jute::quorum::{Configuration, FromLearner, PeerState, Request as Forwarded};
use zabd_jute::txn::{CreateKind, CreateTxn, Entry, Txn, TxnHeader};
use zabd_jute::{
    Acl, ConfigVersion, Epoch, ErrorCode, Limits, OpCode, Reader, Record, ServerId, SessionId, Writer, Zxid,
};
use zabd_tree::{AuthSchemes, CheckOptions, Tree, TreeOptions};
use zabd_zab::effect::{Effect, LinkId, Reason, Testing, Timing};
use zabd_zab::history::History;

use super::{is_same_ensemble, newest_change};
use zabd_zab::{election, leader, peer};

use super::{LocalSessions, MemberOptions};
use crate::read::ReadOptions;
use crate::tests::{create, identities, say};
use crate::watches::Watches;
use crate::{
    ConnId, Fact, HashSeed, Input, Now, Output, Outputs, Replica, ReplicaOptions, Request, Room,
    SessionRequest, SessionTimeouts,
};

const ALONE: &str = "server.1=127.0.0.1:1:2:participant";
const OF_THREE: &str = "server.1=127.0.0.1:1:2:participant\nserver.2=127.0.0.1:3:4:participant\n\
                        server.3=127.0.0.1:5:6:participant";

/// A member whose disk is always done at once, and whose peers are never reached.
struct Member {
    replica: Replica,
    tree: Tree,
    watches: Watches,
    now_ms: i64,
    logged: Vec<Bytes>,
    facts: Vec<Fact>,
    /// What the disk has not reported, while it is slow with all but appends.
    unreported: Option<Vec<Input>>,
}

impl Member {
    fn new(members: &str, tree: Tree, member: MemberOptions) -> Self {
        Self::with_next(members, None, tree, member)
    }

    fn with_next(members: &str, next: Option<&str>, tree: Tree, member: MemberOptions) -> Self {
        Self::with_testing(members, next, tree, member, Testing::default())
    }

    fn with_testing(
        members: &str,
        next: Option<&str>,
        tree: Tree,
        member: MemberOptions,
        testing: Testing,
    ) -> Self {
        let limits = Limits::default();
        let options = ReplicaOptions {
            timeouts: SessionTimeouts { tick_ms: 500, min_ms: 1000, max_ms: 40_000 },
            first_session: SessionId(0x0100_0000_0001_0000),
            check: CheckOptions {
                schemes: AuthSchemes::default(),
                entry_bytes_max: limits.field_bytes_max,
                ..CheckOptions::default()
            },
            read: ReadOptions { skip_acl: false, limits },
            audit: false,
            reconfig: crate::ReconfigOptions::default(),
            member,
        };
        let start = peer::Start {
            me: ServerId(1),
            timing: Timing { tick_ms: 500, init_limit: 10, sync_limit: 5, connect_delay_ms: 100 },
            election_timing: election::Timing::default(),
            limits,
            reconfig: false,
            multi_address: false,
            accepted: Epoch::ZERO,
            current: Epoch::ZERO,
            configuration: Configuration::parse(members).unwrap(),
            next: next.map(|members| Configuration::parse(members).unwrap()),
            lists: zabd_zab::quorum::Lists::default(),
            observer_masters: false,
            testing,
            history: History::new(tree.last_zxid()),
            standing: election::Standing::Voter,
            is_partial: false,
        };
        let now = Now { monotonic_ms: 0, wall_ms: 1_000_000 };
        let mut member = Self {
            replica: Replica::new(now, &tree, options).in_ensemble(&tree, start),
            tree,
            watches: Watches::new(HashSeed::with_seed(1), false),
            now_ms: 0,
            logged: Vec::new(),
            facts: Vec::new(),
            unreported: None,
        };
        member.feed(Input::Applied);
        member
    }

    /// One that leads nobody but itself.
    fn leading(tree: Tree, local_sessions: LocalSessions) -> Self {
        Self::leading_from(Testing::default(), tree, local_sessions)
    }

    fn leading_from(testing: Testing, tree: Tree, local_sessions: LocalSessions) -> Self {
        let options = MemberOptions { local_sessions, ..MemberOptions::default() };
        let mut member = Self::with_testing(ALONE, None, tree, options, testing);
        while !member.replica.is_serving() {
            member.wait(100);
            assert!(member.now_ms < 10_000, "the only voter leads");
        }
        member.logged.clear();
        member
    }

    /// One that follows, with two clients on connections of the same numbers.
    fn learning() -> (Self, [SessionId; 2]) {
        let mut member = Self::new(OF_THREE, tree(), MemberOptions::default());
        let ensemble = member.replica.ensemble.as_mut().unwrap();
        (ensemble.serving, ensemble.settling) = (super::Serving::Learning, false);
        let sessions = [SessionId(0x0200_0000_0000_0001), SessionId(0x0200_0000_0000_0002)];
        for (session, conn) in sessions.into_iter().zip(1..) {
            member.replica.learning().begin(session, ConnId(conn), 4000);
        }
        (member, sessions)
    }

    /// A learner forwards a create.
    fn forwarded(&mut self, session: SessionId, path: &str, flags: i32) {
        let body = create(path, flags);
        let authinfo = Some(Vec::new());
        let forwarded = Forwarded { session, cxid: 1, op: OpCode::Create.code(), body: &body, authinfo };
        let mut packet = Vec::new();
        FromLearner::Request(forwarded).encode(&mut Writer::new(&mut packet));
        let (now, mut out) = (self.now(), Outputs::default());
        self.replica.on_forwarded(now, &self.tree, LinkId(9), &packet.into(), &mut out);
        let (mut inbox, mut lines) = (VecDeque::new(), Vec::new());
        self.carry_out(&mut out, &mut inbox, &mut lines);
        for input in inbox {
            self.feed(input);
        }
    }

    /// One input and what follows from it, as lines.
    fn feed(&mut self, input: Input) -> Vec<String> {
        let mut lines = Vec::new();
        let mut inbox = VecDeque::from([input]);
        while let Some(input) = inbox.pop_front() {
            let now = self.now();
            let mut out = Outputs::default();
            self.replica.step(now, &self.tree, input, &mut out);
            self.carry_out(&mut out, &mut inbox, &mut lines);
            if out.apply {
                while out.apply {
                    out.apply = self.replica.apply(&mut self.tree, &mut self.watches, 2, &mut out);
                    self.carry_out(&mut out, &mut inbox, &mut lines);
                }
                inbox.push_back(Input::Applied);
            }
        }
        lines
    }

    fn now(&self) -> Now {
        Now { monotonic_ms: self.now_ms, wall_ms: 1_000_000 + self.now_ms }
    }

    fn carry_out(&mut self, out: &mut Outputs, inbox: &mut VecDeque<Input>, lines: &mut Vec<String>) {
        let mut last = 0..0;
        for output in out.list.drain(..) {
            match output {
                Output::Append { zxid, entry } => {
                    self.logged.push(entry);
                    inbox.push_back(Input::Synced { upto: zxid });
                }
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
                Output::CloseAll { but } if but.is_empty() => lines.push("all closed".to_owned()),
                Output::CloseAll { but } => {
                    let but: Vec<_> = but.iter().map(|conn| conn.0).collect();
                    lines.push(format!("all closed but {but:?}"));
                }
                Output::Fact(fact) => self.facts.push(fact),
                Output::Ensemble(Effect::Persist(what)) => {
                    let report = Input::Peer(Box::new(peer::Input::Persisted(what)));
                    match &mut self.unreported {
                        Some(unreported) => unreported.push(report),
                        None => inbox.push_back(report),
                    }
                }
                Output::Ensemble(_) => (),
            }
        }
        out.bytes.clear();
    }

    /// The leader of this learner has proposed it, and it is on the disk.
    fn hear_proposal(&mut self, header: TxnHeader, txn: Txn<'_>) {
        let mut entry = Vec::new();
        Entry { header, txn, digest: None }.encode(&mut Writer::new(&mut entry));
        let zxid = header.zxid;
        self.replica.enqueue_proposal(zxid, entry.into(), &mut Outputs::default());
        self.replica.positions.synced = zxid;
    }

    /// The leader of this learner has proposed and committed it.
    fn commit(&mut self, header: TxnHeader, txn: Txn<'_>) -> Vec<String> {
        self.hear_proposal(header, txn);
        self.replica.positions.committed = header.zxid;
        self.apply(Outputs { apply: true, ..Outputs::default() })
    }

    /// Works off whatever has its turn now.
    fn apply(&mut self, mut out: Outputs) -> Vec<String> {
        let (mut inbox, mut lines) = (VecDeque::new(), Vec::new());
        while out.apply {
            out.apply = self.replica.apply(&mut self.tree, &mut self.watches, 2, &mut out);
            self.carry_out(&mut out, &mut inbox, &mut lines);
        }
        assert!(inbox.is_empty(), "a learner logs nothing of its own");
        lines
    }

    /// Lets time pass; what is due happens on the way.
    fn wait(&mut self, ms: i64) -> Vec<String> {
        let end_ms = self.now_ms + ms;
        let mut lines = Vec::new();
        loop {
            let due_ms = self.replica.next_peer_timer_ms().unwrap_or(end_ms).clamp(self.now_ms, end_ms);
            // What is due now is done now; whatever wants to be asked again at once is asked a moment later.
            self.now_ms = due_ms.max((self.now_ms + 1).min(end_ms));
            lines.extend(self.feed(Input::Peer(Box::new(peer::Input::Timer))));
            lines.extend(self.feed(Input::Tick));
            if self.now_ms == end_ms {
                return lines;
            }
        }
    }

    fn connect_as(&mut self, conn: u64, session: SessionId, takes_read_only: bool) -> Vec<String> {
        let request = SessionRequest {
            last_zxid_seen: Zxid::ZERO,
            timeout_ms: 2000,
            session,
            password: zabd_jute::client::password(session).to_vec(),
            has_read_only_byte: true,
            takes_read_only,
        };
        self.feed(Input::Connect { conn: ConnId(conn), request })
    }

    /// A new session that begins with this answer.
    fn connect(&mut self, conn: u64, takes_read_only: bool, answer: &str) -> SessionId {
        let lines = self.connect_as(conn, SessionId::NONE, takes_read_only);
        assert_eq!(lines, [format!("{conn} <- {answer}")]);
        self.watches.session(ConnId(conn)).expect("the session is established")
    }

    fn ask(&mut self, conn: u64, session: SessionId, op: OpCode, body: Vec<u8>) -> Vec<String> {
        let (conn, body) = (ConnId(conn), Bytes::from(body));
        let request = Request { conn, session, xid: 7, op: op.code(), body, identities: identities() };
        self.feed(Input::Request(request))
    }

    /// The kinds of the records that were logged since the last time.
    fn take_logged(&mut self) -> Vec<(OpCode, SessionId)> {
        let decode = |entry: &Bytes| Entry::decode(&mut Reader::new(entry)).unwrap().header;
        let headers: Vec<_> = self.logged.drain(..).map(|entry| decode(&entry)).collect();
        headers.into_iter().map(|each| (OpCode::from_code(each.kind).unwrap(), each.session)).collect()
    }
}

fn tree() -> Tree {
    Tree::new(TreeOptions { hash_seed: 1, digest: true, emulate_353_ttl: false })
}

fn multi(parts: &[(&str, i32)]) -> Vec<u8> {
    let part = |(path, flags): &(&'static str, i32)| {
        let create = zabd_jute::client::CreateRequest {
            path: (*path).into(),
            data: None,
            acl: Some(vec![Acl::open()]),
            flags: *flags,
        };
        let request = zabd_jute::client::CreateTtlRequest { create, ttl_ms: -1 };
        MultiOp::Create { op: OpCode::Create, request }
    };
    let parts: Vec<(&'static str, i32)> = parts
        .iter()
        .map(|(path, flags)| (&*Box::leak((*path).to_owned().into_boxed_str()), *flags))
        .collect();
    MultiRequest { ops: parts.iter().map(part).collect() }.to_bytes()
}

const READ_ONLY: MemberOptions = MemberOptions {
    leader_serves: true,
    read_only: true,
    local_sessions: LocalSessions::Off,
    acknowledgements_one_in: 0,
    checks_access_early: false,
};
const EPHEMERAL: i32 = 1;

/// As in Java, two seconds without a leader are not yet a partition.
#[test]
fn a_server_that_finds_no_leader_serves_those_who_only_read() {
    let mut member = Member::new(OF_THREE, tree(), READ_ONLY);
    member.wait(1900);
    assert_eq!(member.connect_as(1, SessionId::NONE, true), ["1 closed"]);
    member.wait(200);
    assert!(member.facts.contains(&Fact::ReadOnlyBegun));
    assert!(member.replica.serves_clients() && !member.replica.is_serving());
    assert_eq!(member.connect_as(2, SessionId::NONE, false), ["2 closed"]);
    let session = member.connect(3, true, "connected read-only");
    assert_eq!(member.ask(3, session, OpCode::Create, create("/a", 0)), ["3 <- 7 zxid=0 err=-119 +0"]);
    assert_eq!(member.ask(3, session, OpCode::Sync, b"\0\0\0\x01/".to_vec()), ["3 <- 7 zxid=0 err=-119 +0"]);
    let read = member.ask(3, session, OpCode::Exists, b"\0\0\0\x01/\0".to_vec());
    assert_eq!(read, ["3 <- 7 zxid=0 err=0 +68"]);
    assert_eq!(member.connect_as(4, session, true), ["3 closed", "4 <- connected read-only"]);
    assert_eq!(
        member.ask(4, session, OpCode::CloseSession, Vec::new()),
        ["4 <- 7 zxid=0 err=0 +0", "4 closed"]
    );
    assert_eq!(member.connect_as(5, session, true), ["5 <- refused", "5 closed"], "it is over");
    assert!(member.logged.is_empty(), "nothing of this is anybody else's business");
}

/// Who is to become a voter may have more than all voters, and is elected to complete the change; they looked for it in vain.
#[test]
fn a_leader_that_is_only_to_become_a_member_can_be_reached() {
    let next = format!("{OF_THREE}\nserver.4=127.0.0.1:7:8:participant\nversion=9");
    let member = Member::with_next(OF_THREE, Some(&next), tree(), MemberOptions::default());
    let port = |id| {
        let addresses = member.replica.quorum_addresses(ServerId(id));
        addresses.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(port(3), ["127.0.0.1:5"]);
    assert_eq!(port(4), ["127.0.0.1:7"]);
    assert!(port(5).is_empty());
}

#[test]
fn sessions_of_the_ensemble_do_not_go_on_without_a_leader() {
    let mut tree = tree();
    let global = SessionId(0x0200_0000_0000_0001);
    replay(&mut tree, 1, global, OpCode::CreateSession, Txn::CreateSession { timeout_ms: 4000 });
    let mut member = Member::new(OF_THREE, tree, READ_ONLY);
    member.wait(2100);
    assert_eq!(member.connect_as(1, global, true), ["1 closed"]);
    let session = member.connect(2, true, "connected read-only");
    assert_eq!(member.wait(3000), ["2 closed"], "it was silent for too long");
    assert_eq!(member.connect_as(3, session, true), ["3 <- refused", "3 closed"]);
}

#[test]
fn without_being_asked_for_it_nothing_is_read_without_a_leader() {
    let mut member = Member::new(OF_THREE, tree(), MemberOptions::default());
    member.wait(5000);
    assert_eq!(member.connect_as(1, SessionId::NONE, true), ["1 closed"]);
}

#[test]
fn a_local_session_is_nobody_elses_business() {
    let mut member = Member::leading(tree(), LocalSessions::On);
    let session = member.connect(1, false, "connected");
    assert_eq!((member.take_logged(), member.replica.local_session_count()), (vec![], 1));
    assert_eq!(member.ask(1, session, OpCode::Create, create("/a", 0)).len(), 1);
    assert_eq!(member.take_logged(), [(OpCode::Create, session)]);
    assert_eq!(member.connect_as(2, session, false), ["1 closed", "2 <- connected"]);
    let last = member.tree.last_zxid().0;
    let end = member.ask(2, session, OpCode::CloseSession, Vec::new());
    assert_eq!(end, [format!("2 <- 7 zxid={last} err=0 +0"), "2 closed".to_owned()]);
    assert_eq!((member.take_logged(), member.replica.local_session_count()), (vec![], 0));
    member.connect(3, false, "connected");
    assert_eq!(member.wait(3000), ["3 closed"]);
    assert_eq!((member.take_logged(), member.replica.local_session_count()), (vec![], 0));
}

/// The refusal takes a position, as in Java; in a multi it is that of one operation.
#[test]
fn a_local_session_owns_no_ephemerals() {
    let mut member = Member::leading(tree(), LocalSessions::On);
    let session = member.connect(1, false, "connected");
    let refused = ErrorCode::EphemeralOnLocalSession.code();
    let zxid = (member.tree.last_zxid().0 + 1) | (1 << 32);
    let lines = member.ask(1, session, OpCode::Create, create("/e", EPHEMERAL));
    assert_eq!(lines, [format!("1 <- 7 zxid={zxid} err={refused} +0")]);
    assert_eq!(member.take_logged(), [(OpCode::Error, session)]);
    let lines = member.ask(1, session, OpCode::Multi, multi(&[("/a", 0), ("/e", EPHEMERAL)]));
    assert_eq!(lines.len(), 1);
    assert!(member.tree.node("/a").is_none() && member.tree.node("/e").is_none());
    let entry = Entry::decode(&mut Reader::new(&member.logged[0])).unwrap();
    let Txn::Multi(parts) = entry.txn else { panic!("{entry:?}") };
    let codes: Vec<_> = parts.iter().map(|part| part.txn.clone()).collect();
    assert!(matches!(codes[1], Txn::Error { code } if code == refused), "{codes:?}");
}

#[test]
fn a_local_session_is_upgraded_by_its_first_ephemeral() {
    let bodies = [create("/e", EPHEMERAL), multi(&[("/a", 0), ("/e", EPHEMERAL)])];
    for (op, body) in [OpCode::Create, OpCode::Multi].into_iter().zip(bodies) {
        let mut member = Member::leading(tree(), LocalSessions::Upgrading);
        let session = member.connect(1, false, "connected");
        member.ask(1, session, OpCode::Create, create("/b", 0));
        assert_eq!(member.take_logged(), [(OpCode::Create, session)], "nothing needs it yet");
        assert_eq!(member.ask(1, session, op, body).len(), 1);
        assert_eq!(member.take_logged(), [(OpCode::CreateSession, session), (op, session)]);
        assert_eq!(member.tree.ephemerals(session), ["/e"]);
        assert_eq!((member.replica.local_session_count(), member.replica.session_count()), (0, 1));
        let end = member.ask(1, session, OpCode::CloseSession, Vec::new());
        assert_eq!(end.len(), 2);
        assert_eq!(member.take_logged(), [(OpCode::CloseSession, session)]);
        assert!(member.tree.node("/e").is_none());
    }
}

/// What a learner forwards for a local session of its own: all but ephemerals, which nobody could end.
#[test]
fn a_leader_takes_unknown_sessions_for_local_ones_of_others() {
    let mut member = Member::leading(tree(), LocalSessions::On);
    let elsewhere = SessionId(0x0200_0000_0000_0001);
    let own = SessionId(0x0100_0000_0000_0001);
    for (session, path, flags, expected) in [
        (elsewhere, "/a", 0, OpCode::Create),
        (elsewhere, "/e", EPHEMERAL, OpCode::Error),
        (own, "/b", 0, OpCode::Error),
    ] {
        member.forwarded(session, path, flags);
        assert_eq!(member.take_logged(), [(expected, session)], "{path}");
        assert_eq!(member.tree.node(path).is_some(), expected == OpCode::Create, "{path}");
    }
}

/// Its epoch is the first thing that finds no room. Whoever would follow was kept waiting for `initLimit`.
#[test]
fn a_leader_without_room_for_its_epoch_lets_somebody_else_lead_at_once() {
    let mut member = Member::leading(tree(), LocalSessions::Off);
    let state = |member: &Member| member.replica.ensemble_status().unwrap().state;
    member.unreported = Some(Vec::new());
    member.feed(Input::Peer(Box::new(peer::Input::Leader(leader::Input::NoRoom))));
    while state(&member) != PeerState::Leading {
        member.wait(10);
        assert!(member.now_ms < 20_000, "the only voter is elected again");
    }
    assert!(!member.replica.is_serving());
    member.feed(Input::DiskFull);
    assert_eq!(state(&member), PeerState::Looking);
    member.wait(10_000);
    assert_eq!(
        state(&member),
        PeerState::Looking,
        "it votes for nobody before its disk has done what it was asked for"
    );
    for report in member.unreported.take().unwrap().into_iter().chain([Input::DiskHasRoom]) {
        member.feed(report);
    }
    member.wait(10_000);
    assert!(member.replica.is_serving() && state(&member) == PeerState::Leading);
}

/// A learner hears of transactions only: a refusal of its client's write is one, with the error that a client of the leader
/// gets at once. A leader that cannot log lets another lead; this one had no room before it led.
#[test]
fn a_leader_without_room_refuses_what_a_learner_forwards() {
    let options = MemberOptions { local_sessions: LocalSessions::On, ..MemberOptions::default() };
    let mut member = Member::new(ALONE, tree(), options);
    member.feed(Input::DiskFull);
    while !member.replica.is_serving() {
        member.wait(100);
        assert!(member.now_ms < 10_000, "the only voter leads");
    }
    member.logged.clear();
    assert!(member.replica.is_suspended());
    member.forwarded(SessionId(0x0200_0000_0000_0001), "/a", 0);
    assert!(member.tree.node("/a").is_none());
    let entry = member.logged.pop().expect("the refusal is a transaction");
    let entry = Entry::decode(&mut Reader::new(&entry)).unwrap();
    assert_eq!(entry.txn, Txn::Error { code: ErrorCode::NotReadOnly.code() });
}

/// The same of a leader whose memory is nearly used up: what a learner forwards is refused by a transaction.
#[test]
fn a_leader_without_memory_refuses_what_a_learner_forwards() {
    let options = MemberOptions { local_sessions: LocalSessions::On, ..MemberOptions::default() };
    let mut member = Member::new(ALONE, tree(), options);
    while !member.replica.is_serving() {
        member.wait(100);
        assert!(member.now_ms < 10_000, "the only voter leads");
    }
    for (room, expected) in [(Room::NoGrowth, OpCode::Error), (Room::Enough, OpCode::Create)] {
        member.logged.clear();
        member.feed(Input::Room(room));
        member.forwarded(SessionId(0x0200_0000_0000_0001), "/a", 0);
        let entry = member.logged.pop().expect("each is a transaction");
        let entry = Entry::decode(&mut Reader::new(&entry)).unwrap();
        assert_eq!(entry.header.kind, expected.code(), "{room:?}");
        if room == Room::NoGrowth {
            assert_eq!(entry.txn, Txn::Error { code: ErrorCode::QuotaExceeded.code() });
        }
    }
    assert!(member.tree.node("/a").is_some());
}

fn replay(tree: &mut Tree, zxid: i64, session: SessionId, kind: OpCode, txn: Txn<'_>) {
    let header = TxnHeader { session, cxid: 0, zxid: Zxid(zxid), time_ms: 1, kind: kind.code() };
    tree.replay(&Entry { header, txn, digest: None });
}

/// An older server's defect may have left an ephemeral whose session is gone. Nobody else would ever remove it.
#[test]
fn a_new_leader_removes_ephemerals_that_nobody_owns() {
    let (dead, alive) = (SessionId(0x0200_0000_0000_0077), SessionId(0x0200_0000_0000_0078));
    let mut tree = tree();
    replay(&mut tree, 1, alive, OpCode::CreateSession, Txn::CreateSession { timeout_ms: 4000 });
    for (zxid, path, session) in [(2, "/dead", dead), (3, "/alive", alive)] {
        let acl = vec![Acl::open()];
        let kind = CreateKind::Plain { ephemeral: true };
        let txn = CreateTxn { path: path.into(), data: None, acl, kind, parent_cversion: zxid as i32 };
        replay(&mut tree, zxid, session, OpCode::Create, Txn::Create(txn));
    }
    assert!(tree.node("/dead").is_some() && CreateMode::from_flags(EPHEMERAL).unwrap().is_ephemeral());
    let member = Member::leading(tree, LocalSessions::Off);
    assert!(member.facts.contains(&Fact::DeadSession { session: dead }));
    assert!(member.tree.node("/dead").is_none() && member.tree.node("/alive").is_some());
    assert_eq!(member.tree.sessions_with_ephemerals().collect::<Vec<_>>(), [alive]);
}

/// Who comes between two roles is not turned away, and who goes meanwhile is not served.
#[test]
fn who_comes_between_two_roles_is_served_in_the_next() {
    let mut member = Member::leading(tree(), LocalSessions::Off);
    let session = member.connect(1, false, "connected");
    member.unreported = Some(Vec::new());
    let end_of_role = peer::Input::Leader(leader::Input::NoRoom);
    assert_eq!(member.feed(Input::Peer(Box::new(end_of_role))), ["all closed"]);
    assert!(!member.replica.is_serving());
    for (conn, session) in [(2, session), (3, SessionId::NONE), (4, session)] {
        assert_eq!(member.connect_as(conn, session, false), [""; 0]);
    }
    member.feed(Input::Gone { conn: ConnId(4), session: SessionId::NONE });
    assert_eq!(member.wait(100), [""; 0]);
    let unreported = member.unreported.take().unwrap();
    let mut lines: Vec<_> = unreported.into_iter().flat_map(|report| member.feed(report)).collect();
    lines.extend(member.wait(1));
    assert_eq!(lines, ["2 <- connected", "3 <- connected"]);
    assert!(member.replica.is_serving());
}

#[test]
fn nobody_is_held_for_long() {
    let mut member = Member::new(OF_THREE, tree(), MemberOptions::default());
    let now = member.now();
    member.replica.ensemble.as_mut().unwrap().held.begin(now, Reason::LeaderClosed);
    assert_eq!(member.connect_as(1, SessionId::NONE, true), [""; 0]);
    assert_eq!(member.wait(499), [""; 0]);
    assert_eq!(member.wait(1), ["1 closed"]);
    assert_eq!(member.connect_as(2, SessionId::NONE, true), ["2 closed"]);
}

fn header(session: SessionId, counter: i64, kind: OpCode) -> TxnHeader {
    TxnHeader { session, cxid: 7, zxid: Zxid(1 << 32 | counter), time_ms: 1, kind: kind.code() }
}

fn set() -> Txn<'static> {
    Txn::SetData { path: "/".into(), data: None, version: 1 }
}

/// A session comes from another server, where its client had asked for something under a number that it uses here again. That
/// is refused when it comes late, and this server cannot tell whose refusal it is: it answers neither with it.
#[test]
fn a_refusal_of_another_servers_request_is_no_answer_here() {
    let (mut member, [moved, other]) = Member::learning();
    for (session, conn) in [(moved, 1), (other, 2)] {
        assert_eq!(member.ask(conn, session, OpCode::SetData, Vec::new()), [""; 0]);
        assert_eq!(member.ask(conn, session, OpCode::Exists, b"\0\0\0\x01/\0".to_vec()), [""; 0]);
    }
    let refused = Txn::Error { code: ErrorCode::SessionMoved.code() };
    assert_eq!(member.commit(header(moved, 1, OpCode::Error), refused), ["1 closed"]);
    assert_eq!(member.commit(header(moved, 2, OpCode::SetData), set()), [""; 0], "nobody waits any more");
    assert_eq!(member.commit(header(other, 3, OpCode::SetData), set()).len(), 2, "nobody else is disturbed");
}

/// A client that was elsewhere in between comes back on another connection, while a request of its first one is still on its way. Behind
/// the question whether the session goes on here, the leader took that for the newest of all.
#[test]
fn what_a_client_has_left_behind_is_not_asked_for_when_it_comes_back() {
    let (mut member, [session, other]) = Member::learning();
    assert_eq!(member.connect_as(3, session, false), ["1 closed"]);
    assert_eq!(member.ask(1, session, OpCode::SetData, Vec::new()), [""; 0]);
    assert_eq!(member.ask(2, other, OpCode::SetData, Vec::new()), [""; 0]);
    assert_eq!(member.commit(header(session, 1, OpCode::SetData), set()), [""; 0], "it was not forwarded");
    assert_eq!(member.commit(header(other, 2, OpCode::SetData), set()).len(), 1);
}

/// Whoever is told of a write has been told of all that it asked for before: some clients end over an answer that is missing.
/// What is behind the last write that is answered goes with the connection.
#[test]
fn reads_in_front_of_the_last_answered_write_are_answered_when_a_role_ends() {
    let (mut member, sessions) = Member::learning();
    for (session, conn) in sessions.into_iter().zip(1..) {
        for (op, body) in [(OpCode::SetData, &b""[..]), (OpCode::Exists, b"\0\0\0\x02/a\0")].repeat(2) {
            assert_eq!(member.ask(conn, session, op, body.to_vec()), [""; 0]);
        }
    }
    for (session, counter) in sessions.into_iter().cycle().zip(1..=4) {
        member.hear_proposal(header(session, counter, OpCode::SetData), set());
    }
    let (now, mut out) = (member.now(), Outputs::default());
    member.replica.positions.committed = Zxid(1 << 32 | 3);
    member.replica.cease_to_serve(now, Reason::Reconfigured { leader: ServerId(2) }, &mut out);
    let answer = |conn, counter: i64, is_write| {
        let end = if is_write { "err=0 +68" } else { "err=-101 +0" };
        format!("{conn} <- 7 zxid={} {end}", 1_i64 << 32 | counter)
    };
    let answers = [(1, 1, true), (1, 1, false), (2, 2, true), (2, 2, false), (1, 3, true)];
    assert_eq!(member.apply(out), answers.map(|(conn, counter, is_write)| answer(conn, counter, is_write)));
    assert_eq!(member.feed(Input::Applied)[0], "all closed");
}

fn on(hosts: &[&str]) -> Configuration {
    let lines = hosts.iter().zip(1..).map(|(host, id)| format!("server.{id}={host}:1:2:participant"));
    Configuration::parse(&lines.collect::<Vec<_>>().join("\n")).unwrap()
}

#[test]
fn data_that_were_restored_on_other_machines_name_another_ensemble() {
    let ours = on(&["a", "b", "c"]);
    for (shown, is_same) in [
        (&["a", "b", "c", "d"][..], true),
        (&["a", "b"], true),
        (&["a", "b", "d"], true),
        (&["d", "e", "f"], false),
        (&["a", "e", "f"], false),
        (&["d"], false),
    ] {
        assert_eq!(is_same_ensemble(&ours, &on(shown)), is_same, "{shown:?}");
    }
}

/// A change that a leader's snapshot brings along takes the place of one that is noted, and the power may fail in between.
#[test]
fn a_start_looks_into_the_tree_unless_a_file_without_a_number_stands_alone() {
    let of = |hosts: &[&str], version| on(hosts).with_version(ConfigVersion(version));
    let mut tree = Tree::new(TreeOptions { hash_seed: 1, digest: true, emulate_353_ttl: false });
    tree.set_configuration(&of(&["a", "b", "d"], 7).to_string(), ConfigVersion(7), 0);
    for (held, noted, reconfig, next) in [
        (0, None, true, None),
        (0, Some(3), true, Some(7)),
        (0, Some(9), true, Some(9)),
        (0, Some(3), false, Some(3)),
        (3, None, true, Some(7)),
        (5, Some(6), true, Some(7)),
        (7, None, true, None),
    ] {
        let noted_there = noted.map(|version| of(&["a", "b", "e"], version));
        let found = newest_change(&tree, &of(&["a", "b", "c"], held), noted_there, reconfig);
        assert_eq!(found.map(|found| found.version().0), next, "{held} {noted:?} {reconfig}");
    }
}
