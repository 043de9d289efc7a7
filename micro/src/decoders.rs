//! The contenders: each makes rows of the same records, and keeps all of them, so that nothing is optimised away.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType};
use arrow_json::ReaderBuilder;
use arrow_json::reader::Decoder as ArrowDecoder;
use eventlake_core::position::{Offset, PartitionId};
use eventlake_engine::ingest::decode::{Decoder, EventBatch, EventRows, RecordMeta};

use crate::records::Records;
use crate::shapes::Shape;

const A_RECORD: &str = "the record is such an event";

/// Later than every event.
const KAFKA_TIMESTAMP_MICROS: i64 = 1_795_309_200_000_000;

/// Ours: checked by the schema, and in Arrow columns. Gives how many records were refused, too.
#[must_use]
pub fn eventlake(records: &Records) -> (EventBatch, usize) {
    let mut decoder = Decoder::new(&records.rules);
    let mut rows = EventRows::new(&records.rules);
    let mut refused = 0;
    for (index, record) in records.iter().enumerate() {
        let meta = RecordMeta {
            partition: PartitionId(0),
            offset: Offset(index as i64),
            timestamp_micros: Some(KAFKA_TIMESTAMP_MICROS),
        };
        refused += usize::from(decoder.decode(record, &meta, &mut rows).is_err());
    }
    (rows.finish(), refused)
}

/// The Arrow project's own reader, in Arrow columns, times read as such.
#[must_use]
pub fn arrow_json(records: &Records) -> RecordBatch {
    let mut decoder = arrow_decoder(&records.schema(), records.len());
    for record in records.iter() {
        let read = decoder.decode(record).expect(A_RECORD);
        assert_eq!(read, record.len(), "the batch has room for all records");
    }
    decoder.flush().expect(A_RECORD).expect("there are records")
}

/// Into the same columns, but for the name of the time zone: "UTC" would need the database of all time zones, +00:00 does not.
fn arrow_decoder(schema: &SchemaRef, rows: usize) -> ArrowDecoder {
    let fields = schema.fields().iter().map(|field| match field.data_type() {
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => {
            let offset = DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()));
            Arc::new(Field::new(field.name(), offset, field.is_nullable()))
        }
        _ => Arc::clone(field),
    });
    ReaderBuilder::new(Arc::new(Schema::new(fields.collect::<Vec<_>>())))
        .with_batch_size(rows)
        .build_decoder()
        .expect("the schema's types are known")
}

/// What `arrow_json` made, with the time zone's name that eventlake's columns have.
#[must_use]
pub fn in_utc(records: &Records, rows: &RecordBatch) -> RecordBatch {
    let columns = rows.columns().iter().map(|column| match column.data_type() {
        DataType::Timestamp(..) => {
            let times = column.as_primitive::<TimestampMicrosecondType>().clone();
            Arc::new(times.with_timezone("UTC")) as ArrayRef
        }
        _ => Arc::clone(column),
    });
    RecordBatch::try_new(records.schema(), columns.collect()).expect("columns of the same types")
}

#[must_use]
pub fn serde_json<S: Shape>(records: &Records) -> Vec<S::Borrowed<'_>> {
    let read = |record| ::serde_json::from_slice(record).expect(A_RECORD);
    records.iter().map(read).collect()
}

#[must_use]
pub fn serde_json_owned<S: Shape>(records: &Records) -> Vec<S::Owned> {
    let read = |record| ::serde_json::from_slice(record).expect(A_RECORD);
    records.iter().map(read).collect()
}

#[must_use]
pub fn sonic_rs<S: Shape>(records: &Records) -> Vec<S::Borrowed<'_>> {
    let read = |record| ::sonic_rs::from_slice(record).expect(A_RECORD);
    records.iter().map(read).collect()
}

#[must_use]
pub fn sonic_rs_owned<S: Shape>(records: &Records) -> Vec<S::Owned> {
    let read = |record| ::sonic_rs::from_slice(record).expect(A_RECORD);
    records.iter().map(read).collect()
}

/// Writes into the bytes it reads, which are therefore a copy of the records' made before.
#[must_use]
pub fn simd_json<'a, S: Shape>(bytes: &'a mut [u8], places: &[Range<usize>]) -> Vec<S::Borrowed<'a>> {
    let mut buffers = ::simd_json::Buffers::default();
    let mut rest = bytes;
    let read = |place: &Range<usize>| {
        let (record, behind) = std::mem::take(&mut rest).split_at_mut(place.len());
        rest = behind;
        ::simd_json::serde::from_slice_with_buffers(record, &mut buffers).expect(A_RECORD)
    };
    places.iter().map(read).collect()
}

#[must_use]
pub fn simd_json_owned<S: Shape>(bytes: &mut [u8], places: &[Range<usize>]) -> Vec<S::Owned> {
    let mut buffers = ::simd_json::Buffers::default();
    let read = |place: &Range<usize>| {
        let record = &mut bytes[place.clone()];
        ::simd_json::serde::from_slice_with_buffers(record, &mut buffers).expect(A_RECORD)
    };
    places.iter().map(read).collect()
}

/// Structs as the columns that they stand for.
#[must_use]
pub fn columns<T: serde::Serialize>(records: &Records, rows: &[T]) -> RecordBatch {
    let mut decoder = arrow_decoder(&records.schema(), rows.len());
    decoder.serialize(rows).expect("rows are of the schema");
    let made = decoder.flush().expect("rows are of the schema");
    in_utc(records, &made.expect("there are rows"))
}
