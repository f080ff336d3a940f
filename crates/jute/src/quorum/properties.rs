//! `java.util.Properties.load` on text: `key=value` lines, comments, continuations, escapes.
//!
//! Java's servers write nothing but plain lines into a configuration, but they read whatever is a properties
//! file, and so do operators who hand them one. Keys and values come out as they are, not trimmed.

/// A `\u` without four hexadecimal digits behind it: the one thing that the format refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MalformedEscape;

/// All keys and values in the order of the text, repeated keys included.
pub(super) fn parse(text: &str) -> impl Iterator<Item = Result<(String, String), MalformedEscape>> {
    let mut rest = text;
    std::iter::from_fn(move || logical_line(&mut rest).map(|line| key_and_value(&line)))
}

/// The format's own idea of white space.
const BLANKS: [char; 3] = [' ', '\t', '\u{c}'];

/// Takes the next line that says something, with what continues it.
fn logical_line(rest: &mut &str) -> Option<String> {
    let mut line = String::new();
    while !rest.is_empty() {
        let visible = natural_line(rest).trim_start_matches(BLANKS);
        if line.is_empty() && (visible.is_empty() || visible.starts_with(['#', '!'])) {
            continue;
        }
        line.push_str(visible);
        let backslashes = visible.len() - visible.trim_end_matches('\\').len();
        if backslashes.is_multiple_of(2) {
            return Some(line);
        }
        line.pop();
    }
    // The text ended on a continuation: what was gathered still counts.
    (!line.is_empty()).then_some(line)
}

/// Takes a line off; `\n`, `\r` and `\r\n` each end one.
fn natural_line<'a>(rest: &mut &'a str) -> &'a str {
    let (line, behind) = rest.split_at(rest.find(['\n', '\r']).unwrap_or(rest.len()));
    *rest = behind.strip_prefix("\r\n").or_else(|| behind.get(1..)).unwrap_or("");
    line
}

/// Cuts at the first separator that is not escaped.
fn key_and_value(line: &str) -> Result<(String, String), MalformedEscape> {
    let mut is_escaped = false;
    let is_separator = |c: char| {
        let ends = !is_escaped && (BLANKS.contains(&c) || c == '=' || c == ':');
        is_escaped = c == '\\' && !is_escaped;
        ends
    };
    let (key, rest) = line.split_at(line.find(is_separator).unwrap_or(line.len()));
    let mut value = rest.trim_start_matches(BLANKS);
    if let Some(behind) = value.strip_prefix(['=', ':']) {
        value = behind.trim_start_matches(BLANKS);
    }
    Ok((unescape(key)?, unescape(value)?))
}

fn unescape(text: &str) -> Result<String, MalformedEscape> {
    if !text.contains('\\') {
        return Ok(text.to_owned());
    }
    let mut units = Vec::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(plain) = chars.next() {
        let meant = match plain {
            '\\' => match chars.next() {
                Some('u') => {
                    units.push(hexadecimal_unit(&mut chars).ok_or(MalformedEscape)?);
                    continue;
                }
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('f') => '\u{c}',
                Some(other) => other,
                None => break,
            },
            plain => plain,
        };
        units.extend_from_slice(meant.encode_utf16(&mut [0; 2]));
    }
    Ok(String::from_utf16_lossy(&units))
}

fn hexadecimal_unit(chars: &mut std::str::Chars<'_>) -> Option<u16> {
    (0..4).try_fold(0, |unit, _| Some(unit << 4 | chars.next()?.to_digit(16)? as u16))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        parse(text).map(|pair| pair.unwrap()).collect()
    }

    fn check(text: &str, expected: &[(&str, &str)]) {
        let expected: Vec<_> = expected.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        assert_eq!(pairs(text), expected, "{text:?}");
    }

    #[test]
    fn separators_are_equals_colon_or_blank() {
        check(
            "a=1\nb: 2\nc 3\nd\te\nf = = g\nh::i",
            &[("a", "1"), ("b", "2"), ("c", "3"), ("d", "e"), ("f", "= g"), ("h", ":i")],
        );
        check("k\n=v\nlast ", &[("k", ""), ("", "v"), ("last", "")]);
    }

    #[test]
    fn what_stands_behind_a_value_belongs_to_it() {
        check("a= 1 \r\n\r\rb=2", &[("a", "1 "), ("b", "2")]);
    }

    #[test]
    fn a_comment_does_not_continue_and_an_entry_does() {
        check(
            "# x \\\na=1,\\\n   2,\\\n#3\n ! y\nb=4\\\\\nc=5\\",
            &[("a", "1,2,#3"), ("b", "4\\"), ("c", "5")],
        );
    }

    #[test]
    fn escapes_reach_key_and_value() {
        check(r"a\=b\:c\ d=\u00e9\ud83d\ude00\q", &[("a=b:c d", "é😀q")]);
        for text in [r"u=\u12g4", r"u=\u1", r"\u=1"] {
            assert_eq!(parse(text).next(), Some(Err(MalformedEscape)));
        }
    }

    proptest! {
        #[test]
        fn dense_syntax_parses_without_panic(text in "[\\\\u0=: \t\r\n#!ab\u{e9}]{0,60}") {
            for _ in parse(&text) {}
        }
    }
}
