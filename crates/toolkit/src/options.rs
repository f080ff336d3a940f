//! Command lines as Apache Commons CLI 1.5 takes them apart (`DefaultParser`), with its complaints.
//!
//! Every option has a letter and a name. `-r`, `--recover`, `-recover` and a beginning that only one name has all mean the
//! same; letters without a value may stand together (`-rv`); a value is the next word, what follows the letter (`-z5`) or what
//! stands behind `=`. `--` ends the options. (The shell's options, `zabd-cli`, have one dash and no second name.)

/// One option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flag {
    pub(crate) letter: char,
    pub(crate) name: &'static str,
    pub(crate) has_value: bool,
    pub(crate) is_required: bool,
}

/// An option without a value.
pub(crate) const fn flag(letter: char, name: &'static str) -> Flag {
    Flag { letter, name, has_value: false, is_required: false }
}

/// An option with a value.
pub(crate) const fn valued(letter: char, name: &'static str) -> Flag {
    Flag { letter, name, has_value: true, is_required: false }
}

/// An option that must be there, with a value.
pub(crate) const fn required(letter: char, name: &'static str) -> Flag {
    Flag { letter, name, has_value: true, is_required: true }
}

/// A command line, taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Line {
    given: Vec<(char, Option<String>)>,
    /// What is no option.
    pub(crate) words: Vec<String>,
}

impl Line {
    pub(crate) fn has(&self, letter: char) -> bool {
        self.given.iter().any(|(given, _)| *given == letter)
    }

    /// The first value of an option.
    pub(crate) fn value(&self, letter: char) -> Option<&str> {
        self.given.iter().find(|(given, _)| *given == letter)?.1.as_deref()
    }
}

/// Takes a command line apart, or says in Java's words why it is none.
pub(crate) fn parse(flags: &[Flag], words: &[String]) -> Result<Line, String> {
    let mut parser = Parser { flags, line: Line::default(), expects: None };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == "--" {
            parser.line.words.extend(words.by_ref().cloned());
        } else {
            parser.word(word)?;
        }
    }
    parser.nothing_expected()?;
    let missing: Vec<_> =
        flags.iter().filter(|flag| flag.is_required && !parser.line.has(flag.letter)).collect();
    if !missing.is_empty() {
        let letters: Vec<_> = missing.iter().map(|flag| flag.letter.to_string()).collect();
        let plural = if letters.len() == 1 { "" } else { "s" };
        return Err(format!("Missing required option{plural}: {}", letters.join(", ")));
    }
    Ok(parser.line)
}

struct Parser<'a> {
    flags: &'a [Flag],
    line: Line,
    /// An option whose value has not come.
    expects: Option<char>,
}

impl Parser<'_> {
    fn by_letter(&self, name: &str) -> Option<Flag> {
        let mut letters = name.chars();
        let (letter, None) = (letters.next()?, letters.next()) else { return None };
        self.flags.iter().copied().find(|flag| flag.letter == letter)
    }

    /// The option of this name, else those whose names begin so.
    fn by_name(&self, name: &str) -> Vec<Flag> {
        let exact = self.flags.iter().copied().find(|flag| flag.name == name);
        exact.map_or_else(
            || self.flags.iter().copied().filter(|flag| flag.name.starts_with(name)).collect(),
            |flag| vec![flag],
        )
    }

    /// The option with whose whole name a word begins that goes on with its value.
    fn before_value(&self, word: &str) -> Option<Flag> {
        let begins = |flag: &&Flag| word.len() > flag.name.len() + 1 && word.starts_with(flag.name);
        self.flags.iter().filter(begins).max_by_key(|flag| flag.name.len()).copied()
    }

    fn is_option(&self, word: &str) -> bool {
        let Some(rest) = word.strip_prefix('-').filter(|rest| !rest.is_empty()) else { return false };
        let before_equals = |text: &str| text.split('=').next().unwrap_or_default().to_owned();
        let name = before_equals(rest);
        let first = name.chars().next().map(String::from).unwrap_or_default();
        !self.by_name(without_dashes(&before_equals(word))).is_empty()
            || !word.starts_with("--") && self.before_value(rest).is_some()
            || self.by_letter(&name).is_some()
            || self.by_letter(&first).is_some()
    }

    fn word(&mut self, word: &str) -> Result<(), String> {
        if self.expects.is_some() && (!self.is_option(word) || word.parse::<f64>().is_ok()) {
            self.value(without_quotes(word));
            return Ok(());
        }
        let dashed = word.starts_with('-') && word != "-";
        if word.starts_with("--") {
            self.named(word, word)
        } else if dashed {
            self.lettered(word)
        } else {
            self.line.words.push(word.to_owned());
            Ok(())
        }
    }

    /// `--name`, `--name=value`.
    fn named(&mut self, word: &str, name: &str) -> Result<(), String> {
        let (name, value) = match name.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (name, None),
        };
        let found = self.by_name(without_dashes(name));
        let flag = match found[..] {
            [] => return Err(unrecognized(word)),
            [flag] => flag,
            _ => {
                let names: Vec<_> = found.iter().map(|flag| format!("'{}'", flag.name)).collect();
                return Err(format!("Ambiguous option: '{name}'  (could be: {})", names.join(", ")));
            }
        };
        if value.is_some() && !flag.has_value {
            return Err(unrecognized(word));
        }
        self.option(flag)?;
        if let Some(value) = value {
            self.value(value);
        }
        Ok(())
    }

    /// `-n`, `-name`, `-n=value`, `-name=value`, `-nvalue`, `-abc`.
    fn lettered(&mut self, word: &str) -> Result<(), String> {
        let rest = without_dashes(word);
        if let Some(flag) = self.by_letter(rest) {
            return self.option(flag);
        }
        if let Some((name, value)) = rest.split_once('=') {
            if name.chars().count() != 1 {
                return self.named(word, rest);
            }
            let flag =
                self.by_letter(name).filter(|flag| flag.has_value).ok_or_else(|| unrecognized(word))?;
            self.option(flag)?;
            self.value(value);
            return Ok(());
        }
        if rest.chars().count() > 1 && !self.by_name(rest).is_empty() {
            return self.named(word, rest);
        }
        if let Some(flag) = self.before_value(rest).filter(|flag| flag.has_value) {
            self.option(flag)?;
            self.value(&rest[flag.name.len()..]);
            return Ok(());
        }
        for (at, letter) in rest.char_indices() {
            let flag = self.by_letter(letter.encode_utf8(&mut [0; 4])).ok_or_else(|| unrecognized(word))?;
            self.option(flag)?;
            let behind = &rest[at + letter.len_utf8()..];
            if flag.has_value && !behind.is_empty() {
                self.value(behind);
                break;
            }
        }
        Ok(())
    }

    fn option(&mut self, flag: Flag) -> Result<(), String> {
        self.nothing_expected()?;
        self.line.given.push((flag.letter, None));
        self.expects = flag.has_value.then_some(flag.letter);
        Ok(())
    }

    fn value(&mut self, value: &str) {
        self.expects = None;
        self.line.given.last_mut().expect("a value stands behind its option").1 = Some(value.to_owned());
    }

    fn nothing_expected(&self) -> Result<(), String> {
        self.expects.map_or(Ok(()), |letter| Err(format!("Missing argument for option: {letter}")))
    }
}

fn unrecognized(word: &str) -> String {
    format!("Unrecognized option: {word}")
}

/// At most two dashes are one.
fn without_dashes(word: &str) -> &str {
    word.strip_prefix("--").or_else(|| word.strip_prefix('-')).unwrap_or(word)
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

    const FLAGS: &[Flag] =
        &[flag('r', "recover"), flag('v', "verbose"), flag('y', "yes"), valued('z', "zxid")];

    fn parsed(flags: &[Flag], text: &str) -> Result<String, String> {
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        let line = parse(flags, &words)?;
        let given = line.given.into_iter().map(|(letter, value)| match value {
            None => format!("-{letter}"),
            Some(value) => format!("-{letter}={value}"),
        });
        Ok(given.chain(line.words).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn an_option_has_many_spellings() {
        for (text, expected) in [
            ("-r f", "-r f"),
            ("--recover f", "-r f"),
            ("-recover f", "-r f"),
            ("--rec f", "-r f"),
            ("-rv f", "-r -v f"),
            ("f -rvz 5", "-r -v -z=5 f"),
            ("-z5", "-z=5"),
            ("-z=5", "-z=5"),
            ("--zxid=5", "-z=5"),
            ("-zxid=5", "-z=5"),
            ("-zxid55", "-z=55"),
            ("-zxid5", "-z=xid5"),
            ("-z -5 f", "-z=-5 f"),
            ("-z -x f", "-z=-x f"),
            ("-- -r", "-r"),
            ("- f", "- f"),
            ("", ""),
        ] {
            assert_eq!(parsed(FLAGS, text), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn complaints_are_javas() {
        let required = &[required('l', "left"), required('r', "right"), flag('d', "debug")];
        for (flags, text, complaint) in [
            (FLAGS, "-x", "Unrecognized option: -x"),
            (FLAGS, "-rx", "Unrecognized option: -rx"),
            (FLAGS, "--nothing", "Unrecognized option: --nothing"),
            (FLAGS, "--yes=1", "Unrecognized option: --yes=1"),
            (FLAGS, "-y=1", "Unrecognized option: -y=1"),
            (FLAGS, "-z", "Missing argument for option: z"),
            (FLAGS, "-z -r f", "Missing argument for option: z"),
            (required, "", "Missing required options: l, r"),
            (required, "-l a", "Missing required option: r"),
        ] {
            assert_eq!(parsed(flags, text), Err(complaint.to_owned()), "{text}");
        }
        let alike = [flag('a', "alike"), flag('b', "alive")];
        assert_eq!(
            parsed(&alike, "--ali"),
            Err("Ambiguous option: '--ali'  (could be: 'alike', 'alive')".to_owned())
        );
    }
}
