//! What the machines of the quorum port ask of the world, in order.
//!
//! Two kinds of order are promised by whoever carries these out, and all of this crate's safety arguments
//! stand on them:
//!
//! - per link, what is sent arrives in the order in which it stands here;
//! - **the disk is one queue**: appends, epochs, configurations, cuts and new bases happen in the order in
//!   which they stand here, each durable before the next begins. So «everything before it is on disk, then
//!   the epoch» is written as two effects one behind the other, and the report on the second covers both.
//!
//! Heartbeats and everything else that is sent never wait for the disk.

use std::ops::Range;

use bytes::Bytes;
use zabd_jute::quorum::{Configuration, FromLeader, FromLearner, LearnerKind, PeerState, Touch};
use zabd_jute::{Epoch, ServerId, SessionId, Writer, Zxid};

use crate::election::Standing;
use crate::links;
use crate::quorum::Lists;

/// A connection between a leader and a learner, never used again while the process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// One attempt to connect to a leader or an observer master, never used again while the process runs: how it went may
/// be heard when another one is under way, perhaps to another server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DialId(pub u64);

impl DialId {
    /// The next attempt.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Milliseconds since some moment in the past; never steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(pub i64);

impl Instant {
    /// So much later.
    #[must_use]
    pub fn after_ms(self, ms: i64) -> Self {
        Self(self.0 + ms)
    }
}

/// How long things may take, in ticks and milliseconds, as configured.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// `tickTime`.
    pub tick_ms: i64,
    /// `initLimit`, in ticks: until a learner is in step.
    pub init_limit: i64,
    /// `syncLimit`, in ticks: until one that is in step is heard of again.
    pub sync_limit: i64,
    /// `leaderConnectDelayDuringRetryMs`: between two attempts to reach a leader.
    pub connect_delay_ms: i64,
}

/// The shortest pause between two attempts to reach a leader.
const PAUSE_MS_MIN: i64 = 10;

impl Timing {
    /// How long a role may take to be established.
    pub fn init_ms(&self) -> i64 {
        self.tick_ms * self.init_limit
    }

    /// Between two attempts to reach a leader, whatever is configured: without any, a leader that is not ready yet is dialled
    /// thousands of times in a second, and the attempts are over before it is.
    pub fn pause_ms(&self) -> i64 {
        self.connect_delay_ms.max(PAUSE_MS_MIN)
    }

    /// How long the other side may be silent after that.
    pub fn sync_ms(&self) -> i64 {
        self.tick_ms * self.sync_limit
    }
}

/// What only tests ask for; Java's names.
#[derive(Clone, Copy, Debug, Default)]
pub struct Testing {
    /// `testingonly.initialZxid`: behind which counter a leader begins, so that an epoch runs out of them soon.
    pub initial_counter: u32,
    /// `test.allowDiscontinuousProposals`: whether a learner takes such a beginning from its leader.
    pub allows_gaps: bool,
}

/// One small thing that must survive a crash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Durable {
    /// The newest epoch whose leader this server promised to follow.
    Accepted(Epoch),
    /// The epoch whose initial history this server has.
    Current(Epoch),
    /// The newest configuration that was heard of, committed or not; one that is not newer than what holds says that
    /// there is none.
    NextConfiguration(Box<Configuration>),
    /// The configuration that holds.
    Configuration(Box<Configuration>),
    /// Whether what follows in the log, or is there, is only a part of what a leader sends to a server that had nothing to
    /// testify to. Such a server has no voice after a crash, either.
    Partial(bool),
    /// The lists of members without a number that may hold, see [`crate::quorum::lists`].
    Lists(Lists),
}

/// Why a role ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// No quorum promised the epoch in time, or took its initial history.
    NoQuorumInTime,
    /// Those whose votes made it the leader were heard to want another one before a quorum had followed it.
    VotersTurnedAway,
    /// The followers that are in step are no quorum any more.
    QuorumLost,
    /// Nobody answers where the leader should be.
    LeaderUnreachable,
    /// The leader closed the connection.
    LeaderClosed,
    /// The leader was silent for too long.
    LeaderSilent,
    /// What the leader said is not what a leader says at this point.
    LeaderBroken(&'static str),
    /// The leader's epoch is older than one that was promised to another.
    StaleLeader,
    /// A voter has named a list of members that this leader had not asked when it decided its epoch, see [`Note::AnotherList`].
    AnotherList,
    /// The counter in the zxid is used up: a new epoch begins a new one.
    ZxidsUsedUp,
    /// A voter has promised a newer epoch than this leader's and cannot come back to it.
    NewerEpochPromised,
    /// This server has promised the last epoch there is, and there is none left in which it could lead.
    EpochsUsedUp,
    /// A reconfiguration gave this server another role, or the ensemble another leader.
    Reconfigured {
        /// Who leads now, so that no election is needed.
        leader: ServerId,
    },
    /// A configuration holds in which the leader is no voter any more, or is somewhere else, and nobody was named
    /// in its place.
    LeaderReconfigured,
    /// This server is asked to stop leading in favour of another.
    HandedOver,
    /// The same, and those who follow are no quorum without it: nobody can lead next.
    NoHeirs,
    /// The disk has no room for another record.
    NoRoom,
    /// The disk does nothing, while others go on.
    StandsStill,
    /// What this server has cannot be cut where the leader says; next time it must ask for a snapshot.
    CannotCut,
}

impl Reason {
    /// Whether this server was asked to end, so that no other role follows.
    pub fn is_retirement(self) -> bool {
        matches!(self, Reason::HandedOver | Reason::NoHeirs)
    }
}

/// Why somebody who has connected to the quorum port is turned away, in words for an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Refusal {
    /// Before it is answered, a learner says one short thing.
    #[error(
        "it says more than who it is before anybody leads; hint: let only servers of this ensemble reach the quorum port"
    )]
    TooMuch,
    /// Places for learners that find their leader early are limited.
    #[error(
        "too many wait for this server to lead already; hint: let only servers of this ensemble reach the quorum port"
    )]
    TooMany,
    /// What it says is not what a learner says.
    #[error(
        "what it says is no learner's packet, or comes out of turn; hint: let only servers of this ensemble reach the quorum \
         port"
    )]
    NoLearner,
    /// Before 3.4 there was another handshake.
    #[error("it speaks the protocol of releases before 3.4; hint: upgrade that server")]
    OldProtocol,
    /// It must not be led by somebody with an older configuration.
    #[error(
        "the configuration it holds is newer than this leader's; hint: compare the dynamic configuration files of both servers"
    )]
    NewerConfiguration,
    /// Two servers have the same id.
    #[error(
        "it calls itself by this server's own id; hint: two servers have the same myid, or the address of one stands at the \
         other's server.N line"
    )]
    OwnId,
    /// No leader can have a newer one.
    #[error(
        "it has promised the last epoch there is; hint: move that server's data directories away and let it take its state \
         from the others"
    )]
    LastEpoch,
}

/// What is to be done. See the module's description.
#[derive(Debug)]
pub enum Effect {
    /// Connect to a leader's quorum port; the answer is a new link or a failure.
    Dial {
        /// Whose.
        leader: ServerId,
        /// Which attempt it is.
        dial: DialId,
    },
    /// Connect to a follower's port for observers; answered in the same way.
    DialObserverMaster {
        /// Whose.
        server: ServerId,
        /// Which attempt it is.
        dial: DialId,
    },
    /// Send a part of [`Effects::bytes`].
    Send {
        /// To whom.
        link: LinkId,
        /// Which part.
        bytes: Range<usize>,
    },
    /// Send committed transactions out of the log on disk, each as a proposal and its commit.
    SendLog {
        /// To whom.
        link: LinkId,
        /// The last one that the learner has.
        after: Zxid,
        /// The last one to send.
        upto: Zxid,
    },
    /// Is this position in the log on disk, with everything from it on? Answer with
    /// [`crate::leader::Input::LookedUp`].
    LookUp {
        /// For whom.
        link: LinkId,
        /// The position.
        zxid: Zxid,
    },
    /// Take a snapshot of the tree, and say with [`crate::leader::Input::SnapshotBegun`] at which position,
    /// in one step with looking at the tree.
    TakeSnapshot {
        /// For whom.
        link: LinkId,
    },
    /// Send that snapshot as a stream, signature included.
    SendSnapshot {
        /// To whom.
        link: LinkId,
    },
    /// Tell an operator why a connection is about to be closed.
    Refuse {
        /// Which.
        link: LinkId,
        /// Why.
        why: Refusal,
    },
    /// A member has connected to its leader anew while its last connection stands; that one is closed next. Once, that is a network
    /// which has lost the end of a connection; again and again, two servers have one id.
    Replaced {
        /// Which member.
        server: ServerId,
        /// Over which connection it came before.
        old: LinkId,
        /// Over which it has come now.
        new: LinkId,
    },
    /// Close a connection when everything before this has been sent.
    Close {
        /// Which.
        link: LinkId,
    },
    /// Append to the log; durable when [`crate::peer::Input::Synced`] covers it.
    Append {
        /// Its position.
        zxid: Zxid,
        /// What is written.
        entry: Bytes,
    },
    /// Write something small; answer with the same thing.
    Persist(Durable),
    /// Forget every record behind this position, in the log and in the tree; answer with
    /// [`crate::learner::Input::Rebased`].
    Truncate {
        /// The last record to keep.
        zxid: Zxid,
    },
    /// The snapshot that came over the link becomes the base of tree and log: `currentEpoch.tmp` is written,
    /// older records behind the snapshot go unless they are of `epoch`, the image gets its name. Answer with
    /// [`crate::learner::Input::Rebased`].
    Adopt {
        /// The position that the leader gave it.
        zxid: Zxid,
        /// The epoch that is being joined, or the next one, if the leader has proposed nothing of what is there of its own.
        epoch: Epoch,
    },
    /// Everything up to here that is durable may be taken into the tree, and need not be kept for it any longer. Nobody
    /// is to see it before [`Effect::Serve`]: a leader that is not established yet calls its whole history committed.
    Replay {
        /// The last of it.
        upto: Zxid,
    },
    /// Everything up to here may be applied.
    Commit {
        /// The last of it.
        upto: Zxid,
    },
    /// Clients may be served from now on, as the leader of this epoch or as one of its learners.
    Serve {
        /// Whose.
        epoch: Epoch,
        /// By whom it is led.
        leader: ServerId,
    },
    /// A learner's client asks for a write.
    Request {
        /// Which learner.
        link: LinkId,
        /// The packet; see [`FromLearner::Request`].
        packet: Bytes,
    },
    /// A learner's client brings a session; answer with [`crate::leader::Input::Revalidated`].
    Revalidate {
        /// Which learner.
        link: LinkId,
        /// The session.
        session: SessionId,
        /// What was agreed with the client.
        timeout_ms: i32,
    },
    /// A session was heard of by a learner.
    Touch(Touch),
    /// A learner is gone; what it asked for and was not proposed is forgotten.
    LearnerGone {
        /// Which.
        link: LinkId,
    },
    /// The leader asks for signs of life: answer with [`crate::learner::Input::Pong`].
    Ping {
        /// To be echoed.
        zxid: Zxid,
    },
    /// The oldest `sync` of this learner is answered.
    Synchronised,
    /// What became of a session that a client brought.
    Revalidated {
        /// Which.
        session: SessionId,
        /// Whether it goes on here.
        is_valid: bool,
    },
    /// Something on the election port.
    Link(links::Output),
    /// Nothing is to be done: something that operators want to know.
    Note(Note),
    /// The role is over: nobody is served any more, every link is closed.
    Leave(Reason),
}

/// Two lists of members that are not numbered, and differ in whether a server votes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uncounted {
    /// Whose list does not have it.
    pub leader: ServerId,
    /// The voters of that list.
    pub counted: Vec<ServerId>,
    /// The voters of the list of the server itself.
    pub own: Vec<ServerId>,
}

/// How far agreement has come, for operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// This server looks for a leader and does not count. Told when it changes.
    Voiceless {
        /// Why.
        standing: Standing,
        /// The voters that are not heard to look for a leader too.
        unheard: Vec<ServerId>,
    },
    /// An election is over.
    Elected {
        /// Who leads.
        leader: ServerId,
        /// What this server is to become.
        role: PeerState,
    },
    /// The leader has told its epoch, and sends what this server lacks.
    Joins,
    /// A learner votes by its own list of members, and not by its leader's, which never changes while both run.
    Uncounted(Uncounted),
    /// A list of members that this leader has not asked when it decided its epoch was named to it, see [`crate::quorum::lists`].
    AnotherList {
        /// By this server.
        server: ServerId,
        /// Who votes in it.
        voters: Vec<ServerId>,
    },
    /// A leader has sent a learner what it lacks, or has it on its way.
    BringsIntoStep {
        /// The learner's connection.
        link: LinkId,
        /// The learner.
        server: ServerId,
        /// By what.
        remedy: Remedy,
    },
    /// A learner of a leader has all of that on its disk.
    InStep {
        /// Its connection.
        link: LinkId,
    },
    /// A learner that gets everything new is gone.
    LearnerLost {
        /// Which.
        server: ServerId,
        /// What it was.
        kind: LearnerKind,
        /// How that was found out.
        loss: Loss,
    },
}

/// By what a learner is brought into step; see [`crate::leader`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// The transactions that it lacks: DIFF.
    Difference,
    /// It forgets what its leader has not: TRUNC.
    Cut,
    /// The whole tree: SNAP.
    Snapshot,
}

/// How the other side of a connection was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The connection is closed.
    Closed,
    /// Nothing came for as long as `syncLimit` or, before it was in step, `initLimit` allows.
    Silent,
}

/// Effects and the bytes that they send. The caller keeps one and reuses it.
#[derive(Debug, Default)]
pub struct Effects {
    /// What to do, in order.
    pub list: Vec<Effect>,
    /// What is sent.
    pub bytes: Vec<u8>,
}

impl Effects {
    /// Empties it, keeping its memory.
    pub fn clear(&mut self) {
        self.list.clear();
        self.bytes.clear();
    }

    /// Adds one.
    pub fn push(&mut self, effect: Effect) {
        self.list.push(effect);
    }

    /// Turns somebody away.
    pub(crate) fn refuse(&mut self, link: LinkId, why: Refusal) {
        self.list.extend([Effect::Refuse { link, why }, Effect::Close { link }]);
    }

    /// Sends a packet to one learner.
    pub(crate) fn tell_learner(&mut self, link: LinkId, packet: &FromLeader<'_>) {
        self.tell_learners([link], packet);
    }

    /// Sends the same packet to several learners; it is encoded once.
    pub(crate) fn tell_learners(&mut self, links: impl IntoIterator<Item = LinkId>, packet: &FromLeader<'_>) {
        let begin = self.bytes.len();
        packet.encode(&mut Writer::new(&mut self.bytes));
        let bytes = begin..self.bytes.len();
        self.list.extend(links.into_iter().map(|link| Effect::Send { link, bytes: bytes.clone() }));
    }

    /// Sends a packet to the leader.
    pub(crate) fn tell_leader(&mut self, link: LinkId, packet: &FromLearner<'_>) {
        let begin = self.bytes.len();
        packet.encode(&mut Writer::new(&mut self.bytes));
        self.list.push(Effect::Send { link, bytes: begin..self.bytes.len() });
    }
}
