//! Java's recorded leader speaks, and our learner answers in the place of Java's.
//!
//! One connection is one life of a learner. What it has on disk when it comes is what Java's learner said of itself; when
//! it comes back, it is what our disk holds, and that must be the same; there is one exception ([`LOGGED_NOTHING`]). What only
//! the world decides is taken from the capture: when a record or an epoch is durable (when Java's learner acknowledges it), when
//! a ping is answered and with which sessions, what clients ask for. That an acknowledgement, an answer or a request may be sent
//! then, and its bytes, is ours.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use zabd_jute::quorum::{Configuration, FromLeader, FromLearner, LearnerKind};
use zabd_jute::{Epoch, Limits, ServerId, Zxid};
use zabd_zab::effect::{DialId, Durable, Effect, Effects, Instant, LinkId, Reason, Testing, Timing};
use zabd_zab::history::History;
use zabd_zab::learner::{Input, Learner, Start};

use crate::capture::{Introduction, Record, What, envelope, introduction, read};
use crate::compare::Side;
use crate::{has_reconfig, timing};

const LINK: LinkId = LinkId(1);

/// The one life that begins with what Java's learner has, and not with what ours has logged before: 3.8.0 died of UPTODATE
/// (ZOOKEEPER-4394) and had logged nothing of what it was sent, so the recorded leader sends it that again.
const LOGGED_NOTHING: (&str, u64) = ("3.8.0/02d-follower-restart-under-load-npe", 6);

/// What a server has between two connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Disk {
    accepted: Epoch,
    current: Epoch,
    last: Zxid,
}

/// A learner, and what the world has not told it yet.
struct Replay {
    learner: Learner,
    disk: Disk,
    effects: Effects,
    /// What is on its way to the disk, in order.
    writing: VecDeque<Writing>,
    pings: VecDeque<Zxid>,
    said: Vec<Bytes>,
    left: Option<Reason>,
}

#[derive(Debug)]
enum Writing {
    Record(Zxid),
    Epoch(Durable),
}

/// What both said over each connection of a capture, and how ours ended if Java's learner went on.
pub fn replay(name: &str) -> BTreeMap<u64, Side> {
    let (records, timing, reconfig) = (&read(name), timing(name), has_reconfig(name));
    let mut disks: BTreeMap<i64, Disk> = BTreeMap::new();
    let mut conns: Vec<u64> = records.iter().map(|record| record.conn).collect();
    conns.dedup();
    let mut sides = BTreeMap::new();
    for conn in conns {
        if sides.contains_key(&conn) {
            continue;
        }
        let life: Vec<Record> = records.iter().filter(|record| record.conn == conn).cloned().collect();
        let said = introduction(&life);
        let its = Disk {
            accepted: said.accepted,
            current: said.current.unwrap_or(said.accepted),
            last: said.last_zxid.unwrap_or(Zxid::ZERO),
        };
        // Who comes with nothing has lost its directory.
        let ours = disks.get(&life[0].learner).filter(|_| its.accepted != Epoch::ZERO);
        let begins_with = match ours {
            Some(ours) if LOGGED_NOTHING == (name, conn) => {
                assert_eq!((ours.accepted, ours.current), (its.accepted, its.current));
                assert!(its.last < ours.last, "{name}, connection {conn}: ours has what Java's learner lost");
                its
            }
            Some(ours) => {
                assert_eq!(*ours, its, "{name}, connection {conn}: what is on disk");
                *ours
            }
            None => its,
        };
        let mut replay = Replay::new(&life, said, begins_with, timing, reconfig);
        replay.live(&life);
        disks.insert(life[0].learner, replay.disk);
        let java =
            life.iter().filter(|record| record.is_by_learner).filter_map(Record::packet).cloned().collect();
        let end = life.iter().find(|record| record.what == What::End);
        let left = replay.left.filter(|_| end.is_none_or(|end| !end.is_by_learner));
        sides.insert(conn, Side { java, ours: replay.said, end: left.map(|reason| format!("{reason:?}")) });
    }
    sides
}

/// The configuration that the learner lives in: the leader's, as old as the learner says.
fn configuration(life: &[Record], said: &Introduction) -> Configuration {
    let told = life.iter().filter_map(Record::of_leader).find_map(|packet| match packet {
        FromLeader::NewLeader { config: Some(config), .. } => {
            Some(Configuration::parse(&config).expect("Java's"))
        }
        _ => None,
    });
    let voter = |id| format!("server.{id}=127.0.0.1:1{id}:2{id}:participant");
    let three = || Configuration::parse(&[1, 2, 3].map(voter).join("\n")).expect("well formed");
    told.unwrap_or_else(three).with_version(said.info.config_version.unwrap_or_default())
}

impl Replay {
    fn new(life: &[Record], said: Introduction, disk: Disk, timing: Timing, reconfig: bool) -> Self {
        let start = Start {
            me: said.info.server,
            leader: ServerId(life[0].leader),
            kind: if said.is_observer { LearnerKind::Observer } else { LearnerKind::Follower },
            timing,
            limits: Limits::default(),
            accepted: disk.accepted,
            current: disk.current,
            configuration: configuration(life, &said),
            next: None,
            is_next_logged: false,
            lists: zabd_zab::quorum::Lists::default(),
            reconfig,
            history: History::new(disk.last),
            vouches: true,
            begins_anew: false,
            is_partial: false,
            needs_snapshot: false,
            elected_with: None,
            masters: Vec::new(),
            dial: DialId(1),
            testing: Testing { allows_gaps: true, ..Testing::default() },
        };
        let mut effects = Effects::default();
        let learner = Learner::new(Instant(life[0].at_ms), start, &mut effects);
        let (writing, pings) = (VecDeque::new(), VecDeque::new());
        Self { learner, disk, effects, writing, pings, said: Vec::new(), left: None }
    }

    fn live(&mut self, life: &[Record]) {
        for record in life {
            while self.left.is_none() && self.learner.next_timer() <= Instant(record.at_ms) {
                self.step(self.learner.next_timer(), Input::Timer);
            }
            let now = Instant(record.at_ms);
            match (&record.what, record.of_learner()) {
                (What::Open, _) => self.step(now, Input::Connected { dial: DialId(1), link: LINK }),
                (What::Packet(_), Some(said)) => self.come_to_say(now, said),
                (What::Packet(packet), None) => self.step(now, Input::Packet { packet: packet.clone() }),
                (What::Snapshot(true), _) => self.step(now, Input::SnapshotReceived { shown: None }),
                // Where the stream ends is found outside of this crate.
                (What::Snapshot(false) | What::End, _) => return,
            }
        }
    }

    /// Java's learner says this now: what it must have heard of the world before is told to ours.
    fn come_to_say(&mut self, now: Instant, said: FromLearner<'_>) {
        match said {
            FromLearner::Ack { zxid } => self.report(now, zxid),
            FromLearner::Ping { touched, .. } => {
                if let Some(zxid) = self.pings.pop_front() {
                    self.step(now, Input::Pong { zxid, touched });
                }
            }
            FromLearner::Request(_) | FromLearner::Revalidate { .. } => {
                self.learner.send(&said, &mut self.effects);
                self.carry_out(now);
            }
            FromLearner::Info { .. } | FromLearner::AckEpoch { .. } => (),
        }
    }

    /// The disk has done all that this acknowledgement needs.
    fn report(&mut self, now: Instant, acknowledged: Zxid) {
        let is_epoch = |writing: &Writing| matches!(writing, Writing::Epoch(Durable::Current(_)));
        if acknowledged.counter() == 0 && !self.writing.iter().any(is_epoch) {
            return;
        }
        let is_needed = |writing: &Writing| match writing {
            Writing::Record(zxid) => *zxid <= acknowledged || acknowledged.counter() == 0,
            Writing::Epoch(Durable::Current(epoch)) => epoch.first_zxid() <= acknowledged,
            Writing::Epoch(_) => true,
        };
        // What stands behind NEWLEADER is not needed for its acknowledgement.
        while let Some(done) = self.writing.front().filter(|next| is_needed(next)) {
            let is_last =
                acknowledged.counter() == 0 && is_epoch(done) && !self.writing.iter().skip(1).any(is_epoch);
            match self.writing.pop_front().expect("it was just looked at") {
                Writing::Record(upto) => self.step(now, Input::Synced { upto }),
                Writing::Epoch(what) => self.step(now, Input::Persisted(what)),
            }
            if is_last {
                return;
            }
        }
    }

    fn step(&mut self, now: Instant, input: Input) {
        self.learner.step(now, input, &mut self.effects);
        self.carry_out(now);
    }

    fn carry_out(&mut self, now: Instant) {
        let bytes = std::mem::take(&mut self.effects.bytes);
        for effect in std::mem::take(&mut self.effects.list) {
            match effect {
                Effect::Send { bytes: part, .. } => {
                    let packet = Bytes::copy_from_slice(&bytes[part]);
                    self.assert_durable(&packet);
                    self.said.push(packet);
                }
                Effect::Append { zxid, .. } => {
                    self.disk.last = zxid;
                    self.writing.push_back(Writing::Record(zxid));
                }
                Effect::Persist(Durable::Accepted(epoch)) => {
                    self.disk.accepted = epoch;
                    self.step(now, Input::Persisted(Durable::Accepted(epoch)));
                }
                Effect::Persist(what) => {
                    if let Durable::Current(epoch) = &what {
                        self.disk.current = *epoch;
                    }
                    self.writing.push_back(Writing::Epoch(what));
                }
                Effect::Truncate { zxid } | Effect::Adopt { zxid, .. } => {
                    self.disk.last = zxid;
                    self.step(now, Input::Rebased { last: zxid, shown: None });
                }
                Effect::Ping { zxid } => self.pings.push_back(zxid),
                Effect::Leave(reason) => self.left = Some(reason),
                _ => (),
            }
        }
    }

    /// Nothing is acknowledged that the disk has not reported.
    fn assert_durable(&self, packet: &[u8]) {
        let Ok(Some(FromLearner::Ack { zxid })) = FromLearner::decode(envelope(packet)) else { return };
        let is_early = |writing: &Writing| match writing {
            Writing::Record(written) => *written <= zxid,
            Writing::Epoch(what) => *what == Durable::Current(zxid.epoch()),
        };
        assert!(
            !self.writing.iter().any(is_early),
            "{zxid} is acknowledged while {:?} is not on disk",
            self.writing
        );
    }
}
