//! Writing: a temporary file that becomes a snapshot in one step, when all of it is durable.
//!
//! Java overwrites the only snapshot in place; a crash then leaves none. The temporary name begins with
//! neither `log.` nor `snapshot.`, because Java would count it otherwise.
//!
//! The disk also serves the log, whose syncs must not wait. So each piece is on the disk before the next
//! one is written, and there is never more than one of them between the log's syncs and the disk; whoever
//! produces the body can pace himself by [`SnapshotWriter::bytes_written`].

use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::write::GzEncoder;
use zabd_jute::Zxid;
use zabd_mutation::{Mutation, is_on};

use super::{
    Compression, DIGEST_VERSION, HEADER, LoadedSnapshot, SLASH, SnapshotError, SnapshotTrailer, snappy,
};
use crate::disk::{BLOCK_BYTES, Disk, DiskFile};
use crate::layout;

/// How much is handed to the disk at a time, in bytes.
const PIECE_BYTES: usize = 256 << 10;

/// A snapshot that is being written. Dropped before it is finished, it leaves nothing.
pub struct SnapshotWriter<D: Disk> {
    disk: D,
    file: D::File,
    dir: PathBuf,
    temporary: PathBuf,
    name: String,
    stream: Stream,
    /// Of everything before compression.
    adler: adler2_simd::Adler32,
    /// Compressed bytes that are not in the file yet.
    waiting: Vec<u8>,
    written: u64,
    finished: bool,
}

enum Stream {
    Plain,
    Gzip(GzEncoder<Vec<u8>>),
    /// Less than a block.
    Snappy(Vec<u8>),
}

impl<D: Disk> SnapshotWriter<D> {
    /// Begins `snapshot.<zxid>` in `dir`.
    pub fn begin(disk: D, dir: &Path, zxid: Zxid, compression: Compression) -> Result<Self, SnapshotError> {
        let name = layout::snapshot_name(zxid, compression.extension());
        Self::begin_as(disk, dir, name, compression)
    }

    /// The same beside others of the same position that have no name yet; the number is this one's own.
    pub fn begin_beside(
        disk: D,
        dir: &Path,
        zxid: Zxid,
        compression: Compression,
        number: u64,
    ) -> Result<Self, SnapshotError> {
        let name = layout::snapshot_name(zxid, compression.extension());
        let mut writer = Self::begin_as(disk, dir, format!("{name}.{number}"), compression)?;
        writer.name = name;
        Ok(writer)
    }

    /// Begins a snapshot in `dir` whose position is known when it is sealed; there is one at a time.
    pub fn begin_unnamed(disk: D, dir: &Path, compression: Compression) -> Result<Self, SnapshotError> {
        let name = layout::snapshot_name(Zxid::ZERO, &format!(".unnamed{}", compression.extension()));
        Self::begin_as(disk, dir, name, compression)
    }

    fn begin_as(disk: D, dir: &Path, name: String, compression: Compression) -> Result<Self, SnapshotError> {
        let in_place = is_on(Mutation::SnapshotInPlace);
        let temporary = if in_place { dir.join(&name) } else { dir.join(layout::temporary_name(&name)) };
        let created = disk.create(&temporary);
        let file = created.map_err(|source| SnapshotError::Io {
            action: "create",
            path: temporary.clone(),
            source,
        })?;
        let (stream, waiting) = match compression {
            Compression::None => (Stream::Plain, Vec::new()),
            Compression::Gzip => {
                (Stream::Gzip(GzEncoder::new(Vec::new(), flate2::Compression::default())), Vec::new())
            }
            Compression::Snappy => (Stream::Snappy(Vec::new()), snappy::HEADER.to_vec()),
        };
        let adler = adler2_simd::Adler32::new();
        let dir = dir.to_owned();
        let mut writer =
            Self { disk, file, dir, temporary, name, stream, adler, waiting, written: 0, finished: false };
        writer.write(&HEADER)?;
        Ok(writer)
    }

    /// Appends a part of the body.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        self.adler.write(bytes);
        match &mut self.stream {
            Stream::Plain => self.waiting.extend_from_slice(bytes),
            Stream::Gzip(encoder) => {
                encoder.write_all(bytes).expect("memory takes what is written to it");
                self.waiting.append(encoder.get_mut());
            }
            Stream::Snappy(rest) => {
                rest.extend_from_slice(bytes);
                let whole = rest.len() / snappy::BLOCK_BYTES * snappy::BLOCK_BYTES;
                for block in rest[..whole].chunks(snappy::BLOCK_BYTES) {
                    snappy::compress_block(block, &mut self.waiting);
                }
                rest.drain(..whole);
            }
        }
        if self.waiting.len() >= PIECE_BYTES { self.hand_over_blocks() } else { Ok(()) }
    }

    /// Bytes handed to the disk so far, after compression.
    pub fn bytes_written(&self) -> u64 {
        self.written
    }

    /// Seals the snapshot, makes it durable and gives it its name. The body must end with `ustring "/"`.
    pub fn finish(self, trailer: SnapshotTrailer) -> Result<PathBuf, SnapshotError> {
        self.seal_up(trailer)?.publish()
    }

    /// Seals the snapshot and makes it durable; its name comes later. The body must end with `ustring "/"`.
    pub fn seal_up(mut self, trailer: SnapshotTrailer) -> Result<SealedSnapshot<D>, SnapshotError> {
        self.seal()?;
        if let Some((zxid, digest)) = trailer.digest {
            self.write(&zxid.0.to_be_bytes())?;
            self.write(&DIGEST_VERSION.to_be_bytes())?;
            self.write(&digest.to_be_bytes())?;
            self.seal()?;
        }
        if let Some(zxid) = trailer.last_zxid {
            self.write(&zxid.0.to_be_bytes())?;
            self.seal()?;
        }
        match std::mem::replace(&mut self.stream, Stream::Plain) {
            Stream::Plain => (),
            Stream::Gzip(encoder) => {
                self.waiting.extend(encoder.finish().expect("memory takes what is written to it"));
            }
            Stream::Snappy(rest) if rest.is_empty() => (),
            Stream::Snappy(rest) => snappy::compress_block(&rest, &mut self.waiting),
        }
        self.hand_over(self.waiting.len())?;
        self.sync()?;
        Ok(SealedSnapshot { writer: self })
    }

    /// The same of one that was begun without a position.
    pub fn seal_up_as(
        mut self,
        zxid: Zxid,
        trailer: SnapshotTrailer,
    ) -> Result<SealedSnapshot<D>, SnapshotError> {
        self.name = layout::snapshot_name(zxid, Compression::of_name(&self.name).extension());
        self.seal_up(trailer)
    }

    fn seal(&mut self) -> Result<(), SnapshotError> {
        let adler = u64::from(self.adler.finish());
        self.write(&adler.to_be_bytes())?;
        self.write(&SLASH)
    }

    /// Makes durable what can be of what was appended, so that little is left to do when it is sealed.
    pub fn flush(&mut self) -> Result<(), SnapshotError> {
        self.hand_over_blocks()?;
        self.sync()
    }

    /// Pieces are whole blocks, but for the last.
    fn hand_over_blocks(&mut self) -> Result<(), SnapshotError> {
        self.hand_over(self.waiting.len() / BLOCK_BYTES * BLOCK_BYTES)
    }

    /// Hands the first bytes of what waits to the disk.
    fn hand_over(&mut self, length: usize) -> Result<(), SnapshotError> {
        let piece = &self.waiting[..length];
        let written = if is_on(Mutation::SnapshotNotSynced) {
            self.file.write_at(self.written, piece)
        } else {
            self.file.write_through(self.written, piece)
        };
        written.map_err(|source| self.failed("write", source))?;
        self.written += length as u64;
        self.waiting.drain(..length);
        Ok(())
    }

    fn sync(&mut self) -> Result<(), SnapshotError> {
        let synced = if is_on(Mutation::SnapshotNotSynced) { Ok(()) } else { self.file.sync() };
        synced.map_err(|source| self.failed("sync", source))
    }

    fn failed(&self, action: &'static str, source: std::io::Error) -> SnapshotError {
        SnapshotError::Io { action, path: self.temporary.clone(), source }
    }
}

/// A whole, durable snapshot that no start counts yet. Dropped before it is published, it leaves nothing.
pub struct SealedSnapshot<D: Disk> {
    writer: SnapshotWriter<D>,
}

impl<D: Disk> SealedSnapshot<D> {
    /// Reads it back, as a start would.
    pub fn load(&self) -> Result<LoadedSnapshot, SnapshotError> {
        super::load(&self.writer.disk, &self.writer.temporary)
    }

    /// Where it is until it has its name.
    pub fn place(&self) -> &Path {
        &self.writer.temporary
    }

    /// Where it will be.
    pub fn path(&self) -> PathBuf {
        self.writer.dir.join(&self.writer.name)
    }

    /// Gives it its name, durably; once more if it has it and that may not be durable.
    pub fn publish(&mut self) -> Result<PathBuf, SnapshotError> {
        let writer = &mut self.writer;
        let path = writer.dir.join(&writer.name);
        if !writer.finished {
            writer.disk.rename(&writer.temporary, &path).map_err(|source| writer.failed("finish", source))?;
            writer.finished = true;
        }
        writer.disk.sync_dir(&writer.dir).map_err(|source| writer.failed("name", source))?;
        Ok(path)
    }
}

impl<D: Disk> std::fmt::Debug for SnapshotWriter<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SnapshotWriter").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<D: Disk> std::fmt::Debug for SealedSnapshot<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealedSnapshot").field("name", &self.writer.name).finish_non_exhaustive()
    }
}

impl<D: Disk> Drop for SnapshotWriter<D> {
    fn drop(&mut self) {
        if !self.finished {
            // Best effort: what stays is not counted as a snapshot, and the next start removes it.
            let _ = self.disk.remove(&self.temporary);
        }
    }
}
