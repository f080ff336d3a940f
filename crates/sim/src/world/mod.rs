//! The world of one seed: events in the order of their times, and nothing else.
//!
//! In reading order: this file (what there is, and time), `trouble`, `network`, `servers`, `clients`.

mod clients;
mod network;
mod servers;
mod trouble;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};

use bytes::Bytes;
use zabd_jute::quorum::Configuration;
use zabd_jute::{Id, ServerId, Zxid};
use zabd_replica::{Now, Serving, SessionRequest};

use crate::client::{Asking, Client};
use crate::dice::Dice;
use crate::plan::Plan;
use crate::server::{Running, Server};
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
    Image(Vec<u8>),
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
    DialElection { at: usize, life: u64, peer: i64 },
    DialQuorum { at: usize, life: u64, leader: i64 },
    Act { client: usize },
    Decide,
}

/// See the module's description.
#[derive(Debug)]
pub struct World {
    /// What it is like.
    pub plan: Plan,
    dice: Dice,
    now_ms: i64,
    order: u64,
    events: BinaryHeap<Reverse<(i64, u64, Event)>>,
    configuration: Configuration,
    servers: Vec<Server>,
    clients: Vec<Client>,
    links: BTreeMap<u64, Link>,
    next_link: u64,
    /// From whom nothing arrives at whom.
    blocked: BTreeSet<(usize, usize)>,
    truth: Truth,
    is_healing: bool,
    /// How often servers crashed.
    pub crashes: usize,
    /// How often somebody began to lead.
    pub reigns: usize,
    narrates: bool,
}

impl World {
    /// The seed's world; told as it goes, or silent.
    pub fn new(seed: u64, narrates: bool) -> Self {
        let mut dice = Dice::new(seed);
        let plan = Plan::draw(&mut dice);
        let count = plan.voters + plan.observers;
        let role = |id| if id <= plan.voters { "participant" } else { "observer" };
        let lines = (1..=count).map(|id| format!("server.{id}=h{id}:2888:3888:{}", role(id)));
        let text = lines.collect::<Vec<_>>().join("\n");
        let mut world = Self {
            dice,
            now_ms: 0,
            order: 0,
            events: BinaryHeap::new(),
            configuration: Configuration::parse(&text).expect("the world's configuration is one"),
            servers: (1..=count).map(|id| Server::new(ServerId(id as i64))).collect(),
            clients: (0..plan.clients).map(Client::new).collect(),
            links: BTreeMap::new(),
            next_link: 1,
            blocked: BTreeSet::new(),
            truth: Truth::default(),
            is_healing: false,
            crashes: 0,
            reigns: 0,
            narrates,
            plan,
        };
        tell!(world, "{:?}", world.plan);
        for at in 0..count {
            world.start(at);
        }
        for client in 0..world.plan.clients {
            world.at(5, Event::Act { client });
        }
        world.at(Plan::DECISION_MS, Event::Decide);
        world
    }

    /// Lives through all trouble, heals, and checks.
    pub fn run(&mut self) {
        while self.now_ms < self.plan.trouble_ms {
            self.step();
        }
        self.heal();
        let told: Vec<_> = self.clients.iter().flat_map(|client| client.told.iter().cloned()).collect();
        let last = &self.servers[0].running.as_ref().expect("a healed server runs").tree;
        self.truth.assert_told(&told, last);
    }

    /// How many transactions were shown, and how many answers given.
    pub fn figures(&self) -> (usize, usize) {
        (self.truth.len(), self.clients.iter().map(|client| client.told.len()).sum())
    }

    fn at(&mut self, delay_ms: i64, event: Event) {
        self.order += 1;
        self.events.push(Reverse((self.now_ms + delay_ms, self.order, event)));
    }

    fn now(&self) -> Now {
        Now { monotonic_ms: self.now_ms, wall_ms: 1_000_000 + self.now_ms }
    }

    fn step(&mut self) {
        let Reverse((at_ms, _, event)) = self.events.pop().expect("something always happens");
        self.now_ms = at_ms;
        match event {
            Event::Deliver { link, to } => self.deliver(link, to),
            Event::Disk { at, life } if self.is_alive(at, life) => self.work_disk(at),
            Event::Wake { at, life } if self.is_alive(at, life) => self.wake(at),
            Event::DialElection { at, life, peer } if self.is_alive(at, life) => self.dial_election(at, peer),
            Event::DialQuorum { at, life, leader } if self.is_alive(at, life) => self.dial_quorum(at, leader),
            Event::Act { client } => self.act(client),
            Event::Decide => self.decide(),
            _ => (),
        }
    }

    /// Nothing breaks any more; clients fall silent, and everybody becomes level.
    fn heal(&mut self) {
        tell!(self, "heals");
        self.is_healing = true;
        self.plan = self.plan.clone().calm();
        self.blocked.clear();
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
    fn state(&self) -> String {
        let server = |server: &Server| match server.running.as_deref() {
            None => format!("\n  {} is down", server.id),
            Some(running) => {
                let (status, positions) = (running.replica.ensemble_status(), running.replica.positions());
                let (tree, waiting) = (running.tree.last_zxid(), running.operations.len());
                format!(
                    "\n  {}: {status:?}, tree at {tree}, {positions:?}, {waiting} for the disk",
                    server.id
                )
            }
        };
        let waits =
            self.clients.iter().map(|each| format!("\n  client {} waits for {:?}", each.number, each.asked));
        self.servers.iter().map(server).chain(waits).collect()
    }

    fn is_level(&self) -> bool {
        let running: Option<Vec<_>> = self.servers.iter().map(|server| server.running.as_deref()).collect();
        let Some(running) = running else { return false };
        let ends = |each: &&Running| (each.tree.last_zxid().0 & 0xffff_ffff, each.tree.digest());
        let serves = |each: &&Running| each.replica.is_serving() && each.operations.is_empty();
        let is_silent = self.clients.iter().all(|client| client.asked.is_empty());
        let is_led = running
            .iter()
            .any(|each| each.replica.ensemble_status().is_some_and(|s| s.serving == Serving::Leading));
        let digest = running.first().map(|each| ends(each).1);
        is_silent && is_led && running.iter().all(|each| serves(each) && Some(ends(each).1) == digest)
    }
}

fn identities() -> Vec<Id<'static>> {
    vec![Id::new("ip", "127.0.0.1")]
}
