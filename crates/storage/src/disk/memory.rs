//! A disk for tests: it keeps what was synced apart from what was not, and so can crash; it counts
//! operations and can fail, fill up or stop at any of them.
//!
//! Directories are there when a file is. A crash yields another disk and leaves this one as it was, so that one run shows every outcome of it.
//! A sync that fails has lost what it should have made durable: later syncs succeed and do not bring
//! it back, as on Linux.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use super::{Contents, Disk, DiskFile};

/// What is written as a whole or not at all.
const SECTOR_BYTES: usize = 512;

/// What a crash leaves of what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// Nothing.
    LosesUnsynced,
    /// The names, without the data: a new file is empty.
    LosesUnsyncedData,
    /// Everything: the process was killed, the machine was not.
    KeepsUnsynced,
    /// Everything, but of the very last write only the first bytes.
    TearsLastWrite {
        /// How many bytes of it.
        kept: usize,
    },
    /// Any sectors of the data, and the first few of the changes of names.
    Scatters {
        /// Decides which.
        seed: u64,
    },
}

/// What happens to one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It and all that follow fail, as if the process were gone.
    Stop,
    /// It finds no room; of a write, the first bytes are written.
    Full {
        /// How many bytes, at most.
        kept: usize,
    },
    /// It fails with an input/output error.
    Fail,
}

#[derive(Clone, Debug)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Length(usize),
}

/// A file's bytes; those from `data.len()` to `length` are zeros that take no room.
#[derive(Clone, Debug, Default)]
struct Content {
    data: Vec<u8>,
    length: usize,
}

impl Content {
    fn apply(&mut self, change: &Change) {
        match change {
            Change::Write { offset, bytes } => {
                let end = offset + bytes.len();
                if self.data.len() < end {
                    self.data.resize(end, 0);
                }
                self.data[*offset..end].copy_from_slice(bytes);
                self.length = self.length.max(end);
            }
            Change::Length(length) => {
                self.data.truncate(*length);
                self.length = *length;
            }
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.data.clone();
        bytes.resize(self.length, 0);
        bytes
    }
}

#[derive(Clone, Debug, Default)]
struct Entry {
    synced: Content,
    current: Content,
    /// What leads from `synced` to `current`, unless a sync failed.
    unsynced: Vec<Change>,
}

impl Entry {
    fn change(&mut self, change: Change) {
        self.current.apply(&change);
        self.unsynced.push(change);
    }

    fn after(&self, crash: Crash, was_written_last: bool, random: &mut Random) -> Content {
        let mut left = self.synced.clone();
        match crash {
            Crash::LosesUnsynced | Crash::LosesUnsyncedData => return left,
            Crash::KeepsUnsynced => return self.current.clone(),
            Crash::TearsLastWrite { kept } => {
                let torn = self.unsynced.iter().rposition(|change| matches!(change, Change::Write { .. }));
                for (index, change) in self.unsynced.iter().enumerate() {
                    match change {
                        Change::Write { offset, bytes } if was_written_last && Some(index) == torn => {
                            let bytes = bytes[..kept.min(bytes.len())].to_vec();
                            left.apply(&Change::Write { offset: *offset, bytes });
                        }
                        change => left.apply(change),
                    }
                }
            }
            Crash::Scatters { .. } => {
                for change in &self.unsynced {
                    match change {
                        Change::Write { offset, bytes } => {
                            for (offset, bytes) in sectors(*offset, bytes) {
                                if random.coin() {
                                    left.apply(&Change::Write { offset, bytes: bytes.to_vec() });
                                }
                            }
                        }
                        Change::Length(_) if random.coin() => left.apply(change),
                        Change::Length(_) => (),
                    }
                }
            }
        }
        left
    }
}

fn sectors(mut offset: usize, mut bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let (sector, rest) = bytes.split_at(bytes.len().min(SECTOR_BYTES - offset % SECTOR_BYTES));
        let at = offset;
        offset += sector.len();
        bytes = rest;
        Some((at, sector))
    })
}

/// The numbers of `SplitMix64`.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn coin(&mut self) -> bool {
        self.next() & 1 == 1
    }
}

/// Names that changed in one step, and what they refer to then. Each is durable when its directory was synced: of a file
/// that moves from one to another, a crash may leave both names, or none.
type NameChange = Vec<(PathBuf, Option<usize>)>;

fn rename_all(names: &mut BTreeMap<PathBuf, usize>, change: &NameChange) {
    for (path, entry) in change {
        match entry {
            Some(entry) => names.insert(path.clone(), *entry),
            None => names.remove(path),
        };
    }
}

#[derive(Debug, Default)]
struct State {
    dirs: BTreeSet<PathBuf>,
    /// What every name refers to now.
    names: BTreeMap<PathBuf, usize>,
    /// What it refers to durably.
    durable_names: BTreeMap<PathBuf, usize>,
    /// What leads from the one to the other.
    unsynced_names: Vec<NameChange>,
    entries: Vec<Entry>,
    /// The entry of the very last write.
    written_last: Option<usize>,
    operations: usize,
    faults: BTreeMap<usize, Fault>,
    stopped: bool,
    sync_fails: bool,
    room: Option<usize>,
    /// How many more files can be opened; `None` for any number.
    opens: Option<usize>,
}

/// See the module's description. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk {
    state: Arc<Mutex<State>>,
}

/// A file on it.
#[derive(Debug)]
pub struct MemoryFile {
    disk: MemoryDisk,
    entry: usize,
}

impl MemoryDisk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics while it holds the disk")
    }

    /// How many changing operations there were since [`MemoryDisk::plan_faults`].
    pub fn operations(&self) -> usize {
        self.state().operations
    }

    /// Counts operations from 0 again; the given ones fail.
    pub fn plan_faults(&self, faults: impl IntoIterator<Item = (usize, Fault)>) {
        let mut state = self.state();
        state.operations = 0;
        state.stopped = false;
        state.faults = faults.into_iter().collect();
    }

    /// Counts operations from 0 again; from the given one on the disk is as if the process were gone.
    pub fn stop_at(&self, operation: Option<usize>) {
        self.plan_faults(operation.map(|at| (at, Fault::Stop)));
    }

    /// How many bytes still fit; `None` for any number.
    pub fn set_room(&self, room: Option<usize>) {
        self.state().room = room;
    }

    /// How many more files and directories can be opened, until the process has too many open; `None` for any number.
    pub fn set_opens(&self, opens: Option<usize>) {
        self.state().opens = opens;
    }

    /// Whether all syncs fail from now on.
    pub fn set_sync_fails(&self, fails: bool) {
        self.state().sync_fails = fails;
    }

    /// The disk as it is found after a crash, without any faults; this one is left as it was.
    #[must_use]
    pub fn after(&self, crash: Crash) -> MemoryDisk {
        let state = self.state();
        let mut random = Random(if let Crash::Scatters { seed } = crash { seed } else { 0 });
        let mut names = state.durable_names.clone();
        let kept = match crash {
            Crash::LosesUnsynced => 0,
            Crash::Scatters { .. } => random.next() as usize % (state.unsynced_names.len() + 1),
            _ => state.unsynced_names.len(),
        };
        state.unsynced_names[..kept].iter().for_each(|change| rename_all(&mut names, change));
        let mut survive = |(index, entry): (usize, &Entry)| {
            let left = entry.after(crash, state.written_last == Some(index), &mut random);
            Entry { synced: left.clone(), current: left, unsynced: Vec::new() }
        };
        let state = State {
            dirs: state.dirs.clone(),
            entries: state.entries.iter().enumerate().map(&mut survive).collect(),
            durable_names: names.clone(),
            names,
            ..State::default()
        };
        MemoryDisk { state: Arc::new(Mutex::new(state)) }
    }
}

impl State {
    /// Counts an operation, and decides whether it fails.
    fn begin(&mut self) -> io::Result<()> {
        match self.fault() {
            None => Ok(()),
            Some(Fault::Full { .. }) => Err(io::ErrorKind::StorageFull.into()),
            Some(Fault::Fail) => Err(io::Error::other("the disk failed")),
            Some(Fault::Stop) => Err(io::Error::other("the disk was stopped")),
        }
    }

    fn open(&mut self) -> io::Result<()> {
        match &mut self.opens {
            None => Ok(()),
            Some(0) => Err(rustix::io::Errno::MFILE.into()),
            Some(opens) => {
                *opens -= 1;
                Ok(())
            }
        }
    }

    fn fault(&mut self) -> Option<Fault> {
        let fault = self.faults.get(&self.operations).copied();
        self.operations += 1;
        self.stopped |= fault == Some(Fault::Stop);
        if self.stopped { Some(Fault::Stop) } else { fault }
    }

    fn find(&self, path: &Path) -> io::Result<usize> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn rename_all(&mut self, change: NameChange) {
        rename_all(&mut self.names, &change);
        self.unsynced_names.push(change);
    }

    /// Gives back the room of what has no name any more.
    fn release(&mut self, entry: usize) {
        let bytes = self.entries[entry].current.data.len();
        if let Some(room) = &mut self.room {
            *room += bytes;
        }
    }
}

impl Disk for MemoryDisk {
    type File = MemoryFile;

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.begin()?;
        state.dirs.extend(dir.ancestors().map(Path::to_owned));
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<MemoryFile> {
        let mut state = self.state();
        state.begin()?;
        state.open()?;
        state.dirs.extend(path.ancestors().skip(1).map(Path::to_owned));
        let entry = if let Ok(entry) = state.find(path) {
            state.release(entry);
            state.entries[entry].change(Change::Length(0));
            entry
        } else {
            let entry = state.entries.len();
            state.entries.push(Entry::default());
            state.rename_all(vec![(path.to_owned(), Some(entry))]);
            entry
        };
        Ok(MemoryFile { disk: self.clone(), entry })
    }

    fn open(&self, path: &Path) -> io::Result<MemoryFile> {
        let mut state = self.state();
        state.open()?;
        Ok(MemoryFile { disk: self.clone(), entry: state.find(path)? })
    }

    fn read(&self, path: &Path) -> io::Result<Contents> {
        let mut state = self.state();
        state.open()?;
        Ok(Contents::Owned(state.entries[state.find(path)?].current.bytes()))
    }

    fn length(&self, path: &Path) -> io::Result<u64> {
        let state = self.state();
        Ok(state.entries[state.find(path)?].current.length as u64)
    }

    fn data_end(&self, path: &Path) -> io::Result<u64> {
        let state = self.state();
        let data = &state.entries[state.find(path)?].current.data;
        Ok(data.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut state = self.state();
        state.open()?;
        if !state.dirs.contains(dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let inside = state.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(inside.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.begin()?;
        let entry = state.find(from)?;
        if let Ok(replaced) = state.find(to) {
            state.release(replaced);
        }
        state.rename_all(vec![(from.to_owned(), None), (to.to_owned(), Some(entry))]);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.begin()?;
        let entry = state.find(path)?;
        state.release(entry);
        state.rename_all(vec![(path.to_owned(), None)]);
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.begin()?;
        state.open()?;
        if state.sync_fails {
            return Err(io::Error::other("the disk failed"));
        }
        let state = &mut *state;
        for change in &mut state.unsynced_names {
            let inside = change.extract_if(.., |(path, _)| path.parent() == Some(dir)).collect();
            rename_all(&mut state.durable_names, &inside);
        }
        state.unsynced_names.retain(|change| !change.is_empty());
        Ok(())
    }
}

impl DiskFile for MemoryFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        let offset = offset as usize;
        let (fitting, failure) = match state.fault() {
            None => (bytes.len(), None),
            Some(Fault::Full { kept }) => (kept.min(bytes.len()), Some(io::ErrorKind::StorageFull.into())),
            Some(_) => (0, Some(io::Error::other("the disk failed"))),
        };
        let taken = state.entries[self.entry].current.data.len();
        let growth = |fitting: usize| (offset + fitting).saturating_sub(taken);
        let room = state.room.unwrap_or(usize::MAX);
        let fitting = fitting - growth(fitting).saturating_sub(room).min(fitting);
        if fitting > 0 {
            if let Some(room) = &mut state.room {
                *room -= growth(fitting);
            }
            state.written_last = Some(self.entry);
            state.entries[self.entry].change(Change::Write { offset, bytes: bytes[..fitting].to_vec() });
        }
        match failure {
            Some(failure) => Err(failure),
            None if fitting < bytes.len() => Err(io::ErrorKind::StorageFull.into()),
            None => Ok(()),
        }
    }

    fn set_length(&mut self, length: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.begin()?;
        let length = length as usize;
        let freed = state.entries[self.entry].current.data.len().saturating_sub(length);
        if let Some(room) = &mut state.room {
            *room += freed;
        }
        state.entries[self.entry].change(Change::Length(length));
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.state();
        let outcome = state.begin();
        let fails = outcome.is_err() || state.sync_fails;
        if state.stopped {
            return outcome;
        }
        let entry = &mut state.entries[self.entry];
        for change in entry.unsynced.drain(..) {
            if !fails {
                entry.synced.apply(&change);
            }
        }
        outcome?;
        if fails { Err(io::Error::other("the disk failed")) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk() -> MemoryDisk {
        let disk = MemoryDisk::default();
        disk.create_dir(Path::new("/d")).unwrap();
        disk
    }

    fn read(disk: &MemoryDisk) -> Option<Vec<u8>> {
        disk.read(Path::new("/d/f")).ok().map(|contents| contents.to_vec())
    }

    #[test]
    fn a_crash_forgets_what_was_not_synced() {
        let disk = disk();
        let mut file = disk.create(Path::new("/d/f")).unwrap();
        file.write_at(0, b"synced").unwrap();
        file.sync().unwrap();
        assert_eq!(read(&disk.after(Crash::LosesUnsynced)), None, "nor the name");
        disk.sync_dir(Path::new("/d")).unwrap();
        file.write_at(6, b" not").unwrap();
        assert_eq!(read(&disk).unwrap(), b"synced not");
        assert_eq!(read(&disk.after(Crash::LosesUnsynced)).unwrap(), b"synced");
        assert_eq!(read(&disk.after(Crash::KeepsUnsynced)).unwrap(), b"synced not");
        assert_eq!(read(&disk.after(Crash::TearsLastWrite { kept: 2 })).unwrap(), b"synced n");
        disk.remove(Path::new("/d/f")).unwrap();
        assert_eq!(read(&disk.after(Crash::LosesUnsynced)).unwrap(), b"synced");
        assert_eq!(read(&disk.after(Crash::LosesUnsyncedData)), None);
    }

    #[test]
    fn a_file_has_moved_when_both_directories_are_synced() {
        for first in ["/d", "/e"] {
            let disk = disk();
            disk.create(Path::new("/d/f")).unwrap();
            disk.sync_dir(Path::new("/d")).unwrap();
            disk.create_dir(Path::new("/e")).unwrap();
            disk.rename(Path::new("/d/f"), Path::new("/e/f")).unwrap();
            let names = || {
                let after = disk.after(Crash::LosesUnsynced);
                ["/d/f", "/e/f"].map(|path| after.length(Path::new(path)).is_ok())
            };
            assert_eq!(names(), [true, false]);
            disk.sync_dir(Path::new(first)).unwrap();
            assert_eq!(names(), if first == "/d" { [false, false] } else { [true, true] });
            disk.sync_dir(Path::new(if first == "/d" { "/e" } else { "/d" })).unwrap();
            assert_eq!(names(), [false, true]);
        }
    }

    #[test]
    fn a_crash_scatters_sectors() {
        let disk = disk();
        let mut file = disk.create(Path::new("/d/f")).unwrap();
        file.set_length(4096).unwrap();
        file.sync().unwrap();
        disk.sync_dir(Path::new("/d")).unwrap();
        file.write_at(100, &[1; 2000]).unwrap();
        let mut outcomes = BTreeSet::new();
        for seed in 0..200 {
            let left = read(&disk.after(Crash::Scatters { seed })).unwrap();
            for (at, bytes) in sectors(100, &left[100..2100]) {
                assert!(bytes.iter().all(|byte| *byte == bytes[0]), "half a sector at {at}");
            }
            outcomes.insert(left);
        }
        assert_eq!(outcomes.len(), 32, "every set of the five sectors");
    }

    #[test]
    fn a_full_disk_takes_what_fits_and_gives_room_back() {
        let disk = disk();
        disk.set_room(Some(10));
        let mut file = disk.create(Path::new("/d/f")).unwrap();
        file.set_length(1000).unwrap();
        let error = file.write_at(4, b"0123456789").unwrap_err();
        assert!(super::super::is_full(&error));
        assert_eq!(&read(&disk).unwrap()[..12], b"\0\0\0\x00012345\0\0");
        file.write_at(0, b"abcd").unwrap();
        file.set_length(4).unwrap();
        file.write_at(4, b"012345").unwrap();
    }

    #[test]
    fn a_failed_sync_loses_what_it_should_have_kept() {
        let disk = disk();
        let mut file = disk.create(Path::new("/d/f")).unwrap();
        disk.sync_dir(Path::new("/d")).unwrap();
        file.write_at(0, b"lost").unwrap();
        disk.plan_faults([(0, Fault::Fail)]);
        file.sync().unwrap_err();
        file.sync().unwrap();
        assert_eq!(read(&disk).unwrap(), b"lost");
        assert_eq!(read(&disk.after(Crash::LosesUnsynced)).unwrap(), b"");
    }
}
