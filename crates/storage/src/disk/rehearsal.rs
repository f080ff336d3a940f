//! A disk on which everything can be tried: reads see another disk, and what is changed stays in memory.
//!
//! What a start, or a repair, would do to a directory is found out by doing it here. So nobody has to keep a second
//! description of it, which could differ from what is then done.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Contents, Disk, DiskFile};

/// See the module's description. Clones are the same disk.
#[derive(Clone, Debug)]
pub struct Rehearsal<D> {
    real: D,
    changed: Arc<Mutex<BTreeMap<PathBuf, Now>>>,
}

/// A file open for writing.
#[derive(Debug)]
pub struct RehearsalFile<D> {
    disk: Rehearsal<D>,
    path: PathBuf,
}

/// What a path would be.
#[derive(Clone, Debug)]
enum Now {
    Gone,
    Directory,
    Bytes(Vec<u8>),
    /// What really has this path.
    Moved(PathBuf),
}

/// What would be different.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A new directory.
    NewDirectory(PathBuf),
    /// A new file, or one with another content.
    Written(PathBuf),
    /// A file that ends earlier.
    Cut {
        /// Which one.
        path: PathBuf,
        /// Where it ends.
        length: u64,
    },
    /// A file with another name.
    Moved {
        /// What it is called.
        from: PathBuf,
        /// What it would be called.
        to: PathBuf,
    },
    /// A file that is not there any more.
    Removed(PathBuf),
}

impl<D: Disk> Rehearsal<D> {
    /// Begins with what the real disk has.
    pub fn on(real: D) -> Self {
        Self { real, changed: Arc::default() }
    }

    /// All that would be different, by path.
    pub fn changes(&self) -> Vec<Change> {
        let changed = self.changed();
        let is_moved =
            |path: &Path| changed.values().any(|now| matches!(now, Now::Moved(from) if from == path));
        let change = |(path, now): (&PathBuf, &Now)| {
            let (path, length) = (path.clone(), self.real.length(path).ok());
            Some(match now {
                Now::Gone if is_moved(&path) || length.is_none() => return None,
                Now::Gone => Change::Removed(path),
                Now::Directory => Change::NewDirectory(path),
                Now::Moved(from) => Change::Moved { from: from.clone(), to: path },
                Now::Bytes(bytes) => match length {
                    Some(length) if bytes.len() as u64 == length && self.is_same(&path, bytes) => {
                        return None;
                    }
                    Some(length) if (bytes.len() as u64) < length => {
                        Change::Cut { path, length: bytes.len() as u64 }
                    }
                    _ => Change::Written(path),
                },
            })
        };
        changed.iter().filter_map(change).collect()
    }

    fn is_same(&self, path: &Path, bytes: &[u8]) -> bool {
        self.real.read(path).is_ok_and(|real| *real == *bytes)
    }

    /// A panic elsewhere leaves the table as it was before or behind one change.
    fn changed(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Now>> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the content of a path really is; `None` if it is in memory.
    fn place(&self, path: &Path) -> io::Result<Option<PathBuf>> {
        match self.changed().get(path) {
            None => Ok(Some(path.to_owned())),
            Some(Now::Moved(from)) => Ok(Some(from.clone())),
            Some(Now::Bytes(_)) => Ok(None),
            Some(Now::Directory) => Err(io::ErrorKind::IsADirectory.into()),
            Some(Now::Gone) => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn bytes(&self, path: &Path) -> Vec<u8> {
        match self.changed().get(path) {
            Some(Now::Bytes(bytes)) => bytes.clone(),
            _ => Vec::new(),
        }
    }

    /// Changes the content of a file, of which only the first bytes matter.
    fn change(&self, path: &Path, kept: usize, change: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        let mut bytes = match self.place(path)? {
            None => self.bytes(path),
            Some(place) => {
                let contents = self.real.read(&place)?;
                contents[..kept.min(contents.len())].to_vec()
            }
        };
        change(&mut bytes);
        self.changed().insert(path.to_owned(), Now::Bytes(bytes));
        Ok(())
    }
}

impl<D: Disk> Rehearsal<D> {
    /// What has been written here is as long as it is; of the rest the disk knows.
    fn measure(&self, path: &Path, of: impl Fn(&D, &Path) -> io::Result<u64>) -> io::Result<u64> {
        match self.place(path)? {
            None => Ok(self.bytes(path).len() as u64),
            Some(place) => of(&self.real, &place),
        }
    }
}

impl<D: Disk> Disk for Rehearsal<D> {
    type File = RehearsalFile<D>;

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        if self.list(dir).is_err() {
            self.changed().insert(dir.to_owned(), Now::Directory);
        }
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Self::File> {
        self.changed().insert(path.to_owned(), Now::Bytes(Vec::new()));
        Ok(RehearsalFile { disk: self.clone(), path: path.to_owned() })
    }

    fn open(&self, path: &Path) -> io::Result<Self::File> {
        self.length(path)?;
        Ok(RehearsalFile { disk: self.clone(), path: path.to_owned() })
    }

    fn sync_file(&self, path: &Path) -> io::Result<()> {
        self.length(path).map(drop)
    }

    fn read(&self, path: &Path) -> io::Result<Contents> {
        match self.place(path)? {
            None => Ok(Contents::Owned(self.bytes(path))),
            Some(place) => self.real.read(&place),
        }
    }

    fn length(&self, path: &Path) -> io::Result<u64> {
        self.measure(path, D::length)
    }

    fn data_end(&self, path: &Path) -> io::Result<u64> {
        self.measure(path, D::data_end)
    }

    fn likely_data_end(&self, path: &Path) -> io::Result<u64> {
        self.measure(path, D::likely_data_end)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let changed = self.changed();
        let mut names = match changed.get(dir) {
            Some(Now::Directory) => Vec::new(),
            _ => self.real.list(dir)?,
        };
        for (path, now) in changed.iter().filter(|(path, _)| path.parent() == Some(dir)) {
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            names.retain(|other| other != name);
            if !matches!(now, Now::Gone) {
                names.push(name.to_owned());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let now = match self.place(from)? {
            None => Now::Bytes(self.bytes(from)),
            Some(place) => {
                self.real.length(&place)?;
                Now::Moved(place)
            }
        };
        let mut changed = self.changed();
        changed.insert(from.to_owned(), Now::Gone);
        changed.insert(to.to_owned(), now);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.length(path)?;
        self.changed().insert(path.to_owned(), Now::Gone);
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.list(dir).map(drop)
    }
}

impl<D: Disk> DiskFile for RehearsalFile<D> {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.disk.change(&self.path, usize::MAX, |content| {
            let end = offset as usize + bytes.len();
            content.resize(content.len().max(end), 0);
            content[offset as usize..end].copy_from_slice(bytes);
        })
    }

    fn set_length(&mut self, length: u64) -> io::Result<()> {
        self.disk.change(&self.path, length as usize, |content| content.resize(length as usize, 0))
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::MemoryDisk;
    use super::*;

    fn put(disk: &impl Disk, path: &str, bytes: &[u8]) {
        disk.create(Path::new(path)).unwrap().write_at(0, bytes).unwrap();
    }

    fn shown(disk: &Rehearsal<MemoryDisk>) -> Vec<String> {
        disk.changes().iter().map(|change| format!("{change:?}")).collect()
    }

    #[test]
    fn what_is_tried_shows_and_changes_nothing() {
        let real = MemoryDisk::default();
        for path in ["/d/a", "/d/b", "/d/c", "/d/e"] {
            put(&real, path, b"content");
        }
        let disk = Rehearsal::on(real.clone());
        put(&disk, "/d/probe", b"");
        disk.remove(Path::new("/d/probe")).unwrap();
        disk.open(Path::new("/d/e")).unwrap().write_at(0, b"content").unwrap();
        assert_eq!(shown(&disk), [""; 0], "what ends as it began is no change");
        put(&disk, "/d/new", b"n");
        disk.open(Path::new("/d/a")).unwrap().set_length(4).unwrap();
        disk.create_dir(Path::new("/d/aside")).unwrap();
        disk.rename(Path::new("/d/b"), Path::new("/d/aside/b")).unwrap();
        disk.remove(Path::new("/d/c")).unwrap();
        assert_eq!(disk.list(Path::new("/d")).unwrap(), ["a", "aside", "e", "new"]);
        assert_eq!(disk.list(Path::new("/d/aside")).unwrap(), ["b"]);
        assert_eq!(&*disk.read(Path::new("/d/a")).unwrap(), b"cont");
        assert_eq!(&*disk.read(Path::new("/d/aside/b")).unwrap(), b"content");
        assert_eq!(disk.data_end(Path::new("/d/new")).unwrap(), 1);
        for gone in ["/d/b", "/d/c"] {
            assert_eq!(disk.read(Path::new(gone)).unwrap_err().kind(), io::ErrorKind::NotFound);
            assert!(disk.open(Path::new(gone)).is_err() && disk.remove(Path::new(gone)).is_err());
        }
        assert_eq!(
            shown(&disk),
            [
                "Cut { path: \"/d/a\", length: 4 }",
                "NewDirectory(\"/d/aside\")",
                "Moved { from: \"/d/b\", to: \"/d/aside/b\" }",
                "Removed(\"/d/c\")",
                "Written(\"/d/new\")",
            ]
        );
        assert_eq!(real.list(Path::new("/d")).unwrap(), ["a", "b", "c", "e"]);
        assert_eq!(&*real.read(Path::new("/d/a")).unwrap(), b"content");
    }
}
