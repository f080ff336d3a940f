//! Why connections of other servers are closed, told so that it is found and drowns nothing: whoever should not be there may
//! come again at once, for ever.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use zabd_jute::ServerId;

use super::tls::Unreached;
use crate::alarm::{Alarm, OfMachines};
use crate::net::ServerCounters;

/// What was told: of which machine, and why, but for the numbers in it.
#[derive(Debug)]
pub(super) struct Complaints {
    told: Mutex<OfMachines<String>>,
    in_vain: Mutex<InVain>,
    counters: Arc<ServerCounters>,
}

impl Complaints {
    /// None yet; they are counted there.
    pub(super) fn new(counters: Arc<ServerCounters>) -> Self {
        Self { told: Mutex::default(), in_vain: Mutex::default(), counters }
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

    /// Tells once a minute at which address a leader, or who stands for it, is looked for in vain; `is_heard` is whether there is a
    /// connection with its election port.
    pub(super) fn tell_unreached(
        &self,
        whom: Whom,
        server: ServerId,
        unreached: &Unreached,
        is_heard: bool,
        now: Instant,
    ) {
        if !self.in_vain.lock().lasts(server, now) {
            return;
        }
        let Unreached { problem, has_answered } = unreached;
        self.told.lock().ring(now, problem.clone(), "", || match hint(whom, server, is_heard) {
            Some(hint) if !has_answered => {
                tracing::warn!("Cannot connect to the {whom} at {problem}; hint: {hint}");
            }
            _ => tracing::warn!("Cannot connect to the {whom} at {problem}"),
        });
    }

    /// Whom this server looked for is reached.
    pub(super) fn note_reached(&self, server: ServerId) {
        self.in_vain.lock().forget(server);
    }
}

/// Whom a learner dials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whom {
    /// The one that is elected.
    Leader,
    /// A follower that serves observers.
    ObserverMaster,
}

impl Display for Whom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Whom::Leader => "leader",
            Whom::ObserverMaster => "observer master",
        })
    }
}

/// What to look at. Of a leader that is not heard either, nothing is known: it may have ended, and another one be elected.
fn hint(whom: Whom, server: ServerId, is_heard: bool) -> Option<String> {
    match whom {
        Whom::Leader => is_heard.then(|| {
            format!(
                "server {server} runs and its election port is reached; there must be a line server.{server}=HOST:QUORUM:ELECTION \
                 here, in which QUORUM is the port in its own zoo.cfg, and nothing in between, as a firewall, may keep this server \
                 from it"
            )
        }),
        Whom::ObserverMaster => is_heard.then(|| {
            format!("server {server} runs and its election port is reached; observerMasterPort must be the same in its zoo.cfg as here")
        }),
    }
}

/// How long a server is dialled in vain before that is told: one that ends may be looked for until that is known.
const IN_VAIN: Duration = Duration::from_secs(1);
/// Who was not dialled for so long was found, or another one was.
const FORGOTTEN: Duration = Duration::from_secs(10);

/// Servers that are dialled and not reached.
#[derive(Debug, Default)]
struct InVain(BTreeMap<ServerId, Span>);

#[derive(Debug)]
struct Span {
    since: Instant,
    newest: Instant,
}

impl InVain {
    /// A dial has failed: whether it does for a while already.
    fn lasts(&mut self, server: ServerId, now: Instant) -> bool {
        self.0.retain(|_, span| now < span.newest + FORGOTTEN);
        let span = self.0.entry(server).or_insert(Span { since: now, newest: now });
        span.newest = now;
        now >= span.since + IN_VAIN
    }

    fn forget(&mut self, server: ServerId) {
        self.0.remove(&server);
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

    /// Each second of a leader that is dialled several times a second; it ends and comes back, or it is never there.
    #[test]
    fn a_leader_that_leaves_is_not_looked_for_long_enough_to_be_told_of() {
        let (mut in_vain, begin) = (InVain::default(), Instant::now());
        let mut lasts = |ms, id| in_vain.lasts(ServerId(id), begin + Duration::from_millis(ms));
        assert!((0..1000).step_by(100).all(|ms| !lasts(ms, 3)), "another one is elected by then");
        assert!(!lasts(1000, 2), "which ends as well");
        assert!(lasts(1000, 3) && lasts(2000, 2));
        assert!(!lasts(60_000, 3), "it was the leader for long in between");
        assert!(!lasts(61_000, 2));
        in_vain.forget(ServerId(2));
        let again = begin + Duration::from_millis(62_500);
        assert!(!in_vain.lasts(ServerId(2), again));
    }

    #[test]
    fn only_of_who_is_heard_it_is_known_that_it_runs() {
        assert_eq!(hint(Whom::Leader, ServerId(3), false), None);
        assert!(
            hint(Whom::Leader, ServerId(3), true)
                .unwrap()
                .contains("a line server.3=HOST:QUORUM:ELECTION here")
        );
        assert!(hint(Whom::ObserverMaster, ServerId(3), true).unwrap().contains("observerMasterPort"));
    }
}
