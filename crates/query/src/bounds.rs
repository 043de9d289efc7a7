//! What the log knows of a file before it is opened: its date and hour, its times, its offsets, its rows.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, UInt64Array};
use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use datafusion::catalog::Session;
use datafusion::common::stats::Precision;
use datafusion::common::{Column, ColumnStatistics, DFSchema, Result, ScalarValue, Statistics};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, lit};
use datafusion::physical_optimizer::pruning::{PruningPredicateBuilder, PruningStatistics};
use eventlake_core::commit::File;
use eventlake_core::config::EventTimeUnit;
use eventlake_core::schema::EventTime;

use crate::lake::Table;
use crate::table::{DATE, HOUR};
use crate::view::Span;

pub(crate) const KAFKA_PARTITION: &str = "_kafka_partition";
pub(crate) const KAFKA_OFFSET: &str = "_kafka_offset";
pub(crate) const KAFKA_TIMESTAMP: &str = "_kafka_timestamp";
const MICROS_AN_HOUR: i64 = 3_600_000_000;
const MICROS_A_DAY: i64 = 24 * MICROS_AN_HOUR;

/// A file's Hive keys: days since 1970, and the hour where its table is partitioned by hour.
pub(crate) fn date_and_hour(file: &File) -> (i32, Option<i64>) {
    let (from, until) = file.path.time_partition().span_micros();
    let date = i32::try_from(from.div_euclid(MICROS_A_DAY)).expect("a year of four digits");
    let hour = (until - from == MICROS_AN_HOUR).then(|| from.rem_euclid(MICROS_A_DAY) / MICROS_AN_HOUR);
    (date, hour)
}

/// Which files of a table can hold rows that pass all filters.
pub(crate) fn wanted(
    state: &dyn Session,
    filters: &[Expr],
    schema: &SchemaRef,
    table: &Table,
) -> Result<Vec<bool>> {
    let all = vec![true; table.files.len()];
    let Some(filter) = conjunction(filters.iter().cloned()) else {
        return Ok(all);
    };
    let columns = DFSchema::try_from(Arc::clone(schema))?;
    // What cannot be judged by bounds is judged row by row.
    let builder = PruningPredicateBuilder::new().with_file_schema(Arc::clone(schema));
    let filter = state.create_physical_expr(filter, &columns).ok();
    match filter.and_then(|filter| builder.build(filter)) {
        Some(predicate) => predicate.prune(&Files { table, schema }),
        None => Ok(all),
    }
}

/// What DataFusion may know of a file when it chooses which to read first, and which not at all.
pub(crate) fn statistics(table: &Table, file: &File, schema: &SchemaRef) -> Statistics {
    let mut statistics = Statistics::new_unknown(schema);
    statistics.num_rows = Precision::Exact(usize::try_from(file.rows).unwrap_or(usize::MAX));
    let fields = schema.fields().iter();
    statistics.column_statistics = fields
        .map(
            |field| match bounds(table, file, field.name(), field.data_type()) {
                None => ColumnStatistics::new_unknown(),
                Some((least, greatest)) => ColumnStatistics {
                    min_value: Precision::Inexact(least),
                    max_value: Precision::Inexact(greatest),
                    ..ColumnStatistics::new_unknown()
                },
            },
        )
        .collect();
    statistics
}

/// Values between which all of the file's values in a column lie, nulls apart; both inclusive.
fn bounds(
    table: &Table,
    file: &File,
    column: &str,
    data_type: &DataType,
) -> Option<(ScalarValue, ScalarValue)> {
    let (date, hour) = date_and_hour(file);
    match column {
        DATE => Some(twice(ScalarValue::Date32(Some(date)))),
        HOUR => hour.map(|hour| twice(ScalarValue::Int64(Some(hour)))),
        KAFKA_PARTITION => {
            let partitions = || file.offsets.iter().map(|of| of.partition.0);
            let value = |partition| ScalarValue::Int32(Some(partition));
            Some((value(partitions().min()?), value(partitions().max()?)))
        }
        KAFKA_OFFSET => {
            let least = file.offsets.iter().map(|of| of.from.0).min()?;
            let next = file.offsets.iter().map(|of| of.next.0).max()?;
            Some((
                ScalarValue::Int64(Some(least)),
                ScalarValue::Int64(Some(next - 1)),
            ))
        }
        name => {
            let times = file.times?;
            let is_time = name == table.event_time.field().unwrap_or(KAFKA_TIMESTAMP);
            is_time.then_some(())?;
            let value = |micros| time_value(&table.event_time, data_type, micros);
            Some((value(times.min_micros)?, value(times.max_micros)?))
        }
    }
}

/// What holds of the rows of this time and no others.
pub(crate) fn within(table: &Table, span: Span) -> Expr {
    let name = table.event_time.field().unwrap_or(KAFKA_TIMESTAMP);
    let bound = |micros: i64| match &table.event_time {
        EventTime::Integer { .. } => {
            // The first whole unit that is not before it.
            let unit = micros_a_unit(&table.event_time);
            lit(-(-micros).div_euclid(unit))
        }
        EventTime::Kafka | EventTime::DateTime { .. } => lit(ScalarValue::TimestampMicrosecond(
            Some(micros),
            Some("UTC".into()),
        )),
    };
    let time = || Expr::Column(Column::new_unqualified(name));
    time().gt_eq(bound(span.from)).and(time().lt(bound(span.until)))
}

/// Microseconds in what the column of an event time counts.
pub(crate) fn micros_a_unit(event_time: &EventTime) -> i64 {
    match event_time {
        EventTime::Kafka | EventTime::DateTime { .. } => 1,
        EventTime::Integer { unit, .. } => match unit {
            EventTimeUnit::Seconds => 1_000_000,
            EventTimeUnit::Millis => 1_000,
            EventTimeUnit::Micros => 1,
        },
    }
}

fn twice(value: ScalarValue) -> (ScalarValue, ScalarValue) {
    (value.clone(), value)
}

/// A time as its column holds it. None for a column that no longer is what the times were taken from.
fn time_value(event_time: &EventTime, data_type: &DataType, micros: i64) -> Option<ScalarValue> {
    match (event_time, data_type) {
        (EventTime::Integer { .. }, DataType::Int64) => Some(ScalarValue::Int64(Some(
            micros.div_euclid(micros_a_unit(event_time)),
        ))),
        (EventTime::Kafka | EventTime::DateTime { .. }, DataType::Timestamp(TimeUnit::Microsecond, zone)) => {
            Some(ScalarValue::TimestampMicrosecond(Some(micros), zone.clone()))
        }
        _ => None,
    }
}

/// The files of a table as what predicates are held against.
struct Files<'t> {
    table: &'t Table,
    schema: &'t SchemaRef,
}

impl Files<'_> {
    fn values(
        &self,
        column: &Column,
        chosen: impl Fn((ScalarValue, ScalarValue)) -> ScalarValue,
    ) -> Option<ArrayRef> {
        let data_type = self.schema.field_with_name(column.name()).ok()?.data_type();
        let unknown = ScalarValue::try_from(data_type).ok()?;
        let value = |file| bounds(self.table, file, column.name(), data_type).map(&chosen);
        let values = self.table.files.iter().map(|live| value(&live.file));
        ScalarValue::iter_to_array(values.map(|value| value.unwrap_or_else(|| unknown.clone()))).ok()
    }
}

impl PruningStatistics for Files<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.values(column, |(least, _)| least)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.values(column, |(_, greatest)| greatest)
    }

    fn num_containers(&self) -> usize {
        self.table.files.len()
    }

    fn null_counts(&self, _: &Column) -> Option<ArrayRef> {
        None
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        let rows = self.table.files.iter().map(|live| live.file.rows);
        Some(Arc::new(UInt64Array::from_iter_values(rows)))
    }

    fn contained(&self, _: &Column, _: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}
