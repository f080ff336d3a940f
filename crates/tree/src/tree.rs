//! The tree: znodes, and what is derived from them or stands beside them.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use zabd_jute::java_table::{self, BUCKETS_OF_CHILDREN};
use zabd_jute::{Acl, SessionId, Stat, StatPersisted, Zxid, java_length, perms};

use crate::acl_cache::AclCache;
use crate::apply::DigestMismatch;
use crate::last_digests::LastDigests;
use crate::nodes::{self, AHEAD_MAX, Node, NodeId, Nodes};
use crate::owner::{Owner, is_ttl_or_session};
use crate::quota::{self, Quotas, Special, Track};
use crate::snapshot::Progress;

/// Longer lists of children are in the order in which they are kept.
const CHILDREN_ORDERED_MAX: usize = 4096;
/// Longer lists of ephemerals are sorted.
const EPHEMERALS_ORDERED_MAX: usize = 4096;

/// How a tree is kept.
#[derive(Clone, Copy, Debug)]
pub struct TreeOptions {
    /// For the index; a secret of the process, so that nobody can choose names that collide.
    pub hash_seed: u64,
    /// Whether the digest is kept.
    pub digest: bool,
    /// `emulate353TTLNodes`: negative owners are TTLs as Java 3.5.3 wrote them.
    pub emulate_353_ttl: bool,
}

/// The replicated state. See the crate's description.
#[derive(Debug)]
pub struct Tree {
    pub(crate) options: TreeOptions,
    pub(crate) nodes: Nodes,
    pub(crate) acls: AclCache,
    pub(crate) sessions: BTreeMap<SessionId, i32>,
    /// No session has an empty set.
    pub(crate) ephemerals: BTreeMap<SessionId, BTreeSet<NodeId>>,
    pub(crate) containers: BTreeSet<NodeId>,
    pub(crate) ttls: BTreeSet<NodeId>,
    pub(crate) quotas: Quotas,
    /// The sum of all znodes' digests, if they are kept.
    pub(crate) digest: u64,
    last_digests: LastDigests,
    pub(crate) last_zxid: Zxid,
    /// Digests noted on the way, for operators who compare servers.
    pub(crate) noted: VecDeque<(Zxid, u64)>,
    /// Bytes of all paths and data.
    pub(crate) data_size: u64,
    pub(crate) snapshot: Option<Progress>,
    /// What a loaded snapshot says of the digest at some transaction, until that is replayed.
    pub(crate) promised_digest: Option<(Zxid, u64)>,
    /// The loaded snapshot does not say how many later transactions it holds, and no record has shown it yet.
    pub(crate) promises_nothing: bool,
    /// A digest was not found, and no record behind it has said yet whether that is a fault.
    pub(crate) doubted_digest: Option<DigestMismatch>,
}

impl Tree {
    /// A fresh tree: the root, `/zookeeper`, its `quota` and its `config`.
    pub fn new(options: TreeOptions) -> Self {
        let mut tree = Self::bare(options);
        for path in ["/zookeeper", "/zookeeper/quota", "/zookeeper/config"] {
            tree.attach_system(path);
        }
        tree
    }

    /// The root alone.
    pub(crate) fn bare(options: TreeOptions) -> Self {
        let mut nodes = Nodes::new(options.hash_seed);
        nodes.set_data(NodeId::ROOT, "", Some(b""));
        let digest = if options.digest { nodes.get(NodeId::ROOT).digest() } else { 0 };
        Self {
            options,
            nodes,
            acls: AclCache::new(),
            sessions: BTreeMap::new(),
            ephemerals: BTreeMap::new(),
            containers: BTreeSet::new(),
            ttls: BTreeSet::new(),
            quotas: Quotas::default(),
            digest,
            last_digests: LastDigests::new(),
            last_zxid: Zxid::ZERO,
            noted: VecDeque::new(),
            data_size: 0,
            snapshot: None,
            promised_digest: None,
            promises_nothing: false,
            doubted_digest: None,
        }
    }

    /// Adds one of the znodes that every tree has, uncounted by its parent.
    pub(crate) fn attach_system(&mut self, path: &str) {
        let mut stat = StatPersisted::default();
        let mut acl = Vec::new();
        if path == "/zookeeper/config" {
            stat.aversion = -1;
            acl.push(Acl::new(perms::READ, "world", "anyone"));
        }
        let parent = zabd_jute::path::parent(path).expect("system znodes have parents");
        let parent = self.nodes.resolve(parent).expect("system znodes come in order");
        self.attach(parent, path, Some(b""), &acl, stat);
    }

    /// The znode at this path; the empty path is the root.
    pub fn node(&self, path: &str) -> Option<NodeRef<'_>> {
        let id = self.nodes.resolve(path)?;
        Some(NodeRef { tree: self, id, node: self.nodes.get(id) })
    }

    /// Whether it is so large that it pays to [look ahead](Self::look_ahead).
    pub fn is_large(&self) -> bool {
        self.nodes.is_large()
    }

    /// Brings the znodes at these paths, which are about to be asked for, into the processor's cache; changes nothing. There are no
    /// more of them than [`Tree::AHEAD_MAX`].
    pub fn look_ahead<'p>(&self, paths: impl Iterator<Item = &'p [u8]>) {
        self.nodes.look_ahead(paths);
    }

    /// So many znodes are looked at ahead.
    pub const AHEAD_MAX: usize = AHEAD_MAX;

    /// The newest transaction that the tree shows.
    pub fn last_zxid(&self) -> Zxid {
        self.last_zxid
    }

    /// The newest transaction that any znode names. A snapshot that was taken while its server went on may name some that are
    /// newer than itself.
    pub fn newest_named(&self) -> Zxid {
        let ids = (0..self.nodes.slots() as u32).map(NodeId).filter(|id| self.nodes.is_taken(*id));
        let named = ids.flat_map(|id| {
            let stat = &self.nodes.get(id).stat;
            [stat.czxid, stat.mzxid, stat.pzxid]
        });
        named.max().unwrap_or(Zxid::ZERO)
    }

    /// The tree takes another place among the transactions, behind everything that it names: what follows is behind `zxid`.
    pub fn stand_at(&mut self, zxid: Zxid) {
        assert!(self.newest_named() <= zxid && self.last_zxid <= zxid, "a tree goes on behind what it shows");
        self.last_zxid = zxid;
        self.noted.clear();
        // What the file said of later transactions is about those of its own server.
        self.promised_digest = None;
        self.promises_nothing = false;
        self.doubted_digest = None;
    }

    /// The digest of the whole tree, 0 if it is not kept.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// Digests noted every so many transactions, oldest first.
    pub fn noted_digests(&self) -> impl Iterator<Item = (Zxid, u64)> + '_ {
        self.noted.iter().copied()
    }

    /// Notes the digest, if this is a transaction at which all servers do.
    pub(crate) fn note_digest(&mut self) {
        const INTERVAL: i64 = 128;
        const KEPT: usize = 1024;
        if self.options.digest && self.last_zxid.0 % INTERVAL == 0 {
            if self.noted.len() == KEPT {
                self.noted.pop_front();
            }
            self.noted.push_back((self.last_zxid, self.digest));
        }
    }

    /// All znodes, the root included.
    pub fn node_count(&self) -> usize {
        self.nodes.count()
    }

    /// Bytes of all data and UTF-16 units of all paths: Java's `approximate_data_size`.
    pub fn data_size(&self) -> u64 {
        self.data_size
    }

    /// All ephemerals of all sessions.
    pub fn ephemerals_count(&self) -> usize {
        self.ephemerals.values().map(BTreeSet::len).sum()
    }

    /// All sessions with their timeouts in milliseconds.
    pub fn sessions(&self) -> impl Iterator<Item = (SessionId, i32)> + '_ {
        self.sessions.iter().map(|(id, timeout_ms)| (*id, *timeout_ms))
    }

    /// How many there are.
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }

    /// A session's timeout, if there is such a session.
    pub fn session_timeout_ms(&self, session: SessionId) -> Option<i32> {
        self.sessions.get(&session).copied()
    }

    /// The paths of a session's ephemerals, sorted.
    pub fn ephemerals(&self, session: SessionId) -> Vec<String> {
        let ids = self.ephemerals.get(&session).into_iter().flatten();
        let mut paths: Vec<_> = ids.map(|id| self.nodes.path(*id)).collect();
        paths.sort_unstable();
        paths
    }

    /// The same in the order in which Java's copy of their set has them, which clients see. (A set stays as large as it was. Those
    /// that share a bucket are in their own order.)
    pub fn ephemerals_as_listed(&self, session: SessionId) -> Vec<String> {
        as_copied(self.ephemerals(session))
    }

    /// The sessions that own ephemerals.
    pub fn sessions_with_ephemerals(&self) -> impl Iterator<Item = SessionId> + '_ {
        self.ephemerals.keys().copied()
    }

    /// Containers and TTL znodes whose time has come, sorted. Follows Java's `ContainerManager`.
    pub fn reap_candidates(&self, now_wall_ms: i64, never_used_interval_ms: i64) -> Vec<String> {
        let childless = |id: &&NodeId| self.nodes.get(**id).num_children() == 0;
        let is_used_up = |id: &&NodeId| {
            let stat = &self.nodes.get(**id).stat;
            let age_ms = now_wall_ms.wrapping_sub(stat.mtime_ms);
            stat.cversion > 0 || (never_used_interval_ms > 0 && age_ms > never_used_interval_ms)
        };
        let is_outdated = |id: &&NodeId| {
            let stat = &self.nodes.get(**id).stat;
            match self.owner(stat) {
                Owner::Ttl { ttl_ms } => now_wall_ms.wrapping_sub(stat.mtime_ms) > ttl_ms,
                _ => false,
            }
        };
        let containers = self.containers.iter().filter(childless).filter(is_used_up);
        let ttls = self.ttls.iter().filter(childless).filter(is_outdated);
        let mut paths: Vec<_> = containers.chain(ttls).map(|id| self.nodes.path(*id)).collect();
        paths.sort_unstable();
        paths
    }

    pub(crate) fn owner(&self, stat: &StatPersisted) -> Owner {
        // The last ephemeral of a session that ends is still one when the session is gone from the table.
        let is_session =
            |session| self.sessions.contains_key(&session) || self.ephemerals.contains_key(&session);
        Owner::from_stored(stat.ephemeral_owner, self.options.emulate_353_ttl, is_session)
    }

    /// There is such a session from now on. What a snapshot that was written meanwhile holds of its ephemerals may have been taken
    /// for TTL nodes.
    pub(crate) fn add_session(&mut self, session: SessionId, timeout_ms: i32) {
        if is_ttl_or_session(session) && !self.sessions.contains_key(&session) {
            let is_its = |id: &NodeId| self.nodes.get(*id).stat.ephemeral_owner == session.0;
            let its: BTreeSet<NodeId> = self.ttls.iter().copied().filter(is_its).collect();
            if !its.is_empty() {
                self.ttls.retain(|id| !its.contains(id));
                self.ephemerals.entry(session).or_default().extend(its);
            }
        }
        self.sessions.insert(session, timeout_ms);
    }

    // The few ways in which the tree changes. Each keeps digest, size, indexes and a running snapshot
    // in step; nothing else may touch `nodes`.

    /// Adds a znode below `parent`, without counting it there.
    pub(crate) fn attach(
        &mut self,
        parent: NodeId,
        path: &str,
        data: Option<&[u8]>,
        acl: &[Acl<'_>],
        stat: StatPersisted,
    ) -> NodeId {
        let acl = self.acls.take(acl);
        let id = self.nodes.insert(parent, path, data, acl, stat);
        if let Some(progress) = &mut self.snapshot {
            progress.is_new(id);
        }
        self.data_size += (java_length(path) + data.map_or(0, <[u8]>::len)) as u64;
        self.add_digest(id);
        match self.owner(&stat) {
            Owner::Nobody => (),
            Owner::Container => _ = self.containers.insert(id),
            Owner::Ttl { .. } => _ = self.ttls.insert(id),
            Owner::Session(session) => _ = self.ephemerals.entry(session).or_default().insert(id),
        }
        id
    }

    /// Removes a znode without children, without counting that at its parent.
    pub(crate) fn detach(&mut self, id: NodeId, path: &str) {
        self.save_for_snapshot(id, true);
        self.subtract_digest(id);
        let node = self.nodes.get(id);
        self.data_size -= (java_length(path) + node.data().map_or(0, <[u8]>::len)) as u64;
        let (owner, acl) = (self.owner(&node.stat), node.acl);
        match owner {
            Owner::Nobody => (),
            Owner::Container => _ = self.containers.remove(&id),
            Owner::Ttl { .. } => _ = self.ttls.remove(&id),
            Owner::Session(session) => {
                let owned = self.ephemerals.get_mut(&session).expect("an ephemeral has an owner");
                owned.remove(&id);
                if owned.is_empty() {
                    self.ephemerals.remove(&session);
                }
            }
        }
        self.acls.give_back(acl);
        self.nodes.remove(id);
    }

    /// Changes a znode's stat.
    pub(crate) fn change_stat(&mut self, id: NodeId, change: impl FnOnce(&mut StatPersisted)) {
        self.save_for_snapshot(id, false);
        self.subtract_digest(id);
        change(&mut self.nodes.get_mut(id).stat);
        let digest = self.add_digest(id);
        self.last_digests.keep(id, digest);
    }

    /// Replaces a znode's data and changes its stat.
    pub(crate) fn change_data(
        &mut self,
        id: NodeId,
        path: &str,
        data: Option<&[u8]>,
        change: impl FnOnce(&mut StatPersisted),
    ) {
        self.save_for_snapshot(id, false);
        self.subtract_digest(id);
        self.data_size -= self.nodes.get(id).data().map_or(0, <[u8]>::len) as u64;
        self.data_size += data.map_or(0, <[u8]>::len) as u64;
        self.nodes.set_data(id, if path == "/" { "" } else { path }, data);
        change(&mut self.nodes.get_mut(id).stat);
        self.add_digest(id);
    }

    /// Replaces a znode's list.
    pub(crate) fn change_acl(&mut self, id: NodeId, acl: &[Acl<'_>]) {
        self.save_for_snapshot(id, false);
        let number = self.acls.take(acl);
        let before = std::mem::replace(&mut self.nodes.get_mut(id).acl, number);
        self.acls.give_back(before);
    }

    /// Yields what the znode adds.
    fn add_digest(&mut self, id: NodeId) -> u64 {
        let digest = if self.options.digest { self.nodes.get(id).digest() } else { 0 };
        self.digest = self.digest.wrapping_add(digest);
        digest
    }

    fn subtract_digest(&mut self, id: NodeId) {
        if self.options.digest {
            let digest = self.last_digests.take(id).unwrap_or_else(|| self.nodes.get(id).digest());
            self.digest = self.digest.wrapping_sub(digest);
        }
    }

    // Quotas.

    /// What a new or deleted special znode means, and how the usage of a limited part changes.
    pub(crate) fn count_usage(&mut self, path: &str, count: i64, bytes: i64) {
        match quota::special(path) {
            Some(Special::Limits(of)) if count > 0 => self.quotas.register(of),
            Some(Special::Limits(of)) if count < 0 => self.quotas.unregister(of),
            Some(Special::Stats(of)) if count > 0 => self.refresh_usage(of),
            _ => (),
        }
        let Some(of) = self.quotas.covering(path) else { return };
        let stats_path = quota::stats_path(of);
        let Some(id) = self.nodes.resolve(&stats_path) else { return };
        let Some(mut usage) = Track::parse(self.nodes.get(id).data()) else { return };
        // Clients write these texts; numbers that wrap are theirs, as in Java.
        usage.count = usage.count.wrapping_add(count);
        usage.bytes = usage.bytes.wrapping_add(bytes);
        self.show_usage(id, &stats_path, &usage);
    }

    /// Counts what a part of the tree really holds.
    pub(crate) fn refresh_usage(&mut self, of: &str) {
        let stats_path = quota::stats_path(of);
        let Some(id) = self.nodes.resolve(&stats_path) else { return };
        let usage = self.nodes.resolve(of).map_or_else(|| Track::new(0, 0), |root| self.usage(root));
        self.show_usage(id, &stats_path, &usage);
    }

    fn show_usage(&mut self, id: NodeId, stats_path: &str, usage: &Track) {
        let text = usage.to_string();
        if self.nodes.get(id).data() != Some(text.as_bytes()) {
            self.change_data(id, stats_path, Some(text.as_bytes()), |_| ());
        }
    }

    fn usage(&self, root: NodeId) -> Track {
        let mut usage = Track::new(0, 0);
        let mut below = vec![root];
        while let Some(id) = below.pop() {
            usage.count += 1;
            usage.bytes += self.nodes.get(id).data().map_or(0, <[u8]>::len) as i64;
            below.extend(self.nodes.children(id));
        }
        usage
    }
}

/// A znode, for reading.
#[derive(Clone, Copy, Debug)]
pub struct NodeRef<'t> {
    tree: &'t Tree,
    id: NodeId,
    node: &'t Node,
}

impl<'t> NodeRef<'t> {
    /// As clients see it.
    pub fn stat(&self) -> Stat {
        wire_stat(&self.node.stat, self.tree.owner(&self.node.stat), self.data(), self.num_children())
    }

    /// As it is stored.
    pub fn persisted(&self) -> &'t StatPersisted {
        &self.node.stat
    }

    /// Null and empty differ.
    pub fn data(&self) -> Option<&'t [u8]> {
        self.node.data()
    }

    /// The access list, empty if everything is open to everybody.
    pub fn acl(&self) -> &'t [Acl<'static>] {
        self.tree.acls.list(self.node.acl)
    }

    /// The access list as clients see it: never empty.
    pub fn acl_wire(&self) -> Cow<'t, [Acl<'static>]> {
        match self.acl() {
            [] => vec![Acl::open()].into(),
            acl => acl.into(),
        }
    }

    /// The children's names, in a repeatable order.
    pub fn child_names(&self) -> impl Iterator<Item = &'t str> + use<'t> {
        let nodes = &self.tree.nodes;
        nodes.children(self.id).map(|id| nodes.get(id).name())
    }

    /// The children's names in the order in which Java lists them, which clients see and have come to rely on: that of its table of
    /// children, if they came in this order and none has gone. (A table stays as large as it was. Of some thousands, the names of
    /// the most recent come first: to order them takes longer than all the rest.)
    pub fn child_names_as_listed(&self) -> Vec<&'t str> {
        let mut names: Vec<&str> = self.child_names().collect();
        if names.len() <= CHILDREN_ORDERED_MAX {
            names.reverse();
            let order = java_table::order(&names, BUCKETS_OF_CHILDREN);
            names = order.into_iter().map(|place| names[place as usize]).collect();
        }
        names
    }

    /// How many children there are.
    pub fn num_children(&self) -> usize {
        self.node.num_children()
    }

    /// How many znodes there are below it, at any depth.
    pub fn descendants(&self) -> usize {
        self.tree.nodes.descendants(self.id)
    }

    /// Which kind it is.
    pub fn owner(&self) -> Owner {
        self.tree.owner(&self.node.stat)
    }

    pub(crate) fn id(&self) -> NodeId {
        self.id
    }

    pub(crate) fn prefix_crc(&self) -> u32 {
        self.node.prefix_crc()
    }
}

/// Sorted paths in the order in which Java's copy of their set has them.
pub(crate) fn as_copied(mut paths: Vec<String>) -> Vec<String> {
    if paths.len() <= EPHEMERALS_ORDERED_MAX {
        let keys: Vec<&str> = paths.iter().map(String::as_str).collect();
        let order = java_table::order(&keys, java_table::buckets_of_copy(keys.len()));
        paths = order.into_iter().map(|place| std::mem::take(&mut paths[place as usize])).collect();
    }
    paths
}

/// The stat on the wire: cversion counts creations and deletions there.
pub(crate) fn wire_stat(
    stat: &StatPersisted,
    owner: Owner,
    data: Option<&[u8]>,
    num_children: usize,
) -> Stat {
    let num_children = num_children as i32;
    Stat {
        czxid: stat.czxid,
        mzxid: stat.mzxid,
        ctime_ms: stat.ctime_ms,
        mtime_ms: stat.mtime_ms,
        version: stat.version,
        cversion: stat.cversion.wrapping_mul(2).wrapping_sub(num_children),
        aversion: stat.aversion,
        ephemeral_owner: owner.shown(),
        data_length: data.map_or(0, <[u8]>::len) as i32,
        num_children,
        pzxid: stat.pzxid,
    }
}

pub(crate) use nodes::{digest as node_digest, is_in_digest as path_is_in_digest, prefix_crc as path_crc};
