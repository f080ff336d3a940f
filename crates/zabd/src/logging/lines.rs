//! Lines on their way to standard output: what waits is counted in bytes, since clients have a part in how long a line is.
//!
//! ```text
//! whoever logs ── a line ──► waits ── batches ──► one thread ──► standard output
//!                 (no wait)   │ ordinary: beyond its bound a line is dropped and counted
//!                             └ audit: beyond its mark those who cause more are held, see `hold`
//! ```
//!
//! Nobody who logs waits: it may be the thread that applies what all clients asked for.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// What a line takes besides its text, in bytes, about.
const LINE_BYTES: usize = 64;
/// How much is written at a time.
const BATCH_BYTES: usize = 64 << 10;
/// How often it is told at most that lines were lost.
const LOSSES_TOLD_EVERY: Duration = Duration::from_secs(1);
/// How long the end of the process waits for who reads the log, as long as something is read.
const FAREWELL_MAX: Duration = Duration::from_secs(5);
/// The same for somebody who reads nothing.
const SILENCE_MAX: Duration = Duration::from_secs(1);
/// What is written again after so long, if the other end is one that takes nothing for now and says so.
const RETRY: Duration = Duration::from_millis(10);

/// What a line belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// What the server says.
    Ordinary,
    /// Who did what.
    Audit,
}

/// How much may wait, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Of ordinary lines.
    pub ordinary: usize,
    /// Of the audit log, when nobody is held any more.
    pub audit: usize,
}

/// See the module's description.
#[derive(Debug)]
pub struct Lines {
    bounds: Bounds,
    state: Mutex<State>,
    news: Condvar,
    written: Condvar,
    lost: [AtomicU64; 2],
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<(Lane, Vec<u8>)>,
    /// What waits and what is being written, by lane.
    bytes: [usize; 2],
    /// Since when something is being written.
    writing_since: Option<Instant>,
    batches: u64,
}

impl State {
    fn is_empty(&self) -> bool {
        self.bytes == [0, 0]
    }
}

impl Lines {
    /// Nothing waits.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            state: Mutex::default(),
            news: Condvar::new(),
            written: Condvar::new(),
            lost: Default::default(),
        }
    }

    /// How many lines nobody has seen, or will see.
    pub fn lost(&self, lane: Lane) -> u64 {
        self.lost[lane as usize].load(Relaxed)
    }

    /// How many bytes of a lane wait, and since when the thread writes without getting rid of anything.
    pub fn waiting(&self, lane: Lane) -> (usize, Option<Instant>) {
        let state = self.state.lock();
        (state.bytes[lane as usize], state.writing_since)
    }

    /// Takes a line, or counts it as lost.
    pub fn push(&self, lane: Lane, line: &[u8]) {
        let bound = match lane {
            Lane::Ordinary => self.bounds.ordinary,
            Lane::Audit => self.bounds.audit,
        };
        let bytes = line.len() + LINE_BYTES;
        let mut state = self.state.lock();
        if state.bytes[lane as usize] + bytes > bound {
            drop(state);
            self.lost[lane as usize].fetch_add(1, Relaxed);
            return;
        }
        let was_empty = state.waiting.is_empty();
        state.bytes[lane as usize] += bytes;
        state.waiting.push_back((lane, line.to_vec()));
        drop(state);
        if was_empty {
            self.news.notify_one();
        }
    }

    /// Writes what comes, for as long as the process lives; `on_batch` hears when something was written.
    pub fn write_to(&self, mut out: impl Write, tell_lost: impl Fn(Lane, u64), on_batch: impl Fn()) {
        let mut batch = Vec::with_capacity(BATCH_BYTES);
        let mut told = [0; 2];
        let mut told_at: Option<Instant> = None;
        loop {
            let (bytes, lines) = self.next_batch(&mut batch, told);
            let is_written = batch.is_empty() || write_all(&mut out, &batch);
            {
                let mut state = self.state.lock();
                state.writing_since = None;
                state.batches += 1;
                for lane in [0, 1] {
                    state.bytes[lane] -= bytes[lane];
                }
            }
            for lane in [0, 1].into_iter().filter(|_| !is_written) {
                self.lost[lane].fetch_add(lines[lane], Relaxed);
                // Nobody is there to be told.
                told[lane] += lines[lane];
            }
            self.written.notify_all();
            on_batch();
            if told_at.is_some_and(|at| at.elapsed() < LOSSES_TOLD_EVERY) {
                continue;
            }
            for lane in [Lane::Ordinary, Lane::Audit] {
                let lost = self.lost(lane);
                if lost > told[lane as usize] {
                    told_at = Some(Instant::now());
                    tell_lost(lane, lost - std::mem::replace(&mut told[lane as usize], lost));
                }
            }
        }
    }

    /// Waits for lines, or for the moment to tell of those that were lost: how much they take by lane, and how many they are.
    fn next_batch(&self, batch: &mut Vec<u8>, told: [u64; 2]) -> ([usize; 2], [u64; 2]) {
        batch.clear();
        let (mut bytes, mut lines) = ([0; 2], [0; 2]);
        let mut state = self.state.lock();
        while state.waiting.is_empty() {
            let is_told = told == [self.lost(Lane::Ordinary), self.lost(Lane::Audit)];
            if is_told {
                self.news.wait(&mut state);
            } else if self.news.wait_for(&mut state, LOSSES_TOLD_EVERY).timed_out() {
                return (bytes, lines);
            }
        }
        while let Some((lane, line)) = state.waiting.front() {
            if !batch.is_empty() && batch.len() + line.len() > BATCH_BYTES {
                break;
            }
            batch.extend_from_slice(line);
            bytes[*lane as usize] += line.len() + LINE_BYTES;
            lines[*lane as usize] += 1;
            state.waiting.pop_front();
        }
        if state.waiting.is_empty() {
            state.waiting.shrink_to(BATCH_BYTES / LINE_BYTES);
        }
        state.writing_since = Some(Instant::now());
        (bytes, lines)
    }

    /// Waits until everything is written, as long as somebody reads it.
    pub fn flush(&self) {
        let end = Instant::now() + FAREWELL_MAX;
        let mut state = self.state.lock();
        while !state.is_empty() && Instant::now() < end {
            let before = state.batches;
            let is_silent = self.written.wait_for(&mut state, SILENCE_MAX).timed_out();
            if is_silent && state.batches == before {
                return;
            }
        }
    }
}

/// False if the other end takes nothing any more.
fn write_all(out: &mut impl Write, mut bytes: &[u8]) -> bool {
    use std::io::ErrorKind::{Interrupted, WouldBlock};
    while !bytes.is_empty() {
        match out.write(bytes) {
            Ok(0) => return false,
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == Interrupted => (),
            Err(error) if error.kind() == WouldBlock => std::thread::sleep(RETRY),
            Err(_) => return false,
        }
    }
    out.flush().is_ok()
}

/// A line on its way into the queue.
#[derive(Debug)]
pub struct Line<'l> {
    /// Where to.
    pub lines: &'l Arc<Lines>,
    /// Which part of it.
    pub lane: Lane,
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.lines.push(self.lane, bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Standard output that takes one batch for each word from the test.
    struct Held {
        go: mpsc::Receiver<()>,
        seen: mpsc::Sender<Vec<u8>>,
    }

    impl Write for Held {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.go.recv().map_err(std::io::Error::other)?;
            self.seen.send(bytes.to_vec()).map_err(std::io::Error::other)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn held(bounds: Bounds) -> (Arc<Lines>, mpsc::Sender<()>, mpsc::Receiver<Vec<u8>>) {
        let lines = Arc::new(Lines::new(bounds));
        let ((go, gone), (saw, seen)) = (mpsc::channel(), mpsc::channel());
        let own = lines.clone();
        std::thread::spawn(move || {
            let tell = |lane: Lane, lost: u64| own.push(lane, format!("{lost} lost\n").as_bytes());
            own.write_to(Held { go: gone, seen: saw }, tell, || ());
        });
        (lines, go, seen)
    }

    #[test]
    fn lines_are_bounded_in_bytes_and_those_that_are_lost_are_told() {
        let (lines, go, seen) = held(Bounds { ordinary: 1 << 20, audit: 1 << 20 });
        let long = vec![b'x'; 200 << 10];
        for _ in 0..20 {
            lines.push(Lane::Ordinary, &long);
        }
        let (bytes, _) = lines.waiting(Lane::Ordinary);
        assert!(bytes <= 1 << 20, "{bytes}");
        assert_eq!(lines.lost(Lane::Ordinary), 15);
        lines.push(Lane::Audit, b"an audit line\n");
        assert_eq!(lines.lost(Lane::Audit), 0, "each lane has a bound of its own");
        (0..6).for_each(|_| go.send(()).unwrap());
        let all: Vec<u8> = seen.iter().take(6).flatten().collect();
        let told = String::from_utf8(all).unwrap();
        assert!(
            told.contains("an audit line\n") && told.contains("15 lost\n"),
            "{}",
            &told[told.len() - 40..]
        );
    }

    #[test]
    fn what_cannot_be_written_is_counted() {
        let (lines, go, _) = held(Bounds { ordinary: 1 << 20, audit: 1 << 20 });
        drop(go);
        lines.push(Lane::Audit, b"nobody reads this\n");
        lines.flush();
        assert_eq!(lines.lost(Lane::Audit), 1);
    }
}
