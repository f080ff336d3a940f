//! Whatever a file or a command line holds, the answer is a configuration or a list of mistakes.

use proptest::prelude::*;
use std::io;
use zabd_config::{SECTIONS, Sources};

fn key_name() -> impl Strategy<Value = String> {
    let names: Vec<String> = SECTIONS
        .iter()
        .flat_map(|section| section.keys)
        .map(|key| key.prefix.map_or(key.name.to_owned(), |prefix| format!("{prefix}1")))
        .collect();
    prop_oneof![8 => proptest::sample::select(names), 1 => "[a-zA-Z.]{0,12}"]
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        "-?[0-9]{1,20}",
        "(true|false|yes|no|\\*|0x[0-9a-f]{1,9}|NaN|inf|1e400)",
        "[a-z\\[\\]:;|.0-9]{0,40}",
        any::<String>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_settings_resolve_or_explain(
        lines in proptest::collection::vec((key_name(), value()), 0..8),
        words in proptest::collection::vec((key_name(), value()), 0..3),
        files in any::<Option<Vec<u8>>>(),
    ) {
        let text = lines.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join("\n");
        let words: Vec<_> = words.iter().map(|(key, value)| format!("-D{key}={value}")).collect();
        let sources = Sources::new()
            .properties(words.iter().map(String::as_str))
            .file("zoo.cfg", format!("dataDir=/d\nclientPort=1\n{text}").as_bytes());
        let read = |_: &std::path::Path| files.clone().ok_or_else(|| io::ErrorKind::NotFound.into());
        match sources.resolve(&read) {
            Ok(config) => prop_assert!(config.session_timeout_ms_min <= config.session_timeout_ms_max),
            Err(errors) => prop_assert!(!errors.to_string().is_empty()),
        }
    }

    #[test]
    fn any_bytes_resolve_or_explain(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Sources::new().file("zoo.cfg", &bytes).resolve(&|_| Err(io::ErrorKind::NotFound.into()));
    }
}
