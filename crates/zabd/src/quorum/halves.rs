//! What other servers have begun to send and not completed, of all of them together.
//!
//! Without SASL or TLS, whoever reaches the quorum port can say that it is some server, as often as it likes, and then begin a packet
//! on each connection, which may be as long as a field of one. So parts of packets are added up, and above a bound those connections
//! are closed that keep most for longest, until three quarters are left. A member is done with a packet soon, and comes back if it was
//! closed. One is always left, however long: packets may be longer than the bound. It is the rule for clients
//! ([`crate::net`], `half_frames.rs`), who are not closed for what servers do.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use zabd_zab::effect::LinkId;

use crate::memory::at_most;

/// What all of them may have begun together, or less where memory is scarce.
const BYTES_MAX: usize = 64 << 20;
/// Shorter parts do not count: between two packets there is nearly always one.
const SMALL_BYTES: usize = 4 << 10;

/// See the module's description.
#[derive(Debug, Default)]
pub(super) struct Halves(Mutex<BTreeMap<LinkId, Half>>);

#[derive(Clone, Copy, Debug)]
struct Half {
    bytes: usize,
    since: Instant,
}

/// A connection that has to go, and why.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Worst {
    pub(super) link: LinkId,
    pub(super) bytes: usize,
    pub(super) took: Duration,
}

impl Halves {
    /// So much of a packet has come over a connection, of a new one if another has been completed before. Gives those that have to go.
    #[must_use = "they have to be closed"]
    pub(super) fn note(&self, link: LinkId, bytes: usize, is_new: bool) -> Vec<Worst> {
        self.note_below(at_most(BYTES_MAX), link, bytes, is_new, Instant::now())
    }

    /// A connection is gone.
    pub(super) fn forget(&self, link: LinkId) {
        self.0.lock().remove(&link);
    }

    fn note_below(
        &self,
        bytes_max: usize,
        link: LinkId,
        bytes: usize,
        is_new: bool,
        now: Instant,
    ) -> Vec<Worst> {
        let mut halves = self.0.lock();
        if bytes <= SMALL_BYTES {
            halves.remove(&link);
            return Vec::new();
        }
        let half = halves.entry(link).or_insert(Half { bytes, since: now });
        *half = Half { bytes, since: if is_new { now } else { half.since } };
        let sum: usize = halves.values().map(|half| half.bytes).sum();
        if sum <= bytes_max {
            return Vec::new();
        }
        let badness = |half: &Half| half.bytes as u128 * (1 + (now - half.since).as_millis());
        let mut worst: Vec<_> = halves.iter().map(|(link, half)| (*link, *half)).collect();
        worst.sort_by_key(|(_, half)| std::cmp::Reverse(badness(half)));
        let mut left = sum;
        let count = worst.len() - 1;
        let going = worst.into_iter().take(count).take_while(|(_, half)| {
            let must_go = left > bytes_max / 4 * 3;
            left -= half.bytes;
            must_go
        });
        let going: Vec<_> =
            going.map(|(link, Half { bytes, since })| Worst { link, bytes, took: now - since }).collect();
        // What they keep is given back by their own tasks, and is not to close anybody else until then.
        for worst in &going {
            halves.remove(&worst.link);
        }
        going
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn who_keeps_much_for_long_goes_and_one_always_stays() {
        let halves = Halves::default();
        let begin = Instant::now();
        let note = |link, bytes, is_new, second| {
            let now = begin + Duration::from_secs(second);
            let worst = halves.note_below(4 * MIB, LinkId(link), bytes, is_new, now);
            worst
                .into_iter()
                .map(|worst| (worst.link.0, worst.bytes, worst.took.as_secs()))
                .collect::<Vec<_>>()
        };
        assert!(note(1, 40 * MIB, false, 0).is_empty(), "nobody else has anything");
        assert_eq!(note(2, MIB, false, 1), [(1, 40 * MIB, 1)]);
        assert!(note(3, MIB, false, 1).is_empty() && note(4, 2 * MIB, false, 4).is_empty());
        // The second one is at its next packet, the third at its first.
        assert_eq!(note(2, MIB + 1, true, 5), [(3, MIB, 4), (4, 2 * MIB, 1)]);
        assert!(note(2, SMALL_BYTES, true, 5).is_empty());
        assert!(halves.0.lock().is_empty());
        assert!(note(5, 3 * MIB, false, 6).is_empty());
        halves.forget(LinkId(5));
        assert!(note(6, 3 * MIB, false, 6).is_empty(), "who is gone keeps nothing");
    }
}
