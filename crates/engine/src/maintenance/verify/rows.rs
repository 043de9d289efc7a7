//! The three columns of a file's rows that prove it: partition, offset, and the time that chooses the time partition.

use std::fs::File as DiskFile;

use arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};
use arrow::error::ArrowError;
use eventlake_core::commit::FileSet;
use eventlake_core::config::EventTimeUnit;
use eventlake_core::names::TimePartition;
use eventlake_core::schema::{EVENT_TIME_MICROS_MAX, EVENT_TIME_MICROS_MIN, EventTime};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;

use crate::ingest::DataFile;
use crate::ingest::decode::{OFFSET_COLUMN, PARTITION_COLUMN, TIMESTAMP_COLUMN};

/// Rows read at a time.
const BATCH_ROWS: usize = 32 * 1024;

/// Why a file's rows cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum RowsError {
    #[error(transparent)]
    Parquet(#[from] ParquetError),
    #[error(transparent)]
    Arrow(#[from] ArrowError),
    #[error("column {0} is not there, has another type, or is null where it may not be")]
    Column(String),
}

/// The column that holds a row's time, and what one of it is in microseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TimeColumn {
    name: String,
    micros_each: i64,
    /// Kafka's timestamps may be absent, which counts as 1970.
    may_be_null: bool,
    /// Times of accepted rows lie in the years that have folders; those of rejected rows stand as Kafka gave them.
    is_clamped: bool,
}

impl TimeColumn {
    /// Rejected rows go by Kafka's timestamp.
    pub fn of(set: FileSet, event_time: &EventTime) -> TimeColumn {
        let column = |name: &str, micros_each| TimeColumn {
            name: name.to_owned(),
            micros_each,
            may_be_null: false,
            is_clamped: false,
        };
        match (set, event_time) {
            (FileSet::Accepted, EventTime::DateTime { field }) => column(field, 1),
            (FileSet::Accepted, EventTime::Integer { field, unit }) => column(
                field,
                match unit {
                    EventTimeUnit::Seconds => 1_000_000,
                    EventTimeUnit::Millis => 1_000,
                    EventTimeUnit::Micros => 1,
                },
            ),
            (set, _) => TimeColumn {
                may_be_null: true,
                is_clamped: set == FileSet::Accepted,
                ..column(TIMESTAMP_COLUMN, 1)
            },
        }
    }

    pub fn described(&self) -> String {
        format!("column {}", self.name)
    }

    fn micros(&self, value: i64) -> i64 {
        let micros = value.saturating_mul(self.micros_each);
        if self.is_clamped {
            micros.clamp(EVENT_TIME_MICROS_MIN, EVENT_TIME_MICROS_MAX)
        } else {
            micros
        }
    }
}

/// The first and the last time that belongs into a folder; the first and the last folder there is take all that have
/// none.
pub(super) fn folder_span(folder: TimePartition) -> (i64, i64) {
    let (from, next) = folder.span_micros();
    let is_first = from <= EVENT_TIME_MICROS_MIN;
    let is_last = next > EVENT_TIME_MICROS_MAX;
    (
        if is_first { i64::MIN } else { from },
        if is_last { i64::MAX } else { next - 1 },
    )
}

/// Some rows.
pub(super) struct RowBatch<'a> {
    pub partitions: &'a [i32],
    pub offsets: &'a [i64],
    times: &'a [i64],
    /// Where a time is null.
    nulls: Option<&'a arrow::buffer::NullBuffer>,
    column: &'a TimeColumn,
}

impl RowBatch<'_> {
    pub fn time_micros(&self, row: usize) -> i64 {
        let is_null = self.nulls.is_some_and(|nulls| nulls.is_null(row));
        self.column.micros(if is_null { 0 } else { self.times[row] })
    }

    /// The earliest and the latest time; None without rows.
    pub fn time_bounds(&self) -> Option<(i64, i64)> {
        if self.nulls.is_some() {
            let mut times = (0..self.times.len()).map(|row| self.time_micros(row));
            let first = times.next()?;
            return Some(times.fold((first, first), |(min, max), time| (min.min(time), max.max(time))));
        }
        // What a value stands for rises with it.
        let min = self.times.iter().min()?;
        let max = self.times.iter().max()?;
        Some((self.column.micros(*min), self.column.micros(*max)))
    }
}

/// Hands out a file's rows.
pub(super) fn each_batch(
    builder: ParquetRecordBatchReaderBuilder<DataFile<DiskFile>>,
    column: &TimeColumn,
    mut each: impl FnMut(&RowBatch<'_>),
) -> Result<(), RowsError> {
    let names = [PARTITION_COLUMN, OFFSET_COLUMN, column.name.as_str()];
    let roots = builder.parquet_schema().root_schema().get_fields();
    let wanted: Vec<usize> = (0..roots.len())
        .filter(|at| names.contains(&roots[*at].name()))
        .collect();
    let mask = ProjectionMask::roots(builder.parquet_schema(), wanted);
    let reader = builder
        .with_projection(mask)
        .with_batch_size(BATCH_ROWS)
        .build()?;
    for batch in reader {
        let batch = batch?;
        let (partitions, offsets) = (of(&batch, PARTITION_COLUMN)?, of(&batch, OFFSET_COLUMN)?);
        let times = of(&batch, &column.name)?;
        let wrong = |name: &str| RowsError::Column(name.to_owned());
        if partitions.null_count() + offsets.null_count() > 0 {
            return Err(wrong(OFFSET_COLUMN));
        }
        if times.null_count() > 0 && !column.may_be_null {
            return Err(wrong(&column.name));
        }
        each(&RowBatch {
            partitions: partitions
                .as_primitive_opt::<Int32Type>()
                .ok_or_else(|| wrong(PARTITION_COLUMN))?
                .values(),
            offsets: offsets
                .as_primitive_opt::<Int64Type>()
                .ok_or_else(|| wrong(OFFSET_COLUMN))?
                .values(),
            times: times_of(times).ok_or_else(|| wrong(&column.name))?,
            nulls: times.nulls().filter(|nulls| nulls.null_count() > 0),
            column,
        });
    }
    Ok(())
}

fn of<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef, RowsError> {
    batch
        .column_by_name(name)
        .ok_or_else(|| RowsError::Column(name.to_owned()))
}

fn times_of(array: &ArrayRef) -> Option<&[i64]> {
    if let Some(times) = array.as_primitive_opt::<TimestampMicrosecondType>() {
        return Some(times.values());
    }
    array
        .as_primitive_opt::<Int64Type>()
        .map(|times| &times.values()[..])
}
