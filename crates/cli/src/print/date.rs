//! `java.util.Date.toString()`: `Thu Nov 26 03:17:05 UTC 2026`, in the time zone of whoever reads it.

use std::sync::OnceLock;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A time in milliseconds since 1970, in the local time zone.
pub fn date(time_ms: i64) -> String {
    // The zone is read from files, and a stat has two dates.
    static ZONE: OnceLock<TimeZone> = OnceLock::new();
    date_in(ZONE.get_or_init(|| TimeZone::try_system().unwrap_or(TimeZone::UTC)), time_ms)
}

fn date_in(zone: &TimeZone, time_ms: i64) -> String {
    match Timestamp::from_millisecond(time_ms) {
        Ok(time) => time.to_zoned_datetime(zone.clone()).strftime("%a %b %d %H:%M:%S %Z %Y").to_string(),
        // A clock that is millennia off still has a number.
        Err(_) => format!("{time_ms} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_print_as_javas() {
        assert_eq!(date_in(&TimeZone::UTC, 0), "Thu Jan 01 00:00:00 UTC 1970");
        assert_eq!(date_in(&TimeZone::UTC, 1_795_663_025_999), "Thu Nov 26 03:17:05 UTC 2026");
        assert_eq!(date_in(&TimeZone::UTC, i64::MAX), "9223372036854775807 ms");
    }

    #[test]
    fn zones_have_their_names_of_the_season() {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a rule");
        assert_eq!(date_in(&zone, 1_795_663_025_000), "Thu Nov 26 04:17:05 CET 2026");
        assert_eq!(date_in(&zone, 1_780_000_000_000), "Thu May 28 22:26:40 CEST 2026");
    }
}
