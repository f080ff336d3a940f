//! Java's recorded learners speak, and our leader answers in the place of Java's.
//!
//! One reign at a time: all connections to one leader in one epoch, in the order of time. What only the world decides is
//! taken from the capture: which transactions are proposed, and when; when the leader's own disk has its epoch (with Java's
//! first UPTODATE) and a record (with Java's commit, which a disk that is slower does not hold up); whether a session goes on; which moments are half ticks.
//! Who is sent what, in which order and with which bytes is ours.
//!
//! Some captures begin in the middle of a reign. Then a follower that nobody recorded stands in for those that had made
//! the leader: it promises, and acknowledges whatever Java commits.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use zabd_jute::quorum::{Configuration, FromLeader, FromLearner, LearnerInfo, LearnerKind, Sections};
use zabd_jute::txn::{Entry, Txn};
use zabd_jute::{ConfigVersion, Epoch, Limits, OpCode, Reader, ServerId, Writer, Zxid};
use zabd_zab::effect::{Durable, Effect, Effects, Instant, LinkId, Testing, Timing};
use zabd_zab::history::History;
use zabd_zab::leader::{Input, Leader, Start};

use crate::capture::{Record, SNAPSHOT, STAND_IN, What, encoded, introduction, read};
use crate::compare::Side;
use crate::{has_reconfig, timing};

/// The connection of the follower that stands in.
const UNRECORDED: LinkId = LinkId(u64::MAX);
/// So long that memory does not keep as many transactions as a capture has left behind.
const LONG: usize = 32 << 10;

/// One reign of a capture.
#[derive(Debug)]
struct Reign<'a> {
    me: ServerId,
    epoch: Epoch,
    records: Vec<&'a Record>,
}

/// A leader, and what the world has not told it yet.
struct Replay<'a> {
    reign: &'a Reign<'a>,
    leader: Leader,
    effects: Effects,
    now: Instant,
    log: BTreeMap<Zxid, Bytes>,
    applied: Zxid,
    has_stand_in: bool,
    /// The epoch that is on its way to the disk until Java's reign begins.
    adopting: Vec<Durable>,
    sides: BTreeMap<u64, Side>,
    /// What was asked for by learners' clients, in Java's order and in ours.
    asked: Side,
    /// How many pings each learner was sent in the capture and by ours.
    pings: BTreeMap<u64, (usize, usize)>,
    end: Option<String>,
}

/// Under this number stands what learners' clients have asked the leaders of a capture for.
pub const ASKED: u64 = 0;

/// What both said over each connection of a capture.
pub fn replay(name: &str) -> BTreeMap<u64, Side> {
    let (records, timing, reconfig) = (&read(name), timing(name), has_reconfig(name));
    let mut sides = BTreeMap::from([(ASKED, Side::default())]);
    for reign in &reigns(records) {
        let mut replay = Replay::new(reign, timing, reconfig);
        replay.live();
        sides.extend(replay.sides);
        let asked = sides.get_mut(&ASKED).expect("no connection has this number");
        asked.java.extend(replay.asked.java);
        asked.ours.extend(replay.asked.ours);
    }
    sides
}

fn reigns(records: &[Record]) -> Vec<Reign<'_>> {
    let mut reigns: Vec<Reign<'_>> = Vec::new();
    let of_conn = |conn| records.iter().filter(move |record| record.conn == conn);
    for record in records.iter().filter(|record| record.is_of_leader) {
        let told = of_conn(record.conn).find_map(|each| match each.of_leader() {
            Some(FromLeader::LeaderInfo { epoch, .. }) => Some(epoch),
            _ => None,
        });
        let Some(epoch) = told else { continue };
        let me = ServerId(record.leader);
        match reigns.iter_mut().find(|reign| (reign.me, reign.epoch) == (me, epoch)) {
            Some(reign) => reign.records.push(record),
            None => reigns.push(Reign { me, epoch, records: vec![record] }),
        }
    }
    reigns
}

impl Reign<'_> {
    fn of_conn(&self, conn: u64) -> Vec<Record> {
        self.records.iter().filter(|record| record.conn == conn).map(|record| (*record).clone()).collect()
    }

    fn told(&self) -> impl Iterator<Item = FromLeader<'_>> {
        self.records.iter().filter_map(|record| record.of_leader())
    }

    fn first_learner(&self) -> crate::capture::Introduction {
        introduction(&self.of_conn(self.records[0].conn))
    }

    /// The counter behind which it began to propose.
    fn initial_counter(&self) -> u32 {
        let own = self.told().find_map(|told| match told {
            FromLeader::Proposal { zxid, .. } if zxid.epoch() == self.epoch => Some(zxid.counter()),
            _ => None,
        });
        own.filter(|first| *first > u32::MAX / 2).map_or(0, |first| first - 1)
    }

    fn configuration(&self, version: Option<ConfigVersion>) -> Configuration {
        let text = self.told().find_map(|told| match told {
            FromLeader::NewLeader { config, .. } => config.map(std::borrow::Cow::into_owned),
            _ => None,
        });
        let voter = |id| format!("server.{id}=127.0.0.1:1{id}:2{id}:participant");
        let text = text.unwrap_or_else(|| [1, 2, 3].map(voter).join("\n"));
        Configuration::parse(&text).expect("Java's").with_version(version.unwrap_or_default())
    }
}

impl<'a> Replay<'a> {
    fn new(reign: &'a Reign<'a>, timing: Timing, reconfig: bool) -> Self {
        let first = reign.first_learner();
        let (base, is_snapshot) = base(&reign.of_conn(reign.records[0].conn));
        let before = Epoch(reign.epoch.0 - 1);
        let has_stand_in = first.accepted == reign.epoch;
        let start = Start {
            me: reign.me,
            timing,
            limits: Limits::default(),
            accepted: before,
            current: before,
            configuration: reign.configuration(first.info.config_version),
            next: None,
            is_next_logged: false,
            lists: zabd_zab::quorum::Lists::default(),
            reconfig,
            history: History::new(if has_stand_in { Zxid::ZERO } else { base }),
            electing: BTreeSet::new(),
            testing: Testing { initial_counter: reign.initial_counter(), ..Testing::default() },
        };
        let (now, mut effects) = (Instant(0), Effects::default());
        let leader = Leader::new(now, start, &mut effects);
        let mut replay = Self {
            reign,
            leader,
            effects,
            now,
            log: BTreeMap::new(),
            applied: if has_stand_in { Zxid::ZERO } else { base },
            has_stand_in,
            adopting: Vec::new(),
            sides: BTreeMap::new(),
            asked: Side::default(),
            pings: BTreeMap::new(),
            end: None,
        };
        replay.carry_out();
        if has_stand_in {
            replay.begin_in_the_middle(base, is_snapshot);
        }
        replay
    }

    /// The reign has begun without anybody who was recorded, and has come as far as the first of them is told.
    fn begin_in_the_middle(&mut self, base: Zxid, is_snapshot: bool) {
        let voters = [1, 2, 3].map(ServerId);
        let recorded = self.reign.first_learner().info.server;
        let server = voters.into_iter().find(|id| *id != recorded && *id != self.reign.me);
        let info = LearnerInfo {
            server: server.expect("three are voters"),
            protocol_version: Some(LearnerInfo::PROTOCOL_VERSION),
            config_version: Some(ConfigVersion::ZERO),
        };
        let accepted = Epoch(self.reign.epoch.0 - 1);
        self.step(Input::Accepted { link: UNRECORDED });
        self.stand_in(&FromLearner::Info {
            kind: LearnerKind::Follower,
            accepted,
            info: Some(info),
            behind: Sections::default(),
        });
        self.stand_in(&FromLearner::AckEpoch { last_zxid: Zxid::ZERO, current: Some(accepted) });
        self.stand_in(&FromLearner::Ack { zxid: self.reign.epoch.first_zxid() });
        assert!(self.leader.is_established(), "two of three are a quorum");
        self.catch_up(base, is_snapshot);
    }

    /// So far the reign had come when a learner was told this base.
    fn catch_up(&mut self, base: Zxid, is_snapshot: bool) {
        let records = self.reign.records.iter();
        let recorded: BTreeMap<Zxid, Bytes> = records.filter_map(|each| each.proposal()).collect();
        while self.leader.proposed() < base {
            let zxid = self.leader.proposed().next();
            let stand_in = || if is_snapshot { vec![0; LONG].into() } else { Bytes::from_static(STAND_IN) };
            let entry = recorded.get(&zxid).cloned().unwrap_or_else(stand_in);
            self.propose(zxid, entry);
        }
        self.commit(base);
    }

    fn stand_in(&mut self, packet: &FromLearner<'_>) {
        let mut bytes = Vec::new();
        packet.encode(&mut Writer::new(&mut bytes));
        self.step(Input::Packet { link: UNRECORDED, packet: bytes.into() });
    }

    fn live(&mut self) {
        for record in &self.reign.records {
            let is_of_java = record.packet().is_some() && !record.is_by_learner;
            if let Some(end) = self.end.as_ref().filter(|_| is_of_java) {
                let side = self.sides.entry(record.conn).or_default();
                side.end.get_or_insert_with(|| end.clone());
            }
            self.happen(record);
            let Some(bytes) = record.packet() else { continue };
            let is_request = matches!(record.of_learner(), Some(FromLearner::Request(asked)) if asked.op != OpCode::Sync.code());
            match (record.is_by_learner, is_request) {
                (true, true) => self.asked.java.push(bytes.clone()),
                (true, false) => (),
                (false, _) => self.sides.entry(record.conn).or_default().java.push(bytes.clone()),
            }
        }
    }

    fn happen(&mut self, record: &Record) {
        let link = LinkId(record.conn);
        match &record.what {
            What::Open => self.step(Input::Accepted { link }),
            What::End if record.is_by_learner => self.step(Input::Closed { link }),
            What::End => (),
            What::Snapshot(_) => {
                self.sides.entry(record.conn).or_default().java.push(Bytes::from_static(SNAPSHOT));
            }
            What::Packet(packet) if record.is_by_learner => {
                if let (true, Some(FromLearner::AckEpoch { .. })) = (self.has_stand_in, record.of_learner()) {
                    let (base, is_snapshot) = base(&self.reign.of_conn(record.conn));
                    self.catch_up(base, is_snapshot);
                }
                self.step(Input::Packet { link, packet: packet.clone() });
            }
            What::Packet(_) => self.come_to_say(record),
        }
    }

    /// Java's leader says this now: what it must have heard of the world before is told to ours.
    fn come_to_say(&mut self, record: &Record) {
        match record.of_leader() {
            Some(FromLeader::Proposal { zxid, .. })
                if self.leader.is_established() && self.leader.proposed() < zxid =>
            {
                let (_, entry) = record.proposal().expect("it is one");
                self.propose(zxid, entry);
            }
            Some(FromLeader::UpToDate) => {
                for what in std::mem::take(&mut self.adopting) {
                    self.step(Input::Persisted(what));
                }
            }
            Some(FromLeader::Commit { zxid } | FromLeader::CommitAndActivate { zxid, .. }) => {
                self.commit(zxid);
            }
            Some(FromLeader::Revalidate { session, is_valid }) => {
                self.step(Input::Revalidated { link: LinkId(record.conn), session, is_valid });
            }
            Some(FromLeader::Ping { .. }) => {
                let (java, ours) = self.pings.entry(record.conn).or_default();
                *java += 1;
                if *ours < *java {
                    self.now = self.leader.next_timer().max(self.now);
                    self.step(Input::Timer);
                }
            }
            _ => (),
        }
    }

    fn propose(&mut self, zxid: Zxid, entry: Bytes) {
        if self.end.is_none() {
            self.log.insert(zxid, entry.clone());
            let configuration = reconfiguration(&entry).map(Box::new);
            self.step(Input::Propose { zxid, entry, configuration });
        }
    }

    /// Java has committed this: the leader's own log has it, and whoever stands in.
    fn commit(&mut self, zxid: Zxid) {
        if zxid <= self.leader.committed() || self.leader.proposed() < zxid {
            return;
        }
        if self.has_stand_in {
            self.stand_in(&FromLearner::Ack { zxid });
        }
        self.step(Input::Synced { upto: zxid });
    }

    fn step(&mut self, input: Input) {
        self.leader.step(self.now, input, &mut self.effects);
        self.carry_out();
    }

    fn carry_out(&mut self) {
        let bytes = std::mem::take(&mut self.effects.bytes);
        let effects = std::mem::take(&mut self.effects.list);
        let begins = effects.iter().any(|effect| matches!(effect, Effect::Serve { .. }));
        for effect in effects {
            match effect {
                Effect::Send { link, bytes: part } => {
                    self.send(link, Bytes::copy_from_slice(&bytes[part]), begins);
                }
                Effect::SendSnapshot { link } => self.send(link, Bytes::from_static(SNAPSHOT), begins),
                Effect::SendLog { link, after, upto } => {
                    let entries: Vec<_> =
                        self.log.range(after.next()..=upto).map(|(z, e)| (*z, e.clone())).collect();
                    for (zxid, txn) in entries {
                        self.send(link, encoded(&FromLeader::Proposal { zxid, txn: &txn }), begins);
                        self.send(link, encoded(&FromLeader::Commit { zxid }), begins);
                    }
                }
                Effect::LookUp { link, .. } => {
                    let java = self.reign.of_conn(link.0);
                    let is_found =
                        java.iter().any(|each| matches!(each.of_leader(), Some(FromLeader::Diff { .. })));
                    self.step(Input::LookedUp { link, is_found });
                }
                Effect::TakeSnapshot { link } => self.step(Input::SnapshotBegun { link, zxid: self.applied }),
                Effect::Persist(what @ Durable::Current(_)) if !self.has_stand_in => self.adopting.push(what),
                Effect::Persist(what) => self.step(Input::Persisted(what)),
                Effect::Commit { upto } => self.applied = upto.max(self.applied),
                Effect::Request { packet, .. } => self.asked.ours.push(packet),
                Effect::Leave(reason) => self.end = Some(format!("{reason:?}")),
                _ => (),
            }
        }
    }

    fn send(&mut self, link: LinkId, packet: Bytes, is_beginning: bool) {
        if link == UNRECORDED {
            return;
        }
        let is_ping = packet != SNAPSHOT && {
            let envelope = crate::capture::envelope(&packet);
            matches!(FromLeader::decode(&envelope), Ok(Some(FromLeader::Ping { .. })))
        };
        // The one ping that is masked: see the table of masks.
        if is_ping && is_beginning {
            return;
        }
        if is_ping {
            self.pings.entry(link.0).or_default().1 += 1;
        }
        self.sides.entry(link.0).or_default().ours.push(packet);
    }
}

/// How a learner was brought into step, and up to where; whether that was a snapshot.
fn base(records: &[Record]) -> (Zxid, bool) {
    let base = records.iter().filter_map(Record::of_leader).find_map(|told| match told {
        FromLeader::Diff { zxid } => Some((zxid, false)),
        FromLeader::Snap { zxid } => Some((zxid, true)),
        _ => None,
    });
    base.expect("somebody is brought into step")
}

/// The configuration that a transaction makes, if it is a reconfiguration.
fn reconfiguration(entry: &[u8]) -> Option<Configuration> {
    match Entry::decode(&mut Reader::new(entry)).ok()? {
        Entry { header, txn: Txn::SetData { data: Some(text), .. }, .. }
            if header.kind == OpCode::Reconfig.code() =>
        {
            Some(Configuration::parse(std::str::from_utf8(text).expect("text")).expect("Java's"))
        }
        _ => None,
    }
}
