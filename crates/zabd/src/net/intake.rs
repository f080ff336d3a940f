//! How much of requests is on its way, and who waits until it is less: in the pipeline, and before that, while they come.
//!
//! A request in the pipeline is in memory several times ([`COPIES`]). A client that has unanswered ones sends no more while all of
//! them together are longer than the bound; but many clients with one large request each would be many times the bound. So a request
//! of more than [`SMALL_BYTES`] enters only while there is room for it, and its client stands in line otherwise, in the order in which
//! they came. One is always let in, however long it is, and small ones pass: deletes are the way out of what is too much.
//!
//! Where memory has a limit, the same holds for a request that does not come at once: as soon as its length is known it needs room for
//! that, and until it has, its client is not read. Whoever has room and does not complete its request, while others wait, is closed
//! ([`super::half_frames`]).

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};

use parking_lot::Mutex;

use super::client::Client;

/// A request in flight is in memory several times: as it came, as a record, and in the tree.
pub const COPIES: usize = 4;
/// Shorter requests do not wait.
const SMALL_BYTES: usize = 4 << 10;

/// On which part of its way a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It comes.
    Coming,
    /// It is in the pipeline.
    InFlight,
}

/// See the module's description.
#[derive(Debug)]
pub struct Intake {
    way: Way,
    /// What all requests may have together as a rule.
    configured: usize,
    /// What they may have now: less, while memory is nearly used up.
    bytes_max: AtomicUsize,
    /// How long the bodies are of those in flight, and of those that were let in.
    bytes: AtomicUsize,
    line: Mutex<VecDeque<Waiting>>,
    /// How many stand in it.
    length: AtomicUsize,
}

#[derive(Debug)]
struct Waiting {
    client: Arc<Client>,
    /// How long its request is.
    bytes: usize,
}

impl Intake {
    /// All requests may have so much.
    pub fn new(way: Way, bytes_max: usize) -> Self {
        Self {
            way,
            configured: bytes_max,
            bytes_max: AtomicUsize::new(bytes_max),
            bytes: AtomicUsize::new(0),
            line: Mutex::default(),
            length: AtomicUsize::new(0),
        }
    }

    /// How much they may have now.
    pub fn bytes_max(&self) -> usize {
        self.bytes_max.load(Relaxed)
    }

    /// How much they have.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Relaxed)
    }

    /// Whether they have a bound at all.
    pub fn is_bounded(&self) -> bool {
        self.bytes_max() != usize::MAX
    }

    /// Whether anybody stands in line.
    pub fn has_waiting(&self) -> bool {
        self.length.load(Relaxed) > 0
    }

    /// They may have only so much for now, or as much as ever.
    pub fn narrow(&self, bytes_max: Option<usize>) {
        let bytes_max = bytes_max.map_or(self.configured, |bytes_max| bytes_max.min(self.configured));
        self.bytes_max.store(bytes_max, SeqCst);
        self.let_in();
    }

    /// Requests enter the pipeline.
    pub fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Relaxed);
    }

    /// Requests were answered, or nobody waits for that any more.
    pub fn remove(&self, bytes: usize) {
        // In one order with what `enter` does: whoever makes room sees who stands in line, or that one sees the room.
        self.bytes.fetch_sub(bytes, SeqCst);
        self.let_in();
    }

    /// Whether a request may enter now, behind `others` bytes of the same client; if not, the client stands in line from now on, and is
    /// woken when it may.
    pub fn enter(&self, client: &Arc<Client>, others: usize, bytes: usize) -> bool {
        if bytes <= SMALL_BYTES || (self.length.load(Relaxed) == 0 && self.has_room(others + bytes, others)) {
            return true;
        }
        let mut line = self.line.lock();
        line.push_back(Waiting { client: client.clone(), bytes });
        self.length.store(line.len(), SeqCst);
        drop(line);
        self.let_in();
        false
    }

    /// A client does not want to enter any more, or cannot use it that it may.
    pub fn leave(&self, client: &Client) {
        let mut line = self.line.lock();
        line.retain(|waiting| waiting.client.id != client.id);
        self.length.store(line.len(), SeqCst);
        // Leave to enter is given under the lock.
        let unused = client.take_entry(self.way);
        drop(line);
        self.remove(unused);
    }

    /// A client enters that was let in.
    pub fn use_entry(&self, client: &Client) -> bool {
        let bytes = client.take_entry(self.way);
        self.bytes.fetch_sub(bytes, Relaxed);
        bytes > 0
    }

    fn has_room(&self, bytes: usize, others: usize) -> bool {
        let taken = self.bytes.load(SeqCst);
        taken + others == 0 || taken + bytes <= self.bytes_max.load(SeqCst)
    }

    fn let_in(&self) {
        if self.length.load(SeqCst) == 0 {
            return;
        }
        let mut line = self.line.lock();
        while let Some(waiting) = line.pop_front_if(|front| self.has_room(front.bytes, 0)) {
            self.add(waiting.bytes);
            waiting.client.give_entry(self.way, waiting.bytes);
            waiting.client.wake();
        }
        self.length.store(line.len(), SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Registry;
    use crate::net::io_thread::ReadyList;

    const LONG: usize = 10_000;

    fn client(registry: &Registry) -> Arc<Client> {
        let home = Arc::new(ReadyList::default());
        registry.add(|id| Client::new(id, ([127, 0, 0, 1], 1).into(), 0, home))
    }

    fn registry() -> Registry {
        Registry::new(usize::MAX, usize::MAX, usize::MAX, 2 * LONG)
    }

    #[test]
    fn large_requests_enter_one_behind_the_other_and_small_ones_pass() {
        let registry = registry();
        let intake = &registry.intake;
        let [first, second, third, small] = [(); 4].map(|()| client(&registry));
        assert!(intake.enter(&first, 0, 3 * LONG), "one is always let in");
        intake.add(3 * LONG);
        assert!(!intake.enter(&second, 0, LONG) && !intake.enter(&third, 0, 2 * LONG));
        assert!(intake.enter(&small, 0, 100));
        assert!(!second.has_entry(Way::InFlight));
        intake.remove(3 * LONG);
        assert!(second.has_entry(Way::InFlight) && !third.has_entry(Way::InFlight));
        assert!(intake.use_entry(&second));
        intake.add(LONG);
        intake.remove(LONG);
        assert!(intake.use_entry(&third) && !intake.use_entry(&third));
        assert_eq!(intake.bytes(), 0);
    }

    #[test]
    fn a_client_that_sends_many_large_ones_waits_for_its_own() {
        let registry = registry();
        let one = client(&registry);
        assert!(registry.intake.enter(&one, 0, LONG) && registry.intake.enter(&one, LONG, LONG));
        assert!(!registry.intake.enter(&one, 2 * LONG, LONG));
    }

    #[test]
    fn whoever_is_gone_makes_room() {
        let registry = registry();
        let intake = &registry.intake;
        let [waiting, given, last] = [(); 3].map(|()| client(&registry));
        intake.add(2 * LONG);
        assert!(!intake.enter(&waiting, 0, 2 * LONG));
        assert!(!intake.enter(&given, 0, 2 * LONG) && !intake.enter(&last, 0, LONG));
        registry.remove(waiting.id);
        intake.remove(2 * LONG);
        assert!(given.has_entry(Way::InFlight) && !last.has_entry(Way::InFlight));
        registry.remove(given.id);
        assert!(last.has_entry(Way::InFlight));
        registry.remove(last.id);
        assert_eq!(intake.bytes(), 0);
    }

    /// What a client may do with one of its requests says nothing of another one.
    #[test]
    fn both_ways_are_apart() {
        let registry = Registry::new(usize::MAX, usize::MAX, LONG, LONG);
        let one = client(&registry);
        registry.coming.add(LONG);
        assert!(!registry.coming.enter(&one, 0, LONG) && registry.intake.enter(&one, 0, LONG));
        registry.coming.remove(LONG);
        assert!(!registry.intake.use_entry(&one) && registry.coming.use_entry(&one));
        assert!(!registry.coming.has_waiting());
        assert_eq!((registry.coming.bytes(), registry.intake.bytes()), (0, 0));
    }

    #[test]
    fn when_there_may_be_more_again_somebody_is_let_in() {
        let registry = registry();
        let waiting = client(&registry);
        registry.intake.narrow(Some(100));
        registry.intake.add(100);
        assert!(!registry.intake.enter(&waiting, 0, LONG));
        registry.intake.narrow(None);
        assert!(waiting.has_entry(Way::InFlight));
    }
}
