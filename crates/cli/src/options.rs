//! Options of commands, as Apache Commons CLI 1.5 takes them apart (`DefaultParser`), with its complaints.
//!
//! Names have one dash, whatever their length; `-sw` is `-s -w`; a value is the next word, what follows in the same word
//! (`-v3`) or what stands behind `=`; anything else with a dash is no option. A value may have a dash if no option has
//! its name. `--` ends the options.

/// One option.
#[derive(Clone, Copy, Debug)]
pub struct Flag {
    /// Without its dash.
    pub name: &'static str,
    /// Whether a value follows.
    pub has_value: bool,
    /// Only where a complaint says it.
    pub what: &'static str,
}

/// An option without a value.
pub const fn flag(name: &'static str) -> Flag {
    Flag { name, has_value: false, what: "" }
}

/// An option with a value.
pub const fn valued(name: &'static str) -> Flag {
    Flag { name, has_value: true, what: "" }
}

/// The options of a command.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// All of them.
    pub flags: &'static [Flag],
    /// Whether at most one of them is allowed.
    pub is_one_only: bool,
    /// Whether one of them is needed.
    pub is_one_needed: bool,
}

impl Options {
    /// Options that do not mind each other.
    pub const fn free(flags: &'static [Flag]) -> Self {
        Self { flags, is_one_only: false, is_one_needed: false }
    }
}

/// A command line without its options.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Line {
    given: Vec<(&'static str, Option<String>)>,
    /// The command's name and what is left behind it.
    pub words: Vec<String>,
}

impl Line {
    /// Whether an option was given.
    pub fn has(&self, name: &str) -> bool {
        self.given.iter().any(|(given, _)| *given == name)
    }

    /// The first value of an option.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.given.iter().find_map(|(given, value)| value.as_deref().filter(|_| *given == name))
    }
}

/// Why a command line is none. Prints as Java does, with the exception's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// No option has this name.
    #[error("org.apache.commons.cli.UnrecognizedOptionException: Unrecognized option: {0}")]
    Unrecognized(String),
    /// The value is missing.
    #[error("org.apache.commons.cli.MissingArgumentException: Missing argument for option: {0}")]
    MissingArgument(&'static str),
    /// One of these is needed.
    #[error("org.apache.commons.cli.MissingOptionException: Missing required option: [{0}]")]
    MissingOption(String),
    /// One of them is enough.
    #[error(
        "org.apache.commons.cli.AlreadySelectedException: The option '{second}' was specified but an option from \
         this group has already been selected: '{first}'"
    )]
    AlreadySelected {
        /// What came first.
        first: &'static str,
        /// What is too much.
        second: &'static str,
    },
}

impl Options {
    /// Takes a command line apart; its first word is the command's name.
    pub fn parse(&self, words: &[String]) -> Result<Line, OptionError> {
        let mut parser = Parser { options: self, line: Line::default(), expects: None };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if word == "--" {
                parser.line.words.extend(words.by_ref().cloned());
            } else {
                parser.word(word)?;
            }
        }
        parser.ended()
    }

    fn find(&self, name: &str) -> Option<Flag> {
        self.flags.iter().copied().find(|flag| flag.name == name)
    }

    /// Whether a word with a dash begins an option, so that it is no value.
    fn is_option(&self, word: &str) -> bool {
        let Some(rest) = word.strip_prefix('-') else { return false };
        let name = rest.split('=').next().unwrap_or_default();
        let first = rest.chars().next().map(String::from).unwrap_or_default();
        self.find(name.trim_start_matches('-')).is_some() || self.find(&first).is_some()
    }
}

struct Parser<'a> {
    options: &'a Options,
    line: Line,
    /// An option whose value has not come.
    expects: Option<&'static str>,
}

impl Parser<'_> {
    fn word(&mut self, word: &str) -> Result<(), OptionError> {
        if self.expects.is_some() && (!self.options.is_option(word) || is_negative_number(word)) {
            self.value(without_quotes(word));
            return Ok(());
        }
        match word.strip_prefix('-') {
            None | Some("") => {
                self.line.words.push(word.to_owned());
                Ok(())
            }
            Some(rest) if rest.starts_with('-') => Err(OptionError::Unrecognized(word.to_owned())),
            Some(rest) => self.dashed(word, rest),
        }
    }

    fn dashed(&mut self, word: &str, rest: &str) -> Result<(), OptionError> {
        let unrecognized = || OptionError::Unrecognized(word.to_owned());
        if let Some((name, value)) = rest.split_once('=') {
            let flag = self.options.find(name).filter(|flag| flag.has_value && name.chars().count() == 1);
            self.flag(flag.ok_or_else(unrecognized)?)?;
            self.value(value);
            return Ok(());
        }
        if let Some(flag) = self.options.find(rest) {
            return self.flag(flag);
        }
        for (at, letter) in rest.char_indices() {
            let flag = self.options.find(letter.encode_utf8(&mut [0; 4])).ok_or_else(unrecognized)?;
            self.flag(flag)?;
            let behind = &rest[at + letter.len_utf8()..];
            if flag.has_value && !behind.is_empty() {
                self.value(behind);
                break;
            }
        }
        Ok(())
    }

    fn flag(&mut self, flag: Flag) -> Result<(), OptionError> {
        self.nothing_expected()?;
        let other = self.line.given.iter().find(|(given, _)| *given != flag.name);
        if let Some((first, _)) = other
            && self.options.is_one_only
        {
            return Err(OptionError::AlreadySelected { first, second: flag.name });
        }
        self.line.given.push((flag.name, None));
        self.expects = flag.has_value.then_some(flag.name);
        Ok(())
    }

    fn value(&mut self, value: &str) {
        self.expects = None;
        self.line.given.last_mut().expect("a value stands behind its option").1 = Some(value.to_owned());
    }

    fn nothing_expected(&self) -> Result<(), OptionError> {
        self.expects.map_or(Ok(()), |name| Err(OptionError::MissingArgument(name)))
    }

    fn ended(self) -> Result<Line, OptionError> {
        self.nothing_expected()?;
        if self.options.is_one_needed && self.line.given.is_empty() {
            let all: Vec<_> =
                self.options.flags.iter().map(|flag| format!("-{} {}", flag.name, flag.what)).collect();
            return Err(OptionError::MissingOption(all.join(", ")));
        }
        Ok(self.line)
    }
}

fn is_negative_number(word: &str) -> bool {
    word.trim_end_matches(['d', 'D', 'f', 'F']).parse::<f64>().is_ok()
}

/// A value may stand in double quotes of its own.
fn without_quotes(word: &str) -> &str {
    match word.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inner) if !inner.contains('"') => inner,
        _ => word,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SET: Options = Options::free(&[flag("s"), valued("v"), flag("b"), valued("file")]);
    const QUOTA: Options = Options {
        flags: &[
            Flag { name: "n", has_value: true, what: "num" },
            Flag { name: "b", has_value: true, what: "bytes" },
        ],
        is_one_only: true,
        is_one_needed: true,
    };

    fn parse(options: &Options, text: &str) -> Result<String, String> {
        let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
        options.parse(&words).map_err(|error| error.to_string()).map(|line| {
            let given = line.given.iter().map(|(name, value)| match value {
                None => format!("-{name}"),
                Some(value) => format!("-{name}={value}"),
            });
            given.chain(line.words.iter().cloned()).collect::<Vec<_>>().join(" ")
        })
    }

    #[test]
    fn options_stand_anywhere() {
        for (text, parsed) in [
            ("set /a b", "set /a b"),
            ("set /a b -s -v 3", "-s -v=3 set /a b"),
            ("set -sv 3 /a b", "-s -v=3 set /a b"),
            ("set -v3 /a b", "-v=3 set /a b"),
            ("set -v=3 /a", "-v=3 set /a"),
            ("set -v -1 /a", "-v=-1 set /a"),
            ("set -v -x /a", "-v=-x set /a"),
            ("set -file x /a", "-file=x set /a"),
            ("set -- -s /a", "set -s /a"),
            ("set -v \"3\" /a -", "-v=3 set /a -"),
        ] {
            assert_eq!(parse(&SET, text), Ok(parsed.to_owned()), "{text}");
        }
    }

    #[test]
    fn mistakes_print_as_javas() {
        const PREFIX: &str = "org.apache.commons.cli.";
        for (text, mistake) in [
            ("set -x", "UnrecognizedOptionException: Unrecognized option: -x"),
            ("set -sx", "UnrecognizedOptionException: Unrecognized option: -sx"),
            ("set --s", "UnrecognizedOptionException: Unrecognized option: --s"),
            ("set -s=1", "UnrecognizedOptionException: Unrecognized option: -s=1"),
            ("set -file=1", "UnrecognizedOptionException: Unrecognized option: -file=1"),
            ("set /a b -v", "MissingArgumentException: Missing argument for option: v"),
            ("set -v -s", "MissingArgumentException: Missing argument for option: v"),
        ] {
            assert_eq!(parse(&SET, text), Err(format!("{PREFIX}{mistake}")), "{text}");
        }
    }

    #[test]
    fn one_of_a_group() {
        assert_eq!(parse(&QUOTA, "q -n 1 -n 2 /a"), Ok("-n=1 -n=2 q /a".to_owned()));
        assert_eq!(
            QUOTA.parse(&["q".to_owned()]),
            Err(OptionError::MissingOption("-n num, -b bytes".to_owned()))
        );
        let both = ["q", "-n", "1", "-b", "2"].map(str::to_owned);
        assert_eq!(QUOTA.parse(&both), Err(OptionError::AlreadySelected { first: "n", second: "b" }));
    }
}
