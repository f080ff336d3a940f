//! `dump` and `hash`: sessions, ephemerals and connections by the time they end; digests by zxid.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::Ordering::Relaxed;

use super::date::java_date;
use crate::introspect::Introspection;
use crate::net::java_address::shown;
use zabd_replica::{Replica, Serving, SessionBucket};

/// Sessions, ephemerals, connections.
pub(super) fn dump(server: &Introspection) -> String {
    let mut text = "SessionTracker dump:\n".to_owned();
    let has_local = server.config.ensemble.as_ref().is_some_and(|ensemble| ensemble.local_sessions);
    if has_local {
        let local = server.driver.inspect(Replica::local_session_buckets);
        sets(&mut text, server, "Local Session", &named(local));
    }
    match server.driver.inspect(Replica::ensemble_status).map(|status| status.serving) {
        None | Some(Serving::Leading) => {
            let name = if has_local { "Global Session" } else { "Session" };
            sets(&mut text, server, name, &named(server.driver.inspect(Replica::session_buckets)));
        }
        // Only a leader knows when they end.
        Some(_) => global_sessions(&mut text, server),
    }
    ephemerals(&mut text, server);
    text.push_str("Connections dump:\n");
    sets(&mut text, server, "Connections", &connections(server));
    text
}

fn named(buckets: Vec<SessionBucket>) -> Vec<(i64, Vec<String>)> {
    let names = |bucket: SessionBucket| bucket.sessions.iter().map(ToString::to_string).collect();
    buckets.into_iter().map(|bucket| (bucket.end_ms, names(bucket))).collect()
}

fn global_sessions(text: &mut String, server: &Introspection) {
    let tree = server.driver.tree();
    let sessions: BTreeMap<_, _> = tree.sessions().collect();
    let _ = writeln!(text, "Global Sessions({}):", sessions.len());
    for (session, timeout_ms) in sessions {
        let _ = writeln!(text, "{session}\t{timeout_ms}ms");
    }
}

/// Digests that were noted on the way.
pub(super) fn hash(server: &Introspection) -> String {
    let tree = server.driver.tree();
    tree.noted_digests().fold(String::new(), |mut text, (zxid, digest)| {
        let _ = writeln!(text, "{zxid:x}: {}", digest as i64);
        text
    })
}

/// Things by the moment they end.
fn sets(text: &mut String, server: &Introspection, name: &str, buckets: &[(i64, Vec<String>)]) {
    let total: usize = buckets.iter().map(|(_, members)| members.len()).sum();
    let _ = writeln!(text, "{name} Sets ({})/({total}):", buckets.len());
    for (end_ms, members) in buckets {
        let _ = writeln!(text, "{} expire at {}:", members.len(), java_date(server.wall_ms_at(*end_ms)));
        for member in members {
            let _ = writeln!(text, "\t{member}");
        }
    }
}

fn ephemerals(text: &mut String, server: &Introspection) {
    let tree = server.driver.tree();
    let sessions: Vec<_> = tree.sessions_with_ephemerals().collect();
    let _ = writeln!(text, "ephemeral nodes dump:\nSessions with Ephemerals ({}):", sessions.len());
    for session in sessions {
        let _ = writeln!(text, "{session}:");
        for path in tree.ephemerals(session) {
            let _ = writeln!(text, "\t{path}");
        }
    }
}

fn connections(server: &Introspection) -> Vec<(i64, Vec<String>)> {
    let mut buckets: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    for client in server.driver.registry.lock().iter() {
        let timeout_ms = match client.counters.timeout_ms.load(Relaxed) {
            0 => i64::from(server.config.sessionless_timeout_ms),
            timeout_ms => timeout_ms,
        };
        let end_ms = ((client.counters.heard_ms.load(Relaxed) + timeout_ms) / 10_000 + 1) * 10_000;
        let session = client.counters.session.load(Relaxed);
        let line = format!("ip: {} sessionId: {session:#x}", shown(client.address));
        buckets.entry(end_ms).or_default().push(line);
    }
    buckets.into_iter().collect()
}
