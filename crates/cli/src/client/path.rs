//! Which paths a client sends, and what it says of the others: Java's `PathUtils`, whose positions count UTF-16 units.

/// A path that is not sent. Prints as Java says it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathMistake {
    /// There is nothing.
    #[error("Path length must be > 0")]
    Empty,
    /// It does not begin at the root.
    #[error("Path must start with / character")]
    Relative,
    /// It ends in nothing.
    #[error("Path must not end with / character")]
    TrailingSlash,
    /// Something in it cannot be.
    #[error("Invalid path string \"{path}\" caused by {reason} @{at}")]
    Inside {
        /// All of it.
        path: String,
        /// What is wrong.
        reason: &'static str,
        /// In UTF-16 units from its start.
        at: usize,
    },
}

/// Whether a path is sent.
pub fn validate(path: &str) -> Result<(), PathMistake> {
    if path.is_empty() {
        return Err(PathMistake::Empty);
    }
    if !path.starts_with('/') {
        return Err(PathMistake::Relative);
    }
    if path.len() == 1 {
        return Ok(());
    }
    if path.ends_with('/') {
        return Err(PathMistake::TrailingSlash);
    }
    let units: Vec<u16> = path.encode_utf16().collect();
    for at in 1..units.len() {
        if let Some(reason) = wrong_unit(&units, at) {
            return Err(PathMistake::Inside { path: path.to_owned(), reason, at });
        }
    }
    Ok(())
}

/// The same for a path behind which the server writes a number.
pub fn validate_sequential(path: &str) -> Result<(), PathMistake> {
    validate(&format!("{path}1"))
}

fn wrong_unit(units: &[u16], at: usize) -> Option<&'static str> {
    const SLASH: u16 = b'/' as u16;
    const DOT: u16 = b'.' as u16;
    let (before, unit) = (units[at - 1], units[at]);
    let ends_a_name = units.get(at + 1).is_none_or(|&next| next == SLASH);
    match unit {
        0 => Some("null character not allowed"),
        SLASH if before == SLASH => Some("empty node name specified"),
        DOT if before == SLASH && ends_a_name => Some("relative paths not allowed"),
        DOT if before == DOT && at >= 2 && units[at - 2] == SLASH && ends_a_name => {
            Some("relative paths not allowed")
        }
        1..=0x1f | 0x7f..=0x9f | 0xd800..=0xf8ff | 0xfff0..=0xffff => Some("invalid character"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_print_as_javas() {
        for (path, text) in [
            ("", "Path length must be > 0"),
            ("a", "Path must start with / character"),
            ("/a/", "Path must not end with / character"),
            ("/a//b", "Invalid path string \"/a//b\" caused by empty node name specified @3"),
            ("/a/./b", "Invalid path string \"/a/./b\" caused by relative paths not allowed @3"),
            ("/a/..", "Invalid path string \"/a/..\" caused by relative paths not allowed @4"),
            ("/\u{1f600}", "Invalid path string \"/\u{1f600}\" caused by invalid character @1"),
            ("/é\u{1}", "Invalid path string \"/é\u{1}\" caused by invalid character @2"),
        ] {
            assert_eq!(validate(path).map_err(|mistake| mistake.to_string()), Err(text.to_owned()));
        }
    }

    #[test]
    fn other_paths_are_sent() {
        for path in ["/", "/a", "/a/b", "/...", "/.a", "/a.b/..c", "/a b", "/é"] {
            assert_eq!(validate(path), Ok(()), "{path}");
        }
        assert_eq!(validate_sequential("/a/"), Ok(()));
        assert!(validate_sequential("a").is_err());
    }
}
