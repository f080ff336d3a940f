//! Why a server does not start, told to whoever reads it: a person on standard error, or a program that reads the log.
//!
//! With `zabd.log.format=json` everything is a line of the log, one for each mistake, and what stands where is in fields of
//! its own: `file`, `line` and `key`, or `source` for what stands in no file, and what to do in `remedy`. Standard error
//! stays empty, since what reads the one often reads the other.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::process::ExitCode;

use rustix::fs::{FileType, fstat};
use zabd_config::{ConfigError, ConfigErrors, LogConfig, LogFormat, LogLevel, Source, Warning};

use crate::logging;
use crate::start_error::StartError;

/// Tells every mistake of a configuration.
pub fn refuse(errors: &ConfigErrors) -> ExitCode {
    let closing = format!("{}, exiting abnormally", javas_words(errors.exit_code()));
    if errors.log().format == LogFormat::Json {
        // Nothing else will be said, so it is, however quiet the server was to be.
        let level = errors.log().level.max(LogLevel::Error);
        let _lines = logging::begin(LogConfig { level, ..errors.log() }, None, false);
        errors.iter().for_each(|error| tell(error, &error.message));
        errors.warnings().for_each(|warning| warn(warning, LogFormat::Json));
        tracing::error!("{closing}");
    } else {
        eprintln!("{errors}\n{closing}");
    }
    ExitCode::from(errors.exit_code() as u8)
}

/// Tells why a server does not start whose configuration is right in itself; the log has begun.
pub fn tell_start_error(error: &StartError, log: LogConfig) {
    let words = format!("{}, exiting abnormally", javas_words(error.exit_code()));
    if log.format == LogFormat::Json && log.level != LogLevel::Off {
        if let Some(mistake) = error.mistake() {
            tell(mistake, &format!("{words}: {}", mistake.message));
        } else {
            tracing::error!("{words}: {}", error.text());
        }
        return;
    }
    // A log that is off says nothing there either.
    if log.level == LogLevel::Off || !one_reads_both(std::io::stdout().as_fd(), std::io::stderr().as_fd()) {
        eprintln!("{}", error.text());
    }
    tracing::error!("{words}: {}", error.text());
}

/// Whether these are read together, so that what stands in one of them need not be told in the other: one file or screen, or
/// two pipes or sockets, as containers and service managers hand them out.
fn one_reads_both(out: BorrowedFd, err: BorrowedFd) -> bool {
    let (Ok(out), Ok(err)) = (fstat(out), fstat(err)) else { return false };
    let [a, b] = [&out, &err].map(|file| FileType::from_raw_mode(file.st_mode));
    (out.st_dev, out.st_ino) == (err.st_dev, err.st_ino)
        || a == b && matches!(a, FileType::Fifo | FileType::Socket)
}

/// Tells what is merely odd.
pub fn warn(warning: &Warning, format: LogFormat) {
    match format {
        LogFormat::Java => tracing::warn!("{warning}"),
        LogFormat::Json => {
            let Place { file, line, source } = Place::of(warning.source.as_ref());
            tracing::warn!(file, line, source, "{}", warning.message);
        }
    }
}

fn tell(error: &ConfigError, message: &str) {
    let Place { file, line, source } = Place::of(error.source.as_ref());
    let (key, remedy) = (error.key.as_deref(), error.hint.as_deref());
    tracing::error!(file, line, source, key, remedy, "{message}");
}

/// Where something stands: in a file, or somewhere else.
#[derive(Default)]
struct Place<'s> {
    file: Option<&'s str>,
    line: Option<usize>,
    source: Option<String>,
}

impl<'s> Place<'s> {
    fn of(source: Option<&'s Source>) -> Self {
        match source {
            Some(Source::File { path, line }) => Self { file: Some(path), line: Some(*line), source: None },
            Some(Source::WholeFile(path)) => Self { file: Some(path), ..Self::default() },
            Some(elsewhere) => Self { source: Some(elsewhere.to_string()), ..Self::default() },
            None => Self::default(),
        }
    }
}

/// What Java's log says when a start ends with this code; operators look for it.
fn javas_words(code: zabd_config::ExitCode) -> &'static str {
    match code {
        zabd_config::ExitCode::InvalidInvocation => "Invalid config",
        zabd_config::ExitCode::UnableToAccessDataDir => "Unable to access datadir",
        zabd_config::ExitCode::TxnlogErrorTakingSnapshot => "Severe unrecoverable error",
        _ => "Unexpected exception",
    }
}
