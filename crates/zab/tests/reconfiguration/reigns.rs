//! A few servers that lead and follow one another, packet by packet, in an order that a story names. Disks are quick.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use zabd_jute::quorum::{Configuration, FromLeader, LearnerKind, QuorumPacket};
use zabd_jute::{Epoch, Limits, Reader, Record as _, ServerId, Zxid};
use zabd_zab::effect::{DialId, Durable, Effect, Effects, LinkId, Testing};
use zabd_zab::history::History;
use zabd_zab::leader::{self, Leader};
use zabd_zab::learner::{self, Learner};

use crate::stage::{NOW, TIMING, configuration, zxid};

/// Where everybody's log ends, in epoch 5, when a story begins.
const LAST: Zxid = Zxid(0x5_0000_0008);

enum Role {
    Nothing,
    Leading(Box<Leader>),
    Learning(Box<Learner>),
}

struct Server {
    accepted: Epoch,
    current: Epoch,
    holds: Configuration,
    noted: Option<Configuration>,
    log: Vec<(Zxid, Bytes)>,
    role: Role,
    is_established: bool,
    committed: Zxid,
}

struct Link {
    leader: i64,
    learner: i64,
    /// The packet in front of which it breaks.
    until: &'static str,
}

/// See the module's description.
pub struct Reigns {
    servers: BTreeMap<i64, Server>,
    links: BTreeMap<LinkId, Link>,
    /// Of the connection that is made next.
    until: &'static str,
    effects: VecDeque<(i64, Effect, Bytes)>,
}

fn name_of(packet: &[u8]) -> &'static str {
    let packet = QuorumPacket::decode(&mut Reader::new(packet)).unwrap();
    match FromLeader::decode(&packet).unwrap().unwrap() {
        FromLeader::NewLeader { .. } => "NEWLEADER",
        FromLeader::UpToDate => "UPTODATE",
        _ => "",
    }
}

impl Reigns {
    /// Servers that all hold these members, and have the same history.
    pub fn new(members: &str, servers: &[i64]) -> Self {
        let server = |id: &i64| {
            let server = Server {
                accepted: Epoch(5),
                current: Epoch(5),
                holds: configuration(members, zxid(1, 0)),
                noted: None,
                log: Vec::new(),
                role: Role::Nothing,
                is_established: false,
                committed: Zxid::ZERO,
            };
            (*id, server)
        };
        let servers = servers.iter().map(server).collect();
        Self { servers, links: BTreeMap::new(), until: "", effects: VecDeque::new() }
    }

    /// A change is written down, and in the log if that reaches so far.
    pub fn note(&mut self, id: i64, members: &str, counter: u32) {
        self.server(id).noted = Some(configuration(members, zxid(5, counter)));
    }

    fn server(&mut self, id: i64) -> &mut Server {
        self.servers.get_mut(&id).expect("one of the story's servers")
    }

    pub fn lead(&mut self, id: i64) {
        let mut effects = Effects::default();
        let server = self.server(id);
        let start = leader::Start {
            me: ServerId(id),
            timing: TIMING,
            limits: Limits::default(),
            accepted: server.accepted,
            current: server.current,
            configuration: server.holds.clone(),
            next: server.noted.clone(),
            is_next_logged: is_logged(server.noted.as_ref()),
            lists: zabd_zab::quorum::Lists::default(),
            reconfig: true,
            history: history(&server.log),
            electing: BTreeSet::new(),
            testing: Testing::default(),
        };
        server.role = Role::Leading(Box::new(Leader::new(NOW, start, &mut effects)));
        self.carry_out(id, effects);
    }

    pub fn follow(&mut self, id: i64, leader: i64) {
        self.follow_until(id, leader, "");
    }

    /// The connection breaks right before this packet comes.
    pub fn follow_until(&mut self, id: i64, leader: i64, until: &'static str) {
        self.until = until;
        let mut effects = Effects::default();
        let server = self.server(id);
        let start = learner::Start {
            me: ServerId(id),
            leader: ServerId(leader),
            kind: LearnerKind::Follower,
            timing: TIMING,
            limits: Limits::default(),
            accepted: server.accepted,
            current: server.current,
            configuration: server.holds.clone(),
            next: server.noted.clone(),
            is_next_logged: is_logged(server.noted.as_ref()),
            lists: zabd_zab::quorum::Lists::default(),
            reconfig: true,
            history: history(&server.log),
            vouches: true,
            begins_anew: false,
            is_partial: false,
            needs_snapshot: false,
            elected_with: None,
            masters: Vec::new(),
            dial: DialId(1),
            testing: Testing::default(),
        };
        server.role = Role::Learning(Box::new(Learner::new(NOW, start, &mut effects)));
        self.carry_out(id, effects);
    }

    pub fn propose(&mut self, id: i64) {
        let Role::Leading(leader) = &self.server(id).role else { panic!("{id} does not lead") };
        let zxid = leader.proposed().next();
        let entry = Bytes::from_static(b"x");
        self.lead_step(id, leader::Input::Propose { zxid, entry, configuration: None });
        self.work_off();
    }

    /// Whether a quorum has its initial history, as far as it knows.
    pub fn reigns(&self, id: i64) -> bool {
        self.servers[&id].is_established
    }

    pub fn committed(&self, id: i64) -> Zxid {
        self.servers[&id].committed
    }

    /// What its disk says: `epoch 6, holds 1 2 3, noted 3 4 5, logged 6:2`.
    pub fn disk(&self, id: i64) -> String {
        let Server { current, holds, noted, log, .. } = &self.servers[&id];
        let ids = |members: &Configuration| {
            let ids: Vec<_> = members.members().iter().map(|member| member.id().to_string()).collect();
            ids.join(" ")
        };
        let noted = noted.as_ref().map_or("nothing".to_owned(), ids);
        let last = log.last().map_or(LAST, |(zxid, _)| *zxid);
        let (epoch, counter) = (last.epoch(), last.counter());
        format!("epoch {current}, holds {}, noted {noted}, logged {epoch}:{counter}", ids(holds))
    }

    /// All of these have the same on their disks.
    pub fn assert_disks(&self, ids: &[i64], expected: &str) {
        for id in ids {
            assert_eq!(self.disk(*id), expected, "{id}");
        }
    }

    fn lead_step(&mut self, id: i64, input: leader::Input) {
        let mut effects = Effects::default();
        if let Role::Leading(leader) = &mut self.server(id).role {
            leader.step(NOW, input, &mut effects);
        }
        self.queue(id, effects);
    }

    fn learn_step(&mut self, id: i64, input: learner::Input) {
        let mut effects = Effects::default();
        if let Role::Learning(learner) = &mut self.server(id).role {
            learner.step(NOW, input, &mut effects);
        }
        self.queue(id, effects);
    }

    fn queue(&mut self, id: i64, effects: Effects) {
        let bytes = Bytes::from(effects.bytes);
        self.effects.extend(effects.list.into_iter().map(|effect| (id, effect, bytes.clone())));
    }

    fn carry_out(&mut self, id: i64, effects: Effects) {
        self.queue(id, effects);
        self.work_off();
    }

    fn work_off(&mut self) {
        while let Some((id, effect, bytes)) = self.effects.pop_front() {
            self.carry_out_one(id, effect, &bytes);
        }
    }

    fn carry_out_one(&mut self, id: i64, effect: Effect, bytes: &Bytes) {
        match effect {
            Effect::Dial { leader, dial } => {
                let link = LinkId(self.links.keys().last().map_or(1, |last| last.0 + 1));
                let until = std::mem::take(&mut self.until);
                self.links.insert(link, Link { leader: leader.0, learner: id, until });
                self.lead_step(leader.0, leader::Input::Accepted { link });
                self.learn_step(id, learner::Input::Connected { dial, link });
            }
            Effect::Send { link, bytes: part } => self.send(id, link, bytes.slice(part)),
            Effect::Close { link } => self.cut(link),
            Effect::Persist(what) => {
                self.persist(id, &what);
                self.lead_step(id, leader::Input::Persisted(what.clone()));
                self.learn_step(id, learner::Input::Persisted(what));
            }
            Effect::Append { zxid, entry } => {
                self.server(id).log.push((zxid, entry));
                self.lead_step(id, leader::Input::Synced { upto: zxid });
                self.learn_step(id, learner::Input::Synced { upto: zxid });
            }
            Effect::Commit { upto } => self.server(id).committed = upto,
            Effect::Serve { leader, .. } => self.server(id).is_established = leader.0 == id,
            Effect::Leave(_) => {
                let server = self.server(id);
                (server.role, server.is_established) = (Role::Nothing, false);
            }
            Effect::TakeSnapshot { .. } | Effect::LookUp { .. } | Effect::Truncate { .. } => {
                panic!("{effect:?}: everybody's history goes on where the leader's does");
            }
            _ => (),
        }
    }

    fn send(&mut self, from: i64, link: LinkId, packet: Bytes) {
        let Some(Link { leader, learner, until }) = self.links.get(&link) else { return };
        let (leader, learner) = (*leader, *learner);
        if from == learner {
            self.lead_step(leader, leader::Input::Packet { link, packet });
        } else if !until.is_empty() && *until == name_of(&packet) {
            self.cut(link);
        } else {
            self.learn_step(learner, learner::Input::Packet { packet });
        }
    }

    fn cut(&mut self, link: LinkId) {
        if let Some(Link { leader, learner, .. }) = self.links.remove(&link) {
            self.lead_step(leader, leader::Input::Closed { link });
            self.learn_step(learner, learner::Input::Closed);
        }
    }

    fn persist(&mut self, id: i64, what: &Durable) {
        let server = self.server(id);
        match what {
            Durable::Accepted(epoch) => server.accepted = *epoch,
            Durable::Current(epoch) => server.current = *epoch,
            Durable::NextConfiguration(next) => {
                server.noted = Some((**next).clone()).filter(|next| server.holds.version() < next.version());
            }
            Durable::Configuration(held) => {
                server.holds = (**held).clone();
                server.noted.take_if(|noted| noted.version() <= held.version());
            }
            Durable::Lists(_) => unreachable!("the members have a number here"),
            Durable::Partial(_) => unreachable!("everybody here vouches for what it has"),
        }
    }
}

fn history(log: &[(Zxid, Bytes)]) -> History {
    let mut history = History::new(LAST);
    for (zxid, entry) in log {
        history.push(*zxid, entry.clone());
    }
    history
}

fn is_logged(noted: Option<&Configuration>) -> bool {
    noted.is_some_and(|noted| Zxid(noted.version().0) <= LAST)
}
