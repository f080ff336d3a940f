//! What a member without a leader waits for, in a sentence: to the log every ten seconds and when it changes, and to probes.
//!
//! Most elections are over before the first look, and say nothing here.

use std::collections::BTreeMap;
use std::sync::Arc;

use zabd_jute::ServerId;
use zabd_storage::held::HELD;
use zabd_storage::layout::VERSION_DIR;
use zabd_zab::election::{Says, Shortfall, Standstill};
use zabd_zab::peer::Search;
use zabd_zab::quorum::Claim;

use crate::probes::Vitals;
use crate::roles::lists_in_words;

/// How often is looked; what takes less is no standstill. The state of an election may change several times a second.
const LOOK_INTERVAL_MS: i64 = 2000;
/// How often the same is told.
const REPEAT_MS: i64 = 10_000;

/// See the module's description.
#[derive(Debug)]
pub struct SearchLog {
    vitals: Arc<Vitals>,
    due_ms: i64,
    /// Since when there is no leader.
    since_ms: Option<i64>,
    told_ms: i64,
    words: String,
}

impl SearchLog {
    /// For the probes too.
    pub fn new(vitals: Arc<Vitals>) -> Self {
        Self { vitals, due_ms: 0, since_ms: None, told_ms: 0, words: String::new() }
    }

    /// Whether it is time to look.
    pub fn is_due(&self, now_ms: i64) -> bool {
        self.due_ms <= now_ms
    }

    /// Tells what is waited for, if that is news.
    pub fn look(&mut self, now_ms: i64, search: Option<&Search>) {
        self.due_ms = now_ms + LOOK_INTERVAL_MS;
        if let Some(line) = self.line(now_ms, search) {
            tracing::warn!("{line}");
        }
    }

    fn line(&mut self, now_ms: i64, search: Option<&Search>) -> Option<String> {
        let words = search.map(in_words).unwrap_or_default();
        let is_news = words != self.words;
        if is_news {
            self.vitals.note_search(&words);
            self.words = words;
        }
        // Who follows a leader has one; that was told when it began.
        if matches!(search, None | Some(Search::List(_))) {
            self.since_ms = None;
            return None;
        }
        let Some(since_ms) = self.since_ms else {
            (self.since_ms, self.told_ms) = (Some(now_ms), now_ms - REPEAT_MS);
            return None;
        };
        if !is_news && now_ms < self.told_ms + REPEAT_MS {
            return None;
        }
        self.told_ms = now_ms;
        let seconds = (now_ms - since_ms) / 1000;
        Some(format!("Without a leader for {seconds}s: {}", self.words))
    }
}

fn in_words(search: &Search) -> String {
    match search {
        Search::Election(standstill) => election_in_words(standstill),
        Search::Leader(leader) => {
            format!("server {leader} is elected, and this one is not in step with it yet")
        }
        Search::List(uncounted) => lists_in_words(uncounted),
        Search::Room => {
            "the log has no room; this server votes, follows and serves again when there is some".to_owned()
        }
        Search::Followers { connected, lacking } => {
            let connected = if connected.is_empty() {
                "this server is elected, and nobody has connected to its quorum port to follow it".to_owned()
            } else {
                format!(
                    "this server is elected, and waits for a quorum in step; connected: {}",
                    listed(connected)
                )
            };
            let earlier = lacking
                .iter()
                .map(|earlier| await_earlier(None, earlier, |id| earlier.supporters.contains(&id)));
            earlier.chain(std::iter::once(connected)).collect::<Vec<_>>().join("; ")
        }
    }
}

fn election_in_words(standstill: &Standstill) -> String {
    let Standstill { own, others, candidate, shortfalls } = standstill;
    let is_there = |id| !others.contains(&(id, Says::Unreached));
    let (earlier, current): (Vec<_>, Vec<_>) =
        shortfalls.iter().partition(|shortfall| shortfall.claim == Claim::MayHold);
    let earlier = earlier.into_iter().map(|earlier| await_earlier(*candidate, earlier, is_there));
    let mut parts: Vec<_> = earlier.collect();
    parts.push(format!("this server {}", own.map_or("has no vote".to_owned(), |says| verb(says, 1))));
    let mut groups: BTreeMap<Says, Vec<ServerId>> = BTreeMap::new();
    for (id, says) in others {
        groups.entry(*says).or_default().push(*id);
    }
    for (says, ids) in groups {
        let voters = if ids.len() == 1 { "voter" } else { "voters" };
        parts.push(format!("{voters} {} {}", listed(&ids), verb(says, ids.len())));
    }
    if shortfalls.is_empty() {
        parts.extend(
            candidate
                .map(|leader| format!("a quorum is for server {leader}, which is not heard to lead yet")),
        );
    }
    parts.extend(current.into_iter().map(|shortfall| lack(*candidate, shortfall)));
    parts.join("; ")
}

fn verb(says: Says, count: usize) -> String {
    let choose = |one: &str, many: &str| if count == 1 { one.to_owned() } else { many.to_owned() };
    match says {
        Says::Unreached => choose("is not reached", "are not reached"),
        Says::Nothing => choose("is reached and has said nothing", "are reached and have said nothing"),
        Says::VotesFor(ServerId::NONE) => {
            choose("votes for nobody", "vote for nobody") + " while members change"
        }
        Says::VotesFor(leader) => format!("{} for server {leader}", choose("votes", "vote")),
        Says::Empty => {
            let empty = choose("is empty and votes", "are empty and vote");
            format!("{empty} only when every other voter is heard to look for a leader")
        }
        Says::Abstains => {
            choose("has lost its data and does not vote", "have lost their data and do not vote")
        }
        Says::Leads => choose("leads", "lead"),
        Says::Follows(leader) => format!("{} server {leader}", choose("follows", "follow")),
    }
}

fn lack(candidate: Option<ServerId>, shortfall: &Shortfall) -> String {
    let which = match shortfall.claim {
        Claim::Holds => String::new(),
        Claim::Proposed => " of the configuration that is proposed".to_owned(),
        Claim::MayHold => {
            format!(" of voters {}, who may hold beside this server's own,", listed(&shortfall.voters))
        }
    };
    let quorum = match shortfall.majority {
        Some((voters, needed)) => format!("a quorum{which} is {needed} of {voters} voters"),
        None => format!("a quorum{which} goes by groups and weights"),
    };
    match (candidate, &shortfall.supporters[..]) {
        (Some(candidate), supporters @ [_, ..]) => {
            format!("{quorum}, and server {candidate} has {}: {}", supporters.len(), listed(supporters))
        }
        _ => format!("{quorum}, and nobody has any"),
    }
}

/// Whether voters of an earlier list who are not there will come back, only an operator knows. If all are there, they have not agreed yet.
fn await_earlier(
    candidate: Option<ServerId>,
    shortfall: &Shortfall,
    is_there: impl Fn(ServerId) -> bool,
) -> String {
    let (there, missing): (Vec<_>, Vec<_>) = shortfall.voters.iter().copied().partition(|id| is_there(*id));
    if missing.is_empty() {
        return lack(candidate, shortfall);
    }
    let (needed, more) = match shortfall.majority {
        Some((_, needed)) => (needed.to_string(), needed.saturating_sub(there.len()).max(1).to_string()),
        None => ("a quorum".to_owned(), "enough".to_owned()),
    };
    let there = if there.is_empty() { "nobody".to_owned() } else { listed(&there) };
    format!(
        "voters {} may hold beside this server's own, so nobody leads without {needed} of them (there: {there}; missing: {}): start {more} of \
         the missing, or, only if they are lost for good, stop all members that are left, remove {VERSION_DIR}/{HELD} from dataDir on each \
         of them, and start them",
        listed(&shortfall.voters),
        listed(&missing)
    )
}

fn listed(ids: &[ServerId]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: i64) -> ServerId {
        ServerId(number)
    }

    fn standstill(others: &[(i64, Says)], supporters: &[i64]) -> Search {
        let majority = Some((others.len() + 1, others.len().div_ceil(2) + 1));
        let supporters = supporters.iter().copied().map(ServerId).collect();
        Search::Election(Standstill {
            own: Some(Says::VotesFor(id(2))),
            others: others.iter().map(|(number, says)| (id(*number), *says)).collect(),
            candidate: Some(id(2)),
            shortfalls: vec![Shortfall { supporters, majority, claim: Claim::Holds, voters: Vec::new() }],
        })
    }

    #[test]
    fn who_has_data_says_why_nobody_is_elected() {
        let others = [(2, Says::VotesFor(id(2))), (3, Says::Unreached), (4, Says::Empty), (5, Says::Empty)];
        assert_eq!(
            in_words(&standstill(&others, &[1, 2])),
            "this server votes for server 2; voter 3 is not reached; voter 2 votes for server 2; voters 4, 5 are empty and \
             vote only when every other voter is heard to look for a leader; a quorum is 3 of 5 voters, and server 2 has 2: \
             1, 2"
        );
    }

    /// Server 4 is to come in the place of 3, and 2 is down.
    #[test]
    fn who_misses_voters_of_an_earlier_list_says_what_is_to_be_done() {
        let others = [(2, Says::Unreached), (3, Says::Unreached), (4, Says::VotesFor(id(1)))];
        let earlier = Shortfall {
            supporters: vec![id(1)],
            majority: Some((3, 2)),
            claim: Claim::MayHold,
            voters: [1, 2, 3].map(id).to_vec(),
        };
        let search = |others: &[(i64, Says)], earlier: &Shortfall| {
            Search::Election(Standstill {
                own: Some(Says::VotesFor(id(1))),
                others: others.iter().map(|(number, says)| (id(*number), *says)).collect(),
                candidate: Some(id(1)),
                shortfalls: vec![earlier.clone()],
            })
        };
        let remedy = "voters 1, 2, 3 may hold beside this server's own, so nobody leads without 2 of them (there: 1; missing: 2, 3): start 1 \
                      of the missing, or, only if they are lost for good, stop all members that are left, remove version-2/voters-held \
                      from dataDir on each of them, and start them";
        let state = "this server votes for server 1; voters 2, 3 are not reached; voter 4 votes for server 1";
        assert_eq!(in_words(&search(&others, &earlier)), format!("{remedy}; {state}"));
        let elected = Search::Followers { connected: vec![id(4)], lacking: vec![earlier.clone()] };
        let state = "this server is elected, and waits for a quorum in step; connected: 4";
        assert_eq!(in_words(&elected), format!("{remedy}; {state}"));
        let there = [(2, Says::VotesFor(id(2))), (3, Says::VotesFor(id(2)))];
        let undecided = "a quorum of voters 1, 2, 3, who may hold beside this server's own, is 2 of 3 voters, and server 1 has 1: 1";
        assert!(in_words(&search(&there, &earlier)).starts_with(undecided));
    }

    #[test]
    fn it_is_told_when_it_changes_and_every_ten_seconds() {
        let mut log = SearchLog::new(Arc::default());
        let (alone, both) = (
            standstill(&[(2, Says::Unreached), (3, Says::Unreached)], &[1]),
            standstill(&[(2, Says::Nothing), (3, Says::Unreached)], &[1]),
        );
        let told = |log: &mut SearchLog, seconds: i64, search| log.line(seconds * 1000, search).is_some();
        assert!(!told(&mut log, 0, Some(&alone)), "it has just begun");
        assert!(told(&mut log, 2, Some(&alone)));
        let seconds: Vec<_> = (3..=32).filter(|second| told(&mut log, *second, Some(&alone))).collect();
        assert_eq!(seconds, [12, 22, 32]);
        assert!(told(&mut log, 33, Some(&both)));
        assert!(log.vitals.search().contains("voter 2 is reached and has said nothing"));
        assert!(!told(&mut log, 34, None));
        assert_eq!(&*log.vitals.search(), "");
    }
}
