//! Who looks, and what follows from what he sees.
//!
//! Many threads send him to look, and one looks at a time, and has told everybody before the next one may: so what was seen last is
//! what everybody goes by. Whoever finds another one looking goes on with his own work; nobody waits.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64};

use parking_lot::Mutex;
use zabd_replica::{Input, Room};

use super::marks::Marks;
use super::{Limit, give_back_at_once, used};
use crate::driver::Driver;

/// What a znode and a watch cost besides what they hold, in bytes, about.
const ZNODE_BYTES: u64 = 160;
const WATCH_BYTES: u64 = 80;

/// Looks after one server's memory.
#[derive(Debug)]
pub struct Watchman {
    limit: &'static Limit,
    /// Held from the look until everybody knows what came of it, and never waited for.
    marks: Mutex<Marks>,
    no_growth: u64,
    narrow: u64,
    /// After so many bytes from the network he looks.
    step: u64,
    /// Bytes from the network since he looked.
    come: AtomicU64,
    /// What he saw last: what the system counts, and what of that znodes and watches hold.
    used: AtomicU64,
    kept: AtomicU64,
    room: AtomicU8,
    /// Whether what is kept for a moment has to fit into what is left.
    is_narrow: AtomicBool,
}

impl Watchman {
    /// Nobody has looked yet.
    pub fn new(limit: &'static Limit, is_member: bool) -> Self {
        let marks = Marks::below(limit.bytes, is_member);
        let (step, no_growth, narrow) = (marks.step(), marks.no_growth(), marks.narrow());
        let [come, used, kept] = [(); 3].map(|()| AtomicU64::new(0));
        let room = AtomicU8::new(Room::Enough as u8);
        let is_narrow = AtomicBool::new(false);
        Self { limit, marks: Mutex::new(marks), no_growth, narrow, step, come, used, kept, room, is_narrow }
    }

    /// What he looks after.
    pub fn limit(&self) -> &Limit {
        self.limit
    }

    /// Bytes in use when he looked last, as the system counts. Znodes that are deleted leave gaps in that, and their tables keep their
    /// length: what is created next is put there, and does not add to it.
    pub fn used_bytes(&self) -> u64 {
        self.used.load(Relaxed)
    }

    /// About how many bytes znodes and watches held.
    pub fn kept_bytes(&self) -> u64 {
        self.kept.load(Relaxed)
    }

    /// What is taken since he looked last.
    pub fn room(&self) -> Room {
        [Room::Enough, Room::NoGrowth, Room::NothingNew][usize::from(self.room.load(Relaxed))]
    }

    /// Whether so much more has come that he should look.
    pub fn note(&self, bytes: u64) -> bool {
        bytes > 0 && self.come.fetch_add(bytes, Relaxed) + bytes >= self.step
    }

    /// Whether a mark is so near that he should look often.
    pub fn is_wary(&self) -> bool {
        self.used_bytes() > self.no_growth / 2
    }

    /// Looks, and does what follows from what he sees. The caller has no lock.
    pub fn look_after(&self, driver: &Driver) {
        let see = || {
            let tree = driver.tree();
            let watches = driver.watches().kept();
            let kept = Kept { znodes: tree.node_count(), data_bytes: tree.data_size(), watches };
            drop(tree);
            (used::bytes(self.limit), kept.bytes())
        };
        let allot = |left: Option<u64>| {
            give_back_at_once(left.is_some());
            driver.registry.fit(left.map(|left| left as usize), driver.clock.monotonic_ms());
        };
        self.look(see, allot, |room| {
            driver.watches().take_new(room != Room::NothingNew);
            driver.feed([Input::Room(room)]);
        });
    }

    /// Sees how much is used and kept, allots what is left if that is little, and follows the new answer to what is taken, if it is
    /// another one than before.
    fn look(
        &self,
        see: impl FnOnce() -> (u64, u64),
        allot: impl FnOnce(Option<u64>),
        follow: impl FnOnce(Room),
    ) {
        let Some(mut marks) = self.marks.try_lock() else { return };
        self.come.store(0, Relaxed);
        let (used, kept) = see();
        self.used.store(used, Relaxed);
        self.kept.store(kept, Relaxed);
        // What the log writes goes through pages of its file, and they must not push out the program's.
        let left = (used >= self.narrow).then(|| self.limit.bytes.saturating_sub(used + self.step));
        if self.is_narrow.swap(left.is_some(), Relaxed) || left.is_some() {
            allot(left);
        }
        let room = marks.room(used, kept);
        let before = self.room();
        if room != before {
            follow(room);
            // Behind that: whoever reads or sees in the figures that there is room may ask for it, and is served.
            tell(before, room, &self.in_words(used, kept));
            self.room.store(room as u8, Relaxed);
        }
    }

    fn in_words(&self, used: u64, kept: u64) -> String {
        let gaps = used.saturating_sub(kept);
        format!(
            "{used} of {} are used, about {kept} bytes of it by znodes and watches and {gaps} by the rest, gaps that deleted ones left \
             included",
            self.limit
        )
    }
}

fn tell(before: Room, room: Room, words: &str) {
    match room {
        Room::Enough => tracing::warn!("There is room in memory again: {words}"),
        Room::NoGrowth if before == Room::NothingNew => {
            tracing::warn!("Sessions and watches are taken again: {words}");
        }
        Room::NoGrowth => tracing::error!(
            "Memory is nearly used up, {words}: writes that make the tree larger are refused with QuotaExceeded (-125) until znodes \
             are deleted; deletes and reads go on. Delete what is not needed, or raise the limit"
        ),
        Room::NothingNew => tracing::error!(
            "Memory is used up, {words}: new sessions and watches are refused, too, and clients that do not take their replies are \
             closed. Delete what is not needed, or raise the limit"
        ),
    }
}

/// What the tree and the watches hold, counted by themselves.
#[derive(Clone, Copy, Debug)]
struct Kept {
    /// How many znodes there are.
    znodes: usize,
    /// Bytes of their paths and data.
    data_bytes: u64,
    /// How many watches there are.
    watches: usize,
}

impl Kept {
    fn bytes(self) -> u64 {
        self.data_bytes + self.znodes as u64 * ZNODE_BYTES + self.watches as u64 * WATCH_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two threads look, and the one that sees less used is faster: it must not be forgotten what was seen last, and nobody waits.
    #[test]
    fn what_was_seen_last_is_what_everybody_goes_by() {
        const MIB: u64 = 1 << 20;
        let limit: &'static Limit = Box::leak(Box::new(Limit::configured(1536 * MIB)));
        let watchman = Watchman::new(limit, false);
        let followed = Mutex::new(Vec::new());
        let note = |room| followed.lock().push(room);
        watchman.look(
            || (1300 * MIB, 0),
            |left| assert_eq!(left, Some(204 * MIB)),
            |room| {
                // While he tells, others are sent to look.
                std::thread::scope(|scope| {
                    let other =
                        scope.spawn(|| watchman.look(|| unreachable!("one looks at a time"), |_| (), note));
                    other.join().unwrap();
                });
                watchman.look(|| unreachable!("not even from within"), |_| (), note);
                assert!(watchman.is_wary());
                note(room);
            },
        );
        watchman.look(|| (100 * MIB, 0), |left| assert_eq!(left, None), note);
        watchman.look(|| (100 * MIB, 0), |_| unreachable!("nothing is narrow"), note);
        assert_eq!(*followed.lock(), [Room::NoGrowth, Room::Enough]);
        assert_eq!((watchman.room(), watchman.used_bytes()), (Room::Enough, 100 * MIB));
    }

    #[test]
    fn nobody_sees_that_there_is_room_before_it_is_given() {
        const MIB: u64 = 1 << 20;
        let limit: &'static Limit = Box::leak(Box::new(Limit::configured(1536 * MIB)));
        let watchman = Watchman::new(limit, false);
        watchman.look(|| (1500 * MIB, 0), |_| (), |room| assert_eq!(room, Room::NothingNew));
        watchman.look(|| (0, 0), |_| (), |_| assert_eq!(watchman.room(), Room::NothingNew));
        assert_eq!(watchman.room(), Room::Enough);
    }

    /// Whoever deletes what is not needed sees it in what is kept, though the system gets nothing back.
    #[test]
    fn what_is_kept_is_told_beside_what_the_system_counts() {
        const MIB: u64 = 1 << 20;
        let limit: &'static Limit = Box::leak(Box::new(Limit::configured(1536 * MIB)));
        let watchman = Watchman::new(limit, false);
        watchman.look(|| (1300 * MIB, 900 * MIB), |_| (), |room| assert_eq!(room, Room::NoGrowth));
        watchman.look(|| (1300 * MIB, 40 * MIB), |_| (), |room| assert_eq!(room, Room::Enough));
        assert_eq!((watchman.used_bytes(), watchman.kept_bytes()), (1300 * MIB, 40 * MIB));
        assert_eq!(
            watchman.in_words(1300, 40),
            "1300 of 1610612736 bytes (zabd.memoryMaxBytes) are used, about 40 bytes of it by znodes and watches and 1260 by the rest, \
             gaps that deleted ones left included"
        );
    }
}
