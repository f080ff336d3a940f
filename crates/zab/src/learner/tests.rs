//! A learner and its connection: attempts that fail in one way or another, a leader that takes long, and what comes behind
//! the end of the role.

use bytes::Bytes;
use zabd_jute::quorum::{Configuration, FromLeader, FromLearner, LearnerKind, QuorumPacket};
use zabd_jute::{Epoch, Limits, Reader, Record as _, ServerId, Writer, Zxid};

use super::{Input, Learner, Start};
use crate::effect::{DialId, Durable, Effect, Effects, Instant, LinkId, Testing, Timing};
use crate::history::History;
use crate::quorum::Lists;

const TIMING: Timing = Timing { tick_ms: 1000, init_limit: 10, sync_limit: 5, connect_delay_ms: 100 };
const LEADER: ServerId = ServerId(3);

/// Server 4, which has nothing, and what it asks for.
struct Stage {
    learner: Learner,
    now: Instant,
    out: Effects,
}

impl Stage {
    fn follower() -> Self {
        Self::new(LearnerKind::Follower, Vec::new())
    }

    fn observer(masters: &[i64]) -> Self {
        Self::new(LearnerKind::Observer, masters.iter().copied().map(ServerId).collect())
    }

    fn new(kind: LearnerKind, masters: Vec<ServerId>) -> Self {
        Self::with_timing(kind, masters, TIMING)
    }

    fn with_timing(kind: LearnerKind, masters: Vec<ServerId>, timing: Timing) -> Self {
        let start = Self::start(kind, masters, timing);
        let mut out = Effects::default();
        let learner = Learner::new(Instant(0), start, &mut out);
        Self { learner, now: Instant(0), out }
    }

    fn start(kind: LearnerKind, masters: Vec<ServerId>, timing: Timing) -> Start {
        Start {
            me: ServerId(4),
            leader: LEADER,
            kind,
            timing,
            limits: Limits::default(),
            accepted: Epoch(0),
            current: Epoch(0),
            configuration: Configuration::parse("server.3=a:1:2:participant").unwrap(),
            next: None,
            is_next_logged: false,
            lists: Lists::default(),
            reconfig: true,
            history: History::new(Zxid::ZERO),
            vouches: true,
            begins_anew: false,
            is_partial: false,
            needs_snapshot: false,
            elected_with: None,
            masters,
            dial: DialId(1),
            testing: Testing::default(),
        }
    }

    /// A follower that has joined epoch 2 and has this.
    fn in_epoch_two(last: Zxid) -> Start {
        Start {
            accepted: Epoch(2),
            current: Epoch(2),
            history: History::new(last),
            ..Self::start(LearnerKind::Follower, Vec::new(), TIMING)
        }
    }

    /// It promises epoch 4, and says this.
    fn promising(start: Start) -> Vec<String> {
        let mut out = Effects::default();
        let learner = Learner::new(Instant(0), start, &mut out);
        let mut stage = Self { learner, now: Instant(0), out };
        stage.step(Input::Connected { dial: DialId(1), link: LinkId(1) });
        stage.said();
        stage.hear(&FromLeader::LeaderInfo { epoch: Epoch(4), protocol_version: 0x10000 });
        stage.step(Input::Persisted(Durable::Accepted(Epoch(4))));
        stage.said()
    }

    /// What is said to the leader.
    fn said(&mut self) -> Vec<String> {
        let bytes = std::mem::take(&mut self.out.bytes);
        let sent = self.out.list.drain(..).filter_map(|effect| match effect {
            Effect::Send { bytes: part, .. } => Some(part),
            _ => None,
        });
        let told = sent.map(|part| {
            let packet = QuorumPacket::decode(&mut Reader::new(&bytes[part])).unwrap();
            format!("{:?}", FromLearner::decode(packet).unwrap().unwrap())
        });
        told.collect()
    }

    fn step(&mut self, input: Input) {
        self.learner.step(self.now, input, &mut self.out);
    }

    fn hear(&mut self, packet: &FromLeader<'_>) {
        let mut bytes = Vec::new();
        packet.encode(&mut Writer::new(&mut bytes));
        self.step(Input::Packet { packet: Bytes::from(bytes) });
    }

    /// A leader that is there sends its tree, which ends here.
    fn hear_of_a_snapshot(&mut self, zxid: Zxid) {
        self.step(Input::Connected { dial: DialId(1), link: LinkId(1) });
        self.hear(&FromLeader::LeaderInfo { epoch: Epoch(1), protocol_version: 0x10000 });
        self.step(Input::Persisted(Durable::Accepted(Epoch(1))));
        self.hear(&FromLeader::Snap { zxid });
        self.asked();
    }

    /// What was asked for since the last time, nothing of what is said.
    fn asked(&mut self) -> Vec<String> {
        let asked = self.out.list.drain(..).filter(|effect| !matches!(effect, Effect::Send { .. }));
        asked.map(|effect| format!("{effect:?}")).collect()
    }

    fn accepted_and_closed(&mut self, dial: u64) {
        self.step(Input::Connected { dial: DialId(dial), link: LinkId(dial) });
        self.now = self.now.after_ms(1);
        self.step(Input::Closed);
    }
}

fn dialled(server: ServerId, dial: u64) -> String {
    format!("{:?}", Effect::Dial { leader: server, dial: DialId(dial) })
}

/// It says that it has nothing, to be given everything. What it has may be committed, and more than its leader has: its promise would let
/// that lead without it.
#[test]
fn who_cannot_be_cut_promises_nothing_to_a_leader_that_may_have_less() {
    let last = Zxid::new(Epoch(2), 7);
    for (elected_with, current) in [
        (Some((Epoch(2), last)), Some(Epoch(2))),
        (Some((Epoch(3), Zxid::new(Epoch(1), 9))), Some(Epoch(2))),
        (Some((Epoch(2), Zxid::new(Epoch(2), 6))), None),
        (Some((Epoch(1), last)), None),
        (None, None),
    ] {
        let start = Start { needs_snapshot: true, elected_with, ..Stage::in_epoch_two(last) };
        let promise = format!("{:?}", FromLearner::AckEpoch { last_zxid: Zxid::ZERO, current });
        assert_eq!(Stage::promising(start), [promise], "{elected_with:?}");
    }
}

/// It had ended when its epoch was on disk, and the mark of a part was still there: so it voted for nobody, and yet nobody whose epoch was
/// older might lead it.
#[test]
fn who_has_a_part_of_a_history_has_joined_no_epoch() {
    let last = Zxid::new(Epoch(1), 7);
    for (begins_anew, is_partial, current) in
        [(true, true, Epoch(0)), (true, false, Epoch(2)), (false, true, Epoch(2)), (false, false, Epoch(2))]
    {
        let start = Start { begins_anew, is_partial, ..Stage::in_epoch_two(last) };
        let promise = format!("{:?}", FromLearner::AckEpoch { last_zxid: last, current: Some(current) });
        assert_eq!(Stage::promising(start), [promise], "{begins_anew}, {is_partial}");
    }
}

/// A proxy without a server behind it does that, and a port that is open before its server is ready.
#[test]
fn who_closes_at_once_is_tried_as_often_as_who_does_not_answer() {
    let mut stage = Stage::follower();
    for dial in 1..=5 {
        assert_eq!(stage.asked(), [dialled(LEADER, dial)]);
        stage.accepted_and_closed(dial);
        if dial < 5 {
            assert_eq!(stage.asked(), Vec::<String>::new(), "not before its time");
            assert_eq!(stage.learner.link(), None);
            assert_eq!(stage.learner.next_timer(), stage.now.after_ms(TIMING.connect_delay_ms));
            stage.now = stage.learner.next_timer();
            stage.step(Input::Timer);
        }
    }
    assert_eq!(stage.asked(), ["Leave(LeaderUnreachable)"]);
}

/// `leaderConnectDelayDuringRetryMs=0`: five attempts would be over before anybody could have become ready.
#[test]
fn attempts_have_pauses_whatever_is_configured() {
    let hasty = Timing { connect_delay_ms: 0, ..TIMING };
    let mut stage = Stage::with_timing(LearnerKind::Follower, Vec::new(), hasty);
    stage.step(Input::ConnectFailed { dial: DialId(1) });
    assert_eq!(stage.learner.next_timer(), Instant(10));
    let mut stage = Stage::with_timing(LearnerKind::Follower, Vec::new(), hasty);
    stage.accepted_and_closed(1);
    assert_eq!(stage.learner.next_timer(), stage.now.after_ms(10), "who closes at once does not lead yet");
}

/// Who held the connection for a while has found out that it does not lead: somebody else does.
#[test]
fn who_closes_later_is_left() {
    let mut stage = Stage::follower();
    stage.step(Input::Connected { dial: DialId(1), link: LinkId(1) });
    stage.asked();
    stage.now = Instant(TIMING.connect_delay_ms + 1);
    stage.step(Input::Closed);
    assert_eq!(stage.asked(), ["Close { link: LinkId(1) }", "Leave(LeaderClosed)"]);
}

#[test]
fn who_closes_behind_its_first_word_is_left() {
    let mut stage = Stage::follower();
    stage.step(Input::Connected { dial: DialId(1), link: LinkId(1) });
    stage.hear(&FromLeader::LeaderInfo { epoch: Epoch(1), protocol_version: 0x10000 });
    stage.asked();
    stage.step(Input::Closed);
    assert_eq!(stage.asked(), ["Close { link: LinkId(1) }", "Leave(LeaderClosed)"]);
}

#[test]
fn a_master_that_closes_at_once_is_followed_by_the_next() {
    let mut stage = Stage::observer(&[1, 2]);
    let master = |server, dial| {
        let dialled = Effect::DialObserverMaster { server: ServerId(server), dial: DialId(dial) };
        format!("{dialled:?}")
    };
    assert_eq!(stage.asked(), [master(1, 1)]);
    stage.accepted_and_closed(1);
    assert_eq!(stage.asked(), [master(2, 2)], "at once: it is another server");
    stage.accepted_and_closed(2);
    assert_eq!(stage.asked(), Vec::<String>::new(), "all were asked");
    stage.now = stage.now.after_ms(TIMING.sync_ms());
    stage.step(Input::Timer);
    assert_eq!(stage.asked(), [master(1, 3)]);
    stage.accepted_and_closed(3);
    assert_eq!(stage.asked(), [dialled(LEADER, 4)], "none of them serves observers");
}

#[test]
fn what_comes_of_an_earlier_attempt_is_nothing_to_a_later_one() {
    let mut stage = Stage::follower();
    stage.step(Input::ConnectFailed { dial: DialId(1) });
    stage.now = stage.learner.next_timer();
    stage.step(Input::Timer);
    stage.asked();
    stage.step(Input::Connected { dial: DialId(1), link: LinkId(7) });
    assert_eq!(stage.asked(), ["Close { link: LinkId(7) }"]);
    stage.step(Input::ConnectFailed { dial: DialId(1) });
    assert_eq!(stage.learner.attempts(), 1);
    stage.step(Input::Connected { dial: DialId(2), link: LinkId(8) });
    assert_eq!(stage.learner.link(), Some(LinkId(8)));
}

/// A snapshot over a slow link takes many times `initLimit`.
#[test]
fn a_leader_lives_while_its_snapshot_comes() {
    let mut stage = Stage::follower();
    stage.hear_of_a_snapshot(Epoch(1).first_zxid());
    for _ in 0..10 {
        stage.now = stage.now.after_ms(TIMING.init_ms() - 1);
        stage.step(Input::Timer);
        stage.step(Input::Heard);
    }
    assert_eq!(stage.asked(), Vec::<String>::new());
    stage.now = stage.now.after_ms(TIMING.init_ms());
    stage.step(Input::Timer);
    assert_eq!(stage.asked(), ["Close { link: LinkId(1) }", "Leave(LeaderSilent)"], "nothing more came");
}

/// A reconfiguration among what came while the snapshot was adopted gives somebody else the lead. What is in front of it waits
/// to be logged, and would be missing under what is behind it.
#[test]
fn what_was_held_behind_the_end_of_the_role_is_not_logged() {
    let at = |counter| Zxid::new(Epoch(1), counter);
    let mut stage = Stage::follower();
    stage.hear_of_a_snapshot(at(5));
    stage.step(Input::SnapshotReceived { shown: None });
    stage.asked();
    stage.hear(&FromLeader::NewLeader { zxid: Epoch(1).first_zxid(), config: None });
    stage.hear(&FromLeader::Proposal { zxid: at(6), txn: b"x" });
    stage.hear(&FromLeader::CommitAndActivate { zxid: at(6), leader: ServerId(2) });
    stage.hear(&FromLeader::Proposal { zxid: at(7), txn: b"x" });
    assert_eq!(stage.asked(), [""; 0], "the snapshot is being adopted");
    stage.step(Input::Rebased { last: at(5), shown: None });
    let ended = ["Close { link: LinkId(1) }", "Leave(Reconfigured { leader: ServerId(2) })"];
    assert_eq!(stage.asked(), [&["Persist(Current(Epoch(1)))"][..], &ended].concat());
    assert_eq!(stage.learner.into_history().last(), at(5));
}

/// Whoever reads on after the end would write down a configuration that nobody has agreed to.
#[test]
fn a_role_ends_once() {
    let at = |counter| Zxid::new(Epoch(1), counter);
    let mut stage = Stage::follower();
    stage.hear_of_a_snapshot(at(5));
    stage.step(Input::SnapshotReceived { shown: None });
    stage.step(Input::Rebased { last: at(5), shown: None });
    stage.asked();
    stage.hear(&FromLeader::CommitAndActivate { zxid: at(7), leader: ServerId(2) });
    let ended = stage.asked();
    assert_eq!(ended.len(), 2, "{ended:?}");
    assert!(ended[1].starts_with("Leave(LeaderBroken"), "{ended:?}");
}

impl Stage {
    /// A leader that is there sends what is missing up to here.
    fn hear_of_a_difference(&mut self, zxid: Zxid) {
        self.step(Input::Connected { dial: DialId(1), link: LinkId(1) });
        self.hear(&FromLeader::LeaderInfo { epoch: Epoch(1), protocol_version: 0x10000 });
        self.step(Input::Persisted(Durable::Accepted(Epoch(1))));
        self.hear(&FromLeader::Diff { zxid });
        self.asked();
    }

    fn hear_of_committed(&mut self, zxid: Zxid, txn: &[u8]) {
        self.hear(&FromLeader::Proposal { zxid, txn });
        self.hear(&FromLeader::Commit { zxid });
    }
}

/// A difference may be larger than memory, and must not go to the disk all at once when the leader waits for it.
#[test]
fn a_difference_is_logged_as_it_comes() {
    let at = |counter| Zxid::new(Epoch(1), counter);
    let appended = |zxid: Zxid| format!("Append {{ zxid: {zxid:?}, entry: b\"x\" }}");
    let mut stage = Stage::follower();
    stage.hear_of_a_difference(at(3));
    stage.hear(&FromLeader::Proposal { zxid: at(1), txn: b"x" });
    assert_eq!(stage.asked(), [""; 0], "it may be one that is under way");
    let replayed = |zxid: Zxid| format!("Replay {{ upto: {zxid:?} }}");
    stage.hear(&FromLeader::Commit { zxid: at(1) });
    assert_eq!(stage.asked(), ["Persist(Current(Epoch(1)))".to_owned(), appended(at(1)), replayed(at(1))]);
    stage.hear_of_committed(at(2), b"x");
    assert_eq!(stage.asked(), [appended(at(2)), replayed(at(2))]);
    stage.hear(&FromLeader::Proposal { zxid: at(3), txn: b"x" });
    stage.step(Input::Synced { upto: at(2) });
    assert!(stage.out.list.is_empty(), "nothing is acknowledged before NEWLEADER: {:?}", stage.out.list);
    stage.step(Input::Closed);
    assert_eq!(stage.learner.into_history().last(), at(2), "a prefix of the leader's, without holes");
}

/// What is on disk is read from there by whoever needs it later.
#[test]
fn of_a_long_difference_memory_holds_what_is_not_on_disk_and_little_more() {
    const MEGABYTES: u32 = 40;
    let at = |counter| Zxid::new(Epoch(1), counter);
    let megabyte = vec![0; 1 << 20];
    let mut stage = Stage::follower();
    stage.hear_of_a_difference(at(MEGABYTES));
    for counter in 1..=MEGABYTES {
        stage.hear_of_committed(at(counter), &megabyte);
    }
    assert_eq!(stage.learner.history().before(), Zxid::ZERO, "none of it is on disk");
    stage.step(Input::Synced { upto: at(30) });
    assert_eq!(stage.learner.history().before(), at(30 - 8));
    assert_eq!(stage.learner.history().last(), at(MEGABYTES));
}

/// `currentEpoch` is written twice while a learner joins a reign that has proposed something: in front of the first record, and
/// behind the last. On a slow disk NEWLEADER is there before the first report.
#[test]
fn new_leader_is_acknowledged_when_the_whole_initial_history_is_on_disk() {
    let mut stage = Stage::follower();
    stage.step(Input::Connected { dial: DialId(1), link: LinkId(1) });
    stage.hear(&FromLeader::LeaderInfo { epoch: Epoch(1), protocol_version: 0x10000 });
    stage.step(Input::Persisted(Durable::Accepted(Epoch(1))));
    let zxid = Zxid::new(Epoch(1), 1);
    stage.hear(&FromLeader::Diff { zxid });
    stage.hear(&FromLeader::Proposal { zxid, txn: b"x" });
    stage.hear(&FromLeader::Commit { zxid });
    stage.hear(&FromLeader::NewLeader { zxid: Epoch(1).first_zxid(), config: None });
    let said =
        |stage: &Stage| stage.out.list.iter().filter(|effect| matches!(effect, Effect::Send { .. })).count();
    let before = said(&stage);
    stage.step(Input::Persisted(Durable::Current(Epoch(1))));
    assert_eq!(said(&stage), before, "the record is not on disk");
    stage.step(Input::Synced { upto: zxid });
    assert_eq!(said(&stage), before, "the epoch behind it is not on disk");
    stage.step(Input::Persisted(Durable::Current(Epoch(1))));
    assert_eq!(said(&stage), before + 1);
}

impl Stage {
    /// A server whose members have no number, and which knows of this list; the leader is of epoch 7.
    fn of_lists(kind: LearnerKind, masters: &[i64], lists: &str) -> Self {
        let start = Start {
            accepted: Epoch(5),
            current: Epoch(5),
            reconfig: false,
            lists: Lists::parse(lists).unwrap(),
            history: History::new(Zxid::new(Epoch(5), 9)),
            ..Self::start(kind, masters.iter().copied().map(ServerId).collect(), TIMING)
        };
        let mut out = Effects::default();
        let learner = Learner::new(Instant(0), start, &mut out);
        let mut stage = Self { learner, now: Instant(0), out };
        stage.step(Input::Connected { dial: DialId(1), link: LinkId(1) });
        stage.hear(&FromLeader::LeaderInfo { epoch: Epoch(7), protocol_version: 0x10000 });
        stage.step(Input::Persisted(Durable::Accepted(Epoch(7))));
        stage
    }

    /// What is written down of lists and epochs since the last time.
    fn noted(&mut self) -> Vec<String> {
        let noted = self.out.list.drain(..).filter_map(|effect| match effect {
            Effect::Persist(Durable::Lists(lists)) => Some(lists.written(ServerId(4)).replace('\n', " ")),
            Effect::Persist(Durable::Current(epoch)) => Some(format!("current {epoch}")),
            Effect::Adopt { .. } => Some("adopt".to_owned()),
            _ => None,
        });
        noted.collect()
    }

    fn hear_of_members(&mut self) {
        let lines = (1..=5).map(|id| format!("server.{id}=a:1:2:participant")).collect::<Vec<_>>();
        let config = lines.join("\n");
        self.hear(&FromLeader::NewLeader { zxid: Epoch(7).first_zxid(), config: Some(config.into()) });
    }
}

const THREE: &str = "established=5\nlist.5=1 2 3\n";

/// Lists are on disk before the epoch in which they were told is joined, so that a file that is behind it is somebody else's time.
#[test]
fn the_leaders_list_comes_to_those_that_are_known_and_stays_alone_when_it_is_established() {
    let mut stage = Stage::of_lists(LearnerKind::Follower, &[], THREE);
    let introduction = stage.said().remove(0);
    assert!(introduction.contains(&format!("{:?}", THREE.as_bytes())), "{introduction}");
    stage.hear(&FromLeader::Diff { zxid: Zxid::new(Epoch(5), 9) });
    stage.noted();
    stage.hear_of_members();
    let both = "server=4 epoch=7 established=5 list.5=1 2 3 list.7=1 2 3 4 5 ";
    assert_eq!(stage.noted(), [both, "current 7"]);
    stage.step(Input::Persisted(Durable::Current(Epoch(7))));
    stage.hear(&FromLeader::UpToDate);
    assert_eq!(stage.noted(), ["server=4 epoch=7 established=7 list.7=1 2 3 4 5 "]);
}

/// Its epoch is joined then, and NEWLEADER may never come.
#[test]
fn a_transaction_or_a_snapshot_of_a_newer_epoch_leaves_no_list_behind() {
    let joined = |epoch| format!("server=4 epoch={epoch} established=5 list.5=1 2 3 ");
    let mut stage = Stage::of_lists(LearnerKind::Follower, &[], THREE);
    let at = Zxid::new(Epoch(6), 1);
    stage.hear(&FromLeader::Diff { zxid: at });
    stage.noted();
    stage.hear_of_committed(at, b"x");
    assert_eq!(stage.noted(), [joined(6), "current 6".to_owned()]);
    let mut stage = Stage::of_lists(LearnerKind::Follower, &[], THREE);
    stage.hear(&FromLeader::Snap { zxid: at });
    stage.noted();
    stage.step(Input::SnapshotReceived { shown: None });
    assert_eq!(stage.noted(), [joined(6), "adopt".to_owned()]);
}

/// What is there of the leader's epoch is the leader's, unless the leader says that it is not.
#[test]
fn what_the_leader_has_not_proposed_goes_with_what_is_older() {
    let at = Zxid::new(Epoch(6), 1);
    for (snap, epoch) in
        [(FromLeader::Snap { zxid: at }, Epoch(7)), (FromLeader::SnapInstead { zxid: at }, Epoch(8))]
    {
        let mut stage = Stage::of_lists(LearnerKind::Follower, &[], THREE);
        stage.hear(&snap);
        stage.step(Input::SnapshotReceived { shown: None });
        let adopted = stage.out.list.iter().find_map(|effect| match effect {
            Effect::Adopt { zxid, epoch } => Some((*zxid, *epoch)),
            _ => None,
        });
        assert_eq!(adopted, Some((at, epoch)), "{snap:?}");
    }
}

/// It tells its own list, which nobody may have promised anything to; who knows none takes it for one that may hold.
#[test]
fn a_follower_that_leads_an_observer_says_nothing_of_lists_to_who_knows_one() {
    let mut stage = Stage::of_lists(LearnerKind::Observer, &[2], THREE);
    stage.hear(&FromLeader::Diff { zxid: Zxid::new(Epoch(5), 9) });
    stage.noted();
    stage.hear_of_members();
    assert_eq!(stage.noted(), ["server=4 epoch=7 established=5 list.5=1 2 3 ", "current 7"]);
    stage.step(Input::Persisted(Durable::Current(Epoch(7))));
    stage.hear(&FromLeader::UpToDate);
    assert_eq!(stage.noted(), [""; 0]);
    let mut stage = Stage::of_lists(LearnerKind::Observer, &[2], "");
    stage.hear(&FromLeader::Diff { zxid: Zxid::new(Epoch(5), 9) });
    stage.noted();
    stage.hear_of_members();
    assert_eq!(stage.noted(), ["server=4 epoch=7 established=0 list.7=1 2 3 4 5 ", "current 7"]);
    stage.step(Input::Persisted(Durable::Current(Epoch(7))));
    stage.hear(&FromLeader::UpToDate);
    assert_eq!(stage.noted(), [""; 0]);
}
