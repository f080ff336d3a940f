//! The tree as a stream of records, consistent at one transaction, while writes go on.
//!
//! The walk goes through the slots in their order, a bite at a time under the tree's exclusive lock.
//! One bit per slot says *done*: written, or not part of this snapshot. Between two bites the tree
//! changes, and each change first looks at the bit of what it is about to overwrite:
//!
//! - a znode that is not done and changes is kept as it was, by its slot, until the walk needs it;
//! - a znode that is not done and goes is kept with its path, and written at the end, in path order;
//! - a new znode is done from the start.
//!
//! Parents come before their children in the file: before a znode is written, its ancestors are. So the
//! extra memory is what was overwritten while the walk ran, and one bit per slot.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::ControlFlow;

use zabd_jute::{Acl, DecodeError, Reader, Record, SessionId, StatPersisted, Writer, Zxid};
use zabd_mutation::{Mutation, is_on};

use crate::acl_cache::{AclCache, List};
use crate::nodes::{AHEAD_MAX, NodeId, Nodes};
use crate::tree::{Tree, TreeOptions};

/// When a bite is large enough, whatever it has of znodes: nobody can use the tree meanwhile, and it is in memory twice.
const BITE_BYTES_ENOUGH: usize = 1 << 20;

/// So many access lists are as much work as a znode.
const LISTS_PER_NODE: usize = 4;

/// What a znode that is kept takes besides its data, in bytes, about.
const KEPT_BYTES: usize = 200;

/// What a snapshot is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotHead {
    /// The newest transaction in it.
    pub zxid: Zxid,
    /// The tree's digest, if it is kept.
    pub digest: Option<u64>,
}

/// A snapshot that is being written.
#[derive(Debug)]
pub(crate) struct Progress {
    done: Vec<u64>,
    next: u32,
    /// Sessions and the number of access lists, encoded when the snapshot began; taken with the first bite.
    opening: Vec<u8>,
    /// The access lists that are not written yet. There may be one for each znode, so to encode them at once would take the memory
    /// of a tree.
    lists: std::vec::IntoIter<(i64, List)>,
    /// Changed znodes as they were.
    kept: BTreeMap<NodeId, Kept>,
    /// Deleted znodes as they were, by path.
    gone: BTreeMap<String, Kept>,
    slots: u32,
    /// What the last two hold, in bytes, about.
    kept_bytes: usize,
}

/// A znode as it was when the snapshot began.
#[derive(Debug)]
struct Kept {
    data: Option<Box<[u8]>>,
    acl: i64,
    stat: StatPersisted,
}

impl Kept {
    fn bytes(&self) -> usize {
        KEPT_BYTES + self.data.as_ref().map_or(0, |data| data.len())
    }
}

impl Progress {
    fn is_done(&self, id: NodeId) -> bool {
        self.done.get(id.0 as usize / 64).is_none_or(|bits| bits >> (id.0 % 64) & 1 == 1)
    }

    fn set_done(&mut self, id: NodeId) {
        if let Some(bits) = self.done.get_mut(id.0 as usize / 64) {
            *bits |= 1 << (id.0 % 64);
        }
    }

    pub(crate) fn is_new(&mut self, id: NodeId) {
        self.set_done(id);
    }
}

/// The paths of znodes that come one behind the other, of which many have the same parent. The tree does not change meanwhile.
#[derive(Default)]
struct Paths {
    parent: Option<NodeId>,
    /// How much of `path` is the parent's.
    parent_length: usize,
    path: String,
}

impl Paths {
    /// The root's is empty.
    fn of(&mut self, nodes: &Nodes, id: NodeId) -> &str {
        let Some(parent) = nodes.parent(id) else { return "" };
        if self.parent != Some(parent) {
            self.parent = Some(parent);
            self.path = if parent == NodeId::ROOT { String::new() } else { nodes.path(parent) };
            self.parent_length = self.path.len();
        }
        self.path.truncate(self.parent_length);
        self.path.push('/');
        self.path.push_str(nodes.get(id).name());
        &self.path
    }
}

fn encode_node(out: &mut Vec<u8>, path: &str, data: Option<&[u8]>, acl: i64, stat: &StatPersisted) {
    let mut w = Writer::new(out);
    w.ustring(if path == "/" { "" } else { path });
    w.buffer(data);
    w.long(acl);
    stat.encode(&mut w);
}

impl Tree {
    /// Begins a snapshot of the tree as it is now.
    pub fn begin_snapshot(&mut self) -> SnapshotHead {
        assert!(self.snapshot.is_none(), "one snapshot at a time");
        let mut opening = Vec::new();
        let mut w = Writer::new(&mut opening);
        let left_out = usize::from(is_on(Mutation::SnapshotWithoutSessions)).min(self.sessions.len());
        w.count(self.sessions.len() - left_out);
        for (session, timeout_ms) in self.sessions.iter().skip(left_out) {
            w.session(*session);
            w.int(*timeout_ms);
        }
        let table = self.acls.table();
        w.count(table.len());
        let slots = self.nodes.slots();
        self.snapshot = Some(Progress {
            done: vec![0; slots.div_ceil(64)],
            next: 0,
            opening,
            lists: table.into_iter(),
            kept: BTreeMap::new(),
            gone: BTreeMap::new(),
            slots: slots as u32,
            kept_bytes: 0,
        });
        let zxid = if is_on(Mutation::SnapshotNamedAhead) { self.last_zxid.next() } else { self.last_zxid };
        SnapshotHead { zxid, digest: self.options.digest.then_some(self.digest) }
    }

    /// Appends the next part of the body: about `nodes_max` slots' worth, or a megabyte. False when it is complete.
    pub fn snapshot_chunk(&mut self, out: &mut Vec<u8>, nodes_max: usize) -> bool {
        let mut progress = self.snapshot.take().expect("a snapshot was begun");
        let begin = out.len();
        out.append(&mut progress.opening);
        let mut lists_left = LISTS_PER_NODE * nodes_max;
        while lists_left > 0
            && out.len() - begin < BITE_BYTES_ENOUGH
            && let Some((number, list)) = progress.lists.next()
        {
            let mut w = Writer::new(out);
            w.long(number);
            w.vector(&list, |w, acl| acl.encode(w));
            lists_left -= 1;
        }
        if progress.lists.len() > 0 {
            self.snapshot = Some(progress);
            return true;
        }
        let end = progress.slots.min(progress.next.saturating_add(nodes_max as u32));
        let mut paths = Paths::default();
        let mut seen = progress.next;
        while progress.next < end && out.len() - begin < BITE_BYTES_ENOUGH {
            if progress.next == seen {
                seen = end.min(seen + AHEAD_MAX as u32);
                self.nodes.look_at((progress.next..seen).map(NodeId));
            }
            let slot = NodeId(progress.next);
            self.write_with_ancestors(&mut progress, slot, &mut paths, out);
            progress.next += 1;
        }
        let mut left = nodes_max;
        while progress.next == progress.slots && left > 0 && out.len() - begin < BITE_BYTES_ENOUGH {
            let Some((path, kept)) = progress.gone.pop_first() else {
                Writer::new(out).ustring("/");
                return false;
            };
            encode_node(out, &path, kept.data.as_deref(), kept.acl, &kept.stat);
            progress.kept_bytes -= kept.bytes();
            left -= 1;
        }
        self.snapshot = Some(progress);
        true
    }

    /// What is kept for the snapshot that was begun, of what has changed since, in bytes, about; 0 if none was begun.
    pub fn kept_for_snapshot_bytes(&self) -> usize {
        self.snapshot.as_ref().map_or(0, |progress| progress.kept_bytes)
    }

    /// Gives up the snapshot that was begun.
    pub fn abandon_snapshot(&mut self) {
        self.snapshot = None;
    }

    fn write_with_ancestors(
        &self,
        progress: &mut Progress,
        id: NodeId,
        paths: &mut Paths,
        out: &mut Vec<u8>,
    ) {
        if progress.is_done(id) || !self.nodes.is_taken(id) {
            return;
        }
        let above = |id| self.nodes.parent(id);
        let mut ancestors = Vec::new();
        let mut next = above(id);
        while let Some(ancestor) = next.filter(|ancestor| !progress.is_done(*ancestor)) {
            ancestors.push(ancestor);
            next = above(ancestor);
        }
        for id in ancestors.into_iter().rev().chain([id]) {
            let path = paths.of(&self.nodes, id);
            if let Some(kept) = progress.kept.remove(&id) {
                progress.kept_bytes -= kept.bytes();
                encode_node(out, path, kept.data.as_deref(), kept.acl, &kept.stat);
            } else {
                let node = self.nodes.get(id);
                encode_node(out, path, node.data(), AclCache::persisted(node.acl), &node.stat);
            }
            progress.set_done(id);
        }
    }

    /// Keeps a znode that is about to change or to go, if a running snapshot still needs it.
    pub(crate) fn save_for_snapshot(&mut self, id: NodeId, goes: bool) {
        let Some(progress) = &mut self.snapshot else { return };
        if progress.is_done(id) || is_on(Mutation::SnapshotNotFrozen) {
            return;
        }
        let node = self.nodes.get(id);
        let as_it_is = || Kept {
            data: node.data().map(Into::into),
            acl: AclCache::persisted(node.acl),
            stat: node.stat,
        };
        if goes {
            let kept = if let Some(kept) = progress.kept.remove(&id) {
                kept
            } else {
                let kept = as_it_is();
                progress.kept_bytes += kept.bytes();
                kept
            };
            progress.gone.insert(self.nodes.path(id), kept);
            progress.set_done(id);
        } else if let Entry::Vacant(place) = progress.kept.entry(id) {
            progress.kept_bytes += place.insert(as_it_is()).bytes();
        }
    }
}

/// A snapshot's body is not one.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It does not decode.
    #[error("the snapshot does not decode at offset {offset} of its body")]
    Undecodable {
        /// In bytes from the body's start.
        offset: usize,
        /// Why.
        source: DecodeError,
    },
    /// Whoever was told how far it is wanted no more.
    #[error("reading the snapshot was stopped at offset {offset} of its body")]
    Stopped {
        /// In bytes from the body's start.
        offset: usize,
    },
    /// A znode comes before its parent.
    #[error("the snapshot holds {path} without its parent")]
    Orphan {
        /// Which one.
        path: String,
    },
    /// A znode comes twice.
    #[error("the snapshot holds {path} twice")]
    Twice {
        /// Which one.
        path: String,
    },
}

impl Tree {
    /// Reads a snapshot's body: sessions, access lists, znodes, the closing `/`.
    ///
    /// `zxid` is the newest transaction that is certainly in it, from the file's name; `digest` what
    /// the file says of the digest, and at which transaction.
    pub fn load(
        body: &[u8],
        zxid: Zxid,
        digest: Option<(Zxid, u64)>,
        options: TreeOptions,
    ) -> Result<Tree, LoadError> {
        Tree::load_telling(body, zxid, digest, options, &mut |_| ControlFlow::Continue(()))
    }

    /// The same, saying now and then how many bytes of the body have been read.
    pub fn load_telling(
        body: &[u8],
        zxid: Zxid,
        digest: Option<(Zxid, u64)>,
        options: TreeOptions,
        tell: &mut dyn FnMut(usize) -> ControlFlow<()>,
    ) -> Result<Tree, LoadError> {
        let mut tree = Tree::bare(options);
        let mut loader = Loader {
            tree: &mut tree,
            body,
            lists: BTreeMap::new(),
            list: (NO_LIST, Vec::new()),
            parent: (String::new(), NodeId::ROOT),
        };
        let mut r = Reader::with_limits(body, zabd_jute::Limits { field_bytes_max: body.len() });
        loader.load(&mut r, tell)?;
        tree.finish_load(zxid, digest);
        Ok(tree)
    }

    fn finish_load(&mut self, zxid: Zxid, digest: Option<(Zxid, u64)>) {
        self.last_zxid = zxid;
        // Zxid 0 in the digest section means that the writer had none.
        let digest = digest.filter(|(at, _)| *at != Zxid::ZERO || zxid == Zxid::ZERO);
        self.promised_digest = digest.filter(|(at, _)| zxid < *at);
        self.promises_nothing = digest.is_none();
        let limited: Vec<String> = self.quotas.iter().map(str::to_owned).collect();
        for path in limited {
            self.refresh_usage(&path);
        }
    }
}

/// The number of no list, for znodes that are open to everybody.
const NO_LIST: i64 = -1;

/// How many znodes are loaded between two words about it: about a millisecond's work.
const NODES_PER_WORD: usize = 4096;

struct Loader<'t, 'b> {
    tree: &'t mut Tree,
    body: &'b [u8],
    /// Where the lists stand that the file's numbers mean. The tree keeps its own, and to keep all of them here as well would take
    /// more memory than a server that has them.
    lists: BTreeMap<i64, usize>,
    /// The list of the znode before, which is often that of the next one.
    list: (i64, Vec<Acl<'b>>),
    /// Znodes come in order, so most share their parent with the one before.
    parent: (String, NodeId),
}

impl<'b> Loader<'_, 'b> {
    fn load(
        &mut self,
        r: &mut Reader<'b>,
        tell: &mut dyn FnMut(usize) -> ControlFlow<()>,
    ) -> Result<(), LoadError> {
        self.load_tables(r).map_err(|source| LoadError::Undecodable { offset: r.offset(), source })?;
        let mut nodes = 0_usize;
        while self.load_node(r)? {
            nodes += 1;
            if nodes.is_multiple_of(NODES_PER_WORD) && tell(r.offset()).is_break() {
                return Err(LoadError::Stopped { offset: r.offset() });
            }
        }
        let _ = tell(r.offset());
        Ok(())
    }

    fn load_tables(&mut self, r: &mut Reader<'b>) -> Result<(), DecodeError> {
        for _ in 0..r.int()? {
            let session: SessionId = r.session()?;
            let timeout_ms = r.int()?;
            self.tree.sessions.insert(session, timeout_ms);
        }
        for _ in 0..r.int()? {
            let number = r.long()?;
            let offset = r.offset();
            r.vector_or_null(Acl::decode)?;
            self.lists.insert(number, offset);
        }
        Ok(())
    }

    /// One znode; false at the closing `/`.
    fn load_node(&mut self, r: &mut Reader<'b>) -> Result<bool, LoadError> {
        let offset = r.offset();
        let decoded = (|| {
            let path = r.ustring()?;
            if path == "/" {
                return Ok(None);
            }
            Ok(Some((path, r.buffer()?, r.long()?, StatPersisted::decode(r)?)))
        })();
        let decoded = decoded.map_err(|source| LoadError::Undecodable { offset, source })?;
        let Some((path, data, list, stat)) = decoded else { return Ok(false) };
        let parent = if path.is_empty() { NodeId::ROOT } else { self.parent_of(&path)? };
        // A list that the table lacks is a known defect of older fuzzy snapshots; until a replayed
        // transaction repairs it, only a super user is let in.
        if list != self.list.0 {
            let known = self.lists.get(&list).filter(|_| list != NO_LIST);
            let acl = match known {
                Some(&offset) => self.list_at(offset).expect("it has been decoded before"),
                None if list == NO_LIST => Vec::new(),
                None => vec![Acl::new(0, "world", "anyone")],
            };
            self.list = (list, acl);
        }
        let acl: &[Acl<'_>] = &self.list.1;
        if path.is_empty() {
            self.tree.change_data(NodeId::ROOT, "", data, |root| *root = stat);
            self.tree.change_acl(NodeId::ROOT, acl);
            return Ok(true);
        }
        let name = &path[path.rfind('/').map_or(0, |slash| slash + 1)..];
        if self.tree.nodes.child(parent, name).is_some() {
            return Err(LoadError::Twice { path: path.into_owned() });
        }
        self.tree.attach(parent, &path, data, acl, stat);
        if let Some(crate::quota::Special::Limits(of)) = crate::quota::special(&path) {
            self.tree.quotas.register(of);
        }
        Ok(true)
    }

    fn list_at(&self, offset: usize) -> Result<Vec<Acl<'b>>, DecodeError> {
        let limits = zabd_jute::Limits { field_bytes_max: self.body.len() };
        let mut r = Reader::with_limits(&self.body[offset..], limits);
        Ok(r.vector_or_null(Acl::decode)?.unwrap_or_default())
    }

    fn parent_of(&mut self, path: &str) -> Result<NodeId, LoadError> {
        let orphan = || LoadError::Orphan { path: path.to_owned() };
        let parent = zabd_jute::path::parent(path).ok_or_else(orphan)?;
        if self.parent.0 != parent {
            let id = self.tree.nodes.resolve(parent).ok_or_else(orphan)?;
            self.parent = (parent.to_owned(), id);
        }
        Ok(self.parent.1)
    }
}

#[cfg(test)]
#[path = "snapshot_tests.rs"]
mod tests;
