//! Whether this server may vote.
//!
//! A vote is testimony: *a leader with this history has everything that I have ever acknowledged.* A server
//! whose disk is empty has nothing to testify, but it may have had: its disk may have been replaced. If its
//! vote counted as if it had always been empty, it could outvote, together with a server that was away, the
//! one that still has what was committed. So:
//!
//! - A server that **lost** its data never votes. It joins a leader whom the others have made.
//! - An **empty** server abstains, until it has heard that every other voter is looking for a leader too, and
//!   that all of them that vote, vote the same in the same round. Then it joins them. It so completes a
//!   decision that everybody with data has agreed on, and can never replace one of them: three empty servers
//!   elect a leader, two empty ones help the one that has data, and one empty one waits with a second one
//!   until the third is there.
//!
//! An empty server that has joined is empty until it has acknowledged all that its leader has: a part of that need not hold
//! what it once had, and with a part it would outvote those who have the rest. So the part is marked on its disk, before any of
//! it is there ([`crate::effect::Durable::Partial`]).
//!
//! An epoch without a transaction is no testimony: its file may have survived the logs, on another disk. It is one if it was
//! joined since the server was started, or if the empty log is there that was begun then; to look for that is the business of
//! whoever starts it.
//!
//! To abstain is to send a vote with zxid −1, which Java ignores as a vote (ZOOKEEPER-261) and answers. It is
//! sent in round 0, before everybody's first, so that it is answered by all who look for a leader as well.
//! A server that lost its data says so with round −1: nobody knows what it had, so as long as this is all that
//! is heard of a voter, an empty server waits.
//!
//! What may be older than its connection ([`super::contacts`]) does not count for a server without a voice; its
//! sender is asked again. An old «I am looking» of a server that has a leader and more data by now would be
//! false testimony. An old «I follow 3» could lead it to a leader whom all others have left: it has forgotten
//! what it promised to others, so its support could make two leaders' followers a quorum each.
//!
//! Voters of weight 0 testify to nothing and are not waited for. Java servers with an empty disk vote
//! as they like.

use std::collections::BTreeMap;

use zabd_jute::quorum::PeerState;
use zabd_jute::{ServerId, Zxid};

use super::vote::Ballot;

/// What this server's data is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has everything that it ever acknowledged, or an operator said that nothing is what it should have
    /// (Java's `initialize` file).
    Voter,
    /// It has no transaction, and nothing shows that it never had one. Or it has a part of what a leader was sending to it when
    /// it had none.
    Empty,
    /// It had data, and what it had was damaged and set aside.
    Lost,
}

impl Standing {
    /// In the place of the round of a server that abstains.
    pub(super) fn round_of_abstention(self) -> i64 {
        if self == Standing::Lost { ROUND_WHEN_LOST } else { ROUND_WHEN_EMPTY }
    }
}

/// In the place of a vote's zxid: no vote.
pub const ABSTENTION: Zxid = Zxid(-1);
/// In the place of its round: before everybody's first.
const ROUND_WHEN_EMPTY: i64 = 0;
/// The same, from a server that had something.
const ROUND_WHEN_LOST: i64 = -1;

/// What a voter said last in this election.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard {
    pub ballot: Ballot,
    /// Whether it is surely not older than the connection over which it came.
    pub is_fresh: bool,
}

impl Heard {
    pub fn abstains(&self) -> bool {
        self.ballot.vote.zxid == ABSTENTION
    }

    /// Whether it looks for a leader too, and what it says can be listened to.
    pub fn is_part_of_chorus(&self) -> bool {
        // Java's servers without data abstain in their real rounds.
        let has_lost = self.abstains() && self.ballot.round <= ROUND_WHEN_LOST;
        self.is_fresh && self.ballot.state == PeerState::Looking && !has_lost
    }

    /// Whether it abstains for good, not only until it has heard everybody.
    pub fn will_not_vote(&self) -> bool {
        self.abstains() && self.ballot.round != ROUND_WHEN_EMPTY
    }
}

/// What the others say together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chorus {
    /// One is missing, or they do not agree.
    Discord,
    /// All look for a leader, and nobody has anything to testify.
    Silence,
    /// All look for a leader, and whoever votes, votes this.
    Unison(Ballot),
}

/// Listens to the voters that count, except oneself.
pub(super) fn chorus(
    others: impl IntoIterator<Item = ServerId>,
    heard: &BTreeMap<ServerId, Heard>,
) -> Chorus {
    let mut chorus = Chorus::Silence;
    for other in others {
        let Some(heard) = heard.get(&other).filter(|heard| heard.is_part_of_chorus()) else {
            return Chorus::Discord;
        };
        if heard.abstains() {
            continue;
        }
        match chorus {
            Chorus::Unison(ballot) if !ballot.is_same(&heard.ballot) => return Chorus::Discord,
            _ => chorus = Chorus::Unison(heard.ballot),
        }
    }
    chorus
}

#[cfg(test)]
mod tests {
    use zabd_jute::Epoch;

    use super::super::vote::Vote;
    use super::*;

    fn heard(state: PeerState, zxid: i64, leader: i64, round: i64) -> Heard {
        let vote = Vote { epoch: Epoch(0), zxid: Zxid(zxid), leader: ServerId(leader) };
        Heard { ballot: Ballot { vote, round, state, version: 2 }, is_fresh: true }
    }

    fn listen(voices: &[(i64, Heard)]) -> Chorus {
        let heard = voices.iter().map(|(id, heard)| (ServerId(*id), *heard)).collect();
        chorus([ServerId(2), ServerId(3)], &heard)
    }

    #[test]
    fn everybody_must_be_heard_looking_and_agree() {
        let looking = |zxid, leader, round| heard(PeerState::Looking, zxid, leader, round);
        let vote = looking(7, 3, 1);
        assert_eq!(listen(&[(2, vote), (3, vote)]), Chorus::Unison(vote.ballot));
        assert_eq!(listen(&[(2, looking(-1, 2, 0)), (3, vote)]), Chorus::Unison(vote.ballot));
        assert_eq!(listen(&[(2, looking(-1, 2, 0)), (3, looking(-1, 3, 0))]), Chorus::Silence);
        for other in [looking(7, 2, 1), looking(7, 3, 2), looking(6, 3, 1)] {
            assert_eq!(listen(&[(2, other), (3, vote)]), Chorus::Discord);
        }
        for state in [PeerState::Following, PeerState::Leading, PeerState::Observing] {
            assert_eq!(listen(&[(2, vote), (3, heard(state, 7, 3, 1))]), Chorus::Discord);
        }
        assert_eq!(listen(&[(2, vote)]), Chorus::Discord, "3 was not heard");
        assert_eq!(listen(&[(2, vote), (3, Heard { is_fresh: false, ..vote })]), Chorus::Discord);
        assert_eq!(listen(&[(2, vote), (3, looking(-1, 3, -1))]), Chorus::Discord, "3 had something");
    }

    #[test]
    fn whoever_is_alone_hears_silence() {
        assert_eq!(chorus([], &BTreeMap::new()), Chorus::Silence);
    }
}
