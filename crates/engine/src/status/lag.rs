//! How far a table is behind its topic, and whether the topic still has what the table lacks.

use eventlake_core::position::{Offset, PartitionId};
use serde::Serialize;

use super::broker::BrokerTopic;
use super::lake::LakeStatus;

/// The distance between a checkpoint and a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Lag {
    /// Offsets that Kafka has and the lake does not.
    pub records: u64,
    /// Offsets that the lake lacks and Kafka no longer has.
    pub gone: u64,
    /// The checkpoint lies beyond the end of these partitions.
    pub ahead: Vec<PartitionId>,
    /// The topic was deleted and created again since the last commit: the checkpoint says nothing about it.
    pub recreated: bool,
}

/// Compares what the lake has with what the brokers have. A table that never started lacks all that there is.
#[must_use]
pub fn lag(lake: Option<&LakeStatus>, topic: &BrokerTopic) -> Lag {
    let recreated = match (lake, &topic.topic_id) {
        (Some(lake), Some(id)) => lake.topic_id.as_str() != id,
        _ => false,
    };
    let current = lake.filter(|_| !recreated);
    let mut lag = Lag {
        recreated,
        ..Lag::default()
    };
    for partition in &topic.partitions {
        let next = match current {
            None => partition.start,
            Some(lake) => {
                let known = lake
                    .checkpoint
                    .iter()
                    .find(|known| known.partition == partition.partition);
                // A partition that appears later starts at 0.
                known.map_or(Offset::ZERO, |known| known.next)
            }
        };
        lag.gone += distance(next, partition.start);
        lag.records += distance(next.max(partition.start), partition.end);
        if next > partition.end {
            lag.ahead.push(partition.partition);
        }
    }
    lag
}

fn distance(from: Offset, to: Offset) -> u64 {
    u64::try_from(to.0 - from.0).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use eventlake_core::commit::{ClusterId, CommitNumber, Counts, GenerationOrdinal, TopicId};

    use super::super::broker::BrokerPartition;
    use super::super::lake::{PartitionCheckpoint, SetStatus};
    use super::*;

    fn topic(id: &str, ranges: &[(i64, i64)]) -> BrokerTopic {
        let partitions = (0..)
            .zip(ranges)
            .map(|(partition, (start, end))| BrokerPartition {
                partition: PartitionId(partition),
                start: Offset(*start),
                end: Offset(*end),
            });
        BrokerTopic {
            topic_id: Some(id.to_owned()),
            partitions: partitions.collect(),
        }
    }

    fn lake(nexts: &[i64]) -> LakeStatus {
        let none = SetStatus {
            files: 0,
            rows: 0,
            bytes: 0,
        };
        let checkpoint = (0..).zip(nexts).map(|(partition, next)| PartitionCheckpoint {
            partition: PartitionId(partition),
            start: Offset::ZERO,
            next: Offset(*next),
            lost: 0,
        });
        LakeStatus {
            generation: GenerationOrdinal(1),
            topic_id: TopicId::new("one").expect("an id"),
            cluster_id: ClusterId::new("cluster").expect("an id"),
            totals: Counts::default(),
            accepted: none,
            rejected: none,
            checkpoint: checkpoint.collect(),
            last_commit_number: CommitNumber(1),
            last_commit_unix_millis: None,
            last_commit_writer: None,
            landed_per_sec: None,
            newest_event_unix_micros: None,
        }
    }

    #[test]
    fn lag_is_what_kafka_has_and_the_lake_lacks() {
        let ranges = [(0, 100), (50, 80), (0, 7)];
        let landed = lag(Some(&lake(&[90, 80])), &topic("one", &ranges));
        assert_eq!(
            (landed.records, landed.gone),
            (10 + 7, 0),
            "partition 2 appeared later and starts at 0"
        );
        let never = lag(None, &topic("one", &ranges));
        assert_eq!(
            (never.records, never.gone),
            (100 + 30 + 7, 0),
            "what retention took before the start is no loss"
        );
    }

    #[test]
    fn what_retention_took_from_behind_the_checkpoint_is_told_apart() {
        let landed = lag(Some(&lake(&[10, 0])), &topic("one", &[(30, 100), (5, 5)]));
        assert_eq!((landed.records, landed.gone), (70, 20 + 5));
        let ahead = lag(Some(&lake(&[101])), &topic("one", &[(0, 100)]));
        assert_eq!((ahead.records, ahead.ahead), (0, vec![PartitionId(0)]));
    }

    #[test]
    fn a_topic_that_was_created_again_lacks_nothing_of_its_former_life() {
        let landed = lag(Some(&lake(&[1_000])), &topic("two", &[(0, 40)]));
        assert!(landed.recreated && landed.ahead.is_empty());
        assert_eq!((landed.records, landed.gone), (40, 0));
    }
}
