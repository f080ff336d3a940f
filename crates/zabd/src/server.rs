//! A whole server: recovered, listening, with its threads.
//!
//! ```text
//! recover ─► snapshot if needed ─► log writer, snapshotter, ticker, purge ─► I/O threads ─► acceptor
//! ```

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use zabd_config::{Config, DigestAlg, ExitCode, SnapshotCompression};
use zabd_jute::Limits;
use zabd_replica::auth::{AuthOptions, DigestAlgorithm};
use zabd_replica::read::ReadOptions;
use zabd_replica::watches::Watches;
use zabd_replica::{
    HashSeed, Input, LocalSessions, MemberOptions, ReconfigOptions, Replica, ReplicaOptions, SessionTimeouts,
};
use zabd_storage::damage::is_partial;
use zabd_storage::disk::RealDisk;
use zabd_storage::held;
use zabd_storage::log::{Log, LogOptions};
use zabd_storage::recovery::{
    Directories, Held, INITIALIZE, RecoveryError, RecoveryOptions, hold, initialize_files,
};
use zabd_storage::retention;
use zabd_storage::snapshot::{Compression, SnapshotError};
use zabd_tls::Tls;
use zabd_tree::{AuthSchemes, CheckOptions, Tree, TreeOptions};

use crate::admin::{AdminPort, PrometheusPorts, Windows};
use crate::driver::{Clock, Driver, wall_ms};
use crate::free_space;
use crate::introspect::Introspection;
use crate::java_beside;
use crate::log_writer::{Base, BatchOptions, LogFigures, LogWriter, OwedSnapshot};
use crate::member::{self, Found, Kept, MayBeEmpty, Member, NEWEST_KEPT};
use crate::memory::{self, Watchman, at_most};
use crate::net::{
    ConnectionOptions, ConnectionThrottle, IN_FLIGHT_COPIES, LargeRequests, Registry, RequestThrottle,
    RequestThrottleOptions, ServerCounters, Service, ThrottleOptions,
};
use crate::ports::{ClientAddresses, ClientPorts};
use crate::probes::{self, Vitals};
use crate::recover::{Reading, Recovered, first_session, recover};
use crate::repair::{MemberStart, recover_member};
use crate::sasl::Sasl;
use crate::snapshotter::{self, SnapshotFigures, SnapshotPolicy, SnapshotTarget, Snapshotter};
use crate::start_error::StartError;
use crate::ticker::{Ticker, TickerOptions};

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// It was asked to.
    OnRequest,
    /// The log cannot be trusted any more.
    LogFailed,
}

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Stopped::OnRequest => "Stopped on request",
            Stopped::LogFailed => "Stopped because the log cannot be trusted any more",
        })
    }
}

impl Stopped {
    /// What the process ends with.
    pub fn exit_code(self) -> ExitCode {
        match self {
            Stopped::OnRequest => ExitCode::ExecutionFinished,
            Stopped::LogFailed => ExitCode::UnexpectedError,
        }
    }
}

/// Set once, when the server is to end.
#[derive(Debug, Default)]
struct StopSignal {
    stopped: Mutex<Option<Stopped>>,
    changed: Condvar,
}

impl StopSignal {
    fn set(&self, how: Stopped) {
        self.stopped.lock().get_or_insert(how);
        self.changed.notify_all();
    }

    fn wait(&self) -> Stopped {
        let mut stopped = self.stopped.lock();
        loop {
            if let Some(how) = *stopped {
                return how;
            }
            self.changed.wait(&mut stopped);
        }
    }
}

/// A running server.
#[derive(Clone, Debug)]
pub struct Server {
    address: SocketAddr,
    driver: Arc<Driver>,
    vitals: Arc<Vitals>,
    stop: Arc<StopSignal>,
    /// Nobody else may write to the directories while this server lives.
    _held: Arc<Held>,
}

impl Server {
    /// Recovers, listens, and serves in threads of its own.
    pub fn start(config: Config) -> Result<Self, StartError> {
        let began = Instant::now();
        let counters = Arc::new(ServerCounters::default());
        let vitals = answer_probes(&config, &counters)?;
        let java = java_beside::look(&config.data_dir, &config.data_log_dir);
        let memory = memory_limit(&config).map(|limit| Watchman::new(limit, config.ensemble.is_some()));
        let sasl = Sasl::start(&config, &counters)?;
        let Ports { prometheus, admin, clients: ports, member } = open_ports(&config, &counters)?;
        let (clock, secret) = (Clock::new(), random());
        let tree_options = tree_options(&config, secret);
        let recovery = recovery_options(&config, member.as_ref());
        let blamed = |error| StartError::recovery(&config, error);
        let held = hold(&recovery).map_err(blamed)?;
        java_beside::refuse(java).map_err(blamed)?;
        let limits = Limits { field_bytes_max: config.jute_record_max_bytes() as usize };
        let MemberStart { recovered, has_lost } =
            read_directories(&config, member.as_ref(), &recovery, tree_options, limits, &vitals)?;
        let unsaved = recovered.unsaved;
        let Recovered { tree, directories, needs_snapshot, is_empty, figures: start_figures, newest, .. } =
            recovered;
        let initialize = initialize_files(&RealDisk, &recovery);
        let may_be_empty = MayBeEmpty::new(config.db_autocreate, !initialize.is_empty());
        if member.is_none() && is_empty && may_be_empty == MayBeEmpty::No {
            return Err(blamed(no_data(&config, directories.snapshots)));
        }

        forget_lists(member.as_ref(), &directories).map_err(blamed)?;
        let last = tree.last_zxid();
        let sharers = member.as_ref().map_or(1, Member::sharers);
        let options = replica_options(&config, limits, secret, member.as_ref());
        let mut replica = Replica::new(clock.now(), &tree, options);
        if let Some(member) = &member {
            let is_partial = is_partial(&RealDisk, &directories);
            let directories = &directories;
            let found = Found { directories, last, newest, may_be_empty, has_lost, is_partial, limits };
            replica = replica.in_ensemble(&tree, member.start_of(found)?);
        }
        let driver = driver_of(&config, replica, tree, clock, &counters, secret, &vitals, memory);

        let target = snapshot_target(&config, &directories);
        let snapshot_figures = Arc::new(SnapshotFigures::default());
        let owed = write_first(needs_snapshot, &driver, &target, &snapshot_figures, initialize)?;
        free_space::warn_if_little(&directories.logs);
        let stop = Arc::new(StopSignal::default());
        let snapshotter = Snapshotter::start(driver.clone(), target, snapshot_figures.clone())?;
        let log_figures = Arc::new(Mutex::new(LogFigures::default()));
        let log_options = log_options(&config, limits);
        let writer = LogWriter {
            driver: driver.clone(),
            log: Log::new(RealDisk, &directories.logs, last, log_options).with_unsaved(unsaved),
            batches: batch_options(&config),
            policy: snapshot_policy(&config),
            snapshotter: snapshotter.clone(),
            owed,
            figures: log_figures.clone(),
            base: Base { directories: directories.clone(), log_options, limits, tree_options, recovery },
            members: member.as_ref().map(Member::files),
        };
        spawn_log_writer(writer, stop.clone())?;
        if let Some(member) = member {
            let kept = Kept { limits, tree_options, sasl: sasl.members, counters: counters.clone() };
            member.run(&driver, snapshotter.clone(), directories.clone(), kept, has_lost, &vitals)?;
        }
        spawn_ticker(&config, driver.clone(), counters.clone(), &vitals)?;
        spawn_purge(&config, directories.clone())?;

        let config = Arc::new(config);
        let throttle = Arc::new(connection_throttle(&config, &driver.clock));
        let large_requests = Arc::new(large_requests(&config));
        let request_throttle = request_throttle(&config).map(Arc::new);
        let addresses = ports.addresses();
        let introspection = Arc::new(Introspection {
            throttle: throttle.clone(),
            large_requests: large_requests.clone(),
            request_throttle: request_throttle.clone(),
            config: config.clone(),
            driver: driver.clone(),
            counters: counters.clone(),
            log: log_figures,
            snapshots: snapshot_figures,
            start: Mutex::new(start_figures),
            directories,
            initial_config: initial_config(&config),
            addresses: addresses.clone(),
            trace_mask: crate::admin::TRACE_MASK.into(),
            windows: Windows::default(),
            since: Instant::now(),
        });
        answer_operators(prometheus, admin, ports.tls(), &introspection, tree_options, snapshotter)?;
        let service = Arc::new(Service {
            driver: driver.clone(),
            options: connection_options(&config, limits, sharers),
            sasl: sasl.clients,
            counters,
            four_letter: introspection,
            throttle,
            large_requests,
            request_throttle,
        });
        let address = addresses.first();
        ports.serve(&config, &service, &vitals)?;
        vitals.note_started();
        tell_started(&driver, &addresses, began.elapsed());
        Ok(Self { address, driver, vitals, stop, _held: Arc::new(held) })
    }

    /// Where clients are served.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How it is, in a few words for its log.
    pub fn state(&self) -> String {
        let Self { driver, .. } = self;
        let role = match driver.inspect(Replica::ensemble_status) {
            None => "standalone".to_owned(),
            Some(status) => format!("{:?}", status.state).to_uppercase(),
        };
        let (zxid, nodes) = {
            let tree = driver.tree();
            (tree.last_zxid(), crate::admin::shown_node_count(tree.node_count()))
        };
        let (connections, in_flight) = (driver.registry.len(), driver.in_flight());
        format!(
            "{role}, zxid {zxid}, {nodes} nodes, {connections} connections, {in_flight} requests in flight"
        )
    }

    /// Asks the server to end.
    pub fn stop(&self) {
        self.vitals.note_stopping();
        member::hand_over(&self.driver);
        self.stop.set(Stopped::OnRequest);
    }

    /// Waits until it ends. Everything acknowledged is durable at any moment, so there is nothing to
    /// finish: the process may go.
    pub fn wait(&self) -> Stopped {
        self.stop.wait()
    }
}

/// While the requests in flight are so long together, or so much of what a leader has proposed is not committed, nothing more is read
/// from a client that has something in flight: as many long requests as `globalOutstandingLimit` allows would be a gigabyte, in
/// the server's memory and on their way to other servers.
const IN_FLIGHT_BYTES_MAX: usize = 32 << 20;

fn driver_of(
    config: &Config,
    replica: Replica,
    tree: Tree,
    clock: Clock,
    counters: &Arc<ServerCounters>,
    secret: u64,
    vitals: &Arc<Vitals>,
    memory: Option<Watchman>,
) -> Arc<Driver> {
    let watches = Watches::new(HashSeed::with_seed(secret), config.auth.skip_acl);
    let registry = Registry::new(
        at_most(config.unsent_bytes_max),
        at_most(config.incomplete_bytes_max),
        memory.as_ref().map_or(usize::MAX, |_| at_most(config.incomplete_bytes_max) / 2),
        at_most(IN_FLIGHT_BYTES_MAX * IN_FLIGHT_COPIES) / IN_FLIGHT_COPIES,
    );
    let (counters, slow_ms) = (counters.clone(), config.slow_operation_ms);
    Driver::new(replica, tree, watches, clock, counters, registry, vitals, memory, slow_ms)
}

fn answer_operators(
    prometheus: PrometheusPorts,
    admin: Option<AdminPort>,
    clients: Option<Arc<Tls>>,
    server: &Arc<Introspection>,
    tree_options: TreeOptions,
    snapshotter: Snapshotter,
) -> std::io::Result<()> {
    prometheus.run(server)?;
    let auth = auth_options(&server.config);
    admin.map_or(Ok(()), |port| port.run(server.clone(), auth, clients, tree_options, snapshotter))
}

/// What is shown of it later, whatever becomes of the file: of a lone server, as in Java.
fn initial_config(config: &Config) -> Option<String> {
    let file = config.config_file.as_ref().filter(|_| config.ensemble.is_none())?;
    Some(zabd_config::without_secrets(&std::fs::read(file).ok()?))
}

/// A number that nobody outside can guess: it decides where names fall in hash tables.
fn random() -> u64 {
    use std::hash::BuildHasher as _;
    std::hash::RandomState::new().hash_one(wall_ms())
}

fn tell_started(driver: &Driver, addresses: &ClientAddresses, took: Duration) {
    let took_ms = took.as_millis();
    let plain = addresses.plain.as_ref().map(|address| address.lock().to_string());
    let secure = addresses.secure.as_ref().map(|address| format!("{} (TLS)", address.lock()));
    let address = plain.into_iter().chain(secure).collect::<Vec<_>>().join(" and ");
    if driver.is_member() {
        tracing::info!(
            "Listening for clients on {address} after {took_ms}ms: they are served when there is a leader"
        );
    } else {
        tracing::info!("Serving clients on {address} after {took_ms}ms");
    }
}

fn memory_limit(config: &Config) -> Option<&'static memory::Limit> {
    let limit = memory::find_limit(config.memory_bytes_max)?;
    tracing::info!("Memory may grow to {limit}");
    Some(limit)
}

/// Before all else: whoever waits for a start wants to know how far it is.
fn answer_probes(config: &Config, counters: &Arc<ServerCounters>) -> Result<Arc<Vitals>, StartError> {
    let vitals = Arc::new(Vitals::default());
    let opened = probes::Listener::open(&config.probes).map_err(|error| StartError::probes(config, &error));
    let listener = match opened {
        // Two containers may share a network, as on the host's; whoever asks for no probes is not to go without a server.
        Err(error) if config.has_images_own_probes() => {
            tracing::warn!("Probes are not answered: {error}");
            None
        }
        opened => opened?,
    };
    if let Some(listener) = listener {
        listener.run(vitals.clone(), counters.clone())?;
    }
    Ok(vitals)
}

/// The ports first: whoever starts a second server by mistake must not touch its files.
fn open_ports(config: &Config, counters: &Arc<ServerCounters>) -> Result<Ports, StartError> {
    let prometheus = PrometheusPorts::open(config, counters)?;
    let clients = ClientPorts::open(config, counters)?;
    let admin = AdminPort::open(config, counters);
    let Some(ensemble) = &config.ensemble else {
        return Ok(Ports { prometheus, admin, clients, member: None });
    };
    let member = Member::prepare(config, ensemble)?;
    let clients = clients.following(member.client_addresses());
    Ok(Ports { prometheus, admin, clients, member: Some(member) })
}

/// Ports that nobody answers on yet.
struct Ports {
    prometheus: PrometheusPorts,
    admin: Option<AdminPort>,
    clients: ClientPorts,
    member: Option<Member>,
}

fn no_data(config: &Config, snapshot_dir: PathBuf) -> RecoveryError {
    RecoveryError::Empty { snapshot_dir, initialize: config.data_dir.join(INITIALIZE) }
}

fn read_directories(
    config: &Config,
    member: Option<&Member>,
    recovery: &RecoveryOptions,
    tree_options: TreeOptions,
    limits: Limits,
    vitals: &Vitals,
) -> Result<MemberStart, StartError> {
    let blamed = |error| StartError::recovery(config, error);
    let trusts_unbroken = config.snapshot_trust_unbroken;
    let reading = Reading { progress: Some(&vitals.progress), trusts_unbroken, ..Reading::default() };
    let Some(member) = member else {
        let recovered = recover(&RealDisk, recovery, tree_options, limits, reading).map_err(blamed)?;
        return Ok(MemberStart { recovered, has_lost: false });
    };
    let reading = Reading { is_member: true, newest_max: NEWEST_KEPT, ..reading };
    let mut start =
        recover_member(&RealDisk, recovery, tree_options, limits, reading, member.others_are_a_quorum())
            .map_err(
                |error| if error.is_damage() { StartError::Irreparable(error) } else { blamed(error) },
            )?;
    if start.recovered.is_empty {
        member.show_configuration(&mut start.recovered.tree, wall_ms());
    }
    Ok(start)
}

/// Writes the snapshot without which the disk does not hold what the tree shows, and forgets `initialize` with
/// it. On a full disk it is owed: what is there can be read meanwhile.
fn write_first(
    needs_snapshot: bool,
    driver: &Driver,
    target: &SnapshotTarget,
    figures: &SnapshotFigures,
    initialize: Vec<PathBuf>,
) -> Result<Option<OwedSnapshot>, SnapshotError> {
    let written = if needs_snapshot { snapshotter::write(driver, target, figures).map(drop) } else { Ok(()) };
    match written {
        Ok(()) => {
            forget_initialize(&initialize);
            Ok(None)
        }
        Err(error) if error.is_full() => {
            tracing::error!(
                "No room to write the first snapshot, so that only reads are served; hint: free some space: {}",
                free_space::in_words(&target.dir)
            );
            driver.feed([Input::DiskFull]);
            Ok(Some(OwedSnapshot { initialize }))
        }
        Err(error) => Err(error),
    }
}

/// `initialize` speaks of one start: what was begun then is on the disk now.
pub(crate) fn forget_initialize(files: &[PathBuf]) {
    for path in files {
        match std::fs::remove_file(path) {
            Ok(()) => tracing::info!("Began with what was there, as {} allowed; removed it", path.display()),
            Err(error) => tracing::warn!("Cannot remove {}: {error}", path.display()),
        }
    }
}

fn tree_options(config: &Config, secret: u64) -> TreeOptions {
    TreeOptions { hash_seed: secret, digest: config.digest_enabled, emulate_353_ttl: config.emulate_353_ttl }
}

fn recovery_options(config: &Config, member: Option<&Member>) -> RecoveryOptions {
    RecoveryOptions {
        data_dir: config.data_dir.clone(),
        log_dir: config.data_log_dir.clone(),
        autocreate: config.datadir_autocreate,
        trust_empty: config.snapshot_trust_empty,
        is_alone: member.is_none_or(Member::is_only_voter),
    }
}

fn timeouts(config: &Config) -> SessionTimeouts {
    SessionTimeouts {
        tick_ms: i64::from(config.tick_time_ms),
        min_ms: config.session_timeout_ms_min as i32,
        max_ms: config.session_timeout_ms_max as i32,
    }
}

fn read_options(config: &Config, limits: Limits) -> ReadOptions {
    ReadOptions { skip_acl: config.auth.skip_acl, limits }
}

fn replica_options(config: &Config, limits: Limits, secret: u64, member: Option<&Member>) -> ReplicaOptions {
    let server_id = member.map_or(Config::SESSION_SERVER_ID, Member::session_server_id);
    let check = CheckOptions {
        skip_acl: config.auth.skip_acl,
        enforce_quota: config.enforce_quota,
        extended_types: config.extended_types_enabled,
        digest: config.digest_enabled,
        lists_closed: config.close_session_txn,
        entry_bytes_max: limits.field_bytes_max,
        schemes: AuthSchemes {
            digest: config.auth.digest_enabled,
            sasl: config.auth.sasl.is_scheme,
            x509: config.auth.x509_enabled,
        },
        hash_seed: secret,
    };
    ReplicaOptions {
        timeouts: timeouts(config),
        first_session: first_session(server_id, wall_ms()),
        check,
        read: read_options(config, limits),
        audit: config.audit_enabled,
        reconfig: reconfig_options(config),
        member: member_options(config),
    }
}

fn reconfig_options(config: &Config) -> ReconfigOptions {
    let ensemble = config.ensemble.as_ref();
    ReconfigOptions {
        is_enabled: config.reconfig_enabled,
        standalone_enabled: ensemble.is_none_or(|ensemble| ensemble.standalone_enabled),
        multi_address: ensemble.is_some_and(|ensemble| ensemble.multi_address),
    }
}

fn member_options(config: &Config) -> MemberOptions {
    let Some(ensemble) = &config.ensemble else { return MemberOptions::default() };
    MemberOptions {
        leader_serves: ensemble.leader_serves,
        acknowledgements_one_in: ensemble.acknowledgements_one_in,
        checks_access_early: ensemble.checks_access_early,
        read_only: config.read_only_mode,
        local_sessions: match (ensemble.local_sessions, ensemble.local_sessions_upgrade) {
            (false, _) => LocalSessions::Off,
            (true, false) => LocalSessions::On,
            (true, true) => LocalSessions::Upgrading,
        },
    }
}

fn auth_options(config: &Config) -> AuthOptions {
    AuthOptions {
        digest: config.auth.digest_enabled,
        digest_algorithm: match config.auth.digest_alg {
            DigestAlg::Md5 => DigestAlgorithm::Md5,
            DigestAlg::Sha1 => DigestAlgorithm::Sha1,
            DigestAlg::Sha224 => DigestAlgorithm::Sha224,
            DigestAlg::Sha256 => DigestAlgorithm::Sha256,
            DigestAlg::Sha384 => DigestAlgorithm::Sha384,
            DigestAlg::Sha512 => DigestAlgorithm::Sha512,
            DigestAlg::Sha512_224 => DigestAlgorithm::Sha512_224,
            DigestAlg::Sha512_256 => DigestAlgorithm::Sha512_256,
            DigestAlg::Sha3_224 => DigestAlgorithm::Sha3_224,
            DigestAlg::Sha3_256 => DigestAlgorithm::Sha3_256,
            DigestAlg::Sha3_384 => DigestAlgorithm::Sha3_384,
            DigestAlg::Sha3_512 => DigestAlgorithm::Sha3_512,
        },
        super_digest: config.auth.super_digest.as_ref().map(|secret| secret.expose().to_owned()),
        ensemble_names: config.auth.ensemble_names.clone(),
    }
}

/// `sharers` is among how many servers the requests in flight are divided.
fn connection_options(config: &Config, limits: Limits, sharers: u32) -> ConnectionOptions {
    ConnectionOptions {
        frame_bytes_max: config.jute_max_buffer_bytes as usize,
        auth: auth_options(config),
        enforced_schemes: config.auth.enforce_schemes.clone(),
        in_flight_max: i64::from(config.global_outstanding_limit / sharers),
        timeouts: timeouts(config),
        read: read_options(config, limits),
    }
}

fn throttle_options(config: &Config) -> ThrottleOptions {
    let throttle = &config.connection_throttle;
    let weight = |weight: u32| if throttle.weight_enabled { i64::from(weight) } else { 1 };
    let is_local = config.ensemble.as_ref().is_some_and(|ensemble| ensemble.local_sessions);
    let new_session = if is_local { throttle.local_session_weight } else { throttle.global_session_weight };
    ThrottleOptions {
        tokens: i64::from(throttle.max_tokens),
        fill_time_ms: i64::from(throttle.fill_time_ms),
        fill_count: i64::from(throttle.fill_count),
        freeze_time_ms: throttle.freeze_time_ms.map_or(-1, i64::from),
        drop_increase: throttle.drop_increase,
        drop_decrease: throttle.drop_decrease,
        decrease_ratio: throttle.decrease_ratio,
        new_session_weight: weight(new_session),
        resumed_session_weight: weight(throttle.renew_session_weight),
    }
}

fn connection_throttle(config: &Config, clock: &Clock) -> ConnectionThrottle {
    ConnectionThrottle::new(throttle_options(config), clock.monotonic_ms())
}

fn large_requests(config: &Config) -> LargeRequests {
    LargeRequests::new(config.large_request_threshold_bytes, config.large_request_max_bytes)
}

fn request_throttle(config: &Config) -> Option<RequestThrottle> {
    let throttle = &config.request_throttle;
    Some(RequestThrottle::new(RequestThrottleOptions {
        requests_max: throttle.requests_max? as usize,
        stall: Duration::from_millis(u64::from(throttle.stall_time_ms)),
        drops_stale: throttle.drop_stale,
        checks_latency: throttle.stale_latency_check,
        checks_connection: throttle.stale_connection_check,
        refused_after_ms: throttle.refused_after_ms.map(i64::from),
    }))
}

fn log_options(config: &Config, limits: Limits) -> LogOptions {
    LogOptions {
        prealloc_bytes: config.pre_alloc_size_kb << 10,
        force_sync: config.force_sync,
        file_bytes_max: config.txn_log_size_limit_kb.map(|kb| kb << 10),
        entry_bytes_max: limits.field_bytes_max,
    }
}

fn batch_options(config: &Config) -> BatchOptions {
    BatchOptions {
        records_max: config.max_batch_size.map_or(usize::MAX, |most| most as usize),
        delay: Duration::from_millis(config.flush_delay_ms),
        poll: Duration::from_millis(config.max_write_queue_poll_time_ms),
        force_sync: config.force_sync,
        slow_sync: Duration::from_millis(config.fsync_warning_threshold_ms),
    }
}

fn snapshot_policy(config: &Config) -> SnapshotPolicy {
    let bytes = config.snap_size_limit_kb.map(|kb| kb << 10);
    SnapshotPolicy::new(u64::from(config.snap_count), bytes, random())
}

/// A lone server decides alone: what it becomes a member of later is another ensemble.
fn forget_lists(member: Option<&Member>, directories: &Directories) -> Result<(), RecoveryError> {
    if member.is_some() { Ok(()) } else { held::write(&RealDisk, directories, "") }
}

fn snapshot_target(config: &Config, directories: &Directories) -> SnapshotTarget {
    SnapshotTarget {
        dir: directories.snapshots.clone(),
        compression: match config.snapshot_compression {
            SnapshotCompression::None => Compression::None,
            SnapshotCompression::Gzip => Compression::Gzip,
            SnapshotCompression::Snappy => Compression::Snappy,
        },
        digest: config.digest_enabled,
        last_zxid: config.serialize_last_processed_zxid,
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
}

fn spawn_log_writer(writer: LogWriter, stop: Arc<StopSignal>) -> std::io::Result<()> {
    spawn("SyncThread:0", move || {
        let error = writer.run();
        tracing::error!("Severe unrecoverable error, exiting: {}", crate::launch::with_causes(&error));
        stop.set(Stopped::LogFailed);
    })
}

fn spawn_ticker(
    config: &Config,
    driver: Arc<Driver>,
    counters: Arc<ServerCounters>,
    vitals: &Arc<Vitals>,
) -> std::io::Result<()> {
    let options = TickerOptions {
        sessionless_timeout_ms: i64::from(config.sessionless_timeout_ms),
        reap_interval_ms: i64::from(config.container.check_interval_ms),
        reaped_per_minute_max: i64::from(config.container.max_per_minute),
        never_used_interval_ms: config.container.max_never_used_interval_ms.map_or(0, |ms| ms as i64),
    };
    let pulse = vitals.pulse("SessionTracker");
    spawn("SessionTracker", move || Ticker { driver, counters, options, pulse }.run())
}

/// Removes what is not needed any more, at once and then every few hours, if that is configured.
fn spawn_purge(config: &Config, directories: Directories) -> std::io::Result<()> {
    let Some(hours) = config.autopurge_interval_hours else { return Ok(()) };
    let retained = config.autopurge_snap_retain_count as usize;
    spawn("PurgeTask", move || {
        loop {
            match retention::purge(&RealDisk, &directories, retained) {
                Ok(files) => tell_purged(&files),
                Err(error) => tracing::error!("Cannot purge: {}", crate::launch::with_causes(&error)),
            }
            std::thread::sleep(Duration::from_secs(u64::from(hours) * 3600));
        }
    })
}

fn tell_purged(files: &[PathBuf]) {
    for path in files {
        tracing::info!("Removing file: {}", path.display());
    }
    tracing::info!("Purge task completed, {} files removed", files.len());
}

#[cfg(test)]
mod tests {
    use super::*;
    use zabd_config::Sources;

    fn config(lines: &str) -> Config {
        let text = format!("dataDir=/data\nclientPort=2181\n{lines}");
        let nothing = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
        Sources::new().file("zoo.cfg", text.as_bytes()).resolve(&nothing).unwrap()
    }

    /// Java multiplies size and flow of the bucket with the global weight, once.
    #[test]
    fn a_weighted_bucket_holds_as_many_global_sessions_as_configured() {
        let lines = "connection_throttle_tokens=10\nconnection_throttle_fill_count=2\n\
                     connection_throttle_weight_enabled=true";
        let options = throttle_options(&config(lines));
        assert_eq!((options.tokens, options.fill_count, options.new_session_weight), (30, 6, 3));
        assert_eq!(options.resumed_session_weight, 2);
        let plain = throttle_options(&config("connection_throttle_tokens=10"));
        assert_eq!((plain.tokens, plain.new_session_weight, plain.resumed_session_weight), (10, 1, 1));
    }

    /// As that of another container on the host's network.
    #[test]
    fn a_port_for_probes_that_is_taken_ends_only_the_start_of_whoever_asked_for_it() {
        let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let words = format!(
            "-Dzabd.probes.port={} -Dzabd.probes.address=127.0.0.1",
            other.local_addr().unwrap().port()
        );
        let answered = |variable: &str| {
            let nothing = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
            let sources = Sources::new().jvm_flags(variable, &words);
            let pairs = [("dataDir", "/data"), ("clientPort", "2181")];
            answer_probes(&sources.pairs(pairs).resolve(&nothing).unwrap(), &Arc::default()).map(drop)
        };
        assert!(answered("default of --probes_port").is_ok());
        assert!(matches!(answered("JVMFLAGS"), Err(StartError::Probes(_))));
    }
}
