//! Which files of rejected records there are, by the commit logs.

use eventlake_core::commit::{File, FileSet, Fold};
use eventlake_core::config::{Config, TopicConfig};
use eventlake_engine::lake::read_fold;

use crate::cli::usage;

/// A table and what its topic's log says.
pub struct Table<'a> {
    pub topic: &'a TopicConfig,
    pub fold: Fold,
}

/// The configured table of this name.
///
/// # Errors
/// When there is none; the message says which there are.
pub fn table_named<'a>(config: &'a Config, name: &str) -> anyhow::Result<&'a TopicConfig> {
    config
        .topics
        .iter()
        .find(|topic| topic.table.as_str() == name)
        .ok_or_else(|| {
            let tables: Vec<&str> = config.topics.iter().map(|topic| topic.table.as_str()).collect();
            usage(format!(
                "no table {name:?} in {}\nhint: the tables are {}",
                config.file.display(),
                tables.join(", ")
            ))
        })
}

impl<'a> Table<'a> {
    /// Reads a table's log, changing nothing.
    ///
    /// # Errors
    /// When the log cannot be read or is damaged.
    pub fn read(config: &Config, topic: &'a TopicConfig) -> anyhow::Result<Table<'a>> {
        let fold = read_fold(&config.lake.checkpoints, &topic.name)?;
        let fold = fold.unwrap_or_else(|| Fold::empty(topic.name.clone()));
        Ok(Table { topic, fold })
    }

    /// The live files of rejected records, in their order by path.
    pub fn rejected(&self) -> impl Iterator<Item = &File> {
        self.fold
            .files()
            .values()
            .filter(|file| file.set == FileSet::Rejected)
    }
}
