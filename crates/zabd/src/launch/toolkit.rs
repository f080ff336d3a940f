//! The tools over logs and snapshots, which are a crate of their own.
//!
//! As in Java's scripts, `--config DIR` in front names the directory of `java.env`, and of `JVMFLAGS` the `-D` words count.

use std::io::{self, BufWriter};
use std::process::ExitCode;

use zabd_toolkit::{Console, Settings, Tool};

use super::names::Call;
use super::zk_env::ZkEnv;

/// `zkTxnLogToolkit.sh`
pub fn txn_log(call: &Call) -> ExitCode {
    run(Tool::TxnLog, call)
}

/// `zkSnapShotToolkit.sh`
pub fn snapshot_formatter(call: &Call) -> ExitCode {
    run(Tool::SnapshotFormatter, call)
}

/// `zkSnapshotComparer.sh`
pub fn snapshot_comparer(call: &Call) -> ExitCode {
    run(Tool::SnapshotComparer, call)
}

/// `zkSnapshotRecursiveSummaryToolkit.sh`
pub fn snapshot_recursive_summary(call: &Call) -> ExitCode {
    run(Tool::SnapshotRecursiveSummary, call)
}

fn run(tool: Tool, call: &Call) -> ExitCode {
    let env = ZkEnv::of(call);
    let settings = Settings::of_flags(env.variable("JVMFLAGS").unwrap_or_default());
    // Locked once, and written in large pieces: a line of Java's costs a system call.
    let mut out = BufWriter::with_capacity(256 << 10, io::stdout().lock());
    let mut console =
        Console { input: &mut io::stdin().lock(), out: &mut out, err: &mut io::stderr().lock() };
    ExitCode::from(tool.run(&env.words, &settings, &mut console))
}
