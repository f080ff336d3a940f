//! The traces that work leaves: all that probes look at.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64};
use std::time::Duration;

use parking_lot::Mutex;
use zabd_jute::quorum::PeerState;
use zabd_replica::{Replica, Serving};

/// How often a loop beats at least.
pub const BEAT_INTERVAL: Duration = Duration::from_secs(1);

/// What a server is at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Alone.
    Standalone,
    /// A member that has found no leader.
    Looking,
    /// A member that serves reads only, as it has found no leader.
    ReadOnly,
    /// A member that has a leader, and not all that it is to show.
    CatchingUp,
    /// It follows a leader that has another list of members, without this one.
    Uncounted,
    /// It leads.
    Leading,
    /// It follows.
    Following,
    /// It observes.
    Observing,
}

impl Part {
    /// In the order of their numbers in [`Vitals`].
    const ALL: [Part; 8] = [
        Part::Standalone,
        Part::Looking,
        Part::ReadOnly,
        Part::CatchingUp,
        Part::Uncounted,
        Part::Leading,
        Part::Following,
        Part::Observing,
    ];

    /// What a replica is.
    pub fn of(replica: &Replica) -> Self {
        let Some(status) = replica.ensemble_status() else { return Part::Standalone };
        match (status.serving, status.state) {
            (Serving::ReadOnly, _) => Part::ReadOnly,
            (_, PeerState::Looking) => Part::Looking,
            _ if !replica.is_in_step() => Part::CatchingUp,
            _ if replica.is_uncounted() => Part::Uncounted,
            (_, PeerState::Leading) => Part::Leading,
            (_, PeerState::Following) => Part::Following,
            (_, PeerState::Observing) => Part::Observing,
        }
    }

    /// Whether clients should be sent to a server that is this. An uncounted one serves whoever comes; but an update that goes from
    /// one ready member to the next would go on, until those with the one list and those with the other are a quorum each.
    pub fn serves(self) -> bool {
        matches!(self, Part::Standalone | Part::Leading | Part::Following | Part::Observing)
    }

    /// In an operator's words.
    pub fn in_words(self) -> &'static str {
        match self {
            Part::Standalone => "standalone",
            Part::Looking => "looking for a leader",
            Part::ReadOnly => "serving reads only, without a leader",
            Part::CatchingUp => "fetching what the leader has",
            Part::Uncounted => "following without a vote",
            Part::Leading => "leading",
            Part::Following => "following",
            Part::Observing => "observing",
        }
    }
}

/// How far a start has come with what is on the disk, in bytes of files.
#[derive(Debug, Default)]
pub struct Progress {
    total: AtomicU64,
    done: AtomicU64,
}

impl Progress {
    /// There are so many bytes to read, from the first one.
    pub fn begin(&self, total: u64) {
        self.done.store(0, Relaxed);
        self.total.store(total, Relaxed);
    }

    /// So many bytes have been read since the beginning.
    pub fn reach(&self, done: u64) {
        self.done.store(done, Relaxed);
    }

    /// So many more have been read.
    pub fn advance(&self, bytes: u64) {
        self.done.fetch_add(bytes, Relaxed);
    }

    /// Bytes read, and bytes to read in all.
    pub fn bytes(&self) -> (u64, u64) {
        let total = self.total.load(Relaxed);
        // Records may come to the log's end while its length is being found out.
        (self.done.load(Relaxed).min(total), total)
    }
}

/// A loop that says that it turns. See [`Vitals::pulse`].
#[derive(Clone, Debug)]
pub struct Pulse {
    vitals: Arc<Vitals>,
    beaten_ms: Arc<AtomicU64>,
}

impl Pulse {
    /// The loop has come round.
    pub fn beat(&self) {
        self.beaten_ms.store(self.vitals.now_ms(), Relaxed);
    }

    /// Beats for a runtime for as long as that turns, and lets the allocator look after its thread as often.
    pub async fn beat_for_runtime(self) {
        loop {
            self.beat();
            tokio::time::sleep(BEAT_INTERVAL).await;
            crate::memory::give_back();
        }
    }
}

/// One loop, as probes see it.
#[derive(Debug)]
struct Loop {
    name: String,
    beaten_ms: Arc<AtomicU64>,
}

/// See the module's description.
#[derive(Debug, Default)]
pub struct Vitals {
    /// The time that the probes' thread has been through. A process that was stopped, or a machine that slept, has not
    /// been through any, so nobody is blamed for not having turned meanwhile.
    now_ms: AtomicU64,
    /// Only added to, while the server starts.
    loops: Mutex<Vec<Loop>>,
    /// A number of [`Part::ALL`].
    part: AtomicU8,
    has_started: AtomicBool,
    is_stopping: AtomicBool,
    refuses_writes: AtomicBool,
    /// What a member without a leader waits for, in words.
    search: Mutex<Arc<str>>,
    /// How far the start is.
    pub progress: Progress,
}

impl Vitals {
    /// Milliseconds that the probes' thread has been through.
    pub fn now_ms(&self) -> u64 {
        self.now_ms.load(Relaxed)
    }

    /// The probes' thread has been through so much more.
    pub fn pass(&self, time: Duration) {
        self.now_ms.fetch_add(time.as_millis() as u64, Relaxed);
    }

    /// A loop that beats from now on.
    pub fn pulse(self: &Arc<Self>, name: &str) -> Pulse {
        let beaten_ms = Arc::new(AtomicU64::new(self.now_ms()));
        self.loops.lock().push(Loop { name: name.to_owned(), beaten_ms: beaten_ms.clone() });
        Pulse { vitals: self.clone(), beaten_ms }
    }

    /// The loops that have not come round for longer than that, with for how long, in milliseconds.
    pub fn stalled(&self, longer_than_ms: u64) -> Vec<(String, u64)> {
        let now_ms = self.now_ms();
        let still_ms = |each: &Loop| now_ms.saturating_sub(each.beaten_ms.load(Relaxed));
        let loops = self.loops.lock();
        loops
            .iter()
            .map(|each| (each.name.clone(), still_ms(each)))
            .filter(|(_, ms)| longer_than_ms < *ms)
            .collect()
    }

    /// How many loops beat.
    pub fn loop_count(&self) -> usize {
        self.loops.lock().len()
    }

    /// What the server is.
    pub fn note_part(&self, part: Part) {
        self.part.store(part as u8, Relaxed);
    }

    /// What the server was, when it last did something.
    pub fn part(&self) -> Part {
        Part::ALL[usize::from(self.part.load(Relaxed))]
    }

    /// All that was on the disk is replayed, and clients are listened to.
    pub fn note_started(&self) {
        self.has_started.store(true, Relaxed);
    }

    /// Whether that is so.
    pub fn has_started(&self) -> bool {
        self.has_started.load(Relaxed)
    }

    /// What it waits for as long as it has no leader; nothing if that is over.
    pub fn note_search(&self, words: &str) {
        let words = Arc::from(words);
        *self.search.lock() = words;
    }

    /// The same; nothing, too, while it is being changed: nobody is waited for.
    pub fn search(&self) -> Arc<str> {
        self.search.try_lock().map(|words| words.clone()).unwrap_or_default()
    }

    /// Whether there is no room for what clients write, on the log's disk or for a snapshot that is owed.
    pub fn note_writes_refused(&self, are_refused: bool) {
        self.refuses_writes.store(are_refused, Relaxed);
    }

    /// The same.
    pub fn refuses_writes(&self) -> bool {
        self.refuses_writes.load(Relaxed)
    }

    /// It was asked to end.
    pub fn note_stopping(&self) {
        self.is_stopping.store(true, Relaxed);
    }

    /// Whether it was.
    pub fn is_stopping(&self) -> bool {
        self.is_stopping.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_keep_their_numbers() {
        let vitals = Vitals::default();
        for part in Part::ALL {
            vitals.note_part(part);
            assert_eq!(vitals.part(), part);
        }
    }

    #[test]
    fn a_loop_is_still_for_as_long_as_the_probes_have_been_there() {
        let vitals = Arc::new(Vitals::default());
        vitals.pass(Duration::from_secs(100));
        let (turning, standing) = (vitals.pulse("turning"), vitals.pulse("standing"));
        vitals.pass(Duration::from_secs(3));
        turning.beat();
        assert_eq!(vitals.stalled(2999), [("standing".to_owned(), 3000)]);
        assert!(vitals.stalled(3000).is_empty());
        standing.beat();
        assert!(vitals.stalled(0).is_empty());
    }

    #[test]
    fn a_replay_never_claims_more_than_there_is() {
        let progress = Progress::default();
        progress.begin(10);
        progress.reach(4);
        assert_eq!(progress.bytes(), (4, 10));
        progress.advance(9);
        assert_eq!(progress.bytes(), (10, 10));
        progress.begin(20);
        assert_eq!(progress.bytes(), (0, 20));
    }
}
