//! Epochs of a member that are damaged, or that contradict each other: what may take their place, and when nothing may.
//!
//! If its peers can give a member its state, a copy of such files goes to `damaged-<n>`, and what is put in their place is the least
//! that everything else shows, before anything else moves. What was promised beyond that is not known any more, as on a server
//! that was emptied; so it has no voice either, see [`crate::damage`].

use std::io;
use std::path::{Path, PathBuf};

use crate::damage::{marker, new_place, write_durably};
use crate::disk::Disk;
use crate::epochs::{self, EpochError, EpochFile};
use crate::layout;
use crate::recovery::{Directories, RecoveryError, directory_error};
use zabd_jute::{Epoch, Zxid};

/// What the two files of a member's epochs are worth.
#[derive(Debug)]
pub enum EpochFiles {
    /// They can be used, or brought up to the history.
    Sound,
    /// `currentEpoch` holds no number, and can be no other than this: what is promised is what the history has reached.
    Derived {
        /// What the file holds.
        why: String,
        /// What it is to hold.
        epoch: u32,
    },
    /// What this server has promised, or joined, is not known any more.
    Doubtful(DoubtfulEpochs),
    /// An epoch was joined that was never promised, and that the history does not show either: one of the two files is from
    /// elsewhere, and nothing tells which.
    Contradictory {
        /// The same, for a server that has nothing to lose any more.
        doubtful: DoubtfulEpochs,
        /// For any other one.
        refusal: RecoveryError,
    },
}

/// Epochs that cannot be used, and the least that may take their place.
#[derive(Debug, PartialEq, Eq)]
pub struct DoubtfulEpochs {
    /// What is wrong, for people.
    pub why: String,
    /// The promise first: a server that ends in between has promised what it has joined.
    replacements: Vec<(EpochFile, u32)>,
}

/// Looks at the epochs of a directory whose history has reached an epoch. Java ends at what is no number, and at each contradiction.
///
/// An `acceptedEpoch` that is behind the history is damaged for certain. Where only `currentEpoch` says more, that may as well be
/// the one that is wrong: this server would win elections by it over servers with more history, and its promise keeps it from whoever leads.
pub fn judge_epochs<D: Disk>(disk: &D, dir: &Path, reached: Epoch) -> Result<EpochFiles, RecoveryError> {
    let reached = u32::try_from(reached.0.max(0)).unwrap_or(u32::MAX);
    let mut doubts = Vec::new();
    let mut read = |file| match epochs::read(disk, dir, file) {
        Ok(epoch) => Ok(epoch),
        Err(EpochError::Io { action, path, source }) => {
            Err(RecoveryError::Directory { action, path, source })
        }
        Err(EpochError::NotANumber { path, found }) => {
            doubts.push(format!("{} holds {found:?} instead of an epoch", path.display()));
            Ok(None)
        }
    };
    let accepted = read(EpochFile::Accepted)?;
    let current = read(EpochFile::Current)?;
    if let (Some(accepted), Some(current)) = (accepted, current)
        && accepted < current
    {
        let path = dir.join(EpochFile::Accepted.name());
        doubts.push(format!("{} says {accepted}, and currentEpoch beside it {current}", path.display()));
    }
    if doubts.is_empty() {
        return Ok(EpochFiles::Sound);
    }
    let why = doubts.join("; ");
    if current.is_none() && accepted == Some(reached) {
        return Ok(EpochFiles::Derived { why, epoch: reached });
    }
    let joined = current.unwrap_or(reached);
    let promised = accepted.unwrap_or(0).max(joined).max(reached);
    let replacements = [(EpochFile::Accepted, accepted, promised), (EpochFile::Current, current, joined)];
    let refusal = match (accepted, current) {
        (Some(accepted), Some(current)) if accepted.max(reached) < current => {
            let path = dir.join(EpochFile::Accepted.name());
            Some(RecoveryError::EpochsContradict { path, accepted, current, reached })
        }
        _ => None,
    };
    let is_other =
        |(file, old, new): (EpochFile, Option<u32>, u32)| (old != Some(new)).then_some((file, new));
    let replacements = replacements.into_iter().filter_map(is_other).collect();
    let doubtful = DoubtfulEpochs { why, replacements };
    Ok(match refusal {
        Some(refusal) => EpochFiles::Contradictory { doubtful, refusal },
        None => EpochFiles::Doubtful(doubtful),
    })
}

/// The epoch that the names of logs and snapshots show that a history has reached, for one that cannot be read.
pub fn epoch_in_names<D: Disk>(disk: &D, directories: &Directories) -> Result<Epoch, RecoveryError> {
    let (snapshots, logs) = (&directories.snapshots, &directories.logs);
    let found_snapshots = layout::snapshots(disk, snapshots).map_err(directory_error("list", snapshots))?;
    let found_logs = layout::logs(disk, logs).map_err(directory_error("list", logs))?;
    let newest = found_snapshots.iter().chain(&found_logs).map(|file| file.zxid).max();
    Ok(newest.unwrap_or(Zxid::ZERO).epoch())
}

/// Remembers that something was lost, keeps what the epochs' files held, and puts others in their place. Gives where the old
/// ones are.
pub fn set_epochs_aside<D: Disk>(
    disk: &D,
    directories: &Directories,
    doubtful: &DoubtfulEpochs,
) -> Result<PathBuf, RecoveryError> {
    let (marker, dir) = (marker(directories), &directories.snapshots);
    write_durably(disk, &marker, &doubtful.why).map_err(directory_error("write", &marker))?;
    let target = new_place(disk, dir)?;
    for (file, _) in &doubtful.replacements {
        let path = dir.join(file.name());
        let contents = match disk.read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            contents => contents.map_err(directory_error("read", &path))?,
        };
        let copy = target.join(file.name());
        write_durably(disk, &copy, &*contents).map_err(directory_error("write", &copy))?;
    }
    disk.sync_dir(dir).map_err(directory_error("write to", dir))?;
    for (file, epoch) in &doubtful.replacements {
        replace(disk, dir, *file, *epoch)?;
    }
    Ok(target)
}

/// Writes the `currentEpoch` that can have been no other.
pub fn write_derived<D: Disk>(disk: &D, directories: &Directories, epoch: u32) -> Result<(), RecoveryError> {
    replace(disk, &directories.snapshots, EpochFile::Current, epoch)
}

fn replace<D: Disk>(disk: &D, dir: &Path, file: EpochFile, epoch: u32) -> Result<(), RecoveryError> {
    epochs::write(disk, dir, file, epoch).map_err(|error| {
        let source = io::Error::other(error);
        RecoveryError::Directory { action: "replace an epoch in", path: dir.to_owned(), source }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::damage::remembers_loss;
    use crate::disk::{Crash, Fault, MemoryDisk};

    fn directories() -> Directories {
        Directories { snapshots: PathBuf::from("/data"), logs: PathBuf::from("/log") }
    }

    fn with_files() -> MemoryDisk {
        let disk = MemoryDisk::default();
        for path in ["/data/snapshot.5", "/log/log.1", "/log/log.6"] {
            write_durably(&disk, Path::new(path), path).unwrap();
        }
        disk
    }

    fn put(disk: &MemoryDisk, epochs: [Option<&[u8]>; 2]) {
        for (file, contents) in [EpochFile::Accepted, EpochFile::Current].into_iter().zip(epochs) {
            if let Some(contents) = contents {
                write_durably(disk, &Path::new("/data").join(file.name()), contents).unwrap();
            }
        }
    }

    fn epochs_on(disk: &MemoryDisk) -> [Option<u32>; 2] {
        [EpochFile::Accepted, EpochFile::Current]
            .map(|file| epochs::read(disk, Path::new("/data"), file).unwrap())
    }

    fn doubtful(disk: &MemoryDisk, reached: i64) -> DoubtfulEpochs {
        match judge_epochs(disk, Path::new("/data"), Epoch(reached)).unwrap() {
            EpochFiles::Doubtful(doubtful) | EpochFiles::Contradictory { doubtful, .. } => doubtful,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn epochs_that_are_numbers_or_missing_are_sound() {
        for (accepted, current) in
            [(None, None), (Some(&b"3"[..]), None), (None, Some(&b"2"[..])), (Some(b"9"), Some(b"2"))]
        {
            let disk = with_files();
            put(&disk, [accepted, current]);
            let judged = judge_epochs(&disk, Path::new("/data"), Epoch(3)).unwrap();
            assert!(matches!(judged, EpochFiles::Sound), "{judged:?}");
        }
    }

    /// Between what is reached and what is promised there is no other.
    #[test]
    fn a_damaged_current_epoch_is_derived_where_the_promise_leaves_no_choice() {
        let disk = with_files();
        put(&disk, [Some(b"3"), Some(b"")]);
        let judged = judge_epochs(&disk, Path::new("/data"), Epoch(3)).unwrap();
        assert!(matches!(judged, EpochFiles::Derived { epoch: 3, .. }), "{judged:?}");
        put(&disk, [Some(b"4"), Some(b"")]);
        doubtful(&disk, 3);
    }

    /// The file of a voter said that it had joined epoch 9, which it had never promised. Its data went, and 9 stayed.
    #[test]
    fn a_joined_epoch_that_nothing_else_shows_is_refused() {
        for (accepted, current, reached, is_refused) in
            [(b"3", b"9", 3, true), (b"3", b"4", 3, true), (b"0", b"2", 2, false), (b"0", b"2", 3, false)]
        {
            let disk = with_files();
            put(&disk, [Some(accepted), Some(current)]);
            let judged = judge_epochs(&disk, Path::new("/data"), Epoch(reached)).unwrap();
            match judged {
                EpochFiles::Contradictory { refusal, .. } if is_refused => {
                    let said = refusal.to_string();
                    assert!(
                        said.contains("/data/acceptedEpoch says 3, ") && said.contains("move "),
                        "{said}"
                    );
                    assert!(!refusal.is_damage(), "nothing is set aside for it");
                }
                EpochFiles::Doubtful(_) if !is_refused => (),
                other => panic!("{accepted:?} {current:?} {reached}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_takes_the_place_of_damaged_epochs_is_not_below_anything_that_is_known() {
        for (accepted, current, reached, expected) in [
            (&b""[..], &b"3"[..], 3, [3, 3]),
            (b"garbage", b"5", 3, [5, 5]),
            (b"\0\0\0\0", b"", 3, [3, 3]),
            (b"-1", b"0", 0, [0, 0]),
            (b"7", b"garbage", 3, [7, 3]),
            (b"3", b"4", 3, [4, 4]),
            (b"2", b"", 3, [3, 3]),
        ] {
            let disk = with_files();
            put(&disk, [Some(accepted), Some(current)]);
            let doubtful = doubtful(&disk, reached);
            assert!(doubtful.why.contains("/data/"), "{}", doubtful.why);
            let aside = set_epochs_aside(&disk, &directories(), &doubtful).unwrap();
            assert_eq!(epochs_on(&disk), expected.map(Some), "{accepted:?} {current:?}");
            for (file, _) in &doubtful.replacements {
                let was = if *file == EpochFile::Accepted { accepted } else { current };
                assert_eq!(&*disk.read(&aside.join(file.name())).unwrap(), was);
            }
            assert!(remembers_loss(&disk, &directories()));
            let judged = judge_epochs(&disk, Path::new("/data"), Epoch::ZERO).unwrap();
            assert!(matches!(judged, EpochFiles::Sound), "the next start finds numbers: {judged:?}");
        }
    }

    /// Wherever the power fails, the epochs are damaged still, or the server knows of the loss; and no number is too small.
    #[test]
    fn a_loss_is_remembered_before_an_epoch_is_replaced() {
        for stop_at in 0.. {
            let disk = with_files();
            put(&disk, [Some(b"garbage"), Some(b"")]);
            let doubtful = doubtful(&disk, 3);
            disk.plan_faults([(stop_at, Fault::Stop)]);
            let outcome = set_epochs_aside(&disk, &directories(), &doubtful);
            for crash in [Crash::LosesUnsynced, Crash::LosesUnsyncedData, Crash::KeepsUnsynced] {
                let after = disk.after(crash);
                for file in [EpochFile::Accepted, EpochFile::Current] {
                    match epochs::read(&after, Path::new("/data"), file) {
                        Ok(found) => {
                            assert_eq!(found, Some(3), "stopped at {stop_at}, {crash:?}");
                            assert!(remembers_loss(&after, &directories()));
                        }
                        Err(error) => assert!(matches!(error, EpochError::NotANumber { .. }), "{error}"),
                    }
                }
            }
            if outcome.is_ok() {
                assert!(stop_at > 8, "there was something to stop at");
                return;
            }
        }
    }

    #[test]
    fn names_tell_which_epoch_was_reached() {
        let disk = with_files();
        assert_eq!(epoch_in_names(&disk, &directories()).unwrap(), Epoch(0));
        write_durably(&disk, Path::new("/log/log.300000001"), "").unwrap();
        assert_eq!(epoch_in_names(&disk, &directories()).unwrap(), Epoch(3));
    }
}
