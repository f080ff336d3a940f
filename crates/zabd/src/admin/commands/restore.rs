//! `restore`: a snapshot comes over HTTP, and takes the place of everything that the server shows ([`crate::restore`]).
//!
//! Who may not restore, or not now, is told so before anything is taken in. What comes goes to the disk piece by piece, which
//! must keep room for the log beside it. Whatever is wrong with it is told in the log, and `error` stays empty, as in Java.

use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use http::StatusCode;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::timeout;
use zabd_config::Config;
use zabd_replica::Replica;
use zabd_storage::disk::RealDisk;
use zabd_storage::snapshot::IncomingSnapshot;
use zabd_tree::TreeOptions;

use super::pace::{Gate, Pace, Turn, Turns};
use super::{Reply, field};
use crate::admin::shown_node_count;
use crate::free_space;
use crate::introspect::Introspection;
use crate::launch::with_causes;
use crate::restore::{Asked, Candidate, RestoreFailure};
use crate::snapshotter::Snapshotter;

/// How much is collected before it is handed on, in bytes.
const PIECE_BYTES: usize = 256 << 10;
/// It has to come in this time: a body that drips for ever would hold its file and its connection.
const PIECE_FOR_MAX: Duration = Duration::from_mins(1);
/// After so many bytes the disk's room is looked at: compressed, they become a thousand times as many at most.
const CHECKED_BYTES: usize = 16 << 10;
/// What the disk keeps for the log, in bytes: the step in which a log takes room ahead.
const KEPT_FREE_BYTES: u64 = 64 << 20;
/// Of what is not wanted so much is taken and thrown away, for so long: whoever is cut off in the midst of sending may not hear why.
const UNWANTED_BYTES_MAX: usize = 64 << 20;
const UNWANTED_FOR_MAX: Duration = Duration::from_secs(5);

/// Where snapshots are taken in, and how often.
pub struct Restores {
    snapshotter: Snapshotter,
    tree_options: TreeOptions,
    dir: PathBuf,
    gate: Gate,
    idle_max: Duration,
    turns: Turns,
}

impl Restores {
    /// As configured; what is taken in is kept beside the snapshots.
    pub fn new(
        config: &Config,
        dir: PathBuf,
        tree_options: TreeOptions,
        snapshotter: Snapshotter,
        turns: Turns,
    ) -> Self {
        let admin = &config.admin;
        let pace = Pace::new(admin.rate_limit_interval_ms);
        let gate = Gate::new("Restore", admin.restore_enabled, config.serialize_last_processed_zxid, pace);
        Self {
            snapshotter,
            tree_options,
            dir,
            gate,
            idle_max: Duration::from_millis(admin.idle_timeout_ms),
            turns,
        }
    }

    /// Whether a snapshot may be taken in now; otherwise what is answered.
    pub fn admit(&self, server: &Introspection) -> Result<(), Reply> {
        self.gate.is_open()?;
        if server.driver.is_member() {
            let told = "This server is a member of an ensemble, and the others would bring back what they have: stop all \
                        members, put the snapshot into an empty data directory of each, and start them; docs/operating.md, \
                        \"Restore an ensemble\", has the steps";
            return Err(refused(told));
        }
        if server.driver.inspect(Replica::is_suspended) {
            return Err(refused("The log's disk is full, and nothing can be restored; free some space"));
        }
        self.gate.admit(&server.snapshots.restores.rate_limited)
    }

    /// A turn at restoring what has come: one state beside the one that is served is what memory has room for.
    pub async fn turn(&self) -> Turn {
        self.turns.next().await
    }

    /// Takes in what comes, to its end.
    pub async fn take_in(&self, mut body: Incoming) -> Result<IncomingSnapshot<RealDisk>, RestoreFailure> {
        let interrupted = |why: String| RestoreFailure::Interrupted { why };
        let dir = self.dir.clone();
        let mut incoming = blocking(move || Ok(IncomingSnapshot::begin(RealDisk, &dir)?)).await?;
        let mut piece = Vec::new();
        let mut piece_due = Instant::now() + PIECE_FOR_MAX;
        loop {
            let patience = self.idle_max.min(piece_due.saturating_duration_since(Instant::now()));
            let frame = match timeout(patience, body.frame()).await {
                Ok(Some(frame)) => frame.map_err(|error| interrupted(error.to_string()))?,
                Ok(None) => break,
                Err(_) if patience < self.idle_max => {
                    let told = format!("less than {PIECE_BYTES} bytes came in {}s", PIECE_FOR_MAX.as_secs());
                    return Err(interrupted(told));
                }
                Err(_) => {
                    return Err(interrupted(format!("nothing came for {}ms", self.idle_max.as_millis())));
                }
            };
            piece.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
            if piece.len() >= PIECE_BYTES {
                incoming = self.keep(incoming, std::mem::take(&mut piece)).await?;
                piece_due = Instant::now() + PIECE_FOR_MAX;
            }
        }
        self.keep(incoming, piece).await
    }

    async fn keep(
        &self,
        mut incoming: IncomingSnapshot<RealDisk>,
        piece: Vec<u8>,
    ) -> Result<IncomingSnapshot<RealDisk>, RestoreFailure> {
        let dir = self.dir.clone();
        blocking(move || {
            for part in piece.chunks(CHECKED_BYTES) {
                leave_room_for(&dir, part.len() as u64)?;
                incoming.write(part)?;
            }
            Ok(incoming)
        })
        .await
    }

    /// Restores what has come, if whoever sent it still waits when nothing else is left to do.
    pub fn restore(
        &self,
        server: &Introspection,
        incoming: IncomingSnapshot<RealDisk>,
        asked: Asked,
    ) -> Result<Reply, RestoreFailure> {
        let begin = Instant::now();
        let snapshot = incoming.finish()?;
        leave_room_for(&self.dir, snapshot.body().len() as u64)?;
        let candidate = Candidate::read(&snapshot, self.tree_options)?;
        drop(snapshot);
        let Candidate { last, differs, .. } = candidate;
        if differs {
            server.counters.digest_mismatches.fetch_add(1, Relaxed);
            tracing::warn!(
                "Digests are not matching in the snapshot that is restored: its server went on while it was taken, and what is \
                 in it was never there at one moment"
            );
        }
        let zxid = self.snapshotter.restore(candidate.asked_by(asked))?;
        let took_ms = begin.elapsed().as_millis();
        server.snapshots.restores.took_ms.lock().add(took_ms as u64);
        let tree = server.driver.tree();
        let (znodes, sessions) = (shown_node_count(tree.node_count()), tree.session_count());
        drop(tree);
        tracing::warn!(
            "Restored a snapshot of transaction {last} in {took_ms}ms: {znodes} znodes and {sessions} sessions; this server goes on \
             behind {zxid}, and every connection was closed"
        );
        Ok(Reply { fields: vec![field("last_zxid", last.0)], ..Reply::status(StatusCode::OK) })
    }

    /// What is answered if it came to nothing.
    pub fn failed(server: &Introspection, error: &RestoreFailure) -> Reply {
        server.snapshots.restores.failed.fetch_add(1, Relaxed);
        tracing::warn!("Nothing was restored, and nothing is lost: {}", with_causes(error));
        Reply::status(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

fn refused(told: &str) -> Reply {
    tracing::warn!("Restore command is refused: {told}");
    Reply { fields: vec![field("error", told)], ..Reply::status(StatusCode::SERVICE_UNAVAILABLE) }
}

fn leave_room_for(dir: &std::path::Path, bytes: u64) -> Result<(), RestoreFailure> {
    match free_space::bytes(dir) {
        Some(free) if free < bytes.saturating_add(KEPT_FREE_BYTES) => {
            Err(RestoreFailure::NoRoom { free: free_space::in_words(dir) })
        }
        _ => Ok(()),
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RestoreFailure> + Send + 'static,
) -> Result<T, RestoreFailure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(RestoreFailure::Interrupted { why: error.to_string() }))
}

/// Takes what nobody wants, as far as that is reasonable. Whoever asks before he sends is not asked to.
pub async fn throw_away(mut body: Incoming) {
    let taking = async {
        let mut taken = 0;
        while let Some(Ok(frame)) = body.frame().await {
            taken += frame.data_ref().map_or(0, bytes::Bytes::len);
            if taken > UNWANTED_BYTES_MAX {
                break;
            }
        }
    };
    let _ = timeout(UNWANTED_FOR_MAX, taking).await;
}
