//! What counts against the limit: what the system cannot take back, and the program.
//!
//! Of a process the first is its anonymous memory. Of a control group it is everything but the files that it has read and written, so
//! the kernel's own memory for its sockets is in it; the larger of the two counts.
//!
//! The program is a file, too, and the system does take its pages back, and reads them again with the next instruction: where a tree
//! leaves no place for them, every step waits for the disk, and a request that takes a millisecond takes minutes. So they count,
//! and of them the most that was ever there: that there are fewer now may be because they are being pushed out. They are the
//! group's unless another one has read them first: the first container of an image on a machine may have them, and the second none.

use std::fs::read_to_string;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use zabd_storage::disk::is_any_mapped;

use super::give_back::pages_of_program;
use super::limit::{Group, Limit, Version};

/// The most of the program that was in memory, in bytes.
static PROGRAM: AtomicU64 = AtomicU64::new(0);

/// Bytes in use that count against this limit. What cannot be read counts as nothing.
pub fn bytes(limit: &Limit) -> u64 {
    bytes_with(limit, &PROGRAM)
}

fn bytes_with(limit: &Limit, program: &AtomicU64) -> u64 {
    let status = status();
    let group = limit.group.as_ref().and_then(of_group);
    let resident = program_bytes().min(field(&status, "RssFile:") << 10);
    let resident = group.map_or(resident, |group| resident.min(group.mapped_files));
    // While snapshots or logs are mapped, nobody knows which of the pages are the program's.
    if !is_any_mapped() {
        program.fetch_max(resident, Relaxed);
    }
    let others = group.map_or(0, |group| group.others);
    written(&status).max(others) + program.load(Relaxed)
}

/// What the program needed to start was given back: how much it needs to run is to be found out anew.
pub(super) fn forget_program() {
    PROGRAM.store(0, Relaxed);
}

/// Anonymous and shared memory of this process.
pub(super) fn of_process() -> u64 {
    written(&status())
}

fn status() -> String {
    read_to_string("/proc/self/status").unwrap_or_default()
}

fn written(status: &str) -> u64 {
    (field(status, "RssAnon:") + field(status, "RssShmem:")) << 10
}

/// What a group's processes and sockets have besides files, and how much of those files is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct OfGroup {
    others: u64,
    mapped_files: u64,
}

fn of_group(group: &Group) -> Option<OfGroup> {
    let (usage, files, mapped) = match group.version {
        Version::One => {
            ("memory.usage_in_bytes", ["total_inactive_file", "total_active_file"], "total_mapped_file")
        }
        Version::Two => ("memory.current", ["inactive_file", "active_file"], "file_mapped"),
    };
    let usage: u64 = read_to_string(group.folder.join(usage)).ok()?.trim().parse().ok()?;
    let stat = read_to_string(group.folder.join("memory.stat")).ok()?;
    let files: u64 = files.iter().map(|name| field(&stat, name)).sum();
    // The system counts mapped shared memory there, too, which is among the others.
    let mapped_files = field(&stat, mapped).min(files);
    Some(OfGroup { others: usage.saturating_sub(files), mapped_files })
}

/// How long the program is.
fn program_bytes() -> u64 {
    static BYTES: OnceLock<u64> = OnceLock::new();
    *BYTES.get_or_init(|| pages_of_program().into_iter().map(|range| range.len() as u64).sum())
}

/// The number behind a word at the beginning of a line; 0 if there is none.
fn field(text: &str, name: &str) -> u64 {
    let value = text.lines().find_map(|line| {
        let mut words = line.split_ascii_whitespace();
        (words.next() == Some(name)).then(|| words.next())?
    });
    value.and_then(|value| value.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_do_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| std::fs::write(folder.path().join(file), text).unwrap();
        let group = |version| Group { folder: folder.path().to_owned(), version };
        assert_eq!(of_group(&group(Version::Two)), None);
        write("memory.current", "1000\n");
        write("memory.stat", "anon 500\nfile 300\ninactive_file 200\nactive_file 90\n");
        assert_eq!(of_group(&group(Version::Two)), Some(OfGroup { others: 710, mapped_files: 0 }));
        write("memory.usage_in_bytes", "1000\n");
        write("memory.stat", "cache 300\ninactive_file 1\ntotal_inactive_file 250\ntotal_active_file 50\n");
        assert_eq!(of_group(&group(Version::One)), Some(OfGroup { others: 700, mapped_files: 0 }));
    }

    #[test]
    fn what_is_mapped_of_files_is_no_more_than_files() {
        let folder = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| std::fs::write(folder.path().join(file), text).unwrap();
        let group = Group { folder: folder.path().to_owned(), version: Version::Two };
        write("memory.current", "1000\n");
        write("memory.stat", "inactive_file 200\nactive_file 100\nfile_mapped 50\n");
        assert_eq!(of_group(&group), Some(OfGroup { others: 700, mapped_files: 50 }));
        write("memory.stat", "inactive_file 200\nactive_file 100\nfile_mapped 400\n");
        assert_eq!(of_group(&group), Some(OfGroup { others: 700, mapped_files: 300 }));
    }

    /// Other tests of this process map files, and may keep it from being seen for a while.
    #[test]
    fn the_program_counts_as_long_as_it_was_in_memory_once() {
        const MIB: u64 = 1 << 20;
        let folder = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| std::fs::write(folder.path().join(file), text).unwrap();
        let limit = Limit {
            bytes: 3000 * MIB,
            group: Some(Group { folder: folder.path().to_owned(), version: Version::Two }),
        };
        write("memory.current", &(2000 * MIB).to_string());
        let stat =
            |mapped: u64| format!("inactive_file 0\nactive_file {}\nfile_mapped {mapped}\n", 100 * MIB);
        write("memory.stat", &stat(64 << 10));
        let program = AtomicU64::new(0);
        while bytes_with(&limit, &program) < 1900 * MIB + (64 << 10) {
            std::thread::yield_now();
        }
        write("memory.stat", &stat(0));
        assert_eq!(bytes_with(&limit, &program), 1900 * MIB + (64 << 10), "that it is pushed out is no room");
        assert!((1 << 16..900 * MIB).contains(&program_bytes()), "{}", program_bytes());
    }

    #[test]
    fn memory_that_is_written_to_is_used() {
        let limit = Limit::configured(1 << 40);
        let before = bytes(&limit);
        assert!(before > 0);
        let much = vec![1_u8; 64 << 20];
        assert!(bytes(&limit) >= before + (48 << 20), "{before}");
        drop(much);
    }
}
