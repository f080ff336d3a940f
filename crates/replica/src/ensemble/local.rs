//! Sessions that no other server knows: nothing is logged when they begin or end, and they are lost when this server
//! loses its role. A client that brings one to another server is told that it is gone.
//!
//! Such a session may do everything but own ephemerals, since nobody could tell the others when it ends. If
//! it is allowed to, it becomes a session like any other when it first creates one: the session is proposed, then the
//! request. If not, the request is refused.
//!
//! A leader meets local sessions of learners in what they forward. It does not know them; an unknown session
//! whose id was made by another server is taken for one, as in Java, and may create no ephemeral.
//!
//! Java's `LocalSessionTracker`, `UpgradeableSessionTracker` and `QuorumZooKeeperServer.checkUpgradeSession`.

use zabd_jute::quorum::{FromLearner, Request as Forwarded};
use zabd_jute::{ErrorCode, OpCode, SessionId};
use zabd_tree::Tree;

use super::{LocalSessions, Serving};
use crate::ensemble::Owner;
use crate::input::{ConnId, Fact, Now, Output, Outputs, Request, SessionRequest};
use crate::pipeline::{Origin, Queued, Replica};
use crate::{read, reply, write};

impl Replica {
    /// How many sessions only this server knows.
    pub fn local_session_count(&self) -> usize {
        self.local.len()
    }

    /// Whether a client that brings this session, or none, gets one of its own server.
    pub(crate) fn is_for_local_sessions(&self, session: SessionId) -> bool {
        let serving = self.ensemble.as_ref().map(|ensemble| ensemble.serving);
        match serving {
            None | Some(Serving::Nobody) => false,
            Some(Serving::ReadOnly) => true,
            Some(Serving::Leading | Serving::Learning) if session == SessionId::NONE => {
                self.options.member.local_sessions != LocalSessions::Off
            }
            Some(Serving::Leading | Serving::Learning) => self.local.is_known(session),
        }
    }

    /// A client gets a session of this server, or goes on with one.
    pub(crate) fn connect_locally(
        &mut self,
        now: Now,
        conn: ConnId,
        request: &SessionRequest,
        timeout_ms: i32,
        out: &mut Outputs,
    ) {
        let read_only = request.has_read_only_byte.then_some(self.is_read_only());
        let mut session = request.session;
        if session == SessionId::NONE {
            session = self.sessions.new_id();
            self.local.track(now.monotonic_ms, session, timeout_ms, Some(conn));
        } else {
            let wrong_password = request.password != zabd_jute::client::password(session);
            if wrong_password || !self.local.is_alive(session) {
                out.refuse_session(conn, session, wrong_password, read_only);
                return;
            }
            let before = self.local.resume(now.monotonic_ms, session, timeout_ms, conn);
            if let Some(old) = before.filter(|old| *old != conn) {
                out.list.push(Output::Close { conn: old });
            }
        }
        out.establish(conn, session, timeout_ms, read_only, None);
    }

    /// A request of a session that is local to this server, unless it is a learner.
    pub(crate) fn on_local_request(&mut self, now: Now, tree: &Tree, request: Request, out: &mut Outputs) {
        if !self.local.touch(now.monotonic_ms, request.session) {
            return;
        }
        let op = OpCode::from_code(request.op);
        if op == Some(OpCode::CloseSession) {
            // Its turn comes behind what the connection asked for before.
            self.local.close(request.session);
            self.enqueue(Queued::Read(request), out);
        } else if self.is_read_only() {
            self.on_read_only_request(request, out);
        } else if read::is_write(request.op) {
            let wants = write::creates_ephemeral(&request, self.options.read.limits);
            if wants && self.options.member.local_sessions == LocalSessions::Upgrading {
                self.upgrade_here(now, tree, request.session, out);
            }
            self.propose_request(now, tree, &request, out);
        } else {
            self.enqueue(Queued::Read(request), out);
        }
    }

    fn upgrade_here(&mut self, now: Now, tree: &Tree, session: SessionId, out: &mut Outputs) {
        let (timeout_ms, conn) = self.local.take(session).expect("the session was just touched");
        self.sessions.track(now.monotonic_ms, session, timeout_ms, conn);
        self.own(session, Owner::Here);
        self.append_session(now, tree, session, timeout_ms, Origin::Server, out);
    }

    /// A learner's local session wants to write: if it needs more than it is, the leader hears of it first. Yields
    /// what the client is told of a refusal, where that is not what the leader will say.
    pub(crate) fn upgrade_through_leader(&mut self, request: &Request) -> Option<ErrorCode> {
        if !write::creates_ephemeral(request, self.options.read.limits) {
            return None;
        }
        let session = request.session;
        if self.options.member.local_sessions != LocalSessions::Upgrading {
            // As in Java, a part of a multi is refused by the leader, which knows no such session.
            return (request.op != OpCode::Multi.code()).then_some(ErrorCode::EphemeralOnLocalSession);
        }
        let (timeout_ms, _) = self.local.take(session).expect("the session was just touched");
        self.learning().begin(session, request.conn, timeout_ms);
        let body = timeout_ms.to_be_bytes();
        let op = OpCode::CreateSession.code();
        let forwarded = Forwarded { session, cxid: 0, op, body: &body, authinfo: None };
        self.send_to_leader(&FromLearner::Request(forwarded));
        None
    }

    pub(crate) fn touch_local(&mut self, now: Now, session: SessionId) -> bool {
        self.local.touch(now.monotonic_ms, session)
    }

    /// Whether a session that this leader does not know may be a learner's own.
    pub(crate) fn may_be_local_elsewhere(&self, session: SessionId) -> bool {
        let maker = |session: SessionId| session.0 >> 56;
        self.options.member.local_sessions != LocalSessions::Off
            && !self.sessions.is_known(session)
            && maker(session) != maker(self.options.first_session)
    }

    /// Why a session may own no ephemerals, if it may not.
    pub(crate) fn why_no_ephemerals(&self, session: SessionId) -> Option<ErrorCode> {
        if self.ensemble.is_none() || self.sessions.is_known(session) {
            None
        } else if self.local.is_known(session) {
            Some(ErrorCode::EphemeralOnLocalSession)
        } else {
            Some(ErrorCode::SessionExpired)
        }
    }

    /// The client of a local session says goodbye.
    pub(crate) fn end_local_session(
        &mut self,
        tree: &Tree,
        conn: ConnId,
        session: SessionId,
        xid: i32,
        out: &mut Outputs,
    ) {
        self.local.remove(session);
        reply::success(&mut out.bytes, xid, tree.last_zxid(), |_| ());
        out.send(conn, true);
        out.list.push(Output::Close { conn });
    }

    /// Whether only this server knows a session.
    pub fn is_local_session(&self, session: SessionId) -> bool {
        self.local.is_known(session)
    }

    /// An operator ends a session; false if other servers know it.
    pub(crate) fn end_local_session_unasked(&mut self, session: SessionId, out: &mut Outputs) -> bool {
        let is_local = self.local.is_known(session);
        if is_local {
            let conn = self.local.remove(session);
            out.list.extend(conn.map(|conn| Output::Close { conn }));
        }
        is_local
    }

    /// Nobody else has to agree that a local session was silent for too long.
    pub(crate) fn expire_local_sessions(&mut self, now: Now, out: &mut Outputs) {
        for (session, timeout_ms) in self.local.overdue(now.monotonic_ms) {
            out.list.push(Output::Fact(Fact::SessionExpired { session, timeout_ms }));
            let conn = self.local.remove(session);
            out.list.extend(conn.map(|conn| Output::Close { conn }));
        }
    }
}
