//! The table of keys, one section per chapter of the manual.
//!
//! To add a key, add its row; the resolver finds it, the manual shows it, and `tests` below put its
//! example, its default and a wrong value through every source.

use crate::key::{Key, Problem, Raw, Verdict};

mod auth;
mod basic;
mod clients;
mod ensemble;
mod jvm;
mod limits;
mod operations;
mod storage;
mod tls;

#[cfg(test)]
mod tests;

pub(crate) use basic::relative_path_warning;
pub(crate) use jvm::STDOUT;

/// One chapter.
pub struct Section {
    /// Its heading.
    pub title: &'static str,
    /// What its keys have in common.
    pub intro: &'static str,
    /// Its rows.
    pub keys: &'static [Key],
}

/// Every key, in the order of the manual.
pub static SECTIONS: &[Section] = &[
    basic::SECTION,
    clients::SECTION,
    storage::SECTION,
    limits::SECTION,
    auth::SECTION,
    operations::SECTION,
    ensemble::SECTION,
    tls::SECTION,
    jvm::SECTION,
];

/// Every key.
pub fn all() -> impl Iterator<Item = &'static Key> {
    SECTIONS.iter().flat_map(|section| section.keys)
}

/// The key that `name` means, in any of its spellings and with or without `zookeeper.`.
pub fn find(name: &str) -> Option<&'static Key> {
    let name = unprefixed(name);
    // A family may not swallow a key that has a row of its own, such as `server.realm`.
    all()
        .find(|key| key.prefix.is_none() && key.is_named(name))
        .or_else(|| all().find(|key| key.prefix.is_some() && key.is_named(name)))
}

/// A name as it stands in the table.
pub(crate) fn unprefixed(name: &str) -> &str {
    name.strip_prefix("zookeeper.").unwrap_or(name)
}

/// Refuses a class that no release of ZooKeeper ships; the known ones are all the same to zabd.
fn known_class(raw: &Raw<'_>, classes: &[&str]) -> Verdict {
    if raw.value.is_empty() || classes.contains(&raw.value) {
        return Ok(None);
    }
    let known = classes.iter().map(|class| format!("`{class}`")).collect::<Vec<_>>().join(" or ");
    Err(Problem::value("names a class that zabd cannot stand in for")
        .hint(format!("remove it, or use {known}")))
}
