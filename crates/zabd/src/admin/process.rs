//! Figures of the process, from `/proc`: those that Java's `exportJvmInfo` adds and that dashboards look at.
//!
//! A process has no Java machine. What such a machine keeps on its heap is here memory of its own (anonymous pages), bounded by
//! the container's limit or else by the machine's memory; the rest is what it shares with files. Nothing is ever collected.
//! Pools, classes and buffers have no figure.

use std::path::Path;

use super::families::{Family, Number, Value};

/// How many files are open; the kernel has counted them since 6.2, before that each is listed.
pub fn open_files() -> u64 {
    let directory = Path::new("/proc/self/fd");
    let counted = std::fs::metadata(directory).map_or(0, |metadata| metadata.len());
    if counted > 0 { counted } else { std::fs::read_dir(directory).map_or(0, |files| files.count() as u64) }
}

/// How many may be open.
pub fn open_files_max() -> u64 {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(0)
}

/// The families of Java's `DefaultExports` that mean something here.
pub fn families() -> Vec<Family> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let (stat, status) = (read("/proc/self/stat"), read("/proc/self/status"));
    let usage = Usage::parse(&stat);
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    let began = field(&read("/proc/stat"), "btime") + usage.start_ticks / ticks;
    let bytes = |key| field(&status, key) * 1024.0;
    let heap = bytes("RssAnon:");
    let limit = memory_max().unwrap_or_else(|| field(&read("/proc/meminfo"), "MemTotal:") * 1024.0);
    let areas =
        |heap: f64, rest: f64| Value::Labelled("area", vec![("heap".into(), heap), ("nonheap".into(), rest)]);
    let rest = bytes("RssFile:") + bytes("RssShmem:");
    let real = |value| Value::Gauge(Number::Real(value));
    let page = rustix::param::page_size() as f64;
    let told = [
        (
            "process_cpu_seconds_total",
            "Total user and system CPU time spent in seconds.",
            Value::Amount(usage.cpu_ticks / ticks),
        ),
        ("process_start_time_seconds", "Start time of the process since unix epoch in seconds.", real(began)),
        ("process_open_fds", "Number of open file descriptors.", real(open_files() as f64)),
        ("process_max_fds", "Maximum number of open file descriptors.", real(open_files_max() as f64)),
        ("process_virtual_memory_bytes", "Virtual memory size in bytes.", real(usage.virtual_bytes)),
        (
            "process_resident_memory_bytes",
            "Resident memory size in bytes.",
            real(usage.resident_pages * page),
        ),
        ("jvm_memory_bytes_used", "Used bytes: the process's own, and shared with files.", areas(heap, rest)),
        ("jvm_memory_bytes_committed", "The same.", areas(heap, rest)),
        (
            "jvm_memory_bytes_max",
            "The limit of the container, or the memory of the machine.",
            areas(limit, -1.0),
        ),
        (
            "jvm_gc_collection_seconds",
            "Nothing is collected.",
            Value::Plain("gc", vec![("none".into(), 0.0, 0.0)]),
        ),
        ("jvm_threads_current", "Current thread count of the process", real(field(&status, "Threads:"))),
    ];
    told.into_iter().map(|(name, help, value)| Family { name, help: Some(help), value }).collect()
}

/// What `/proc/self/stat` says.
#[derive(Debug, Default, PartialEq)]
struct Usage {
    cpu_ticks: f64,
    start_ticks: f64,
    virtual_bytes: f64,
    resident_pages: f64,
}

impl Usage {
    /// The name of the process may hold anything, also brackets and blanks: what counts stands behind the last bracket.
    fn parse(stat: &str) -> Self {
        let behind = stat.rsplit_once(')').map_or("", |(_, behind)| behind);
        let fields: Vec<f64> = behind.split_whitespace().map(|word| word.parse().unwrap_or(0.0)).collect();
        // The first field behind the name is the third of the line.
        let field = |number: usize| fields.get(number - 3).copied().unwrap_or(0.0);
        Self {
            cpu_ticks: field(14) + field(15),
            start_ticks: field(22),
            virtual_bytes: field(23),
            resident_pages: field(24),
        }
    }
}

/// The number behind a word at the beginning of a line.
fn field(text: &str, key: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|rest| rest.split_whitespace().next()).and_then(|word| word.parse().ok()).unwrap_or(0.0)
}

/// The limit of the control group, of either version, if there is one.
fn memory_max() -> Option<f64> {
    let files = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let text = files.into_iter().find_map(|path| std::fs::read_to_string(path).ok())?;
    // The first version says that there is none with a number that no machine has.
    text.trim().parse().ok().filter(|bytes: &f64| *bytes < 1e18)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_behind_any_name() {
        let line = "17 (a ) b) S 1 17 17 0 -1 4194560 906 0 9 0 31 12 0 0 20 0 9 0 40771 2958217216 21729 1";
        let expected = Usage {
            cpu_ticks: 43.0,
            start_ticks: 40_771.0,
            virtual_bytes: 2_958_217_216.0,
            resident_pages: 21_729.0,
        };
        assert_eq!(Usage::parse(line), expected);
        assert_eq!(Usage::parse(""), Usage::default());
    }

    #[test]
    fn a_field_is_found_by_its_word() {
        assert_eq!(field("VmRSS: 1 kB\nRssAnon:\t  5120 kB\n", "RssAnon:").to_bits(), 5120f64.to_bits());
        assert_eq!(field("btime 1764135561\n", "btime").to_bits(), 1_764_135_561f64.to_bits());
        assert_eq!(field("", "btime").to_bits(), 0f64.to_bits());
    }

    #[test]
    fn this_process_has_figures() {
        let own = families();
        let value = |name: &str| match &own.iter().find(|family| family.name == name).unwrap().value {
            Value::Labelled(_, list) => list[0].1,
            Value::Amount(value) | Value::Gauge(Number::Real(value)) => *value,
            other => panic!("{other:?}"),
        };
        assert!(value("process_resident_memory_bytes") > 1e6);
        assert!(value("process_start_time_seconds") > 1.7e9);
        assert!(value("jvm_memory_bytes_used") <= value("process_resident_memory_bytes") * 1.5);
        assert!(value("jvm_threads_current") >= 1.0 && value("process_open_fds") >= 1.0);
    }
}
