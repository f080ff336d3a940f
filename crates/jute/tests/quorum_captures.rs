//! Every byte that Java servers of four releases were seen to send each other: decoded as a stream, in both
//! directions, encoded again to the same bytes, and compared with what an independent reader made of it. Of
//! every message every beginning is tried, too: it asks for more, or is an error, and never a panic.

mod captures;

use std::collections::BTreeMap;

use captures::{Record as Captured, Stream, hex, streams};
use serde_json::{Value, json};
use zabd_jute::client::{
    CreateRequest, CreateTtlRequest, DeleteRequest, MultiRequest, PathRequest, ReconfigRequest,
    SetAclRequest, SetDataRequest,
};
use zabd_jute::quorum::{
    AuthError, AuthPacket, Configuration, FromLeader, FromLearner, InitialForm, InitialMessage, LearnerInfo,
    Notification, PacketKind, PeerState, QuorumPacket, Request, SNAPSHOT_SIGNATURE, SnapshotStream,
    SnapshotStreamError, frame,
};
use zabd_jute::txn::{Entry, Txn};
use zabd_jute::{Limits, OpCode, Reader, Record, Writer};

const LIMITS: Limits = Limits { field_bytes_max: Limits::FRAME_BYTES_MAX_DEFAULT };

fn encoded(encode: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut out = Vec::new();
    encode(&mut Writer::new(&mut out));
    out
}

/// How often each kind of message was decoded.
type Tally = BTreeMap<String, usize>;

/// Reads a stream from its start; the records say what must come out, and where each message must end.
struct Walk<'s> {
    stream: &'s Stream,
    bytes: &'s [u8],
    at: usize,
    tally: &'s mut Tally,
}

impl<'s> Walk<'s> {
    /// The rest of the stream, which neither begins nor ends with the next message as far as a decoder knows.
    fn rest(&self) -> &'s [u8] {
        &self.bytes[self.at..]
    }

    /// Takes a message that was decoded, and compares it with the next record.
    fn take(&mut self, number: usize, kind: &str, length: usize) -> &'s Captured {
        let record = &self.stream.records[number];
        let name = &self.stream.name;
        assert_eq!(kind, record.kind(), "{name}");
        assert_eq!(length, record.bytes.len(), "{name}: length of {kind}");
        *self.tally.entry(kind.to_owned()).or_default() += 1;
        self.at += length;
        record
    }

    /// A step of an authentication, if that is what comes next.
    fn auth(&mut self, number: usize) -> bool {
        if self.rest().is_empty() {
            return false;
        }
        let (packet, length) = match AuthPacket::decode_stream(self.rest(), LIMITS) {
            Err(AuthError::NoMagic) => return false,
            decoded => decoded.unwrap().expect(&self.stream.name),
        };
        let record = self.take(number, "QUORUM_AUTH", length);
        assert_eq!(Some(packet.status as i64), record.int("/status"));
        let token = packet.token.map(String::from_utf8_lossy);
        assert_eq!(token.as_deref(), record.text("/token"));
        assert_eq!(packet.to_bytes(), record.bytes);
        for part in beginnings(&record.bytes) {
            assert_eq!(AuthPacket::decode_stream(part, LIMITS), Ok(None));
        }
        true
    }
}

fn beginnings(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    (0..bytes.len()).map(|length| &bytes[..length])
}

fn walk_election(walk: &mut Walk<'_>) {
    let mut number = 0;
    if walk.stream.is_from_dialer {
        let (message, length) = InitialMessage::decode_stream(walk.rest()).unwrap().expect(&walk.stream.name);
        let kind = if message.form == InitialForm::IdOnly { "INITIAL_LEGACY" } else { "INITIAL" };
        check_initial(&message, walk.take(number, kind, length));
        number += 1;
    }
    while walk.auth(number) {
        number += 1;
    }
    while !walk.rest().is_empty() {
        let (content, length) = frame(walk.rest()).unwrap().expect(&walk.stream.name);
        check_notification(content, walk.take(number, "NOTIFICATION", length));
        number += 1;
    }
}

fn check_initial(message: &InitialMessage, record: &Captured) {
    assert_eq!(Some(message.server.0), record.int("/sid"));
    let version = match message.form {
        InitialForm::IdOnly => None,
        InitialForm::V1 => Some(-65536),
        InitialForm::V2 => Some(-65535),
    };
    assert_eq!(version, record.int("/protocolVersion"));
    let addresses: Vec<_> = message.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses.join("|"), record.text("/addr").unwrap_or_default());
    let mut out = Vec::new();
    message.encode(&mut out).unwrap();
    assert_eq!(out, record.bytes);
    for part in beginnings(&record.bytes) {
        assert_eq!(InitialMessage::decode_stream(part), Ok(None));
    }
}

fn check_notification(content: &[u8], record: &Captured) {
    let notification = Notification::decode(content).unwrap();
    let states = ["LOOKING", "FOLLOWING", "LEADING", "OBSERVING"];
    let state = states.iter().position(|state| Some(*state) == record.text("/state")).unwrap();
    assert_eq!(Some(notification.state), PeerState::from_code(state as i32));
    assert_eq!(Some(notification.leader.0), record.int("/leader"));
    assert_eq!(Some(notification.zxid.0), record.hex("/zxid"));
    assert_eq!(Some(notification.round), record.int("/electionEpoch"));
    assert_eq!(Some(notification.epoch.0), record.int("/peerEpoch"));
    assert_eq!(notification.version, record.int("/version").unwrap_or(0) as i32);
    assert_eq!(notification.config.as_deref(), record.text("/config"));
    let mut out = Vec::new();
    notification.encode_frame(&mut out).unwrap();
    if let Some(config) = &notification.config {
        check_config(config);
        assert_eq!(out, record.bytes);
    } else {
        // Servers before 3.5 wrote version 1 and nothing behind it; this server writes version 2 to all.
        assert_eq!((out[4..40].to_vec(), 44), (content[..36].to_vec(), content.len() + 4));
        assert_eq!(content[36..], [0, 0, 0, 1]);
    }
    for part in beginnings(&record.bytes) {
        assert_eq!(frame(part), Ok(None));
    }
    for part in beginnings(content) {
        assert!(Notification::decode(part).is_err() || [28, 40].contains(&part.len()));
    }
}

/// Java printed it, so it is printed again to the same text.
fn check_config(text: &str) {
    assert_eq!(Configuration::parse(text).unwrap().to_string(), text);
    for length in 0..text.len() {
        let _ = Configuration::parse(&text[..length]);
    }
}

fn walk_quorum(walk: &mut Walk<'_>) {
    let mut number = 0;
    while walk.auth(number) {
        number += 1;
    }
    while !walk.rest().is_empty() {
        let (packet, length) =
            QuorumPacket::decode_stream(walk.rest(), LIMITS).unwrap().expect(&walk.stream.name);
        let kind = PacketKind::from_code(packet.kind);
        let name = kind.map_or_else(|| format!("?{}", packet.kind), |kind| kind.name().to_owned());
        let record = walk.take(number, &name, length);
        number += 1;
        check_envelope(&packet, record);
        if walk.stream.is_from_dialer {
            check_from_learner(packet, record);
        } else {
            check_from_leader(&packet, record);
        }
        if kind == Some(PacketKind::Snap) {
            if !walk_snapshot(walk, number) {
                return;
            }
            number += 1;
        }
    }
}

fn check_envelope(packet: &QuorumPacket<'_>, record: &Captured) {
    assert_eq!(Some(i64::from(packet.kind)), record.int("/type"));
    assert_eq!(Some(packet.zxid.0), record.hex("/zxid"));
    assert_eq!(packet.data.map(|data| data.len() as i64), record.int("/data_len"));
    let authinfo = packet
        .authinfo
        .as_ref()
        .map(|ids| ids.iter().map(|id| json!({ "scheme": id.scheme(), "id": id.id() })).collect::<Vec<_>>());
    assert_eq!(json!(authinfo), record.fields["authinfo"]);
    assert_eq!(packet.to_bytes(), record.bytes);
    for part in beginnings(&record.bytes) {
        assert_eq!(QuorumPacket::decode_stream(part, LIMITS), Ok(None));
    }
}

fn hex_text(value: i64) -> Value {
    json!(format!("{value:#x}"))
}

fn check_from_learner(packet: QuorumPacket<'_>, record: &Captured) {
    for data in beginnings(packet.data.unwrap_or_default()) {
        let _ = FromLearner::decode(QuorumPacket { data: Some(data), ..packet.clone() });
    }
    let message = FromLearner::decode(packet).unwrap().expect("a learner sends it");
    assert_eq!(encoded(|w| message.encode(w)), record.bytes);
    let data = match &message {
        FromLearner::Info { info, .. } => info_fields(info.expect("since 3.4 there are data")),
        FromLearner::AckEpoch { current, .. } => {
            json!({ "currentEpoch": current.map_or(-1, |epoch| epoch.0) })
        }
        FromLearner::Ack { .. } => Value::Null,
        FromLearner::Ping { touched, .. } => {
            let touched = touched
                .iter()
                .map(|touch| json!({ "session": hex_text(touch.session.0), "timeout": touch.timeout_ms }));
            json!({ "touched": touched.collect::<Vec<_>>() })
        }
        FromLearner::Request(request) => {
            check_request(request);
            assert_eq!(Some(request.session.0), record.hex("/data/session"));
            assert_eq!(Some(i64::from(request.cxid)), record.int("/data/cxid"));
            record.fields["data"].clone()
        }
        FromLearner::Revalidate { session, timeout_ms } => {
            json!({ "session": hex_text(session.0), "timeout": timeout_ms })
        }
    };
    assert_eq!(data, record.fields.get("data").cloned().unwrap_or_default());
}

fn info_fields(info: LearnerInfo) -> Value {
    let mut fields = json!({ "serverid": info.server.0 });
    if let Some(version) = info.protocol_version {
        fields["protocolVersion"] = hex_text(version.into());
    }
    if let Some(version) = info.config_version {
        fields["configVersion"] = hex_text(version.0);
    }
    fields
}

/// The client's request inside decodes like any client's.
fn check_request(request: &Request<'_>) {
    fn again<'a, R: Record<'a>>(body: &'a [u8]) -> Vec<u8> {
        R::from_bytes(body).unwrap().to_bytes()
    }
    let body = request.body;
    let again = match OpCode::from_code(request.op).unwrap() {
        OpCode::CreateSession => Reader::new(body).int().unwrap().to_be_bytes().to_vec(),
        OpCode::CloseSession => Vec::new(),
        OpCode::Create | OpCode::Create2 | OpCode::CreateContainer => again::<CreateRequest<'_>>(body),
        OpCode::CreateTtl => again::<CreateTtlRequest<'_>>(body),
        OpCode::Delete => again::<DeleteRequest<'_>>(body),
        OpCode::SetData => again::<SetDataRequest<'_>>(body),
        OpCode::SetAcl => again::<SetAclRequest<'_>>(body),
        OpCode::Multi => again::<MultiRequest<'_>>(body),
        OpCode::Sync => again::<PathRequest<'_>>(body),
        OpCode::Reconfig => again::<ReconfigRequest<'_>>(body),
        other => panic!("no learner forwards {other:?}"),
    };
    assert_eq!(again, body);
}

fn check_from_leader(packet: &QuorumPacket<'_>, record: &Captured) {
    for data in beginnings(packet.data.unwrap_or_default()) {
        let _ = FromLeader::decode(&QuorumPacket { data: Some(data), ..packet.clone() });
    }
    let Some(message) = FromLeader::decode(packet).unwrap() else {
        assert_eq!(record.kind(), "?99", "one script sends a kind that no server knows");
        return;
    };
    assert_eq!(encoded(|w| message.encode(w)), record.bytes);
    let given = &record.fields["data"];
    match &message {
        FromLeader::LeaderInfo { protocol_version, .. } => {
            assert_eq!(json!({ "protocolVersion": hex_text((*protocol_version).into()) }), *given);
        }
        FromLeader::NewLeader { config, .. } => {
            assert_eq!(config.as_deref(), record.text("/data/config"));
            if let Some(config) = config {
                check_config(config);
            }
        }
        FromLeader::Proposal { zxid, txn } | FromLeader::Inform { zxid, txn } => {
            assert_eq!(check_txn(txn, given).header.zxid, *zxid);
        }
        FromLeader::CommitAndActivate { leader, .. } => {
            assert_eq!(json!({ "designatedLeader": leader.0 }), *given);
        }
        FromLeader::InformAndActivate { zxid, leader, txn } => {
            assert_eq!(Some(leader.0), record.int("/data/designatedLeader"));
            assert_eq!(check_txn(txn, given).header.zxid, *zxid);
        }
        FromLeader::Revalidate { session, is_valid } => {
            assert_eq!(json!({ "session": hex_text(session.0), "valid": is_valid }), *given);
        }
        FromLeader::SnapInstead { .. } => panic!("no server of Java says that"),
        FromLeader::Diff { .. }
        | FromLeader::Trunc { .. }
        | FromLeader::Snap { .. }
        | FromLeader::UpToDate
        | FromLeader::Commit { .. }
        | FromLeader::Ping { .. }
        | FromLeader::Sync => assert_eq!(*given, Value::Null),
    }
}

fn check_txn<'a>(txn: &'a [u8], given: &Value) -> Entry<'a> {
    let mut r = Reader::new(txn);
    let entry = Entry::decode(&mut r).unwrap();
    assert_eq!(r.remaining(), b"");
    assert_eq!(encoded(|w| entry.encode(w)), txn);
    assert_eq!(Some(entry.header.session.0), hex(&given["hdr"]["clientId"]));
    assert_eq!(json!(entry.header.cxid), given["hdr"]["cxid"]);
    assert_eq!(json!(entry.header.time_ms), given["hdr"]["time"]);
    assert_eq!(entry.digest.map(|digest| digest.tree as i64), hex(&given["digest"]["treeDigest"]));
    if let Txn::SetData { path, data: Some(config), .. } = &entry.txn
        && entry.header.kind == OpCode::Reconfig.code()
    {
        assert_eq!(path, "/zookeeper/config");
        check_config(std::str::from_utf8(config).unwrap());
    }
    for part in beginnings(txn) {
        let _ = Entry::decode(&mut Reader::new(part));
    }
    entry
}

/// Skips the leader's state behind SNAP; false if its signature is wrong, which one script sends.
fn walk_snapshot(walk: &mut Walk<'_>, number: usize) -> bool {
    let record = &walk.stream.records[number];
    let length = record.bytes.len();
    if record.text("/signature").is_some_and(|signature| signature != "BenWasHere") {
        let refused = SnapshotStream::new(LIMITS).take(walk.rest());
        assert_eq!(refused, Err(SnapshotStreamError::WrongSignature));
        walk.take(number, "SNAPSHOT_STREAM", length);
        return false;
    }
    let taken = SnapshotStream::new(LIMITS).take(walk.rest()).unwrap();
    assert!(taken.is_complete, "{}", walk.stream.name);
    walk.take(number, "SNAPSHOT_STREAM", taken.stream);
    assert_eq!(record.bytes[taken.body..], *SNAPSHOT_SIGNATURE);
    let mut by_byte = SnapshotStream::new(LIMITS);
    for (at, byte) in record.bytes.chunks(1).enumerate() {
        let taken = by_byte.take(byte).unwrap();
        assert_eq!((taken.stream, taken.is_complete), (1, at + 1 == length));
    }
    true
}

#[test]
fn every_stream_of_every_capture_decodes_and_encodes() {
    let mut tally = Tally::new();
    for stream in streams() {
        let bytes = stream.bytes();
        let mut walk = Walk { stream: &stream, bytes: &bytes, at: 0, tally: &mut tally };
        if stream.is_election {
            walk_election(&mut walk);
        } else {
            walk_quorum(&mut walk);
        }
        assert_eq!(walk.at, bytes.len(), "{}: all of it", stream.name);
    }
    let missing: Vec<_> = (1..=19)
        .map(|code| PacketKind::from_code(code).unwrap().name())
        .chain(["INITIAL", "INITIAL_LEGACY", "QUORUM_AUTH", "NOTIFICATION", "SNAPSHOT_STREAM", "?99"])
        .filter(|kind| !tally.contains_key(*kind))
        .collect();
    assert_eq!(missing, [""; 0], "all kinds were seen");
    assert_eq!(tally.values().sum::<usize>(), 3290, "{tally:?}");
}
