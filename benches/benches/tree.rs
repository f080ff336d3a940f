//! What the tree costs apart from sockets and disk: finding a znode, applying a transaction to it, and a snapshot of all,
//! among a hundred thousand that share parents by the thousand, and that all have the same parent.

use std::borrow::Cow;
use std::hint::black_box;

use criterion::Criterion;
use zabd_benches::workload::{Dice, Keyspace, PathBuffer, value};
use zabd_jute::txn::{CreateKind, CreateTxn, Entry, Txn, TxnHeader};
use zabd_jute::{Acl, OpCode, SessionId, Zxid};
use zabd_tree::{Tree, TreeOptions};

const ZNODES: u64 = 100_000;
/// As many as the server writes while it holds the tree.
const ZNODES_PER_BITE: usize = 200;

/// A tree and everything needed to apply the next transaction to it.
struct Bed {
    tree: Tree,
    keyspace: Keyspace,
    path: PathBuffer,
    dice: Dice,
    data: Vec<u8>,
    next_zxid: i64,
}

fn text(path: &[u8]) -> &str {
    std::str::from_utf8(path).expect("paths are digits")
}

fn header(zxid: i64, op: OpCode) -> TxnHeader {
    TxnHeader { session: SessionId(1), cxid: 1, zxid: Zxid(zxid), time_ms: zxid, kind: op.code() }
}

fn create<'a>(zxid: i64, path: &'a str, data: &'a [u8]) -> Entry<'a> {
    let kind = CreateKind::Plain { ephemeral: false };
    let path = Cow::Borrowed(path);
    let txn = CreateTxn { path, data: Some(data), acl: vec![Acl::open()], kind, parent_cversion: -1 };
    Entry { header: header(zxid, OpCode::Create), txn: Txn::Create(txn), digest: None }
}

impl Bed {
    fn new(keyspace: Keyspace) -> Self {
        let options = TreeOptions { hash_seed: 1, digest: true, emulate_353_ttl: false };
        let mut bed = Self {
            tree: Tree::new(options),
            keyspace,
            path: PathBuffer::prefilled(),
            dice: Dice::new(1),
            data: value(100),
            next_zxid: 2,
        };
        bed.tree.apply(&create(1, "/bench", b""), None, &mut ());
        for index in 0..keyspace.parents() {
            let entry = create(bed.next_zxid, text(bed.path.parent(index)), b"");
            bed.tree.apply(&entry, None, &mut ());
            bed.next_zxid += 1;
        }
        let mut path = PathBuffer::prefilled();
        for index in 0..keyspace.znodes {
            let entry = create(bed.next_zxid, text(path.znode(&keyspace, index)), &bed.data);
            bed.tree.apply(&entry, None, &mut ());
            bed.next_zxid += 1;
        }
        bed
    }

    fn lookup(&mut self) {
        let path = self.path.znode(&self.keyspace, self.dice.below(self.keyspace.znodes));
        let node = self.tree.node(text(path)).expect("the bed is filled");
        black_box((node.data(), node.stat()));
    }

    fn set(&mut self) {
        let path = self.path.znode(&self.keyspace, self.dice.below(self.keyspace.znodes));
        let txn = Txn::SetData { path: text(path).into(), data: Some(&self.data), version: 1 };
        let entry = Entry { header: header(self.next_zxid, OpCode::SetData), txn, digest: None };
        self.tree.apply(&entry, None, &mut ());
        self.next_zxid += 1;
    }

    fn swap(&mut self) {
        let path = self.path.znode(&self.keyspace, self.dice.below(self.keyspace.znodes));
        let txn = Txn::Delete { path: text(path).into() };
        let delete = Entry { header: header(self.next_zxid, OpCode::Delete), txn, digest: None };
        self.tree.apply(&delete, None, &mut ());
        self.tree.apply(&create(self.next_zxid + 1, text(path), &self.data), None, &mut ());
        self.next_zxid += 2;
    }

    fn snapshot(&mut self, bite: &mut Vec<u8>) {
        black_box(self.tree.begin_snapshot());
        while self.tree.snapshot_chunk(bite, ZNODES_PER_BITE) {
            black_box(&*bite);
            bite.clear();
        }
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let shapes = [("parents of 1000", Keyspace::spread(ZNODES)), ("one parent", Keyspace::flat(ZNODES))];
    for (shape, keyspace) in shapes {
        let mut bed = Bed::new(keyspace);
        let mut group = criterion.benchmark_group(format!("tree/{ZNODES} znodes, {shape}"));
        group.bench_function("lookup", |b| b.iter(|| bed.lookup()));
        group.bench_function("apply setData", |b| b.iter(|| bed.set()));
        group.bench_function("apply delete + create", |b| b.iter(|| bed.swap()));
        let mut bite = Vec::new();
        group.bench_function("snapshot", |b| b.iter(|| bed.snapshot(&mut bite)));
        group.finish();
    }
    criterion.final_summary();
}
