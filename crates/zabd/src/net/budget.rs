//! What all clients together may make the server keep, of one kind: a sum, a bound, and who is closed above it.
//!
//! ```text
//! 0 ───────────────────────────── bytes_max ─────────►
//!                                  the worst are closed, until three quarters are left
//! ```
//!
//! Whoever keeps more, or less, says so ([`Budget::add`]) and looks afterwards whether it is too much
//! ([`Budget::is_too_much`]); who is the worst is the business of each kind.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicIsize, AtomicUsize};

/// See the module's description.
#[derive(Debug)]
pub struct Budget {
    /// What all clients may keep as a rule.
    configured: usize,
    /// What they may keep now: less, while memory is nearly used up.
    bytes_max: AtomicUsize,
    /// The sum over all clients. Below zero for a moment, when less is kept before it was said that there is more.
    bytes: AtomicIsize,
    /// Above this, clients are closed. At least `bytes_max`; higher while what closed ones kept is still on its way back.
    close_at: AtomicUsize,
}

impl Budget {
    /// All clients may keep so much.
    pub fn new(bytes_max: usize) -> Self {
        let (now, close_at) = (AtomicUsize::new(bytes_max), AtomicUsize::new(bytes_max));
        Self { configured: bytes_max, bytes_max: now, bytes: AtomicIsize::new(0), close_at }
    }

    /// What all clients may keep now.
    pub fn bytes_max(&self) -> usize {
        self.bytes_max.load(Relaxed)
    }

    /// They may keep only so much for now, or as much as ever.
    pub fn narrow(&self, bytes_max: Option<usize>) {
        let bytes_max = bytes_max.map_or(self.configured, |bytes_max| bytes_max.min(self.configured));
        self.bytes_max.store(bytes_max, Relaxed);
        self.close_at.store(bytes_max, Relaxed);
    }

    /// How much there is.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Relaxed).max(0) as usize
    }

    /// What is kept for clients has become more, or less.
    pub fn add(&self, change: isize) {
        self.bytes.fetch_add(change, Relaxed);
    }

    /// Whether clients must be closed: to be asked after something was added, without any client's lock.
    pub fn is_too_much(&self) -> bool {
        let (bytes, bytes_max) = (self.bytes(), self.bytes_max());
        if bytes <= bytes_max {
            if self.close_at.load(Relaxed) != bytes_max {
                self.close_at.store(bytes_max, Relaxed);
            }
            return false;
        }
        bytes > self.close_at.load(Relaxed)
    }

    /// Those of `kept`, the worst first, that must go.
    pub fn worst<T>(&self, kept: Vec<(usize, T)>) -> impl Iterator<Item = (usize, T)> {
        let enough = self.bytes_max() / 4 * 3;
        let mut left: usize = kept.iter().map(|(bytes, _)| bytes).sum();
        kept.into_iter().take_while(move |(bytes, _)| {
            let must_go = left > enough;
            left -= bytes;
            must_go
        })
    }

    /// The worst were told to go. What they keep is freed by their own threads; until then the next look waits for some
    /// more, since to look at all clients for every change would cost more than the change.
    pub fn note_closed(&self) {
        self.close_at.store(self.bytes() + self.bytes_max() / 8, Relaxed);
    }
}
