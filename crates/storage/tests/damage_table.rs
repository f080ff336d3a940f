//! One table of damage: what zabd makes of it, and what Java 3.8.0 and 3.9.5 do.
//!
//! The log is `log.1` with the records 1 to 3 and `log.4` with 4 to 6, padded, and a snapshot at 0 unless
//! the row says otherwise. Java's columns are what was seen of real servers, so that the reader that
//! stands for them in the other tests is itself tested here.

mod java;

use std::path::Path;

use java::{Java, entry, record, replayed};
use zabd_jute::{Limits, Zxid};
use zabd_storage::disk::{Disk, DiskFile, MemoryDisk};
use zabd_storage::log::{LogError, Records, settle};

const DIR: &str = "/log/version-2";
const HEADER: &[u8; 16] = b"ZKLG\0\0\0\x02\0\0\0\0\0\0\0\0";
const FILE_BYTES: usize = 4096;
/// Bytes of each of the records.
const RECORD: usize = 12 + 32 + 20 + 1;
/// Where the last record of a file begins.
const LAST: usize = 16 + 2 * RECORD;

fn log_file(zxids: impl IntoIterator<Item = i64>) -> Vec<u8> {
    let mut file = HEADER.to_vec();
    zxids.into_iter().for_each(|zxid| file.extend(record(&entry(zxid, 20))));
    file.resize(FILE_BYTES, 0);
    file
}

fn put(disk: &MemoryDisk, name: &str, contents: &[u8]) {
    disk.create(&Path::new(DIR).join(name)).unwrap().write_at(0, contents).unwrap();
}

fn disk() -> MemoryDisk {
    let disk = MemoryDisk::default();
    put(&disk, "log.1", &log_file(1..=3));
    put(&disk, "log.4", &log_file(4..=6));
    disk
}

/// What a reader makes of it.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// These records.
    Records(Vec<i64>),
    /// It refuses.
    Refused,
}

use Found::{Records as Reads, Refused};

fn upto(last: i64) -> Found {
    Reads((1..=last).collect())
}

fn zabd(disk: &MemoryDisk, after: i64) -> Result<Vec<i64>, LogError> {
    let mut records = Records::after(disk.clone(), Path::new(DIR), Zxid(after), Limits::default())?;
    let mut zxids = Vec::new();
    while let Some(record) = records.next_record()? {
        zxids.push(record.zxid.0);
    }
    settle(disk, records)?;
    Ok(zxids)
}

struct Row {
    what: &'static str,
    damage: fn(&MemoryDisk),
    after: i64,
    zabd: Found,
    java_3_8_0: Found,
    java_3_9_5: Found,
}

fn row(
    what: &'static str,
    damage: fn(&MemoryDisk),
    zabd: Found,
    java_3_8_0: Found,
    java_3_9_5: Found,
) -> Row {
    Row { what, damage, after: 0, zabd, java_3_8_0, java_3_9_5 }
}

/// Changes one file.
fn edit(disk: &MemoryDisk, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let mut contents = disk.read(&Path::new(DIR).join(name)).unwrap().to_vec();
    change(&mut contents);
    put(disk, name, &contents);
}

#[rustfmt::skip]
fn table() -> Vec<Row> {
    vec![
        row("nothing", |_| (), upto(6), upto(6), upto(6)),
        row("last record cut in the checksum", |d| edit(d, "log.4", |f| f.truncate(LAST + 6)), upto(5), upto(5), upto(5)),
        row("last record cut in the length", |d| edit(d, "log.4", |f| f.truncate(LAST + 11)), upto(5), upto(5), upto(5)),
        row("last record cut in the body", |d| edit(d, "log.4", |f| f.truncate(LAST + 40)), upto(5), upto(5), upto(5)),
        row("last record cut before the end byte", |d| edit(d, "log.4", |f| f.truncate(LAST + RECORD - 1)), upto(5), upto(5), upto(5)),
        row("last end byte zero", |d| edit(d, "log.4", |f| f[LAST + RECORD - 1] = 0), upto(5), upto(5), upto(5)),
        row("tail of the last entry and end byte zero", |d| edit(d, "log.4", |f| f[LAST + 30..].fill(0)), upto(5), upto(5), upto(5)),
        row("one byte of the last entry changed", |d| edit(d, "log.4", |f| f[LAST + 30] ^= 1), Refused, Refused, Refused),
        row("end byte in the middle zero, last file", |d| edit(d, "log.4", |f| f[LAST - 1] = 0), Refused, upto(4), upto(4)),
        Row {
            after: 3,
            ..row("end byte in an earlier file zero, not needed", |d| edit(d, "log.1", |f| f[LAST - 1] = 0), Reads(vec![4, 5, 6]), Reads(vec![4, 5, 6]), Reads(vec![4, 5, 6]))
        },
        row("end byte in an earlier file zero, needed", |d| edit(d, "log.1", |f| f[LAST - 1] = 0), Refused, Reads(vec![1, 4, 5, 6]), Refused),
        Row {
            // Java reads one file too many, and refuses what it does not need.
            after: 3,
            ..row("checksum error before the first needed file", |d| edit(d, "log.1", |f| f[30] ^= 1), Reads(vec![4, 5, 6]), Refused, Refused)
        },
        row("checksum error in a file that is read", |d| edit(d, "log.1", |f| f[30] ^= 1), Refused, Refused, Refused),
        row("length -1 where the zeros begin", |d| edit(d, "log.4", |f| f[LAST + RECORD + 8..][..4].fill(0xff)), Refused, Refused, Refused),
        row("length 0x200001 where the zeros begin", |d| edit(d, "log.4", |f| f[LAST + RECORD + 9..][..3].copy_from_slice(&[0x20, 0, 1])), Refused, Refused, Refused),
        row("checksum garbage, length 0", |d| edit(d, "log.4", |f| f[LAST + RECORD..][..8].fill(0x77)), upto(6), upto(6), upto(6)),
        row("wrong magic", |d| edit(d, "log.4", |f| f[0] = b'X'), Refused, Refused, Refused),
        row("version 7, other dbid", |d| edit(d, "log.4", |f| f[7..16].fill(7)), upto(6), upto(6), upto(6)),
        row("zero-length newest log", |d| put(d, "log.7", b""), upto(6), Refused, upto(6)),
        row("15 bytes in the newest log", |d| put(d, "log.7", &HEADER[..15]), upto(6), Refused, Refused),
        row("newest log of zeros", |d| put(d, "log.7", &[0; 100]), upto(6), Refused, Refused),
        row("zero-length earlier log", |d| put(d, "log.1", b""), Refused, Refused, Refused),
        row("header only", |d| put(d, "log.7", HEADER), upto(6), upto(6), upto(6)),
        row("header and zeros", |d| put(d, "log.7", &log_file([])), upto(6), upto(6), upto(6)),
        row("record repeated", |d| put(d, "log.4", &log_file([4, 5, 5, 6])), upto(6), upto(6), upto(6)),
        row("two files overlapping", |d| put(d, "log.3", &log_file([3, 4])), upto(6), upto(6), upto(6)),
        row("records out of order", |d| put(d, "log.4", &log_file([4, 6, 5])), Refused, Reads(vec![1, 2, 3, 4, 6, 5]), Refused),
        row("a record missing", |d| put(d, "log.4", &log_file([4, 6])), Refused, Reads(vec![1, 2, 3, 4, 6]), Refused),
        row("the first file missing", |d| d.remove(&Path::new(DIR).join("log.1")).unwrap(), Refused, Reads(vec![4, 5, 6]), Reads(vec![4, 5, 6])),
        row("a later epoch begins", |d| put(d, "log.4", &log_file([(1 << 32) + 1])), Reads(vec![1, 2, 3, (1 << 32) + 1]), Reads(vec![1, 2, 3, (1 << 32) + 1]), Reads(vec![1, 2, 3, (1 << 32) + 1])),
        row("a copy beside its original", |d| { let copy = d.read(&Path::new(DIR).join("log.4")).unwrap().to_vec(); put(d, "log.4.bak", &copy); }, upto(6), upto(6), upto(6)),
        row("a torn end, and a file behind it", |d| { edit(d, "log.1", |f| f.truncate(LAST + 40)); put(d, "log.4", &log_file([3, 4])); }, upto(4), upto(4), upto(4)),
        row("a whole sector of a record lost", |d| put(d, "log.4", &lost_sector()), upto(4), Refused, Refused),
    ]
}

/// Record 4, and a record 5 of three sectors, of which the middle one did not reach the disk.
fn lost_sector() -> Vec<u8> {
    let mut file = log_file([4]);
    let large = record(&entry(5, 1500));
    file[16 + RECORD..][..large.len()].copy_from_slice(&large);
    file[512..1024].fill(0);
    file
}

fn found(outcome: Result<Vec<i64>, impl std::fmt::Display>) -> Found {
    outcome.map_or(Refused, Reads)
}

#[test]
pub(crate) fn every_damage_has_its_outcome() {
    for Row { what, damage, after, zabd: expected, java_3_8_0, java_3_9_5 } in table() {
        let disk = disk();
        damage(&disk);
        let dir = Path::new(DIR);
        assert_eq!(found(replayed(Java::V3_8_0, &disk, dir, after)), java_3_8_0, "{what}: Java 3.8.0");
        assert_eq!(found(replayed(Java::V3_9_5, &disk, dir, after)), java_3_9_5, "{what}: Java 3.9.5");
        let outcome = zabd(&disk, after);
        if let Err(error) = &outcome {
            assert!(error.to_string().contains(DIR), "{what}: the file is named: {error}");
        }
        let is_recovered = outcome.is_ok();
        assert_eq!(found(outcome), expected, "{what}: zabd");
        // Where zabd starts, every server starts from what it leaves, unless what it does not need is damaged.
        if is_recovered && java_3_8_0 != Refused {
            for java in [Java::V3_8_0, Java::V3_9_5] {
                assert_eq!(
                    found(replayed(java, &disk, dir, after)),
                    expected,
                    "{what}: {java:?} behind zabd"
                );
            }
        }
        if is_recovered && after == 0 {
            assert_eq!(found(replayed(Java::V3_8_0, &disk, dir, after)), expected, "{what}: set right");
        }
    }
}
