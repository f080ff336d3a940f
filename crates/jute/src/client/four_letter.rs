//! The words that a connection may begin with instead of a frame.

/// A four-letter word. Their first four bytes, read as a length, would be above every limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum FourLetterWord {
    Conf,
    Cons,
    Crst,
    Dirs,
    Dump,
    Envi,
    Gtmk,
    Hash,
    Isro,
    Mntr,
    Ruok,
    Srst,
    Srvr,
    Stat,
    Stmk,
    Wchc,
    Wchp,
    Wchs,
    /// What telnet sends when the user interrupts it: closes the connection.
    TelnetClose,
}

impl FourLetterWord {
    /// All words that have a name.
    pub const NAMED: [(FourLetterWord, &'static str); 18] = [
        (FourLetterWord::Conf, "conf"),
        (FourLetterWord::Cons, "cons"),
        (FourLetterWord::Crst, "crst"),
        (FourLetterWord::Dirs, "dirs"),
        (FourLetterWord::Dump, "dump"),
        (FourLetterWord::Envi, "envi"),
        (FourLetterWord::Gtmk, "gtmk"),
        (FourLetterWord::Hash, "hash"),
        (FourLetterWord::Isro, "isro"),
        (FourLetterWord::Mntr, "mntr"),
        (FourLetterWord::Ruok, "ruok"),
        (FourLetterWord::Srst, "srst"),
        (FourLetterWord::Srvr, "srvr"),
        (FourLetterWord::Stat, "stat"),
        (FourLetterWord::Stmk, "stmk"),
        (FourLetterWord::Wchc, "wchc"),
        (FourLetterWord::Wchp, "wchp"),
        (FourLetterWord::Wchs, "wchs"),
    ];

    /// The word that a connection begins with, if it is one; words are case-sensitive.
    pub fn from_bytes(bytes: [u8; 4]) -> Option<Self> {
        if bytes == [0xff, 0xf4, 0xff, 0xfd] {
            return Some(FourLetterWord::TelnetClose);
        }
        Self::NAMED.iter().find(|(_, name)| name.as_bytes() == bytes).map(|(word, _)| *word)
    }

    /// The word as typed; empty for telnet's sequence.
    pub fn name(self) -> &'static str {
        Self::NAMED.iter().find(|(word, _)| *word == self).map_or("", |(_, name)| name)
    }

    /// Whether eight more bytes belong to it.
    pub fn has_argument(self) -> bool {
        self == FourLetterWord::Stmk
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_case_sensitive() {
        assert_eq!(FourLetterWord::from_bytes(*b"ruok"), Some(FourLetterWord::Ruok));
        assert_eq!(FourLetterWord::from_bytes(*b"RUOK"), None);
        for (word, name) in FourLetterWord::NAMED {
            assert_eq!(word.name(), name);
        }
    }
}
