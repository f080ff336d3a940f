//! How long each voter took to acknowledge what this server proposed as a leader, of one transaction in so many: Java's
//! `ack_latency`.
//!
//! Java measures only who acknowledges before the commit. Here the slowest voter shows, too, as long as not very many later
//! transactions have been measured meanwhile. Times are from the moment that the leader gave the transaction, on its wall clock.

use std::collections::{BTreeMap, VecDeque};

use zabd_jute::quorum::PacketKind;
use zabd_jute::{ServerId, Zxid};

use crate::input::Now;
use crate::percentiles::Percentiles;

/// So many transactions may wait for the last of their acknowledgements.
const MEASURED_MAX: usize = 128;

/// See the module's description.
#[derive(Debug)]
pub(super) struct Acknowledgements {
    me: ServerId,
    /// Of zxids that this divides; of none, if it is 0.
    one_in: u32,
    /// Which are measured, with their times, in order.
    measured: VecDeque<(Zxid, i64)>,
    /// Up to where this server's own disk has acknowledged.
    own: Zxid,
    took_ms: BTreeMap<ServerId, Percentiles>,
}

impl Acknowledgements {
    /// Of one transaction in so many of this server's.
    pub(super) fn of(me: ServerId, one_in: u32) -> Self {
        Self { me, one_in, measured: VecDeque::new(), own: Zxid::ZERO, took_ms: BTreeMap::new() }
    }

    /// By server, since the last `srst`.
    pub(super) fn figures(&self) -> impl Iterator<Item = (ServerId, &Percentiles)> {
        self.took_ms.iter().map(|(server, took_ms)| (*server, took_ms))
    }

    pub(super) fn reset(&mut self) {
        self.took_ms.clear();
    }

    /// The role is over.
    pub(super) fn forget(&mut self) {
        self.measured.clear();
    }

    /// This server proposes a transaction of this time.
    pub(super) fn proposed(&mut self, zxid: Zxid, time_ms: i64) {
        let is_measured = self.one_in > 0 && zxid.0 % i64::from(self.one_in) == 0;
        if !is_measured {
            return;
        }
        if self.measured.len() == MEASURED_MAX {
            self.measured.pop_front();
        }
        self.measured.push_back((zxid, time_ms));
    }

    /// A voter has acknowledged it.
    pub(super) fn acknowledged(&mut self, now: Now, server: ServerId, zxid: Zxid) {
        if let Ok(at) = self.measured.binary_search_by_key(&zxid, |(measured, _)| *measured) {
            self.took(now, server, self.measured[at].1);
        }
    }

    /// Everything up to here is on this server's own disk.
    pub(super) fn synced(&mut self, now: Now, upto: Zxid) {
        let before = std::mem::replace(&mut self.own, upto);
        let begin = self.measured.partition_point(|(zxid, _)| *zxid <= before);
        let end = self.measured.partition_point(|(zxid, _)| *zxid <= upto);
        for at in begin..end {
            self.took(now, self.me, self.measured[at].1);
        }
    }

    fn took(&mut self, now: Now, server: ServerId, time_ms: i64) {
        if let Ok(took_ms) = u64::try_from(now.wall_ms.saturating_sub(time_ms)) {
            self.took_ms.entry(server).or_default().add(took_ms);
        }
    }
}

/// What a learner's packet acknowledges, if it is an acknowledgement: its kind and its position come first. Whether the rest is in
/// order finds out whoever it is meant for.
pub(super) fn acknowledged_by(packet: &[u8]) -> Option<Zxid> {
    let (kind, rest) = packet.split_first_chunk::<4>()?;
    let zxid = rest.first_chunk::<8>()?;
    (i32::from_be_bytes(*kind) == PacketKind::Ack.code()).then(|| Zxid(i64::from_be_bytes(*zxid)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(wall_ms: i64) -> Now {
        Now { monotonic_ms: 0, wall_ms }
    }

    #[test]
    fn each_voter_is_measured_at_one_transaction_in_so_many() {
        let mut acknowledgements = Acknowledgements::of(ServerId(1), 10);
        for number in 1..=30 {
            acknowledgements.proposed(Zxid(number), 1000);
        }
        acknowledgements.synced(at(1001), Zxid(15));
        acknowledgements.synced(at(1002), Zxid(30));
        for number in 1..=29 {
            acknowledgements.acknowledged(at(1000 + number), ServerId(2), Zxid(number));
        }
        // Clocks may step.
        acknowledgements.acknowledged(at(999), ServerId(3), Zxid(10));
        let sums: Vec<_> = acknowledgements
            .figures()
            .map(|(server, took_ms)| (server.0, took_ms.summary().count, took_ms.summary().sum))
            .collect();
        assert_eq!(sums, [(1, 3, 1 + 2 + 2), (2, 2, 10 + 20)]);
        acknowledgements.reset();
        assert_eq!(acknowledgements.figures().count(), 0);
    }

    #[test]
    fn nothing_grows_without_a_bound_and_nothing_is_measured_unasked() {
        let mut all = Acknowledgements::of(ServerId(1), 1);
        (1..=1000).for_each(|number| all.proposed(Zxid(number), 0));
        assert_eq!((all.measured.len(), all.measured[0].0), (MEASURED_MAX, Zxid(1001 - MEASURED_MAX as i64)));
        all.forget();
        let mut none = Acknowledgements::of(ServerId(1), 0);
        none.proposed(Zxid(1000), 0);
        assert!(all.measured.is_empty() && none.measured.is_empty());
    }

    #[test]
    fn an_acknowledgement_is_known_by_its_head() {
        let packet = |kind: i32| [&kind.to_be_bytes()[..], &7_i64.to_be_bytes(), &[255; 8]].concat();
        assert_eq!(acknowledged_by(&packet(3)), Some(Zxid(7)));
        assert_eq!(acknowledged_by(&packet(1)), None);
        assert_eq!(acknowledged_by(&packet(3)[..11]), None);
    }
}
