//! What the disk itself takes: a small write and `fdatasync`, again and again, in the folder where the
//! server keeps its log. No server can acknowledge a lone write faster than this.
//!
//! The file is filled with zeros and synced first, and the writes go over it one behind the other: the
//! disk's best case, with no block to allocate and no size to change.

use std::fs::{File, remove_file};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::BenchError;
use crate::latency::Latencies;

/// The size of the probe's file, as of a log that ZooKeeper allocates ahead.
const FILE_BYTES: u64 = 64 * 1024 * 1024;
/// One write: about one log record of a 100-byte value.
const WRITE_BYTES: u64 = 256;

/// Writes and syncs in `folder` for `window`; the latency of each pair.
pub fn run(folder: &Path, window: Duration) -> Result<Latencies, BenchError> {
    let path = folder.join("disk-probe");
    let result = probe(&path, window).map_err(BenchError::io(format!("probe {}", path.display())));
    remove_file(&path).map_err(BenchError::io(format!("remove {}", path.display())))?;
    result
}

fn probe(path: &Path, window: Duration) -> io::Result<Latencies> {
    let file = File::create(path)?;
    let zeros = vec![0; 1024 * 1024];
    for offset in (0..FILE_BYTES).step_by(zeros.len()) {
        file.write_all_at(&zeros, offset)?;
    }
    file.sync_all()?;
    let record = [1; WRITE_BYTES as usize];
    let (mut latencies, mut offset) = (Latencies::default(), 0);
    let start = Instant::now();
    while latencies.count() == 0 || start.elapsed() < window {
        let written = Instant::now();
        file.write_all_at(&record, offset)?;
        file.sync_data()?;
        latencies.record(written.elapsed().as_nanos() as u64);
        offset = (offset + WRITE_BYTES) % FILE_BYTES;
    }
    Ok(latencies)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probe_ends_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let latencies = run(folder.path(), Duration::ZERO).unwrap();
        assert_eq!(latencies.count(), 1);
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
    }
}
