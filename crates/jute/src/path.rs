//! Which paths a znode may have, and the pieces of a path. Follows Java's `PathUtils`.
//!
//! Java looks at UTF-16 units, so every character above U+FFFF is refused: it sees two surrogates.

use std::fmt;

/// Why a path is none. Prints as Java says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    /// There are no characters.
    Empty,
    /// It does not begin with a slash.
    Relative,
    /// It ends with a slash.
    TrailingSlash,
    /// There is nothing between two slashes.
    EmptyName,
    /// A component is `.` or `..`.
    RelativeName,
    /// A control, surrogate, private-use or special character.
    InvalidCharacter {
        /// In characters from the start.
        at: usize,
    },
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PathError::Empty => f.write_str("Path length must be > 0"),
            PathError::Relative => f.write_str("Path must start with / character"),
            PathError::TrailingSlash => f.write_str("Path must not end with / character"),
            PathError::EmptyName => f.write_str("empty node name specified"),
            PathError::RelativeName => f.write_str("relative paths not allowed"),
            PathError::InvalidCharacter { at } => write!(f, "invalid character @{at}"),
        }
    }
}

impl std::error::Error for PathError {}

/// Whether a znode may have this path.
pub fn validate(path: &str) -> Result<(), PathError> {
    if path.is_empty() {
        return Err(PathError::Empty);
    }
    if !path.starts_with('/') {
        return Err(PathError::Relative);
    }
    if path.len() == 1 {
        return Ok(());
    }
    if path.ends_with('/') {
        return Err(PathError::TrailingSlash);
    }
    // Nearly all paths are printable ASCII, where only the components matter.
    let is_plain = path.bytes().all(|byte| matches!(byte, 0x20..0x7f));
    if !is_plain && let Some(at) = path.chars().position(is_forbidden) {
        return Err(PathError::InvalidCharacter { at });
    }
    for name in path[1..].split('/') {
        match name {
            "" => return Err(PathError::EmptyName),
            "." | ".." => return Err(PathError::RelativeName),
            _ => (),
        }
    }
    Ok(())
}

fn is_forbidden(c: char) -> bool {
    matches!(
        c,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..='\u{ffff}' | '\u{10000}'..
    )
}

/// The parent's path and the name; `None` for the root, for text without a slash, and where nothing
/// stands between the last two slashes or behind them: nothing can have such a name.
///
/// The rest of the text need not be a path.
pub fn split(path: &str) -> Option<(&str, &str)> {
    match path.rsplit_once('/')? {
        (_, "") => None,
        ("", name) => Some(("/", name)),
        (parent, name) => (!parent.ends_with('/')).then_some((parent, name)),
    }
}

/// The parent's path; `None` for the root and for text without a slash.
pub fn parent(path: &str) -> Option<&str> {
    split(path).map(|(parent, _)| parent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_paths() {
        for path in [
            "/",
            "/a",
            "/a/b",
            "/...",
            "/.a",
            "/a.",
            "/a b",
            "/\"'",
            "/\u{a0}",
            "/\u{d7ff}",
            "/\u{f900}",
            "/\u{ffef}",
        ] {
            assert_eq!(validate(path), Ok(()), "{path:?}");
        }
    }

    #[test]
    fn bad_paths() {
        for (path, error) in [
            ("", PathError::Empty),
            ("a", PathError::Relative),
            ("a/b", PathError::Relative),
            ("/a/", PathError::TrailingSlash),
            ("//", PathError::TrailingSlash),
            ("/a//b", PathError::EmptyName),
            ("/.", PathError::RelativeName),
            ("/a/../b", PathError::RelativeName),
            ("/\0", PathError::InvalidCharacter { at: 1 }),
            ("/a\u{1f}", PathError::InvalidCharacter { at: 2 }),
            ("/\u{7f}", PathError::InvalidCharacter { at: 1 }),
            ("/\u{9f}", PathError::InvalidCharacter { at: 1 }),
            ("/\u{e000}", PathError::InvalidCharacter { at: 1 }),
            ("/\u{f8ff}", PathError::InvalidCharacter { at: 1 }),
            ("/\u{fff0}", PathError::InvalidCharacter { at: 1 }),
            ("/\u{fffd}", PathError::InvalidCharacter { at: 1 }),
            ("/\u{1f600}", PathError::InvalidCharacter { at: 1 }),
        ] {
            assert_eq!(validate(path), Err(error), "{path:?}");
        }
    }

    #[test]
    fn paths_split_at_the_last_slash() {
        assert_eq!(split("/"), None);
        assert_eq!(split("a"), None);
        assert_eq!(split("/a"), Some(("/", "a")));
        assert_eq!(split("/a/b"), Some(("/a", "b")));
        assert_eq!(split("a/b"), Some(("a", "b")));
        for nameless in ["/a/", "//", "//b", "/a//b"] {
            assert_eq!(split(nameless), None, "{nameless}");
        }
        assert_eq!(parent("/a/b/c"), Some("/a/b"));
    }
}
