//! Distinguished names as `X500Principal.getName()` prints them: the ids of the scheme `x509`.
//!
//! That is RFC 2253 in Java's hand: the last name first, only the nine types of that document by their letters, every other
//! type by its number and its value in hexadecimal, letters beyond ASCII as they are. Access lists hold such text, so each
//! character counts.

use std::fmt::Write as _;

use crate::der;

/// The types that have letters, by the bytes of their numbers.
const KEYWORDS: [(&[u8], &str); 9] = [
    (&[0x55, 4, 3], "CN"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 9], "STREET"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1], "UID"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25], "DC"),
];

/// Tags of text: UTF8, Printable, T61, IA5, General, BMP.
const TEXTS: [u8; 6] = [12, 19, 20, 22, 27, 30];

/// The name in `der`, as Java prints it; `None` if it is not a name.
pub(crate) fn printed(der: &[u8]) -> Option<String> {
    let (name, _) = der::expect(der, der::SEQUENCE)?;
    let mut parts = Vec::new();
    for (tag, part) in der::values(name)?.into_iter().rev() {
        if tag != der::SET {
            return None;
        }
        let values = der::values(part)?.into_iter().map(|(_, pair)| attribute(pair));
        parts.push(values.collect::<Option<Vec<_>>>()?.join("+"));
    }
    Some(parts.join(","))
}

/// The first common name, from the end of the name on, if there is one.
pub(crate) fn common_name(der: &[u8]) -> Option<String> {
    let (name, _) = der::expect(der, der::SEQUENCE)?;
    for (_, part) in der::values(name)?.into_iter().rev() {
        for (_, pair) in der::values(part)? {
            let (kind, rest) = der::expect(pair, der::OID)?;
            if kind == KEYWORDS[0].0 {
                return Some(String::from_utf8_lossy(der::value(rest)?.1).into_owned());
            }
        }
    }
    None
}

fn attribute(pair: &[u8]) -> Option<String> {
    let (kind, rest) = der::expect(pair, der::OID)?;
    let (tag, value, _) = der::value(rest)?;
    let keyword = KEYWORDS.iter().find(|(known, _)| *known == kind).map(|(_, keyword)| *keyword);
    Some(match keyword {
        Some(keyword) if TEXTS.contains(&tag) => {
            format!("{keyword}={}", escaped(&String::from_utf8_lossy(value)))
        }
        _ => {
            let name = keyword.map_or_else(|| dotted(kind), str::to_owned);
            let mut text = format!("{name}=#");
            for byte in rest {
                let _ = write!(text, "{byte:02x}");
            }
            text
        }
    })
}

fn escaped(text: &str) -> String {
    let is_space = |c: char| matches!(c, ' ' | '\r');
    let leading = text.chars().take_while(|c| is_space(*c)).count();
    let trailing = text.chars().rev().take_while(|c| is_space(*c)).count();
    let end = text.chars().count() - trailing;
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.chars().enumerate() {
        if c == '\0' {
            out.push_str("\\00");
            continue;
        }
        if ",=+<>#;\"\\".contains(c) || at < leading || end <= at {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

fn dotted(identifier: &[u8]) -> String {
    let mut numbers = Vec::new();
    let mut number = 0_u64;
    for byte in identifier {
        number = number.wrapping_shl(7) | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            numbers.push(number);
            number = 0;
        }
    }
    if let Some(&both) = numbers.first() {
        let first = (both / 40).min(2);
        numbers.splice(..1, [first, both - 40 * first]);
    }
    numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(tag: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = vec![tag, content.len() as u8];
        bytes.extend(content);
        bytes
    }

    fn pair(kind: &[u8], tag: u8, text: &[u8]) -> Vec<u8> {
        value(der::SEQUENCE, &[value(der::OID, kind), value(tag, text)].concat())
    }

    fn name(parts: &[Vec<u8>]) -> String {
        let sets: Vec<_> = parts.iter().map(|part| value(der::SET, part)).collect();
        printed(&value(der::SEQUENCE, &sets.concat())).unwrap()
    }

    const CN: &[u8] = KEYWORDS[0].0;
    const UTF8: u8 = 12;

    #[test]
    fn the_last_comes_first_and_only_nine_types_have_letters() {
        let email = pair(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1], 22, b"a@b");
        let parts = [
            pair(&[0x55, 4, 6], 19, b"DE"),
            pair(&[0x55, 4, 10], UTF8, b"Acme"),
            email,
            pair(CN, UTF8, b"zoo"),
        ];
        assert_eq!(name(&parts), "CN=zoo,1.2.840.113549.1.9.1=#1603614062,O=Acme,C=DE");
        let both = [pair(CN, UTF8, b"zoo"), pair(&[0x55, 4, 11], UTF8, b"ops")].concat();
        assert_eq!(name(&[both]), "CN=zoo+OU=ops");
        assert_eq!(name(&[pair(&[0x55, 4, 5], 19, b"7")]), "2.5.4.5=#130137");
        assert_eq!(name(&[]), "");
    }

    #[test]
    fn what_has_a_meaning_is_escaped() {
        for (text, expected) in [
            ("a,b", "a\\,b"),
            (" a b ", "\\ a b\\ "),
            ("  ", "\\ \\ "),
            ("#a=\"b\\", "\\#a\\=\\\"b\\\\"),
            ("<é+ü;>", "\\<é\\+ü\\;\\>"),
            ("a\0", "a\\00"),
        ] {
            assert_eq!(name(&[pair(CN, UTF8, text.as_bytes())]), format!("CN={expected}"), "{text}");
        }
    }

    #[test]
    fn the_common_name_that_counts_is_the_last() {
        let sets = [pair(CN, UTF8, b"first"), pair(CN, UTF8, b"last"), pair(&[0x55, 4, 6], 19, b"DE")];
        let sets: Vec<_> = sets.iter().map(|part| value(der::SET, part)).collect();
        assert_eq!(common_name(&value(der::SEQUENCE, &sets.concat())).as_deref(), Some("last"));
        assert_eq!(common_name(&value(der::SEQUENCE, &[])), None);
    }

    #[test]
    fn what_is_no_name_is_none() {
        for broken in [&[][..], &[0x30, 5], &[0x30, 2, 0x30, 0], &[0x30, 4, 0x31, 2, 0x30, 0]] {
            assert_eq!(printed(broken), None, "{broken:?}");
        }
    }
}
