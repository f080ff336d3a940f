//! What real Java servers said to each other over the quorum port, with ours in the place of each.
//!
//! `tests/data/golden/zab-java-*` holds every byte. Our learner hears Java's recorded leader, our leader Java's recorded
//! learners, and what ours says is compared with what Java's said: packet for packet, byte for byte, in order, over each
//! connection. What is not compared:
//!
//! | masked | because |
//! | --- | --- |
//! | when pings are sent and answered | each half tick of Java's is one of ours; their order among other packets and their bytes count |
//! | the ping with which a reign of ours begins | Java's first comes half a tick later, and ours changes nothing for a learner |
//! | authentication | is over before the first packet; it is not this crate's |
//! | the stream behind SNAP | is the tree's (`crates/tree/tests/leaders_snapshot.rs`); its place counts |
//! | which sessions a ping names, what clients ask for, whether a session goes on | the whole server decides; its place and form count |
//! | the bytes of transactions that a capture has left out | nobody knows them; positions and commits count |
//! | what ours would say behind the end of a connection | there is nothing to compare it with |
//!
//! Every other difference is deliberate and stands in one of the two tables, packet by packet. A row that is not needed any
//! more fails.

mod capture;
mod compare;
mod differences;
mod leader;
mod learner;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use bytes::Bytes;
use zabd_zab::effect::Timing;

use self::compare::Side;
use self::differences::{Difference, OF_OUR_LEADER, OF_OUR_LEARNER};

const CAPTURES: &[&str] = &[
    "3.8.0/01-fresh-election-first-sync-writes",
    "3.8.0/02-follower-restart-diff",
    "3.8.0/02b-follower-restart-under-load",
    "3.8.0/02c-diff-from-disk-txnlog",
    "3.8.0/02d-follower-restart-under-load-npe",
    "3.8.0/03-lagging-follower-snap",
    "3.8.0/04-divergent-follower-trunc",
    "3.8.0/04b-divergent-follower-cross-epoch-snap",
    "3.8.0/05-observer-join",
    "3.8.0/05b-observer-via-observer-master",
    "3.8.0/06-reconfig",
    "3.8.0/07-session-move-revalidate",
    "3.8.0/08-local-session-upgrade",
    "3.8.0/09-zxid-rollover",
    "3.8.0/10-leader-failover",
    "3.8.0/11-multiaddress-initial-v2",
    "3.8.0/12-quorum-sasl-digest-md5",
    SCRIPTED_LEADER,
    "other-versions/3.4.14-leader-with-3.9.5-follower",
    "other-versions/3.5.10-leader-with-3.9.5-and-3.8.0-followers",
    "other-versions/3.8.0-leader-with-3.4.14-and-3.9.5-followers",
    "other-versions/3.9.5-follower-restart-under-load",
    "other-versions/3.9.5-three-servers-first-sync-writes",
];
/// Only its learner is Java's.
const SCRIPTED_LEADER: &str = "3.8.0/13-scripted-leader";

type Replay = fn(&str) -> BTreeMap<u64, Side>;

fn timing(name: &str) -> Timing {
    let tick_ms = if name.contains("/04") { 3000 } else { 1000 };
    let (init_limit, sync_limit) = if name == SCRIPTED_LEADER { (5, 3) } else { (10, 5) };
    Timing { tick_ms, init_limit, sync_limit, connect_delay_ms: 100 }
}

fn has_reconfig(name: &str) -> bool {
    name.contains("06-reconfig")
}

fn replayed<'a>(
    captures: &'a [&'static str],
    replay: Replay,
) -> impl Iterator<Item = (&'static str, u64, Side)> + 'a {
    captures.iter().flat_map(move |name| replay(name).into_iter().map(|(conn, side)| (*name, conn, side)))
}

/// What differs and is in no row, and rows of which nothing is left; and how many packets of Java's were compared.
fn compared(captures: &[&'static str], replay: Replay, rows: &[Difference]) -> (String, usize) {
    let mut rows: BTreeMap<_, _> =
        rows.iter().map(|row| ((row.capture, row.conn), (row.what, row.why))).collect();
    let (mut unexpected, mut packets) = (String::new(), 0);
    for (name, conn, side) in replayed(captures, replay) {
        packets += side.java.len();
        let (expected, why) = rows.remove(&(name, conn)).unwrap_or_default();
        let found = side.differences();
        if found != expected {
            _ = writeln!(unexpected, "{name}, connection {conn}: {found:#?}, and not {expected:#?}: {why}");
        }
    }
    for (name, conn) in rows.into_keys() {
        _ = writeln!(unexpected, "{name}, connection {conn}: was not compared");
    }
    (unexpected, packets)
}

fn with_javas_leader() -> Vec<&'static str> {
    CAPTURES.iter().copied().filter(|name| *name != SCRIPTED_LEADER).collect()
}

#[test]
fn our_learner_answers_javas_leader_as_javas_learner_did() {
    let (unexpected, packets) = compared(CAPTURES, learner::replay, OF_OUR_LEARNER);
    assert!(unexpected.is_empty(), "\n{unexpected}");
    assert_eq!(packets, 1121);
}

#[test]
fn our_leader_answers_javas_learners_as_javas_leader_did() {
    let (unexpected, packets) = compared(&with_javas_leader(), leader::replay, OF_OUR_LEADER);
    assert!(unexpected.is_empty(), "\n{unexpected}");
    assert_eq!(packets, 9056);
}

/// Whatever is changed, left out or said twice is told, of what is the same as of what differs on purpose.
#[test]
fn no_packet_can_change_unnoticed() {
    let leaders = with_javas_leader();
    let is_chosen = |(name, _, side): &(&str, u64, Side)| {
        CAPTURES[..2].contains(name) || (!side.differences().is_empty() && side.ours.len() < 200)
    };
    let sides = replayed(CAPTURES, learner::replay).chain(replayed(&leaders, leader::replay));
    let mut with_rows = 0;
    for (_, _, side) in sides.filter(is_chosen) {
        with_rows += usize::from(!side.differences().is_empty());
        for place in 0..side.ours.len() {
            let with = |change: fn(&mut Vec<Bytes>, usize)| {
                let mut ours = side.ours.clone();
                change(&mut ours, place);
                Side { java: side.java.clone(), ours, end: side.end.clone() }.differences()
            };
            let usual = side.differences();
            assert_eq!(with(|_, _| ()), usual);
            assert_ne!(with(|ours, place| _ = ours.remove(place)), usual, "left out");
            assert_ne!(with(|ours, place| ours.insert(place, ours[place].clone())), usual, "said twice");
            let change = |ours: &mut Vec<Bytes>, place: usize| {
                let mut packet = ours[place].to_vec();
                *packet.last_mut().expect("no packet is empty") ^= 1;
                ours[place] = packet.into();
            };
            assert_ne!(with(change), usual, "one bit is another");
        }
    }
    // Three are longer.
    assert_eq!(with_rows, OF_OUR_LEARNER.len() + OF_OUR_LEADER.len() - 3);
}

/// Bugs of leaders and learners that show in what they say; the others lose something without another word, and are hunted by
/// `tests/agreement`.
#[cfg(feature = "mutations")]
#[test]
fn known_bugs_are_told_by_what_is_said() {
    use zabd_mutation::Mutation::*;

    let is_as_ever = || {
        let learners = compared(CAPTURES, learner::replay, OF_OUR_LEARNER);
        let leaders = compared(&with_javas_leader(), leader::replay, OF_OUR_LEADER);
        assert_eq!((learners.0.as_str(), leaders.0.as_str()), ("", ""));
    };
    is_as_ever();
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    let survives = |mutation: &zabd_mutation::Mutation| {
        std::panic::catch_unwind(|| zabd_mutation::with(*mutation, is_as_ever)).is_ok()
    };
    let survivors: Vec<_> = [
        AckBeforeSync,
        LeaderCountsUnsynced,
        CommitWithoutQuorum,
        NewLeaderAckedEarly,
        PromiseNotWritten,
        NewLeaderBeforeSnapshot,
        UpToDateBeforeQuorum,
        DivergedTakenForPrefix,
        DifferenceWithGap,
        JoiningForgotten,
        ProposalsBeforeUpToDateDropped,
    ]
    .into_iter()
    .filter(survives)
    .collect();
    std::panic::set_hook(hook);
    assert!(survivors.is_empty(), "{survivors:?} survive");
}
