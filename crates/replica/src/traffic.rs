//! How much is read and written below each child of the root: Java's figures *per namespace*.
//!
//! A handful of namespaces carry all traffic, so a short list that is searched beats a table. What
//! comes after the list is full is not told apart.

/// Smallest, largest, sum and count of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bytes {
    /// 0 while there is no sample.
    pub min: u64,
    /// 0 while there is no sample.
    pub max: u64,
    /// Of all samples.
    pub sum: u64,
    /// How many samples.
    pub count: u64,
}

/// See the module's description.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    namespaces: Vec<(Box<str>, Bytes)>,
}

/// More are not told apart: a client that makes a million children of the root costs no memory here.
const NAMESPACES_MAX: usize = 128;

impl Traffic {
    /// Counts one operation on `path`; the root belongs to no namespace.
    pub fn add(&mut self, path: &str, bytes: usize) {
        let bytes = bytes as u64;
        if let Some(namespace) = namespace(path) {
            self.merge_one(namespace, &Bytes { min: bytes, max: bytes, sum: bytes, count: 1 });
        }
    }

    /// Counts what another has counted, and empties it.
    pub fn absorb(&mut self, other: &mut Traffic) {
        for (namespace, bytes) in &mut other.namespaces {
            if bytes.count > 0 {
                self.merge_one(namespace, bytes);
                *bytes = Bytes::default();
            }
        }
    }

    fn merge_one(&mut self, namespace: &str, more: &Bytes) {
        let place = self.namespaces.iter().position(|(known, _)| **known == *namespace);
        let place = match place {
            Some(place) => place,
            None if self.namespaces.len() < NAMESPACES_MAX => {
                self.namespaces.push((namespace.into(), Bytes::default()));
                self.namespaces.len() - 1
            }
            None => return,
        };
        let bytes = &mut self.namespaces[place].1;
        bytes.min = if bytes.count == 0 { more.min } else { bytes.min.min(more.min) };
        bytes.max = bytes.max.max(more.max);
        bytes.sum += more.sum;
        bytes.count += more.count;
    }

    /// What has been counted, by namespace.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Bytes)> {
        self.namespaces.iter().filter(|(_, bytes)| bytes.count > 0).map(|(name, bytes)| (&**name, *bytes))
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
    fn operations_count_for_the_child_of_the_root() {
        let mut traffic = Traffic::default();
        for (path, bytes) in [("/a", 3), ("/a/b/c", 5), ("/", 9), ("", 9), ("/b/", 0)] {
            traffic.add(path, bytes);
        }
        let mut sum = Traffic::default();
        sum.absorb(&mut traffic);
        sum.absorb(&mut traffic);
        let a = Bytes { min: 3, max: 5, sum: 8, count: 2 };
        let b = Bytes { min: 0, max: 0, sum: 0, count: 1 };
        assert_eq!(sum.iter().collect::<Vec<_>>(), [("a", a), ("b", b)]);
    }

    #[test]
    fn namespaces_are_bounded() {
        let mut traffic = Traffic::default();
        (0..1000).for_each(|n| traffic.add(&format!("/{n}"), 1));
        assert_eq!(traffic.iter().count(), NAMESPACES_MAX);
    }
}
