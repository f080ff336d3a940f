//! What follows from a step: links, election and roles hear of each other, and what a role has decided concerns the server as
//! a whole.

use bytes::Bytes;
use zabd_jute::quorum::{Configuration, Notification, PeerState};
use zabd_jute::{ConfigVersion, ServerId};

use super::{Peer, State};
use crate::effect::{Durable, Effect, Effects, Instant, Note, Reason};
use crate::election::{self, Standing};
use crate::leader;
use crate::links::{self, Directory};
use crate::quorum::Lists;

impl Peer {
    /// Lets the machines hear of each other until nobody has anything to say, then looks at what was decided.
    pub(super) fn follow_up(&mut self, now: Instant, begin: usize, out: &mut Effects) {
        let mut seen = begin;
        loop {
            self.exchange(now, out);
            if seen == out.list.len() {
                return;
            }
            while seen < out.list.len() {
                self.note(now, seen, out);
                seen += 1;
            }
        }
    }

    /// Between links and election.
    fn exchange(&mut self, now: Instant, out: &mut Effects) {
        loop {
            let links: Vec<_> = self.link_outputs.drain(..).collect();
            let elections: Vec<_> = self.election_outputs.drain(..).collect();
            let delivered = self.delivered.pop_front();
            if links.is_empty() && elections.is_empty() && delivered.is_none() {
                return;
            }
            for output in links {
                self.on_link_output(now, output, out);
            }
            for output in elections {
                self.on_election_output(now, output, out);
            }
            if let Some((from, content)) = delivered {
                self.on_notification(now, from, &content, out);
            }
        }
    }

    fn on_link_output(&mut self, now: Instant, output: links::Output, out: &mut Effects) {
        let election_outputs = &mut self.election_outputs;
        match output {
            links::Output::Deliver { from, content } => self.delivered.push_back((from, content)),
            links::Output::LinkUp(server) => {
                self.election.step(now, election::Input::LinkUp(server), election_outputs);
            }
            links::Output::LinkDown(server) => {
                // What came over a connection that is gone may be older than what its sender is doing now.
                self.early.remove(&server);
                if let State::Leading(leader) = &mut self.state {
                    leader.step(now, leader::Input::Unheard { server }, out);
                }
                self.election.step(now, election::Input::LinkDown(server), election_outputs);
            }
            other => out.push(Effect::Link(other)),
        }
    }

    fn on_election_output(&mut self, now: Instant, output: election::Output, out: &mut Effects) {
        match output {
            election::Output::Send { to, frame } => {
                self.links.step(now, links::Input::Queue { to, frame }, &mut self.link_outputs);
            }
            election::Output::ConnectAll => {
                self.links.step(now, links::Input::ConnectAll, &mut self.link_outputs);
            }
            election::Output::AdoptConfig { config, is_restart } => {
                out.push(Effect::Persist(Durable::Configuration(config.clone())));
                self.hold(now, *config);
                if is_restart {
                    self.look(now);
                }
            }
            election::Output::Voiceless { standing, unheard } => {
                out.push(Effect::Note(Note::Voiceless { standing, unheard }));
            }
            election::Output::Decided(decision) => {
                let (leader, role) = (decision.elected.vote.leader, decision.role);
                out.push(Effect::Note(Note::Elected { leader, role }));
                self.take_role(now, decision, out);
            }
        }
    }

    fn on_notification(&mut self, now: Instant, from: ServerId, content: &Bytes, out: &mut Effects) {
        let Ok(notification) = Notification::decode(content) else { return };
        if matches!(self.state, State::Resting(_)) && notification.state == PeerState::Looking {
            self.look(now);
        }
        if matches!(self.state, State::Looking) {
            let input = election::Input::Notification { from, notification: &notification };
            self.election.step(now, input, &mut self.election_outputs);
            return;
        }
        if notification.state == PeerState::Looking {
            self.early.insert(from, (now, content.clone()));
        }
        if let (State::Leading(leader), Some(answers)) = (&mut self.state, &self.answers) {
            let word = answers.elected().word_of(&notification);
            leader.step(now, leader::Input::Voted { server: from, word }, out);
        }
        // Who has left its role and waits for the disk must not answer for it: an asker would join a leader that is none.
        let has_role = match &self.state {
            State::Leading(leader) => !leader.has_left(),
            state => matches!(state, State::Learning { .. }),
        };
        let answers = self.answers.as_ref().filter(|_| has_role);
        if let Some(frame) = answers.and_then(|answers| answers.answer(from, &notification)) {
            self.links.step(now, links::Input::Queue { to: from, frame }, &mut self.link_outputs);
        }
    }

    /// What a role has just decided, as far as it concerns the server as a whole.
    fn note(&mut self, now: Instant, place: usize, out: &mut Effects) {
        match &out.list[place] {
            Effect::Serve { epoch, .. } => {
                let epoch = *epoch;
                // Whatever it came with, it now has what its leader has.
                self.standing = Standing::Voter;
                self.asked = None;
                if self.is_partial {
                    out.push(Effect::Persist(Durable::Partial(false)));
                }
                self.needs_snapshot = false;
                self.rejections = 0;
                self.answers.iter_mut().for_each(|answers| answers.establish(epoch));
            }
            Effect::Persist(Durable::Configuration(configuration)) => {
                let configuration = configuration.clone();
                if self.reconfig && !self.lists.is_empty() && configuration.version() != ConfigVersion::ZERO {
                    out.push(Effect::Persist(Durable::Lists(Lists::default())));
                }
                if *configuration != self.configuration {
                    self.hold(now, *configuration);
                }
            }
            Effect::Persist(Durable::Lists(lists)) => self.lists = lists.clone(),
            Effect::Persist(Durable::Partial(is_partial)) => self.is_partial = *is_partial,
            Effect::Append { zxid, .. } => {
                let next = self.next.as_ref().map(Configuration::version);
                self.logged_change = next.filter(|next| *next == (*zxid).into()).or(self.logged_change);
            }
            Effect::Persist(Durable::NextConfiguration(next)) => {
                let is_newer = self.configuration.version() < next.version();
                self.next = is_newer.then(|| (**next).clone());
                self.tell_members(now);
            }
            Effect::Leave(reason) => {
                let reason = *reason;
                self.rejections += u32::from(is_rejection(reason));
                if let State::Learning { machine, observers, .. } = &mut self.state {
                    self.masters_tried += 1 + machine.attempts() as usize;
                    self.next_dial = machine.dial().next();
                    if let Some(observers) = observers {
                        observers.close_all(out);
                    }
                }
                self.leave(reason);
            }
            _ => (),
        }
    }

    fn leave(&mut self, reason: Reason) {
        self.needs_snapshot |= reason == Reason::CannotCut;
        self.asked = None;
        let next =
            if reason.is_retirement() { State::Retired(reason) } else { State::Settling(Some(reason)) };
        self.history = match std::mem::replace(&mut self.state, next) {
            State::Leading(leader) => Some(leader.into_history()),
            State::Learning { machine, .. } => Some(machine.into_history()),
            _ => self.history.take(),
        };
    }

    /// A configuration holds from now on.
    fn hold(&mut self, now: Instant, configuration: Configuration) {
        self.next = self.next.take().filter(|next| configuration.version() < next.version());
        self.configuration = configuration;
        self.tell_members(now);
    }

    fn tell_members(&mut self, now: Instant) {
        let (committed, next) = (&self.configuration, self.next.as_ref());
        let directory = Directory::new(self.me, committed, next);
        self.links.step(now, links::Input::Members(directory), &mut self.link_outputs);
        self.answers.iter_mut().for_each(|answers| answers.reconfigure(committed, next));
    }
}

/// Whether the next attempt may end in the same way at once.
fn is_rejection(reason: Reason) -> bool {
    use Reason::{EpochsUsedUp, LeaderBroken, LeaderClosed, LeaderSilent, StaleLeader, VotersTurnedAway};
    matches!(
        reason,
        StaleLeader | LeaderBroken(_) | LeaderClosed | LeaderSilent | EpochsUsedUp | VotersTurnedAway
    )
}
