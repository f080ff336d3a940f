//! The world of one seed: events in the order of their times, and nothing else.
//!
//! In reading order: this file (what there is, and time), `trouble`, `files`, `network`, `servers`, `clients`.

mod clients;
mod files;
mod network;
mod servers;
mod trouble;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::fmt;
use std::ops::AddAssign;

use bytes::Bytes;
use zabd_jute::quorum::Configuration;
use zabd_jute::{Epoch, Id, ServerId, Zxid};
use zabd_replica::{Now, Serving, SessionRequest};
use zabd_zab::effect::DialId;

use crate::client::{Asking, Client};
use crate::dice::Dice;
use crate::plan::{Change, Fault, Plan};
use crate::server::{Image, Running, Server};
use crate::truth::Truth;

macro_rules! tell {
    ($world:expr, $($what:tt)*) => {
        if $world.narrates {
            println!("{:>6} {}", $world.now_ms, format!($($what)*));
        }
    };
}
use tell;

/// Session timeout that clients ask for, in milliseconds.
const SESSION_MS: i32 = 1500;
/// How long a healed world may take to be level.
const HEALING_MS: i64 = 60_000;
/// How many events one millisecond may have.
const AT_ONCE_MAX: usize = 20_000;

/// Who is at one end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Server { at: usize, life: u64 },
    Client { at: usize },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Election,
    Quorum,
    Client,
}

#[derive(Clone, Debug)]
enum Message {
    Bytes(Bytes),
    Image(Image),
    Connect(SessionRequest),
    Ask(Asking),
    /// The other end has closed.
    End,
}

/// A connection; `ends[0]` has dialled. What is on its way to an end arrives in order.
#[derive(Debug)]
struct Link {
    kind: Kind,
    ends: [End; 2],
    is_open: [bool; 2],
    to: [VecDeque<Message>; 2],
    arrives: [i64; 2],
    /// When something arrived last at an end, or the connection began.
    heard_ms: [i64; 2],
    /// What the dialler has sent so far, of an election connection: its first message introduces it.
    is_introduced: bool,
    /// The length of the image that SNAP announced, on its way to the learner.
    snap: Option<Zxid>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Deliver { link: u64, to: usize },
    Disk { at: usize, life: u64 },
    Wake { at: usize, life: u64 },
    Apply { at: usize, life: u64 },
    DialElection { at: usize, life: u64, peer: i64 },
    DialQuorum { at: usize, life: u64, leader: i64, dial: DialId },
    Act { client: usize },
    Fault(usize),
    Room { at: usize, life: u64 },
    HandOver { at: usize, life: u64, down_ms: i64 },
    Ends { at: usize, life: u64, until_ms: i64, down_ms: i64 },
    Start { at: usize },
    Deploy,
    Restart { at: usize },
}

/// See the module's description.
#[derive(Debug)]
pub struct World {
    /// What it is like.
    pub plan: Plan,
    dice: Dice,
    now_ms: i64,
    order: u64,
    /// How many events this millisecond had so far.
    at_once: usize,
    events: BinaryHeap<Reverse<(i64, u64, Event)>>,
    /// What members somebody wants, until a client asks for them.
    wanted: VecDeque<Change>,
    /// Changes of everybody's file that somebody wants, until the one before has been taken up.
    files: VecDeque<Fault>,
    deployed_anew: usize,
    servers: Vec<Server>,
    clients: Vec<Client>,
    links: BTreeMap<u64, Link>,
    next_link: u64,
    /// From whom nothing arrives at whom, until when.
    blocked: BTreeMap<(usize, usize), i64>,
    truth: Truth,
    is_healing: bool,
    crashes: usize,
    hand_overs: usize,
    reigns: usize,
    narrates: bool,
}

/// How much happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// How often servers crashed, or ended.
    pub crashes: usize,
    /// How often a leader that was told to end led no more when its time was over.
    pub hand_overs: usize,
    /// How often somebody began to lead.
    pub reigns: usize,
    /// How often other members were agreed upon, or written into everybody's file.
    pub reconfigurations: usize,
    /// Transactions that were shown.
    pub shown: usize,
    /// Answers that clients were given.
    pub told: usize,
}

impl AddAssign for Figures {
    fn add_assign(&mut self, more: Self) {
        self.crashes += more.crashes;
        self.hand_overs += more.hand_overs;
        self.reigns += more.reigns;
        self.reconfigurations += more.reconfigurations;
        self.shown += more.shown;
        self.told += more.told;
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { crashes, hand_overs, reigns, reconfigurations, shown, told } = self;
        write!(
            f,
            "{crashes} crashes, {hand_overs} hand-overs, {reigns} reigns, {reconfigurations} reconfigurations, {shown} transactions, {told} answers"
        )
    }
}

impl World {
    /// The seed's world; told as it goes, or silent.
    pub fn new(seed: u64, narrates: bool) -> Self {
        Self::with(seed, Plan::draw(seed), narrates)
    }

    /// The seed's world with another plan.
    pub fn with(seed: u64, plan: Plan, narrates: bool) -> Self {
        let dice = Dice::new(!seed);
        let count = plan.servers();
        let role = |id| if id <= plan.voters { "participant" } else { "observer" };
        let members = plan.voters + plan.observers;
        let configuration = |id| {
            let ids = (1..=members).chain((members < id).then_some(id));
            let lines: String = ids.map(|id| member(id, role(id)) + "\n").collect();
            Configuration::parse(&(lines + plan.weights)).expect("the world's configuration is one")
        };
        let server = |id| Server {
            is_deployed: id <= members || plan.reconfig,
            ..Server::new(ServerId(id as i64), configuration(id))
        };
        let servers = (1..=count).map(server).collect();
        let mut world = Self {
            dice,
            now_ms: 0,
            order: 0,
            at_once: 0,
            events: BinaryHeap::new(),
            wanted: VecDeque::new(),
            files: VecDeque::new(),
            deployed_anew: 0,
            servers,
            clients: (0..plan.clients).map(|number| Client::new(number, plan.keeps_watches)).collect(),
            links: BTreeMap::new(),
            next_link: 1,
            blocked: BTreeMap::new(),
            truth: Truth::default(),
            is_healing: false,
            crashes: 0,
            hand_overs: 0,
            reigns: 0,
            narrates,
            plan,
        };
        tell!(world, "{}", world.plan);
        for at in 0..count {
            world.start(at);
        }
        for fault in 0..world.plan.faults.len() {
            world.at(world.plan.faults[fault].0, Event::Fault(fault));
        }
        for client in 0..world.plan.clients {
            world.at(5, Event::Act { client });
        }
        world
    }

    /// Lives through all trouble, heals, and checks.
    pub fn run(&mut self) {
        while self.now_ms < self.plan.trouble_ms {
            self.step();
        }
        self.heal();
        let leader = self.leader().expect("a healed world is led");
        let members = leader.replica.configuration().expect("a leader is a member");
        self.truth.assert_members(members);
        assert!(self.plan.reconfig || self.are_in_files(members), "{members} holds, and stands in no file");
        self.truth.assert_told(&self.clients, &leader.tree);
    }

    /// How much happened so far.
    pub fn figures(&self) -> Figures {
        let told = self.clients.iter().map(|client| client.told().count()).sum();
        let reconfigurations = self.truth.reconfigurations() + self.deployed_anew;
        let shown = self.truth.len();
        let Self { crashes, hand_overs, reigns, .. } = *self;
        Figures { crashes, hand_overs, reigns, reconfigurations, shown, told }
    }

    fn at(&mut self, delay_ms: i64, event: Event) {
        self.order += 1;
        self.events.push(Reverse((self.now_ms + delay_ms, self.order, event)));
    }

    /// What a server's clocks say.
    fn now(&self, at: usize) -> Now {
        Now { monotonic_ms: self.now_ms, wall_ms: 1_000_000 + self.now_ms + self.servers[at].clock_ms }
    }

    /// Who has to do something about an event.
    fn doer(&self, event: &Event) -> Option<usize> {
        match event {
            Event::Deliver { link, to } => match self.links.get(link)?.ends[*to] {
                End::Server { at, .. } => Some(at),
                End::Client { .. } => None,
            },
            Event::Disk { at, .. }
            | Event::Wake { at, .. }
            | Event::Apply { at, .. }
            | Event::DialElection { at, .. }
            | Event::DialQuorum { at, .. }
            | Event::HandOver { at, .. }
            | Event::Ends { at, .. } => Some(*at),
            Event::Act { .. }
            | Event::Fault(_)
            | Event::Room { .. }
            | Event::Start { .. }
            | Event::Deploy
            | Event::Restart { .. } => None,
        }
    }

    fn step(&mut self) {
        let Reverse((at_ms, _, event)) = self.events.pop().expect("something always happens");
        self.at_once = if at_ms == self.now_ms { self.at_once + 1 } else { 0 };
        assert!(self.at_once < AT_ONCE_MAX, "time stands still: {event:?}, {}", self.state());
        self.now_ms = at_ms;
        let paused_until = self.doer(&event).map_or(0, |at| self.servers[at].paused_until);
        if at_ms < paused_until {
            self.at(paused_until - at_ms, event);
            return;
        }
        match event {
            Event::Deliver { link, to } => self.deliver(link, to),
            Event::Disk { at, life } if self.is_alive(at, life) => self.work_disk(at),
            Event::Wake { at, life } if self.is_alive(at, life) => self.wake(at),
            Event::Apply { at, life } if self.is_alive(at, life) => self.apply(at),
            Event::DialElection { at, life, peer } if self.is_alive(at, life) => self.dial_election(at, peer),
            Event::DialQuorum { at, life, leader, dial } if self.is_alive(at, life) => {
                self.dial_quorum(at, leader, dial);
            }
            Event::Act { client } => self.act(client),
            Event::Fault(fault) => self.suffer(self.plan.faults[fault].1),
            Event::Room { at, life } if self.is_alive(at, life) => self.make_room(at),
            Event::HandOver { at, life, down_ms } if self.is_alive(at, life) => self.hand_over(at, down_ms),
            Event::Ends { at, life, until_ms, down_ms } if self.is_alive(at, life) => {
                self.consider_end(at, until_ms, down_ms);
            }
            Event::Start { at } => self.start(at),
            Event::Deploy => self.deploy(),
            Event::Restart { at } => self.restart(at),
            _ => (),
        }
    }

    /// Nothing breaks any more; clients fall silent, and everybody becomes level.
    fn heal(&mut self) {
        tell!(self, "heals");
        self.is_healing = true;
        self.blocked.clear();
        for at in 0..self.servers.len() {
            self.servers[at].paused_until = 0;
            self.make_room(at);
            self.restart(at);
            self.start(at);
        }
        let until = self.now_ms + HEALING_MS;
        while self.now_ms < until {
            self.step();
            if self.order.is_multiple_of(64) && self.is_level() {
                return;
            }
        }
        panic!("nobody leads everybody although nothing is broken: {}", self.state());
    }

    /// What everybody is doing, for people.
    pub(super) fn state(&self) -> String {
        let server = |server: &Server| match server.running.as_deref() {
            None => format!("\n  {} is down", server.id),
            Some(running) => {
                let (status, positions) = (running.replica.ensemble_status(), running.replica.positions());
                let (tree, waiting) = (running.tree.last_zxid(), running.operations.len());
                let next =
                    server.next.iter().map(|next| format!(", may come to hold {:?}", next.to_string()));
                format!(
                    "\n  {}: {status:?}, tree at {tree}, {positions:?}, {waiting} for the disk, holds {:?}{}",
                    server.id,
                    server.configuration.to_string(),
                    next.collect::<String>()
                )
            }
        };
        let alive = |client: &Client| {
            let alive = client.refused.iter().filter(|session| !self.truth.has_ended(**session));
            format!(
                "\n  client {} was refused {:?}, which did not end",
                client.number,
                alive.collect::<Vec<_>>()
            )
        };
        let refused = self.clients.iter().map(alive);
        let waiting = |client: &Client| {
            let first = client.asked.front();
            let proposed = first.map(|asked| self.truth.proposals(asked.session, asked.xid));
            let (number, conn) = (client.number, client.conn);
            format!(
                "\n  client {number} waits over {conn:?} for {:?}, proposed at {proposed:?}",
                client.asked
            )
        };
        let waits = self.clients.iter().map(waiting);
        self.servers.iter().map(server).chain(waits).chain(refused).collect()
    }

    /// Who leads, in the newest epoch.
    fn leader(&self) -> Option<&Running> {
        self.leader_place().and_then(|at| self.servers[at].running.as_deref())
    }

    /// The same by its place.
    fn leader_place(&self) -> Option<usize> {
        let leading = (0..self.servers.len()).filter_map(|at| Some((self.epoch_led_by(at)?, at)));
        leading.max().map(|(_, at)| at)
    }

    /// Which epoch a server leads, if it does; perhaps behind its back somebody leads another.
    fn epoch_led_by(&self, at: usize) -> Option<Epoch> {
        let status = self.servers[at].running.as_ref()?.replica.ensemble_status()?;
        (status.serving == Serving::Leading).then_some(status.epoch)
    }

    fn leads(&self, at: usize) -> bool {
        self.epoch_led_by(at).is_some()
    }

    /// Of those that are members as the leader says; what others do is their own business.
    fn is_level(&self) -> bool {
        let Some(leader) = self.leader() else { return false };
        let configuration = leader.replica.configuration().expect("a leader is a member");
        let running: Option<Vec<_>> = configuration
            .members()
            .iter()
            .map(|member| self.servers[place(member.id())].running.as_deref())
            .collect();
        let Some(running) = running else { return false };
        // Clients are silent, so all sessions end.
        let is_deserted = running.iter().all(|each| each.tree.sessions().next().is_none());
        let serves = |each: &&Running| each.replica.is_serving() && each.operations.is_empty();
        let is_silent = self.clients.iter().all(|client| client.asked.is_empty());
        // Who was told that its session is over was told the truth, at the latest when silent sessions have expired.
        let is_over =
            self.clients.iter().flat_map(|client| &client.refused).all(|each| self.truth.has_ended(*each));
        // Somebody may have applied a commit before its leader has, and sessions are in no digest.
        let is_newest = self.truth.newest() <= leader.tree.last_zxid();
        let digest = leader.tree.digest();
        let knows_members = |each: &&Running| each.replica.configuration() == Some(configuration);
        let is_level = |each| serves(each) && each.tree.digest() == digest && knows_members(each);
        is_silent && is_over && is_deserted && is_newest && running.iter().all(is_level)
    }
}

/// A server's number among all, from 0.
fn place(id: ServerId) -> usize {
    id.0 as usize - 1
}

/// A line of a configuration.
fn member(id: usize, role: &str) -> String {
    format!("server.{id}=h{id}:2888:3888:{role};2181")
}

fn identities() -> Vec<Id<'static>> {
    vec![Id::new("ip", "127.0.0.1")]
}
