//! The bugs of the disk, each found by trying everything that can go wrong at every operation.
//!
//! What finds them are the tests beside this file, none of which draws: a life of seventeen records, three snapshots and a
//! purge, stopped at each of its operations, with 27 crashes behind each; adoptions, cuts and the epochs of a start the same
//! way; a table of damage. Without a mutation they pass, in the same run.
#![cfg(feature = "mutations")]

use zabd_mutation::Mutation::{self, *};
use zabd_mutation::Suite;

#[path = "crash_points.rs"]
mod crash_points;
#[path = "damage_table.rs"]
mod damage_table;
#[path = "rebase.rs"]
mod rebase;

/// Each with what must find it.
const HUNTED: &[(Mutation, fn())] = &[
    (WriteErrorIgnored, crash_points::after_any_other_failure_the_log_is_closed),
    (SnapshotNotSynced, crash_points::every_operation_may_be_the_last),
    (SnapshotInPlace, crash_points::every_operation_may_be_the_last),
    (EpochNotSynced, rebase::epochs_that_are_settled_halfway_are_ones_to_start_on),
    (JoinedBeforePromised, rebase::epochs_that_are_settled_halfway_are_ones_to_start_on),
    (AdoptKeepsRecords, rebase::an_adoption_that_is_stopped_leaves_one_past_or_the_other),
    (AdoptPublishesFirst, rebase::an_adoption_that_is_stopped_leaves_one_past_or_the_other),
    (AdoptJoinsFirst, rebase::an_adoption_that_is_stopped_leaves_one_past_or_the_other),
    (CutKeepsSnapshots, rebase::a_log_is_cut_and_so_are_snapshots_behind_it),
    (CutTakesOneMore, rebase::a_cut_that_is_stopped_leaves_the_past_or_a_part_of_it),
    (TornTailStays, crash_points::every_operation_may_be_the_last),
    (LogHeaderNotSynced, crash_points::every_operation_may_be_the_last),
    (PurgeTakesNeededLog, crash_points::every_operation_may_be_the_last),
    (DamageTakenForEnd, damage_table::every_damage_has_its_outcome),
];

#[test]
fn known_bugs_of_the_disk_are_found() {
    let listed: Vec<_> = HUNTED.iter().map(|(mutation, _)| *mutation).collect();
    assert_eq!(listed, Suite::Disk.mutations(), "each is hunted, once");
    for (mutation, _) in HUNTED {
        zabd_mutation::assert_documented(*mutation, "one run");
    }
    for (_, test) in HUNTED {
        test();
    }
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    let survives = |(mutation, test): &&(Mutation, fn())| {
        std::panic::catch_unwind(|| zabd_mutation::with(*mutation, test)).is_ok()
    };
    let survivors: Vec<_> = HUNTED.iter().filter(survives).map(|(mutation, _)| mutation).collect();
    std::panic::set_hook(hook);
    assert!(survivors.is_empty(), "{survivors:?} survive");
}
