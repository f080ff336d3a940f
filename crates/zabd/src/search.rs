//! What a member without a leader waits for, in a sentence: to the log every ten seconds and when it changes, and to probes.
//!
//! Most elections are over before the first look, and say nothing here.

use std::collections::BTreeMap;
use std::sync::Arc;

use zabd_jute::ServerId;
use zabd_zab::election::{Says, Shortfall, Standstill};
use zabd_zab::peer::Search;

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
        Search::Followers(followers) if followers.is_empty() => {
            "this server is elected, and nobody has connected to its quorum port to follow it".to_owned()
        }
        Search::Followers(followers) => {
            format!(
                "this server is elected, and waits for a quorum in step; connected: {}",
                listed(followers)
            )
        }
    }
}

fn election_in_words(standstill: &Standstill) -> String {
    let Standstill { own, others, candidate, shortfalls } = standstill;
    let mut parts =
        vec![format!("this server {}", own.map_or("has no vote".to_owned(), |says| verb(says, 1)))];
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
    parts.extend(shortfalls.iter().map(|shortfall| lack(*candidate, shortfall)));
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
    let which = if shortfall.is_proposed { " of the configuration that is proposed" } else { "" };
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
            shortfalls: vec![Shortfall { supporters, majority, is_proposed: false }],
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
