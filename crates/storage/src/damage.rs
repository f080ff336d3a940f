//! Damage that peers can repair: what is left is set aside, and the server remembers that it lost something.
//!
//! A member of an ensemble whose files are damaged has peers that hold what it lost. It may fetch that from a leader, and
//! until it has, it must not vote: what it acknowledged may be in no other server of the quorum that it would complete.
//! So a marker comes first, before anything is touched, and goes last, when a leader's state is durable in its place:
//!
//! ```text
//! set aside   the marker · damaged-<n> · each log and snapshot, by renaming, into it
//! forget      the marker
//! ```
//!
//! A start that finds the marker sets aside whatever has come to stand there meanwhile, and fetches again. The epochs stay
//! where they are: a promise holds, whatever became of the data ([`crate::damaged_epochs`] if it is they that are damaged). Nothing is removed
//! while anything is missing: what can be read of a damaged file may be all that there is, if the peers turn out to have lost as
//! much.
//!
//! Where the logs do not last, each start loses them, see [`crate::apart`], and sets whole snapshots aside. Such a set is marked as
//! it is made, and of those, a few are kept when a leader's state has come in their place ([`remove_old_sets`]): the ones that
//! reach furthest, for that is what the others lost as well; and the oldest and the largest, because an ensemble that lost everything at once and
//! was begun anew by removing the markers goes on in higher epochs, so that what it sets aside reaches further than what it lost. What holds a damaged file, a log or an epoch is nobody's to remove but an operator's.
//!
//! Java's server ends at such a file and leaves the rest to whoever runs it.

use std::io;
use std::path::{Path, PathBuf};

use crate::apart;
use crate::disk::{Disk, DiskFile};
use crate::layout::{self, NamedFile};
use crate::recovery::{Directories, RecoveryError, directory_error};
use zabd_jute::Zxid;
use zabd_mutation::{Mutation, is_on};

/// The file beside the snapshots that says that something was lost.
pub const LOST: &str = "lost-data";

/// The file beside the snapshots that says that what is there is a part of what a leader was sending to an empty server.
pub const PARTIAL: &str = "partial-data";

/// Where damaged files go, with a number behind it.
const DAMAGED: &str = "damaged";

/// How many times a server sets files aside before somebody must look at them.
const SET_ASIDE_MAX: u32 = 100;

/// In a directory of files set aside: there are whole snapshots only, and there would be none if the logs were not gone.
const LOGS_GONE: &str = "logs-gone";

/// How many of these are kept beside the oldest and the largest, once what was lost is there again: those that reach furthest.
const LOGS_GONE_KEPT: usize = 3;

pub(crate) fn marker(directories: &Directories) -> PathBuf {
    directories.snapshots.join(LOST)
}

/// Whether the server lost something that it has not fetched yet.
pub fn remembers_loss<D: Disk>(disk: &D, directories: &Directories) -> bool {
    disk.length(&marker(directories)).is_ok() && !is_on(Mutation::DamageForgotten)
}

/// Remembers that something was lost, `why` for people, and moves all logs and snapshots out of the way. Gives the
/// directories to which they went: none, if there was nothing but the snapshot of an empty beginning.
pub fn set_aside<D: Disk>(
    disk: &D,
    directories: &Directories,
    why: &str,
) -> Result<Vec<PathBuf>, RecoveryError> {
    let marker = marker(directories);
    write_durably(disk, &marker, why).map_err(directory_error("write", &marker))?;
    let (snapshots, logs) = (&directories.snapshots, &directories.logs);
    let found_snapshots = layout::snapshots(disk, snapshots).map_err(directory_error("list", snapshots))?;
    let found_logs = layout::logs(disk, logs).map_err(directory_error("list", logs))?;
    if found_logs.is_empty() && found_snapshots.iter().all(|file| file.zxid == Zxid::ZERO) {
        return Ok(Vec::new());
    }
    let mut used = Vec::new();
    if snapshots == logs {
        used.extend(move_into_new(disk, logs, &[found_snapshots, found_logs].concat(), None)?);
    } else {
        let are_gone =
            found_logs.is_empty() && apart::are_logs_gone(disk, directories, false).unwrap_or(false);
        let mark = are_gone.then(|| format!("{}\n{why}", next_ordinal(disk, snapshots)));
        used.extend(move_into_new(disk, snapshots, &found_snapshots, mark)?);
        used.extend(move_into_new(disk, logs, &found_logs, None)?);
    }
    Ok(used)
}

/// Which of the marked sets of a directory came before which: directories are used again. Those of an unnumbered mark came first.
fn ordinal<D: Disk>(disk: &D, place: &Path) -> Option<u64> {
    let mark = disk.read(&place.join(LOGS_GONE)).ok()?;
    let text = String::from_utf8_lossy(&mark);
    Some(text.lines().next().and_then(|line| line.parse().ok()).unwrap_or(0))
}

fn next_ordinal<D: Disk>(disk: &D, dir: &Path) -> u64 {
    places(dir).filter_map(|place| ordinal(disk, &place)).max().unwrap_or(0).saturating_add(1)
}

/// Snapshots whose logs were gone.
struct MarkedSet {
    place: PathBuf,
    files: Vec<NamedFile>,
    /// Where the newest ends; `None` if a crash left the mark alone.
    reaches: Option<Zxid>,
    /// Of two with one number, the first directory.
    came: (u64, usize),
    size: u64,
}

/// Removes what was set aside again and again for no other reason than that the logs do not last, but for the sets that reach
/// furthest, the oldest and the largest. Only for a server that has a leader's state in their place. Gives where they were.
pub fn remove_old_sets<D: Disk>(disk: &D, directories: &Directories) -> Result<Vec<PathBuf>, RecoveryError> {
    let dir = &directories.snapshots;
    let mut sets = Vec::new();
    for place in places(dir) {
        if disk.length(&place.join(LOGS_GONE)).is_err() {
            continue;
        }
        let mark = place.join(LOGS_GONE);
        let ordinal = ordinal(disk, &place)
            .ok_or_else(|| io::Error::other("it is there and cannot be read"))
            .map_err(directory_error("read", &mark))?;
        let files = layout::snapshots(disk, &place).map_err(directory_error("list", &place))?;
        let reaches = files.iter().map(|file| file.zxid).max();
        let size = files.iter().filter_map(|file| disk.length(&file.path).ok()).sum();
        sets.push(MarkedSet { place, files, reaches, came: (ordinal, sets.len()), size });
    }
    sets.sort_by_key(|set| std::cmp::Reverse((set.reaches, set.came)));
    let mut old = sets.split_off(sets.len().min(LOGS_GONE_KEPT));
    let all = || sets.iter().chain(&old).filter(|set| set.reaches.is_some());
    let oldest = all().min_by_key(|set| set.came).map(|set| set.place.clone());
    let largest = all().rev().max_by_key(|set| set.size).map(|set| set.place.clone());
    old.retain(|set| ![&oldest, &largest].contains(&&Some(set.place.clone())));
    for MarkedSet { place, files, .. } in &old {
        // The mark goes last, and the newest file before it: whatever a crash leaves is found again, and is not kept for another.
        let mark = vec![place.join(LOGS_GONE)];
        for paths in [files.iter().map(|file| file.path.clone()).collect(), mark] {
            for path in &paths {
                disk.remove(path).map_err(directory_error("remove", path))?;
            }
            disk.sync_dir(place).map_err(directory_error("write to", place))?;
        }
    }
    Ok(old.into_iter().map(|set| set.place).collect())
}

/// What was lost is durable again.
pub fn forget_loss<D: Disk>(disk: &D, directories: &Directories) -> Result<(), RecoveryError> {
    let marker = marker(directories);
    disk.remove(&marker).map_err(directory_error("remove", &marker))?;
    disk.sync_dir(&directories.snapshots).map_err(directory_error("write to", &directories.snapshots))
}

/// Whether what is there is only a part of a history. A server that was empty may have had something once; until it has all
/// of a leader's history, what it has of it is no more to vote with than nothing.
pub fn is_partial<D: Disk>(disk: &D, directories: &Directories) -> bool {
    disk.length(&directories.snapshots.join(PARTIAL)).is_ok()
}

/// Says so, or that it is whole.
pub fn set_partial<D: Disk>(
    disk: &D,
    directories: &Directories,
    is_partial: bool,
) -> Result<(), RecoveryError> {
    let (dir, marker) = (&directories.snapshots, directories.snapshots.join(PARTIAL));
    if is_partial {
        let why = "a leader has not sent all of its history yet\n";
        return write_durably(disk, &marker, why).map_err(directory_error("write", &marker));
    }
    match disk.remove(&marker) {
        // Whoever removed it before wants the same.
        Err(error) if error.kind() == io::ErrorKind::NotFound => (),
        outcome => outcome.map_err(directory_error("remove", &marker))?,
    }
    disk.sync_dir(dir).map_err(directory_error("write to", dir))
}

pub(crate) fn write_durably<D: Disk>(disk: &D, path: &Path, contents: impl AsRef<[u8]>) -> io::Result<()> {
    let mut file = disk.create(path)?;
    file.write_at(0, contents.as_ref())?;
    file.sync()?;
    disk.sync_dir(path.parent().expect("the marker stands in a directory"))
}

fn places(dir: &Path) -> impl Iterator<Item = PathBuf> {
    (1..=SET_ASIDE_MAX).map(move |number| dir.join(format!("{DAMAGED}-{number}")))
}

/// How many directories of files that were set aside there are, of snapshots and of logs. Empty ones do not count.
pub fn count_set_aside<D: Disk>(disk: &D, directories: &Directories) -> usize {
    let Directories { snapshots, logs } = directories;
    let apart = Some(logs).filter(|logs| *logs != snapshots);
    let all = std::iter::once(snapshots).chain(apart).flat_map(|dir| places(dir));
    all.filter(|place| disk.list(place).is_ok_and(|names| !names.is_empty())).count()
}

/// The directory to which damaged files of a directory go next; it is not there yet, or nothing is in it.
pub fn next_place<D: Disk>(disk: &D, dir: &Path) -> Result<PathBuf, RecoveryError> {
    let is_free = |place: &PathBuf| disk.list(place).map_or(true, |names| names.is_empty());
    let Some(target) = places(dir).find(is_free) else {
        let source = io::Error::other(format!(
            "there are {SET_ASIDE_MAX} such directories already; move away those that nobody needs any more"
        ));
        return Err(RecoveryError::Directory {
            action: "make another directory for damaged files in",
            path: dir.to_owned(),
            source,
        });
    };
    Ok(target)
}

pub(crate) fn new_place<D: Disk>(disk: &D, dir: &Path) -> Result<PathBuf, RecoveryError> {
    let target = next_place(disk, dir)?;
    disk.create_dir(&target).map_err(directory_error("create", &target))?;
    Ok(target)
}

/// Moves one file into a directory beside it, which is made if it is not there.
pub fn move_aside<D: Disk>(disk: &D, from: &Path, to: &Path) -> Result<(), RecoveryError> {
    // Its new name is durable before its old one is durably gone.
    let dirs = [to, from].map(|path| path.parent().expect("a file stands in a directory"));
    disk.create_dir(dirs[0]).map_err(directory_error("create", dirs[0]))?;
    disk.rename(from, to).map_err(directory_error("move", from))?;
    dirs.iter().try_for_each(|dir| disk.sync_dir(dir).map_err(directory_error("write to", dir)))
}

fn move_into_new<D: Disk>(
    disk: &D,
    dir: &Path,
    files: &[NamedFile],
    logs_gone: Option<String>,
) -> Result<Option<PathBuf>, RecoveryError> {
    if files.is_empty() {
        return Ok(None);
    }
    let target = new_place(disk, dir)?;
    if let Some(text) = logs_gone {
        let mark = target.join(LOGS_GONE);
        write_durably(disk, &mark, text).map_err(directory_error("write", &mark))?;
    }
    for file in files {
        let name = file.path.file_name().expect("a log or a snapshot has a name");
        disk.rename(&file.path, &target.join(name)).map_err(directory_error("move", &file.path))?;
    }
    for each in [&target, dir] {
        disk.sync_dir(each).map_err(directory_error("write to", each))?;
    }
    Ok(Some(target))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Crash, Fault, MemoryDisk};

    fn directories() -> Directories {
        Directories { snapshots: "/data".into(), logs: "/log".into() }
    }

    fn with_files() -> MemoryDisk {
        let disk = MemoryDisk::default();
        for path in ["/data/snapshot.0", "/data/snapshot.5", "/data/currentEpoch", "/log/log.1", "/log/log.6"]
        {
            write_durably(&disk, Path::new(path), path).unwrap();
        }
        disk
    }

    fn names(disk: &MemoryDisk, dir: &str) -> Vec<String> {
        disk.list(Path::new(dir)).unwrap_or_default()
    }

    #[test]
    fn logs_and_snapshots_go_and_the_rest_stays() {
        let disk = with_files();
        assert!(!remembers_loss(&disk, &directories()));
        assert_eq!(count_set_aside(&disk, &directories()), 0);
        let used = set_aside(&disk, &directories(), "log.6 is damaged").unwrap();
        assert_eq!(used, [Path::new("/data/damaged-1"), Path::new("/log/damaged-1")]);
        assert_eq!(count_set_aside(&disk, &directories()), 2);
        assert!(remembers_loss(&disk, &directories()));
        assert_eq!(names(&disk, "/data"), ["currentEpoch", "lost-data"]);
        assert_eq!(names(&disk, "/data/damaged-1"), ["snapshot.0", "snapshot.5"]);
        assert_eq!(names(&disk, "/log/damaged-1"), ["log.1", "log.6"]);
        assert_eq!(&*disk.read(Path::new("/log/damaged-1/log.6")).unwrap(), b"/log/log.6");
        forget_loss(&disk, &directories()).unwrap();
        assert!(!remembers_loss(&disk, &directories()));
    }

    #[test]
    fn a_part_is_remembered_until_it_is_whole() {
        let disk = with_files();
        assert!(!is_partial(&disk, &directories()));
        for _ in 0..2 {
            set_partial(&disk, &directories(), true).unwrap();
        }
        assert!(is_partial(&disk.after(Crash::LosesUnsynced), &directories()));
        for _ in 0..2 {
            set_partial(&disk, &directories(), false).expect("what somebody else removed is removed");
        }
        assert!(!is_partial(&disk.after(Crash::LosesUnsynced), &directories()));
    }

    #[test]
    fn each_time_has_a_place_of_its_own_and_an_empty_beginning_needs_none() {
        let disk = with_files();
        set_aside(&disk, &directories(), "").unwrap();
        write_durably(&disk, Path::new("/data/snapshot.0"), "").unwrap();
        assert_eq!(set_aside(&disk, &directories(), "").unwrap(), [] as [&Path; 0]);
        write_durably(&disk, Path::new("/data/snapshot.9"), "").unwrap();
        assert_eq!(set_aside(&disk, &directories(), "").unwrap(), [Path::new("/data/damaged-2")]);
        assert_eq!(names(&disk, "/data/damaged-2"), ["snapshot.0", "snapshot.9"]);
    }

    /// What a server keeps that loses its logs at every start: the sets that reach furthest, and all that is of another kind.
    #[test]
    fn sets_of_snapshots_whose_logs_do_not_last_are_bounded() {
        let disk = with_files();
        for name in ["log.1", "log.6"] {
            disk.remove(&Path::new("/log").join(name)).unwrap();
        }
        for zxid in 0x20..0x20 + 3 * SET_ASIDE_MAX {
            let snapshot = format!("/data/snapshot.{zxid:x}");
            write_durably(&disk, Path::new(&snapshot), "").unwrap();
            if zxid == 0x30 {
                write_durably(&disk, Path::new("/log/log.30"), "").unwrap();
            }
            apart::mark(&disk, &directories()).unwrap();
            disk.remove(Path::new("/log").join(apart::HERE).as_path()).unwrap();
            set_aside(&disk, &directories(), "the logs are gone").unwrap();
            forget_loss(&disk, &directories()).unwrap();
            remove_old_sets(&disk, &directories()).unwrap();
        }
        let newest = 0x20 + 3 * SET_ASIDE_MAX - 1;
        let oldest = [LOGS_GONE, "snapshot.0", "snapshot.20", "snapshot.5"];
        assert_eq!(names(&disk, "/data/damaged-1"), oldest.map(str::to_owned));
        let kept: Vec<_> =
            places(Path::new("/data")).flat_map(|place| disk.list(&place).unwrap_or_default()).collect();
        for zxid in [newest, newest - 1, newest - 2, 0x30] {
            assert!(kept.contains(&format!("snapshot.{zxid:x}")), "{zxid:x} of {kept:?}");
        }
        assert_eq!(names(&disk, "/log/damaged-1"), ["log.30"]);
        assert_eq!(
            kept.len(),
            4 + 3 + 4,
            "three with their marks, the one beside which there were logs, and the oldest: {kept:?}"
        );
    }

    fn lose_logs_with(disk: &MemoryDisk, snapshot: &str, contents: &str) {
        write_durably(disk, &Path::new("/data").join(snapshot), contents).unwrap();
        apart::mark(disk, &directories()).unwrap();
        disk.remove(Path::new("/log").join(apart::HERE).as_path()).unwrap();
        set_aside(disk, &directories(), "the logs are gone").unwrap();
        forget_loss(disk, &directories()).unwrap();
        remove_old_sets(disk, &directories()).unwrap();
    }

    /// All members lost their logs, and somebody began anew by removing `lost-data`: the epochs survive that, so whatever is set aside
    /// from then on is of a higher one, and the tree that was lost is in the first set, or in the one that is larger than all of them.
    #[test]
    fn what_was_lost_before_an_ensemble_began_anew_is_kept() {
        for sets_before in [0, 1, 5] {
            let disk = MemoryDisk::default();
            for number in 0..sets_before {
                lose_logs_with(&disk, &format!("snapshot.10000000{number}"), "a small tree");
            }
            lose_logs_with(&disk, "snapshot.5000186a0", "all that there was, and there is much of it");
            for epoch in 6..20 {
                lose_logs_with(&disk, &format!("snapshot.{epoch:x}00000003"), "nearly nothing");
            }
            let kept: Vec<_> = places(Path::new("/data"))
                .flat_map(|place| disk.list(&place).unwrap_or_default())
                .filter(|name| name != LOGS_GONE)
                .collect();
            assert!(kept.contains(&"snapshot.5000186a0".to_owned()), "{sets_before}: {kept:?}");
            assert!(kept.len() <= LOGS_GONE_KEPT + 2, "{sets_before}: {kept:?}");
        }
    }

    /// The oldest set is the one that came first, though a directory before it has become free.
    #[test]
    fn the_oldest_set_is_known_wherever_it_stands() {
        let disk = MemoryDisk::default();
        let damaged = Path::new("/data/damaged-1").join("snapshot.1");
        write_durably(&disk, &damaged, "").unwrap();
        lose_logs_with(&disk, "snapshot.5000186a0", "");
        disk.remove(&damaged).unwrap();
        for epoch in 6..12 {
            lose_logs_with(&disk, &format!("snapshot.{epoch:x}00000003"), "as long");
        }
        assert!(names(&disk, "/data/damaged-2").contains(&"snapshot.5000186a0".to_owned()));
    }

    /// Wherever the power fails: the sets that are kept are whole, and the others go the next time.
    #[test]
    fn a_removal_of_sets_goes_on_where_it_ended() {
        let sets = || {
            let disk = with_files();
            write_durably(&disk, &Path::new("/data/damaged-1").join("snapshot.1"), "").unwrap();
            for number in 2..8 {
                let place = Path::new("/data").join(format!("{DAMAGED}-{number}"));
                for name in
                    [LOGS_GONE.to_owned(), "snapshot.0".to_owned(), format!("snapshot.{}", 9 - number)]
                {
                    write_durably(&disk, &place.join(name), "").unwrap();
                }
            }
            disk
        };
        for stop_at in 0.. {
            let disk = sets();
            disk.plan_faults([(stop_at, Fault::Stop)]);
            let is_done = remove_old_sets(&disk, &directories()).is_ok();
            for crash in [Crash::LosesUnsynced, Crash::LosesUnsyncedData, Crash::KeepsUnsynced] {
                let after = disk.after(crash);
                remove_old_sets(&after, &directories()).unwrap();
                assert_eq!(names(&after, "/data/damaged-1"), ["snapshot.1"], "that is another kind");
                for number in 2..5 {
                    let kept =
                        [LOGS_GONE, "snapshot.0", &format!("snapshot.{}", 9 - number)].map(str::to_owned);
                    assert_eq!(
                        names(&after, &format!("/data/damaged-{number}")),
                        kept,
                        "{stop_at}, {crash:?}"
                    );
                }
                for number in 5..8 {
                    assert_eq!(
                        names(&after, &format!("/data/damaged-{number}")),
                        [""; 0],
                        "{stop_at}, {crash:?}"
                    );
                }
            }
            if is_done {
                assert!(stop_at > 8, "there was something to stop at");
                assert_eq!(next_place(&disk, Path::new("/data")).unwrap(), Path::new("/data/damaged-5"));
                return;
            }
        }
    }

    /// Wherever the power fails: either nothing has moved, or the server knows that it lost something; and no file is gone.
    #[test]
    fn a_loss_is_remembered_before_anything_moves() {
        let mut moved_in_part = 0;
        let whole = with_files();
        whole.plan_faults([]);
        set_aside(&whole, &directories(), "why").unwrap();
        let crashes = || [Crash::LosesUnsynced, Crash::LosesUnsyncedData, Crash::KeepsUnsynced].into_iter();
        let scattered = || (1..9).map(|seed| Crash::Scatters { seed });
        for stop_at in 0..=whole.operations() {
            let disk = with_files();
            disk.stop_at(Some(stop_at));
            assert_eq!(set_aside(&disk, &directories(), "why").is_ok(), stop_at == whole.operations());
            for crash in crashes().chain(scattered()) {
                let after = disk.after(crash);
                let aside = [names(&after, "/data/damaged-1"), names(&after, "/log/damaged-1")].concat();
                let standing = [names(&after, "/data"), names(&after, "/log")].concat();
                let mut all = [&aside[..], &standing].concat();
                all.sort();
                all.dedup();
                all.retain(|name| name != LOST);
                let expected = ["currentEpoch", "log.1", "log.6", "snapshot.0", "snapshot.5"];
                assert_eq!(all, expected, "stopped at {stop_at}, {crash:?}");
                let (aside, marked) = (aside.len(), usize::from(remembers_loss(&after, &directories())));
                assert!(aside == 0 || marked == 1, "stopped at {stop_at}, {crash:?}");
                moved_in_part += usize::from((1..4).contains(&aside));
            }
        }
        assert!(moved_in_part > 0);
    }
}
