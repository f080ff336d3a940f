//! Stories: `*.txt` beside this file.
//!
//! A story is a list of scenes, separated by empty lines: what happens, `----`, and what the servers then say
//! and decide, each line with the time in milliseconds. `ZABD_REWRITE=1 cargo test -p zabd-zab` writes what they
//! say now; read the difference before you keep it.
//!
//! ```text
//! config 1 2 3 observer=4 weight.3=0      who the servers are; `config of 5: …` is only what 5 believes
//! next 1 2 5 version=9                    a newer configuration that servers have heard of which are started from now on
//! next unknown                            or have not
//! has 1 zxid=0x11 epoch=1 [empty|lost]    what is on a server's disk
//! gossip on                               newer configurations are taken from notifications
//! start 1 2                               the processes start and look for a leader
//! boot 1 2 · look 1 2                     the same in two steps
//! run [ms]                                let time pass; without a number: until nothing is on its way
//! kill 1 · pause 1 · resume 1 · cut 1-2 · mend 1-2 · delay 1-2 50
//! establish 3 epoch=1                     the leader's epoch becomes known to all that have it
//! play 2                                  the script speaks for server 2:
//! 2 to 1: votes 2 epoch=0 zxid=0x5 round=1 [version=0|1] [config 1 2 3]
//! links                                   from now on show connections too
//! ```

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use zabd_jute::quorum::{Configuration, Notification, PeerState, Role};
use zabd_jute::{Epoch, ServerId, Zxid};
use zabd_zab::election::Standing;

use crate::net::{Fact, Net};
use crate::node::Disk;

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/election");

#[test]
#[expect(clippy::disallowed_methods, reason = "a test may rewrite what it expects")]
pub(crate) fn stories_end_as_they_are_told() {
    let rewrites = std::env::var_os("ZABD_REWRITE").is_some();
    let mut differences = String::new();
    let stories = stories();
    assert!(!stories.is_empty(), "there are no stories in {DIRECTORY}");
    for path in stories {
        let told = std::fs::read_to_string(&path).expect("the story can be read");
        let happened = play(&told);
        if happened != told && rewrites {
            std::fs::write(&path, happened).expect("the story can be written");
        } else if happened != told {
            let place = told.lines().zip(happened.lines()).position(|(told, happened)| told != happened);
            let line = place.unwrap_or(told.lines().count().min(happened.lines().count()));
            let shown = |text: &str| text.lines().nth(line).unwrap_or("(the end)").to_owned();
            let (told, happened) = (shown(&told), shown(&happened));
            let path = path.display();
            writeln!(differences, "{path}:{}\n  told     {told}\n  happened {happened}", line + 1).unwrap();
        }
    }
    assert!(differences.is_empty(), "\n{differences}ZABD_REWRITE=1 writes what happened");
}

fn stories() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(Path::new(DIRECTORY)).expect("the directory is there");
    let paths = entries.map(|entry| entry.expect("the directory can be read").path());
    let mut stories: Vec<_> = paths.filter(|path| path.extension().is_some_and(|end| end == "txt")).collect();
    stories.sort();
    stories
}

/// The story with what really happened in the place of what was told.
fn play(told: &str) -> String {
    let mut stage = Stage::new();
    let mut happened = String::new();
    let mut is_outcome = false;
    for line in told.lines() {
        if line == "----" {
            is_outcome = true;
            happened.push_str("----\n");
            happened.push_str(&stage.outcome());
        } else if line.is_empty() {
            is_outcome = false;
            happened.push('\n');
        } else if !is_outcome {
            happened.push_str(line);
            happened.push('\n');
            if !line.starts_with('#') {
                stage.perform(line);
            }
        }
    }
    happened
}

struct Stage {
    net: Net,
    config: Option<Configuration>,
    next: Option<Configuration>,
    believed: BTreeMap<i64, Configuration>,
    delays: BTreeMap<(i64, i64), i64>,
    adopts_configs: bool,
    shows_links: bool,
}

impl Stage {
    fn new() -> Self {
        Self {
            net: Net::new(),
            config: None,
            next: None,
            believed: BTreeMap::new(),
            delays: BTreeMap::new(),
            adopts_configs: false,
            shows_links: false,
        }
    }

    fn perform(&mut self, line: &str) {
        if let Some((who, what)) = line.split_once(": ")
            && let Some((from, to)) = who.split_once(" to ")
        {
            return self.say(number(from), number(to), what);
        }
        let words: Vec<_> = line.split_whitespace().collect();
        let ids = |words: &[&str]| words.iter().map(|word| number(word)).collect::<Vec<_>>();
        match words.as_slice() {
            ["config", "of", id, rest @ ..] => {
                self.believed.insert(number(id.trim_end_matches(':')), config(rest));
            }
            ["next", "unknown"] => self.next = None,
            ["next", rest @ ..] => self.next = Some(config(rest)),
            ["config", rest @ ..] => self.config = Some(config(rest)),
            ["gossip", "on"] => self.adopts_configs = true,
            ["links"] => self.shows_links = true,
            ["has", id, rest @ ..] => {
                let id = number(id);
                let server = self.server(id);
                server.standing = Standing::Voter;
                for word in rest {
                    match word.split_once('=') {
                        Some(("zxid", zxid)) => server.last_zxid = Zxid(number(zxid)),
                        Some(("epoch", epoch)) => server.epoch = Epoch(number(epoch)),
                        None if *word == "empty" => server.standing = Standing::Empty,
                        None if *word == "lost" => server.standing = Standing::Lost,
                        _ => panic!("what is `{word}`?"),
                    }
                }
            }
            ["start", rest @ ..] => {
                self.each(&ids(rest), Net::boot);
                self.each(&ids(rest), Net::look);
            }
            ["boot", rest @ ..] => {
                self.each(&ids(rest), Net::boot);
                self.each(&ids(rest), Net::connect_all);
            }
            ["look", rest @ ..] => self.each(&ids(rest), Net::look),
            ["play", rest @ ..] => self.each(&ids(rest), Net::play),
            ["kill", rest @ ..] => self.each(&ids(rest), Net::kill),
            ["pause", rest @ ..] => self.each(&ids(rest), Net::pause),
            ["resume", rest @ ..] => self.each(&ids(rest), Net::resume),
            ["run"] => self.net.run_until_quiet(),
            ["run", ms] => self.net.run_until(self.net.now + number(ms)),
            ["cut", pair] => {
                let (a, b) = two(pair);
                self.net.cut(a, b);
            }
            ["mend", pair] => {
                let (a, b) = two(pair);
                self.net.mend(a, b);
            }
            ["delay", pair, ms] => {
                let (a, b) = two(pair);
                self.delays.extend([((a, b), number(ms)), ((b, a), number(ms))]);
                let delays = self.delays.clone();
                self.net.delay = Box::new(move |a, b| delays.get(&(a, b)).copied().unwrap_or(1));
            }
            ["establish", leader, epoch] => {
                let (leader, epoch) = (number(leader), Epoch(number(epoch.trim_start_matches("epoch="))));
                let all: Vec<_> = self.net.servers.keys().copied().collect();
                for id in
                    all.into_iter().filter(|id| self.net.leader(*id) == Some(leader)).collect::<Vec<_>>()
                {
                    self.net.establish(id, epoch);
                }
            }
            _ => panic!("what is `{line}`?"),
        }
    }

    fn each(&mut self, ids: &[i64], act: impl Fn(&mut Net, i64)) {
        for id in ids {
            self.server(*id);
            act(&mut self.net, *id);
        }
    }

    /// The server's disk; a fresh voter's if nothing else was said.
    fn server(&mut self, id: i64) -> &mut Disk {
        if !self.net.servers.contains_key(&id) {
            let config =
                self.believed.get(&id).or(self.config.as_ref()).expect("a config comes first").clone();
            let role = config.member(ServerId(id)).map_or(Role::Participant, zabd_jute::quorum::Member::role);
            let disk = Disk {
                last_zxid: Zxid::ZERO,
                epoch: Epoch::ZERO,
                standing: Standing::Voter,
                role,
                config,
                last_seen: self.next.clone(),
                adopts_configs: self.adopts_configs,
            };
            self.net.add(id, disk);
        }
        &mut self.net.servers.get_mut(&id).expect("it has just been added").disk
    }

    fn say(&mut self, from: i64, to: i64, what: &str) {
        let (what, config) = match what.split_once(" config ") {
            Some((what, text)) => (what, config(&text.split_whitespace().collect::<Vec<_>>())),
            None => (what, self.config.clone().expect("a config comes first")),
        };
        let words: Vec<_> = what.split_whitespace().collect();
        let [state, leader, rest @ ..] = words.as_slice() else { panic!("`{what}` is no notification") };
        let state = match *state {
            "votes" => PeerState::Looking,
            "follows" => PeerState::Following,
            "leads" => PeerState::Leading,
            "observes" => PeerState::Observing,
            _ => panic!("what is `{state}`?"),
        };
        let values: BTreeMap<_, _> =
            rest.iter().map(|word| word.split_once('=').expect("name=value")).collect();
        let value = |name: &str| number(values.get(name).unwrap_or_else(|| panic!("`{what}` has no {name}")));
        let notification = Notification {
            state,
            leader: ServerId(if *leader == "nobody" { i64::MIN } else { number(leader) }),
            zxid: Zxid(value("zxid")),
            round: value("round"),
            epoch: Epoch(value("epoch")),
            version: Notification::VERSION,
            config: Some(config.to_string().into()),
        };
        let mut frame = Vec::new();
        notification.encode_frame(&mut frame).expect("it is short");
        let content = match values.get("version") {
            // What servers before 3.4.0, and from 3.4.6 to 3.4.14, send.
            Some(&"0") => frame[4..32].to_vec(),
            Some(&"1") => [&frame[4..40], &1i32.to_be_bytes()].concat(),
            _ => frame[4..].to_vec(),
        };
        self.net.say(from, to, &content);
    }

    /// What happened since the last time.
    fn outcome(&mut self) -> String {
        let mut lines: Vec<(i64, i64, Vec<i64>, String)> = Vec::new();
        for (at, fact) in std::mem::take(&mut self.net.facts) {
            let (server, to, text) = match fact {
                Fact::Says { from, to, text } => (from, vec![to], text),
                Fact::Decides { server, decision } => {
                    let does = match decision.role {
                        PeerState::Leading => "LEADS",
                        PeerState::Observing => "OBSERVES",
                        _ => "FOLLOWS",
                    };
                    let leader = decision.elected.vote.leader;
                    let electing: Vec<_> = decision.electing.iter().map(ServerId::to_string).collect();
                    let round = decision.elected.round;
                    let voiceless = if decision.has_voice { "" } else { ", and does not count" };
                    let text = format!(
                        "{does} {leader}, round {round}, backed by {}{voiceless}",
                        electing.join(",")
                    );
                    (server, Vec::new(), text)
                }
                Fact::Adopts { server, version, is_restart } => {
                    let begins = if is_restart { " and begins anew" } else { "" };
                    (server, Vec::new(), format!("ADOPTS config {version}{begins}"))
                }
                Fact::Voiceless { server, unheard } => {
                    let unheard: Vec<_> = unheard.iter().map(ServerId::to_string).collect();
                    let (does, unheard) = ("DOES NOT COUNT", unheard.join(","));
                    let text = if unheard.is_empty() {
                        does.to_owned()
                    } else {
                        format!("{does} without {unheard}")
                    };
                    (server, Vec::new(), text)
                }
                Fact::LinkUp { server, peer } if self.shows_links => {
                    (server, Vec::new(), format!("hears {peer}"))
                }
                Fact::LinkDown { server, peer } if self.shows_links => {
                    (server, Vec::new(), format!("lost {peer}"))
                }
                Fact::LinkUp { .. } | Fact::LinkDown { .. } => continue,
            };
            match lines.last_mut() {
                Some((last_at, from, all, said))
                    if !to.is_empty()
                        && (*last_at, *from, &*said) == (at, server, &text)
                        && !all.is_empty() =>
                {
                    all.extend(to);
                }
                _ => lines.push((at, server, to, text)),
            }
        }
        let mut outcome = String::new();
        for (at, server, to, text) in lines {
            let to: Vec<_> = to.iter().map(i64::to_string).collect();
            let arrow = if to.is_empty() { String::new() } else { format!("-> {}  ", to.join(",")) };
            writeln!(outcome, "{at:>5}  {server} {arrow}{text}").expect("text grows");
        }
        outcome
    }
}

fn number(text: &str) -> i64 {
    let digits = text.strip_prefix("0x");
    let number = digits.map_or_else(|| text.parse(), |digits| i64::from_str_radix(digits, 16));
    number.unwrap_or_else(|_| panic!("`{text}` is not a number"))
}

fn two(pair: &str) -> (i64, i64) {
    let (a, b) = pair.split_once('-').expect("two servers, as in 1-2");
    (number(a), number(b))
}

/// `1 2 3 observer=4 group.1=1:2:3 weight.3=0 version=5` as a configuration; server N is host `zkN`.
pub fn config(words: &[&str]) -> Configuration {
    let lines = words.iter().map(|word| match word.split_once('=') {
        None => format!("server.{word}=zk{word}:2888:3888:participant"),
        Some(("observer", id)) => format!("server.{id}=zk{id}:2888:3888:observer"),
        Some(_) => (*word).to_owned(),
    });
    Configuration::parse(&lines.collect::<Vec<_>>().join("\n")).expect("a good configuration")
}
