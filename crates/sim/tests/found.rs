//! What seeds have found, each as the smallest world that shows it.

use std::ops::RangeInclusive;

use zabd_sim::plan::{Fault, Plan};
use zabd_sim::world::World;
use zabd_storage::disk::Crash;

/// Three voters to whom nothing happens, with fast disks and a fast network.
const PLAIN: Plan = Plan {
    voters: 3,
    observers: 0,
    strangers: 0,
    reconfig: false,
    weights: "",
    clients: 5,
    keeps_watches: false,
    trouble_ms: 4500,
    network_ms_max: 5,
    disk_ms_max: 1,
    kept: 500,
    snapshot_every: 100_000,
    faults: Vec::new(),
};

/// Worlds of this plan, one for each seed.
fn live(seeds: RangeInclusive<u64>, plan: &Plan) {
    seeds.for_each(|seed| World::with(seed, plan.clone(), false).run());
}

/// A follower recognised its client's write by what the client waited for first. If that was a sync, whose answer comes
/// when everything before it is committed, the write came back as a proposal sooner, nobody was found to have asked for it,
/// and the client waited until its session expired.
#[test]
fn a_write_behind_a_sync_is_answered() {
    for seed in 0..10 {
        let drawn = Plan::draw(seed).calm();
        let plan = Plan {
            voters: 3,
            observers: 0,
            weights: "",
            clients: 4,
            keeps_watches: false,
            trouble_ms: 4000,
            disk_ms_max: 30,
            ..drawn
        };
        live(seed..=seed, &Plan { strangers: 0, reconfig: false, ..plan });
    }
}

/// A member was given a leader's snapshot, which held transactions that it had never logged. Its older log stayed; when it
/// led, it found there where a learner's log ended, and sent that what came behind its snapshot, and nothing of the hole.
#[test]
fn a_leader_sends_no_log_with_a_hole() {
    let plan = Plan {
        observers: 1,
        snapshot_every: 20,
        faults: vec![
            (2380, Fault::Pause { at: 2, for_ms: 594 }),
            (2500, Fault::Pause { at: 3, for_ms: 1278 }),
            (3280, Fault::Pause { at: 1, for_ms: 2392 }),
        ],
        ..PLAIN
    };
    live(0..=9, &plan);
}

/// A learner took clients while it still replayed what its leader had sent first, without a word to those who watched.
#[test]
fn watches_are_not_set_before_everything_is_replayed() {
    let plan = Plan {
        observers: 1,
        clients: 3,
        trouble_ms: 2760,
        network_ms_max: 1,
        disk_ms_max: 30,
        snapshot_every: 20,
        faults: vec![
            (60, Fault::Breaks { which: 973 }),
            (740, Fault::Pause { at: 2, for_ms: 1634 }),
            (940, Fault::Pause { at: 2, for_ms: 380 }),
        ],
        ..PLAIN
    };
    live(571..=580, &plan);
}

/// An empty server joined an epoch of which its leader, having crashed, knew nothing any more. It went on voting as one
/// without anything, so the same leader was elected again, and turned away whoever had seen more than it: for ever, if there
/// was no quorum without that one.
#[test]
fn an_empty_server_that_has_joined_an_epoch_votes_for_it() {
    let crash = Fault::Crash { at: 1, kind: Crash::LosesUnsynced, down_ms: 53 };
    let plan = Plan {
        observers: 1,
        weights: "group.1=1:2:3\nweight.3=0\n",
        trouble_ms: 1713,
        disk_ms_max: 30,
        snapshot_every: 100,
        faults: vec![(60, crash)],
        ..PLAIN
    };
    live(1_025_850..=1_025_869, &plan);
}

/// The checker's own: transactions that were never committed while their leader reigned, came to others with its snapshot, and
/// to everybody else with theirs. Nobody who had logged them ever showed them, so they were missed in what was shown.
#[test]
fn what_comes_with_snapshots_only_is_shown_too() {
    let plan = Plan {
        trouble_ms: 4840,
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
        ..PLAIN
    };
    live(1_117_559..=1_117_559, &plan);
}

/// The disk's own: files that were set aside never stayed there for good, and came back with the next failure of power. The
/// server fetched everything again, or did not start on that mixture.
#[test]
fn what_was_set_aside_does_not_come_back() {
    let plan = Plan {
        clients: 2,
        trouble_ms: 4823,
        network_ms_max: 1,
        disk_ms_max: 5,
        kept: 3,
        faults: vec![
            (2400, Fault::LogRots { at: 0, place: 95, down_ms: 195 }),
            (3020, Fault::Crash { at: 0, kind: Crash::LosesUnsynced, down_ms: 132 }),
        ],
        ..PLAIN
    };
    live(5_000_697..=5_000_699, &plan);
}

/// A server whose role ends with a reconfiguration answers writes that are committed before it closes its connections. It
/// forgot the reads in front of them, so a client was told of a write while it waited for a read.
#[test]
fn reads_in_front_of_a_last_write_are_answered() {
    use zabd_sim::plan::Change::{Leaves, Observes, Votes};
    let plan = Plan {
        voters: 1,
        observers: 1,
        strangers: 4,
        reconfig: true,
        trouble_ms: 4517,
        network_ms_max: 20,
        kept: 0,
        faults: vec![
            (80, Fault::Crash { at: 4, kind: Crash::LosesUnsynced, down_ms: 36 }),
            (140, Fault::Reconfigure(Votes(4))),
            (160, Fault::Breaks { which: 160 }),
            (240, Fault::Reconfigure(Votes(4))),
            (480, Fault::Breaks { which: 319 }),
            (645, Fault::Reconfigure(Votes(1))),
            (880, Fault::Reconfigure(Leaves(2))),
            (880, Fault::Breaks { which: 462 }),
            (1120, Fault::DiskFull { at: 3, bytes: 2881, for_ms: 680 }),
            (
                1240,
                Fault::Crash {
                    at: 0,
                    kind: Crash::Scatters { seed: 4_245_493_325_463_962_957 },
                    down_ms: 80,
                },
            ),
            (1290, Fault::Reconfigure(Votes(2))),
            (1520, Fault::Reconfigure(Votes(2))),
            (1560, Fault::Reconfigure(Observes(3))),
        ],
        ..PLAIN
    };
    live(431..=431, &plan);
}

/// A disk was full while the others went on, and the power failed: what was never synced had a hole, and behind it stood a session that had
/// begun and gone on. The server starts with a loss, has no voice, and is brought up by the others.
#[test]
fn what_others_have_acknowledged_may_stand_behind_a_hole() {
    live(98_651_472..=98_651_472, &Plan::draw(98_651_472).without_hand_overs());
}
