//! Whether text is a distinguished name, as Java's `X500Principal` reads it: what an access list may name with the scheme `x509`.
//!
//! ```text
//! name  = [ part *( ("," | ";") part ) ]     part = pair *( "+" pair )
//! pair  = type "=" value        type: one of Java's keywords, or an object identifier in numbers
//! value = "..." | #hexadecimal, of one value in BER | text, in which , ; + < > " stand behind a backslash
//! ```
//!
//! That is the grammar; what counts is what Java does, which first cuts the text where a separator seems to be one, and then reads
//! each pair up to what ends it there. So a pair may end before its text does, and what is behind is never looked at: these
//! functions have the same steps. Names are compared as text, so nothing is understood beyond that. Numbers of types are those in
//! ASCII here; Java takes the digits of other scripts for such, too.

mod identifier;
mod value;

use identifier::is_identifier;
use value::is_one_value;

/// Java's words for types, in capitals.
const KEYWORDS: [&str; 21] = [
    "CN",
    "C",
    "L",
    "S",
    "ST",
    "O",
    "OU",
    "T",
    "IP",
    "STREET",
    "DC",
    "DNQUALIFIER",
    "DNQ",
    "SURNAME",
    "GIVENNAME",
    "INITIALS",
    "GENERATION",
    "EMAIL",
    "EMAILADDRESS",
    "UID",
    "SERIALNUMBER",
];
/// What a backslash may stand before in quotes, beside two hexadecimal digits; without quotes also before a space.
const ESCAPED_IN_QUOTES: &str = ",=\n+<>#;\\\"";
/// What must not stand without one.
const NEVER_PLAIN: &str = ",+<>;\"";

/// See the module's description.
pub(crate) fn is_valid(text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let (mut begin, mut searched, mut quotes) = (0, 0, 0);
    for (at, c) in text.iter().enumerate() {
        if !matches!(c, ',' | ';') {
            continue;
        }
        quotes += quotes_in(&text, searched, at);
        if quotes != 1 && !is_escaped(&text, searched, at) {
            if !is_part(&text[begin..at]) {
                return false;
            }
            (begin, quotes) = (at + 1, 0);
        }
        searched = at + 1;
    }
    text.is_empty() || is_part(&text[begin..])
}

/// How many quotes there are that no backslash stands before; of one at the beginning nobody looks at that.
fn quotes_in(text: &[char], from: usize, to: usize) -> usize {
    (from..to).filter(|&at| text[at] == '"' && (at == from || text[at - 1] != '\\')).count()
}

/// Whether a separator is none. If two backslashes stand before it, all are counted since the last place that was looked at.
fn is_escaped(text: &[char], searched: usize, at: usize) -> bool {
    match text[..at] {
        ['\\'] => true,
        [.., before, '\\'] if before != '\\' => true,
        [.., '\\', '\\'] => text[searched..at].iter().filter(|c| **c == '\\').count() % 2 == 1,
        _ => false,
    }
}

fn is_part(text: &[char]) -> bool {
    let (mut begin, mut searched, mut quotes) = (0, 0, 0);
    for (at, _) in text.iter().enumerate().filter(|(_, c)| **c == '+') {
        quotes += quotes_in(text, searched, at);
        if at > 0 && text[at - 1] != '\\' && quotes != 1 {
            if !is_pair(&text[begin..at]) {
                return false;
            }
            (begin, quotes) = (at + 1, 0);
        }
        searched = at + 1;
    }
    is_pair(&text[begin..])
}

fn is_pair(text: &[char]) -> bool {
    let Some(equals) = text.iter().position(|c| *c == '=') else { return false };
    let kind: String = text[..equals].iter().collect();
    let mut value = text[equals + 1..].iter().copied().skip_while(|c| matches!(c, ' ' | '\n')).peekable();
    let is_fine = match value.peek() {
        None => true,
        Some('#') => is_hexadecimal(&mut value.skip(1)),
        Some('"') => is_quoted(&mut value.skip(1)).is_some(),
        Some(_) => is_plain(&mut value).is_some(),
    };
    is_fine && is_kind(&kind)
}

fn is_kind(kind: &str) -> bool {
    let capitals = kind.to_uppercase();
    // What Java calls white space: also the characters that control something.
    let kind = capitals.trim_matches(|c| c <= ' ');
    KEYWORDS.contains(&kind) || is_identifier(kind.strip_prefix("OID.").unwrap_or(kind))
}

/// What nothing is looked at behind.
fn ends(c: char) -> bool {
    matches!(c, '+' | ',' | ';')
}

fn is_hexadecimal(text: &mut impl Iterator<Item = char>) -> bool {
    let digits: Option<Vec<u8>> =
        text.take_while(|c| !ends(*c)).map(|c| c.to_digit(16).map(|digit| digit as u8)).collect();
    digits.is_some_and(|digits| {
        let (pairs, odd) = digits.as_chunks::<2>();
        let bytes: Vec<u8> = pairs.iter().map(|[high, low]| high << 4 | low).collect();
        odd.is_empty() && is_one_value(&bytes)
    })
}

/// What stands behind a backslash; `None` if nothing may stand there like that.
fn escape(text: &mut impl Iterator<Item = char>, escaped: impl Fn(char) -> bool) -> Option<()> {
    let first = text.next()?;
    let is_fine = if first.is_ascii_hexdigit() { text.next()?.is_ascii_hexdigit() } else { escaped(first) };
    is_fine.then_some(())
}

/// To the quote that ends it, behind which is nothing.
fn is_quoted(text: &mut impl Iterator<Item = char>) -> Option<()> {
    loop {
        match text.next()? {
            '"' => break,
            '\\' => escape(text, |c| ESCAPED_IN_QUOTES.contains(c))?,
            _ => (),
        }
    }
    text.all(|c| matches!(c, ' ' | '\n')).then_some(())
}

/// To what ends it. The first character ends nothing.
fn is_plain(text: &mut impl Iterator<Item = char>) -> Option<()> {
    let mut next = text.next();
    while let Some(c) = next {
        match c {
            '\\' => escape(text, |c| c == ' ' || ESCAPED_IN_QUOTES.contains(c))?,
            c if NEVER_PLAIN.contains(c) => return None,
            _ => (),
        }
        next = text.next().filter(|c| !ends(*c));
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Each of these was put to `new X500Principal(…)`.
    #[test]
    fn names_are_those_that_java_reads() {
        for text in NAMES {
            assert!(is_valid(text), "{text}");
        }
        for text in OTHERS {
            assert!(!is_valid(text), "{text}");
        }
    }

    const NAMES: [&str; 32] = [
        "CN=alice",
        "cn=alice,o=Acme\\, Inc.,c=DE",
        "CN=alice;O=x",
        "CN = a + OU = b , C=DE",
        "1.2.840.113549.1.9.1=#1603614062,CN=x",
        "OID.2.5.4.3=x",
        "CN=",
        "",
        "CN=\"a,b\"",
        "EMAILADDRESS=a@b",
        "CN=a=b",
        "CN=\\C3\\A9",
        "DC=example,DC=org,UID=7,ST=x,STREET=y",
        "CN=é",
        "CN=a#b",
        "SURNAME=x",
        "IP=x,DNQ=y,T=z,S=q",
        "CN=a\\ b\\=c",
        "oid.2.5.4.3=x",
        "CN=a\\ ",
        "CN=a\\ ,O=b",
        "CN=\\ a",
        "CN=\n a",
        "CN=\"a\" \n",
        "CN=\"a\\\"b\"",
        "\tcn\r=a",
        "\u{fb06}=a",
        "CN=a\\\n",
        "CN=#3000",
        // What ends a value too early hides what is behind it.
        "CN=a\\\\+nothing",
        "CN=\\+a\\\\,nothing",
        "CN=\\\\+",
    ];
    const OTHERS: [&str; 32] = [
        "no name at all",
        "alice",
        "CN=a,",
        ",CN=a",
        "XYZ=a",
        "CN=a<b",
        "CN=a\"b",
        "CN=\"a",
        "CN=#1",
        "CN=#xy",
        "CN=a\\",
        "=a",
        "CN=a,,O=b",
        "CN=a>b",
        "CN=a\\zb",
        "CN=\"a\"b",
        " ",
        "CN=# a",
        "2=x",
        "SN=x",
        "CN=#13",
        "CN=#1300 ",
        "CN=#13ff",
        "3.1=x",
        "1.40=x",
        "CN=a\\\t",
        "CN=\"a\\ \"",
        "CN=a+",
        "CN=a++O=b",
        "CN=\"a\" b",
        "CN=\"a\\41",
        // Behind an escaped backslash, a separator is one or not by how many stand anywhere before it.
        "CN=\\<\\\\\\,,O=x",
    ];

    /// Java takes some that are escaped for others, see [`is_escaped`].
    fn has_backslash_before_separator(text: &str) -> bool {
        text.contains("\\,") || text.contains("\\;")
    }

    proptest! {
        #[test]
        fn what_is_escaped_may_be_any_text(text in ".*", kind in proptest::sample::select(&KEYWORDS[..])) {
            prop_assume!(!has_backslash_before_separator(&text));
            let escaped: String =
                text.chars().flat_map(|c| [Some('\\').filter(|_| c == ' ' || ESCAPED_IN_QUOTES.contains(c)), Some(c)]).flatten().collect();
            let name = format!("{kind}={escaped},O=x");
            prop_assert!(is_valid(&name), "{}", name);
        }

        #[test]
        fn no_text_is_too_much(text in "[CNO=,+;\\\\\"#ab .013<>\n\u{e9}-]{0,24}") {
            is_valid(&text);
            is_valid(&format!("CN={text}"));
        }
    }
}
