//! How samples spread: Java's summaries with percentiles, which `mntr` prints.
//!
//! Java keeps some thousand samples drawn by lot. Here every sample counts, in buckets: one for each value
//! up to 255, and above that 128 for each power of two, so that a percentile is off by less than one in a
//! hundred. Nearly all samples are latencies of a few milliseconds, and then the table is small.

use crate::traffic::Samples as Summary;

/// Values below this have a bucket each.
const EXACT: u64 = 256;
/// Buckets per power of two above that.
const PER_OCTAVE: u64 = 128;

/// See the module's description.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Percentiles {
    summary: Summary,
    /// How many samples each bucket holds; as long as the largest sample asks for.
    buckets: Vec<u64>,
}

impl Percentiles {
    /// Counts one sample.
    pub fn add(&mut self, sample: u64) {
        self.add_many(sample, 1);
    }

    /// Counts one sample many times.
    pub fn add_many(&mut self, sample: u64, times: u64) {
        if times == 0 {
            return;
        }
        self.summary.merge(&Summary { min: sample, max: sample, sum: sample * times, count: times });
        let bucket = bucket_of(sample);
        if self.buckets.len() <= bucket {
            self.buckets.resize(bucket + 1, 0);
        }
        self.buckets[bucket] += times;
    }

    /// Smallest, largest, sum and count.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// The value that so many thousandths of the samples do not exceed; 0 while there is no sample.
    pub fn permille(&self, share: u64) -> u64 {
        self.permille_since(&Percentiles::default(), share).unwrap_or(0)
    }

    /// The same of the samples that came after `earlier`, which is how this was before; `None` if there are none.
    pub fn permille_since(&self, earlier: &Percentiles, share: u64) -> Option<u64> {
        let count = self.summary.count.saturating_sub(earlier.summary.count);
        let rank = (count * share).div_ceil(1000).max(1);
        let before = earlier.buckets.iter().chain(std::iter::repeat(&0));
        let mut seen = 0;
        let found = self.buckets.iter().zip(before).position(|(now, before)| {
            seen += now.saturating_sub(*before);
            seen >= rank
        });
        found.map(|bucket| lowest_of(bucket).clamp(self.summary.min, self.summary.max))
    }
}

fn bucket_of(sample: u64) -> usize {
    if sample < EXACT {
        return sample as usize;
    }
    let octave = u64::from(sample.ilog2()) - u64::from(EXACT.ilog2());
    let within = (sample >> (octave + 1)) - PER_OCTAVE;
    (EXACT + octave * PER_OCTAVE + within) as usize
}

/// The smallest value of a bucket.
fn lowest_of(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < EXACT {
        return bucket;
    }
    let (octave, within) = ((bucket - EXACT) / PER_OCTAVE, (bucket - EXACT) % PER_OCTAVE);
    (PER_OCTAVE + within) << (octave + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_values_are_exact() {
        let mut spread = Percentiles::default();
        assert_eq!(spread.permille(500), 0);
        (1..=100).for_each(|sample| spread.add(sample));
        assert_eq!([500, 950, 990, 999].map(|share| spread.permille(share)), [50, 95, 99, 100]);
        assert_eq!(*spread.summary(), Summary { min: 1, max: 100, sum: 5050, count: 100 });
    }

    #[test]
    fn one_slow_request_in_a_thousand_shows_in_the_last_percentile_only() {
        let mut spread = Percentiles::default();
        spread.add_many(0, 998);
        spread.add_many(70_000, 2);
        assert_eq!([500, 950, 990].map(|share| spread.permille(share)), [0, 0, 0]);
        assert!((69_500..=70_000).contains(&spread.permille(999)), "{}", spread.permille(999));
    }

    #[test]
    fn what_came_before_does_not_count() {
        let mut spread = Percentiles::default();
        spread.add_many(1000, 50);
        let earlier = spread.clone();
        assert_eq!(spread.permille_since(&earlier, 500), None);
        spread.add(3);
        spread.add(5000);
        assert_eq!(spread.permille_since(&earlier, 500), Some(3));
        assert!(spread.permille_since(&earlier, 990).is_some_and(|last| (4960..=5000).contains(&last)));
        assert_eq!(Percentiles::default().permille_since(&earlier, 500), None, "nothing is left of it");
    }

    #[test]
    fn every_value_has_a_bucket_near_it() {
        let mut last = 0;
        for shift in 0..63 {
            for sample in [1u64 << shift, (1 << shift) + (1 << shift >> 3), (2 << shift) - 1] {
                let bucket = bucket_of(sample);
                let lowest = lowest_of(bucket);
                assert!(lowest <= sample && sample - lowest <= sample / 100, "{sample} is in {lowest}");
                assert!(last <= bucket, "larger values are in later buckets");
                last = bucket;
            }
        }
    }
}
