//! Requests that have come only in part: what all clients together may have begun and not completed.
//!
//! What has come of a frame is kept until the rest is there. One frame is bounded by `jute.maxbuffer`, but ten thousand clients
//! that each send a megabyte but for its last byte would make the server keep ten gigabytes. So the memory that parts stand in
//! is added up, and above `zabd.incompleteMaxBytes` connections are closed, until three quarters are left.
//!
//! *Which* ones is told by how much they keep times for how long they have: a client that sends a large request is done with it
//! soon, one that never will be keeps what it has. Nobody is made to wait meanwhile: to leave sockets unread would let those who
//! never complete their requests hold up those who do. Java has no bound, and takes memory for a frame when it is announced.
//!
//! What has come whole and waits for the server (because too much is unsent or in flight) does not count here: it is bounded
//! by one chunk per connection, and its client cannot do anything about it.

use std::sync::Arc;

use super::budget::Budget;
use super::client::{Client, Clients};

/// See the module's description.
#[derive(Debug)]
pub struct HalfFrames {
    budget: Budget,
}

impl HalfFrames {
    /// All clients may keep so much.
    pub fn new(bytes_max: usize) -> Self {
        Self { budget: Budget::new(bytes_max) }
    }

    /// They may keep only so much for now, or as much as ever.
    pub fn narrow(&self, bytes_max: Option<usize>) {
        self.budget.narrow(bytes_max);
    }

    /// What clients keep has become more, or less.
    pub fn add(&self, change: isize) {
        self.budget.add(change);
    }

    /// Whether clients must be closed: to be asked after something was added.
    pub fn is_too_much(&self) -> bool {
        self.budget.is_too_much()
    }

    /// Closes those who keep most for longest; yields who must be woken.
    #[must_use = "whom it yields must be woken"]
    pub fn close_worst(&self, clients: &Clients<'_>, now_ms: i64) -> Vec<Arc<Client>> {
        let badness = |bytes: usize, since_ms: i64| bytes as u128 * (1 + (now_ms - since_ms).max(0) as u128);
        let mut kept: Vec<_> = clients
            .iter()
            .filter_map(|client| client.half_frame().map(|(bytes, since_ms)| (bytes, (since_ms, client))))
            .collect();
        kept.sort_unstable_by_key(|(bytes, (since_ms, _))| std::cmp::Reverse(badness(*bytes, *since_ms)));
        let mut to_wake = Vec::new();
        for (bytes, (since_ms, client)) in self.budget.worst(kept) {
            tracing::warn!(
                "Closing the connection from {}: it has sent a part of a request for {}ms, which takes {bytes} bytes, and all \
                 clients together have more than zabd.incompleteMaxBytes={} of such parts",
                client.address,
                now_ms - since_ms,
                self.budget.bytes_max(),
            );
            to_wake.extend(client.post_refusal());
        }
        self.budget.note_closed();
        to_wake
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Registry;
    use crate::net::io_thread::ReadyList;

    fn client(registry: &Registry) -> Arc<Client> {
        let home = Arc::new(ReadyList::default());
        registry.add(|id| Client::new(id, ([127, 0, 0, 1], 1).into(), 0, home))
    }

    fn is_closed(client: &Client) -> bool {
        client.take_mail(&mut Vec::new()).is_some_and(|mail| mail.abort)
    }

    #[test]
    fn who_keeps_much_for_long_goes_and_who_is_about_to_be_done_stays() {
        let registry = Registry::new(usize::MAX, 1000);
        let [slow, slower, fast] = [(); 3].map(|()| client(&registry));
        slow.set_half_frame(200, 1000, &registry.half_frames);
        slower.set_half_frame(300, 1000, &registry.half_frames);
        fast.set_half_frame(500, 8999, &registry.half_frames);
        assert!(!registry.half_frames.is_too_much());
        fast.set_half_frame(700, 8999, &registry.half_frames);
        assert!(registry.half_frames.is_too_much());
        let woken = registry.half_frames.close_worst(&registry.lock(), 9000);
        assert_eq!(woken.len(), 2);
        assert!(is_closed(&slow) && is_closed(&slower) && !is_closed(&fast));
        // What they keep is freed by their own threads, and closes nobody else until then.
        assert!(!registry.half_frames.is_too_much());
        registry.remove(slow.id);
        registry.remove(slower.id);
        fast.set_half_frame(1000, 8999, &registry.half_frames);
        assert!(!registry.half_frames.is_too_much());
        fast.set_half_frame(1001, 8999, &registry.half_frames);
        assert!(registry.half_frames.is_too_much());
        fast.set_half_frame(0, 8999, &registry.half_frames);
        assert!(!registry.half_frames.is_too_much());
        assert_eq!(registry.half_frames.budget.bytes(), 0);
    }
}
