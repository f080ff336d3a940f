//! Votes: which is better, and which two are the same.
//!
//! A vote names a server and how far its history goes. The better vote is the one for the longer history;
//! ids only break ties. So whoever wins a quorum's votes has seen at least as much as each voter of that
//! quorum, and therefore everything that any quorum has ever committed.
//!
//! When votes are the same depends on who says them. Among servers that look for a leader everything must
//! match. Servers that have a leader may remember the election that made it differently, and the epoch only
//! once it is established, so of theirs only leader and epoch are compared, and only the leader if one of
//! the two comes from a server too old to know.

use std::collections::{BTreeMap, BTreeSet};

use zabd_jute::quorum::{Notification, PeerState};
use zabd_jute::{Epoch, ServerId, Zxid};

/// For whom. The order of the fields *is* the order of votes: epoch, then history, then id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Vote {
    /// The epoch whose whole initial history the server has.
    pub epoch: Epoch,
    /// The last transaction in its log, committed or not.
    pub zxid: Zxid,
    /// The server.
    pub leader: ServerId,
}

impl Vote {
    /// The vote of a server that cannot be elected: any other is better.
    pub const NONE: Vote = Vote { epoch: Epoch::NONE, zxid: Zxid::NONE, leader: ServerId::NONE };

    /// The vote in a notification.
    pub fn of(notification: &Notification<'_>) -> Self {
        Self { epoch: notification.epoch, zxid: notification.zxid, leader: notification.leader }
    }
}

/// A vote and the circumstances under which it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ballot {
    /// For whom.
    pub vote: Vote,
    /// In which round, or in which the leader was elected.
    pub round: i64,
    /// What the voter was doing.
    pub state: PeerState,
    /// How the voter writes: above 0 since 3.5.
    pub version: i32,
}

impl Ballot {
    /// As it arrived.
    pub fn of(notification: &Notification<'_>) -> Self {
        let Notification { state, round, version, .. } = *notification;
        Self { vote: Vote::of(notification), round, state, version }
    }

    /// Java's `Vote.equals`.
    pub fn is_same(&self, other: &Ballot) -> bool {
        if self.state == PeerState::Looking || other.state == PeerState::Looking {
            return self.vote == other.vote && self.round == other.round;
        }
        let both_know_the_epoch = (0 < self.version) == (0 < other.version);
        self.vote.leader == other.vote.leader && (!both_know_the_epoch || self.vote.epoch == other.vote.epoch)
    }
}

/// The last ballot of each voter, as far as it matters here.
#[derive(Clone, Debug, Default)]
pub struct Ballots {
    by_voter: BTreeMap<ServerId, Ballot>,
}

impl Ballots {
    /// Replaces what the voter said before.
    pub fn insert(&mut self, voter: ServerId, ballot: Ballot) {
        self.by_voter.insert(voter, ballot);
    }

    /// Forgets everything: the round is over.
    pub fn clear(&mut self) {
        self.by_voter.clear();
    }

    /// Who said the same.
    pub fn supporters(&self, ballot: &Ballot) -> BTreeSet<ServerId> {
        let supporters = self.by_voter.iter().filter(|(_, other)| ballot.is_same(other));
        supporters.map(|(voter, _)| *voter).collect()
    }

    /// Whether a server was heard to be leading.
    pub fn is_leading(&self, server: ServerId) -> bool {
        self.by_voter.get(&server).is_some_and(|ballot| ballot.state == PeerState::Leading)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vote(epoch: i64, zxid: i64, leader: i64) -> Vote {
        Vote { epoch: Epoch(epoch), zxid: Zxid(zxid), leader: ServerId(leader) }
    }

    #[test]
    fn longer_history_beats_larger_id() {
        let ascending = [
            Vote::NONE,
            vote(0, 0, i64::MIN),
            vote(0, 0, 1),
            vote(0, 0, 2),
            vote(0, 7, 1),
            vote(1, 5, 3),
            vote(1, 6, 1),
        ];
        assert!(ascending.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn looking_votes_match_in_everything() {
        let ballot = |vote, round| Ballot { vote, round, state: PeerState::Looking, version: 0 };
        let reference = ballot(vote(1, 5, 3), 2);
        assert!(reference.is_same(&Ballot { version: 2, ..reference }));
        for other in [
            ballot(vote(1, 5, 3), 3),
            ballot(vote(1, 5, 2), 2),
            ballot(vote(1, 4, 3), 2),
            ballot(vote(0, 5, 3), 2),
        ] {
            assert!(!reference.is_same(&other));
            let established = Ballot { state: PeerState::Following, ..other };
            assert!(!reference.is_same(&established), "one that looks is enough to compare everything");
        }
    }

    #[test]
    fn established_votes_match_in_leader_and_epoch() {
        let ballot = |vote, version| Ballot { vote, round: 1, state: PeerState::Following, version };
        let reference = ballot(vote(1, 5, 3), 2);
        assert!(reference.is_same(&Ballot { round: 9, ..ballot(vote(1, 0, 3), 2) }));
        assert!(reference.is_same(&Ballot { state: PeerState::Leading, ..reference }));
        assert!(!reference.is_same(&ballot(vote(2, 5, 3), 2)));
        assert!(!reference.is_same(&ballot(vote(1, 5, 2), 2)));
        assert!(reference.is_same(&ballot(vote(2, 5, 3), 0)), "an old server does not know the epoch");
        assert!(!reference.is_same(&ballot(vote(1, 5, 2), 0)));
        assert!(!ballot(vote(1, 5, 3), 0).is_same(&ballot(vote(2, 5, 3), 0)), "two old ones agree or not");
    }
}
