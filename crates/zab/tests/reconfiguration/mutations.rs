//! The bugs that stories of members alone must find, each in one of them.

use zabd_mutation::Mutation::{self, *};
use zabd_mutation::Suite;

use crate::noted::nobody_leads_the_old_members_beside_the_new_ones;

const HUNTED: &[(Mutation, fn())] = &[(NotedChangeUnsaid, nobody_leads_the_old_members_beside_the_new_ones)];

#[test]
fn known_bugs_of_reconfigurations_are_found() {
    let listed: Vec<_> = HUNTED.iter().map(|(mutation, _)| *mutation).collect();
    assert_eq!(listed, Suite::Reconfiguration.mutations(), "each is hunted, once");
    for (mutation, story) in HUNTED {
        zabd_mutation::assert_documented(*mutation, "one run");
        story();
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| ()));
        let is_found = std::panic::catch_unwind(|| zabd_mutation::with(*mutation, *story)).is_err();
        std::panic::set_hook(hook);
        assert!(is_found, "{mutation:?} survives");
    }
}
