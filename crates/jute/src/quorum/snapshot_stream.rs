//! Where a leader's state ends, which follows a SNAP packet without any frame around it.
//!
//! ```text
//! int n · { long session · int timeout } × n
//! int n · { long index · vector<ACL> } × n
//! { ustring path · buffer data · 8 + 60 bytes }…      until a path is "/"
//! ustring "BenWasHere"
//! ```
//!
//! Up to and with the path "/" that is the body of a snapshot file without its seals, which the tree writes
//! and loads. Nothing tells its length, so the end is found by walking: [`SnapshotStream`] takes what arrives,
//! chunk by chunk, keeps nothing of it, and says how much belongs to the body. Packets follow at once.

use crate::{DecodeError, Limits};

/// What a leader writes behind the body. Without it, nothing of the body may be used.
pub const SNAPSHOT_SIGNATURE: &[u8; 14] = b"\0\0\0\x0aBenWasHere";

/// What of a chunk belongs to the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// So many bytes, from the chunk's start, belong to the body.
    pub body: usize,
    /// So many belong to the stream, the signature included; what is behind them is a packet.
    pub stream: usize,
    /// Whether the stream is complete.
    pub is_complete: bool,
}

/// Why a stream is not a leader's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotStreamError {
    /// A length is impossible, or a path is null.
    #[error("the leader's snapshot does not decode")]
    Undecodable(#[from] DecodeError),
    /// The body ends without what a leader writes behind it.
    #[error("the leader's snapshot ends without its signature")]
    WrongSignature,
}

/// A position in the stream.
#[derive(Clone, Debug)]
pub struct SnapshotStream {
    limits: Limits,
    field: Field,
    /// Bytes before the next field that only have to pass.
    skip: u64,
    /// The beginning of the next field.
    held: [u8; 14],
    held_length: usize,
    /// Access lists, or entries of the current one, that are still to come.
    lists: i32,
    entries: i32,
    /// Bytes taken so far.
    offset: usize,
}

/// What is looked at next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    SessionCount,
    ListCount,
    /// An access list's number, and how many entries it has.
    List,
    /// An entry's permissions, and how long its scheme is.
    Entry,
    IdLength,
    PathLength,
    /// The only byte of a path.
    Path,
    DataLength,
    Signature,
    End,
}

impl Field {
    fn bytes(self) -> usize {
        match self {
            Field::SessionCount
            | Field::ListCount
            | Field::IdLength
            | Field::PathLength
            | Field::DataLength => 4,
            Field::List => 12,
            Field::Entry => 8,
            Field::Path => 1,
            Field::Signature => SNAPSHOT_SIGNATURE.len(),
            Field::End => 0,
        }
    }
}

impl SnapshotStream {
    /// At the byte behind the SNAP packet.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            field: Field::SessionCount,
            skip: 0,
            held: [0; 14],
            held_length: 0,
            lists: 0,
            entries: 0,
            offset: 0,
        }
    }

    /// Goes on with the next chunk. Behind an error or the end there is nothing to go on with.
    pub fn take(&mut self, chunk: &[u8]) -> Result<Taken, SnapshotStreamError> {
        let (mut taken, mut body) = (0, 0);
        while self.field != Field::End && taken < chunk.len() {
            let rest = &chunk[taken..];
            let is_signature = self.field == Field::Signature;
            let length = if self.skip == 0 { self.hold(rest)? } else { self.pass(rest) };
            taken += length;
            self.offset += length;
            if !is_signature {
                body = taken;
            }
        }
        Ok(Taken { body, stream: taken, is_complete: self.field == Field::End })
    }

    fn pass(&mut self, rest: &[u8]) -> usize {
        let passed = self.skip.min(rest.len() as u64);
        self.skip -= passed;
        passed as usize
    }

    /// Adds to the current field; a field that is complete decides what comes next.
    fn hold(&mut self, rest: &[u8]) -> Result<usize, SnapshotStreamError> {
        let missing = self.field.bytes() - self.held_length;
        let length = missing.min(rest.len());
        let end = self.held_length + length;
        self.held[self.held_length..end].copy_from_slice(&rest[..length]);
        self.held_length = end;
        if self.field == Field::Signature && self.held[..end] != SNAPSHOT_SIGNATURE[..end] {
            return Err(SnapshotStreamError::WrongSignature);
        }
        if end == self.field.bytes() {
            self.held_length = 0;
            self.field = self.next_field(self.offset + length)?;
        }
        Ok(length)
    }

    /// What comes behind the field that is held; `offset` is where that field ends.
    fn next_field(&mut self, offset: usize) -> Result<Field, DecodeError> {
        Ok(match self.field {
            Field::SessionCount => {
                self.skip = 12 * self.int_at(0).max(0) as u64;
                Field::ListCount
            }
            Field::ListCount => {
                self.lists = self.int_at(0);
                self.next_list()
            }
            Field::List => {
                self.lists -= 1;
                self.entries = self.int_at(8);
                self.next_entry()
            }
            Field::Entry => {
                self.skip = self.length_at(4, offset)?.unwrap_or(0);
                Field::IdLength
            }
            Field::IdLength => {
                self.skip = self.length_at(0, offset)?.unwrap_or(0);
                self.entries -= 1;
                self.next_entry()
            }
            Field::PathLength => {
                match self.length_at(0, offset)?.ok_or(DecodeError::Null { offset: offset - 4 })? {
                    1 => Field::Path,
                    length => {
                        self.skip = length;
                        Field::DataLength
                    }
                }
            }
            Field::Path if self.held[0] == b'/' => Field::Signature,
            Field::Path => Field::DataLength,
            Field::DataLength => {
                self.skip = self.length_at(0, offset)?.unwrap_or(0) + 68;
                Field::PathLength
            }
            Field::Signature | Field::End => Field::End,
        })
    }

    fn next_list(&self) -> Field {
        if 0 < self.lists { Field::List } else { Field::PathLength }
    }

    fn next_entry(&self) -> Field {
        if 0 < self.entries { Field::Entry } else { self.next_list() }
    }

    fn int_at(&self, place: usize) -> i32 {
        i32::from_be_bytes([0, 1, 2, 3].map(|byte| self.held[place + byte]))
    }

    /// A length that ends its field; `None` for null.
    fn length_at(&self, place: usize, offset: usize) -> Result<Option<u64>, DecodeError> {
        match self.int_at(place) {
            -1 => Ok(None),
            length if length < 0 || self.limits.field_bytes_max < length as usize => {
                Err(DecodeError::UnreasonableLength { length, offset: offset - 4 })
            }
            length => Ok(Some(length as u64)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Acl, Record, StatPersisted, Writer};

    /// Two sessions, two access lists, three znodes: one with the shortest path there is, one without data.
    fn stream() -> Vec<u8> {
        let mut out = Vec::new();
        let mut w = Writer::new(&mut out);
        w.count(2);
        w.bytes(&[7; 24]);
        w.count(2);
        for acl in [vec![Acl::new(1, "ip", ""), Acl::open()], vec![]] {
            w.long(1);
            w.vector(&acl, |w, acl| acl.encode(w));
        }
        for (path, data) in [("", Some(&b"root"[..])), ("a", Some(b"")), ("/zookeeper", None)] {
            w.ustring(path);
            w.buffer(data);
            w.long(-1);
            StatPersisted::default().encode(&mut w);
        }
        w.ustring("/");
        w.bytes(SNAPSHOT_SIGNATURE);
        out
    }

    fn start() -> SnapshotStream {
        SnapshotStream::new(Limits { field_bytes_max: 64 })
    }

    #[test]
    fn the_end_is_found_whatever_the_chunks_are() {
        let stream = stream();
        let body = stream.len() - 14;
        let bytes = [stream.as_slice(), b"packet"].concat();
        for size in 1..=bytes.len() {
            let mut position = start();
            let mut sum = Taken { body: 0, stream: 0, is_complete: false };
            for chunk in bytes.chunks(size) {
                assert!(
                    sum.is_complete || sum.stream.is_multiple_of(size),
                    "a chunk before the end is taken whole"
                );
                let taken = position.take(chunk).unwrap();
                sum.body += taken.body;
                sum.stream += taken.stream;
                sum.is_complete = taken.is_complete;
            }
            assert_eq!(sum, Taken { body, stream: stream.len(), is_complete: true }, "chunks of {size}");
        }
    }

    #[test]
    fn no_beginning_is_an_end() {
        let stream = stream();
        for length in 0..stream.len() {
            let taken = start().take(&stream[..length]).unwrap();
            let body = length.min(stream.len() - 14);
            assert_eq!(taken, Taken { body, stream: length, is_complete: false });
        }
    }

    #[test]
    fn another_signature_is_refused_at_its_first_byte() {
        let mut stream = stream();
        let at = stream.len() - 5;
        stream[at] ^= 1;
        assert!(start().take(&stream[..at]).is_ok());
        assert_eq!(start().take(&stream[..=at]), Err(SnapshotStreamError::WrongSignature));
    }

    #[test]
    fn impossible_lengths_are_refused_where_they_stand() {
        let tables = [0; 8];
        for (length, error) in [
            (-1, DecodeError::Null { offset: 8 }),
            (-2, DecodeError::UnreasonableLength { length: -2, offset: 8 }),
            (65, DecodeError::UnreasonableLength { length: 65, offset: 8 }),
        ] {
            let bytes = [&tables[..], &i32::to_be_bytes(length)].concat();
            assert_eq!(start().take(&bytes), Err(SnapshotStreamError::Undecodable(error)));
        }
    }

    #[test]
    fn counts_below_zero_are_none() {
        let bytes = [&[0xff; 8][..], b"\0\0\0\x01/", SNAPSHOT_SIGNATURE].concat();
        let taken = start().take(&bytes).unwrap();
        assert_eq!(taken, Taken { body: 13, stream: 27, is_complete: true });
    }
}
