//! `zkCli.sh`, which is a crate of its own.

use std::process::ExitCode;

use super::names::Call;
use crate::admin::VERSION;

/// Runs the shell.
pub fn run(call: &Call) -> ExitCode {
    run_with(&call.words)
}

/// The same as Confluent's image has it: the first word says where the server is.
pub fn confluents(call: &Call) -> ExitCode {
    if call.words.is_empty() {
        eprintln!("USAGE: {} zookeeper_host:port[/path] [args...]", call.program);
        return ExitCode::FAILURE;
    }
    let words = std::iter::once("-server".to_owned()).chain(call.words.iter().cloned());
    run_with(&words.collect::<Vec<_>>())
}

fn run_with(words: &[String]) -> ExitCode {
    zabd_cli::run(words, &|name| std::env::var(name).ok(), VERSION)
}
