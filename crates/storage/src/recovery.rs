//! What a start finds in the two directories, and whether it can be trusted.

use std::io;
use std::path::{Path, PathBuf};

use crate::disk::Disk;
use crate::layout::{self, NamedFile, VERSION_DIR};
use crate::log::LogError;
use crate::snapshot::SnapshotError;

/// How many snapshots are tried, as in Java.
const SNAPSHOTS_TRIED_MAX: usize = 100;

/// What the operator configured about starting.
#[derive(Clone, Debug)]
pub struct RecoveryOptions {
    /// `dataDir`.
    pub data_dir: PathBuf,
    /// `dataLogDir`, the same if it is not set.
    pub log_dir: PathBuf,
    /// `datadir.autocreate`: missing directories are made.
    pub autocreate: bool,
    /// `snapshot.trust.empty`: logs without a snapshot are replayed from nothing.
    pub trust_empty: bool,
}

/// Why a server must not start on what is there.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// A directory cannot be used.
    #[error("cannot {action} the directory {}; check that it exists, is writable and has room", path.display())]
    Directory {
        /// What was tried.
        action: &'static str,
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A directory does not exist, and must not be made.
    #[error("the directory {} does not exist, and datadir.autocreate is false; create it", path.display())]
    Missing {
        /// Which one.
        path: PathBuf,
    },
    /// `dataDir` and `dataLogDir` look swapped.
    #[error("{} holds {name}, which belongs into {what}; check dataDir and dataLogDir", path.display())]
    Misplaced {
        /// The directory.
        path: PathBuf,
        /// A file in it.
        name: String,
        /// Where such files belong.
        what: &'static str,
    },
    /// There are logs, and nothing that they could be replayed over.
    #[error(
        "{} holds logs, but {} holds no snapshot; restore one, or set snapshot.trust.empty=true once if the logs \
         are complete from the first transaction on", log_dir.display(), snapshot_dir.display()
    )]
    NoSnapshot {
        /// Where the logs are.
        log_dir: PathBuf,
        /// Where snapshots should be.
        snapshot_dir: PathBuf,
    },
    /// Snapshots are there, and none is whole.
    #[error("none of the snapshots in {} is whole; the newest: {newest}", snapshot_dir.display())]
    NoWholeSnapshot {
        /// Where they are.
        snapshot_dir: PathBuf,
        /// What is wrong with the newest.
        newest: String,
    },
    /// A snapshot cannot be read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// The two directories, checked.
#[derive(Clone, Debug)]
pub struct Directories {
    /// Where snapshots and epochs are.
    pub snapshots: PathBuf,
    /// Where logs are.
    pub logs: PathBuf,
}

/// Makes and checks the directories.
pub fn prepare<D: Disk>(disk: &D, options: &RecoveryOptions) -> Result<Directories, RecoveryError> {
    let snapshots = options.data_dir.join(VERSION_DIR);
    let logs = options.log_dir.join(VERSION_DIR);
    for path in [&snapshots, &logs] {
        if !options.autocreate
            && disk.list(path).is_ok_and(|names| names.is_empty())
            && disk.sync_dir(path).is_err()
        {
            return Err(RecoveryError::Missing { path: path.clone() });
        }
        let failed = |action| move |source| RecoveryError::Directory { action, path: path.clone(), source };
        disk.create_dir(path).map_err(failed("create"))?;
        probe(disk, path).map_err(failed("write to"))?;
    }
    if snapshots != logs {
        refuse_misplaced(disk, &logs, "snapshot.", "dataDir")?;
        refuse_misplaced(disk, &snapshots, "log.", "dataLogDir")?;
    }
    Ok(Directories { snapshots, logs })
}

/// A directory that cannot be written to must be known before the first write needs it. A full disk
/// is no reason not to start: reads can be served.
fn probe<D: Disk>(disk: &D, dir: &Path) -> io::Result<()> {
    let path = dir.join(".zabd-probe");
    match disk.create(&path) {
        Err(error) if crate::disk::is_full(&error) => Ok(()),
        Err(error) => Err(error),
        Ok(_) => disk.remove(&path),
    }
}

fn refuse_misplaced<D: Disk>(
    disk: &D,
    dir: &Path,
    prefix: &str,
    what: &'static str,
) -> Result<(), RecoveryError> {
    let listed = disk.list(dir);
    let names =
        listed.map_err(|source| RecoveryError::Directory { action: "list", path: dir.to_owned(), source })?;
    match names.into_iter().find(|name| name.starts_with(prefix)) {
        None => Ok(()),
        Some(name) => Err(RecoveryError::Misplaced { path: dir.to_owned(), name, what }),
    }
}

/// The snapshots to try, newest first. None, without logs, is an empty database.
pub fn snapshots_to_try<D: Disk>(
    disk: &D,
    directories: &Directories,
    trust_empty: bool,
) -> Result<Vec<NamedFile>, RecoveryError> {
    let listing = |path: &PathBuf| {
        let path = path.clone();
        move |source| RecoveryError::Directory { action: "list", path, source }
    };
    let mut snapshots =
        layout::snapshots(disk, &directories.snapshots).map_err(listing(&directories.snapshots))?;
    // A file without content was never one.
    snapshots.retain(|file| disk.length(&file.path).is_ok_and(|length| length > 0));
    let logs = layout::logs(disk, &directories.logs).map_err(listing(&directories.logs))?;
    let has_records = logs.iter().any(|file| disk.length(&file.path).is_ok_and(|length| length > 16));
    if snapshots.is_empty() && has_records && !trust_empty {
        return Err(RecoveryError::NoSnapshot {
            log_dir: directories.logs.clone(),
            snapshot_dir: directories.snapshots.clone(),
        });
    }
    snapshots.reverse();
    snapshots.truncate(SNAPSHOTS_TRIED_MAX);
    Ok(snapshots)
}
