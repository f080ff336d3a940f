//! A server's whole life on a disk that crashes: appends, rolls, snapshots, purges and starts, stopped at
//! every operation, with everything that a crash can leave of what was not synced.
//!
//! After each crash the next start must find every record that was acknowledged, none that was never
//! appended, and a snapshot that loads; and what it leaves, a Java server of any version must be able to
//! read. Then life goes on, and the next crash comes.

mod java;

use std::path::Path;

use java::{Java, entry, replayed};
use zabd_jute::{Limits, Zxid};
use zabd_storage::disk::{Crash, Fault, MemoryDisk};
use zabd_storage::log::{Log, LogError, LogOptions, Records, settle};
use zabd_storage::recovery::{Directories, RecoveryOptions, prepare, snapshots_to_try};
use zabd_storage::snapshot::{self, Compression, SnapshotTrailer, SnapshotWriter};
use zabd_storage::{layout, retention};

/// Every sixth record is longer than a sector, and every sixth holds nothing but zeros, as a hole does.
fn entry_of(zxid: i64) -> Vec<u8> {
    let mut entry = entry(zxid, if zxid % 6 == 2 || zxid % 6 == 5 { 1200 } else { 30 });
    if zxid % 6 == 5 {
        entry[32..].fill(0);
    }
    entry
}

/// The body of a snapshot stands for a tree: here just the zxid, and something to write.
fn body_of(zxid: i64) -> Vec<u8> {
    let mut body = zxid.to_be_bytes().to_vec();
    body.resize(2000, 7);
    body.extend_from_slice(b"\0\0\0\x01/");
    body
}

type Failure = Box<dyn std::error::Error>;

/// A server without a network: its tree is the number of the last transaction.
struct Server {
    disk: MemoryDisk,
    directories: Directories,
    log: Log<MemoryDisk>,
    last: i64,
}

impl Server {
    /// Starts as the real one does; returns with it the zxids that were found, from 1 on.
    fn start(disk: &MemoryDisk) -> Result<Self, Failure> {
        let dir = Path::new("/data").to_owned();
        let options = RecoveryOptions {
            data_dir: dir.clone(),
            log_dir: dir,
            autocreate: true,
            trust_empty: false,
            is_alone: false,
        };
        let directories = prepare(disk, &options)?;
        let candidates = snapshots_to_try(disk, &directories, false)?;
        let mut last = 0;
        if let Some(newest) = candidates.first() {
            // zabd's snapshots are whole or not there, so the newest must load.
            let loaded = snapshot::load(disk, &newest.path)?;
            assert_eq!(loaded.body(), body_of(newest.zxid.0));
            last = newest.zxid.0;
        }
        let mut records = Records::after(disk.clone(), &directories.logs, Zxid(last), Limits::default())?;
        while let Some(record) = records.next_record()? {
            assert_eq!(record.entry, entry_of(record.zxid.0), "what was never appended is not read");
            last = record.zxid.0;
        }
        settle(disk, records)?;
        let options = LogOptions { prealloc_bytes: 8 << 10, ..LogOptions::default() };
        let log = Log::new(disk.clone(), &directories.logs, Zxid(last), options);
        let server = Self { disk: disk.clone(), directories, log, last };
        if candidates.is_empty() {
            server.snapshot()?;
        }
        Ok(server)
    }

    fn append(&mut self, count: i64) -> Result<(), LogError> {
        for zxid in self.last + 1..=self.last + count {
            self.log.append(Zxid(zxid), &entry_of(zxid))?;
        }
        self.last += count;
        self.log.sync().map(drop)
    }

    fn snapshot(&self) -> Result<(), Failure> {
        let (dir, zxid) = (&self.directories.snapshots, Zxid(self.last));
        let mut writer = SnapshotWriter::begin(self.disk.clone(), dir, zxid, Compression::None)?;
        writer.write(&body_of(self.last))?;
        writer.finish(SnapshotTrailer { digest: Some((zxid, 7)), last_zxid: Some(zxid) })?;
        Ok(())
    }
}

/// A short life; `acknowledged` is what clients were told.
fn live(disk: &MemoryDisk, acknowledged: &mut i64) -> Result<(), Failure> {
    let mut server = Server::start(disk)?;
    *acknowledged = server.last;
    for (batch, count) in [3, 1, 4, 2, 1, 5, 1].into_iter().enumerate() {
        server.append(count)?;
        *acknowledged = server.last;
        if batch % 2 == 1 {
            server.snapshot()?;
        }
        // A log goes on behind the first snapshot, and is needed as long as that stays.
        if batch % 3 == 2 {
            server.log.roll();
        }
        if batch == 5 {
            retention::purge(disk, &server.directories, 3)?;
        }
    }
    Ok(())
}

/// Starts on what a crash left, checks it, and yields the last zxid.
fn assert_recovers(disk: &MemoryDisk, acknowledged: i64, appended_max: i64, what: &str) -> i64 {
    let server = Server::start(disk).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(acknowledged <= server.last, "{what}: {acknowledged} was acknowledged, {} is there", server.last);
    assert!(server.last <= appended_max, "{what}: {} was never appended", server.last);
    assert_java_starts(disk, server.last, what);
    assert_recovers_again(disk, server.last, what);
    server.last
}

/// A crash right after a start loses nothing of what it found, and there is nothing more to set right.
fn assert_recovers_again(disk: &MemoryDisk, last: i64, what: &str) {
    let again = disk.after(Crash::LosesUnsynced);
    let server = Server::start(&again).unwrap_or_else(|error| panic!("{what}, again: {error}"));
    assert_eq!(server.last, last, "{what}, again");
}

/// Java of any version comes to the same end, from each of the snapshots.
fn assert_java_starts(disk: &MemoryDisk, last: i64, what: &str) {
    let dir = Path::new("/data/version-2");
    let snapshots = layout::snapshots(disk, dir).unwrap();
    assert!(!snapshots.is_empty(), "{what}: Java needs a snapshot");
    for snapshot in snapshots {
        let after = snapshot.zxid.0;
        snapshot::load(disk, &snapshot.path).unwrap_or_else(|error| panic!("{what}: {error}"));
        for java in [Java::V3_8_0, Java::V3_9_5] {
            let zxids = replayed(java, disk, dir, after).unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(zxids, (after + 1..=last).collect::<Vec<_>>(), "{what}: {java:?} from {after}");
        }
    }
}

/// How many operations a life has.
fn operations(disk: &MemoryDisk) -> usize {
    let disk = disk.after(Crash::KeepsUnsynced);
    live(&disk, &mut 0).expect("nothing fails");
    disk.operations()
}

/// Every crash after a life that was stopped at `stop`; yields one of the disks that it can leave.
fn crash_everywhere(before: &MemoryDisk, found_before: i64, stop: usize) -> MemoryDisk {
    let disk = before.after(Crash::KeepsUnsynced);
    disk.stop_at(Some(stop));
    let mut acknowledged = found_before;
    let _ = live(&disk, &mut acknowledged);
    let appended_max = acknowledged + 5;
    let plain = [Crash::LosesUnsynced, Crash::LosesUnsyncedData, Crash::KeepsUnsynced];
    let scattered = (0..24).map(|seed| Crash::Scatters { seed: seed * 1000 + stop as u64 });
    for crash in plain.into_iter().chain(scattered) {
        assert_recovers(
            &disk.after(crash),
            acknowledged,
            appended_max,
            &format!("stop at {stop}, {crash:?}"),
        );
    }
    disk
}

#[test]
pub(crate) fn every_operation_may_be_the_last() {
    let empty = MemoryDisk::default();
    for stop in 0..=operations(&empty) {
        crash_everywhere(&empty, 0, stop);
    }
}

/// The second life begins with what the first left when it was stopped.
#[test]
fn every_operation_of_a_second_life_may_be_the_last() {
    for first_stop in [7, 12, 19, 24, 33] {
        let empty = MemoryDisk::default();
        let disk = crash_everywhere(&empty, 0, first_stop);
        for seed in 0..2 {
            let before = disk.after(Crash::Scatters { seed });
            let found = Server::start(&before.after(Crash::KeepsUnsynced)).unwrap().last;
            for stop in 0..=operations(&before) {
                crash_everywhere(&before, found, stop);
            }
        }
    }
}

/// The last write is torn at every byte, whatever it was. Java can read that even before zabd has set
/// it right: a killed process leaves a prefix of its last write.
#[test]
fn the_last_write_may_end_at_any_byte() {
    let empty = MemoryDisk::default();
    for stop in 0..=operations(&empty) {
        let disk = MemoryDisk::default();
        disk.stop_at(Some(stop));
        let mut acknowledged = 0;
        let _ = live(&disk, &mut acknowledged);
        for kept in (0..200).chain((200..4000).step_by(61)) {
            let torn = disk.after(Crash::TearsLastWrite { kept });
            let what = format!("stop at {stop}, {kept} bytes of the last write");
            let untouched = torn.after(Crash::KeepsUnsynced);
            let last = assert_recovers(&torn, acknowledged, acknowledged + 5, &what);
            if acknowledged > 0 {
                assert_java_starts(&untouched, last, &format!("{what}, untouched"));
            }
        }
    }
}

/// Wherever the disk is full, once or for good, nothing is lost, and the same batch gets through later.
#[test]
fn the_disk_may_be_full_at_every_operation() {
    let batches = [3, 1, 4, 2];
    let run = |faults: Vec<(usize, Fault)>| {
        let disk = MemoryDisk::default();
        let mut server = Server::start(&disk).unwrap();
        disk.plan_faults(faults);
        let mut refusals = 0;
        for (index, count) in batches.into_iter().enumerate() {
            let durable = server.last;
            let mut outcome = server.append(count);
            while let Err(error) = outcome {
                for crash in [Crash::LosesUnsynced, Crash::KeepsUnsynced] {
                    assert_recovers(&disk.after(crash), durable, durable + count, "the disk was full");
                }
                if matches!(error, LogError::SyncFailed { .. }) {
                    // Whatever the reason, a sync that failed is the end.
                    return (disk.operations(), refusals);
                }
                assert!(matches!(error, LogError::NoSpace { .. }), "{error}");
                refusals += 1;
                assert!(refusals < 10, "it gets through in the end");
                // If not even cutting the file back works, a part of the batch is read.
                let found = Server::start(&disk.after(Crash::KeepsUnsynced)).unwrap().last;
                assert_java_starts(&disk, found, "while the disk is full");
                outcome = server.log.sync().map(drop);
            }
            if index == 1 {
                server.log.roll();
            }
        }
        assert_recovers(&disk.after(Crash::LosesUnsynced), 10, 10, "in the end");
        (disk.operations(), refusals)
    };
    let (operations, refusals) = run(Vec::new());
    assert_eq!(refusals, 0);
    let mut refused = 0;
    for at in 0..operations {
        for kept in [0, 1, 11, 12, 13, 60, 100, 1000] {
            refused += run(vec![(at, Fault::Full { kept })]).1;
            refused += run(vec![(at, Fault::Full { kept }), (at + 1, Fault::Full { kept: 0 })]).1;
        }
    }
    assert!(refused > 50, "{refused} refusals");
}

/// Whatever fails with more than want of room, the log accepts nothing more, and nothing that was
/// acknowledged is lost.
#[test]
pub(crate) fn after_any_other_failure_the_log_is_closed() {
    let mut failed = 0;
    for at in 0..20 {
        let disk = MemoryDisk::default();
        let mut server = Server::start(&disk).unwrap();
        disk.plan_faults([(at, Fault::Fail)]);
        let mut acknowledged = 0;
        for count in [2, 3, 1] {
            if let Err(error) = server.append(count) {
                assert!(!matches!(error, LogError::NoSpace { .. } | LogError::Poisoned), "{error}");
                assert!(matches!(server.log.sync(), Err(LogError::Poisoned)));
                let next = server.last + 1;
                assert!(matches!(server.log.append(Zxid(next), &entry_of(next)), Err(LogError::Poisoned)));
                failed += 1;
                break;
            }
            acknowledged = server.last;
        }
        for crash in [Crash::LosesUnsynced, Crash::LosesUnsyncedData, Crash::KeepsUnsynced] {
            assert_recovers(&disk.after(crash), acknowledged, 6, &format!("failure at {at}, {crash:?}"));
        }
    }
    assert!(failed >= 10, "{failed} operations can fail");
}
