//! The login configuration of Java (`java.security.auth.login.config`), as the JDK reads it.
//!
//! ```text
//! Section {
//!     module.Class  required|requisite|sufficient|optional  key="value" key=value ...;
//!     ...
//! };
//! ```
//!
//! Words are letters, digits, `$ _ - * .` and what is not ASCII, and do not begin with a digit, `-` or `.`; anything else needs
//! double quotes, in which `\` escapes as in C. A `/` begins a comment: `/*` up to its end, else up to the end of the line. A
//! value in quotes also ends with its line. `${…}` in values stands for a system property (`expansion`); one that is not there is a
//! mistake of whoever uses that value, where the JDK takes nothing of such a file.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::str::Chars;

use crate::expansion::{Unexpanded, expanded};

/// A whole file: sections by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Jaas(BTreeMap<String, Vec<Module>>);

/// One login module of a section.
#[derive(Clone, PartialEq, Eq)]
pub struct Module {
    /// Its Java class.
    pub class: String,
    /// Its options; passwords are among them.
    options: BTreeMap<String, Value>,
}

/// What stands behind a `=`.
type Value = Result<String, Unexpanded>;

impl Module {
    /// The options and their values; in place of one that is none, why.
    pub(crate) fn options(&self) -> impl Iterator<Item = (&str, Result<&str, ValueError>)> {
        self.options.keys().filter_map(|key| Some((key.as_str(), self.option(key)?)))
    }

    /// The value of an option.
    pub(crate) fn option(&self, key: &str) -> Option<Result<&str, ValueError>> {
        let option = || key.to_owned();
        Some(self.options.get(key)?.as_deref().map_err(|why| match why {
            Unexpanded::Missing(name) => ValueError::Missing { option: option(), name: name.clone() },
            Unexpanded::Empty => ValueError::Empty { option: option() },
        }))
    }
}

/// A value that asks for system properties is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// One of them is not set.
    #[error("the value of `{option}` asks for the property `{name}`, which is not set (`-D{name}=...`)")]
    Missing {
        /// Whose value.
        option: String,
        /// Which one.
        name: String,
    },
    /// All of them are empty.
    #[error("the value of `{option}` is empty, and so are the properties that it asks for")]
    Empty {
        /// Whose value.
        option: String,
    },
}

impl std::fmt::Debug for Module {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?}", self.class, self.options.keys())
    }
}

/// What is wrong with a file. Values are never shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JaasError {
    /// Something else should be there.
    #[error("line {line}: expected {expected}, found {found}")]
    Unexpected {
        /// Where, from 1.
        line: usize,
        /// What should be there.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// A module is neither required, requisite, sufficient nor optional.
    #[error("line {line}: `{flag}` is none of `required`, `requisite`, `sufficient`, `optional`")]
    Flag {
        /// Where, from 1.
        line: usize,
        /// What is there.
        flag: String,
    },
    /// A section is there twice.
    #[error("line {line}: section `{section}` is there already")]
    Repeated {
        /// Where, from 1.
        line: usize,
        /// Its name.
        section: String,
    },
}

impl Jaas {
    /// Reads a file. `property` is asked for system properties.
    pub fn parse(text: &str, property: &dyn Fn(&str) -> Option<String>) -> Result<Self, JaasError> {
        let mut tokens = Tokens { chars: text.chars().peekable(), line: 1, token: Token::End, property };
        tokens.advance();
        let mut jaas = Self::default();
        while tokens.token != Token::End {
            let (name, modules) = tokens.section()?;
            if jaas.0.contains_key(&name) {
                return Err(JaasError::Repeated { line: tokens.line, section: name });
            }
            jaas.0.insert(name, modules);
        }
        Ok(jaas)
    }

    /// The modules of a section, if there is one.
    pub fn section(&self, name: &str) -> Option<&[Module]> {
        self.0.get(name).map(Vec::as_slice)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    End,
    Word(String),
    Quoted(String),
    Number,
    Other(char),
}

/// A place in a file: the token there, and all behind it.
struct Tokens<'a> {
    chars: Peekable<Chars<'a>>,
    line: usize,
    token: Token,
    property: &'a dyn Fn(&str) -> Option<String>,
}

impl Tokens<'_> {
    fn section(&mut self) -> Result<(String, Vec<Module>), JaasError> {
        let name = self.text("the name of a section")?;
        self.mark('{', "`{`")?;
        let mut modules = Vec::new();
        while self.token != Token::Other('}') {
            modules.push(self.module()?);
        }
        self.mark('}', "`}`")?;
        self.mark(';', "`;`")?;
        Ok((name, modules))
    }

    fn module(&mut self) -> Result<Module, JaasError> {
        let class = self.text("the class of a login module")?;
        let line = self.line;
        let flag = self.text("a control flag")?;
        let flags = ["required", "requisite", "sufficient", "optional"];
        if !flags.iter().any(|known| known.eq_ignore_ascii_case(&flag)) {
            return Err(JaasError::Flag { line, flag });
        }
        let mut options = BTreeMap::new();
        while self.token != Token::Other(';') {
            let key = self.text("the name of an option")?;
            self.mark('=', "`=`")?;
            let value = self.text("the value of an option")?;
            options.insert(key, expanded(&value, self.property));
        }
        self.advance();
        Ok(Module { class, options })
    }

    /// Takes a word, or what is in quotes.
    fn text(&mut self, expected: &'static str) -> Result<String, JaasError> {
        match self.advance() {
            Token::Word(text) | Token::Quoted(text) => Ok(text),
            other => Err(self.unexpected(expected, &other)),
        }
    }

    fn mark(&mut self, mark: char, expected: &'static str) -> Result<(), JaasError> {
        match self.advance() {
            Token::Other(there) if there == mark => Ok(()),
            other => Err(self.unexpected(expected, &other)),
        }
    }

    fn unexpected(&self, expected: &'static str, found: &Token) -> JaasError {
        let found = match found {
            Token::End => "the end of the file".to_owned(),
            // It may be a password.
            Token::Word(_) => "a word".to_owned(),
            Token::Quoted(_) => "a text in quotes".to_owned(),
            Token::Number => "a number, which must stand in quotes".to_owned(),
            Token::Other(there) if there.is_control() => format!("`{}`", there.escape_debug()),
            Token::Other(there) => format!("`{there}`"),
        };
        JaasError::Unexpected { line: self.line, expected, found }
    }

    /// Gives the token that is there, and goes on to the next.
    fn advance(&mut self) -> Token {
        let next = self.read();
        std::mem::replace(&mut self.token, next)
    }

    fn read(&mut self) -> Token {
        loop {
            let Some(first) = self.chars.next() else { return Token::End };
            match first {
                '\n' => self.line += 1,
                '\0'..=' ' => (),
                '/' => self.skip_comment(),
                '"' | '\'' => {
                    let text = self.quoted(first);
                    return if first == '"' { Token::Quoted(text) } else { Token::Other(first) };
                }
                '-' if !self.chars.peek().is_some_and(|next| next.is_ascii_digit() || *next == '.') => {
                    return Token::Other(first);
                }
                '0'..='9' | '.' | '-' => {
                    while self.chars.next_if(|next| next.is_ascii_digit() || *next == '.').is_some() {}
                    return Token::Number;
                }
                _ if is_word(first) => {
                    let mut word = String::from(first);
                    while let Some(next) = self.chars.next_if(|next| is_word(*next)) {
                        word.push(next);
                    }
                    return Token::Word(word);
                }
                other => return Token::Other(other),
            }
        }
    }

    fn skip_comment(&mut self) {
        if self.chars.next_if_eq(&'*').is_none() {
            while self.chars.next_if(|next| *next != '\n').is_some() {}
            return;
        }
        let mut before = ' ';
        for next in self.chars.by_ref() {
            if next == '\n' {
                self.line += 1;
            }
            if before == '*' && next == '/' {
                return;
            }
            before = next;
        }
    }

    /// Up to the closing quote, or to the end of the line.
    fn quoted(&mut self, quote: char) -> String {
        let mut text = String::new();
        while let Some(next) = self.chars.next_if(|next| *next != '\n' && *next != '\r') {
            match next {
                _ if next == quote => break,
                '\\' => text.extend(self.escaped()),
                _ => text.push(next),
            }
        }
        text
    }

    fn escaped(&mut self) -> Option<char> {
        let first = self.chars.next()?;
        let digits_max = match first {
            '0'..='3' => 3,
            '4'..='7' => 2,
            'a' => return Some('\x07'),
            'b' => return Some('\x08'),
            'f' => return Some('\x0c'),
            'n' => return Some('\n'),
            'r' => return Some('\r'),
            't' => return Some('\t'),
            'v' => return Some('\x0b'),
            '\n' => {
                self.line += 1;
                return Some(first);
            }
            _ => return Some(first),
        };
        let mut code = first.to_digit(8)?;
        for _ in 1..digits_max {
            let Some(digit) = self.chars.next_if(|next| next.is_digit(8)) else { break };
            code = 8 * code + digit.to_digit(8)?;
        }
        char::from_u32(code)
    }
}

fn is_word(each: char) -> bool {
    each.is_ascii_alphanumeric() || matches!(each, '$' | '_' | '-' | '*' | '.') || each >= '\u{a0}'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(text: &str) -> Vec<(String, String)> {
        let jaas = Jaas::parse(&format!("S {{ a.B required {text}; }};"), &|name| {
            (name == "x").then(|| "1".to_owned())
        })
        .unwrap();
        let [module] = jaas.section("S").unwrap() else { panic!("one module") };
        module.options().map(|(key, value)| (key.to_owned(), value.unwrap().to_owned())).collect()
    }

    fn error(text: &str) -> String {
        Jaas::parse(text, &|_| None).unwrap_err().to_string()
    }

    #[test]
    fn the_file_of_the_administrators_guide() {
        let text = "// Users.\nServer {\n    org.apache.zookeeper.server.auth.DigestLoginModule required\n    \
                    user_super=\"adminsecret\"\n    user_bob=\"bobsecret\"; /* two\n users */\n};\n\
                    QuorumLearner { org.apache.zookeeper.server.auth.DigestLoginModule REQUIRED\n\
                    username=\"test\" password=\"test\"; };\n\"My Client\" { };";
        let jaas = Jaas::parse(text, &|_| None).unwrap();
        let [module] = jaas.section("Server").unwrap() else { panic!("one module") };
        assert_eq!(module.class, crate::users::DIGEST_MODULE);
        assert_eq!(module.option("user_bob"), Some(Ok("bobsecret")));
        assert_eq!(jaas.section("QuorumLearner").unwrap()[0].option("username"), Some(Ok("test")));
        assert_eq!((jaas.section("My Client"), jaas.section("Client")), (Some(&[][..]), None));
        assert!(!format!("{jaas:?}").contains("secret"), "a password is nothing for a log");
    }

    #[test]
    fn values_with_and_without_quotes() {
        let pairs = |pairs: &[(&str, &str)]| -> Vec<_> {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        assert_eq!(options("a=b1-$_*.c \"d e\" = \"f=;}\""), pairs(&[("a", "b1-$_*.c"), ("d e", "f=;}")]));
        assert_eq!(options(r#"a="\"\\\t\101\1014\q""#), pairs(&[("a", "\"\\\tAA4q")]));
        assert_eq!(options("a=\"né€\" b=né"), pairs(&[("a", "né€"), ("b", "né")]));
        assert_eq!(options("a=\"no end\n b=c"), pairs(&[("a", "no end"), ("b", "c")]));
        assert_eq!(options("a=b/c is a comment\n d=e"), pairs(&[("a", "b"), ("d", "e")]));
        assert_eq!(options("a=b a=c"), pairs(&[("a", "c")]));
        assert_eq!(options("a=\"${x}\""), pairs(&[("a", "1")]));
    }

    #[test]
    fn what_the_jdk_would_not_read() {
        for (text, expected) in [
            ("S", "line 1: expected `{`, found the end of the file"),
            (
                "S {\n a.B required x=5; };",
                "line 2: expected the value of an option, found a number, which must",
            ),
            ("S { a.B required x=-5; };", "expected the value of an option, found a number"),
            ("S { a.B required x=-a; };", "expected the value of an option, found `-`"),
            ("S { a.B required x='5'; };", "expected the value of an option, found `'`"),
            ("S { a.B required x; };", "expected `=`, found `;`"),
            ("S { a.B x=y; };", "`x` is none of `required`"),
            ("S { a.B required }", "expected the name of an option, found `}`"),
            ("S { a.B required; }", "expected `;`, found the end of the file"),
            ("# comment\nS { };", "line 1: expected the name of a section, found `#`"),
            ("S { }; S { };", "section `S` is there already"),
            ("{ };", "expected the name of a section, found `{`"),
        ] {
            assert!(error(text).contains(expected), "{text}: {}", error(text));
        }
        assert!(!error("S { a.B required x=y \"secret\"; };").contains("secret"));
    }
}
