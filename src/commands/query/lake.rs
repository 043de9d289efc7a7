//! What a query can see: the configured tables, by the newest commit of each one's log.

use std::path::Path;

use eventlake_core::commit::{File, FileSet, Fold, SchemaVersion};
use eventlake_core::config::{Config, TopicConfig};
use eventlake_core::names::StagingPaths;
use eventlake_core::schema::EventTime;
use eventlake_engine::ingest::{Transforms, rejected, schema_version};
use eventlake_engine::lake::read_fold;
use eventlake_query::{LiveFile, Table};

use crate::transforms;

/// Every table and what it refused, each as of one commit.
///
/// # Errors
/// When a log cannot be read or is damaged.
pub fn tables(config: &Config) -> anyhow::Result<Vec<Table>> {
    let transforms = transforms::of(config);
    let mut tables = Vec::with_capacity(2 * config.topics.len());
    for topic in &config.topics {
        let fold = read_fold(&config.lake.checkpoints, &topic.name)?;
        let fold = fold.unwrap_or_else(|| Fold::empty(topic.name.clone()));
        for set in [FileSet::Accepted, FileSet::Rejected] {
            tables.push(table(config, topic, &transforms, &fold, set));
        }
    }
    Ok(tables)
}

fn table(config: &Config, topic: &TopicConfig, transforms: &Transforms, fold: &Fold, set: FileSet) -> Table {
    let (root, columns, event_time) = match set {
        FileSet::Accepted => {
            let columns = transforms.rules_of(topic).schema();
            (&config.lake.data, columns, topic.rules.event_time.clone())
        }
        FileSet::Rejected => (&config.lake.rejected, rejected::arrow_schema(), EventTime::Kafka),
    };
    let columns_version: SchemaVersion = schema_version(&columns);
    let staging = StagingPaths::new(root, &topic.table);
    let files = fold.files().values().filter(|file| file.set == set);
    Table {
        set,
        name: topic.table.clone(),
        columns,
        columns_version,
        event_time,
        partition_by: topic.partition_by,
        files: files.map(|file| live(root, &staging, file)).collect(),
    }
}

fn live(root: &Path, staging: &StagingPaths, file: &File) -> LiveFile {
    LiveFile {
        places: vec![root.join(file.path.as_str()), staging.staged(&file.path)],
        file: file.clone(),
    }
}
