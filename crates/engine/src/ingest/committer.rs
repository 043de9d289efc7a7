//! One topic's committer thread: a sealed buffer becomes staged files, a commit, and published files, in that order.
//!
//! Between jobs it looks after the log: publishes what other writers committed, and sees whether the topic is still
//! the same one. A disk or a cluster that does not answer is waited for; the pipeline behind then fills one buffer
//! and pauses.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use chrono::Utc;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use eventlake_core::commit::{
    Append, Body, CommitNumber, File, FileSet, GenerationOrdinal, PartitionAppend, PartitionStart, StagePlan,
    TopicId,
};
use eventlake_core::config::{LakeConfig, OnDataLoss, TopicConfig};
use eventlake_core::continuity::{Place, place};
use eventlake_core::flush::RollReason;
use eventlake_core::grouped::grouped;
use eventlake_core::position::{IntervalSet, Offset, OffsetRange, PartitionId};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::topic_partition_list::{Offset as RdOffset, TopicPartitionList};

use crate::failpoint::Failpoints;
use crate::failpoint::step::Step;
use crate::ingest::buffer::{Passed, RollAccount, SealedBuffer, SealedRows};
use crate::ingest::context::IngestContext;
use crate::ingest::file_writer::write_files;
use crate::ingest::memory::SealedBytes;
use crate::ingest::pause::Pause;
use crate::ingest::pipeline::{Job, JobId, Report};
use crate::ingest::rewrite::Rewriter;
use crate::ingest::source::QueueHandle;
use crate::ingest::start::{ASK_WAIT, Settled, Trouble, identity, now, reset_generation, settle_generation};
use crate::ingest::tidy::Tidier;
use crate::lake::{Outcome, TopicLog};
use crate::telemetry::{CodeCounts, CommittedRoll, TopicState, TopicTelemetry, Work};

/// Between two tries at what does not answer: from the first to the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));

/// Everything a committer works with.
pub struct Committer {
    pub topic: TopicConfig,
    pub lake: LakeConfig,
    pub log: TopicLog,
    pub consumer: Arc<BaseConsumer<IngestContext>>,
    pub queue: QueueHandle<IngestContext>,
    pub telemetry: Arc<TopicTelemetry>,
    pub rewriter: Rewriter,
    pub tidier: Tidier,
    pub failpoints: Failpoints,
    pub jobs: Receiver<Job>,
    pub reports: Sender<Report>,
    pub give_up: Arc<AtomicBool>,
    /// It reported that the topic cannot go on, and does nothing more unasked.
    pub failed: bool,
}

/// Why a job did not end as wished.
enum Setback {
    /// Positions and checkpoint have come apart, or are about to: start over from the checkpoint.
    Rewind(String),
    /// A person must act.
    Fatal(String),
}

impl Committer {
    /// Runs until its pipeline has ended.
    pub fn run(mut self) {
        loop {
            let report = match self.jobs.recv_timeout(self.lake.roll_interval) {
                Ok(Job::Roll {
                    id,
                    generation,
                    sealed,
                    held,
                }) => Some(self.answer(id, |committer| committer.land(generation, *sealed, held))),
                Ok(Job::Investigate {
                    id,
                    partition,
                    detail,
                }) => Some(self.answer(id, |committer| committer.investigate(partition, &detail))),
                Err(RecvTimeoutError::Timeout) if self.failed => None,
                Err(RecvTimeoutError::Timeout) => self.look(),
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if let Some(report) = report {
                self.failed |= matches!(report, Report::Failed { .. });
                // A pipeline that is gone no longer wants to know.
                let _ = self.reports.send(report);
                self.queue.wake();
            }
        }
    }

    fn answer(&mut self, id: JobId, work: impl FnOnce(&mut Self) -> Result<(), Setback>) -> Report {
        match work(self) {
            Ok(()) => Report::Landed(id),
            Err(Setback::Rewind(why)) => {
                tracing::info!(topic = %self.topic.name, "going back to the checkpoint: {why}");
                self.telemetry.on_roll_dropped();
                Report::Rewind(id)
            }
            Err(Setback::Fatal(why)) => Report::Failed { why },
        }
    }

    /// What is done when there is nothing to land. Trouble here is not news: the next roll will meet it, and tell.
    fn look(&mut self) -> Option<Report> {
        match settle_generation(&mut self.log, &self.topic, &self.consumer) {
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(topic = %self.topic.name, "could not look after the topic: {error}");
                return None;
            }
        }
        match self.rewriter.publish(&mut self.log) {
            Ok(()) | Err(Trouble::NotNow(_)) => self
                .log
                .last_fold()
                .generation()
                .map(|generation| Report::Generation(generation.ordinal)),
            Err(Trouble::Fatal(why)) => Some(Report::Failed { why }),
        }
    }

    fn land(
        &mut self,
        generation: GenerationOrdinal,
        sealed: SealedBuffer,
        held: SealedBytes,
    ) -> Result<(), Setback> {
        self.failpoints.pass(Step::RollBegun);
        let started = Instant::now();
        let SealedBuffer { account, rows, .. } = sealed;
        let topic_id = self.topic_id_of(generation)?;
        let files = self.write(generation, &account, &rows)?;
        drop((rows, held));
        let committing = Instant::now();
        self.still_the_same(&topic_id)?;
        let partitions = account.partitions.iter().map(appended).collect();
        let number = self.commit(Body::Append(Append {
            generation,
            partitions,
            files: files.clone(),
        }))?;
        let publishing = Instant::now();
        self.telemetry.on_worked(Work::Commit, publishing - committing);
        self.persist(|committer| committer.rewriter.publish(&mut committer.log))?;
        self.telemetry.on_worked(Work::Publish, publishing.elapsed());
        self.failpoints.pass(Step::RollPublished);
        self.report(number, &account, &files, started.elapsed());
        self.tell_kafka(&account.partitions);
        self.tidier.tidy(&mut self.log);
        Ok(())
    }

    /// Stages the rows: all of it durable when this returns.
    fn write(
        &mut self,
        generation: GenerationOrdinal,
        account: &RollAccount,
        rows: &SealedRows,
    ) -> Result<Vec<File>, Setback> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let from = account.partitions.iter().map(|passed| PartitionStart {
            partition: passed.partition,
            from: passed.from,
        });
        let plan = StagePlan::Append {
            generation,
            from: from.collect(),
        };
        let mut stage = self.persist(|committer| Ok(committer.log.stage(plan.clone(), now())?))?;
        self.persist(|committer| {
            stage.start_over()?;
            let writing = Instant::now();
            let files = write_files(&stage, rows, &committer.rewriter.facts)?;
            stage.sync()?;
            committer.telemetry.on_worked(Work::Write, writing.elapsed());
            Ok(files)
        })
    }

    fn topic_id_of(&mut self, generation: GenerationOrdinal) -> Result<TopicId, Setback> {
        let found = self.persist(|committer| {
            let current = committer.log.fold()?.generation();
            Ok(current
                .filter(|current| current.ordinal == generation)
                .map(|current| current.topic_id.clone()))
        })?;
        found.ok_or_else(|| Setback::Rewind(format!("generation {generation} is over")))
    }

    /// The topic must still be the generation's after the roll's last record was read: ids never recur, so all of it
    /// then came from this topic. If it is another by now, the generation is opened and the roll dropped.
    fn still_the_same(&mut self, topic_id: &TopicId) -> Result<(), Setback> {
        let seen = self.persist(|committer| Ok(identity(&committer.topic, &committer.consumer)?.0))?;
        if seen.topic_id == *topic_id {
            return Ok(());
        }
        self.persist(|committer| {
            settle_generation(&mut committer.log, &committer.topic, &committer.consumer).map(|_| ())
        })?;
        Err(Setback::Rewind(
            "the topic was deleted and created again, or is on another cluster".to_owned(),
        ))
    }

    fn commit(&mut self, body: Body) -> Result<CommitNumber, Setback> {
        match self.persist(|committer| Ok(committer.log.propose(body.clone(), now())?))? {
            Outcome::Committed { number } => Ok(number),
            Outcome::Refused { reason } => {
                Err(Setback::Rewind(format!("the commit would be void: {reason}")))
            }
            Outcome::Void { number, reason } => {
                Err(Setback::Rewind(format!("commit {number} is void: {reason}")))
            }
            Outcome::Dropped => Err(Setback::Rewind(
                "the commit came too late: a snapshot covers it".to_owned(),
            )),
        }
    }

    /// Tries until it works, with one line when it first does not, one now and then while it does not, and one when it
    /// does again.
    fn persist<T>(&mut self, mut work: impl FnMut(&mut Self) -> Result<T, Trouble>) -> Result<T, Setback> {
        let mut wait = BACKOFF.0;
        let mut pause: Option<Pause> = None;
        loop {
            let why = match work(self) {
                Ok(done) => {
                    if let Some(pause) = pause {
                        pause.end(&self.telemetry, TopicState::Running);
                    }
                    return Ok(done);
                }
                Err(Trouble::Fatal(why)) => return Err(Setback::Fatal(why)),
                Err(Trouble::NotNow(why)) => why,
            };
            if self.give_up.load(Relaxed) {
                return Err(Setback::Rewind(format!("gave up at the stop: {why}")));
            }
            pause.get_or_insert_with(|| Pause::begin(Instant::now())).go_on(
                &why,
                &self.telemetry,
                Instant::now(),
            );
            std::thread::sleep(wait);
            wait = (wait * 2).min(BACKOFF.1);
        }
    }

    fn report(&self, number: CommitNumber, account: &RollAccount, files: &[File], took: Duration) {
        let newest = files.iter().filter(|file| file.set == FileSet::Accepted);
        let roll = CommittedRoll {
            number: number.0,
            at_unix_millis: Utc::now().timestamp_millis(),
            reason: account.reason,
            took,
            accepted: account.sum(|passed| passed.accepted),
            rejected: account.rejected_codes.clone(),
            tombstones: account.sum(|passed| passed.tombstones.count()),
            filtered: account.sum(|passed| passed.filtered.count()),
            absent: account.sum(|passed| passed.absent.count()),
            lost: 0,
            files: files.len() as u64,
            file_bytes: files.iter().map(|file| file.bytes).sum(),
            newest_event_micros: newest
                .filter_map(|file| file.times.map(|times| times.max_micros))
                .max(),
            checkpoint: account
                .partitions
                .iter()
                .map(|passed| (passed.partition, passed.next))
                .collect(),
        };
        self.telemetry.on_committed(&roll);
        let rejected = account.sum(|passed| passed.rejected);
        let other = roll.tombstones + roll.filtered + roll.absent;
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(
            target: "eventlake_roll",
            topic = %self.topic.name,
            commit = roll.number,
            accepted = roll.accepted,
            rejected,
            other,
            files = roll.files,
            bytes = roll.file_bytes,
            took_ms,
            reason = %roll.reason,
            "commit {:>6}  {:>9} rows  {:>7} rejected  {:>3} files  {:>7} KiB  {took_ms:>5} ms  {}",
            roll.number,
            grouped(roll.accepted),
            grouped(rejected),
            roll.files,
            grouped(roll.file_bytes.div_ceil(1024)),
            roll.reason,
        );
    }

    /// The group's offsets are for lag tools only, so nothing is kept waiting for them, and none are told in the
    /// middle of a rebalance.
    fn tell_kafka(&self, partitions: &[Passed]) {
        if self.consumer.context().is_rebalancing() {
            return;
        }
        let mut list = TopicPartitionList::new();
        for passed in partitions {
            let next = RdOffset::Offset(passed.next.0);
            list.add_partition_offset(self.topic.name.as_str(), passed.partition.0, next)
                .expect("an offset from 0 on is valid");
        }
        self.failpoints.pass(Step::TellKafka);
        if let Err(error) = self.consumer.commit(&list, CommitMode::Async) {
            tracing::debug!(topic = %self.topic.name, "kafka was not told of the checkpoint: {error}");
        }
        self.failpoints.pass(Step::KafkaTold);
    }

    /// The reader's position is outside of its partition, and everything before it has landed: says why, and goes on
    /// where that is allowed.
    fn investigate(&mut self, partition: PartitionId, detail: &str) -> Result<(), Setback> {
        let settled = self.persist(|committer| {
            settle_generation(&mut committer.log, &committer.topic, &committer.consumer)
        })?;
        if settled == Settled::Opened {
            return Err(Setback::Rewind(
                "the topic was deleted and created again".to_owned(),
            ));
        }
        let (generation, topic_id, checkpoint) = self.current(partition)?;
        let name = self.topic.name.clone();
        let (low, end) = self.persist(|committer| {
            let watermarks = committer
                .consumer
                .fetch_watermarks(name.as_str(), partition.0, ASK_WAIT);
            watermarks
                .map_err(|error| Trouble::NotNow(format!("the ends of {name} are not to be had: {error}")))
        })?;
        // The ends were those of the generation's topic only if it is still the same after they were told.
        self.still_the_same(&topic_id)?;
        if detail.contains("truncat") {
            return Err(Setback::Fatal(format!(
                "data loss: partition {partition} was cut short in Kafka below offset {checkpoint}, up to which it has landed \
                 ({detail}); its offsets are given out again; hint: was there an unclean leader election? to take the topic \
                 as it is now, land it in a new table with a checkpoint of its own"
            )));
        }
        match place(checkpoint, Offset(low), Offset(end)) {
            Place::Inside => {}
            Place::Passed { low } => self.passed(generation, partition, checkpoint, low)?,
            Place::Ahead { end } => self.ahead(generation, partition, checkpoint, end)?,
        }
        Err(Setback::Rewind(format!("partition {partition}: {detail}")))
    }

    /// The generation that is open, its topic, and the partition's checkpoint in it.
    fn current(&mut self, partition: PartitionId) -> Result<(GenerationOrdinal, TopicId, Offset), Setback> {
        let found = self.persist(|committer| {
            let current = committer.log.fold()?.generation();
            Ok(current.map(|current| (current.ordinal, current.topic_id.clone(), current.next(partition))))
        })?;
        found.ok_or_else(|| Setback::Rewind("the log has no generation".to_owned()))
    }

    fn passed(
        &mut self,
        generation: GenerationOrdinal,
        partition: PartitionId,
        checkpoint: Offset,
        low: Offset,
    ) -> Result<(), Setback> {
        let gone = OffsetRange::new(checkpoint, low).expect("retention passed the checkpoint");
        let what = format!(
            "data loss: partition {partition} now starts at offset {low}, but only what lies before {checkpoint} has \
             landed; the {} records of {gone} are gone from Kafka",
            gone.count()
        );
        if self.lake.on_data_loss == OnDataLoss::Fail {
            return Err(Setback::Fatal(format!(
                "{what}; hint: longer retention on the topic avoids it; to record the loss and go on, set \
                 on_data_loss = \"record\" in [lake]"
            )));
        }
        let mut lost = IntervalSet::new();
        lost.push(gone);
        let partitions = vec![PartitionAppend {
            lost,
            ..empty_append(partition, checkpoint, low)
        }];
        let number = self.commit(Body::Append(Append {
            generation,
            partitions,
            files: Vec::new(),
        }))?;
        self.telemetry
            .on_committed(&loss_only(number, gone.count(), (partition, low)));
        tracing::error!(topic = %self.topic.name, commit = number.0, "{what}; recorded as lost, going on");
        Ok(())
    }

    fn ahead(
        &mut self,
        generation: GenerationOrdinal,
        partition: PartitionId,
        checkpoint: Offset,
        end: Offset,
    ) -> Result<(), Setback> {
        let what = format!(
            "data loss: the checkpoint of partition {partition} is {checkpoint}, but the partition ends at {end}: \
             records that were landed are gone from Kafka, and their offsets will be given out again"
        );
        if self.lake.on_data_loss == OnDataLoss::Fail {
            return Err(Setback::Fatal(format!(
                "{what}; hint: was the topic cut short by an unclean leader election, or restored from a backup? to go \
                 on at {end} under a new generation, set on_data_loss = \"record\" in [lake]"
            )));
        }
        let is_reset = self.persist(|committer| {
            let fold = committer.log.fold()?;
            let after = fold.number();
            // The end says nothing of another life of the topic that was opened meanwhile.
            let Some(current) = fold.generation().filter(|current| current.ordinal == generation) else {
                return Ok(false);
            };
            let mut starts: Vec<PartitionStart> = current
                .partitions
                .iter()
                .map(|(partition, state)| PartitionStart {
                    partition: *partition,
                    from: state.next,
                })
                .collect();
            for start in starts.iter_mut().filter(|start| start.partition == partition) {
                start.from = end;
            }
            let (log, topic) = (&mut committer.log, &committer.topic);
            reset_generation(log, topic, &committer.consumer, starts, after)?;
            Ok(true)
        })?;
        if !is_reset {
            return Ok(());
        }
        tracing::error!(topic = %self.topic.name, "{what}; going on at {end} under a new generation");
        Ok(())
    }
}

fn appended(passed: &Passed) -> PartitionAppend {
    PartitionAppend {
        leader_epoch: passed.leader_epoch,
        accepted: passed.accepted,
        rejected: passed.rejected,
        tombstones: passed.tombstones.clone(),
        filtered: passed.filtered.clone(),
        absent: passed.absent.clone(),
        ..empty_append(passed.partition, passed.from, passed.next)
    }
}

fn empty_append(partition: PartitionId, from: Offset, next: Offset) -> PartitionAppend {
    PartitionAppend {
        partition,
        from,
        next,
        leader_epoch: None,
        accepted: 0,
        rejected: 0,
        tombstones: IntervalSet::new(),
        filtered: IntervalSet::new(),
        absent: IntervalSet::new(),
        lost: IntervalSet::new(),
    }
}

fn loss_only(number: CommitNumber, lost: u64, checkpoint: (PartitionId, Offset)) -> CommittedRoll {
    CommittedRoll {
        number: number.0,
        at_unix_millis: Utc::now().timestamp_millis(),
        reason: RollReason::Interval,
        took: Duration::ZERO,
        accepted: 0,
        rejected: CodeCounts::default(),
        tombstones: 0,
        filtered: 0,
        absent: 0,
        lost,
        files: 0,
        file_bytes: 0,
        newest_event_micros: None,
        checkpoint: vec![checkpoint],
    }
}
