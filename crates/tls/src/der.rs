//! The little of DER that is read by hand: where a value begins and ends.

/// The first value's tag and content, and what stands behind it.
pub(crate) fn value(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], rest) = bytes.split_first_chunk::<2>()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if digits.is_empty() || digits.len() > 4 {
            return None;
        }
        (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// The content of the first value, which has this tag, and what stands behind it.
pub(crate) fn expect(bytes: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    value(bytes).and_then(|(tag, content, rest)| (tag == wanted).then_some((content, rest)))
}

/// All values that `bytes` is made of, each with its tag; `None` if there is anything else.
pub(crate) fn values(mut bytes: &[u8]) -> Option<Vec<(u8, &[u8])>> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let (tag, content, rest) = value(bytes)?;
        all.push((tag, content));
        bytes = rest;
    }
    Some(all)
}

/// A value of this content, with as short a length as there is.
pub(crate) fn wrapped(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let digits = &length[length.iter().take_while(|digit| **digit == 0).count()..];
    let mut bytes = vec![tag];
    if content.len() < 0x80 {
        bytes.push(content.len() as u8);
    } else {
        bytes.push(0x80 | digits.len() as u8);
        bytes.extend(digits);
    }
    bytes.extend(content);
    bytes
}

pub(crate) const OID: u8 = 0x06;
pub(crate) const OCTETS: u8 = 0x04;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrapped_is_found_again() {
        for length in [0, 1, 127, 128, 255, 256, 70_000] {
            let content = vec![7; length];
            let whole = wrapped(OCTETS, &content);
            assert_eq!(value(&whole), Some((OCTETS, &content[..], &[][..])), "{length}");
        }
        assert_eq!(wrapped(OCTETS, &[7; 128])[..3], [OCTETS, 0x81, 128]);
    }

    #[test]
    fn values_end_where_they_say() {
        assert_eq!(value(&[4, 2, 1, 2, 9]), Some((4, &[1, 2][..], &[9][..])));
        assert_eq!(value(&[4, 0x81, 1, 7]), Some((4, &[7][..], &[][..])));
        for broken in
            [&[4][..], &[4, 2, 1], &[4, 0x80, 0], &[4, 0x85, 0, 0, 0, 0, 1], &[4, 0x84, 255, 255, 255, 255]]
        {
            assert_eq!(value(broken), None, "{broken:?}");
        }
        assert_eq!(values(&[4, 0, 5, 0]).map(|all| all.len()), Some(2));
        assert_eq!(values(&[4, 0, 5]), None);
    }
}
