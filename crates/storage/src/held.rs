//! Which lists of voters may hold, for a member whose members have no number: a file of ours beside the epochs, which Java does not
//! read. What it says is `zabd_zab`'s to know; here it is text. A member without it goes by its own `server.N` lines, as in Java.

use std::io;
use std::path::{Path, PathBuf};

use crate::disk::{Disk, DiskFile};
use crate::recovery::{Directories, RecoveryError, directory_error};

/// The name of the file.
pub const HELD: &str = "voters-held";

/// What the file says of itself.
const COMMENT: &str = "# The voters of each list of members that may hold: nobody leads without a quorum of each that is not outdated. Only if that\n\
                       # quorum is lost for good: stop all members that are left, remove this file on each of them, and start them; then\n\
                       # the lines of zoo.cfg decide.\n";

/// Where it is.
pub fn path(directories: &Directories) -> PathBuf {
    directories.snapshots.join(HELD)
}

/// What it says; nothing, if it is not there.
pub fn read<D: Disk>(disk: &D, directories: &Directories) -> Result<String, RecoveryError> {
    let path = path(directories);
    match disk.read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        bytes => Ok(String::from_utf8_lossy(&bytes.map_err(directory_error("read", &path))?).into_owned()),
    }
}

/// Makes it say this. Without a word it goes.
pub fn write<D: Disk>(disk: &D, directories: &Directories, lists: &str) -> Result<(), RecoveryError> {
    let (dir, path) = (&directories.snapshots, path(directories));
    if lists.is_empty() {
        match disk.remove(&path) {
            // An attempt that failed may have removed it, and not durably.
            Err(error) if error.kind() == io::ErrorKind::NotFound => (),
            outcome => outcome.map_err(directory_error("remove", &path))?,
        }
        return disk.sync_dir(dir).map_err(directory_error("write to", dir));
    }
    replace(disk, &path, dir, lists).map_err(directory_error("write", &path))
}

/// A crash leaves what was there before, or this.
fn replace<D: Disk>(disk: &D, path: &Path, dir: &Path, lists: &str) -> io::Result<()> {
    let beside = path.with_extension("tmp");
    let mut file = disk.create(&beside)?;
    file.write_at(0, format!("{COMMENT}{lists}").as_bytes())?;
    file.sync()?;
    disk.rename(&beside, path)?;
    disk.sync_dir(dir)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Crash, MemoryDisk};

    #[test]
    fn it_says_what_was_written_last() {
        let disk = MemoryDisk::default();
        let directories = Directories { snapshots: "/data".into(), logs: "/data".into() };
        disk.create_dir(Path::new("/data")).unwrap();
        assert_eq!(read(&disk, &directories).unwrap(), "");
        for lists in ["1 2 3\n", "1 2 3\n1 2 3 4 5\n"] {
            write(&disk, &directories, lists).unwrap();
            let found = read(&disk.after(Crash::LosesUnsynced), &directories).unwrap();
            assert_eq!(found, format!("{COMMENT}{lists}"));
        }
        for _ in 0..2 {
            write(&disk, &directories, "").unwrap();
            assert_eq!(read(&disk.after(Crash::LosesUnsynced), &directories).unwrap(), "");
        }
    }
}
