//! A world with many faults that fails for one of them shrinks to that one.
#![cfg(feature = "mutations")]

use zabd_mutation::Mutation;
use zabd_sim::plan::{Fault, Plan};
use zabd_sim::shrink::{failure, shrink};
use zabd_storage::disk::Crash;

/// A new leader that knows no session sends everybody away from sessions which do not end. So the only fault that matters
/// is that which brings a new leader.
#[test]
fn only_the_fault_that_matters_is_left() {
    let seed = 1;
    let crash = (1500, Fault::Crash { at: 2, kind: Crash::KeepsUnsynced, down_ms: 500 });
    let harmless =
        |at_ms: i64| (at_ms, Fault::ClockJumps { at: (at_ms / 50 % 3) as usize, by_ms: at_ms % 90 - 45 });
    let mut faults: Vec<_> = (500..2500).step_by(50).map(harmless).collect();
    faults.insert(20, crash);
    let plan = Plan {
        voters: 3,
        observers: 0,
        strangers: 0,
        reconfig: false,
        weights: "",
        clients: 3,
        keeps_watches: false,
        trouble_ms: 3000,
        faults,
        ..Plan::draw(seed)
    };
    assert_eq!(failure(seed, &plan), None, "without the bug nothing is wrong");
    let left = zabd_mutation::with(Mutation::SessionsForgotten, || shrink(seed, &plan));
    assert_eq!(left.faults, [crash]);
}
