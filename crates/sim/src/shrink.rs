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

/// A plan of which no fault can be spared, as far as so many lives show.
pub fn shrink(seed: u64, plan: &Plan) -> Plan {
    shrink_while(plan, |fewer| failure(seed, fewer).is_some())
}

/// The same for whatever fails: halves are left out first, single faults last.
fn shrink_while(plan: &Plan, fails: impl Fn(&Plan) -> bool) -> Plan {
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
            if fails(&fewer) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Fault;

    /// Wherever those that matter stand among those that do not.
    #[test]
    fn only_faults_that_matter_are_left() {
        let matters = |(_, fault): &&(i64, Fault)| matches!(fault, Fault::Pause { .. });
        for (first, second) in [(0, 99), (0, 1), (49, 50), (7, 70)] {
            let fault = |at: i64| {
                let is_one = at == first || at == second;
                let harmless = Fault::Breaks { which: 0 };
                (at, if is_one { Fault::Pause { at: 0, for_ms: 1 } } else { harmless })
            };
            let plan = Plan { faults: (0..100).map(fault).collect(), ..Plan::draw(0) };
            let left = shrink_while(&plan, |fewer| fewer.faults.iter().filter(matters).count() == 2);
            let times: Vec<_> = left.faults.iter().map(|(at_ms, _)| *at_ms).collect();
            assert_eq!(times, [first, second]);
        }
    }
}
