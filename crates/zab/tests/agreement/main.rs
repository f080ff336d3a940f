//! Leaders and learners under every order of events that one seed can make, without a network, a disk or a clock.
//!
//! Elections are replaced by something worse: now and then somebody is told that it leads, if its history is
//! the newest in *some* quorum as it was a moment ago. So leaders of one epoch's beginning overlap, are stale,
//! and fail half-way, far more often than real elections let them. Disk operations take time, one behind the
//! other, and a crash loses those that have not happened. Links break at any packet. Servers become
//! voters, observers and strangers meanwhile.
//!
//! Watched after every step, from outside: commits are one sequence; a leader that serves has everything
//! that was ever committed; one leader per epoch; what a client could see was committed; commits come as a follower
//! of Java takes them; the files on disk are ones that a server of Java starts on.

#[cfg(feature = "mutations")]
mod mutations;
mod server;
mod world;

use world::{Tally, World};

fn run(seed: u64) -> Tally {
    let mut world = World::new(seed);
    for _ in 0..world.plan.steps {
        world.step();
    }
    world.heal();
    world.assert_all_equal();
    world.tally
}

/// `AGREEMENT_SEED=n` runs one seed and prints what happens; `AGREEMENT_SEEDS=n` so many from `AGREEMENT_FROM` on.
#[test]
fn leaders_and_learners_agree_whatever_happens() {
    #[expect(clippy::disallowed_methods, reason = "a test is started by a person")]
    let number = |name| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
    if let Some(seed) = number("AGREEMENT_SEED") {
        world::narrate();
        println!("{:?}", run(seed));
        return;
    }
    let mut all = Tally::default();
    let from = number("AGREEMENT_FROM").unwrap_or(0);
    for seed in from..from + number("AGREEMENT_SEEDS").unwrap_or(400) {
        match std::panic::catch_unwind(|| run(seed)) {
            Ok(tally) => all.add(&tally),
            Err(panic) => {
                eprintln!("failed with AGREEMENT_SEED={seed}");
                std::panic::resume_unwind(panic);
            }
        }
    }
    println!("{all:?}");
    let protocol = [all.reigns, all.crashes, all.from_disk, all.truncations, all.snapshots];
    let rarest = protocol.into_iter().chain([all.reconfigurations]).min();
    let is_enough = rarest > Some(50) && all.changes_of_leader > 20;
    assert!(is_enough, "the seeds do not show what they should: {all:?}");
}
