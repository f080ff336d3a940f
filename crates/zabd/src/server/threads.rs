//! The threads that carry no connections: the log's, the sessions', the purge's and that of huge pages.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use zabd_config::Config;
use zabd_storage::disk::RealDisk;
use zabd_storage::recovery::Directories;
use zabd_storage::retention;

use super::{StopSignal, Stopped};
use crate::driver::Driver;
use crate::log_writer::LogWriter;
use crate::memory::huge_pages;
use crate::net::ServerCounters;
use crate::probes::Vitals;
use crate::ticker::{Ticker, TickerOptions};

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
}

pub(super) fn spawn_log_writer(writer: LogWriter, stop: Arc<StopSignal>) -> std::io::Result<()> {
    spawn("SyncThread:0", move || {
        let error = writer.run();
        tracing::error!("Severe unrecoverable error, exiting: {}", crate::launch::with_causes(&error));
        stop.set(Stopped::LogFailed);
    })
}

/// What goes on beside all requests, for as long as the process lives.
pub(super) fn spawn_housekeepers(
    config: &Config,
    driver: &Arc<Driver>,
    counters: &Arc<ServerCounters>,
    vitals: &Arc<Vitals>,
    directories: &Directories,
) -> std::io::Result<()> {
    spawn_ticker(config, driver.clone(), counters.clone(), vitals)?;
    spawn_purge(config, directories.clone())?;
    let growing = driver.clone();
    spawn("HugePages", move || huge_pages::watch(&growing))
}

fn spawn_ticker(
    config: &Config,
    driver: Arc<Driver>,
    counters: Arc<ServerCounters>,
    vitals: &Arc<Vitals>,
) -> std::io::Result<()> {
    let options = TickerOptions {
        sessionless_timeout_ms: i64::from(config.sessionless_timeout_ms),
        reap_interval_ms: i64::from(config.container.check_interval_ms),
        reaped_per_minute_max: i64::from(config.container.max_per_minute),
        never_used_interval_ms: config.container.max_never_used_interval_ms.map_or(0, |ms| ms as i64),
    };
    let pulse = vitals.pulse("SessionTracker");
    spawn("SessionTracker", move || Ticker { driver, counters, options, pulse }.run())
}

/// Removes what is not needed any more, at once and then every few hours, if that is configured.
fn spawn_purge(config: &Config, directories: Directories) -> std::io::Result<()> {
    let Some(hours) = config.autopurge_interval_hours else { return Ok(()) };
    let retained = config.autopurge_snap_retain_count as usize;
    spawn("PurgeTask", move || {
        loop {
            match retention::purge(&RealDisk, &directories, retained) {
                Ok(files) => tell_purged(&files),
                Err(error) => tracing::error!("Cannot purge: {}", crate::launch::with_causes(&error)),
            }
            std::thread::sleep(Duration::from_secs(u64::from(hours) * 3600));
        }
    })
}

fn tell_purged(files: &[PathBuf]) {
    for path in files {
        tracing::info!("Removing file: {}", path.display());
    }
    tracing::info!("Purge task completed, {} files removed", files.len());
}
