//! What goes over the election port: who is calling, and then votes.
//!
//! ```text
//! initial message   long version < 0 · long sid · int n · n bytes of addresses     once, by the dialler
//!                   long sid ≥ 0                                                   servers before 3.5
//! frame             int n · n bytes: one notification                              in both directions
//! ```
//!
//! ```text
//! notification      0 int state · 4 long leader · 12 long zxid · 20 long round · 28 long epoch
//!                   36 int version · 40 int c · 44 c bytes of the sender's configuration
//! ```
//!
//! Servers before 3.5 sent less, and only a notification's length says so: 28 bytes have no epoch, 40 bytes
//! have a version that does not count. What is malformed is dropped and its connection stays, except for
//! a frame's length, behind which nothing could be trusted. Java reads the addresses of the initial message
//! with a single read, so it must leave in one write: [`InitialMessage::encode`] makes one buffer of it.

use std::borrow::Cow;

use super::Address;
use super::address::{host_and_ports, port, split};
use crate::{DecodeError, Epoch, Reader, ServerId, Writer, Zxid};

/// How long the addresses of an initial message may be (Java's `QuorumCnxManager.maxBuffer`).
pub const INITIAL_BYTES_MAX: usize = 2048;

/// Which of its forms an initial message has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitialForm {
    /// Servers before 3.5: only who they are.
    IdOnly,
    /// One address, understood since 3.5.
    V1,
    /// Any number of addresses, understood since 3.6.
    V2,
}

/// What a dialler says first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitialMessage {
    /// How it says it.
    pub form: InitialForm,
    /// Who it is; [`ServerId::ANONYMOUS`] is an observer that is to be given a number.
    pub server: ServerId,
    /// Where it can be called back. What stands for "any address" is among them: leaving that out is for
    /// whoever dials, and if nothing is left, the configuration's address is meant.
    pub addresses: Vec<Address>,
}

/// Why a connection does not begin with an initial message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InitialError {
    /// A negative first number that is no known form.
    #[error("unknown version {version} of the initial message")]
    UnknownVersion {
        /// As sent.
        version: i64,
    },
    /// The addresses are empty or longer than [`INITIAL_BYTES_MAX`].
    #[error("unreasonable length {length} of the addresses in server {server}'s initial message")]
    UnreasonableLength {
        /// Whose message it is.
        server: ServerId,
        /// As sent, or as it would have to be.
        length: i64,
    },
    /// An address is not `host:port`.
    #[error("{address:?} in server {server}'s initial message is not `host:port`")]
    Address {
        /// Whose message it is.
        server: ServerId,
        /// As sent.
        address: String,
    },
}

impl InitialMessage {
    const V1: i64 = -65536;
    const V2: i64 = -65535;

    /// Reads the message at the start of a stream, and how long it is; `None` if there is more to come.
    pub fn decode_stream(bytes: &[u8]) -> Result<Option<(Self, usize)>, InitialError> {
        let mut r = Reader::new(bytes);
        let Ok(first) = r.long() else { return Ok(None) };
        let form = match first {
            0.. => {
                let message =
                    Self { form: InitialForm::IdOnly, server: ServerId(first), addresses: Vec::new() };
                return Ok(Some((message, r.offset())));
            }
            Self::V1 => InitialForm::V1,
            Self::V2 => InitialForm::V2,
            version => return Err(InitialError::UnknownVersion { version }),
        };
        let Ok(server) = r.long().map(ServerId) else { return Ok(None) };
        let Ok(length) = r.int() else { return Ok(None) };
        if length <= 0 || INITIAL_BYTES_MAX < length as usize {
            return Err(InitialError::UnreasonableLength { server, length: length.into() });
        }
        let Ok(text) = r.bytes(length as usize) else { return Ok(None) };
        let addresses = decode_addresses(&String::from_utf8_lossy(text), server)?;
        Ok(Some((Self { form, server, addresses }, r.offset())))
    }

    /// Appends the message; [`InitialForm::V1`] holds only the first address.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), InitialError> {
        let (version, count) = match self.form {
            InitialForm::IdOnly => {
                out.extend_from_slice(&self.server.0.to_be_bytes());
                return Ok(());
            }
            InitialForm::V1 => (Self::V1, 1),
            InitialForm::V2 => (Self::V2, self.addresses.len()),
        };
        let texts: Vec<_> = self.addresses.iter().take(count).map(Address::to_string).collect();
        let text = texts.join("|");
        if text.is_empty() || INITIAL_BYTES_MAX < text.len() {
            let length = text.len() as i64;
            return Err(InitialError::UnreasonableLength { server: self.server, length });
        }
        let mut w = Writer::new(out);
        w.long(version);
        w.long(self.server.0);
        w.ustring(&text);
        Ok(())
    }
}

fn decode_addresses(text: &str, server: ServerId) -> Result<Vec<Address>, InitialError> {
    let decode = |address: &str| {
        let parts = host_and_ports(address)?;
        let [host, number] = parts.as_slice() else { return None };
        Some(Address::new(*host, port(number)?))
    };
    let error = |address: &str| InitialError::Address { server, address: address.to_owned() };
    split(text, '|').into_iter().map(|address| decode(address).ok_or_else(|| error(address))).collect()
}

/// Why a stream of frames cannot be read on, or a notification cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The length is not positive, or larger than any server sends.
    #[error("unreasonable length {length} of a notification")]
    UnreasonableLength {
        /// As sent, or as it would have to be.
        length: i64,
    },
}

/// The largest frame that servers take from each other (Java's `PACKETMAXSIZE`).
const FRAME_BYTES_MAX: usize = 512 * 1024;

/// The content of the frame at the start of a stream, and how long the frame is; `None` if there is more
/// to come.
pub fn frame(bytes: &[u8]) -> Result<Option<(&[u8], usize)>, FrameError> {
    let mut r = Reader::new(bytes);
    let Ok(length) = r.int() else { return Ok(None) };
    if length <= 0 || FRAME_BYTES_MAX < length as usize {
        return Err(FrameError::UnreasonableLength { length: length.into() });
    }
    Ok(r.bytes(length as usize).ok().map(|content| (content, r.offset())))
}

/// What a server is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum PeerState {
    /// In an election.
    Looking = 0,
    /// Learns from a leader, and votes or is a joiner.
    Following = 1,
    /// Leads.
    Leading = 2,
    /// Learns from a leader, and does not vote.
    Observing = 3,
}

impl PeerState {
    /// The state with this number, if there is one.
    pub fn from_code(code: i32) -> Option<Self> {
        [Self::Looking, Self::Following, Self::Leading, Self::Observing]
            .get(usize::try_from(code).ok()?)
            .copied()
    }
}

/// A vote, and what its sender is doing. Everything but the state and the configuration is about the server
/// that is voted for, or about the election that decided for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification<'a> {
    /// What the sender is doing.
    pub state: PeerState,
    /// Whom it votes for or follows; [`ServerId::NONE`] if it may not vote itself.
    pub leader: ServerId,
    /// That server's last position, as far as the sender knows.
    pub zxid: Zxid,
    /// The sender's round, or the one that elected the leader.
    pub round: i64,
    /// That server's epoch, or the established one.
    pub epoch: Epoch,
    /// The notification's version: 2 since 3.5, 0 for all older forms, whatever they say.
    pub version: i32,
    /// The text of the configuration that the sender lives in; see [`super::Configuration`].
    pub config: Option<Cow<'a, str>>,
}

/// Why a notification is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotificationError {
    /// Shorter than the shortest form.
    #[error("a notification of {length} bytes")]
    Short {
        /// The frame's length.
        length: usize,
    },
    /// Longer than the shortest form, and yet it ends inside a field. Servers 3.4.0 to 3.4.5 sent 36 bytes,
    /// which no server since has understood.
    #[error("a notification of {length} bytes, which end inside a field")]
    Truncated {
        /// The frame's length.
        length: usize,
    },
    /// A state that no server is in.
    #[error("unknown state {state} in a notification")]
    UnknownState {
        /// As sent.
        state: i32,
    },
    /// The configuration's length is negative or larger than what is left.
    #[error("a configuration of {config_length} bytes in a notification of {length} bytes")]
    ConfigLength {
        /// As sent.
        config_length: i32,
        /// The frame's length.
        length: usize,
    },
}

impl<'a> Notification<'a> {
    /// The version that this server writes.
    pub const VERSION: i32 = 2;

    /// Reads the content of a [`frame`]; bytes behind the last field are ignored.
    pub fn decode(content: &'a [u8]) -> Result<Self, NotificationError> {
        let length = content.len();
        if length < 28 {
            return Err(NotificationError::Short { length });
        }
        let mut r = Reader::new(content);
        let truncated = |_: DecodeError| NotificationError::Truncated { length };
        let code = r.int().map_err(truncated)?;
        let state = PeerState::from_code(code).ok_or(NotificationError::UnknownState { state: code })?;
        let leader = ServerId(r.long().map_err(truncated)?);
        let zxid = r.zxid().map_err(truncated)?;
        let round = r.long().map_err(truncated)?;
        let epoch = if length == 28 { zxid.epoch() } else { Epoch(r.long().map_err(truncated)?) };
        let version = if length == 28 || length == 40 { 0 } else { r.int().map_err(truncated)? };
        let config = if 1 < version {
            let config_length = r.int().map_err(truncated)?;
            let text = usize::try_from(config_length).ok().and_then(|bytes| r.bytes(bytes).ok());
            let text = text.ok_or(NotificationError::ConfigLength { config_length, length })?;
            Some(String::from_utf8_lossy(text))
        } else {
            None
        };
        Ok(Self { state, leader, zxid, round, epoch, version, config })
    }

    /// Appends a whole frame. It has version 2, whatever [`Notification::version`] says: servers since 3.4
    /// understand it.
    pub fn encode_frame(&self, out: &mut Vec<u8>) -> Result<(), FrameError> {
        let config = self.config.as_deref().unwrap_or("");
        let length = 44 + config.len();
        if FRAME_BYTES_MAX < length {
            return Err(FrameError::UnreasonableLength { length: length as i64 });
        }
        let mut w = Writer::new(out);
        w.int(length as i32);
        w.int(self.state as i32);
        w.long(self.leader.0);
        w.zxid(self.zxid);
        w.long(self.round);
        w.long(self.epoch.0);
        w.int(Self::VERSION);
        w.ustring(config);
        Ok(())
    }
}

#[cfg(test)]
#[path = "election_tests.rs"]
mod tests;
