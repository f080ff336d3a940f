//! Real files.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{SeekFrom, seek};

use super::direct::Way;
use super::map::Mapped;
use super::{Contents, Disk, DiskFile, is_want};
use crate::zeros::without_zeros_behind;

/// The file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

/// What was to become durable may be gone, and a second sync would not say so: whatever the reason, this is none of the failures
/// after which the same may be tried again.
fn of_sync(error: io::Error) -> io::Error {
    if is_want(&error) { io::Error::other(error) } else { error }
}

/// A file open for writing.
#[derive(Debug)]
pub struct RealFile {
    file: File,
    way: Way,
}

impl From<File> for RealFile {
    fn from(file: File) -> Self {
        Self { file, way: Way::default() }
    }
}

/// How much of a file is looked at at a time.
const LOOKED_AT_BYTES: u64 = 64 << 10;
/// The same for a look here and there.
const LOOK_BYTES: u64 = 8 << 10;

/// The parts of a file that take room, in order. Holes are long: Java takes 64 MiB ahead and writes their last byte, and
/// each page of a hole that is looked at through a mapping costs as much as one that is read.
fn extents(file: &File) -> io::Result<Vec<(u64, u64)>> {
    let length = file.metadata()?.len();
    let mut extents = Vec::new();
    let mut at = 0;
    while at < length {
        match seek(file, SeekFrom::Data(at)) {
            Ok(from) => {
                at = seek(file, SeekFrom::Hole(from)).unwrap_or(length).clamp(from + 1, length.max(from + 1));
                extents.push((from, at.min(length)));
            }
            // Nothing but a hole is left.
            Err(rustix::io::Errno::NXIO) => break,
            // A file system that does not tell holes.
            Err(_) => return Ok(vec![(0, length)]),
        }
    }
    Ok(extents)
}

/// Where the last byte that is not zero ends in a part of a file; `from` if there is none.
fn end_of_data(file: &File, from: u64, to: u64) -> io::Result<u64> {
    let mut chunk = vec![0; LOOKED_AT_BYTES as usize];
    let mut end = to;
    while from < end {
        let begin = end.saturating_sub(LOOKED_AT_BYTES).max(from);
        let chunk = &mut chunk[..(end - begin) as usize];
        file.read_exact_at(chunk, begin)?;
        if let length @ 1.. = without_zeros_behind(chunk).len() {
            return Ok(begin + length as u64);
        }
        end = begin;
    }
    Ok(from)
}

/// The same by a few looks, if padding begins once and goes on to the end.
fn likely_end_of_data(file: &File, from: u64, to: u64) -> io::Result<u64> {
    let mut chunk = vec![0; LOOK_BYTES as usize];
    let mut is_padding = |block: u64| -> io::Result<bool> {
        let begin = from + block * LOOK_BYTES;
        let chunk = &mut chunk[..(to - begin).min(LOOK_BYTES) as usize];
        file.read_exact_at(chunk, begin)?;
        Ok(without_zeros_behind(chunk).is_empty())
    };
    let blocks = (to - from).div_ceil(LOOK_BYTES);
    if blocks < 2 || !is_padding(blocks - 1)? {
        return end_of_data(file, from, to);
    }
    let (mut data, mut padding) = (0, blocks - 1);
    while data + 1 < padding {
        let middle = u64::midpoint(data, padding);
        if is_padding(middle)? { padding = middle } else { data = middle }
    }
    end_of_data(file, from, from + padding * LOOK_BYTES)
}

/// Where the data of a file end, by what tells that of a part of it.
fn last_data(path: &Path, end_of: impl Fn(&File, u64, u64) -> io::Result<u64>) -> io::Result<u64> {
    let file = File::open(path)?;
    for (from, to) in extents(&file)?.into_iter().rev() {
        let end = end_of(&file, from, to)?;
        if from < end {
            return Ok(end);
        }
    }
    Ok(0)
}

impl RealDisk {
    /// All there is in an open file.
    pub(crate) fn contents(file: &File) -> io::Result<Contents> {
        if file.metadata()?.len() == 0 {
            return Ok(Contents::Owned(Vec::new()));
        }
        Mapped::new(file).map(Contents::Mapped)
    }
}

impl Disk for RealDisk {
    type File = RealFile;

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        if dir.is_dir() {
            return Ok(());
        }
        let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        self.create_dir(parent)?;
        match fs::create_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => (),
            outcome => outcome?,
        }
        // A directory that may be passed through but not read cannot be synced, and need not be ours.
        match File::open(parent) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            parent => parent?.sync_all(),
        }
    }

    fn create(&self, path: &Path) -> io::Result<RealFile> {
        OpenOptions::new().write(true).create(true).truncate(true).open(path).map(RealFile::from)
    }

    fn open(&self, path: &Path) -> io::Result<RealFile> {
        OpenOptions::new().write(true).open(path).map(RealFile::from)
    }

    fn sync_file(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_data().map_err(of_sync)
    }

    fn read(&self, path: &Path) -> io::Result<Contents> {
        Self::contents(&File::open(path)?)
    }

    fn length(&self, path: &Path) -> io::Result<u64> {
        Ok(fs::metadata(path)?.len())
    }

    fn data_end(&self, path: &Path) -> io::Result<u64> {
        last_data(path, end_of_data)
    }

    fn likely_data_end(&self, path: &Path) -> io::Result<u64> {
        last_data(path, likely_end_of_data)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(dir)? {
            // A name that is not text is none of ours.
            names.extend(entry?.file_name().into_string().ok());
        }
        names.sort_unstable();
        Ok(names)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all().map_err(of_sync)
    }
}

impl DiskFile for RealFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn write_through(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let done = self.way.write(&self.file, offset, bytes)?;
        if done == bytes.len() {
            return Ok(());
        }
        self.write_at(offset + done as u64, &bytes[done..])?;
        self.sync()
    }

    fn set_length(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::super::BLOCK_BYTES;
    use super::*;

    /// As what keeps no holes copies a file.
    #[test]
    fn the_end_of_the_data_is_found_by_a_few_looks() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("copied");
        for length in [0, 1, 65_535, 65_536, 65_537, 200_000] {
            for zeros in [0, 1, 65_536, 70_000, 1 << 20] {
                let mut bytes = vec![7; length];
                bytes.resize(length + zeros, 0);
                fs::write(&path, &bytes).unwrap();
                assert_eq!(RealDisk.data_end(&path).unwrap(), length as u64, "{length} and {zeros}");
                assert_eq!(RealDisk.likely_data_end(&path).unwrap(), length as u64, "{length} and {zeros}");
            }
        }
        let mut bytes = vec![7; 1 << 20];
        bytes[200_000..500_000].fill(0);
        bytes.resize(3 << 20, 0);
        fs::write(&path, &bytes).unwrap();
        assert!([200_000, 1 << 20].contains(&RealDisk.likely_data_end(&path).unwrap()), "some end");
    }

    #[test]
    fn the_end_of_the_data_is_found_before_holes_and_zeros() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sparse");
        let mut file = RealDisk.create(&path).unwrap();
        assert_eq!(RealDisk.data_end(&path).unwrap(), 0);
        file.write_at(0, b"data").unwrap();
        file.write_at(1 << 20, b"more data").unwrap();
        file.set_length(64 << 20).unwrap();
        file.sync().unwrap();
        assert_eq!(RealDisk.data_end(&path).unwrap(), (1 << 20) + 9);
        // As Java takes room: the last byte is written, and zero.
        file.write_at((64 << 20) - 1, &[0]).unwrap();
        file.sync().unwrap();
        assert_eq!(RealDisk.data_end(&path).unwrap(), (1 << 20) + 9);
        file.set_length((1 << 20) + 9).unwrap();
        assert_eq!(RealDisk.data_end(&path).unwrap(), (1 << 20) + 9);
    }

    /// Also from memory and lengths that no disk likes; the last part is none of a whole block.
    #[test]
    fn what_is_written_past_the_systems_memory_is_what_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let bytes: Vec<u8> = (0..1_000_003_u32).map(|number| (number * 7 % 251) as u8).collect();
        for sizes in [&[BLOCK_BYTES][..], &[73 * BLOCK_BYTES, BLOCK_BYTES], &[1000, 50_000], &[2 << 20]] {
            let mut file = RealDisk.create(&path).unwrap();
            let mut at = 0;
            for size in sizes.iter().cycle() {
                let piece = &bytes[at..bytes.len().min(at + size)];
                file.write_through(at as u64, piece).unwrap();
                at += piece.len();
                if at == bytes.len() {
                    break;
                }
            }
            file.sync().unwrap();
            assert_eq!(*RealDisk.read(&path).unwrap(), *bytes, "in pieces of {sizes:?}");
        }
    }

    #[test]
    fn directories_are_made_with_those_above() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b/c");
        assert_eq!(RealDisk.list(&deep).unwrap_err().kind(), io::ErrorKind::NotFound);
        RealDisk.create_dir(&deep).unwrap();
        RealDisk.create_dir(&deep).unwrap();
        assert!(RealDisk.list(&deep).unwrap().is_empty());
        RealDisk.create(&deep.join("file")).unwrap();
        assert!(RealDisk.create_dir(&deep.join("file")).is_err(), "a file is no directory");
    }
}
