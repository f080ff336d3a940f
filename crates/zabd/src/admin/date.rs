//! Wall-clock times as text, in UTC, without a library: three formats are all that is needed.

/// A moment, cut into what people read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Civil {
    year: i64,
    month: usize,
    day: i64,
    weekday: usize,
    hour: i64,
    minute: i64,
    second: i64,
    millisecond: i64,
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

/// The calendar of the days since 1970, as Howard Hinnant's `civil_from_days` computes it.
fn civil(wall_ms: i64) -> Civil {
    let days = wall_ms.div_euclid(86_400_000);
    let in_day = wall_ms.rem_euclid(86_400_000);
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    Civil {
        year: year_of_era + era * 400 + i64::from(month <= 2),
        month: month as usize,
        day: day_of_year - (153 * month_from_march + 2) / 5 + 1,
        weekday: days.rem_euclid(7) as usize,
        hour: in_day / 3_600_000,
        minute: in_day / 60_000 % 60,
        second: in_day / 1000 % 60,
        millisecond: in_day % 1000,
    }
}

/// As Java's `Date.toString` prints it: `Tue Nov 24 13:17:40 UTC 2026`.
pub fn java_date(wall_ms: i64) -> String {
    let c = civil(wall_ms);
    format!(
        "{} {} {:02} {:02}:{:02}:{:02} UTC {}",
        WEEKDAYS[c.weekday],
        MONTHS[c.month - 1],
        c.day,
        c.hour,
        c.minute,
        c.second,
        c.year
    )
}

/// As Java's log lines begin: `2026-11-24 13:17:40,279`.
pub fn log_date(wall_ms: i64) -> String {
    let c = civil(wall_ms);
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02},{:03}",
        c.year, c.month, c.day, c.hour, c.minute, c.second, c.millisecond
    )
}

/// As Java's tools print a file's time to people: `Nov 24, 2026, 1:17:40 PM`.
pub fn tool_date(wall_ms: i64) -> String {
    let c = civil(wall_ms);
    let (hour, half) = (c.hour % 12, if c.hour < 12 { "AM" } else { "PM" });
    let hour = if hour == 0 { 12 } else { hour };
    format!("{} {}, {}, {hour}:{:02}:{:02} {half}", MONTHS[c.month - 1], c.day, c.year, c.minute, c.second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(java_date(0), "Thu Jan 01 00:00:00 UTC 1970");
        assert_eq!(java_date(951_827_696_000), "Tue Feb 29 12:34:56 UTC 2000");
        assert_eq!(java_date(1_795_351_667_495), "Sun Nov 22 12:47:47 UTC 2026");
        assert_eq!(log_date(1_795_351_667_495), "2026-11-22 12:47:47,495");
        assert_eq!(tool_date(1_795_351_667_495), "Nov 22, 2026, 12:47:47 PM");
        assert_eq!(tool_date(0), "Jan 1, 1970, 12:00:00 AM");
        assert_eq!(tool_date(-1), "Dec 31, 1969, 11:59:59 PM");
        assert_eq!(log_date(-1), "1969-12-31 23:59:59,999");
    }
}
