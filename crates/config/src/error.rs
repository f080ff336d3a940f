//! What an operator reads when a configuration is wrong, or merely odd.
//!
//! A start that fails on the first mistake makes people restart once per mistake, so all of them are
//! gathered and reported together. Each line says where, what and how to put it right:
//! ``zoo.cfg:7: tickTime=abc is not a number; hint: milliseconds, for example `tickTime=2000` ``.

use crate::config::{Config, LogConfig};
use crate::exit_code::ExitCode;
use crate::load::USAGE;
use crate::setting::Source;
use std::fmt;

/// What a hint calls the user whom this process runs as.
pub(crate) const THIS_USER: &str = "the user of this process";
/// What stands for that user's name in what a hint says to type.
pub(crate) const ITS_NAME: &str = "<user>";

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Where it was written; `None` for something that was written nowhere.
    pub source: Option<Source>,
    /// The key it is about, in zoo.cfg's spelling.
    pub key: Option<String>,
    /// What is wrong; Java's own text where Java has one.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(source) = &self.source {
            write!(f, "{source}: ")?;
        }
        f.write_str(&self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, "; hint: {hint}")?;
        }
        Ok(())
    }
}

/// Every mistake of one configuration, in the order of the file: never empty. Then what is merely odd, which may be the
/// mistake behind a mistake.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines(.errors, .warnings))]
pub struct ConfigErrors {
    pub(crate) errors: Vec<ConfigError>,
    pub(crate) warnings: Vec<Warning>,
    pub(crate) log: LogConfig,
    pub(crate) exit_code: ExitCode,
}

fn lines(errors: &[ConfigError], warnings: &[Warning]) -> String {
    let warnings = warnings.iter().map(|warning| format!("warning: {warning}"));
    errors.iter().map(ConfigError::to_string).chain(warnings).collect::<Vec<_>>().join("\n")
}

impl ConfigErrors {
    /// The mistakes, one by one.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        self.errors.iter()
    }

    /// What is merely odd, one by one.
    pub fn warnings(&self) -> impl Iterator<Item = &Warning> {
        self.warnings.iter()
    }

    /// How they are to be told: what was said about the log, as far as that is understood.
    pub fn log(&self) -> LogConfig {
        self.log
    }

    /// What the process ends with: Java's code for an invalid invocation; for a number that is not among the members, and nothing else,
    /// the one for what nobody foresaw, since Java looks at that when its configuration is read already.
    pub fn exit_code(&self) -> ExitCode {
        self.exit_code
    }

    /// The same, for whoever knows as whom this process runs: hints that speak of that user name it.
    #[must_use]
    pub fn naming_user(mut self, user: &str) -> Self {
        let hints = self.errors.iter_mut().filter_map(|error| error.hint.as_mut());
        hints.for_each(|hint| {
            if hint.contains(THIS_USER) {
                *hint = hint.replace(THIS_USER, &format!("user {user}")).replace(ITS_NAME, user);
            }
        });
        self
    }

    /// The same, with what else somebody knows of a mistake behind its hint.
    #[must_use]
    pub fn with_more(mut self, more: &dyn Fn(&ConfigError) -> Option<String>) -> Self {
        for error in &mut self.errors {
            let Some(more) = more(error) else { continue };
            error.hint = Some(error.hint.take().map_or(more.clone(), |hint| format!("{hint}; {more}")));
        }
        self
    }

    /// The same, told by another program than zabd itself, whose words are others: this stands where zabd's usage would.
    #[must_use]
    pub fn with_hint_of_usage(mut self, hint: &str) -> Self {
        let usages =
            self.errors.iter_mut().filter_map(|error| error.hint.as_mut()).filter(|hint| *hint == USAGE);
        usages.for_each(|usage| hint.clone_into(usage));
        self
    }

    /// A mistake in the words of the command line itself.
    pub(crate) fn invocation(message: String, hint: &str) -> Self {
        let error = ConfigError { source: None, key: None, message, hint: Some(hint.to_owned()) };
        let (log, exit_code) = (Config::defaults().log, ExitCode::InvalidInvocation);
        ConfigErrors { errors: vec![error], warnings: Vec::new(), log, exit_code }
    }
}

/// Something that is accepted but that an operator will want to know, once, at start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Where it was written, if in one place.
    pub source: Option<Source>,
    /// What happens instead.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some(source) => write!(f, "{source}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}
