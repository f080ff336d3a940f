//! `${…}` in values of the login configuration, as the JDK's `PropertyExpander` has it.
//!
//! `${name}` stands for the system property of that name, and `${/}` for a slash. `${{…}}` and what has no end stand for themselves,
//! and so does whatever a property's own text has of it. A value of which nothing is left is no value: it would be somebody's
//! empty password.

/// Why a value is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unexpanded {
    /// It asks for a property of this name, which is not set.
    Missing(String),
    /// All that it asks for is empty.
    Empty,
}

/// A value with its properties put in.
pub(crate) fn expanded(value: &str, property: &dyn Fn(&str) -> Option<String>) -> Result<String, Unexpanded> {
    let mut text = String::with_capacity(value.len());
    let mut rest = value;
    while let Some((before, behind)) = rest.split_once("${") {
        text += before;
        let begun = &rest[before.len()..];
        if behind.starts_with('{') {
            let literal = begun.find("}}").map_or(begun.len(), |at| at + 2);
            text += &begun[..literal];
            rest = &begun[literal..];
            continue;
        }
        let Some((name, after)) = behind.split_once('}') else { return Ok(text + begun) };
        if name == "/" {
            text.push('/');
        } else {
            let found = Some(name).filter(|name| !name.is_empty()).and_then(property);
            text += &found.ok_or_else(|| Unexpanded::Missing(name.to_owned()))?;
        }
        rest = after;
    }
    text += rest;
    if text.is_empty() && !value.is_empty() { Err(Unexpanded::Empty) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each of these was put to the login configuration of a JDK (17).
    #[test]
    fn properties_are_put_in_as_by_the_jdk() {
        let property = |name: &str| match name {
            "a" => Some("1".to_owned()),
            "b c" => Some("${a}".to_owned()),
            "" => Some("nobody's".to_owned()),
            "e" => Some(String::new()),
            _ => None,
        };
        let missing = |name: &str| Err(Unexpanded::Missing(name.to_owned()));
        for (value, expected) in [
            ("", Ok("")),
            ("$a {a} $", Ok("$a {a} $")),
            ("x${a}y${a}", Ok("x1y1")),
            ("${b c}", Ok("${a}")),
            ("a${/}b", Ok("a/b")),
            ("${a", Ok("${a")),
            ("${a}${a", Ok("1${a")),
            ("${{a}}${a}", Ok("${{a}}1")),
            ("${{a}${a}", Ok("${{a}${a}")),
            ("${{a}}", Ok("${{a}}")),
            ("$${a}", Ok("$1")),
            ("é${a}é", Ok("é1é")),
            ("${{", Ok("${{")),
            ("${/", Ok("${/")),
            ("x${e}", Ok("x")),
            ("${e}", Err(Unexpanded::Empty)),
            ("${c}", missing("c")),
            ("${ a}", missing(" a")),
            ("${}", missing("")),
            ("${a${a}}", missing("a${a")),
        ] {
            let expected = expected.map(str::to_owned);
            assert_eq!(expanded(value, &property), expected, "{value}");
        }
    }
}
