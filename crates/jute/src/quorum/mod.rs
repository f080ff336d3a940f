//! What servers say to each other, in the order of a server's life: finding each other and voting on the
//! election port, then everything between a leader and its learners on the quorum port.
//!
//! ```text
//! election port   InitialMessage · [AuthPacket…] · { int length · Notification }…
//! quorum port     [AuthPacket…] · QuorumPacket…     after a SNAP: snapshot stream · QuorumPacket…
//! ```
//!
//! Both are streams: what is read off one says `None` until it is all there. A [`QuorumPacket`] is the
//! envelope; [`FromLeader`] and [`FromLearner`] are what it means in either direction. A [`Configuration`]
//! is the text that says who the servers are, which votes, packets and transactions carry.

mod address;
mod auth;
mod configuration;
mod election;
mod from_leader;
mod from_learner;
mod java_order;
mod member;
mod packet;
mod properties;
mod sections;
mod snapshot_stream;

pub use address::Address;
pub use auth::{AuthError, AuthPacket, AuthStatus};
pub use configuration::{Configuration, ConfigurationError, GroupId, Hierarchy};
pub use election::{
    FrameError, INITIAL_BYTES_MAX, InitialError, InitialForm, InitialMessage, Notification,
    NotificationError, PeerState, frame,
};
pub use from_leader::FromLeader;
pub use from_learner::{FromLearner, LearnerInfo, LearnerKind, Request, Touch};
pub use member::{Member, MemberAddress, Role};
pub use packet::{PacketError, PacketKind, QuorumPacket};
pub use sections::Sections;
pub use snapshot_stream::{SNAPSHOT_SIGNATURE, SnapshotStream, SnapshotStreamError, Taken};

use crate::DecodeError;

/// Of what is read off a stream, an end inside a field only means that the rest is still to come.
fn unless_truncated<T>(read: Result<T, DecodeError>) -> Result<Option<T>, DecodeError> {
    match read {
        Err(DecodeError::Truncated { .. }) => Ok(None),
        other => other.map(Some),
    }
}
