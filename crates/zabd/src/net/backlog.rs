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
//! Not to read stops replies where they come from, and long ones are made only where there is room for them: each needs a
//! place before it is made, and its client waits for one ([`super::reply_line`]). Events, and replies to what is in the pipeline
//! already, come all the same: hence the second mark. Java has neither, and keeps everything until its heap is full.
//!
//! Who reads is not closed for a long reply: as long as its client takes it, it does not count where those are looked for who
//! must go. Who takes nothing for some seconds, while others wait for places, goes ([`Backlog::close_stalled`]).
//!
//! The sum costs next to nothing where nothing waits: whoever posts adds once for many mails, and a connection settles at the
//! end of its turn, if what it keeps has changed. A turn whose short replies the socket takes at once, which is nearly every turn
//! of a client that reads, touches nothing that is shared. So the sum leaves out what is served within a turn (one mebibyte of
//! replies that need no place), and memory may be twice the sum, since buffers grow by doubling, and shrink by halves.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::budget::Budget;
use super::client::{Client, Clients};
use super::reply_line::{ReplyLine, Stand};

/// See the module's description.
#[derive(Debug)]
pub struct Backlog {
    budget: Budget,
    line: ReplyLine,
    /// How long one reply may be, by what is left of memory.
    reply_bytes_max: AtomicUsize,
}

impl Backlog {
    /// All clients may keep so much.
    pub fn new(bytes_max: usize) -> Self {
        let reply_bytes_max = AtomicUsize::new(usize::MAX);
        Self { budget: Budget::new(bytes_max), line: ReplyLine::default(), reply_bytes_max }
    }

    /// They may keep only so much for now, or as much as ever.
    pub fn narrow(&self, bytes_max: Option<usize>) {
        self.budget.narrow(bytes_max);
        self.line.let_in(&self.budget);
    }

    /// No reply may be longer than this for now, or each as long as it likes.
    pub fn bound_replies(&self, bytes_max: Option<usize>) {
        self.reply_bytes_max.store(bytes_max.unwrap_or(usize::MAX), Relaxed);
    }

    /// Whether a reply is so long that there will be no place for it, whoever else goes.
    pub fn never_fits(&self, bytes: usize) -> bool {
        bytes > self.reply_bytes_max.load(Relaxed)
    }

    /// How much there is.
    pub fn bytes(&self) -> usize {
        self.budget.bytes()
    }

    /// Whether only those are read who have taken everything.
    pub fn is_pressing(&self) -> bool {
        self.bytes() > self.budget.bytes_max() / 2
    }

    /// What is kept for clients has become more, or less, and then whoever waits for that is let in.
    pub fn add(&self, change: isize) {
        self.budget.add(change);
        if change < 0 {
            self.line.let_in(&self.budget);
        }
    }

    /// Takes a place for a long reply; false if the client stands in line for it from now on, and is woken when it has one.
    pub fn take_place(&self, client: &Arc<Client>, bytes: usize, stand: Stand) -> bool {
        self.line.enter(client, bytes, stand, &self.budget)
    }

    /// A connection that may stand in line, or have a place that it has not used, has ended.
    pub fn leave(&self, client: &Client) {
        let unused = self.line.leave(client);
        self.budget.add(-(unused as isize));
        // Although nothing may have become free: there may be room for the next, and none for who stood before it.
        self.line.let_in(&self.budget);
    }

    /// A client that stands in line for a place has said something.
    pub fn hear(&self, client: &Client) {
        self.line.hear(client, &self.budget);
    }

    /// Those who wait for places and were not heard for a while: their tasks look whether they are there.
    pub fn silent(&self, now_ms: i64) -> Vec<Arc<Client>> {
        self.line.silent(now_ms)
    }

    /// Whether clients must be closed: to be asked after something was added, without any client's lock.
    pub fn is_too_much(&self) -> bool {
        self.budget.is_too_much()
    }

    /// Closes those for whom most is kept, long replies not counted that they are taking; yields who must be woken.
    #[must_use = "whom it yields must be woken"]
    pub fn close_largest(&self, clients: &Clients<'_>, now_ms: i64) -> Vec<Arc<Client>> {
        let mut kept: Vec<_> =
            clients.iter().filter_map(|client| Some((client.blamed_bytes(now_ms)?, client))).collect();
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

    /// While somebody waits for a place, closes clients that take nothing, those first for whom most is kept, until there is one;
    /// yields who must be woken. To be called now and then.
    #[must_use = "whom it yields must be woken"]
    pub fn close_stalled(&self, clients: &Clients<'_>, now_ms: i64) -> Vec<Arc<Client>> {
        let mut to_wake = Vec::new();
        self.line.let_in(&self.budget);
        let mut missing = self.line.missing_bytes(&self.budget);
        if missing == 0 {
            return to_wake;
        }
        let patience_ms = self.line.patience_ms();
        let stalled = clients.iter().filter(|client| client.is_stalled(now_ms, patience_ms));
        let mut kept: Vec<_> = stalled.filter_map(|client| Some((client.kept_bytes()?, client))).collect();
        kept.sort_unstable_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
        for (bytes, client) in kept {
            if missing == 0 {
                break;
            }
            tracing::warn!(
                "Closing the connection from {}: it has not taken {bytes} bytes for some seconds, and others wait, since all \
                 clients together may have only half of zabd.unsentMaxBytes={} to take when a long reply is made",
                client.address,
                self.budget.bytes_max(),
            );
            missing = missing.saturating_sub(bytes);
            to_wake.extend(client.give_up(self));
        }
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
        let registry = Registry::new(1000, usize::MAX, usize::MAX, usize::MAX);
        let [small, large, larger] = [(); 3].map(|()| client(&registry));
        post(&registry, &small, 200);
        post(&registry, &large, 300);
        assert!(!registry.backlog.is_pressing() && !registry.backlog.is_too_much());
        post(&registry, &larger, 500);
        assert!(registry.backlog.is_pressing() && !registry.backlog.is_too_much());
        post(&registry, &small, 1);
        assert!(registry.backlog.is_too_much());
        let woken = registry.backlog.close_largest(&registry.lock(), 0);
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
        let registry = Registry::new(1000, usize::MAX, usize::MAX, usize::MAX);
        let [reading, gone] = [(); 2].map(|()| client(&registry));
        post(&registry, &reading, 100);
        post(&registry, &gone, 50);
        let mut out = Vec::new();
        reading.take_mail(&mut out).unwrap();
        assert_eq!(registry.backlog.bytes(), 150);
        // It has served 20 bytes itself, and sent 90.
        reading.set_unsent(30, Some(0), &registry.backlog);
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
        let registry = Registry::new(1000, usize::MAX, usize::MAX, usize::MAX);
        let [slow, other] = [(); 2].map(|()| client(&registry));
        post(&registry, &slow, 900);
        slow.take_mail(&mut Vec::new()).unwrap();
        post(&registry, &other, 200);
        assert!(registry.backlog.is_too_much());
        assert_eq!(registry.backlog.close_largest(&registry.lock(), 0).len(), 1);
        // Its task still has the 900 bytes.
        assert_eq!(registry.backlog.bytes(), 1100);
        assert!(!registry.backlog.is_too_much());
        post(&registry, &other, 126);
        assert!(registry.backlog.is_too_much());
        assert!(registry.backlog.close_largest(&registry.lock(), 0).is_empty());
        assert_eq!(other.kept_bytes(), Some(326));
        registry.remove(slow.id);
        assert!(!registry.backlog.is_too_much());
        post(&registry, &other, 1000 - 326 + 1);
        assert!(registry.backlog.is_too_much(), "the bound is the old one again");
    }
}
