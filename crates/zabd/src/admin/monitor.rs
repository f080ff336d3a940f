//! `mntr`: every figure that Java's default metrics provider knows, one per line, for monitoring tools.

use std::fmt::{Display, Write as _};
use std::sync::atomic::Ordering::Relaxed;

use zabd_jute::quorum::PeerState;
use zabd_replica::{Replica, Serving};

use super::VERSION;
use super::clients::{average, shown_node_count, shown_proposal_bytes};
use super::metrics::{Figure, METRICS};
use crate::free_space;
use crate::introspect::Introspection;
use crate::net::Summary;
use zabd_replica::percentiles::Percentiles;

/// Collects lines.
struct Lines(String);

impl Lines {
    fn add(&mut self, name: &str, value: impl Display) {
        let _ = writeln!(self.0, "zk_{name}\t{value}");
    }

    fn add_summary(&mut self, name: &str, summary: &Summary) {
        self.add(&format!("avg_{name}"), average(summary));
        self.add(&format!("min_{name}"), summary.min);
        self.add(&format!("max_{name}"), summary.max);
        self.add(&format!("cnt_{name}"), summary.count);
        self.add(&format!("sum_{name}"), summary.sum);
    }

    fn add_percentiles(&mut self, name: &str, spread: &Percentiles) {
        self.add_summary(name, spread.summary());
        for (percentile, permille) in [("p50", 500), ("p95", 950), ("p99", 990), ("p999", 999)] {
            self.add(&format!("{percentile}_{name}"), spread.permille(permille));
        }
    }
}

pub(super) fn mntr(server: &Introspection) -> String {
    let mut lines = Lines(String::new());
    lines.add("version", VERSION);
    lines.add("server_state", server.mode());
    of_member(&mut lines, server);
    gauges(&mut lines, server);
    for (name, figure) in METRICS {
        match figure {
            Figure::Counter(count) => lines.add(name, count(server)),
            Figure::Basic(summary) => lines.add_summary(name, &summary(server)),
            Figure::Advanced(spread) => lines.add_percentiles(name, &spread(server)),
        }
    }
    by_namespace(&mut lines, server);
    of_zabd(&mut lines, server);
    lines.0
}

/// What only a member of an ensemble has, by its role.
fn of_member(lines: &mut Lines, server: &Introspection) {
    let (status, voters) = server.driver.inspect(|replica| {
        let voters = replica.configuration().map_or(0, |configuration| configuration.voters().count());
        (replica.ensemble_status(), voters)
    });
    // Without a leader Java's is another server, which knows nothing of an ensemble.
    let Some(status) = status.filter(|status| status.serving != Serving::ReadOnly) else { return };
    lines.add("quorum_size", voters);
    match status.state {
        PeerState::Leading => {
            lines.add("peer_state", "leading - broadcast");
            of_leader(lines, server);
        }
        PeerState::Following => {
            lines.add("peer_state", "following - broadcast");
            if let Some(observers) = status.observers_in_step {
                lines.add("synced_observers", observers);
            }
        }
        PeerState::Observing => {
            lines.add("peer_state", "observing - broadcast");
            lines.add("observer_master_id", status.master.map_or(-1, |server| server.0));
        }
        PeerState::Looking => (),
    }
}

fn of_leader(lines: &mut Lines, server: &Introspection) {
    let Some(gauges) = server.driver.inspect(Replica::leader_gauges) else { return };
    let census = gauges.census;
    lines.add("learners", census.learners);
    lines.add("synced_followers", census.followers);
    lines.add("synced_non_voting_followers", census.strangers);
    lines.add("synced_observers", census.observers);
    lines.add("pending_syncs", gauges.syncs);
    lines.add("leader_uptime", server.uptime_ms());
    let [last, min, max] = shown_proposal_bytes(&gauges);
    lines.add("last_proposal_size", last);
    lines.add("min_proposal_size", min);
    lines.add("max_proposal_size", max);
}

/// What Java does not have: its server ends when the disk is full.
fn of_zabd(lines: &mut Lines, server: &Introspection) {
    lines.add("zabd_writes_refused", u8::from(server.driver.inspect(Replica::is_suspended)));
    if let Some(bytes) = free_space::bytes(&server.directories.logs) {
        lines.add("zabd_log_disk_free_bytes", bytes);
    }
}

fn by_namespace(lines: &mut Lines, server: &Introspection) {
    let (writes, mut pipelined, refusals) = server.driver.inspect(|replica| {
        let refusals: Vec<_> =
            replica.quota_refusals().map(|(name, count)| (name.to_owned(), count)).collect();
        (replica.writes().clone(), replica.reads().clone(), refusals)
    });
    let mut reads = server.counters.reads_by_namespace.lock().clone();
    reads.absorb(&mut pipelined);
    for (kind, traffic) in [("read_per_namespace", &reads), ("write_per_namespace", &writes)] {
        for (namespace, bytes) in traffic.iter() {
            lines.add_summary(&format!("{namespace}_{kind}"), &bytes);
        }
    }
    for (namespace, count) in refusals {
        lines.add(&format!("{namespace}_quota_exceeded_error_per_namespace"), count);
    }
    for (namespace, quota) in server.driver.tree().quota_figures() {
        for (kind, value) in [
            ("count_limit", quota.count_limit),
            ("bytes_limit", quota.bytes_limit),
            ("count_usage", quota.count_used),
            ("bytes_usage", quota.bytes_used),
        ] {
            lines.add(&format!("{namespace}_quota_{kind}_per_namespace"), value);
        }
    }
}

fn gauges(lines: &mut Lines, server: &Introspection) {
    let latency = server.counters.latency.lock().all;
    let responses = *server.counters.responses.lock();
    lines.add("avg_latency", average(&latency));
    lines.add("max_latency", latency.max);
    lines.add("min_latency", latency.min);
    lines.add("packets_received", server.counters.received.load(Relaxed));
    lines.add("packets_sent", server.counters.sent.load(Relaxed));
    lines.add("num_alive_connections", server.driver.registry.len());
    lines.add("outstanding_requests", server.driver.in_flight());
    lines.add("uptime", server.uptime_ms());
    {
        let tree = server.driver.tree();
        lines.add("znode_count", shown_node_count(tree.node_count()));
        lines.add("watch_count", server.driver.watches().total());
        lines.add("ephemerals_count", tree.ephemerals_count());
        lines.add("approximate_data_size", shown_data_size(tree.data_size()));
    }
    lines.add("global_sessions", server.driver.tree().sessions().count());
    lines.add("local_sessions", server.driver.inspect(Replica::local_session_count));
    lines.add("open_file_descriptor_count", open_files());
    lines.add(
        "max_file_descriptor_count",
        rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(0),
    );
    lines.add("connection_drop_probability", format!("{:?}", server.throttle.drop_probability()));
    let size = |bytes: u64| if responses.sizes.count == 0 { -1 } else { bytes as i64 };
    lines.add("last_client_response_size", size(responses.last));
    lines.add("max_client_response_size", size(responses.sizes.max));
    lines.add("min_client_response_size", size(responses.sizes.min));
    for name in [
        "outstanding_tls_handshake",
        "auth_failed_count",
        "non_mtls_remote_conn_count",
        "non_mtls_local_conn_count",
    ] {
        lines.add(name, 0);
    }
}

/// Java keys the root twice, once as `/`, and counts the length of that, too.
fn shown_data_size(bytes: u64) -> u64 {
    bytes + 1
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}
