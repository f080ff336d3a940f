//! How often a snapshot may be asked for, or restored: counted as by Java, and whoever may waits for those before him.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;

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

    /// Whether this one is not too many.
    pub fn admits(&self) -> bool {
        self.admits_at(self.zero.elapsed().as_millis() as u64)
    }

    fn admits_at(&self, now_ms: u64) -> bool {
        let mut interval = self.interval.lock();
        if now_ms > interval.began_ms.saturating_add(self.interval_ms) {
            *interval = Interval { began_ms: now_ms, is_free: true };
        }
        std::mem::replace(&mut interval.is_free, false)
    }
}

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
        asked_ms.iter().map(|now| pace.admits_at(*now)).collect()
    }

    #[test]
    fn one_is_admitted_in_each_interval_of_javas() {
        assert_eq!(admitted(0, &[0, 0, 1, 1, 2]), [true, false, true, false, true]);
        assert_eq!(admitted(100, &[99, 100, 101, 102, 201, 202]), [true, false, true, false, false, true]);
        assert_eq!(admitted(u64::MAX, &[5, u64::MAX]), [true, false]);
    }
}
