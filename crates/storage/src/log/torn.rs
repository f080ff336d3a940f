//! Is a broken record what a crash left, or damage to something that was acknowledged?
//!
//! **What a crash can leave.** Up to some offset P the file was synced; a crash changes nothing there.
//! Behind P stood zeros or nothing, and one batch was being written: at most [`UNSYNCED_BYTES_MAX`], or
//! one record. The disk may have taken any of its 512-byte sectors, in any order, and the file's length
//! may or may not have grown. So behind P there are
//!
//! 1. *a prefix* of the batch, then zeros or the end of the file, if the write was cut short;
//! 2. or the batch with *missing sectors*, which read as zeros; whole records may stand behind them.
//!
//! **What is concluded.** A broken record is torn, and with it everything behind it is dropped, if
//!
//! - its frame is unfinished and nothing but zeros follows, up to the end of the file (1); or
//! - one sector's share of it is all zeros, this can be what is wrong with it, and all that follows is no
//!   more than one batch can be (2).
//!
//! Everything else is damage, and refused: a record that is complete but for its checksum and has no
//! hole in it, or but for its length; an end mark lost in front of other records; a length that no prefix
//! of a real length can be. No crash makes these, so they may have been acknowledged.
//!
//! **Zeros that a client stored** look like a hole, so a hole alone proves no crash. It is not what is wrong
//!
//! - if *one changed byte* explains everything: of the entry, of its checksum, of its length;
//! - if the record's *end mark* is all that is missing, and is not in the hole;
//! - if the zeros are of *no sector*: they begin well before one and end well behind one, and whole records follow;
//! - if the records that follow are of *more than one batch*: a session that begins among them goes on among
//!   them, which its client could not before it was acknowledged, or they lie further apart in time than
//!   a batch waits for the one before it. What stands before them was then synced.
//!
//! In an ensemble, what a quorum acknowledges may be of one batch at a server that is slower than the quorum, or is sent what it
//! lacks: a power failure that leaves a hole in that batch looks like damage to something acknowledged, and the server starts with a loss and
//! without a voice. It was no part of that quorum, so most others know better; the other mistake would let it vote for what it lost.
//!
//! What is left is a medium that loses whole sectors, or changes several bytes of a record whose zeros happen to
//! end with a sector, within the last batch's reach; that cannot be told from a crash. So what is cut off is
//! kept beside the log, see `repair`.
//!
//! A client may store what looks like records, so those inside the frame of an unfinished one prove
//! damage only if they go on, one after the other, to the very end.
//!
//! Java's `FileTxnIterator` ends a file at any broken frame but a wrong checksum, where it refuses, also
//! when a crash did it; so zabd cuts the torn part off before it goes on.

use std::collections::HashSet;

use super::frame::{
    END_MARK, FRAME_BEFORE, FRAME_ZEROS, Frame, adler32, begins_session, ends_session, frame_at, frame_bytes,
    is_whole_but_for_its_length, is_whole_with_another_length, session_of, time_ms_of, whole_at,
};
use crate::zeros::without_zeros_behind;

/// The writer syncs at the latest after so many bytes, or after one record that is larger.
pub(super) const UNSYNCED_BYTES_MAX: usize = 4 << 20;
/// What a disk writes as a whole.
const SECTOR_BYTES: usize = 512;
/// No more zeros follow each other in a record than these, but for those that a client stored.
const OWN_ZEROS_MAX: usize = 20;
/// A batch holds what arrived while the one before it was synced, which is sooner done than this.
const BATCH_SPAN_MS_MAX: i64 = 10_000;

/// What stands behind the last whole record of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Zeros, or nothing.
    Clean,
    /// What a crash left.
    Torn,
    /// What it did not.
    Damaged(&'static str),
}

/// Judges `rest`, the part of a file that begins, at `offset` of the file, behind the last whole record.
pub(super) fn ending(rest: &[u8], offset: u64, entry_bytes_max: usize) -> Ending {
    let rest = without_zeros_behind(rest);
    if rest.is_empty() {
        return Ending::Clean;
    }
    let (what, end) = match frame_at(rest, entry_bytes_max) {
        Frame::Broken { what, end } => (what, end),
        Frame::Foreign { what } => return Ending::Damaged(what),
        Frame::Whole { .. } => unreachable!("only what is not a whole record is judged"),
    };
    let is_torn = if rest.len() < end {
        !hides_records(rest)
    } else {
        let is_one_batch = rest.len() <= UNSYNCED_BYTES_MAX.max(frame_bytes(entry_bytes_max));
        is_one_batch && lacks_a_sector(rest, offset, end) && !is_explained_otherwise(rest, end)
    };
    if is_torn { Ending::Torn } else { Ending::Damaged(what) }
}

/// Whether what looks like one unfinished record is a whole one with a wrong length, or several.
fn hides_records(rest: &[u8]) -> bool {
    if is_whole_but_for_its_length(rest) {
        return true;
    }
    let mut at = FRAME_BEFORE;
    while at < rest.len() {
        let end = end_of_records(rest, at);
        if end == rest.len() || (at < end && is_whole_but_for_its_length(&rest[..at])) {
            return true;
        }
        at = end.max(at + 1);
    }
    false
}

/// Where the whole records end that begin at `at`; there, if there are none.
fn end_of_records(rest: &[u8], mut at: usize) -> usize {
    // A record's first bytes are zeros: most offsets are told by that.
    while rest[at..].starts_with(&[0; FRAME_ZEROS])
        && let Some((length, _)) = whole_at(&rest[at..])
    {
        at += frame_bytes(length);
    }
    at
}

/// Whether some sector's share of the record that ends at `end`, or of what follows it in its last
/// sector, is all zeros, and this can be what is wrong with the record.
fn lacks_a_sector(rest: &[u8], offset: u64, end: usize) -> bool {
    let first_boundary = SECTOR_BYTES - (offset % SECTOR_BYTES as u64) as usize;
    let later_shares = (first_boundary..).step_by(SECTOR_BYTES).map(|from| (from, from + SECTOR_BYTES));
    // If the entry is as it was, only its end mark can have been lost.
    let lacks_only_its_end_mark = checksums(rest, end).is_some_and(|(stored, actual)| stored == actual);
    let is_followed = end < end_of_records(rest, end) || records_at_the_end(rest, end).is_some();
    std::iter::once((0, first_boundary))
        .chain(later_shares)
        .take_while(|(from, to)| *from < end && *to <= rest.len())
        // A record begins with zeros: of a share of no more than them nothing can be concluded.
        .filter(|(from, to)| FRAME_ZEROS < *to && rest[*from..*to].iter().all(|byte| *byte == 0))
        .filter(|(_, to)| !lacks_only_its_end_mark || end <= *to)
        .any(|(from, to)| !is_followed || is_of_sectors(rest, first_boundary, from, to))
}

/// Whether the zeros around a share begin or end where a sector does, as far as that can be seen.
fn is_of_sectors(rest: &[u8], first_boundary: usize, from: usize, to: usize) -> bool {
    let begin = rest[..from].iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let end = rest[to..].iter().position(|byte| *byte != 0).map_or(rest.len(), |length| to + length);
    // Both lie in the phase of the sectors of the file.
    let into_sector = |at: usize| (at + SECTOR_BYTES - first_boundary) % SECTOR_BYTES;
    let before = (SECTOR_BYTES - into_sector(begin)) % SECTOR_BYTES;
    // Before the record stands what was synced, and the batch may begin with it.
    begin == 0 || before <= OWN_ZEROS_MAX || into_sector(end) <= OWN_ZEROS_MAX
}

/// The checksum that a complete frame carries, and that of its entry.
fn checksums(rest: &[u8], end: usize) -> Option<(u64, u64)> {
    let entry = rest.get(FRAME_BEFORE..end - 1)?;
    let stored = u64::from_be_bytes(*rest.first_chunk()?);
    Some((stored, u64::from(adler32(entry))))
}

/// Whether something else than a lost sector is wrong with the record that ends at `end`.
fn is_explained_otherwise(rest: &[u8], end: usize) -> bool {
    is_one_byte_off(rest, end)
        || is_whole_with_another_length(rest)
        || is_acknowledged_by_what_follows(rest, end)
}

/// Whether one other byte in the entry, or in the checksum, makes a complete frame a whole record.
fn is_one_byte_off(rest: &[u8], end: usize) -> bool {
    const MODULUS: i64 = 65521;
    let Some((stored, actual)) = checksums(rest, end) else { return false };
    if rest.get(end - 1) != Some(&END_MARK) {
        return false;
    }
    if (stored ^ actual).to_be_bytes().iter().filter(|byte| **byte != 0).count() == 1 {
        return true;
    }
    let Ok(stored) = u32::try_from(stored) else { return false };
    let halves = |sum: u64| (sum as i64 & 0xffff, sum as i64 >> 16);
    let ((low, high), (actual_low, actual_high)) = (halves(stored.into()), halves(actual));
    // A byte that is larger by `by` adds that to the lower sum, and to the upper as often as bytes are left.
    let mut by = (low - actual_low).rem_euclid(MODULUS);
    by -= if by > MODULUS / 2 { MODULUS } else { 0 };
    let adds = (high - actual_high).rem_euclid(MODULUS);
    let entry = &rest[FRAME_BEFORE..end - 1];
    by != 0
        && by.abs() < 256
        && (1_i64..).zip(entry.iter().rev()).any(|(left, byte)| {
            (0..256).contains(&(i64::from(*byte) + by)) && (left * by).rem_euclid(MODULUS) == adds
        })
}

/// Whether the whole records at the end were not all synced at once, so that what stands before them was.
fn is_acknowledged_by_what_follows(rest: &[u8], end: usize) -> bool {
    records_at_the_end(rest, end).is_some_and(|at| are_of_several_batches(rest, at))
}

/// Where the whole records begin, behind `at`, that go on to the very end.
fn records_at_the_end(rest: &[u8], mut at: usize) -> Option<usize> {
    while at < rest.len() {
        let end = end_of_records(rest, at);
        if end == rest.len() {
            return Some(at);
        }
        at = end.max(at + 1);
    }
    None
}

fn are_of_several_batches(rest: &[u8], mut at: usize) -> bool {
    let mut begun = HashSet::new();
    let mut first_ms = None;
    while at < rest.len()
        && let Some((length, _)) = whole_at(&rest[at..])
    {
        let entry = &rest[at + FRAME_BEFORE..][..length];
        if let (Some(time_ms), Some(session)) = (time_ms_of(entry), session_of(entry)) {
            if time_ms.saturating_sub(*first_ms.get_or_insert(time_ms)) > BATCH_SPAN_MS_MAX {
                return true;
            }
            if begins_session(entry) {
                begun.insert(session);
            } else if begun.contains(&session) && !ends_session(entry) {
                return true;
            }
        }
        at += frame_bytes(length);
    }
    false
}

/// Where the next record may begin behind one that is not whole: a record begins with zeros, which tells most offsets.
pub(super) fn end_of_stumble(rest: &[u8], at: usize) -> usize {
    rest[at + 1..].iter().position(|byte| *byte == 0).map_or(rest.len(), |zeros| at + zeros + 1)
}

/// How many whole records stand in what a crash left.
pub(super) fn whole_records(rest: &[u8]) -> usize {
    let (mut at, mut count) = (0, 0);
    while at < rest.len() {
        if let Some((length, _)) = whole_at(&rest[at..]) {
            count += 1;
            at += frame_bytes(length);
        } else {
            at = end_of_stumble(rest, at);
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::super::frame::{FRAME_BEFORE, put_record};
    use super::*;

    const MAX: usize = 1 << 20;

    fn entry(zxid: i64, bytes: usize) -> Vec<u8> {
        let mut entry = vec![0x5a; 12];
        entry.extend_from_slice(&zxid.to_be_bytes());
        entry.resize(bytes, 0xa5);
        entry
    }

    fn records(bytes_of_each: usize, count: i64) -> Vec<u8> {
        let mut records = Vec::new();
        (1..=count).for_each(|zxid| put_record(&entry(zxid, bytes_of_each), &mut records));
        records
    }

    /// Every set of missing sectors of a batch of three records, wherever it begins in its sector: the
    /// first broken record is torn.
    #[test]
    fn a_batch_that_lacks_any_of_its_sectors_is_torn() {
        for bytes_of_each in [33, 400, 500, 900] {
            let whole = records(bytes_of_each, 3);
            for offset in (16..16 + 512).step_by(7).chain([508, 509, 510, 511, 512]) {
                let sectors = (offset as usize + whole.len()).div_ceil(SECTOR_BYTES) - offset as usize / 512;
                for missing in 0_u32..1 << sectors {
                    let mut batch = whole.clone();
                    for (at, byte) in batch.iter_mut().enumerate() {
                        let sector = (offset as usize + at) / SECTOR_BYTES - offset as usize / SECTOR_BYTES;
                        if missing >> sector & 1 == 1 {
                            *byte = 0;
                        }
                    }
                    let mut at = 0;
                    while let Frame::Whole { length, .. } = frame_at(&batch[at..], MAX) {
                        at += frame_bytes(length);
                    }
                    let ending = ending(&batch[at..], offset + at as u64, MAX);
                    let is_right = match ending {
                        Ending::Clean => true,
                        Ending::Torn => at < whole.len(),
                        Ending::Damaged(_) => false,
                    };
                    assert!(is_right, "{bytes_of_each} bytes at {offset}, missing {missing:b}: {ending:?}");
                }
            }
        }
    }

    #[test]
    fn every_prefix_of_a_record_is_torn() {
        let whole = records(100, 1);
        for kept in FRAME_ZEROS + 1..whole.len() {
            let mut file = whole[..kept].to_vec();
            assert_eq!(ending(&file, 16, MAX), Ending::Torn, "{kept} bytes, then the end");
            file.resize(4096, 0);
            assert_eq!(ending(&file, 16, MAX), Ending::Torn, "{kept} bytes, then zeros");
        }
    }

    #[test]
    fn what_no_crash_leaves_is_damage() {
        let whole = records(100, 3);
        let flip = |at: usize| {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x80;
            damaged
        };
        assert_eq!(ending(&flip(50), 16, MAX), Ending::Damaged("a wrong checksum"));
        assert_eq!(ending(&flip(5), 16, MAX), Ending::Damaged("a wrong checksum"));
        assert_eq!(
            ending(&flip(FRAME_BEFORE + 100), 16, MAX),
            Ending::Damaged("a record without its end mark")
        );
        assert_eq!(ending(&flip(8), 16, MAX), Ending::Damaged("an unreasonable length"));
        // A longer length reaches behind the end of the file, but whole records stand before it.
        assert_eq!(ending(&flip(10), 16, MAX), Ending::Damaged("half a record"));
        let mut without_length = whole.clone();
        without_length[8..12].fill(0);
        assert_eq!(ending(&without_length, 16, MAX), Ending::Damaged("a record without length"));
        let last = &flip(50)[..113];
        assert_eq!(ending(last, 16, MAX), Ending::Damaged("a wrong checksum"), "also as the last record");
    }

    /// A client stores a part of a log, and the server ends while it writes that: the record is torn
    /// wherever the write ended, except that it ends exactly where a stored record does.
    #[test]
    fn stored_records_do_not_make_a_torn_record_damage() {
        let mut storing = entry(1, 40);
        let stored_at = FRAME_BEFORE + storing.len();
        storing.extend(records(100, 20));
        storing.extend([0x77; 600]);
        let mut whole = Vec::new();
        put_record(&storing, &mut whole);
        let ends: Vec<_> = (1..=20).map(|count| stored_at + count * frame_bytes(100)).collect();
        for kept in FRAME_ZEROS + 1..whole.len() {
            // The next stored record begins with zeros, which are not seen.
            let is_between = ends.iter().any(|end| (*end..=end + FRAME_ZEROS).contains(&kept));
            let is_between = is_between && kept <= ends[19];
            let outcome = ending(&whole[..kept], 16, MAX);
            assert_eq!(outcome == Ending::Torn, !is_between, "{kept} bytes: {outcome:?}");
        }
        for hole in (496..whole.len() - SECTOR_BYTES).step_by(SECTOR_BYTES) {
            let mut holed = whole.clone();
            holed[hole..hole + SECTOR_BYTES].fill(0);
            assert_eq!(ending(&holed, 16, MAX), Ending::Torn, "a hole at {hole}");
        }
    }

    fn record_of(zxid: i64, session: u8, time_ms: i64, kind: zabd_jute::OpCode, bytes: usize) -> Vec<u8> {
        let mut entry = entry(zxid, bytes);
        entry[..8].fill(session);
        entry[20..28].copy_from_slice(&time_ms.to_be_bytes());
        entry[28..32].copy_from_slice(&kind.code().to_be_bytes());
        let mut record = Vec::new();
        put_record(&entry, &mut record);
        record
    }

    /// A real hole is damage too, if what follows it shows that it was acknowledged.
    #[test]
    fn a_hole_in_front_of_several_batches_is_damage() {
        use zabd_jute::OpCode::{CloseSession, Create, CreateSession};
        for (follow, expected) in [
            ([(1, 1000, Create), (1, 1001, Create)], Ending::Torn),
            ([(1, 1000, Create), (2, 11_000, Create)], Ending::Torn),
            ([(1, 1000, Create), (2, 11_001, Create)], Ending::Damaged("a wrong checksum")),
            ([(1, 1000, CreateSession), (2, 1000, Create)], Ending::Torn),
            ([(1, 1000, CreateSession), (1, 1000, CloseSession)], Ending::Torn),
            ([(1, 1000, CreateSession), (1, 1000, Create)], Ending::Damaged("a wrong checksum")),
        ] {
            let mut batch = record_of(1, 1, 1000, Create, 1600);
            batch[512 - 16..1024 - 16].fill(0);
            for (zxid, (session, time_ms, kind)) in (2..).zip(follow) {
                batch.extend(record_of(zxid, session, time_ms, kind, 60));
            }
            assert_eq!(ending(&batch, 16, MAX), expected, "{follow:?}");
            assert_eq!(whole_records(&batch), 2);
        }
    }

    #[test]
    fn a_hole_that_is_larger_than_a_batch_is_damage() {
        let entry = entry(1, 1000);
        let mut batch = Vec::new();
        (0..UNSYNCED_BYTES_MAX / 1000).for_each(|_| put_record(&entry, &mut batch));
        batch[..600].fill(0);
        assert!(matches!(ending(&batch, 16, 1000), Ending::Damaged(_)));
        batch.truncate(UNSYNCED_BYTES_MAX - 1000);
        assert_eq!(ending(&batch, 16, 1000), Ending::Torn);
    }
}
