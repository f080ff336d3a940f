//! TLS handshakes of clients, on a thread of their own.
//!
//! A handshake costs a millisecond of a processor, and thousands may come at once when a server is back: on the threads that
//! carry connections each would hold up the requests of everybody else. So they are done here, limited in number and time, and
//! a connection goes to its I/O thread when it is through, with what it has proved about itself. Where the limit is zabd's own, a
//! crowd that says nothing keeps nobody out: whoever comes takes the place of one of them ([`crate::lobby`]). Where it is the
//! operator's, whoever comes too late is closed, as by Java.
//!
//! ```text
//! acceptor ─► (first byte) ─► handshake ─► certificate against host ─► identities ─► I/O thread
//!                 └─ plain text, on a port that takes both ──────────────────────────┘
//! ```

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;
use zabd_jute::Id;
use zabd_replica::auth::certificate_identities;
use zabd_tls::Tls;
use zabd_tls::rustls::{Connection, ServerConnection};

use super::acceptor::{Acceptor, Admission, end_at_once};
use super::figures::ServerCounters;
use super::io_thread::{IoThread, NewConnection};
use super::java_address::shown;
use crate::driver::Driver;
use crate::lobby::{Displaced, Lobby, Place};
use crate::probes::Pulse;
use crate::refusals::Refusals;
use crate::secure::{HANDSHAKE_MAX, Refused, Wanted, comes_from, handshakes_at_once, negotiate, refused};

/// So many handshakes at once if nothing is configured: each may hold some ten kilobytes.
const HANDSHAKES_MAX: usize = 4096;
/// What a message of TLS begins with that begins a handshake.
const HANDSHAKE_BYTE: u8 = 0x16;

/// What a port takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// TLS only.
    Tls,
    /// TLS and plain text.
    Both,
}

/// What the operator configured about handshakes.
#[derive(Clone, Debug)]
pub struct HandshakeOptions {
    /// How long a client may say nothing where TLS and plain text are taken.
    pub sessionless_max: Duration,
    /// How many may be under way.
    pub at_once_max: Option<u32>,
    /// Whether none is begun while the server serves nobody.
    pub early_drop: bool,
    /// Whether a client's certificate is compared with where it comes from.
    pub verifies_hosts: bool,
    /// Whose certificate makes a super user.
    pub super_user: Option<String>,
}

/// What a handshake has brought.
#[derive(Debug)]
pub struct Proved {
    /// The connection as far as TLS is concerned.
    pub tls: Box<Connection>,
    /// Who the client is.
    pub identities: Vec<Id<'static>>,
}

/// See the module's description.
pub struct Handshakes {
    /// Keys, trust and offer.
    pub tls: Arc<Tls>,
    /// What is allowed.
    pub options: HandshakeOptions,
    /// Tells whether clients are served.
    pub driver: Arc<Driver>,
    /// What operators ask for.
    pub counters: Arc<ServerCounters>,
    /// Where connections go, in turn.
    pub threads: Vec<IoThread>,
    /// Whose turn it is.
    pub next: AtomicUsize,
    /// What was told about whom; they are counted as handshakes.
    pub refusals: Refusals,
    /// Who has not shown yet who he is, where the operator has set no limit.
    pub lobby: Lobby,
}

/// Where clients wait that have not shown who they are.
pub fn lobby() -> Lobby {
    Lobby::of(handshakes_at_once(HANDSHAKES_MAX))
}

impl Handshakes {
    /// Starts the thread, which takes connections from these ports for as long as the process lives.
    pub fn start(self, ports: Vec<(Acceptor, Takes)>, pulse: Pulse) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let shared = Arc::new(self);
        let work = async move {
            tokio::spawn(pulse.beat_for_runtime());
            for (acceptor, takes) in ports {
                let shared = shared.clone();
                tokio::spawn(async move {
                    let serve =
                        |socket, address, admission| shared.clone().begin(socket, address, admission, takes);
                    if let Err(error) = acceptor.run(Vec::new(), serve).await {
                        tracing::error!("The secure client port is closed: {error}");
                    }
                });
            }
            std::future::pending::<()>().await;
        };
        std::thread::Builder::new().name("ClientTls".into()).spawn(move || runtime.block_on(work)).map(drop)
    }

    fn begin(self: Arc<Self>, socket: TcpStream, address: SocketAddr, admission: Admission, takes: Takes) {
        let tls = &self.counters.tls;
        if self.options.early_drop && takes == Takes::Tls && !self.driver.serves_clients() {
            tls.not_serving.fetch_add(1, Relaxed);
            return end_at_once(&socket);
        }
        // Here a connection is a handshake from its beginning, as in Java.
        let under_way = match takes {
            Takes::Tls => match self.enter(&socket, address) {
                Some(under_way) => Some(under_way),
                None => return,
            },
            Takes::Both => None,
        };
        tokio::spawn(async move {
            let result = match under_way {
                Some(under_way) => self.shake(under_way, &socket, address).await,
                // Whoever says nothing may be going to speak plain text, and waits here as long as it might on a port without
                // TLS: it holds up no handshake.
                None => match timeout(self.options.sessionless_max, first_byte(&socket)).await {
                    Ok(Ok(HANDSHAKE_BYTE)) => match self.enter(&socket, address) {
                        Some(under_way) => self.shake(under_way, &socket, address).await,
                        None => return,
                    },
                    Ok(Ok(_)) => Ok(None),
                    // That was no handshake at all.
                    Ok(Err(_)) | Err(_) => return,
                },
            };
            match result {
                Ok(proved) => self.hand_over(socket, address, admission, proved),
                Err(refused) => self.refuse(address, &refused),
            }
        });
    }

    /// A handshake begins, if one more may; if not, the connection is closed.
    fn enter(&self, socket: &TcpStream, address: SocketAddr) -> Option<UnderWay> {
        let tls = &self.counters.tls;
        let place = match self.options.at_once_max {
            Some(most) if tls.outstanding.load(Relaxed) >= most as usize => {
                tls.exceeded.fetch_add(1, Relaxed);
                self.tell(address, &format!("{most} handshakes are under way, and no more are allowed"));
                end_at_once(socket);
                return None;
            }
            Some(_) => None,
            None => Some(self.lobby.enter(Some(address.ip().to_canonical()))),
        };
        tls.outstanding.fetch_add(1, Relaxed);
        Some(UnderWay { counters: self.counters.clone(), place })
    }

    /// What the client proves, for as long as it has a place for that.
    async fn shake(
        &self,
        mut under_way: UnderWay,
        socket: &TcpStream,
        address: SocketAddr,
    ) -> Result<Option<Proved>, Refused> {
        let shaking = async {
            timeout(HANDSHAKE_MAX, first_byte(socket)).await.map_err(|_| Refused::Slow(HANDSHAKE_MAX))??;
            self.prove(socket, address).await.map(Some)
        };
        match &mut under_way.place {
            None => shaking.await,
            Some(place) => place.during(shaking).await,
        }
    }

    async fn prove(&self, socket: &TcpStream, address: SocketAddr) -> Result<Proved, Refused> {
        let tls = ServerConnection::new(self.tls.server()).map_err(|error| refused(&error))?;
        let wanted = self.options.verifies_hosts.then(|| Wanted {
            is_wanted: Arc::new(move |certificate| comes_from(certificate, address.ip())),
            comes: "comes from",
            looks_up: true,
        });
        let (tls, certificate) = negotiate(Connection::Server(tls), socket, wanted).await?;
        let Some(certificate) = certificate else { return Ok(Proved { tls, identities: Vec::new() }) };
        let identities = certificate_identities(&certificate.subject, self.options.super_user.as_deref());
        Ok(Proved { tls, identities })
    }

    fn hand_over(&self, socket: TcpStream, address: SocketAddr, guard: Admission, proved: Option<Proved>) {
        if proved.is_none() {
            self.counters.tls.note_plain(address);
        }
        let thread = self.next.fetch_add(1, Relaxed) % self.threads.len();
        // A socket that cannot change hands is broken.
        if let Ok(socket) = socket.into_std() {
            self.threads[thread].take(NewConnection { socket, address, guard, proved });
        }
    }

    fn refuse(&self, address: SocketAddr, refused: &Refused) {
        let tls = &self.counters.tls;
        if matches!(refused, Refused::Crowded(_)) {
            tls.exceeded.fetch_add(1, Relaxed);
            return self.tell(address, &refused.to_string());
        }
        tls.unsuccessful.fetch_add(1, Relaxed);
        tls.auth_failed.fetch_add(1, Relaxed);
        if matches!(refused, Refused::Gone) {
            // Whoever looks whether a port is open does no more.
            tracing::debug!(
                "Closing the connection of {} to the secure client port: {refused}",
                shown(address)
            );
        } else {
            self.tell(address, &refused.to_string());
        }
    }

    fn tell(&self, address: SocketAddr, why: &str) {
        self.refusals.tell(address.ip(), why, || {
            tracing::warn!("Closing the connection of {} to the secure client port: {why}", shown(address));
        });
    }
}

/// Waits for the first byte, and leaves it where it is.
async fn first_byte(socket: &TcpStream) -> Result<u8, Refused> {
    let mut first = [0];
    if socket.peek(&mut first).await? == 0 {
        return Err(Refused::Gone);
    }
    Ok(first[0])
}

/// A handshake that is counted until it is done.
struct UnderWay {
    counters: Arc<ServerCounters>,
    place: Option<Place>,
}

impl From<Displaced> for Refused {
    fn from(displaced: Displaced) -> Self {
        Refused::Crowded(displaced.to_string())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.counters.tls.outstanding.fetch_sub(1, Relaxed);
    }
}
