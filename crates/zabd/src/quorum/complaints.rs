//! Why connections of other servers are closed, told so that it is found and drowns nothing: whoever should not be there may
//! come again at once, for ever.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use zabd_jute::ServerId;

use crate::alarm::{Alarm, OfMachines};
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

    /// Tells why a connection that this server has made to this port of another one ends at once, of each machine once a minute.
    pub(super) fn tell_refused(&self, port: &str, address: &str, why: &str) {
        let machine = address.rsplit_once(':').map_or(address, |(host, _)| host).to_owned();
        self.told.lock().ring(Instant::now(), machine, &format!("refused: {why}"), || {
            tracing::warn!("Closing the connection that was made to the {port} port {address}: {why}");
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

/// So many replaced connections of one server, within this time, are two servers'.
const REPLACED_MAX: usize = 3;
const REPLACED_WITHIN: Duration = Duration::from_mins(1);

/// Members whose connections replace each other.
#[derive(Debug, Default)]
pub(super) struct Twins(BTreeMap<ServerId, Replacements>);

#[derive(Debug, Default)]
struct Replacements {
    newest: Vec<Instant>,
    alarm: Alarm,
}

impl Twins {
    /// A connection of this member has been replaced: whether two servers have its id, and that is to be told.
    pub(super) fn are_seen(&mut self, server: ServerId, now: Instant) -> bool {
        let Replacements { newest, alarm } = self.0.entry(server).or_default();
        newest.retain(|seen| now < *seen + REPLACED_WITHIN);
        newest.push(now);
        if newest.len() < REPLACED_MAX {
            return false;
        }
        newest.remove(0);
        let mut is_told = false;
        alarm.ring(now, || is_told = true);
        is_told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The seconds in which two servers are told of, if connections of one id are replaced in these.
    fn told(replaced: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let (mut twins, begin) = (Twins::default(), Instant::now());
        let is_told = |s: &u64| twins.are_seen(ServerId(2), begin + Duration::from_secs(*s));
        replaced.into_iter().filter(is_told).collect()
    }

    #[test]
    fn two_servers_of_one_id_are_told_of_once_a_minute() {
        assert_eq!(told(0..130), [2, 62, 122]);
    }

    #[test]
    fn a_network_that_loses_the_end_of_a_connection_now_and_then_is_no_second_server() {
        assert_eq!(told((0..600).step_by(40)), [0_u64; 0]);
    }
}
