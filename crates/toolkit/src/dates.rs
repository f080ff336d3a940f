//! Times as Java's tools print them, in the local time zone and in English.
//!
//! A record that is damaged, or a clock that was off by millennia, has a date like any other: Java's calendar is Julian before 15
//! October 1582, its years before the first are counted backwards from it and printed without their era, and none is too late. Only
//! the zones come from a library, which knows years of four digits and one calendar.
//!
//! Java prints the tools' dates in the language of the machine, and its own names of zones that have no short one (`GMT+03:00`
//! where the system's tables say `+03`).

use jiff::Timestamp;
use jiff::tz::TimeZone;

const SECONDS_PER_DAY: i64 = 86_400;
/// The first day of the Gregorian calendar, in days since 1970.
const GREGORIAN_FROM: i64 = -141_427;
/// Java's tables of zones begin with 1900; before that a zone has its standard time.
const ZONES_FROM_SECOND: i64 = -2_208_988_800;
/// Later than any year of four digits. Four hundred years before, all days are the same.
const ZONES_UNTIL_SECOND: i64 = 253_402_207_200;
const SECONDS_PER_400_YEARS: i64 = 146_097 * SECONDS_PER_DAY;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

#[derive(Clone, Copy, Debug)]
enum Format {
    /// `DateFormat.getDateTimeInstance(SHORT, LONG)`: `11/22/26, 1:00:38 PM UTC`.
    OfLogs,
    /// `Date.toString()`: `Sun Nov 22 13:00:38 UTC 2026`.
    OfSnapshots,
}

/// Prints times of one format; the last one is kept, for what is printed was often written within a second.
#[derive(Debug)]
pub(crate) struct Dates {
    format: Format,
    zone: TimeZone,
    second: i64,
    text: String,
}

impl Dates {
    fn new(format: Format, zone: TimeZone) -> Self {
        // No time in milliseconds is in this second.
        Self { format, zone, second: i64::MAX, text: String::new() }
    }

    fn local() -> TimeZone {
        TimeZone::try_system().unwrap_or(TimeZone::UTC)
    }

    /// Those of `zkTxnLogToolkit.sh`.
    pub(crate) fn of_logs() -> Self {
        Self::new(Format::OfLogs, Self::local())
    }

    /// Those of `zkSnapShotToolkit.sh`.
    pub(crate) fn of_snapshots() -> Self {
        Self::new(Format::OfSnapshots, Self::local())
    }

    /// A time in milliseconds since 1970.
    pub(crate) fn text(&mut self, time_ms: i64) -> &str {
        let second = time_ms.div_euclid(1000);
        if self.second != second {
            self.second = second;
            self.text = print(self.format, second, &self.zone);
        }
        &self.text
    }
}

fn print(format: Format, second: i64, zone: &TimeZone) -> String {
    let info = zone.to_offset_info(zoned(second, zone));
    let (local, name) = (second + i64::from(info.offset().seconds()), info.abbreviation());
    let (days, second) = (local.div_euclid(SECONDS_PER_DAY), local.rem_euclid(SECONDS_PER_DAY));
    let (year, month, day) = if days < GREGORIAN_FROM { julian(days) } else { gregorian(days) };
    let year = if year < 1 { 1 - year } else { year };
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    match format {
        Format::OfLogs => {
            let (hour_of_12, half) = ((hour + 11) % 12 + 1, if hour < 12 { "AM" } else { "PM" });
            let year = year % 100;
            format!("{month}/{day}/{year:02}, {hour_of_12}:{minute:02}:{second:02} {half} {name}")
        }
        Format::OfSnapshots => {
            // 1970 began with a Thursday.
            let weekday = WEEKDAYS[(days + 4).rem_euclid(7) as usize];
            let month = MONTHS[month as usize - 1];
            format!("{weekday} {month} {day:02} {hour:02}:{minute:02}:{second:02} {name} {year}")
        }
    }
}

/// A time at which a zone is what it is for Java at this one.
fn zoned(second: i64, zone: &TimeZone) -> Timestamp {
    let at = |second| Timestamp::from_second(second).expect("it is within four digits of years");
    if second < ZONES_FROM_SECOND {
        // The first of January and of July 2026.
        let [winter, summer] = [1_767_225_600, 1_782_864_000].map(at);
        return if zone.to_offset_info(winter).dst().is_dst() { summer } else { winter };
    }
    at(if second < ZONES_UNTIL_SECOND { second } else { second.rem_euclid(SECONDS_PER_400_YEARS) })
}

/// Year, month and day of a day since 1970; the year before the first is 0.
fn gregorian(days: i64) -> (i64, i64, i64) {
    // Since the first of March of the year 0, so that a leap day ends a year, of four, of four hundred.
    let since = days + 719_468;
    let (era, day) = (since.div_euclid(146_097), since.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    from_march(era * 400 + year, day - (365 * year + year / 4 - year / 100))
}

/// The same of the older calendar, in which each fourth year has a leap day.
fn julian(days: i64) -> (i64, i64, i64) {
    let since = days + 719_470;
    let (era, day) = (since.div_euclid(1461), since.rem_euclid(1461));
    let year = (day - day / 1460) / 365;
    from_march(era * 4 + year, day - 365 * year)
}

/// From a year that begins with March, and a day of it, from 0 on.
fn from_march(year: i64, day: i64) -> (i64, i64, i64) {
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    if month < 10 { (year, month + 3, day) } else { (year + 1, month - 9, day) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_print_as_javas() {
        let mut dates = Dates::new(Format::OfLogs, TimeZone::UTC);
        for (time_ms, text) in [
            (0, "1/1/70, 12:00:00 AM UTC"),
            (999, "1/1/70, 12:00:00 AM UTC"),
            (-1, "12/31/69, 11:59:59 PM UTC"),
            (1_795_351_667_495, "11/22/26, 12:47:47 PM UTC"),
        ] {
            assert_eq!(dates.text(time_ms), text);
        }
        let mut dates = Dates::new(Format::OfSnapshots, TimeZone::UTC);
        assert_eq!(dates.text(1_795_351_667_495), "Sun Nov 22 12:47:47 UTC 2026");
    }

    /// As a Java program prints them that is given these numbers.
    #[test]
    fn dates_of_other_millennia_print_as_javas() {
        let mut of_logs = Dates::new(Format::OfLogs, TimeZone::UTC);
        let mut of_snapshots = Dates::new(Format::OfSnapshots, TimeZone::UTC);
        for (time_ms, in_log, in_snapshot) in [
            (i64::MIN, "12/2/55, 4:47:04 PM UTC", "Sun Dec 02 16:47:04 UTC 292269055"),
            (-100_000_000_000_000_000, "3/8/40, 2:13:20 PM UTC", "Mon Mar 08 14:13:20 UTC 3166840"),
            (-62_170_000_000_000, "12/1/02, 7:33:20 PM UTC", "Mon Dec 01 19:33:20 UTC 2"),
            (-62_135_769_600_001, "12/31/01, 11:59:59 PM UTC", "Fri Dec 31 23:59:59 UTC 1"),
            (-62_135_769_600_000, "1/1/01, 12:00:00 AM UTC", "Sat Jan 01 00:00:00 UTC 1"),
            (-12_219_292_800_001, "10/4/82, 11:59:59 PM UTC", "Thu Oct 04 23:59:59 UTC 1582"),
            (-12_219_292_800_000, "10/15/82, 12:00:00 AM UTC", "Fri Oct 15 00:00:00 UTC 1582"),
            (253_402_300_800_000, "1/1/00, 12:00:00 AM UTC", "Sat Jan 01 00:00:00 UTC 10000"),
            (1_000_000_000_000_000, "9/27/58, 1:46:40 AM UTC", "Fri Sep 27 01:46:40 UTC 33658"),
            (i64::MAX, "8/17/94, 7:12:55 AM UTC", "Sun Aug 17 07:12:55 UTC 292278994"),
        ] {
            assert_eq!((of_logs.text(time_ms), of_snapshots.text(time_ms)), (in_log, in_snapshot));
        }
        let mut dates =
            Dates::new(Format::OfLogs, TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a rule"));
        assert_eq!(dates.text(-62_170_000_000_000), "12/1/02, 8:33:20 PM CET");
        assert_eq!(dates.text(1_000_000_000_000_000), "9/27/58, 3:46:40 AM CEST");
    }

    /// Every day of the library's calendar.
    #[test]
    fn days_are_those_of_the_library() {
        let mut date = jiff::civil::date(1, 1, 1);
        for days in -719_162.. {
            let Ok(next) = date.tomorrow() else { break };
            let expected = (i64::from(date.year()), i64::from(date.month()), i64::from(date.day()));
            assert_eq!(gregorian(days), expected);
            date = next;
        }
    }

    #[test]
    fn zones_have_their_names_of_the_season() {
        let mut dates =
            Dates::new(Format::OfLogs, TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a rule"));
        assert_eq!(dates.text(1_795_663_025_000), "11/26/26, 4:17:05 AM CET");
        assert_eq!(dates.text(1_780_000_000_000), "5/28/26, 10:26:40 PM CEST");
    }
}
