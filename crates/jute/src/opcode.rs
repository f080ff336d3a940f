//! Operation codes: `ZooDefs.OpCode` of the Java server.

/// A request's operation, or a transaction's type; both use the same numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i32)]
pub enum OpCode {
    /// A client's new session; only the server itself asks for it.
    CreateSession = -10,
    /// The end of a session.
    CloseSession = -11,
    /// A failed request, in logs and in results of a multi.
    Error = -1,
    /// Creates a znode, answers with its path.
    Create = 1,
    /// Deletes a znode.
    Delete = 2,
    /// Stat of a znode, or the news that it is missing.
    Exists = 3,
    /// Data and stat.
    GetData = 4,
    /// Replaces the data.
    SetData = 5,
    /// Access list and stat.
    GetAcl = 6,
    /// Replaces the access list.
    SetAcl = 7,
    /// Names of the children.
    GetChildren = 8,
    /// Waits until this server has caught up.
    Sync = 9,
    /// Keeps the session alive.
    Ping = 11,
    /// Names of the children and stat.
    GetChildren2 = 12,
    /// Compares a version, inside a multi only.
    Check = 13,
    /// Several writes as one.
    Multi = 14,
    /// Creates a znode, answers with path and stat.
    Create2 = 15,
    /// Changes the ensemble's membership.
    Reconfig = 16,
    /// Asks whether a watch is set.
    CheckWatches = 17,
    /// Removes a watch.
    RemoveWatches = 18,
    /// Creates a container.
    CreateContainer = 19,
    /// Removes an empty container or an outdated TTL znode; only the server itself asks for it.
    DeleteContainer = 20,
    /// Creates a TTL znode.
    CreateTtl = 21,
    /// Several reads as one.
    MultiRead = 22,
    /// Adds an identity to the connection.
    Auth = 100,
    /// Sets watches again after a reconnect.
    SetWatches = 101,
    /// One step of a SASL exchange.
    Sasl = 102,
    /// The session's ephemerals below a prefix.
    GetEphemerals = 103,
    /// The number of all descendants.
    GetAllChildrenNumber = 104,
    /// [`OpCode::SetWatches`] with persistent watches.
    SetWatches2 = 105,
    /// Sets a persistent watch.
    AddWatch = 106,
    /// The connection's identities.
    WhoAmI = 107,
}

impl OpCode {
    /// The number on the wire and in the log.
    pub fn code(self) -> i32 {
        self as i32
    }

    /// The operation with this number, if there is one.
    pub fn from_code(code: i32) -> Option<OpCode> {
        Some(match code {
            -10 => OpCode::CreateSession,
            -11 => OpCode::CloseSession,
            -1 => OpCode::Error,
            1 => OpCode::Create,
            2 => OpCode::Delete,
            3 => OpCode::Exists,
            4 => OpCode::GetData,
            5 => OpCode::SetData,
            6 => OpCode::GetAcl,
            7 => OpCode::SetAcl,
            8 => OpCode::GetChildren,
            9 => OpCode::Sync,
            11 => OpCode::Ping,
            12 => OpCode::GetChildren2,
            13 => OpCode::Check,
            14 => OpCode::Multi,
            15 => OpCode::Create2,
            16 => OpCode::Reconfig,
            17 => OpCode::CheckWatches,
            18 => OpCode::RemoveWatches,
            19 => OpCode::CreateContainer,
            20 => OpCode::DeleteContainer,
            21 => OpCode::CreateTtl,
            22 => OpCode::MultiRead,
            100 => OpCode::Auth,
            101 => OpCode::SetWatches,
            102 => OpCode::Sasl,
            103 => OpCode::GetEphemerals,
            104 => OpCode::GetAllChildrenNumber,
            105 => OpCode::SetWatches2,
            106 => OpCode::AddWatch,
            107 => OpCode::WhoAmI,
            _ => return None,
        })
    }
}
