//! The values of a column: exactly, from its different values and how many rows each has; estimated where there are too many of them.

use std::cmp::Ordering;

use super::ask::{Asker, Picks, Rows};
use super::bins::Bins;
use super::figures::{Column, Kind, Quantiles, Top, Value};
use super::leaves::Leaf;
use super::source::Source;
use super::summary::{cut, of_integer};
use crate::sql::Halt;

/// In percent.
const QUANTILES: [u64; 5] = [5, 25, 50, 75, 95];

/// Fills in what the first pass left open, from the column's different values.
pub fn exact(
    asker: &Asker<'_>,
    source: &Source<'_>,
    leaf: &Leaf,
    column: &mut Column,
    rows: u64,
    top_max: usize,
) -> Result<(), Halt> {
    let values = source.rows([(leaf.measured(), "v")]);
    // The sort is done by the session, which can do it on disk; what comes out needs no room here.
    let order = if leaf.kind.is_ordered() { "ORDER BY v" } else { "" };
    let sql = format!("SELECT v, count(*) AS n FROM {values} WHERE v IS NOT NULL GROUP BY v {order}");
    let mut distinct = 0;
    let mut top = Leaders::new(top_max);
    let mut ranks = Ranks::new(rows - column.nulls);
    let mut bins = Bins::between(leaf.kind, column.min.as_ref(), column.max.as_ref());
    asker.each(&format!("values of {}", leaf.name), &sql, |part| {
        distinct += part.len() as u64;
        let counts = part.integers(1)?;
        if !leaf.kind.is_ordered() {
            let texts = part.texts(0)?;
            for row in 0..part.len() {
                top.take_text(texts.value(row), counted(counts.value(row)), leaf.kind);
            }
            return Ok(());
        }
        each_ordered(leaf.kind, part, |row, value| {
            let rows = counted(counts.value(row));
            ranks.take(&value, rows);
            bins.take(&value, rows);
            top.take(value, rows);
        })
    })?;
    column.estimated = false;
    column.distinct = (leaf.kind != Kind::List).then_some(distinct);
    column.quantiles = ranks.quantiles();
    column.histogram = bins.finish();
    column.top = (leaf.kind != Kind::List).then(|| top.finish());
    Ok(())
}

/// Estimates what is left open in columns with too many different values, all of them in one pass.
pub fn estimated(
    asker: &Asker<'_>,
    source: &Source<'_>,
    mut columns: Vec<(&Leaf, &mut Column)>,
) -> Result<(), Halt> {
    columns.retain(|(leaf, column)| leaf.kind.is_ordered() && column.min.is_some());
    if columns.is_empty() {
        return Ok(());
    }
    let mut picks = Picks::default();
    let names: Vec<String> = (0..columns.len()).map(|index| format!("c{index}")).collect();
    let mut chosen = Vec::new();
    for ((leaf, column), name) in columns.iter().zip(&names) {
        let quantiles = QUANTILES.map(|percent| {
            let share = percent as f64 / 100.0;
            picks.add(format!(
                "approx_percentile_cont({share}) WITHIN GROUP (ORDER BY {name})"
            ))
        });
        let bins = Bins::between(leaf.kind, column.min.as_ref(), column.max.as_ref());
        let below = |edge: &f64| format!("count(*) FILTER (WHERE CAST({name} AS DOUBLE) < {edge:?})");
        let below: Vec<usize> = bins
            .inner_edges()
            .iter()
            .map(|edge| picks.add(below(edge)))
            .collect();
        let values = picks.add(format!("count({name})"));
        chosen.push((quantiles, bins, below, values));
    }
    let measured = columns.iter().map(|(leaf, _)| leaf.measured());
    let rows = source.rows(measured.zip(names.iter().map(String::as_str)));
    let answer = asker.all("columns of many values", &picks.from(&rows))?;
    for ((leaf, column), (quantiles, bins, below, values)) in columns.into_iter().zip(chosen) {
        let found = quantiles.map(|pick| answer.number(pick));
        let [
            Ok(Some(p5)),
            Ok(Some(p25)),
            Ok(Some(p50)),
            Ok(Some(p75)),
            Ok(Some(p95)),
        ] = found
        else {
            continue;
        };
        column.quantiles = Some(Quantiles::of(
            [p5, p25, p50, p75, p95].map(|number| of_number(leaf.kind, number)),
        ));
        let mut ends = Vec::with_capacity(below.len() + 1);
        for pick in below {
            ends.push(answer.count(pick)?);
        }
        ends.push(answer.count(values)?);
        column.histogram = bins.of_cumulated(&ends);
    }
    Ok(())
}

fn each_ordered(kind: Kind, part: &Rows, mut take: impl FnMut(usize, Value)) -> Result<(), Halt> {
    if kind == Kind::Number {
        let values = part.numbers(0)?;
        (0..values.len()).for_each(|row| take(row, Value::Number(values.value(row))));
    } else {
        let values = part.integers(0)?;
        (0..values.len()).for_each(|row| take(row, of_integer(kind, values.value(row))));
    }
    Ok(())
}

/// A number between values as a value of their kind.
fn of_number(kind: Kind, number: f64) -> Value {
    match kind {
        Kind::Number => Value::Number(number),
        kind => of_integer(kind, number.round() as i64),
    }
}

fn counted(rows: i64) -> u64 {
    u64::try_from(rows).unwrap_or(0)
}

/// Quantiles of values that come in their order: of `n` values the one at rank ⌈n·p⌉.
struct Ranks {
    wanted: [u64; 5],
    found: Vec<Value>,
    seen: u64,
}

impl Ranks {
    fn new(values: u64) -> Ranks {
        let rank = |percent: u64| (u128::from(values) * u128::from(percent)).div_ceil(100);
        Ranks {
            wanted: QUANTILES.map(|percent| u64::try_from(rank(percent)).unwrap_or(u64::MAX)),
            found: Vec::with_capacity(QUANTILES.len()),
            seen: 0,
        }
    }

    fn take(&mut self, value: &Value, rows: u64) {
        self.seen += rows;
        while self.found.len() < self.wanted.len() && self.wanted[self.found.len()] <= self.seen {
            self.found.push(value.clone());
        }
    }

    fn quantiles(self) -> Option<Quantiles> {
        let all: [Value; 5] = self.found.try_into().ok()?;
        (self.seen > 0).then(|| Quantiles::of(all))
    }
}

/// The most frequent values; of equally frequent ones the least.
pub struct Leaders {
    max: usize,
    /// In the order they end in.
    kept: Vec<Top>,
}

impl Leaders {
    pub fn new(max: usize) -> Leaders {
        Leaders {
            max,
            kept: Vec::with_capacity(max),
        }
    }

    fn take_text(&mut self, text: &str, rows: u64, kind: Kind) {
        // Most do not come in: nothing is copied for them.
        if self.kept.len() == self.max && self.kept.last().is_none_or(|last| last.rows > rows) {
            return;
        }
        self.take(
            match kind {
                Kind::Boolean => Value::Boolean(text == "true"),
                _ => cut(text),
            },
            rows,
        );
    }

    fn take(&mut self, value: Value, rows: u64) {
        let comes_before = |kept: &Top| match kept.rows.cmp(&rows) {
            Ordering::Equal => compare(&kept.value, &value) != Ordering::Greater,
            order => order == Ordering::Greater,
        };
        let at = self.kept.partition_point(comes_before);
        if at < self.max {
            self.kept.truncate(self.max - 1);
            self.kept.insert(at, Top { value, rows });
        }
    }

    fn finish(self) -> Vec<Top> {
        self.kept
    }
}

/// Values of one kind in their order.
fn compare(one: &Value, other: &Value) -> Ordering {
    match (one, other) {
        (Value::Text(one), Value::Text(other)) => one.cmp(other),
        (Value::Boolean(one), Value::Boolean(other)) => one.cmp(other),
        (Value::Integer(one), Value::Integer(other)) | (Value::Date(one), Value::Date(other)) => {
            one.cmp(other)
        }
        (Value::Time(one), Value::Time(other)) => one.cmp(other),
        (Value::Number(one), Value::Number(other)) => one.total_cmp(other),
        _ => Ordering::Equal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_the_values_at_their_ranks() {
        let quantiles = |counts: &[(i64, u64)]| {
            let mut ranks = Ranks::new(counts.iter().map(|(_, rows)| rows).sum());
            counts
                .iter()
                .for_each(|(value, rows)| ranks.take(&Value::Integer(*value), *rows));
            ranks.quantiles()
        };
        assert_eq!(quantiles(&[]), None);
        let all = |values: [i64; 5]| Some(Quantiles::of(values.map(Value::Integer)));
        assert_eq!(quantiles(&[(7, 1)]), all([7; 5]));
        let hundred: Vec<(i64, u64)> = (1..=100).map(|value| (value, 1)).collect();
        assert_eq!(quantiles(&hundred), all([5, 25, 50, 75, 95]));
        assert_eq!(quantiles(&[(1, 94), (2, 6)]), all([1, 1, 1, 1, 2]));
        assert_eq!(quantiles(&[(1, 95), (2, 5)]), all([1; 5]));
    }

    #[test]
    fn the_most_frequent_values_are_kept_and_of_equal_ones_the_least() {
        let mut leaders = Leaders::new(3);
        for (text, rows) in [("d", 2), ("a", 1), ("c", 2), ("b", 9), ("e", 2), ("a0", 2)] {
            leaders.take_text(text, rows, Kind::Text);
        }
        let kept: Vec<(Value, u64)> = leaders
            .finish()
            .into_iter()
            .map(|top| (top.value, top.rows))
            .collect();
        let text = |text: &str| Value::Text(text.to_owned());
        assert_eq!(kept, [(text("b"), 9), (text("a0"), 2), (text("c"), 2)]);
        let mut none = Leaders::new(0);
        none.take_text("a", 1, Kind::Text);
        assert!(none.finish().is_empty());
    }
}
