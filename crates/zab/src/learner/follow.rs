//! Following: proposals are logged and acknowledged, commits applied, pings answered.

use bytes::Bytes;
use zabd_jute::Zxid;
use zabd_jute::quorum::{FromLeader, FromLearner, LearnerKind, Touch};
use zabd_mutation::{Mutation, is_on};

use super::Learner;
use crate::effect::{Effect, Effects, Reason};

/// How many sessions one packet names: Java's leader takes any number of packets, and closes the connection over a field
/// that is longer than its `jute.maxbuffer`, 1 MiB, with all the learner's clients. A session takes 12 bytes.
const TOUCHED_MAX: usize = 50_000;

/// At least one portion, since an empty one is a sign of life as well.
fn portions(mut touched: Vec<Touch>) -> Vec<Vec<Touch>> {
    let mut portions = Vec::new();
    while TOUCHED_MAX < touched.len() {
        let rest = touched.split_off(TOUCHED_MAX);
        portions.push(std::mem::replace(&mut touched, rest));
    }
    portions.push(touched);
    portions
}

impl Learner {
    pub(super) fn on_follow(&mut self, packet: &Bytes, decoded: &FromLeader<'_>, out: &mut Effects) {
        let is_follower = self.kind == LearnerKind::Follower;
        match *decoded {
            FromLeader::Proposal { zxid, txn } if is_follower => {
                self.on_proposal(zxid, packet.slice_ref(txn), out);
            }
            FromLeader::Commit { zxid } if is_follower => self.on_commit(zxid, out),
            FromLeader::CommitAndActivate { zxid, leader } => {
                self.on_commit(zxid, out);
                self.activate(zxid, leader, out);
            }
            FromLeader::Inform { zxid, txn } => self.on_inform(zxid, packet.slice_ref(txn), out),
            FromLeader::InformAndActivate { zxid, leader, txn } => {
                self.on_inform(zxid, packet.slice_ref(txn), out);
                self.activate(zxid, leader, out);
            }
            FromLeader::Ping { zxid } => out.push(Effect::Ping { zxid }),
            FromLeader::Sync => out.push(Effect::Synchronised),
            FromLeader::Revalidate { session, is_valid } => {
                out.push(Effect::Revalidated { session, is_valid });
            }
            // A second UPTODATE says nothing new, and the handshake is over.
            _ => (),
        }
    }

    fn on_proposal(&mut self, zxid: Zxid, entry: Bytes, out: &mut Effects) {
        if !self.goes_on_with(zxid) {
            self.leave(Reason::LeaderBroken("a proposal is missing from what the leader sends"), out);
            return;
        }
        self.note_change(zxid, &entry);
        self.owed.push_back(zxid);
        self.log(zxid, entry, out);
        if is_on(Mutation::AckBeforeSync) {
            self.acknowledge(zxid, out);
        }
        if is_on(Mutation::ProposalShown) {
            out.push(Effect::Commit { upto: zxid });
        }
    }

    fn on_commit(&mut self, zxid: Zxid, out: &mut Effects) {
        if zxid <= self.committed {
            return;
        }
        let next = self.history.behind(self.committed).next().map(|logged| logged.zxid);
        // What this server came with may be older than what is in memory.
        if next != Some(zxid) && self.came_with < zxid {
            self.leave(Reason::LeaderBroken("commits out of order"), out);
            return;
        }
        self.committed = zxid;
        self.consider_serving(out);
        out.push(Effect::Commit { upto: zxid });
        // What is owed is not on disk yet, from which whatever memory lets go of is read.
        let on_disk = self.owed.front().map_or(zxid, |first| zxid.min(Zxid(first.0 - 1)));
        self.history.trim(on_disk);
    }

    fn on_inform(&mut self, zxid: Zxid, entry: Bytes, out: &mut Effects) {
        if zxid <= self.committed {
            return;
        }
        if !self.goes_on_with(zxid) {
            self.leave(Reason::LeaderBroken("a transaction is missing from what the leader sends"), out);
            return;
        }
        self.note_change(zxid, &entry);
        self.log(zxid, entry, out);
        self.on_commit(zxid, out);
    }

    /// Clients are served as soon as nothing that the tree shows can be taken back. An epoch's first position is
    /// given only to what is committed.
    pub(super) fn consider_serving(&mut self, out: &mut Effects) {
        let is_committed = self.came_with <= self.committed || self.came_with.counter() == 0;
        if !self.is_serving && is_committed {
            self.is_serving = true;
            out.push(Effect::Serve { epoch: self.epoch, leader: self.leader });
        }
    }

    /// Signs of life: of this server, and of the sessions that it heard of.
    pub(super) fn pong(&mut self, zxid: Zxid, touched: Vec<Touch>, out: &mut Effects) {
        for touched in portions(touched) {
            self.send(&FromLearner::Ping { zxid, touched }, out);
        }
    }

    /// Acknowledges what is durable now; an observer is not asked to.
    pub(super) fn acknowledge(&mut self, upto: Zxid, out: &mut Effects) {
        while let Some(zxid) = self.owed.pop_front_if(|zxid| *zxid <= upto) {
            if self.kind == LearnerKind::Follower {
                self.send(&FromLearner::Ack { zxid }, out);
            }
        }
    }

    /// Whether what this server is, is what the configuration says. Who is in none of its lines follows without a vote.
    pub(super) fn has_role(&self) -> bool {
        let observes = self.configuration.member(self.me).is_some_and(|member| !member.is_voter());
        observes == (self.kind == LearnerKind::Observer)
    }
}

#[cfg(test)]
mod tests {
    use zabd_jute::{SessionId, Writer};

    use super::*;

    #[test]
    fn more_sessions_than_a_packet_may_name_go_in_several() {
        let touch = |number: usize| Touch { session: SessionId(number as i64), timeout_ms: 4000 };
        for (count, packets) in
            [(0, 1), (1, 1), (TOUCHED_MAX, 1), (TOUCHED_MAX + 1, 2), (3 * TOUCHED_MAX + 7, 4)]
        {
            let touched: Vec<_> = (0..count).map(touch).collect();
            let portions = portions(touched.clone());
            assert_eq!(portions.len(), packets);
            assert_eq!(portions.concat(), touched);
            for touched in portions {
                let mut bytes = Vec::new();
                FromLearner::Ping { zxid: Zxid(1), touched }.encode(&mut Writer::new(&mut bytes));
                assert!(bytes.len() < 1 << 20, "Java's jute.maxbuffer");
            }
        }
    }
}
