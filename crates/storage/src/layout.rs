//! What files are called: `log.<zxid>` and `snapshot.<zxid>`, in hexadecimal.
//!
//! A log is named after its first record, a snapshot after the last transaction that is certainly in it.
//! Java parses names leniently, so a copy such as `log.a.bak` counts as the log that it names; what
//! zabd writes under a temporary name therefore begins with neither word.

use std::io;
use std::path::{Path, PathBuf};

use zabd_jute::Zxid;

use crate::disk::Disk;

/// The directory below `dataDir` and `dataLogDir` that holds everything.
pub const VERSION_DIR: &str = "version-2";

/// A log's name.
pub fn log_name(first: Zxid) -> String {
    format!("log.{first:x}")
}

/// The zxid in a name that begins with `prefix`, as Java's `Util.getZxidFromName` finds it.
pub fn zxid_in_name(name: &str, prefix: &str) -> Option<Zxid> {
    let mut parts = name.split('.');
    if parts.next() != Some(prefix) {
        return None;
    }
    i64::from_str_radix(parts.next()?, 16).ok().filter(|zxid| *zxid >= 0).map(Zxid)
}

/// A file with a zxid in its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NamedFile {
    /// From the name.
    pub zxid: Zxid,
    /// Where it is.
    pub path: PathBuf,
}

fn files<D: Disk>(disk: &D, dir: &Path, prefix: &str) -> io::Result<Vec<NamedFile>> {
    let named = |name: String| Some(NamedFile { zxid: zxid_in_name(&name, prefix)?, path: dir.join(name) });
    let mut files: Vec<_> = disk.list(dir)?.into_iter().filter_map(named).collect();
    files.sort_unstable();
    Ok(files)
}

/// All logs of a directory, oldest first.
pub fn logs<D: Disk>(disk: &D, dir: &Path) -> io::Result<Vec<NamedFile>> {
    files(disk, dir, "log")
}

/// All snapshots of a directory, oldest first, whole or not.
pub fn snapshots<D: Disk>(disk: &D, dir: &Path) -> io::Result<Vec<NamedFile>> {
    files(disk, dir, "snapshot")
}

/// Bytes of all logs, or of all snapshots: what `dirs` and `conf` report.
pub fn size<D: Disk>(disk: &D, dir: &Path) -> io::Result<u64> {
    let names = disk.list(dir)?;
    Ok(names.iter().filter_map(|name| disk.length(&dir.join(name)).ok()).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_java_reads_them() {
        for (name, zxid) in [
            ("log.1", Some(1)),
            ("log.ff", Some(255)),
            ("log.a.bak", Some(10)),
            ("log.foo", None),
            ("log.", None),
            ("log", None),
            ("snapshot.1", None),
            ("mylog.1", None),
        ] {
            assert_eq!(zxid_in_name(name, "log"), zxid.map(Zxid), "{name}");
        }
        assert_eq!(zxid_in_name("snapshot.1a.gz", "snapshot"), Some(Zxid(0x1a)));
    }
}
