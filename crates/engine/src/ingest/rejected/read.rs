//! One rejected record read back from a batch.

use arrow::array::{Array, AsArray, RecordBatch, StructArray};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};
use eventlake_core::position::{Offset, PartitionId};

use super::column;
use crate::ingest::decode::RecordMeta;
use crate::ingest::intake::{Headers, Record};

/// A batch that does not hold rejected records: a column is missing or has another type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the file does not hold rejected records: column {column:?} is missing or has another type")]
pub struct NotRejectedRows {
    pub column: &'static str,
}

/// A rejected record, its bytes as they came. All texts but the code are the sender's or quote the sender: never
/// print them unescaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedRow {
    pub key: Option<Vec<u8>>,
    pub payload: Vec<u8>,
    pub headers: Vec<RejectedHeader>,
    /// The text of a violation's code. Text, since a newer writer may know codes that this program does not.
    pub code: String,
    pub field: String,
    pub expected: String,
    pub found: String,
    pub partition: PartitionId,
    pub offset: Offset,
    /// Kafka's timestamp, microseconds since 1970.
    pub timestamp_micros: Option<i64>,
}

impl RejectedRow {
    /// Where the record came from.
    #[must_use]
    pub fn meta(&self) -> RecordMeta {
        RecordMeta {
            partition: self.partition,
            offset: self.offset,
            timestamp_micros: self.timestamp_micros,
        }
    }
}

impl Record for RejectedRow {
    fn meta(&self) -> RecordMeta {
        RejectedRow::meta(self)
    }

    fn key(&self) -> Option<&[u8]> {
        self.key.as_deref()
    }

    fn payload(&self) -> &[u8] {
        &self.payload
    }

    fn headers(&self) -> Headers {
        let headers = self.headers.iter();
        headers
            .map(|header| (header.key.clone(), header.value.clone()))
            .collect()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedHeader {
    pub key: String,
    pub value: Option<Vec<u8>>,
}

/// Reads row `row` of a batch that has (at least) the columns of [`arrow_schema`](super::arrow_schema).
///
/// # Errors
/// When a column is missing or has another type.
///
/// # Panics
/// When the batch has no such row.
pub fn read_row(batch: &RecordBatch, row: usize) -> Result<RejectedRow, NotRejectedRows> {
    let timestamps = found(batch, column::KAFKA_TIMESTAMP, |array| {
        array.as_primitive_opt::<TimestampMicrosecondType>()
    })?;
    let partitions = found(batch, column::KAFKA_PARTITION, |array| {
        array.as_primitive_opt::<Int32Type>()
    })?;
    let offsets = found(batch, column::KAFKA_OFFSET, |array| {
        array.as_primitive_opt::<Int64Type>()
    })?;
    let headers = found(batch, column::HEADERS, |array| array.as_list_opt::<i32>())?.value(row);
    let headers = headers.as_struct_opt().ok_or(NotRejectedRows {
        column: column::HEADERS,
    })?;
    Ok(RejectedRow {
        key: bytes(batch, column::KEY, row)?,
        payload: bytes(batch, column::PAYLOAD, row)?.unwrap_or_default(),
        headers: read_headers(headers)?,
        code: text(batch, column::CODE, row)?,
        field: text(batch, column::FIELD, row)?,
        expected: text(batch, column::EXPECTED, row)?,
        found: text(batch, column::FOUND, row)?,
        partition: PartitionId(partitions.value(row)),
        offset: Offset(offsets.value(row)),
        timestamp_micros: timestamps.is_valid(row).then(|| timestamps.value(row)),
    })
}

fn read_headers(headers: &StructArray) -> Result<Vec<RejectedHeader>, NotRejectedRows> {
    let wrong = NotRejectedRows {
        column: column::HEADERS,
    };
    let keys = headers
        .column_by_name("key")
        .and_then(|array| array.as_string_opt::<i32>())
        .ok_or(wrong.clone())?;
    let values = headers
        .column_by_name("value")
        .and_then(|array| array.as_binary_opt::<i32>())
        .ok_or(wrong)?;
    let header = |index: usize| RejectedHeader {
        key: keys.value(index).to_owned(),
        value: values.is_valid(index).then(|| values.value(index).to_owned()),
    };
    Ok((0..headers.len()).map(header).collect())
}

fn found<'a, T>(
    batch: &'a RecordBatch,
    column: &'static str,
    typed: impl Fn(&'a dyn Array) -> Option<T>,
) -> Result<T, NotRejectedRows> {
    batch
        .column_by_name(column)
        .and_then(|array| typed(array.as_ref()))
        .ok_or(NotRejectedRows { column })
}

fn bytes(batch: &RecordBatch, column: &'static str, row: usize) -> Result<Option<Vec<u8>>, NotRejectedRows> {
    let array = found(batch, column, |array| array.as_binary_opt::<i32>())?;
    Ok(array.is_valid(row).then(|| array.value(row).to_owned()))
}

fn text(batch: &RecordBatch, column: &'static str, row: usize) -> Result<String, NotRejectedRows> {
    Ok(found(batch, column, |array| array.as_string_opt::<i32>())?
        .value(row)
        .to_owned())
}
