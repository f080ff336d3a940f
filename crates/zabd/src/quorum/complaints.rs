//! Why connections of other servers are closed, told so that it is found and drowns nothing: whoever should not be there may
//! come again at once, for ever.

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use parking_lot::Mutex;

use crate::alarm::OfMachines;
use crate::net::ServerCounters;

/// What was told: of which machine, and why, but for the numbers in it.
#[derive(Debug)]
pub(super) struct Complaints {
    told: Mutex<OfMachines<String>>,
    counters: Arc<ServerCounters>,
}

impl Complaints {
    /// None yet; they are counted there.
    pub(super) fn new(counters: Arc<ServerCounters>) -> Self {
        Self { told: Mutex::default(), counters }
    }

    /// Counts a connection that is closed, and tells why that of this address to this port is, of each machine once a minute.
    pub(super) fn tell(&self, port: &str, address: &str, why: &(impl Display + ?Sized)) {
        self.counters.servers_refused.fetch_add(1, Relaxed);
        let machine = address.rsplit_once(':').map_or(address, |(host, _)| host).to_owned();
        let why = why.to_string();
        self.told.lock().ring(Instant::now(), machine, &why, || {
            tracing::warn!("Closing the connection of {address} to the {port} port: {why}");
        });
    }

    /// Tells that this connection stays although its other side has not shown who it is, of each machine once a minute.
    pub(super) fn tell_overlooked(&self, port: &str, address: &str, why: &str) {
        let machine = address.rsplit_once(':').map_or(address, |(host, _)| host).to_owned();
        self.told.lock().ring(Instant::now(), machine, &format!("overlooked: {why}"), || {
            tracing::warn!(
                "Maintaining the connection of {address} to the {port} port, as quorum.auth.serverRequireSasl=false: {why}"
            );
        });
    }

    /// Tells once a minute at which address a leader, or who stands for it, was looked for, and what came of it.
    pub(super) fn tell_unreached(&self, whom: &str, problem: &str) {
        self.told.lock().ring(Instant::now(), problem.to_owned(), "", || {
            tracing::warn!(
                "Cannot connect to the {whom} at {problem}; hint: if that server runs, it listens at another port than this one is told"
            );
        });
    }
}
