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
//! such replies is therefore less than half of `bytes_max`, or a quarter and the longest reply.
//!
//! Those of at most [`PASSING_BYTES_MAX`] pass the others, as long as `bytes_max` is not reached; above that they have a line of
//! their own. So a list of a few thousand names does not wait for those who take hundreds of thousands.
//!
//! Whoever reads is never closed for what it has asked for. Whoever does not, while others stand in line, is: when it has taken
//! less than [`TAKEN_BYTES_MIN`] in [`STALLED_MS`], or sooner if many wait, and those first for whom most is kept
//! ([`super::backlog`]). Whoever stands in line is alive as long as its pings come, which stand behind the request that waits; and if
//! so much has come that no more is read, as long as its socket is open.
//!
//! Hundreds of clients may hang at once, on the other side of a broken switch, and stand in line with what they asked for before. Each of
//! them would have its place until it has stalled, one dozen after the other, and those who live would wait for all of them. So whoever
//! says something while it stands in line, be it a ping, goes before all those who have not.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed, Ordering::SeqCst, fence};

use parking_lot::Mutex;

use super::budget::Budget;
use super::client::Client;

/// Shorter replies are made at once.
pub const LONG_REPLY_BYTES: usize = 64 << 10;
/// These pass the longer ones; fewer where the bound is low.
pub const PASSING_BYTES_MAX: usize = 256 << 10;
/// So many of them fit below the bound.
const PASSING_AT_ONCE_MIN: usize = 64;
/// A client for which something is kept takes so much of it in [`STALLED_MS`], or all of it, if it reads. The kernel says that it
/// takes more in steps that are not much larger.
pub const TAKEN_BYTES_MIN: usize = 64 << 10;
/// See [`TAKEN_BYTES_MIN`]; milliseconds.
pub const STALLED_MS: i64 = 5000;
/// The same while many stand in line. A client may do nothing for about a second and be well.
const STALLED_MS_MIN: i64 = 2000;
/// For each so many who stand in line, those who take nothing have a part less of the time.
const WAITING_PER_PART: usize = 8;

/// See the module's description.
#[derive(Debug, Default)]
pub struct ReplyLine {
    lines: Mutex<Lines>,
    /// How many stand in them.
    length: AtomicUsize,
}

#[derive(Debug, Default)]
struct Lines {
    long: Waiters,
    passing: Waiters,
}

impl Lines {
    fn length(&self) -> usize {
        self.long.length() + self.passing.length()
    }

    fn of(&mut self, bytes: usize, budget: &Budget) -> &mut Waiters {
        if may_pass(budget, bytes) { &mut self.passing } else { &mut self.long }
    }

    fn iter(&self) -> impl Iterator<Item = &Waiting> {
        self.long.iter().chain(self.passing.iter())
    }
}

/// One line: who was heard in it, in the order of that, then the others in the order in which they asked.
#[derive(Debug, Default)]
struct Waiters {
    heard: VecDeque<Waiting>,
    others: VecDeque<Waiting>,
}

impl Waiters {
    fn length(&self) -> usize {
        self.heard.len() + self.others.len()
    }

    fn iter(&self) -> impl Iterator<Item = &Waiting> {
        self.heard.iter().chain(&self.others)
    }

    fn front(&self) -> Option<&Waiting> {
        self.iter().next()
    }

    fn pop_front_if(&mut self, mut may_go: impl FnMut(&mut Waiting) -> bool) -> Option<Waiting> {
        if self.heard.is_empty() {
            self.others.pop_front_if(may_go)
        } else {
            self.heard.pop_front_if(&mut may_go)
        }
    }

    fn hear(&mut self, client: &Client) {
        let place = self.others.iter().position(|waiting| waiting.client.id == client.id);
        self.heard.extend(place.and_then(|place| self.others.remove(place)));
    }

    fn leave(&mut self, client: &Client) {
        for waiters in [&mut self.heard, &mut self.others] {
            waiters.retain(|waiting| waiting.client.id != client.id);
        }
    }
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
        let mut lines = self.lines.lock();
        let line = lines.of(bytes, budget);
        if line.front().is_none() && has_place(budget, bytes) {
            budget.add(bytes as isize);
            return true;
        }
        let waiting = Waiting { client: client.clone(), bytes };
        match stand {
            Stand::Last => line.others.push_back(waiting),
            Stand::First => line.heard.push_front(waiting),
        }
        self.length.store(lines.length(), SeqCst);
        drop(lines);
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
        let mut lines = self.lines.lock();
        let Lines { long, passing } = &mut *lines;
        for line in [long, passing] {
            while let Some(waiting) = line.pop_front_if(|front| has_place(budget, front.bytes)) {
                budget.add(waiting.bytes as isize);
                waiting.client.give_place(waiting.bytes);
                waiting.client.wake();
            }
        }
        self.length.store(lines.length(), SeqCst);
    }

    /// A client that may stand in line has said something.
    pub fn hear(&self, client: &Client, budget: &Budget) {
        let mut lines = self.lines.lock();
        lines.long.hear(client);
        lines.passing.hear(client);
        drop(lines);
        // Its reply may be shorter than that of whoever stood before it.
        self.let_in(budget);
    }

    /// For how long a client may take nothing while others stand in line; milliseconds.
    pub fn patience_ms(&self) -> i64 {
        let parts = 1 + self.length.load(Relaxed) / WAITING_PER_PART;
        (STALLED_MS / parts as i64).max(STALLED_MS_MIN)
    }

    /// A connection has ended; yields the place that it had and did not use, in bytes.
    pub fn leave(&self, client: &Client) -> usize {
        let mut lines = self.lines.lock();
        lines.long.leave(client);
        lines.passing.leave(client);
        self.length.store(lines.length(), SeqCst);
        // Places are given under the lock.
        client.take_place()
    }

    /// How much too much is kept for those in front; nothing if nobody stands in line.
    pub fn missing_bytes(&self, budget: &Budget) -> usize {
        if self.length.load(Relaxed) == 0 {
            return 0;
        }
        let lines = self.lines.lock();
        let fronts = [&lines.long, &lines.passing].into_iter().filter_map(Waiters::front);
        fronts.map(|front| missing(budget, front.bytes)).max().unwrap_or(0)
    }

    /// Those who stand in line, and of whom nothing was heard for a part of their time.
    pub fn silent(&self, now_ms: i64) -> Vec<Arc<Client>> {
        if self.length.load(Relaxed) == 0 {
            return Vec::new();
        }
        let lines = self.lines.lock();
        lines
            .iter()
            .map(|waiting| &waiting.client)
            .filter(|client| client.is_silent(now_ms))
            .cloned()
            .collect()
    }
}

fn half(budget: &Budget) -> usize {
    budget.bytes_max() / 2
}

fn may_pass(budget: &Budget, bytes: usize) -> bool {
    bytes <= PASSING_BYTES_MAX.min(budget.bytes_max() / PASSING_AT_ONCE_MIN)
}

/// How much too much is kept for a reply of so many bytes.
fn missing(budget: &Budget, bytes: usize) -> usize {
    let (needed, bytes_max) = if may_pass(budget, bytes) {
        (bytes, budget.bytes_max())
    } else {
        (bytes.min(half(budget) / 2), half(budget))
    };
    (budget.bytes() + needed).saturating_sub(bytes_max)
}

fn has_place(budget: &Budget, bytes: usize) -> bool {
    missing(budget, bytes) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Registry;
    use crate::net::io_thread::ReadyList;

    /// Half of what they may keep is 500 bytes, a quarter 250.
    fn registry() -> Registry {
        Registry::new(1000, usize::MAX, usize::MAX, usize::MAX)
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
        assert!(!asks(&registry, &fourth, 20), "nobody overtakes who stands in line");
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
    fn a_short_one_passes_the_long_ones_until_all_is_used() {
        let registry = registry();
        let [first, other, long, passing, short] = clients(&registry);
        assert!(asks(&registry, &first, 500));
        assert!(!asks(&registry, &long, 100));
        assert!(asks(&registry, &passing, 15));
        registry.backlog.add(480);
        assert!(!asks(&registry, &short, 10) && !asks(&registry, &other, 5));
        registry.backlog.add(-5);
        assert!(is_let_in(&short) && !other.has_place() && !long.has_place());
        registry.backlog.add(-475);
        assert!(is_let_in(&other) && !long.has_place());
        takes_all(&registry, &first);
        assert!(is_let_in(&long));
    }

    #[test]
    fn whoever_is_heard_in_line_goes_before_those_who_are_not() {
        let registry = registry();
        let [first, hung, early, late, grown] = clients(&registry);
        assert!(asks(&registry, &first, 400) && asks(&registry, &grown, 100));
        for client in [&hung, &early, &late] {
            assert!(!asks(&registry, client, 100));
        }
        registry.backlog.hear(&late);
        registry.backlog.hear(&early);
        registry.backlog.hear(&late);
        registry.backlog.hear(&grown);
        first.set_unsent(300, Some(0), &registry.backlog);
        assert!(is_let_in(&late) && !early.has_place() && !hung.has_place());
        first.set_unsent(200, Some(0), &registry.backlog);
        assert!(is_let_in(&early) && !hung.has_place());
        takes_all(&registry, &first);
        assert!(is_let_in(&hung));
    }

    #[test]
    fn the_more_wait_the_sooner_goes_who_takes_nothing() {
        let registry = registry();
        let [first] = clients(&registry);
        let waiting = clients::<16>(&registry);
        assert!(asks(&registry, &first, 500));
        first.set_unsent(500, Some(0), &registry.backlog);
        for (at, client) in waiting.iter().enumerate() {
            assert!(!asks(&registry, client, 100));
            let patience_ms = [STALLED_MS, STALLED_MS / 2, STALLED_MS_MIN][(at + 1) / WAITING_PER_PART];
            assert!(registry.backlog.close_stalled(&registry.lock(), patience_ms - 1).is_empty());
        }
        assert_eq!(registry.backlog.close_stalled(&registry.lock(), STALLED_MS_MIN).len(), 1);
    }

    #[test]
    fn whoever_stands_in_line_and_is_not_heard_is_looked_at() {
        let registry = registry();
        let [first, waiting] = clients(&registry);
        waiting.counters.timeout_ms.store(4000, Relaxed);
        assert!(asks(&registry, &first, 500) && !asks(&registry, &waiting, 100));
        assert!(registry.backlog.silent(999).is_empty());
        assert_eq!(registry.backlog.silent(1000).len(), 1);
        waiting.counters.heard_ms.store(1000, Relaxed);
        assert!(registry.backlog.silent(1999).is_empty());
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
        registry.backlog.narrow(Some(400));
        assert!(asks(&registry, &first, 150));
        assert!(!asks(&registry, &waiting, 99));
        registry.backlog.narrow(None);
        assert!(is_let_in(&waiting));
    }
}
