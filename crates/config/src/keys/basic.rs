//! Where a server keeps its data, where it listens, and how fast its time runs.

use super::Section;
use crate::config::ListenHost;
use crate::draft::Draft;
use crate::key::{Class, Key, Problem, Raw, Verdict};
use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;

pub(super) const SECTION: Section = Section {
    title: "Basic keys",
    intro: "What every zoo.cfg has.",
    keys: &[
        Key::file("dataDir", "required", "/var/lib/zookeeper")
            .doc("Directory of the snapshots (`version-2` below it), of `myid` and of `initialize`.")
            .custom(|d, raw| path(raw, &mut d.data_dir)),
        Key::file("dataLogDir", "dataDir", "/var/lib/zookeeper-log")
            .doc("Directory of the transaction logs (`version-2` below it); best on a disk of its own.")
            .differently("logs that were there and are gone, since their disk was replaced or is not mounted, are missed: a lone server ends with what to do, a member has no vote until a leader has given it its state; Java goes on from the newest snapshot")
            .custom(|d, raw| path(raw, &mut d.data_log_dir)),
        Key::file("clientPort", "none", "2182")
            .doc("Port for clients without TLS; 0 takes any free port. A standalone server needs one.")
            .custom(|d, raw| {
                d.config.client_port = Some(port(raw)?);
                Ok(None)
            }),
        Key::file("clientPortAddress", "every interface", "127.0.0.1")
            .doc("Address or host name that `clientPort` is bound on.")
            .custom(|d, raw| {
                let (host, warning) = listen_host(raw)?;
                d.client_port_address = Some(host);
                Ok(warning)
            }),
        Key::file("clientPortListenBacklog", "-1", "100")
            .unit("connections")
            .doc("Connections the kernel holds until they are accepted; -1 means 50.")
            .int(i32::MIN as i64, |d, v| d.config.client_port_listen_backlog = v as i32),
        Key::file("tickTime", "3000", "2000")
            .unit("milliseconds")
            .doc("Base unit of time: session timeouts are expired in steps of it and default to multiples of it.")
            .custom(tick_time),
        Key::file("minSessionTimeout", "-1", "4000")
            .unit("milliseconds")
            .doc("Shortest session timeout granted; -1 means 2 ticks.")
            .int(-1, |d, v| d.session_timeout_ms_min = u32::try_from(v).ok()),
        Key::file("maxSessionTimeout", "-1", "40000")
            .unit("milliseconds")
            .doc("Longest session timeout granted; -1 means 20 ticks.")
            .int(-1, |d, v| d.session_timeout_ms_max = u32::try_from(v).ok()),
        Key::prefixed("datadir.autocreate", "true", "false")
            .doc("Make missing data directories; otherwise a missing one ends the start with exit code 3.")
            .lenient_bool(|d, v| d.config.datadir_autocreate = v),
        Key::prefixed("db.autocreate", "true", "false")
            .doc("Start with an empty data directory even without the file `initialize` in `dataDir` or `dataLogDir`; the file \
                  goes when it has been used.")
            .differently("with `false` a standalone server without data ends the start, where Java's starts and serves nobody; a member without data does not vote before a leader has given it some, as in Java")
            .lenient_bool(|d, v| d.config.db_autocreate = v),
        Key::own("zabd.log.level", "INFO", "DEBUG")
            .aliases(&["console.threshold", "root.logger"])
            .class(Class::B)
            .doc("Log events below this level are dropped: `OFF`, `ERROR`, `WARN`, `INFO`, `DEBUG` or `TRACE`. The \
                  properties of Java's log configurations work too; of `root.logger` the first word counts. At `DEBUG` connections, \
                  sessions and log files are told of one by one, at `TRACE` every request: its session, xid, path, zxid and result, \
                  never its data.")
            .custom(log_level),
        Key::own("zabd.log.format", "java", "json")
            .class(Class::B)
            .doc("Shape of a log line: `java`, the pattern of Java's `logback.xml`, or `json`, one object per line. Then \
                  what is wrong with the configuration is told there too, one line for each mistake, with `file`, `line`, `key` \
                  and `remedy` beside its message, and standard error stays empty.")
            .custom(log_format),
    ],
};

fn path(raw: &Raw<'_>, home: &mut Option<PathBuf>) -> Verdict {
    if raw.value.is_empty() {
        return Err(Problem::whole(format!("{} is not set", raw.key.name)));
    }
    *home = Some(PathBuf::from(raw.value));
    Ok(relative_path_warning(raw.value))
}

/// Java's warning about a path that depends on where the server was started.
pub(crate) fn relative_path_warning(path: &str) -> Option<String> {
    let is_plain = !path.starts_with('/') && !path.starts_with("./");
    is_plain.then(|| format!("{path} is relative. Prepend ./ to indicate that you're sure!"))
}

pub(super) fn port(raw: &Raw<'_>) -> Result<u16, Problem> {
    let number = raw.key.number(raw.value, i64::MIN, i64::MAX)?;
    u16::try_from(number)
        .map_err(|_| Problem::value("is out of range").hint("a port from 1 to 65535, or 0 for any free one"))
}

/// A literal address is parsed here; a name stays a name, because what it means may change.
pub(super) fn listen_host(raw: &Raw<'_>) -> Result<(ListenHost, Option<String>), Problem> {
    let text = raw.value.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(raw.value);
    if text.is_empty() {
        let warning = format!("{} is empty, which means the loopback address", raw.key.name);
        return Ok((ListenHost::Address(IpAddr::from([127, 0, 0, 1])), Some(warning)));
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        // Java binds 0.0.0.0 as the wildcard of both families.
        let host = if address.is_unspecified() { ListenHost::Any } else { ListenHost::Address(address) };
        return Ok((host, None));
    }
    if is_address_of_zone(text) {
        return Ok((ListenHost::Name(text.to_owned()), None));
    }
    if text.contains(|c: char| !(c.is_alphanumeric() || matches!(c, '-' | '.' | '_'))) {
        return Err(Problem::value("is not an address").hint("one address or host name, without a port"));
    }
    Ok((ListenHost::Name(text.to_owned()), None))
}

/// `fe80::1%eth0`: what the zone is, only the machine knows.
fn is_address_of_zone(text: &str) -> bool {
    text.split_once('%').is_some_and(|(address, zone)| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        address.parse::<Ipv6Addr>().is_ok() && !zone.is_empty() && zone.chars().all(is_plain)
    })
}

fn tick_time(draft: &mut Draft, raw: &Raw<'_>) -> Verdict {
    let number = raw.key.number(raw.value, i64::MIN, i64::from(i32::MAX))?;
    if number == 0 {
        return Err(Problem::whole("tickTime is not set")
            .hint("`tickTime` must be at least 1 ms, for example `tickTime=2000`"));
    }
    draft.config.tick_time_ms = u32::try_from(number).map_err(|_| Problem::value("must be at least 1"))?;
    Ok(None)
}

fn log_level(draft: &mut Draft, raw: &Raw<'_>) -> Verdict {
    use crate::config::LogLevel::{Debug, Error, Info, Off, Trace, Warn};
    let word = raw.value.split(',').next().unwrap_or_default().trim();
    draft.config.log.level = match word.to_ascii_uppercase().as_str() {
        "OFF" => Off,
        "FATAL" | "ERROR" => Error,
        "WARN" | "WARNING" => Warn,
        "INFO" => Info,
        "DEBUG" => Debug,
        "TRACE" | "ALL" => Trace,
        _ => {
            let levels = "one of `OFF`, `ERROR`, `WARN`, `INFO`, `DEBUG`, `TRACE`";
            return Err(Problem::value("is not a log level").hint(levels));
        }
    };
    Ok(None)
}

fn log_format(draft: &mut Draft, raw: &Raw<'_>) -> Verdict {
    use crate::config::LogFormat::{Java, Json};
    draft.config.log.format = match &*raw.value.to_ascii_lowercase() {
        "java" => Java,
        "json" => Json,
        _ => return Err(Problem::value("is not a log format").hint("`java` or `json`")),
    };
    Ok(None)
}
