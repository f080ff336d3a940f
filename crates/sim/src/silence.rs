//! Which sessions may be ended by somebody else than their clients: those of which a leader has heard nothing for their timeout.
//!
//! A leader gives every session that it finds in its tree the whole timeout from the moment in which it begins, and again
//! with each sign of life that reaches it: the session's beginning, what the session's client asks this server for, what a learner
//! forwards for it, and the sessions that a learner names in its answer to a ping. So whoever proposes the end of a session that did
//! not ask for it must have led for that long, and heard none of these for that long. What is on its way, lost, held back by a cut, or
//! waits while the leader sleeps, has not reached it; the time is that of the world, which no server's clock of the day moves. Nothing
//! is said of sessions that end too late: in the end all do.

use std::collections::BTreeMap;

use zabd_jute::{Epoch, SessionId, Zxid};

/// See the module's description.
#[derive(Debug, Default)]
pub struct Silence {
    /// When each leader began.
    began_ms: BTreeMap<Epoch, i64>,
    /// When a leader heard of a session last, and in which epoch.
    heard: BTreeMap<SessionId, (Epoch, i64)>,
}

impl Silence {
    /// A leader begins.
    pub fn begin(&mut self, epoch: Epoch, now_ms: i64) {
        self.began_ms.insert(epoch, now_ms);
    }

    /// A sign of life reaches the leader of this epoch. One of an earlier epoch, behind whose back somebody else leads, counts for its
    /// own proposals only, which are not heard by anybody any more.
    pub fn hear(&mut self, epoch: Epoch, session: SessionId, now_ms: i64) {
        let heard = self.heard.entry(session).or_insert((epoch, now_ms));
        *heard = (*heard).max((epoch, now_ms));
    }

    /// The leader proposes to end it, unasked.
    pub fn assert_long(&self, session: SessionId, zxid: Zxid, now_ms: i64, timeout_ms: i32) {
        let epoch = zxid.epoch();
        let began_ms = *self.began_ms.get(&epoch).expect("who proposes has begun to lead");
        let heard = self.heard.get(&session).filter(|(by, _)| *by == epoch);
        let last_ms = heard.map_or(began_ms, |(_, heard_ms)| began_ms.max(*heard_ms));
        assert!(
            i64::from(timeout_ms) <= now_ms - last_ms,
            "{zxid} ends session {session} at {now_ms}, and its leader began at {began_ms} and heard of it at {heard:?}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(silence: &Silence, epoch: i64, now_ms: i64) -> bool {
        let zxid = Epoch(epoch).first_zxid().next();
        std::panic::catch_unwind(|| silence.assert_long(SessionId(7), zxid, now_ms, 1500)).is_ok()
    }

    #[test]
    fn a_session_is_ended_when_its_leader_has_heard_nothing_for_its_timeout() {
        let mut silence = Silence::default();
        silence.begin(Epoch(1), 100);
        assert!(!ends(&silence, 1, 1599) && ends(&silence, 1, 1600), "it was there when the leader began");
        silence.hear(Epoch(1), SessionId(7), 1000);
        assert!(!ends(&silence, 1, 2499) && ends(&silence, 1, 2500));
        silence.begin(Epoch(2), 2400);
        assert!(
            !ends(&silence, 2, 3899) && ends(&silence, 2, 3900),
            "the next leader gives it as much again"
        );
        silence.hear(Epoch(1), SessionId(7), 3000);
        assert!(ends(&silence, 2, 3900), "what reaches a leader of the past is not known to another");
    }
}
