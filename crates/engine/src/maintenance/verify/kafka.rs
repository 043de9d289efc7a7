//! Kafka read once more: what it hands out at the offsets that were proven, in stretches of bounded memory.
//!
//! Reads without the group, from the first offset to be compared to the checkpoint. A stretch is whatever arrived until the
//! memory set aside for it is full; of each partition it covers the offsets from where the last one ended.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use eventlake_core::commit::Generation;
use eventlake_core::config::{KafkaConfig, TopicConfig};
use eventlake_core::position::{Offset, OffsetRange, PartitionId};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{Offset as RdOffset, TopicPartitionList};

use super::report::KafkaReport;
use super::stretch::{Stretch, StretchBuilder};
use crate::ingest::{
    ClusterShape, IngestContext, RowRules, Shares, SourceItem, TopicQueue, consumer_config, identity,
    topic_queue,
};
use crate::kafka::client::connect;
use crate::kafka::topics::DescribeError;

/// How long Kafka may stay silent.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// However little memory is left, a stretch takes in so much.
const STRETCH_BYTES_MIN: usize = 1 << 20;
const ASK_WAIT: Duration = Duration::from_secs(10);
const POLL_WAIT: Duration = Duration::from_millis(200);

/// A topic being read again.
pub(super) struct Reader {
    consumer: Arc<BaseConsumer<IngestContext>>,
    queue: TopicQueue<IngestContext>,
    /// What is left of each partition.
    left: BTreeMap<PartitionId, OffsetRange>,
    rows_bytes_max: usize,
}

/// What Kafka still has of what is to be compared.
pub(super) enum Opened {
    Reader(Box<Reader>),
    /// Nothing; the report says why.
    Nothing,
}

/// Asks the cluster who the topic is and what it still has. What it has no more is noted as not checkable.
///
/// # Errors
/// When the cluster does not answer: then nothing is known.
pub(super) fn open(
    kafka: &KafkaConfig,
    topic: &TopicConfig,
    generation: &Generation,
    ranges: &BTreeMap<PartitionId, OffsetRange>,
    memory_bytes: u64,
    report: &mut KafkaReport,
) -> Result<Opened, String> {
    let cluster = connect(kafka, ASK_WAIT).map_err(|error| error.to_string().replace('\n', "; "))?;
    let shape = ClusterShape {
        brokers: cluster.brokers.len(),
        topics: 1,
        partitions: ranges.len(),
    };
    let shares = Shares::of(memory_bytes, shape);
    let consumer: Arc<BaseConsumer<IngestContext>> = consumer_config(kafka, &shares)
        .set("group.id", format!("{}-verify", kafka.group))
        .create_with_context(IngestContext::default())
        .map(Arc::new)
        .map_err(|error| format!("no client to read topic {} again: {error}", topic.name))?;
    let wanted: u64 = ranges.values().map(|range| range.count()).sum();
    let mut nothing = |why: String| {
        report.not_checkable += wanted;
        report.reasons.push(why);
        Ok(Opened::Nothing)
    };
    match identity(topic, &consumer) {
        Ok((found, _)) if found.topic_id != generation.topic_id => {
            return nothing(format!(
                "topic {} has id {} now, the lake's generation {} has {}: it was deleted and created again",
                topic.name, found.topic_id, generation.ordinal, generation.topic_id
            ));
        }
        Ok(_) => {}
        Err(error @ DescribeError::UnknownTopic { .. }) => return nothing(error.to_string()),
        Err(error) => return Err(error.to_string()),
    }
    let left = still_there(&consumer, topic, ranges, report)?;
    if left.is_empty() {
        return Ok(Opened::Nothing);
    }
    let (queue, handle) = topic_queue(&consumer, &topic.name);
    let mut assignment = TopicPartitionList::new();
    for (partition, range) in &left {
        handle.forward(*partition);
        let from = RdOffset::Offset(range.from().0);
        assignment
            .add_partition_offset(topic.name.as_str(), partition.0, from)
            .expect("an offset from 0 on is valid");
    }
    consumer
        .assign(&assignment)
        .map_err(|error| format!("cannot read topic {} again: {error}", topic.name))?;
    Ok(Opened::Reader(Box::new(Reader {
        consumer,
        queue,
        left,
        rows_bytes_max: usize::try_from(memory_bytes / 4)
            .unwrap_or(usize::MAX)
            .max(STRETCH_BYTES_MIN),
    })))
}

/// The parts of the ranges that lie between the partitions' low and high watermarks.
fn still_there(
    consumer: &BaseConsumer<IngestContext>,
    topic: &TopicConfig,
    ranges: &BTreeMap<PartitionId, OffsetRange>,
    report: &mut KafkaReport,
) -> Result<BTreeMap<PartitionId, OffsetRange>, String> {
    let mut left = BTreeMap::new();
    for (partition, range) in ranges.iter().filter(|(_, range)| !range.is_empty()) {
        let (low, high) = consumer
            .fetch_watermarks(topic.name.as_str(), partition.0, ASK_WAIT)
            .map_err(|error| format!("the offsets of topic {} are not to be had: {error}", topic.name))?;
        let (from, next) = (range.from().max(Offset(low)), range.next().min(Offset(high)));
        let kept = OffsetRange::new(from, next).ok().filter(|kept| !kept.is_empty());
        let gone = range.count() - kept.map_or(0, OffsetRange::count);
        if gone > 0 {
            report.not_checkable += gone;
            report.reasons.push(format!(
                "Kafka has [{low}, {high}) of partition {partition}, the lake {range}: {gone} offsets are gone from Kafka"
            ));
        }
        left.extend(kept.map(|kept| (*partition, kept)));
    }
    Ok(left)
}

impl Reader {
    /// The next stretch; None when all has been read.
    ///
    /// # Errors
    /// When Kafka falls silent, or hands out what cannot be read.
    pub fn next(&mut self, topic: &TopicConfig, rules: &RowRules) -> Result<Option<Stretch>, String> {
        if self.left.is_empty() {
            return Ok(None);
        }
        let mut builder = StretchBuilder::new(rules, &self.left);
        let mut heard = Instant::now();
        let mut fault = None;
        while !builder.is_done() && builder.bytes() < self.rows_bytes_max {
            let mut count = 0_u64;
            self.queue.poll(POLL_WAIT, |item| {
                count += 1;
                match item {
                    SourceItem::Record(record) => builder.take(record),
                    SourceItem::End { partition, position } => builder.reach(*partition, *position),
                    SourceItem::OutOfRange { partition, detail }
                    | SourceItem::Unreadable { partition, detail } => {
                        fault.get_or_insert(format!("partition {partition}: {detail}"));
                    }
                    SourceItem::Passing { .. } => {}
                }
            });
            if let Some(fault) = fault {
                return Err(format!("topic {} cannot be read again: {fault}", topic.name));
            }
            if count > 0 {
                heard = Instant::now();
            } else if heard.elapsed() >= SILENCE_MAX {
                return Err(format!(
                    "Kafka does not answer while topic {} is read again",
                    topic.name
                ));
            }
        }
        let stretch = builder.finish();
        for (partition, covered) in &stretch.ranges {
            if let Some(left) = self.left.get_mut(partition) {
                *left = OffsetRange::new(covered.next(), left.next()).expect("within what was left");
            }
        }
        self.left.retain(|_, left| !left.is_empty());
        Ok(Some(stretch))
    }

    pub fn offsets_left(&self) -> u64 {
        self.left.values().map(|left| left.count()).sum()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // No rebalance is to be answered any more.
        self.consumer.context().set_closing();
    }
}
