//! A whole snapshot on disk, read piece by piece: whoever sends one to a slow learner holds a piece of it in memory, whatever
//! its size, and goes on with what it has opened when the name goes to another file or to none.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::SnapshotError;
use super::reader::{damaged, io_error, split};
use crate::disk::RealDisk;

/// See the module's description.
#[derive(Debug)]
pub struct SnapshotFile {
    path: PathBuf,
    file: File,
    body: Range<u64>,
}

impl SnapshotFile {
    /// Opens a snapshot that is not compressed, and checks its seals.
    pub fn open(path: &Path) -> Result<Self, SnapshotError> {
        let failed = |source| io_error(path, source);
        let file = File::open(path).map_err(failed)?;
        let contents = RealDisk::contents(&file).map_err(failed)?;
        let (body, _) = split(&contents).map_err(|broken| damaged(path, broken))?;
        Ok(Self { path: path.to_owned(), file, body: body.start as u64..body.end as u64 })
    }

    /// How long sessions, access lists, znodes and the closing slash are.
    pub fn body_bytes(&self) -> u64 {
        self.body.end - self.body.start
    }

    /// What the body has from `at` on, so many bytes if there are as many.
    pub fn read(&self, at: u64, bytes_max: usize) -> Result<Vec<u8>, SnapshotError> {
        let rest = self.body_bytes().saturating_sub(at);
        let mut piece = vec![0; usize::try_from(rest).unwrap_or(usize::MAX).min(bytes_max)];
        let read: io::Result<()> = self.file.read_exact_at(&mut piece, self.body.start + at);
        read.map(|()| piece).map_err(|source| io_error(&self.path, source))
    }
}

#[cfg(test)]
mod tests {
    use zabd_jute::Zxid;

    use super::super::{Compression, HEADER, SLASH, SnapshotTrailer, SnapshotWriter};
    use super::*;

    #[test]
    fn a_body_is_read_piece_by_piece_until_its_end_whatever_becomes_of_the_name() {
        let dir = tempfile::tempdir().unwrap();
        let body = [&b"0123456789"[..], &SLASH].concat();
        let mut writer = SnapshotWriter::begin(RealDisk, dir.path(), Zxid(7), Compression::None).unwrap();
        writer.write(&body).unwrap();
        let trailer = SnapshotTrailer { digest: Some((Zxid(7), 9)), last_zxid: Some(Zxid(7)) };
        let path = writer.finish(trailer).unwrap();
        let file = SnapshotFile::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let pieces: Vec<_> = (0..=16).step_by(4).map(|at| file.read(at, 4).unwrap()).collect();
        assert_eq!(pieces.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4, 4, 3, 0]);
        assert_eq!((pieces.concat(), file.body_bytes()), (body, 15));
    }

    #[test]
    fn a_damaged_file_is_not_opened() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("snapshot.7");
        std::fs::write(&path, [&HEADER[..], b"no seal"].concat()).unwrap();
        assert!(matches!(SnapshotFile::open(&path), Err(SnapshotError::Damaged { .. })));
    }
}
