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
pub(crate) fn decode(text: &str) -> Option<i64> {
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

    #[test]
    fn parse_is_decimal_only() {
        for (text, number) in
            [("0", 0), ("+7", 7), ("-1", -1), ("010", 10), ("9223372036854775807", i64::MAX)]
        {
            assert_eq!(parse(text), Some(number), "{text}");
        }
        for text in ["", "+", "0x10", "1_000", " 1", "1.0", "9223372036854775808"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn decode_knows_hexadecimal_and_octal() {
        for (text, number) in [
            ("0xfffff", 0xf_ffff),
            ("0X10", 16),
            ("#ff", 255),
            ("-0x1", -1),
            ("010", 8),
            ("0", 0),
            ("12", 12),
        ] {
            assert_eq!(decode(text), Some(number), "{text}");
        }
        for text in ["", "-", "0x", "08", "0x-1", "--1", "4m", "-#", "#+1"] {
            assert_eq!(decode(text), None, "{text}");
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
