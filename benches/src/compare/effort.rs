//! How much a comparison spends: the full run, whose figures count, and a quick one that shows whether
//! everything still works.

use std::time::Duration;

/// Sizes and times of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Effort {
    /// Rounds per server of the rows that alternate.
    pub rounds: usize,
    /// Load before each window.
    pub warm_up: Duration,
    /// Additional load before a server's first window, for Java's compiler.
    pub warm_up_first: Duration,
    /// One window.
    pub window: Duration,
    /// One window of the rows that look at the tail.
    pub window_tail: Duration,
    /// Creates in a window, so that both servers end with the same tree.
    pub creates_max: u64,
    /// Prefilled znodes.
    pub znodes: u64,
    /// Prefilled znodes of the rows that say "a million".
    pub znodes_million: u64,
    /// Transactions between the snapshots of the snapshot row. Half of it must be more than what comes
    /// before that row's second phase, or its first phase would have a snapshot in it.
    pub snap_count: u32,
    /// The longest wait for a snapshot.
    pub snapshot_wait: Duration,
    /// Sessions that watch.
    pub watchers: usize,
    /// Starts of each server on an empty directory.
    pub starts_empty: usize,
    /// Starts of each server on a million znodes.
    pub starts_million: usize,
    /// No further row begins after this time.
    pub budget: Duration,
}

impl Effort {
    /// The figures that count, in about ten minutes.
    pub fn full() -> Self {
        Self {
            rounds: 2,
            warm_up: Duration::from_millis(1500),
            warm_up_first: Duration::from_secs(4),
            window: Duration::from_secs(4),
            window_tail: Duration::from_secs(8),
            creates_max: 100_000,
            znodes: 100_000,
            znodes_million: 1_000_000,
            snap_count: 50_000,
            snapshot_wait: Duration::from_secs(40),
            watchers: 10_000,
            starts_empty: 5,
            starts_million: 2,
            budget: Duration::from_mins(10),
        }
    }

    /// Everything once and small, in less than two minutes.
    pub fn quick() -> Self {
        Self {
            rounds: 1,
            warm_up: Duration::from_millis(500),
            warm_up_first: Duration::from_millis(1500),
            window: Duration::from_millis(1500),
            window_tail: Duration::from_secs(2),
            creates_max: 20_000,
            znodes: 10_000,
            znodes_million: 100_000,
            snap_count: 14_000,
            snapshot_wait: Duration::from_secs(10),
            watchers: 1_000,
            starts_empty: 2,
            starts_million: 1,
            budget: Duration::from_secs(90),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::tail::SETS_PER_SECOND;

    /// The snapshot row's quiet phase must end before the earliest snapshot.
    #[test]
    fn the_quiet_phase_stays_below_half_of_snap_count() {
        for effort in [Effort::full(), Effort::quick()] {
            let sets = SETS_PER_SECOND * (effort.warm_up + effort.window_tail).as_secs_f64();
            let prefill = 1.1 * effort.znodes_million as f64 / 500.0;
            let sessions = 1000.0; // Opening one and closing it are transactions too.
            assert!(sets + prefill + sessions < f64::from(effort.snap_count) / 2.0, "{effort:?}");
        }
    }
}
