//! The bugs that elections alone must find: a story ends otherwise than it is told.

use zabd_mutation::Mutation::{self, *};
use zabd_mutation::Suite;

use crate::script::stories_end_as_they_are_told;

const HUNTED: &[Mutation] = &[LeaderClaimBelieved];

#[test]
fn known_bugs_of_elections_are_found() {
    assert_eq!(HUNTED, Suite::Election.mutations(), "each is hunted, once");
    for mutation in HUNTED {
        zabd_mutation::assert_documented(*mutation, "one run");
    }
    stories_end_as_they_are_told();
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    let survives = |mutation: &&Mutation| {
        std::panic::catch_unwind(|| zabd_mutation::with(**mutation, stories_end_as_they_are_told)).is_ok()
    };
    let survivors: Vec<_> = HUNTED.iter().filter(survives).collect();
    std::panic::set_hook(hook);
    assert!(survivors.is_empty(), "{survivors:?} survive");
}
