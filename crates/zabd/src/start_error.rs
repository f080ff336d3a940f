//! Why a server does not start, said as an operator looks for it: the file, the line and the key that
//! asked for what cannot be had, what the system said, and what to do.
//!
//! What shows only in use (a port that is taken, a directory that cannot be written) is blamed on its key
//! like a wrong value is. What is wrong with a file of data is said by the crate that reads it.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use rustix::io::Errno;
use zabd_config::{Config, ConfigError, ExitCode, Source};
use zabd_storage::layout::VERSION_DIR;
use zabd_storage::log::LogError;
use zabd_storage::recovery::RecoveryError;
use zabd_storage::snapshot::SnapshotError;

use crate::http_port::HttpListenError;
use crate::launch::with_causes;
use crate::member::MemberError;
use crate::net::ListenError;
use crate::probes::ProbeListenError;

/// See the module's description.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration names no port to listen on.
    #[error("no clientPort is configured; set it in zoo.cfg")]
    NoPort,
    /// The address to listen on has no meaning here.
    #[error("{0}")]
    NoAddress(ConfigError),
    /// The port cannot be opened.
    #[error("{0}")]
    Listen(ConfigError),
    /// The port for probes cannot be opened.
    #[error("{0}")]
    Probes(ConfigError),
    /// The port for Prometheus cannot be opened.
    #[error("{0}")]
    Metrics(ConfigError),
    /// TLS is asked for, and cannot be had.
    #[error("{0}")]
    Tls(ConfigError),
    /// A file that says who may log in cannot be used.
    #[error("{0}")]
    LoginFile(ConfigError),
    /// A directory cannot be used.
    #[error("{0}")]
    Directory(ConfigError),
    /// The files are not usable.
    #[error(transparent)]
    Recovery(RecoveryError),
    /// The files of a member are damaged, and the others cannot help.
    #[error(
        "{0}; the other servers alone are no quorum, so that none of them can lead and give this one its state: restore \
         its files from a copy"
    )]
    Irreparable(RecoveryError),
    /// The first snapshot could not be written.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// What an ensemble needs is not there.
    #[error(transparent)]
    Member(#[from] MemberError),
    /// A thread could not be started.
    #[error("cannot start a thread")]
    Thread(#[from] std::io::Error),
}

impl StartError {
    /// What the process ends with, in Java's numbers.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            StartError::NoPort
            | StartError::NoAddress(_)
            | StartError::Tls(_)
            | StartError::Member(MemberError::Members(_)) => ExitCode::InvalidInvocation,
            StartError::Directory(_) => ExitCode::UnableToAccessDataDir,
            StartError::Member(MemberError::Listen(_)) => ExitCode::UnableToBindQuorumPort,
            StartError::Snapshot(_) => ExitCode::TxnlogErrorTakingSnapshot,
            StartError::Listen(_)
            | StartError::Probes(_)
            | StartError::Metrics(_)
            | StartError::LoginFile(_)
            | StartError::Member(_)
            | StartError::Recovery(_)
            | StartError::Irreparable(_)
            | StartError::Thread(_) => ExitCode::UnexpectedError,
        }
    }

    /// A store, or what is to be offered, cannot be used.
    pub fn tls(config: &Config, error: &zabd_tls::TlsError) -> Self {
        StartError::Tls(config.blame(&error.key, &error.problem, &error.hint))
    }

    /// The host name in this key has no address.
    pub fn no_address(config: &Config, key: &str, host: &str) -> Self {
        let problem = "cannot be resolved to an address";
        let hint = format!("check the name (`getent hosts {host}`), or write an address of this machine");
        StartError::NoAddress(config.blame(key, problem, &hint))
    }

    /// The port cannot be opened.
    pub fn listen(config: &Config, [port_key, address_key]: [&str; 2], error: &ListenError) -> Self {
        let keys = [port_key, address_key];
        let (key, hint) = remedy(config, keys, error.address.port(), error.source.kind());
        let problem = format!("cannot be opened on {}: {}", address_text(error.address), error.source);
        StartError::Listen(config.blame(key, &problem, &hint))
    }

    /// The port for probes cannot be opened.
    pub fn probes(config: &Config, error: &ProbeListenError) -> Self {
        let key = match error.source.kind() {
            std::io::ErrorKind::AddrInUse | std::io::ErrorKind::PermissionDenied => "zabd.probes.port",
            _ => "zabd.probes.address",
        };
        let problem = format!("cannot be opened on {}: {}", error.address, error.source);
        let hint = "set another port, or 0 for no probes, and an address of this machine, or none";
        StartError::Probes(config.blame(key, &problem, hint))
    }

    /// The port for Prometheus cannot be opened.
    pub fn metrics(config: &Config, port_key: &str, error: &HttpListenError) -> Self {
        let keys = [port_key, "metricsProvider.httpHost"];
        let (key, hint) = remedy(config, keys, error.port, error.source.kind());
        let problem = format!("cannot be opened on {}: {}", error.address, error.source);
        StartError::Metrics(config.blame(key, &problem, &hint))
    }

    /// Recovery failed; what is wrong with a directory is blamed on the key that names it.
    pub fn recovery(config: &Config, error: RecoveryError) -> Self {
        let key = |path: &Path| {
            let is_log = config.data_log_dir != config.data_dir && path.starts_with(&config.data_log_dir);
            if is_log { "dataLogDir" } else { "dataDir" }
        };
        let (key, problem, hint) = match &error {
            RecoveryError::Directory { action, path, source } => (
                key(path),
                format!("cannot be used: cannot {action} {}: {source}", path.display()),
                match source.kind() {
                    ErrorKind::PermissionDenied => hint_of_owner(
                        if key(path) == "dataLogDir" { &config.data_log_dir } else { &config.data_dir },
                        true,
                    ),
                    _ => "check that it is there, who may read and write it, and its disk".to_owned(),
                },
            ),
            RecoveryError::WrittenByJava { pid, path } => (
                key(path),
                format!(
                    "is in use by a Java server, process {pid}, which has {} open for writing",
                    path.display()
                ),
                "stop that server first: two servers in one directory lose what clients were told is durable"
                    .to_owned(),
            ),
            RecoveryError::TooDeep { path, name } => (
                key(path),
                format!("holds {name} itself, which belongs into its {VERSION_DIR}"),
                match path.parent().filter(|_| path.ends_with(VERSION_DIR)) {
                    Some(parent) => format!("name the directory above: `{}={}`", key(path), parent.display()),
                    None => format!(
                        "name the directory that has {VERSION_DIR} in it, or make that and move the files there"
                    ),
                },
            ),
            RecoveryError::Missing { path } => (
                key(path),
                format!("lacks {}, and datadir.autocreate is false", path.display()),
                format!("create it: `mkdir -p {}`", path.display()),
            ),
            RecoveryError::InUse { path } => (
                key(path),
                format!("is in use by another server, which holds {}", path.display()),
                "stop that server, or give this one directories of its own".to_owned(),
            ),
            RecoveryError::Empty { initialize, .. } => (
                "dataDir",
                "holds no data, and db.autocreate is false".to_owned(),
                format!(
                    "mount or restore the data; to begin with none, make an empty file {}",
                    initialize.display()
                ),
            ),
            RecoveryError::Misplaced { path, name, what } => (
                key(path),
                format!("holds {name}, which belongs into {what}"),
                hint_of_misplaced(config, path, what),
            ),
            _ => return StartError::Recovery(error),
        };
        StartError::Directory(config.blame(key, &problem, &hint))
    }

    /// The key that is to blame, if one is.
    pub fn mistake(&self) -> Option<&ConfigError> {
        match self {
            StartError::NoAddress(mistake)
            | StartError::Listen(mistake)
            | StartError::Tls(mistake)
            | StartError::Probes(mistake)
            | StartError::LoginFile(mistake)
            | StartError::Directory(mistake)
            | StartError::Metrics(mistake)
            | StartError::Member(MemberError::Members(mistake) | MemberError::Listen(mistake)) => {
                Some(mistake)
            }
            _ => None,
        }
    }

    /// The text with everything that caused it.
    pub fn text(&self) -> String {
        with_causes(self)
    }
}

/// Logs stand beside the snapshots until there is a `dataLogDir`, and nobody but the operator knows that it is new.
fn hint_of_misplaced(config: &Config, path: &Path, what: &str) -> String {
    let swapped = "dataDir and dataLogDir may be swapped; check both";
    if what != "dataLogDir" {
        return swapped.to_owned();
    }
    let (from, to) = (path.display(), config.data_log_dir.join(VERSION_DIR));
    let to = to.display();
    format!(
        "if dataLogDir is new, move the logs there: `mkdir -p {to} && mv {from}/log.* {to}/`; else {swapped}"
    )
}

/// What to do about a file or directory of another user, as one start as root leaves them.
pub fn hint_of_owner(path: &Path, is_whole_directory: bool) -> String {
    let (user, path) = (crate::audit::user_name(), path.display());
    let (flag, what) = if is_whole_directory { ("-R ", "all of it") } else { ("", "it") };
    format!(
        "this server runs as user {user}, who has to be given {what}: `chown {flag}{user} {path}`, as root (a start as root leaves \
         files that are root's)"
    )
}

/// What is wrong with data, for whoever looks at them without a configuration whose keys could be blamed. `dirs` are `dataDir` and
/// `dataLogDir`.
pub fn recovery_text(error: &RecoveryError, dirs: [&Path; 2]) -> String {
    let (RecoveryError::Directory { action, path, source }
    | RecoveryError::Log(LogError::Io { action, path, source })
    | RecoveryError::Snapshot(SnapshotError::Io { action, path, source })) = error
    else {
        return with_causes(error);
    };
    if source.kind() != ErrorKind::PermissionDenied {
        return with_causes(error);
    }
    let hint = hint_of_owner(dir_of(path, dirs), true);
    format!("cannot {action} {}: {source}; hint: {hint}", path.display())
}

/// To which of the two a file belongs.
fn dir_of<'d>(path: &Path, [data_dir, log_dir]: [&'d Path; 2]) -> &'d Path {
    if data_dir != log_dir && path.starts_with(log_dir) { log_dir } else { data_dir }
}

/// The first directory that this user may not read and write, of those that a start needs: `version-2`, or the one in which it is to
/// be made.
pub fn forbidden_directory(dirs: [&Path; 2]) -> Option<(PathBuf, String)> {
    let accessed = |dir: &Path| access(dir, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK);
    dirs.into_iter().find_map(|dir| {
        let version = dir.join(VERSION_DIR);
        let needed = if accessed(&version) == Err(Errno::NOENT) { dir } else { &version };
        let hint = match accessed(needed) {
            Err(Errno::ACCESS) => hint_of_owner(dir_of(needed, dirs), true),
            Err(Errno::ROFS) => "its file system is read-only: mount it for writing".to_owned(),
            _ => return None,
        };
        Some((needed.to_owned(), hint))
    })
}

/// Which key is to blame for a port that cannot be opened, and what to do.
fn remedy<'a>(
    config: &Config,
    [port_key, address_key]: [&'a str; 2],
    port: u16,
    kind: io::ErrorKind,
) -> (&'a str, String) {
    match kind {
        io::ErrorKind::AddrInUse => (port_key, hint_of_taken(config, port_key, port)),
        io::ErrorKind::PermissionDenied => {
            (port_key, format!("ports below 1024 need a privilege; set another {port_key}"))
        }
        io::ErrorKind::AddrNotAvailable => (
            address_key,
            "no interface of this machine has the address; remove the key to listen on all".to_owned(),
        ),
        _ => (port_key, format!("check {port_key} and {address_key}")),
    }
}

/// Nobody can stop a process that is this one.
fn hint_of_taken(config: &Config, key: &str, port: u16) -> String {
    if let Some(other) = own_ports(config).into_iter().find(|(other, own)| *other != key && *own == port) {
        return format!("{} is {port}, too: give each a port of its own", other.0);
    }
    let is_written = config.effective.iter().any(|set| set.key == key && set.source != Source::Implied);
    let another = if is_written || key != "clientPort" {
        format!("set another {key}")
    } else {
        "choose another one: `zabd server --clientPort 2182`".to_owned()
    };
    format!("another process holds port {port} (`ss -ltnp sport = :{port}` names it); stop it, or {another}")
}

/// The ports that are opened before one for clients is, or may be that one.
fn own_ports(config: &Config) -> Vec<(&'static str, u16)> {
    let ports = [
        ("clientPort", config.client_port),
        ("secureClientPort", config.tls.secure_client_port),
        ("zabd.probes.port", config.probes.port),
        ("metricsProvider.httpPort", config.metrics.http_port),
        ("metricsProvider.httpsPort", config.metrics.https_port),
    ];
    ports.into_iter().filter_map(|(key, port)| Some((key, port.filter(|port| *port != 0)?))).collect()
}

/// All interfaces read as Java's `0.0.0.0`, whichever family the socket is of.
fn address_text(address: SocketAddr) -> String {
    if address.ip().is_unspecified() { format!("0.0.0.0:{}", address.port()) } else { address.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zabd_config::Sources;

    fn config() -> Config {
        let text = b"dataDir=/data\ndataLogDir=/log\nclientPort=2181\nclientPortAddress=zk.example\n";
        let nothing = |_: &Path| Err(io::ErrorKind::NotFound.into());
        Sources::new().file("zoo.cfg", text).resolve(&nothing).unwrap()
    }

    #[test]
    fn a_port_is_blamed_on_its_line() {
        let failed = |kind: io::ErrorKind| {
            let error = ListenError { address: ([127, 0, 0, 1], 2181).into(), source: kind.into() };
            StartError::listen(&config(), ["clientPort", "clientPortAddress"], &error)
        };
        let taken = failed(io::ErrorKind::AddrInUse);
        assert_eq!(taken.exit_code(), ExitCode::UnexpectedError);
        let text = taken.text();
        assert!(
            text.starts_with("zoo.cfg:3: clientPort=2181 cannot be opened on 127.0.0.1:2181: "),
            "{text}"
        );
        assert!(text.contains("; hint: another process holds port 2181"), "{text}");
        assert!(text.ends_with("; stop it, or set another clientPort"), "{text}");
        let elsewhere = failed(io::ErrorKind::AddrNotAvailable).text();
        assert!(elsewhere.starts_with("zoo.cfg:4: clientPortAddress=zk.example cannot"), "{elsewhere}");
        let unknown = StartError::no_address(&config(), "clientPortAddress", "zk.example");
        assert_eq!(unknown.exit_code(), ExitCode::InvalidInvocation);
        assert!(unknown.text().starts_with("zoo.cfg:4: clientPortAddress=zk.example cannot be resolved"));
    }

    /// "Another process" would be looked for in vain, and whoever has no file has no key to set.
    #[test]
    fn a_port_of_its_own_or_of_no_file_has_a_remedy_of_its_own() {
        let nothing = |_: &Path| Err(io::ErrorKind::NotFound.into());
        let taken = |sources: Sources, port: u16| {
            let error =
                ListenError { address: ([0, 0, 0, 0], port).into(), source: io::ErrorKind::AddrInUse.into() };
            let config = sources.resolve(&nothing).unwrap();
            StartError::listen(&config, ["clientPort", "clientPortAddress"], &error).text()
        };
        let twice = b"dataDir=/data\nclientPort=7000\nzabd.probes.port=7000\n";
        let text = taken(Sources::new().file("zoo.cfg", twice), 7000);
        assert!(
            text.ends_with("; hint: zabd.probes.port is 7000, too: give each a port of its own"),
            "{text}"
        );
        let text = taken(Sources::new().implied([("clientPort", "2181"), ("dataDir", "/data")]), 2181);
        assert!(text.ends_with("stop it, or choose another one: `zabd server --clientPort 2182`"), "{text}");
    }

    #[test]
    fn a_directory_is_blamed_on_the_key_that_names_it() {
        let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
        let (data, log) = (Path::new("/data/version-2"), Path::new("/log/version-2"));
        for (error, start, hint) in [
            (
                RecoveryError::Directory { action: "create", path: data.into(), source: denied() },
                "zoo.cfg:1: dataDir=/data cannot be used: cannot create /data/version-2: permission denied",
                "`chown -R ",
            ),
            (
                RecoveryError::WrittenByJava { pid: 77, path: log.join("log.1") },
                "zoo.cfg:2: dataLogDir=/log is in use by a Java server, process 77, which has /log/version-2/log.1",
                "stop that server",
            ),
            (
                RecoveryError::TooDeep { path: "/data".into(), name: "snapshot.0".into() },
                "zoo.cfg:1: dataDir=/data holds snapshot.0 itself",
                "name the directory that has version-2 in it",
            ),
            (
                RecoveryError::Missing { path: log.into() },
                "zoo.cfg:2: dataLogDir=/log lacks /log/version-2",
                "mkdir -p /log/version-2",
            ),
            (
                RecoveryError::InUse { path: data.into() },
                "zoo.cfg:1: dataDir=/data is in use by another server",
                "stop that server",
            ),
            (
                RecoveryError::Empty { snapshot_dir: data.into(), initialize: "/data/initialize".into() },
                "zoo.cfg:1: dataDir=/data holds no data, and db.autocreate is false",
                "make an empty file /data/initialize",
            ),
            (
                RecoveryError::Misplaced { path: log.into(), name: "snapshot.0".into(), what: "dataDir" },
                "zoo.cfg:2: dataLogDir=/log holds snapshot.0, which belongs into dataDir",
                "swapped",
            ),
            (
                RecoveryError::Misplaced { path: data.into(), name: "log.1".into(), what: "dataLogDir" },
                "zoo.cfg:1: dataDir=/data holds log.1, which belongs into dataLogDir",
                "if dataLogDir is new, move the logs there: `mkdir -p /log/version-2 && mv /data/version-2/log.* /log/version-2/`",
            ),
        ] {
            let error = StartError::recovery(&config(), error);
            assert_eq!(error.exit_code(), ExitCode::UnableToAccessDataDir);
            let text = error.text();
            assert!(text.starts_with(start), "{text}");
            assert!(text.contains("; hint: ") && text.contains(hint), "{text}");
        }
    }
}
