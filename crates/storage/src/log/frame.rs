//! One record's frame: how it is written, and what can be found at an offset.
//!
//! | offset | size | |
//! | --- | --- | --- |
//! | 0 | 8 | Adler-32 of the entry; the upper four bytes are zero |
//! | 8 | 4 | length of the entry |
//! | 12 | length | the entry: transaction header, body, digest |
//! | 12 + length | 1 | `B` |
//!
//! Java's `FileTxnLog.append` writes it, `FileTxnIterator.next` reads it.

use zabd_jute::{OpCode, Zxid};

/// A log begins with "ZKLG", version 2, database 0.
pub(crate) const HEADER: [u8; 16] = *b"ZKLG\0\0\0\x02\0\0\0\0\0\0\0\0";
/// Checksum and length before an entry.
pub(crate) const FRAME_BEFORE: usize = 12;
/// The upper half of the checksum, which Java keeps in a long.
pub(super) const FRAME_ZEROS: usize = 4;
/// The mark behind an entry.
pub(super) const END_MARK: u8 = b'B';
/// No limit but what the length itself can say: for whoever looks at frames alone, and holds the bytes already.
pub(super) const ANY_LENGTH: usize = i32::MAX as usize;
/// Where an entry's zxid stands: behind session and cxid.
const ZXID_OFFSET: usize = 12;
/// Where the leader's time stands, behind the zxid.
const TIME_OFFSET: usize = 20;
/// Where the kind of transaction stands, behind the time.
const KIND_OFFSET: usize = 28;

/// What is wrong with a record that is whole but for its checksum or a byte of its entry.
pub(super) const WRONG_CHECKSUM: &str = "a wrong checksum";

/// Bytes of a whole frame around an entry.
pub(crate) fn frame_bytes(entry_bytes: usize) -> usize {
    FRAME_BEFORE + entry_bytes + 1
}

/// The zxid of an entry, if it is long enough to have one.
pub(crate) fn zxid_of(entry: &[u8]) -> Option<Zxid> {
    let bytes = entry.get(ZXID_OFFSET..)?.first_chunk()?;
    Some(Zxid(i64::from_be_bytes(*bytes)))
}

/// The transaction header of an entry: session, cxid, zxid, time, kind.
pub(super) fn header_of(entry: &[u8]) -> &[u8] {
    &entry[..entry.len().min(KIND_OFFSET + 4)]
}

/// The session of an entry, which it begins with.
pub(super) fn session_of(entry: &[u8]) -> Option<i64> {
    entry.first_chunk().map(|bytes| i64::from_be_bytes(*bytes))
}

/// The leader's time of an entry, in milliseconds.
pub(super) fn time_ms_of(entry: &[u8]) -> Option<i64> {
    entry.get(TIME_OFFSET..)?.first_chunk().map(|bytes| i64::from_be_bytes(*bytes))
}

fn is_of_kind(entry: &[u8], kind: OpCode) -> bool {
    entry.get(KIND_OFFSET..).is_some_and(|rest| rest.starts_with(&kind.code().to_be_bytes()))
}

/// Whether a session begins with an entry.
pub(super) fn begins_session(entry: &[u8]) -> bool {
    is_of_kind(entry, OpCode::CreateSession)
}

/// Whether a session ends with an entry.
pub(super) fn ends_session(entry: &[u8]) -> bool {
    is_of_kind(entry, OpCode::CloseSession)
}

/// The checksum of entries and of snapshots.
pub(crate) fn adler32(bytes: &[u8]) -> u32 {
    let mut adler = adler2_simd::Adler32::new();
    adler.write(bytes);
    adler.finish()
}

/// Appends an entry in its frame.
pub(super) fn put_record(entry: &[u8], out: &mut Vec<u8>) {
    out.reserve(frame_bytes(entry.len()));
    out.extend_from_slice(&u64::from(adler32(entry)).to_be_bytes());
    out.extend_from_slice(&(entry.len() as u32).to_be_bytes());
    out.extend_from_slice(entry);
    out.push(END_MARK);
}

/// Bytes of the whole frame that begins `frames`, which this process wrote.
pub(super) fn first_frame_bytes(frames: &[u8]) -> usize {
    let length = frames[8..].first_chunk().expect("a frame has a length");
    frame_bytes(u32::from_be_bytes(*length) as usize)
}

/// What stands at an offset of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// A whole record with an entry of this length.
    Whole { length: usize, zxid: Zxid },
    /// Anything else, and what is wrong with it; `end` is where it would end if its length is right.
    Broken { what: &'static str, end: usize },
    /// What no interrupted write of a record can leave, because no prefix of one looks like it.
    Foreign { what: &'static str },
}

/// Reads the frame that begins `bytes`; what lies behind them is zeros or the end of the file. A longer entry than
/// `entry_bytes_max` is foreign even if it is whole, see [`whole_at`].
pub(super) fn frame_at(bytes: &[u8], entry_bytes_max: usize) -> Frame {
    let mut head = [0; FRAME_BEFORE];
    let there = bytes.len().min(FRAME_BEFORE);
    head[..there].copy_from_slice(&bytes[..there]);
    let (checksum, length) = head.split_at(8);
    let checksum = u64::from_be_bytes(checksum.try_into().expect("eight bytes are eight bytes"));
    let length = i32::from_be_bytes(length.try_into().expect("four bytes are four bytes"));
    if length == 0 {
        // Java ends here whatever the checksum says.
        return Frame::Broken { what: "a record without length", end: FRAME_BEFORE };
    }
    let Ok(length) = usize::try_from(length) else {
        return Frame::Foreign { what: "an unreasonable length" };
    };
    if length > entry_bytes_max {
        return Frame::Foreign { what: "a length beyond jute.maxbuffer, of no whole record" };
    }
    let end = frame_bytes(length);
    let broken = |what| Frame::Broken { what, end };
    let Some(entry) = bytes.get(FRAME_BEFORE..FRAME_BEFORE + length) else {
        return broken("half a record");
    };
    if bytes.get(FRAME_BEFORE + length) != Some(&END_MARK) {
        return broken("a record without its end mark");
    }
    if u64::from(adler32(entry)) != checksum {
        return broken(WRONG_CHECKSUM);
    }
    match zxid_of(entry) {
        Some(zxid) => Frame::Whole { length, zxid },
        None => Frame::Foreign { what: "a record without a transaction header" },
    }
}

/// Length and zxid of the whole record that begins `bytes`, however long it is. They are there, so they bound the work.
pub(super) fn whole_at(bytes: &[u8]) -> Option<(usize, Zxid)> {
    match frame_at(bytes, ANY_LENGTH) {
        Frame::Whole { length, zxid } => Some((length, zxid)),
        Frame::Broken { .. } | Frame::Foreign { .. } => None,
    }
}

/// Whether `bytes` are a record to which only its length does not fit.
pub(super) fn is_whole_but_for_its_length(bytes: &[u8]) -> bool {
    let Some((&END_MARK, record)) = bytes.split_last() else { return false };
    let Some((head, entry)) = record.split_at_checked(FRAME_BEFORE) else { return false };
    head[..8] == u64::from(adler32(entry)).to_be_bytes() && zxid_of(entry).is_some()
}

/// Whether `bytes` begin with a record to which only its length does not fit.
pub(super) fn is_whole_with_another_length(bytes: &[u8]) -> bool {
    const MODULUS: u32 = 65521;
    let Some((head, behind)) = bytes.split_at_checked(FRAME_BEFORE) else { return false };
    let stored = u64::from_be_bytes(*head.first_chunk().expect("a head has a checksum"));
    let (mut low, mut high) = (1_u32, 0_u32);
    behind.iter().enumerate().any(|(length, byte)| {
        let is_end = *byte == END_MARK && length >= ZXID_OFFSET + 8 && stored == u64::from(high << 16 | low);
        low = (low + u32::from(*byte)) % MODULUS;
        high = (high + low) % MODULUS;
        is_end
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAX: usize = 1 << 20;

    fn entry(zxid: i64, body: &[u8]) -> Vec<u8> {
        let mut entry = vec![7; ZXID_OFFSET];
        entry.extend_from_slice(&zxid.to_be_bytes());
        entry.extend_from_slice(&[0; 12]);
        entry.extend_from_slice(body);
        entry
    }

    #[test]
    fn a_record_of_java_is_read_and_written_alike() {
        // The first record of a log of 3.8.0: a session is created.
        let record = b"\0\0\0\0\xc0\x9b\x0a\x9b\0\0\0\x30\x01\0\0\x1f\x32\xd8\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\
            \0\0\x01\xa2\x03\x4c\x62\xe9\xff\xff\xff\xf6\0\x09\x27\xc0\0\0\0\x02\0\0\0\0\x51\xc6\xd6\x60B";
        assert_eq!(frame_at(record, MAX), Frame::Whole { length: 0x30, zxid: Zxid(1) });
        let mut again = Vec::new();
        put_record(&record[FRAME_BEFORE..record.len() - 1], &mut again);
        assert_eq!(again, record);
        assert_eq!(first_frame_bytes(&again), record.len());
    }

    proptest! {
        #[test]
        fn every_entry_comes_back(zxid in 0..i64::MAX, body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let entry = entry(zxid, &body);
            let mut record = Vec::new();
            put_record(&entry, &mut record);
            prop_assert_eq!(frame_at(&record, MAX), Frame::Whole { length: entry.len(), zxid: Zxid(zxid) });
            // A prefix of a record is never a whole one, nor taken for what no crash can leave.
            for kept in 0..record.len() {
                let is_broken = matches!(frame_at(&record[..kept], MAX), Frame::Broken { end, .. } if kept < end);
                prop_assert!(is_broken, "{} bytes", kept);
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            frame_at(&bytes, 64);
        }
    }
}
