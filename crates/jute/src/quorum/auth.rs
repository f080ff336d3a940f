//! One step of the SASL exchange that may open a connection between servers, on either port.
//!
//! ```text
//! long magic · int status · buffer token
//! ```
//!
//! The magic number is positive on the wire, whatever comments elsewhere say of its sign. No initial message,
//! frame or packet begins like it, so a listener can look for it and go on without.

use super::unless_truncated;
use crate::{DecodeError, Limits, Reader, Record, Writer};

/// How far the exchange has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum AuthStatus {
    /// The exchange failed, and so has its connection if it was required.
    Error = -1,
    /// The token is for the other side's mechanism.
    InProgress = 0,
    /// The last token of the exchange.
    Success = 1,
}

/// `QuorumAuthPacket { long magic; int status; buffer token; }`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthPacket<'a> {
    /// What the token is.
    pub status: AuthStatus,
    /// One step of the mechanism.
    pub token: Option<&'a [u8]>,
}

/// Why a stream does not go on with an [`AuthPacket`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// The other side does not authenticate: the bytes are already the next message.
    #[error("the connection goes on without authentication")]
    NoMagic,
    /// The packet is broken.
    #[error("an authentication packet does not decode")]
    Undecodable(#[from] DecodeError),
}

impl<'a> AuthPacket<'a> {
    /// What each packet begins with.
    pub const MAGIC: i64 = 0x5f24_3501_3501_edcc;

    /// Reads the packet at the start of a stream, and how long it is; `None` if there is more to come.
    pub fn decode_stream(bytes: &'a [u8], limits: Limits) -> Result<Option<(Self, usize)>, AuthError> {
        let magic = Self::MAGIC.to_be_bytes();
        let seen = bytes.len().min(magic.len());
        if bytes[..seen] != magic[..seen] {
            return Err(AuthError::NoMagic);
        }
        let mut r = Reader::with_limits(bytes, limits);
        let packet = unless_truncated(Self::decode(&mut r))?;
        Ok(packet.map(|packet| (packet, r.offset())))
    }
}

impl<'a> Record<'a> for AuthPacket<'a> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let offset = r.offset();
        let magic = r.long()?;
        if magic != Self::MAGIC {
            return Err(DecodeError::UnknownValue { value: magic as i32, offset });
        }
        let offset = r.offset();
        let status = match r.int()? {
            -1 => AuthStatus::Error,
            0 => AuthStatus::InProgress,
            1 => AuthStatus::Success,
            value => return Err(DecodeError::UnknownValue { value, offset }),
        };
        Ok(Self { status, token: r.buffer()? })
    }
    fn encode(&self, w: &mut Writer<'_>) {
        w.long(Self::MAGIC);
        w.int(self.status as i32);
        w.buffer(self.token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(bytes: &[u8]) -> Result<Option<(AuthPacket<'_>, usize)>, AuthError> {
        AuthPacket::decode_stream(bytes, Limits::default())
    }

    #[test]
    fn first_step_of_a_dialler() {
        let bytes = b"\x5f\x24\x35\x01\x35\x01\xed\xcc\0\0\0\0\0\0\0\0rest";
        let packet = AuthPacket { status: AuthStatus::InProgress, token: Some(b"") };
        assert_eq!(decode(bytes), Ok(Some((packet.clone(), 16))));
        assert_eq!(packet.to_bytes(), bytes[..16]);
        for length in 0..16 {
            assert_eq!(decode(&bytes[..length]), Ok(None));
        }
    }

    #[test]
    fn other_messages_are_told_apart_by_their_first_byte() {
        assert_eq!(decode(b"\0\0\0\x0b"), Err(AuthError::NoMagic));
        assert_eq!(decode(b"\xff"), Err(AuthError::NoMagic));
    }

    #[test]
    fn unknown_status_is_an_error() {
        let bytes = b"\x5f\x24\x35\x01\x35\x01\xed\xcc\0\0\0\x07\xff\xff\xff\xff";
        assert_eq!(
            decode(bytes),
            Err(AuthError::Undecodable(DecodeError::UnknownValue { value: 7, offset: 8 }))
        );
    }
}
