//! The thread that writes snapshots while the server goes on.
//!
//! A snapshot is consistent at one zxid: the tree notes where it begins, and keeps what later changes
//! would overwrite until it has been written. The tree is held for a bite of znodes at a time; the
//! bytes go to the disk between the bites, at a pace that leaves the disk to the log.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use zabd_storage::disk::RealDisk;
use zabd_storage::log::AppendedSinceRoll;
use zabd_storage::snapshot::{Compression, SnapshotError, SnapshotTrailer, SnapshotWriter};

use crate::driver::Driver;
use crate::net::Summary;

/// Znodes per hold of the tree: well under a tenth of a millisecond.
const NODES_PER_HOLD: usize = 200;

/// How fast a snapshot is written at most. The log shares the disk and must not wait for it.
const BYTES_PER_SECOND_MAX: u64 = 32 << 20;

/// When the next snapshot is due: after a random number of records or bytes between half of the
/// configured and all of it, so that the servers of an ensemble do not all do it at once.
#[derive(Clone, Debug)]
pub struct SnapshotPolicy {
    records: u64,
    bytes: Option<u64>,
    random: u64,
    due_records: u64,
    due_bytes: u64,
}

impl SnapshotPolicy {
    /// `snapCount`, and `snapSizeLimitInKb` in bytes if there is a limit.
    pub fn new(records: u64, bytes: Option<u64>, seed: u64) -> Self {
        let mut policy =
            Self { records: records.max(2), bytes, random: seed | 1, due_records: 0, due_bytes: 0 };
        policy.draw();
        policy
    }

    /// Draws the next moment.
    pub fn draw(&mut self) {
        self.due_records = self.records / 2 + self.below(self.records / 2);
        let bytes = self.bytes.unwrap_or(0);
        self.due_bytes = bytes / 2 + self.below(bytes / 2);
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        if bound == 0 { 0 } else { self.random % bound }
    }

    /// Whether so much has been appended that a snapshot is due.
    pub fn is_due(&self, appended: AppendedSinceRoll) -> bool {
        appended.records > self.due_records || (self.bytes.is_some() && appended.bytes > self.due_bytes)
    }
}

/// What operators ask about snapshots.
#[derive(Debug, Default)]
pub struct SnapshotFigures {
    /// Milliseconds per snapshot.
    pub took_ms: Mutex<Summary>,
}

/// The way to the thread.
#[derive(Clone, Debug)]
pub struct Snapshotter {
    inbox: SyncSender<()>,
}

/// Where and how snapshots are written.
#[derive(Clone, Debug)]
pub struct SnapshotTarget {
    /// Java's `version-2` below `dataDir`.
    pub dir: std::path::PathBuf,
    /// How it is stored.
    pub compression: Compression,
    /// Whether the digest section is written.
    pub digest: bool,
    /// Whether the last-zxid section is written.
    pub last_zxid: bool,
}

impl Snapshotter {
    /// Starts the thread.
    pub fn start(
        driver: Arc<Driver>,
        target: SnapshotTarget,
        figures: Arc<SnapshotFigures>,
    ) -> std::io::Result<Self> {
        let (inbox, requests) = sync_channel(1);
        let work = move || run(&driver, &target, &figures, &requests);
        std::thread::Builder::new().name("Snapshot Thread".into()).spawn(work)?;
        Ok(Self { inbox })
    }

    /// Asks for a snapshot; if one waits already, that one serves.
    pub fn request(&self) {
        if let Err(TrySendError::Disconnected(())) = self.inbox.try_send(()) {
            panic!("the snapshot thread ended");
        }
    }
}

fn run(driver: &Driver, target: &SnapshotTarget, figures: &SnapshotFigures, requests: &Receiver<()>) {
    while requests.recv().is_ok() {
        let begin = Instant::now();
        match write(driver, target) {
            Ok(path) => {
                let took = begin.elapsed();
                figures.took_ms.lock().add(took.as_millis() as u64);
                tracing::info!("Snapshot {} taken in {}ms", path.display(), took.as_millis());
            }
            // The log holds everything; without a snapshot it only grows longer.
            Err(error) => tracing::error!("Cannot write a snapshot, the log stays as it is: {error}"),
        }
    }
}

/// Writes one snapshot of the tree as it is now.
pub fn write(driver: &Driver, target: &SnapshotTarget) -> Result<std::path::PathBuf, SnapshotError> {
    let head = driver.tree_exclusively().begin_snapshot();
    let written = write_body(driver, target, &head);
    if written.is_err() {
        driver.tree_exclusively().abandon_snapshot();
    }
    written
}

fn write_body(
    driver: &Driver,
    target: &SnapshotTarget,
    head: &zabd_tree::SnapshotHead,
) -> Result<std::path::PathBuf, SnapshotError> {
    let mut writer = SnapshotWriter::begin(RealDisk, &target.dir, head.zxid, target.compression)?;
    let mut bytes = Vec::new();
    let mut more = true;
    let begin = Instant::now();
    while more {
        more = driver.tree_exclusively().snapshot_chunk(&mut bytes, NODES_PER_HOLD);
        writer.write(&bytes)?;
        bytes.clear();
        let due = Duration::from_micros(writer.bytes_written() * 1_000_000 / BYTES_PER_SECOND_MAX);
        std::thread::sleep(due.saturating_sub(begin.elapsed()));
    }
    writer.finish(SnapshotTrailer {
        digest: head.digest.filter(|_| target.digest).map(|digest| (head.zxid, digest)),
        last_zxid: target.last_zxid.then_some(head.zxid),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshots_are_due_between_half_of_the_count_and_all_of_it() {
        let mut policy = SnapshotPolicy::new(100, None, 42);
        for _ in 0..1000 {
            policy.draw();
            assert!(!policy.is_due(AppendedSinceRoll { records: 50, bytes: u64::MAX }));
            assert!(policy.is_due(AppendedSinceRoll { records: 101, bytes: 0 }));
        }
    }

    #[test]
    fn bytes_count_only_with_a_limit() {
        let policy = SnapshotPolicy::new(100, Some(1000), 42);
        assert!(policy.is_due(AppendedSinceRoll { records: 0, bytes: 1001 }));
        assert!(!policy.is_due(AppendedSinceRoll { records: 0, bytes: 500 }));
    }
}
