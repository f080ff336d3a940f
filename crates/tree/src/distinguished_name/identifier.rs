//! Object identifiers in numbers, as Java's `ObjectIdentifier` reads them.

/// How many bytes one may be in DER.
const BYTES_MAX: u64 = 4096;

/// Whether text is one: two numbers at least, of which the first says how large the second may be.
pub(super) fn is_identifier(text: &str) -> bool {
    if !text.starts_with(|c: char| c.is_ascii_digit()) {
        return false;
    }
    let (mut first, mut count, mut bytes) = (0, 0, 0);
    for part in text.split('.') {
        let Some(number) = Number::parse(part) else { return false };
        match count {
            0 if number.at_most(2) => first = number.small().unwrap_or_default(),
            1 if first == 2 || number.at_most(39) => {
                bytes += number.small().map_or_else(|| number.bytes(), |small| bytes_of(small + 40 * first));
            }
            0 | 1 => return false,
            _ => bytes += number.bytes(),
        }
        if bytes > BYTES_MAX {
            return false;
        }
        count += 1;
    }
    count >= 2
}

/// A number that is none below zero, as its digits without zeros before them.
struct Number<'t>(&'t str);

impl<'t> Number<'t> {
    fn parse(text: &'t str) -> Option<Self> {
        let (is_negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
        let is_number = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
        let number = digits.trim_start_matches('0');
        (is_number && (number.is_empty() || !is_negative)).then_some(Self(number))
    }

    fn small(&self) -> Option<u64> {
        if self.0.is_empty() { Some(0) } else { self.0.parse().ok().filter(|number| *number < 1 << 62) }
    }

    fn at_most(&self, most: u64) -> bool {
        self.small().is_some_and(|number| number <= most)
    }

    /// How many bytes it is in DER, seven bits in each. Its logarithm is enough to tell, at no cost that grows faster than the text.
    fn bytes(&self) -> u64 {
        self.small().map_or_else(
            || {
                let (front, behind) = self.0.split_at(18);
                let front: f64 = front.parse().expect("digits are a number");
                let bits = front.log2() + behind.len() as f64 * std::f64::consts::LOG2_10;
                (bits / 7.0) as u64 + 1
            },
            bytes_of,
        )
    }
}

fn bytes_of(number: u64) -> u64 {
    u64::from((64 - number.leading_zeros()).div_ceil(7)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each of these was put to `new X500Principal(…)`, as a type.
    #[test]
    fn identifiers_are_those_that_java_reads() {
        let numbers =
            ["1.2", "0.39", "2.40", "2.999999999999999999999", "01.02.000000000000000003", "1.-0", "2.5.4.3"];
        for text in numbers {
            assert!(is_identifier(text), "{text}");
        }
        let others = [
            "",
            "1",
            "1.",
            ".1",
            "1..2",
            "3.1",
            "1.40",
            "0.99999999999",
            "1.-1",
            "1.2.x",
            "1.2 ",
            "-0.1",
            "1.2.-99999999999",
        ];
        for text in others {
            assert!(!is_identifier(text), "{text}");
        }
    }

    #[test]
    fn a_large_number_is_as_long_as_it_is_in_der() {
        for power in [63_u32, 70, 77, 126] {
            let number = 1_u128 << power;
            assert_eq!(Number(&number.to_string()).bytes(), u64::from(power / 7) + 1, "{power}");
            assert_eq!(Number(&(number - number / 1024).to_string()).bytes(), u64::from((power - 1) / 7) + 1);
        }
        assert!(is_identifier(&format!("1.2.{}", "9".repeat(8_600))));
        assert!(!is_identifier(&format!("1.2.{}", "9".repeat(8_700))));
        assert!(is_identifier(&format!("1.2{}", ".127".repeat(4_095))));
        assert!(!is_identifier(&format!("1.2{}", ".127".repeat(4_096))));
    }
}
