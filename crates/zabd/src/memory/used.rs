//! What counts against the limit: what the system cannot take back.
//!
//! Of a process that is its anonymous memory. Of a control group it is everything but the files that it has read and written, so the
//! kernel's own memory for its sockets is in it; the larger of the two counts.
//!
//! One file counts all the same: the program itself, as far as its pages are in memory and the group's. The system does take them
//! back, and reads them again with the next instruction: where a tree leaves no place for them, every step waits for the disk, and
//! a request that takes a millisecond takes minutes. So what counts is the most of it that was ever there: that there is less now may
//! be because it is being pushed out. The pages are the group's unless another one has read them first: the first container of an
//! image on a machine may have them, and the second none.

use std::fs::read_to_string;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::limit::{Group, Limit, Version};

/// Bytes in use that count against this limit. What cannot be read counts as nothing.
pub fn bytes(limit: &Limit) -> u64 {
    /// The most of the program that was in memory.
    static PROGRAM: AtomicU64 = AtomicU64::new(0);
    let of_group = limit.group.as_ref().and_then(of_group).map_or(0, |group| {
        let before = PROGRAM.fetch_max(group.program, Relaxed);
        group.others + before.max(group.program)
    });
    of_process().max(of_group)
}

/// Anonymous and shared memory of this process.
pub(super) fn of_process() -> u64 {
    let status = read_to_string("/proc/self/status").unwrap_or_default();
    (field(&status, "RssAnon:") + field(&status, "RssShmem:")) << 10
}

/// What a group's processes and sockets have, and what of the program is in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct OfGroup {
    others: u64,
    program: u64,
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
    // Snapshots and logs are mapped, too, while they are read: they are no reason to count more than the program's length.
    let program = field(&stat, mapped).min(program_bytes()).min(files);
    Some(OfGroup { others: usage.saturating_sub(files), program })
}

/// How long the program is: what of its file is mapped to be read or executed.
fn program_bytes() -> u64 {
    static BYTES: OnceLock<u64> = OnceLock::new();
    *BYTES.get_or_init(|| {
        let path = std::fs::read_link("/proc/self/exe").unwrap_or_default();
        let maps = read_to_string("/proc/self/maps").unwrap_or_default();
        mapped_bytes(&maps, &path.to_string_lossy())
    })
}

/// Lines `from-to rights offset device inode path`, addresses in hexadecimal.
fn mapped_bytes(maps: &str, path: &str) -> u64 {
    let lengths = maps.lines().filter(|line| line.ends_with(path)).filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let (from, to) = words.next()?.split_once('-')?;
        let length = u64::from_str_radix(to, 16).ok()? - u64::from_str_radix(from, 16).ok()?;
        words.next()?.starts_with("r-").then_some(length)
    });
    lengths.sum()
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
        assert_eq!(of_group(&group(Version::Two)), Some(OfGroup { others: 710, program: 0 }));
        write("memory.usage_in_bytes", "1000\n");
        write("memory.stat", "cache 300\ninactive_file 1\ntotal_inactive_file 250\ntotal_active_file 50\n");
        assert_eq!(of_group(&group(Version::One)), Some(OfGroup { others: 700, program: 0 }));
    }

    #[test]
    fn the_program_counts_as_far_as_it_is_in_memory() {
        const MIB: u64 = 1 << 20;
        let folder = tempfile::tempdir().unwrap();
        let write = |file: &str, text: String| std::fs::write(folder.path().join(file), text).unwrap();
        let group = Group { folder: folder.path().to_owned(), version: Version::Two };
        write("memory.current", format!("{}\n", 2000 * MIB));
        let stat = |mapped: u64| {
            format!("inactive_file {}\nactive_file {}\nfile_mapped {mapped}\n", 400 * MIB, 600 * MIB)
        };
        write("memory.stat", stat(4096));
        assert_eq!(of_group(&group), Some(OfGroup { others: 1000 * MIB, program: 4096 }));
        // It is a snapshot that is mapped.
        write("memory.stat", stat(900 * MIB));
        assert_eq!(of_group(&group), Some(OfGroup { others: 1000 * MIB, program: program_bytes() }));
        assert!((1 << 16..900 * MIB).contains(&program_bytes()), "{}", program_bytes());
        // Some of it is pushed out: that is not room.
        let limit = Limit { bytes: 3000 * MIB, group: Some(group) };
        assert_eq!(bytes(&limit), 1000 * MIB + program_bytes());
        write("memory.stat", stat(0));
        assert_eq!(bytes(&limit), 1000 * MIB + program_bytes());
    }

    #[test]
    fn a_program_is_what_is_mapped_of_its_file_and_not_written_to() {
        let maps = "1000-3000 r--p 0 fe:00 1   /usr/bin/zabd\n3000-4000 r-xp 2000 fe:00 1  /usr/bin/zabd\n\
                    4000-9000 rw-p 3000 fe:00 1  /usr/bin/zabd\n9000-a000 r-xp 0 fe:00 2  /usr/lib/libc.so.6\nodd /usr/bin/zabd\n";
        assert_eq!(mapped_bytes(maps, "/usr/bin/zabd"), 0x3000);
        assert_eq!(mapped_bytes("", "/usr/bin/zabd"), 0);
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
