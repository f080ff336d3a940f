//! Whom a port for operators refuses: by TLS, for what came and is no request or is too long, for what did not come in time, and
//! for who asks without the right to.

use std::error::Error as _;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::Response;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Body, HEAD_BYTES_MAX};
use crate::net::ServerCounters;
use crate::net::java_address::shown;
use crate::refusals::Refusals;
use crate::secure::Refused;

/// What a port is called in log lines, and where it counts.
#[derive(Clone, Debug)]
pub struct Refusing {
    name: &'static str,
    /// Of the whole server.
    pub counters: Arc<ServerCounters>,
    requests: fn(&ServerCounters) -> &Refusals,
}

impl Refusing {
    /// At the port of this name.
    pub fn at(name: &'static str, counters: Arc<ServerCounters>) -> Self {
        Self { name, counters, requests: |counters| &counters.http_requests }
    }

    /// At the port for probes, whose thread takes no lock of others.
    pub fn at_probes(counters: Arc<ServerCounters>) -> Self {
        Self { name: "the port for probes", counters, requests: |counters| &counters.probes }
    }

    /// A connection ends before its handshake is done.
    pub fn handshake(&self, peer: SocketAddr, refused: &Refused) {
        if matches!(refused, Refused::Gone) {
            // Whoever looks whether a port is open does no more.
            tracing::debug!("Closing the connection of {} to {}: {refused}", shown(peer), self.name);
            return;
        }
        let why = refused.to_string();
        self.counters.http_handshakes.note(peer.ip(), &self.reason(&why), || self.tell_closed(peer, &why));
    }

    /// A request is answered with nothing but why not.
    pub fn request(&self, peer: SocketAddr, why: &str) {
        (self.requests)(&self.counters).note(peer.ip(), &self.reason(why), || {
            tracing::warn!("Refusing a request of {} to {}: {why}", shown(peer), self.name);
        });
    }

    /// A connection is closed without an answer.
    pub fn connection(&self, peer: SocketAddr, why: &str) {
        (self.requests)(&self.counters).note(peer.ip(), &self.reason(why), || self.tell_closed(peer, why));
    }

    /// A connection has ended with an error, of which this may be at fault.
    pub(crate) fn ended(&self, peer: SocketAddr, error: &hyper::Error, was_asking: bool, idle_max: Duration) {
        if error.is_parse_too_large() {
            self.request(peer, &long_head());
        } else if error.is_parse() {
            self.request(peer, &format!("what came is no request: {error}"));
        } else if let Some(fault) = http2_fault(error) {
            self.connection(peer, &format!("what came is no HTTP/2: {fault}"));
        } else if error.is_timeout() && was_asking {
            self.connection(peer, &format!("{NOT_WHOLE} within {}ms", idle_max.as_millis()));
        } else {
            tracing::debug!("The connection of {} to {} ended: {error}", shown(peer), self.name);
        }
    }

    fn tell_closed(&self, peer: SocketAddr, why: &str) {
        tracing::warn!("Closing the connection of {} to {}: {why}", shown(peer), self.name);
    }

    /// Ports share what was told.
    fn reason(&self, why: &str) -> String {
        format!("{}: {why}", self.name)
    }
}

/// What is said of a request whose head is too long.
pub(crate) fn long_head() -> String {
    format!("the head of its request is longer than {HEAD_BYTES_MAX} bytes")
}

/// What the other side has done that ends its connection by HTTP/2.
fn http2_fault(error: &hyper::Error) -> Option<h2::Reason> {
    let error: &h2::Error = error.source()?.downcast_ref()?;
    error.reason().filter(|_| error.is_library() && error.is_go_away())
}

/// What is said of who has begun to ask.
pub(crate) const NOT_WHOLE: &str = "its request has not come as a whole";

/// Why an answer is a refusal: it goes with the answer to where it is told.
#[derive(Clone, Debug)]
pub(super) struct Why(pub(super) String);

/// The answer is a refusal for this reason, if there is one. What was sent must not be in it.
pub fn because(mut answer: Response<Body>, why: Option<String>) -> Response<Body> {
    if let Some(why) = why {
        answer.extensions_mut().insert(Why(why));
    }
    answer
}

/// A connection that tells how many bytes have come: who is silent between two requests may be so.
pub(crate) struct Hearing<S, N> {
    pub(crate) stream: S,
    pub(crate) note: N,
}

/// Whether a part of a request has come.
#[derive(Debug, Default)]
pub(crate) struct IsAsking(AtomicBool);

impl IsAsking {
    pub(crate) fn set(&self, is_asking: bool) {
        self.0.store(is_asking, Relaxed);
    }

    pub(crate) fn get(&self) -> bool {
        self.0.load(Relaxed)
    }
}

impl<S: AsyncRead + Unpin, N: Fn(usize) + Unpin> AsyncRead for Hearing<S, N> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            (self.note)(buffer.filled().len() - before);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin, N: Unpin> AsyncWrite for Hearing<S, N> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
