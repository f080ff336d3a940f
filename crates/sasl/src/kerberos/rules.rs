//! Rules that make short names of principals: `zookeeper.security.auth_to_local`.
//!
//! ```text
//! DEFAULT                              the first part, of whoever is in the default realm
//! RULE:[2:$1;$2@$0](zk;.*@R)s/;.*//g
//!       │ └─format  └─match  └─change, `g` for every match
//!       └─for principals of so many parts
//! ```
//!
//! `$0` is the realm. The first rule that is for a principal gives its name, which may have no `/` and no `@`. As in Java, but
//! a rule that could never work is a mistake at once, and not when somebody logs in.

use regex_lite::Regex;

use super::KerberosName;

/// All of them, in their order.
#[derive(Clone, Debug)]
pub struct Rules(Vec<Rule>);

#[derive(Clone, Debug)]
enum Rule {
    Default,
    Format { parts: usize, format: Vec<Piece>, matching: Option<Regex>, change: Option<Change> },
}

#[derive(Clone, Debug)]
struct Change {
    from: Regex,
    to: Vec<Piece>,
    every: bool,
}

/// Of a text with places in it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Place(usize),
}

/// What is wrong with rules.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    /// It has no form of a rule.
    #[error("`{0}` does not begin with `DEFAULT` or a rule like `RULE:[1:$1](match)s/from/to/`")]
    Form(String),
    /// A place is not there.
    #[error("`{text}` has a `${place}`, and there is no such part")]
    Place {
        /// Where.
        text: String,
        /// What stands behind the `$`.
        place: String,
    },
    /// It is no regular expression, or one of Java's alone.
    #[error("`{pattern}` is no regular expression that is known here: {problem}")]
    Pattern {
        /// The expression.
        pattern: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// Why the rules say nothing about a principal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unmatched {
    /// None is for it.
    #[error("no rule of auth_to_local is for it")]
    NoRule,
    /// The one that is for it makes no short name of it.
    #[error("a rule of auth_to_local makes `{0}` of it, which has an `@` or a `/`")]
    NotSimple(String),
}

impl Default for Rules {
    fn default() -> Self {
        Self(vec![Rule::Default])
    }
}

impl Rules {
    /// Reads them; white space may stand before each.
    pub fn parse(text: &str) -> Result<Self, RulesError> {
        let mut rest = text.trim();
        let mut rules = Vec::new();
        while !rest.is_empty() {
            let (rule, behind) = one(rest.trim_start())?.ok_or_else(|| RulesError::Form(rest.to_owned()))?;
            rules.push(rule);
            rest = behind;
        }
        Ok(Self(rules))
    }

    /// The short name of a principal.
    pub fn short_name(&self, name: &KerberosName<'_>, default_realm: &str) -> Result<String, Unmatched> {
        let Some(realm) = name.realm else { return Ok(name.service.to_owned()) };
        let parts: Vec<&str> = [Some(realm), Some(name.service), name.host].into_iter().flatten().collect();
        let found = self.0.iter().find_map(|rule| rule.apply(&parts, default_realm));
        match found {
            None => Err(Unmatched::NoRule),
            Some(short) if short.contains(['/', '@']) => Err(Unmatched::NotSimple(short)),
            Some(short) => Ok(short),
        }
    }
}

impl Rule {
    fn apply(&self, parts: &[&str], default_realm: &str) -> Option<String> {
        match self {
            Self::Default => (parts[0] == default_realm).then(|| parts[1].to_owned()),
            Self::Format { parts: count, format, matching, change } => {
                let base = (parts.len() == count + 1).then(|| filled(format, |place| Some(parts[place])))?;
                if matching.as_ref().is_some_and(|matching| !matching.is_match(&base)) {
                    return None;
                }
                Some(change.as_ref().map_or(base.clone(), |change| change.apply(&base)))
            }
        }
    }
}

impl Change {
    fn apply(&self, base: &str) -> String {
        let replacement = |found: &regex_lite::Captures<'_>| {
            filled(&self.to, |place| found.get(place).map(|found| found.as_str()))
        };
        let count = usize::from(!self.every);
        self.from.replacen(base, count, replacement).into_owned()
    }
}

fn filled<'a>(pieces: &[Piece], part: impl Fn(usize) -> Option<&'a str>) -> String {
    let text = |piece: &Piece| match piece {
        Piece::Text(text) => text.clone(),
        Piece::Place(place) => part(*place).unwrap_or_default().to_owned(),
    };
    pieces.iter().map(text).collect()
}

/// The first rule of a text, and what stands behind it.
fn one(text: &str) -> Result<Option<(Rule, &str)>, RulesError> {
    if let Some(rest) = text.strip_prefix("DEFAULT") {
        return Ok(Some((Rule::Default, rest)));
    }
    let split = text.strip_prefix("RULE:[").and_then(|rest| rest.split_once(':'));
    let Some((count, rest)) = split else { return Ok(None) };
    let Some((format_text, mut rest)) = rest.split_once(']') else { return Ok(None) };
    let Ok(parts) = count.parse::<usize>() else { return Ok(None) };

    let mut matching = None;
    if let Some((pattern, behind)) = rest.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
        // Java asks whether the whole name matches.
        matching = Some(regex(pattern, &format!("^(?:{pattern})$"))?);
        rest = behind;
    }
    let mut change = None;
    if let Some((from_text, to_text, behind)) = changed(rest) {
        let from = regex(from_text, from_text)?;
        let to = replacement(to_text, from.captures_len() - 1)?;
        let (every, behind) = behind.strip_prefix('g').map_or((false, behind), |behind| (true, behind));
        change = Some(Change { from, to, every });
        rest = behind;
    }
    Ok(Some((Rule::Format { parts, format: format(format_text, parts)?, matching, change }, rest)))
}

/// `s/from/to/` at the beginning of a text, and what stands behind it.
fn changed(text: &str) -> Option<(&str, &str, &str)> {
    let (from, rest) = text.strip_prefix("s/")?.split_once('/')?;
    let (to, rest) = rest.split_once('/')?;
    Some((from, to, rest))
}

fn regex(shown: &str, pattern: &str) -> Result<Regex, RulesError> {
    let blamed = |error: regex_lite::Error| RulesError::Pattern {
        pattern: shown.to_owned(),
        problem: error.to_string(),
    };
    Regex::new(pattern).map_err(blamed)
}

/// A text with `$0` up to `$<parts>`.
fn format(text: &str, parts: usize) -> Result<Vec<Piece>, RulesError> {
    let mut pieces = Vec::new();
    let mut between = text.split('$');
    pieces.push(Piece::Text(between.next().unwrap_or_default().to_owned()));
    for part in between {
        let digits = part.len() - part.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (place, rest) = part.split_at(digits);
        let number = place.parse().ok().filter(|number| *number <= parts);
        let missing = || RulesError::Place { text: text.to_owned(), place: place.to_owned() };
        pieces.push(Piece::Place(number.ok_or_else(missing)?));
        pieces.push(Piece::Text(rest.to_owned()));
    }
    Ok(pieces)
}

/// What Java puts in the place of a match: `$1` is a group, of as many digits as there are such groups, and `\` makes of what
/// follows it nothing but itself.
fn replacement(text: &str, groups: usize) -> Result<Vec<Piece>, RulesError> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut chars = text.chars().peekable();
    while let Some(next) = chars.next() {
        match next {
            '\\' => plain.extend(chars.next()),
            '$' => {
                let missing = |place: Option<&char>| RulesError::Place {
                    text: text.to_owned(),
                    place: place.map(char::to_string).unwrap_or_default(),
                };
                let digit = |c: &char| c.to_digit(10).map(|digit| digit as usize);
                let first = chars.peek().and_then(digit).filter(|group| *group <= groups);
                let mut group = first.ok_or_else(|| missing(chars.peek()))?;
                chars.next();
                while let Some(longer) =
                    chars.peek().and_then(digit).map(|digit| group * 10 + digit).filter(|it| *it <= groups)
                {
                    group = longer;
                    chars.next();
                }
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
                pieces.push(Piece::Place(group));
            }
            other => plain.push(other),
        }
    }
    pieces.push(Piece::Text(plain));
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short(rules: &str, principal: &str) -> Result<String, Unmatched> {
        Rules::parse(rules).unwrap().short_name(&KerberosName::parse(principal).unwrap(), "R")
    }

    fn ok(text: &str) -> Result<String, Unmatched> {
        Ok(text.to_owned())
    }

    #[test]
    fn the_default_rule_is_for_the_default_realm() {
        assert_eq!(short("DEFAULT", "alice@R"), ok("alice"));
        assert_eq!(short("DEFAULT", "zk/host@R"), ok("zk"));
        assert_eq!(short("DEFAULT", "alice@OTHER"), Err(Unmatched::NoRule));
        assert_eq!(short("DEFAULT", "alice"), ok("alice"));
        assert_eq!(short("", "alice@R"), Err(Unmatched::NoRule));
    }

    /// Rules as Hadoop's and ZooKeeper's guides have them.
    #[test]
    fn rules_apply_in_their_order() {
        let rules = "RULE:[2:$1;$2@$0](zk;.*@R)s/;.*//\n RULE:[1:$1@$0](.*@OTHER)s/@.*//DEFAULT";
        assert_eq!(short(rules, "zk/host@R"), ok("zk"));
        assert_eq!(short(rules, "bob@OTHER"), ok("bob"));
        assert_eq!(short(rules, "hdfs/host@R"), ok("hdfs"));
        assert_eq!(short(rules, "hdfs/host@OTHER"), Err(Unmatched::NoRule));
    }

    #[test]
    fn a_match_is_of_the_whole_name() {
        assert_eq!(short("RULE:[1:$1](bob)", "bobby@R"), Err(Unmatched::NoRule));
        assert_eq!(short("RULE:[1:$1](a|b)", "ab@R"), Err(Unmatched::NoRule));
        assert_eq!(short("RULE:[1:$1](a|b)", "b@R"), ok("b"));
    }

    #[test]
    fn changes_of_the_first_match_and_of_every() {
        assert_eq!(short("RULE:[1:$1]s/a/b/", "aXa@R"), ok("bXa"));
        assert_eq!(short("RULE:[1:$1]s/a/b/g", "aXa@R"), ok("bXb"));
        assert_eq!(short("RULE:[1:$1]s/(.)(.*)/$2-$1/", "abc@R"), ok("bc-a"));
        assert_eq!(short(r"RULE:[1:$1]s/(b)/$10\$/", "abc@R"), ok("ab0$c"), "there is no tenth group");
        assert_eq!(short("RULE:[1:$1]s/(x)?b/[$1]/", "abc@R"), ok("a[]c"));
    }

    #[test]
    fn a_short_name_is_simple() {
        assert_eq!(short("RULE:[1:$1@$0]", "a@R"), Err(Unmatched::NotSimple("a@R".into())));
        assert_eq!(short("RULE:[2:$1/$2]", "a/b@R"), Err(Unmatched::NotSimple("a/b".into())));
    }

    #[test]
    fn mistakes() {
        for (rules, expected) in [
            ("DEFAULTS", "`S` does not begin with"),
            ("RULE:[x:$1]", "`RULE:[x:$1]` does not begin with"),
            ("RULE:[1:$1](a", "`(a` does not begin with"),
            ("RULE:[1:$2]", "has a `$2`"),
            ("RULE:[1:$1$]", "has a `$`"),
            ("RULE:[1:$1]s/a/$1/", "has a `$1`"),
            ("RULE:[1:$1](a(b)", "`a(b` is no regular expression"),
            ("RULE:[1:$1]s/(?=a)/b/", "`(?=a)` is no regular expression"),
        ] {
            let text = Rules::parse(rules).unwrap_err().to_string();
            assert!(text.contains(expected), "{rules}: {text}");
        }
    }
}
