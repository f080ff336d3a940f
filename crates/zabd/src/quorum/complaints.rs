//! Why connections of other servers are closed, told so that it is found and drowns nothing: whoever should not be there may
//! come again at once, for ever.

use std::fmt::Display;
use std::time::Instant;

use parking_lot::Mutex;

use crate::alarm::Alarms;

/// What was told: of which machine, and why, but for the numbers in it.
#[derive(Debug, Default)]
pub(super) struct Complaints(Mutex<Alarms<(String, String)>>);

impl Complaints {
    /// Tells why the connection of this address to this port is closed, of each machine once a minute.
    pub(super) fn tell(&self, port: &str, address: &str, why: &(impl Display + ?Sized)) {
        let machine = address.rsplit_once(':').map_or(address, |(host, _)| host).to_owned();
        let why = why.to_string();
        let kind = why.chars().filter(|each| !each.is_ascii_digit()).collect();
        self.0.lock().ring(Instant::now(), (machine, kind), || {
            tracing::warn!("Closing the connection of {address} to the {port} port: {why}");
        });
    }
}
