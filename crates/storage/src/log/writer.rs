//! Appending: records are buffered, and become durable together.
//!
//! Room is taken ahead in steps, so that most syncs do not change the file's length. A batch is one
//! write at the end of the last durable record; if that fails for want of room, the same bytes are
//! written to the same place again later, over whatever part of them got there. So at any moment the
//! file holds whole durable records, then perhaps a torn one, then zeros.

use std::path::{Path, PathBuf};

use zabd_jute::{Limits, Zxid};

use super::{END_MARK, FRAME_BEFORE, HEADER, LogError, adler32, zxid_of};
use crate::disk::{Disk, DiskFile, is_full};
use crate::layout::log_name;

/// Java begins to take more room when less than this is left.
const ROOM_LEFT_MIN: u64 = 4096;

/// How a log is written.
#[derive(Clone, Copy, Debug)]
pub struct LogOptions {
    /// `preAllocSize`, in bytes; 0 takes no room ahead.
    pub prealloc_bytes: u64,
    /// `forceSync`: whether records are made durable at all.
    pub force_sync: bool,
    /// `txnLogSizeLimitInKb`, in bytes: a larger file is followed by another.
    pub file_bytes_max: Option<u64>,
    /// How long an entry may be.
    pub entry_bytes_max: usize,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            prealloc_bytes: 64 << 20,
            force_sync: true,
            file_bytes_max: None,
            entry_bytes_max: 2 * Limits::FRAME_BYTES_MAX_DEFAULT,
        }
    }
}

/// How much has been appended since the last roll.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AppendedSinceRoll {
    /// Records.
    pub records: u64,
    /// Bytes of the records.
    pub bytes: u64,
}

#[derive(Debug)]
struct Open<F> {
    file: F,
    path: PathBuf,
    /// Behind the last durable record.
    position: u64,
    length: u64,
}

/// The log of one server, for appending.
#[derive(Debug)]
pub struct Log<D: Disk> {
    disk: D,
    dir: PathBuf,
    options: LogOptions,
    open: Option<Open<D::File>>,
    /// Framed records that are not durable yet.
    buffer: Vec<u8>,
    /// The zxid of the first of them.
    first: Option<Zxid>,
    last: Zxid,
    since_roll: AppendedSinceRoll,
    poisoned: bool,
}

impl<D: Disk> Log<D> {
    /// A log whose last record is `last`. The next record begins a new file, as after every start.
    pub fn new(disk: D, dir: &Path, last: Zxid, options: LogOptions) -> Self {
        Self {
            disk,
            dir: dir.to_owned(),
            options,
            open: None,
            buffer: Vec::new(),
            first: None,
            last,
            since_roll: AppendedSinceRoll::default(),
            poisoned: false,
        }
    }

    /// Buffers one record. Promises nothing until [`Log::sync`] returns its zxid.
    pub fn append(&mut self, zxid: Zxid, entry: &[u8]) -> Result<(), LogError> {
        assert!(self.last < zxid, "records are appended once, in zxid order");
        assert_eq!(zxid_of(entry), Some(zxid), "a record stands at its position");
        if entry.len() > self.options.entry_bytes_max {
            let length_max = self.options.entry_bytes_max;
            return Err(LogError::TooLarge { length: entry.len(), length_max });
        }
        self.buffer.extend_from_slice(&u64::from(adler32(entry)).to_be_bytes());
        self.buffer.extend_from_slice(&(entry.len() as u32).to_be_bytes());
        self.buffer.extend_from_slice(entry);
        self.buffer.push(END_MARK);
        self.first.get_or_insert(zxid);
        self.last = zxid;
        self.since_roll.records += 1;
        self.since_roll.bytes += (FRAME_BEFORE + entry.len() + 1) as u64;
        Ok(())
    }

    /// Makes every appended record durable; returns the last zxid that may be acknowledged.
    pub fn sync(&mut self) -> Result<Zxid, LogError> {
        assert!(!self.poisoned, "a log is not used again after a failed sync");
        let Some(first) = self.first else { return Ok(self.last) };
        if self.open.is_none() {
            self.open = Some(self.begin_file(first)?);
        }
        self.write()?;
        self.first = None;
        self.buffer.clear();
        let open = self.open.as_ref().expect("the file was just written");
        if self.options.file_bytes_max.is_some_and(|most| open.position > most) {
            self.open = None;
        }
        Ok(self.last)
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

    /// The last record appended.
    pub fn last(&self) -> Zxid {
        self.last
    }

    /// A file with a durable header under a durable name, or none: a file shorter than its header
    /// would keep a Java server from starting.
    fn begin_file(&self, first: Zxid) -> Result<Open<D::File>, LogError> {
        let path = self.dir.join(log_name(first));
        let begun = (|| {
            let mut file = self.disk.create(&path)?;
            file.write_at(0, &HEADER)?;
            if self.options.force_sync {
                file.sync()?;
            }
            self.disk.sync_dir(&self.dir)?;
            Ok(file)
        })();
        match begun {
            Ok(file) => {
                let length = HEADER.len() as u64;
                Ok(Open { file, path, position: length, length })
            }
            Err(source) => {
                // Best effort: a start removes what is left here too.
                let _ = self.disk.remove(&path);
                Err(failure("begin", path, source))
            }
        }
    }

    fn write(&mut self) -> Result<(), LogError> {
        let open = self.open.as_mut().expect("there is a file to write to");
        let end = open.position + self.buffer.len() as u64;
        let step = self.options.prealloc_bytes;
        if step > 0 && end + ROOM_LEFT_MIN >= open.length {
            let length = (end + ROOM_LEFT_MIN).div_ceil(step) * step;
            match open.file.set_length(length) {
                Ok(()) => open.length = length,
                // Without room ahead the records may still fit.
                Err(error) if is_full(&error) => (),
                Err(source) => return Err(failure("lengthen", open.path.clone(), source)),
            }
        }
        if let Err(source) = open.file.write_at(open.position, &self.buffer) {
            return Err(failure("append to", open.path.clone(), source));
        }
        if self.options.force_sync
            && let Err(source) = open.file.sync()
        {
            self.poisoned = true;
            return Err(LogError::SyncFailed { path: open.path.clone(), source });
        }
        open.position = end;
        open.length = open.length.max(end);
        Ok(())
    }
}

fn failure(action: &'static str, path: PathBuf, source: std::io::Error) -> LogError {
    if is_full(&source) { LogError::NoSpace { path, source } } else { LogError::Io { action, path, source } }
}
