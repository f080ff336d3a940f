//! A leader: from the won election to the end of its reign.
//!
//! ```text
//! Discovery        a quorum promises a new epoch, and nobody in it has more than this server
//! Synchronisation  a quorum has this server's history as the epoch's initial one
//! Broadcast        proposals, acknowledgements, commits; late learners are brought into step
//! ```
//!
//! The phases are the leader's; each learner has a stage of its own, and a late one goes through discovery
//! and synchronisation while the leader broadcasts. What a learner is sent goes through one queue per link,
//! so registering a learner for live traffic and handing it what it lacks are one step here, and nothing is
//! missed or sent twice.
//!
//! Where this leader does better than Java's on the same wire:
//!
//! - proposals that are not committed follow NEWLEADER, never precede it (Java followers up to 3.9.2 die of it);
//! - acknowledgements that come before the one of NEWLEADER are kept, not taken for it;
//! - what a learner may keep is decided by the whole history, proposals included: a follower that comes back with
//!   a proposal it has acknowledged is not told to cut it;
//! - an acknowledgement counts while its learner is connected: what it means is that the learner's log holds
//!   everything up to there, and a learner that comes back says anew where its log ends;
//! - learners are pinged from NEWLEADER on, so that they do not give up before a quorum is there.
//!
//! Java's `Leader` and `LearnerHandler`.

pub(crate) mod backing;
mod broadcast;
mod discovery;
mod link;
pub(crate) mod noted;
mod synchronisation;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use zabd_jute::quorum::{Configuration, FromLearner, Member, QuorumPacket};
use zabd_jute::{ConfigVersion, Epoch, Limits, Reader, Record as _, ServerId, SessionId, Zxid};

use self::backing::Backing;
pub(crate) use self::broadcast::is_still_voter;
use self::link::{Learner, Stage};
use self::noted::noted_change;
use crate::effect::{
    Durable, Effect, Effects, Instant, LinkId, Loss, Note, Reason, Refusal, Testing, Timing,
};
use crate::election::{Shortfall, Word, shortfall};
use crate::history::History;
use crate::quorum::{Claim, Lists, Quorums};

/// What a leader starts with.
#[derive(Debug)]
pub struct Start {
    /// This server.
    pub me: ServerId,
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
    /// A newer one that was heard of.
    pub next: Option<Configuration>,
    /// Whether its transaction is in the log for certain: the tree shows it, or this process has logged it.
    pub is_next_logged: bool,
    /// The lists without a number that may hold.
    pub lists: Lists,
    /// Whether configurations are numbered, stored and spread (`reconfigEnabled`).
    pub reconfig: bool,
    /// Everything that this server has logged, all of it durable.
    pub history: History,
    /// Whose votes made it the leader; nobody's, if a reconfiguration has named it.
    pub electing: BTreeSet<ServerId>,
    /// What only tests ask for.
    pub testing: Testing,
}

/// What can happen to a leader.
#[derive(Debug)]
pub enum Input {
    /// A learner has connected.
    Accepted {
        /// The connection.
        link: LinkId,
    },
    /// A learner sent one whole packet.
    Packet {
        /// Over which connection.
        link: LinkId,
        /// Its bytes.
        packet: Bytes,
    },
    /// A part of what a learner lacks has left for it, or is being prepared: nothing can be heard of a learner that has not
    /// heard everything.
    Sent {
        /// Over which connection.
        link: LinkId,
    },
    /// A connection is gone.
    Closed {
        /// Which.
        link: LinkId,
    },
    /// Every record up to here is durable on this server.
    Synced {
        /// The last of them.
        upto: Zxid,
    },
    /// This is durable on this server.
    Persisted(Durable),
    /// The answer to [`Effect::LookUp`].
    LookedUp {
        /// For whom.
        link: LinkId,
        /// Whether the log on disk has that position and everything behind it.
        is_found: bool,
    },
    /// The answer to [`Effect::TakeSnapshot`].
    SnapshotBegun {
        /// For whom.
        link: LinkId,
        /// The last transaction in it.
        zxid: Zxid,
    },
    /// The snapshot for this learner could not be taken.
    SnapshotFailed {
        /// Whose.
        link: LinkId,
    },
    /// A new transaction; its position is the one behind [`Leader::proposed`].
    Propose {
        /// Its position.
        zxid: Zxid,
        /// What the log holds of it.
        entry: Bytes,
        /// The configuration that it makes, if it is a reconfiguration.
        configuration: Option<Box<Configuration>>,
    },
    /// The answer to [`Effect::Revalidate`].
    Revalidated {
        /// Which learner asked.
        link: LinkId,
        /// For which session.
        session: SessionId,
        /// Whether it goes on there.
        is_valid: bool,
    },
    /// A server was heard on the election port.
    Voted {
        /// Which.
        server: ServerId,
        /// What it says of the election that made this leader.
        word: Word,
    },
    /// It is connected to the election port no more.
    Unheard {
        /// Which.
        server: ServerId,
    },
    /// Nothing is proposed any more; leave when a follower could go on without this server.
    HandOver,
    /// This server's log takes nothing any more: somebody else may be able to lead.
    NoRoom,
    /// This server's disk does nothing, and those of others do.
    StandsStill,
    /// Time has passed.
    Timer,
}

/// How far a leader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// Hearing which epochs were promised.
    CollectingPromises,
    /// The new epoch is being written down.
    PromisingItself,
    /// Hearing who has which history.
    CollectingHistories,
    /// The new epoch's history is being adopted by this server and its followers.
    Synchronising,
    /// Established.
    Broadcasting,
    /// Over.
    Left,
}

/// What is answered behind the commit of everything that was proposed before.
#[derive(Clone, Copy, Debug)]
enum Asked {
    /// A `sync` of a client.
    Sync,
    /// A session came to the learner from elsewhere. Its client may number requests anew, and the learner knows transactions
    /// for its clients by session and number: those that were asked for elsewhere have to come first.
    Revalidation { session: SessionId, is_valid: bool },
}

/// What operators ask about a leader's learners.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Everybody who is connected.
    pub learners: usize,
    /// Followers that get everything new.
    pub followers: usize,
    /// Those of them that do not vote.
    pub strangers: usize,
    /// Observers that get everything new.
    pub observers: usize,
    /// Positions whose commit a `sync` of a learner's client waits for.
    pub syncs: usize,
}

/// See the module's description.
#[derive(Debug)]
pub struct Leader {
    me: ServerId,
    timing: Timing,
    limits: Limits,
    reconfig: bool,
    phase: Phase,
    /// When a quorum had its initial history.
    established_at: Option<Instant>,
    /// When the phase must have come to an end.
    deadline: Instant,
    /// When learners are pinged next; twice per tick.
    ping_at: Instant,
    /// Whether the next ping is also the end of a tick.
    is_half_tick: bool,
    /// What this server had when it won, against which others are compared.
    frozen: (Epoch, Zxid),
    /// The newest epoch that anybody has promised; this leader's own, once it is decided.
    epoch: Epoch,
    configuration: Configuration,
    next: Option<Configuration>,
    is_next_logged: bool,
    /// What its disk says of lists without a number, or will say when it has got there.
    lists: Lists,
    /// Which quorums commit, from which position on; the first holds for everything before the second.
    rules: VecDeque<(Zxid, Quorums)>,
    learners: BTreeMap<LinkId, Learner>,
    history: History,
    backing: Backing,
    testing: Testing,
    /// This server has adopted its own epoch.
    has_adopted: bool,
    /// `committed ≤ proposed`.
    committed: Zxid,
    proposed: Zxid,
    /// How long what is between the two is.
    uncommitted_bytes: usize,
    /// The newest own record that is durable; what this server acknowledges.
    synced: Zxid,
    /// What learners have asked for, and the position that must be committed before each is answered.
    asked: VecDeque<(Zxid, LinkId, Asked)>,
    /// The configuration of a proposed reconfiguration, until it is committed.
    reconfiguring: Option<(Zxid, Configuration)>,
    is_handing_over: bool,
}

impl Leader {
    /// A leader that has won an election and knows nobody yet. It leaves at once if no epoch is left for it.
    pub fn new(now: Instant, start: Start, out: &mut Effects) -> Self {
        let last = start.history.last();
        let quorums = Quorums::new(&start.configuration, start.next.as_ref());
        let is_next_logged = start.is_next_logged && quorums.is_changing();
        let quorums = quorums.with_lists(&start.lists);
        let mut leader = Self {
            me: start.me,
            timing: start.timing,
            limits: start.limits,
            reconfig: start.reconfig,
            phase: Phase::CollectingPromises,
            established_at: None,
            deadline: now.after_ms(start.timing.init_ms()),
            ping_at: now.after_ms(start.timing.tick_ms / 2),
            is_half_tick: true,
            frozen: (start.current, last),
            epoch: start.accepted.next(),
            configuration: start.configuration,
            next: start.next,
            is_next_logged,
            lists: start.lists,
            rules: VecDeque::from([(Zxid::ZERO, quorums)]),
            learners: BTreeMap::new(),
            history: start.history,
            backing: Backing::new(now, start.timing, start.electing),
            testing: start.testing,
            has_adopted: false,
            committed: Zxid::ZERO,
            proposed: last,
            uncommitted_bytes: 0,
            synced: last,
            asked: VecDeque::new(),
            reconfiguring: None,
            is_handing_over: false,
        };
        if Epoch::LAST <= start.accepted {
            leader.leave(Reason::EpochsUsedUp, out);
        } else {
            leader.consider_promises(now, out);
        }
        leader
    }

    /// The last position that was proposed, or the epoch's first.
    pub fn proposed(&self) -> Zxid {
        self.proposed
    }

    /// The last position that is committed, or the epoch's first.
    pub fn committed(&self) -> Zxid {
        self.committed
    }

    /// How long everything is that it has proposed and that is not committed.
    pub fn uncommitted_bytes(&self) -> usize {
        self.uncommitted_bytes
    }

    /// This leader's epoch; before it is decided, the newest candidate.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Whether followers that are in step, and this server, are a quorum of another configuration: what is committed
    /// under it goes on being committed. Observers that it makes voters are not asked, since they log nothing yet.
    pub fn has_synced_quorum_of(&self, now: Instant, configuration: &Configuration) -> bool {
        let quorums = Quorums::new(configuration, None);
        self.is_quorum(&quorums, true, |learner| learner.is_live_follower(now))
    }

    /// Who follows and observes, for operators.
    pub fn census(&self) -> Census {
        let registered = || self.learners.values().filter(|learner| learner.is_registered());
        // Whatever its weight is.
        let is_voter = |server| self.configuration.member(server).is_some_and(Member::is_voter);
        let followers = registered().filter(|learner| learner.is_follower());
        let voters = followers.filter(|learner| learner.server.is_some_and(is_voter)).count();
        let followers = registered().filter(|learner| learner.is_follower()).count();
        let mut awaited: Vec<_> = self
            .asked
            .iter()
            .filter(|(.., asked)| matches!(asked, Asked::Sync))
            .map(|(upto, ..)| *upto)
            .collect();
        awaited.dedup();
        Census {
            learners: self.learners.len(),
            followers,
            strangers: followers - voters,
            observers: registered().count() - followers,
            syncs: awaited.len(),
        }
    }

    /// Who is reached over a connection, once it has said so.
    pub fn server_of(&self, link: LinkId) -> Option<ServerId> {
        self.learners.get(&link)?.server
    }

    /// Every learner that has said who it is, and its connection.
    pub fn links(&self) -> impl Iterator<Item = (LinkId, ServerId)> {
        self.learners.iter().filter_map(|(link, learner)| Some((*link, learner.server?)))
    }

    /// The followers that have said who they are.
    pub fn introduced(&self) -> Vec<ServerId> {
        let followers = self.learners.values().filter(|learner| learner.is_follower());
        let ids: BTreeSet<_> = followers.filter_map(|learner| learner.server).collect();
        ids.into_iter().collect()
    }

    /// Of which lists that may hold beside its own they are no quorum, with this server.
    pub(crate) fn lacking_lists(&self) -> Vec<Shortfall> {
        let mut here = self.introduced();
        here.push(self.me);
        let each = self.quorums().each().filter(|(_, claim)| *claim == Claim::MayHold);
        each.filter_map(|(voters, claim)| shortfall(voters, claim, &here)).collect()
    }

    /// Whether a quorum backs this leader.
    pub fn is_established(&self) -> bool {
        self.phase == Phase::Broadcasting
    }

    /// Whether the role is over.
    pub(crate) fn has_left(&self) -> bool {
        self.phase == Phase::Left
    }

    /// The role is over: what it has logged, for the next role.
    pub fn into_history(self) -> History {
        self.history
    }

    /// When [`Input::Timer`] is due, if nothing else happens.
    pub fn next_timer(&self) -> Instant {
        if self.phase < Phase::Broadcasting { self.ping_at.min(self.deadline) } else { self.ping_at }
    }

    /// Advances by one input, appending to `out` what must be done, in order.
    pub fn step(&mut self, now: Instant, input: Input, out: &mut Effects) {
        if self.phase == Phase::Left {
            if let Input::Accepted { link } = input {
                out.push(Effect::Close { link });
            }
            return;
        }
        match input {
            Input::Accepted { link } => {
                let patience = now.after_ms(self.timing.init_ms());
                self.learners.insert(link, Learner::new(patience));
            }
            Input::Packet { link, packet } => self.on_packet(now, link, &packet, out),
            Input::Sent { link } => self.on_sent(now, link),
            Input::Closed { link } => {
                self.note_lost(link, Loss::Closed, out);
                self.forget(link, out);
            }
            Input::Synced { upto } => {
                assert!(self.synced <= upto, "durability was taken back");
                self.synced = upto;
                self.advance_commits(now, out);
            }
            Input::Persisted(what) => self.on_persisted(now, &what, out),
            Input::LookedUp { link, is_found } => self.on_looked_up(now, link, is_found, out),
            Input::SnapshotBegun { link, zxid } => self.on_snapshot_begun(now, link, zxid, out),
            Input::SnapshotFailed { link } => self.drop_learner(link, out),
            Input::Propose { zxid, entry, configuration } => {
                self.propose(now, zxid, entry, configuration.map(|boxed| *boxed), out);
            }
            Input::Revalidated { link, session, is_valid } => {
                if self.learners.contains_key(&link) {
                    self.answer_behind_commits(link, Asked::Revalidation { session, is_valid }, out);
                }
            }
            Input::Voted { server, word } => self.backing.hear(server, word),
            Input::Unheard { server } => self.backing.lose(server),
            Input::HandOver => self.is_handing_over = true,
            Input::NoRoom => self.leave(Reason::NoRoom, out),
            Input::StandsStill => self.leave(Reason::StandsStill, out),
            Input::Timer => self.on_timer(now, out),
        }
        self.consider_hand_over(now, out);
        self.consider_giving_up(now, out);
        self.assert_invariants();
    }

    fn on_persisted(&mut self, now: Instant, what: &Durable, out: &mut Effects) {
        match what {
            Durable::Accepted(epoch) if self.phase == Phase::PromisingItself => {
                assert_eq!(*epoch, self.epoch, "the promise that was asked for was written");
                self.announce_epoch(now, out);
            }
            Durable::Current(epoch) if *epoch == self.epoch && self.phase >= Phase::Synchronising => {
                self.has_adopted = true;
                self.consider_establishment(now, out);
            }
            _ => (),
        }
    }

    fn on_packet(&mut self, now: Instant, link: LinkId, packet: &Bytes, out: &mut Effects) {
        let Some(learner) = self.learners.get_mut(&link) else { return };
        learner.heard(now, self.timing);
        let mut reader = Reader::with_limits(packet, self.limits);
        let decoded = QuorumPacket::decode(&mut reader).ok().map(FromLearner::decode);
        let Some(Ok(decoded)) = decoded else {
            self.refuse(link, Refusal::NoLearner, out);
            return;
        };
        match decoded {
            Some(FromLearner::Info { kind, accepted, info, behind }) => {
                let Ok(noted) = noted_change(&behind) else {
                    return self.refuse(link, Refusal::NoLearner, out);
                };
                learner.noted = noted.filter(|_| self.reconfig);
                let Ok(lists) = Lists::behind(&behind) else {
                    self.refuse(link, Refusal::NoLearner, out);
                    return;
                };
                learner.lists = lists;
                self.on_info(now, link, kind, accepted, info, out);
            }
            Some(FromLearner::AckEpoch { last_zxid, current }) => {
                self.on_ack_epoch(now, link, last_zxid, current, out);
            }
            Some(FromLearner::Ack { zxid }) => self.on_ack(now, link, zxid, out),
            // Nothing else is a learner's to say in the handshake; later, but before it is in step, it is ignored.
            _ if learner.stage < Stage::Synchronising => self.refuse(link, Refusal::NoLearner, out),
            _ if learner.stage < Stage::InStep => (),
            Some(FromLearner::Ping { touched, .. }) => {
                for touch in touched {
                    out.push(Effect::Touch(touch));
                }
            }
            Some(FromLearner::Request(request)) => {
                let op = request.op;
                self.on_request(link, op, packet, out);
            }
            Some(FromLearner::Revalidate { session, timeout_ms }) => {
                out.push(Effect::Revalidate { link, session, timeout_ms });
            }
            None => (),
        }
    }

    /// Closes a learner's connection and forgets it.
    fn drop_learner(&mut self, link: LinkId, out: &mut Effects) {
        if self.learners.contains_key(&link) {
            out.push(Effect::Close { link });
            self.forget(link, out);
        }
    }

    /// The same, and an operator hears why.
    fn refuse(&mut self, link: LinkId, why: Refusal, out: &mut Effects) {
        out.push(Effect::Refuse { link, why });
        self.drop_learner(link, out);
    }

    /// Who was never in step is no loss: it will say on its own side what keeps it.
    fn note_lost(&self, link: LinkId, loss: Loss, out: &mut Effects) {
        let Some(learner) = self.learners.get(&link).filter(|learner| learner.is_registered()) else {
            return;
        };
        let server = learner.server.expect("who is examined has said who it is");
        out.push(Effect::Note(Note::LearnerLost { server, kind: learner.kind, loss }));
    }

    fn forget(&mut self, link: LinkId, out: &mut Effects) {
        if self.learners.remove(&link).is_some() {
            self.asked.retain(|(_, asker, _)| *asker != link);
            out.push(Effect::LearnerGone { link });
        }
    }

    fn leave(&mut self, reason: Reason, out: &mut Effects) {
        self.phase = Phase::Left;
        for link in std::mem::take(&mut self.learners).into_keys() {
            out.push(Effect::Close { link });
        }
        out.push(Effect::Leave(reason));
    }

    /// The quorums of the configuration that holds, whatever is under way.
    fn committed_quorums(&self) -> Quorums {
        Quorums::new(&self.configuration, None)
    }

    /// The quorums that count now: those of the newest proposal.
    fn quorums(&self) -> &Quorums {
        &self.rules.back().expect("some quorum always commits").1
    }

    /// Whether this server, if it `counts_itself`, and the learners for which `counts` holds are a quorum.
    fn is_quorum(&self, quorums: &Quorums, counts_itself: bool, counts: impl Fn(&Learner) -> bool) -> bool {
        let has_learner = |id| self.learners.values().any(|each| each.server == Some(id) && counts(each));
        quorums.is_quorum(|id| (counts_itself && id == self.me) || has_learner(id))
    }

    /// The configuration that a learner is to hold when it may serve. While a leader is being established that is the
    /// newest one, to which both quorums agree then; later only the committed one. (Java's leader tells of one that is
    /// only proposed, and a learner that comes at that moment holds what may never be committed.)
    fn configuration_to_hold(&self) -> &Configuration {
        if self.phase == Phase::Broadcasting {
            return &self.configuration;
        }
        self.next.as_ref().unwrap_or(&self.configuration)
    }

    fn config_version(&self) -> ConfigVersion {
        self.configuration.version()
    }

    fn on_timer(&mut self, now: Instant, out: &mut Effects) {
        if self.phase < Phase::Broadcasting && self.deadline <= now {
            self.leave(Reason::NoQuorumInTime, out);
            return;
        }
        if now < self.ping_at {
            return;
        }
        self.ping_at = now.after_ms(self.timing.tick_ms / 2);
        self.drop_silent_learners(now, out);
        self.is_half_tick = !self.is_half_tick;
        if self.is_half_tick && self.phase == Phase::Broadcasting && !self.has_live_quorum(now) {
            self.leave(Reason::QuorumLost, out);
            return;
        }
        self.ping(now, out);
    }

    fn assert_invariants(&self) {
        assert!(self.committed <= self.proposed, "committed a transaction that was never proposed");
        assert!(self.synced <= self.history.last().max(self.synced), "synced what was never logged");
        if self.phase == Phase::Broadcasting {
            assert!(self.has_adopted, "a leader serves in an epoch that it has not adopted");
        }
    }
}

#[cfg(test)]
mod tests;
