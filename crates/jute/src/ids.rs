//! Numbers that must not be mixed up: each has a type of its own.

use std::fmt;

/// A transaction's position in the one order that all servers agree on: the epoch in the high 32
/// bits, a counter in the low 32. A standalone server only counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Zxid(pub i64);

impl Zxid {
    /// Before every transaction.
    pub const ZERO: Zxid = Zxid(0);
    /// What stands in the vote of a server that cannot be elected.
    pub const NONE: Zxid = Zxid(i64::MIN);

    /// The position with this number in this epoch.
    pub fn new(epoch: Epoch, counter: u32) -> Zxid {
        Zxid(epoch.0 << 32 | i64::from(counter))
    }

    /// The epoch of the leader that proposed the transaction.
    pub fn epoch(self) -> Epoch {
        Epoch(self.0 >> 32)
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

/// The reign of one leader. Leaders of later epochs have larger numbers, and no number is used twice.
///
/// The epoch files and a zxid's high half are such numbers; the *round* of an election, which Java also
/// calls an epoch, is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub i64);

impl Epoch {
    /// Before every leader.
    pub const ZERO: Epoch = Epoch(0);
    /// The last one that a zxid has room for.
    pub const LAST: Epoch = Epoch(i32::MAX as i64);
    /// What stands in the vote of a server that cannot be elected.
    pub const NONE: Epoch = Epoch(i64::MIN);

    /// Where the epoch begins: the position with counter 0, which no transaction has. NEWLEADER and its
    /// acknowledgements name an epoch by it, and a leader without a transaction of its own votes with it.
    pub fn first_zxid(self) -> Zxid {
        Zxid::new(self, 0)
    }

    /// The epoch after this one.
    #[must_use]
    pub fn next(self) -> Epoch {
        Epoch(self.0 + 1)
    }
}

/// Prints in decimal, as the epoch files do.
impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
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

/// The number in a server's `myid` file. Real ones are 0 to 255: only the low byte reaches session ids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerId(pub i64);

impl ServerId {
    /// Whom a server votes for that cannot be elected itself.
    pub const NONE: ServerId = ServerId(i64::MIN);
    /// What an observer without a number of its own introduces itself with.
    pub const ANONYMOUS: ServerId = ServerId(i64::MAX);
}

impl fmt::Display for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which of two configurations is the newer one: the zxid of the reconfiguration that made it, or 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConfigVersion(pub i64);

impl ConfigVersion {
    /// What a configuration has that no leader has adopted yet.
    pub const ZERO: ConfigVersion = ConfigVersion(0);
}

impl From<Zxid> for ConfigVersion {
    fn from(zxid: Zxid) -> Self {
        ConfigVersion(zxid.0)
    }
}

/// Prints as in the configuration's text: lower-case hexadecimal without prefix.
impl fmt::Display for ConfigVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::LowerHex::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zxid_splits_into_epoch_and_counter() {
        let zxid = Zxid(0x5_0000_0007);
        assert_eq!((zxid.epoch(), zxid.counter()), (Epoch(5), 7));
        assert_eq!(Zxid::new(Epoch(5), 7), zxid);
        assert_eq!(Epoch(5).first_zxid(), Zxid(0x5_0000_0000));
        assert_eq!(Zxid::new(Epoch(5), u32::MAX), Zxid(0x5_ffff_ffff));
        assert_eq!(format!("{zxid:x} {zxid}"), "500000007 0x500000007");
        assert_eq!(zxid.next(), Zxid(0x5_0000_0008));
    }

    /// Java shifts with the sign, so the zxid of a server without a history has an epoch of its own.
    #[test]
    fn zxid_minus_one_is_before_every_epoch() {
        assert_eq!(Zxid(-1).epoch(), Epoch(-1));
    }

    #[test]
    fn negative_session_ids_print_as_their_bits() {
        assert_eq!(SessionId(i64::MIN).to_string(), "0x8000000000000000");
    }
}
