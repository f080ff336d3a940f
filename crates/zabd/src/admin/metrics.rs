//! The counters and summaries that Java's default metrics provider prints, by name and kind.
//!
//! Dashboards and alerts name them, so all are there; those that have no meaning here stay at 0. Sets
//! (one value per namespace or learner) print nothing while they are empty.

/// What a metric prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One value.
    Counter,
    /// Average, smallest, largest, count and sum.
    Basic,
    /// The same, and percentiles.
    Advanced,
}

/// In the order of Java's `ServerMetrics`.
pub const METRICS: &[(&str, Kind)] = &[
    ("fsynctime", Kind::Basic),
    ("snapshottime", Kind::Basic),
    ("snapshot_error_count", Kind::Counter),
    ("snapshot_rate_limited_count", Kind::Counter),
    ("restore_time", Kind::Basic),
    ("restore_error_count", Kind::Counter),
    ("restore_rate_limited_count", Kind::Counter),
    ("dbinittime", Kind::Basic),
    ("readlatency", Kind::Advanced),
    ("updatelatency", Kind::Advanced),
    ("propagation_latency", Kind::Advanced),
    ("follower_sync_time", Kind::Basic),
    ("observer_sync_time", Kind::Basic),
    ("election_time", Kind::Basic),
    ("looking_count", Kind::Counter),
    ("diff_count", Kind::Counter),
    ("snap_count", Kind::Counter),
    ("commit_count", Kind::Counter),
    ("connection_request_count", Kind::Counter),
    ("connection_token_deficit", Kind::Basic),
    ("connection_rejected", Kind::Counter),
    ("inflight_snap_count", Kind::Basic),
    ("inflight_diff_count", Kind::Basic),
    ("bytes_received_count", Kind::Counter),
    ("unrecoverable_error_count", Kind::Counter),
    ("node_created_watch_count", Kind::Basic),
    ("node_deleted_watch_count", Kind::Basic),
    ("node_changed_watch_count", Kind::Basic),
    ("node_children_watch_count", Kind::Basic),
    ("add_dead_watcher_stall_time", Kind::Counter),
    ("dead_watchers_queued", Kind::Counter),
    ("dead_watchers_cleared", Kind::Counter),
    ("dead_watchers_cleaner_latency", Kind::Advanced),
    ("response_packet_cache_hits", Kind::Counter),
    ("response_packet_cache_misses", Kind::Counter),
    ("response_packet_get_children_cache_hits", Kind::Counter),
    ("response_packet_get_children_cache_misses", Kind::Counter),
    ("ensemble_auth_success", Kind::Counter),
    ("ensemble_auth_fail", Kind::Counter),
    ("ensemble_auth_skip", Kind::Counter),
    ("prep_processor_queue_time_ms", Kind::Advanced),
    ("prep_processor_queue_size", Kind::Basic),
    ("prep_processor_request_queued", Kind::Counter),
    ("outstanding_changes_queued", Kind::Counter),
    ("outstanding_changes_removed", Kind::Counter),
    ("prep_process_time", Kind::Basic),
    ("proposal_process_time", Kind::Basic),
    ("close_session_prep_time", Kind::Advanced),
    ("revalidate_count", Kind::Counter),
    ("connection_drop_count", Kind::Counter),
    ("connection_revalidate_count", Kind::Counter),
    ("sessionless_connections_expired", Kind::Counter),
    ("stale_sessions_expired", Kind::Counter),
    ("unavailable_time", Kind::Basic),
    ("leader_unavailable_time", Kind::Basic),
    ("requests_in_session_queue", Kind::Basic),
    ("pending_session_queue_size", Kind::Basic),
    ("reads_after_write_in_session_queue", Kind::Basic),
    ("reads_issued_from_session_queue", Kind::Basic),
    ("session_queues_drained", Kind::Basic),
    ("time_waiting_empty_pool_in_commit_processor_read_ms", Kind::Basic),
    ("write_batch_time_in_commit_processor", Kind::Basic),
    ("concurrent_request_processing_in_commit_processor", Kind::Basic),
    ("read_commit_proc_req_queued", Kind::Basic),
    ("write_commit_proc_req_queued", Kind::Basic),
    ("commit_commit_proc_req_queued", Kind::Basic),
    ("request_commit_queued", Kind::Counter),
    ("read_commit_proc_issued", Kind::Basic),
    ("write_commit_proc_issued", Kind::Basic),
    ("throttled_ops", Kind::Counter),
    ("read_commitproc_time_ms", Kind::Advanced),
    ("write_commitproc_time_ms", Kind::Advanced),
    ("local_write_committed_time_ms", Kind::Advanced),
    ("server_write_committed_time_ms", Kind::Advanced),
    ("commit_process_time", Kind::Basic),
    ("om_proposal_process_time_ms", Kind::Advanced),
    ("om_commit_process_time_ms", Kind::Advanced),
    ("read_final_proc_time_ms", Kind::Advanced),
    ("write_final_proc_time_ms", Kind::Advanced),
    ("proposal_latency", Kind::Advanced),
    ("proposal_ack_creation_latency", Kind::Advanced),
    ("commit_propagation_latency", Kind::Advanced),
    ("learner_proposal_received_count", Kind::Counter),
    ("learner_commit_received_count", Kind::Counter),
    ("startup_txns_loaded", Kind::Basic),
    ("startup_txns_load_time", Kind::Basic),
    ("startup_snap_load_time", Kind::Basic),
    ("sync_processor_queue_and_flush_time_ms", Kind::Advanced),
    ("sync_processor_queue_size", Kind::Basic),
    ("sync_processor_request_queued", Kind::Counter),
    ("sync_processor_queue_time_ms", Kind::Advanced),
    ("sync_processor_queue_flush_time_ms", Kind::Advanced),
    ("sync_process_time", Kind::Basic),
    ("sync_processor_batch_size", Kind::Basic),
    ("quorum_ack_latency", Kind::Advanced),
    ("proposal_count", Kind::Counter),
    ("quit_leading_due_to_disloyal_voter", Kind::Counter),
    ("stale_requests", Kind::Counter),
    ("stale_requests_dropped", Kind::Counter),
    ("stale_replies", Kind::Counter),
    ("request_throttle_queue_time_ms", Kind::Advanced),
    ("request_throttle_wait_count", Kind::Counter),
    ("large_requests_rejected", Kind::Counter),
    ("netty_queued_buffer_capacity", Kind::Basic),
    ("digest_mismatches_count", Kind::Counter),
    ("learner_request_processor_queue_size", Kind::Basic),
    ("unsuccessful_handshake", Kind::Counter),
    ("insecure_admin_count", Kind::Counter),
    ("tls_handshake_exceeded", Kind::Counter),
    ("cnxn_closed_without_zk_server_running", Kind::Counter),
    ("skip_learner_request_to_next_processor_count", Kind::Counter),
    ("socket_closing_time", Kind::Basic),
    ("requests_not_forwarded_to_commit_processor", Kind::Counter),
    ("response_bytes", Kind::Counter),
    ("watch_bytes", Kind::Counter),
    ("jvm_pause_time_ms", Kind::Advanced),
];

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
