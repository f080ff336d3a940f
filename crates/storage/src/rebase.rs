//! Giving a member of an ensemble another past: cutting what was never agreed on, or taking a leader's state
//! in its place.
//!
//! Both end with files that a start reads as exactly the new past, and wherever they stop, with files that a
//! start reads as the old past, or as the old one cut. What is cut off was not committed: the leader of a newer
//! epoch, whom a quorum has promised to follow, does not have it.
//!
//! ```text
//! cut     snapshots behind the position, newest first · log files behind it, newest first · the rest of its file
//! adopt   currentEpoch.tmp · records behind the image · snapshots behind it · the image's name · currentEpoch ·
//!         snapshots before it
//! ```
//!
//! The order of *adopt* keeps two promises. Records behind the image's position would be replayed over it, so they
//! go before it has its name. And an image with transactions of a newer epoch than `currentEpoch` says is a
//! directory on which no Java server starts, unless `currentEpoch.tmp` is there to be taken up; so that is written
//! before, and renamed after. A crash in between leaves a `currentEpoch.tmp` that means nothing, which
//! [`settle_epochs`] removes.
//!
//! Java's `FileTxnSnapLog.truncateLog` and the part of `Learner.syncWithLeader` that follows SNAP; both leave
//! something behind in some of these cases.

use std::io;
use std::path::{Path, PathBuf};

use zabd_jute::{Epoch, Limits, Zxid};
use zabd_mutation::{Mutation, is_on};

use crate::disk::{Disk, is_want};
use crate::epochs::{self, EpochError, EpochFile};
use crate::layout;
use crate::log::{self, LogError, Records, Tail};
use crate::recovery::Directories;
use crate::snapshot::{SealedSnapshot, SnapshotError};

/// Why the past could not be replaced. What was there is still there, or cut.
#[derive(Debug, thiserror::Error)]
pub enum RebaseError {
    /// A file could not be listed, removed or renamed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The log could not be read or cut.
    #[error(transparent)]
    Log(#[from] LogError),
    /// An epoch could not be written.
    #[error(transparent)]
    Epoch(#[from] EpochError),
    /// The image could not be named.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The epochs on disk contradict each other.
    #[error(
        "{} says {accepted} and currentEpoch beside it {current}: a server promises an epoch before it joins it; \
         restore both from a copy, or remove the data so that this server fetches it from its peers",
        path.display()
    )]
    EpochsContradict {
        /// `acceptedEpoch`.
        path: PathBuf,
        /// What it says.
        accepted: Epoch,
        /// What `currentEpoch` says.
        current: Epoch,
    },
}

impl RebaseError {
    /// Whether only room or a descriptor was missing: the same may be tried again, and goes on where it stopped.
    pub fn is_want(&self) -> bool {
        match self {
            RebaseError::Io { source, .. } => is_want(source),
            RebaseError::Log(error) => error.is_want(),
            RebaseError::Epoch(error) => error.is_want(),
            RebaseError::Snapshot(error) => error.is_want(),
            RebaseError::EpochsContradict { .. } => false,
        }
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> RebaseError {
    let path = path.to_owned();
    move |source| RebaseError::Io { action, path, source }
}

/// Forgets everything behind `last`; false, with nothing touched, if what would be left does not end exactly there.
/// Nothing may append meanwhile.
pub fn cut<D: Disk>(
    disk: &D,
    directories: &Directories,
    last: Zxid,
    limits: Limits,
) -> Result<bool, RebaseError> {
    let Directories { snapshots: snapshot_dir, logs: log_dir } = directories;
    settle_names(disk, directories)?;
    let snapshots = layout::snapshots(disk, snapshot_dir).map_err(failed("list", snapshot_dir))?;
    let Some(base) = snapshots.iter().rfind(|file| file.zxid <= last) else { return Ok(false) };
    if !reaches(disk, log_dir, base.zxid, last, limits)? {
        return Ok(false);
    }
    let stays = is_on(Mutation::CutKeepsSnapshots);
    for snapshot in snapshots.iter().rev().take_while(|file| last < file.zxid && !stays) {
        disk.remove(&snapshot.path).map_err(failed("remove", &snapshot.path))?;
        disk.sync_dir(snapshot_dir).map_err(failed("remove a snapshot from", snapshot_dir))?;
    }
    cut_log(disk, log_dir, last, limits)?;
    Ok(true)
}

/// An attempt that failed may have removed what is not durably gone. Nothing would lead to it after a crash, if what stands before
/// it went meanwhile.
fn settle_names<D: Disk>(disk: &D, Directories { snapshots, logs }: &Directories) -> Result<(), RebaseError> {
    [snapshots, logs].into_iter().try_for_each(|dir| disk.sync_dir(dir).map_err(failed("write to", dir)))
}

/// Whether the log leads from a snapshot at `base` to exactly `last`, without a gap.
fn reaches<D: Disk>(
    disk: &D,
    log_dir: &Path,
    base: Zxid,
    last: Zxid,
    limits: Limits,
) -> Result<bool, RebaseError> {
    let mut at = base;
    let mut records = Records::after(disk.clone(), log_dir, base, limits)?.of_any_length();
    while at < last {
        match records.next_record() {
            Ok(Some(record)) => at = record.zxid,
            Ok(None) | Err(LogError::Gap { .. }) => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(at == last)
}

/// Forgets every record behind `last`, whether the log holds `last` itself or not.
fn cut_log<D: Disk>(disk: &D, log_dir: &Path, last: Zxid, limits: Limits) -> Result<(), RebaseError> {
    let files = layout::logs(disk, log_dir).map_err(failed("list", log_dir))?;
    for file in files.iter().rev().take_while(|file| last < file.zxid) {
        disk.remove(&file.path).map_err(failed("remove", &file.path))?;
        disk.sync_dir(log_dir).map_err(failed("remove a log from", log_dir))?;
    }
    let Some(newest) = files.iter().rfind(|file| file.zxid <= last) else { return Ok(()) };
    // Whatever comes before the file's own records is not its business.
    let before = Zxid(newest.zxid.0 - 1);
    let mut records = Records::after(disk.clone(), log_dir, before, limits)?.of_any_length();
    let mut end = None;
    while let Some(record) = records.next_record()? {
        if last < record.zxid || is_on(Mutation::CutTakesOneMore) && last == record.zxid {
            end = Some(Tail { path: record.path.to_owned(), offset: record.offset });
            break;
        }
    }
    drop(records);
    match end {
        Some(end) => Ok(log::cut_tail(disk, &end)?),
        None => Ok(()),
    }
}

/// Takes a leader's image for the past: it ends at `zxid`, the position that the leader gave it, and is joined in
/// `epoch`. Records behind it stay only if they are of that epoch: then they are the leader's own. The image is needed until
/// this has succeeded.
pub fn adopt<D: Disk>(
    disk: &D,
    directories: &Directories,
    image: &mut SealedSnapshot<D>,
    zxid: Zxid,
    epoch: Epoch,
    limits: Limits,
) -> Result<(), RebaseError> {
    let Directories { snapshots: snapshot_dir, logs: log_dir } = directories;
    settle_names(disk, directories)?;
    let current = epochs::read(disk, snapshot_dir, EpochFile::Current)?.unwrap_or_default();
    let brings_epoch = epoch_number(zxid.epoch()) > current;
    if brings_epoch {
        epochs::prepare(disk, snapshot_dir, EpochFile::Current, epoch_number(zxid.epoch()))?;
    }
    if brings_epoch && is_on(Mutation::AdoptJoinsFirst) {
        epochs::commit(disk, snapshot_dir, EpochFile::Current)?;
    }
    if is_on(Mutation::AdoptPublishesFirst) {
        image.publish()?;
    }
    let newest = log::last_record(disk, log_dir, limits)?;
    let is_other = newest.is_some_and(|newest| zxid < newest && newest.epoch() < epoch);
    if is_other && !is_on(Mutation::AdoptKeepsRecords) {
        cut_log(disk, log_dir, zxid, limits)?;
    }
    let snapshots = layout::snapshots(disk, snapshot_dir).map_err(failed("list", snapshot_dir))?;
    for snapshot in snapshots.iter().rev().take_while(|file| zxid < file.zxid) {
        disk.remove(&snapshot.path).map_err(failed("remove", &snapshot.path))?;
        disk.sync_dir(snapshot_dir).map_err(failed("remove a snapshot from", snapshot_dir))?;
    }
    image.publish()?;
    if brings_epoch && !is_on(Mutation::AdoptJoinsFirst) {
        epochs::commit(disk, snapshot_dir, EpochFile::Current)?;
    }
    // From an older snapshot no log leads to the image. If that were damaged one day, a start would take the older one and
    // go on behind the hole, which the first record of a new epoch hides.
    for snapshot in snapshots.iter().filter(|file| file.zxid < zxid) {
        disk.remove(&snapshot.path).map_err(failed("remove", &snapshot.path))?;
    }
    disk.sync_dir(snapshot_dir).map_err(failed("remove older snapshots from", snapshot_dir))
}

/// What a member has promised and what it has joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epochs {
    /// The newest epoch whose leader it promised to follow.
    pub accepted: Epoch,
    /// The epoch whose history it has.
    pub current: Epoch,
}

/// Reads the epochs of a directory whose newest transaction is `last`, and sets right what a crash left. Both
/// files are there afterwards.
///
/// A history without gaps that ends in an epoch holds that epoch's initial history, so the epoch file may be
/// brought up to it, and no further; one that holds no number is replaced only where it can have been no other (see
/// [`crate::damaged_epochs::judge_epochs`]). Java takes up a `currentEpoch.tmp` unchecked.
pub fn settle_epochs<D: Disk>(disk: &D, dir: &Path, last: Zxid) -> Result<Epochs, RebaseError> {
    let reached = epoch_number(last.epoch());
    let accepted = epochs::read(disk, dir, EpochFile::Accepted)?;
    let current = match epochs::read(disk, dir, EpochFile::Current) {
        Err(EpochError::NotANumber { .. }) if accepted == Some(reached) => None,
        current => current?,
    };
    let settled = current.unwrap_or(reached).max(reached);
    let promised = accepted.unwrap_or(settled).max(reached);
    if promised < settled {
        return Err(RebaseError::EpochsContradict {
            path: dir.join(EpochFile::Accepted.name()),
            accepted: Epoch(i64::from(promised)),
            current: Epoch(i64::from(settled)),
        });
    }
    if is_on(Mutation::JoinedBeforePromised) {
        epochs::write(disk, dir, EpochFile::Current, settled)?;
    }
    // The promise first: a server that ends in between has promised what it has.
    if accepted != Some(promised) {
        epochs::write(disk, dir, EpochFile::Accepted, promised)?;
    }
    if current != Some(settled) {
        epochs::write(disk, dir, EpochFile::Current, settled)?;
    }
    for file in [EpochFile::Accepted, EpochFile::Current] {
        epochs::discard(disk, dir, file)?;
    }
    Ok(Epochs { accepted: Epoch(i64::from(promised)), current: Epoch(i64::from(settled)) })
}

/// The number in an epoch's file. Real epochs are small: they count leaders.
fn epoch_number(epoch: Epoch) -> u32 {
    u32::try_from(epoch.0.max(0)).unwrap_or(u32::MAX)
}
