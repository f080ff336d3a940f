//! Why a measurement could not be made.

use std::io;

use zabd_jute::DecodeError;

/// Why a measurement could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The system refused something.
    #[error("cannot {action}")]
    Io {
        /// What was tried, as in "cannot connect".
        action: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The server said something that no ZooKeeper server says.
    #[error("the server's answer does not decode")]
    Decode(#[from] DecodeError),
    /// The server refused a session.
    #[error("the server refused a session")]
    Refused,
    /// The server closed a connection that was in use.
    #[error("the server closed a connection while {during}")]
    Closed {
        /// What the connection was used for.
        during: &'static str,
    },
    /// A request failed that cannot fail on a healthy server.
    #[error("{during} failed with error {code}")]
    Failed {
        /// What was asked for.
        during: &'static str,
        /// ZooKeeper's code.
        code: i32,
    },
    /// Answers stand out of order, or answer nothing that was asked.
    #[error("the server answered xid {actual} where {expected} was due")]
    OutOfOrder {
        /// The oldest request without an answer.
        expected: i32,
        /// The answer's.
        actual: i32,
    },
    /// Nothing more happened within the time that should be plenty.
    #[error("{during} did not end within {seconds} s")]
    TimedOut {
        /// What was waited for.
        during: &'static str,
        /// How long.
        seconds: u64,
    },
    /// The server process ended.
    #[error("{name} ended by itself: {status}; its last words:\n{output}")]
    ServerEnded {
        /// Which server.
        name: String,
        /// Its exit status.
        status: String,
        /// The end of what it printed.
        output: String,
    },
    /// The measurement needs something that this machine does not have.
    #[error("{0}")]
    Unavailable(String),
}

impl BenchError {
    /// For `map_err`: names what was tried.
    pub fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action: action.into(), source }
    }

    /// The error and its causes on one line.
    pub fn one_line(&self) -> String {
        let mut line = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            line.push_str(": ");
            line.push_str(&error.to_string());
            cause = error.source();
        }
        line
    }
}
