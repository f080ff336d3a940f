//! What a leader says to its learners, packet by packet, in the order of a learner's life.
//!
//! An observer master says the same to its observers.

use std::borrow::Cow;

use super::packet::encode_with;
use super::{PacketError, PacketKind, QuorumPacket};
use crate::{DecodeError, Epoch, Reader, Record, ServerId, SessionId, Writer, Zxid};

/// The data of [`FromLeader::SnapInstead`].
pub const NOTHING_STAYS: &[u8] = b"nothing stays";

/// A packet from a leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromLeader<'a> {
    /// LEADERINFO: the epoch that a quorum agrees to.
    LeaderInfo {
        /// Larger than every epoch that the quorum has promised.
        epoch: Epoch,
        /// [`super::LearnerInfo::PROTOCOL_VERSION`].
        protocol_version: i32,
    },
    /// DIFF: keep your history; what it lacks follows as proposals and commits.
    Diff {
        /// Where these proposals will end. Nothing is known to be there yet.
        zxid: Zxid,
    },
    /// TRUNC: cut your history.
    Trunc {
        /// The last transaction to keep.
        zxid: Zxid,
    },
    /// SNAP: forget your state; behind this packet comes another, see [`super::SnapshotStream`].
    Snap {
        /// The last transaction that is certainly in it.
        zxid: Zxid,
    },
    /// SNAP to a learner whose log has more of the leader's epoch than the leader has proposed: it was written elsewhere, and nothing of it
    /// may stay. Its data are [`NOTHING_STAYS`], which Java's learners do not look at.
    SnapInstead {
        /// The last transaction that is certainly in it.
        zxid: Zxid,
    },
    /// NEWLEADER: this was the initial history of the epoch.
    NewLeader {
        /// The epoch's first position.
        zxid: Zxid,
        /// The leader's newest configuration; servers before 3.5 send none.
        config: Option<Cow<'a, str>>,
    },
    /// UPTODATE: a quorum has that history.
    UpToDate,
    /// PROPOSAL: log this.
    Proposal {
        /// The transaction's position.
        zxid: Zxid,
        /// A [`crate::txn::Entry`], byte for byte what goes into the log.
        txn: &'a [u8],
    },
    /// COMMIT: apply the oldest proposal.
    Commit {
        /// Its position.
        zxid: Zxid,
    },
    /// COMMITANDACTIVATE: the same, of a reconfiguration.
    CommitAndActivate {
        /// Its position.
        zxid: Zxid,
        /// Who leads from now on.
        leader: ServerId,
    },
    /// INFORM: log and apply this; only for observers.
    Inform {
        /// The transaction's position.
        zxid: Zxid,
        /// As in a proposal.
        txn: &'a [u8],
    },
    /// INFORMANDACTIVATE: the same, of a reconfiguration.
    InformAndActivate {
        /// The transaction's position.
        zxid: Zxid,
        /// Who leads from now on.
        leader: ServerId,
        /// As in a proposal.
        txn: &'a [u8],
    },
    /// PING: say that you live.
    Ping {
        /// The last transaction that was proposed.
        zxid: Zxid,
    },
    /// SYNC: the answer to the oldest `sync` that was forwarded.
    Sync,
    /// REVALIDATE: the answer of what became of a session.
    Revalidate {
        /// Which session.
        session: SessionId,
        /// Whether it goes on, at the learner that asked.
        is_valid: bool,
    },
}

/// Splits data that begin with the leader's number.
fn leader_and_rest<'a>(r: &mut Reader<'a>) -> Result<(ServerId, &'a [u8]), DecodeError> {
    Ok((ServerId(r.long()?), r.remaining()))
}

impl<'a> FromLeader<'a> {
    /// What a packet means that came from a leader; `None` for kinds that no leader sends, which are
    /// ignored once the handshake is over. Data that a kind has no use for are ignored, as are bytes behind
    /// what it needs.
    pub fn decode(packet: &QuorumPacket<'a>) -> Result<Option<Self>, PacketError> {
        let Some(kind) = PacketKind::from_code(packet.kind) else { return Ok(None) };
        let zxid = packet.zxid;
        let data = || packet.data_of(kind);
        let broken = |source| PacketError::Data { kind, source };
        Ok(Some(match kind {
            PacketKind::LeaderInfo => Self::LeaderInfo {
                epoch: zxid.epoch(),
                protocol_version: Reader::new(data()?).int().map_err(broken)?,
            },
            PacketKind::Diff => Self::Diff { zxid },
            PacketKind::Trunc => Self::Trunc { zxid },
            PacketKind::Snap if packet.data == Some(NOTHING_STAYS) => Self::SnapInstead { zxid },
            PacketKind::Snap => Self::Snap { zxid },
            PacketKind::NewLeader => {
                Self::NewLeader { zxid, config: packet.data.map(String::from_utf8_lossy) }
            }
            PacketKind::UpToDate => Self::UpToDate,
            PacketKind::Proposal => Self::Proposal { zxid, txn: data()? },
            PacketKind::Commit => Self::Commit { zxid },
            PacketKind::CommitAndActivate => {
                let (leader, _) = leader_and_rest(&mut Reader::new(data()?)).map_err(broken)?;
                Self::CommitAndActivate { zxid, leader }
            }
            PacketKind::Inform => Self::Inform { zxid, txn: data()? },
            PacketKind::InformAndActivate => {
                let (leader, txn) = leader_and_rest(&mut Reader::new(data()?)).map_err(broken)?;
                Self::InformAndActivate { zxid, leader, txn }
            }
            PacketKind::Ping => Self::Ping { zxid },
            PacketKind::Sync => Self::Sync,
            PacketKind::Revalidate => {
                let mut r = Reader::new(data()?);
                Self::Revalidate {
                    session: r.session().map_err(broken)?,
                    is_valid: r.boolean().map_err(broken)?,
                }
            }
            PacketKind::Request
            | PacketKind::Ack
            | PacketKind::FollowerInfo
            | PacketKind::ObserverInfo
            | PacketKind::AckEpoch => return Ok(None),
        }))
    }

    /// Appends the packet.
    pub fn encode(&self, w: &mut Writer<'_>) {
        let mut bare = |kind, zxid, data| QuorumPacket::new(kind, zxid, data).encode(w);
        match self {
            Self::LeaderInfo { epoch, protocol_version } => {
                bare(PacketKind::LeaderInfo, epoch.first_zxid(), Some(&protocol_version.to_be_bytes()));
            }
            Self::Diff { zxid } => bare(PacketKind::Diff, *zxid, None),
            Self::Trunc { zxid } => bare(PacketKind::Trunc, *zxid, None),
            Self::Snap { zxid } => bare(PacketKind::Snap, *zxid, None),
            Self::SnapInstead { zxid } => bare(PacketKind::Snap, *zxid, Some(NOTHING_STAYS)),
            Self::NewLeader { zxid, config } => {
                bare(PacketKind::NewLeader, *zxid, config.as_deref().map(str::as_bytes));
            }
            Self::UpToDate => bare(PacketKind::UpToDate, QuorumPacket::NO_ZXID, None),
            Self::Proposal { zxid, txn } => bare(PacketKind::Proposal, *zxid, Some(txn)),
            Self::Commit { zxid } => bare(PacketKind::Commit, *zxid, None),
            Self::CommitAndActivate { zxid, leader } => {
                bare(PacketKind::CommitAndActivate, *zxid, Some(&leader.0.to_be_bytes()));
            }
            Self::Inform { zxid, txn } => bare(PacketKind::Inform, *zxid, Some(txn)),
            Self::InformAndActivate { zxid, leader, txn } => {
                encode_with(w, PacketKind::InformAndActivate, *zxid, None, |w| {
                    w.long(leader.0);
                    w.bytes(txn);
                });
            }
            Self::Ping { zxid } => bare(PacketKind::Ping, *zxid, None),
            Self::Sync => bare(PacketKind::Sync, Zxid::ZERO, None),
            Self::Revalidate { session, is_valid } => {
                encode_with(w, PacketKind::Revalidate, QuorumPacket::NO_ZXID, None, |w| {
                    w.session(*session);
                    w.boolean(*is_valid);
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;

    fn check(bytes: &[u8], expected: &FromLeader<'_>) {
        let (packet, length) = QuorumPacket::decode_stream(bytes, Limits::default()).unwrap().unwrap();
        assert_eq!(length, bytes.len());
        assert_eq!(FromLeader::decode(&packet), Ok(Some(expected.clone())));
        let mut out = Vec::new();
        expected.encode(&mut Writer::new(&mut out));
        assert_eq!(out, bytes);
    }

    /// Bytes of Java 3.8.0.
    #[test]
    fn packets_match_captured_bytes() {
        check(
            b"\0\0\0\x11\0\0\0\x01\0\0\0\0\0\0\0\x04\0\x01\0\0\xff\xff\xff\xff",
            &FromLeader::LeaderInfo { epoch: Epoch(1), protocol_version: 0x10000 },
        );
        check(
            b"\0\0\0\x0c\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            &FromLeader::UpToDate,
        );
        check(b"\0\0\0\x07\0\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff", &FromLeader::Sync);
        check(
            b"\0\0\0\x05\0\0\0\x01\0\0\0\x05\xff\xff\xff\xff\xff\xff\xff\xff",
            &FromLeader::Ping { zxid: Zxid(0x1_0000_0005) },
        );
        check(
            b"\0\0\0\x09\0\0\0\x01\0\0\0\x02\0\0\0\x08\0\0\0\0\0\0\0\x03\xff\xff\xff\xff",
            &FromLeader::CommitAndActivate { zxid: Zxid(0x1_0000_0002), leader: ServerId(3) },
        );
        check(
            b"\0\0\0\x06\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\x09\x02\0\0\x2d\xbc\xe5\0\x01\x01\xff\xff\xff\xff",
            &FromLeader::Revalidate { session: SessionId(0x0200_002d_bce5_0001), is_valid: true },
        );
    }

    #[test]
    fn what_java_stumbles_over_has_a_name() {
        for kind in [
            PacketKind::LeaderInfo,
            PacketKind::Proposal,
            PacketKind::CommitAndActivate,
            PacketKind::Inform,
            PacketKind::InformAndActivate,
            PacketKind::Revalidate,
        ] {
            let packet = QuorumPacket::new(kind, Zxid(1), None);
            assert_eq!(FromLeader::decode(&packet), Err(PacketError::NoData { kind }));
            let packet = QuorumPacket::new(kind, Zxid(1), Some(b"\x01"));
            let is_opaque = matches!(kind, PacketKind::Proposal | PacketKind::Inform);
            assert_eq!(FromLeader::decode(&packet).is_ok(), is_opaque);
        }
    }

    #[test]
    fn a_newleader_of_3_4_has_no_configuration() {
        check(
            b"\0\0\0\x0a\0\0\0\x01\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff",
            &FromLeader::NewLeader { zxid: Zxid(0x1_0000_0000), config: None },
        );
    }

    #[test]
    fn kinds_that_only_learners_send_mean_nothing() {
        for kind in [0, 1, 3, 11, 16, 18, 42] {
            let packet = QuorumPacket { kind, zxid: Zxid(1), data: None, authinfo: None };
            assert_eq!(FromLeader::decode(&packet), Ok(None));
        }
    }
}
