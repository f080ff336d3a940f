//! What a server has to do with observers, or as one, beside what a leader has.

use zabd_jute::ServerId;
use zabd_jute::quorum::Member;

use super::{CALLERS_MAX, Caller, Peer, State};
use crate::effect::{Effect, Effects, Instant, LinkId};
use crate::leader;

/// Java's learner gives a port up after so many attempts.
const ATTEMPTS: i64 = 5;

impl Peer {
    /// Only a follower serves observers; who is none yet may become one.
    pub(super) fn on_observer_accepted(&mut self, now: Instant, link: LinkId, out: &mut Effects) {
        match &mut self.state {
            State::Learning { observers: Some(observers), .. } => observers.accept(now, link),
            State::Settling(_) | State::Resting(_) | State::Looking
                if self.observer_masters && self.observing_callers.len() < CALLERS_MAX =>
            {
                self.observing_callers.insert(link, Caller { since: now, said: Vec::new() });
            }
            _ => out.push(Effect::Close { link }),
        }
    }

    /// Observers look elsewhere when this server has no leader for long: others may have one.
    pub(super) fn dismiss_observers(&mut self, now: Instant, out: &mut Effects) {
        let patience_ms = self.observer_patience_ms();
        let is_due = |caller: &Caller| caller.since.after_ms(patience_ms) <= now;
        let due = self.observing_callers.extract_if(.., |_, caller| is_due(caller));
        due.for_each(|(link, _)| out.push(Effect::Close { link }));
    }

    /// When one of them does.
    pub(super) fn next_observer_dismissal(&self) -> Option<Instant> {
        let patience_ms = self.observer_patience_ms();
        self.observing_callers.values().map(|caller| caller.since.after_ms(patience_ms)).min()
    }

    /// As long as a learner goes on knocking at a closed port, which a Java follower's is until it follows.
    fn observer_patience_ms(&self) -> i64 {
        ATTEMPTS * self.timing.pause_ms()
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

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::Input;
    use super::super::tests::Lone;
    use super::*;

    /// Server 1 may have a leader meanwhile, and this one none for as long as its disk is full. Observers were held until they had waited for
    /// `initLimit` themselves.
    #[test]
    fn observers_of_a_server_without_a_leader_are_sent_on() {
        let mut lone = Lone::new();
        lone.peer.observer_masters = true;
        let observer = LinkId(7);
        let closed = |lone: &Lone| {
            let mut effects = lone.out.list.iter();
            effects.any(|effect| matches!(effect, Effect::Close { link } if *link == observer))
        };
        let calls_at = lone.now;
        lone.step(Input::ObserverAccepted { link: observer });
        lone.step(Input::Packet { link: observer, packet: Bytes::from_static(b"who it is") });
        assert!(!closed(&lone), "it may follow a leader soon");
        let until = calls_at.after_ms(500);
        assert!(lone.peer.next_timer().is_some_and(|timer| timer <= until));
        lone.now = until;
        lone.step(Input::Timer);
        assert!(closed(&lone));
        assert!(lone.peer.observing_callers.is_empty());
    }
}
