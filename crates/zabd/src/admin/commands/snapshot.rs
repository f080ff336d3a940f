//! `snapshot`: a snapshot is taken and, unless `streaming=false`, sent as it is on the disk.

use http::StatusCode;
use zabd_config::AdminConfig;
use zabd_storage::layout;

use super::Reply;
use super::pace::{Gate, Pace, Turn, Turns};
use crate::introspect::Introspection;
use crate::launch::with_causes;
use crate::snapshotter::Snapshotter;

/// Where snapshots are made for whoever asks, and how often.
pub struct Snapshots {
    snapshotter: Snapshotter,
    gate: Gate,
    turns: Turns,
}

impl Snapshots {
    /// As configured.
    pub fn new(config: &AdminConfig, has_last_zxid: bool, snapshotter: Snapshotter, turns: Turns) -> Self {
        // Java takes the number for microseconds here.
        let pace = Pace::new(config.rate_limit_interval_ms / 1000);
        Self { snapshotter, gate: Gate::new("Snapshot", config.snapshot_enabled, has_last_zxid, pace), turns }
    }

    /// A turn, behind those who asked before, if a snapshot may be had now.
    pub async fn admit(&self, server: &Introspection) -> Result<Turn, Reply> {
        self.gate.is_open()?;
        self.gate.admit(&server.snapshots.rate_limited)?;
        Ok(self.turns.next().await)
    }

    /// A snapshot of what is there now, which comes as the answer unless `streaming` says otherwise.
    pub fn take(&self, streaming: Option<&str>) -> Reply {
        taken(&self.snapshotter, streaming.is_none_or(|word| word.eq_ignore_ascii_case("true")))
    }
}

fn taken(snapshotter: &Snapshotter, is_streamed: bool) -> Reply {
    let failed = |why: &str| {
        tracing::warn!("Cannot take a snapshot by command: {why}");
        Reply::status(StatusCode::INTERNAL_SERVER_ERROR)
    };
    let path = match snapshotter.take() {
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
    Reply {
        headers: vec![("last_zxid", format!("{zxid:#x}")), ("snapshot_size", bytes.to_string())],
        file: is_streamed.then_some(file),
        ..Reply::status(StatusCode::OK)
    }
}
