//! The counters and summaries that Java's metrics providers have, by name and kind, and where the value of each stands.
//!
//! Dashboards and alerts name them, so all are there. Those of a stage that zabd does not have stay at 0
//! (`NO_COUNTER`, `NO_BASIC`, `NO_ADVANCED`). Gauges, and sets with a value for each namespace, are in `families`.

use std::sync::atomic::Ordering::Relaxed;

use zabd_replica::percentiles::Percentiles;

use super::families::Seen;
use crate::net::ThrottleFigures;

/// What a metric is, and from where it comes.
#[derive(Clone, Copy, Debug)]
pub enum Figure {
    /// One value that only grows.
    Counter(fn(&Seen<'_>) -> u64),
    /// How samples spread, of which Java shows little.
    Basic(fn(&Seen<'_>) -> Percentiles),
    /// The same, with the upper percentiles.
    Advanced(fn(&Seen<'_>) -> Percentiles),
}

use Figure::{Advanced, Basic, Counter};

const NO_COUNTER: Figure = Counter(|_| 0);
const NO_BASIC: Figure = Basic(|_| Percentiles::default());
const NO_ADVANCED: Figure = Advanced(|_| Percentiles::default());

/// In the order of Java's `ServerMetrics`; what belongs together and is read together, as `ensemble_auth_…`, in that of its `mntr`.
pub const METRICS: &[(&str, Figure)] = &[
    ("fsynctime", Basic(|s| s.log.sync_ms.clone())),
    ("snapshottime", Basic(|s| s.server.snapshots.took_ms.lock().clone())),
    ("snapshot_error_count", Counter(|s| s.server.snapshots.failed.load(Relaxed))),
    ("snapshot_rate_limited_count", Counter(|s| s.server.snapshots.rate_limited.load(Relaxed))),
    ("restore_time", Basic(|s| s.server.snapshots.restores.took_ms.lock().clone())),
    ("restore_error_count", Counter(|s| s.server.snapshots.restores.failed.load(Relaxed))),
    ("restore_rate_limited_count", Counter(|s| s.server.snapshots.restores.rate_limited.load(Relaxed))),
    ("dbinittime", Basic(|s| s.start.init_ms.clone())),
    ("readlatency", Advanced(|s| s.latency.reads.clone())),
    ("updatelatency", Advanced(|s| s.latency.updates.clone())),
    ("propagation_latency", Advanced(|s| s.log.answered_ms.clone())),
    ("follower_sync_time", Basic(|s| s.quorum.follower_sync_ms.clone())),
    ("observer_sync_time", Basic(|s| s.quorum.observer_sync_ms.clone())),
    ("election_time", Basic(|s| s.quorum.election_ms.clone())),
    ("looking_count", Counter(|s| s.quorum.searches)),
    ("diff_count", Counter(|s| s.quorum.differences)),
    ("snap_count", Counter(|s| s.quorum.snapshots)),
    ("commit_count", Counter(|s| s.quorum.commits)),
    ("connection_request_count", Counter(|s| s.server.counters.connect_requests.load(Relaxed))),
    ("connection_token_deficit", Basic(|s| s.server.counters.token_deficit.lock().clone())),
    ("connection_rejected", Counter(|s| s.server.counters.connections_rejected.load(Relaxed))),
    ("inflight_snap_count", Basic(|s| s.quorum.snapshots_underway.clone())),
    ("inflight_diff_count", Basic(|s| s.quorum.differences_underway.clone())),
    ("bytes_received_count", Counter(|s| s.server.counters.received_bytes.load(Relaxed))),
    ("unrecoverable_error_count", NO_COUNTER),
    ("node_created_watch_count", Basic(|s| s.fired.created.clone())),
    ("node_deleted_watch_count", Basic(|s| s.fired.deleted.clone())),
    ("node_changed_watch_count", Basic(|s| s.fired.changed.clone())),
    ("node_children_watch_count", Basic(|s| s.fired.children.clone())),
    ("add_dead_watcher_stall_time", NO_COUNTER),
    ("dead_watchers_queued", NO_COUNTER),
    ("dead_watchers_cleared", NO_COUNTER),
    ("dead_watchers_cleaner_latency", NO_ADVANCED),
    ("response_packet_cache_hits", NO_COUNTER),
    ("response_packet_cache_misses", NO_COUNTER),
    ("response_packet_get_children_cache_hits", NO_COUNTER),
    ("response_packet_get_children_cache_misses", NO_COUNTER),
    ("ensemble_auth_fail", Counter(|s| s.server.counters.ensemble_names.unknown.load(Relaxed))),
    ("ensemble_auth_skip", Counter(|s| s.server.counters.ensemble_names.skipped.load(Relaxed))),
    ("ensemble_auth_success", Counter(|s| s.server.counters.ensemble_names.known.load(Relaxed))),
    ("prep_processor_queue_time_ms", NO_ADVANCED),
    ("prep_processor_queue_size", NO_BASIC),
    ("prep_processor_request_queued", NO_COUNTER),
    ("outstanding_changes_queued", Counter(|s| s.changes.queued)),
    ("outstanding_changes_removed", Counter(|s| s.changes.removed)),
    ("prep_process_time", NO_BASIC),
    ("proposal_process_time", NO_BASIC),
    ("close_session_prep_time", NO_ADVANCED),
    ("revalidate_count", Counter(|s| s.quorum.revalidations)),
    ("connection_drop_count", Counter(|s| s.server.counters.clients_gone.load(Relaxed))),
    ("connection_revalidate_count", Counter(|s| s.server.counters.resumptions.load(Relaxed))),
    ("sessionless_connections_expired", Counter(|s| s.server.counters.sessionless_expired.load(Relaxed))),
    ("stale_sessions_expired", Counter(|s| s.server.counters.sessions_expired.load(Relaxed))),
    ("unavailable_time", Basic(|s| s.quorum.unavailable_ms.clone())),
    ("leader_unavailable_time", Basic(|s| s.quorum.leader_unavailable_ms.clone())),
    ("requests_in_session_queue", NO_BASIC),
    ("pending_session_queue_size", NO_BASIC),
    ("reads_after_write_in_session_queue", NO_BASIC),
    ("reads_issued_from_session_queue", NO_BASIC),
    ("session_queues_drained", NO_BASIC),
    ("time_waiting_empty_pool_in_commit_processor_read_ms", NO_BASIC),
    ("write_batch_time_in_commit_processor", NO_BASIC),
    ("concurrent_request_processing_in_commit_processor", NO_BASIC),
    ("read_commit_proc_req_queued", NO_BASIC),
    ("write_commit_proc_req_queued", NO_BASIC),
    ("commit_commit_proc_req_queued", NO_BASIC),
    ("request_commit_queued", Counter(|s| s.quorum.commits + s.quorum.commits_received)),
    ("read_commit_proc_issued", NO_BASIC),
    ("write_commit_proc_issued", NO_BASIC),
    ("throttled_ops", Counter(|s| throttled(s, |f| f.refused.load(Relaxed)))),
    ("read_commitproc_time_ms", NO_ADVANCED),
    ("write_commitproc_time_ms", NO_ADVANCED),
    ("local_write_committed_time_ms", NO_ADVANCED),
    ("server_write_committed_time_ms", NO_ADVANCED),
    ("commit_process_time", NO_BASIC),
    ("om_proposal_process_time_ms", NO_ADVANCED),
    ("om_commit_process_time_ms", NO_ADVANCED),
    ("read_final_proc_time_ms", NO_ADVANCED),
    ("write_final_proc_time_ms", NO_ADVANCED),
    ("proposal_latency", Advanced(|s| s.quorum.proposal_ms.clone())),
    ("proposal_ack_creation_latency", Advanced(|s| s.quorum.acknowledged_ms.clone())),
    ("commit_propagation_latency", Advanced(|s| s.quorum.commit_ms.clone())),
    ("learner_proposal_received_count", Counter(|s| s.quorum.proposals_received)),
    ("learner_commit_received_count", Counter(|s| s.quorum.commits_received)),
    ("startup_txns_loaded", Basic(|s| s.start.txns.clone())),
    ("startup_txns_load_time", Basic(|s| s.start.txns_ms.clone())),
    ("startup_snap_load_time", Basic(|s| s.start.snapshot_ms.clone())),
    ("sync_processor_queue_and_flush_time_ms", Advanced(|s| s.log.durable_ms.clone())),
    ("sync_processor_queue_size", Basic(|s| s.log.left.clone())),
    ("sync_processor_request_queued", Counter(|s| s.log.taken)),
    ("sync_processor_queue_time_ms", Advanced(|s| s.log.queue_ms.clone())),
    ("sync_processor_queue_flush_time_ms", Advanced(|s| s.log.flush_ms.clone())),
    ("sync_process_time", Basic(|s| s.log.process_ms.clone())),
    ("sync_processor_batch_size", Basic(|s| s.log.batch.clone())),
    ("quorum_ack_latency", Advanced(|s| s.quorum.quorum_ms.clone())),
    ("proposal_count", Counter(|s| s.quorum.proposals)),
    ("quit_leading_due_to_disloyal_voter", NO_COUNTER),
    ("stale_requests", Counter(|s| throttled(s, |f| f.stale.load(Relaxed)))),
    ("stale_requests_dropped", Counter(|s| throttled(s, |f| f.dropped.load(Relaxed)))),
    ("stale_replies", Counter(|s| s.server.counters.stale_replies.load(Relaxed))),
    ("request_throttle_queue_time_ms", Advanced(|s| throttled(s, |f| f.waited_ms.lock().clone()))),
    ("request_throttle_wait_count", Counter(|s| throttled(s, |f| f.stalls.load(Relaxed)))),
    ("large_requests_rejected", Counter(|s| s.server.large_requests.rejected())),
    ("netty_queued_buffer_capacity", NO_BASIC),
    ("digest_mismatches_count", Counter(digest_mismatches)),
    ("learner_request_processor_queue_size", NO_BASIC),
    ("unsuccessful_handshake", Counter(|s| s.server.counters.tls.unsuccessful.load(Relaxed))),
    ("insecure_admin_count", Counter(|s| s.server.counters.insecure_admin.load(Relaxed))),
    ("tls_handshake_exceeded", Counter(|s| s.server.counters.tls.exceeded.load(Relaxed))),
    ("cnxn_closed_without_zk_server_running", Counter(|s| s.server.counters.tls.not_serving.load(Relaxed))),
    ("skip_learner_request_to_next_processor_count", NO_COUNTER),
    ("socket_closing_time", NO_BASIC),
    ("requests_not_forwarded_to_commit_processor", NO_COUNTER),
    ("response_bytes", Counter(|s| s.responses.answer_bytes)),
    ("watch_bytes", Counter(|s| s.responses.event_bytes)),
    ("jvm_pause_time_ms", NO_ADVANCED),
];

/// At the start, and since then beside the leader.
fn digest_mismatches(seen: &Seen<'_>) -> u64 {
    seen.start.digest_mismatches + seen.server.counters.digest_mismatches.load(Relaxed)
}

/// Nothing waits while nothing is throttled.
fn throttled<T: Default>(seen: &Seen<'_>, figure: fn(&ThrottleFigures) -> T) -> T {
    seen.server.request_throttle.as_ref().map(|throttle| figure(&throttle.figures)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = METRICS.iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), METRICS.len());
    }
}
