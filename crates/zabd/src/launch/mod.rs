//! From a command line to a running server, and from its end to an exit code.

/// Writes a line to standard output. Whoever reads it may have heard enough (`zabd --help | head`): what nobody reads is
/// no failure, and changes no exit code.
macro_rules! say {
    ($($words:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($words)*);
    }};
}

mod check;
mod check_config;
mod command_line;
mod doctor;
mod entrypoint;
mod first_process;
mod four_letter;
mod greeting;
mod links;
mod local_ensemble;
mod mistakes;
mod names;
mod shell;
mod signals;
mod start_script;
mod start_zookeeper;
mod toolkit;
mod trace;
mod zk_cleanup;
mod zk_env;
mod zk_initialize;
mod zk_server;

use std::ffi::OsString;
use std::process::ExitCode;

use command_line::Request;
use zabd_config::{Config, LogFormat};
use zabd_replica::audit::{AuditEvent, Outcome};

use crate::logging;
use crate::server::Server;

/// Runs the program.
pub fn run() -> ExitCode {
    let mut words = match words_of(std::env::args_os()) {
        Ok(words) => words,
        Err(problem) => {
            eprintln!("{problem}");
            return ExitCode::from(zabd_config::ExitCode::InvalidInvocation as u8);
        }
    };
    let program = if words.is_empty() { String::new() } else { words.remove(0) };
    run_as(&program, &words)
}

/// Runs what is meant by these words behind this name.
fn run_as(program: &str, words: &[String]) -> ExitCode {
    if let Some((program, call)) = names::find(program, words) {
        return (program.run)(&call);
    }
    let environment = |name: &str| std::env::var(name).ok();
    match command_line::parse(words, &environment) {
        Request::Say(text) => {
            say!("{text}");
            ExitCode::SUCCESS
        }
        Request::Refuse(text) => {
            eprintln!("{text}");
            ExitCode::from(zabd_config::ExitCode::InvalidInvocation as u8)
        }
        Request::LocalEnsemble => local_ensemble::run(program),
        Request::Start { config, is_development, ends_with_input } => match *config {
            Ok(config) => serve(config, is_development.then_some(program), ends_with_input),
            Err(errors) => {
                mistakes::refuse(&zk_env::naming_unread(errors, words, &start_script::variables()))
            }
        },
    }
}

/// Every word is text: a path that is not could be named in no message, and in no file.
fn words_of(arguments: impl Iterator<Item = OsString>) -> Result<Vec<String>, String> {
    let word = |(place, argument): (usize, OsString)| {
        argument.into_string().map_err(|argument| {
            format!("word {place} of the command line is not UTF-8: {}", argument.display())
        })
    };
    arguments.enumerate().map(word).collect()
}

/// `program` is what it was started as, if whoever did so is to be greeted.
fn serve(config: Config, program: Option<&str>, ends_with_input: bool) -> ExitCode {
    #[cfg(feature = "kerberos")]
    crate::sasl::kerberos::adopt_configuration(&config);
    // How much may wait for whoever reads the log depends on it.
    crate::memory::find_limit(config.memory_bytes_max);
    let _lines = logging::begin(config.log, config.myid, config.audit_enabled);
    log_panics();
    raise_open_files_limit();
    for warning in &config.warnings {
        mistakes::warn(warning, config.log.format);
    }
    tracing::info!("zookeeper.version={}", crate::admin::VERSION);
    for setting in &config.effective {
        tracing::info!("{setting}");
    }
    let (data_dir, log) = (config.data_dir.clone(), config.log);
    let is_audited = config.audit_enabled;
    let audit = |operation, outcome| {
        if is_audited {
            crate::audit::tell(&AuditEvent::of_server(operation, outcome));
        }
    };
    let _trace = config.config_file.as_deref().map(|path| {
        trace::leave(path).inspect_err(|error| {
            tracing::warn!("zkServer.sh will need `--config` to find {}: {error}", path.display());
        })
    });
    let requests = signals::Requests::listen();
    if let Err(error) = &requests {
        tracing::warn!("Signals will end the process at once: {error}");
    }
    if let Err(error) = first_process::reap_orphans() {
        tracing::warn!("Processes whose parent is gone will not be reaped: {error}");
    }
    let server = match Server::start(config) {
        Ok(server) => server,
        Err(error) => {
            mistakes::tell_start_error(&error, log);
            audit("serverStart", Outcome::Failure);
            return ExitCode::from(error.exit_code() as u8);
        }
    };
    audit("serverStart", Outcome::Success);
    // What reads a log in JSON is a program, which knows what to do.
    if let Some(program) = program.filter(|_| log.format == LogFormat::Java) {
        say!("{}", greeting::text(program, server.address(), &data_dir));
    }
    if let Ok(requests) = requests {
        requests.reach(&server);
    }
    if ends_with_input && let Err(error) = signals::stop_with_input(&server) {
        tracing::warn!("This server will outlive whoever started it: {error}");
    }
    let stopped = server.wait();
    audit("serverStop", Outcome::Invoked);
    tracing::info!("{stopped}");
    ExitCode::from(stopped.exit_code() as u8)
}

/// A broken invariant ends the process, whichever thread found it: what goes on without a part of
/// itself cannot be trusted with anybody's data.
fn log_panics() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        tracing::error!("A broken invariant ends the server: {info}");
        print(info);
        std::process::abort();
    }));
}

/// Ten thousand clients need as many descriptors; the soft limit is often a thousand.
fn raise_open_files_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!("Cannot raise the limit of open files: {error}");
    }
}

/// An error and what caused it, on one line.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;

    #[test]
    fn a_word_that_is_no_text_is_named() {
        let words = |bytes: &[&[u8]]| words_of(bytes.iter().map(|word| OsString::from_vec(word.to_vec())));
        assert_eq!(words(&[b"zabd", b"zoo.cfg"]).unwrap(), ["zabd", "zoo.cfg"]);
        let problem = words(&[b"zabd", b"x\xff.cfg"]).unwrap_err();
        assert_eq!(problem, "word 1 of the command line is not UTF-8: x\u{fffd}.cfg");
    }
}
