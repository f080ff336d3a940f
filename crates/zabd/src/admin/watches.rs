//! `wchs`, `wchc` and `wchp`: who watches what. As in Java, one-shot child watches are not reported.

use std::fmt::Write as _;

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
    let _tree = server.driver.tree();
    let by_session = server.driver.watches().by_session();
    let text = by_session.iter().fold(String::new(), |mut text, (session, paths)| {
        let _ = writeln!(text, "{session}");
        for path in paths {
            let _ = writeln!(text, "\t{path}");
        }
        text
    });
    text + "\n"
}

/// Sessions by path.
pub(super) fn wchp(server: &Introspection) -> String {
    let _tree = server.driver.tree();
    let by_path = server.driver.watches().by_path();
    let text = by_path.iter().fold(String::new(), |mut text, (path, sessions)| {
        let _ = writeln!(text, "{path}");
        for session in sessions {
            let _ = writeln!(text, "\t{session}");
        }
        text
    });
    text + "\n"
}
