//! A port on which operators' tools ask over HTTP/1.1: who is let in, for how long, and how much of the server they may take.
//!
//! Each port is a thread with a runtime of its own, which shares nothing with clients. An answer is made on one of two threads
//! beside it, so that one that asks a disk delays only who asked for it, and a crowd of questions waits in line ([`Jobs`]).
//! Whoever reaches the port may open connections and say nothing: there is a bound, and the oldest connection that is not being
//! answered makes room for the newest ([`Place`]). Whoever is refused is told of and counted ([`Refusing`]).
//!
//! A connection is greeted ([`crate::http_tls`]), if the port has TLS, then handed to [`serve`], which takes any stream.

mod path;
mod refusing;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderValue, STRICT_TRANSPORT_SECURITY};
use http::{Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use zabd_config::ListenHost;

use crate::http_tls::{Greeted, HttpTls, Shown};
use crate::listen_name;
use crate::memory::at_most;
use crate::net::ServerCounters;
use crate::secure::Refused;

pub use self::path::meant;
use self::refusing::Why;
pub(crate) use self::refusing::{Hearing, IsAsking, NOT_WHOLE, long_head};
pub use self::refusing::{Refusing, because};

/// How many connections there are at most.
const CONNECTIONS_MAX: usize = 64;
/// How long the head of a request may be: Jetty's `requestHeaderSize`.
pub(crate) const HEAD_BYTES_MAX: usize = 8192;
/// How many answers are made at a time.
const ANSWERERS: usize = 2;
/// How many answers are being made or wait for that.
const JOBS_MAX: usize = 32;
/// How much of an answer is handed on at a time.
const PIECE_BYTES: usize = 16 << 10;
/// How many bytes of texts wait for those who asked for them, or fewer where memory is scarce.
const TEXTS_BYTES_MAX: usize = 64 << 20;
/// What texts are counted in.
const TEXT_UNIT_BYTES: usize = 1 << 10;
/// How long whoever makes room may take to send what is left of an answer.
const FAREWELL_MAX: Duration = Duration::from_secs(1);
/// What whoever finds no place hears.
const NO_PLACE: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 52\r\n\
                        Connection: close\r\n\r\nEvery connection is being answered, try again later\n";
/// What whoever asks for a text hears while others have not taken theirs.
const NO_ROOM: &str = "Too much waits for those who asked for it, try again later\n";
const PLAIN: &str = "text/plain; charset=utf-8";
/// What Jetty tells whoever asks by TLS: to do so for a day, on every host below this one.
const STS: HeaderValue = HeaderValue::from_static("max-age=86400; includeSubDomains");
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
    /// The port in that.
    pub port: u16,
    /// Why.
    pub source: std::io::Error,
}

/// An open port that nobody answers on yet.
#[derive(Debug)]
pub struct HttpPort {
    listener: TcpListener,
    /// Where it is.
    pub address: SocketAddr,
    refusing: Refusing,
    tls: Option<HttpTls>,
}

impl HttpPort {
    /// Opens the port; `name` is what it is called where somebody is refused.
    pub fn open(
        host: &ListenHost,
        port: u16,
        name: &'static str,
        counters: &Arc<ServerCounters>,
    ) -> Result<Self, HttpListenError> {
        let failed = |source| HttpListenError { address: format!("{host}:{port}"), port, source };
        let listener = bind(host, port).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address, refusing: Refusing::at(name, counters.clone()), tls: None })
    }

    /// The same, where TLS is taken.
    #[must_use]
    pub fn with_tls(self, tls: Option<HttpTls>) -> Self {
        Self { tls, ..self }
    }

    /// How its addresses begin.
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
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
                let terms = Terms { idle_max, tls: self.tls, refusing: self.refusing };
                match tokio::net::TcpListener::from_std(self.listener) {
                    Ok(listener) => accept(listener, Arc::new(terms), answers).await,
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
        ListenHost::Name(name) => TcpListener::bind(&listen_name::resolve(name, port)?[..]),
    }
}

/// What holds for every connection of a port.
struct Terms {
    /// How long it may be silent.
    idle_max: Duration,
    tls: Option<HttpTls>,
    refusing: Refusing,
}

async fn accept(listener: tokio::net::TcpListener, terms: Arc<Terms>, answers: Arc<impl Answers>) {
    let texts = Arc::new(Semaphore::new(at_most(TEXTS_BYTES_MAX) / TEXT_UNIT_BYTES));
    let mut connections: VecDeque<Connection> = VecDeque::new();
    loop {
        match listener.accept().await {
            Ok((mut socket, peer)) => {
                connections.retain(|connection| !connection.served.is_finished());
                if connections.len() == CONNECTIONS_MAX && !make_room(&mut connections, &terms).await {
                    terms.refusing.connection(peer, "every connection that there may be is being answered");
                    if terms.tls.is_none() {
                        let farewell = socket.write_all(NO_PLACE.as_bytes());
                        let _ = tokio::time::timeout(FAREWELL_MAX, farewell).await;
                    }
                    continue;
                }
                let _ = socket.set_nodelay(true);
                let place = Arc::new(Place::default());
                let asked = Asked { peer, terms: terms.clone(), place: place.clone(), texts: texts.clone() };
                let served = tokio::spawn(greet(socket, asked, answers.clone()));
                connections.push_back(Connection { peer, place, served });
            }
            // Out of descriptors, mostly: connections stay in the backlog until some are free.
            Err(error) => {
                tracing::debug!("Cannot accept a connection over HTTP: {error}");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

/// A connection, as whoever accepts the next one sees it.
struct Connection {
    peer: SocketAddr,
    place: Arc<Place>,
    served: JoinHandle<()>,
}

/// What a connection is at.
#[derive(Debug, Default)]
enum Doing {
    /// It has not asked anything.
    #[default]
    Nothing,
    /// Its answer is being made.
    Waiting,
    /// Its answer leaves; a piece was last taken then.
    Sending(Instant),
    /// It was answered, and may ask again.
    Answered,
}

/// One of the places that there are, from a connection's side.
#[derive(Debug, Default)]
struct Place {
    doing: Mutex<Doing>,
    is_asking: IsAsking,
    /// Somebody else needs the place.
    leave: Notify,
}

/// Ends a connection that is not being answered, the oldest first, or one that has stopped to take its answer; false if there is
/// none.
async fn make_room(connections: &mut VecDeque<Connection>, terms: &Terms) -> bool {
    let idle_max = terms.idle_max;
    let is_over = |connection: &Connection| match *connection.place.doing.lock() {
        Doing::Nothing | Doing::Answered => true,
        Doing::Waiting => false,
        Doing::Sending(since) => idle_max < since.elapsed(),
    };
    let Some(mut leaving) = connections.iter().position(is_over).and_then(|at| connections.remove(at)) else {
        return false;
    };
    if let Some(why) = leaving.place.why_it_goes(idle_max) {
        terms.refusing.connection(leaving.peer, &format!("{why}, and others want its place"));
    }
    // The end of an answer may be on its way yet.
    if matches!(*leaving.place.doing.lock(), Doing::Answered) {
        leaving.place.leave.notify_one();
        let _ = tokio::time::timeout(FAREWELL_MAX, &mut leaving.served).await;
    }
    leaving.served.abort();
    true
}

impl Place {
    /// What is wrong with a connection that makes room; nothing, if it was answered and asks for nothing more.
    fn why_it_goes(&self, idle_max: Duration) -> Option<String> {
        let is_asking = self.is_asking.get();
        match *self.doing.lock() {
            Doing::Nothing | Doing::Answered if is_asking => Some(NOT_WHOLE.to_owned()),
            Doing::Nothing => Some("it has asked for nothing".to_owned()),
            Doing::Answered => None,
            Doing::Waiting | Doing::Sending(_) => {
                Some(format!("it has taken nothing of its answer for {}ms", idle_max.as_millis()))
            }
        }
    }
}

/// What a connection has from whoever accepted it.
struct Asked {
    peer: SocketAddr,
    terms: Arc<Terms>,
    place: Arc<Place>,
    texts: Arc<Semaphore>,
}

async fn greet(socket: TcpStream, asked: Asked, answers: Arc<impl Answers>) {
    let Terms { idle_max, tls, refusing } = &*asked.terms;
    let Some(tls) = tls else { return serve(socket, Bearing::default(), asked, answers).await };
    // Whoever says nothing has as long as for a request.
    let begins = tokio::time::timeout(*idle_max, socket.peek(&mut [0])).await;
    let greeted = match begins {
        Err(_) => return,
        Ok(Err(error)) => Err(Refused::Broken(error)),
        Ok(Ok(_)) => tokio::time::timeout(*idle_max, tls.greet(socket, refusing))
            .await
            .unwrap_or(Err(Refused::Slow(*idle_max))),
    };
    match greeted {
        Ok(Greeted::Plain(socket)) => serve(socket, Bearing::default(), asked, answers).await,
        Ok(Greeted::Secure(secure, shown)) => {
            serve(*secure, Bearing { is_secure: true, shown }, asked, answers).await;
        }
        Err(refused) => refusing.handshake(asked.peer, &refused),
    }
}

/// What is known of a connection before its first request.
#[derive(Clone, Default)]
struct Bearing {
    is_secure: bool,
    shown: Option<Shown>,
}

async fn serve<S>(stream: S, bearing: Bearing, asked: Asked, answers: Arc<impl Answers>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Asked { peer, terms, place, texts } = asked;
    let (own, of_port) = (place.clone(), terms.clone());
    let service = service_fn(move |mut request: Request<Incoming>| {
        let Bearing { is_secure, shown } = bearing.clone();
        if let Some(shown) = shown {
            request.extensions_mut().insert(shown);
        }
        let answering = if names_its_host(&request) {
            answers.clone().answer(request, peer)
        } else {
            Box::pin(std::future::ready(bad_request("its request names no host")))
        };
        let (place, texts, terms) = (own.clone(), texts.clone(), of_port.clone());
        place.is_asking.set(false);
        *place.doing.lock() = Doing::Waiting;
        async move {
            let mut answer = answering.await;
            let units =
                answer.extensions().get::<TextBytes>().map_or(0, |text| text.0.div_ceil(TEXT_UNIT_BYTES));
            let room = texts.try_acquire_many_owned(u32::try_from(units).unwrap_or(u32::MAX)).ok();
            if room.is_none() {
                let why = "others have not taken what they asked for".to_owned();
                answer = because(text(StatusCode::SERVICE_UNAVAILABLE, PLAIN, NO_ROOM), Some(why));
            }
            if let Some(Why(why)) = answer.extensions_mut().remove() {
                terms.refusing.request(peer, &why);
            }
            if is_secure {
                answer.headers_mut().insert(STRICT_TRANSPORT_SECURITY, STS);
            }
            *place.doing.lock() = Doing::Sending(Instant::now());
            Ok::<_, Infallible>(answer.map(|body| Leaving { body, taken: Bytes::new(), place, _room: room }))
        }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(terms.idle_max).max_buf_size(HEAD_BYTES_MAX);
    let heard = place.clone();
    let stream = Hearing { stream, note: move |_| heard.is_asking.set(true) };
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = place.leave.notified() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        terms.refusing.ended(peer, &error, place.is_asking.get(), terms.idle_max);
    }
}

/// Whoever speaks HTTP/1.1 says to whom.
fn names_its_host(request: &Request<Incoming>) -> bool {
    request.version() < Version::HTTP_11
        || request.headers().contains_key(HOST)
        || request.uri().host().is_some()
}

/// A body that says how far it is: it leaves in small pieces, so that little of it is on its way when it has ended here.
struct Leaving {
    body: Body,
    /// What the body has given and nobody has taken.
    taken: Bytes,
    place: Arc<Place>,
    /// What its text takes of all that may wait.
    _room: Option<OwnedSemaphorePermit>,
}

/// How long the text is that an answer holds as a whole.
#[derive(Clone, Copy, Debug)]
struct TextBytes(usize);

impl hyper::body::Body for Leaving {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        *self.place.doing.lock() = Doing::Sending(Instant::now());
        if self.taken.is_empty() {
            match std::task::ready!(Pin::new(&mut self.body).poll_frame(context))
                .transpose()?
                .map(Frame::into_data)
            {
                Some(Ok(data)) => self.taken = data,
                Some(Err(other)) => return Poll::Ready(Some(Ok(other))),
                None => return Poll::Ready(None),
            }
        }
        let length = self.taken.len().min(PIECE_BYTES);
        Poll::Ready(Some(Ok(Frame::data(self.taken.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.taken.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let taken = self.taken.len() as u64;
        self.body
            .size_hint()
            .exact()
            .map_or_else(SizeHint::default, |left| SizeHint::with_exact(left + taken))
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        // What came meanwhile was mostly the request's own body.
        self.place.is_asking.set(false);
        *self.place.doing.lock() = Doing::Answered;
    }
}

/// Answers that are made beside the port's thread. As many as there may be wait at most: a job holds its permit until it is done,
/// whoever asked for it and is gone by then; one that has not begun goes with whoever asked.
#[derive(Debug)]
pub struct Jobs(Arc<Semaphore>);

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// There are too many already.
    TooMany,
    /// Whoever made it panicked, and has said so.
    Panicked,
}

impl NoAnswer {
    /// What is told of it.
    pub fn status(self) -> StatusCode {
        match self {
            NoAnswer::TooMany => StatusCode::SERVICE_UNAVAILABLE,
            NoAnswer::Panicked => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The same in words, as far as there are any.
    pub fn words(self) -> Option<&'static str> {
        (self == NoAnswer::TooMany).then_some("Too many questions wait for an answer, try again later")
    }
}

impl Jobs {
    /// None yet.
    pub fn new() -> Self {
        Self(Arc::new(Semaphore::new(JOBS_MAX)))
    }

    /// Makes an answer.
    pub async fn make<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NoAnswer> {
        let Ok(permit) = self.0.clone().try_acquire_owned() else { return Err(NoAnswer::TooMany) };
        let job = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        Begun(job).await.map_err(|_| NoAnswer::Panicked)
    }
}

/// A job for whoever waits here: without him it does not begin.
struct Begun<T>(JoinHandle<T>);

impl<T> Future for Begun<T> {
    type Output = Result<T, tokio::task::JoinError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context)
    }
}

impl<T> Drop for Begun<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A body that is there already.
pub fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// An answer of one text.
pub fn text(status: StatusCode, kind: &'static str, text: impl Into<Bytes>) -> Response<Body> {
    let text = text.into();
    let length = TextBytes(text.len());
    let mut response = Response::new(whole(text));
    response.extensions_mut().insert(length);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// Nothing is here.
pub fn not_found() -> Response<Body> {
    let mut response = text(StatusCode::NOT_FOUND, PLAIN, "Not Found\n");
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("must-revalidate,no-cache,no-store"));
    response
}

/// What is asked for cannot be understood.
pub fn bad_request(why: &'static str) -> Response<Body> {
    because(text(StatusCode::BAD_REQUEST, PLAIN, "Bad Request\n"), Some(why.to_owned()))
}

/// What Jetty answers to a method that asks for nothing: TRACE is forbidden there, and what servlets do not know is no method.
pub fn refused(method: &Method) -> Response<Body> {
    let status = match *method {
        Method::TRACE => StatusCode::FORBIDDEN,
        Method::OPTIONS => StatusCode::OK,
        Method::PUT | Method::DELETE => StatusCode::METHOD_NOT_ALLOWED,
        _ => StatusCode::NOT_IMPLEMENTED,
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
fn decoded(text: &str) -> String {
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
