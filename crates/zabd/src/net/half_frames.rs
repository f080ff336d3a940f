//! Requests that have come only in part: what all clients together may have begun and not completed.
//!
//! What has come of a frame is kept until the rest is there. One frame is bounded by `jute.maxbuffer`, but ten thousand clients
//! that each send a megabyte but for its last byte would make the server keep ten gigabytes. So the memory that parts stand in
//! is added up, and above `zabd.incompleteMaxBytes` connections are closed, until three quarters are left.
//!
//! *Which* ones is told by how much they keep times for how long they have: a client that sends a large request is done with it
//! soon, one that never will be keeps what it has. Nobody is made to wait meanwhile: to leave sockets unread would let those who
//! never complete their requests hold up those who do. Only where memory has a limit, and little of it is left for this, large requests
//! wait for each other ([`super::intake`]); then those go that do not get on. Java has no bound, and takes memory for a frame when it is
//! announced.
//!
//! What has come whole and waits for the server (because too much is unsent or in flight) does not count here: it is bounded
//! by one chunk per connection, and its client cannot do anything about it.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::budget::Budget;
use super::client::{Client, Clients};

/// A request that takes more is a large one.
pub const LARGE_BYTES: usize = 64 << 10;
/// How long nothing may come of a large request while others wait, and how long all of it may take, in milliseconds.
const IDLE_MS: i64 = 1000;
const SLOW_MS: i64 = 10_000;

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

    /// How much there is.
    pub fn bytes(&self) -> usize {
        self.budget.bytes()
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

/// While others wait for room for large requests, closes those who have begun one and do not get on with it; yields who must be
/// woken. To be called now and then.
#[must_use = "whom it yields must be woken"]
pub fn close_slow(clients: &Clients<'_>, now_ms: i64) -> Vec<Arc<Client>> {
    let mut to_wake = Vec::new();
    for client in clients.iter() {
        let Some((bytes, since_ms)) = client.half_frame() else { continue };
        let took_ms = now_ms - since_ms;
        let idle_ms = took_ms.min(now_ms - client.counters.heard_ms.load(Relaxed));
        if bytes > LARGE_BYTES && (idle_ms >= IDLE_MS || took_ms >= SLOW_MS) {
            tracing::warn!(
                "Closing the connection from {}: it has sent a part of a request for {took_ms}ms, which takes {bytes} bytes, \
                 and others wait for memory for theirs",
                client.address,
            );
            to_wake.extend(client.post_abort());
        }
    }
    to_wake
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
    fn when_others_wait_a_large_request_has_to_get_on() {
        let registry = Registry::new(usize::MAX, usize::MAX, 1 << 20, usize::MAX);
        let [idle, small, begun, gets_on, slow, waiting] = [(); 6].map(|()| client(&registry));
        let now_ms = 100_000;
        let begin = |client: &Client, bytes: usize, ago_ms: i64, heard_ago_ms: i64| {
            client.set_half_frame(bytes, now_ms - ago_ms, &registry.half_frames);
            client.counters.heard_ms.store(now_ms - heard_ago_ms, Relaxed);
        };
        begin(&idle, LARGE_BYTES + 1, IDLE_MS, IDLE_MS);
        begin(&small, LARGE_BYTES, IDLE_MS, IDLE_MS);
        // It was not read for a while.
        begin(&begun, LARGE_BYTES + 1, IDLE_MS - 1, 2 * IDLE_MS);
        begin(&gets_on, LARGE_BYTES + 1, SLOW_MS - 1, IDLE_MS - 1);
        begin(&slow, LARGE_BYTES + 1, SLOW_MS, 0);
        registry.look_after_line(now_ms);
        assert!(!is_closed(&idle) && !is_closed(&slow), "nobody waits");
        registry.coming.add(1 << 20);
        assert!(!registry.coming.enter(&waiting, 0, 1 << 20));
        registry.look_after_line(now_ms);
        assert!(is_closed(&idle) && is_closed(&slow));
        assert!(![&small, &begun, &gets_on].into_iter().any(|client| is_closed(client)));
    }

    #[test]
    fn who_keeps_much_for_long_goes_and_who_is_about_to_be_done_stays() {
        let registry = Registry::new(usize::MAX, 1000, usize::MAX, usize::MAX);
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
