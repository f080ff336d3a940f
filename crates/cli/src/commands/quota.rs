//! `setquota`, `listquota` and `delquota`: limits are znodes below `/zookeeper/quota`, and what is in use stands beside them.

use std::collections::BTreeMap;
use std::fmt;

use zabd_jute::client::CreateMode;
use zabd_jute::{Acl, ErrorCode};

use super::subtree::visit;
use super::{Command, CommandError, Context};
use crate::client::{Client, Failure, Refusal};
use crate::options::{Flag, Line, Options};

/// Limits a subtree.
pub const SET_QUOTA: Command =
    Command { name: "setquota", syntax: "-n|-b|-N|-B val path", details: "", run: set_quota };
/// Shows the limits and what is in use.
pub const LIST_QUOTA: Command = Command { name: "listquota", syntax: "path", details: "", run: list_quota };
/// Removes limits.
pub const DEL_QUOTA: Command =
    Command { name: "delquota", syntax: "[-n|-b|-N|-B] path", details: "", run: del_quota };

const fn limit(name: &'static str, has_value: bool, what: &'static str) -> Flag {
    Flag { name, has_value, what }
}

const SET_OPTIONS: Options = Options {
    flags: &[
        limit("n", true, "num soft quota"),
        limit("b", true, "bytes soft quota"),
        limit("N", true, "num hard quota"),
        limit("B", true, "bytes hard quota"),
    ],
    is_one_only: true,
    is_one_needed: true,
};
const DEL_OPTIONS: Options = Options {
    flags: &[limit("n", false, ""), limit("b", false, ""), limit("N", false, ""), limit("B", false, "")],
    is_one_only: true,
    is_one_needed: false,
};

/// Which limit an option means.
const LIMITS: [(&str, &str); 4] =
    [("n", "count"), ("b", "bytes"), ("N", "countHardLimit"), ("B", "byteHardLimit")];

const ROOT: &str = "/zookeeper/quota";
const LIMIT_NODE: &str = "zookeeper_limits";
const STAT_NODE: &str = "zookeeper_stats";

/// Limits, or what is in use, as such a znode holds them: `StatsTrack`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Track(BTreeMap<String, i64>);

impl Track {
    /// What is read of a znode.
    fn parse(data: &[u8]) -> Result<Self, CommandError> {
        let text = String::from_utf8_lossy(data);
        let mut track = Self::default();
        for pair in text.split([',', ';']).filter(|pair| !pair.is_empty()) {
            let mut parts = pair.split('=');
            let (key, value) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            let value = if value.is_empty() { "-1" } else { value };
            track.0.insert(key.to_owned(), super::number(value)?);
        }
        Ok(track)
    }

    /// −1 is no limit.
    fn get(&self, key: &str) -> i64 {
        self.0.get(key).copied().unwrap_or(-1)
    }

    fn set(&mut self, key: &str, value: i64) {
        self.0.insert(key.to_owned(), value);
    }
}

/// The two old values first, then `=`, behind which old readers stop.
impl fmt::Display for Track {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "count={},bytes={}", self.get("count"), self.get("bytes"))?;
        let others: Vec<_> = self.0.iter().filter(|(key, _)| *key != "count" && *key != "bytes").collect();
        if !others.is_empty() {
            f.write_str("=")?;
        }
        others.iter().try_for_each(|(key, value)| write!(f, ";{key}={value}"))
    }
}

fn quota_path(path: &str) -> String {
    format!("{ROOT}{path}")
}

fn is_missing(failure: &Failure) -> bool {
    matches!(failure, Failure::Refused(refusal) if refusal.is(ErrorCode::NoNode))
}

fn track_at(client: &Client, path: &str) -> Result<Track, QuotaError> {
    let (data, _) = client.data(path, false)?;
    Ok(Track::parse(&data.unwrap_or_default())?)
}

/// A missing znode is said in another way than other failures.
enum QuotaError {
    Request(Failure),
    Other(CommandError),
}

impl From<Failure> for QuotaError {
    fn from(failure: Failure) -> Self {
        QuotaError::Request(failure)
    }
}

impl From<CommandError> for QuotaError {
    fn from(error: CommandError) -> Self {
        QuotaError::Other(error)
    }
}

impl From<QuotaError> for CommandError {
    fn from(error: QuotaError) -> Self {
        match error {
            QuotaError::Request(failure) => failure.into(),
            QuotaError::Other(error) => error,
        }
    }
}

fn list_quota(context: &Context<'_>, words: &[String]) -> Result<(), CommandError> {
    let line = Options::free(&[]).parse(words)?;
    let path = line.words.get(1).ok_or_else(|| LIST_QUOTA.usage())?;
    let quota = quota_path(path);
    context.screen.err(&format!("absolute path is {quota}/{LIMIT_NODE}"));
    let tracks = || -> Result<(Track, Track), QuotaError> {
        let limits = track_at(context.client, &format!("{quota}/{LIMIT_NODE}"))?;
        Ok((limits, track_at(context.client, &format!("{quota}/{STAT_NODE}"))?))
    };
    let (limits, stats) = match tracks() {
        Ok(tracks) => tracks,
        Err(QuotaError::Request(failure)) if is_missing(&failure) => {
            context.screen.err(&format!("quota for {path} does not exist."));
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    context.screen.out(&format!("Output quota for {path} {limits}"));
    context.screen.out(&format!("Output stat for {path} {stats}"));
    Ok(())
}

fn del_quota(context: &Context<'_>, words: &[String]) -> Result<(), CommandError> {
    let line = DEL_OPTIONS.parse(words)?;
    let path = line.words.get(1).ok_or_else(|| DEL_QUOTA.usage())?;
    match remove_limits(context, &line, path) {
        Err(QuotaError::Request(failure)) if is_missing(&failure) => {
            context.screen.err(&format!("quota for {path} does not exist."));
            Ok(())
        }
        other => Ok(other?),
    }
}

fn remove_limits(context: &Context<'_>, line: &Line, path: &str) -> Result<(), QuotaError> {
    let client = context.client;
    let quota = quota_path(path);
    let limits_path = format!("{quota}/{LIMIT_NODE}");
    if client.exists(&limits_path, false)?.is_none() {
        context.screen.out(&format!("Quota does not exist for {path}"));
        return Ok(());
    }
    let mut limits = track_at(client, &limits_path)?;
    if let Some((_, key)) = LIMITS.iter().find(|(name, _)| line.has(name)) {
        limits.set(key, -1);
        client.set_data(&limits_path, limits.to_string().as_bytes(), -1)?;
        return Ok(());
    }
    for child in client.children(&quota, false)? {
        client.delete(&format!("{quota}/{child}"), -1)?;
    }
    // What led to it goes too, up to where something else is.
    let mut path = quota.as_str();
    while path != ROOT && client.children(path, false)?.is_empty() {
        client.delete(path, -1)?;
        path = &path[..path.rfind('/').unwrap_or(0)];
    }
    Ok(())
}

fn set_quota(context: &Context<'_>, words: &[String]) -> Result<(), CommandError> {
    let line = SET_OPTIONS.parse(words)?;
    let path = line.words.get(1).ok_or_else(|| SET_QUOTA.usage())?;
    if path.starts_with(ROOT) {
        context.screen.err(&format!("cannot set a quota under the path: {ROOT}"));
        return Ok(());
    }
    match asked_limit(&line) {
        Err(complaint) => context.screen.err(complaint),
        Ok((key, value)) => set_limit(context, path, key, value)?,
    }
    Ok(())
}

/// The limit that is asked for; numbers of znodes are 32 bits wide and not 0, numbers of bytes may be 0.
fn asked_limit(line: &Line) -> Result<(&'static str, i64), &'static str> {
    let (name, key) = LIMITS.iter().find(|(name, _)| line.has(name)).ok_or("no limit is asked for")?;
    let text = line.value(name).unwrap_or_default();
    let is_count = matches!(*name, "n" | "N");
    let value = if is_count { text.parse::<i32>().map(i64::from) } else { text.parse::<i64>() };
    match value {
        Err(_) => Err("NumberFormatException happens when parsing the option value"),
        Ok(..=0) if is_count => Err("the num quota must be greater than zero"),
        Ok(..=-1) => Err("the bytes quota must be greater than or equal to zero"),
        Ok(value) => Ok((key, value)),
    }
}

fn set_limit(context: &Context<'_>, path: &str, key: &str, value: i64) -> Result<(), CommandError> {
    let client = context.client;
    if client.exists(path, false)?.is_none() {
        return Err(CommandError::new(format!("{path} does not exist.")));
    }
    refuse_limits_below(client, path)?;
    refuse_limits_above(client, path)?;
    create_unless_there(client, "/zookeeper")?;
    create_unless_there(client, ROOT)?;
    let mut quota = ROOT.to_owned();
    for name in path.split('/').skip(1).filter(|name| !name.is_empty()) {
        quota = format!("{quota}/{name}");
        create_unless_there(client, &quota)?;
    }
    let (limits_path, stats_path) = (format!("{quota}/{LIMIT_NODE}"), format!("{quota}/{STAT_NODE}"));
    let is_new = client.exists(&limits_path, false)?.is_none();
    let mut limits = Track::default();
    if is_new {
        for (_, key) in LIMITS {
            limits.set(key, -1);
        }
        limits.set(key, value);
        create(client, &limits_path, Some(limits.to_string().as_bytes()))?;
        let mut nothing = Track::default();
        nothing.set("count", 0);
        nothing.set("bytes", 0);
        create(client, &stats_path, Some(nothing.to_string().as_bytes()))?;
        limits = track_at(client, &limits_path)?;
    } else {
        limits = track_at(client, &limits_path)?;
        limits.set(key, value);
    }
    warn_of_excess(context, &limits, &track_at(client, &stats_path)?);
    if !is_new {
        client.set_data(&limits_path, limits.to_string().as_bytes(), -1)?;
    }
    Ok(())
}

fn create(client: &Client, path: &str, data: Option<&[u8]>) -> Result<(), Failure> {
    client.create(path, data, &[Acl::open()], CreateMode::Persistent, -1)?;
    Ok(())
}

fn create_unless_there(client: &Client, path: &str) -> Result<(), Failure> {
    if client.exists(path, false)?.is_some() {
        return Ok(());
    }
    match create(client, path, None) {
        Err(Failure::Refused(Refusal { code, .. })) if code == ErrorCode::NodeExists.code() => Ok(()),
        other => other,
    }
}

fn warn_of_excess(context: &Context<'_>, limits: &Track, stats: &Track) {
    for (what, used, limit_keys) in
        [("count", "count", ["count", "countHardLimit"]), ("bytes", "bytes", ["bytes", "byteHardLimit"])]
    {
        let used = stats.get(used);
        if limit_keys.iter().map(|key| limits.get(key)).any(|limit| limit > -1 && limit < used) {
            context.screen.out(&format!(
                "[Warning]: the {what} quota you create is less than the existing {what}:{used}"
            ));
        }
    }
}

/// A limit below another one is refused.
fn refuse_limits_below(client: &Client, path: &str) -> Result<(), CommandError> {
    let own = quota_path(path);
    // Whether there is anything: the walk's own complaint of its first znode would be lost in those of the others.
    if client.exists(&own, false)?.is_none() {
        return Ok(());
    }
    visit(client, &own, false, &mut |quota| {
        let children = match client.children(quota, false) {
            Ok(children) => children,
            Err(failure) if is_missing(&failure) => return Ok(()),
            Err(failure) => return Err(failure.into()),
        };
        if quota != own && children.iter().any(|name| name == LIMIT_NODE) {
            let child = &quota[ROOT.len()..];
            return Err(CommandError::new(format!("{path} has a child {child} which has a quota")));
        }
        Ok(())
    })
}

/// And above.
fn refuse_limits_above(client: &Client, path: &str) -> Result<(), CommandError> {
    let names: Vec<&str> = path.split('/').skip(1).collect();
    let mut quota = ROOT.to_owned();
    for name in names.iter().take(names.len().saturating_sub(1)) {
        quota = format!("{quota}/{name}");
        let children = match client.children(&quota, false) {
            Ok(children) => children,
            Err(failure) if is_missing(&failure) => return Ok(()),
            Err(failure) => return Err(failure.into()),
        };
        if children.is_empty() {
            return Ok(());
        }
        if children.iter().any(|name| name == LIMIT_NODE) {
            let parent = &quota[ROOT.len()..];
            return Err(CommandError::new(format!("{path} has a parent {parent} which has a quota")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tracks_are_read_and_printed() {
        for text in ["count=-1,bytes=-1", "count=5,bytes=-1=;byteHardLimit=-1;countHardLimit=7"] {
            assert_eq!(Track::parse(text.as_bytes()).expect("a track").to_string(), text);
        }
        assert_eq!(Track::parse(b"").expect("nothing").to_string(), "count=-1,bytes=-1");
        assert_eq!(
            Track::parse(b"count=x").map_err(|error| error.message),
            Err("For input string: \"x\"".to_owned())
        );
    }

    #[test]
    fn limits_are_numbers() {
        for (words, expected) in [
            (["-n", "5"], Ok(("count", 5))),
            (["-N", "0"], Err("the num quota must be greater than zero")),
            (["-b", "0"], Ok(("bytes", 0))),
            (["-B", "-1"], Err("the bytes quota must be greater than or equal to zero")),
            (["-n", "3000000000"], Err("NumberFormatException happens when parsing the option value")),
            (["-b", "3000000000"], Ok(("bytes", 3_000_000_000))),
        ] {
            let words: Vec<String> = ["setquota"].iter().chain(&words).map(ToString::to_string).collect();
            assert_eq!(asked_limit(&SET_OPTIONS.parse(&words).expect("options")), expected);
        }
    }
}
