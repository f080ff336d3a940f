//! Whether text is a distinguished name, as Java's `X500Principal` reads it: what an access list may name with the scheme `x509`.
//!
//! ```text
//! name  = [ part *( ("," | ";" | "+") part ) ]
//! part  = type "=" value        type: one of Java's keywords, or numbers with dots
//! value = "..." | #hexadecimal | text, in which , ; + < > " stand behind a backslash
//! ```
//!
//! Names are compared as text, so nothing is understood beyond that.

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
/// What a backslash may stand before, beside two hexadecimal digits.
const ESCAPED: &str = ",+<>#;\"\\= ";

/// See the module's description.
pub(crate) fn is_valid(text: &str) -> bool {
    text.is_empty() || parts(text).is_some_and(|parts| parts.into_iter().all(is_part))
}

/// Split where a comma and the like stands neither in quotes nor behind a backslash; `None` if a quote or an escape has no end.
fn parts(text: &str) -> Option<Vec<&str>> {
    let (mut parts, mut begin, mut is_quoted, mut is_escaped) = (Vec::new(), 0, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            ',' | ';' | '+' if !is_quoted => {
                parts.push(&text[begin..at]);
                begin = at + 1;
            }
            _ => (),
        }
    }
    parts.push(&text[begin..]);
    (!is_quoted && !is_escaped).then_some(parts)
}

fn is_part(part: &str) -> bool {
    let Some((kind, value)) = part.split_once('=') else { return false };
    is_kind(kind.trim()) && is_value(value.trim())
}

fn is_kind(kind: &str) -> bool {
    let numbers = kind.strip_prefix("OID.").or_else(|| kind.strip_prefix("oid.")).unwrap_or(kind);
    let is_number = |number: &str| !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit());
    let is_identifier = numbers.split('.').count() > 1 && numbers.split('.').all(is_number);
    is_identifier || KEYWORDS.contains(&kind.to_ascii_uppercase().as_str())
}

fn is_value(value: &str) -> bool {
    if let Some(digits) = value.strip_prefix('#') {
        return !digits.is_empty()
            && digits.len() % 2 == 0
            && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    }
    if let Some(quoted) = value.strip_prefix('"') {
        // The first quote that is not escaped ends it, and nothing follows.
        return quoted
            .strip_suffix('"')
            .is_some_and(|inner| !inner.replace("\\\\", "").replace("\\\"", "").contains('"'));
    }
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                let is_fine = chars.next().is_some_and(|next| {
                    ESCAPED.contains(next)
                        || (next.is_ascii_hexdigit()
                            && chars.next().is_some_and(|digit| digit.is_ascii_hexdigit()))
                });
                if !is_fine {
                    return false;
                }
            }
            '<' | '>' | '"' => return false,
            _ => (),
        }
    }
    true
}

#[cfg(test)]
mod tests {
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

    const NAMES: [&str; 19] = [
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
    ];
    const OTHERS: [&str; 20] = [
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
    ];
}
