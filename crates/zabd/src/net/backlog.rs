//! What all clients together have not taken yet, and what happens when it is too much.
//!
//! Each connection is bounded by itself ([`super::client::UNSENT_BYTES_MAX`]), but ten thousand that do not read would still be
//! many gigabytes. So the bytes that are kept for all of them, in mailboxes and in output buffers, are added up, and there
//! are two marks:
//!
//! ```text
//! 0 ──────────────── half ───────────────────── bytes_max ─────────►
//!    as usual          whoever has anything       those for whom most is kept are
//!                      unsent is not read         closed, until three quarters are left
//! ```
//!
//! Not to read stops replies where they come from. Events, and replies to what is in the pipeline already, come all the same:
//! hence the second mark. Java has neither, and keeps everything until its heap is full.
//!
//! The sum costs next to nothing where nothing waits: whoever posts adds once for many mails, and a connection settles at the
//! end of its turn, if what it keeps has changed. A turn whose replies the socket takes at once, which is every turn of a
//! client that reads, touches nothing that is shared. So the sum leaves out what is served within a turn (one mebibyte and
//! one reply), and memory may be twice the sum, since buffers grow by doubling.

use std::sync::Arc;

use super::budget::Budget;
use super::client::{Client, Clients};

/// See the module's description.
#[derive(Debug)]
pub struct Backlog {
    budget: Budget,
}

impl Backlog {
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

    /// Whether only those are read who have taken everything.
    pub fn is_pressing(&self) -> bool {
        self.bytes() > self.budget.bytes_max() / 2
    }

    /// What is kept for clients has become more, or less.
    pub fn add(&self, change: isize) {
        self.budget.add(change);
    }

    /// Whether clients must be closed: to be asked after something was added, without any client's lock.
    pub fn is_too_much(&self) -> bool {
        self.budget.is_too_much()
    }

    /// Closes those for whom most is kept; yields who must be woken.
    #[must_use = "whom it yields must be woken"]
    pub fn close_largest(&self, clients: &Clients<'_>) -> Vec<Arc<Client>> {
        let mut kept: Vec<_> =
            clients.iter().filter_map(|client| Some((client.kept_bytes()?, client))).collect();
        kept.sort_unstable_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
        let mut to_wake = Vec::new();
        for (bytes, client) in self.budget.worst(kept) {
            tracing::warn!(
                "Closing the connection from {}: it has not taken {bytes} bytes, and all clients together have more than \
                 zabd.unsentMaxBytes={} to take",
                client.address,
                self.budget.bytes_max(),
            );
            to_wake.extend(client.give_up(self));
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

    fn post(registry: &Registry, client: &Arc<Client>, bytes: usize) {
        let mut kept = 0;
        let _ = client.post(&vec![0; bytes], true, &mut kept);
        registry.backlog.add(kept);
    }

    #[test]
    fn the_largest_are_closed_until_three_quarters_are_left() {
        let registry = Registry::new(1000, usize::MAX);
        let [small, large, larger] = [(); 3].map(|()| client(&registry));
        post(&registry, &small, 200);
        post(&registry, &large, 300);
        assert!(!registry.backlog.is_pressing() && !registry.backlog.is_too_much());
        post(&registry, &larger, 500);
        assert!(registry.backlog.is_pressing() && !registry.backlog.is_too_much());
        post(&registry, &small, 1);
        assert!(registry.backlog.is_too_much());
        let woken = registry.backlog.close_largest(&registry.lock());
        assert!(woken.is_empty(), "it has mail already");
        assert_eq!([&small, &large, &larger].map(|client| client.kept_bytes()), [Some(201), Some(300), None]);
        assert_eq!(registry.backlog.bytes(), 501);
        assert!(larger.take_mail(&mut Vec::new()).is_some_and(|mail| mail.abort));
        // What comes for it meanwhile is not kept.
        post(&registry, &larger, 10_000);
        assert_eq!(registry.backlog.bytes(), 501);
        assert!(!registry.backlog.is_too_much());
    }

    #[test]
    fn what_a_client_keeps_is_counted_until_it_has_taken_it_or_is_gone() {
        let registry = Registry::new(1000, usize::MAX);
        let [reading, gone] = [(); 2].map(|()| client(&registry));
        post(&registry, &reading, 100);
        post(&registry, &gone, 50);
        let mut out = Vec::new();
        reading.take_mail(&mut out).unwrap();
        assert_eq!(registry.backlog.bytes(), 150);
        // It has served 20 bytes itself, and sent 90.
        reading.set_unsent(30, &registry.backlog);
        assert_eq!(registry.backlog.bytes(), 80);
        gone.take_mail(&mut out).unwrap();
        post(&registry, &gone, 7);
        registry.remove(gone.id);
        assert_eq!(registry.backlog.bytes(), 30);
        registry.remove(reading.id);
        assert_eq!(registry.backlog.bytes(), 0);
    }

    /// Nobody is closed for what those keep that are closed already.
    #[test]
    fn what_is_on_its_way_back_closes_nobody_else() {
        let registry = Registry::new(1000, usize::MAX);
        let [slow, other] = [(); 2].map(|()| client(&registry));
        post(&registry, &slow, 900);
        slow.take_mail(&mut Vec::new()).unwrap();
        post(&registry, &other, 200);
        assert!(registry.backlog.is_too_much());
        assert_eq!(registry.backlog.close_largest(&registry.lock()).len(), 1);
        // Its task still has the 900 bytes.
        assert_eq!(registry.backlog.bytes(), 1100);
        assert!(!registry.backlog.is_too_much());
        post(&registry, &other, 126);
        assert!(registry.backlog.is_too_much());
        assert!(registry.backlog.close_largest(&registry.lock()).is_empty());
        assert_eq!(other.kept_bytes(), Some(326));
        registry.remove(slow.id);
        assert!(!registry.backlog.is_too_much());
        post(&registry, &other, 1000 - 326 + 1);
        assert!(registry.backlog.is_too_much(), "the bound is the old one again");
    }
}
