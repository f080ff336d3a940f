//! What the fuzz targets share: a property of every record, and the files and the tree they work on.

use std::path::Path;

use zabd_jute::Zxid;
use zabd_storage::disk::{Disk, DiskFile, MemoryDisk};
use zabd_tree::{Tree, TreeOptions};

/// Decodes, and if that succeeds: what was decoded, encoded again, is the whole of the same record.
///
/// The bytes themselves need not come back: a record may be followed by others, malformed text is
/// replaced, and any non-zero byte is true.
#[macro_export]
macro_rules! round_trip {
    ($record:ident, $bytes:expr) => {
        $crate::round_trip!($record::decode, $record::encode, $bytes)
    };
    ($decode:expr, $encode:expr, $bytes:expr) => {
        let mut reader = zabd_jute::Reader::new($bytes);
        if let Ok(record) = $decode(&mut reader) {
            let mut encoded = Vec::new();
            $encode(&record, &mut zabd_jute::Writer::new(&mut encoded));
            let mut reader = zabd_jute::Reader::new(&encoded);
            let again = $decode(&mut reader).expect("what was encoded decodes");
            assert_eq!(again, record);
            assert!(reader.remaining().is_empty(), "what was encoded is decoded to its end");
        }
    };
}

/// The options of every tree here.
pub const TREE_OPTIONS: TreeOptions = TreeOptions { hash_seed: 1, digest: true, emulate_353_ttl: false };

/// Makes a file of a disk in memory, durable but for its data.
pub fn put(disk: &MemoryDisk, path: &Path, bytes: &[u8]) {
    let dir = path.parent().expect("a file lies in a directory");
    disk.create_dir(dir).expect("memory has room");
    let mut file = disk.create(path).expect("memory has room");
    disk.sync_dir(dir).expect("memory is durable");
    file.write_at(0, bytes).expect("memory has room");
}

/// What two trees must agree on to be the same for clients, operators and other servers.
#[derive(Debug, PartialEq, Eq)]
pub struct Summary {
    zxid: Zxid,
    digest: u64,
    nodes: usize,
    ephemerals: usize,
    sessions: Vec<(i64, i32)>,
}

/// Sums a tree up.
pub fn summary(tree: &Tree) -> Summary {
    Summary {
        zxid: tree.last_zxid(),
        digest: tree.digest(),
        nodes: tree.node_count(),
        ephemerals: tree.ephemerals_count(),
        sessions: tree.sessions().map(|(id, timeout_ms)| (id.0, timeout_ms)).collect(),
    }
}

/// The whole tree as the body of a snapshot.
pub fn snapshot_body(tree: &mut Tree) -> Vec<u8> {
    tree.begin_snapshot();
    let mut body = Vec::new();
    while tree.snapshot_chunk(&mut body, 64) {}
    body
}
