//! How the process ends, in numbers that scripts and supervisors already know.

/// Java's `ExitCode`: each value is what `zkServer.sh` and init systems see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// The server was asked to stop and did.
    ExecutionFinished = 0,
    /// Something nobody foresaw.
    UnexpectedError = 1,
    /// Wrong arguments or a configuration that cannot be served.
    InvalidInvocation = 2,
    /// `dataDir` or `dataLogDir` cannot be created, read or written.
    UnableToAccessDataDir = 3,
    /// The AdminServer did not start.
    ErrorStartingAdminServer = 4,
    /// The log failed while a snapshot was being taken.
    TxnlogErrorTakingSnapshot = 10,
    /// A commit that does not match the oldest proposal.
    UnmatchedTxnCommit = 12,
    /// A quorum packet that cannot be understood.
    QuorumPacketError = 13,
    /// The election port could not be bound.
    UnableToBindQuorumPort = 14,
}

impl ExitCode {
    /// Every code with what it tells an operator, in order.
    pub const ALL: [(ExitCode, &'static str); 9] = [
        (ExitCode::ExecutionFinished, "stopped on request"),
        (ExitCode::UnexpectedError, "unexpected error"),
        (ExitCode::InvalidInvocation, "wrong arguments or invalid configuration"),
        (ExitCode::UnableToAccessDataDir, "`dataDir` or `dataLogDir` cannot be accessed"),
        (ExitCode::ErrorStartingAdminServer, "the AdminServer did not start"),
        (ExitCode::TxnlogErrorTakingSnapshot, "the log failed while a snapshot was taken"),
        (ExitCode::UnmatchedTxnCommit, "a commit does not match the oldest proposal"),
        (ExitCode::QuorumPacketError, "a quorum packet cannot be understood"),
        (ExitCode::UnableToBindQuorumPort, "the election port cannot be bound"),
    ];
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        std::process::ExitCode::from(code as u8)
    }
}
