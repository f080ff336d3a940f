//! Logs whose names promise other records than they hold.
//!
//! A log is named after its first record. A file that begins with an older one was copied or renamed by somebody, and is a danger
//! under that name: who goes by names, as whoever removes old logs does, takes it for the log that holds what follows the name;
//! and when that record is written, its log is to have the same name. Java's server empties the file then.
//!
//! So a start sets names right before it reads, without removing anything:
//!
//! ```text
//! log.1b holds 1 to 15 · log.1 is not there             log.1b → log.1
//! log.1b holds 1 to 15 · log.1 holds 1 to 15, or more    log.1b → damaged-<n>/log.1b
//! log.1b holds 1 to 15 · log.1 holds 1 to 9              log.1 → damaged-<n>/log.1, log.1b → log.1
//! log.1b holds 1 to 15 · log.1 holds others              nothing: whoever starts reads both, and refuses what they contradict
//! ```
//!
//! Only files count that end as logs do: behind damage there may be what no other log has, and under another name nobody would
//! come across it.

use std::io;
use std::path::{Path, PathBuf};

use zabd_jute::Zxid;

use crate::damage::{move_aside, next_place};
use crate::disk::{Disk, is_full};
use crate::layout::{self, NamedFile};
use crate::log::{LogError, first_in_file, holds_all_of, is_undamaged};
use crate::recovery::{RecoveryError, directory_error};

/// A log that has another name now, or another directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Where it was.
    pub from: PathBuf,
    /// Where it is.
    pub to: PathBuf,
    /// The log with this name has all of its records; none, if this is its own name now.
    pub repeats: Option<PathBuf>,
}

/// What is to become of a log that has the name of another.
enum Remedy {
    /// Nobody has its own name.
    Rename,
    /// Whoever has its own name holds all that it holds.
    SetAside,
    /// Whoever has its own name holds less.
    Replace,
    /// Neither holds all of the other.
    None,
}

/// The first record of a log, if its name promises a later one.
pub fn other_beginning<D: Disk>(disk: &D, file: &NamedFile) -> Result<Option<Zxid>, LogError> {
    Ok(first_in_file(disk, &file.path)?.filter(|first| *first < file.zxid))
}

/// Gives logs the names that they should have, or sets those aside whose records stand in another log as well.
pub fn set_names_right<D: Disk>(disk: &D, dir: &Path) -> Result<Vec<Moved>, RecoveryError> {
    let mut moved = Vec::new();
    let files = match layout::logs(disk, dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(moved),
        files => files.map_err(directory_error("list", dir))?,
    };
    for file in files {
        let Some((own, remedy)) = remedy(disk, dir, &file)? else { continue };
        match remedy {
            Remedy::None => (),
            Remedy::Rename => moved.push(rename(disk, dir, &file.path, own)?),
            Remedy::SetAside => moved.extend(set_aside(disk, dir, &file.path, own)?),
            Remedy::Replace => {
                let Some(replaced) = set_aside(disk, dir, &own, file.path.clone())? else { continue };
                moved.push(Moved { repeats: Some(own.clone()), ..replaced });
                moved.push(rename(disk, dir, &file.path, own)?);
            }
        }
    }
    Ok(moved)
}

/// When all was read, up to `last`: a log that could not be given another name must not have that of one to come.
pub fn refuse_names_ahead<D: Disk>(disk: &D, dir: &Path, last: Zxid) -> Result<(), RecoveryError> {
    for file in layout::logs(disk, dir).map_err(directory_error("list", dir))? {
        if file.zxid > last && matches!(remedy(disk, dir, &file)?, Some((_, Remedy::None))) {
            return Err(LogError::Occupied { path: file.path }.into());
        }
    }
    Ok(())
}

/// A log's own name, and how it gets there, if it has another's.
fn remedy<D: Disk>(
    disk: &D,
    dir: &Path,
    file: &NamedFile,
) -> Result<Option<(PathBuf, Remedy)>, RecoveryError> {
    let Some(first) = readable(other_beginning(disk, file))?.flatten() else { return Ok(None) };
    let (own, path) = (dir.join(layout::log_name(first)), &file.path);
    let remedy = if !is_undamaged(disk, path)? {
        Remedy::None
    } else if disk.length(&own).is_err() {
        Remedy::Rename
    } else if holds_all_of(disk, &own, path)? {
        Remedy::SetAside
    } else if holds_all_of(disk, path, &own)? && is_undamaged(disk, &own)? {
        Remedy::Replace
    } else {
        Remedy::None
    };
    Ok(Some((own, remedy)))
}

/// What cannot be read is heard of from who reads all of it.
fn readable<T>(read: Result<T, LogError>) -> Result<Option<T>, RecoveryError> {
    match read {
        Err(LogError::Io { .. }) => Ok(None),
        read => Ok(Some(read?)),
    }
}

fn rename<D: Disk>(disk: &D, dir: &Path, from: &Path, to: PathBuf) -> Result<Moved, RecoveryError> {
    disk.rename(from, &to).map_err(directory_error("give its own name to", from))?;
    disk.sync_dir(dir).map_err(directory_error("write to", dir))?;
    Ok(Moved { from: from.to_owned(), to, repeats: None })
}

/// Nothing, if the disk is full: that keeps no server from starting, and whoever is to write needs room as well.
fn set_aside<D: Disk>(
    disk: &D,
    dir: &Path,
    from: &Path,
    repeats: PathBuf,
) -> Result<Option<Moved>, RecoveryError> {
    let name = from.file_name().ok_or_else(|| io::Error::other("it has no name"));
    let to = next_place(disk, dir)?.join(name.map_err(directory_error("move", from))?);
    match move_aside(disk, from, &to) {
        Err(RecoveryError::Directory { source, .. }) if is_full(&source) => Ok(None),
        moved => moved.map(|()| Some(Moved { from: from.to_owned(), to, repeats: Some(repeats) })),
    }
}

#[cfg(test)]
mod tests {
    use zabd_jute::Limits;

    use super::*;
    use crate::disk::{Crash, DiskFile as _, Fault, MemoryDisk};
    use crate::log::{Log, LogOptions, Records};

    const DIR: &str = "/log";

    fn put(disk: &MemoryDisk, name: &str, zxids: std::ops::RangeInclusive<i64>) {
        let other = MemoryDisk::default();
        other.create_dir(Path::new(DIR)).unwrap();
        let before = Zxid(zxids.start() - 1);
        let options = LogOptions { prealloc_bytes: 0, ..LogOptions::default() };
        let mut log = Log::new(other.clone(), Path::new(DIR), before, options);
        for zxid in zxids.clone() {
            let mut entry = vec![7; 40];
            entry[12..20].copy_from_slice(&zxid.to_be_bytes());
            log.append(Zxid(zxid), &entry).unwrap();
        }
        log.sync().unwrap();
        let contents = other.read(&Path::new(DIR).join(layout::log_name(Zxid(*zxids.start())))).unwrap();
        let mut file = disk.create(&Path::new(DIR).join(name)).unwrap();
        file.write_at(0, &contents).unwrap();
        file.sync().unwrap();
        disk.sync_dir(Path::new(DIR)).unwrap();
    }

    fn disk(files: &[(&str, std::ops::RangeInclusive<i64>)]) -> MemoryDisk {
        let disk = MemoryDisk::default();
        disk.create_dir(Path::new(DIR)).unwrap();
        for (name, zxids) in files {
            put(&disk, name, zxids.clone());
        }
        disk
    }

    fn read(disk: &MemoryDisk) -> Vec<i64> {
        let limits = Limits::default();
        let mut records = Records::after(disk.clone(), Path::new(DIR), Zxid::ZERO, limits).unwrap();
        let mut zxids = Vec::new();
        while let Some(record) = records.next_record().unwrap() {
            zxids.push(record.zxid.0);
        }
        zxids
    }

    fn logs(disk: &MemoryDisk) -> Vec<String> {
        let names = disk.list(Path::new(DIR)).unwrap();
        names.into_iter().filter(|name| name.starts_with("log.")).collect()
    }

    /// Wherever a crash interrupts it, no record is missing, and the next start goes on.
    #[test]
    fn each_log_gets_its_own_name_and_no_record_is_lost() {
        for (files, left, aside) in [
            (&[("log.1", 1..=9), ("log.a", 10..=12)][..], &["log.1", "log.a"][..], None),
            (&[("log.1", 1..=9), ("log.a", 1..=9)], &["log.1"], Some("log.a")),
            (&[("log.1", 1..=9), ("log.a", 1..=7), ("log.b.old", 3..=9)], &["log.1", "log.3"], Some("log.a")),
            (&[("log.a", 1..=9)], &["log.1"], None),
            (&[("log.1", 1..=5), ("log.a", 1..=9)], &["log.1"], Some("log.1")),
            (&[("log.1.bak", 1..=9), ("log.1", 1..=9)], &["log.1", "log.1.bak"], None),
        ] {
            let all = read(&disk(files));
            for stop in 0.. {
                let disk = disk(files);
                disk.plan_faults([(stop, Fault::Stop)]);
                let is_done = set_names_right(&disk, Path::new(DIR)).is_ok();
                disk.stop_at(None);
                let disk = disk.after(Crash::LosesUnsynced);
                assert_eq!(read(&disk), all, "{files:?}, stopped at {stop}");
                set_names_right(&disk, Path::new(DIR)).unwrap();
                assert_eq!(logs(&disk), left, "{files:?}, stopped at {stop}");
                assert_eq!(read(&disk), all, "{files:?}, stopped at {stop}");
                assert!(set_names_right(&disk, Path::new(DIR)).unwrap().is_empty());
                if let Some(aside) = aside {
                    assert!(disk.read(&Path::new(DIR).join("damaged-1").join(aside)).is_ok(), "{files:?}");
                }
                if is_done {
                    break;
                }
            }
        }
    }

    /// What is under no other name stays, and no later log gets its name.
    #[test]
    fn what_only_a_wrong_name_leads_to_is_left_and_refused() {
        let disk = disk(&[("log.1", 1..=9), ("log.20", 1..=12)]);
        let path = Path::new(DIR).join("log.20");
        let mut contents = disk.read(&path).unwrap().to_vec();
        contents[16 + 3 * 53 + 20] ^= 1;
        disk.create(&path).unwrap().write_at(0, &contents).unwrap();
        assert!(set_names_right(&disk, Path::new(DIR)).unwrap().is_empty());
        let refused = refuse_names_ahead(&disk, Path::new(DIR), Zxid(0x1f)).unwrap_err();
        assert!(matches!(&refused, RecoveryError::Log(LogError::Occupied { path: of }) if *of == path));
        refuse_names_ahead(&disk, Path::new(DIR), Zxid(0x20)).expect("no log gets that name any more");
    }

    #[test]
    fn a_full_disk_leaves_copies_where_they_are() {
        let disk = disk(&[("log.1", 1..=9), ("log.a", 1..=9)]);
        disk.plan_faults([(0, Fault::Full { kept: 0 })]);
        assert!(set_names_right(&disk, Path::new(DIR)).unwrap().is_empty());
        refuse_names_ahead(&disk, Path::new(DIR), Zxid(9)).expect("nothing of it is missing elsewhere");
    }
}
