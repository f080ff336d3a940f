//! What clients choose, as a line of the log shows it: the beginning, escaped, and how long it was.

use std::fmt::{self, Write as _};

/// How much of it is shown: no name that anybody means is longer.
const SHOWN_CHARS_MAX: usize = 200;

/// See the module's description.
#[derive(Clone, Copy, Debug)]
pub struct Cut<'t>(pub &'t str);

impl fmt::Display for Cut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.0.char_indices().nth(SHOWN_CHARS_MAX).map_or(self.0.len(), |(at, _)| at);
        self.0[..end].chars().flat_map(char::escape_debug).try_for_each(|c| f.write_char(c))?;
        if end < self.0.len() { write!(f, "... ({} bytes)", self.0.len()) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_long_is_told_by_its_beginning() {
        assert_eq!(Cut("a\nb").to_string(), "a\\nb");
        let short = "é".repeat(SHOWN_CHARS_MAX);
        assert_eq!(Cut(&short).to_string(), short);
        let long = Cut(&"\u{1}".repeat(1_000_000)).to_string();
        assert!(long.len() < 6 * SHOWN_CHARS_MAX + 50 && long.ends_with("... (1000000 bytes)"), "{long}");
    }
}
