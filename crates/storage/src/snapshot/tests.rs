//! Snapshots in every form, under every crash, and damaged anywhere.

use std::path::Path;

use zabd_jute::Zxid;

use super::*;
use crate::disk::{Crash, Disk, DiskFile, Fault, MemoryDisk, RealDisk};
use crate::layout;

const DIR: &str = "/data/version-2";

fn body() -> Vec<u8> {
    let mut body: Vec<u8> = (0..100_000u32).flat_map(|n| (n / 7).to_be_bytes()).collect();
    body.extend_from_slice(&SLASH);
    body
}

fn write(
    disk: &MemoryDisk,
    zxid: i64,
    compression: Compression,
    trailer: SnapshotTrailer,
) -> Result<PathBuf, SnapshotError> {
    let mut writer = SnapshotWriter::begin(disk.clone(), Path::new(DIR), Zxid(zxid), compression)?;
    for part in body().chunks(10_007) {
        writer.write(part)?;
    }
    writer.finish(trailer)
}

const BOTH: SnapshotTrailer = SnapshotTrailer { digest: Some((Zxid(9), 77)), last_zxid: Some(Zxid(9)) };

#[test]
fn every_form_is_read_back() {
    let digest = SnapshotTrailer { last_zxid: None, ..BOTH };
    let last = SnapshotTrailer { digest: None, ..BOTH };
    for trailer in [BOTH, digest, last, SnapshotTrailer::default()] {
        for compression in [Compression::None, Compression::Gzip, Compression::Snappy] {
            let disk = MemoryDisk::default();
            let path = write(&disk, 9, compression, trailer).unwrap();
            let name = format!("snapshot.9{}", compression.extension());
            assert_eq!(disk.list(Path::new(DIR)).unwrap(), [name]);
            let loaded = load(&disk, &path).unwrap();
            assert_eq!(loaded.body(), body());
            assert_eq!(loaded.trailer, trailer, "{compression:?}");
        }
    }
}

#[test]
fn javas_snapshots_are_whole() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/golden");
    let mut count = 0;
    for folder in [
        "java-3.5.9/standalone",
        "java-3.8.0/standalone",
        "java-3.8.0/fuzzy",
        "java-3.8.0/snapshot-gz",
        "java-3.8.0/snapshot-snappy",
        "java-3.8.0/quorum1/data",
        "java-3.9.5/standalone",
        "java-3.9.5/opt-digest-off",
    ] {
        for file in layout::snapshots(&RealDisk, &golden.join(folder).join("version-2")).unwrap() {
            let loaded = load(&RealDisk, &file.path).unwrap();
            assert!(loaded.body().ends_with(&SLASH));
            assert_eq!(loaded.trailer.last_zxid.is_some(), folder.starts_with("java-3.9"), "{folder}");
            count += 1;
        }
    }
    assert!(count >= 20, "{count} snapshots");
}

/// Stopped at any operation and after any crash, the snapshot before is there, and the new one is
/// either whole or not there.
#[test]
fn no_crash_leaves_half_a_snapshot() {
    let before = MemoryDisk::default();
    write(&before, 5, Compression::None, BOTH).unwrap();
    let whole = before.after(Crash::KeepsUnsynced);
    whole.stop_at(None);
    write(&whole, 9, Compression::None, BOTH).unwrap();
    for stop_at in 0..=whole.operations() {
        for crash in [Crash::LosesUnsynced, Crash::KeepsUnsynced, Crash::TearsLastWrite { kept: 3 }] {
            let disk = before.after(Crash::KeepsUnsynced);
            disk.stop_at(Some(stop_at));
            let finished = write(&disk, 9, Compression::None, BOTH).is_ok();
            let found = disk.after(crash);
            let snapshots = layout::snapshots(&found, Path::new(DIR)).unwrap();
            assert_eq!(snapshots[0].zxid, Zxid(5));
            assert!(!finished || snapshots.len() == 2, "stopped at {stop_at}, {crash:?}");
            for file in snapshots {
                assert_eq!(
                    load(&found, &file.path).unwrap().body(),
                    body(),
                    "stopped at {stop_at}, {crash:?}"
                );
            }
        }
    }
}

/// Wherever the disk is full or fails, the snapshot before stays, nothing else does, and the next attempt
/// succeeds.
#[test]
fn a_snapshot_that_fails_leaves_nothing() {
    let counted = MemoryDisk::default();
    write(&counted, 9, Compression::None, BOTH).unwrap();
    for at in 0..counted.operations() {
        for fault in [Fault::Full { kept: 0 }, Fault::Full { kept: 1000 }, Fault::Fail] {
            let disk = MemoryDisk::default();
            write(&disk, 5, Compression::None, BOTH).unwrap();
            disk.plan_faults([(at, fault)]);
            let error = write(&disk, 9, Compression::None, BOTH).unwrap_err();
            assert!(error.to_string().contains("snapshot.9"), "{error}");
            // Only its last operation, making the name durable, comes too late to take it back.
            let is_named = at + 1 == counted.operations();
            assert_eq!(disk.list(Path::new(DIR)).unwrap().len(), 1 + usize::from(is_named), "{at} {fault:?}");
            write(&disk, 9, Compression::None, BOTH).unwrap();
            let found = disk.after(Crash::LosesUnsynced);
            assert_eq!(disk.list(Path::new(DIR)).unwrap(), ["snapshot.5", "snapshot.9"]);
            assert_eq!(load(&found, &Path::new(DIR).join("snapshot.9")).unwrap().body(), body());
        }
    }
}

#[test]
fn an_unfinished_snapshot_leaves_nothing() {
    let disk = MemoryDisk::default();
    drop(SnapshotWriter::begin(disk.clone(), Path::new(DIR), Zxid(9), Compression::None).unwrap());
    assert_eq!(disk.list(Path::new(DIR)).unwrap(), [""; 0]);
}

#[test]
fn damage_anywhere_is_found() {
    for compression in [Compression::None, Compression::Gzip, Compression::Snappy] {
        let disk = MemoryDisk::default();
        let path = write(&disk, 9, compression, BOTH).unwrap();
        let length = disk.length(&path).unwrap();
        // Gzip's header holds a time and a system that nobody reads.
        for at in (16..length).step_by(997).chain([length - 1, length - 6, length - 20]) {
            let disk = disk.after(Crash::KeepsUnsynced);
            let byte = disk.read(&path).unwrap()[at as usize] ^ 0x10;
            disk.open(&path).unwrap().write_at(at, &[byte]).unwrap();
            assert!(load(&disk, &path).is_err(), "{compression:?} changed at {at} of {length}");
            let cut = disk.after(Crash::KeepsUnsynced);
            cut.open(&path).unwrap().set_length(at).unwrap();
            assert!(load(&cut, &path).is_err(), "{compression:?} cut at {at} of {length}");
        }
    }
}
