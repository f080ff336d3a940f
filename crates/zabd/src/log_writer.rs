//! The thread that makes transactions durable.
//!
//! It takes everything that waits, appends it, syncs once, and says so; the next batch fills meanwhile.
//! What happens when the disk does not play along:
//!
//! - *no room*: the batch stays, the replica refuses new writes, and the append is tried again until
//!   there is room; nothing that was proposed is lost, nothing is acknowledged early;
//! - *a failed sync*: the process ends. After it the page cache can no longer be trusted to hold what
//!   it claims to, so trying again may acknowledge what is not there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex, MutexGuard};
use zabd_jute::Zxid;
use zabd_replica::Input;
use zabd_storage::disk::RealDisk;
use zabd_storage::log::{Log, LogError};

use crate::driver::Driver;
use crate::net::Summary;
use crate::snapshotter::{SnapshotPolicy, Snapshotter};

/// How often a full disk is tried again.
const ROOM_CHECK_INTERVAL: Duration = Duration::from_millis(200);

/// Batches smaller than this are those of few clients, which would only wait for themselves.
const LINGER_BATCH_MIN: usize = 16;

/// Less than a sync takes; with the timer's slack about twice as long.
const LINGER: Duration = Duration::from_micros(60);

/// Records on their way to the log, in order.
#[derive(Debug, Default)]
pub struct LogQueue {
    waiting: Mutex<Vec<Record>>,
    arrived: Condvar,
}

#[derive(Debug)]
struct Record {
    zxid: Zxid,
    entry: Bytes,
}

/// The queue, held while one step's records are added.
#[derive(Debug)]
pub struct Batch<'q> {
    queue: &'q LogQueue,
    waiting: Option<MutexGuard<'q, Vec<Record>>>,
}

impl LogQueue {
    /// Adds records; the writer is woken when the batch is dropped.
    pub fn batch(&self) -> Batch<'_> {
        Batch { queue: self, waiting: None }
    }

    /// How many records wait.
    fn len(&self) -> usize {
        self.waiting.lock().len()
    }

    /// Moves everything that waits into `taken`, waiting for the first record up to `patience`.
    fn take(&self, taken: &mut Vec<Record>, most: usize, patience: Duration) {
        let mut waiting = self.waiting.lock();
        if waiting.is_empty() {
            self.arrived.wait_for(&mut waiting, patience);
        }
        if waiting.len() <= most {
            std::mem::swap(&mut *waiting, taken);
        } else {
            taken.extend(waiting.drain(..most));
        }
    }
}

impl Batch<'_> {
    /// Adds one record.
    pub fn push(&mut self, zxid: Zxid, entry: Bytes) {
        self.waiting.get_or_insert_with(|| self.queue.waiting.lock()).push(Record { zxid, entry });
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        if self.waiting.take().is_some() {
            self.queue.arrived.notify_one();
        }
    }
}

/// What the operator configured about batches.
#[derive(Clone, Copy, Debug)]
pub struct BatchOptions {
    /// `maxBatchSize`: records per sync.
    pub records_max: usize,
    /// `flushDelay`: how long a batch may wait for company.
    pub delay: Duration,
    /// `fsync.warningthresholdms`: a sync that takes longer is worth a warning.
    pub slow_sync: Duration,
}

/// What operators ask about the log.
#[derive(Debug, Default)]
pub struct LogFigures {
    /// Milliseconds per sync.
    pub sync_ms: Mutex<Summary>,
    /// Syncs that took longer than the threshold.
    pub slow_syncs: std::sync::atomic::AtomicU64,
}

/// The thread's work. See the module's description.
#[derive(Debug)]
pub struct LogWriter {
    /// Where records come from, and who hears that they are durable.
    pub driver: Arc<Driver>,
    /// Where they go.
    pub log: Log<RealDisk>,
    /// How they are batched.
    pub batches: BatchOptions,
    /// When a snapshot is due.
    pub policy: SnapshotPolicy,
    /// Who takes it.
    pub snapshotter: Snapshotter,
    /// What it took.
    pub figures: Arc<LogFigures>,
}

impl LogWriter {
    /// Writes for as long as the process lives; returns only what must end it.
    pub fn run(mut self) -> LogError {
        let mut batch = Vec::new();
        let mut previous = 0;
        loop {
            self.linger(previous);
            self.driver.log.take(&mut batch, self.batches.records_max, Duration::from_secs(1));
            previous = batch.len();
            if batch.is_empty() {
                continue;
            }
            if !self.batches.delay.is_zero() && batch.len() < self.batches.records_max {
                std::thread::sleep(self.batches.delay);
                let room = self.batches.records_max - batch.len();
                let mut more = Vec::new();
                self.driver.log.take(&mut more, room, Duration::ZERO);
                batch.append(&mut more);
            }
            match self.write(&mut batch) {
                Ok(upto) => self.driver.synced(upto),
                Err(error) => return error,
            }
        }
    }

    /// Lets a batch fill that has only begun: the clients whose requests made up the one before have
    /// just been answered and are about to ask again. Whoever is alone never waits.
    fn linger(&self, previous: usize) {
        if previous >= LINGER_BATCH_MIN && self.driver.log.len() < previous / 2 {
            std::thread::sleep(LINGER);
        }
    }

    /// Appends and syncs a batch, however long the disk is full.
    fn write(&mut self, batch: &mut Vec<Record>) -> Result<Zxid, LogError> {
        for Record { zxid, entry } in batch.drain(..) {
            self.log.append(zxid, &entry)?;
            if self.policy.is_due(self.log.appended_since_roll()) {
                self.roll()?;
            }
        }
        self.sync()
    }

    fn roll(&mut self) -> Result<(), LogError> {
        self.sync()?;
        self.log.roll();
        self.policy.draw();
        self.snapshotter.request();
        Ok(())
    }

    fn sync(&mut self) -> Result<Zxid, LogError> {
        let mut is_full = false;
        loop {
            let begin = Instant::now();
            match self.log.sync() {
                Err(LogError::NoSpace { path, .. }) => {
                    if !is_full {
                        tracing::error!(
                            "No room to append to {}: free some space on its disk",
                            path.display()
                        );
                        self.driver.feed([Input::DiskFull]);
                    }
                    is_full = true;
                    std::thread::sleep(ROOM_CHECK_INTERVAL);
                }
                Ok(upto) => {
                    self.count(begin.elapsed());
                    if is_full {
                        self.driver.feed([Input::DiskHasRoom]);
                    }
                    return Ok(upto);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn count(&self, took: Duration) {
        self.figures.sync_ms.lock().add(took.as_millis() as u64);
        if took > self.batches.slow_sync {
            self.figures.slow_syncs.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            tracing::warn!(
                "fsync-ing the write ahead log took {}ms which will adversely affect operation latency",
                took.as_millis()
            );
        }
    }
}
