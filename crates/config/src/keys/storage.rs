//! The log and the snapshots.

use super::Section;
use crate::config::SnapshotCompression;
use crate::draft::Draft;
use crate::java_number;
use crate::key::{Class, Key, Problem, Raw, Verdict};

pub(super) const SECTION: Section = Section {
    title: "Log and snapshots",
    intro: "How what was promised reaches the disk, and when old files go.",
    keys: &[
        Key::file("autopurge.snapRetainCount", "3", "5")
            .unit("snapshots")
            .doc("Snapshots kept by a purge, with the logs they need; fewer than 3 become 3.")
            .custom(|d, raw| {
                let count = raw.key.number(raw.value, i64::from(i32::MIN), i64::from(i32::MAX))?;
                d.config.autopurge_snap_retain_count = count.max(3) as u32;
                Ok((count < 3).then(|| format!("Invalid autopurge.snapRetainCount: {count}. Defaulting to 3")))
            }),
        Key::file("autopurge.purgeInterval", "0", "24")
            .aliases(&["autopurge.purgeInteval"])
            .unit("hours")
            .doc("Pause between purges, the first being at start; 0 never purges. The image of Kubernetes' tutorial misspells \
                  it, which counts here, so that its servers purge.")
            .int(i32::MIN as i64, |d, v| d.config.autopurge_interval_hours = positive(v)),
        Key::prefixed("snapCount", "100000", "50000")
            .unit("transactions")
            .doc("Transactions between snapshots: one is taken after a random number between half of this and all of it.")
            .custom(|d, raw| {
                let count = raw.key.number(raw.value, i64::from(i32::MIN), i64::from(i32::MAX))?;
                d.config.snap_count = count.max(2) as u32;
                Ok((count < 2).then(|| "SnapCount should be 2 or more. Now, snapCount is reset to 2".to_owned()))
            }),
        Key::prefixed("snapSizeLimitInKb", "4194304", "1048576")
            .unit("KiB")
            .doc("Log size between snapshots, with the same random part; 0 or less is no limit.")
            .differently("what is written counts; Java counts the zeros ahead of it, too")
            .long(i64::MIN, |d, v| d.config.snap_size_limit_kb = positive_long(v)),
        Key::prefixed("txnLogSizeLimitInKb", "-1", "524288")
            .unit("KiB")
            .doc("Size at which a log file ends and the next begins; 0 or less is no limit.")
            .differently("what is written counts; Java counts the zeros ahead of it, too")
            .long(i64::MIN, |d, v| d.config.txn_log_size_limit_kb = positive_long(v)),
        Key::prefixed("preAllocSize", "65536", "16384")
            .unit("KiB")
            .class(Class::B)
            .doc("Step in which log files grow ahead of their contents; 0 turns it off.")
            .custom(|d, raw| {
                let size = java_number::parse(raw.value).ok_or_else(|| Problem::value("is not a number"))?;
                d.config.pre_alloc_size_kb = size.max(0) as u64;
                Ok(None)
            }),
        Key::either("fsync.warningthresholdms", "1000", "200")
            .unit("milliseconds")
            .doc("A slower fsync of the log is worth a warning.")
            .corrected_long(0, 0, |d, v| d.config.fsync_warning_threshold_ms = v as u64),
        Key::prefixed("forceSync", "yes", "no")
            .doc("`no` acknowledges writes before they are on the disk: fast, and lost with the power.")
            .custom(|d, raw| {
                d.config.force_sync = raw.value != "no";
                let understood = matches!(raw.value, "yes" | "no");
                Ok((!understood).then(|| format!("forceSync={}: only `no` turns it off, so it stays on", raw.value)))
            }),
        Key::prefixed("flushDelay", "0", "20")
            .unit("milliseconds")
            .doc("How long writes may be gathered before they are synced together.")
            .corrected_long(0, 0, |d, v| d.config.flush_delay_ms = v as u64),
        Key::prefixed("maxWriteQueuePollTime", "flushDelay/3", "5")
            .unit("milliseconds")
            .doc("With `flushDelay`: an idle log writer syncs after this long without a new write.")
            .corrected_long(0, 0, |d, v| d.max_write_queue_poll_time_ms = Some(v as u64)),
        Key::prefixed("maxBatchSize", "1000", "500")
            .unit("transactions")
            .doc("Most transactions per sync; 0 or less is no limit.")
            .int(i32::MIN as i64, |d, v| d.config.max_batch_size = positive(v)),
        Key::prefixed("snapshot.compression.method", "", "gz")
            .doc("New snapshots are written as they are (empty), as `gz` or as `snappy`; all three are always read.")
            .custom(compression),
        Key::prefixed("snapshot.trust.empty", "false", "true")
            .doc("Load logs although there is no snapshot, as an upgrade from 3.4 may leave them.")
            .lenient_bool(|d, v| d.config.snapshot_trust_empty = v),
        Key::own("zabd.snapshot.trust.unbroken", "false", "true")
            .doc("Load logs that Java 3.4 wrote although there is no snapshot, if they begin with the very first transaction and \
                  none is missing in them. `start-zookeeper` sets it.")
            .lenient_bool(|d, v| d.config.snapshot_trust_unbroken = v),
        Key::prefixed("serializeLastProcessedZxid.enabled", "true", "false")
            .doc("End snapshots with the last zxid they hold.")
            .lenient_bool(|d, v| d.config.serialize_last_processed_zxid = v),
        Key::prefixed("digest.enabled", "true", "false")
            .doc("Keep a digest of the tree, write it to log and snapshots, and check it when they are read.")
            .lenient_bool(|d, v| d.config.digest_enabled = v),
        Key::prefixed("closeSessionTxn.enabled", "true", "false")
            .doc("List the ephemeral nodes that a closing session takes with it in its transaction.")
            .lenient_bool(|d, v| d.config.close_session_txn = v),
    ],
};

pub(super) fn positive(number: i64) -> Option<u32> {
    u32::try_from(number).ok().filter(|number| 0 < *number)
}

fn positive_long(number: i64) -> Option<u64> {
    u64::try_from(number).ok().filter(|number| 0 < *number)
}

fn compression(draft: &mut Draft, raw: &Raw<'_>) -> Verdict {
    draft.config.snapshot_compression = match raw.value.to_ascii_lowercase().as_str() {
        "" => SnapshotCompression::None,
        "gz" => SnapshotCompression::Gzip,
        "snappy" => SnapshotCompression::Snappy,
        _ => {
            let text = format!("{} is no compression method, snapshots are written without", raw.value);
            return Ok(Some(text));
        }
    };
    Ok(None)
}
