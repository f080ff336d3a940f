//! Requests that took long, from where they came to where their answers go: see [`crate::slow`].

use zabd_jute::{OpCode, Zxid};

use super::telling::answers_in;
use super::{Connection, Unanswered};
use crate::slow::{Answered, SlowOperation};

impl Connection {
    /// So many of the oldest requests are answered, by what stands in the output from `begin` on.
    pub(super) fn tell_slow(&self, answered: usize, begin: usize, now_ms: i64) {
        let slow = &self.service.driver.slow;
        // The oldest come first.
        if self.unanswered.front().is_none_or(|oldest| !slow.is_slow(now_ms - oldest.came_ms)) {
            return;
        }
        for (request, (_, zxid, _)) in
            self.unanswered.iter().take(answered).zip(answers_in(&self.out[begin..]))
        {
            self.tell_slow_one(request, Answered::At(Zxid(zxid)), now_ms);
        }
    }

    /// Nobody will hear what comes of those that are left.
    pub(super) fn tell_slow_unanswered(&self) {
        if self.unanswered.is_empty() {
            return;
        }
        let now_ms = self.service.driver.clock.monotonic_ms();
        for request in &self.unanswered {
            self.tell_slow_one(request, Answered::Never, now_ms);
        }
    }

    fn tell_slow_one(&self, request: &Unanswered, answered: Answered, ended_ms: i64) {
        let slow = &self.service.driver.slow;
        let Unanswered { came_ms, xid, about, .. } = request;
        if slow.is_slow(ended_ms - came_ms) {
            let (session, xid, came_ms) = (self.session, Some(*xid), *came_ms);
            slow.tell(&SlowOperation { session, xid, about, came_ms, ended_ms, answered });
        }
    }

    /// The session began, for which this connection has asked.
    pub(super) fn tell_slow_session(&self, came_ms: i64, ended_ms: i64, zxid: Option<Zxid>) {
        let driver = &self.service.driver;
        if driver.slow.is_slow(ended_ms - came_ms) {
            let about = driver.slow.about(OpCode::CreateSession.code(), &[]);
            let session = self.session;
            let (xid, answered) = (None, zxid.map_or(Answered::Unnumbered, Answered::At));
            driver.slow.tell(&SlowOperation { session, xid, about: &about, came_ms, ended_ms, answered });
        }
    }
}
