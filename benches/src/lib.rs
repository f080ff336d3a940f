//! Measuring ZooKeeper servers: load, latency, and what they cost, for zabd and for Java alike.
//!
//! In reading order: [`wire`] what is said, [`workload`] what is asked, [`pace`] when, [`latency`] how
//! long it took; [`connection`] and [`poller`] sockets; [`sessions`], [`conversation`] and [`prefill`]
//! prepare a server; [`load`] (with [`worker`]), [`fan_out`], [`new_sessions`] and [`disk_probe`]
//! measure; [`process`] and [`server`] own the measured process; [`compare`] runs zabd and Java side by
//! side.

pub mod compare;
pub mod connection;
pub mod conversation;
pub mod disk_probe;
pub mod error;
pub mod fan_out;
pub mod floor;
pub mod latency;
pub mod load;
pub mod new_sessions;
pub mod pace;
pub mod poller;
pub mod prefill;
pub mod process;
pub mod server;
pub mod sessions;
pub mod snapshot_watch;
pub mod wire;
pub mod worker;
pub mod workload;
