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
//!
//! A client may have watched half a million paths. When its connection goes it is marked as gone, and its watches leave the lists in
//! bites ([`Table::take_away`]); its slot is free behind the last of them. So lists may name clients that are gone, and whoever tells
//! somebody of a change, or counts, passes over these.

use std::collections::VecDeque;
use std::hash::BuildHasher as _;
use std::sync::Arc;

use hashbrown::hash_table::Entry;
use hashbrown::{HashMap, HashTable};
use zabd_jute::SessionId;

use super::Identities;
use crate::{ConnId, HashSeed};

/// Bits of a watcher that are modes.
const MODE_BITS: u32 = 4;

/// Looking at so many buckets of a client's table costs less than taking one watch away.
const BUCKETS_PER_WATCH: usize = 16;

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
    /// How often its watches are counted: once or twice for each place.
    pub(super) reported: u32,
    /// Its connection has ended: nobody is told of its watches, or of changes for them.
    is_gone: bool,
    places: Places,
}

impl Client {
    /// Whether its connection has ended.
    pub(super) fn is_gone(&self) -> bool {
        self.is_gone
    }
}

/// For each path that a client watches the path's number, and where the client stands in its list.
#[derive(Debug, Default)]
struct Places(HashTable<(u32, u32)>);

impl Places {
    fn get(&self, seed: &HashSeed, path: PathId) -> Option<u32> {
        self.0.find(seed.hash_one(path.0), |(known, _)| *known == path.0).map(|(_, place)| *place)
    }

    fn add(&mut self, seed: &HashSeed, path: PathId, place: u32) {
        let hash = |path: u32| seed.hash_one(path);
        let entry = self.0.entry(hash(path.0), |(known, _)| *known == path.0, |(known, _)| hash(*known));
        let Entry::Vacant(entry) = entry else { panic!("a client stands once in a list") };
        entry.insert((path.0, place));
    }

    fn set(&mut self, seed: &HashSeed, path: PathId, place: u32) {
        let known = self.0.find_mut(seed.hash_one(path.0), |(known, _)| *known == path.0);
        known.expect("a watcher has a place").1 = place;
    }

    fn remove(&mut self, seed: &HashSeed, path: PathId) -> u32 {
        let found = self.0.find_entry(seed.hash_one(path.0), |(known, _)| *known == path.0);
        found.expect("a watcher has a place").remove().0.1
    }
}

/// A client whose connection has ended, and how far its watches are taken away.
#[derive(Debug)]
struct Gone {
    client: ClientId,
    /// No bucket of its places before this one is in use.
    next_bucket: usize,
}

/// What is left of a client that is gone: memory, which takes its time to give back if there was much of it. Whoever has it
/// lets it go when nobody waits for him.
#[derive(Debug)]
pub struct Emptied(#[expect(dead_code, reason = "it is there to be dropped")] Places);

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
    /// Those that still have a slot.
    gone: VecDeque<Gone>,
}

impl Table {
    pub(super) fn new(seed: HashSeed) -> Self {
        Self {
            names: HashTable::new(),
            paths: Slots::default(),
            conns: HashMap::with_hasher(seed.clone()),
            clients: Slots::default(),
            gone: VecDeque::new(),
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
        let (reported, is_gone, places) = (0, false, Places::default());
        let slot = self.clients.take(Client { conn, session, identities, reported, is_gone, places });
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

    /// Shows each watcher of a path with its client; it keeps the modes that `each` yields, and one without any is removed.
    pub(super) fn each_watcher(&mut self, path: PathId, mut each: impl FnMut(&mut Client, Watcher) -> u8) {
        let Self { paths, clients, .. } = self;
        let mut is_used_up = false;
        for watcher in &mut paths.get_mut(path.0).watchers {
            let modes = each(clients.get_mut(watcher.client().0), *watcher);
            watcher.set_modes(modes);
            is_used_up |= modes == 0;
        }
        if is_used_up {
            self.drop_used_up(path);
        }
    }

    /// The watcher that this client is of this path.
    pub(super) fn watcher(&self, client: ClientId, path: PathId) -> Option<Watcher> {
        let place = self.client(client).places.get(&self.seed, path)?;
        Some(self.watchers(path)[place as usize])
    }

    /// The same, to be changed.
    pub(super) fn watcher_mut(&mut self, client: ClientId, path: PathId) -> Option<&mut Watcher> {
        let place = self.client(client).places.get(&self.seed, path)?;
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
        self.clients.get_mut(client.0).places.add(&self.seed, path, place);
    }

    fn add_path(&mut self, name: &str) -> PathId {
        let slot = self.paths.take(WatchedPath { name: name.into(), watchers: Vec::new() });
        let Self { seed, names, paths, .. } = self;
        names.insert_unique(seed.hash_one(name), slot, |slot| seed.hash_one(&*paths.get(*slot).name));
        PathId(slot)
    }

    /// Removes one watcher; the last one of the list takes its place.
    pub(super) fn remove(&mut self, client: ClientId, path: PathId) {
        let place = self.clients.get_mut(client.0).places.remove(&self.seed, path);
        self.unlist(path, place);
    }

    fn unlist(&mut self, path: PathId, place: u32) {
        let watchers = &mut self.paths.get_mut(path.0).watchers;
        watchers.swap_remove(place as usize);
        if let Some(moved) = watchers.get(place as usize) {
            self.clients.get_mut(moved.client().0).places.set(&self.seed, path, place);
        }
        self.trim(path);
    }

    /// Removes all watchers of a path that have no mode left, in one pass however many they are.
    fn drop_used_up(&mut self, path: PathId) {
        let watchers = &mut self.paths.get_mut(path.0).watchers;
        let mut kept = 0;
        for at in 0..watchers.len() {
            let watcher = watchers[at];
            let places = &mut self.clients.get_mut(watcher.client().0).places;
            if watcher.modes() == 0 {
                places.remove(&self.seed, path);
                continue;
            }
            if kept != at {
                places.set(&self.seed, path, kept as u32);
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

    /// A connection has ended; yields how often its watches were counted. They stay in the lists until they are taken away.
    pub(super) fn disconnect(&mut self, conn: ConnId) -> usize {
        let Some(id) = self.conns.remove(&conn) else { return 0 };
        let client = self.client_mut(id);
        client.is_gone = true;
        let reported = client.reported as usize;
        if client.places.0.is_empty() {
            assert_eq!(reported, 0, "what is counted is in a list");
            self.clients.free(id.0);
        } else {
            self.gone.push_back(Gone { client: id, next_bucket: 0 });
        }
        reported
    }

    /// Takes watches of clients that are gone out of the lists, about `most` of them; `each` sees them before.
    pub(super) fn take_away(&mut self, most: usize, mut each: impl FnMut(Watcher)) -> Option<Emptied> {
        let Gone { client, mut next_bucket } = self.gone.pop_front()?;
        let (mut left, mut buckets_left) = (most, most * BUCKETS_PER_WATCH);
        while left > 0 && buckets_left > 0 {
            let places = &mut self.clients.get_mut(client.0).places;
            if places.0.is_empty() {
                let places = std::mem::take(places);
                self.clients.free(client.0);
                return Some(Emptied(places));
            }
            if let Ok(bucket) = places.0.get_bucket_entry(next_bucket) {
                let (path, place) = bucket.remove().0;
                let watcher = self.paths.get(path).watchers[place as usize];
                assert_eq!(watcher.client(), client, "a watcher stands where its client says");
                each(watcher);
                self.unlist(PathId(path), place);
                left -= 1;
            }
            next_bucket += 1;
            buckets_left -= 1;
        }
        self.gone.push_front(Gone { client, next_bucket });
        None
    }

    /// Whether there are watches of clients that are gone.
    pub(super) fn has_gone(&self) -> bool {
        !self.gone.is_empty()
    }

    /// Whether this one's connection has ended.
    pub(super) fn is_gone(&self, client: ClientId) -> bool {
        self.has_gone() && self.client(client).is_gone()
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
