//! The log under every crash and every kind of damage that Java's own behaviour is known for.

mod too_long;

use std::path::Path;

use zabd_jute::{Limits, Zxid};

use super::frame::{FRAME_BEFORE, HEADER, adler32};
use super::*;
use crate::disk::{Crash, Disk, DiskFile, MemoryDisk};

const DIR: &str = "/log/version-2";

fn entry(zxid: i64, length: usize) -> Vec<u8> {
    let mut entry = vec![0xa5; 32 + length];
    entry[12..20].copy_from_slice(&zxid.to_be_bytes());
    entry
}

fn empty_disk() -> MemoryDisk {
    let disk = MemoryDisk::default();
    disk.create_dir(Path::new(DIR)).unwrap();
    disk
}

fn options() -> LogOptions {
    LogOptions { prealloc_bytes: 16 << 10, ..LogOptions::default() }
}

fn log(disk: &MemoryDisk, last: i64) -> Log<MemoryDisk> {
    Log::new(disk.clone(), Path::new(DIR), Zxid(last), options())
}

fn append(log: &mut Log<MemoryDisk>, zxids: std::ops::RangeInclusive<i64>) -> Result<(), LogError> {
    for zxid in zxids {
        log.append(Zxid(zxid), &entry(zxid, 10))?;
    }
    log.sync().map(drop)
}

/// The zxids behind `after`, and what a crash left; every entry is what was written.
fn read(disk: &MemoryDisk, after: i64) -> Result<(Vec<i64>, Option<Tail>), LogError> {
    let mut records = Records::after(disk.clone(), Path::new(DIR), Zxid(after), Limits::default())?;
    let mut zxids = Vec::new();
    while let Some(record) = records.next_record()? {
        assert_eq!(record.entry, entry(record.zxid.0, 10));
        zxids.push(record.zxid.0);
    }
    Ok((zxids, records.tail().cloned()))
}

/// What a start does: read, cut the tail, read again: nothing is torn any more.
fn recover(disk: &MemoryDisk) -> Vec<i64> {
    let (zxids, tail) = read(disk, 0).expect("a crash leaves a log that can be read");
    if let Some(tail) = tail {
        cut_tail(disk, &tail).expect("the disk is well");
    }
    assert_eq!(read(disk, 0).expect("what was cut can be read"), (zxids.clone(), None));
    java_starts(disk);
    zxids
}

/// What Java's `FileTxnIterator` refuses, of what a crash of ours could leave.
fn java_starts(disk: &MemoryDisk) {
    for file in crate::layout::logs(disk, Path::new(DIR)).unwrap() {
        let contents = disk.read(&file.path).unwrap();
        assert!(contents.starts_with(&HEADER), "{} has a whole header", file.path.display());
        let mut at = HEADER.len();
        while contents.len() - at >= FRAME_BEFORE {
            let length = i32::from_be_bytes(contents[at + 8..at + 12].try_into().unwrap());
            if length == 0 {
                break;
            }
            assert!(length > 0, "no unreasonable length");
            let Some(entry) = contents.get(at + 12..at + 12 + length as usize) else { break };
            if contents.get(at + 12 + length as usize) != Some(&b'B') {
                break;
            }
            let checksum = u64::from_be_bytes(contents[at..at + 8].try_into().unwrap());
            assert_eq!(checksum, u64::from(adler32(entry)), "no wrong checksum in a whole frame");
            at += FRAME_BEFORE + length as usize + 1;
        }
    }
}

#[test]
fn what_is_synced_is_read_back() {
    let disk = empty_disk();
    let mut log = log(&disk, 0);
    append(&mut log, 1..=3).unwrap();
    append(&mut log, 4..=4).unwrap();
    assert_eq!(read(&disk, 0).unwrap(), (vec![1, 2, 3, 4], None));
    assert_eq!(read(&disk, 2).unwrap().0, [3, 4]);
    assert_eq!(read(&disk, 4).unwrap().0, [0i64; 0]);
    assert_eq!(disk.list(Path::new(DIR)).unwrap(), ["log.1"]);
    assert_eq!(disk.length(&Path::new(DIR).join("log.1")).unwrap(), (16 << 10) + 16);
}

#[test]
fn a_roll_begins_a_file_named_after_its_first_record() {
    let disk = empty_disk();
    let mut log = log(&disk, 0);
    append(&mut log, 1..=3).unwrap();
    assert_eq!(log.appended_since_roll().records, 3);
    log.roll();
    assert_eq!(log.appended_since_roll(), AppendedSinceRoll::default());
    append(&mut log, 4..=31).unwrap();
    log.roll();
    append(&mut log, 32..=32).unwrap();
    assert_eq!(disk.list(Path::new(DIR)).unwrap(), ["log.1", "log.20", "log.4"]);
    assert_eq!(read(&disk, 0).unwrap().0, (1..=32).collect::<Vec<_>>());
    assert_eq!(read(&disk, 10).unwrap().0, (11..=32).collect::<Vec<_>>());
}

#[test]
fn records_larger_than_the_room_taken_ahead_fit() {
    let disk = empty_disk();
    let mut log = log(&disk, 0);
    log.append(Zxid(1), &entry(1, 100_000)).unwrap();
    log.sync().unwrap();
    log.append(Zxid(2), &entry(2, 10)).unwrap();
    log.sync().unwrap();
    let mut records = Records::after(disk, Path::new(DIR), Zxid(0), Limits::default()).unwrap();
    assert_eq!(records.next_record().unwrap().unwrap().entry.len(), 100_032);
    assert_eq!(records.next_record().unwrap().unwrap().zxid, Zxid(2));
}

#[test]
fn an_entry_that_java_could_not_read_is_not_written() {
    let mut log = log(&empty_disk(), 0);
    let too_large = entry(1, 2 * Limits::FRAME_BYTES_MAX_DEFAULT);
    assert!(matches!(log.append(Zxid(1), &too_large), Err(LogError::TooLarge { .. })));
}

/// Stops the disk at every operation of a scenario with several batches and a roll; after each kind of
/// crash, everything that was acknowledged is there, nothing else than what was written, in order.
#[test]
fn no_crash_loses_what_was_synced() {
    let scenario = |disk: &MemoryDisk| -> i64 {
        let mut synced = 0;
        let mut log = log(disk, 0);
        for (batch, zxids) in [(0, 1..=3), (1, 4..=4), (2, 5..=8), (3, 9..=9)] {
            if batch == 2 {
                log.roll();
            }
            let last = *zxids.end();
            if append(&mut log, zxids).is_err() {
                return synced;
            }
            synced = last;
        }
        synced
    };
    let whole = empty_disk();
    assert_eq!(scenario(&whole), 9);
    for stop_at in 0..=whole.operations() {
        let disk = empty_disk();
        disk.stop_at(Some(stop_at));
        let synced = scenario(&disk);
        let torn = (0..80).map(|kept| Crash::TearsLastWrite { kept });
        for crash in torn.chain([Crash::LosesUnsynced, Crash::KeepsUnsynced]) {
            let found = recover(&disk.after(crash));
            assert!(synced <= found.len() as i64, "stopped at {stop_at}, {crash:?}: {found:?} of {synced}");
            assert_eq!(found, (1..=found.len() as i64).collect::<Vec<_>>());
        }
    }
}

/// Cut at every byte of the last record: the record goes, those before it stay, and the log can be
/// continued. No crash changes a byte, so a changed one is refused, as by Java.
#[test]
fn a_torn_last_record_goes_alone() {
    let disk = empty_disk();
    append(&mut log(&disk, 0), 1..=3).unwrap();
    let path = Path::new(DIR).join("log.1");
    let record = FRAME_BEFORE + 42 + 1;
    let last = HEADER.len() + 2 * record;
    for at in last..last + record {
        for how in ["cut", "zeroed behind"] {
            let disk = disk.after(Crash::KeepsUnsynced);
            let mut file = disk.open(&path).unwrap();
            match how {
                "cut" => file.set_length(at as u64).unwrap(),
                _ => file.write_at(at as u64, &vec![0; last + record - at]).unwrap(),
            }
            assert_eq!(recover(&disk), [1, 2], "{how} at {at}");
            append(&mut log(&disk, 2), 3..=4).unwrap();
            assert_eq!(read(&disk, 0).unwrap().0, [1, 2, 3, 4]);
        }
        let disk = disk.after(Crash::KeepsUnsynced);
        let byte = disk.read(&path).unwrap()[at] ^ 0xff;
        disk.open(&path).unwrap().write_at(at as u64, &[byte]).unwrap();
        let refused = read(&disk, 0);
        assert!(matches!(refused, Err(LogError::Corrupt { offset, .. }) if offset == last as u64), "{at}");
    }
}

#[test]
fn damage_before_the_tail_is_named() {
    let disk = empty_disk();
    let mut log = log(&disk, 0);
    append(&mut log, 1..=3).unwrap();
    log.roll();
    append(&mut log, 4..=6).unwrap();
    let record = FRAME_BEFORE + 42 + 1;
    for (name, nth, in_record) in [("log.1", 0, 20), ("log.1", 1, 8), ("log.4", 1, 54), ("log.4", 0, 3)] {
        let disk = disk.after(Crash::KeepsUnsynced);
        let path = Path::new(DIR).join(name);
        let offset = HEADER.len() + nth * record;
        disk.open(&path).unwrap().write_at((offset + in_record) as u64, &[0x77]).unwrap();
        let error = read(&disk, 0).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(name) && text.contains(&format!("offset {offset}")), "{text}");
        assert!(matches!(error, LogError::Corrupt { .. }), "{text}");
    }
}

/// What docs/operating.md tells an operator who has neither a copy nor peers.
#[test]
fn a_log_without_its_damaged_part_is_whole_up_to_what_was_said() {
    let disk = empty_disk();
    let mut log = log(&disk, 0);
    append(&mut log, 1..=3).unwrap();
    log.roll();
    append(&mut log, 4..=6).unwrap();
    let (first, later) = (Path::new(DIR).join("log.1"), Path::new(DIR).join("log.4"));
    let offset = (HEADER.len() + FRAME_BEFORE + 42 + 1) as u64;
    disk.open(&first).unwrap().write_at(offset + 20, &[0x77]).unwrap();
    for (after, said) in [(0, 1), (1, 1), (2, 2)] {
        let error = read(&disk, after).unwrap_err();
        assert!(
            matches!(error, LogError::Corrupt { upto, .. } if upto == Zxid(said)),
            "behind {after}: {error}"
        );
    }
    disk.open(&first).unwrap().set_length(offset).unwrap();
    disk.remove(&later).unwrap();
    assert_eq!(recover(&disk), [1]);
    append(&mut self::log(&disk, 1), 2..=3).unwrap();
    assert_eq!(read(&disk, 0).unwrap().0, [1, 2, 3]);
}

#[test]
fn missing_transactions_are_named() {
    let disk = empty_disk();
    let mut log = log(&disk, 0);
    append(&mut log, 1..=3).unwrap();
    log.roll();
    append(&mut log, 4..=6).unwrap();
    log.roll();
    append(&mut log, 7..=9).unwrap();
    disk.remove(&Path::new(DIR).join("log.4")).unwrap();
    let error = read(&disk, 0).unwrap_err();
    assert!(matches!(error, LogError::Gap { expected: Zxid(4), found: Zxid(7), .. }), "{error}");
    // Behind a snapshot at 6 nothing is missing; behind one at 5 something is.
    assert_eq!(read(&disk, 6).unwrap().0, [7, 8, 9]);
    assert!(matches!(read(&disk, 5), Err(LogError::Gap { .. })));
}

#[test]
fn a_new_epoch_may_begin_anywhere_and_repetitions_are_skipped() {
    let disk = empty_disk();
    append(&mut log(&disk, 0), 1..=3).unwrap();
    append(&mut log(&disk, 1), 2..=4).unwrap();
    let epoch = 1 << 32;
    append(&mut log(&disk, epoch), epoch + 1..=epoch + 2).unwrap();
    assert_eq!(read(&disk, 0).unwrap().0, [1, 2, 3, 4, epoch + 1, epoch + 2]);
}

#[test]
fn a_newest_file_without_a_header_is_a_tail() {
    for length in [0, 1, 15] {
        let disk = empty_disk();
        append(&mut log(&disk, 0), 1..=3).unwrap();
        let mut file = disk.create(&Path::new(DIR).join("log.4")).unwrap();
        file.write_at(0, &HEADER[..length]).unwrap();
        assert_eq!(recover(&disk), [1, 2, 3]);
        assert_eq!(disk.list(Path::new(DIR)).unwrap(), ["log.1"]);
    }
}

#[test]
fn a_foreign_file_is_refused() {
    let disk = empty_disk();
    disk.create(&Path::new(DIR).join("log.1")).unwrap().write_at(0, &[b'x'; 40]).unwrap();
    assert!(matches!(read(&disk, 0), Err(LogError::NotALog { .. })));
}

/// Whatever does not fit, fits later: nothing is lost and nothing was promised.
#[test]
fn a_full_disk_is_survived() {
    for room in 0..300 {
        let disk = empty_disk();
        let mut log = log(&disk, 0);
        append(&mut log, 1..=1).unwrap();
        log.roll();
        disk.set_room(Some(room));
        let refused = append(&mut log, 2..=4);
        assert!(matches!(refused, Ok(()) | Err(LogError::NoSpace { .. })), "{refused:?}");
        if refused.is_err() {
            let found = recover(&disk.after(Crash::KeepsUnsynced));
            assert_eq!(found[0], 1, "what was durable stays");
            disk.set_room(Some(100_000));
            assert_eq!(log.sync().unwrap(), Zxid(4));
        }
        assert_eq!(read(&disk, 0).unwrap().0, [1, 2, 3, 4], "with room for {room}");
    }
}

/// Wherever the beginning of a file lacks a descriptor, it is done again when there are some.
#[test]
fn too_many_open_files_are_survived() {
    let attempt = |opens| {
        let disk = empty_disk();
        append(&mut log(&disk, 0), 1..=1).unwrap();
        let mut log = log(&disk, 1);
        disk.set_opens(Some(opens));
        let refused = append(&mut log, 2..=4);
        disk.set_opens(None);
        if refused.is_err() {
            assert!(matches!(refused, Err(LogError::NoDescriptor { .. })), "{refused:?}");
            assert_eq!(recover(&disk.after(Crash::KeepsUnsynced)), [1], "nothing else was promised");
            assert_eq!(log.sync().unwrap(), Zxid(4));
        }
        assert_eq!(read(&disk, 0).unwrap().0, [1, 2, 3, 4], "{opens} descriptors");
        refused.is_err()
    };
    let needed = (0..20).find(|opens| !attempt(*opens)).expect("a file takes few descriptors");
    assert!(needed >= 3, "the earlier life's file, the new one and the directory: {needed}");
}

#[test]
fn a_failed_sync_is_the_end() {
    let disk = empty_disk();
    let mut log = log(&disk, 0);
    append(&mut log, 1..=1).unwrap();
    disk.set_sync_fails(true);
    assert!(matches!(append(&mut log, 2..=2), Err(LogError::SyncFailed { .. })));
    disk.set_sync_fails(false);
    assert!(matches!(log.sync(), Err(LogError::Poisoned)), "a retry may lie");
    assert!(matches!(log.append(Zxid(3), &entry(3, 10)), Err(LogError::Poisoned)));
    assert_eq!(recover(&disk.after(Crash::LosesUnsynced)), [1]);
}

/// Three files: 1 to 3, 4 to 6, 7 to 9.
fn three_files() -> MemoryDisk {
    let disk = empty_disk();
    let mut log = log(&disk, 0);
    for first in [1, 4, 7] {
        append(&mut log, first..=first + 2).unwrap();
        log.roll();
    }
    disk
}

#[test]
fn what_is_ahead_is_told_by_its_size() {
    let mut records = Records::after(three_files(), Path::new(DIR), Zxid(4), Limits::default()).unwrap();
    let mut bytes_of_one = None;
    for left in (0..5).rev() {
        records.next_record().unwrap().unwrap();
        let ahead = records.bytes_ahead().unwrap();
        let one = *bytes_of_one.get_or_insert(ahead / left.max(1));
        assert_eq!(ahead, left * one, "{left} records are to come, in files of three, with room behind them");
    }
    assert!(bytes_of_one.unwrap() > 10);
}

#[test]
fn the_last_record_is_that_of_the_newest_file_that_has_one() {
    let disk = three_files();
    let dir = Path::new(DIR);
    assert_eq!(last_record(&disk, dir, Limits::default()).unwrap(), Some(Zxid(9)));
    disk.create(&dir.join("log.a")).unwrap().write_at(0, &HEADER).unwrap();
    disk.create(&dir.join("log.b")).unwrap();
    assert_eq!(last_record(&disk, dir, Limits::default()).unwrap(), Some(Zxid(9)));
    assert_eq!(last_record(&empty_disk(), dir, Limits::default()).unwrap(), None);
}

#[test]
fn a_log_is_cut_behind_any_record_and_goes_on_there() {
    for last in 1..=9 {
        let disk = three_files();
        truncate(&disk, Path::new(DIR), Zxid(last), Limits::default()).unwrap();
        let disk = disk.after(Crash::LosesUnsynced);
        assert_eq!(recover(&disk), (1..=last).collect::<Vec<_>>());
        append(&mut log(&disk, last), last + 1..=12).unwrap();
        assert_eq!(read(&disk, 0).unwrap().0, (1..=12).collect::<Vec<_>>());
    }
}

#[test]
fn a_log_is_not_cut_behind_a_record_that_it_does_not_hold() {
    for (last, first) in [(10, 1), (0, 1), (3, 4)] {
        let disk = empty_disk();
        append(&mut log(&disk, first - 1), first..=9).unwrap();
        let refused = truncate(&disk, Path::new(DIR), Zxid(last), Limits::default());
        assert!(matches!(refused, Err(LogError::NotInLog { zxid: Zxid(found), .. }) if found == last));
        assert_eq!(read(&disk, first - 1).unwrap().0, (first..=9).collect::<Vec<_>>());
    }
}

/// Wherever a truncation stops, what is left is a log without a gap that reaches at least so far.
#[test]
fn a_truncation_may_stop_anywhere() {
    for stop_at in 0..8 {
        for crash in [Crash::LosesUnsynced, Crash::LosesUnsyncedData, Crash::KeepsUnsynced] {
            let disk = three_files();
            disk.stop_at(Some(stop_at));
            let outcome = truncate(&disk, Path::new(DIR), Zxid(2), Limits::default());
            let disk = disk.after(crash);
            let found = recover(&disk);
            assert_eq!(found, (1..=found.len() as i64).collect::<Vec<_>>());
            assert!(2 <= found.len() && (outcome.is_err() || found.len() == 2), "{stop_at}, {crash:?}");
        }
    }
}

/// What a killed process left in the page cache was read and told to clients: it must survive the next
/// crash, also of the machine.
#[test]
fn what_was_read_back_is_durable_before_anything_follows_it() {
    for is_settled in [true, false] {
        let disk = empty_disk();
        let mut log_before = log(&disk, 0);
        append(&mut log_before, 1..=2).unwrap();
        log_before.append(Zxid(3), &entry(3, 10)).unwrap();
        disk.plan_faults([(1, crate::disk::Fault::Stop)]);
        log_before.sync().unwrap_err();
        disk.stop_at(None);
        let mut records = Records::after(disk.clone(), Path::new(DIR), Zxid(0), Limits::default()).unwrap();
        while records.next_record().unwrap().is_some() {}
        assert_eq!(records.last(), Zxid(3));
        if is_settled {
            assert_eq!(settle(&disk, records).unwrap(), None);
            assert_eq!(recover(&disk.after(Crash::LosesUnsynced)), [1, 2, 3]);
        }
        append(&mut log(&disk, 3), 4..=4).unwrap();
        assert_eq!(recover(&disk.after(Crash::LosesUnsynced)), [1, 2, 3, 4]);
    }
}

#[test]
fn a_file_with_records_is_not_replaced() {
    let disk = empty_disk();
    append(&mut log(&disk, 4), 5..=6).unwrap();
    let refused = append(&mut log(&disk, 4), 5..=5);
    assert!(matches!(refused, Err(LogError::Occupied { path }) if path.ends_with("log.5")));
    assert_eq!(read(&disk, 4).unwrap().0, [5, 6]);
}

fn copy(disk: &MemoryDisk, from: &str, to: &str) {
    let contents = disk.read(&Path::new(DIR).join(from)).unwrap().to_vec();
    disk.create(&Path::new(DIR).join(to)).unwrap().write_at(0, &contents).unwrap();
}

/// An operator copied a log while it was written, or to a name of his own: what only the log holds is read.
#[test]
fn a_copy_hides_nothing_of_what_stands_before_its_name() {
    for name in ["log.1.bak", "log.4"] {
        let disk = empty_disk();
        let mut written = log(&disk, 0);
        append(&mut written, 1..=3).unwrap();
        copy(&disk, "log.1", name);
        append(&mut written, 4..=9).unwrap();
        for after in 0..9 {
            assert_eq!(read(&disk, after).unwrap().0, (after + 1..=9).collect::<Vec<_>>(), "{name} {after}");
        }
    }
}

/// A server that runs has read all that it goes on from; what somebody then puts under the next name is moved, and nothing ends.
#[test]
fn a_copy_under_the_next_name_is_moved_away() {
    let disk = empty_disk();
    let mut written = log(&disk, 0);
    append(&mut written, 1..=3).unwrap();
    written.roll();
    copy(&disk, "log.1", "log.4");
    append(&mut written, 4..=5).unwrap();
    let (from, to) = (Path::new(DIR).join("log.4"), Path::new(DIR).join("damaged-1/log.4"));
    assert_eq!(disk.read(&to).unwrap()[..], disk.read(&Path::new(DIR).join("log.1")).unwrap()[..]);
    assert_eq!(written.take_set_aside(), [SetAside { from, to }]);
    assert!(written.take_set_aside().is_empty());
    assert_eq!(recover(&disk.after(Crash::LosesUnsynced)), [1, 2, 3, 4, 5]);
}

#[test]
#[should_panic(expected = "no zxid is left out")]
fn a_gap_is_never_written() {
    let mut log = log(&empty_disk(), 0);
    log.append(Zxid(2), &entry(2, 10)).unwrap();
}

#[test]
fn a_file_that_grew_too_large_is_followed_by_another() {
    let disk = empty_disk();
    let options = LogOptions { file_bytes_max: Some(100), ..options() };
    let mut log = Log::new(disk.clone(), Path::new(DIR), Zxid(0), options);
    for zxid in 1..=6 {
        append(&mut log, zxid..=zxid).unwrap();
    }
    assert_eq!(disk.list(Path::new(DIR)).unwrap(), ["log.1", "log.3", "log.5"]);
    assert_eq!(log.appended_since_roll().records, 6, "it is no roll that a snapshot follows");
    assert_eq!(read(&disk, 0).unwrap().0, [1, 2, 3, 4, 5, 6]);
}

#[test]
fn without_force_sync_nothing_is_synced() {
    let disk = empty_disk();
    let options = LogOptions { force_sync: false, ..options() };
    let mut log = Log::new(disk.clone(), Path::new(DIR), Zxid(0), options);
    disk.set_sync_fails(true);
    append(&mut log, 1..=3).unwrap();
    assert_eq!(read(&disk, 0).unwrap().0, [1, 2, 3]);
    // Then a crash of the machine may leave anything, and a start takes what there is.
    assert!(recover(&disk.after(Crash::LosesUnsyncedData)).is_empty());
}

#[test]
fn real_files_are_read_back_too() {
    let dir = tempfile::tempdir().unwrap();
    let disk = crate::disk::RealDisk;
    let mut log = Log::new(disk, dir.path(), Zxid(0), LogOptions::default());
    for zxid in 1..=300 {
        log.append(Zxid(zxid), &entry(zxid, 1000)).unwrap();
        if zxid % 70 == 0 {
            log.sync().unwrap();
            log.roll();
        }
    }
    log.sync().unwrap();
    assert_eq!(disk.length(&dir.path().join("log.1")).unwrap(), 67_108_880);
    let newest = dir.path().join("log.119");
    let end = HEADER.len() + 20 * frame::frame_bytes(1032);
    disk.open(&newest).unwrap().write_at(end as u64 - 500, &[0; 500]).unwrap();
    let mut records = Records::after(disk, dir.path(), Zxid(65), Limits::default()).unwrap();
    let mut zxids = Vec::new();
    while let Some(record) = records.next_record().unwrap() {
        assert_eq!(record.entry, entry(record.zxid.0, 1000));
        zxids.push(record.zxid.0);
    }
    assert_eq!(zxids, (66..300).collect::<Vec<_>>());
    let offset = (end - frame::frame_bytes(1032)) as u64;
    let cut = settle(&disk, records).unwrap().unwrap();
    assert_eq!(cut.tail, Tail { path: newest.clone(), offset });
    assert_eq!((cut.whole_records, cut.is_off), (0, true));
    assert_eq!(disk.length(&cut.copy.unwrap()).unwrap(), frame::frame_bytes(1032) as u64 - 500);
    assert_eq!(disk.length(&newest).unwrap(), offset);
    assert_eq!(last_record(&disk, dir.path(), Limits::default()).unwrap(), Some(Zxid(299)));
}

/// Record 1, then one of `zeros` zeros that a client stored, then many, each acknowledged before the next.
fn zeros_before_acknowledged(zeros: usize) -> (MemoryDisk, usize, usize) {
    let disk = empty_disk();
    let mut log = log(&disk, 0);
    append(&mut log, 1..=1).unwrap();
    let mut stored = entry(2, 30 + zeros);
    stored[62..].fill(0);
    stored.extend(b"/z");
    log.append(Zxid(2), &stored).unwrap();
    log.sync().unwrap();
    (3..=30).for_each(|zxid| append(&mut log, zxid..=zxid).unwrap());
    let begin = HEADER.len() + frame::frame_bytes(42);
    (disk, begin, begin + frame::frame_bytes(stored.len()))
}

fn refuses_at(disk: &MemoryDisk, offset: usize) -> bool {
    let mut records = Records::after(disk.clone(), Path::new(DIR), Zxid(0), Limits::default()).unwrap();
    loop {
        match records.next_record() {
            Ok(Some(_)) => (),
            Ok(None) => return false,
            Err(LogError::Corrupt { offset: at, .. }) => return at == offset as u64,
            Err(error) => panic!("{error}"),
        }
    }
}

/// The zeros of a client are no sector that a crash lost: whatever byte of their record is damaged, what follows
/// was acknowledged, and is not dropped.
#[test]
fn a_changed_byte_beside_stored_zeros_is_damage() {
    for zeros in [600, 1000, 2000, 2200] {
        let (disk, begin, end) = zeros_before_acknowledged(zeros);
        let contents = disk.read(&Path::new(DIR).join("log.1")).unwrap().to_vec();
        assert!(!refuses_at(&disk, begin), "nothing is wrong yet");
        for (at, byte) in contents[begin..end].iter().enumerate() {
            for bits in [0x01, 0x80, 0xff] {
                let disk = disk.after(Crash::KeepsUnsynced);
                let mut file = disk.open(&Path::new(DIR).join("log.1")).unwrap();
                file.write_at((begin + at) as u64, &[byte ^ bits]).unwrap();
                assert!(refuses_at(&disk, begin), "{zeros} zeros, byte {at} ^ {bits:x}");
            }
        }
    }
}

/// Of more than one byte before or behind the zeros it is told by where these lie: they begin and end within a
/// sector.
#[test]
fn many_changed_bytes_beside_stored_zeros_are_damage() {
    let (disk, begin, end) = zeros_before_acknowledged(2000);
    for length in [2, 3, 8, 40] {
        for at in (begin..begin + 74 - length).chain([end - 1 - length, end - length]) {
            let disk = disk.after(Crash::KeepsUnsynced);
            disk.open(&Path::new(DIR).join("log.1"))
                .unwrap()
                .write_at(at as u64, &vec![0x77; length])
                .unwrap();
            assert!(refuses_at(&disk, begin), "{length} bytes at {}", at - begin);
        }
    }
}

/// What is cut off may be all that is left of something: it is kept, once, and costs no start its room.
#[test]
fn what_is_cut_off_is_kept() {
    let (dir, path) = (Path::new(DIR), Path::new(DIR).join("log.1"));
    let disk = empty_disk();
    append(&mut log(&disk, 0), 1..=3).unwrap();
    let torn = HEADER.len() + 2 * frame::frame_bytes(42);
    disk.open(&path).unwrap().set_length(torn as u64 + 20).unwrap();
    let left = disk.read(&path).unwrap()[torn..].to_vec();
    let settled = |disk: &MemoryDisk| {
        let mut records = Records::after(disk.clone(), dir, Zxid(0), Limits::default()).unwrap();
        while records.next_record().unwrap().is_some() {}
        settle(disk, records).unwrap()
    };

    let full = disk.after(Crash::KeepsUnsynced);
    full.set_room(Some(0));
    let cut = settled(&full).unwrap();
    assert_eq!((cut.copy, cut.is_off), (None, false));
    assert_eq!(full.read(&path).unwrap()[torn..], left, "without room it stays");
    append(&mut log(&full.after(Crash::LosesUnsynced), 2), 3..=3).unwrap();

    let other = disk.after(Crash::KeepsUnsynced);
    other.create(&dir.join("cut-log.1-126")).unwrap().write_at(0, b"another").unwrap();
    for (disk, name) in [(&disk, "cut-log.1-126"), (&other, "cut-log.1-126-1")] {
        let cut = settled(disk).unwrap();
        assert_eq!(cut.copy, Some(dir.join(name)));
        let disk = disk.after(Crash::LosesUnsynced);
        assert_eq!(*disk.read(&dir.join(name)).unwrap(), left[..]);
        assert_eq!(disk.length(&path).unwrap(), torn as u64);
        assert_eq!(settled(&disk), None);
    }
}

proptest::proptest! {
    /// Whatever the bytes are, reading ends, and never with a panic.
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
        let disk = empty_disk();
        let mut file = disk.create(&Path::new(DIR).join("log.1")).unwrap();
        file.write_at(0, &HEADER).unwrap();
        file.write_at(16, &bytes).unwrap();
        let mut records = Records::after(disk, Path::new(DIR), Zxid(0), Limits::default()).unwrap();
        while let Ok(Some(_)) = records.next_record() {}
    }
}

/// A file that was begun and got no record is no damage, neither as the newest nor before others, with room ahead or without.
#[test]
fn a_header_alone_is_a_log_without_records() {
    for length in [HEADER.len() as u64, 1 << 16] {
        let disk = empty_disk();
        append(&mut log(&disk, 0), 1..=3).unwrap();
        let begun = Path::new(DIR).join("log.4");
        let mut file = disk.create(&begun).unwrap();
        file.write_at(0, &HEADER).unwrap();
        file.set_length(length).unwrap();
        file.sync().unwrap();
        disk.sync_dir(Path::new(DIR)).unwrap();
        assert_eq!(recover(&disk), [1, 2, 3]);
        assert!(disk.length(&begun).is_ok(), "nothing had to be cut off");
        let next_epoch = Zxid(1 << 32 | 1);
        let mut log = Log::new(disk.clone(), Path::new(DIR), Zxid(3), LogOptions::default());
        log.append(next_epoch, &entry(next_epoch.0, 10)).unwrap();
        log.sync().unwrap();
        assert_eq!(recover(&disk), [1, 2, 3, next_epoch.0]);
    }
}
