//! What a start would do, found out by starting on a disk that only remembers.

use std::path::PathBuf;

use zabd_jute::{SessionId, Zxid};
use zabd_storage::apart::{APART, HERE};
use zabd_storage::disk::{Change, Disk, Rehearsal};
use zabd_storage::log::Cut;
use zabd_storage::recovery::RecoveryError;

use super::Patient;
use crate::admin::shown_node_count;
use crate::recover::{Reading, Story, recover};
use crate::repair::{MemberStart, recover_member};

/// A start that went through.
#[derive(Debug)]
pub struct Start {
    /// The snapshot with which it begins.
    pub snapshot: Option<PathBuf>,
    /// What is wrong with newer ones.
    pub passed_over: Vec<String>,
    /// Transactions of the log that are applied.
    pub replayed: u64,
    /// What it ends with.
    pub last_zxid: Zxid,
    /// Its znodes, as Java counts them.
    pub znodes: usize,
    /// Its sessions.
    pub sessions: usize,
    /// Whose ephemerals there are, and how many.
    pub ephemerals: Vec<(SessionId, usize)>,
    /// Ephemerals that are removed, for their sessions are gone.
    pub dead: Vec<String>,
    /// What is cut off the log.
    pub cut: Option<Cut>,
    /// Transactions behind which the tree was not what the log says.
    pub digest_mismatches: u64,
    /// A snapshot is written at once.
    pub writes_snapshot: bool,
    /// The server has no vote until a leader has given it its state.
    pub has_no_vote: bool,
    /// There is a snapshot with transactions, and no log at all.
    pub lacks_logs: bool,
    /// What it changes in the directories before it serves, but for that snapshot.
    pub changes: Vec<Change>,
}

impl Start {
    /// Whether nobody needs to know what it does.
    pub(super) fn is_quiet(&self) -> bool {
        let is_usual = |change: &Change| match change {
            Change::NewDirectory(_) => true,
            // The first start on directories that were not marked yet.
            Change::Written(path) => path.file_name().is_some_and(|name| name == HERE || name == APART),
            _ => false,
        };
        self.changes.iter().all(is_usual)
            && self.passed_over.is_empty()
            && self.dead.is_empty()
            && self.digest_mismatches == 0
            && !self.lacks_logs
            && !self.has_no_vote
    }
}

/// Starts on what a disk has, as a member or alone.
pub(super) fn rehearse<D: Disk>(
    disk: &D,
    patient: &Patient,
    is_member: bool,
    others_are_a_quorum: bool,
) -> Result<Start, RecoveryError> {
    let trial = Rehearsal::on(disk.clone());
    let options = patient.recovery(is_member);
    let reading = Reading { is_member, ..Reading::default() };
    let (tree_options, limits) = (Patient::tree_options(), patient.limits);
    let MemberStart { recovered, has_lost } = if is_member {
        recover_member(&trial, &options, tree_options, limits, reading, others_are_a_quorum)?
    } else {
        let recovered = recover(&trial, &options, tree_options, limits, reading)?;
        MemberStart { recovered, has_lost: false }
    };
    let tree = &recovered.tree;
    let owners = tree.sessions_with_ephemerals();
    let mut ephemerals: Vec<_> = owners.map(|owner| (owner, tree.ephemerals(owner).len())).collect();
    ephemerals.sort_unstable();
    let (znodes, sessions) = (shown_node_count(tree.node_count()), tree.session_count());
    let Story { snapshot, passed_over, replayed, cut, dead, lacks_logs } = recovered.story;
    Ok(Start {
        snapshot,
        passed_over,
        replayed,
        last_zxid: recovered.tree.last_zxid(),
        znodes,
        sessions,
        ephemerals,
        dead,
        cut,
        digest_mismatches: recovered.figures.digest_mismatches,
        writes_snapshot: recovered.needs_snapshot,
        has_no_vote: has_lost,
        lacks_logs,
        changes: trial.changes(),
    })
}
