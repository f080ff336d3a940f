//! Flags of `zabd server`: every key of the table, spelt as a flag.
//!
//! `--client-port 2181`, `--client-port=2181` and `--clientPort=2181` all mean `clientPort=2181`: case,
//! `-`, `_` and `.` do not count. Of a family (`--authProvider.sasl=…`, `--server.1 …`) that goes for its own name, and what
//! stands behind it is taken as it is. (`--config file` is for `load`.) Unlike in a file an unknown flag is a mistake, because
//! nobody carries flags over from a Java server.

use crate::error::ConfigError;
use crate::key::Key;
use crate::keys;
use crate::setting::{Setting, Source};
use crate::suggestion;

/// The key that a flag without its dashes means.
pub(crate) fn key_of(flag: &str) -> Option<&'static Key> {
    let wanted = bare(flag);
    let is_meant = |name: &&str| bare(name) == wanted;
    keys::all().find(|key| key.prefix.is_none() && [&key.name].into_iter().chain(key.aliases).any(is_meant))
}

/// The row of a key's family, and the key as zoo.cfg has it. What is a slip away from a key of its own is most likely that one.
fn member_of_family(flag: &str) -> Option<(&'static Key, String)> {
    let near = suggestion::nearest(flag).unwrap_or_default();
    let separated = flag.match_indices(['.', '-', '_']).map(|(at, _)| (&flag[..at], &flag[at + 1..]));
    separated.filter(|(_, suffix)| !suffix.is_empty()).find_map(|(name, suffix)| {
        let is_family = |key: &&Key| key.prefix.is_some_and(|prefix| bare(prefix) == bare(name));
        let key = keys::all().find(is_family)?;
        let prefix = key.prefix.filter(|prefix| !near.starts_with(prefix))?;
        Some((key, format!("{}.{suffix}", prefix.trim_end_matches('.'))))
    })
}

/// The row that a flag means, and the key.
fn meant_by(flag: &str) -> Option<(&'static Key, String)> {
    key_of(flag).map(|key| (key, key.name.to_owned())).or_else(|| member_of_family(flag))
}

fn bare(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '-' | '_' | '.')).map(|c| c.to_ascii_lowercase()).collect()
}

/// Reads `--key value` and `--key=value`; `-Dkey=value` words may stand between them.
pub(crate) fn parse(words: &[String], errors: &mut Vec<ConfigError>) -> Vec<Setting> {
    let mut settings = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if let Some(setting) = crate::setting::property(word, |key| Source::Property(key.into())) {
            settings.push(setting);
            continue;
        }
        let Some(flag) = word.strip_prefix("--") else {
            let hint = format!("write `--config {word}` for a file, or `--client-port=2181` for a key");
            errors.push(mistake(word, format!("Invalid argument: {word}"), &hint));
            continue;
        };
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => {
                (flag, words.as_slice().first().map(String::as_str).filter(|next| !next.starts_with("--")))
            }
        };
        if value.is_some() && !flag.contains('=') {
            words.next();
        }
        match (meant_by(name), value) {
            (Some((_, key)), Some(value)) => settings.push(Setting {
                key,
                value: crate::properties::trim(value).to_owned(),
                source: Source::Argument,
            }),
            (Some((key, _)), None) => {
                let hint = format!("write `--{name}={}`", key.example);
                errors.push(mistake(name, format!("--{name} has no value"), &hint));
            }
            (None, _) => errors.push(unknown(name)),
        }
    }
    settings
}

fn unknown(name: &str) -> ConfigError {
    let hint = match suggestion::nearest(&bare(name)) {
        Some(meant) => format!("did you mean `--{meant}`?"),
        None => "docs/configuration.md lists the keys".to_owned(),
    };
    mistake(name, format!("no key is named --{name}"), &hint)
}

fn mistake(name: &str, message: String, hint: &str) -> ConfigError {
    let (source, key, hint) = (Some(Source::Argument), Some(name.to_owned()), Some(hint.to_owned()));
    ConfigError { source, key, message, hint }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn read(words: &[&str]) -> (Vec<String>, Vec<String>) {
        let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
        let mut errors = Vec::new();
        let settings = parse(&words, &mut errors);
        let settings = settings.iter().map(|setting| format!("{}={}", setting.key, setting.value)).collect();
        (settings, errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn every_spelling_of_a_flag_works() {
        let words = [
            "--client-port",
            "2181",
            "--dataDir=/d",
            "--max_cnxns=-1",
            "-Da.b=c",
            "--autopurge-purge-interval",
            "-1",
        ];
        let (settings, errors) = read(&words);
        assert_eq!(
            settings,
            ["clientPort=2181", "dataDir=/d", "maxCnxns=-1", "a.b=c", "autopurge.purgeInterval=-1"]
        );
        assert!(errors.is_empty(), "{errors:?}");
    }

    #[test]
    fn mistakes_have_remedies() {
        let (settings, errors) = read(&["--clientprot=1", "--tick-time", "--data-dir", "/d", "zoo.cfg"]);
        assert_eq!(settings, ["dataDir=/d"]);
        assert_eq!(
            errors,
            [
                "command line: no key is named --clientprot; hint: did you mean `--clientPort`?",
                "command line: --tick-time has no value; hint: write `--tick-time=2000`",
                "command line: Invalid argument: zoo.cfg; hint: write `--config zoo.cfg` for a file, or `--client-port=2181` for a key",
            ]
        );
    }

    #[test]
    fn a_family_has_its_flags() {
        let words = [
            "--authProvider.sasl=a.B",
            "--auth-provider.Other=a.C",
            "--superUser.1=admin",
            "--server.1",
            "zk1:2888:3888",
            "--server-2=zk2:2888:3888",
            "--group.1=1:2",
            "--weight.1=2",
            "--server.realm=R",
        ];
        let (settings, errors) = read(&words);
        assert_eq!(
            settings,
            [
                "authProvider.sasl=a.B",
                "authProvider.Other=a.C",
                "superUser.1=admin",
                "server.1=zk1:2888:3888",
                "server.2=zk2:2888:3888",
                "group.1=1:2",
                "weight.1=2",
                "server.realm=R",
            ]
        );
        assert!(errors.is_empty(), "{errors:?}");
        let (settings, errors) =
            read(&["--metricsProvider.htpPort=1", "--server.", "--servers.1=a", "--server.1"]);
        assert!(settings.is_empty(), "{settings:?}");
        assert_eq!(
            errors,
            [
                "command line: no key is named --metricsProvider.htpPort; hint: did you mean `--metricsProvider.httpPort`?",
                "command line: no key is named --server.; hint: docs/configuration.md lists the keys",
                "command line: no key is named --servers.1; hint: docs/configuration.md lists the keys",
                "command line: --server.1 has no value; hint: write `--server.1=zk1:2888:3888`",
            ]
        );
    }

    #[test]
    fn no_two_keys_share_a_flag() {
        let mut seen = BTreeMap::new();
        for key in keys::all().filter(|key| key.prefix.is_none()) {
            for name in [key.name].iter().chain(key.aliases) {
                let other = seen.insert(bare(name), key.name);
                assert!(other.is_none_or(|other| other == key.name), "{name} and {other:?}");
            }
        }
    }
}
