//! What in a table's figures a reader should look at first.

use super::figures::{Column, Finding, TableReport, Unit};
use super::shown;
use crate::cli::output::count;

/// From this share of nulls on a column is worth a word.
const NULLS_PERCENT: u64 = 5;

/// In the order of a report: the table as a whole, then its columns.
pub fn of(table: &TableReport) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut whole = |what: String| found.push(Finding { column: None, what });
    let rejected = table.rejected.rows;
    if rejected > 0 {
        let all = rejected + table.rows;
        let share = shown::share(rejected, all);
        whole(format!(
            "{} of {} were rejected ({share})",
            count(rejected),
            records(all)
        ));
    }
    if table.lost > 0 {
        let lost = count(table.lost);
        whole(format!(
            "{lost} offsets are lost: Kafka no longer had them (in all of the log)"
        ));
    }
    let volume = &table.volume;
    if let Some((from, to)) = volume.longest_gap {
        let unit = volume.unit.as_str();
        let gap = match volume.empty_steps {
            1 => format!("1 {unit} has no rows: {}", shown::step(volume.unit, from)),
            steps => {
                let (from, to) = (shown::step(Unit::Hour, from), shown::step(Unit::Hour, to));
                // On one day it is said once.
                let day = from.split(' ').next().unwrap_or_default();
                let end = to.strip_prefix(day).map_or(to.as_str(), str::trim_start);
                format!(
                    "{} {unit}s have no rows; the longest gap is from {from} to {end}",
                    count(steps)
                )
            }
        };
        whole(gap);
    }
    if volume.rows_without_time > 0 {
        whole(format!(
            "{} have no time: their record had none",
            rows(volume.rows_without_time)
        ));
    }
    if let Some(lateness) = &table.lateness
        && let Some(early) = lateness.bands.first().filter(|band| band.rows > 0)
    {
        whole(format!(
            "{} have an event time after Kafka's timestamp",
            rows(early.rows)
        ));
    }
    if let Some(duplicates) = &table.duplicates {
        if duplicates.surplus_rows > 0 {
            whole(format!(
                "{} repeat a key that another row has ({} of {} keys)",
                rows(duplicates.surplus_rows),
                count(duplicates.repeated_keys),
                count(duplicates.keys)
            ));
        }
        if duplicates.rows_without_key > 0 {
            whole(format!(
                "{} have no whole key: a part of it is null",
                rows(duplicates.rows_without_key)
            ));
        }
    }
    for column in &table.columns {
        let what = of_column(column, table.rows).into_iter();
        found.extend(what.map(|what| Finding {
            column: Some(column.name.clone()),
            what,
        }));
    }
    found
}

fn of_column(column: &Column, all_rows: u64) -> Vec<String> {
    if all_rows == 0 {
        return Vec::new();
    }
    if column.nulls == all_rows {
        return vec!["no row has a value".to_owned()];
    }
    let mut found = Vec::new();
    if column.nulls * 100 >= all_rows * NULLS_PERCENT {
        found.push(format!("null in {}", shown::share(column.nulls, all_rows)));
    }
    if column.distinct == Some(1) && !column.estimated && all_rows - column.nulls > 1 {
        found.push(match column.nulls {
            0 => "the same value in every row".to_owned(),
            _ => "the same value wherever there is one".to_owned(),
        });
    }
    if let Some(blank) = column.blank.filter(|blank| *blank > 0) {
        found.push(format!("empty text in {}", rows(blank)));
    }
    found
}

fn rows(number: u64) -> String {
    match number {
        1 => "1 row".to_owned(),
        _ => format!("{} rows", count(number)),
    }
}

fn records(number: u64) -> String {
    match number {
        1 => "1 record".to_owned(),
        _ => format!("{} records", count(number)),
    }
}
