//! Changes that are proposed and not yet applied, laid over the tree.
//!
//! Requests are checked while earlier ones are still on their way to the disk, so they are checked
//! against the tree *and* what stands here: per path, the znode as it will be. Java calls these
//! outstanding change records. They go when their transaction is applied.
//!
//! Here too the digest of the tree behind everything proposed is known, so that a record can carry it.
//! Data is never read again for that: a CRC over path and data is kept instead.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use hashbrown::hash_map::EntryRef;
use zabd_jute::{Acl, SessionId, StatPersisted, Zxid, path};

use crate::acl::AuthSchemes;
use crate::acl_cache::is_open;
use crate::namespaces::Namespaces;
use crate::nodes::{AHEAD_MAX, NodeId};
use crate::owner::is_ttl_or_session;
use crate::quota::QuotaExcess;
use crate::tree::{Tree, as_copied, node_digest, path_crc, path_is_in_digest};

/// How requests are checked.
#[derive(Clone, Copy, Debug)]
pub struct CheckOptions {
    /// No access list is checked at all.
    pub skip_acl: bool,
    /// Hard quotas are enforced.
    pub enforce_quota: bool,
    /// TTL nodes may be created.
    pub extended_types: bool,
    /// Whether records carry digests.
    pub digest: bool,
    /// Whether the end of a session lists the ephemerals that go with it; without, as Java 3.5 wrote it.
    pub lists_closed: bool,
    /// How large a log record may be, so that Java can read it back.
    pub entry_bytes_max: usize,
    /// Which schemes access lists may name.
    pub schemes: AuthSchemes,
    /// For the table of changes.
    pub hash_seed: u64,
}

impl Default for CheckOptions {
    fn default() -> Self {
        Self {
            skip_acl: false,
            enforce_quota: false,
            extended_types: false,
            digest: true,
            lists_closed: true,
            entry_bytes_max: 2 * zabd_jute::Limits::FRAME_BYTES_MAX_DEFAULT,
            schemes: AuthSchemes::default(),
            hash_seed: 0,
        }
    }
}

/// A znode as it will be.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// The newest transaction that changes it.
    zxid: Zxid,
    /// `None` if it will be gone.
    pub(crate) node: Option<Planned>,
    /// What it will add to the tree's digest, if that is kept.
    digest: u64,
}

/// What checks and digests need to know of a znode.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    pub(crate) stat: StatPersisted,
    pub(crate) num_children: i32,
    pub(crate) prefix_crc: u32,
    pub(crate) data_length: usize,
    pub(crate) acl: PlannedAcl,
    /// Where it lives, if it was in the tree when its first change was planned. Its slot is its own until a
    /// planned deletion is applied, and behind that deletion no record names it.
    pub(crate) id: Option<NodeId>,
}

/// Where the znode lives that a planned transaction changes first, so that applying need not search for it again.
#[derive(Clone, Copy, Debug)]
pub struct Foreseen(pub(crate) NodeId);

/// A znode that a transaction changes.
#[derive(Debug)]
struct PlannedChange {
    zxid: Zxid,
    path: Arc<str>,
    id: Option<NodeId>,
}

/// The access list of a znode as it will be.
#[derive(Clone, Debug)]
pub(crate) enum PlannedAcl {
    /// The one it has in the tree, in this slot.
    AsItIs(NodeId),
    /// None: everything is open to everybody.
    Open,
    /// This one.
    List(Arc<[Acl<'static>]>),
}

impl PlannedAcl {
    pub(crate) fn new(list: &[Acl<'static>]) -> Self {
        if is_open(list) { PlannedAcl::Open } else { PlannedAcl::List(list.into()) }
    }
}

/// See the module's description.
#[derive(Debug)]
pub struct Pending {
    pub(crate) options: CheckOptions,
    records: HashMap<Arc<str>, Record, FixedState>,
    /// Which paths each transaction changes, oldest first.
    changed: VecDeque<PlannedChange>,
    /// The digest behind everything proposed; `None` while nothing is.
    digest: Option<u64>,
    /// Ephemerals that proposed transactions create, and none of them deletes, by session.
    ephemerals: BTreeMap<SessionId, BTreeSet<Arc<str>>>,
    /// While a multi is checked: what to put back if it fails.
    undo: Option<Undo>,
    /// Writes that hard quotas refused, by child of the root.
    pub(crate) quota_refusals: Namespaces<u64>,
    /// Writes beyond limits that nobody was told of yet.
    pub(crate) quota_excesses: Vec<QuotaExcess>,
    changes: Changes,
    newest: Zxid,
}

/// Java's figures on outstanding change records: one for each znode that a transaction changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Planned, those of a multi that failed included.
    pub queued: u64,
    /// Applied, and forgotten here: less than planned in the end, when multis failed, as in Java.
    pub removed: u64,
}

#[derive(Debug)]
struct Undo {
    digest: Option<u64>,
    changed: usize,
    records: Vec<(Arc<str>, Option<Record>)>,
    /// Ephemerals that the group plans, and those that it plans to delete, in order.
    ephemerals: Vec<(SessionId, Arc<str>, PlannedTo)>,
}

/// What becomes of an ephemeral.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PlannedTo {
    Come,
    Go,
}

impl Pending {
    /// Nothing is proposed yet.
    pub fn new(options: CheckOptions) -> Self {
        Self {
            options,
            records: HashMap::with_hasher(FixedState::with_seed(options.hash_seed)),
            changed: VecDeque::new(),
            digest: None,
            ephemerals: BTreeMap::new(),
            undo: None,
            quota_refusals: Namespaces::default(),
            quota_excesses: Vec::new(),
            changes: Changes::default(),
            newest: Zxid::ZERO,
        }
    }

    /// What operators ask about planned changes.
    pub fn changes(&self) -> Changes {
        self.changes
    }

    /// Counts everything that operators ask for from zero.
    pub fn reset_figures(&mut self) {
        self.changes = Changes::default();
        self.quota_refusals.iter_mut().for_each(|(_, count)| *count = 0);
    }

    /// The digest of the tree behind everything that is proposed.
    pub fn digest(&self, tree: &Tree) -> u64 {
        self.digest.unwrap_or_else(|| tree.digest())
    }

    /// What is known of this transaction, which is the next one to be applied.
    pub fn foreseen(&self, zxid: Zxid) -> Option<Foreseen> {
        let next = self.changed.front().filter(|next| next.zxid == zxid)?;
        next.id.map(Foreseen)
    }

    /// Brings the znodes that the next transactions change into the processor's cache.
    pub fn look_ahead(&self, tree: &Tree) {
        if !tree.is_large() || self.changed.len() < 2 {
            return;
        }
        // A creation changes its parent, too, and before the new znode.
        let next = self.changed.iter().take(2 * AHEAD_MAX);
        let pairs = next.clone().zip(next.clone().skip(1));
        let new = pairs.filter(|(parent, new)| new.id.is_none() && parent.zxid == new.zxid);
        tree.nodes.look_for(new.filter_map(|(parent, new)| Some((parent.id?, path::split(&new.path)?.1))));
        tree.nodes.look_at(next.filter_map(|change| change.id));
    }

    /// Everything up to this transaction is in the tree now.
    pub fn applied(&mut self, zxid: Zxid) {
        while let Some(PlannedChange { path, .. }) = self.changed.pop_front_if(|change| change.zxid <= zxid) {
            self.changes.removed += 1;
            let EntryRef::Occupied(record) = self.records.entry_ref(&*path) else { continue };
            if record.get().zxid <= zxid
                && let Some(node) = record.remove().node
            {
                self.forget_ephemeral(SessionId(node.stat.ephemeral_owner), &path);
            }
        }
        if self.changed.is_empty() {
            assert!(self.records.is_empty(), "every change belongs to a transaction");
            self.digest = None;
            self.ephemerals.clear();
        }
    }

    /// Whether it was planned.
    fn forget_ephemeral(&mut self, session: SessionId, path: &str) -> bool {
        let Some(paths) = self.ephemerals.get_mut(&session) else { return false };
        let was_planned = paths.remove(path);
        if paths.is_empty() {
            self.ephemerals.remove(&session);
        }
        was_planned
    }

    /// Whether a znode whose owner could be a time to live is planned as an ephemeral of a session that is not in the tree yet.
    pub(crate) fn will_be_ephemeral(&self, node: &Planned, path: &str) -> bool {
        let session = SessionId(node.stat.ephemeral_owner);
        is_ttl_or_session(session) && self.ephemerals.get(&session).is_some_and(|paths| paths.contains(path))
    }

    /// The znode as it will be; the root is `/`.
    pub(crate) fn get(&self, tree: &Tree, path: &str) -> Option<Planned> {
        if let Some(record) = self.records.get(path) {
            return record.node.clone();
        }
        let node = tree.node(path)?;
        Some(Planned {
            stat: *node.persisted(),
            num_children: node.num_children() as i32,
            prefix_crc: node.prefix_crc(),
            data_length: node.data().map_or(0, <[u8]>::len),
            acl: PlannedAcl::AsItIs(node.id()),
            id: Some(node.id()),
        })
    }

    /// How long the data of a znode will be, if it will be there.
    pub fn data_length(&self, tree: &Tree, path: &str) -> Option<usize> {
        match self.records.get(path) {
            Some(record) => record.node.as_ref().map(|node| node.data_length),
            None => tree.node(path).map(|node| node.data().map_or(0, <[u8]>::len)),
        }
    }

    /// The list of a znode that exists.
    pub(crate) fn acl<'s>(tree: &'s Tree, node: &'s Planned) -> &'s [Acl<'static>] {
        match &node.acl {
            PlannedAcl::AsItIs(id) => tree.acls.list(tree.nodes.get(*id).acl),
            PlannedAcl::Open => &[],
            PlannedAcl::List(list) => list,
        }
    }

    /// Plans a change of a znode: `before` is what [`Pending::get`] yielded.
    pub(crate) fn plan(
        &mut self,
        tree: &Tree,
        zxid: Zxid,
        path: &str,
        before: Option<&Planned>,
        after: Option<Planned>,
    ) {
        let is_in_digest = self.options.digest && path_is_in_digest(path);
        let part = |node: Option<&Planned>| {
            node.filter(|_| is_in_digest).map_or(0, |node| node_digest(node.prefix_crc, &node.stat))
        };
        let more = part(after.as_ref());
        if after.is_none()
            && let Some(before) = before
        {
            // Its record may be applied and forgotten long before the session ends.
            let session = SessionId(before.stat.ephemeral_owner);
            let was_planned = self.forget_ephemeral(session, path);
            if let Some(undo) = self.undo.as_mut().filter(|_| was_planned) {
                undo.ephemerals.push((session, path.into(), PlannedTo::Go));
            }
        }
        let id = before.and_then(|before| before.id);
        let digest = self.digest(tree);
        let record = Record { zxid, node: after, digest: more };
        let (path, replaced, less) = match self.records.entry_ref(path) {
            // A parent gets many children in a row, and has its path once.
            EntryRef::Occupied(mut known) => {
                let replaced = known.insert(record);
                let less = replaced.digest;
                (known.key().clone(), Some(replaced), less)
            }
            EntryRef::Vacant(new) => (new.insert_entry(record).key().clone(), None, part(before)),
        };
        if is_in_digest {
            self.digest = Some(digest.wrapping_sub(less).wrapping_add(more));
        }
        if let Some(undo) = &mut self.undo {
            undo.records.push((path.clone(), replaced));
        }
        self.changed.push_back(PlannedChange { zxid, path, id });
        self.changes.queued += 1;
        self.newest = zxid;
    }

    pub(crate) fn plan_ephemeral(&mut self, session: SessionId, path: &str) {
        let path: Arc<str> = path.into();
        let is_new = self.ephemerals.entry(session).or_default().insert(path.clone());
        if let Some(undo) = self.undo.as_mut().filter(|_| is_new) {
            undo.ephemerals.push((session, path, PlannedTo::Come));
        }
    }

    /// What a session's end takes with it: its ephemerals as applied, less those that will be gone by
    /// then, and those that will have come. In the order in which Java has them that are all applied, as clients hear of them so;
    /// it does not depend on how far the disk is.
    pub(crate) fn session_paths(&self, tree: &Tree, session: SessionId) -> Vec<String> {
        let owns = |path: &str| match self.records.get(path) {
            Some(record) => record.node.as_ref().is_some_and(|node| node.stat.ephemeral_owner == session.0),
            None => true,
        };
        let mut paths = tree.ephemerals(session);
        paths.extend(self.ephemerals.get(&session).into_iter().flatten().map(ToString::to_string));
        paths.retain(|path| owns(path));
        paths.sort_unstable();
        paths.dedup();
        as_copied(paths)
    }

    /// Begins a group of changes that may have to be taken back.
    pub(crate) fn begin(&mut self) {
        assert!(self.undo.is_none(), "groups do not nest");
        self.undo = Some(Undo {
            digest: self.digest,
            changed: self.changed.len(),
            records: Vec::new(),
            ephemerals: Vec::new(),
        });
    }

    /// The group stays.
    pub(crate) fn keep(&mut self) {
        self.undo = None;
    }

    /// As if the group had not been.
    pub(crate) fn take_back(&mut self) {
        let undo = self.undo.take().expect("a group was begun");
        self.digest = undo.digest;
        self.changed.truncate(undo.changed);
        for (session, path, planned_to) in undo.ephemerals.into_iter().rev() {
            match planned_to {
                PlannedTo::Come => _ = self.forget_ephemeral(session, &path),
                PlannedTo::Go => _ = self.ephemerals.entry(session).or_default().insert(path),
            }
        }
        for (path, replaced) in undo.records.into_iter().rev() {
            match replaced {
                Some(record) => _ = self.records.insert(path, record),
                None => _ = self.records.remove(&path),
            }
        }
    }
}

/// The CRC that a new znode, or a znode with new data, will have.
pub(crate) fn planned_crc(path: &str, data: Option<&[u8]>) -> u32 {
    path_crc(path, data)
}
