//! `zkCleanup.sh -n COUNT`: removes old snapshots and logs, by the same rule as the server's own purge.
//!
//! The directories are those of the zoo.cfg; what is said is what Java's `PurgeTxnLog` says.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::UNIX_EPOCH;

use zabd_storage::disk::RealDisk;
use zabd_storage::layout::{LOG, VERSION_DIR};
use zabd_storage::recovery::Directories;
use zabd_storage::retention::{RETAINED_MIN, superfluous};

use super::names::Call;
use super::zk_env::ZkEnv;
use crate::admin::tool_date;

const USAGE: &str = "Usage:\n\
                     PurgeTxnLog dataLogDir [snapDir] -n count\n\
                     \tdataLogDir -- path to the txn log directory\n\
                     \tsnapDir -- path to the snapshot directory\n\
                     \tcount -- the number of old snaps/logs you want to keep, value should be greater than or equal to 3";

/// Runs it.
pub fn run(call: &Call) -> ExitCode {
    let env = ZkEnv::of(call);
    let view = env.view();
    let dirs = ["dataLogDir", "dataDir"].into_iter().filter_map(|key| view.value(key).map(str::to_owned));
    let words: Vec<String> = dirs.chain(env.words).collect();
    match asked(&words) {
        Ok((directories, count)) => purge(&directories, count),
        Err(mistake) => {
            if let Some(mistake) = mistake {
                eprintln!("{mistake}");
            }
            say!("{USAGE}");
            ExitCode::FAILURE
        }
    }
}

/// The directories and the count; or what is wrong, if it is more than the number of words.
fn asked(words: &[String]) -> Result<(Directories, usize), Option<String>> {
    let (dirs, option, count) = match words {
        [log, option, count] => ([log, log], option, count),
        [log, data, option, count] => ([log, data], option, count),
        _ => return Err(None),
    };
    let [logs, snapshots] = dirs.map(|dir| std::path::absolute(dir).unwrap_or_else(|_| PathBuf::from(dir)));
    for dir in [&logs, &snapshots] {
        if !dir.exists() {
            return Err(Some(format!("Path '{}' does not exist. ", dir.display())));
        }
    }
    let count: i32 = count.parse().map_err(|_| Some(format!("'{count}' can not be parsed to integer.")))?;
    let Some(count) = usize::try_from(count).ok().filter(|count| *count >= RETAINED_MIN) else {
        return Err(Some(format!("count should be greater than or equal to {RETAINED_MIN}")));
    };
    if option != "-n" {
        return Err(None);
    }
    Ok((Directories { snapshots: snapshots.join(VERSION_DIR), logs: logs.join(VERSION_DIR) }, count))
}

fn purge(directories: &Directories, count: usize) -> ExitCode {
    let mut files = match superfluous(&RealDisk, directories, count) {
        Ok(files) => files,
        Err(error) => {
            eprintln!("zkCleanup.sh: {}", super::with_causes(&error));
            return ExitCode::FAILURE;
        }
    };
    let is_log = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(LOG));
    files.sort_by_key(|path| !is_log(path));
    for path in files {
        let modified = fs::metadata(&path).and_then(|metadata| metadata.modified()).ok();
        let since = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
        say!("Removing file: {}\t{}", tool_date(since.as_millis() as i64), path.display());
        if fs::remove_file(&path).is_err() {
            eprintln!("Failed to remove {}", path.display());
        }
    }
    ExitCode::SUCCESS
}
