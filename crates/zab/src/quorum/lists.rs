//! Lists of members that have no number: which of them may hold.
//!
//! Without `reconfigEnabled` members change because an operator writes other `server.N` lines and starts servers again, one after the
//! other, in any order. Meanwhile some go by one list and some by another, and nothing says which is newer. Two quorums, one of each
//! list, need not share a server; in Java both elect a leader, and what one of them acknowledges is lost.
//!
//! So each server keeps on disk the lists that *may hold*, each with the newest epoch in which a leader told it, and the newest epoch
//! of which it knows that it was *established*:
//!
//! - before it acknowledges NEWLEADER of an epoch, the list that its leader has told by it comes to those that it knows;
//! - before a leader counts itself, its own list does in the same way;
//! - at UPTODATE, and when a leader is established, the epoch is the newest established one, and its list is left alone.
//!
//! Whoever leads and is not established needs the promises of a quorum of each list that it knows: of its own one, of those on its
//! disk and of those that its learners name behind what Java reads of FOLLOWERINFO and OBSERVERINFO, if they vote in any of
//! these. Lists that were told before the newest epoch that one of them knows to be established do not count any more. What is
//! heard while the number of the new epoch is open is asked too. A list that is heard of later, before all promises are there, makes the leader begin
//! anew, and so does an established epoch that is not older than its own. An established leader commits by its own list.
//!
//! Elections go by the lists that a server has on disk, too, so that nobody is elected in vain; but
//! votes bind nobody, and in each fourth round a server's own list is enough: somebody else may know that what is on this
//! server's disk is outdated, and is heard by a leader only.
//!
//! **Why nothing is lost.** Let X be the leader of epoch x, with Q the servers that have promised it that, and let A be the
//! leader with the newest epoch below x that is ever established. X *knows* A if it asks A's list. If it does, Q has a server in common
//! with each quorum of that list: with the one by which A was established, and with each by which A commits. So X has all that
//! is committed, as in Zab, as far as the leaders before A are concerned by A's own history. And x is not A's epoch, since each server promises a
//! number once.
//!
//! That X knows A, by induction: each leader before X knows the newest one before it. Let B be the newest established leader below x whose list X
//! asks, and let it not be A; then C, the next established one behind B, has asked B's list, and a quorum of
//! that had C's list on disk when C was established. It shares a server with Q. That one had acknowledged C before it promised x,
//! since promises only rise, and said before that promise what it knew. Then it named C's list, or had forgotten it at the
//! UPTODATE of a later one, whose list it named instead. X asks that, unless somebody knew a still newer epoch to be
//! established, whose list X has heard of then from the same server; it is below x, or X would have begun anew. In each case X asks the list of an
//! established leader behind B. Contradiction.
//!
//! That rests on a leader that X knows to begin with:
//!
//! - **Nobody knows one**: a new ensemble, or the first start with this. Then the lists are as good as in Java until a leader is
//!   established once: first the version is rolled, then the lines.
//! - **Java in between, or a version that keeps no lists.** It raises `currentEpoch` and leaves the file alone, which is outdated then, and may name
//!   servers that are gone. So the file has the epoch that its server had joined. A start ignores a file that is behind
//!   `currentEpoch`. Here each raise of that comes behind the file: with NEWLEADER, with a transaction that DIFF brings of an epoch whose
//!   NEWLEADER never comes, with a snapshot. A server of Java among the members names no list, and is counted as in Java: with those, the
//!   lines are changed with all members stopped.
//! - **Copies and other numbers.** The file says which server's it is. With another `myid` it is a copy, or the server has
//!   been given another number. It may have come to the same ensemble, with so many others that they are a quorum without anybody who was there: then
//!   its lists count. It may be the beginning of another ensemble, where nobody can have what is asked: so those do not count of
//!   which its own lines have no quorum. Copies that go on under their old numbers ask for the lists of the original once.
//! - **Data that was lost** has its own rules, [`crate::election`]: whoever has none votes when everybody was heard.
//!
//! **What stands in the way.** A list that was told and not established may have been established, as far as anybody knows; and those of an
//! observer that is promoted when all voters are lost hold until somebody says otherwise. If it has lost its quorum for good, somebody removes the
//! file on all members, which are stopped: then their own lists decide alone, as in Java. In every other case the next leader that is established
//! clears that up, and it does not need what is outdated. An observer that is led by a follower hears that one's own list, which nobody need
//! have promised anything to: it keeps what it had, and takes that only if it had nothing.
//!
//! Members with a number ([`Configuration::version`]) have a history of their own, and outrank all this: who holds one forgets its lists.

use std::collections::BTreeMap;
use std::fmt;

use zabd_jute::quorum::{Configuration, Sections};
use zabd_jute::{ConfigVersion, Epoch, ServerId};

use super::{Group, Voters};

/// The name under which a learner says which ones it knows of, in the form of [`fmt::Display`].
pub const LISTS: &str = "lists";

/// See the module's description.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lists {
    /// Each with the newest epoch in which it was told.
    told: BTreeMap<Voters, Epoch>,
    /// The newest epoch that is known to have been established. One of the lists was told in it, or told again behind it.
    established: Epoch,
    /// Of its server, when this was true.
    joined: Epoch,
}

/// Why a text says nothing of lists.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListsError {
    /// A line is none of them.
    #[error("{0:?} is no list of voters")]
    Line(String),
    /// It is not all there.
    #[error("the list that held in epoch {0} is missing")]
    Missing(Epoch),
}

/// What a start makes of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// These may hold; none, if there is no file.
    Lists(Lists),
    /// This server has joined a newer epoch, with something that keeps no such file.
    Outdated(Lists),
    /// They are another server's.
    Foreign(ServerId, Lists),
}

impl Found {
    /// What counts of it for a server with this configuration.
    pub fn lists(self, own: &Configuration) -> Lists {
        match self {
            Self::Lists(lists) => lists,
            Self::Outdated(_) => Lists::default(),
            Self::Foreign(_, lists) => lists.within(&Voters::new(own)),
        }
    }
}

impl Lists {
    /// The list of a leader that is established.
    pub fn only(epoch: Epoch, configuration: &Configuration) -> Self {
        let told = [(unnumbered(Voters::new(configuration)), epoch)].into();
        Self { told, established: epoch, joined: epoch }
    }

    /// One that a leader tells, or is about to tell, when it joins an epoch.
    #[must_use]
    pub fn with(&self, epoch: Epoch, configuration: &Configuration) -> Self {
        let mut all = self.joining(epoch);
        all.tell(unnumbered(Voters::new(configuration)), epoch);
        all
    }

    /// The same, when an epoch is joined whose list is not known.
    #[must_use]
    pub fn joining(&self, epoch: Epoch) -> Self {
        Self { joined: self.joined.max(epoch), ..self.clone() }
    }

    /// What others know too.
    #[must_use]
    pub fn and(&self, others: &Self) -> Self {
        let mut all = self.clone();
        others.told.iter().for_each(|(list, epoch)| all.tell(list.clone(), *epoch));
        let established = self.established.max(others.established);
        all.told.retain(|_, epoch| established <= *epoch);
        Self { established, ..all }
    }

    /// Those of which these voters have a quorum. If that is not all, nothing is known of what was established.
    fn within(mut self, own: &Voters) -> Self {
        let count = self.told.len();
        self.told.retain(|list, _| list.is_quorum(|id| own.contains(id)));
        if self.told.len() < count {
            self.established = Epoch::ZERO;
        }
        self
    }

    fn tell(&mut self, list: Voters, epoch: Epoch) {
        let newest = self.told.entry(list).or_insert(epoch);
        *newest = epoch.max(*newest);
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.told.is_empty()
    }

    /// The newest epoch that is known to have been established.
    pub fn established(&self) -> Epoch {
        self.established
    }

    /// All of them, the oldest first.
    pub fn each(&self) -> impl Iterator<Item = &Voters> {
        self.by_age().into_iter().map(|(_, list)| list)
    }

    /// Those that a server with this configuration would not ask by itself.
    pub fn others_than(&self, own: &Configuration) -> Vec<Voters> {
        self.beside(&Voters::new(own))
    }

    /// What a learner says; a server of Java says nothing. Who is not understood may have said what must not be missed.
    pub fn behind(sections: &Sections<'_>) -> Result<Self, ListsError> {
        let said = sections.named(LISTS).unwrap_or_default();
        let text = std::str::from_utf8(said);
        Self::parse(text.map_err(|_| ListsError::Line(String::from_utf8_lossy(said).into_owned()))?)
    }

    /// Reads what [`fmt::Display`] writes.
    pub fn parse(text: &str) -> Result<Self, ListsError> {
        Written::parse(text).map(|written| written.lists)
    }

    /// What the file of this server says of them; without lists, nothing.
    pub fn written(&self, server: ServerId) -> String {
        if self.is_empty() {
            String::new()
        } else {
            format!("server={server}\nepoch={}\n{self}", self.joined)
        }
    }

    /// What a server that has joined this epoch makes of what its file says. Who does not know its number takes it for its own.
    pub fn found(text: &str, server: Option<ServerId>, current: Epoch) -> Result<Found, ListsError> {
        let Written { server: its, lists } = Written::parse(text)?;
        Ok(match its {
            Some(its) if server.is_some_and(|server| its != server) => Found::Foreign(its, lists),
            _ if lists.joined < current && !lists.is_empty() => Found::Outdated(lists),
            _ => Found::Lists(lists),
        })
    }

    fn by_age(&self) -> Vec<(Epoch, &Voters)> {
        let mut all: Vec<_> = self.told.iter().map(|(list, epoch)| (*epoch, list)).collect();
        all.sort();
        all
    }

    /// All but that of a configuration.
    pub(super) fn beside(&self, own: &Voters) -> Vec<Voters> {
        let own = unnumbered(own.clone());
        self.each().filter(|list| **list != own).cloned().collect()
    }
}

pub(super) fn unnumbered(mut voters: Voters) -> Voters {
    voters.version = ConfigVersion::ZERO;
    if let Some(groups) = &mut voters.groups {
        for group in &mut *groups {
            group.voters.sort_unstable();
        }
        groups.sort_by(|one, other| one.voters.cmp(&other.voters));
    }
    voters
}

/// For each list its epoch and `1 2 3`, or with groups `1*2 2*1 3*1 | 3: 1 2 | 1: 3`: the weights, then the weight of each group and who
/// votes in it.
impl fmt::Display for Lists {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return Ok(());
        }
        writeln!(f, "established={}", self.established)?;
        self.by_age().into_iter().try_for_each(|(epoch, list)| writeln!(f, "list.{epoch}={}", in_words(list)))
    }
}

fn in_words(list: &Voters) -> String {
    let words = list.weights.iter().map(|(id, weight)| match list.groups {
        None => id.to_string(),
        Some(_) => format!("{id}*{weight}"),
    });
    let words = words.collect::<Vec<_>>().join(" ");
    let groups = list.groups.iter().flatten().map(|Group { weight, voters }| {
        let voters: Vec<_> = voters.iter().map(ToString::to_string).collect();
        format!("{weight}: {}", voters.join(" "))
    });
    std::iter::once(words).chain(groups).collect::<Vec<_>>().join(" | ")
}

/// A file, or what a learner says.
#[derive(Default)]
struct Written {
    server: Option<ServerId>,
    lists: Lists,
}

impl Written {
    fn parse(text: &str) -> Result<Self, ListsError> {
        let mut written = Self::default();
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        for line in lines {
            written.take(line).ok_or_else(|| ListsError::Line(line.to_owned()))?;
        }
        let Lists { told, established, .. } = &written.lists;
        let is_there = *established <= Epoch::ZERO || told.values().any(|epoch| established <= epoch);
        if is_there { Ok(written) } else { Err(ListsError::Missing(*established)) }
    }

    fn take(&mut self, line: &str) -> Option<()> {
        let (key, value) = line.split_once('=')?;
        match key {
            "server" => self.server = Some(ServerId(value.parse().ok()?)),
            "epoch" => self.lists.joined = epoch(value)?,
            "established" => self.lists.established = epoch(value)?,
            _ => self.lists.tell(parse(value)?, epoch(key.strip_prefix("list.")?)?),
        }
        Some(())
    }
}

fn epoch(text: &str) -> Option<Epoch> {
    text.parse().ok().map(Epoch).filter(|epoch| (Epoch::ZERO..=Epoch::LAST).contains(epoch))
}

fn parse(line: &str) -> Option<Voters> {
    let mut parts = line.split('|');
    let has_groups = line.contains(['|', '*']);
    let weights = parts.next()?.split_whitespace().map(|word| match word.split_once('*') {
        Some((id, weight)) => Some((ServerId(id.parse().ok()?), weight.parse().ok()?)),
        None => Some((ServerId(word.parse().ok()?), 1)),
    });
    let weights =
        weights.collect::<Option<BTreeMap<ServerId, i64>>>().filter(|weights| !weights.is_empty())?;
    let groups = parts.map(|part| {
        let (weight, voters) = part.split_once(':')?;
        let voters = voters.split_whitespace().map(|id| id.parse().ok().map(ServerId));
        let voters = voters.collect::<Option<Vec<_>>>()?;
        let are_known = voters.iter().all(|id| weights.contains_key(id));
        Some(Group { weight: weight.trim().parse().ok()?, voters }).filter(|_| are_known)
    });
    let groups = groups.collect::<Option<Vec<_>>>()?;
    Some(Voters { version: ConfigVersion::ZERO, weights, groups: has_groups.then_some(groups) })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{config, set};
    use super::super::{Claim, Quorums};
    use super::*;

    fn told(lists: &[(i64, &str)]) -> Lists {
        lists.iter().fold(Lists::default(), |all, (epoch, list)| all.with(Epoch(*epoch), &config(list)))
    }

    #[test]
    fn what_is_written_is_read() {
        let groups = "1 2 3 4 group.2=3:4 group.7=1:2 weight.1=3 weight.4=0";
        let lists = [(4, "1 2 3 version=5"), (7, "9 1 observer=2"), (6, groups)];
        let all = told(&lists).and(&Lists::only(Epoch(4), &config("1 2 3")));
        let said = "established=4\nlist.4=1 2 3\nlist.6=1*3 2*1 3*1 4*0 | 4: 1 2 | 1: 3 4\nlist.7=1 9\n";
        assert_eq!(all.to_string(), said);
        assert_eq!(
            all.with(Epoch(4), &config("3 2 1")),
            all,
            "a list is who votes, in any order, with any number"
        );
        assert_eq!(all.written(ServerId(3)), format!("server=3\nepoch=7\n{said}"));
        let file = format!("# of members\n\n{}", all.written(ServerId(3)));
        let found = |server, current| Lists::found(&file, Some(ServerId(server)), Epoch(current));
        assert_eq!(found(3, 7), Ok(Found::Lists(all.clone())));
        assert_eq!(found(3, 8), Ok(Found::Outdated(all.clone())), "somebody else has joined epoch 8");
        assert_eq!(found(4, 7), Ok(Found::Foreign(ServerId(3), all)));
        assert_eq!(Lists::found("", Some(ServerId(1)), Epoch(9)), Ok(Found::Lists(Lists::default())));
        assert_eq!(Lists::default().joining(Epoch(9)).written(ServerId(1)), "");
    }

    #[test]
    fn of_a_copy_that_counts_which_may_be_of_the_same_ensemble() {
        let all = told(&[(5, "1 2 3"), (6, "7 8 9")]).and(&Lists::only(Epoch(5), &config("1 2 3")));
        let counts = |own: &str| Found::Foreign(ServerId(3), all.clone()).lists(&config(own)).to_string();
        assert_eq!(counts("1 2 4 5"), "established=0\nlist.5=1 2 3\n");
        assert_eq!(counts("1 2 7 8"), all.to_string());
        assert_eq!(counts("1 4 5"), "");
        assert_eq!(Found::Lists(all.clone()).lists(&config("1 4 5")), all, "of the very server, all counts");
        assert!(Found::Outdated(all).lists(&config("1 2 3")).is_empty());
    }

    #[test]
    fn what_is_no_list_is_an_error() {
        let lists = ["1 x", "1 2 | 3", "1*2 | 2: 4", "| 1: 1", "1 2 |", "", "99999999999999999999"];
        let lines = lists.iter().map(|list| format!("list.1={list}"));
        let others =
            ["1 2 3", "list.x=1", "list.-1=1", "epoch=", "established=2147483648", "server=a", "\u{0}"];
        for wrong in lines.chain(others.map(str::to_owned)) {
            assert_eq!(Lists::parse(&wrong), Err(ListsError::Line(wrong.trim().to_owned())));
        }
        assert_eq!(Lists::parse("established=3\nlist.2=1 2"), Err(ListsError::Missing(Epoch(3))));
        assert!(Lists::parse("established=3\nlist.4=1 2").is_ok(), "it was told again");
    }

    #[test]
    fn what_was_told_before_the_newest_established_epoch_is_outdated() {
        let old = told(&[(5, "1 2 3"), (9, "1 7 8")]);
        let new = Lists::only(Epoch(8), &config("1 4 5"));
        let all = "established=8\nlist.8=1 4 5\nlist.9=1 7 8\n";
        assert_eq!((old.and(&new).to_string(), new.and(&old).to_string()), (all.to_owned(), all.to_owned()));
        assert_eq!(old.and(&Lists::default()), old);
        assert_eq!(
            new.with(Epoch(9), &config("1 4 5")).and(&new).to_string(),
            "established=8\nlist.9=1 4 5\n"
        );
    }

    #[test]
    fn a_quorum_is_one_of_each_list() {
        let lists = told(&[(1, "0 1 2"), (2, "0 1 2 3 4")]);
        let quorums = |own: &str| Quorums::new(&config(own), None).with_lists(&lists);
        let five = quorums("0 1 2 3 4");
        assert!(five.has_quorum(&set(&[1, 2, 3])) && five.has_quorum(&set(&[0, 1, 2])));
        assert!(!five.has_quorum(&set(&[2, 3, 4])), "0 and 1 may have another leader");
        assert!(five.has_quorum_by_itself(&set(&[2, 3, 4])), "or may have had one long ago");
        assert!(!five.has_quorum(&set(&[1, 2])));
        let claims: Vec<_> = five.each().map(|(_, claim)| claim).collect();
        assert_eq!(claims, [Claim::Holds, Claim::MayHold], "one's own list is none beside it");
        assert!(five.may_be_led_by(&set(&[0, 1])) && five.may_be_led_by(&set(&[2, 3, 4])));
        assert!(!five.may_be_led_by(&set(&[3, 4])));
        assert!(five.stands_always(ServerId(2)) && !five.stands_always(ServerId(4)));
        assert!(quorums("1 2 7").is_changing() && quorums("1 2 7").is_voter(ServerId(4)));
        let list = |text| unnumbered(Voters::new(&config(text)));
        assert!(five.asks(&list("2 1 0 version=7")) && !five.asks(&list("0 1 2 3")));
    }
}
