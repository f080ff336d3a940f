//! Why an operation failed, in the words of Java's exceptions.

use zabd_jute::ErrorCode;

use super::path::PathMistake;

/// The connection was lost while the request was on its way, or before: nobody knows whether it was carried out.
pub const CONNECTION_LOSS: i32 = -4;
/// The server sent what cannot be read.
pub const MARSHALLING_ERROR: i32 = -5;
/// The answer did not come in time.
pub const REQUEST_TIMEOUT: i32 = -122;

/// `KeeperException`: a number and the path of the request, if it had one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("KeeperErrorCode = {}{}", self.name(), self.for_path())]
pub struct Refusal {
    /// `KeeperException.Code`.
    pub code: i32,
    /// `None` where Java's exception has none.
    pub path: Option<String>,
}

impl Refusal {
    /// A refused request about `path`.
    pub fn new(code: i32, path: &str) -> Self {
        Self { code, path: Some(path.to_owned()) }
    }

    /// Whether it is this one of a server's errors.
    pub fn is(&self, code: ErrorCode) -> bool {
        self.code == code.code()
    }

    /// `KeeperException.getPath()` where it is made into text.
    pub fn path_text(&self) -> &str {
        self.path.as_deref().unwrap_or("null")
    }

    fn for_path(&self) -> String {
        match self.path.as_deref() {
            None | Some("") => String::new(),
            Some(path) => format!(" for {path}"),
        }
    }

    /// `KeeperException.getCodeMessage`.
    fn name(&self) -> &'static str {
        match self.code {
            -1 => "SystemError",
            -2 => "RuntimeInconsistency",
            -3 => "DataInconsistency",
            CONNECTION_LOSS => "ConnectionLoss",
            MARSHALLING_ERROR => "MarshallingError",
            -6 => "Unimplemented",
            -7 => "OperationTimeout",
            -8 => "BadArguments",
            -12 => "Unknown error UNKNOWNSESSION",
            -13 => "NewConfigNoQuorum",
            -14 => "ReconfigInProgress",
            -100 => "APIError",
            -101 => "NoNode",
            -102 => "NoAuth",
            -103 => "BadVersion",
            -108 => "NoChildrenForEphemerals",
            -110 => "NodeExists",
            -111 => "Directory not empty",
            -112 => "Session expired",
            -113 => "Invalid callback",
            -114 => "InvalidACL",
            -115 => "AuthFailed",
            -118 => "Session moved",
            -119 => "Not a read-only call",
            -120 => "Ephemeral node on local session",
            -121 => "No such watcher",
            REQUEST_TIMEOUT => "Unknown error REQUESTTIMEOUT",
            -123 => "Reconfig is disabled",
            -124 => "Session closed because client failed to authenticate",
            -125 => "Quota has exceeded",
            -127 => "Op throttled due to high load",
            _ => "Unknown error null",
        }
    }
}

/// Why an operation has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It was not sent: no server would accept such a path.
    #[error(transparent)]
    Path(#[from] PathMistake),
    /// The server refused it, or there was none.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_print_as_javas() {
        for (code, path, text) in [
            (-101, Some("/a"), "KeeperErrorCode = NoNode for /a"),
            (-114, None, "KeeperErrorCode = InvalidACL"),
            (-123, Some(""), "KeeperErrorCode = Reconfig is disabled"),
            (-122, Some("/a"), "KeeperErrorCode = Unknown error REQUESTTIMEOUT for /a"),
            (-4, Some("/"), "KeeperErrorCode = ConnectionLoss for /"),
        ] {
            assert_eq!(Refusal { code, path: path.map(str::to_owned) }.to_string(), text);
        }
    }
}
