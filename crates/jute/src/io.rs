//! Jute's primitives: big-endian integers, length-prefixed strings, buffers and vectors, −1 for null.
//!
//! [`Reader`] borrows from a frame; [`Writer`] appends to a `Vec<u8>` that the caller owns and reuses.
//! Length checks follow Java's `BinaryInputArchive`: −1 is null, any other negative length or one above
//! the limit is an error, and a vector count below −1 reads as empty.

use std::borrow::Cow;

use crate::{SessionId, Zxid};

/// Why bytes are not the record they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The frame ends inside a field.
    #[error("the bytes end inside a field at offset {offset}")]
    Truncated {
        /// Where the field begins.
        offset: usize,
    },
    /// A length is negative (and not −1) or above the limit.
    #[error("unreasonable length {length} at offset {offset}")]
    UnreasonableLength {
        /// The length as sent.
        length: i32,
        /// Where it stands.
        offset: usize,
    },
    /// A field that must have a value is null. Java decodes it and stumbles later, so callers that
    /// number requests tell it apart from bytes that do not decode at all.
    #[error("a null where a value is needed at offset {offset}")]
    Null {
        /// Where the field begins.
        offset: usize,
    },
    /// A type, flag or mode that the record does not allow.
    #[error("unknown value {value} at offset {offset}")]
    UnknownValue {
        /// The value as sent.
        value: i32,
        /// Where it stands.
        offset: usize,
    },
}

/// How long a string or buffer inside a record may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Java's `jute.maxbuffer` plus `zookeeper.jute.maxbuffer.extrasize`, in bytes.
    pub field_bytes_max: usize,
}

impl Limits {
    /// Java's default for `jute.maxbuffer`, the largest frame a client may send.
    pub const FRAME_BYTES_MAX_DEFAULT: usize = 0xf_ffff;
}

impl Default for Limits {
    /// Java's defaults: the extra size equals `jute.maxbuffer`.
    fn default() -> Self {
        Self { field_bytes_max: 2 * Self::FRAME_BYTES_MAX_DEFAULT }
    }
}

/// A record: its fields in wire order, both directions side by side.
pub trait Record<'a>: Sized {
    /// Reads the fields; bytes behind the record are left alone, as Java leaves them.
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError>;
    /// Appends the fields.
    fn encode(&self, w: &mut Writer<'_>);

    /// Decodes from the start of `bytes` with default limits.
    fn from_bytes(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        Self::decode(&mut Reader::new(bytes))
    }
    /// Encodes into a new buffer; hot paths use [`Record::encode`] on a buffer they keep.
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(&mut Writer::new(&mut out));
        out
    }
}

/// A cursor over borrowed bytes.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
    limits: Limits,
}

impl<'a> Reader<'a> {
    /// Reads `bytes` from their start with Java's default limits.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self::with_limits(bytes, Limits::default())
    }

    /// Reads `bytes` from their start with the given limits.
    pub fn with_limits(bytes: &'a [u8], limits: Limits) -> Self {
        Self { bytes, offset: 0, limits }
    }

    /// Reads a part of these bytes from its start, with the same limits.
    pub(crate) fn within(&self, part: &'a [u8]) -> Self {
        Self::with_limits(part, self.limits)
    }

    /// How many bytes have been read.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// What has not been read yet.
    pub fn remaining(&self) -> &'a [u8] {
        &self.bytes[self.offset..]
    }

    /// Takes exactly `length` bytes.
    pub fn bytes(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let taken = self.remaining().get(..length).ok_or(DecodeError::Truncated { offset: self.offset })?;
        self.offset += length;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let taken = self.bytes(N)?;
        Ok(taken.try_into().expect("bytes(N) yields N bytes"))
    }

    /// A `byte`.
    pub fn byte(&mut self) -> Result<u8, DecodeError> {
        Ok(self.array::<1>()?[0])
    }

    /// A `boolean`: any non-zero byte is true.
    pub fn boolean(&mut self) -> Result<bool, DecodeError> {
        Ok(self.byte()? != 0)
    }

    /// An `int`.
    pub fn int(&mut self) -> Result<i32, DecodeError> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    /// A `long`.
    pub fn long(&mut self) -> Result<i64, DecodeError> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    /// A `long` that is a position in the log.
    pub fn zxid(&mut self) -> Result<Zxid, DecodeError> {
        self.long().map(Zxid)
    }

    /// A `long` that is a session.
    pub fn session(&mut self) -> Result<SessionId, DecodeError> {
        self.long().map(SessionId)
    }

    fn length(&mut self) -> Result<Option<usize>, DecodeError> {
        let offset = self.offset;
        match self.int()? {
            -1 => Ok(None),
            length if length < 0 || length as usize > self.limits.field_bytes_max => {
                Err(DecodeError::UnreasonableLength { length, offset })
            }
            length => Ok(Some(length as usize)),
        }
    }

    /// A `buffer`; null and empty differ.
    pub fn buffer(&mut self) -> Result<Option<&'a [u8]>, DecodeError> {
        match self.length()? {
            None => Ok(None),
            Some(length) => self.bytes(length).map(Some),
        }
    }

    /// A `ustring` that may be null. Malformed UTF-8 becomes U+FFFD, as in Java.
    pub fn ustring_or_null(&mut self) -> Result<Option<Cow<'a, str>>, DecodeError> {
        Ok(self.buffer()?.map(lenient))
    }

    /// A `ustring` that must have a value.
    pub fn ustring(&mut self) -> Result<Cow<'a, str>, DecodeError> {
        let offset = self.offset;
        self.ustring_or_null()?.ok_or(DecodeError::Null { offset })
    }

    /// A `vector` that may be null; `element` reads one of its elements.
    ///
    /// Memory is taken as elements arrive, never on the word of the count alone.
    pub fn vector_or_null<T>(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<Vec<T>>, DecodeError> {
        let count = self.int()?;
        if count == -1 {
            return Ok(None);
        }
        let mut elements = Vec::with_capacity((count.max(0) as usize).min(64));
        for _ in 0..count {
            elements.push(element(self)?);
        }
        Ok(Some(elements))
    }

    /// A `vector` that must have a value.
    pub fn vector<T>(
        &mut self,
        element: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let offset = self.offset;
        self.vector_or_null(element)?.ok_or(DecodeError::Null { offset })
    }
}

/// Text as Java reads it: an encoded surrogate, or its beginning, is one malformed sequence, where the
/// standard library sees one for each byte.
pub fn lenient(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut repaired = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&first, behind)) = rest.split_first() {
        rest = match rest {
            [0xed, 0xa0..=0xbf, 0x80..=0xbf, behind @ ..] | [0xed, 0xa0..=0xbf, behind @ ..] => {
                repaired.extend_from_slice("\u{fffd}".as_bytes());
                behind
            }
            _ => {
                repaired.push(first);
                behind
            }
        };
    }
    Cow::Owned(String::from_utf8_lossy(&repaired).into_owned())
}

/// `String.hashCode()`: what the order of Java's tables comes from.
pub fn java_hash(text: &str) -> u32 {
    text.encode_utf16().fold(0, |hash: u32, unit| hash.wrapping_mul(31).wrapping_add(unit.into()))
}

/// `String.length()`: what Java counts of a text. No more is looked at than that it is plain, as nearly all are.
pub fn java_length(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.encode_utf16().count() }
}

/// Appends primitives to a buffer that the caller owns.
#[derive(Debug)]
pub struct Writer<'o> {
    out: &'o mut Vec<u8>,
}

impl<'o> Writer<'o> {
    /// Appends to `out`.
    pub fn new(out: &'o mut Vec<u8>) -> Self {
        Self { out }
    }

    /// How long the buffer is by now, what was there before included.
    pub fn position(&self) -> usize {
        self.out.len()
    }

    /// Bytes as they are, without a length.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// A `byte`.
    pub fn byte(&mut self, value: u8) {
        self.out.push(value);
    }

    /// A `boolean`.
    pub fn boolean(&mut self, value: bool) {
        self.byte(u8::from(value));
    }

    /// An `int`.
    pub fn int(&mut self, value: i32) {
        self.bytes(&value.to_be_bytes());
    }

    /// A `long`.
    pub fn long(&mut self, value: i64) {
        self.bytes(&value.to_be_bytes());
    }

    /// A `long` that is a position in the log.
    pub fn zxid(&mut self, value: Zxid) {
        self.long(value.0);
    }

    /// A `long` that is a session.
    pub fn session(&mut self, value: SessionId) {
        self.long(value.0);
    }

    /// A `buffer`, −1 for null.
    pub fn buffer(&mut self, value: Option<&[u8]>) {
        match value {
            None => self.int(-1),
            Some(bytes) => {
                self.int(i32::try_from(bytes.len()).expect("no field is longer than an int can say"));
                self.bytes(bytes);
            }
        }
    }

    /// A `ustring`.
    pub fn ustring(&mut self, value: &str) {
        self.buffer(Some(value.as_bytes()));
    }

    /// A `ustring`, −1 for null.
    pub fn ustring_or_null(&mut self, value: Option<&str>) {
        self.buffer(value.map(str::as_bytes));
    }

    /// The count of a `vector`; its elements follow.
    pub fn count(&mut self, count: usize) {
        self.int(i32::try_from(count).expect("no vector is longer than an int can say"));
    }

    /// A whole `vector`; `element` writes one of its elements.
    pub fn vector<T>(&mut self, elements: &[T], mut element: impl FnMut(&mut Self, &T)) {
        self.count(elements.len());
        for one in elements {
            element(self, one);
        }
    }

    /// Leaves room for an int that is known only later, such as a frame's length.
    #[must_use = "the place must be filled with `fill_length` or `fill_int`"]
    pub fn reserve_int(&mut self) -> usize {
        let place = self.out.len();
        self.int(0);
        place
    }

    /// Fills a reserved int with the number of bytes written behind it.
    pub fn fill_length(&mut self, place: usize) {
        let length = self.out.len() - place - 4;
        self.fill_int(place, i32::try_from(length).expect("no frame is longer than an int can say"));
    }

    /// Fills a reserved int.
    pub fn fill_int(&mut self, place: usize, value: i32) {
        self.out[place..place + 4].copy_from_slice(&value.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_empty_and_full_buffers_differ() {
        let mut out = Vec::new();
        let mut w = Writer::new(&mut out);
        w.buffer(None);
        w.buffer(Some(b""));
        w.buffer(Some(b"abc"));
        assert_eq!(out, b"\xff\xff\xff\xff\0\0\0\0\0\0\0\x03abc");
        let mut r = Reader::new(&out);
        assert_eq!(r.buffer(), Ok(None));
        assert_eq!(r.buffer(), Ok(Some(&b""[..])));
        assert_eq!(r.buffer(), Ok(Some(&b"abc"[..])));
        assert_eq!(r.remaining(), b"");
    }

    #[test]
    fn lengths_are_limited_as_in_java() {
        let limits = Limits { field_bytes_max: 2 };
        for length in [-2, i32::MIN, 3, i32::MAX] {
            let bytes = length.to_be_bytes();
            let error = DecodeError::UnreasonableLength { length, offset: 0 };
            assert_eq!(Reader::with_limits(&bytes, limits).buffer(), Err(error));
        }
        assert_eq!(Reader::with_limits(b"\0\0\0\x02ab", limits).buffer(), Ok(Some(&b"ab"[..])));
    }

    #[test]
    fn malformed_utf8_is_replaced() {
        assert_eq!(Reader::new(b"\0\0\0\x03a\xffb").ustring(), Ok(Cow::from("a\u{fffd}b")));
        assert_eq!(Reader::new(b"\0\0\0\x05a\xed\xa0\x80b").ustring(), Ok(Cow::from("a\u{fffd}b")));
        assert_eq!(Reader::new(b"\0\0\0\x04\xff\xed\xa0b").ustring(), Ok(Cow::from("\u{fffd}\u{fffd}b")));
    }

    #[test]
    fn vector_counts_below_minus_one_are_empty() {
        assert_eq!(Reader::new(&(-2i32).to_be_bytes()).vector(Reader::int), Ok(vec![]));
        assert_eq!(Reader::new(&(-1i32).to_be_bytes()).vector_or_null(Reader::int), Ok(None));
    }

    #[test]
    fn huge_vector_count_ends_with_the_bytes() {
        let mut r = Reader::new(b"\x7f\xff\xff\xff\0\0\0\x01");
        assert_eq!(r.vector(Reader::int), Err(DecodeError::Truncated { offset: 8 }));
    }

    #[test]
    fn reserved_length_counts_what_follows() {
        let mut out = vec![9];
        let mut w = Writer::new(&mut out);
        let place = w.reserve_int();
        w.long(1);
        w.fill_length(place);
        assert_eq!(out[1..5], [0, 0, 0, 8]);
    }
}
