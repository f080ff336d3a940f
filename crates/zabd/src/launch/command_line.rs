//! What the words behind the program's name ask for.

use zabd_config::{CommandLine, Config, ConfigErrors, Start, load};

/// What to do.
pub enum Request {
    /// Print this and end.
    Say(String),
    /// Print this as a mistake and end.
    Refuse(String),
    /// Run several servers on this machine.
    LocalEnsemble,
    /// Serve.
    Start {
        /// What was configured, or every mistake in it.
        config: Box<Result<Config, ConfigErrors>>,
        /// Nothing was said at all: whoever tries zabd for the first time wants to know more.
        is_development: bool,
    },
}

const HELP: &str = "\
zabd serves ZooKeeper's clients.

Usage:
  zabd                                   a first try: port 2181, data in ./data
  zabd [-Dkey=value ...] <zoo.cfg>       as ZooKeeper is started
  zabd <port> <datadir> [ticktime] [maxcnxns]
  zabd server [--config zoo.cfg] [--key value ...]
  zabd ensemble                          three servers on this machine, data in ./data/ensemble

Flags of `zabd server` are the keys of zoo.cfg; docs/configuration.md lists them all:
  zabd server --clientPort 2181 --dataDir /var/lib/zookeeper --autopurge.purgeInterval 1

SERVER_JVMFLAGS and JVMFLAGS are read for -D words. zoo.cfg wins over -D.
  --help      this text
  --version   the version";

/// Sorts the words; `environment` answers for one variable.
pub fn parse(words: &[String], environment: &dyn Fn(&str) -> Option<String>) -> Request {
    match words.first().map(String::as_str) {
        Some("--help" | "-h" | "help") => Request::Say(HELP.to_owned()),
        Some("--version" | "version") => Request::Say(format!("zabd {}", env!("CARGO_PKG_VERSION"))),
        Some("ensemble") if words.len() == 1 => Request::LocalEnsemble,
        _ => match CommandLine::parse(words.iter().cloned()) {
            Err(errors) => Request::Refuse(errors.to_string()),
            Ok(command) => Request::Start {
                is_development: command.start == Start::Development,
                config: Box::new(load(&command, environment)),
            },
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(words: &[&str]) -> Request {
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        parse(&words, &|_| None)
    }

    fn config(words: &[&str]) -> Config {
        match request(words) {
            Request::Start { config, .. } => config.expect("the words are right"),
            Request::Say(text) | Request::Refuse(text) => panic!("{text}"),
            Request::LocalEnsemble => panic!("an ensemble is started"),
        }
    }

    #[test]
    fn nothing_at_all_is_a_first_try() {
        assert!(matches!(request(&[]), Request::Start { is_development: true, .. }));
        assert_eq!(config(&[]).client_port, Some(2181));
    }

    #[test]
    fn flags_are_keys_in_either_spelling() {
        for words in [
            &["server", "--clientPort", "2182", "--dataDir", "/tmp/d"][..],
            &["server", "--client-port=2182", "--data-dir", "/tmp/d"],
        ] {
            let config = config(words);
            assert_eq!((config.client_port, config.data_dir.to_str()), (Some(2182), Some("/tmp/d")));
        }
    }

    #[test]
    fn mistakes_name_the_flag() {
        for (words, text) in [
            (&["--bogus"][..], "Invalid argument: --bogus"),
            (&["1", "2", "3", "4", "5"], "Invalid number of arguments"),
        ] {
            let Request::Refuse(said) = request(words) else { panic!("{words:?} is accepted") };
            assert!(said.contains(text), "{said}");
        }
    }

    #[test]
    fn mistakes_in_flags_name_the_flag() {
        for flag in ["--nosuch", "--clientPort"] {
            let Request::Start { config, .. } = request(&["server", flag]) else { panic!("{flag} is said") };
            let errors = config.expect_err("the flag is wrong").to_string();
            assert!(errors.contains(flag.trim_start_matches('-')), "{errors}");
        }
    }

    #[test]
    fn an_ensemble_takes_no_further_words() {
        assert!(matches!(request(&["ensemble"]), Request::LocalEnsemble));
        assert!(!matches!(request(&["ensemble", "5"]), Request::LocalEnsemble));
    }

    #[test]
    fn help_and_version_are_said() {
        assert!(matches!(request(&["--help"]), Request::Say(text) if text.contains("Usage")));
        assert!(matches!(request(&["--version"]), Request::Say(text) if text.starts_with("zabd ")));
    }
}
