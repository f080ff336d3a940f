//! Who watches which path, in few bytes: there may be ten million pairs.
//!
//! Paths and clients have numbers, their slots. A path lists its watchers, each a client's number and its modes in four bytes; a
//! client maps the numbers of its paths to its places in their lists:
//!
//! ```text
//! names: "/a" ─► 7        paths[7]: "/a" [3·data, 9·child, …]        clients[9].places: {7 ─► 1, …}
//! ```
//!
//! So setting a watch twice, the ten-thousandth watcher of one path, and a disconnect all cost only their own. A slot that is
//! free is used again, and nothing that is kept points to it by then.

use std::hash::BuildHasher as _;
use std::sync::Arc;

use hashbrown::{HashMap, HashTable};
use zabd_jute::SessionId;

use super::Identities;
use crate::{ConnId, HashSeed};

/// Bits of a watcher that are modes.
const MODE_BITS: u32 = 4;

/// A client's slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ClientId(u32);

/// A path's slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PathId(u32);

/// A client among those that watch a path, and how it does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watcher(u32);

impl Watcher {
    fn new(client: ClientId, modes: u8) -> Self {
        Self(client.0 << MODE_BITS | u32::from(modes))
    }

    pub(super) fn client(self) -> ClientId {
        ClientId(self.0 >> MODE_BITS)
    }

    /// Never 0 between two calls: a watcher without modes is removed.
    pub(super) fn modes(self) -> u8 {
        (self.0 & ((1 << MODE_BITS) - 1)) as u8
    }

    pub(super) fn set_modes(&mut self, modes: u8) {
        *self = Self::new(self.client(), modes);
    }
}

/// A connection that may watch.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) conn: ConnId,
    pub(super) session: SessionId,
    pub(super) identities: Identities,
    /// By the number of each watched path, where this client stands in its list.
    places: HashMap<u32, u32, HashSeed>,
}

#[derive(Debug)]
struct WatchedPath {
    name: Arc<str>,
    watchers: Vec<Watcher>,
}

/// See the module's description.
#[derive(Debug)]
pub(super) struct Table {
    seed: HashSeed,
    names: HashTable<u32>,
    paths: Slots<WatchedPath>,
    conns: HashMap<ConnId, ClientId, HashSeed>,
    clients: Slots<Client>,
}

impl Table {
    pub(super) fn new(seed: HashSeed) -> Self {
        Self {
            names: HashTable::new(),
            paths: Slots::default(),
            conns: HashMap::with_hasher(seed.clone()),
            clients: Slots::default(),
            seed,
        }
    }

    /// Whether nobody watches anything.
    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// A connection may watch from now on; one that may already, in the name of another session.
    pub(super) fn connect(&mut self, conn: ConnId, session: SessionId, identities: Identities) {
        if let Some(&known) = self.conns.get(&conn) {
            let client = self.client_mut(known);
            (client.session, client.identities) = (session, identities);
            return;
        }
        let places = HashMap::with_hasher(self.seed.clone());
        let slot = self.clients.take(Client { conn, session, identities, places });
        assert!(
            slot >> (u32::BITS - MODE_BITS) == 0,
            "so many connections do not fit into the numbers of watchers"
        );
        self.conns.insert(conn, ClientId(slot));
    }

    pub(super) fn client_of(&self, conn: ConnId) -> Option<ClientId> {
        self.conns.get(&conn).copied()
    }

    pub(super) fn client(&self, client: ClientId) -> &Client {
        self.clients.get(client.0)
    }

    pub(super) fn client_mut(&mut self, client: ClientId) -> &mut Client {
        self.clients.get_mut(client.0)
    }

    pub(super) fn path(&self, name: &str) -> Option<PathId> {
        let hash = self.seed.hash_one(name);
        self.names.find(hash, |slot| &*self.paths.get(*slot).name == name).copied().map(PathId)
    }

    pub(super) fn watchers(&self, path: PathId) -> &[Watcher] {
        &self.paths.get(path.0).watchers
    }

    /// Whoever changes modes drops those that have none left behind that.
    pub(super) fn watchers_mut(&mut self, path: PathId) -> &mut [Watcher] {
        &mut self.paths.get_mut(path.0).watchers
    }

    /// The watcher that this client is of this path.
    pub(super) fn watcher(&self, client: ClientId, path: PathId) -> Option<Watcher> {
        let place = *self.client(client).places.get(&path.0)?;
        Some(self.watchers(path)[place as usize])
    }

    /// The same, to be changed.
    pub(super) fn watcher_mut(&mut self, client: ClientId, path: PathId) -> Option<&mut Watcher> {
        let place = *self.client(client).places.get(&path.0)?;
        let watcher = &mut self.paths.get_mut(path.0).watchers[place as usize];
        assert_eq!(watcher.client(), client, "a watcher stands where its client says");
        Some(watcher)
    }

    /// A client that does not watch this path does from now on.
    pub(super) fn add(&mut self, client: ClientId, name: &str, modes: u8) {
        let path = self.path(name).unwrap_or_else(|| self.add_path(name));
        let watchers = &mut self.paths.get_mut(path.0).watchers;
        let place = watchers.len() as u32;
        watchers.push(Watcher::new(client, modes));
        let before = self.clients.get_mut(client.0).places.insert(path.0, place);
        assert!(before.is_none(), "a client stands once in a list");
    }

    fn add_path(&mut self, name: &str) -> PathId {
        let slot = self.paths.take(WatchedPath { name: name.into(), watchers: Vec::new() });
        let Self { seed, names, paths, .. } = self;
        names.insert_unique(seed.hash_one(name), slot, |slot| seed.hash_one(&*paths.get(*slot).name));
        PathId(slot)
    }

    /// Removes one watcher; the last one of the list takes its place.
    pub(super) fn remove(&mut self, client: ClientId, path: PathId) {
        let place = self.clients.get_mut(client.0).places.remove(&path.0).expect("a watcher has a place");
        self.unlist(path, place);
    }

    fn unlist(&mut self, path: PathId, place: u32) {
        let watchers = &mut self.paths.get_mut(path.0).watchers;
        watchers.swap_remove(place as usize);
        if let Some(moved) = watchers.get(place as usize) {
            let places = &mut self.clients.get_mut(moved.client().0).places;
            *places.get_mut(&path.0).expect("a watcher has a place") = place;
        }
        self.trim(path);
    }

    /// Removes all watchers of a path that have no mode left, in one pass however many they are.
    pub(super) fn drop_used_up(&mut self, path: PathId) {
        let watchers = &mut self.paths.get_mut(path.0).watchers;
        let mut kept = 0;
        for at in 0..watchers.len() {
            let watcher = watchers[at];
            let places = &mut self.clients.get_mut(watcher.client().0).places;
            if watcher.modes() == 0 {
                places.remove(&path.0);
                continue;
            }
            if kept != at {
                *places.get_mut(&path.0).expect("a watcher has a place") = kept as u32;
                watchers[kept] = watcher;
            }
            kept += 1;
        }
        watchers.truncate(kept);
        self.trim(path);
    }

    /// A list that has become short gives memory back, and one that is empty its path.
    fn trim(&mut self, path: PathId) {
        let WatchedPath { name, watchers } = self.paths.get_mut(path.0);
        if !watchers.is_empty() {
            if watchers.capacity() / 4 > watchers.len() {
                watchers.shrink_to(watchers.len() * 2);
            }
            return;
        }
        let hash = self.seed.hash_one(&**name);
        let found = self.names.find_entry(hash, |slot| *slot == path.0);
        found.expect("a watched path has a name").remove();
        self.paths.free(path.0);
    }

    /// Forgets a connection; `each` sees what it watched before that is gone.
    pub(super) fn disconnect(&mut self, conn: ConnId, mut each: impl FnMut(Watcher)) {
        let Some(id) = self.conns.remove(&conn) else { return };
        let nothing = HashMap::with_hasher(self.seed.clone());
        let places = std::mem::replace(&mut self.client_mut(id).places, nothing);
        for (path, place) in places {
            let watcher = self.paths.get(path).watchers[place as usize];
            assert_eq!(watcher.client(), id, "a watcher stands where its client says");
            each(watcher);
            self.unlist(PathId(path), place);
        }
        self.clients.free(id.0);
    }

    /// Every watched path with its watchers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &[Watcher])> {
        self.names.iter().map(|slot| {
            let WatchedPath { name, watchers } = self.paths.get(*slot);
            (name, watchers.as_slice())
        })
    }
}

/// Things with numbers that are used again.
#[derive(Debug)]
struct Slots<T> {
    things: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { things: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slots<T> {
    fn take(&mut self, thing: T) -> u32 {
        if let Some(slot) = self.free.pop() {
            self.things[slot as usize] = Some(thing);
            return slot;
        }
        self.things.push(Some(thing));
        u32::try_from(self.things.len() - 1).expect("fewer than four thousand million")
    }

    fn free(&mut self, slot: u32) {
        self.things[slot as usize] = None;
        self.free.push(slot);
    }

    fn get(&self, slot: u32) -> &T {
        self.things[slot as usize].as_ref().expect("the slot is taken")
    }

    fn get_mut(&mut self, slot: u32) -> &mut T {
        self.things[slot as usize].as_mut().expect("the slot is taken")
    }
}
