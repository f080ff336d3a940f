//! Clients that come between two roles.
//!
//! When a reconfiguration takes the lead from a server, or a leader hands over or is lost, every member is without a role
//! for some milliseconds, and all of them at the same time. A client that is turned away by one member tries the others; turned
//! away by all, many a client library gives up what it was asked for. So for a short time behind the end of a role a connect
//! request is not refused: it waits, and is served as soon as this server serves again. It waits in memory only, and so many
//! may.
//!
//! What a server in a role was asked for by a connect request, and has no answer to, is asked for again in the next one: a
//! session that is brought lives or does not, and a new one of which nobody was told ends by itself.
//!
//! Java turns all of them away.

use std::collections::BTreeSet;

use zabd_tree::Tree;
use zabd_zab::effect::Reason;

use super::Serving;
use crate::input::{ConnId, Now, Output, Outputs, SessionRequest};
use crate::pipeline::Replica;

/// How long behind the end of a role; a client that another member would serve does not wait for long.
const HELD_MS_MAX: i64 = 500;

/// How many connect requests may wait.
const HELD_MAX: usize = 10_000;

/// Whoever brings a longer password than servers give has nothing to wait for.
const PASSWORD_BYTES_MAX: usize = 16;

/// The connect requests that wait, oldest first.
#[derive(Debug, Default)]
pub(super) struct Held {
    requests: Vec<(ConnId, SessionRequest)>,
    until_ms: Option<i64>,
}

impl Held {
    /// A role is over. A server that is about to end has no other one to wait for.
    pub(super) fn begin(&mut self, now: Now, reason: Reason) {
        self.until_ms = (!reason.is_retirement()).then_some(now.monotonic_ms + HELD_MS_MAX);
    }

    /// Keeps a connect request, if it may still wait and there is room.
    pub(super) fn take(&mut self, now: Now, conn: ConnId, request: SessionRequest) -> bool {
        let is_early = self.until_ms.is_some_and(|until_ms| now.monotonic_ms < until_ms);
        let may_wait =
            is_early && self.requests.len() < HELD_MAX && request.password.len() <= PASSWORD_BYTES_MAX;
        if may_wait {
            self.requests.push((conn, request));
        }
        may_wait
    }

    /// The connection is gone.
    pub(super) fn forget(&mut self, conn: ConnId) {
        self.requests.retain(|(waiting, _)| *waiting != conn);
    }

    /// When those that wait have waited long enough.
    pub(super) fn due_ms(&self) -> Option<i64> {
        self.until_ms.filter(|_| !self.requests.is_empty())
    }

    /// Whose requests wait.
    pub(super) fn conns(&self) -> BTreeSet<ConnId> {
        self.requests.iter().map(|(conn, _)| *conn).collect()
    }
}

impl Replica {
    /// Lets a connect request wait for the next role; false if it is not to wait.
    pub(crate) fn hold(&mut self, now: Now, conn: ConnId, request: &SessionRequest) -> bool {
        if self.serves_clients() {
            return false;
        }
        let Some(ensemble) = &mut self.ensemble else { return false };
        // A leader that has no clients will have none.
        ensemble.serving != Serving::Leading && ensemble.held.take(now, conn, request.clone())
    }

    /// Those who wait for a role have their turn, or have waited long enough.
    pub(super) fn consider_held(&mut self, now: Now, tree: &Tree, out: &mut Outputs) {
        let serves = self.serves_clients();
        let Some(ensemble) = &mut self.ensemble else { return };
        let is_late = ensemble.held.due_ms().is_some_and(|due_ms| due_ms <= now.monotonic_ms);
        if serves || is_late || ensemble.serving == Serving::Leading {
            for (conn, request) in std::mem::take(&mut ensemble.held.requests) {
                self.on_connect(now, tree, conn, &request, out);
            }
        }
    }

    /// Closes all connections but those that wait.
    pub(super) fn close_all(&mut self, out: &mut Outputs) {
        let but = self.ensemble.as_ref().map(|ensemble| ensemble.held.conns()).unwrap_or_default();
        out.list.push(Output::CloseAll { but });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Now {
        Now { monotonic_ms: ms, wall_ms: 0 }
    }

    fn request(password: usize) -> SessionRequest {
        SessionRequest { password: vec![0; password], ..SessionRequest::for_a_new_one(4000, true) }
    }

    #[test]
    fn what_waits_is_bounded_in_time_number_and_size() {
        let mut held = Held::default();
        assert!(!held.take(at(0), ConnId(0), request(16)), "there was no role");
        held.begin(at(100), Reason::LeaderClosed);
        assert_eq!(held.due_ms(), None, "nobody waits");
        assert!(!held.take(at(100), ConnId(0), request(17)));
        assert!((0..HELD_MAX as u64).all(|conn| held.take(at(100), ConnId(conn), request(16))));
        assert!(!held.take(at(100), ConnId(u64::MAX), request(16)));
        assert_eq!(held.due_ms(), Some(100 + HELD_MS_MAX));
        held.forget(ConnId(3));
        assert!(!held.take(at(100 + HELD_MS_MAX), ConnId(3), request(16)));
        assert!(held.take(at(99 + HELD_MS_MAX), ConnId(3), request(16)));
    }

    #[test]
    fn a_server_that_ends_holds_nobody() {
        let mut held = Held::default();
        held.begin(at(0), Reason::HandedOver);
        assert!(!held.take(at(0), ConnId(0), request(0)));
    }
}
