//! The properties parser against `java.util.Properties` itself; `data/README.md` says how it was captured.

use std::collections::BTreeMap;
use zabd_config::properties;

fn unhex(text: &str) -> Vec<u8> {
    let text = text.trim_start_matches('-');
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn java_reads_the_same() {
    let data = include_str!("data/java_properties.txt");
    for line in data.lines() {
        let mut words = line.split(' ');
        let bytes = unhex(words.next().unwrap());
        let mut ours: Result<BTreeMap<_, _>, _> = properties::parse(&bytes)
            .into_iter()
            .map(|entry| entry.map(|entry| (entry.key, entry.value)))
            .collect();
        let theirs: Vec<_> = words.collect();
        let shown = String::from_utf8_lossy(&bytes);
        if theirs == ["malformed"] {
            assert!(ours.is_err(), "{shown:?}");
            continue;
        }
        let text = |hex: &str| String::from_utf8(unhex(hex)).unwrap();
        let pairs = theirs.iter().map(|pair| pair.split_once('=').unwrap());
        let mut theirs: BTreeMap<_, _> = pairs.map(|(key, value)| (text(key), text(value))).collect();
        // Java makes an empty key of a lone backslash at the end of a file, depending on the line's end.
        for entries in ours.iter_mut().chain([&mut theirs]) {
            entries.remove("");
        }
        assert_eq!(ours.ok(), Some(theirs), "{shown:?}");
    }
}
