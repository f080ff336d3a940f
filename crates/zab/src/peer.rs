//! One server of an ensemble: what it is at the moment, and what it becomes next.
//!
//! ```text
//!             ┌────────────────────────── Leave ◄──────────────────────────┐
//!             ▼                                                            │
//!         settling ──Settled──► looking ──Decided──► leading | following | observing
//!             │                                                  ▲
//!             └────────────── a reconfiguration named the leader ┘
//! ```
//!
//! *Settling* is the time in which the disk finishes what the last role asked for. Only then is it known what
//! this server has, and a vote must not claim more than a restart would find. Transactions that were logged
//! and not committed belong to what it has: the next leader decides about them.
//!
//! Who asks meanwhile is heard later: a vote that came while this server was not looking yet is taken up when
//! it begins to look, if it is fresh; otherwise two servers that lose their leader at nearly the same moment
//! would wait for each other's next repetition.
//!
//! Java's `QuorumPeer`.

mod between_roles;
mod observing;
mod what_follows;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use zabd_jute::quorum::{Configuration, FromLearner, PeerState, Touch};
use zabd_jute::{ConfigVersion, Epoch, Limits, ServerId, SessionId, Zxid};

use crate::effect::{
    DialId, Durable, Effect, Effects, Instant, LinkId, Reason, Refusal, Testing, Timing, Uncounted,
};
use crate::election::{self, Answers, Election, Shortfall, Standing, Standstill};
use crate::history::History;
use crate::leader::backing::patience_ms;
use crate::leader::{self, Leader};
use crate::learner::{self, Learner};
use crate::links::{self, Directory, Links};
use crate::observers::{self, ObserverMaster};
use crate::quorum::Lists;

/// How long a vote that came too early is remembered.
const EARLY_VOTE_MS: i64 = 500;
/// How many learners may wait for this server to find out that it leads.
const CALLERS_MAX: usize = 64;
/// How long what they say may be: who they are takes far less.
const CALLER_PACKET_BYTES_MAX: usize = 16_384;
/// How long they may wait while it looks for a leader, which may be for ever; and while it follows somebody else, if members
/// may change: a reconfiguration names the next leader to all at once, and some hear it sooner than the one who is named.
const CALLER_PATIENCE_MS: i64 = 1000;

/// How long a server that was turned away twice in a row waits; each further time twice as long, up to so long. The first time
/// is part of elections.
const REST_MS_MIN: i64 = 50;
const REST_MS_MAX: i64 = 1000;

/// What a server of an ensemble starts with.
#[derive(Debug)]
pub struct Start {
    /// This server.
    pub me: ServerId,
    /// How long things may take on the quorum port.
    pub timing: Timing,
    /// How long things may take in an election.
    pub election_timing: election::Timing,
    /// How long a field of a packet may be.
    pub limits: Limits,
    /// Whether configurations are numbered, stored and spread (`reconfigEnabled`).
    pub reconfig: bool,
    /// Whether several addresses of this server are told to others (`multiAddress.enabled`).
    pub multi_address: bool,
    /// The newest epoch that it has promised.
    pub accepted: Epoch,
    /// The epoch whose history it has.
    pub current: Epoch,
    /// The configuration that holds.
    pub configuration: Configuration,
    /// A newer one that was heard of.
    pub next: Option<Configuration>,
    /// The lists without a number that may hold.
    pub lists: Lists,
    /// Everything that it has logged, all of it durable.
    pub history: History,
    /// What that is worth.
    pub standing: Standing,
    /// Whether it is only a part of what a leader was sending; see [`Durable::Partial`].
    pub is_partial: bool,
    /// Whether followers have a port for observers (`observerMasterPort`).
    pub observer_masters: bool,
    /// What only tests ask for.
    pub testing: Testing,
}

/// What can happen to a server of an ensemble. What belongs to a role or a connection that is over is
/// ignored.
#[derive(Debug)]
pub enum Input {
    /// Something on the election port.
    Links(links::Input),
    /// A learner has connected to the quorum port.
    Accepted {
        /// The connection.
        link: LinkId,
    },
    /// An observer has connected to the port that followers have for observers.
    ObserverAccepted {
        /// The connection.
        link: LinkId,
    },
    /// The leader has answered what an observer has asked through this server.
    ObserverAnswered {
        /// Which.
        link: LinkId,
        /// What.
        answer: observers::Answer,
    },
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
    /// One whole packet came over a quorum connection.
    Packet {
        /// Which.
        link: LinkId,
        /// Its bytes.
        packet: Bytes,
    },
    /// A part of a packet or of a snapshot came over a quorum connection, or is being worked on.
    Heard {
        /// Which connection.
        link: LinkId,
    },
    /// A whole snapshot came over the connection to the leader, and is on disk under no name yet.
    SnapshotReceived {
        /// Which connection.
        link: LinkId,
        /// Who the members are, as its tree shows it.
        shown: Option<Box<Configuration>>,
    },
    /// A quorum connection is gone.
    Closed {
        /// Which.
        link: LinkId,
    },
    /// Every record up to here is durable.
    Synced {
        /// The last of them.
        upto: Zxid,
    },
    /// This is durable.
    Persisted(Durable),
    /// The log was cut or has another base.
    Rebased {
        /// Where tree and log end now.
        last: Zxid,
        /// Who the members are, as that tree shows it.
        shown: Option<Box<Configuration>>,
    },
    /// The disk has done everything that the last role asked for, and the tree shows all of the log.
    Settled {
        /// Where both end.
        last: Zxid,
    },
    /// For the leader: see there.
    Leader(leader::Input),
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

/// What this server is at the moment.
#[derive(Debug)]
enum State {
    /// The disk is finishing.
    Settling(Option<Reason>),
    /// It was turned away again and again, and looks for nobody before then unless somebody else does.
    Resting(Instant),
    Looking,
    Leading(Box<Leader>),
    Learning {
        machine: Box<Learner>,
        /// Of a follower that serves observers.
        observers: Option<Box<ObserverMaster>>,
    },
    /// It was asked to end, and takes part in nothing any more.
    Retired(Reason),
}

/// A learner that waits for this server to lead, or an observer for it to follow.
#[derive(Debug)]
struct Caller {
    since: Instant,
    said: Vec<Bytes>,
}

/// What a server that serves nobody waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Search {
    /// The end of an election.
    Election(Standstill),
    /// It is elected: a quorum of followers in step.
    Followers {
        /// These have connected.
        connected: Vec<ServerId>,
        /// The lists that may hold beside its own of which these are no quorum.
        lacking: Vec<Shortfall>,
    },
    /// This one is elected: to be in step with it.
    Leader(ServerId),
    /// A leader in whose list it has a vote, as in its own. Clients are served meanwhile.
    List(Uncounted),
    /// Room for its own log: what it has is not known before all of that is durable, and until then it neither votes nor follows.
    Room,
}

/// See the module's description.
#[derive(Debug)]
pub struct Peer {
    me: ServerId,
    timing: Timing,
    limits: Limits,
    reconfig: bool,
    accepted: Epoch,
    current: Epoch,
    configuration: Configuration,
    next: Option<Configuration>,
    /// The newest change of members that is in the history for certain, see [`crate::learner`].
    logged_change: Option<ConfigVersion>,
    lists: Lists,
    standing: Standing,
    is_partial: bool,
    /// Whether it has joined an epoch since it was started.
    has_joined: bool,
    needs_snapshot: bool,
    observer_masters: bool,
    testing: Testing,
    /// How many observer masters this server has gone through.
    masters_tried: usize,
    /// How often in a row it was turned away, or could not lead, before it served.
    rejections: u32,
    /// The next attempt to reach a leader.
    next_dial: DialId,
    state: State,
    /// While no role has it.
    history: Option<History>,
    election: Election,
    links: Links,
    answers: Option<Answers>,
    /// Who elected this server, and when those are asked that do not follow it, until it reigns.
    asked: Option<(Instant, BTreeSet<ServerId>)>,
    /// Votes that came while this server was not looking, and when.
    early: BTreeMap<ServerId, (Instant, Bytes)>,
    /// Learners that found this server to be their leader before it did.
    callers: BTreeMap<LinkId, Caller>,
    /// Observers that look for a follower and found this server before it is one.
    observing_callers: BTreeMap<LinkId, Caller>,
    /// Scratch.
    link_outputs: Vec<links::Output>,
    election_outputs: Vec<election::Output>,
    delivered: VecDeque<(ServerId, Bytes)>,
}

impl Peer {
    /// A server that is about to look for a leader; [`Input::Settled`] sets it off. The tree of its history shows this version of
    /// the members.
    pub fn new(start: Start, shown: Option<ConfigVersion>) -> Self {
        let directory = Directory::new(start.me, &start.configuration, start.next.as_ref());
        Self {
            me: start.me,
            timing: start.timing,
            limits: start.limits,
            reconfig: start.reconfig,
            accepted: start.accepted,
            current: start.current,
            configuration: start.configuration,
            next: start.next,
            logged_change: shown,
            lists: start.lists,
            standing: start.standing,
            is_partial: start.is_partial,
            has_joined: false,
            needs_snapshot: false,
            observer_masters: start.observer_masters,
            testing: start.testing,
            masters_tried: 0,
            rejections: 0,
            next_dial: DialId(1),
            state: State::Settling(None),
            history: Some(start.history),
            election: Election::new(start.me, start.election_timing),
            links: Links::new(start.me, directory, start.multi_address),
            answers: None,
            asked: None,
            early: BTreeMap::new(),
            callers: BTreeMap::new(),
            observing_callers: BTreeMap::new(),
            link_outputs: Vec::new(),
            election_outputs: Vec::new(),
            delivered: VecDeque::new(),
        }
    }

    /// What this server is.
    pub fn state(&self) -> PeerState {
        match &self.state {
            State::Leading(_) => PeerState::Leading,
            State::Learning { .. } if self.is_observer() => PeerState::Observing,
            State::Learning { .. } => PeerState::Following,
            State::Settling(_) | State::Resting(_) | State::Looking | State::Retired(_) => PeerState::Looking,
        }
    }

    /// Whether it will look for a leader when it has settled.
    pub fn is_to_look(&self) -> bool {
        matches!(&self.state, State::Settling(reason) if !matches!(reason, Some(Reason::Reconfigured { .. })))
    }

    /// How a leader that was asked to end has left.
    pub fn retired(&self) -> Option<Reason> {
        if let State::Retired(reason) = self.state { Some(reason) } else { None }
    }

    /// Whom it follows, or itself if it leads.
    pub fn leader(&self) -> Option<ServerId> {
        match &self.state {
            State::Leading(_) => Some(self.me),
            State::Learning { machine, .. } => Some(machine.leader()),
            _ => None,
        }
    }

    /// Whether what it has may be shown while there is no leader: all that it ever had, or nothing.
    pub fn may_be_read(&self) -> bool {
        self.standing != Standing::Lost && !self.needs_snapshot && !self.is_partial
    }

    /// The configuration that holds.
    pub fn configuration(&self) -> &Configuration {
        &self.configuration
    }

    /// A newer one that was heard of.
    pub fn next_configuration(&self) -> Option<&Configuration> {
        self.next.as_ref()
    }

    /// The machine of a leading server.
    pub fn as_leader(&self) -> Option<&Leader> {
        match &self.state {
            State::Leading(leader) => Some(leader),
            _ => None,
        }
    }

    /// What a server that serves nobody waits for, if that is not its own disk.
    pub fn search(&self) -> Option<Search> {
        match &self.state {
            State::Looking => self.election.standstill().map(Search::Election),
            State::Leading(leader) if !leader.is_established() => {
                let (connected, lacking) = (leader.introduced(), leader.lacking_lists());
                Some(Search::Followers { connected, lacking })
            }
            State::Learning { machine, .. } => Some(Search::Leader(machine.leader())),
            _ => None,
        }
    }

    /// Set while this server votes by its own list, and follows a leader that has another.
    pub fn uncounted(&self) -> Option<&Uncounted> {
        match &self.state {
            State::Learning { machine, .. } => machine.uncounted(),
            _ => None,
        }
    }

    /// Sends to the leader what a client of this learner asks for.
    pub fn send_to_leader(&self, packet: &FromLearner<'_>, out: &mut Effects) {
        if let State::Learning { machine, .. } = &self.state {
            machine.send(packet, out);
        }
    }

    /// Answers a learner about a session.
    pub fn revalidated(
        &mut self,
        now: Instant,
        link: LinkId,
        session: SessionId,
        is_valid: bool,
        out: &mut Effects,
    ) {
        self.step(now, Input::Leader(leader::Input::Revalidated { link, session, is_valid }), out);
    }

    /// When [`Input::Timer`] is due, if nothing else happens.
    pub fn next_timer(&self) -> Option<Instant> {
        let role = match &self.state {
            State::Leading(leader) => Some(leader.next_timer()),
            State::Learning { machine, observers, .. } => {
                let observers = observers.as_ref().and_then(|observers| observers.next_timer());
                Some(observers.map_or(machine.next_timer(), |timer| timer.min(machine.next_timer())))
            }
            State::Resting(until) => Some(*until),
            State::Settling(_) | State::Looking | State::Retired(_) => None,
        };
        let (election, links) = (self.election.next_deadline(), self.links.next_deadline());
        let asks = self.asked.as_ref().map(|(at, _)| *at);
        [role, election, links, self.next_dismissal(), asks].into_iter().flatten().min()
    }

    /// Advances by one input, appending to `out` what must be done, in order.
    pub fn step(&mut self, now: Instant, input: Input, out: &mut Effects) {
        let begin = out.list.len();
        match input {
            Input::Links(input) => self.links.step(now, input, &mut self.link_outputs),
            Input::Accepted { link } => match &mut self.state {
                State::Leading(leader) => leader.step(now, leader::Input::Accepted { link }, out),
                State::Settling(_) | State::Resting(_) | State::Looking | State::Learning { .. }
                    if self.callers.len() < CALLERS_MAX =>
                {
                    self.callers.insert(link, Caller { since: now, said: Vec::new() });
                }
                State::Retired(_) => out.push(Effect::Close { link }),
                _ => out.refuse(link, Refusal::TooMany),
            },
            Input::ObserverAccepted { link } => self.on_observer_accepted(now, link, out),
            Input::ObserverAnswered { link, answer } => {
                if let State::Learning { observers: Some(observers), .. } = &self.state {
                    observers.answer(link, answer, out);
                }
            }
            Input::Connected { dial, link } => match &mut self.state {
                State::Learning { machine, .. } => {
                    machine.step(now, learner::Input::Connected { dial, link }, out);
                }
                _ => out.push(Effect::Close { link }),
            },
            Input::ConnectFailed { dial } => self.learn(now, learner::Input::ConnectFailed { dial }, out),
            Input::Packet { link, packet } => match &mut self.state {
                State::Leading(leader) => leader.step(now, leader::Input::Packet { link, packet }, out),
                State::Learning { machine, .. } if machine.link() == Some(link) => {
                    machine.step(now, learner::Input::Packet { packet }, out);
                }
                State::Learning { machine, observers: Some(observers), .. } if observers.has(link) => {
                    observers.on_packet(now, link, &packet, machine, out);
                }
                _ => self.on_caller_packet(link, packet, out),
            },
            Input::Heard { link } => self.learn_over(now, link, learner::Input::Heard, out),
            Input::SnapshotReceived { link, shown } => {
                self.learn_over(now, link, learner::Input::SnapshotReceived { shown }, out);
            }
            Input::Closed { link } => self.on_closed(now, link, out),
            Input::Synced { upto } => match &mut self.state {
                State::Leading(leader) => leader.step(now, leader::Input::Synced { upto }, out),
                _ => self.learn(now, learner::Input::Synced { upto }, out),
            },
            Input::Persisted(what) => self.on_persisted(now, what, out),
            Input::Rebased { last, shown } => self.on_rebased(now, last, shown, out),
            Input::Settled { last } => self.on_settled(now, last, out),
            Input::Leader(input) => self.on_leader_input(now, input, out),
            Input::Pong { zxid, touched } => self.learn(now, learner::Input::Pong { zxid, touched }, out),
            Input::Timer => self.on_timer(now, out),
        }
        if let State::Learning { machine, observers: Some(observers), .. } = &mut self.state {
            observers.follow(now, machine, out);
        }
        self.follow_up(now, begin, out);
    }

    /// Before it is answered, a learner says one thing only; what anybody else says would be kept for as long as nobody leads.
    fn on_caller_packet(&mut self, link: LinkId, packet: Bytes, out: &mut Effects) {
        let caller = self.callers.get_mut(&link).or_else(|| self.observing_callers.get_mut(&link));
        let Some(Caller { said, .. }) = caller else { return };
        if said.is_empty() && packet.len() <= CALLER_PACKET_BYTES_MAX {
            said.push(packet);
            return;
        }
        self.callers.remove(&link);
        self.observing_callers.remove(&link);
        out.refuse(link, Refusal::TooMuch);
    }

    fn learn(&mut self, now: Instant, input: learner::Input, out: &mut Effects) {
        if let State::Learning { machine, .. } = &mut self.state {
            machine.step(now, input, out);
        }
    }

    fn learn_over(&mut self, now: Instant, link: LinkId, input: learner::Input, out: &mut Effects) {
        if matches!(&self.state, State::Learning { machine, .. } if machine.link() == Some(link)) {
            self.learn(now, input, out);
        }
    }

    fn on_closed(&mut self, now: Instant, link: LinkId, out: &mut Effects) {
        self.callers.remove(&link);
        self.observing_callers.remove(&link);
        if let State::Learning { observers: Some(observers), .. } = &mut self.state {
            observers.forget(link);
        }
        if let State::Leading(leader) = &mut self.state {
            leader.step(now, leader::Input::Closed { link }, out);
        }
        self.learn_over(now, link, learner::Input::Closed, out);
    }

    fn on_persisted(&mut self, now: Instant, what: Durable, out: &mut Effects) {
        match &what {
            Durable::Accepted(epoch) => self.accepted = *epoch,
            Durable::Current(epoch) => (self.current, self.has_joined) = (*epoch, true),
            Durable::Configuration(_)
            | Durable::NextConfiguration(_)
            | Durable::Partial(_)
            | Durable::Lists(_) => (),
        }
        match &mut self.state {
            State::Leading(leader) => leader.step(now, leader::Input::Persisted(what), out),
            _ => self.learn(now, learner::Input::Persisted(what), out),
        }
    }

    fn on_rebased(&mut self, now: Instant, last: Zxid, shown: Option<Box<Configuration>>, out: &mut Effects) {
        self.logged_change = shown.as_deref().map(Configuration::version);
        if let State::Learning { machine, .. } = &mut self.state {
            machine.step(now, learner::Input::Rebased { last, shown }, out);
            return;
        }
        self.history = Some(History::new(last));
        // What is known beside that is in doubt, and there is one place.
        let known = self.next.as_ref().map(Configuration::version);
        let held = self.configuration.version();
        let is_news = |shown: &ConfigVersion| self.reconfig && held < *shown && known != Some(*shown);
        if let Some(shown) = shown.filter(|shown| is_news(&shown.version())) {
            out.push(Effect::Persist(Durable::NextConfiguration(shown)));
        }
    }

    fn on_timer(&mut self, now: Instant, out: &mut Effects) {
        match &mut self.state {
            State::Resting(until) if *until <= now => self.look(now),
            State::Leading(leader) if leader.next_timer() <= now => {
                leader.step(now, leader::Input::Timer, out);
            }
            State::Learning { machine, observers, .. } => {
                machine.step(now, learner::Input::Timer, out);
                if let Some(observers) = observers {
                    observers.on_timer(now, out);
                }
            }
            _ => (),
        }
        self.ask_voters(now);
        self.dismiss_callers(now, out);
        self.links.step(now, links::Input::Timer, &mut self.link_outputs);
        self.election.step(now, election::Input::Timer, &mut self.election_outputs);
    }

    /// Voters that do not come may have another leader by now, and say so only if they are asked.
    fn ask_voters(&mut self, now: Instant) {
        let (State::Leading(leader), Some(answers), Some((at, voters))) =
            (&self.state, &self.answers, &mut self.asked)
        else {
            return;
        };
        if now < *at {
            return;
        }
        *at = now.after_ms(patience_ms(self.timing));
        let here = leader.introduced();
        for to in voters.iter().copied().filter(|voter| *voter != self.me && !here.contains(voter)) {
            let frame = answers.question();
            self.links.step(now, links::Input::Queue { to, frame }, &mut self.link_outputs);
        }
    }

    /// Who called a server that does not lead looks elsewhere.
    fn dismiss_callers(&mut self, now: Instant, out: &mut Effects) {
        self.dismiss_observers(now, out);
        let Some(patience_ms) = self.caller_patience_ms() else { return };
        let is_due = |caller: &Caller| caller.since.after_ms(patience_ms) <= now;
        let due = self.callers.extract_if(.., |_, caller| is_due(caller));
        due.for_each(|(link, _)| out.push(Effect::Close { link }));
    }

    fn next_dismissal(&self) -> Option<Instant> {
        let patience_ms = self.caller_patience_ms();
        let callers = patience_ms.and_then(|patience_ms| {
            self.callers.values().map(|caller| caller.since.after_ms(patience_ms)).min()
        });
        [callers, self.next_observer_dismissal()].into_iter().flatten().min()
    }

    /// Longer than a learner takes for the time in which nobody has listened to it: who is closed sooner tries again.
    fn caller_patience_ms(&self) -> Option<i64> {
        let listened_ms = 2 * self.timing.pause_ms();
        match self.state {
            State::Learning { .. } if !self.reconfig => Some(listened_ms),
            State::Learning { .. }
            | State::Looking
            | State::Resting(_)
            // Whoever still calls was told of it before its disk gave out, and would wait for `initLimit`.
            | State::Settling(Some(Reason::NoRoom | Reason::StandsStill)) => {
                Some(listened_ms.max(CALLER_PATIENCE_MS))
            }
            // How long the disk takes says nothing about who leads next.
            State::Settling(_) | State::Leading(_) | State::Retired(_) => None,
        }
    }
}

#[cfg(test)]
#[path = "peer_tests.rs"]
mod tests;
