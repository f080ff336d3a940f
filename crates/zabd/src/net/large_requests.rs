//! `largeRequestThreshold` and `largeRequestMaxBytes`: what all long requests in flight may hold together.
//!
//! Follows `ZooKeeperServer.checkRequestSizeWhenReceivingMessage`: a frame above the threshold takes its length off the
//! allowance until it is answered; where it does not fit, its connection is closed without an answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The allowance of a server.
#[derive(Debug)]
pub struct LargeRequests {
    /// `None`: no request is large.
    threshold_bytes: Option<u64>,
    bytes_max: u64,
    bytes: AtomicU64,
    rejected: AtomicU64,
}

/// The request does not fit into what is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMuch;

/// What a large request in flight holds, until it is dropped.
#[derive(Debug)]
pub struct Held {
    allowance: Arc<LargeRequests>,
    bytes: u64,
}

impl LargeRequests {
    /// Requests longer than `threshold_bytes` may have `bytes_max` together.
    pub fn new(threshold_bytes: Option<u32>, bytes_max: u32) -> Self {
        Self {
            threshold_bytes: threshold_bytes.map(u64::from),
            bytes_max: u64::from(bytes_max),
            bytes: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
        }
    }

    /// Takes what a frame of `length` bytes needs; nothing if it is not large.
    pub fn take(self: &Arc<Self>, length: usize) -> Result<Option<Held>, TooMuch> {
        let bytes = length as u64;
        if self.threshold_bytes.is_none_or(|threshold| bytes <= threshold) {
            return Ok(None);
        }
        let fits = |held: u64| (held + bytes <= self.bytes_max).then_some(held + bytes);
        if self.bytes.fetch_update(Relaxed, Relaxed, fits).is_err() {
            self.rejected.fetch_add(1, Relaxed);
            return Err(TooMuch);
        }
        Ok(Some(Held { allowance: self.clone(), bytes }))
    }

    /// Requests that did not fit.
    pub fn rejected(&self) -> u64 {
        self.rejected.load(Relaxed)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.allowance.bytes.fetch_sub(self.bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_requests_share_an_allowance() {
        let allowance = Arc::new(LargeRequests::new(Some(100), 250));
        assert!(matches!(allowance.take(100), Ok(None)), "the threshold itself is not large");
        let first = allowance.take(101).unwrap();
        let second = allowance.take(149).unwrap();
        assert!(first.is_some() && second.is_some());
        assert_eq!(allowance.take(101).unwrap_err(), TooMuch);
        drop(first);
        assert!(allowance.take(101).unwrap().is_some());
        assert_eq!(allowance.take(251).unwrap_err(), TooMuch, "alone, and still too much");
        assert_eq!(allowance.rejected(), 2);
    }

    #[test]
    fn without_a_threshold_nothing_is_large() {
        let allowance = Arc::new(LargeRequests::new(None, 1));
        assert!(matches!(allowance.take(1 << 20), Ok(None)));
    }
}
