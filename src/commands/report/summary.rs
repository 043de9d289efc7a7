//! The first look at a table: one pass over all of its columns that counts, and finds least, greatest and mean values and lateness.

use eventlake_core::schema::EventTime;
use eventlake_engine::ingest::decode::TIMESTAMP_COLUMN;

use super::ask::{Asker, Picks, Rows};
use super::figures::{Band, Column, Kind, Lateness, Length, Moment, Value};
use super::leaves::Leaf;
use super::source::Source;
use crate::cli::visible;
use crate::sql::Halt;

/// Where the bands of lateness begin and end, in seconds.
const BANDS_SECS: [u64; 8] = [0, 1, 10, 60, 600, 3_600, 86_400, 604_800];
const MICROS: f64 = 1e6;

/// What the first pass finds.
pub struct Summary {
    pub rows: u64,
    pub rows_with_time: u64,
    pub first: Option<Moment>,
    pub last: Option<Moment>,
    pub lateness: Option<Lateness>,
    /// What the pass knows of each leaf, in their order. `distinct` is an estimate still.
    pub columns: Vec<Column>,
}

pub fn read(asker: &Asker<'_>, source: &Source<'_>, leaves: &[Leaf]) -> Result<Summary, Halt> {
    let mut picks = Picks::default();
    let (rows, timed) = (picks.add("count(*)"), picks.add("count(t)"));
    let (first, last) = (picks.add("min(t)"), picks.add("max(t)"));
    let is_own_time = *source.event_time != EventTime::Kafka;
    let lateness = is_own_time.then(|| LatenessPicks::add(&mut picks));
    let names: Vec<String> = (0..leaves.len()).map(|index| format!("c{index}")).collect();
    let of_columns: Vec<ColumnPicks> = leaves
        .iter()
        .zip(&names)
        .map(|(leaf, name)| ColumnPicks::add(&mut picks, leaf.kind, name))
        .collect();
    let mut columns = vec![
        (source.time(), "t"),
        (
            format!("CAST({TIMESTAMP_COLUMN} AS BIGINT) - {}", source.time()),
            "late",
        ),
    ];
    let measured = leaves.iter().map(Leaf::measured);
    columns.extend(measured.zip(names.iter().map(String::as_str)));
    let answer = asker.all("all columns", &picks.from(&source.rows(columns)))?;
    let rows = answer.count(rows)?;
    let columns = of_columns.iter().zip(leaves);
    Ok(Summary {
        rows,
        rows_with_time: answer.count(timed)?,
        first: answer.integer(first)?.map(Moment),
        last: answer.integer(last)?.map(Moment),
        lateness: lateness.map(|picks| picks.read(&answer, rows)).transpose()?,
        columns: columns
            .map(|(picks, leaf)| picks.read(&answer, leaf, rows))
            .collect::<Result<_, Halt>>()?,
    })
}

struct ColumnPicks {
    values: usize,
    distinct: Option<usize>,
    min_max: Option<(usize, usize)>,
    mean_stddev: Option<(usize, usize)>,
    /// Least, mean and greatest length, and blanks.
    text: Option<[usize; 4]>,
}

impl ColumnPicks {
    fn add(picks: &mut Picks, kind: Kind, name: &str) -> ColumnPicks {
        // The sketch knows no floating-point numbers, but their texts differ where they do.
        let distinct = match kind {
            Kind::Boolean | Kind::List => None,
            Kind::Number => Some(format!("approx_distinct(CAST({name} AS VARCHAR))")),
            Kind::Integer | Kind::Text | Kind::Time | Kind::Date => Some(format!("approx_distinct({name})")),
        };
        let has_mean = matches!(kind, Kind::Integer | Kind::Number | Kind::List);
        ColumnPicks {
            values: picks.add(format!("count({name})")),
            distinct: distinct.map(|sql| picks.add(sql)),
            min_max: (kind != Kind::Boolean).then(|| {
                (
                    picks.add(format!("min({name})")),
                    picks.add(format!("max({name})")),
                )
            }),
            mean_stddev: has_mean.then(|| {
                (
                    picks.add(format!("avg({name})")),
                    picks.add(format!("stddev({name})")),
                )
            }),
            text: (kind == Kind::Text).then(|| {
                let length = format!("character_length({name})");
                [
                    format!("min({length})"),
                    format!("avg({length})"),
                    format!("max({length})"),
                    format!("count(*) FILTER (WHERE btrim({name}) = '')"),
                ]
                .map(|sql| picks.add(sql))
            }),
        }
    }

    fn read(&self, answer: &Rows, leaf: &Leaf, rows: u64) -> Result<Column, Halt> {
        let value = |column: usize| -> Result<Option<Value>, Halt> {
            Ok(match leaf.kind {
                Kind::Number => answer.number(column)?.map(Value::Number),
                Kind::Text => answer.text(column)?.map(|text| cut(&text)),
                kind => answer.integer(column)?.map(|integer| of_integer(kind, integer)),
            })
        };
        let (min, max) = match self.min_max {
            Some((min, max)) => (value(min)?, value(max)?),
            None => (None, None),
        };
        let (mean, stddev) = match self.mean_stddev {
            Some((mean, stddev)) => (answer.number(mean)?, answer.number(stddev)?),
            None => (None, None),
        };
        let (mut length, mut blank) = (None, None);
        if let Some([least, mean, greatest, blanks]) = self.text {
            blank = Some(answer.count(blanks)?);
            if let Some(mean) = answer.number(mean)? {
                let (min, max) = (answer.count(least)?, answer.count(greatest)?);
                length = Some(Length { min, mean, max });
            }
        }
        Ok(Column {
            name: leaf.name.clone(),
            kind: leaf.kind,
            nulls: rows.saturating_sub(answer.count(self.values)?),
            blank,
            distinct: self.distinct.map(|column| answer.count(column)).transpose()?,
            estimated: true,
            min,
            max,
            mean,
            stddev,
            quantiles: None,
            length,
            top: None,
            histogram: Vec::new(),
        })
    }
}

/// A measured integer as the value it stands for.
pub fn of_integer(kind: Kind, integer: i64) -> Value {
    match kind {
        Kind::Time => Value::Time(Moment(integer)),
        Kind::Date => Value::Date(integer),
        _ => Value::Integer(integer),
    }
}

/// A text, no longer than a report wants it.
pub fn cut(text: &str) -> Value {
    Value::Text(visible::cut(text, Value::TEXT_MAX))
}

struct LatenessPicks {
    rows: usize,
    least: usize,
    mean: usize,
    greatest: usize,
    quantiles: [usize; 3],
    /// Rows that are less late than each end of a band.
    below: [usize; BANDS_SECS.len()],
}

impl LatenessPicks {
    fn add(picks: &mut Picks) -> LatenessPicks {
        let quantile = |share: f64| format!("approx_percentile_cont({share}) WITHIN GROUP (ORDER BY late)");
        LatenessPicks {
            rows: picks.add("count(late)"),
            least: picks.add("min(late)"),
            mean: picks.add("avg(late)"),
            greatest: picks.add("max(late)"),
            quantiles: [0.5, 0.95, 0.99].map(|share| picks.add(quantile(share))),
            below: BANDS_SECS.map(|secs| {
                let micros = secs * 1_000_000;
                picks.add(format!("count(*) FILTER (WHERE late < {micros})"))
            }),
        }
    }

    fn read(&self, answer: &Rows, all_rows: u64) -> Result<Lateness, Halt> {
        let secs = |column: usize| Ok::<_, Halt>(answer.number(column)?.map(|micros| micros / MICROS));
        let rows = answer.count(self.rows)?;
        let (mut bands, mut before, mut from_secs) = (Vec::new(), 0, None);
        for (end, column) in BANDS_SECS.into_iter().zip(self.below) {
            let below = answer.count(column)?;
            bands.push(Band {
                from_secs,
                to_secs: Some(end),
                rows: below - before,
            });
            (before, from_secs) = (below, Some(end));
        }
        bands.push(Band {
            from_secs,
            to_secs: None,
            rows: rows - before,
        });
        Ok(Lateness {
            rows,
            min_secs: secs(self.least)?,
            mean_secs: secs(self.mean)?,
            p50_secs: secs(self.quantiles[0])?,
            p95_secs: secs(self.quantiles[1])?,
            p99_secs: secs(self.quantiles[2])?,
            max_secs: secs(self.greatest)?,
            bands,
            rows_without_kafka_time: all_rows - rows,
        })
    }
}
