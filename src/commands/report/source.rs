//! The rows a report is about, as SQL: a table within a period of its event time.

use eventlake_core::config::EventTimeUnit;
use eventlake_core::names::TableName;
use eventlake_core::schema::EventTime;
use eventlake_engine::ingest::decode::TIMESTAMP_COLUMN;

use super::leaves::quoted;
use crate::cli::time;

/// `[from, to)` in microseconds; None for no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Period {
    pub from: Option<i64>,
    pub to: Option<i64>,
}

pub struct Source<'t> {
    pub table: &'t TableName,
    pub event_time: &'t EventTime,
    pub period: Period,
}

impl Source<'_> {
    /// The event time in microseconds.
    pub fn time(&self) -> String {
        match self.event_time {
            EventTime::Kafka => format!("CAST({TIMESTAMP_COLUMN} AS BIGINT)"),
            EventTime::DateTime { field } => format!("CAST({} AS BIGINT)", quoted(field)),
            EventTime::Integer { field, unit } => {
                format!("CAST({} AS BIGINT) * {}", quoted(field), micros(*unit))
            }
        }
    }

    /// The accepted rows of the period, each as these expressions, named by their aliases.
    pub fn rows<'c>(&self, columns: impl IntoIterator<Item = (String, &'c str)>) -> String {
        let bounds = match self.event_time {
            EventTime::Kafka => time_bounds(TIMESTAMP_COLUMN, self.period),
            EventTime::DateTime { field } => time_bounds(&quoted(field), self.period),
            EventTime::Integer { field, unit } => integer_bounds(&quoted(field), micros(*unit), self.period),
        };
        select(columns, &quoted(self.table.as_str()), &bounds)
    }

    /// The rejected records of the period by Kafka's time: their own was never read.
    pub fn rejected<'c>(&self, columns: impl IntoIterator<Item = (String, &'c str)>) -> String {
        let table = format!("rejected.{}", quoted(self.table.as_str()));
        select(columns, &table, &time_bounds(TIMESTAMP_COLUMN, self.period))
    }
}

fn select<'c>(
    columns: impl IntoIterator<Item = (String, &'c str)>,
    table: &str,
    bounds: &[String],
) -> String {
    let columns = columns.into_iter();
    let columns: Vec<String> = columns.map(|(sql, alias)| format!("{sql} AS {alias}")).collect();
    let mut text = format!("(SELECT {} FROM {table}", columns.join(", "));
    if !bounds.is_empty() {
        text.push_str(&format!(" WHERE {}", bounds.join(" AND ")));
    }
    text.push(')');
    text
}

fn micros(unit: EventTimeUnit) -> i64 {
    match unit {
        EventTimeUnit::Seconds => 1_000_000,
        EventTimeUnit::Millis => 1_000,
        EventTimeUnit::Micros => 1,
    }
}

/// Conditions on a column of times, written so that the log's bounds leave out files.
fn time_bounds(column: &str, period: Period) -> Vec<String> {
    // Before the first year there is nothing that could be written, and no event.
    let bound = |micros: Option<i64>, operator: &str| {
        let text = micros
            .and_then(time::rfc3339)
            .filter(|text| !text.starts_with(['-', '+']))?;
        Some(format!("{column} {operator} '{text}'"))
    };
    [bound(period.from, ">="), bound(period.to, "<")]
        .into_iter()
        .flatten()
        .collect()
}

/// Conditions on a column of integers, of which each is so many microseconds.
fn integer_bounds(column: &str, micros: i64, period: Period) -> Vec<String> {
    let least = |bound: i64| bound.div_euclid(micros) + i64::from(bound.rem_euclid(micros) > 0);
    let from = period.from.map(|bound| format!("{column} >= {}", least(bound)));
    let to = period.to.map(|bound| format!("{column} < {}", least(bound)));
    [from, to].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_between_two_integers_is_the_next_one() {
        let period = Period {
            from: Some(1_500),
            to: Some(3_000),
        };
        assert_eq!(integer_bounds("t", 1_000, period), ["t >= 2", "t < 3"]);
        let before = Period {
            from: Some(-1_500),
            to: None,
        };
        assert_eq!(integer_bounds("t", 1_000, before), ["t >= -1"]);
    }

    #[test]
    fn a_bound_that_no_calendar_has_is_none() {
        let period = Period {
            from: Some(i64::MIN),
            to: Some(0),
        };
        assert_eq!(time_bounds("t", period), ["t < '1970-01-01T00:00:00.000000Z'"]);
    }
}
