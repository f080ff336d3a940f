//! How ZooKeeper's container images start a server: their flags and variables in, one [`Plan`] out.
//!
//! ```text
//! words, variables, host name ─► start_zookeeper, or a dialect ─► Plan ─► files for whoever looks for them
//!                                                                  └────► Sources ─► Config
//! ```
//!
//! An image's start script writes a zoo.cfg and a `myid`, and then starts a server from them. Scripts, manifests and people look
//! for these files afterwards, so they are part of what an image promises; the server itself does without them, and gets
//! the same lines with the name of the flag or variable that each came from, so that a mistake is told in the words of whoever made
//! it. Nothing here touches a file or asks for the host's name: `zabd/launch` does, and performs the plan.

pub mod dialects;
mod identity;
mod my_id;
mod plan;
mod shell;
mod start_zookeeper;

pub use identity::{Host, PodName};
pub use plan::{Left, Login, Plan, ZooCfg};
pub use shell::{Assignments, assignments};
pub use start_zookeeper::{Asked, START_ZOOKEEPER_USAGE, start_zookeeper};

use crate::config::Config;
use crate::error::{ConfigError, ConfigErrors};
use crate::exit_code::ExitCode;
use crate::setting::Source;
use crate::sources::ReadFile;
use std::collections::BTreeMap;

/// What there is around a start script; all of it is handed in.
pub struct Surroundings<'a> {
    /// The environment.
    pub variables: &'a BTreeMap<String, String>,
    /// Who this host is.
    pub host: &'a Host,
    /// Reads a file.
    pub read: ReadFile<'a>,
}

impl Surroundings<'_> {
    /// A variable that is there and says something.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.trim().is_empty())
    }
}

/// Where something was said: a variable, a flag, or a file.
pub(crate) fn named(name: &str) -> Source {
    Source::Named(name.into())
}

/// A mistake in what `name` says.
pub(crate) fn mistake(name: &str, message: impl Into<String>, hint: impl Into<String>) -> ConfigError {
    ConfigError {
        source: Some(named(name)),
        key: None,
        message: message.into(),
        hint: Some(hint.into()).filter(|hint| !hint.is_empty()),
    }
}

/// All mistakes together; there is one at least.
pub(crate) fn refused(errors: Vec<ConfigError>) -> ConfigErrors {
    assert!(!errors.is_empty(), "refused without a reason");
    let (log, exit_code) = (Config::defaults().log, ExitCode::InvalidInvocation);
    ConfigErrors { errors, warnings: Vec::new(), log, exit_code }
}
