//! What real Java servers said to each other, with each of them in turn replaced by ours.
//!
//! `tests/data/golden/zab-java-3.8.0` holds every byte that went over the election ports. Our server is given what
//! the Java server was given, at the same time: connections, initial messages, votes, ends of connections. What is
//! not in a capture is taken from what the Java server says next: when it began to look for a leader and with which
//! history, and when the epoch was established. Then what ours writes is compared with what Java wrote:
//!
//! - an initial message, byte for byte;
//! - to each peer, the same frames in the same order, each any number of times (timers, new connections).
//!
//! Ours is faster, and that is allowed to show: it may add what Java said to others and replaced on the way to this
//! peer; it may have a better vote by the time when Java still repeats a worse one of the same round; and where Java
//! still puts off its decision it may already tell of it, with that round and a vote that is not worse.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use bytes::Bytes;
use zabd_jute::quorum::{Configuration, InitialMessage, Notification, PeerState, Role, frame};
use zabd_jute::{Epoch, ServerId, Zxid};
use zabd_zab::effect::Instant;
use zabd_zab::election::{Standing, Vote};
use zabd_zab::links::{self, ConnId};

use crate::node::{Disk, Input, Node, Output, describe};

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/golden/zab-java-3.8.0");

/// Something that happened on an election port.
#[derive(Clone, Debug)]
struct Record {
    at: i64,
    /// 0 for a note.
    conn: u64,
    dialler: Option<i64>,
    listener: Option<i64>,
    is_by_dialler: bool,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Note,
    Open,
    Initial(Bytes),
    Frame(Bytes),
    End,
}

impl Record {
    fn sender(&self) -> Option<i64> {
        if self.is_by_dialler { self.dialler } else { self.listener }
    }

    fn receiver(&self) -> Option<i64> {
        if self.is_by_dialler { self.listener } else { self.dialler }
    }

    fn involves(&self, id: i64) -> bool {
        self.dialler == Some(id) || self.listener == Some(id)
    }
}

fn read(name: &str) -> Vec<Record> {
    let text = std::fs::read_to_string(format!("{DIRECTORY}/{name}.jsonl")).expect("the capture can be read");
    let mut records: Vec<Record> = text.lines().filter_map(record).collect();
    // Whoever is dialled may be known only from a later record of the connection.
    let mut ends = BTreeMap::new();
    for record in &records {
        let (dialler, listener) = ends.entry(record.conn).or_insert((None, None));
        *dialler = record.dialler.or(*dialler);
        *listener = record.listener.or(*listener);
    }
    for record in &mut records {
        (record.dialler, record.listener) = ends[&record.conn];
    }
    records
}

fn record(line: &str) -> Option<Record> {
    let value: serde_json::Value = serde_json::from_str(line).expect("each line is an object");
    let text = |name: &str| value[name].as_str().unwrap_or_default();
    let bytes = || {
        let digits = text("hex").as_bytes().chunks(2);
        let byte =
            |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16).expect("hex");
        digits.map(byte).collect::<Vec<_>>().into()
    };
    let kind = match text("kind") {
        "NOTE" => Kind::Note,
        _ if text("port") != "election" => return None,
        "TCP_OPEN" => Kind::Open,
        "INITIAL" => Kind::Initial(bytes()),
        "NOTIFICATION" => Kind::Frame(bytes()),
        "TCP_FIN" | "TCP_RST" => Kind::End,
        "TCP_REFUSED" => return None,
        other => panic!("what is {other}?"),
    };
    let is_by_dialler = text("dir") == "dialer->listener";
    let (from, to) = (value["from"].as_i64(), value["to"].as_i64());
    let (dialler, listener) = if is_by_dialler { (from, to) } else { (to, from) };
    let at = value["t_ms"].as_f64().expect("a time") as i64;
    Some(Record { at, conn: value["conn"].as_u64().unwrap_or(0), dialler, listener, is_by_dialler, kind })
}

fn notification(bytes: &Bytes) -> Notification<'_> {
    let (content, _) = frame(bytes).expect("well formed").expect("whole");
    Notification::decode(content).expect("well formed")
}

/// A server's records, cut where its process was started anew: a note says what is done to servers, and then its
/// connections end and others begin.
fn lives(records: &[Record], id: i64) -> Vec<Vec<Record>> {
    let mut lives = vec![Vec::new()];
    let mut open = BTreeSet::new();
    let mut was_noted = false;
    for record in records {
        if record.kind == Kind::Note {
            was_noted = true;
        }
        if !record.involves(id) {
            continue;
        }
        match &record.kind {
            Kind::Open => {
                let says = |record: &Record| record.sender() == Some(id) && frame_of(record).is_some();
                let has_spoken = lives.last().is_some_and(|life: &Vec<Record>| life.iter().any(says));
                if open.is_empty() && was_noted && has_spoken {
                    lives.push(Vec::new());
                }
                open.insert(record.conn);
            }
            Kind::Frame(_) if record.sender() == Some(id) => was_noted = false,
            Kind::End => _ = open.remove(&record.conn),
            _ => (),
        }
        lives.last_mut().expect("there is one").push(record.clone());
    }
    lives
}

/// One life of one server, lived again by ours.
struct Replay<'a> {
    id: i64,
    life: &'a [Record],
    node: Node,
    disk: Disk,
    now: i64,
    /// Whom each connection leads to.
    peers: BTreeMap<u64, i64>,
    said: BTreeMap<i64, Vec<Bytes>>,
    initials: usize,
}

impl<'a> Replay<'a> {
    fn new(id: i64, life: &'a [Record]) -> Self {
        let own = life.iter().filter(|record| record.sender() == Some(id));
        let frames: Vec<_> = own.clone().filter_map(|record| frame_of(record)).collect();
        let is_initial = |bytes: &&&Bytes| {
            let leader = notification(bytes).leader;
            leader == ServerId(id) || leader == ServerId::NONE
        };
        let first = frames.iter().find(is_initial).or(frames.first()).expect("it says something");
        let said = notification(first);
        let config =
            Configuration::parse(said.config.as_deref().expect("a configuration")).expect("a good one");
        let role = config.member(ServerId(id)).map_or(Role::Participant, zabd_jute::quorum::Member::role);
        let disk = Disk {
            last_zxid: if said.zxid == Zxid::NONE { Zxid::ZERO } else { said.zxid },
            epoch: if said.epoch == Epoch::NONE { Epoch::ZERO } else { said.epoch },
            standing: Standing::Voter,
            role,
            config,
            last_seen: None,
            adopts_configs: true,
        };
        let multi_address = own.clone().any(|record| {
            matches!(&record.kind, Kind::Initial(bytes) if bytes.starts_with(&(-65535i64).to_be_bytes()))
        });
        let node = Node::boot(id, &disk, multi_address);
        let now = life.first().expect("a life is not empty").at;
        let (peers, said) = (BTreeMap::new(), BTreeMap::new());
        let mut replay = Self { id, life, node, disk, now, peers, said, initials: 0 };
        replay.step(Input::Begin);
        replay
    }

    fn step(&mut self, input: Input) {
        let mut out = Vec::new();
        self.node.step(Instant(self.now), &mut self.disk, input, &mut out);
        for output in out {
            let Output::Write { conn: ConnId(conn), bytes } = output else { continue };
            if frame(&bytes).is_ok_and(|read| read.is_some_and(|(_, length)| length == bytes.len())) {
                self.said.entry(self.peers[&conn]).or_default().push(bytes);
                self.step(Input::Links(links::Input::Written { conn: ConnId(conn) }));
            } else {
                self.check_initial(conn, &bytes);
            }
        }
    }

    fn check_initial(&mut self, conn: u64, bytes: &Bytes) {
        let initial = |record: &'a Record| match &record.kind {
            Kind::Initial(bytes) if record.conn == conn => Some(bytes),
            _ => None,
        };
        let java = self.life.iter().find_map(initial).expect("Java introduced itself on this connection");
        assert_eq!(introduction(bytes), introduction(java), "server {}, connection {conn}", self.id);
        self.initials += 1;
    }

    fn live(&mut self) {
        for (number, record) in self.life.iter().enumerate() {
            while let Some(at) = self.node.next_deadline().filter(|at| at.0 <= record.at) {
                self.now = self.now.max(at.0);
                self.step(Input::Timer);
            }
            self.now = record.at;
            self.happen(number, record);
        }
    }

    fn happen(&mut self, number: usize, record: &Record) {
        let conn = ConnId(record.conn);
        let is_own = record.sender() == Some(self.id);
        let peer = if record.dialler == Some(self.id) { record.listener } else { record.dialler };
        let Some(peer) = peer else { return };
        self.peers.insert(record.conn, peer);
        match &record.kind {
            Kind::Initial(_) if is_own => {
                self.step(Input::Links(links::Input::Dialled { peer: ServerId(peer), conn }));
            }
            Kind::Initial(bytes) => {
                let (message, _) = InitialMessage::decode_stream(bytes).unwrap().unwrap();
                let (server, addresses) = (message.server, message.addresses);
                self.step(Input::Links(links::Input::Introduced { conn, server, addresses }));
            }
            Kind::Frame(bytes) if is_own => self.foresee(&notification(bytes)),
            Kind::Frame(bytes) => {
                let answers =
                    |later: &&Record| later.sender() == Some(self.id) && later.receiver() == Some(peer);
                let answer = self.life[number..].iter().filter(answers).find_map(frame_of);
                if let Some(answer) = answer {
                    self.foresee(&notification(answer));
                }
                let content = bytes.slice(4..);
                self.step(Input::Links(links::Input::Frame { conn, content }));
            }
            Kind::End => self.step(Input::Links(links::Input::Closed { conn })),
            _ => (),
        }
    }

    /// Java says this now, or as an answer to what it hears now. What it must have learned elsewhere for that, ours
    /// is told.
    fn foresee(&mut self, said: &Notification<'_>) {
        let Some(elected) = self.node.elected() else { return };
        if said.state == PeerState::Looking && elected.round < said.round {
            if said.leader == ServerId(self.id) {
                (self.disk.last_zxid, self.disk.epoch) = (said.zxid, said.epoch);
            }
            self.step(Input::Begin);
        } else if said.state == self.node.state() {
            if elected.vote.epoch < said.epoch {
                self.node.establish(said.epoch);
            }
            let config = said.config.as_deref().expect("a configuration");
            if config != self.disk.config.to_string() {
                self.disk.config = Configuration::parse(config).expect("a good configuration");
                self.node.reconfigure(&self.disk);
            }
        }
    }
}

/// An initial message, apart from what is in no order and from how a Java server before 3.8.2 names a host: by the
/// address that it has found.
fn introduction(bytes: &Bytes) -> InitialMessage {
    let (mut message, length) = InitialMessage::decode_stream(bytes).expect("well formed").expect("whole");
    assert_eq!(length, bytes.len(), "the initial message is written alone");
    for address in &mut message.addresses {
        if address.host == "localhost" {
            "127.0.0.1".clone_into(&mut address.host);
        }
    }
    message.addresses.sort();
    message
}

fn frame_of(record: &Record) -> Option<&Bytes> {
    match &record.kind {
        Kind::Frame(bytes) => Some(bytes),
        _ => None,
    }
}

/// Whether ours says what Java said, or knows already how the election ended that Java is in.
fn says_the_same(ours: &Bytes, java: &Bytes) -> bool {
    let (ours, java) = (notification(ours), notification(java));
    let is_ahead = java.state == PeerState::Looking && ours.state != PeerState::Looking;
    ours == java || is_ahead && ours.round == java.round && Vote::of(&java) <= Vote::of(&ours)
}

/// Whether ours had something better to say by the time when Java said this.
fn is_outdated(java: &Bytes, ours: &[Bytes]) -> bool {
    let java = notification(java);
    let is_newer = |ours: &Notification<'_>| (java.round, Vote::of(&java)) < (ours.round, Vote::of(ours));
    java.state == PeerState::Looking && ours.iter().any(|ours| is_newer(&notification(ours)))
}

/// What Java said to one peer must be among what ours said to it, in this order; a difference in words otherwise.
///
/// Answers how many of Java's frames ours said, and how many it had better ones for.
fn compare(ours: &[Bytes], java: &[Bytes], anywhere: &[Bytes]) -> Result<(usize, usize), String> {
    let differs = |what: &str, frame: &Bytes| {
        let mut text = format!("{what}: {}\n", describe(&notification(frame)));
        for (who, frames) in [("Java", java), ("ours", ours)] {
            for frame in frames {
                writeln!(text, "  {who} {}", describe(&notification(frame))).unwrap();
            }
        }
        text
    };
    let (mut place, mut outdated) = (0, 0);
    for frame in java {
        match ours[place..].iter().position(|ours| says_the_same(ours, frame)) {
            // What was said last may be said again.
            Some(skipped) => place += skipped,
            None if is_outdated(frame, &ours[place..]) => outdated += 1,
            None => return Err(differs("ours does not say", frame)),
        }
    }
    let was_said = |frame: &&Bytes| anywhere.iter().any(|java| says_the_same(frame, java));
    match ours.iter().find(|frame| !was_said(frame)) {
        Some(frame) => Err(differs("only ours says", frame)),
        None => Ok((java.len() - outdated, outdated)),
    }
}

/// How much was compared.
#[derive(Debug, Default, PartialEq, Eq)]
struct Compared {
    initials: usize,
    /// Frames of Java that ours said too.
    said: usize,
    /// Frames of Java for which ours had better ones.
    outdated: usize,
}

fn replay(name: &str) -> Compared {
    let records = read(name);
    let ids: BTreeSet<_> = records.iter().filter_map(Record::sender).collect();
    let mut sum = Compared::default();
    let mut differences = String::new();
    for id in ids {
        for (number, life) in lives(&records, id).iter().enumerate() {
            let own = || life.iter().filter(|record| record.sender() == Some(id));
            let anywhere: Vec<_> = own().filter_map(frame_of).cloned().collect();
            if anywhere.is_empty() {
                continue;
            }
            let mut replay = Replay::new(id, life);
            replay.live();
            sum.initials += replay.initials;
            let peers: BTreeSet<_> =
                own().filter(|record| frame_of(record).is_some()).filter_map(Record::receiver).collect();
            for peer in peers {
                let to_peer = own().filter(|record| record.receiver() == Some(peer));
                let java: Vec<_> = to_peer.filter_map(frame_of).cloned().collect();
                let ours = replay.said.remove(&peer).unwrap_or_default();
                match compare(&ours, &java, &anywhere) {
                    Ok((said, outdated)) => {
                        sum.said += said;
                        sum.outdated += outdated;
                    }
                    Err(text) => {
                        write!(differences, "{name}: life {number} of {id} to {peer}: {text}").unwrap();
                    }
                }
            }
        }
    }
    assert!(differences.is_empty(), "\n{differences}");
    sum
}

fn check(name: &str, initials: usize, said: usize, outdated: usize) {
    assert_eq!(replay(name), Compared { initials, said, outdated });
}

#[test]
fn a_fresh_ensemble() {
    check("01-fresh-election-first-sync-writes", 7, 12, 0);
}

#[test]
fn a_follower_that_is_restarted() {
    check("02-follower-restart-diff", 12, 23, 0);
}

#[test]
fn an_observer_that_joins() {
    check("05-observer-join", 12, 39, 1);
}

#[test]
fn a_joiner_that_adopts_the_configuration() {
    check("06-reconfig", 14, 57, 2);
}

#[test]
fn a_leader_that_fails() {
    check("10-leader-failover", 7, 22, 0);
}

#[test]
fn several_addresses() {
    check("11-multiaddress-initial-v2", 4, 9, 0);
}
