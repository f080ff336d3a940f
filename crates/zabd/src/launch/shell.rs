//! `zkCli.sh`, which is a crate of its own.

use std::process::ExitCode;

use super::names::Call;
use crate::admin::VERSION;

/// Runs the shell.
pub fn run(call: &Call) -> ExitCode {
    zabd_cli::run(&call.words, &|name| std::env::var(name).ok(), VERSION)
}
