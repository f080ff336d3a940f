//! A leader whose learners take long to get what they lack, or come with what is not committed.

mod discovery;

use bytes::Bytes;
use zabd_jute::quorum::{
    Configuration, FromLeader, FromLearner, LearnerInfo, LearnerKind, QuorumPacket, Request, Sections,
};
use zabd_jute::{ConfigVersion, Epoch, Limits, OpCode, Reader, Record, ServerId, SessionId, Writer, Zxid};

use super::backing::Backing;
use super::noted::NOTED_CHANGE;
use super::{Input, Leader, Start};
use crate::effect::{
    Durable, Effect, Effects, Instant, LinkId, Loss, Note, Reason, Refusal, Testing, Timing,
};
use crate::election::Word;
use crate::history::History;
use crate::quorum::Lists;
use crate::quorum::lists::LISTS;

const TIMING: Timing = Timing { tick_ms: 1000, init_limit: 10, sync_limit: 5, connect_delay_ms: 100 };
const LAST: Zxid = Zxid(0x1_0000_0005);

/// Servers 1, 2, … in these roles.
fn members(roles: &[&str], version: i64) -> Configuration {
    let lines = roles.iter().zip(1..).map(|(role, id)| format!("server.{id}=h{id}:1:2:{role}"));
    let members = Configuration::parse(&lines.collect::<Vec<_>>().join("\n")).unwrap();
    members.with_version(ConfigVersion(version))
}

/// Server 1 of three, which leads in epoch 2 if somebody follows.
struct Stage {
    leader: Leader,
    now: Instant,
    out: Effects,
}

impl Stage {
    fn new() -> Self {
        Self::of(&["participant"; 3], Epoch(1), LAST)
    }

    fn of(roles: &[&str], current: Epoch, last: Zxid) -> Self {
        Self::having_promised(Epoch(1), roles, current, last)
    }

    fn having_promised(accepted: Epoch, roles: &[&str], current: Epoch, last: Zxid) -> Self {
        let mut out = Effects::default();
        let start = Start {
            me: ServerId(1),
            timing: TIMING,
            limits: Limits::default(),
            accepted,
            current,
            configuration: members(roles, 0),
            next: None,
            is_next_logged: false,
            lists: Lists::default(),
            reconfig: false,
            history: History::new(last),
            electing: [1, 2, 3].map(ServerId).into(),
            testing: Testing::default(),
        };
        Self { leader: Leader::new(Instant(0), start, &mut out), now: Instant(0), out }
    }

    fn step(&mut self, input: Input) {
        self.leader.step(self.now, input, &mut self.out);
    }

    fn say(&mut self, from: i64, packet: &FromLearner<'_>) {
        let mut bytes = Vec::new();
        packet.encode(&mut Writer::new(&mut bytes));
        self.step(Input::Packet { link: LinkId(from as u64), packet: bytes.into() });
    }

    /// A server whose history ends there connects and promises the epoch.
    fn follow(&mut self, id: i64, last_zxid: Zxid) {
        self.learn(LearnerKind::Follower, id, last_zxid);
    }

    fn learn(&mut self, kind: LearnerKind, id: i64, last_zxid: Zxid) {
        self.introduce(id, kind, Epoch(0));
        self.step(Input::Persisted(Durable::Accepted(Epoch(2))));
        self.say(id, &FromLearner::AckEpoch { last_zxid, current: Some(Epoch(0)) });
    }

    /// Somebody connects and says what it has promised.
    fn introduce(&mut self, id: i64, kind: LearnerKind, accepted: Epoch) {
        self.introduce_with(id, kind, accepted, Sections::default());
    }

    /// The same, and which lists it knows.
    fn introduce_with_lists(&mut self, id: i64, kind: LearnerKind, accepted: Epoch, lists: &str) {
        self.introduce_with(id, kind, accepted, Sections::default().with(LISTS, lists.as_bytes()));
    }

    /// Whether so much is written down of lists.
    fn knows(&self, lists: &str) -> bool {
        let lists = Lists::parse(lists).unwrap();
        let is_it =
            |effect: &Effect| matches!(effect, Effect::Persist(Durable::Lists(noted)) if *noted == lists);
        self.out.list.iter().any(is_it)
    }

    fn introduce_with(&mut self, id: i64, kind: LearnerKind, accepted: Epoch, behind: Sections<'_>) {
        self.step(Input::Accepted { link: LinkId(id as u64) });
        let info = LearnerInfo {
            server: ServerId(id),
            protocol_version: Some(LearnerInfo::PROTOCOL_VERSION),
            config_version: Some(ConfigVersion::ZERO),
        };
        self.say(id, &FromLearner::Info { kind, accepted, info: Some(info), behind });
    }

    /// A server without anything is to get a snapshot.
    fn send_snapshot(&mut self, id: i64) {
        self.follow(id, Zxid::ZERO);
        let link = LinkId(id as u64);
        assert!(self.has(&Effect::TakeSnapshot { link }));
        self.step(Input::SnapshotBegun { link, zxid: LAST });
        self.out.clear();
    }

    /// Timers for so long, while a part of the snapshot leaves now and then, or not; ends with the reign.
    fn wait(&mut self, ms: i64, sending: Option<u64>) {
        let until = self.now.after_ms(ms);
        let has_left = |stage: &Self| stage.out.list.iter().any(|effect| matches!(effect, Effect::Leave(_)));
        while self.now < until && !has_left(self) {
            self.now = self.leader.next_timer();
            self.step(Input::Timer);
            if let Some(link) = sending {
                self.step(Input::Sent { link: LinkId(link) });
            }
        }
    }

    /// Nothing leaves for so many ticks; server 2 answers.
    fn be_silent(&mut self, ticks: usize) {
        for _ in 0..ticks {
            self.say(2, &FromLearner::Ping { zxid: LAST, touched: Vec::new() });
            self.wait(TIMING.tick_ms, None);
        }
    }

    /// What was sent since the last time.
    fn sent(&mut self) -> Vec<String> {
        let mut said = Vec::new();
        for effect in &self.out.list {
            if let Effect::Send { bytes, .. } = effect {
                let packet = QuorumPacket::decode(&mut Reader::new(&self.out.bytes[bytes.clone()])).unwrap();
                said.push(format!("{:?}", FromLeader::decode(&packet).unwrap().unwrap()));
            }
        }
        self.out.clear();
        said
    }

    /// These follow from the start, and the reign begins.
    fn reign_with(&mut self, followers: &[i64]) {
        for id in followers {
            self.follow(*id, LAST);
        }
        self.step(Input::Persisted(Durable::Current(Epoch(2))));
        for id in followers {
            self.say(*id, &FromLearner::Ack { zxid: Epoch(2).first_zxid() });
        }
        assert!(self.leader.is_established());
        self.out.clear();
    }

    /// Proposes so many.
    fn propose(&mut self, count: u32) {
        for _ in 0..count {
            let zxid = self.leader.proposed().next();
            self.step(Input::Propose { zxid, entry: Bytes::from_static(b"x"), configuration: None });
        }
    }

    /// The leader's own disk has everything.
    fn sync(&mut self) {
        self.step(Input::Synced { upto: self.leader.proposed() });
    }

    /// Server `id`, whose link is gone, comes back over another one.
    fn come_back(&mut self, id: i64, last_zxid: Zxid) {
        self.step(Input::Closed { link: LinkId(id as u64) });
        self.out.clear();
        self.follow(id, last_zxid);
    }

    /// What one learner was told since the last time.
    fn told(&mut self, id: i64) -> Vec<String> {
        let bytes = std::mem::take(&mut self.out.bytes);
        let told = self.out.list.drain(..).filter_map(|effect| match effect {
            Effect::Send { link, bytes: part } if link == LinkId(id as u64) => {
                let packet = QuorumPacket::decode(&mut Reader::new(&bytes[part])).unwrap();
                Some(match FromLeader::decode(&packet).unwrap().unwrap() {
                    FromLeader::Diff { zxid } => format!("DIFF {}", zxid.counter()),
                    FromLeader::Proposal { zxid, .. } => format!("PROPOSAL {}", zxid.counter()),
                    FromLeader::Commit { zxid } => format!("COMMIT {}", zxid.counter()),
                    FromLeader::NewLeader { .. } => "NEWLEADER".into(),
                    FromLeader::UpToDate => "UPTODATE".into(),
                    other => format!("{other:?}"),
                })
            }
            _ => None,
        });
        told.filter(|told| !told.starts_with("LeaderInfo")).collect()
    }

    /// Whether something was asked for since the last time.
    fn has(&self, wanted: &Effect) -> bool {
        let wanted = format!("{wanted:?}");
        self.out.list.iter().any(|effect| format!("{effect:?}") == wanted)
    }
}

/// The only follower there is takes many times `initLimit` to get the snapshot: the reign begins then.
#[test]
fn a_reign_that_needs_a_learner_waits_while_its_snapshot_leaves() {
    let mut stage = Stage::new();
    stage.send_snapshot(2);
    stage.step(Input::Persisted(Durable::Current(Epoch(2))));
    stage.wait(10 * TIMING.init_ms(), Some(2));
    stage.say(2, &FromLearner::Ack { zxid: Epoch(2).first_zxid() });
    assert!(stage.leader.is_established());
}

#[test]
fn a_reign_that_needs_a_learner_does_not_wait_for_one_that_takes_nothing() {
    let mut stage = Stage::new();
    stage.send_snapshot(2);
    stage.wait(TIMING.init_ms() + 1, None);
    assert!(stage.has(&Effect::Leave(Reason::NoQuorumInTime)));
}

/// An established leader goes on sending, and drops whoever takes nothing, or is silent when it has everything.
#[test]
fn a_learner_lives_while_its_snapshot_leaves() {
    let mut stage = Stage::new();
    stage.reign_with(&[2]);
    stage.send_snapshot(3);
    // Server 2 answers all the time.
    for _ in 0..50 {
        stage.say(2, &FromLearner::Ping { zxid: LAST, touched: Vec::new() });
        stage.wait(TIMING.tick_ms, Some(3));
    }
    let dropped = Effect::Close { link: LinkId(3) };
    assert!(!stage.has(&dropped));
    // It has as long again, and `initLimit`.
    stage.be_silent(45);
    assert!(!stage.has(&dropped));
    stage.be_silent(20);
    assert!(stage.has(&dropped) && !stage.has(&Effect::Close { link: LinkId(2) }));
}

/// Whoever lacks much is sent it out of the log, not out of memory in one step, but never what this server's own disk lacks.
#[test]
fn what_is_long_comes_from_the_log_as_far_as_that_is_on_disk() {
    let mut stage = Stage::new();
    stage.reign_with(&[2]);
    stage.follow(3, LAST);
    stage.say(3, &FromLearner::Ack { zxid: Epoch(2).first_zxid() });
    let at = |counter| Zxid::new(Epoch(2), counter);
    let megabyte = Bytes::from(vec![0; 1 << 20]);
    for counter in 1..=100 {
        stage.step(Input::Propose { zxid: at(counter), entry: megabyte.clone(), configuration: None });
    }
    assert_eq!(stage.leader.uncommitted_bytes(), 100 << 20);
    stage.step(Input::Synced { upto: at(50) });
    // The other two commit what is not on this server's disk.
    stage.say(2, &FromLearner::Ack { zxid: at(60) });
    stage.say(3, &FromLearner::Ack { zxid: at(60) });
    assert_eq!(stage.leader.uncommitted_bytes(), 40 << 20);
    stage.out.clear();
    let link = LinkId(4);
    stage.follow(4, at(1));
    assert!(stage.has(&Effect::LookUp { link, zxid: at(1) }));
    stage.step(Input::LookedUp { link, is_found: true });
    assert!(
        stage.has(&Effect::SendLog { link, after: at(1), upto: at(42) }),
        "8 MiB and what is not on disk stay"
    );
    stage.step(Input::Synced { upto: at(100) });
    stage.say(2, &FromLearner::Ack { zxid: at(100) });
    let late = LinkId(5);
    stage.follow(5, Zxid::ZERO);
    // What the tree shows is older than what memory holds.
    stage.step(Input::SnapshotBegun { link: late, zxid: at(70) });
    assert!(stage.has(&Effect::SendLog { link: late, after: at(70), upto: at(92) }));
}

/// What leaves for somebody who is in step may only fill a buffer on the way to a server that hangs.
#[test]
fn what_is_sent_to_a_learner_in_step_says_nothing_about_it() {
    let mut stage = Stage::new();
    stage.reign_with(&[2]);
    stage.out.clear();
    let until = stage.now.after_ms(TIMING.sync_ms() + 2 * TIMING.tick_ms);
    while stage.now < until && !stage.has(&Effect::Leave(Reason::QuorumLost)) {
        stage.now = stage.leader.next_timer();
        stage.step(Input::Sent { link: LinkId(2) });
        stage.step(Input::Timer);
    }
    assert!(stage.has(&Effect::Close { link: LinkId(2) }) && stage.has(&Effect::Leave(Reason::QuorumLost)));
}

/// A learner knows transactions for its clients by session and number, and a client that comes from elsewhere may number its
/// requests anew: what it has asked for elsewhere is committed before the learner hears that the session is its own.
#[test]
fn a_session_that_moves_comes_behind_what_was_proposed() {
    let mut stage = Stage::new();
    stage.reign_with(&[2]);
    let zxid = Epoch(2).first_zxid().next();
    let (link, entry) = (LinkId(2), Bytes::from_static(&[0; 40]));
    stage.step(Input::Propose { zxid, entry, configuration: None });
    stage.out.clear();
    stage.step(Input::Revalidated { link, session: SessionId(7), is_valid: true });
    assert_eq!(stage.sent(), [""; 0]);
    stage.step(Input::Synced { upto: zxid });
    stage.say(2, &FromLearner::Ack { zxid });
    let revalidated = FromLeader::Revalidate { session: SessionId(7), is_valid: true };
    assert_eq!(stage.sent(), [format!("{:?}", FromLeader::Commit { zxid }), format!("{revalidated:?}")]);
    stage.step(Input::Revalidated { link, session: SessionId(8), is_valid: false });
    assert_eq!(stage.sent().len(), 1, "nothing is in flight");
}

/// A server of Java's looks for the answer at the head of what it has forwarded itself. One that came behind commits of later writes left
/// it with a write whose commit it had passed over: none of its clients was answered any more.
#[test]
fn a_sync_is_answered_between_the_commits_that_it_was_asked_between() {
    let mut stage = Stage::new();
    stage.reign_with(&[2]);
    let first = Epoch(2).first_zxid().next();
    let (second, third, link) = (first.next(), first.next().next(), LinkId(2));
    let op = OpCode::Sync.code();
    let request = Request { session: SessionId(7), cxid: 1, op, body: &[0; 4], authinfo: None };
    for (zxid, is_asked) in [(first, true), (second, false), (third, true)] {
        stage.step(Input::Propose { zxid, entry: Bytes::from_static(&[0; 40]), configuration: None });
        if is_asked {
            stage.say(2, &FromLearner::Request(request.clone()));
        }
    }
    stage.step(Input::Revalidated { link, session: SessionId(8), is_valid: true });
    stage.out.clear();
    stage.step(Input::Synced { upto: third });
    stage.say(2, &FromLearner::Ack { zxid: third });
    let commit = |zxid| FromLeader::Commit { zxid };
    let revalidated = FromLeader::Revalidate { session: SessionId(8), is_valid: true };
    let expected =
        [commit(first), FromLeader::Sync, commit(second), commit(third), FromLeader::Sync, revalidated];
    assert_eq!(stage.sent(), expected.map(|packet| format!("{packet:?}")));
}

/// A learner's client that asked for a write and then for a sync would be told of the sync alone. What was taken before is done and
/// answered all the same.
#[test]
fn a_leader_that_hands_over_takes_neither_writes_nor_syncs_of_learners() {
    let mut stage = Stage::new();
    stage.reign_with(&[2, 3]);
    let zxid = Epoch(2).first_zxid().next();
    let asked = |op: OpCode| {
        let (session, op) = (SessionId(7), op.code());
        FromLearner::Request(Request { session, cxid: 1, op, body: &[0; 4], authinfo: None })
    };
    stage.propose(1);
    stage.say(2, &asked(OpCode::Sync));
    stage.step(Input::HandOver);
    stage.out.clear();
    stage.say(2, &asked(OpCode::SetData));
    stage.say(2, &asked(OpCode::Sync));
    assert!(stage.out.list.is_empty(), "nothing more is taken: {:?}", stage.out.list);
    stage.sync();
    stage.say(2, &FromLearner::Ack { zxid });
    let forwarded = |effect: &Effect| matches!(effect, Effect::Request { .. });
    assert!(!stage.out.list.iter().any(forwarded));
    assert_eq!(stage.told(2), ["COMMIT 1", "Sync"], "what was taken before");
    stage.out.clear();
    stage.say(3, &FromLearner::Ack { zxid });
    assert!(stage.has(&Effect::Leave(Reason::HandedOver)));
}

/// The leader has had nothing since its epoch began, so nobody can cut where its history ends; the other two have something of
/// an epoch before, and the reign cannot begin without one of them.
#[test]
fn who_has_an_older_tail_gets_the_tree_of_a_leader_without_a_tail() {
    let empty = Epoch(1).first_zxid();
    let mut stage = Stage::of(&["participant"; 3], Epoch(1), empty);
    let link = LinkId(2);
    stage.follow(2, Zxid(0x1_0000_008b));
    assert!(stage.has(&Effect::TakeSnapshot { link }), "it was in epoch 0 when it last followed");
    stage.step(Input::SnapshotBegun { link, zxid: empty });
    let sent = stage.sent();
    assert!(sent.contains(&format!("{:?}", FromLeader::Snap { zxid: empty })), "{sent:?}");
    stage.step(Input::Persisted(Durable::Current(Epoch(2))));
    stage.say(2, &FromLearner::Ack { zxid: Epoch(2).first_zxid() });
    assert!(stage.leader.is_established());
}

/// It was started alone for a while, on a log that ends in this epoch. To keep what it has, or some of it, would be to take what nobody
/// proposed for what everybody has.
#[test]
fn who_has_more_of_the_epoch_than_was_proposed_keeps_nothing_of_it() {
    let mut stage = Stage::of(&["participant"; 3], Epoch(1), LAST);
    stage.follow(2, LAST);
    stage.step(Input::Persisted(Durable::Current(Epoch(2))));
    stage.say(2, &FromLearner::Ack { zxid: Epoch(2).first_zxid() });
    assert!(stage.leader.is_established());
    let zxid = Epoch(2).first_zxid().next();
    stage.step(Input::Propose { zxid, entry: Bytes::from_static(&[0; 40]), configuration: None });
    let link = LinkId(3);
    for (has, snap) in [
        (zxid.next(), FromLeader::SnapInstead { zxid: Epoch(2).first_zxid() }),
        (Zxid(0x1_0000_0fff), FromLeader::Snap { zxid: Epoch(2).first_zxid() }),
    ] {
        stage.follow(3, has);
        assert!(stage.has(&Effect::TakeSnapshot { link }), "{has}");
        stage.step(Input::SnapshotBegun { link, zxid: Epoch(2).first_zxid() });
        let sent = stage.sent();
        assert!(sent.contains(&format!("{snap:?}")), "{has}: {sent:?}");
        stage.step(Input::Closed { link });
    }
}

/// Server 2 is an observer that becomes a voter. It acknowledges nothing, so the change would wait for it for ever.
#[test]
fn a_leader_does_not_live_by_observers_that_are_to_be_voters() {
    let mut stage = Stage::of(&["participant", "observer"], Epoch(1), LAST);
    stage.step(Input::Persisted(Durable::Accepted(Epoch(2))));
    stage.step(Input::Persisted(Durable::Current(Epoch(2))));
    assert!(stage.leader.is_established());
    stage.learn(LearnerKind::Observer, 2, LAST);
    stage.say(2, &FromLearner::Ack { zxid: Epoch(2).first_zxid() });
    stage.wait(TIMING.tick_ms, None);
    let lost = Effect::Leave(Reason::QuorumLost);
    assert!(!stage.has(&lost));
    let zxid = Epoch(2).first_zxid().next();
    let configuration = Some(Box::new(members(&["participant"; 2], zxid.0)));
    stage.step(Input::Propose { zxid, entry: Bytes::from_static(&[0; 40]), configuration });
    stage.step(Input::Synced { upto: zxid });
    for _ in 0..2 {
        stage.say(2, &FromLearner::Ping { zxid: LAST, touched: Vec::new() });
        stage.wait(TIMING.tick_ms, None);
    }
    assert!(stage.has(&lost));
}

/// Whoever stops all servers one after another waits for each of them.
#[test]
fn a_leader_without_heirs_ends_at_once_and_what_can_be_committed_is() {
    let gone = Effect::Leave(Reason::NoHeirs);
    let mut stage = Stage::new();
    stage.reign_with(&[2]);
    stage.step(Input::HandOver);
    assert!(stage.has(&gone), "one of three is no quorum");

    let mut stage = Stage::new();
    stage.reign_with(&[2]);
    stage.propose(1);
    stage.sync();
    stage.step(Input::HandOver);
    assert!(!stage.has(&gone), "with this one it still commits");
    stage.say(2, &FromLearner::Ack { zxid: stage.leader.proposed() });
    assert!(stage.has(&gone));

    let mut stage = Stage::new();
    stage.reign_with(&[2, 3]);
    stage.propose(1);
    stage.sync();
    stage.step(Input::HandOver);
    stage.step(Input::Closed { link: LinkId(2) });
    assert!(!stage.has(&gone), "what the other has to acknowledge commits it");
    stage.step(Input::Closed { link: LinkId(3) });
    assert!(stage.has(&gone), "nobody is left to wait for");

    let mut stage = Stage::new();
    stage.reign_with(&[2, 3]);
    stage.step(Input::HandOver);
    assert!(stage.has(&Effect::Leave(Reason::HandedOver)) && !stage.has(&gone));
}

/// A second transaction was proposed while the old voters counted. They become observers with the first, so nobody
/// acknowledges the second any more: a leader that went on would never commit anything again.
#[test]
fn a_leader_does_not_wait_for_voters_that_are_none_any_more() {
    let mut stage = Stage::of(&["participant"; 3], Epoch(1), LAST);
    stage.reign_with(&[2]);
    let change = Epoch(2).first_zxid().next();
    let entry = Bytes::from_static(&[0; 40]);
    let configuration = Some(Box::new(members(&["participant", "observer", "observer"], change.0)));
    stage.step(Input::Propose { zxid: change, entry: entry.clone(), configuration });
    stage.step(Input::Propose { zxid: change.next(), entry, configuration: None });
    stage.step(Input::Synced { upto: change.next() });
    stage.say(2, &FromLearner::Ack { zxid: change });
    assert!(stage.has(&Effect::Commit { upto: change }));
    stage.step(Input::Closed { link: LinkId(2) });
    stage.learn(LearnerKind::Observer, 2, change);
    stage.say(2, &FromLearner::Ack { zxid: Epoch(2).first_zxid() });
    stage.wait(2 * TIMING.tick_ms, None);
    assert!(stage.has(&Effect::Leave(Reason::QuorumLost)));
}

/// It was led by this leader a moment ago. Java's follower ends over a commit for which it was sent no proposal.
#[test]
fn who_comes_with_what_is_not_committed_keeps_it_and_hears_no_commit_of_it() {
    let mut stage = Stage::new();
    stage.reign_with(&[2, 3]);
    stage.propose(4);
    stage.sync();
    stage.come_back(2, Zxid::new(Epoch(2), 3));
    assert_eq!(stage.told(2), ["DIFF 3", "NEWLEADER", "PROPOSAL 4"]);
    stage.say(2, &FromLearner::Ack { zxid: Epoch(2).first_zxid() });
    assert_eq!(stage.leader.committed().counter(), 3, "it has them on disk");
    assert_eq!(stage.told(2), ["UPTODATE"]);
    stage.say(2, &FromLearner::Ack { zxid: Zxid::new(Epoch(2), 4) });
    assert_eq!(stage.told(2), ["COMMIT 4"]);
}

/// What others agree to meanwhile is the same to it; UPTODATE says that all that it has is committed.
#[test]
fn who_comes_with_what_is_not_committed_serves_when_it_is() {
    let mut stage = Stage::new();
    stage.reign_with(&[2, 3]);
    stage.propose(3);
    stage.come_back(2, Zxid::new(Epoch(2), 2));
    stage.say(2, &FromLearner::Ack { zxid: Epoch(2).first_zxid() });
    assert_eq!(stage.told(2), ["DIFF 2", "NEWLEADER", "PROPOSAL 3"]);
    stage.say(3, &FromLearner::Ack { zxid: Zxid::new(Epoch(2), 1) });
    assert_eq!((stage.leader.committed().counter(), stage.told(2)), (1, vec![]));
    stage.say(3, &FromLearner::Ack { zxid: Zxid::new(Epoch(2), 3) });
    assert_eq!((stage.leader.committed().counter(), stage.told(2)), (2, vec!["UPTODATE".to_owned()]));
    stage.sync();
    assert_eq!((stage.leader.committed().counter(), stage.told(2)), (3, vec!["COMMIT 3".to_owned()]));
}

/// Nobody tells it that the new members hold now: it comes anew, and NEWLEADER says so.
#[test]
fn who_comes_with_a_reconfiguration_comes_again_when_that_is_committed() {
    let mut stage = Stage::new();
    stage.reign_with(&[2, 3]);
    let zxid = stage.leader.proposed().next();
    let configuration = Some(Box::new(members(&["participant"; 3], zxid.0)));
    stage.step(Input::Propose { zxid, entry: Bytes::from_static(b"x"), configuration });
    stage.sync();
    stage.come_back(2, zxid);
    stage.say(2, &FromLearner::Ack { zxid: Epoch(2).first_zxid() });
    assert_eq!(stage.leader.committed(), zxid);
    assert!(stage.has(&Effect::Close { link: LinkId(2) }));
    assert_eq!(stage.told(2), ["DIFF 1", "NEWLEADER"]);
    stage.come_back(2, zxid);
    stage.say(2, &FromLearner::Ack { zxid: Epoch(2).first_zxid() });
    assert_eq!(stage.told(2), ["DIFF 1", "NEWLEADER", "UPTODATE"]);
}

/// A voter that has connected is not asked again what it says elsewhere; one whose connection ends is.
#[test]
fn a_leader_gives_up_when_nobody_is_left_who_could_make_it_reign() {
    let voted = |server: i64, word| Input::Voted { server: ServerId(server), word };
    let left = Effect::Leave(Reason::VotersTurnedAway);
    let mut stage = Stage::of(&["participant"; 5], Epoch(1), LAST);
    stage.step(voted(4, Word::Against));
    assert!(!stage.has(&left), "it was never for this server, and the others are enough");
    stage.step(voted(4, Word::ForIt));
    stage.step(voted(2, Word::Looks));
    assert!(!stage.has(&left), "3 and 4 are still for it");
    stage.introduce(5, LearnerKind::Follower, Epoch(0));
    stage.step(voted(3, Word::Looks));
    assert!(!stage.has(&left), "5 follows");
    stage.step(Input::Closed { link: LinkId(5) });
    assert!(stage.has(&left));
}

#[test]
fn an_established_leader_does_not_listen_to_the_election_port() {
    let mut stage = Stage::new();
    stage.reign_with(&[2]);
    stage.step(Input::Closed { link: LinkId(2) });
    for server in [2, 3] {
        stage.step(Input::Voted { server: ServerId(server), word: Word::Looks });
    }
    assert!(stage.leader.is_established());
    stage.wait(2 * TIMING.tick_ms, None);
    assert!(stage.has(&Effect::Leave(Reason::QuorumLost)), "it has its own way to find out");
}

/// A voter that crashes behind its vote says nothing. The other one would have been without a leader for `initLimit`.
#[test]
fn a_leader_whose_voters_do_not_come_gives_way_to_an_election_with_who_looks() {
    let mut stage = Stage::new();
    let step = |stage: &mut Stage, server, word| stage.step(Input::Voted { server: ServerId(server), word });
    let left = Effect::Leave(Reason::NoQuorumInTime);
    stage.wait(3 * TIMING.tick_ms, None);
    assert!(!stage.has(&left), "there is nobody else");
    step(&mut stage, 3, Word::Against);
    assert!(!stage.has(&left), "who has no voice elects nobody");
    step(&mut stage, 3, Word::Looks);
    assert!(stage.has(&left));

    let mut stage = Stage::new();
    step(&mut stage, 3, Word::Looks);
    stage.introduce(2, LearnerKind::Follower, Epoch(0));
    stage.wait(3 * TIMING.tick_ms, None);
    assert!(!stage.has(&left), "2 follows, and its disk may be slow");
}

/// It may be gone as well, and nobody would be elected.
#[test]
fn who_looked_and_is_heard_no_more_is_nobody_to_hold_an_election_with() {
    let mut stage = Stage::new();
    stage.step(Input::Voted { server: ServerId(3), word: Word::Looks });
    stage.step(Input::Unheard { server: ServerId(3) });
    stage.wait(3 * TIMING.tick_ms, None);
    let left = Effect::Leave(Reason::NoQuorumInTime);
    assert!(!stage.has(&left));
    stage.step(Input::Voted { server: ServerId(3), word: Word::Looks });
    assert!(stage.has(&left), "it is back, and looks");
}

/// `leaderConnectDelayDuringRetryMs=0`: voters try without a pause, but not before they have decided.
#[test]
fn voters_have_time_to_come_however_short_their_pauses_are() {
    let timing = Timing { connect_delay_ms: 0, ..TIMING };
    let voters = || [ServerId(2)].into();
    assert_eq!(Backing::new(Instant(0), timing, voters()).awaited_until, Instant(TIMING.tick_ms / 2));
    let usual = Backing::new(Instant(0), TIMING, voters()).awaited_until;
    assert_eq!(usual, Instant(10 * TIMING.connect_delay_ms));
}

/// What an operator asks first: who, and whether it went or fell silent.
#[test]
fn a_learner_that_is_lost_is_named_with_how() {
    let mut stage = Stage::new();
    stage.reign_with(&[2, 3]);
    stage.step(Input::Closed { link: LinkId(3) });
    let lost = |server, loss| {
        Effect::Note(Note::LearnerLost { server: ServerId(server), kind: LearnerKind::Follower, loss })
    };
    assert!(stage.has(&lost(3, Loss::Closed)), "{:?}", stage.out.list);
    stage.wait(2 * TIMING.sync_ms(), None);
    assert!(stage.has(&lost(2, Loss::Silent)), "{:?}", stage.out.list);
}

/// Two servers of one id take each other's place. One voter is one log: what only the other one of them has acknowledged counts for
/// nothing, neither later nor because it came before.
#[test]
fn the_connection_of_a_member_that_comes_twice_is_named() {
    let mut stage = Stage::new();
    stage.reign_with(&[2]);
    stage.propose(1);
    let zxid = stage.leader.proposed();
    stage.say(2, &FromLearner::Ack { zxid });
    let info = LearnerInfo {
        server: ServerId(2),
        protocol_version: Some(LearnerInfo::PROTOCOL_VERSION),
        config_version: Some(ConfigVersion::ZERO),
    };
    let (kind, accepted, info) = (LearnerKind::Follower, Epoch(2), Some(info));
    stage.step(Input::Accepted { link: LinkId(12) });
    stage.say(12, &FromLearner::Info { kind, accepted, info, behind: Sections::default() });
    let (old, new) = (LinkId(2), LinkId(12));
    assert!(stage.has(&Effect::Replaced { server: ServerId(2), old, new }), "{:?}", stage.out.list);
    assert!(stage.has(&Effect::Close { link: old }));
    stage.sync();
    stage.say(2, &FromLearner::Ack { zxid });
    assert!(stage.leader.committed() < zxid, "it was acknowledged by whoever is not voter 2 any more");
}

/// It may have named what must not be missed.
#[test]
fn who_names_a_change_that_cannot_be_read_is_refused() {
    for broken in [&b"\xff"[..], b"server.1="] {
        let mut stage = Stage::new();
        let behind = Sections::default().with(NOTED_CHANGE, broken);
        stage.introduce_with(3, LearnerKind::Follower, Epoch(1), behind);
        let is_refused = stage.has(&Effect::Refuse { link: LinkId(3), why: Refusal::NoLearner });
        assert!(is_refused, "{broken:?}: {:?}", stage.out.list);
    }
}
