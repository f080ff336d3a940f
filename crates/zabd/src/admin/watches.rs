//! `wchs`, `wchc` and `wchp`: who watches what. As in Java, one-shot child watches are not reported.

use std::fmt::{Display, Write as _};
use std::sync::Arc;

use zabd_jute::SessionId;

use crate::introspect::Introspection;

/// Three figures.
pub(super) fn wchs(server: &Introspection) -> String {
    let _tree = server.driver.tree();
    let counts = server.driver.watches().counts();
    format!(
        "{} connections watching {} paths\nTotal watches:{}\n",
        counts.connections, counts.paths, counts.watches
    )
}

/// Paths by session.
pub(super) fn wchc(server: &Introspection) -> String {
    let mut watches = reported(server);
    watches.sort_unstable_by(|(path, session), (other, theirs)| (session, path).cmp(&(theirs, other)));
    grouped(watches.iter().map(|(path, session)| (session, path)))
}

/// Sessions by path.
pub(super) fn wchp(server: &Introspection) -> String {
    let mut watches = reported(server);
    watches.sort_unstable();
    grouped(watches.iter().map(|(path, session)| (path, session)))
}

/// Nobody waits for the sorting and the text: clients need the locks.
pub(super) fn reported(server: &Introspection) -> Vec<(Arc<str>, SessionId)> {
    let _tree = server.driver.tree();
    server.driver.watches().reported()
}

/// A line for each head, and one for each of its members below it.
fn grouped<H: Display + PartialEq, M: Display>(each: impl Iterator<Item = (H, M)>) -> String {
    let mut text = String::new();
    let mut head = None;
    for (its_head, member) in each {
        if head.as_ref() != Some(&its_head) {
            let _ = writeln!(text, "{its_head}");
            head = Some(its_head);
        }
        let _ = writeln!(text, "\t{member}");
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_told_once() {
        assert_eq!(grouped([("a", 1), ("a", 2), ("b", 1)].into_iter()), "a\n\t1\n\t2\nb\n\t1\n\n");
        assert_eq!(grouped(std::iter::empty::<(&str, i32)>()), "\n");
    }
}
