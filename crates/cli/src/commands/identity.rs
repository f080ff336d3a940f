//! `addauth` and `whoami`.

use super::{Command, CommandError, Context};
use crate::options::Options;

/// Adds an identity to the connection.
pub const ADD_AUTH: Command = Command { name: "addauth", syntax: "scheme auth", details: "", run: add_auth };
/// Shows the connection's identities.
pub const WHO_AM_I: Command = Command { name: "whoami", syntax: "", details: "", run: who_am_i };

fn add_auth(context: &Context<'_>, words: &[String]) -> Result<(), CommandError> {
    let line = Options::free(&[]).parse(words)?;
    let scheme = line.words.get(1).ok_or_else(|| ADD_AUTH.usage())?;
    context.client.add_identity(scheme, line.words.get(2).map(String::as_bytes));
    Ok(())
}

fn who_am_i(context: &Context<'_>, _: &[String]) -> Result<(), CommandError> {
    let identities = context.client.who_am_i();
    context.screen.out("Auth scheme: User");
    for (scheme, user) in identities {
        context.screen.out(&format!("{scheme}: {user}"));
    }
    Ok(())
}
