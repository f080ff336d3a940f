//! A configuration in the making: values understood one by one, not yet compared with each other.
//!
//! Most values go straight to their home in [`Config`]. The rest wait here, because what they mean
//! depends on another key that may stand further down.

use crate::config::{Config, ListenHost};
use crate::setting::Setting;
use std::path::PathBuf;

/// Java's `snapshotSizeFactor`, and what holds in place of one above 1.
pub(crate) const SNAPSHOT_SIZE_FACTOR: f64 = 0.33;

/// Values so far; defaults where nothing was said.
pub(crate) struct Draft {
    pub config: Config,
    pub data_dir: Option<PathBuf>,
    pub data_log_dir: Option<PathBuf>,
    pub client_port_address: Option<ListenHost>,
    pub has_secure_client_port_address: bool,
    /// As written, −1 for none; `None` is 7000, unless there is one with TLS.
    pub metrics_http_port: Option<i32>,
    /// Threads and places of Java's Prometheus provider, which it may refuse to start with.
    pub metrics_workers: i64,
    pub metrics_queue: i64,
    /// `None` is twice the tick.
    pub session_timeout_ms_min: Option<u32>,
    /// `None` is twenty times the tick.
    pub session_timeout_ms_max: Option<u32>,
    /// `None` is a third of the flush delay.
    pub max_write_queue_poll_time_ms: Option<u64>,
    /// `None` is the packet limit itself.
    pub jute_extra_bytes: Option<u32>,
    /// As written; bent into shape once all are known.
    pub global_session_weight: i64,
    pub local_session_weight: i64,
    pub renew_session_weight: i64,
    pub enforce_auth_enabled: bool,
    pub enforce_auth_schemes: Vec<String>,
    pub ensemble_provider: bool,
    pub ensemble_names: Option<Vec<String>>,
    pub digest_provider: bool,
    pub sasl_required: bool,
    pub quorum_sasl_enabled: bool,
    pub quorum_sasl_server_required: bool,
    pub quorum_sasl_learner_required: bool,
    pub quorum_sasl_learner_section: String,
    pub quorum_sasl_server_section: String,
    pub quorum_sasl_service_principal: String,
    pub standalone_enabled: bool,
    pub multi_address_enabled: bool,
    pub init_limit: Option<u32>,
    pub sync_limit: Option<u32>,
    pub connect_timeout_ms: u32,
    pub bind_attempts_max: Option<u32>,
    pub leader_connect_delay_ms: u32,
    pub notification_interval_ms: (u32, u32),
    pub listen_on_all_ips: bool,
    pub leader_serves: bool,
    pub acknowledgements_one_in: u32,
    pub checks_access_early: bool,
    pub local_sessions: bool,
    pub local_sessions_upgrade: bool,
    pub observer_master_port: Option<u16>,
    pub snapshot_size_factor: f64,
    pub initial_counter: u32,
    pub allows_gaps: bool,
    pub dynamic_config_file: Option<String>,
    /// `server.N`, `group.N` and `weight.N` lines, in order.
    pub membership: Vec<Setting>,
}

impl Draft {
    pub fn new() -> Self {
        Draft {
            config: Config::defaults(),
            data_dir: None,
            data_log_dir: None,
            client_port_address: None,
            has_secure_client_port_address: false,
            metrics_http_port: None,
            metrics_workers: 1,
            metrics_queue: 1_000_000,
            session_timeout_ms_min: None,
            session_timeout_ms_max: None,
            max_write_queue_poll_time_ms: None,
            jute_extra_bytes: None,
            global_session_weight: 3,
            local_session_weight: 1,
            renew_session_weight: 2,
            enforce_auth_enabled: false,
            enforce_auth_schemes: Vec::new(),
            ensemble_provider: false,
            ensemble_names: None,
            digest_provider: false,
            sasl_required: false,
            quorum_sasl_enabled: false,
            quorum_sasl_server_required: false,
            quorum_sasl_learner_required: false,
            quorum_sasl_learner_section: "QuorumLearner".to_owned(),
            quorum_sasl_server_section: "QuorumServer".to_owned(),
            quorum_sasl_service_principal: "zkquorum/localhost".to_owned(),
            standalone_enabled: true,
            multi_address_enabled: false,
            init_limit: None,
            sync_limit: None,
            connect_timeout_ms: 5000,
            bind_attempts_max: Some(3),
            leader_connect_delay_ms: 100,
            notification_interval_ms: (200, 60_000),
            listen_on_all_ips: false,
            leader_serves: true,
            acknowledgements_one_in: 1000,
            checks_access_early: false,
            local_sessions: false,
            local_sessions_upgrade: false,
            observer_master_port: None,
            snapshot_size_factor: SNAPSHOT_SIZE_FACTOR,
            initial_counter: 0,
            allows_gaps: false,
            dynamic_config_file: None,
            membership: Vec::new(),
        }
    }
}
