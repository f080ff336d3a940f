//! The `err` field of a reply: `KeeperException.Code` of the Java client.

/// Why a request was refused. Clients throw on codes that they do not know, so there are no others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i32)]
pub enum ErrorCode {
    /// The server failed in a way that it does not explain.
    SystemError = -1,
    /// An operation of a multi that was not tried because an earlier one failed.
    RuntimeInconsistency = -2,
    /// The data contradicts itself.
    DataInconsistency = -3,
    /// The body does not decode, or Java's own code trips over it.
    MarshallingError = -5,
    /// The operation is unknown or switched off.
    Unimplemented = -6,
    /// A path, flag or argument is invalid.
    BadArguments = -8,
    /// The session is not known.
    UnknownSession = -12,
    /// No quorum of the new configuration is up to date.
    NewConfigNoQuorum = -13,
    /// Another reconfiguration has not finished.
    ReconfigInProgress = -14,
    /// The znode does not exist.
    NoNode = -101,
    /// An ACL forbids it.
    NoAuth = -102,
    /// The version is not the expected one.
    BadVersion = -103,
    /// Ephemerals have no children.
    NoChildrenForEphemerals = -108,
    /// The znode exists already.
    NodeExists = -110,
    /// The znode has children.
    NotEmpty = -111,
    /// The session is closing or closed.
    SessionExpired = -112,
    /// The ACL list is invalid.
    InvalidAcl = -114,
    /// The authentication was refused.
    AuthFailed = -115,
    /// The session belongs to another server by now.
    SessionMoved = -118,
    /// This server takes no writes for now.
    NotReadOnly = -119,
    /// A local session cannot own ephemerals.
    EphemeralOnLocalSession = -120,
    /// There is no such watch.
    NoWatcher = -121,
    /// `reconfigEnabled` is false.
    ReconfigDisabled = -123,
    /// The connection must authenticate first.
    SessionClosedRequireAuth = -124,
    /// A hard quota would be exceeded.
    QuotaExceeded = -125,
    /// The request waited too long before it was tried.
    ThrottledOp = -127,
}

impl ErrorCode {
    /// The number on the wire and in the log.
    pub fn code(self) -> i32 {
        self as i32
    }

    /// The error with this number, if there is one.
    pub fn from_code(code: i32) -> Option<Self> {
        Self::ALL.iter().copied().find(|error| error.code() == code)
    }

    const ALL: &[Self] = &[
        Self::SystemError,
        Self::RuntimeInconsistency,
        Self::DataInconsistency,
        Self::MarshallingError,
        Self::Unimplemented,
        Self::BadArguments,
        Self::UnknownSession,
        Self::NewConfigNoQuorum,
        Self::ReconfigInProgress,
        Self::NoNode,
        Self::NoAuth,
        Self::BadVersion,
        Self::NoChildrenForEphemerals,
        Self::NodeExists,
        Self::NotEmpty,
        Self::SessionExpired,
        Self::InvalidAcl,
        Self::AuthFailed,
        Self::SessionMoved,
        Self::NotReadOnly,
        Self::EphemeralOnLocalSession,
        Self::NoWatcher,
        Self::ReconfigDisabled,
        Self::SessionClosedRequireAuth,
        Self::QuotaExceeded,
        Self::ThrottledOp,
    ];
}
