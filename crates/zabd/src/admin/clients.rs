//! `srvr`, `stat` and `cons`: the server in a few lines, and its connections.

use std::fmt::Write as _;
use std::sync::atomic::Ordering::Relaxed;

use zabd_jute::OpCode;
use zabd_replica::{LeaderGauges, Replica};

use super::VERSION;
use super::java_number::double;
use crate::introspect::{Introspection, READ_ONLY};
use crate::net::java_address::shown;
use crate::net::{Client, Summary};

/// The server without its connections.
pub(super) fn srvr(server: &Introspection) -> String {
    format!("{}{}", version(server), figures(server))
}

fn version(server: &Introspection) -> String {
    let limits = match server.mode() {
        READ_ONLY => "READ-ONLY mode; serving only read-only clients\n",
        _ => "",
    };
    format!("Zookeeper version: {VERSION}\n{limits}")
}

/// The server with its connections.
pub(super) fn stat(server: &Introspection) -> String {
    let mut text = format!("{}Clients:\n", version(server));
    for client in server.driver.registry.lock().iter() {
        text.push_str(&line(server, client, true));
    }
    text.push('\n');
    text.push_str(&figures(server));
    text
}

/// The connections with all that is known of them.
pub(super) fn cons(server: &Introspection) -> String {
    let mut text = String::new();
    for client in server.driver.registry.lock().iter() {
        text.push_str(&line(server, client, false));
    }
    text.push('\n');
    text
}

/// Java rounds an average to four places.
pub(super) fn shown_average(summary: &Summary) -> f64 {
    (summary.average() * 10_000.0).round() / 10_000.0
}

fn average(summary: &Summary) -> String {
    double(shown_average(summary))
}

fn figures(server: &Introspection) -> String {
    let latency = server.counters.latency.lock().all;
    // The replica's lock comes before the tree's.
    let mode = server.mode();
    let gauges = server.driver.inspect(Replica::leader_gauges);
    let proposals = gauges.map_or_else(String::new, |gauges| {
        let [last, min, max] = shown_proposal_bytes(&gauges);
        format!("Proposal sizes last/min/max: {last}/{min}/{max}\n")
    });
    let led_from = server.led_from();
    let tree = server.driver.tree();
    format!(
        "Latency min/avg/max: {}/{}/{}\nReceived: {}\nSent: {}\nConnections: {}\nOutstanding: {}\nZxid: {:#x}\n\
         Mode: {}\nNode count: {}\n{proposals}",
        latency.min,
        average(&latency),
        latency.max,
        server.counters.received.load(Relaxed),
        server.counters.sent.load(Relaxed),
        server.driver.registry.len(),
        server.driver.in_flight(),
        tree.last_zxid().max(led_from),
        mode,
        shown_node_count(tree.node_count()),
    )
}

/// Last, smallest and largest; -1 before there is one.
pub(super) fn shown_proposal_bytes(gauges: &LeaderGauges) -> [i64; 3] {
    gauges.proposal_bytes.map_or([-1; 3], |(last, min, max)| [last, min, max].map(|bytes| bytes as i64))
}

/// Java keys the root twice, and counts it so.
pub fn shown_node_count(count: usize) -> usize {
    count + 1
}

fn line(server: &Introspection, client: &Client, brief: bool) -> String {
    let figures = *client.counters.figures.lock();
    let session = client.counters.session.load(Relaxed);
    // A connection that has a session waits for requests: interest in reading.
    let interest = u8::from(session != 0);
    let mut text = format!(
        " {}[{interest}](queued={},recved={},sent={}",
        shown(client.address),
        figures.outstanding,
        figures.received,
        figures.sent
    );
    if !brief && session != 0 {
        let _ = write!(
            text,
            ",sid={session:#x},lop={},est={},to={}",
            short_name(figures.last_op),
            server.wall_ms_at(client.counters.since_ms),
            client.counters.timeout_ms.load(Relaxed)
        );
        if figures.last_cxid >= 0 {
            let _ = write!(text, ",lcxid={:#x}", figures.last_cxid);
        }
        let _ = write!(
            text,
            ",lzxid={:#x},lresp={},llat={},minlat={},avglat={},maxlat={}",
            figures.last_zxid,
            figures.last_response_ms,
            figures.last_latency_ms,
            figures.latency.min,
            figures.latency.average() as u64,
            figures.latency.max
        );
    }
    text.push_str(")\n");
    text
}

/// `Request.op2String` of the Java server.
pub(super) fn short_name(op: i32) -> &'static str {
    match OpCode::from_code(op) {
        Some(OpCode::Ping) => "PING",
        Some(OpCode::CreateSession) => "SESS",
        Some(OpCode::Multi) => "MULT",
        Some(OpCode::MultiRead) => "MLTR",
        Some(OpCode::Create | OpCode::Create2 | OpCode::CreateContainer | OpCode::CreateTtl) => "CREA",
        Some(OpCode::Delete | OpCode::DeleteContainer) => "DELE",
        Some(OpCode::SetData) => "SETD",
        Some(OpCode::Reconfig) => "RECO",
        Some(OpCode::SetAcl) => "SETA",
        Some(OpCode::CloseSession) => "CLOS",
        Some(OpCode::Sync) => "SYNC",
        Some(OpCode::Check) => "CHEC",
        Some(OpCode::Exists) => "EXIS",
        Some(OpCode::GetData) => "GETD",
        Some(OpCode::SetWatches) => "SETW",
        Some(OpCode::SetWatches2) => "STW2",
        Some(OpCode::AddWatch) => "ADDW",
        Some(OpCode::GetAcl) => "GETA",
        Some(OpCode::GetChildren | OpCode::GetChildren2) => "GETC",
        Some(OpCode::GetAllChildrenNumber) => "GETACN",
        Some(OpCode::CheckWatches) => "CHKW",
        Some(OpCode::RemoveWatches) => "REMW",
        Some(OpCode::WhoAmI) => "HOMI",
        Some(OpCode::GetEphemerals) => "GETE",
        _ => "NA",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_look_like_javas() {
        for (sum, count, text) in [(0, 0, "0.0"), (10, 3, "3.3333"), (6, 2, "3.0"), (1, 8, "0.125")] {
            assert_eq!(average(&Summary { min: 0, max: 0, sum, count }), text);
        }
    }

    #[test]
    fn operations_have_short_names() {
        assert_eq!([4, 1, 15, 0, 105].map(short_name), ["GETD", "CREA", "CREA", "NA", "STW2"]);
    }
}
