//! Which of two words on one key counts, where not simply the later one does.
//!
//! zabd takes more spellings and places than Java. Where somebody has written one that Java reads and one that it does not, they
//! have lived with the first: `jute.maxbuffer=` in a zoo.cfg does nothing in Java, and the value that their data were written
//! with is in `JVMFLAGS`.

use crate::key::{Honour, Key, Scope};
use crate::load::IMAGE_FLAGS;
use crate::secrets::shown;
use crate::setting::{Setting, Source};

/// How much a word counts; of two that count the same, the later one does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Strength {
    /// It stands in for what nobody has said.
    Implied,
    /// It is taken here, and Java does not read it.
    OnlyHere,
    /// Java reads it, or it is meant for zabd.
    Read,
}

impl Strength {
    fn of(key: &Key, setting: &Setting) -> Strength {
        let is_read = match &setting.source {
            Source::Implied => return Strength::Implied,
            Source::Environment { variable, .. } if &**variable == IMAGE_FLAGS => return Strength::Implied,
            // Lines that are spelled otherwise have a warning of their own.
            Source::File { .. } => key.scope != Scope::Bare,
            Source::Property(_) | Source::Environment { .. } => is_javas_property(key, &setting.key),
            Source::WholeFile(_) | Source::Argument | Source::Named(_) => true,
        };
        if is_read { Strength::Read } else { Strength::OnlyHere }
    }
}

/// Whether Java looks for the key's value in the property of this name.
fn is_javas_property(key: &Key, written: &str) -> bool {
    let bare = written.strip_prefix("zookeeper.");
    let is_name = |name: &str| key.prefix.is_some() || name == key.name;
    match key.scope {
        Scope::Own => true,
        Scope::File => false,
        Scope::Prefixed => bare.is_some_and(is_name),
        Scope::Bare => is_name(written),
        Scope::Either => is_name(bare.unwrap_or(written)),
    }
}

/// Whether the word that comes later does not count.
pub(super) fn earlier_counts(key: &Key, earlier: &Setting, later: &Setting) -> bool {
    // What has no effect is told with its last word.
    !matches!(key.honour, Honour::NoEffect(_)) && Strength::of(key, later) < Strength::of(key, earlier)
}

/// What an operator is told of two values of which Java reads one.
pub(super) fn two_values(name: &str, read: &Setting, unread: &Setting) -> String {
    format!(
        "{}={} does not count beside {}, as Java does not read it here: {name} is {}; hint: remove one of them",
        unread.key,
        shown(name, &unread.value),
        read.source,
        shown(name, &read.value)
    )
}
