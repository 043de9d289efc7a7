//! Times as people write and read them: `2026-11-21 01:02:03`, `3 s ago`, `1h`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::DateTime;
use eventlake_core::config::parse_duration;
use eventlake_core::grouped::grouped;
use eventlake_core::schema::{DAY_MICROS, parse_date};

const MICROS_PER_SEC: i64 = 1_000_000;

/// Microseconds since 1970.
pub fn now_micros() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// `2026-11-21 01:02:03.004`, in UTC; the milliseconds only where there are any.
pub fn moment(unix_micros: i64) -> String {
    match DateTime::from_timestamp_micros(unix_micros) {
        Some(time) if time.timestamp_subsec_millis() == 0 => time.format("%Y-%m-%d %H:%M:%S").to_string(),
        Some(time) => time.format("%Y-%m-%d %H:%M:%S%.3f").to_string(),
        None => format!("{unix_micros} us"),
    }
}

/// `2026-11-21`.
pub fn date(unix_days: i64) -> String {
    let time = unix_days
        .checked_mul(DAY_MICROS)
        .and_then(DateTime::from_timestamp_micros);
    time.map_or_else(
        || format!("{unix_days} days"),
        |time| time.format("%Y-%m-%d").to_string(),
    )
}

/// RFC 3339 with microseconds, for machines.
pub fn rfc3339(unix_micros: i64) -> Option<String> {
    let time = DateTime::from_timestamp_micros(unix_micros)?;
    Some(time.to_rfc3339_opts(chrono::SecondsFormat::Micros, true))
}

/// How long ago a time was, in its largest whole unit: `now`, `3 s ago`, `5 min ago`, `2 h ago`, `9 d ago`; a time
/// that is still to come is `in 3 s`.
pub fn ago(unix_micros: i64, now_micros: i64) -> String {
    let secs = now_micros.saturating_sub(unix_micros) / MICROS_PER_SEC;
    let amount = match secs.unsigned_abs() {
        0 => return "now".to_owned(),
        secs @ ..120 => format!("{secs} s"),
        secs @ ..7_200 => format!("{} min", secs / 60),
        secs @ ..172_800 => format!("{} h", secs / 3_600),
        secs => format!("{} d", grouped(secs / 86_400)),
    };
    if secs > 0 {
        format!("{amount} ago")
    } else {
        format!("in {amount}")
    }
}

/// A point in time as given on the command line: RFC 3339, a date (its start in UTC), or a duration before now.
///
/// # Errors
/// With what was expected.
pub fn parse(text: &str, now_micros: i64) -> Result<i64, String> {
    let text = text.trim();
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.timestamp_micros());
    }
    if let Some(days) = parse_date(text.as_bytes()) {
        return Ok(i64::from(days) * DAY_MICROS);
    }
    let ago = parse_duration(text.strip_suffix("ago").unwrap_or(text).trim_end());
    if let Some(micros) = ago.ok().and_then(|ago| i64::try_from(ago.as_micros()).ok()) {
        return Ok(now_micros.saturating_sub(micros));
    }
    Err("expected a time such as 2026-11-21T01:02:03Z, a date such as 2026-11-21, or how long ago, such as 90m, 1h30m or 7d"
        .to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        let now = 1_700_000_000_000_000;
        assert_eq!(parse("2023-11-14T22:13:20Z", 0), Ok(now));
        assert_eq!(parse("2023-11-14T23:13:20.000001+01:00", 0), Ok(now + 1));
        assert_eq!(parse("1970-01-02", 0), Ok(86_400 * MICROS_PER_SEC));
        assert_eq!(parse("1h30m", now), Ok(now - 5_400 * MICROS_PER_SEC));
        assert_eq!(parse("2 d ago", now), Ok(now - 172_800 * MICROS_PER_SEC));
        for wrong in [
            "",
            "ago",
            "yesterday",
            "1",
            "h",
            "1x",
            "2026-13-01",
            "-21-1-20",
            "+12345-01-20",
            "99999999999999999999d",
            "-1h",
        ] {
            assert!(parse(wrong, now).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn ages_use_the_unit_that_says_most() {
        let shown = |secs: i64| ago(0, secs * MICROS_PER_SEC);
        assert_eq!(shown(0), "now");
        assert_eq!(shown(3), "3 s ago");
        assert_eq!(shown(119), "119 s ago");
        assert_eq!(shown(120), "2 min ago");
        assert_eq!(shown(7_200), "2 h ago");
        assert_eq!(shown(172_800), "2 d ago");
        assert_eq!(shown(-30), "in 30 s");
        assert_eq!(moment(1_700_000_000_004_000), "2023-11-14 22:13:20.004");
        assert_eq!(moment(i64::MAX), "9223372036854775807 us");
        assert_eq!(
            [0, -1, 20_778].map(date),
            ["1970-01-01", "1969-12-31", "2026-11-21"]
        );
    }
}
