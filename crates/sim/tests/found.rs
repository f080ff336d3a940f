//! What seeds have found, each as the smallest world that shows it.

use zabd_sim::plan::Plan;
use zabd_sim::world::World;

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
