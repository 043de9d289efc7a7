//! Paths of data files below the root of their set: `clicks/date=2026-11-21/hour=01/<stage>-0000-<topic id>.parquet`.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::{TableName, TimePartition};
use crate::checked_text::read_from_text;
use crate::commit::{StageId, TopicId};

/// A data file's path, relative to the root of its set. Always of the one form this type writes, so a path that was
/// read from a log can never lead out of the lake. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(into = "String")]
pub struct FilePath(Arc<str>);

/// A folder of data files, relative to the root of its set: the table and the time partition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FolderPath(Arc<str>);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a data file's path: expected <table>/date=YYYY-MM-DD[/hour=HH]/<stage id>-<NNNN>-<topic id>.parquet"
)]
pub struct BadFilePath(String);

impl FilePath {
    /// The path of a stage's file. `sequence` tells apart the files of one stage, over both sets.
    #[must_use]
    pub fn new(
        table: &TableName,
        partition: TimePartition,
        stage: StageId,
        sequence: u32,
        topic_id: &TopicId,
    ) -> FilePath {
        FilePath(format!("{table}/{partition}/{stage}-{sequence:04}-{topic_id}.parquet").into())
    }

    /// # Errors
    /// When the text is not exactly what `new` would write.
    pub fn parse(text: &str) -> Result<FilePath, BadFilePath> {
        match parts(text) {
            Some(_) => Ok(FilePath(text.into())),
            None => Err(BadFilePath(text.to_owned())),
        }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    #[must_use]
    pub fn table(&self) -> &str {
        self.0.split('/').next().expect("a path has a table")
    }

    #[must_use]
    pub fn folder(&self) -> FolderPath {
        FolderPath(self.0[..self.last_slash()].into())
    }

    #[must_use]
    pub fn is_in(&self, folder: &FolderPath) -> bool {
        self.0[..self.last_slash()] == *folder.0
    }

    /// The last component: what a file is called, wherever it lies.
    #[must_use]
    pub fn file_name(&self) -> &str {
        &self.0[self.last_slash() + 1..]
    }

    /// Whether a file is called as this type calls files.
    #[must_use]
    pub fn is_file_name(name: &str) -> bool {
        name_parts(name).is_some()
    }

    #[must_use]
    pub fn stage(&self) -> StageId {
        parts(&self.0).expect("checked when it was made").stage
    }

    #[must_use]
    pub fn topic_id(&self) -> &str {
        parts(&self.0).expect("checked when it was made").topic_id
    }

    #[must_use]
    pub fn time_partition(&self) -> TimePartition {
        parts(&self.0).expect("checked when it was made").partition
    }

    fn last_slash(&self) -> usize {
        self.0.rfind('/').expect("a path has a folder")
    }
}

struct Parts<'a> {
    partition: TimePartition,
    stage: StageId,
    topic_id: &'a str,
}

fn parts(text: &str) -> Option<Parts<'_>> {
    let (table, rest) = text.split_once('/')?;
    TableName::new(table).ok()?;
    let (partition, name) = rest.rsplit_once('/')?;
    let partition = TimePartition::parse(partition)?;
    let (stage, topic_id) = name_parts(name)?;
    Some(Parts {
        partition,
        stage,
        topic_id,
    })
}

fn name_parts(name: &str) -> Option<(StageId, &str)> {
    let stem = name.strip_suffix(".parquet")?;
    let (stage, rest) = stem.split_at_checked(StageId::TEXT_BYTES)?;
    let (sequence, topic_id) = rest.strip_prefix('-')?.split_once('-')?;
    let number: u32 = sequence.parse().ok()?;
    TopicId::new(topic_id).ok()?;
    let stage = stage.parse().ok()?;
    (format!("{number:04}") == sequence).then_some((stage, topic_id))
}

impl FolderPath {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Display for FolderPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl From<FilePath> for String {
    fn from(path: FilePath) -> String {
        path.0.to_string()
    }
}

read_from_text!(FilePath, BadFilePath, FilePath::parse);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PartitionBy;

    const STAGE: &str = "01900000-0000-7000-8000-0000000000ab";

    #[test]
    fn a_path_says_what_it_was_made_of() {
        let table = TableName::new("clicks").expect("a table");
        let partition = TimePartition::of(0, PartitionBy::Hour).expect("a time");
        let topic_id = TopicId::new("a-_bcDEF").expect("an id");
        let path = FilePath::new(&table, partition, STAGE.parse().expect("an id"), 7, &topic_id);
        assert_eq!(
            path.as_str(),
            format!("clicks/date=1970-01-01/hour=00/{STAGE}-0007-a-_bcDEF.parquet")
        );
        assert_eq!(FilePath::parse(path.as_str()).as_ref(), Ok(&path));
        assert_eq!(path.table(), "clicks");
        assert_eq!(path.folder().as_str(), "clicks/date=1970-01-01/hour=00");
        assert_eq!(path.stage().to_string(), STAGE);
        assert_eq!(path.topic_id(), "a-_bcDEF");
        assert_eq!(path.time_partition(), partition);
    }

    #[test]
    fn a_path_never_leads_out_of_the_lake() {
        let name = format!("{STAGE}-0000-id.parquet");
        for text in [
            format!("../date=2026-11-21/{name}"),
            format!("/etc/date=2026-11-21/{name}"),
            format!("clicks/../date=2026-11-21/{name}"),
            format!("clicks/date=2026-11-21/../{name}"),
            format!("_staging/date=2026-11-21/{name}"),
            format!("clicks/{name}"),
            format!("clicks/date=2026-11-21/{STAGE}-000-id.parquet"),
            format!("clicks/date=2026-11-21/{STAGE}-0000-a/b.parquet"),
            format!("clicks/date=2026-11-21/{STAGE}-0000-.parquet"),
            format!("clicks/date=2026-11-21/{name}.staged"),
            "clicks/date=2026-11-21/é.parquet".to_owned(),
        ] {
            assert!(FilePath::parse(&text).is_err(), "{text}");
        }
    }
}
