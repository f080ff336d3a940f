//! What servers of zabd say to each other behind what Java reads of FOLLOWERINFO and OBSERVERINFO.
//!
//! ```text
//! offset  size
//!      0    20  LearnerInfo: all that Java looks at, in every release since 3.4
//!     20     4  "zabd"
//!     24     4  how many sections, 0 to 16
//!     28        { ustring name; buffer content }…
//! ```
//!
//! Without a section there is nothing behind the 20 bytes, and the packet is Java's. A reader takes the sections that it knows by
//! their names; others say something to newer servers. Bytes that do not begin with "zabd" are somebody else's, and say nothing. What
//! begins so and does not go on so is an error: whoever cannot be understood may have said what must not be missed.
//!
//! All of it is a part of one field of a packet, and no longer than such a field may be.

use std::borrow::Cow;

use crate::{DecodeError, Reader, Record, Writer};

/// See the module's description.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sections<'a>(Vec<(Cow<'a, str>, &'a [u8])>);

const MAGIC: &[u8] = b"zabd";
const COUNT_MAX: i32 = 16;

impl<'a> Sections<'a> {
    /// The same, and one more.
    #[must_use]
    pub fn with(mut self, name: &'a str, content: &'a [u8]) -> Self {
        self.0.push((name.into(), content));
        self
    }

    /// What the first section of this name says.
    pub fn named(&self, name: &str) -> Option<&'a [u8]> {
        self.0.iter().find(|(its, _)| its == name).map(|(_, content)| *content)
    }
}

impl<'a> Record<'a> for Sections<'a> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        if !r.remaining().starts_with(MAGIC) {
            return Ok(Self::default());
        }
        r.bytes(MAGIC.len())?;
        let offset = r.offset();
        let count = r.int()?;
        if !(0..=COUNT_MAX).contains(&count) {
            return Err(DecodeError::UnreasonableLength { length: count, offset });
        }
        let mut sections = Vec::with_capacity(count as usize);
        for _ in 0..count {
            let name = r.ustring()?;
            let offset = r.offset();
            sections.push((name, r.buffer()?.ok_or(DecodeError::Null { offset })?));
        }
        Ok(Self(sections))
    }

    fn encode(&self, w: &mut Writer<'_>) {
        if self.0.is_empty() {
            return;
        }
        w.bytes(MAGIC);
        w.vector(&self.0, |w, (name, content)| {
            w.ustring(name);
            w.buffer(Some(content));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: &[u8] = b"zabd\0\0\0\x02\0\0\0\x04next\0\0\0\x02ab\0\0\0\x01x\0\0\0\0";

    #[test]
    fn a_reader_takes_what_it_knows() {
        let sections = Sections::from_bytes(BYTES).unwrap();
        assert_eq!(sections, Sections::default().with("next", b"ab").with("x", b""));
        assert_eq!(sections.to_bytes(), BYTES);
        assert_eq!((sections.named("next"), sections.named("nex")), (Some(&b"ab"[..]), None));
        assert_eq!(Sections::default().with("a", b"1").with("a", b"2").named("a"), Some(&b"1"[..]));
    }

    #[test]
    fn without_a_section_there_is_nothing() {
        assert_eq!(Sections::default().to_bytes(), b"");
        for of_others in [&b""[..], b"zab", b"\0\0\0\0", b"Zabd\0\0\0\x01"] {
            assert_eq!(Sections::from_bytes(of_others), Ok(Sections::default()));
        }
    }

    #[test]
    fn what_is_broken_is_not_taken_for_nothing() {
        for end in MAGIC.len()..BYTES.len() {
            let broken = Sections::from_bytes(&BYTES[..end]);
            assert!(matches!(broken, Err(DecodeError::Truncated { .. })), "{end}: {broken:?}");
        }
        for count in [-1, COUNT_MAX + 1, i32::MAX] {
            let bytes = [MAGIC, &count.to_be_bytes(), &[0; 4000]].concat();
            let error = DecodeError::UnreasonableLength { length: count, offset: 4 };
            assert_eq!(Sections::from_bytes(&bytes), Err(error));
        }
        let null = b"zabd\0\0\0\x01\0\0\0\x01a\xff\xff\xff\xff";
        assert_eq!(Sections::from_bytes(null), Err(DecodeError::Null { offset: 13 }));
    }
}
