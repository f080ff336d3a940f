//! Latencies with their tail intact.
//!
//! A generator that waits for a slow answer before it asks again leaves out exactly the requests that
//! would have been slow: *coordinated omission*. Two cures, one per mode. In open loop every request has
//! an intended time that no answer can delay, and its latency counts from there ([`crate::pace`]). In
//! closed loop there is no such time, so [`Latencies::corrected`] adds the requests that a steady client
//! would have sent during each long wait.

use hdrhistogram::Histogram;

/// A histogram of nanoseconds, three significant digits, up to [`Latencies::MAX_NS`].
#[derive(Clone, Debug)]
pub struct Latencies {
    histogram: Histogram<u64>,
}

impl Default for Latencies {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, Self::MAX_NS, 3).expect("the bounds are in order");
        Self { histogram }
    }
}

impl Latencies {
    /// Two minutes; anything slower is recorded as this.
    pub const MAX_NS: u64 = 120_000_000_000;

    /// Adds one latency.
    pub fn record(&mut self, latency_ns: u64) {
        self.histogram.saturating_record(latency_ns.max(1));
    }

    /// Adds all of `other`'s.
    pub fn merge(&mut self, other: &Self) {
        self.histogram.add(&other.histogram).expect("all histograms have the same bounds");
    }

    /// All of these together.
    pub fn sum<'l>(parts: impl IntoIterator<Item = &'l Self>) -> Self {
        let mut sum = Self::default();
        for part in parts {
            sum.merge(part);
        }
        sum
    }

    /// How many were recorded.
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The latency that this share (0 to 1) of all requests did not exceed, in microseconds; 0 if there
    /// were none.
    pub fn quantile_us(&self, quantile: f64) -> f64 {
        self.histogram.value_at_quantile(quantile) as f64 / 1e3
    }

    /// With the requests that a client asking once per `interval_ns` would have had outstanding during
    /// each wait that was longer.
    #[must_use]
    pub fn corrected(&self, interval_ns: u64) -> Self {
        Self { histogram: self.histogram.clone_correct(interval_ns) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_near(actual: f64, expected: f64) {
        assert!((actual - expected).abs() <= expected * 0.01, "{actual} is not about {expected}");
    }

    #[test]
    fn quantiles_are_exact_to_three_digits() {
        let mut latencies = Latencies::default();
        (1..=1000).for_each(|us| latencies.record(us * 1000));
        assert_near(latencies.quantile_us(0.5), 500.0);
        assert_near(latencies.quantile_us(0.99), 990.0);
        assert_near(latencies.quantile_us(1.0), 1000.0);
    }

    /// 99 answers in 1 ms, then one that takes 100 ms while the client should have asked 99 times more.
    #[test]
    fn correction_restores_what_a_stall_hid() {
        let mut latencies = Latencies::default();
        (0..99).for_each(|_| latencies.record(1_000_000));
        latencies.record(100_000_000);
        assert_near(latencies.quantile_us(0.75), 1_000.0);

        let corrected = latencies.corrected(1_000_000);
        assert_eq!(corrected.count(), 199, "99 and one real, 99 that were left out");
        assert_near(corrected.quantile_us(0.49), 1_000.0);
        assert_near(corrected.quantile_us(0.75), 51_000.0);
    }

    #[test]
    fn merging_is_recording_into_one() {
        let (mut left, mut right) = (Latencies::default(), Latencies::default());
        left.record(10);
        right.record(u64::MAX);
        left.merge(&right);
        assert_eq!(left.count(), 2);
        assert_near(left.quantile_us(1.0), Latencies::MAX_NS as f64 / 1e3);
    }
}
