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

#[cfg(test)]
mod tests {
    use zabd_jute::Zxid;

    use super::*;
    use crate::disk::{DiskFile, MemoryDisk};
    use crate::snapshot::{SnapshotTrailer, SnapshotWriter};

    fn directories(logs: &str) -> Directories {
        Directories { snapshots: "/data/version-2".into(), logs: logs.into() }
    }

    fn disk(snapshots: &[i64], logs: &[i64], directories: &Directories) -> MemoryDisk {
        let disk = MemoryDisk::default();
        for &zxid in snapshots {
            let writer =
                SnapshotWriter::begin(disk.clone(), &directories.snapshots, Zxid(zxid), Compression::None);
            let mut writer = writer.unwrap();
            writer.write(&snapshot::SLASH).unwrap();
            writer.finish(SnapshotTrailer::default()).unwrap();
        }
        for &zxid in logs {
            disk.create(&directories.logs.join(layout::log_name(Zxid(zxid)))).unwrap();
        }
        disk
    }

    fn names(disk: &MemoryDisk, dir: &Path) -> Vec<String> {
        disk.list(dir).unwrap()
    }

    #[test]
    fn the_log_below_the_oldest_kept_snapshot_stays() {
        for logs in ["/data/version-2", "/log/version-2"] {
            let directories = directories(logs);
            let disk = disk(&[10, 20, 30, 40, 50], &[1, 11, 25, 30, 41], &directories);
            purge(&disk, &directories, 3).unwrap();
            let left = [names(&disk, &directories.snapshots), names(&disk, &directories.logs)].concat();
            for kept in ["snapshot.1e", "snapshot.28", "snapshot.32", "log.1e", "log.29"] {
                assert!(left.contains(&kept.to_owned()), "{kept} of {left:?}");
            }
            for gone in ["snapshot.a", "snapshot.14", "log.1", "log.b", "log.19"] {
                assert!(!left.contains(&gone.to_owned()), "{gone} of {left:?}");
            }
        }
    }

    #[test]
    fn fewer_than_three_are_never_kept_and_broken_ones_do_not_count() {
        let directories = directories("/data/version-2");
        let disk = disk(&[10, 20, 30, 40], &[1, 11, 21, 31], &directories);
        let broken = directories.snapshots.join("snapshot.32");
        disk.create(&broken).unwrap().write_at(0, b"half a snapshot").unwrap();
        purge(&disk, &directories, 1).unwrap();
        let left = names(&disk, &directories.snapshots);
        assert_eq!(
            left,
            ["log.b", "log.15", "log.1f", "snapshot.14", "snapshot.1e", "snapshot.28", "snapshot.32"]
                .map(str::to_owned)
                .into_iter()
                .collect::<std::collections::BTreeSet<_>>()
                .into_iter()
                .collect::<Vec<_>>()
        );
    }

    #[test]
    fn names_without_a_zxid_stay() {
        let directories = directories("/data/version-2");
        let disk = disk(&[10, 20, 30, 40], &[], &directories);
        for name in ["log.foo", "snapshot.bar", "notes"] {
            disk.create(&directories.logs.join(name)).unwrap();
        }
        purge(&disk, &directories, 3).unwrap();
        let left = names(&disk, &directories.logs);
        assert!(["log.foo", "snapshot.bar", "notes"].iter().all(|name| left.contains(&(*name).to_owned())));
    }

    /// Stopped at any operation, what is left is what a start needs: a snapshot, and the logs from it on.
    #[test]
    fn a_purge_may_stop_anywhere() {
        let directories = directories("/data/version-2");
        for stop_at in 0..8 {
            let disk = disk(&[10, 20, 30, 40, 50], &[1, 11, 21, 31, 41], &directories);
            disk.stop_at(Some(stop_at));
            let _ = purge(&disk, &directories, 3);
            let left = names(&disk, &directories.snapshots);
            for kept in ["snapshot.1e", "snapshot.28", "snapshot.32", "log.15", "log.1f", "log.29"] {
                assert!(left.contains(&kept.to_owned()), "stopped at {stop_at}: {left:?}");
            }
        }
    }

    #[test]
    fn a_full_disk_is_no_obstacle() {
        let directories = directories("/data/version-2");
        let disk = disk(&[10, 20, 30, 40], &[1], &directories);
        disk.set_room(Some(0));
        assert_eq!(purge(&disk, &directories, 3).unwrap().len(), 1);
    }
}
