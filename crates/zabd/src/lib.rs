//! zabd: a native server that ZooKeeper's clients, tools and data directories cannot tell from Java's.
//!
//! The program is [`run`]; what else is offered here is for the fuzz targets, which run a part of it.

mod admin;
mod alarm;
mod audit;
mod certificates;
mod cut;
mod doctor;
mod driver;
mod free_space;
mod http_port;
mod http_tls;
mod introspect;
mod java_beside;
mod launch;
mod listen_name;
mod lobby;
mod log_writer;
mod logging;
mod member;
mod member_files;
mod memory;
mod net;
mod ports;
mod probes;
mod quorum;
mod quota_log;
mod recover;
mod refusals;
mod repair;
mod restore;
mod roles;
mod sasl;
mod search;
mod secure;
mod server;
mod slow;
mod snapshotter;
mod start_error;
mod ticker;

pub use launch::run;
pub use probes::Progress;
pub use recover::{Reading, Recovered, recover};
pub use server::Server;
pub use start_error::StartError;

const _: () =
    assert!(!zabd_mutation::IS_COMPILED_IN, "known bugs are compiled in: build without `mutations`");
