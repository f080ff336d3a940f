use super::*;
use crate::links::{ConnId, Output};
use zabd_jute::ConfigVersion;
use zabd_jute::quorum::{Notification, frame};

const CONFIG: &str = "server.1=zk1:2888:3888\nserver.2=zk2:2888:3888\nserver.3=zk3:2888:3888\nversion=0";
const FRIEND: ServerId = ServerId(1);
const LINK: ConnId = ConnId(7);

/// Server 3, which has something, with a connection to server 1 on the election port.
pub(super) struct Lone {
    pub(super) peer: Peer,
    pub(super) now: Instant,
    pub(super) out: Effects,
}

impl Lone {
    pub(super) fn new() -> Self {
        Self::with(Standing::Voter, Zxid(0x1_0000_0005), false)
    }

    /// It has this, and that is worth so much.
    fn with(standing: Standing, last: Zxid, is_partial: bool) -> Self {
        Self::with_history(standing, History::new(last), is_partial)
    }

    /// It had nothing, has a part of what a leader was sending, up to here, and was started again.
    fn restarted_with_a_part(last: Zxid) -> Self {
        let mut lone = Self::with(Standing::Empty, last, true);
        lone.step(Input::Links(links::Input::Dialled { peer: ServerId(2), conn: OTHER }));
        lone.has_written_all();
        lone.out.clear();
        lone.now = Instant(1000);
        lone.step(Input::Timer);
        assert!(lone.abstains(), "a start makes a voter of it");
        lone
    }

    /// The link breaks, and the disk has come to rest here.
    /// One that its friend has elected.
    fn elected() -> Self {
        let mut lone = Self::new();
        lone.win_election();
        lone
    }

    fn win_election(&mut self) {
        self.ask(1);
        self.now = Instant(1000);
        self.step(Input::Timer);
        assert_eq!(self.peer.state(), PeerState::Leading);
    }

    fn loses_leader(&mut self, link: LinkId, last: Zxid) {
        self.step(Input::Closed { link });
        self.out.clear();
        self.has_written_all();
        self.step(Input::Settled { last });
    }

    fn with_history(standing: Standing, history: History, is_partial: bool) -> Self {
        Self::in_epoch(history.last().epoch(), standing, history, is_partial)
    }

    /// The same, and it has joined this epoch.
    fn in_epoch(epoch: Epoch, standing: Standing, history: History, is_partial: bool) -> Self {
        let last = history.last();
        let start = Start {
            me: ServerId(3),
            timing: Timing { tick_ms: 200, init_limit: 10, sync_limit: 5, connect_delay_ms: 100 },
            election_timing: election::Timing::default(),
            limits: Limits::default(),
            reconfig: false,
            multi_address: false,
            accepted: epoch,
            current: epoch,
            configuration: Configuration::parse(CONFIG).unwrap(),
            next: None,
            lists: crate::quorum::Lists::default(),
            history,
            standing,
            is_partial,
            observer_masters: false,
            testing: Testing::default(),
        };
        let mut lone = Self { peer: Peer::new(start, None), now: Instant(0), out: Effects::default() };
        lone.step(Input::Settled { last });
        lone.step(Input::Links(links::Input::Dialled { peer: FRIEND, conn: LINK }));
        lone
    }

    pub(super) fn step(&mut self, input: Input) {
        self.peer.step(self.now, input, &mut self.out);
    }

    /// What server 1 is told when it looks for a leader and votes for this one.
    fn ask(&mut self, round: i64) -> Vec<(PeerState, ServerId)> {
        self.hear_vote(round, ServerId(3), Zxid(0x1_0000_0005))
    }

    /// What server 1 is told when it looks for a leader and votes so.
    fn hear_vote(&mut self, round: i64, leader: ServerId, zxid: Zxid) -> Vec<(PeerState, ServerId)> {
        self.hear(&Notification {
            state: PeerState::Looking,
            leader,
            zxid,
            round,
            epoch: Epoch(1),
            version: Notification::VERSION,
            config: None,
        })
    }

    /// What server 1 is told when it says so.
    fn hear(&mut self, vote: &Notification<'_>) -> Vec<(PeerState, ServerId)> {
        self.hear_over(LINK, vote);
        self.told().iter().map(|told| (told.state, told.leader)).collect()
    }

    fn hear_over(&mut self, conn: ConnId, vote: &Notification<'_>) {
        let mut asked = Vec::new();
        vote.encode_frame(&mut asked).unwrap();
        self.step(Input::Links(links::Input::Written { conn }));
        self.out.clear();
        self.step(Input::Links(links::Input::Frame { conn, content: Bytes::from(asked).slice(4..) }));
    }

    /// What others are told.
    fn told(&self) -> Vec<Notification<'_>> {
        let told = self.out.list.iter().filter_map(|effect| match effect {
            Effect::Link(Output::Write { bytes, .. }) => frame(bytes).unwrap(),
            _ => None,
        });
        told.map(|(content, _)| Notification::decode(content).unwrap()).collect()
    }
}

impl Lone {
    fn dials(&self) -> bool {
        self.out.list.iter().any(|effect| matches!(effect, Effect::Dial { leader: FRIEND, .. }))
    }
}

/// A leader whose disk is full gives its place up and cannot vote before the disk has taken what was asked of it. Whoever
/// looked meanwhile was told that it leads, joined it, and waited for `initLimit`, again and again.
#[test]
fn who_has_left_its_role_and_waits_for_the_disk_does_not_answer_for_it() {
    let mut lone = Lone::elected();
    assert_eq!(lone.ask(1), [(PeerState::Leading, ServerId(3))]);
    lone.step(Input::Leader(leader::Input::NoRoom));
    assert_eq!(lone.peer.state(), PeerState::Looking);
    assert_eq!(lone.ask(2), [], "it leads no more, and does not know yet what to vote for");
    lone.step(Input::Settled { last: Zxid(0x1_0000_0005) });
    assert_eq!(lone.peer.state(), PeerState::Leading, "the vote that came meanwhile is taken up");
}

/// Server 1 changed its vote behind the one that elected this server, has another leader, and says nothing of itself. Whoever was
/// started again while others elect waited for `initLimit`.
#[test]
fn a_leader_asks_those_who_elected_it_and_do_not_come() {
    let mut lone = Lone::elected();
    lone.step(Input::Links(links::Input::Written { conn: LINK }));
    lone.out.clear();
    let asks_at = lone.now.after_ms(patience_ms(lone.peer.timing));
    assert!(
        lone.peer.next_timer() <= Some(asks_at) && asks_at < lone.now.after_ms(lone.peer.timing.init_ms())
    );
    lone.now = Instant(asks_at.0 - 1);
    lone.step(Input::Timer);
    assert_eq!(lone.told(), []);
    lone.now = asks_at;
    lone.step(Input::Timer);
    let asked: Vec<_> = lone.told().iter().map(|told| (told.state, told.leader, told.round)).collect();
    assert_eq!(asked, [(PeerState::Looking, ServerId(3), 1)]);
    let has_another = Notification {
        state: PeerState::Following,
        leader: ServerId(2),
        zxid: Zxid(0x1_0000_0005),
        round: 1,
        epoch: Epoch(1),
        version: Notification::VERSION,
        config: None,
    };
    lone.hear(&has_another);
    assert_eq!(lone.peer.state(), PeerState::Looking);
}

/// Its voter had changed its vote when this server decided. It would have waited for `initLimit` while the others had a leader.
#[test]
fn a_leader_whose_voters_turn_away_before_it_reigns_looks_again() {
    let mut lone = Lone::elected();
    assert_eq!(lone.ask(1), [(PeerState::Leading, ServerId(3))], "it says the same again");
    assert_eq!(lone.hear_vote(1, ServerId(2), Zxid(0x1_0000_0009)), [], "it does not lead any more");
    assert_eq!(lone.peer.state(), PeerState::Looking);
    lone.step(Input::Settled { last: Zxid(0x1_0000_0005) });
    assert!(matches!(lone.peer.state, State::Looking));
    let following = Notification {
        state: PeerState::Following,
        leader: ServerId(2),
        zxid: Zxid(0x1_0000_0009),
        round: 1,
        epoch: Epoch(1),
        version: Notification::VERSION,
        config: None,
    };
    let mut other = Lone::new();
    other.ask(1);
    other.now = Instant(1000);
    other.step(Input::Timer);
    assert_eq!(other.peer.state(), PeerState::Leading);
    other.hear(&following);
    assert_eq!(other.peer.state(), PeerState::Looking, "a voter has another leader");
}

/// It takes the configuration from a vote that came meanwhile, and its own first vote comes back when it has. It answered that as
/// it answers strangers, and its answer, and so on: for ever, without letting anybody else speak.
#[test]
fn who_learns_that_it_is_no_member_any_more_does_not_answer_itself() {
    let mut lone = Lone::new();
    lone.peer.reconfig = true;
    lone.win_election();
    lone.step(Input::Leader(leader::Input::NoRoom));
    let config = "server.1=zk1:2888:3888\nserver.2=zk2:2888:3888\nversion=100000006";
    lone.hear(&Notification {
        state: PeerState::Looking,
        leader: FRIEND,
        zxid: Zxid(0x1_0000_0006),
        round: 2,
        epoch: Epoch(1),
        version: Notification::VERSION,
        config: Some(config.into()),
    });
    lone.step(Input::Settled { last: Zxid(0x1_0000_0005) });
    assert_eq!(lone.peer.configuration, Configuration::parse(config).unwrap());
    assert_eq!(lone.peer.state(), PeerState::Looking);
}

/// Something in between may take connections for a leader that does not listen yet, and end them. A follower that turned to an
/// election each time began thousands in a second; a leader of Java ends none while it hears anything.
#[test]
fn a_connection_that_ends_before_the_leader_speaks_is_tried_again() {
    let mut lone = Lone::new();
    lone.hear_vote(1, FRIEND, Zxid(0x1_0000_0009));
    lone.now = Instant(1000);
    lone.step(Input::Timer);
    assert_eq!(lone.peer.state(), PeerState::Following);
    for attempt in 1..=5 {
        assert!(lone.dials(), "attempt {attempt}");
        let link = LinkId(attempt);
        lone.step(Input::Connected { dial: DialId(attempt), link });
        lone.out.clear();
        lone.step(Input::Closed { link });
        assert!(!lone.dials(), "not at once");
        lone.now = lone.now.after_ms(100);
        if attempt < 5 {
            assert_eq!(lone.peer.state(), PeerState::Following);
            lone.step(Input::Timer);
        }
    }
    assert_eq!(
        lone.peer.state(),
        PeerState::Looking,
        "it is given up after as many attempts as one that refuses"
    );
}

impl Lone {
    /// When a learner that calls now is sent away.
    fn dismisses_a_caller_after_ms(&mut self) -> Option<i64> {
        const CALLER: LinkId = LinkId(99);
        let called = self.now;
        self.step(Input::Accepted { link: CALLER });
        self.step(Input::Packet { link: CALLER, packet: Bytes::from_static(b"who leads?") });
        while self.now < called.after_ms(5000) {
            self.out.clear();
            self.now = self.now.after_ms(1);
            self.step(Input::Timer);
            if self.out.list.iter().any(|effect| matches!(effect, Effect::Close { link: CALLER })) {
                return Some(self.now.0 - called.0);
            }
        }
        None
    }
}

/// Two servers of an ensemble that starts may be elected, each by a quorum. Who joins the one that has turned to the other
/// meanwhile must hear soon that it does not lead, or it is no server for as long.
#[test]
fn who_calls_a_follower_is_sent_away_as_soon_as_it_knows_that_it_was_heard() {
    let mut lone = Lone::new();
    lone.hear_vote(1, FRIEND, Zxid(0x1_0000_0009));
    lone.now = Instant(1000);
    lone.step(Input::Timer);
    assert_eq!(lone.peer.state(), PeerState::Following);
    lone.step(Input::Connected { dial: DialId(1), link: LinkId(1) });
    assert_eq!(lone.dismisses_a_caller_after_ms(), Some(200));
}

/// It may look for ever: for as long as it cannot do without the one that calls.
#[test]
fn who_calls_a_server_that_looks_for_a_leader_is_sent_away_in_the_end() {
    let mut lone = Lone::new();
    assert_eq!(lone.peer.state(), PeerState::Looking);
    assert_eq!(lone.dismisses_a_caller_after_ms(), Some(CALLER_PATIENCE_MS));
}

/// It was elected, has no room for its epoch, and does not vote before it has some. Who followed it waited for `initLimit`.
#[test]
fn who_calls_a_server_that_lacks_room_looks_elsewhere() {
    let mut lone = Lone::elected();
    lone.step(Input::Leader(leader::Input::NoRoom));
    assert!(matches!(lone.peer.state, State::Settling(Some(Reason::NoRoom))));
    assert_eq!(lone.dismisses_a_caller_after_ms(), Some(CALLER_PATIENCE_MS));
}

/// While nobody leads, what callers say is kept: half a gigabyte of it, from a single connection that asked for writes.
#[test]
fn who_calls_a_server_that_looks_for_a_leader_says_one_short_thing() {
    let mut lone = Lone::new();
    let says = |lone: &mut Lone, link: u64, bytes: usize| {
        lone.out.clear();
        lone.step(Input::Packet { link: LinkId(link), packet: Bytes::from(vec![0; bytes]) });
        lone.out
            .list
            .iter()
            .any(|effect| matches!(effect, Effect::Close { link: closed } if closed.0 == link))
    };
    lone.step(Input::Accepted { link: LinkId(1) });
    lone.step(Input::Accepted { link: LinkId(2) });
    assert!(!says(&mut lone, 1, 100), "who it is");
    assert!(says(&mut lone, 1, 100), "and more than that");
    assert!(!says(&mut lone, 1, 100), "it is forgotten");
    assert!(says(&mut lone, 2, CALLER_PACKET_BYTES_MAX + 1), "more than anybody's name takes");
    assert!(lone.peer.callers.is_empty());
}

/// A server whose promise is newer than its leader's epoch is told of it each time: thousands of times in a second.
#[test]
fn who_is_turned_away_again_and_again_rests_in_between() {
    let mut lone = Lone::new();
    let mut rests = Vec::new();
    for dial in 1..=8 {
        lone.hear_vote(dial, FRIEND, Zxid(0x1_0000_0009));
        lone.now = lone.now.after_ms(1000);
        lone.step(Input::Timer);
        assert_eq!(lone.peer.state(), PeerState::Following);
        lone.step(Input::Connected { dial: DialId(dial as u64), link: LinkId(dial as u64) });
        let mut packet = Vec::new();
        let stale = zabd_jute::quorum::FromLeader::LeaderInfo { epoch: Epoch(0), protocol_version: 0x10000 };
        stale.encode(&mut zabd_jute::Writer::new(&mut packet));
        lone.step(Input::Packet { link: LinkId(dial as u64), packet: packet.into() });
        let began = lone.now;
        lone.step(Input::Settled { last: Zxid(0x1_0000_0005) });
        if let State::Resting(until) = lone.peer.state {
            rests.push(until.0 - began.0);
            lone.now = until;
            lone.step(Input::Timer);
        }
        assert!(matches!(lone.peer.state, State::Looking));
    }
    assert_eq!(rests, [50, 100, 200, 400, 800, 1000, 1000]);
}

/// A connection to server 2 on the election port.
const OTHER: ConnId = ConnId(8);
const LEADERS_LAST: Zxid = Zxid(0x1_0000_0005);

impl Lone {
    /// Both others vote for server 2, and say so twice: the first word may be older than its connection.
    fn hears_unison(&mut self, round: i64) {
        for _ in 0..2 {
            for conn in [LINK, OTHER] {
                self.hear_over(
                    conn,
                    &Notification {
                        state: PeerState::Looking,
                        leader: ServerId(2),
                        zxid: LEADERS_LAST,
                        round,
                        epoch: Epoch(1),
                        version: Notification::VERSION,
                        config: None,
                    },
                );
            }
        }
        self.now = self.now.after_ms(1000);
        self.step(Input::Timer);
        assert_eq!(self.peer.state(), PeerState::Following, "it has joined those who have something");
    }

    fn hears_from_leader(&mut self, link: LinkId, said: &zabd_jute::quorum::FromLeader<'_>) {
        let mut packet = Vec::new();
        said.encode(&mut zabd_jute::Writer::new(&mut packet));
        self.step(Input::Packet { link, packet: packet.into() });
    }

    /// Server 2 leads, and this server has promised so.
    fn promises(&mut self, dial: u64, epoch: i64) -> LinkId {
        use zabd_jute::quorum::FromLeader;
        let link = LinkId(dial);
        self.step(Input::Connected { dial: DialId(dial), link });
        self.hears_from_leader(
            link,
            &FromLeader::LeaderInfo { epoch: Epoch(epoch), protocol_version: 0x10000 },
        );
        self.step(Input::Persisted(Durable::Accepted(Epoch(epoch))));
        self.out.clear();
        link
    }

    /// The first of what server 2 has, as far as nothing more than the disk is needed.
    fn is_sent(&mut self, dial: u64, epoch: i64, counters: std::ops::RangeInclusive<u32>) -> LinkId {
        use zabd_jute::quorum::FromLeader;
        let link = self.promises(dial, epoch);
        self.hears_from_leader(link, &FromLeader::Diff { zxid: LEADERS_LAST });
        self.out.clear();
        for counter in counters {
            let zxid = Zxid::new(Epoch(1), counter);
            self.hears_from_leader(link, &FromLeader::Proposal { zxid, txn: b"x" });
            self.hears_from_leader(link, &FromLeader::Commit { zxid });
        }
        link
    }

    /// All of what server 2 shows, in one piece.
    fn is_sent_snapshot(&mut self, dial: u64, epoch: i64) -> LinkId {
        let link = self.promises(dial, epoch);
        self.hears_from_leader(link, &zabd_jute::quorum::FromLeader::Snap { zxid: LEADERS_LAST });
        self.step(Input::SnapshotReceived { link, shown: None });
        link
    }

    /// What the disk is asked for.
    fn asked_of_disk(&mut self) -> Vec<String> {
        let asked = self.out.list.drain(..).filter_map(|effect| match effect {
            Effect::Persist(what) => Some(format!("{what:?}")),
            Effect::Append { zxid, .. } => Some(format!("Append({})", zxid.counter())),
            Effect::Adopt { zxid, .. } => Some(format!("Adopt({})", zxid.counter())),
            _ => None,
        });
        asked.collect()
    }

    fn has_written_all(&mut self) {
        for conn in [LINK, OTHER] {
            self.step(Input::Links(links::Input::Written { conn }));
        }
    }

    fn abstains(&self) -> bool {
        let told = self.told();
        assert!(!told.is_empty(), "whoever looks says so");
        told.iter().all(|told| told.zxid == election::ABSTENTION)
    }
}

/// The logs may have stood on a disk of their own, which is gone: that the epoch's file is still there says nothing about them.
#[test]
fn who_has_an_epoch_and_no_transaction_has_no_voice() {
    let mut lone = Lone::in_epoch(Epoch(7), Standing::Empty, History::new(Zxid::ZERO), false);
    lone.step(Input::Links(links::Input::Dialled { peer: ServerId(2), conn: OTHER }));
    lone.has_written_all();
    lone.out.clear();
    lone.now = Instant(1000);
    lone.step(Input::Timer);
    assert!(lone.abstains(), "an epoch makes a voter of it");
    lone.hears_unison(1);
    let link = LinkId(1);
    lone.step(Input::Connected { dial: DialId(1), link });
    let info = zabd_jute::quorum::FromLeader::LeaderInfo { epoch: Epoch(8), protocol_version: 0x10000 };
    lone.hears_from_leader(link, &info);
    lone.out.clear();
    lone.step(Input::Persisted(Durable::Accepted(Epoch(8))));
    let promise =
        zabd_jute::quorum::FromLearner::AckEpoch { last_zxid: Zxid::ZERO, current: Some(Epoch::ZERO) };
    let mut expected = Effects::default();
    expected.tell_leader(link, &promise);
    let sent = |out: &Effects| {
        let bytes = out.list.iter().filter_map(|effect| match effect {
            Effect::Send { bytes, .. } => Some(out.bytes[bytes.clone()].to_vec()),
            _ => None,
        });
        bytes.collect::<Vec<_>>()
    };
    assert_eq!(
        sent(&lone.out),
        sent(&expected),
        "it claims more than the leader that it helped to elect may have"
    );
    // That leader has nothing either. When all of that has come, there is nothing that this server could lack.
    lone.hears_from_leader(link, &zabd_jute::quorum::FromLeader::Diff { zxid: Zxid::ZERO });
    let new_leader = zabd_jute::quorum::FromLeader::NewLeader { zxid: Epoch(8).first_zxid(), config: None };
    lone.hears_from_leader(link, &new_leader);
    lone.step(Input::Persisted(Durable::Current(Epoch(8))));
    lone.loses_leader(link, Zxid::ZERO);
    assert!(!lone.abstains(), "it has joined with all that there was");
}

/// Server 3 may have lost its disk, and with it what only server 2 has now. Half of what server 2 sends is no more to vote with
/// than nothing: together with server 1, which lacks as much, it would elect a leader that knows nothing of the rest.
#[test]
fn who_had_nothing_and_has_a_part_of_what_the_leader_sent_has_no_voice() {
    let last = Zxid(0x1_0000_0002);
    let mut lone = Lone::with(Standing::Empty, Zxid::ZERO, false);
    lone.step(Input::Links(links::Input::Dialled { peer: ServerId(2), conn: OTHER }));
    lone.hears_unison(1);
    let link = lone.is_sent(1, 2, 1..=2);
    assert_eq!(lone.asked_of_disk(), ["Partial(true)", "Current(Epoch(1))", "Append(1)", "Append(2)"]);
    lone.step(Input::Persisted(Durable::Partial(true)));
    lone.step(Input::Persisted(Durable::Current(Epoch(1))));
    lone.step(Input::Synced { upto: last });
    lone.loses_leader(link, last);
    assert!(lone.abstains(), "it votes with what it was sent");

    let mut restarted = Lone::restarted_with_a_part(last);
    restarted.hears_unison(1);
    let link = restarted.is_sent(1, 2, 3..=5);
    assert_eq!(restarted.asked_of_disk(), ["Append(3)", "Append(4)", "Append(5)"], "it has the rest of it");
    restarted.hears_from_leader(
        link,
        &zabd_jute::quorum::FromLeader::NewLeader { zxid: Epoch(2).first_zxid(), config: None },
    );
    assert_eq!(restarted.asked_of_disk(), ["Current(Epoch(2))", "Partial(false)"]);
    let acknowledges = |lone: &mut Lone, what| {
        lone.out.clear();
        lone.step(Input::Persisted(what));
        lone.out.list.iter().any(|effect| matches!(effect, Effect::Send { .. }))
    };
    assert!(!acknowledges(&mut restarted, Durable::Current(Epoch(2))));
    assert!(acknowledges(&mut restarted, Durable::Partial(false)));
    restarted.step(Input::Synced { upto: LEADERS_LAST });
    restarted.loses_leader(link, LEADERS_LAST);
    assert!(!restarted.abstains(), "it has all that the leader had");
}

/// The same with a snapshot: what the leader had when it began to write that is not all that it had promised anybody.
#[test]
fn who_had_nothing_and_has_a_leaders_snapshot_has_no_voice_before_the_rest() {
    let mut lone = Lone::with(Standing::Empty, Zxid::ZERO, false);
    lone.step(Input::Links(links::Input::Dialled { peer: ServerId(2), conn: OTHER }));
    lone.hears_unison(1);
    let link = lone.is_sent_snapshot(1, 2);
    assert_eq!(lone.asked_of_disk(), ["Partial(true)", "Adopt(5)"]);
    lone.step(Input::Persisted(Durable::Partial(true)));
    lone.step(Input::Rebased { last: LEADERS_LAST, shown: None });
    lone.loses_leader(link, LEADERS_LAST);
    assert!(lone.abstains(), "it votes with the snapshot");

    let mut restarted = Lone::restarted_with_a_part(LEADERS_LAST);
    restarted.hears_unison(1);
    let link = restarted.is_sent_snapshot(1, 2);
    assert_eq!(restarted.asked_of_disk(), ["Adopt(5)"], "the disk says already that it is a part");
    restarted.step(Input::Rebased { last: LEADERS_LAST, shown: None });
    assert_eq!(restarted.asked_of_disk(), [""; 0], "and goes on to say so");
    let new_leader = zabd_jute::quorum::FromLeader::NewLeader { zxid: Epoch(2).first_zxid(), config: None };
    restarted.hears_from_leader(link, &new_leader);
    assert_eq!(restarted.asked_of_disk(), ["Current(Epoch(2))", "Partial(false)"]);
}

/// Who looked and is gone elects nobody: to give up for it would leave a leader whose voters are on their way.
#[test]
fn a_leader_does_not_give_way_to_who_looked_and_is_gone() {
    for is_gone in [false, true] {
        let mut lone = Lone::new();
        lone.step(Input::Links(links::Input::Dialled { peer: ServerId(2), conn: OTHER }));
        lone.win_election();
        let vote = Notification {
            state: PeerState::Looking,
            leader: ServerId(2),
            zxid: LEADERS_LAST,
            round: 1,
            epoch: Epoch(1),
            version: Notification::VERSION,
            config: None,
        };
        lone.hear_over(OTHER, &vote);
        if is_gone {
            lone.step(Input::Links(links::Input::Closed { conn: OTHER }));
        }
        lone.now = Instant(2100);
        lone.step(Input::Timer);
        let expected = if is_gone { PeerState::Leading } else { PeerState::Looking };
        assert_eq!(lone.peer.state(), expected);
    }
}

/// Proposals that a quorum was too slow for may be hundreds of megabytes. In memory they would all be sent at once, which no link
/// takes: the next reign would never begin.
#[test]
fn a_role_begins_with_little_in_memory_whether_it_was_committed_or_not() {
    let at = |counter| Zxid::new(Epoch(1), counter);
    let mut history = History::new(at(5));
    let megabyte = Bytes::from(vec![0; 1 << 20]);
    (6..=105).for_each(|counter| history.push(at(counter), megabyte.clone()));
    let mut lone = Lone::with_history(Standing::Voter, history, false);
    lone.hear_vote(1, ServerId(3), at(105));
    lone.now = Instant(1000);
    lone.step(Input::Timer);
    assert_eq!(lone.peer.state(), PeerState::Leading);
    lone.step(Input::Leader(leader::Input::NoRoom));
    let history = lone.peer.history.as_ref().unwrap();
    assert_eq!((history.before(), history.last()), (at(105 - 8), at(105)));
}

/// The same members, and one that observes.
fn change(version: i64) -> Configuration {
    let lines = format!("{CONFIG}\nserver.4=zk4:2888:3888:observer").replace("version=0\n", "");
    Configuration::parse(&lines).unwrap().with_version(ConfigVersion(version))
}

/// It had logged a change that nobody committed; its role is over when the disk has taken over a history without that change.
#[test]
fn a_change_goes_with_the_history_that_it_stood_in() {
    let (logged, later) = (0x5_0000_0007, 0x6_0000_0003);
    let (other_base, same_base) = (Zxid(0x6_0000_0009), Zxid(0x5_0000_0006));
    for (last, shown, next) in [
        // What a tree does not show may be in doubt, and only an established leader ends that.
        (other_base, None, Some(logged)),
        (other_base, Some(later), Some(later)),
        (other_base, Some(logged), Some(logged)),
        (same_base, None, Some(logged)),
    ] {
        let mut lone = Lone::with(Standing::Voter, Zxid(logged), false);
        lone.peer.reconfig = true;
        lone.peer.next = Some(change(logged));
        lone.peer.logged_change = Some(ConfigVersion(logged));
        lone.step(Input::Rebased { last, shown: shown.map(|version| Box::new(change(version))) });
        let known = lone.peer.next_configuration().map(|known| known.version().0);
        assert_eq!(known, next, "{last:?} {shown:?}");
        assert_eq!(lone.peer.logged_change, shown.map(ConfigVersion), "{last:?} {shown:?}");
    }
}

impl Lone {
    /// Server 1 leads in this epoch, and sends this change of members as a part of its history.
    fn is_sent_change(&mut self, dial: u64, epoch: i64, zxid: Zxid) -> LinkId {
        use zabd_jute::quorum::FromLeader;
        use zabd_jute::txn::{Entry, Txn, TxnHeader};
        self.hear_vote(dial as i64, FRIEND, Zxid(0x1_0000_0009));
        self.now = self.now.after_ms(1000);
        self.step(Input::Timer);
        assert_eq!(self.peer.state(), PeerState::Following);
        let link = self.promises(dial, epoch);
        let text = change(zxid.0).to_string();
        let kind = zabd_jute::OpCode::Reconfig.code();
        let header = TxnHeader { session: SessionId(1), cxid: 0, zxid, time_ms: 0, kind };
        let txn = Txn::SetData { path: "/zookeeper/config".into(), data: Some(text.as_bytes()), version: -1 };
        let mut entry = Vec::new();
        Entry { header, txn, digest: None }.encode(&mut zabd_jute::Writer::new(&mut entry));
        self.hears_from_leader(link, &FromLeader::Diff { zxid });
        self.hears_from_leader(link, &FromLeader::Proposal { zxid, txn: &entry });
        self.hears_from_leader(link, &FromLeader::Commit { zxid });
        link
    }

    /// Of members, what went to the disk.
    fn wrote_of_members(&self) -> Vec<String> {
        let version = |configuration: &Configuration| format!("{:x}", configuration.version().0);
        let wrote = self.out.list.iter().filter_map(|effect| match effect {
            Effect::Persist(Durable::Configuration(held)) => Some(format!("holds {}", version(held))),
            Effect::Persist(Durable::NextConfiguration(next)) => Some(format!("next {}", version(next))),
            _ => None,
        });
        wrote.collect()
    }
}

/// What this process has logged is in its history, whichever role it has then: when the next change comes, the one before it is committed.
#[test]
fn what_was_logged_in_one_role_holds_in_the_next_one_when_another_change_follows() {
    let (first, second) = (Zxid(0x1_0000_0006), Zxid(0x1_0000_0007));
    let mut lone = Lone::new();
    lone.peer.reconfig = true;
    let link = lone.is_sent_change(1, 2, first);
    assert_eq!(lone.wrote_of_members(), ["next 100000006"]);
    lone.step(Input::Closed { link });
    lone.step(Input::Settled { last: first });
    lone.is_sent_change(2, 3, second);
    assert_eq!(lone.wrote_of_members(), ["holds 100000006", "next 100000007"]);
}

/// A start knows of what is in its log by the tree alone.
#[test]
fn what_a_start_finds_holds_when_another_change_follows_if_the_tree_shows_it() {
    for (shown, wrote) in [
        (Some(0x1_0000_0004), &["holds 100000004", "next 100000006"][..]),
        (Some(0x1_0000_0002), &["next 100000006"]),
        (None, &["next 100000006"]),
    ] {
        let mut lone = Lone::new();
        lone.peer.reconfig = true;
        lone.peer.next = Some(change(0x1_0000_0004));
        lone.peer.logged_change = shown.map(ConfigVersion);
        lone.is_sent_change(1, 2, Zxid(0x1_0000_0006));
        assert_eq!(lone.wrote_of_members(), wrote, "{shown:?}");
    }
}
