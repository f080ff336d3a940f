//! The bugs that agreement alone must find, and within how many seeds, from 0 on.
//!
//! A mutation that survives shows a hole: something does not go wrong often enough here, or nobody looks. The
//! numbers are what it took when they were written, with room for other dice.

use zabd_mutation::Mutation::{self, *};
use zabd_mutation::Suite;

/// Each with the number of seeds within which it must be found.
const HUNTED: &[(Mutation, u64)] = &[
    (AckBeforeSync, 100),
    (LeaderCountsUnsynced, 100),
    (CommitWithoutQuorum, 100),
    (ReignWithoutQuorum, 100),
    (NewLeaderAckedEarly, 500),
    (EpochWrittenEarly, 100),
    (EpochWrittenLate, 100),
    (PromiseNotWritten, 100),
    (ProposalShown, 100),
    (TruncSkipped, 100),
    (NewLeaderBeforeSnapshot, 100),
    (UpToDateBeforeQuorum, 1500),
    (LongerHistoryLed, 1000),
    (DivergedTakenForPrefix, 100),
    (DifferenceWithGap, 100),
    (JoiningForgotten, 100),
    (ProposalsBeforeUpToDateDropped, 100),
    (ChangedByOneQuorum, 1000),
    (KnownCommitsTold, 100),
    (UpToDateBeforeCommit, 4000),
];

#[test]
fn known_bugs_of_agreement_are_found() {
    let listed: Vec<_> = HUNTED.iter().map(|(mutation, _)| *mutation).collect();
    assert_eq!(listed, Suite::Agreement.mutations(), "each is hunted, once");
    for (mutation, seeds) in HUNTED {
        zabd_mutation::assert_documented(*mutation, &format!("{seeds} seeds"));
    }
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    let found = HUNTED.iter().map(|(mutation, most)| (*mutation, hunt(*mutation, *most))).collect::<Vec<_>>();
    std::panic::set_hook(hook);
    for (mutation, found) in &found {
        println!("{mutation:?}: {found:?}");
    }
    let missed: Vec<_> = found.iter().filter(|(_, found)| found.is_err()).collect();
    assert!(missed.is_empty(), "{missed:?}");
}

/// The first seed that finds it. Without it that seed must pass: what fails by itself finds nothing.
fn hunt(mutation: Mutation, most: u64) -> Result<u64, String> {
    let fails = |seed: &u64| std::panic::catch_unwind(|| super::run(*seed)).is_err();
    let found = (0..most).find(|seed| zabd_mutation::with(mutation, || fails(seed)));
    let found = found.ok_or("it survives")?;
    if fails(&found) { Err(format!("AGREEMENT_SEED={found} fails without it")) } else { Ok(found) }
}
