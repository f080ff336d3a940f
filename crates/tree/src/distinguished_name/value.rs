//! One value in BER: a tag, a length, and as many bytes; nothing behind them.

/// What lengths beyond 127 begin with, together with how many bytes they have; alone it says that there is an end somewhere.
const LONG: u8 = 0x80;
/// Of a tag: its number does not fit.
const LARGE_NUMBER: u8 = 0x1f;
/// Of a tag: it is made of other values.
const MADE_OF_OTHERS: u8 = 0x20;
/// How many bytes a length may have, and how large it may be.
const LENGTH_BYTES_MAX: usize = 4;
const LENGTH_MAX: u32 = i32::MAX as u32;

enum Length {
    Of(usize),
    /// Up to an end that is marked.
    Open,
}

/// Whether `bytes` are one as a whole, as Java's `DerValue` has it.
pub(super) fn is_one_value(bytes: &[u8]) -> bool {
    let Some((&tag, rest)) = bytes.split_first() else { return false };
    if tag & LARGE_NUMBER == LARGE_NUMBER {
        return false;
    }
    match length(rest) {
        Some((Length::Of(length), content)) => content.len() == length,
        Some((Length::Open, content)) => tag & MADE_OF_OTHERS != 0 && behind_its_end(content) == Some(&[]),
        None => false,
    }
}

fn length(bytes: &[u8]) -> Option<(Length, &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    if first < LONG {
        return Some((Length::Of(usize::from(first)), rest));
    }
    if first == LONG {
        return Some((Length::Open, rest));
    }
    let (digits, rest) = rest.split_at_checked(usize::from(first & !LONG))?;
    if digits.len() > LENGTH_BYTES_MAX {
        return None;
    }
    let length = digits.iter().fold(0, |length, digit| length << 8 | u32::from(*digit));
    (length <= LENGTH_MAX).then_some((Length::Of(length as usize), rest))
}

/// What stands behind the end of an open value, whose content begins here. Of the values in it only their lengths matter.
fn behind_its_end(mut bytes: &[u8]) -> Option<&[u8]> {
    let mut open = 1;
    while open > 0 {
        if let [0, 0, rest @ ..] = bytes {
            open -= 1;
            bytes = rest;
            continue;
        }
        match length(bytes.get(1..)?)? {
            (Length::Open, rest) => {
                open += 1;
                bytes = rest;
            }
            (Length::Of(length), rest) => bytes = rest.get(length..)?,
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each of these was put to `new X500Principal(…)`, in hexadecimal digits.
    #[test]
    fn values_are_those_that_java_reads() {
        let whole: [&[u8]; 8] = [
            &[0x13, 0],
            &[0, 0],
            &[0x0c, 1, b'a'],
            &[0x0c, 0x81, 1, b'a'],
            &[0x0c, 0x84, 0, 0, 0, 1, b'a'],
            &[0x30, 0x80, 0, 0],
            &[0x30, 0x80, 2, 1, 5, 0x30, 0x80, 0, 0, 0, 0],
            &[0x30, 0x80, 0x04, 0x80, 0, 0, 0, 0],
        ];
        for bytes in whole {
            assert!(is_one_value(bytes), "{bytes:02x?}");
        }
        let others: [&[u8]; 13] = [
            &[],
            &[0x13],
            &[0x13, 1],
            &[0x13, 0, 0],
            &[0x1f, 0],
            &[0x13, 0x82, 1],
            &[0x13, 0x85, 0, 0, 0, 0, 1, 7],
            &[0x13, 0x84, 0xff, 0xff, 0xff, 0xff],
            &[0x13, 0x80, 0, 0],
            &[0x30, 0x80],
            &[0x30, 0x80, 0, 0, 0],
            &[0x30, 0x80, 2, 5, 0, 0],
            &[0x30, 0x80, 0x30, 0x80, 0, 0],
        ];
        for bytes in others {
            assert!(!is_one_value(bytes), "{bytes:02x?}");
        }
    }
}
