//! The fold by its table of cases, codec round trips, and several simulated writers.

use proptest::prelude::*;

use super::*;
use crate::config::PartitionBy;
use crate::names::{FilePath, TableName, TimePartition, TopicName};
use crate::position::{IntervalSet, Offset, OffsetRange, PartitionId};

const FIRST_ID: &str = "topicid-1";
const SECOND_ID: &str = "topicid-2";

fn topic() -> TopicName {
    TopicName::new("clicks").expect("a name")
}

fn topic_id(text: &str) -> TopicId {
    TopicId::new(text).expect("an id")
}

fn range(from: i64, next: i64) -> OffsetRange {
    OffsetRange::new(Offset(from), Offset(next)).expect("a range")
}

fn interval(from: i64, next: i64) -> IntervalSet {
    let mut set = IntervalSet::new();
    set.push(range(from, next));
    set
}

fn start(partition: i32, from: i64) -> PartitionStart {
    PartitionStart {
        partition: PartitionId(partition),
        from: Offset(from),
    }
}

fn open(ordinal: u32, id: &str, reason: GenerationReason, starts: &[PartitionStart]) -> Body {
    Body::Generation(OpenGeneration {
        ordinal: GenerationOrdinal(ordinal),
        cluster_id: ClusterId::new("cluster").expect("an id"),
        topic_id: topic_id(id),
        reason,
        starts: starts.to_vec(),
        after: None,
    })
}

fn reset(ordinal: u32, id: &str, after: CommitNumber, starts: &[PartitionStart]) -> Body {
    match open(ordinal, id, GenerationReason::OffsetsReset, starts) {
        Body::Generation(opened) => Body::Generation(OpenGeneration {
            after: Some(after),
            ..opened
        }),
        other => other,
    }
}

fn first(starts: &[PartitionStart]) -> Body {
    open(1, FIRST_ID, GenerationReason::FirstStart, starts)
}

/// A file with every offset of the ranges.
fn file(stage: u128, sequence: u32, set: FileSet, generation: u32, held: &[(i32, i64, i64)]) -> File {
    let stage = StageId::from_u128(stage);
    let id = topic_id(if generation == 2 { SECOND_ID } else { FIRST_ID });
    let hour = TimePartition::of(0, PartitionBy::Hour).expect("a time");
    let table = TableName::new("clicks").expect("a name");
    let offsets: Vec<FileOffsets> = held
        .iter()
        .map(|(partition, from, next)| FileOffsets {
            partition: PartitionId(*partition),
            from: Offset(*from),
            next: Offset(*next),
            rows: range(*from, *next).count(),
        })
        .collect();
    File {
        set,
        path: FilePath::new(&table, hour, stage, sequence, &id),
        generation: GenerationOrdinal(generation),
        stage,
        bytes: 100,
        rows: offsets.iter().map(|offsets| offsets.rows).sum(),
        sha256: Checksum::of(b"content"),
        offsets,
        times: Some(TimeSpan {
            min_micros: 1,
            max_micros: 2,
        }),
        schema_version: SchemaVersion::new("v1").expect("a version"),
    }
}

fn taken(partition: i32, from: i64, next: i64) -> PartitionAppend {
    PartitionAppend {
        partition: PartitionId(partition),
        from: Offset(from),
        next: Offset(next),
        leader_epoch: Some(3),
        accepted: u64::try_from(next - from).unwrap_or_default(),
        rejected: 0,
        tombstones: IntervalSet::new(),
        filtered: IntervalSet::new(),
        absent: IntervalSet::new(),
        lost: IntervalSet::new(),
    }
}

/// An append of accepted rows alone.
fn append(stage: u128, ranges: &[(i32, i64, i64)]) -> Append {
    Append {
        generation: GenerationOrdinal(1),
        partitions: ranges
            .iter()
            .map(|(partition, from, next)| taken(*partition, *from, *next))
            .collect(),
        files: vec![file(stage, 0, FileSet::Accepted, 1, ranges)],
    }
}

fn next_commit(fold: &Fold, body: Body) -> Commit {
    Commit {
        number: fold.number().following(),
        topic: topic(),
        writer: WriterId::new("writer").expect("an id"),
        attempt: AttemptId::from_u128(u128::from(fold.number().0) + 77),
        time: Moment::from_unix_micros(1_795_222_800_000_000),
        previous: fold.checksum(),
        body,
    }
}

fn fold_in(fold: &mut Fold, body: Body) -> Verdict {
    let commit = next_commit(fold, body);
    let (bytes, checksum) = encode_record(&commit);
    let (read, read_checksum) = decode_record::<Commit>(&bytes).expect("what was written");
    assert_eq!((&read, read_checksum), (&commit, checksum));
    fold.apply(read, checksum).expect("it follows")
}

fn folded(bodies: impl IntoIterator<Item = Body>) -> Fold {
    let mut fold = Fold::empty(topic());
    for body in bodies {
        assert_eq!(fold_in(&mut fold, body), Verdict::Valid);
    }
    fold
}

/// A fold with partition 0 taken up to 10, partition 1 starting at 5.
fn at_ten() -> Fold {
    folded([first(&[start(1, 5)]), Body::Append(append(1, &[(0, 0, 10)]))])
}

fn void(fold: &Fold, body: Body) -> VoidReason {
    match fold.judge(&body) {
        Verdict::Void(reason) => reason,
        Verdict::Valid => panic!("valid: {body:?}"),
    }
}

#[test]
fn an_append_is_valid_exactly_at_the_checkpoint() {
    let fold = at_ten();
    type Ranges = &'static [(i32, i64, i64)];
    let cases: &[(Ranges, bool)] = &[
        (&[(0, 10, 20)], true),
        (&[(1, 5, 6)], true),
        (&[(7, 0, 1)], true),
        (&[(0, 10, 20), (1, 5, 9), (7, 0, 3)], true),
        (&[(0, 11, 20)], false),
        (&[(0, 9, 20)], false),
        (&[(0, 0, 10)], false),
        (&[(1, 0, 6)], false),
        (&[(1, 6, 7)], false),
        (&[(7, 1, 2)], false),
        (&[(0, 10, 20), (1, 6, 9)], false),
    ];
    for (ranges, valid) in cases {
        let verdict = fold.judge(&Body::Append(append(2, ranges)));
        assert_eq!(verdict == Verdict::Valid, *valid, "{ranges:?}: {verdict:?}");
    }
    let overlap = void(&fold, Body::Append(append(2, &[(0, 9, 20)])));
    let expected = VoidReason::NotTheCheckpoint {
        partition: PartitionId(0),
        checkpoint: Offset(10),
        from: Offset(9),
    };
    assert_eq!(overlap, expected);
}

#[test]
fn an_append_without_its_generation_is_void() {
    let empty = Fold::empty(topic());
    assert!(matches!(
        void(&empty, Body::Append(append(1, &[(0, 0, 1)]))),
        VoidReason::LateGeneration { current: None, .. }
    ));
    let mut fold = at_ten();
    let second = open(2, SECOND_ID, GenerationReason::TopicRecreated, &[]);
    assert_eq!(fold_in(&mut fold, second), Verdict::Valid);
    let late = void(&fold, Body::Append(append(2, &[(0, 10, 11)])));
    let expected = VoidReason::LateGeneration {
        current: Some(GenerationOrdinal(2)),
        found: GenerationOrdinal(1),
    };
    assert_eq!(late, expected);
}

#[test]
fn an_append_that_does_not_add_up_is_void() {
    let fold = at_ten();
    let with = |change: &dyn Fn(&mut Append)| {
        let mut body = append(2, &[(0, 10, 20)]);
        change(&mut body);
        void(&fold, Body::Append(body))
    };
    let partition = PartitionId(0);
    assert_eq!(
        with(&|body| body.partitions[0].accepted = 9),
        VoidReason::CountsDiffer {
            partition,
            range: 10,
            counted: 9
        }
    );
    assert_eq!(
        with(&|body| {
            body.partitions[0].accepted = 9;
            body.partitions[0].rejected = 1;
        }),
        VoidReason::RowsDiffer {
            partition,
            set: FileSet::Accepted,
            counted: 9,
            held: 10
        }
    );
    assert_eq!(
        with(&|body| {
            body.partitions[0].accepted = 9;
            body.partitions[0].lost = interval(20, 21);
        }),
        VoidReason::IntervalMisplaced {
            partition,
            interval: range(20, 21)
        }
    );
    assert_eq!(
        with(&|body| {
            body.partitions[0].accepted = 8;
            body.partitions[0].absent = interval(12, 13);
            body.partitions[0].tombstones = interval(12, 13);
        }),
        VoidReason::IntervalMisplaced {
            partition,
            interval: range(12, 13)
        }
    );
    assert_eq!(
        with(&|body| body.partitions[0].next = Offset(10)),
        VoidReason::EmptyRange {
            partition,
            from: Offset(10),
            next: Offset(10)
        }
    );
    assert_eq!(
        with(&|body| body.partitions[0].next = Offset(3)),
        VoidReason::EmptyRange {
            partition,
            from: Offset(10),
            next: Offset(3)
        }
    );
    assert_eq!(with(&|body| body.partitions.clear()), VoidReason::NoPartition);
    assert_eq!(
        with(&|body| body.partitions.push(taken(0, 20, 21))),
        VoidReason::PartitionOrder(partition)
    );
}

#[test]
fn an_append_with_files_that_do_not_fit_is_void() {
    let fold = at_ten();
    let with = |change: &dyn Fn(&mut Append)| {
        let mut body = append(2, &[(0, 10, 20)]);
        change(&mut body);
        void(&fold, Body::Append(body))
    };
    let live = file(1, 0, FileSet::Accepted, 1, &[(0, 10, 20)]);
    assert_eq!(
        with(&|body| body.files[0] = live.clone()),
        VoidReason::FileRecurs(live.key())
    );
    assert!(matches!(
        with(&|body| body.files.push(body.files[0].clone())),
        VoidReason::FileRecurs(_)
    ));
    let changes: [&dyn Fn(&mut Append); 7] = [
        &|body| body.files[0] = file(2, 0, FileSet::Accepted, 1, &[(0, 9, 19)]),
        &|body| body.files[0] = file(2, 0, FileSet::Accepted, 1, &[(1, 10, 20)]),
        &|body| body.files[0].generation = GenerationOrdinal(2),
        &|body| body.files[0].stage = StageId::from_u128(9),
        &|body| body.files[0].rows = 9,
        &|body| body.files[0].offsets[0].rows = 11,
        &|body| body.files[0].path = file(2, 0, FileSet::Accepted, 2, &[(0, 10, 20)]).path,
    ];
    for (index, change) in changes.iter().enumerate() {
        let reason = with(change);
        assert!(
            matches!(reason, VoidReason::FileMisfits { .. }),
            "{index}: {reason:?}"
        );
    }
}

#[test]
fn every_fate_of_an_offset_is_counted() {
    let mut body = append(2, &[(0, 10, 14)]);
    body.partitions[0] = PartitionAppend {
        next: Offset(20),
        rejected: 1,
        tombstones: interval(15, 16),
        filtered: interval(16, 17),
        absent: interval(17, 19),
        lost: interval(19, 20),
        ..taken(0, 10, 14)
    };
    body.files.push(file(2, 1, FileSet::Rejected, 1, &[(0, 14, 15)]));
    let mut fold = at_ten();
    assert_eq!(fold_in(&mut fold, Body::Append(body)), Verdict::Valid);
    let state = &fold.generation().expect("open").partitions[&PartitionId(0)];
    let counts = Counts {
        accepted: 14,
        rejected: 1,
        tombstones: 1,
        filtered: 1,
        absent: 2,
        lost: 1,
    };
    assert_eq!(
        (state.counts, state.next, state.leader_epoch),
        (counts, Offset(20), Some(3))
    );
    assert_eq!(state.lost, interval(19, 20));
    assert_eq!(fold.totals().appended, counts);
    assert_eq!(
        fold.live(FileSet::Accepted),
        SetTotals {
            files: 2,
            rows: 14,
            bytes: 200
        }
    );
    assert_eq!(
        fold.live(FileSet::Rejected),
        SetTotals {
            files: 1,
            rows: 1,
            bytes: 100
        }
    );
}

fn replace(reason: ReplaceReason, removed: &[&File], files: Vec<File>) -> Body {
    Body::Replace(Replace {
        reason,
        removed: removed.iter().map(|file| file.key()).collect(),
        files,
    })
}

#[test]
fn a_replace_is_valid_while_every_removed_file_is_live() {
    let mut fold = at_ten();
    let small = file(1, 0, FileSet::Accepted, 1, &[(0, 0, 10)]);
    let large = file(5, 0, FileSet::Accepted, 1, &[(0, 0, 10)]);
    let compaction = replace(ReplaceReason::Compaction, &[&small], vec![large.clone()]);
    assert_eq!(fold_in(&mut fold, compaction.clone()), Verdict::Valid);
    assert_eq!(fold.files().keys().collect::<Vec<_>>(), [&large.key()]);
    assert!(fold.unfinished().remove.contains(&small.key()));
    assert!(fold.unfinished().publish.contains(&large.key()));
    assert!(!fold.unfinished().publish.contains(&small.key()));
    assert_eq!(void(&fold, compaction), VoidReason::NotLive(small.key()));
    assert_eq!(
        fold.next(PartitionId(0)),
        Offset(10),
        "a replace moves no checkpoint"
    );

    let cases = [
        (
            replace(ReplaceReason::Retention, &[], vec![]),
            VoidReason::RemovesNothing,
        ),
        (
            replace(ReplaceReason::Erasure, &[&large], vec![large.clone()]),
            VoidReason::FileRecurs(large.key()),
        ),
        (
            replace(ReplaceReason::Retention, &[&large, &large], vec![]),
            VoidReason::FileRecurs(large.key()),
        ),
    ];
    for (body, reason) in cases {
        assert_eq!(void(&fold, body), reason);
    }
    let fewer = file(6, 0, FileSet::Accepted, 1, &[(0, 0, 9)]);
    for reason in [ReplaceReason::Compaction, ReplaceReason::Rewrite] {
        let kept = void(&fold, replace(reason, &[&large], vec![fewer.clone()]));
        assert!(
            matches!(
                kept,
                VoidReason::RowsNotKept {
                    removed: 10,
                    added: 9,
                    ..
                }
            ),
            "{kept:?}"
        );
    }
    let moved = file(6, 0, FileSet::Rejected, 1, &[(0, 0, 10)]);
    assert!(matches!(
        void(
            &fold,
            replace(ReplaceReason::Compaction, &[&large], vec![moved.clone()])
        ),
        VoidReason::RowsNotKept { .. }
    ));
    assert_eq!(
        fold_in(&mut fold, replace(ReplaceReason::Erasure, &[&large], vec![fewer])),
        Verdict::Valid
    );
    let change = fold.totals().replaced[&ReplaceReason::Erasure];
    assert_eq!((change.accepted_removed, change.accepted_added), (10, 9));
    assert_eq!(fold.live(FileSet::Accepted).rows, 9);
}

#[test]
fn a_replay_moves_records_from_rejected_to_accepted_and_keeps_each() {
    let refused = file(1, 1, FileSet::Rejected, 1, &[(0, 0, 10), (1, 0, 5)]);
    let event = file(1, 0, FileSet::Accepted, 1, &[(0, 10, 20)]);
    let mut first_append = append(1, &[(0, 0, 20), (1, 0, 5)]);
    (
        first_append.partitions[0].accepted,
        first_append.partitions[0].rejected,
    ) = (10, 10);
    (
        first_append.partitions[1].accepted,
        first_append.partitions[1].rejected,
    ) = (0, 5);
    first_append.files = vec![event.clone(), refused.clone()];
    let mut fold = folded([first(&[]), Body::Append(first_append)]);

    let replay = |removed: &[&File], files: Vec<File>| replace(ReplaceReason::Replay, removed, files);
    let landed = file(2, 0, FileSet::Accepted, 1, &[(0, 2, 6), (1, 0, 5)]);
    let left = file(2, 1, FileSet::Rejected, 1, &[(0, 0, 2), (0, 6, 10)]);
    let left = File {
        offsets: vec![FileOffsets {
            partition: PartitionId(0),
            from: Offset(0),
            next: Offset(10),
            rows: 6,
        }],
        ..left
    };
    // A record that would go, one that would be new, one that would change its partition.
    let fewer = file(2, 0, FileSet::Accepted, 1, &[(0, 2, 5), (1, 0, 5)]);
    let more = file(2, 0, FileSet::Accepted, 1, &[(0, 2, 7), (1, 0, 5)]);
    let moved = file(2, 0, FileSet::Accepted, 1, &[(0, 2, 7), (1, 0, 4)]);
    for landed in [fewer, more, moved] {
        let reason = void(&fold, replay(&[&refused], vec![landed, left.clone()]));
        assert!(matches!(reason, VoidReason::RecordsNotKept { .. }), "{reason:?}");
    }
    let reason = void(&fold, replay(&[&refused], vec![]));
    assert!(
        matches!(reason, VoidReason::RecordsNotKept { added: 0, .. }),
        "{reason:?}"
    );
    // Events stay what they are.
    let back = file(2, 0, FileSet::Accepted, 1, &[(0, 10, 20)]);
    let reason = void(&fold, replay(&[&event], vec![back]));
    assert_eq!(reason, VoidReason::ReplayTakesEvents(event.key()));

    let newer = File {
        schema_version: SchemaVersion::new("v2").expect("a version"),
        ..landed
    };
    let good = replay(&[&refused], vec![newer, left]);
    assert_eq!(fold_in(&mut fold, good.clone()), Verdict::Valid);
    assert_eq!(
        (
            fold.live(FileSet::Accepted).rows,
            fold.live(FileSet::Rejected).rows
        ),
        (19, 6)
    );
    assert_eq!(
        fold.schema_version().map(ToString::to_string).as_deref(),
        Some("v2")
    );
    // Run twice it changes nothing: its file is live no longer.
    assert!(matches!(void(&fold, good), VoidReason::NotLive(_)));
}

#[test]
fn generations_open_in_order_and_a_known_topic_id_resumes() {
    use GenerationReason::{FirstStart, OffsetsReset, TopicRecreated};
    let mut fold = at_ten();
    let void_ones = [
        open(1, SECOND_ID, TopicRecreated, &[]),
        open(3, SECOND_ID, TopicRecreated, &[]),
        open(2, SECOND_ID, FirstStart, &[]),
        open(2, FIRST_ID, TopicRecreated, &[start(0, 10), start(1, 5)]),
        open(2, SECOND_ID, OffsetsReset, &[]),
        open(2, SECOND_ID, TopicRecreated, &[start(0, -1)]),
        open(2, SECOND_ID, TopicRecreated, &[start(1, 0), start(0, 0)]),
    ];
    for body in void_ones {
        void(&fold, body);
    }
    void(&Fold::empty(topic()), open(1, FIRST_ID, TopicRecreated, &[]));
    void(&Fold::empty(topic()), open(1, FIRST_ID, OffsetsReset, &[]));

    assert_eq!(
        fold_in(&mut fold, open(2, SECOND_ID, TopicRecreated, &[start(0, 4)])),
        Verdict::Valid
    );
    assert_eq!(fold.next(PartitionId(0)), Offset(4));
    assert_eq!(
        fold.next(PartitionId(1)),
        Offset(0),
        "offsets mean nothing across generations"
    );

    // Back to the first id: only from where it was left.
    let left = VoidReason::NotResumed {
        partition: PartitionId(0),
        left: Offset(10),
        start: Some(Offset(0)),
    };
    assert_eq!(
        void(
            &fold,
            open(3, FIRST_ID, TopicRecreated, &[start(0, 0), start(1, 5)])
        ),
        left
    );
    let left = VoidReason::NotResumed {
        partition: PartitionId(1),
        left: Offset(5),
        start: None,
    };
    assert_eq!(
        void(&fold, open(3, FIRST_ID, TopicRecreated, &[start(0, 10)])),
        left
    );
    let starts = fold.resume(&topic_id(FIRST_ID), &[start(0, 0), start(2, 8)]);
    assert_eq!(starts, [start(0, 10), start(1, 5), start(2, 8)]);
    assert_eq!(
        fold_in(&mut fold, open(3, FIRST_ID, TopicRecreated, &starts)),
        Verdict::Valid
    );

    // A reset may start anywhere, but only as computed from the very state it changes: a commit in between would be
    // landed twice.
    let stale = CommitNumber(fold.number().0 - 1);
    void(&fold, reset(4, FIRST_ID, stale, &[start(0, 2)]));
    void(&fold, open(4, FIRST_ID, OffsetsReset, &[start(0, 2)]));
    let number = fold.number();
    assert_eq!(
        fold_in(&mut fold, reset(4, FIRST_ID, number, &[start(0, 2)])),
        Verdict::Valid
    );
    assert_eq!(fold.next(PartitionId(0)), Offset(2));
    assert_eq!(fold.generations().len(), 4);
}

#[test]
fn a_void_commit_takes_its_number_and_nothing_else() {
    let mut fold = at_ten();
    let before = fold.clone();
    let verdict = fold_in(&mut fold, Body::Append(append(2, &[(0, 11, 12)])));
    assert!(matches!(verdict, Verdict::Void(_)));
    assert_eq!(fold.number(), before.number().following());
    assert_ne!(fold.checksum(), before.checksum());
    assert_eq!(fold.totals().void_commits, 1);
    assert_eq!(fold.files(), before.files());
    assert_eq!(fold.generations(), before.generations());
    assert_eq!(
        fold_in(&mut fold, Body::Append(append(2, &[(0, 10, 12)]))),
        Verdict::Valid
    );
}

#[test]
fn a_commit_that_does_not_follow_is_damage_not_void() {
    let fold = at_ten();
    let good = next_commit(&fold, Body::Append(append(2, &[(0, 10, 12)])));
    let changes: [&dyn Fn(&mut Commit); 3] = [
        &|commit| commit.number = CommitNumber(4),
        &|commit| commit.previous = Checksum::NONE,
        &|commit| commit.topic = TopicName::new("views").expect("a name"),
    ];
    for change in changes {
        let mut commit = good.clone();
        change(&mut commit);
        let mut damaged = fold.clone();
        assert!(damaged.apply(commit, Checksum::of(b"")).is_err());
        assert_eq!(damaged, fold);
    }
}

#[test]
fn every_byte_of_a_record_counts() {
    let fold = at_ten();
    let (bytes, checksum) = encode_record(&next_commit(&fold, Body::Append(append(2, &[(0, 10, 12)]))));
    assert_eq!(decode_record::<Commit>(&bytes).expect("whole").1, checksum);
    for index in 0..bytes.len() {
        for flip in [1, 0x20, 0x80] {
            let mut damaged = bytes.clone();
            damaged[index] ^= flip;
            assert!(
                decode_record::<Commit>(&damaged).is_err(),
                "byte {index} with {flip:#x}"
            );
        }
        assert_eq!(
            decode_record::<Commit>(&bytes[..index]),
            Err(DecodeFault::Cut),
            "cut at {index}"
        );
    }
    let mut longer = bytes.clone();
    longer.push(b'\n');
    assert_eq!(decode_record::<Commit>(&longer), Err(DecodeFault::Cut));
}

/// Bytes whose checksum holds, as a newer or careless writer could have made them.
fn sealed(content: &str) -> Vec<u8> {
    format!(
        "{content},\"checksum\":\"{}\"}}\n",
        Checksum::of(content.as_bytes())
    )
    .into_bytes()
}

#[test]
fn what_is_not_understood_is_never_passed_over() {
    let (bytes, _) = encode_record(&next_commit(&Fold::empty(topic()), first(&[])));
    let text = String::from_utf8(bytes).expect("text");
    let content = text.split(",\"checksum\"").next().expect("a line");
    assert!(decode_record::<Commit>(&sealed(content)).is_ok());
    let newer = content.replace("\"format\":1", "\"format\":2");
    assert_eq!(
        decode_record::<Commit>(&sealed(&newer)),
        Err(DecodeFault::Newer { found: 2 })
    );
    let cases = [
        content.replace("\"format\":1", "\"format\":1,\"view_deltas\":[]"),
        content.replace("\"format\":1", "\"format\":0"),
        content.replace("\"ordinal\":1", "\"ordinal\":1,\"note\":\"\""),
        content.replace("\"kind\":\"generation\"", "\"kind\":\"append\""),
        content.replace("\"number\":1", "\"number\":1,\"number\":1"),
        content.replace("\"number\":1", "\"number\":-1"),
    ];
    for case in cases {
        assert_ne!(case, content);
        let read = decode_record::<Commit>(&sealed(&case));
        assert!(
            matches!(read, Err(DecodeFault::NotUnderstood(_))),
            "{case}: {read:?}"
        );
    }
}

#[test]
fn a_snapshot_stands_for_the_commits_before_it() {
    let mut fold = at_ten();
    let small = file(1, 0, FileSet::Accepted, 1, &[(0, 0, 10)]);
    let large = file(5, 0, FileSet::Accepted, 1, &[(0, 0, 10)]);
    fold_in(
        &mut fold,
        replace(ReplaceReason::Compaction, &[&small], vec![large]),
    );
    fold_in(&mut fold, Body::Append(append(6, &[(0, 11, 12)])));
    let writer = WriterId::new("writer").expect("an id");
    let (bytes, _) = encode_record(&fold.snapshot(&writer, Moment::from_unix_micros(0)));
    let (snapshot, _) = decode_record::<Snapshot>(&bytes).expect("whole");
    let mut again = Fold::from_snapshot(snapshot);
    assert_eq!(again, fold);
    assert_eq!(
        fold_in(&mut fold, Body::Append(append(7, &[(0, 10, 12)]))),
        Verdict::Valid
    );
    assert_eq!(
        fold_in(&mut again, Body::Append(append(7, &[(0, 10, 12)]))),
        Verdict::Valid
    );
    assert_eq!(again, fold);
}

#[test]
fn a_snapshot_that_does_not_agree_with_itself_is_not_built_on() {
    let fold = at_ten();
    let writer = WriterId::new("writer").expect("an id");
    let (bytes, _) = encode_record(&fold.snapshot(&writer, Moment::from_unix_micros(0)));
    let text = String::from_utf8(bytes).expect("text");
    let content = text.split(",\"checksum\"").next().expect("a line");
    let fault = |content: &str| {
        let (snapshot, _) = decode_record::<Snapshot>(&sealed(content)).expect("whole");
        snapshot.fault()
    };
    assert_eq!(fault(content), None, "{content}");
    let log = format!("\"log\":\"{}\"", fold.log().expect("a log"));
    let cases = [
        (
            "\"number\":2",
            "\"number\":18446744073709551615",
            "counts 2 commits",
        ),
        ("\"number\":2", "\"number\":3", "counts 2 commits"),
        ("\"valid_commits\":2", "\"valid_commits\":1", "counts 1 commits"),
        (log.as_str(), "\"log\":null", "names no log"),
        ("\"ordinal\":1", "\"ordinal\":4294967295", "states ordinal"),
        ("\"next\":10", "\"next\":11", "it counts 10 offsets of the 11"),
        ("\"start\":0", "\"start\":-1", "is not a range"),
        (
            "\"appended\":{\"accepted\":10",
            "\"appended\":{\"accepted\":11",
            "its totals say",
        ),
        (
            "\"replaced\":{}",
            "\"replaced\":{\"erasure\":{\"accepted_removed\":1,\"accepted_added\":0,\"rejected_removed\":0,\"rejected_added\":0}}",
            "its totals come to",
        ),
    ];
    for (written, instead, said) in cases {
        let changed = content.replacen(written, instead, 1);
        assert_ne!(changed, content, "{written} is not in {content}");
        let found = fault(&changed).unwrap_or_else(|| panic!("{instead} is no fault"));
        assert!(found.contains(said), "{instead}: {found}");
    }
}

#[test]
fn sums_beyond_64_bits_stop_nobody() {
    let mut fold = at_ten();
    let mut claims = |stage, from| {
        let mut body = append(stage, &[(0, from, from + 1)]);
        body.files[0].bytes = u64::MAX;
        assert_eq!(fold_in(&mut fold, Body::Append(body)), Verdict::Valid);
    };
    claims(8, 10);
    claims(9, 11);
    assert_eq!(fold.live(FileSet::Accepted).files, 3);
}

#[test]
fn what_was_done_on_disk_is_not_forgotten_by_starting_over() {
    let mut fold = at_ten();
    let keys: Vec<FileKey> = fold.files().keys().cloned().collect();
    fold.mark_published(&keys);
    let writer = WriterId::new("writer").expect("an id");
    let mut later = fold.clone();
    fold_in(&mut later, Body::Append(append(2, &[(0, 10, 12)])));
    let mut over = Fold::from_snapshot(later.snapshot(&writer, Moment::from_unix_micros(0)));
    assert_eq!(over.unfinished().publish.len(), 2);
    over.inherit(&fold);
    let unknown: Vec<_> = over
        .unfinished()
        .publish
        .iter()
        .map(|key| key.path.stage())
        .collect();
    assert_eq!(unknown, [StageId::from_u128(2)]);
}

#[test]
fn a_stage_is_over_once_its_commit_cannot_come_true() {
    let plan = |generation, from: &[PartitionStart]| StagePlan::Append {
        generation: GenerationOrdinal(generation),
        from: from.to_vec(),
    };
    let mut fold = at_ten();
    assert_eq!(
        plan_fate(&plan(1, &[start(0, 10), start(1, 5)]), &fold),
        StageFate::Waiting
    );
    assert_eq!(
        plan_fate(&plan(1, &[start(0, 10), start(1, 4)]), &fold),
        StageFate::Over
    );
    assert_eq!(plan_fate(&plan(1, &[start(9, 0)]), &fold), StageFate::Waiting);
    assert_eq!(
        plan_fate(&plan(2, &[start(0, 3)]), &fold),
        StageFate::Waiting,
        "another fold is newer"
    );
    let small = file(1, 0, FileSet::Accepted, 1, &[(0, 0, 10)]);
    let replaces = StagePlan::Replace {
        generation: GenerationOrdinal(1),
        inputs: vec![small.key()],
    };
    assert_eq!(plan_fate(&replaces, &fold), StageFate::Waiting);
    fold_in(&mut fold, replace(ReplaceReason::Retention, &[&small], vec![]));
    assert_eq!(plan_fate(&replaces, &fold), StageFate::Over);
    fold_in(
        &mut fold,
        open(2, SECOND_ID, GenerationReason::TopicRecreated, &[]),
    );
    assert_eq!(plan_fate(&plan(1, &[start(0, 99)]), &fold), StageFate::Over);
}

#[test]
fn a_plan_binds_its_commit() {
    let plan = StagePlan::Append {
        generation: GenerationOrdinal(1),
        from: vec![start(0, 10), start(1, 5)],
    };
    assert!(plan.is_kept_by(&Body::Append(append(2, &[(0, 10, 11), (1, 5, 6), (2, 0, 1)]))));
    assert!(!plan.is_kept_by(&Body::Append(append(2, &[(0, 10, 11)]))));
    assert!(!plan.is_kept_by(&Body::Append(append(2, &[(0, 10, 11), (1, 6, 7)]))));
    assert!(!plan.is_kept_by(&first(&[])));
}

#[test]
fn the_older_of_two_snapshots_bounds_what_is_deleted() {
    let numbers = |numbers: &[u64]| numbers.iter().copied().map(CommitNumber).collect::<Vec<_>>();
    let cases: [(&[u64], u64, u64, &[u64]); 5] = [
        (&[], 50, 0, &[]),
        (&[10], 50, 0, &[]),
        (&[10, 20], 50, 10, &[]),
        (&[10, 20, 30], 50, 20, &[10]),
        (&[10, 20, 30], 15, 15, &[10]),
    ];
    for (snapshots, published, through, removed) in cases {
        let expected = Truncation {
            commits_through: CommitNumber(through),
            snapshots: numbers(removed),
        };
        assert_eq!(
            truncation(&numbers(snapshots), CommitNumber(published)),
            expected,
            "{snapshots:?}"
        );
    }
    assert!(snapshot_due(CommitNumber(10), None, 10) && !snapshot_due(CommitNumber(9), None, 10));
    assert!(!snapshot_due(CommitNumber(0), None, 0));
    assert!(!snapshot_due(CommitNumber(5), Some(CommitNumber(9)), 1));
    let (then, now) = (Moment::from_unix_micros(0), Moment::from_unix_micros(10_000_000));
    assert!(expired(then, now, std::time::Duration::from_secs(9)));
    assert!(!expired(then, now, std::time::Duration::from_secs(10)));
    assert!(
        !expired(now, then, std::time::Duration::ZERO),
        "clocks differ between machines"
    );
}

/// One step of a simulated writer: which writer, whether it looks at the log first, and what it takes.
#[derive(Clone, Debug)]
struct Step {
    writer: usize,
    looks: bool,
    takes: Vec<(i32, i64, i64)>,
    recreates: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let takes = prop::collection::btree_map(0..3i32, (-2..3i64, 1..6i64), 1..3);
    (0..4usize, any::<bool>(), takes, prop::bool::weighted(0.05)).prop_map(
        |(writer, looks, takes, recreates)| {
            let takes = takes
                .into_iter()
                .map(|(partition, (shift, count))| (partition, shift, count))
                .collect();
            Step {
                writer,
                looks,
                takes,
                recreates,
            }
        },
    )
}

proptest! {
    /// Writers with folds of different ages, some proposing gaps and overlaps on purpose: whatever they propose, the
    /// fold takes each offset exactly once, in every generation.
    #[test]
    fn each_offset_is_taken_exactly_once(steps in prop::collection::vec(step(), 1..60)) {
        let mut log = folded([first(&[])]);
        let mut views = vec![log.clone(); 4];
        let mut taken: std::collections::BTreeMap<(u32, i32), Vec<i64>> = std::collections::BTreeMap::new();
        for (index, step) in steps.into_iter().enumerate() {
            if step.looks {
                views[step.writer] = log.clone();
            }
            let view = &views[step.writer];
            let generation = view.generation().expect("open").ordinal.0;
            let stage = 1000 + index as u128;
            let body = if step.recreates {
                let id = format!("topicid-{}", generation + 1);
                open(generation + 1, &id, GenerationReason::TopicRecreated, &[])
            } else {
                let ranges: Vec<_> = step.takes.iter().map(|(partition, shift, count)| {
                    let from = (view.next(PartitionId(*partition)).0 + shift).max(0);
                    (*partition, from, from + count)
                }).collect();
                let mut body = append(stage, &ranges);
                body.generation = GenerationOrdinal(generation);
                body.files[0].generation = GenerationOrdinal(generation);
                let id = topic_id(&format!("topicid-{generation}"));
                let hour = TimePartition::of(0, PartitionBy::Hour).expect("a time");
                let table = TableName::new("clicks").expect("a name");
                body.files[0].path = FilePath::new(&table, hour, StageId::from_u128(stage), 0, &id);
                Body::Append(body)
            };
            if fold_in(&mut log, body.clone()) == Verdict::Valid && let Body::Append(body) = body {
                for part in body.partitions {
                    taken.entry((generation, part.partition.0)).or_default().extend(part.from.0..part.next.0);
                }
            }
        }
        for ((generation, partition), offsets) in taken {
            let next = log.generations()[generation as usize - 1].next(PartitionId(partition));
            prop_assert_eq!(offsets, (0..next.0).collect::<Vec<_>>());
        }
        let rows: u64 = log.files().values().map(|file| file.rows).sum();
        prop_assert_eq!(rows, log.totals().appended.accepted);
    }
}

/// Few keys are taken out one by one, many in one walk: either way exactly those go, in whatever order they come.
#[test]
fn files_found_published_are_exactly_those_no_longer_unfinished() {
    let mut whole = at_ten();
    for at in 0..64_i64 {
        let body = append(u128::from(at.unsigned_abs()) + 2, &[(0, 10 + at, 11 + at)]);
        assert_eq!(fold_in(&mut whole, Body::Append(body)), Verdict::Valid);
    }
    let files: Vec<FileKey> = whole.files().keys().cloned().collect();
    let stranger = file(99, 0, FileSet::Accepted, 1, &[(0, 99, 100)]).key();
    for step in [1, 2, 3, 5, 64] {
        let mut fold = whole.clone();
        let mut seen: Vec<FileKey> = files.iter().step_by(step).cloned().collect();
        seen.push(stranger.clone());
        seen.reverse();
        fold.mark_published(&seen);
        let left: Vec<&FileKey> = fold.unfinished().publish.iter().collect();
        let expected: Vec<&FileKey> = files.iter().filter(|key| !seen.contains(key)).collect();
        assert_eq!(left, expected, "every {step}th");
    }
}
