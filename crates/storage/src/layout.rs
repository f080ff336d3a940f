//! What files are called: `log.<zxid>` and `snapshot.<zxid>`, in hexadecimal.
//!
//! A log is named after its first record, a snapshot after the last transaction that is certainly in it.
//! Java parses names leniently, so a copy such as `log.a.bak` counts as the log that it names; what
//! zabd writes under a temporary name therefore begins with neither word. Java's `Util`.

use std::io;
use std::path::{Path, PathBuf};

use zabd_jute::Zxid;

use crate::disk::Disk;

/// The directory below `dataDir` and `dataLogDir` that holds everything.
pub const VERSION_DIR: &str = "version-2";
/// What the name of a log begins with.
pub const LOG: &str = "log";
/// What the name of a snapshot begins with.
pub const SNAPSHOT: &str = "snapshot";
/// What a file is called until it is whole.
const TEMPORARY_PREFIX: &str = "new-";
/// What the name of a file begins with that holds what was cut off a log.
const CUT_PREFIX: &str = "cut-";

/// A log's name.
pub fn log_name(first: Zxid) -> String {
    format!("{LOG}.{first:x}")
}

/// The name of a snapshot that is stored with this extension, which includes its dot.
pub fn snapshot_name(zxid: Zxid, extension: &str) -> String {
    format!("{SNAPSHOT}.{zxid:x}{extension}")
}

/// The name that a log or a snapshot has until it is whole.
pub fn temporary_name(name: &str) -> String {
    format!("{TEMPORARY_PREFIX}{name}")
}

/// The name under which what was cut off a log is kept; the number tells several apart.
pub fn cut_name(log: &str, offset: u64, number: u32) -> String {
    match number {
        0 => format!("{CUT_PREFIX}{log}-{offset}"),
        _ => format!("{CUT_PREFIX}{log}-{offset}-{number}"),
    }
}

/// Whether a file is one that was never finished.
pub fn is_temporary(name: &str) -> bool {
    let finished = name.strip_prefix(TEMPORARY_PREFIX);
    finished.is_some_and(|name| [LOG, SNAPSHOT].iter().any(|kind| zxid_in_name(name, kind).is_some()))
}

/// The zxid in a name that begins with `prefix`, as Java's `Util.getZxidFromName` finds it. The largest
/// number is no zxid, because none could follow.
pub fn zxid_in_name(name: &str, prefix: &str) -> Option<Zxid> {
    let mut parts = name.split('.');
    if parts.next() != Some(prefix) {
        return None;
    }
    i64::from_str_radix(parts.next()?, 16).ok().filter(|zxid| (0..i64::MAX).contains(zxid)).map(Zxid)
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
    files(disk, dir, LOG)
}

/// What was cut off logs, with the zxid of the log's name.
pub fn cuts<D: Disk>(disk: &D, dir: &Path) -> io::Result<Vec<NamedFile>> {
    let named = |name: String| {
        let (log, _) = name.strip_prefix(CUT_PREFIX)?.split_once('-')?;
        Some(NamedFile { zxid: zxid_in_name(log, LOG)?, path: dir.join(&name) })
    };
    let mut cuts: Vec<_> = disk.list(dir)?.into_iter().filter_map(named).collect();
    cuts.sort_unstable();
    Ok(cuts)
}

/// All snapshots of a directory, oldest first, whole or not.
pub fn snapshots<D: Disk>(disk: &D, dir: &Path) -> io::Result<Vec<NamedFile>> {
    files(disk, dir, SNAPSHOT)
}

/// Bytes of all files of a directory, room ahead included: what `dirs` and `conf` report.
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
            ("log.7ffffffffffffffe", Some(i64::MAX - 1)),
            ("log.7fffffffffffffff", None),
            ("log.8000000000000000", None),
            ("log.foo", None),
            ("log.", None),
            ("log", None),
            ("snapshot.1", None),
            ("mylog.1", None),
        ] {
            assert_eq!(zxid_in_name(name, LOG), zxid.map(Zxid), "{name}");
        }
        assert_eq!(zxid_in_name("snapshot.1a.gz", SNAPSHOT), Some(Zxid(0x1a)));
    }

    #[test]
    fn names_are_written_as_java_writes_them() {
        assert_eq!(log_name(Zxid(0x1_0000_000a)), "log.10000000a");
        assert_eq!(snapshot_name(Zxid(0), ""), "snapshot.0");
        assert_eq!(snapshot_name(Zxid(0xff), ".gz"), "snapshot.ff.gz");
    }

    #[test]
    fn what_was_cut_off_is_no_log() {
        let disk = crate::disk::MemoryDisk::default();
        let dir = Path::new("/data");
        for name in [cut_name("log.1a", 4096, 0), cut_name("log.1a", 4096, 1), "cut-glass".to_owned()] {
            disk.create(&dir.join(name)).unwrap();
        }
        let cuts = cuts(&disk, dir).unwrap();
        assert_eq!(cuts.iter().map(|cut| cut.zxid.0).collect::<Vec<_>>(), [0x1a, 0x1a]);
        assert!(logs(&disk, dir).unwrap().is_empty() && snapshots(&disk, dir).unwrap().is_empty());
    }

    #[test]
    fn temporary_names_are_no_logs_and_no_snapshots() {
        for name in [log_name(Zxid(5)), snapshot_name(Zxid(5), ".gz")] {
            let temporary = temporary_name(&name);
            assert!(is_temporary(&temporary) && !is_temporary(&name));
            assert_eq!(zxid_in_name(&temporary, LOG).or(zxid_in_name(&temporary, SNAPSHOT)), None);
        }
        assert!(!is_temporary("new-ideas"), "files of others are left alone");
    }
}
