//! The AdminServer's commands: what each is called, who may give it, and what it answers, field by field as Java's.
//!
//! ```text
//! GET /commands/<name>?k=v ──► known? ──► serving? ──► authenticated? ──► run ──► { its fields, "command", "error" }
//! ```
//!
//! What a command cannot do is told in `error`, with status 200, as in Java; only those that take a snapshot out or in have
//! other statuses, and leave `error` empty. One function per command makes its fields; in reading order: this file,
//! `statistics` (connections, figures, watches), `membership` (the ensemble), `surroundings` (configuration, environment),
//! `snapshot`, `restore` (what comes with it, the port takes in), `shed` (who is sent away), `terminate` (whose
//! session ends), `posted` (how these two are told), `pace` (how often `snapshot` and `restore`), `json` (how it is written).

mod json;
mod membership;
mod pace;
mod posted;
mod restore;
mod shed;
mod snapshot;
mod statistics;
mod surroundings;
mod terminate;

use std::sync::atomic::Ordering::Relaxed;

use http::StatusCode;

pub use json::{Fields, Json, field};
pub use pace::Turns;
pub use posted::unreadable;
pub use restore::{Restores, throw_away};
pub use snapshot::Snapshots;

use crate::admin::watches::TooMuchToList;
use crate::introspect::Introspection;

/// What a command is given.
pub struct Call<'c> {
    /// Whom it is about.
    pub server: &'c Introspection,
    /// The words of the query.
    pub words: &'c [(String, String)],
}

/// The first value of a word of the query.
pub fn value<'w>(words: &'w [(String, String)], name: &str) -> Option<&'w str> {
    words.iter().find(|(word, _)| word == name).map(|(_, value)| &**value)
}

/// What comes back.
pub struct Reply {
    /// 200, but of commands that take a snapshot.
    pub status: StatusCode,
    /// What is told beside the body.
    pub headers: Vec<(&'static str, String)>,
    /// Before `command` and `error`.
    pub fields: Fields,
    /// A file in place of all that.
    pub file: Option<std::fs::File>,
    /// Why it is a refusal, for the log, if that is not told elsewhere.
    pub why: Option<String>,
}

impl Reply {
    fn of(fields: Fields) -> Self {
        Self { status: StatusCode::OK, headers: Vec::new(), fields, file: None, why: None }
    }

    fn status(status: StatusCode) -> Self {
        Self { status, ..Self::of(Vec::new()) }
    }
}

/// A row of the table.
pub struct Command {
    /// The primary name, then others.
    pub names: &'static [&'static str],
    /// Whether clients must be served.
    pub needs_server: bool,
    /// Whether whoever gives it must have every right to the root.
    pub needs_rights: bool,
    /// How it is given, and what it does.
    pub work: Work,
}

/// What a command does.
#[derive(Clone, Copy, Debug)]
pub enum Work {
    /// It is asked for by GET, and answered from what there is.
    Answers(fn(&Call<'_>) -> Reply),
    /// It is asked for by GET, and answered with a snapshot, behind those who asked before.
    Snapshot,
    /// What it is to do comes with it by POST, in JSON.
    Does(fn(&Call<'_>, &[u8]) -> Reply),
    /// A snapshot comes with it by POST, and takes the place of everything.
    Restores,
}

const fn plain(names: &'static [&'static str], run: fn(&Call<'_>) -> Reply) -> Command {
    Command { names, needs_server: true, needs_rights: false, work: Work::Answers(run) }
}

/// Also of a server that serves nobody.
const fn always(names: &'static [&'static str], run: fn(&Call<'_>) -> Reply) -> Command {
    Command { needs_server: false, ..plain(names, run) }
}

/// All of them, in the order of the list at the commands' own path.
pub const COMMANDS: &[Command] = &[
    plain(&["configuration", "conf", "config"], |call| Reply::of(surroundings::configuration(call.server))),
    plain(&["connection_stat_reset", "crst"], |call| {
        call.server.reset_connections();
        Reply::of(Vec::new())
    }),
    plain(&["connections", "cons"], |call| Reply::of(statistics::connections(call.server, false))),
    plain(&["dirs"], |call| Reply::of(surroundings::dirs(call.server))),
    plain(&["dump"], |call| listed(statistics::dump(call.server))),
    always(&["environment", "env", "envi"], |_| Reply::of(surroundings::environment())),
    always(&["get_trace_mask", "gtmk"], |call| {
        Reply::of(vec![field("tracemask", call.server.trace_mask.load(Relaxed))])
    }),
    plain(&["hash"], |call| Reply::of(statistics::digests(call.server))),
    plain(&["initial_configuration", "icfg"], |call| {
        Reply::of(surroundings::initial_configuration(call.server))
    }),
    plain(&["is_read_only", "isro"], |call| {
        Reply::of(vec![field("read_only", statistics::is_read_only(call.server))])
    }),
    plain(&["last_snapshot", "lsnp"], |call| Reply::of(surroundings::last_snapshot(call.server))),
    plain(&["leader", "lead"], |call| Reply::of(membership::leader(call.server))),
    always(&["monitor", "mntr"], |call| Reply::of(statistics::monitor(call.server))),
    // No figures are kept of an observer's connection.
    plain(&["observer_connection_stat_reset", "orst"], |_| Reply::of(Vec::new())),
    plain(&["observers", "obsr"], |call| Reply::of(membership::observers(call.server))),
    Command { names: &["restore", "rest"], needs_server: true, needs_rights: true, work: Work::Restores },
    plain(&["ruok"], |_| Reply::of(Vec::new())),
    plain(&["server_stats", "srvr"], |call| Reply::of(statistics::server(call.server))),
    always(&["set_trace_mask", "stmk"], set_trace_mask),
    Command {
        names: &["shed_connections", "shed"],
        needs_server: true,
        needs_rights: true,
        work: Work::Does(shed::shed),
    },
    Command { names: &["snapshot", "snap"], needs_server: true, needs_rights: true, work: Work::Snapshot },
    plain(&["stat_reset", "srst"], |call| {
        call.server.reset_server();
        Reply::of(Vec::new())
    }),
    plain(&["stats", "stat"], |call| {
        let mut fields = statistics::server(call.server);
        fields.extend(statistics::connections(call.server, true));
        Reply::of(fields)
    }),
    always(&["system_properties", "sysp"], |call| Reply::of(surroundings::system_properties(call.server))),
    Command {
        names: &["terminate_session"],
        needs_server: true,
        needs_rights: true,
        work: Work::Does(terminate::terminate),
    },
    plain(&["voting_view"], |call| Reply::of(membership::voting_view(call.server))),
    plain(&["watch_summary", "wchs"], |call| Reply::of(statistics::watch_summary(call.server))),
    plain(&["watches", "wchc"], |call| listed(statistics::watches(call.server))),
    plain(&["watches_by_path", "wchp"], |call| listed(statistics::watches_by_path(call.server))),
    always(&["zabstate"], |call| Reply::of(membership::zab_state(call.server))),
];

/// The command of this name.
pub fn find(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.names.contains(&name))
}

impl Command {
    /// The name that an answer has.
    pub fn name(&self) -> &'static str {
        self.names[0]
    }
}

/// The text of an answer: its fields, then whose they are and what went wrong.
pub fn text(name: &str, fields: Fields, error: Option<&str>) -> String {
    let mut fields = fields;
    fields.push(field("command", name));
    // A command that has told of an error has done so before.
    if !fields.iter().any(|(name, _)| name == "error") {
        fields.push(field("error", error.map_or(Json::Null, Json::from)));
    }
    Json::Object(fields).text()
}

/// A list, unless it would be too long to be made.
fn listed(list: Result<Fields, TooMuchToList>) -> Reply {
    list.map_or_else(
        |too_many| {
            let told = vec![field("error", too_many.to_string())];
            Reply { fields: told, ..Reply::status(StatusCode::SERVICE_UNAVAILABLE) }
        },
        Reply::of,
    )
}

fn set_trace_mask(call: &Call<'_>) -> Reply {
    let needed = "setTraceMask requires long traceMask argument";
    let Some(text) = value(call.words, "traceMask") else { return Reply::of(vec![field("error", needed)]) };
    match text.parse::<i64>() {
        Ok(mask) => {
            call.server.trace_mask.store(mask.cast_unsigned(), Relaxed);
            Reply::of(vec![field("tracemask", mask)])
        }
        Err(_) => Reply::of(vec![field("error", format!("{needed}, got {text}"))]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_the_list_is_in_order() {
        let mut names: Vec<_> = COMMANDS.iter().flat_map(|command| command.names).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(COMMANDS.is_sorted_by_key(Command::name));
        assert!(find("mntr").is_some_and(|command| command.name() == "monitor"));
        assert!(find("MNTR").is_none() && find("ruok/").is_none());
    }

    #[test]
    fn an_answer_ends_with_its_command_and_its_error() {
        assert_eq!(text("ruok", Vec::new(), None), "{\n  \"command\" : \"ruok\",\n  \"error\" : null\n}");
        let told = vec![field("error", "server is not initialized")];
        assert_eq!(
            text("leader", told, None),
            "{\n  \"error\" : \"server is not initialized\",\n  \"command\" : \"leader\"\n}"
        );
        assert!(
            text("x", Vec::new(), Some("Unknown command: x"))
                .ends_with("\"error\" : \"Unknown command: x\"\n}")
        );
    }
}
