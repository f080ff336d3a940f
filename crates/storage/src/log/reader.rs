//! Reading a log back: every record behind some transaction, in order, and nothing missing.
//!
//! A file ends at the first frame that is not a whole record; `torn` says whether that is a clean end,
//! the work of a crash, or damage. An older file may end torn too: it was the newest once, and whoever
//! went on after the crash began a new file. Whether anything is missing then shows in the order:
//!
//! - the first record must follow the snapshot, and each record the one before it, or begin an epoch;
//! - a whole record that is longer than what may be read is neither an end nor damage, and nothing is read behind it;
//! - a record that was read already is skipped: files may overlap, and Java repeats records. Whether it is the same, `conflict`
//!   says.
//!
//! Java reads one file too many, from its beginning, and stumbles over damage in it; here the newest file that can hold a needed
//! record is the first. Names alone do not tell which one that is: a copy of an older log may stand under a name behind it, and
//! hides for Java what the log between them holds. So older files are asked for their ends. Follows Java's `FileTxnIterator`.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use zabd_jute::{Limits, Zxid};
use zabd_mutation::{Mutation, is_on};

use super::conflict::first_reaching;
use super::frame::{ANY_LENGTH, FRAME_BEFORE, HEADER, frame_bytes, whole_at};
use super::torn::{Ending, ending};
use super::{LogError, io_error};
use crate::disk::{Contents, Disk};
use crate::layout::{self, NamedFile};

/// One record and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position<'r> {
    /// The file.
    pub path: &'r Path,
    /// Where the record begins, in bytes.
    pub offset: u64,
    /// Its zxid.
    pub zxid: Zxid,
    /// Header, body and digest.
    pub entry: &'r [u8],
}

/// What a crash left behind the last whole record of the newest file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tail {
    /// The file.
    pub path: PathBuf,
    /// Where its last whole record ends; 0 if not even the header is whole.
    pub offset: u64,
}

impl Position<'_> {
    /// What the record takes in its file.
    pub fn frame_bytes(&self) -> u64 {
        frame_bytes(self.entry.len()) as u64
    }
}

#[derive(Debug)]
struct OpenFile {
    path: PathBuf,
    contents: Contents,
    /// Behind it there are only zeros; they are not touched.
    data_end: usize,
    offset: usize,
    is_newest: bool,
}

impl OpenFile {
    fn rest(&self) -> &[u8] {
        &self.contents[self.offset.min(self.data_end)..self.data_end]
    }
}

/// The records of a directory behind some transaction, in order.
#[derive(Debug)]
pub struct Records<D: Disk> {
    disk: D,
    files: VecDeque<NamedFile>,
    newest: Option<PathBuf>,
    open: Option<OpenFile>,
    /// The record that the next one must follow; `None` while any may come.
    last: Option<Zxid>,
    /// The one before all that was asked for.
    begin: Option<Zxid>,
    has_repeated: bool,
    /// What an end is judged by.
    entry_bytes_max: usize,
    /// What may be read: that, or anything.
    read_bytes_max: usize,
    tail: Option<Tail>,
}

impl<D: Disk> Records<D> {
    /// Records behind `after`; the first must be the next one, unless a new epoch begins with it.
    pub fn after(disk: D, dir: &Path, after: Zxid, limits: Limits) -> Result<Self, LogError> {
        let mut files = layout::logs(&disk, dir).map_err(io_error("list", dir))?;
        let first_read = first_reaching(&disk, &files, after)?;
        Ok(Self::of_files(disk, files.split_off(first_read).into(), Some(after), limits))
    }

    /// Every record of some files, oldest first; the last one must be the newest of its directory.
    fn of_files(disk: D, files: VecDeque<NamedFile>, last: Option<Zxid>, limits: Limits) -> Self {
        let newest = files.back().map(|file| file.path.clone());
        let entry_bytes_max = limits.field_bytes_max;
        let (begin, has_repeated) = (last, false);
        Self {
            disk,
            files,
            newest,
            open: None,
            last,
            begin,
            has_repeated,
            entry_bytes_max,
            read_bytes_max: entry_bytes_max,
            tail: None,
        }
    }

    /// Records of any length, for whoever asks only where they stand.
    #[must_use]
    pub fn of_any_length(self) -> Self {
        Self { read_bytes_max: ANY_LENGTH, ..self }
    }

    /// Every record of one file, as if it were the newest.
    pub fn of_file(disk: D, file: NamedFile, limits: Limits) -> Self {
        Self::of_files(disk, VecDeque::from([file]), None, limits)
    }

    /// The next record, if there is one.
    pub fn next_record(&mut self) -> Result<Option<Position<'_>>, LogError> {
        loop {
            if self.open.is_none() && !self.open_next()? {
                return Ok(None);
            }
            let file = self.open.as_mut().expect("a file was just opened");
            let offset = file.offset;
            let Some((length, zxid)) = whole_at(file.rest()) else {
                self.end_file()?;
                continue;
            };
            file.offset += frame_bytes(length);
            if self.last.is_some_and(|last| zxid <= last) {
                self.has_repeated |= self.begin.is_none_or(|begin| zxid > begin);
                continue;
            }
            check_order(&file.path, offset, self.last, zxid)?;
            if length > self.read_bytes_max {
                let (path, offset) = (file.path.clone(), offset as u64);
                return Err(LogError::TooLong {
                    path,
                    offset,
                    zxid,
                    length,
                    length_max: self.read_bytes_max,
                });
            }
            self.last = Some(zxid);
            let file = self.open.as_ref().expect("the file is still open");
            let entry = &file.contents[offset + FRAME_BEFORE..][..length];
            return Ok(Some(Position { path: &file.path, offset: offset as u64, zxid, entry }));
        }
    }

    /// What a crash left, once [`Records::next_record`] has said that there are no more.
    pub fn tail(&self) -> Option<&Tail> {
        self.tail.as_ref()
    }

    /// Whether a record was passed over because one of its zxid, or a later one, had been read before.
    pub fn has_repeated(&self) -> bool {
        self.has_repeated
    }

    /// The last record that was read, or the one to read from.
    pub fn last(&self) -> Zxid {
        self.last.unwrap_or(Zxid::ZERO)
    }

    /// How many bytes of records are still to come, of those that are there now, frames included.
    pub fn bytes_ahead(&self) -> Result<u64, LogError> {
        let mut bytes = self.open.as_ref().map_or(0, |file| file.rest().len() as u64);
        for NamedFile { path, .. } in &self.files {
            let data_end = self.disk.likely_data_end(path).map_err(io_error("read", path))?;
            bytes += data_end.saturating_sub(HEADER.len() as u64);
        }
        Ok(bytes)
    }

    /// The newest file, and what a crash left in it. Nothing stays mapped.
    pub(super) fn into_ends(self) -> (Option<PathBuf>, Option<Tail>) {
        assert!(self.files.is_empty() && self.open.is_none(), "a log is settled when all of it was read");
        (self.newest, self.tail)
    }

    fn open_next(&mut self) -> Result<bool, LogError> {
        let Some(NamedFile { path, .. }) = self.files.pop_front() else { return Ok(false) };
        let is_newest = self.files.is_empty();
        let data_end = self.disk.data_end(&path).map_err(io_error("read", &path))?;
        let contents = self.disk.read(&path).map_err(io_error("read", &path))?;
        let data_end = contents.len().min(data_end as usize);
        // A header ends with zeros of its own.
        let never_begun = contents.len() < HEADER.len() || data_end == 0;
        if never_begun && is_newest {
            self.tail = Some(Tail { path, offset: 0 });
            return Ok(false);
        }
        // Version and database are not checked, as in Java.
        if never_begun || !contents.starts_with(&HEADER[..4]) {
            return Err(LogError::NotALog { path });
        }
        self.open = Some(OpenFile { path, contents, data_end, offset: HEADER.len(), is_newest });
        Ok(true)
    }

    /// Closes a file at what is not a whole record, if that is an end.
    fn end_file(&mut self) -> Result<(), LogError> {
        let file = self.open.take().expect("a frame was just read");
        let offset = file.offset as u64;
        match ending(file.rest(), offset, self.entry_bytes_max) {
            Ending::Torn if file.is_newest => self.tail = Some(Tail { path: file.path, offset }),
            Ending::Clean | Ending::Torn => (),
            Ending::Damaged(_) if is_on(Mutation::DamageTakenForEnd) => (),
            Ending::Damaged(what) => {
                return Err(LogError::Corrupt { path: file.path, offset, what, upto: self.last() });
            }
        }
        Ok(())
    }
}

fn check_order(path: &Path, offset: usize, last: Option<Zxid>, zxid: Zxid) -> Result<(), LogError> {
    let Some(last) = last else { return Ok(()) };
    if zxid == last.next() || zxid.epoch() > last.epoch() {
        return Ok(());
    }
    let (path, offset, expected) = (path.to_owned(), offset as u64, last.next());
    Err(LogError::Gap { path, offset, expected, found: zxid })
}

/// The newest record of a directory, if there is any. Java's `getLastLoggedZxid`, except that files
/// without a record do not count.
pub fn last_record<D: Disk>(disk: &D, dir: &Path, limits: Limits) -> Result<Option<Zxid>, LogError> {
    let files = layout::logs(disk, dir).map_err(io_error("list", dir))?;
    for from in (0..files.len()).rev() {
        let newest: VecDeque<_> = files[from..].iter().cloned().collect();
        let mut records = Records::of_files(disk.clone(), newest, None, limits).of_any_length();
        while records.next_record()?.is_some() {}
        if records.last.is_some() {
            return Ok(records.last);
        }
    }
    Ok(None)
}

/// The oldest record of a directory and its file, if there is any.
pub fn first_record<D: Disk>(
    disk: &D,
    dir: &Path,
    limits: Limits,
) -> Result<Option<(PathBuf, Zxid)>, LogError> {
    let files = layout::logs(disk, dir).map_err(io_error("list", dir))?.into();
    let mut records = Records::of_files(disk.clone(), files, None, limits).of_any_length();
    Ok(records.next_record()?.map(|first| (first.path.to_owned(), first.zxid)))
}

/// Whether anything that could be a record stands behind a log's header.
pub(crate) fn holds_records<D: Disk>(disk: &D, path: &Path) -> bool {
    let Ok(contents) = disk.read(path) else { return true };
    let data_end = disk.data_end(path).map_or(contents.len(), |end| contents.len().min(end as usize));
    HEADER.len() < data_end
}
