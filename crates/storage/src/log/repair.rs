//! Setting a log right before it is continued: what a crash left goes, what was read becomes durable.
//!
//! A killed process leaves records in the page cache that no sync covered. Once a start has read them,
//! clients are told of them, so they are synced first. A torn end is cut off, because Java refuses some
//! of what zabd can tell from damage, and kept beside the log as `cut-<log>-<offset>`, because telling is not
//! knowing; without room for that it stays where it is. A newest file without a header is removed, because Java before
//! 3.9.3 dies on it. It never held a record: its header was durable before the first was acknowledged.
//!
//! A log may belong to somebody else, as after a restore, so that it can only be read. That is enough to make it durable;
//! instead of being cut, it is replaced by what stands before the cut, which needs no right but that to the directory.
//!
//! Java itself never repairs the old file, and begins a new one behind the torn end.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use zabd_jute::{Limits, Zxid};
use zabd_mutation::{Mutation, is_on};

use super::frame::{Frame, HEADER, WRONG_CHECKSUM, frame_at, frame_bytes, whole_at};
use super::torn::{end_of_stumble, whole_records};
use super::{LogError, Records, Tail, io_error};
use crate::disk::{Disk, DiskFile, is_full};
use crate::layout;
use crate::zeros::without_zeros_behind;

/// What became of what a crash left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Where it stood.
    pub tail: Tail,
    /// How many whole records were in it: a crash may leave some, and so may damage that looks like one.
    pub whole_records: usize,
    /// Its copy; `None` if it held nothing.
    pub copy: Option<PathBuf>,
    /// False if there was no room for the copy, or for what stays: then it stands where it stood, and is not read.
    pub is_off: bool,
}

/// Ends a start's reading, when [`Records::next_record`] has said that there are no more: makes what was
/// read durable, and cuts off what a crash left. Returns what was cut off, which is worth a log line.
pub fn settle<D: Disk>(disk: &D, records: Records<D>) -> Result<Option<Cut>, LogError> {
    let (newest, tail) = records.into_ends();
    let Some(tail) = tail.filter(|_| !is_on(Mutation::TornTailStays)) else {
        newest.map_or(Ok(()), |path| sync(disk, &path))?;
        return Ok(None);
    };
    let left = read_tail(disk, &tail)?;
    let mut cut = Cut { whole_records: whole_records(&left), copy: None, is_off: true, tail };
    match keep_copy(disk, &cut.tail, &left) {
        Ok(copy) => cut.copy = copy,
        // A reader stops there as it did now, whether another file follows or not.
        Err(LogError::NoSpace { .. }) => cut.is_off = false,
        Err(error) => return Err(error),
    }
    if cut.is_off {
        match cut_tail(disk, &cut.tail) {
            Err(LogError::NoSpace { .. }) => cut.is_off = false,
            outcome => outcome?,
        }
    }
    if !cut.is_off {
        sync(disk, &cut.tail.path)?;
    }
    Ok(Some(cut))
}

/// Cuts a log where a start would; what stands there is kept beside the log, or nothing is cut.
pub fn cut_damage<D: Disk>(disk: &D, damage: &Tail) -> Result<Option<PathBuf>, LogError> {
    let copy = keep_copy(disk, damage, &read_tail(disk, damage)?)?;
    cut_tail(disk, damage)?;
    Ok(copy)
}

/// Cuts a log where it is damaged, on somebody's word that what is behind may go. First a copy of it as it was goes to `copy`, in
/// a directory that is made: beside the log, what is cut would be purged with it, and it may hold what nobody else does.
pub fn cut_behind_copy<D: Disk>(disk: &D, damage: &Tail, copy: &Path) -> Result<(), LogError> {
    // Of a log that is cut twice, the first copy is the whole.
    if disk.length(copy).is_err() {
        let contents = disk.read(&damage.path).map_err(io_error("read", &damage.path))?;
        let dirs = [copy.parent(), damage.path.parent()];
        let written = (|| {
            dirs[0].map_or(Ok(()), |dir| disk.create_dir(dir))?;
            let mut file = disk.create(copy)?;
            file.write_at(0, without_zeros_behind(&contents))?;
            file.sync()?;
            dirs.into_iter().flatten().try_for_each(|dir| disk.sync_dir(dir))
        })();
        written.map_err(|source| {
            // Best effort: half a copy is none.
            let _ = disk.remove(copy);
            let path = copy.to_owned();
            if is_full(&source) {
                LogError::NoSpace { path, source }
            } else {
                LogError::Io { action: "copy a log to", path, source }
            }
        })?;
    }
    cut_tail(disk, damage)
}

/// What stands in a log behind some offset, whatever is damaged there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Behind {
    /// How many whole records. What a client stored may look like one, if a record that holds it is damaged.
    pub whole_records: u64,
    /// The last of them.
    pub last: Option<Zxid>,
    /// Nothing is wrong between them but checksums, so that Java's `zkTxnLogToolkit.sh` keeps them all.
    pub lacks_only_checksums: bool,
}

/// Looks at a log from `offset` on, or from its first record.
pub fn behind<D: Disk>(disk: &D, path: &Path, offset: u64, limits: Limits) -> Result<Behind, LogError> {
    let contents = disk.read(path).map_err(io_error("read", path))?;
    let data_end = disk.data_end(path).map_err(io_error("read", path))?;
    let data_end = contents.len().min(data_end as usize);
    let from = (offset as usize).max(HEADER.len());
    let rest = without_zeros_behind(contents.get(from..data_end).unwrap_or_default());
    let mut behind = Behind { lacks_only_checksums: true, ..Behind::default() };
    let mut at = 0;
    let mut are_lengths_right = true;
    while at < rest.len() {
        let mut frame = frame_at(&rest[at..], limits.field_bytes_max);
        // Behind a wrong length each byte may begin a record, and none of them is worth a look at all that follows.
        if are_lengths_right && let Some((length, zxid)) = whole_at(&rest[at..]) {
            frame = Frame::Whole { length, zxid };
        }
        match frame {
            Frame::Whole { length, zxid } => {
                behind.whole_records += 1;
                behind.last = Some(zxid);
                behind.lacks_only_checksums = are_lengths_right;
                at += frame_bytes(length);
            }
            Frame::Broken { what: WRONG_CHECKSUM, end } if are_lengths_right => at += end,
            _ => {
                are_lengths_right = false;
                at = end_of_stumble(rest, at);
            }
        }
    }
    Ok(behind)
}

fn sync<D: Disk>(disk: &D, path: &Path) -> Result<(), LogError> {
    disk.sync_file(path).map_err(io_error("make durable what was read from", path))
}

/// What stands in a tail, up to its zeros; nothing, if the file never held a record.
fn read_tail<D: Disk>(disk: &D, tail: &Tail) -> Result<Vec<u8>, LogError> {
    if tail.offset == 0 {
        return Ok(Vec::new());
    }
    let contents = disk.read(&tail.path).map_err(io_error("read", &tail.path))?;
    let data_end = disk.data_end(&tail.path).map_err(io_error("read", &tail.path))?;
    let data_end = contents.len().min(data_end as usize);
    Ok(without_zeros_behind(contents.get(tail.offset as usize..data_end).unwrap_or_default()).to_vec())
}

/// Puts what is about to be cut off into a file of its own, durably. An older copy is not overwritten, unless
/// a crash left it unfinished.
pub(super) fn keep_copy<D: Disk>(disk: &D, tail: &Tail, left: &[u8]) -> Result<Option<PathBuf>, LogError> {
    let (Some(dir), Some(name)) = (tail.path.parent(), tail.path.file_name().and_then(|name| name.to_str()))
    else {
        return Ok(None);
    };
    if left.is_empty() {
        return Ok(None);
    }
    let is_free = |path: &PathBuf| disk.read(path).map_or(true, |there| left.starts_with(&there));
    let names = (0..).map(|number| dir.join(layout::cut_name(name, tail.offset, number)));
    let path = names.into_iter().find(is_free).expect("numbers do not end");
    let written = (|| {
        let mut file = disk.create(&path)?;
        file.write_at(0, left)?;
        file.sync()?;
        disk.sync_dir(dir)
    })();
    match written {
        Ok(()) => Ok(Some(path)),
        Err(source) if is_full(&source) => {
            // Best effort: what is there is the beginning of what the next start copies.
            let _ = disk.remove(&path);
            Err(LogError::NoSpace { path, source })
        }
        Err(source) => Err(LogError::Io { action: "keep the torn end of a log in", path, source }),
    }
}

/// Cuts off what a crash left, so that every server can read the file; a file without a whole header is
/// removed. What stays is durable then. Nothing may have the file mapped.
pub fn cut_tail<D: Disk>(disk: &D, tail: &Tail) -> Result<(), LogError> {
    let failed = || io_error("cut the torn end of", &tail.path);
    if tail.offset == 0 {
        disk.remove(&tail.path).map_err(failed())?;
        let dir = tail.path.parent().expect("a log lies in a directory");
        return disk.sync_dir(dir).map_err(failed());
    }
    let mut file = match disk.open(&tail.path) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => return keep_only_head(disk, tail),
        file => file.map_err(failed())?,
    };
    file.set_length(tail.offset).map_err(failed())?;
    file.sync().map_err(|source| LogError::SyncFailed { path: tail.path.clone(), source })
}

/// Puts what stands before a tail in the place of a file that may only be read.
fn keep_only_head<D: Disk>(disk: &D, tail: &Tail) -> Result<(), LogError> {
    let dir = tail.path.parent().expect("a log lies in a directory");
    let name = tail.path.file_name().and_then(|name| name.to_str()).expect("a log has a log's name");
    let temporary = dir.join(layout::temporary_name(name));
    let contents = disk.read(&tail.path).map_err(io_error("read", &tail.path))?;
    let head = &contents[..tail.offset as usize];
    let replaced = (|| {
        let mut file = disk.create(&temporary)?;
        file.write_at(0, head)?;
        file.sync()?;
        disk.rename(&temporary, &tail.path)?;
        disk.sync_dir(dir)
    })();
    replaced.map_err(|source| {
        // Best effort: the next start removes it too.
        let _ = disk.remove(&temporary);
        if is_full(&source) {
            LogError::NoSpace { path: temporary, source }
        } else {
            LogError::Io {
                action: "replace, as it may only be read, the torn",
                path: tail.path.clone(),
                source,
            }
        }
    })
}

/// Forgets every record behind `last`, which the log must hold: what a leader asks of a learner that is
/// ahead. Snapshots are left alone. Java's `FileTxnLog.truncate`, except that Java keeps the first
/// record behind `last` if `last` itself is missing.
pub fn truncate<D: Disk>(disk: &D, dir: &Path, last: Zxid, limits: Limits) -> Result<(), LogError> {
    let files = layout::logs(disk, dir).map_err(io_error("list", dir))?;
    let missing = || LogError::NotInLog { dir: dir.to_owned(), zxid: last };
    let first_kept = files.iter().rfind(|file| file.zxid <= last).ok_or_else(missing)?;
    let before = Zxid(first_kept.zxid.0 - 1);
    let mut records = Records::after(disk.clone(), dir, before, limits)?.of_any_length();
    let mut kept = None;
    while kept.is_none() {
        let record = records.next_record()?.ok_or_else(missing)?;
        if record.zxid > last {
            return Err(missing());
        }
        let end = record.offset + frame_bytes(record.entry.len()) as u64;
        kept = (record.zxid == last).then(|| Tail { path: record.path.to_owned(), offset: end });
    }
    drop(records);
    let kept = kept.expect("the loop ends with it");
    // The newest file first: wherever this stops, what is left is a log without a gap.
    for file in files.iter().rev().take_while(|file| file.path != kept.path) {
        disk.remove(&file.path).map_err(io_error("remove", &file.path))?;
        disk.sync_dir(dir).map_err(io_error("remove a log from", dir))?;
    }
    cut_tail(disk, &kept)
}
