//! What seeds have found, each as the smallest world that shows it.

use zabd_sim::plan::{Fault, Plan};
use zabd_sim::world::World;
use zabd_storage::disk::Crash;

/// Nothing goes wrong, only slowly.
fn calm(seed: u64) -> Plan {
    Plan {
        voters: 3,
        observers: 0,
        weights: "",
        clients: 4,
        trouble_ms: 4000,
        disk_ms_max: 30,
        ..Plan::draw(seed)
    }
    .calm()
}

/// A follower recognised its client's write by what the client waited for first. If that was a sync, whose answer comes
/// when everything before it is committed, the write came back as a proposal sooner, nobody was found to have asked for it,
/// and the client waited until its session expired.
#[test]
fn a_write_behind_a_sync_is_answered() {
    (0..10).for_each(|seed| World::with(seed, calm(seed), false).run());
}

/// A member was given a leader's snapshot, which held transactions that it had never logged. Its older log stayed; when it
/// led, it found there where a learner's log ended, and sent that what came behind its snapshot, and nothing of the hole.
#[test]
fn a_leader_sends_no_log_with_a_hole() {
    for seed in 0..10 {
        let plan = Plan {
            voters: 3,
            observers: 1,
            weights: "",
            clients: 5,
            trouble_ms: 4500,
            network_ms_max: 5,
            disk_ms_max: 1,
            kept: 500,
            snapshot_every: 20,
            faults: vec![
                (2380, Fault::Pause { at: 2, for_ms: 594 }),
                (2500, Fault::Pause { at: 3, for_ms: 1278 }),
                (3280, Fault::Pause { at: 1, for_ms: 2392 }),
            ],
        };
        World::with(seed, plan, false).run();
    }
}

/// A learner took clients while it still replayed what its leader had sent first, without a word to those who watched.
#[test]
fn watches_are_not_set_before_everything_is_replayed() {
    for seed in 571..581 {
        let plan = Plan {
            voters: 3,
            observers: 1,
            weights: "",
            clients: 3,
            trouble_ms: 2760,
            network_ms_max: 1,
            disk_ms_max: 30,
            kept: 500,
            snapshot_every: 20,
            faults: vec![
                (60, Fault::Breaks { which: 973 }),
                (740, Fault::Pause { at: 2, for_ms: 1634 }),
                (940, Fault::Pause { at: 2, for_ms: 380 }),
            ],
        };
        World::with(seed, plan, false).run();
    }
}

/// An empty server joined an epoch of which its leader, having crashed, knew nothing any more. It went on voting as one
/// without anything, so the same leader was elected again, and turned away whoever had seen more than it: for ever, if there
/// was no quorum without that one.
#[test]
fn an_empty_server_that_has_joined_an_epoch_votes_for_it() {
    for seed in 1_025_850..1_025_870 {
        let crash = Fault::Crash { at: 1, kind: Crash::LosesUnsynced, down_ms: 53 };
        let plan = Plan {
            voters: 3,
            observers: 1,
            weights: "group.1=1:2:3\nweight.3=0\n",
            clients: 5,
            trouble_ms: 1713,
            network_ms_max: 5,
            disk_ms_max: 30,
            kept: 500,
            snapshot_every: 100,
            faults: vec![(60, crash)],
        };
        World::with(seed, plan, false).run();
    }
}

/// The checker's own: transactions that were never committed while their leader reigned, came to others with its snapshot, and
/// to everybody else with theirs. Nobody who had logged them ever showed them, so they were missed in what was shown.
#[test]
fn what_comes_with_snapshots_only_is_shown_too() {
    let plan = Plan {
        voters: 3,
        observers: 0,
        weights: "",
        clients: 5,
        trouble_ms: 4840,
        network_ms_max: 5,
        disk_ms_max: 30,
        kept: 0,
        snapshot_every: 20,
        faults: vec![
            (300, Fault::Breaks { which: 108 }),
            (600, Fault::Breaks { which: 497 }),
            (640, Fault::Cut { from: 0, to: 1, both: false, for_ms: 129 }),
            (680, Fault::Crash { at: 0, kind: Crash::KeepsUnsynced, down_ms: 198 }),
            (1360, Fault::Breaks { which: 482 }),
            (1640, Fault::Crash { at: 1, kind: Crash::LosesUnsynced, down_ms: 78 }),
            (
                1960,
                Fault::Crash {
                    at: 1,
                    kind: Crash::Scatters { seed: 16_214_183_757_971_931_193 },
                    down_ms: 41,
                },
            ),
            (2300, Fault::Breaks { which: 126 }),
            (2740, Fault::Cut { from: 1, to: 2, both: false, for_ms: 1372 }),
            (3740, Fault::DiskFull { at: 0, bytes: 270, for_ms: 1546 }),
            (3840, Fault::Breaks { which: 136 }),
            (3880, Fault::Crash { at: 2, kind: Crash::KeepsUnsynced, down_ms: 39 }),
            (3980, Fault::Breaks { which: 991 }),
            (4000, Fault::Crash { at: 1, kind: Crash::KeepsUnsynced, down_ms: 28 }),
            (4200, Fault::Breaks { which: 94 }),
            (4380, Fault::Crash { at: 0, kind: Crash::KeepsUnsynced, down_ms: 155 }),
            (4400, Fault::Breaks { which: 932 }),
            (
                4680,
                Fault::Crash {
                    at: 1,
                    kind: Crash::Scatters { seed: 13_462_251_183_937_478_857 },
                    down_ms: 54,
                },
            ),
        ],
    };
    World::with(1_117_559, plan, false).run();
}

/// The disk's own: files that were set aside never stayed there for good, and came back with the next failure of power. The
/// server fetched everything again, or did not start on that mixture.
#[test]
fn what_was_set_aside_does_not_come_back() {
    for seed in 5_000_697..5_000_700 {
        let plan = Plan {
            voters: 3,
            observers: 0,
            weights: "",
            clients: 2,
            trouble_ms: 4823,
            network_ms_max: 1,
            disk_ms_max: 5,
            kept: 3,
            snapshot_every: 100_000,
            faults: vec![
                (2400, Fault::LogRots { at: 0, place: 95, down_ms: 195 }),
                (3020, Fault::Crash { at: 0, kind: Crash::LosesUnsynced, down_ms: 132 }),
            ],
        };
        World::with(seed, plan, false).run();
    }
}
