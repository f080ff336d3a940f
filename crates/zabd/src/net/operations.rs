//! How often clients of this server asked for what: Java's figures `op_count_…`, which its release 3.10 adds.
//!
//! As there, a request counts where it is answered: what reads counts also when it fails, what writes only when it was done. What
//! is refused untried counts nowhere. Figures are in the names that `mntr` has for them there.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use zabd_jute::OpCode;

/// The names, in the order of [`place`].
const NAMES: [&str; 22] = [
    "op_count_add_watch",
    "op_count_check_watches",
    "op_count_close_session",
    "op_count_create",
    "op_count_create_session",
    "op_count_delete",
    "op_count_exists",
    "op_count_get_acl",
    "op_count_get_all_children_number",
    "op_count_get_children",
    "op_count_get_data",
    "op_count_get_ephemerals",
    "op_count_multi",
    "op_count_multi_read",
    "op_count_ping",
    "op_count_reconfig",
    "op_count_remove_watches",
    "op_count_set_acl",
    "op_count_set_data",
    "op_count_set_watches",
    "op_count_sync",
    "op_count_who_am_i",
];

/// Which of the figures counts an operation. A check outside of a multi, for which Java has one, is none that a client may ask for.
fn place(op: OpCode) -> Option<usize> {
    use OpCode as Op;
    Some(match op {
        Op::AddWatch => 0,
        Op::CheckWatches => 1,
        Op::CloseSession => 2,
        Op::Create | Op::Create2 | Op::CreateContainer | Op::CreateTtl => 3,
        Op::CreateSession => 4,
        Op::Delete => 5,
        Op::Exists => 6,
        Op::GetAcl => 7,
        Op::GetAllChildrenNumber => 8,
        Op::GetChildren | Op::GetChildren2 => 9,
        Op::GetData => 10,
        Op::GetEphemerals => 11,
        Op::Multi => 12,
        Op::MultiRead => 13,
        Op::Ping => 14,
        Op::Reconfig => 15,
        Op::RemoveWatches => 16,
        Op::SetAcl => 17,
        Op::SetData => 18,
        Op::SetWatches | Op::SetWatches2 => 19,
        Op::Sync => 20,
        Op::WhoAmI => 21,
        Op::Error | Op::Check | Op::DeleteContainer | Op::Auth | Op::Sasl => return None,
    })
}

/// Counts since the last `srst`.
#[derive(Debug, Default)]
pub struct OperationCounts([AtomicU64; NAMES.len()]);

impl OperationCounts {
    /// By name, and all of them together.
    pub fn figures(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts: [u64; NAMES.len()] = std::array::from_fn(|at| self.0[at].load(Relaxed));
        [("op_count_total", counts.iter().sum())].into_iter().chain(NAMES.into_iter().zip(counts))
    }

    /// Counts from zero.
    pub fn reset(&self) {
        self.0.iter().for_each(|count| count.store(0, Relaxed));
    }
}

/// What one connection was answered in a turn. Clients mostly ask for the same again and again, so only the last is kept apart, and
/// a turn touches what all threads share once.
#[derive(Debug, Default)]
pub struct OperationTally {
    op: i32,
    count: u64,
}

impl OperationTally {
    /// Counts one.
    pub fn add(&mut self, op: i32, counts: &OperationCounts) {
        if self.op != op {
            self.publish(counts);
            self.op = op;
        }
        self.count += 1;
    }

    /// Adds what was counted to what all connections were answered.
    pub fn publish(&mut self, counts: &OperationCounts) {
        let count = std::mem::take(&mut self.count);
        if count > 0
            && let Some(place) = OpCode::from_code(self.op).and_then(place)
        {
            counts.0[place].fetch_add(count, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_operation_counts_under_its_name() {
        let counts = OperationCounts::default();
        let mut tally = OperationTally::default();
        let asked = [OpCode::GetData, OpCode::GetData, OpCode::WhoAmI, OpCode::Auth, OpCode::GetChildren2];
        for op in asked {
            tally.add(op.code(), &counts);
        }
        tally.add(12345, &counts);
        tally.publish(&counts);
        tally.publish(&counts);
        let counted: Vec<_> = counts.figures().filter(|(_, count)| *count > 0).collect();
        let expected = [
            ("op_count_total", 4),
            ("op_count_get_children", 1),
            ("op_count_get_data", 2),
            ("op_count_who_am_i", 1),
        ];
        assert_eq!(counted, expected);
        counts.reset();
        assert_eq!(counts.figures().map(|(_, count)| count).sum::<u64>(), 0);
    }

    #[test]
    fn every_name_has_an_operation() {
        let mut places: Vec<_> = (-20..200).filter_map(OpCode::from_code).filter_map(place).collect();
        places.sort_unstable();
        places.dedup();
        assert_eq!(places, (0..NAMES.len()).collect::<Vec<_>>());
        assert_eq!(NAMES[place(OpCode::Sync).unwrap()], "op_count_sync");
        assert_eq!(NAMES[place(OpCode::Multi).unwrap()], "op_count_multi");
    }
}
