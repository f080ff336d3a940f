//! What a Java server makes of a log directory: an independent reader with Java's rules, refusals
//! included, against which everything that zabd leaves on a disk is held.
//!
//! `FileTxnIterator` opens the newest file that begins before the first needed zxid, and all later ones;
//! skips forward; and ends a file at whatever throws `EOFException`. From 3.9.4 on, replay refuses gaps.

// Each test file uses its own part of this.
#![allow(dead_code)]

use std::path::Path;

use zabd_storage::disk::{Disk, MemoryDisk};
use zabd_storage::layout;

/// Whose rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Java {
    V3_8_0,
    V3_9_5,
}

/// `jute.maxbuffer` and the extra size, with defaults.
const ENTRY_BYTES_MAX: i32 = 2_097_150;

enum Next {
    Record(Vec<u8>),
    EndOfFile,
}

/// The zxids that Java replays behind `after`, or why it does not start.
pub fn replayed(java: Java, disk: &MemoryDisk, dir: &Path, after: i64) -> Result<Vec<i64>, String> {
    let files = layout::logs(disk, dir).map_err(|error| error.to_string())?;
    let first = files.iter().rposition(|file| file.zxid.0 < after + 1).unwrap_or(0);
    let mut zxids = Vec::new();
    for (index, file) in files.iter().enumerate().skip(first) {
        let contents = disk.read(&file.path).map_err(|error| error.to_string())?;
        let name = file.path.display();
        if contents.len() < 16 {
            let is_newest = index + 1 == files.len();
            if java == Java::V3_9_5 && is_newest && contents.is_empty() {
                break;
            }
            return Err(format!("{name}: end of file in the header"));
        }
        if &contents[..4] != b"ZKLG" {
            return Err(format!("{name}: invalid magic number"));
        }
        let mut rest = &contents[16..];
        while let Next::Record(entry) = next(&mut rest).map_err(|what| format!("{name}: {what}"))? {
            let zxid = i64::from_be_bytes(entry[12..20].try_into().unwrap());
            if zxid > after {
                check_committed_log(java, &zxids, zxid)?;
                // Applied again, a record changes nothing.
                if !zxids.contains(&zxid) {
                    zxids.push(zxid);
                }
            }
        }
    }
    Ok(zxids)
}

fn next(rest: &mut &[u8]) -> Result<Next, &'static str> {
    let Some(checksum) = take(rest, 8) else { return Ok(Next::EndOfFile) };
    let Some(length) = take(rest, 4) else { return Ok(Next::EndOfFile) };
    let length = i32::from_be_bytes(length.try_into().unwrap());
    if !(0..=ENTRY_BYTES_MAX).contains(&length) {
        return Err("unreasonable length");
    }
    let Some(entry) = take(rest, length as usize) else { return Ok(Next::EndOfFile) };
    if length == 0 || take(rest, 1) != Some(b"B") {
        return Ok(Next::EndOfFile);
    }
    if i64::from_be_bytes(checksum.try_into().unwrap()) != i64::from(adler32(entry)) {
        return Err("CRC check failed");
    }
    // A transaction that ends early is an end of file too.
    if entry.len() < 32 { Ok(Next::EndOfFile) } else { Ok(Next::Record(entry.to_vec())) }
}

fn take<'b>(rest: &mut &'b [u8], length: usize) -> Option<&'b [u8]> {
    let (taken, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    Some(taken)
}

fn check_committed_log(java: Java, before: &[i64], zxid: i64) -> Result<(), String> {
    let Some(last) = before.last() else { return Ok(()) };
    let follows = zxid == last + 1 || before.contains(&zxid) || zxid >> 32 > last >> 32;
    if java == Java::V3_9_5 && !follows {
        return Err(format!("committed proposal cached out of order: {zxid:#x} behind {last:#x}"));
    }
    Ok(())
}

/// The plain definition.
fn adler32(bytes: &[u8]) -> u32 {
    let (a, b) = bytes.iter().fold((1_u32, 0_u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    b << 16 | a
}

/// A record as Java frames it.
pub fn record(entry: &[u8]) -> Vec<u8> {
    let mut record = u64::from(adler32(entry)).to_be_bytes().to_vec();
    record.extend_from_slice(&(entry.len() as u32).to_be_bytes());
    record.extend_from_slice(entry);
    record.push(b'B');
    record
}

/// An entry that storage takes for a transaction: 32 bytes of header with this zxid, then a body.
pub fn entry(zxid: i64, body_bytes: usize) -> Vec<u8> {
    let mut entry = vec![0x33; 32];
    entry[12..20].copy_from_slice(&zxid.to_be_bytes());
    entry.extend((0..body_bytes).map(|at| (zxid as usize + at) as u8 | 1));
    entry
}
