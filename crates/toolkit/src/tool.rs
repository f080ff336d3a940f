//! Which tools there are, and what the environment tells them.

use zabd_config::java_number;
use zabd_jute::Limits;

use crate::console::{Console, End};
use crate::{log, snapshot};

/// A tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// `zkTxnLogToolkit.sh`, Java's `TxnLogToolkit`.
    TxnLog,
    /// `zkSnapShotToolkit.sh`, Java's `SnapshotFormatter`.
    SnapshotFormatter,
    /// `zkSnapshotComparer.sh`, Java's `SnapshotComparer`.
    SnapshotComparer,
    /// `zkSnapshotRecursiveSummaryToolkit.sh`, Java's `SnapshotRecursiveSummary`.
    SnapshotRecursiveSummary,
}

/// What `-D` words in `JVMFLAGS` set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `jute.maxbuffer` and `zookeeper.jute.maxbuffer.extrasize`: how long a record or a field may be.
    pub limits: Limits,
    /// `zookeeper.preAllocSize`, in bytes: how far a recovered log is extended ahead; 0 is not at all.
    pub ahead_bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { limits: Limits::default(), ahead_bytes: 64 << 20 }
    }
}

impl Settings {
    /// Java's smallest value of the extra size.
    const EXTRA_BYTES_MIN: i64 = 1024;

    /// Reads the flags of a virtual machine. A value that is no number is none, as in Java.
    pub fn of_flags(flags: &str) -> Self {
        let value = |key: &str| {
            let words = flags.split_whitespace().filter_map(|word| word.strip_prefix("-D")?.split_once('='));
            words.filter(|(name, _)| *name == key).map(|(_, value)| value).next_back()
        };
        let int = |key| value(key).and_then(java_number::decode).filter(|n| i32::try_from(*n).is_ok());
        let frame = int("jute.maxbuffer").unwrap_or(Limits::FRAME_BYTES_MAX_DEFAULT as i64);
        let extra = int("zookeeper.jute.maxbuffer.extrasize").unwrap_or(frame).max(Self::EXTRA_BYTES_MIN);
        let field_bytes_max = (frame + extra).clamp(0, i32::MAX.into()) as usize;
        let ahead = value("zookeeper.preAllocSize").and_then(|text| text.parse::<i64>().ok());
        let ahead_bytes = ahead.map_or(Self::default().ahead_bytes, |kib| kib.max(0) as u64 * 1024);
        Self { limits: Limits { field_bytes_max }, ahead_bytes }
    }
}

impl Tool {
    /// Runs the tool with these words; gives its exit code.
    pub fn run(self, words: &[String], settings: &Settings, console: &mut Console<'_>) -> u8 {
        let ended = match self {
            Tool::TxnLog => log::run(words, settings, console),
            Tool::SnapshotFormatter => snapshot::format(words, settings, console),
            Tool::SnapshotComparer => snapshot::compare(words, settings, console),
            Tool::SnapshotRecursiveSummary => snapshot::summarise(words, settings, console),
        };
        console.close(ended.err().unwrap_or(End::Exit(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_read_as_java_reads_them() {
        let settings = |flags| {
            let Settings { limits, ahead_bytes } = Settings::of_flags(flags);
            (limits.field_bytes_max, ahead_bytes)
        };
        let default = settings("");
        assert_eq!(default, (2 * 0xf_ffff, 64 << 20));
        assert_eq!(
            settings("-Xmx1G -Djute.maxbuffer=0x10000 -Dzookeeper.preAllocSize=16"),
            (0x20000, 16 << 10)
        );
        assert_eq!(settings("-Djute.maxbuffer=5000 -Dzookeeper.jute.maxbuffer.extrasize=1").0, 6024);
        assert_eq!(settings("-Djute.maxbuffer=2147483647").0, i32::MAX as usize);
        assert_eq!(settings("-Djute.maxbuffer=much -Dzookeeper.preAllocSize=0x10"), default);
        assert_eq!(settings("-Dzookeeper.preAllocSize=0").1, 0);
    }
}
