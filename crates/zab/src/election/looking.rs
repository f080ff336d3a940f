//! One election, from the first vote to the decision.
//!
//! Everybody proposes itself and then repeats the best proposal that it has heard, until a quorum repeats the
//! same. Rounds keep elections apart: who hears of a later round joins it and votes anew, who is asked from
//! an earlier one tells what is proposed now. Who comes when there is a leader already learns of it from a
//! quorum of those that have it, and from the leader itself, whatever their rounds are.
//!
//! **When to stop.** A quorum that repeats one proposal is enough for safety: the winner has all that any
//! voter of that quorum has, and discovery checks it again before anything is written. But a voter that was
//! not heard yet may have a longer tail, and would lose it for no reason; so while there are such voters the
//! decision is put off, by at most [`Timing::finalize_ms`], as in Java. Who is worth waiting for:
//!
//! - In the first election of a process everybody who counts: nobody knows who is there, the links are only
//!   being made, and a whole ensemble that was restarted shall find the longest history.
//! - Later only who can be heard, that is, has a link. Those have had their links for long, and a server
//!   without one is not there: it is most likely the leader whose crash made this election necessary.
//!
//! A voter needs no waiting for when it agreed in this round, when it abstains since it lost its data, or when it has a
//! leader and so does not vote. One that abstains since it has no data yet votes as soon as it has heard everybody, perhaps
//! for somebody else: two of three that start without data would otherwise decide before the third has spoken. When everybody
//! has been heard the decision is made at once.
//!
//! **Who stands.** While a reconfiguration is under way, the voters of the new configuration are asked too. One that is not a
//! voter of the old one may have more than any of those: it has logged the change and what came behind it. What it has beyond
//! them may be committed (the old configuration no longer counts if the change is), so it must not vote for less. In odd rounds
//! it votes for nobody, with what it has, as in Java; where its voice is needed nobody is elected then, in Java for ever. So
//! whoever has looked in vain for a while begins a new round, and in even rounds such a server stands itself. Not in every
//! round: an old voter that has not heard of the change does not know it, and its votes would be missing for
//! somebody whom the others can elect. As long as it has not logged the change, nothing was committed with its help,
//! and it votes for anybody.
//!
//! Where lists without a number may hold beside a server's own ([`crate::quorum::lists`]), it is the same with their voters, and nobody decides
//! without a quorum of each: discovery would ask for that. But in each fourth round its own list is enough: what is on its
//! disk may be outdated, which is not said in votes. If nobody knows better, discovery comes to nothing soon.
//!
//! Java lets everything that arrives meanwhile fall, except better votes, and starts its 200 ms anew with each;
//! here what arrives counts, and the end of the wait is fixed when the quorum is there.

use std::collections::{BTreeMap, BTreeSet};

use zabd_jute::quorum::{Configuration, Notification, PeerState, Role};
use zabd_jute::{Epoch, ServerId, Zxid};
use zabd_mutation::{Mutation, is_on};

use super::answer::{Elected, frame};
use super::contacts::Contacts;
use super::voice::{ABSTENTION, Chorus, Heard, Standing, chorus};
use super::vote::{Ballot, Ballots, Vote};
use super::{Begin, Decision, Output, Timing};
use crate::effect::Instant;
use crate::quorum::{Lists, Quorums};

/// See the module's description.
#[derive(Debug)]
pub(super) struct Looking {
    pub me: ServerId,
    role: Role,
    timing: Timing,
    pub committed: Configuration,
    last_seen: Option<Configuration>,
    lists: Lists,
    pub config_text: String,
    pub quorums: Quorums,
    /// Whether this is the first election of the process, so that missing links mean nothing.
    is_first: bool,
    /// What servers that cannot vote are told meanwhile.
    last: Elected,
    began_as: Standing,
    /// [`Standing::Voter`] as soon as there is a voice.
    pub standing: Standing,
    candidacy: Candidacy,
    /// For this server, with what it has, or for nobody.
    own: Vote,
    /// What it falls back to in a new round: `own`, or what an empty server has joined.
    initial: Vote,
    /// The best vote of this round: `initial` or better.
    pub proposal: Vote,
    pub round: i64,
    /// The votes of this round, as looked at by those who vote: without versions.
    this_round: Ballots,
    /// The votes of those that have a leader, whatever their rounds.
    established: Ballots,
    /// The last word of each voter, vote or not.
    pub heard: BTreeMap<ServerId, Heard>,
    /// When this server first said something in this round.
    round_since: Option<Instant>,
    /// When the proposal is repeated.
    pub repeat_at: Instant,
    repeat_ms: i64,
    /// Whom a server without a voice was said to wait for.
    unheard: Option<Vec<ServerId>>,
    /// Set while a quorum repeats `proposal`: when the decision is made at the latest.
    pub decide_at: Option<Instant>,
}

/// A round in which a change of members is under way is given up after so many of the shortest times between repeats.
const IN_VAIN_REPEATS: i64 = 7;

/// Whether a server's own list is enough in this round: lists on its disk may be outdated, and others say so only to a leader.
fn is_own_list_enough(round: i64) -> bool {
    round % 4 == 0
}

/// Whether a server stands for election, and what it votes by itself.
#[derive(Clone, Copy, Debug)]
enum Candidacy {
    Always(Vote),
    /// In even rounds.
    Sometimes(Vote),
    Never(Vote),
}

/// Whether servers that are voters of the newer configuration only stand for election.
fn admits_new_voters(round: i64) -> bool {
    round % 2 == 0
}

impl Candidacy {
    fn vote(self, round: i64) -> Vote {
        match self {
            Self::Sometimes(vote) if !admits_new_voters(round) => Vote { leader: ServerId::NONE, ..vote },
            Self::Always(vote) | Self::Sometimes(vote) | Self::Never(vote) => vote,
        }
    }
}

impl Looking {
    pub fn new(me: ServerId, begin: Begin, round: i64, is_first: bool, timing: Timing, now: Instant) -> Self {
        let Begin { last_zxid, epoch, role, standing, committed, last_seen, lists, last_elected, .. } = begin;
        let quorums = Quorums::new(&committed, last_seen.as_ref()).with_lists(&lists);
        let known = Vote { epoch, zxid: last_zxid, leader: me };
        let last = last_elected.unwrap_or(Elected { vote: known, round });
        // A server without a vote has nothing to abstain from.
        let can_vote = role == Role::Participant && quorums.is_voter(me);
        let standing = if can_vote { standing } else { Standing::Voter };
        // Without data there is no epoch either, whatever a file may say that survived.
        let nothing = Vote { epoch: Epoch::ZERO, zxid: Zxid::ZERO, leader: me };
        let has = if standing == Standing::Voter { known } else { nothing };
        let candidacy = match role {
            Role::Participant if quorums.stands_always(me) => Candidacy::Always(has),
            Role::Participant if quorums.may_stand(me, last_zxid) => Candidacy::Sometimes(has),
            Role::Participant if !quorums.is_voter(me) => {
                Candidacy::Never(Vote { leader: ServerId::NONE, ..has })
            }
            // It keeps nobody from anything.
            Role::Participant | Role::Observer => Candidacy::Never(Vote::NONE),
        };
        let own = candidacy.vote(round);
        Self {
            me,
            role,
            timing,
            config_text: committed.to_string(),
            committed,
            last_seen,
            lists,
            quorums,
            is_first,
            last,
            began_as: standing,
            standing,
            candidacy,
            own,
            initial: own,
            proposal: own,
            round,
            this_round: Ballots::default(),
            established: Ballots::default(),
            heard: BTreeMap::new(),
            round_since: None,
            repeat_at: now.after_ms(timing.repeat_ms_min),
            repeat_ms: timing.repeat_ms_min,
            unheard: None,
            decide_at: None,
        }
    }

    /// The same servers under a newer version.
    pub fn renumber(&mut self, committed: &Configuration) {
        self.quorums = Quorums::new(committed, self.last_seen.as_ref()).with_lists(&self.lists);
        self.config_text = committed.to_string();
        self.committed = committed.clone();
    }

    /// Tells every voter, this one too, what is proposed.
    pub fn tell_all(&mut self, now: Instant, out: &mut Vec<Output>) {
        let frame = self.told();
        let voters = self.quorums.voters();
        out.extend(voters.into_iter().map(|to| Output::Send { to, frame: frame.clone() }));
        self.round_since.get_or_insert(now);
        self.repeat_at = now.after_ms(self.repeat_ms);
    }

    /// Nothing has come of the last one. Java connects to everybody only if none of its messages could be sent, and
    /// else repeats them; a link that stands is left alone either way.
    pub fn repeat(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.repeat_ms = (2 * self.repeat_ms).min(self.timing.repeat_ms_max);
        // By then everybody who is there has long been heard.
        let is_long = |since: Instant| since.after_ms(IN_VAIN_REPEATS * self.timing.repeat_ms_min) <= now;
        let is_in_vain = self.round_since.is_some_and(is_long);
        if is_in_vain && self.has_voice() && self.quorums.is_changing() {
            self.enter_round(self.round.saturating_add(1));
            self.propose(self.initial);
        }
        self.tell_all(now, out);
        out.push(Output::ConnectAll);
        self.tell_of_silence(out);
    }

    /// Why nothing has come of it may be that this server does not count.
    fn tell_of_silence(&mut self, out: &mut Vec<Output>) {
        let is_unheard = |voter: &ServerId| !self.heard.get(voter).is_some_and(Heard::is_part_of_chorus);
        let unheard = match self.standing {
            Standing::Voter => return,
            Standing::Empty => self.others().filter(is_unheard).collect::<Vec<_>>(),
            Standing::Lost => Vec::new(),
        };
        if self.unheard.as_ref() == Some(&unheard) {
            return;
        }
        self.unheard = Some(unheard.clone());
        if self.standing == Standing::Lost || !unheard.is_empty() {
            out.push(Output::Voiceless { standing: self.standing, unheard });
        }
    }

    /// Somebody can be heard who could not: things may move again.
    pub fn on_link_up(&mut self, now: Instant) {
        self.repeat_ms = self.timing.repeat_ms_min;
        self.repeat_at = self.repeat_at.min(now.after_ms(self.repeat_ms));
    }

    pub fn on_notification(
        &mut self,
        now: Instant,
        from: ServerId,
        notification: &Notification<'_>,
        contacts: &mut Contacts,
        out: &mut Vec<Output>,
    ) -> Option<Decision> {
        let is_fresh = contacts.on_message(from);
        if !self.quorums.is_voter(from) {
            // One's own vote may come back when one is no voter any more, and an answer to that would, too.
            if from != self.me {
                let frame = frame(PeerState::Looking, self.last.vote, self.round, &self.config_text);
                out.push(Output::Send { to: from, frame });
            }
            return None;
        }
        let ballot = Ballot::of(notification);
        let before = self.heard.insert(from, Heard { ballot, is_fresh });
        let is_old = !self.has_voice() && !is_fresh;
        let is_looking = ballot.state == PeerState::Looking;
        // To who has no vote nobody listens; each would answer the other for ever. So would who has one with whoever has not heard
        // of that: the same word over the same connection has been answered. Who abstains asks for an answer by that.
        let counts = self.has_voice() && self.quorums.is_voter(self.me);
        let is_answered = is_fresh && !is_abstention(&ballot) && before.is_some_and(|it| it.ballot == ballot);
        let is_behind = counts && is_looking && ballot.round < self.round && !is_answered;
        if from != self.me && (is_behind || is_old && contacts.is_up(from)) {
            out.push(Output::Send { to: from, frame: self.told() });
        }
        if from != self.me && from == self.proposal.leader && is_abstention(&ballot) {
            self.withdraw(now, out);
        }
        if is_old || !self.quorums.is_voter(ballot.vote.leader) {
            if is_looking && !is_abstention(&ballot) && !is_old {
                self.catch_up(now, ballot.round, out);
            }
            return None;
        }
        match ballot.state {
            PeerState::Looking => self.on_vote(now, from, ballot, out),
            PeerState::Following | PeerState::Leading => return self.on_established(from, ballot),
            PeerState::Observing => (),
        }
        None
    }

    fn on_vote(&mut self, now: Instant, from: ServerId, ballot: Ballot, out: &mut Vec<Output>) {
        if !self.has_voice() || is_abstention(&ballot) || ballot.round < self.round {
            return;
        }
        if self.round < ballot.round {
            self.enter_round(ballot.round);
            self.propose(if self.is_better(ballot.vote, self.initial) { ballot.vote } else { self.initial });
            self.tell_all(now, out);
        } else if self.is_better(ballot.vote, self.proposal) {
            self.propose(ballot.vote);
            self.tell_all(now, out);
        }
        self.this_round.insert(from, Ballot { version: 0, ..ballot });
    }

    /// A voter that votes for nobody, or for somebody who is none as far as is known here, has a round all the same. Its next vote
    /// is for one of those that it hears in that round: if nobody came there, it would wait for ever.
    fn catch_up(&mut self, now: Instant, round: i64, out: &mut Vec<Output>) {
        if self.has_voice() && self.round < round {
            self.enter_round(round);
            self.propose(self.initial);
            self.tell_all(now, out);
        }
    }

    /// The server that is proposed says that it has no data: the votes for it are of a time before its loss. Without
    /// it there may be no quorum that could find out by following it, so the votes start anew.
    fn withdraw(&mut self, now: Instant, out: &mut Vec<Output>) {
        (self.standing, self.initial) = (self.began_as, self.own);
        self.enter_round(self.round.saturating_add(1));
        self.propose(self.initial);
        self.tell_all(now, out);
    }

    /// Java's `receivedFollowingNotification`.
    fn on_established(&mut self, from: ServerId, ballot: Ballot) -> Option<Decision> {
        if ballot.round == self.round {
            self.this_round.insert(from, Ballot { version: 0, ..ballot });
            if let Some(electing) = self.join(ballot, &self.this_round) {
                return Some(self.decision(ballot, electing));
            }
        }
        self.established.insert(from, ballot);
        let electing = self.join(ballot, &self.established)?;
        self.round = ballot.round;
        Some(self.decision(ballot, electing))
    }

    /// The quorum that has this leader, if the leader says so too (ZOOKEEPER-3537: on the same occasion). A change that this
    /// server has heard of has no say: it may have come to nothing, and whether the leader may lead is for discovery to see.
    /// (Java asks for both quorums, and stays out for ever if its own vote would be needed for one.)
    fn join(&self, ballot: Ballot, ballots: &Ballots) -> Option<BTreeSet<ServerId>> {
        let electing = ballots.supporters(&ballot);
        let leader = ballot.vote.leader;
        let leader_agrees = if leader == self.me {
            self.has_voice() && ballot.round == self.round && ballot.vote.zxid <= self.own.zxid
        } else {
            ballots.is_leading(leader)
        };
        let leader_agrees = leader_agrees || is_on(Mutation::LeaderClaimBelieved);
        // Who follows may know fewer lists, and has asked for less.
        let is_enough = if leader == self.me {
            self.quorums.holds_for_lists(&electing)
                || is_own_list_enough(self.round) && self.quorums.committed().has_quorum(&electing)
        } else {
            self.quorums.may_be_led_by(&electing)
        };
        (leader_agrees && is_enough).then_some(electing)
    }

    /// Looks whether an empty server may vote by now.
    pub fn find_voice(&mut self, now: Instant, out: &mut Vec<Output>) {
        if self.standing != Standing::Empty {
            return;
        }
        match chorus(self.others(), &self.heard) {
            Chorus::Discord if is_on(Mutation::EmptyMajorityElected) => (),
            Chorus::Discord => return,
            Chorus::Unison(ballot) if self.is_of_the_past(ballot.vote) => return,
            Chorus::Silence => (),
            Chorus::Unison(ballot) => {
                self.enter_round(ballot.round);
                self.initial = if self.is_better(self.own, ballot.vote) { self.own } else { ballot.vote };
            }
        }
        self.standing = Standing::Voter;
        self.propose(self.initial);
        self.tell_all(now, out);
        for (voter, heard) in &self.heard {
            if heard.ballot.round == self.round && !heard.abstains() {
                self.this_round.insert(*voter, Ballot { version: 0, ..heard.ballot });
            }
        }
    }

    /// The decision, if a quorum repeats the proposal and nobody is worth waiting for any more.
    pub fn decide(&mut self, now: Instant, contacts: &Contacts) -> Option<Decision> {
        let reference =
            Ballot { vote: self.proposal, round: self.round, state: PeerState::Looking, version: 0 };
        let electing = self.this_round.supporters(&reference);
        let is_quorum = self.quorums.has_quorum(&electing)
            || is_own_list_enough(self.round) && self.quorums.has_quorum_by_itself(&electing);
        if !self.has_voice() || !is_quorum {
            self.decide_at = None;
            return None;
        }
        let decide_at = *self.decide_at.get_or_insert(now.after_ms(self.timing.finalize_ms));
        let is_awaited = |voter: &ServerId| {
            (self.is_first || contacts.is_up(*voter)) && !self.is_settled(*voter, &reference)
        };
        (decide_at <= now || !self.others().any(|voter| is_awaited(&voter)))
            .then(|| self.decision(reference, electing))
    }

    /// Whether this voter will not change the outcome, as far as it was heard.
    fn is_settled(&self, voter: ServerId, reference: &Ballot) -> bool {
        self.heard.get(&voter).is_some_and(|heard| {
            let is_looking = heard.ballot.state == PeerState::Looking;
            !is_looking || heard.will_not_vote() || heard.ballot.is_same(reference)
        })
    }

    fn decision(&self, ballot: Ballot, electing: BTreeSet<ServerId>) -> Decision {
        let role = match self.role {
            _ if ballot.vote.leader == self.me => PeerState::Leading,
            Role::Participant => PeerState::Following,
            Role::Observer => PeerState::Observing,
        };
        let elected = Elected { vote: ballot.vote, round: ballot.round };
        Decision { elected, role, electing, has_voice: self.has_voice() }
    }

    fn enter_round(&mut self, round: i64) {
        self.round = round;
        self.round_since = None;
        self.this_round.clear();
        let own = self.candidacy.vote(round);
        if self.initial == self.own {
            self.initial = own;
        }
        self.own = own;
    }

    fn propose(&mut self, vote: Vote) {
        self.proposal = vote;
        self.decide_at = None;
    }

    fn is_better(&self, vote: Vote, than: Vote) -> bool {
        if is_on(Mutation::LargerIdWins) {
            return than.leader < vote.leader;
        }
        let may_stand = self.quorums.stands_always(vote.leader) || admits_new_voters(self.round);
        than < vote && may_stand && self.quorums.may_lead(vote.leader) && !self.is_of_the_past(vote)
    }

    /// Whether a vote remembers what a server had before it lost its data: this one, or one that says so itself.
    fn is_of_the_past(&self, vote: Vote) -> bool {
        let abstains = || self.heard.get(&vote.leader).is_some_and(Heard::abstains);
        if vote.leader == self.me { vote != self.own } else { abstains() }
    }

    fn has_voice(&self) -> bool {
        self.standing == Standing::Voter
    }

    /// The voters that count, without this one.
    pub fn others(&self) -> impl Iterator<Item = ServerId> {
        self.quorums.voters().into_iter().filter(|id| *id != self.me && self.quorums.counts(*id))
    }

    fn told(&self) -> bytes::Bytes {
        let (vote, round) = if self.has_voice() {
            (self.proposal, self.round)
        } else {
            (Vote { zxid: ABSTENTION, ..self.own }, self.standing.round_of_abstention())
        };
        frame(PeerState::Looking, vote, round, &self.config_text)
    }

    pub fn assert_invariants(&self) {
        let is_sane = self.initial <= self.proposal || is_on(Mutation::LargerIdWins);
        assert!(is_sane, "a server supports less than it has itself");
        assert!(self.has_voice() || self.proposal == self.own, "who abstains proposes nobody");
        assert!(
            self.proposal.leader != self.me || self.proposal == self.own,
            "it would lead with what it has not"
        );
        assert!(self.decide_at.is_none() || self.has_voice(), "who abstains decides nothing by votes");
    }
}

fn is_abstention(ballot: &Ballot) -> bool {
    ballot.state == PeerState::Looking && ballot.vote.zxid == ABSTENTION
}
