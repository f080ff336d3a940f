//! The files that name the members of an ensemble, beside zoo.cfg, and how they change with the members.
//!
//! ```text
//! zoo.cfg                     dynamicConfigFile=…/zoo.cfg.dynamic.100000003; nothing that the other file says
//! zoo.cfg.bak                 what zoo.cfg was while it named the members itself
//! zoo.cfg.dynamic.100000003   the members that hold, sorted, without a version: that is in the name
//! zoo.cfg.dynamic.next        the newest members that were proposed, with their version, until they hold
//! ```
//!
//! Names and contents of dynamic files are Java's, byte for byte. Of zoo.cfg Java keeps the keys in the order of a hash
//! table and nothing else; here comments and order stay, and only what has moved goes.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::properties;

/// Where these files are. See the module's description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFiles {
    zoo_cfg: PathBuf,
}

impl ConfigFiles {
    /// The files beside a zoo.cfg.
    pub fn new(zoo_cfg: impl Into<PathBuf>) -> Self {
        Self { zoo_cfg: zoo_cfg.into() }
    }

    /// The zoo.cfg itself.
    pub fn zoo_cfg(&self) -> &Path {
        &self.zoo_cfg
    }

    /// What it was.
    pub fn backup(&self) -> PathBuf {
        self.beside(".bak")
    }

    /// The members of this version.
    pub fn dynamic(&self, version: i64) -> PathBuf {
        self.beside(&format!(".dynamic.{version:x}"))
    }

    /// The members that were proposed.
    pub fn next(&self) -> PathBuf {
        self.beside(".dynamic.next")
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = OsString::from(&self.zoo_cfg);
        name.push(suffix);
        name.into()
    }
}

/// What a dynamic file holds of a configuration's text.
pub fn dynamic_file(text: &str, keeps_version: bool) -> String {
    let kept = |line: &&str| keeps_version || !line.starts_with("version");
    let mut lines: Vec<_> = text.lines().filter(kept).collect();
    lines.sort_unstable();
    lines.join("\n")
}

/// What becomes of zoo.cfg when the members stand in `dynamic_file`; they may say where clients connect, too.
pub fn without_members(zoo_cfg: &[u8], dynamic_file: &Path, names_client_port: bool) -> Vec<u8> {
    let has_moved = |key: &str| {
        ["server.", "group", "weight", "dynamicConfigFile", "peerType"]
            .iter()
            .any(|moved| key.starts_with(moved))
            || names_client_port && matches!(key, "clientPort" | "clientPortAddress")
    };
    let mut kept = Vec::with_capacity(zoo_cfg.len());
    for entry in logical_lines(zoo_cfg) {
        let key = properties::parse(entry).into_iter().next();
        if !key.is_some_and(|parsed| parsed.is_ok_and(|entry| has_moved(&entry.key))) {
            kept.extend_from_slice(entry);
        }
    }
    if !matches!(kept.last(), None | Some(b'\n')) {
        kept.push(b'\n');
    }
    kept.extend_from_slice(format!("dynamicConfigFile={}\n", dynamic_file.display()).as_bytes());
    kept
}

/// Cuts behind every line end that no backslash takes back, except in comments.
fn logical_lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let is_comment = matches!(rest.trim_ascii_start().first(), None | Some(b'#' | b'!'));
        let mut length = 0;
        loop {
            let line = rest[length..]
                .iter()
                .position(|byte| *byte == b'\n')
                .map_or(rest.len() - length, |at| at + 1);
            length += line;
            let text = rest[..length].trim_ascii_end();
            let backslashes = text.iter().rev().take_while(|byte| **byte == b'\\').count();
            let goes_on = !is_comment && backslashes % 2 == 1 && length < rest.len();
            if !goes_on {
                break;
            }
        }
        let (line, after) = rest.split_at(length);
        rest = after;
        (!line.is_empty()).then_some(line)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_javas() {
        let files = ConfigFiles::new("/conf/zoo.cfg");
        assert_eq!(files.dynamic(0x1_0000_0003), Path::new("/conf/zoo.cfg.dynamic.100000003"));
        assert_eq!(files.next(), Path::new("/conf/zoo.cfg.dynamic.next"));
        assert_eq!(files.backup(), Path::new("/conf/zoo.cfg.bak"));
    }

    #[test]
    fn lines_are_sorted_as_text() {
        let text =
            "server.2=b:1:2:participant\nserver.10=a:1:2:participant\nweight.2=1\ngroup.1=2:10\nversion=1f";
        let servers = "group.1=2:10\nserver.10=a:1:2:participant\nserver.2=b:1:2:participant\n";
        assert_eq!(dynamic_file(text, false), format!("{servers}weight.2=1"));
        assert_eq!(dynamic_file(text, true), format!("{servers}version=1f\nweight.2=1"));
    }

    #[test]
    fn only_what_has_moved_goes() {
        let before = "# members\nserver.1=a:\\\n  1:2\ndataDir=/d\nclientPort=3\nclientPortListenBacklog=9\n\
                      peerType=participant\n# the last one \\\nweight.1=2";
        let moved = without_members(before.as_bytes(), Path::new("/c.dynamic.1"), true);
        assert_eq!(
            String::from_utf8(moved).unwrap(),
            "# members\ndataDir=/d\nclientPortListenBacklog=9\n# the last one \\\ndynamicConfigFile=/c.dynamic.1\n"
        );
        let again = without_members(b"clientPort=3\ndynamicConfigFile=/old", Path::new("/new"), false);
        assert_eq!(again, b"clientPort=3\ndynamicConfigFile=/new\n");
        assert_eq!(without_members(b"", Path::new("/new"), false), b"dynamicConfigFile=/new\n");
    }
}
