//! One at a time, and one in each interval: whoever waits for a snapshot holds a thread that answers others.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, OwnedMutexGuard};

/// See the module's description.
#[derive(Debug)]
pub struct Pace {
    interval: Duration,
    last: Arc<Mutex<Option<Instant>>>,
}

/// As long as somebody holds it, nobody else has one.
#[derive(Debug)]
pub struct Turn {
    _last: OwnedMutexGuard<Option<Instant>>,
}

impl Pace {
    /// Nobody has had a turn yet.
    pub fn new(interval: Duration) -> Self {
        Self { interval, last: Arc::default() }
    }

    /// A turn, if it is time for one.
    pub fn turn(&self) -> Option<Turn> {
        let mut last = self.last.clone().try_lock_owned().ok()?;
        if last.is_some_and(|last| last.elapsed() <= self.interval) {
            return None;
        }
        *last = Some(Instant::now());
        Some(Turn { _last: last })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_taken_at_a_time_and_in_each_interval() {
        let pace = Pace::new(Duration::ZERO);
        let first = pace.turn();
        assert!(first.is_some() && pace.turn().is_none(), "one at a time");
        drop(first);
        // No interval is over as soon as the clock has moved.
        while pace.turn().is_none() {}
        let slow = Pace::new(Duration::from_hours(1));
        drop(slow.turn().expect("the first needs no pause before it"));
        assert!(slow.turn().is_none());
    }
}
