//! The few file operations that the store needs: on real files, or on a disk for tests that forgets,
//! tears, fails and fills; or on one on which everything can be tried.
//!
//! What is assumed of a disk: data is durable when `sync` of its file has returned, a name when `sync_dir`
//! of its directory has; before that, any part of it may be there after a crash, by sectors of 512 bytes.
//! What was never written reads as zeros. A directory is durable when `create_dir` has returned.

mod direct;
mod map;
mod memory;
mod real;
mod rehearsal;

use std::io;
use std::ops::Deref;
use std::path::Path;

pub use direct::BLOCK_BYTES;
pub use map::is_any_mapped;
pub use memory::{Crash, Fault, MemoryDisk, MemoryFile};
pub use real::{RealDisk, RealFile};
pub use rehearsal::{Change, Rehearsal, RehearsalFile};

/// The contents of a file, for reading.
#[derive(Debug)]
pub enum Contents {
    /// Mapped.
    Mapped(map::Mapped),
    /// Read.
    Owned(Vec<u8>),
}

impl Deref for Contents {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Contents::Mapped(mapped) => mapped,
            Contents::Owned(bytes) => bytes,
        }
    }
}

/// A place for files.
pub trait Disk: Clone + Send + 'static {
    /// A file open for writing.
    type File: DiskFile;

    /// Makes a directory and those above it, durably.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;
    /// Makes an empty file, or empties the one of this name.
    fn create(&self, path: &Path) -> io::Result<Self::File>;
    /// Opens a file that exists for writing.
    fn open(&self, path: &Path) -> io::Result<Self::File>;
    /// Makes durable what is in a file that exists, which may be one that this process may only read.
    fn sync_file(&self, path: &Path) -> io::Result<()> {
        self.open(path)?.sync()
    }
    /// All there is in a file.
    fn read(&self, path: &Path) -> io::Result<Contents>;
    /// How long a file is, in bytes.
    fn length(&self, path: &Path) -> io::Result<u64>;
    /// Where the last byte of a file that is not zero ends, found without looking at zeros that take no room.
    fn data_end(&self, path: &Path) -> io::Result<u64> {
        self.length(path)
    }
    /// The same by a few looks: a file may have been copied by what keeps no holes, and to look at all of its zeros takes as long as to
    /// read them. Zeros in the midst of its data may be taken for those at the end; nothing behind this place has been looked at then.
    fn likely_data_end(&self, path: &Path) -> io::Result<u64> {
        self.data_end(path)
    }
    /// The names in a directory, sorted; `NotFound` if it does not exist.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Gives a file another name, replacing the file that had it, in one step.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

/// A file open for writing.
pub trait DiskFile: Send {
    /// Writes all of `bytes` at `offset`; on failure any first part of them may have been written.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Writes like [`DiskFile::write_at`], and returns when nothing of it waits in the system's memory any more: what
    /// else is synced does not wait for it. Whole blocks of 4 KiB at such offsets cost least. Durable only behind a `sync`.
    fn write_through(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_at(offset, bytes)?;
        self.sync()
    }
    /// Cuts the file, or lengthens it with zeros that take no room.
    fn set_length(&mut self, length: u64) -> io::Result<()>;
    /// Makes data and length durable.
    fn sync(&mut self) -> io::Result<()>;
}

/// Whether a file could not be opened because this process, or the whole machine, has too many open.
pub fn is_out_of_descriptors(error: &io::Error) -> bool {
    let errno = rustix::io::Errno::from_io_error(error);
    errno.is_some_and(|errno| matches!(errno, rustix::io::Errno::MFILE | rustix::io::Errno::NFILE))
}

/// Whether an operation failed for want of room or of a descriptor: what has been begun may be done again from its beginning,
/// as often as it takes.
pub fn is_want(error: &io::Error) -> bool {
    is_full(error) || is_out_of_descriptors(error)
}

/// Whether an operation failed because the disk is full.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
