//! Growing columns that can be cut back to any length: what a rejected record appended must vanish.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, BooleanBufferBuilder, Date32Array, Float64Array, Int64Array, ListArray,
    NullBufferBuilder, StringArray, StructArray, TimestampMicrosecondArray,
};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, FieldRef, TimeUnit};

/// The time zone that every timestamp column names.
pub(super) const UTC: &str = "UTC";

/// One column: its values, and which of them are null where any may be.
#[derive(Debug)]
pub(super) struct Column {
    /// None where the field can be neither null nor absent.
    nulls: Option<NullBufferBuilder>,
    pub values: Values,
}

#[derive(Debug)]
pub(super) enum Values {
    Boolean(BooleanBufferBuilder),
    Integer(Vec<i64>),
    Number(Vec<f64>),
    Text(Texts),
    Timestamp(Vec<i64>),
    Date(Vec<i32>),
    Struct { rows: usize, children: Vec<Column> },
    List { offsets: Vec<i32>, items: Box<Column> },
}

/// Texts end to end, as Arrow holds them. Bytes behind the last offset belong to a text not yet complete.
#[derive(Debug)]
pub(super) struct Texts {
    offsets: Vec<i32>,
    pub bytes: Vec<u8>,
}

impl Texts {
    fn new() -> Texts {
        Texts {
            offsets: vec![0],
            bytes: Vec::new(),
        }
    }

    /// Where the text that is being appended begins.
    #[inline]
    pub(super) fn open_from(&self) -> usize {
        self.offsets[self.offsets.len() - 1] as usize
    }

    /// Completes the text whose bytes were appended.
    #[inline]
    pub(super) fn close(&mut self) {
        self.offsets.push(offset_of(self.bytes.len()));
    }

    #[inline]
    pub(super) fn push(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.close();
    }

    #[inline]
    fn rows(&self) -> usize {
        self.offsets.len() - 1
    }

    /// The text of one row.
    pub(super) fn text(&self, row: usize) -> &[u8] {
        &self.bytes[self.offsets[row] as usize..self.offsets[row + 1] as usize]
    }

    fn truncate(&mut self, rows: usize) {
        self.offsets.truncate(rows + 1);
        self.bytes.truncate(self.open_from());
    }

    fn finish(self, nulls: Option<NullBufferBuilder>) -> StringArray {
        let offsets = OffsetBuffer::new(ScalarBuffer::from(self.offsets));
        StringArray::new(
            offsets,
            Buffer::from_vec(self.bytes),
            nulls.and_then(NullBufferBuilder::build),
        )
    }
}

/// Arrow's offsets have 32 bits, of which `EventRows::BYTES_MAX` and one record leave some.
#[inline]
fn offset_of(length: usize) -> i32 {
    i32::try_from(length).expect("rows are sealed before a column holds 2 GiB")
}

impl Column {
    /// An empty column of an Arrow type that `arrow_schema` gives.
    pub(super) fn new(data_type: &DataType, nullable: bool) -> Column {
        let values = match data_type {
            DataType::Boolean => Values::Boolean(BooleanBufferBuilder::new(0)),
            DataType::Int64 => Values::Integer(Vec::new()),
            DataType::Float64 => Values::Number(Vec::new()),
            DataType::Utf8 => Values::Text(Texts::new()),
            DataType::Timestamp(TimeUnit::Microsecond, _) => Values::Timestamp(Vec::new()),
            DataType::Date32 => Values::Date(Vec::new()),
            DataType::Struct(fields) => {
                let children = fields
                    .iter()
                    .map(|field| Column::new(field.data_type(), field.is_nullable()))
                    .collect();
                Values::Struct { rows: 0, children }
            }
            DataType::List(item) => {
                let items = Box::new(Column::new(item.data_type(), item.is_nullable()));
                Values::List {
                    offsets: vec![0],
                    items,
                }
            }
            other => unreachable!("no schema gives a column of {other}"),
        };
        Column {
            nulls: nullable.then(|| NullBufferBuilder::new(0)),
            values,
        }
    }

    /// Complete rows.
    #[inline]
    pub(super) fn rows(&self) -> usize {
        match &self.values {
            Values::Boolean(values) => values.len(),
            Values::Integer(values) | Values::Timestamp(values) => values.len(),
            Values::Number(values) => values.len(),
            Values::Text(texts) => texts.rows(),
            Values::Date(values) => values.len(),
            Values::Struct { rows, .. } => *rows,
            Values::List { offsets, .. } => offsets.len() - 1,
        }
    }

    /// Says that the value just appended is one.
    #[inline]
    pub(super) fn mark_present(&mut self) {
        if let Some(nulls) = &mut self.nulls {
            nulls.append_non_null();
        }
    }

    /// Appends a null, or, in a column that has none, the filler that stands under a null parent.
    pub(super) fn push_null(&mut self) {
        if let Some(nulls) = &mut self.nulls {
            nulls.append_null();
        }
        match &mut self.values {
            Values::Boolean(values) => values.append(false),
            Values::Integer(values) | Values::Timestamp(values) => values.push(0),
            Values::Number(values) => values.push(0.0),
            Values::Text(texts) => texts.close(),
            Values::Date(values) => values.push(0),
            Values::Struct { rows, children } => {
                *rows += 1;
                children.iter_mut().for_each(Column::push_null);
            }
            Values::List { offsets, .. } => offsets.push(offsets[offsets.len() - 1]),
        }
    }

    /// Whether a row is a value and not null.
    pub(super) fn is_present(&self, row: usize) -> bool {
        self.nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row))
    }

    /// Cuts back to the first `rows` rows, along with whatever was begun behind them.
    pub(super) fn truncate(&mut self, rows: usize) {
        if let Some(nulls) = &mut self.nulls {
            nulls.truncate(rows);
        }
        match &mut self.values {
            Values::Boolean(values) => values.truncate(rows),
            Values::Integer(values) | Values::Timestamp(values) => values.truncate(rows),
            Values::Number(values) => values.truncate(rows),
            Values::Text(texts) => texts.truncate(rows),
            Values::Date(values) => values.truncate(rows),
            Values::Struct { rows: held, children } => {
                *held = rows.min(*held);
                children.iter_mut().for_each(|child| child.truncate(rows));
            }
            Values::List { offsets, items } => {
                offsets.truncate(rows + 1);
                items.truncate(offsets[offsets.len() - 1] as usize);
            }
        }
    }

    /// Bytes of memory held.
    pub(super) fn bytes(&self) -> usize {
        let nulls = self.nulls.as_ref().map_or(0, NullBufferBuilder::allocated_size);
        let values = match &self.values {
            Values::Boolean(values) => values.capacity() / 8,
            Values::Integer(values) | Values::Timestamp(values) => values.capacity() * size_of::<i64>(),
            Values::Number(values) => values.capacity() * size_of::<f64>(),
            Values::Text(texts) => texts.offsets.capacity() * size_of::<i32>() + texts.bytes.capacity(),
            Values::Date(values) => values.capacity() * size_of::<i32>(),
            Values::Struct { children, .. } => children.iter().map(Column::bytes).sum(),
            Values::List { offsets, items } => offsets.capacity() * size_of::<i32>() + items.bytes(),
        };
        nulls + values
    }

    /// The column as an Arrow array of a field's type.
    pub(super) fn finish(self, field: &FieldRef) -> ArrayRef {
        let build = |nulls: Option<NullBufferBuilder>| nulls.and_then(NullBufferBuilder::build);
        match self.values {
            Values::Boolean(values) => Arc::new(BooleanArray::new(values.build(), build(self.nulls))),
            Values::Integer(values) => Arc::new(Int64Array::new(values.into(), build(self.nulls))),
            Values::Number(values) => Arc::new(Float64Array::new(values.into(), build(self.nulls))),
            Values::Text(texts) => Arc::new(texts.finish(self.nulls)),
            Values::Timestamp(values) => {
                Arc::new(TimestampMicrosecondArray::new(values.into(), build(self.nulls)).with_timezone(UTC))
            }
            Values::Date(values) => Arc::new(Date32Array::new(values.into(), build(self.nulls))),
            Values::Struct { rows, children } => {
                let DataType::Struct(fields) = field.data_type() else {
                    unreachable!("the column was made from this field");
                };
                let arrays = children
                    .into_iter()
                    .zip(fields)
                    .map(|(child, field)| child.finish(field))
                    .collect();
                let array = StructArray::try_new_with_length(fields.clone(), arrays, build(self.nulls), rows);
                Arc::new(array.expect("every child has a row for each of its parent's"))
            }
            Values::List { offsets, items } => {
                let DataType::List(item) = field.data_type() else {
                    unreachable!("the column was made from this field");
                };
                let items = items.finish(item);
                let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
                debug_assert_eq!(offsets.last().map(|end| *end as usize), Some(items.len()));
                Arc::new(ListArray::new(
                    Arc::clone(item),
                    offsets,
                    items,
                    build(self.nulls),
                ))
            }
        }
    }
}
