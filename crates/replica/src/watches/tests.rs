//! What each kind of watch hears, who hears it, and that nothing is left behind.

use super::*;

#[derive(Debug, Default)]
struct Heard(Vec<(u64, EventKind, String)>);

impl EventSink for Heard {
    fn event(&mut self, hearers: impl Iterator<Item = ConnId>, zxid: Zxid, kind: EventKind, path: &str) {
        assert_eq!(zxid, Zxid(7));
        self.0.extend(hearers.map(|conn| (conn.0, kind, path.to_owned())));
    }
}

fn watches(conns: u64) -> Watches {
    let mut watches = Watches::new(HashSeed::with_seed(1), false);
    for conn in 1..=conns {
        watches.connect(ConnId(conn), SessionId(conn as i64), [Id::new("ip", "127.0.0.1")].into());
    }
    watches
}

fn offer(watches: &mut Watches, change: &Change<'_>) -> Vec<(u64, EventKind, String)> {
    let mut heard = Heard::default();
    watches.offer(Zxid(7), change, &mut heard);
    heard.0
}

fn created(path: &str) -> Change<'_> {
    Change::Created { path, acl: &[], parent_acl: &[] }
}

fn deleted(path: &str) -> Change<'_> {
    Change::Deleted { path, acl: &[], parent_acl: &[] }
}

fn changed(path: &str) -> Change<'_> {
    Change::DataChanged { path, acl: &[] }
}

fn event(conn: u64, kind: EventKind, path: &str) -> (u64, EventKind, String) {
    (conn, kind, path.to_owned())
}

use EventKind::{ChildrenChanged, Created, DataChanged, Deleted};
use WatchKind::{Child, Data, Persistent, PersistentRecursive};

#[test]
fn one_shot_watches_fire_once() {
    let mut watches = watches(2);
    watches.set(ConnId(1), "/a", Data);
    watches.set(ConnId(1), "/a", Data);
    watches.set(ConnId(2), "/a", Child);
    assert_eq!(offer(&mut watches, &changed("/a")), [event(1, DataChanged, "/a")]);
    assert_eq!(offer(&mut watches, &changed("/a")), []);
    assert_eq!(offer(&mut watches, &created("/a/b")), [event(2, ChildrenChanged, "/a")]);
    assert_eq!(offer(&mut watches, &created("/a/c")), []);
    assert_eq!(watches.counts(), WatchCounts::default());
    assert_eq!(watches.total(), 0);
}

#[test]
fn a_deleted_node_is_told_once_to_who_watches_it_twice() {
    let mut watches = watches(1);
    watches.set(ConnId(1), "/a", Data);
    watches.set(ConnId(1), "/a", Child);
    watches.set(ConnId(1), "/", Child);
    assert_eq!(
        offer(&mut watches, &deleted("/a")),
        [event(1, Deleted, "/a"), event(1, ChildrenChanged, "/")]
    );
    assert_eq!(watches.total(), 0);
}

#[test]
fn creation_is_heard_by_the_node_then_by_the_parent() {
    let mut watches = watches(2);
    watches.set(ConnId(2), "/a", Child);
    watches.set(ConnId(1), "/a/b", Data);
    let heard = offer(&mut watches, &created("/a/b"));
    assert_eq!(heard, [event(1, Created, "/a/b"), event(2, ChildrenChanged, "/a")]);
}

#[test]
fn persistent_watches_stay() {
    let mut watches = watches(1);
    watches.set(ConnId(1), "/a", Persistent);
    for _ in 0..2 {
        assert_eq!(offer(&mut watches, &created("/a")), [event(1, Created, "/a")]);
        assert_eq!(offer(&mut watches, &changed("/a")), [event(1, DataChanged, "/a")]);
        assert_eq!(offer(&mut watches, &created("/a/b")), [event(1, ChildrenChanged, "/a")]);
        assert_eq!(offer(&mut watches, &deleted("/a")), [event(1, Deleted, "/a")]);
    }
}

#[test]
fn recursive_watches_hear_all_below_but_no_child_lists() {
    let mut watches = watches(1);
    watches.set(ConnId(1), "/a", PersistentRecursive);
    assert_eq!(offer(&mut watches, &created("/a/b/c")), [event(1, Created, "/a/b/c")]);
    assert_eq!(offer(&mut watches, &created("/a/b")), [event(1, Created, "/a/b")]);
    assert_eq!(offer(&mut watches, &changed("/a")), [event(1, DataChanged, "/a")]);
    assert_eq!(offer(&mut watches, &changed("/ab")), []);
    watches.set(ConnId(1), "/", PersistentRecursive);
    assert_eq!(offer(&mut watches, &changed("/a/b")), [event(1, DataChanged, "/a/b")]);
}

#[test]
fn modes_on_one_path_are_independent() {
    let mut watches = watches(1);
    for kind in [Data, Child, Persistent, PersistentRecursive] {
        watches.set(ConnId(1), "/a", kind);
    }
    assert_eq!(offer(&mut watches, &changed("/a")), [event(1, DataChanged, "/a")]);
    assert!(!watches.has(ConnId(1), "/a", WatchSelection::Data));
    assert!(watches.has(ConnId(1), "/a", WatchSelection::Children));
    assert!(watches.remove(ConnId(1), "/a", WatchSelection::Persistent));
    assert!(!watches.remove(ConnId(1), "/a", WatchSelection::Persistent));
    let heard = offer(&mut watches, &created("/a/b"));
    assert_eq!(heard, [event(1, Created, "/a/b"), event(1, ChildrenChanged, "/a")]);
    assert!(watches.remove(ConnId(1), "/a", WatchSelection::Any));
    assert_eq!(offer(&mut watches, &changed("/a")), []);
}

#[test]
fn who_may_not_read_hears_nothing_and_loses_the_watch() {
    let mut watches = watches(1);
    let secret = [Acl::new(perms::ALL, "digest", "somebody:else")];
    watches.set(ConnId(1), "/a", Data);
    assert_eq!(offer(&mut watches, &Change::DataChanged { path: "/a", acl: &secret }), []);
    assert_eq!(watches.total(), 0);
    watches.set(ConnId(1), "/a", Data);
    watches.authenticate(ConnId(1), [Id::new("digest", "somebody:else")].into());
    let heard = offer(&mut watches, &Change::DataChanged { path: "/a", acl: &secret });
    assert_eq!(heard, [event(1, DataChanged, "/a")]);
}

#[test]
fn a_disconnect_leaves_nothing_and_hurts_nobody() {
    let mut watches = watches(3);
    for conn in 1..=3 {
        watches.set(ConnId(conn), "/a", Persistent);
        watches.set(ConnId(conn), "/b", PersistentRecursive);
    }
    watches.disconnect(ConnId(1));
    watches.disconnect(ConnId(1));
    watches.set(ConnId(1), "/a", Data);
    let mut heard = offer(&mut watches, &changed("/a"));
    heard.sort_by_key(|(conn, ..)| *conn);
    assert_eq!(heard, [event(2, DataChanged, "/a"), event(3, DataChanged, "/a")]);
    watches.disconnect(ConnId(3));
    watches.disconnect(ConnId(2));
    assert_eq!(watches.total(), 0);
    assert_eq!(watches.recursive_count, 0);
    assert!(watches.table.is_empty());
}

#[test]
fn operators_see_data_watches_and_those_that_stay() {
    let mut watches = watches(2);
    watches.set(ConnId(1), "/a", Data);
    watches.set(ConnId(2), "/a", Data);
    watches.set(ConnId(2), "/b", Child);
    watches.set(ConnId(2), "/c", Persistent);
    assert_eq!(watches.counts(), WatchCounts { connections: 2, paths: 2, watches: 3 });
    assert_eq!(watches.total(), 5);
    let mut reported = watches.reported();
    reported.sort_unstable();
    let expected = [("/a", 1), ("/a", 2), ("/c", 2)].map(|(path, session)| (path.into(), SessionId(session)));
    assert_eq!(reported, expected);
}

#[test]
fn recursive_watches_are_reported_once() {
    let mut watches = watches(1);
    watches.set(ConnId(1), "/a", PersistentRecursive);
    assert_eq!((watches.total(), watches.counts().watches), (1, 1));
    watches.set(ConnId(1), "/a", Child);
    assert_eq!(watches.total(), 2);
}

/// One sample per change and table that fires anything, as Java counts.
#[test]
fn fired_watches_are_counted_by_what_happened() {
    let mut watches = watches(3);
    watches.set(ConnId(1), "/a", Data);
    watches.set(ConnId(2), "/a", Data);
    watches.set(ConnId(2), "/a", Child);
    watches.set(ConnId(3), "/a", Child);
    watches.set(ConnId(3), "/", Persistent);
    offer(&mut watches, &changed("/b"));
    offer(&mut watches, &changed("/a"));
    watches.set(ConnId(1), "/a", Data);
    offer(&mut watches, &deleted("/a"));
    let samples = |each: &[u64]| {
        let mut samples = Percentiles::default();
        for sample in each {
            samples.add(*sample);
        }
        samples
    };
    let fired = watches.fired();
    assert_eq!(fired.changed, samples(&[2]));
    assert_eq!(fired.deleted, samples(&[1, 2]), "those of the node, and those of its children");
    assert_eq!(fired.children, samples(&[1]), "those of the root's children");
    assert_eq!(fired.created, Percentiles::default());
    watches.reset_fired();
    assert_eq!(watches.fired(), Fired::default());
}

/// Random operations against a table of (connection, path, mode) triples.
#[test]
fn behaves_like_a_table() {
    use std::collections::BTreeSet;
    let kinds = [Data, Child, Persistent, PersistentRecursive];
    let paths = ["/", "/a", "/a/b", "/a/b/c", "/d"];
    let mut random = 0x2545_f491_4f6c_dd1du64;
    let mut next = |bound: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % bound as u64) as usize
    };
    let mut watches = watches(4);
    let mut table = BTreeSet::new();
    for _ in 0..20_000 {
        let (conn, path) = (1 + next(4) as u64, paths[next(paths.len())]);
        match next(8) {
            0..5 => {
                let kind = next(kinds.len());
                watches.set(ConnId(conn), path, kinds[kind]);
                table.insert((conn, path, kind));
            }
            5 => {
                let heard = offer(&mut watches, &changed(path));
                let is_told = |(_, watched, kind): &&(u64, &str, usize)| match kind {
                    0 | 2 => *watched == path,
                    3 => *watched == "/" || path == *watched || path.starts_with(&format!("{watched}/")),
                    _ => false,
                };
                let expected: BTreeSet<u64> = table.iter().filter(is_told).map(|(conn, ..)| *conn).collect();
                assert_eq!(heard.len(), expected.len(), "nobody is told twice");
                assert_eq!(heard.iter().map(|(conn, ..)| *conn).collect::<BTreeSet<_>>(), expected);
                table.retain(|(_, watched, kind)| !(*watched == path && *kind == 0));
            }
            6 => {
                let removed = watches.remove(ConnId(conn), path, WatchSelection::Any);
                let before = table.len();
                table.retain(|(c, watched, _)| !(*c == conn && *watched == path));
                assert_eq!(removed, table.len() < before);
            }
            _ => {
                watches.disconnect(ConnId(conn));
                watches.connect(ConnId(conn), SessionId(conn as i64), [Id::new("ip", "127.0.0.1")].into());
                table.retain(|(c, ..)| *c != conn);
            }
        }
        assert_eq!(watches.recursive_count, table.iter().filter(|(.., kind)| *kind == 3).count());
        // In one table of Java's two, or in both.
        let in_tables = |kinds: &[usize]| {
            let watched = table.iter().filter(|(.., kind)| kinds.contains(kind));
            watched.map(|(conn, path, _)| (conn, path)).collect::<BTreeSet<_>>().len()
        };
        assert_eq!(watches.total(), in_tables(&[0, 2, 3]) + in_tables(&[1, 2]));
    }
}
