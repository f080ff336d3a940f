//! When a batch of records is full enough.

use super::*;

const LONG: Duration = Duration::from_mins(10);

fn options(delay: Duration, poll: Duration, records_max: usize) -> BatchOptions {
    BatchOptions { records_max, delay, poll, slow_sync: LONG, force_sync: true }
}

fn push(queue: &LogQueue, zxid: i64) {
    queue.batch().push(Zxid(zxid), Bytes::new());
}

/// A queue with one more record than the batch that is being gathered.
fn begun(queue: &LogQueue) -> Vec<Record> {
    let mut batch = Vec::new();
    push(queue, 1);
    queue.take(&mut batch, 1, LONG);
    batch
}

#[test]
fn a_full_batch_waits_for_nothing() {
    let queue = LogQueue::default();
    let mut batch = begun(&queue);
    push(&queue, 2);
    push(&queue, 3);
    gather(&queue, &mut batch, options(LONG, LONG, 2), Instant::now());
    assert_eq!((batch.len(), queue.len()), (2, 1));
}

#[test]
fn a_pause_between_records_ends_the_wait() {
    let queue = LogQueue::default();
    let mut batch = begun(&queue);
    push(&queue, 2);
    let begin = Instant::now();
    let poll = Duration::from_millis(30);
    gather(&queue, &mut batch, options(LONG, poll, 100), begin);
    assert_eq!(batch.len(), 2);
    assert!((poll..LONG).contains(&begin.elapsed()));
}

/// The delay counts from the sync before: a record that comes after a long silence does not wait.
#[test]
fn the_first_record_after_a_silence_is_synced_at_once() {
    let queue = LogQueue::default();
    let delay = Duration::from_millis(20);
    let flushed = Instant::now();
    std::thread::sleep(delay);
    let mut batch = begun(&queue);
    gather(&queue, &mut batch, options(delay, LONG, 100), flushed);
    assert_eq!(batch.len(), 1);
}

/// A writer that waited for many, in vain, is woken by one the next time.
#[test]
fn nobody_waits_for_records_that_do_not_come() {
    let queue = LogQueue::default();
    let mut batch = Vec::new();
    let begin = Instant::now();
    assert!(!queue.fill(100, &[LINGER_FIRST, LONG]));
    std::thread::scope(|scope| {
        scope.spawn(|| push(&queue, 1));
        queue.take(&mut batch, 1, LONG);
    });
    assert_eq!(batch.len(), 1);
    assert!(begin.elapsed() < LONG);
}

#[test]
fn a_batch_fills_until_it_is_as_large_as_was_wanted() {
    let queue = LogQueue::default();
    // Nobody waits long before the first one.
    push(&queue, 1);
    let begin = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| (2..=3).for_each(|zxid| push(&queue, zxid)));
        assert!(!queue.fill(3, &[LONG]));
        assert_eq!(queue.len(), 3);
    });
    assert!(begin.elapsed() < LONG);
}

#[test]
fn whoever_has_other_work_for_the_writer_finds_it_awake_while_a_batch_fills() {
    let queue = LogQueue::default();
    push(&queue, 1);
    let begin = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| queue.nudge());
        assert!(queue.fill(3, &[LONG]));
    });
    assert!(!queue.fill(3, &[LINGER_FIRST]), "a nudge counts once");
    assert!(begin.elapsed() < LONG);
}

#[test]
fn records_that_come_in_time_go_along() {
    let queue = LogQueue::default();
    let mut batch = begun(&queue);
    std::thread::scope(|scope| {
        scope.spawn(|| push(&queue, 2));
        gather(&queue, &mut batch, options(LONG, LONG, 2), Instant::now());
    });
    assert_eq!(batch.len(), 2);
}

/// What a leader sends is held back in the network, not in memory.
#[test]
fn there_is_room_for_so_many_bytes_and_for_nothing_while_the_past_is_replaced() {
    let queue = LogQueue::default();
    let megabyte = Bytes::from(vec![0; 1 << 20]);
    let megabytes = WAITING_BYTES_MAX_CATCHING_UP >> 20;
    for zxid in 1..=megabytes {
        assert!(queue.has_room(|| false));
        queue.batch().push(Zxid(zxid as i64), megabyte.clone());
    }
    assert!(!queue.has_room(|| false));
    let mut batch = Vec::new();
    queue.take(&mut batch, usize::MAX, LONG);
    assert!(!queue.has_room(|| false), "what is taken is not durable yet");
    queue.note_durable(megabyte.len());
    assert!(queue.has_room(|| false));
    queue.batch().push_operation(Operation::Truncate(Zxid(1)));
    assert!(!queue.has_room(|| false));
    assert!(!queue.has_room(|| true));
    queue.note_rebased();
    assert!(queue.has_room(|| false));
}

/// Whoever begins to listen and then looks misses nothing that happens in between.
#[test]
fn whoever_waits_for_the_disk_goes_on_when_it_has_moved() {
    let queue = LogQueue::default();
    queue.batch().push(Zxid(1), Bytes::from(vec![0; WAITING_BYTES_MAX_CATCHING_UP]));
    let mut moves = queue.moves();
    assert!(!queue.has_room(|| false));
    queue.note_durable(WAITING_BYTES_MAX_CATCHING_UP);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(moves.changed()).unwrap();
    assert!(queue.has_room(|| false));
}
