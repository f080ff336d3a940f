//! The thread that writes snapshots while the server goes on.
//!
//! A snapshot is consistent at one zxid: the tree notes where it begins, and keeps what later changes
//! would overwrite until it has been written. The tree is held for a bite of znodes at a time; the
//! bytes go to the disk between the bites, at a pace that leaves the disk to the log.
//!
//! Learners that ask for a snapshot while one is being written share the next one, however many they are: it is written and
//! checked once, and each of them is sent the same open file. They get it without compression, since it is read piece by
//! piece while it leaves, whatever its size.
//!
//! A member shows what a quorum has, which may be before its own disk has it. No start may find a log that ends before its snapshot: so a
//! snapshot gets its name when the log has got as far. Until then others are begun and sent, for a learner has a log of its own, and may
//! be what a quorum needs while this server's disk stands still.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::oneshot;
use zabd_jute::Zxid;
use zabd_replica::Room;
use zabd_replica::percentiles::Percentiles;
use zabd_storage::disk::RealDisk;
use zabd_storage::log::AppendedSinceRoll;
use zabd_storage::snapshot::{
    Compression, SealedSnapshot, SnapshotError, SnapshotFile, SnapshotTrailer, SnapshotWriter,
};
use zabd_zab::effect::LinkId;

use crate::driver::{Begun, Driver};
use crate::launch::with_causes;
use crate::restore::{self, Candidate, RestoreFailure, RestoreFigures};

/// Znodes per hold of the tree: well under a tenth of a millisecond, unless they are large.
pub const NODES_PER_HOLD: usize = 200;

/// How fast a snapshot is written at most. The log shares the disk and must not wait for it.
const BYTES_PER_SECOND_MAX: u64 = 32 << 20;

/// A snapshot that the log does not catch up with is given up.
const LOG_PATIENCE: Duration = Duration::from_mins(1);
const LOG_CHECK_INTERVAL: Duration = Duration::from_millis(5);

/// A snapshot that holds on to more than this is given up when there is no memory.
const KEPT_BYTES_WITHOUT_ROOM: usize = 1 << 20;

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

/// What operators ask about snapshots, since the last `srst`.
#[derive(Debug, Default)]
pub struct SnapshotFigures {
    /// Milliseconds per snapshot.
    pub took_ms: Mutex<Percentiles>,
    /// How many could not be written.
    pub failed: AtomicU64,
    /// How many were asked for by command too soon behind the last.
    pub rate_limited: AtomicU64,
    /// What came of those that somebody sent.
    pub restores: RestoreFigures,
}

impl SnapshotFigures {
    /// Counts from zero again.
    pub fn reset(&self) {
        *self.took_ms.lock() = Percentiles::default();
        self.failed.store(0, Relaxed);
        self.rate_limited.store(0, Relaxed);
        self.restores.reset();
    }
}

/// The way to whoever waits for where a snapshot is.
type Outcome = Sender<Result<Option<PathBuf>, SnapshotError>>;

/// What the thread is asked for.
#[derive(Debug)]
enum Wish {
    /// A snapshot is due.
    Due,
    /// A learner needs one, whatever is due.
    For(LinkId),
    /// Nothing may be logged without one, or somebody wants one; the outcome is waited for.
    Now(Outcome),
    /// One that came from elsewhere takes the place of everything; the outcome is waited for. No other one is written meanwhile.
    Restore(Box<Candidate>, Sender<Result<Zxid, RestoreFailure>>),
}

/// A snapshot that is being written for a learner, and perhaps for others.
#[derive(Debug)]
pub struct Image {
    file: oneshot::Receiver<Arc<SnapshotFile>>,
}

impl Image {
    /// The file when it is whole; `None` if it could not be written.
    pub async fn whole(self) -> Option<Arc<SnapshotFile>> {
        self.file.await.ok()
    }
}

/// The way to the thread.
#[derive(Clone, Debug)]
pub struct Snapshotter {
    inbox: Sender<Wish>,
    /// Whether one that is due has been asked for and not begun.
    is_due: Arc<AtomicBool>,
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
        let (inbox, wishes) = channel();
        let is_due = Arc::new(AtomicBool::new(false));
        let snapshotter = Self { inbox, is_due: is_due.clone() };
        let work = move || run(&driver, &target, &figures, &wishes, &is_due);
        std::thread::Builder::new().name("Snapshot Thread".into()).spawn(work)?;
        Ok(snapshotter)
    }

    /// Asks for a snapshot; if one waits already, that one serves.
    pub fn request(&self) {
        if !self.is_due.swap(true, Relaxed) {
            self.wish(Wish::Due);
        }
    }

    /// Asks for a snapshot for a learner.
    pub fn request_for(&self, link: LinkId) {
        self.wish(Wish::For(link));
    }

    /// Writes the snapshot without which nothing may be logged, and waits for it.
    pub fn write_first(&self) -> Result<(), SnapshotError> {
        self.take().map(drop)
    }

    /// Writes a snapshot of what is shown now, and says where it is: nowhere, if something else came to be shown meanwhile.
    pub fn take(&self) -> Result<Option<PathBuf>, SnapshotError> {
        let (outcome, answer) = channel();
        self.wish(Wish::Now(outcome));
        answer.recv().expect("the snapshot thread lives as long as the process")
    }

    /// Puts a tree in the place of everything, durably, and says as of which transaction it is then.
    pub fn restore(&self, candidate: Candidate) -> Result<Zxid, RestoreFailure> {
        let (outcome, answer) = channel();
        self.wish(Wish::Restore(Box::new(candidate), outcome));
        answer.recv().expect("the snapshot thread lives as long as the process")
    }

    fn wish(&self, wish: Wish) {
        self.inbox.send(wish).expect("the snapshot thread lives as long as the process");
    }
}

fn run(
    driver: &Driver,
    target: &SnapshotTarget,
    figures: &SnapshotFigures,
    wishes: &Receiver<Wish>,
    is_due: &AtomicBool,
) {
    let mut waiting = VecDeque::new();
    let mut unnamed = Vec::new();
    loop {
        let next = match waiting.pop_front() {
            Some(wish) => Ok(wish),
            None if unnamed.is_empty() => wishes.recv().map_err(|_| RecvTimeoutError::Disconnected),
            None => wishes.recv_timeout(LOG_CHECK_INTERVAL),
        };
        let written = match next {
            Ok(Wish::Due) => {
                is_due.store(false, Relaxed);
                // What a member between two roles shows may never be agreed on.
                if driver.is_serving() { write_for_itself(driver, target, figures, None) } else { Ok(None) }
            }
            Ok(Wish::For(link)) => {
                waiting.extend(wishes.try_iter());
                let mut links = vec![link];
                waiting.retain(|wish| match wish {
                    Wish::For(link) => {
                        links.push(*link);
                        false
                    }
                    Wish::Due | Wish::Now(_) | Wish::Restore(..) => true,
                });
                write_for(driver, target, figures, links)
            }
            Ok(Wish::Now(outcome)) => write_for_itself(driver, target, figures, Some(outcome)),
            Ok(Wish::Restore(candidate, outcome)) => {
                let _ = outcome.send(restore::restore(driver, target, *candidate));
                Ok(None)
            }
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => return,
        };
        match written {
            Ok(written) => unnamed.extend(written),
            Err(error) => tell_failed(&error),
        }
        unnamed = unnamed.into_iter().filter_map(|each: Unnamed| each.settle(driver, figures)).collect();
    }
}

/// The log holds everything; without a snapshot it only grows longer.
fn tell_failed(error: &SnapshotError) {
    let text = with_causes(error);
    tracing::error!("Cannot write a snapshot, the log stays as it is: {text}");
}

/// A whole snapshot that has no name yet. It goes away with this.
struct Unnamed {
    sealed: SealedSnapshot<RealDisk>,
    begun: Begun,
    began: Instant,
    whole: Instant,
    /// Who waits for its name.
    outcome: Option<Outcome>,
    learners: usize,
}

impl Unnamed {
    /// Gives it its name when the log has what it shows; yields it if that is to come.
    fn settle(self, driver: &Driver, figures: &SnapshotFigures) -> Option<Self> {
        let zxid = self.begun.head.zxid;
        if driver.trees_replaced() != self.begun.trees_replaced {
            tell(self.outcome, Ok(None));
            return None;
        }
        if !driver.is_durable(zxid) {
            if self.whole.elapsed() <= LOG_PATIENCE {
                return Some(self);
            }
            tracing::warn!("Gave up a snapshot: the log does not get as far as {zxid}");
            tell(self.outcome, Ok(None));
            return None;
        }
        let Self { mut sealed, began, outcome, learners, .. } = self;
        let named = sealed.publish();
        match &named {
            Ok(path) if learners > 0 => {
                tracing::info!("Snapshot {} taken for {learners} learner(s)", path.display());
            }
            Ok(path) => {
                let took_ms = began.elapsed().as_millis();
                figures.took_ms.lock().add(took_ms as u64);
                tracing::info!("Snapshot {} taken in {took_ms}ms", path.display());
            }
            Err(error) => {
                figures.failed.fetch_add(1, Relaxed);
                if outcome.is_none() {
                    tell_failed(error);
                }
            }
        }
        tell(outcome, named.map(Some));
        None
    }
}

/// Whoever waits is told.
fn tell(outcome: Option<Outcome>, what: Result<Option<PathBuf>, SnapshotError>) {
    if let Some(outcome) = outcome {
        let _ = outcome.send(what);
    }
}

/// Writes a snapshot for learners, who are told of its position in one step with its beginning.
fn write_for(
    driver: &Driver,
    target: &SnapshotTarget,
    figures: &SnapshotFigures,
    links: Vec<LinkId>,
) -> Result<Option<Unnamed>, SnapshotError> {
    let began = Instant::now();
    let mut waiting = Vec::new();
    let images = links.into_iter().map(|link| {
        let (done, file) = oneshot::channel();
        waiting.push(done);
        (link, Image { file })
    });
    let begun = driver.begin_snapshot_for(images.collect());
    let target = SnapshotTarget { compression: Compression::None, ..target.clone() };
    let Some(sealed) = write_body(driver, &target, figures, &begun, Pace::AsFastAsPossible)? else {
        return Ok(None);
    };
    let file = Arc::new(SnapshotFile::open(sealed.place())?);
    let learners = waiting.len();
    for done in waiting {
        // The learner may be gone.
        let _ = done.send(Arc::clone(&file));
    }
    Ok(Some(Unnamed { sealed, begun, began, whole: Instant::now(), outcome: None, learners }))
}

/// Writes a snapshot of the tree as it is now, for the next start; whoever waits for it is told of its failure, or in the end.
fn write_for_itself(
    driver: &Driver,
    target: &SnapshotTarget,
    figures: &SnapshotFigures,
    outcome: Option<Outcome>,
) -> Result<Option<Unnamed>, SnapshotError> {
    let began = Instant::now();
    let begun = driver.begin_snapshot();
    match (write_body(driver, target, figures, &begun, Pace::LeavesTheDiskToTheLog), outcome) {
        (Ok(Some(sealed)), outcome) => {
            Ok(Some(Unnamed { sealed, begun, began, whole: Instant::now(), outcome, learners: 0 }))
        }
        (Ok(None), outcome) => {
            tell(outcome, Ok(None));
            Ok(None)
        }
        (Err(error), outcome @ Some(_)) => {
            tell(outcome, Err(error));
            Ok(None)
        }
        (Err(error), None) => Err(error),
    }
}

/// Writes one snapshot of the tree at a start: the disk has all that it shows.
pub fn write(
    driver: &Driver,
    target: &SnapshotTarget,
    figures: &SnapshotFigures,
) -> Result<Option<PathBuf>, SnapshotError> {
    let (outcome, answer) = channel();
    if let Some(unnamed) = write_for_itself(driver, target, figures, Some(outcome))? {
        assert!(
            unnamed.settle(driver, figures).is_none(),
            "nobody has shown anything yet that is not durable"
        );
    }
    answer.try_recv().expect("it is settled")
}

/// Tells those of one position from each other while they have no name.
static SNAPSHOTS_BEGUN: AtomicU64 = AtomicU64::new(0);

/// How fast a snapshot is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    LeavesTheDiskToTheLog,
    /// Somebody waits for it.
    AsFastAsPossible,
}

/// A whole snapshot without a name; none if the tree was replaced in the midst of it, or memory has run out.
fn write_body(
    driver: &Driver,
    target: &SnapshotTarget,
    figures: &SnapshotFigures,
    begun: &Begun,
    pace: Pace,
) -> Result<Option<SealedSnapshot<RealDisk>>, SnapshotError> {
    write_walk(driver, target, begun, pace).inspect_err(|_| {
        driver.tree_exclusively().abandon_snapshot();
        figures.failed.fetch_add(1, Relaxed);
    })
}

fn write_walk(
    driver: &Driver,
    target: &SnapshotTarget,
    begun: &Begun,
    pace: Pace,
) -> Result<Option<SealedSnapshot<RealDisk>>, SnapshotError> {
    let head = &begun.head;
    let number = SNAPSHOTS_BEGUN.fetch_add(1, Relaxed);
    let mut writer =
        SnapshotWriter::begin_beside(RealDisk, &target.dir, head.zxid, target.compression, number)?;
    let mut bytes = Vec::new();
    let mut more = true;
    let begin = Instant::now();
    while more {
        let mut tree = driver.tree_exclusively();
        if driver.trees_replaced() != begun.trees_replaced {
            return Ok(None);
        }
        if driver.room() == Room::NothingNew && tree.kept_for_snapshot_bytes() > KEPT_BYTES_WITHOUT_ROOM {
            tracing::warn!(
                "Gave up a snapshot: what has changed since it began takes memory that there is not"
            );
            tree.abandon_snapshot();
            return Ok(None);
        }
        more = tree.snapshot_chunk(&mut bytes, NODES_PER_HOLD);
        drop(tree);
        writer.write(&bytes)?;
        bytes.clear();
        // What is kept for it goes when it is whole.
        if pace == Pace::LeavesTheDiskToTheLog && driver.room() == Room::Enough {
            leave_the_disk_to_the_log(writer.bytes_written(), begin);
        }
    }
    let trailer = SnapshotTrailer {
        digest: head.digest.filter(|_| target.digest).map(|digest| (head.zxid, digest)),
        last_zxid: target.last_zxid.then_some(head.zxid),
    };
    writer.seal_up(trailer).map(Some)
}

/// Waits until so many bytes may have been written since `begin`.
pub fn leave_the_disk_to_the_log(bytes: u64, begin: Instant) {
    let due = Duration::from_micros(bytes * 1_000_000 / BYTES_PER_SECOND_MAX);
    std::thread::sleep(due.saturating_sub(begin.elapsed()));
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
