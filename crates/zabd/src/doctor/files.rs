//! Each file for itself: what it is, whether it is whole, and what is in it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use zabd_jute::{Limits, Reader, Zxid};
use zabd_storage::apart::{APART, HERE};
use zabd_storage::damage::{LOST, PARTIAL};
use zabd_storage::disk::Disk;
use zabd_storage::epochs::{self, EpochFile};
use zabd_storage::held::HELD;
use zabd_storage::layout::{self, LOG, NamedFile, SNAPSHOT, VERSION_DIR};
use zabd_storage::log::{Conflict, LogError, Records, find_conflict};
use zabd_storage::misnamed::other_beginning;
use zabd_storage::recovery::{INITIALIZE, RecoveryError};
use zabd_storage::restore::{REPLACED, RESTORING};
use zabd_storage::snapshot::{self, SnapshotError};
use zabd_tree::Tree;

use super::{Formats, Patient, counted, voters};
use crate::admin::shown_node_count;
use crate::recover::decode;

/// Whether a file is what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It is.
    Sound,
    /// It ends at this offset with what a crash left.
    Torn(u64),
    /// It is not, for this reason.
    Damaged(String),
    /// This user may not read it.
    Forbidden,
}

/// A file.
#[derive(Clone, Debug)]
pub struct File {
    /// Where it is.
    pub path: PathBuf,
    /// What it is.
    pub kind: &'static str,
    /// Whether it is whole.
    pub condition: Condition,
    /// What is in it, for people.
    pub about: String,
    /// Zxids of the first and the last record; of a snapshot, twice that in its name.
    pub zxids: Option<(Zxid, Zxid)>,
    /// Whether only members of ensembles have such a file.
    pub is_of_member: bool,
    /// Whether somebody should know about it.
    pub needs_attention: bool,
}

impl File {
    pub(super) fn new(path: PathBuf, kind: &'static str, about: impl Into<String>) -> Self {
        Self {
            path,
            kind,
            condition: Condition::Sound,
            about: about.into(),
            zxids: None,
            is_of_member: false,
            needs_attention: false,
        }
    }

    pub(super) fn of_member(self) -> Self {
        Self { is_of_member: true, ..self }
    }

    pub(super) fn worth_knowing(self) -> Self {
        Self { needs_attention: true, ..self }
    }

    /// It may be whole: nothing is to be done about it but giving it to whoever starts the server.
    fn forbidden(self) -> Self {
        Self { condition: Condition::Forbidden, needs_attention: true, ..self }
    }

    pub(super) fn damaged(self, why: impl Into<String>) -> Self {
        Self { condition: Condition::Damaged(why.into()), needs_attention: true, ..self }
    }
}

/// All files of a directory, or of two.
pub(super) fn all<D: Disk>(
    disk: &D,
    patient: &Patient,
    formats: &mut Formats,
) -> Result<Vec<File>, RecoveryError> {
    let mut files = Vec::new();
    let mut tops = vec![&patient.data_dir, &patient.log_dir];
    tops.dedup();
    for top in tops {
        for name in names(disk, top)? {
            files.extend(beside_versions(disk, top, &name));
        }
        let dir = top.join(VERSION_DIR);
        let logs = layout::logs(disk, &dir).unwrap_or_default();
        for name in names(disk, &dir)? {
            files.push(in_version(disk, &dir, &name, &logs, patient, formats));
        }
        note_conflict(disk, &dir, &mut files);
    }
    Ok(files)
}

/// Also one that no start would come across, for a snapshot is above it: what was acknowledged in one of the logs is in no tree.
fn note_conflict<D: Disk>(disk: &D, dir: &Path, files: &mut [File]) {
    // What cannot be read is told of its file.
    let Ok(Some(conflict)) = find_conflict(disk, dir, Zxid::ZERO) else { return };
    let Conflict { earlier, path, first, last, .. } = &conflict;
    let whose = if earlier == path {
        "earlier in the file".to_owned()
    } else {
        format!("in {}", earlier.file_name().unwrap_or_default().to_string_lossy())
    };
    for file in files.iter_mut().filter(|file| file.path == *path) {
        file.needs_attention = true;
        file.about =
            format!("{}; others of zxids {first} to {last} are {whose}: two servers wrote here", file.about);
    }
}

/// The names in a directory that may not be there.
fn names<D: Disk>(disk: &D, dir: &Path) -> Result<Vec<String>, RecoveryError> {
    match disk.list(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        names => {
            names.map_err(|source| RecoveryError::Directory { action: "list", path: dir.to_owned(), source })
        }
    }
}

/// What stands beside `version-2`, as far as a server cares.
fn beside_versions<D: Disk>(disk: &D, dir: &Path, name: &str) -> Option<File> {
    let path = dir.join(name);
    match name {
        "myid" => Some(myid(disk, path)),
        INITIALIZE => {
            Some(File::new(path, "initialize", "a server may begin with nothing, if there is nothing"))
        }
        "zookeeper_server.pid" => Some(File::new(path, "pid", first_line(disk, &dir.join(name)))),
        _ => None,
    }
}

pub(super) fn first_line<D: Disk>(disk: &D, path: &Path) -> String {
    let contents = disk.read(path);
    let text = contents.map(|bytes| String::from_utf8_lossy(&bytes[..bytes.len().min(256)]).into_owned());
    text.unwrap_or_default().lines().next().unwrap_or_default().trim().to_owned()
}

fn myid<D: Disk>(disk: &D, path: PathBuf) -> File {
    let id = first_line(disk, &path);
    let file = File::new(path, "myid", id.clone()).of_member();
    match id.parse::<i64>() {
        Ok(0..=255) => file,
        Ok(_) => File { needs_attention: true, about: format!("{id}, beyond 255"), ..file },
        Err(_) => file.damaged(format!("holds {id:?} instead of a number")),
    }
}

fn in_version<D: Disk>(
    disk: &D,
    dir: &Path,
    name: &str,
    logs: &[NamedFile],
    patient: &Patient,
    formats: &mut Formats,
) -> File {
    let path = dir.join(name);
    if let Some(zxid) = layout::zxid_in_name(name, SNAPSHOT) {
        return snapshot_file(disk, NamedFile { zxid, path }, formats);
    }
    if let Some(zxid) = layout::zxid_in_name(name, LOG) {
        let is_newest = logs.last().is_some_and(|newest| newest.path == path);
        return log_file(disk, NamedFile { zxid, path }, is_newest, patient.limits, formats);
    }
    for file in [EpochFile::Accepted, EpochFile::Current] {
        if name == file.name() {
            let found = File::new(path, "epoch", first_line(disk, &dir.join(name))).of_member();
            return match epochs::read(disk, dir, file) {
                Ok(_) => found,
                Err(error) => found.damaged(error.to_string()),
            };
        }
        if name.strip_suffix(".tmp") == Some(file.name()) {
            return File::new(path, "epoch", "was about to be written when the server ended").of_member();
        }
    }
    match name {
        LOST => {
            let why = first_line(disk, &path);
            let about = format!("data was lost and not fetched again, so this server has no vote: {why}");
            File::new(path, "marker", about).of_member().worth_knowing()
        }
        PARTIAL => {
            let about = "a leader has not sent all of its history yet, so this server counts as empty";
            File::new(path, "marker", about).of_member().worth_knowing()
        }
        HELD => voters::file(disk, dir, path, patient.members.as_ref()),
        HERE => File::new(path, "marker", "these logs belong to snapshots in another directory"),
        APART => File::new(path, "marker", "logs in another directory belong to these snapshots"),
        RESTORING => {
            let about = "a restore has not moved away what it replaced; a start does";
            File::new(path, "marker", about).worth_knowing()
        }
        REPLACED => File::new(path, "set aside", "what was there before a restore; no server reads it"),
        _ if name.starts_with("cut-log.") => {
            File::new(path, "cut", "what was cut off a log; no server reads it")
        }
        _ if name.starts_with("damaged-") => {
            File::new(path, "set aside", "damaged files; no server reads them")
        }
        _ if layout::is_temporary(name) => {
            File::new(path, "leftover", "was never finished; a start removes it").worth_knowing()
        }
        _ => File::new(path, "other", "no server reads it"),
    }
}

fn snapshot_file<D: Disk>(disk: &D, named: NamedFile, formats: &mut Formats) -> File {
    let NamedFile { zxid, path } = named;
    let file = File { zxids: Some((zxid, zxid)), ..File::new(path.clone(), "snapshot", "") };
    let loaded = match snapshot::load(disk, &path) {
        Ok(loaded) => loaded,
        Err(SnapshotError::Io { source, .. }) if source.kind() == ErrorKind::PermissionDenied => {
            formats.see_forbidden();
            return file.forbidden();
        }
        Err(error) => return file.damaged(without_path(&error.to_string(), &path)),
    };
    let tree = match Tree::load(loaded.body(), zxid, loaded.trailer.digest, Patient::tree_options()) {
        Ok(tree) => tree,
        Err(error) => return file.damaged(error.to_string()),
    };
    formats.see_snapshot(&path, &loaded, &tree);
    let (znodes, sessions) = (shown_node_count(tree.node_count()), tree.session_count());
    let znodes = counted(znodes as u64, "znode", "znodes");
    let sessions = counted(sessions as u64, "session", "sessions");
    File { about: format!("zxid {zxid}, {znodes}, {sessions}"), ..file }
}

/// Its path is said already.
fn without_path(text: &str, path: &Path) -> String {
    text.strip_prefix(&format!("{}: ", path.display())).unwrap_or(text).to_owned()
}

fn log_file<D: Disk>(
    disk: &D,
    named: NamedFile,
    is_newest: bool,
    limits: Limits,
    formats: &mut Formats,
) -> File {
    let path = named.path.clone();
    let mut file = File::new(path.clone(), "log", "");
    let other_beginning = other_beginning(disk, &named).ok().flatten();
    let mut records = Records::of_file(disk.clone(), named, limits).of_any_length();
    let mut count = 0_u64;
    let mut longest_refused = None;
    let ended = loop {
        match records.next_record() {
            Ok(Some(record)) => {
                let length = record.entry.len();
                if length > limits.field_bytes_max {
                    longest_refused = longest_refused.max(Some((length, record.zxid, record.offset)));
                }
                let mut reader = Reader::with_limits(record.entry, Limits { field_bytes_max: length });
                match decode(&mut reader) {
                    Ok(entry) => formats.see_entry(&entry, length),
                    Err(what) => break Err(format!("{what} at offset {}", record.offset)),
                }
                count += 1;
                file.zxids = Some((file.zxids.map_or(record.zxid, |(first, _)| first), record.zxid));
            }
            Ok(None) => break Ok(()),
            Err(LogError::Io { source, .. }) if source.kind() == ErrorKind::PermissionDenied => {
                formats.see_forbidden();
                return file.forbidden();
            }
            // What is whole without it, a start finds out, which knows of snapshots and of other logs.
            Err(LogError::Corrupt { what, offset, .. }) => break Err(format!("{what} at offset {offset}")),
            Err(error) => break Err(without_path(&error.to_string(), &path)),
        }
    };
    file.about = match file.zxids {
        None => "no records".to_owned(),
        Some((first, last)) => {
            format!("{}, zxid {first} to {last}", counted(count, "record", "records"))
        }
    };
    if let Some((length, zxid, offset)) = longest_refused {
        let allowed = limits.field_bytes_max;
        file.about = format!(
            "{}, up to {length} bytes long (zxid {zxid} at offset {offset}), where jute.maxbuffer allows {allowed}",
            file.about
        );
        file.needs_attention = true;
    }
    if other_beginning.is_some() {
        formats.see_misnamed();
        file.about.push_str(", which are not those that its name promises");
        file.needs_attention = true;
    }
    if let Err(why) = ended {
        return file.damaged(why);
    }
    match records.tail() {
        None => file,
        Some(tail) => {
            formats.see_tail(tail, is_newest);
            if tail.offset == 0 && !is_newest {
                return file.damaged("empty, as a crash leaves no log but the newest; a server of Java's does not start over it");
            }
            // An older log was the newest once; whether anything is missing behind it, the next one shows.
            let needs_attention = is_newest || file.needs_attention;
            File { condition: Condition::Torn(tail.offset), needs_attention, ..file }
        }
    }
}
