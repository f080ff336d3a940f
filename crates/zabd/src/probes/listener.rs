//! The probes' port, and the thread behind it.
//!
//! Whoever reaches the port may open connections and say nothing, so there is a bound, and the newest connection is served: the
//! oldest makes room for it. A probe is a connection of its own that lasts milliseconds, so none is ever the oldest of so many.
//! Whoever sends no request, or not all of one, is told of and counted ([`Refusing`]).

use std::collections::VecDeque;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use zabd_config::ProbesConfig;

use super::http::Answers;
use super::vitals::Vitals;
use crate::http_port::{HEAD_BYTES_MAX, Hearing, IsAsking, NOT_WHOLE, Refusing, bind, long_head};
use crate::net::ServerCounters;

/// How many connections there are at most.
const CONNECTIONS_MAX: usize = 64;
/// How many requests of one HTTP/2 connection are open at a time.
const STREAMS_MAX: u32 = 16;
/// How long the head of a request by HTTP/2 may be that is still read whole. The library refuses a longer one by itself and tells
/// nobody but its client, so this is more than is allowed.
const HEAD_BYTES_READ_MAX: usize = 4 * HEAD_BYTES_MAX;
/// How long it may take to come.
pub(super) const HEAD_TIME_MAX: Duration = Duration::from_secs(5);
/// Whoever has sent so much has begun to speak HTTP/1 or HTTP/2, each of which has its own time then.
const PREFACE_BYTES: usize = 24;
/// When an HTTP/2 connection that is silent is asked whether there is still somebody.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
/// How often the probes' clock is set. See [`Vitals`].
const CLOCK_INTERVAL: Duration = Duration::from_millis(250);
/// How long nobody is accepted when that has failed.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// The port cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for probes")]
pub struct ProbeListenError {
    /// Where.
    pub address: String,
    /// Why.
    pub source: std::io::Error,
}

/// An open port that nobody answers on yet.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Opens the port, if one is configured.
    pub fn open(config: &ProbesConfig) -> Result<Option<Self>, ProbeListenError> {
        let Some(port) = config.port else { return Ok(None) };
        let failed = |source| ProbeListenError { address: format!("{}:{port}", config.address), source };
        let listener = bind(&config.address, port).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Some(Self { listener, address }))
    }

    /// Answers, in a thread of its own, for as long as the process lives.
    pub fn run(self, vitals: Arc<Vitals>, counters: Arc<ServerCounters>) -> std::io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        tracing::info!(
            "Answering probes on {}: /livez, /readyz, /startupz and grpc.health.v1.Health",
            self.address
        );
        let work = move || {
            runtime.block_on(async {
                tokio::spawn(keep_time(vitals.clone()));
                match tokio::net::TcpListener::from_std(self.listener) {
                    Ok(listener) => {
                        let refusing = Refusing::at_probes(counters);
                        accept(listener, &Answers::new(vitals, refusing.clone()), &refusing).await;
                    }
                    Err(error) => tracing::error!("Probes are not answered: {error}"),
                }
            });
        };
        std::thread::Builder::new().name("Probes".into()).spawn(work).map(drop)
    }
}

/// The clock stands still while this thread does.
async fn keep_time(vitals: Arc<Vitals>) {
    let mut before = Instant::now();
    loop {
        tokio::time::sleep(CLOCK_INTERVAL).await;
        let now = Instant::now();
        vitals.pass((now - before).min(2 * CLOCK_INTERVAL));
        before = now;
    }
}

/// What is known of a connection.
#[derive(Debug, Default)]
struct Heard {
    bytes: AtomicUsize,
    is_asking: IsAsking,
    /// A request has come.
    has_asked: AtomicBool,
    /// What comes between two requests is no beginning of a third.
    is_http2: AtomicBool,
}

impl Heard {
    fn note(&self, count: usize) {
        self.bytes.fetch_add(count, Relaxed);
        self.is_asking.set(true);
    }

    fn note_request(&self, version: http::Version) {
        self.is_asking.set(false);
        self.has_asked.store(true, Relaxed);
        self.is_http2.store(version == http::Version::HTTP_2, Relaxed);
    }

    fn was_asking(&self) -> bool {
        self.is_asking.get() && !self.is_http2.load(Relaxed)
    }

    /// Returns when it is too late to begin.
    async fn has_not_begun(&self) {
        tokio::time::sleep(HEAD_TIME_MAX).await;
        if self.bytes.load(Relaxed) >= PREFACE_BYTES || self.has_asked.load(Relaxed) {
            std::future::pending::<()>().await;
        }
    }

    /// Much has come, and nothing that was given to whoever answers.
    fn was_refused_by_the_library(&self) -> bool {
        self.bytes.load(Relaxed) > HEAD_BYTES_MAX && !self.has_asked.load(Relaxed)
    }

    /// What is wrong with a connection that makes room; nothing, if it has asked for something.
    fn why_it_goes(&self) -> Option<&'static str> {
        let begun = if self.bytes.load(Relaxed) == 0 { "it has asked for nothing" } else { NOT_WHOLE };
        (!self.has_asked.load(Relaxed)).then_some(begun)
    }
}

struct Connection {
    peer: SocketAddr,
    heard: Arc<Heard>,
    served: AbortHandle,
}

async fn accept(listener: tokio::net::TcpListener, answers: &Answers, refusing: &Refusing) {
    let mut connections: VecDeque<Connection> = VecDeque::new();
    loop {
        match listener.accept().await {
            Ok((socket, peer)) => {
                connections.retain(|connection| !connection.served.is_finished());
                if connections.len() == CONNECTIONS_MAX
                    && let Some(Connection { peer, heard, served }) = connections.pop_front()
                {
                    served.abort();
                    if let Some(why) = heard.why_it_goes() {
                        refusing.connection(peer, &format!("{why}, and others want its place"));
                    }
                }
                let heard = Arc::new(Heard::default());
                let serving = serve(socket, peer, heard.clone(), answers.clone(), refusing.clone());
                let served = tokio::spawn(serving).abort_handle();
                connections.push_back(Connection { peer, heard, served });
            }
            // Out of descriptors, mostly: connections stay in the backlog until some are free.
            Err(error) => {
                tracing::debug!("Cannot accept a connection for probes: {error}");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

async fn serve(socket: TcpStream, peer: SocketAddr, heard: Arc<Heard>, answers: Answers, refusing: Refusing) {
    let _ = socket.set_nodelay(true);
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEPALIVE_INTERVAL)
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEAD_BYTES_READ_MAX as u32);
    let (hearing, asked) = (heard.clone(), heard.clone());
    let stream = Hearing { stream: socket, note: move |count| hearing.note(count) };
    let service = service_fn(move |request: http::Request<_>| {
        asked.note_request(request.version());
        answers.clone().answer(request, peer)
    });
    let ended = tokio::select! {
        ended = builder.serve_connection(TokioIo::new(stream), service) => ended,
        () = heard.has_not_begun() => {
            if heard.bytes.load(Relaxed) > 0 {
                refusing.connection(peer, &format!("{NOT_WHOLE} within {}ms", HEAD_TIME_MAX.as_millis()));
            }
            return;
        }
    };
    let Err(error) = ended else {
        if heard.was_refused_by_the_library() {
            refusing.request(peer, &long_head());
        }
        return;
    };
    match error.downcast::<hyper::Error>() {
        Ok(error) => refusing.ended(peer, &error, heard.was_asking(), HEAD_TIME_MAX),
        Err(error) => tracing::debug!("A connection for probes ended: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use zabd_config::ListenHost;

    use super::*;

    fn started() -> (SocketAddr, Arc<Vitals>) {
        let config = ProbesConfig { port: Some(0), address: ListenHost::Address([127, 0, 0, 1].into()) };
        let listener = Listener::open(&config).unwrap().expect("a port is configured");
        let (address, vitals) = (listener.address, Arc::new(Vitals::default()));
        listener.run(vitals.clone(), Arc::default()).unwrap();
        (address, vitals)
    }

    fn get(address: SocketAddr, path: &str) -> String {
        let mut socket = std::net::TcpStream::connect(address).unwrap();
        write!(socket, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn probes_are_answered_before_anything_has_begun() {
        let (address, vitals) = started();
        assert!(get(address, "/livez").starts_with("HTTP/1.1 200 OK\r\n"));
        assert!(get(address, "/readyz").starts_with("HTTP/1.1 503 Service Unavailable\r\n"));
        vitals.note_started();
        assert!(get(address, "/readyz?verbose").ends_with("\r\n\r\n[+]start ok: 0 bytes replayed\n[+]loops ok: 0 turn\n[+]serving ok: standalone\n[+]staying ok: not asked to end\nreadyz check passed\n"));
    }

    /// Whoever holds connections open keeps no probe from being answered.
    #[test]
    fn silent_connections_make_room() {
        let (address, _) = started();
        let mut silent: Vec<_> =
            (0..CONNECTIONS_MAX + 3).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
        assert!(get(address, "/livez").starts_with("HTTP/1.1 200 OK\r\n"));
        // The oldest is closed, long before its time is up.
        assert_eq!(silent[0].read(&mut [0]).unwrap_or(0), 0);
    }
}
