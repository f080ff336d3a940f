//! The tables of `docs/kubernetes.md`, written from the dialects.

use super::{Becomes, DIALECTS, Dialect, Variable, scripts};
use std::fmt::Write as _;

/// One table for each dialect, and one of what ZooKeeper's own scripts read.
pub fn manual() -> String {
    let mut text: String = DIALECTS.iter().map(|dialect| table(dialect)).collect();
    text.push_str(
        "### ZooKeeper's own scripts, in any image\n\n| variable | what comes of it |\n| --- | --- |\n",
    );
    for (name, what) in scripts::VARIABLES {
        let _ = writeln!(text, "| `{name}` | {what} |");
    }
    text.push('\n');
    text
}

fn table(dialect: &Dialect) -> String {
    let title = dialect.image.strip_prefix("the ").unwrap_or(dialect.image);
    let mut text = format!("### {title}\n\n| variable | default | what it becomes |\n| --- | --- | --- |\n");
    for Variable { name, default, becomes } in dialect.variables {
        let default = if default.is_empty() { String::new() } else { format!("`{default}`") };
        let becomes = match becomes {
            Becomes::Line(key) => format!("`{key}`"),
            Becomes::Switch(key) => format!("`{key}`, for yes or no"),
            Becomes::Property(key) => format!("`-D{key}`"),
            Becomes::Own(what) => (*what).to_owned(),
            Becomes::Nothing(why) => format!("nothing: {why}"),
            Becomes::With(switch, key) => format!("`{key}`, with `{switch}`"),
        };
        let _ = writeln!(text, "| `{name}` | {default} | {becomes} |");
    }
    if let Some(prefix) = dialect.key_prefix {
        let _ = writeln!(text, "| `{prefix}a_b` | | `a.b` |");
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the manual is a file of the repository")]
    fn the_manual_says_what_the_tables_say() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/kubernetes.md");
        let (begin, end) = ("<!-- variables -->\n\n", "<!-- end of variables -->\n");
        let written = std::fs::read_to_string(path).unwrap();
        let (before, rest) = written.split_once(begin).expect("the tables have a place");
        let (tables, after) = rest.split_once(end).expect("the tables have an end");
        if std::env::var_os("ZABD_UPDATE_DOCS").is_some() {
            return std::fs::write(path, format!("{before}{begin}{}{end}{after}", manual())).unwrap();
        }
        assert!(
            tables == manual(),
            "docs/kubernetes.md differs from the dialects; run `ZABD_UPDATE_DOCS=1 cargo test -p zabd-config`"
        );
    }
}
