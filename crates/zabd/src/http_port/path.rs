//! What is asked for, as Jetty understands it: without parameters, decoded, then without dots. Slashes that follow each other stay.

use super::hexadecimal;

/// The path that is meant; nothing, if an escape is none, or if it leads out of everything.
pub fn meant(path: &str) -> Option<String> {
    without_dots(&unescaped(&without_parameters(path))?)
}

/// `/a;b/c` is `/a/c`.
fn without_parameters(path: &str) -> String {
    let segment = |segment: &str| segment.split(';').next().unwrap_or_default().to_owned();
    path.split('/').map(segment).collect::<Vec<_>>().join("/")
}

fn unescaped(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => hexadecimal(rest.next()?)? << 4 | hexadecimal(rest.next()?)?,
            byte => byte,
        });
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn without_dots(path: &str) -> Option<String> {
    let mut kept = Vec::new();
    let mut segments = path.split('/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                // The first one is empty, before the first slash.
                if segment == ".." && (kept.len() < 2 || kept.pop().is_none()) {
                    return None;
                }
                if is_last {
                    kept.push("");
                }
            }
            _ => kept.push(segment),
        }
    }
    Some(kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_what_jetty_makes_of_them() {
        for (path, expected) in [
            ("/commands/ruok", Some("/commands/ruok")),
            ("/commands%2Fru%6fk", Some("/commands/ruok")),
            ("/commands;a=b/ruok;x=1", Some("/commands/ruok")),
            ("/commands/../commands/./ruok", Some("/commands/ruok")),
            ("/commands/ruok/..", Some("/commands/")),
            ("/commands/..", Some("/")),
            ("//commands//ruok/", Some("//commands//ruok/")),
            ("/a+b", Some("/a+b")),
            ("/..", None),
            ("/commands/%zz", None),
            ("/commands/%6", None),
            ("*", Some("*")),
        ] {
            assert_eq!(meant(path).as_deref(), expected, "{path}");
        }
    }
}
