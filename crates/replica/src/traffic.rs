//! How much is read and written below each child of the root, as far as they are told apart ([`zabd_tree::namespaces`]).

use zabd_jute::java_length;
use zabd_tree::namespaces::{Namespaces, namespace};

/// Smallest, largest, sum and count of some samples, as Java's `AvgMinMaxCounter`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Samples {
    /// 0 while there is no sample.
    pub min: u64,
    /// 0 while there is no sample.
    pub max: u64,
    /// Of all samples.
    pub sum: u64,
    /// How many samples.
    pub count: u64,
}

impl Samples {
    /// Counts one sample.
    pub fn add(&mut self, sample: u64) {
        self.merge(&Samples { min: sample, max: sample, sum: sample, count: 1 });
    }

    /// Counts the samples of another.
    pub fn merge(&mut self, other: &Samples) {
        if other.count == 0 {
            return;
        }
        self.min = if self.count == 0 { other.min } else { self.min.min(other.min) };
        self.max = self.max.max(other.max);
        self.sum += other.sum;
        self.count += other.count;
    }

    /// 0 while there is no sample.
    pub fn average(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum as f64 / self.count as f64 }
    }
}

/// Znodes with a time to live that transactions made and removed, since the last `srst`. What a start replays does not count
/// again, as it does in Java.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TtlNodes {
    /// Made.
    pub created: u64,
    /// Removed, because their time was over or by a client.
    pub deleted: u64,
}

/// See the module's description.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic(Namespaces<Samples>);

/// So many names stay known where figures are only collected, since the next ones are likely to be of the same.
const KEPT_MAX: usize = 16;

/// What Java adds to every read: the size of a stat.
const STAT_BYTES: usize = 68;

impl Traffic {
    /// Counts a read of so many bytes of data or names at `path`; the root belongs to no namespace.
    pub fn add_read(&mut self, path: &str, bytes: usize) {
        self.add(path, java_length(path) + bytes + STAT_BYTES);
    }

    /// Counts a write of so many bytes of data at `path`.
    pub fn add_write(&mut self, path: &str, bytes: usize) {
        self.add(path, java_length(path) + bytes);
    }

    fn add(&mut self, path: &str, bytes: usize) {
        if let Some(samples) = namespace(path).and_then(|name| self.0.used(name, 1)) {
            samples.add(bytes as u64);
        }
    }

    /// Counts what another has counted, and empties it.
    pub fn absorb(&mut self, other: &mut Traffic) {
        for (name, samples) in other.0.iter_mut() {
            let more = std::mem::take(samples);
            if more.count > 0
                && let Some(samples) = self.0.used(name, more.count)
            {
                samples.merge(&more);
            }
        }
        if other.0.count() > KEPT_MAX {
            *other = Self::default();
        }
    }

    /// Counts from zero; the namespaces stay known.
    pub fn reset(&mut self) {
        self.0.iter_mut().for_each(|(_, samples)| *samples = Samples::default());
    }

    /// What has been counted, by namespace.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Samples)> {
        self.0.iter().map(|(name, samples)| (name, *samples))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_know_their_extremes() {
        let mut samples = Samples::default();
        assert!(samples.average().abs() < f64::EPSILON);
        for sample in [3, 1, 5] {
            samples.add(sample);
        }
        assert_eq!(samples, Samples { min: 1, max: 5, sum: 9, count: 3 });
        assert!((samples.average() - 3.0).abs() < f64::EPSILON);
    }

    #[test]
    fn operations_count_for_the_child_of_the_root() {
        let mut traffic = Traffic::default();
        for (path, bytes) in [("/a", 3), ("/a/b/c", 5), ("/", 9), ("", 9), ("/b/", 0)] {
            traffic.add_write(path, bytes);
        }
        traffic.add_read("/c", 1);
        let mut sum = Traffic::default();
        sum.absorb(&mut traffic);
        sum.absorb(&mut traffic);
        let a = Samples { min: 5, max: 11, sum: 16, count: 2 };
        let b = Samples { min: 3, max: 3, sum: 3, count: 1 };
        let c = Samples { min: 71, max: 71, sum: 71, count: 1 };
        assert_eq!(sum.iter().collect::<Vec<_>>(), [("a", a), ("b", b), ("c", c)]);
        sum.reset();
        assert!(sum.iter().all(|(_, bytes)| bytes == Samples::default()));
        assert_eq!(sum.iter().count(), 3, "what was seen once is shown as zero, as in Java");
    }

    #[test]
    fn what_is_collected_is_forgotten_if_it_is_much() {
        let (mut traffic, mut sum) = (Traffic::default(), Traffic::default());
        for (count, left) in [(KEPT_MAX, KEPT_MAX), (KEPT_MAX + 1, 0)] {
            (0..count).for_each(|n| traffic.add_write(&format!("/{n}"), 1));
            sum.absorb(&mut traffic);
            assert_eq!((sum.iter().count(), traffic.iter().count()), (count, left));
        }
    }
}
