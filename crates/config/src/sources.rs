//! Everything that was said about a server, gathered before any of it is understood.
//!
//! Sources are handed in from the weakest to the strongest, and the last word on a key wins. Where each
//! word stood goes with it, so that a mistake can be pointed at.

use crate::config::Config;
use crate::error::{ConfigError, ConfigErrors, Warning};
use crate::exit_code::ExitCode;
use crate::keys;
use crate::keys::relative_path_warning;
use crate::properties;
use crate::resolve;
use crate::setting::{self, Setting, Source};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// Reads a file that the configuration names; handed in, so that this crate's core touches nothing.
pub type ReadFile<'a> = &'a dyn Fn(&Path) -> io::Result<Vec<u8>>;

/// Everything that was said, in the order in which it counts.
#[derive(Debug, Default)]
pub struct Sources {
    settings: Vec<Setting>,
    errors: Vec<ConfigError>,
    warnings: Vec<Warning>,
    /// The zoo.cfg, if there is one.
    config_file: Option<String>,
    /// Set when the words themselves could not be had: then what they lack is no mistake of theirs.
    is_incomplete: bool,
}

impl Sources {
    /// Nothing said yet.
    pub fn new() -> Self {
        Sources::default()
    }

    /// Adds the `-Dkey=value` words of an environment variable such as `JVMFLAGS`.
    #[must_use]
    pub fn jvm_flags(mut self, variable: &str, text: &str) -> Self {
        self.settings.extend(setting::jvm_flags(variable, text));
        self
    }

    /// Adds `-Dkey=value` words of the command line; other words are ignored.
    #[must_use]
    pub fn properties<'a>(mut self, words: impl IntoIterator<Item = &'a str>) -> Self {
        self.settings.extend(
            words.into_iter().filter_map(|word| setting::property(word, |key| Source::Property(key.into()))),
        );
        self
    }

    /// Adds a zoo.cfg: the path names it in messages, and the files beside it.
    #[must_use]
    pub fn file(mut self, path: &str, bytes: &[u8]) -> Self {
        self.config_file = Some(path.to_owned());
        let entries = file_settings(path, bytes, &mut self.errors);
        self.warn_about_repetitions(&entries);
        self.settings.extend(entries);
        self
    }

    /// Adds a zoo.cfg that was made out of something else, which each line names as its source.
    #[must_use]
    pub(crate) fn made_file(mut self, path: &str, lines: impl IntoIterator<Item = Setting>) -> Self {
        self.config_file = Some(path.to_owned());
        self.settings.extend(lines);
        self
    }

    /// Adds what whoever gathered these words found odd.
    #[must_use]
    pub(crate) fn warnings(mut self, warnings: impl IntoIterator<Item = Warning>) -> Self {
        self.warnings.extend(warnings);
        self
    }

    /// Adds the flags of `zabd server`: `--client-port 2181`, `--data-dir=/var/lib/zookeeper`.
    #[must_use]
    pub fn flags(mut self, words: &[String]) -> Self {
        self.settings.extend(crate::flags::parse(words, &mut self.errors));
        self
    }

    /// Adds key and value pairs in zoo.cfg's spelling, for callers with a command line of their own.
    #[must_use]
    pub fn pairs<'a>(mut self, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        self.settings.extend(pairs.into_iter().map(|(key, value)| Setting {
            key: key.to_owned(),
            value: properties::trim(value).to_owned(),
            source: Source::Argument,
        }));
        self
    }

    /// Adds Java's positional form `port datadir [ticktime] [maxcnxns]`.
    #[must_use]
    pub fn port_and_directory(self, words: &[String]) -> Self {
        let names = ["clientPort", "dataDir", "tickTime", "maxClientCnxns"];
        let all = names.into_iter().zip(words.iter().map(String::as_str));
        // In this form Java has no limit per address.
        self.implied([("maxClientCnxns", "0")]).pairs(all)
    }

    /// Adds what goes without saying in a start without a file: whatever else was said is stronger, also before.
    #[must_use]
    pub fn implied<'a>(mut self, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let implied = pairs.into_iter().map(|(key, value)| Setting {
            key: key.to_owned(),
            value: value.to_owned(),
            source: Source::Implied,
        });
        self.settings.splice(..0, implied);
        self
    }

    /// Understands all of it. `read` is asked for `dynamicConfigFile`, for what was to follow it, and for
    /// `<dataDir>/myid`.
    pub fn resolve(self, read: ReadFile<'_>) -> Result<Config, ConfigErrors> {
        let Sources { settings, errors, warnings, config_file, is_incomplete } = self;
        if is_incomplete {
            let (log, exit_code) = (resolve::log_of(settings), ExitCode::InvalidInvocation);
            return Err(ConfigErrors { errors, warnings, log, exit_code });
        }
        resolve::resolve(settings, errors, warnings, config_file, read)
    }

    fn warn_about_repetitions(&mut self, entries: &[Setting]) {
        let mut first = BTreeMap::new();
        for entry in entries {
            let name = keys::unprefixed(&entry.key);
            let name = keys::find(name).filter(|key| key.prefix.is_none()).map_or(name, |key| key.name);
            if let Some(earlier) = first.insert(name, entry) {
                let message = format!("{name} is set again, the value of {} is forgotten", earlier.source);
                self.warnings.push(Warning { source: Some(entry.source.clone()), message });
            }
        }
    }
}

/// Entries of a properties file as settings; a malformed one becomes an error.
pub(crate) fn file_settings(path: &str, bytes: &[u8], errors: &mut Vec<ConfigError>) -> Vec<Setting> {
    let mut settings = Vec::new();
    for entry in properties::parse(bytes) {
        match entry {
            Ok(entry) => settings.push(Setting {
                key: entry.key,
                value: entry.value,
                source: Source::File { path: path.into(), line: entry.line },
            }),
            Err(malformed) => errors.push(ConfigError {
                source: Some(Source::File { path: path.into(), line: malformed.line }),
                key: None,
                message: "Malformed \\uxxxx encoding.".to_owned(),
                hint: Some("a backslash is written `\\\\`".to_owned()),
            }),
        }
    }
    settings
}

/// Java's warning for a configuration file given by a relative path.
pub(crate) fn warn_relative_file(sources: &mut Sources, path: &str) {
    if let Some(message) = relative_path_warning(path) {
        sources.warnings.push(Warning { source: None, message });
    }
}

/// An error that keeps part of the words away, such as a file that cannot be read.
pub(crate) fn words_are_missing(sources: &mut Sources, message: String, hint: &str) {
    sources.errors.push(ConfigError { source: None, key: None, message, hint: Some(hint.to_owned()) });
    sources.is_incomplete = true;
}
