//! What is told at once, and then once a minute for as long as it lasts: whoever looks at a log later should find it, and
//! nobody should find nothing else.

use std::time::{Duration, Instant};

/// How often it is told again.
const PAUSE: Duration = Duration::from_mins(1);

/// One trouble.
#[derive(Debug, Default)]
pub struct Alarm {
    told: Option<Instant>,
}

impl Alarm {
    /// Of a trouble that has been told just now.
    pub fn begun(now: Instant) -> Self {
        Self { told: Some(now) }
    }

    /// Tells it, unless that was less than a minute ago.
    pub fn ring(&mut self, now: Instant, tell: impl FnOnce()) {
        if self.told.is_none_or(|told| now.saturating_duration_since(told) >= PAUSE) {
            self.told = Some(now);
            tell();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lasts_is_told_once_a_minute() {
        let begin = Instant::now();
        let told_at = |mut alarm: Alarm| {
            let mut told = Vec::new();
            for second in 0..130 {
                alarm.ring(begin + Duration::from_secs(second), || told.push(second));
            }
            told
        };
        assert_eq!(told_at(Alarm::default()), [0, 60, 120]);
        assert_eq!(told_at(Alarm::begun(begin)), [60, 120]);
    }
}
