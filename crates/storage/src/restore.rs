//! Giving a lone server another past because an operator says so: a snapshot from elsewhere takes the place of everything.
//!
//! The snapshot gets its name in one step, and that name is above everything that is on the disk: before the step a start
//! finds the old past, all of it, and behind the step the new one. What was there before is moved out of the way then, so that
//! nobody reads across the seam between the two, neither a start that cannot read the snapshot one day nor a server that sends
//! others what it finds in its logs; and so that whoever has restored the wrong thing can go back.
//!
//! ```text
//! commit      restoring "<zxid> clear" · currentEpoch.tmp · the snapshot's name · currentEpoch
//! set aside   replaced/ emptied · restoring "<zxid> move" · each older snapshot and log, into replaced/ · restoring removed
//! ```
//!
//! `restoring` says how far it is, and a start goes on from there. What `replaced/` held of a restore before is kept until
//! another one has happened: the first word says that it may go, the second that what is in there now is what has just been
//! replaced. With logs in a directory of their own each has a `replaced/`. The epochs are touched only where there are any,
//! in a directory that once was a member's: as in [`crate::rebase`], Java's member starts on no newer transactions than its epoch.
//!
//! Java's server changes what it has in memory and nothing on the disk.

use std::io;
use std::path::{Path, PathBuf};

use zabd_jute::Zxid;

use crate::disk::{Disk, DiskFile};
use crate::epochs::{self, EpochError, EpochFile};
use crate::layout::{self, NamedFile};
use crate::recovery::{Directories, RecoveryError, directory_error};
use crate::snapshot::{SealedSnapshot, SnapshotError};

/// The file beside the snapshots that says how far a restore is.
pub const RESTORING: &str = "restoring";

/// The directory to which that goes which was replaced.
pub const REPLACED: &str = "replaced";

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// What was there is there.
    #[error("nothing was restored, and nothing is lost")]
    NotBegun(#[source] SnapshotError),
    /// What a start would find is not known, so nothing may be added to either past.
    #[error("whether the restored snapshot has its name is not known; the next start shows it")]
    Undecided(#[source] SnapshotError),
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// What a restore before this one replaced may go.
    Clear,
    /// What is being replaced is on its way.
    Move,
}

impl Step {
    fn word(self) -> &'static str {
        match self {
            Step::Clear => "clear",
            Step::Move => "move",
        }
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SnapshotError {
    let path = path.to_owned();
    move |source| SnapshotError::Io { action, path, source }
}

/// The largest zxid that the name of a log or a snapshot has.
pub fn newest_named<D: Disk>(disk: &D, directories: &Directories) -> Result<Zxid, SnapshotError> {
    let (snapshots, logs) = (&directories.snapshots, &directories.logs);
    let snapshots = layout::snapshots(disk, snapshots).map_err(failed("list", snapshots))?;
    let logs = layout::logs(disk, logs).map_err(failed("list", logs))?;
    Ok(snapshots.iter().chain(&logs).map(|file| file.zxid).max().unwrap_or(Zxid::ZERO))
}

/// Makes the image what a start finds. It is as of `zxid`, which is above everything that is on the disk. Nothing may append
/// meanwhile; afterwards, the next record is behind `zxid`.
pub fn commit<D: Disk>(
    disk: &D,
    directories: &Directories,
    mut image: SealedSnapshot<D>,
    zxid: Zxid,
) -> Result<PathBuf, RestoreError> {
    let dir = &directories.snapshots;
    let newest = newest_named(disk, directories).map_err(RestoreError::NotBegun)?;
    assert!(newest < zxid, "what is restored is newer than what is on the disk");
    let begun = note(disk, directories, zxid, Step::Clear).map_err(failed("write", &dir.join(RESTORING)));
    let brings_epoch = begun.and_then(|()| prepare_epoch(disk, dir, zxid)).map_err(RestoreError::NotBegun)?;
    let path = image.path();
    if let Err(error) = image.publish() {
        return Err(match disk.length(&path) {
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => {
                // Best effort: a start removes it as well.
                let _ = disk.remove(&dir.join(RESTORING));
                RestoreError::NotBegun(error)
            }
            _ => RestoreError::Undecided(error),
        });
    }
    if brings_epoch {
        let committed = epochs::commit(disk, dir, EpochFile::Current).map_err(of_epoch);
        committed.map_err(RestoreError::Undecided)?;
    }
    Ok(path)
}

/// Whether there is an epoch that must be written behind the snapshot; the promise is no harm at any time.
fn prepare_epoch<D: Disk>(disk: &D, dir: &Path, zxid: Zxid) -> Result<bool, SnapshotError> {
    let epoch = u32::try_from(zxid.epoch().0.max(0)).unwrap_or(u32::MAX);
    let Ok(Some(current)) = epochs::read(disk, dir, EpochFile::Current) else { return Ok(false) };
    if epoch <= current {
        return Ok(false);
    }
    let accepted = epochs::read(disk, dir, EpochFile::Accepted).ok().flatten();
    if accepted.is_none_or(|accepted| accepted < epoch) {
        epochs::write(disk, dir, EpochFile::Accepted, epoch).map_err(of_epoch)?;
    }
    epochs::prepare(disk, dir, EpochFile::Current, epoch).map_err(of_epoch)?;
    Ok(true)
}

fn of_epoch(error: EpochError) -> SnapshotError {
    match error {
        EpochError::Io { action, path, source } => SnapshotError::Io { action, path, source },
        EpochError::NotANumber { path, .. } => {
            let source = io::Error::from(io::ErrorKind::InvalidData);
            SnapshotError::Io { action: "read", path, source }
        }
    }
}

/// Moves out of the way what a restore has replaced, or forgets one that came to nothing; yields where it is now. Does nothing
/// if there was none. A full disk leaves it for another time.
pub fn set_aside<D: Disk>(disk: &D, directories: &Directories) -> Result<Vec<PathBuf>, RecoveryError> {
    match try_set_aside(disk, directories) {
        Err(RecoveryError::Directory { source, .. }) if crate::disk::is_full(&source) => Ok(Vec::new()),
        outcome => outcome,
    }
}

fn try_set_aside<D: Disk>(disk: &D, directories: &Directories) -> Result<Vec<PathBuf>, RecoveryError> {
    let Directories { snapshots: snapshot_dir, logs: log_dir } = directories;
    let Some((zxid, step)) = noted(disk, directories)? else { return Ok(Vec::new()) };
    let snapshots = layout::snapshots(disk, snapshot_dir).map_err(directory_error("list", snapshot_dir))?;
    let mut places = Vec::new();
    if snapshots.iter().any(|file| file.zxid == zxid) {
        let logs = layout::logs(disk, log_dir).map_err(directory_error("list", log_dir))?;
        if step == Step::Clear {
            empty(disk, &snapshot_dir.join(REPLACED))?;
            empty(disk, &log_dir.join(REPLACED))?;
            note(disk, directories, zxid, Step::Move).map_err(directory_error("write to", snapshot_dir))?;
        }
        let old_snapshots = snapshots.into_iter().filter(|file| file.zxid < zxid);
        // A file of this very name was begun and holds nothing: the first record behind the snapshot has another one.
        let old_logs = logs.into_iter().filter(|file| file.zxid <= zxid);
        places.extend(move_into(disk, log_dir, &old_logs.collect::<Vec<_>>())?);
        places.extend(move_into(disk, snapshot_dir, &old_snapshots.collect::<Vec<_>>())?);
        places.dedup();
    }
    let note = snapshot_dir.join(RESTORING);
    disk.remove(&note).map_err(directory_error("remove", &note))?;
    disk.sync_dir(snapshot_dir).map_err(directory_error("write to", snapshot_dir))?;
    Ok(places)
}

fn empty<D: Disk>(disk: &D, dir: &Path) -> Result<(), RecoveryError> {
    let names = match disk.list(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        names => names.map_err(directory_error("list", dir))?,
    };
    for path in names.iter().map(|name| dir.join(name)) {
        disk.remove(&path).map_err(directory_error("remove", &path))?;
    }
    disk.sync_dir(dir).map_err(directory_error("write to", dir))
}

fn move_into<D: Disk>(disk: &D, dir: &Path, files: &[NamedFile]) -> Result<Option<PathBuf>, RecoveryError> {
    if files.is_empty() {
        return Ok(None);
    }
    let target = dir.join(REPLACED);
    disk.create_dir(&target).map_err(directory_error("create", &target))?;
    for file in files {
        let name = file.path.file_name().expect("a log or a snapshot has a name");
        match disk.rename(&file.path, &target.join(name)) {
            // A purge may have been faster.
            Err(error) if error.kind() == io::ErrorKind::NotFound => (),
            moved => moved.map_err(directory_error("move", &file.path))?,
        }
    }
    for each in [&target, dir] {
        disk.sync_dir(each).map_err(directory_error("write to", each))?;
    }
    Ok(Some(target))
}

fn note<D: Disk>(disk: &D, directories: &Directories, zxid: Zxid, step: Step) -> io::Result<()> {
    let dir = &directories.snapshots;
    let (path, beside) = (dir.join(RESTORING), dir.join(format!("{RESTORING}.tmp")));
    let mut file = disk.create(&beside)?;
    file.write_at(0, format!("{zxid:x} {}\n", step.word()).as_bytes())?;
    file.sync()?;
    disk.rename(&beside, &path)?;
    disk.sync_dir(dir)
}

/// What the file says. One that says nothing is none of ours, and is as good as one for a snapshot that is not there.
fn noted<D: Disk>(disk: &D, directories: &Directories) -> Result<Option<(Zxid, Step)>, RecoveryError> {
    let path = directories.snapshots.join(RESTORING);
    let bytes = match disk.read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        bytes => bytes.map_err(directory_error("read", &path))?,
    };
    let text = String::from_utf8_lossy(&bytes);
    let mut words = text.split_ascii_whitespace();
    let zxid = words.next().and_then(|word| i64::from_str_radix(word, 16).ok()).map(Zxid);
    let step = match words.next() {
        Some("move") => Step::Move,
        _ => Step::Clear,
    };
    Ok(Some((zxid.unwrap_or(Zxid(-1)), step)))
}
