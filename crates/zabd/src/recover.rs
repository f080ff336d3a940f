//! From files to a tree: the newest snapshot that is whole, then the log behind it.
//!
//! Each step says what it found and how long it took; each failure says which file, where in it, and
//! what to do. A snapshot that does not load falls back to the one before it, with more log; whether
//! that log is complete is checked record by record.

mod young;

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Instant;

use bytes::Bytes;
use zabd_jute::txn::Entry;
use zabd_jute::{Limits, Reader, Zxid};
use zabd_storage::disk::Disk;
use zabd_storage::layout::{self, NamedFile, SNAPSHOT};
use zabd_storage::log::{AppendedSinceRoll, Cut, LogError, Records, find_conflict, reach_behind, settle};
use zabd_storage::misnamed::{Moved, refuse_names_ahead, set_names_right};
use zabd_storage::recovery::{Directories, RecoveryError, RecoveryOptions, prepare, snapshots_to_try};
use zabd_storage::restore::REPLACED;
use zabd_storage::snapshot;
use zabd_tree::{Tree, TreeOptions};
use zabd_zab::history::History;

use crate::admin::shown_node_count;
use crate::memory;
use crate::probes::Progress;
use zabd_replica::percentiles::Percentiles;

/// What stood on the disk.
#[derive(Debug)]
pub struct Recovered {
    /// The state behind the last record.
    pub tree: Tree,
    /// Where the files are.
    pub directories: Directories,
    /// Whether the disk holds what the tree shows only together with a snapshot that has yet to be
    /// written: a fresh directory, logs without any, or sessions that were found dead.
    pub needs_snapshot: bool,
    /// What the log holds behind the newest snapshot; nothing, if another one is needed at once.
    pub unsaved: AppendedSinceRoll,
    /// Neither a snapshot nor a record was there.
    pub is_empty: bool,
    /// What it took.
    pub figures: StartFigures,
    /// The newest transactions, of a member of an ensemble: what its peers most likely lack.
    pub newest: History,
    /// How it came about.
    pub story: Story,
}

/// What was found on the way, for whoever asks before a start what it would do.
#[derive(Debug, Default)]
pub struct Story {
    /// The snapshot with which it began.
    pub snapshot: Option<PathBuf>,
    /// What is wrong with newer ones.
    pub passed_over: Vec<String>,
    /// Transactions of the log that were applied.
    pub replayed: u64,
    /// What was cut off the log's end.
    pub cut: Option<Cut>,
    /// Ephemerals of sessions that were gone.
    pub dead: Vec<String>,
    /// A snapshot with transactions, and no log beside it or where logs should be.
    pub lacks_logs: bool,
}

/// After so many bytes of the log a replay looks whether there is memory for more.
const REPLAYED_BYTES_PER_LOOK: u64 = 1 << 20;

/// For whom a directory is read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading<'p> {
    /// A member of an ensemble changes nothing that was not agreed on, be it right.
    pub is_member: bool,
    /// How many of the newest transactions are kept.
    pub newest_max: usize,
    /// `zabd.snapshot.trust.unbroken`: logs of Java 3.4 do without a snapshot if they are all that there ever was.
    pub trusts_unbroken: bool,
    /// Who is told how far it is.
    pub progress: Option<&'p Progress>,
}

/// What operators ask about the start, since the last `srst`. Times are in milliseconds.
#[derive(Clone, Debug, Default)]
pub struct StartFigures {
    /// Loading the snapshot.
    pub snapshot_ms: Percentiles,
    /// Transactions replayed.
    pub txns: Percentiles,
    /// Replaying them.
    pub txns_ms: Percentiles,
    /// All of it.
    pub init_ms: Percentiles,
    /// Transactions behind which the tree was not what the log says.
    pub digest_mismatches: u64,
}

/// Recovers the tree from its directories, making them if that is allowed.
pub fn recover<D: Disk>(
    disk: &D,
    options: &RecoveryOptions,
    tree_options: TreeOptions,
    limits: Limits,
    reading: Reading<'_>,
) -> Result<Recovered, RecoveryError> {
    let begin = Instant::now();
    let mut figures = StartFigures::default();
    let directories = prepare(disk, options)?;
    for moved in set_names_right(disk, &directories.logs)? {
        tell_moved(&moved);
    }
    let nobody = Progress::default();
    let progress = reading.progress.unwrap_or(&nobody);
    let mut story = Story::default();
    let candidates = match snapshots_to_try(disk, &directories, options.trust_empty) {
        Err(RecoveryError::NoSnapshot { has_remains: false, .. })
            if reading.trusts_unbroken && young::are_whole(disk, &directories, limits)? =>
        {
            tracing::warn!(
                "{} holds logs of Java 3.4 without a snapshot: they begin with the very first transaction, and none is \
                 missing in them, so they are all that there was",
                directories.logs.display()
            );
            Vec::new()
        }
        candidates => candidates?,
    };
    let loaded = load_snapshot(disk, &directories, &candidates, tree_options, limits, progress, &mut story)?;
    figures.snapshot_ms.add(begin.elapsed().as_millis() as u64);
    let has_snapshot = loaded.is_some();
    let mut tree = loaded.unwrap_or_else(|| Tree::new(tree_options));
    let replay_begin = Instant::now();
    let mut newest = Newest::behind(tree.last_zxid(), reading.newest_max);
    let Replay { replayed, unsaved, digest_mismatches, cut } =
        replay(disk, &directories, &mut tree, limits, &mut newest, progress)?;
    // Of a member's peers, most hold the same logs; only where something may be missing below them is this its own fault.
    if reading.is_member && !has_snapshot && digest_mismatches > 0 {
        return Err(RecoveryError::OtherTree { log_dir: directories.logs });
    }
    let is_empty = !has_snapshot && replayed == 0;
    if !is_empty {
        figures.txns.add(replayed);
        figures.txns_ms.add(replay_begin.elapsed().as_millis() as u64);
    }
    figures.digest_mismatches = digest_mismatches;
    let dead = if reading.is_member { Vec::new() } else { tree.remove_dead_sessions() };
    if !dead.is_empty() {
        tracing::warn!("Removed {} ephemerals of sessions that are gone: {}", dead.len(), dead.join(" "));
    }
    if is_empty {
        tracing::info!("{} holds no data yet", directories.snapshots.display());
    } else {
        tracing::info!(
            "Recovered {} znodes and {} sessions up to zxid {} in {}ms, {replayed} transactions of them from the log",
            shown_node_count(tree.node_count()),
            tree.sessions().count(),
            tree.last_zxid(),
            begin.elapsed().as_millis()
        );
    }
    figures.init_ms.add(begin.elapsed().as_millis() as u64);
    let needs_snapshot = !has_snapshot || !dead.is_empty();
    let unsaved = if needs_snapshot { AppendedSinceRoll::default() } else { unsaved };
    let newest = newest.into_history();
    let lacks_logs = has_snapshot && lacks_logs(disk, &directories, &story)?;
    if lacks_logs {
        tracing::warn!(
            "{} holds a snapshot with transactions, and {} no log: if the logs are elsewhere, dataLogDir does not say so, and what \
             was written behind the snapshot is not served",
            directories.snapshots.display(),
            directories.logs.display()
        );
    }
    story = Story { replayed, cut, dead, lacks_logs, ..story };
    Ok(Recovered { tree, directories, needs_snapshot, unsaved, is_empty, figures, newest, story })
}

/// The newest snapshot that is whole; `None` for an empty database.
fn load_snapshot<D: Disk>(
    disk: &D,
    directories: &Directories,
    candidates: &[NamedFile],
    tree_options: TreeOptions,
    limits: Limits,
    progress: &Progress,
    story: &mut Story,
) -> Result<Option<Tree>, RecoveryError> {
    if candidates.is_empty() {
        progress.begin(log_bytes_behind(disk, directories, Zxid::ZERO, limits));
    }
    for candidate in candidates {
        let begin = Instant::now();
        // What cannot be read is heard of from who reads it.
        let mut out_of_memory = None;
        let file_bytes = disk.length(&candidate.path).unwrap_or(0);
        progress.begin(file_bytes + log_bytes_behind(disk, directories, candidate.zxid, limits));
        let file = match snapshot::load(disk, &candidate.path) {
            // Nothing is wrong with it, and the one before it would be read as badly.
            Err(error) if error.is_want() => return Err(error.into()),
            file => file.map_err(|error| error.to_string()),
        };
        let loaded = file.and_then(|file| {
            let body = file.body();
            // A compressed file counts with the bytes that it has on the disk.
            let mut tell = |read: usize| {
                let share = u128::from(file_bytes) * read as u128 / body.len().max(1) as u128;
                progress.reach(share as u64);
                out_of_memory = memory::is_out();
                if out_of_memory.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            Tree::load_telling(body, candidate.zxid, file.trailer.digest, tree_options, &mut tell)
                .map_err(|error| format!("{}: {error}", candidate.path.display()))
        });
        if let Some(limit) = out_of_memory {
            return Err(too_large(directories, limit));
        }
        match loaded {
            Ok(tree) => {
                let (path, took) = (candidate.path.display(), begin.elapsed().as_millis());
                tracing::info!(
                    "Read snapshot {path} with {} znodes in {took}ms",
                    shown_node_count(tree.node_count())
                );
                story.snapshot = Some(candidate.path.clone());
                return Ok(Some(tree));
            }
            Err(problem) => {
                tracing::warn!("A snapshot is not usable, trying the one before it: {problem}");
                story.passed_over.push(problem);
            }
        }
    }
    match story.passed_over.first() {
        None => Ok(None),
        Some(newest) => {
            let (snapshot_dir, newest) = (directories.snapshots.clone(), newest.clone());
            Err(RecoveryError::NoWholeSnapshot { snapshot_dir, newest })
        }
    }
}

/// As where the line for dataLogDir is missing. A restore leaves a snapshot alone, and says so.
fn lacks_logs<D: Disk>(disk: &D, directories: &Directories, story: &Story) -> Result<bool, RecoveryError> {
    let Directories { snapshots, logs } = directories;
    let listed = |action| {
        let path = logs.clone();
        move |source| RecoveryError::Directory { action, path, source }
    };
    let name = story.snapshot.as_deref().and_then(|path| path.file_name()?.to_str());
    let is_beginning =
        name.and_then(|name| layout::zxid_in_name(name, SNAPSHOT)).is_none_or(|zxid| zxid == Zxid::ZERO);
    if is_beginning || !layout::logs(disk, logs).map_err(listed("list"))?.is_empty() {
        return Ok(false);
    }
    Ok(disk.list(&snapshots.join(REPLACED)).is_err())
}

fn too_large(directories: &Directories, limit: &memory::Limit) -> RecoveryError {
    RecoveryError::TooLarge { snapshot_dir: directories.snapshots.clone(), limit: limit.to_string() }
}

fn log_bytes_behind<D: Disk>(disk: &D, directories: &Directories, zxid: Zxid, limits: Limits) -> u64 {
    let records = Records::after(disk.clone(), &directories.logs, zxid, limits);
    records.and_then(|records| records.bytes_ahead()).unwrap_or(0)
}

/// The tree behind everything that is logged, from the one that the newest snapshot holds.
pub fn replay_behind<D: Disk>(
    disk: &D,
    directories: &Directories,
    mut tree: Tree,
    limits: Limits,
) -> Result<(Tree, AppendedSinceRoll), RecoveryError> {
    let mut nothing = Newest::behind(tree.last_zxid(), 0);
    let nobody = Progress::default();
    let Replay { replayed, unsaved, .. } =
        replay(disk, directories, &mut tree, limits, &mut nothing, &nobody)?;
    tracing::info!(
        "Took a snapshot with {} znodes from the leader, and {replayed} transactions from the log behind it, up to zxid {}",
        shown_node_count(tree.node_count()),
        tree.last_zxid()
    );
    Ok((tree, unsaved))
}

/// What a replay came across.
struct Replay {
    replayed: u64,
    /// Those included that the tree skipped.
    unsaved: AppendedSinceRoll,
    digest_mismatches: u64,
    cut: Option<Cut>,
}

/// Replays the log behind the tree; what was read is durable then, and what a crash left at its end is cut.
fn replay<D: Disk>(
    disk: &D,
    directories: &Directories,
    tree: &mut Tree,
    limits: Limits,
    newest: &mut Newest,
    progress: &Progress,
) -> Result<Replay, RecoveryError> {
    let after = tree.last_zxid();
    let mut records = Records::after(disk.clone(), &directories.logs, after, limits)?;
    let mut replayed = 0;
    let mut unsaved = AppendedSinceRoll::default();
    let mut digest_mismatches = 0;
    let mut unseen_bytes = 0;
    while let Some(position) = records.next_record()? {
        let upto = tree.last_zxid();
        let mut reader = Reader::with_limits(position.entry, limits);
        let entry = decode(&mut reader).map_err(|what| LogError::Corrupt {
            path: position.path.to_owned(),
            offset: position.offset,
            what,
            upto,
        })?;
        let outcome = tree.replay(&entry);
        replayed += u64::from(!outcome.skipped);
        unsaved.add(position.entry);
        progress.advance(position.frame_bytes());
        unseen_bytes += position.frame_bytes();
        if unseen_bytes > REPLAYED_BYTES_PER_LOOK {
            unseen_bytes = 0;
            if let Some(limit) = memory::is_out() {
                return Err(too_large(directories, limit));
            }
        }
        newest.add(position.zxid, position.entry);
        if let Some(mismatch) = outcome.digest_mismatch {
            digest_mismatches += 1;
            // A foreign log may be at fault; the log is still the truth.
            if digest_mismatches == 1 {
                tracing::warn!("Digests are not matching behind {}: {mismatch:?}", position.path.display());
            }
        }
    }
    if let Some(mismatch) = tree.doubted_digest() {
        digest_mismatches += 1;
        tracing::warn!("Digests are not matching behind the snapshot: {mismatch:?}");
    }
    if records.has_repeated() || digest_mismatches > 0 || reach_behind(disk, &directories.logs, after)? {
        let above = if digest_mismatches > 0 { first_read(disk, directories, after)? } else { after };
        refuse_two_pasts(disk, directories, above)?;
    }
    refuse_names_ahead(disk, &directories.logs, tree.last_zxid())?;
    let cut = settle(disk, records)?;
    if let Some(cut) = &cut {
        tell_cut(cut);
    }
    Ok(Replay { replayed, unsaved, digest_mismatches, cut })
}

/// Where the logs that were read contradict each other, acknowledged transactions are passed over.
fn refuse_two_pasts<D: Disk>(disk: &D, directories: &Directories, above: Zxid) -> Result<(), RecoveryError> {
    match find_conflict(disk, &directories.logs, above)? {
        None => Ok(()),
        Some(conflict) => Err(LogError::Conflict(Box::new(conflict)).into()),
    }
}

/// What comes before the oldest log that was read: where digests do not match, the snapshot may be of another past than that.
fn first_read<D: Disk>(disk: &D, directories: &Directories, after: Zxid) -> Result<Zxid, RecoveryError> {
    let dir = &directories.logs;
    let logs = layout::logs(disk, dir).map_err(|source| RecoveryError::Directory {
        action: "list",
        path: dir.clone(),
        source,
    })?;
    let first = logs.iter().rev().map(|file| file.zxid).find(|zxid| *zxid <= after.next());
    Ok(first.map_or(after, |first| Zxid((first.0 - 1).max(0))))
}

fn tell_moved(moved: &Moved) {
    let (from, to) = (moved.from.display(), moved.to.display());
    match &moved.repeats {
        None => tracing::warn!("{from} holds older records than its name promises: it is {to} now"),
        Some(repeats) => tracing::warn!(
            "Moved {from} to {to}: all of its records stand in {} as well, and one of the two has a name that promises later ones",
            repeats.display()
        ),
    }
}

fn tell_cut(cut: &Cut) {
    let Cut { tail, whole_records, copy, is_off } = cut;
    let (path, offset) = (tail.path.display(), tail.offset);
    let kept = copy.as_ref().map_or_else(String::new, |copy| format!("; it is kept as {}", copy.display()));
    if !is_off {
        tracing::warn!("Left the torn end of {path} behind offset {offset}: no room to keep a copy of it");
    } else if *whole_records == 0 {
        tracing::warn!("Cut the torn end of {path} at offset {offset}{kept}");
    } else {
        tracing::error!(
            "Cut the torn end of {path} at offset {offset}, with {whole_records} whole records behind one that a \
             crash left incomplete{kept}; if this machine has not crashed, its disk is damaged: restore the file \
             from a copy, or this server from its peers"
        );
    }
}

/// The end of the log, as far as it is kept.
struct Newest {
    base: Zxid,
    before: Zxid,
    entries: VecDeque<(Zxid, Bytes)>,
    most: usize,
}

impl Newest {
    fn behind(base: Zxid, most: usize) -> Self {
        Self { base, before: base, entries: VecDeque::new(), most }
    }

    fn add(&mut self, zxid: Zxid, entry: &[u8]) {
        if self.most == 0 {
            self.before = zxid;
            return;
        }
        if self.entries.len() == self.most
            && let Some((oldest, _)) = self.entries.pop_front()
        {
            self.before = oldest;
        }
        self.entries.push_back((zxid, Bytes::copy_from_slice(entry)));
    }

    fn into_history(self) -> History {
        let mut history = History::on_disk(self.base, self.before);
        for (zxid, entry) in self.entries {
            history.push(zxid, entry);
        }
        history
    }
}

/// A record as a transaction, or what is wrong with it.
pub fn decode<'a>(reader: &mut Reader<'a>) -> Result<Entry<'a>, &'static str> {
    Entry::decode(reader).map_err(|_| "a record that is no transaction")
}

/// The seed from which session ids are counted: server, time, counter. Wall-clock time, unlike time
/// since boot, does not run into ids of an earlier life.
pub fn first_session(server_id: u8, wall_ms: i64) -> zabd_jute::SessionId {
    let seed = i64::from(server_id) << 56 | ((wall_ms << 24) as u64 >> 8) as i64;
    zabd_jute::SessionId(if seed == i64::MIN { seed + 1 } else { seed })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use zabd_jute::txn::{Txn, TxnDigest, TxnHeader};
    use zabd_jute::{OpCode, SessionId, Writer};
    use zabd_storage::disk::{Crash, MemoryDisk};
    use zabd_storage::log::{Log, LogOptions};
    use zabd_storage::snapshot::{Compression, SnapshotTrailer, SnapshotWriter};

    use super::*;

    const DIR: &str = "/data/version-2";
    const TREE: TreeOptions = TreeOptions { hash_seed: 1, digest: true, emulate_353_ttl: false };

    fn options() -> RecoveryOptions {
        RecoveryOptions {
            data_dir: "/data".into(),
            log_dir: "/data".into(),
            autocreate: true,
            trust_empty: true,
            is_alone: true,
        }
    }

    fn recovered(disk: &MemoryDisk) -> Recovered {
        recover(disk, &options(), TREE, Limits::default(), Reading::default()).unwrap()
    }

    fn recover_again(disk: &MemoryDisk) -> Zxid {
        recovered(disk).tree.last_zxid()
    }

    /// Of what is there.
    fn write_snapshot(disk: &MemoryDisk) -> Zxid {
        let mut tree = recovered(disk).tree;
        let head = tree.begin_snapshot();
        let mut body = Vec::new();
        while tree.snapshot_chunk(&mut body, 1000) {}
        let mut writer =
            SnapshotWriter::begin(disk.clone(), Path::new(DIR), head.zxid, Compression::None).unwrap();
        writer.write(&body).unwrap();
        writer.finish(SnapshotTrailer { digest: None, last_zxid: None }).unwrap();
        head.zxid
    }

    fn entry(zxid: Zxid) -> Vec<u8> {
        let kind = OpCode::CreateSession.code();
        let header = TxnHeader { session: SessionId(zxid.0), cxid: 0, zxid, time_ms: 0, kind };
        let txn = Txn::CreateSession { timeout_ms: 4000 };
        let mut entry = Vec::new();
        Entry { header, txn, digest: None }.encode(&mut Writer::new(&mut entry));
        entry
    }

    /// Whoever cannot open a file finds no damage, and nothing older: the same may be tried again.
    #[test]
    fn a_start_without_descriptors_finds_nothing_wrong() {
        let disk = MemoryDisk::default();
        for zxid in [Zxid::ZERO, Zxid(1)] {
            assert_eq!(write_snapshot(&disk), zxid);
            let next = zxid.next();
            let mut log = Log::new(disk.clone(), Path::new(DIR), zxid, LogOptions::default());
            log.append(next, &entry(next)).unwrap();
            log.sync().unwrap();
            let mut failed = 0;
            for opens in 0..100 {
                disk.set_opens(Some(opens));
                let outcome = recover(&disk, &options(), TREE, Limits::default(), Reading::default());
                disk.set_opens(None);
                match outcome {
                    Ok(found) => assert_eq!(found.tree.last_zxid(), next, "{opens}"),
                    Err(error) => {
                        assert!(error.is_want(), "{opens}: {error}");
                        failed += 1;
                    }
                }
            }
            assert!((5..100).contains(&failed), "{failed}");
            assert_eq!(recover_again(&disk), next);
        }
    }

    /// A killed process left a record in the page cache. The next one shows it to clients, so it must
    /// survive when the machine loses its power then.
    #[test]
    fn what_a_start_shows_is_durable() {
        let disk = MemoryDisk::default();
        assert_eq!(recover_again(&disk), Zxid::ZERO);
        let options = LogOptions { force_sync: false, ..LogOptions::default() };
        let dir = std::path::Path::new("/data/version-2");
        let mut log = Log::new(disk.clone(), dir, Zxid::ZERO, options);
        log.append(Zxid(1), &entry(Zxid(1))).unwrap();
        log.sync().unwrap();
        disk.sync_dir(dir).unwrap();

        assert_eq!(recover_again(&disk), Zxid(1));
        assert_eq!(recover_again(&disk.after(Crash::LosesUnsynced)), Zxid(1));
    }

    /// Nothing in the zxids says that logs without a snapshot are not complete, but the trees that they tell of do.
    #[test]
    fn a_member_does_not_believe_logs_that_make_another_tree() {
        let disk = MemoryDisk::default();
        recover_again(&disk);
        let dir = std::path::Path::new("/data/version-2");
        let mut record = Vec::new();
        let zxid = Zxid(0x5_0000_0001);
        let kind = OpCode::CreateSession.code();
        let header = TxnHeader { session: SessionId(1), cxid: 0, zxid, time_ms: 0, kind };
        let digest = Some(TxnDigest { version: TxnDigest::VERSION, tree: 1 });
        let txn = Txn::CreateSession { timeout_ms: 4000 };
        Entry { header, txn, digest }.encode(&mut Writer::new(&mut record));
        let mut log = Log::new(disk.clone(), dir, Zxid::ZERO, LogOptions::default());
        log.append(zxid, &record).unwrap();
        log.sync().unwrap();
        let again = |is_member| {
            let reading = Reading { is_member, ..Reading::default() };
            recover(&disk, &options(), TREE, Limits::default(), reading)
        };
        assert_eq!(again(false).unwrap().figures.digest_mismatches, 1);
        let error = again(true).unwrap_err();
        assert!(matches!(error, RecoveryError::OtherTree { .. }) && error.is_damage(), "{error}");
    }

    /// A server that never lives for long takes its snapshots too.
    #[test]
    fn a_start_counts_what_no_snapshot_holds() {
        let disk = MemoryDisk::default();
        let dir = Path::new(DIR);
        write_snapshot(&disk);
        let mut unsaved = AppendedSinceRoll::default();
        for life in 1..=3 {
            let last = Zxid(life - 1);
            let mut log = Log::new(disk.clone(), dir, last, LogOptions::default()).with_unsaved(unsaved);
            log.append(Zxid(life), &entry(Zxid(life))).unwrap();
            log.sync().unwrap();
            unsaved = log.appended_since_roll();
            assert_eq!(unsaved.records, life as u64);
            assert_eq!(recovered(&disk).unsaved, unsaved);
        }
    }

    #[test]
    fn session_ids_begin_with_the_server_then_the_time() {
        let first = first_session(1, 0x14_d053);
        assert_eq!(first.0, 0x0100_0014_d053_0000);
        assert_eq!(first_session(0x80, 0).0, i64::MIN + 1);
    }
}

#[cfg(test)]
#[path = "recover_golden_tests.rs"]
mod golden;
