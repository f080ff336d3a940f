//! All figures of the server at one moment, each with its name and kind: the one source of `mntr`, of the AdminServer's
//! `monitor` and of what Prometheus reads.
//!
//! ```text
//! I/O threads, driver, log ── counters ──► Seen ──► Vec<Family> ──► mntr        name, avg_name, p99_name
//!                                  (a lock each, once)        └──► exposition  name{quantile="0.5"}, name_sum
//! ```
//!
//! Whoever does the work counts where it is done, and nobody knows of it before somebody asks: then each lock is taken once,
//! for as long as a copy of some kilobytes takes, and everything else is done without one. Nothing here grows with the number of
//! znodes or watches.
//!
//! A *family* is what Java registers under one name; a *set* has a value for each key, such as the namespaces.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;

use zabd_config::MetricsProvider;
use zabd_jute::ServerId;
use zabd_jute::quorum::PeerState;
use zabd_replica::percentiles::Percentiles;
use zabd_replica::traffic::{Samples, Traffic};
use zabd_replica::watches::Fired;
use zabd_replica::{EnsembleStatus, LeaderGauges, QuorumFigures, Replica, Serving, TtlNodes};
use zabd_storage::damage::count_set_aside;
use zabd_storage::disk::RealDisk;
use zabd_tree::Changes;
use zabd_zab::effect::LinkId;

use super::VERSION;
use super::clients::{shown_average, shown_node_count, shown_proposal_bytes};
use super::metrics::{Figure, METRICS};
use super::process;
use crate::certificates;
use crate::free_space;
use crate::introspect::Introspection;
use crate::log_writer::LogFigures;
use crate::logging;
use crate::net::{Latencies, Responses};
use crate::quorum::QueueFigures;
use crate::recover::StartFigures;

/// A value as Java has it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// Of Java's types `int` and `long`.
    Whole(i64),
    /// Of Java's type `double`.
    Real(f64),
}

/// What a family shows.
#[derive(Clone, Debug)]
pub enum Value {
    /// A state that goes up and down.
    Gauge(Number),
    /// What only grows.
    Counter(u64),
    /// How samples spread, of which Java shows little.
    Basic(Percentiles),
    /// The same, with the upper percentiles.
    Advanced(Percentiles),
    /// Gauges by key.
    Gauges(Vec<(String, Number)>),
    /// Counters by key.
    Counters(Vec<(String, u64)>),
    /// How samples spread, by key, of which Java shows little.
    Basics(Vec<(String, Percentiles)>),
    /// The same, with the upper percentiles.
    Advanceds(Vec<(String, Percentiles)>),
    /// Samples by key, of which nobody keeps how they spread.
    Sums(Vec<(String, Samples)>),
    /// Count and sum by the value of a label that is not `key`, of which there are no percentiles at all.
    Plain(&'static str, Vec<(String, f64, f64)>),
    /// Gauges by the value of a label that is not `key`.
    Labelled(&'static str, Vec<(String, f64)>),
    /// What only grows, with a fraction.
    Amount(f64),
}

/// What Java registers under one name.
#[derive(Clone, Debug)]
pub struct Family {
    /// Java's name.
    pub name: &'static str,
    /// What it is about, where that is not only its name.
    pub help: Option<&'static str>,
    /// What it shows.
    pub value: Value,
}

impl Family {
    /// A family that Java's server registers.
    pub fn new(name: &'static str, value: Value) -> Self {
        Self { name, help: None, value }
    }
}

/// What is looked at, each of it once.
pub struct Seen<'s> {
    /// Where the rest is read, which takes no lock or one of its own.
    pub server: &'s Introspection,
    /// Of agreement.
    pub quorum: QuorumFigures,
    /// Of planned changes.
    pub changes: Changes,
    /// Of watches.
    pub fired: Fired,
    /// Of the log.
    pub log: LogFigures,
    /// Of the start.
    pub start: StartFigures,
    /// Of requests.
    pub latency: Latencies,
    /// Of answers.
    pub responses: Responses,
    status: Option<EnsembleStatus>,
    leader: Option<LeaderGauges>,
    voters: usize,
    local_sessions: usize,
    is_suspended: bool,
    has_written: bool,
    reads: Traffic,
    writes: Traffic,
    refusals: Vec<(String, u64)>,
    ttl_nodes: TtlNodes,
    acknowledged: Vec<(ServerId, Percentiles)>,
    links: Vec<(LinkId, ServerId)>,
    queues: BTreeMap<ServerId, QueueFigures>,
}

impl<'s> Seen<'s> {
    /// Takes each lock once.
    pub fn now(server: &'s Introspection) -> Self {
        let look = |replica: &Replica| Seen {
            server,
            quorum: replica.quorum_figures(),
            changes: replica.changes(),
            fired: Fired::default(),
            log: LogFigures::default(),
            start: StartFigures::default(),
            latency: Latencies::default(),
            responses: Responses::default(),
            status: replica.ensemble_status(),
            leader: replica.leader_gauges(),
            voters: replica.configuration().map_or(0, |configuration| configuration.voters().count()),
            local_sessions: replica.local_session_count(),
            is_suspended: replica.is_suspended(),
            has_written: replica.positions().appended != server.last_at_start,
            ttl_nodes: replica.ttl_nodes(),
            acknowledged: replica.acknowledgement_figures(),
            links: replica.learner_links(),
            queues: BTreeMap::new(),
            reads: replica.reads().clone(),
            writes: replica.writes().clone(),
            refusals: replica.quota_refusals().map(|(name, count)| (name.to_owned(), count)).collect(),
        };
        let mut seen = server.driver.inspect(look);
        seen.fired = server.driver.watches().fired();
        seen.log = server.log.lock().clone();
        seen.start = server.start.lock().clone();
        seen.latency = server.counters.latency.lock().clone();
        seen.responses = *server.counters.responses.lock();
        // Of two connections of one server the later is the one that is used.
        let mut queues: BTreeMap<_, _> = server.driver.queue_figures().into_iter().collect();
        let by_server = seen.links.iter().filter_map(|(link, server)| Some((*server, queues.remove(link)?)));
        seen.queues = by_server.collect();
        let mut reads = server.counters.reads_by_namespace.lock().clone();
        reads.absorb(&mut seen.reads);
        seen.reads = reads;
        seen
    }

    /// What is told beside the figures, and is none itself.
    pub fn facts(&self) -> Vec<(&'static str, Fact)> {
        let mut facts =
            vec![("version", Fact::Text(VERSION)), ("server_state", Fact::Text(self.server.mode()))];
        if let Some(status) = self.membership() {
            let state = match status.state {
                PeerState::Leading => Some("leading - broadcast"),
                PeerState::Following => Some("following - broadcast"),
                PeerState::Observing => Some("observing - broadcast"),
                PeerState::Looking => None,
            };
            facts.extend(state.map(|state| ("peer_state", Fact::Text(state))));
            if status.state == PeerState::Observing {
                let master = status.master.map_or(-1, |server| server.0);
                facts.push(("observer_master_id", Fact::Number(master)));
            }
        }
        facts
    }

    /// Without a leader Java's is another server, which knows nothing of an ensemble.
    fn membership(&self) -> Option<&EnsembleStatus> {
        self.status.as_ref().filter(|status| status.serving != Serving::ReadOnly)
    }

    /// A member without a leader has no server, in Java's words: alerts look for the gauges that are missing then.
    fn has_server(&self) -> bool {
        self.status.as_ref().is_none_or(|status| status.serving != Serving::Nobody)
    }

    /// Every figure of the server, in no order that means anything.
    pub fn families(&self) -> Vec<Family> {
        let mut families = Vec::with_capacity(METRICS.len() + 64);
        if self.has_server() {
            self.of_member(&mut families);
            self.gauges(&mut families);
            self.quotas(&mut families);
        }
        families.push(gauge(
            "outstanding_tls_handshake",
            self.server.counters.tls.outstanding.load(Relaxed) as i64,
        ));
        for (name, figure) in METRICS {
            let value = match figure {
                Figure::Counter(count) => Value::Counter(count(self)),
                Figure::Basic(spread) => Value::Basic(spread(self)),
                Figure::Advanced(spread) => Value::Advanced(spread(self)),
            };
            families.push(Family::new(name, value));
        }
        self.by_namespace(&mut families);
        self.of_the_next_release(&mut families);
        self.by_server(&mut families);
        self.of_zabd(&mut families);
        families
    }

    /// What only a member of an ensemble has, by its role.
    fn of_member(&self, families: &mut Vec<Family>) {
        let Some(status) = self.membership() else { return };
        let mut add = |name, value: usize| families.push(gauge(name, value as i64));
        add("quorum_size", self.voters);
        match (status.state, &self.leader, status.observers_in_step) {
            (PeerState::Leading, Some(gauges), _) => {
                let census = gauges.census;
                add("learners", census.learners);
                add("synced_followers", census.followers);
                add("synced_non_voting_followers", census.strangers);
                add("synced_observers", census.observers);
                add("pending_syncs", gauges.syncs);
                add("leader_uptime", self.server.uptime_ms() as usize);
                let [last, min, max] = shown_proposal_bytes(gauges);
                families.push(gauge("last_proposal_size", last));
                families.push(gauge("min_proposal_size", min));
                families.push(gauge("max_proposal_size", max));
            }
            (PeerState::Following, _, Some(observers)) => add("synced_observers", observers),
            // Without observers to serve Java's follower has no figure, and Prometheus shows none as 0.
            (PeerState::Following, _, None)
                if self.server.config.metrics.provider == MetricsProvider::Prometheus =>
            {
                add("synced_observers", 0);
            }
            _ => (),
        }
    }

    fn gauges(&self, families: &mut Vec<Family>) {
        let (server, all, tls) = (self.server, &self.latency.all, &self.server.counters.tls);
        let (znodes, watches, ephemerals, bytes, sessions) = {
            let tree = server.driver.tree();
            let watches = server.driver.watches().total();
            (tree.node_count(), watches, tree.ephemerals_count(), tree.data_size(), tree.session_count())
        };
        let size = |bytes: u64| if self.responses.sizes.count == 0 { -1 } else { bytes as i64 };
        let real = |name, value| Family::new(name, Value::Gauge(Number::Real(value)));
        families.extend([
            real("avg_latency", shown_average(all)),
            gauge("max_latency", all.max as i64),
            gauge("min_latency", all.min as i64),
            gauge("packets_received", server.counters.received.load(Relaxed) as i64),
            gauge("packets_sent", server.counters.sent.load(Relaxed) as i64),
            gauge("num_alive_connections", server.driver.registry.len() as i64),
            gauge("outstanding_requests", server.driver.in_flight()),
            gauge("uptime", server.uptime_ms() as i64),
            gauge("znode_count", shown_node_count(znodes) as i64),
            gauge("watch_count", watches as i64),
            gauge("ephemerals_count", ephemerals as i64),
            gauge("approximate_data_size", shown_data_size(bytes) as i64),
            gauge("global_sessions", sessions as i64),
            gauge("local_sessions", self.local_sessions as i64),
            gauge("open_file_descriptor_count", process::open_files() as i64),
            gauge("max_file_descriptor_count", process::open_files_max() as i64),
            real("connection_drop_probability", server.throttle.drop_probability()),
            gauge("last_client_response_size", size(self.responses.last)),
            gauge("max_client_response_size", size(self.responses.sizes.max)),
            gauge("min_client_response_size", size(self.responses.sizes.min)),
            gauge("auth_failed_count", tls.auth_failed.load(Relaxed) as i64),
            gauge("non_mtls_remote_conn_count", tls.plain_remote.load(Relaxed) as i64),
            gauge("non_mtls_local_conn_count", tls.plain_local.load(Relaxed) as i64),
        ]);
    }

    fn by_namespace(&self, families: &mut Vec<Family>) {
        let sums = |traffic: &Traffic| {
            Value::Sums(traffic.iter().map(|(namespace, bytes)| (namespace.to_owned(), bytes)).collect())
        };
        families.push(Family::new("read_per_namespace", sums(&self.reads)));
        families.push(Family::new("write_per_namespace", sums(&self.writes)));
        families
            .push(Family::new("quota_exceeded_error_per_namespace", Value::Counters(self.refusals.clone())));
    }

    fn quotas(&self, families: &mut Vec<Family>) {
        let mut quotas = [const { Vec::new() }; 4];
        for (namespace, quota) in self.server.driver.tree().quota_figures() {
            let values = [quota.limit, quota.used].map(|sum| sum.map(|sum| [sum.count, sum.bytes]));
            let each = values.into_iter().flat_map(|pair| pair.map_or([None; 2], |pair| pair.map(Some)));
            for (list, value) in quotas.iter_mut().zip(each) {
                list.extend(value.map(|value| (namespace.clone(), Number::Whole(value))));
            }
        }
        let names = [
            "quota_count_limit_per_namespace",
            "quota_bytes_limit_per_namespace",
            "quota_count_usage_per_namespace",
            "quota_bytes_usage_per_namespace",
        ];
        families
            .extend(names.into_iter().zip(quotas).map(|(name, list)| Family::new(name, Value::Gauges(list))));
    }

    /// What a leader sees of each of the others, and of its own disk.
    fn by_server(&self, families: &mut Vec<Family>) {
        let by_id = |(server, spread): &(ServerId, Percentiles)| (server.0.to_string(), spread.clone());
        let acknowledged = self.acknowledged.iter().map(by_id).collect();
        families.push(Family::new("ack_latency", Value::Advanceds(acknowledged)));
        let queue = |of: fn(&QueueFigures) -> &Percentiles| {
            self.queues.iter().map(|(server, figures)| (server.0.to_string(), of(figures).clone())).collect()
        };
        families.push(Family::new("learner_handler_qp_size", Value::Basics(queue(|figures| &figures.sizes))));
        let waited = queue(|figures| &figures.waited_ms);
        families.push(Family::new("learner_handler_qp_time_ms", Value::Advanceds(waited)));
    }

    /// What Java counts from its release 3.10 on, under the names that it has in `mntr` there.
    fn of_the_next_release(&self, families: &mut Vec<Family>) {
        let operations = self.server.counters.operations.figures();
        families.extend(operations.map(|(name, count)| Family::new(name, Value::Counter(count))));
        families.push(Family::new("ttl_node_created_count", Value::Counter(self.ttl_nodes.created)));
        families.push(Family::new("ttl_node_deleted_count", Value::Counter(self.ttl_nodes.deleted)));
    }

    /// Who was turned away for what came or did not come, by port. Those of SASL are among them.
    fn refusals(&self, families: &mut Vec<Family>) {
        let (config, counters) = (&self.server.config, &self.server.counters);
        let asks_over_http = config.admin.enabled || config.metrics.provider == MetricsProvider::Prometheus;
        let has_tls = config.admin_tls().is_some() || config.metrics.side().is_some();
        for (name, count, is_there) in [
            ("zabd_client_connections_refused", &counters.clients.count, true),
            ("zabd_quorum_connections_refused", &counters.servers_refused, config.ensemble.is_some()),
            ("zabd_http_handshakes_refused", &counters.http_handshakes.count, has_tls),
            ("zabd_http_requests_refused", &counters.http_requests.count, asks_over_http),
            ("zabd_probes_refused", &counters.probes.count, config.probes.port.is_some()),
        ] {
            if is_there {
                families.push(Family::new(name, Value::Counter(count.load(Relaxed))));
            }
        }
    }

    /// What Java does not have: its server ends when the disk is full, or its memory, and only its log knows of SASL, of
    /// handshakes over HTTP and of the age of certificates.
    fn of_zabd(&self, families: &mut Vec<Family>) {
        if self.server.config.auth.sasl.has_users() {
            let counters = &self.server.counters;
            for (name, count) in [
                ("zabd_sasl_authenticated", &counters.sasl_authenticated),
                ("zabd_sasl_refused", &counters.sasl_refused.count),
            ] {
                families.push(Family::new(name, Value::Counter(count.load(Relaxed))));
            }
        }
        if self.server.config.ensemble.as_ref().is_some_and(|ensemble| ensemble.sasl.is_some()) {
            let counts = &self.server.counters.member_sasl;
            for (name, count) in [
                ("zabd_quorum_sasl_authenticated", &counts.authenticated),
                ("zabd_quorum_sasl_refused", &counts.refused),
            ] {
                families.push(Family::new(name, Value::Counter(count.load(Relaxed))));
            }
        }
        self.refusals(families);
        let slow = &self.server.driver.slow;
        if slow.is_on() {
            families.push(Family::new("zabd_slow_operations", Value::Counter(slow.counted.load(Relaxed))));
        }
        let lost = logging::lost_lines();
        for (name, count) in ["zabd_log_lines_lost", "zabd_audit_lines_lost"].into_iter().zip(lost) {
            families.push(Family::new(name, Value::Counter(count)));
        }
        // The first write behind a start needs a file of its own, and until there is one nobody has found out.
        let finds_no_room = !self.has_written && free_space::is_little(&self.server.directories.logs);
        families.push(gauge("zabd_writes_refused", i64::from(self.is_suspended || finds_no_room)));
        if let Some(bytes) = free_space::bytes(&self.server.directories.logs) {
            families.push(gauge("zabd_log_disk_free_bytes", bytes as i64));
        }
        let set_aside = count_set_aside(&RealDisk, &self.server.directories);
        families.push(gauge("zabd_set_aside_directories", set_aside as i64));
        if let Some(seconds) = certificates::first_ends_in_s() {
            families.push(gauge("zabd_certificate_ends_in_seconds", seconds));
        }
        if let Some(looks) = certificates::unusable_looks() {
            families.push(Family::new("zabd_certificate_looks_unusable", Value::Counter(looks)));
        }
        if let Some(memory) = self.server.driver.memory() {
            families.push(gauge("zabd_memory_limit_bytes", memory.limit().bytes as i64));
            families.push(gauge("zabd_memory_used_bytes", memory.used_bytes() as i64));
            families.push(gauge("zabd_memory_kept_bytes", memory.kept_bytes() as i64));
            families.push(gauge("zabd_memory_room", memory.room() as i64));
        }
    }
}

/// What is no figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A word or more.
    Text(&'static str),
    /// A number that names something.
    Number(i64),
}

fn gauge(name: &'static str, value: i64) -> Family {
    Family::new(name, Value::Gauge(Number::Whole(value)))
}

/// Java keys the root twice, once as `/`, and counts the length of that, too.
fn shown_data_size(bytes: u64) -> u64 {
    bytes + 1
}
