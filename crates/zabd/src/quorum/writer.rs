//! What goes over a quorum connection, in the order in which it was asked for.
//!
//! Packets that wait are written together. Records and snapshots are read from the disk here, apart from the
//! thread, while everything behind them waits in the link's own queue and nobody else's.

use std::path::Path;
use std::sync::Arc;

use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;
use tokio::sync::watch;
use zabd_jute::quorum::{FromLeader, SNAPSHOT_SIGNATURE};
use zabd_jute::{Writer, Zxid};
use zabd_storage::disk::{Disk as _, RealDisk};
use zabd_storage::layout;
use zabd_storage::log::Records;
use zabd_storage::snapshot::SnapshotFile;
use zabd_zab::effect::LinkId;

use super::alive::Alive;
use super::tls::WriteEnd;
use super::{FAREWELL_MAX, Item, Queue, QuorumOptions, Shared, Side, close_link};

/// How much is written at a time.
const WRITE_BYTES: usize = 256 << 10;

/// So much of the log is sent to whoever lacks it, however small the tree is: it is what a leader may send out of its memory.
const LOG_BYTES_ALWAYS: u64 = 8 << 20;

pub(super) async fn run(
    shared: Shared,
    link: LinkId,
    socket: WriteEnd,
    side: Side,
    queue: Arc<Queue>,
    mut closed: watch::Receiver<bool>,
) {
    let patience = async {
        let _ = closed.wait_for(|is_closed| *is_closed).await;
        tokio::time::sleep(FAREWELL_MAX).await;
    };
    let mut out = Outgoing { socket, alive: Alive::new(&shared, link, side) };
    tokio::select! {
        () = carry(&shared, &mut out, &queue) => (),
        () = patience => tracing::debug!("A connection on the quorum port is closed before all was written"),
    }
    close_link(&shared, link);
}

/// The way out, and what is said of it while something long leaves.
struct Outgoing<'a> {
    socket: WriteEnd,
    alive: Alive<'a>,
}

impl Outgoing<'_> {
    async fn write(&mut self, mut bytes: &[u8]) -> Result<(), String> {
        while !bytes.is_empty() {
            let written = self.socket.write(bytes).await.map_err(|error| error.to_string())?;
            if written == 0 {
                return Err("nothing more can be written".to_owned());
            }
            bytes = &bytes[written..];
            self.alive.note();
        }
        Ok(())
    }
}

/// Writes until the connection is to be closed, or is gone.
async fn carry(shared: &Shared, out: &mut Outgoing<'_>, queue: &Queue) {
    let mut taken = Vec::new();
    loop {
        queue.take(&mut taken).await;
        for item in taken.drain(..) {
            out.alive.begin();
            match write(shared, out, item, queue).await {
                Ok(true) => (),
                Ok(false) => {
                    let _ = out.socket.shutdown().await;
                    return;
                }
                Err(problem) => return shared.quorum.complain(out.alive.link(), &problem),
            }
        }
        // TLS may hold some of it back.
        if let Err(error) = out.socket.flush().await {
            return shared.quorum.complain(out.alive.link(), &error.to_string());
        }
    }
}

/// One thing; false if the connection is to be closed.
async fn write(shared: &Shared, out: &mut Outgoing<'_>, item: Item, queue: &Queue) -> Result<bool, String> {
    match item {
        Item::Close => return Ok(false),
        Item::Bytes(bytes) => {
            // Whoever acknowledges a part of a long batch has taken it: only the rest still waits.
            for piece in bytes.chunks(WRITE_BYTES) {
                out.write(piece).await?;
                queue.note_sent(piece.len());
            }
        }
        Item::Log(after, upto) => {
            write_log(shared, out, after, upto).await?;
        }
        Item::Image(image) => {
            let file = out.alive.during(image.whole()).await;
            let file = file.ok_or("the snapshot for a learner could not be written")?;
            write_image(out, &file).await?;
            out.write(SNAPSHOT_SIGNATURE).await?;
        }
    }
    Ok(true)
}

/// A snapshot, of which there is one piece in memory at a time: the other side may take it slowly, or not at all.
async fn write_image(out: &mut Outgoing<'_>, file: &Arc<SnapshotFile>) -> Result<(), String> {
    let mut at = 0;
    while at < file.body_bytes() {
        let reading = Arc::clone(file);
        let reading = tokio::task::spawn_blocking(move || reading.read(at, WRITE_BYTES));
        let piece = out.alive.during(reading).await.map_err(|error| error.to_string())?;
        let piece = piece.map_err(|error| crate::launch::with_causes(&error))?;
        out.write(&piece).await?;
        at += piece.len() as u64;
    }
    Ok(())
}

/// Records out of the log, each as a proposal and its commit.
async fn write_log(shared: &Shared, out: &mut Outgoing<'_>, after: Zxid, upto: Zxid) -> Result<(), String> {
    let options = shared.options.clone();
    let (chunks, mut read) = mpsc::channel::<Result<Vec<u8>, String>>(4);
    let reading = tokio::task::spawn_blocking(move || {
        if let Err(problem) = read_log(&options, after, upto, &chunks) {
            let _ = chunks.blocking_send(Err(problem));
        }
    });
    while let Some(chunk) = read.recv().await {
        out.write(&chunk?).await?;
    }
    reading.await.map_err(|error| error.to_string())
}

fn read_log(
    options: &QuorumOptions,
    after: Zxid,
    upto: Zxid,
    chunks: &mpsc::Sender<Result<Vec<u8>, String>>,
) -> Result<(), String> {
    let mut records =
        log_behind(options, after).ok_or("the log does not reach back to the learner any more")?;
    let mut chunk = Vec::new();
    let mut last = after;
    while last < upto {
        let record = records.next_record().map_err(|error| crate::launch::with_causes(&error))?;
        let record = record.filter(|record| record.zxid <= upto).ok_or("the log ends before its end")?;
        last = record.zxid;
        let mut w = Writer::new(&mut chunk);
        FromLeader::Proposal { zxid: last, txn: record.entry }.encode(&mut w);
        FromLeader::Commit { zxid: last }.encode(&mut w);
        if chunk.len() >= WRITE_BYTES {
            // The connection may be gone by now; then nobody wants the rest.
            chunks.blocking_send(Ok(std::mem::take(&mut chunk))).map_err(|_| "the learner is gone")?;
        }
    }
    chunks.blocking_send(Ok(chunk)).map_err(|_| "the learner is gone".to_owned())
}

/// The log from behind `zxid` on, if it holds `zxid` itself.
pub(super) fn log_behind(options: &QuorumOptions, zxid: Zxid) -> Option<Records<RealDisk>> {
    let before = Zxid(zxid.0 - 1);
    let mut records = Records::after(RealDisk, &options.directories.logs, before, options.limits).ok()?;
    let is_there = records.next_record().ok()??.zxid == zxid;
    is_there.then_some(records)
}

/// Whether a learner whose log ends at `zxid` is sent the log from there on, or else a snapshot. Java's learner has in its heap
/// all that it is sent before it is in step, and a log may be many times as long as the tree is large: beyond a share of the
/// newest snapshot's size it is not sent. Java does not count the file in which the learner's log ends, however long it is.
pub(super) fn has_log_for(options: &QuorumOptions, zxid: Zxid) -> bool {
    let Some(limit) = log_limit(&options.directories.snapshots, options.snapshot_size_factor) else {
        return false;
    };
    let Some(records) = log_behind(options, zxid) else { return false };
    records.bytes_ahead().is_ok_and(|bytes| bytes <= limit)
}

/// How many bytes of the log are sent at most; as in Java, a factor of 0 or a directory without snapshots sets no limit, and
/// under a negative factor the log is not sent.
fn log_limit(snapshots: &Path, factor: f64) -> Option<u64> {
    if factor < 0.0 {
        return None;
    }
    let newest = layout::snapshots(&RealDisk, snapshots).ok()?.pop();
    let snapshot = newest.map_or(Some(0), |file| RealDisk.length(&file.path).ok())?;
    let share = (snapshot as f64 * factor) as u64;
    Some(if share == 0 { u64::MAX } else { share.max(LOG_BYTES_ALWAYS) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_snapshot_limits_what_is_sent_of_the_log() {
        let dir = tempfile::tempdir().unwrap();
        let limit = |factor| log_limit(dir.path(), factor);
        assert_eq!((limit(0.33), limit(-1.0)), (Some(u64::MAX), None), "there is none");
        std::fs::File::create(dir.path().join("snapshot.5")).unwrap().set_len(400 << 20).unwrap();
        std::fs::File::create(dir.path().join("snapshot.10")).unwrap().set_len(100 << 20).unwrap();
        std::fs::File::create(dir.path().join("log.11")).unwrap();
        for (factor, expected) in [
            (0.5, Some(50 << 20)),
            (1.0, Some(100 << 20)),
            (0.01, Some(LOG_BYTES_ALWAYS)),
            (0.0, Some(u64::MAX)),
            (-0.5, None),
        ] {
            assert_eq!(limit(factor), expected, "{factor}");
        }
    }
}
