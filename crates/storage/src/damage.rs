//! Damage that peers can repair: what is left is set aside, and the server remembers that it lost something.
//!
//! A member of an ensemble whose files are damaged has peers that hold what it lost. It may fetch that from a leader, and
//! until it has, it must not vote: what it acknowledged may be in no other server of the quorum that it would complete.
//! So a marker comes first, before anything is touched, and goes last, when a leader's state is durable in its place:
//!
//! ```text
//! set aside   the marker · damaged-<n> · each log and snapshot, by renaming, into it
//! forget      the marker
//! ```
//!
//! A start that finds the marker sets aside whatever has come to stand there meanwhile, and fetches again. The epochs stay
//! where they are: a promise holds, whatever became of the data. Nothing is removed: what can be read of a damaged file
//! may be all that there is, if the peers turn out to have lost as much.
//!
//! Java's server ends at such a file and leaves the rest to whoever runs it.

use std::io;
use std::path::{Path, PathBuf};

use crate::disk::{Disk, DiskFile};
use crate::layout::{self, NamedFile};
use crate::recovery::{Directories, RecoveryError, directory_error};
use zabd_jute::Zxid;
use zabd_mutation::{Mutation, is_on};

/// The file beside the snapshots that says that something was lost.
pub const LOST: &str = "lost-data";

/// The file beside the snapshots that says that what is there is a part of what a leader was sending to an empty server.
pub const PARTIAL: &str = "partial-data";

/// Where damaged files go, with a number behind it.
const DAMAGED: &str = "damaged";

/// How many times a server sets files aside before somebody must look at them.
const SET_ASIDE_MAX: u32 = 100;

fn marker(directories: &Directories) -> PathBuf {
    directories.snapshots.join(LOST)
}

/// Whether the server lost something that it has not fetched yet.
pub fn remembers_loss<D: Disk>(disk: &D, directories: &Directories) -> bool {
    disk.length(&marker(directories)).is_ok() && !is_on(Mutation::DamageForgotten)
}

/// Remembers that something was lost, `why` for people, and moves all logs and snapshots out of the way. Gives the
/// directories to which they went: none, if there was nothing but the snapshot of an empty beginning.
pub fn set_aside<D: Disk>(
    disk: &D,
    directories: &Directories,
    why: &str,
) -> Result<Vec<PathBuf>, RecoveryError> {
    let marker = marker(directories);
    write_durably(disk, &marker, why).map_err(directory_error("write", &marker))?;
    let (snapshots, logs) = (&directories.snapshots, &directories.logs);
    let found_snapshots = layout::snapshots(disk, snapshots).map_err(directory_error("list", snapshots))?;
    let found_logs = layout::logs(disk, logs).map_err(directory_error("list", logs))?;
    if found_logs.is_empty() && found_snapshots.iter().all(|file| file.zxid == Zxid::ZERO) {
        return Ok(Vec::new());
    }
    let mut used = Vec::new();
    if snapshots == logs {
        used.extend(move_into_new(disk, logs, &[found_snapshots, found_logs].concat())?);
    } else {
        used.extend(move_into_new(disk, snapshots, &found_snapshots)?);
        used.extend(move_into_new(disk, logs, &found_logs)?);
    }
    Ok(used)
}

/// What was lost is durable again.
pub fn forget_loss<D: Disk>(disk: &D, directories: &Directories) -> Result<(), RecoveryError> {
    let marker = marker(directories);
    disk.remove(&marker).map_err(directory_error("remove", &marker))?;
    disk.sync_dir(&directories.snapshots).map_err(directory_error("write to", &directories.snapshots))
}

/// Whether what is there is only a part of a history. A server that was empty may have had something once; until it has all
/// of a leader's history, what it has of it is no more to vote with than nothing.
pub fn is_partial<D: Disk>(disk: &D, directories: &Directories) -> bool {
    disk.length(&directories.snapshots.join(PARTIAL)).is_ok()
}

/// Says so, or that it is whole.
pub fn set_partial<D: Disk>(
    disk: &D,
    directories: &Directories,
    is_partial: bool,
) -> Result<(), RecoveryError> {
    let (dir, marker) = (&directories.snapshots, directories.snapshots.join(PARTIAL));
    if is_partial {
        let why = "a leader has not sent all of its history yet\n";
        return write_durably(disk, &marker, why).map_err(directory_error("write", &marker));
    }
    disk.remove(&marker).map_err(directory_error("remove", &marker))?;
    disk.sync_dir(dir).map_err(directory_error("write to", dir))
}

fn write_durably<D: Disk>(disk: &D, path: &Path, text: &str) -> io::Result<()> {
    let mut file = disk.create(path)?;
    file.write_at(0, text.as_bytes())?;
    file.sync()?;
    disk.sync_dir(path.parent().expect("the marker stands in a directory"))
}

fn move_into_new<D: Disk>(
    disk: &D,
    dir: &Path,
    files: &[NamedFile],
) -> Result<Option<PathBuf>, RecoveryError> {
    if files.is_empty() {
        return Ok(None);
    }
    let target = (1..=SET_ASIDE_MAX).map(|number| dir.join(format!("{DAMAGED}-{number}")));
    let Some(target) = target.into_iter().find(|target| disk.list(target).is_err()) else {
        let source = io::Error::other(format!("there are {SET_ASIDE_MAX} such directories already"));
        return Err(RecoveryError::Directory {
            action: "make another directory for damaged files in",
            path: dir.to_owned(),
            source,
        });
    };
    disk.create_dir(&target).map_err(directory_error("create", &target))?;
    for file in files {
        let name = file.path.file_name().expect("a log or a snapshot has a name");
        disk.rename(&file.path, &target.join(name)).map_err(directory_error("move", &file.path))?;
    }
    for each in [&target, dir] {
        disk.sync_dir(each).map_err(directory_error("write to", each))?;
    }
    Ok(Some(target))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Crash, MemoryDisk};

    fn directories() -> Directories {
        Directories { snapshots: "/data".into(), logs: "/log".into() }
    }

    fn with_files() -> MemoryDisk {
        let disk = MemoryDisk::default();
        for path in ["/data/snapshot.0", "/data/snapshot.5", "/data/currentEpoch", "/log/log.1", "/log/log.6"]
        {
            write_durably(&disk, Path::new(path), path).unwrap();
        }
        disk
    }

    fn names(disk: &MemoryDisk, dir: &str) -> Vec<String> {
        disk.list(Path::new(dir)).unwrap_or_default()
    }

    #[test]
    fn logs_and_snapshots_go_and_the_rest_stays() {
        let disk = with_files();
        assert!(!remembers_loss(&disk, &directories()));
        let used = set_aside(&disk, &directories(), "log.6 is damaged").unwrap();
        assert_eq!(used, [Path::new("/data/damaged-1"), Path::new("/log/damaged-1")]);
        assert!(remembers_loss(&disk, &directories()));
        assert_eq!(names(&disk, "/data"), ["currentEpoch", "lost-data"]);
        assert_eq!(names(&disk, "/data/damaged-1"), ["snapshot.0", "snapshot.5"]);
        assert_eq!(names(&disk, "/log/damaged-1"), ["log.1", "log.6"]);
        assert_eq!(&*disk.read(Path::new("/log/damaged-1/log.6")).unwrap(), b"/log/log.6");
        forget_loss(&disk, &directories()).unwrap();
        assert!(!remembers_loss(&disk, &directories()));
    }

    #[test]
    fn a_part_is_remembered_until_it_is_whole() {
        let disk = with_files();
        assert!(!is_partial(&disk, &directories()));
        for _ in 0..2 {
            set_partial(&disk, &directories(), true).unwrap();
        }
        assert!(is_partial(&disk.after(Crash::LosesUnsynced), &directories()));
        set_partial(&disk, &directories(), false).unwrap();
        assert!(!is_partial(&disk.after(Crash::LosesUnsynced), &directories()));
    }

    #[test]
    fn each_time_has_a_place_of_its_own_and_an_empty_beginning_needs_none() {
        let disk = with_files();
        set_aside(&disk, &directories(), "").unwrap();
        write_durably(&disk, Path::new("/data/snapshot.0"), "").unwrap();
        assert_eq!(set_aside(&disk, &directories(), "").unwrap(), [] as [&Path; 0]);
        write_durably(&disk, Path::new("/data/snapshot.9"), "").unwrap();
        assert_eq!(set_aside(&disk, &directories(), "").unwrap(), [Path::new("/data/damaged-2")]);
        assert_eq!(names(&disk, "/data/damaged-2"), ["snapshot.0", "snapshot.9"]);
    }

    /// Wherever the power fails: either nothing has moved, or the server knows that it lost something; and no file is gone.
    #[test]
    fn a_loss_is_remembered_before_anything_moves() {
        let mut moved_in_part = 0;
        let whole = with_files();
        whole.plan_faults([]);
        set_aside(&whole, &directories(), "why").unwrap();
        let crashes = || [Crash::LosesUnsynced, Crash::LosesUnsyncedData, Crash::KeepsUnsynced].into_iter();
        let scattered = || (1..9).map(|seed| Crash::Scatters { seed });
        for stop_at in 0..=whole.operations() {
            let disk = with_files();
            disk.stop_at(Some(stop_at));
            assert_eq!(set_aside(&disk, &directories(), "why").is_ok(), stop_at == whole.operations());
            for crash in crashes().chain(scattered()) {
                let after = disk.after(crash);
                let aside = [names(&after, "/data/damaged-1"), names(&after, "/log/damaged-1")].concat();
                let standing = [names(&after, "/data"), names(&after, "/log")].concat();
                let mut all = [&aside[..], &standing].concat();
                all.sort();
                all.dedup();
                all.retain(|name| name != LOST);
                let expected = ["currentEpoch", "log.1", "log.6", "snapshot.0", "snapshot.5"];
                assert_eq!(all, expected, "stopped at {stop_at}, {crash:?}");
                let (aside, marked) = (aside.len(), usize::from(remembers_loss(&after, &directories())));
                assert!(aside == 0 || marked == 1, "stopped at {stop_at}, {crash:?}");
                moved_in_part += usize::from((1..4).contains(&aside));
            }
        }
        assert!(moved_in_part > 0);
    }
}
