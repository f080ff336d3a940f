//! Whole ensembles under seeds. `SIM_SEED=n` lives one seed's life aloud, `SIM_SEEDS=n` so many from `SIM_FROM` on.
//!
//! A seed that fails is lived again with fewer and fewer faults; what is printed is the seed, what is left of its plan, and
//! the story of that.

use zabd_sim::plan::Plan;
use zabd_sim::shrink::{failure, shrink};
use zabd_sim::world::World;

#[expect(clippy::disallowed_methods, reason = "a test is started by a person")]
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

#[test]
fn ensembles_lose_nothing_and_agree_whatever_happens() {
    if let Some(seed) = number("SIM_SEED") {
        World::new(seed, true).run();
        return;
    }
    let (mut crashes, mut reigns, mut shown, mut told) = (0, 0, 0, 0);
    let from = number("SIM_FROM").unwrap_or(0);
    for seed in from..from + number("SIM_SEEDS").unwrap_or(60) {
        let lived = std::panic::catch_unwind(|| {
            let mut world = World::new(seed, false);
            world.run();
            (world.crashes, world.reigns, world.figures())
        });
        let Ok((its_crashes, its_reigns, (its_shown, its_told))) = lived else {
            tell_of(seed);
            panic!("SIM_SEED={seed} fails");
        };
        crashes += its_crashes;
        reigns += its_reigns;
        shown += its_shown;
        told += its_told;
    }
    println!("{crashes} crashes, {reigns} reigns, {shown} transactions, {told} answers");
    assert!(crashes > 50 && reigns > 50 && told > 10_000, "the seeds show too little");
}

/// The shortest story of a seed that fails.
fn tell_of(seed: u64) {
    let plan = Plan::draw(seed);
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    let fewest = shrink(seed, &plan);
    let why = failure(seed, &fewest);
    std::panic::set_hook(hook);
    println!("seed {seed} fails with\n{plan}\nand still with\n{fewest}\nas follows:");
    let _ = std::panic::catch_unwind(|| World::with(seed, fewest, true).run());
    println!("{}", why.unwrap_or_default());
}

/// Faults that do not matter go, those that do stay, and every life of the same plan is the same.
#[test]
fn a_world_repeats_itself() {
    for seed in [1, 2, 3] {
        let live = || {
            let mut world = World::new(seed, false);
            world.run();
            (world.crashes, world.reigns, world.figures())
        };
        assert_eq!(live(), live(), "seed {seed}");
    }
}
