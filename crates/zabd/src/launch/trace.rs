//! Which zoo.cfg the server of a container has: `zkServer.sh status` is typed, and probed with, where nothing else says so.
//!
//! A server keeps a nameless file in memory open whose text is the path. Whoever may look at the server's descriptors finds it by the
//! label that `/proc` shows; nothing is written anywhere, so it works on a read-only root file system, and no server that
//! is gone leaves one behind.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{MemfdFlags, memfd_create};

const LABEL: &str = "zabd.zoo.cfg";

/// Leaves the trace, until it is dropped.
pub fn leave(zoo_cfg: &Path) -> io::Result<File> {
    let mut file = File::from(memfd_create(LABEL, MemfdFlags::CLOEXEC)?);
    file.write_all(std::path::absolute(zoo_cfg)?.as_os_str().as_bytes())?;
    Ok(file)
}

/// The zoo.cfg of the server that is process 1. Other servers are not looked for: where there is more than a container, another
/// may be meant.
pub fn of_first_process() -> Option<PathBuf> {
    of_process(Path::new("/proc/1"))
}

/// What a process has left, if it is one and may be looked at.
fn of_process(process: &Path) -> Option<PathBuf> {
    let descriptors = fs::read_dir(process.join("fd")).ok()?.flatten().map(|entry| entry.path());
    let label = format!("/memfd:{LABEL} (deleted)");
    let trace =
        descriptors.into_iter().find(|path| fs::read_link(path).is_ok_and(|to| to == Path::new(&label)))?;
    Some(PathBuf::from(std::ffi::OsString::from_vec(fs::read(trace).ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_leaves_is_found_as_long_as_it_is_there() {
        let this = Path::new("/proc/self");
        assert_eq!(of_process(this), None);
        let left = leave(Path::new("/etc/zk 1/zoo.cfg")).unwrap();
        assert_eq!(of_process(this), Some(PathBuf::from("/etc/zk 1/zoo.cfg")));
        drop(left);
        assert_eq!(of_process(this), None);
        let relative = leave(Path::new("zoo.cfg")).unwrap();
        assert_eq!(of_process(this), Some(std::env::current_dir().unwrap().join("zoo.cfg")));
        drop(relative);
        assert_eq!(of_process(Path::new("/proc/nobody")), None);
    }
}
