//! Snapshot files, in Java's format; what the body holds is not known here.
//!
//! ```text
//! "ZKSN" · int 2 · long -1 · body …                       the body ends with ustring "/"
//! seal 1:  long Adler-32 of everything before · ustring "/"
//! digest:  long zxid · int 2 · long digest · seal 2       since 3.6, if digests are kept
//! last:    long last processed zxid · seal 3              since 3.9, if switched on
//! ```
//!
//! The checksums are those of the stream before compression. Follows Java's `FileSnap` and `SnapStream`.

mod file;
mod incoming;
mod reader;
mod snappy;
mod writer;

#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;

use zabd_jute::Zxid;

pub use file::SnapshotFile;
pub use incoming::{IncomingError, IncomingSnapshot};
pub use reader::{Content, LoadedSnapshot, content, load, looks_whole};
pub use writer::{SealedSnapshot, SnapshotWriter};

/// "ZKSN", version 2, database −1.
pub(crate) const HEADER: [u8; 16] = *b"ZKSN\0\0\0\x02\xff\xff\xff\xff\xff\xff\xff\xff";
/// `ustring "/"`, which ends the body and every seal.
pub(crate) const SLASH: [u8; 5] = *b"\0\0\0\x01/";
/// A checksum and a slash.
pub(crate) const SEAL_BYTES: usize = 8 + SLASH.len();
/// Zxid, version and digest, without the seal.
pub(crate) const DIGEST_BYTES: usize = 20;
/// The last zxid, without the seal.
pub(crate) const LAST_ZXID_BYTES: usize = 8;
/// The only digest version that any release wrote.
pub(crate) const DIGEST_VERSION: i32 = 2;

/// How a snapshot is stored; the file's extension says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// As it is.
    #[default]
    None,
    /// `.gz`
    Gzip,
    /// `.snappy`, in the framing of Java's `SnappyOutputStream`.
    Snappy,
}

impl Compression {
    /// What the file's name ends with.
    pub fn extension(self) -> &'static str {
        match self {
            Compression::None => "",
            Compression::Gzip => ".gz",
            Compression::Snappy => ".snappy",
        }
    }

    /// From the first bytes of a stream, of which there should be eight; what is neither of the two may be a snapshot as it is.
    pub fn of_content(first: &[u8]) -> Self {
        if first.starts_with(&reader::GZIP_MAGIC) {
            Compression::Gzip
        } else if first.starts_with(&snappy::HEADER[..8]) {
            Compression::Snappy
        } else {
            Compression::None
        }
    }

    /// From a file's name: the last extension decides, in any case of letters, as in Java.
    pub fn of_name(name: &str) -> Self {
        let extension = name.rsplit('.').next().unwrap_or_default();
        if extension.eq_ignore_ascii_case("gz") {
            Compression::Gzip
        } else if extension.eq_ignore_ascii_case("snappy") {
            Compression::Snappy
        } else {
            Compression::None
        }
    }
}

/// What stands behind the body. Java 3.6 to 3.8 cannot read a last zxid without a digest before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SnapshotTrailer {
    /// The tree's digest, version 2, and behind which transaction it was that.
    pub digest: Option<(Zxid, u64)>,
    /// The last transaction in it.
    pub last_zxid: Option<Zxid>,
}

/// Why a snapshot cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Reading or writing failed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not a whole snapshot.
    #[error(
        "{}: {what} at offset {offset} of the uncompressed content; restore the file from a copy, or move it \
         away to start from the snapshot before it, if there is one", path.display()
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
}

impl SnapshotError {
    /// Whether only room or a descriptor was missing: trying again may succeed.
    pub fn is_want(&self) -> bool {
        matches!(self, SnapshotError::Io { source, .. } if crate::disk::is_want(source))
    }
}
