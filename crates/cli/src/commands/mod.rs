//! The commands that need a server, one file for each or for a few that are alike: syntax, options, effect, output.
//!
//! A command is handed its words, its name first, and prints what Java's prints. Its error is one line on standard
//! error and an exit code; what a refused request is called is written here once (`CliWrapperException`).

mod acl;
mod config;
mod create;
mod data;
mod delete;
mod identity;
mod list;
mod quota;
mod session;
mod subtree;
mod watch;

use zabd_jute::ErrorCode;

use crate::client::{Client, Failure, Refusal};
use crate::options::OptionError;
use crate::screen::Screen;

/// What a command works with.
pub struct Context<'a> {
    /// A session that is alive.
    pub client: &'a Client,
    /// Where it prints.
    pub screen: &'a Screen,
    /// What `version` says.
    pub version: &'a str,
}

/// Why a command failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CommandError {
    /// One line, or a usage.
    pub message: String,
    /// What a shell that does only this ends with.
    pub exit_code: u8,
}

impl CommandError {
    /// An error with the usual exit code.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), exit_code: 1 }
    }
}

impl From<OptionError> for CommandError {
    fn from(error: OptionError) -> Self {
        Self::new(error.to_string())
    }
}

impl From<Failure> for CommandError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Path(mistake) => Self::new(mistake.to_string()),
            Failure::Refused(refusal) => Self::new(explained(&refusal)),
        }
    }
}

/// A refusal in the shell's words, where it has words of its own.
fn explained(refusal: &Refusal) -> String {
    let about = |text: &str| format!("{text}: {}", refusal.path_text());
    match ErrorCode::from_code(refusal.code) {
        Some(ErrorCode::NoNode) => about("Node does not exist"),
        Some(ErrorCode::NoChildrenForEphemerals) => about("Ephemerals cannot have children"),
        Some(ErrorCode::NodeExists) => about("Node already exists"),
        Some(ErrorCode::NotEmpty) => about("Node not empty"),
        Some(ErrorCode::NotReadOnly) => about("Not a read-only call"),
        Some(ErrorCode::InvalidAcl) => about("Acl is not valid "),
        Some(ErrorCode::NoAuth) => about("Insufficient permission "),
        Some(ErrorCode::BadArguments) => about("Arguments are not valid "),
        Some(ErrorCode::BadVersion) => about("version No is not valid "),
        Some(ErrorCode::QuotaExceeded) => about("Quota has exceeded "),
        Some(ErrorCode::ReconfigInProgress) => {
            "Another reconfiguration is in progress -- concurrent reconfigs not supported (yet)".to_owned()
        }
        Some(ErrorCode::NewConfigNoQuorum) => {
            "No quorum of new config is connected and up-to-date with the leader of last commmitted config - try \
             invoking reconfiguration after new servers are connected and synced"
                .to_owned()
        }
        _ => refusal.to_string(),
    }
}

/// One command.
pub struct Command {
    /// The word that calls it.
    pub name: &'static str,
    /// What may stand behind it, as the list of all commands shows it.
    pub syntax: &'static str,
    /// What its own usage shows below that.
    pub details: &'static str,
    /// Does it.
    pub run: fn(&Context<'_>, &[String]) -> Result<(), CommandError>,
}

impl Command {
    /// What is said when words are missing.
    fn usage(&self) -> CommandError {
        CommandError::new(format!("{} {}{}", self.name, self.syntax, self.details))
    }
}

/// All of them.
pub const COMMANDS: &[Command] = &[
    acl::GET_ACL,
    acl::SET_ACL,
    config::CONFIG,
    config::RECONFIG,
    create::CREATE,
    data::GET,
    data::SET,
    delete::DELETE,
    delete::DELETE_ALL,
    identity::ADD_AUTH,
    identity::WHO_AM_I,
    list::GET_ALL_CHILDREN_NUMBER,
    list::GET_EPHEMERALS,
    list::LS,
    list::STAT,
    quota::DEL_QUOTA,
    quota::LIST_QUOTA,
    quota::SET_QUOTA,
    session::CLOSE,
    session::SYNC,
    session::VERSION,
    watch::ADD_WATCH,
    watch::REMOVE_WATCHES,
];

/// A number as Java reads it.
pub fn number<T: std::str::FromStr>(text: &str) -> Result<T, CommandError> {
    text.parse().map_err(|_| CommandError::new(format!("For input string: \"{text}\"")))
}

/// The expected version, any if none was given.
fn version(line: &crate::options::Line) -> Result<i32, CommandError> {
    line.value("v").map_or(Ok(-1), number)
}

/// Older forms had a word for `-w`: whatever was third becomes that.
fn with_watch_for_third(words: &[String]) -> Vec<String> {
    let mut words = words.to_vec();
    "-w".clone_into(&mut words[2]);
    words
}
