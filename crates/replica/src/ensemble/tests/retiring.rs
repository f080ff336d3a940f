//! A leader that is told to end. The only member has nobody to hand over to, and stays for what can still be committed: a write
//! that its disk does not report.

use zabd_jute::{ErrorCode, OpCode, SessionId, Zxid};
use zabd_zab::effect::Testing;
use zabd_zab::{leader, peer};

use super::{Member, tree};
use crate::ensemble::LocalSessions;
use crate::tests::{create, identities};
use crate::{ConnId, Input, Outputs, Request};

const GET: (OpCode, &[u8]) = (OpCode::GetData, b"\0\0\0\x02/a\0");
const SYNC: (OpCode, &[u8]) = (OpCode::Sync, b"\0\0\0\x02/a");

impl Member {
    fn is_told_to_end(&mut self) {
        self.feed(Input::Peer(Box::new(peer::Input::Leader(leader::Input::HandOver))));
        assert!(self.replica.is_retiring());
    }

    /// A request of a connection, of which the disk has heard nothing.
    fn takes(&mut self, conn: u64, session: SessionId, xid: i32, op: OpCode, body: Vec<u8>) -> Zxid {
        let (now, mut out) = (self.now(), Outputs::default());
        let (conn, op, body) = (ConnId(conn), op.code(), body.into());
        let request = Request { conn, session, xid, op, body, identities: identities() };
        self.replica.step(now, &self.tree, Input::Request(request), &mut out);
        self.replica.positions.appended
    }

    /// All that a connection hands over: a write, reads behind it, a sync, a refusal; yields what is answered.
    fn ask_for_everything(&mut self, conn: u64, session: SessionId) -> Vec<String> {
        let mut lines = self.ask(conn, session, OpCode::Create, create("/b", 0));
        for (op, body) in [GET, SYNC, (OpCode::CloseSession, &b""[..])] {
            lines.extend(self.ask(conn, session, op, body.to_vec()));
        }
        // A write of which nothing can be read is refused without a transaction.
        lines.extend(self.ask(conn, session, OpCode::SetData, vec![1]));
        let error = ErrorCode::ThrottledOp;
        lines.extend(self.feed(Input::Refuse { conn: ConnId(conn), session, xid: 8, error }));
        lines
    }
}

/// A write that is not taken has no answer. A client that is told of what it asked for behind it takes that for the answer, or gives
/// its session up (kazoo: "xids do not match").
#[test]
fn a_leader_that_retires_takes_nothing_more_from_its_clients() {
    for local_sessions in [LocalSessions::Off, LocalSessions::On, LocalSessions::Upgrading] {
        let mut member = Member::leading(tree(), local_sessions);
        let session = member.connect(1, false, "connected");
        assert_eq!(member.ask(1, session, OpCode::Create, create("/a", 0)).len(), 1);
        member.takes(1, session, 2, OpCode::Create, create("/pending", 0));
        member.is_told_to_end();
        member.take_logged();
        assert_eq!(member.ask_for_everything(1, session), [""; 0], "{local_sessions:?}");
        assert!(member.take_logged().is_empty());
        assert_eq!(member.replica.queue_length(), 1);
    }
}

/// What it has taken is done, and what came behind that before it was told to end is answered in its turn.
#[test]
fn what_a_leader_has_taken_before_it_retires_is_answered() {
    let mut member = Member::leading(tree(), LocalSessions::Off);
    let session = member.connect(1, false, "connected");
    let other = member.connect(2, false, "connected");
    let first = member.takes(1, session, 1, OpCode::Create, create("/a", 0));
    member.takes(1, session, 2, GET.0, GET.1.to_vec());
    let last = member.takes(1, session, 3, OpCode::Create, create("/c", 0));
    member.is_told_to_end();
    assert_eq!(member.ask_for_everything(1, session), [""; 0]);
    assert_eq!(member.ask_for_everything(2, other), [""; 0]);
    let lines = member.feed(Input::Synced { upto: first });
    let begin = |xid: i32| format!("1 <- {xid} zxid={} err=0", first.0);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with(&begin(1)) && lines[1].starts_with(&begin(2)), "{lines:?}");
    assert_eq!(member.feed(Input::Synced { upto: last }), ["all closed"]);
}

/// No session ends that nobody could be told of, and none begins: its client finds another member.
#[test]
fn sessions_neither_begin_nor_end_while_a_leader_retires() {
    let mut member = Member::leading(tree(), LocalSessions::Off);
    let session = member.connect(1, false, "connected");
    member.takes(1, session, 1, OpCode::Create, create("/pending", 0));
    member.is_told_to_end();
    member.take_logged();
    member.facts.clear();
    assert_eq!(member.connect_as(2, SessionId::NONE, false), ["2 closed"]);
    assert_eq!(member.connect_as(3, session, false), ["1 closed", "3 <- connected"]);
    assert!(!member.replica.ends_sessions());
    assert_eq!(member.feed(Input::EndSession { session }), [""; 0]);
    member.wait(10_000);
    assert_eq!(member.replica.next_tick_ms(), None, "nothing is due that cannot be done");
    member.forwarded(session, "/c", 0);
    member.feed(Input::Reap { path: "/a".into() });
    assert!(member.take_logged().is_empty());
    assert!(!format!("{:?}", member.facts).contains("SessionExpired"), "{:?}", member.facts);
}

/// The session begins with the last position of the epoch, which ends the role. The request for which it was to begin is not
/// answered any more.
#[test]
fn whoever_uses_up_an_epoch_is_answered_nothing_behind_it() {
    let testing = Testing { initial_counter: u32::MAX - 2, allows_gaps: true };
    let mut member = Member::leading_from(testing, tree(), LocalSessions::Upgrading);
    let session = member.connect(1, false, "connected");
    let lines = member.ask(1, session, OpCode::Create, create("/e", super::EPHEMERAL));
    assert_eq!(lines, ["all closed"]);
    assert_eq!(member.take_logged(), [(OpCode::CreateSession, session)]);
}
