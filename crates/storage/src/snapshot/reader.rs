//! Reading: every seal that is there is checked, whatever the settings say.
//!
//! Which sections follow the body is told by how many bytes do (Java tells it by its configuration, and
//! stumbles when that was changed): none, 33 for a digest, 21 for a last zxid, 54 for both.

use std::io::Read as _;
use std::ops::Range;
use std::path::Path;

use zabd_jute::Zxid;

use super::{
    Compression, DIGEST_BYTES, DIGEST_VERSION, HEADER, LAST_ZXID_BYTES, SEAL_BYTES, SLASH, SnapshotError,
    SnapshotTrailer, snappy,
};
use crate::disk::{Contents, Disk};

/// A file that is shorter than this is no snapshot for Java.
const BYTES_MIN: usize = 10;
pub(super) const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// A whole snapshot.
#[derive(Debug)]
pub struct LoadedSnapshot {
    contents: Contents,
    body: Range<usize>,
    /// What stands behind the body.
    pub trailer: SnapshotTrailer,
}

impl LoadedSnapshot {
    /// Content that is not compressed, if its seals are right.
    pub(super) fn of(contents: Contents) -> Result<Self, Broken> {
        let (body, trailer) = split(&contents)?;
        Ok(Self { contents, body, trailer })
    }

    /// Sessions, access lists, znodes and the closing slash.
    pub fn body(&self) -> &[u8] {
        &self.contents[self.body.clone()]
    }

    /// Whether a last zxid stands where Java 3.6 to 3.8 look for a digest.
    pub fn lacks_digest_section(&self) -> bool {
        self.contents.len() - self.body.end == 2 * SEAL_BYTES + LAST_ZXID_BYTES
    }
}

/// A file's content, whatever it is.
#[derive(Debug)]
pub struct Content {
    /// Decompressed, as far as that goes.
    pub bytes: Contents,
    /// Why it goes no further.
    pub broken: Option<SnapshotError>,
}

/// Reads a file and decompresses it; what it holds is not looked at.
pub fn content<D: Disk>(disk: &D, path: &Path) -> Result<Content, SnapshotError> {
    let contents = disk.read(path).map_err(|source| io_error(path, source))?;
    let mut plain = Vec::new();
    let broken = match compression_of(path) {
        Compression::None => return Ok(Content { bytes: contents, broken: None }),
        Compression::Gzip => {
            let read = flate2::read::MultiGzDecoder::new(&contents[..]).read_to_end(&mut plain);
            read.err().map(|_| (plain.len(), "the gzip stream breaks"))
        }
        Compression::Snappy => snappy::decompress(&contents, &mut plain).err(),
    };
    Ok(Content { bytes: Contents::Owned(plain), broken: broken.map(|broken| damaged(path, broken)) })
}

/// Reads a snapshot and checks its seals.
pub fn load<D: Disk>(disk: &D, path: &Path) -> Result<LoadedSnapshot, SnapshotError> {
    let Content { bytes: contents, broken } = content(disk, path)?;
    if let Some(broken) = broken {
        return Err(broken);
    }
    LoadedSnapshot::of(contents).map_err(|broken| damaged(path, broken))
}

/// Whether a file looks like a whole snapshot at a glance: its last bytes if it is not compressed, its
/// first if it is. Java's `SnapStream.isValidSnapshot`.
pub fn looks_whole<D: Disk>(disk: &D, path: &Path) -> bool {
    let Ok(contents) = disk.read(path) else { return false };
    match compression_of(path) {
        Compression::None => BYTES_MIN <= contents.len() && contents.ends_with(&SLASH),
        Compression::Gzip => contents.starts_with(&GZIP_MAGIC),
        Compression::Snappy => contents.starts_with(&snappy::HEADER[..8]),
    }
}

fn compression_of(path: &Path) -> Compression {
    Compression::of_name(path.file_name().and_then(|name| name.to_str()).unwrap_or_default())
}

pub(super) fn io_error(path: &Path, source: std::io::Error) -> SnapshotError {
    SnapshotError::Io { action: "read", path: path.to_owned(), source }
}

/// Where a stream breaks, and how.
pub(super) type Broken = (usize, &'static str);

pub(super) fn damaged(path: &Path, (offset, what): Broken) -> SnapshotError {
    SnapshotError::Damaged { path: path.to_owned(), offset: offset as u64, what }
}

/// Finds the body and reads what stands behind it.
pub(super) fn split(contents: &[u8]) -> Result<(Range<usize>, SnapshotTrailer), Broken> {
    if !contents.starts_with(&HEADER[..4]) {
        return Err((0, "no snapshot header"));
    }
    if contents.len() < HEADER.len() + SLASH.len() + SEAL_BYTES || !contents.ends_with(&SLASH) {
        return Err((contents.len(), "the snapshot is cut short"));
    }
    // The longest form first: that a shorter one matches too could only be chance, as the checksum decides.
    for (has_digest, has_last) in [(true, true), (true, false), (false, true), (false, false)] {
        let digest = if has_digest { DIGEST_BYTES + SEAL_BYTES } else { 0 };
        let last = if has_last { LAST_ZXID_BYTES + SEAL_BYTES } else { 0 };
        let Some(seal) = contents.len().checked_sub(SEAL_BYTES + digest + last) else { continue };
        // A look at the slash before the checksum of everything.
        if seal < HEADER.len() + SLASH.len() || !contents[..seal].ends_with(&SLASH) {
            continue;
        }
        let mut seals = Seals { contents, adler: adler2_simd::Adler32::new(), summed: 0 };
        if seals.is_sealed(seal) {
            let trailer = read_trailer(&mut seals, seal + SEAL_BYTES, has_digest, has_last)?;
            return Ok((HEADER.len()..seal, trailer));
        }
    }
    Err((contents.len(), "the checksum at the end does not match the content"))
}

/// The checksum of a stream up to one seal after the other.
struct Seals<'c> {
    contents: &'c [u8],
    adler: adler2_simd::Adler32,
    summed: usize,
}

impl Seals<'_> {
    fn is_sealed(&mut self, at: usize) -> bool {
        self.adler.write(&self.contents[self.summed..at]);
        self.summed = at;
        let Some(seal) = self.contents.get(at..at + SEAL_BYTES) else { return false };
        seal[..8] == u64::from(self.adler.finish()).to_be_bytes() && seal[8..] == SLASH
    }
}

fn read_trailer(
    seals: &mut Seals<'_>,
    mut at: usize,
    has_digest: bool,
    has_last: bool,
) -> Result<SnapshotTrailer, Broken> {
    let contents = seals.contents;
    let long = |at: usize| i64::from_be_bytes(*contents[at..].first_chunk().expect("the section is there"));
    let mut trailer = SnapshotTrailer::default();
    if has_digest {
        if !seals.is_sealed(at + DIGEST_BYTES) {
            return Err((at, "the digest's seal does not match"));
        }
        let is_ours = contents[at + 8..at + 12] == DIGEST_VERSION.to_be_bytes();
        // Another version's digest cannot be compared; zxid 0 means that there was none.
        if is_ours && long(at) != 0 {
            trailer.digest = Some((Zxid(long(at)), long(at + 12) as u64));
        }
        at += DIGEST_BYTES + SEAL_BYTES;
    }
    if has_last {
        if !seals.is_sealed(at + LAST_ZXID_BYTES) {
            return Err((at, "the last zxid's seal does not match"));
        }
        trailer.last_zxid = Some(Zxid(long(at)));
    }
    Ok(trailer)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `snapshot.0` of an empty 3.9.5 server ends like this; the body is shortened.
    fn sealed(sections: &[&[u8]]) -> Vec<u8> {
        let mut file = HEADER.to_vec();
        for section in [&[b"body".as_slice(), &SLASH].concat()[..]].iter().chain(sections) {
            file.extend_from_slice(section);
            let mut adler = adler2_simd::Adler32::new();
            adler.write(&file);
            file.extend_from_slice(&u64::from(adler.finish()).to_be_bytes());
            file.extend_from_slice(&SLASH);
        }
        file
    }

    const DIGEST: &[u8] = b"\0\0\0\0\0\0\0\x05\0\0\0\x02\0\0\0\0\0\0\0\x09";
    const LAST: &[u8] = b"\0\0\0\0\0\0\0\x06";

    #[test]
    fn the_length_decides_which_sections_are_there() {
        let digest = Some((Zxid(5), 9));
        let last_zxid = Some(Zxid(6));
        for (sections, behind, trailer) in [
            (&[][..], 0, SnapshotTrailer::default()),
            (&[DIGEST], 33, SnapshotTrailer { digest, last_zxid: None }),
            (&[LAST], 21, SnapshotTrailer { digest: None, last_zxid }),
            (&[DIGEST, LAST], 54, SnapshotTrailer { digest, last_zxid }),
        ] {
            let file = sealed(sections);
            let (body, found) = split(&file).unwrap();
            assert_eq!((&file[body.clone()], found), (&b"body\0\0\0\x01/"[..], trailer));
            assert_eq!(file.len() - body.end - SEAL_BYTES, behind);
            for at in 0..file.len() {
                let mut damaged = file.clone();
                damaged[at] ^= 1;
                // Version and database of the header are not looked at on their own, but sealed.
                assert!(split(&damaged).is_err(), "byte {at} of {}", file.len());
                // A whole snapshot with fewer sections is found where it ends with a seal.
                let prefix = split(&file[..at]);
                assert!(prefix.is_err() || file.len() - at >= 21, "cut at {at} of {}", file.len());
            }
            assert!(split(&[&file[..], b"junk"].concat()).is_err());
        }
    }

    #[test]
    fn a_digest_of_another_version_or_of_nothing_is_not_compared() {
        let mut other = DIGEST.to_vec();
        other[11] = 3;
        let mut none = DIGEST.to_vec();
        none[7] = 0;
        for section in [other, none] {
            let (_, trailer) = split(&sealed(&[&section, LAST])).unwrap();
            assert_eq!(trailer, SnapshotTrailer { digest: None, last_zxid: Some(Zxid(6)) });
        }
    }
}
