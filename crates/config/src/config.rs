//! What a server is started with, after every word has been understood.
//!
//! A `Config` comes only out of this crate's resolver, so whoever holds one need not check it again:
//! limits are ordered, units are in the names, "off" is `None` rather than a magic number (except
//! where the four-letter word `conf` prints the operator's own number back).

mod auth;

pub use auth::{AuthConfig, DigestAlg, KerberosConfig, QuorumSaslConfig};

use crate::dynamic_file::ConfigFiles;
use crate::effective::Effective;
use crate::error::{ConfigError, Warning};
use crate::load::IMAGE_FLAGS;
use crate::setting::Source;
use crate::tls::{TlsConfig, TlsSide};
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

/// Who the members of an ensemble are, and how long they wait for each other.
#[derive(Clone, Debug, PartialEq)]
pub struct EnsembleConfig {
    /// This server's number among them.
    pub myid: i64,
    /// The `server.N`, `group.N` and `weight.N` lines, as written, one per line, and the `version` of a dynamic file.
    pub members: String,
    /// Members that were proposed in their place and may have been agreed to.
    pub next_members: Option<String>,
    /// Where the members are kept; nowhere if they came without a zoo.cfg.
    pub files: Option<ConfigFiles>,
    /// Whether the members came out of a dynamic file.
    pub is_dynamic: bool,
    /// `standaloneEnabled`: whether an ensemble has two voters at least.
    pub standalone_enabled: bool,
    /// Ticks until a learner is in step with its leader.
    pub init_limit_ticks: u32,
    /// Ticks after which one that is in step is given up.
    pub sync_limit_ticks: u32,
    /// How long a connection on the election port may take to be made.
    pub connect_timeout_ms: u32,
    /// How often a port for other servers is tried that is taken, a second apart; for ever if there is no end.
    pub bind_attempts_max: Option<u32>,
    /// Pause between two attempts of a learner to reach its leader.
    pub leader_connect_delay_ms: u32,
    /// First and longest pause in an election.
    pub notification_interval_ms: (u32, u32),
    /// Whether election and quorum port are opened on every interface.
    pub listen_on_all_ips: bool,
    /// Whether other servers are told all of this server's addresses.
    pub multi_address: bool,
    /// Whether a leader has clients when there are other members.
    pub leader_serves: bool,
    /// Of one transaction in so many it is measured how long voters take to acknowledge it; of none, if it is 0.
    pub acknowledgements_one_in: u32,
    /// Whether a member refuses a write that access lists forbid before it is forwarded or proposed.
    pub checks_access_early: bool,
    /// Whether new sessions are known only to the server on which they begin.
    pub local_sessions: bool,
    /// Whether such a session becomes one that all know when it creates an ephemeral.
    pub local_sessions_upgrade: bool,
    /// The port on which followers take observers.
    pub observer_master_port: Option<u16>,
    /// Share of the newest snapshot's size up to which learners are sent the log; 0 is no limit, below it the log is not sent.
    pub snapshot_size_factor: f64,
    /// The counter behind which a leader begins; only tests set it.
    pub initial_counter: u32,
    /// Whether a learner takes that from a leader.
    pub allows_gaps: bool,
    /// How members authenticate each other, if they do.
    pub sasl: Option<QuorumSaslConfig>,
}

/// A valid configuration of one server.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// Where snapshots live, in `version-2` below it.
    pub data_dir: PathBuf,
    /// Where transaction logs live, in `version-2` below it; `data_dir` unless set apart.
    pub data_log_dir: PathBuf,
    /// Whether missing directories are made rather than refused.
    pub datadir_autocreate: bool,
    /// Whether an empty data directory may start without the file `initialize`.
    pub db_autocreate: bool,

    /// Plaintext port, 0 for any free one. Always set as long as no other listener exists.
    pub client_port: Option<u16>,
    /// Address that `client_port` is bound on.
    pub client_port_address: ListenHost,
    /// Listen backlog as written, -1 for the default; see [`Config::listen_backlog`].
    pub client_port_listen_backlog: i32,
    /// Connections per client address as written; 0 or less is no limit.
    pub max_client_cnxns_per_ip: i32,
    /// Connections in all; 0 is no limit.
    pub max_cnxns: u32,
    /// Whether client sockets have `SO_KEEPALIVE`.
    pub client_tcp_keepalive: bool,
    /// How long a connection may stay without a session, in milliseconds.
    pub sessionless_timeout_ms: u32,
    /// The token bucket in front of new sessions.
    pub connection_throttle: ConnectionThrottle,

    /// The base unit of time, in milliseconds; at least 1.
    pub tick_time_ms: u32,
    /// Shortest session timeout granted, in milliseconds; never above `session_timeout_ms_max`.
    pub session_timeout_ms_min: u32,
    /// Longest session timeout granted, in milliseconds.
    pub session_timeout_ms_max: u32,

    /// Snapshots that a purge keeps; at least 3.
    pub autopurge_snap_retain_count: u32,
    /// Hours between purges; `None` purges never.
    pub autopurge_interval_hours: Option<u32>,
    /// Transactions between snapshots, before the random part; at least 2.
    pub snap_count: u32,
    /// Log size between snapshots, in KiB; `None` is no limit.
    pub snap_size_limit_kb: Option<u64>,
    /// Size at which a log file is closed and the next begun, in KiB; `None` is no limit.
    pub txn_log_size_limit_kb: Option<u64>,
    /// Step in which log files grow ahead of their contents, in KiB; 0 is not at all.
    pub pre_alloc_size_kb: u64,
    /// An fsync slower than this is logged as a warning, in milliseconds.
    pub fsync_warning_threshold_ms: u64,
    /// Whether a write waits for the disk before it is acknowledged.
    pub force_sync: bool,
    /// How long writes may be gathered before a sync, in milliseconds.
    pub flush_delay_ms: u64,
    /// How long an idle log writer waits before it syncs what it has, in milliseconds.
    pub max_write_queue_poll_time_ms: u64,
    /// Most transactions per sync; `None` is no limit.
    pub max_batch_size: Option<u32>,
    /// How new snapshots are compressed; every kind is read.
    pub snapshot_compression: SnapshotCompression,
    /// Whether logs without any snapshot may be loaded.
    pub snapshot_trust_empty: bool,
    /// `zabd.snapshot.trust.unbroken`.
    pub snapshot_trust_unbroken: bool,
    /// Whether a snapshot ends with the last zxid it holds.
    pub serialize_last_processed_zxid: bool,
    /// Whether transactions and snapshots carry the digest of the tree.
    pub digest_enabled: bool,
    /// Whether the transaction that closes a session lists the nodes it deletes.
    pub close_session_txn: bool,

    /// Requests in flight, in the whole server, above which sockets are no longer read.
    pub global_outstanding_limit: u32,
    /// How many requests are in the pipeline, and what becomes of others.
    pub request_throttle: RequestThrottle,
    /// Longest packet taken from a client, in bytes.
    pub jute_max_buffer_bytes: u32,
    /// What a record may exceed that limit by when it is read back, in bytes; at least 1024.
    pub jute_extra_bytes: u32,
    /// A request above this many bytes counts as large; `None` counts none.
    pub large_request_threshold_bytes: Option<u32>,
    /// Bytes that all large requests in flight may have together.
    pub large_request_max_bytes: u32,
    /// Bytes of replies and events that all clients together may leave untaken.
    pub unsent_bytes_max: usize,
    /// Requests that have come only in part, of all clients together.
    pub incomplete_bytes_max: usize,
    /// What the whole process may use of memory, in bytes; 0 is no limit, `None` is the control group's.
    pub memory_bytes_max: Option<u64>,

    /// Whether quotas are enforced rather than only reported.
    pub enforce_quota: bool,
    /// Whether TTL nodes exist.
    pub extended_types_enabled: bool,
    /// Whether TTL nodes are written as release 3.5.3 wrote them.
    pub emulate_353_ttl: bool,
    /// When empty containers and expired TTL nodes are deleted.
    pub container: ContainerReaper,

    /// Who a client is and what it may do.
    pub auth: AuthConfig,
    /// Four-letter words that are answered.
    pub four_letter_words: FourLetterWords,
    /// `readonlymode.enabled`; on a standalone server it only enables the word `isro`.
    pub read_only_mode: bool,
    /// Whether the members of an ensemble may be changed at run time. A standalone server has none, and answers
    /// `Unimplemented` rather than `ReconfigDisabled`.
    pub reconfig_enabled: bool,
    /// Whether operations are written to the audit log.
    pub audit_enabled: bool,
    /// Certificates, and the ports that use them.
    pub tls: TlsConfig,
    /// Where a container platform asks how it is.
    pub probes: ProbesConfig,
    /// Where operators give commands over HTTP.
    pub admin: AdminConfig,
    /// `zabd.slowOperationMs`: what takes so long is told; nothing, if it is none.
    pub slow_operation_ms: Option<u64>,
    /// In which shape figures are shown, and where else than in `mntr`.
    pub metrics: MetricsConfig,
    /// What zabd logs and how.
    pub log: LogConfig,

    /// First line of `<dataDir>/myid`, if there is such a file: a member's number in its ensemble; on a
    /// standalone server it is shown in log lines, and nothing else.
    pub myid: Option<i64>,
    /// Set if this server is a member of an ensemble.
    pub ensemble: Option<EnsembleConfig>,

    /// What a Java server would know as system properties: keys nothing reads, by their full name.
    pub system_properties: BTreeMap<String, String>,
    /// The words `-Dname=value`, whoever they are for; what of them is a secret, nobody can tell.
    pub java_words: BTreeMap<String, Secret>,
    /// Every key somebody set, as it took effect, for the start log; secrets are hidden.
    pub effective: Vec<Effective>,
    /// The zoo.cfg, if there is one, as it was named.
    pub config_file: Option<PathBuf>,
    /// What was accepted but needs a word; to be logged once.
    pub warnings: Vec<Warning>,
}

impl Config {
    /// The server id that `conf` and `mntr` report for a standalone server.
    pub const REPORTED_SERVER_ID: u8 = 0;

    /// The server id in the high byte of a standalone server's session ids. (It is not the reported
    /// one: Java's session tracker has a default of its own.)
    pub const SESSION_SERVER_ID: u8 = 1;

    /// The listen backlog to ask for: what was written if it is positive, else Java's 50.
    pub fn listen_backlog(&self) -> u32 {
        u32::try_from(self.client_port_listen_backlog).ok().filter(|backlog| *backlog > 0).unwrap_or(50)
    }

    /// Most bytes of one string or buffer inside a record: both jute limits together.
    pub fn jute_record_max_bytes(&self) -> u32 {
        self.jute_max_buffer_bytes.saturating_add(self.jute_extra_bytes).min(i32::MAX as u32)
    }

    /// What says so, if a key was set.
    pub fn source(&self, key: &str) -> Option<&Source> {
        self.effective.iter().find(|set| set.key == key).map(|set| &set.source)
    }

    /// Whether nobody asked for probes but the image, by its own variable or as what its start script does anyway.
    pub fn has_images_own_probes(&self) -> bool {
        let set = self.effective.iter().find(|set| set.key == "zabd.probes.port");
        set.is_some_and(|set| {
            let is_images =
                matches!(&set.source, Source::Environment { variable, .. } if &**variable == IMAGE_FLAGS);
            is_images || !set.source.is_somebodys()
        })
    }

    /// A mistake that only shows when the value is used, such as a port that is taken, in the shape of
    /// all others: `zoo.cfg:3: clientPort=2181 is taken; hint: ...`.
    pub fn blame(&self, key: &str, problem: &str, hint: &str) -> ConfigError {
        let set = self.effective.iter().find(|set| set.key == key);
        ConfigError {
            source: set.map(|set| set.source.clone()),
            key: Some(key.to_owned()),
            message: set
                .map_or_else(|| format!("{key} {problem}"), |set| format!("{key}={} {problem}", set.value)),
            hint: Some(hint.to_owned()),
        }
    }

    /// Checks what the resolver promises.
    pub(crate) fn assert_valid(&self) {
        assert!(!self.data_dir.as_os_str().is_empty(), "a server without a data directory");
        let is_reached = self.client_port.is_some() || self.tls.secure_client_port.is_some();
        assert!(is_reached, "a server that nobody can reach");
        assert!(1 <= self.tick_time_ms, "time without a unit");
        assert!(
            self.session_timeout_ms_min <= self.session_timeout_ms_max,
            "no session timeout can be granted"
        );
        assert!(3 <= self.autopurge_snap_retain_count, "a purge that keeps too little to recover from");
        assert!(2 <= self.snap_count, "a snapshot for every transaction");
        assert!(1 <= self.jute_max_buffer_bytes, "no packet fits");
        assert!(1024 <= self.jute_extra_bytes, "records could be written that cannot be read back");
        assert!(1 <= self.connection_throttle.fill_time_ms, "a bucket that refills in no time");
        assert!(1 <= self.container.check_interval_ms, "a reaper without a pause");
    }
}

/// Where a listener is bound. Names are resolved by whoever binds, at every attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenHost {
    /// Every interface, IPv4 and IPv6.
    Any,
    /// One address.
    Address(IpAddr),
    /// A host name, not resolved yet.
    Name(String),
}

impl fmt::Display for ListenHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenHost::Any => f.write_str("0.0.0.0"),
            ListenHost::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            ListenHost::Address(address) => write!(f, "{address}"),
            ListenHost::Name(name) => f.write_str(name),
        }
    }
}

/// What Java's `RequestThrottler` does in front of the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestThrottle {
    /// Requests in the pipeline; `None` is no throttle.
    pub requests_max: Option<u32>,
    /// How often a request that waits is looked at, in milliseconds; 0 is only when it may go on.
    pub stall_time_ms: u32,
    /// Whether a stale request is dropped, and its connection with it.
    pub drop_stale: bool,
    /// Whether a request is stale that is older than its session's timeout.
    pub stale_latency_check: bool,
    /// Whether a request is stale whose connection is gone.
    pub stale_connection_check: bool,
    /// A request that waited longer is refused, in milliseconds; `None` is never.
    pub refused_after_ms: Option<u32>,
}

/// The token bucket of `BlueThrottle`: a new session takes its weight in tokens or is turned away.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConnectionThrottle {
    /// Size of the bucket, multiplied by the global weight when weights are on; 0 is no throttle.
    pub max_tokens: u32,
    /// Interval in which `fill_count` tokens flow in, in milliseconds; at least 1.
    pub fill_time_ms: u32,
    /// Tokens per interval, multiplied by the global weight when weights are on.
    pub fill_count: u32,
    /// Pause between changes of the drop probability, in milliseconds; `None` never drops by chance.
    pub freeze_time_ms: Option<u32>,
    /// Added to the drop probability when the bucket is empty.
    pub drop_increase: f64,
    /// Taken off the drop probability when the bucket is full enough.
    pub drop_decrease: f64,
    /// Share of the bucket that may be missing and still count as full enough.
    pub decrease_ratio: f64,
    /// Whether the weights below are used; otherwise every session weighs 1.
    pub weight_enabled: bool,
    /// Tokens for a new global session; at least `local_session_weight`.
    pub global_session_weight: u32,
    /// Tokens for a new local session; at least 1.
    pub local_session_weight: u32,
    /// Tokens for a session that comes back; at least `local_session_weight`.
    pub renew_session_weight: u32,
}

/// When `ContainerManager` deletes what nobody uses any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContainerReaper {
    /// Pause between two sweeps, in milliseconds; at least 1.
    pub check_interval_ms: u32,
    /// Most deletions per minute; at least 1.
    pub max_per_minute: u32,
    /// Age at which a container that never had a child goes too, in milliseconds.
    pub max_never_used_interval_ms: Option<u64>,
}

/// How new snapshots are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotCompression {
    /// `snapshot.<zxid>`
    None,
    /// `snapshot.<zxid>.gz`
    Gzip,
    /// `snapshot.<zxid>.snappy`
    Snappy,
}

/// `4lw.commands.whitelist`, with what is always in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FourLetterWords {
    /// `*`: every word there is.
    All,
    /// These, as written; names that are no words do no harm.
    Only(Vec<String>),
}

impl FourLetterWords {
    /// Whether `word` is answered. `srvr` always is, because `zkServer.sh status` asks it.
    pub fn allows(&self, word: &str) -> bool {
        match self {
            FourLetterWords::All => true,
            FourLetterWords::Only(words) => word == "srvr" || words.iter().any(|allowed| allowed == word),
        }
    }
}

/// The listener that answers probes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbesConfig {
    /// `None` is no listener.
    pub port: Option<u16>,
    /// Where it is bound.
    pub address: ListenHost,
}

/// Java's AdminServer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminConfig {
    /// Whether there is one.
    pub enabled: bool,
    /// Where it is bound.
    pub address: ListenHost,
    /// On which port; 0 is any free one.
    pub port: u16,
    /// The path of its commands, which begins with a slash and does not end with one.
    pub command_url: String,
    /// A connection that is silent for longer is closed, in milliseconds.
    pub idle_timeout_ms: u64,
    /// Least pause between two snapshots or restores by command, as written: for `snapshot` Java takes it for microseconds.
    pub rate_limit_interval_ms: u64,
    /// Whether the command `snapshot` is served.
    pub snapshot_enabled: bool,
    /// Whether the command `restore` is served.
    pub restore_enabled: bool,
    /// Whether its port takes TLS, too.
    pub port_unification: bool,
    /// Whether it takes TLS alone.
    pub force_https: bool,
    /// Whether whoever asks by TLS must show a certificate.
    pub need_client_auth: bool,
}

impl AdminConfig {
    fn defaults() -> Self {
        AdminConfig {
            enabled: true,
            address: ListenHost::Any,
            port: 8080,
            command_url: "/commands".to_owned(),
            idle_timeout_ms: 30_000,
            rate_limit_interval_ms: 300_000,
            snapshot_enabled: true,
            restore_enabled: true,
            port_unification: false,
            force_https: false,
            need_client_auth: false,
        }
    }
}

/// What Java's metrics providers do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricsConfig {
    /// The provider.
    pub provider: MetricsProvider,
    /// Where Prometheus asks.
    pub http_host: ListenHost,
    /// On which port without TLS; 0 is any free one.
    pub http_port: Option<u16>,
    /// On which port with TLS; if it is the same, both are taken there.
    pub https_port: Option<u16>,
    /// Stores and what is offered there, `metricsProvider.ssl.*`.
    pub tls: TlsSide,
    /// Whether whoever asks by TLS must show a certificate.
    pub needs_client_auth: bool,
    /// Whether he is asked for one.
    pub wants_client_auth: bool,
    /// Whether Prometheus is told about the process too.
    pub export_process: bool,
}

/// Java's providers, by class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricsProvider {
    /// Figures in `mntr`, with averages, extremes and percentiles since the last reset.
    Default,
    /// The same figures in Prometheus' shape, there and over HTTP.
    Prometheus,
    /// No figures.
    Null,
}

impl MetricsConfig {
    fn defaults() -> Self {
        MetricsConfig {
            provider: MetricsProvider::Default,
            http_host: ListenHost::Any,
            http_port: Some(7000),
            https_port: None,
            tls: TlsSide::new("metricsProvider.ssl."),
            needs_client_auth: true,
            wants_client_auth: true,
            export_process: true,
        }
    }
}

/// What zabd says about itself on stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// Events below this level are not logged.
    pub level: LogLevel,
    /// What a line looks like.
    pub format: LogFormat,
}

/// Levels by Java's names, quietest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Nothing at all.
    Off,
    /// Only what needs an operator.
    Error,
    /// And what may come to need one.
    Warn,
    /// And the life of the server.
    Info,
    /// And the life of sessions and connections.
    Debug,
    /// And every request.
    Trace,
}

impl LogLevel {
    /// Java's name of the level.
    pub fn as_str(self) -> &'static str {
        match self {
            LogLevel::Off => "OFF",
            LogLevel::Error => "ERROR",
            LogLevel::Warn => "WARN",
            LogLevel::Info => "INFO",
            LogLevel::Debug => "DEBUG",
            LogLevel::Trace => "TRACE",
        }
    }
}

/// The two shapes of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// The pattern of Java's `logback.xml`.
    Java,
    /// One JSON object per line.
    Json,
}

/// Text that must not reach a log; its `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret in.
    pub fn new(text: impl Into<String>) -> Self {
        Secret(text.into())
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(crate::secrets::HIDDEN)
    }
}

impl Config {
    /// The defaults of every key, on a place and port still to be filled in.
    pub(crate) fn defaults() -> Self {
        Config {
            data_dir: PathBuf::new(),
            data_log_dir: PathBuf::new(),
            datadir_autocreate: true,
            db_autocreate: true,
            client_port: None,
            client_port_address: ListenHost::Any,
            client_port_listen_backlog: -1,
            max_client_cnxns_per_ip: 60,
            max_cnxns: 0,
            client_tcp_keepalive: false,
            sessionless_timeout_ms: 10_000,
            connection_throttle: ConnectionThrottle::DEFAULT,
            tick_time_ms: 3000,
            session_timeout_ms_min: 6000,
            session_timeout_ms_max: 60_000,
            autopurge_snap_retain_count: 3,
            autopurge_interval_hours: None,
            snap_count: 100_000,
            snap_size_limit_kb: Some(4_194_304),
            txn_log_size_limit_kb: None,
            pre_alloc_size_kb: 65_536,
            fsync_warning_threshold_ms: 1000,
            force_sync: true,
            flush_delay_ms: 0,
            max_write_queue_poll_time_ms: 0,
            max_batch_size: Some(1000),
            snapshot_compression: SnapshotCompression::None,
            snapshot_trust_empty: false,
            snapshot_trust_unbroken: false,
            serialize_last_processed_zxid: true,
            digest_enabled: true,
            close_session_txn: true,
            global_outstanding_limit: 1000,
            request_throttle: RequestThrottle::DEFAULT,
            jute_max_buffer_bytes: 0xf_ffff,
            jute_extra_bytes: 0xf_ffff,
            large_request_threshold_bytes: None,
            large_request_max_bytes: 100 * 1024 * 1024,
            unsent_bytes_max: 512 << 20,
            incomplete_bytes_max: 512 << 20,
            memory_bytes_max: None,
            enforce_quota: false,
            extended_types_enabled: false,
            emulate_353_ttl: false,
            container: ContainerReaper::DEFAULT,
            auth: AuthConfig::defaults(),
            four_letter_words: FourLetterWords::Only(Vec::new()),
            read_only_mode: false,
            reconfig_enabled: false,
            audit_enabled: false,
            tls: TlsConfig::defaults(),
            probes: ProbesConfig { port: None, address: ListenHost::Any },
            admin: AdminConfig::defaults(),
            slow_operation_ms: Some(1000),
            metrics: MetricsConfig::defaults(),
            log: LogConfig { level: LogLevel::Info, format: LogFormat::Java },
            myid: None,
            ensemble: None,
            system_properties: BTreeMap::new(),
            java_words: BTreeMap::new(),
            effective: Vec::new(),
            config_file: None,
            warnings: Vec::new(),
        }
    }
}

impl RequestThrottle {
    const DEFAULT: Self = RequestThrottle {
        requests_max: None,
        stall_time_ms: 100,
        drop_stale: true,
        stale_latency_check: false,
        stale_connection_check: true,
        refused_after_ms: None,
    };
}

impl ConnectionThrottle {
    const DEFAULT: Self = ConnectionThrottle {
        max_tokens: 0,
        fill_time_ms: 1,
        fill_count: 1,
        freeze_time_ms: None,
        drop_increase: 0.02,
        drop_decrease: 0.002,
        decrease_ratio: 0.0,
        weight_enabled: false,
        global_session_weight: 3,
        local_session_weight: 1,
        renew_session_weight: 2,
    };
}

impl ContainerReaper {
    const DEFAULT: Self = ContainerReaper {
        check_interval_ms: 60_000,
        max_per_minute: 10_000,
        max_never_used_interval_ms: None,
    };
}
