//! When a server is writing a snapshot, seen from outside: by the files in its data directory.
//!
//! A snapshot begins when a file whose name contains `snapshot` appears or grows in `version-2`, and ends
//! when no such file has changed for [`QUIET`]; the quiet time does not count. A file under a name that
//! is not a snapshot's own is being written as long as it has that name, so that a sync before the
//! renaming counts. That works for servers that write under the final name and for those that rename, and
//! needs nothing from the server.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A pause in writing that is longer than this is the end.
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
        let has_grown = self.sizes.as_ref().is_some_and(|before| {
            sizes.iter().any(|(name, size)| before.get(name).is_none_or(|before| before < size))
        });
        if has_grown || sizes.keys().any(|name| is_temporary(name)) {
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

/// Whether a name with `snapshot` in it is not `snapshot.HEX`, with or without a compression's ending.
fn is_temporary(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let zxid = name.strip_prefix("snapshot.").and_then(|rest| rest.split('.').next());
    !zxid.is_some_and(|zxid| !zxid.is_empty() && zxid.bytes().all(|digit| digit.is_ascii_hexdigit()))
        || name.ends_with(".tmp")
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

    /// What the observer has after looks at these milliseconds, each with the names and sizes it saw.
    fn observed(looks: &[(u64, &[(&str, u64)])]) -> Vec<(u64, u64)> {
        let epoch = Instant::now();
        let mut observer = Observer::default();
        for &(ms, files) in looks {
            observer.look(epoch + Duration::from_millis(ms), sizes(files));
        }
        let since = |at: Instant| (at - epoch).as_millis() as u64;
        observer.finished.iter().map(|writing| (since(writing.start), since(writing.end))).collect()
    }

    /// A snapshot that is there from the start, and one written under its own name with a pause.
    #[test]
    fn a_snapshot_lasts_from_its_first_byte_to_its_last() {
        let looks: &[(u64, &[(&str, u64)])] = &[
            (0, &[("snapshot.0", 10)]),
            (100, &[("snapshot.0", 10)]),
            (200, &[("snapshot.0", 10), ("snapshot.5", 0)]),
            (300, &[("snapshot.0", 10), ("snapshot.5", 7)]),
            (900, &[("snapshot.0", 10), ("snapshot.5", 7)]),
            (1000, &[("snapshot.0", 10), ("snapshot.5", 9)]),
            (2100, &[("snapshot.0", 10), ("snapshot.5", 9)]),
        ];
        assert_eq!(observed(&looks[..5]), [], "a pause of less than a second is not the end");
        assert_eq!(observed(looks), [(100, 1000)]);
    }

    /// Nothing grows while the file is synced under its temporary name.
    #[test]
    fn a_sync_before_the_renaming_counts() {
        let looks: &[(u64, &[(&str, u64)])] = &[
            (0, &[]),
            (100, &[("new-snapshot.5f", 9)]),
            (5000, &[("new-snapshot.5f", 9)]),
            (5100, &[("snapshot.5f", 9)]),
            (7000, &[("snapshot.5f", 9)]),
        ];
        assert_eq!(observed(looks), [(0, 5100)]);
    }

    #[test]
    fn a_snapshot_is_known_by_its_name() {
        for name in ["snapshot.0", "snapshot.1f00000002", "snapshot.5.gz", "snapshot.5.snappy"] {
            assert!(!is_temporary(OsStr::new(name)), "{name}");
        }
        for name in ["new-snapshot.5", "snapshot.5.tmp", "snapshot.tmp", "snapshot."] {
            assert!(is_temporary(OsStr::new(name)), "{name}");
        }
    }
}
