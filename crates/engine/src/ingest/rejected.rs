//! Rejected records as rows: their one Arrow schema, the builder the pipeline fills, and reading them back.
//!
//! A rejected record keeps its bytes exactly as they came. Rejected files are partitioned by Kafka's timestamp.

mod read;
mod scan;

use std::sync::{Arc, LazyLock};

use arrow::array::{
    ArrayBuilder, ArrayRef, BinaryBuilder, Int32Builder, Int64Builder, ListArray, RecordBatch, StringBuilder,
    StructArray, TimestampMicrosecondBuilder,
};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use eventlake_core::violation::{Verdict, Violation};

pub use read::{NotRejectedRows, RejectedHeader, RejectedRow, read_row};
pub use scan::{FileContent, RejectedFile, RejectedFilter, RejectedScan, ScanError, find, read_whole, scan};

use super::decode::RecordMeta;
use super::intake::Record;

/// The names of the columns, in their order.
pub mod column {
    pub const KEY: &str = "key";
    pub const PAYLOAD: &str = "payload";
    pub const HEADERS: &str = "headers";
    pub const CODE: &str = "code";
    pub const FIELD: &str = "field";
    pub const EXPECTED: &str = "expected";
    pub const FOUND: &str = "found";
    pub const KAFKA_PARTITION: &str = "_kafka_partition";
    pub const KAFKA_OFFSET: &str = "_kafka_offset";
    pub const KAFKA_TIMESTAMP: &str = "_kafka_timestamp";
}

static HEADER_FIELDS: LazyLock<Fields> = LazyLock::new(|| {
    Fields::from(vec![
        Field::new("key", DataType::Utf8, false),
        Field::new("value", DataType::Binary, true),
    ])
});

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let timestamp = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    Arc::new(Schema::new(vec![
        Field::new(column::KEY, DataType::Binary, true),
        Field::new(column::PAYLOAD, DataType::Binary, false),
        Field::new_list(column::HEADERS, header_item(), false),
        Field::new(column::CODE, DataType::Utf8, false),
        Field::new(column::FIELD, DataType::Utf8, false),
        Field::new(column::EXPECTED, DataType::Utf8, false),
        Field::new(column::FOUND, DataType::Utf8, false),
        Field::new(column::KAFKA_PARTITION, DataType::Int32, false),
        Field::new(column::KAFKA_OFFSET, DataType::Int64, false),
        Field::new(column::KAFKA_TIMESTAMP, timestamp, true),
    ]))
});

fn header_item() -> Arc<Field> {
    Arc::new(Field::new("item", DataType::Struct(HEADER_FIELDS.clone()), false))
}

/// The schema of every file of rejected records, whatever the topic.
///
/// `payload` is never null: a record without one is a tombstone, which is no violation. A record without
/// headers has an empty list. `field` is empty for a violation of the record as a whole.
#[must_use]
pub fn arrow_schema() -> SchemaRef {
    Arc::clone(&SCHEMA)
}

/// Rejected records on their way to a file, column by column.
#[derive(Debug)]
pub struct RejectedRows {
    key: BinaryBuilder,
    payload: BinaryBuilder,
    header_key: StringBuilder,
    header_value: BinaryBuilder,
    /// Where each record's headers end.
    header_ends: Vec<i32>,
    code: StringBuilder,
    field: StringBuilder,
    expected: StringBuilder,
    found: StringBuilder,
    partition: Int32Builder,
    offset: Int64Builder,
    timestamp: TimestampMicrosecondBuilder,
    times_micros: Vec<i64>,
}

/// A sealed buffer of rejected records.
#[derive(Debug)]
pub struct RejectedBatch {
    /// Of [`arrow_schema`], in the order the records were pushed.
    pub batch: RecordBatch,
    /// For each row the time that chooses its time partition: Kafka's timestamp in microseconds since 1970, and 0
    /// where the record carries none.
    pub times_micros: Vec<i64>,
}

impl Default for RejectedRows {
    fn default() -> RejectedRows {
        RejectedRows::new()
    }
}

impl RejectedRows {
    /// An empty buffer. It holds no memory worth counting before the first record.
    #[must_use]
    pub fn new() -> RejectedRows {
        RejectedRows {
            key: BinaryBuilder::with_capacity(0, 0),
            payload: BinaryBuilder::with_capacity(0, 0),
            header_key: StringBuilder::with_capacity(0, 0),
            header_value: BinaryBuilder::with_capacity(0, 0),
            header_ends: Vec::new(),
            code: StringBuilder::with_capacity(0, 0),
            field: StringBuilder::with_capacity(0, 0),
            expected: StringBuilder::with_capacity(0, 0),
            found: StringBuilder::with_capacity(0, 0),
            partition: Int32Builder::with_capacity(0),
            offset: Int64Builder::with_capacity(0),
            timestamp: TimestampMicrosecondBuilder::with_capacity(0),
            times_micros: Vec::new(),
        }
    }

    /// Appends a record that the verdict refuses; any other is none of ours.
    pub fn keep(&mut self, record: &dyn Record, verdict: &Verdict) {
        if let Verdict::Rejected(violation) = verdict {
            let headers = record.headers();
            self.push(
                record.key(),
                record.payload(),
                &headers,
                violation,
                &record.meta(),
            );
        }
    }

    /// Appends one record: its bytes as they came, and why it was refused.
    ///
    /// # Panics
    /// Past 2 GiB in one column; a roll is due long before.
    pub fn push(
        &mut self,
        key: Option<&[u8]>,
        payload: &[u8],
        headers: &[(String, Option<Vec<u8>>)],
        violation: &Violation,
        meta: &RecordMeta,
    ) {
        self.key.append_option(key);
        self.payload.append_value(payload);
        for (name, value) in headers {
            self.header_key
                .append_value(String::from_utf8_lossy(name.as_ref()));
            self.header_value.append_option(value.as_ref());
        }
        let Violation {
            code,
            field,
            expected,
            found,
        } = violation;
        self.complete([code.as_str(), field, expected, found], meta);
    }

    /// Appends a record that was read back, exactly as it was.
    ///
    /// # Panics
    /// As [`push`](Self::push).
    pub fn push_row(&mut self, row: &RejectedRow) {
        self.key.append_option(row.key.as_ref());
        self.payload.append_value(&row.payload);
        for header in &row.headers {
            self.header_key.append_value(&header.key);
            self.header_value.append_option(header.value.as_ref());
        }
        self.complete([&row.code, &row.field, &row.expected, &row.found], &row.meta());
    }

    /// The columns behind the record's own bytes.
    fn complete(&mut self, [code, field, expected, found]: [&str; 4], meta: &RecordMeta) {
        let headers = i32::try_from(self.header_key.len()).expect("a buffer is sealed before 2^31 headers");
        self.header_ends.push(headers);
        self.code.append_value(code);
        self.field.append_value(field);
        self.expected.append_value(expected);
        self.found.append_value(found);
        self.partition.append_value(meta.partition.0);
        self.offset.append_value(meta.offset.0);
        self.timestamp.append_option(meta.timestamp_micros);
        self.times_micros.push(meta.timestamp_micros.unwrap_or(0));
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.header_ends.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.header_ends.is_empty()
    }

    /// Bytes of memory held, spare capacity too. Costs the same however many records there are.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let binary = |column: &BinaryBuilder| column.values_capacity() + 4 * column.offsets_capacity();
        let text = |column: &StringBuilder| column.values_capacity() + 4 * column.offsets_capacity();
        let numbers = 4 * self.partition.capacity()
            + 8 * self.offset.capacity()
            + 8 * self.timestamp.capacity()
            + 8 * self.times_micros.capacity();
        binary(&self.key)
            + binary(&self.payload)
            + text(&self.header_key)
            + binary(&self.header_value)
            + 4 * self.header_ends.capacity()
            + text(&self.code)
            + text(&self.field)
            + text(&self.expected)
            + text(&self.found)
            + numbers
    }

    /// The records as one batch.
    #[must_use]
    pub fn finish(mut self) -> RejectedBatch {
        let ends: Vec<i32> = std::iter::once(0).chain(self.header_ends).collect();
        let pairs: Vec<ArrayRef> = vec![
            Arc::new(self.header_key.finish()),
            Arc::new(self.header_value.finish()),
        ];
        let headers = StructArray::new(HEADER_FIELDS.clone(), pairs, None);
        let ends = OffsetBuffer::new(ScalarBuffer::from(ends));
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.key.finish()),
            Arc::new(self.payload.finish()),
            Arc::new(ListArray::new(header_item(), ends, Arc::new(headers), None)),
            Arc::new(self.code.finish()),
            Arc::new(self.field.finish()),
            Arc::new(self.expected.finish()),
            Arc::new(self.found.finish()),
            Arc::new(self.partition.finish()),
            Arc::new(self.offset.finish()),
            Arc::new(self.timestamp.finish().with_timezone("UTC")),
        ];
        let batch = RecordBatch::try_new(arrow_schema(), columns)
            .expect("each push appends to every column of the schema");
        RejectedBatch {
            batch,
            times_micros: self.times_micros,
        }
    }
}

#[cfg(test)]
mod tests;
