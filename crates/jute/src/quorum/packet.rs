//! The envelope of everything between a leader and its learners.
//!
//! ```text
//! int type · long zxid · buffer data · vector<Id> authinfo
//! ```
//!
//! Nothing stands before a packet that tells its length, so a stream is read by walking the fields:
//! [`QuorumPacket::length`] says where the packet ends, or that it is not all there. A reader that has lost
//! its place cannot find it again; every error here ends the connection.
//!
//! Null and empty data differ, and so they do in Java: it takes a ping back only with data, be they empty,
//! and sends its own with null.

use super::unless_truncated;
use crate::{DecodeError, Id, Limits, Reader, Record, Writer, Zxid};

/// What a packet is: constants of Java's `Leader` class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i32)]
pub enum PacketKind {
    /// A client's write that a learner forwards.
    Request = 1,
    /// A transaction that is to be logged.
    Proposal = 2,
    /// What a learner has logged, or the epoch that it has joined.
    Ack = 3,
    /// A transaction is to be applied.
    Commit = 4,
    /// The leader lives; the learner lives, and so do these sessions.
    Ping = 5,
    /// Whether a session is still there, and the answer.
    Revalidate = 6,
    /// Everything that was committed before a `sync` has been sent.
    Sync = 7,
    /// Proposal and commit in one, for an observer.
    Inform = 8,
    /// The commit of a reconfiguration.
    CommitAndActivate = 9,
    /// All of the new epoch's initial history has been sent.
    NewLeader = 10,
    /// A follower introduces itself.
    FollowerInfo = 11,
    /// The learner may serve.
    UpToDate = 12,
    /// The learner's history lacks only what follows.
    Diff = 13,
    /// The learner's history is to be cut.
    Trunc = 14,
    /// The leader's whole state follows.
    Snap = 15,
    /// An observer introduces itself.
    ObserverInfo = 16,
    /// The new epoch.
    LeaderInfo = 17,
    /// The learner promises not to follow older epochs, and says what it has.
    AckEpoch = 18,
    /// The commit of a reconfiguration, for an observer.
    InformAndActivate = 19,
}

impl PacketKind {
    /// All kinds by their number, from 1.
    const ALL: [PacketKind; 19] = [
        Self::Request,
        Self::Proposal,
        Self::Ack,
        Self::Commit,
        Self::Ping,
        Self::Revalidate,
        Self::Sync,
        Self::Inform,
        Self::CommitAndActivate,
        Self::NewLeader,
        Self::FollowerInfo,
        Self::UpToDate,
        Self::Diff,
        Self::Trunc,
        Self::Snap,
        Self::ObserverInfo,
        Self::LeaderInfo,
        Self::AckEpoch,
        Self::InformAndActivate,
    ];

    /// The number on the wire.
    pub fn code(self) -> i32 {
        self as i32
    }

    /// The kind with this number, if there is one. Others are ignored once a handshake is over.
    pub fn from_code(code: i32) -> Option<Self> {
        Self::ALL.get(usize::try_from(code).ok()?.checked_sub(1)?).copied()
    }

    /// The name in Java's sources and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Request => "REQUEST",
            Self::Proposal => "PROPOSAL",
            Self::Ack => "ACK",
            Self::Commit => "COMMIT",
            Self::Ping => "PING",
            Self::Revalidate => "REVALIDATE",
            Self::Sync => "SYNC",
            Self::Inform => "INFORM",
            Self::CommitAndActivate => "COMMITANDACTIVATE",
            Self::NewLeader => "NEWLEADER",
            Self::FollowerInfo => "FOLLOWERINFO",
            Self::UpToDate => "UPTODATE",
            Self::Diff => "DIFF",
            Self::Trunc => "TRUNC",
            Self::Snap => "SNAP",
            Self::ObserverInfo => "OBSERVERINFO",
            Self::LeaderInfo => "LEADERINFO",
            Self::AckEpoch => "ACKEPOCH",
            Self::InformAndActivate => "INFORMANDACTIVATE",
        }
    }
}

/// `QuorumPacket { int type; long zxid; buffer data; vector<Id> authinfo; }`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumPacket<'a> {
    /// See [`PacketKind`]; a number, because servers must bear kinds that they do not know.
    pub kind: i32,
    /// What it stands for depends on the kind.
    pub zxid: Zxid,
    /// Null and empty differ.
    pub data: Option<&'a [u8]>,
    /// The identities of a forwarded request's connection; null in all other packets.
    pub authinfo: Option<Vec<Id<'a>>>,
}

/// Why the other side of a quorum connection cannot be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// The stream does not go on with a packet.
    #[error("a quorum packet does not decode")]
    Undecodable(#[from] DecodeError),
    /// The identities are longer than a field may be.
    #[error("a quorum packet with more than {bytes_max} bytes of identities")]
    LongAuthinfo {
        /// How much is allowed.
        bytes_max: usize,
    },
    /// The data are null where they must not be.
    #[error("{} without data", kind.name())]
    NoData {
        /// Which packet.
        kind: PacketKind,
    },
    /// The data do not decode.
    #[error("the data of {} do not decode", kind.name())]
    Data {
        /// Which packet.
        kind: PacketKind,
        /// Why; the offset counts from the start of the data.
        source: DecodeError,
    },
}

impl<'a> QuorumPacket<'a> {
    /// What stands for the zxid where there is none.
    pub(super) const NO_ZXID: Zxid = Zxid(-1);

    /// A packet without identities.
    pub(super) fn new(kind: PacketKind, zxid: Zxid, data: Option<&'a [u8]>) -> Self {
        Self { kind: kind.code(), zxid, data, authinfo: None }
    }

    /// How long the packet at the start of a stream is; `None` if there is more to come. Whoever keeps a
    /// stream in shared buffers cuts there first and decodes from what it cut off.
    ///
    /// No field may be longer than `limits` say, and neither may all identities together: Java bounds only
    /// each of them.
    pub fn length(bytes: &[u8], limits: Limits) -> Result<Option<usize>, PacketError> {
        let mut r = Reader::with_limits(bytes, limits);
        let Some(count) = unless_truncated(walk_to_authinfo(&mut r))? else { return Ok(None) };
        let authinfo = r.offset();
        for _ in 0..count {
            let identity = unless_truncated(r.buffer().and_then(|_| r.buffer()))?;
            let bytes_max = limits.field_bytes_max;
            if bytes_max < r.offset() - authinfo {
                return Err(PacketError::LongAuthinfo { bytes_max });
            }
            if identity.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(r.offset()))
    }

    /// Reads the packet at the start of a stream, and how long it is; `None` if there is more to come.
    pub fn decode_stream(bytes: &'a [u8], limits: Limits) -> Result<Option<(Self, usize)>, PacketError> {
        let Some(length) = Self::length(bytes, limits)? else { return Ok(None) };
        let packet = Self::decode(&mut Reader::with_limits(&bytes[..length], limits))?;
        Ok(Some((packet, length)))
    }

    /// The data, of a kind of packet that cannot be without.
    pub(super) fn data_of(&self, kind: PacketKind) -> Result<&'a [u8], PacketError> {
        self.data.ok_or(PacketError::NoData { kind })
    }
}

/// Reads up to the number of identities. Null, and what Java takes for empty, is zero.
fn walk_to_authinfo(r: &mut Reader<'_>) -> Result<i32, DecodeError> {
    r.int()?;
    r.long()?;
    r.buffer()?;
    Ok(r.int()?.max(0))
}

impl<'a> Record<'a> for QuorumPacket<'a> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self {
            kind: r.int()?,
            zxid: r.zxid()?,
            data: r.buffer()?,
            authinfo: r.vector_or_null(Id::decode)?,
        })
    }
    fn encode(&self, w: &mut Writer<'_>) {
        w.int(self.kind);
        w.zxid(self.zxid);
        w.buffer(self.data);
        encode_authinfo(w, self.authinfo.as_deref());
    }
}

fn encode_authinfo(w: &mut Writer<'_>, authinfo: Option<&[Id<'_>]>) {
    match authinfo {
        None => w.int(-1),
        Some(authinfo) => w.vector(authinfo, |w, id| id.encode(w)),
    }
}

/// Appends a packet whose data are written in place.
pub(super) fn encode_with(
    w: &mut Writer<'_>,
    kind: PacketKind,
    zxid: Zxid,
    authinfo: Option<&[Id<'_>]>,
    data: impl FnOnce(&mut Writer<'_>),
) {
    w.int(kind.code());
    w.zxid(zxid);
    let length = w.reserve_int();
    data(w);
    w.fill_length(length);
    encode_authinfo(w, authinfo);
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { field_bytes_max: 16 };

    #[test]
    fn kinds_and_numbers_agree() {
        for code in 1..=19 {
            let kind = PacketKind::from_code(code).unwrap();
            assert_eq!(kind.code(), code, "{}", kind.name());
        }
        for code in [i32::MIN, -1, 0, 20, i32::MAX] {
            assert_eq!(PacketKind::from_code(code), None);
        }
    }

    #[test]
    fn smallest_packet_and_all_its_truncations() {
        let bytes = b"\0\0\0\x03\0\0\0\x01\0\0\0\x05\xff\xff\xff\xff\xff\xff\xff\xffnext";
        let packet = QuorumPacket::new(PacketKind::Ack, Zxid(0x1_0000_0005), None);
        assert_eq!(QuorumPacket::decode_stream(bytes, LIMITS), Ok(Some((packet.clone(), 20))));
        assert_eq!(packet.to_bytes(), bytes[..20]);
        for length in 0..20 {
            assert_eq!(QuorumPacket::decode_stream(&bytes[..length], LIMITS), Ok(None));
        }
    }

    #[test]
    fn empty_data_are_not_null() {
        let bytes = b"\0\0\0\x05\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
        let (packet, _) = QuorumPacket::decode_stream(bytes, LIMITS).unwrap().unwrap();
        assert_eq!((packet.data, packet.authinfo.as_deref()), (Some(&b""[..]), Some(&[][..])));
        assert_eq!(packet.to_bytes(), bytes);
    }

    #[test]
    fn long_data_are_refused_before_they_arrive() {
        let error = DecodeError::UnreasonableLength { length: 17, offset: 12 };
        assert_eq!(
            QuorumPacket::length(b"\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\x11", LIMITS),
            Err(PacketError::Undecodable(error))
        );
    }

    #[test]
    fn identities_are_bounded_all_together() {
        let mut bytes = b"\0\0\0\x01\0\0\0\0\0\0\0\0\xff\xff\xff\xff\x7f\xff\xff\xff".to_vec();
        for expected in [Ok(None), Ok(None), Ok(None), Err(PacketError::LongAuthinfo { bytes_max: 16 })] {
            assert_eq!(QuorumPacket::length(&bytes, LIMITS), expected);
            bytes.extend([0xff; 8]);
        }
    }
}
