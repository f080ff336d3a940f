//! A snapshot from elsewhere takes the place of everything, and the server is stopped at every operation of that, with everything
//! that a crash can leave of what was not synced.
//!
//! The next start finds either the old past, all of it that was acknowledged, or the restored one with all that was acknowledged
//! behind it; a Java server finds the same before zabd has looked at what the crash left.

mod java;

use std::path::Path;

use java::{Java, entry, replayed};
use zabd_jute::{Epoch, Limits, Zxid};
use zabd_storage::disk::{Crash, Disk, Fault, MemoryDisk};
use zabd_storage::epochs::{self, EpochFile};
use zabd_storage::layout;
use zabd_storage::log::{Log, LogOptions, Records, settle};
use zabd_storage::rebase::settle_epochs;
use zabd_storage::recovery::{Directories, RecoveryOptions, prepare, snapshots_to_try};
use zabd_storage::restore::{REPLACED, RESTORING, RestoreError, commit, newest_named, set_aside};
use zabd_storage::snapshot::{self, Compression, SnapshotTrailer, SnapshotWriter};

type Failure = Box<dyn std::error::Error>;

/// The body of a snapshot stands for a tree: here the past that it belongs to, 0 for the one before any restore.
fn body_of(past: u8) -> Vec<u8> {
    let mut body = vec![past + 1; 1500];
    body.extend_from_slice(b"\0\0\0\x01/");
    body
}

/// What a start finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    past: u8,
    last: i64,
}

struct Server {
    disk: MemoryDisk,
    directories: Directories,
    log: Log<MemoryDisk>,
    found: Found,
}

const TOGETHER: [&str; 2] = ["/data", "/data"];
const APART: [&str; 2] = ["/data", "/log"];

impl Server {
    fn start(disk: &MemoryDisk, [data, log]: [&str; 2]) -> Result<Self, Failure> {
        let options = RecoveryOptions {
            data_dir: data.into(),
            log_dir: log.into(),
            autocreate: true,
            trust_empty: false,
            is_alone: true,
        };
        let directories = prepare(disk, &options)?;
        let candidates = snapshots_to_try(disk, &directories, false)?;
        let mut found = Found { past: 0, last: 0 };
        if let Some(newest) = candidates.first() {
            let loaded = snapshot::load(disk, &newest.path)?;
            found = Found { past: loaded.body()[0] - 1, last: newest.zxid.0 };
            assert_eq!(loaded.body(), body_of(found.past));
        }
        let mut records =
            Records::after(disk.clone(), &directories.logs, Zxid(found.last), Limits::default())?;
        while let Some(record) = records.next_record()? {
            assert_eq!(record.entry, entry(record.zxid.0, 30));
            found.last = record.zxid.0;
        }
        settle(disk, records)?;
        let options = LogOptions { prealloc_bytes: 8 << 10, ..LogOptions::default() };
        let log = Log::new(disk.clone(), &directories.logs, Zxid(found.last), options);
        let server = Self { disk: disk.clone(), directories, log, found };
        if candidates.is_empty() {
            server.snapshot()?;
        }
        Ok(server)
    }

    fn append(&mut self, count: i64) -> Result<(), Failure> {
        for zxid in self.found.last + 1..=self.found.last + count {
            self.log.append(Zxid(zxid), &entry(zxid, 30))?;
        }
        self.log.sync()?;
        self.found.last += count;
        Ok(())
    }

    /// Appends, and tells whoever asked.
    fn acknowledge(&mut self, count: i64, told: &mut Told) -> Result<(), Failure> {
        told.may_be = Found { last: self.found.last + count, ..self.found };
        self.append(count)?;
        told.is = self.found;
        Ok(())
    }

    fn snapshot(&self) -> Result<(), Failure> {
        let (dir, zxid) = (&self.directories.snapshots, Zxid(self.found.last));
        let mut writer = SnapshotWriter::begin(self.disk.clone(), dir, zxid, Compression::None)?;
        writer.write(&body_of(self.found.past))?;
        writer.finish(SnapshotTrailer { digest: Some((zxid, 7)), last_zxid: Some(zxid) })?;
        Ok(())
    }

    /// Restores something whose newest transaction is `newest`; afterwards the server goes on, and then tidies up.
    fn restore(&mut self, newest: i64, told: &mut Told) -> Result<(), Failure> {
        let dir = self.directories.snapshots.clone();
        let mut writer = SnapshotWriter::begin_unnamed(self.disk.clone(), &dir, Compression::None)?;
        let past = self.found.past + 1;
        writer.write(&body_of(past))?;
        let last = newest_named(&self.disk, &self.directories)?.0.max(self.found.last);
        let zxid = Zxid(newest.max(last + 1));
        let trailer = SnapshotTrailer { digest: Some((zxid, 7)), last_zxid: Some(zxid) };
        let image = writer.seal_up_as(zxid, trailer)?;
        told.may_be = Found { past, last: zxid.0 };
        commit(&self.disk, &self.directories, image, zxid)?;
        told.is = told.may_be;
        self.found = told.is;
        let options = LogOptions { prealloc_bytes: 8 << 10, ..LogOptions::default() };
        self.log = Log::new(self.disk.clone(), &self.directories.logs, zxid, options).behind_nothing();
        self.acknowledge(1, told)?;
        set_aside(&self.disk, &self.directories)?;
        Ok(())
    }
}

/// What clients and operators know.
#[derive(Clone, Copy, Debug)]
struct Told {
    /// So much was acknowledged.
    is: Found,
    /// So much may be there.
    may_be: Found,
}

impl Default for Told {
    fn default() -> Self {
        let nothing = Found { past: 0, last: 0 };
        Self { is: nothing, may_be: nothing }
    }
}

fn live(disk: &MemoryDisk, dirs: [&str; 2], told: &mut Told) -> Result<(), Failure> {
    let mut server = Server::start(disk, dirs)?;
    server.acknowledge(3, told)?;
    server.snapshot()?;
    server.log.roll();
    server.acknowledge(2, told)?;
    // What is restored is older than what is there, and then newer.
    server.restore(4, told)?;
    server.acknowledge(2, told)?;
    server.snapshot()?;
    server.restore(100, told)?;
    server.acknowledge(1, told)
}

fn names(disk: &MemoryDisk, dir: &Path) -> Vec<String> {
    disk.list(dir).unwrap_or_default()
}

/// Java starts from the newest snapshot, and comes to the same end.
fn assert_java_finds(disk: &MemoryDisk, dirs: [&str; 2], found: Found, what: &str) {
    let [data, log] = dirs.map(|dir| Path::new(dir).join("version-2"));
    let snapshots = layout::snapshots(disk, &data).unwrap();
    let newest = snapshots.last().expect("Java needs a snapshot");
    let loaded = snapshot::load(disk, &newest.path).unwrap();
    assert_eq!(loaded.body(), body_of(found.past), "{what}");
    for java in [Java::V3_8_0, Java::V3_9_5] {
        let zxids =
            replayed(java, disk, &log, newest.zxid.0).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(zxids, (newest.zxid.0 + 1..=found.last).collect::<Vec<_>>(), "{what}: {java:?}");
    }
}

fn assert_finds(disk: &MemoryDisk, dirs: [&str; 2], told: Told, what: &str) {
    let untouched = disk.after(Crash::KeepsUnsynced);
    let server = Server::start(disk, dirs).unwrap_or_else(|error| panic!("{what}: {error}"));
    let found = server.found;
    assert!((told.is..=told.may_be).contains(&found), "{what}: {found:?} and not {told:?}");
    if told.is.last > 0 {
        assert_java_finds(&untouched, dirs, found, what);
    }
    assert_java_finds(disk, dirs, found, what);
    let Directories { snapshots, logs } = &server.directories;
    assert!(!names(disk, snapshots).contains(&RESTORING.to_owned()), "{what}");
    let oldest = layout::snapshots(disk, snapshots).unwrap()[0].clone();
    let oldest = snapshot::load(disk, &oldest.path).unwrap();
    assert_eq!(oldest.body(), body_of(found.past), "{what}: nothing of an older past is left in the way");
    assert!(layout::logs(disk, logs).unwrap().iter().all(|log| found.past == 0 || log.zxid.0 > 5), "{what}");
    // What was replaced last is all there, and alone.
    let replaced = [snapshots, logs].map(|dir| names(disk, &dir.join(REPLACED)));
    let expected: [&[&str]; 2] = match found.past {
        0 => [&[], &[]],
        1 => [&["snapshot.0", "snapshot.3"], &["log.1", "log.4"]],
        _ => [&["snapshot.6", "snapshot.9"], &["log.7"]],
    };
    let expected = expected.map(|names| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    if dirs == TOGETHER {
        let mut both = [expected[1].clone(), expected[0].clone()].concat();
        both.sort_unstable();
        assert_eq!(replaced[0], both, "{what}");
    } else {
        assert_eq!(replaced, expected, "{what}");
    }
    let again = Server::start(&disk.after(Crash::LosesUnsynced), dirs);
    assert_eq!(again.unwrap_or_else(|error| panic!("{what}, again: {error}")).found, found, "{what}, again");
}

#[test]
fn every_operation_may_be_the_last() {
    for dirs in [TOGETHER, APART] {
        let whole = MemoryDisk::default();
        live(&whole, dirs, &mut Told::default()).unwrap();
        for stop in 0..=whole.operations() {
            let disk = MemoryDisk::default();
            disk.stop_at(Some(stop));
            let mut told = Told::default();
            let _ = live(&disk, dirs, &mut told);
            let plain = [Crash::LosesUnsynced, Crash::LosesUnsyncedData, Crash::KeepsUnsynced];
            let scattered = (0..8).map(|seed| Crash::Scatters { seed: seed * 1000 + stop as u64 });
            for crash in plain.into_iter().chain(scattered) {
                assert_finds(&disk.after(crash), dirs, told, &format!("{dirs:?} stop at {stop}, {crash:?}"));
            }
        }
    }
}

/// Before the name is given, whatever fails leaves the old past; whether it was given is said.
#[test]
fn a_failure_says_whether_anything_happened() {
    let mut outcomes = [0, 0, 0];
    for at in 0.. {
        let disk = MemoryDisk::default();
        let mut server = Server::start(&disk, TOGETHER).unwrap();
        server.append(3).unwrap();
        let dir = server.directories.snapshots.clone();
        let mut writer = SnapshotWriter::begin_unnamed(disk.clone(), &dir, Compression::None).unwrap();
        writer.write(&body_of(1)).unwrap();
        let image = writer.seal_up_as(Zxid(9), SnapshotTrailer::default()).unwrap();
        disk.plan_faults([(at, Fault::Fail)]);
        let outcome = commit(&disk, &server.directories, image, Zxid(9));
        let is_over = disk.operations() <= at;
        disk.plan_faults([]);
        let found = |crash| Server::start(&disk.after(crash), TOGETHER).unwrap().found.past;
        match outcome {
            Err(RestoreError::NotBegun(_)) => {
                outcomes[0] += 1;
                server.append(1).unwrap();
                assert_eq!((found(Crash::LosesUnsynced), found(Crash::KeepsUnsynced)), (0, 0));
            }
            Err(RestoreError::Undecided(_)) => outcomes[1] += 1,
            Ok(_) => {
                outcomes[2] += 1;
                assert_eq!(found(Crash::LosesUnsynced), 1);
            }
        }
        if is_over {
            break;
        }
    }
    assert!(outcomes.iter().all(|count| *count > 0), "{outcomes:?}");
}

/// A directory that was a member's once: neither zabd's nor Java's member must find transactions that are newer than its epoch.
#[test]
fn epochs_follow_wherever_it_stops() {
    let dir = Path::new("/data/version-2");
    for stop in 0.. {
        let disk = MemoryDisk::default();
        let mut server = Server::start(&disk, TOGETHER).unwrap();
        server.append(3).unwrap();
        for file in [EpochFile::Accepted, EpochFile::Current] {
            epochs::write(&disk, dir, file, 2).unwrap();
        }
        let begun = disk.operations();
        disk.stop_at(Some(stop));
        let zxid = Epoch(5).first_zxid().0 + 7;
        let restored = server.restore(zxid, &mut Told::default());
        assert!(begun > 0);
        for crash in [Crash::LosesUnsynced, Crash::LosesUnsyncedData, Crash::KeepsUnsynced] {
            let after = disk.after(crash);
            let newest = layout::snapshots(&after, dir).unwrap().last().unwrap().zxid;
            let epoch = |file| epochs::read(&after, dir, file).unwrap().unwrap();
            let pending = epochs::read_pending(&after, dir, EpochFile::Current).unwrap();
            let is_joined = i64::from(epoch(EpochFile::Current)) >= newest.epoch().0;
            assert!(is_joined || pending == Some(5), "stopped at {stop}, {crash:?}");
            assert!(epoch(EpochFile::Accepted) >= epoch(EpochFile::Current), "stopped at {stop}, {crash:?}");
            let found = Server::start(&after, TOGETHER).unwrap().found;
            let settled = settle_epochs(&after, dir, Zxid(found.last)).unwrap();
            assert_eq!(settled.current, if found.past == 1 { Epoch(5) } else { Epoch(2) });
        }
        if restored.is_ok() {
            assert!(stop > 10, "there was something to stop at");
            break;
        }
    }
}
