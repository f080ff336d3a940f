//! What kind of world a seed makes: how large, how slow, and what goes wrong in it how often.

use crate::dice::Dice;

/// See the module's description. Chances are per thousand and per decision, one each [`Plan::DECISION_MS`].
#[derive(Clone, Debug)]
pub struct Plan {
    /// Servers that vote.
    pub voters: usize,
    /// Servers that only learn.
    pub observers: usize,
    /// Clients.
    pub clients: usize,
    /// How long things go wrong, in milliseconds of the world.
    pub trouble_ms: i64,
    /// A message takes from 0 to this, in milliseconds.
    pub network_ms_max: i64,
    /// A disk operation takes from 0 to this, in milliseconds.
    pub disk_ms_max: i64,
    /// A server crashes.
    pub crash: usize,
    /// A crash keeps what was written and not synced, for it was the process that ended.
    pub crash_keeps: usize,
    /// A server that is down starts.
    pub restart: usize,
    /// A connection breaks.
    pub break_link: usize,
    /// Somebody is cut off from somebody else, in one direction or both, until it heals.
    pub partition: usize,
    /// All partitions heal.
    pub heal: usize,
    /// How many of the newest transactions a start keeps in memory; more come from the log on disk.
    pub kept: usize,
    /// Records between two snapshots.
    pub snapshot_every: u64,
}

impl Plan {
    /// How often something is decided.
    pub const DECISION_MS: i64 = 20;

    /// The seed's plan.
    pub fn draw(dice: &mut Dice) -> Self {
        let calm = dice.chance(150);
        let mut often = |most: usize| if calm { 0 } else { dice.throw(most + 1) };
        let (crash, break_link, partition) = (often(12), often(20), often(8));
        Self {
            voters: *dice.pick(&[3, 3, 3, 5]),
            observers: dice.throw(2),
            clients: 2 + dice.throw(4),
            trouble_ms: 5_000 + dice.throw(20_000) as i64,
            network_ms_max: *dice.pick(&[1, 5, 20]),
            disk_ms_max: *dice.pick(&[1, 5, 30]),
            crash,
            crash_keeps: 500,
            restart: 60 + dice.throw(100),
            break_link,
            partition,
            heal: 20 + dice.throw(60),
            kept: *dice.pick(&[0, 3, 500]),
            snapshot_every: *dice.pick(&[20, 100, 100_000]),
        }
    }

    /// The same ensemble without any trouble.
    #[must_use]
    pub fn calm(self) -> Self {
        Self { crash: 0, break_link: 0, partition: 0, heal: 1000, restart: 1000, ..self }
    }
}
