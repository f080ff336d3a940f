//! `wchs`, `wchc` and `wchp`: who watches what. As in Java, one-shot child watches are not reported.
//!
//! A list takes memory for as long as it is made and read, which ten million watches would not leave: it has a bound, which is
//! lower where memory is scarce, and whoever asks for more is told how many there are.

use std::fmt::{Display, Write as _};
use std::sync::Arc;

use zabd_jute::SessionId;

use crate::driver::Driver;
use crate::introspect::Introspection;
use crate::memory::at_most;

/// How much one list may take while it is made, in bytes.
const LIST_BYTES_MAX: usize = 128 << 20;
/// What one watch takes of that: itself, its value or line, and the text.
const BYTES_PER_WATCH: usize = 512;

/// How often a path is there while a list is made: as itself, in what is told, and in the text, which grows by doubling.
const COPIES: usize = 4;

/// A list would take more memory than one answer may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TooMuchToList {
    /// More watches.
    #[error("There are {watches} watches, more than the {most} that one answer may list; wchs counts them")]
    Watches {
        /// There are so many.
        watches: usize,
        /// So many may be listed.
        most: usize,
    },
    /// Longer paths.
    #[error("The paths are longer than the {most} bytes that one answer may be made of")]
    Paths {
        /// So long they may be.
        most: usize,
    },
}

/// Adds up what the entries of a list take, as far as that may go.
#[derive(Debug)]
pub(super) struct Room {
    left: usize,
    most: usize,
}

impl Room {
    /// For one list.
    pub(super) fn for_a_list() -> Self {
        Room::of(at_most(LIST_BYTES_MAX))
    }

    fn of(most: usize) -> Self {
        Room { left: most, most }
    }

    /// Another entry.
    pub(super) fn take(&mut self, path: &str) -> Result<(), TooMuchToList> {
        let taken = BYTES_PER_WATCH + COPIES * path.len();
        self.left = self.left.checked_sub(taken).ok_or(TooMuchToList::Paths { most: self.most })?;
        Ok(())
    }
}

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
    let mut watches = match reported(server) {
        Ok(watches) => watches,
        Err(too_many) => return format!("{too_many}\n"),
    };
    watches.sort_unstable_by(|(path, session), (other, theirs)| (session, path).cmp(&(theirs, other)));
    grouped(watches.iter().map(|(path, session)| (session, path)))
}

/// Sessions by path.
pub(super) fn wchp(server: &Introspection) -> String {
    let mut watches = match reported(server) {
        Ok(watches) => watches,
        Err(too_many) => return format!("{too_many}\n"),
    };
    watches.sort_unstable();
    grouped(watches.iter().map(|(path, session)| (path, session)))
}

/// Nobody waits for the sorting and the text: clients need the locks.
pub(super) fn reported(server: &Introspection) -> Result<Vec<(Arc<str>, SessionId)>, TooMuchToList> {
    let mut room = Room::for_a_list();
    let list = reported_up_to(&server.driver, room.most / BYTES_PER_WATCH)?;
    list.iter().try_for_each(|(path, _)| room.take(path))?;
    Ok(list)
}

fn reported_up_to(driver: &Driver, most: usize) -> Result<Vec<(Arc<str>, SessionId)>, TooMuchToList> {
    let _tree = driver.tree();
    let watches = driver.watches();
    // Those of both of Java's tables: never fewer than are listed.
    let count = watches.total();
    if most < count { Err(TooMuchToList::Watches { watches: count, most }) } else { Ok(watches.reported()) }
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
    use zabd_replica::ConnId;
    use zabd_replica::watches::WatchKind;

    use super::*;

    #[test]
    fn a_list_that_would_be_too_long_is_not_made() {
        let driver = crate::driver::tests::driver();
        let mut watches = driver.watches();
        watches.connect(ConnId(1), SessionId(7), std::iter::empty().collect());
        for path in ["/a", "/b", "/c"] {
            watches.set(ConnId(1), path, WatchKind::Data);
        }
        drop(watches);
        assert_eq!(reported_up_to(&driver, 3).unwrap().len(), 3);
        let refused = reported_up_to(&driver, 2).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "There are 3 watches, more than the 2 that one answer may list; wchs counts them"
        );
    }

    #[test]
    fn long_paths_count_by_their_length() {
        let mut room = Room::of(2 * BYTES_PER_WATCH + COPIES);
        assert_eq!(room.take("/"), Ok(()));
        assert_eq!(room.take("/"), Err(TooMuchToList::Paths { most: 2 * BYTES_PER_WATCH + COPIES }));
        assert_eq!(room.take(""), Ok(()));
    }

    #[test]
    fn a_head_is_told_once() {
        assert_eq!(grouped([("a", 1), ("a", 2), ("b", 1)].into_iter()), "a\n\t1\n\t2\nb\n\t1\n\n");
        assert_eq!(grouped(std::iter::empty::<(&str, i32)>()), "\n");
    }
}
