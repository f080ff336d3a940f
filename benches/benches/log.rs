//! What appending to the log costs apart from the disk: framing, checksum, and one write per batch, to a
//! disk that copies what it is given and keeps nothing.

use std::hint::black_box;
use std::io;
use std::path::Path;

use criterion::{Criterion, Throughput};
use zabd_benches::workload::value;
use zabd_jute::txn::{Entry, Txn, TxnHeader};
use zabd_jute::{OpCode, SessionId, Writer, Zxid};
use zabd_storage::disk::{Contents, Disk, DiskFile};
use zabd_storage::log::{Log, LogOptions};

/// As much as the page cache would be given at once.
const PAGES: usize = 1 << 20;

/// A disk with room for everything.
#[derive(Clone)]
struct Forgetful;

/// A file that remembers the last bytes written.
struct Pages(Vec<u8>);

impl Disk for Forgetful {
    type File = Pages;

    fn create_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
    fn create(&self, _: &Path) -> io::Result<Pages> {
        Ok(Pages(vec![0; PAGES]))
    }
    fn open(&self, path: &Path) -> io::Result<Pages> {
        self.create(path)
    }
    fn read(&self, _: &Path) -> io::Result<Contents> {
        Ok(Contents::Owned(Vec::new()))
    }
    fn length(&self, _: &Path) -> io::Result<u64> {
        Ok(0)
    }
    fn list(&self, _: &Path) -> io::Result<Vec<String>> {
        Ok(Vec::new())
    }
    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        Ok(())
    }
    fn remove(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for Pages {
    fn write_at(&mut self, _: u64, bytes: &[u8]) -> io::Result<()> {
        assert!(bytes.len() <= PAGES, "a batch of this bench is small");
        self.0[..bytes.len()].copy_from_slice(bytes);
        black_box(&self.0);
        Ok(())
    }
    fn set_length(&mut self, _: u64) -> io::Result<()> {
        Ok(())
    }
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Encodes a set of `data` and appends it, `records` times, then syncs.
fn append_batch(log: &mut Log<Forgetful>, records: i64, data: &[u8], entry_bytes: &mut Vec<u8>) {
    for _ in 0..records {
        let zxid = Zxid(log.last().0 + 1);
        let kind = OpCode::SetData.code();
        let header = TxnHeader { session: SessionId(1), cxid: 1, zxid, time_ms: 1, kind };
        let txn = Txn::SetData { path: "/bench/000000/00000000".into(), data: Some(data), version: 1 };
        entry_bytes.clear();
        Entry { header, txn, digest: None }.encode(&mut Writer::new(entry_bytes));
        log.append(zxid, entry_bytes).expect("the record is small");
    }
    log.sync().expect("the disk takes everything");
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("log");
    let mut entry_bytes = Vec::new();
    for (records, value_bytes) in [(1, 100), (100, 100), (100, 4096)] {
        let mut log = Log::new(Forgetful, Path::new("/version-2"), Zxid(0), LogOptions::default());
        let data = value(value_bytes);
        group.throughput(Throughput::Elements(records as u64));
        group.bench_function(format!("batch of {records} sets of {value_bytes} bytes"), |b| {
            b.iter(|| append_batch(&mut log, records, &data, &mut entry_bytes));
        });
    }
    group.finish();
    criterion.final_summary();
}
