//! Setting a log right before it is continued: what a crash left goes, what was read becomes durable.
//!
//! A killed process leaves records in the page cache that no sync covered. Once a start has read them,
//! clients are told of them, so they are synced first. A torn end is cut off, because Java refuses some
//! of what zabd can tell from damage; a newest file without a header is removed, because Java before
//! 3.9.3 dies on it. It never held a record: its header was durable before the first was acknowledged.
//!
//! Java itself never repairs the old file, and begins a new one behind the torn end.

use std::path::Path;

use zabd_jute::{Limits, Zxid};

use super::frame::frame_bytes;
use super::{LogError, Records, Tail, io_error};
use crate::disk::{Disk, DiskFile};
use crate::layout;

/// Ends a start's reading, when [`Records::next_record`] has said that there are no more: makes what was
/// read durable, and cuts off what a crash left. Returns what was cut off, which is worth a log line.
pub fn settle<D: Disk>(disk: &D, records: Records<D>) -> Result<Option<Tail>, LogError> {
    let (newest, tail) = records.into_ends();
    match (&tail, newest) {
        (Some(tail), _) => cut_tail(disk, tail)?,
        (None, Some(path)) => {
            let synced = disk.open(&path).and_then(|mut file| file.sync());
            synced.map_err(io_error("make durable what was read from", &path))?;
        }
        (None, None) => (),
    }
    Ok(tail)
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
    let mut file = disk.open(&tail.path).map_err(failed())?;
    file.set_length(tail.offset).map_err(failed())?;
    file.sync().map_err(failed())
}

/// Forgets every record behind `last`, which the log must hold: what a leader asks of a learner that is
/// ahead. Snapshots are left alone. Java's `FileTxnLog.truncate`, except that Java keeps the first
/// record behind `last` if `last` itself is missing.
pub fn truncate<D: Disk>(disk: &D, dir: &Path, last: Zxid, limits: Limits) -> Result<(), LogError> {
    let files = layout::logs(disk, dir).map_err(io_error("list", dir))?;
    let missing = || LogError::NotInLog { dir: dir.to_owned(), zxid: last };
    let first_kept = files.iter().rfind(|file| file.zxid <= last).ok_or_else(missing)?;
    let mut records = Records::after(disk.clone(), dir, Zxid(first_kept.zxid.0 - 1), limits)?;
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
