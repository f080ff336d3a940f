//! What operators ask a running server: the figures behind the four-letter words.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use parking_lot::Mutex;
use zabd_config::{Config, MetricsProvider};
use zabd_jute::Zxid;
use zabd_jute::client::FourLetterWord;
use zabd_jute::quorum::PeerState;
use zabd_replica::{Replica, Serving};
use zabd_storage::recovery::Directories;

use crate::admin::{self, Windows};
use crate::driver::Driver;
use crate::log_writer::LogFigures;
use crate::net::{
    ConnectionFigures, ConnectionThrottle, FourLetterAnswers, LargeRequests, Pace, RequestThrottle,
    ServerCounters,
};
use crate::ports::ClientAddresses;
use crate::recover::StartFigures;
use crate::snapshotter::SnapshotFigures;

/// What a server without a leader is that serves reads, in Java's words.
pub const READ_ONLY: &str = "read-only";

/// Everything that there is to look at.
pub struct Introspection {
    /// As configured.
    pub config: Arc<Config>,
    /// The replica, the tree, the watches, the connections.
    pub driver: Arc<Driver>,
    /// What connections count.
    pub counters: Arc<ServerCounters>,
    /// What the log writer counts.
    pub log: Arc<Mutex<LogFigures>>,
    /// What the snapshotter counts.
    pub snapshots: Arc<SnapshotFigures>,
    /// What the start took.
    pub start: Mutex<StartFigures>,
    /// Whether new sessions are let in.
    pub throttle: Arc<ConnectionThrottle>,
    /// What long requests in flight may hold.
    pub large_requests: Arc<LargeRequests>,
    /// How many requests are in the pipeline, if that is limited.
    pub request_throttle: Option<Arc<RequestThrottle>>,
    /// Where the files are.
    pub directories: Directories,
    /// The text of a lone server's zoo.cfg at the start, without its secrets.
    pub initial_config: Option<String>,
    /// Where clients are served.
    pub addresses: ClientAddresses,
    /// What `stmk` sets and `gtmk` shows; what is logged is a matter of the log level.
    pub trace_mask: AtomicU64,
    /// The last transaction that the start found: behind it nothing has been written yet.
    pub last_at_start: Zxid,
    /// Of which time Prometheus' quantiles are.
    pub windows: Windows,
    /// When the server began to serve.
    pub since: Instant,
}

impl Introspection {
    /// A moment of the server's own clock, as wall-clock milliseconds.
    pub fn wall_ms_at(&self, monotonic_ms: i64) -> i64 {
        let now = self.driver.clock.now();
        now.wall_ms - now.monotonic_ms + monotonic_ms
    }

    /// How long clients have been served in this role, in milliseconds.
    pub fn uptime_ms(&self) -> u64 {
        let since_ms = self.driver.inspect(Replica::serving_since_ms);
        let in_role_ms = since_ms.map(|since_ms| (self.driver.clock.monotonic_ms() - since_ms).max(0) as u64);
        in_role_ms.unwrap_or_else(|| self.since.elapsed().as_millis() as u64)
    }

    /// Where the epoch begins that this server leads. Operators are shown no earlier position, as by Java's leaders; what clients are
    /// told, what is voted with and what snapshots are named after stays the last transaction's.
    pub fn led_from(&self) -> Zxid {
        let status = self.driver.inspect(Replica::ensemble_status);
        let leading = status.filter(|status| status.serving == Serving::Leading);
        leading.map_or(Zxid::NONE, |status| status.epoch.first_zxid())
    }

    /// What this server is, in Java's words.
    pub fn mode(&self) -> &'static str {
        let Some(status) = self.driver.inspect(Replica::ensemble_status) else { return "standalone" };
        if status.serving == Serving::ReadOnly {
            return READ_ONLY;
        }
        match status.state {
            PeerState::Looking => "looking",
            PeerState::Following => "follower",
            PeerState::Leading => "leader",
            PeerState::Observing => "observer",
        }
    }

    /// What `srst` resets: everything that is counted since a moment. What Prometheus reads only grows.
    pub fn reset_server(&self) {
        if self.config.metrics.provider == MetricsProvider::Prometheus {
            self.counters.reset_stats();
            return self.driver.reset_proposal_sizes();
        }
        self.counters.reset();
        if let Some(throttle) = &self.request_throttle {
            throttle.figures.reset();
        }
        {
            let mut log = self.log.lock();
            *log = LogFigures { slow_syncs: log.slow_syncs, ..LogFigures::default() };
        }
        self.snapshots.reset();
        self.driver.slow.counted.store(0, Relaxed);
        *self.start.lock() = StartFigures::default();
        self.driver.reset_figures();
    }

    /// What `crst` resets.
    pub fn reset_connections(&self) {
        for client in self.driver.registry.lock().iter() {
            *client.counters.figures.lock() = ConnectionFigures::reset();
        }
    }
}

impl FourLetterAnswers for Introspection {
    fn allows(&self, word: FourLetterWord) -> bool {
        self.config.four_letter_words.allows(word.name())
    }

    fn may_be_long(&self, word: FourLetterWord) -> bool {
        admin::may_be_long(self, word)
    }

    fn pace(&self, word: FourLetterWord) -> Pace {
        admin::pace(word)
    }

    fn answer(&self, word: FourLetterWord, argument: Option<u64>) -> Vec<u8> {
        admin::answer(self, word, argument)
    }
}
