//! The flags of a create: what kind of znode, and whether its name is numbered.

/// `CreateMode` of the Java client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum CreateMode {
    /// Stays until it is deleted.
    Persistent = 0,
    /// Ends with its session.
    Ephemeral = 1,
    /// Persistent, with a number behind its name.
    PersistentSequential = 2,
    /// Ephemeral, with a number behind its name.
    EphemeralSequential = 3,
    /// Goes some time after its last child.
    Container = 4,
    /// Goes when it has no children and was not set for a while.
    PersistentTtl = 5,
    /// The same, with a number behind its name.
    PersistentSequentialTtl = 6,
}

impl CreateMode {
    /// The mode with these flags, if there is one.
    pub fn from_flags(flags: i32) -> Option<Self> {
        Some(match flags {
            0 => Self::Persistent,
            1 => Self::Ephemeral,
            2 => Self::PersistentSequential,
            3 => Self::EphemeralSequential,
            4 => Self::Container,
            5 => Self::PersistentTtl,
            6 => Self::PersistentSequentialTtl,
            _ => return None,
        })
    }

    /// Whether the server appends a number to the name.
    pub fn is_sequential(self) -> bool {
        matches!(self, Self::PersistentSequential | Self::EphemeralSequential | Self::PersistentSequentialTtl)
    }

    /// Whether the znode ends with its session.
    pub fn is_ephemeral(self) -> bool {
        matches!(self, Self::Ephemeral | Self::EphemeralSequential)
    }

    /// Whether the znode has a time to live.
    pub fn is_ttl(self) -> bool {
        matches!(self, Self::PersistentTtl | Self::PersistentSequentialTtl)
    }

    /// Whether the znode goes with its last child.
    pub fn is_container(self) -> bool {
        self == Self::Container
    }
}
