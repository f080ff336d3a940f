//! A snapshot that somebody sends: nothing in it is believed before all of it has come and its seals are right.
//!
//! It goes to a file under no name that a start would count, decompressed on the way, so that neither a large one nor a small one
//! that becomes large takes memory: it is read through a mapping. Whoever sends it may send it as a server stores it, compressed or
//! not; Java's server takes back only what is not compressed. Each piece is made durable before the next one, as in the
//! writer of snapshots, so that the log's syncs never wait for more than one.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use flate2::write::MultiGzDecoder;
use zabd_jute::Zxid;

use super::reader::LoadedSnapshot;
use super::{Compression, snappy};
use crate::disk::{Disk, DiskFile};
use crate::layout;

/// How much is handed to the disk at a time, in bytes, or somewhat more.
const PIECE_BYTES: usize = 1 << 20;
/// How much is decompressed at a time: it becomes a thousand times as much at most.
const COMPRESSED_BYTES: usize = 4 << 10;
/// So many bytes tell how a stream is compressed.
const HEAD_BYTES: usize = 8;

/// What was sent cannot be kept, or is no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum IncomingError {
    /// Writing or reading back failed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is not a whole snapshot.
    #[error("what was sent is not a whole snapshot: {what} at offset {offset} of its uncompressed content")]
    Broken {
        /// Where.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
}

/// See the module's description. Dropped, it leaves nothing.
pub struct IncomingSnapshot<D: Disk> {
    disk: D,
    file: D::File,
    path: PathBuf,
    /// The first bytes, until there are enough to tell.
    head: Vec<u8>,
    stream: Option<Stream>,
    /// What is not in the file yet.
    waiting: Vec<u8>,
    written: u64,
}

enum Stream {
    Plain,
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
    Snappy(snappy::Unpacker),
}

impl<D: Disk> IncomingSnapshot<D> {
    /// Begins one below `dir`. Each has a name of its own: one that was given up may not be forgotten yet when the next begins.
    pub fn begin(disk: D, dir: &Path) -> Result<Self, IncomingError> {
        static BEGUN: AtomicU64 = AtomicU64::new(0);
        let extension = format!(".incoming-{}", BEGUN.fetch_add(1, Relaxed));
        let path = dir.join(layout::temporary_name(&layout::snapshot_name(Zxid::ZERO, &extension)));
        let file = disk.create(&path).map_err(io_error("create", &path))?;
        Ok(Self { disk, file, path, head: Vec::new(), stream: None, waiting: Vec::new(), written: 0 })
    }

    /// Takes the next bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), IncomingError> {
        if self.stream.is_some() {
            return self.take(bytes);
        }
        self.head.extend_from_slice(bytes);
        if self.head.len() < HEAD_BYTES { Ok(()) } else { self.take_head() }
    }

    /// How long it is so far, decompressed, in bytes.
    pub fn bytes_written(&self) -> u64 {
        self.written
    }

    fn take_head(&mut self) -> Result<(), IncomingError> {
        let head = std::mem::take(&mut self.head);
        self.stream = Some(match Compression::of_content(&head) {
            Compression::None => Stream::Plain,
            Compression::Gzip => Stream::Gzip(Box::new(MultiGzDecoder::new(Vec::new()))),
            Compression::Snappy => Stream::Snappy(snappy::Unpacker::default()),
        });
        self.take(&head)
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), IncomingError> {
        for part in bytes.chunks(COMPRESSED_BYTES) {
            match self.stream.as_mut().expect("its head has come") {
                Stream::Plain => self.waiting.extend_from_slice(part),
                Stream::Gzip(decoder) => {
                    let decoded = decoder.write_all(part);
                    self.waiting.append(decoder.get_mut());
                    decoded.map_err(|_| self.broken("the gzip stream breaks"))?;
                }
                Stream::Snappy(unpacker) => {
                    let unpacked = unpacker.take(part, &mut self.waiting);
                    unpacked.map_err(|what| self.broken(what))?;
                }
            }
            if self.waiting.len() >= PIECE_BYTES {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn broken(&self, what: &'static str) -> IncomingError {
        IncomingError::Broken { offset: self.written + self.waiting.len() as u64, what }
    }

    fn flush(&mut self) -> Result<(), IncomingError> {
        let written = self.file.write_through(self.written, &self.waiting);
        written.map_err(io_error("write", &self.path))?;
        self.written += self.waiting.len() as u64;
        self.waiting.clear();
        Ok(())
    }

    /// All of it has come: checks its seals. What it holds can be read as long as the result lives.
    pub fn finish(mut self) -> Result<LoadedSnapshot, IncomingError> {
        if self.stream.is_none() {
            self.take_head()?;
        }
        match self.stream.take().expect("its head was just taken") {
            Stream::Plain => (),
            Stream::Gzip(mut decoder) => {
                let ended = decoder.try_finish();
                self.waiting.append(decoder.get_mut());
                ended.map_err(|_| self.broken("the gzip stream breaks"))?;
            }
            Stream::Snappy(unpacker) => unpacker.end().map_err(|what| self.broken(what))?,
        }
        self.flush()?;
        let contents = self.disk.read(&self.path).map_err(io_error("read", &self.path))?;
        LoadedSnapshot::of(contents)
            .map_err(|(offset, what)| IncomingError::Broken { offset: offset as u64, what })
    }
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> IncomingError {
    let path = path.to_owned();
    move |source| IncomingError::Io { action, path, source }
}

impl<D: Disk> std::fmt::Debug for IncomingSnapshot<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IncomingSnapshot").field("written", &self.written).finish_non_exhaustive()
    }
}

impl<D: Disk> Drop for IncomingSnapshot<D> {
    fn drop(&mut self) {
        // Best effort: what stays is not counted as a snapshot, and the next start removes it.
        let _ = self.disk.remove(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{SLASH, SnapshotTrailer, SnapshotWriter};
    use super::*;
    use crate::disk::{Fault, MemoryDisk};

    const DIR: &str = "/data/version-2";

    fn body() -> Vec<u8> {
        let mut body: Vec<u8> = (0..300_000u32).flat_map(|n| (n / 7).to_be_bytes()).collect();
        body.extend_from_slice(&SLASH);
        body
    }

    fn stored(compression: Compression) -> Vec<u8> {
        let disk = MemoryDisk::default();
        let mut writer = SnapshotWriter::begin(disk.clone(), Path::new(DIR), Zxid(9), compression).unwrap();
        writer.write(&body()).unwrap();
        let trailer = SnapshotTrailer { digest: Some((Zxid(9), 7)), last_zxid: Some(Zxid(9)) };
        let path = writer.finish(trailer).unwrap();
        disk.read(&path).unwrap().to_vec()
    }

    fn sent(disk: &MemoryDisk, bytes: &[u8], piece: usize) -> Result<LoadedSnapshot, IncomingError> {
        let mut incoming = IncomingSnapshot::begin(disk.clone(), Path::new(DIR))?;
        bytes.chunks(piece).try_for_each(|piece| incoming.write(piece))?;
        incoming.finish()
    }

    #[test]
    fn every_form_comes_in_in_pieces_of_any_length_and_leaves_nothing() {
        let disk = MemoryDisk::default();
        for compression in [Compression::None, Compression::Gzip, Compression::Snappy] {
            let bytes = stored(compression);
            for piece in [1, 7, 4096, 1 << 20] {
                let loaded = sent(&disk, &bytes, piece).unwrap();
                assert_eq!(loaded.body(), body(), "{compression:?}");
                assert_eq!(loaded.trailer.last_zxid, Some(Zxid(9)));
            }
        }
        assert!(disk.list(Path::new(DIR)).unwrap_or_default().is_empty());
    }

    #[test]
    fn what_is_cut_or_changed_anywhere_is_none() {
        let disk = MemoryDisk::default();
        for compression in [Compression::None, Compression::Gzip, Compression::Snappy] {
            let bytes = stored(compression);
            // Whoever leaves out the last section, or the last two, sends a whole snapshot.
            let ends = [0, 1, 4, 7, 16, bytes.len() / 2, bytes.len() - 20, bytes.len() - 1];
            for end in ends {
                let error = sent(&disk, &bytes[..end], 1000).unwrap_err();
                assert!(matches!(error, IncomingError::Broken { .. }), "{compression:?} {end}: {error}");
            }
            for at in [0, 20, bytes.len() / 2, bytes.len() - 30] {
                let mut changed = bytes.clone();
                changed[at] ^= 0x40;
                sent(&disk, &changed, 1000).unwrap_err();
            }
        }
        assert!(disk.list(Path::new(DIR)).unwrap_or_default().is_empty());
    }

    #[test]
    fn a_full_disk_is_told_and_nothing_is_left() {
        let disk = MemoryDisk::default();
        disk.plan_faults([(1, Fault::Full { kept: 10 })]);
        let error = sent(&disk, &stored(Compression::None), 1 << 20).unwrap_err();
        assert!(matches!(error, IncomingError::Io { action: "write", .. }), "{error}");
        assert!(disk.list(Path::new(DIR)).unwrap_or_default().is_empty());
    }
}
