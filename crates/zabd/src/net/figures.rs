//! Figures that operators ask for: kept where the work is done, read when somebody asks.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;
use zabd_replica::traffic::Traffic;

/// A smallest, largest, sum and count, as Java's `AvgMinMaxCounter`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// 0 while there is no sample.
    pub min: u64,
    /// 0 while there is no sample.
    pub max: u64,
    /// Of all samples.
    pub sum: u64,
    /// How many samples.
    pub count: u64,
}

impl Summary {
    /// Counts one sample.
    pub fn add(&mut self, sample: u64) {
        self.merge(&Summary { min: sample, max: sample, sum: sample, count: 1 });
    }

    /// Counts the samples of another.
    pub fn merge(&mut self, other: &Summary) {
        if other.count == 0 {
            return;
        }
        self.min = if self.count == 0 { other.min } else { self.min.min(other.min) };
        self.max = self.max.max(other.max);
        self.sum += other.sum;
        self.count += other.count;
    }

    /// 0 while there is no sample.
    pub fn average(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum as f64 / self.count as f64 }
    }
}

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
    /// When it was answered, wall-clock milliseconds.
    pub last_response_ms: i64,
    /// How long it took, milliseconds.
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
    /// The negotiated timeout, 0 before there is a session.
    pub timeout_ms: AtomicI64,
    /// The rest.
    pub figures: Mutex<ConnectionFigures>,
}

impl ConnectionCounters {
    /// Nothing counted yet.
    pub fn new(now_ms: i64) -> Self {
        Self {
            since_ms: now_ms,
            heard_ms: AtomicI64::new(now_ms),
            session: AtomicI64::new(0),
            timeout_ms: AtomicI64::new(0),
            figures: Mutex::default(),
        }
    }
}

/// What the whole server did.
#[derive(Debug, Default)]
pub struct ServerCounters {
    /// Frames from clients.
    pub received: AtomicU64,
    /// Frames to clients.
    pub sent: AtomicU64,
    /// Requests in the pipeline.
    pub in_flight: AtomicI64,
    /// Connections refused because there were too many.
    pub connections_rejected: AtomicU64,
    /// Connections closed because they never asked for a session.
    pub sessionless_expired: AtomicU64,
    /// How long requests took, milliseconds.
    pub latency: Mutex<Latencies>,
    /// What connections served by themselves, by namespace.
    pub reads_by_namespace: Mutex<Traffic>,
    /// Sizes of answers, bytes.
    pub response_bytes: Mutex<Summary>,
}

/// Latencies by the kind of request, milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Latencies {
    /// Of all requests.
    pub all: Summary,
    /// Of those that a connection served by itself.
    pub reads: Summary,
    /// Of those that went through the pipeline.
    pub pipeline: Summary,
}

impl ServerCounters {
    /// What `srst` resets.
    pub fn reset(&self) {
        self.received.store(0, Relaxed);
        self.sent.store(0, Relaxed);
        *self.latency.lock() = Latencies::default();
        *self.response_bytes.lock() = Summary::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_know_their_extremes() {
        let mut summary = Summary::default();
        assert!(summary.average().abs() < f64::EPSILON);
        for sample in [3, 1, 5] {
            summary.add(sample);
        }
        assert_eq!(summary, Summary { min: 1, max: 5, sum: 9, count: 3 });
        assert!((summary.average() - 3.0).abs() < f64::EPSILON);
    }
}
