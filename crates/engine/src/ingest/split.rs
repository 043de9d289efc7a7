//! Buffered rows by Kafka partition: those of partitions that go, taken apart from those of partitions that stay.

use std::collections::BTreeSet;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::datatypes::Int32Type;
use eventlake_core::position::PartitionId;
use eventlake_core::violation::Code;

use crate::ingest::buffer::SealedRows;
use crate::ingest::decode::EventBatch;
use crate::ingest::rejected::{RejectedBatch, column};
use crate::telemetry::CodeCounts;

/// The rows of the partitions that go, and those of all others, each in the order they had.
#[must_use]
pub fn split(rows: &SealedRows, gone: &BTreeSet<PartitionId>) -> (SealedRows, SealedRows) {
    let (events, rejected) = (&rows.events, &rows.rejected);
    let (events_gone, events_kept) = split_batch(&events.batch, &events.event_times_micros, gone);
    let (rejected_gone, rejected_kept) = split_batch(&rejected.batch, &rejected.times_micros, gone);
    (
        rows_of(events_gone, rejected_gone),
        rows_of(events_kept, rejected_kept),
    )
}

/// Both, the first one's rows first.
#[must_use]
pub fn join(first: SealedRows, second: SealedRows) -> SealedRows {
    let (events, later) = (first.events, second.events);
    let events = join_batches(
        (events.batch, events.event_times_micros),
        (later.batch, later.event_times_micros),
    );
    let (rejected, later) = (first.rejected, second.rejected);
    let rejected = join_batches(
        (rejected.batch, rejected.times_micros),
        (later.batch, later.times_micros),
    );
    rows_of(events, rejected)
}

/// Bytes of memory held.
#[must_use]
pub fn bytes_of(rows: &SealedRows) -> u64 {
    let times = rows.events.event_times_micros.capacity() + rows.rejected.times_micros.capacity();
    let batches = rows.events.batch.get_array_memory_size() + rows.rejected.batch.get_array_memory_size();
    (batches + times * size_of::<i64>()) as u64
}

/// Why each of the rejected rows was refused, counted.
#[must_use]
pub fn codes_of(rows: &SealedRows) -> CodeCounts {
    let codes = rows.rejected.batch.column_by_name(column::CODE);
    let codes = codes.expect("rejected rows have a code").as_string::<i32>();
    let mut counts = CodeCounts::default();
    for code in codes.iter().flatten() {
        let code = Code::from_text(code).expect("the buffer wrote the code itself");
        counts.add(code, 1);
    }
    counts
}

/// A batch, and the time of each of its rows.
type Timed = (RecordBatch, Vec<i64>);

fn rows_of(events: Timed, rejected: Timed) -> SealedRows {
    SealedRows {
        events: EventBatch {
            batch: events.0,
            event_times_micros: events.1,
        },
        rejected: RejectedBatch {
            batch: rejected.0,
            times_micros: rejected.1,
        },
    }
}

fn split_batch(batch: &RecordBatch, times_micros: &[i64], gone: &BTreeSet<PartitionId>) -> (Timed, Timed) {
    let partitions = batch
        .column_by_name(column::KAFKA_PARTITION)
        .expect("every batch has the columns that trace its rows");
    let goes: Vec<bool> = partitions
        .as_primitive::<Int32Type>()
        .values()
        .iter()
        .map(|partition| gone.contains(&PartitionId(*partition)))
        .collect();
    let part = |wanted: bool| {
        let mask: BooleanArray = goes.iter().map(|goes| Some(*goes == wanted)).collect();
        let rows = filter_record_batch(batch, &mask).expect("the mask has a place for each row");
        let times = times_micros.iter().zip(&goes);
        let times = times.filter(|(_, goes)| **goes == wanted).map(|(time, _)| *time);
        (rows, times.collect())
    };
    (part(true), part(false))
}

fn join_batches(first: Timed, second: Timed) -> Timed {
    if first.0.num_rows() == 0 {
        return second;
    }
    if second.0.num_rows() == 0 {
        return first;
    }
    let schema = first.0.schema();
    let batch = concat_batches(&schema, [&first.0, &second.0]).expect("both are of one topic's schema");
    (batch, [first.1, second.1].concat())
}
