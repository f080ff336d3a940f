//! What kind of world a seed makes: how large and how slow it is, and what goes wrong in it when.
//!
//! Everything that goes wrong is written down before the world begins, each with its end: so a failing world can be
//! lived again without one of them, and what is left when none can be spared is why it fails ([`crate::shrink`]).
//! A change of configuration will be one more kind of [`Fault`].

use std::fmt;

use zabd_storage::disk::Crash;

use crate::dice::Dice;

/// One thing that goes wrong. Servers are counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A server crashes, and starts again on what its disk kept.
    Crash {
        /// Which.
        at: usize,
        /// What the disk keeps.
        kind: Crash,
        /// For how long it is down.
        down_ms: i64,
    },
    /// A server's disk fails at the next operation: its process ends.
    DiskFails {
        /// Whose.
        at: usize,
        /// What it keeps.
        kind: Crash,
        /// For how long it is down.
        down_ms: i64,
    },
    /// A server's disk takes only so much more.
    DiskFull {
        /// Whose.
        at: usize,
        /// What still fits.
        bytes: usize,
        /// For how long.
        for_ms: i64,
    },
    /// A server crashes and comes back with an empty disk, if all other voters are there to make up for it.
    Emptied {
        /// Which.
        at: usize,
        /// For how long it is down.
        down_ms: i64,
    },
    /// The power fails: all servers crash at once.
    PowerFails {
        /// What the disks keep.
        kind: Crash,
        /// For how long they are down at most.
        down_ms: i64,
    },
    /// All voters but one come back with empty disks, and that one later, if it has all that was ever shown.
    OneIsLeft {
        /// Which.
        at: usize,
        /// For how long the others are down.
        down_ms: i64,
    },
    /// A server ends, and a bit of its newest snapshot is another when it comes back. If it does not start on that,
    /// somebody empties it, as its message says.
    Rots {
        /// Which.
        at: usize,
        /// Where in the file, in thousandths.
        place: usize,
        /// For how long it is down.
        down_ms: i64,
    },
    /// The same with one of its log files.
    LogRots {
        /// Which.
        at: usize,
        /// Where in all that they hold, in thousandths.
        place: usize,
        /// For how long it is down.
        down_ms: i64,
    },
    /// A server does nothing, and then everything at once.
    Pause {
        /// Which.
        at: usize,
        /// For how long.
        for_ms: i64,
    },
    /// A server's clock of the time of day jumps.
    ClockJumps {
        /// Whose.
        at: usize,
        /// How far, forwards or backwards.
        by_ms: i64,
    },
    /// One of the connections breaks.
    Breaks {
        /// Decides which.
        which: usize,
    },
    /// Somebody does not hear somebody else.
    Cut {
        /// Who is not heard.
        from: usize,
        /// By whom.
        to: usize,
        /// Whether the other is not heard either.
        both: bool,
        /// For how long.
        for_ms: i64,
    },
}

/// See the module's description.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Servers that vote.
    pub voters: usize,
    /// Servers that only learn.
    pub observers: usize,
    /// Who counts how much, as lines of a configuration; empty if everybody counts one.
    pub weights: &'static str,
    /// Clients.
    pub clients: usize,
    /// How long clients ask and things go wrong, in milliseconds of the world.
    pub trouble_ms: i64,
    /// A message takes from 0 to this, in milliseconds.
    pub network_ms_max: i64,
    /// A disk operation takes from 0 to this, in milliseconds.
    pub disk_ms_max: i64,
    /// How many of the newest transactions a start keeps in memory; more come from the log on disk.
    pub kept: usize,
    /// Records between two snapshots.
    pub snapshot_every: u64,
    /// What goes wrong, and when.
    pub faults: Vec<(i64, Fault)>,
}

/// How often something may go wrong.
const DECISION_MS: i64 = 20;

/// Weights and groups: of three and of five voters. A voter of weight 0 among them.
const WEIGHTS: [[&str; 2]; 2] = [
    ["group.1=1:2:3\nweight.3=0\n", "group.1=1:2:3\nweight.1=2\n"],
    ["group.1=1:2\ngroup.2=3:4\ngroup.3=5\n", "group.1=1:2:3:4:5\nweight.1=3\nweight.5=0\n"],
];

impl Plan {
    /// The seed's plan.
    pub fn draw(seed: u64) -> Self {
        let dice = &mut Dice::new(seed);
        let voters = *dice.pick(&[3, 3, 3, 5]);
        let is_weighted = dice.chance(150);
        let is_long = dice.chance(100);
        let mut plan = Self {
            voters,
            observers: dice.throw(2),
            weights: if is_weighted { dice.pick::<&str>(&WEIGHTS[voters / 5]) } else { "" },
            clients: 2 + dice.throw(4),
            trouble_ms: if is_long { dice.ms(5_000, 20_000) } else { dice.ms(1_500, 5_000) },
            network_ms_max: *dice.pick(&[1, 5, 20]),
            disk_ms_max: *dice.pick(&[1, 5, 30]),
            kept: *dice.pick(&[0, 3, 500]),
            snapshot_every: *dice.pick(&[20, 100, 100_000]),
            faults: Vec::new(),
        };
        if !dice.chance(80) {
            plan.draw_faults(if is_long { 1 } else { 4 }, dice);
        }
        plan
    }

    /// The same without anything that goes wrong.
    #[must_use]
    pub fn calm(self) -> Self {
        Self { faults: Vec::new(), ..self }
    }

    /// How many servers there are.
    pub fn servers(&self) -> usize {
        self.voters + self.observers
    }

    /// Short worlds are as full of trouble as long ones: what is found is found where things go wrong, and the time
    /// between them costs as much.
    fn draw_faults(&mut self, density: usize, dice: &mut Dice) {
        let servers = self.servers();
        let mut often = |most: usize| dice.throw(density * most + 1);
        let (crash, disk, rare, pause, breaks, cut) =
            (often(12), often(3), often(4), often(4), often(20), often(8));
        let (down_ms_max, cut_ms_max) = (*dice.pick(&[200, 1000]), *dice.pick(&[300, 1500]));
        let kinds = [Crash::KeepsUnsynced, Crash::LosesUnsynced, Crash::LosesUnsyncedData];
        for at_ms in (DECISION_MS..self.trouble_ms).step_by(DECISION_MS as usize) {
            let at = dice.throw(servers);
            let down_ms = dice.ms(20, down_ms_max);
            let kind = match dice.throw(6) {
                0..3 => Crash::KeepsUnsynced,
                3 => Crash::Scatters { seed: dice.number() },
                _ => *dice.pick(&kinds),
            };
            let mut add = |fault| self.faults.push((at_ms, fault));
            if dice.chance(crash) {
                add(Fault::Crash { at, kind, down_ms });
            }
            if dice.chance(disk) {
                match dice.throw(2) {
                    0 => add(Fault::DiskFails { at, kind, down_ms }),
                    _ => add(Fault::DiskFull { at, bytes: dice.throw(3000), for_ms: dice.ms(50, 3000) }),
                }
            }
            if dice.chance(rare) {
                match dice.throw(6) {
                    // A quorum by weight may have one server in common with another, and lives on its memory.
                    0 if self.weights.is_empty() => add(Fault::Emptied { at, down_ms }),
                    1 if self.weights.is_empty() => add(Fault::Rots { at, place: dice.throw(1000), down_ms }),
                    2 if self.weights.is_empty() => {
                        add(Fault::LogRots { at, place: dice.throw(1000), down_ms });
                    }
                    3 if self.weights.is_empty() => add(Fault::OneIsLeft { at, down_ms }),
                    4 => add(Fault::PowerFails { kind, down_ms }),
                    _ => add(Fault::ClockJumps { at, by_ms: dice.ms(-100_000, 100_000) }),
                }
            }
            if dice.chance(pause) {
                add(Fault::Pause { at, for_ms: dice.ms(50, 2500) });
            }
            if dice.chance(breaks) {
                add(Fault::Breaks { which: dice.throw(1000) });
            }
            if dice.chance(cut) {
                let (to, both) = (dice.throw(servers), dice.chance(500));
                add(Fault::Cut { from: at, to, both, for_ms: dice.ms(20, cut_ms_max) });
            }
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let without = Plan { faults: Vec::new(), ..self.clone() };
        writeln!(f, "{without:?}")?;
        self.faults.iter().try_for_each(|(at_ms, fault)| writeln!(f, "{at_ms:>6} {fault:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_world_is_drawn() {
        let plans: Vec<_> = (0..600).map(Plan::draw).collect();
        let faults = || plans.iter().flat_map(|plan| plan.faults.iter().map(|(_, fault)| fault));
        let count = |kind: &str| faults().filter(|fault| format!("{fault:?}").starts_with(kind)).count();
        for kind in [
            "Crash",
            "DiskFails",
            "DiskFull",
            "Emptied",
            "OneIsLeft",
            "PowerFails",
            "Rots",
            "LogRots",
            "Pause",
            "ClockJumps",
            "Breaks",
            "Cut",
        ] {
            assert!(count(kind) > 50, "{kind}: {}", count(kind));
        }
        assert!(
            plans.iter().any(|plan| plan.faults.is_empty())
                && plans.iter().any(|plan| !plan.weights.is_empty())
        );
        assert_eq!(format!("{}", Plan::draw(7)), format!("{}", Plan::draw(7)), "a seed is a plan");
    }
}
