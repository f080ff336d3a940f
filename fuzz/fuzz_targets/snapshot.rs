//! A snapshot of any bytes, in each of the three ways to store one, from the file to the tree and back.
//!
//! The first byte says which way. The rest is tried twice: as the file itself, which is about seals,
//! sections and compression; and as the content of a file that is written here, which is about what the
//! body says. A body that loads is a tree, and that tree's snapshot is the same tree again.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use zabd_fuzz::{TREE_OPTIONS, put, snapshot_body, summary};
use zabd_jute::Zxid;
use zabd_storage::disk::{Disk, MemoryDisk};
use zabd_storage::snapshot::{self, Compression, SnapshotTrailer, SnapshotWriter};
use zabd_tree::Tree;

const DIR: &str = "/data/version-2";
/// Sessions, lists and znodes begin behind it.
const HEADER_BYTES: usize = 16;

fuzz_target!(|input: &[u8]| {
    let Some((way, file)) = input.split_first() else { return };
    let compression = [Compression::None, Compression::Gzip, Compression::Snappy][usize::from(way & 3) % 3];
    load_file(file, compression);
    let body = file.get(HEADER_BYTES..).unwrap_or_default();
    store_and_load(body, compression, way >> 2);
    load_body(body);
});

fn load_file(file: &[u8], compression: Compression) {
    let disk = MemoryDisk::default();
    let path = Path::new(DIR).join(format!("snapshot.5{}", compression.extension()));
    put(&disk, &path, file);
    match snapshot::load(&disk, &path) {
        Ok(loaded) => {
            assert!(snapshot::looks_whole(&disk, &path), "what is whole looks so");
            load_body(loaded.body());
        }
        Err(error) => assert!(error.to_string().contains("snapshot.5"), "{error} names no file"),
    }
}

/// What is written is read, whatever the body is.
fn store_and_load(body: &[u8], compression: Compression, sections: u8) {
    let disk = MemoryDisk::default();
    let dir = Path::new(DIR);
    disk.create_dir(dir).expect("memory has room");
    let trailer = SnapshotTrailer {
        digest: (sections & 1 == 1).then_some((Zxid(7), 0x1234_5678_9abc)),
        last_zxid: (sections & 2 == 2).then_some(Zxid(8)),
    };
    let body = [body, b"\0\0\0\x01/"].concat();
    let mut writer = SnapshotWriter::begin(disk.clone(), dir, Zxid(5), compression).expect("memory has room");
    let parts = usize::from(sections >> 2) + 1;
    for part in body.chunks(body.len().div_ceil(parts)) {
        writer.write(part).expect("memory has room");
    }
    let path = writer.finish(trailer).expect("memory has room");
    assert!(snapshot::looks_whole(&disk, &path));
    let loaded = snapshot::load(&disk, &path).expect("what was written loads");
    assert!(loaded.body() == body, "what was written is read");
    assert_eq!(loaded.trailer, trailer);
}

fn load_body(body: &[u8]) {
    let load = |body: &[u8]| Tree::load(body, Zxid(5), None, TREE_OPTIONS);
    let mut tree = match load(body) {
        Ok(tree) => tree,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let mut second = load(&snapshot_body(&mut tree)).expect("a snapshot of our own loads");
    assert_eq!(summary(&second), summary(&tree));
    // Lists are numbered anew by the first load, in the order of the file by then.
    let body = snapshot_body(&mut second);
    let mut third = load(&body).expect("a snapshot of our own loads");
    assert!(snapshot_body(&mut third) == body, "the same tree gives the same snapshot");
    tree.remove_dead_sessions();
    tree.reap_candidates(i64::MAX, 1);
}
