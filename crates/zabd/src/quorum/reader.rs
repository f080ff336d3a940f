//! What comes over a quorum connection: packets, and behind a SNAP the leader's whole state.
//!
//! The state goes to a file as it comes, under no name that a start would count; only its end is looked for. Packets that
//! came with one read are fed with one hold of the driver.

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncReadExt as _;
use tokio::net::tcp::OwnedReadHalf;
use zabd_jute::Zxid;
use zabd_jute::quorum::{FromLeader, PacketKind, QuorumPacket, SnapshotStream};
use zabd_replica::Input;
use zabd_storage::disk::RealDisk;
use zabd_storage::snapshot::{Compression, SnapshotTrailer, SnapshotWriter};
use zabd_zab::effect::LinkId;
use zabd_zab::peer;

use super::{Shared, Side, close_link};

/// How much one read takes at least.
const READ_BYTES: usize = 64 << 10;

pub(super) async fn run(shared: Shared, link: LinkId, mut socket: OwnedReadHalf, side: Side) {
    if let Err(problem) = read(&shared, link, &mut socket, side).await {
        tracing::warn!("Closing a connection on the quorum port: {problem}");
    }
    close_link(&shared, link);
}

async fn read(shared: &Shared, link: LinkId, socket: &mut OwnedReadHalf, side: Side) -> Result<(), String> {
    let mut bytes = BytesMut::with_capacity(READ_BYTES);
    let mut inputs = Vec::new();
    loop {
        let snap = take_packets(shared, link, &mut bytes, side, &mut inputs)?;
        if !inputs.is_empty() {
            shared.driver.feed(inputs.drain(..));
        }
        if let Some(zxid) = snap {
            receive(shared, socket, &mut bytes, zxid).await?;
            shared.feed(peer::Input::SnapshotReceived { link });
            continue;
        }
        bytes.reserve(READ_BYTES);
        match socket.read_buf(&mut bytes).await {
            Ok(0) => return Ok(()),
            Ok(_) => (),
            Err(error) => return Err(error.to_string()),
        }
    }
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
    while let Some(length) = QuorumPacket::length(bytes, limits).map_err(|error| error.to_string())? {
        let packet = bytes.split_to(length).freeze();
        let snap = if side == Side::Learner { snap_in(&packet) } else { None };
        inputs.push(Input::Peer(Box::new(peer::Input::Packet { link, packet })));
        if snap.is_some() {
            return Ok(snap);
        }
    }
    Ok(None)
}

fn snap_in(packet: &Bytes) -> Option<Zxid> {
    let kind = packet.first_chunk::<4>().map(|head| i32::from_be_bytes(*head));
    if kind != Some(PacketKind::Snap.code()) {
        return None;
    }
    let (packet, _) = QuorumPacket::decode_stream(packet, zabd_jute::Limits::default()).ok()??;
    match FromLeader::decode(&packet) {
        Ok(Some(FromLeader::Snap { zxid })) => Some(zxid),
        _ => None,
    }
}

/// Writes the leader's state to a file, whole and durable, and hands it over.
async fn receive(
    shared: &Shared,
    socket: &mut OwnedReadHalf,
    bytes: &mut BytesMut,
    zxid: Zxid,
) -> Result<(), String> {
    let dir = shared.options.directories.snapshots.clone();
    let begun = blocking(move || SnapshotWriter::begin(RealDisk, &dir, zxid, Compression::None)).await?;
    let mut writer = begun.map_err(|error| crate::launch::with_causes(&error))?;
    let mut stream = SnapshotStream::new(shared.options.limits);
    loop {
        let taken = stream.take(bytes).map_err(|error| error.to_string())?;
        let body = bytes.split_to(taken.stream);
        let body = body.freeze().slice(..taken.body);
        writer = blocking(move || writer.write(&body).map(|()| writer))
            .await?
            .map_err(|error| crate::launch::with_causes(&error))?;
        if taken.is_complete {
            break;
        }
        bytes.reserve(1 << 20);
        match socket.read_buf(bytes).await {
            Ok(0) => return Err("the leader's snapshot ends early".to_owned()),
            Ok(_) => (),
            Err(error) => return Err(error.to_string()),
        }
    }
    let trailer = SnapshotTrailer { digest: None, last_zxid: None };
    let sealed = blocking(move || writer.seal_up(trailer)).await?;
    shared.driver.log.receive(sealed.map_err(|error| crate::launch::with_causes(&error))?);
    Ok(())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())
}
