//! Times as Java's tools print them, in the local time zone and in English.
//!
//! Java prints the tools' dates in the language of the machine, and its own names of zones that have no short one (`GMT+03:00`
//! where the system's tables say `+03`).

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// `DateFormat.getDateTimeInstance(SHORT, LONG)`: `11/22/26, 1:00:38 PM UTC`.
const OF_LOGS: &str = "%-m/%-d/%y, %-I:%M:%S %p %Z";
/// `Date.toString()`: `Sun Nov 22 13:00:38 UTC 2026`.
const OF_SNAPSHOTS: &str = "%a %b %d %H:%M:%S %Z %Y";

/// Prints times of one format; the last one is kept, for what is printed was often written within a second.
#[derive(Debug)]
pub(crate) struct Dates {
    format: &'static str,
    zone: TimeZone,
    second: i64,
    text: String,
}

impl Dates {
    fn new(format: &'static str, zone: TimeZone) -> Self {
        // No time in milliseconds is in this second.
        Self { format, zone, second: i64::MAX, text: String::new() }
    }

    fn local() -> TimeZone {
        TimeZone::try_system().unwrap_or(TimeZone::UTC)
    }

    /// Those of `zkTxnLogToolkit.sh`.
    pub(crate) fn of_logs() -> Self {
        Self::new(OF_LOGS, Self::local())
    }

    /// Those of `zkSnapShotToolkit.sh`.
    pub(crate) fn of_snapshots() -> Self {
        Self::new(OF_SNAPSHOTS, Self::local())
    }

    /// A time in milliseconds since 1970.
    pub(crate) fn text(&mut self, time_ms: i64) -> &str {
        let second = time_ms.div_euclid(1000);
        if self.second != second {
            self.second = second;
            self.text = match Timestamp::from_second(second) {
                Ok(time) => time.to_zoned_datetime(self.zone.clone()).strftime(self.format).to_string(),
                // A record that is damaged, or a clock that was off by millennia, still has a number.
                Err(_) => format!("{time_ms} ms"),
            };
        }
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_print_as_javas() {
        let mut dates = Dates::new(OF_LOGS, TimeZone::UTC);
        for (time_ms, text) in [
            (0, "1/1/70, 12:00:00 AM UTC"),
            (999, "1/1/70, 12:00:00 AM UTC"),
            (-1, "12/31/69, 11:59:59 PM UTC"),
            (1_795_351_667_495, "11/22/26, 12:47:47 PM UTC"),
            (i64::MAX, "9223372036854775807 ms"),
        ] {
            assert_eq!(dates.text(time_ms), text);
        }
        let mut dates = Dates::new(OF_SNAPSHOTS, TimeZone::UTC);
        assert_eq!(dates.text(1_795_351_667_495), "Sun Nov 22 12:47:47 UTC 2026");
    }

    #[test]
    fn zones_have_their_names_of_the_season() {
        let mut dates = Dates::new(OF_LOGS, TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a rule"));
        assert_eq!(dates.text(1_795_663_025_000), "11/26/26, 4:17:05 AM CET");
        assert_eq!(dates.text(1_780_000_000_000), "5/28/26, 10:26:40 PM CEST");
    }
}
