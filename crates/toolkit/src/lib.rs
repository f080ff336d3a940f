//! The tools of ZooKeeper that read logs and snapshots while no server does: `zkTxnLogToolkit.sh`,
//! `zkSnapShotToolkit.sh`, `zkSnapshotComparer.sh` and `zkSnapshotRecursiveSummaryToolkit.sh`.
//!
//! What they print is read by people and by scripts, so it is Java's to the byte: words and streams, exit codes, the order in
//! which Java's hash tables give znodes back, and what it says when it trips over a file. Where Java prints a stack trace, its
//! first line is printed: it says what is wrong, and the rest says where in a program that is not there.
//!
//! A tool looks at one file as it is and asks nothing of the others, so nothing here recovers or judges; that is
//! `zabd_storage`'s business, with which the tools share how a snapshot is decompressed. Logs are read a record at a time,
//! never through a map: a server may be writing to the file, or cutting it. Only `zkTxnLogToolkit.sh` writes, and only the
//! file that it was asked for.
//!
//! In reading order: [`Tool`] (which tool), [`Console`] (what it talks to, and how it ends), `options` (command lines),
//! `dates`, `log` (dump, recover, chop), `snapshot` (format, compare, summarise).

mod console;
mod dates;
mod log;
mod options;
mod snapshot;
mod tool;

pub use console::Console;
pub use tool::{Settings, Tool};
