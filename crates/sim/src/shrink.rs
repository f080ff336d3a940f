//! From a failing world to the few things that must go wrong for it to fail.

use crate::plan::Plan;
use crate::world::{Figures, World};

/// How often a failing world is lived again at most.
const RUNS_MAX: usize = 400;

/// How much happens in a world, or what it dies of.
pub fn live(seed: u64, plan: &Plan) -> Result<Figures, String> {
    let lived = std::panic::catch_unwind(|| {
        let mut world = World::with(seed, plan.clone(), false);
        world.run();
        world.figures()
    });
    lived.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default()
    })
}

/// What the world dies of, if it does.
pub fn failure(seed: u64, plan: &Plan) -> Option<String> {
    live(seed, plan).err()
}

/// A plan of which no fault can be spared, as far as so many lives show: halves are left out first, single ones last.
pub fn shrink(seed: u64, plan: &Plan) -> Plan {
    let mut left = plan.clone();
    let mut runs = 0;
    let mut size = left.faults.len().div_ceil(2);
    while size > 0 {
        let mut from = 0;
        let before = left.faults.len();
        while from < left.faults.len() && runs < RUNS_MAX {
            let mut fewer = left.clone();
            fewer.faults.drain(from..(from + size).min(left.faults.len()));
            runs += 1;
            if failure(seed, &fewer).is_some() {
                left = fewer;
            } else {
                from += size;
            }
        }
        if size == 1 && (left.faults.len() == before || runs >= RUNS_MAX) {
            break;
        }
        size = (size / 2).max(1);
    }
    left
}
