//! An observer master as its observers meet it: each test is the packets of one or two of them.

use bytes::Bytes;
use zabd_jute::quorum::{
    Configuration, FromLeader, FromLearner, LearnerInfo, LearnerKind, QuorumPacket, Sections,
};
use zabd_jute::txn::{Entry, Txn, TxnHeader};
use zabd_jute::{
    ConfigVersion, Epoch, Limits, OpCode, Reader, Record as _, ServerId, SessionId, Writer, Zxid,
};

use super::{Answer, ObserverMaster};
use crate::effect::{DialId, Durable, Effect, Effects, Instant, LinkId, Testing, Timing};
use crate::history::History;
use crate::learner::{Input, Learner, Start};

const TIMING: Timing = Timing { tick_ms: 1000, init_limit: 10, sync_limit: 5, connect_delay_ms: 100 };
const NOW: Instant = Instant(0);
const LEADER: LinkId = LinkId(1);
const OBSERVER: LinkId = LinkId(2);

fn at(epoch: i64, counter: u32) -> Zxid {
    Zxid::new(Epoch(epoch), counter)
}

/// A follower of epoch 2 that had three transactions of epoch 1 when it came, with its observer master.
struct Follower {
    learner: Learner,
    master: ObserverMaster,
    out: Effects,
}

fn from_leader(packet: &FromLeader<'_>) -> Bytes {
    let mut bytes = Vec::new();
    packet.encode(&mut Writer::new(&mut bytes));
    bytes.into()
}

impl Follower {
    fn joining() -> Self {
        let mut history = History::on_disk(at(1, 2), at(1, 7));
        (8..=10).for_each(|counter| history.push(at(1, counter), Bytes::from_static(b"entry")));
        let mut out = Effects::default();
        let start = Start {
            me: ServerId(1),
            leader: ServerId(3),
            kind: LearnerKind::Follower,
            timing: TIMING,
            limits: Limits::default(),
            accepted: Epoch(1),
            current: Epoch(1),
            configuration: Configuration::parse("server.1=a:1:2:participant\nserver.4=d:1:2:observer")
                .unwrap(),
            next: None,
            is_next_logged: false,
            lists: crate::quorum::Lists::default(),
            reconfig: true,
            history,
            vouches: true,
            begins_anew: false,
            is_partial: false,
            needs_snapshot: false,
            elected_with: None,
            masters: Vec::new(),
            dial: DialId(1),
            testing: Testing::default(),
        };
        let learner = Learner::new(NOW, start, &mut out);
        Self { learner, master: ObserverMaster::new(NOW, ServerId(1), TIMING, Limits::default()), out }
    }

    fn serving() -> Self {
        let mut follower = Self::joining();
        follower.serve();
        follower
    }

    fn serve(&mut self) {
        self.step(Input::Connected { dial: DialId(1), link: LEADER });
        self.hear(&FromLeader::LeaderInfo { epoch: Epoch(2), protocol_version: 0x10000 });
        self.step(Input::Persisted(Durable::Accepted(Epoch(2))));
        self.hear(&FromLeader::Diff { zxid: at(1, 10) });
        self.hear(&FromLeader::NewLeader { zxid: at(2, 0), config: None });
        self.step(Input::Persisted(Durable::Current(Epoch(2))));
        self.out.clear();
        self.hear(&FromLeader::UpToDate);
        assert!(self.learner.is_serving());
    }

    fn step(&mut self, input: Input) {
        self.learner.step(NOW, input, &mut self.out);
        self.out.list.retain(|effect| !matches!(effect, Effect::Send { link: LEADER, .. }));
        self.master.follow(NOW, &self.learner, &mut self.out);
    }

    fn hear(&mut self, packet: &FromLeader<'_>) {
        self.step(Input::Packet { packet: from_leader(packet) });
    }

    fn say(&mut self, link: LinkId, packet: &FromLearner<'_>) {
        let mut bytes = Vec::new();
        packet.encode(&mut Writer::new(&mut bytes));
        self.master.on_packet(NOW, link, &bytes.into(), &self.learner, &mut self.out);
    }

    fn introduce(&mut self, link: LinkId, server: i64) {
        self.master.accept(NOW, link);
        let config_version = Some(ConfigVersion::ZERO);
        let info = LearnerInfo { server: ServerId(server), protocol_version: Some(0x10000), config_version };
        let kind = LearnerKind::Observer;
        self.say(
            link,
            &FromLearner::Info { kind, accepted: Epoch(1), info: Some(info), behind: Sections::default() },
        );
    }

    fn come_with(&mut self, link: LinkId, server: i64, last_zxid: Zxid) -> Vec<String> {
        self.introduce(link, server);
        self.say(link, &FromLearner::AckEpoch { last_zxid, current: Some(Epoch(1)) });
        self.told()
    }

    fn commit(&mut self, counter: u32) {
        self.hear(&FromLeader::Proposal { zxid: at(2, counter), txn: b"entry" });
        self.hear(&FromLeader::Commit { zxid: at(2, counter) });
    }

    /// What was asked for since the last time, except for the disk, the tree and operators.
    fn told(&mut self) -> Vec<String> {
        let mut said = Vec::new();
        for effect in &self.out.list {
            match effect {
                Effect::Send { link, bytes } => {
                    let packet = &self.out.bytes[bytes.clone()];
                    let packet = QuorumPacket::decode(&mut Reader::new(packet)).unwrap();
                    said.push(format!(
                        "{} <- {}",
                        link.0,
                        name(&FromLeader::decode(&packet).unwrap().unwrap())
                    ));
                }
                Effect::Append { .. }
                | Effect::Commit { .. }
                | Effect::Serve { .. }
                | Effect::Persist(_)
                | Effect::Note(_) => (),
                other => said.push(format!("{other:?}")),
            }
        }
        self.out.clear();
        said
    }
}

fn name(packet: &FromLeader<'_>) -> String {
    match packet {
        FromLeader::LeaderInfo { epoch, .. } => format!("LEADERINFO {}", epoch.0),
        FromLeader::Diff { zxid } => format!("DIFF {zxid}"),
        FromLeader::Snap { zxid } => format!("SNAP {zxid}"),
        FromLeader::NewLeader { zxid, config: Some(_) } => format!("NEWLEADER {zxid}"),
        FromLeader::UpToDate => "UPTODATE".to_owned(),
        FromLeader::Proposal { zxid, .. } => format!("PROPOSAL {zxid}"),
        FromLeader::Commit { zxid } => format!("COMMIT {zxid}"),
        FromLeader::Inform { zxid, .. } => format!("INFORM {zxid}"),
        FromLeader::InformAndActivate { zxid, leader, .. } => {
            format!("INFORMANDACTIVATE {zxid} led by {leader}")
        }
        FromLeader::Ping { zxid } => format!("PING {zxid}"),
        FromLeader::Sync => "SYNC".to_owned(),
        FromLeader::Revalidate { is_valid, .. } => format!("REVALIDATE {is_valid}"),
        other => panic!("{other:?} is not for an observer"),
    }
}

fn lines(expected: &[&str], zxids: &[Zxid]) -> Vec<String> {
    let mut zxids = zxids.iter();
    let fill = |line: &&str| match line.strip_suffix('@') {
        Some(start) => format!("2 <- {start}{}", zxids.next().unwrap()),
        None => format!("2 <- {line}"),
    };
    expected.iter().map(fill).collect()
}

#[test]
fn an_observer_gets_what_it_lacks_then_what_is_committed() {
    let mut follower = Follower::serving();
    follower.told();
    let told = follower.come_with(OBSERVER, 4, at(1, 8));
    let expected =
        ["LEADERINFO 2", "DIFF @", "PROPOSAL @", "COMMIT @", "PROPOSAL @", "COMMIT @", "NEWLEADER @"];
    let zxids = [at(1, 10), at(1, 9), at(1, 9), at(1, 10), at(1, 10), at(2, 0)];
    assert_eq!(told, lines(&expected, &zxids));
    follower.hear(&FromLeader::Proposal { zxid: at(2, 1), txn: b"entry" });
    assert_eq!(follower.told(), Vec::<String>::new(), "it is not committed");
    follower.hear(&FromLeader::Commit { zxid: at(2, 1) });
    assert_eq!(follower.told(), lines(&["INFORM @"], &[at(2, 1)]));
    follower.say(OBSERVER, &FromLearner::Ack { zxid: at(2, 0) });
    assert_eq!(follower.told(), ["2 <- UPTODATE"]);
    follower.master.on_timer(Instant(500), &mut follower.out);
    assert_eq!(follower.told(), lines(&["PING @"], &[at(2, 1)]));
}

/// The observer may be another one's or none afterwards; it is told so as the leader would tell it, and not sent away.
#[test]
fn a_reconfiguration_is_passed_on_with_its_leader() {
    let mut follower = Follower::serving();
    follower.come_with(OBSERVER, 4, at(1, 10));
    follower.say(OBSERVER, &FromLearner::Ack { zxid: at(2, 0) });
    follower.told();
    let zxid = at(2, 1);
    let members = "server.1=a:1:2:participant\nserver.4=d:1:2:observer\nserver.5=e:1:2:observer";
    let configuration = Configuration::parse(members).unwrap().with_version(zxid.into());
    let kind = OpCode::Reconfig.code();
    let header = TxnHeader { session: SessionId(1), cxid: 1, zxid, time_ms: 1, kind };
    let text = configuration.to_string();
    let txn = Txn::SetData { path: "/zookeeper/config".into(), data: Some(text.as_bytes()), version: -1 };
    let mut entry = Vec::new();
    Entry { header, txn, digest: None }.encode(&mut Writer::new(&mut entry));
    follower.hear(&FromLeader::Proposal { zxid, txn: &entry });
    assert_eq!(follower.told(), Vec::<String>::new());
    follower.hear(&FromLeader::CommitAndActivate { zxid, leader: ServerId(3) });
    assert_eq!(follower.told(), [format!("2 <- INFORMANDACTIVATE {zxid} led by 3")]);
    follower.commit(2);
    assert_eq!(follower.told(), lines(&["INFORM @"], &[at(2, 2)]));
}

/// It comes from a follower that had heard more than this one.
#[test]
fn an_observer_that_is_ahead_waits_and_forgets_nothing() {
    let mut follower = Follower::serving();
    follower.told();
    follower.hear(&FromLeader::Proposal { zxid: at(2, 1), txn: b"entry" });
    follower.told();
    assert_eq!(follower.come_with(OBSERVER, 4, at(2, 2)), ["2 <- LEADERINFO 2"]);
    follower.hear(&FromLeader::Commit { zxid: at(2, 1) });
    assert_eq!(follower.told(), Vec::<String>::new());
    follower.commit(2);
    assert_eq!(follower.told(), lines(&["DIFF @", "NEWLEADER @"], &[at(2, 2), at(2, 0)]));
}

#[test]
fn another_history_is_replaced_by_a_snapshot_that_covers_it() {
    let mut follower = Follower::serving();
    follower.told();
    let told = follower.come_with(OBSERVER, 4, at(1, 99));
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[1].starts_with("TakeSnapshot"), "{told:?}");
    follower.master.on_snapshot_begun(OBSERVER, at(1, 10), &follower.learner, &mut follower.out);
    let told = follower.told();
    assert_eq!(told[0], format!("2 <- SNAP {}", at(2, 0)), "nothing that it had lies behind that");
    assert!(told[1].starts_with("SendSnapshot"));
    assert_eq!(told[2..], lines(&["NEWLEADER @"], &[at(2, 0)]));
}

#[test]
fn a_snapshot_without_the_whole_initial_history_is_not_sent() {
    let mut follower = Follower::serving();
    follower.come_with(OBSERVER, 4, at(1, 99));
    follower.master.on_snapshot_begun(OBSERVER, at(1, 9), &follower.learner, &mut follower.out);
    assert_eq!(follower.told(), ["Close { link: LinkId(2) }"]);
}

#[test]
fn what_is_older_than_memory_comes_from_the_log() {
    let mut follower = Follower::serving();
    let told = follower.come_with(OBSERVER, 4, at(1, 3));
    assert!(told.last().unwrap().starts_with("LookUp"), "{told:?}");
    follower.master.on_looked_up(OBSERVER, true, &follower.learner, &mut follower.out);
    let told = follower.told();
    assert!(told[1].starts_with("SendLog"), "{told:?}");
    assert_eq!((told.len(), &told[2]), (9, &format!("2 <- PROPOSAL {}", at(1, 8))));
}

#[test]
fn what_is_older_than_a_whole_log_comes_as_a_snapshot() {
    let mut follower = Follower::serving();
    let told = follower.come_with(OBSERVER, 4, at(1, 1));
    assert!(told.last().unwrap().starts_with("TakeSnapshot"), "{told:?}");
}

#[test]
fn who_came_before_the_follower_served_is_heard_then() {
    let mut follower = Follower::joining();
    follower.introduce(OBSERVER, 4);
    assert!(!follower.out.list.iter().any(|effect| matches!(effect, Effect::Send { link: OBSERVER, .. })));
    follower.serve();
    assert!(follower.told().contains(&"2 <- LEADERINFO 2".to_owned()));
}

#[test]
fn requests_go_to_the_leader_and_answers_come_back() {
    let mut follower = Follower::serving();
    follower.come_with(OBSERVER, 4, at(1, 10));
    follower.say(OBSERVER, &FromLearner::Ack { zxid: at(2, 0) });
    follower.told();
    let session = SessionId(5);
    follower.say(OBSERVER, &FromLearner::Revalidate { session, timeout_ms: 4000 });
    let told = follower.told();
    assert!(told[0].starts_with("Revalidate { link: LinkId(2)"), "{told:?}");
    follower.master.answer(OBSERVER, Answer::Revalidated { session, is_valid: true }, &mut follower.out);
    follower.master.answer(OBSERVER, Answer::Synchronised, &mut follower.out);
    follower.master.answer(LinkId(9), Answer::Synchronised, &mut follower.out);
    assert_eq!(follower.told(), ["2 <- REVALIDATE true", "2 <- SYNC"]);
}

#[test]
fn only_observers_are_served_each_once_and_while_they_are_heard() {
    let mut follower = Follower::serving();
    follower.told();
    follower.master.accept(NOW, LinkId(7));
    let info = LearnerInfo { server: ServerId(2), protocol_version: Some(0x10000), config_version: None };
    let kind = LearnerKind::Follower;
    follower.say(
        LinkId(7),
        &FromLearner::Info { kind, accepted: Epoch(1), info: Some(info), behind: Sections::default() },
    );
    let refused = ["Refuse { link: LinkId(7), why: NoLearner }", "Close { link: LinkId(7) }"];
    assert_eq!(follower.told(), refused);
    follower.come_with(OBSERVER, 4, at(1, 10));
    follower.introduce(LinkId(8), 4);
    assert_eq!(follower.told(), ["Close { link: LinkId(2) }", "8 <- LEADERINFO 2"]);
    follower.master.on_timer(Instant(10_001), &mut follower.out);
    assert_eq!(follower.told(), ["Close { link: LinkId(8) }"]);
    follower.come_with(OBSERVER, 4, at(1, 10));
    follower.master.close_all(&mut follower.out);
    assert_eq!(follower.told(), ["Close { link: LinkId(2) }"]);
}
