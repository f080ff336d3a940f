//! What this server has handed to its log, and the log has not made durable yet; and what a leader does whose disk stands still.
//!
//! Others have what a leader proposes, and agree on it without its disk, as in Java. But what its own log lacks stays in memory, without an
//! end as long as others go on; and beyond some of it this server shows no more than its disk has, so its clients wait. A follower whose disk
//! stands still is given up by its leader. Nobody gives up a leader: so it lets one lead whose disk goes on. Java's does not, until its
//! memory is full.

use std::collections::VecDeque;

use zabd_jute::Zxid;
use zabd_tree::Tree;
use zabd_zab::{leader, peer};

use crate::apply::AHEAD_OF_DISK_BYTES_MAX;
use crate::input::{Now, Outputs};
use crate::pipeline::Replica;

/// So long no sync takes of a disk that is only slow.
const STANDS_STILL_MS: i64 = 2000;

/// See the module's description.
#[derive(Debug, Default)]
pub(crate) struct Unsynced {
    records: VecDeque<(Zxid, usize)>,
    bytes: usize,
    /// When the log got further last, or began to lack something.
    moved_ms: i64,
}

impl Unsynced {
    /// A record of so many bytes is handed over.
    pub(crate) fn add(&mut self, now: Now, zxid: Zxid, bytes: usize) {
        if self.records.is_empty() {
            self.moved_ms = now.monotonic_ms;
        }
        self.records.push_back((zxid, bytes));
        self.bytes += bytes;
    }

    /// Everything up to here is durable.
    pub(crate) fn synced(&mut self, now: Now, upto: Zxid) {
        self.moved_ms = now.monotonic_ms;
        while let Some((_, bytes)) = self.records.pop_front_if(|(zxid, _)| *zxid <= upto) {
            self.bytes -= bytes;
        }
    }

    /// Nothing is.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// How much it is.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether it is more than a server shows that its disk lacks, and the disk has done nothing about it for long.
    fn stands_still(&self, now: Now) -> bool {
        self.bytes > AHEAD_OF_DISK_BYTES_MAX && now.monotonic_ms - self.moved_ms >= STANDS_STILL_MS
    }
}

impl Replica {
    /// A leader whose disk stands still lets another one lead, if it is not just like that for everybody: to be asked now and then.
    pub(super) fn consider_standing_still(&mut self, now: Now, tree: &Tree, out: &mut Outputs) {
        let others_go_on = self.positions.synced < self.positions.committed;
        let stands_still = self.ensemble.as_ref().is_some_and(|ensemble| ensemble.unsynced.stands_still(now));
        if self.is_leading() && others_go_on && stands_still {
            self.on_peer(now, tree, peer::Input::Leader(leader::Input::StandsStill), out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(monotonic_ms: i64) -> Now {
        Now { monotonic_ms, wall_ms: 0 }
    }

    #[test]
    fn what_is_not_durable_is_summed_up() {
        let mut unsynced = Unsynced::default();
        (1..=4).for_each(|zxid| unsynced.add(at(0), Zxid(zxid), 10 * zxid as usize));
        assert_eq!(unsynced.bytes(), 100);
        unsynced.synced(at(0), Zxid(2));
        assert_eq!(unsynced.bytes(), 70);
        unsynced.synced(at(0), Zxid(9));
        assert_eq!(unsynced.bytes(), 0);
        unsynced.add(at(0), Zxid(10), 5);
        unsynced.clear();
        assert_eq!(unsynced.bytes(), 0);
    }

    #[test]
    fn a_disk_stands_still_that_lacks_much_and_does_nothing() {
        let mut unsynced = Unsynced::default();
        unsynced.add(at(0), Zxid(1), AHEAD_OF_DISK_BYTES_MAX);
        assert!(!unsynced.stands_still(at(STANDS_STILL_MS)));
        unsynced.add(at(5), Zxid(2), 1);
        assert!(
            !unsynced.stands_still(at(STANDS_STILL_MS - 1)) && unsynced.stands_still(at(STANDS_STILL_MS))
        );
        unsynced.add(at(10), Zxid(3), AHEAD_OF_DISK_BYTES_MAX);
        unsynced.synced(at(1000), Zxid(1));
        assert!(
            !unsynced.stands_still(at(STANDS_STILL_MS + 999))
                && unsynced.stands_still(at(STANDS_STILL_MS + 1000))
        );
    }
}
