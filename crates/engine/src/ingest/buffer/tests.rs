//! What a revoke takes from a buffer, and what it leaves.

use super::*;

use arrow::array::AsArray;
use arrow::datatypes::{Int32Type, Int64Type};
use eventlake_core::schema::compile;
use eventlake_core::violation::Code;

fn buffer(partitions: i32) -> OpenBuffer {
    let schema = r#"{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","required":["id"],
        "properties":{"id":{"type":"integer","minimum":0},"note":{"type":"string"}}}"#;
    let mut buffer = OpenBuffer::new(&DecodeRules::new(compile(schema).expect("a schema")));
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

/// Takes a payload in at the partition's position, as `take` does with a record.
fn push(buffer: &mut OpenBuffer, partition: i32, payload: &str, now: Instant) {
    let partition = PartitionId(partition);
    let index = usize::try_from(partition.0).expect("small");
    let slot = buffer.slots[index].as_mut().expect("assigned");
    let offset = slot.position;
    buffer.opened_at.get_or_insert(now);
    let passed = slot.pass_to(partition, offset.following());
    let meta = RecordMeta {
        partition,
        offset,
        timestamp_micros: Some(offset.0 * 1000),
    };
    match buffer
        .decoder
        .decode(payload.as_bytes(), &meta, &mut buffer.events)
    {
        Ok(()) => passed.accepted += 1,
        Err(violation) => {
            passed.rejected += 1;
            buffer.rejected_codes.add(violation.code, 1);
            buffer
                .rejected
                .push(None, payload.as_bytes(), &[], &violation, &meta);
        }
    }
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
