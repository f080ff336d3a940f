//! In which order a Java `HashMap` or `HashSet` gives back the keys that were put into it, one after the other.
//!
//! Java lists the children of a znode by walking a set, for its clients and where it prints a snapshot, so their order is that of
//! a hash table: buckets by hash, and within a bucket the order in which the keys came, as growing the table leaves it. A bucket with more than eight
//! keys becomes a red-black tree, whose keys are still chained; a new key then stands behind its parent in the tree instead of
//! at the end, and the tree's root is moved to the front. Among a million children some buckets do, so the trees are kept here
//! too, as `HashMap.treeifyBin`, `putTreeVal` and `split` of Java 8 and later keep them.

use std::cmp::Ordering;
use std::collections::BTreeMap;

/// No key, no bucket.
const NONE: u32 = u32::MAX;
/// A bucket with more keys becomes a tree, or makes a small table grow.
const LIST_KEYS_MAX: u32 = 8;
/// Half a tree with so few keys is a list again when the table grows.
const UNTREED_KEYS_MAX: usize = 6;
/// In a smaller table, a crowded bucket is reason enough to grow.
const TABLE_WITH_TREES_MIN: usize = 64;

/// How many buckets the table of a znode's children begins with (`DataNode`).
pub const BUCKETS_OF_CHILDREN: usize = 8;

/// How many buckets the copy of a set (`HashSet.clone`) of so many keys has.
pub fn buckets_of_copy(keys: usize) -> usize {
    (keys * 4 / 3 + 1).next_power_of_two()
}

/// What may be put into a table.
pub trait Key {
    /// `hashCode()`.
    fn hash(&self) -> u32;
    /// `compareTo()`, never equal for two keys of a table.
    fn compare(&self, other: &Self) -> Ordering;
}

impl Key for &str {
    fn hash(&self) -> u32 {
        crate::java_hash(self)
    }

    fn compare(&self, other: &Self) -> Ordering {
        compare_strings(self, other)
    }
}

impl Key for i64 {
    fn hash(&self) -> u32 {
        (self ^ (*self as u64 >> 32) as i64) as u32
    }

    fn compare(&self, other: &Self) -> Ordering {
        self.cmp(other)
    }
}

/// `String.compareTo`: by UTF-16 units, which differs from the order of UTF-8 beyond the basic plane.
pub fn compare_strings(one: &str, other: &str) -> Ordering {
    one.encode_utf16().cmp(other.encode_utf16())
}

/// The places of different keys in the order in which a table gives them back that began with so many buckets.
pub fn order<K: Key>(keys: &[K], buckets: usize) -> Vec<u32> {
    if keys.len() < 2 {
        return (0..keys.len() as u32).collect();
    }
    let hashes: Vec<u32> = keys.iter().map(Key::hash).map(|hash| hash ^ hash >> 16).collect();
    let mut table = Table {
        keys,
        hashes,
        heads: vec![NONE; buckets],
        tails: vec![NONE; buckets],
        next: vec![NONE; keys.len()],
        trees: BTreeMap::new(),
    };
    for key in 0..keys.len() as u32 {
        table.add(key);
    }
    table.walk()
}

struct Table<'k, K> {
    keys: &'k [K],
    hashes: Vec<u32>,
    /// First and last key of every bucket that is a list.
    heads: Vec<u32>,
    tails: Vec<u32>,
    /// The key behind each key in its list.
    next: Vec<u32>,
    /// Buckets that are trees.
    trees: BTreeMap<usize, TreeBucket>,
}

impl<K: Key> Table<'_, K> {
    fn bucket_of(&self, key: u32) -> usize {
        self.hashes[key as usize] as usize & (self.heads.len() - 1)
    }

    fn add(&mut self, key: u32) {
        let bucket = self.bucket_of(key);
        if let Some(mut tree) = self.trees.remove(&bucket) {
            tree.add(key, self);
            self.trees.insert(bucket, tree);
        } else {
            self.append(bucket, key);
            if self.list(bucket).count() > LIST_KEYS_MAX as usize {
                if self.heads.len() < TABLE_WITH_TREES_MIN {
                    self.grow();
                } else {
                    let keys: Vec<u32> = self.list(bucket).collect();
                    self.heads[bucket] = NONE;
                    let tree = TreeBucket::of(keys, self);
                    self.trees.insert(bucket, tree);
                }
            }
        }
        if self.heads.len() / 4 * 3 < key as usize + 1 {
            self.grow();
        }
    }

    fn append(&mut self, bucket: usize, key: u32) {
        if self.heads[bucket] == NONE {
            self.heads[bucket] = key;
        } else {
            self.next[self.tails[bucket] as usize] = key;
        }
        self.tails[bucket] = key;
        self.next[key as usize] = NONE;
    }

    fn list(&self, bucket: usize) -> impl Iterator<Item = u32> + '_ {
        let some = |key: u32| (key != NONE).then_some(key);
        std::iter::successors(some(self.heads[bucket]), move |key| some(self.next[*key as usize]))
    }

    /// Doubles the table; both halves of a bucket keep its order.
    fn grow(&mut self) {
        let half = self.heads.len();
        let heads = std::mem::replace(&mut self.heads, vec![NONE; 2 * half]);
        self.tails = vec![NONE; 2 * half];
        for mut key in heads {
            while key != NONE {
                let next = self.next[key as usize];
                self.append(self.bucket_of(key), key);
                key = next;
            }
        }
        for (bucket, tree) in std::mem::take(&mut self.trees) {
            let is_low = |key: &u32| self.hashes[*key as usize] as usize & half == 0;
            let (low, high): (Vec<u32>, Vec<u32>) = tree.chain.iter().partition(|key| is_low(key));
            if low.is_empty() || high.is_empty() {
                self.trees.insert(if low.is_empty() { bucket + half } else { bucket }, tree);
                continue;
            }
            for (bucket, keys) in [(bucket, low), (bucket + half, high)] {
                if keys.len() <= UNTREED_KEYS_MAX {
                    for key in keys {
                        self.append(bucket, key);
                    }
                } else {
                    let tree = TreeBucket::of(keys, self);
                    self.trees.insert(bucket, tree);
                }
            }
        }
    }

    fn walk(&self) -> Vec<u32> {
        let mut places = Vec::with_capacity(self.keys.len());
        for bucket in 0..self.heads.len() {
            match self.trees.get(&bucket) {
                Some(tree) => places.extend_from_slice(&tree.chain),
                None => places.extend(self.list(bucket)),
            }
        }
        places
    }

    /// In the order of trees: by hash as a signed number, then by key.
    fn compare(&self, one: u32, other: u32) -> Ordering {
        let hash = |key: u32| self.hashes[key as usize] as i32;
        let by_key = || self.keys[one as usize].compare(&self.keys[other as usize]);
        hash(one).cmp(&hash(other)).then_with(by_key)
    }
}

/// A node of a red-black tree; its number is its place among the tree's nodes.
#[derive(Clone, Copy, Debug)]
struct Node {
    key: u32,
    parent: u32,
    left: u32,
    right: u32,
    is_red: bool,
}

/// A bucket that is a tree.
#[derive(Debug, Default)]
struct TreeBucket {
    nodes: Vec<Node>,
    root: u32,
    /// The keys as they are walked.
    chain: Vec<u32>,
}

impl TreeBucket {
    /// Makes a tree of a chain.
    fn of<K: Key>(chain: Vec<u32>, table: &Table<'_, K>) -> Self {
        let mut tree = Self { nodes: Vec::with_capacity(chain.len()), root: NONE, chain };
        for place in 0..tree.chain.len() {
            tree.hang(tree.chain[place], table);
        }
        tree.move_root_to_front();
        tree
    }

    fn add<K: Key>(&mut self, key: u32, table: &Table<'_, K>) {
        let parent = self.hang(key, table);
        let place = self.chain.iter().position(|other| *other == parent).expect("the parent is in the chain");
        self.chain.insert(place + 1, key);
        self.move_root_to_front();
    }

    fn move_root_to_front(&mut self) {
        let root = self.nodes[self.root as usize].key;
        let place = self.chain.iter().position(|key| *key == root).expect("the root is in the chain");
        self.chain[..=place].rotate_right(1);
    }

    /// Puts a key into the tree; gives the key below which it was hung, before the tree was balanced.
    fn hang<K: Key>(&mut self, key: u32, table: &Table<'_, K>) -> u32 {
        let (mut parent, mut at, mut goes_left) = (NONE, self.root, false);
        while at != NONE {
            parent = at;
            let node = &self.nodes[at as usize];
            goes_left = table.compare(key, node.key) == Ordering::Less;
            at = if goes_left { node.left } else { node.right };
        }
        let new = self.nodes.len() as u32;
        self.nodes.push(Node { key, parent, left: NONE, right: NONE, is_red: true });
        if parent == NONE {
            self.root = new;
        } else if goes_left {
            self.nodes[parent as usize].left = new;
        } else {
            self.nodes[parent as usize].right = new;
        }
        self.balance(new);
        self.nodes.get(parent as usize).map_or(NONE, |node| node.key)
    }

    /// Makes the tree red and black again behind a new node, as the textbook does.
    fn balance(&mut self, mut at: u32) {
        while let Some(parent) = self.red_parent(at) {
            let grand = self.nodes[parent as usize].parent;
            let is_left = self.nodes[grand as usize].left == parent;
            let uncle =
                if is_left { self.nodes[grand as usize].right } else { self.nodes[grand as usize].left };
            if uncle != NONE && self.nodes[uncle as usize].is_red {
                self.nodes[parent as usize].is_red = false;
                self.nodes[uncle as usize].is_red = false;
                self.nodes[grand as usize].is_red = true;
                at = grand;
                continue;
            }
            let inner =
                if is_left { self.nodes[parent as usize].right } else { self.nodes[parent as usize].left };
            let mut top = parent;
            if inner == at {
                self.rotate(parent, is_left);
                top = at;
            }
            self.nodes[top as usize].is_red = false;
            self.nodes[grand as usize].is_red = true;
            self.rotate(grand, !is_left);
            break;
        }
        self.nodes[self.root as usize].is_red = false;
    }

    /// The parent, if it is red; then it has a parent too, as the root is black.
    fn red_parent(&self, at: u32) -> Option<u32> {
        let parent = self.nodes[at as usize].parent;
        (parent != NONE && self.nodes[parent as usize].is_red).then_some(parent)
    }

    /// Turns a node down, to the left or to the right, and its child on the other side up.
    fn rotate(&mut self, at: u32, to_left: bool) {
        let node = self.nodes[at as usize];
        let up = if to_left { node.right } else { node.left };
        let moved = if to_left { self.nodes[up as usize].left } else { self.nodes[up as usize].right };
        if to_left {
            self.nodes[at as usize].right = moved;
            self.nodes[up as usize].left = at;
        } else {
            self.nodes[at as usize].left = moved;
            self.nodes[up as usize].right = at;
        }
        if moved != NONE {
            self.nodes[moved as usize].parent = at;
        }
        self.nodes[at as usize].parent = up;
        self.nodes[up as usize].parent = node.parent;
        match self.nodes.get_mut(node.parent as usize) {
            None => self.root = up,
            Some(parent) if parent.left == at => parent.left = up,
            Some(parent) => parent.right = up,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(keys: &[&str]) -> String {
        order(keys, 8).into_iter().map(|place| keys[place as usize]).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn few_keys_are_in_the_order_of_their_buckets() {
        assert_eq!(strings(&["zookeeper", "b", "a"]), "a b zookeeper");
        assert_eq!(order(&[17_i64, 16, 2, 1], 16), [1, 0, 3, 2]);
        assert_eq!(strings(&[]), "");
    }

    /// All of these have the same hash, as `Aa` and `BB` do.
    fn colliding(pairs: usize) -> Vec<String> {
        let key = |bits: usize| (0..pairs).map(|at| if bits >> at & 1 == 0 { "Aa" } else { "BB" }).collect();
        (0..1 << pairs).map(key).collect()
    }

    /// What Java 17 made of these sixteen keys in one bucket, in the order of their numbers.
    #[test]
    fn a_crowded_bucket_is_a_tree() {
        let owned = colliding(4);
        let keys: Vec<&str> = owned.iter().map(String::as_str).collect();
        assert_eq!(order(&keys, 8), [1, 0, 2, 3, 13, 4, 12, 5, 6, 14, 7, 15, 11, 8, 9, 10]);
    }
}
