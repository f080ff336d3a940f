//! `conf`, `envi` and `dirs`: how the server was started, and where.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use zabd_config::{Config, EnsembleConfig};
use zabd_jute::ServerId;
use zabd_jute::quorum::{Address, Configuration};
use zabd_replica::Serving;
use zabd_storage::disk::RealDisk;
use zabd_storage::layout;

use super::VERSION;
use crate::introspect::{Introspection, READ_ONLY};

/// The only way to elect a leader that Java has left, by its number.
const ELECTION_ALGORITHM: u8 = 3;

/// The configuration in force.
pub(super) fn conf(server: &Introspection) -> String {
    let (config, directories) = (&server.config, &server.directories);
    let (data_bytes, log_bytes) = sizes(server);
    let myid =
        config.ensemble.as_ref().map_or(i64::from(Config::REPORTED_SERVER_ID), |ensemble| ensemble.myid);
    let of_a_lone_server = format!(
        "clientPort={}\nsecureClientPort={}\ndataDir={}\ndataDirSize={data_bytes}\ndataLogDir={}\n\
         dataLogSize={log_bytes}\ntickTime={}\nmaxClientCnxns={}\nminSessionTimeout={}\nmaxSessionTimeout={}\n\
         clientPortListenBacklog={}\nserverId={myid}\n",
        port(server.addresses.plain.as_ref()),
        port(server.addresses.secure.as_ref()),
        absolute(&directories.snapshots).display(),
        absolute(&directories.logs).display(),
        config.tick_time_ms,
        config.max_client_cnxns_per_ip,
        config.session_timeout_ms_min,
        config.session_timeout_ms_max,
        config.client_port_listen_backlog,
    );
    let of_a_member =
        config.ensemble.as_ref().map_or_else(String::new, |ensemble| membership(server, ensemble));
    of_a_lone_server + &of_a_member
}

/// As Java shows it, also a port that there is not.
pub(super) fn port(address: Option<&Arc<Mutex<SocketAddr>>>) -> i32 {
    address.map_or(-1, |address| i32::from(address.lock().port()))
}

/// What a member has beside that: its own place, and the members that hold now, whatever the file said.
fn membership(server: &Introspection, ensemble: &EnsembleConfig) -> String {
    let (configuration, status) =
        server.driver.inspect(|replica| (replica.configuration().cloned(), replica.ensemble_status()));
    let (Some(configuration), Some(status)) = (configuration, status) else { return String::new() };
    let myid = ServerId(ensemble.myid);
    // Who has been removed still listens where it did.
    let at_start = Configuration::parse(&ensemble.members).ok();
    let me = configuration.member(myid);
    let place = me.or_else(|| at_start.as_ref()?.member(myid));
    let mut text = format!(
        "initLimit={}\nsyncLimit={}\nelectionAlg={ELECTION_ALGORITHM}\nelectionPort={}\nquorumPort={}\npeerType={}\n",
        ensemble.init_limit_ticks,
        ensemble.sync_limit_ticks,
        place.map_or_else(String::new, |place| ports(place.election_addresses())),
        place.map_or_else(String::new, |place| ports(place.quorum_addresses())),
        u8::from(me.is_some_and(|me| !me.is_voter())),
    );
    // Without a leader Java's is another server, which does not list them. Its list has no end of line.
    if status.serving != Serving::ReadOnly {
        let _ = write!(text, "membership: \n{configuration}");
    }
    text
}

/// Each port once.
fn ports(addresses: impl Iterator<Item = Address>) -> String {
    let mut ports: Vec<u16> = Vec::new();
    for address in addresses {
        if !ports.contains(&address.port) {
            ports.push(address.port);
        }
    }
    ports.iter().map(ToString::to_string).collect::<Vec<_>>().join("|")
}

/// `File.getAbsolutePath`: nothing is resolved, not even a dot.
pub(super) fn absolute(path: &Path) -> PathBuf {
    std::env::current_dir().map_or_else(|_| path.to_owned(), |here| here.join(path))
}

/// Whether this server takes writes; what clients ask that look for one which does.
pub(super) fn isro(server: &Introspection) -> &'static str {
    match server.mode() {
        _ if !server.driver.serves_clients() => "null",
        READ_ONLY => "ro",
        _ => "rw",
    }
}

/// Sizes of the two directories.
pub(super) fn dirs(server: &Introspection) -> String {
    let (data_bytes, log_bytes) = sizes(server);
    format!("datadir_size: {data_bytes}\nlogdir_size: {log_bytes}\n")
}

pub(super) fn sizes(server: &Introspection) -> (u64, u64) {
    let size = |dir| layout::size(&RealDisk, dir).unwrap_or(0);
    (size(&server.directories.snapshots), size(&server.directories.logs))
}

/// The process's surroundings, a line each.
pub(super) fn envi() -> String {
    let mut text = "Environment:\n".to_owned();
    for (key, value) in lines() {
        let _ = writeln!(text, "{key}={value}");
    }
    text
}

/// The process's surroundings; what belongs to a Java machine has no value.
pub(super) fn lines() -> Vec<(&'static str, String)> {
    let read = |path: &str| std::fs::read_to_string(path).map(|text| text.trim().to_owned()).ok();
    let users = read("/etc/passwd").unwrap_or_default();
    let user = user_of(&users, rustix::process::getuid().as_raw());
    let none = || "<NA>".to_owned();
    let host = read("/proc/sys/kernel/hostname").unwrap_or_else(none);
    let release = read("/proc/sys/kernel/osrelease").unwrap_or_else(none);
    let directory = std::env::current_dir().map_or_else(|_| none(), |dir| dir.display().to_string());
    let memory = |key: &str| memory_mb(&read("/proc/meminfo").unwrap_or_default(), key);
    vec![
        ("zookeeper.version", VERSION.to_owned()),
        ("host.name", host),
        ("java.version", none()),
        ("java.vendor", none()),
        ("java.home", none()),
        ("java.class.path", none()),
        ("java.library.path", none()),
        ("java.io.tmpdir", std::env::temp_dir().display().to_string()),
        ("java.compiler", none()),
        ("os.name", "Linux".to_owned()),
        ("os.arch", std::env::consts::ARCH.replace("x86_64", "amd64")),
        ("os.version", release),
        ("user.name", user.map_or_else(|| "?".to_owned(), |(name, _)| name.to_owned())),
        ("user.home", user.map_or_else(|| "?".to_owned(), |(_, home)| home.to_owned())),
        ("user.dir", directory),
        ("os.memory.free", format!("{}MB", memory("MemAvailable:"))),
        ("os.memory.max", format!("{}MB", memory("MemTotal:"))),
        ("os.memory.total", format!("{}MB", memory("MemTotal:"))),
    ]
}

/// Those of the lines that are system properties of a Java machine, and known of any process.
pub(crate) fn of_process() -> Vec<(&'static str, String)> {
    let is_property = |name: &str| ["java.", "os.", "user."].iter().any(|first| name.starts_with(first));
    let is_known = |(name, value): &(&str, String)| {
        is_property(name) && !name.starts_with("os.memory") && value != "<NA>"
    };
    lines().into_iter().filter(is_known).collect()
}

/// Name and home of a user, from the lines of `/etc/passwd`: as Java, whatever the environment says.
fn user_of(users: &str, uid: u32) -> Option<(&str, &str)> {
    users.lines().find_map(|line| {
        let fields: Vec<_> = line.split(':').collect();
        match fields[..] {
            [name, _, number, _, _, home, ..] if number.parse() == Ok(uid) => Some((name, home)),
            _ => None,
        }
    })
}

fn memory_mb(meminfo: &str, key: &str) -> u64 {
    let line = meminfo.lines().find_map(|line| line.strip_prefix(key));
    let kb = line.and_then(|rest| rest.split_whitespace().next()).and_then(|word| word.parse::<u64>().ok());
    kb.unwrap_or(0) / 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_known_by_its_number() {
        let users =
            "root:x:0:0:root:/root:/bin/bash\nzk:x:104:109::/var/lib/zookeeper:/usr/sbin/nologin\nodd\n";
        assert_eq!(user_of(users, 0), Some(("root", "/root")));
        assert_eq!(user_of(users, 104), Some(("zk", "/var/lib/zookeeper")));
        assert_eq!(user_of(users, 10), None);
    }

    #[test]
    fn memory_is_read_in_megabytes() {
        assert_eq!(memory_mb("MemTotal:       24576000 kB\nMemFree: 1 kB\n", "MemTotal:"), 24_000);
        assert_eq!(memory_mb("", "MemTotal:"), 0);
    }
}
