//! Which watches this session has left, so that a server's event is told only to those who asked: Java's
//! `ZKWatchManager`, with one watcher for all.

use std::collections::BTreeSet;

use zabd_jute::ErrorCode;

use super::event::EventType;
use super::operations::WatcherType;

/// What a request leaves if it succeeds; `exists` and the persistent ones also on a missing znode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registration {
    /// By `getData`.
    Data,
    /// By `exists`.
    Exists,
    /// By `getChildren`.
    Children,
    /// By `addWatch`.
    Persistent,
    /// By `addWatch`, for all below too.
    PersistentRecursive,
}

/// The watches by kind; paths as this client names them.
#[derive(Debug, Default)]
pub struct Watches {
    /// On data of znodes that exist.
    pub data: BTreeSet<String>,
    /// On znodes that do not exist.
    pub exist: BTreeSet<String>,
    /// On lists of children.
    pub children: BTreeSet<String>,
    /// That stay.
    pub persistent: BTreeSet<String>,
    /// That stay, and cover what is below.
    pub recursive: BTreeSet<String>,
}

impl Watches {
    /// Whether there are any.
    pub fn is_empty(&self) -> bool {
        let Self { data, exist, children, persistent, recursive } = self;
        [data, exist, children, persistent, recursive].iter().all(|kind| kind.is_empty())
    }

    /// Remembers what a request left, by its answer.
    pub fn register(&mut self, registration: Registration, path: &str, err: i32) {
        let kind = match (registration, err) {
            (Registration::Data | Registration::Exists, 0) => &mut self.data,
            (Registration::Children, 0) => &mut self.children,
            (Registration::Exists, err) if err == ErrorCode::NoNode.code() => &mut self.exist,
            (Registration::Persistent, err) if err == 0 || err == ErrorCode::NoNode.code() => {
                &mut self.persistent
            }
            (Registration::PersistentRecursive, err) if err == 0 || err == ErrorCode::NoNode.code() => {
                &mut self.recursive
            }
            _ => return,
        };
        kind.insert(path.to_owned());
    }

    /// Whether somebody wants to know of this, now that it came; one-shot watches are used up.
    pub fn fire(&mut self, kind: EventType, path: &str) -> bool {
        let is_wanted = match kind {
            EventType::NodeCreated | EventType::NodeDataChanged => {
                self.data.remove(path) | self.exist.remove(path)
            }
            EventType::NodeChildrenChanged => self.children.remove(path),
            EventType::NodeDeleted => {
                self.data.remove(path) | self.exist.remove(path) | self.children.remove(path)
            }
            _ => false,
        };
        // A recursive watch promises no events about children of what is below.
        let is_covered = kind != EventType::NodeChildrenChanged
            && prefixes(path).any(|prefix| self.recursive.contains(prefix));
        is_wanted | self.persistent.contains(path) | is_covered
    }

    /// Forgets watches, and says what was forgotten; `err` is the server's answer, which only a local removal survives.
    pub fn remove(
        &mut self,
        path: &str,
        kind: WatcherType,
        is_local: bool,
        err: i32,
    ) -> Result<Vec<EventType>, i32> {
        if !self.kinds(kind).iter().any(|(watches, _)| watches.contains(path)) {
            return Err(ErrorCode::NoWatcher.code());
        }
        if err != 0 && !is_local {
            return Err(err);
        }
        let mut removed = Vec::new();
        for (watches, event) in self.kinds(kind) {
            if watches.remove(path) && !removed.contains(&event) {
                removed.push(event);
            }
        }
        Ok(removed)
    }

    fn kinds(&mut self, kind: WatcherType) -> Vec<(&mut BTreeSet<String>, EventType)> {
        let is = |other| kind == other || kind == WatcherType::Any;
        let mut kinds = Vec::new();
        if is(WatcherType::Children) {
            kinds.push((&mut self.children, EventType::ChildWatchRemoved));
        }
        if is(WatcherType::Data) {
            kinds.push((&mut self.data, EventType::DataWatchRemoved));
            kinds.push((&mut self.exist, EventType::DataWatchRemoved));
        }
        if is(WatcherType::Persistent) {
            kinds.push((&mut self.persistent, EventType::PersistentWatchRemoved));
        }
        if is(WatcherType::PersistentRecursive) {
            kinds.push((&mut self.recursive, EventType::PersistentWatchRemoved));
        }
        kinds
    }

    /// Forgets the one-shot ones, where a lost connection does.
    pub fn clear_one_shot(&mut self) {
        self.data.clear();
        self.exist.clear();
        self.children.clear();
    }
}

/// A path and everything above it.
fn prefixes(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| match path.rfind('/') {
        Some(0) if path.len() > 1 => Some("/"),
        Some(at) if at > 0 => Some(&path[..at]),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_NODE: i32 = -101;

    #[test]
    fn prefixes_go_up_to_the_root() {
        assert_eq!(prefixes("/a/b").collect::<Vec<_>>(), ["/a/b", "/a", "/"]);
        assert_eq!(prefixes("/").collect::<Vec<_>>(), ["/"]);
    }

    #[test]
    fn one_shot_watches_are_used_up() {
        let mut watches = Watches::default();
        watches.register(Registration::Data, "/a", 0);
        watches.register(Registration::Exists, "/b", NO_NODE);
        watches.register(Registration::Data, "/c", NO_NODE);
        assert!(watches.fire(EventType::NodeDataChanged, "/a"));
        assert!(!watches.fire(EventType::NodeDataChanged, "/a"));
        assert!(watches.fire(EventType::NodeCreated, "/b"));
        assert!(!watches.fire(EventType::NodeCreated, "/c"), "a refused read leaves nothing");
    }

    #[test]
    fn recursive_watches_cover_what_is_below_but_for_its_children() {
        let mut watches = Watches::default();
        watches.register(Registration::PersistentRecursive, "/a", NO_NODE);
        assert!(watches.fire(EventType::NodeCreated, "/a/b/c"));
        assert!(watches.fire(EventType::NodeDeleted, "/a"));
        assert!(!watches.fire(EventType::NodeChildrenChanged, "/a/b"));
        assert!(!watches.fire(EventType::NodeCreated, "/ab"));
    }

    #[test]
    fn removal_needs_a_watch_and_the_servers_consent_or_none() {
        let mut watches = Watches::default();
        assert_eq!(watches.remove("/a", WatcherType::Any, true, 0), Err(-121));
        for registration in [Registration::Data, Registration::Children, Registration::Persistent] {
            watches.register(registration, "/a", 0);
        }
        watches.register(Registration::Exists, "/a", NO_NODE);
        assert_eq!(watches.remove("/a", WatcherType::PersistentRecursive, false, 0), Err(-121));
        assert_eq!(watches.remove("/a", WatcherType::Data, false, -4), Err(-4));
        assert_eq!(watches.remove("/a", WatcherType::Data, true, -4), Ok(vec![EventType::DataWatchRemoved]));
        assert_eq!(
            watches.remove("/a", WatcherType::Any, false, 0),
            Ok(vec![EventType::ChildWatchRemoved, EventType::PersistentWatchRemoved])
        );
        assert!(watches.is_empty());
    }
}
