//! The texts of limits and of usage: what Java's servers make of them, and which of them end when they read one.
//!
//! From 3.7 on a text has names and numbers in any order, and what a client wrote beside count and bytes stays when the usage
//! changes. Before, it has two numbers with a comma between them, whatever their names; what was added since stands where the old
//! servers do not look (`count=5,bytes=-1=;byteHardLimit=-1`). A server whose `StatsTrack` does not understand the usage ends
//! with the next write below the quota, and with each start from a log that has both.

use std::fmt;

use zabd_jute::java_table::compare_strings;

/// Numbers by their names; −1 is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Track {
    pub(crate) count: i64,
    pub(crate) bytes: i64,
    /// What else is named, in the order in which Java sorts it.
    others: Vec<(String, i64)>,
}

impl Track {
    pub(crate) fn new(count: i64, bytes: i64) -> Track {
        Track { count, bytes, others: Vec::new() }
    }

    /// `None` if it does not parse, or is null. What is between commas or semicolons is a name and a number,
    /// whatever the name is; what is behind a second equals sign does not count.
    pub(crate) fn parse(text: Option<&[u8]>) -> Option<Track> {
        let text = String::from_utf8_lossy(text?);
        let mut track = Track::new(-1, -1);
        // As Java splits: several separators are one, none counts at the end, and only what is empty in front is a part.
        let text = text.trim_end_matches([',', ';']);
        let parts = text.split([',', ';']).enumerate().filter(|(at, part)| *at == 0 || !part.is_empty());
        for (_, part) in parts.take_while(|_| !text.is_empty()) {
            let (name, rest) = part.split_once('=')?;
            let number = match rest.split('=').next()? {
                "" if rest.trim_end_matches('=').is_empty() => return None,
                "" => -1,
                number => number.parse().ok()?,
            };
            track.set(name, number);
        }
        Some(track)
    }

    fn set(&mut self, name: &str, number: i64) {
        match name {
            "count" => self.count = number,
            "bytes" => self.bytes = number,
            name => match self.place(name) {
                Ok(place) => self.others[place].1 = number,
                Err(place) => self.others.insert(place, (name.to_owned(), number)),
            },
        }
    }

    fn place(&self, name: &str) -> Result<usize, usize> {
        self.others.binary_search_by(|(other, _)| compare_strings(other, name))
    }

    fn other(&self, name: &str) -> i64 {
        self.place(name).map_or(-1, |place| self.others[place].1)
    }

    /// The limit of znodes that binds.
    pub(crate) fn count_hard(&self) -> i64 {
        self.other("countHardLimit")
    }

    /// The limit of bytes that binds.
    pub(crate) fn bytes_hard(&self) -> i64 {
        self.other("byteHardLimit")
    }
}

/// As Java writes it, for servers of all versions.
impl fmt::Display for Track {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Track { count, bytes, others } = self;
        write!(f, "count={count},bytes={bytes}")?;
        if !others.is_empty() {
            f.write_str("=")?;
        }
        others.iter().try_for_each(|(name, number)| write!(f, ";{name}={number}"))
    }
}

/// Whether servers from 3.7 on understand a text.
pub(crate) fn is_read_since_3_7(text: Option<&[u8]>) -> bool {
    Track::parse(text).is_some()
}

/// Whether servers before 3.7 understand a text.
pub(crate) fn is_read_before_3_7(text: Option<&[u8]>) -> bool {
    let Some(text) = text.map(String::from_utf8_lossy) else { return false };
    let [count, bytes] = split(&text, ',')[..] else { return false };
    let number = |part| split(part, '=').get(1).copied();
    number(count).is_some_and(|count| count.parse::<i32>().is_ok())
        && number(bytes).is_some_and(|bytes| bytes.parse::<i64>().is_ok())
}

/// As Java's `String.split` does: what is empty at the end is no part.
fn split(text: &str, separator: char) -> Vec<&str> {
    text.trim_end_matches(separator).split(separator).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn track(count: i64, bytes: i64, others: &[(&str, i64)]) -> Track {
        Track {
            count,
            bytes,
            others: others.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect(),
        }
    }

    #[test]
    fn limits_parse_in_every_order() {
        let (bytes_hard, count_hard) = ("byteHardLimit", "countHardLimit");
        for (text, expected) in [
            ("count=5,bytes=-1", track(5, -1, &[])),
            (
                "count=5,bytes=-1=;countHardLimit=7;byteHardLimit=-1",
                track(5, -1, &[(bytes_hard, -1), (count_hard, 7)]),
            ),
            ("countHardLimit=1;countHardLimit=2", track(-1, -1, &[(count_hard, 2)])),
            ("", track(-1, -1, &[])),
            (";", track(-1, -1, &[])),
            ("x=7,,;count=5=9;", track(5, -1, &[("x", 7)])),
            ("count==5,bytes=+3", track(-1, 3, &[])),
            ("count=1,=5", track(1, -1, &[("", 5)])),
        ] {
            assert_eq!(Track::parse(Some(text.as_bytes())), Some(expected), "{text}");
        }
        for text in
            ["count=x,bytes=1", "count", "bytes=1,count=", "x=y", "count= 1", ",count=1", "=", "count=="]
        {
            assert_eq!(Track::parse(Some(text.as_bytes())), None, "{text}");
        }
        assert_eq!(Track::parse(None), None);
        assert_eq!(Track::parse(Some(b"\xff=1")), Some(track(-1, -1, &[("\u{fffd}", 1)])));
        let limits = Track::parse(Some(b"countHardLimit=7;byteHardLimit=8")).unwrap();
        assert_eq!((limits.count_hard(), limits.bytes_hard()), (7, 8));
    }

    #[test]
    fn a_text_is_written_as_java_writes_it() {
        for (text, written) in [
            ("bytes=2,count=1", "count=1,bytes=2"),
            ("", "count=-1,bytes=-1"),
            (
                "countHardLimit=7;byteHardLimit=5;count=1,bytes=2",
                "count=1,bytes=2=;byteHardLimit=5;countHardLimit=7",
            ),
            // By units of UTF-16, of which those of U+1D11E come before U+FF5E.
            ("a=1;\u{ff5e}=2;\u{1d11e}=3;Z=4;=5", "count=-1,bytes=-1=;=5;Z=4;a=1;\u{1d11e}=3;\u{ff5e}=2"),
        ] {
            assert_eq!(Track::parse(Some(text.as_bytes())).unwrap().to_string(), written, "{text}");
        }
    }

    #[test]
    fn which_versions_understand_a_text() {
        for (text, before, since) in [
            ("count=1,bytes=2", true, true),
            ("a=1,b=2", true, true),
            ("count=+1,bytes=-2,,", true, true),
            ("count=1=;x=5,bytes=2=;byteHardLimit=3", true, true),
            ("count=1=x,bytes=2=y", true, true),
            ("count=2147483647,bytes=9223372036854775807", true, true),
            ("count=2147483648,bytes=2", false, true),
            ("count=1;bytes=2", false, true),
            ("count=1", false, true),
            ("count==1,bytes=2", false, true),
            ("count=1,bytes=2,x=3", false, true),
            ("", false, true),
            (",", false, true),
            ("count=1,bytes=2=;x", true, false),
            ("count=1,bytes=2=;x=y", true, false),
            ("zzz", false, false),
            (",count=1", false, false),
            ("count=1,bytes=9223372036854775808", false, false),
        ] {
            let text_bytes = Some(text.as_bytes());
            assert_eq!(
                (is_read_before_3_7(text_bytes), is_read_since_3_7(text_bytes)),
                (before, since),
                "{text}"
            );
        }
        assert!(!is_read_before_3_7(None) && !is_read_since_3_7(None));
    }
}
