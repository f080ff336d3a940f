//! Connections of other servers by TLS, and the change from plain text to it.
//!
//! Two switches, as in Java: `sslQuorum` is how this server dials, and what its ports take; `portUnification` lets them take the
//! other as well. So members that run are changed one after the other: first all take both, then all dial by TLS, then plain
//! text is switched off.
//!
//! Handshakes are done on a thread of their own: a heartbeat must not wait for somebody's signature. How certificates are
//! compared with hosts: one that was dialled must be for the address or one of the names that it was dialled by, and one that dials
//! must be for its address, a host of the members, or a name that resolves to its address.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use zabd_config::TlsConfig;
use zabd_jute::quorum::{Address, Configuration, Member};
use zabd_tls::rustls::pki_types::ServerName;
use zabd_tls::rustls::{ClientConnection, Connection, ServerConnection};
use zabd_tls::{Certificate, Tls};

use super::{Shared, dial};
use crate::driver::Driver;
use crate::probes::Pulse;
use crate::secure::{Refused, Secure, Wanted, comes_from, negotiate, refused};

/// What a handshake begins with.
const HANDSHAKE_BYTE: u8 = 0x16;
/// The first message of a handshake.
const CLIENT_HELLO: u8 = 1;

/// Of a server that is told to use TLS where this one is not.
pub(super) const SPEAKS_TLS: &str = "it speaks TLS, and this server does not; hint: set sslQuorum=true, or portUnification=true while members \
                                     are changed one by one, and this server's ssl.quorum.* stores";

/// Whether these bytes begin as a client's first message of TLS does. No packet of a server begins so, and no server's number
/// is that large.
pub(super) fn is_hello(bytes: &[u8]) -> bool {
    matches!(bytes, [HANDSHAKE_BYTE, 3, 0..=4, _, _, CLIENT_HELLO, ..])
}

/// How this server talks to others.
#[derive(Clone, Debug)]
pub struct QuorumTls {
    tls: Arc<Tls>,
    /// Whether this server dials by TLS.
    dials: bool,
    /// Whether its ports take plain text, too.
    takes_plain: bool,
    /// Whether those who dial are compared with where they come from.
    checks_dialling: bool,
    /// Whether those who are dialled are compared with where they were looked for.
    checks_dialled: bool,
    detection: Duration,
    handshakes: Handle,
}

/// A connection with another server, whichever way.
#[derive(Debug)]
pub(crate) enum PeerSocket {
    Plain(TcpStream),
    Secure(Box<Secure>, TcpFacts),
}

/// What is still asked of a socket when TLS has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TcpFacts {
    peer: Option<std::net::SocketAddr>,
}

/// The direction that is read.
pub(crate) type ReadEnd = Box<dyn AsyncRead + Send + Unpin>;
/// The direction that is written.
pub(crate) type WriteEnd = Box<dyn AsyncWrite + Send + Unpin>;

impl PeerSocket {
    /// Where the other side is.
    pub(crate) fn peer(&self) -> Option<std::net::SocketAddr> {
        match self {
            PeerSocket::Plain(socket) => socket.peer_addr().ok(),
            PeerSocket::Secure(_, facts) => facts.peer,
        }
    }

    /// For log lines.
    pub(crate) fn address(&self) -> String {
        self.peer().map_or_else(|| "?".to_owned(), |address| address.to_string())
    }

    /// Without TLS.
    pub(crate) fn plain(socket: TcpStream) -> Self {
        prepare(&socket);
        PeerSocket::Plain(socket)
    }

    /// Both directions.
    pub(crate) fn into_ends(self) -> (ReadEnd, WriteEnd) {
        match self {
            PeerSocket::Plain(socket) => {
                let (read, write) = socket.into_split();
                (Box::new(read), Box::new(write))
            }
            PeerSocket::Secure(secure, _) => {
                let (read, write) = tokio::io::split(*secure);
                (Box::new(read), Box::new(write))
            }
        }
    }
}

impl AsyncRead for PeerSocket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            PeerSocket::Plain(socket) => Pin::new(socket).poll_read(context, buffer),
            PeerSocket::Secure(secure, _) => Pin::new(&mut **secure).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for PeerSocket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            PeerSocket::Plain(socket) => Pin::new(socket).poll_write(context, bytes),
            PeerSocket::Secure(secure, _) => Pin::new(&mut **secure).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            PeerSocket::Plain(socket) => Pin::new(socket).poll_flush(context),
            PeerSocket::Secure(secure, _) => Pin::new(&mut **secure).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            PeerSocket::Plain(socket) => Pin::new(socket).poll_shutdown(context),
            PeerSocket::Secure(secure, _) => Pin::new(&mut **secure).poll_shutdown(context),
        }
    }
}

impl QuorumTls {
    /// As configured; the thread for handshakes is started.
    pub fn start(config: &TlsConfig, tls: Arc<Tls>, pulse: Pulse) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handshakes = runtime.handle().clone();
        let work = async move {
            tokio::spawn(pulse.beat_for_runtime());
            std::future::pending::<()>().await;
        };
        std::thread::Builder::new().name("QuorumTls".into()).spawn(move || runtime.block_on(work))?;
        let side = &config.quorum;
        // In its FIPS mode, which is the default, Java compares nobody.
        let checks_dialled = side.verifies_hosts.unwrap_or(!side.is_fips);
        let quorum = Self {
            tls,
            dials: config.is_quorum_secure,
            takes_plain: !config.is_quorum_secure || config.quorum_port_unification,
            checks_dialling: checks_dialled && side.verifies_client_hosts.unwrap_or(true),
            checks_dialled,
            detection: Duration::from_millis(u64::from(side.detection_timeout_ms)),
            handshakes,
        };
        quorum.tell();
        Ok(quorum)
    }

    fn tell(&self) {
        let dials = if self.dials { "by TLS" } else { "in plain text" };
        let takes = if self.takes_plain { "TLS and plain text" } else { "TLS only" };
        let compared =
            if self.checks_dialled { "" } else { "; certificates are not compared with hosts (fips-mode)" };
        tracing::info!("Other servers are dialled {dials}, and the ports for them take {takes}{compared}");
    }
}

/// How much the kernel takes of what it cannot send yet: what it has taken says how far the other side is.
#[cfg(target_os = "linux")]
const UNSENT_IN_KERNEL_BYTES_MAX: u32 = 256 << 10;

fn prepare(socket: &TcpStream) {
    let _ = socket.set_nodelay(true);
    #[cfg(target_os = "linux")]
    let _ = socket2::SockRef::from(socket).set_tcp_notsent_lowat(UNSENT_IN_KERNEL_BYTES_MAX);
}

/// A connection to the first of these that answers in time; what is wrong with each if none does.
pub(super) async fn connect(shared: &Shared, addresses: Vec<Address>) -> Result<PeerSocket, Unreached> {
    let socket = dial::first_that_answers(addresses.clone(), shared.options.connect_timeout).await;
    let socket = socket.map_err(|problem| Unreached { problem, has_answered: false })?;
    let peer = socket.peer_addr().map_or_else(|_| "?".to_owned(), |peer| peer.to_string());
    let unproved = |problem| Unreached { problem: format!("{peer}: {problem}"), has_answered: true };
    dialled(shared, socket, &addresses).await.map_err(unproved)
}

/// Why a server was dialled in vain.
#[derive(Debug)]
pub(super) struct Unreached {
    /// In words, with the addresses.
    pub(super) problem: String,
    /// Whether a connection came to be, and was given up since its other side is not who it should be.
    pub(super) has_answered: bool,
}

/// A connection that this server has made, to one of these.
async fn dialled(shared: &Shared, socket: TcpStream, addresses: &[Address]) -> Result<PeerSocket, String> {
    let Some(quorum) = shared.options.tls.as_ref().filter(|quorum| quorum.dials) else {
        return Ok(PeerSocket::plain(socket));
    };
    prepare(&socket);
    let peer = socket.peer_addr().ok();
    let host = addresses.first().map_or("zookeeper", |address| address.host.as_str());
    let name = ServerName::try_from(host.to_owned()).or_else(|_| ServerName::try_from("zookeeper"));
    let name = name.expect("it is a name");
    let tls =
        ClientConnection::new(quorum.tls.client(), name).map_err(|error| refused(&error).to_string())?;
    let addresses = addresses.to_vec();
    let is_wanted = move |certificate: &Certificate| {
        let is_at = peer.is_some_and(|peer| certificate.is_for(&peer.ip().to_canonical().to_string()));
        is_at || addresses.iter().any(|address| certificate.is_for(&address.host))
    };
    let wanted = Wanted { is_wanted: Arc::new(is_wanted), comes: "was looked for", looks_up: false };
    let wanted = Some(wanted).filter(|_| quorum.checks_dialled);
    let secure = quorum.shake(Connection::Client(tls), socket, wanted).await?;
    Ok(PeerSocket::Secure(secure, TcpFacts { peer }))
}

/// A connection that another server has made, if it may.
pub(super) async fn accepted(shared: &Shared, socket: TcpStream) -> Result<PeerSocket, String> {
    let Some(quorum) = &shared.options.tls else { return Ok(PeerSocket::plain(socket)) };
    let mut place = shared.quorum.lobby.enter(socket.peer_addr().ok().map(|peer| peer.ip().to_canonical()));
    place.during(known(shared, quorum, socket)).await
}

/// A connection whose other side has proved who it is, or that need not be.
async fn known(shared: &Shared, quorum: &QuorumTls, socket: TcpStream) -> Result<PeerSocket, String> {
    if quorum.is_plain(&socket).await? {
        return Ok(PeerSocket::plain(socket));
    }
    prepare(&socket);
    let peer = socket.peer_addr().ok();
    let tls = ServerConnection::new(quorum.tls.server()).map_err(|error| refused(&error).to_string())?;
    let driver = shared.driver.clone();
    let is_wanted = move |certificate: &Certificate| {
        is_member(&driver, certificate) || peer.is_some_and(|peer| comes_from(certificate, peer.ip()))
    };
    let wanted = Wanted { is_wanted: Arc::new(is_wanted), comes: "comes from", looks_up: true };
    let wanted = Some(wanted).filter(|_| quorum.checks_dialling);
    let secure = quorum.shake(Connection::Server(tls), socket, wanted).await?;
    Ok(PeerSocket::Secure(secure, TcpFacts { peer }))
}

/// Whether the certificate is for a host of the members.
fn is_member(driver: &Driver, certificate: &Certificate) -> bool {
    driver.inspect(|replica| {
        let members = replica.configuration().into_iter().flat_map(Configuration::members);
        members.flat_map(Member::quorum_addresses).any(|address| certificate.is_for(&address.host))
    })
}

impl QuorumTls {
    /// Whether the other side speaks plain text, which it may. Who says nothing is taken for one that does, as in Java.
    async fn is_plain(&self, socket: &TcpStream) -> Result<bool, String> {
        let mut first = [0];
        let said = tokio::time::timeout(self.detection, socket.peek(&mut first)).await;
        let is_tls = match said {
            Ok(Ok(length)) => length > 0 && first[0] == HANDSHAKE_BYTE,
            Ok(Err(error)) => return Err(error.to_string()),
            Err(_) => false,
        };
        match (is_tls, self.takes_plain) {
            (true, _) => Ok(false),
            (false, true) => Ok(true),
            (false, false) => Err("it does not speak TLS, and plain text is not taken here".to_owned()),
        }
    }

    /// The handshake, on its thread.
    async fn shake(
        &self,
        tls: Connection,
        socket: TcpStream,
        wanted: Option<Wanted>,
    ) -> Result<Box<Secure>, String> {
        let work = async move {
            let (tls, _) = negotiate(tls, &socket, wanted).await?;
            Ok::<_, Refused>(Box::new(Secure::new(socket, tls)))
        };
        // It ends with whoever waits for it.
        let mut working = JoinSet::new();
        working.spawn_on(work, &self.handshakes);
        let done = working.join_next().await.expect("it was begun").map_err(|error| error.to_string())?;
        done.map_err(|refused| refused.to_string())
    }
}
