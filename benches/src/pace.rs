//! When each request of an open loop is meant to be sent.
//!
//! The n-th request is due n intervals after the start, whatever became of the ones before it: computed
//! from the start each time, so that neither rounding nor a late wake-up lets the schedule drift.

/// A schedule of evenly spaced requests.
#[derive(Clone, Debug)]
pub struct Pace {
    start_ns: u64,
    per_second: f64,
    issued: u64,
}

impl Pace {
    /// `per_second` requests from `start_ns` on, which is on the caller's clock.
    pub fn new(start_ns: u64, per_second: f64) -> Self {
        assert!(0.0 < per_second, "a pace moves forward");
        Self { start_ns, per_second, issued: 0 }
    }

    /// When the next request is due.
    pub fn next_due_ns(&self) -> u64 {
        self.start_ns + (self.issued as f64 * 1e9 / self.per_second) as u64
    }

    /// Takes the next request if it is due by `now_ns`; the value is its intended time.
    pub fn take_due(&mut self, now_ns: u64) -> Option<u64> {
        let due_ns = self.next_due_ns();
        (due_ns <= now_ns).then(|| {
            self.issued += 1;
            due_ns
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_due_one_interval_apart() {
        let mut pace = Pace::new(1_000, 4.0);
        assert_eq!(pace.take_due(999), None);
        assert_eq!(pace.take_due(1_000), Some(1_000));
        assert_eq!(pace.take_due(1_000), None);
        assert_eq!(pace.next_due_ns(), 250_001_000);
    }

    /// A generator that slept too long sends everything it missed, each with its own intended time.
    #[test]
    fn a_late_caller_catches_up_without_drift() {
        let mut pace = Pace::new(0, 3.0);
        let due: Vec<u64> = std::iter::from_fn(|| pace.take_due(3_000_000_000)).collect();
        assert_eq!(due.len(), 10);
        assert_eq!(due[3], 1_000_000_000);
        assert_eq!(due[9], 3_000_000_000);
    }
}
