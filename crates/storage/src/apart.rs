//! Whether the logs are the ones that belong to the snapshots, where they stand in a directory of their own.
//!
//! A log directory may be a disk that was replaced, or is not mounted, while snapshots and epochs are still there. A member that
//! went on from its newest snapshot would vote with that, and what it acknowledged since may be in no other server of the
//! quorum that it completes; a lone server would lose it without a word. Java's servers do both. So two small files remember
//! each other:
//!
//! ```text
//! transactions-here    beside the logs       <n>   written first
//! transactions-apart   beside the epochs     <n>   written when the other one is durable
//!
//! beside the epochs   beside the logs   logs
//! none                                           nobody has marked them: fresh, Java's, or a copy of the files alone
//! n                   n or more                  they belong together
//! n                   less than n                these are not the logs: they were replaced once, and the old ones are back
//! n                   none              some     copied without their mark, or begun anew by Java
//! n                   none              none     they are gone
//! ```
//!
//! Where they are marked anew behind a loss, the number grows. A purge leaves the mark. Where a member has no snapshot but that of
//! the empty beginning, there is nothing that a vote could be founded on, see [`crate::testimony`]: it votes when everybody is
//! heard. A server that is alone hears nobody, and a young one has all that it acknowledged in its logs, so it misses them above
//! that snapshot as well. Where there is no snapshot at all, it has acknowledged nothing, or somebody emptied the directory. Java's
//! servers and tools look for `log.` and `snapshot.` only, and leave both files alone; so does whoever copies these, which is why
//! their absence says nothing.

use std::io;
use std::path::{Path, PathBuf};

use zabd_jute::Zxid;
use zabd_mutation::{Mutation, is_on};

use crate::disk::{Disk, DiskFile, is_full};
use crate::layout;
use crate::recovery::Directories;

/// The file beside the logs.
pub const HERE: &str = "transactions-here";
/// The file beside the epochs.
pub const APART: &str = "transactions-apart";

fn here(directories: &Directories) -> PathBuf {
    directories.logs.join(HERE)
}

/// Where the file beside the epochs is.
pub fn mark_of_snapshots(directories: &Directories) -> PathBuf {
    directories.snapshots.join(APART)
}

/// The number in a mark, if it is there; one that somebody else wrote may hold none.
fn number<D: Disk>(disk: &D, path: &Path) -> io::Result<Option<u64>> {
    match disk.read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        bytes => Ok(Some(String::from_utf8_lossy(&bytes?).trim().parse().unwrap_or(0))),
    }
}

/// Whether the logs that belong to the snapshots are gone. `is_alone` is a server beside which nobody has what it acknowledged.
///
/// Where logs are looked for beside the snapshots, they are gone if they are marked to stand apart, and there are none.
pub fn are_logs_gone<D: Disk>(disk: &D, directories: &Directories, is_alone: bool) -> io::Result<bool> {
    if is_on(Mutation::LostLogsUnnoticed) {
        return Ok(false);
    }
    let Some(known) = number(disk, &mark_of_snapshots(directories))? else { return Ok(false) };
    let snapshots = layout::snapshots(disk, &directories.snapshots)?;
    let counts = |file: &layout::NamedFile| is_alone || file.zxid != Zxid::ZERO;
    if !snapshots.iter().any(counts) {
        return Ok(false);
    }
    match number(disk, &here(directories))? {
        Some(0) | None => Ok(layout::logs(disk, &directories.logs)?.is_empty()),
        Some(found) => Ok(found < known),
    }
}

/// Marks the logs that are there as the ones that belong to the snapshots; those beside the snapshots need no mark, and none is
/// left. A full disk is left alone: without the second mark the first one says nothing.
pub fn mark<D: Disk>(disk: &D, directories: &Directories) -> io::Result<()> {
    if directories.logs == directories.snapshots {
        let mark = mark_of_snapshots(directories);
        return match disk.remove(&mark) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(()) => disk.sync_dir(&directories.snapshots),
        };
    }
    let (here, there) = (here(directories), mark_of_snapshots(directories));
    let (found, known) = (number(disk, &here)?.filter(|found| *found != 0), number(disk, &there)?);
    let marked = found.filter(|found| known.is_none_or(|known| known <= *found));
    let next = marked.unwrap_or(known.unwrap_or(0) + 1);
    let marks = [(here, found), (there, known)].into_iter().filter(|(_, number)| *number != Some(next));
    for (path, _) in marks {
        match write(disk, &path, next) {
            Err(error) if is_full(&error) => return Ok(()),
            written => written?,
        }
    }
    Ok(())
}

fn write<D: Disk>(disk: &D, path: &Path, number: u64) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    let beside = Path::new(&name);
    let mut file = disk.create(beside)?;
    file.write_at(0, format!("{number}\n").as_bytes())?;
    file.sync()?;
    disk.rename(beside, path)?;
    disk.sync_dir(path.parent().expect("a mark stands in a directory"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Crash, Fault, MemoryDisk};

    fn directories() -> Directories {
        Directories { snapshots: "/data".into(), logs: "/log".into() }
    }

    fn put(disk: &MemoryDisk, path: &str) {
        let mut file = disk.create(Path::new(path)).unwrap();
        file.sync().unwrap();
        disk.sync_dir(Path::new(path).parent().unwrap()).unwrap();
    }

    /// A server that has lived for a while.
    fn lived() -> MemoryDisk {
        let disk = MemoryDisk::default();
        for dir in ["/data", "/log"] {
            disk.create_dir(Path::new(dir)).unwrap();
        }
        put(&disk, "/data/snapshot.100000005");
        put(&disk, "/log/log.100000001");
        disk
    }

    fn remove(disk: &MemoryDisk, path: &str) {
        disk.remove(Path::new(path)).unwrap();
    }

    fn are_gone(disk: &MemoryDisk) -> bool {
        are_logs_gone(disk, &directories(), false).unwrap()
    }

    #[test]
    fn logs_that_were_there_are_missed() {
        let disk = lived();
        assert!(!are_gone(&disk), "nobody has marked them, as on a directory of Java's");
        remove(&disk, "/log/log.100000001");
        assert!(!are_gone(&disk));
        put(&disk, "/log/log.100000001");
        mark(&disk, &directories()).unwrap();
        assert!(!are_gone(&disk));
        remove(&disk, "/log/log.100000001");
        assert!(!are_gone(&disk), "a purge takes all logs");
        remove(&disk, "/log/transactions-here");
        assert!(are_gone(&disk), "the disk was replaced");
        put(&disk, "/log/log.100000001");
        assert!(!are_gone(&disk), "the logs were copied, or Java has begun new ones");
    }

    /// The disk was not mounted, and comes back when the server has begun to write elsewhere.
    #[test]
    fn logs_that_come_back_too_late_are_none() {
        let disk = lived();
        mark(&disk, &directories()).unwrap();
        let old = disk.read(Path::new("/log/transactions-here")).unwrap().to_vec();
        remove(&disk, "/log/log.100000001");
        remove(&disk, "/log/transactions-here");
        assert!(are_gone(&disk));
        // The loss is remembered, and the server goes on.
        mark(&disk, &directories()).unwrap();
        assert!(!are_gone(&disk));
        put(&disk, "/log/log.100000001");
        disk.open(Path::new("/log/transactions-here")).unwrap().write_at(0, &old).unwrap();
        assert!(are_gone(&disk));
        mark(&disk, &directories()).unwrap();
        assert!(!are_gone(&disk), "each loss is told once");
    }

    #[test]
    fn nothing_is_missed_below_an_empty_beginning_or_where_nothing_stood_apart() {
        let disk = lived();
        mark(&disk, &directories()).unwrap();
        remove(&disk, "/data/snapshot.100000005");
        put(&disk, "/data/snapshot.0");
        remove(&disk, "/log/log.100000001");
        remove(&disk, "/log/transactions-here");
        assert!(!are_gone(&disk), "see testimony");
        assert!(are_logs_gone(&disk, &directories(), true).unwrap(), "it may have acknowledged something");
        remove(&disk, "/data/snapshot.0");
        assert!(!are_logs_gone(&disk, &directories(), true).unwrap(), "it never served");
        let one = Directories { snapshots: "/data".into(), logs: "/data".into() };
        put(&disk, "/data/snapshot.100000005");
        assert!(are_logs_gone(&disk, &one, false).unwrap(), "nobody says any more where they are");
        put(&disk, "/data/log.100000001");
        assert!(!are_logs_gone(&disk, &one, false).unwrap(), "they were moved, or Java has begun new ones");
        mark(&disk, &one).unwrap();
        assert!(disk.length(Path::new("/data/transactions-apart")).is_err());
        remove(&disk, "/data/log.100000001");
        assert!(!are_logs_gone(&disk, &one, true).unwrap());
    }

    /// Wherever the power fails while they are marked, for the first time or anew, nothing is missed that is there.
    #[test]
    fn a_crash_while_they_are_marked_loses_nothing() {
        for is_first in [true, false] {
            for stop_at in 0.. {
                let disk = lived();
                if !is_first {
                    mark(&disk, &directories()).unwrap();
                    remove(&disk, "/log/transactions-here");
                }
                disk.plan_faults([(stop_at, Fault::Stop)]);
                let marked = mark(&disk, &directories());
                for crash in [Crash::LosesUnsynced, Crash::LosesUnsyncedData, Crash::KeepsUnsynced] {
                    let after = disk.after(crash);
                    assert!(!are_gone(&after), "stopped at {stop_at}, {crash:?}");
                    if marked.is_ok() {
                        remove(&after, "/log/log.100000001");
                        remove(&after, "/log/transactions-here");
                        assert!(are_gone(&after), "{crash:?}");
                    }
                }
                if marked.is_ok() {
                    assert!(stop_at > 8, "there was something to stop at");
                    break;
                }
            }
        }
    }

    #[test]
    fn a_full_disk_is_no_reason_not_to_start() {
        let disk = lived();
        disk.set_room(Some(0));
        mark(&disk, &directories()).unwrap();
        assert!(!are_gone(&disk));
        disk.set_room(None);
        mark(&disk, &directories()).unwrap();
        assert_eq!(number(&disk, Path::new("/data/transactions-apart")).unwrap(), Some(1));
    }
}
