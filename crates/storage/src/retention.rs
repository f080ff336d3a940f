//! Which files are not needed any more: Java's rule, `PurgeTxnLog`.
//!
//! The newest snapshots are kept, as many as asked for and only whole ones count; let X be the oldest of
//! them. Snapshots before X go, and logs before X, except the newest that begins at or before X: it may
//! hold records behind X. Names that carry no zxid are none of ours and stay.

use std::path::{Path, PathBuf};

use crate::disk::Disk;
use crate::layout::{self, NamedFile};
use crate::recovery::{Directories, RecoveryError};
use crate::snapshot::{self, Compression};

/// Fewer than this are never kept.
pub const RETAINED_MIN: usize = 3;

/// What may go.
pub fn superfluous<D: Disk>(
    disk: &D,
    directories: &Directories,
    retained: usize,
) -> Result<Vec<PathBuf>, RecoveryError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| RecoveryError::Directory { action: "list", path, source }
    };
    let snapshots =
        layout::snapshots(disk, &directories.snapshots).map_err(failed(&directories.snapshots))?;
    let logs = layout::logs(disk, &directories.logs).map_err(failed(&directories.logs))?;
    let whole = snapshots.iter().rev().filter(|file| looks_whole(disk, file));
    let Some(oldest) = whole.take(retained.max(RETAINED_MIN)).last() else { return Ok(Vec::new()) };
    let needed_log = logs.iter().rev().find(|log| log.zxid <= oldest.zxid).map(|log| log.zxid);
    let old = |file: &&NamedFile| file.zxid < oldest.zxid;
    let old_snapshots = snapshots.iter().filter(old);
    let old_logs = logs.iter().filter(old).filter(|log| Some(log.zxid) != needed_log);
    Ok(old_snapshots.chain(old_logs).map(|file| file.path.clone()).collect())
}

/// Removes what may go; yields what went. Works on a full disk: nothing is written.
pub fn purge<D: Disk>(
    disk: &D,
    directories: &Directories,
    retained: usize,
) -> Result<Vec<PathBuf>, RecoveryError> {
    let files = superfluous(disk, directories, retained)?;
    for path in &files {
        disk.remove(path).map_err(|source| RecoveryError::Directory {
            action: "remove a file from",
            path: path.clone(),
            source,
        })?;
    }
    Ok(files)
}

/// Java's quick test: the end of an uncompressed file, the whole of a compressed one.
fn looks_whole<D: Disk>(disk: &D, file: &NamedFile) -> bool {
    let name = file.path.to_string_lossy();
    match Compression::of_name(&name) {
        Compression::None => disk
            .read(&file.path)
            .is_ok_and(|contents| contents.len() >= 10 && contents.ends_with(&snapshot::SLASH)),
        _ => snapshot::load(disk, &file.path).is_ok(),
    }
}
