//! A leader, or a learner, alone with what it says.

use std::collections::BTreeSet;

use bytes::Bytes;
use zabd_jute::quorum::{
    Configuration, FromLeader, FromLearner, LearnerInfo, LearnerKind, QuorumPacket, Role, Sections,
};
use zabd_jute::txn::{Entry, Txn, TxnHeader};
use zabd_jute::{
    ConfigVersion, Epoch, Limits, OpCode, Reader, Record as _, ServerId, SessionId, Writer, Zxid,
};
use zabd_zab::effect::{DialId, Durable, Effect, Effects, Instant, LinkId, Testing, Timing};
use zabd_zab::history::History;
use zabd_zab::leader::{self, Leader};
use zabd_zab::learner::{self, Learner};

pub const TIMING: Timing = Timing { tick_ms: 100, init_limit: 10, sync_limit: 5, connect_delay_ms: 10 };
pub const NOW: Instant = Instant(0);

pub fn zxid(epoch: i64, counter: u32) -> Zxid {
    Zxid::new(Epoch(epoch), counter)
}

/// `1 2 o3`: two voters and an observer.
pub fn configuration(members: &str, version: Zxid) -> Configuration {
    let line = |word: &str| match word.strip_prefix('o') {
        Some(id) => format!("server.{id}=h{id}:1:2:observer"),
        None => format!("server.{word}=h{word}:1:2:participant"),
    };
    let lines: Vec<_> = members.split(' ').map(line).collect();
    Configuration::parse(&lines.join("\n")).unwrap().with_version(version.into())
}

fn named(configuration: &Configuration) -> String {
    let members = configuration.members().iter().map(|member| match member.role() {
        Role::Participant => member.id().to_string(),
        Role::Observer => format!("o{}", member.id()),
    });
    let members: Vec<_> = members.collect();
    format!("[{}] version {}", members.join(" "), position(Zxid(configuration.version().0)))
}

fn position(zxid: Zxid) -> String {
    format!("{}:{}", zxid.epoch().0, zxid.counter())
}

fn durable(what: &Durable) -> String {
    match what {
        Durable::Accepted(epoch) => format!("disk accepted {}", epoch.0),
        Durable::Current(epoch) => format!("disk current {}", epoch.0),
        Durable::Lists(lists) => format!("disk lists {lists}"),
        Durable::Partial(is_partial) => format!("disk partial {is_partial}"),
        Durable::NextConfiguration(next) => format!("disk next {}", named(next)),
        Durable::Configuration(held) => format!("disk holds {}", named(held)),
    }
}

/// Nothing of what is only to say that the leader lives.
fn said(packet: &[u8]) -> Option<String> {
    let packet = QuorumPacket::decode(&mut Reader::new(packet)).unwrap();
    Some(match FromLeader::decode(&packet).unwrap().unwrap() {
        FromLeader::Ping { .. } => return None,
        FromLeader::LeaderInfo { epoch, .. } => format!("LEADERINFO {}", epoch.0),
        FromLeader::Diff { zxid } => format!("DIFF {}", position(zxid)),
        FromLeader::NewLeader { zxid, config } => {
            let config = Configuration::parse(&config.unwrap()).unwrap();
            format!("NEWLEADER {} {}", position(zxid), named(&config))
        }
        FromLeader::UpToDate => "UPTODATE".to_owned(),
        FromLeader::Proposal { zxid, .. } => format!("PROPOSAL {}", position(zxid)),
        FromLeader::Commit { zxid } => format!("COMMIT {}", position(zxid)),
        FromLeader::CommitAndActivate { zxid, leader } => {
            format!("COMMITANDACTIVATE {} led by {leader}", position(zxid))
        }
        other => panic!("{other:?} is not a part of these stories"),
    })
}

fn compare(told: &[String], expected: &str) {
    let expected: Vec<_> = expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(told, expected, "\n{}\n", told.join("\n"));
}

/// What both kinds tell of alike; nothing of what is said or asked.
fn common(effect: &Effect) -> Option<String> {
    Some(match effect {
        Effect::Persist(what) => durable(what),
        Effect::Append { zxid, .. } => format!("logs {}", position(*zxid)),
        Effect::Commit { upto } => format!("commits {}", position(*upto)),
        Effect::Serve { epoch, .. } => format!("serves {}", epoch.0),
        Effect::Leave(reason) => format!("leaves {reason:?}"),
        _ => return None,
    })
}

/// Positions of an epoch have no gaps; of what is behind its end another epoch knows nothing.
fn is_reached(next: Option<(&str, i64, u32)>, last: Zxid) -> bool {
    next.is_some_and(|(_, epoch, counter)| Epoch(epoch) == last.epoch() && counter <= last.counter())
}

/// Server 1 leads; its disk is quick.
pub struct LeaderStage {
    leader: Leader,
    effects: Effects,
    told: Vec<String>,
    last: Zxid,
}

impl LeaderStage {
    pub fn new(members: &str, version: i64) -> Self {
        Self::start(configuration(members, Zxid(version)), None, Zxid::ZERO)
    }

    /// The newer configuration was proposed at the last position of the log, in epoch 0.
    pub fn with_next(members: &str, next: &str, last: u32) -> Self {
        let next = configuration(next, zxid(0, last));
        Self::start(configuration(members, Zxid(1)), Some(next), zxid(0, last))
    }

    /// An established leader with these followers, of whom not all need be members.
    pub fn led(members: &str, followers: &[i64]) -> Self {
        let mut stage = Self::new(members, 0);
        for id in followers {
            stage.follow(*id);
        }
        stage.drain();
        stage
    }

    fn start(configuration: Configuration, next: Option<Configuration>, last: Zxid) -> Self {
        let mut effects = Effects::default();
        let start = leader::Start {
            me: ServerId(1),
            timing: TIMING,
            limits: Limits::default(),
            accepted: Epoch(0),
            current: Epoch(0),
            configuration,
            is_next_logged: next.is_some(),
            next,
            lists: zabd_zab::quorum::Lists::default(),
            reconfig: true,
            history: History::new(last),
            electing: BTreeSet::new(),
            testing: Testing::default(),
        };
        let leader = Leader::new(NOW, start, &mut effects);
        Self { leader, effects, told: Vec::new(), last }
    }

    fn step(&mut self, input: leader::Input) {
        self.leader.step(NOW, input, &mut self.effects);
        while !self.effects.list.is_empty() {
            let effects = std::mem::take(&mut self.effects.list);
            let bytes = std::mem::take(&mut self.effects.bytes);
            for effect in effects {
                self.carry_out(effect, &bytes);
            }
        }
    }

    fn carry_out(&mut self, effect: Effect, bytes: &[u8]) {
        self.told.extend(common(&effect));
        match effect {
            Effect::Persist(what) => self.leader.step(NOW, leader::Input::Persisted(what), &mut self.effects),
            Effect::Send { link, bytes: part } => {
                let Some(packet) = said(&bytes[part]) else { return };
                // Whoever is told of an epoch promises it, and what is sent is on disk at once.
                self.told.push(format!("{} <- {packet}", link.0));
                if packet.starts_with("LEADERINFO") {
                    let last_zxid = self.last;
                    self.say(link.0, &FromLearner::AckEpoch { last_zxid, current: Some(Epoch(0)) });
                } else if packet.starts_with("NEWLEADER") {
                    self.say(link.0, &FromLearner::Ack { zxid: zxid(1, 0) });
                }
            }
            Effect::Close { link } => self.told.push(format!("{} closed", link.0)),
            _ => (),
        }
    }

    fn say(&mut self, from: u64, packet: &FromLearner<'_>) {
        let mut bytes = Vec::new();
        packet.encode(&mut Writer::new(&mut bytes));
        let input = leader::Input::Packet { link: LinkId(from), packet: bytes.into() };
        self.leader.step(NOW, input, &mut self.effects);
    }

    /// A follower connects, whose history is what the leader began with.
    pub fn follow(&mut self, id: i64) {
        self.step(leader::Input::Accepted { link: LinkId(id as u64) });
        let info = LearnerInfo {
            server: ServerId(id),
            protocol_version: Some(LearnerInfo::PROTOCOL_VERSION),
            config_version: Some(ConfigVersion::ZERO),
        };
        self.say(
            id as u64,
            &FromLearner::Info {
                kind: LearnerKind::Follower,
                accepted: Epoch(0),
                info: Some(info),
                behind: Sections::default(),
            },
        );
        self.step(leader::Input::Closed { link: LinkId(u64::MAX) });
    }

    pub fn reconfigure(&mut self, members: &str) {
        let zxid = self.leader.proposed().next();
        let configuration = Some(Box::new(configuration(members, zxid)));
        self.step(leader::Input::Propose { zxid, entry: Bytes::from_static(b"members"), configuration });
    }

    pub fn propose(&mut self) {
        let zxid = self.leader.proposed().next();
        self.step(leader::Input::Propose { zxid, entry: Bytes::from_static(b"x"), configuration: None });
    }

    /// The leader's own log has all that was proposed.
    pub fn synced(&mut self) {
        let upto = self.leader.proposed();
        self.step(leader::Input::Synced { upto });
    }

    /// A follower's log has the first proposal.
    pub fn acknowledge(&mut self, id: i64) {
        self.acknowledge_upto(id, 1);
    }

    pub fn acknowledge_upto(&mut self, id: i64, counter: u32) {
        self.say(id as u64, &FromLearner::Ack { zxid: zxid(1, counter) });
        self.step(leader::Input::Closed { link: LinkId(u64::MAX) });
    }

    /// Forgets what was told so far.
    pub fn drain(&mut self) {
        self.told.clear();
    }

    /// Holds what was told since the last time against what is expected.
    pub fn check(&mut self, expected: &str) {
        compare(&std::mem::take(&mut self.told), expected);
    }
}

/// A server that follows server 1, with an empty log; its disk is quick.
pub struct LearnerStage {
    learner: Learner,
    effects: Effects,
    told: Vec<String>,
    shown: Option<Configuration>,
}

impl LearnerStage {
    pub fn new(me: i64, members: &str, next: Option<(&str, i64, u32)>) -> Self {
        Self::with_log(me, members, next, Zxid::ZERO)
    }

    /// A server whose log ends here; what is `next` is in it, if it reaches that far in that epoch.
    pub fn with_log(me: i64, members: &str, next: Option<(&str, i64, u32)>, last: Zxid) -> Self {
        Self::holding(me, configuration(members, Zxid::ZERO), next, is_reached(next, last), last)
    }

    /// The same, and what it holds has a number.
    pub fn numbered(me: i64, members: &str, next: Option<(&str, i64, u32)>, last: Zxid) -> Self {
        Self::holding(me, configuration(members, zxid(1, 0)), next, is_reached(next, last), last)
    }

    /// A server whose tree does not show what is `next`, however far its log reaches.
    pub fn in_doubt(me: i64, members: &str, next: (&str, i64, u32), last: Zxid) -> Self {
        Self::holding(me, configuration(members, zxid(1, 0)), Some(next), false, last)
    }

    fn holding(
        me: i64,
        held: Configuration,
        next: Option<(&str, i64, u32)>,
        is_next_logged: bool,
        last: Zxid,
    ) -> Self {
        let observes = held.member(ServerId(me)).is_some_and(|member| !member.is_voter());
        let mut effects = Effects::default();
        let start = learner::Start {
            me: ServerId(me),
            leader: ServerId(1),
            kind: if observes { LearnerKind::Observer } else { LearnerKind::Follower },
            timing: TIMING,
            limits: Limits::default(),
            accepted: Epoch(1),
            current: Epoch(1),
            configuration: held,
            next: next.map(|(members, epoch, counter)| configuration(members, zxid(epoch, counter))),
            is_next_logged,
            lists: zabd_zab::quorum::Lists::default(),
            reconfig: true,
            history: History::new(last),
            vouches: true,
            begins_anew: false,
            is_partial: false,
            needs_snapshot: false,
            elected_with: None,
            masters: Vec::new(),
            dial: DialId(1),
            testing: Testing::default(),
        };
        let learner = Learner::new(NOW, start, &mut effects);
        let mut stage = Self { learner, effects, told: Vec::new(), shown: None };
        stage.step(learner::Input::Connected { dial: DialId(1), link: LinkId(1) });
        stage
    }

    fn step(&mut self, input: learner::Input) {
        self.learner.step(NOW, input, &mut self.effects);
        while !self.effects.list.is_empty() {
            for effect in std::mem::take(&mut self.effects.list) {
                self.told.extend(common(&effect));
                match effect {
                    Effect::Persist(what) => {
                        self.learner.step(NOW, learner::Input::Persisted(what), &mut self.effects);
                    }
                    Effect::Truncate { zxid } => {
                        self.told.push(format!("cuts {}", position(zxid)));
                        self.rebase(zxid);
                    }
                    Effect::Adopt { zxid, .. } => {
                        self.told.push(format!("adopts {}", position(zxid)));
                        self.rebase(zxid);
                    }
                    Effect::Close { .. } => self.told.push("closed".to_owned()),
                    _ => (),
                }
            }
        }
    }

    fn rebase(&mut self, last: Zxid) {
        let shown = self.shown.clone().map(Box::new);
        self.learner.step(NOW, learner::Input::Rebased { last, shown }, &mut self.effects);
    }

    /// What the tree shows that the leader's snapshot makes, or what is left of the log.
    pub fn shows(&mut self, members: &str, version: Zxid) {
        self.shown = Some(configuration(members, version));
    }

    pub fn receive_snapshot(&mut self) {
        let shown = self.shown.clone().map(Box::new);
        self.step(learner::Input::SnapshotReceived { shown });
    }

    fn hear(&mut self, packet: &FromLeader<'_>) {
        let mut bytes = Vec::new();
        packet.encode(&mut Writer::new(&mut bytes));
        self.step(learner::Input::Packet { packet: bytes.into() });
    }

    /// The leader of epoch 2 says so, and where this server is to go on.
    pub fn is_led(&mut self, goes_on: &FromLeader<'_>) {
        let protocol_version = LearnerInfo::PROTOCOL_VERSION;
        self.hear(&FromLeader::LeaderInfo { epoch: Epoch(2), protocol_version });
        self.hear(goes_on);
    }

    pub fn hear_new_leader(&mut self, members: &str, version: Zxid) {
        let config = configuration(members, version).to_string();
        self.hear(&FromLeader::NewLeader { zxid: zxid(2, 0), config: Some(config.into()) });
    }

    pub fn hear_up_to_date(&mut self) {
        self.hear(&FromLeader::UpToDate);
    }

    /// A proposal to change the members.
    pub fn hear_change(&mut self, zxid: Zxid, members: &str) {
        let text = configuration(members, zxid).to_string();
        let header =
            TxnHeader { session: SessionId(1), cxid: 0, zxid, time_ms: 0, kind: OpCode::Reconfig.code() };
        let txn = Txn::SetData { path: "/zookeeper/config".into(), data: Some(text.as_bytes()), version: -1 };
        let mut bytes = Vec::new();
        Entry { header, txn, digest: None }.encode(&mut Writer::new(&mut bytes));
        self.hear(&FromLeader::Proposal { zxid, txn: &bytes });
    }

    /// One that changes nothing of that.
    pub fn hear_proposal(&mut self, zxid: Zxid) {
        self.hear(&FromLeader::Proposal { zxid, txn: b"x" });
    }

    pub fn hear_activation(&mut self, zxid: Zxid) {
        self.hear(&FromLeader::CommitAndActivate { zxid, leader: ServerId(1) });
    }

    pub fn hear_commit(&mut self, zxid: Zxid) {
        self.hear(&FromLeader::Commit { zxid });
    }

    /// The leader of epoch 2 has no more than this server, and these members.
    pub fn synchronise(&mut self, members: &str, epoch: i64, counter: u32) {
        let version = zxid(epoch, counter);
        self.is_led(&FromLeader::Diff { zxid: version });
        self.hear_new_leader(members, version);
        self.hear_up_to_date();
    }

    /// Holds what was told since the last time against what is expected.
    pub fn check(&mut self, expected: &str) {
        compare(&std::mem::take(&mut self.told), expected);
    }
}
