//! Why an election that goes on has come to nothing yet, for operators.
//!
//! Of each voter the last word counts, as long as there is a connection to it. Whoever has most of them behind it is compared
//! with what a quorum takes, in each configuration that has a say.

use zabd_jute::ServerId;
use zabd_jute::quorum::PeerState;

use super::contacts::Contacts;
use super::looking::Looking;
use super::voice::{Heard, Standing};
use super::vote::Ballot;
use crate::quorum::{Claim, Voters};

/// What a voter says about who is to lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Says {
    /// There is no connection to it.
    Unreached,
    /// It is connected and has not spoken.
    Nothing,
    /// It votes for this server; for [`ServerId::NONE`] while members change.
    VotesFor(ServerId),
    /// It has nothing, and votes when it has heard all others look for a leader too.
    Empty,
    /// It has lost what it had, or does not vote for another reason of its own.
    Abstains,
    /// It leads.
    Leads,
    /// It has this leader.
    Follows(ServerId),
}

/// How far the voters for one server are from a quorum of one configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortfall {
    /// Those who count.
    pub supporters: Vec<ServerId>,
    /// How many voters there are, and how many are needed; nothing if groups and weights decide that.
    pub majority: Option<(usize, usize)>,
    /// What this configuration's claim is.
    pub claim: Claim,
    /// Its voters.
    pub voters: Vec<ServerId>,
}

/// See the module's description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standstill {
    /// What this server says; nothing if it has no vote.
    pub own: Option<Says>,
    /// What the others that count say.
    pub others: Vec<(ServerId, Says)>,
    /// Who has most voters behind it.
    pub candidate: Option<ServerId>,
    /// Where that is no quorum.
    pub shortfalls: Vec<Shortfall>,
}

fn says(heard: Option<&Heard>, is_up: bool) -> Says {
    let Some(heard) = heard.filter(|_| is_up) else {
        return if is_up { Says::Nothing } else { Says::Unreached };
    };
    let leader = heard.ballot.vote.leader;
    match heard.ballot.state {
        PeerState::Looking if heard.will_not_vote() => Says::Abstains,
        PeerState::Looking if heard.abstains() => Says::Empty,
        PeerState::Looking => Says::VotesFor(leader),
        PeerState::Leading => Says::Leads,
        PeerState::Following | PeerState::Observing => Says::Follows(leader),
    }
}

impl Looking {
    /// See the module's description.
    pub(super) fn standstill(&self, contacts: &Contacts) -> Standstill {
        let own = match self.standing {
            _ if !self.quorums.is_voter(self.me) => None,
            Standing::Voter => Some(Says::VotesFor(self.proposal.leader)),
            Standing::Empty => Some(Says::Empty),
            Standing::Lost => Some(Says::Abstains),
        };
        let said = |id| (id, says(self.heard.get(&id), contacts.is_up(id)));
        let others: Vec<_> = self.others().map(said).collect();
        let mut ballots: Vec<_> = others.iter().filter(|(_, says)| is_word_for_somebody(*says)).collect();
        let own_vote = own.filter(|says| is_word_for_somebody(*says)).map(|says| (self.me, says));
        ballots.extend(&own_vote);
        let ballots: Vec<_> = ballots.into_iter().map(|(id, _)| (*id, self.ballot_of(*id))).collect();
        let behind = |ballot: &Ballot| -> Vec<ServerId> {
            let same = ballots.iter().filter(|(_, other)| ballot.is_same(other));
            same.map(|(id, _)| *id).collect()
        };
        let best = ballots
            .iter()
            .map(|(_, ballot)| (behind(ballot), ballot.vote.leader))
            .max_by_key(|(ids, _)| ids.len());
        let (supporters, candidate) = best.map_or((Vec::new(), None), |(ids, leader)| (ids, Some(leader)));
        let each = self.quorums.each();
        let shortfalls = each.filter_map(|(voters, claim)| shortfall(voters, claim, &supporters));
        Standstill { own, others, candidate, shortfalls: shortfalls.collect() }
    }

    fn ballot_of(&self, voter: ServerId) -> Ballot {
        let own = Ballot { vote: self.proposal, round: self.round, state: PeerState::Looking, version: 0 };
        if voter == self.me { own } else { self.heard.get(&voter).map_or(own, |heard| heard.ballot) }
    }
}

fn is_word_for_somebody(says: Says) -> bool {
    matches!(says, Says::VotesFor(leader) if leader != ServerId::NONE)
        || matches!(says, Says::Leads | Says::Follows(_))
}

/// What is missing, if it is no quorum that these are.
pub(crate) fn shortfall(voters: &Voters, claim: Claim, supporters: &[ServerId]) -> Option<Shortfall> {
    let mut supporters: Vec<_> = supporters.iter().copied().filter(|id| voters.contains(*id)).collect();
    supporters.sort_unstable();
    let has_quorum = voters.is_quorum(|id| supporters.contains(&id));
    let (ids, majority) = (voters.ids().collect(), voters.majority());
    (!has_quorum).then_some(Shortfall { supporters, majority, claim, voters: ids })
}

#[cfg(test)]
mod tests {
    use zabd_jute::quorum::{Configuration, Notification, Role};
    use zabd_jute::{Epoch, Zxid};

    use super::super::voice::ABSTENTION;
    use super::super::{Begin, Election, Input, Timing};
    use super::*;
    use crate::effect::Instant;

    fn looking() -> Election {
        let text: Vec<_> = (1..=5).map(|id| format!("server.{id}=zk{id}:2888:3888:participant")).collect();
        let begin = Begin {
            last_zxid: Zxid(7),
            epoch: Epoch(1),
            role: Role::Participant,
            standing: Standing::Voter,
            committed: Configuration::parse(&text.join("\n")).unwrap(),
            last_seen: None,
            lists: crate::quorum::Lists::default(),
            adopts_configs: false,
            last_elected: None,
        };
        let mut election = Election::new(ServerId(1), Timing::default());
        election.step(Instant(0), Input::Begin(Box::new(begin)), &mut Vec::new());
        election
    }

    fn hear(election: &mut Election, from: i64, leader: i64, zxid: Zxid, round: i64) {
        let notification = Notification {
            state: PeerState::Looking,
            leader: ServerId(leader),
            zxid,
            round,
            epoch: Epoch(1),
            version: 2,
            config: None,
        };
        let (from, out) = (ServerId(from), &mut Vec::new());
        election.step(Instant(1), Input::Notification { from, notification: &notification }, out);
    }

    #[test]
    fn who_is_heard_and_what_is_missing_is_told() {
        let mut election = looking();
        for up in [2, 3, 4] {
            election.step(Instant(0), Input::LinkUp(ServerId(up)), &mut Vec::new());
        }
        hear(&mut election, 2, 2, Zxid(7), 1);
        hear(&mut election, 3, 3, ABSTENTION, 0);
        let id = ServerId;
        let told = election.standstill().unwrap();
        assert_eq!(told.own, Some(Says::VotesFor(id(2))));
        let others = [
            (id(2), Says::VotesFor(id(2))),
            (id(3), Says::Empty),
            (id(4), Says::Nothing),
            (id(5), Says::Unreached),
        ];
        assert_eq!(told.others, others);
        assert_eq!(told.candidate, Some(id(2)));
        let shortfall = Shortfall {
            supporters: vec![id(1), id(2)],
            majority: Some((5, 3)),
            claim: Claim::Holds,
            voters: (1..=5).map(id).collect(),
        };
        assert_eq!(told.shortfalls, [shortfall]);
        election.step(Instant(2), Input::LinkDown(id(2)), &mut Vec::new());
        assert_eq!(election.standstill().unwrap().others[0], (id(2), Says::Unreached));
        election.step(Instant(2), Input::Abort, &mut Vec::new());
        assert_eq!(election.standstill(), None);
    }
}
