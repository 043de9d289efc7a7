//! What a revoke takes from a buffer, and what it leaves.

use super::*;

use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Int32Type, Int64Type, SchemaRef};
use eventlake_core::schema::{DecodeRules, compile};
use eventlake_core::violation::{Code, Violation};

use crate::ingest::decode::{RecordMeta, arrow_schema};
use crate::ingest::intake::Headers;
use crate::ingest::rejected::read_row;
use crate::ingest::transform::Transform;

fn rules() -> RowRules {
    let schema = r#"{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","required":["id"],
        "properties":{"id":{"type":"integer","minimum":0},"note":{"type":"string"}}}"#;
    DecodeRules::new(compile(schema).expect("a schema")).into()
}

fn buffer(partitions: i32) -> OpenBuffer {
    buffer_by(&rules(), partitions)
}

fn buffer_by(rules: &RowRules, partitions: i32) -> OpenBuffer {
    let mut buffer = OpenBuffer::new(rules);
    for partition in 0..partitions {
        buffer.assign(PartitionId(partition), Offset::ZERO, Gaps::Trusted);
    }
    buffer
}

/// An assignment that takes another one's place: what that one still brings begins behind the position, and is no proof that
/// Kafka has nothing in between.
#[test]
fn a_gap_is_doubted_until_a_partition_that_was_assigned_over_has_gone_on() {
    let now = Instant::now();
    let mut buffer = buffer(0);
    let partition = PartitionId(3);
    buffer.assign(partition, Offset(970), Gaps::Doubted);
    assert_eq!(
        buffer.reach_end(partition, Offset(1031), now),
        Arrival::Doubtful,
        "the end that the assignment before has come to"
    );
    assert_eq!(
        buffer.position(partition),
        Some(Offset(970)),
        "nothing was passed"
    );
    assert_eq!(
        buffer.reach_end(partition, Offset(970), now),
        Arrival::Taken,
        "it goes on from its position"
    );
    assert_eq!(
        buffer.reach_end(partition, Offset(975), now),
        Arrival::Taken,
        "so this gap is one"
    );

    buffer.release(partition);
    buffer.assign(partition, Offset(970), Gaps::Trusted);
    assert_eq!(buffer.reach_end(partition, Offset(975), now), Arrival::Taken);
    assert_eq!(buffer.position(partition), Some(Offset(975)));
}

struct Pushed<'a> {
    meta: RecordMeta,
    payload: &'a [u8],
}

impl Record for Pushed<'_> {
    fn meta(&self) -> RecordMeta {
        self.meta
    }

    fn key(&self) -> Option<&[u8]> {
        Some(b"key")
    }

    fn payload(&self) -> &[u8] {
        self.payload
    }

    fn headers(&self) -> Headers {
        vec![(
            "trace".to_owned(),
            Some(self.meta.offset.0.to_le_bytes().to_vec()),
        )]
    }
}

/// Takes a payload in at the partition's position, as `take` does with a record.
fn push(buffer: &mut OpenBuffer, partition: i32, payload: &str, now: Instant) {
    let partition = PartitionId(partition);
    let index = usize::try_from(partition.0).expect("small");
    let slot = buffer.slots[index].as_mut().expect("assigned");
    let offset = slot.position;
    buffer.opened_at.get_or_insert(now);
    slot.pass_to(partition, offset.following());
    let meta = RecordMeta {
        partition,
        offset,
        timestamp_micros: Some(offset.0 * 1000),
    };
    let payload = payload.as_bytes();
    let (intake, mut books) = buffer.parts();
    intake.take(&Pushed { meta, payload }, |record, verdict| {
        books.enter(record, verdict)
    });
}

fn fill(buffer: &mut OpenBuffer, partitions: i32, rounds: i64, now: Instant) {
    for round in 0..rounds {
        for partition in 0..partitions {
            let payload = match (round + i64::from(partition)) % 3 {
                0 => format!("{{\"id\":{round},\"note\":\"p{partition}\"}}"),
                1 => format!("{{\"id\":{round}}}"),
                _ => format!("{{\"id\":{round}, broken"),
            };
            push(buffer, partition, &payload, now);
        }
    }
}

/// (partition, offset) of each row, accepted and rejected alike.
fn positions(rows: &SealedRows) -> Vec<(i32, i64)> {
    let mut positions = Vec::new();
    for batch in [&rows.events.batch, &rows.rejected.batch] {
        let column = |name| batch.column_by_name(name).expect("every batch has it");
        let partitions = column("_kafka_partition").as_primitive::<Int32Type>().values();
        let offsets = column("_kafka_offset").as_primitive::<Int64Type>().values();
        positions.extend(partitions.iter().copied().zip(offsets.iter().copied()));
    }
    positions.sort_unstable();
    positions
}

fn expected(partitions: impl Iterator<Item = i32>, rounds: std::ops::Range<i64>) -> Vec<(i32, i64)> {
    let each = |partition| rounds.clone().map(move |offset| (partition, offset));
    let mut all: Vec<(i32, i64)> = partitions.flat_map(each).collect();
    all.sort_unstable();
    all
}

fn set(partitions: impl IntoIterator<Item = i32>) -> BTreeSet<PartitionId> {
    partitions.into_iter().map(PartitionId).collect()
}

fn assert_account_is_of_the_rows(sealed: &SealedBuffer) {
    let rows = &sealed.rows;
    let (accepted, rejected) = (rows.events.batch.num_rows(), rows.rejected.batch.num_rows());
    assert_eq!(sealed.account.sum(|passed| passed.accepted), accepted as u64);
    assert_eq!(sealed.account.sum(|passed| passed.rejected), rejected as u64);
    assert_eq!(sealed.account.rejected_codes.total(), rejected as u64);
    assert_eq!(
        sealed.account.rejected_codes.get(Code::MalformedJson),
        rejected as u64
    );
    assert_eq!(rows.events.event_times_micros.len(), accepted);
    assert_eq!(rows.rejected.times_micros.len(), rejected);
}

#[test]
fn a_revoke_seals_what_goes_and_leaves_what_stays_as_old_as_it_was() {
    let (start, mut buffer) = (Instant::now(), buffer(12));
    fill(&mut buffer, 12, 30, start);
    let before = buffer.rows();
    let sealed = buffer
        .seal_partitions(&set([2, 5, 11, 40]), RollReason::Revoke)
        .expect("three of them hold rows");
    assert_eq!(positions(&sealed.rows), expected([2, 5, 11].into_iter(), 0..30));
    let of: Vec<i32> = sealed
        .account
        .partitions
        .iter()
        .map(|passed| passed.partition.0)
        .collect();
    assert_eq!(of, [2, 5, 11]);
    assert_account_is_of_the_rows(&sealed);
    assert_eq!(buffer.rows(), before - 90, "rows that stay are still counted");
    assert!(buffer.is_pending(), "what stays is to be rolled");
    let later = start + Duration::from_secs(7);
    assert_eq!(
        buffer.age(later),
        Duration::from_secs(7),
        "it is as old as it was"
    );

    for partition in [2, 5, 11] {
        buffer.release(PartitionId(partition));
    }
    push(&mut buffer, 0, "{\"id\":30}", later);
    let rest = buffer.seal(RollReason::Interval).expect("the others hold rows");
    let kept = (0..12).filter(|partition| ![2, 5, 11].contains(partition));
    let mut wanted = expected(kept, 0..30);
    wanted.push((0, 30));
    wanted.sort_unstable();
    assert_eq!(positions(&rest.rows), wanted);
    assert_account_is_of_the_rows(&rest);
    assert!(!buffer.is_pending() && buffer.rows() == 0);
}

#[test]
fn revokes_in_a_row_take_each_its_own() {
    let (now, mut buffer) = (Instant::now(), buffer(4));
    fill(&mut buffer, 4, 9, now);
    let first = buffer
        .seal_partitions(&set([1]), RollReason::Revoke)
        .expect("rows");
    buffer.release(PartitionId(1));
    push(&mut buffer, 3, "{\"id\":1}", now);
    let second = buffer
        .seal_partitions(&set([3]), RollReason::Revoke)
        .expect("rows");
    buffer.release(PartitionId(3));
    let rest = buffer.seal(RollReason::Shutdown).expect("rows");
    assert_eq!(positions(&first.rows), expected([1].into_iter(), 0..9));
    assert_eq!(positions(&second.rows), expected([3].into_iter(), 0..10));
    assert_eq!(positions(&rest.rows), expected([0, 2].into_iter(), 0..9));
    for sealed in [&first, &second, &rest] {
        assert_account_is_of_the_rows(sealed);
    }
}

#[test]
fn a_revoke_of_partitions_without_rows_touches_nothing() {
    let (now, mut buffer) = (Instant::now(), buffer(3));
    push(&mut buffer, 0, "{\"id\":1}", now);
    assert!(buffer.seal_partitions(&set([1, 2]), RollReason::Revoke).is_none());
    assert_eq!(buffer.rows(), 1);
    assert!(buffer.kept.is_none(), "nothing was copied");
}

#[test]
fn memory_is_counted_over_a_revoke() {
    let (now, mut buffer) = (Instant::now(), buffer(2));
    fill(&mut buffer, 2, 5000, now);
    buffer.reach_end(PartitionId(0), Offset(5003), now);
    let whole = buffer.bytes();
    let sealed = buffer
        .seal_partitions(&set([0]), RollReason::Revoke)
        .expect("rows");
    assert_eq!(sealed.account.partitions[0].absent.count(), 3);
    assert!(
        sealed.bytes > 5000 * 20 && buffer.bytes() > 5000 * 20,
        "{} {}",
        sealed.bytes,
        buffer.bytes()
    );
    assert!(buffer.bytes() < whole, "half of the rows went");
    let _rest = buffer.seal(RollReason::Interval).expect("rows");
    assert!(buffer.bytes() < 1000, "{}", buffer.bytes());
}

/// Lets through ids that three does not divide, and fails for those that five does.
#[derive(Debug)]
struct ByDivisors(SchemaRef);

impl Transform for ByDivisors {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.0)
    }

    fn apply(&self, events: &RecordBatch) -> (RecordBatch, Vec<Verdict>) {
        let ids = events.column(0).as_primitive::<Int64Type>().values();
        let verdicts: Vec<Verdict> = ids.iter().map(|id| by_divisors(*id)).collect();
        let stays: BooleanArray = verdicts
            .iter()
            .map(|verdict| Some(*verdict == Verdict::Accepted))
            .collect();
        (
            filter_record_batch(events, &stays).expect("a flag a row"),
            verdicts,
        )
    }
}

fn by_divisors(id: i64) -> Verdict {
    match (id % 3, id % 5) {
        (0, _) => Verdict::Filtered,
        (_, 0) => Verdict::Rejected(Violation {
            code: Code::Transform,
            field: "x".to_owned(),
            expected: "a value".to_owned(),
            found: format!("{id}"),
        }),
        _ => Verdict::Accepted,
    }
}

/// Over more records than are transformed at a time, with malformed ones between them, and partitions taken away in the middle:
/// every offset is in exactly one place, and what the transform fails for is kept as it came.
#[test]
fn under_a_transform_every_offset_has_one_verdict() {
    let mut rules = rules();
    rules.transform = Some(Arc::new(ByDivisors(arrow_schema(&rules.decode))));
    let (now, mut buffer) = (Instant::now(), buffer_by(&rules, 3));
    let malformed = |offset: i64| offset % 7 == 6;
    let payload = |offset: i64| match malformed(offset) {
        true => format!("{{\"id\":{offset}, broken"),
        false => format!("{{\"id\":{offset},\"note\":\"kept\"}}"),
    };
    let fill = |buffer: &mut OpenBuffer, offsets: std::ops::Range<i64>| {
        for offset in offsets {
            (0..3).for_each(|partition| push(buffer, partition, &payload(offset), now));
        }
    };
    fill(&mut buffer, 0..5_000);
    assert!(
        buffer.bytes() > 100_000,
        "what waits and what is done both count: {}",
        buffer.bytes()
    );
    let first = buffer
        .seal_partitions(&set([1]), RollReason::Revoke)
        .expect("it holds rows");
    buffer.release(PartitionId(1));
    buffer.assign(PartitionId(1), Offset(5_000), Gaps::Trusted);
    fill(&mut buffer, 5_000..9_000);
    let second = buffer.seal(RollReason::Interval).expect("it holds rows");
    assert!(buffer.seal(RollReason::Interval).is_none() && buffer.rows() == 0);

    let mut places: std::collections::BTreeMap<(i32, i64), &str> = Default::default();
    for sealed in [&first, &second] {
        for passed in &sealed.account.partitions {
            for range in passed.filtered.ranges() {
                for offset in range.from().0..range.next().0 {
                    assert!(places.insert((passed.partition.0, offset), "filtered").is_none());
                }
            }
        }
        let (rows, rejected) = (&sealed.rows.events, &sealed.rows.rejected.batch);
        assert_eq!(rows.event_times_micros.len(), rows.batch.num_rows());
        let offsets = rows
            .batch
            .column_by_name("_kafka_offset")
            .expect("traced")
            .as_primitive::<Int64Type>();
        let partitions = rows
            .batch
            .column_by_name("_kafka_partition")
            .expect("traced")
            .as_primitive::<Int32Type>();
        for (row, offset) in offsets.values().iter().enumerate() {
            assert_eq!(rows.event_times_micros[row], offset * 1000, "the row's own time");
            assert!(
                places
                    .insert((partitions.value(row), *offset), "accepted")
                    .is_none()
            );
        }
        for row in 0..rejected.num_rows() {
            let row = read_row(rejected, row).expect("a row");
            assert_eq!(row.payload, payload(row.offset.0).into_bytes());
            assert_eq!(row.key.as_deref(), Some(&b"key"[..]));
            assert_eq!(
                row.headers[0].value.as_deref(),
                Some(&row.offset.0.to_le_bytes()[..])
            );
            let place = if row.code == "transform" {
                "failed"
            } else {
                "malformed"
            };
            assert!(places.insert((row.partition.0, row.offset.0), place).is_none());
        }
        let codes = &sealed.account.rejected_codes;
        assert_eq!(codes.total(), rejected.num_rows() as u64);
        assert_eq!(sealed.account.sum(|passed| passed.rejected), codes.total());
        assert_eq!(
            sealed.account.sum(|passed| passed.accepted),
            rows.batch.num_rows() as u64
        );
    }
    assert_eq!(places.len(), 27_000);
    for ((_, offset), place) in places {
        let expected = match (malformed(offset), by_divisors(offset)) {
            (true, _) => "malformed",
            (false, Verdict::Accepted) => "accepted",
            (false, Verdict::Filtered) => "filtered",
            (false, Verdict::Rejected(_)) => "failed",
        };
        assert_eq!(place, expected, "{offset}");
    }
}
