//! Every packet between servers: what is encoded decodes to itself and to its end, any beginning of it asks
//! for more, and bytes that are none are an error, never a panic.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use zabd_jute::quorum::{
    AuthPacket, AuthStatus, FromLeader, FromLearner, LearnerInfo, LearnerKind, QuorumPacket, Request,
    Sections, SnapshotStream, Touch,
};
use zabd_jute::{ConfigVersion, Epoch, Id, Limits, Record, ServerId, SessionId, Writer, Zxid};

/// Decodes what `encode` writes from a stream that goes on, after every beginning of it asked for more.
fn packet_in(encode: impl FnOnce(&mut Writer<'_>)) -> QuorumPacket<'static> {
    let mut out = Vec::new();
    encode(&mut Writer::new(&mut out));
    let length = out.len();
    out.extend_from_slice(b"what follows");
    let bytes: &'static [u8] = out.leak();
    for beginning in 0..length {
        assert_eq!(QuorumPacket::decode_stream(&bytes[..beginning], Limits::default()), Ok(None));
    }
    let (packet, end) = QuorumPacket::decode_stream(bytes, Limits::default()).unwrap().unwrap();
    assert_eq!(end, length);
    packet
}

fn bytes() -> impl Strategy<Value = &'static [u8]> {
    vec(any::<u8>(), 0..30).prop_map(|bytes| &*bytes.leak())
}

fn zxid() -> impl Strategy<Value = Zxid> {
    any::<i64>().prop_map(Zxid)
}

fn server() -> impl Strategy<Value = ServerId> {
    any::<i64>().prop_map(ServerId)
}

fn session() -> impl Strategy<Value = SessionId> {
    any::<i64>().prop_map(SessionId)
}

/// Epochs that a zxid can have.
fn epoch() -> impl Strategy<Value = Epoch> {
    any::<i32>().prop_map(|epoch| Epoch(epoch.into()))
}

fn from_leader() -> impl Strategy<Value = FromLeader<'static>> {
    prop_oneof![
        (epoch(), any::<i32>())
            .prop_map(|(epoch, protocol_version)| FromLeader::LeaderInfo { epoch, protocol_version }),
        zxid().prop_map(|zxid| FromLeader::Diff { zxid }),
        zxid().prop_map(|zxid| FromLeader::Trunc { zxid }),
        zxid().prop_map(|zxid| FromLeader::Snap { zxid }),
        zxid().prop_map(|zxid| FromLeader::SnapInstead { zxid }),
        (zxid(), option::of("\\PC{0,20}"))
            .prop_map(|(zxid, config)| FromLeader::NewLeader { zxid, config: config.map(Into::into) }),
        Just(FromLeader::UpToDate),
        (zxid(), bytes()).prop_map(|(zxid, txn)| FromLeader::Proposal { zxid, txn }),
        zxid().prop_map(|zxid| FromLeader::Commit { zxid }),
        (zxid(), server()).prop_map(|(zxid, leader)| FromLeader::CommitAndActivate { zxid, leader }),
        (zxid(), bytes()).prop_map(|(zxid, txn)| FromLeader::Inform { zxid, txn }),
        (zxid(), server(), bytes()).prop_map(|(zxid, leader, txn)| FromLeader::InformAndActivate {
            zxid,
            leader,
            txn
        }),
        zxid().prop_map(|zxid| FromLeader::Ping { zxid }),
        Just(FromLeader::Sync),
        (session(), any::<bool>())
            .prop_map(|(session, is_valid)| FromLeader::Revalidate { session, is_valid }),
    ]
}

fn learner_info() -> impl Strategy<Value = LearnerInfo> {
    (server(), option::of((any::<i32>(), option::of(any::<i64>())))).prop_map(|(server, more)| LearnerInfo {
        server,
        protocol_version: more.map(|(version, _)| version),
        config_version: more.and_then(|(_, version)| version).map(ConfigVersion),
    })
}

fn sections() -> impl Strategy<Value = Sections<'static>> {
    vec(("[a-z]{0,6}", bytes()), 0..4).prop_map(|sections| {
        sections.into_iter().fold(Sections::default(), |all, (name, content)| all.with(name.leak(), content))
    })
}

fn touch() -> impl Strategy<Value = Touch> {
    (session(), any::<i32>()).prop_map(|(session, timeout_ms)| Touch { session, timeout_ms })
}

fn identity() -> impl Strategy<Value = Id<'static>> {
    (option::of("[a-z]{0,6}"), option::of("\\PC{0,6}"))
        .prop_map(|(scheme, id)| Id { scheme: scheme.map(Into::into), id: id.map(Into::into) })
}

fn authinfo() -> impl Strategy<Value = Option<Vec<Id<'static>>>> {
    option::of(vec(identity(), 0..4))
}

fn from_learner() -> impl Strategy<Value = FromLearner<'static>> {
    let kind = prop_oneof![Just(LearnerKind::Follower), Just(LearnerKind::Observer)];
    // An epoch of −1 is how its absence is sent.
    let current = option::of((0..=i32::MAX).prop_map(|epoch| Epoch(epoch.into())));
    prop_oneof![
        (kind, epoch(), option::of(learner_info()), sections()).prop_map(|(kind, accepted, info, behind)| {
            let says_all = info.is_some_and(|info| info.config_version.is_some());
            let behind = if says_all { behind } else { Sections::default() };
            FromLearner::Info { kind, accepted, info, behind }
        }),
        (zxid(), current).prop_map(|(last_zxid, current)| FromLearner::AckEpoch { last_zxid, current }),
        zxid().prop_map(|zxid| FromLearner::Ack { zxid }),
        (zxid(), vec(touch(), 0..5)).prop_map(|(zxid, touched)| FromLearner::Ping { zxid, touched }),
        (session(), any::<i32>(), any::<i32>(), bytes(), authinfo()).prop_map(
            |(session, cxid, op, body, authinfo)| {
                FromLearner::Request(Request { session, cxid, op, body, authinfo })
            }
        ),
        touch().prop_map(|Touch { session, timeout_ms }| FromLearner::Revalidate { session, timeout_ms }),
    ]
}

proptest! {
    #[test]
    fn packets_of_leaders_come_back(message in from_leader()) {
        prop_assert_eq!(FromLeader::decode(&packet_in(|w| message.encode(w))), Ok(Some(message)));
    }

    #[test]
    fn packets_of_learners_come_back(message in from_learner()) {
        prop_assert_eq!(FromLearner::decode(packet_in(|w| message.encode(w))), Ok(Some(message)));
    }

    #[test]
    fn envelopes_come_back(
        (kind, zxid, data, authinfo) in (any::<i32>(), zxid(), option::of(bytes()), authinfo()),
    ) {
        let packet = QuorumPacket { kind, zxid, data, authinfo };
        prop_assert_eq!(packet_in(|w| packet.encode(w)), packet);
    }

    #[test]
    fn steps_of_authentication_come_back(status in 0..3usize, token in option::of(bytes())) {
        let status = [AuthStatus::Error, AuthStatus::InProgress, AuthStatus::Success][status];
        let packet = AuthPacket { status, token };
        let bytes = packet.to_bytes();
        for beginning in 0..bytes.len() {
            prop_assert_eq!(AuthPacket::decode_stream(&bytes[..beginning], Limits::default()), Ok(None));
        }
        prop_assert_eq!(AuthPacket::decode_stream(&bytes, Limits::default()), Ok(Some((packet.clone(), bytes.len()))));
    }

    #[test]
    fn any_bytes_decode_without_panic(bytes in vec(any::<u8>(), 0..120), kind in -1..21, limit in 0..200usize) {
        let limits = Limits { field_bytes_max: limit };
        let _ = QuorumPacket::decode_stream(&bytes, limits);
        let _ = AuthPacket::decode_stream(&bytes, limits);
        let packet = QuorumPacket { kind, zxid: Zxid(0), data: Some(&bytes), authinfo: None };
        let _ = FromLeader::decode(&packet);
        let _ = FromLearner::decode(packet);
    }

    /// Small numbers are what counts and lengths are made of.
    #[test]
    fn any_stream_of_states_is_walked_without_panic(
        bytes in vec(prop_oneof![8 => Just(0u8), 1 => 0..4u8, 1 => any::<u8>()], 0..200),
        size in 1..50usize,
    ) {
        let mut position = SnapshotStream::new(Limits { field_bytes_max: 100 });
        for chunk in bytes.chunks(size) {
            match position.take(chunk) {
                Ok(taken) => prop_assert!(taken.body <= taken.stream && taken.stream <= chunk.len()),
                Err(_) => break,
            }
        }
    }
}
