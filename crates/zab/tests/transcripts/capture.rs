//! The quorum port's part of a capture, as one list in the order of time.
//!
//! Of long differences the captures leave the middle out and say how much. It is put in again, with other bytes in
//! place of its transactions: agreement orders them and does not look into them.

use std::collections::BTreeMap;

use bytes::Bytes;
use zabd_jute::quorum::{FromLeader, FromLearner, LearnerInfo, PacketKind, QuorumPacket};
use zabd_jute::{Epoch, Limits, Reader, Record as _, Writer, Zxid};

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/golden");

/// Something that happened on a quorum connection.
#[derive(Clone, Debug)]
pub struct Record {
    pub at_ms: i64,
    pub conn: u64,
    pub learner: i64,
    pub leader: i64,
    /// Not on the port that followers have for observers.
    pub is_of_leader: bool,
    pub is_by_learner: bool,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    Open,
    Packet(Bytes),
    /// The stream behind SNAP, and whether its signature is right.
    Snapshot(bool),
    End,
}

impl Record {
    pub fn packet(&self) -> Option<&Bytes> {
        match &self.what {
            What::Packet(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The packet, if it is the learner's.
    pub fn of_learner(&self) -> Option<FromLearner<'_>> {
        let bytes = self.packet().filter(|_| self.is_by_learner)?;
        FromLearner::decode(envelope(bytes)).expect("well formed")
    }

    /// The packet, if it is the leader's.
    pub fn of_leader(&self) -> Option<FromLeader<'_>> {
        let bytes = self.packet().filter(|_| !self.is_by_learner)?;
        FromLeader::decode(&envelope(bytes)).expect("well formed")
    }

    /// Position and transaction, if it is a proposal.
    pub fn proposal(&self) -> Option<(Zxid, Bytes)> {
        match self.of_leader()? {
            FromLeader::Proposal { zxid, txn } => Some((zxid, self.packet()?.slice_ref(txn))),
            _ => None,
        }
    }
}

/// A packet before its data are looked into.
pub fn envelope(bytes: &[u8]) -> QuorumPacket<'_> {
    QuorumPacket::decode(&mut Reader::with_limits(bytes, Limits::default())).expect("well formed")
}

/// A packet's name and position, for people; and what tells it from every other one.
pub fn told(bytes: &[u8]) -> String {
    if bytes == SNAPSHOT {
        return "the snapshot".to_owned();
    }
    let Ok(packet) = QuorumPacket::decode(&mut Reader::with_limits(bytes, Limits::default())) else {
        return format!("nothing {}", hash(bytes));
    };
    let name = PacketKind::from_code(packet.kind).map_or("unknown", PacketKind::name);
    // Neither data nor authentication: the rest says it all.
    let rest = match (bytes.ends_with(&[0xff; 8]), packet.data) {
        (true, None) => "-".to_owned(),
        (_, data) => format!("{} bytes {}", data.map_or(0, <[u8]>::len), hash(bytes)),
    };
    format!("{name} {} {rest}", packet.zxid)
}

/// FNV-1a.
pub fn hash(bytes: &[u8]) -> String {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    format!("#{:016x}", bytes.iter().fold(0xcbf2_9ce4_8422_2325, step))
}

pub fn encoded(packet: &FromLeader<'_>) -> Bytes {
    let mut bytes = Vec::new();
    packet.encode(&mut Writer::new(&mut bytes));
    bytes.into()
}

/// All that happened on the quorum ports of a capture, or on the port for observers.
pub fn read(name: &str) -> Vec<Record> {
    let text = std::fs::read_to_string(format!("{DIRECTORY}/zab-java-{name}.jsonl"))
        .expect("the capture can be read");
    let mut records: Vec<Record> = Vec::new();
    let mut left_out = None;
    for line in text.lines() {
        let value: serde_json::Value = serde_json::from_str(line).expect("each line is an object");
        if let Some(note) = value["text"].as_str().filter(|note| note.contains("left out")) {
            let count = note.split(' ').next().and_then(|count| count.parse::<usize>().ok());
            left_out =
                Some((value["conn"].as_u64().expect("of a connection"), count.expect("it says how many")));
        }
        let Some(record) = record(&value) else { continue };
        if let Some((_, count)) = left_out.take_if(|(conn, _)| *conn == record.conn) {
            let before =
                records.iter().rfind(|before| before.conn == record.conn).expect("it has a beginning");
            let put_in = fill(before, &record);
            assert_eq!(put_in.len(), count, "{name}: as many as were left out");
            records.extend(put_in);
        }
        records.push(record);
    }
    assert_eq!(left_out, None, "something comes behind what was left out");
    put_in_what_another_connection_had(&mut records);
    // Who is at the other end is known from some record of each connection.
    let known = |conn, end: fn(&Record) -> i64| {
        let ends = records.iter().filter(move |record| record.conn == conn).map(end);
        ends.max().expect("there is one")
    };
    let ends: Vec<_> = records
        .iter()
        .map(|record| (known(record.conn, |r| r.learner), known(record.conn, |r| r.leader)))
        .collect();
    for (record, (learner, leader)) in records.iter_mut().zip(ends) {
        (record.learner, record.leader) = (learner, leader);
    }
    records
}

fn record(value: &serde_json::Value) -> Option<Record> {
    let text = |name: &str| value[name].as_str().unwrap_or_default();
    let bytes = || {
        let digits = text("hex").as_bytes().chunks(2);
        let byte =
            |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16).expect("hex");
        digits.map(byte).collect::<Vec<_>>()
    };
    let what = match text("kind") {
        _ if !["quorum", "observer-master"].contains(&text("port")) => return None,
        // Authentication is over before the first packet; notes say what was done to servers.
        "NOTE" | "TCP_REFUSED" | "QUORUM_AUTH" => return None,
        "TCP_OPEN" => What::Open,
        "TCP_FIN" | "TCP_RST" => What::End,
        "SNAPSHOT_STREAM" => What::Snapshot(bytes().ends_with(b"BenWasHere")),
        _ => What::Packet(bytes().into()),
    };
    let is_by_learner = text("dir") == "dialer->listener";
    let (from, to) = (value["from"].as_i64().unwrap_or(0), value["to"].as_i64().unwrap_or(0));
    let (learner, leader) = if is_by_learner { (from, to) } else { (to, from) };
    let is_of_leader = text("port") == "quorum";
    let at_ms = value["t_ms"].as_f64().expect("a time") as i64;
    let conn = value["conn"].as_u64().expect("a connection");
    Some(Record { at_ms, conn, learner, leader, is_of_leader, is_by_learner, what })
}

/// What was left out of one connection may have been recorded of another.
fn put_in_what_another_connection_had(records: &mut [Record]) {
    let proposals: BTreeMap<Zxid, Bytes> =
        records.iter().filter_map(Record::proposal).filter(|(_, txn)| *txn != STAND_IN).collect();
    for record in records {
        if let Some((zxid, txn)) = record.proposal()
            && txn == STAND_IN
            && let Some(txn) = proposals.get(&zxid)
        {
            record.what = What::Packet(encoded(&FromLeader::Proposal { zxid, txn }));
        }
    }
}

/// What was left out between a proposal and a later one: its commit, and others with theirs.
fn fill(before: &Record, after: &Record) -> Vec<Record> {
    let zxid = |record: &Record| record.proposal().expect("it is left out between two proposals").0;
    let (mut last, end) = (zxid(before), zxid(after));
    let mut put_in = vec![encoded(&FromLeader::Commit { zxid: last })];
    while last.next() < end {
        last = last.next();
        put_in.push(encoded(&FromLeader::Proposal { zxid: last, txn: STAND_IN }));
        put_in.push(encoded(&FromLeader::Commit { zxid: last }));
    }
    put_in.into_iter().map(|bytes| Record { what: What::Packet(bytes), ..before.clone() }).collect()
}

/// In place of the stream behind SNAP, which is the tree's business.
pub const SNAPSHOT: &[u8] = b"snapshot";
/// In place of a transaction that nobody recorded.
pub const STAND_IN: &[u8] = b"a transaction that was left out";

/// What a learner said of itself when it came.
#[derive(Clone, Copy, Debug)]
pub struct Introduction {
    pub accepted: Epoch,
    pub info: LearnerInfo,
    pub is_observer: bool,
    /// Behind LEADERINFO, if it came so far.
    pub last_zxid: Option<Zxid>,
    pub current: Option<Epoch>,
}

pub fn introduction(records: &[Record]) -> Introduction {
    let said = || records.iter().filter_map(Record::of_learner);
    let (kind, accepted, info) = said()
        .find_map(|said| match said {
            FromLearner::Info { kind, accepted, info, .. } => Some((kind, accepted, info)),
            _ => None,
        })
        .expect("a learner says who it is");
    let (last_zxid, current) = said()
        .find_map(|said| match said {
            FromLearner::AckEpoch { last_zxid, current } => Some((Some(last_zxid), current)),
            _ => None,
        })
        .unwrap_or_default();
    let is_observer = kind == zabd_jute::quorum::LearnerKind::Observer;
    Introduction { accepted, info: info.expect("since 3.4 there are data"), is_observer, last_zxid, current }
}
