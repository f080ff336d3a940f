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
    take_all_away(&mut watches);
}

fn take_all_away(watches: &mut Watches) {
    while watches.has_gone() {
        watches.take_away(7);
    }
    assert_eq!((watches.total(), watches.kept(), watches.recursive_count), (0, 0, 0));
    assert!(watches.table.is_empty());
}

/// A client that has watched very many paths goes: what it watched is over at once, but what that took is given back in bites, and
/// meanwhile others set theirs, the same session comes again, and changes fire.
#[test]
fn what_a_connection_leaves_is_taken_away_in_bites() {
    const PATHS: usize = 1000;
    let mut watches = watches(3);
    let paths: Vec<_> = (0..PATHS).map(|number| format!("/{number}")).collect();
    for path in &paths {
        watches.set(ConnId(1), path, Persistent);
        watches.set(ConnId(2), path, Data);
    }
    watches.set(ConnId(1), "/", PersistentRecursive);
    watches.disconnect(ConnId(1));
    let left = WatchCounts { connections: 1, paths: PATHS, watches: PATHS };
    assert_eq!((watches.total(), watches.counts(), watches.reported().len()), (PATHS, left, PATHS));
    assert_eq!(watches.kept(), 3 * PATHS + 1);
    assert_eq!(offer(&mut watches, &changed("/0")), [event(2, DataChanged, "/0")]);
    let mut one = Percentiles::default();
    one.add(1);
    assert_eq!(watches.fired().changed, one);
    watches.connect(ConnId(4), SessionId(1), [Id::new("ip", "127.0.0.1")].into());
    let mut bites = 0;
    while watches.has_gone() {
        let before = watches.kept();
        watches.take_away(10);
        assert!(before - watches.kept() <= 2 * 10, "a bite is not larger");
        watches.set(ConnId(4), &paths[bites], Data);
        assert!(watches.modes(ConnId(1), "/500") == 0 && watches.modes(ConnId(4), &paths[bites]) != 0);
        bites += 1;
    }
    assert!(bites >= PATHS / 10, "{bites}");
    assert_eq!((watches.total(), watches.kept()), (PATHS - 1 + bites, PATHS - 1 + bites));
    let mut heard = offer(&mut watches, &changed("/1"));
    heard.sort_by_key(|(conn, ..)| *conn);
    assert_eq!(heard, [event(2, DataChanged, "/1"), event(4, DataChanged, "/1")]);
    watches.disconnect(ConnId(2));
    watches.disconnect(ConnId(4));
    take_all_away(&mut watches);
}

/// A client watched very much and lost nearly all of it: there is little to take away in a large table, and that too takes bites.
#[test]
fn a_table_that_is_nearly_empty_is_looked_through_in_bites() {
    let mut watches = watches(1);
    for number in 0..1000 {
        watches.set(ConnId(1), &format!("/{number}"), Data);
    }
    for number in 0..999 {
        offer(&mut watches, &changed(&format!("/{number}")));
    }
    watches.disconnect(ConnId(1));
    let bites = (0..1000).take_while(|_| watches.take_away(1).is_none()).count();
    assert!((2..=130).contains(&bites), "{bites}");
    take_all_away(&mut watches);
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
                watches.take_away(next(3));
                watches.connect(ConnId(conn), SessionId(conn as i64), [Id::new("ip", "127.0.0.1")].into());
                table.retain(|(c, ..)| *c != conn);
            }
        }
        let recursive_count = table.iter().filter(|(.., kind)| *kind == 3).count();
        assert!(recursive_count <= watches.recursive_count);
        assert!(watches.has_gone() || recursive_count == watches.recursive_count);
        // In one table of Java's two, or in both.
        let in_tables = |kinds: &[usize]| {
            let watched = table.iter().filter(|(.., kind)| kinds.contains(kind));
            watched.map(|(conn, path, _)| (conn, path)).collect::<BTreeSet<_>>().len()
        };
        assert_eq!(watches.total(), in_tables(&[0, 2, 3]) + in_tables(&[1, 2]));
    }
}
