//! Rows of any schema through a Parquet file and back: what was decoded is what is read.

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use bytes::Bytes;
use eventlake_engine::ingest::{open_data_file, write_parquet};
use rand::seq::SliceRandom;

use super::subjects;
use crate::choices::Choices;
use crate::decode::{Comparison, Tally, events};

const RECORDS_MAX: usize = 24;

/// Input: how many bytes choose the schema, those bytes, then bytes that choose records.
///
/// # Panics
/// When a row comes back as another.
pub fn check(input: &[u8]) {
    let [schema_bytes, sorted, rest @ ..] = input else {
        return;
    };
    let (chosen, rest) = rest.split_at(usize::from(*schema_bytes).min(rest.len()));
    let subject = subjects::of(chosen);
    let mut comparison = Comparison::new(&subject);
    let mut choices = Choices::new(rest);
    for _ in 0..RECORDS_MAX {
        if choices.rest().is_empty() {
            break;
        }
        comparison.record(
            &events::record(subject.schema(), &mut choices),
            &mut Tally::default(),
        );
    }
    let batch = comparison.rows();
    let mut order: Vec<u32> = (0..u32::try_from(batch.num_rows()).expect("few rows")).collect();
    order.shuffle(&mut Choices::new(rest));
    let order = (sorted % 2 == 1).then_some(order.as_slice());
    let expected = match order {
        Some(order) => {
            take_record_batch(&batch, &UInt32Array::from(order.to_vec())).expect("rows of the batch")
        }
        None => batch.clone(),
    };
    let file = write_parquet(Vec::new(), &batch, order, vec![]).expect("a file");
    assert_same(&read(file), &expected, &subject.schema().to_string());
}

fn read(file: Vec<u8>) -> RecordBatch {
    let builder = open_data_file(Bytes::from(file)).expect("a Parquet file");
    let schema = builder.schema().clone();
    let batches: Vec<RecordBatch> = builder
        .with_batch_size(5)
        .build()
        .expect("a reader")
        .map(|batch| batch.expect("a batch"))
        .collect();
    concat_batches(&schema, &batches).expect("batches of one schema")
}

fn assert_same(read: &RecordBatch, expected: &RecordBatch, context: &str) {
    assert_eq!(read.num_rows(), expected.num_rows(), "{context}");
    assert_eq!(read.schema().fields(), expected.schema().fields(), "{context}");
    for (field, (read, expected)) in expected
        .schema()
        .fields()
        .iter()
        .zip(read.columns().iter().zip(expected.columns()))
    {
        assert_eq!(read, expected, "column {} of {context}", field.name());
    }
}
