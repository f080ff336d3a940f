//! How much is read and written below each child of the root: Java's figures *per namespace*.
//!
//! A client may make a million children of the root, and whoever asks for figures wants those of the namespaces that are in use.
//! So there is room for some, and one that is new takes the place of the one with the least traffic. Traffic counts the less the
//! older it is (each that gives way raises what all others are measured by), or namespaces that are long gone would keep
//! new ones out for ever.

use std::collections::BTreeMap;

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
pub struct Traffic {
    namespaces: BTreeMap<Box<str>, Namespace>,
    /// The weight of the last one that gave way.
    age: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Namespace {
    bytes: Samples,
    /// How many samples there were, also before a reset.
    uses: u64,
    /// Who has the least gives way.
    weight: u64,
}

/// Java keeps all there ever were.
const NAMESPACES_MAX: usize = 1024;
/// Longer names are not told apart.
const NAME_BYTES_MAX: usize = 4096;
/// So many names stay known where figures are only collected, since the next ones are likely to be of the same.
const KEPT_MAX: usize = 4;

/// What Java adds to every read: the size of a stat.
const STAT_BYTES: usize = 68;

impl Traffic {
    /// Counts a read of so many bytes of data or names at `path`; the root belongs to no namespace.
    pub fn add_read(&mut self, path: &str, bytes: usize) {
        self.add(path, path.len() + bytes + STAT_BYTES);
    }

    /// Counts a write of so many bytes of data at `path`.
    pub fn add_write(&mut self, path: &str, bytes: usize) {
        self.add(path, path.len() + bytes);
    }

    fn add(&mut self, path: &str, bytes: usize) {
        if let Some(namespace) = namespace(path) {
            let mut one = Samples::default();
            one.add(bytes as u64);
            self.merge_one(namespace, &one);
        }
    }

    /// Counts what another has counted, and empties it.
    pub fn absorb(&mut self, other: &mut Traffic) {
        for (name, namespace) in &mut other.namespaces {
            let bytes = std::mem::take(&mut namespace.bytes);
            if bytes.count > 0 {
                self.merge_one(name, &bytes);
            }
        }
        if other.namespaces.len() > KEPT_MAX {
            *other = Self::default();
        }
    }

    /// Counts from zero; the namespaces stay known.
    pub fn reset(&mut self) {
        self.namespaces.values_mut().for_each(|namespace| namespace.bytes = Samples::default());
    }

    fn merge_one(&mut self, name: &str, more: &Samples) {
        if name.len() > NAME_BYTES_MAX {
            return;
        }
        if !self.namespaces.contains_key(name) {
            self.make_room();
            self.namespaces.insert(name.into(), Namespace::default());
        }
        let namespace = self.namespaces.get_mut(name).expect("it was just found or put there");
        namespace.bytes.merge(more);
        namespace.uses += more.count;
        namespace.weight = self.age + namespace.uses;
    }

    fn make_room(&mut self) {
        if self.namespaces.len() < NAMESPACES_MAX {
            return;
        }
        let least = self.namespaces.iter().min_by_key(|(_, namespace)| namespace.weight);
        if let Some((name, weight)) = least.map(|(name, namespace)| (name.clone(), namespace.weight)) {
            self.namespaces.remove(&name);
            self.age = weight;
        }
    }

    /// What has been counted, by namespace.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Samples)> {
        self.namespaces.iter().map(|(name, namespace)| (&**name, namespace.bytes))
    }
}

fn namespace(path: &str) -> Option<&str> {
    let name = path.strip_prefix('/')?.split('/').next()?;
    (!name.is_empty()).then_some(name)
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
    fn namespaces_are_bounded() {
        let mut traffic = Traffic::default();
        (0..3000).for_each(|n| traffic.add_write(&format!("/{n}"), 1));
        assert_eq!(traffic.iter().count(), NAMESPACES_MAX);
        traffic.add_write(&format!("/{}", "n".repeat(NAME_BYTES_MAX + 1)), 1);
        assert!(traffic.iter().all(|(name, _)| name.len() < 5));
        let mut sum = Traffic::default();
        sum.absorb(&mut traffic);
        assert_eq!((sum.iter().count(), traffic.iter().count()), (NAMESPACES_MAX, 0));
    }

    fn writes(traffic: &Traffic, name: &str) -> Option<u64> {
        traffic.iter().find(|(known, _)| *known == name).map(|(_, bytes)| bytes.count)
    }

    #[test]
    fn who_makes_many_namespaces_does_not_hide_one_in_use() {
        let mut traffic = Traffic::default();
        for n in 0..20_000 {
            traffic.add_write(&format!("/{n}"), 1);
            if n % 100 == 0 {
                traffic.add_write("/used", 1);
            }
        }
        assert_eq!(writes(&traffic, "used"), Some(200));
    }

    #[test]
    fn namespaces_that_are_gone_keep_no_new_one_out() {
        let mut traffic = Traffic::default();
        for n in 0..NAMESPACES_MAX {
            (0..50).for_each(|_| traffic.add_write(&format!("/{n}"), 1));
        }
        // Each takes the place of the other until both have outweighed what is gone.
        for _ in 0..200 {
            traffic.add_write("/new", 1);
            traffic.add_write("/newer", 1);
        }
        let seen = writes(&traffic, "new").zip(writes(&traffic, "newer"));
        assert!(seen.is_some_and(|(new, newer)| new > 100 && newer > 100), "{seen:?}");
    }
}
