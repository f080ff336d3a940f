//! The election port's sockets: whole frames in, whole frames out. Which connection stays is for the links to decide.

use std::time::{Duration, Instant};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::timeout;
use zabd_jute::ServerId;
use zabd_jute::quorum::{Address, InitialMessage, frame};
use zabd_zab::links::{ConnId, Input};
use zabd_zab::peer;

use super::exchanged::{self, Spoken};
use super::tls::{self, PeerSocket, Unreached};
use super::{ElectionPeer, Shared, authentication, dial as dialling};

/// How long whoever connects may take to say who it is.
const INTRODUCTION_MAX: Duration = Duration::from_secs(10);
/// How long what is left for a peer may take when the connection is closed.
const FAREWELL_MAX: Duration = Duration::from_secs(1);

fn feed(shared: &Shared, input: Input) {
    shared.feed(peer::Input::Links(input));
}

/// Dials a peer; the links hear how it went.
pub(super) async fn dial(shared: Shared, peer: ServerId, addresses: Vec<Address>) {
    let host = super::host_of(&addresses);
    match tls::connect(&shared, addresses).await {
        Ok(socket) => {
            shared.troubles.forget(peer);
            open(&shared, socket, peer, Stage::Introducing { host }, |conn| Input::Dialled { peer, conn });
        }
        Err(Unreached { problem, .. }) => {
            // A name takes its time not to resolve; meanwhile the peer may have come by itself.
            let is_wanted = !shared.quorum.is_connected(peer);
            if is_wanted && shared.troubles.is_news(peer, &problem, Instant::now()) {
                tracing::warn!("Cannot open channel to {peer} at election address {problem}");
            }
            feed(&shared, Input::DialFailed { peer });
        }
    }
}

/// Somebody has dialled this server: who it is comes first.
pub(super) fn accept(shared: Shared, socket: PeerSocket) {
    tokio::spawn(async move {
        let address = socket.address();
        let mut place = shared.quorum.lobby.enter(socket.peer().map(|peer| peer.ip()));
        match place.during(introduction(socket, shared.quorum.me)).await {
            // Of two servers that dial each other one gives up, and a probe only asks whether the port is open.
            Ok(None) => {
                tracing::debug!("{address} ended a connection to the election port and said nothing");
            }
            Ok(Some((mut socket, message, mut rest))) => {
                if !shared.let_in(&mut place, &mut socket, &mut rest, "election").await {
                    return;
                }
                let InitialMessage { server, mut addresses, .. } = message;
                let seen = socket.peer();
                addresses.extend(seen.and_then(|seen| dialling::unnamed(&addresses, seen.ip())));
                open(&shared, socket, server, Stage::Open(rest), |conn| Input::Introduced {
                    conn,
                    server,
                    addresses,
                });
            }
            Err(problem) => shared.quorum.complaints.tell("election", &address, &problem),
        }
    });
}

/// Who has dialled, and what came behind that; nothing if it ended without a word.
async fn introduction(
    socket: PeerSocket,
    me: ServerId,
) -> Result<Option<(PeerSocket, InitialMessage, BytesMut)>, String> {
    let introduced = timeout(INTRODUCTION_MAX, introduced(socket, me)).await;
    introduced.unwrap_or_else(|_| Err("it does not say who it is".to_owned()))
}

async fn introduced(
    mut socket: PeerSocket,
    me: ServerId,
) -> Result<Option<(PeerSocket, InitialMessage, BytesMut)>, String> {
    let mut bytes = BytesMut::new();
    loop {
        let read = socket.read_buf(&mut bytes).await.map_err(|error| error.to_string())?;
        if tls::is_hello(&bytes) {
            return Err(tls::SPEAKS_TLS.to_owned());
        }
        match exchanged::on_election_port(&bytes, me) {
            Spoken::ForTheOther(problem) => return Err(problem),
            Spoken::Begun if read > 0 => continue,
            Spoken::Begun | Spoken::ForThisPort => (),
        }
        match InitialMessage::decode_stream(&bytes).map_err(|error| error.to_string())? {
            Some((message, length)) => {
                bytes.advance(length);
                return Ok(Some((socket, message, bytes)));
            }
            None if read == 0 && bytes.is_empty() => return Ok(None),
            None if read == 0 => return Err("it ended before it said who it is".to_owned()),
            None => (),
        }
    }
}

/// The connection can be written to before the links hear of it.
fn open(
    shared: &Shared,
    socket: PeerSocket,
    server: ServerId,
    stage: Stage,
    says: impl FnOnce(ConnId) -> Input,
) {
    let conn = ConnId(shared.quorum.new_id());
    let (unwritten, waiting) = mpsc::unbounded_channel();
    let seen = socket.peer().map(|seen| seen.ip());
    shared.quorum.peers.lock().insert(conn, ElectionPeer { unwritten, server, seen });
    feed(shared, says(conn));
    tokio::spawn(carry(shared.clone(), conn, socket, stage, waiting));
}

/// How far a connection has come.
enum Stage {
    /// This server has dialled a host: it says who it is, then proves it if it is to.
    Introducing { host: String },
    /// Frames come and go, of which these bytes have come already.
    Open(BytesMut),
}

/// Writes the introduction and what proves it; gives what has come behind that, or nothing if the links have let go of the connection
/// meanwhile: the other side's may have come first.
async fn introduce(
    shared: &Shared,
    conn: ConnId,
    socket: &mut PeerSocket,
    waiting: &mut mpsc::UnboundedReceiver<Bytes>,
    host: &str,
) -> Result<Option<BytesMut>, String> {
    let sasl = shared.options.sasl.as_deref();
    if sasl.is_none() {
        return Ok(Some(BytesMut::new()));
    }
    let Some(introduction) = waiting.recv().await else { return Ok(None) };
    let written = socket.write_all(&introduction).await;
    written.and(socket.flush().await).map_err(|error| error.to_string())?;
    feed(shared, Input::Written { conn });
    authentication::prove(socket, sasl, host).await.map(Some)
}

/// Carries a connection until either side ends it.
async fn carry(
    shared: Shared,
    conn: ConnId,
    mut socket: PeerSocket,
    stage: Stage,
    mut waiting: mpsc::UnboundedReceiver<Bytes>,
) {
    let begun = match stage {
        Stage::Introducing { host } => introduce(&shared, conn, &mut socket, &mut waiting, &host).await,
        Stage::Open(bytes) => Ok(Some(bytes)),
    };
    match begun {
        Ok(Some(bytes)) => frames(&shared, conn, socket, bytes, waiting).await,
        Ok(None) => {
            tracing::debug!(
                "Closing the connection that was made to the election port {}: another is used",
                socket.address()
            );
        }
        Err(problem) => shared.quorum.complaints.tell_refused("election", &socket.address(), &problem),
    }
    if shared.quorum.peers.lock().remove(&conn).is_some() {
        feed(&shared, Input::Closed { conn });
    }
}

/// Frames in both directions, until either side ends them.
async fn frames(
    shared: &Shared,
    conn: ConnId,
    mut socket: PeerSocket,
    mut bytes: BytesMut,
    mut waiting: mpsc::UnboundedReceiver<Bytes>,
) {
    loop {
        if let Err(problem) = deliver(shared, conn, &mut bytes) {
            shared.quorum.complaints.tell("election", &socket.address(), &problem);
            break;
        }
        tokio::select! {
            // What waits goes first: a farewell is written before the connection ends.
            biased;
            message = waiting.recv() => {
                let Some(message) = message else {
                    let _ = timeout(FAREWELL_MAX, socket.shutdown()).await;
                    return;
                };
                if socket.write_all(&message).await.is_err() || socket.flush().await.is_err() {
                    break;
                }
                feed(shared, Input::Written { conn });
            }
            read = socket.read_buf(&mut bytes) => {
                if !matches!(read, Ok(read) if read > 0) {
                    break;
                }
            }
        }
    }
}

fn deliver(shared: &Shared, conn: ConnId, bytes: &mut BytesMut) -> Result<(), String> {
    while let Some((content, length)) = frame(bytes).map_err(|error| error.to_string())? {
        let content = Bytes::copy_from_slice(content);
        bytes.advance(length);
        feed(shared, Input::Frame { conn, content });
    }
    Ok(())
}
