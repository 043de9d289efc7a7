//! Files: a roll's rows to a synced Parquet file, ours beside Arrow's own writer with the same properties.
//!
//! Ours sorts, hashes and describes besides. The file systems in memory that it prefers make syncing cost nothing.

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use eventlake_engine::generate::Kind;
use eventlake_engine::resident::keep_allocator_lean;
use eventlake_micro::agreement::assert_same;
use eventlake_micro::decoders::eventlake;
use eventlake_micro::lake::folder;
use eventlake_micro::measuring::{group, measure, measure_once_each};
use eventlake_micro::records::Records;
use eventlake_micro::writers::{Eventlake, arrow, arrow_sorted, read, sorted};

/// Rows of a file: what half a roll of a busy topic comes to.
const ROWS: usize = 100_000;
const ORDERS: usize = 20_000;

fn topics(criterion: &mut Criterion) {
    // As the program has it.
    keep_allocator_lean();
    for (kind, schema) in [
        (
            Kind::Clicks,
            include_str!("../../config/schemas/clicks.schema.json"),
        ),
        (
            Kind::Views,
            include_str!("../../config/schemas/views.schema.json"),
        ),
        (
            Kind::Ratings,
            include_str!("../../config/schemas/ratings.schema.json"),
        ),
        (
            Kind::Tickets,
            include_str!("../../config/schemas/client_tickets.schema.json"),
        ),
    ] {
        topic(criterion, kind.topic(), &Records::of_shop(kind, schema, ROWS));
    }
    let orders = Records::of_orders(include_str!("../../scripts/bench/orders.schema.json"), ORDERS);
    topic(criterion, "orders", &orders);
}

fn topic(criterion: &mut Criterion, name: &str, records: &Records) {
    let folder = folder();
    let theirs = folder.path().join("arrow.parquet");
    let ours = Eventlake::new(folder.path(), records);
    let (as_they_come, refused) = eventlake(records);
    assert_eq!(refused, 0, "{name}: all records are good ones");
    let in_order = sorted(&as_they_come);

    for rows in [&as_they_come, &in_order] {
        ours.clear();
        let written = ours.write(rows);
        eprintln!(
            "{name}: {} bytes a row",
            written.bytes as f64 / written.rows as f64
        );
        let (our_rows, our_encodings) = read(&ours.path());
        arrow_sorted(&theirs, rows);
        let (their_rows, their_encodings) = read(&theirs);
        assert_same(name, &our_rows, "arrow's writer", &their_rows);
        assert_eq!(
            our_encodings, their_encodings,
            "{name}: columns of arrow's writer"
        );
    }

    let mut measured = group(criterion, "write in order", name, records.len());
    measure_once_each(
        &mut measured,
        "eventlake",
        || ours.clear(),
        |(), timer| timer.time(|| ours.write(&in_order)),
    );
    measure(&mut measured, "arrow", || arrow(&theirs, &in_order.batch));
    measured.finish();

    let mut measured = group(criterion, "write as they come", name, records.len());
    measure_once_each(
        &mut measured,
        "eventlake",
        || ours.clear(),
        |(), timer| timer.time(|| ours.write(&as_they_come)),
    );
    measure(&mut measured, "arrow sorted first", || {
        arrow_sorted(&theirs, &as_they_come)
    });
    measure(&mut measured, "arrow not sorted", || {
        arrow(&theirs, &as_they_come.batch)
    });
    measured.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800));
    targets = topics
}
criterion_main!(benches);
