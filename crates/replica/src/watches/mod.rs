//! Who wants to hear of which change: the watches of this server's client connections.
//!
//! A watch belongs to a connection and a path, and has a mode: the one-shot *data* and *child* watches
//! that reads leave behind, and the two that stay, *persistent* and *persistent recursive*. Modes on
//! one path are independent of each other (Java's `WatchManager` since 3.9).
//!
//! Every change is offered here while the tree's write lock is held, before any reply that shows it:
//! so a client hears of a change before it can see it. One change yields at most one event per
//! connection and kind, and none for a connection that may not READ the znode (a one-shot watch is
//! used up even so).
//!
//! `table` keeps who watches what, so that each operation costs only its own. When a connection ends, all its watches are over in one
//! step, however many they are; the memory that they take is given back in bites ([`Watches::take_away`]), between which others
//! get their turn.

mod table;

use std::collections::BTreeSet;
use std::sync::Arc;

use zabd_jute::{Acl, Id, SessionId, Zxid, perms};
use zabd_mutation::{Mutation, is_on};
use zabd_tree::{Change, allows};

pub use self::table::Emptied;
use self::table::{ClientId, PathId, Table, Watcher};
use crate::percentiles::Percentiles;
use crate::{ConnId, HashSeed};

/// The identities of a connection, shared between its requests and its watches.
pub type Identities = Arc<[Id<'static>]>;

/// What a client asked to hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchKind {
    /// One shot: the znode comes, goes or changes its data.
    Data,
    /// One shot: the znode goes, its children come or go.
    Child,
    /// Stays: both of the above.
    Persistent,
    /// Stays: this znode and all below come, go or change their data.
    PersistentRecursive,
}

impl WatchKind {
    const fn bit(self) -> u8 {
        match self {
            WatchKind::Data => 1,
            WatchKind::Child => 2,
            WatchKind::Persistent => 4,
            WatchKind::PersistentRecursive => 8,
        }
    }
}

const DATA: u8 = WatchKind::Data.bit();
const CHILD: u8 = WatchKind::Child.bit();
const PERSISTENT: u8 = WatchKind::Persistent.bit();
const RECURSIVE: u8 = WatchKind::PersistentRecursive.bit();

/// What a client may ask about or remove: `WatcherType` of the Java client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchSelection {
    /// One-shot child watches.
    Children,
    /// One-shot data watches.
    Data,
    /// All of them.
    Any,
    /// Persistent ones.
    Persistent,
    /// Persistent recursive ones.
    PersistentRecursive,
}

impl WatchSelection {
    /// The selection with this number on the wire.
    pub fn from_code(code: i32) -> Option<Self> {
        Some(match code {
            1 => Self::Children,
            2 => Self::Data,
            3 => Self::Any,
            4 => Self::Persistent,
            5 => Self::PersistentRecursive,
            _ => return None,
        })
    }

    const fn bits(self) -> u8 {
        match self {
            Self::Children => CHILD,
            Self::Data => DATA,
            Self::Any => DATA | CHILD | PERSISTENT | RECURSIVE,
            Self::Persistent => PERSISTENT,
            Self::PersistentRecursive => RECURSIVE,
        }
    }
}

/// `EventType` of the Java client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum EventKind {
    /// The znode came.
    Created = 1,
    /// The znode went.
    Deleted = 2,
    /// Its data changed.
    DataChanged = 3,
    /// Its children came or went.
    ChildrenChanged = 4,
}

/// Where events go.
pub trait EventSink {
    /// All of `hearers` hear of `kind` at `path`; `zxid` is the transaction's.
    fn event(&mut self, hearers: impl Iterator<Item = ConnId>, zxid: Zxid, kind: EventKind, path: &str);
}

/// All watches of one server. See the module's description.
#[derive(Debug)]
pub struct Watches {
    table: Table,
    /// Watchers with the recursive mode, those of connections that are gone included; while there are none, no ancestor is looked at.
    recursive_count: usize,
    /// All watches of all kinds, as [`reported_times`] counts them.
    total: usize,
    /// The same of connections that are gone, as long as they take memory.
    gone: usize,
    skip_acl: bool,
    fired: Fired,
    /// Scratch for one change: who has been told already.
    told: Vec<ClientId>,
    /// Whether connections may set watches where they have none.
    takes_new: bool,
}

/// How many watches a change fires, for changes that fire any: a sample for those of a node and one for
/// those of its children, which Java keeps in two tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fired {
    /// When a znode came.
    pub created: Percentiles,
    /// When it went.
    pub deleted: Percentiles,
    /// When its data changed.
    pub changed: Percentiles,
    /// When its children came or went.
    pub children: Percentiles,
}

impl Fired {
    fn add(&mut self, kind: EventKind, watches: usize) {
        if watches == 0 {
            return;
        }
        let samples = match kind {
            EventKind::Created => &mut self.created,
            EventKind::Deleted => &mut self.deleted,
            EventKind::DataChanged => &mut self.changed,
            EventKind::ChildrenChanged => &mut self.children,
        };
        samples.add(watches as u64);
    }
}

/// Three figures that operators ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WatchCounts {
    /// Connections with at least one watch.
    pub connections: usize,
    /// Watched paths.
    pub paths: usize,
    /// Watches: connections times paths.
    pub watches: usize,
}

impl Watches {
    /// No watches yet.
    pub fn new(seed: HashSeed, skip_acl: bool) -> Self {
        Self {
            table: Table::new(seed),
            recursive_count: 0,
            total: 0,
            gone: 0,
            skip_acl,
            fired: Fired::default(),
            told: Vec::new(),
            takes_new: true,
        }
    }

    /// Whether connections may set watches where they have none.
    pub fn take_new(&mut self, takes_new: bool) {
        self.takes_new = takes_new;
    }

    /// Whether this one may be set.
    pub fn takes(&self, conn: ConnId, path: &str) -> bool {
        self.takes_new || self.modes(conn, path) != 0
    }

    /// Makes a connection known; watches can be set from now on.
    pub fn connect(&mut self, conn: ConnId, session: SessionId, identities: Identities) {
        self.table.connect(conn, session, identities);
    }

    /// Replaces a connection's identities after an authentication.
    pub fn authenticate(&mut self, conn: ConnId, identities: Identities) {
        if let Some(client) = self.table.client_of(conn) {
            self.table.client_mut(client).identities = identities;
        }
    }

    /// Sets a watch; setting it twice is one watch. A connection that is gone sets none.
    pub fn set(&mut self, conn: ConnId, path: &str, kind: WatchKind) {
        let Some(client) = self.table.client_of(conn) else { return };
        let bit = kind.bit();
        let path_id = self.table.path(path);
        let watcher = path_id.and_then(|path| self.table.watcher_mut(client, path));
        let before = watcher.as_ref().map_or(0, |watcher| watcher.modes());
        match watcher {
            Some(watcher) => watcher.set_modes(before | bit),
            None => self.table.add(client, path, bit),
        }
        self.recursive_count += usize::from(before & RECURSIVE == 0 && bit == RECURSIVE);
        let more = reported_times(before | bit) - reported_times(before);
        self.table.client_mut(client).reported += more as u32;
        self.total += more;
    }

    /// The modes that a connection has on a path, and where they are.
    fn find(&self, conn: ConnId, path: &str) -> Option<(ClientId, PathId, u8)> {
        let (client, path) = (self.table.client_of(conn)?, self.table.path(path)?);
        Some((client, path, self.table.watcher(client, path)?.modes()))
    }

    fn modes(&self, conn: ConnId, path: &str) -> u8 {
        self.find(conn, path).map_or(0, |(_, _, modes)| modes)
    }

    /// Whether the connection has such a watch.
    pub fn has(&self, conn: ConnId, path: &str, selection: WatchSelection) -> bool {
        self.modes(conn, path) & selection.bits() != 0
    }

    /// Removes such watches; false if there was none.
    pub fn remove(&mut self, conn: ConnId, path: &str, selection: WatchSelection) -> bool {
        let bits = selection.bits();
        let Some((client, path, before)) = self.find(conn, path).filter(|(_, _, modes)| modes & bits != 0)
        else {
            return false;
        };
        let after = before & !bits;
        self.recursive_count -= usize::from(before & bits & RECURSIVE != 0);
        let fewer = reported_times(before) - reported_times(after);
        self.table.client_mut(client).reported -= fewer as u32;
        self.total -= fewer;
        if after == 0 {
            self.table.remove(client, path);
        } else {
            self.table.watcher_mut(client, path).expect("it was just found").set_modes(after);
        }
        true
    }

    /// A connection has ended: its watches fire no more, and no figure counts them. [`Watches::take_away`] gives back what they take.
    pub fn disconnect(&mut self, conn: ConnId) {
        let reported = self.table.disconnect(conn);
        self.total -= reported;
        self.gone += reported;
    }

    /// Whether watches of connections that are gone are left to take away.
    pub fn has_gone(&self) -> bool {
        self.table.has_gone()
    }

    /// Takes about so many watches of connections that are gone away. What this yields takes its time to drop; nobody waits for that
    /// if these watches are no longer locked then.
    pub fn take_away(&mut self, most: usize) -> Option<Emptied> {
        let Self { table, recursive_count, gone, .. } = self;
        table.take_away(most, |watcher| {
            *recursive_count -= usize::from(watcher.modes() & RECURSIVE != 0);
            *gone -= reported_times(watcher.modes());
        })
    }

    /// Offers a change of the tree to everybody who watches it, the node's watchers first.
    pub fn offer(&mut self, zxid: Zxid, change: &Change<'_>, sink: &mut impl EventSink) {
        if self.table.is_empty() || is_on(Mutation::EventLost) && zxid.0 % 4 == 0 {
            return;
        }
        match *change {
            Change::Created { path, acl, parent_acl } => {
                self.fire_node(zxid, path, EventKind::Created, DATA, acl, sink);
                self.fire_children(zxid, parent(path), parent_acl, sink);
            }
            Change::Deleted { path, acl, parent_acl } => {
                self.fire_node(zxid, path, EventKind::Deleted, DATA | CHILD, acl, sink);
                self.fire_children(zxid, parent(path), parent_acl, sink);
            }
            Change::DataChanged { path, acl } => {
                self.fire_node(zxid, path, EventKind::DataChanged, DATA, acl, sink);
            }
        }
    }

    /// `kind` at `path`, for watchers of the node with one of `once` or a staying mode, and for
    /// recursive watchers above.
    fn fire_node(
        &mut self,
        zxid: Zxid,
        path: &str,
        kind: EventKind,
        once: u8,
        acl: &[Acl<'static>],
        sink: &mut impl EventSink,
    ) {
        let mut told = std::mem::take(&mut self.told);
        let of_children = self.fire(path, once, once | PERSISTENT | RECURSIVE, &mut told);
        if self.recursive_count > 0 {
            let mut above = path;
            while above != "/" {
                above = parent(above);
                let watchers = self.table.path(above).map_or(&[][..], |path| self.table.watchers(path));
                let recursive = watchers.iter().filter(|watcher| watcher.modes() & RECURSIVE != 0);
                let clients = recursive.map(|watcher| watcher.client());
                told.extend(clients.filter(|client| !self.table.is_gone(*client)));
            }
            // In order of first mention; only here can a connection be listed twice.
            let mut seen = BTreeSet::new();
            told.retain(|client| seen.insert(*client));
        }
        self.fired.add(kind, told.len() - of_children.alone);
        self.fired.add(kind, of_children.all);
        self.tell(zxid, path, kind, acl, &mut told, sink);
    }

    fn fire_children(&mut self, zxid: Zxid, path: &str, acl: &[Acl<'static>], sink: &mut impl EventSink) {
        let mut told = std::mem::take(&mut self.told);
        self.fire(path, CHILD, CHILD | PERSISTENT, &mut told);
        self.fired.add(EventKind::ChildrenChanged, told.len());
        self.tell(zxid, path, EventKind::ChildrenChanged, acl, &mut told, sink);
    }

    /// Collects the watchers of `path` that have one of `wanted`, and uses up their `once` modes. Yields how
    /// many of them are of the children, if those are wanted too.
    fn fire(&mut self, path: &str, once: u8, wanted: u8, told: &mut Vec<ClientId>) -> OfChildren {
        let mut of_children = OfChildren::default();
        let Some(path) = self.table.path(path) else { return of_children };
        let Self { table, recursive_count, total, gone, .. } = self;
        table.each_watcher(path, |client, watcher| {
            let before = watcher.modes();
            if client.is_gone() {
                *recursive_count -= usize::from(before & RECURSIVE != 0);
                *gone -= reported_times(before);
                return 0;
            }
            if before & wanted == 0 {
                return before;
            }
            told.push(watcher.client());
            if wanted & CHILD != 0 {
                of_children.all += usize::from(before & (CHILD | PERSISTENT) != 0);
                of_children.alone += usize::from(before & (DATA | PERSISTENT | RECURSIVE) == 0);
            }
            let after = before & !once;
            let fewer = reported_times(before) - reported_times(after);
            client.reported -= fewer as u32;
            *total -= fewer;
            after
        });
        of_children
    }

    fn tell(
        &mut self,
        zxid: Zxid,
        path: &str,
        kind: EventKind,
        acl: &[Acl<'static>],
        told: &mut Vec<ClientId>,
        sink: &mut impl EventSink,
    ) {
        let clients = told.drain(..).map(|client| self.table.client(client));
        let may_know = clients
            .filter(|client| acl.is_empty() || allows(acl, perms::READ, &client.identities, self.skip_acl));
        sink.event(may_know.map(|client| client.conn), zxid, kind, path);
        self.told = std::mem::take(told);
    }

    /// The session of a connection that may set watches.
    pub fn session(&self, conn: ConnId) -> Option<SessionId> {
        self.table.client_of(conn).map(|client| self.table.client(client).session)
    }

    /// How many watches changes fired.
    pub fn fired(&self) -> Fired {
        self.fired.clone()
    }

    /// Counts them from zero; for operators.
    pub fn reset_fired(&mut self) {
        self.fired = Fired::default();
    }

    /// What `wchs` reports: data watches and those that stay, as in Java.
    pub fn counts(&self) -> WatchCounts {
        let mut counts = WatchCounts::default();
        let mut connections = BTreeSet::new();
        for (_, watchers) in self.table.iter() {
            let reported = watchers.iter().filter(|watcher| self.is_reported(**watcher));
            let before = counts.watches;
            for watcher in reported {
                connections.insert(watcher.client());
                counts.watches += 1;
            }
            counts.paths += usize::from(counts.watches > before);
        }
        counts.connections = connections.len();
        counts
    }

    /// All watches of all kinds: Java's `watch_count`.
    pub fn total(&self) -> usize {
        self.total
    }

    /// The same, and those of connections that are gone as long as they take memory.
    pub fn kept(&self) -> usize {
        self.total + self.gone
    }

    fn is_reported(&self, watcher: Watcher) -> bool {
        watcher.modes() & !CHILD != 0 && !self.table.is_gone(watcher.client())
    }

    /// Whose watches `wchp` and `wchc` report, in no order. Whoever sorts half a million of them and makes a text of it
    /// needs the watches no longer: the paths are shared.
    pub fn reported(&self) -> Vec<(Arc<str>, SessionId)> {
        let mut reported = Vec::new();
        for (path, watchers) in self.table.iter() {
            let of_path = watchers.iter().filter(|watcher| self.is_reported(**watcher));
            let session = |client| self.table.client(client).session;
            reported.extend(of_path.map(|watcher| (Arc::clone(path), session(watcher.client()))));
        }
        reported
    }
}

/// Watches of the children among those of one path that a change fires.
#[derive(Clone, Copy, Debug, Default)]
struct OfChildren {
    all: usize,
    /// Those that do not watch the node itself too.
    alone: usize,
}

/// Java keeps data and child watches in two tables; the persistent ones are in both, the recursive ones in
/// the first (since 3.9).
fn reported_times(modes: u8) -> usize {
    let in_data = modes & (DATA | PERSISTENT | RECURSIVE) != 0;
    let in_child = modes & (CHILD | PERSISTENT) != 0;
    usize::from(in_data) + usize::from(in_child)
}

fn parent(path: &str) -> &str {
    match path.rfind('/') {
        None | Some(0) => "/",
        Some(slash) => &path[..slash],
    }
}

#[cfg(test)]
mod tests;
