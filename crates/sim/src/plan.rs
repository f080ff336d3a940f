//! What kind of world a seed makes: how large and how slow it is, and what goes wrong in it when.
//!
//! Everything that goes wrong is written down before the world begins, each with its end: so a failing world can be
//! lived again without one of them, and what is left when none can be spared is why it fails ([`crate::shrink`]).
//! Other members are one more kind of [`Fault`], in worlds that are drawn for it ([`Members`]).

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
    /// A server crashes and comes back with an empty disk, if all other voters are there to make up for it. Where members are
    /// changed by asking, they must be there when it comes back, too, and not be about to change.
    Emptied {
        /// Which.
        at: usize,
        /// Whether the epochs stand on another disk, and what it has promised and joined stays.
        keeps_epochs: bool,
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
        /// As there, of each of the others.
        keeps_epochs: bool,
        /// For how long the others are down.
        down_ms: i64,
    },
    /// In the same way, a bit of its newest snapshot is another when it comes back. If it does not start on that, somebody
    /// empties it, as its message says.
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
    /// The same, and the disk of its logs is another one, and empty.
    LogDiskReplaced {
        /// Whose.
        at: usize,
        /// For how long it is down.
        down_ms: i64,
    },
    /// Whoever leads is told to end: it brings a quorum level with itself and lets go, or tries for as long as a server does. Its
    /// process is gone then, and starts again.
    HandsOver {
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
    /// Somebody asks for other members.
    Reconfigure(Change),
    /// Where members cannot be changed by asking: so many new servers are written into everybody's file.
    Grows {
        /// One, or two: then the old and the new voters might decide apart.
        by: usize,
        /// Whether one is restarted after the other, or all are stopped first.
        rolling: bool,
    },
    /// The last of them are stopped, and stand in no file any more.
    Shrinks {
        /// So many, but never half of them.
        by: usize,
        /// As there.
        rolling: bool,
    },
    /// Another one comes in the place of the first.
    Replaces {
        /// As there.
        rolling: bool,
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

/// What members somebody asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// This server is to vote, whatever it was before.
    Votes(usize),
    /// It is to learn only.
    Observes(usize),
    /// It is to be no member.
    Leaves(usize),
    /// The first so many are to vote with these weights, and nobody else is to be a member.
    Weighs {
        /// How many.
        voters: usize,
        /// As in a plan.
        weights: &'static str,
    },
}

impl Change {
    /// About this server, or about all of them.
    fn draw(at: usize, servers: usize, is_weighted: bool, dice: &mut Dice) -> Self {
        match dice.throw(10) {
            0..7 if is_weighted => {
                let voters = if servers < 5 { 3 } else { *dice.pick(&[3, 5]) };
                let [some, others] = WEIGHTS[voters / 5];
                Self::Weighs { voters, weights: dice.pick::<&str>(&[some, others, ""]) }
            }
            0..5 => Self::Votes(at),
            5 | 6 => Self::Observes(at),
            _ => Self::Leaves(at),
        }
    }
}

/// Whether a world has other members in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Members {
    /// They stay.
    Stay,
    /// One server becomes three, five, and fewer, by files and restarts.
    ByFiles,
    /// They are changed by asking for it.
    ByRequests,
}

/// See the module's description.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Servers that vote.
    pub voters: usize,
    /// Servers that only learn.
    pub observers: usize,
    /// Servers that are no members at first: if members can be changed, they run, and take themselves for observers.
    pub strangers: usize,
    /// Whether members can be changed by asking.
    pub reconfig: bool,
    /// Who counts how much, as lines of a configuration; empty if everybody counts one.
    pub weights: &'static str,
    /// Clients.
    pub clients: usize,
    /// Whether they tell the next server of the watches that they have left at the last one.
    pub keeps_watches: bool,
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

/// Leaders are told to end by dice of their own: but for them, a seed makes the world that it made before any were.
const HAND_OVER_DICE: u64 = 0x6861_6e64_206f_7665;

/// Weights and groups: of three and of five voters. A voter of weight 0 among them.
const WEIGHTS: [[&str; 2]; 2] = [
    ["group.1=1:2:3\nweight.3=0\n", "group.1=1:2:3\nweight.1=2\n"],
    ["group.1=1:2\ngroup.2=3:4\ngroup.3=5\n", "group.1=1:2:3:4:5\nweight.1=3\nweight.5=0\n"],
];

impl Plan {
    /// The seed's plan, of a world whose members stay.
    pub fn draw(seed: u64) -> Self {
        Self::draw_with(Members::Stay, seed)
    }

    /// The seed's plan.
    pub fn draw_with(members: Members, seed: u64) -> Self {
        let dice = &mut Dice::new(seed);
        let reconfig = members == Members::ByRequests;
        let grows = members == Members::ByFiles || reconfig && dice.chance(300);
        let voters = if grows { 1 } else { *dice.pick(&[3, 3, 3, 5]) };
        let is_weighted = !grows && dice.chance(150);
        let is_long = dice.chance(100);
        let mut plan = Self {
            voters,
            // One that learns has data which is worth no vote.
            observers: if grows && !reconfig { 0 } else { dice.throw(2) },
            strangers: match members {
                Members::Stay => 0,
                _ if grows => 4,
                _ => dice.throw(3),
            },
            reconfig,
            weights: if is_weighted { dice.pick::<&str>(&WEIGHTS[voters / 5]) } else { "" },
            clients: 2 + dice.throw(4),
            trouble_ms: if is_long { dice.ms(5_000, 20_000) } else { dice.ms(1_500, 5_000) },
            network_ms_max: *dice.pick(&[1, 5, 20]),
            disk_ms_max: *dice.pick(&[1, 5, 30]),
            kept: *dice.pick(&[0, 3, 500]),
            keeps_watches: false,
            snapshot_every: *dice.pick(&[20, 100, 100_000]),
            faults: Vec::new(),
        };
        let density = if is_long { 1 } else { 4 };
        let is_troubled = !dice.chance(80);
        if is_troubled {
            plan.draw_faults(density, dice);
        }
        if grows {
            let changes = if reconfig { grow_and_move() } else { grow_and_shrink(dice) };
            let step_ms = plan.trouble_ms / (changes.len() as i64 + 1);
            plan.faults.extend((1..).map(|step| step * step_ms).zip(changes));
            plan.faults.sort_by_key(|(at_ms, _)| *at_ms);
        }
        if is_troubled {
            plan.draw_hand_overs(density, &mut Dice::new(seed ^ HAND_OVER_DICE));
        }
        plan
    }

    /// The same with leaders that are never told to end: what a seed made before any were.
    #[must_use]
    pub fn without_hand_overs(mut self) -> Self {
        self.faults.retain(|(_, fault)| !matches!(fault, Fault::HandsOver { .. }));
        self
    }

    /// The same with clients that keep their watches when they go to another server. They ask for that in between, so it is another world.
    #[must_use]
    pub fn with_kept_watches(self) -> Self {
        Self { keeps_watches: true, ..self }
    }

    /// The same without anything that goes wrong.
    #[must_use]
    pub fn calm(self) -> Self {
        Self { faults: Vec::new(), ..self }
    }

    /// How many servers there are.
    pub fn servers(&self) -> usize {
        self.voters + self.observers + self.strangers
    }

    /// Short worlds are as full of trouble as long ones: what is found is found where things go wrong, and the time
    /// between them costs as much.
    fn draw_faults(&mut self, density: usize, dice: &mut Dice) {
        let servers = self.servers();
        let mut often = |most: usize| dice.throw(density * most + 1);
        let (crash, disk, rare, pause, breaks, cut) =
            (often(12), often(3), often(4), often(4), often(20), often(8));
        let change = if self.reconfig { often(6) } else { 0 };
        let (down_ms_max, cut_ms_max) = (*dice.pick(&[200, 1000]), *dice.pick(&[300, 1500]));
        let kinds = [Crash::KeepsUnsynced, Crash::LosesUnsynced, Crash::LosesUnsyncedData];
        // Without a throw of its own, so that the seeds that are known make what they always made.
        let keeps = |down_ms: i64| down_ms % 2 == 0;
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
                    0 if self.weights.is_empty() => {
                        add(Fault::Emptied { at, keeps_epochs: keeps(down_ms), down_ms });
                    }
                    1 if self.weights.is_empty() => add(Fault::Rots { at, place: dice.throw(1000), down_ms }),
                    2 if self.weights.is_empty() => {
                        // As above.
                        match dice.throw(1000) {
                            place @ 0..600 => add(Fault::LogRots { at, place: place * 5 / 3, down_ms }),
                            _ => add(Fault::LogDiskReplaced { at, down_ms }),
                        }
                    }
                    3 if self.weights.is_empty() => {
                        add(Fault::OneIsLeft { at, keeps_epochs: keeps(down_ms), down_ms });
                    }
                    4 => add(Fault::PowerFails { kind, down_ms }),
                    _ => add(Fault::ClockJumps { at, by_ms: dice.ms(-100_000, 100_000) }),
                }
            }
            if self.reconfig && dice.chance(change) {
                add(Fault::Reconfigure(Change::draw(at, servers, !self.weights.is_empty(), dice)));
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

impl Plan {
    /// As if there were a restart of everybody now and then, by hand.
    fn draw_hand_overs(&mut self, density: usize, dice: &mut Dice) {
        let often = dice.throw(density * 5 + 1);
        let down_ms_max = *dice.pick(&[200, 1000]);
        for at_ms in (DECISION_MS..self.trouble_ms).step_by(DECISION_MS as usize) {
            if dice.chance(often) {
                self.faults.push((at_ms, Fault::HandsOver { down_ms: dice.ms(20, down_ms_max) }));
            }
        }
        self.faults.sort_by_key(|(at_ms, _)| *at_ms);
    }
}

/// One server becomes three, five, and another three.
fn grow_and_move() -> Vec<Fault> {
    use Change::{Leaves, Votes};
    [Votes(1), Votes(2), Votes(3), Votes(4), Leaves(0), Leaves(2)].map(Fault::Reconfigure).to_vec()
}

/// The same by files, and back again, on disks that were away.
fn grow_and_shrink(dice: &mut Dice) -> Vec<Fault> {
    let steps = *dice.pick::<&[usize]>(&[&[2, 2], &[1, 1, 2], &[2, 1, 1]]);
    let mut changes: Vec<_> =
        steps.iter().map(|by| Fault::Grows { by: *by, rolling: dice.chance(500) }).collect();
    changes.extend((0..2).map(|_| Fault::Shrinks { by: 1 + dice.throw(2), rolling: dice.chance(500) }));
    changes.insert(1, Fault::Replaces { rolling: dice.chance(500) });
    changes.push(Fault::Replaces { rolling: dice.chance(500) });
    changes.push(Fault::Grows { by: 2, rolling: dice.chance(500) });
    changes
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
        let all = [Members::Stay, Members::ByFiles, Members::ByRequests];
        let plans: Vec<_> =
            all.iter().flat_map(|members| (0..400).map(|seed| Plan::draw_with(*members, seed))).collect();
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
            "LogDiskReplaced",
            "Reconfigure",
            "Grows",
            "Shrinks",
            "Replaces",
            "HandsOver",
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

    /// Leaders that are told to end came later than many seeds of which tests and notes speak.
    #[test]
    fn without_hand_overs_a_seed_is_the_plan_that_it_was_before_there_were_any() {
        let all = [Members::Stay, Members::ByFiles, Members::ByRequests];
        let plans = all.iter().flat_map(|members| (0..50).map(|seed| Plan::draw_with(*members, seed)));
        let texts: String = plans.map(|plan| plan.without_hand_overs().to_string()).collect();
        // That watches are kept came later still.
        let texts = texts.replace(" keeps_watches: false,", "");
        // FNV-1a.
        let sum = |sum: u64, byte: u8| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        assert_eq!(texts.bytes().fold(0xcbf2_9ce4_8422_2325, sum), 0x1e35_7768_7d26_505e);
    }
}
