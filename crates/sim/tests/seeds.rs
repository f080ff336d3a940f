//! Whole ensembles under seeds. `SIM_SEED=n` lives one seed's life aloud, `SIM_SEEDS=n` so many from `SIM_FROM` on.

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
        match lived {
            Ok((its_crashes, its_reigns, (its_shown, its_told))) => {
                crashes += its_crashes;
                reigns += its_reigns;
                shown += its_shown;
                told += its_told;
            }
            Err(panic) => {
                eprintln!("SIM_SEED={seed} fails");
                std::panic::resume_unwind(panic);
            }
        }
    }
    println!("{crashes} crashes, {reigns} reigns, {shown} transactions, {told} answers");
    assert!(crashes > 50 && reigns > 50 && told > 10_000, "the seeds show too little");
}
