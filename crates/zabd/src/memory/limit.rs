//! What the system lets this process use.
//!
//! Linux keeps it in the control group's folder, `memory.max` in version 2 and `memory.limit_in_bytes` in version 1; a group above
//! may allow less. In a container its own group is usually the root of what it sees.

use std::fs::read_to_string;
use std::path::{Path, PathBuf};

/// Where control groups are mounted.
const ROOT: &str = "/sys/fs/cgroup";

/// Version 1 says "no limit" as a very large number: nobody has so much.
const UNLIMITED_BYTES: u64 = 1 << 60;

/// A bound, and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// More than this ends the process.
    pub bytes: u64,
    /// The control group that has it; none, if it was configured.
    pub group: Option<Group>,
}

/// A folder of a control group's memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The folder.
    pub folder: PathBuf,
    /// Whose layout it has.
    pub version: Version,
}

/// The layouts of control groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// One hierarchy per resource.
    One,
    /// One for all.
    Two,
}

impl Version {
    fn limit_file(self) -> &'static str {
        match self {
            Version::One => "memory.limit_in_bytes",
            Version::Two => "memory.max",
        }
    }
}

impl Limit {
    /// What the operator says.
    pub fn configured(bytes: u64) -> Self {
        Self { bytes, group: None }
    }
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.group {
            Some(Group { folder, version }) => {
                write!(f, "{} bytes ({})", self.bytes, folder.join(version.limit_file()).display())
            }
            None => write!(f, "{} bytes (zabd.memoryMaxBytes)", self.bytes),
        }
    }
}

/// The smallest limit of this process' group and those above it; none if there is none, or nothing can be read.
pub fn of_control_group() -> Option<Limit> {
    smallest(Path::new(ROOT), &read_to_string("/proc/self/cgroup").ok()?)
}

/// `root` is where the groups are mounted, `membership` what `/proc/self/cgroup` says: lines `number:controllers:path`.
fn smallest(root: &Path, membership: &str) -> Option<Limit> {
    let groups = membership.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        let path = Path::new(path.trim_start_matches('/'));
        if controllers.is_empty() {
            Some((root.to_owned(), path.to_owned(), Version::Two))
        } else {
            let is_memory = controllers.split(',').any(|controller| controller == "memory");
            is_memory.then(|| (root.join("memory"), path.to_owned(), Version::One))
        }
    });
    groups.flat_map(|(top, path, version)| limits(&top, &path, version)).min_by_key(|limit| limit.bytes)
}

/// The limits from a group up to the top. A container that does not see its own path sees its own group as the top.
fn limits(top: &Path, path: &Path, version: Version) -> Vec<Limit> {
    path.ancestors()
        .filter_map(|path| {
            let folder = top.join(path);
            let text = read_to_string(folder.join(version.limit_file())).ok()?;
            // `max` is no number.
            let bytes: u64 = text.trim().parse().ok()?;
            (bytes < UNLIMITED_BYTES).then_some(Limit { bytes, group: Some(Group { folder, version }) })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, file: &str, text: &str) {
        let path = root.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn a_group_of_version_2_and_those_above_it() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "kubepods/memory.max", "900\n");
        write(root.path(), "kubepods/pod1/memory.max", "500\n");
        write(root.path(), "kubepods/pod1/zabd/memory.max", "max\n");
        let limit = smallest(root.path(), "0::/kubepods/pod1/zabd\n").unwrap();
        let folder = root.path().join("kubepods/pod1");
        assert_eq!(limit, Limit { bytes: 500, group: Some(Group { folder, version: Version::Two }) });
    }

    /// With a namespace of its own, or without one and with the path that the host knows.
    #[test]
    fn a_container_sees_its_group_as_the_root() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "memory.max", "700");
        for membership in ["0::/\n", "0::/kubepods/pod1/zabd\n"] {
            assert_eq!(smallest(root.path(), membership).unwrap().bytes, 700);
        }
    }

    #[test]
    fn a_group_of_version_1() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "memory/memory.limit_in_bytes", "9223372036854771712\n");
        write(root.path(), "memory/a/b/memory.limit_in_bytes", "1000\n");
        let membership = "5:cpu,cpuacct:/a\n4:hugetlb,memory:/a/b\n0::/\n";
        assert_eq!(smallest(root.path(), membership).unwrap().bytes, 1000);
        assert_eq!(smallest(root.path(), "4:memory:/a\n0::/\n"), None);
        assert_eq!(smallest(root.path(), "1:cpu:/a/b\n"), None);
    }

    #[test]
    fn what_is_no_group_has_no_limit() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(smallest(root.path(), ""), None);
        assert_eq!(smallest(root.path(), "nonsense\n0:\n"), None);
        write(root.path(), "memory.max", "much");
        assert_eq!(smallest(root.path(), "0::/\n"), None);
    }
}
