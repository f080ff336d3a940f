//! What the znodes that changed last add to the tree's digest.
//!
//! A parent changes with each of its children, and what it added before is what was computed behind its last change. Whatever changes
//! a znode takes what stands here of it first, so nothing that stands here is outdated.

use crate::nodes::NodeId;

/// As many parents as are busy at a time, in many a tree.
const PLACES: usize = 64;

/// See the module's description.
#[derive(Debug)]
pub(crate) struct LastDigests([Option<(NodeId, u64)>; PLACES]);

impl LastDigests {
    pub(crate) fn new() -> Self {
        Self([None; PLACES])
    }

    /// It changed, and this is what it adds now.
    pub(crate) fn keep(&mut self, id: NodeId, digest: u64) {
        self.0[id.0 as usize % PLACES] = Some((id, digest));
    }

    /// What it adds, if that is known; it is about to change.
    pub(crate) fn take(&mut self, id: NodeId) -> Option<u64> {
        self.0[id.0 as usize % PLACES].take_if(|(known, _)| *known == id).map(|(_, digest)| digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_znode_has_its_own_and_once() {
        let mut last = LastDigests::new();
        let (one, other) = (NodeId(1), NodeId(1 + PLACES as u32));
        last.keep(one, 5);
        assert_eq!(last.take(other), None);
        assert_eq!((last.take(one), last.take(one)), (Some(5), None));
        last.keep(one, 6);
        last.keep(other, 7);
        assert_eq!((last.take(one), last.take(other)), (None, Some(7)));
    }
}
