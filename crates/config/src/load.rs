//! The edge: command line, environment and disk become [`Sources`].
//!
//! This is the only module that reads files, and it does nothing else with them.

use crate::config::{Config, ListenHost};
use crate::error::{ConfigErrors, THIS_USER, Warning};
use crate::keys::STDOUT;
use crate::sources::{Sources, warn_relative_file, words_are_missing};
use std::io;
use std::path::{Path, PathBuf};

/// What a server is asked to start from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// No argument at all: whatever a first try needs.
    Development,
    /// A zoo.cfg.
    File(PathBuf),
    /// Java's `port datadir [ticktime] [maxcnxns]`: two to four words.
    PortAndDirectory(Vec<String>),
    /// `server`, then flags, on top of a file or of what a first try needs.
    Flags {
        /// The file of `--config`.
        config: Option<PathBuf>,
        /// Every other word.
        flags: Vec<String>,
    },
}

/// The words of a command line that starts a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    /// `-Dkey=value` words, in order.
    pub properties: Vec<String>,
    /// The rest.
    pub start: Start,
}

/// How a server is started, for people who tried otherwise.
pub const USAGE: &str = "Usage: zabd [-Dkey=value ...] configfile | port datadir [ticktime] [maxcnxns] | server [--config \
                         configfile] [--key value ...]";

impl CommandLine {
    /// Sorts the words after the program's name. `-X` words are for a JVM and ignored.
    pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Self, ConfigErrors> {
        let mut properties = Vec::new();
        let mut rest = Vec::new();
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            if word == "server" && rest.is_empty() {
                let start = flags(words.collect());
                return Ok(CommandLine { properties, start });
            }
            if word.starts_with("-D") {
                properties.push(word);
            } else if rest.len() > 1 && word.parse::<i32>().is_ok() {
                // A number of connections below zero is no limit.
                rest.push(word);
            } else if word.starts_with('-') && !word.starts_with("-X") {
                return Err(ConfigErrors::invocation(format!("Invalid argument: {word}"), USAGE));
            } else if !word.starts_with("-X") {
                rest.push(word);
            }
        }
        let start = match rest.len() {
            0 => Start::Development,
            1 => Start::File(PathBuf::from(rest.remove(0))),
            2..=4 => Start::PortAndDirectory(rest),
            _ => {
                let message = format!("Invalid number of arguments:[{}]", rest.join(", "));
                return Err(ConfigErrors::invocation(message, USAGE));
            }
        };
        Ok(CommandLine { properties, start })
    }
}

/// Takes `--config file` out of the flags.
fn flags(mut flags: Vec<String>) -> Start {
    let mut config = None;
    if let Some(at) = flags.iter().position(|word| word == "--config" || word.starts_with("--config=")) {
        let word = flags.remove(at);
        config = match word.strip_prefix("--config=") {
            Some(path) => Some(PathBuf::from(path)),
            None => (at < flags.len()).then(|| PathBuf::from(flags.remove(at))),
        };
        // Without a file it stays a flag that nobody knows, which says so.
        if config.is_none() {
            flags.push(word);
        }
    }
    Start::Flags { config, flags }
}

/// Port of a server that was started without a word about it.
pub const DEVELOPMENT_PORT: u16 = 2181;

/// Directory of a server that was started without a word about it.
pub const DEVELOPMENT_DATA_DIR: &str = "./data";

/// Reads everything that `command` names and resolves it; `environment` answers for one variable.
pub fn load(
    command: &CommandLine,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Config, ConfigErrors> {
    sources(command, environment).resolve(&read_file)
}

/// What the images of docker/ say, weaker than everything that is said of a container made of them. `SERVER_JVMFLAGS` will not do: whoever
/// sets it for another reason would take it away.
pub(crate) const IMAGE_FLAGS: &str = "ZABD_IMAGE_FLAGS";

/// What the scripts of Java before 3.8 make `zookeeper.root.logger` of.
const LOG4J_PROP: &str = "ZOO_LOG4J_PROP";

/// The same, not resolved yet, for a caller that has more to add.
pub fn sources(command: &CommandLine, environment: &dyn Fn(&str) -> Option<String>) -> Sources {
    let mut sources = Sources::new();
    // `zkServer.sh` puts the first before the second, and the last `-D` wins.
    for variable in [IMAGE_FLAGS, "SERVER_JVMFLAGS", "JVMFLAGS"] {
        if let Some(text) = environment(variable) {
            sources = sources.jvm_flags(variable, &text);
        }
    }
    if environment(LOG4J_PROP).is_some_and(|text| !text.trim().is_empty()) {
        let message = format!("{STDOUT}: no effect of {LOG4J_PROP} in the environment");
        sources = sources.warnings([Warning { source: None, message }]);
    }
    sources = sources.properties(command.properties.iter().map(String::as_str));
    match &command.start {
        Start::Development => development(sources),
        Start::PortAndDirectory(words) => sources.port_and_directory(words),
        Start::File(path) => file(sources, path),
        Start::Flags { config: Some(path), flags } => file(sources, path).flags(flags),
        Start::Flags { config: None, flags } => development(sources).flags(flags),
    }
}

fn development(sources: Sources) -> Sources {
    let port = DEVELOPMENT_PORT.to_string();
    sources.implied([("clientPort", &port[..]), ("dataDir", DEVELOPMENT_DATA_DIR), ("maxClientCnxns", "0")])
}

fn file(mut sources: Sources, path: &Path) -> Sources {
    let name = path.to_string_lossy();
    warn_relative_file(&mut sources, &name);
    match read_file(path) {
        Ok(bytes) => sources.file(&name, &bytes),
        Err(error) => {
            let (problem, hint) = match error.kind() {
                io::ErrorKind::NotFound => ("file is missing".to_owned(), USAGE.to_owned()),
                io::ErrorKind::PermissionDenied => (
                    error.to_string(),
                    format!("let {THIS_USER} read it (`namei -l {name}` shows who may), or start as another"),
                ),
                io::ErrorKind::IsADirectory => (error.to_string(), USAGE.to_owned()),
                _ => (error.to_string(), "check the file and its disk".to_owned()),
            };
            words_are_missing(&mut sources, format!("Error processing {name}: {problem}"), &hint);
            sources
        }
    }
}

/// Reads a whole file from the disk.
#[expect(clippy::disallowed_methods, reason = "this is the edge where files are read")]
pub fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    std::fs::read(path)
}

impl Config {
    /// A server with nothing but defaults, for a first try, for tests and for benchmarks. Port 0
    /// takes any free one.
    pub fn for_development(data_dir: impl Into<PathBuf>, port: u16) -> Config {
        let mut config = Config::defaults();
        config.data_dir = data_dir.into();
        config.data_log_dir = config.data_dir.clone();
        config.client_port = Some(port);
        config.client_port_address = ListenHost::Any;
        config.max_client_cnxns_per_ip = 0;
        config.admin.enabled = false;
        config.assert_valid();
        config
    }
}
