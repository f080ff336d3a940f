//! What counts against the limit: what the system cannot take back.
//!
//! Of a process that is its anonymous memory. Of a control group it is everything but the files that it has read and written, so the
//! kernel's own memory for its sockets is in it; the larger of the two counts.

use std::fs::read_to_string;

use super::limit::{Group, Limit, Version};

/// Bytes in use that count against this limit. What cannot be read counts as nothing.
pub fn bytes(limit: &Limit) -> u64 {
    let group = limit.group.as_ref().and_then(of_group);
    of_process().max(group.unwrap_or(0))
}

/// Anonymous and shared memory of this process.
pub(super) fn of_process() -> u64 {
    let status = read_to_string("/proc/self/status").unwrap_or_default();
    (field(&status, "RssAnon:") + field(&status, "RssShmem:")) << 10
}

fn of_group(group: &Group) -> Option<u64> {
    let (usage, files) = match group.version {
        Version::One => ("memory.usage_in_bytes", ["total_inactive_file", "total_active_file"]),
        Version::Two => ("memory.current", ["inactive_file", "active_file"]),
    };
    let usage: u64 = read_to_string(group.folder.join(usage)).ok()?.trim().parse().ok()?;
    let stat = read_to_string(group.folder.join("memory.stat")).ok()?;
    Some(usage.saturating_sub(files.iter().map(|name| field(&stat, name)).sum()))
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
        assert_eq!(of_group(&group(Version::Two)), Some(710));
        write("memory.usage_in_bytes", "1000\n");
        write("memory.stat", "cache 300\ninactive_file 1\ntotal_inactive_file 250\ntotal_active_file 50\n");
        assert_eq!(of_group(&group(Version::One)), Some(700));
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
