//! The transaction log, in Java's format.
//!
//! ```text
//! file    "ZKLG" · int 2 · long 0 · record… · zeros (room that was taken ahead)
//! record  long Adler-32 of the entry · int length · entry · 'B'
//! ```
//!
//! A file is named after its first record. What an entry means is not known here, except whose it is,
//! and when. In reading order: [`Log`] appends; [`Records`] reads back, with the rules of `torn` for telling
//! a crash from damage; [`find_conflict`] tells two pasts from one that is told twice; [`settle`] sets right what a crash left;
//! [`truncate`] forgets.

mod conflict;
pub(crate) mod frame;
mod reader;
mod repair;
mod torn;
mod writer;

#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

use zabd_jute::Zxid;

use crate::disk::{is_out_of_descriptors, is_want};

pub use conflict::{Conflict, find_conflict, reach_behind};
pub(crate) use conflict::{first_in_file, holds_all_of, is_undamaged};
pub(crate) use reader::holds_records;
pub use reader::{Position, Records, Tail, first_record, last_record};
pub use repair::{Behind, Cut, behind, cut_behind_copy, cut_damage, cut_tail, settle, truncate};
pub use writer::{AppendedSinceRoll, Log, LogOptions, SetAside};

/// Why the log cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The disk is full: nothing of what waits may be acknowledged, and trying again may succeed.
    #[error("no room to append to {}; free some space on its disk", path.display())]
    NoSpace {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No file can be opened for what waits; nothing of it may be acknowledged, and trying again may succeed.
    #[error("no file descriptor is free to open {}", path.display())]
    NoDescriptor {
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
    /// An earlier operation failed in a way after which the log accepts nothing.
    #[error("the log stopped accepting records after an earlier failure; restart the server")]
    Poisoned,
    /// An entry that Java could not read back is not written.
    #[error("a record of {length} bytes is larger than a server can read back, {length_max}")]
    TooLarge {
        /// Its length.
        length: usize,
        /// What is allowed.
        length_max: usize,
    },
    /// The file that a later record would begin exists and holds records.
    #[error(
        "{} holds other records than its name promises, and no other log holds all of them; move it away if it is a copy that \
         nobody needs, for the next log may need its name", path.display()
    )]
    Occupied {
        /// Which file.
        path: PathBuf,
    },
    /// The file is not a log.
    #[error("{} does not begin like a log; move it away if it is none, or restore it from a copy", path.display())]
    NotALog {
        /// Which file.
        path: PathBuf,
    },
    /// A record is damaged in a way that no crash explains.
    #[error(
        "{}: {what} at offset {offset}; everything up to zxid {upto} is whole without it, and what was written behind that may \
         be lost: restore the file from a copy, or this server from its peers (docs/operating.md, \"A damaged log\", tells what \
         to do with neither)", path.display()
    )]
    Corrupt {
        /// Which file.
        path: PathBuf,
        /// Where the record begins.
        offset: u64,
        /// What is wrong.
        what: &'static str,
        /// What the snapshot and the records before it hold together.
        upto: Zxid,
    },
    /// A record is whole, and longer than what may be read. Nothing is damaged: whoever allows it reads on.
    #[error(
        "{}: the record of zxid {zxid} at offset {offset} has {length} bytes, and jute.maxbuffer with its extra size allows \
         {length_max}; the record is whole and nothing is damaged: start with the jute.maxbuffer of the server that wrote it, \
         jute.maxbuffer={length} is enough", path.display()
    )]
    TooLong {
        /// Which file.
        path: PathBuf,
        /// Where the record begins.
        offset: u64,
        /// Its zxid.
        zxid: Zxid,
        /// Its length, in bytes.
        length: usize,
        /// What is allowed.
        length_max: usize,
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
    /// Two records of one zxid are not one transaction.
    #[error(
        "{0}; `zabd doctor` tells what can be done (docs/operating.md, \"Two servers in one directory\")"
    )]
    Conflict(Box<Conflict>),
    /// The log cannot be cut behind a record that it does not hold.
    #[error("the log in {} does not hold {zxid}, behind which it should be cut", dir.display())]
    NotInLog {
        /// The log's directory.
        dir: PathBuf,
        /// The record.
        zxid: Zxid,
    },
}

impl LogError {
    /// Whether only room or a descriptor was missing: trying again may succeed. A sync that failed is never among them, whatever
    /// the system said, unless its file could not even be opened.
    pub fn is_want(&self) -> bool {
        match self {
            LogError::NoSpace { .. } | LogError::NoDescriptor { .. } => true,
            LogError::Io { source, .. } => is_want(source),
            LogError::SyncFailed { source, .. } => is_out_of_descriptors(source),
            _ => false,
        }
    }
}

/// For `map_err`: what was tried with which file.
fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LogError {
    let path = path.to_owned();
    move |source| LogError::Io { action, path, source }
}
