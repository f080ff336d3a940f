//! One server: its role, its disk, and what it shows.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use zabd_jute::quorum::{Configuration, LearnerKind};
use zabd_jute::txn::{Entry, Txn};
use zabd_jute::{Epoch, Limits, Reader, ServerId, Zxid};
use zabd_zab::effect::{DialId, Durable, Effects, Instant, LinkId, Testing, Timing};
use zabd_zab::history::History;
use zabd_zab::{leader, learner};

pub const TIMING: Timing = Timing { tick_ms: 100, init_limit: 10, sync_limit: 5, connect_delay_ms: 10 };

/// A snapshot on its way: its transactions, and those of them that change the members.
#[derive(Debug)]
pub struct Image {
    pub transactions: Vec<Zxid>,
    pub changes: BTreeMap<Zxid, Configuration>,
}

/// What survives a crash.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    pub accepted: Epoch,
    pub current: Epoch,
    /// Where the log begins: everything up to here is in a snapshot, with these transactions.
    pub base: Zxid,
    pub snapshot: Vec<Zxid>,
    /// The changes of members in snapshot and log; of those in a snapshot, a tree shows the newest.
    pub changes: BTreeMap<Zxid, Configuration>,
    pub log: Vec<(Zxid, Bytes)>,
    /// The configuration that holds, and a newer one that was heard of.
    pub configuration: Option<Configuration>,
    pub next: Option<Configuration>,
}

impl Disk {
    pub fn configuration(&self) -> &Configuration {
        self.configuration.as_ref().expect("every server starts with one")
    }

    /// A configuration holds: what was heard of before is over.
    pub fn hold(&mut self, configuration: Configuration) {
        self.next.take_if(|next| next.version() <= configuration.version());
        self.configuration = Some(configuration);
    }

    /// Who the members are, as a tree made of all that would show it.
    fn shown(&self) -> Option<Configuration> {
        self.changes.last_key_value().map(|(_, configuration)| configuration.clone())
    }

    fn see_shown(&mut self) {
        let newest = self.next.as_ref().unwrap_or(self.configuration()).version();
        if let Some(shown) = self.shown().filter(|shown| newest < shown.version()) {
            self.next = Some(shown);
        }
    }

    fn append(&mut self, zxid: Zxid, entry: Bytes) {
        if let Ok(Entry { txn: Txn::SetData { data: Some(text), .. }, .. }) =
            Entry::decode(&mut Reader::new(&entry))
        {
            let text = std::str::from_utf8(text).expect("the world's own text");
            self.changes.insert(zxid, Configuration::parse(text).expect("the world's own members"));
        }
        self.log.push((zxid, entry));
    }

    pub fn last(&self) -> Zxid {
        self.log.last().map_or(self.base, |(zxid, _)| *zxid)
    }

    /// All transactions, in order.
    pub fn all(&self) -> Vec<Zxid> {
        let logged = self.log.iter().map(|(zxid, _)| *zxid).filter(|zxid| *zxid > self.base);
        self.snapshot.iter().copied().chain(logged).collect()
    }

    pub fn assert_readable_by_java(&self) {
        assert!(self.current <= self.accepted, "currentEpoch is ahead of acceptedEpoch");
        assert!(self.last().epoch() <= self.current, "the log is ahead of currentEpoch");
        for pair in self.log.windows(2) {
            let (one, next) = (pair[0].0, pair[1].0);
            let goes_on = next == one.next() || (one.epoch() < next.epoch() && next.counter() == 1);
            assert!(goes_on, "the log goes from {one} to {next}");
        }
    }
}

/// One operation in the disk's queue.
#[derive(Debug)]
pub enum DiskOperation {
    Append(Zxid, Bytes),
    Persist(Durable),
    Truncate(Zxid),
    Adopt { zxid: Zxid, epoch: Epoch },
}

/// What a server is doing.
pub enum Role {
    Down,
    /// Its disk is finishing what the last role asked for.
    Settling,
    Looking,
    Leading(Box<leader::Leader>),
    Learning {
        machine: Box<learner::Learner>,
        link: Option<LinkId>,
    },
}

pub struct Server {
    pub id: ServerId,
    pub disk: Disk,
    pub queue: VecDeque<DiskOperation>,
    pub role: Role,
    /// What the next role starts with.
    pub history: Option<History>,
    /// Everything up to here may be shown, once it is on disk.
    pub committed: Zxid,
    pub is_serving: bool,
    /// Its log could not be cut.
    pub needs_snapshot: bool,
    /// What it had when it was last told that it leads.
    pub elected_with: (Epoch, Zxid),
    /// A snapshot that has come and has no name yet.
    pub received: Option<Image>,
    pub effects: Effects,
}

impl Server {
    pub fn new(id: ServerId, configuration: Configuration) -> Self {
        Self {
            id,
            disk: Disk { configuration: Some(configuration), ..Disk::default() },
            queue: VecDeque::new(),
            role: Role::Down,
            history: None,
            committed: Zxid::ZERO,
            is_serving: false,
            needs_snapshot: false,
            elected_with: (Epoch::ZERO, Zxid::ZERO),
            received: None,
            effects: Effects::default(),
        }
    }

    pub fn crash(&mut self) {
        self.queue.clear();
        self.received = None;
        self.role = Role::Down;
        self.is_serving = false;
    }

    /// The newest records are read into memory, as a start does; how many differs.
    pub fn start(&mut self, kept: usize) {
        self.disk.see_shown();
        let log = &self.disk.log;
        let from = log.len().saturating_sub(kept);
        let before = if from == 0 { self.disk.base } else { log[from - 1].0 };
        let mut history = History::on_disk(self.disk.base, before);
        log[from..].iter().for_each(|(zxid, entry)| history.push(*zxid, entry.clone()));
        self.history = Some(history);
        self.role = Role::Looking;
    }

    /// What it is where it is not the leader; who is in no line follows without a vote.
    fn kind(&self) -> LearnerKind {
        match self.disk.configuration().member(self.id) {
            Some(member) if !member.is_voter() => LearnerKind::Observer,
            _ => LearnerKind::Follower,
        }
    }

    fn is_next_logged(&self) -> bool {
        self.disk.next.is_some() && self.disk.next == self.disk.shown()
    }

    pub fn lead(&mut self, now: Instant) {
        self.elected_with = (self.disk.current, self.disk.last());
        let start = leader::Start {
            testing: Testing::default(),
            me: self.id,
            timing: TIMING,
            limits: Limits::default(),
            accepted: self.disk.accepted,
            current: self.disk.current,
            configuration: self.disk.configuration().clone(),
            next: self.disk.next.clone(),
            is_next_logged: self.is_next_logged(),
            lists: zabd_zab::quorum::Lists::default(),
            reconfig: true,
            history: self.history.take().expect("a server that looks has its history"),
            electing: BTreeSet::new(),
        };
        self.committed = Zxid::ZERO;
        self.role = Role::Leading(Box::new(leader::Leader::new(now, start, &mut self.effects)));
    }

    pub fn learn(&mut self, now: Instant, leader: ServerId, elected_with: (Epoch, Zxid)) {
        let start = learner::Start {
            masters: Vec::new(),
            dial: DialId(1),
            testing: Testing::default(),
            me: self.id,
            leader,
            kind: self.kind(),
            timing: TIMING,
            limits: Limits::default(),
            accepted: self.disk.accepted,
            current: self.disk.current,
            configuration: self.disk.configuration().clone(),
            next: self.disk.next.clone(),
            is_next_logged: self.is_next_logged(),
            lists: zabd_zab::quorum::Lists::default(),
            reconfig: true,
            history: self.history.take().expect("a server that looks has its history"),
            vouches: true,
            begins_anew: false,
            is_partial: false,
            needs_snapshot: self.needs_snapshot,
            elected_with: Some(elected_with),
        };
        self.committed = Zxid::ZERO;
        let machine = Box::new(learner::Learner::new(now, start, &mut self.effects));
        self.role = Role::Learning { machine, link: None };
    }

    /// The role is over; its history waits until the disk has caught up.
    pub fn leave(&mut self) {
        self.history = match std::mem::replace(&mut self.role, Role::Settling) {
            Role::Leading(machine) => Some(machine.into_history()),
            Role::Learning { machine, .. } => Some(machine.into_history()),
            _ => self.history.take(),
        };
        self.is_serving = false;
    }

    pub fn lead_step(&mut self, now: Instant, input: leader::Input) {
        if let Role::Leading(machine) = &mut self.role {
            machine.step(now, input, &mut self.effects);
        }
    }

    pub fn learn_step(&mut self, now: Instant, input: learner::Input) {
        if let Role::Learning { machine, .. } = &mut self.role {
            machine.step(now, input, &mut self.effects);
        }
    }

    /// What clients can see.
    pub fn shown(&self) -> Vec<Zxid> {
        let mut all = self.disk.all();
        all.retain(|zxid| *zxid <= self.committed);
        all
    }

    /// What it is and has, for a story that ends badly.
    pub fn described(&self) -> String {
        let role = match &self.role {
            Role::Down => "is down".to_owned(),
            Role::Settling => "is settling".to_owned(),
            Role::Looking => "is looking".to_owned(),
            Role::Leading(machine) => format!("leads in epoch {}", machine.epoch()),
            Role::Learning { link, .. } => format!("learns over {link:?}"),
        };
        let Self { id, disk, is_serving, committed, queue, needs_snapshot, .. } = self;
        let Disk { accepted, current, .. } = disk;
        let (last, held) = (disk.last(), disk.configuration());
        let next = disk.next.as_ref().map_or("nothing".to_owned(), Configuration::to_string);
        format!(
            "\n{id} {role}, serves: {is_serving}, accepted {accepted}, current {current}, logged {last}, committed {committed}, \
             queued {queue:?}, needs a snapshot: {needs_snapshot}; holds\n{held}\nnext is\n{next}"
        )
    }

    pub fn is_settled(&self) -> bool {
        matches!(self.role, Role::Settling) && self.queue.is_empty()
    }

    /// Does the oldest disk operation, and tells the role.
    pub fn work_disk(&mut self, now: Instant) -> bool {
        let Some(operation) = self.queue.pop_front() else { return false };
        match operation {
            DiskOperation::Append(zxid, entry) => {
                self.disk.append(zxid, entry);
                self.lead_step(now, leader::Input::Synced { upto: zxid });
                self.learn_step(now, learner::Input::Synced { upto: zxid });
            }
            DiskOperation::Persist(what) => {
                match &what {
                    Durable::Accepted(epoch) => self.disk.accepted = *epoch,
                    Durable::Current(epoch) => self.disk.current = *epoch,
                    Durable::Configuration(configuration) => self.disk.hold((**configuration).clone()),
                    Durable::Lists(_) => (),
                    Durable::Partial(_) => unreachable!("everybody here vouches for what it has"),
                    Durable::NextConfiguration(next) => {
                        let is_newer = self.disk.configuration().version() < next.version();
                        self.disk.next = is_newer.then(|| (**next).clone());
                    }
                }
                self.lead_step(now, leader::Input::Persisted(what.clone()));
                self.learn_step(now, learner::Input::Persisted(what));
            }
            DiskOperation::Truncate(zxid) => {
                if zxid == self.disk.base || self.disk.log.iter().any(|(logged, _)| *logged == zxid) {
                    self.disk.log.retain(|(logged, _)| *logged <= zxid);
                    self.disk.changes.retain(|changed, _| *changed <= zxid);
                }
                let last = self.disk.last();
                self.rebase(now, last);
            }
            DiskOperation::Adopt { zxid, epoch } => {
                self.needs_snapshot = false;
                let Image { transactions, changes } = self.received.take().expect("a snapshot has come");
                self.disk.snapshot = transactions;
                self.disk.base = zxid;
                self.disk.log.retain(|(logged, _)| *logged > zxid && logged.epoch() == epoch);
                self.disk.changes.retain(|changed, _| *changed > zxid && changed.epoch() == epoch);
                self.disk.changes.extend(changes);
                self.disk.current = self.disk.current.max(zxid.epoch());
                let last = self.disk.last();
                self.rebase(now, last);
            }
        }
        self.disk.assert_readable_by_java();
        true
    }

    fn rebase(&mut self, now: Instant, last: Zxid) {
        if let Role::Learning { .. } = &self.role {
            let shown = self.disk.shown().map(Box::new);
            self.learn_step(now, learner::Input::Rebased { last, shown });
        } else {
            self.disk.see_shown();
            self.history = Some(History::new(last));
        }
    }
}
