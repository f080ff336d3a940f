//! The transaction log, in Java's format.
//!
//! ```text
//! file    "ZKLG" · int 2 · long 0 · record… · zeros (room that was taken ahead)
//! record  long Adler-32 of the entry · int length · entry · 'B'
//! ```
//!
//! What an entry means is not known here, except where its zxid stands.

mod reader;
mod writer;

#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;

use zabd_jute::Zxid;

pub use reader::{Position, Records, Tail, cut_tail};
pub use writer::{AppendedSinceRoll, Log, LogOptions};

/// "ZKLG", version 2, database 0.
pub(crate) const HEADER: [u8; 16] = *b"ZKLG\0\0\0\x02\0\0\0\0\0\0\0\0";
/// Checksum and length before an entry.
pub(crate) const FRAME_BEFORE: usize = 12;
/// The mark behind it.
pub(crate) const END_MARK: u8 = b'B';
/// Where an entry's zxid stands: behind session and cxid.
const ZXID_OFFSET: usize = 12;

/// The zxid of an entry, if it is long enough to have one.
pub(crate) fn zxid_of(entry: &[u8]) -> Option<Zxid> {
    let bytes = entry.get(ZXID_OFFSET..ZXID_OFFSET + 8)?;
    Some(Zxid(i64::from_be_bytes(bytes.try_into().expect("eight bytes are eight bytes"))))
}

pub(crate) fn adler32(bytes: &[u8]) -> u32 {
    let mut adler = adler2_simd::Adler32::new();
    adler.write(bytes);
    adler.finish()
}

/// Why the log cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The disk is full: nothing of what waits is durable, and trying again may succeed.
    #[error("no room to append to {}", path.display())]
    NoSpace {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
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
    /// A sync failed. The page cache cannot be trusted any more, so nothing more is accepted.
    #[error("the log {} could not be made durable, and nothing more can be trusted to it", path.display())]
    SyncFailed {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An entry that Java could not read back is not written.
    #[error("a record of {length} bytes is larger than a server can read back, {length_max}")]
    TooLarge {
        /// Its length.
        length: usize,
        /// What is allowed.
        length_max: usize,
    },
    /// The file is not a log.
    #[error("{} does not begin like a log; move it away if it is none", path.display())]
    NotALog {
        /// Which file.
        path: PathBuf,
    },
    /// A record is damaged, and others that may be whole come behind it.
    #[error(
        "{}: {what} at offset {offset}; records behind it would be lost: restore the file from a copy, \
         or this server from its peers", path.display()
    )]
    Corrupt {
        /// Which file.
        path: PathBuf,
        /// Where the record begins.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// Transactions are missing.
    #[error(
        "{}: the transactions from {expected} on are missing before the record at offset {offset}, which is {found}; \
         restore the missing log file, or this server from its peers", path.display()
    )]
    Gap {
        /// The file behind the gap.
        path: PathBuf,
        /// Where its record begins.
        offset: u64,
        /// The zxid that should be there.
        expected: Zxid,
        /// The zxid that is.
        found: Zxid,
    },
}
