//! Every row of the table through every source: its example, its default, and a wrong value.

use super::{all, find};
use crate::config::Config;
use crate::error::ConfigErrors;
use crate::key::{Honour, Key, Parse, Scope};
use crate::sources::Sources;
use std::collections::BTreeSet;
use std::io;

const BASE: [(&str, &str); 2] = [("dataDir", "/data"), ("clientPort", "2181")];

fn resolve(sources: Sources) -> Result<Config, ConfigErrors> {
    sources.resolve(&|_| Err(io::ErrorKind::NotFound.into()))
}

/// The base configuration, then what the key needs, then the key itself, the last in a file.
fn with_file(key: &Key, name: &str, value: &str) -> Result<Config, ConfigErrors> {
    let needs = key.needs.iter().copied().filter(|(needed, _)| *needed != name);
    let text = format!("{name}={value}\n");
    let base = BASE.into_iter().filter(|(base, _)| find(name).is_none_or(|key| key.name != *base));
    resolve(Sources::new().pairs(base.chain(needs)).file("zoo.cfg", text.as_bytes()))
}

fn with_property(key: &Key, name: &str, value: &str) -> Result<Config, ConfigErrors> {
    let word = format!("-D{name}={value}");
    let base = BASE.into_iter().filter(|(base, _)| find(name).is_none_or(|key| key.name != *base));
    resolve(Sources::new().properties([word.as_str()]).pairs(base.chain(key.needs.iter().copied())))
}

/// A name that the row stands for.
fn name_of(key: &Key) -> String {
    match key.prefix {
        None => key.name.to_owned(),
        Some(prefix) if prefix.ends_with('.') => format!("{prefix}1"),
        Some(prefix) => format!("{prefix}.1"),
    }
}

/// What the server would do, without what is only told.
fn deeds(mut config: Config) -> Config {
    config.effective.clear();
    config.java_words.clear();
    config.warnings.clear();
    config.config_file = None;
    config
}

fn without(key: &Key) -> Config {
    let base =
        BASE.into_iter().chain(key.needs.iter().copied().filter(|_| key.name != "enforce.auth.schemes"));
    resolve(Sources::new().pairs(base)).map_or_else(|_| Config::for_development("/", 1), deeds)
}

/// Rows whose example changes nothing by itself; each has a test of its own in `tests/resolve.rs`.
const SPECIAL: [&str; 4] = ["server.N", "dynamicConfigFile", "electionAlg", "standaloneEnabled"];

#[test]
fn an_example_does_what_its_row_says() {
    for key in all().filter(|key| !SPECIAL.contains(&key.name)) {
        let name = name_of(key);
        let result = with_file(key, &name, key.example);
        match key.honour {
            Honour::Same | Honour::Differently(_) => {
                let config = result.unwrap_or_else(|errors| panic!("{name}: {errors}"));
                assert_ne!(deeds(config), without(key), "{name}={} changes nothing", key.example);
            }
            // What they do in an ensemble has tests of its own in `tests/resolve.rs`.
            Honour::InEnsemble => {
                let config = result.unwrap_or_else(|errors| panic!("{name}: {errors}"));
                assert_eq!(deeds(config), without(key), "{name} has an effect on a standalone server");
            }
            Honour::NoEffect(why) => {
                let config = result.unwrap_or_else(|errors| panic!("{name}: {errors}"));
                let told = config.warnings.iter().filter(|warning| warning.message.contains(&*name));
                let is_done_anyway = key.silent.contains(&key.example);
                assert_eq!(told.count(), usize::from(!is_done_anyway), "{name}: {:?}", config.warnings);
                let is_told = config.warnings.iter().any(|warning| warning.message.contains(why));
                assert_eq!(is_told, !is_done_anyway, "{name}");
                assert_eq!(deeds(config), without(key), "{name} has an effect");
            }
            Honour::Refused(_) => {
                let errors = result.expect_err(&name).to_string();
                assert!(errors.contains(&name), "{errors}");
            }
        }
    }
}

#[test]
fn every_spelling_and_source_means_the_same() {
    for key in all().filter(|key| key.prefix.is_none()) {
        let expected =
            with_file(key, key.name, key.example).map(deeds).map_err(|errors| errors.iter().count());
        let names: Vec<_> = key.aliases.iter().copied().chain([key.name]).collect();
        for name in names.iter().flat_map(|name| [(*name).to_owned(), format!("zookeeper.{name}")]) {
            for result in [with_file(key, &name, key.example), with_property(key, &name, key.example)] {
                assert_eq!(result.map(deeds).map_err(|errors| errors.iter().count()), expected, "{name}");
            }
        }
    }
}

#[test]
fn defaults_in_the_table_are_the_defaults_of_the_config() {
    for key in all().filter(|key| matches!(key.honour, Honour::Same | Honour::Differently(_))) {
        let is_value = match key.parse {
            Parse::Number { .. } | Parse::Corrected { .. } | Parse::Real(_) => {
                key.number(key.default, i64::MIN, i64::MAX).is_ok()
            }
            Parse::StrictBool(_) | Parse::LenientBool(_) => true,
            Parse::Custom(_) => crate::java_number::parse(key.default).is_some(),
            Parse::Anything => false,
        };
        if is_value {
            let config = with_file(key, key.name, key.default).unwrap();
            assert_eq!(deeds(config), without(key), "{}={}", key.name, key.default);
        }
    }
}

#[test]
fn wrong_values_are_reported_with_line_key_and_remedy() {
    for key in all().filter(|key| key.prefix.is_none()) {
        let wrong = match key.parse {
            Parse::Number { .. } | Parse::Corrected { .. } | Parse::Real(_) => vec!["abc", "1.5.2", "1e999"],
            Parse::StrictBool(_) => vec!["yes", "1", ""],
            Parse::LenientBool(_) | Parse::Anything | Parse::Custom(_) => continue,
        };
        for value in wrong {
            let errors = with_file(key, key.name, value).expect_err(key.name);
            let error = errors.iter().next().unwrap().to_string();
            assert!(error.starts_with("zoo.cfg:1: "), "{error}");
            assert!(error.contains(key.name) && error.contains("; hint: "), "{error}");
        }
    }
}

#[test]
fn numbers_are_kept_within_their_bounds() {
    for key in all() {
        let Parse::Number { min, max, .. } = key.parse else { continue };
        assert!(with_file(key, key.name, &min.to_string()).is_ok(), "{}={min}", key.name);
        if let Some(below) = min.checked_sub(1) {
            assert!(with_file(key, key.name, &below.to_string()).is_err(), "{}={below}", key.name);
        }
        if let Some(above) = max.checked_add(1) {
            assert!(with_file(key, key.name, &above.to_string()).is_err(), "{}={above}", key.name);
        }
    }
}

#[test]
fn an_empty_number_property_is_unset() {
    for key in all().filter(|key| key.scope != Scope::File) {
        if matches!(key.parse, Parse::Number { .. } | Parse::Corrected { .. } | Parse::Real(_)) {
            let config = with_file(key, key.name, "").unwrap();
            assert_eq!(config.warnings.len(), 1, "{}", key.name);
            assert_eq!(deeds(config), without(key), "{}", key.name);
        }
    }
}

#[test]
fn names_are_unique() {
    let mut seen = BTreeSet::new();
    for key in all() {
        for name in [key.name].iter().chain(key.aliases) {
            assert!(seen.insert(*name), "{name} stands in the table twice");
            assert!(!name.starts_with("zookeeper."), "{name} is written without its prefix");
        }
    }
}

#[test]
fn secrets_are_never_shown() {
    for key in all().filter(|key| key.secret) {
        let config = with_file(key, key.name, "open-sesame").unwrap();
        let told = format!("{config:?} {:?}", config.warnings);
        assert!(!told.contains("open-sesame"), "{}: {told}", key.name);
        assert!(
            config
                .effective
                .iter()
                .any(|set| set.to_string() == format!("{}=(hidden) (zoo.cfg:1)", key.name))
        );
    }
}
