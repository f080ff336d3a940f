//! One raw word of configuration and where it came from.
//!
//! Text reaches a server by four roads, and the later one wins: `SERVER_JVMFLAGS` and `JVMFLAGS`,
//! `-D` words of the command line, the file, and the flags of `zabd server`. The file beats `-D`
//! because Java's parser overwrites the system property with it; where it does not, `-D` wins.

use std::fmt;
use std::sync::Arc;

/// What the name of a start script's variable begins with where nobody has set it.
pub(crate) const DEFAULT_OF: &str = "default of ";

/// Where a value was written, as an operator would look for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A line of a file, counted from 1.
    File {
        /// The path as it was given.
        path: Arc<str>,
        /// Line of the entry's first character.
        line: usize,
    },
    /// A whole file, when no single line is to blame.
    WholeFile(Arc<str>),
    /// A `-Dkey=value` word of the command line, by its key.
    Property(Arc<str>),
    /// A `-Dkey=value` word inside an environment variable.
    Environment {
        /// The variable.
        variable: Arc<str>,
        /// The key as written.
        key: Arc<str>,
    },
    /// A flag or positional argument of the command line.
    Argument,
    /// A flag or variable of an image's start script, or what such a script makes of it, by its name.
    Named(Arc<str>),
    /// Nowhere: it goes with a start without a file.
    Implied,
}

impl Source {
    /// Whether somebody wrote it, so that it is worth a word if it has no effect.
    pub(crate) fn is_somebodys(&self) -> bool {
        !matches!(
            self,
            Source::Named(name) | Source::Environment { variable: name, .. } if name.starts_with(DEFAULT_OF)
        )
    }

    /// Whether Java would know the value as a system property rather than as a line of zoo.cfg.
    pub fn is_property(&self) -> bool {
        matches!(self, Source::Property(_) | Source::Environment { .. })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::File { path, line } => write!(f, "{path}:{line}"),
            Source::WholeFile(path) => f.write_str(path),
            Source::Property(key) => write!(f, "-D{key}"),
            Source::Environment { variable, key } => write!(f, "{variable} -D{key}"),
            Source::Argument => f.write_str("command line"),
            Source::Named(name) => f.write_str(name),
            Source::Implied => f.write_str("as no file says otherwise"),
        }
    }
}

/// `key=value`, not yet understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The key exactly as written.
    pub key: String,
    /// The value, trimmed.
    pub value: String,
    /// Where it was written.
    pub source: Source,
}

/// Reads the `-Dkey=value` words of a JVM flags variable; everything else in it is for a JVM.
///
/// The shell scripts expand the variable unquoted, so words end at blanks and quotes mean nothing.
pub(crate) fn jvm_flags(variable: &str, text: &str) -> Vec<Setting> {
    let source = |key: &str| Source::Environment { variable: variable.into(), key: key.into() };
    text.split_ascii_whitespace().filter_map(|word| property(word, source)).collect()
}

/// Reads one `-Dkey=value` word; `-Dkey` alone sets the empty text, as in Java.
pub(crate) fn property(word: &str, source: impl Fn(&str) -> Source) -> Option<Setting> {
    let text = word.strip_prefix("-D")?;
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    (!key.is_empty()).then(|| Setting {
        key: key.to_owned(),
        value: crate::properties::trim(value).to_owned(),
        source: source(key),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_d_words_are_settings() {
        let words = jvm_flags("JVMFLAGS", "-Xmx512m  -Dzookeeper.snapCount=5 -server\t-Da.b=c=d -Dflag -D=x");
        let words: Vec<_> = words.iter().map(|word| (word.key.as_str(), word.value.as_str())).collect();
        assert_eq!(words, [("zookeeper.snapCount", "5"), ("a.b", "c=d"), ("flag", "")]);
    }

    #[test]
    fn places_read_as_an_operator_would_look_for_them() {
        assert_eq!(Source::File { path: "zoo.cfg".into(), line: 7 }.to_string(), "zoo.cfg:7");
        assert_eq!(jvm_flags("JVMFLAGS", "-Da=1")[0].source.to_string(), "JVMFLAGS -Da");
    }
}
