//! What `ephemeralOwner` says, as it is stored: which of four kinds a znode is.
//!
//! ```text
//! 0                        persistent
//! 0x8000000000000000       container
//! 0xff 0000 tttttttttt     TTL node, 40 bits of milliseconds
//! anything else            ephemeral of that session
//! ```
//!
//! Follows Java's `EphemeralType`. TTL nodes are recognised always: a server that took them for
//! ephemerals of a session that does not exist would delete them.

use zabd_jute::SessionId;

/// The longest time to live, 40 bits of milliseconds.
pub const TTL_MS_MAX: i64 = (1 << 40) - 1;

const CONTAINER: i64 = i64::MIN;
const TTL_MARK: i64 = 0xff << 56;

/// A znode's kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Stays until it is deleted.
    Nobody,
    /// Goes some time after its last child.
    Container,
    /// Goes when it has no children and was not set for a while.
    Ttl {
        /// Milliseconds.
        ttl_ms: i64,
    },
    /// Ends with this session.
    Session(SessionId),
}

impl Owner {
    /// From the stored form. `emulate_353` reads every negative owner as Java 3.5.3 wrote TTLs.
    pub fn from_stored(owner: i64, emulate_353: bool) -> Self {
        match owner {
            0 => Owner::Nobody,
            CONTAINER => Owner::Container,
            _ if emulate_353 && owner < 0 && owner & TTL_MARK != TTL_MARK => {
                Owner::Ttl { ttl_ms: owner & i64::MAX }
            }
            _ if owner & TTL_MARK == TTL_MARK => Owner::Ttl { ttl_ms: owner & TTL_MS_MAX },
            session => Owner::Session(SessionId(session)),
        }
    }

    /// To the stored form.
    pub fn stored(self) -> i64 {
        match self {
            Owner::Nobody => 0,
            Owner::Container => CONTAINER,
            Owner::Ttl { ttl_ms } => TTL_MARK | ttl_ms,
            Owner::Session(session) => session.0,
        }
    }

    /// What a client sees: only ordinary ephemerals have an owner.
    pub fn shown(self) -> i64 {
        match self {
            Owner::Session(session) => session.0,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_survive_storing() {
        for owner in [
            Owner::Nobody,
            Owner::Container,
            Owner::Ttl { ttl_ms: 1 },
            Owner::Ttl { ttl_ms: TTL_MS_MAX },
            Owner::Session(SessionId(0x0100_0000_0000_0001)),
            Owner::Session(SessionId(i64::MIN + 7)),
        ] {
            assert_eq!(Owner::from_stored(owner.stored(), false), owner);
        }
        assert_eq!(Owner::from_stored(i64::MIN + 7, true), Owner::Ttl { ttl_ms: 7 });
    }
}
