//! The bugs that whole ensembles must find, and within how many seeds, from 0 on.
//!
//! Most are found by the worlds that [`Plan::draw`] makes. Where a rare order of events is needed, a plan of its own makes
//! that likely. Each seed that finds a mutation is lived once more without it, and then nothing may be wrong.
#![cfg(feature = "mutations")]

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use zabd_mutation::Mutation::{self, *};
use zabd_mutation::Suite;
use zabd_sim::plan::{Change, Fault, Members, Plan};
use zabd_sim::shrink::failure;
use zabd_storage::disk::Crash;

/// One mutation, the number of seeds within which it must be found, and what they make.
type Hunt = (Mutation, u64, fn(u64) -> Plan);

const HUNTED: &[Hunt] = &[
    (SnapshotMislabelled, 20, replaced),
    (EmptyMajorityElected, 100, Plan::draw),
    (LargerIdWins, 100, Plan::draw),
    (LeaderStaysWithoutQuorum, 100, Plan::draw),
    (VoteBeforeSettled, 100, Plan::draw),
    (EventLost, 100, Plan::draw),
    (SessionExpiredTwice, 100, Plan::draw),
    (OwnerCheckSkipped, 500, Plan::draw),
    (ClosingSessionAccepted, 100, Plan::draw),
    (SessionsForgotten, 100, Plan::draw),
    (ExpiryChecksOwner, 100, Plan::draw),
    (TouchesIgnored, 20, calm),
    (SyncAnsweredLocally, 20, calm),
    (ClientAheadAccepted, 100, without_hand_overs),
    (ReadOvertakesWrite, 100, Plan::draw),
    (EphemeralsStay, 100, Plan::draw),
    (CversionOffByOne, 100, Plan::draw),
    (MultiNotAtomic, 100, Plan::draw),
    (AnotherReasonTold, 20, Plan::draw),
    (CulpritMisplaced, 20, Plan::draw),
    (MissedChangesForgotten, 20, with_kept_watches),
    (DigestIgnored, 100, Plan::draw),
    (LogNotSynced, 100, Plan::draw),
    (SnapshotNamedAhead, 100, Plan::draw),
    (SnapshotWithoutSessions, 100, Plan::draw),
    (SnapshotNotFrozen, 100, Plan::draw),
    (DamageForgotten, 20, replaced),
    (EpochTestifies, 20, left_with_epochs),
    (PartNotMarked, 400, left_with_nothing),
    (PartMarkedLate, 100, left_with_nothing),
    (EarlierChangeForgotten, 20, changing),
    (LoggedByPosition, 300, passed),
    (ListsForgotten, 200, rolling),
    (LostLogsUnnoticed, 100, left_with_snapshots),
    (AnswersWhileRetiring, 100, Plan::draw),
    (SessionsEndedByNewLeader, 20, Plan::draw),
    (WeightsIgnored, 100, Plan::draw),
    (SilentLeaderKept, 100, Plan::draw),
];

/// Clients tell each server of the watches that they had at the last one.
fn with_kept_watches(seed: u64) -> Plan {
    Plan::draw(seed).with_kept_watches()
}

/// Leaders end in no other way than by a mishap: whoever a client goes to next is behind what it has seen more often.
fn without_hand_overs(seed: u64) -> Plan {
    Plan::draw(seed).without_hand_overs()
}

/// Members by files, which are changed one server after the other.
fn rolling(seed: u64) -> Plan {
    let mut plan = Plan::draw_with(Members::ByFiles, seed);
    for (_, fault) in &mut plan.faults {
        if let Fault::Grows { rolling, .. } | Fault::Shrinks { rolling, .. } | Fault::Replaces { rolling } =
            fault
        {
            *rolling = true;
        }
    }
    plan
}

/// Nothing goes wrong for long enough that a session would expire of which nobody told the leader. Disks are slower than the
/// network, so that learners show later what their leader has answered.
fn calm(seed: u64) -> Plan {
    Plan { clients: 5, trouble_ms: 15_000, network_ms_max: 5, disk_ms_max: 30, ..Plan::draw(seed) }.calm()
}

/// One server after the other loses its disk, is given a leader's snapshot, which is the only one that it has, and finds
/// that damaged. What is committed takes its time to be applied, and leaders have their history on disk only.
fn replaced(seed: u64) -> Plan {
    let plan =
        Plan { voters: 3, weights: "", clients: 5, trouble_ms: 8000, network_ms_max: 20, ..Plan::draw(seed) };
    let mut faults = vec![(400, Fault::PowerFails { kind: Crash::KeepsUnsynced, down_ms: 50 })];
    for (turn, at_ms) in (1500..plan.trouble_ms).step_by(1600).enumerate() {
        let (at, place) = (turn % 3, seed as usize * 97 % 1000);
        faults.push((at_ms, Fault::Emptied { at, keeps_epochs: false, down_ms: 50 }));
        faults.push((at_ms + 800, Fault::Rots { at, place, down_ms: 50 }));
    }
    Plan { disk_ms_max: 5, kept: 0, snapshot_every: 100_000, faults, ..plan }
}

/// Two of three servers lose their data, and get it back from the third. While that is on its way, all crash, and the third is
/// away for longer.
fn left_alone(seed: u64, keeps_epochs: bool) -> Plan {
    let plan =
        Plan { voters: 3, observers: 0, weights: "", clients: 5, trouble_ms: 5000, ..Plan::draw(seed) };
    let left = seed as usize % 3;
    let mut faults = vec![(1500, Fault::OneIsLeft { at: left, keeps_epochs, down_ms: 200 })];
    // The third is there from 2100 on.
    let crashes_at_ms = 2100 + seed as i64 * 37 % 80;
    for at in 0..3 {
        let down_ms = if at == left { 2000 } else { 50 };
        faults.push((crashes_at_ms, Fault::Crash { at, kind: Crash::KeepsUnsynced, down_ms }));
    }
    Plan { network_ms_max: 5, disk_ms_max: 30, kept: 500, snapshot_every: 100_000, faults, ..plan }
}

fn left_with_epochs(seed: u64) -> Plan {
    left_alone(seed, true)
}

/// With an epoch that was promised before, they would be given a snapshot, of which there is no part.
fn left_with_nothing(seed: u64) -> Plan {
    left_alone(seed, false)
}

/// Of each server in turn, the disk of the logs is replaced; what is left of a history is a snapshot.
fn left_with_snapshots(seed: u64) -> Plan {
    let plan =
        Plan { voters: 3, observers: 0, weights: "", clients: 5, trouble_ms: 5000, ..Plan::draw(seed) };
    let replaced =
        |turn: usize| (1500 + 1000 * turn as i64, Fault::LogDiskReplaced { at: turn, down_ms: 50 });
    Plan {
        network_ms_max: 5,
        disk_ms_max: 5,
        snapshot_every: 20,
        faults: (0..3).map(replaced).collect(),
        ..plan
    }
}

/// Members change twice while one server is away, and it crashes again while what it lacks is on its way.
fn changing(seed: u64) -> Plan {
    let plan =
        Plan { voters: 3, observers: 0, strangers: 1, reconfig: true, weights: "", ..Plan::draw(seed) };
    let crash = |down_ms| Fault::Crash { at: 2, kind: Crash::KeepsUnsynced, down_ms };
    let mut faults = Vec::new();
    for turn in 0..5 {
        let begin_ms = 800 + 1200 * turn;
        let changes = [Change::Votes(3), Change::Leaves(3)].map(Fault::Reconfigure);
        faults.extend([(begin_ms, crash(600))]);
        faults.extend((1..).map(|step| begin_ms + 200 * step).zip(changes));
        faults.push((begin_ms + 620 + (seed as i64 * 37 + turn * 61) % 150, crash(50)));
    }
    Plan {
        clients: 5,
        trouble_ms: 7000,
        network_ms_max: 5,
        disk_ms_max: 30,
        snapshot_every: 100_000,
        kept: 500,
        faults,
        ..plan
    }
}

/// Members change while one server after the other is cut off, and leads at first. What it proposes there comes to nothing. When it comes
/// back it is given a snapshot, crashes when that has just become its base, and lacks another change when it is started again.
fn passed(seed: u64) -> Plan {
    let plan =
        Plan { voters: 5, observers: 0, strangers: 0, reconfig: true, weights: "", ..Plan::draw(seed) };
    let mut faults = Vec::new();
    for turn in 0..5 {
        let begin_ms = 800 + 1500 * turn;
        let at = 4 - turn as usize % 2;
        let others = (0..5).filter(|other| *other != at);
        faults.extend(others.map(|to| (begin_ms, Fault::Cut { from: at, to, both: true, for_ms: 600 })));
        let changes = [Change::Observes(0), Change::Votes(0), Change::Observes(0), Change::Votes(0)];
        faults.extend(changes.map(|change| (begin_ms + 10, Fault::Reconfigure(change))));
        let crash = Fault::Crash { at, kind: Crash::KeepsUnsynced, down_ms: 300 };
        faults.push((begin_ms + 620 + (seed as i64 * 37 + turn * 61) % 250, crash));
        let later = [Change::Observes(1), Change::Votes(1)].map(Fault::Reconfigure);
        faults.extend((0..).map(|step| begin_ms + 880 + 60 * step).zip(later));
    }
    Plan {
        clients: 5,
        trouble_ms: 8500,
        network_ms_max: 5,
        disk_ms_max: 30,
        snapshot_every: 100_000,
        kept: 500,
        faults,
        ..plan
    }
}

/// The first seed that finds it, and what is wrong there.
fn hunt(&(mutation, seeds, plan): &Hunt) -> Option<(u64, String)> {
    let dies_of = |seed| zabd_mutation::with(mutation, || failure(seed, &plan(seed)));
    (0..seeds).find_map(|seed| dies_of(seed).map(|why| (seed, why)))
}

#[test]
fn known_bugs_of_ensembles_are_found() {
    let listed: Vec<_> = HUNTED.iter().map(|(mutation, ..)| *mutation).collect();
    assert_eq!(listed, Suite::Ensembles.mutations(), "each is hunted, once");
    for (mutation, seeds, _) in HUNTED {
        zabd_mutation::assert_documented(*mutation, &format!("{seeds} seeds"));
    }
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(hunted) = HUNTED.get(next.fetch_add(1, Ordering::Relaxed)) {
            let (mutation, seeds, plan) = hunted;
            let what = match hunt(hunted) {
                None => Some(format!("{mutation:?} survives {seeds} seeds")),
                Some((seed, why)) => {
                    println!("{mutation:?}: seed {seed}: {}", why.lines().next().unwrap_or_default());
                    failure(seed, &plan(seed))
                        .map(|why| format!("seed {seed} fails without {mutation:?}: {why}"))
                }
            };
            wrong.lock().expect("what panics is caught").extend(what);
        }
    };
    std::thread::scope(|scope| (0..2).for_each(|_| drop(scope.spawn(work))));
    std::panic::set_hook(hook);
    let wrong = wrong.into_inner().expect("what panics is caught");
    assert!(wrong.is_empty(), "{wrong:#?}");
}
