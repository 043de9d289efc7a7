//! Records beside the log: manifests of staged files, and who owns a table.

use serde::{Deserialize, Serialize};

use super::codec::Format;
use super::ids::{GenerationOrdinal, LogId, Moment, StageId, WriterId};
use super::record::{Body, FileKey, PartitionStart};
use crate::names::{TableName, TopicName};

/// What is about to be staged. Durable before the first byte of a data file, so that every staged file can be judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    format: Format,
    pub stage: StageId,
    pub topic: TopicName,
    pub table: TableName,
    pub writer: WriterId,
    pub time: Moment,
    pub plan: StagePlan,
}

/// The commit that staged files wait for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum StagePlan {
    /// Where the append will start, a partition. The append takes every one of these, from there: once the checkpoint
    /// has passed one of them, the files are deleted.
    Append {
        generation: GenerationOrdinal,
        from: Vec<PartitionStart>,
    },
    /// Files that the replace will remove, every one: once one of them is live no longer, the staged files are deleted.
    Replace {
        generation: GenerationOrdinal,
        inputs: Vec<FileKey>,
    },
}

impl StagePlan {
    /// Whether a commit does what was planned. One that does not might come true after its files were deleted.
    #[must_use]
    pub fn is_kept_by(&self, body: &Body) -> bool {
        match (self, body) {
            (StagePlan::Append { generation, from }, Body::Append(append)) => {
                let is_taken = |start: &PartitionStart| {
                    let mut taken = append.partitions.iter();
                    taken.any(|taken| taken.partition == start.partition && taken.from == start.from)
                };
                append.generation == *generation && !from.is_empty() && from.iter().all(is_taken)
            }
            (StagePlan::Replace { inputs, .. }, Body::Replace(replace)) => {
                !inputs.is_empty() && inputs.iter().all(|input| replace.removed.contains(input))
            }
            _ => false,
        }
    }

    /// The generation whose topic id the staged files' names carry.
    #[must_use]
    pub fn generation(&self) -> GenerationOrdinal {
        match self {
            StagePlan::Append { generation, .. } | StagePlan::Replace { generation, .. } => *generation,
        }
    }
}

impl Manifest {
    #[must_use]
    pub fn new(
        stage: StageId,
        topic: TopicName,
        table: TableName,
        writer: WriterId,
        time: Moment,
        plan: StagePlan,
    ) -> Manifest {
        Manifest {
            format: Format,
            stage,
            topic,
            table,
            writer,
            time,
            plan,
        }
    }
}

/// Names the one log whose commits make a table's files true.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Owner {
    format: Format,
    pub topic: TopicName,
    pub log: LogId,
}

impl Owner {
    #[must_use]
    pub fn new(topic: TopicName, log: LogId) -> Owner {
        Owner {
            format: Format,
            topic,
            log,
        }
    }
}
