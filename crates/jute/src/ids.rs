//! Numbers that must not be mixed up: each has a type of its own.

use std::fmt;

/// A transaction's position in the one order that all servers agree on: the epoch in the high 32
/// bits, a counter in the low 32. A standalone server only counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Zxid(pub i64);

impl Zxid {
    /// Before every transaction.
    pub const ZERO: Zxid = Zxid(0);

    /// The epoch of the leader that proposed the transaction.
    pub fn epoch(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The transaction's number within its epoch.
    pub fn counter(self) -> u32 {
        self.0 as u32
    }

    /// The next position in the same epoch.
    #[must_use]
    pub fn next(self) -> Zxid {
        Zxid(self.0 + 1)
    }
}

/// Lower-case hexadecimal without prefix, as in file names; `{:#x}` adds `0x`, as in logs.
impl fmt::LowerHex for Zxid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::LowerHex::fmt(&self.0, f)
    }
}

/// Prints as ZooKeeper's logs do: `0x1a`.
impl fmt::Display for Zxid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// A client session. Ids with the top bit set are legal, so comparisons with the markers that
/// `ephemeralOwner` also carries are made on the exact value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub i64);

impl SessionId {
    /// What a client that has no session yet sends; no session ever has it.
    pub const NONE: SessionId = SessionId(0);
}

/// Prints as ZooKeeper's logs do: `0x100001234560000`.
impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// The number in a server's `myid` file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerId(pub i64);

impl fmt::Display for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zxid_splits_into_epoch_and_counter() {
        let zxid = Zxid(0x5_0000_0007);
        assert_eq!((zxid.epoch(), zxid.counter()), (5, 7));
        assert_eq!(format!("{zxid:x} {zxid}"), "500000007 0x500000007");
        assert_eq!(zxid.next(), Zxid(0x5_0000_0008));
    }

    #[test]
    fn negative_session_ids_print_as_their_bits() {
        assert_eq!(SessionId(i64::MIN).to_string(), "0x8000000000000000");
    }
}
