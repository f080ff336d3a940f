//! A snapshot that an operator sends takes the place of everything that a lone server shows, while it runs, and for good.
//!
//! ```text
//! AdminServer        what was sent ─► a file, decompressed ─► seals right? ─► a tree
//! snapshot thread    the tree ─► a snapshot without a name, durable but for its end
//! log writer         clients held · everything decided logged and answered · its end and its name: the commit ·
//!                    another log · another tree, other sessions, no connections · clients let go
//! snapshot thread    what was there before is moved to replaced/
//! ```
//!
//! Whatever is wrong is found before the commit, and then nothing has happened. At the commit the snapshot gets a zxid above
//! all that this server or the snapshot ever named: so no record that is on the disk belongs behind it, no client is ahead of it, and a
//! start, of zabd or of Java, takes it for the newest ([`zabd_storage::restore`] has the order of the files). A server that
//! had nothing, and none of whose clients saw anything newer, keeps the snapshot's own zxid.
//!
//! A member of an ensemble does not do it: the others would not follow, and would bring back what it had when it next joins them.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Weak};
use std::time::Instant;

use parking_lot::Mutex;
use zabd_jute::Zxid;
use zabd_replica::percentiles::Percentiles;
use zabd_storage::disk::RealDisk;
use zabd_storage::recovery::Directories;
use zabd_storage::restore::{RestoreError, commit, newest_named, set_aside};
use zabd_storage::snapshot::{IncomingError, LoadedSnapshot, SnapshotError, SnapshotTrailer, SnapshotWriter};
use zabd_tree::{LoadError, Tree, TreeOptions};

use crate::driver::Driver;
use crate::launch::with_causes;
use crate::memory;
use crate::snapshotter::{NODES_PER_HOLD, SnapshotTarget, leave_the_disk_to_the_log};

/// Zxids that are left behind a restored snapshot at least; nobody has come near the end of them.
const ZXIDS_LEFT_MIN: i64 = 1 << 40;

/// Why nothing was restored. What was there is there.
#[derive(Debug, thiserror::Error)]
pub enum RestoreFailure {
    /// What was sent cannot be kept, or is no snapshot.
    #[error(transparent)]
    Incoming(#[from] IncomingError),
    /// Its seals are right, and it holds no tree.
    #[error("what was sent cannot be read")]
    Unreadable(#[from] LoadError),
    /// It may be all right, and needs more memory than there is.
    #[error("what was sent needs more memory than {limit} beside what is served; raise the limit")]
    TooLarge {
        /// How much there is, and who says so.
        limit: String,
    },
    /// It names a transaction that leaves no room for others.
    #[error("what was sent names transaction {newest}, behind which there is no room for others")]
    Endless {
        /// The newest that it names.
        newest: Zxid,
    },
    /// Writing it anew failed.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// It could not be made what a start finds.
    #[error(transparent)]
    Commit(RestoreError),
    /// It did not come to its end.
    #[error("the snapshot did not come to its end: {why}")]
    Interrupted {
        /// Why.
        why: String,
    },
    /// The disk has too little room for it.
    #[error("the disk has no room for it beside what the log needs: {free}")]
    NoRoom {
        /// How much there is.
        free: String,
    },
    /// The log writer has ended, and the process ends with it.
    #[error("the server is about to end, see its log")]
    Ending,
}

/// What operators ask about restores, since the last `srst`.
#[derive(Debug, Default)]
pub struct RestoreFigures {
    /// Milliseconds per restore, from when the snapshot had come.
    pub took_ms: Mutex<Percentiles>,
    /// How many came to nothing.
    pub failed: AtomicU64,
    /// How many were asked for too soon behind the last.
    pub rate_limited: AtomicU64,
}

impl RestoreFigures {
    /// Counts from zero again.
    pub fn reset(&self) {
        *self.took_ms.lock() = Percentiles::default();
        self.failed.store(0, Relaxed);
        self.rate_limited.store(0, Relaxed);
    }
}

/// Lives as long as somebody waits for an answer.
#[derive(Debug, Default)]
pub struct Asker {
    waits: Arc<()>,
}

/// Knows whether the [`Asker`] still waits: what nobody waits for any more must not be done, since whoever was told nothing
/// may have asked for something else meanwhile.
#[derive(Clone, Debug)]
pub struct Asked {
    waits: Weak<()>,
}

impl Asker {
    /// For whoever does what was asked for.
    pub fn asked(&self) -> Asked {
        Asked { waits: Arc::downgrade(&self.waits) }
    }
}

impl Asked {
    fn is_awaited(&self) -> bool {
        self.waits.strong_count() > 0
    }
}

/// A tree that could be shown.
#[derive(Debug)]
pub struct Candidate {
    tree: Tree,
    /// Who wants it; without, it is wanted in any case.
    asked: Option<Asked>,
    /// The last transaction that its server had applied, as far as the snapshot tells: 0 if it does not.
    pub last: Zxid,
    /// The newest that it names anywhere.
    newest: Zxid,
    /// Whether it is not the tree of any one moment.
    pub differs: bool,
}

impl Candidate {
    /// Reads what was sent.
    pub fn read(snapshot: &LoadedSnapshot, options: TreeOptions) -> Result<Self, RestoreFailure> {
        let trailer = snapshot.trailer;
        let mut out_of_memory = None;
        let mut look = |_| {
            out_of_memory = memory::is_out();
            if out_of_memory.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let last = trailer.last_zxid.or(trailer.digest.map(|(zxid, _)| zxid)).unwrap_or(Zxid::ZERO);
        let loaded = Tree::load_telling(snapshot.body(), Zxid::ZERO, None, options, &mut look);
        let mut tree = match (loaded, out_of_memory) {
            (_, Some(limit)) => return Err(RestoreFailure::TooLarge { limit: limit.to_string() }),
            (loaded, None) => loaded?,
        };
        let digest = trailer.digest.filter(|(zxid, _)| options.digest && *zxid == last);
        let differs = digest.is_some_and(|(_, digest)| digest != tree.digest());
        let newest = tree.newest_named().max(last).max(trailer.digest.map_or(Zxid::ZERO, |(zxid, _)| zxid));
        if newest.0 > i64::MAX - ZXIDS_LEFT_MIN {
            return Err(RestoreFailure::Endless { newest });
        }
        tree.stand_at(newest);
        let dead = tree.remove_dead_sessions();
        if !dead.is_empty() {
            tracing::warn!(
                "Left out {} ephemerals of sessions that are gone in what was sent: {}",
                dead.len(),
                dead.join(" ")
            );
        }
        Ok(Self { tree, asked: None, last, newest, differs })
    }

    /// Shown only if whoever asked for it still waits at the commit.
    #[must_use]
    pub fn asked_by(self, asked: Asked) -> Self {
        Self { asked: Some(asked), ..self }
    }
}

/// What happened at the commit.
#[derive(Debug)]
pub struct Restored {
    /// As of which transaction the new tree is.
    pub zxid: Zxid,
    /// What was shown before. To forget a large one takes its time.
    pub before: Tree,
    /// Where what was replaced still is.
    pub directories: Directories,
}

/// A snapshot that is written but for its end, on its way to the log writer.
#[derive(Debug)]
pub struct Restoring {
    /// Taken at the commit.
    writer: Option<SnapshotWriter<RealDisk>>,
    /// Taken behind it.
    tree: Option<Tree>,
    newest: Zxid,
    digest: Option<u64>,
    has_last_zxid: bool,
    outcome: Sender<Result<Restored, RestoreError>>,
}

impl Restoring {
    /// Makes it what a start finds, behind everything on the disk, of which `last` was logged last.
    pub fn commit(&mut self, directories: &Directories, last: Zxid) -> Result<Zxid, RestoreError> {
        let named = newest_named(&RealDisk, directories).map_err(RestoreError::NotBegun)?;
        let zxid = self.newest.max(last.max(named).next());
        let trailer = SnapshotTrailer {
            digest: self.digest.map(|digest| (zxid, digest)),
            last_zxid: self.has_last_zxid.then_some(zxid),
        };
        let writer = self.writer.take().expect("it is committed once");
        let image = writer.seal_up_as(zxid, trailer).map_err(RestoreError::NotBegun)?;
        commit(&RealDisk, directories, image, zxid)?;
        Ok(zxid)
    }

    /// The tree, as it is shown.
    pub fn take_tree(&mut self, zxid: Zxid) -> Tree {
        let mut tree = self.tree.take().expect("it is shown once");
        tree.stand_at(zxid);
        tree
    }

    /// Says what came of it.
    pub fn end(self, outcome: Result<Restored, RestoreError>) {
        // Whoever asked lives as long as the process.
        let _ = self.outcome.send(outcome);
    }
}

/// In the snapshot thread: writes the tree, has it committed, and moves what it replaced out of the way.
pub fn restore(
    driver: &Driver,
    target: &SnapshotTarget,
    candidate: Candidate,
) -> Result<Zxid, RestoreFailure> {
    let Candidate { mut tree, newest, asked, .. } = candidate;
    let mut writer = SnapshotWriter::begin_unnamed(RealDisk, &target.dir, target.compression)?;
    let head = tree.begin_snapshot();
    let begin = Instant::now();
    let mut bytes = Vec::new();
    let mut more = true;
    while more {
        more = tree.snapshot_chunk(&mut bytes, NODES_PER_HOLD);
        writer.write(&bytes)?;
        bytes.clear();
        leave_the_disk_to_the_log(writer.bytes_written(), begin);
    }
    // While its end is written, nobody is answered.
    writer.flush()?;
    if asked.is_some_and(|asked| !asked.is_awaited()) {
        return Err(RestoreFailure::Interrupted { why: "whoever sent it has hung up".to_owned() });
    }
    let (outcome, answer) = channel();
    driver.log.restore(Restoring {
        writer: Some(writer),
        tree: Some(tree),
        newest,
        digest: head.digest.filter(|_| target.digest),
        has_last_zxid: target.last_zxid,
        outcome,
    });
    let Restored { zxid, before, directories } =
        answer.recv().map_err(|_| RestoreFailure::Ending)?.map_err(RestoreFailure::Commit)?;
    drop(before);
    memory::give_back();
    move_replaced(&directories);
    Ok(zxid)
}

/// What stays is moved by the next start.
fn move_replaced(directories: &Directories) {
    match set_aside(&RealDisk, directories) {
        Ok(places) => {
            for place in places {
                tracing::warn!(
                    "What was there before the restore is in {} and stays until the next one; remove it when nobody wants it back",
                    place.display()
                );
            }
        }
        Err(error) => {
            let text = with_causes(&error);
            tracing::warn!("Cannot move away what was replaced, the next start tries again: {text}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use zabd_jute::txn::{CreateKind, CreateTxn, Entry, Txn, TxnHeader};
    use zabd_jute::{Acl, OpCode, SessionId};
    use zabd_storage::disk::{Disk as _, MemoryDisk};
    use zabd_storage::snapshot::{Compression, IncomingSnapshot};

    use super::*;

    const OPTIONS: TreeOptions = TreeOptions { hash_seed: 1, digest: true, emulate_353_ttl: false };

    fn with_znode(zxid: i64, ephemeral: bool) -> Tree {
        let mut tree = Tree::new(OPTIONS);
        let header = TxnHeader {
            session: SessionId(7),
            cxid: 0,
            zxid: Zxid(zxid),
            time_ms: 1,
            kind: OpCode::Create.code(),
        };
        let txn = Txn::Create(CreateTxn {
            path: "/a".into(),
            data: None,
            acl: vec![Acl::open()],
            kind: CreateKind::Plain { ephemeral },
            parent_cversion: 1,
        });
        tree.apply(&Entry { header, txn, digest: None }, None, &mut ());
        tree
    }

    fn sent(mut tree: Tree, trailer: impl Fn(u64) -> SnapshotTrailer) -> Result<Candidate, RestoreFailure> {
        let (disk, dir) = (MemoryDisk::default(), Path::new("/data"));
        let mut writer = SnapshotWriter::begin_unnamed(disk.clone(), dir, Compression::None).unwrap();
        let head = tree.begin_snapshot();
        let mut body = Vec::new();
        while tree.snapshot_chunk(&mut body, 100) {}
        writer.write(&body).unwrap();
        let mut image = writer.seal_up_as(Zxid(1), trailer(head.digest.unwrap())).unwrap();
        let path = image.publish().unwrap();
        let mut incoming = IncomingSnapshot::begin(disk.clone(), dir)?;
        incoming.write(&disk.read(&path).unwrap())?;
        Candidate::read(&incoming.finish()?, OPTIONS)
    }

    #[test]
    fn what_a_snapshot_is_as_of_is_found_as_far_as_it_tells() {
        let last_zxid = Some(Zxid(9));
        for (has_digest, last_zxid, last, newest) in
            [(true, last_zxid, 9, 9), (false, last_zxid, 9, 9), (true, None, 8, 8), (false, None, 0, 5)]
        {
            let digest_at = last_zxid.unwrap_or(Zxid(8));
            let trailer =
                |digest| SnapshotTrailer { digest: has_digest.then_some((digest_at, digest)), last_zxid };
            let candidate = sent(with_znode(5, false), trailer).unwrap();
            assert_eq!((candidate.last, candidate.newest), (Zxid(last), Zxid(newest)));
            assert!(!candidate.differs);
        }
        // Taken while its server went on.
        let behind = |_| SnapshotTrailer { digest: Some((Zxid(4), 1)), last_zxid: Some(Zxid(4)) };
        let candidate = sent(with_znode(5, false), behind).unwrap();
        assert_eq!((candidate.last, candidate.newest, candidate.differs), (Zxid(4), Zxid(5), true));
    }

    #[test]
    fn ephemerals_of_nobody_are_left_out() {
        let candidate = sent(with_znode(5, true), |_| SnapshotTrailer::default()).unwrap();
        assert!(candidate.tree.node("/a").is_none());
    }

    #[test]
    fn a_number_that_leaves_no_room_is_refused() {
        let refused = sent(with_znode(i64::MAX - 5, false), |_| SnapshotTrailer::default());
        assert!(matches!(refused, Err(RestoreFailure::Endless { .. })), "{refused:?}");
    }
}
