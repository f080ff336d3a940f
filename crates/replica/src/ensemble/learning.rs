//! A learner's part: what its clients ask for goes to the leader and comes back as a transaction.
//!
//! Each connection has a queue of what it has asked for and what has not come back. A write is known again by
//! session and xid, when its proposal comes; from then on it stands in the pipeline like a leader's own, and the reads
//! that came behind it follow it there. A sync comes back without a name, the oldest first. What has not come
//! back when the leader is lost has an unknown outcome: the connections are closed, nothing is sent again.
//!
//! Java's `FollowerRequestProcessor` and `CommitProcessor`.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use zabd_jute::quorum::{FromLearner, Request as Forwarded, Touch};
use zabd_jute::txn::TxnHeader;
use zabd_jute::{ErrorCode, OpCode, Reader, Record, SessionId, Zxid};
use zabd_mutation::{Mutation, is_on};
use zabd_zab::effect::LinkId;

use crate::input::{ConnId, Now, Output, Outputs, Request, SessionRequest};
use crate::pipeline::{Origin, Queued, Replica};
use crate::write::multi_kinds;

/// A client of this learner.
#[derive(Debug)]
struct Local {
    conn: ConnId,
    timeout_ms: i32,
}

/// A connect request that waits for the leader.
#[derive(Debug)]
pub(super) struct Connecting {
    conn: ConnId,
    timeout_ms: i32,
    request: SessionRequest,
}

/// Who has brought a session.
#[derive(Debug)]
pub(super) enum Bringer {
    /// A client of this server.
    Client(Connecting),
    /// One of an observer that this server serves.
    Observer { link: LinkId, timeout_ms: i32 },
}

/// Who waits for a sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Syncing {
    Client(ConnId),
    Observer(LinkId),
    /// It has had its turn, and its answer is still to come.
    Nobody,
}

#[derive(Debug)]
enum Waiting {
    /// A write that was forwarded.
    Write {
        xid: i32,
        op: i32,
        multi: Box<[i32]>,
        audited: Option<Box<Request>>,
        /// Why it will fail, if this server knows better than the leader.
        known_error: Option<ErrorCode>,
    },
    /// A sync that was forwarded.
    Sync(Request),
    /// What needs no leader, behind one of them.
    Behind(Queued),
}

/// See the module's description.
#[derive(Debug, Default)]
pub(crate) struct Learning {
    sessions: BTreeMap<SessionId, Local>,
    touched: BTreeMap<SessionId, i32>,
    waiting: BTreeMap<ConnId, VecDeque<Waiting>>,
    /// New sessions, by their ids.
    connecting: BTreeMap<SessionId, Connecting>,
    /// Sessions that clients have brought, and who waits for what became of them.
    pub(super) revalidating: BTreeMap<SessionId, VecDeque<Bringer>>,
    /// Whose syncs were forwarded, oldest first.
    pub(super) syncs: VecDeque<Syncing>,
}

impl Learning {
    /// Whether a request of this connection waits for the leader.
    pub(super) fn is_awaited_by(&self, conn: ConnId) -> bool {
        self.waiting.contains_key(&conn)
    }

    /// Which connection carries the session; it is over.
    pub(crate) fn end(&mut self, session: SessionId) -> Option<ConnId> {
        self.touched.remove(&session);
        self.sessions.remove(&session).map(|local| local.conn)
    }

    /// A session is established here.
    pub(crate) fn begin(&mut self, session: SessionId, conn: ConnId, timeout_ms: i32) -> Option<ConnId> {
        self.touched.insert(session, timeout_ms);
        self.sessions.insert(session, Local { conn, timeout_ms }).map(|before| before.conn)
    }

    /// The connect requests of which nothing was heard.
    pub(super) fn into_connecting(self) -> impl Iterator<Item = (ConnId, SessionRequest)> {
        let brought = self.revalidating.into_values().flatten().filter_map(|bringer| match bringer {
            Bringer::Client(connecting) => Some(connecting),
            Bringer::Observer { .. } => None,
        });
        let all = self.connecting.into_values().chain(brought);
        all.map(|connecting| (connecting.conn, connecting.request))
    }

    /// A session was created somewhere: every learner vouches for it once.
    pub(crate) fn note_created(&mut self, session: SessionId, timeout_ms: i32) {
        self.touched.insert(session, timeout_ms);
    }

    pub(crate) fn touch(&mut self, session: SessionId) -> bool {
        let Some(local) = self.sessions.get(&session) else { return false };
        self.touched.insert(session, local.timeout_ms);
        true
    }

    /// The same of a request. What still comes over a connection that the client has left for another is nobody's: it would be
    /// done behind what the client has asked for since, and may have the number of that.
    fn touch_from(&mut self, session: SessionId, conn: ConnId) -> bool {
        self.sessions.get(&session).is_some_and(|local| local.conn == conn) && self.touch(session)
    }
}

impl Replica {
    pub(super) fn learning(&mut self) -> &mut Learning {
        &mut self.ensemble.as_mut().expect("only a learner waits for a leader").learning
    }

    pub(super) fn send_to_leader(&mut self, packet: &FromLearner<'_>) {
        let ensemble = self.ensemble.as_mut().expect("only a learner has a leader");
        ensemble.peer.send_to_leader(packet, &mut ensemble.effects);
    }

    /// A request that a connection could not serve by itself.
    pub(crate) fn on_request_as_learner(&mut self, now: Now, request: Request, out: &mut Outputs) {
        let is_local = self.touch_local(now, request.session);
        if !is_local && !self.learning().touch_from(request.session, request.conn) {
            return;
        }
        let op = OpCode::from_code(request.op);
        let ends_local = is_local && op == Some(OpCode::CloseSession);
        if ends_local {
            self.local.close(request.session);
        }
        if crate::read::is_write(request.op) && !ends_local {
            let known_error = if is_local { self.upgrade_through_leader(&request) } else { None };
            let multi = multi_kinds(&request, self.options.read.limits);
            self.forward(&request);
            let audited = self.options.audit.then(|| Box::new(request.clone()));
            let write = Waiting::Write { xid: request.xid, op: request.op, multi, audited, known_error };
            self.learning().waiting.entry(request.conn).or_default().push_back(write);
        } else if op == Some(OpCode::Sync) && !is_on(Mutation::SyncAnsweredLocally) {
            self.forward(&request);
            let learning = self.learning();
            learning.syncs.push_back(Syncing::Client(request.conn));
            learning.waiting.entry(request.conn).or_default().push_back(Waiting::Sync(request));
        } else {
            self.follow(request.conn, Queued::Read(request), out);
        }
    }

    /// A request that waited too long for its turn, see [`crate::Input::Refuse`].
    pub(crate) fn on_refuse_as_learner(
        &mut self,
        now: Now,
        conn: ConnId,
        session: SessionId,
        refused: Queued,
        out: &mut Outputs,
    ) {
        if self.touch_local(now, session) || self.learning().touch(session) {
            self.follow(conn, refused, out);
        }
    }

    /// What needs no leader has its turn behind what the same connection asked for before.
    fn follow(&mut self, conn: ConnId, queued: Queued, out: &mut Outputs) {
        if let Some(waiting) = self.learning().waiting.get_mut(&conn)
            && !is_on(Mutation::ReadOvertakesWrite)
        {
            waiting.push_back(Waiting::Behind(queued));
        } else {
            self.enqueue(queued, out);
        }
    }

    fn forward(&mut self, request: &Request) {
        let forwarded = Forwarded {
            session: request.session,
            cxid: request.xid,
            op: request.op,
            body: &request.body,
            authinfo: Some(request.identities.to_vec()),
        };
        self.send_to_leader(&FromLearner::Request(forwarded));
    }

    /// A client wants a new session.
    pub(crate) fn forward_new_session(&mut self, conn: ConnId, request: &SessionRequest, timeout_ms: i32) {
        let session = self.sessions.new_id();
        let connecting = Connecting { conn, timeout_ms, request: request.clone() };
        self.learning().connecting.insert(session, connecting);
        let body = timeout_ms.to_be_bytes();
        let op = OpCode::CreateSession.code();
        let forwarded = Forwarded { session, cxid: 0, op, body: &body, authinfo: None };
        self.send_to_leader(&FromLearner::Request(forwarded));
    }

    /// A client brings a session, with the right password. Perhaps it was here before, and elsewhere since: when the leader has been
    /// asked whether it goes on here, it takes whatever comes from here for newer than what it was asked for elsewhere. So
    /// nothing that the old connection still brings is forwarded behind that. (Java closes it at this moment, too.)
    pub(crate) fn forward_revalidation(
        &mut self,
        conn: ConnId,
        request: &SessionRequest,
        timeout_ms: i32,
        out: &mut Outputs,
    ) {
        if let Some(left) = self.learning().sessions.remove(&request.session) {
            out.list.push(Output::Close { conn: left.conn });
        }
        let connecting = Connecting { conn, timeout_ms, request: request.clone() };
        self.learning()
            .revalidating
            .entry(request.session)
            .or_default()
            .push_back(Bringer::Client(connecting));
        self.send_to_leader(&FromLearner::Revalidate { session: request.session, timeout_ms });
    }

    /// The leader says what became of a session.
    pub(crate) fn on_revalidated(&mut self, now: Now, session: SessionId, is_valid: bool, out: &mut Outputs) {
        let revalidating = &mut self.learning().revalidating;
        let Some(waiting) = revalidating.get_mut(&session) else { return };
        let bringer = waiting.pop_front();
        if waiting.is_empty() {
            revalidating.remove(&session);
        }
        let Connecting { conn, timeout_ms, request } = match bringer {
            Some(Bringer::Client(connecting)) => connecting,
            Some(Bringer::Observer { link, timeout_ms }) => {
                self.answer_revalidation(now, link, session, timeout_ms, is_valid);
                return;
            }
            None => return,
        };
        let has_read_only_byte = request.has_read_only_byte;
        if !is_valid {
            out.refuse_session(conn, session, false, has_read_only_byte.then_some(false));
            return;
        }
        let before = self.learning().begin(session, conn, timeout_ms);
        if let Some(old) = before.filter(|old| *old != conn) {
            out.list.push(Output::Close { conn: old });
        }
        out.establish(conn, session, timeout_ms, has_read_only_byte.then_some(false), None);
    }

    /// The oldest sync is answered: its turn comes behind everything that was committed before.
    pub(crate) fn on_synchronised(&mut self, now: Now, out: &mut Outputs) {
        let conn = match self.learning().syncs.pop_front() {
            Some(Syncing::Client(conn)) => conn,
            Some(Syncing::Observer(link)) => return self.answer_sync(now, link),
            Some(Syncing::Nobody) | None => return,
        };
        let Some(waiting) = self.learning().waiting.get_mut(&conn) else { return };
        let place = waiting.iter().position(|each| matches!(each, Waiting::Sync(_)));
        // Behind a write that has not come back, the sync waits for that too: answers keep their order.
        if place != Some(0) {
            if let Some(Waiting::Sync(request)) = place.and_then(|place| waiting.get_mut(place)) {
                let request = request.clone();
                waiting[place.expect("it was just found")] = Waiting::Behind(Queued::Read(request));
            }
            return;
        }
        if let Some(Waiting::Sync(request)) = waiting.pop_front() {
            self.enqueue(Queued::Read(request), out);
        }
        self.release_behind(conn, out);
    }

    /// Reads whose turn has come follow what they waited for into the pipeline.
    fn release_behind(&mut self, conn: ConnId, out: &mut Outputs) {
        loop {
            let waiting = &mut self.learning().waiting;
            let Some(queue) = waiting.get_mut(&conn) else { return };
            match queue.front() {
                Some(Waiting::Behind(_)) => {
                    let Some(Waiting::Behind(queued)) = queue.pop_front() else { unreachable!("just seen") };
                    self.enqueue(queued, out);
                }
                Some(_) => return,
                None => {
                    waiting.remove(&conn);
                    return;
                }
            }
        }
    }

    /// A transaction that the leader proposed is on its way to the log; whoever asked for it here is found again.
    pub(crate) fn enqueue_proposal(&mut self, zxid: Zxid, entry: Bytes, out: &mut Outputs) {
        self.positions.appended = zxid;
        let header = TxnHeader::decode(&mut Reader::new(&entry)).ok();
        let (origin, conn) = header.map_or((Origin::Server, None), |header| self.origin_of(&header, out));
        self.queue.push_back(Queued::Txn { zxid, entry, origin });
        if let Some(conn) = conn {
            self.release_behind(conn, out);
        }
    }

    /// Who asked for a transaction. What its connection asked for in front of it takes its turn first: a sync too, whose
    /// answer may still be on its way. Everything that was proposed when the leader took it stands in the queue already.
    fn origin_of(&mut self, header: &TxnHeader, out: &mut Outputs) -> (Origin, Option<ConnId>) {
        let learning = self.learning();
        if header.kind == OpCode::CreateSession.code() {
            let Some(connecting) = learning.connecting.remove(&header.session) else {
                return (Origin::Server, None);
            };
            let Connecting { conn, timeout_ms, request } = connecting;
            let has_read_only_byte = request.has_read_only_byte;
            return (Origin::Connect { conn, timeout_ms, has_read_only_byte }, None);
        }
        let own = learning.sessions.get(&header.session).map(|local| local.conn);
        let Some(conn) = own.or_else(|| self.local.conn(header.session)) else {
            return (Origin::Server, None);
        };
        let learning = self.learning();
        let Some(waiting) = learning.waiting.get_mut(&conn) else { return (Origin::Server, None) };
        let place = waiting.iter().position(|each| matches!(each, Waiting::Write { .. }));
        let is_its =
            |place: &usize| matches!(&waiting[*place], Waiting::Write { xid, .. } if *xid == header.cxid);
        let Some(place) = place.filter(is_its) else { return (Origin::Server, None) };
        let before: Vec<_> = waiting.drain(..place).collect();
        let Some(Waiting::Write { xid, op, multi, audited, known_error }) = waiting.pop_front() else {
            unreachable!("just seen")
        };
        for each in before {
            match each {
                Waiting::Sync(request) => {
                    let syncs = &mut self.learning().syncs;
                    let own = syncs.iter_mut().find(|sync| **sync == Syncing::Client(conn));
                    *own.expect("a sync that waits was forwarded") = Syncing::Nobody;
                    self.enqueue(Queued::Read(request), out);
                }
                Waiting::Behind(queued) => self.enqueue(queued, out),
                Waiting::Write { .. } => unreachable!("it is the first write"),
            }
        }
        (Origin::Client { conn, xid, op, multi, audited, known_error }, Some(conn))
    }

    /// A connection is gone: nobody waits for its answers.
    pub(crate) fn forget_waiting(&mut self, conn: ConnId, session: SessionId) {
        let Some(ensemble) = &mut self.ensemble else { return };
        ensemble.held.forget(conn);
        let learning = &mut ensemble.learning;
        learning.waiting.remove(&conn);
        if learning.sessions.get(&session).is_some_and(|local| local.conn == conn) {
            learning.sessions.remove(&session);
        }
    }

    pub(crate) fn take_touched(&mut self) -> Vec<Touch> {
        self.touches_told += 1;
        let touched = std::mem::take(&mut self.learning().touched);
        touched.into_iter().map(|(session, timeout_ms)| Touch { session, timeout_ms }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_over_a_connection_that_the_client_has_left_are_nobodys() {
        let (session, mut learning) = (SessionId(1), Learning::default());
        learning.begin(session, ConnId(1), 4000);
        assert!(learning.touch_from(session, ConnId(1)));
        assert_eq!(learning.begin(session, ConnId(2), 4000), Some(ConnId(1)));
        assert!(!learning.touch_from(session, ConnId(1)) && learning.touch_from(session, ConnId(2)));
    }
}
