//! Znodes that are about to be asked for come into the processor's cache together.
//!
//! Of a large tree nearly every znode is in memory alone: its place in the index, the znode, its content. A search waits for each of
//! them in turn, a tenth of a microsecond or several, because it knows each only by the one before, and searches that follow each other
//! wait for all of it again and again. But no search needs what another one finds: so a processor that meets the same step
//! of many searches at once waits for all of them together. That is all that happens here, step by step, and nothing is changed by it.

use std::hint::black_box;

use super::{NodeId, Nodes, Slot};

/// So many are looked at together. More would push each other out before they are used.
pub(crate) const AHEAD_MAX: usize = 16;

/// A tree of fewer znodes is in the processor's cache anyway.
const LARGE_MIN: usize = 1 << 13;

impl Nodes {
    /// Whether it may pay to look ahead.
    pub(crate) fn is_large(&self) -> bool {
        self.count >= LARGE_MIN
    }

    /// Looks at the znodes at these paths, of which there may be as many as [`AHEAD_MAX`], and at the places in the index of
    /// those that do not exist.
    pub(crate) fn look_ahead<'p>(&self, paths: impl Iterator<Item = &'p [u8]>) {
        let mut hashes = [0; AHEAD_MAX];
        let mut count = 0;
        for path in paths {
            // Parents are few, or were asked for themselves.
            if let Some((parent, name)) = self.split(path) {
                hashes[count] = self.hash(parent, name);
                count += 1;
            }
        }
        let mut ids = [NodeId::ROOT; AHEAD_MAX];
        for (id, hash) in ids.iter_mut().zip(hashes).take(count) {
            let slot = self.index.find(Slot::spread(hash), |slot| slot.hash == hash);
            *id = slot.map_or(NodeId::ROOT, |slot| slot.id);
        }
        self.look_at(ids.into_iter().take(count));
    }

    /// Looks at the places in the index of children that are about to be added, of which there may be as many as [`AHEAD_MAX`].
    pub(crate) fn look_for<'n>(&self, names: impl Iterator<Item = (NodeId, &'n str)>) {
        let mut hashes = [0; AHEAD_MAX];
        let mut count = 0;
        for ((parent, name), hash) in names.zip(&mut hashes) {
            *hash = self.hash(parent, name.as_bytes());
            count += 1;
        }
        for hash in hashes.into_iter().take(count) {
            black_box(self.index.find(Slot::spread(hash), |slot| slot.hash == hash));
        }
    }

    /// Looks at znodes.
    pub(crate) fn look_at(&self, ids: impl Iterator<Item = NodeId> + Clone) {
        let mut seen = 0;
        for id in ids.clone() {
            let node = self.get(id);
            seen ^= node.stat.czxid.0 ^ node.content.len() as i64 ^ i64::from(node.num_children);
        }
        for id in ids {
            let content = &self.get(id).content;
            seen ^= content.first().map_or(0, |byte| i64::from(*byte));
            seen ^= content.last().map_or(0, |byte| i64::from(*byte));
        }
        // What nobody uses would not be looked at.
        black_box(seen);
    }

    /// The znode above a path, and the last name.
    fn split<'p>(&self, path: &'p [u8]) -> Option<(NodeId, &'p [u8])> {
        let slash = path.iter().rposition(|byte| *byte == b'/')?;
        let parent = self.resolve(str::from_utf8(&path[..slash]).ok()?)?;
        Some((parent, &path[slash + 1..]))
    }
}

#[cfg(test)]
mod tests {
    use zabd_jute::StatPersisted;

    use super::*;
    use crate::acl_cache::AclNumber;

    /// What clients ask for need not be a path at all.
    #[test]
    fn whatever_is_asked_for_can_be_looked_at() {
        let mut nodes = Nodes::new(1);
        nodes.insert(NodeId::ROOT, "/a", Some(b""), AclNumber::OPEN, StatPersisted::default());
        let a = nodes.resolve("/a").unwrap();
        nodes.insert(a, "/a/b", None, AclNumber::OPEN, StatPersisted::default());
        let asked: [&[u8]; AHEAD_MAX] = [
            b"/a",
            b"/a/b",
            b"/",
            b"",
            b"a",
            b"a/b",
            b"//",
            b"/a/",
            b"/a//b",
            b"/x/y/z",
            b"/\xff\xfe",
            b"/a/\0",
            b"/zookeeper",
            b"///////",
            b"b/",
            b"/a/b/c/d",
        ];
        nodes.look_ahead(asked.into_iter());
        nodes.look_ahead(std::iter::empty());
        nodes.look_at([NodeId::ROOT, a].into_iter());
    }

    #[test]
    fn a_path_is_looked_for_below_the_znode_above_it() {
        let mut nodes = Nodes::new(1);
        nodes.insert(NodeId::ROOT, "/a", Some(b""), AclNumber::OPEN, StatPersisted::default());
        let a = nodes.resolve("/a").unwrap();
        assert_eq!(nodes.split(b"/a"), Some((NodeId::ROOT, &b"a"[..])));
        assert_eq!(nodes.split(b"/a/b"), Some((a, &b"b"[..])));
        assert_eq!(nodes.split(b"/x/b"), None);
        assert_eq!(nodes.split(b"x"), None);
    }
}
