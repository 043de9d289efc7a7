//! Replays of real rows: what moves and what stays, twice, beside others, and dying at every single call.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File as DiskFile;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use arrow::array::AsArray;
use arrow::datatypes::{Int32Type, Int64Type};
use eventlake_core::commit::{
    Append, ClusterId, GenerationOrdinal, GenerationReason, OpenGeneration, PartitionAppend, PartitionStart,
    StagePlan, TopicId, WriterId,
};
use eventlake_core::config::{self, Config};
use eventlake_core::position::{IntervalSet, Offset, PartitionId};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::*;
use crate::ingest::decode::{Decoder, EventRows, RecordMeta};
use crate::ingest::rejected::RejectedRows;
use crate::ingest::{FileFacts, SealedRows, write_files};
use crate::lake::access::{Call, Moment as Around};
use crate::lake::store::Store;
use crate::lake::tests::support::{AtStrike, Once, Then, files_below};
use crate::lake::{LakePaths, read_fold};

const STRICT: &str = r#"{"type":"object","required":["n"],
    "properties":{"n":{"type":"integer","maximum":9},"text":{"type":"string"}}}"#;
/// Lets more numbers pass, and has one more column.
const LAX: &str = r#"{"type":"object","required":["n"],
    "properties":{"n":{"type":"integer","maximum":99},"text":{"type":"string"},"more":{"type":"string"}}}"#;
const OTHER: &str = r#"{"type":"object","required":["n"],"properties":{"n":{"type":"number"}}}"#;
const NOW: i64 = 1_795_222_800_000_000;
const HOUR: i64 = 3_600_000_000;
const ALL: RejectedFilter = RejectedFilter {
    code: None,
    since_micros: None,
    until_micros: None,
};

struct TestLake {
    folder: tempfile::TempDir,
}

impl TestLake {
    fn new() -> TestLake {
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        TestLake {
            folder: folder.expect("a folder"),
        }
    }

    /// With a generation, and a roll of 40 records: `n` is the offset, and every tenth is no JSON.
    fn landed() -> TestLake {
        let lake = TestLake::new();
        let config = lake.config(STRICT);
        let mut log = lake.log(Store::new());
        open_generation(&mut log, 1, "id-1");
        land(&config, &mut log, 0..40);
        lake
    }

    fn config(&self, schema: &str) -> Config {
        let text = format!(
            "[kafka]\nbrokers = \"127.0.0.1:1\"\n[lake]\ndata = \"{0}/data\"\nrejected = \"{0}/rejected\"\n\
             checkpoints = \"{0}/checkpoints\"\n[[topics]]\nname = \"numbers\"\nschema = \"numbers.json\"\n",
            self.folder.path().display()
        );
        config::resolve(&text, Path::new("eventlake.toml"), &|_| None, &|_| {
            Ok(schema.to_owned())
        })
        .expect("a config")
    }

    fn try_log(&self, store: Store) -> Result<TopicLog, LakeError> {
        let config = self.config(STRICT);
        let paths = LakePaths {
            data: config.lake.data.clone(),
            rejected: config.lake.rejected.clone(),
            checkpoints: config.lake.checkpoints.clone(),
        };
        let topic = &config.topics[0];
        let writer = WriterId::new("replayer").expect("an id");
        TopicLog::open_with(store, &paths, &topic.name, &topic.table, &writer)
    }

    fn log(&self, store: Store) -> TopicLog {
        self.try_log(store).expect("the lake opens")
    }

    fn replay(&self, schema: &str, filter: &RejectedFilter) -> Result<Replayed, ReplayError> {
        self.replay_with(Store::new(), schema, filter)
    }

    fn replay_with(
        &self,
        store: Store,
        schema: &str,
        filter: &RejectedFilter,
    ) -> Result<Replayed, ReplayError> {
        let config = self.config(schema);
        let mut log = self.try_log(store)?;
        let topic = &config.topics[0];
        replay(&config.lake, topic, &topic.rules.clone().into(), filter, &mut log)
    }

    fn fold(&self) -> Fold {
        let config = self.config(STRICT);
        read_fold(&config.lake.checkpoints, &config.topics[0].name)
            .expect("readable")
            .expect("a log")
    }

    /// The positions of all rows a reader's glob finds in a root, each once.
    fn positions(&self, root: &str) -> BTreeSet<(i32, i64)> {
        let mut found = BTreeSet::new();
        for path in self.visible(root) {
            let reader = ParquetRecordBatchReaderBuilder::try_new(DiskFile::open(&path).expect("there"));
            for batch in reader.expect("parquet").build().expect("a reader") {
                let batch = batch.expect("a batch");
                let column = |name| batch.column_by_name(name).expect("a column");
                let partitions = column("_kafka_partition").as_primitive::<Int32Type>().values();
                let offsets = column("_kafka_offset").as_primitive::<Int64Type>().values();
                for position in partitions.iter().copied().zip(offsets.iter().copied()) {
                    assert!(found.insert(position), "{position:?} is in {root} twice");
                }
            }
        }
        found
    }

    fn visible(&self, root: &str) -> Vec<PathBuf> {
        let mut files = files_below(&self.folder.path().join(root));
        files.retain(|path| path.extension().is_some_and(|extension| extension == "parquet"));
        files
    }

    /// The table is the log's live set, and holds each offset up to the checkpoint in one of the two sets.
    fn assert_exact(&self) {
        let mut log = self.log(Store::new());
        log.publish().expect("published");
        let fold = log.fold().expect("a fold").clone();
        let config = self.config(STRICT);
        let live: BTreeSet<PathBuf> = fold
            .files()
            .keys()
            .map(|key| match key.set {
                FileSet::Accepted => config.lake.data.join(key.path.as_str()),
                FileSet::Rejected => config.lake.rejected.join(key.path.as_str()),
            })
            .collect();
        let visible = [self.visible("data"), self.visible("rejected")].concat();
        assert_eq!(visible.into_iter().collect::<BTreeSet<_>>(), live);
        let (accepted, rejected) = (self.positions("data"), self.positions("rejected"));
        assert_eq!(accepted.intersection(&rejected).next(), None, "in both sets");
        let expected: BTreeSet<_> = (0..fold.next(PartitionId(0)).0)
            .map(|offset| (0, offset))
            .collect();
        assert_eq!(&accepted | &rejected, expected);
        assert_eq!(fold.live(FileSet::Accepted).rows, accepted.len() as u64);
        assert_eq!(fold.live(FileSet::Rejected).rows, rejected.len() as u64);
    }

    fn leftovers(&self) -> Vec<PathBuf> {
        let mut left = Vec::new();
        for folder in [
            "data/_staging",
            "rejected/_staging",
            "checkpoints/numbers/staging",
            "checkpoints/numbers/exchange",
        ] {
            left.extend(files_below(&self.folder.path().join(folder)));
        }
        left.retain(|path| path.file_name().is_some_and(|name| name != "owner.json"));
        left
    }
}

fn open_generation(log: &mut TopicLog, ordinal: u32, topic_id: &str) {
    let reason = if ordinal == 1 {
        GenerationReason::FirstStart
    } else {
        GenerationReason::TopicRecreated
    };
    let body = Body::Generation(OpenGeneration {
        ordinal: GenerationOrdinal(ordinal),
        cluster_id: ClusterId::new("cluster").expect("an id"),
        topic_id: TopicId::new(topic_id).expect("an id"),
        reason,
        starts: vec![],
        after: None,
    });
    let outcome = log.propose(body, now()).expect("proposed");
    assert!(matches!(outcome, Outcome::Committed { .. }), "{outcome:?}");
}

fn payload(offset: i64) -> String {
    if offset % 10 == 0 {
        return format!("{{\"n\":{offset}");
    }
    format!("{{\"n\":{offset},\"text\":\"record {offset}\",\"more\":\"kept\"}}")
}

/// Every twenty records the hour changes, between two.
fn timestamp(offset: i64) -> i64 {
    NOW + offset % 40 / 20 * HOUR + offset
}

/// Rolls records of partition 0 into the lake as the pipeline would, by the present schema.
fn land(config: &Config, log: &mut TopicLog, offsets: std::ops::Range<i64>) {
    let topic = &config.topics[0];
    let (mut decoder, mut events) = (Decoder::new(&topic.rules), EventRows::new(&topic.rules));
    let mut rejected = RejectedRows::new();
    for offset in offsets.clone() {
        let meta = RecordMeta {
            partition: PartitionId(0),
            offset: Offset(offset),
            timestamp_micros: Some(timestamp(offset)),
        };
        let payload = payload(offset);
        if let Err(violation) = decoder.decode(payload.as_bytes(), &meta, &mut events) {
            let headers = [
                ("trace".to_owned(), Some(vec![0xff, 1])),
                ("none".to_owned(), None),
            ];
            rejected.push(Some(b"key"), payload.as_bytes(), &headers, &violation, &meta);
        }
    }
    let (accepted_rows, rejected_rows) = (events.len() as u64, rejected.len() as u64);
    let rows = SealedRows {
        events: events.finish(),
        rejected: rejected.finish(),
    };
    let generation = log.fold().expect("a fold").generation().expect("opened").ordinal;
    let (from, next) = (Offset(offsets.start), Offset(offsets.end));
    let partition = PartitionId(0);
    let from_plan = vec![PartitionStart { partition, from }];
    let plan = StagePlan::Append {
        generation,
        from: from_plan,
    };
    let stage = log.stage(plan, now()).expect("a stage");
    let files =
        write_files(&stage, &rows, &FileFacts::of(topic, &topic.rules.clone().into())).expect("written");
    stage.sync().expect("synced");
    let taken = PartitionAppend {
        partition,
        from,
        next,
        leader_epoch: None,
        accepted: accepted_rows,
        rejected: rejected_rows,
        tombstones: IntervalSet::new(),
        filtered: IntervalSet::new(),
        absent: IntervalSet::new(),
        lost: IntervalSet::new(),
    };
    let body = Body::Append(Append {
        generation,
        partitions: vec![taken],
        files,
    });
    let outcome = log.propose(body, now()).expect("proposed");
    assert!(matches!(outcome, Outcome::Committed { .. }), "{outcome:?}");
    log.publish().expect("published");
    log.clean().expect("cleaned");
}

fn counts(codes: &[(&str, u64)]) -> BTreeMap<String, u64> {
    codes
        .iter()
        .map(|(code, count)| ((*code).to_owned(), *count))
        .collect()
}

#[test]
fn what_passes_now_moves_in_one_commit_and_a_second_replay_finds_nothing_to_do() {
    let lake = TestLake::landed();
    assert_eq!(lake.positions("data").len(), 9);
    let before = lake.fold().number();
    let foreseen = {
        let config = lake.config(LAX);
        let topic = &config.topics[0];
        foresee(
            &config.lake,
            topic,
            &topic.rules.clone().into(),
            &ALL,
            &lake.fold(),
        )
        .expect("foreseen")
    };
    let replayed = lake.replay(LAX, &ALL).expect("replayed");
    let number = before.following();
    assert_eq!((replayed.examined, replayed.landed), (31, 27));
    assert_eq!(replayed.still_rejected, counts(&[("malformed_json", 4)]));
    assert_eq!(replayed.commit, Some(number));
    assert_eq!(
        Replayed {
            commit: None,
            ..replayed
        },
        foreseen
    );
    assert_eq!(lake.fold().number(), number, "one commit");
    assert_eq!(
        lake.positions("rejected"),
        (0..4).map(|ten| (0, 10 * ten)).collect()
    );
    lake.assert_exact();

    let tree = lake.fold();
    let again = lake.replay(LAX, &ALL).expect("replayed");
    assert_eq!((again.examined, again.landed, again.commit), (4, 0, None));
    assert_eq!(lake.fold(), tree, "nothing changed");
    assert_eq!(lake.replay(STRICT, &ALL).expect("replayed").landed, 0);
    lake.log(Store::new()).clean().expect("cleaned");
    assert_eq!(lake.leftovers(), Vec::<PathBuf>::new());
}

#[test]
fn what_stays_is_as_it_was_and_what_moves_is_as_if_it_had_always_passed() {
    let (replayed_lake, lax_lake) = (TestLake::landed(), TestLake::new());
    let rejected_rows = |lake: &TestLake| {
        let config = lake.config(STRICT);
        let fold = lake.fold();
        let mut rows = BTreeMap::new();
        for file in fold.files().values().filter(|file| file.set == FileSet::Rejected) {
            let place = crate::status::rejected_file(&config.lake, &config.topics[0], file);
            crate::ingest::rejected::read_whole::<ScanError>(&place, 10, |some| {
                rows.extend(some.into_iter().map(|row| (row.offset, row)));
                Ok(())
            })
            .expect("read");
        }
        rows
    };
    let before = rejected_rows(&replayed_lake);
    replayed_lake.replay(LAX, &ALL).expect("replayed");
    let after = rejected_rows(&replayed_lake);
    assert_eq!(after.len(), 4);
    assert!(after.iter().all(|(offset, row)| before[offset] == *row));

    // The same records, landed under the lax schema from the start.
    let mut log = lax_lake.log(Store::new());
    open_generation(&mut log, 1, "id-1");
    land(&lax_lake.config(LAX), &mut log, 0..40);
    let texts = |lake: &TestLake, offsets: std::ops::Range<i64>| {
        let mut rows = BTreeMap::new();
        for path in lake.visible("data") {
            let folder = path
                .parent()
                .expect("a folder")
                .strip_prefix(lake.folder.path())
                .expect("below");
            let reader = ParquetRecordBatchReaderBuilder::try_new(DiskFile::open(&path).expect("there"));
            for batch in reader.expect("parquet").build().expect("a reader") {
                let batch = batch.expect("a batch");
                let offsets_of = batch.column_by_name("_kafka_offset").expect("a column");
                let offsets_of = offsets_of.as_primitive::<Int64Type>().values().to_vec();
                for (row, offset) in offsets_of.into_iter().enumerate() {
                    if offsets.contains(&offset) {
                        let cells = batch.slice(row, 1).columns().to_vec();
                        rows.insert(offset, format!("{} {cells:?}", folder.display()));
                    }
                }
            }
        }
        rows
    };
    let moved = texts(&replayed_lake, 10..40);
    assert_eq!(moved.len(), 27);
    assert_eq!(
        moved,
        texts(&lax_lake, 10..40),
        "rows, columns and time partitions"
    );
}

#[test]
fn a_filter_replays_no_more_than_it_says() {
    let lake = TestLake::landed();
    let filter = RejectedFilter {
        code: Some("maximum".into()),
        since_micros: Some(timestamp(25)),
        until_micros: Some(timestamp(30)),
    };
    let replayed = lake.replay(LAX, &filter).expect("replayed");
    assert_eq!((replayed.examined, replayed.landed), (5, 5));
    let moved: BTreeSet<_> = (1..10).chain(25..30).map(|offset| (0, offset)).collect();
    assert_eq!(lake.positions("data"), moved);
    lake.assert_exact();
    let filter = RejectedFilter {
        code: Some("type".into()),
        ..ALL
    };
    assert_eq!(lake.replay(LAX, &filter).expect("replayed"), Replayed::default());
    assert_eq!(lake.replay(LAX, &ALL).expect("replayed").landed, 22);
    lake.assert_exact();
}

#[test]
fn rows_beyond_the_memory_there_is_are_written_in_turn_and_committed_at_once() {
    let lake = TestLake::new();
    let mut log = lake.log(Store::new());
    open_generation(&mut log, 1, "id-1");
    // Each row takes a few hundred bytes; a chunk may hold 1 MiB.
    let strict = lake.config(STRICT);
    for roll in 0..4 {
        land(&strict, &mut log, roll * 5_000..(roll + 1) * 5_000);
    }
    let before = lake.fold().number();
    let mut config = lake.config(r#"{"type":"object","required":["n"],"properties":{"n":{"type":"integer"},"text":{"type":"string"}}}"#);
    config.lake.memory_limit_bytes = 1;
    config.topics[0].partition_by = config::PartitionBy::Day;
    config.topics[0].rules.future_micros_max = i64::MAX / 2;
    let topic = &config.topics[0];
    let rules = topic.rules.clone().into();
    let table = Table {
        lake: &config.lake,
        topic,
        rules: &rules,
        filter: &ALL,
    };
    assert_eq!((table.rows_at_a_time(), table.chunk_bytes()), (1, 1 << 20));
    let replayed = replay(&config.lake, topic, &rules, &ALL, &mut log).expect("replayed");
    assert_eq!(replayed.landed, 20_000 - 2_000 - 9);
    assert_eq!(replayed.commit, Some(before.following()));
    let fold = lake.fold();
    let stages: BTreeSet<_> = fold.files().values().map(|file| file.stage).collect();
    assert_eq!(stages.len(), 2, "the first roll's, and the replay's");
    lake.assert_exact();
}

#[test]
fn records_of_an_earlier_life_of_the_topic_are_replayed_under_its_id() {
    let lake = TestLake::landed();
    let mut log = lake.log(Store::new());
    open_generation(&mut log, 2, "id-2");
    land(&lake.config(STRICT), &mut log, 0..15);
    let before = lake.fold().number();
    let replayed = lake.replay(LAX, &ALL).expect("replayed");
    assert_eq!(
        (replayed.landed, replayed.commit),
        (27 + 4, Some(before.following()))
    );
    let fold = lake.fold();
    for (ordinal, id, accepted) in [(1, "id-1", 36), (2, "id-2", 13)] {
        let of_generation = |file: &&File| file.generation.0 == ordinal && file.set == FileSet::Accepted;
        let files: Vec<&File> = fold.files().values().filter(of_generation).collect();
        assert_eq!(files.iter().map(|file| file.rows).sum::<u64>(), accepted);
        assert!(files.iter().all(|file| file.path.topic_id() == id), "{files:?}");
    }
}

#[test]
fn a_schema_that_the_table_cannot_take_moves_nothing() {
    let lake = TestLake::landed();
    let before = lake.fold();
    let why = lake.replay(OTHER, &ALL).expect_err("refused").to_string();
    assert!(why.contains("the schema no longer fits the table"), "{why}");
    assert!(why.contains("column n was Int64 and is now Float64"), "{why}");
    assert_eq!(lake.fold(), before);
    assert_eq!(lake.leftovers(), Vec::<PathBuf>::new());
    lake.assert_exact();
}

#[test]
fn a_rejected_file_that_was_changed_is_not_replayed() {
    let lake = TestLake::landed();
    let path = lake.visible("rejected").pop().expect("a file");
    let mut content = std::fs::read(&path).expect("readable");
    content[10] ^= 1;
    std::fs::write(&path, content).expect("written");
    let why = lake.replay(LAX, &ALL).expect_err("refused").to_string();
    assert!(why.contains("is not the one that was committed"), "{why}");
}

/// A lake whose rejected folder holds folders as well can never be exchanged: then nothing is committed.
#[test]
fn where_a_folder_cannot_be_exchanged_nothing_is_committed() {
    let lake = TestLake::landed();
    let before = lake.fold();
    let file = lake.visible("rejected").pop().expect("a file");
    std::fs::create_dir(file.parent().expect("a folder").join("hour=01")).expect("created");
    let error = lake.replay(LAX, &ALL).expect_err("refused");
    assert!(
        matches!(error, ReplayError::Lake(LakeError::Exchange { .. })),
        "{error}"
    );
    assert_eq!(lake.fold(), before);
}

#[test]
fn of_two_replays_at_once_one_moves_the_records_and_the_other_finds_nothing_left() {
    let lake = std::sync::Arc::new(TestLake::landed());
    let number = lake.fold().number().following();
    let path_ends: &'static str = format!("{:020}.json", number.0).leak();
    let other = std::sync::Arc::clone(&lake);
    let faults = Once {
        call: Call::Link,
        around: Around::Before,
        path_ends,
        // The other one overtakes at the last moment: the number is taken.
        run: move || {
            assert_eq!(other.replay(LAX, &ALL).expect("replayed").landed, 27);
            Ok(())
        },
        armed: AtomicBool::new(true),
    };
    let store = Store::with_faults(std::sync::Arc::new(faults));
    let slow = lake.replay_with(store, LAX, &ALL).expect("nothing is wrong");
    assert_eq!((slow.landed, slow.examined, slow.commit), (0, 4, None));
    assert_eq!(lake.fold().number(), number, "one commit");
    lake.assert_exact();
    lake.log(Store::new()).clean().expect("cleaned");
    assert_eq!(
        lake.leftovers(),
        Vec::<PathBuf>::new(),
        "what the slow one staged is gone"
    );
}

#[test]
fn a_roll_that_lands_in_between_does_not_disturb_a_replay() {
    let lake = std::sync::Arc::new(TestLake::landed());
    let number = lake.fold().number().following();
    let path_ends: &'static str = format!("{:020}.json", number.0).leak();
    let other = std::sync::Arc::clone(&lake);
    let faults = Once {
        call: Call::Link,
        around: Around::Before,
        path_ends,
        run: move || {
            land(&other.config(STRICT), &mut other.log(Store::new()), 40..60);
            Ok(())
        },
        armed: AtomicBool::new(true),
    };
    let store = Store::with_faults(std::sync::Arc::new(faults));
    let replayed = lake.replay_with(store, LAX, &ALL).expect("replayed");
    assert_eq!((replayed.landed, replayed.commit), (27, Some(number.following())));
    lake.assert_exact();
    assert_eq!(lake.replay(LAX, &ALL).expect("replayed").landed, 18);
    lake.assert_exact();
}

#[test]
fn whatever_call_a_replay_dies_at_the_next_one_ends_exactly_the_same() {
    let counter = AtStrike::new(usize::MAX, Then::FailOnce);
    let lake = TestLake::landed();
    let whole = lake.replay_with(Store::with_faults(counter.clone()), LAX, &ALL);
    assert_eq!(whole.expect("no fault").landed, 27);
    let strikes = counter.strikes();
    assert!(strikes > 150, "only {strikes} places to die at");
    // A batch of threads, each with its own share of the places.
    let (all, next) = (
        (0..40).map(|offset| (0, offset)).collect::<BTreeSet<_>>(),
        strikes,
    );
    for at in 0..next {
        let lake = TestLake::landed();
        let faults = AtStrike::new(at, Then::Die);
        let died = lake.replay_with(Store::with_faults(faults.clone()), LAX, &ALL);
        assert!(
            faults.came() && (died.is_err() || at + 20 > strikes),
            "fault {at} had no effect"
        );
        // A reader finds each record; within a set once (`positions` sees to that), and uncommitted ones never.
        let (accepted, rejected) = (lake.positions("data"), lake.positions("rejected"));
        assert_eq!(&accepted | &rejected, all, "fault {at}");
        let committed = lake.fold().totals().replaced.contains_key(&ReplaceReason::Replay);
        assert!(
            committed || accepted.len() == 9,
            "fault {at}: visible and not committed"
        );

        lake.assert_exact();
        let again = lake.replay(LAX, &ALL).expect("replayed");
        assert_eq!(again.landed, if committed { 0 } else { 27 }, "fault {at}");
        lake.assert_exact();
        assert_eq!(lake.positions("data").len(), 36);
        let mut heir = lake.log(Store::new());
        heir.clean().expect("cleaned");
        heir.clean().expect("cleaned");
        assert_eq!(lake.leftovers(), Vec::<PathBuf>::new(), "fault {at}");
    }
}

#[test]
fn whatever_single_call_fails_the_replay_can_be_run_again() {
    let counter = AtStrike::new(usize::MAX, Then::FailOnce);
    let store = Store::with_faults(counter.clone());
    TestLake::landed()
        .replay_with(store, LAX, &ALL)
        .expect("no fault");
    for at in (0..counter.strikes()).step_by(3) {
        let lake = TestLake::landed();
        let store = Store::with_faults(AtStrike::new(at, Then::FailOnce));
        let _failed = lake.replay_with(store, LAX, &ALL);
        lake.assert_exact();
        lake.replay(LAX, &ALL).expect("the fault is over");
        assert_eq!(lake.positions("data").len(), 36, "fault {at}");
        lake.assert_exact();
    }
}
