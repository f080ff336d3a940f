//! `docs/configuration.md`, written from the table of keys.
//!
//! A test compares the file with this text, so a key cannot change without its manual. To write the
//! file anew: `ZABD_UPDATE_DOCS=1 cargo test -p zabd-config`.

use crate::exit_code::ExitCode;
use crate::key::{Class, Honour, Key, Scope};
use crate::keys::SECTIONS;
use std::fmt::Write as _;

const INTRODUCTION: &str = "\
# Configuration

<!-- Written from the table of keys in crates/config/src/keys; to change it, change the table and run
     `ZABD_UPDATE_DOCS=1 cargo test -p zabd-config`. -->

zabd is configured as Apache ZooKeeper 3.9 is, with the same file:

```properties
# zoo.cfg
tickTime=2000
dataDir=/var/lib/zookeeper
clientPort=2181
```

```console
$ zabd zoo.cfg                                  # a configuration file
$ zabd -Dzookeeper.snapCount=50000 zoo.cfg      # properties before it
$ JVMFLAGS=-Djute.maxbuffer=4194304 zabd zoo.cfg
$ zabd 2181 /var/lib/zookeeper                  # port datadir [ticktime] [maxcnxns]
$ zabd server --client-port 2182 --data-dir /var/lib/zookeeper    # any key as a flag; `-`, `_`, `.` and case do not count
$ zabd server --config zoo.cfg --client-port 2182                 # flags on top of a file
$ zabd                                          # port 2181, ./data
```

## How values are found

From the weakest to the strongest: the defaults, the `-D` words in `ZABD_IMAGE_FLAGS`, which is the images' own, those in `SERVER_JVMFLAGS`, those in `JVMFLAGS`, those of the
command line, the file, the flags. Within one of them the last word wins. But what Java does not read counts only where nothing that it reads
says otherwise: a line of the file for a key that the column \"Java\" shows without `zookeeper.`, such as `jute.maxbuffer`, and a `-D` word in
another spelling than that column's. If they differ, the start and `zabd check` tell it.

- The file has Java's properties format: `key=value`, `key: value` or `key value`; `#` and `!` start a comment; a backslash at
  the end continues a line, elsewhere it escapes (so a backslash itself is written twice); bytes are ISO-8859-1 and `\\uXXXX` names any
  other character.
- Every key below works in the file and as a `-D` property, in both with and without the prefix `zookeeper.`. (Java reads some
  only from the file and some only as a property; the column \"Java\" says which.) Members alone are no properties: `server.N`,
  `group.N` and `weight.N` count in files and as flags. A `-D` word that names a server is refused where no other does, for a
  standalone server would start; else it has no effect, as in Java.
- Keys that only the file knows in Java take decimal numbers and `true` or `false`. Properties take `0x` for hexadecimal and
  a leading `0` for octal, and everything but `true` is false. A property that is empty counts as not set where a number is
  expected.
- An unknown key is no mistake: it is kept as the property `zookeeper.<key>`, and the start log says that nothing reads it. `-D`
  properties of other programs are ignored.

## When something is wrong

All mistakes are reported at once, each with its place and a remedy, and the process ends with exit code 2:

```text
zoo.cfg:1: tickTime=abc is not a number; hint: milliseconds, for example `tickTime=2000`
zoo.cfg:4: minSessionTimeout must not be larger than maxSessionTimeout; hint: they are 9000 and 5000 ms; unset, they are 2 and 20 times `tickTime`
```

What is accepted without effect is a warning, once, at start. Passwords and digests are never shown.

";

/// The whole text of `docs/configuration.md`.
pub fn manual() -> String {
    let mut text = INTRODUCTION.to_owned();
    text.push_str(
        "Exit codes are Java's, except that a server which is told to end (SIGTERM, SIGINT, SIGHUP) ends with 0; a Java\n\
         machine ends with 128 and the signal's number (143 for SIGTERM):\n\n| code | meaning |\n| --- | --- |\n",
    );
    for (code, meaning) in ExitCode::ALL {
        let _ = writeln!(text, "| {} | {meaning} |", code as u8);
    }
    text.push_str(
        "\n## Keys\n\nThe class says how close a key is to Java: **a** behaves identically, **b** is honoured by a mechanism \
         of zabd's own, **c** is a detail of the Java server. The last column says what zabd does with it, \
         alone and as a member of an ensemble; where the two differ it names them.\n",
    );
    for section in SECTIONS {
        let _ = writeln!(text, "\n### {}\n\n{}\n", section.title, section.intro);
        text.push_str(
            "| key | default | class | Java | meaning | here |\n| --- | --- | --- | --- | --- | --- |\n",
        );
        for key in section.keys {
            let _ = writeln!(text, "{}", row(key));
        }
    }
    text
}

fn row(key: &Key) -> String {
    let mut name = format!("`{}`", key.name);
    for alias in key.aliases {
        let _ = write!(name, ", `{alias}`");
    }
    let default = match (key.default, key.unit) {
        ("", _) => "empty".to_owned(),
        (default, "") => code_if_literal(default),
        (default, unit) => format!("{} ({unit})", code_if_literal(default)),
    };
    let class = match key.class {
        Class::A => "a",
        Class::B => "b",
        Class::C => "c",
    };
    let java = match key.scope {
        Scope::File => "file".to_owned(),
        Scope::Own => "-".to_owned(),
        Scope::Prefixed => format!("`zookeeper.{}`", key.name),
        Scope::Bare => format!("`{}`", key.name),
        Scope::Either => format!("`zookeeper.{0}`, `{0}`", key.name),
    };
    let here = match key.honour {
        Honour::Same => "same".to_owned(),
        Honour::Differently(how) => how.to_owned(),
        Honour::InEnsemble => "same on a member of an ensemble; no use for a standalone server".to_owned(),
        Honour::NoEffect(why) => format!("no effect: {why}"),
        Honour::Refused(when) => format!("refused: {when}"),
    };
    let doc = key.doc.replace('|', "\\|");
    format!("| {name} | {default} | {class} | {java} | {doc} | {here} |")
}

/// Words such as "required" describe a default, everything else is one.
fn code_if_literal(default: &str) -> String {
    let is_words = matches!(default, "none" | "required" | "any") || default.contains(' ');
    if is_words { default.to_owned() } else { format!("`{default}`") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the manual is a file of the repository")]
    fn the_manual_says_what_the_table_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
        if std::env::var_os("ZABD_UPDATE_DOCS").is_some() {
            std::fs::write(path, manual()).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            written == manual(),
            "docs/configuration.md differs from the table of keys; run `ZABD_UPDATE_DOCS=1 cargo test -p zabd-config`"
        );
    }

    #[test]
    fn every_key_is_explained() {
        for key in crate::keys::all() {
            assert!(key.doc.ends_with('.'), "{} needs a sentence", key.name);
            assert!(!key.example.is_empty(), "{} needs an example", key.name);
        }
    }
}
