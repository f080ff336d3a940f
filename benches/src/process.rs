//! What a server costs: CPU time and memory of one process, as Linux accounts for it in `/proc`.

use std::io;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};

/// One look at a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// User and system time of all its threads, dead ones included, since it started.
    pub cpu: Duration,
    /// Resident memory now, in bytes.
    pub rss_bytes: u64,
    /// The most resident memory it ever had, in bytes.
    pub rss_peak_bytes: u64,
}

/// A process that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process(Pid);

impl Process {
    /// The process with this id.
    pub fn new(pid: u32) -> io::Result<Self> {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
        pid.map(Self).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "0 is not a process"))
    }

    /// The process that measures.
    pub fn this() -> Self {
        Self(rustix::process::getpid())
    }

    /// CPU time and memory up to now.
    pub fn usage(self) -> io::Result<Usage> {
        let folder = format!("/proc/{}", self.0.as_raw_nonzero());
        let stat = std::fs::read_to_string(format!("{folder}/stat"))?;
        let status = std::fs::read_to_string(format!("{folder}/status"))?;
        let bad = || io::Error::new(io::ErrorKind::InvalidData, format!("{folder} is not as expected"));
        Ok(Usage {
            cpu: cpu_of_stat(&stat, rustix::param::clock_ticks_per_second()).ok_or_else(bad)?,
            rss_bytes: kib_of_status(&status, "VmRSS:").ok_or_else(bad)? * 1024,
            rss_peak_bytes: kib_of_status(&status, "VmHWM:").ok_or_else(bad)? * 1024,
        })
    }

    /// CPU time up to now.
    pub fn cpu(self) -> io::Result<Duration> {
        self.usage().map(|usage| usage.cpu)
    }

    /// What several processes used together.
    pub fn usage_of_all(all: &[Self]) -> io::Result<Usage> {
        let mut sum = Usage::default();
        for process in all {
            let usage = process.usage()?;
            sum.cpu += usage.cpu;
            sum.rss_bytes += usage.rss_bytes;
            sum.rss_peak_bytes += usage.rss_peak_bytes;
        }
        Ok(sum)
    }

    /// Sends a signal.
    pub fn signal(self, signal: Signal) -> io::Result<()> {
        Ok(kill_process(self.0, signal)?)
    }
}

/// Fields 14 and 15 of `/proc/PID/stat`; the name in field 2 may hold spaces and parentheses.
fn cpu_of_stat(stat: &str, ticks_per_second: u64) -> Option<Duration> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    let mut fields = behind_name.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_secs_f64((user + system) as f64 / ticks_per_second as f64))
}

fn kib_of_status(status: &str, key: &str) -> Option<u64> {
    let line = status.lines().find(|line| line.starts_with(key))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Raises this process's limit on open files, which its children inherit, as far as the system lets it;
/// returns the limit.
pub fn raise_open_files() -> io::Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    Ok(limit.maximum.unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_is_user_and_system_ticks_behind_any_name() {
        let stat = "42 (a b) (c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 5 0 100 0 0";
        assert_eq!(cpu_of_stat(stat, 100), Some(Duration::from_secs(2)));
        assert_eq!(cpu_of_stat("42 (short) S 1", 100), None);
    }

    #[test]
    fn memory_is_read_by_its_key() {
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        assert_eq!(kib_of_status(status, "VmRSS:"), Some(1024));
        assert_eq!(kib_of_status(status, "VmHWM:"), Some(2048));
        assert_eq!(kib_of_status(status, "VmSwap:"), None);
    }

    #[test]
    fn this_process_has_memory_and_spends_cpu() {
        let this = Process::this();
        assert_eq!(Process::new(std::process::id()).unwrap(), this);
        let before = this.usage().unwrap();
        assert!(0 < before.rss_bytes);
        let mut spin = 0u64;
        while this.cpu().unwrap() <= before.cpu + Duration::from_millis(20) {
            spin = std::hint::black_box(spin.wrapping_add(1));
        }
    }
}
