//! Whole ensembles under seeds.
//!
//! `SIM_SEEDS=n` lives so many from `SIM_FROM` on, over `SIM_THREADS` threads, and says how far it is. A seed that fails is
//! printed with its plan, and the others go on. In the end the first that failed is lived again with fewer and fewer
//! faults, and the story of what is left is told. `SIM_SEED=n` does the same for one seed, and tells its whole story first.
//! `SIM_HAND_OVERS=none` tells no leader to end: then seeds make what they made before any were told so.
//! `SIM_WATCHES=kept` lets clients tell each server of the watches that they had at the last one: other worlds again.
//! `SIM_MEMBERS=files` or `requests` draws worlds in which members change so; `mixed` does so for a quarter of the seeds each.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use zabd_sim::plan::{Members, Plan};
use zabd_sim::shrink::{failure, live, shrink};
use zabd_sim::world::{Figures, World};

#[expect(clippy::disallowed_methods, reason = "a test is started by a person")]
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// The seed's plan.
#[expect(clippy::disallowed_methods, reason = "a test is started by a person")]
fn draw(seed: u64) -> Plan {
    let members = match std::env::var("SIM_MEMBERS").as_deref() {
        Ok("files") => Members::ByFiles,
        Ok("requests") => Members::ByRequests,
        Ok("mixed") => {
            [Members::Stay, Members::ByFiles, Members::Stay, Members::ByRequests][(seed % 4) as usize]
        }
        Ok(other) => panic!("SIM_MEMBERS is files, requests or mixed, not {other}"),
        Err(_) => Members::Stay,
    };
    let plan = Plan::draw_with(members, seed);
    let plan = match std::env::var("SIM_WATCHES").as_deref() {
        Ok("kept") => plan.with_kept_watches(),
        Ok(other) => panic!("SIM_WATCHES is kept, not {other}"),
        Err(_) => plan,
    };
    if hands_over() { plan } else { plan.without_hand_overs() }
}

#[expect(clippy::disallowed_methods, reason = "a test is started by a person")]
fn hands_over() -> bool {
    match std::env::var("SIM_HAND_OVERS").as_deref() {
        Ok("none") => false,
        Ok(other) => panic!("SIM_HAND_OVERS is none, not {other}"),
        Err(_) => true,
    }
}

#[test]
fn ensembles_lose_nothing_and_agree_whatever_happens() {
    if let Some(seed) = number("SIM_SEED") {
        let lived = std::panic::catch_unwind(|| World::with(seed, draw(seed), true).run());
        if lived.is_err() {
            tell_of(seed);
        }
        assert!(lived.is_ok(), "SIM_SEED={seed} fails");
        return;
    }
    let run = Run::new(number("SIM_FROM").unwrap_or(0), number("SIM_SEEDS").unwrap_or(200));
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    std::thread::scope(|scope| {
        for _ in 0..number("SIM_THREADS").unwrap_or(2) {
            scope.spawn(|| run.work());
        }
    });
    std::panic::set_hook(hook);
    let Outcome { figures, mut failed, .. } = run.outcome.into_inner().expect("threads catch what panics");
    failed.sort_unstable();
    if let Some(first) = failed.first() {
        tell_of(*first);
    }
    assert!(failed.is_empty(), "SIM_SEED={failed:?} fail");
    let seeds = (run.end - run.from) as usize;
    let has_handed_over = !hands_over() || 0 < figures.hand_overs;
    let is_enough = seeds < 50 || figures.crashes > seeds && figures.reigns > seeds && has_handed_over;
    assert!(is_enough, "the seeds show too little");
}

/// Seeds that several threads share.
struct Run {
    from: u64,
    end: u64,
    next: AtomicU64,
    outcome: Mutex<Outcome>,
}

#[derive(Default)]
struct Outcome {
    lived: u64,
    figures: Figures,
    failed: Vec<u64>,
}

impl Run {
    fn new(from: u64, seeds: u64) -> Self {
        println!("SIM_FROM={from} SIM_SEEDS={seeds}");
        let outcome = Mutex::new(Outcome::default());
        Self { from, end: from + seeds, next: AtomicU64::new(from), outcome }
    }

    /// Lives one seed after the other, as long as there are any.
    fn work(&self) {
        loop {
            let seed = self.next.fetch_add(1, Ordering::Relaxed);
            if seed >= self.end {
                return;
            }
            let plan = draw(seed);
            let lived = live(seed, &plan);
            let mut outcome = self.outcome.lock().expect("threads catch what panics");
            outcome.lived += 1;
            match lived {
                Ok(figures) => outcome.figures += figures,
                Err(why) => {
                    outcome.failed.push(seed);
                    println!("SIM_SEED={seed} fails: {why}\n{plan}");
                }
            }
            let all = self.end - self.from;
            if outcome.lived.is_multiple_of(1000) || outcome.lived == all {
                let Outcome { lived, figures, failed } = &*outcome;
                println!("{lived} of {all} seeds: {figures}, {} failed", failed.len());
            }
        }
    }
}

/// The shortest story of a seed that fails.
fn tell_of(seed: u64) {
    let plan = draw(seed);
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    let fewest = shrink(seed, &plan);
    let why = failure(seed, &fewest);
    std::panic::set_hook(hook);
    println!("seed {seed} fails with\n{plan}\nand still with\n{fewest}\nas follows:");
    let _ = std::panic::catch_unwind(|| World::with(seed, fewest, true).run());
    println!("{}", why.unwrap_or_default());
}

/// Clients go from server to server, and tell each of the watches that they had.
#[test]
fn what_was_missed_on_the_way_is_heard() {
    for seed in 0..60 {
        let plan = Plan::draw(seed).with_kept_watches();
        live(seed, &plan).unwrap_or_else(|why| panic!("SIM_WATCHES=kept SIM_SEED={seed} fails: {why}"));
    }
}

/// Every life of a seed is the same.
#[test]
fn a_world_repeats_itself() {
    for seed in 1..=3 {
        let figures = || live(seed, &Plan::draw(seed)).expect("it is a seed that passes");
        assert_eq!(figures(), figures(), "seed {seed}");
    }
}
