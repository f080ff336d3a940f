//! What a server has to do with observers, or as one, beside what a leader has.

use zabd_jute::ServerId;
use zabd_jute::quorum::Member;

use super::{CALLERS_MAX, Peer, State};
use crate::effect::{Effect, Effects, Instant, LinkId};
use crate::leader;

impl Peer {
    /// Only a follower serves observers; who is none yet may become one.
    pub(super) fn on_observer_accepted(&mut self, now: Instant, link: LinkId, out: &mut Effects) {
        match &mut self.state {
            State::Learning { observers: Some(observers), .. } => observers.accept(now, link),
            State::Settling(_) | State::Resting(_) | State::Looking
                if self.observer_masters && self.observing_callers.len() < CALLERS_MAX =>
            {
                self.observing_callers.insert(link, Vec::new());
            }
            _ => out.push(Effect::Close { link }),
        }
    }

    /// How many observers this follower has brought into step, if it has a port for them.
    pub fn observers_in_step(&self) -> Option<usize> {
        match &self.state {
            State::Learning { observers: Some(observers), .. } => Some(observers.in_step()),
            _ => None,
        }
    }

    /// From whom a learner hears of transactions: its leader, or the follower that it observes.
    pub fn master(&self) -> Option<ServerId> {
        match &self.state {
            State::Learning { machine, .. } => Some(machine.master()),
            _ => None,
        }
    }

    /// What is for a leader is, in part, for whoever is in its place.
    pub(super) fn on_leader_input(&mut self, now: Instant, input: leader::Input, out: &mut Effects) {
        match (&mut self.state, input) {
            (State::Leading(leader), input) => leader.step(now, input, out),
            (State::Learning { machine, observers: Some(observers), .. }, input) => match input {
                leader::Input::LookedUp { link, is_found } => {
                    observers.on_looked_up(link, is_found, machine, out);
                }
                leader::Input::SnapshotBegun { link, zxid } => {
                    observers.on_snapshot_begun(link, zxid, machine, out);
                }
                leader::Input::Sent { link } => observers.on_sent(now, link),
                leader::Input::SnapshotFailed { link } => observers.on_snapshot_failed(link, out),
                _ => (),
            },
            _ => (),
        }
    }

    /// The followers that an observer asks before the leader, the first of them another one each time. Java's order
    /// is random; this one is not, and different observers begin with different followers all the same.
    pub(super) fn masters(&self, leader: ServerId) -> Vec<ServerId> {
        let voters = self.configuration.voters().map(Member::id);
        let mut masters: Vec<_> = voters.filter(|id| self.observer_masters && *id != leader).collect();
        if !masters.is_empty() {
            let turn = self.me.0.unsigned_abs() as usize % masters.len() + self.masters_tried;
            let count = masters.len();
            masters.rotate_left(turn % count);
        }
        masters
    }
}
