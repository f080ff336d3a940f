//! A log of any bytes, from the file to the tree: read, decoded, replayed, its torn end cut off.
//!
//! The bytes are tried twice: as they are, which is about frames, torn ends and damage; and with
//! checksums, end marks and zxids set right, which is about what the records say. Either the start ends
//! in an error that names the file, or in a tree; and a second start finds what the first one left.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use zabd::{Reading, recover};
use zabd_fuzz::{TREE_OPTIONS, put, round_trip, snapshot_body, summary};
use zabd_jute::txn::Entry;
use zabd_jute::{Limits, Reader, Zxid};
use zabd_storage::disk::{Crash, Disk, MemoryDisk};
use zabd_storage::log::{Log, LogOptions, Records, last_record, truncate};
use zabd_storage::recovery::RecoveryOptions;
use zabd_tree::Tree;

const LOG: &str = "/data/version-2/log.1";
const DIR: &str = "/data/version-2";
/// Checksum and length stand before an entry.
const FRAME_BEFORE: usize = 12;
/// An entry begins with session, cxid, zxid, time and kind.
const ENTRY_HEAD: usize = 32;

fuzz_target!(|file: &[u8]| {
    start_twice(file);
    let entries = entries(file);
    start_twice(&log_of(&entries));
    for entry in &entries {
        one_entry(entry);
    }
});

fn start_twice(file: &[u8]) {
    let disk = MemoryDisk::default();
    put(&disk, Path::new(LOG), file);
    // A killed process left this in the page cache. Whoever sees what was read must see it after a crash, too.
    let Some(first) = start(&disk) else { return };
    let second = start(&disk.after(Crash::LosesUnsynced)).expect("what a start leaves can be started from");
    assert_eq!(second, first);
    cut(&disk);
}

fn start(disk: &MemoryDisk) -> Option<zabd_fuzz::Summary> {
    let options = RecoveryOptions {
        data_dir: "/data".into(),
        log_dir: "/data".into(),
        autocreate: true,
        trust_empty: true,
        is_alone: true,
    };
    match recover(disk, &options, TREE_OPTIONS, Limits::default(), Reading::default()) {
        Ok(mut recovered) => {
            let summary = summary(&recovered.tree);
            survives_a_snapshot(&mut recovered.tree);
            Some(summary)
        }
        Err(error) => {
            assert!(error.to_string().contains("/data"), "{error} names no file");
            None
        }
    }
}

fn survives_a_snapshot(tree: &mut Tree) {
    let body = snapshot_body(tree);
    let loaded =
        Tree::load(&body, tree.last_zxid(), None, TREE_OPTIONS).expect("a snapshot of our own loads");
    // No server lets it be deleted, and loading brings it back.
    if tree.node("/zookeeper/config").is_some() {
        assert_eq!(summary(&loaded), summary(tree), "what replaying made survives a snapshot");
    }
}

/// Forgets the newer half of a log that reads well.
fn cut(disk: &MemoryDisk) {
    let dir = Path::new(DIR);
    let Some(last) = last_record(disk, dir, Limits::default()).expect("the log was just read") else {
        return;
    };
    let middle = Zxid(last.0 - last.0 / 2);
    if truncate(disk, dir, middle, Limits::default()).is_ok() {
        assert_eq!(last_record(disk, dir, Limits::default()).expect("the rest is whole"), Some(middle));
    }
}

/// Whatever stands in the file that could be an entry, numbered from 1 on.
fn entries(file: &[u8]) -> Vec<Vec<u8>> {
    let mut entries: Vec<Vec<u8>> = Vec::new();
    let mut rest = file.get(16..).unwrap_or_default();
    while rest.len() >= FRAME_BEFORE + ENTRY_HEAD {
        let said = u32::from_be_bytes([rest[8], rest[9], rest[10], rest[11]]) as usize;
        let length = said.clamp(ENTRY_HEAD, rest.len() - FRAME_BEFORE);
        let mut entry = rest[FRAME_BEFORE..][..length].to_vec();
        let zxid = entries.len() as i64 + 1;
        entry[12..20].copy_from_slice(&zxid.to_be_bytes());
        entries.push(entry);
        rest = rest.get(FRAME_BEFORE + length + 1..).unwrap_or_default();
    }
    entries
}

/// The entries as the server writes and reads them.
fn log_of(entries: &[Vec<u8>]) -> Vec<u8> {
    let (disk, dir) = (MemoryDisk::default(), Path::new(DIR));
    disk.create_dir(dir).expect("memory has room");
    let options = LogOptions { prealloc_bytes: 0, ..LogOptions::default() };
    let mut log = Log::new(disk.clone(), dir, Zxid::ZERO, options);
    for (zxid, entry) in (1..).map(Zxid).zip(entries) {
        log.append(zxid, entry).expect("memory has room");
    }
    log.sync().expect("memory is durable");
    let mut records =
        Records::after(disk.clone(), dir, Zxid::ZERO, Limits::default()).expect("it can be read");
    for entry in entries {
        let record = records.next_record().expect("what was written reads").expect("every record is there");
        assert_eq!(record.entry, entry);
    }
    assert!(records.next_record().expect("the end is clean").is_none());
    disk.read(Path::new(LOG)).map(|contents| contents.to_vec()).unwrap_or_default()
}

/// An entry survives being encoded, except for what stands behind its digest.
fn one_entry(entry: &[u8]) {
    let mut reader = Reader::new(entry);
    let Ok(decoded) = Entry::decode(&mut reader) else { return };
    if decoded.digest.is_none() && !reader.remaining().is_empty() {
        return;
    }
    round_trip!(Entry::decode, Entry::encode, entry);
}
