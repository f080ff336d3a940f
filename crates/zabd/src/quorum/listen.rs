//! The ports that other servers connect to.
//!
//! All are open from the start: a learner that finds its leader before that one knows that it leads waits in the
//! replica, not in a retry. When a reconfiguration moves this server they are closed and opened where its line says now;
//! connections that stand are left alone.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener as StdListener, ToSocketAddrs};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use zabd_jute::quorum::Address;
use zabd_zab::peer::Input;

use super::tls::{self, PeerSocket};
use super::{Shared, Side, accept_link, election};
use crate::alarm::Alarms;

/// How many connections the kernel keeps waiting.
const BACKLOG: i32 = 128;
/// How long until a port in use is tried again: a server that is replaced may just be ending.
const BIND_RETRY: Duration = Duration::from_secs(1);
/// How long a start waits for a name of its own, for each port. A nameserver that does not answer costs many seconds, and in a pod its
/// name comes to resolve only when it listens.
const OWN_NAME_PATIENCE: Duration = Duration::from_millis(250);
/// How long a server does that runs already, and waits alone for it.
const LATER_NAME_PATIENCE: Duration = Duration::from_secs(30);

/// How long until a connection is accepted again when that has failed; descriptors are used up, mostly.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// A port for other servers cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen for other servers on {address}, its {what} port: {source}")]
pub struct PeerListenError {
    /// Where.
    pub address: Address,
    /// For what.
    pub what: Port,
    /// Why.
    pub source: std::io::Error,
}

/// The open ports.
#[derive(Debug)]
pub struct PeerListener {
    election: Vec<(Address, StdListener)>,
    quorum: Vec<(Address, StdListener)>,
    observers: Vec<(Address, StdListener)>,
    on_all_ips: bool,
}

impl PeerListener {
    /// Opens the ports of this server's own line: at its addresses, or at all that this machine has. A name of
    /// its own that does not resolve, or not soon, is no reason not to listen: in a pod, it may come to resolve later. A port that is taken is
    /// tried so often (`electionPortBindRetry`), or for ever.
    pub fn bind(
        election: &[Address],
        quorum: &[Address],
        observers: &[Address],
        on_all_ips: bool,
        attempts_max: Option<u32>,
    ) -> Result<Self, PeerListenError> {
        let open = |addresses: &[Address], what| -> Result<Vec<_>, _> {
            let bound = |address: &Address| match bind(address, on_all_ips, attempts_max) {
                Ok(listener) => Ok((address.clone(), listener)),
                Err(source) => Err(PeerListenError { address: address.clone(), what, source }),
            };
            addresses.iter().map(bound).collect()
        };
        let (election, quorum) = (open(election, Port::Election)?, open(quorum, Port::Quorum)?);
        let observers = open(observers, Port::Observers)?;
        Ok(Self { election, quorum, observers, on_all_ips })
    }

    /// Accepts for as long as this server is at these addresses.
    pub(super) fn run(self, shared: &Shared) -> OpenPorts {
        let begin = |(address, listener): (Address, StdListener), port: Port| {
            let accepting = tokio::spawn(accept(shared.clone(), listener, port));
            ((port, address), accepting)
        };
        let elections = self.election.into_iter().map(|each| begin(each, Port::Election));
        let quorums = self.quorum.into_iter().map(|each| begin(each, Port::Quorum));
        let observers = self.observers.into_iter().map(|each| begin(each, Port::Observers));
        let accepting = elections.chain(quorums).chain(observers).collect();
        OpenPorts { accepting, on_all_ips: self.on_all_ips }
    }
}

/// What one of them is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Port {
    /// Votes.
    Election,
    /// Learners of a leader.
    Quorum,
    /// Observers of a follower.
    Observers,
}

impl std::fmt::Display for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Port::Election => "election",
            Port::Quorum => "quorum",
            Port::Observers => "observers'",
        })
    }
}

/// The ports that are open, by where they are.
pub(super) struct OpenPorts {
    accepting: BTreeMap<(Port, Address), JoinHandle<()>>,
    on_all_ips: bool,
}

impl OpenPorts {
    /// Closes what is not among these, then opens what is missing, however long that takes.
    pub(super) async fn move_to(&mut self, shared: &Shared, ports: BTreeSet<(Port, Address)>) {
        let gone = self.accepting.extract_if(.., |port, _| !ports.contains(port)).collect::<Vec<_>>();
        for ((_, address), accepting) in gone {
            tracing::info!("Not listening on {address} any more, as this server's own line says");
            accepting.abort();
            let _ = accepting.await;
        }
        let on_all_ips = self.on_all_ips;
        for (port, address) in ports {
            self.accepting.entry((port, address.clone())).or_insert_with(|| {
                let shared = shared.clone();
                tokio::spawn(async move {
                    let listener = open_at(address, on_all_ips).await;
                    accept(shared, listener, port).await;
                })
            });
        }
    }
}

async fn open_at(address: Address, on_all_ips: bool) -> StdListener {
    loop {
        let (host, target) = (address.clone(), address.clone());
        let bound = move || try_bind(&target, on_all_ips, LATER_NAME_PATIENCE);
        match tokio::task::spawn_blocking(bound).await {
            Ok(Ok(listener)) => {
                tracing::info!("Listening on {address}, as this server's own line says");
                return listener;
            }
            Ok(Err(error)) => tracing::error!("Cannot listen on {host} yet: {error}"),
            Err(_) => (),
        }
        tokio::time::sleep(BIND_RETRY).await;
    }
}

async fn accept(shared: Shared, listener: StdListener, port: Port) {
    let listener = TcpListener::from_std(listener).expect("a listening socket can be waited for");
    let mut failures = Alarms::default();
    loop {
        match listener.accept().await {
            Ok((socket, _)) if shared.options.tls.is_none() => {
                open_peer(&shared, PeerSocket::plain(socket), port);
            }
            Ok((socket, address)) => drop(tokio::spawn(admit(shared.clone(), socket, address, port))),
            Err(error) => {
                failures.ring(Instant::now(), error.raw_os_error(), || {
                    tracing::warn!(
                        "Cannot accept connections of other servers, trying again and again: {error}; hint: if descriptors \
                         are used up, raise the limit of open files (`ulimit -n`, `LimitNOFILE`)"
                    );
                });
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

/// What is to be encrypted has to prove itself first; meanwhile others are accepted.
async fn admit(shared: Shared, socket: TcpStream, address: SocketAddr, port: Port) {
    match tls::accepted(&shared, socket).await {
        Ok(socket) => open_peer(&shared, socket, port),
        Err(problem) => {
            let name = if port == Port::Election { "election" } else { "quorum" };
            shared.quorum.complaints.tell(name, &address.to_string(), &problem);
        }
    }
}

fn open_peer(shared: &Shared, socket: PeerSocket, port: Port) {
    match port {
        Port::Election => election::accept(shared.clone(), socket),
        Port::Quorum => accept_link(shared, socket, Side::Leader, |link| Input::Accepted { link }),
        Port::Observers => {
            accept_link(shared, socket, Side::ObserverMaster, |link| Input::ObserverAccepted { link });
        }
    }
}

fn bind(address: &Address, on_all_ips: bool, attempts_max: Option<u32>) -> std::io::Result<StdListener> {
    let mut attempt = 1;
    loop {
        match try_bind(address, on_all_ips, OWN_NAME_PATIENCE) {
            Ok(listener) => return Ok(listener),
            Err(source) if attempts_max.is_some_and(|most| attempt >= most) => return Err(source),
            Err(error) => tracing::warn!("Cannot listen on {address} yet: {error}"),
        }
        attempt += 1;
        std::thread::sleep(BIND_RETRY);
    }
}

fn try_bind(address: &Address, on_all_ips: bool, patience: Duration) -> std::io::Result<StdListener> {
    let resolved = if on_all_ips { None } else { resolved(address, patience) };
    match resolved {
        Some(target) => open(target),
        None => open((Ipv6Addr::UNSPECIFIED, address.port).into())
            .or_else(|_| open((Ipv4Addr::UNSPECIFIED, address.port).into())),
    }
}

/// Where an address is, if that is known in time. The system's resolver cannot be told to stop: its thread ends when it does.
fn resolved(address: &Address, patience: Duration) -> Option<SocketAddr> {
    if let Ok(ip) = address.host.parse::<IpAddr>() {
        return Some(SocketAddr::new(ip, address.port));
    }
    let (tell, told) = mpsc::channel();
    let asked = address.clone();
    let ask = move || {
        let found = (asked.host.as_str(), asked.port).to_socket_addrs();
        // Whoever asked may have gone on.
        let _ = tell.send(found.ok().and_then(|mut found| found.next()));
    };
    std::thread::Builder::new().name("own-name".to_owned()).spawn(ask).ok()?;
    told.recv_timeout(patience).unwrap_or_else(|_| {
        tracing::warn!(
            "{}, this server's own name, does not resolve within {patience:?}: listening on all addresses of this machine, port {}",
            address.host,
            address.port
        );
        None
    })
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
