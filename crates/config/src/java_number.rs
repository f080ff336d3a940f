//! Numbers and booleans as Java reads them.
//!
//! Keys that zoo.cfg names itself go through `Integer.parseInt`: decimal, nothing else. Keys that are
//! system properties go through `Integer.getInteger`, that is `Integer.decode`: `0x` and `#` mean
//! hexadecimal and a leading zero means octal, so `jute.maxbuffer=0xfffff` is a number and `010` is
//! eight.

/// `Long.parseLong`: an optional sign and decimal digits. (Java also takes non-ASCII digits.)
pub(crate) fn parse(text: &str) -> Option<i64> {
    signed(text, 10)
}

/// `Long.decode`: sign, then `0x`, `0X`, `#` (hexadecimal), `0` (octal) or decimal.
pub fn decode(text: &str) -> Option<i64> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => ("-", &text[1..]),
        b'+' => ("", &text[1..]),
        _ => ("", text),
    };
    let hexadecimal = ["0x", "0X", "#"].into_iter().find_map(|prefix| digits.strip_prefix(prefix));
    let (digits, radix) = match (hexadecimal, digits.strip_prefix('0')) {
        (Some(digits), _) => (digits, 16),
        (None, Some(digits)) if !digits.is_empty() => (digits, 8),
        _ => (digits, 10),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    signed(&format!("{sign}{digits}"), radix)
}

fn signed(text: &str, radix: u32) -> Option<i64> {
    i64::from_str_radix(text, radix).ok()
}

/// `Boolean.getBoolean`: `true` in any case, anything else is false.
pub(crate) fn lenient_bool(text: &str) -> bool {
    text.eq_ignore_ascii_case("true")
}

/// `QuorumPeerConfig.parseBoolean`: only the two words, in any case.
pub(crate) fn strict_bool(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `Integer.parseInt` and `Integer.getInteger` of Java 17 made of each text.
    #[test]
    fn numbers_are_read_as_java_reads_them() {
        let rows: &[(&str, Option<i32>, Option<i32>)] = &[
            ("", None, None),
            ("0", Some(0), Some(0)),
            ("00", Some(0), Some(0)),
            ("1", Some(1), Some(1)),
            ("-1", Some(-1), Some(-1)),
            ("+1", Some(1), Some(1)),
            ("--1", None, None),
            ("+-1", None, None),
            ("-+1", None, None),
            ("010", Some(10), Some(8)),
            ("08", Some(8), None),
            ("0x10", None, Some(16)),
            ("0X1f", None, Some(31)),
            ("#ff", None, Some(255)),
            ("-#ff", None, Some(-255)),
            ("+0x7", None, Some(7)),
            ("0x", None, None),
            ("#", None, None),
            ("-", None, None),
            ("+", None, None),
            ("0x-1", None, None),
            ("0x+1", None, None),
            ("-0x80000000", None, Some(i32::MIN)),
            ("2147483647", Some(i32::MAX), Some(i32::MAX)),
            ("2147483648", None, None),
            ("-2147483648", Some(i32::MIN), Some(i32::MIN)),
            ("0xffffffff", None, None),
            (" 1", None, None),
            ("1 ", None, None),
            ("1_0", None, None),
            ("1L", None, None),
            ("1.0", None, None),
            ("1e3", None, None),
            ("4m", None, None),
            ("0b1", None, None),
            ("-010", Some(-10), Some(-8)),
            ("-0", Some(0), Some(0)),
        ];
        for (text, parsed, decoded) in rows {
            let int = |number: Option<i64>| number.and_then(|number| i32::try_from(number).ok());
            assert_eq!(int(parse(text)), *parsed, "{text:?}");
            assert_eq!(int(decode(text)), *decoded, "{text:?}");
        }
    }

    #[test]
    fn booleans_are_strict_or_lenient() {
        assert_eq!(strict_bool("TRUE"), Some(true));
        assert_eq!(strict_bool("False"), Some(false));
        assert_eq!(strict_bool("yes"), None);
        assert!(lenient_bool("True"));
        assert!(!lenient_bool("yes"));
    }
}
