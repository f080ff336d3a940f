//! A port on which operators' tools ask over HTTP/1.1: who is let in, for how long, and how much of the server they may take.
//!
//! Each port is a thread with a runtime of its own, which shares nothing with clients. An answer is made on one of two threads
//! beside it, so that one that asks a disk delays only who asked for it, and a crowd of questions waits in line. Whoever
//! reaches the port may open connections and say nothing: there is a bound, and the oldest connection makes room for the newest.
//!
//! A connection is handed to [`serve`], which takes any stream: the seam for TLS, which would come between the two.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs as _};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::AbortHandle;
use zabd_config::ListenHost;

/// How many connections there are at most.
const CONNECTIONS_MAX: usize = 64;
/// How long the head of a request may be: Jetty's `requestHeaderSize`.
const HEAD_BYTES_MAX: usize = 8192;
/// How many answers are made at a time.
const ANSWERERS: usize = 2;
/// How long nobody is accepted when that has failed.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// What an answer consists of: a text, or what comes piece by piece.
pub type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, std::io::Error>;

/// An answer that is being made.
pub type Answering = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// Who answers.
pub trait Answers: Send + Sync + 'static {
    /// One answer to whoever is at `peer`.
    fn answer(self: Arc<Self>, request: Request<Incoming>, peer: SocketAddr) -> Answering;
}

/// The port cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct HttpListenError {
    /// Where.
    pub address: String,
    /// Why.
    pub source: std::io::Error,
}

/// An open port that nobody answers on yet.
#[derive(Debug)]
pub struct HttpPort {
    listener: TcpListener,
    /// Where it is.
    pub address: SocketAddr,
}

impl HttpPort {
    /// Opens the port.
    pub fn open(host: &ListenHost, port: u16) -> Result<Self, HttpListenError> {
        let failed = |source| HttpListenError { address: format!("{host}:{port}"), source };
        let listener = bind(host, port).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }

    /// Answers in a thread of this name, for as long as the process lives; a connection that is silent for so long is closed.
    /// What else is to be done in that thread is `beside`.
    pub fn run(
        self,
        name: &'static str,
        idle_max: Duration,
        answers: Arc<impl Answers>,
        beside: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(ANSWERERS)
            .thread_name(name)
            .build()?;
        let work = move || {
            runtime.block_on(async {
                tokio::spawn(beside);
                match tokio::net::TcpListener::from_std(self.listener) {
                    Ok(listener) => accept(listener, idle_max, answers).await,
                    Err(error) => tracing::error!("Nobody is answered on {}: {error}", self.address),
                }
            });
        };
        std::thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
    }
}

/// A listener there.
pub fn bind(host: &ListenHost, port: u16) -> std::io::Result<TcpListener> {
    match host {
        // All of IPv6 includes all of IPv4, where there is IPv6.
        ListenHost::Any => match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)) {
            Err(error) if error.kind() != std::io::ErrorKind::AddrInUse => {
                TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))
            }
            bound => bound,
        },
        ListenHost::Address(ip) => TcpListener::bind((*ip, port)),
        ListenHost::Name(name) => {
            let found: Vec<SocketAddr> = (name.as_str(), port).to_socket_addrs()?.collect();
            TcpListener::bind(&found[..])
        }
    }
}

async fn accept(listener: tokio::net::TcpListener, idle_max: Duration, answers: Arc<impl Answers>) {
    let mut connections: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        match listener.accept().await {
            Ok((socket, peer)) => {
                connections.retain(|connection| !connection.is_finished());
                if connections.len() == CONNECTIONS_MAX {
                    connections.pop_front().iter().for_each(AbortHandle::abort);
                }
                let _ = socket.set_nodelay(true);
                let served = tokio::spawn(serve(socket, peer, idle_max, answers.clone()));
                connections.push_back(served.abort_handle());
            }
            // Out of descriptors, mostly: connections stay in the backlog until some are free.
            Err(error) => {
                tracing::debug!("Cannot accept a connection over HTTP: {error}");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

async fn serve<S>(stream: S, peer: SocketAddr, idle_max: Duration, answers: Arc<impl Answers>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| {
        let answering = answers.clone().answer(request, peer);
        async move { Ok::<_, Infallible>(answering.await) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(idle_max).max_buf_size(HEAD_BYTES_MAX);
    if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!("A connection over HTTP ended: {error}");
    }
}

/// A body that is there already.
pub fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// An answer of one text.
pub fn text(status: StatusCode, kind: &'static str, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(whole(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// Nothing is here.
pub fn not_found() -> Response<Body> {
    let mut response = text(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", "Not Found\n");
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("must-revalidate,no-cache,no-store"));
    response
}

/// What Jetty answers to a method that asks for nothing: TRACE is forbidden there.
pub fn refused(method: &Method) -> Response<Body> {
    let status = match *method {
        Method::TRACE => StatusCode::FORBIDDEN,
        Method::OPTIONS => StatusCode::OK,
        _ => StatusCode::METHOD_NOT_ALLOWED,
    };
    let mut response = Response::new(whole(Bytes::new()));
    *response.status_mut() = status;
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST, OPTIONS"));
    response
}

/// Name and value of each word of a query, in order.
pub fn query(request: &Request<Incoming>) -> Vec<(String, String)> {
    let words = request.uri().query().unwrap_or_default().split('&').filter(|word| !word.is_empty());
    let pair = |word: &str| {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        (decoded(name), decoded(value))
    };
    words.map(pair).collect()
}

/// Escapes of a URL undone; what is none stays.
pub fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        let escape = match behind {
            [high, low, ..] if *first == b'%' => hexadecimal(*high).zip(hexadecimal(*low)),
            _ => None,
        };
        match (first, escape) {
            (_, Some((high, low))) => {
                bytes.push(high << 4 | low);
                rest = &behind[2..];
                continue;
            }
            (b'+', None) => bytes.push(b' '),
            (byte, None) => bytes.push(*byte),
        }
        rest = behind;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hexadecimal(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;

    use super::*;

    struct Echo;

    impl Answers for Echo {
        fn answer(self: Arc<Self>, request: Request<Incoming>, peer: SocketAddr) -> Answering {
            Box::pin(async move {
                let words = query(&request);
                text(
                    StatusCode::OK,
                    "text/plain",
                    format!("{} {} {words:?}", peer.ip(), request.uri().path()),
                )
            })
        }
    }

    fn started(idle_max: Duration) -> SocketAddr {
        let port = HttpPort::open(&ListenHost::Address([127, 0, 0, 1].into()), 0).unwrap();
        let address = port.address;
        port.run("Echo", idle_max, Arc::new(Echo), std::future::ready(())).unwrap();
        address
    }

    fn say(address: SocketAddr, words: &str) -> String {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        socket.write_all(words.as_bytes()).unwrap();
        let mut answer = Vec::new();
        // A connection that is closed with words unread is reset.
        let _ = socket.read_to_end(&mut answer);
        String::from_utf8(answer).unwrap()
    }

    #[test]
    fn words_of_a_query_are_read() {
        let address = started(Duration::from_mins(1));
        let answer =
            say(address, "GET /a?b=c%5B%5d&d+e&=&%zz=%e4 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let words = "127.0.0.1 /a [(\"b\", \"c[]\"), (\"d e\", \"\"), (\"\", \"\"), (\"%zz\", \"\u{fffd}\")]";
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with(words), "{answer}");
    }

    #[test]
    fn silent_connections_make_room_and_go_in_time() {
        let address = started(Duration::from_millis(200));
        let mut silent: Vec<_> =
            (0..CONNECTIONS_MAX + 3).map(|_| TcpStream::connect(address).unwrap()).collect();
        let answer = say(address, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        for socket in &mut silent {
            socket.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
            let mut rest = Vec::new();
            let _ = socket.read_to_end(&mut rest);
        }
    }

    #[test]
    fn a_head_without_end_is_refused() {
        let address = started(Duration::from_mins(1));
        let answer =
            say(address, &format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", "x".repeat(2 * HEAD_BYTES_MAX)));
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }
}
