//! Configuration, directories, environment.

use std::collections::BTreeMap;
use std::time::UNIX_EPOCH;

use zabd_config::Config;
use zabd_storage::disk::RealDisk;
use zabd_storage::layout;

use super::{Fields, Json, field};
use crate::admin::environment::{absolute, lines, port, sizes};
use crate::introspect::Introspection;

/// The configuration in force, as far as Java shows it here.
pub(super) fn configuration(server: &Introspection) -> Fields {
    let (config, directories) = (&server.config, &server.directories);
    let myid =
        config.ensemble.as_ref().map_or(i64::from(Config::REPORTED_SERVER_ID), |ensemble| ensemble.myid);
    vec![
        field("client_port", i64::from(port(server.addresses.plain.as_ref()))),
        field("data_dir", absolute(&directories.snapshots).display().to_string()),
        field("data_log_dir", absolute(&directories.logs).display().to_string()),
        field("tick_time", i64::from(config.tick_time_ms)),
        field("max_client_cnxns", i64::from(config.max_client_cnxns_per_ip)),
        field("min_session_timeout", i64::from(config.session_timeout_ms_min)),
        field("max_session_timeout", i64::from(config.session_timeout_ms_max)),
        field("server_id", myid),
        field("client_port_listen_backlog", i64::from(config.client_port_listen_backlog)),
    ]
}

/// Sizes of the two directories.
pub(super) fn dirs(server: &Introspection) -> Fields {
    let (data_bytes, log_bytes) = sizes(server);
    vec![field("datadir_size", data_bytes), field("logdir_size", log_bytes)]
}

/// The words of `envi`.
pub(super) fn environment() -> Fields {
    lines().into_iter().map(|(name, value)| field(name, value)).collect()
}

/// The zoo.cfg that a lone server was started with, without secrets; Java shows them to whoever asks.
pub(super) fn initial_configuration(server: &Introspection) -> Fields {
    vec![field("initial_configuration", server.initial_config.clone().map_or(Json::Null, Json::Text))]
}

/// The newest snapshot on the disk.
pub(super) fn last_snapshot(server: &Introspection) -> Fields {
    let newest = layout::snapshots(&RealDisk, &server.directories.snapshots)
        .unwrap_or_default()
        .into_iter()
        .max_by_key(|file| file.zxid);
    let made = |file: &layout::NamedFile| {
        let time = std::fs::metadata(&file.path).and_then(|metadata| metadata.modified()).ok()?;
        Some(time.duration_since(UNIX_EPOCH).ok()?.as_secs() as i64)
    };
    vec![
        field("zxid", format!("{:x}", newest.as_ref().map_or(-1, |file| file.zxid.0))),
        field("timestamp", newest.as_ref().and_then(made).unwrap_or(-1)),
    ]
}

/// What a Java server would know as properties: keys as they took effect, without their secrets.
pub(super) fn system_properties(server: &Introspection) -> Fields {
    let config = &server.config;
    let mut properties: BTreeMap<String, String> = config
        .effective
        .iter()
        .map(|set| (property(&set.key), set.value.clone()))
        .chain(config.shown_system_properties().map(|(name, value)| (name.to_owned(), value.to_owned())))
        .collect();
    for (name, value) in lines() {
        // Those of a Java machine have no value.
        if !name.starts_with("zookeeper.") && !name.starts_with("os.memory") && value != "<NA>" {
            properties.insert(name.to_owned(), value);
        }
    }
    let field = |(name, value): (String, String)| {
        let value = Json::from(zabd_config::shown(&name, &value));
        (name, value)
    };
    properties.into_iter().map(field).collect()
}

/// The name that Java's documentation has for a key.
fn property(key: &str) -> String {
    zabd_config::find(key)
        .and_then(|row| row.property().filter(|_| row.prefix.is_none()))
        .unwrap_or_else(|| key.to_owned())
}
