//! When a server is writing a snapshot, seen from outside: by the files in its data directory.
//!
//! A snapshot begins when a file whose name contains `snapshot` appears or grows in `version-2`, and ends
//! when no such file has changed for [`QUIET`]; the quiet time does not count. That works for servers
//! that write under the final name and for those that rename, and needs nothing from the server.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A pause in writing that is longer than this is the end. Long enough for a server that syncs what it
/// wrote before it gives the file its name: the sync then counts as writing.
const QUIET: Duration = Duration::from_secs(1);
/// How often the directory is read.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// A stretch of time in which a snapshot was being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Writing {
    /// The last look before the first byte was seen.
    pub start: Instant,
    /// The look at which the last byte was seen.
    pub end: Instant,
}

/// What the looks add up to, apart from clock and directory.
#[derive(Debug, Default)]
struct Observer {
    sizes: Option<BTreeMap<OsString, u64>>,
    last_look: Option<Instant>,
    current: Option<Writing>,
    finished: Vec<Writing>,
}

impl Observer {
    fn look(&mut self, now: Instant, sizes: BTreeMap<OsString, u64>) {
        // Files that vanish are a rename or a purge; only new bytes are writing.
        let is_writing = self.sizes.as_ref().is_some_and(|before| {
            sizes.iter().any(|(name, size)| before.get(name).is_none_or(|before| before < size))
        });
        if is_writing {
            let start = self.last_look.unwrap_or(now);
            self.current.get_or_insert(Writing { start, end: now }).end = now;
        } else if self.current.is_some_and(|current| QUIET < now - current.end) {
            self.finished.extend(self.current.take());
        }
        self.sizes = Some(sizes);
        self.last_look = Some(now);
    }
}

/// Watches one data directory from a thread of its own.
#[derive(Debug)]
pub struct SnapshotWatch {
    stop: Arc<AtomicBool>,
    finished: Arc<AtomicUsize>,
    thread: JoinHandle<Vec<Writing>>,
}

impl SnapshotWatch {
    /// Watches `data_dir`'s `version-2`.
    pub fn start(data_dir: &Path) -> Self {
        let folder = data_dir.join("version-2");
        let (stop, finished) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (stop_here, finished_here) = (Arc::clone(&stop), Arc::clone(&finished));
        let thread = std::thread::spawn(move || {
            let mut observer = Observer::default();
            while !stop_here.load(Ordering::Relaxed) {
                observer.look(Instant::now(), snapshot_sizes(&folder));
                finished_here.store(observer.finished.len(), Ordering::Relaxed);
                std::thread::sleep(LOOK_INTERVAL);
            }
            observer.finished.extend(observer.current);
            observer.finished
        });
        Self { stop, finished, thread }
    }

    /// How many snapshots were written from beginning to end so far.
    pub fn finished(&self) -> usize {
        self.finished.load(Ordering::Relaxed)
    }

    /// Stops watching; every stretch seen, the last one perhaps unfinished.
    pub fn stop(self) -> Vec<Writing> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("watching a directory does not panic")
    }
}

fn snapshot_sizes(folder: &PathBuf) -> BTreeMap<OsString, u64> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().to_string_lossy().contains("snapshot"))
        .filter_map(|entry| Some((entry.file_name(), entry.metadata().ok()?.len())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(files: &[(&str, u64)]) -> BTreeMap<OsString, u64> {
        files.iter().map(|&(name, size)| (name.into(), size)).collect()
    }

    /// A snapshot that is there from the start, one written in three looks under another name, then its
    /// renaming.
    #[test]
    fn a_snapshot_lasts_from_its_first_byte_to_its_last() {
        let epoch = Instant::now();
        let at = |ms| epoch + Duration::from_millis(ms);
        let mut observer = Observer::default();
        observer.look(at(0), sizes(&[("snapshot.0", 10)]));
        observer.look(at(100), sizes(&[("snapshot.0", 10)]));
        observer.look(at(200), sizes(&[("snapshot.0", 10), ("snapshot.5.tmp", 0)]));
        observer.look(at(300), sizes(&[("snapshot.0", 10), ("snapshot.5.tmp", 7)]));
        observer.look(at(400), sizes(&[("snapshot.0", 10), ("snapshot.5.tmp", 7)]));
        assert_eq!(observer.finished, [], "a pause of 100 ms is not the end");
        observer.look(at(500), sizes(&[("snapshot.0", 10), ("snapshot.5.tmp", 9)]));
        observer.look(at(1600), sizes(&[("snapshot.0", 10), ("snapshot.5.tmp", 9)]));
        assert_eq!(observer.finished, [Writing { start: at(100), end: at(500) }]);
    }
}
