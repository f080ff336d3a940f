//! `mntr`: every figure that Java's default metrics provider knows, one per line, for monitoring tools.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::sync::atomic::Ordering::Relaxed;

use super::VERSION;
use super::clients::{average, shown_node_count};
use super::metrics::{Kind, METRICS};
use crate::introspect::Introspection;
use crate::net::Summary;

/// Collects lines.
struct Lines(String);

impl Lines {
    fn add(&mut self, name: &str, value: impl Display) {
        let _ = writeln!(self.0, "zk_{name}\t{value}");
    }

    fn add_summary(&mut self, name: &str, summary: &Summary, advanced: bool) {
        self.add(&format!("avg_{name}"), average(summary));
        self.add(&format!("min_{name}"), summary.min);
        self.add(&format!("max_{name}"), summary.max);
        self.add(&format!("cnt_{name}"), summary.count);
        self.add(&format!("sum_{name}"), summary.sum);
        if advanced {
            for percentile in ["p50", "p95", "p99", "p999"] {
                // Only the extremes are kept; the largest is what these cannot exceed.
                self.add(&format!("{percentile}_{name}"), summary.max);
            }
        }
    }
}

pub(super) fn mntr(server: &Introspection) -> String {
    let mut lines = Lines(String::new());
    lines.add("version", VERSION);
    lines.add("server_state", "standalone");
    gauges(&mut lines, server);
    let counters = counters(server);
    let summaries = summaries(server);
    for (name, kind) in METRICS {
        match kind {
            Kind::Counter => lines.add(name, counters.get(name).copied().unwrap_or(0)),
            Kind::Basic | Kind::Advanced => {
                let summary = summaries.get(name).copied().unwrap_or_default();
                lines.add_summary(name, &summary, *kind == Kind::Advanced);
            }
        }
    }
    by_namespace(&mut lines, server);
    lines.0
}

fn by_namespace(lines: &mut Lines, server: &Introspection) {
    let (writes, mut pipelined) =
        server.driver.inspect(|replica| (replica.writes().clone(), replica.reads().clone()));
    let mut reads = server.counters.reads_by_namespace.lock().clone();
    reads.absorb(&mut pipelined);
    for (kind, traffic) in [("read_per_namespace", &reads), ("write_per_namespace", &writes)] {
        for (namespace, bytes) in traffic.iter() {
            let summary = Summary { min: bytes.min, max: bytes.max, sum: bytes.sum, count: bytes.count };
            lines.add_summary(&format!("{namespace}_{kind}"), &summary, false);
        }
    }
}

fn gauges(lines: &mut Lines, server: &Introspection) {
    let latency = server.counters.latency.lock().all;
    let sizes = *server.counters.response_bytes.lock();
    lines.add("avg_latency", average(&latency));
    lines.add("max_latency", latency.max);
    lines.add("min_latency", latency.min);
    lines.add("packets_received", server.counters.received.load(Relaxed));
    lines.add("packets_sent", server.counters.sent.load(Relaxed));
    lines.add("num_alive_connections", server.driver.registry.len());
    lines.add("outstanding_requests", server.counters.in_flight.load(Relaxed).max(0));
    lines.add("uptime", server.since.elapsed().as_millis());
    {
        let tree = server.driver.tree();
        lines.add("znode_count", shown_node_count(tree.node_count()));
        lines.add("watch_count", server.driver.watches().total());
        lines.add("ephemerals_count", tree.ephemerals_count());
        lines.add("approximate_data_size", tree.data_size());
    }
    lines.add("global_sessions", server.driver.inspect(zabd_replica::Replica::session_count));
    lines.add("local_sessions", 0);
    lines.add("open_file_descriptor_count", open_files());
    lines.add(
        "max_file_descriptor_count",
        rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(0),
    );
    lines.add("connection_drop_probability", format!("{:?}", server.throttle.drop_probability()));
    let largest = if sizes.count == 0 { -1 } else { sizes.max as i64 };
    let smallest = if sizes.count == 0 { -1 } else { sizes.min as i64 };
    lines.add("last_client_response_size", largest);
    lines.add("max_client_response_size", largest);
    lines.add("min_client_response_size", smallest);
    for name in [
        "outstanding_tls_handshake",
        "auth_failed_count",
        "non_mtls_remote_conn_count",
        "non_mtls_local_conn_count",
    ] {
        lines.add(name, 0);
    }
}

fn counters(server: &Introspection) -> BTreeMap<&'static str, u64> {
    let counters = &server.counters;
    BTreeMap::from([
        ("connection_rejected", counters.connections_rejected.load(Relaxed)),
        ("sessionless_connections_expired", counters.sessionless_expired.load(Relaxed)),
        ("commit_count", server.driver.positions().committed.0 as u64),
    ])
}

fn summaries(server: &Introspection) -> BTreeMap<&'static str, Summary> {
    let latency = *server.counters.latency.lock();
    BTreeMap::from([
        ("fsynctime", *server.log.sync_ms.lock()),
        ("snapshottime", *server.snapshots.took_ms.lock()),
        ("readlatency", latency.reads),
        ("updatelatency", latency.pipeline),
    ])
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}
