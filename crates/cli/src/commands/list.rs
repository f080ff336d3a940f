//! `ls`, `stat`, and what else lists or counts: `getEphemerals`, `getAllChildrenNumber`.

use zabd_jute::ErrorCode;

use super::{Command, CommandError, Context, subtree, with_watch_for_third};
use crate::client::{Failure, Refusal};
use crate::options::{Options, flag};
use crate::print::stat_block;

/// Lists the children.
pub const LS: Command = Command { name: "ls", syntax: "[-s] [-w] [-R] path", details: "", run: ls };
/// Shows the stat.
pub const STAT: Command = Command { name: "stat", syntax: "[-w] path", details: "", run: stat };
/// Lists the session's ephemerals.
pub const GET_EPHEMERALS: Command =
    Command { name: "getEphemerals", syntax: "path", details: "", run: get_ephemerals };
/// Counts what is below.
pub const GET_ALL_CHILDREN_NUMBER: Command =
    Command { name: "getAllChildrenNumber", syntax: "path", details: "", run: get_all_children_number };

const LS_OPTIONS: Options = Options::free(&[flag("?"), flag("s"), flag("w"), flag("R")]);
const LS_HELP: &str = "\
usage: ls [options] path
 -?   help
 -R   recurse
 -s   stat
 -w   watch";
const STAT_OPTIONS: Options = Options::free(&[flag("w")]);

fn ls(context: &Context<'_>, words: &[String]) -> Result<(), CommandError> {
    let mut line = LS_OPTIONS.parse(words)?;
    if line.has("?") {
        context.screen.out(LS_HELP);
    }
    if line.words.len() > 2 {
        context.screen.err("'ls path [watch]' has been deprecated. Please use 'ls [-w] path' instead.");
        line = LS_OPTIONS.parse(&with_watch_for_third(words))?;
    }
    let path = line.words.get(1).ok_or_else(|| LS.usage())?;
    let watch = line.has("w");
    if line.has("R") {
        return subtree::visit(context.client, path, watch, &mut |path| {
            context.screen.out(path);
            Ok(())
        });
    }
    let (mut children, stat) = context.client.children_and_stat(path, watch)?;
    subtree::sort(&mut children);
    context.screen.out(&listed(&children));
    if line.has("s") {
        context.screen.out(&stat_block(&stat));
    }
    Ok(())
}

fn listed(names: &[String]) -> String {
    format!("[{}]", names.join(", "))
}

fn stat(context: &Context<'_>, words: &[String]) -> Result<(), CommandError> {
    let mut line = STAT_OPTIONS.parse(words)?;
    if line.words.len() < 2 {
        return Err(STAT.usage());
    }
    if line.words.len() > 2 {
        context.screen.err("'stat path [watch]' has been deprecated. Please use 'stat [-w] path' instead.");
        line = STAT_OPTIONS.parse(&with_watch_for_third(words))?;
    }
    let path = line.words.get(1).ok_or_else(|| STAT.usage())?;
    let stat = context.client.exists(path, line.has("w"))?;
    let missing = || Failure::from(Refusal::new(ErrorCode::NoNode.code(), path));
    context.screen.out(&stat_block(&stat.ok_or_else(missing)?));
    Ok(())
}

fn get_ephemerals(context: &Context<'_>, words: &[String]) -> Result<(), CommandError> {
    let line = Options::free(&[]).parse(words)?;
    let prefix = line.words.get(1).map_or("/", String::as_str);
    context.screen.out(&listed(&context.client.ephemerals(prefix)?));
    Ok(())
}

fn get_all_children_number(context: &Context<'_>, words: &[String]) -> Result<(), CommandError> {
    let line = Options::free(&[]).parse(words)?;
    let path = line.words.get(1).ok_or_else(|| GET_ALL_CHILDREN_NUMBER.usage())?;
    context.screen.out(&context.client.all_children_number(path)?.to_string());
    Ok(())
}
