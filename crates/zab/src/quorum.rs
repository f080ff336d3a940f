//! Who counts: which sets of servers may decide for all.
//!
//! Two quorums of one configuration share a server. Everything else rests on that: what a quorum has
//! written, every later quorum has a witness of. Only voters count. By default each counts one, and more
//! than half are a quorum. Where a configuration has groups, a quorum is more than half of the weight in
//! more than half of the groups, and groups without any weight are left out of both counts. A voter of
//! weight 0 takes part in everything, counts for nothing and never leads.
//!
//! While a reconfiguration is under way there are two configurations: the committed one, and a newer one
//! that was seen in a proposal and may become committed at any moment. A set must then be a quorum of
//! both, whichever of the two turns out to hold. Configurations without numbers are changed in another way, see [`lists`].

pub mod lists;

use std::collections::{BTreeMap, BTreeSet};

use zabd_jute::quorum::Configuration;
use zabd_jute::{ConfigVersion, ServerId, Zxid};
use zabd_mutation::{Mutation, is_on};

pub use self::lists::Lists;

/// The voters of one configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Voters {
    version: ConfigVersion,
    weights: BTreeMap<ServerId, i64>,
    /// None of weight 0.
    groups: Option<Vec<Group>>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    /// Of all its members: Java counts those too that have a weight and no vote.
    weight: i128,
    voters: Vec<ServerId>,
}

impl Voters {
    /// The voters of `config`.
    pub fn new(config: &Configuration) -> Self {
        let hierarchy = config.hierarchy();
        let weight = |id| hierarchy.map_or(1, |hierarchy| hierarchy.weight(id).unwrap_or(0));
        let weights: BTreeMap<_, _> = config.voters().map(|voter| (voter.id(), weight(voter.id()))).collect();
        let group = |members: &Vec<ServerId>| Group {
            weight: members.iter().map(|id| i128::from(weight(*id))).sum(),
            voters: members.iter().copied().filter(|id| weights.contains_key(id)).collect(),
        };
        let groups = hierarchy.map(|hierarchy| {
            let groups = hierarchy.groups().iter().map(|(_, members)| group(members));
            groups.filter(|group| 0 < group.weight).collect()
        });
        Self { version: config.version(), weights, groups }
    }

    /// Whether the voters among `servers` may decide.
    pub fn has_quorum(&self, servers: &BTreeSet<ServerId>) -> bool {
        self.is_quorum(|id| servers.contains(&id))
    }

    /// Whether the voters for which `counts` holds may decide.
    pub fn is_quorum(&self, counts: impl Fn(ServerId) -> bool) -> bool {
        let Some(groups) = self.groups.as_ref().filter(|_| !is_on(Mutation::WeightsIgnored)) else {
            let present = self.weights.keys().filter(|id| counts(**id)).count();
            return self.weights.len() < 2 * present;
        };
        let is_won = |group: &&Group| {
            let present = group.voters.iter().filter(|id| counts(**id));
            group.weight < 2 * present.map(|id| i128::from(self.weights[id])).sum::<i128>()
        };
        groups.len() < 2 * groups.iter().filter(is_won).count()
    }

    /// How many voters there are, and how many of them are a quorum; nothing if groups and weights decide that.
    pub fn majority(&self) -> Option<(usize, usize)> {
        self.groups.is_none().then(|| (self.weights.len(), self.weights.len() / 2 + 1))
    }

    /// Whether `server` votes here.
    pub fn contains(&self, server: ServerId) -> bool {
        self.weights.contains_key(&server)
    }

    /// Whether `server` votes here, and it matters.
    pub fn counts(&self, server: ServerId) -> bool {
        self.weights.get(&server).is_some_and(|weight| 0 < *weight)
    }

    /// All of them, in ascending order.
    pub fn ids(&self) -> impl Iterator<Item = ServerId> {
        self.weights.keys().copied()
    }

    /// Whether the same servers decide here, with the same weights.
    pub fn decide_like(&self, other: &Self) -> bool {
        self.weights == other.weights && self.groups == other.groups
    }

    /// Which configuration this is of.
    pub fn version(&self) -> ConfigVersion {
        self.version
    }
}

/// The committed configuration's voters and, while a reconfiguration may be under way, those of the
/// newer one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quorums {
    committed: Voters,
    /// Set while its version is above the committed one's.
    last_seen: Option<Voters>,
    /// Others without a number that may hold.
    lists: Vec<Voters>,
}

/// What there is to say for the voters of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It holds.
    Holds,
    /// It is proposed.
    Proposed,
    /// It has no number, is not this server's own, and has held once, or was about to.
    MayHold,
}

impl Quorums {
    /// The voters of both; a last-seen configuration that is not newer than the committed one is over.
    pub fn new(committed: &Configuration, last_seen: Option<&Configuration>) -> Self {
        let is_newer = |newer: &&Configuration| committed.version() < newer.version();
        let last_seen = last_seen.filter(is_newer).map(Voters::new);
        Self { committed: Voters::new(committed), last_seen, lists: Vec::new() }
    }

    /// The voters of these lists too.
    #[must_use]
    pub fn with_lists(self, lists: &Lists) -> Self {
        let lists = lists.beside(&self.committed);
        Self { lists, ..self }
    }

    /// Whether `servers` may decide, whichever configuration holds.
    pub fn has_quorum(&self, servers: &BTreeSet<ServerId>) -> bool {
        self.all().all(|voters| voters.has_quorum(servers))
    }

    /// Whether those for which `counts` holds may decide, whichever configuration holds.
    pub fn is_quorum(&self, counts: impl Fn(ServerId) -> bool) -> bool {
        self.all().all(|voters| voters.is_quorum(&counts))
    }

    /// The committed configuration alone.
    pub fn committed(&self) -> &Voters {
        &self.committed
    }

    /// Whether a change of members may be under way.
    pub fn is_changing(&self) -> bool {
        self.last_seen.is_some() || !self.lists.is_empty()
    }

    /// Whether they may decide if no list counts but that of this server.
    pub fn has_quorum_by_itself(&self, servers: &BTreeSet<ServerId>) -> bool {
        std::iter::once(&self.committed).chain(&self.last_seen).all(|voters| voters.has_quorum(servers))
    }

    /// Whether a quorum of this list is needed, or of one like it.
    pub fn asks(&self, list: &Voters) -> bool {
        self.all().any(|voters| lists::unnumbered(voters.clone()) == *list)
    }

    /// Whether they may decide, whatever is proposed.
    pub fn holds_for_lists(&self, servers: &BTreeSet<ServerId>) -> bool {
        self.committed.has_quorum(servers) && self.lists.iter().all(|voters| voters.has_quorum(servers))
    }

    /// Whether these servers may have a leader, as far as is known here: by any of the lists.
    pub fn may_be_led_by(&self, servers: &BTreeSet<ServerId>) -> bool {
        self.committed.has_quorum(servers) || self.lists.iter().any(|voters| voters.has_quorum(servers))
    }

    /// Whether everybody who votes knows `server` as a voter, so that it may stand for election in each round.
    pub fn stands_always(&self, server: ServerId) -> bool {
        self.committed.contains(server) && self.lists.iter().all(|voters| voters.contains(server))
    }

    /// Whether `server` votes in either.
    pub fn is_voter(&self, server: ServerId) -> bool {
        self.all().any(|voters| voters.contains(server))
    }

    /// Whether `server` votes in either, and it matters.
    pub fn counts(&self, server: ServerId) -> bool {
        self.all().any(|voters| voters.counts(server))
    }

    /// Whether `server` is fit to lead, given that somebody votes for it. As in Java, the committed configuration is asked,
    /// and without groups it has nothing against anybody; of a server that is new, the newer one.
    pub fn may_lead(&self, server: ServerId) -> bool {
        self.committed.groups.is_none()
            || self.committed.counts(server)
            || !self.committed.contains(server) && self.counts(server)
    }

    /// Whether `server`, whose log ends with `last_zxid`, may stand for election: a voter of the committed configuration, or
    /// one of the newer one that has logged the change.
    pub fn may_stand(&self, server: ServerId, last_zxid: Zxid) -> bool {
        let has_logged = |newer: &&Voters| newer.version <= last_zxid.into();
        let newer = self.last_seen.as_ref().filter(has_logged);
        self.committed.contains(server) || newer.is_some_and(|newer| newer.contains(server))
    }

    /// The voters of both, each once, in ascending order.
    pub fn voters(&self) -> BTreeSet<ServerId> {
        self.all().flat_map(Voters::ids).collect()
    }

    /// The voters of each.
    pub fn each(&self) -> impl Iterator<Item = (&Voters, Claim)> {
        let proposed = self.last_seen.iter().map(|voters| (voters, Claim::Proposed));
        let lists = self.lists.iter().map(|voters| (voters, Claim::MayHold));
        std::iter::once((&self.committed, Claim::Holds)).chain(proposed).chain(lists)
    }

    fn all(&self) -> impl Iterator<Item = &Voters> {
        std::iter::once(&self.committed).chain(&self.last_seen).chain(&self.lists)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn config(text: &str) -> Configuration {
        let lines = text.split_whitespace().map(|line| match line.split_once('=') {
            None => format!("server.{line}=zk{line}:2888:3888:participant"),
            Some(("observer", id)) => format!("server.{id}=zk{id}:2888:3888:observer"),
            Some(_) => line.to_owned(),
        });
        Configuration::parse(&lines.collect::<Vec<_>>().join("\n")).unwrap()
    }

    pub(super) fn set(ids: &[i64]) -> BTreeSet<ServerId> {
        ids.iter().map(|id| ServerId(*id)).collect()
    }

    fn check(text: &str, quorums: &[&[i64]], too_few: &[&[i64]]) {
        let voters = Voters::new(&config(text));
        for ids in quorums {
            assert!(voters.has_quorum(&set(ids)), "{text}: {ids:?} are a quorum");
        }
        for ids in too_few {
            assert!(!voters.has_quorum(&set(ids)), "{text}: {ids:?} are no quorum");
        }
    }

    #[test]
    fn more_than_half_of_the_voters() {
        check("1", &[&[1]], &[&[], &[2]]);
        check("1 2", &[&[1, 2]], &[&[1], &[2]]);
        check("1 2 3", &[&[1, 2], &[2, 3], &[1, 2, 3]], &[&[1], &[3]]);
        check("1 2 3 4", &[&[1, 2, 3]], &[&[1, 2]]);
        check("version=0", &[], &[&[], &[1]]);
    }

    #[test]
    fn observers_and_strangers_do_not_count() {
        check("1 2 3 observer=4 observer=5", &[&[1, 2]], &[&[1, 4], &[1, 4, 5, 9]]);
    }

    /// One group with a server of weight 0: 1 and 2 serve, 1 and 3 look for ever.
    #[test]
    fn weightless_voters_do_not_count() {
        check("1 2 3 group.1=1:2:3 weight.3=0", &[&[1, 2], &[1, 2, 3]], &[&[1, 3], &[2, 3], &[3]]);
        let quorums = Quorums::new(&config("1 2 3 group.1=1:2:3 weight.3=0"), None);
        assert!(quorums.is_voter(ServerId(3)) && !quorums.counts(ServerId(3)));
        assert!(!quorums.may_lead(ServerId(3)) && quorums.may_lead(ServerId(1)));
    }

    #[test]
    fn a_new_voter_stands_once_it_has_logged_that_it_is_one() {
        let old = config("1 2 group.1=1:2 version=5");
        let new = config("2 3 4 group.1=2:3:4 weight.4=0 version=9");
        let quorums = Quorums::new(&old, Some(&new));
        assert!(quorums.may_stand(ServerId(1), Zxid(0)) && quorums.may_stand(ServerId(3), Zxid(9)));
        assert!(!quorums.may_stand(ServerId(3), Zxid(8)) && !quorums.may_stand(ServerId(5), Zxid(9)));
        assert!(quorums.may_lead(ServerId(3)) && !quorums.may_lead(ServerId(4)));
        assert!(
            !Quorums::new(&new, Some(&old)).may_stand(ServerId(1), Zxid(9)),
            "an older one does not matter"
        );
    }

    #[test]
    fn more_than_half_of_the_groups_each_by_weight() {
        let nine = "1 2 3 4 5 6 7 8 9 group.1=1:2:3 group.2=4:5:6 group.3=7:8:9";
        check(nine, &[&[1, 2, 4, 5], &[4, 6, 8, 9]], &[&[1, 2, 3], &[1, 2, 3, 4, 7], &[1, 4, 7]]);
        let uneven = "1 2 3 4 5 group.1=1:2:3 group.2=4:5 weight.1=3 weight.2=1 weight.3=1";
        check(uneven, &[&[1, 4, 5]], &[&[1, 4], &[2, 3, 4, 5], &[1, 2, 3]]);
    }

    #[test]
    fn groups_without_weight_are_left_out() {
        let spare = "1 2 3 4 5 group.1=1:2:3 group.2=4:5 weight.4=0 weight.5=0";
        check(spare, &[&[1, 2]], &[&[1, 4, 5], &[4, 5]]);
        check("1 group.1=1 weight.1=0", &[], &[&[1], &[]]);
    }

    /// An observer with a weight makes its group harder to win, and cannot help.
    #[test]
    fn weight_without_a_vote_is_in_the_way_as_in_java() {
        check("1 2 observer=3 group.1=1:2:3 weight.3=2", &[], &[&[1, 2], &[1, 2, 3]]);
    }

    #[test]
    fn weights_cannot_overflow() {
        let max = i64::MAX;
        check(&format!("1 2 group.1=1:2 weight.1={max} weight.2={max}"), &[&[1, 2]], &[&[1], &[2]]);
    }

    #[test]
    fn a_newer_configuration_must_agree() {
        let (old, new) = (config("1 2 3 version=5"), config("3 4 5 version=6"));
        let quorums = Quorums::new(&old, Some(&new));
        assert!(quorums.has_quorum(&set(&[1, 3, 4])));
        assert!(!quorums.has_quorum(&set(&[1, 2, 3])) && !quorums.has_quorum(&set(&[3, 4, 5])));
        assert_eq!(quorums.voters(), set(&[1, 2, 3, 4, 5]));
        assert!(Quorums::new(&new, Some(&old)).has_quorum(&set(&[4, 5])), "an older one does not matter");
    }
}
