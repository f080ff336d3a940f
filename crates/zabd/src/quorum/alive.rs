//! What takes long and goes on is no silence.
//!
//! A packet or a snapshot may take many times `initLimit` to come or to leave, by its size and the network; checking what
//! came, or taking what is to leave, may too. While that goes on the replica is told so now and then.

use std::future::Future;
use std::time::{Duration, Instant};

use zabd_zab::effect::LinkId;
use zabd_zab::{leader, peer};

use super::{Shared, Side};

/// How often it is told; a small part of any limit.
const EVERY: Duration = Duration::from_millis(100);

/// Says of one connection that something goes on.
pub(super) struct Alive<'a> {
    shared: &'a Shared,
    link: LinkId,
    side: Side,
    due: Instant,
}

impl<'a> Alive<'a> {
    /// What begins now takes no time yet.
    pub(super) fn new(shared: &'a Shared, link: LinkId, side: Side) -> Self {
        Self { shared, link, side, due: Instant::now() + EVERY }
    }

    /// Of which.
    pub(super) fn link(&self) -> LinkId {
        self.link
    }

    /// Something else begins.
    pub(super) fn begin(&mut self) {
        self.due = Instant::now() + EVERY;
    }

    /// It goes on.
    pub(super) fn note(&mut self) {
        let now = Instant::now();
        if self.due <= now {
            self.due = now + EVERY;
            let link = self.link;
            self.shared.feed(match self.side {
                Side::Learner => peer::Input::Heard { link },
                Side::Leader | Side::ObserverMaster => peer::Input::Leader(leader::Input::Sent { link }),
            });
        }
    }

    /// Goes on for as long as this server is at work on it.
    pub(super) async fn during<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            match tokio::time::timeout(EVERY, &mut work).await {
                Ok(done) => return done,
                Err(_) => self.note(),
            }
        }
    }
}
