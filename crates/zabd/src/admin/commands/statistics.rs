//! Connections, sessions, figures, watches and digests.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use zabd_jute::SessionId;
use zabd_replica::{Replica, SessionBucket};

use super::{Fields, Json, field};
use crate::admin::clients::{short_name, shown_average, shown_node_count, shown_proposal_bytes};
use crate::admin::environment::sizes;
use crate::admin::families::{Fact, Number, Seen};
use crate::admin::watches::{Room, TooMuchToList, reported};
use crate::admin::{VERSION, monitor};
use crate::introspect::{Introspection, READ_ONLY};
use crate::net::java_address::shown;
use crate::net::{Client, Responses};

/// Whether it serves reads only.
pub(super) fn is_read_only(server: &Introspection) -> bool {
    server.mode() == READ_ONLY
}

/// Connections, with all that is known of each or with a part of it.
pub(super) fn connections(server: &Introspection, brief: bool) -> Fields {
    let of = |is_secure: bool| {
        let clients = server.driver.registry.lock();
        let those = clients.iter().filter(|client| client.counters.is_secure.load(Relaxed) == is_secure);
        Json::List(those.map(|client| connection(server, client, brief)).collect())
    };
    vec![field("connections", of(false)), field("secure_connections", of(true))]
}

fn connection(server: &Introspection, client: &Client, brief: bool) -> Json {
    let figures = *client.counters.figures.lock();
    let session = client.counters.session.load(Relaxed);
    let mut fields = vec![
        field("remote_socket_address", shown(client.address).trim_start_matches('/')),
        field("interest_ops", i64::from(session != 0)),
        field("outstanding_requests", figures.outstanding),
        field("packets_received", figures.received),
        field("packets_sent", figures.sent),
    ];
    if !brief {
        fields.extend([
            field("session_id", session),
            field("last_operation", short_name(figures.last_op)),
            field("established", server.wall_ms_at(client.counters.since_ms)),
            field("session_timeout", client.counters.timeout_ms.load(Relaxed)),
            field("last_cxid", figures.last_cxid),
            field("last_zxid", figures.last_zxid),
            field("last_response_time", figures.last_response_ms),
            field("last_latency", figures.last_latency_ms),
            field("min_latency", figures.latency.min),
            field("avg_latency", figures.latency.average() as u64),
            field("max_latency", figures.latency.max),
        ]);
    }
    Json::Object(fields)
}

/// Sessions by the moment they end, on the server's own clock, and the ephemerals of each.
pub(super) fn dump(server: &Introspection) -> Result<Fields, TooMuchToList> {
    let buckets = server.driver.inspect(|replica| {
        let mut buckets = replica.session_buckets();
        buckets.extend(replica.local_session_buckets());
        buckets
    });
    let mut expiry: BTreeMap<i64, Vec<Json>> = BTreeMap::new();
    for SessionBucket { end_ms, sessions } in buckets {
        expiry.entry(end_ms).or_default().extend(sessions.iter().map(|session| Json::Whole(session.0)));
    }
    let mut room = Room::for_a_list();
    let mut ephemerals = Fields::new();
    let tree = server.driver.tree();
    for session in tree.sessions_with_ephemerals() {
        let paths = tree.ephemerals(session);
        paths.iter().try_for_each(|path| room.take(path))?;
        ephemerals.push((session.0.to_string(), paths.into_iter().map(Json::Text).collect()));
    }
    drop(tree);
    let expiry: Fields =
        expiry.into_iter().map(|(end_ms, ids)| (end_ms.to_string(), Json::List(ids))).collect();
    Ok(vec![field("expiry_time_to_session_ids", expiry), field("session_id_to_ephemeral_paths", ephemerals)])
}

/// Digests that were noted on the way.
pub(super) fn digests(server: &Introspection) -> Fields {
    let digest = |(zxid, digest): (zabd_jute::Zxid, u64)| {
        Json::Object(vec![
            field("zxid", zxid.0),
            field("digest", digest.cast_signed()),
            field("digest_version", DIGEST_VERSION),
        ])
    };
    let tree = server.driver.tree();
    vec![field("digests", tree.noted_digests().map(digest).collect::<Json>())]
}

/// How the digest is computed: Java's `DigestCalculator.DIGEST_VERSION`.
const DIGEST_VERSION: i64 = 2;

/// Every figure as in `mntr`.
pub(super) fn monitor(server: &Introspection) -> Fields {
    let seen = Seen::now(server);
    let fact = |(name, fact): (&str, Fact)| match fact {
        Fact::Text(text) => field(name, text),
        Fact::Number(number) => field(name, number),
    };
    let figure = |(name, number): (String, Number)| match number {
        Number::Whole(number) => (name, Json::Whole(number)),
        Number::Real(number) => (name, Json::Real(number)),
    };
    let figures = monitor::figures(server, &seen).into_iter().map(figure);
    seen.facts().into_iter().map(fact).chain(figures).collect()
}

/// The server in some figures.
pub(super) fn server(server: &Introspection) -> Fields {
    let all = server.counters.latency.lock().all;
    let responses = *server.counters.responses.lock();
    let tls = &server.counters.tls;
    let (data_bytes, log_bytes) = sizes(server);
    let led_from = server.led_from();
    let (zxid, nodes) = {
        let tree = server.driver.tree();
        (tree.last_zxid().max(led_from), tree.node_count())
    };
    let stats = vec![
        field("packets_sent", server.counters.sent.load(Relaxed)),
        field("packets_received", server.counters.received.load(Relaxed)),
        field("fsync_threshold_exceed_count", server.log.lock().slow_syncs),
        field("client_response_stats", response_stats(&responses)),
        field("uptime", server.uptime_ms()),
        field("provider_null", false),
        field("data_dir_size", data_bytes),
        field("log_dir_size", log_bytes),
        field("last_processed_zxid", zxid.0),
        field("outstanding_requests", server.driver.in_flight()),
        field("server_state", server.mode()),
        field("avg_latency", shown_average(&all)),
        field("max_latency", all.max),
        field("min_latency", all.min),
        field("num_alive_client_connections", server.driver.registry.len()),
        field("auth_failed_count", tls.auth_failed.load(Relaxed)),
        field("non_mtlsremote_conn_count", tls.plain_remote.load(Relaxed)),
        field("non_mtlslocal_conn_count", tls.plain_local.load(Relaxed)),
    ];
    let mut fields = vec![
        field("version", VERSION),
        field("read_only", is_read_only(server)),
        field("server_stats", stats),
        field("client_response", response_stats(&responses)),
    ];
    if let Some(gauges) = server.driver.inspect(Replica::leader_gauges) {
        let [last, min, max] = shown_proposal_bytes(&gauges);
        fields.push(field("proposal_stats", buffer_stats(last, min, max)));
    }
    fields.push(field("node_count", shown_node_count(nodes)));
    fields
}

fn response_stats(responses: &Responses) -> Fields {
    let size = |bytes: u64| if responses.sizes.count == 0 { -1 } else { bytes as i64 };
    buffer_stats(size(responses.last), size(responses.sizes.min), size(responses.sizes.max))
}

fn buffer_stats(last: i64, min: i64, max: i64) -> Fields {
    vec![field("last_buffer_size", last), field("min_buffer_size", min), field("max_buffer_size", max)]
}

/// Three figures.
pub(super) fn watch_summary(server: &Introspection) -> Fields {
    let _tree = server.driver.tree();
    let counts = server.driver.watches().counts();
    vec![
        field("num_connections", counts.connections),
        field("num_paths", counts.paths),
        field("num_total_watches", counts.watches),
    ]
}

/// Paths by session.
pub(super) fn watches(server: &Introspection) -> Result<Fields, TooMuchToList> {
    let mut by_session: BTreeMap<SessionId, Vec<Arc<str>>> = BTreeMap::new();
    for (path, session) in reported(server)? {
        by_session.entry(session).or_default().push(path);
    }
    let paths = |mut paths: Vec<Arc<str>>| {
        paths.sort_unstable();
        paths.iter().map(|path| Json::from(&**path)).collect()
    };
    let fields: Fields =
        by_session.into_iter().map(|(session, list)| (session.0.to_string(), paths(list))).collect();
    Ok(vec![field("session_id_to_watched_paths", fields)])
}

/// Sessions by path.
pub(super) fn watches_by_path(server: &Introspection) -> Result<Fields, TooMuchToList> {
    let mut by_path: BTreeMap<Arc<str>, Vec<SessionId>> = BTreeMap::new();
    for (path, session) in reported(server)? {
        by_path.entry(path).or_default().push(session);
    }
    let sessions = |mut sessions: Vec<SessionId>| {
        sessions.sort_unstable();
        sessions.iter().map(|session| Json::Whole(session.0)).collect()
    };
    let fields: Fields = by_path.into_iter().map(|(path, list)| (path.to_string(), sessions(list))).collect();
    Ok(vec![field("path_to_session_ids", fields)])
}
