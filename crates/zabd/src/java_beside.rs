//! Whether a Java server works in a directory: zabd's servers take theirs for themselves, and Java's do neither take them nor look.
//!
//! Java keeps the log that it writes open. So a process named `java` that has a log of the directory open for writing is found
//! by its descriptors, as far as the system lets this user see them; who cannot be seen is not found. Files are compared by
//! device and inode, for another container may know them by another path.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use zabd_storage::disk::RealDisk;
use zabd_storage::layout::{self, VERSION_DIR};
use zabd_storage::recovery::RecoveryError;

/// Such a process.
#[derive(Debug, PartialEq, Eq)]
pub struct JavaServer {
    /// Its number.
    pub pid: u32,
    /// What it writes to, as seen from here.
    pub path: PathBuf,
}

impl From<JavaServer> for RecoveryError {
    fn from(JavaServer { pid, path }: JavaServer) -> Self {
        RecoveryError::WrittenByJava { pid, path }
    }
}

/// Looks for one beside what else a start begins with, for it has to read the name of every process.
pub fn look(data_dir: &Path, log_dir: &Path) -> Option<JoinHandle<Option<JavaServer>>> {
    let dirs = [data_dir.to_owned(), log_dir.to_owned()];
    if dirs.iter().all(|dir| logs(dir).is_empty()) {
        return None;
    }
    let [data_dir, log_dir] = dirs;
    let find = move || find(&data_dir, &log_dir);
    std::thread::Builder::new().name("JavaBeside".into()).spawn(find).ok()
}

/// Ends a start at what was found; before that, nothing in the directories may be changed.
pub fn refuse(look: Option<JoinHandle<Option<JavaServer>>>) -> Result<(), RecoveryError> {
    let found = look.and_then(|look| look.join().ok().flatten());
    found.map_or(Ok(()), |java| Err(java.into()))
}

/// Looks for one now. `dataDir` and `dataLogDir` may be one.
pub fn find(data_dir: &Path, log_dir: &Path) -> Option<JavaServer> {
    let mut files = None;
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if fs::read(process.path().join("comm")).is_ok_and(|name| name == b"java\n") {
            let files = files.get_or_insert_with(|| [logs(data_dir), logs(log_dir)].concat());
            if let Some(path) = written_by(&process.path(), files) {
                return Some(JavaServer { pid, path });
            }
        }
    }
    None
}

fn logs(dir: &Path) -> Vec<PathBuf> {
    let logs = layout::logs(&RealDisk, &dir.join(VERSION_DIR)).unwrap_or_default();
    logs.into_iter().map(|file| file.path).collect()
}

fn written_by(process: &Path, files: &[PathBuf]) -> Option<PathBuf> {
    let identity = |path: &Path| fs::metadata(path).ok().map(|file| (file.dev(), file.ino()));
    let open: HashSet<_> = fs::read_dir(process.join("fd"))
        .ok()?
        .flatten()
        .filter(|fd| is_for_writing(process, &fd.file_name().to_string_lossy()))
        .filter_map(|fd| identity(&fd.path()))
        .collect();
    files.iter().rev().find(|path| identity(path).is_some_and(|file| open.contains(&file))).cloned()
}

/// By the flags with which it was opened, in octal.
fn is_for_writing(process: &Path, fd: &str) -> bool {
    const ACCESS_MODE: u32 = 0o3;
    let about = fs::read_to_string(process.join("fdinfo").join(fd)).unwrap_or_default();
    let flags = about.lines().find_map(|line| line.strip_prefix("flags:"));
    flags
        .is_some_and(|flags| u32::from_str_radix(flags.trim(), 8).is_ok_and(|flags| flags & ACCESS_MODE != 0))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::process::{Child, Command, Stdio};

    use super::*;

    /// A process of this name that has a file open, like `>>` or `<`.
    fn process(dir: &Path, name: &str, opens: &str, path: &Path) -> Child {
        let program = dir.join(name);
        if !program.exists() {
            fs::copy("/bin/sh", &program).unwrap();
        }
        let script = format!("exec 3{opens}'{}'; echo open; read end", path.display());
        let mut child = Command::new(program)
            .args(["-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "open\n");
        child
    }

    #[test]
    fn a_java_that_writes_is_found_and_nobody_else() {
        let dir = tempfile::tempdir().unwrap();
        let (data, logs) = (dir.path().join("data"), dir.path().join("logs"));
        let log = logs.join(VERSION_DIR).join("log.1");
        for dir in [&data, &logs] {
            fs::create_dir_all(dir.join(VERSION_DIR)).unwrap();
        }
        assert!(look(&data, &logs).is_none(), "there is nothing that anybody could write to");
        fs::write(&log, "").unwrap();
        for (name, opens, is_found) in
            [("java", ">>", true), ("java", "<>", true), ("java", "<", false), ("zabd", ">>", false)]
        {
            let mut child = process(dir.path(), name, opens, &log);
            let found = look(&data, &logs).unwrap().join().unwrap();
            let expected = JavaServer { pid: child.id(), path: log.clone() };
            assert_eq!(found, is_found.then_some(expected), "{name} {opens}");
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}
