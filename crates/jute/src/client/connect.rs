//! The handshake: a client asks for a session, the server grants or refuses it.

use crate::{DecodeError, Reader, Record, SessionId, Writer, Zxid};

/// `ConnectRequest`, the first frame of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectRequest<'a> {
    /// Ignored, whatever it is.
    pub protocol_version: i32,
    /// The newest transaction that the client has seen.
    pub last_zxid_seen: Zxid,
    /// What it asks for, before negotiation.
    pub timeout_ms: i32,
    /// The session to resume, 0 for a new one.
    pub session: SessionId,
    /// Normally 16 bytes.
    pub password: Option<&'a [u8]>,
    /// `None` if the byte is absent, as from clients of 3.3 and before.
    pub read_only: Option<bool>,
}

impl<'a> Record<'a> for ConnectRequest<'a> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Self {
            protocol_version: r.int()?,
            last_zxid_seen: r.zxid()?,
            timeout_ms: r.int()?,
            session: r.session()?,
            password: r.buffer()?,
            read_only: if r.remaining().is_empty() { None } else { Some(r.boolean()?) },
        })
    }
    fn encode(&self, w: &mut Writer<'_>) {
        w.int(self.protocol_version);
        w.zxid(self.last_zxid_seen);
        w.int(self.timeout_ms);
        w.session(self.session);
        w.buffer(self.password);
        if let Some(read_only) = self.read_only {
            w.boolean(read_only);
        }
    }
}

/// `ConnectResponse`; a refused session is all zeros.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectResponse {
    /// What was negotiated; 0 or less means that the session is gone.
    pub timeout_ms: i32,
    /// The session.
    pub session: SessionId,
    /// The proof that the session is the client's own.
    pub password: [u8; 16],
    /// Whether the server serves reads only; the byte is there exactly when the request had one.
    pub read_only: Option<bool>,
}

impl Record<'_> for ConnectResponse {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let _protocol_version = r.int()?;
        let timeout_ms = r.int()?;
        let session = r.session()?;
        let offset = r.offset();
        let password = r.buffer()?.unwrap_or_default();
        let length = password.len() as i32;
        Ok(Self {
            timeout_ms,
            session,
            password: password.try_into().map_err(|_| DecodeError::UnreasonableLength { length, offset })?,
            read_only: if r.remaining().is_empty() { None } else { Some(r.boolean()?) },
        })
    }
    fn encode(&self, w: &mut Writer<'_>) {
        w.int(0);
        w.int(self.timeout_ms);
        w.session(self.session);
        w.buffer(Some(&self.password));
        if let Some(read_only) = self.read_only {
            w.boolean(read_only);
        }
    }
}

/// The password of a session: `java.util.Random`, seeded with the id, so that any server of any
/// implementation can check it (`ZooKeeperServer.generatePasswd`).
pub fn password(session: SessionId) -> [u8; 16] {
    const MULTIPLIER: u64 = 0x5_DEEC_E66D;
    const MASK: u64 = (1 << 48) - 1;
    const SECRET: u64 = 0xB341_5C00;
    let mut state = (session.0 as u64 ^ SECRET ^ MULTIPLIER) & MASK;
    let mut password = [0; 16];
    for part in password.chunks_exact_mut(4) {
        state = state.wrapping_mul(MULTIPLIER).wrapping_add(0xB) & MASK;
        part.copy_from_slice(&((state >> 16) as u32).to_le_bytes());
    }
    password
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn password_is_javas() {
        let expected = 0x6f23_e0a8_d001_2e00_6571_f81c_994e_6740_u128.to_be_bytes();
        assert_eq!(password(SessionId(0x0100_0014_d053_0000)), expected);
    }
}
