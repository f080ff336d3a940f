//! What a start finds in the two directories, and whether it can be trusted.
//!
//! A start goes like this:
//!
//! 0. [`hold`]: nobody else works in the directories;
//! 1. [`prepare`]: the directories exist, can be written, are not swapped; what was never finished goes, and what a
//!    restore has replaced is out of the way;
//! 2. [`snapshots_to_try`]: the newest that loads is taken; an older one needs more log, and the log says
//!    whether it is complete. A server never starts empty beside records or a snapshot that held some;
//! 3. [`crate::log::Records::after`] the snapshot, to the end; then [`crate::log::settle`];
//! 4. a new snapshot if there was none: Java does not start from logs alone.
//!
//! Follows Java's `FileTxnSnapLog` and `FileSnap.deserialize`.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use zabd_jute::{Limits, Zxid};

use crate::apart;
use crate::damage;
use crate::disk::{Disk, RealDisk};
use crate::layout::{self, LOG, NamedFile, SNAPSHOT, VERSION_DIR};
use crate::log::{self, LogError};
use crate::restore;
use crate::snapshot::{self, SnapshotError};

/// What an operator makes beside `version-2` so that a server begins with nothing.
pub const INITIALIZE: &str = "initialize";

/// How many snapshots are tried, as in Java.
const SNAPSHOTS_TRIED_MAX: usize = 100;

/// What the operator configured about starting.
#[derive(Clone, Debug)]
pub struct RecoveryOptions {
    /// `dataDir`.
    pub data_dir: PathBuf,
    /// `dataLogDir`, the same if it is not set.
    pub log_dir: PathBuf,
    /// `datadir.autocreate`: missing directories are made.
    pub autocreate: bool,
    /// `snapshot.trust.empty`: logs without a snapshot are replayed from nothing.
    pub trust_empty: bool,
    /// No other server has what this one acknowledged: it is standalone, or the only voter.
    pub is_alone: bool,
}

/// Why a server must not start on what is there.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// A directory, or a file in it, cannot be used.
    #[error("cannot {action} {}; check that it is there, who may read and write it, and its disk", path.display())]
    Directory {
        /// What was tried.
        action: &'static str,
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A directory does not exist, and must not be made.
    #[error("the directory {} does not exist, and datadir.autocreate is false; create it", path.display())]
    Missing {
        /// Which one.
        path: PathBuf,
    },
    /// Another process serves from the directory.
    #[error("{} is in use by another server; stop that one, or give this one a dataDir of its own", path.display())]
    InUse {
        /// Which one.
        path: PathBuf,
    },
    /// A Java server, which takes no directory for itself, writes there.
    #[error("process {pid}, a Java server, has {} open for writing; stop that one first", path.display())]
    WrittenByJava {
        /// Its number.
        pid: u32,
        /// A log.
        path: PathBuf,
    },
    /// The directory is one level too deep.
    #[error(
        "{} holds {name} itself, which belongs into its {VERSION_DIR}; name the directory that has {VERSION_DIR} in it",
        path.display()
    )]
    TooDeep {
        /// What is configured.
        path: PathBuf,
        /// A snapshot or a log in it.
        name: String,
    },
    /// Nothing is there, and the operator wants to be asked before a server begins with nothing.
    #[error(
        "{} holds no data, and db.autocreate is false; mount or restore the data, or make an empty file {} to begin \
         with nothing", snapshot_dir.display(), initialize.display()
    )]
    Empty {
        /// Where the data should be.
        snapshot_dir: PathBuf,
        /// The file that says that there is none.
        initialize: PathBuf,
    },
    /// `dataDir` and `dataLogDir` look swapped.
    #[error("{} holds {name}, which belongs into {what}; check dataDir and dataLogDir", path.display())]
    Misplaced {
        /// The directory.
        path: PathBuf,
        /// A file in it.
        name: String,
        /// Where such files belong.
        what: &'static str,
    },
    /// There are logs, and nothing that they could be replayed over.
    #[error(
        "{} holds logs, but {} holds no snapshot; restore one, or set snapshot.trust.empty=true once if the logs \
         are complete from the first transaction on; a member of an ensemble, whose other members are up, gets everything from \
         them when both directories are moved away", log_dir.display(), snapshot_dir.display()
    )]
    NoSnapshot {
        /// Where the logs are.
        log_dir: PathBuf,
        /// Where snapshots should be.
        snapshot_dir: PathBuf,
        /// Whether there is a file that should be one.
        has_remains: bool,
    },
    /// There is no snapshot, and the logs go on from something.
    #[error(
        "{} begins with zxid {first}, and neither a snapshot nor another log holds what came before; restore the \
         snapshots or the older logs from a copy", path.display()
    )]
    NoBeginning {
        /// The oldest log that holds a record.
        path: PathBuf,
        /// Its first record.
        first: Zxid,
    },
    /// There is no snapshot, and the logs make another tree than they tell of.
    #[error(
        "{} holds logs behind which digests do not match, and there is no snapshot: neither holds what came before; \
         restore the snapshots or the older logs from a copy", log_dir.display()
    )]
    OtherTree {
        /// Where the logs are.
        log_dir: PathBuf,
    },
    /// Snapshots are there, and none is whole.
    #[error(
        "none of the snapshots in {} is whole, restore one from a copy or from another server; the newest: {newest}",
        snapshot_dir.display()
    )]
    NoWholeSnapshot {
        /// Where they are.
        snapshot_dir: PathBuf,
        /// What is wrong with the newest.
        newest: String,
    },
    /// What is there may be all right, and needs more memory than there is.
    #[error("the data in {} need more memory than {limit}; raise the limit", snapshot_dir.display())]
    TooLarge {
        /// Where they are.
        snapshot_dir: PathBuf,
        /// How much there is, and who says so.
        limit: String,
    },
    /// The logs stood on a disk of their own, and are not there any more.
    #[error("{}", logs_gone(log_dir, snapshot_dir, mark))]
    LogsGone {
        /// Where they should be.
        log_dir: PathBuf,
        /// Where the snapshots are.
        snapshot_dir: PathBuf,
        /// What remembers them.
        mark: PathBuf,
    },
    /// A member has joined an epoch that it has never promised, and that its history does not show either.
    #[error(
        "{} says {accepted}, currentEpoch beside it {current}, and the log reaches epoch {reached}: a server promises an epoch before it \
         joins it, so one of the two files is from elsewhere; restore that one from a copy, or move the data directories away if the other \
         servers serve and can give this one its state", path.display()
    )]
    EpochsContradict {
        /// `acceptedEpoch`.
        path: PathBuf,
        /// What it says.
        accepted: u32,
        /// What `currentEpoch` says.
        current: u32,
        /// The epoch of the last transaction.
        reached: u32,
    },
    /// A snapshot cannot be read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl RecoveryError {
    /// Whether files are damaged or missing, so that whoever holds the same data elsewhere can replace them. What only
    /// keeps this server from its files is not: they may be all right.
    pub fn is_damage(&self) -> bool {
        match self {
            RecoveryError::NoSnapshot { has_remains, .. } => *has_remains,
            RecoveryError::NoWholeSnapshot { .. }
            | RecoveryError::NoBeginning { .. }
            | RecoveryError::LogsGone { .. }
            | RecoveryError::OtherTree { .. }
            | RecoveryError::Snapshot(SnapshotError::Damaged { .. }) => true,
            RecoveryError::Log(error) => {
                matches!(
                    error,
                    LogError::Corrupt { .. }
                        | LogError::Gap { .. }
                        | LogError::NotALog { .. }
                        | LogError::Conflict(_)
                )
            }
            _ => false,
        }
    }

    /// Whether only room or a descriptor was missing: trying again may succeed.
    pub fn is_want(&self) -> bool {
        match self {
            RecoveryError::Directory { source, .. } => crate::disk::is_want(source),
            RecoveryError::Snapshot(error) => error.is_want(),
            RecoveryError::Log(error) => error.is_want(),
            _ => false,
        }
    }
}

/// The two directories, checked.
#[derive(Clone, Debug)]
pub struct Directories {
    /// Where snapshots and epochs are.
    pub snapshots: PathBuf,
    /// Where logs are.
    pub logs: PathBuf,
}

impl Directories {
    /// Below what is configured, whether they are there or not.
    pub fn of(options: &RecoveryOptions) -> Self {
        let (snapshots, logs) = (options.data_dir.join(VERSION_DIR), options.log_dir.join(VERSION_DIR));
        Directories { snapshots, logs }
    }
}

/// The right to write to the directories; given back when dropped, or when the process ends in any way.
#[derive(Debug)]
pub struct Held {
    _directories: Vec<File>,
}

/// Takes the directories for this process, making them if that is allowed. Two servers in one directory
/// would overwrite each other's log. Java takes no such care, and does not notice it. Where the file system
/// knows no locks, the operator must.
pub fn hold(options: &RecoveryOptions) -> Result<Held, RecoveryError> {
    refuse_too_deep(&RealDisk, options)?;
    // Whoever named the wrong directory finds nothing made in it.
    refuse_swapped(&RealDisk, options)?;
    let Directories { snapshots, logs } = Directories::of(options);
    let mut held = Vec::new();
    let mut seen = Vec::new();
    for path in [logs, snapshots] {
        make_directory(&RealDisk, &path, options.autocreate)?;
        let directory = File::open(&path).map_err(directory_error("read", &path))?;
        let metadata = directory.metadata().map_err(directory_error("read", &path))?;
        let identity = (metadata.dev(), metadata.ino());
        if seen.contains(&identity) {
            continue;
        }
        seen.push(identity);
        match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Err(error) if error == rustix::io::Errno::WOULDBLOCK => {
                return Err(RecoveryError::InUse { path });
            }
            _ => held.push(directory),
        }
    }
    Ok(Held { _directories: held })
}

/// The files `initialize`, of which one says that a server may begin with nothing, that are there. Java's
/// script writes it to `dataDir`, and Java's server looks for it in `dataLogDir`.
pub fn initialize_files<D: Disk>(disk: &D, options: &RecoveryOptions) -> Vec<PathBuf> {
    let mut files = vec![options.data_dir.join(INITIALIZE), options.log_dir.join(INITIALIZE)];
    files.dedup();
    files.retain(|path| disk.length(path).is_ok());
    files
}

fn make_directory<D: Disk>(disk: &D, path: &Path, autocreate: bool) -> Result<(), RecoveryError> {
    match disk.list(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound && !autocreate => {
            Err(RecoveryError::Missing { path: path.to_owned() })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            disk.create_dir(path).map_err(directory_error("create", path))
        }
        Err(error) => Err(directory_error("read", path)(error)),
    }
}

/// Makes and checks the directories, and removes what was never finished in them.
pub fn prepare<D: Disk>(disk: &D, options: &RecoveryOptions) -> Result<Directories, RecoveryError> {
    refuse_too_deep(disk, options)?;
    refuse_swapped(disk, options)?;
    let Directories { snapshots, logs } = Directories::of(options);
    for path in [&logs, &snapshots] {
        make_directory(disk, path, options.autocreate)?;
        probe(disk, path).map_err(directory_error("write to", path))?;
    }
    for path in [&logs, &snapshots] {
        remove_unfinished(disk, path)?;
    }
    let directories = Directories { snapshots, logs };
    restore::set_aside(disk, &directories)?;
    find_logs(disk, &directories, options.is_alone)?;
    Ok(directories)
}

/// Whoever names `version-2` itself would begin with nothing beside all that there is. Files that somebody left beside a
/// `version-2` that holds data are no business of a server.
fn refuse_too_deep<D: Disk>(disk: &D, options: &RecoveryOptions) -> Result<(), RecoveryError> {
    for dir in [&options.data_dir, &options.log_dir] {
        let data = |dir: &Path| {
            let names = disk.list(dir).unwrap_or_default();
            names.into_iter().find(|name| {
                layout::zxid_in_name(name, SNAPSHOT).is_some()
                    || layout::zxid_in_name(name, LOG).is_some()
                        && disk.read(&dir.join(name)).is_ok_and(|content| content.starts_with(b"ZKLG"))
            })
        };
        if let Some(name) = data(dir)
            && data(&dir.join(VERSION_DIR)).is_none()
        {
            return Err(RecoveryError::TooDeep { path: dir.clone(), name });
        }
    }
    Ok(())
}

/// Logs that stand apart are the right ones from now on, or it is remembered that they are gone.
fn find_logs<D: Disk>(disk: &D, directories: &Directories, is_alone: bool) -> Result<(), RecoveryError> {
    let Directories { snapshots, logs } = directories;
    let are_gone =
        apart::are_logs_gone(disk, directories, is_alone).map_err(directory_error("list", logs))?;
    if are_gone && !damage::remembers_loss(disk, directories) {
        let mark = apart::mark_of_snapshots(directories);
        return Err(RecoveryError::LogsGone { log_dir: logs.clone(), snapshot_dir: snapshots.clone(), mark });
    }
    apart::mark(disk, directories).map_err(directory_error("mark the logs in", logs))
}

/// Where the logs should be, and what is to be done.
fn logs_gone(log_dir: &Path, snapshot_dir: &Path, mark: &Path) -> String {
    let (log_dir, snapshot_dir, mark) = (log_dir.display(), snapshot_dir.display(), mark.display());
    if log_dir.to_string() == snapshot_dir.to_string() {
        return format!(
            "the logs that belong to the snapshots in {snapshot_dir} are in another directory, as {mark} remembers, and dataLogDir does \
             not say which. Name it there, or move its log.* files here; only if nobody has them any more, remove {mark}, to go on \
             from the newest snapshot without what was written since"
        );
    }
    format!(
        "{log_dir} does not hold the logs that belong to the snapshots in {snapshot_dir}, as {mark} remembers: the disk of dataLogDir \
         was replaced, or is not mounted. Mount it, or restore its files; only if nobody has them any more, remove {mark}, to go on \
         from the newest snapshot without what was written since"
    )
}

/// For `map_err`: what was tried with which directory or file.
pub(crate) fn directory_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> RecoveryError {
    let path = path.to_owned();
    move |source| RecoveryError::Directory { action, path, source }
}

/// A directory that cannot be written to must be known before the first write needs it. A full disk
/// is no reason not to start: reads can be served.
fn probe<D: Disk>(disk: &D, dir: &Path) -> io::Result<()> {
    let path = dir.join(".zabd-probe");
    match disk.create(&path) {
        Err(error) if crate::disk::is_full(&error) => Ok(()),
        Err(error) => Err(error),
        Ok(_) => disk.remove(&path),
    }
}

fn refuse_swapped<D: Disk>(disk: &D, options: &RecoveryOptions) -> Result<(), RecoveryError> {
    let Directories { snapshots, logs } = Directories::of(options);
    if snapshots == logs {
        return Ok(());
    }
    refuse_misplaced(disk, &logs, SNAPSHOT, "dataDir")?;
    refuse_misplaced(disk, &snapshots, LOG, "dataLogDir")
}

fn refuse_misplaced<D: Disk>(
    disk: &D,
    dir: &Path,
    kind: &str,
    what: &'static str,
) -> Result<(), RecoveryError> {
    let names = match disk.list(dir) {
        // What is not there, or no directory, is told when it is made.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(());
        }
        names => names.map_err(directory_error("read", dir))?,
    };
    let is_misplaced = |name: &String| name.strip_prefix(kind).is_some_and(|behind| behind.starts_with('.'));
    match names.into_iter().find(is_misplaced) {
        None => Ok(()),
        Some(name) => Err(RecoveryError::Misplaced { path: dir.to_owned(), name, what }),
    }
}

fn remove_unfinished<D: Disk>(disk: &D, dir: &Path) -> Result<(), RecoveryError> {
    let names = disk.list(dir).map_err(directory_error("list", dir))?;
    for name in names.iter().filter(|name| layout::is_temporary(name)) {
        let path = dir.join(name);
        disk.remove(&path).map_err(directory_error("remove", &path))?;
    }
    Ok(())
}

/// The snapshots to try, newest first. None, without logs, is an empty database; whoever trusts logs alone is not
/// believed when they do not begin with the first transaction of an epoch.
pub fn snapshots_to_try<D: Disk>(
    disk: &D,
    directories: &Directories,
    trust_empty: bool,
) -> Result<Vec<NamedFile>, RecoveryError> {
    let Directories { snapshots: snapshot_dir, logs: log_dir } = directories;
    let mut snapshots =
        layout::snapshots(disk, snapshot_dir).map_err(directory_error("list", snapshot_dir))?;
    let logs = layout::logs(disk, log_dir).map_err(directory_error("list", log_dir))?;
    refuse_forbidden(disk, snapshots.iter().chain(&logs))?;
    let has_remains = !snapshots.is_empty();
    snapshots.retain(|file| could_hold_something(disk, file));
    if snapshots.is_empty() {
        refuse_without_beginning(disk, log_dir)?;
    }
    if snapshots.is_empty() && !trust_empty && logs.iter().any(|file| log::holds_records(disk, &file.path)) {
        let (log_dir, snapshot_dir) = (log_dir.clone(), snapshot_dir.clone());
        return Err(RecoveryError::NoSnapshot { log_dir, snapshot_dir, has_remains });
    }
    snapshots.reverse();
    snapshots.truncate(SNAPSHOTS_TRIED_MAX);
    Ok(snapshots)
}

/// A file that this user may not read, as after a restore by another one, is neither damaged nor missing: nothing is to be
/// done without it, and nobody should restore what a change of its owner brings back.
fn refuse_forbidden<'f, D: Disk>(
    disk: &D,
    mut files: impl Iterator<Item = &'f NamedFile>,
) -> Result<(), RecoveryError> {
    let forbidden = files.find_map(|file| {
        let denied =
            disk.read(&file.path).err().filter(|error| error.kind() == io::ErrorKind::PermissionDenied)?;
        Some(RecoveryError::Directory { action: "read", path: file.path.clone(), source: denied })
    });
    forbidden.map_or(Ok(()), Err)
}

/// What cannot be read here is heard of from who reads all of it.
fn refuse_without_beginning<D: Disk>(disk: &D, log_dir: &Path) -> Result<(), RecoveryError> {
    let limits = Limits { field_bytes_max: i32::MAX as usize };
    match log::first_record(disk, log_dir, limits) {
        Ok(Some((path, first))) if first.counter() != 1 => Err(RecoveryError::NoBeginning { path, first }),
        _ => Ok(()),
    }
}

/// A file without content never was a snapshot, and one of zxid 0 that a Java server did not finish
/// holds nothing: Java begins again over it. Every other one is tried, so that damage is heard of, and so is whatever keeps this
/// server from reading it.
fn could_hold_something<D: Disk>(disk: &D, file: &NamedFile) -> bool {
    let is_empty = disk.length(&file.path).is_ok_and(|length| length == 0);
    let holds_nothing = || disk.read(&file.path).is_ok() && !snapshot::looks_whole(disk, &file.path);
    !is_empty && (file.zxid != Zxid::ZERO || !holds_nothing())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{DiskFile, MemoryDisk};

    fn options(data_dir: &str, log_dir: &str) -> RecoveryOptions {
        let (data_dir, log_dir) = (data_dir.into(), log_dir.into());
        RecoveryOptions { data_dir, log_dir, autocreate: true, trust_empty: false, is_alone: false }
    }

    fn put(disk: &MemoryDisk, path: &str, bytes: &[u8]) {
        disk.create(Path::new(path)).unwrap().write_at(0, bytes).unwrap();
    }

    #[test]
    fn directories_are_made_if_that_is_allowed() {
        let disk = MemoryDisk::default();
        let mut options = options("/data", "/log");
        options.autocreate = false;
        let error = prepare(&disk, &options).unwrap_err();
        assert!(matches!(error, RecoveryError::Missing { path } if path == Path::new("/log/version-2")));
        options.autocreate = true;
        prepare(&disk, &options).unwrap();
        options.autocreate = false;
        prepare(&disk, &options).unwrap();
        assert_eq!(disk.list(Path::new("/data/version-2")).unwrap(), [apart::APART], "the probe is gone");
        assert_eq!(disk.list(Path::new("/log/version-2")).unwrap(), [apart::HERE]);
    }

    #[test]
    fn a_replaced_log_disk_is_damage_until_it_is_remembered() {
        let disk = MemoryDisk::default();
        let options = options("/data", "/log");
        let directories = prepare(&disk, &options).unwrap();
        put(&disk, "/data/version-2/snapshot.100000005", b"");
        put(&disk, "/log/version-2/log.100000001", b"");
        prepare(&disk, &options).unwrap();
        for name in [apart::HERE, "log.100000001"] {
            disk.remove(&directories.logs.join(name)).unwrap();
        }
        let error = prepare(&disk, &options).unwrap_err();
        assert!(
            matches!(&error, RecoveryError::LogsGone { mark, .. } if mark.ends_with(apart::APART)),
            "{error}"
        );
        assert!(error.is_damage());
        let said = error.to_string();
        assert!(
            said.contains("/log/version-2 does not hold the logs") && said.contains("not mounted"),
            "{said}"
        );
        damage::set_aside(&disk, &directories, "a test says so").unwrap();
        prepare(&disk, &options).unwrap();
        assert!(damage::remembers_loss(&disk, &directories));
    }

    #[test]
    fn a_directory_has_one_server() {
        let dir = tempfile::tempdir().unwrap();
        let apart = |data: &str, log: &str| RecoveryOptions {
            data_dir: dir.path().join(data),
            log_dir: dir.path().join(log),
            autocreate: true,
            trust_empty: false,
            is_alone: true,
        };
        let first = hold(&apart("a", "a")).unwrap();
        for (data, log) in [("a", "a"), ("b", "a"), ("a", "b")] {
            let error = hold(&apart(data, log)).unwrap_err();
            assert!(
                matches!(&error, RecoveryError::InUse { path } if path.ends_with("a/version-2")),
                "{data} {log}: {error}"
            );
        }
        drop(first);
        hold(&apart("a", "b")).unwrap();
    }

    #[test]
    fn either_initialize_file_counts() {
        let disk = MemoryDisk::default();
        let options = options("/data", "/log");
        prepare(&disk, &options).unwrap();
        assert!(initialize_files(&disk, &options).is_empty());
        put(&disk, "/log/initialize", b"");
        put(&disk, "/data/initialize", b"");
        assert_eq!(
            initialize_files(&disk, &options),
            [Path::new("/data/initialize"), Path::new("/log/initialize")]
        );
        let together = RecoveryOptions { log_dir: "/data".into(), ..options };
        assert_eq!(initialize_files(&disk, &together), [Path::new("/data/initialize")]);
    }

    #[test]
    fn a_new_directory_for_logs_stays_empty_until_they_are_there() {
        let disk = MemoryDisk::default();
        put(&disk, "/data/version-2/snapshot.0", b"x");
        put(&disk, "/data/version-2/log.1", b"x");
        let error = prepare(&disk, &options("/data", "/new")).unwrap_err();
        assert!(
            matches!(error, RecoveryError::Misplaced { name, what: "dataLogDir", .. } if name == "log.1")
        );
        assert!(disk.list(Path::new("/new/version-2")).is_err());
    }

    #[test]
    fn swapped_directories_are_refused() {
        let disk = MemoryDisk::default();
        prepare(&disk, &options("/data", "/log")).unwrap();
        put(&disk, "/data/version-2/snapshot.0", b"x");
        put(&disk, "/log/version-2/log.1", b"x");
        prepare(&disk, &options("/data", "/log")).unwrap();
        let error = prepare(&disk, &options("/log", "/data")).unwrap_err();
        assert!(matches!(error, RecoveryError::Misplaced { name, .. } if name == "snapshot.0"));
        put(&disk, "/data/version-2/log.foo", b"x");
        let error = prepare(&disk, &options("/data", "/log")).unwrap_err();
        assert!(matches!(error, RecoveryError::Misplaced { name, .. } if name == "log.foo"));
        prepare(&disk, &options("/data", "/data")).unwrap();
    }

    #[test]
    fn a_server_does_not_begin_inside_of_its_data() {
        let disk = MemoryDisk::default();
        prepare(&disk, &options("/data", "/log")).unwrap();
        put(&disk, "/data/version-2/snapshot.0", b"ZKSN");
        put(&disk, "/log/version-2/log.1", b"ZKLG\0\0\0\x02\0\0\0\0\0\0\0\0");
        for (data_dir, log_dir, found) in
            [("/data/version-2", "/log", "snapshot.0"), ("/data", "/log/version-2", "log.1")]
        {
            let error = prepare(&disk, &options(data_dir, log_dir)).unwrap_err();
            assert!(matches!(&error, RecoveryError::TooDeep { name, .. } if name == found), "{error}");
        }
        assert_eq!(
            disk.list(Path::new("/data/version-2/version-2")).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
        put(&disk, "/data/snapshot.9", b"ZKSN");
        prepare(&disk, &options("/data", "/log")).expect("somebody left a copy there");
        put(&disk, "/elsewhere/log.1", b"of something else");
        prepare(&disk, &options("/elsewhere", "/elsewhere")).expect("that is no log of a server");
    }

    #[test]
    fn what_was_never_finished_is_removed() {
        let disk = MemoryDisk::default();
        prepare(&disk, &options("/data", "/data")).unwrap();
        put(&disk, "/data/version-2/new-snapshot.5.gz", b"x");
        put(&disk, "/data/version-2/new-log.6", b"x");
        put(&disk, "/data/version-2/new-ideas.txt", b"x");
        prepare(&disk, &options("/data", "/data")).unwrap();
        assert_eq!(disk.list(Path::new("/data/version-2")).unwrap(), ["new-ideas.txt"]);
    }

    #[test]
    fn a_server_does_not_start_empty_beside_records() {
        let disk = MemoryDisk::default();
        let directories = prepare(&disk, &options("/data", "/data")).unwrap();
        let tried = |trust_empty| snapshots_to_try(&disk, &directories, trust_empty);
        assert!(tried(false).unwrap().is_empty(), "nothing is an empty database");
        put(&disk, "/data/version-2/log.1", b"ZKLG\0\0\0\x02\0\0\0\0\0\0\0\0");
        put(&disk, "/data/version-2/snapshot.0", b"ZKSN");
        assert!(tried(false).unwrap().is_empty(), "so is a log without records, and an unfinished start");
        put(&disk, "/data/version-2/log.1", b"ZKLG\0\0\0\x02\0\0\0\0\0\0\0\0\0\0\0\0\x01\x02\x03\x04");
        let error = tried(false).unwrap_err();
        assert!(matches!(error, RecoveryError::NoSnapshot { has_remains: true, .. }) && error.is_damage());
        assert!(tried(true).unwrap().is_empty(), "the operator takes it upon himself");
        put(&disk, "/data/version-2/snapshot.5", b"ZKSN");
        put(&disk, "/data/version-2/snapshot.7", b"");
        put(&disk, "/data/version-2/snapshot.10.gz", b"ZKSN");
        let zxids: Vec<_> = tried(false).unwrap().into_iter().map(|file| file.zxid.0).collect();
        assert_eq!(zxids, [0x10, 5], "newest first, and the damaged are heard of");
    }

    #[test]
    fn a_full_disk_does_not_keep_a_server_from_starting() {
        let disk = MemoryDisk::default();
        prepare(&disk, &options("/data", "/data")).unwrap();
        disk.plan_faults([(0, crate::disk::Fault::Full { kept: 0 })]);
        prepare(&disk, &options("/data", "/data")).unwrap();
        disk.plan_faults([(0, crate::disk::Fault::Fail)]);
        let error = prepare(&disk, &options("/data", "/data")).unwrap_err();
        assert!(matches!(error, RecoveryError::Directory { action: "write to", .. }));
    }
}
