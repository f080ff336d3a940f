//! In which order Java's tables give back what was put into them.
//!
//! Java prints a configuration by walking a `HashMap` keyed by server, which it filled by walking a
//! `Properties` keyed by the names of the lines. So the order of the text, which ends up in
//! `/zookeeper/config`, is that of two tables: buckets by hash, and within a bucket the order of insertion,
//! as growing the table leaves it. For servers below 16 that is ascending order; else it is not.
//!
//! Modelled are Java 9 and later, whose `Properties` is a `ConcurrentHashMap`, and buckets that are lists.
//! (With more than eight colliding keys in a table of 64 or more, Java makes a tree of them. Server ids of 0
//! to 255 cannot collide so often.)

use crate::java_hash;

/// `java.util.HashMap<Long, V>`.
#[derive(Clone, Debug)]
pub(super) struct LongMap<V> {
    buckets: Vec<Vec<(i64, V)>>,
    len: usize,
}

impl<V> LongMap<V> {
    pub fn new() -> Self {
        Self { buckets: empty(16), len: 0 }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn get(&self, key: i64) -> Option<&V> {
        let bucket = &self.buckets[self.index(key)];
        bucket.iter().find(|(other, _)| *other == key).map(|(_, value)| value)
    }

    pub fn contains(&self, key: i64) -> bool {
        self.get(key).is_some()
    }

    /// The value of `key`, put in with `value` if it was not there.
    pub fn entry(&mut self, key: i64, value: V) -> &mut V {
        if !self.contains(key) {
            self.add(key, value);
        }
        let index = self.index(key);
        let found = self.buckets[index].iter_mut().find(|(other, _)| *other == key);
        found.map(|(_, value)| value).expect("the key is there or was just put in")
    }

    fn add(&mut self, key: i64, value: V) {
        let index = self.index(key);
        self.buckets[index].push((key, value));
        self.len += 1;
        // In a small table, a crowded bucket is reason enough to grow.
        if self.buckets.len() < 64 && 8 < self.buckets[index].len() {
            self.grow();
        }
        if self.buckets.len() / 4 * 3 < self.len {
            self.grow();
        }
    }

    fn index(&self, key: i64) -> usize {
        let folded = (key ^ (key as u64 >> 32) as i64) as u32;
        (folded ^ folded >> 16) as usize & (self.buckets.len() - 1)
    }

    /// Doubles the table; both halves of a bucket keep its order.
    fn grow(&mut self) {
        let doubled = empty(2 * self.buckets.len());
        for (key, value) in std::mem::replace(&mut self.buckets, doubled).into_iter().flatten() {
            let index = self.index(key);
            self.buckets[index].push((key, value));
        }
    }

    pub fn into_entries(self) -> impl Iterator<Item = (i64, V)> {
        self.buckets.into_iter().flatten()
    }

    pub fn iter(&self) -> impl Iterator<Item = (i64, &V)> {
        self.buckets.iter().flatten().map(|(key, value)| (*key, value))
    }
}

/// `java.util.Properties`: a later value of a key takes the place of the earlier one.
pub(super) struct PropertyMap {
    buckets: Vec<Vec<Property>>,
    len: usize,
}

struct Property {
    hash: usize,
    key: String,
    value: String,
}

impl PropertyMap {
    pub fn new() -> Self {
        Self { buckets: empty(16), len: 0 }
    }

    pub fn put(&mut self, key: String, value: String) {
        let hash = java_hash(&key);
        let hash = ((hash ^ hash >> 16) & 0x7fff_ffff) as usize;
        let index = hash & (self.buckets.len() - 1);
        let bucket = &mut self.buckets[index];
        if let Some(property) = bucket.iter_mut().find(|other| other.key == key) {
            property.value = value;
            return;
        }
        bucket.push(Property { hash, key, value });
        self.len += 1;
        while self.buckets.len() / 4 * 3 <= self.len {
            self.grow();
        }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    /// Doubles the table. `ConcurrentHashMap` reuses the longest end of a bucket that stays together, and
    /// puts copies of the others before it, each before the one that was copied last.
    fn grow(&mut self) {
        let half = self.buckets.len();
        let mut grown = empty(2 * half);
        for (index, bucket) in std::mem::take(&mut self.buckets).into_iter().enumerate() {
            let goes_up = |property: &Property| property.hash & half != 0;
            let last = bucket.last().map(goes_up);
            let end = bucket.iter().rev().take_while(|property| Some(goes_up(property)) == last).count();
            let copied = bucket.len() - end;
            let mut halves: [Vec<Property>; 2] = [Vec::new(), Vec::new()];
            let mut kept = Vec::with_capacity(end);
            for (place, property) in bucket.into_iter().enumerate() {
                if place < copied {
                    halves[usize::from(goes_up(&property))].insert(0, property);
                } else {
                    kept.push(property);
                }
            }
            halves[usize::from(last == Some(true))].append(&mut kept);
            let [low, high] = halves;
            grown[index] = low;
            grown[index + half] = high;
        }
        self.buckets = grown;
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.buckets.iter().flatten().map(|property| (property.key.as_str(), property.value.as_str()))
    }
}

fn empty<T>(length: usize) -> Vec<Vec<T>> {
    std::iter::repeat_with(Vec::new).take(length).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(keys: &[i64]) -> Vec<i64> {
        let mut map = LongMap::new();
        for key in keys {
            map.entry(*key, ());
        }
        map.into_entries().map(|(key, ())| key).collect()
    }

    #[test]
    fn small_servers_are_in_ascending_order() {
        assert_eq!(order(&[3, 1, 2]), [1, 2, 3]);
        assert_eq!(order(&[15, 0, 7]), [0, 7, 15]);
    }

    #[test]
    fn larger_ones_are_in_the_order_of_their_buckets() {
        assert_eq!(order(&[101, 102, 103, 201, 202, 203]), [101, 102, 103, 201, 202, 203]);
        assert_eq!(order(&[17, 16, 2, 1]), [16, 17, 1, 2]);
        assert_eq!(order(&[-1, 1 << 32]), [-1, 1 << 32]);
    }

    /// Twelve fit into sixteen buckets, thirteen do not.
    #[test]
    fn the_thirteenth_server_changes_the_order() {
        let twelve: Vec<i64> = (1..=12).map(|n| n + 15).collect();
        assert_eq!(order(&twelve), [16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27]);
        let mut some = vec![17, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
        assert_eq!(order(&some)[..3], [17, 1, 2]);
        some.push(12);
        assert_eq!(order(&some)[..3], [1, 2, 3]);
    }

    #[test]
    fn a_property_keeps_its_place_and_its_last_value() {
        let mut map = PropertyMap::new();
        for (key, value) in [("a", "1"), ("b", "2"), ("a", "3")] {
            map.put(key.to_owned(), value.to_owned());
        }
        assert_eq!(map.iter().collect::<Vec<_>>(), [("a", "3"), ("b", "2")]);
        assert_eq!(map.len(), 2);
    }
}
