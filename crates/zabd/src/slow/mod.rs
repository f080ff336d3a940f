//! Operations that took long, in the log: whose they were, what they asked for, and where the time went.
//!
//! ```text
//! came ──queued──► proposed ──logged──► durable ──committed──► agreed on ──applied──► in the tree ──answered──► with its connection
//!      connection            log writer           the others                driver                  I/O thread
//! ```
//!
//! A request carries nothing on its way: whoever asked remembers when it came, and each stage is worked off in the order of
//! transactions, so *when which transaction got how far* is noted once for all that go together ([`Milestones`]). A look at both, and
//! the zxid of the answer, tells the stages of any one request behind its back; it is taken only for those that were slow. The
//! replica, which knows no time, says its positions, and the driver notes them with the time at which it stepped.
//!
//! A learner's request goes to the leader first: there *queued* ends when its proposal is back. *Committed* is what the others took
//! longer than this server's disk, 0 alone. A read behind a write of its connection has no transaction: all its time is *queued*,
//! until it is answered. What the client takes to take its answer is no stage.
//!
//! A slow disk makes everything slow: so ten lines are written in ten seconds, and then how many there were more; all are counted.

mod milestones;

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;
use zabd_jute::client::{MultiOp, MultiRequest};
use zabd_jute::{OpCode, Reader, Record as _, SessionId, Zxid};
use zabd_replica::{Positions, read};

use self::milestones::{Milestones, Passed};

/// How much of a path is shown.
const PATH_CHARS_MAX: usize = 256;
/// How much of a request is kept, in bytes: of a longer group of operations, only the first path is told.
const KEPT_BYTES_MAX: usize = 4 << 10;
/// So many of its paths are told.
const PATHS_MAX: usize = 4;
/// So many lines are written in so many milliseconds.
const LINES_MAX: u32 = 10;
const WINDOW_MS: i64 = 10_000;

/// A server's slow operations. See the module's description.
#[derive(Debug)]
pub struct SlowOperations {
    /// What takes so long is slow, in milliseconds; nothing is, if it is none.
    from_ms: Option<i64>,
    /// How many there were, since the last `srst`.
    pub counted: AtomicU64,
    milestones: Mutex<Milestones>,
    pace: Mutex<Pace>,
}

/// What a request asks for, as far as a line about it needs that; nothing is kept where no lines are written.
#[derive(Debug, Default)]
pub struct About {
    op: i32,
    body: Box<[u8]>,
}

/// One that was slow. Times are monotonic milliseconds.
#[derive(Debug)]
pub struct SlowOperation<'a> {
    /// Whose it was.
    pub session: SessionId,
    /// Its number there.
    pub xid: Option<i32>,
    /// What it asked for.
    pub about: &'a About,
    /// When it came.
    pub came_ms: i64,
    /// When its connection had the answer, or ended.
    pub ended_ms: i64,
    /// What it was answered.
    pub answered: Answered,
}

/// What came of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// An answer with this zxid.
    At(Zxid),
    /// An answer that has none: a new session that only this server knows.
    Unnumbered,
    /// Nothing, before its connection ended.
    Never,
}

impl SlowOperations {
    /// `zabd.slowOperationMs`, and where the server stands.
    pub fn new(from_ms: Option<u64>, positions: Positions) -> Self {
        Self {
            from_ms: from_ms.map(|from_ms| i64::try_from(from_ms).unwrap_or(i64::MAX)),
            counted: AtomicU64::new(0),
            milestones: Mutex::new(Milestones::behind(positions)),
            pace: Mutex::default(),
        }
    }

    /// Whether anything is kept for lines.
    pub fn is_on(&self) -> bool {
        self.from_ms.is_some()
    }

    /// Whether what took so long is slow.
    pub fn is_slow(&self, took_ms: i64) -> bool {
        self.from_ms.is_some_and(|from_ms| from_ms <= took_ms)
    }

    /// What a request asks for.
    pub fn about(&self, op: i32, body: &[u8]) -> About {
        if self.from_ms.is_none() { About::default() } else { About::new(op, body) }
    }

    /// The server stands there now; what depends on it is told afterwards.
    pub fn note(&self, positions: Positions, now_ms: impl FnOnce() -> i64) {
        if self.from_ms.is_none() {
            return;
        }
        let mut milestones = self.milestones.lock();
        if milestones.is_news(positions) {
            milestones.note(positions, now_ms());
        }
    }

    /// Counts it, and writes a line, unless there were many.
    pub fn tell(&self, slow: &SlowOperation<'_>) {
        self.counted.fetch_add(1, Relaxed);
        let took_ms = slow.ended_ms - slow.came_ms;
        let Some(unsaid) = self.pace.lock().turn(slow.ended_ms, took_ms) else { return };
        if unsaid.count > 0 {
            tracing::warn!(
                "{} more slow operations were not told one by one; the slowest took {}ms",
                unsaid.count,
                unsaid.longest_ms
            );
        }
        let passed = match slow.answered {
            Answered::At(zxid) => self.milestones.lock().of(zxid),
            Answered::Unnumbered | Answered::Never => Passed::default(),
        };
        tracing::warn!("Slow operation: {}", line(slow, passed));
    }
}

impl About {
    fn new(op: i32, body: &[u8]) -> Self {
        let kept = if op == OpCode::Multi.code() {
            body.len()
        } else {
            // A path with its length.
            let length = body.first_chunk::<4>().map_or(-1, |length| i32::from_be_bytes(*length));
            usize::try_from(length).map_or(0, |length| length.saturating_add(4).min(body.len()))
        };
        Self { op, body: body[..kept.min(KEPT_BYTES_MAX)].into() }
    }

    /// What is asked for, of which paths.
    fn words(&self) -> String {
        let Some(op) = OpCode::from_code(self.op) else { return self.op.to_string() };
        match (op, MultiRequest::from_bytes(&self.body)) {
            (OpCode::Multi, Ok(multi)) => {
                let paths: Vec<_> = multi.ops.iter().take(PATHS_MAX).map(|op| shown(path_of(op))).collect();
                let more = if multi.ops.len() > PATHS_MAX { ", …" } else { "" };
                format!("Multi of {}: {}{more}", multi.ops.len(), paths.join(", "))
            }
            // Its first operation's header is before the path.
            (OpCode::Multi, Err(_)) => match self.body.get(9..).map(|body| Reader::new(body).ustring()) {
                Some(Ok(path)) => format!("Multi: {}, …", shown(&path)),
                _ => "Multi".to_owned(),
            },
            _ => match self.body.get(4..).filter(|_| begins_with_path(op)) {
                // Of a long one, its beginning.
                Some(path) if !path.is_empty() => {
                    format!("{op:?} of {}", shown(&String::from_utf8_lossy(path)))
                }
                _ => format!("{op:?}"),
            },
        }
    }
}

fn begins_with_path(op: OpCode) -> bool {
    !matches!(op, OpCode::Reconfig | OpCode::CloseSession | OpCode::CreateSession | OpCode::MultiRead)
}

fn path_of<'a>(op: &'a MultiOp<'_>) -> &'a str {
    match op {
        MultiOp::Create { request, .. } => &request.create.path,
        MultiOp::Delete(request) | MultiOp::Check(request) => &request.path,
        MultiOp::SetData(request) => &request.path,
    }
}

/// A path is what a client says: no part of it begins a line of the log.
fn shown(path: &str) -> String {
    let shown: String = path.chars().take(PATH_CHARS_MAX).flat_map(char::escape_debug).collect();
    if path.chars().nth(PATH_CHARS_MAX).is_some() { shown + "…" } else { shown }
}

/// The words behind `Slow operation: `.
fn line(slow: &SlowOperation<'_>, passed: Passed) -> String {
    let SlowOperation { session, xid, about, came_ms, ended_ms, answered } = slow;
    let took_ms = ended_ms - came_ms;
    let number = xid.map_or_else(String::new, |xid| format!(", xid {xid}"));
    let head = format!("{} by session {session}{number}", about.words());
    let zxid = match answered {
        Answered::At(zxid) => zxid,
        Answered::Unnumbered => return format!("{head}, took {took_ms}ms"),
        Answered::Never => {
            return format!("{head}, had no answer after {took_ms}ms, when its connection ended");
        }
    };
    let Passed { appended_ms, synced_ms, committed_ms, applied_ms } = passed;
    // Nobody waited for this server's own disk where a quorum of others was done before it.
    let synced_ms = synced_ms.filter(|at_ms| applied_ms.is_none_or(|applied_ms| *at_ms <= applied_ms));
    let passed: &[_] = if read::is_write(about.op) || about.op == OpCode::CreateSession.code() {
        &[
            ("queued", appended_ms),
            ("logged", synced_ms),
            ("committed", committed_ms),
            ("applied", applied_ms),
        ]
    } else {
        // The zxid of its answer is that of what was in the tree then: what it waited for, if that came later than it.
        &[("queued", applied_ms.filter(|applied_ms| came_ms <= applied_ms).or(Some(*ended_ms)))]
    };
    let mut at_ms = *came_ms;
    let mut stages = String::new();
    for (name, until_ms) in passed.iter().chain(&[("answered", Some(*ended_ms))]) {
        let Some(until_ms) = until_ms else { continue };
        let until_ms = (*until_ms).clamp(at_ms, *ended_ms);
        let comma = if stages.is_empty() { "" } else { ", " };
        let _ = write!(stages, "{comma}{name} {}ms", until_ms - at_ms);
        at_ms = until_ms;
    }
    format!("{head}, took {took_ms}ms: {stages}; zxid {zxid}")
}

/// How many lines are written.
#[derive(Debug, Default)]
struct Pace {
    since_ms: Option<i64>,
    lines: u32,
    unsaid: Unsaid,
}

/// What no line was written about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Unsaid {
    count: u64,
    longest_ms: i64,
}

impl Pace {
    /// Whether a line may be written now, and what was not said before it.
    fn turn(&mut self, now_ms: i64, took_ms: i64) -> Option<Unsaid> {
        if self.since_ms.is_none_or(|since_ms| since_ms + WINDOW_MS <= now_ms) {
            self.since_ms = Some(now_ms);
            self.lines = 0;
        }
        if self.lines == LINES_MAX {
            self.unsaid.count += 1;
            self.unsaid.longest_ms = self.unsaid.longest_ms.max(took_ms);
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use zabd_jute::Writer;
    use zabd_jute::client::{DeleteRequest, SetDataRequest};

    use super::*;

    const NOWHERE: Positions =
        Positions { appended: Zxid(0), synced: Zxid(0), committed: Zxid(0), applied: Zxid(0) };

    fn told(about: &About, zxid: Option<i64>, passed: [Option<i64>; 4]) -> String {
        let slow = SlowOperation {
            session: SessionId(0x1001),
            xid: Some(7),
            about,
            came_ms: 100,
            ended_ms: 1500,
            answered: zxid.map_or(Answered::Never, |zxid| Answered::At(Zxid(zxid))),
        };
        let [appended_ms, synced_ms, committed_ms, applied_ms] = passed;
        line(&slow, Passed { appended_ms, synced_ms, committed_ms, applied_ms })
    }

    fn path(path: &str) -> Vec<u8> {
        let mut body = Vec::new();
        Writer::new(&mut body).ustring(path);
        body.extend_from_slice(b"and what follows");
        body
    }

    #[test]
    fn a_line_says_whose_what_and_where_the_time_went() {
        let write = About::new(OpCode::SetData.code(), &path("/a\nb"));
        assert_eq!(
            told(&write, Some(0x12), [Some(102), Some(1300), Some(1290), Some(1450)]),
            "SetData of /a\\nb by session 0x1001, xid 7, took 1400ms: queued 2ms, logged 1198ms, committed 0ms, \
             applied 150ms, answered 50ms; zxid 0x12"
        );
        assert_eq!(
            told(&write, Some(0x12), [Some(102), Some(1400), Some(1290), Some(1291)]),
            "SetData of /a\\nb by session 0x1001, xid 7, took 1400ms: queued 2ms, committed 1188ms, applied 1ms, \
             answered 209ms; zxid 0x12"
        );
        let read = About::new(OpCode::GetData.code(), &path("/a"));
        assert_eq!(
            told(&read, Some(0x12), [Some(102), Some(1300), Some(1290), Some(1450)]),
            "GetData of /a by session 0x1001, xid 7, took 1400ms: queued 1350ms, answered 50ms; zxid 0x12"
        );
        let sync = About::new(OpCode::Sync.code(), &path("/a"));
        assert_eq!(
            told(&sync, Some(0x12), [Some(20), Some(30), Some(30), Some(31)]),
            "Sync of /a by session 0x1001, xid 7, took 1400ms: queued 1400ms, answered 0ms; zxid 0x12"
        );
        assert_eq!(
            told(&read, None, [None; 4]),
            "GetData of /a by session 0x1001, xid 7, had no answer after 1400ms, when its connection ended"
        );
        let close = About::new(OpCode::CloseSession.code(), b"");
        assert_eq!(
            told(&close, Some(0x12), [None; 4]),
            "CloseSession by session 0x1001, xid 7, took 1400ms: answered 1400ms; zxid 0x12"
        );
    }

    #[test]
    fn a_group_is_told_by_some_of_its_paths() {
        let ops = |count: usize| {
            let op = |number| match number % 2 {
                0 => MultiOp::Delete(DeleteRequest { path: format!("/{number}").into(), version: -1 }),
                _ => MultiOp::SetData(SetDataRequest {
                    path: format!("/{number}").into(),
                    data: Some(&[7; 200]),
                    version: -1,
                }),
            };
            About::new(OpCode::Multi.code(), &MultiRequest { ops: (0..count).map(op).collect() }.to_bytes())
                .words()
        };
        assert_eq!(ops(0), "Multi of 0: ");
        assert_eq!(ops(3), "Multi of 3: /0, /1, /2");
        assert_eq!(ops(5), "Multi of 5: /0, /1, /2, /3, …");
        assert_eq!(ops(100), "Multi: /0, …");
    }

    #[test]
    fn whatever_a_client_sends_there_are_words_and_little_is_kept() {
        let long = About::new(OpCode::Create.code(), &path(&"é".repeat(100_000)));
        assert!(long.body.len() <= KEPT_BYTES_MAX);
        for body in [&b""[..], b"\0", b"\xff\xff\xff\xff", b"\0\0\0\x05/a", b"\x7f\xff\xff\xff/a"] {
            for op in [OpCode::Create, OpCode::Multi, OpCode::Reconfig, OpCode::MultiRead] {
                assert!(About::new(op.code(), body).words().starts_with(&format!("{op:?}")), "{body:?}");
            }
        }
        assert_eq!(About::new(OpCode::Create.code(), b"\0\0\0\x02/\xff").words(), "Create of /\u{fffd}");
        let line = long.words();
        assert!(line.ends_with('…') && line.chars().count() < 300, "{line}");
    }

    #[test]
    fn only_so_many_lines_are_written_and_all_are_counted() {
        let mut pace = Pace::default();
        let none = Unsaid::default();
        for _ in 0..LINES_MAX {
            assert_eq!(pace.turn(5, 1000), Some(none));
        }
        assert_eq!([pace.turn(6, 3000), pace.turn(10_004, 2000)], [None, None]);
        assert_eq!(pace.turn(10_005, 1000), Some(Unsaid { count: 2, longest_ms: 3000 }));
        assert_eq!(pace.turn(10_006, 1000), Some(none));
        let slow = SlowOperations::new(Some(1000), NOWHERE);
        assert!(slow.is_slow(1000) && !slow.is_slow(999));
        let about = slow.about(OpCode::Create.code(), &path("/a"));
        for _ in 0..30 {
            let (session, answered) = (SessionId(1), Answered::At(Zxid(1)));
            slow.tell(&SlowOperation {
                session,
                xid: None,
                about: &about,
                came_ms: 0,
                ended_ms: 1000,
                answered,
            });
        }
        assert_eq!(slow.counted.load(Relaxed), 30);
    }

    #[test]
    fn nothing_is_slow_or_kept_where_it_is_off() {
        let slow = SlowOperations::new(None, NOWHERE);
        assert!(!slow.is_on() && !slow.is_slow(i64::MAX));
        assert!(slow.about(OpCode::Create.code(), &path("/a")).body.is_empty());
        slow.note(Positions { appended: Zxid(1), ..NOWHERE }, || unreachable!("nobody asks for the time"));
    }
}
