//! `config` and `reconfig`: the ensemble's members.

use std::fmt::Write as _;

use zabd_config::properties;
use zabd_jute::client::ReconfigRequest;
use zabd_jute::java_hash;

use super::{Command, CommandError, Context};
use crate::options::{Options, flag, valued};
use crate::print::stat_block;

/// Shows the members.
pub const CONFIG: Command = Command { name: "config", syntax: "[-c] [-w] [-s]", details: "", run: config };
/// Changes the members.
pub const RECONFIG: Command = Command {
    name: "reconfig",
    syntax: "[-s] [-v version] [[-file path] | [-members serverID=host:port1:port2;port3[,...]*]] | \
             [-add serverId=host:port1:port2;port3[,...]]* [-remove serverId[,...]*]",
    details: "",
    run: reconfig,
};

const CONFIG_OPTIONS: Options = Options::free(&[flag("s"), flag("w"), flag("c")]);
const RECONFIG_OPTIONS: Options = Options::free(&[
    flag("s"),
    valued("v"),
    valued("file"),
    valued("members"),
    valued("add"),
    valued("remove"),
]);

fn config(context: &Context<'_>, words: &[String]) -> Result<(), CommandError> {
    let line = CONFIG_OPTIONS.parse(words)?;
    let (data, stat) = context.client.config(line.has("w"))?;
    let text = data.map_or_else(|| "null".to_owned(), |data| String::from_utf8_lossy(&data).into_owned());
    context.screen.out(&if line.has("c") { client_addresses(&text) } else { text });
    if line.has("s") {
        context.screen.out(&stat_block(&stat));
    }
    Ok(())
}

/// The configuration's version, and where its members take clients.
fn client_addresses(text: &str) -> String {
    let entries: Vec<_> = properties::parse(text.as_bytes()).into_iter().flatten().collect();
    let version = entries.iter().rfind(|entry| entry.key == "version").map_or("", |entry| &entry.value);
    let mut members: Vec<_> = entries.iter().filter(|entry| entry.key.starts_with("server.")).collect();
    members.sort_by_key(|entry| bucket(&entry.key, entries.len()));
    let addresses: Vec<_> = members.iter().map(|entry| client_address(&entry.value)).collect();
    format!("{version} {}", addresses.join(","))
}

/// Where Java's table of properties keeps a key: it prints the members in that order.
fn bucket(key: &str, count: usize) -> u32 {
    let hash = java_hash(key);
    let mut size = 16;
    while count >= size * 3 / 4 {
        size *= 2;
    }
    (hash ^ (hash >> 16)) & (size as u32 - 1)
}

/// `host:2888:3888[:role];[address:]port` gives `address:port`; nothing if there is no port.
fn client_address(member: &str) -> String {
    let Some((_, client)) = member.split_once(';') else { return String::new() };
    match client.rsplit_once(':') {
        None => format!("0.0.0.0:{client}"),
        Some((host, port)) => {
            let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
            format!("{bare}:{port}")
        }
    }
}

fn reconfig(context: &Context<'_>, words: &[String]) -> Result<(), CommandError> {
    let line = RECONFIG_OPTIONS.parse(words)?;
    let refuse = |message: &str| Err(CommandError::new(message));
    let [file, members, add, remove] = ["file", "members", "add", "remove"].map(|name| line.value(name));
    if file.or(members).or(add).or(remove).is_none() {
        return Err(RECONFIG.usage());
    }
    let Ok(config_id) = line.value("v").map_or(Ok(-1), |text| i64::from_str_radix(text, 16)) else {
        return refuse("-v must be followed by a long (configuration version)");
    };
    if file.or(members).is_some() && add.or(remove).is_some() {
        return refuse(
            "Can't use -file or -members together with -add or -remove (mixing incremental and non-incremental \
             modes is not allowed)",
        );
    }
    if file.is_some() && members.is_some() {
        return refuse("Can't use -file and -members together (conflicting non-incremental modes)");
    }
    let lowered = |text: Option<&str>| text.map(|text| text.to_lowercase().into());
    let new_members = match file {
        Some(path) => Some(members_of_file(path)?.into()),
        None => lowered(members),
    };
    let request = ReconfigRequest { joining: lowered(add), leaving: lowered(remove), new_members, config_id };
    let (data, stat) = context.client.reconfig(&request)?;
    let text = String::from_utf8_lossy(&data.unwrap_or_default()).into_owned();
    context.screen.out(&format!("Committed new configuration:\n{text}"));
    if line.has("s") {
        context.screen.out(&stat_block(&stat));
    }
    Ok(())
}

/// The lines of a file of members, which the leader judges.
fn members_of_file(path: &str) -> Result<String, CommandError> {
    let bytes = std::fs::read(path).map_err(|error| {
        // As Java says it, which names the file twice.
        let reason = match error.kind() {
            std::io::ErrorKind::NotFound => "No such file or directory".to_owned(),
            std::io::ErrorKind::PermissionDenied => "Permission denied".to_owned(),
            std::io::ErrorKind::IsADirectory => "Is a directory".to_owned(),
            _ => error.to_string(),
        };
        CommandError::new(format!("Error processing {path}{path} ({reason})"))
    })?;
    members(&bytes).map_err(|mistake| CommandError::new(format!("Error processing {path}{mistake}")))
}

/// What is judged here, as Java judges it: that there is nothing else in the file, and enough who vote.
fn members(bytes: &[u8]) -> Result<String, String> {
    let mut text = String::new();
    let (mut voters, mut observers) = (0, 0);
    for entry in properties::parse(bytes) {
        let properties::Entry { key, value, .. } = entry.map_err(|_| "Malformed \\uxxxx encoding.")?;
        if key.starts_with("server.") {
            let is_observer = value.split(';').next().is_some_and(|server| server.ends_with(":observer"));
            *(if is_observer { &mut observers } else { &mut voters }) += 1;
        } else if key == "version" {
            continue;
        } else if !key.starts_with("group") && !key.starts_with("weight") {
            return Err(format!("Unrecognised parameter: {key}"));
        }
        let _ = writeln!(text, "{key}={value}");
    }
    match (voters, observers) {
        (0, 1..) => Err("Observers w/o participants is an invalid configuration".to_owned()),
        (1, 1..) => Err("Observers w/o quorum is an invalid configuration".to_owned()),
        _ => Ok(format!("{text}version=0")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_hold_members_and_nothing_else() {
        let voters = "# comment\nserver.1=a:1:2;3\nserver.2 = b:1:2:participant\nversion=7\n";
        assert_eq!(
            members(voters.as_bytes()).as_deref(),
            Ok("server.1=a:1:2;3\nserver.2=b:1:2:participant\nversion=0")
        );
        for (text, mistake) in [
            ("clientPort=1", "Unrecognised parameter: clientPort"),
            ("server.1=a:1:2:observer;3", "Observers w/o participants is an invalid configuration"),
            ("server.1=a:1:2\nserver.2=a:1:2:observer;3", "Observers w/o quorum is an invalid configuration"),
        ] {
            assert_eq!(members(text.as_bytes()), Err(mistake.to_owned()));
        }
    }

    #[test]
    fn members_take_clients_somewhere() {
        let text = "server.1=a:1:2:participant;127.0.0.1:3\nserver.2=b:1:2:observer;4\nserver.3=c:1:2\n\
                    server.4=d:1:2:participant;[::1]:5\nversion=100000000";
        let line = client_addresses(text);
        let (version, addresses) = line.split_once(' ').expect("a version");
        assert_eq!(version, "100000000");
        let mut addresses: Vec<_> = addresses.split(',').collect();
        addresses.sort_unstable();
        assert_eq!(addresses, ["", "0.0.0.0:4", "127.0.0.1:3", "::1:5"]);
        assert_eq!(client_addresses(""), " ");
    }
}
