//! From settings to a [`Config`]: each value by its row, then all of them together.
//!
//! Nothing stops at the first mistake: what can still be checked is checked, so that one start tells an
//! operator everything. The order of the checks is the order of what they need: a value before the
//! values that default to it, the members before the port that one of them may give.

mod auth;
mod ports;
mod strength;
mod unread_members;

use crate::config::{
    Config, EnsembleConfig, FourLetterWords, LogConfig, MetricsProvider, QuorumSaslConfig, Secret,
};
use crate::draft::Draft;
use crate::dynamic_file::ConfigFiles;
use crate::effective::Effective;
use crate::error::{ConfigError, ConfigErrors, ITS_NAME, THIS_USER, Warning};
use crate::exit_code::ExitCode;
use crate::key::{Honour, Key, Problem};
use crate::keys;
use crate::membership::Membership;
use crate::secrets::shown;
use crate::setting::{Setting, Source};
use crate::sources::{ReadFile, file_settings};
use crate::suggestion;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;
use unread_members::names_members;

/// Whether the word makes up the ensemble; several of them belong together.
fn is_membership(name: &str) -> bool {
    keys::find(name).is_some_and(|key| matches!(key.prefix, Some("server." | "group" | "weight")))
}

/// Understands `settings`, of which a later one overrides an earlier one with the same key (but see [`strength`]). `errors` and
/// `warnings` are what was found while reading them.
pub(crate) fn resolve(
    settings: Vec<Setting>,
    errors: Vec<ConfigError>,
    warnings: Vec<Warning>,
    config_file: Option<String>,
    read: ReadFile<'_>,
) -> Result<Config, ConfigErrors> {
    let mut resolver = Resolver::new(errors, warnings, config_file);
    resolver.collect(settings);
    resolver.apply();
    resolver.check_directories();
    resolver.check_sessions();
    resolver.fill_in();
    resolver.check_http();
    resolver.check_throttle();
    resolver.check_auth();
    resolver.read_myid(read);
    let membership = resolver.membership(read);
    resolver.check_standalone(&membership);
    resolver.check_unread_members();
    resolver.check_ports(&membership);
    resolver.finish()
}

/// What `settings` say about the log, when no more can be understood.
pub(crate) fn log_of(settings: Vec<Setting>) -> LogConfig {
    let mut resolver = Resolver::new(Vec::new(), Vec::new(), None);
    resolver.collect(settings);
    resolver.apply();
    resolver.draft.config.log
}

struct Resolver {
    draft: Draft,
    /// The last word on every key, by its name in the table (of a family, by its own name).
    last: BTreeMap<String, (&'static Key, Setting)>,
    errors: Vec<ConfigError>,
    warnings: Vec<Warning>,
    /// What is said of how many members there are, if all is well otherwise.
    size_warning: Option<Warning>,
    /// Members that properties name, where nobody reads them.
    unread_members: Vec<Setting>,
    config_file: Option<String>,
    /// There is a file that should name this server, and that has been said.
    has_unusable_myid: bool,
    is_no_member: bool,
}

impl Resolver {
    fn new(errors: Vec<ConfigError>, warnings: Vec<Warning>, config_file: Option<String>) -> Self {
        let (draft, last) = (Draft::new(), BTreeMap::new());
        let (size_warning, unread_members) = (None, Vec::new());
        let (has_unusable_myid, is_no_member) = (false, false);
        Resolver {
            draft,
            last,
            errors,
            warnings,
            size_warning,
            unread_members,
            config_file,
            has_unusable_myid,
            is_no_member,
        }
    }

    /// Sorts settings by key; the later one replaces the earlier, unless Java reads only that.
    fn collect(&mut self, settings: Vec<Setting>) {
        let mut unread = Vec::new();
        for setting in settings {
            let name = keys::unprefixed(&setting.key).to_owned();
            if setting.source.is_property() {
                let word = Secret::new(setting.value.clone());
                self.draft.config.java_words.insert(setting.key.clone(), word);
            }
            if names_members(&setting) {
                self.unread_members.push(setting);
                continue;
            }
            let Some(key) =
                keys::find(&name).filter(|_| !(setting.source.is_property() && is_membership(&name)))
            else {
                self.unknown(&setting);
                continue;
            };
            if matches!(setting.source, Source::File { .. }) && setting.key != name && key.prefix.is_none() {
                let text =
                    format!("{} works without its prefix too; Java reads only `{name}` here", setting.key);
                self.warnings.push(Warning { source: Some(setting.source.clone()), message: text });
            }
            let name = if key.prefix.is_some() { name } else { key.name.to_owned() };
            if self
                .last
                .get(&name)
                .is_some_and(|(_, earlier)| strength::earlier_counts(key, earlier, &setting))
            {
                unread.push((name, setting));
                continue;
            }
            unread.retain(|(other, _)| *other != name);
            self.last.insert(name, (key, setting));
        }
        for (name, setting) in unread {
            let (_, read) = &self.last[&name];
            if read.value != setting.value {
                let message = strength::two_values(&name, read, &setting);
                self.warnings.push(Warning { source: Some(setting.source), message });
            }
        }
    }

    /// A key that nothing reads is no mistake in Java: it becomes a system property.
    fn unknown(&mut self, setting: &Setting) {
        let in_java = match setting.source {
            _ if setting.source.is_property() => setting.key.clone(),
            _ => format!("zookeeper.{}", setting.key),
        };
        if !in_java.starts_with("zookeeper.") {
            return; // A property of the JVM or of another program.
        }
        let mut message = format!("nothing reads {}", setting.key);
        if let Some(meant) = suggestion::meant(keys::unprefixed(&setting.key)) {
            message = format!("{message}; hint: did you mean `{meant}`?");
        }
        self.warnings.push(Warning { source: Some(setting.source.clone()), message });
        self.draft.config.system_properties.insert(in_java, setting.value.clone());
    }

    /// Lets each row read its value, and gathers the keys that mean nothing here by their reason.
    fn apply(&mut self) {
        let mut idle: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (name, (key, setting)) in &self.last {
            self.draft.config.effective.push(Effective::new(name, setting));
            if is_membership(name) {
                self.draft.membership.push(setting.clone());
            }
            let source = Some(setting.source.clone());
            match key.apply(&mut self.draft, name, &setting.value) {
                Ok(None) => (),
                // What is used instead has no effect either.
                Ok(Some(_)) if setting.value.is_empty() && matches!(key.honour, Honour::NoEffect(_)) => (),
                Ok(Some(message)) => self.warnings.push(Warning { source, message }),
                Err(problem) => {
                    let (message, hint) = said(key, name, &setting.value, problem);
                    self.errors.push(ConfigError {
                        source,
                        key: Some(name.clone()),
                        message,
                        hint: Some(hint),
                    });
                    continue;
                }
            }
            let Honour::NoEffect(why) = key.honour else { continue };
            if setting.source.is_somebodys() && !is_done_anyway(key, &setting.value) {
                let meant = suggestion::nearest(name).filter(|_| key.prefix.is_some());
                let hint = meant.map_or_else(String::new, |meant| format!("; did you mean `{meant}`?"));
                idle.entry(why).or_default().push(format!("{name} ({}{hint})", setting.source));
            }
        }
        for (why, names) in idle {
            let message = format!("{why}: no effect of {}", names.join(", "));
            self.warnings.push(Warning { source: None, message });
        }
    }

    fn check_directories(&mut self) {
        let Some(data_dir) = self.draft.data_dir.clone() else {
            if !self.last.contains_key("dataDir") {
                self.error("dataDir", "dataDir is not set", "add `dataDir=/var/lib/zookeeper`");
            }
            return;
        };
        self.draft.config.data_log_dir = self.draft.data_log_dir.clone().unwrap_or_else(|| data_dir.clone());
        self.draft.config.data_dir = data_dir;
    }

    fn check_sessions(&mut self) {
        let tick = i64::from(self.draft.config.tick_time_ms);
        let min = self.draft.session_timeout_ms_min.map_or(2 * tick, i64::from);
        let max = self.draft.session_timeout_ms_max.map_or(20 * tick, i64::from);
        if i64::from(i32::MAX) < max.max(min) {
            let text = format!("tickTime={tick} makes session timeouts longer than {} ms", i32::MAX);
            return self.error("tickTime", &text, "tickTime is in milliseconds, for example `tickTime=2000`");
        }
        if max < min {
            let text = "minSessionTimeout must not be larger than maxSessionTimeout";
            let hint = format!("they are {min} and {max} ms; unset, they are 2 and 20 times `tickTime`");
            let key = if self.last.contains_key("minSessionTimeout") {
                "minSessionTimeout"
            } else {
                "maxSessionTimeout"
            };
            return self.error(key, text, &hint);
        }
        self.draft.config.session_timeout_ms_min = min as u32;
        self.draft.config.session_timeout_ms_max = max as u32;
    }

    /// Values whose default is another key's value.
    fn fill_in(&mut self) {
        let config = &mut self.draft.config;
        if let (true, FourLetterWords::Only(words)) = (config.read_only_mode, &mut config.four_letter_words) {
            words.push("isro".to_owned());
        }
        let poll = self.draft.max_write_queue_poll_time_ms;
        config.max_write_queue_poll_time_ms = poll.unwrap_or(config.flush_delay_ms / 3);
        config.jute_extra_bytes =
            self.draft.jute_extra_bytes.unwrap_or(config.jute_max_buffer_bytes).max(1024);
    }

    /// Where operators ask over HTTP and HTTPS.
    fn check_http(&mut self) {
        let metrics = &mut self.draft.config.metrics;
        let usual = metrics.http_port.filter(|_| metrics.https_port.is_none());
        metrics.http_port = self.draft.metrics_http_port.map_or(usual, |written| u16::try_from(written).ok());
        let is_prometheus = metrics.provider == MetricsProvider::Prometheus;
        if is_prometheus && metrics.http_port.is_none() && metrics.https_port.is_none() {
            let text = "Either httpPort or httpsPort must be configured for Prometheus exporter.";
            self.error(
                "metricsProvider.httpPort",
                text,
                "remove the line, or add `metricsProvider.httpsPort=7443`",
            );
        }
        // Without threads Java makes no queue.
        if is_prometheus && 0 < self.draft.metrics_workers && self.draft.metrics_queue < 1 {
            let text =
                format!("metricsProvider.maxQueueSize={} must be at least 1", self.draft.metrics_queue);
            self.error("metricsProvider.maxQueueSize", &text, "remove the line: figures wait nowhere here");
        }
        let admin = &self.draft.config.admin;
        if admin.need_client_auth && self.draft.config.admin_tls().is_none() {
            let message = "admin.needClientAuth has no effect without TLS; hint: add `admin.forceHttps=true`";
            let source = self.place("admin.needClientAuth");
            self.warnings.push(Warning { source, message: message.to_owned() });
        }
    }

    /// Bends the weights as Java does, then counts the bucket in global sessions.
    fn check_throttle(&mut self) {
        let local = match self.draft.local_session_weight {
            weight if weight <= 0 => self.weight_warning("local", weight, 1),
            weight => weight,
        };
        let raised = |resolver: &mut Self, name: &str, weight: i64, default: i64| {
            if weight <= 0 {
                resolver.weight_warning(name, weight, default).max(local)
            } else if weight < local {
                resolver.weight_warning(name, weight, local)
            } else {
                weight
            }
        };
        let global = raised(self, "global", self.draft.global_session_weight, 3);
        let renew = raised(self, "renew", self.draft.renew_session_weight, 2);
        let throttle = &mut self.draft.config.connection_throttle;
        throttle.local_session_weight = local as u32;
        throttle.global_session_weight = global as u32;
        throttle.renew_session_weight = renew as u32;
        if throttle.weight_enabled {
            let in_sessions = |count: u32| count.saturating_mul(global as u32).min(i32::MAX as u32);
            throttle.max_tokens = in_sessions(throttle.max_tokens);
            throttle.fill_count = in_sessions(throttle.fill_count);
        }
    }

    fn weight_warning(&mut self, name: &str, weight: i64, used: i64) -> i64 {
        let key = format!("connection_throttle_{name}_session_weight");
        let message =
            format!("{key}={weight} must be positive and not below the local session weight, {used} is used");
        let source = self.place(&key);
        self.warnings.push(Warning { source, message });
        used
    }

    fn read_myid(&mut self, read: ReadFile<'_>) {
        if self.draft.config.data_dir.as_os_str().is_empty() {
            return;
        }
        let path = self.draft.config.data_dir.join("myid");
        let mut hint =
            "its first line must be one decimal number; a standalone server needs no such file".to_owned();
        let message = match read(&path) {
            Ok(bytes) => {
                let text = String::from_utf8_lossy(&bytes);
                let line = text.lines().next().unwrap_or_default().trim();
                self.draft.config.myid = line.parse().ok();
                self.draft.config.myid.is_none().then(|| format!("serverid {line} is not a number"))
            }
            Err(error) => match error.kind() {
                // Without peers there need not be one; and whether the directory itself can be read is found
                // out when it is used.
                ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory => None,
                ErrorKind::PermissionDenied if !self.last.keys().any(|name| is_membership(name)) => {
                    let source = Some(Source::WholeFile(path.to_string_lossy().into()));
                    let message = format!("{error}; a standalone server does without it");
                    self.warnings.push(Warning { source, message });
                    None
                }
                ErrorKind::PermissionDenied => {
                    hint = format!(
                        "let {THIS_USER} read it: `chown {ITS_NAME} {}`, as root (a start as root leaves files that are root's)",
                        path.display()
                    );
                    Some(error.to_string())
                }
                _ => Some(error.to_string()),
            },
        };
        if let Some(message) = message {
            let source = Some(Source::WholeFile(path.to_string_lossy().into()));
            self.errors.push(ConfigError { source, key: None, message, hint: Some(hint) });
            self.has_unusable_myid = true;
        }
    }

    /// The members, from zoo.cfg or from the file that it names.
    fn membership(&mut self, read: ReadFile<'_>) -> Membership {
        let mut lines = std::mem::take(&mut self.draft.membership);
        if let Some(path) = self.draft.dynamic_config_file.clone() {
            for line in lines.drain(..) {
                let message = format!("parameter: {} must be in a separate dynamic config file", line.key);
                let hint = Some(format!("move the line to {path}, or remove `dynamicConfigFile`"));
                self.errors.push(ConfigError {
                    source: Some(line.source),
                    key: Some(line.key),
                    message,
                    hint,
                });
            }
            lines = self.dynamic_lines(&path, read);
        }
        let mut membership = Membership::parse(&lines, self.draft.multi_address_enabled, &mut self.errors);
        let line = |line: &Setting| format!("{}={}", keys::unprefixed(&line.key), line.value);
        membership.text = lines.iter().map(line).collect::<Vec<_>>().join("\n");
        if let Some(path) = &self.draft.dynamic_config_file {
            membership.text.extend(version_of(path).map(|version| format!("\nversion={version:x}")));
        }
        if !lines.is_empty() {
            membership.next = self.next_members(read);
        }
        membership
    }

    /// What was proposed and not known to hold when the server ended. A joiner may have written it down before zoo.cfg named a
    /// dynamic file; Java reads it only beside one. What is there and cannot be read is not nothing: the server may have acknowledged
    /// that change, and would elect without those whom it needs.
    fn next_members(&mut self, read: ReadFile<'_>) -> Option<String> {
        let path = ConfigFiles::new(self.config_file.as_ref()?).next();
        match read(&path) {
            Ok(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => {
                if self.draft.config.reconfig_enabled {
                    let message = format!("cannot be read: {error}");
                    let hint =
                        "it names members that were proposed and may hold: make it readable for this server";
                    let source = Some(Source::WholeFile(path.to_string_lossy().into()));
                    self.errors.push(ConfigError { source, key: None, message, hint: Some(hint.to_owned()) });
                }
                None
            }
        }
    }

    fn dynamic_lines(&mut self, path: &str, read: ReadFile<'_>) -> Vec<Setting> {
        let bytes = match read(Path::new(path)) {
            Ok(bytes) => bytes,
            Err(error) => {
                let hint = "create it, or remove `dynamicConfigFile`";
                self.error("dynamicConfigFile", &format!("Error processing {path}: {error}"), hint);
                return Vec::new();
            }
        };
        let mut lines = file_settings(path, &bytes, &mut self.errors);
        lines.retain(|line| {
            if is_membership(&line.key) {
                return true;
            }
            let (message, hint) = if line.key == "version" {
                (
                    "dynamic file shouldn't have version inside".to_owned(),
                    "the version is the suffix of its name",
                )
            } else {
                (
                    format!("Unrecognised parameter: {}", line.key),
                    "only server, group and weight lines belong here",
                )
            };
            let (source, key, hint) =
                (Some(line.source.clone()), Some(line.key.clone()), Some(hint.to_owned()));
            self.errors.push(ConfigError { source, key, message, hint });
            false
        });
        lines
    }

    /// Java's rule for what is a standalone server; everything else asks for peers.
    fn check_standalone(&mut self, membership: &Membership) {
        // A mistaken line is told already; whoever it names is one more, and most likely a voter.
        let (voters, observers) = (membership.participants() + membership.mistaken, membership.observers());
        let any_server = self.last.keys().find(|name| name.starts_with("server.")).cloned();
        let key = any_server.unwrap_or_else(|| "dynamicConfigFile".to_owned());
        let standalone = self.draft.standalone_enabled;
        let remedy = "name at least one voting server, or none for a standalone server";
        match (voters, observers) {
            (0, _) if !standalone => {
                let text = "standaloneEnabled = false then number of participants should be >0";
                self.error("standaloneEnabled", text, remedy);
            }
            (0, 0) => (),
            (1, _) if membership.mistaken == 1 => (),
            (0, _) => self.error(&key, "Observers w/o participants is an invalid configuration", remedy),
            (1, 0) if standalone => {
                let message = "Invalid configuration, only one server specified (ignoring)".to_owned();
                let source = self.place(&key);
                if source.as_ref().is_none_or(Source::is_somebodys) {
                    self.warnings.push(Warning { source, message });
                }
            }
            (1, _) if standalone => {
                self.error(&key, "Observers w/o quorum is an invalid configuration", remedy);
            }
            _ => self.check_ensemble(membership),
        }
    }

    /// What a member of an ensemble needs; and what it may not ask for yet.
    fn check_ensemble(&mut self, membership: &Membership) {
        let limits = (self.draft.init_limit, self.draft.sync_limit);
        for (key, limit) in [("initLimit", limits.0), ("syncLimit", limits.1)] {
            if limit.is_none_or(|ticks| ticks == 0) && !self.is_blamed(key) {
                self.error(
                    key,
                    &format!("{key} is not set"),
                    "write for example `initLimit=10` and `syncLimit=5`",
                );
            }
        }
        let myid = self.draft.config.myid;
        let path = self.draft.config.data_dir.join("myid");
        match myid {
            None if self.has_unusable_myid => (),
            None => {
                let hint = format!(
                    "write this server's number among the `server.N` lines into {}; if it has one elsewhere, correct dataDir",
                    path.display()
                );
                self.error("dataDir", "myid file is missing", &hint);
            }
            Some(id) if is_left_out(id, membership) => self.refuse_left_out(id, membership),
            // A larger one would reach into the byte that marks the owner of a node with a time to live.
            Some(id) if self.draft.config.extended_types_enabled && id > ID_MAX_WITH_EXTENDED_TYPES => {
                let text = format!(
                    "extendedTypesEnabled is true but Server ID is too large. Cannot be larger than \
                     {ID_MAX_WITH_EXTENDED_TYPES}"
                );
                self.error(
                    "extendedTypesEnabled",
                    &text,
                    &format!("give member {id} a smaller number, or leave it out"),
                );
            }
            Some(_) => (),
        }
        self.refuse_oracle();
        self.warnings.extend(membership.oddities());
        let sasl = self.quorum_sasl();
        self.size_warning = membership.size_warning();
        let (Some(myid), (Some(init), Some(sync))) = (myid, limits) else { return };
        self.draft.config.ensemble = Some(EnsembleConfig {
            myid,
            members: membership.text.clone(),
            next_members: membership.next.clone(),
            files: self.config_file.as_ref().map(ConfigFiles::new),
            is_dynamic: self.draft.dynamic_config_file.is_some(),
            standalone_enabled: self.draft.standalone_enabled,
            init_limit_ticks: init,
            sync_limit_ticks: sync,
            connect_timeout_ms: self.draft.connect_timeout_ms,
            bind_attempts_max: self.draft.bind_attempts_max,
            leader_connect_delay_ms: self.draft.leader_connect_delay_ms,
            notification_interval_ms: self.draft.notification_interval_ms,
            listen_on_all_ips: self.draft.listen_on_all_ips,
            multi_address: self.draft.multi_address_enabled,
            leader_serves: self.draft.leader_serves,
            acknowledgements_one_in: self.draft.acknowledgements_one_in,
            checks_access_early: self.draft.checks_access_early,
            local_sessions: self.draft.local_sessions,
            local_sessions_upgrade: self.draft.local_sessions_upgrade,
            observer_master_port: self.draft.observer_master_port,
            snapshot_size_factor: self.draft.snapshot_size_factor,
            initial_counter: self.draft.initial_counter,
            allows_gaps: self.draft.allows_gaps,
            sasl,
        });
    }

    /// This server is none of the members that the file names which names them.
    fn refuse_left_out(&mut self, id: i64, membership: &Membership) {
        let myid = self.draft.config.data_dir.join("myid");
        let members = membership.members.keys().map(i64::to_string).collect::<Vec<_>>().join(", ");
        let (file, hint) = match &self.draft.dynamic_config_file {
            // The server itself wrote it, when it heard of the change.
            Some(path) => (
                Some(path.clone()),
                format!(
                    "a reconfiguration has removed this server, or the file is another's. To bring it back, write its line \
                     `server.{id}=HOST:QUORUM:ELECTION;CLIENT` into {path}, start it, and when it follows, add it in a shell of a \
                     member: `reconfig -add` with that line. CLIENT is a plain port: with secureClientPort alone leave `;CLIENT` out, \
                     and name all members by `reconfig -members`. If it is to stay away, leave it stopped"
                ),
            ),
            None => (
                self.config_file.clone(),
                format!(
                    "the line of server.{id} is missing: write it into the file of every member, and if a reconfiguration \
                     removed this server, add it to the ensemble again too. Change {} only if its number was mistyped: with the \
                     number of another, this server would vote in that one's place",
                    myid.display()
                ),
            ),
        };
        self.is_no_member = true;
        self.errors.push(ConfigError {
            source: file.map(|path| Source::WholeFile(path.into())),
            key: Some(format!("server.{id}")),
            message: format!("My id {id} not in the peer list, which is {members}"),
            hint: Some(hint),
        });
    }

    /// How members authenticate each other.
    fn quorum_sasl(&mut self) -> Option<QuorumSaslConfig> {
        if !self.draft.quorum_sasl_enabled {
            return None;
        }
        let Some(jaas_file) = self.draft.config.auth.sasl.jaas_file.clone() else {
            let hint = "name one with `java.security.auth.login.config`";
            self.error("quorum.auth.enableSasl", "quorum.auth.enableSasl=true needs a JAAS file", hint);
            return None;
        };
        let draft = &self.draft;
        Some(QuorumSaslConfig {
            jaas_file,
            learner_section: draft.quorum_sasl_learner_section.clone(),
            server_section: draft.quorum_sasl_server_section.clone(),
            learner_required: draft.quorum_sasl_learner_required,
            server_required: draft.quorum_sasl_server_required,
            service_principal: draft.quorum_sasl_service_principal.clone(),
        })
    }

    /// Asking for it and not getting it would be found out when one of the two is gone. An oracle is not offered: a file is no
    /// quorum, and nothing here could tell that the file of the other says the same.
    fn refuse_oracle(&mut self) {
        if self.last.contains_key("oraclePath") {
            let problem = "`oraclePath` is not served: a lone survivor of two does not go on by a file's word: where both are told to, both lead, and what one of \
                           them acknowledges the other loses";
            let hint = "add a third voter, which may be a small machine; or leave `oraclePath` out, and when one of two is lost for \
                        good, take its line away and start the other as a standalone server";
            self.error("oraclePath", problem, hint);
        }
    }

    fn finish(mut self) -> Result<Config, ConfigErrors> {
        if !self.errors.is_empty() {
            self.errors.sort_by_key(|error| match &error.source {
                Some(Source::File { path, line }) => (0, Some(path.clone()), *line),
                Some(_) => (1, None, 0),
                None => (2, None, 0),
            });
            let log = self.draft.config.log;
            let exit_code = if self.is_no_member && self.errors.len() == 1 {
                ExitCode::UnexpectedError
            } else {
                ExitCode::InvalidInvocation
            };
            return Err(ConfigErrors { errors: self.errors, warnings: self.warnings, log, exit_code });
        }
        let mut config = self.draft.config;
        config.warnings = self.warnings;
        config.warnings.extend(self.size_warning);
        config.config_file = self.config_file.map(Into::into);
        config.assert_valid();
        Ok(config)
    }

    /// Whether something is wrong with a key already.
    fn is_blamed(&self, key: &str) -> bool {
        self.errors.iter().any(|error| error.key.as_deref() == Some(key))
    }

    fn place(&self, key: &str) -> Option<Source> {
        self.last.get(key).map(|(_, setting)| setting.source.clone())
    }

    fn error(&mut self, key: &str, message: &str, hint: &str) {
        let (source, key) = (self.place(key), Some(key.to_owned()));
        let (message, hint) = (message.to_owned(), Some(hint.to_owned()));
        self.errors.push(ConfigError { source, key, message, hint });
    }

    fn error_at(&mut self, source: Source, key: &str, message: String, hint: String) {
        let (source, key, hint) = (Some(source), Some(key.to_owned()), Some(hint));
        self.errors.push(ConfigError { source, key, message, hint });
    }
}

/// Whether the value of a key without effect asks for what the server does in any case: a default may be what it does
/// not do, but to leave out what is left out by default is to do it.
fn is_done_anyway(key: &Key, value: &str) -> bool {
    key.silent.contains(&value) || (key.default == "false" && value.eq_ignore_ascii_case("false"))
}

/// Whether a server of this number is none of the members, who are all named.
fn is_left_out(id: i64, membership: &Membership) -> bool {
    !membership.members.is_empty() && membership.mistaken == 0 && !membership.members.contains_key(&id)
}

/// As in Java's `EphemeralType.validateServerId`.
const ID_MAX_WITH_EXTENDED_TYPES: i64 = 254;

/// A dynamic file's version is what stands behind the last dot of its name, if that is a hexadecimal number.
fn version_of(path: &str) -> Option<i64> {
    path.rsplit_once('.').and_then(|(_, version)| i64::from_str_radix(version, 16).ok())
}

/// What somebody may mean by a comment. In Java's files it is a part of the value.
fn comment(value: &str) -> Option<&str> {
    let begin = value.find(" #").or_else(|| value.find("\t#"))?;
    Some(&value[begin + 1..])
}

/// The words for a problem with one value.
pub(crate) fn said(key: &Key, name: &str, value: &str, problem: Problem) -> (String, String) {
    let hint = if problem.hint.is_empty() { key.hint() } else { problem.hint };
    let hint = match comment(shown(name, value)) {
        Some(comment) => {
            format!("a comment cannot stand behind a value: put `{comment}` on a line of its own")
        }
        None => hint,
    };
    let message =
        if problem.whole { problem.text } else { format!("{name}={} {}", shown(name, value), problem.text) };
    (message, hint)
}
