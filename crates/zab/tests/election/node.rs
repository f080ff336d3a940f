//! One server: links, election and answers, glued together as a real server does it.

use std::collections::VecDeque;

use bytes::Bytes;
use zabd_jute::quorum::{Address, Configuration, Notification, PeerState, Role};
use zabd_jute::{ConfigVersion, Epoch, ServerId, Zxid};
use zabd_zab::effect::Instant;
use zabd_zab::election::{self, Answers, Begin, Decision, Elected, Election, Standing, Timing};
use zabd_zab::links::{self, ConnId, Directory, Links};

/// What survives a crash.
#[derive(Clone, Debug)]
pub struct Disk {
    pub last_zxid: Zxid,
    pub epoch: Epoch,
    pub standing: Standing,
    pub role: Role,
    pub config: Configuration,
    pub last_seen: Option<Configuration>,
    pub adopts_configs: bool,
}

/// What does not.
pub struct Node {
    me: ServerId,
    links: Links,
    election: Election,
    answers: Option<Answers>,
    state: PeerState,
    last_elected: Option<Elected>,
}

/// What a node reacts to.
pub enum Input {
    Links(links::Input),
    Begin,
    Timer,
}

enum Work {
    Links(links::Input),
    Election(Heard),
}

enum Heard {
    Begin,
    Notification(ServerId, Bytes),
    LinkUp(ServerId),
    LinkDown(ServerId),
    Timer,
}

/// What a node asks for, and what is worth telling of it.
#[derive(Debug)]
pub enum Output {
    Dial { peer: ServerId, addresses: Vec<Address> },
    Write { conn: ConnId, bytes: Bytes },
    Close { conn: ConnId },
    Decides(Decision),
    Adopts { version: ConfigVersion, is_restart: bool },
    Voiceless { unheard: Vec<ServerId> },
    LinkUp(ServerId),
    LinkDown(ServerId),
}

impl Node {
    /// Listens, and does nothing yet.
    pub fn boot(id: i64, disk: &Disk, multi_address: bool) -> Self {
        let me = ServerId(id);
        let directory = Directory::new(me, &disk.config, disk.last_seen.as_ref());
        Self {
            me,
            links: Links::new(me, directory, multi_address),
            election: Election::new(me, Timing::default()),
            answers: None,
            state: PeerState::Looking,
            last_elected: None,
        }
    }

    pub fn state(&self) -> PeerState {
        self.state
    }

    /// The leader that it has.
    pub fn elected(&self) -> Option<Elected> {
        self.answers.as_ref().map(Answers::elected)
    }

    pub fn establish(&mut self, epoch: Epoch) {
        self.answers.as_mut().expect("the server has a leader").establish(epoch);
    }

    /// Another configuration holds.
    pub fn reconfigure(&mut self, disk: &Disk) {
        let answers = self.answers.as_mut().expect("the server has a leader");
        answers.reconfigure(&disk.config, disk.last_seen.as_ref());
    }

    pub fn next_deadline(&self) -> Option<Instant> {
        [self.links.next_deadline(), self.election.next_deadline()].into_iter().flatten().min()
    }

    /// Does everything that comes of one input.
    pub fn step(&mut self, now: Instant, disk: &mut Disk, input: Input, out: &mut Vec<Output>) {
        let mut works = VecDeque::new();
        match input {
            Input::Links(input) => works.push_back(Work::Links(input)),
            Input::Begin => works.push_back(Work::Election(Heard::Begin)),
            Input::Timer => {
                works.extend([Work::Election(Heard::Timer), Work::Links(links::Input::Timer)]);
            }
        }
        while let Some(work) = works.pop_front() {
            match work {
                Work::Links(input) => self.step_links(now, input, &mut works, out),
                Work::Election(heard) => self.step_election(now, disk, heard, &mut works, out),
            }
        }
    }

    fn step_links(
        &mut self,
        now: Instant,
        input: links::Input,
        works: &mut VecDeque<Work>,
        out: &mut Vec<Output>,
    ) {
        let mut outputs = Vec::new();
        self.links.step(now, input, &mut outputs);
        for output in outputs {
            match output {
                links::Output::Dial { peer, addresses } => out.push(Output::Dial { peer, addresses }),
                links::Output::Write { conn, bytes } => out.push(Output::Write { conn, bytes }),
                links::Output::Close { conn } => out.push(Output::Close { conn }),
                links::Output::Deliver { from, content } => {
                    works.push_back(Work::Election(Heard::Notification(from, content)));
                }
                links::Output::LinkUp(peer) => {
                    out.push(Output::LinkUp(peer));
                    works.push_back(Work::Election(Heard::LinkUp(peer)));
                }
                links::Output::LinkDown(peer) => {
                    out.push(Output::LinkDown(peer));
                    works.push_back(Work::Election(Heard::LinkDown(peer)));
                }
                links::Output::OwnIdCalled => panic!("server {} was called by itself", self.me),
            }
        }
    }

    fn step_election(
        &mut self,
        now: Instant,
        disk: &mut Disk,
        heard: Heard,
        works: &mut VecDeque<Work>,
        out: &mut Vec<Output>,
    ) {
        let mut outputs = Vec::new();
        let mut step = |input: election::Input<'_>| self.election.step(now, input, &mut outputs);
        match heard {
            Heard::Notification(from, content) => {
                let Ok(notification) = Notification::decode(&content) else { return };
                if let Some(answers) = &self.answers
                    && let Some(frame) = answers.answer(from, &notification)
                {
                    works.push_back(Work::Links(links::Input::Queue { to: from, frame }));
                }
                step(election::Input::Notification { from, notification: &notification });
            }
            Heard::Begin => {
                (self.state, self.answers) = (PeerState::Looking, None);
                step(election::Input::Begin(Box::new(begin(disk, self.last_elected))));
            }
            Heard::LinkUp(peer) => step(election::Input::LinkUp(peer)),
            Heard::LinkDown(peer) => step(election::Input::LinkDown(peer)),
            Heard::Timer => step(election::Input::Timer),
        }
        for output in outputs {
            self.obey(disk, output, works, out);
        }
    }

    fn obey(
        &mut self,
        disk: &mut Disk,
        output: election::Output,
        works: &mut VecDeque<Work>,
        out: &mut Vec<Output>,
    ) {
        match output {
            election::Output::Send { to, frame } => {
                works.push_back(Work::Links(links::Input::Queue { to, frame }));
            }
            election::Output::ConnectAll => works.push_back(Work::Links(links::Input::ConnectAll)),
            election::Output::AdoptConfig { config, is_restart } => {
                disk.config = *config;
                let directory = Directory::new(self.me, &disk.config, disk.last_seen.as_ref());
                works.push_back(Work::Links(links::Input::Members(directory)));
                if is_restart {
                    works.push_back(Work::Election(Heard::Begin));
                }
                out.push(Output::Adopts { version: disk.config.version(), is_restart });
            }
            election::Output::Voiceless { unheard, .. } => out.push(Output::Voiceless { unheard }),
            election::Output::Decided(decision) => {
                let Decision { elected, role, .. } = decision;
                let answers = Answers::new(self.me, role, elected, &disk.config, disk.last_seen.as_ref());
                (self.state, self.answers, self.last_elected) = (role, Some(answers), Some(elected));
                out.push(Output::Decides(decision));
            }
        }
    }
}

fn begin(disk: &Disk, last_elected: Option<Elected>) -> Begin {
    let Disk { last_zxid, epoch, standing, role, config, last_seen, adopts_configs } = disk.clone();
    let (committed, lists) = (config, zabd_zab::quorum::Lists::default());
    Begin { last_zxid, epoch, role, standing, committed, last_seen, lists, adopts_configs, last_elected }
}

/// A notification in words.
pub fn describe(notification: &Notification<'_>) -> String {
    let Notification { state, leader, zxid, round, epoch, .. } = notification;
    let config = notification.config.as_deref().unwrap_or_default();
    let version = config.rsplit_once("version=").map_or("0", |(_, version)| version);
    let config = if version == "0" { String::new() } else { format!(" config={version}") };
    if *state == PeerState::Looking && *zxid == election::ABSTENTION {
        return format!("abstains{config}");
    }
    let does = match state {
        PeerState::Looking => "votes",
        PeerState::Following => "follows",
        PeerState::Leading => "leads",
        PeerState::Observing => "observes",
    };
    let leader = if *leader == ServerId::NONE { "nobody".to_owned() } else { leader.to_string() };
    let zxid = if *zxid == Zxid::NONE { "none".to_owned() } else { format!("{zxid}") };
    let epoch = if *epoch == Epoch::NONE { "none".to_owned() } else { epoch.to_string() };
    format!("{does} {leader} epoch={epoch} zxid={zxid} round={round}{config}")
}
