//! The seed's world: links, time, crashes, leaders by decree, and the checks.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use zabd_jute::quorum::{Configuration, FromLeader, Member, QuorumPacket};
use zabd_jute::txn::{Entry, Txn, TxnHeader};
use zabd_jute::{Epoch, OpCode, Reader, Record, ServerId, SessionId, Writer, Zxid};
use zabd_zab::effect::{DialId, Durable, Effect, Instant, LinkId, Reason};
use zabd_zab::quorum::Quorums;
use zabd_zab::{leader, learner};

use crate::server::{DiskOperation, Image, Role, Server};

static NARRATES: AtomicBool = AtomicBool::new(false);

/// How often the things happened that this test is about, over all worlds of a run.
#[derive(Debug, Default)]
pub struct Tally {
    pub reigns: usize,
    pub crashes: usize,
    pub from_disk: usize,
    pub truncations: usize,
    pub snapshots: usize,
    pub reconfigurations: usize,
    /// Of them those by which a leader gave up the lead.
    pub changes_of_leader: usize,
}

impl Tally {
    pub fn add(&mut self, other: &Tally) {
        self.reigns += other.reigns;
        self.crashes += other.crashes;
        self.from_disk += other.from_disk;
        self.truncations += other.truncations;
        self.snapshots += other.snapshots;
        self.reconfigurations += other.reconfigurations;
        self.changes_of_leader += other.changes_of_leader;
    }
}

pub fn narrate() {
    NARRATES.store(true, Ordering::Relaxed);
}

macro_rules! tell {
    ($($what:tt)*) => {
        if NARRATES.load(Ordering::Relaxed) {
            println!($($what)*);
        }
    };
}

/// `SplitMix64`: small, good enough, and the same everywhere.
pub struct Dice(u64);

impl Dice {
    pub fn throw(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % sides as u64) as usize
    }

    pub fn chance(&mut self, percent: usize) -> bool {
        self.throw(100) < percent
    }
}

#[derive(Debug)]
enum Message {
    Packet(Bytes),
    Snapshot(Image),
}

/// A connection: what is on its way, either way.
struct Link {
    leader: usize,
    learner: usize,
    to_leader: VecDeque<Message>,
    to_learner: VecDeque<Message>,
    leader_is_open: bool,
    learner_is_open: bool,
    /// What was proposed here, and whose commit was not sent yet.
    pending: VecDeque<Zxid>,
}

impl Link {
    /// A follower of Java ends over the commit of anything but the oldest proposal that it was sent on this connection.
    fn watch(&mut self, packet: &Bytes) {
        let mut reader = Reader::new(packet);
        let packet = QuorumPacket::decode(&mut reader).expect("a leader's packet can be read");
        match FromLeader::decode(&packet) {
            Ok(Some(FromLeader::Proposal { zxid, .. })) => self.pending.push_back(zxid),
            Ok(Some(FromLeader::Commit { zxid } | FromLeader::CommitAndActivate { zxid, .. })) => {
                assert_eq!(self.pending.pop_front(), Some(zxid), "a commit is not the one that is due");
            }
            _ => (),
        }
    }
}

pub struct Plan {
    pub steps: usize,
    crash_percent: usize,
    break_percent: usize,
    decree_percent: usize,
    reconfigure_percent: usize,
    /// How many members; a quorum before the change of one voter has a voter in common with any behind it.
    changed_at_once: usize,
}

pub struct World {
    pub plan: Plan,
    dice: Dice,
    now: Instant,
    servers: Vec<Server>,
    links: BTreeMap<LinkId, Link>,
    next_link: u64,
    /// Every transaction that was ever committed anywhere, in order.
    truth: Vec<Zxid>,
    leaders: BTreeMap<Epoch, ServerId>,
    pub tally: Tally,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let voters = [3, 3, 3, 5][dice.throw(4)];
        let observers = dice.throw(2);
        let plan = Plan {
            steps: 2000 + dice.throw(4000),
            crash_percent: dice.throw(8),
            break_percent: dice.throw(8),
            decree_percent: 1 + dice.throw(9),
            reconfigure_percent: [0, 3, 10][dice.throw(3)],
            changed_at_once: if seed % 8 == 7 { 3 } else { 1 },
        };
        let role = |id| if id <= voters { "participant" } else { "observer" };
        let lines = (1..=voters + observers).map(|id| format!("server.{id}=h{id}:1:2:{}", role(id)));
        let configuration = Configuration::parse(&lines.collect::<Vec<_>>().join("\n")).unwrap();
        let number = |id| ServerId(id as i64);
        let servers =
            (1..=voters + observers).map(|id| Server::new(number(id), configuration.clone())).collect();
        tell!("{voters} voters, {observers} observers");
        let mut world = Self {
            plan,
            dice,
            now: Instant(0),
            servers,
            links: BTreeMap::new(),
            next_link: 1,
            truth: Vec::new(),
            leaders: BTreeMap::new(),
            tally: Tally::default(),
        };
        world.servers.iter_mut().for_each(|server| server.start(9));
        world
    }

    pub fn step(&mut self) {
        let server = self.dice.throw(self.servers.len());
        if self.dice.chance(10) {
            self.gossip(server);
        }
        match self.dice.throw(100) {
            0..45 => self.deliver(),
            45..75 => self.work_disk(server),
            75..85 => self.propose(),
            85..90 => self.pass_time(),
            90..94 if self.dice.chance(self.plan.decree_percent * 10) => self.decree(server),
            94..97 if self.dice.chance(self.plan.crash_percent * 10) => self.crash_or_start(server),
            97..100 if self.dice.chance(self.plan.break_percent * 10) => self.break_link(),
            _ => self.follow(server),
        }
        self.settle();
    }

    /// Nothing breaks any more: a leader comes up and everybody is level with it.
    pub fn heal(&mut self) {
        self.plan.reconfigure_percent = 0;
        let down: Vec<_> =
            (0..self.servers.len()).filter(|at| matches!(self.servers[*at].role, Role::Down)).collect();
        for at in down {
            self.servers[at].start(9);
        }
        for round in 0..60_000 {
            let server = round % self.servers.len();
            self.gossip(server);
            match self.dice.throw(20) {
                0..12 => self.deliver(),
                12..17 => self.work_disk(server),
                17 if self.dice.chance(30) => self.pass_time(),
                18 if self.dice.chance(20) && self.best_quorum_member(server) => self.decree(server),
                _ => self.follow(server),
            }
            self.settle();
            if round % 500 == 0 && self.is_level() {
                return;
            }
        }
        let servers: String = self.servers.iter().map(Server::described).collect();
        panic!("nobody leads although nothing is broken:{servers}");
    }

    fn is_level(&self) -> bool {
        let leads = |server: &&Server| matches!(server.role, Role::Leading(_)) && server.is_serving;
        let Some(leader) = self.servers.iter().find(leads) else { return false };
        let goal = leader.disk.all();
        // Who has not heard yet that its leader has left may look level.
        let is_led = |server: &Server| match &server.role {
            Role::Learning { link, .. } => link.is_some_and(|link| self.links.contains_key(&link)),
            _ => true,
        };
        let is_quiet = |link: &Link| {
            link.leader_is_open
                && link.learner_is_open
                && link.to_leader.is_empty()
                && link.to_learner.is_empty()
        };
        self.servers.iter().all(is_led)
            && self.links.values().all(is_quiet)
            && self
                .servers
                .iter()
                .all(|server| server.is_serving && server.queue.is_empty() && server.shown() == goal)
    }

    pub fn assert_all_equal(&self) {
        let configuration = self.servers[0].disk.configuration();
        for server in &self.servers {
            assert_eq!(server.disk.configuration(), configuration, "server {} has other members", server.id);
        }
        for server in &self.servers {
            assert_eq!(server.shown(), self.truth, "server {} ends with another history", server.id);
        }
    }

    // --- What can happen ---

    fn pass_time(&mut self) {
        self.now = self.now.after_ms(1 + self.dice.throw(40) as i64);
        for at in 0..self.servers.len() {
            let now = self.now;
            let server = &mut self.servers[at];
            let is_due = match &server.role {
                Role::Leading(machine) => machine.next_timer() <= now,
                Role::Learning { machine, .. } => machine.next_timer() <= now,
                _ => false,
            };
            if is_due {
                server.lead_step(now, leader::Input::Timer);
                server.learn_step(now, learner::Input::Timer);
                self.carry_out(at);
            }
        }
    }

    fn work_disk(&mut self, at: usize) {
        let now = self.now;
        for _ in 0..=self.dice.throw(6) {
            if self.servers[at].work_disk(now) {
                self.carry_out(at);
            }
        }
    }

    fn propose(&mut self) {
        for at in 0..self.servers.len() {
            let now = self.now;
            let server = &mut self.servers[at];
            let Role::Leading(machine) = &server.role else { continue };
            if machine.is_established() && server.is_serving {
                let zxid = machine.proposed().next();
                let configuration = self.changed_members(at, zxid);
                let server = &mut self.servers[at];
                let entry = match &configuration {
                    Some(configuration) => reconfiguration(zxid, server.id, configuration),
                    None => entry(zxid, server.id),
                };
                let configuration = configuration.map(Box::new);
                server.lead_step(now, leader::Input::Propose { zxid, entry, configuration });
                self.carry_out(at);
            }
        }
    }

    /// Now and then servers are given another role, or none, if nothing of that kind is under way.
    fn changed_members(&mut self, at: usize, zxid: Zxid) -> Option<Configuration> {
        if !self.dice.chance(self.plan.reconfigure_percent) {
            return None;
        }
        let server = &self.servers[at];
        let Role::Leading(machine) = &server.role else { return None };
        let is_persisting = |each: &DiskOperation| matches!(each, DiskOperation::Persist(_));
        if server.disk.next.is_some() || server.queue.iter().any(is_persisting) {
            return None;
        }
        let mut members = server.disk.configuration().members().to_vec();
        for _ in 0..self.plan.changed_at_once {
            // The leader itself more often than others: that is where most can go wrong.
            let anybody = ServerId(self.dice.throw(self.servers.len()) as i64 + 1);
            let id = if self.dice.chance(30) { server.id } else { anybody };
            members.retain(|member| member.id() != id);
            if let Some(role) = ["participant", "observer"].get(self.dice.throw(3)) {
                members.push(Member::parse(id, &format!("h{id}:1:2:{role}")).unwrap());
            }
        }
        let changed = Configuration::majority(zxid.into(), members);
        machine.has_synced_quorum_of(self.now, &changed).then_some(changed)
    }

    /// A server that looks for a leader hears from somebody of a newer configuration, as it would in an election.
    fn gossip(&mut self, at: usize) {
        let other = self.dice.throw(self.servers.len());
        let told = self.servers[other].disk.configuration().clone();
        let server = &mut self.servers[at];
        if matches!(server.role, Role::Looking) && server.disk.configuration().version() < told.version() {
            server.disk.hold(told);
        }
    }

    /// Somebody is told that it leads, and a few are told to follow it.
    fn decree(&mut self, at: usize) {
        if !matches!(self.servers[at].role, Role::Looking) || !self.best_quorum_member(at) {
            return;
        }
        tell!("{} is told to lead, with {:?}", self.servers[at].id, self.vote(at));
        self.servers[at].lead(self.now);
        self.carry_out(at);
    }

    fn vote(&self, at: usize) -> (Epoch, Zxid) {
        let server = &self.servers[at];
        (server.disk.current, server.disk.last())
    }

    /// Whether some quorum of voters, as it knows them, would elect it.
    fn best_quorum_member(&self, at: usize) -> bool {
        let Server { id, disk, .. } = &self.servers[at];
        let votes_for_it = |other: &usize| !self.stands(*other) || self.vote(*other) <= self.vote(at);
        let voters = (0..self.servers.len()).filter(votes_for_it).map(|other| self.servers[other].id);
        let quorums = Quorums::new(disk.configuration(), disk.next.as_ref());
        quorums.may_stand(*id, disk.last()) && quorums.has_quorum(&voters.collect())
    }

    /// Who does not stand for election votes for anybody.
    fn stands(&self, at: usize) -> bool {
        let Server { id, disk, .. } = &self.servers[at];
        Quorums::new(disk.configuration(), disk.next.as_ref()).may_stand(*id, disk.last())
    }

    /// A server that looks follows somebody who leads, or thinks so.
    fn follow(&mut self, at: usize) {
        if !matches!(self.servers[at].role, Role::Looking) {
            return;
        }
        let leaders: Vec<_> = (0..self.servers.len())
            .filter(|other| matches!(self.servers[*other].role, Role::Leading(_)))
            .collect();
        if leaders.is_empty() {
            return;
        }
        let leader = leaders[self.dice.throw(leaders.len())];
        tell!("{} follows {}", self.servers[at].id, self.servers[leader].id);
        let elected_with = self.servers[leader].elected_with;
        self.servers[at].learn(self.now, ServerId(leader as i64 + 1), elected_with);
        self.carry_out(at);
    }

    fn crash_or_start(&mut self, at: usize) {
        if matches!(self.servers[at].role, Role::Down) {
            let kept = [0, 1, 3, 100][self.dice.throw(4)];
            self.servers[at].start(kept);
            tell!("{} starts with {:?}", self.servers[at].id, self.vote(at));
            return;
        }
        tell!("{} crashes", self.servers[at].id);
        self.tally.crashes += 1;
        self.servers[at].crash();
        let own: Vec<_> =
            self.links.iter().filter(|(_, l)| l.leader == at || l.learner == at).map(|(id, _)| *id).collect();
        for link in own {
            self.close(link, at);
        }
    }

    fn break_link(&mut self) {
        let open: Vec<_> = self.links.keys().copied().collect();
        if open.is_empty() {
            return;
        }
        let link = open[self.dice.throw(open.len())];
        tell!("link {} breaks", link.0);
        let (leader, learner) = (self.links[&link].leader, self.links[&link].learner);
        self.close(link, leader);
        self.close(link, learner);
    }

    /// One side stops sending and receiving; what it had sent still arrives, and then the end.
    fn close(&mut self, link: LinkId, at: usize) {
        let Some(each) = self.links.get_mut(&link) else { return };
        if each.leader == at {
            each.leader_is_open = false;
            each.to_leader.clear();
        }
        if each.learner == at {
            each.learner_is_open = false;
            each.to_learner.clear();
        }
    }

    fn deliver(&mut self) {
        let ids: Vec<_> = self.links.keys().copied().collect();
        if ids.is_empty() {
            return;
        }
        let id = ids[self.dice.throw(ids.len())];
        for _ in 0..=self.dice.throw(8) {
            let to_leader = self.dice.chance(50);
            self.deliver_one(id, to_leader);
        }
    }

    fn deliver_one(&mut self, id: LinkId, to_leader: bool) {
        let now = self.now;
        let Some(link) = self.links.get_mut(&id) else { return };
        let at = if to_leader { link.leader } else { link.learner };
        let (mine, theirs) = if to_leader {
            (&mut link.leader_is_open, link.learner_is_open)
        } else {
            (&mut link.learner_is_open, link.leader_is_open)
        };
        if !*mine {
            return;
        }
        let queue = if to_leader { &mut link.to_leader } else { &mut link.to_learner };
        let server = &mut self.servers[at];
        match queue.pop_front() {
            None if theirs => return,
            None => {
                *mine = false;
                server.lead_step(now, leader::Input::Closed { link: id });
                if is_learning_over(server, id) {
                    server.learn_step(now, learner::Input::Closed);
                }
            }
            Some(Message::Packet(packet)) if to_leader => {
                server.lead_step(now, leader::Input::Packet { link: id, packet });
            }
            Some(Message::Packet(packet)) => {
                if is_learning_over(server, id) {
                    server.learn_step(now, learner::Input::Packet { packet });
                }
            }
            Some(Message::Snapshot(image)) => {
                if is_learning_over(server, id) {
                    let shown = image.changes.last_key_value().map(|(_, shown)| Box::new(shown.clone()));
                    server.received = Some(image);
                    server.learn_step(now, learner::Input::SnapshotReceived { shown });
                }
            }
        }
        self.carry_out(at);
    }

    // --- What follows ---

    fn carry_out(&mut self, at: usize) {
        let mut effects = std::mem::take(&mut self.servers[at].effects);
        let bytes = Bytes::from(std::mem::take(&mut effects.bytes));
        for effect in effects.list.drain(..) {
            self.carry_out_one(at, effect, &bytes);
        }
        self.check(at);
        if !self.servers[at].effects.list.is_empty() {
            self.carry_out(at);
        }
    }

    fn carry_out_one(&mut self, at: usize, effect: Effect, bytes: &Bytes) {
        let now = self.now;
        if matches!(
            effect,
            Effect::SendLog { .. } | Effect::Truncate { .. } | Effect::Adopt { .. } | Effect::LookUp { .. }
        ) {
            tell!("{}: {effect:?}", self.servers[at].id);
        }
        match effect {
            Effect::Dial { leader, dial } => self.dial(at, leader.0 as usize - 1, dial),
            Effect::DialObserverMaster { .. } => unreachable!("nobody here has a port for observers"),
            Effect::Send { link, bytes: part } => self.send(link, at, Message::Packet(bytes.slice(part))),
            Effect::SendLog { link, after, upto } => {
                self.tally.from_disk += 1;
                self.send_log(link, at, after, upto);
            }
            Effect::LookUp { link, zxid } => {
                let is_found = self.servers[at].disk.log.iter().any(|(logged, _)| *logged == zxid);
                self.servers[at].lead_step(now, leader::Input::LookedUp { link, is_found });
            }
            Effect::TakeSnapshot { link } => {
                let zxid = self.shown_position(at);
                self.servers[at].lead_step(now, leader::Input::SnapshotBegun { link, zxid });
            }
            Effect::SendSnapshot { link } => {
                self.tally.snapshots += 1;
                let upto = self.shown_position(at);
                let disk = &self.servers[at].disk;
                let (mut transactions, mut changes) = (disk.all(), disk.changes.clone());
                transactions.retain(|zxid| *zxid <= upto);
                changes.retain(|zxid, _| *zxid <= upto);
                self.send(link, at, Message::Snapshot(Image { transactions, changes }));
            }
            Effect::Refuse { link, why } => {
                tell!("{} refuses connection {}: {why}", self.servers[at].id, link.0);
            }
            Effect::Close { link } => self.close(link, at),
            Effect::Append { zxid, entry } => {
                self.servers[at].queue.push_back(DiskOperation::Append(zxid, entry));
            }
            Effect::Persist(what) => {
                if let (Durable::Configuration(held), Role::Leading(_)) = (&what, &self.servers[at].role) {
                    tell!("{} holds {held}", self.servers[at].id);
                    self.tally.reconfigurations += usize::from(Zxid(held.version().0).counter() != 0);
                }
                self.servers[at].queue.push_back(DiskOperation::Persist(what));
            }
            Effect::Truncate { zxid } => {
                self.tally.truncations += 1;
                self.servers[at].queue.push_back(DiskOperation::Truncate(zxid));
            }
            Effect::Adopt { zxid, epoch } => {
                self.servers[at].queue.push_back(DiskOperation::Adopt { zxid, epoch });
            }
            Effect::Replay { upto } => {
                let logged = self.servers[at]
                    .queue
                    .iter()
                    .any(|operation| matches!(operation, DiskOperation::Append(zxid, _) if *zxid == upto));
                assert!(logged, "what is taken into the tree goes to the log first");
            }
            Effect::Commit { upto } => {
                tell!("{} commits up to {upto}", self.servers[at].id);
                self.servers[at].committed = upto;
            }
            Effect::Serve { epoch, leader } => self.serve(at, epoch, leader),
            Effect::Ping { zxid } => {
                self.servers[at].learn_step(now, learner::Input::Pong { zxid, touched: Vec::new() });
            }
            Effect::Leave(reason) => {
                tell!("{} leaves: {reason:?}", self.servers[at].id);
                let leads = matches!(self.servers[at].role, Role::Leading(_));
                let is_reconfigured =
                    matches!(reason, Reason::Reconfigured { .. } | Reason::LeaderReconfigured);
                self.tally.changes_of_leader += usize::from(leads && is_reconfigured);
                self.servers[at].needs_snapshot |= reason == Reason::CannotCut;
                self.servers[at].leave();
            }
            Effect::Request { .. }
            | Effect::Revalidate { .. }
            | Effect::Touch(_)
            | Effect::LearnerGone { .. }
            | Effect::Synchronised
            | Effect::Note(_)
            | Effect::Link(_)
            | Effect::Revalidated { .. }
            | Effect::Replaced { .. } => (),
        }
    }

    /// Before a leader is established its tree shows the whole log.
    fn shown_position(&self, at: usize) -> Zxid {
        let server = &self.servers[at];
        if server.is_serving { server.committed.min(server.disk.last()) } else { server.disk.last() }
    }

    fn dial(&mut self, at: usize, leader: usize, dial: DialId) {
        let now = self.now;
        if !matches!(self.servers[leader].role, Role::Leading(_)) {
            self.servers[at].learn_step(now, learner::Input::ConnectFailed { dial });
            return;
        }
        let id = LinkId(self.next_link);
        self.next_link += 1;
        self.links.insert(
            id,
            Link {
                leader,
                learner: at,
                to_leader: VecDeque::new(),
                to_learner: VecDeque::new(),
                leader_is_open: true,
                learner_is_open: true,
                pending: VecDeque::new(),
            },
        );
        self.servers[leader].lead_step(now, leader::Input::Accepted { link: id });
        if let Role::Learning { link, .. } = &mut self.servers[at].role {
            *link = Some(id);
        }
        self.servers[at].learn_step(now, learner::Input::Connected { dial, link: id });
    }

    fn send(&mut self, link: LinkId, at: usize, message: Message) {
        let Some(link) = self.links.get_mut(&link) else { return };
        if link.leader == at && link.leader_is_open && link.learner_is_open {
            if let Message::Packet(packet) = &message {
                link.watch(packet);
            }
            link.to_learner.push_back(message);
        } else if link.learner == at && link.learner_is_open && link.leader_is_open {
            link.to_leader.push_back(message);
        }
    }

    fn send_log(&mut self, link: LinkId, at: usize, after: Zxid, upto: Zxid) {
        let log = self.servers[at].disk.log.clone();
        for (zxid, entry) in log.into_iter().filter(|(zxid, _)| after < *zxid && *zxid <= upto) {
            for packet in [FromLeader::Proposal { zxid, txn: &entry }, FromLeader::Commit { zxid }] {
                let mut bytes = Vec::new();
                packet.encode(&mut Writer::new(&mut bytes));
                self.send(link, at, Message::Packet(bytes.into()));
            }
        }
    }

    fn serve(&mut self, at: usize, epoch: Epoch, leader: ServerId) {
        let server = &mut self.servers[at];
        tell!("{} serves in epoch {epoch} led by {leader}", server.id);
        server.is_serving = true;
        if server.id != leader {
            return;
        }
        self.tally.reigns += 1;
        let before = self.leaders.insert(epoch, leader);
        assert!(before.is_none_or(|before| before == leader), "two leaders of epoch {epoch}");
        let all = server.disk.all();
        assert!(
            all.starts_with(&self.truth),
            "{leader} leads epoch {epoch} without what was committed: {all:?}"
        );
    }

    /// Everything that is shown anywhere is one sequence.
    fn check(&mut self, at: usize) {
        let server = &self.servers[at];
        if !server.is_serving {
            return;
        }
        let shown = server.shown();
        let common = shown.len().min(self.truth.len());
        assert_eq!(shown[..common], self.truth[..common], "server {} shows another history", server.id);
        if common < shown.len() {
            self.truth.extend_from_slice(&shown[common..]);
        }
    }

    fn settle(&mut self) {
        for server in &mut self.servers {
            if server.is_settled() {
                server.role = Role::Looking;
                let last = server.history.as_ref().expect("a role leaves its history").last();
                assert_eq!(last, server.disk.last(), "memory and disk of {} differ", server.id);
            }
        }
        self.links.retain(|_, link| link.leader_is_open || link.learner_is_open);
        let epochs: BTreeSet<_> = self.truth.iter().map(|zxid| zxid.epoch()).collect();
        assert!(epochs.iter().all(|epoch| self.leaders.contains_key(epoch)), "committed in nobody's epoch");
    }
}

fn is_learning_over(server: &Server, id: LinkId) -> bool {
    matches!(&server.role, Role::Learning { link, .. } if *link == Some(id))
}

/// A record that says who the members are.
fn reconfiguration(zxid: Zxid, by: ServerId, configuration: &Configuration) -> Bytes {
    let text = configuration.to_string();
    let header =
        TxnHeader { session: SessionId(by.0), cxid: 0, zxid, time_ms: 0, kind: OpCode::Reconfig.code() };
    let txn = Txn::SetData { path: "/zookeeper/config".into(), data: Some(text.as_bytes()), version: -1 };
    let mut bytes = Vec::new();
    Entry { header, txn, digest: None }.encode(&mut Writer::new(&mut bytes));
    bytes.into()
}

/// A record that says where it stands; what it means is nobody's business here.
fn entry(zxid: Zxid, by: ServerId) -> Bytes {
    let mut bytes = Vec::new();
    let mut w = Writer::new(&mut bytes);
    w.long(by.0);
    w.int(0);
    w.zxid(zxid);
    w.long(0);
    w.int(-1);
    w.int(0);
    bytes.into()
}
