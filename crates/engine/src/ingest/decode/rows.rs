//! Decoded events on their way to a data file: columns while they grow, an Arrow batch when they are done.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field as ArrowField, FieldRef, Schema as ArrowSchema, SchemaRef, TimeUnit};
use eventlake_core::schema::{DecodeRules, Field, Format, Kind, NullRule, RECORD_BYTES_MAX_LIMIT, ValueRule};

use super::RecordMeta;
use super::columns::{Column, UTC, Values};

/// The column of undeclared fields, where the topic keeps them.
pub const EXTRA_COLUMN: &str = "_extra";
/// The columns that say which record a row came from.
pub const PARTITION_COLUMN: &str = "_kafka_partition";
pub const OFFSET_COLUMN: &str = "_kafka_offset";
pub const TIMESTAMP_COLUMN: &str = "_kafka_timestamp";
/// How many they are: the last columns of a table.
pub const TRACED_COLUMNS: usize = 3;

/// The Arrow schema of a topic's events: the schema's properties in order, `_extra` where the topic keeps
/// undeclared fields, then the three columns that make a row traceable.
///
/// A column is nullable unless its field is required and cannot be null.
#[must_use]
pub fn arrow_schema(rules: &DecodeRules) -> SchemaRef {
    let mut fields: Vec<FieldRef> = rules.schema.fields().iter().map(arrow_field).collect();
    if rules.extra {
        fields.push(Arc::new(ArrowField::new(EXTRA_COLUMN, DataType::Utf8, true)));
    }
    fields.push(Arc::new(ArrowField::new(
        PARTITION_COLUMN,
        DataType::Int32,
        false,
    )));
    fields.push(Arc::new(ArrowField::new(OFFSET_COLUMN, DataType::Int64, false)));
    fields.push(Arc::new(ArrowField::new(
        TIMESTAMP_COLUMN,
        timestamp_type(),
        true,
    )));
    Arc::new(ArrowSchema::new(fields))
}

fn arrow_field(field: &Field) -> FieldRef {
    let nullable = !field.required || field.rule.null == NullRule::Accepted;
    Arc::new(ArrowField::new(&field.name, arrow_type(&field.rule), nullable))
}

fn timestamp_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into()))
}

fn arrow_type(rule: &ValueRule) -> DataType {
    match &rule.kind {
        Kind::Boolean(_) => DataType::Boolean,
        Kind::Integer(_) => DataType::Int64,
        Kind::Number(_) => DataType::Float64,
        Kind::String(text) => match text.format {
            Some(Format::DateTime) => timestamp_type(),
            Some(Format::Date) => DataType::Date32,
            _ => DataType::Utf8,
        },
        Kind::Object(object) => DataType::Struct(object.fields.iter().map(arrow_field).collect()),
        Kind::Array(array) => {
            // "item" is what Arrow itself calls it.
            let nullable = array.items.null == NullRule::Accepted;
            DataType::List(Arc::new(ArrowField::new(
                "item",
                arrow_type(&array.items),
                nullable,
            )))
        }
    }
}

/// Decoded events, as columns that grow.
#[derive(Debug)]
pub struct EventRows {
    schema: SchemaRef,
    /// The schema's properties, in order.
    pub(super) columns: Vec<Column>,
    pub(super) extra: Option<Column>,
    partitions: Vec<i32>,
    offsets: Vec<i64>,
    timestamps: Column,
    event_times_micros: Vec<i64>,
}

/// Decoded events, done.
#[derive(Clone, Debug)]
pub struct EventBatch {
    /// In the schema that `arrow_schema` gives.
    pub batch: RecordBatch,
    /// Each row's event time in microseconds since 1970, always within the years 0000 to 9999.
    pub event_times_micros: Vec<i64>,
}

impl EventRows {
    /// Rows must be finished before they hold more bytes than this: a column's offsets have 32 bits, and one
    /// more record, of the largest size there can be, must still fit.
    pub const BYTES_MAX: usize = 1 << 30;

    /// No rows yet; takes next to no memory before the first.
    #[must_use]
    pub fn new(rules: &DecodeRules) -> EventRows {
        const { assert!(EventRows::BYTES_MAX + RECORD_BYTES_MAX_LIMIT < i32::MAX as usize) };
        let schema = arrow_schema(rules);
        let mut columns: Vec<Column> = schema
            .fields()
            .iter()
            .take(rules.schema.fields().len() + usize::from(rules.extra))
            .map(column_of)
            .collect();
        let extra = if rules.extra { columns.pop() } else { None };
        EventRows {
            schema,
            columns,
            extra,
            partitions: Vec::new(),
            offsets: Vec::new(),
            timestamps: Column::new(&timestamp_type(), true),
            event_times_micros: Vec::new(),
        }
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.offsets.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    /// Bytes of memory held. Costs a visit to each column: ask once a batch, not once a record.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let columns: usize = self.columns.iter().chain(&self.extra).map(Column::bytes).sum();
        columns
            + self.timestamps.bytes()
            + self.partitions.capacity() * size_of::<i32>()
            + (self.offsets.capacity() + self.event_times_micros.capacity()) * size_of::<i64>()
    }

    /// Appends what a record's undeclared fields came to: the inside of a JSON object, or nothing.
    #[inline]
    pub(super) fn push_extra(&mut self, inside: &mut Vec<u8>) {
        let Some(column) = &mut self.extra else { return };
        match &mut column.values {
            Values::Text(texts) if !inside.is_empty() => {
                inside.push(b'}');
                texts.push(inside);
                column.mark_present();
            }
            _ => column.push_null(),
        }
    }

    /// Ends the row whose fields are all in place.
    #[inline]
    pub(super) fn complete_row(&mut self, meta: &RecordMeta, event_time_micros: i64) {
        self.partitions.push(meta.partition.0);
        self.offsets.push(meta.offset.0);
        self.event_times_micros.push(event_time_micros);
        match (meta.timestamp_micros, &mut self.timestamps.values) {
            (Some(micros), Values::Timestamp(values)) => {
                values.push(micros);
                self.timestamps.mark_present();
            }
            _ => self.timestamps.push_null(),
        }
    }

    /// Takes back whatever a record appended before it was rejected.
    pub(super) fn roll_back(&mut self) {
        let rows = self.offsets.len();
        self.columns
            .iter_mut()
            .chain(&mut self.extra)
            .for_each(|column| column.truncate(rows));
    }

    /// The rows as one Arrow batch; no value is copied.
    #[must_use]
    pub fn finish(self) -> EventBatch {
        let mut arrays: Vec<ArrayRef> = self
            .columns
            .into_iter()
            .chain(self.extra)
            .zip(self.schema.fields())
            .map(|(column, field)| column.finish(field))
            .collect();
        arrays.push(Arc::new(Int32Array::from(self.partitions)));
        arrays.push(Arc::new(Int64Array::from(self.offsets)));
        let timestamp_field = self
            .schema
            .fields()
            .last()
            .expect("the three columns are always there");
        let timestamps = self.timestamps.finish(timestamp_field);
        debug_assert!(timestamps.as_any().is::<TimestampMicrosecondArray>());
        arrays.push(timestamps);
        let batch =
            RecordBatch::try_new(self.schema, arrays).expect("each record appends one row to each column");
        EventBatch {
            batch,
            event_times_micros: self.event_times_micros,
        }
    }
}

fn column_of(field: &FieldRef) -> Column {
    Column::new(field.data_type(), field.is_nullable())
}
