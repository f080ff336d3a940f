//! What waits for a quorum connection, and how much that may be.
//!
//! A learner may take more slowly than transactions come, or not at all. What waits for it is bounded, and whoever is too slow is
//! closed: it comes back, and is sent what it lacks out of the log, as fast as it takes that. What is proposed and not committed
//! does not count. A learner that comes back needs it again, and the one that is closed for it may be one whose acknowledgement
//! commits it: the leader would lose its quorum, and the next reign would begin in the same way. How much that is depends on
//! what clients may have in flight (`globalOutstandingLimit`, and a pause of theirs when it gets long).
//!
//! ```text
//! one connection         64 MiB, or 256 MiB while it is catching up, beside what is not committed (256 MiB of that at most)
//! all of them together   256 MiB, likewise; then the largest is closed
//! ```
//!
//! Java's queues have no bound; a learner is closed when it has not acknowledged a proposal for `syncLimit`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use zabd_jute::Zxid;
use zabd_replica::percentiles::Percentiles;

use crate::memory::at_most;
use crate::snapshotter::Image;

/// What one learner may have unsent before it is dropped: it would only fall further behind.
const UNSENT_BYTES_MAX: usize = 64 << 20;

/// The same while what it lacked leaves out of a snapshot or the log, and until the queue is empty for the first time
/// behind that: nothing new reaches it before, and if it were dropped, it would lack even more when it comes back.
const UNSENT_BYTES_MAX_CATCHING_UP: usize = 256 << 20;

/// So much of what is not committed does not count. A leader's clients pause long before; those of other servers are bounded only
/// in number (`globalOutstandingLimit`).
const UNCOMMITTED_BYTES_MAX: usize = 256 << 20;

/// What all of them may have unsent together.
const UNSENT_BYTES_MAX_TOGETHER: usize = 256 << 20;

/// What waits on all connections.
#[derive(Debug, Default)]
pub(super) struct Unsent {
    /// Packets that are not written yet, or dropped.
    bytes: AtomicUsize,
    /// How long everything is that is proposed and not committed.
    uncommitted: AtomicUsize,
}

impl Unsent {
    pub(super) fn note_uncommitted(&self, bytes: usize) {
        self.uncommitted.store(bytes, Relaxed);
    }

    pub(super) fn uncommitted(&self) -> usize {
        self.uncommitted.load(Relaxed)
    }

    /// Whether each of them is to be looked at.
    pub(super) fn may_be_too_much(&self) -> bool {
        at_most(UNSENT_BYTES_MAX_TOGETHER) < self.bytes.load(Relaxed)
    }
}

/// What waits for a quorum connection.
#[derive(Debug)]
pub(crate) enum Item {
    /// Packets.
    Bytes(Vec<u8>),
    /// Records behind the first up to the second, from the log on disk.
    Log(Zxid, Zxid),
    /// A snapshot, when it is whole.
    Image(Image),
    Close,
}

/// What the writer has not taken yet, and what it found whenever it took something.
#[derive(Debug, Default)]
struct Waiting {
    items: Vec<Item>,
    /// How many packets, records and snapshots they are.
    count: u64,
    /// When the first of them came.
    since: Option<Instant>,
    figures: QueueFigures,
}

/// What waited for one connection whenever its writer took all of it: Java's `learner_handler_qp_size` and `learner_handler_qp_time_ms`.
#[derive(Clone, Debug, Default)]
pub(crate) struct QueueFigures {
    /// How much it was, in packets.
    pub(crate) sizes: Percentiles,
    /// How long the first of it had waited, in milliseconds.
    pub(crate) waited_ms: Percentiles,
}

/// What one connection's writer has before it. Packets one behind the other are one item, so that a batch costs
/// one wake-up and one write.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Notify,
    /// Bytes of packets that are not written yet.
    unsent: AtomicUsize,
    /// The same of all connections.
    all: Arc<Unsent>,
    /// A snapshot or a part of the log was in it, and it has not been empty since.
    is_catching_up: AtomicBool,
    /// Whether the connection is to end.
    pub(super) closing: watch::Sender<bool>,
    /// The other side's address, for log lines.
    pub(super) peer: String,
}

impl Queue {
    pub(super) fn to(peer: String, all: Arc<Unsent>) -> Self {
        let mut queue = Self::default();
        (queue.peer, queue.all) = (peer, all);
        queue
    }

    /// Ends the connection after what waits. Nothing that still comes counts: a snapshot that was on its way when the
    /// other side hung would be taken for the next leader's when it goes on.
    pub(super) fn close(&self) {
        self.push(Item::Close);
        self.closing.send_replace(true);
    }

    pub(super) fn push(&self, item: Item) {
        let is_long = matches!(item, Item::Log(..) | Item::Image(_));
        self.add(|items| {
            items.push(item);
            self.is_catching_up.fetch_or(is_long, Relaxed);
        });
    }

    pub(super) fn push_bytes(&self, bytes: &[u8]) {
        if self.is_closing() {
            return;
        }
        self.unsent.fetch_add(bytes.len(), Relaxed);
        self.all.bytes.fetch_add(bytes.len(), Relaxed);
        self.add(|items| match items.last_mut() {
            Some(Item::Bytes(waiting)) => waiting.extend_from_slice(bytes),
            _ => items.push(Item::Bytes(bytes.to_vec())),
        });
        let is_catching_up = self.is_catching_up.load(Relaxed);
        let unsent_max = if is_catching_up { UNSENT_BYTES_MAX_CATCHING_UP } else { UNSENT_BYTES_MAX };
        if at_most(unsent_max) < self.excess() {
            self.close_as_too_slow();
        }
    }

    fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }

    /// What counts of what waits.
    fn excess(&self) -> usize {
        self.unsent.load(Relaxed).saturating_sub(self.all.uncommitted().min(at_most(UNCOMMITTED_BYTES_MAX)))
    }

    fn close_as_too_slow(&self) {
        tracing::warn!(
            "Closing the connection to {} on the quorum port: {} bytes wait for it, {} of all connections; it takes them more \
             slowly than transactions come",
            self.peer,
            self.unsent.load(Relaxed),
            self.all.bytes.load(Relaxed)
        );
        self.close();
    }

    fn add(&self, add: impl FnOnce(&mut Vec<Item>)) {
        let mut waiting = self.waiting.lock();
        // If there is something in it, the writer has been told.
        let is_first = waiting.items.is_empty();
        add(&mut waiting.items);
        waiting.count += 1;
        if is_first {
            waiting.since = Some(Instant::now());
        }
        drop(waiting);
        if is_first {
            self.arrived.notify_one();
        }
    }

    /// Everything that waits, at least one item.
    pub(crate) async fn take(&self, taken: &mut Vec<Item>) {
        loop {
            {
                let mut waiting = self.waiting.lock();
                std::mem::swap(&mut waiting.items, taken);
                if !taken.is_empty() {
                    waiting.count_taken();
                    return;
                }
                self.is_catching_up.store(false, Relaxed);
            }
            self.arrived.notified().await;
        }
    }

    /// What waited, since the last `srst`.
    pub(super) fn figures(&self) -> QueueFigures {
        self.waiting.lock().figures.clone()
    }

    pub(super) fn reset_figures(&self) {
        self.waiting.lock().figures = QueueFigures::default();
    }

    /// So much is written.
    pub(crate) fn note_sent(&self, bytes: usize) {
        self.unsent.fetch_sub(bytes, Relaxed);
        self.all.bytes.fetch_sub(bytes, Relaxed);
    }
}

impl Waiting {
    fn count_taken(&mut self) {
        self.figures.sizes.add(std::mem::take(&mut self.count));
        if let Some(since) = self.since.take() {
            self.figures.waited_ms.add(since.elapsed().as_millis() as u64);
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.all.bytes.fetch_sub(*self.unsent.get_mut(), Relaxed);
    }
}

/// Too much may wait on all connections together: the one with the most makes room.
pub(super) fn close_largest<'q>(queues: impl Iterator<Item = &'q Arc<Queue>>) {
    let open: Vec<_> = queues.filter(|queue| !queue.is_closing()).collect();
    if open.iter().map(|queue| queue.excess()).sum::<usize>() <= at_most(UNSENT_BYTES_MAX_TOGETHER) {
        return;
    }
    if let Some(largest) = open.into_iter().max_by_key(|queue| queue.excess()) {
        largest.close_as_too_slow();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn taken(queue: &Queue) -> Vec<Item> {
        let mut taken = Vec::new();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(queue.take(&mut taken));
        taken
    }

    #[test]
    fn packets_that_wait_leave_together_and_everything_in_order() {
        let queue = Queue::default();
        queue.push_bytes(b"ab");
        queue.push_bytes(b"c");
        queue.push(Item::Log(Zxid(1), Zxid(2)));
        queue.push_bytes(b"d");
        let items = taken(&queue);
        let figures = queue.figures();
        assert_eq!((figures.sizes.summary().sum, figures.waited_ms.summary().count), (4, 1));
        let [Item::Bytes(first), Item::Log(..), Item::Bytes(last)] = &items[..] else { panic!("{items:?}") };
        assert_eq!((&first[..], &last[..]), (&b"abc"[..], &b"d"[..]));
        queue.note_sent(4);
        assert_eq!((queue.unsent.load(Relaxed), queue.all.bytes.load(Relaxed)), (0, 0));
    }

    #[test]
    fn whoever_waits_is_woken_by_the_first_item() {
        let queue = Queue::default();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| taken(&queue));
            queue.push_bytes(b"x");
            assert_eq!(waiting.join().unwrap().len(), 1);
        });
    }

    #[test]
    fn a_learner_that_takes_nothing_is_closed() {
        let queue = Queue::default();
        let megabyte = vec![0; 1 << 20];
        (0..UNSENT_BYTES_MAX >> 20).for_each(|_| queue.push_bytes(&megabyte));
        assert!(!queue.is_closing());
        queue.push_bytes(&megabyte);
        assert!(matches!(taken(&queue).last(), Some(Item::Close)));
        queue.push_bytes(&megabyte);
        assert_eq!(queue.unsent.load(Relaxed), UNSENT_BYTES_MAX + (1 << 20), "nothing more is kept for it");
    }

    #[test]
    fn a_learner_that_is_sent_the_log_may_have_more_unsent_until_all_has_left() {
        let queue = Queue::default();
        let megabyte = vec![0; 1 << 20];
        queue.push(Item::Log(Zxid(1), Zxid(2)));
        (0..UNSENT_BYTES_MAX_CATCHING_UP >> 20).for_each(|_| queue.push_bytes(&megabyte));
        assert!(!queue.is_closing());
        assert_eq!(taken(&queue).len(), 2);
        queue.note_sent(UNSENT_BYTES_MAX_CATCHING_UP);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let mut none = Vec::new();
        let nothing = async { tokio::time::timeout(Duration::ZERO, queue.take(&mut none)).await };
        runtime.block_on(nothing).unwrap_err();
        (0..=UNSENT_BYTES_MAX >> 20).for_each(|_| queue.push_bytes(&megabyte));
        assert!(queue.is_closing());
    }

    /// The leader may need just this learner to commit it, and would lose its quorum for being ahead of it.
    #[test]
    fn nobody_is_closed_for_what_is_not_committed() {
        const UNCOMMITTED: usize = 100 << 20;
        let queue = Queue::default();
        let megabyte = vec![0; 1 << 20];
        queue.all.note_uncommitted(UNCOMMITTED);
        (0..(UNCOMMITTED + UNSENT_BYTES_MAX) >> 20).for_each(|_| queue.push_bytes(&megabyte));
        assert!(!queue.is_closing());
        queue.push_bytes(&megabyte);
        assert!(queue.is_closing());
    }

    /// Five that are slow, none of them too slow by itself.
    #[test]
    fn of_many_slow_learners_the_slowest_makes_room() {
        let all = Arc::new(Unsent::default());
        let mut queues: Vec<_> =
            (0..5).map(|_| Arc::new(Queue::to(String::new(), Arc::clone(&all)))).collect();
        let megabyte = vec![0; 1 << 20];
        let closing =
            |queues: &[Arc<Queue>]| queues.iter().map(|queue| queue.is_closing()).collect::<Vec<_>>();
        for queue in &queues {
            (0..51).for_each(|_| queue.push_bytes(&megabyte));
        }
        close_largest(queues.iter());
        assert_eq!(closing(&queues), [false; 5], "255 of 256 MiB");
        (0..2).for_each(|_| queues[3].push_bytes(&megabyte));
        assert!(all.may_be_too_much());
        close_largest(queues.iter());
        assert_eq!(closing(&queues), [false, false, false, true, false]);
        close_largest(queues.iter());
        assert_eq!(closing(&queues), [false, false, false, true, false], "what is given up does not count");
        all.note_uncommitted(50 << 20);
        (0..50).for_each(|_| queues[0].push_bytes(&megabyte));
        close_largest(queues.iter());
        assert!(!queues[0].is_closing(), "what is not committed does not count");
        queues.clear();
        assert_eq!(all.bytes.load(Relaxed), 0, "it is given back");
    }
}
