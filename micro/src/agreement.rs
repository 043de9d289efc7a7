//! Before anything is measured: all contenders see the same rows and cells, or it would be unlike work that is compared.

use arrow::array::{Array, RecordBatch};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::decoders::{
    arrow_json, columns, eventlake, in_utc, serde_json, serde_json_owned, simd_json, simd_json_owned,
    sonic_rs, sonic_rs_owned,
};
use crate::records::Records;
use crate::shapes::Shape;

/// # Panics
/// When a contender sees other values than eventlake, saying which and where.
pub fn check<S: Shape>(topic: &str, records: &Records) {
    let ours = accepted(topic, records);
    let same = |contender: &str, theirs: &RecordBatch| assert_same(topic, &ours, contender, theirs);
    same("arrow-json", &in_utc(records, &arrow_json(records)));
    same("serde_json", &columns(records, &serde_json::<S>(records)));
    same(
        "serde_json, owned",
        &columns(records, &serde_json_owned::<S>(records)),
    );
    same("sonic-rs", &columns(records, &sonic_rs::<S>(records)));
    same(
        "sonic-rs, owned",
        &columns(records, &sonic_rs_owned::<S>(records)),
    );
    let mut bytes = records.bytes.clone();
    let rows = simd_json::<S>(&mut bytes, &records.places);
    same("simd-json", &columns(records, &rows));
    let rows = simd_json_owned::<S>(&mut records.bytes.clone(), &records.places);
    same("simd-json, owned", &columns(records, &rows));
}

/// What eventlake makes of records that it accepts, without the columns that only it has.
///
/// # Panics
/// When it refuses one.
#[must_use]
pub fn accepted(topic: &str, records: &Records) -> RecordBatch {
    let (rows, refused) = eventlake(records);
    assert_eq!(refused, 0, "{topic}: eventlake refuses records of the benchmark");
    let declared: Vec<usize> = (0..records.schema().fields().len()).collect();
    rows.batch
        .project(&declared)
        .expect("the declared columns come first")
}

/// # Panics
/// Where a cell differs.
pub fn assert_same(topic: &str, ours: &RecordBatch, contender: &str, theirs: &RecordBatch) {
    if ours == theirs {
        return;
    }
    assert_eq!(ours.num_rows(), theirs.num_rows(), "{topic}: rows of {contender}");
    assert_eq!(ours.schema(), theirs.schema(), "{topic}: columns of {contender}");
    for (index, field) in ours.schema().fields().iter().enumerate() {
        let (our_column, their_column) = (ours.column(index), theirs.column(index));
        for row in 0..ours.num_rows() {
            let (our_cell, their_cell) = (text(our_column, row), text(their_column, row));
            assert_eq!(
                our_cell,
                their_cell,
                "{topic}: {} of row {row} by {contender}",
                field.name()
            );
        }
    }
    panic!("{topic}: {contender} sees other values, which print alike");
}

fn text(column: &dyn Array, row: usize) -> String {
    let options = FormatOptions::default().with_null("null");
    let formatter = ArrayFormatter::try_new(column, &options).expect("every type can be shown");
    formatter.value(row).to_string()
}
