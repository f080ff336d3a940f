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
//! - one sector's share of it is all zeros, and all that follows is no more than one batch can be (2).
//!
//! Everything else is damage, and refused: a record that is complete but for its checksum and has no
//! hole in it, or but for its length; an end mark lost in front of other records; a length that no prefix
//! of a real length can be. No crash makes these, so they may have been acknowledged. What cannot be told
//! apart is a medium that loses whole sectors within the last batch's reach; it is taken for a crash.
//!
//! A client may store what looks like records, so those inside the frame of an unfinished one prove
//! damage only if they go on, one after the other, to the very end.
//!
//! Java's `FileTxnIterator` ends a file at any broken frame but a wrong checksum, where it refuses, also
//! when a crash did it; so zabd cuts the torn part off before it goes on.

use super::frame::{FRAME_BEFORE, FRAME_ZEROS, Frame, frame_at, frame_bytes, is_whole_but_for_its_length};

/// The writer syncs at the latest after so many bytes, or after one record that is larger.
pub(super) const UNSYNCED_BYTES_MAX: usize = 4 << 20;
/// What a disk writes as a whole.
const SECTOR_BYTES: usize = 512;

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
        !hides_records(rest, entry_bytes_max)
    } else {
        let is_one_batch = rest.len() <= UNSYNCED_BYTES_MAX.max(frame_bytes(entry_bytes_max));
        is_one_batch && lacks_a_sector(rest, offset, end)
    };
    if is_torn { Ending::Torn } else { Ending::Damaged(what) }
}

fn without_zeros_behind(bytes: &[u8]) -> &[u8] {
    // By chunks, because a file's padding is long.
    let zero_chunks = bytes.rchunks(64).take_while(|chunk| chunk.iter().all(|byte| *byte == 0)).count();
    let bytes = &bytes[..bytes.len().saturating_sub(zero_chunks * 64)];
    let length = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    &bytes[..length]
}

/// Whether what looks like one unfinished record is a whole one with a wrong length, or several.
fn hides_records(rest: &[u8], entry_bytes_max: usize) -> bool {
    if is_whole_but_for_its_length(rest) {
        return true;
    }
    let mut at = FRAME_BEFORE;
    while at < rest.len() {
        let end = end_of_records(rest, at, entry_bytes_max);
        if end == rest.len() || (at < end && is_whole_but_for_its_length(&rest[..at])) {
            return true;
        }
        at = end.max(at + 1);
    }
    false
}

/// Where the whole records end that begin at `at`; there, if there are none.
fn end_of_records(rest: &[u8], mut at: usize, entry_bytes_max: usize) -> usize {
    // A record's first bytes are zeros: most offsets are told by that.
    while rest[at..].starts_with(&[0; FRAME_ZEROS])
        && let Frame::Whole { length, .. } = frame_at(&rest[at..], entry_bytes_max)
    {
        at += frame_bytes(length);
    }
    at
}

/// Whether some sector's share of the record that ends at `end`, or of what follows it in its last
/// sector, is all zeros.
fn lacks_a_sector(rest: &[u8], offset: u64, end: usize) -> bool {
    let first_boundary = SECTOR_BYTES - (offset % SECTOR_BYTES as u64) as usize;
    let later_shares = (first_boundary..).step_by(SECTOR_BYTES).map(|from| (from, from + SECTOR_BYTES));
    std::iter::once((0, first_boundary))
        .chain(later_shares)
        .take_while(|(from, to)| *from < end && *to <= rest.len())
        // A record begins with zeros: of a share of no more than them nothing can be concluded.
        .any(|(from, to)| FRAME_ZEROS < to && rest[from..to].iter().all(|byte| *byte == 0))
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
