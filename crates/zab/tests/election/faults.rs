//! Random faults, and what must hold whatever happens.
//!
//! Elections only mean something by what is done with them, so behind each decision stands a small Zab: who follows
//! tries to join its leader; the leader refuses who is ahead of it, and is established when a quorum with a voice has
//! joined; then it brings them level and writes. Everything that a real discovery does in steps is one step here.
//!
//! - Nothing that a quorum has written is ever missing on an established leader, and epochs of established leaders
//!   only grow, though servers lose their disks, as long as one voter has it all.
//! - A server without a voice never leads.
//! - When the faults end, everybody soon has one leader.

use std::collections::{BTreeMap, BTreeSet};

use zabd_jute::quorum::{Configuration, PeerState};
use zabd_jute::{Epoch, ServerId, Zxid};
use zabd_zab::election::Standing;
use zabd_zab::quorum::Voters;

use crate::net::{Fact, Net};
use crate::node::Disk;
use crate::script::config;

/// Deterministic, and that is all that is asked of it (splitmix64).
#[derive(Clone)]
pub struct Dice(pub u64);

impl Dice {
    /// From 0 to below `sides`.
    pub fn roll(&mut self, sides: i64) -> i64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % sides as u64) as i64
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.roll(choices.len() as i64) as usize]
    }
}

const FAULTS_MS: i64 = 8_000;
/// How long it may take after the last fault until there is one leader.
const CALM_MS: i64 = 10_000;

/// What a server does with a decision.
#[derive(Clone, Debug)]
struct Reign {
    leader: i64,
    since: i64,
    has_voice: bool,
    /// Since when the leader leads that has taken it; on an established leader, its own.
    in_step_with: Option<i64>,
}

struct World {
    seed: u64,
    net: Net,
    dice: Dice,
    voters: Voters,
    /// How long a server tries to be followed, or to follow.
    patience_ms: i64,
    ids: Vec<i64>,
    reigns: BTreeMap<i64, Reign>,
    accepted: BTreeMap<i64, Epoch>,
    /// The last transaction that a quorum has written.
    committed: Zxid,
    /// The newest established epoch.
    epoch: Epoch,
    /// Set when the faults are over: then everything that is written arrives.
    is_calm: bool,
    established: u64,
    wiped: u64,
    /// Set when only this one is run: then everything that happens is printed.
    is_told: bool,
}

impl World {
    fn new(seed: u64, config: &Configuration) -> Self {
        let mut dice = Dice(seed);
        let mut net = Net::new();
        let mut chance = Dice(seed ^ 0x5eed);
        let slowness = dice.of(&[1, 1, 20, 150]);
        net.delay = Box::new(move |_, _| 1 + chance.roll(slowness));
        let ids: Vec<_> = config.members().iter().map(|member| member.id().0).collect();
        let starts_empty = dice.of(&[true, false]);
        for id in &ids {
            let role = config.member(ServerId(*id)).expect("it is a member").role();
            let disk = Disk {
                last_zxid: if starts_empty { Zxid::ZERO } else { Zxid(dice.roll(4)) },
                epoch: Epoch::ZERO,
                standing: if starts_empty { Standing::Empty } else { Standing::Voter },
                role,
                config: config.clone(),
                last_seen: None,
                adopts_configs: false,
            };
            net.add(*id, disk);
        }
        let accepted = ids.iter().map(|id| (*id, Epoch::ZERO)).collect();
        Self {
            seed,
            net,
            dice,
            voters: Voters::new(config),
            patience_ms: 300 + 10 * slowness,
            ids,
            reigns: BTreeMap::new(),
            accepted,
            committed: Zxid::ZERO,
            epoch: Epoch::ZERO,
            is_calm: false,
            established: 0,
            wiped: 0,
            is_told: only_seed().is_some(),
        }
    }

    fn disk(&mut self, id: i64) -> &mut Disk {
        &mut self.net.servers.get_mut(&id).expect("it is a member").disk
    }

    fn start(&mut self, id: i64) {
        self.net.boot(id);
        self.net.look(id);
    }

    fn tell(&self, what: &dyn std::fmt::Display) {
        if self.is_told {
            println!("{:>6}  {what}", self.net.now);
        }
    }

    fn run(&mut self, end: i64) {
        while self.net.now < end {
            let next = (self.net.now + 10).min(end);
            while self.net.step(next) {
                self.note_decisions();
            }
            self.net.now = next;
            self.reign();
        }
    }

    fn note_decisions(&mut self) {
        for (at, fact) in std::mem::take(&mut self.net.facts) {
            self.tell(&format_args!("{fact:?}"));
            let Fact::Decides { server, decision } = fact else { continue };
            let leader = decision.elected.vote.leader.0;
            assert!(
                self.voters.has_quorum(&decision.electing),
                "seed {}: {server} by {decision:?}",
                self.seed
            );
            assert!(
                decision.has_voice || leader != server,
                "seed {}: {server} leads without data",
                self.seed
            );
            let (since, has_voice) = (at, decision.has_voice);
            self.reigns.insert(server, Reign { leader, since, has_voice, in_step_with: None });
        }
    }

    /// Every 10 ms: who has a leader does what discovery, synchronisation and broadcast would do.
    fn reign(&mut self) {
        let reigns = |net: &Net, id: i64| net.state(id).is_some_and(|state| state != PeerState::Looking);
        self.reigns.retain(|id, _| reigns(&self.net, *id));
        for id in self.ids.clone() {
            if !self.reigns.contains_key(&id) || self.is_paused(id) {
                continue;
            }
            let reign = self.reigns[&id].clone();
            if reign.leader == id {
                self.lead(id, &reign);
            } else {
                self.follow(id, &reign);
            }
        }
    }

    fn follow(&mut self, id: i64, reign: &Reign) {
        let leader = reign.leader;
        let leads = self.reigns.get(&leader).filter(|other| other.leader == leader).cloned();
        let reaches = !self.is_paused(leader) && !self.net.is_cut(id, leader) && self.net.is_running(leader);
        // A leader that gave up and leads again has closed its connections in between.
        let is_same = |leads: &Reign| reign.in_step_with.is_none_or(|since| leads.since == since);
        let leads = leads.filter(|leads| reaches && is_same(leads));
        let Some(leads) = leads else {
            if reign.in_step_with.is_some() || reign.since + self.patience_ms < self.net.now {
                self.give_up(id);
            }
            return;
        };
        if reign.in_step_with.is_some() || leads.in_step_with.is_none() || self.dice.roll(3) == 0 {
            if reign.in_step_with.is_none() && reign.since + self.patience_ms < self.net.now {
                self.give_up(id);
            }
            return;
        }
        if self.epoch_of(leader) < self.accepted[&id] {
            // The follower has promised another; the leader gives way, as a leader that means well does.
            return self.give_up(leader);
        }
        self.level(id, leader);
    }

    fn lead(&mut self, id: i64, reign: &Reign) {
        let followers = self.followers(id);
        if let Some(since) = reign.in_step_with {
            let is_in_step = |other: &i64| self.reigns[other].in_step_with == Some(since);
            let in_step: Vec<_> = followers.iter().copied().filter(is_in_step).collect();
            let mut quorum: BTreeSet<_> = in_step.iter().map(|other| ServerId(*other)).collect();
            quorum.insert(ServerId(id));
            if !self.voters.has_quorum(&quorum) {
                return self.give_up(id);
            }
            return self.write(id, &in_step);
        }
        if reign.since + self.patience_ms < self.net.now {
            return self.give_up(id);
        }
        let own = self.history(id);
        let mut joined = followers;
        joined.retain(|other| self.reigns[other].in_step_with.is_none() && self.history(*other) <= own);
        let with_voice = joined.iter().copied().filter(|other| self.reigns[other].has_voice);
        let quorum: BTreeSet<_> = with_voice.chain([id]).map(ServerId).collect();
        if self.voters.has_quorum(&quorum) {
            self.establish(id, &quorum, &joined);
        }
    }

    fn establish(&mut self, id: i64, quorum: &BTreeSet<ServerId>, joined: &[i64]) {
        let epoch =
            quorum.iter().map(|other| self.accepted[&other.0]).max().expect("a quorum is not empty").next();
        let (seed, committed, last) = (self.seed, self.committed, self.disk(id).last_zxid);
        self.tell(&format_args!("{id} can be established with {quorum:?}, at {last}; committed {committed}"));
        assert!(committed <= last, "seed {seed}: leader {id} ends at {last}, and {committed} is committed");
        assert!(self.epoch < epoch, "seed {seed}: epoch {epoch} comes after {}", self.epoch);
        self.epoch = epoch;
        self.established += 1;
        self.accepted.insert(id, epoch);
        self.disk(id).epoch = epoch;
        self.disk(id).standing = Standing::Voter;
        let reign = self.reigns.get_mut(&id).expect("it leads");
        reign.in_step_with = Some(reign.since);
        self.net.establish(id, epoch);
        for other in joined {
            self.level(*other, id);
        }
    }

    /// The follower has what the leader has.
    fn level(&mut self, id: i64, leader: i64) {
        let (last_zxid, epoch) = (self.disk(leader).last_zxid, self.epoch_of(leader));
        self.accepted.insert(id, epoch);
        let disk = self.disk(id);
        (disk.last_zxid, disk.epoch, disk.standing) = (last_zxid, epoch, Standing::Voter);
        let since = self.reigns[&leader].since;
        self.reigns.get_mut(&id).expect("it follows").in_step_with = Some(since);
        self.net.establish(id, epoch);
    }

    /// Sometimes a transaction, which sometimes reaches only some.
    fn write(&mut self, id: i64, in_step: &[i64]) {
        if self.dice.roll(4) != 0 {
            return;
        }
        let epoch = self.epoch_of(id);
        let last = self.disk(id).last_zxid;
        let zxid = if last.epoch() == epoch { last.next() } else { Zxid::new(epoch, 1) };
        let chance = self.dice.of(&[1, 1, 1, 2]);
        let mut written = BTreeSet::new();
        for server in in_step.iter().copied().chain([id]) {
            // A follower takes transactions in order: who missed one is out of step.
            if server == id || self.is_calm || self.dice.roll(chance) == 0 {
                self.disk(server).last_zxid = zxid;
                written.insert(ServerId(server));
            } else {
                self.give_up(server);
            }
        }
        self.tell(&format_args!("{id} writes {zxid} with {written:?}"));
        if self.voters.has_quorum(&written) {
            self.committed = zxid;
        }
    }

    fn give_up(&mut self, id: i64) {
        self.tell(&format_args!("{id} gives up"));
        self.reigns.remove(&id);
        self.net.look(id);
    }

    fn epoch_of(&mut self, id: i64) -> Epoch {
        self.disk(id).epoch
    }

    fn history(&self, id: i64) -> (Epoch, Zxid) {
        let disk = &self.net.servers[&id].disk;
        (disk.epoch, disk.last_zxid)
    }

    fn followers(&self, leader: i64) -> Vec<i64> {
        let follows = |id: &&i64| {
            **id != leader
                && self.reigns.get(id).is_some_and(|reign| reign.leader == leader)
                && self.net.is_running(**id)
                && !self.is_paused(**id)
                && !self.net.is_cut(**id, leader)
        };
        self.ids.iter().filter(follows).copied().collect()
    }

    fn is_paused(&self, id: i64) -> bool {
        self.net.is_paused(id)
    }

    fn hurt(&mut self) {
        let id = self.dice.of(&self.ids.clone());
        let other = self.dice.of(&self.ids.clone());
        let fault = self.dice.roll(12);
        self.tell(&format_args!("fault {fault}, servers {id} and {other}"));
        match fault {
            0..3 if self.net.is_running(id) => self.net.kill(id),
            0..5 if !self.net.is_running(id) => self.start(id),
            5 if id != other => self.net.cut(id, other),
            6..8 if id != other => self.net.mend(id, other),
            8 if self.net.is_running(id) && !self.is_paused(id) => self.net.pause(id),
            9 if self.is_paused(id) => self.net.resume(id),
            10 => self.lose_disk(id),
            _ => (),
        }
    }

    /// The disk is replaced, or found to be damaged, if that leaves something to go on with.
    fn lose_disk(&mut self, id: i64) {
        let (committed, epoch) = (self.committed, self.epoch);
        let rest: Vec<_> = self.ids.iter().copied().filter(|other| *other != id).collect();
        let voting = |world: &mut Self, id: &i64| world.disk(*id).standing == Standing::Voter;
        let with_data: BTreeSet<_> =
            rest.iter().filter(|id| voting(self, id)).map(|id| ServerId(*id)).collect();
        let has_all = |world: &mut Self, id: &ServerId| {
            let disk = world.disk(id.0).clone();
            world.voters.counts(*id) && committed <= disk.last_zxid && epoch <= disk.epoch
        };
        if !with_data.iter().any(|id| has_all(self, id)) {
            return;
        }
        // Whoever waits for a quorum without it needs one that has data.
        let is_lost = self.dice.roll(2) == 0;
        let any_lost = is_lost || rest.iter().any(|id| self.disk(*id).standing == Standing::Lost);
        if any_lost && !self.voters.has_quorum(&with_data) {
            return;
        }
        self.wiped += 1;
        self.tell(&format_args!(
            "{id} loses its disk, {}",
            if is_lost { "and knows it" } else { "and is empty" }
        ));
        self.net.kill(id);
        self.accepted.insert(id, Epoch::ZERO);
        let standing = if is_lost { Standing::Lost } else { Standing::Empty };
        let disk = self.disk(id);
        (disk.last_zxid, disk.epoch, disk.standing) = (Zxid::ZERO, Epoch::ZERO, standing);
        self.start(id);
    }

    fn heal(&mut self) {
        self.is_calm = true;
        for id in self.ids.clone() {
            for other in self.ids.clone() {
                self.net.mend(id, other);
            }
            if self.is_paused(id) {
                self.net.resume(id);
            }
            if !self.net.is_running(id) {
                self.start(id);
            }
        }
    }

    fn describe(&mut self) -> String {
        let each = self.ids.clone().into_iter().map(|id| {
            let (state, reign) = (self.net.state(id), self.reigns.get(&id).cloned());
            let Disk { epoch, last_zxid, standing, .. } = *self.disk(id);
            format!(
                "\n  {id}: {state:?} {standing:?} epoch {epoch}, accepted {}, {last_zxid}, {reign:?}",
                self.accepted[&id]
            )
        });
        each.collect()
    }

    /// The one leader that everybody is in step with.
    fn common_leader(&self) -> Option<i64> {
        let leader = self.reigns.values().next()?.leader;
        let agrees = |id: &i64| {
            self.reigns.get(id).is_some_and(|reign| reign.leader == leader && reign.in_step_with.is_some())
        };
        self.ids.iter().all(agrees).then_some(leader)
    }
}

/// Answers how many leaders were established and disks lost.
fn live(seed: u64, config: &Configuration) -> (u64, u64) {
    let mut world = World::new(seed, config);
    for id in world.ids.clone() {
        if world.dice.roll(4) != 0 {
            world.start(id);
        }
    }
    while world.net.now < FAULTS_MS {
        world.hurt();
        let pause = world.dice.of(&[5, 30, 200, 600]);
        world.run(world.net.now + pause);
    }
    world.heal();
    let end = world.net.now + CALM_MS;
    while world.common_leader().is_none() {
        let now = world.net.now;
        assert!(now < end, "seed {seed}: no common leader in {CALM_MS} ms, but {}", world.describe());
        world.run(now + 50);
    }
    (world.established, world.wiped)
}

#[test]
fn nothing_committed_is_lost_and_a_leader_is_found() {
    let configs = [
        "1 2 3",
        "1 2 3",
        "1 2 3 4 5",
        "1 2 3 observer=4",
        "1 2 3 4 5 observer=6",
        "1 2 3 4 5 group.1=1:2:3:4:5 weight.1=2 weight.5=0",
    ];
    let config_of = |seed: u64| {
        let text = configs[(seed % configs.len() as u64) as usize];
        config(&text.split_whitespace().collect::<Vec<_>>())
    };
    if let Some(seed) = only_seed() {
        live(seed, &config_of(seed));
        return;
    }
    let (mut established, mut wiped) = (0, 0);
    for seed in 0..seeds() {
        let (leaders, disks) = live(seed, &config_of(seed));
        (established, wiped) = (established + leaders, wiped + disks);
    }
    assert!(3 * seeds() < established, "only {established} leaders were established");
    assert!(seeds() / 2 < wiped, "only {wiped} disks were lost");
}

/// `ZABD_SEEDS=100000` makes it longer.
fn seeds() -> u64 {
    number("ZABD_SEEDS").unwrap_or(1000)
}

/// `ZABD_SEED=341 … -- --nocapture faults` tells the story of one.
fn only_seed() -> Option<u64> {
    number("ZABD_SEED")
}

fn number(name: &str) -> Option<u64> {
    std::env::var_os(name).map(|text| text.to_string_lossy().parse().expect("a number"))
}
