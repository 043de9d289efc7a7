//! Where partitions begin and end, and from which offset on they are as young as a time: one request a leader for all of them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use eventlake_core::names::TopicName;
use eventlake_core::position::{Offset, PartitionId};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset as RdOffset, TopicPartitionList};

/// Between two tries while a partition's leader is being found.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// Which offset of a partition is asked for.
#[derive(Clone, Copy, Debug)]
pub enum Which {
    /// The oldest record that the broker still has.
    First,
    /// One beyond the last record that this consumer would be handed: the last stable offset, if it reads what is committed.
    Last,
    /// The first record with this timestamp or a later one.
    Since { unix_millis: i64 },
}

impl Which {
    /// Kafka's ListOffsets spells "the first" and "the last" as timestamps of -2 and -1, as librdkafka's offsets do.
    fn timestamp(self) -> RdOffset {
        match self {
            Which::First => RdOffset::Beginning,
            Which::Last => RdOffset::End,
            Which::Since { unix_millis } => RdOffset::Offset(unix_millis.max(0)),
        }
    }
}

/// The offset of each of these partitions; one is missing from the answer when it holds no record that young.
///
/// # Errors
/// When the cluster does not tell within `wait`. That a leader is not known yet, as in the first moments of a topic, is waited for.
pub fn list_offsets<'t, C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    partitions: impl IntoIterator<Item = (&'t TopicName, PartitionId)>,
    which: Which,
    wait: Duration,
) -> KafkaResult<BTreeMap<(TopicName, PartitionId), Offset>> {
    let mut asked = TopicPartitionList::new();
    for (topic, partition) in partitions {
        asked.add_partition_offset(topic.as_str(), partition.0, which.timestamp())?;
    }
    if asked.count() == 0 {
        return Ok(BTreeMap::new());
    }
    let deadline = Instant::now() + wait;
    loop {
        let remaining = deadline.saturating_duration_since(Instant::now());
        match once(consumer, asked.clone(), remaining) {
            Err(error) if is_leader_sought(&error) && remaining > RETRY_AFTER => {
                std::thread::sleep(RETRY_AFTER);
            }
            outcome => return outcome,
        }
    }
}

fn once<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    asked: TopicPartitionList,
    wait: Duration,
) -> KafkaResult<BTreeMap<(TopicName, PartitionId), Offset>> {
    let answered = consumer.offsets_for_times(asked, wait)?;
    let mut offsets = BTreeMap::new();
    for element in answered.elements() {
        element.error()?;
        if let Some(offset) = element.offset().to_raw().filter(|offset| *offset >= 0) {
            let topic = TopicName::new(element.topic()).expect("the topic asked for");
            offsets.insert((topic, PartitionId(element.partition())), Offset(offset));
        }
    }
    Ok(offsets)
}

fn is_leader_sought(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{LeaderNotAvailable, NotLeaderForPartition, UnknownTopicOrPartition};
    matches!(
        error.rdkafka_error_code(),
        Some(LeaderNotAvailable | NotLeaderForPartition | UnknownTopicOrPartition)
    )
}
