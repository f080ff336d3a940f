//! `snapshot`: a snapshot is taken and, unless `streaming=false`, sent as it is on the disk. `restore`: not yet.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use http::StatusCode;
use parking_lot::{Mutex, MutexGuard};
use zabd_config::AdminConfig;
use zabd_storage::layout;

use super::{Call, Reply, field};
use crate::launch::with_causes;
use crate::snapshotter::Snapshotter;

/// Where snapshots are made for whoever asks, and how often.
pub struct Snapshots {
    snapshotter: Snapshotter,
    is_allowed: bool,
    /// Whether a snapshot says which transaction it is as of; without that, one that is sent says too little.
    has_last_zxid: bool,
    pace: Pace,
}

/// One at a time, and one in each interval: whoever waits for a snapshot holds a thread that answers others.
#[derive(Default)]
struct Pace {
    interval: Duration,
    last: Mutex<Option<Instant>>,
}

impl Pace {
    /// The turn, as long as it is held, if it is time for one.
    fn turn(&self) -> Option<MutexGuard<'_, Option<Instant>>> {
        let mut last = self.last.try_lock()?;
        if last.is_some_and(|last| last.elapsed() <= self.interval) {
            return None;
        }
        *last = Some(Instant::now());
        Some(last)
    }
}

impl Snapshots {
    /// As configured.
    pub fn new(config: &AdminConfig, has_last_zxid: bool, snapshotter: Snapshotter) -> Self {
        Self {
            snapshotter,
            is_allowed: config.snapshot_enabled,
            has_last_zxid,
            // Java takes the number for microseconds here.
            pace: Pace {
                interval: Duration::from_millis(config.rate_limit_interval_ms / 1000),
                last: Mutex::default(),
            },
        }
    }
}

pub(super) fn take(call: &Call<'_>) -> Reply {
    let Call { server, snapshots, .. } = call;
    if !snapshots.is_allowed {
        tracing::warn!("Snapshot command is disabled");
        return Reply::status(StatusCode::SERVICE_UNAVAILABLE);
    }
    if !snapshots.has_last_zxid {
        tracing::warn!("Snapshot command requires serializeLastProcessedZxidEnable flag is set to true");
        return Reply::status(StatusCode::INTERNAL_SERVER_ERROR);
    }
    let Some(_turn) = snapshots.pace.turn() else {
        server.snapshots.rate_limited.fetch_add(1, Relaxed);
        tracing::warn!("Snapshot request was rate limited");
        return Reply::status(StatusCode::TOO_MANY_REQUESTS);
    };
    let failed = |why: &str| {
        tracing::warn!("Cannot take a snapshot by command: {why}");
        Reply::status(StatusCode::INTERNAL_SERVER_ERROR)
    };
    let path = match snapshots.snapshotter.take() {
        Ok(Some(path)) => path,
        Ok(None) => return failed("this server has come to show other data meanwhile"),
        Err(error) => return failed(&with_causes(&error)),
    };
    let opened = std::fs::File::open(&path).and_then(|file| Ok((file.metadata()?.len(), file)));
    let (bytes, file) = match opened {
        Ok(opened) => opened,
        Err(error) => return failed(&error.to_string()),
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let zxid = layout::zxid_in_name(&name, "snapshot").unwrap_or_default();
    let is_streamed = call.word("streaming").is_none_or(|word| word.eq_ignore_ascii_case("true"));
    Reply {
        headers: vec![("last_zxid", format!("{zxid:#x}")), ("snapshot_size", bytes.to_string())],
        file: is_streamed.then_some(file),
        ..Reply::status(StatusCode::OK)
    }
}

/// Taking a snapshot in is not there yet, and says so rather than to take half of it.
pub(super) fn restore(_: &Call<'_>) -> Reply {
    tracing::warn!("Restore command is not there yet");
    let told = "This server cannot restore while it runs: stop it, put the snapshot into its data directory, start it";
    Reply { fields: vec![field("error", told)], ..Reply::status(StatusCode::SERVICE_UNAVAILABLE) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_taken_at_a_time_and_in_each_interval() {
        let pace = Pace::default();
        let first = pace.turn();
        assert!(first.is_some() && pace.turn().is_none(), "one at a time");
        drop(first);
        // No interval is over as soon as the clock has moved.
        while pace.turn().is_none() {}
        let slow = Pace { interval: Duration::from_hours(1), ..Pace::default() };
        drop(slow.turn().expect("the first needs no pause before it"));
        assert!(slow.turn().is_none());
    }
}
