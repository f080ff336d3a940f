//! Reading a log back, and telling its end from damage.
//!
//! A record that was acknowledged was synced, and everything before it too. So a crash can only spoil
//! what comes behind the last synced record: the *tail* of the newest file. What may stand there is
//! anything between zeros and a whole record: parts of one batch may have reached the disk in any
//! order, so even a record of the right length with a wrong checksum can be the work of a crash, as
//! long as nothing whole stands behind it. A bad record with whole ones behind it, or in a file that
//! is not the newest, is damage: the reader refuses, and names file and offset.
//!
//! A tail is cut off before the log is continued, because Java does not start from all that zabd can
//! tell apart. Older files may end in tails too: they were the newest once, and the record that the
//! next file begins with shows whether anything is missing.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use zabd_jute::{Limits, Zxid};

use super::{END_MARK, FRAME_BEFORE, HEADER, LogError, adler32, zxid_of};
use crate::disk::{Contents, Disk, DiskFile};
use crate::layout::{self, NamedFile};

/// One record and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position<'r> {
    /// The file.
    pub path: &'r Path,
    /// Where the record begins.
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

#[derive(Debug)]
struct OpenFile {
    path: PathBuf,
    contents: Contents,
    offset: usize,
    is_newest: bool,
}

/// The records of a directory behind some transaction, in order.
#[derive(Debug)]
pub struct Records<D: Disk> {
    disk: D,
    files: VecDeque<NamedFile>,
    open: Option<OpenFile>,
    last: Zxid,
    entry_bytes_max: usize,
    tail: Option<Tail>,
}

enum Frame {
    Record {
        length: usize,
        zxid: Zxid,
    },
    /// Nothing but zeros, or nothing at all.
    End,
    /// Something, but not a whole record.
    Torn(&'static str),
}

impl<D: Disk> Records<D> {
    /// Records behind `after`; the first must be the next one, unless a new epoch begins with it.
    pub fn after(disk: D, dir: &Path, after: Zxid, limits: Limits) -> Result<Self, LogError> {
        let listed = layout::logs(&disk, dir);
        let mut files: VecDeque<NamedFile> =
            listed.map_err(|source| LogError::Io { action: "list", path: dir.to_owned(), source })?.into();
        // A record behind `after` may stand in the newest file that begins at or before it.
        while files.len() > 1 && files[1].zxid <= after.next() {
            files.pop_front();
        }
        let entry_bytes_max = limits.field_bytes_max;
        Ok(Self { disk, files, open: None, last: after, entry_bytes_max, tail: None })
    }

    /// The next record, if there is one.
    pub fn next_record(&mut self) -> Result<Option<Position<'_>>, LogError> {
        loop {
            if self.open.is_none() && !self.open_next()? {
                return Ok(None);
            }
            let file = self.open.as_mut().expect("a file was just opened");
            let offset = file.offset;
            match frame_at(&file.contents, offset, self.entry_bytes_max) {
                Frame::Record { length, zxid } => {
                    file.offset = offset + FRAME_BEFORE + length + 1;
                    if zxid <= self.last {
                        continue;
                    }
                    check_order(&file.path, offset, self.last, zxid)?;
                    self.last = zxid;
                    let file = self.open.as_ref().expect("the file is still open");
                    let begin = offset + FRAME_BEFORE;
                    let entry = &file.contents[begin..begin + length];
                    return Ok(Some(Position { path: &file.path, offset: offset as u64, zxid, entry }));
                }
                Frame::End => self.open = None,
                Frame::Torn(what) => {
                    self.end_torn(what)?;
                    self.open = None;
                }
            }
        }
    }

    /// What a crash left, once [`Records::next_record`] has said that there are no more.
    pub fn tail(&self) -> Option<&Tail> {
        self.tail.as_ref()
    }

    /// The last record that was read.
    pub fn last(&self) -> Zxid {
        self.last
    }

    fn open_next(&mut self) -> Result<bool, LogError> {
        let Some(file) = self.files.pop_front() else { return Ok(false) };
        let path = file.path;
        let contents = self.disk.read(&path).map_err(|source| LogError::Io {
            action: "read",
            path: path.clone(),
            source,
        })?;
        let is_newest = self.files.is_empty();
        if contents.len() < HEADER.len() && is_newest {
            self.tail = Some(Tail { path, offset: 0 });
            return Ok(false);
        }
        // Version and database are not checked, as in Java.
        if !contents.starts_with(&HEADER[..4]) {
            return Err(LogError::NotALog { path });
        }
        self.open = Some(OpenFile { path, contents, offset: HEADER.len(), is_newest });
        Ok(true)
    }

    /// Decides whether a record that is not whole is the end of its file or damage.
    fn end_torn(&mut self, what: &'static str) -> Result<(), LogError> {
        let file = self.open.as_ref().expect("a record was just read");
        let offset = file.offset as u64;
        let corrupt = || LogError::Corrupt { path: file.path.clone(), offset, what };
        if has_whole_record(&file.contents[file.offset..], self.entry_bytes_max) {
            return Err(corrupt());
        }
        if file.is_newest {
            self.tail = Some(Tail { path: file.path.clone(), offset });
        }
        Ok(())
    }
}

/// Cuts off what a crash left, so that every server can read the file; a file without a whole header is
/// removed: it never held a record.
pub fn cut_tail<D: Disk>(disk: &D, tail: &Tail) -> Result<(), LogError> {
    let failed = |source| LogError::Io { action: "cut the torn end of", path: tail.path.clone(), source };
    if tail.offset == 0 {
        return disk.remove(&tail.path).map_err(failed);
    }
    let mut file = disk.open(&tail.path).map_err(failed)?;
    file.set_length(tail.offset).map_err(failed)?;
    file.sync().map_err(failed)
}

fn check_order(path: &Path, offset: usize, last: Zxid, zxid: Zxid) -> Result<(), LogError> {
    let follows = zxid == last.next() || zxid.epoch() > last.epoch();
    if follows {
        return Ok(());
    }
    let (path, offset, expected) = (path.to_owned(), offset as u64, last.next());
    Err(LogError::Gap { path, offset, expected, found: zxid })
}

fn frame_at(contents: &[u8], offset: usize, entry_bytes_max: usize) -> Frame {
    let rest = &contents[offset.min(contents.len())..];
    let Some(head) = rest.get(..FRAME_BEFORE) else {
        return if rest.iter().all(|byte| *byte == 0) { Frame::End } else { Frame::Torn("half a record") };
    };
    let checksum = u64::from_be_bytes(head[..8].try_into().expect("eight bytes are eight bytes"));
    let length = i32::from_be_bytes(head[8..].try_into().expect("four bytes are four bytes"));
    if length == 0 {
        // Java ends here whatever the checksum says.
        return if checksum == 0 && rest.iter().take(4096).all(|byte| *byte == 0) {
            Frame::End
        } else {
            Frame::Torn("a record without length")
        };
    }
    let Some(length) = usize::try_from(length).ok().filter(|length| *length <= entry_bytes_max) else {
        return Frame::Torn("an unreasonable length");
    };
    let Some(entry) = rest.get(FRAME_BEFORE..FRAME_BEFORE + length) else {
        return Frame::Torn("half a record");
    };
    if rest.get(FRAME_BEFORE + length) != Some(&END_MARK) {
        return Frame::Torn("a record without its end mark");
    }
    if u64::from(adler32(entry)) != checksum {
        return Frame::Torn("a wrong checksum");
    }
    match zxid_of(entry) {
        Some(zxid) => Frame::Record { length, zxid },
        None => Frame::Torn("a record without header"),
    }
}

/// Whether a whole record begins anywhere behind the first byte.
fn has_whole_record(torn: &[u8], entry_bytes_max: usize) -> bool {
    let end = torn.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let torn = &torn[..end];
    (1..torn.len().saturating_sub(FRAME_BEFORE)).any(|at| {
        // The checksum's high half is zero and the length is not: most offsets are told by that.
        torn[at..at + 4] == [0; 4] && matches!(frame_at(torn, at, entry_bytes_max), Frame::Record { .. })
    })
}
