//! Time partitions: the lake's Hive-style folders, `date=2026-11-21/hour=01` or `date=2026-11-21`.

use std::fmt;

use chrono::{Datelike, Duration, NaiveDate};

use crate::config::PartitionBy;

const MICROS_A_DAY: i64 = 24 * MICROS_AN_HOUR;
const MICROS_AN_HOUR: i64 = 3_600_000_000;

/// One folder of a table. Orders by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimePartition {
    /// Days since 1970-01-01 UTC.
    day: i32,
    /// None where the table is partitioned by day.
    hour: Option<u8>,
}

impl TimePartition {
    /// The time partition of a time in microseconds since 1970, UTC. None outside of the years 0000 to 9999:
    /// such a date is no `YYYY-MM-DD` that readers understand.
    #[must_use]
    pub fn of(time_micros: i64, by: PartitionBy) -> Option<TimePartition> {
        let day = i32::try_from(time_micros.div_euclid(MICROS_A_DAY)).ok()?;
        date_of(day)?;
        let hour =
            u8::try_from(time_micros.rem_euclid(MICROS_A_DAY) / MICROS_AN_HOUR).expect("a day has 24 hours");
        Some(TimePartition {
            day,
            hour: match by {
                PartitionBy::Hour => Some(hour),
                PartitionBy::Day => None,
            },
        })
    }

    /// Its first microsecond since 1970, and the first one after it.
    #[must_use]
    pub fn span_micros(self) -> (i64, i64) {
        let day = i64::from(self.day) * MICROS_A_DAY;
        match self.hour {
            Some(hour) => {
                let from = day + i64::from(hour) * MICROS_AN_HOUR;
                (from, from + MICROS_AN_HOUR)
            }
            None => (day, day + MICROS_A_DAY),
        }
    }

    /// Reads what `Display` writes, and nothing else.
    #[must_use]
    pub fn parse(text: &str) -> Option<TimePartition> {
        let (date, hour) = match text.split_once('/') {
            Some((date, hour)) => (date, Some(hour)),
            None => (text, None),
        };
        let date = NaiveDate::parse_from_str(date.strip_prefix("date=")?, "%Y-%m-%d").ok()?;
        let day = i32::try_from(date.signed_duration_since(NaiveDate::default()).num_days()).ok()?;
        // It reads a year with a sign, too, and of more than four digits.
        date_of(day)?;
        let hour = match hour {
            Some(hour) => Some(
                hour.strip_prefix("hour=")?
                    .parse()
                    .ok()
                    .filter(|hour| *hour < 24)?,
            ),
            None => None,
        };
        let partition = TimePartition { day, hour };
        (partition.to_string() == text).then_some(partition)
    }
}

impl fmt::Display for TimePartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let date = date_of(self.day).expect("checked when it was made");
        write!(f, "date={:04}-{:02}-{:02}", date.year(), date.month(), date.day())?;
        match self.hour {
            Some(hour) => write!(f, "/hour={hour:02}"),
            None => Ok(()),
        }
    }
}

fn date_of(day: i32) -> Option<NaiveDate> {
    NaiveDate::default()
        .checked_add_signed(Duration::try_days(i64::from(day))?)
        .filter(|date| (0..=9999).contains(&date.year()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_lands_in_its_own_hour_and_day() {
        let micros = 1_795_222_799_999_999; // 2026-11-21T01:39:59.999999Z is 1795225199.999999
        let partition = TimePartition::of(micros, PartitionBy::Hour).expect("a time");
        assert_eq!(partition.to_string(), "date=2026-11-21/hour=00");
        let next = TimePartition::of(micros + 1, PartitionBy::Hour).expect("a time");
        assert_eq!(next.to_string(), "date=2026-11-21/hour=01");
        let day = TimePartition::of(-1, PartitionBy::Day).expect("a time");
        assert_eq!(day.to_string(), "date=1969-12-31");
        let hour = TimePartition::of(-1, PartitionBy::Hour).expect("a time");
        assert_eq!(hour.to_string(), "date=1969-12-31/hour=23");
    }

    #[test]
    fn a_span_holds_exactly_the_times_of_its_folder() {
        for by in [PartitionBy::Hour, PartitionBy::Day] {
            for micros in [-1, 0, 1_795_222_800_000_000, 1_795_222_799_999_999] {
                let partition = TimePartition::of(micros, by).expect("a time");
                let (from, next) = partition.span_micros();
                assert!(from <= micros && micros < next);
                assert_eq!(TimePartition::of(from, by), Some(partition));
                assert_eq!(TimePartition::of(next - 1, by), Some(partition));
                assert_ne!(TimePartition::of(next, by), Some(partition));
            }
        }
    }

    #[test]
    fn years_that_no_reader_understands_have_none() {
        assert_eq!(TimePartition::of(i64::MAX, PartitionBy::Hour), None);
        assert_eq!(TimePartition::of(i64::MIN, PartitionBy::Hour), None);
        assert_eq!(
            TimePartition::of(253_402_300_800_000_000, PartitionBy::Hour),
            None
        );
        let last = TimePartition::of(253_402_300_799_999_999, PartitionBy::Hour).expect("year 9999");
        assert_eq!(last.to_string(), "date=9999-12-31/hour=23");
    }

    #[test]
    fn only_the_written_form_is_read() {
        for text in [
            "date=2026-11-21/hour=01",
            "date=2026-11-21",
            "date=0000-01-01/hour=23",
        ] {
            assert_eq!(TimePartition::parse(text).expect(text).to_string(), text);
        }
        for text in [
            "date=2026-1-21",
            "date=2026-11-21/hour=1",
            "date=2026-11-21/hour=24",
            "date=2026-02-30",
            "date=2026-11-21/hour=01/",
            "date=2026-11-21/../x",
            "2026-11-21",
            "date=+2026-11-21",
            "date=-2026-11-21",
            "date=+12345-11-21/hour=01",
            "date=12345-11-21",
            "",
        ] {
            assert_eq!(TimePartition::parse(text), None, "{text}");
        }
    }
}
