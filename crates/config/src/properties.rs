//! Java's `.properties` format, in which zoo.cfg is written.
//!
//! A file is a sequence of *logical* lines: a line that ends in an odd number of backslashes goes on
//! with the next one, whose leading blanks are dropped. A logical line is a key, then `=`, `:` or
//! blanks, then a value; `#` and `!` start a comment only as the first visible character. Backslash
//! escapes one character, `\uXXXX` names a UTF-16 unit, and every byte is one ISO-8859-1 character.
//! All of this is `java.util.Properties.load`; what is added is the line number of each entry, so
//! that a mistake can be pointed at. Keys and values come out trimmed, as `QuorumPeerConfig` does.

/// One `key=value` of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Line on which the entry starts, counted from 1.
    pub line: usize,
    /// Key, unescaped and trimmed.
    pub key: String,
    /// Value, unescaped and trimmed.
    pub value: String,
}

/// A `\u` that is not followed by four hexadecimal digits: the one thing the format refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedEscape {
    /// Line on which the entry starts, counted from 1.
    pub line: usize,
}

/// Splits a file into its entries, in file order, duplicates included.
pub fn parse(bytes: &[u8]) -> Vec<Result<Entry, MalformedEscape>> {
    let mut lines = LogicalLines { rest: bytes, line: 1, commented: bytes };
    std::iter::from_fn(|| lines.next()).map(|(line, text)| entry(line, &text)).collect()
}

/// A file as it stands, in the pieces that mean something; together they are all of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// One entry, with every line of it.
    Entry { key: String, text: &'a [u8] },
    /// The lines of an entry that cannot be read.
    Malformed,
    /// One line that is a comment or blank.
    Comment { text: &'a [u8] },
}

/// Splits a file into all that stands in it.
pub(crate) fn pieces(bytes: &[u8]) -> Vec<Piece<'_>> {
    let mut lines = LogicalLines { rest: bytes, line: 1, commented: bytes };
    let mut found = Vec::new();
    loop {
        let whole = lines.rest;
        let logical = lines.next();
        let mut begin = whole;
        while begin.len() > lines.commented.len() {
            let mut comment = LogicalLines { rest: begin, line: 1, commented: begin };
            comment.natural_line();
            found.push(Piece::Comment { text: &begin[..begin.len() - comment.rest.len()] });
            begin = comment.rest;
        }
        let Some((line, text)) = logical else { return found };
        let own = &begin[..begin.len() - lines.rest.len()];
        found.push(match entry(line, &text) {
            Ok(Entry { key, .. }) => Piece::Entry { key, text: own },
            Err(MalformedEscape { .. }) => Piece::Malformed,
        });
    }
}

/// Joins continued lines and drops comments and blank lines.
struct LogicalLines<'a> {
    rest: &'a [u8],
    /// Number of the natural line at which `rest` starts.
    line: usize,
    /// What `rest` was behind the comments before the last logical line.
    commented: &'a [u8],
}

impl<'a> LogicalLines<'a> {
    fn next(&mut self) -> Option<(usize, Vec<u8>)> {
        let mut text = Vec::new();
        let mut first = self.line;
        self.commented = self.rest;
        while !self.rest.is_empty() {
            let (number, before) = (self.line, self.rest);
            let natural = self.natural_line();
            let visible = skip_blanks(natural);
            if text.is_empty() {
                if visible.is_empty() || matches!(visible[0], b'#' | b'!') {
                    self.commented = self.rest;
                    continue;
                }
                (first, self.commented) = (number, before);
            }
            text.extend_from_slice(visible);
            let backslashes = visible.iter().rev().take_while(|byte| **byte == b'\\').count();
            if backslashes % 2 == 0 {
                return Some((first, text));
            }
            text.pop();
        }
        // The file ended on a continuation: what was gathered still counts.
        (!text.is_empty()).then_some((first, text))
    }

    /// Takes one line off `rest`; `\n`, `\r` and `\r\n` each end one.
    fn natural_line(&mut self) -> &'a [u8] {
        let end = self.rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
        let (line, mut rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        match rest {
            [b'\r', b'\n', after @ ..] | [_, after @ ..] => rest = after,
            [] => (),
        }
        self.rest = rest;
        self.line += 1;
        line
    }
}

fn skip_blanks(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|byte| !is_blank(*byte));
    &text[start.unwrap_or(text.len())..]
}

/// The format's own idea of white space; a vertical tab is not part of it.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | 0x0c)
}

/// Cuts a logical line at the first separator that is not escaped.
fn entry(line: usize, text: &[u8]) -> Result<Entry, MalformedEscape> {
    let mut key_end = text.len();
    let mut escaped = false;
    for (index, byte) in text.iter().enumerate() {
        if !escaped && (is_blank(*byte) || matches!(byte, b'=' | b':')) {
            key_end = index;
            break;
        }
        escaped = *byte == b'\\' && !escaped;
    }
    let (key, rest) = text.split_at(key_end);
    let mut value = skip_blanks(rest);
    if let [b'=' | b':', after @ ..] = value {
        value = skip_blanks(after);
    }
    let unescape = |part| unescape(part).ok_or(MalformedEscape { line });
    Ok(Entry { line, key: trim(&unescape(key)?).to_owned(), value: trim(&unescape(value)?).to_owned() })
}

/// `None` for a malformed `\uXXXX`.
fn unescape(text: &[u8]) -> Option<String> {
    let mut units = Vec::with_capacity(text.len());
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            units.push(u16::from(byte));
            continue;
        }
        units.push(match bytes.next() {
            Some(b'u') => {
                let mut unit = 0;
                for _ in 0..4 {
                    let digit = char::from(bytes.next()?).to_digit(16)?;
                    unit = unit << 4 | digit as u16;
                }
                unit
            }
            Some(b't') => u16::from(b'\t'),
            Some(b'n') => u16::from(b'\n'),
            Some(b'r') => u16::from(b'\r'),
            Some(b'f') => 0x0c,
            Some(other) => u16::from(other),
            None => break,
        });
    }
    Some(String::from_utf16_lossy(&units))
}

/// Java's `String.trim`: control characters count as blanks, Unicode spaces do not.
pub(crate) fn trim(text: &str) -> &str {
    text.trim_matches(|c| c <= ' ')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pairs(text: &str) -> Vec<(usize, String, String)> {
        parse(text.as_bytes()).into_iter().map(|e| e.unwrap()).map(|e| (e.line, e.key, e.value)).collect()
    }

    fn check(text: &str, expected: &[(usize, &str, &str)]) {
        let expected: Vec<_> =
            expected.iter().map(|(l, k, v)| (*l, (*k).to_owned(), (*v).to_owned())).collect();
        assert_eq!(pairs(text), expected, "{text:?}");
    }

    #[test]
    fn separators_are_equals_colon_or_blank() {
        check(
            "a=1\nb: 2\nc 3\nd\te\nf = = g\nh::i",
            &[(1, "a", "1"), (2, "b", "2"), (3, "c", "3"), (4, "d", "e"), (5, "f", "= g"), (6, "h", ":i")],
        );
        check("k\n=v\nlast", &[(1, "k", ""), (2, "", "v"), (3, "last", "")]);
    }

    #[test]
    fn comments_and_blank_lines_count_as_lines_only() {
        check(
            "# one\n\n  ! two\r\n\ta=1 # not a comment\r\rb=2",
            &[(4, "a", "1 # not a comment"), (6, "b", "2")],
        );
    }

    #[test]
    fn a_comment_does_not_continue_and_an_entry_does() {
        check("# x \\\na=1,\\\n   2,\\\n#3\nb=4", &[(2, "a", "1,2,#3"), (5, "b", "4")]);
        check("a=1\\\\\nb=2\\", &[(1, "a", "1\\"), (2, "b", "2")]);
    }

    #[test]
    fn escapes_reach_the_value() {
        check(r"dir=C:\\data\zk", &[(1, "dir", "C:\\datazk")]);
        check(r"a\=b\:c\ d=1", &[(1, "a=b:c d", "1")]);
        check(r"u=\u00e9\ud83d\ude00", &[(1, "u", "é😀")]);
        check(r"t=a\tb\u0020", &[(1, "t", "a\tb")]);
        assert_eq!(
            parse(b"ok=1\nu=\\u12g4\nv=\\u1"),
            [
                Ok(Entry { line: 1, key: "ok".into(), value: "1".into() }),
                Err(MalformedEscape { line: 2 }),
                Err(MalformedEscape { line: 3 }),
            ]
        );
    }

    #[test]
    fn bytes_are_latin_1_and_trimming_is_javas() {
        assert_eq!(parse(b"a=\xe9\x01 ")[0].as_ref().unwrap().value, "é");
        check("a=\u{a0}x", &[(1, "a", "Â\u{a0}x")]);
    }

    proptest! {
        #[test]
        fn any_bytes_parse_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for entry in parse(&bytes).into_iter().flatten() {
                prop_assert!(entry.line >= 1);
                prop_assert_eq!(trim(&entry.value), entry.value.as_str());
            }
        }

        #[test]
        fn dense_syntax_parses_without_panic(text in "[\\\\u0=: \t\r\n#!ab]{0,60}") {
            let _ = parse(text.as_bytes());
        }
    }
}
