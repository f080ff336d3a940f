//! Where znodes live: numbered slots in chunks, and one index from (parent, name) to number.
//!
//! A znode knows its name and its place among its siblings, not its path, so a deep tree costs no more
//! than a flat one, and a parent with a million children is a list that a child joins or leaves in one
//! step. Name and data share one allocation. The index holds numbers and hashes; the names it compares
//! are those of the slots. `ahead` brings znodes into the processor's cache before they are asked for.
//!
//! ```text
//! Node, 112 bytes:  stat 64 · content 16 (name bytes, then data) · acl 4 · prefix_crc 4 ·
//!                   parent, first_child, next, previous 16 · num_children 4 · name_length + flags 4
//! ```

mod ahead;

use std::hash::BuildHasher;

use crc32fast::Hasher;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use zabd_jute::StatPersisted;

use crate::acl_cache::AclNumber;

pub(crate) use ahead::AHEAD_MAX;

/// A slot's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NodeId(pub(crate) u32);

impl NodeId {
    pub(crate) const ROOT: NodeId = NodeId(0);
    const NONE: NodeId = NodeId(u32::MAX);
    const VACANT: NodeId = NodeId(u32::MAX - 1);

    fn some(self) -> Option<NodeId> {
        (self != NodeId::NONE).then_some(self)
    }
}

/// As many as fill whole huge pages, seven of 2 MiB each. What is not used of a chunk was never touched, so it takes no memory.
const CHUNK: usize = 1 << 17;
const NULL_DATA: u32 = 1 << 31;
const OUTSIDE_DIGEST: u32 = 1 << 30;
const NAME_LENGTH: u32 = OUTSIDE_DIGEST - 1;

/// One znode.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) stat: StatPersisted,
    content: Box<[u8]>,
    pub(crate) acl: AclNumber,
    /// CRC-32 of the path and the data: the digest's part that does not depend on the stat.
    prefix_crc: u32,
    parent: NodeId,
    first_child: NodeId,
    next: NodeId,
    previous: NodeId,
    num_children: u32,
    name_length_and_flags: u32,
}

const _: () = assert!(size_of::<Node>() <= 112, "memory per znode is a promise");

impl Node {
    fn vacant() -> Self {
        Self {
            stat: StatPersisted::default(),
            content: Box::default(),
            acl: AclNumber::OPEN,
            prefix_crc: 0,
            parent: NodeId::VACANT,
            first_child: NodeId::NONE,
            next: NodeId::NONE,
            previous: NodeId::NONE,
            num_children: 0,
            name_length_and_flags: 0,
        }
    }

    fn name_length(&self) -> usize {
        (self.name_length_and_flags & NAME_LENGTH) as usize
    }

    pub(crate) fn name(&self) -> &str {
        std::str::from_utf8(self.name_bytes()).expect("names are stored as text")
    }

    /// Without the check that it is text, where bytes do.
    fn name_bytes(&self) -> &[u8] {
        &self.content[..self.name_length()]
    }

    /// Null and empty differ.
    pub(crate) fn data(&self) -> Option<&[u8]> {
        (self.name_length_and_flags & NULL_DATA == 0).then(|| &self.content[self.name_length()..])
    }

    pub(crate) fn num_children(&self) -> usize {
        self.num_children as usize
    }

    pub(crate) fn prefix_crc(&self) -> u32 {
        self.prefix_crc
    }

    /// What the znode adds to the tree's digest.
    pub(crate) fn digest(&self) -> u64 {
        if self.name_length_and_flags & OUTSIDE_DIGEST == 0 { digest(self.prefix_crc, &self.stat) } else { 0 }
    }
}

/// Whether znodes at this path count in the tree's digest.
pub(crate) fn is_in_digest(path: &str) -> bool {
    !path.starts_with("/zookeeper/")
}

/// CRC-32 of path and data.
pub(crate) fn prefix_crc(path: &str, data: Option<&[u8]>) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(if path == "/" { b"" } else { path.as_bytes() });
    hasher.update(data.unwrap_or_default());
    hasher.finalize()
}

/// A znode's digest: the CRC goes on over the stat, in the order of Java's `DigestCalculator`.
pub(crate) fn digest(prefix_crc: u32, stat: &StatPersisted) -> u64 {
    let mut bytes = [0; 60];
    let longs = [stat.czxid.0, stat.mzxid.0, stat.pzxid.0, stat.ctime_ms, stat.mtime_ms];
    for (place, value) in bytes.chunks_exact_mut(8).zip(longs) {
        place.copy_from_slice(&value.to_be_bytes());
    }
    for (place, value) in bytes[40..52].chunks_exact_mut(4).zip([stat.version, stat.cversion, stat.aversion])
    {
        place.copy_from_slice(&value.to_be_bytes());
    }
    bytes[52..].copy_from_slice(&stat.ephemeral_owner.to_be_bytes());
    let mut hasher = Hasher::new_with_initial(prefix_crc);
    hasher.update(&bytes);
    u64::from(hasher.finalize())
}

fn content(name: &[u8], data: Option<&[u8]>) -> Box<[u8]> {
    let data = data.unwrap_or_default();
    let mut content = Vec::with_capacity(name.len() + data.len());
    content.extend_from_slice(name);
    content.extend_from_slice(data);
    content.into_boxed_slice()
}

/// What the index holds: a znode, and its hash, so that neither growing the index nor a search that
/// comes by has to look at the znode itself, which is seldom in the processor's cache.
#[derive(Clone, Copy, Debug)]
struct Slot {
    id: NodeId,
    hash: u32,
}

impl Slot {
    /// The index looks at the highest bits and at the lowest; the multiplication fills both.
    fn spread(hash: u32) -> u64 {
        u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

/// All znodes of a tree.
#[derive(Debug)]
pub(crate) struct Nodes {
    chunks: Vec<Vec<Node>>,
    free: Vec<NodeId>,
    count: usize,
    index: HashTable<Slot>,
    seed: FixedState,
}

impl Nodes {
    /// The root alone, with no data.
    pub(crate) fn new(hash_seed: u64) -> Self {
        let mut nodes = Self {
            chunks: Vec::new(),
            free: Vec::new(),
            count: 0,
            index: HashTable::new(),
            seed: FixedState::with_seed(hash_seed),
        };
        let root = nodes.claim();
        assert_eq!(root, NodeId::ROOT, "the root is the first znode");
        let node = nodes.get_mut(root);
        node.parent = NodeId::NONE;
        node.prefix_crc = prefix_crc("", None);
        nodes
    }

    fn claim(&mut self) -> NodeId {
        self.count += 1;
        if let Some(id) = self.free.pop() {
            return id;
        }
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let id = (self.chunks.len() - 1) * CHUNK + self.chunks[self.chunks.len() - 1].len();
        self.chunks.last_mut().expect("a chunk was just added").push(Node::vacant());
        let id = u32::try_from(id).expect("no more than four thousand million znodes");
        assert!(id < NodeId::VACANT.0, "no more than four thousand million znodes");
        NodeId(id)
    }

    /// How many slots there are, taken or free.
    pub(crate) fn slots(&self) -> usize {
        self.chunks.last().map_or(0, |last| (self.chunks.len() - 1) * CHUNK + last.len())
    }

    /// How many znodes there are, the root included.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn is_taken(&self, id: NodeId) -> bool {
        self.get(id).parent != NodeId::VACANT
    }

    pub(crate) fn get(&self, id: NodeId) -> &Node {
        &self.chunks[id.0 as usize / CHUNK][id.0 as usize % CHUNK]
    }

    pub(crate) fn get_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.chunks[id.0 as usize / CHUNK][id.0 as usize % CHUNK]
    }

    pub(crate) fn parent(&self, id: NodeId) -> Option<NodeId> {
        self.get(id).parent.some()
    }

    /// The child of this name.
    pub(crate) fn child(&self, parent: NodeId, name: &str) -> Option<NodeId> {
        let hash = self.hash(parent, name.as_bytes());
        let is_it = |slot: &Slot| {
            slot.hash == hash && {
                let node = self.get(slot.id);
                node.parent == parent && node.name_bytes() == name.as_bytes()
            }
        };
        self.index.find(Slot::spread(hash), is_it).map(|slot| slot.id)
    }

    fn hash(&self, parent: NodeId, name: &[u8]) -> u32 {
        self.seed.hash_one((parent.0, name)) as u32
    }

    /// The znode at this path; the empty path is the root.
    pub(crate) fn resolve(&self, path: &str) -> Option<NodeId> {
        if path.is_empty() || path == "/" {
            return Some(NodeId::ROOT);
        }
        let names = path.strip_prefix('/')?;
        names.split('/').try_fold(NodeId::ROOT, |parent, name| self.child(parent, name))
    }

    /// Whether this is the znode at this path.
    pub(crate) fn is_at(&self, id: NodeId, path: &str) -> bool {
        let (mut id, mut path) = (id, if path == "/" { "" } else { path });
        while let Some((above, name)) = path.rsplit_once('/') {
            let node = self.get(id);
            if node.name_bytes() != name.as_bytes() || matches!(node.parent, NodeId::NONE | NodeId::VACANT) {
                return false;
            }
            (id, path) = (node.parent, above);
        }
        id == NodeId::ROOT && path.is_empty()
    }

    /// The children, in no particular but a repeatable order.
    pub(crate) fn children(&self, id: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        std::iter::successors(self.get(id).first_child.some(), |child| self.get(*child).next.some())
    }

    /// The whole path, `/` for the root.
    pub(crate) fn path(&self, id: NodeId) -> String {
        let above = || std::iter::successors(Some(id), |at| self.parent(*at)).map(|at| self.get(at));
        let named = || above().filter(|node| node.parent != NodeId::NONE);
        let length: usize = named().map(|node| node.name_length() + 1).sum();
        if length == 0 {
            return "/".into();
        }
        let mut path = vec![0; length];
        let mut end = length;
        for node in named() {
            let begin = end - node.name_length();
            path[begin..end].copy_from_slice(node.name_bytes());
            path[begin - 1] = b'/';
            end = begin - 1;
        }
        String::from_utf8(path).expect("names are stored as text")
    }

    /// Adds a znode that does not exist below one that does; `path` is its whole path.
    pub(crate) fn insert(
        &mut self,
        parent: NodeId,
        path: &str,
        data: Option<&[u8]>,
        acl: AclNumber,
        stat: StatPersisted,
    ) -> NodeId {
        let name = path.rsplit('/').next().expect("splitting yields something");
        let id = self.claim();
        let first = self.get(parent).first_child;
        let flags = if data.is_none() { NULL_DATA } else { 0 };
        let outside = if is_in_digest(path) { 0 } else { OUTSIDE_DIGEST };
        let length = u32::try_from(name.len()).expect("names fit a frame");
        assert!(length <= NAME_LENGTH, "names fit a frame");
        *self.get_mut(id) = Node {
            stat,
            content: content(name.as_bytes(), data),
            acl,
            prefix_crc: prefix_crc(path, data),
            parent,
            first_child: NodeId::NONE,
            next: first,
            previous: NodeId::NONE,
            num_children: 0,
            name_length_and_flags: length | flags | outside,
        };
        if let Some(first) = first.some() {
            self.get_mut(first).previous = id;
        }
        let node = self.get_mut(parent);
        node.first_child = id;
        node.num_children += 1;
        let hash = self.hash(parent, name.as_bytes());
        self.index.insert_unique(Slot::spread(hash), Slot { id, hash }, |slot| Slot::spread(slot.hash));
        id
    }

    /// Removes a znode without children.
    pub(crate) fn remove(&mut self, id: NodeId) {
        let node = self.get(id);
        let hash = Slot::spread(self.hash(node.parent, node.name_bytes()));
        let entry = self.index.find_entry(hash, |slot| slot.id == id).expect("every znode is in the index");
        entry.remove();
        let removed = std::mem::replace(self.get_mut(id), Node::vacant());
        assert_eq!(removed.num_children, 0, "a znode with children is not removed");
        if let Some(next) = removed.next.some() {
            self.get_mut(next).previous = removed.previous;
        }
        match removed.previous.some() {
            Some(previous) => self.get_mut(previous).next = removed.next,
            None => self.get_mut(removed.parent).first_child = removed.next,
        }
        self.get_mut(removed.parent).num_children -= 1;
        self.free.push(id);
        self.count -= 1;
    }

    /// Replaces a znode's data; `path` is its whole path.
    pub(crate) fn set_data(&mut self, id: NodeId, path: &str, data: Option<&[u8]>) {
        let crc = prefix_crc(path, data);
        let node = self.get_mut(id);
        let length = node.name_length();
        let is_same_length = data.map_or(0, <[u8]>::len) + length == node.content.len();
        if is_same_length {
            // The same length is the common case and needs no new allocation.
            node.content[length..].copy_from_slice(data.unwrap_or_default());
        } else {
            node.content = content(node.name_bytes(), data);
        }
        let flag = if data.is_none() { NULL_DATA } else { 0 };
        node.name_length_and_flags = node.name_length_and_flags & !NULL_DATA | flag;
        node.prefix_crc = crc;
    }

    /// How many znodes there are below this one.
    pub(crate) fn descendants(&self, id: NodeId) -> usize {
        if id == NodeId::ROOT {
            return self.count - 1;
        }
        let mut below: Vec<NodeId> = self.children(id).collect();
        let mut count = 0;
        while let Some(one) = below.pop() {
            count += 1;
            below.extend(self.children(one));
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insert(nodes: &mut Nodes, path: &str) -> NodeId {
        let parent = nodes.resolve(zabd_jute::path::parent(path).unwrap()).unwrap();
        nodes.insert(parent, path, Some(b"data"), AclNumber::OPEN, StatPersisted::default())
    }

    #[test]
    fn paths_resolve_and_come_back() {
        let mut nodes = Nodes::new(1);
        for path in ["/a", "/a/b", "/a/b/c", "/d", "/a/e"] {
            let id = insert(&mut nodes, path);
            assert_eq!(nodes.resolve(path), Some(id));
            assert_eq!(nodes.path(id), path);
            assert!(nodes.is_at(id, path));
            for other in ["/", "", "/b", "/a/b/d", "/a/a/b/c", "a", "/d/", "//d"] {
                assert!(!nodes.is_at(id, other), "{path} is not {other}");
            }
        }
        assert!(
            nodes.is_at(NodeId::ROOT, "/")
                && nodes.is_at(NodeId::ROOT, "")
                && !nodes.is_at(NodeId::ROOT, "/a")
        );
        for path in ["a", "/a/", "//a", "/b", "/a/b/c/d", "//"] {
            assert_eq!(nodes.resolve(path), None, "{path}");
        }
        assert_eq!(nodes.resolve(""), Some(NodeId::ROOT));
        assert_eq!(nodes.path(NodeId::ROOT), "/");
        assert_eq!(nodes.descendants(nodes.resolve("/a").unwrap()), 3);
        assert_eq!(nodes.descendants(NodeId::ROOT), 5);
    }

    #[test]
    fn children_join_and_leave_anywhere_in_the_list() {
        let mut nodes = Nodes::new(1);
        let ids: Vec<_> = (0..5).map(|i| insert(&mut nodes, &format!("/{i}"))).collect();
        for (at, left) in [(2, "0134"), (4, "013"), (0, "13"), (3, "1"), (1, "")] {
            nodes.remove(ids[at]);
            let mut names: Vec<_> = nodes.children(NodeId::ROOT).map(|id| nodes.get(id).name()).collect();
            names.sort_unstable();
            assert_eq!(names.concat(), left);
            assert_eq!(nodes.get(NodeId::ROOT).num_children(), left.len());
        }
        assert_eq!(nodes.count(), 1);
        let again = insert(&mut nodes, "/again");
        assert!(ids.contains(&again), "slots are used again");
    }

    #[test]
    fn data_is_replaced_in_place_and_null_is_not_empty() {
        let mut nodes = Nodes::new(1);
        let id = insert(&mut nodes, "/a");
        for data in [Some(&b"DATA"[..]), None, Some(b""), Some(b"longer data"), None] {
            nodes.set_data(id, "/a", data);
            assert_eq!(nodes.get(id).data(), data);
            assert_eq!(nodes.get(id).name(), "a");
            assert_eq!(nodes.get(id).prefix_crc(), prefix_crc("/a", data));
        }
    }

    #[test]
    fn digest_of_the_fresh_root_is_javas() {
        assert_eq!(digest(prefix_crc("/", Some(b"")), &StatPersisted::default()), 68_323_592);
        assert_eq!(digest(prefix_crc("/zookeeper", Some(b"")), &StatPersisted::default()), 1_303_661_912);
    }
}
