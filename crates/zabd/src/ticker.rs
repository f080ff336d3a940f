//! The thread that knows what time it is: expiry of sessions, of silent connections, of containers and
//! TTL znodes, of patience with clients that take nothing, and the purge of old files.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use zabd_replica::{Input, Replica};

use crate::driver::{Driver, wall_ms};
use crate::net::ServerCounters;
use crate::net::java_address::shown;
use crate::probes::Pulse;

/// The longest sleep: how late a change of plan may be noticed.
const NAP_MAX_MS: i64 = 500;

/// The same while memory may run out.
const WARY_NAP_MS: i64 = 100;

/// How long a start is at work, as far as the program's pages are concerned: by then a member has found its leader as a rule, and what
/// is needed later comes back from the page cache.
const START_MS: i64 = 500;

/// What the operator configured about time.
#[derive(Clone, Copy, Debug)]
pub struct TickerOptions {
    /// How long a connection may take to ask for a session.
    pub sessionless_timeout_ms: i64,
    /// How often containers and TTL znodes are looked at.
    pub reap_interval_ms: i64,
    /// How many of them go per minute at most.
    pub reaped_per_minute_max: i64,
    /// When a container goes that never had a child; 0 is never.
    pub never_used_interval_ms: i64,
}

/// The thread's work. See the module's description.
#[derive(Debug)]
pub struct Ticker {
    /// Whose time it is.
    pub driver: Arc<Driver>,
    /// What is counted.
    pub counters: Arc<ServerCounters>,
    /// How often.
    pub options: TickerOptions,
    /// Says that it ticks.
    pub pulse: Pulse,
}

impl Ticker {
    /// Ticks for as long as the process lives.
    pub fn run(&self) {
        let mut sweep_due_ms = 0;
        let mut start_over_ms = Some(self.driver.clock.monotonic_ms() + START_MS);
        let mut reap_due_ms = self.driver.clock.monotonic_ms() + self.options.reap_interval_ms;
        let mut candidates = std::collections::VecDeque::new();
        let mut next_candidate_ms = 0;
        loop {
            self.pulse.beat();
            let now_ms = self.driver.clock.monotonic_ms();
            let expiry_ms = self.driver.inspect(Replica::next_tick_ms).unwrap_or(i64::MAX);
            if expiry_ms <= now_ms {
                self.driver.feed([Input::Tick]);
            }
            if sweep_due_ms <= now_ms {
                self.close_silent_connections(now_ms);
                crate::memory::give_back();
                self.driver.memory().iter().for_each(|memory| memory.look_after(&self.driver));
                sweep_due_ms = now_ms + 1000;
            }
            if start_over_ms.take_if(|start_over_ms| *start_over_ms <= now_ms).is_some() {
                crate::memory::give_back_program();
            }
            self.driver.registry.look_after_line(now_ms);
            if reap_due_ms <= now_ms && candidates.is_empty() {
                candidates = self.reap_candidates();
                reap_due_ms = now_ms + self.options.reap_interval_ms;
            }
            while next_candidate_ms <= now_ms
                && let Some(path) = candidates.pop_front()
            {
                self.driver.feed([Input::Reap { path }]);
                next_candidate_ms = now_ms + 60_000 / self.options.reaped_per_minute_max.max(1);
            }
            let until_expiry_ms = expiry_ms.saturating_sub(now_ms).max(1);
            let until_reap_ms = if candidates.is_empty() {
                (reap_due_ms - now_ms).max(1)
            } else {
                (next_candidate_ms - now_ms).max(1)
            };
            let mut nap_max_ms = NAP_MAX_MS;
            if let Some(memory) = self.driver.memory().filter(|memory| memory.is_wary()) {
                memory.look_after(&self.driver);
                nap_max_ms = WARY_NAP_MS;
            }
            let nap_ms = nap_max_ms.min(until_expiry_ms).min(until_reap_ms);
            std::thread::sleep(Duration::from_millis(nap_ms as u64));
        }
    }

    fn reap_candidates(&self) -> std::collections::VecDeque<String> {
        self.driver.tree().reap_candidates(wall_ms(), self.options.never_used_interval_ms).into()
    }

    /// Closes connections that never asked for a session, or whose client has been silent for longer
    /// than its session may be: the session itself is the replica's business.
    fn close_silent_connections(&self, now_ms: i64) {
        let clients = self.driver.registry.lock();
        for client in clients.iter() {
            let timeout_ms = match client.counters.timeout_ms.load(Relaxed) {
                0 => self.options.sessionless_timeout_ms,
                timeout_ms => timeout_ms,
            };
            let heard_ms = client.counters.heard_ms.load(Relaxed);
            // Java rounds the deadlines of all connections up to this.
            let bucket_ms = self.options.sessionless_timeout_ms;
            let deadline_ms = ((heard_ms + timeout_ms) / bucket_ms + 1) * bucket_ms;
            if deadline_ms <= now_ms {
                let is_sessionless = client.counters.session.load(Relaxed) == 0;
                if is_sessionless {
                    self.counters.sessionless_expired.fetch_add(1, Relaxed);
                }
                let to_wake = if is_sessionless && client.has_half_frame() {
                    let address = client.address;
                    self.counters.clients.tell(address.ip(), "half a request", || {
                        tracing::warn!(
                            "Closing the connection from {}: its request for a session has not come as a whole, and nothing more \
                             came for {}ms",
                            shown(address),
                            now_ms - heard_ms,
                        );
                    });
                    client.post_refusal()
                } else {
                    client.post_abort()
                };
                if let Some(client) = to_wake {
                    client.wake();
                }
            }
        }
    }
}
