//! Rows over time: hours as they are counted, put together to days, months or years where there are too many.

use chrono::{DateTime, Datelike as _, Months, NaiveDate};

use super::ask::Asker;
use super::figures::{Moment, Step, Unit, Volume};
use super::source::Source;
use crate::sql::Halt;

/// Steps that a report holds at most: over a year of hours.
const STEPS_MAX: usize = 10_000;
const MICROS_AN_HOUR: i64 = 3_600_000_000;
const MICROS_A_DAY: i64 = 24 * MICROS_AN_HOUR;

/// Counts the rows of the period by hour.
pub fn read(asker: &Asker<'_>, source: &Source<'_>) -> Result<Volume, Halt> {
    // Rounded down before 1970, too.
    let hour = format!("t - (t % {MICROS_AN_HOUR} + {MICROS_AN_HOUR}) % {MICROS_AN_HOUR}");
    let sql = format!(
        "SELECT {hour} AS h, count(*) AS n FROM {} WHERE t IS NOT NULL GROUP BY h ORDER BY h",
        source.rows([(source.time(), "t")])
    );
    let mut counter = Counter::new();
    asker.each("rows by hour", &sql, |part| {
        let (hours, rows) = (part.integers(0)?, part.integers(1)?);
        for row in 0..part.len() {
            counter.take(hours.value(row), u64::try_from(rows.value(row)).unwrap_or(0));
        }
        Ok(())
    })?;
    Ok(counter.finish())
}

struct Counter {
    unit: Unit,
    steps: Vec<Step>,
}

impl Counter {
    fn new() -> Counter {
        Counter {
            unit: Unit::Hour,
            steps: Vec::new(),
        }
    }

    /// The rows of an hour; hours come in their order.
    fn take(&mut self, hour: i64, rows: u64) {
        push(&mut self.steps, self.unit, Moment(hour), rows);
        while self.steps.len() > STEPS_MAX
            && let Some(unit) = coarser(self.unit)
        {
            self.unit = unit;
            self.steps = coarsened(&self.steps, unit);
        }
    }

    fn finish(self) -> Volume {
        let (unit, steps) = (self.unit, self.steps);
        let (mut empty_steps, mut longest_gap, mut longest) = (0, None, 0);
        for pair in steps.windows(2) {
            let missing = between(unit, pair[0].from, pair[1].from) - 1;
            empty_steps += missing;
            if missing > longest {
                longest = missing;
                longest_gap = Some((next(unit, pair[0].from), pair[1].from));
            }
        }
        Volume {
            unit,
            steps,
            empty_steps,
            longest_gap,
            rows_without_time: 0,
        }
    }
}

/// The same rows in wider steps.
pub fn coarsened(steps: &[Step], unit: Unit) -> Vec<Step> {
    let mut wider = Vec::new();
    for step in steps {
        push(&mut wider, unit, step.from, step.rows);
    }
    wider
}

fn push(steps: &mut Vec<Step>, unit: Unit, at: Moment, rows: u64) {
    let from = start(unit, at);
    match steps.last_mut() {
        Some(last) if last.from == from => last.rows += rows,
        _ => steps.push(Step { from, rows }),
    }
}

pub fn coarser(unit: Unit) -> Option<Unit> {
    match unit {
        Unit::Hour => Some(Unit::Day),
        Unit::Day => Some(Unit::Month),
        Unit::Month => Some(Unit::Year),
        Unit::Year => None,
    }
}

/// Where the step begins that a moment lies in.
pub fn start(unit: Unit, at: Moment) -> Moment {
    match unit {
        Unit::Hour => Moment(at.0 - at.0.rem_euclid(MICROS_AN_HOUR)),
        Unit::Day => Moment(at.0 - at.0.rem_euclid(MICROS_A_DAY)),
        Unit::Month => calendar(at, |date| date.with_day(1)),
        Unit::Year => calendar(at, |date| NaiveDate::from_ymd_opt(date.year(), 1, 1)),
    }
}

/// Where the step after this one begins.
pub fn next(unit: Unit, from: Moment) -> Moment {
    match unit {
        Unit::Hour => Moment(from.0.saturating_add(MICROS_AN_HOUR)),
        Unit::Day => Moment(from.0.saturating_add(MICROS_A_DAY)),
        Unit::Month => calendar(from, |date| date.checked_add_months(Months::new(1))),
        Unit::Year => calendar(from, |date| date.checked_add_months(Months::new(12))),
    }
}

/// How many steps one begins after another.
pub fn between(unit: Unit, from: Moment, to: Moment) -> u64 {
    let months = || {
        let month =
            |at: Moment| date(at).map_or(0, |date| i64::from(date.year()) * 12 + i64::from(date.month0()));
        month(to) - month(from)
    };
    let steps = match unit {
        Unit::Hour => (to.0 - from.0) / MICROS_AN_HOUR,
        Unit::Day => (to.0 - from.0) / MICROS_A_DAY,
        Unit::Month => months(),
        Unit::Year => months() / 12,
    };
    u64::try_from(steps).unwrap_or(0)
}

fn date(at: Moment) -> Option<NaiveDate> {
    DateTime::from_timestamp_micros(at.0).map(|time| time.date_naive())
}

/// A moment moved by the calendar to the start of a day; unmoved where no calendar has it.
fn calendar(at: Moment, moved: impl Fn(NaiveDate) -> Option<NaiveDate>) -> Moment {
    let days = date(at)
        .and_then(moved)
        .map(|date| date.signed_duration_since(NaiveDate::default()));
    days.map_or(at, |days| Moment(days.num_days() * MICROS_A_DAY))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(hours: impl IntoIterator<Item = i64>) -> Volume {
        let mut counter = Counter::new();
        for hour in hours {
            counter.take(hour * MICROS_AN_HOUR, 1);
        }
        counter.finish()
    }

    #[test]
    fn hours_without_rows_are_counted_and_the_longest_gap_is_named() {
        let volume = counted([-3, 0, 1, 5, 6]);
        assert_eq!(
            (volume.unit, volume.steps.len(), volume.empty_steps),
            (Unit::Hour, 5, 5)
        );
        let hour = |hour: i64| Moment(hour * MICROS_AN_HOUR);
        assert_eq!(volume.longest_gap, Some((hour(2), hour(5))));
        assert_eq!(counted([3]).longest_gap, None);
        assert_eq!(counted([]).steps, []);
    }

    #[test]
    fn too_many_hours_become_days_and_lose_no_row() {
        let volume = counted(0..24_001);
        assert_eq!(
            (volume.unit, volume.steps.len(), volume.empty_steps),
            (Unit::Day, 1_001, 0)
        );
        assert_eq!(volume.steps.iter().map(|step| step.rows).sum::<u64>(), 24_001);
        assert_eq!(
            volume.steps[1],
            Step {
                from: Moment(MICROS_A_DAY),
                rows: 24
            }
        );
        let scattered = counted((0..30_000).map(|index| index * 24 * 3));
        assert_eq!(scattered.unit, Unit::Month);
        assert_eq!(scattered.steps.iter().map(|step| step.rows).sum::<u64>(), 30_000);
        assert_eq!(scattered.empty_steps, 0);
    }

    #[test]
    fn months_and_years_begin_where_the_calendar_says() {
        let at = |text: &str| {
            let time = DateTime::parse_from_rfc3339(text).expect("a time");
            Moment(time.timestamp_micros())
        };
        let moment = at("2024-02-29T12:34:56Z");
        assert_eq!(start(Unit::Month, moment), at("2024-02-01T00:00:00Z"));
        assert_eq!(start(Unit::Year, moment), at("2024-01-01T00:00:00Z"));
        assert_eq!(
            next(Unit::Month, at("2024-12-01T00:00:00Z")),
            at("2025-01-01T00:00:00Z")
        );
        assert_eq!(
            between(
                Unit::Month,
                at("2023-11-01T00:00:00Z"),
                at("2024-02-01T00:00:00Z")
            ),
            3
        );
        assert_eq!(
            between(Unit::Year, at("1970-01-01T00:00:00Z"), at("2024-01-01T00:00:00Z")),
            54
        );
        assert_eq!(start(Unit::Year, Moment(i64::MAX)), Moment(i64::MAX));
    }
}
