//! A server that finds no leader may still be read, if the operator and the client want that: what it shows is
//! what it had when it lost its quorum, which may be old, and may be taken back.
//!
//! It begins when the server has looked for a leader for a while, and ends as soon as one is found: all its clients
//! are closed then, and their sessions are over, since nobody else has heard of them. It votes meanwhile as it would
//! anyway. A server that has lost a part of its files has nothing to show; one that is empty shows that, as Java's does, although it
//! may not vote: a client that has seen more does not stay with it.
//!
//! Java's `ReadOnlyZooKeeperServer` and `ReadOnlyRequestProcessor`. Java asks for `localSessionsEnabled` too and
//! answers clients with bytes that they cannot read if it is not set; here it is not needed.

use zabd_jute::quorum::PeerState;
use zabd_jute::{ErrorCode, OpCode};
use zabd_tree::Tree;

use super::Serving;
use crate::input::{Fact, Now, Output, Outputs, Request, SessionRequest};
use crate::pipeline::{Queued, Replica};

/// How long a leader is looked for at least before reads are served; a tick, if that is longer.
const PATIENCE_MS_MIN: i64 = 2000;

impl Replica {
    /// Whether this server has no leader, and serves reads.
    pub(crate) fn is_read_only(&self) -> bool {
        self.ensemble.as_ref().is_some_and(|ensemble| ensemble.serving == Serving::ReadOnly)
    }

    /// Whether a client may be served by a server without a leader. A session that the ensemble knows may have ended
    /// meanwhile, or may be used elsewhere.
    pub(crate) fn may_read_only(tree: &Tree, request: &SessionRequest) -> bool {
        request.takes_read_only && tree.session_timeout_ms(request.session).is_none()
    }

    /// Begins or ends it, whenever something has happened between servers.
    pub(crate) fn consider_read_only(&mut self, now: Now, out: &mut Outputs) {
        let Some(ensemble) = self.ensemble.as_mut().filter(|_| self.options.member.read_only) else { return };
        let is_looking = ensemble.peer.state() == PeerState::Looking
            && ensemble.peer.may_be_read()
            && !ensemble.settling
            && !ensemble.is_retiring;
        if !is_looking {
            ensemble.read_only_from = None;
            self.end_read_only(out);
            return;
        }
        let patience_ms = self.options.timeouts.tick_ms.max(PATIENCE_MS_MIN);
        let from_ms = *ensemble.read_only_from.get_or_insert(now.monotonic_ms + patience_ms);
        if ensemble.serving == Serving::Nobody && from_ms <= now.monotonic_ms {
            ensemble.serving = Serving::ReadOnly;
            out.list.push(Output::Fact(Fact::ReadOnlyBegun));
        }
    }

    /// A leader was found: those who were served without one are not served any more.
    pub(crate) fn end_read_only(&mut self, out: &mut Outputs) {
        let Some(ensemble) = self.ensemble.as_mut().filter(|each| each.serving == Serving::ReadOnly) else {
            return;
        };
        ensemble.serving = Serving::Nobody;
        self.local.forget_all();
        self.queue.clear();
        self.close_all(out);
    }

    /// A request of a session that has begun without a leader.
    pub(crate) fn on_read_only_request(&mut self, request: Request, out: &mut Outputs) {
        let Request { conn, xid, .. } = request;
        let queued = if needs_a_leader(request.op) {
            Queued::Refused { conn, xid, error: ErrorCode::NotReadOnly }
        } else {
            Queued::Read(request)
        };
        self.enqueue(queued, out);
    }
}

fn needs_a_leader(op: i32) -> bool {
    crate::read::is_write(op) || op == OpCode::Sync.code()
}
