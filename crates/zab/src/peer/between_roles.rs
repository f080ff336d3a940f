//! From the end of a role to the next one: settling, looking for a leader, and taking the role that was decided.

use std::collections::BTreeSet;

use zabd_jute::quorum::{LearnerKind, PeerState, Role};
use zabd_jute::{ConfigVersion, ServerId, Zxid};

use super::{Caller, EARLY_VOTE_MS, Peer, REST_MS_MAX, REST_MS_MIN, State};
use crate::effect::{Effect, Effects, Instant, Reason};
use crate::election::{self, Answers, Begin, Decision, Elected, Standing, Vote};
use crate::leader::backing::patience_ms;
use crate::leader::{self, Leader};
use crate::learner::{self, Learner};
use crate::observers::ObserverMaster;
use crate::quorum::Lists;

impl Peer {
    /// The disk is done: what this server has is known, and it may vote.
    pub(super) fn on_settled(&mut self, now: Instant, last: Zxid, out: &mut Effects) {
        let State::Settling(reason) = &self.state else { return };
        let history = self.history.as_ref().expect("no role has the history");
        assert_eq!(history.last(), last, "what is in memory is not what is on disk");
        // What it has logged or joined since is something to testify to, as after a start. A part of what a leader was sending is
        // not: what this server once had may be in the rest. Nor is an epoch that it came with: its file may have survived the logs.
        if self.standing == Standing::Empty && !self.is_partial && (self.has_joined || Zxid::ZERO < last) {
            self.standing = Standing::Voter;
        }
        match *reason {
            Some(Reason::Reconfigured { leader }) => self.take_role_without_election(now, leader, out),
            _ => match self.rest_ms() {
                0 => self.look(now),
                ms => self.state = State::Resting(now.after_ms(ms)),
            },
        }
    }

    fn rest_ms(&self) -> i64 {
        match self.rejections {
            0 | 1 => 0,
            more => REST_MS_MAX.min(REST_MS_MIN << (more - 2).min(10)),
        }
    }

    pub(super) fn look(&mut self, now: Instant) {
        self.state = State::Looking;
        self.callers.values_mut().for_each(|caller| caller.since = now);
        let last_elected = self.answers.take().map(|answers| answers.elected());
        let begin = Begin {
            last_zxid: self.last_zxid(),
            epoch: self.current,
            role: if self.is_observer() { Role::Observer } else { Role::Participant },
            standing: self.standing,
            committed: self.configuration.clone(),
            last_seen: self.next.clone(),
            lists: self.lists_that_count(),
            adopts_configs: self.reconfig,
            last_elected,
        };
        self.election.step(now, election::Input::Begin(Box::new(begin)), &mut self.election_outputs);
        let fresh = std::mem::take(&mut self.early).into_iter();
        let fresh = fresh.filter(|(_, (came, _))| now <= came.after_ms(EARLY_VOTE_MS));
        self.delivered.extend(fresh.map(|(from, (_, content))| (from, content)));
    }

    fn last_zxid(&self) -> Zxid {
        self.history.as_ref().expect("no role has the history").last()
    }

    /// Members with a number outrank lists without one.
    fn lists_that_count(&self) -> Lists {
        let is_numbered = self.reconfig && self.configuration.version() != ConfigVersion::ZERO;
        if is_numbered { Lists::default() } else { self.lists.clone() }
    }

    pub(super) fn is_observer(&self) -> bool {
        self.configuration.member(self.me).is_some_and(|member| !member.is_voter())
    }

    /// A reconfiguration has named the leader.
    fn take_role_without_election(&mut self, now: Instant, leader: ServerId, out: &mut Effects) {
        let round = self.answers.as_ref().map_or(0, |answers| answers.elected().round);
        let vote = Vote { epoch: self.current, zxid: self.last_zxid(), leader };
        let role = match leader == self.me {
            true => PeerState::Leading,
            false if self.is_observer() => PeerState::Observing,
            false => PeerState::Following,
        };
        let (elected, electing) = (Elected { vote, round }, BTreeSet::new());
        self.take_role(now, Decision { elected, role, electing, has_voice: true }, out);
    }

    pub(super) fn take_role(&mut self, now: Instant, decision: Decision, out: &mut Effects) {
        let Decision { elected, role, electing, has_voice } = decision;
        let (committed, next) = (&self.configuration, self.next.as_ref());
        let is_next_logged = next.is_some_and(|next| Some(next.version()) == self.logged_change);
        self.answers = Some(Answers::new(self.me, role, elected, committed, next));
        let mut history = self.history.take().expect("no role has the history");
        // All of it is on disk, committed or not. What a quorum was too slow for may be more than any link takes at once: left in
        // memory, it would be sent in one piece, and the link closed for it, in each reign anew.
        history.trim(history.last());
        let observing_callers = std::mem::take(&mut self.observing_callers);
        if role == PeerState::Leading {
            self.asked = Some((now.after_ms(patience_ms(self.timing)), electing.clone()));
            out.list.extend(observing_callers.into_keys().map(|link| Effect::Close { link }));
            let start = leader::Start {
                me: self.me,
                timing: self.timing,
                limits: self.limits,
                accepted: self.accepted,
                current: self.current,
                configuration: self.configuration.clone(),
                next: self.next.clone(),
                is_next_logged,
                lists: self.lists_that_count(),
                reconfig: self.reconfig,
                history,
                electing,
                testing: self.testing,
            };
            let mut leader = Leader::new(now, start, out);
            for (link, Caller { said, .. }) in std::mem::take(&mut self.callers) {
                leader.step(now, leader::Input::Accepted { link }, out);
                let packets = said.into_iter().map(|packet| leader::Input::Packet { link, packet });
                packets.for_each(|input| leader.step(now, input, out));
            }
            self.state = State::Leading(Box::new(leader));
            return;
        }
        let misled = std::mem::take(&mut self.callers).into_keys();
        misled.for_each(|link| out.push(Effect::Close { link }));
        let kind = if role == PeerState::Observing { LearnerKind::Observer } else { LearnerKind::Follower };
        let start = learner::Start {
            me: self.me,
            leader: elected.vote.leader,
            kind,
            timing: self.timing,
            limits: self.limits,
            accepted: self.accepted,
            current: self.current,
            configuration: self.configuration.clone(),
            next: self.next.clone(),
            is_next_logged,
            lists: self.lists_that_count(),
            reconfig: self.reconfig,
            history,
            vouches: has_voice,
            begins_anew: self.standing != Standing::Voter,
            is_partial: self.is_partial,
            needs_snapshot: self.needs_snapshot,
            elected_with: (!electing.is_empty()).then_some((elected.vote.epoch, elected.vote.zxid)),
            dial: self.next_dial,
            testing: self.testing,
            masters: if kind == LearnerKind::Observer {
                self.masters(elected.vote.leader)
            } else {
                Vec::new()
            },
        };
        let machine = Box::new(Learner::new(now, start, out));
        let serves = self.observer_masters && kind == LearnerKind::Follower;
        let mut observers =
            serves.then(|| Box::new(ObserverMaster::new(now, self.me, self.timing, self.limits)));
        for (link, Caller { said, .. }) in observing_callers {
            let Some(observers) = &mut observers else {
                out.push(Effect::Close { link });
                continue;
            };
            observers.accept(now, link);
            for packet in said {
                observers.on_packet(now, link, &packet, &machine, out);
            }
        }
        self.state = State::Learning { machine, observers };
    }
}
