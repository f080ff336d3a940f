//! One server's disk: the real log, snapshots and epochs over a disk in memory, one operation behind the other.
//!
//! What the disk refuses is told as in the server: a log without room waits for some, everything else ends the process.

use std::path::Path;

use bytes::Bytes;
use zabd_jute::quorum::Configuration;
use zabd_jute::txn::Entry;
use zabd_jute::{Epoch, Limits, OpCode, Reader, ServerId, Zxid};
use zabd_replica::shown_members;
use zabd_storage::damage;
use zabd_storage::disk::{Disk, DiskFile, MemoryDisk};
use zabd_storage::epochs::{self, EpochError, EpochFile};
use zabd_storage::held;
use zabd_storage::layout;
use zabd_storage::log::{AppendedSinceRoll, Log, LogError, LogOptions, Records, settle};
use zabd_storage::rebase::{self, Epochs, RebaseError};
use zabd_storage::recovery::{Directories, RecoveryError, RecoveryOptions, prepare, snapshots_to_try};
use zabd_storage::snapshot::{
    self, Compression, SealedSnapshot, SnapshotError, SnapshotTrailer, SnapshotWriter,
};
use zabd_storage::testimony;
use zabd_tree::{Tree, TreeOptions};
use zabd_zab::effect::Durable;
use zabd_zab::history::History;
use zabd_zab::quorum::{Lists, lists};

use crate::dice::Dice;

/// How trees are kept in this world.
pub const TREE: TreeOptions = TreeOptions { hash_seed: 1, digest: true, emulate_353_ttl: false };

/// Where a start puts snapshots and epochs, below what it is given.
const DATA: &str = "/data/version-2";
/// And logs.
const LOGS: &str = "/log/version-2";

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
    /// Those of them that change the members.
    pub changes: Vec<Zxid>,
    /// There was more, which was damaged, and is not fetched yet.
    pub has_lost: bool,
    /// It is only a part of what a leader was sending.
    pub is_partial: bool,
    /// The lists of members without a number that may hold.
    pub lists: lists::Found,
    /// There is nothing that it could testify to.
    pub is_empty: bool,
}

/// Why a disk operation failed.
#[derive(Debug)]
pub enum StoreError {
    /// There is no room, and what was to be written waits.
    Full,
    /// The process ends.
    Failed(String),
    /// What is there is damaged.
    Damaged(String),
}

impl From<LogError> for StoreError {
    fn from(error: LogError) -> Self {
        RecoveryError::from(error).into()
    }
}

impl From<RecoveryError> for StoreError {
    fn from(error: RecoveryError) -> Self {
        if error.is_want() {
            StoreError::Full
        } else if error.is_damage() {
            StoreError::Damaged(error.to_string())
        } else {
            StoreError::Failed(error.to_string())
        }
    }
}

impl From<SnapshotError> for StoreError {
    fn from(error: SnapshotError) -> Self {
        RecoveryError::from(error).into()
    }
}

impl From<EpochError> for StoreError {
    fn from(error: EpochError) -> Self {
        if error.is_want() { StoreError::Full } else { StoreError::Failed(error.to_string()) }
    }
}

impl From<RebaseError> for StoreError {
    fn from(error: RebaseError) -> Self {
        if error.is_want() { StoreError::Full } else { StoreError::Failed(error.to_string()) }
    }
}

/// See the module's description.
#[derive(Debug)]
pub struct Store {
    /// What crashes.
    pub disk: MemoryDisk,
    me: ServerId,
    directories: Directories,
    log: Log<MemoryDisk>,
    image: Option<SealedSnapshot<MemoryDisk>>,
    /// A snapshot that is being written, bite by bite.
    snapshot: Option<(SnapshotWriter<MemoryDisk>, SnapshotTrailer)>,
}

/// Znodes per bite of a snapshot: few, so that much changes in between.
const BITE_NODES: usize = 4;

fn options() -> LogOptions {
    LogOptions { prealloc_bytes: 0, ..LogOptions::default() }
}

impl Store {
    /// Starts on what the disk of a server holds, keeping so many records in memory.
    pub fn start(me: ServerId, disk: MemoryDisk, kept: usize) -> Result<(Self, Found), StoreError> {
        let (data_dir, log_dir) = ("/data".into(), "/log".into());
        let recovery =
            RecoveryOptions { data_dir, log_dir, autocreate: true, trust_empty: false, is_alone: false };
        let directories = match prepare(&disk, &recovery) {
            Err(error) if error.is_damage() => {
                damage::set_aside(&disk, &Directories::of(&recovery), &error.to_string())?;
                prepare(&disk, &recovery)?
            }
            prepared => prepared?,
        };
        if damage::remembers_loss(&disk, &directories) {
            damage::set_aside(&disk, &directories, "not fetched yet")?;
        }
        let recovered = match recover(&disk, &directories, kept) {
            Err(StoreError::Damaged(why)) => {
                damage::set_aside(&disk, &directories, &why)?;
                recover(&disk, &directories, kept)?
            }
            recovered => recovered?,
        };
        let Recovered { tree, history, logged, changes, unsaved } = recovered;
        let has_lost = damage::remembers_loss(&disk, &directories);
        let is_partial = damage::is_partial(&disk, &directories);
        let lists = held::read(&disk, &directories)?;
        let last = tree.last_zxid();
        let epochs = rebase::settle_epochs(&disk, &directories.snapshots, last)?;
        let lists = Lists::found(&lists, Some(me), epochs.current);
        let lists = lists.map_err(|error| StoreError::Failed(error.to_string()))?;
        let is_empty = testimony::is_empty(&disk, &directories, last, epochs.current);
        let is_empty = is_empty.map_err(|error| StoreError::Failed(error.to_string()))?;
        let log = Log::new(disk.clone(), &directories.logs, last, options()).with_unsaved(unsaved);
        let mut store = Self { disk, me, directories, log, image: None, snapshot: None };
        if snapshots_to_try(&store.disk, &store.directories, false)?.is_empty() {
            let mut empty = Tree::new(TREE);
            store.begin_snapshot(&mut empty)?;
            while store.is_taking_snapshot() {
                store.go_on_with_snapshot(&mut empty)?;
            }
        }
        Ok((store, Found { tree, history, epochs, logged, changes, has_lost, is_partial, lists, is_empty }))
    }

    /// What was lost is durable again.
    pub fn forget_loss(&self) -> Result<(), StoreError> {
        Ok(damage::forget_loss(&self.disk, &self.directories)?)
    }

    /// Appends records.
    pub fn append(&mut self, records: &[(Zxid, Bytes)]) -> Result<(), StoreError> {
        records.iter().try_for_each(|(zxid, entry)| Ok(self.log.append(*zxid, entry)?))
    }

    /// Whether something was appended and is not durable.
    pub fn has_unsynced(&self) -> bool {
        !self.log.is_synced()
    }

    /// Makes what was appended durable.
    pub fn sync(&mut self) -> Result<Zxid, StoreError> {
        Ok(self.log.sync()?)
    }

    /// Writes a small thing.
    pub fn persist(&mut self, what: &Durable) -> Result<(), StoreError> {
        let (file, epoch) = match what {
            Durable::Accepted(epoch) => (EpochFile::Accepted, *epoch),
            Durable::Current(epoch) => (EpochFile::Current, *epoch),
            Durable::Configuration(_) | Durable::NextConfiguration(_) => return Ok(()),
            Durable::Lists(lists) => {
                return Ok(held::write(&self.disk, &self.directories, &lists.written(self.me))?);
            }
            Durable::Partial(is_partial) => {
                return Ok(damage::set_partial(&self.disk, &self.directories, *is_partial)?);
            }
        };
        let number = u32::try_from(epoch.0).expect("epochs are small");
        epochs::write(&self.disk, &self.directories.snapshots, file, number)?;
        if file == EpochFile::Current {
            self.log.begin_empty(epoch)?;
        }
        Ok(())
    }

    /// Forgets what is behind `last`; the tree of what is left if it ends there, or nothing if it does not.
    pub fn truncate(&mut self, last: Zxid) -> Result<Option<Tree>, StoreError> {
        let is_cut = rebase::cut(&self.disk, &self.directories, last, Limits::default())?;
        if is_cut { Ok(Some(self.reload()?)) } else { Ok(None) }
    }

    /// An image came over the network: it is written under no name yet. Gives the members that it shows.
    pub fn receive(&mut self, body: &[u8], zxid: Zxid) -> Result<Option<Box<Configuration>>, StoreError> {
        let dir = &self.directories.snapshots;
        let mut writer = SnapshotWriter::begin(self.disk.clone(), dir, zxid, Compression::None)?;
        writer.write(body)?;
        self.image = Some(writer.seal_up(SnapshotTrailer { digest: None, last_zxid: None })?);
        let tree =
            Tree::load(body, zxid, None, TREE).map_err(|error| StoreError::Damaged(error.to_string()))?;
        Ok(shown_members(&tree))
    }

    /// Takes that image for the past.
    pub fn adopt(&mut self, zxid: Zxid, epoch: Epoch) -> Result<Tree, StoreError> {
        let image = self.image.as_mut().expect("an image has come");
        rebase::adopt(&self.disk, &self.directories, image, zxid, epoch, Limits::default())?;
        let tree = self.reload()?;
        self.image = None;
        Ok(tree)
    }

    fn reload(&mut self) -> Result<Tree, StoreError> {
        let Recovered { tree, unsaved, .. } = recover(&self.disk, &self.directories, 0)?;
        let log = Log::new(self.disk.clone(), &self.directories.logs, tree.last_zxid(), options());
        self.log = log.with_unsaved(unsaved);
        Ok(tree)
    }

    /// Begins a snapshot of a tree that shows only what is committed.
    pub fn begin_snapshot(&mut self, tree: &mut Tree) -> Result<(), StoreError> {
        let head = tree.begin_snapshot();
        let trailer = SnapshotTrailer { digest: Some((head.zxid, tree.digest())), last_zxid: None };
        let dir = &self.directories.snapshots;
        let begun = SnapshotWriter::begin(self.disk.clone(), dir, head.zxid, Compression::None);
        if begun.is_err() {
            tree.abandon_snapshot();
        }
        self.snapshot = Some((begun?, trailer));
        self.log.roll();
        Ok(())
    }

    /// Whether one was begun that is not finished.
    pub fn is_taking_snapshot(&self) -> bool {
        self.snapshot.is_some()
    }

    /// The next bite; what is written into the tree meanwhile does not show.
    pub fn go_on_with_snapshot(&mut self, tree: &mut Tree) -> Result<(), StoreError> {
        let Some((mut writer, trailer)) = self.snapshot.take() else { return Ok(()) };
        let mut bite = Vec::new();
        let has_more = tree.snapshot_chunk(&mut bite, BITE_NODES);
        let written = writer.write(&bite);
        if has_more && written.is_err() {
            tree.abandon_snapshot();
        }
        written?;
        if has_more {
            self.snapshot = Some((writer, trailer));
        } else {
            writer.finish(trailer)?;
        }
        Ok(())
    }

    /// The tree is needed for something else, or is another from now on.
    pub fn abandon_snapshot(&mut self, tree: &mut Tree) {
        if self.snapshot.take().is_some() {
            tree.abandon_snapshot();
        }
    }

    /// How many records came since the last snapshot, in this life and in those before.
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

/// Whether the server of this disk has lost something, and not fetched it yet.
pub fn lacks_what_it_lost(disk: &MemoryDisk) -> bool {
    damage::remembers_loss(disk, &Directories { snapshots: DATA.into(), logs: LOGS.into() })
}

/// Logs are gone, and snapshots but that of the empty beginning: those of the others were on another disk, and a server that goes
/// on from them without the logs behind them cannot know that it lacks something.
pub fn lose_data(disk: &MemoryDisk) {
    let (data, logs_dir) = (Path::new(DATA), Path::new(LOGS));
    let logs = layout::logs(disk, logs_dir).unwrap_or_default().into_iter();
    let snapshots = layout::snapshots(disk, data).unwrap_or_default().into_iter();
    for file in logs.chain(snapshots.filter(|file| file.zxid != Zxid::ZERO)) {
        disk.remove(&file.path).expect("a file that was just listed can be removed");
    }
    for dir in [data, logs_dir] {
        disk.sync_dir(dir).expect("a disk that lost something can be written to");
    }
}

/// What became of a server whose disk of logs was replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogDisk {
    /// It was never used.
    Unused,
    /// Nothing is left but the empty beginning.
    HeldAll,
    /// A snapshot is left that held a part.
    HeldMore,
}

/// The disk of the logs is another one, and empty.
pub fn replace_log_disk(disk: &MemoryDisk) -> LogDisk {
    let dir = Path::new(LOGS);
    let Ok(names) = disk.list(dir) else { return LogDisk::Unused };
    for name in names {
        disk.remove(&dir.join(name)).expect("a file that was just listed can be removed");
    }
    disk.sync_dir(dir).expect("a new disk can be written to");
    let snapshots = layout::snapshots(disk, Path::new(DATA)).unwrap_or_default();
    let is_founded = snapshots.iter().any(|file| file.zxid != Zxid::ZERO);
    if is_founded { LogDisk::HeldMore } else { LogDisk::HeldAll }
}

/// One bit of the newest snapshot is another from now on; false if there is none but that of the empty beginning.
pub fn rot_snapshot(disk: &MemoryDisk, place: usize) -> bool {
    let Ok(snapshots) = layout::snapshots(disk, Path::new(DATA)) else { return false };
    let Some(newest) = snapshots.last().filter(|file| file.zxid != Zxid::ZERO) else { return false };
    rot(disk, &newest.path, place, place as u64);
    true
}

/// One bit of the log, wherever it may be, is another from now on; false if there is none.
pub fn rot_log(disk: &MemoryDisk, place: usize) -> bool {
    let Ok(logs) = layout::logs(disk, Path::new(LOGS)) else { return false };
    let which = place * logs.len() / 1000;
    let Some(file) = logs.get(which) else { return false };
    rot(disk, &file.path, (place * logs.len()) % 1000, place as u64);
    true
}

fn rot(disk: &MemoryDisk, path: &Path, place: usize, seed: u64) {
    let bytes = disk.read(path).expect("a file that was just listed is there").to_vec();
    // A file that a crash has left empty has nothing that could rot.
    let Some(last) = bytes.len().checked_sub(1) else { return };
    let at = place * last / 1000;
    let bit = 1 << Dice::new(seed).throw(8);
    let mut file = disk.open(path).expect("a file that was just read is there");
    let rots = file.write_at(at as u64, &[bytes[at] ^ bit]).and_then(|()| file.sync());
    rots.expect("a disk that rots can be written to");
}

/// What the files of a disk make.
struct Recovered {
    tree: Tree,
    history: History,
    logged: Vec<Zxid>,
    changes: Vec<Zxid>,
    /// What no snapshot holds.
    unsaved: AppendedSinceRoll,
}

fn recover(disk: &MemoryDisk, directories: &Directories, kept: usize) -> Result<Recovered, StoreError> {
    let snapshots = snapshots_to_try(disk, directories, false)?;
    let mut problem = None;
    let mut base = None;
    for file in &snapshots {
        let loaded = snapshot::load(disk, &file.path).map_err(StoreError::from).and_then(|loaded| {
            let tree = Tree::load(loaded.body(), file.zxid, loaded.trailer.digest, TREE);
            tree.map_err(|error| StoreError::Damaged(error.to_string()))
        });
        match loaded {
            Ok(tree) => {
                base = Some(tree);
                break;
            }
            Err(error) => problem = problem.or(Some(error)),
        }
    }
    let mut tree = match (base, problem) {
        (Some(tree), _) => tree,
        (None, Some(problem)) => return Err(problem),
        (None, None) => Tree::new(TREE),
    };
    let first = tree.last_zxid();
    let mut records = Records::after(disk.clone(), &directories.logs, first, Limits::default())?;
    let (mut replayed, mut changes, mut unsaved) = (Vec::new(), Vec::new(), AppendedSinceRoll::default());
    while let Some(record) = records.next_record()? {
        let entry = Entry::decode(&mut Reader::new(record.entry)).expect("our own record decodes");
        let outcome = tree.replay(&entry);
        assert!(
            outcome.digest_mismatch.is_none(),
            "replaying {}: {:?}",
            record.zxid,
            outcome.digest_mismatch
        );
        unsaved.add(record.entry);
        if entry.header.kind == OpCode::Reconfig.code() {
            changes.push(record.zxid);
        }
        replayed.push((record.zxid, Bytes::copy_from_slice(record.entry)));
    }
    assert_eq!(tree.doubted_digest(), None, "the log is level with the tree at its end");
    settle(disk, records)?;
    let logged = replayed.iter().map(|(zxid, _)| *zxid).collect();
    let newest = replayed.len().saturating_sub(kept);
    let before = if newest == 0 { first } else { replayed[newest - 1].0 };
    let mut history = History::on_disk(first, before);
    for (zxid, entry) in replayed.drain(newest..) {
        history.push(zxid, entry);
    }
    Ok(Recovered { tree, history, logged, changes, unsaved })
}

#[cfg(test)]
mod tests {
    use zabd_jute::txn::{Txn, TxnHeader};
    use zabd_jute::{SessionId, Writer};

    use super::*;

    /// As in the server: worlds in which everybody crashes all the time took no snapshot.
    #[test]
    fn a_start_counts_what_no_snapshot_holds() {
        let disk = MemoryDisk::default();
        for life in 1..=3 {
            let (mut store, found) = Store::start(ServerId(1), disk.clone(), 0).unwrap();
            let zxid = found.tree.last_zxid().next();
            let kind = OpCode::CreateSession.code();
            let header = TxnHeader { session: SessionId(life), cxid: 0, zxid, time_ms: 0, kind };
            let mut record = Vec::new();
            let entry = Entry { header, txn: Txn::CreateSession { timeout_ms: 4000 }, digest: None };
            entry.encode(&mut Writer::new(&mut record));
            store.append(&[(zxid, record.into())]).unwrap();
            store.sync().unwrap();
            assert_eq!(store.since_snapshot(), life as u64);
        }
    }
}
