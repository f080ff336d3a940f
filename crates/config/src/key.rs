//! A key: its name, default, meaning, how text becomes a value, and how far zabd follows it.
//!
//! Everything about a key stands in one row of `keys/`: the resolver, the manual and the tests all
//! read that row, so they cannot disagree. A row is written with the small builder below, the value's
//! home in the [`Draft`] being the last word of it:
//!
//! ```text
//! Key::prefixed("flushDelay", "0", "20").unit("ms").doc("...").long(0, |d, v| d.config.flush_delay_ms = v as u64)
//! ```

use crate::draft::Draft;
use crate::java_number;

/// How closely the key follows Java, in the terms of the manual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Behaves identically.
    A,
    /// Honoured, possibly by another mechanism.
    B,
    /// A detail of the Java implementation.
    C,
}

/// How Java knows the key. zabd takes every key from every source, with and without `zookeeper.`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Only as a line of zoo.cfg; numbers are decimal, booleans strict.
    File,
    /// As property `zookeeper.<name>`, or without the prefix in zoo.cfg.
    Prefixed,
    /// As property `<name>`; Java cannot read it from zoo.cfg.
    Bare,
    /// As property with or without the prefix.
    Either,
    /// Not at all: the key is zabd's.
    Own,
}

/// What the server does with the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Honour {
    /// What Java does.
    Same,
    /// Nearly that; the text says how it differs.
    Differently(&'static str),
    /// Nothing, and says so once; the text is the reason. Keys with one reason share a warning.
    NoEffect(&'static str),
    /// What Java does on a member of an ensemble; a standalone server has no use for it.
    InEnsemble,
    /// Refuses to start, because going on without it would be unsafe; the text says when.
    Refused(&'static str),
}

/// One row of the table.
#[derive(Clone, Copy)]
pub struct Key {
    /// Name in zoo.cfg; for a family of keys, with a capital letter for the changing part.
    pub name: &'static str,
    /// Other spellings that mean the same, such as those of Java's documentation.
    pub aliases: &'static [&'static str],
    /// For a family of keys, what their names begin with.
    pub prefix: Option<&'static str>,
    /// How Java knows it.
    pub scope: Scope,
    /// Value without the key; `none` and the like if that is no value.
    pub default: &'static str,
    /// A value that differs from the default.
    pub example: &'static str,
    /// What a number counts.
    pub unit: &'static str,
    /// How closely it follows Java.
    pub class: Class,
    /// What it does here.
    pub honour: Honour,
    /// What it means.
    pub doc: &'static str,
    /// Whether its value must not be shown.
    pub secret: bool,
    /// Values that a key without effect takes without a warning, because they ask for what the server does.
    pub(crate) silent: &'static [&'static str],
    /// Keys that must be set too for the example to mean anything.
    pub(crate) needs: &'static [(&'static str, &'static str)],
    pub(crate) parse: Parse,
}

/// How text becomes a value.
#[derive(Clone, Copy)]
pub(crate) enum Parse {
    /// Any text; nothing looks at it.
    Anything,
    /// A whole number between two bounds.
    Number { min: i64, max: i64, set: fn(&mut Draft, i64) },
    /// A whole number; with one below `min` Java starts, too, and `instead` is used here.
    Corrected { min: i64, max: i64, instead: i64, set: fn(&mut Draft, i64) },
    /// A finite number, 0 or more.
    Real(fn(&mut Draft, f64)),
    /// `true` or `false`; anything else is a mistake.
    StrictBool(fn(&mut Draft, bool)),
    /// `true`, or anything else for false.
    LenientBool(fn(&mut Draft, bool)),
    /// Rules of its own.
    Custom(fn(&mut Draft, &Raw<'_>) -> Verdict),
}

/// A key's text on its way through a rule of its own.
pub(crate) struct Raw<'a> {
    /// The name as set, without `zookeeper.`; matters for families.
    pub name: &'a str,
    /// The text.
    pub value: &'a str,
    /// The table row.
    pub key: &'a Key,
}

/// Taken, perhaps with a warning; or what is wrong.
pub(crate) type Verdict = Result<Option<String>, Problem>;

/// What is wrong with a value.
pub(crate) struct Problem {
    /// The whole message, or what follows `key=value`.
    pub text: String,
    /// Whether `text` already says which key it is about.
    pub whole: bool,
    /// What to do; the key's own example if empty.
    pub hint: String,
}

impl Problem {
    /// A problem said as `key=value <text>`.
    pub fn value(text: impl Into<String>) -> Self {
        Problem { text: text.into(), whole: false, hint: String::new() }
    }

    /// A problem in Java's own words.
    pub fn whole(text: impl Into<String>) -> Self {
        Problem { text: text.into(), whole: true, hint: String::new() }
    }

    /// Adds the remedy.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }
}

/// Only a boolean that Java would refuse too; its value goes nowhere.
pub(crate) fn ignored_bool(_: &mut Draft, _: bool) {}

/// Only a number that Java would refuse too; its value goes nowhere.
pub(crate) fn ignored_number(_: &mut Draft, _: i64) {}

impl Key {
    const fn new(scope: Scope, name: &'static str, default: &'static str, example: &'static str) -> Self {
        Key {
            name,
            aliases: &[],
            prefix: None,
            scope,
            default,
            example,
            unit: "",
            class: Class::A,
            honour: Honour::Same,
            doc: "",
            secret: false,
            silent: &[],
            needs: &[],
            parse: Parse::Anything,
        }
    }

    pub(crate) const fn file(name: &'static str, default: &'static str, example: &'static str) -> Self {
        Key::new(Scope::File, name, default, example)
    }

    pub(crate) const fn prefixed(name: &'static str, default: &'static str, example: &'static str) -> Self {
        Key::new(Scope::Prefixed, name, default, example)
    }

    pub(crate) const fn bare(name: &'static str, default: &'static str, example: &'static str) -> Self {
        Key::new(Scope::Bare, name, default, example)
    }

    pub(crate) const fn either(name: &'static str, default: &'static str, example: &'static str) -> Self {
        Key::new(Scope::Either, name, default, example)
    }

    pub(crate) const fn own(name: &'static str, default: &'static str, example: &'static str) -> Self {
        Key::new(Scope::Own, name, default, example)
    }

    pub(crate) const fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// Makes the row stand for every key that begins with `prefix`.
    pub(crate) const fn family(mut self, prefix: &'static str) -> Self {
        self.prefix = Some(prefix);
        self
    }

    pub(crate) const fn unit(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }

    pub(crate) const fn class(mut self, class: Class) -> Self {
        self.class = class;
        self
    }

    pub(crate) const fn doc(mut self, doc: &'static str) -> Self {
        self.doc = doc;
        self
    }

    pub(crate) const fn differently(mut self, how: &'static str) -> Self {
        self.honour = Honour::Differently(how);
        self
    }

    pub(crate) const fn no_effect(mut self, why: &'static str) -> Self {
        self.honour = Honour::NoEffect(why);
        self
    }

    pub(crate) const fn in_ensemble(mut self) -> Self {
        self.honour = Honour::InEnsemble;
        self
    }

    pub(crate) const fn refused(mut self, when: &'static str) -> Self {
        self.honour = Honour::Refused(when);
        self
    }

    pub(crate) const fn silent(mut self, values: &'static [&'static str]) -> Self {
        self.silent = values;
        self
    }

    pub(crate) const fn needs(mut self, settings: &'static [(&'static str, &'static str)]) -> Self {
        self.needs = settings;
        self
    }

    pub(crate) const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    /// A number of Java's type `int`.
    pub(crate) const fn int(mut self, min: i64, set: fn(&mut Draft, i64)) -> Self {
        self.parse = Parse::Number { min, max: i32::MAX as i64, set };
        self
    }

    /// A number of Java's type `int` that stops no start: one below `min` counts as `instead`, with a warning.
    pub(crate) const fn corrected(mut self, min: i64, instead: i64, set: fn(&mut Draft, i64)) -> Self {
        self.parse = Parse::Corrected { min, max: i32::MAX as i64, instead, set };
        self
    }

    /// The same of Java's type `long`.
    pub(crate) const fn corrected_long(mut self, min: i64, instead: i64, set: fn(&mut Draft, i64)) -> Self {
        self.parse = Parse::Corrected { min, max: i64::MAX, instead, set };
        self
    }

    /// A number of Java's type `long`.
    pub(crate) const fn long(mut self, min: i64, set: fn(&mut Draft, i64)) -> Self {
        self.parse = Parse::Number { min, max: i64::MAX, set };
        self
    }

    pub(crate) const fn real(mut self, set: fn(&mut Draft, f64)) -> Self {
        self.parse = Parse::Real(set);
        self
    }

    pub(crate) const fn strict_bool(mut self, set: fn(&mut Draft, bool)) -> Self {
        self.parse = Parse::StrictBool(set);
        self
    }

    pub(crate) const fn lenient_bool(mut self, set: fn(&mut Draft, bool)) -> Self {
        self.parse = Parse::LenientBool(set);
        self
    }

    pub(crate) const fn custom(mut self, rule: fn(&mut Draft, &Raw<'_>) -> Verdict) -> Self {
        self.parse = Parse::Custom(rule);
        self
    }

    /// Whether `name`, without `zookeeper.`, is this key or one of its family.
    pub fn is_named(&self, name: &str) -> bool {
        match self.prefix {
            Some(prefix) => name.starts_with(prefix),
            None => self.name == name || self.aliases.contains(&name),
        }
    }

    /// The name in Java's system properties, if it has one there.
    pub fn property(&self) -> Option<String> {
        match self.scope {
            Scope::File | Scope::Own => None,
            Scope::Prefixed | Scope::Either => Some(format!("zookeeper.{}", self.name)),
            Scope::Bare => Some(self.name.to_owned()),
        }
    }

    /// A value as Java's parser for this key would read it.
    pub(crate) fn number(&self, text: &str, min: i64, max: i64) -> Result<i64, Problem> {
        let read = if self.scope == Scope::File { java_number::parse } else { java_number::decode };
        let number = read(text).ok_or_else(|| Problem::value("is not a number"))?;
        if number < min {
            return Err(Problem::value(format!("must be at least {min}")));
        }
        if max < number {
            return Err(Problem::value(format!("must be at most {max}")));
        }
        Ok(number)
    }

    fn is_numeric(&self) -> bool {
        match self.parse {
            Parse::Number { .. } | Parse::Corrected { .. } | Parse::Real(_) => true,
            Parse::Custom(_) => java_number::decode(self.default).is_some(),
            Parse::Anything | Parse::StrictBool(_) | Parse::LenientBool(_) => false,
        }
    }

    /// Reads `value` into the draft.
    pub(crate) fn apply(&self, draft: &mut Draft, name: &str, value: &str) -> Verdict {
        if value.is_empty() && self.scope != Scope::File && self.is_numeric() {
            // Java's `Integer.getInteger` takes it for unset; templates leave such lines behind.
            return Ok(Some(format!("{} is empty, the default {} is used", self.name, self.default)));
        }
        match self.parse {
            Parse::Anything => (),
            Parse::Number { min, max, set } => set(draft, self.number(value, min, max)?),
            Parse::Corrected { min, max, instead, set } => {
                let number = self.number(value, i64::MIN, max)?;
                let is_corrected = number < min;
                set(draft, if is_corrected { instead } else { number });
                return Ok(
                    is_corrected.then(|| format!("{name}={value} is below {min} and counts as {instead}"))
                );
            }
            Parse::Real(set) => {
                let number = value.parse().ok().filter(|number: &f64| number.is_finite());
                let number = number.ok_or_else(|| Problem::value("is not a number"))?;
                if number < 0.0 {
                    return Err(Problem::value("must be at least 0"));
                }
                set(draft, number);
            }
            Parse::StrictBool(set) => set(draft, strict(self.name, value)?),
            Parse::LenientBool(set) => {
                set(draft, java_number::lenient_bool(value));
                return Ok(doubtful(name, value, java_number::lenient_bool(value)));
            }
            Parse::Custom(rule) => return rule(draft, &Raw { name, value, key: self }),
        }
        Ok(None)
    }

    /// The remedy of last resort: what a good value looks like.
    pub(crate) fn hint(&self) -> String {
        let example = format!("for example `{}={}`", self.name, self.example);
        if self.unit.is_empty() { example } else { format!("{}, {example}", self.unit) }
    }
}

/// The warning about a word that Java takes without a sound, and that somebody may have meant otherwise.
pub(crate) fn doubtful(name: &str, value: &str, counts_as: bool) -> Option<String> {
    let is_clear = java_number::strict_bool(value).is_some();
    (!is_clear).then(|| format!("{name}={value} is neither true nor false and counts as {counts_as}"))
}

/// A boolean of zoo.cfg, refused in Java's words.
pub(crate) fn strict(key: &str, value: &str) -> Result<bool, Problem> {
    java_number::strict_bool(value).ok_or_else(|| {
        Problem::whole(format!("Invalid option {value} for {key}. Choose 'true' or 'false.'"))
            .hint(format!("write `{key}=true` or `{key}=false`"))
    })
}
