//! What the words behind the program's name ask for.

use std::fmt::Write as _;

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
        /// Whether the server ends when nothing more can come on its standard input.
        ends_with_input: bool,
    },
}

/// What stands behind `ensemble` where that starts one of its servers: nobody needs to write it.
pub const MEMBER: &str = "--member";

const HELP: &str = "\
zabd serves ZooKeeper's clients.

Usage:
  zabd                                   a first try: port 2181, data in ./data
  zabd [-Dkey=value ...] <zoo.cfg>       as ZooKeeper is started
  zabd <port> <datadir> [ticktime] [maxcnxns]
  zabd server [--config zoo.cfg] [--key value ...]
  zabd check [--live|--ready|--startup]  whether the server on this machine lives, is ready, has started
  zabd check <zoo.cfg>                   whether a start with it would go through; opens no port, writes nothing
  zabd ensemble                          three servers on this machine, data in ./data/ensemble
  zabd zkCli.sh [-server host:port] [command]   ZooKeeper's shell
  zabd doctor DIR|<zoo.cfg>              what is in a data directory, whether it is sound, what a start would do with it
  zabd links DIR                         links in DIR for the names that it also goes by, which do what they say,
                                         such as start-zookeeper and zkServer.sh

Flags of `zabd server` are the keys of zoo.cfg; `zabd server --help` lists them all:
  zabd server --clientPort 2181 --dataDir /var/lib/zookeeper --autopurge.purgeInterval 1

SERVER_JVMFLAGS and JVMFLAGS are read for -D words. zoo.cfg wins over -D.
  --help      this text
  --version   the version";

const ENSEMBLE_HELP: &str = "\
Usage:
  zabd ensemble

Runs three servers on this machine that replicate each other, for a first try. They take the ports from 2181, 2888 and 3888 on
if those are free, else any; their data and a zoo.cfg for each are in ./data/ensemble, and the next start goes on with them.
Ctrl-C ends all three. It takes no words, keys or -D; -D words in JVMFLAGS reach all three. To run a member of your own, start
`zabd <zoo.cfg>` with server.N lines.";

/// Sorts the words; `environment` answers for one variable.
pub fn parse(words: &[String], environment: &dyn Fn(&str) -> Option<String>) -> Request {
    match words.first().map(String::as_str) {
        Some("--help" | "-h" | "help") => Request::Say(HELP.to_owned()),
        Some("--version" | "version") => Request::Say(format!("zabd {}", env!("CARGO_PKG_VERSION"))),
        Some("ensemble") => match words.get(1).map(String::as_str) {
            None => Request::LocalEnsemble,
            Some(MEMBER) => start(&words[2..], environment, true),
            Some("--help" | "-h" | "help") => Request::Say(ENSEMBLE_HELP.to_owned()),
            Some(word) => Request::Refuse(format!("Invalid argument: {word}\n\n{ENSEMBLE_HELP}")),
        },
        Some("server") if words[1..].iter().any(|word| word == "--help" || word == "-h") => {
            Request::Say(keys())
        }
        _ => start(words, environment, false),
    }
}

/// Every key, section by section.
fn keys() -> String {
    let mut text = "Usage:\n  zabd server [--config zoo.cfg] [--key value ...]\n".to_owned();
    for section in zabd_config::SECTIONS {
        let _ = write!(text, "\n{}:\n", section.title);
        for key in section.keys {
            let _ = writeln!(text, "  --{} ({})\n      {}", key.name, key.default, key.doc);
        }
    }
    text.push_str("\nWhat each does here, and how values are found: docs/configuration.md");
    text
}

fn start(words: &[String], environment: &dyn Fn(&str) -> Option<String>, ends_with_input: bool) -> Request {
    match CommandLine::parse(words.iter().cloned()) {
        Err(errors) => Request::Refuse(errors.to_string()),
        Ok(command) => Request::Start {
            is_development: command.start == Start::Development,
            config: Box::new(
                load(&command, environment).map_err(|errors| errors.naming_user(&crate::audit::user_name())),
            ),
            ends_with_input,
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

    /// Whatever was said beats what goes without saying, and explicit words of the command line beat properties.
    #[test]
    fn properties_beat_the_defaults_of_a_start_without_a_file() {
        let properties = ["-DclientPort=21", "-Dzookeeper.dataDir=/tmp/d", "-DmaxClientCnxns=7"];
        for (rest, port, data_dir) in [
            (&[][..], 21, "/tmp/d"),
            (&["server", "--tickTime", "900"], 21, "/tmp/d"),
            (&["server", "--dataDir", "/tmp/e"], 21, "/tmp/e"),
            (&["22", "/tmp/e"], 22, "/tmp/e"),
        ] {
            let config = config(&[&properties[..], rest].concat());
            assert_eq!((config.client_port, config.data_dir.to_str()), (Some(port), Some(data_dir)));
            assert_eq!(config.max_client_cnxns_per_ip, 7, "{rest:?}");
        }
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
        assert!(
            matches!(request(&["ensemble", "--help"]), Request::Say(text) if text.contains("zabd ensemble"))
        );
        let Request::Refuse(said) = request(&["ensemble", "foo"]) else { panic!("foo means something") };
        assert!(said.starts_with("Invalid argument: foo\n"), "{said}");
    }

    #[test]
    fn help_and_version_are_said() {
        assert!(matches!(request(&["--help"]), Request::Say(text) if text.contains("Usage")));
        assert!(
            matches!(request(&["server", "--help"]), Request::Say(text) if text.contains("--clientPort ("))
        );
        assert!(matches!(request(&["--version"]), Request::Say(text) if text.starts_with("zabd ")));
    }
}
