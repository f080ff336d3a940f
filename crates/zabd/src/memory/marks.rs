//! From what is used to what is taken.
//!
//! The reserve is a sixth of the limit, between 24 and 384 MiB: what comes between two looks, replies under way, the kernel's
//! buffers. Two thirds of it are above the second mark. A member of an ensemble has a reserve of a quarter, between 40 and 512 MiB: when
//! it leads, it refuses for the others too, who cannot, and who have as much under way as it has.
//!
//! Memory that was freed does not all go back to the system: an allocator keeps a page as long as anything is in it. So behind
//! the first mark a tree that has become smaller than it was there may grow to that size again, in the gaps that it left; the second
//! mark holds whatever the tree has lost.

use zabd_replica::Room;

/// Which part of the limit the reserve is, and its least and most bytes.
struct Share {
    part: u64,
    bytes_min: u64,
    bytes_max: u64,
}

const ALONE: Share = Share { part: 6, bytes_min: 24 << 20, bytes_max: 384 << 20 };
const MEMBER: Share = Share { part: 4, bytes_min: 40 << 20, bytes_max: 512 << 20 };

/// See the module's description. All numbers are bytes.
#[derive(Debug)]
pub struct Marks {
    reserve: u64,
    no_growth: u64,
    nothing_new: u64,
    nothing_more: u64,
    room: Room,
    /// The most that was kept since the first mark was passed.
    kept_max: u64,
}

impl Marks {
    /// For a limit.
    pub fn below(limit_bytes: u64, is_member: bool) -> Self {
        let share = if is_member { MEMBER } else { ALONE };
        // With so little that nothing would be left, growth ends at two thirds.
        let reserve = (limit_bytes / share.part).clamp(share.bytes_min, share.bytes_max).min(limit_bytes / 3);
        Self {
            reserve,
            no_growth: limit_bytes - reserve,
            nothing_new: limit_bytes - reserve / 3 * 2,
            nothing_more: limit_bytes - reserve / 4,
            room: Room::Enough,
            kept_max: 0,
        }
    }

    /// After so many bytes of requests it is time to look.
    pub fn step(&self) -> u64 {
        self.reserve / 8
    }

    /// Where what is kept for a moment is made to fit into what is left.
    pub fn narrow(&self) -> u64 {
        self.no_growth.saturating_sub(self.reserve)
    }

    /// Where growth ends.
    pub fn no_growth(&self) -> u64 {
        self.no_growth
    }

    /// Where not even a tree that is being loaded has a place any more.
    pub fn nothing_more(&self) -> u64 {
        self.nothing_more
    }

    /// What is taken while so much is used, `kept` of it by znodes and watches.
    pub fn room(&mut self, used: u64, kept: u64) -> Room {
        // Who has passed a mark has to come back some way before it counts as above it.
        let way_back = |room: Room| if self.room >= room { self.reserve / 16 } else { 0 };
        self.room = if used + way_back(Room::NothingNew) >= self.nothing_new {
            Room::NothingNew
        } else if used + way_back(Room::NoGrowth) >= self.no_growth {
            Room::NoGrowth
        } else {
            self.kept_max = 0;
            Room::Enough
        };
        if self.room != Room::Enough {
            self.kept_max = self.kept_max.max(kept);
        }
        let has_gaps = kept + self.reserve / 4 <= self.kept_max;
        if self.room == Room::NoGrowth && has_gaps { Room::Enough } else { self.room }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn each_mark_and_the_way_back() {
        let mut marks = Marks::below(1536 * MIB, false);
        assert_eq!((marks.no_growth / MIB, marks.nothing_new / MIB), (1280, 1365));
        for (used, room) in [
            (0, Room::Enough),
            (1279, Room::Enough),
            (1280, Room::NoGrowth),
            (1265, Room::NoGrowth),
            (1263, Room::Enough),
            (1279, Room::Enough),
            (1365, Room::NoGrowth),
            (1366, Room::NothingNew),
            (1350, Room::NothingNew),
            (1349, Room::NoGrowth),
            (2000, Room::NothingNew),
            (0, Room::Enough),
        ] {
            assert_eq!(marks.room(used * MIB, 500 * MIB), room, "{used}");
        }
    }

    #[test]
    fn what_was_deleted_may_come_again_where_the_system_got_nothing_back() {
        let mut marks = Marks::below(1536 * MIB, false);
        assert_eq!(marks.room(1300 * MIB, 900 * MIB), Room::NoGrowth);
        assert_eq!(marks.room(1300 * MIB, 837 * MIB), Room::NoGrowth, "that is too little to count");
        assert_eq!(marks.room(1300 * MIB, 700 * MIB), Room::Enough);
        assert_eq!(marks.room(1300 * MIB, 890 * MIB), Room::NoGrowth, "it is full again");
        assert_eq!(marks.room(1410 * MIB, 100 * MIB), Room::NothingNew, "the second mark holds all the same");
    }

    #[test]
    fn small_and_large_limits() {
        let mut small = Marks::below(30 * MIB, false);
        assert_eq!(small.room(19 * MIB, 0), Room::Enough);
        assert_eq!(small.room(20 * MIB, 0), Room::NoGrowth);
        let large = Marks::below(1 << 40, false);
        assert_eq!(large.no_growth, (1 << 40) - ALONE.bytes_max);
        assert_eq!(Marks::below(0, true).no_growth, 0);
        assert_eq!(Marks::below(128 * MIB, true).no_growth, 88 * MIB);
    }
}
