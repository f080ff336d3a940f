//! One server's disk: the real log, snapshots and epochs over a disk in memory, one operation behind the other.

use std::path::Path;

use bytes::Bytes;
use zabd_jute::txn::Entry;
use zabd_jute::{Epoch, Limits, Reader, Zxid};
use zabd_storage::disk::MemoryDisk;
use zabd_storage::epochs::{self, EpochFile};
use zabd_storage::log::{Log, LogOptions, Records, settle};
use zabd_storage::rebase::{self, Epochs};
use zabd_storage::recovery::{Directories, RecoveryOptions, prepare, snapshots_to_try};
use zabd_storage::snapshot::{self, Compression, SealedSnapshot, SnapshotTrailer, SnapshotWriter};
use zabd_tree::{Tree, TreeOptions};
use zabd_zab::effect::Durable;
use zabd_zab::history::History;

/// How trees are kept in this world.
pub const TREE: TreeOptions = TreeOptions { hash_seed: 1, digest: true, emulate_353_ttl: false };

/// One operation of a disk, in the order in which they were asked for.
#[derive(Debug)]
pub enum Operation {
    /// A record.
    Append(Zxid, Bytes),
    /// A small thing.
    Persist(Durable),
    /// Forget what is behind.
    Truncate(Zxid),
    /// Take the image that came for the past.
    Adopt(Zxid, Epoch),
}

/// What a start finds.
#[derive(Debug)]
pub struct Found {
    /// The tree behind the last record.
    pub tree: Tree,
    /// The newest records.
    pub history: History,
    /// What was promised and joined.
    pub epochs: Epochs,
    /// All records on disk.
    pub logged: Vec<Zxid>,
}

/// See the module's description.
#[derive(Debug)]
pub struct Store {
    /// What crashes.
    pub disk: MemoryDisk,
    directories: Directories,
    log: Log<MemoryDisk>,
    image: Option<SealedSnapshot<MemoryDisk>>,
}

fn options() -> LogOptions {
    LogOptions { prealloc_bytes: 0, ..LogOptions::default() }
}

impl Store {
    /// Starts on what a disk holds, keeping so many records in memory.
    pub fn start(disk: MemoryDisk, kept: usize) -> (Self, Found) {
        let dir = Path::new("/data").to_owned();
        let recovery =
            RecoveryOptions { data_dir: dir.clone(), log_dir: dir, autocreate: true, trust_empty: false };
        let directories = prepare(&disk, &recovery).expect("the directories can be made");
        let (tree, history, logged) = recover(&disk, &directories, kept);
        let last = tree.last_zxid();
        let epochs =
            rebase::settle_epochs(&disk, &directories.snapshots, last).expect("the epochs make sense");
        let log = Log::new(disk.clone(), &directories.logs, last, options());
        let mut store = Self { disk, directories, log, image: None };
        if snapshots_to_try(&store.disk, &store.directories, false)
            .expect("snapshots can be listed")
            .is_empty()
        {
            let mut empty = Tree::new(TREE);
            store.snapshot(&mut empty);
        }
        (store, Found { tree, history, epochs, logged })
    }

    /// Appends records and makes them durable together.
    pub fn append(&mut self, records: &[(Zxid, Bytes)]) -> Zxid {
        for (zxid, entry) in records {
            self.log.append(*zxid, entry).expect("the log takes records");
        }
        self.log.sync().expect("the log is synced")
    }

    /// Writes a small thing.
    pub fn persist(&mut self, what: &Durable) {
        let (file, epoch) = match what {
            Durable::Accepted(epoch) => (EpochFile::Accepted, *epoch),
            Durable::Current(epoch) => (EpochFile::Current, *epoch),
            Durable::Configuration(_) | Durable::NextConfiguration(_) => return,
        };
        let number = u32::try_from(epoch.0).expect("epochs are small");
        epochs::write(&self.disk, &self.directories.snapshots, file, number).expect("an epoch is written");
    }

    /// Forgets what is behind `last`; the tree of what is left if it ends there, or nothing if it does not.
    pub fn truncate(&mut self, last: Zxid) -> Option<Tree> {
        let is_cut =
            rebase::cut(&self.disk, &self.directories, last, Limits::default()).expect("the log is cut");
        is_cut.then(|| self.reload())
    }

    /// An image came over the network: it is written under no name yet.
    pub fn receive(&mut self, body: &[u8], zxid: Zxid) {
        let dir = &self.directories.snapshots;
        let mut writer =
            SnapshotWriter::begin(self.disk.clone(), dir, zxid, Compression::None).expect("a file is made");
        writer.write(body).expect("an image is written");
        self.image =
            Some(writer.seal_up(SnapshotTrailer { digest: None, last_zxid: None }).expect("it is sealed"));
    }

    /// Takes that image for the past.
    pub fn adopt(&mut self, zxid: Zxid, epoch: Epoch) -> Tree {
        let image = self.image.take().expect("an image has come");
        let limits = Limits::default();
        rebase::adopt(&self.disk, &self.directories, image, zxid, epoch, limits)
            .expect("an image is adopted");
        self.reload()
    }

    fn reload(&mut self) -> Tree {
        let (tree, _, _) = recover(&self.disk, &self.directories, 0);
        self.log = Log::new(self.disk.clone(), &self.directories.logs, tree.last_zxid(), options());
        tree
    }

    /// Writes a snapshot of a tree that shows only what is committed.
    pub fn snapshot(&mut self, tree: &mut Tree) {
        let (zxid, body) = image_of(tree);
        let digest = Some((zxid, tree.digest()));
        let dir = &self.directories.snapshots;
        let mut writer =
            SnapshotWriter::begin(self.disk.clone(), dir, zxid, Compression::None).expect("a file is made");
        writer.write(&body).expect("a snapshot is written");
        writer.finish(SnapshotTrailer { digest, last_zxid: None }).expect("it is named");
        self.log.roll();
    }

    /// How many records came since the last snapshot.
    pub fn since_snapshot(&self) -> u64 {
        self.log.appended_since_roll().records
    }

    /// The records behind `after` up to `upto`, if the log holds `after` itself and has no gap.
    pub fn records(&self, after: Zxid, upto: Zxid) -> Option<Vec<(Zxid, Bytes)>> {
        let from = Zxid(after.0 - 1);
        let mut records =
            Records::after(self.disk.clone(), &self.directories.logs, from, Limits::default()).ok()?;
        if records.next_record().ok()??.zxid != after {
            return None;
        }
        let mut found = Vec::new();
        while let Some(record) = records.next_record().ok()? {
            if upto < record.zxid {
                break;
            }
            found.push((record.zxid, Bytes::copy_from_slice(record.entry)));
        }
        Some(found)
    }
}

/// The tree as a stream, and where it stands.
pub fn image_of(tree: &mut Tree) -> (Zxid, Vec<u8>) {
    let head = tree.begin_snapshot();
    let mut body = Vec::new();
    while tree.snapshot_chunk(&mut body, 1000) {}
    (head.zxid, body)
}

fn recover(disk: &MemoryDisk, directories: &Directories, kept: usize) -> (Tree, History, Vec<Zxid>) {
    let snapshots = snapshots_to_try(disk, directories, false).expect("snapshots can be listed");
    let mut tree = match snapshots.first() {
        None => Tree::new(TREE),
        Some(newest) => {
            let file = snapshot::load(disk, &newest.path).expect("our own snapshot is whole");
            Tree::load(file.body(), newest.zxid, file.trailer.digest, TREE).expect("our own snapshot loads")
        }
    };
    let mut records = Records::after(disk.clone(), &directories.logs, tree.last_zxid(), Limits::default())
        .expect("the log can be opened");
    let mut replayed = Vec::new();
    while let Some(record) = records.next_record().expect("the log is whole") {
        let entry = Entry::decode(&mut Reader::new(record.entry)).expect("our own record decodes");
        let outcome = tree.replay(&entry);
        assert!(
            outcome.digest_mismatch.is_none(),
            "replaying {}: {:?}",
            record.zxid,
            outcome.digest_mismatch
        );
        replayed.push((record.zxid, Bytes::copy_from_slice(record.entry)));
    }
    assert_eq!(tree.doubted_digest(), None, "the log is level with the tree at its end");
    settle(disk, records).expect("the log is settled");
    let logged = replayed.iter().map(|(zxid, _)| *zxid).collect();
    let newest = replayed.len().saturating_sub(kept);
    let before = if newest == 0 {
        snapshots.first().map_or(Zxid::ZERO, |file| file.zxid)
    } else {
        replayed[newest - 1].0
    };
    let mut history = History::new(before);
    for (zxid, entry) in replayed.drain(newest..) {
        history.push(zxid, entry);
    }
    (tree, history, logged)
}
