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
//! - what was logged here and is cut off was never committed, and is forgotten: who cuts has the promises of a quorum, of which nobody had it;
//! - a snapshot that is taken over brings changes along whose transactions never come: the newest stands in its tree. That of an
//!   established leader shows what is committed, and so it holds. That of one which is not may show a change that only its log has,
//!   and is written down like a proposal. Between what is held here and such a change there is no other: a leader is followed on its
//!   own word, which names what it holds, and it comes to hold another only when it is established;
//! - behind a crash, the tree of that snapshot says so again, see `zabd_replica`'s ensemble. Where the file of members has no number, that
//!   has the last word at a start, for it may be newer than the data, unless something is noted. So if the place is free, the note
//!   comes before the snapshot there. If it is not, what is noted may be in the log, and stays until the snapshot has replaced that.
//!
//! **Logged, or in doubt.** That a change is noted and older than the end of the log does not say that the log has it. It may have been
//! proposed by a leader that nobody heard of it, and other histories have gone beyond it: no quorum of the members that hold knows of it
//! then, and to hold it would make a second ensemble. So a noted change counts as logged only if the tree that was made of this history shows
//! just that one, or this process has logged it since. Every other one is in doubt:
//!
//! - its voters go on being asked. Whoever asks both asks those of the members that hold, whichever those are;
//! - it does not come to hold because another one follows. If that one had followed it, its proposer would have held it, and everybody who
//!   has that one in its log, since each holds at least what its leader held: this server would hold it, too;
//! - it comes to hold by what is said of it: by its commit, or by an established leader that tells it. A leader that knows of it completes
//!   it, logged or not, as Java's does: quorums of both configurations have written it down by then, as if it were proposed anew;
//! - so that the log goes on without it does not prove it void: what was completed in this way has no transaction, and a tree that a server of
//!   Java has made may show what that held instead of the newest change of its history. It is forgotten at UPTODATE, and makes room
//!   before that for a change that is in the history for certain or that the leader tells instead, as the next paragraphs say;
//! - to follow an established leader takes a quorum of the members that hold alone, so what is void keeps nobody outside.
//!
//! **Nobody leads past a change.** A follower names the change that it has noted when it introduces itself. A leader begins with the promises
//! of a quorum of the members that it holds, and completes the change that these know of, with quorums of its voters, too
//! ([`crate::leader::noted`]). Let A have completed the change from C to N, and let X begin later and hold C.
//! Quorums of C and N have acknowledged A's NEWLEADER, or the proposal, and N was on disk there before. One of C has promised X; so some
//! server has done both, first the one and then the other. When it introduced itself to X, it
//!
//! - held N or what followed. Then X must not lead it;
//! - or had N noted. Then X knows of N;
//! - or had another change M in that one place, from a leader Z between A and X. By this argument Z knew of N or held it, and it
//!   has not completed M instead, for it never counts two changes in doubt together. So Z held N, or had M in its log, behind A's
//!   history: who proposed M has seen N hold. A change is proposed only when followers that are in step are a quorum of it with the leader
//!   (`Leader::has_synced_quorum_of`), and in step is who has N on disk. X needs a quorum of M's voters, and one of those is there, which
//!   X must not lead, or count for M;
//! - or had forgotten it: at UPTODATE, when Z had told what it held by then, N or what followed; or because N was cut off its log, so that what it had
//!   acknowledged of A's was never completed.
//!
//! So X has a quorum of N with it, and all that was committed by N alone is in its history, as ever. Who is a witness here has
//! acknowledged. That `currentEpoch` says that an epoch was joined is not enough: it rises with the first record of a reign, and
//! a link that breaks in the midst of DIFF leaves a server with the epoch and without NEWLEADER. For the same reason it does not matter
//! which of the two a crash leaves out, the change that NEWLEADER tells or the epoch behind it: all of the initial history is on
//! disk before, and nothing was acknowledged.
//!
//! Servers of Java write changes down in the same way, and neither name them nor ask for them. With one of them for a witness, or for
//! a leader, there may be two leaders in this case, as in Java.

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
    /// What an earlier role, or a start, knows. The first position of an epoch is no transaction's, but that of a configuration
    /// which a leader has numbered.
    pub(super) fn new(next: Option<Configuration>, is_next_logged: bool, history: &History) -> Self {
        let noted = next.as_ref().map(Configuration::version);
        let proposed = next.map(|configuration| {
            let at = Zxid(configuration.version().0);
            let is_in_log = is_next_logged || (is_on(Mutation::LoggedByPosition) && at <= history.last());
            Change { at, is_logged: is_in_log && at.counter() != 0, configuration }
        });
        Self { proposed: proposed.into_iter().collect(), told: None, noted }
    }

    /// The one on disk; asked before anything has come from the leader. Whether it is logged makes no difference: a tree may show
    /// what was completed without a transaction, and is not made of the log alone if it was a leader's.
    pub(super) fn noted(&self) -> Option<&Configuration> {
        let mut known = self.proposed.iter().map(|change| &change.configuration);
        known.find(|known| Some(known.version()) == self.noted)
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
        let Some(change) = self.changes.proposed.iter_mut().find(|change| change.at == zxid) else { return };
        change.is_logged = true;
        let configuration = change.configuration.clone();
        self.hold_before(configuration.version(), out);
        self.write_next(configuration, out);
    }

    /// A snapshot is about to take the place of what is there.
    pub(super) fn note_before_adoption(&mut self, shown: Option<Box<Configuration>>, out: &mut Effects) {
        let is_unnumbered = self.reconfig && self.configuration.version() == ConfigVersion::ZERO;
        if let Some(shown) = shown.filter(|_| is_unnumbered && self.changes.noted.is_none()) {
            self.write_next(*shown, out);
        }
    }

    /// The log has another base, or another end: of changes, it is left with the one that the tree made of it shows. What came
    /// before that may be in a snapshot, and be committed, and may have been cut off. What is noted and not shown is in doubt.
    pub(super) fn note_shown(&mut self, shown: Option<Box<Configuration>>, out: &mut Effects) {
        let is_change = |version: ConfigVersion| Zxid(version.0).counter() != 0;
        let last = self.history.last();
        let cut_off =
            self.changes.newest_logged().map(Configuration::version).filter(|logged| last < Zxid(logged.0));
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
            None if cut_off.is_some() && self.changes.noted == cut_off => self.forget_next(out),
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
        let due = due.filter(|change| change.is_logged || change.at == zxid);
        if let Some(newest) = due.map(|change| change.configuration).max_by_key(Configuration::version) {
            self.hold(newest, out);
        }
        if self.reconfig && (leader != self.leader || !self.has_role()) {
            self.leave(Reason::Reconfigured { leader }, out);
        }
    }

    /// The configuration of NEWLEADER holds, unless a newer one does by now. One that was heard of earlier and is neither
    /// that nor in the log is in nobody's history any more, and is forgotten: a server that went on to ask its voters would
    /// look for a leader among servers that never were members. One that is in the log and of an earlier epoch is committed; if an older
    /// one is told instead, the leader goes on without it, and does not see it hold before the next, but others may complete it.
    pub(super) fn activate_as_told(&mut self, out: &mut Effects) {
        let begin = self.epoch.first_zxid();
        let logged = self.changes.newest_logged().map(Configuration::version);
        self.changes.proposed.retain(|change| begin < change.at);
        if let Some(told) = self.changes.told.take().filter(|told| !self.is_in_flight(told.version())) {
            self.hold(told, out);
        }
        if self.changes.noted.is_some() && self.changes.noted != logged {
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
