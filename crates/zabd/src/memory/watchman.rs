//! Who looks, and what follows from what he sees.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU8, AtomicU64};

use parking_lot::Mutex;
use zabd_replica::{Input, Room};

use super::marks::Marks;
use super::{Limit, used};
use crate::driver::Driver;

/// What a znode and a watch cost besides what they hold, in bytes, about.
const ZNODE_BYTES: u64 = 160;
const WATCH_BYTES: u64 = 80;

/// Looks after one server's memory.
#[derive(Debug)]
pub struct Watchman {
    limit: &'static Limit,
    marks: Mutex<Marks>,
    /// After so many bytes from the network he looks.
    step: u64,
    /// Bytes from the network since he looked.
    come: AtomicU64,
    /// What he saw last.
    used: AtomicU64,
    room: AtomicU8,
}

impl Watchman {
    /// Nobody has looked yet.
    pub fn new(limit: &'static Limit, is_member: bool) -> Self {
        let marks = Marks::below(limit.bytes, is_member);
        let step = marks.step();
        let (come, used, room) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU8::new(Room::Enough as u8));
        Self { limit, marks: Mutex::new(marks), step, come, used, room }
    }

    /// What he looks after.
    pub fn limit(&self) -> &Limit {
        self.limit
    }

    /// Bytes in use when he looked last.
    pub fn used_bytes(&self) -> u64 {
        self.used.load(Relaxed)
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
        let mark = self.marks.lock().no_growth();
        self.used_bytes() > mark / 2
    }

    /// Looks, and does what follows from what he sees. The caller has no lock.
    pub fn look_after(&self, driver: &Driver) {
        let kept = {
            let tree = driver.tree();
            let watches = driver.watches().total();
            Kept { znodes: tree.node_count(), data_bytes: tree.data_size(), watches }
        };
        if let Some(room) = self.look(kept) {
            driver.watches().take_new(room != Room::NothingNew);
            let queued_max = (room == Room::NothingNew).then(|| self.marks.lock().queued_max());
            driver.registry.narrow(queued_max, driver.clock.monotonic_ms());
            driver.feed([Input::Room(room)]);
        }
    }

    /// The new answer to what is taken, if it is another one than before.
    fn look(&self, kept: Kept) -> Option<Room> {
        let mut marks = self.marks.lock();
        self.come.store(0, Relaxed);
        let used = used::bytes(self.limit);
        self.used.store(used, Relaxed);
        let room = marks.room(used, kept.bytes());
        let before = self.room();
        self.room.store(room as u8, Relaxed);
        if room == before {
            return None;
        }
        self.tell(before, room, used);
        Some(room)
    }

    fn tell(&self, before: Room, room: Room, used: u64) {
        let limit = self.limit;
        match room {
            Room::Enough => tracing::warn!("There is room in memory again: {used} of {limit} are used"),
            Room::NoGrowth if before == Room::NothingNew => {
                tracing::warn!("Sessions and watches are taken again: {used} of {limit} are used");
            }
            Room::NoGrowth => tracing::error!(
                "Memory is nearly used up, {used} of {limit}: writes that make the tree larger are refused with QuotaExceeded \
                 (-125) until znodes are deleted; deletes and reads go on. Delete what is not needed, or raise the limit"
            ),
            Room::NothingNew => tracing::error!(
                "Memory is used up, {used} of {limit}: new sessions and watches are refused, too, and clients that do not \
                 take their replies are closed. Delete what is not needed, or raise the limit"
            ),
        }
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
