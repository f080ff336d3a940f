//! zabd: a native server that ZooKeeper's clients, tools and data directories cannot tell from Java's.

mod admin;
mod audit;
mod driver;
mod introspect;
mod launch;
mod log_writer;
mod logging;
mod member;
mod net;
mod percentiles;
mod quorum;
mod recover;
mod server;
mod snapshotter;
mod start_error;
mod ticker;

/// Small size classes keep the memory per znode low.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    launch::run()
}
