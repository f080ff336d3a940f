//! The thread that makes transactions durable.
//!
//! It takes everything that waits, appends it, syncs once, and says so; the next batch fills meanwhile.
//! What happens when the disk does not play along:
//!
//! - *no room*: the batch stays, the replica refuses new writes, and the append is tried again until
//!   there is room; nothing that was proposed is lost, nothing is acknowledged early. Who waits for the batch loses
//!   the connection after some seconds, for only the log can tell what becomes of it;
//! - *no descriptor for the next file*: likewise; and so is an epoch, or another base, for which there is no room or no descriptor;
//! - *a failed sync*: the process ends. After it the page cache can no longer be trusted to hold what
//!   it claims to, so trying again may acknowledge what is not there.
//!
//! A member of an ensemble asks for more than appends: epochs, cuts, another base. They stand in the same queue,
//! so each happens when everything before it is durable, and nothing behind it has begun.

mod counting;
mod restoring;
mod room;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex, MutexGuard};
use tokio::sync::watch;
use zabd_jute::{Epoch, Limits, ServerId, Zxid};
use zabd_replica::{Input, shown_members};
use zabd_storage::damage;
use zabd_storage::disk::RealDisk;
use zabd_storage::epochs::{self, EpochError, EpochFile};
use zabd_storage::held;
use zabd_storage::log::{AppendedSinceRoll, Log, LogError, LogOptions, SetAside};
use zabd_storage::rebase::{self, RebaseError};
use zabd_storage::recovery::{Directories, RecoveryError, RecoveryOptions};
use zabd_storage::restore::RestoreError;
use zabd_storage::snapshot::{SealedSnapshot, SnapshotError};
use zabd_tree::{Tree, TreeOptions};
use zabd_zab::effect::Durable;
use zabd_zab::peer;

use crate::alarm::Alarm;
use crate::driver::Driver;
use crate::free_space;
use crate::launch::with_causes;
use crate::member_files::MemberFiles;
use crate::memory::at_most;
use crate::recover::{Reading, recover, replay_behind};
use crate::restore::Restoring;
use crate::server::forget_initialize;
use crate::snapshotter::{SnapshotPolicy, Snapshotter};
use zabd_replica::percentiles::Percentiles;

/// How often a full disk is tried again.
const ROOM_CHECK_INTERVAL: Duration = Duration::from_millis(200);

/// A snapshot fills what room there is before it fails, so it is tried less often.
const ROOM_CHECKS_PER_SNAPSHOT: usize = 5;

/// Batches smaller than this are those of few clients, which would only wait for themselves.
const LINGER_BATCH_MIN: usize = 5;

/// If not even the first record comes for so long, those who were answered do not ask again.
const LINGER_EMPTY: Duration = Duration::from_millis(2);

/// If no other one comes for so long, none will; with the timer's slack it is 50 µs more.
const LINGER_FIRST: Duration = Duration::from_micros(200);

/// If one does, the rest has so long: a millisecond in all, from the first record on.
const LINGER_THEN: Duration = Duration::from_micros(750);

/// How much of what a leader sends may be on its way to the log before no more is read from the network, while this server
/// catches up: whoever is behind by more than its memory holds logs it as fast as its disk does.
const WAITING_BYTES_MAX_CATCHING_UP: usize = 32 << 20;

/// The same while it follows. Behind what is not read stand the leader's pings, and a disk that stands still for some seconds
/// must cost no session; as much is what a leader keeps for a learner.
const WAITING_BYTES_MAX: usize = 256 << 20;

/// Records on their way to the log, in order.
#[derive(Debug, Default)]
pub struct LogQueue {
    waiting: Mutex<Vec<Record>>,
    /// How long the entries are that are not durable.
    waiting_bytes: AtomicUsize,
    /// How often the past is to be replaced, behind which a learner keeps everything in memory.
    rebases: AtomicUsize,
    /// The disk is at something for which it has no room.
    is_in_want: AtomicBool,
    /// Something of that became less.
    moves: watch::Sender<()>,
    /// How many records the writer is to be woken for; changes only under the lock of `waiting`.
    wanted: AtomicUsize,
    /// Whether the writer is to come back without a record; changes only under the lock of `waiting`.
    is_nudged: AtomicBool,
    arrived: Condvar,
    /// A leader's snapshot that has come and has no name yet.
    received: Mutex<Option<Received>>,
    /// What is to take the place of everything.
    restoring: Mutex<Option<Restoring>>,
}

#[derive(Debug)]
struct Record {
    what: What,
    /// When it was handed over.
    since: Instant,
}

#[derive(Debug)]
enum What {
    Entry { zxid: Zxid, entry: Bytes },
    Operation(Operation),
}

/// What a member of an ensemble asks its disk for, beside records.
#[derive(Debug)]
pub enum Operation {
    /// A small thing.
    Persist(Durable),
    /// Forget what is behind.
    Truncate(Zxid),
    /// Take the snapshot that was received for the past, in the epoch that is being joined.
    Adopt(Zxid, Epoch),
}

/// A leader's whole state.
#[derive(Debug)]
pub struct Received {
    /// The file, under no name that a start would count.
    pub image: SealedSnapshot<RealDisk>,
    /// What is in it: a file that is no tree takes nobody's place.
    pub tree: Tree,
}

/// The queue, held while one step's records are added.
#[derive(Debug)]
pub struct Batch<'q> {
    queue: &'q LogQueue,
    waiting: Option<(MutexGuard<'q, Vec<Record>>, Instant)>,
}

impl LogQueue {
    /// Adds records; the writer is woken when the batch is dropped.
    pub fn batch(&self) -> Batch<'_> {
        Batch { queue: self, waiting: None }
    }

    /// Wakes the writer although there is no record: the driver has work for it.
    pub fn nudge(&self) {
        let waiting = self.waiting.lock();
        self.is_nudged.store(true, Relaxed);
        drop(waiting);
        self.arrived.notify_one();
    }

    /// A leader's snapshot has come; an operation that follows says what becomes of it.
    pub fn receive(&self, received: Received) {
        *self.received.lock() = Some(received);
    }

    /// A snapshot is to take the place of everything, between two batches.
    pub fn restore(&self, restoring: Restoring) {
        *self.restoring.lock() = Some(restoring);
        self.nudge();
    }

    /// Whether more may be read from the leader; whether this server follows it is asked only if that matters.
    pub fn has_room(&self, is_following: impl FnOnce() -> bool) -> bool {
        let waiting = self.waiting_bytes.load(Relaxed);
        let is_little = waiting < at_most(WAITING_BYTES_MAX_CATCHING_UP);
        !self.is_rebasing() && (is_little || (waiting < at_most(WAITING_BYTES_MAX) && is_following()))
    }

    /// Whether the past is about to be replaced, which takes as long as reading a tree.
    pub fn is_rebasing(&self) -> bool {
        self.rebases.load(Relaxed) != 0
    }

    /// Whether the disk does nothing, for how long nobody knows.
    pub fn is_in_want(&self) -> bool {
        self.is_in_want.load(Relaxed)
    }

    fn note_want(&self, is_in_want: bool) {
        if self.is_in_want.swap(is_in_want, Relaxed) != is_in_want {
            self.moves.send_replace(());
        }
    }

    /// Tells whenever the disk has got on since.
    pub fn moves(&self) -> watch::Receiver<()> {
        self.moves.subscribe()
    }

    fn note_durable(&self, bytes: usize) {
        self.waiting_bytes.fetch_sub(bytes, Relaxed);
        self.moves.send_replace(());
    }

    fn note_rebased(&self) {
        self.rebases.fetch_sub(1, Relaxed);
        self.moves.send_replace(());
    }

    /// How many records wait.
    fn len(&self) -> usize {
        self.waiting.lock().len()
    }

    /// Waits until as many records wait as were `wanted`, or for as long as `patience` says, piece by piece, from the first
    /// record on, if that comes soon; a piece without a record is the last one. A nudge ends it, too, and yields true.
    #[must_use = "whoever nudged has work for the writer"]
    fn fill(&self, wanted: usize, patience: &[Duration]) -> bool {
        let mut waiting = self.waiting.lock();
        if waiting.is_empty() && !self.is_nudged.load(Relaxed) {
            // Nobody waits before the first one.
            self.wanted.store(1, Relaxed);
            self.arrived.wait_for(&mut waiting, LINGER_EMPTY);
            if waiting.is_empty() {
                self.wanted.store(0, Relaxed);
                return self.is_nudged.swap(false, Relaxed);
            }
        }
        self.wanted.store(wanted, Relaxed);
        for piece in patience {
            let before = waiting.len();
            if wanted <= before || self.is_nudged.load(Relaxed) {
                break;
            }
            let has_timed_out = self.arrived.wait_for(&mut waiting, *piece).timed_out();
            if has_timed_out && waiting.len() == before {
                break;
            }
        }
        self.wanted.store(0, Relaxed);
        self.is_nudged.swap(false, Relaxed)
    }

    /// Moves everything that waits into `taken`, waiting for the first record up to `patience`.
    fn take(&self, taken: &mut Vec<Record>, most: usize, patience: Duration) {
        let mut waiting = self.waiting.lock();
        if waiting.is_empty() && !self.is_nudged.swap(false, Relaxed) {
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
        self.queue.waiting_bytes.fetch_add(entry.len(), Relaxed);
        self.add(What::Entry { zxid, entry });
    }

    /// Adds an operation.
    pub fn push_operation(&mut self, operation: Operation) {
        let is_rebase = matches!(operation, Operation::Truncate(_) | Operation::Adopt(..));
        self.queue.rebases.fetch_add(usize::from(is_rebase), Relaxed);
        self.add(What::Operation(operation));
    }

    fn add(&mut self, what: What) {
        let begin = || (self.queue.waiting.lock(), Instant::now());
        let (waiting, since) = self.waiting.get_or_insert_with(begin);
        waiting.push(Record { what, since: *since });
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        if let Some((waiting, _)) = self.waiting.take() {
            let is_enough = self.queue.wanted.load(Relaxed) <= waiting.len();
            drop(waiting);
            if is_enough {
                self.queue.arrived.notify_one();
            }
        }
    }
}

/// What the operator configured about batches.
#[derive(Clone, Copy, Debug)]
pub struct BatchOptions {
    /// `maxBatchSize`: records per sync.
    pub records_max: usize,
    /// `flushDelay`: how long after a sync the next one may wait for company.
    pub delay: Duration,
    /// `maxWriteQueuePollTime`: how long it waits for the next record at most.
    pub poll: Duration,
    /// `fsync.warningthresholdms`: a sync that takes longer is worth a warning.
    pub slow_sync: Duration,
    /// `forceSync`: whether there is anything to measure.
    pub force_sync: bool,
}

/// What operators ask about the log, since the last `srst`. Times are in milliseconds.
#[derive(Clone, Debug, Default)]
pub struct LogFigures {
    /// Syncs that took longer than they should, since the start.
    pub slow_syncs: u64,
    /// Records taken.
    pub taken: u64,
    /// Records that still waited when a batch was taken.
    pub left: Percentiles,
    /// Records per sync.
    pub batch: Percentiles,
    /// Per sync of the file.
    pub sync_ms: Percentiles,
    /// From a record's arrival until its batch was taken.
    pub queue_ms: Percentiles,
    /// Per batch, writing and syncing.
    pub flush_ms: Percentiles,
    /// Per batch, from when it was taken until it was durable.
    pub process_ms: Percentiles,
    /// From a record's arrival until it was durable.
    pub durable_ms: Percentiles,
    /// From a record's arrival until it was applied and answered.
    pub answered_ms: Percentiles,
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
    /// The snapshot that must be written before anything is logged, if one is owed.
    pub owed: Option<OwedSnapshot>,
    /// What it took.
    pub figures: Arc<Mutex<LogFigures>>,
    /// What a member of an ensemble needs to give its log another base.
    pub base: Base,
    /// The files that name the members, if this server is one.
    pub members: Option<MemberFiles>,
}

/// A snapshot for which the disk had no room when the server started. Without it, records would be replayed over
/// what the tree did not show: nothing, or the ephemerals of sessions that are gone.
#[derive(Debug)]
pub struct OwedSnapshot {
    /// What allowed to begin with nothing, and is forgotten then.
    pub initialize: Vec<PathBuf>,
}

/// Where everything is, and how it is read back.
#[derive(Clone, Debug)]
pub struct Base {
    /// Where the files are.
    pub directories: Directories,
    /// How the log is written.
    pub log_options: LogOptions,
    /// How long a field may be.
    pub limits: Limits,
    /// How the tree is kept.
    pub tree_options: TreeOptions,
    /// How a start goes, which is what reading back is.
    pub recovery: RecoveryOptions,
}

impl Base {
    /// What the files hold. `newest` is what the newest snapshot does, if it was read already.
    fn read_again(&self, newest: Option<Tree>) -> Result<(Tree, AppendedSinceRoll), RecoveryError> {
        if let Some(newest) = newest {
            return replay_behind(&RealDisk, &self.directories, newest, self.limits);
        }
        let options = Reading { is_member: true, ..Reading::default() };
        let recovered = recover(&RealDisk, &self.recovery, self.tree_options, self.limits, options)?;
        Ok((recovered.tree, recovered.unsaved))
    }
}

/// Why nothing can be written any more: the process must end.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The log failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// An epoch could not be written.
    #[error(transparent)]
    Epoch(#[from] EpochError),
    /// The past could not be replaced.
    #[error(transparent)]
    Rebase(#[from] RebaseError),
    /// What is there now cannot be read back.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// The snapshot that was owed could not be written.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// What the next start would find is not known.
    #[error(transparent)]
    Restore(#[from] RestoreError),
}

impl LogWriter {
    /// Writes for as long as the process lives; returns only what must end it.
    pub fn run(mut self) -> WriteError {
        let mut batch = Vec::new();
        let mut arrivals = Vec::new();
        let mut previous = 0;
        if let Some(owed) = self.owed.take()
            && let Err(error) = self.write_owed(&owed)
        {
            return error.into();
        }
        let mut flushed = Instant::now();
        loop {
            let restoring = self.driver.log.restoring.lock().take();
            if let Some(restoring) = restoring
                && let Err(error) = self.restore(restoring)
            {
                return error;
            }
            if let Err(error) = self.roll_if_due() {
                return error;
            }
            self.linger(previous);
            if self.driver.log.restoring.lock().is_some() {
                // Who brought it nudged the writer, which may have noticed while it waited for company.
                continue;
            }
            self.driver.log.take(&mut batch, self.batches.records_max, Duration::from_secs(1));
            previous = batch.len();
            if batch.is_empty() {
                self.driver.work_off_all();
                continue;
            }
            if !self.batches.delay.is_zero() {
                gather(&self.driver.log, &mut batch, self.batches, flushed);
            }
            let taken = Instant::now();
            arrivals.clear();
            arrivals.extend(batch.iter().map(|record| record.since));
            self.count_taken(taken, &arrivals);
            match self.write(&mut batch) {
                Ok(durable) => {
                    flushed = durable;
                    self.count_done(taken, flushed, &arrivals);
                }
                Err(error) => return error,
            }
        }
    }

    /// Writes what is owed, however long the disk is full.
    fn write_owed(&self, owed: &OwedSnapshot) -> Result<(), SnapshotError> {
        let mut alarm = Alarm::begun(Instant::now());
        loop {
            // It has just been tried.
            for _ in 0..ROOM_CHECKS_PER_SNAPSHOT {
                std::thread::sleep(ROOM_CHECK_INTERVAL);
                self.driver.work_off_all();
            }
            match self.snapshotter.write_first() {
                Err(error) if error.is_want() => alarm.ring(Instant::now(), || {
                    let free = free_space::in_words(&self.base.directories.snapshots);
                    tracing::error!("Only reads are served: {}; {free}", with_causes(&error));
                }),
                Err(error) => return Err(error),
                Ok(()) => {
                    forget_initialize(&owed.initialize);
                    self.driver.feed([Input::DiskHasRoom]);
                    return Ok(());
                }
            }
        }
    }

    /// Lets a batch become as large as the one before: the clients whose requests made that one up have just been
    /// answered and are about to ask again, and each sync costs the processor as much as dozens of requests. Whoever has
    /// been alone never waits, and nobody waits long for clients that do not come.
    fn linger(&self, previous: usize) {
        if previous < LINGER_BATCH_MIN {
            return;
        }
        // A nudge may be as old as the batch before; one that comes again has waited for long enough.
        for _ in 0..2 {
            if !self.driver.log.fill(previous, &[LINGER_FIRST, LINGER_THEN]) {
                break;
            }
            self.driver.work_off_all();
        }
    }

    /// Appends and syncs a batch, however long the disk is full, and says so; returns when it was durable.
    fn write(&mut self, batch: &mut Vec<Record>) -> Result<Instant, WriteError> {
        let mut appended = None;
        for Record { what, .. } in batch.drain(..) {
            match what {
                What::Entry { zxid, entry } => {
                    self.log.append(zxid, &entry)?;
                    *appended.get_or_insert(0) += entry.len();
                    self.roll_if_due()?;
                }
                What::Operation(operation) => {
                    self.report_synced(appended.take())?;
                    self.perform(operation)?;
                }
            }
        }
        self.report_synced(appended)
    }

    /// So many bytes were appended, if any entry was.
    fn report_synced(&mut self, appended: Option<usize>) -> Result<Instant, WriteError> {
        let upto = self.sync()?;
        let durable = Instant::now();
        if let Some(bytes) = appended {
            self.driver.synced(upto);
            self.driver.log.note_durable(bytes);
        }
        Ok(durable)
    }

    /// Everything before this is durable.
    fn perform(&mut self, operation: Operation) -> Result<(), WriteError> {
        match operation {
            Operation::Persist(what) => {
                self.until_room(|writer| writer.persist(&what))?;
                self.driver.feed_peer(peer::Input::Persisted(what));
            }
            Operation::Truncate(last) => {
                let is_cut = self.until_room(|writer| {
                    let base = &writer.base;
                    Ok(rebase::cut(&RealDisk, &base.directories, last, base.limits)?)
                })?;
                if is_cut {
                    self.reload(None)?;
                }
                self.tell_rebased();
            }
            Operation::Adopt(zxid, epoch) => {
                let received = self.driver.log.received.lock().take();
                if let Some(Received { mut image, tree }) = received {
                    self.until_room(|writer| {
                        let Base { directories, limits, .. } = &writer.base;
                        Ok(rebase::adopt(&RealDisk, directories, &mut image, zxid, epoch, *limits)?)
                    })?;
                    self.reload(Some(tree))?;
                }
                self.tell_rebased();
            }
        }
        Ok(())
    }

    fn tell_rebased(&self) {
        let (last, shown) = {
            let tree = self.driver.tree();
            (tree.last_zxid(), shown_members(&tree))
        };
        self.driver.feed_peer(peer::Input::Rebased { last, shown });
        self.driver.log.note_rebased();
    }

    fn persist(&mut self, what: &Durable) -> Result<(), WriteError> {
        let (file, epoch) = match what {
            Durable::Accepted(epoch) => (EpochFile::Accepted, *epoch),
            Durable::Current(epoch) => (EpochFile::Current, *epoch),
            Durable::Partial(is_partial) => {
                return Ok(damage::set_partial(&RealDisk, &self.base.directories, *is_partial)?);
            }
            Durable::Lists(lists) => {
                let me = self.members.as_ref().map_or(ServerId::NONE, MemberFiles::server);
                return Ok(held::write(&RealDisk, &self.base.directories, &lists.written(me))?);
            }
            Durable::Configuration(configuration) => {
                self.members.iter_mut().for_each(|members| members.hold(configuration));
                return Ok(());
            }
            Durable::NextConfiguration(next) => {
                self.members.iter_mut().for_each(|members| members.propose(next));
                return Ok(());
            }
        };
        let number = u32::try_from(epoch.0).expect("real epochs count leaders");
        epochs::write(&RealDisk, &self.base.directories.snapshots, file, number)?;
        if file == EpochFile::Current {
            self.log.begin_empty(epoch)?;
        }
        Ok(())
    }

    /// The files have another past: so has the tree, and the log goes on behind it. `newest` is what the newest snapshot
    /// holds, if it was read already.
    fn reload(&mut self, mut newest: Option<Tree>) -> Result<(), WriteError> {
        let (tree, unsaved) = self.until_room(|writer| Ok(writer.base.read_again(newest.take())?))?;
        let log = Log::new(RealDisk, &self.base.directories.logs, tree.last_zxid(), self.base.log_options);
        self.log = log.with_unsaved(unsaved);
        self.driver.replace_tree(tree);
        Ok(())
    }

    /// What earlier lives left may be enough. A member between two roles waits: the snapshot would be left out.
    fn roll_if_due(&mut self) -> Result<(), WriteError> {
        if self.policy.is_due(self.log.appended_since_roll()) && self.driver.is_serving() {
            self.roll()?;
        }
        Ok(())
    }

    fn roll(&mut self) -> Result<(), WriteError> {
        self.sync()?;
        let appended = self.log.appended_since_roll();
        tracing::debug!(
            "The next transaction begins a new log, and a snapshot is taken: the last one is {}, behind {} others of {} bytes",
            self.log.last(),
            appended.records,
            appended.bytes
        );
        self.log.roll();
        self.policy.draw();
        self.snapshotter.request();
        Ok(())
    }

    /// Makes durable what was appended, however long that takes.
    fn sync(&mut self) -> Result<Zxid, WriteError> {
        if self.log.is_synced() {
            return Ok(self.log.last());
        }
        self.until_room(|writer| {
            let begin = Instant::now();
            let upto = writer.log.sync()?;
            writer.count_sync(begin.elapsed());
            for SetAside { from, to } in writer.log.take_set_aside() {
                tracing::warn!(
                    "Somebody put a copy of an older log at {}, which the next log needs; it is {} now",
                    from.display(),
                    to.display()
                );
            }
            Ok(upto)
        })
    }

    fn count_sync(&self, took: Duration) {
        if !self.batches.force_sync {
            return;
        }
        let took_ms = took.as_millis();
        self.figures.lock().sync_ms.add(took_ms as u64);
        if took_ms > self.batches.slow_sync.as_millis() {
            self.figures.lock().slow_syncs += 1;
            tracing::warn!(
                "fsync-ing the write ahead log in {} took {took_ms}ms which will adversely effect operation latency.\
                 File size is {} bytes. See the ZooKeeper troubleshooting guide",
                std::thread::current().name().unwrap_or("?"),
                self.log.file_bytes()
            );
        }
    }
}

/// Lets a batch fill as `flushDelay` asks: until that long after the sync before, or no record has come for
/// `maxWriteQueuePollTime`, or the batch is full. Java's `SyncRequestProcessor`.
fn gather(queue: &LogQueue, batch: &mut Vec<Record>, options: BatchOptions, flushed: Instant) {
    let mut more = Vec::new();
    while batch.len() < options.records_max {
        let left = options.delay.saturating_sub(flushed.elapsed());
        queue.take(&mut more, options.records_max - batch.len(), left.min(options.poll));
        if more.is_empty() {
            break;
        }
        batch.append(&mut more);
        if left.is_zero() {
            break;
        }
    }
}

#[cfg(test)]
#[path = "log_writer_tests.rs"]
mod tests;
