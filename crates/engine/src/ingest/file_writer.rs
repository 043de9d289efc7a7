//! A sealed buffer to staged files: one file a time partition and set, in event-time order, described for the commit.

use std::io;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type};
use eventlake_core::commit::{File, FileOffsets, FileSet, SchemaVersion, TimeSpan};
use eventlake_core::config::{PartitionBy, TopicConfig};
use eventlake_core::names::{FilePath, TimePartition, TopicName};
use eventlake_core::position::{Offset, PartitionId};
use eventlake_core::schema::{EVENT_TIME_MICROS_MAX, EVENT_TIME_MICROS_MIN};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;

use crate::ingest::buffer::SealedRows;
use crate::ingest::encode::{footer, write_parquet};
use crate::ingest::evolution::schema_version;
use crate::ingest::rejected;
use crate::ingest::start::Trouble;
use crate::ingest::time_partitions::{Run, TimeOrder, time_order};
use crate::ingest::transform::RowRules;
use crate::lake::store::hint;
use crate::lake::{FileContents, Stage};

/// What all files of a topic have in common.
#[derive(Clone, Debug)]
pub struct FileFacts {
    pub topic: TopicName,
    pub partition_by: PartitionBy,
    /// Of the accepted rows; rejected rows have a schema of their own, which never depends on the topic's.
    pub accepted_version: SchemaVersion,
    pub rejected_version: SchemaVersion,
}

impl FileFacts {
    /// Of a topic, by its present schema and transform.
    #[must_use]
    pub fn of(topic: &TopicConfig, rules: &RowRules) -> FileFacts {
        FileFacts {
            topic: topic.name.clone(),
            partition_by: topic.partition_by,
            accepted_version: schema_version(&rules.schema()),
            rejected_version: schema_version(&rejected::arrow_schema()),
        }
    }

    #[must_use]
    pub fn version(&self, set: FileSet) -> &SchemaVersion {
        match set {
            FileSet::Accepted => &self.accepted_version,
            FileSet::Rejected => &self.rejected_version,
        }
    }
}

/// Writes both sets of rows under the stage. Written again under the same stage after a failure, it makes the same
/// files under the same names.
///
/// # Errors
/// When the lake's file system refuses.
pub fn write_files(stage: &Stage, rows: &SealedRows, facts: &FileFacts) -> Result<Vec<File>, Trouble> {
    let mut files = Vec::new();
    let events = &rows.events;
    write_set(
        stage,
        FileSet::Accepted,
        &events.batch,
        &events.event_times_micros,
        facts,
        &mut files,
    )?;
    let rejected = &rows.rejected;
    write_set(
        stage,
        FileSet::Rejected,
        &rejected.batch,
        &rejected.times_micros,
        facts,
        &mut files,
    )?;
    Ok(files)
}

/// Writes one set of rows, one file a time partition, and appends their descriptions.
///
/// # Errors
/// As [`write_files`].
pub fn write_set(
    stage: &Stage,
    set: FileSet,
    batch: &RecordBatch,
    times_micros: &[i64],
    facts: &FileFacts,
    files: &mut Vec<File>,
) -> Result<(), Trouble> {
    let order = time_order(times_micros, facts.partition_by);
    for run in &order.runs {
        files.push(write_run(stage, set, batch, &order, run, facts)?);
    }
    Ok(())
}

fn write_run(
    stage: &Stage,
    set: FileSet,
    batch: &RecordBatch,
    order: &TimeOrder,
    run: &Run,
    facts: &FileFacts,
) -> Result<File, Trouble> {
    let places = run.rows.clone();
    let rows = order.order.as_ref().map(|order| &order[places.clone()]);
    let whole = batch.slice(places.start, places.len());
    let (batch, offsets) = match rows {
        Some(rows) => (batch, offsets(batch, rows.iter().map(|row| *row as usize))),
        None => (&whole, offsets(&whole, 0..whole.num_rows())),
    };
    let schema_version = facts.version(set);
    let staged = stage.create_file(set, folder_of(run.starts_at_micros, facts.partition_by))?;
    let path = staged.path().clone();
    let footer = footer_of(stage, facts, schema_version, &offsets);
    let staged = write_parquet(staged, batch, rows, footer).map_err(|error| not_written(&path, error))?;
    let described = staged.finish(FileContents {
        rows: places.len() as u64,
        offsets,
        times: Some(TimeSpan {
            min_micros: run.min_micros,
            max_micros: run.max_micros,
        }),
        schema_version: schema_version.clone(),
    });
    Ok(described?)
}

/// The disk may come back; rows that Parquet cannot hold will not become others.
fn not_written(path: &FilePath, error: ParquetError) -> Trouble {
    if let ParquetError::External(cause) = &error
        && let Some(io) = cause.downcast_ref::<io::Error>()
    {
        return Trouble::NotNow(format!("cannot write {path}: {io}{}", hint(io)));
    }
    Trouble::Fatal(format!("cannot encode {path}: {error}"))
}

/// Which offsets of which partitions these rows are.
fn offsets(batch: &RecordBatch, rows: impl Iterator<Item = usize>) -> Vec<FileOffsets> {
    let column = |name| {
        batch
            .column_by_name(name)
            .expect("every file has the columns that trace its rows")
    };
    let partitions = column("_kafka_partition").as_primitive::<Int32Type>().values();
    let offsets = column("_kafka_offset").as_primitive::<Int64Type>().values();
    // In the order of the partitions. They are few, and searched faster than a map is.
    let mut found: Vec<FileOffsets> = Vec::new();
    for row in rows {
        let (partition, offset) = (PartitionId(partitions[row]), Offset(offsets[row]));
        match found.binary_search_by_key(&partition, |known| known.partition) {
            Ok(place) => {
                let known = &mut found[place];
                known.from = known.from.min(offset);
                known.next = known.next.max(offset.following());
                known.rows += 1;
            }
            Err(place) => found.insert(
                place,
                FileOffsets {
                    partition,
                    from: offset,
                    next: offset.following(),
                    rows: 1,
                },
            ),
        }
    }
    found
}

/// The folder of a time. One that no date of four digits has (only Kafka's own timestamps can be such, and
/// only those of rejected records or of topics without an event time) goes to the nearest that has.
#[must_use]
pub fn folder_of(time_micros: i64, by: PartitionBy) -> TimePartition {
    let clamped = time_micros.clamp(EVENT_TIME_MICROS_MIN, EVENT_TIME_MICROS_MAX);
    TimePartition::of(clamped, by).expect("event times lie in years that have folders")
}

fn footer_of(
    stage: &Stage,
    facts: &FileFacts,
    version: &SchemaVersion,
    offsets: &[FileOffsets],
) -> Vec<KeyValue> {
    let entry = |key: &str, value: String| KeyValue::new(key.to_owned(), value);
    vec![
        entry(footer::TOPIC, facts.topic.to_string()),
        entry(footer::TOPIC_ID, stage.topic_id().to_string()),
        entry(footer::GENERATION, stage.generation().to_string()),
        entry(footer::SCHEMA_VERSION, version.to_string()),
        entry(
            footer::OFFSETS,
            serde_json::to_string(offsets).expect("plain numbers are JSON"),
        ),
    ]
}
