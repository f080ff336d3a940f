//! Ensembles whose members change; more seeds of them with `SIM_MEMBERS`, see `seeds.rs`.

use std::ops::Range;

use zabd_sim::plan::{Change, Fault, Members, Plan};
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

/// The world of a seed that failed before any leader was told to end.
fn live_as_found(seed: u64, members: Members, word: &str) {
    let lived = live(seed, &Plan::draw_with(members, seed).without_hand_overs());
    lived.unwrap_or_else(|why| panic!("SIM_HAND_OVERS=none SIM_MEMBERS={word} SIM_SEED={seed} fails: {why}"));
}

/// A lone server becomes three and five, and loses some again, by files and restarts.
#[test]
fn ensembles_that_grow_and_shrink_by_files_lose_nothing() {
    let figures = live_all(0..40, Members::ByFiles, "files");
    assert!(figures.reconfigurations > 80, "{figures}");
}

/// An empty server ended when it had written the epoch that it joined, and not yet that it had all of its history. It voted for nobody then, and
/// nobody whose epoch was older could lead it.
#[test]
fn who_has_a_part_of_a_history_is_led_by_who_has_all_of_an_older_one() {
    live_as_found(98_400_513, Members::ByFiles, "files");
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
    live_as_found(9_016_427, Members::ByRequests, "requests");
}

/// A member left its role for a reconfiguration, left it once more in the same step, and logged behind a gap.
#[test]
fn who_leaves_in_the_middle_logs_nothing_more() {
    live_as_found(9_015_707, Members::ByRequests, "requests");
}

/// A server that was to become a voter was rounds ahead of the only one that there was, and voted for nobody. They never met in one
/// round, though they were enough.
#[test]
fn who_votes_for_nobody_is_followed_into_its_round() {
    live_as_found(40_157_959, Members::ByRequests, "requests");
    live_as_found(40_073_175, Members::ByRequests, "requests");
}

/// A lone voter fell when an observer that was to become one had joined its epoch, and it had not done so itself. It led nobody ever after.
#[test]
fn who_has_joined_an_epoch_before_its_leader_is_led_by_it_again() {
    let lived = live(108_061_207, &Plan::draw_with(Members::ByRequests, 108_061_207));
    lived.unwrap_or_else(|why| panic!("SIM_MEMBERS=requests SIM_SEED=108061207 fails: {why}"));
}

/// A client went elsewhere and came back to a server on which a request over its first connection had not arrived yet.
#[test]
fn what_was_left_behind_does_not_come_behind_what_was_asked_for_since() {
    live_as_found(40_169_499, Members::ByRequests, "requests");
}

/// The world's own: a server without a vote had applied the beginning of a session before its leader had, and the world ended there.
#[test]
fn a_world_ends_when_its_leader_has_what_others_have() {
    live_as_found(98_303_359, Members::ByRequests, "requests");
}

/// The world's own: somebody asked for a member to leave while the log of another rotted, and the leader had not missed that one
/// yet. The two members that were to be left were no quorum any more without what it had.
#[test]
fn a_disk_is_lost_when_the_leader_knows_that_its_server_is_missing() {
    let plan = Plan {
        voters: 3,
        observers: 0,
        strangers: 0,
        reconfig: true,
        weights: "",
        clients: 5,
        keeps_watches: false,
        trouble_ms: 2000,
        network_ms_max: 20,
        disk_ms_max: 5,
        kept: 500,
        snapshot_every: 100_000,
        faults: vec![
            (1000, Fault::Reconfigure(Change::Leaves(0))),
            (1030, Fault::LogRots { at: 1, place: 500, down_ms: 300 }),
        ],
    };
    for seed in 0..30 {
        live(seed, &plan).unwrap_or_else(|why| panic!("seed {seed} fails: {why}"));
    }
}
