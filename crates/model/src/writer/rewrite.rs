//! A live file that is gone is written again, as the engine's `ingest/rewrite.rs`: the same rows, under a new name.

use std::collections::BTreeSet;

use eventlake_core::commit::{Body, File, FileSet, Replace, ReplaceReason, StagePlan};

use super::log::Log;
use super::start::identity;
use crate::coverage::Transition;
use crate::fence::Fence;
use crate::task::Trouble;
use crate::world::kafka::{Entry, Record};
use crate::world::store::Row;
use crate::world::{hour, short_key};

impl Log {
    /// Publishes; a live file that is gone is written again first.
    pub async fn publish_all(&mut self) -> Result<(), Trouble> {
        loop {
            let missing = self.publish().await?;
            if missing.is_empty() {
                return Ok(());
            }
            for file in &missing {
                let me = self.thread.me;
                self.thread.with(|world| {
                    world.processes[me].rewriting.insert(file.key());
                    world.tell_of(me, || format!("finds {} lost", short_key(&file.key())));
                });
                let done = self.rewrite(file).await;
                self.thread.with(|world| world.processes[me].rewriting.clear());
                if let Err(why) = done? {
                    return Err(Trouble::Fatal(why));
                }
            }
        }
    }

    /// The inner error: it cannot be done, and why.
    async fn rewrite(&mut self, file: &File) -> Result<Result<(), String>, Trouble> {
        let key = file.key();
        self.refresh().await?;
        let Some(generation) = self.fold.generation().cloned() else {
            return Ok(Err("no generation".to_owned()));
        };
        if file.generation != generation.ordinal {
            return Ok(Err("it is of an earlier life of the topic".to_owned()));
        }
        let Some(rows) = self.read_again(file).await else {
            return Ok(Err("Kafka no longer has its records".to_owned()));
        };
        let checks = self.thread.with(|world| world.holds(Fence::TopicIdRewrite));
        if checks && identity(&self.thread).await != generation.topic_id {
            return Ok(Err("the topic is another by now".to_owned()));
        }
        let plan = StagePlan::Replace {
            generation: generation.ordinal,
            inputs: vec![key.clone()],
        };
        let mut stage = self.stage(plan).await?;
        let in_hour = (0..24)
            .find(|candidate| hour(*candidate) == key.path.time_partition())
            .expect("an hour");
        let new = stage.write(file.set, in_hour, rows).await?;
        stage.sync().await?;
        if new.offsets != file.offsets || new.rows != file.rows {
            stage.start_over().await?;
            return Ok(Err("the records that Kafka has now make other rows".to_owned()));
        }
        let body = Body::Replace(Replace {
            reason: ReplaceReason::Rewrite,
            removed: vec![key],
            files: vec![new],
        });
        self.propose(&body).await?;
        Ok(Ok(()))
    }

    /// The rows of a file's set and hour, from the records at its offsets; None where Kafka has them no longer.
    async fn read_again(&self, file: &File) -> Option<Vec<Row>> {
        let me = self.thread.me;
        let mut rows = BTreeSet::new();
        for offsets in &file.offsets {
            let (partition, from, next) = (offsets.partition.0, offsets.from.0, offsets.next.0);
            let records = self
                .thread
                .step(Transition::ReadAgain, |world| {
                    world.kafka.read_again(me, partition, from, next)
                })
                .await?;
            rows.extend(
                records
                    .iter()
                    .filter(|record| belongs(record, file))
                    .map(|record| Row {
                        life: record.life,
                        partition: record.partition,
                        offset: record.offset,
                    }),
            );
        }
        (!rows.is_empty()).then(|| rows.into_iter().collect())
    }
}

fn belongs(record: &Record, file: &File) -> bool {
    match record.entry {
        Entry::Event { hour: in_hour } => {
            file.set == FileSet::Accepted && hour(in_hour) == file.path.time_partition()
        }
        Entry::Refused => file.set == FileSet::Rejected,
        Entry::Tombstone | Entry::Control => false,
    }
}
