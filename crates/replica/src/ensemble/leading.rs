//! A leader's part for its learners: their clients' requests are checked here, in the order in which they come,
//! and their sessions live and die here.
//!
//! A session is owned by the server to which its client is connected. When a client goes over to another server,
//! that one asks the leader whether the session lives (`REVALIDATE`) and owns it from then on; what is still on its
//! way from the server before is refused: the client has moved, and must not be answered twice. Nobody owns a session
//! after a change of leaders, until the first request or revalidation tells.
//!
//! Java's `LeaderSessionTracker`, `SessionTrackerImpl.checkSession` and `LearnerHandler`.

use bytes::Bytes;
use zabd_jute::quorum::{FromLearner, QuorumPacket, Request as Forwarded};
use zabd_jute::{ErrorCode, Id, OpCode, Reader, Record, SessionId};
use zabd_mutation::{Mutation, is_on};
use zabd_tree::Tree;
use zabd_zab::effect::{Instant, LinkId};

use crate::input::{ConnId, Fact, Now, Output, Outputs, Request};
use crate::pipeline::{Origin, Replica};
use crate::read;

/// Where a session's client is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// To this server.
    Here,
    /// To a learner.
    Learner(LinkId),
}

impl Replica {
    /// A request that a learner forwards. Each but the undecodable becomes one transaction, be it an error: the
    /// learner knows it again by session and cxid.
    pub(crate) fn on_forwarded(
        &mut self,
        now: Now,
        tree: &Tree,
        link: LinkId,
        packet: &Bytes,
        out: &mut Outputs,
    ) {
        if !self.may_propose() {
            return;
        }
        let mut reader = Reader::with_limits(packet, self.options.read.limits);
        let decoded = QuorumPacket::decode(&mut reader).ok().map(FromLearner::decode);
        let Some(Ok(Some(FromLearner::Request(request)))) = decoded else { return };
        match OpCode::from_code(request.op) {
            Some(OpCode::CreateSession) => self.create_session_for(now, tree, link, &request, out),
            Some(OpCode::CloseSession) => {
                self.close(now, tree, request.session, request.cxid, Origin::Server, out);
            }
            _ => self.propose_for(now, tree, link, packet, request, out),
        }
    }

    fn create_session_for(
        &mut self,
        now: Now,
        tree: &Tree,
        link: LinkId,
        request: &Forwarded<'_>,
        out: &mut Outputs,
    ) {
        let Ok(timeout_ms) = Reader::new(request.body).int() else { return };
        if !self.sessions.is_known(request.session) {
            self.sessions.track(now.monotonic_ms, request.session, timeout_ms, None);
        }
        self.own(request.session, Owner::Learner(link));
        self.append_session(now, tree, request.session, timeout_ms, Origin::Server, out);
    }

    fn propose_for(
        &mut self,
        now: Now,
        tree: &Tree,
        link: LinkId,
        packet: &Bytes,
        request: Forwarded<'_>,
        out: &mut Outputs,
    ) {
        let identities = request.authinfo.unwrap_or_default().into_iter().map(Id::into_owned).collect();
        let forwarded = Request {
            conn: ConnId::NOBODY,
            session: request.session,
            xid: request.cxid,
            op: request.op,
            body: packet.slice_ref(request.body),
            identities,
        };
        self.sessions.touch(now.monotonic_ms, request.session);
        match self.check_owner(request.session, Owner::Learner(link)) {
            // Java's learners forward what their own clients may not ask for, too: it is refused as it would be by this server.
            Ok(()) if !read::is_write(forwarded.op) => {
                self.propose_failure(now, tree, &forwarded, ErrorCode::Unimplemented, out);
            }
            Ok(()) => self.propose_request(now, tree, &forwarded, out),
            Err(error) => self.propose_failure(now, tree, &forwarded, error, out),
        }
    }

    /// Whether a request of this session may come from there.
    pub(crate) fn check_owner(&mut self, session: SessionId, from: Owner) -> Result<(), ErrorCode> {
        let may_close = is_on(Mutation::ClosingSessionAccepted) && self.sessions.is_known(session);
        if !self.sessions.is_alive(session) && !may_close {
            return if self.may_be_local_elsewhere(session) {
                Ok(())
            } else {
                Err(ErrorCode::SessionExpired)
            };
        }
        let Some(ensemble) = &mut self.ensemble else { return Ok(()) };
        let owner = *ensemble.owners.entry(session).or_insert(from);
        if owner == from || is_on(Mutation::OwnerCheckSkipped) {
            Ok(())
        } else {
            Err(ErrorCode::SessionMoved)
        }
    }

    pub(crate) fn own(&mut self, session: SessionId, owner: Owner) {
        if let Some(ensemble) = &mut self.ensemble {
            ensemble.owners.insert(session, owner);
        }
    }

    /// A client has brought its session to a learner.
    pub(crate) fn revalidate_for(
        &mut self,
        now: Now,
        link: LinkId,
        session: SessionId,
        timeout_ms: i32,
        out: &mut Outputs,
    ) {
        let is_valid = self.sessions.is_alive(session);
        if is_valid {
            self.own(session, Owner::Learner(link));
            // Whoever had it here is no longer its client.
            if let Some(conn) = self.sessions.hand_over(now.monotonic_ms, session, timeout_ms) {
                out.list.push(Output::Close { conn });
            }
        }
        let ensemble = self.ensemble.as_mut().expect("only a leader is asked");
        let instant = Instant(now.monotonic_ms);
        ensemble.peer.revalidated(instant, link, session, is_valid, &mut ensemble.effects);
    }

    /// Ephemerals whose session is gone were left by servers of long ago (ZooKeeper lost track of some): a leader
    /// ends those sessions once more, as a lone server does at its start.
    pub(crate) fn end_dead_sessions(&mut self, now: Now, tree: &Tree, out: &mut Outputs) {
        let Some(ensemble) = &mut self.ensemble else { return };
        if !std::mem::take(&mut ensemble.looks_for_dead_sessions) || !self.may_propose() {
            return;
        }
        let owners = tree.sessions_with_ephemerals();
        let mut dead: Vec<_> = owners.filter(|owner| tree.session_timeout_ms(*owner).is_none()).collect();
        if is_on(Mutation::SessionsEndedByNewLeader) {
            dead.extend(tree.sessions().map(|(session, _)| session));
        }
        for session in dead {
            out.list.push(Output::Fact(Fact::DeadSession { session }));
            self.close(now, tree, session, 0, Origin::Server, out);
        }
    }
}
