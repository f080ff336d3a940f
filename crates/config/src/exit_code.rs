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
    /// A port for other servers could not be bound; Java's server ends so for the election port, and tries on for the others.
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
        (
            ExitCode::UnableToBindQuorumPort,
            "a port for other servers cannot be bound: the quorum, the election or the observers' port",
        ),
    ];
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        std::process::ExitCode::from(code as u8)
    }
}
