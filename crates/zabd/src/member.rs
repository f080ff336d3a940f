//! A member of an ensemble: what it starts with, and the threads that it has beside a lone server's.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use zabd_config::{Config, ConfigError, EnsembleConfig, Source, TlsConfig};
use zabd_jute::quorum::{self, Address, Configuration, ConfigurationError};
use zabd_jute::{ConfigVersion, Epoch, Limits, ServerId, Zxid};
use zabd_replica::{Input, Replica, Serving};
use zabd_storage::damage::PARTIAL;
use zabd_storage::disk::RealDisk;
use zabd_storage::held;
use zabd_storage::rebase::{RebaseError, settle_epochs};
use zabd_storage::recovery::{Directories, RecoveryError};
use zabd_storage::testimony;
use zabd_tls::{Tls, TlsError};
use zabd_tree::{Tree, TreeOptions};
use zabd_zab::effect::{Reason, Testing, Timing};
use zabd_zab::election::{self, Standing};
use zabd_zab::history::History;
use zabd_zab::quorum::lists::{Found as FoundLists, ListsError};
use zabd_zab::quorum::{Lists, Voters};
use zabd_zab::{leader, peer};

use crate::certificates;
use crate::driver::Driver;
use crate::member_files::{self, MemberFiles, Named};
use crate::net::ServerCounters;
use crate::probes::{Pulse, Vitals};
use crate::quorum::{PeerListenError, PeerListener, Port, Quorum, QuorumOptions, QuorumTls, at_port};
use crate::repair::forget_when_repaired;
use crate::sasl::MemberSasl;
use crate::search::SearchLog;
use crate::snapshotter::Snapshotter;

/// How many of the newest transactions a start keeps for its peers, as in Java.
pub const NEWEST_KEPT: usize = 500;

/// How late a deadline among servers may be noticed.
const NAP_MAX: Duration = Duration::from_millis(10);

/// How long a leader that is asked to end waits for a follower to be level with it.
const HAND_OVER_MAX: Duration = Duration::from_secs(2);

/// A mistake in the lines that name the members, wherever these stand.
fn blame(config: &Config, key: &str, problem: &str, hint: &str) -> ConfigError {
    let mistake = config.blame(key, problem, hint);
    let dynamic = config.effective.iter().find(|set| set.key == "dynamicConfigFile");
    let elsewhere = dynamic.map(|set| Source::WholeFile(set.value[..].into()));
    ConfigError { source: mistake.source.or(elsewhere), ..mistake }
}

fn blame_listen(config: &Config, listen: &PeerListenError, myid: i64) -> ConfigError {
    let own = format!("server.{myid}");
    let key = if listen.what == Port::Observers { "observerMasterPort" } else { &own };
    blame(config, key, &format!("cannot be had: {listen}"), &hint_of_listen(listen, myid))
}

/// What to do about a port for other servers that cannot be opened.
fn hint_of_listen(listen: &PeerListenError, myid: i64) -> String {
    let copied =
        format!("or this server is not server {myid}, and the file `myid` in its dataDir was copied");
    let port = listen.address.port;
    match listen.source.kind() {
        ErrorKind::AddrNotAvailable => format!(
            "no interface of this machine has that address: the line of server {myid} names another machine, {copied}. Where the \
             address is only seen from outside, set `quorumListenOnAllIPs=true`"
        ),
        ErrorKind::AddrInUse => {
            format!("another process holds port {port} (`ss -ltnp sport = :{port}` names it), {copied}")
        }
        _ => format!("the line of server {myid} names a place where this server may not listen, {copied}"),
    }
}

/// Why a member does not start.
#[derive(Debug, thiserror::Error)]
pub enum MemberError {
    /// The lines that name the members contradict each other.
    #[error("{0}")]
    Members(ConfigError),
    /// A port for other servers cannot be opened.
    #[error("{0}")]
    Listen(ConfigError),
    /// What was proposed cannot be read.
    #[error(
        "{} names no members: {error}; hint: this server may have acknowledged what was proposed there: restore the file. Move it away \
         only if no change of members was under way",
        path.display()
    )]
    NextMembers {
        /// The file.
        path: PathBuf,
        /// Why.
        error: ConfigurationError,
    },
    /// Nobody can tell which lists of members may hold.
    #[error(
        "{}: {error}; hint: if all members have had the list of zoo.cfg since this server last served, stop them all and remove the file \
         from each; otherwise restore it",
        path.display()
    )]
    Held {
        /// The file.
        path: PathBuf,
        /// Why.
        error: ListsError,
    },
    /// It cannot be read.
    #[error(transparent)]
    HeldUnread(#[from] RecoveryError),
    /// The epochs on disk cannot be used.
    #[error(transparent)]
    Epochs(#[from] RebaseError),
    /// Whether there are logs is not known.
    #[error("cannot list {}: {source}", path.display())]
    Logs {
        /// Where they should be.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

fn in_words(list: &Voters) -> String {
    list.ids().map(|id| id.to_string()).collect::<Vec<_>>().join(", ")
}

/// What is known before anything is served.
#[derive(Debug)]
pub struct Member {
    config: EnsembleConfig,
    configuration: Configuration,
    /// Newer than that, proposed, and perhaps agreed to.
    next: Option<Configuration>,
    is_reconfigurable: bool,
    /// What names the members, if that is no file.
    named_by: Option<Source>,
    tick_ms: i64,
    listener: PeerListener,
    client_address: watch::Sender<Option<Address>>,
    /// Keys and trust, if other servers may speak TLS.
    tls: Option<(TlsConfig, Arc<Tls>)>,
}

impl Member {
    /// Reads the members, and opens the ports that they name.
    pub fn prepare(config: &Config, ensemble: &EnsembleConfig) -> Result<Self, MemberError> {
        let key = format!("server.{}", ensemble.myid);
        let configuration = Self::known(config, ensemble)?;
        let me = configuration.member(ServerId(ensemble.myid)).expect("it is one of them");
        let tls = if config.tls.serves_members() {
            let tls = certificates::open(&config.tls.quorum);
            let blamed = |error: TlsError| config.blame(&error.key, &error.problem, &error.hint);
            Some((config.tls.clone(), tls.map_err(|error| MemberError::Members(blamed(error)))?))
        } else {
            None
        };
        let elections: Vec<_> = me.election_addresses().collect();
        let quorums: Vec<_> = me.quorum_addresses().collect();
        let port = ensemble.observer_master_port.filter(|_| me.is_voter());
        let observers: Vec<_> = port.iter().flat_map(|port| at_port(&quorums, *port)).collect();
        let (attempts_max, on_all_ips) = (ensemble.bind_attempts_max, ensemble.listen_on_all_ips);
        let listener = PeerListener::bind(&elections, &quorums, &observers, on_all_ips, attempts_max)
            .map_err(|listen| MemberError::Listen(blame_listen(config, &listen, ensemble.myid)))?;
        let client_address = watch::Sender::new(me.client().cloned());
        let is_reconfigurable = config.reconfig_enabled;
        let next = if is_reconfigurable { next_members(ensemble)? } else { None };
        if let (Some(next), Some(files), false) = (&next, &ensemble.files, ensemble.is_dynamic) {
            tracing::warn!(
                "{} names members that were proposed, version {:x}: until a leader says who the members are, their votes count \
                 together with those of {}. Only if this server is to begin anew with what that says, remove the former",
                files.next().display(),
                next.version().0,
                files.zoo_cfg().display()
            );
        }
        if let Some(files) = ensemble.files.as_ref().filter(|_| is_reconfigurable && !ensemble.is_dynamic) {
            member_files::back_up(files);
        }
        let named_by = config.source(&key).filter(|source| !matches!(source, Source::File { .. })).cloned();
        let (config, tick_ms) = (ensemble.clone(), i64::from(config.tick_time_ms));
        Ok(Self {
            config,
            configuration,
            next,
            is_reconfigurable,
            named_by,
            tick_ms,
            listener,
            client_address,
            tls,
        })
    }

    /// The members, of which this server is one.
    pub fn known(config: &Config, ensemble: &EnsembleConfig) -> Result<Configuration, MemberError> {
        let own = format!("server.{}", ensemble.myid);
        let mistake = |key: &str, problem: &str| {
            MemberError::Members(blame(config, key, problem, "check the server, group and weight lines"))
        };
        let configuration = Configuration::parse(&ensemble.members).map_err(|error| {
            let key = blamed_line(&error, &ensemble.members).unwrap_or(&own);
            mistake(key, &format!("cannot be used: {error}"))
        })?;
        match configuration.member(ServerId(ensemble.myid)) {
            None => Err(mistake(&own, "is not a member")),
            Some(_) => Ok(configuration),
        }
    }

    /// Where clients are to be served, whenever a reconfiguration moves this server.
    pub fn client_addresses(&self) -> watch::Receiver<Option<Address>> {
        self.client_address.subscribe()
    }

    /// The files that name the members.
    pub fn files(&self) -> MemberFiles {
        let files = self.config.files.clone().filter(|_| self.is_reconfigurable);
        let next = self.next.as_ref().map_or(ConfigVersion::ZERO, Configuration::version);
        let named = self.named_by.clone().map(|by| Named { by, members: self.configuration.clone() });
        MemberFiles::new(ServerId(self.config.myid), files, self.configuration.version(), next).named(named)
    }

    /// The number in the high byte of its session ids.
    pub fn session_server_id(&self) -> u8 {
        self.config.myid as u8
    }

    /// Who the members are stands in the first snapshot already: a Java server that goes on from that one, and has nothing
    /// to fetch, shows what it finds there.
    pub fn show_configuration(&self, tree: &mut Tree, wall_ms: i64) {
        tree.set_configuration(&self.configuration.to_string(), self.configuration.version(), wall_ms);
    }

    /// Whether a leader can come to be without this server.
    pub fn others_are_a_quorum(&self) -> bool {
        let others =
            self.configuration.voters().map(quorum::Member::id).filter(|id| id.0 != self.config.myid);
        Voters::new(&self.configuration).has_quorum(&others.collect())
    }

    /// Whether what this server acknowledges may be on no other.
    pub fn is_only_voter(&self) -> bool {
        Voters::new(&self.configuration).has_quorum(&[ServerId(self.config.myid)].into())
    }

    /// Among how many servers `globalOutstandingLimit` is divided, since all their requests come together at the leader:
    /// the voters but one. An observer has it alone, as in Java.
    pub fn sharers(&self) -> u32 {
        let is_voter = |id| self.configuration.member(id).is_some_and(quorum::Member::is_voter);
        let voters = self.configuration.voters().count() as u32;
        if voters > 2 && is_voter(ServerId(self.config.myid)) { voters - 1 } else { 1 }
    }

    /// What agreement starts with, on a recovered directory.
    pub fn start_of(&self, found: Found<'_>) -> Result<peer::Start, MemberError> {
        let epochs = settle_epochs(&RealDisk, &found.directories.snapshots, found.last)?;
        if found.is_partial {
            let marker = found.directories.snapshots.join(PARTIAL);
            tracing::warn!(
                "What is on disk is a part of what a leader was sending to this server, which had nothing: until it has all of \
                 it, it votes only as an empty server does. Only if no server has all of it any more: remove {} from the one that \
                 has most, move the data directories of the others away, and start all again, to go on with that part",
                marker.display()
            );
        }
        let is_empty = found.is_partial
            || testimony::is_empty(&RealDisk, found.directories, found.last, epochs.current)
                .map_err(|source| MemberError::Logs { path: found.directories.logs.clone(), source })?;
        let never_joined = found.is_partial || epochs.current == Epoch::ZERO;
        let standing = match (is_empty, found.may_be_empty) {
            _ if found.has_lost => Standing::Lost,
            (false, _) | (true, MayBeEmpty::AsAnOperatorSays) => Standing::Voter,
            (true, MayBeEmpty::No) if never_joined => Standing::Lost,
            (true, MayBeEmpty::IfAllAre | MayBeEmpty::No) => Standing::Empty,
        };
        let lists = self.held_lists(found.directories, epochs.current)?;
        let (repeat_min, repeat_max) = self.config.notification_interval_ms;
        Ok(peer::Start {
            me: ServerId(self.config.myid),
            timing: Timing {
                tick_ms: self.tick_ms,
                init_limit: i64::from(self.config.init_limit_ticks),
                sync_limit: i64::from(self.config.sync_limit_ticks),
                connect_delay_ms: i64::from(self.config.leader_connect_delay_ms),
            },
            election_timing: election::Timing {
                repeat_ms_min: i64::from(repeat_min),
                repeat_ms_max: i64::from(repeat_max.max(repeat_min)),
                ..election::Timing::default()
            },
            limits: found.limits,
            reconfig: self.is_reconfigurable,
            multi_address: self.config.multi_address,
            accepted: epochs.accepted,
            current: epochs.current,
            configuration: self.configuration.clone(),
            next: self.next.clone().filter(|next| self.configuration.version() < next.version()),
            lists,
            history: found.newest,
            standing,
            is_partial: found.is_partial,
            observer_masters: self.config.observer_master_port.is_some(),
            testing: Testing {
                initial_counter: self.config.initial_counter,
                allows_gaps: self.config.allows_gaps,
            },
        })
    }

    /// Whose votes are needed beside those of its own list, which an operator is told.
    fn held_lists(&self, directories: &Directories, current: Epoch) -> Result<Lists, MemberError> {
        let (path, text) = (held::path(directories), held::read(&RealDisk, directories)?);
        let found = Lists::found(&text, Some(ServerId(self.config.myid)), current)
            .map_err(|error| MemberError::Held { path: path.clone(), error })?;
        let path = path.display();
        match &found {
            FoundLists::Lists(lists)
                if self.is_reconfigurable && self.configuration.version() != ConfigVersion::ZERO =>
            {
                if !lists.is_empty() {
                    tracing::info!("{path} does not count, since the configuration has a version");
                }
            }
            FoundLists::Lists(lists) => {
                for list in lists.others_than(&self.configuration) {
                    tracing::warn!(
                        "The members that this server starts with are not all that may hold: {path} knows of voters {}, of whom a quorum is \
                         needed too, until a leader by the new lines serves. Only if that quorum is lost for good: stop all members that \
                         are left, remove this file on each of them, and start them",
                        in_words(&list)
                    );
                }
            }
            FoundLists::Outdated(_) => tracing::info!(
                "{path} does not count: this server has joined epoch {current} with a server that keeps no such file"
            ),
            FoundLists::Foreign(its, _) => tracing::info!(
                "{path} is of server {its}, and this is server {}: what its own lines have no quorum of does not count",
                self.config.myid
            ),
        }
        Ok(found.lists(&self.configuration))
    }

    /// Starts the network and the clock among servers; then the search for a leader begins.
    pub fn run(
        self,
        driver: &Arc<Driver>,
        snapshotter: Snapshotter,
        directories: Directories,
        kept: Kept,
        has_lost: bool,
        vitals: &Arc<Vitals>,
    ) -> std::io::Result<()> {
        if has_lost {
            forget_when_repaired(driver.clone(), directories.clone())?;
        }
        let voters = self.configuration.voters().count();
        tracing::info!("LOOKING for a leader as server {}, among {voters} voters", self.config.myid);
        let me = ServerId(self.config.myid);
        let Kept { limits, tree_options, sasl, counters } = kept;
        let (quorum, start) =
            Quorum::new(snapshotter, me, &self.configuration, self.client_address, counters);
        driver.join(quorum.clone());
        let connect_timeout = Duration::from_millis(u64::from(self.config.connect_timeout_ms));
        let observer_master_port = self.config.observer_master_port;
        let tls = self
            .tls
            .map(|(config, tls)| QuorumTls::start(&config, tls, vitals.pulse("QuorumTls")))
            .transpose()?;
        let options = QuorumOptions {
            connect_timeout,
            limits,
            directories,
            tree_options,
            observer_master_port,
            tls,
            snapshot_size_factor: self.config.snapshot_size_factor,
            sasl,
        };
        quorum.run(start, driver.clone(), self.listener, options, vitals.pulse("QuorumPeer"))?;
        let (driver, pulse, search) =
            (driver.clone(), vitals.pulse("PeerTimer"), SearchLog::new(vitals.clone()));
        std::thread::Builder::new()
            .name("PeerTimer".into())
            .spawn(move || keep_time(&driver, &pulse, search))
            .map(drop)
    }
}

/// The key of the line that is most likely mistaken, among those that name the members.
fn blamed_line<'l>(error: &'l ConfigurationError, lines: &'l str) -> Option<&'l str> {
    use ConfigurationError::{
        NoAddress, NoGroup, NoWeight, NotANumber, Repeated, RepeatedAddress, SamePorts, ServerForm,
        SeveralGroups, TwoRoles, UnknownKey,
    };
    let pairs = || lines.lines().filter_map(|line| line.split_once('='));
    let groups = || pairs().filter(|(key, _)| key.starts_with("group"));
    let with =
        |id: ServerId| groups().filter(move |(_, ids)| ids.split(':').any(|one| one.parse() == Ok(id.0)));
    let line = match error {
        NotANumber { key, .. } | Repeated { key } | UnknownKey { key } => return Some(key),
        SeveralGroups { id } => with(*id).next_back(),
        NoWeight { id } => with(*id).next(),
        // It belongs into one of them, or there is none beside the weights.
        NoGroup { .. } => groups().next_back().or_else(|| pairs().find(|(key, _)| key.starts_with("weight"))),
        ServerForm { id, .. }
        | NoAddress { id }
        | SamePorts { id }
        | RepeatedAddress { id }
        | TwoRoles { id } => {
            pairs().find(|(key, _)| key.strip_prefix("server.").is_some_and(|it| it.parse() == Ok(id.0)))
        }
        _ => None,
    };
    line.map(|(key, _)| key)
}

/// The members that were proposed, if they may come to hold. What names none ends the start: it may be a change in the log, and be
/// committed, and beside a zoo.cfg that names the members itself nothing else says so. (Java does not look beside one of those.)
fn next_members(ensemble: &EnsembleConfig) -> Result<Option<Configuration>, MemberError> {
    let (Some(text), Some(files)) = (&ensemble.next_members, &ensemble.files) else { return Ok(None) };
    let next =
        Configuration::parse(text).map_err(|error| MemberError::NextMembers { path: files.next(), error })?;
    Ok(Some(next).filter(|next| may_hold(next, ensemble.is_dynamic)))
}

/// Whether members that were proposed may come to hold. Where zoo.cfg names the members itself, those that only got a number
/// from a leader are the ones that it named then: they hold under another number as well, and the lines may have been mended since.
fn may_hold(next: &Configuration, is_dynamic: bool) -> bool {
    is_dynamic || Zxid(next.version().0).counter() != 0
}

/// How what comes from a leader is kept, and who may be one.
#[derive(Clone, Debug)]
pub struct Kept {
    /// How long a field may be.
    pub limits: Limits,
    /// The tree of a snapshot.
    pub tree_options: TreeOptions,
    /// How members authenticate each other, if they do.
    pub sasl: Option<Arc<MemberSasl>>,
    /// Where it is counted that others were refused.
    pub counters: Arc<ServerCounters>,
}

/// What a start found, as far as agreement is concerned.
#[derive(Debug)]
pub struct Found<'a> {
    /// Where epochs and logs are.
    pub directories: &'a Directories,
    /// The last transaction.
    pub last: Zxid,
    /// The newest of them.
    pub newest: History,
    /// What an empty directory is taken for.
    pub may_be_empty: MayBeEmpty,
    /// Whether there was more, which is damaged.
    pub has_lost: bool,
    /// Whether it is only a part of what a leader was sending.
    pub is_partial: bool,
    /// How long a field may be.
    pub limits: Limits,
}

/// What an empty directory is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MayBeEmpty {
    /// A server that never had anything, if the others say so too.
    IfAllAre,
    /// The same, without asking: there is a file `initialize`.
    AsAnOperatorSays,
    /// One that has lost what it had: `db.autocreate=false`, and no such file. One that has joined an ensemble was allowed to
    /// be empty then, and is asked whether the others say so too.
    No,
}

impl MayBeEmpty {
    /// `db.autocreate`, and whether there is a file `initialize`.
    pub fn new(autocreate: bool, has_initialize: bool) -> Self {
        match (autocreate, has_initialize) {
            (_, true) => MayBeEmpty::AsAnOperatorSays,
            (true, false) => MayBeEmpty::IfAllAre,
            (false, false) => MayBeEmpty::No,
        }
    }
}

fn keep_time(driver: &Driver, pulse: &Pulse, mut search: SearchLog) {
    driver.feed([Input::Applied]);
    loop {
        pulse.beat();
        let now_ms = driver.clock.monotonic_ms();
        let due_ms = driver.inspect(Replica::next_peer_timer_ms).unwrap_or(i64::MAX);
        if due_ms <= now_ms {
            driver.feed_peer(peer::Input::Timer);
        }
        if search.is_due(now_ms) {
            search.look(now_ms, driver.inspect(Replica::search).as_ref());
        }
        let left = Duration::from_millis(due_ms.saturating_sub(now_ms).max(1) as u64);
        std::thread::sleep(left.min(NAP_MAX));
    }
}

/// Before it ends, a leader brings a follower level with it and lets go: whoever leads next lacks nothing.
pub fn hand_over(driver: &Driver) {
    let status = || driver.inspect(Replica::ensemble_status);
    let leads = || status().is_some_and(|status| status.serving == Serving::Leading);
    if !leads() {
        return;
    }
    let began = Instant::now();
    driver.feed_peer(peer::Input::Leader(leader::Input::HandOver));
    while leads() && began.elapsed() < HAND_OVER_MAX {
        std::thread::sleep(Duration::from_millis(1));
    }
    let retired = status().and_then(|status| status.retired);
    tracing::info!("{} after {}ms", words_of_hand_over(leads(), retired), began.elapsed().as_millis());
}

fn words_of_hand_over(leads: bool, retired: Option<Reason>) -> &'static str {
    match retired {
        Some(Reason::HandedOver) => "Handed the lead over to the others, a quorum of whom has everything,",
        Some(_) => "Leading no more: the others that follow are no quorum to hand the lead to,",
        None if leads => {
            "Not waiting longer for a quorum of the others to have everything and take the lead over,"
        }
        None => "Leading no more, and nobody has taken the lead over,",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_in_groups_is_blamed_on_the_line_of_the_group() {
        let nothing = |_: &std::path::Path| Ok(b"1\n".to_vec());
        let servers = "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\n";
        let start = "dataDir=/data\nclientPort=2181\ninitLimit=10\nsyncLimit=5\n";
        for (lines, blamed) in [
            (
                "group.1=1:2\ngroup.2=2:3\n",
                "zoo.cfg:9: group.2=2:3 cannot be used: server.2 is in a group twice",
            ),
            (
                "group.1=1:2\ngroup.2=3:4\n",
                "zoo.cfg:9: group.2=3:4 cannot be used: server.4 is in a group and",
            ),
            ("group.1=1:2\n", "zoo.cfg:8: group.1=1:2 cannot be used: server.3 is not in a group"),
            ("weight.1=2\n", "zoo.cfg:8: weight.1=2 cannot be used: server.1 is not in a group"),
        ] {
            let text = format!("{start}{servers}{lines}");
            let config =
                zabd_config::Sources::new().file("zoo.cfg", text.as_bytes()).resolve(&nothing).unwrap();
            let error = Member::known(&config, config.ensemble.as_ref().unwrap()).unwrap_err().to_string();
            assert!(error.starts_with(blamed), "{error}");
        }
    }

    #[test]
    fn a_port_for_other_servers_is_blamed_on_the_line_that_names_it() {
        let start = "dataDir=/data\nclientPort=2181\ninitLimit=10\nsyncLimit=5\n";
        let members = "server.1=a:1:2\nserver.2=b:1:2\n";
        let read = |path: &std::path::Path| match path.to_str() {
            Some("/data/myid") => Ok(b"1\n".to_vec()),
            Some("/members") => Ok(members.as_bytes().to_vec()),
            _ => Err(ErrorKind::NotFound.into()),
        };
        let blamed = |lines: &str, what| {
            let text = format!("{start}{lines}");
            let config = zabd_config::Sources::new().file("zoo.cfg", text.as_bytes()).resolve(&read).unwrap();
            let address = Address { host: "a".into(), port: 2 };
            let listen = PeerListenError { address, what, source: ErrorKind::AddrInUse.into() };
            let mistake = blame_listen(&config, &listen, 1);
            (mistake.key.clone().unwrap(), mistake.to_string())
        };
        let said = "cannot be had: cannot listen for other servers on a:2, its election port: ";
        let (key, text) = blamed(members, Port::Election);
        assert_eq!(key, "server.1");
        assert!(text.starts_with(&format!("zoo.cfg:5: server.1=a:1:2 {said}")), "{text}");
        assert!(text.contains("; hint: another process holds port 2 "), "{text}");
        let (key, text) = blamed("dynamicConfigFile=/members\n", Port::Election);
        assert_eq!(key, "server.1");
        assert!(text.starts_with(&format!("/members: server.1 {said}")), "{text}");
        let (key, _) = blamed(&format!("observerMasterPort=2\n{members}"), Port::Observers);
        assert_eq!(key, "observerMasterPort");
    }

    #[test]
    fn what_became_of_the_lead_is_told() {
        for (leads, retired, said) in [
            (false, Some(Reason::HandedOver), "Handed the lead over "),
            (false, Some(Reason::NoHeirs), "Leading no more: the others that follow are no quorum "),
            (false, None, "Leading no more, and nobody has "),
            (true, None, "Not waiting longer for a quorum "),
        ] {
            let words = words_of_hand_over(leads, retired);
            assert!(words.starts_with(said), "{words}");
        }
    }

    #[test]
    fn a_change_counts_beside_every_zoo_cfg_and_a_number_beside_a_dynamic_file() {
        let next =
            |version: &str| Configuration::parse(&format!("server.1=a:1:2\nversion={version}")).unwrap();
        for (version, is_dynamic, counts) in [
            ("300000004", true, true),
            ("300000004", false, true),
            ("300000000", true, true),
            ("300000000", false, false),
        ] {
            assert_eq!(may_hold(&next(version), is_dynamic), counts, "{version} {is_dynamic}");
        }
    }
}
