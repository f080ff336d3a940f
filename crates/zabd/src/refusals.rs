//! Whom a port turns away for what came or did not come: each is counted, and has a line in the log with who and why.
//!
//! Strangers decide how often that happens and with which bytes. So each machine is told of once a minute for each reason, and
//! what was sent is in no line: it may be a password.

use std::net::IpAddr;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use parking_lot::Mutex;

use crate::alarm::OfMachines;

/// See the module's description.
#[derive(Debug, Default)]
pub struct Refusals {
    /// How many there were, told or not.
    pub count: AtomicU64,
    told: Mutex<OfMachines<IpAddr>>,
}

impl Refusals {
    /// Counts one, and tells it.
    pub fn note(&self, machine: IpAddr, why: &str, tell: impl FnOnce()) {
        self.count.fetch_add(1, Relaxed);
        self.tell(machine, why, tell);
    }

    /// Tells one that is counted elsewhere, unless this machine was told of for the same reason less than a minute ago.
    pub fn tell(&self, machine: IpAddr, why: &str, tell: impl FnOnce()) {
        self.told.lock().ring(Instant::now(), machine.to_canonical(), why, tell);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_counted_and_told_once_a_minute_for_each_machine_and_reason() {
        let refusals = Refusals::default();
        let mut told = Vec::new();
        for (machine, why) in [
            ("10.0.0.1", "slow"),
            ("10.0.0.1", "slow"),
            ("::ffff:10.0.0.1", "slow"),
            ("10.0.0.1", "long"),
            ("10.0.0.2", "slow"),
        ] {
            refusals.note(machine.parse().unwrap(), why, || told.push((machine, why)));
        }
        assert_eq!(told, [("10.0.0.1", "slow"), ("10.0.0.1", "long"), ("10.0.0.2", "slow")]);
        assert_eq!(refusals.count.load(Relaxed), 5);
    }
}
