//! For `--until-end`: where each partition ends, of which topic that is said, and whether all has landed up to there.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use eventlake_core::commit::TopicId;
use eventlake_core::config::TopicConfig;
use eventlake_core::position::{Offset, PartitionId};
use rdkafka::consumer::BaseConsumer;

use crate::ingest::context::IngestContext;
use crate::ingest::start::identity;
use crate::kafka::offsets::{Which, list_offsets};
use crate::kafka::topics::DescribeError;

/// The ends of a topic's partitions: the last stable offset of each when they were asked for.
#[derive(Clone, Debug)]
pub struct Aim {
    /// Offsets mean nothing beyond the life of the topic they were read from.
    pub topic_id: TopicId,
    pub ends: Arc<BTreeMap<PartitionId, Offset>>,
}

/// What one topic must reach before the run ends.
#[derive(Debug)]
pub struct EndTarget {
    aim: Mutex<Aim>,
    /// What this member of the group has of the topic has landed up to the ends.
    pub reached: AtomicBool,
}

impl EndTarget {
    #[must_use]
    pub fn new(aim: Aim) -> EndTarget {
        EndTarget {
            aim: Mutex::new(aim),
            reached: AtomicBool::new(false),
        }
    }

    #[must_use]
    pub fn aim(&self) -> Aim {
        self.aim.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Aims at the ends of another life of the topic: those of the one before will never be reached.
    pub fn aim_anew(&self, aim: Aim) {
        *self.aim.lock().unwrap_or_else(PoisonError::into_inner) = aim;
    }
}

/// Why the ends of a topic are not known.
#[derive(Debug, thiserror::Error)]
pub enum NoAim {
    #[error(transparent)]
    Describe(#[from] DescribeError),
    #[error("the ends of {topic} are not to be had: {reason}")]
    End { topic: String, reason: String },
}

/// Where the topic's partitions end now, and which topic that is: the id before the ends were asked for is the id after it.
///
/// # Errors
/// When the cluster does not answer, or has no such topic.
pub fn aim_at(
    topic: &TopicConfig,
    consumer: &BaseConsumer<IngestContext>,
    wait: Duration,
) -> Result<Aim, NoAim> {
    loop {
        let (before, description) = identity(topic, consumer)?;
        let partitions = description.partitions.iter();
        let partitions = partitions.map(|one| (&topic.name, PartitionId(one.partition)));
        let ends = list_offsets(consumer, partitions, Which::Last, wait);
        let ends = ends.map_err(|error| NoAim::End {
            topic: topic.name.to_string(),
            reason: error.to_string(),
        })?;
        if identity(topic, consumer)?.0 == before {
            return Ok(Aim {
                topic_id: before.topic_id,
                ends: Arc::new(
                    ends.into_iter()
                        .map(|((_, partition), end)| (partition, end))
                        .collect(),
                ),
            });
        }
    }
}
