//! `create`: the path that came out is told on standard error, as Java tells it.

use zabd_jute::client::CreateMode;
use zabd_jute::{Acl, ErrorCode};

use super::{Command, CommandError, Context, acl};
use crate::client::Failure;
use crate::options::{Line, Options, flag, valued};

/// Creates a znode.
pub const CREATE: Command =
    Command { name: "create", syntax: "[-s] [-e] [-c] [-t ttl] path [data] [acl]", details: "", run: create };

const OPTIONS: Options = Options::free(&[flag("e"), flag("s"), flag("c"), valued("t")]);
/// What the server has room for beside its mark.
const TTL_MS_MAX: i64 = 0xff_ffff_ffff;

fn create(context: &Context<'_>, words: &[String]) -> Result<(), CommandError> {
    let line = OPTIONS.parse(words)?;
    let path = line.words.get(1).ok_or_else(|| CREATE.usage())?;
    let (mode, ttl_ms) = mode(&line)?;
    let data = line.words.get(2).map(String::as_bytes);
    let acl = match line.words.get(3) {
        Some(text) => acl::parse(text, context.screen),
        None => vec![Acl::open()],
    };
    match context.client.create(path, data, &acl, mode, ttl_ms) {
        Ok(created) => {
            context.screen.err(&format!("Created {created}"));
            Ok(())
        }
        Err(failure) => {
            if let Failure::Refused(refusal) = &failure {
                if refusal.is(ErrorCode::EphemeralOnLocalSession) {
                    context.screen.err("Unable to create ephemeral node on a local session");
                } else if refusal.is(ErrorCode::InvalidAcl) {
                    context.screen.err(&refusal.to_string());
                }
            }
            Err(failure.into())
        }
    }
}

fn mode(line: &Line) -> Result<(CreateMode, i64), CommandError> {
    let [is_ephemeral, is_sequential, is_container] = ["e", "s", "c"].map(|name| line.has(name));
    let refuse = |message: &str| Err(CommandError::new(message));
    if is_container && (is_ephemeral || is_sequential) {
        return refuse("-c cannot be combined with -s or -e. Containers cannot be ephemeral or sequential.");
    }
    let Some(text) = line.value("t") else {
        let mode = match (is_ephemeral, is_sequential) {
            (true, true) => CreateMode::EphemeralSequential,
            (true, false) => CreateMode::Ephemeral,
            (false, true) => CreateMode::PersistentSequential,
            (false, false) if is_container => CreateMode::Container,
            (false, false) => CreateMode::Persistent,
        };
        return Ok((mode, -1));
    };
    let Ok(ttl_ms) = text.parse::<i64>() else { return refuse("-t argument must be a long value") };
    if is_ephemeral {
        return refuse("TTLs cannot be used with Ephemeral znodes");
    }
    if is_container {
        return refuse("TTLs cannot be used with Container znodes");
    }
    if !(1..=TTL_MS_MAX).contains(&ttl_ms) {
        return refuse(&format!("ttl must be positive and cannot be larger than: {TTL_MS_MAX}"));
    }
    Ok((if is_sequential { CreateMode::PersistentSequentialTtl } else { CreateMode::PersistentTtl }, ttl_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_make_a_mode() {
        for (text, expected) in [
            ("create", Ok((CreateMode::Persistent, -1))),
            ("create -se", Ok((CreateMode::EphemeralSequential, -1))),
            ("create -c", Ok((CreateMode::Container, -1))),
            ("create -t 5 -s", Ok((CreateMode::PersistentSequentialTtl, 5))),
            ("create -t 1099511627775", Ok((CreateMode::PersistentTtl, 1_099_511_627_775))),
            (
                "create -t 1099511627776",
                Err("ttl must be positive and cannot be larger than: 1099511627775".to_owned()),
            ),
            ("create -t x -e", Err("-t argument must be a long value".to_owned())),
        ] {
            let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
            let line = OPTIONS.parse(&words).expect("known options");
            assert_eq!(mode(&line).map_err(|error| error.message), expected, "{text}");
        }
    }
}
