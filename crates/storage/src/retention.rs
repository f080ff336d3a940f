//! Which files are not needed any more: Java's rule, `PurgeTxnLog`.
//!
//! The newest snapshots are kept, as many as asked for and only whole ones count; let X be the oldest of
//! them. Snapshots before X go, and logs before X, except the newest that begins at or before X: it may
//! hold records behind X. What was cut off a log goes with it. Names that carry no zxid are none of ours and stay, unlike in Java.
//!
//! Nothing is written, so it works on a full disk. Whatever is left when it stops half-way, X and the logs
//! behind it are there.

use std::io;
use std::path::PathBuf;

use zabd_mutation::{Mutation, is_on};

use crate::disk::Disk;
use crate::layout::{self, NamedFile};
use crate::recovery::{Directories, RecoveryError, directory_error};
use crate::snapshot;

/// Fewer snapshots than this are never kept.
pub const RETAINED_MIN: usize = 3;

/// What may go: snapshots, then logs, each oldest first.
pub fn superfluous<D: Disk>(
    disk: &D,
    directories: &Directories,
    retained: usize,
) -> Result<Vec<PathBuf>, RecoveryError> {
    let snapshots = layout::snapshots(disk, &directories.snapshots)
        .map_err(directory_error("list", &directories.snapshots))?;
    let logs = layout::logs(disk, &directories.logs).map_err(directory_error("list", &directories.logs))?;
    let whole = snapshots.iter().rev().filter(|file| snapshot::looks_whole(disk, &file.path));
    let Some(oldest) = whole.take(retained.max(RETAINED_MIN)).last() else { return Ok(Vec::new()) };
    let needed_log = logs.iter().rev().find(|log| log.zxid <= oldest.zxid).map(|log| log.zxid);
    let needed_log = needed_log.filter(|_| !is_on(Mutation::PurgeTakesNeededLog));
    let is_old = |file: &&NamedFile| file.zxid < oldest.zxid;
    let old_snapshots = snapshots.iter().filter(is_old);
    let old_logs = logs.iter().filter(is_old).filter(|log| Some(log.zxid) != needed_log);
    let cuts = layout::cuts(disk, &directories.logs).map_err(directory_error("list", &directories.logs))?;
    let is_gone = |cut: &&NamedFile| is_old(cut) && Some(cut.zxid) != needed_log;
    let old_cuts = cuts.iter().filter(is_gone);
    Ok(old_snapshots.chain(old_logs).chain(old_cuts).map(|file| file.path.clone()).collect())
}

/// Removes what may go; yields what went. A file that cannot be removed does not keep the others.
pub fn purge<D: Disk>(
    disk: &D,
    directories: &Directories,
    retained: usize,
) -> Result<Vec<PathBuf>, RecoveryError> {
    let mut failure = None;
    let mut removed = superfluous(disk, directories, retained)?;
    removed.retain(|path| match disk.remove(path) {
        Ok(()) => true,
        // An operator may purge too.
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => {
            failure.get_or_insert(directory_error("remove", path)(error));
            false
        }
    });
    match failure {
        Some(failure) => Err(failure),
        None => Ok(removed),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::disk::{DiskFile, Fault, MemoryDisk};

    const WHOLE: &[u8] = b"ZKSN and so on\0\0\0\x01/";

    fn disk(names: &[&str]) -> (MemoryDisk, Directories) {
        let disk = MemoryDisk::default();
        let dir = Path::new("/data/version-2");
        disk.create_dir(dir).unwrap();
        for name in names {
            let contents = if name.contains("cut") { b"ZKSN and so" } else { WHOLE };
            let name = name.trim_end_matches(".cut");
            disk.create(&dir.join(name)).unwrap().write_at(0, contents).unwrap();
        }
        (disk, Directories { snapshots: dir.to_owned(), logs: dir.to_owned() })
    }

    fn left(disk: &MemoryDisk) -> Vec<String> {
        disk.list(Path::new("/data/version-2")).unwrap()
    }

    #[test]
    fn the_log_that_begins_before_the_oldest_kept_snapshot_stays() {
        let names = ["log.1", "log.29", "log.5a", "snapshot.0", "snapshot.27", "snapshot.50", "snapshot.59"];
        let (disk, directories) = disk(&names);
        let removed = purge(&disk, &directories, 1).unwrap();
        assert_eq!(removed, [Path::new("/data/version-2/snapshot.0")], "at least three are kept");
        assert_eq!(
            left(&disk),
            names.iter().filter(|name| **name != "snapshot.0").copied().collect::<Vec<_>>()
        );
    }

    /// ZOOKEEPER-2211.
    #[test]
    fn logs_in_a_directory_of_their_own_are_kept_by_the_snapshots_of_the_other() {
        let (disk, mut directories) = disk(&["snapshot.0", "snapshot.27", "snapshot.50", "snapshot.59"]);
        directories.logs = "/logs/version-2".into();
        disk.create_dir(&directories.logs).unwrap();
        for name in ["log.1", "log.28", "log.5a"] {
            disk.create(&directories.logs.join(name)).unwrap().write_at(0, WHOLE).unwrap();
        }
        let removed = purge(&disk, &directories, 3).unwrap();
        assert_eq!(
            removed,
            [Path::new("/data/version-2/snapshot.0")],
            "the oldest that stays begins within log.1"
        );
        directories.snapshots.clone_from(&directories.logs);
        assert_eq!(
            purge(&disk, &directories, 3).unwrap(),
            [] as [PathBuf; 0],
            "nothing whole means nothing to remove"
        );
    }

    #[test]
    fn what_was_cut_off_a_log_goes_with_it() {
        let names =
            ["cut-log.1-99", "cut-log.5-16", "log.1", "log.5", "snapshot.6", "snapshot.7", "snapshot.8"];
        let (disk, directories) = disk(&names);
        purge(&disk, &directories, 3).unwrap();
        assert_eq!(left(&disk), ["cut-log.5-16", "log.5", "snapshot.6", "snapshot.7", "snapshot.8"]);
    }

    #[test]
    fn only_whole_snapshots_count() {
        let (disk, directories) =
            disk(&["log.1", "log.2", "log.5", "snapshot.1", "snapshot.2", "snapshot.3", "snapshot.4.cut"]);
        purge(&disk, &directories, 3).unwrap();
        assert!(left(&disk).contains(&"snapshot.1".to_owned()));
        purge(&disk.after(crate::disk::Crash::KeepsUnsynced), &directories, 3).unwrap();
    }

    #[test]
    fn copies_count_as_what_they_are_named_and_foreign_names_stay() {
        let (disk, directories) = disk(&[
            "log.1",
            "log.4",
            "log.foo",
            "myid",
            "snapshot.1.copy",
            "snapshot.4",
            "snapshot.5",
            "snapshot.6",
            "snapshot.bar",
        ]);
        purge(&disk, &directories, 3).unwrap();
        assert_eq!(
            left(&disk),
            ["log.4", "log.foo", "myid", "snapshot.4", "snapshot.5", "snapshot.6", "snapshot.bar"]
        );
    }

    #[test]
    fn nothing_whole_means_nothing_to_remove() {
        let (disk, directories) = disk(&["log.1", "log.5", "snapshot.3.cut", "snapshot.4.cut"]);
        assert!(purge(&disk, &directories, 3).unwrap().is_empty());
    }

    /// Stopped at any operation, what is left is what a start needs: a snapshot, and the logs from it on.
    #[test]
    fn a_purge_may_stop_anywhere() {
        for stop_at in 0..6 {
            let (disk, directories) = disk(&[
                "log.1",
                "log.b",
                "log.15",
                "log.1f",
                "snapshot.a",
                "snapshot.14",
                "snapshot.1e",
                "snapshot.28",
                "snapshot.32",
            ]);
            disk.stop_at(Some(stop_at));
            let outcome = purge(&disk, &directories, 3);
            assert_eq!(outcome.is_ok(), stop_at >= 4, "stopped at {stop_at}");
            let left = left(&disk);
            for kept in ["snapshot.1e", "snapshot.28", "snapshot.32", "log.15", "log.1f"] {
                assert!(left.contains(&kept.to_owned()), "stopped at {stop_at}: {left:?}");
            }
        }
    }

    #[test]
    fn a_file_that_cannot_be_removed_does_not_keep_the_others() {
        let (disk, directories) =
            disk(&["log.1", "log.3", "log.4", "snapshot.1", "snapshot.4", "snapshot.5", "snapshot.6"]);
        disk.set_room(Some(0));
        disk.plan_faults([(0, Fault::Fail)]);
        let error = purge(&disk, &directories, 3).unwrap_err();
        assert!(error.to_string().contains("snapshot.1"), "{error}");
        assert_eq!(left(&disk), ["log.4", "snapshot.1", "snapshot.4", "snapshot.5", "snapshot.6"]);
    }
}
