//! `zabd check zoo.cfg`: what a start with this configuration would find, found out without starting.
//!
//! Nothing listens or dials, and nothing is written: a copy of a live member's zoo.cfg can be checked on any machine, and a
//! server's own while that still runs. What is read is read by what a start reads it with: the configuration, the stores of
//! TLS, the files that say who may log in, the list of members; the data are what [`crate::doctor`] finds.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use zabd_config::{CommandLine, Config, Start, load};
use zabd_jute::Limits;
use zabd_jute::quorum::Configuration;
use zabd_storage::disk::RealDisk;
use zabd_storage::layout::VERSION_DIR;
use zabd_storage::recovery::{RecoveryError, RecoveryOptions, hold};

use super::{start_script, with_causes, zk_env};
use crate::certificates::{self, Doubt};
use crate::doctor::{Examination, Patient, Verdict, Whose};
use crate::free_space;
use crate::java_beside;
use crate::member::Member;
use crate::net::ServerCounters;
use crate::sasl::Sasl;
use crate::start_error::{StartError, forbidden_directory};

/// The configuration of these words, as a start would have it, with the shell files beside its zoo.cfg.
pub fn configured(words: &[String]) -> Result<Config, String> {
    let command = CommandLine::parse(words.iter().cloned()).map_err(|errors| errors.to_string())?;
    let Start::File(file) = &command.start else { return Err("which zoo.cfg?".to_owned()) };
    let beside = file.parent().unwrap_or(Path::new("."));
    let variables = zk_env::with_shell_files(start_script::variables(), beside);
    load(&command, &|name| variables.get(name).cloned())
        .map_err(|errors| errors.naming_user(&crate::audit::user_name()).to_string())
}

/// The members whose lines an operator changes, and no request.
pub fn unnumbered_members(config: &Config) -> Option<Configuration> {
    let ensemble = config.ensemble.as_ref().filter(|_| !config.reconfig_enabled)?;
    Configuration::parse(&ensemble.members).ok()
}

/// How long a record may be that a start reads.
pub fn limits(config: &Config) -> Limits {
    Limits { field_bytes_max: config.jute_record_max_bytes() as usize }
}

/// Checks all of it; the exit code is 0 if a start would go through and serve, else 1.
pub fn run(words: &[String]) -> ExitCode {
    let config = match configured(words) {
        Ok(config) => config,
        Err(mistakes) => {
            say!("{mistakes}\n\na start ends");
            return ExitCode::FAILURE;
        }
    };
    for warning in &config.warnings {
        say!("warning: {warning}");
    }
    let unread = config
        .config_file
        .as_deref()
        .map(|file| zk_env::unread_keys(Path::new(file), &start_script::variables()));
    for (path, key) in unread.into_iter().flatten() {
        say!(
            "warning: {} sets {key}, which a start by `zkServer.sh` has, and one by `zabd zoo.cfg` has not",
            path.display()
        );
    }
    let mut findings = Findings { are_good: true };
    let mut is_refused = false;
    findings.note("members", members(&config));
    findings.note("TLS", tls(&config, &mut is_refused));
    findings.note("logins", logins(&config));
    warn_of_full_disks(&config);
    let user = user(&config);
    let mut is_left_to_peers = false;
    let data = match &user {
        Some(user) => Ok(user.text.clone()),
        None => data(&config, &mut is_left_to_peers),
    };
    findings.note("data", data);
    say!(
        "{}",
        match &user {
            _ if !findings.are_good => "a start ends",
            _ if is_refused => "a start goes through, and whoever looks at its certificate refuses it",
            Some(_) => "a start goes through when that server has ended, as far as can be seen beside it",
            None if is_left_to_peers => {
                "a start goes through, repaired by its peers, if these are a quorum without it and its ports are free; else it ends"
            }
            None => "a start goes through, if its ports are free",
        }
    );
    if findings.are_good && !is_refused { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn warn_of_full_disks(config: &Config) {
    let (data_dir, log_dir) = (&config.data_dir, &config.data_log_dir);
    let dirs = [("the log", log_dir), ("snapshots", data_dir)];
    for (what, dir) in &dirs[..if log_dir == data_dir { 1 } else { 2 }] {
        if let Some(warning) = free_space::if_little(what, dir) {
            say!("warning: {warning}");
        }
    }
}

struct Findings {
    are_good: bool,
}

impl Findings {
    fn note(&mut self, what: &str, found: Result<String, String>) {
        self.are_good &= found.is_ok();
        match found {
            Ok(text) => say!("{what}: {text}"),
            Err(text) => say!("{what}: MISTAKE: {text}"),
        }
    }
}

fn said<T>(result: Result<T, StartError>) -> Result<T, String> {
    result.map_err(|error| error.text())
}

fn members(config: &Config) -> Result<String, String> {
    let Some(ensemble) = &config.ensemble else { return Ok("none, a server of its own".to_owned()) };
    let configuration = Member::known(config, ensemble).map_err(|error| with_causes(&error))?;
    let voters = configuration.voters().count();
    Ok(format!(
        "this is server {} of {} ({voters} voters); a start joins them as that one",
        ensemble.myid,
        configuration.members().len()
    ))
}

/// `is_refused` becomes true if a side has no certificate to show that holds: the server starts, and its certificates are watched
/// until a good one comes, but nobody believes it meanwhile.
fn tls(config: &Config, is_refused: &mut bool) -> Result<String, String> {
    let sides = [
        ("clients", config.tls.serves_clients().then(|| config.tls.clients.clone())),
        ("members", config.tls.serves_members().then(|| config.tls.quorum.clone())),
        ("the AdminServer", config.admin_tls()),
        ("whom it gives rights to", config.admin_judge()),
        ("Prometheus", config.metrics.https_port.and_then(|_| config.metrics.side())),
    ];
    let (mut good, mut refused, mut told) = (Vec::new(), Vec::new(), BTreeSet::new());
    for (whose, side) in sides {
        let Some(side) = side else { continue };
        let tls = certificates::open(&side).map_err(|error| StartError::tls(config, &error).text())?;
        let (doubts, is_shown) = certificates::doubts_of(&tls);
        // Sides may share a store.
        for Doubt { words, .. } in doubts {
            if !told.contains(&words) {
                say!("warning: {words}");
                told.insert(words);
            }
        }
        if is_shown { good.push(whose) } else { refused.push(whose) }
    }
    *is_refused = !refused.is_empty();
    Ok(match (&good[..], &refused[..]) {
        ([], []) => "not used".to_owned(),
        (good, []) => format!("the stores for {} are good", good.join(", ")),
        (good, refused) => {
            let good = if good.is_empty() {
                String::new()
            } else {
                format!("; those for {} are good", good.join(", "))
            };
            format!(
                "the stores for {} can be read, and show no certificate that is valid now{good}",
                refused.join(", ")
            )
        }
    })
}

fn logins(config: &Config) -> Result<String, String> {
    let sasl = said(Sasl::start(config, &Arc::new(ServerCounters::default())))?;
    let of = |is_there: bool| if is_there { "by SASL" } else { "without SASL" };
    Ok(format!("clients {}, members {}", of(sasl.clients.is_some()), of(sasl.members.is_some())))
}

/// A server that works in the directories already, for which a start is too early; nothing else can be told of them meanwhile.
struct User {
    text: String,
}

fn user(config: &Config) -> Option<User> {
    if let Some(java) = java_beside::find(&config.data_dir, &config.data_log_dir) {
        let (pid, path) = (java.pid, java.path.display());
        let text = format!(
            "process {pid}, a Java server, has {path} open for writing; stop it before the start, and ask again or ask `zabd doctor`"
        );
        return Some(User { text });
    }
    let Err(RecoveryError::InUse { path }) = hold(&recovery(config)) else { return None };
    let text = format!("a zabd server works in {}; stop it before the start, and ask again", path.display());
    Some(User { text })
}

fn recovery(config: &Config) -> RecoveryOptions {
    RecoveryOptions {
        data_dir: config.data_dir.clone(),
        log_dir: config.data_log_dir.clone(),
        autocreate: false,
        trust_empty: config.snapshot_trust_empty,
        is_alone: config.ensemble.is_none(),
    }
}

/// What the doctor finds; `is_left_to_peers` becomes true if the other members have to repair it.
fn data(config: &Config, is_left_to_peers: &mut bool) -> Result<String, String> {
    let (data_dir, log_dir) = (&config.data_dir, &config.data_log_dir);
    let blamed = |error| StartError::recovery(config, error).text();
    if let Some((dir, hint)) = forbidden_directory([data_dir, log_dir]) {
        return Err(format!("{} cannot be read and written; hint: {hint}", dir.display()));
    }
    // Where one of the two has something, the other's absence may be what ends the start.
    let is_new = [data_dir, log_dir].iter().all(|dir| !dir.join(VERSION_DIR).is_dir());
    let _held = match hold(&recovery(config)) {
        Ok(held) => Some(held),
        Err(RecoveryError::Missing { path }) if config.datadir_autocreate && is_new => {
            return Ok(format!(
                "{} is not there, and a start makes it: it begins with nothing",
                path.display()
            ));
        }
        Err(RecoveryError::Missing { .. }) if config.datadir_autocreate => None,
        Err(error) => return Err(blamed(error)),
    };
    let patient = Patient {
        data_dir: data_dir.clone(),
        log_dir: log_dir.clone(),
        is_log_dir_named: true,
        whose: Whose::by(config),
        trust_empty: config.snapshot_trust_empty,
        limits: limits(config),
        members: unnumbered_members(config),
    };
    let found = Examination::of(&RealDisk, &patient).map_err(blamed)?;
    *is_left_to_peers = found.is_left_to_peers();
    let text = format!("as `zabd doctor` sees it:\n\n{}", found.text());
    if found.verdict() == Verdict::Unusable { Err(text) } else { Ok(text) }
}
