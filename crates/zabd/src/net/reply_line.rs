//! Whose long reply is made now, and who waits for a place for it.
//!
//! A request of a few bytes may ask for many megabytes: for three hundred thousand names, or for the same large znode sixty times.
//! When what many clients watch changes, they all ask at once, and although each of them reads, their replies together would be
//! gigabytes. So a reply longer than [`LONG_REPLY_BYTES`] needs a place among what is kept for all clients *before* it is made:
//!
//! ```text
//! what is kept + the reply ≤ half of bytes_max ──► it is made, and is kept
//!                          > half of bytes_max ──► nothing of the request is done; it stays with its connection, and its
//!                                                  client stands in line
//! ```
//!
//! Places go round in the order in which clients asked, and whoever takes some of what is kept for it lets in who stands in front.
//! A reply longer than a quarter of `bytes_max` needs a quarter: so each has its turn, however long it is. What is kept because of
//! long replies is therefore less than half of `bytes_max`, or a quarter and the longest reply.
//!
//! Whoever reads is never closed for what it has asked for. Whoever does not, while others stand in line, is: when it has taken
//! less than [`TAKEN_BYTES_MIN`] in [`STALLED_MS`], and those first for whom most is kept ([`super::backlog`]).

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed, Ordering::SeqCst, fence};

use parking_lot::Mutex;

use super::budget::Budget;
use super::client::Client;

/// Shorter replies are made at once.
pub const LONG_REPLY_BYTES: usize = 64 << 10;
/// A client for which something is kept takes so much of it in [`STALLED_MS`], or all of it, if it reads.
pub const TAKEN_BYTES_MIN: usize = 256 << 10;
/// See [`TAKEN_BYTES_MIN`]; milliseconds.
pub const STALLED_MS: i64 = 5000;

/// See the module's description.
#[derive(Debug, Default)]
pub struct ReplyLine {
    /// In the order in which they asked.
    line: Mutex<VecDeque<Waiting>>,
    /// How many they are.
    length: AtomicUsize,
}

#[derive(Debug)]
struct Waiting {
    client: Arc<Client>,
    /// How long its reply is.
    bytes: usize,
}

/// Where in the line somebody stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    /// Behind the others.
    Last,
    /// Before them: it had a place, and its reply has become longer than that.
    First,
}

impl ReplyLine {
    /// Takes a place of so many bytes for a client; false if it stands in line from now on.
    pub fn enter(&self, client: &Arc<Client>, bytes: usize, stand: Stand, budget: &Budget) -> bool {
        let mut line = self.line.lock();
        if line.is_empty() && has_place(budget, bytes) {
            budget.add(bytes as isize);
            return true;
        }
        let waiting = Waiting { client: client.clone(), bytes };
        match stand {
            Stand::Last => line.push_back(waiting),
            Stand::First => line.push_front(waiting),
        }
        self.length.store(line.len(), SeqCst);
        drop(line);
        // Whoever made room before it saw somebody in line let nobody in.
        fence(SeqCst);
        self.let_in(budget);
        false
    }

    /// Gives places to those in front, as far as there are any, and wakes them. To be called after room was made.
    pub fn let_in(&self, budget: &Budget) {
        fence(SeqCst);
        if self.length.load(SeqCst) == 0 {
            return;
        }
        let mut line = self.line.lock();
        while let Some(waiting) = line.pop_front_if(|front| has_place(budget, front.bytes)) {
            budget.add(waiting.bytes as isize);
            waiting.client.give_place(waiting.bytes);
            waiting.client.wake();
        }
        self.length.store(line.len(), SeqCst);
    }

    /// A connection has ended; yields the place that it had and did not use, in bytes.
    pub fn leave(&self, client: &Client) -> usize {
        let mut line = self.line.lock();
        line.retain(|waiting| waiting.client.id != client.id);
        self.length.store(line.len(), SeqCst);
        // Places are given under the lock.
        client.take_place()
    }

    /// How much too much is kept for whoever stands in front; nothing if nobody stands in line.
    pub fn missing_bytes(&self, budget: &Budget) -> usize {
        if self.length.load(Relaxed) == 0 {
            return 0;
        }
        let line = self.line.lock();
        line.front()
            .map_or(0, |front| (budget.bytes() + needed(budget, front.bytes)).saturating_sub(half(budget)))
    }
}

fn half(budget: &Budget) -> usize {
    budget.bytes_max() / 2
}

fn needed(budget: &Budget, bytes: usize) -> usize {
    bytes.min(half(budget) / 2)
}

fn has_place(budget: &Budget, bytes: usize) -> bool {
    budget.bytes() + needed(budget, bytes) <= half(budget)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Registry;
    use crate::net::io_thread::ReadyList;

    /// Half of what they may keep is 500 bytes, a quarter 250.
    fn registry() -> Registry {
        Registry::new(1000, usize::MAX)
    }

    fn clients<const N: usize>(registry: &Registry) -> [Arc<Client>; N] {
        let home = Arc::new(ReadyList::default());
        [(); N].map(|()| registry.add(|id| Client::new(id, ([127, 0, 0, 1], 1).into(), 0, home.clone())))
    }

    /// A client asks, and makes its reply if it may.
    fn asks(registry: &Registry, client: &Arc<Client>, bytes: usize) -> bool {
        let may = registry.backlog.take_place(client, bytes, Stand::Last);
        if may {
            client.use_place(bytes);
        }
        may
    }

    /// A client that was let in makes its reply.
    fn is_let_in(client: &Arc<Client>) -> bool {
        let bytes = client.take_place();
        client.use_place(bytes);
        bytes > 0
    }

    fn takes_all(registry: &Registry, client: &Arc<Client>) {
        client.set_unsent(0, Some(0), &registry.backlog);
    }

    #[test]
    fn replies_are_made_in_the_order_in_which_there_is_room_for_them() {
        let registry = registry();
        let [first, second, third, fourth] = clients(&registry);
        assert!(asks(&registry, &first, 200) && asks(&registry, &second, 200));
        assert!(!asks(&registry, &third, 200));
        assert!(!asks(&registry, &fourth, 10), "nobody overtakes who stands in line");
        assert_eq!(registry.backlog.bytes(), 400);
        first.set_unsent(150, Some(0), &registry.backlog);
        assert!(!is_let_in(&third) && !is_let_in(&fourth));
        first.set_unsent(100, Some(0), &registry.backlog);
        assert!(is_let_in(&third) && !is_let_in(&fourth));
        assert_eq!(registry.backlog.bytes(), 500);
        takes_all(&registry, &second);
        assert!(is_let_in(&fourth));
        for client in [&first, &third, &fourth] {
            takes_all(&registry, client);
        }
        assert_eq!(registry.backlog.bytes(), 0);
    }

    #[test]
    fn a_reply_longer_than_everything_has_its_turn_and_is_alone_with_what_was_there() {
        let registry = registry();
        let [small, huge, other] = clients(&registry);
        assert!(asks(&registry, &small, 251));
        assert!(!asks(&registry, &huge, 5000) && !asks(&registry, &other, 5000));
        small.set_unsent(250, Some(0), &registry.backlog);
        assert!(is_let_in(&huge) && !is_let_in(&other));
        // More than all may leave untaken, and nobody is closed, not even for something else.
        let mut kept = 0;
        let _ = huge.post(&[0; 300], false, &mut kept);
        registry.backlog.add(kept);
        assert!(registry.backlog.is_too_much());
        assert!(registry.backlog.close_largest(&registry.lock(), STALLED_MS - 1).is_empty());
        assert_eq!(huge.kept_bytes(), Some(5300));
        huge.take_mail(&mut Vec::new()).unwrap();
        huge.set_unsent(250, Some(0), &registry.backlog);
        assert!(!is_let_in(&other));
        takes_all(&registry, &small);
        assert!(is_let_in(&other));
    }

    #[test]
    fn whoever_is_gone_makes_room() {
        let registry = registry();
        let [first, waiting, given, last] = clients(&registry);
        assert!(asks(&registry, &first, 500));
        assert!(
            !asks(&registry, &waiting, 100) && !asks(&registry, &given, 250) && !asks(&registry, &last, 250)
        );
        registry.remove(waiting.id);
        first.set_unsent(250, Some(0), &registry.backlog);
        assert!(given.has_place() && !last.has_place());
        registry.remove(given.id);
        assert!(is_let_in(&last), "the place was not used");
        registry.remove(first.id);
        registry.remove(last.id);
        assert_eq!(registry.backlog.bytes(), 0);
    }

    #[test]
    fn when_the_front_leaves_the_next_is_let_in_for_whom_there_is_room() {
        let registry = registry();
        let [first, front, next] = clients(&registry);
        assert!(asks(&registry, &first, 300));
        assert!(!asks(&registry, &front, 250) && !asks(&registry, &next, 150));
        registry.remove(front.id);
        assert!(is_let_in(&next));
    }

    #[test]
    fn a_reply_that_has_become_longer_stays_in_front() {
        let registry = registry();
        let [first, grown, last] = clients(&registry);
        assert!(asks(&registry, &first, 500));
        assert!(!asks(&registry, &grown, 100) && !asks(&registry, &last, 100));
        first.set_unsent(400, Some(0), &registry.backlog);
        let given = grown.take_place();
        assert_eq!(given, 100);
        assert!(!registry.backlog.take_place(&grown, 200, Stand::First));
        registry.backlog.add(-(given as isize));
        assert!(!grown.has_place() && !last.has_place());
        first.set_unsent(300, Some(0), &registry.backlog);
        assert!(is_let_in(&grown) && !last.has_place());
    }

    #[test]
    fn whoever_takes_nothing_goes_when_others_wait_the_largest_first() {
        let registry = registry();
        let [small, large, reader, waiting] = clients(&registry);
        for (client, bytes, taken_ms) in [(&small, 50, 0), (&large, 150, 0), (&reader, 300, 1)] {
            assert!(asks(&registry, client, bytes));
            client.set_unsent(bytes, Some(taken_ms), &registry.backlog);
        }
        assert!(registry.backlog.close_stalled(&registry.lock(), STALLED_MS).is_empty(), "nobody waits");
        assert!(!asks(&registry, &waiting, 120));
        assert!(registry.backlog.close_stalled(&registry.lock(), STALLED_MS - 1).is_empty(), "not yet");
        let closed = registry.backlog.close_stalled(&registry.lock(), STALLED_MS);
        assert_eq!(closed.iter().map(|client| client.id).collect::<Vec<_>>(), [large.id]);
        assert!(!waiting.has_place(), "its task has its bytes");
        registry.remove(large.id);
        assert!(is_let_in(&waiting));
    }

    #[test]
    fn when_more_may_be_kept_again_somebody_is_let_in() {
        let registry = registry();
        let [first, waiting] = clients(&registry);
        registry.narrow(Some(400), 0);
        assert!(asks(&registry, &first, 150));
        assert!(!asks(&registry, &waiting, 99));
        registry.narrow(None, 0);
        assert!(is_let_in(&waiting));
    }
}
