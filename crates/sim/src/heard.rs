//! What clients hear of their watches: the first change behind each, before anything that shows it, and nothing else.
//!
//! A client that goes to another server and tells it of its watches hears there what it has missed: that a znode is gone, is there, or has
//! changed, by what the server shows when it answers. What happened in between is not told, as in Java.

use std::collections::BTreeMap;

use zabd_jute::{OpCode, SessionId, Zxid};

use crate::client::{Client, Heard, Told, Word};

/// What happened to each znode where: 1 created, 2 deleted, 3 changed.
pub type Happened = BTreeMap<String, Vec<(Zxid, i32)>>;

const CREATED: i32 = 1;
const DELETED: i32 = 2;
const CHANGED: i32 = 3;
/// That of an event of which nobody knows any more which transaction it is of.
const NO_ZXID: Zxid = Zxid(-1);

/// A watch that has not fired.
#[derive(Clone, Copy, Debug)]
struct Watch {
    since: Zxid,
    waits_for_it: bool,
}

/// The watches of a client, from word to word.
struct Watching<'c> {
    happened: &'c Happened,
    number: usize,
    session: SessionId,
    conn: u64,
    /// Those at the server that it is connected to.
    here: BTreeMap<String, Watch>,
    /// Those that it had at others, and tells this one of.
    left: BTreeMap<String, Watch>,
    /// Those of which it has heard at once.
    caught_up: Vec<(String, Watch, i32)>,
}

/// Holds what a client has heard against what has happened.
pub fn assert_events(client: &Client, happened: &Happened) {
    let mut watching = Watching {
        happened,
        number: client.number,
        session: SessionId::NONE,
        conn: 0,
        here: BTreeMap::new(),
        left: BTreeMap::new(),
        caught_up: Vec::new(),
    };
    for word in &client.words {
        let over = match word {
            Word::Told(told) => told.conn,
            Word::Heard(heard) => heard.conn,
        };
        if std::mem::replace(&mut watching.conn, over) != over {
            watching.move_on(client.keeps_watches);
        }
        match word {
            Word::Told(told) => watching.told(told),
            Word::Heard(heard) => watching.heard(heard),
        }
    }
}

impl Watching<'_> {
    fn first_behind(&self, path: &str, zxid: Zxid) -> Option<(Zxid, i32)> {
        let changes = self.happened.get(path).map_or(&[][..], Vec::as_slice);
        changes.get(changes.partition_point(|(at, _)| *at <= zxid)).copied()
    }

    fn is_there(&self, path: &str, zxid: Zxid) -> bool {
        let changes = self.happened.get(path).map_or(&[][..], Vec::as_slice);
        let behind = changes.partition_point(|(at, _)| *at <= zxid);
        behind.checked_sub(1).is_some_and(|last| changes[last].1 != DELETED)
    }

    /// Another server: it knows of no watches yet.
    fn move_on(&mut self, keeps: bool) {
        let before = std::mem::take(&mut self.here);
        self.caught_up.clear();
        if keeps {
            self.left.extend(before);
        }
    }

    fn told(&mut self, told: &Told) {
        let Told { asked, zxid, .. } = told;
        if std::mem::replace(&mut self.session, asked.session) != asked.session {
            self.here.clear();
            self.left.clear();
        }
        let number = self.number;
        for (path, watch) in &self.here {
            let missed = self.first_behind(path, watch.since).filter(|(at, _)| at <= zxid);
            assert!(missed.is_none(), "client {number} sees {zxid} and did not hear of {missed:?} at {path}");
        }
        if asked.op == OpCode::SetWatches {
            self.catch_up(*zxid);
        }
        if let Some(waits_for_it) = told.watches() {
            self.here.entry(asked.path.clone()).or_insert(Watch { since: *zxid, waits_for_it });
        }
    }

    /// The server has looked what the client has missed, at this position.
    fn catch_up(&mut self, zxid: Zxid) {
        let number = self.number;
        for (path, watch, kind) in std::mem::take(&mut self.caught_up) {
            let due = self.due(&path, watch, zxid);
            assert_eq!(due, Some(kind), "what client {number} had to hear of {path} at {zxid}, and heard");
        }
        for (path, watch) in std::mem::take(&mut self.left) {
            let due = self.due(&path, watch, zxid);
            assert_eq!(due, None, "what client {number} had to hear of {path} at {zxid}, and did not");
            self.here.insert(path, Watch { since: zxid, ..watch });
        }
    }

    /// The event that a watch is worth when a server hears of it.
    fn due(&self, path: &str, watch: Watch, zxid: Zxid) -> Option<i32> {
        let is_there = self.is_there(path, zxid);
        if watch.waits_for_it {
            return is_there.then_some(CREATED);
        }
        let has_changed = self.first_behind(path, watch.since).is_some_and(|(at, _)| at <= zxid);
        if is_there { has_changed.then_some(CHANGED) } else { Some(DELETED) }
    }

    fn heard(&mut self, heard: &Heard) {
        let Heard { zxid, kind, path, .. } = heard;
        if let Some(watch) = self.left.remove(path) {
            assert_eq!(*zxid, NO_ZXID, "client {} hears {heard:?}, of what it has missed", self.number);
            self.caught_up.push((path.clone(), watch, *kind));
            return;
        }
        let watch = self.here.remove(path);
        let expected = watch.and_then(|watch| self.first_behind(path, watch.since));
        assert_eq!(expected, Some((*zxid, *kind)), "client {} hears {heard:?}, with {watch:?}", self.number);
    }
}
