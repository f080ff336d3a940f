//! Connections of one thread do each step together: first each takes what its client has sent, then each works that off, then
//! each sends.
//!
//! Two things become cheaper by it. The znodes that all of them ask for are looked at together ([`Tree::look_ahead`]),
//! where each client has only one request outstanding, too: one alone is waited for. And what is sent leaves one right behind
//! the other: a client's machine that was woken by the first packet is awake for the others, where for each that comes some
//! microseconds later it would be woken again; where the clients are on this machine, that costs as much as to find a znode.
//!
//! Nobody waits for whoever is not ready: a connection that gives way has its next turn behind those that are in the thread's
//! queue already, and goes on then whatever they do. Alone it has it at once, and then nobody gives way for a while.

use std::cell::{Cell, RefCell};
use std::task::Context;

use zabd_replica::ahead;
use zabd_tree::Tree;

use super::frames::requests_in;
use super::{Connection, Phase};
use crate::driver::Driver;

/// More in one piece, from a client or for it, is not kept.
pub(super) const KEPT_BYTES_MAX: usize = 16 << 10;
/// All connections of a thread keep no more than this.
const ALL_KEPT_BYTES_MAX: usize = 1 << 20;

/// Who gave way and found that nobody else was ready has cost more than it saved: for so many turns nobody does it again.
const TURNS_ALONE: u64 = 8;

/// Where a connection goes on that let others have their turn first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GaveWay {
    /// It did not.
    No,
    /// With what it took from its client.
    BeforeWork,
    /// With what is to be sent.
    BeforeSending,
}

/// The paths that were asked for since znodes were looked at last.
#[derive(Debug, Default)]
struct Asked {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Asked {
    fn add(&mut self, path: &[u8]) {
        self.bytes.extend_from_slice(path);
        self.ends.push(self.bytes.len());
    }

    fn paths(&self) -> impl Iterator<Item = &[u8]> {
        let begins = std::iter::once(&0).chain(&self.ends);
        begins.zip(&self.ends).map(|(begin, end)| &self.bytes[*begin..*end])
    }

    /// Whoever changes the tree is not waited for: it would be for nothing but speed.
    fn look_ahead(&mut self, driver: &Driver) {
        if 1 < self.ends.len()
            && let Some(tree) = driver.tree_if_free().filter(|tree| tree.is_large())
        {
            tree.look_ahead(self.paths());
        }
        self.bytes.clear();
        self.ends.clear();
    }
}

thread_local! {
    static ASKED: RefCell<Asked> = RefCell::default();
    /// How many bytes are kept by those who gave way.
    static KEPT_BYTES: Cell<usize> = const { Cell::new(0) };
    /// How many turns connections have had.
    static TURNS: Cell<u64> = const { Cell::new(0) };
    /// Before this turn nobody gives way.
    static HURRIED_TURNS: Cell<u64> = const { Cell::new(0) };
}

/// Whether so many bytes may be kept.
fn is_little(bytes: usize) -> bool {
    bytes <= KEPT_BYTES_MAX && KEPT_BYTES.get() + bytes <= ALL_KEPT_BYTES_MAX
}

impl Connection {
    fn may_give_way(&self) -> bool {
        HURRIED_TURNS.get() <= TURNS.get()
            && self.phase == Phase::Open
            && !self.service.driver.registry.is_scarce()
    }

    /// Whether what has just come from the client, and begins with a whole request, may wait until others have had their turn.
    pub(super) fn may_keep(&self, chunk: &[u8]) -> bool {
        self.input.is_empty()
            && self.out.is_empty()
            && is_little(chunk.len())
            && self.may_give_way()
            && requests_in(chunk).next().is_some()
    }

    /// Lets others have their turn first; the next one of this connection begins with `chunk`.
    pub(super) fn give_way_before_work(&mut self, chunk: &[u8], context: &Context<'_>) {
        self.input.extend_from_slice(chunk);
        self.note_received(chunk.len());
        if let Some(path) = requests_in(chunk).next().and_then(|(op, body)| ahead::asked_path(op, body)) {
            ASKED.with_borrow_mut(|asked| {
                asked.add(path);
                if asked.ends.len() == Tree::AHEAD_MAX {
                    asked.look_ahead(&self.service.driver);
                }
            });
        }
        self.give_way(GaveWay::BeforeWork, chunk.len(), context);
    }

    /// Lets others have their turn before anything is sent, if there is something to send and that may wait.
    pub(super) fn gives_way_before_sending(&mut self, context: &Context<'_>) -> bool {
        let may_wait = !self.out.is_empty() && is_little(self.out.len()) && self.may_give_way();
        if may_wait {
            self.lend_large_buffer_to_others();
            self.give_way(GaveWay::BeforeSending, self.out.capacity(), context);
        }
        may_wait
    }

    fn give_way(&mut self, how: GaveWay, bytes: usize, context: &Context<'_>) {
        self.gave_way = how;
        self.gave_way_in = TURNS.get();
        self.kept_bytes = bytes;
        KEPT_BYTES.set(KEPT_BYTES.get() + bytes);
        context.waker().wake_by_ref();
    }

    /// The turn has come; yields what for.
    pub(super) fn go_on(&mut self) -> GaveWay {
        let turn = TURNS.get() + 1;
        TURNS.set(turn);
        let gave_way = std::mem::replace(&mut self.gave_way, GaveWay::No);
        if gave_way != GaveWay::No && turn == self.gave_way_in + 1 {
            HURRIED_TURNS.set(turn + TURNS_ALONE);
        }
        KEPT_BYTES.set(KEPT_BYTES.get() - std::mem::take(&mut self.kept_bytes));
        if gave_way == GaveWay::BeforeWork {
            ASKED.with_borrow_mut(|asked| asked.look_ahead(&self.service.driver));
        }
        gave_way
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_come_back_as_they_were_asked_for() {
        let mut asked = Asked::default();
        let paths: [&[u8]; 4] = [b"/a", b"", b"/some/longer", b"/\xff"];
        for path in paths {
            asked.add(path);
        }
        assert_eq!(asked.paths().collect::<Vec<_>>(), paths);
    }

    #[test]
    fn what_connections_keep_has_an_end() {
        assert!(is_little(KEPT_BYTES_MAX) && !is_little(KEPT_BYTES_MAX + 1));
        KEPT_BYTES.set(ALL_KEPT_BYTES_MAX - 10);
        assert!(is_little(10) && !is_little(11));
        KEPT_BYTES.set(0);
    }
}
