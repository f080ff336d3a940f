//! What comes over a quorum connection: packets, and behind a SNAP the leader's whole state.
//!
//! The state goes to a file as it comes, under no name that a start would count; only its end is looked for. Packets that
//! came with one read are fed with one hold of the driver. From a leader no more is read than the disk keeps up with; once it is
//! followed, than memory holds of that.

use std::ops::ControlFlow;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::watch;
use tokio::time::timeout;
use zabd_jute::quorum::{
    Configuration, FromLeader, PacketError, PacketKind, QuorumPacket, SnapshotStream, SnapshotStreamError,
};
use zabd_jute::txn::Entry;
use zabd_jute::{DecodeError, Limits, Reader, ServerId, Zxid};
use zabd_replica::{Input, Replica, shown_members};
use zabd_storage::disk::RealDisk;
use zabd_storage::snapshot::{Compression, SnapshotTrailer, SnapshotWriter};
use zabd_tree::Tree;
use zabd_zab::effect::LinkId;
use zabd_zab::peer;

use super::alive::Alive;
use super::exchanged;
use super::tls::{self, ReadEnd};
use super::{FAREWELL_MAX, Shared, Side, close_link};
use crate::driver::Driver;
use crate::lobby::Place;
use crate::log_writer::Received;
use crate::memory;

/// How much memory reads share.
const READ_BYTES: usize = 64 << 10;
/// How much one read takes at least.
const READ_BYTES_MIN: usize = 8 << 10;
/// How long the first packet of whoever has dialled may be. It has some dozens of bytes, and anybody who reaches the port may send it.
const FIRST_PACKET_BYTES_MAX: usize = 16 << 10;
/// How much is taken of it at a time.
const FIRST_READ_BYTES: usize = 1 << 10;

pub(super) async fn run(
    shared: Shared,
    link: LinkId,
    (mut socket, mut bytes): (ReadEnd, BytesMut),
    (side, place): (Side, Option<Place>),
    mut closed: watch::Receiver<bool>,
) {
    let closing = async { drop(closed.wait_for(|is_closed| *is_closed).await) };
    let reading = async {
        if let Some(mut place) = place {
            let limits = shared.options.limits;
            if !place.during(first_packet(&mut socket, &mut bytes, limits, shared.quorum.me)).await? {
                return Ok(());
            }
        }
        read(&shared, link, (&mut socket, bytes), side).await
    };
    let result = tokio::select! {
        biased;
        () = closing => None,
        result = reading => Some(result),
    };
    match result {
        // What is left unread would make the kernel throw away what is on its way to the other side.
        None => drop(timeout(FAREWELL_MAX, tokio::io::copy(&mut socket, &mut tokio::io::sink())).await),
        Some(Err(problem)) => shared.quorum.complain(link, &problem),
        Some(Ok(())) => (),
    }
    close_link(&shared, link);
}

/// Waits until the first packet is there as a whole; false if the connection ends before that.
async fn first_packet(
    socket: &mut (impl AsyncRead + Unpin),
    bytes: &mut BytesMut,
    limits: Limits,
    me: ServerId,
) -> Result<bool, String> {
    loop {
        if tls::is_hello(bytes) {
            return Err(tls::SPEAKS_TLS.to_owned());
        }
        if let Some(problem) = exchanged::on_quorum_port(bytes, me) {
            return Err(problem);
        }
        if QuorumPacket::length(bytes, limits).map_err(|error| undecodable(error, limits))?.is_some() {
            return Ok(true);
        }
        if bytes.len() >= FIRST_PACKET_BYTES_MAX {
            return Err(format!("its first packet has more than {FIRST_PACKET_BYTES_MAX} bytes"));
        }
        bytes.reserve(FIRST_READ_BYTES);
        match socket.read_buf(bytes).await {
            Ok(0) => return Ok(false),
            Ok(_) => (),
            Err(error) => return Err(error.to_string()),
        }
    }
}

/// Reads packets, of which some bytes may have come already.
async fn read(
    shared: &Shared,
    link: LinkId,
    (socket, mut bytes): (&mut ReadEnd, BytesMut),
    side: Side,
) -> Result<(), String> {
    bytes.reserve(READ_BYTES);
    let mut inputs = Vec::new();
    let mut alive = Alive::new(shared, link, side);
    loop {
        let snap = take_packets(shared, link, &mut bytes, side, &mut inputs)?;
        if side != Side::Learner {
            shared.quorum.note_half(link, bytes.len(), !inputs.is_empty());
        }
        if inputs.is_empty() {
            if side == Side::Learner {
                alive.note();
            }
        } else {
            shared.driver.feed(inputs.drain(..));
        }
        if let Some(zxid) = snap {
            let shown = receive(shared, socket, &mut bytes, zxid, &mut alive).await?;
            shared.feed(peer::Input::SnapshotReceived { link, shown });
            continue;
        }
        if side == Side::Learner {
            wait_for_disk(&shared.driver, &mut alive).await;
        }
        // What was cut off shares the memory, so there is a new piece only when this one is used up.
        if bytes.capacity() - bytes.len() < READ_BYTES_MIN {
            bytes.reserve(READ_BYTES);
        }
        match socket.read_buf(&mut bytes).await {
            Ok(0) => return Ok(()),
            Ok(taken) => shared.driver.note_bytes(taken as u64),
            Err(error) => return Err(error.to_string()),
        }
    }
}

/// What a leader sends stays in memory until it is on disk, so no more is taken than the disk has room for in its queue. The
/// leader counts as heard while that gets on; of a disk that does nothing nobody knows whether its leader lives.
async fn wait_for_disk(driver: &Driver, alive: &mut Alive<'_>) {
    let mut moves = driver.log.moves();
    while !may_read(driver) {
        let moved = moves.changed();
        if driver.log.is_rebasing() && !driver.log.is_in_want() {
            let _ = alive.during(moved).await;
        } else {
            let _ = moved.await;
            alive.note();
        }
    }
}

/// Who follows reads on while its disk stands still, as far as memory reaches: it has heartbeats to answer.
fn may_read(driver: &Driver) -> bool {
    driver.log.has_room(|| driver.inspect(Replica::is_serving))
}

/// Cuts off whole packets; ends behind a SNAP, with its position.
fn take_packets(
    shared: &Shared,
    link: LinkId,
    bytes: &mut BytesMut,
    side: Side,
    inputs: &mut Vec<Input>,
) -> Result<Option<Zxid>, String> {
    let limits = shared.options.limits;
    while let Some(length) =
        QuorumPacket::length(bytes, limits).map_err(|error| undecodable(error, limits))?
    {
        let packet = bytes.split_to(length).freeze();
        let snap = if side == Side::Learner { examine(&packet)? } else { None };
        inputs.push(Input::Peer(Box::new(peer::Input::Packet { link, packet })));
        if snap.is_some() {
            return Ok(snap);
        }
    }
    Ok(None)
}

fn undecodable(error: PacketError, limits: Limits) -> String {
    match error {
        PacketError::Undecodable(DecodeError::UnreasonableLength { length, .. }) => too_long(length, limits),
        error => crate::launch::with_causes(&error),
    }
}

/// The same of a leader's state.
fn undecodable_state(error: SnapshotStreamError, limits: Limits) -> String {
    match error {
        SnapshotStreamError::Undecodable(DecodeError::UnreasonableLength { length, .. }) => {
            format!("of its state, {}", too_long(length, limits))
        }
        error => crate::launch::with_causes(&error),
    }
}

fn too_long(length: i32, limits: Limits) -> String {
    format!(
        "it announces a field of {length} bytes, and {} are allowed; hint: jute.maxbuffer must be the same on all servers, and \
         nobody else must reach the quorum port",
        limits.field_bytes_max
    )
}

/// Looks into what must be known before the packet is taken for what it says: whether a snapshot follows, and whether a
/// transaction is one. What is logged is applied without a question, by this server and by every later start.
fn examine(packet: &Bytes) -> Result<Option<Zxid>, String> {
    let kind = packet.first_chunk::<4>().and_then(|head| PacketKind::from_code(i32::from_be_bytes(*head)));
    let Some(PacketKind::Snap | PacketKind::Proposal | PacketKind::Inform | PacketKind::InformAndActivate) =
        kind
    else {
        return Ok(None);
    };
    // What is whole has passed the configured limits.
    let limits = Limits { field_bytes_max: packet.len() };
    let read = QuorumPacket::decode_stream(packet, limits).map_err(|error| error.to_string())?;
    let Some((packet, _)) = read else { return Ok(None) };
    match FromLeader::decode(&packet).map_err(|error| error.to_string())? {
        Some(FromLeader::Snap { zxid } | FromLeader::SnapInstead { zxid }) => Ok(Some(zxid)),
        Some(
            FromLeader::Proposal { zxid, txn }
            | FromLeader::Inform { zxid, txn }
            | FromLeader::InformAndActivate { zxid, txn, .. },
        ) => {
            let entry = Entry::decode(&mut Reader::with_limits(txn, limits))
                .map_err(|error| format!("the leader's transaction {zxid} cannot be read: {error}"))?;
            if entry.header.zxid != zxid {
                return Err(format!("the leader's transaction {zxid} says that it is {}", entry.header.zxid));
            }
            Ok(None)
        }
        _ => Ok(None),
    }
}

/// Writes the leader's state to a file, whole and durable, and hands it over. Gives the members that it shows.
async fn receive(
    shared: &Shared,
    socket: &mut ReadEnd,
    bytes: &mut BytesMut,
    zxid: Zxid,
    alive: &mut Alive<'_>,
) -> Result<Option<Box<Configuration>>, String> {
    let dir = shared.options.directories.snapshots.clone();
    let begun = blocking(move || SnapshotWriter::begin(RealDisk, &dir, zxid, Compression::None)).await?;
    let mut writer = begun.map_err(|error| crate::launch::with_causes(&error))?;
    let mut stream = SnapshotStream::new(shared.options.limits);
    loop {
        let taken = stream.take(bytes).map_err(|error| undecodable_state(error, shared.options.limits))?;
        let body = bytes.split_to(taken.stream);
        let body = body.freeze().slice(..taken.body);
        writer = alive
            .during(blocking(move || writer.write(&body).map(|()| writer)))
            .await?
            .map_err(|error| crate::launch::with_causes(&error))?;
        if taken.is_complete {
            break;
        }
        bytes.reserve(1 << 20);
        match socket.read_buf(bytes).await {
            Ok(0) => return Err("the leader's snapshot ends early".to_owned()),
            Ok(_) => alive.note(),
            Err(error) => return Err(error.to_string()),
        }
    }
    let trailer = SnapshotTrailer { digest: None, last_zxid: None };
    let tree_options = shared.options.tree_options;
    let received = blocking(move || -> Result<Received, String> {
        let image = writer.seal_up(trailer).map_err(|error| crate::launch::with_causes(&error))?;
        let loaded = image.load().map_err(|error| crate::launch::with_causes(&error))?;
        let mut limit = None;
        let mut look = |_| {
            limit = memory::is_out();
            if limit.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let tree = Tree::load_telling(loaded.body(), zxid, None, tree_options, &mut look);
        let tree = tree.map_err(|error| match limit {
            Some(limit) => {
                format!("the leader's snapshot at {zxid} needs more memory than {limit}; raise the limit")
            }
            None => format!("the leader's snapshot at {zxid} is none: {error}"),
        })?;
        Ok(Received { image, tree })
    });
    let received = alive.during(received).await??;
    let shown = shown_members(&received.tree);
    shared.driver.log.receive(received);
    Ok(shown)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use zabd_jute::Writer;
    use zabd_jute::txn::{Txn, TxnHeader};
    use zabd_jute::{OpCode, SessionId};

    use super::*;

    fn packet(said: &FromLeader<'_>) -> Bytes {
        let mut bytes = Vec::new();
        said.encode(&mut Writer::new(&mut bytes));
        bytes.into()
    }

    fn txn(zxid: i64) -> Vec<u8> {
        let kind = OpCode::SetData.code();
        let header = TxnHeader { session: SessionId(1), cxid: 1, zxid: Zxid(zxid), time_ms: 1, kind };
        let txn = Txn::SetData { path: "/a".into(), data: Some(b"x"), version: 1 };
        let mut bytes = Vec::new();
        Entry { header, txn, digest: None }.encode(&mut Writer::new(&mut bytes));
        bytes
    }

    /// Anybody who reaches the port may begin a packet, and a megabyte of each would be more than a container has.
    #[tokio::test]
    async fn a_first_packet_is_short() {
        let limits = Limits { field_bytes_max: 1 << 20 };
        let packet = |length: i32| {
            let mut head = vec![0; 12];
            head.extend(length.to_be_bytes());
            head.resize(16 + length as usize, 0);
            head.extend((-1_i32).to_be_bytes());
            head
        };
        let (whole, mut bytes) = ([packet(100), packet(500_000)].concat(), BytesMut::new());
        assert_eq!(
            first_packet(&mut &whole[..], &mut bytes, limits, ServerId(1)).await,
            Ok(true),
            "what follows it is longer"
        );
        assert_eq!(
            first_packet(&mut &whole[..50], &mut BytesMut::new(), limits, ServerId(1)).await,
            Ok(false)
        );
        let (long, mut bytes) = (packet(500_000), BytesMut::new());
        let problem = first_packet(&mut &long[..], &mut bytes, limits, ServerId(1)).await.unwrap_err();
        assert_eq!(problem, "its first packet has more than 16384 bytes");
        assert!(bytes.capacity() <= 2 * FIRST_PACKET_BYTES_MAX, "{} bytes", bytes.capacity());
    }

    #[test]
    fn a_transaction_that_is_none_ends_the_connection() {
        let good = txn(7);
        let zxid = Zxid(7);
        for said in [FromLeader::Proposal { zxid, txn: &good }, FromLeader::Inform { zxid, txn: &good }] {
            assert_eq!(examine(&packet(&said)), Ok(None));
        }
        for length in 0..good.len() {
            let said = FromLeader::Proposal { zxid, txn: &good[..length] };
            let problem = examine(&packet(&said)).unwrap_err();
            assert!(
                problem.starts_with("the leader's transaction 0x7 cannot be read"),
                "{length}: {problem}"
            );
        }
        let said = FromLeader::Proposal { zxid: Zxid(8), txn: &good };
        assert_eq!(examine(&packet(&said)).unwrap_err(), "the leader's transaction 0x8 says that it is 0x7");
    }

    /// A disk that stands still for some seconds must not keep a follower from its heartbeats: its clients' sessions would
    /// expire. Memory is its only bound; who still catches up waits for the disk much sooner.
    #[test]
    fn who_follows_reads_on_while_its_disk_stands_still() {
        let megabyte = Bytes::from(vec![0; 1 << 20]);
        let megabytes_read = |driver: &Driver| {
            let mut megabytes = 0;
            while may_read(driver) {
                megabytes += 1;
                driver.log.batch().push(Zxid(megabytes), megabyte.clone());
            }
            megabytes
        };
        assert_eq!(megabytes_read(&crate::driver::tests::looking_driver()), 32);
        assert_eq!(
            megabytes_read(&crate::driver::tests::driver()),
            256,
            "with a role, as a lone server always"
        );
    }

    #[test]
    fn only_a_snap_is_followed_by_a_snapshot() {
        assert_eq!(examine(&packet(&FromLeader::Snap { zxid: Zxid(5) })), Ok(Some(Zxid(5))));
        for other in
            [FromLeader::Diff { zxid: Zxid(5) }, FromLeader::Commit { zxid: Zxid(5) }, FromLeader::UpToDate]
        {
            assert_eq!(examine(&packet(&other)), Ok(None));
        }
    }
}
