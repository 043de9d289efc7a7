//! The contenders: each makes rows of the same records, and keeps all of them, so that nothing is optimised away.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow_json::ReaderBuilder;
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
    let mut decoder = ReaderBuilder::new(records.schema())
        .with_batch_size(records.len())
        .build_decoder()
        .expect("the schema's types are known");
    for record in records.iter() {
        let read = decoder.decode(record).expect(A_RECORD);
        assert_eq!(read, record.len(), "the batch has room for all records");
    }
    decoder.flush().expect(A_RECORD).expect("there are records")
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
    let mut decoder = ReaderBuilder::new(Arc::clone(&records.schema()))
        .with_batch_size(rows.len())
        .build_decoder()
        .expect("the schema's types are known");
    decoder.serialize(rows).expect("rows are of the schema");
    decoder
        .flush()
        .expect("rows are of the schema")
        .expect("there are rows")
}
