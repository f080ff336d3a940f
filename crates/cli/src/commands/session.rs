//! `close`, `sync` and `version`.

use super::{Command, CommandError, Context};
use crate::options::Options;

/// Ends the session, not the shell.
pub const CLOSE: Command = Command { name: "close", syntax: "", details: "", run: close };
/// Lets the server catch up with its leader.
pub const SYNC: Command = Command { name: "sync", syntax: "path", details: "", run: sync };
/// Says which shell this is.
pub const VERSION: Command = Command { name: "version", syntax: "", details: "", run: version };

fn close(context: &Context<'_>, _: &[String]) -> Result<(), CommandError> {
    context.client.close();
    Ok(())
}

fn sync(context: &Context<'_>, words: &[String]) -> Result<(), CommandError> {
    let line = Options::free(&[]).parse(words)?;
    let path = line.words.get(1).ok_or_else(|| SYNC.usage())?;
    context.screen.out(&match context.client.sync(path)? {
        0 => "Sync is OK".to_owned(),
        code => format!("Sync has failed. rc={code}"),
    });
    Ok(())
}

fn version(context: &Context<'_>, words: &[String]) -> Result<(), CommandError> {
    let line = Options::free(&[]).parse(words)?;
    if line.words.len() > 1 {
        return Err(VERSION.usage());
    }
    context.screen.out(&format!("ZooKeeper CLI version: {}", context.version));
    Ok(())
}
