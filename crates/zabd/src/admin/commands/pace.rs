//! How often a snapshot may be asked for, or restored: counted as by Java, and whoever may waits for those before him.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use http::StatusCode;
use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;

use super::Reply;

/// Whether a command may be given at all, and now.
#[derive(Debug)]
pub struct Gate {
    /// The command, as a log line begins.
    command: &'static str,
    is_allowed: bool,
    /// Whether a snapshot says which transaction it is as of; without that, one that is sent says too little.
    has_last_zxid: bool,
    pace: Pace,
}

impl Gate {
    /// As configured.
    pub fn new(command: &'static str, is_allowed: bool, has_last_zxid: bool, pace: Pace) -> Self {
        Self { command, is_allowed, has_last_zxid, pace }
    }

    /// What is answered if the command is switched off.
    pub fn is_open(&self) -> Result<(), Reply> {
        let Self { command, is_allowed, has_last_zxid, .. } = self;
        if !is_allowed {
            tracing::warn!("{command} command is disabled");
            return Err(Reply::status(StatusCode::SERVICE_UNAVAILABLE));
        }
        if !has_last_zxid {
            tracing::warn!("{command} command requires serializeLastProcessedZxidEnable flag is set to true");
            return Err(Reply::status(StatusCode::INTERNAL_SERVER_ERROR));
        }
        Ok(())
    }

    /// What is answered, and counted, if it comes too early.
    pub fn admit(&self, rate_limited: &AtomicU64) -> Result<(), Reply> {
        self.pace.admit().map_err(|early| {
            rate_limited.fetch_add(1, Relaxed);
            tracing::warn!(
                "{} request was rate limited: the next one may come in {}ms, by admin.rateLimiterIntervalInMS",
                self.command,
                early.ms
            );
            early.reply()
        })
    }
}

/// One in each interval. The first interval begins with the server, each later one with the first who asks behind its end: two who
/// ask on both sides of an end may follow each other closely.
#[derive(Debug)]
pub struct Pace {
    interval_ms: u64,
    zero: Instant,
    interval: Mutex<Interval>,
}

#[derive(Debug)]
struct Interval {
    began_ms: u64,
    is_free: bool,
}

impl Pace {
    /// Nobody has asked yet. An interval ends when the clock shows the next millisecond, as in Java; one of none with the next one.
    pub fn new(interval_ms: u64) -> Self {
        let interval = Mutex::new(Interval { began_ms: 0, is_free: true });
        Self { interval_ms, zero: Instant::now(), interval }
    }

    /// Takes this one, or says how long it is too early.
    fn admit(&self) -> Result<(), TooEarly> {
        self.admit_at(self.zero.elapsed().as_millis() as u64)
    }

    fn admit_at(&self, now_ms: u64) -> Result<(), TooEarly> {
        let mut interval = self.interval.lock();
        let next_ms = interval.began_ms.saturating_add(self.interval_ms).saturating_add(1);
        if next_ms <= now_ms {
            *interval = Interval { began_ms: now_ms, is_free: true };
        }
        let is_free = std::mem::replace(&mut interval.is_free, false);
        if is_free { Ok(()) } else { Err(TooEarly { ms: next_ms.saturating_sub(now_ms) }) }
    }
}

/// When another one may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooEarly {
    /// In so many milliseconds.
    pub ms: u64,
}

impl TooEarly {
    /// The answer: Java's, and behind which pause to ask again. Java's body has no word about it.
    pub fn reply(self) -> Reply {
        let seconds = self.ms.div_ceil(1000).to_string();
        Reply { headers: vec![(RETRY_AFTER, seconds)], ..Reply::status(StatusCode::TOO_MANY_REQUESTS) }
    }
}

const RETRY_AFTER: &str = "retry-after";

/// Snapshots are taken and restored one after the other, as in Java. Whoever waits for his turn keeps no thread busy: they are few,
/// and answer everybody else.
#[derive(Clone, Debug, Default)]
pub struct Turns(Arc<tokio::sync::Mutex<()>>);

/// As long as somebody holds it, nobody else has one.
#[derive(Debug)]
pub struct Turn {
    _guard: OwnedMutexGuard<()>,
}

impl Turns {
    /// Waits for those before.
    pub async fn next(&self) -> Turn {
        Turn { _guard: Arc::clone(&self.0).lock_owned().await }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(interval_ms: u64, asked_ms: &[u64]) -> Vec<bool> {
        let pace = Pace::new(interval_ms);
        asked_ms.iter().map(|now| pace.admit_at(*now).is_ok()).collect()
    }

    #[test]
    fn one_is_admitted_in_each_interval_of_javas() {
        assert_eq!(admitted(0, &[0, 0, 1, 1, 2]), [true, false, true, false, true]);
        assert_eq!(admitted(100, &[99, 100, 101, 102, 201, 202]), [true, false, true, false, false, true]);
        assert_eq!(admitted(u64::MAX, &[5, u64::MAX - 1]), [true, false]);
    }

    #[test]
    fn whoever_comes_too_early_is_told_when_to_come_again() {
        let pace = Pace::new(1500);
        pace.admit_at(0).unwrap();
        for (now_ms, ms, seconds) in [(0, 1501, "2"), (502, 999, "1"), (1500, 1, "1")] {
            let early = pace.admit_at(now_ms).unwrap_err();
            assert_eq!(early, TooEarly { ms });
            assert_eq!(early.reply().headers, [(RETRY_AFTER, seconds.to_owned())]);
        }
        pace.admit_at(1501).unwrap();
    }
}
