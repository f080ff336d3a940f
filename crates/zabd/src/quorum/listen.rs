//! The ports that other servers connect to.
//!
//! All are open from the start: a learner that finds its leader before that one knows that it leads waits in the
//! replica, not in a retry.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener as StdListener, ToSocketAddrs};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use zabd_jute::quorum::Address;

use super::{Shared, Side, election, open_link};

/// How many connections the kernel keeps waiting.
const BACKLOG: i32 = 128;
/// How often a port in use is tried again, and how long in between: a server that is replaced may just be ending.
const BIND_ATTEMPTS_MAX: u32 = 3;
const BIND_RETRY: Duration = Duration::from_secs(1);

/// A port for other servers cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen for other servers on {address}, as this server's own server.N line says")]
pub struct PeerListenError {
    /// Where.
    pub address: Address,
    /// Why.
    pub source: std::io::Error,
}

/// The open ports.
#[derive(Debug)]
pub struct PeerListener {
    election: Vec<StdListener>,
    quorum: Vec<StdListener>,
    observers: Vec<StdListener>,
}

impl PeerListener {
    /// Opens the ports of this server's own line: at its addresses, or at all that this machine has. A name of
    /// its own that does not resolve is no reason not to listen: in a pod, it may come to resolve later.
    pub fn bind(
        election: &[Address],
        quorum: &[Address],
        observers: &[Address],
        on_all_ips: bool,
    ) -> Result<Self, PeerListenError> {
        let open = |addresses: &[Address]| -> Result<Vec<_>, _> {
            addresses.iter().map(|each| bind(each, on_all_ips)).collect()
        };
        Ok(Self { election: open(election)?, quorum: open(quorum)?, observers: open(observers)? })
    }

    /// Accepts for as long as the process lives.
    pub(super) fn run(self, shared: &Shared) {
        for listener in self.election {
            let shared = shared.clone();
            tokio::spawn(accept(listener, move |socket| election::accept(shared.clone(), socket)));
        }
        for listener in self.quorum {
            let shared = shared.clone();
            tokio::spawn(accept(listener, move |socket| open_link(&shared, socket, Side::Leader)));
        }
        for listener in self.observers {
            let shared = shared.clone();
            tokio::spawn(accept(listener, move |socket| open_link(&shared, socket, Side::ObserverMaster)));
        }
    }
}

async fn accept(listener: StdListener, mut each: impl FnMut(tokio::net::TcpStream)) {
    let listener = TcpListener::from_std(listener).expect("a listening socket can be waited for");
    loop {
        match listener.accept().await {
            Ok((socket, _)) => each(socket),
            Err(error) => {
                // Out of descriptors, mostly.
                tracing::warn!("Cannot accept a connection of another server: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

fn bind(address: &Address, on_all_ips: bool) -> Result<StdListener, PeerListenError> {
    let mut attempt = 1;
    loop {
        match try_bind(address, on_all_ips) {
            Ok(listener) => return Ok(listener),
            Err(source) if attempt >= BIND_ATTEMPTS_MAX => {
                return Err(PeerListenError { address: address.clone(), source });
            }
            Err(error) => tracing::warn!("Cannot listen on {address} yet: {error}"),
        }
        attempt += 1;
        std::thread::sleep(BIND_RETRY);
    }
}

fn try_bind(address: &Address, on_all_ips: bool) -> std::io::Result<StdListener> {
    let resolved =
        (address.host.as_str(), address.port).to_socket_addrs().ok().and_then(|mut found| found.next());
    match resolved.filter(|_| !on_all_ips) {
        Some(target) => open(target),
        None => open((Ipv6Addr::UNSPECIFIED, address.port).into())
            .or_else(|_| open((Ipv4Addr::UNSPECIFIED, address.port).into())),
    }
}

fn open(address: SocketAddr) -> std::io::Result<StdListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}
