//! What `ephemeralOwner` says, as it is stored: which of four kinds a znode is.
//!
//! ```text
//! 0                        persistent
//! 0x8000000000000000       container
//! 0xff 0000 tttttttttt     TTL node, 40 bits of milliseconds
//! anything else            ephemeral of that session
//! ```
//!
//! Follows Java's `EphemeralType`. TTL nodes are recognised whether or not extended types are enabled: a server that took them for
//! ephemerals of a session that does not exist would delete them. The sessions of server 255, which may be one without extended
//! types, begin with the same byte, and those of a Java server have zeros behind it for some hours after its machine has started. So
//! what could be either is an ephemeral if there is such a session.

use zabd_jute::SessionId;

/// The longest time to live, 40 bits of milliseconds.
pub const TTL_MS_MAX: i64 = (1 << 40) - 1;

const CONTAINER: i64 = i64::MIN;
const TTL_MARK: i64 = 0xff << 56;
/// What may stand in the bits of the mark and between it and the time: nothing else, for a TTL node.
const TTL_MASK: i64 = !TTL_MS_MAX;

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
    /// From the stored form. `emulate_353` reads every negative owner as Java 3.5.3 wrote TTLs; `is_session` says whether there is a
    /// session of that name, and is asked only where that matters.
    pub fn from_stored(owner: i64, emulate_353: bool, is_session: impl FnOnce(SessionId) -> bool) -> Self {
        match owner {
            0 => Owner::Nobody,
            CONTAINER => Owner::Container,
            _ if emulate_353 && owner < 0 && owner & TTL_MARK != TTL_MARK => {
                Owner::Ttl { ttl_ms: owner & i64::MAX }
            }
            _ if is_ttl_or_session(SessionId(owner)) && !is_session(SessionId(owner)) => {
                Owner::Ttl { ttl_ms: owner & TTL_MS_MAX }
            }
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

/// Whether the name of a session could be a time to live as well.
pub(crate) fn is_ttl_or_session(session: SessionId) -> bool {
    session.0 & TTL_MASK == TTL_MARK
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
            Owner::Session(SessionId(0xff00_0278_c9b6_0000_u64.cast_signed())),
            Owner::Session(SessionId(0xffa2_1f00_0000_0000_u64.cast_signed())),
        ] {
            assert_eq!(Owner::from_stored(owner.stored(), false, |_| false), owner);
        }
        assert_eq!(Owner::from_stored(i64::MIN + 7, true, |_| false), Owner::Ttl { ttl_ms: 7 });
    }

    #[test]
    fn what_could_be_a_time_is_a_session_if_there_is_one() {
        let both = 0xff00_0000_c9b6_0000_u64.cast_signed();
        assert_eq!(Owner::from_stored(both, false, |_| false), Owner::Ttl { ttl_ms: 0xc9b6_0000 });
        assert_eq!(Owner::from_stored(both, false, |_| true), Owner::Session(SessionId(both)));
        assert_eq!(
            Owner::from_stored(1, false, |_| unreachable!("nothing else is asked for")),
            Owner::Session(SessionId(1))
        );
    }
}
