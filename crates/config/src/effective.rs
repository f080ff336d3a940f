//! The echo of a configuration for the start log: what was set, where, and to what.
//!
//! An operator who wonders why a server behaves as it does reads this first. Passwords and digests
//! never appear in it.

use crate::secrets::shown;
use crate::setting::{Setting, Source};
use std::fmt;

/// One key that somebody set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective {
    /// zoo.cfg's name of the key, whatever spelling was used.
    pub key: String,
    /// The value as written, or `(hidden)`.
    pub value: String,
    /// Where it was written.
    pub source: Source,
}

impl Effective {
    pub(crate) fn new(name: &str, setting: &Setting) -> Self {
        let value = shown(name, &setting.value).to_owned();
        Effective { key: name.to_owned(), value, source: setting.source.clone() }
    }
}

/// Prints as `tickTime=2000 (zoo.cfg:3)`.
impl fmt::Display for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={} ({})", self.key, self.value, self.source)
    }
}
