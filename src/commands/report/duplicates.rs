//! Rows that share a business key.

use arrow::array::{Float64Array, Int64Array, StringArray};

use super::ask::{Asker, Rows};
use super::figures::{Duplicates, Kind, Repeated, Value};
use super::leaves::Leaf;
use super::source::Source;
use super::summary::{cut, of_integer};
use crate::sql::Halt;

/// Keys that are shown.
const MOST_MAX: usize = 5;

pub fn read(asker: &Asker<'_>, source: &Source<'_>, key: &[Leaf], all_rows: u64) -> Result<Duplicates, Halt> {
    let names: Vec<String> = (0..key.len()).map(|index| format!("k{index}")).collect();
    let rows = source.rows(
        key.iter()
            .map(Leaf::measured)
            .zip(names.iter().map(String::as_str)),
    );
    let columns = names.join(", ");
    let known: Vec<String> = names.iter().map(|name| format!("{name} IS NOT NULL")).collect();
    let known = known.join(" AND ");
    let whole = asker.all(
        "rows with a key",
        &format!("SELECT count(*) FILTER (WHERE {known}) FROM {rows}"),
    )?;
    let rows_with_key = whole.count(0)?;
    let sql = format!(
        "SELECT {columns}, count(*) AS n FROM {rows} WHERE {known} GROUP BY {columns} HAVING count(*) > 1"
    );
    let (mut repeated_keys, mut surplus_rows, mut most) = (0, 0, Vec::<Repeated>::new());
    asker.each("repeated keys", &sql, |part| {
        let counts = part.integers(key.len())?;
        let columns = key
            .iter()
            .enumerate()
            .map(|(index, leaf)| Values::of(leaf.kind, part, index));
        let columns = columns.collect::<Result<Vec<_>, Halt>>()?;
        for row in 0..part.len() {
            let rows = u64::try_from(counts.value(row)).unwrap_or(0);
            repeated_keys += 1;
            surplus_rows += rows - 1;
            if most.len() == MOST_MAX && most.last().is_some_and(|last| last.rows > rows) {
                continue;
            }
            let key: Vec<Value> = columns.iter().map(|column| column.at(row)).collect();
            let order = |key: &[Value]| key.iter().map(sorted).collect::<Vec<_>>();
            let this = order(&key);
            let at = most
                .partition_point(|kept| kept.rows > rows || kept.rows == rows && order(&kept.key) <= this);
            if at < MOST_MAX {
                most.truncate(MOST_MAX - 1);
                most.insert(at, Repeated { key, rows });
            }
        }
        Ok(())
    })?;
    Ok(Duplicates {
        key: key.iter().map(|leaf| leaf.name.clone()).collect(),
        rows_without_key: all_rows.saturating_sub(rows_with_key),
        keys: rows_with_key - surplus_rows,
        repeated_keys,
        surplus_rows,
        most,
    })
}

/// A part of the key in some rows.
enum Values {
    Numbers(Float64Array),
    Integers(Kind, Int64Array),
    Texts(StringArray),
    Booleans(StringArray),
}

impl Values {
    fn of(kind: Kind, part: &Rows, column: usize) -> Result<Values, Halt> {
        Ok(match kind {
            Kind::Number => Values::Numbers(part.numbers(column)?),
            Kind::Text => Values::Texts(part.texts(column)?),
            Kind::Boolean => Values::Booleans(part.texts(column)?),
            kind => Values::Integers(kind, part.integers(column)?),
        })
    }

    fn at(&self, row: usize) -> Value {
        match self {
            Values::Numbers(values) => Value::Number(values.value(row)),
            Values::Integers(kind, values) => of_integer(*kind, values.value(row)),
            Values::Texts(values) => cut(values.value(row)),
            Values::Booleans(values) => Value::Boolean(values.value(row) == "true"),
        }
    }
}

/// What equally frequent keys are ordered by: numbers by their size, texts by their characters.
fn sorted(value: &Value) -> (u64, String) {
    match value {
        Value::Text(text) => (0, text.clone()),
        Value::Boolean(value) => (u64::from(*value), String::new()),
        other => {
            let bits = other.position().unwrap_or(0.0).to_bits();
            // The bits of numbers in the order of the numbers.
            let ordered = if bits >> 63 == 0 { bits | 1 << 63 } else { !bits };
            (ordered, String::new())
        }
    }
}
