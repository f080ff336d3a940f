//! The tree in the export format of `ncdu`, to be browsed by size: an array of arrays, each of which begins with its directory.

use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use super::image::Image;
use crate::console::End;

/// The number before the first one, which only has to differ from all others.
const INODE_BEFORE_FIRST: u64 = 1000;

/// What stands ahead of the walk.
enum Ahead {
    Znode(u32),
    Close,
}

/// Prints the tree on one line without an end.
pub(super) fn print(image: &Image<'_>, out: &mut dyn Write) -> Result<(), End> {
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let program = "\"progname\":\"SnapshotFormatter.java\",\"progver\":\"0.01\"";
    write!(out, "[1,0,{{{program},\"timestamp\":{now_ms}}}")?;
    let mut inode = INODE_BEFORE_FIRST;
    let mut ahead: Vec<Ahead> = image.root.map(Ahead::Znode).into_iter().collect();
    while let Some(next) = ahead.pop() {
        let Ahead::Znode(place) = next else {
            out.write_all(b"]")?;
            continue;
        };
        let znode = image.znode(place);
        inode += 1;
        let open = if znode.children.is_empty() { "" } else { "[" };
        let (name, bytes) = (quoted(if znode.path.is_empty() { "/" } else { znode.name() }), znode.length());
        write!(
            out,
            ",{open}{{\"name\":\"{name}\",\"asize\":{bytes},\"dsize\":{bytes},\"dev\":0,\"ino\":{inode}}}"
        )?;
        if !znode.children.is_empty() {
            ahead.push(Ahead::Close);
            ahead.extend(image.children(place).rev().map(Ahead::Znode));
        }
    }
    out.write_all(b"]")?;
    Ok(())
}

/// As Jackson's `JsonStringEncoder` escapes.
pub(super) fn quoted(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            c if c < ' ' => write!(out, "\\u{:04X}", c as u32).expect("writing to a string cannot fail"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_as_jackson_quotes_them() {
        assert_eq!(quoted("a\"b\\c\td\u{1}\u{1f}\u{7f}ä/"), "a\\\"b\\\\c\\td\\u0001\\u001F\u{7f}ä/");
    }
}
