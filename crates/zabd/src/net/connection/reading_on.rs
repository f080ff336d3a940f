//! What a client says while it does not take what it is told.
//!
//! Nothing is done for a client that has much to take: its requests wait. Some clients say all that they have to say before they
//! listen for the first time, and as long as nobody reads what they say they never come to listening. So it is read on and kept,
//! up to a bound of each and one of all together; beyond that they stand still. Java makes all replies at once, and keeps those.

use super::{CHUNK_BYTES, Connection, Phase, UNSENT_BYTES_PAUSE};

/// So much is kept of a client.
const AHEAD_BYTES_MAX: usize = 8 << 20;

impl Connection {
    /// Whether it is read although nothing is done of what it says. Whoever has anything unsent while all clients together have much of
    /// that is not.
    pub(super) fn may_read_on(&self) -> bool {
        let ahead = &self.service.driver.registry.ahead;
        self.phase == Phase::Open
            && self.pause_bytes == UNSENT_BYTES_PAUSE
            && self.is_unsent_much()
            && self.proving.is_none()
            && !self.is_at_end
            && self.input.len() < AHEAD_BYTES_MAX
            && ahead.bytes() < ahead.bytes_max()
    }

    /// The room for what is read on, which is of many requests: it grows as fast as they come.
    pub(super) fn wanted_ahead(&self) -> usize {
        if self.is_unsent_much() { (2 * self.input.capacity()).min(AHEAD_BYTES_MAX + CHUNK_BYTES) } else { 0 }
    }

    /// Says at the end of a turn what is kept of it; `is_begun` is whether that is a request which has come only in part.
    pub(super) fn settle_ahead(&mut self, is_begun: bool) {
        let bytes = if is_begun { 0 } else { self.input.capacity().saturating_sub(CHUNK_BYTES) };
        let before = std::mem::replace(&mut self.ahead_bytes, bytes);
        if bytes != before {
            self.service.driver.registry.ahead.add(bytes as isize - before as isize);
        }
    }
}
