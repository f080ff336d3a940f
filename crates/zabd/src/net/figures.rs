//! Figures that operators ask for: kept where the work is done, read when somebody asks.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering::Relaxed};

use parking_lot::Mutex;
pub use zabd_replica::traffic::Samples as Summary;
use zabd_replica::traffic::Traffic;

use zabd_replica::percentiles::Percentiles;

use super::operations::OperationCounts;
use crate::refusals::Refusals;
use crate::sasl::MemberSaslCounts;

/// What one connection did.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConnectionFigures {
    /// Frames from the client.
    pub received: u64,
    /// Frames to the client.
    pub sent: u64,
    /// Requests without an answer yet.
    pub outstanding: u64,
    /// The operation answered last.
    pub last_op: i32,
    /// Its xid.
    pub last_cxid: i64,
    /// The zxid of the last answer.
    pub last_zxid: i64,
    /// When a request was answered last, milliseconds since the machine was started.
    pub last_response_ms: i64,
    /// How long that took, milliseconds.
    pub last_latency_ms: u64,
    /// How long requests took, milliseconds.
    pub latency: Summary,
}

/// A connection's figures and the few facts that change while it lives.
#[derive(Debug)]
pub struct ConnectionCounters {
    /// When the connection came, monotonic milliseconds.
    pub since_ms: i64,
    /// When the client last said something, monotonic milliseconds.
    pub heard_ms: AtomicI64,
    /// Its session, 0 before there is one.
    pub session: AtomicI64,
    /// What was negotiated, 0 before it has asked for a session.
    pub timeout_ms: AtomicI64,
    /// Whether it is by TLS.
    pub is_secure: AtomicBool,
    /// The rest.
    pub figures: Mutex<ConnectionFigures>,
}

impl ConnectionFigures {
    /// What `crst` leaves: −1 stands for no request and no zxid, as in Java.
    pub fn reset() -> Self {
        Self { last_cxid: -1, last_zxid: -1, ..Self::default() }
    }
}

impl ConnectionCounters {
    /// Nothing counted yet.
    pub fn new(now_ms: i64) -> Self {
        Self {
            since_ms: now_ms,
            heard_ms: AtomicI64::new(now_ms),
            session: AtomicI64::new(0),
            timeout_ms: AtomicI64::new(0),
            is_secure: AtomicBool::new(false),
            figures: Mutex::default(),
        }
    }
}

/// What the whole server did.
#[derive(Debug, Default)]
pub struct ServerCounters {
    /// Frames from clients.
    pub received: AtomicU64,
    /// Bytes from clients, in whole frames.
    pub received_bytes: AtomicU64,
    /// Frames to clients.
    pub sent: AtomicU64,
    /// Requests in the pipeline whose connections are there.
    pub in_flight: AtomicI64,
    /// Connections refused because there were too many.
    pub connections_rejected: AtomicU64,
    /// Connections that asked for a session and were let in.
    pub connect_requests: AtomicU64,
    /// Those that came back for a session.
    pub resumptions: AtomicU64,
    /// How many tokens the throttle lacked when it let one in.
    pub token_deficit: Mutex<Percentiles>,
    /// Connections that their clients ended without closing the session first.
    pub clients_gone: AtomicU64,
    /// Connections closed because they never asked for a session.
    pub sessionless_expired: AtomicU64,
    /// Sessions ended because their clients were silent.
    pub sessions_expired: AtomicU64,
    /// Transactions behind which this server's tree was not what its leader's was.
    pub digest_mismatches: AtomicU64,
    /// Answers whose connection was gone.
    pub stale_replies: AtomicU64,
    /// Clients that have authenticated by SASL.
    pub sasl_authenticated: AtomicU64,
    /// Tokens of SASL that were refused.
    pub sasl_refused: Refusals,
    /// Other servers that have authenticated by SASL, and those that have not.
    pub member_sasl: Arc<MemberSaslCounts>,
    /// What became of ensemble names that clients sent.
    pub ensemble_names: EnsembleNames,
    /// What clients were answered, by operation.
    pub operations: OperationCounts,
    /// How long requests took, milliseconds.
    pub latency: Mutex<Latencies>,
    /// What connections served by themselves, by namespace.
    pub reads_by_namespace: Mutex<Traffic>,
    /// What was sent to clients.
    pub responses: Mutex<Responses>,
    /// What came of handshakes.
    pub tls: TlsCounters,
    /// Connections in plain text to ports of operators that take TLS, too.
    pub insecure_admin: AtomicU64,
    /// Connections to ports of operators that were closed before their handshake was done.
    pub http_handshakes: Refusals,
    /// Requests to those ports that came, and were refused or never whole.
    pub http_requests: Refusals,
    /// The same of probes.
    pub probes: Refusals,
    /// Connections of clients that were closed for what came over them, or never came whole.
    pub clients: Refusals,
    /// The same of other servers.
    pub servers_refused: AtomicU64,
}

/// TLS of clients, and the lack of it.
#[derive(Debug, Default)]
pub struct TlsCounters {
    /// Handshakes that are under way.
    pub outstanding: AtomicUsize,
    /// Those that failed.
    pub unsuccessful: AtomicU64,
    /// Connections closed because too many were under way.
    pub exceeded: AtomicU64,
    /// Connections closed because the client did not prove who it is.
    pub auth_failed: AtomicU64,
    /// Connections closed because nobody was served at the moment.
    pub not_serving: AtomicU64,
    /// Connections in plain text from other machines, of a server that has TLS for clients.
    pub plain_remote: AtomicU64,
    /// Those from this machine.
    pub plain_local: AtomicU64,
}

impl TlsCounters {
    /// Counts a connection in plain text.
    pub fn note_plain(&self, address: SocketAddr) {
        let is_local = address.ip().to_canonical().is_loopback();
        if is_local { &self.plain_local } else { &self.plain_remote }.fetch_add(1, Relaxed);
    }
}

/// Judgements on the names that clients send with the scheme `ensemble`.
#[derive(Debug, Default)]
pub struct EnsembleNames {
    /// One of those configured.
    pub known: AtomicU64,
    /// Another.
    pub unknown: AtomicU64,
    /// There was nothing to compare.
    pub skipped: AtomicU64,
}

/// Latencies by the kind of request, milliseconds.
#[derive(Clone, Debug, Default)]
pub struct Latencies {
    /// Of all requests.
    pub all: Summary,
    /// Of those that take no zxid.
    pub reads: Percentiles,
    /// Of those that do.
    pub updates: Percentiles,
}

impl Latencies {
    /// Counts one request.
    pub fn add(&mut self, took_ms: u64, is_update: bool) {
        self.all.add(took_ms);
        if is_update { self.updates.add(took_ms) } else { self.reads.add(took_ms) }
    }

    /// Counts requests that were answered at once.
    pub fn add_instant_reads(&mut self, count: u64) {
        self.all.merge(&Summary { min: 0, max: 0, sum: 0, count });
        self.reads.add_many(0, count);
    }
}

/// What a frame to a client is, for the figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// An answer to a request.
    Answer,
    /// An answer to a ping, whose bytes Java does not sum up.
    Pong,
    /// An event.
    Event,
}

/// Sizes of what was sent to clients, bytes without the length before each frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Responses {
    /// Of answers and events.
    pub sizes: Summary,
    /// Of the last of them.
    pub last: u64,
    /// All answers together.
    pub answer_bytes: u64,
    /// All events together.
    pub event_bytes: u64,
}

impl Responses {
    /// Counts a frame.
    pub fn add(&mut self, bytes: u64, sent: Sent) {
        self.sizes.add(bytes);
        self.last = bytes;
        match sent {
            Sent::Answer => self.answer_bytes += bytes,
            Sent::Pong => (),
            Sent::Event => self.event_bytes += bytes,
        }
    }

    /// Counts what another has counted since.
    pub fn merge(&mut self, later: &Responses) {
        if later.sizes.count > 0 {
            self.last = later.last;
        }
        self.sizes.merge(&later.sizes);
        self.answer_bytes += later.answer_bytes;
        self.event_bytes += later.event_bytes;
    }
}

impl ServerCounters {
    /// What Java's server counts by itself, and no metrics provider.
    pub fn reset_stats(&self) {
        self.received.store(0, Relaxed);
        self.sent.store(0, Relaxed);
        self.latency.lock().all = Summary::default();
        let mut responses = self.responses.lock();
        (responses.sizes, responses.last) = (Summary::default(), 0);
    }

    /// What `srst` resets: all but what is going on at the moment.
    pub fn reset(&self) {
        for counter in [
            &self.received,
            &self.received_bytes,
            &self.sent,
            &self.connections_rejected,
            &self.connect_requests,
            &self.resumptions,
            &self.clients_gone,
            &self.sessionless_expired,
            &self.sessions_expired,
            &self.digest_mismatches,
            &self.stale_replies,
            &self.sasl_authenticated,
            &self.sasl_refused.count,
            &self.member_sasl.authenticated,
            &self.member_sasl.refused,
            &self.ensemble_names.known,
            &self.ensemble_names.unknown,
            &self.ensemble_names.skipped,
            &self.tls.unsuccessful,
            &self.tls.exceeded,
            &self.tls.auth_failed,
            &self.tls.not_serving,
            &self.tls.plain_remote,
            &self.tls.plain_local,
            &self.insecure_admin,
            &self.http_handshakes.count,
            &self.http_requests.count,
            &self.probes.count,
            &self.clients.count,
            &self.servers_refused,
        ] {
            counter.store(0, Relaxed);
        }
        self.operations.reset();
        *self.token_deficit.lock() = Percentiles::default();
        *self.latency.lock() = Latencies::default();
        self.reads_by_namespace.lock().reset();
        *self.responses.lock() = Responses::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_and_events_are_told_apart() {
        let mut responses = Responses::default();
        let mut later = Responses::default();
        responses.add(16, Sent::Answer);
        responses.add(16, Sent::Pong);
        later.add(40, Sent::Event);
        later.add(22, Sent::Answer);
        responses.merge(&later);
        responses.merge(&Responses::default());
        assert_eq!((responses.answer_bytes, responses.event_bytes, responses.last), (38, 40, 22));
        assert_eq!((responses.sizes.min, responses.sizes.max, responses.sizes.count), (16, 40, 4));
    }
}
