//! What a learner says to its leader, packet by packet, in the order of a learner's life.

use super::packet::encode_with;
use super::{PacketError, PacketKind, QuorumPacket, Sections};
use crate::{ConfigVersion, DecodeError, Epoch, Id, Reader, Record, ServerId, SessionId, Writer, Zxid};

/// What a learner introduces itself as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LearnerKind {
    /// FOLLOWERINFO: it votes, or it is a joiner that may be given a vote.
    Follower,
    /// OBSERVERINFO: it never votes.
    Observer,
}

/// `LearnerInfo { long serverid; int protocolVersion; long configVersion; }`; 3.4 has no last field, and
/// what came before it only the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LearnerInfo {
    /// Who it is.
    pub server: ServerId,
    /// How it speaks; `None` of what came before 3.4, which expects another handshake.
    pub protocol_version: Option<i32>,
    /// The configuration that it lives in, if it knows of such things.
    pub config_version: Option<ConfigVersion>,
}

impl LearnerInfo {
    /// What every server since 3.4 says, and what a leader says of itself.
    pub const PROTOCOL_VERSION: i32 = 0x10000;

    /// How long it is since 3.5.
    const LENGTH: usize = 8 + 4 + 8;
}

impl Record<'_> for LearnerInfo {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let length = r.remaining().len();
        Ok(Self {
            server: ServerId(r.long()?),
            protocol_version: if length < 12 { None } else { Some(r.int()?) },
            config_version: if length < 20 { None } else { Some(ConfigVersion(r.long()?)) },
        })
    }
    fn encode(&self, w: &mut Writer<'_>) {
        w.long(self.server.0);
        let Some(protocol_version) = self.protocol_version else { return };
        w.int(protocol_version);
        let Some(config_version) = self.config_version else { return };
        w.long(config_version.0);
    }
}

/// A session that a client of the learner has been heard in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Touch {
    /// Which session.
    pub session: SessionId,
    /// How long it now lives on.
    pub timeout_ms: i32,
}

impl Record<'_> for Touch {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { session: r.session()?, timeout_ms: r.int()? })
    }
    fn encode(&self, w: &mut Writer<'_>) {
        w.session(self.session);
        w.int(self.timeout_ms);
    }
}

/// A client's request as a learner forwards it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// Whose it is; with [`Request::cxid`] how the learner knows it again when it is committed.
    pub session: SessionId,
    /// The client's number for it; 0 if the server itself asks.
    pub cxid: i32,
    /// The operation; a number, because clients send any.
    pub op: i32,
    /// What the client sent behind the request's header.
    pub body: &'a [u8],
    /// The connection's identities; null if the server itself asks.
    pub authinfo: Option<Vec<Id<'a>>>,
}

/// A packet from a learner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromLearner<'a> {
    /// FOLLOWERINFO, OBSERVERINFO: who is there.
    Info {
        /// As what.
        kind: LearnerKind,
        /// The newest epoch that it has promised to follow.
        accepted: Epoch,
        /// Null only in what came before 3.4.
        info: Option<LearnerInfo>,
        /// What a server of zabd says besides; nobody does who has not said all of `info`.
        behind: Sections<'a>,
    },
    /// ACKEPOCH: the promise to follow no older epoch.
    AckEpoch {
        /// Where the learner's history ends.
        last_zxid: Zxid,
        /// The epoch whose history that is; `None` if the promise had been made before and does not count.
        current: Option<Epoch>,
    },
    /// ACK: it is on disk.
    Ack {
        /// A transaction's position; or an epoch's first, for the whole initial history.
        zxid: Zxid,
    },
    /// PING: the echo.
    Ping {
        /// As in the leader's.
        zxid: Zxid,
        /// The sessions that were heard since the last one.
        touched: Vec<Touch>,
    },
    /// REQUEST: please do this for a client.
    Request(Request<'a>),
    /// REVALIDATE: is this session, which a client brings, still there?
    Revalidate {
        /// Which session.
        session: SessionId,
        /// The timeout that was agreed with the client.
        timeout_ms: i32,
    },
}

fn touches(data: &[u8]) -> Result<Vec<Touch>, DecodeError> {
    let mut r = Reader::new(data);
    let mut touched = Vec::with_capacity(data.len() / 12);
    while !r.remaining().is_empty() {
        touched.push(Touch::decode(&mut r)?);
    }
    Ok(touched)
}

fn request<'a>(data: &'a [u8], authinfo: Option<Vec<Id<'a>>>) -> Result<Request<'a>, DecodeError> {
    let mut r = Reader::new(data);
    Ok(Request { session: r.session()?, cxid: r.int()?, op: r.int()?, body: r.remaining(), authinfo })
}

impl<'a> FromLearner<'a> {
    /// What a packet means that came from a learner; `None` for kinds that no learner sends, which are
    /// ignored once the handshake is over. Data that a kind has no use for are ignored, as are bytes behind
    /// what it needs.
    pub fn decode(packet: QuorumPacket<'a>) -> Result<Option<Self>, PacketError> {
        let Some(kind) = PacketKind::from_code(packet.kind) else { return Ok(None) };
        let zxid = packet.zxid;
        let data = || packet.data_of(kind);
        let broken = |source| PacketError::Data { kind, source };
        let introduction = |learner| -> Result<Self, PacketError> {
            let info = packet.data.map(LearnerInfo::from_bytes).transpose().map_err(broken)?;
            let behind = packet.data.and_then(|data| data.get(LearnerInfo::LENGTH..)).unwrap_or_default();
            let behind = Sections::from_bytes(behind).map_err(broken)?;
            Ok(Self::Info { kind: learner, accepted: zxid.epoch(), info, behind })
        };
        Ok(Some(match kind {
            PacketKind::FollowerInfo => introduction(LearnerKind::Follower)?,
            PacketKind::ObserverInfo => introduction(LearnerKind::Observer)?,
            PacketKind::AckEpoch => {
                let epoch = Reader::new(data()?).int().map_err(broken)?;
                let current = (epoch != -1).then_some(Epoch(epoch.into()));
                Self::AckEpoch { last_zxid: zxid, current }
            }
            PacketKind::Ack => Self::Ack { zxid },
            PacketKind::Ping => Self::Ping { zxid, touched: touches(data()?).map_err(broken)? },
            PacketKind::Request => Self::Request(request(data()?, packet.authinfo).map_err(broken)?),
            PacketKind::Revalidate => {
                let Touch { session, timeout_ms } = Touch::from_bytes(data()?).map_err(broken)?;
                Self::Revalidate { session, timeout_ms }
            }
            PacketKind::Proposal
            | PacketKind::Commit
            | PacketKind::Sync
            | PacketKind::Inform
            | PacketKind::CommitAndActivate
            | PacketKind::NewLeader
            | PacketKind::UpToDate
            | PacketKind::Diff
            | PacketKind::Trunc
            | PacketKind::Snap
            | PacketKind::LeaderInfo
            | PacketKind::InformAndActivate => return Ok(None),
        }))
    }

    /// Appends the packet. Its data may be empty, but where there are data they are never null.
    pub fn encode(&self, w: &mut Writer<'_>) {
        let no_zxid = QuorumPacket::NO_ZXID;
        match self {
            Self::Info { kind, accepted, info, behind } => {
                let kind = match kind {
                    LearnerKind::Follower => PacketKind::FollowerInfo,
                    LearnerKind::Observer => PacketKind::ObserverInfo,
                };
                let zxid = accepted.first_zxid();
                match info {
                    Some(info) => encode_with(w, kind, zxid, None, |w| {
                        info.encode(w);
                        if info.protocol_version.and(info.config_version).is_some() {
                            behind.encode(w);
                        }
                    }),
                    None => QuorumPacket::new(kind, zxid, None).encode(w),
                }
            }
            Self::AckEpoch { last_zxid, current } => {
                let current = current.map_or(-1, |epoch| epoch.0 as i32);
                encode_with(w, PacketKind::AckEpoch, *last_zxid, None, |w| w.int(current));
            }
            Self::Ack { zxid } => QuorumPacket::new(PacketKind::Ack, *zxid, None).encode(w),
            Self::Ping { zxid, touched } => {
                encode_with(w, PacketKind::Ping, *zxid, None, |w| {
                    for one in touched {
                        one.encode(w);
                    }
                });
            }
            Self::Request(Request { session, cxid, op, body, authinfo }) => {
                encode_with(w, PacketKind::Request, no_zxid, authinfo.as_deref(), |w| {
                    w.session(*session);
                    w.int(*cxid);
                    w.int(*op);
                    w.bytes(body);
                });
            }
            Self::Revalidate { session, timeout_ms } => {
                let (session, timeout_ms) = (*session, *timeout_ms);
                encode_with(w, PacketKind::Revalidate, no_zxid, None, |w| {
                    Touch { session, timeout_ms }.encode(w);
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;

    fn check(bytes: &[u8], expected: &FromLearner<'_>) {
        let (packet, length) = QuorumPacket::decode_stream(bytes, Limits::default()).unwrap().unwrap();
        assert_eq!(length, bytes.len());
        assert_eq!(FromLearner::decode(packet), Ok(Some(expected.clone())));
        let mut out = Vec::new();
        expected.encode(&mut Writer::new(&mut out));
        assert_eq!(out, bytes);
    }

    fn decode(kind: PacketKind, data: Option<&[u8]>) -> Result<Option<FromLearner<'_>>, PacketError> {
        FromLearner::decode(QuorumPacket::new(kind, Zxid(1), data))
    }

    /// Bytes of Java 3.8.0.
    #[test]
    fn packets_match_captured_bytes() {
        check(
            b"\0\0\0\x12\0\0\0\x01\0\0\0\x02\0\0\0\x04\xff\xff\xff\xff\xff\xff\xff\xff",
            &FromLearner::AckEpoch { last_zxid: Zxid(0x1_0000_0002), current: None },
        );
        let zxid = Zxid(0x1_0000_0005);
        check(
            b"\0\0\0\x05\0\0\0\x01\0\0\0\x05\0\0\0\0\xff\xff\xff\xff",
            &FromLearner::Ping { zxid, touched: vec![] },
        );
        let session = SessionId(0x0100_0045_f06a_0000);
        check(
            b"\0\0\0\x05\0\0\0\x01\0\0\0\x05\0\0\0\x0c\x01\0\0\x45\xf0\x6a\0\0\0\0\x27\x10\xff\xff\xff\xff",
            &FromLearner::Ping { zxid, touched: vec![Touch { session, timeout_ms: 10_000 }] },
        );
        check(
            b"\0\0\0\x01\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\x23\x01\0\0\x45\xf0\x6a\0\0\0\0\0\x02\0\0\0\x05\
              \0\0\0\x02/a\0\0\0\x05world\0\0\0\0\0\0\0\x01\0\0\0\x02ip\0\0\0\x09127.0.0.1",
            &FromLearner::Request(Request {
                session,
                cxid: 2,
                op: 5,
                body: b"\0\0\0\x02/a\0\0\0\x05world\0\0\0\0",
                authinfo: Some(vec![Id::new("ip", "127.0.0.1")]),
            }),
        );
    }

    #[test]
    fn learners_of_all_ages_introduce_themselves() {
        let mut info = LearnerInfo { server: ServerId(1), protocol_version: None, config_version: None };
        let whole = b"\0\0\0\0\0\0\0\x01\0\x01\0\0\0\0\0\0\0\0\0\x07";
        assert_eq!(LearnerInfo::from_bytes(&whole[..8]), Ok(info));
        assert_eq!(info.to_bytes(), whole[..8]);
        info.protocol_version = Some(LearnerInfo::PROTOCOL_VERSION);
        assert_eq!(LearnerInfo::from_bytes(&whole[..12]), Ok(info));
        assert_eq!(info.to_bytes(), whole[..12]);
        info.config_version = Some(ConfigVersion(7));
        assert_eq!(LearnerInfo::from_bytes(whole), Ok(info));
        assert_eq!(info.to_bytes(), whole);
        assert!(LearnerInfo::from_bytes(&whole[..7]).is_err());
        let introduction = |info, behind| {
            Ok(Some(FromLearner::Info { kind: LearnerKind::Follower, accepted: Epoch(0), info, behind }))
        };
        let ancient = introduction(None, Sections::default());
        assert_eq!(decode(PacketKind::FollowerInfo, None), ancient);
        let more = [&whole[..], b"zabd\0\0\0\x01\0\0\0\x01a\0\0\0\x01b"].concat();
        let said = introduction(Some(info), Sections::default().with("a", b"b"));
        assert_eq!(decode(PacketKind::FollowerInfo, Some(&more)), said);
        assert_eq!(LearnerInfo::from_bytes(&more), Ok(info), "as Java reads it");
        let broken = decode(PacketKind::FollowerInfo, Some(&more[..more.len() - 1]));
        assert!(matches!(broken, Err(PacketError::Data { .. })), "{broken:?}");
    }

    #[test]
    fn what_java_stumbles_over_has_a_name() {
        for kind in [PacketKind::AckEpoch, PacketKind::Ping, PacketKind::Request, PacketKind::Revalidate] {
            assert_eq!(decode(kind, None), Err(PacketError::NoData { kind }));
            assert!(matches!(decode(kind, Some(b"\x01")), Err(PacketError::Data { .. })));
        }
    }

    #[test]
    fn kinds_that_only_leaders_send_mean_nothing() {
        for kind in [2, 4, 7, 8, 9, 10, 12, 13, 14, 15, 17, 19, 99] {
            let packet = QuorumPacket { kind, zxid: Zxid(1), data: None, authinfo: None };
            assert_eq!(FromLearner::decode(packet), Ok(None));
        }
    }
}
