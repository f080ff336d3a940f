//! The newest part of the log, in memory: what most learners lack when they come back.
//!
//! It holds transactions one behind the other: committed ones, then those that are proposed or logged and
//! not known to be committed. Whoever asks for more than is here is served from the log on disk, as far as that is
//! known to be whole: behind the snapshot that the process began with. What a log holds before a snapshot need not lead to
//! it. A leader's snapshot may have taken the place of what this server never had, and the first record of an epoch does
//! not show what was before it.
//!
//! A position *belongs to the history* if a server whose log ends there has a prefix of this log. That is so
//! for every transaction in it. The first position of an epoch (counter 0) is no transaction; a server whose
//! log ends there has the epoch's initial history and nothing of the epoch. If this log holds a transaction
//! of the epoch, that initial history was committed before it was proposed, and is a prefix of this log. If
//! it holds none, nothing is known of what such a server has. (Java takes such a server's word for it.)
//!
//! Java's `ZKDatabase.committedLog`, which holds only what is committed and applied.

use std::collections::VecDeque;

use bytes::Bytes;
use zabd_jute::Zxid;

/// How many entries are kept that nobody needs any more; Java keeps 500 at least, `commitLogCount`.
const ENTRIES_MAX: usize = 2000;
/// How many bytes of them, which also bounds what a learner is sent out of memory in one step. What is larger is read
/// from the log as fast as the learner takes it. More than an entry may be long: the newest always stays.
const BYTES_MAX: usize = 8 << 20;

/// One transaction.
#[derive(Clone, Debug)]
pub struct Logged {
    /// Its position.
    pub zxid: Zxid,
    /// What the log holds of it.
    pub entry: Bytes,
}

/// See the module's description.
#[derive(Debug, Default)]
pub struct History {
    entries: VecDeque<Logged>,
    /// How many of them, from the oldest on, are kept only for learners that come back.
    spare: usize,
    /// How long these are.
    spare_bytes: usize,
    /// The position before the first entry; everything up to here is only on disk.
    before: Zxid,
    /// From here on the log on disk is whole; at most `before`.
    whole_from: Zxid,
}

impl History {
    /// Nothing in memory, everything up to `last` on disk.
    pub fn new(last: Zxid) -> Self {
        Self::on_disk(last, last)
    }

    /// Nothing in memory, everything from a snapshot at `base` up to `last` in the log on disk.
    pub fn on_disk(base: Zxid, last: Zxid) -> Self {
        assert!(base <= last, "a log goes on behind its snapshot");
        Self { entries: VecDeque::new(), spare: 0, spare_bytes: 0, before: last, whole_from: base }
    }

    /// The last position, in memory or on disk.
    pub fn last(&self) -> Zxid {
        self.entries.back().map_or(self.before, |logged| logged.zxid)
    }

    /// Everything up to here is only on disk.
    pub fn before(&self) -> Zxid {
        self.before
    }

    /// Adds the next transaction.
    pub fn push(&mut self, zxid: Zxid, entry: Bytes) {
        let last = self.last();
        assert!(last < zxid, "the history goes on behind {last}, not at {zxid}");
        self.entries.push_back(Logged { zxid, entry });
    }

    /// Lets go of the oldest entries, but not of those behind `needed`; what goes is in the log on disk.
    pub fn trim(&mut self, needed: Zxid) {
        while let Some(next) = self.entries.get(self.spare).filter(|next| next.zxid <= needed) {
            self.spare += 1;
            self.spare_bytes += next.entry.len();
        }
        while self.spare > ENTRIES_MAX || self.spare_bytes > BYTES_MAX {
            let oldest = self.entries.pop_front().expect("what is spare is there");
            self.spare -= 1;
            self.spare_bytes -= oldest.entry.len();
            self.before = oldest.zxid;
        }
    }

    /// Forgets what is behind `last`.
    pub fn truncate(&mut self, last: Zxid) {
        while let Some(newest) = self.entries.pop_back_if(|newest| last < newest.zxid) {
            if self.entries.len() < self.spare {
                self.spare -= 1;
                self.spare_bytes -= newest.entry.len();
            }
        }
        if self.entries.is_empty() {
            self.before = last;
            self.whole_from = self.whole_from.min(last);
        }
    }

    /// The transactions behind a position.
    pub fn behind(&self, zxid: Zxid) -> impl Iterator<Item = &Logged> {
        let first = self.entries.partition_point(|logged| logged.zxid <= zxid);
        self.entries.range(first..)
    }

    /// The transaction at a position that is in memory.
    pub fn entry(&self, zxid: Zxid) -> Option<&Bytes> {
        let place = self.entries.binary_search_by_key(&zxid, |logged| logged.zxid).ok()?;
        Some(&self.entries[place].entry)
    }

    /// Whether the position belongs to the history, as far as memory knows.
    pub fn holds(&self, zxid: Zxid) -> Membership {
        if zxid == self.before || self.entry(zxid).is_some() {
            return Membership::Yes;
        }
        if self.last() < zxid {
            return Membership::Ahead;
        }
        if zxid < self.whole_from {
            return Membership::OutOfReach;
        }
        if zxid < self.before {
            return Membership::OnDiskOrNowhere;
        }
        let has_epoch = || self.behind(zxid).next().is_some_and(|next| next.zxid.epoch() == zxid.epoch());
        if zxid.counter() == 0 && has_epoch() { Membership::Yes } else { Membership::No }
    }
}

/// The answer of [`History::holds`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Membership {
    /// It does, and all that is behind it is in memory.
    Yes,
    /// It does not.
    No,
    /// It is behind the end.
    Ahead,
    /// It is older than what is in memory; if the log on disk holds it, all that is behind it is there or in memory.
    OnDiskOrNowhere,
    /// It is so old that the log on disk need not lead from there to here, even if it holds it.
    OutOfReach,
}

#[cfg(test)]
mod tests {
    use zabd_jute::Epoch;

    use super::*;

    fn at(epoch: i64, counter: u32) -> Zxid {
        Zxid::new(Epoch(epoch), counter)
    }

    fn history(before: Zxid, positions: &[Zxid]) -> History {
        let mut history = History::on_disk(at(1, 5), before);
        for zxid in positions {
            history.push(*zxid, Bytes::from_static(b"x"));
        }
        history
    }

    #[test]
    fn positions_belong_to_it_or_not() {
        let history = history(at(1, 7), &[at(1, 8), at(1, 9), at(3, 1)]);
        for (zxid, expected) in [
            (at(1, 7), Membership::Yes),
            (at(1, 8), Membership::Yes),
            (at(1, 9), Membership::Yes),
            (at(3, 1), Membership::Yes),
            (at(3, 0), Membership::Yes),
            (at(2, 0), Membership::No),
            (at(1, 10), Membership::No),
            (at(2, 5), Membership::No),
            (at(3, 2), Membership::Ahead),
            (at(4, 0), Membership::Ahead),
            (at(1, 6), Membership::OnDiskOrNowhere),
            (at(1, 5), Membership::OnDiskOrNowhere),
            (at(1, 4), Membership::OutOfReach),
            (at(1, 0), Membership::OutOfReach),
        ] {
            assert_eq!(history.holds(zxid), expected, "{zxid}");
        }
    }

    #[test]
    fn truncation_and_what_is_behind() {
        let mut history = history(at(1, 7), &[at(1, 8), at(1, 9), at(3, 1)]);
        let behind = |history: &History, zxid| history.behind(zxid).map(|each| each.zxid).collect::<Vec<_>>();
        assert_eq!(behind(&history, at(1, 8)), [at(1, 9), at(3, 1)]);
        assert_eq!(behind(&history, at(2, 0)), [at(3, 1)]);
        history.truncate(at(1, 8));
        assert_eq!((history.last(), behind(&history, Zxid::ZERO)), (at(1, 8), vec![at(1, 8)]));
        history.truncate(at(1, 3));
        assert_eq!((history.last(), history.before()), (at(1, 3), at(1, 3)));
    }

    #[test]
    fn memory_is_bounded_and_what_is_needed_stays() {
        let mut history = History::new(Zxid::ZERO);
        for counter in 1..=5000 {
            history.push(at(0, counter), Bytes::from_static(b"x"));
            history.trim(at(0, 3000));
        }
        assert_eq!(history.before(), at(0, 1000), "nothing goes because of what is needed");
        history.trim(at(0, 5000));
        assert_eq!((history.entries.len(), history.spare_bytes), (ENTRIES_MAX, ENTRIES_MAX));
        history.truncate(at(0, 4000));
        assert_eq!((history.spare, history.spare_bytes), (ENTRIES_MAX - 1000, ENTRIES_MAX - 1000));
    }

    #[test]
    fn a_few_long_entries_are_as_much_as_many_short_ones() {
        let mut history = History::new(Zxid::ZERO);
        let megabyte = Bytes::from(vec![0; 1 << 20]);
        for counter in 1..=100 {
            history.push(at(0, counter), megabyte.clone());
            history.trim(at(0, counter.saturating_sub(20)));
        }
        let kept: Vec<_> = history.behind(Zxid::ZERO).map(|logged| logged.zxid).collect();
        assert_eq!((kept.len(), history.before()), (8 + 20, at(0, 72)), "8 MiB, and all that is needed");
        history.trim(at(0, 100));
        assert_eq!(history.before(), at(0, 92));
        assert_eq!(history.holds(at(0, 50)), Membership::OnDiskOrNowhere);
    }
}
