//! Reading: every seal that is there is checked, whatever the settings say.
//!
//! Which sections follow the body is told by how many bytes do (Java tells it by its configuration, and
//! stumbles when that was changed): none, a digest, a last zxid, or both.

use std::io::Read as _;
use std::ops::Range;
use std::path::{Path, PathBuf};

use zabd_jute::Zxid;

use super::{
    Compression, DIGEST_BYTES, DIGEST_VERSION, HEADER, LAST_ZXID_BYTES, SEAL_BYTES, SLASH, SnapshotError,
    SnapshotTrailer, snappy,
};
use crate::disk::{Contents, Disk};
use crate::log::adler32;

/// A whole snapshot.
#[derive(Debug)]
pub struct LoadedSnapshot {
    contents: Contents,
    body: Range<usize>,
    /// What stands behind the body.
    pub trailer: SnapshotTrailer,
}

impl LoadedSnapshot {
    /// Sessions, access lists, znodes and the closing slash.
    pub fn body(&self) -> &[u8] {
        &self.contents[self.body.clone()]
    }
}

/// Reads a snapshot and checks its seals.
pub fn load<D: Disk>(disk: &D, path: &Path) -> Result<LoadedSnapshot, SnapshotError> {
    let contents = disk.read(path).map_err(|source| io_error(path, source))?;
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let contents = match Compression::of_name(name) {
        Compression::None => contents,
        Compression::Gzip => {
            let mut plain = Vec::new();
            let read = flate2::read::MultiGzDecoder::new(&contents[..]).read_to_end(&mut plain);
            read.map_err(|_| damaged(path, plain.len(), "the gzip stream breaks"))?;
            Contents::Owned(plain)
        }
        Compression::Snappy => {
            let plain = snappy::decompress(&contents).map_err(|(at, what)| damaged(path, at, what))?;
            Contents::Owned(plain)
        }
    };
    let (body, trailer) = split(&contents).map_err(|(at, what)| damaged(path, at, what))?;
    Ok(LoadedSnapshot { contents, body, trailer })
}

fn io_error(path: &Path, source: std::io::Error) -> SnapshotError {
    SnapshotError::Io { action: "read", path: path.to_owned(), source }
}

fn damaged(path: &Path, offset: usize, what: &'static str) -> SnapshotError {
    SnapshotError::Damaged { path: PathBuf::from(path), offset: offset as u64, what }
}

type Broken = (usize, &'static str);

fn split(contents: &[u8]) -> Result<(Range<usize>, SnapshotTrailer), Broken> {
    if !contents.starts_with(&HEADER[..4]) {
        return Err((0, "no snapshot header"));
    }
    if !contents.ends_with(&SLASH) {
        return Err((contents.len(), "the snapshot is cut short"));
    }
    // The longest form first: a shorter one is its prefix only by chance, and the checksum decides.
    for (has_digest, has_last) in [(true, true), (true, false), (false, true), (false, false)] {
        let digest = if has_digest { DIGEST_BYTES + SEAL_BYTES } else { 0 };
        let last = if has_last { LAST_ZXID_BYTES + SEAL_BYTES } else { 0 };
        let Some(seal) = contents.len().checked_sub(SEAL_BYTES + digest + last) else { continue };
        let is_body = seal >= HEADER.len() + SLASH.len() && contents[..seal].ends_with(&SLASH);
        if is_body && is_sealed(contents, seal) {
            let body = HEADER.len()..seal;
            return Ok((body, read_trailer(contents, seal + SEAL_BYTES, has_digest, has_last)?));
        }
    }
    Err((contents.len(), "no seal matches the content"))
}

fn is_sealed(contents: &[u8], at: usize) -> bool {
    let Some(seal) = contents.get(at..at + SEAL_BYTES) else { return false };
    seal[8..] == SLASH && seal[..4] == [0; 4] && seal[4..8] == adler32(&contents[..at]).to_be_bytes()
}

fn read_trailer(
    contents: &[u8],
    mut at: usize,
    has_digest: bool,
    has_last: bool,
) -> Result<SnapshotTrailer, Broken> {
    let long =
        |at: usize| i64::from_be_bytes(contents[at..at + 8].try_into().expect("eight bytes are eight bytes"));
    let mut trailer = SnapshotTrailer::default();
    if has_digest {
        let version = contents[at + 8..at + 12] == DIGEST_VERSION.to_be_bytes();
        if !is_sealed(contents, at + DIGEST_BYTES) {
            return Err((at, "the digest's seal does not match"));
        }
        // Another version's digest cannot be compared; zxid 0 means that there was none.
        if version && long(at) != 0 {
            trailer.digest = Some((Zxid(long(at)), long(at + 12) as u64));
        }
        at += DIGEST_BYTES + SEAL_BYTES;
    }
    if has_last {
        if !is_sealed(contents, at + LAST_ZXID_BYTES) {
            return Err((at, "the last zxid's seal does not match"));
        }
        trailer.last_zxid = Some(Zxid(long(at)));
    }
    Ok(trailer)
}
