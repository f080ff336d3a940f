//! Appending: records are buffered, and become durable together.
//!
//! Room is taken ahead in steps, so that most syncs do not change the file's length (on ext4 they take
//! two thirds of the time). The room is a hole, as in Java: a disk is full when its blocks are, not when
//! its files are long.
//!
//! A batch is one write at the end of the last durable record, and one sync. If the write finds no room,
//! the file is cut back to that record, and the same batch is written again by the next [`Log::sync`];
//! so at any moment the file holds whole durable records, then perhaps a part of one batch, then zeros.
//! After any other failure nothing is accepted any more: nobody knows what the disk holds.
//!
//! A new file gets its header under a name that is no log's, and its own name when that is durable: a file
//! shorter than its header keeps a Java server from starting. Java's `FileTxnLog` and `FilePadding`.

use std::path::{Path, PathBuf};
use std::{io, mem};

use zabd_jute::{Epoch, Limits, Zxid};
use zabd_mutation::{Mutation, is_on};

use super::conflict::last_in_file;
use super::frame::{HEADER, first_frame_bytes, frame_bytes, put_record, whole_at, zxid_of};
use super::repair::keep_copy;
use super::torn::UNSYNCED_BYTES_MAX;
use super::{LogError, Tail, io_error};
use crate::damage::{move_aside, next_place};
use crate::disk::{Disk, DiskFile, is_full, is_out_of_descriptors};
use crate::layout;
use crate::recovery::RecoveryError;
use crate::zeros::without_zeros_behind;

/// Java takes more room when less than this is left, in bytes.
const ROOM_LEFT_MIN: u64 = 4096;
/// What the buffer may keep for the next batch, in bytes; one batch of large records is not kept for ever.
const BUFFER_BYTES_KEPT_MAX: usize = 1 << 20;

/// How a log is written.
#[derive(Clone, Copy, Debug)]
pub struct LogOptions {
    /// `preAllocSize`, in bytes; 0 takes no room ahead.
    pub prealloc_bytes: u64,
    /// `forceSync`: whether records are made durable at all.
    pub force_sync: bool,
    /// `txnLogSizeLimitInKb`, in bytes: a file with more records is followed by another. Java counts the
    /// room ahead too, and with defaults begins a file per batch.
    pub file_bytes_max: Option<u64>,
    /// How long an entry may be, in bytes.
    pub entry_bytes_max: usize,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            prealloc_bytes: 64 << 20,
            force_sync: true,
            file_bytes_max: None,
            entry_bytes_max: Limits::default().field_bytes_max,
        }
    }
}

/// How much has been appended since the last roll, in this life and those before it: what decides about the next snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AppendedSinceRoll {
    /// Records.
    pub records: u64,
    /// Bytes of the records, without the room ahead that Java counts too.
    pub bytes: u64,
}

impl AppendedSinceRoll {
    /// Counts one more record.
    pub fn add(&mut self, entry: &[u8]) {
        self.records += 1;
        self.bytes += frame_bytes(entry.len()) as u64;
    }
}

/// Somebody put a copy of an older log under the name that a new one needed; it went into a directory beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    /// The name.
    pub from: PathBuf,
    /// Where it is now.
    pub to: PathBuf,
}

#[derive(Debug)]
struct Begun<F> {
    open: Open<F>,
    set_aside: Option<SetAside>,
}

#[derive(Debug)]
struct Open<F> {
    file: F,
    path: PathBuf,
    /// Behind the last durable record.
    position: u64,
    /// The file's length; `position ≤ length`.
    length: u64,
}

/// The log of one server, for appending.
#[derive(Debug)]
pub struct Log<D: Disk> {
    disk: D,
    dir: PathBuf,
    options: LogOptions,
    open: Option<Open<D::File>>,
    /// Whether an earlier life's newest file is known to be durable.
    is_settled: bool,
    /// Framed records; those before `buffer_synced` are durable.
    buffer: Vec<u8>,
    buffer_synced: usize,
    /// The zxid of the first record in the buffer.
    first: Option<Zxid>,
    /// The last record appended.
    last: Zxid,
    since_roll: AppendedSinceRoll,
    is_poisoned: bool,
    /// Copies of older logs that had a new one's name.
    set_aside: Vec<SetAside>,
}

impl<D: Disk> Log<D> {
    /// A log whose last record is `last`. The next record begins a new file, as after every start.
    pub fn new(disk: D, dir: &Path, last: Zxid, options: LogOptions) -> Self {
        Self {
            disk,
            dir: dir.to_owned(),
            options,
            open: None,
            is_settled: false,
            buffer: Vec::new(),
            buffer_synced: 0,
            first: None,
            last,
            since_roll: AppendedSinceRoll::default(),
            is_poisoned: false,
            set_aside: Vec::new(),
        }
    }

    /// The log, with what earlier lives appended and no snapshot holds: the next one is due as if there had been one
    /// life.
    #[must_use]
    pub fn with_unsaved(self, unsaved: AppendedSinceRoll) -> Self {
        Self { since_roll: unsaved, ..self }
    }

    /// The log, of which nobody reads what earlier lives appended: a snapshot has taken its place.
    #[must_use]
    pub fn behind_nothing(self) -> Self {
        Self { is_settled: true, ..self }
    }

    /// Buffers one record. Promises nothing until [`Log::sync`] returns its zxid.
    pub fn append(&mut self, zxid: Zxid, entry: &[u8]) -> Result<(), LogError> {
        if self.is_poisoned {
            return Err(LogError::Poisoned);
        }
        assert!(self.last < zxid, "records are appended once, in zxid order");
        assert!(
            zxid == self.last.next() || self.last.epoch() < zxid.epoch(),
            "no zxid is left out: Java does not start behind a gap"
        );
        assert_eq!(zxid_of(entry), Some(zxid), "a record stands at its position");
        let length_max = self.options.entry_bytes_max;
        if length_max < entry.len() {
            return Err(LogError::TooLarge { length: entry.len(), length_max });
        }
        put_record(entry, &mut self.buffer);
        self.first.get_or_insert(zxid);
        self.last = zxid;
        self.since_roll.add(entry);
        Ok(())
    }

    /// Makes every appended record durable; returns the last zxid that may be acknowledged. After
    /// [`LogError::NoSpace`] and [`LogError::NoDescriptor`] nothing is lost, and calling again tries again.
    pub fn sync(&mut self) -> Result<Zxid, LogError> {
        if self.is_poisoned {
            return Err(LogError::Poisoned);
        }
        let Some(first) = self.first else { return Ok(self.last) };
        let outcome = self.sync_buffer(first);
        if let Err(error) = outcome {
            self.is_poisoned = !matches!(error, LogError::NoSpace { .. } | LogError::NoDescriptor { .. });
            return Err(error);
        }
        self.first = None;
        self.buffer.clear();
        self.buffer.shrink_to(BUFFER_BYTES_KEPT_MAX);
        self.buffer_synced = 0;
        let open = self.open.as_ref().expect("the file was just written");
        if self.options.file_bytes_max.is_some_and(|most| open.position > most) {
            self.open = None;
        }
        Ok(self.last)
    }

    /// Where there is no record and no file, begins the one of an epoch's first record: see [`crate::testimony`]. A disk
    /// without room for it is left alone.
    pub fn begin_empty(&mut self, epoch: Epoch) -> Result<(), LogError> {
        let logs = || layout::logs(&self.disk, &self.dir).map_err(io_error("list", &self.dir));
        if self.last != Zxid::ZERO || !logs()?.is_empty() {
            return Ok(());
        }
        let first = epoch.first_zxid().next();
        let begun = begin_file(&self.disk, &self.dir, first, self.options, true);
        match begun.map_err(|error| without_descriptor(error, &self.dir)) {
            Ok(_) | Err(LogError::NoSpace { .. } | LogError::NoDescriptor { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The next record begins a new file; nothing may wait.
    pub fn roll(&mut self) {
        assert!(self.first.is_none(), "a log is rolled between batches");
        self.open = None;
        self.since_roll = AppendedSinceRoll::default();
    }

    /// How much has been appended since the last roll.
    pub fn appended_since_roll(&self) -> AppendedSinceRoll {
        self.since_roll
    }

    /// What had a new log's name since this was asked last.
    pub fn take_set_aside(&mut self) -> Vec<SetAside> {
        mem::take(&mut self.set_aside)
    }

    /// Whether nothing waits to be made durable.
    pub fn is_synced(&self) -> bool {
        self.first.is_none()
    }

    /// How long the current file is, the room ahead included; 0 between two files.
    pub fn file_bytes(&self) -> u64 {
        self.open.as_ref().map_or(0, |open| open.length)
    }

    /// The last record appended.
    pub fn last(&self) -> Zxid {
        self.last
    }

    /// Usually one write and one sync; several if the buffer is longer than a reader after a crash may
    /// take for one batch.
    fn sync_buffer(&mut self, first: Zxid) -> Result<(), LogError> {
        if self.open.is_none() {
            let begun = begin_file(&self.disk, &self.dir, first, self.options, self.is_settled);
            let begun = begun.map_err(|error| without_descriptor(error, &self.dir))?;
            self.set_aside.extend(begun.set_aside);
            self.open = Some(begun.open);
            self.is_settled = true;
        }
        let open = self.open.as_mut().expect("there is a file to write to");
        while self.buffer_synced < self.buffer.len() {
            let waiting = &self.buffer[self.buffer_synced..];
            let batch = &waiting[..batch_bytes(waiting)];
            write(open, batch, self.options)?;
            self.buffer_synced += batch.len();
        }
        Ok(())
    }
}

/// How many bytes of `frames` are synced together: whole records, and at least one.
fn batch_bytes(frames: &[u8]) -> usize {
    if frames.len() <= UNSYNCED_BYTES_MAX {
        return frames.len();
    }
    let mut end = 0;
    while end < frames.len() {
        let next = end + first_frame_bytes(&frames[end..]);
        if end > 0 && next > UNSYNCED_BYTES_MAX {
            break;
        }
        end = next;
    }
    end
}

/// Writes a batch behind the last durable record, and syncs.
fn write<F: DiskFile>(open: &mut Open<F>, batch: &[u8], options: LogOptions) -> Result<(), LogError> {
    let end = open.position + batch.len() as u64;
    let padded = length_with_room(open.position, end, open.length, options.prealloc_bytes);
    let written = (|| {
        if padded > open.length {
            open.file.set_length(padded)?;
            open.length = padded;
        }
        open.file.write_at(open.position, batch)
    })();
    let written = if is_on(Mutation::WriteErrorIgnored) { Ok(()) } else { written };
    if let Err(source) = written {
        if !is_full(&source) {
            return Err(LogError::Io { action: "append to", path: open.path.clone(), source });
        }
        // Back to the last durable record, so that no reader finds half of this batch; if that fails, the
        // half batch is still what a crash could have left, and is overwritten.
        if open.file.set_length(open.position).is_ok() {
            open.length = open.position;
        }
        return Err(LogError::NoSpace { path: open.path.clone(), source });
    }
    if options.force_sync && !is_on(Mutation::LogNotSynced) {
        open.file.sync().map_err(|source| LogError::SyncFailed { path: open.path.clone(), source })?;
    }
    open.position = end;
    open.length = open.length.max(end);
    Ok(())
}

/// How long a file should be in which records up to `position` are durable and up to `end` follow: the
/// header and whole steps. Java adds a step when little room is left behind `position`.
fn length_with_room(position: u64, end: u64, length: u64, step: u64) -> u64 {
    let needed = end.max(position + ROOM_LEFT_MIN);
    if step == 0 || needed < length {
        return length;
    }
    let header = HEADER.len() as u64;
    header + ((needed - header) / step + 1) * step
}

/// A file with a durable header under a durable name.
fn begin_file<D: Disk>(
    disk: &D,
    dir: &Path,
    first: Zxid,
    options: LogOptions,
    is_settled: bool,
) -> Result<Begun<D::File>, LogError> {
    let path = dir.join(layout::log_name(first));
    if options.force_sync && !is_settled {
        settle_earlier_life(disk, dir)?;
    }
    let set_aside = clear_name(disk, &path, first)?;
    let temporary = dir.join(layout::temporary_name(&layout::log_name(first)));
    let begun = (|| {
        let mut file = disk.create(&temporary)?;
        file.write_at(0, &HEADER)?;
        if options.force_sync && !is_on(Mutation::LogHeaderNotSynced) {
            file.sync()?;
        }
        disk.rename(&temporary, &path)?;
        Ok(file)
    })();
    let file = begun.map_err(|source: io::Error| {
        // Best effort: the next attempt and the next start remove it too.
        let _ = disk.remove(&temporary);
        if is_full(&source) {
            LogError::NoSpace { path: path.clone(), source }
        } else {
            LogError::Io { action: "begin", path: path.clone(), source }
        }
    })?;
    if options.force_sync {
        disk.sync_dir(dir).map_err(|source| LogError::SyncFailed { path: path.clone(), source })?;
    }
    let length = HEADER.len() as u64;
    Ok(Begun { open: Open { file, path, position: length, length }, set_aside })
}

/// Only opening a file asks for a descriptor, and each step of beginning a file may be done again.
fn without_descriptor(error: LogError, dir: &Path) -> LogError {
    match error {
        LogError::Io { source, .. } | LogError::SyncFailed { source, .. }
            if is_out_of_descriptors(&source) =>
        {
            LogError::NoDescriptor { path: dir.to_owned(), source }
        }
        error => error,
    }
}

/// What an earlier process wrote and did not sync was read back from the page cache; it must be durable
/// before anything that follows it is.
fn settle_earlier_life<D: Disk>(disk: &D, dir: &Path) -> Result<(), LogError> {
    let logs = layout::logs(disk, dir).map_err(io_error("list", dir))?;
    let Some(newest) = logs.last() else { return Ok(()) };
    disk.sync_file(&newest.path).map_err(|source| LogError::SyncFailed { path: newest.path.clone(), source })
}

/// A file of this name may be there without a record, if an earlier process got no further; one with records must not be
/// replaced. If all of those come before what is to be written, somebody put it there since the start, which has set names right:
/// nothing of it is missing in what this process has read and written.
fn clear_name<D: Disk>(disk: &D, path: &Path, first: Zxid) -> Result<Option<SetAside>, LogError> {
    let contents = match disk.read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        contents => contents.map_err(io_error("read", path))?,
    };
    let records = contents.get(HEADER.len()..).unwrap_or_default();
    if whole_at(records).is_some() {
        if last_in_file(disk, path)? >= Some(first) {
            return Err(LogError::Occupied { path: path.to_owned() });
        }
        return move_away(disk, path).map(Some);
    }
    // A start had no room to keep what a crash left in it.
    let tail = Tail { path: path.to_owned(), offset: HEADER.len() as u64 };
    keep_copy(disk, &tail, without_zeros_behind(records)).map(|_| None)
}

fn move_away<D: Disk>(disk: &D, path: &Path) -> Result<SetAside, LogError> {
    let failed = |error| {
        let (RecoveryError::Directory { source, .. } | RecoveryError::Log(LogError::Io { source, .. })) =
            error
        else {
            return LogError::Occupied { path: path.to_owned() };
        };
        let path = path.to_owned();
        if is_full(&source) {
            LogError::NoSpace { path, source }
        } else {
            LogError::Io { action: "move away", path, source }
        }
    };
    let (dir, name) = (path.parent(), path.file_name());
    let (dir, name) = (dir.expect("a log lies in a directory"), name.expect("a log has a name"));
    let to = next_place(disk, dir).map_err(failed)?.join(name);
    move_aside(disk, path, &to).map_err(failed)?;
    Ok(SetAside { from: path.to_owned(), to })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lengths that Java's files have, see the golden data: 16 KiB steps behind the header.
    #[test]
    fn room_is_taken_as_java_takes_it() {
        let step = 16 << 10;
        for (position, end, length, expected) in [
            (16, 100, 16, 16_400),
            (12_303, 16_399, 16_400, 16_400),
            (12_303, 16_400, 16_400, 32_784),
            (12_304, 12_400, 16_400, 32_784),
            (16, 921_600, 16_400, 933_904),
        ] {
            assert_eq!(length_with_room(position, end, length, step), expected, "{position} to {end}");
        }
        assert_eq!(length_with_room(16, 5000, 16, 0), 16, "without a step nothing is taken");
        assert_eq!(length_with_room(16, 200, 16, 64 << 20), 67_108_880);
    }

    #[test]
    fn a_long_buffer_is_cut_between_records() {
        let mut frames = Vec::new();
        put_record(&vec![1; UNSYNCED_BYTES_MAX], &mut frames);
        let first = frames.len();
        assert_eq!(batch_bytes(&frames), first, "one record is always taken");
        (0..5).for_each(|_| put_record(&vec![2; 1 << 20], &mut frames));
        assert_eq!(batch_bytes(&frames), first);
        assert_eq!(batch_bytes(&frames[first..]), 3 * frame_bytes(1 << 20));
        assert_eq!(batch_bytes(&frames[first..first + 100]), 100, "short ones are not looked into");
    }
}
