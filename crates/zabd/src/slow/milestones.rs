//! When which transaction got how far, of the newest ones.
//!
//! Each stage passes transactions in their order, many at once, so a stage is a list of *up to here, at that time*, in which a
//! transaction is found by its number. What happens within a millisecond is one entry: at full speed the list is as long as a
//! second, and where things are slow it is as long as they take.

use std::collections::VecDeque;

use zabd_jute::Zxid;
use zabd_replica::Positions;

/// How many entries a stage keeps.
const KEPT_MAX: usize = 1024;

/// See the module's description. Times are monotonic milliseconds.
#[derive(Debug)]
pub struct Milestones {
    last: Positions,
    appended: Track,
    synced: Track,
    committed: Track,
    applied: Track,
}

/// One stage.
#[derive(Debug, Default)]
struct Track {
    marks: VecDeque<(Zxid, i64)>,
    /// Up to here nobody knows any more.
    forgotten: Zxid,
}

/// When one transaction had passed each stage, as far as that is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// It was handed to the log.
    pub appended_ms: Option<i64>,
    /// It survives a crash here.
    pub synced_ms: Option<i64>,
    /// It may be applied.
    pub committed_ms: Option<i64>,
    /// It is in the tree.
    pub applied_ms: Option<i64>,
}

impl Milestones {
    /// Nothing behind these positions is known.
    pub fn behind(positions: Positions) -> Self {
        let track = |forgotten| Track { marks: VecDeque::new(), forgotten };
        Self {
            last: positions,
            appended: track(positions.appended),
            synced: track(positions.synced),
            committed: track(positions.committed),
            applied: track(positions.applied),
        }
    }

    /// Whether that is news.
    pub fn is_news(&self, positions: Positions) -> bool {
        self.last != positions
    }

    /// A server stood there at that time.
    pub fn note(&mut self, positions: Positions, now_ms: i64) {
        self.last = positions;
        self.appended.note(positions.appended, now_ms);
        self.synced.note(positions.synced, now_ms);
        self.committed.note(positions.committed, now_ms);
        self.applied.note(positions.applied, now_ms);
    }

    /// When a transaction passed each stage.
    pub fn of(&self, zxid: Zxid) -> Passed {
        Passed {
            appended_ms: self.appended.when(zxid),
            synced_ms: self.synced.when(zxid),
            committed_ms: self.committed.when(zxid),
            applied_ms: self.applied.when(zxid),
        }
    }
}

impl Track {
    fn note(&mut self, upto: Zxid, now_ms: i64) {
        let last = self.marks.back().map_or(self.forgotten, |(last, _)| *last);
        if upto <= last {
            if upto < last {
                // Another past holds: what was never agreed on was given up.
                self.marks.clear();
                self.forgotten = upto;
            }
            return;
        }
        if let Some((last, _)) = self.marks.back_mut().filter(|(_, at_ms)| *at_ms == now_ms) {
            *last = upto;
            return;
        }
        if self.marks.len() == KEPT_MAX
            && let Some((forgotten, _)) = self.marks.pop_front()
        {
            self.forgotten = forgotten;
        }
        self.marks.push_back((upto, now_ms));
    }

    fn when(&self, zxid: Zxid) -> Option<i64> {
        if zxid <= self.forgotten {
            return None;
        }
        let at = self.marks.partition_point(|(upto, _)| *upto < zxid);
        self.marks.get(at).map(|(_, at_ms)| *at_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(appended: i64, synced: i64, committed: i64, applied: i64) -> Positions {
        let [appended, synced, committed, applied] = [appended, synced, committed, applied].map(Zxid);
        Positions { appended, synced, committed, applied }
    }

    fn passed(milestones: &Milestones, zxid: i64) -> [Option<i64>; 4] {
        let Passed { appended_ms, synced_ms, committed_ms, applied_ms } = milestones.of(Zxid(zxid));
        [appended_ms, synced_ms, committed_ms, applied_ms]
    }

    #[test]
    fn each_transaction_has_its_own_times() {
        let mut milestones = Milestones::behind(at(5, 5, 5, 5));
        for (positions, now_ms) in [
            (at(7, 5, 5, 5), 10),
            (at(8, 5, 5, 5), 10),
            (at(9, 7, 5, 5), 20),
            (at(9, 9, 9, 7), 30),
            (at(9, 9, 9, 9), 31),
        ] {
            assert!(milestones.is_news(positions));
            milestones.note(positions, now_ms);
        }
        assert!(!milestones.is_news(at(9, 9, 9, 9)));
        assert_eq!(passed(&milestones, 5), [None; 4], "it was there before");
        assert_eq!(passed(&milestones, 6), [10, 20, 30, 30].map(Some));
        assert_eq!(passed(&milestones, 8), [10, 30, 30, 31].map(Some));
        assert_eq!(passed(&milestones, 9), [20, 30, 30, 31].map(Some));
        assert_eq!(passed(&milestones, 10), [None; 4]);
    }

    #[test]
    fn what_was_given_up_is_forgotten() {
        let mut milestones = Milestones::behind(at(0, 0, 0, 0));
        milestones.note(at(9, 9, 4, 4), 10);
        milestones.note(at(4, 4, 4, 4), 20);
        milestones.note(at(6, 4, 4, 4), 30);
        assert_eq!(passed(&milestones, 5)[0], Some(30));
        milestones.note(at(2, 2, 2, 2), 40);
        assert_eq!(passed(&milestones, 5), [None; 4]);
    }

    #[test]
    fn only_so_much_is_kept() {
        let mut milestones = Milestones::behind(at(0, 0, 0, 0));
        for number in 1..=KEPT_MAX as i64 + 10 {
            milestones.note(at(number, number, number, number), number);
        }
        assert_eq!(milestones.applied.marks.len(), KEPT_MAX);
        assert_eq!((passed(&milestones, 10), passed(&milestones, 11)), ([None; 4], [Some(11); 4]));
    }
}
