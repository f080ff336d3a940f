//! Fast leader election: each voter repeats the best vote that it has heard, until a quorum repeats the same.
//!
//! The wire is Java's `FastLeaderElection`; so are the outcomes, apart from three things that are better here and
//! safe beside Java servers: the decision does not wait for who cannot be heard ([`looking`]),
//! an empty server never outvotes data ([`voice`]), and who slept through a change of members can vote for those whom it adds
//! (said behind what Java reads). None of them makes the other side's messages mean anything else.
//!
//! ```text
//!             Begin                       a quorum repeats one vote, and
//!   (idle) ───────────► looking ─────────────────────────────────────────────► Decided, (idle)
//!      ▲                  │  ▲            or has a leader that says so too
//!      └── AdoptConfig ───┘  └── votes, rounds, repeats
//! ```
//!
//! An election is not agreement: two servers of one round may be elected by different quorums, since a vote may be
//! changed for a better one. It only finds a server whose history suffices, and mostly the same one everywhere.
//! That there is one leader per epoch is for discovery to see to, and a leader nobody follows gives up there.
//!
//! One's own vote counts when it comes back as an input, as it would from anybody else: [`Output::Send`] to oneself
//! is carried by the links. What arrives while this server is not looking is for [`Answers`].

mod answer;
mod contacts;
mod looking;
mod standstill;
mod voice;
mod vote;

use std::collections::BTreeSet;

use bytes::Bytes;
use zabd_jute::quorum::{Configuration, Notification, PeerState, Role};
use zabd_jute::{Epoch, ServerId, Zxid};

pub use answer::{Answers, Elected, Word};
pub(crate) use standstill::shortfall;
pub use standstill::{Says, Shortfall, Standstill};
pub use voice::{ABSTENTION, Standing};
pub use vote::{Ballot, Vote};

use crate::effect::Instant;
use crate::quorum::Lists;
use contacts::Contacts;
use looking::Looking;

/// How long an election waits for what.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Until the proposal is repeated for the first time (`zookeeper.fastleader.minNotificationInterval`). Each
    /// time the wait is doubled; a new link makes it short again.
    pub repeat_ms_min: i64,
    /// The longest such wait (`zookeeper.fastleader.maxNotificationInterval`).
    pub repeat_ms_max: i64,
    /// How long a quorum waits for others (Java's constant `finalizeWait`).
    pub finalize_ms: i64,
}

impl Default for Timing {
    fn default() -> Self {
        Self { repeat_ms_min: 200, repeat_ms_max: 60_000, finalize_ms: 200 }
    }
}

/// What this server has and is when it begins to look for a leader.
#[derive(Clone, Debug)]
pub struct Begin {
    /// The last transaction in its log, committed or not. On disk: a vote must survive its voter.
    pub last_zxid: Zxid,
    /// The epoch whose initial history it has (`currentEpoch`).
    pub epoch: Epoch,
    /// Whether it is configured to vote. A participant that is in no configuration yet follows like one.
    pub role: Role,
    /// What its data is worth.
    pub standing: Standing,
    /// The configuration that holds.
    pub committed: Configuration,
    /// The newest one that was heard of.
    pub last_seen: Option<Configuration>,
    /// The lists without a number that may hold.
    pub lists: Lists,
    /// Whether reconfiguration is enabled, so that newer configurations are taken from whoever has them.
    pub adopts_configs: bool,
    /// The leader that it had before, in this life.
    pub last_elected: Option<Elected>,
}

/// What an election reacts to.
#[derive(Debug)]
pub enum Input<'a> {
    /// Look for a leader, in a new round.
    Begin(Box<Begin>),
    /// Somebody, maybe this server itself, says this. To be handed in at any time, also to an idle election:
    /// it must know which message is the first of a connection.
    Notification {
        /// Who, by the link.
        from: ServerId,
        /// What.
        notification: &'a Notification<'a>,
    },
    /// A connection to a server stands, which may have replaced another.
    LinkUp(ServerId),
    /// There is no connection to a server any more.
    LinkDown(ServerId),
    /// Look at the clock.
    Timer,
    /// Stop looking, for whatever reason.
    Abort,
}

/// What an election asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this frame over the link, or back to this server itself.
    Send {
        /// To whom.
        to: ServerId,
        /// A notification, with its length.
        frame: Bytes,
    },
    /// Dial whoever there is no connection to, now.
    ConnectAll,
    /// Somebody has a newer configuration. It holds from now on.
    AdoptConfig {
        /// The newer one.
        config: Box<Configuration>,
        /// Set if it names other servers than the one before. The election is over then; it must be begun again
        /// with this configuration, and maybe in another role.
        is_restart: bool,
    },
    /// This server does not count; told after a while, and when it changes.
    Voiceless {
        /// Why.
        standing: Standing,
        /// If it has no data: the voters that it has to hear look for a leader too.
        unheard: Vec<ServerId>,
    },
    /// The election is over.
    Decided(Decision),
}

/// How an election ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The leader, as it is remembered and told to others.
    pub elected: Elected,
    /// What this server is to do now; never [`PeerState::Looking`].
    pub role: PeerState,
    /// Who was seen to support the leader: a quorum.
    pub electing: BTreeSet<ServerId>,
    /// Cleared on a server that abstained. Until its leader has brought it level, it must not be counted in any
    /// quorum: not when the epoch is chosen, not when it is acknowledged.
    pub has_voice: bool,
}

/// See the module's description. Lives as long as its process: rounds are counted over all elections.
#[derive(Debug)]
pub struct Election {
    me: ServerId,
    timing: Timing,
    contacts: Contacts,
    /// Of the election that goes on, or of the last one.
    round: i64,
    has_decided: bool,
    adopts_configs: bool,
    looking: Option<Looking>,
}

impl Election {
    /// For the server `me`, idle.
    pub fn new(me: ServerId, timing: Timing) -> Self {
        let contacts = Contacts::default();
        Self { me, timing, contacts, round: 0, has_decided: false, adopts_configs: false, looking: None }
    }

    /// Advances by one input, appending to `out` what the caller must do, in order.
    pub fn step(&mut self, now: Instant, input: Input<'_>, out: &mut Vec<Output>) {
        match input {
            Input::Begin(begin) => self.begin(now, *begin, out),
            Input::Notification { from, notification } => self.on_notification(now, from, notification, out),
            Input::LinkUp(server) => {
                self.contacts.on_link_up(server);
                self.looking.iter_mut().for_each(|looking| looking.on_link_up(now));
            }
            Input::LinkDown(server) => self.contacts.on_link_down(server),
            Input::Timer => self.on_timer(now, out),
            Input::Abort => self.looking = None,
        }
        if let Some(looking) = &mut self.looking {
            looking.find_voice(now, out);
            self.round = looking.round;
            if let Some(decision) = looking.decide(now, &self.contacts) {
                self.end(decision, out);
            }
        }
        self.looking.iter().for_each(Looking::assert_invariants);
    }

    /// When to come back with [`Input::Timer`].
    pub fn next_deadline(&self) -> Option<Instant> {
        let looking = self.looking.as_ref()?;
        Some(looking.decide_at.map_or(looking.repeat_at, |decide_at| decide_at.min(looking.repeat_at)))
    }

    /// Whether an election is going on.
    pub fn is_looking(&self) -> bool {
        self.looking.is_some()
    }

    /// Why no leader is found, if one is looked for.
    pub fn standstill(&self) -> Option<Standstill> {
        self.looking.as_ref().map(|looking| looking.standstill(&self.contacts))
    }

    fn begin(&mut self, now: Instant, begin: Begin, out: &mut Vec<Output>) {
        // Rounds come from anybody, so the last one may be the largest there is.
        self.round = self.round.saturating_add(1);
        self.adopts_configs = begin.adopts_configs;
        let looking = Looking::new(self.me, begin, self.round, !self.has_decided, self.timing, now);
        self.looking.insert(looking).tell_all(now, out);
    }

    fn on_notification(
        &mut self,
        now: Instant,
        from: ServerId,
        notification: &Notification<'_>,
        out: &mut Vec<Output>,
    ) {
        if self.looking.is_none() {
            self.contacts.on_message(from);
            return;
        }
        self.take_config(notification, out);
        let Some(looking) = &mut self.looking else { return };
        if let Some(decision) = looking.on_notification(now, from, notification, &mut self.contacts, out) {
            self.end(decision, out);
        }
    }

    /// Configurations are gossip: whoever looks takes a newer one from anybody, before anything else is read.
    fn take_config(&mut self, notification: &Notification<'_>, out: &mut Vec<Output>) {
        let (Some(looking), Some(text)) = (&mut self.looking, &notification.config) else { return };
        if !self.adopts_configs || *text == looking.config_text {
            return;
        }
        // A text that nobody can read is no reason not to listen to the vote.
        let Ok(config) = Configuration::parse(text) else { return };
        if config.version() <= looking.committed.version() || config.voters().next().is_none() {
            return;
        }
        let is_restart = !has_same_servers(&config, &looking.committed);
        if is_restart {
            self.looking = None;
            // Java makes a new election of it, which counts from the start.
            self.round = 0;
        } else {
            looking.renumber(&config);
        }
        out.push(Output::AdoptConfig { config: Box::new(config), is_restart });
    }

    fn on_timer(&mut self, now: Instant, out: &mut Vec<Output>) {
        if let Some(looking) = self.looking.as_mut().filter(|looking| looking.repeat_at <= now) {
            looking.repeat(now, out);
        }
    }

    fn end(&mut self, decision: Decision, out: &mut Vec<Output>) {
        self.round = decision.elected.round;
        self.has_decided = true;
        self.looking = None;
        out.push(Output::Decided(decision));
    }
}

/// Java's `QuorumVerifier.equals` for two that differ in their versions.
fn has_same_servers(one: &Configuration, other: &Configuration) -> bool {
    one.members().len() == other.members().len()
        && one.members().iter().all(|member| other.member(member.id()) == Some(member))
        && one.hierarchy() == other.hierarchy()
}
