//! `acceptedEpoch` and `currentEpoch`: what an ensemble's member promised, and what it has joined.
//!
//! Each file is a number in decimal, without a line end. It is replaced in one step: written beside
//! itself with the extension `.tmp`, made durable, renamed. Java's `AtomicFileWritingIdiom`, and
//! `QuorumPeer` for what is made of them. A standalone server has no use for them.

use std::io;
use std::path::{Path, PathBuf};
use zabd_mutation::{Mutation, is_on};

use crate::disk::{Disk, DiskFile, is_want};

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EpochFile {
    /// The newest epoch whose leader this server promised to follow.
    Accepted,
    /// The epoch whose history this server has.
    Current,
}

impl EpochFile {
    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            EpochFile::Accepted => "acceptedEpoch",
            EpochFile::Current => "currentEpoch",
        }
    }

    fn pending_name(self) -> String {
        format!("{}.tmp", self.name())
    }
}

/// Why an epoch cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum EpochError {
    /// Reading or writing failed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file holds no number.
    #[error(
        "{} holds {found:?} instead of an epoch, and nothing else tells which one it was; hint: restore it from a copy, or \
         move the data directories away if the other servers serve and can give this one its state", path.display()
    )]
    NotANumber {
        /// Which file.
        path: PathBuf,
        /// Its first line, or the beginning of it.
        found: String,
    },
}

impl EpochError {
    /// Whether only room or a descriptor was missing: trying again may succeed.
    pub fn is_want(&self) -> bool {
        matches!(self, EpochError::Io { source, .. } if is_want(source))
    }
}

/// The epoch in a file beside the snapshots; `None` if there is no such file.
pub fn read<D: Disk>(disk: &D, dir: &Path, file: EpochFile) -> Result<Option<u32>, EpochError> {
    read_number(disk, dir.join(file.name()))
}

/// The epoch that was about to be written when the server ended, and may be adopted; `None` if there is
/// none, or it is not whole.
pub fn read_pending<D: Disk>(disk: &D, dir: &Path, file: EpochFile) -> Result<Option<u32>, EpochError> {
    match read_number(disk, dir.join(file.pending_name())) {
        Err(EpochError::NotANumber { .. }) => Ok(None),
        outcome => outcome,
    }
}

fn read_number<D: Disk>(disk: &D, path: PathBuf) -> Result<Option<u32>, EpochError> {
    let contents = match disk.read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(EpochError::Io { action: "read", path, source }),
        Ok(contents) => contents,
    };
    // Only the first line counts; no epoch is as long as this.
    let text = String::from_utf8_lossy(&contents[..contents.len().min(64)]);
    let line = text.lines().next().unwrap_or_default();
    match line.parse() {
        Ok(epoch) => Ok(Some(epoch)),
        Err(_) => Err(EpochError::NotANumber { path, found: line.to_owned() }),
    }
}

/// Replaces the epoch in a file, durably.
pub fn write<D: Disk>(disk: &D, dir: &Path, file: EpochFile, epoch: u32) -> Result<(), EpochError> {
    write_pending(disk, dir, file, epoch)
        .and_then(|()| name_pending(disk, dir, file))
        .map_err(io_error("write", dir.join(file.name())))
}

/// The first half of [`write`]: the new epoch is durable beside the file.
pub fn prepare<D: Disk>(disk: &D, dir: &Path, file: EpochFile, epoch: u32) -> Result<(), EpochError> {
    write_pending(disk, dir, file, epoch)
        .and_then(|()| disk.sync_dir(dir))
        .map_err(io_error("write", dir.join(file.pending_name())))
}

/// The second half of [`write`]: what was prepared holds.
pub fn commit<D: Disk>(disk: &D, dir: &Path, file: EpochFile) -> Result<(), EpochError> {
    name_pending(disk, dir, file).map_err(io_error("write", dir.join(file.name())))
}

/// Removes what was prepared and never came to hold.
pub fn discard<D: Disk>(disk: &D, dir: &Path, file: EpochFile) -> Result<(), EpochError> {
    let pending = dir.join(file.pending_name());
    match disk.remove(&pending) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.and_then(|()| disk.sync_dir(dir)).map_err(io_error("remove", pending)),
    }
}

fn write_pending<D: Disk>(disk: &D, dir: &Path, file: EpochFile, epoch: u32) -> io::Result<()> {
    let mut created = disk.create(&dir.join(file.pending_name()))?;
    created.write_at(0, epoch.to_string().as_bytes())?;
    if is_on(Mutation::EpochNotSynced) { Ok(()) } else { created.sync() }
}

fn name_pending<D: Disk>(disk: &D, dir: &Path, file: EpochFile) -> io::Result<()> {
    disk.rename(&dir.join(file.pending_name()), &dir.join(file.name()))?;
    disk.sync_dir(dir)
}

fn io_error(action: &'static str, path: PathBuf) -> impl FnOnce(io::Error) -> EpochError {
    move |source| EpochError::Io { action, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Crash, Fault, MemoryDisk};

    fn disk() -> MemoryDisk {
        let disk = MemoryDisk::default();
        disk.create_dir(Path::new("/d")).unwrap();
        disk
    }

    #[test]
    fn epochs_come_back_as_java_writes_them() {
        let disk = disk();
        let dir = Path::new("/d");
        assert_eq!(read(&disk, dir, EpochFile::Current).unwrap(), None);
        write(&disk, dir, EpochFile::Current, 2).unwrap();
        write(&disk, dir, EpochFile::Accepted, u32::MAX).unwrap();
        assert_eq!(&*disk.read(Path::new("/d/currentEpoch")).unwrap(), b"2");
        assert_eq!(read(&disk, dir, EpochFile::Current).unwrap(), Some(2));
        assert_eq!(read(&disk, dir, EpochFile::Accepted).unwrap(), Some(u32::MAX));
        assert_eq!(disk.list(dir).unwrap(), ["acceptedEpoch", "currentEpoch"]);
    }

    #[test]
    fn only_the_first_line_counts_and_it_is_a_number() {
        for (contents, epoch) in
            [("7\n8", Some(7)), ("", None), ("x", None), ("-1", None), ("4294967296", None)]
        {
            let disk = disk();
            let mut file = disk.create(Path::new("/d/acceptedEpoch")).unwrap();
            file.write_at(0, contents.as_bytes()).unwrap();
            assert_eq!(
                read(&disk, Path::new("/d"), EpochFile::Accepted).ok(),
                epoch.map(Some),
                "{contents:?}"
            );
        }
    }

    #[test]
    fn an_epoch_that_lacked_room_or_a_descriptor_is_written_when_tried_again() {
        for kind in 0..2 {
            let mut failed = 0;
            for after in 0..8 {
                let disk = disk();
                write(&disk, Path::new("/d"), EpochFile::Current, 9).unwrap();
                if kind == 0 {
                    disk.plan_faults([(after, Fault::Full { kept: 1 })]);
                } else {
                    disk.set_opens(Some(after));
                }
                if let Err(error) = write(&disk, Path::new("/d"), EpochFile::Current, 10) {
                    assert!(error.is_want(), "{error:?}");
                    failed += 1;
                    disk.set_opens(None);
                    write(&disk, Path::new("/d"), EpochFile::Current, 10).unwrap();
                }
                let found = read(&disk.after(Crash::LosesUnsynced), Path::new("/d"), EpochFile::Current);
                assert_eq!(found.unwrap(), Some(10));
            }
            assert!((2..8).contains(&failed), "{failed}");
        }
    }

    /// Wherever the server ends, the old number or the new one is there, and whole.
    #[test]
    fn an_epoch_is_replaced_in_one_step() {
        for stop in 0..6 {
            let disk = disk();
            write(&disk, Path::new("/d"), EpochFile::Current, 9).unwrap();
            disk.plan_faults([(stop, Fault::Stop)]);
            let outcome = write(&disk, Path::new("/d"), EpochFile::Current, 10);
            for crash in [Crash::LosesUnsynced, Crash::LosesUnsyncedData, Crash::KeepsUnsynced] {
                let found = read(&disk.after(crash), Path::new("/d"), EpochFile::Current).unwrap();
                let expected: &[u32] = if outcome.is_ok() { &[10] } else { &[9, 10] };
                assert!(expected.contains(&found.unwrap()), "stop at {stop}, {crash:?}: {found:?}");
                read_pending(&disk.after(crash), Path::new("/d"), EpochFile::Current).unwrap();
            }
        }
    }
}
