//! The audit log holds back whoever causes its lines, so that none is lost: a client whose change would be one more line than may
//! wait is read no further until others are written.
//!
//! A line is made when its change is applied, by a thread that works for everybody and must not wait. So a request takes its
//! [`Share`] of what may wait before it enters the pipeline, and keeps it until it is answered, when its lines stand in the queue.
//!
//! A log that nobody reads stops nobody for long: when nothing of it was taken for [`SILENCE_MAX`], clients are let on. Then lines
//! wait up to a second bound, and beyond that they are lost, which is counted, and told when the log goes on.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::Waker;
use std::time::Duration;

use parking_lot::Mutex;
use zabd_jute::OpCode;
use zabd_replica::ConnId;
use zabd_replica::audit::USERS_CHARS_MAX;
use zabd_replica::watches::Identities;

use super::lines::{Lane, Lines};

/// How long a log that takes nothing holds clients.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// What stands in a line besides what a request says and who says it, in bytes, about.
const WORDS_BYTES: usize = 256;
/// The shortest part of a multi that makes a line: a header and the deletion of a znode with a short name.
const PART_BYTES: usize = 19;

/// See the module's description.
#[derive(Debug)]
pub struct AuditLog {
    lines: Arc<Lines>,
    /// Beyond so many bytes clients are held.
    mark: usize,
    /// What those in the pipeline will add.
    shared: AtomicUsize,
    held: Mutex<HashMap<ConnId, Waker>>,
}

/// What the lines about one request may take, given back when dropped.
#[derive(Debug)]
pub struct Share {
    log: &'static AuditLog,
    bytes: usize,
}

impl Drop for Share {
    fn drop(&mut self) {
        self.log.shared.fetch_sub(self.bytes, Relaxed);
        self.log.let_on();
    }
}

impl AuditLog {
    /// Nobody is held.
    pub fn new(lines: Arc<Lines>, mark: usize) -> Self {
        Self { lines, mark, shared: AtomicUsize::new(0), held: Mutex::default() }
    }

    /// A share for a request, unless so much waits that its client has to.
    pub fn enter(&'static self, op: i32, body_bytes: usize, identities: &Identities) -> Option<Share> {
        if self.is_full() {
            return None;
        }
        let bytes = line_bytes(op, body_bytes, identities);
        self.shared.fetch_add(bytes, Relaxed);
        Some(Share { log: self, bytes })
    }

    /// Whether a client may go on; if not, it is woken when it may.
    pub fn may_go_on(&self, conn: ConnId, waker: &Waker) -> bool {
        // Whoever makes room looks behind the same lock.
        let mut held = self.held.lock();
        let is_full = self.is_full();
        if is_full {
            held.insert(conn, waker.clone());
        } else {
            held.remove(&conn);
        }
        !is_full
    }

    /// Lets all go on if half of what may wait is gone.
    pub fn let_on(&self) {
        let mut held = self.held.lock();
        if !held.is_empty() && self.bytes() <= self.mark / 2 {
            held.drain().for_each(|(_, waker)| waker.wake());
        }
    }

    fn bytes(&self) -> usize {
        self.lines.waiting(Lane::Audit).0 + self.shared.load(Relaxed)
    }

    fn is_full(&self) -> bool {
        let (waiting, writing_since) = self.lines.waiting(Lane::Audit);
        let is_silent = writing_since.is_some_and(|since| since.elapsed() >= SILENCE_MAX);
        waiting + self.shared.load(Relaxed) > self.mark && !is_silent
    }
}

/// What the lines about a request take at most, about.
fn line_bytes(op: i32, body_bytes: usize, identities: &Identities) -> usize {
    let users: usize = identities.iter().map(|id| id.id().len() + 1).sum();
    let line = WORDS_BYTES + users.min(USERS_CHARS_MAX);
    let lines = if op == OpCode::Multi.code() { 1 + body_bytes / PART_BYTES } else { 1 };
    body_bytes + lines * line
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::super::lines::Bounds;
    use super::*;

    /// How often somebody was woken.
    #[derive(Default)]
    pub(crate) struct Woken(pub(crate) AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    fn log(mark: usize) -> &'static AuditLog {
        let lines = Arc::new(Lines::new(Bounds { ordinary: 0, audit: 1 << 20 }));
        Box::leak(Box::new(AuditLog::new(lines, mark)))
    }

    #[test]
    fn requests_in_the_pipeline_count_like_the_lines_that_they_will_be() {
        let log = log(1000);
        let nobody: Identities = std::iter::empty().collect();
        let (waker, woken) = {
            let woken = Arc::new(Woken::default());
            (Waker::from(woken.clone()), woken)
        };
        let enter = |body| log.enter(OpCode::Delete.code(), body, &nobody);
        let (first, second) = (enter(600).unwrap(), enter(600).unwrap());
        assert!(enter(1).is_none(), "as much as may wait is in the pipeline");
        assert!(!log.may_go_on(ConnId(1), &waker));
        drop(first);
        assert_eq!(woken.0.load(Relaxed), 0, "no more than half may wait before anybody goes on");
        drop(second);
        assert_eq!(woken.0.load(Relaxed), 1);
        assert!(log.may_go_on(ConnId(1), &waker) && enter(1).is_some());
    }

    #[test]
    fn each_part_of_a_multi_is_a_line() {
        let nobody: Identities = std::iter::empty().collect();
        let one = line_bytes(OpCode::SetData.code(), 1 << 20, &nobody);
        let many = line_bytes(OpCode::Multi.code(), 1 << 20, &nobody);
        assert!(many > 50_000 * WORDS_BYTES && one < 2 << 20, "{one} {many}");
    }
}
