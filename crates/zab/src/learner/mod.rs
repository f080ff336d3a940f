//! A learner: from a leader's name to the end of following it.
//!
//! ```text
//! Dialling ─► Introduced ─► Promised ─► Synchronising ─► Adopting ─► Adopted ─► Serving
//!   FOLLOWERINFO  LEADERINFO  ACKEPOCH   DIFF|TRUNC|SNAP   NEWLEADER   ACK        UPTODATE
//! ```
//!
//! What is durable before what is said, which is all of the safety:
//!
//! - the promise (`acceptedEpoch`) before ACKEPOCH;
//! - the whole initial history, then `currentEpoch`, before NEWLEADER is acknowledged, and that before any
//!   proposal is (a Java leader that hears it the other way round never counts it);
//! - a record before its acknowledgement.
//!
//! Who begins with nothing has no more than that until NEWLEADER: that it has only a part is on disk before any of it, and
//! taken back behind `currentEpoch`.
//!
//! The log never runs ahead of `currentEpoch`, since a server of Java does not start on such files: before the
//! first record of an epoch that is newer than `currentEpoch`, that epoch is written. It claims nothing false:
//! a log that ends right there *is* the epoch's initial history.
//!
//! Nothing that is not known to be committed is shown to clients: they are served when everything that
//! this server had when it came has been committed.
//!
//! Java's `Learner`, `Follower` and `Observer`, in the order of 3.9.4.

mod changes;
mod follow;
mod join;

use std::collections::VecDeque;

use bytes::Bytes;
use zabd_jute::quorum::{Configuration, FromLeader, FromLearner, LearnerKind, QuorumPacket, Touch};
use zabd_jute::{Epoch, Limits, Reader, Record as _, ServerId, Zxid};
use zabd_mutation::{Mutation, is_on};

use self::changes::Changes;
use crate::effect::{DialId, Durable, Effect, Effects, Instant, LinkId, Reason, Testing, Timing, Uncounted};
use crate::history::History;
use crate::quorum::Lists;

/// What a learner starts with.
#[derive(Debug)]
pub struct Start {
    /// This server.
    pub me: ServerId,
    /// Whom it follows.
    pub leader: ServerId,
    /// Whether it has a vote, or is to be given one.
    pub kind: LearnerKind,
    /// How long things may take.
    pub timing: Timing,
    /// How long a field of a packet may be.
    pub limits: Limits,
    /// The newest epoch that this server has promised.
    pub accepted: Epoch,
    /// The epoch whose history it has.
    pub current: Epoch,
    /// The configuration that holds.
    pub configuration: Configuration,
    /// A newer one that was heard of; its transaction may be in the log.
    pub next: Option<Configuration>,
    /// Whether it is there for certain: the tree shows it, or this process has logged it.
    pub is_next_logged: bool,
    /// The lists without a number that may hold.
    pub lists: Lists,
    /// Whether configurations are numbered, stored and spread (`reconfigEnabled`).
    pub reconfig: bool,
    /// Everything that this server has logged, all of it durable.
    pub history: History,
    /// Whether it vouches for that history; a server that lost a part of it does not.
    pub vouches: bool,
    /// Whether it had nothing to testify to when it began to look for a leader: what it gets is none before it has all of it.
    pub begins_anew: bool,
    /// Whether the disk says of what is there that it is only a part, see [`Durable::Partial`].
    pub is_partial: bool,
    /// Whether it needs the leader's whole state, since it could not be cut to a part of its own.
    pub needs_snapshot: bool,
    /// What the leader was elected with: the epoch whose history it had, and where its log ended. Nothing, if no election was held.
    pub elected_with: Option<(Epoch, Zxid)>,
    /// Followers that an observer asks before it asks the leader, in this order.
    pub masters: Vec<ServerId>,
    /// Its first attempt to connect.
    pub dial: DialId,
    /// What only tests ask for.
    pub testing: Testing,
}

/// What can happen to a learner.
#[derive(Debug)]
pub enum Input {
    /// The connection to the leader stands.
    Connected {
        /// Which attempt it comes of.
        dial: DialId,
        /// The connection.
        link: LinkId,
    },
    /// It could not be made.
    ConnectFailed {
        /// Which attempt has failed.
        dial: DialId,
    },
    /// The leader sent one whole packet.
    Packet {
        /// Its bytes.
        packet: Bytes,
    },
    /// A part of something that is not whole yet has come from the leader, or this server is at work on what has come.
    Heard,
    /// The whole stream behind SNAP has come, up to its signature, and is on disk under no name yet.
    SnapshotReceived {
        /// Who the members are, as its tree shows it.
        shown: Option<Box<Configuration>>,
    },
    /// The connection is gone.
    Closed,
    /// Every record up to here is durable.
    Synced {
        /// The last of them.
        upto: Zxid,
    },
    /// This is durable.
    Persisted(Durable),
    /// The log was cut, or a snapshot has taken its place; `last` is where tree and log end now. A log that
    /// cannot be cut at the position that was asked for is left as it was.
    Rebased {
        /// The last position.
        last: Zxid,
        /// Who the members are, as the tree shows it.
        shown: Option<Box<Configuration>>,
    },
    /// The answer to [`Effect::Ping`].
    Pong {
        /// As in the ping.
        zxid: Zxid,
        /// The sessions that were heard of.
        touched: Vec<Touch>,
    },
    /// Time has passed.
    Timer,
}

/// How far a learner is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// Trying to connect; so many attempts have failed.
    Dialling,
    /// It has said who it is.
    Introduced,
    /// The new epoch is being written down.
    Promising,
    /// It has promised the epoch; what it lacks is on its way.
    Promised,
    /// The leader's snapshot is on its way.
    Receiving,
    /// The disk is being given another base; what comes meanwhile waits.
    Rebasing,
    /// Transactions of the initial history are on their way.
    Synchronising,
    /// The initial history is being made durable.
    Adopting,
    /// NEWLEADER is acknowledged; a quorum is waited for.
    Adopted,
    /// The leader is established.
    Following,
    /// Over.
    Left,
}

/// How often a leader that does not answer is tried, as in Java.
pub(crate) const ATTEMPTS_MAX: u32 = 5;

/// See the module's description.
#[derive(Debug)]
pub struct Learner {
    me: ServerId,
    leader: ServerId,
    kind: LearnerKind,
    timing: Timing,
    limits: Limits,
    reconfig: bool,
    vouches: bool,
    begins_anew: bool,
    is_partial: bool,
    needs_snapshot: bool,
    elected_with: Option<(Epoch, Zxid)>,
    masters: Vec<ServerId>,
    testing: Testing,
    phase: Phase,
    /// How many attempts to connect have failed.
    attempts: u32,
    /// The newest attempt.
    dial: DialId,
    /// Whether one of them is asked, and not the leader.
    asks_masters: bool,
    /// From then on it is the leader.
    masters_until: Instant,
    link: Option<LinkId>,
    /// Since when it has that.
    connected_at: Instant,
    /// When the leader counts as gone; while dialling, when the next attempt is due.
    deadline: Instant,
    /// When dialling is given up.
    dial_until: Instant,
    accepted: Epoch,
    /// What `currentEpoch` says, or will say when the disk has got there.
    current: Epoch,
    /// The leader's, once it has said so.
    epoch: Epoch,
    /// How often that is on its way to the disk as `currentEpoch`: in front of its first record, and behind the initial
    /// history. Only the report on the last covers what is to be acknowledged.
    adoptions_due: u32,
    configuration: Configuration,
    changes: Changes,
    /// What its disk says of lists without a number, or will say when it has got there.
    lists: Lists,
    /// The leader's.
    told_list: Option<Lists>,
    /// Set by NEWLEADER.
    uncounted: Option<Uncounted>,
    /// Where the epoch's initial history ends, once it has all of that.
    initial_end: Zxid,
    history: History,
    /// Everything up to here was said to be committed.
    committed: Zxid,
    /// Where the log ended when this server came: only what is committed of it may be shown.
    came_with: Zxid,
    is_serving: bool,
    /// Proposals that are not logged yet, because they came before UPTODATE and are not committed.
    waiting: VecDeque<(Zxid, Bytes)>,
    /// What came while the base was replaced.
    held: VecDeque<Bytes>,
    /// The base that is being made: where it will end.
    base: Zxid,
    /// Whether that is a snapshot of what an established leader has committed.
    base_is_committed: bool,
    /// The leader has proposed nothing of what this server has of its epoch.
    is_disowned: bool,
    /// Logged and to be acknowledged, in order.
    owed: VecDeque<Zxid>,
}

impl Learner {
    /// A learner that is about to connect.
    pub fn new(now: Instant, start: Start, out: &mut Effects) -> Self {
        let last = start.history.last();
        let learner = Self {
            me: start.me,
            leader: start.leader,
            kind: start.kind,
            timing: start.timing,
            limits: start.limits,
            reconfig: start.reconfig,
            vouches: start.vouches,
            begins_anew: start.begins_anew,
            is_partial: start.is_partial,
            needs_snapshot: start.needs_snapshot,
            elected_with: start.elected_with,
            asks_masters: !start.masters.is_empty(),
            masters_until: now.after_ms(start.timing.sync_ms()),
            masters: start.masters,
            testing: start.testing,
            phase: Phase::Dialling,
            attempts: 0,
            dial: start.dial,
            link: None,
            connected_at: now,
            deadline: now.after_ms(start.timing.init_ms()),
            dial_until: now.after_ms(start.timing.init_ms()),
            accepted: start.accepted,
            current: start.current,
            epoch: Epoch::ZERO,
            adoptions_due: 0,
            configuration: start.configuration,
            changes: Changes::new(start.next, start.is_next_logged, &start.history),
            lists: start.lists,
            told_list: None,
            uncounted: None,
            initial_end: last,
            history: start.history,
            committed: Zxid::ZERO,
            came_with: last,
            is_serving: false,
            waiting: VecDeque::new(),
            held: VecDeque::new(),
            base: Zxid::ZERO,
            base_is_committed: false,
            is_disowned: false,
            owed: VecDeque::new(),
        };
        learner.connect(out);
        learner
    }

    fn connect(&self, out: &mut Effects) {
        let (server, dial) = (self.master(), self.dial);
        out.push(if self.asks_masters {
            Effect::DialObserverMaster { server, dial }
        } else {
            Effect::Dial { leader: server, dial }
        });
    }

    /// Whom it is connected to, or tries to be.
    pub(crate) fn master(&self) -> ServerId {
        if self.asks_masters {
            self.masters[self.attempts as usize % self.masters.len()]
        } else {
            self.leader
        }
    }

    pub(super) fn connect_again(&mut self, out: &mut Effects) {
        self.dial = self.dial.next();
        self.connect(out);
    }

    /// The connection to the leader, while there is one.
    pub fn link(&self) -> Option<LinkId> {
        self.link
    }

    /// The newest attempt to connect.
    pub(crate) fn dial(&self) -> DialId {
        self.dial
    }

    /// Whom it follows.
    pub fn leader(&self) -> ServerId {
        self.leader
    }

    /// Whether clients may be served.
    pub fn is_serving(&self) -> bool {
        self.is_serving
    }

    /// The epoch that it follows in, once it knows.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// How many attempts to connect were in vain.
    pub(crate) fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Everything up to here is committed and logged.
    pub(crate) fn committed(&self) -> Zxid {
        self.committed.min(self.history.last())
    }

    /// Where the epoch's initial history ends.
    pub(crate) fn initial_end(&self) -> Zxid {
        self.initial_end
    }

    /// What it has logged.
    pub(crate) fn history(&self) -> &History {
        &self.history
    }

    /// The configuration that holds.
    pub(crate) fn configuration(&self) -> &Configuration {
        &self.configuration
    }

    /// Set if it votes by its own list, and not by its leader's.
    pub(crate) fn uncounted(&self) -> Option<&Uncounted> {
        self.uncounted.as_ref()
    }

    /// The role is over: what it has logged, for the next role.
    pub fn into_history(self) -> History {
        self.history
    }

    /// When [`Input::Timer`] is due, if nothing else happens.
    pub fn next_timer(&self) -> Instant {
        self.deadline
    }

    /// Sends what a client of this server asks for. What the leader is not heard to answer before the
    /// connection breaks has an unknown outcome.
    pub fn send(&self, packet: &FromLearner<'_>, out: &mut Effects) {
        if let Some(link) = self.link.filter(|_| self.phase == Phase::Following) {
            out.tell_leader(link, packet);
        }
    }

    /// Advances by one input, appending to `out` what must be done, in order.
    pub fn step(&mut self, now: Instant, input: Input, out: &mut Effects) {
        if self.phase == Phase::Left {
            return;
        }
        match input {
            Input::Connected { dial, link } => self.on_connected(now, dial, link, out),
            Input::ConnectFailed { dial } => self.on_connect_failed(now, dial, out),
            Input::Packet { packet } => {
                self.deadline = now.after_ms(self.patience_ms());
                self.on_packet(packet, out);
            }
            Input::Heard => self.deadline = now.after_ms(self.patience_ms()),
            Input::SnapshotReceived { shown } => {
                self.deadline = now.after_ms(self.patience_ms());
                self.on_snapshot_received(shown, out);
            }
            Input::Closed => self.on_closed(now, out),
            Input::Synced { upto } => {
                self.acknowledge(upto, out);
                self.on_synced_early(upto);
            }
            Input::Persisted(what) => self.on_persisted(now, &what, out),
            Input::Rebased { last, shown } => self.on_rebased(now, last, shown, out),
            Input::Pong { zxid, touched } => self.pong(zxid, touched, out),
            Input::Timer => self.on_timer(now, out),
        }
    }

    fn patience_ms(&self) -> i64 {
        if self.phase < Phase::Adopted { self.timing.init_ms() } else { self.timing.sync_ms() }
    }

    fn on_timer(&mut self, now: Instant, out: &mut Effects) {
        if now < self.deadline {
            return;
        }
        match self.phase {
            Phase::Dialling if now < self.dial_until => {
                self.deadline = self.dial_until;
                self.connect_again(out);
            }
            Phase::Dialling => self.leave(Reason::LeaderUnreachable, out),
            Phase::Following if is_on(Mutation::SilentLeaderKept) => (),
            // The disk is at work and the leader waits: only the leader's silence counts.
            _ => self.leave(Reason::LeaderSilent, out),
        }
    }

    fn on_packet(&mut self, packet: Bytes, out: &mut Effects) {
        if self.phase == Phase::Rebasing {
            self.held.push_back(packet);
            return;
        }
        let bytes = packet.clone();
        let mut reader = Reader::with_limits(&bytes, self.limits);
        let decoded = QuorumPacket::decode(&mut reader).ok().map(|packet| FromLeader::decode(&packet));
        match decoded {
            Some(Ok(Some(decoded))) if self.phase < Phase::Following => self.on_join(&packet, decoded, out),
            Some(Ok(Some(decoded))) => self.on_follow(&packet, &decoded, out),
            Some(Ok(None)) => (),
            _ => self.leave(Reason::LeaderBroken("a packet does not decode"), out),
        }
    }

    fn leave(&mut self, reason: Reason, out: &mut Effects) {
        if self.phase == Phase::Left {
            return;
        }
        self.phase = Phase::Left;
        self.is_serving = false;
        if let Some(link) = self.link.take() {
            out.push(Effect::Close { link });
        }
        out.push(Effect::Leave(reason));
    }

    fn write_current(&mut self, epoch: Epoch, out: &mut Effects) {
        self.know_lists(self.lists.joining(epoch), out);
        self.current = epoch;
        self.adoptions_due += u32::from(epoch == self.epoch);
        out.push(Effect::Persist(Durable::Current(epoch)));
    }

    /// The next record goes to the log, behind the epoch that it needs.
    fn log(&mut self, zxid: Zxid, entry: Bytes, out: &mut Effects) {
        if !is_on(Mutation::PartMarkedLate) {
            self.mark_partial(out);
        }
        if self.current < zxid.epoch() && !is_on(Mutation::EpochWrittenLate) {
            self.write_current(zxid.epoch(), out);
        }
        self.note_logged(zxid, out);
        out.push(Effect::Append { zxid, entry: entry.clone() });
        if is_on(Mutation::PartMarkedLate) {
            self.mark_partial(out);
        }
        if is_on(Mutation::JoiningForgotten) && self.phase == Phase::Synchronising {
            return;
        }
        self.history.push(zxid, entry);
    }

    /// The position of the newest proposal, logged or not.
    fn newest(&self) -> Zxid {
        self.waiting.back().map_or(self.history.last(), |(zxid, _)| *zxid)
    }

    /// Whether `zxid` may come next. Positions in an epoch have no gaps; a newer epoch begins anew.
    fn goes_on_with(&self, zxid: Zxid) -> bool {
        let newest = self.newest();
        if is_on(Mutation::ProposalsBeforeUpToDateDropped) {
            return true;
        }
        if zxid.epoch() == newest.epoch() {
            zxid == newest.next()
        } else {
            newest < zxid && (zxid.counter() == 1 || self.testing.allows_gaps)
        }
    }
}

#[cfg(test)]
mod tests;
