//! A whole server: recovered, listening, with its threads.
//!
//! ```text
//! recover ─► snapshot if needed ─► log writer, snapshotter, ticker, purge ─► I/O threads ─► acceptor
//! ```

mod opening;
mod options;
mod threads;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use zabd_config::{Config, ExitCode};
use zabd_jute::Limits;
use zabd_replica::watches::Watches;
use zabd_replica::{HashSeed, Input, Replica};
use zabd_storage::damage::is_partial;
use zabd_storage::disk::RealDisk;
use zabd_storage::held;
use zabd_storage::log::Log;
use zabd_storage::recovery::{
    Directories, Held, INITIALIZE, RecoveryError, RecoveryOptions, hold, initialize_files,
};
use zabd_storage::snapshot::SnapshotError;
use zabd_tree::{Tree, TreeOptions};

use self::opening::{Ports, answer_probes, open_ports};
use self::options::{
    auth_options, batch_options, connection_options, connection_throttle, large_requests, log_options,
    recovery_options, replica_options, request_throttle, snapshot_policy, snapshot_target, tree_options,
};
use self::threads::{spawn_housekeepers, spawn_log_writer};
use crate::admin::{AdminPort, PrometheusPorts, Windows};
use crate::driver::{Clock, Driver, wall_ms};
use crate::free_space;
use crate::introspect::Introspection;
use crate::java_beside;
use crate::launch::with_causes;
use crate::log_writer::{Base, LogFigures, LogWriter, OwedSnapshot};
use crate::member::{self, Found, Kept, MayBeEmpty, Member, NEWEST_KEPT};
use crate::memory::{self, Watchman, at_most};
use crate::net::{Answers, IN_FLIGHT_COPIES, Registry, ServerCounters, Service};
use crate::ports::ClientAddresses;
use crate::probes::Vitals;
use crate::recover::{Reading, Recovered, recover};
use crate::repair::{MemberStart, recover_member};
use crate::sasl::Sasl;
use crate::snapshotter::{self, SnapshotFigures, SnapshotTarget, Snapshotter};
use crate::start_error::StartError;

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
        let (last, sharers) = (tree.last_zxid(), member.as_ref().map_or(1, Member::sharers));
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
        spawn_housekeepers(&config, &driver, &counters, &vitals, &directories)?;

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
            last_at_start: last,
            windows: Windows::default(),
            since: Instant::now(),
        });
        answer_operators(prometheus, admin, &introspection, tree_options, snapshotter)?;
        let service = Arc::new(Service {
            driver: driver.clone(),
            options: connection_options(&config, limits, sharers),
            sasl: sasl.clients,
            counters,
            four_letter: introspection,
            answers: Answers::start()?,
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
    server: &Arc<Introspection>,
    tree_options: TreeOptions,
    snapshotter: Snapshotter,
) -> std::io::Result<()> {
    prometheus.run(server)?;
    let auth = auth_options(&server.config);
    admin.map_or(Ok(()), |port| port.run(server.clone(), auth, tree_options, snapshotter))
}

/// What is shown of it later, whatever becomes of the file: of a lone server, as in Java.
fn initial_config(config: &Config) -> Option<String> {
    let file = config.config_file.as_ref().filter(|_| config.ensemble.is_none())?;
    Some(config.shown_file(&std::fs::read(file).ok()?))
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
        Err(error) if error.is_want() => {
            tracing::error!(
                "No room to write the first snapshot, so that only reads are served; hint: free some space: {}; {}",
                with_causes(&error),
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

/// A lone server decides alone: what it becomes a member of later is another ensemble.
fn forget_lists(member: Option<&Member>, directories: &Directories) -> Result<(), RecoveryError> {
    if member.is_some() { Ok(()) } else { held::write(&RealDisk, directories, "") }
}
