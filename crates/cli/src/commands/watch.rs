//! `addWatch` and `removewatches`.

use super::{Command, CommandError, Context};
use crate::client::{AddWatchMode, WatcherType};
use crate::options::{Options, flag, valued};

/// Leaves a watch that stays.
pub const ADD_WATCH: Command = Command {
    name: "addWatch",
    syntax: "[-m mode] path # optional mode is one of [PERSISTENT, PERSISTENT_RECURSIVE] - default is \
             PERSISTENT_RECURSIVE",
    details: "",
    run: add_watch,
};
/// Removes watches.
pub const REMOVE_WATCHES: Command =
    Command { name: "removewatches", syntax: "path [-c|-d|-a] [-l]", details: "", run: remove_watches };

const ADD_OPTIONS: Options = Options::free(&[valued("m")]);
const REMOVE_OPTIONS: Options =
    Options::free(&[flag("c"), flag("d"), flag("p"), flag("r"), flag("a"), flag("l")]);

fn add_watch(context: &Context<'_>, words: &[String]) -> Result<(), CommandError> {
    let line = ADD_OPTIONS.parse(words)?;
    let [_, path] = &line.words[..] else { return Err(ADD_WATCH.usage()) };
    let mode = match line.value("m").map(str::to_uppercase).as_deref() {
        None | Some("PERSISTENT_RECURSIVE") => AddWatchMode::PersistentRecursive,
        Some("PERSISTENT") => AddWatchMode::Persistent,
        Some(_) => return Err(ADD_WATCH.usage()),
    };
    context.client.add_watch(path, mode)?;
    Ok(())
}

fn remove_watches(context: &Context<'_>, words: &[String]) -> Result<(), CommandError> {
    let line = REMOVE_OPTIONS.parse(words)?;
    let path = line.words.get(1).ok_or_else(|| REMOVE_WATCHES.usage())?;
    let kinds = [
        ("c", WatcherType::Children),
        ("d", WatcherType::Data),
        ("p", WatcherType::Persistent),
        ("r", WatcherType::PersistentRecursive),
    ];
    let kind = kinds.iter().find(|(name, _)| line.has(name)).map_or(WatcherType::Any, |(_, kind)| *kind);
    context.client.remove_watches(path, kind, line.has("l"))?;
    Ok(())
}
