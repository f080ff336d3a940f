//! Ensembles whose members change; more seeds of them with `SIM_MEMBERS`, see `seeds.rs`.

use std::ops::Range;

use zabd_sim::plan::{Members, Plan};
use zabd_sim::shrink::live;
use zabd_sim::world::Figures;

/// All worlds of these seeds.
fn live_all(seeds: Range<u64>, members: Members, word: &str) -> Figures {
    let mut figures = Figures::default();
    for seed in seeds {
        let lived = live(seed, &Plan::draw_with(members, seed));
        figures += lived.unwrap_or_else(|why| panic!("SIM_MEMBERS={word} SIM_SEED={seed} fails: {why}"));
    }
    figures
}

/// A lone server becomes three and five, and loses some again, by files and restarts.
#[test]
fn ensembles_that_grow_and_shrink_by_files_lose_nothing() {
    let figures = live_all(0..40, Members::ByFiles, "files");
    assert!(figures.reconfigurations > 80, "{figures}");
}

/// Members come, go and change their roles while everything else goes wrong.
#[test]
fn ensembles_that_change_by_requests_lose_nothing() {
    let figures = live_all(0..60, Members::ByRequests, "requests");
    assert!(figures.reconfigurations > 80, "{figures}");
}

/// A member that had heard of a change that came to nothing stayed outside for ever.
#[test]
fn who_has_heard_of_a_dead_change_comes_back() {
    live_all(9_016_427..9_016_428, Members::ByRequests, "requests");
}

/// A member left its role for a reconfiguration, left it once more in the same step, and logged behind a gap.
#[test]
fn who_leaves_in_the_middle_logs_nothing_more() {
    live_all(9_015_707..9_015_708, Members::ByRequests, "requests");
}
