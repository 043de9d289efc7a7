//! What SQL can see: the configured tables, by the newest commit of each one's log.

use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use eventlake_core::commit::{CommitNumber, File, FileSet, Fold};
use eventlake_core::config::{Config, TopicConfig};
use eventlake_core::names::StagingPaths;
use eventlake_core::schema::EventTime;
use eventlake_engine::ingest::{Transforms, rejected, schema_version};
use eventlake_engine::lake::read_fold;
use eventlake_query::{LiveFile, Table};

use crate::transforms;

/// What a topic's tables are as of.
#[derive(Clone, Debug)]
pub struct AsOf {
    pub commit: CommitNumber,
    /// Offsets that Kafka no longer had, in all of the log.
    pub lost: u64,
}

/// The tables of these topics and what they refused, and what each topic's are as of, in the same order.
///
/// # Errors
/// When a log cannot be read or is damaged.
pub fn newest<'t>(
    config: &Config,
    topics: impl IntoIterator<Item = &'t TopicConfig>,
) -> anyhow::Result<(Vec<Table>, Vec<AsOf>)> {
    let transforms = transforms::of(config);
    let (mut tables, mut as_of) = (Vec::new(), Vec::new());
    for topic in topics {
        let fold = read_fold(&config.lake.checkpoints, &topic.name)?;
        let fold = fold.unwrap_or_else(|| Fold::empty(topic.name.clone()));
        for set in [FileSet::Accepted, FileSet::Rejected] {
            tables.push(table(config, topic, &transforms, &fold, set));
        }
        as_of.push(AsOf {
            commit: fold.number(),
            lost: fold.totals().appended.lost,
        });
    }
    Ok((tables, as_of))
}

/// The columns of a topic's accepted rows.
pub fn columns(transforms: &Transforms, topic: &TopicConfig) -> SchemaRef {
    transforms.rules_of(topic).schema()
}

fn table(config: &Config, topic: &TopicConfig, transforms: &Transforms, fold: &Fold, set: FileSet) -> Table {
    let files = fold.files().values().filter(|file| file.set == set);
    match set {
        FileSet::Accepted => of_files(&config.lake.data, topic, &columns(transforms, topic), files),
        FileSet::Rejected => Table {
            set,
            event_time: EventTime::Kafka,
            ..of_files(&config.lake.rejected, topic, &rejected::arrow_schema(), files)
        },
    }
}

/// A table of accepted rows with these files below `root` and no others.
pub fn of_files<'f>(
    root: &Path,
    topic: &TopicConfig,
    columns: &SchemaRef,
    files: impl IntoIterator<Item = &'f File>,
) -> Table {
    Table {
        set: FileSet::Accepted,
        name: topic.table.clone(),
        columns: Arc::clone(columns),
        columns_version: schema_version(columns),
        event_time: topic.rules.event_time.clone(),
        partition_by: topic.partition_by,
        files: live(root, topic, files.into_iter()),
    }
}

fn live<'f>(root: &Path, topic: &TopicConfig, files: impl Iterator<Item = &'f File>) -> Vec<LiveFile> {
    let staging = StagingPaths::new(root, &topic.table);
    let live = |file: &File| LiveFile {
        places: vec![root.join(file.path.as_str()), staging.staged(&file.path)],
        file: file.clone(),
    };
    files.map(live).collect()
}
