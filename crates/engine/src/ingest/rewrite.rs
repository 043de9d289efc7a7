//! A committed file that is gone is written again from Kafka: the same rows, under a new name, by a replace commit.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use eventlake_core::commit::{Body, File, FileSet, Replace, ReplaceReason, StagePlan, TopicId};
use eventlake_core::config::{KafkaConfig, TopicConfig};
use eventlake_core::names::TimePartition;
use eventlake_core::position::{Offset, PartitionId};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{Offset as RdOffset, TopicPartitionList};

use crate::ingest::client::consumer_config;
use crate::ingest::context::IngestContext;
use crate::ingest::file_writer::{FileFacts, folder_of, write_set};
use crate::ingest::intake::{Delivery, Intake};
use crate::ingest::memory::Shares;
use crate::ingest::rejected::RejectedRows;
use crate::ingest::source::{SourceItem, SourceRecord, topic_queue};
use crate::ingest::start::{Trouble, identity, now};
use crate::ingest::transform::RowRules;
use crate::lake::{LakeError, Outcome, TopicLog};

/// How long Kafka may stay silent in the middle of it.
const SILENCE_MAX: Duration = Duration::from_secs(30);
const POLL_WAIT: Duration = Duration::from_millis(200);

/// What it takes to read a topic's records again, apart from the group.
#[derive(Clone)]
pub struct Rewriter {
    pub kafka: KafkaConfig,
    pub shares: Shares,
    pub topic: TopicConfig,
    pub rules: RowRules,
    pub facts: FileFacts,
}

impl Rewriter {
    /// Publishes what any writer has committed; a live file that is gone is written again first.
    ///
    /// # Errors
    /// Fatal when a file is gone and Kafka no longer has its records, or would make other rows of them.
    pub fn publish(&self, log: &mut TopicLog) -> Result<(), Trouble> {
        loop {
            match log.publish() {
                Ok(_) => return Ok(()),
                Err(LakeError::MissingFiles { topic, files }) => {
                    for file in &files {
                        if let Err(why) = self.rewrite(log, file)? {
                            let missing = LakeError::MissingFiles {
                                topic,
                                files: files.clone(),
                            };
                            return Err(Trouble::Fatal(format!(
                                "{missing}\nit cannot be written again from Kafka: {why}"
                            )));
                        }
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The inner error: it cannot be done, and why.
    fn rewrite(&self, log: &mut TopicLog, file: &File) -> Result<Result<(), String>, Trouble> {
        let key = file.key();
        let Some(current) = log.fold()?.generation().cloned() else {
            return Ok(Err("the log has no generation".to_owned()));
        };
        let generation = current.ordinal;
        if file.generation != generation {
            return Ok(Err("it is of an earlier life of the topic".to_owned()));
        }
        if file.schema_version != *self.facts.version(file.set) {
            return Ok(Err("the schema has changed since".to_owned()));
        }
        let (batch, times) = match self.read_again(file, &current.topic_id)? {
            Ok(rows) => rows,
            Err(why) => return Ok(Err(why)),
        };
        let plan = StagePlan::Replace {
            generation,
            inputs: vec![key.clone()],
        };
        let mut stage = log.stage(plan, now())?;
        let mut files = Vec::new();
        write_set(&stage, file.set, &batch, &times, &self.facts, &mut files)?;
        stage.sync()?;
        let same = |new: &File| new.offsets == file.offsets && new.rows == file.rows;
        if !matches!(&files[..], [new] if same(new)) {
            stage.start_over()?;
            return Ok(Err("the records that Kafka has now make other rows".to_owned()));
        }
        let reason = ReplaceReason::Rewrite;
        match log.propose(
            Body::Replace(Replace {
                reason,
                removed: vec![key.clone()],
                files,
            }),
            now(),
        )? {
            Outcome::Committed { number } => tracing::warn!(
                topic = %self.topic.name,
                commit = number.0,
                "{key} was gone from the lake and has been written again from Kafka",
            ),
            // Another writer was faster, or the file is live no longer: the next look tells.
            Outcome::Refused { .. } | Outcome::Void { .. } | Outcome::Dropped => {}
        }
        Ok(Ok(()))
    }

    /// The rows of a file, decoded anew from the records at its offsets in this life of the topic.
    fn read_again(
        &self,
        file: &File,
        topic_id: &TopicId,
    ) -> Result<Result<(RecordBatch, Vec<i64>), String>, Trouble> {
        let consumer: Arc<BaseConsumer<IngestContext>> = consumer_config(&self.kafka, &self.shares)
            .set("group.id", format!("{}-rewrite", self.kafka.group))
            .create_with_context(IngestContext::default())
            .map(Arc::new)
            .map_err(|error| Trouble::NotNow(format!("no client to read {} again: {error}", file.path)))?;
        let (mut queue, handle) = topic_queue(&consumer, &self.topic.name);
        let mut assignment = TopicPartitionList::new();
        let mut left: BTreeMap<PartitionId, Offset> = BTreeMap::new();
        for offsets in &file.offsets {
            handle.forward(offsets.partition);
            let from = RdOffset::Offset(offsets.from.0);
            assignment
                .add_partition_offset(self.topic.name.as_str(), offsets.partition.0, from)
                .expect("an offset from 0 on is valid");
            left.insert(offsets.partition, offsets.next);
        }
        consumer
            .assign(&assignment)
            .map_err(|error| Trouble::NotNow(format!("cannot read {} again: {error}", file.path)))?;

        let mut rows = Rows::new(&self.rules);
        let mut heard = Instant::now();
        let mut fault = None;
        while !left.is_empty() && fault.is_none() {
            let mut count = 0_u64;
            queue.poll(POLL_WAIT, |item| {
                count += 1;
                match item {
                    SourceItem::Record(record) => {
                        let (partition, offset) = (record.partition(), record.offset());
                        let Some(end) = left.get(&partition).copied() else {
                            return;
                        };
                        if offset < end {
                            rows.take(record);
                        }
                        if offset.following() >= end {
                            left.remove(&partition);
                        }
                    }
                    SourceItem::End { partition, .. } => {
                        left.remove(partition);
                    }
                    SourceItem::OutOfRange { partition, detail }
                    | SourceItem::Unreadable { partition, detail } => {
                        fault.get_or_insert(format!("partition {partition}: {detail}"));
                    }
                    SourceItem::Passing { .. } => {}
                }
            });
            if count > 0 {
                heard = Instant::now();
            } else if heard.elapsed() >= SILENCE_MAX {
                return Err(Trouble::NotNow(format!(
                    "kafka does not answer while {} is read again",
                    file.path
                )));
            }
        }
        // Ids never recur: what has the generation's after the last record had it when the first one was read.
        let (seen, _) = identity(&self.topic, &consumer)?;
        consumer.context().set_closing();
        match fault {
            Some(fault) => Ok(Err(fault)),
            None if seen.topic_id != *topic_id => Ok(Err(
                "the topic was deleted and created again, or is on another cluster".to_owned(),
            )),
            None => Ok(Ok(rows.of(file, self.topic.partition_by))),
        }
    }
}

/// Both sets of rows that a stretch of records makes.
struct Rows {
    intake: Intake,
    rejected: RejectedRows,
}

impl Rows {
    fn new(rules: &RowRules) -> Rows {
        Rows {
            intake: Intake::new(rules),
            rejected: RejectedRows::new(),
        }
    }

    fn take(&mut self, record: &SourceRecord<'_>) {
        if let Some(delivery) = Delivery::of(record) {
            let rejected = &mut self.rejected;
            self.intake
                .take(&delivery, |record, verdict| rejected.keep(record, &verdict));
        }
    }

    /// Those of the file's set and time partition.
    fn of(mut self, file: &File, by: eventlake_core::config::PartitionBy) -> (RecordBatch, Vec<i64>) {
        let rejected = &mut self.rejected;
        self.intake
            .settle(|record, verdict| rejected.keep(record, &verdict));
        let (batch, times) = match file.set {
            FileSet::Accepted => {
                let events = self.intake.take_rows();
                (events.batch, events.event_times_micros)
            }
            FileSet::Rejected => {
                let rejected = self.rejected.finish();
                (rejected.batch, rejected.times_micros)
            }
        };
        let folder: TimePartition = file.path.time_partition();
        let here: Vec<bool> = times.iter().map(|time| folder_of(*time, by) == folder).collect();
        let times = times
            .iter()
            .zip(&here)
            .filter(|(_, here)| **here)
            .map(|(time, _)| *time)
            .collect();
        let batch = filter_record_batch(&batch, &BooleanArray::from(here)).expect("one flag a row");
        (batch, times)
    }
}

#[cfg(test)]
mod tests;
