//! Directories of real Java servers: every log is read to its end, every snapshot with all its seals,
//! and the log's records are framed again to the same bytes.

use std::path::{Path, PathBuf};

use zabd_jute::{Limits, Zxid};
use zabd_storage::disk::{Disk, MemoryDisk, RealDisk};
use zabd_storage::epochs::{self, EpochFile};
use zabd_storage::log::{Log, LogOptions, Records, last_record};
use zabd_storage::{layout, snapshot};

struct Golden {
    name: &'static str,
    snapshots: PathBuf,
    logs: PathBuf,
}

fn golden() -> Vec<Golden> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/golden");
    let names = [
        "java-3.4.14/standalone",
        "java-3.5.9/standalone",
        "java-3.8.0/fuzzy",
        "java-3.8.0/opt-no-closesessiontxn",
        "java-3.8.0/quorum1",
        "java-3.8.0/snapshot-gz",
        "java-3.8.0/snapshot-snappy",
        "java-3.8.0/standalone",
        "java-3.9.5/opt-digest-off",
        "java-3.9.5/standalone",
    ];
    let directories = |name: &'static str| {
        let (data, log) = if name.ends_with("quorum1") { ("data", "log") } else { ("", "") };
        let below = |part| root.join(name).join(part).join("version-2");
        Golden { name, snapshots: below(data), logs: below(log) }
    };
    names.into_iter().map(directories).collect()
}

fn tree(golden: &Golden) -> serde_json::Value {
    let dir = golden.logs.ancestors().find(|dir| dir.join("tree.json").exists()).unwrap();
    serde_json::from_slice(&std::fs::read(dir.join("tree.json")).unwrap()).unwrap()
}

#[test]
fn every_log_is_read_to_its_end_from_every_snapshot() {
    for golden in golden() {
        let last = Zxid(tree(&golden)["zxid_dec"].as_i64().unwrap());
        let mut froms: Vec<_> = layout::snapshots(&RealDisk, &golden.snapshots).unwrap();
        if froms.is_empty() {
            froms.push(layout::NamedFile { zxid: Zxid::ZERO, path: PathBuf::new() });
        }
        for from in froms {
            let mut records = Records::after(RealDisk, &golden.logs, from.zxid, Limits::default()).unwrap();
            let mut before = from.zxid;
            while let Some(record) = records.next_record().unwrap() {
                let follows = record.zxid == before.next() || record.zxid.epoch() > before.epoch();
                assert!(follows, "{}: {} behind {before}", golden.name, record.zxid);
                before = record.zxid;
            }
            assert_eq!(before, last, "{} from {}", golden.name, from.zxid);
            assert_eq!(records.tail(), None, "{}", golden.name);
        }
        assert_eq!(last_record(&RealDisk, &golden.logs, Limits::default()).unwrap(), Some(last));
    }
}

#[test]
fn every_snapshot_is_whole() {
    let mut count = 0;
    for golden in golden() {
        for file in layout::snapshots(&RealDisk, &golden.snapshots).unwrap() {
            assert!(snapshot::looks_whole(&RealDisk, &file.path));
            let loaded = snapshot::load(&RealDisk, &file.path).unwrap();
            assert!(loaded.body().ends_with(b"\0\0\0\x01/"));
            let is_3_9 = golden.name.starts_with("java-3.9");
            assert_eq!(loaded.trailer.last_zxid.is_some(), is_3_9, "{}", file.path.display());
            if let Some(last) = loaded.trailer.last_zxid {
                assert!(file.zxid <= last);
            }
            let keeps_digests = !golden.name.contains("3.5.9") && !golden.name.ends_with("digest-off");
            assert_eq!(
                loaded.trailer.digest.is_some(),
                keeps_digests && file.zxid != Zxid::ZERO,
                "{}",
                file.path.display()
            );
            if let Some((zxid, _)) = loaded.trailer.digest {
                assert!(file.zxid <= zxid, "a fuzzy snapshot's digest is that of a later transaction");
            }
            count += 1;
        }
    }
    assert_eq!(count, 25);
}

/// The same records, appended by zabd with the rolls where Java rolled, are the same bytes.
#[test]
fn records_are_framed_as_java_frames_them() {
    for golden in golden() {
        let dir = Path::new("/log");
        let disk = MemoryDisk::default();
        disk.create_dir(dir).unwrap();
        let files = layout::logs(&RealDisk, &golden.logs).unwrap();
        let mut records =
            Records::after(RealDisk, &golden.logs, Zxid(files[0].zxid.0 - 1), Limits::default()).unwrap();
        let options = LogOptions { prealloc_bytes: 16 << 10, ..LogOptions::default() };
        let mut log = Log::new(disk.clone(), dir, records.last(), options);
        while let Some(record) = records.next_record().unwrap() {
            if files.iter().any(|file| file.zxid == record.zxid) {
                log.roll();
            }
            log.append(record.zxid, record.entry).unwrap();
            log.sync().unwrap();
        }
        for file in files {
            let ours = disk.read(&dir.join(file.path.file_name().unwrap())).unwrap();
            let javas = RealDisk.read(&file.path).unwrap();
            let shorter = ours.len().min(javas.len());
            assert_eq!(ours[..shorter], javas[..shorter], "{}", file.path.display());
            assert!(ours[shorter..].iter().chain(&javas[shorter..]).all(|byte| *byte == 0));
            // Java's step falls due with the batches it happened to write.
            assert_eq!(ours.len() % (16 << 10), 16, "room is taken ahead in steps");
        }
    }
}

#[test]
fn epochs_of_an_ensemble_are_read() {
    let golden = golden().into_iter().find(|golden| golden.name.ends_with("quorum1")).unwrap();
    for file in [EpochFile::Accepted, EpochFile::Current] {
        assert_eq!(epochs::read(&RealDisk, &golden.snapshots, file).unwrap(), Some(2));
        assert_eq!(epochs::read_pending(&RealDisk, &golden.snapshots, file).unwrap(), None);
    }
}
