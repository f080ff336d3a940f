//! Whether what a start finds is something to vote with, or the beginning of a server that had nothing, as far as it knows.
//!
//! A history that ends in a transaction is. One without any may be all that there ever was, or what is left where the logs
//! stood on a disk of their own, which was replaced or is not mounted: the epochs stand beside the snapshots and outlive it, and
//! the snapshot of the empty beginning does, too. What tells the two apart must stand where the logs do. So whoever joins an
//! epoch and has no transaction begins its log at once, with nothing behind the header ([`crate::log::Log::begin_empty`]), and
//!
//! ```text
//! last transaction   joined an epoch   a log is there
//! any                                                   testifies
//! none               yes               yes              testifies: the logs are there, and they are empty
//! none               yes               no               empty: what stood there is gone, perhaps
//! none               no                                 empty: it has not begun, or all of its disk was replaced
//! ```
//!
//! *Nothing testifies too much.* The log is begun behind the epoch's file, so a server without a transaction, with an epoch and
//! a log, had joined that epoch, or a later one, with all of its leader's history, which was empty. (Who was sent a part of a
//! history, of any length, is marked before: see [`crate::damage::is_partial`].) Whatever it acknowledged
//! before that had been given up by then: a leader's history holds what a quorum has acknowledged that does not count on this
//! server's word, and this one gives its word for nothing only when all voters were heard. What it acknowledged since went to
//! files beside that log, and goes with them: with the disk, with its directory, with all that is called `log.*`.
//!
//! *Not too little either.* Of three servers that were started and never written to, any two may start again without the third.
//! Empty are those of a disk that was too full for the log's header, and those that a Java server left: it begins no log
//! before its first transaction. They wait until everybody is heard.
//!
//! The log is one as a crash leaves it, of which Java's servers read nothing; the first transaction of the epoch takes its place.
//!
//! What this cannot tell is an older snapshot without the logs behind it: whoever restores a copy begins with just that.

use std::io;

use zabd_jute::{Epoch, Zxid};
use zabd_mutation::{Mutation, is_on};

use crate::disk::Disk;
use crate::layout;
use crate::recovery::Directories;

/// Whether a server that finds this has nothing to testify to. `joined` is its `currentEpoch`.
pub fn is_empty<D: Disk>(disk: &D, directories: &Directories, last: Zxid, joined: Epoch) -> io::Result<bool> {
    if last != Zxid::ZERO || joined != Epoch::ZERO && is_on(Mutation::EpochTestifies) {
        return Ok(false);
    }
    Ok(joined == Epoch::ZERO || layout::logs(disk, &directories.logs)?.is_empty())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::disk::{Crash, Fault, MemoryDisk};
    use crate::epochs::{self, EpochFile};
    use crate::log::{Log, LogOptions};

    fn directories() -> Directories {
        Directories { snapshots: "/data".into(), logs: "/log".into() }
    }

    fn begun() -> (MemoryDisk, Log<MemoryDisk>) {
        let disk = MemoryDisk::default();
        for dir in ["/data", "/log"] {
            disk.create_dir(Path::new(dir)).unwrap();
        }
        let log = Log::new(disk.clone(), Path::new("/log"), Zxid::ZERO, LogOptions::default());
        (disk, log)
    }

    fn judge(disk: &MemoryDisk) -> bool {
        let joined = epochs::read(disk, Path::new("/data"), EpochFile::Current).unwrap().unwrap_or(0);
        is_empty(disk, &directories(), Zxid::ZERO, Epoch(joined.into())).unwrap()
    }

    fn join(disk: &MemoryDisk, log: &mut Log<MemoryDisk>) -> bool {
        let joined = epochs::write(disk, Path::new("/data"), EpochFile::Current, 7);
        joined.is_ok() && log.begin_empty(Epoch(7)).is_ok()
    }

    #[test]
    fn an_epoch_testifies_with_its_log_only() {
        let (disk, mut log) = begun();
        assert!(judge(&disk), "it has not begun");
        assert!(join(&disk, &mut log) && join(&disk, &mut log), "once more is nothing new");
        assert!(!judge(&disk));
        let logs = layout::logs(&disk, Path::new("/log")).unwrap();
        assert_eq!(logs.iter().map(|log| log.zxid).collect::<Vec<_>>(), [Zxid(0x7_0000_0001)]);
        disk.remove(&logs[0].path).unwrap();
        assert!(judge(&disk), "the disk of the logs was replaced");
        assert!(!is_empty(&disk, &directories(), Zxid(1), Epoch::ZERO).unwrap(), "a transaction always does");
    }

    /// Wherever the power fails: who has a log has its epoch, and who was told that it has joined has both.
    #[test]
    fn the_log_is_not_there_before_the_epoch() {
        for stop_at in 0.. {
            let (disk, mut log) = begun();
            disk.plan_faults([(stop_at, Fault::Stop)]);
            let has_joined = join(&disk, &mut log);
            for crash in [Crash::LosesUnsynced, Crash::LosesUnsyncedData, Crash::KeepsUnsynced] {
                let after = disk.after(crash);
                let has_log = !layout::logs(&after, Path::new("/log")).unwrap().is_empty();
                let joined = epochs::read(&after, Path::new("/data"), EpochFile::Current).unwrap();
                assert!(!has_log || joined == Some(7), "stopped at {stop_at}, {crash:?}");
                assert!(!has_joined || !judge(&after), "{crash:?}");
            }
            if has_joined {
                assert!(stop_at > 4, "there was something to stop at");
                return;
            }
        }
    }

    #[test]
    fn a_full_disk_keeps_nobody_from_joining() {
        let (disk, mut log) = begun();
        epochs::write(&disk, Path::new("/data"), EpochFile::Current, 7).unwrap();
        disk.set_room(Some(0));
        log.begin_empty(Epoch(7)).unwrap();
        assert!(judge(&disk));
        disk.set_room(None);
        log.begin_empty(Epoch(8)).unwrap();
        assert!(!judge(&disk));
    }
}
