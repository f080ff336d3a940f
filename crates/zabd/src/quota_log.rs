//! Writes beyond quotas in the log: of each limit at most one line a minute, however often it is met.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use zabd_tree::QuotaExcess;

/// How long one line about a limit stands for all, as in Java.
const PAUSE_MS: i64 = 60_000;
/// When so many limits were met, all are told anew.
const LIMITS_MAX: usize = 1000;

/// See the module's description.
#[derive(Debug, Default)]
pub struct QuotaLog {
    /// When each limit was told last.
    told_ms: Mutex<BTreeMap<(String, &'static str, bool), i64>>,
}

impl QuotaLog {
    /// Writes a line, if one is due.
    pub fn tell(&self, now_ms: i64, excess: &QuotaExcess) {
        if self.is_due(now_ms, excess) {
            tracing::warn!("{excess}");
        }
    }

    fn is_due(&self, now_ms: i64, excess: &QuotaExcess) -> bool {
        let mut told_ms = self.told_ms.lock();
        let limit = (excess.of.clone(), excess.what, excess.is_hard);
        if told_ms.get(&limit).is_some_and(|told_ms| now_ms - told_ms < PAUSE_MS) {
            return false;
        }
        if told_ms.len() >= LIMITS_MAX {
            told_ms.clear();
        }
        told_ms.insert(limit, now_ms);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_has_a_line_a_minute() {
        let log = QuotaLog::default();
        let excess = QuotaExcess { of: "/a".into(), what: "count", will_be: 3, limit: 2, is_hard: false };
        let hard = QuotaExcess { is_hard: true, ..excess.clone() };
        let more = QuotaExcess { will_be: 4, ..excess.clone() };
        let due = [(0, &excess), (1, &more), (2, &hard), (59_999, &excess), (60_000, &excess)];
        assert_eq!(due.map(|(now_ms, excess)| log.is_due(now_ms, excess)), [true, false, true, false, true]);
        assert_eq!(excess.to_string(), "Quota exceeded: /a [current count=3, softCountLimit=2]");
    }
}
