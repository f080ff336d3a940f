//! Which members hold, and which may come to hold: what a learner hears of that, and what it writes down when.
//!
//! A change of members is a transaction. Whoever has it in its log must know of it at its next start, whether it was committed or
//! not, or it would elect, or be elected, without those whom the change needs. There is one place on disk for a change that does
//! not hold yet, so:
//!
//! - it is written when its transaction is logged, before that, and not when it comes: a proposal that waits for UPTODATE
//!   must not take the place of what NEWLEADER told, which may be committed and known to nobody else in an election;
//! - whoever proposes a change has seen the one before it hold. So when one follows another in the log, the earlier one is
//!   committed, and holds; the place is free;
//! - a Java leader tells by NEWLEADER what it has only proposed in its epoch, and then not what it holds. If another change is written down
//!   here, it may be in the initial history, and committed, and hold at others since their UPTODATE; or the leader has never held it.
//!   To forget it would leave this server to count the old members alone, beside servers that count the new ones; to hold it, the
//!   other way round. So the server leaves at UPTODATE, before it does anything about it: what it knows and has said is then what a server knows
//!   and has said that ended right there, which counts both. When the proposal is committed, or another leader has it in its initial
//!   history, it is told as what holds;
//! - what the log goes beyond without it, or is cut before, is in nobody's history any more, and is forgotten;
//! - a snapshot that is taken over brings changes along whose transactions never come: the newest stands in its tree. That of an
//!   established leader shows what is committed, and so it holds. That of one which is not may show a change that only its log has,
//!   and is written down like a proposal. Between what is held here and such a change there is no other: a leader is followed on its
//!   own word, which names what it holds, and it comes to hold another only when it is established;
//! - behind a crash, the tree of that snapshot says so again, see `zabd_replica`'s ensemble. Where the file of members has no number, that
//!   has the last word at a start, for it may be newer than the data. There the note comes before the snapshot.

use zabd_jute::quorum::Configuration;
use zabd_jute::txn::{Entry, Txn};
use zabd_jute::{ConfigVersion, OpCode, Reader, ServerId, Zxid};
use zabd_mutation::{Mutation, is_on};

use super::{Learner, Phase};
use crate::effect::{Durable, Effect, Effects, Reason};
use crate::history::History;

/// A configuration that does not hold yet.
#[derive(Debug)]
pub(super) struct Change {
    /// Where its transaction is in the log, or will be: from there on it holds when it is committed.
    at: Zxid,
    is_logged: bool,
    configuration: Configuration,
}

/// What a learner knows of members beside those that hold.
#[derive(Debug)]
pub(super) struct Changes {
    /// In the order in which they came.
    proposed: Vec<Change>,
    /// What NEWLEADER has told.
    told: Option<Configuration>,
    /// The version of the one on disk.
    noted: Option<ConfigVersion>,
}

impl Changes {
    /// What an earlier role, or a start, knows. A start forgets what its log went beyond, see the module's description. The first
    /// position of an epoch is no transaction's, but that of a configuration which a leader has numbered.
    pub(super) fn new(next: Option<Configuration>, history: &History) -> Self {
        let noted = next.as_ref().map(Configuration::version);
        let proposed = next.map(|configuration| {
            let at = Zxid(configuration.version().0);
            Change { at, is_logged: at.counter() != 0 && at <= history.last(), configuration }
        });
        Self { proposed: proposed.into_iter().collect(), told: None, noted }
    }

    fn newest_logged(&self) -> Option<&Configuration> {
        let logged = self.proposed.iter().filter(|change| change.is_logged);
        logged.map(|change| &change.configuration).max_by_key(|configuration| configuration.version())
    }
}

impl Learner {
    /// A proposal has come. A reconfiguration is the one transaction that is looked into.
    pub(super) fn note_change(&mut self, zxid: Zxid, entry: &[u8]) {
        if !self.reconfig || !is_reconfiguration(entry) {
            return;
        }
        let Ok(Entry { txn: Txn::SetData { data: Some(text), .. }, .. }) =
            Entry::decode(&mut Reader::new(entry))
        else {
            return;
        };
        if let Ok(configuration) = Configuration::parse(&String::from_utf8_lossy(text)) {
            self.changes.proposed.retain(|change| change.at != zxid);
            self.changes.proposed.push(Change { at: zxid, is_logged: false, configuration });
        }
    }

    /// The transaction at this position is about to be logged.
    pub(super) fn note_logged(&mut self, zxid: Zxid, out: &mut Effects) {
        let is_passed =
            |change: &mut Change| !change.is_logged && change.at < zxid && change.at.counter() != 0;
        let passed: Vec<_> = self.changes.proposed.extract_if(.., is_passed).collect();
        if passed.iter().any(|change| self.changes.noted == Some(change.configuration.version())) {
            self.forget_next(out);
        }
        let Some(change) = self.changes.proposed.iter_mut().find(|change| change.at == zxid) else { return };
        change.is_logged = true;
        let configuration = change.configuration.clone();
        self.hold_before(configuration.version(), out);
        self.write_next(configuration, out);
    }

    /// A snapshot is about to take the place of what is there.
    pub(super) fn note_before_adoption(&mut self, shown: Option<Box<Configuration>>, out: &mut Effects) {
        let newest = self.changes.noted.unwrap_or(self.configuration.version());
        let is_unnumbered = self.reconfig && self.configuration.version() == ConfigVersion::ZERO;
        if let Some(shown) = shown.filter(|shown| is_unnumbered && newest < shown.version()) {
            self.write_next(*shown, out);
        }
    }

    /// The log has another base, or another end: of changes, it is left with the one that the tree made of it shows. What came
    /// before that may be in a snapshot, and be committed, and may have been cut off.
    pub(super) fn note_shown(&mut self, shown: Option<Box<Configuration>>, out: &mut Effects) {
        let is_change = |version: ConfigVersion| Zxid(version.0).counter() != 0;
        self.changes.proposed.clear();
        let held = self.configuration.version();
        match shown.filter(|shown| self.reconfig && held < shown.version()) {
            Some(configuration) if self.base_is_committed => self.hold(*configuration, out),
            Some(configuration) => {
                let at = Zxid(configuration.version().0);
                let is_logged = is_change(configuration.version());
                self.write_next((*configuration).clone(), out);
                self.changes.proposed.push(Change { at, is_logged, configuration: *configuration });
            }
            None if self.changes.noted.is_some_and(is_change) => self.forget_next(out),
            None => (),
        }
    }

    /// NEWLEADER says what is to hold when the leader is established.
    pub(super) fn hear_told(&mut self, configuration: Configuration, out: &mut Effects) {
        let version = configuration.version();
        if self.changes.newest_logged().is_some_and(|logged| version < logged.version()) {
            self.hold(configuration.clone(), out);
        } else if !self.is_in_flight(version) {
            self.hold_before(version, out);
            self.write_next(configuration.clone(), out);
        }
        self.changes.told = Some(configuration);
    }

    /// Java's leader tells of a change that it has only proposed, too. That holds when its commit comes.
    fn is_in_flight(&self, version: ConfigVersion) -> bool {
        let at = Zxid(version.0);
        at.epoch() == self.epoch && at.counter() != 0 && self.committed < at
    }

    /// Whether what NEWLEADER told would hide a change that is written down, see the module's description.
    pub(super) fn is_noted_change_in_doubt(&self) -> bool {
        let told = self.changes.told.as_ref().map(Configuration::version);
        let Some(told) = told.filter(|told| self.is_in_flight(*told)) else { return false };
        self.changes.noted.is_some_and(|noted| self.configuration.version() < noted && noted != told)
    }

    /// The newest change in the log that is older than this one is committed, for this one followed it.
    fn hold_before(&mut self, version: ConfigVersion, out: &mut Effects) {
        if is_on(Mutation::EarlierChangeForgotten) {
            return;
        }
        let is_before = |change: &mut Change| change.is_logged && change.configuration.version() < version;
        let before = self.changes.proposed.extract_if(.., is_before).map(|change| change.configuration);
        if let Some(newest) = before.max_by_key(Configuration::version) {
            self.hold(newest, out);
        }
    }

    /// On disk before what it came with.
    fn write_next(&mut self, configuration: Configuration, out: &mut Effects) {
        let version = configuration.version();
        if self.configuration.version() < version && self.changes.noted != Some(version) {
            self.changes.noted = Some(version);
            out.push(Effect::Persist(Durable::NextConfiguration(Box::new(configuration))));
        }
    }

    fn forget_next(&mut self, out: &mut Effects) {
        self.changes.noted = None;
        out.push(Effect::Persist(Durable::NextConfiguration(Box::new(self.configuration.clone()))));
    }

    /// A reconfiguration is committed: it holds, and may have given somebody else the lead or this server
    /// another role.
    pub(super) fn activate(&mut self, zxid: Zxid, leader: ServerId, out: &mut Effects) {
        if self.phase == Phase::Left {
            return;
        }
        let due = self.changes.proposed.extract_if(.., |change| change.at <= zxid);
        if let Some(newest) = due.map(|change| change.configuration).max_by_key(Configuration::version) {
            self.hold(newest, out);
        }
        if self.reconfig && (leader != self.leader || !self.has_role()) {
            self.leave(Reason::Reconfigured { leader }, out);
        }
    }

    /// The configuration of NEWLEADER holds, unless a newer one does by now. One that was heard of earlier and is neither
    /// that nor in flight in this epoch is in nobody's history any more, and is forgotten: a server that went on to ask
    /// its voters would look for a leader among servers that never were members.
    pub(super) fn activate_as_told(&mut self, out: &mut Effects) {
        let begin = self.epoch.first_zxid();
        self.changes.proposed.retain(|change| begin < change.at);
        if let Some(told) = self.changes.told.take().filter(|told| !self.is_in_flight(told.version())) {
            self.hold(told, out);
        }
        let is_logged = |version| {
            self.changes
                .proposed
                .iter()
                .any(|change| change.is_logged && change.configuration.version() == version)
        };
        if self.changes.noted.is_some_and(|noted| !is_logged(noted)) {
            self.forget_next(out);
        }
    }

    fn hold(&mut self, configuration: Configuration, out: &mut Effects) {
        let version = configuration.version();
        if self.configuration.version() < version {
            self.configuration = configuration;
            self.changes.noted.take_if(|noted| *noted <= version);
            out.push(Effect::Persist(Durable::Configuration(Box::new(self.configuration.clone()))));
        }
    }
}

/// Where a log record's type stands: behind session, cxid, zxid and time.
const KIND_OFFSET: usize = 8 + 4 + 8 + 8;

fn is_reconfiguration(entry: &[u8]) -> bool {
    let kind = entry.get(KIND_OFFSET..).map(Reader::new).and_then(|mut r| r.int().ok());
    kind == Some(OpCode::Reconfig.code())
}
