//! A topic read beside the group: from where one likes, committing nothing, leaving no trace on the cluster.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use eventlake_core::config::KafkaConfig;
use eventlake_core::names::TopicName;
use eventlake_core::position::{Offset, PartitionId};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset as RdOffset, TopicPartitionList};

use crate::ingest::{
    ClusterShape, IngestContext, Shares, SourceItem, SourceRecord, TopicQueue, consumer_config, topic_queue,
};
use crate::kafka::client::{ConnectError, client_creation_reason};
use crate::kafka::offsets::{Which, list_offsets};
use crate::kafka::topics::{self, DescribeError};

const ASK_WAIT: Duration = Duration::from_secs(10);

/// Where reading begins in each partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TailFrom {
    Earliest,
    /// With the next record that arrives.
    Latest,
    /// So many offsets before the end, over all partitions together.
    Newest(u64),
    /// With the first record of this time or later, in microseconds since 1970, by Kafka's timestamps.
    Time {
        micros: i64,
    },
}

/// One topic being read.
pub struct Tail {
    topic: TopicName,
    consumer: Arc<BaseConsumer<IngestContext>>,
    queue: TopicQueue<IngestContext>,
    /// Where each partition ended at the start, while reading has not come there.
    ahead: BTreeMap<PartitionId, Offset>,
}

#[derive(Debug, thiserror::Error)]
pub enum TailError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Describe(#[from] DescribeError),
    #[error("the offsets of topic {topic} are not to be had: {source}")]
    Offsets { topic: TopicName, source: KafkaError },
    #[error("cannot read topic {topic}: {reason}")]
    Unreadable { topic: TopicName, reason: String },
}

impl Tail {
    /// Begins to read a topic with at most about `memory_bytes` in the client's queue.
    ///
    /// # Errors
    /// When the cluster does not answer, or has no such topic.
    pub fn open(
        kafka: &KafkaConfig,
        topic: &TopicName,
        from: TailFrom,
        memory_bytes: u64,
    ) -> Result<Tail, TailError> {
        let shape = ClusterShape {
            brokers: 1,
            topics: 1,
            partitions: 1,
        };
        let consumer: Arc<BaseConsumer<IngestContext>> =
            consumer_config(kafka, &Shares::of(memory_bytes, shape))
                .set("group.id", format!("{}-tail", kafka.group))
                .create_with_context(IngestContext::default())
                .map(Arc::new)
                .map_err(|error| TailError::Unreadable {
                    topic: topic.clone(),
                    reason: client_creation_reason(&error),
                })?;
        let description = topics::describe(consumer.client(), topic.as_str(), ASK_WAIT)?;
        let partitions = description
            .partitions
            .iter()
            .map(|one| PartitionId(one.partition));
        let places =
            places(&consumer, topic, partitions.collect(), from).map_err(|source| TailError::Offsets {
                topic: topic.clone(),
                source,
            })?;
        let (queue, handle) = topic_queue(&consumer, topic);
        let mut assignment = TopicPartitionList::new();
        for (partition, place) in &places {
            handle.forward(*partition);
            assignment
                .add_partition_offset(topic.as_str(), partition.0, RdOffset::Offset(place.from.0))
                .expect("an offset from 0 on is valid");
        }
        consumer
            .assign(&assignment)
            .map_err(|error| TailError::Unreadable {
                topic: topic.clone(),
                reason: error.to_string(),
            })?;
        let ahead = places.into_iter().filter(|(_, place)| place.from < place.end);
        Ok(Tail {
            topic: topic.clone(),
            consumer,
            queue,
            ahead: ahead.map(|(partition, place)| (partition, place.end)).collect(),
        })
    }

    #[must_use]
    pub fn topic(&self) -> &TopicName {
        &self.topic
    }

    /// Whether all has been handed out that was there at the start.
    #[must_use]
    pub fn is_past_its_start(&self) -> bool {
        self.ahead.is_empty()
    }

    /// Hands out what has arrived, each partition in its order; waits at most `wait` for the first record.
    ///
    /// # Errors
    /// When the records that come next were deleted, or cannot be read.
    pub fn poll(&mut self, wait: Duration, mut each: impl FnMut(&SourceRecord<'_>)) -> Result<(), TailError> {
        let (ahead, mut fault) = (&mut self.ahead, None);
        let mut reach = |partition: PartitionId, position: Offset| {
            if ahead.get(&partition).is_some_and(|end| position >= *end) {
                ahead.remove(&partition);
            }
        };
        self.queue.poll(wait, |item| match item {
            SourceItem::Record(record) => {
                each(record);
                reach(record.partition(), record.offset().following());
            }
            SourceItem::End { partition, position } => reach(*partition, *position),
            SourceItem::OutOfRange { partition, detail } => {
                fault = Some(format!(
                    "partition {partition}: {detail}; hint: records were deleted before they were read, start again"
                ));
            }
            SourceItem::Unreadable { partition, detail } => {
                fault = Some(format!("partition {partition}: {detail}"));
            }
            SourceItem::Passing { .. } => {}
        });
        fault.map_or(Ok(()), |reason| {
            Err(TailError::Unreadable {
                topic: self.topic.clone(),
                reason,
            })
        })
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        // No rebalance is to be answered any more.
        self.consumer.context().set_closing();
    }
}

/// Where reading of a partition begins, and where the partition ends now.
struct Place {
    from: Offset,
    end: Offset,
}

fn places(
    consumer: &BaseConsumer<IngestContext>,
    topic: &TopicName,
    partitions: Vec<PartitionId>,
    from: TailFrom,
) -> Result<BTreeMap<PartitionId, Place>, KafkaError> {
    let list = |which| {
        list_offsets(
            consumer,
            partitions.iter().map(|id| (topic, *id)),
            which,
            ASK_WAIT,
        )
    };
    let (lows, ends) = (list(Which::First)?, list(Which::Last)?);
    let young = match from {
        TailFrom::Time { micros } => list(Which::Since {
            unix_millis: micros.div_euclid(1000),
        })?,
        _ => BTreeMap::new(),
    };
    let share = |newest: u64| newest.div_ceil(partitions.len().max(1) as u64);
    let place = |((topic, partition), end): ((TopicName, PartitionId), Offset)| {
        let key = (topic, partition);
        let low = lows.get(&key).copied().unwrap_or(end);
        let from = match from {
            TailFrom::Earliest => low,
            TailFrom::Latest => end,
            TailFrom::Newest(records) => {
                let records = i64::try_from(share(records)).unwrap_or(i64::MAX);
                Offset(end.0.saturating_sub(records)).max(low)
            }
            TailFrom::Time { .. } => young.get(&key).copied().unwrap_or(end),
        };
        (partition, Place { from, end })
    };
    Ok(ends.into_iter().map(place).collect())
}
