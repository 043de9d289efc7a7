//! A compaction and a removal by retention, committed through the engine's log and not carried out.

use std::fs::File as DiskFile;

use arrow::array::RecordBatch;
use eventlake_core::commit::{
    Body, File, FileKey, FileOffsets, FileSet, Moment, Replace, ReplaceReason, StagePlan, TimeSpan, WriterId,
};
use eventlake_core::names::{TableName, TimePartition, TopicName};
use eventlake_engine::ingest::footer;
use eventlake_engine::lake::{FileContents, LakePaths, Outcome, TopicLog};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

use super::crash::root;
use super::scenarios::{TABLE, TOPIC};
use crate::lake::rows_in;
use crate::workspace::Workspace;

/// Two of the accepted files of the first hour become one, and all of the last hour's go. Gives back what went for good.
pub fn compact_one_hour_and_drop_another(space: &Workspace) -> Vec<FileKey> {
    let paths = LakePaths {
        data: space.path("data/parquet"),
        rejected: space.path("data/rejected"),
        checkpoints: space.path("checkpoints"),
    };
    let topic = TopicName::new(TOPIC).expect("a name");
    let table = TableName::new(TABLE).expect("a name");
    let writer = WriterId::new("a compactor").expect("an id");
    let mut log = TopicLog::open(&paths, &topic, &table, &writer).expect("the log opens");
    log.publish().expect("published");
    let fold = log.fold().expect("a fold").clone();
    let accepted = |hour: TimePartition| -> Vec<File> {
        let of_hour = |file: &&File| file.set == FileSet::Accepted && file.path.time_partition() == hour;
        fold.files().values().filter(of_hour).cloned().collect()
    };
    let hours: Vec<TimePartition> = fold
        .files()
        .values()
        .map(|file| file.path.time_partition())
        .collect();
    let (first, last) = (
        hours[0],
        *hours.iter().max_by_key(|hour| hour.to_string()).expect("hours"),
    );
    assert_ne!(first, last);

    let inputs = accepted(first);
    assert!(inputs.len() > 2, "one file of the hour stays as it is");
    compact(space, &mut log, &inputs[..2], first);
    let removed: Vec<FileKey> = accepted(last).iter().map(File::key).collect();
    let retention = Body::Replace(Replace {
        reason: ReplaceReason::Retention,
        removed: removed.clone(),
        files: Vec::new(),
    });
    commit(&mut log, retention);
    removed
}

fn compact(space: &Workspace, log: &mut TopicLog, inputs: &[File], hour: TimePartition) {
    let removed: Vec<FileKey> = inputs.iter().map(File::key).collect();
    let generation = log.last_fold().generation().expect("a generation").ordinal;
    let plan = StagePlan::Replace {
        generation,
        inputs: removed.clone(),
    };
    let stage = log.stage(plan, now()).expect("staged");
    let batches: Vec<RecordBatch> = inputs
        .iter()
        .flat_map(|file| batches_of(space, &file.key()))
        .collect();
    let contents = contents(inputs);
    let properties = WriterProperties::builder()
        .set_key_value_metadata(Some(footer_of(space, &inputs[0].key(), &contents)))
        .build();
    let staged = stage.create_file(FileSet::Accepted, hour).expect("created");
    let mut writer =
        ArrowWriter::try_new(staged, batches[0].schema(), Some(properties)).expect("a Parquet writer");
    for batch in &batches {
        writer.write(batch).expect("written");
    }
    let file = writer
        .into_inner()
        .expect("written")
        .finish(contents)
        .expect("synced");
    stage.sync().expect("synced");
    let body = Replace {
        reason: ReplaceReason::Compaction,
        removed,
        files: vec![file],
    };
    commit(log, Body::Replace(body));
}

fn commit(log: &mut TopicLog, body: Body) {
    let outcome = log.propose(body, now()).expect("proposed");
    assert!(matches!(outcome, Outcome::Committed { .. }), "{outcome:?}");
}

/// What a file that holds all rows of these holds.
fn contents(inputs: &[File]) -> FileContents {
    let mut offsets: Vec<FileOffsets> = Vec::new();
    for held in inputs.iter().flat_map(|file| &file.offsets) {
        match offsets.iter_mut().find(|known| known.partition == held.partition) {
            Some(known) => {
                known.from = known.from.min(held.from);
                known.next = known.next.max(held.next);
                known.rows += held.rows;
            }
            None => offsets.push(*held),
        }
    }
    offsets.sort_by_key(|held| held.partition);
    let times = || inputs.iter().filter_map(|file| file.times);
    FileContents {
        rows: inputs.iter().map(|file| file.rows).sum(),
        offsets,
        times: Some(TimeSpan {
            min_micros: times().map(|times| times.min_micros).min().expect("times"),
            max_micros: times().map(|times| times.max_micros).max().expect("times"),
        }),
        schema_version: inputs[0].schema_version.clone(),
    }
}

/// An input's footer, with the offsets of the whole.
fn footer_of(space: &Workspace, key: &FileKey, contents: &FileContents) -> Vec<KeyValue> {
    let reader = reader_of(space, key);
    let metadata = reader
        .metadata()
        .file_metadata()
        .key_value_metadata()
        .expect("a footer");
    let offsets = serde_json::to_string(&contents.offsets).expect("offsets are JSON");
    let ours = metadata
        .iter()
        .filter(|entry| entry.key.starts_with("eventlake."));
    ours.map(|entry| match entry.key.as_str() {
        footer::OFFSETS => KeyValue::new(entry.key.clone(), offsets.clone()),
        _ => entry.clone(),
    })
    .collect()
}

fn reader_of(space: &Workspace, key: &FileKey) -> ParquetRecordBatchReaderBuilder<DiskFile> {
    let path = root(space, key.set).join(key.path.as_str());
    let file = DiskFile::open(path).expect("a live file is there");
    ParquetRecordBatchReaderBuilder::try_new(file).expect("it is Parquet")
}

fn batches_of(space: &Workspace, key: &FileKey) -> Vec<RecordBatch> {
    let reader = reader_of(space, key).build().expect("it can be read");
    reader.map(|batch| batch.expect("it can be read")).collect()
}

/// The positions of a file's rows.
pub fn rows_of(space: &Workspace, key: &FileKey) -> Vec<(i32, i64)> {
    let path = root(space, key.set).join(key.path.as_str());
    rows_in(&path).iter().map(crate::lake::Row::position).collect()
}

fn now() -> Moment {
    Moment::from_unix_micros(chrono::Utc::now().timestamp_micros())
}
