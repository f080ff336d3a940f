//! The listening socket: who may come in at all, and to which I/O thread they go.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::watch;
use zabd_jute::quorum::Address;

use super::figures::ServerCounters;
use super::io_thread::{IoThread, NewConnection};
use super::java_address;
use crate::alarm::Alarm;

/// How often a port that cannot be opened is tried again.
const OPEN_RETRY: Duration = Duration::from_secs(1);

/// So many descriptors are left for logs, snapshots and other members when clients take all others.
const DESCRIPTORS_KEPT: u64 = 32;

/// What the operator configured about the port.
#[derive(Clone, Debug)]
pub struct ListenOptions {
    /// Where to listen.
    pub address: SocketAddr,
    /// How many connections the kernel keeps waiting.
    pub backlog: i32,
    /// Whether the kernel probes silent connections.
    pub keepalive: bool,
    /// Connections per remote address; 0 is no limit.
    pub per_address_max: usize,
    /// Connections in all; 0 is no limit.
    pub total_max: usize,
    /// Whether those in plain text are counted, for there is TLS.
    pub counts_plain: bool,
}

/// The port cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct ListenError {
    /// Where.
    pub address: SocketAddr,
    /// Why.
    pub source: std::io::Error,
}

/// How many connections each address has.
#[derive(Debug, Default)]
struct Admitted {
    by_address: Mutex<BTreeMap<IpAddr, usize>>,
}

/// A connection's place among those that its address may have; given back when dropped.
#[derive(Debug)]
pub struct Admission {
    admitted: Arc<Admitted>,
    address: IpAddr,
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut by_address = self.admitted.by_address.lock();
        let count = by_address.get_mut(&self.address).expect("an admitted address is counted");
        *count -= 1;
        if *count == 0 {
            by_address.remove(&self.address);
        }
    }
}

/// Takes connections from one port.
#[derive(Debug)]
pub struct Acceptor {
    /// Until it runs.
    listener: Option<TcpListener>,
    options: ListenOptions,
    admitted: Arc<Admitted>,
    counters: Arc<ServerCounters>,
    /// Where it is to listen, when that changes.
    moves: Option<watch::Receiver<Option<Address>>>,
    address: Arc<Mutex<SocketAddr>>,
}

impl Acceptor {
    /// Opens the port. What is set here on the listening socket, accepted ones inherit.
    pub fn bind(options: ListenOptions, counters: Arc<ServerCounters>) -> Result<Self, ListenError> {
        let failed = |source| ListenError { address: options.address, source };
        let listener = open(&options).map_err(failed)?;
        // The port is a real one even if 0 was asked for.
        let address = listener.local_addr().unwrap_or(options.address);
        let address = Arc::new(Mutex::new(address));
        Ok(Self {
            listener: Some(listener),
            options,
            admitted: Arc::default(),
            counters,
            moves: None,
            address,
        })
    }

    /// Listens somewhere else whenever it is told to.
    #[must_use]
    pub fn following(self, moves: watch::Receiver<Option<Address>>) -> Self {
        Self { moves: Some(moves), ..self }
    }

    /// Where it listens at the moment.
    pub fn address(&self) -> Arc<Mutex<SocketAddr>> {
        self.address.clone()
    }

    /// Accepts for as long as the process lives, dealing connections in turn to the thread that this runs
    /// on, by way of `serve`, and to `others`. A connection that stays here is neither taken out of this
    /// thread's epoll and put into it again, nor does it wake another thread.
    pub async fn run(
        mut self,
        others: Vec<IoThread>,
        serve: impl Fn(tokio::net::TcpStream, SocketAddr, Admission),
    ) -> std::io::Result<()> {
        let listener = self.listener.take().expect("an acceptor runs once");
        let mut listener = tokio::net::TcpListener::from_std(listener)?;
        let mut next = (0..=others.len()).cycle();
        let (mut shortage, mut failure) = (Alarm::default(), Alarm::default());
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                wanted = next_move(&mut self.moves) => {
                    if !targets(&wanted).await.contains(&self.address.lock()) {
                        // The new address may be one that the old one is in the way of.
                        drop(listener);
                        listener = self.open_at(wanted).await?;
                    }
                    continue;
                }
            };
            match accepted {
                Ok((socket, address)) => {
                    if is_among_the_last(&socket) {
                        shortage.ring(Instant::now(), || {
                            tracing::warn!(
                                "Too many open files: new connections are closed, for the last descriptors are kept for \
                                 logs and snapshots; hint: raise the limit of open files (`ulimit -n`, `LimitNOFILE`)"
                            );
                        });
                        self.reject(&socket);
                        continue;
                    }
                    let Some(admission) = self.admit(address.ip().to_canonical()) else {
                        self.reject(&socket);
                        continue;
                    };
                    if self.options.counts_plain {
                        self.counters.tls.note_plain(address);
                    }
                    match next.next().and_then(|thread| others.get(thread)) {
                        None => serve(socket, address, admission),
                        Some(other) => {
                            if let Ok(socket) = socket.into_std() {
                                other.take(NewConnection { socket, address, guard: admission, proved: None });
                            }
                        }
                    }
                }
                Err(error) => {
                    // Out of descriptors, mostly: connections stay in the backlog until some are free.
                    failure.ring(Instant::now(), || {
                        tracing::warn!(
                            "Cannot accept connections: {error}; hint: raise the limit of open files (`ulimit -n`, \
                             `LimitNOFILE`)"
                        );
                    });
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    /// Opens the port somewhere else, however long that takes, or wherever it is told to go meanwhile.
    async fn open_at(&mut self, mut wanted: Address) -> std::io::Result<tokio::net::TcpListener> {
        loop {
            for address in targets(&wanted).await {
                match open(&ListenOptions { address, ..self.options.clone() }) {
                    Ok(listener) => {
                        tracing::info!("Serving clients on {address} now; connections stay as they are");
                        *self.address.lock() = address;
                        return tokio::net::TcpListener::from_std(listener);
                    }
                    Err(error) => tracing::error!("Cannot serve clients on {address} yet: {error}"),
                }
            }
            tokio::select! {
                () = tokio::time::sleep(OPEN_RETRY) => (),
                newer = next_move(&mut self.moves) => wanted = newer,
            }
        }
    }

    fn reject(&self, socket: &tokio::net::TcpStream) {
        self.counters.connections_rejected.fetch_add(1, Relaxed);
        end_at_once(socket);
    }

    fn admit(&self, address: IpAddr) -> Option<Admission> {
        let mut by_address = self.admitted.by_address.lock();
        let total: usize = if self.options.total_max > 0 { by_address.values().sum() } else { 0 };
        if self.options.total_max > 0 && total >= self.options.total_max {
            tracing::error!("Too many connections {total} - max is {}", self.options.total_max);
            return None;
        }
        let count = by_address.get(&address).copied().unwrap_or(0);
        if self.options.per_address_max > 0 && count >= self.options.per_address_max {
            tracing::warn!(
                "Too many connections from /{} - max is {}",
                java_address::host((address, 0).into()),
                self.options.per_address_max
            );
            return None;
        }
        by_address.insert(address, count + 1);
        Some(Admission { admitted: self.admitted.clone(), address })
    }
}

/// What is dropped behind this is closed without waiting for what the client may still send, and the client reads an end, no error:
/// Java's servers say so first, too (`NIOServerCnxn.closeSock`).
pub(super) fn end_at_once(socket: &tokio::net::TcpStream) {
    let socket = socket2::SockRef::from(socket);
    let _ = socket.shutdown(std::net::Shutdown::Write);
    let _ = socket.set_linger(Some(Duration::ZERO));
}

/// Whether a descriptor is one of the last that this process may have; the lowest that is free is always given. Of a small
/// limit, as nobody would set for a server, a quarter is kept.
fn is_among_the_last(descriptor: &impl AsRawFd) -> bool {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    limit.is_some_and(|limit| descriptor.as_raw_fd() as u64 >= limit - DESCRIPTORS_KEPT.min(limit / 4))
}

/// The next address to listen at; never, on a server that stays where it is.
async fn next_move(moves: &mut Option<watch::Receiver<Option<Address>>>) -> Address {
    loop {
        let Some(receiver) = moves else { return std::future::pending().await };
        if receiver.changed().await.is_err() {
            *moves = None;
        } else if let Some(address) = receiver.borrow_and_update().clone() {
            return address;
        }
    }
}

/// What may be listened at; all of IPv6 includes all of IPv4, where there is IPv6.
async fn targets(wanted: &Address) -> Vec<SocketAddr> {
    let Address { host, port } = wanted;
    if host.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified()) {
        return vec![(Ipv6Addr::UNSPECIFIED, *port).into(), (Ipv4Addr::UNSPECIFIED, *port).into()];
    }
    tokio::net::lookup_host((host.as_str(), *port)).await.map(Iterator::collect).unwrap_or_default()
}

/// How much the kernel takes of what it cannot send yet. It says that it takes more when half of that is sent: a client that takes its
/// reply slowly is seen to take it. By itself it says so when a third of its buffer is free, of megabytes.
#[cfg(target_os = "linux")]
const UNSENT_IN_KERNEL_BYTES_MAX: u32 = 256 << 10;

fn open(options: &ListenOptions) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(options.address), Type::STREAM, Some(Protocol::TCP))?;
    if options.address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_tcp_nodelay(true)?;
    // Connections inherit it.
    #[cfg(target_os = "linux")]
    socket.set_tcp_notsent_lowat(UNSENT_IN_KERNEL_BYTES_MAX)?;
    socket.set_keepalive(options.keepalive)?;
    socket.bind(&options.address.into())?;
    socket.listen(options.backlog)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acceptor(per_address_max: usize, total_max: usize) -> Acceptor {
        let address = ([127, 0, 0, 1], 0).into();
        let options = ListenOptions {
            address,
            backlog: 50,
            keepalive: false,
            per_address_max,
            total_max,
            counts_plain: false,
        };
        Acceptor::bind(options, Arc::default()).unwrap()
    }

    #[test]
    fn an_address_gets_its_share_and_gives_it_back() {
        let acceptor = acceptor(2, 0);
        let here: IpAddr = [127, 0, 0, 1].into();
        let first = acceptor.admit(here);
        let second = acceptor.admit(here);
        assert!(first.is_some() && second.is_some());
        assert!(acceptor.admit(here).is_none());
        assert!(acceptor.admit([127, 0, 0, 2].into()).is_some());
        drop(first);
        assert!(acceptor.admit(here).is_some());
    }

    #[test]
    fn the_total_is_limited_over_all_addresses() {
        let acceptor = acceptor(0, 1);
        let first = acceptor.admit([127, 0, 0, 1].into());
        assert!(first.is_some());
        assert!(acceptor.admit([127, 0, 0, 2].into()).is_none());
    }

    #[test]
    fn who_is_refused_reads_an_end_and_no_error() {
        use std::io::{Read as _, Write as _};
        let acceptor = acceptor(1, 0);
        let listener = acceptor.listener.as_ref().unwrap();
        listener.set_nonblocking(false).unwrap();
        let mut client = std::net::TcpStream::connect(*acceptor.address().lock()).unwrap();
        client.write_all(b"what nobody reads").unwrap();
        let (accepted, _) = listener.accept().unwrap();
        accepted.set_nonblocking(true).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let _inside = runtime.enter();
        let socket = tokio::net::TcpStream::from_std(accepted).unwrap();
        acceptor.reject(&socket);
        drop(socket);
        assert_eq!(client.read(&mut [0; 8]).unwrap(), 0);
    }

    #[test]
    fn a_port_in_use_is_named() {
        let acceptor = acceptor(0, 0);
        let options = ListenOptions { address: *acceptor.address().lock(), ..acceptor.options.clone() };
        let error = Acceptor::bind(options, Arc::default()).unwrap_err();
        assert!(error.to_string().contains(&acceptor.address().lock().to_string()));
    }
}
