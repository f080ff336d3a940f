//! `zkCli.sh`, which is a crate of its own.
//!
//! As Java's, it takes the flags of `java.env` in the directory of the configuration, or in that which `--config DIR` in front names:
//! there stands how clients log in and which stores they have.

use std::process::ExitCode;

use super::names::Call;
use super::zk_env::ZkEnv;
use crate::admin::VERSION;

/// Runs the shell.
pub fn run(call: &Call) -> ExitCode {
    let env = ZkEnv::of(call);
    zabd_cli::run(&env.words, &|name| env.variable(name).map(str::to_owned), VERSION)
}

/// The same as Confluent's image has it: the first word says where the server is, and there is no `java.env`.
pub fn confluents(call: &Call) -> ExitCode {
    if call.words.is_empty() {
        eprintln!("USAGE: {} zookeeper_host:port[/path] [args...]", call.program);
        return ExitCode::FAILURE;
    }
    let words: Vec<_> = std::iter::once("-server".to_owned()).chain(call.words.iter().cloned()).collect();
    zabd_cli::run(&words, &|name| std::env::var(name).ok(), VERSION)
}
