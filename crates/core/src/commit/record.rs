//! The records of a commit log as they stand in its files: commits and what they carry.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::ids::{
    AttemptId, Checksum, ClusterId, CommitNumber, GenerationOrdinal, Moment, SchemaVersion, StageId, TopicId,
    WriterId,
};
use crate::names::{FilePath, TopicName};
use crate::position::{IntervalSet, Offset, PartitionId};

/// One numbered proposal of a log. Whether it is valid, the fold of the commits before it decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    pub number: CommitNumber,
    pub topic: TopicName,
    pub writer: WriterId,
    pub attempt: AttemptId,
    pub time: Moment,
    /// The checksum of the commit before; `Checksum::NONE` for the first.
    pub previous: Checksum,
    pub body: Body,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    Append(Append),
    Replace(Replace),
    Generation(OpenGeneration),
}

impl Body {
    /// The files it adds.
    #[must_use]
    pub fn files(&self) -> &[File] {
        match self {
            Body::Append(append) => &append.files,
            Body::Replace(replace) => &replace.files,
            Body::Generation(_) => &[],
        }
    }

    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Body::Append(_) => "append",
            Body::Replace(_) => "replace",
            Body::Generation(_) => "generation",
        }
    }
}

/// Takes every partition it names from the checkpoint onwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Append {
    pub generation: GenerationOrdinal,
    /// In ascending order, each partition once.
    pub partitions: Vec<PartitionAppend>,
    pub files: Vec<File>,
}

/// What became of each offset in `[from, next)` of one partition. The six counts add up to `next - from`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartitionAppend {
    pub partition: PartitionId,
    pub from: Offset,
    pub next: Offset,
    /// The leader epoch of the last record taken, where the broker says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader_epoch: Option<i32>,
    /// Rows in this commit's accepted files.
    pub accepted: u64,
    /// Rows in this commit's rejected files.
    pub rejected: u64,
    #[serde(default, skip_serializing_if = "IntervalSet::is_empty")]
    pub tombstones: IntervalSet,
    /// Events that the topic's transform drops.
    #[serde(default, skip_serializing_if = "IntervalSet::is_empty")]
    pub filtered: IntervalSet,
    #[serde(default, skip_serializing_if = "IntervalSet::is_empty")]
    pub absent: IntervalSet,
    #[serde(default, skip_serializing_if = "IntervalSet::is_empty")]
    pub lost: IntervalSet,
}

/// Puts files in the place of others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replace {
    pub reason: ReplaceReason,
    pub removed: Vec<FileKey>,
    pub files: Vec<File>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplaceReason {
    /// Many small files into few: the same rows.
    Compaction,
    /// Rejected records that a later schema accepts.
    Replay,
    /// Old time partitions go.
    Retention,
    /// A file that was gone, written again from Kafka: the same rows.
    Rewrite,
    /// Some rows must go.
    Erasure,
}

/// Opens a generation: one life of the topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenGeneration {
    pub ordinal: GenerationOrdinal,
    pub cluster_id: ClusterId,
    pub topic_id: TopicId,
    pub reason: GenerationReason,
    /// Where each partition starts, in ascending order; one that is not named starts at 0.
    pub starts: Vec<PartitionStart>,
    /// For a reset alone: the commit after which its starts were computed. With another one in between they are stale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<CommitNumber>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GenerationReason {
    FirstStart,
    TopicRecreated,
    /// The operator lets the same topic start elsewhere.
    OffsetsReset,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartitionStart {
    pub partition: PartitionId,
    pub from: Offset,
}

/// Which of a table's two sets of files: events, or records refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileSet {
    Accepted,
    Rejected,
}

impl FileSet {
    pub const ALL: [FileSet; 2] = [FileSet::Accepted, FileSet::Rejected];
}

/// What a file is known by: its set and its path below that set's root.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileKey {
    pub set: FileSet,
    pub path: FilePath,
}

/// A data file as a commit names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    pub set: FileSet,
    pub path: FilePath,
    /// The generation that its offsets belong to.
    pub generation: GenerationOrdinal,
    pub stage: StageId,
    pub bytes: u64,
    pub rows: u64,
    pub sha256: Checksum,
    /// In ascending order, each partition once.
    pub offsets: Vec<FileOffsets>,
    /// Of accepted rows the event times, of rejected rows Kafka's timestamps; None when no row has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<TimeSpan>,
    pub schema_version: SchemaVersion,
}

impl File {
    #[must_use]
    pub fn key(&self) -> FileKey {
        FileKey {
            set: self.set,
            path: self.path.clone(),
        }
    }
}

/// The rows of one partition in a file: `rows` of the offsets in `[from, next)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileOffsets {
    pub partition: PartitionId,
    pub from: Offset,
    pub next: Offset,
    pub rows: u64,
}

/// The earliest and the latest time of a file's rows, both in microseconds since 1970, both inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeSpan {
    pub min_micros: i64,
    pub max_micros: i64,
}

impl fmt::Display for FileSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            FileSet::Accepted => "accepted",
            FileSet::Rejected => "rejected",
        })
    }
}

impl fmt::Display for FileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} file {}", self.set, self.path)
    }
}

impl fmt::Display for ReplaceReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            ReplaceReason::Compaction => "compaction",
            ReplaceReason::Replay => "replay",
            ReplaceReason::Retention => "retention",
            ReplaceReason::Rewrite => "rewrite",
            ReplaceReason::Erasure => "erasure",
        })
    }
}

impl fmt::Display for GenerationReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            GenerationReason::FirstStart => "first_start",
            GenerationReason::TopicRecreated => "topic_recreated",
            GenerationReason::OffsetsReset => "offsets_reset",
        })
    }
}
