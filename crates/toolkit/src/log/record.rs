//! A log as a stream of records, one in memory at a time.
//!
//! A record is given as it stands, whether its checksum fits or not: what that means is for whoever asked to decide.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};

use zabd_jute::Limits;

use crate::console::{Thrown, thrown_io};

/// A log's first bytes.
pub(crate) const MAGIC: i32 = i32::from_be_bytes(*b"ZKLG");
/// The mark behind an entry.
pub(crate) const END_MARK: u8 = b'B';
/// How much is read at a time.
const CHUNK_BYTES: usize = 256 << 10;

/// `FileHeader { int magic; int version; long dbid; }`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) magic: i32,
    pub(crate) version: i32,
    pub(crate) database: i64,
}

impl Header {
    pub(crate) const BYTES: u64 = 16;

    pub(crate) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(&self.magic.to_be_bytes())?;
        out.write_all(&self.version.to_be_bytes())?;
        out.write_all(&self.database.to_be_bytes())
    }

    /// What both modes say first.
    pub(crate) fn line(&self) -> String {
        let Self { version, database, .. } = self;
        format!("ZooKeeper Transactional Log File with dbid {database} txnlog format version {version}")
    }
}

/// A log that is open for reading.
#[derive(Debug)]
pub(crate) struct LogReader<R> {
    source: BufReader<R>,
    limits: Limits,
    /// The checksum that the record has.
    pub(crate) checksum: i64,
    /// The record's entry.
    pub(crate) entry: Vec<u8>,
}

impl LogReader<File> {
    pub(crate) fn new(source: File, limits: Limits) -> Self {
        Self::of(source, limits)
    }
}

impl<R: Read> LogReader<R> {
    pub(crate) fn of(source: R, limits: Limits) -> Self {
        let source = BufReader::with_capacity(CHUNK_BYTES, source);
        Self { source, limits, checksum: 0, entry: Vec::new() }
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Thrown> {
        let mut bytes = [0; N];
        self.source.read_exact(&mut bytes).map_err(|error| thrown_io(&error))?;
        Ok(bytes)
    }

    /// Reads the file's header.
    pub(crate) fn header(&mut self) -> Result<Header, Thrown> {
        Ok(Header {
            magic: i32::from_be_bytes(self.bytes()?),
            version: i32::from_be_bytes(self.bytes()?),
            database: i64::from_be_bytes(self.bytes()?),
        })
    }

    /// Reads checksum and entry of the next record; false at the end, which is where the bytes end or the room begins that was
    /// taken ahead.
    pub(crate) fn next_entry(&mut self) -> Result<bool, Thrown> {
        match self.entry_or_end() {
            Err(thrown) if thrown == Thrown::end_of_file() => Ok(false),
            outcome => outcome,
        }
    }

    fn entry_or_end(&mut self) -> Result<bool, Thrown> {
        self.checksum = i64::from_be_bytes(self.bytes()?);
        let length = i32::from_be_bytes(self.bytes()?);
        let length_max = self.limits.field_bytes_max;
        let bytes = match usize::try_from(length) {
            Ok(bytes) if bytes <= length_max => bytes,
            _ if length == -1 => {
                return Err(Thrown::null_pointer("Cannot read the array length because \"bytes\" is null"));
            }
            _ => return Err(Thrown::unreasonable_length(length)),
        };
        self.entry.clear();
        // Memory is taken as bytes arrive, never on the word of the length alone.
        let read = self
            .source
            .by_ref()
            .take(bytes as u64)
            .read_to_end(&mut self.entry)
            .map_err(|error| thrown_io(&error))?;
        if read < bytes {
            return Err(Thrown::end_of_file());
        }
        Ok(bytes > 0)
    }

    /// Whether the end mark stands behind the entry.
    pub(crate) fn is_whole(&mut self) -> Result<bool, Thrown> {
        Ok(self.bytes()? == [END_MARK])
    }

    /// The checksum that the record should have.
    pub(crate) fn right_checksum(&self) -> i64 {
        let mut adler = adler2_simd::Adler32::new();
        adler.write(&self.entry);
        adler.finish().into()
    }

    /// Writes the record with this checksum.
    pub(crate) fn copy(&self, checksum: i64, out: &mut impl Write) -> io::Result<u64> {
        out.write_all(&checksum.to_be_bytes())?;
        out.write_all(&(self.entry.len() as u32).to_be_bytes())?;
        out.write_all(&self.entry)?;
        out.write_all(&[END_MARK])?;
        Ok(8 + 4 + self.entry.len() as u64 + 1)
    }
}
