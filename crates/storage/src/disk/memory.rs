//! A disk for tests: it keeps what was synced apart from what was not, counts operations and can stop
//! at any of them, fills up, fails, and crashes.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use super::{Contents, Disk, DiskFile};

/// What a crash leaves of what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// Nothing.
    LosesUnsynced,
    /// Everything: the process was killed, the machine was not.
    KeepsUnsynced,
    /// All unsynced writes but the last, of which only the first bytes are there.
    TearsLastWrite {
        /// How many bytes of it.
        kept: usize,
    },
}

#[derive(Clone, Debug, Default)]
struct Entry {
    synced: Vec<u8>,
    current: Vec<u8>,
    /// The last write since the last sync: where, and what was there before.
    last_write: Option<(usize, Vec<u8>, usize)>,
}

#[derive(Debug, Default)]
struct State {
    /// What every name refers to now.
    names: BTreeMap<PathBuf, usize>,
    /// What it would refer to after a crash.
    durable_names: BTreeMap<PathBuf, usize>,
    entries: Vec<Entry>,
    operations: usize,
    stop_at: Option<usize>,
    room: Option<usize>,
    sync_fails: bool,
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

fn stopped() -> io::Error {
    io::Error::other("the disk was stopped")
}

fn missing() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl MemoryDisk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics while it holds the disk")
    }

    /// Every operation from this one on fails, as if the process were gone.
    pub fn stop_at(&self, operation: Option<usize>) {
        let mut state = self.state();
        state.operations = 0;
        state.stop_at = operation;
    }

    /// How many changing operations there were since [`MemoryDisk::stop_at`].
    pub fn operations(&self) -> usize {
        self.state().operations
    }

    /// How many bytes still fit; `None` for any number.
    pub fn set_room(&self, room: Option<usize>) {
        self.state().room = room;
    }

    /// Whether syncs fail from now on.
    pub fn set_sync_fails(&self, fails: bool) {
        self.state().sync_fails = fails;
    }

    /// The disk as it is found after a crash; this one is left as it was.
    #[must_use]
    pub fn after(&self, crash: Crash) -> MemoryDisk {
        let state = self.state();
        let names = match crash {
            Crash::LosesUnsynced => &state.durable_names,
            Crash::KeepsUnsynced | Crash::TearsLastWrite { .. } => &state.names,
        };
        let survive = |entry: &Entry| {
            let mut left = entry.current.clone();
            match (crash, &entry.last_write) {
                (Crash::LosesUnsynced, _) => left.clone_from(&entry.synced),
                (Crash::TearsLastWrite { kept }, Some((at, before, length))) if kept < *length => {
                    let tail = left.split_off((at + kept).min(left.len()));
                    let behind = tail.get(length - kept..).unwrap_or_default();
                    left.extend(before.iter().skip(kept));
                    left.extend_from_slice(behind);
                }
                _ => (),
            }
            Entry { synced: left.clone(), current: left, last_write: None }
        };
        let state = State {
            names: names.clone(),
            durable_names: names.clone(),
            entries: state.entries.iter().map(survive).collect(),
            ..State::default()
        };
        MemoryDisk { state: Arc::new(Mutex::new(state)) }
    }
}

impl State {
    fn begin(&mut self) -> io::Result<()> {
        if self.stop_at.is_some_and(|at| self.operations >= at) {
            return Err(stopped());
        }
        self.operations += 1;
        Ok(())
    }

    fn find(&self, path: &Path) -> io::Result<usize> {
        self.names.get(path).copied().ok_or_else(missing)
    }
}

impl Disk for MemoryDisk {
    type File = MemoryFile;

    fn create_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<MemoryFile> {
        let mut state = self.state();
        state.begin()?;
        let known = state.names.get(path).copied();
        let entry = known.unwrap_or(state.entries.len());
        if known.is_none() {
            state.entries.push(Entry::default());
            state.names.insert(path.to_owned(), entry);
        }
        state.entries[entry].current.clear();
        Ok(MemoryFile { disk: self.clone(), entry })
    }

    fn open(&self, path: &Path) -> io::Result<MemoryFile> {
        Ok(MemoryFile { disk: self.clone(), entry: self.state().find(path)? })
    }

    fn read(&self, path: &Path) -> io::Result<Contents> {
        let state = self.state();
        Ok(Contents::Owned(state.entries[state.find(path)?].current.clone()))
    }

    fn length(&self, path: &Path) -> io::Result<u64> {
        let state = self.state();
        Ok(state.entries[state.find(path)?].current.len() as u64)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.state();
        let inside = state.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(inside.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.begin()?;
        let entry = state.names.remove(from).ok_or_else(missing)?;
        state.names.insert(to.to_owned(), entry);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.begin()?;
        let entry = state.names.remove(path).ok_or_else(missing)?;
        let length = state.entries[entry].current.len();
        if let Some(room) = &mut state.room {
            *room += length;
        }
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.begin()?;
        let inside = |path: &Path| path.parent() == Some(dir);
        state.durable_names.retain(|path, _| !inside(path));
        let now: Vec<_> =
            state.names.iter().filter(|(path, _)| inside(path)).map(|(p, e)| (p.clone(), *e)).collect();
        state.durable_names.extend(now);
        Ok(())
    }
}

impl DiskFile for MemoryFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        state.begin()?;
        let offset = offset as usize;
        let fitting = state.room.map_or(bytes.len(), |room| room.min(bytes.len()));
        let entry = &mut state.entries[self.entry];
        let end = offset + fitting;
        let before =
            entry.current.get(offset..).map_or(Vec::new(), |old| old[..old.len().min(fitting)].to_vec());
        if entry.current.len() < end {
            entry.current.resize(end, 0);
        }
        entry.current[offset..end].copy_from_slice(&bytes[..fitting]);
        entry.last_write = Some((offset, before, fitting));
        if let Some(room) = &mut state.room {
            *room -= fitting;
        }
        if fitting < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn set_length(&mut self, length: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.begin()?;
        state.entries[self.entry].current.resize(length as usize, 0);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.state();
        state.begin()?;
        if state.sync_fails {
            return Err(io::Error::other("the disk failed"));
        }
        let entry = &mut state.entries[self.entry];
        entry.synced.clone_from(&entry.current);
        entry.last_write = None;
        Ok(())
    }
}
