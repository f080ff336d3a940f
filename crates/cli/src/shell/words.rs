//! A line as words.

use zabd_config::java_number;

/// What `JLine`, which hands Java's shell its lines, makes of backslashes: each stands for what follows it.
pub fn without_escapes(line: &str) -> String {
    let mut letters = line.chars();
    std::iter::from_fn(|| {
        letters.next().and_then(|letter| if letter == '\\' { letters.next() } else { Some(letter) })
    })
    .collect()
}

/// Splits a line at blanks. A word that begins with a quote ends at the next such quote, and may hold blanks; quotes inside a
/// word are letters of it.
///
/// Where Java's pattern stumbles, at a quote that nothing closes, the quote is left out, as Java leaves it out; a line of
/// nothing but such a quote is that word, where Java carries out the line before it once more. Blanks alone are one word
/// of one blank.
pub fn split(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start_matches(is_blank);
    if let Some(last) = line.chars().next_back()
        && rest.is_empty()
    {
        return vec![last.to_string()];
    }
    while let Some(first) = rest.chars().next() {
        let quoted = matches!(first, '"' | '\'').then(|| rest[1..].split_once(first));
        let (word, behind) = match quoted {
            Some(Some((word, behind))) => (word, behind),
            Some(None) => {
                rest = &rest[1..];
                continue;
            }
            None => rest.split_at(rest.find(is_blank).unwrap_or(rest.len())),
        };
        words.push(word.to_owned());
        rest = behind.trim_start_matches(is_blank);
    }
    if words.is_empty() { vec![line.to_owned()] } else { words }
}

/// What Java's patterns take for a blank.
fn is_blank(letter: char) -> bool {
    matches!(letter, ' ' | '\t' | '\n' | '\x0b' | '\x0c' | '\r')
}

/// `Integer.decode`: decimal, `0x` or `#` for hexadecimal, `0` for octal.
pub fn decode_number(text: &str) -> Option<i32> {
    i32::try_from(java_number::decode(text)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_split_as_javas_pattern_splits_them() {
        for (line, words) in [
            ("ls /", &["ls", "/"][..]),
            ("  ls \t /  ", &["ls", "/"]),
            ("create /a 'b c' \"d e\"", &["create", "/a", "b c", "d e"]),
            ("create /a \"it's\" ''", &["create", "/a", "it's", ""]),
            ("get /'a b'", &["get", "/'a", "b'"]),
            ("set /a {\"b\": 1}", &["set", "/a", "{\"b\":", "1}"]),
            ("ls '/'x", &["ls", "/", "x"]),
            ("create /a 'b", &["create", "/a", "b"]),
            ("   ", &[" "]),
            ("'", &["'"]),
            ("é 'ü ö'", &["é", "ü ö"]),
        ] {
            assert_eq!(split(line), words, "{line:?}");
        }
    }

    #[test]
    fn a_backslash_stands_for_what_follows_it() {
        for (line, left) in [("a\\\\b \\'", "a\\b '"), ("c\\nd\\", "cnd"), ("\\é", "é"), ("", "")] {
            assert_eq!(without_escapes(line), left);
        }
    }

    #[test]
    fn numbers_are_decoded_as_javas() {
        for (text, number) in [
            ("0", Some(0)),
            ("12", Some(12)),
            ("-1", Some(-1)),
            ("0x1f", Some(31)),
            ("#a", Some(10)),
            ("010", Some(8)),
            ("08", None),
            ("x", None),
            ("", None),
            ("+-1", None),
            ("2147483648", None),
        ] {
            assert_eq!(decode_number(text), number, "{text}");
        }
    }
}
