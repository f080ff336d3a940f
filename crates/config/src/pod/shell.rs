//! What can be understood of the shell files that Java's scripts read before they start: `java.env`, `zookeeper-env.sh`.
//!
//! Nearly all of them only set variables, one per line: `NAME=value`, `export NAME="a $B ${C:-d}"`, `'as it stands'`. That
//! much is understood. Anything else would need a shell and is named, line by line.

use std::collections::BTreeMap;

/// What such a file sets, in order, and the lines that were not understood, counted from 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assignments {
    /// Names and values; a later one may use an earlier one.
    pub set: Vec<(String, String)>,
    /// Lines that are more than an assignment.
    pub not_understood: Vec<usize>,
}

/// Reads the file's text; `outside` has what is set already.
pub fn assignments(text: &str, outside: &BTreeMap<String, String>) -> Assignments {
    let mut found = Assignments::default();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let known = |name: &str| {
            let set = found.set.iter().rev().find(|(each, _)| each == name).map(|(_, value)| value);
            set.or_else(|| outside.get(name)).cloned().unwrap_or_default()
        };
        match assignment(line, &known) {
            Some(pair) => found.set.push(pair),
            None => found.not_understood.push(index + 1),
        }
    }
    found
}

fn assignment(line: &str, known: &dyn Fn(&str) -> String) -> Option<(String, String)> {
    let line = line.strip_prefix("export ").map_or(line, str::trim_start);
    let (name, value) = line.split_once('=')?;
    let starts_well = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    let is_name = starts_well && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    Some((name.to_owned(), word(value, known)?)).filter(|_| is_name)
}

/// One word of a shell; `None` if it is more.
fn word(text: &str, known: &dyn Fn(&str) -> String) -> Option<String> {
    let mut value = String::new();
    let mut rest = text;
    let mut is_quoted = false;
    while let Some(next) = rest.chars().next() {
        let behind = &rest[next.len_utf8()..];
        rest = behind;
        match next {
            '"' => is_quoted = !is_quoted,
            '\'' if !is_quoted => {
                let (literal, behind) = behind.split_once('\'')?;
                value.push_str(literal);
                rest = behind;
            }
            '\\' => {
                let escaped = behind.chars().next()?;
                if is_quoted && !matches!(escaped, '"' | '\\' | '$' | '`') {
                    value.push('\\');
                }
                value.push(escaped);
                rest = &behind[escaped.len_utf8()..];
            }
            '$' => rest = expand(behind, known, &mut value)?,
            '`' => return None,
            ' ' | '\t' if !is_quoted => {
                let comment = behind.trim_start();
                return (comment.is_empty() || comment.starts_with('#')).then_some(value);
            }
            ';' if !is_quoted => return behind.trim().is_empty().then_some(value),
            '|' | '&' | '<' | '>' | '(' | ')' if !is_quoted => return None,
            other => value.push(other),
        }
    }
    (!is_quoted).then_some(value)
}

/// Appends the value of the variable whose name begins `text`; yields what is behind the name.
fn expand<'t>(text: &'t str, known: &dyn Fn(&str) -> String, value: &mut String) -> Option<&'t str> {
    let name_length =
        |text: &str| text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    let Some(braced) = text.strip_prefix('{') else {
        let length = name_length(text);
        if length == 0 {
            return None; // `$(command)`, `$1` and their like.
        }
        value.push_str(&known(&text[..length]));
        return Some(&text[length..]);
    };
    let (inside, behind) = braced.split_once('}')?;
    let (name, modifier) = inside.split_at(name_length(inside));
    let set = known(name);
    match modifier.strip_prefix(":-").or_else(|| modifier.strip_prefix('-')) {
        Some(default) if set.is_empty() => value.push_str(default),
        None if !modifier.is_empty() => return None,
        _ => value.push_str(&set),
    }
    Some(behind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(text: &str) -> Vec<(String, String)> {
        let outside = BTreeMap::from([("HOME".to_owned(), "/root".to_owned())]);
        let found = assignments(text, &outside);
        assert_eq!(found.not_understood, Vec::<usize>::new(), "{text}");
        found.set
    }

    fn value(text: &str) -> String {
        set(text).pop().unwrap().1
    }

    #[test]
    fn assignments_are_understood() {
        for (text, expected) in [
            ("A=b", "b"),
            ("export A=b # why", "b"),
            ("A=\"-Xmx512M -Xms512M\"", "-Xmx512M -Xms512M"),
            ("A='$HOME \"x\"'", "$HOME \"x\""),
            ("A=\"$HOME/a:${HOME}b\"", "/root/a:/rootb"),
            ("A=${NOWHERE:-there};", "there"),
            ("A=a\\ b\"c\\\"d\\e\"", "a bc\"d\\e"),
            ("A=", ""),
        ] {
            assert_eq!(value(text), expected, "{text}");
        }
    }

    #[test]
    fn a_later_line_may_use_an_earlier_one() {
        assert_eq!(value("# flags\nA=1\n\nA=\"$A -Db=2\"\n"), "1 -Db=2");
    }

    #[test]
    fn what_needs_a_shell_is_named() {
        let text = "A=1\nif true; then\nB=$(date)\nC=`date`\nD=\"open\nE=1 command\n1F=2\nG=${H%x}\n";
        let found = assignments(text, &BTreeMap::new());
        assert_eq!(found.set, [("A".to_owned(), "1".to_owned())]);
        assert_eq!(found.not_understood, [2, 3, 4, 5, 6, 7, 8]);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "[A-C=$\\{\\}:\"'\\\\ é;#\n-]{0,60}") {
            let _ = assignments(&text, &BTreeMap::new());
        }
    }
}
