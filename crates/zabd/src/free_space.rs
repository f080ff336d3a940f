//! How much room a disk has left for this process.

use std::path::Path;

/// With less than this the disk counts as full at a start, in bytes: some batches of writes.
const LITTLE_BYTES: u64 = 1 << 20;

/// In bytes; `None` if the system does not say.
pub fn bytes(dir: &Path) -> Option<u64> {
    // A directory that is yet to be made will be on the disk of the one above.
    let disk = dir.ancestors().find_map(|dir| rustix::fs::statvfs(dir).ok())?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// For a log line.
pub fn in_words(dir: &Path) -> String {
    let free = bytes(dir).map_or_else(|| "an unknown number of".to_owned(), |bytes| bytes.to_string());
    format!("{free} bytes are free for {}", dir.display())
}

/// Whether it counts as full before anybody has tried to write.
pub fn is_little(dir: &Path) -> bool {
    bytes(dir).is_some_and(|free| free < LITTLE_BYTES)
}

/// At a start.
pub fn warn_if_little(dir: &Path) {
    if let Some(warning) = if_little("the log", dir) {
        tracing::warn!("{warning}");
    }
}

/// What to say of a disk that is almost full: at a start nothing is written that would find out.
pub fn if_little(what: &str, dir: &Path) -> Option<String> {
    is_little(dir).then(|| {
        let free = in_words(dir);
        format!("The disk of {what} is almost full, and writes are refused when it is; hint: free some space: {free}")
    })
}
