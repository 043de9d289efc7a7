//! One topic's consumer thread: records into the open buffer, rolls to the committer, and what the group asks for.
//!
//! The thread owns the buffer and the positions; nobody else touches them. It is told about partitions by commands,
//! hands sealed buffers to the committer, one at a time, and learns what became of them from reports. Whenever
//! positions and checkpoint may have come apart it drops everything it holds and asks to be assigned anew, from the
//! checkpoint: that is the only way back there is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, select};
use eventlake_core::commit::GenerationOrdinal;
use eventlake_core::flush::{self, Facts, Limits, RollReason, Step};
use eventlake_core::position::{Offset, PartitionId};
use rdkafka::consumer::ConsumerContext;

use crate::ingest::buffer::{Arrival, Gaps, OpenBuffer, SealedBuffer};
use crate::ingest::memory::{Budget, Holding, SealedBytes};
use crate::ingest::source::{SourceItem, TopicQueue};
use crate::ingest::until_end::EndTarget;
use crate::telemetry::{TopicState, TopicTelemetry, UNDECLARED_REST, Work};

/// The longest the thread sleeps when nothing arrives; commands and reports wake it.
const IDLE_WAIT: Duration = Duration::from_secs(1);
/// How often positions and buffer sizes are told to telemetry.
const TELL_EVERY: Duration = Duration::from_millis(500);

/// What the assigning thread tells a pipeline.
#[derive(Debug)]
pub enum Command {
    /// To be obeyed before any record that comes after it.
    Assignment(AssignmentNews),
    /// These partitions go: commit what is buffered, or drop it where `keep` is false. `done` is dropped after it.
    Revoke {
        partitions: Vec<PartitionId>,
        keep: bool,
        done: Sender<()>,
    },
    /// Drop everything: the partitions are about to be assigned anew. `done` is dropped after it.
    Abandon { done: Sender<()> },
    /// The topic cannot start; a person must act.
    Fail { why: String },
    /// Roll, commit, end.
    Stop,
}

/// What changes in the assignment, with nothing to be given back.
#[derive(Debug)]
pub enum AssignmentNews {
    /// These partitions are ours, from their checkpoints in this generation on.
    Assigned {
        generation: GenerationOrdinal,
        partitions: Vec<(PartitionId, Offset)>,
        gaps: Gaps,
    },
    /// The assignment is about to change, whoever's partitions it is about. Retained partitions are fetched anew after it, from
    /// where librdkafka believes them to have been consumed to.
    Rebalancing,
    /// The group gave this member none (or no more) of the topic's partitions.
    Nothing,
}

/// Tells a pipeline's jobs apart, so that the answer to one it has given up is not taken for another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobId(u64);

/// What a pipeline asks of its committer.
#[derive(Debug)]
pub enum Job {
    /// Write and commit, in the generation under which it was read.
    Roll {
        id: JobId,
        generation: GenerationOrdinal,
        sealed: Box<SealedBuffer>,
        /// Counts the rows as memory in use until they are dropped.
        held: SealedBytes,
    },
    /// The reader's position is not in the partition: find out why. Everything before it has landed.
    Investigate {
        id: JobId,
        partition: PartitionId,
        detail: String,
    },
}

/// What a committer answers. Every job gets exactly one answer.
#[derive(Debug)]
pub enum Report {
    /// The roll is committed and published.
    Landed(JobId),
    /// What was rolled is not committed, or positions mean nothing any more: go on from the checkpoint.
    Rewind(JobId),
    /// Unasked: the log's current generation. Positions of another one mean nothing any more.
    Generation(GenerationOrdinal),
    /// The topic cannot go on; a person must act.
    Failed { why: String },
}

/// A pipeline's wish to the assigning thread: to be assigned anew what it has, from the checkpoint.
#[derive(Clone, Copy, Debug)]
pub struct Reassign {
    /// The topic's index in the configuration.
    pub topic: usize,
}

/// Everything a pipeline works with.
pub struct Pipeline<C: ConsumerContext + 'static> {
    pub index: usize,
    /// Out only while it is polled.
    pub queue: Option<TopicQueue<C>>,
    pub buffer: OpenBuffer,
    pub limits: Limits,
    pub budget: Arc<Budget>,
    pub holding: Arc<Holding>,
    pub telemetry: Arc<TopicTelemetry>,
    pub commands: Receiver<Command>,
    pub jobs: Sender<Job>,
    pub reports: Receiver<Report>,
    pub reassigns: Sender<Reassign>,
    pub end: Option<Arc<EndTarget>>,
}

/// What the thread keeps beside the buffer.
struct Flow {
    generation: GenerationOrdinal,
    jobs_sent: u64,
    under_way: Option<UnderWay>,
    /// Landed up to here, by this writer or before it.
    landed: BTreeMap<PartitionId, Offset>,
    assigned_once: bool,
    told_at: Option<Instant>,
    ending: bool,
    stopping: bool,
    /// Partitions whose checkpoint was found behind their end, and looked into.
    questioned: BTreeSet<PartitionId>,
}

/// A job not yet answered; for a roll, the partitions it holds and where they end.
struct UnderWay {
    id: JobId,
    ends: Vec<(PartitionId, Offset)>,
}

impl Flow {
    fn next_job(&mut self, ends: Vec<(PartitionId, Offset)>) -> JobId {
        self.jobs_sent += 1;
        let id = JobId(self.jobs_sent);
        self.under_way = Some(UnderWay { id, ends });
        id
    }

    /// The job that an answer is for, unless it was given up meanwhile.
    fn answered(&mut self, id: JobId) -> Option<UnderWay> {
        self.under_way.take_if(|job| job.id == id)
    }
}

/// What one poll brought.
#[derive(Default)]
struct Taken {
    /// Since the first item came.
    begun: Option<Instant>,
    held_back: Option<Command>,
    records: u64,
    bytes: u64,
    out_of_range: Option<(PartitionId, String)>,
    doubtful: bool,
    failure: Option<String>,
}

/// Which partitions' rows are sealed.
#[derive(Clone, Copy)]
enum Share<'a> {
    All,
    Of(&'a BTreeSet<PartitionId>),
}

enum Next {
    GoOn,
    End,
}

impl<C: ConsumerContext> Pipeline<C> {
    /// Runs until a stop command, or until every other end of the channels is gone.
    pub fn run(mut self) {
        let mut flow = Flow {
            generation: GenerationOrdinal(0),
            jobs_sent: 0,
            under_way: None,
            landed: BTreeMap::new(),
            assigned_once: false,
            told_at: None,
            ending: false,
            stopping: false,
            questioned: BTreeSet::new(),
        };
        let failure = loop {
            match self.step(&mut flow) {
                Ok(Next::GoOn) => {}
                Ok(Next::End) => return,
                Err(failure) => break failure,
            }
        };
        tracing::error!(topic = %self.telemetry.name(), "topic stopped: {failure}");
        self.telemetry.set_state(TopicState::Stopped { why: failure });
        self.drop_all(&mut flow);
        if !flow.stopping {
            self.serve_stopped();
        }
    }

    /// A stopped topic holds nothing and takes nothing in, but never holds up the group.
    fn serve_stopped(mut self) {
        if let Some(end) = &self.end {
            end.reached.store(true, Relaxed);
        }
        let mut queue = self.queue.take().expect("put back after each poll");
        loop {
            match self.commands.recv_timeout(IDLE_WAIT) {
                Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(_) => {}
                // What still arrives would pile up in the queue.
                Err(RecvTimeoutError::Timeout) => queue.poll(Duration::ZERO, |_| {}),
            }
        }
    }

    fn step(&mut self, flow: &mut Flow) -> Result<Next, String> {
        while let Ok(command) = self.commands.try_recv() {
            if let Next::End = self.obey(command, flow)? {
                return Ok(Next::End);
            }
        }
        loop {
            match self.reports.try_recv() {
                Ok(report) => self.hear(report, flow)?,
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Err(COMMITTER_GONE.to_owned()),
            }
        }
        let now = Instant::now();
        self.watch_end(flow)?;
        match flush::decide(&self.facts(flow, now), &self.limits) {
            Step::Roll(reason) => self.roll(Share::All, reason, flow),
            Step::Wait => {
                if let Next::End = self.wait(IDLE_WAIT, flow)? {
                    return Ok(Next::End);
                }
            }
            Step::Consume => {
                if let Next::End = self.consume(now, flow)? {
                    return Ok(Next::End);
                }
            }
        }
        self.tell(now, flow);
        Ok(Next::GoOn)
    }

    fn facts(&self, flow: &Flow, now: Instant) -> Facts {
        Facts {
            pending: self.buffer.is_pending(),
            age: if flow.ending {
                Duration::MAX
            } else {
                self.buffer.age(now)
            },
            open_bytes: self.buffer.bytes(),
            writing: flow.under_way.is_some(),
            used_bytes: self.budget.charged_bytes(),
            largest: self.budget.is_largest(&self.holding),
        }
    }

    fn consume(&mut self, now: Instant, flow: &mut Flow) -> Result<Next, String> {
        let until_roll = self.limits.roll_interval.saturating_sub(self.buffer.age(now));
        let wait = if self.buffer.is_pending() {
            until_roll.min(IDLE_WAIT)
        } else {
            IDLE_WAIT
        };
        let mut batch = Taken::default();
        let mut queue = self.queue.take().expect("put back after each poll");
        queue.poll(wait, |item| {
            if batch.begun.is_none() {
                batch.begun = Some(Instant::now());
                batch.held_back = self.obey_assignments(flow);
            }
            self.take(item, now, &mut batch);
        });
        self.queue = Some(queue);
        self.telemetry.on_consumed(batch.records, batch.bytes);
        if let Some(begun) = batch.begun {
            self.telemetry.on_worked(Work::Take, begun.elapsed());
        }
        self.holding.set_open(self.buffer.bytes());
        flow.stopping |= matches!(batch.held_back, Some(Command::Stop));
        if let Some(failure) = batch.failure {
            return Err(failure);
        }
        if let Some((partition, detail)) = batch.out_of_range {
            self.investigate(partition, detail, flow)?;
        }
        if batch.doubtful {
            // Asked for by its offset, Kafka hands out what there is: a gap that is then there again is one.
            self.settle(Share::All, RollReason::Revoke, flow)?;
            self.go_back(flow);
        }
        match batch.held_back {
            Some(command) => self.obey(command, flow),
            None => Ok(Next::GoOn),
        }
    }

    fn take(&mut self, item: &SourceItem<'_>, now: Instant, batch: &mut Taken) {
        match item {
            SourceItem::Record(record) => match self.buffer.take(record, now) {
                Arrival::Taken => {
                    batch.records += 1;
                    batch.bytes += record.payload().map_or(0, |payload| payload.len() as u64);
                }
                Arrival::NotOurs => {}
                Arrival::Doubtful => batch.doubtful = true,
            },
            SourceItem::End { partition, position } => {
                let arrival = self.buffer.reach_end(*partition, *position, now);
                batch.doubtful |= arrival == Arrival::Doubtful;
            }
            SourceItem::OutOfRange { partition, detail } => {
                if self.buffer.position(*partition).is_some() {
                    batch.out_of_range.get_or_insert((*partition, detail.clone()));
                }
            }
            SourceItem::Passing { partition, detail } => {
                let topic = self.telemetry.name();
                tracing::warn!(%topic, %partition, "kafka has trouble with a partition, trying on: {detail}");
            }
            SourceItem::Unreadable { partition, detail } => {
                let position = self.buffer.position(*partition).unwrap_or(Offset::ZERO);
                batch.failure = Some(format!(
                    "partition {partition} cannot be read at offset {position}: {detail}; hint: the broker holds a \
                     damaged or unknown kind of batch there, nothing was skipped"
                ));
            }
        }
    }

    /// Obeys the assignments that were made while records were waited for: without them the first records of a
    /// partition would be taken for somebody else's, and the hole they leave for offsets that Kafka never hands out.
    ///
    /// Gives back the first other command. It is for after the records at hand: those are of the assignment that it ends,
    /// and no assignment follows it before it is obeyed, as the sender waits for that.
    fn obey_assignments(&mut self, flow: &mut Flow) -> Option<Command> {
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Assignment(news) => self.take_note(news, flow),
                other => return Some(other),
            }
        }
        None
    }

    /// Commits what is held, so that the checkpoint is all there is to judge by, then has the committer look.
    fn investigate(&mut self, partition: PartitionId, detail: String, flow: &mut Flow) -> Result<(), String> {
        self.settle(Share::All, RollReason::Interval, flow)?;
        if self.buffer.position(partition).is_some() {
            let id = flow.next_job(Vec::new());
            self.send(Job::Investigate {
                id,
                partition,
                detail,
            });
        }
        Ok(())
    }

    fn roll(&mut self, share: Share<'_>, reason: RollReason, flow: &mut Flow) {
        let sealed = match share {
            Share::All => self.buffer.seal(reason),
            Share::Of(partitions) => self.buffer.seal_partitions(partitions, reason),
        };
        let Some(sealed) = sealed else {
            return;
        };
        let id = flow.next_job(
            sealed
                .account
                .partitions
                .iter()
                .map(|passed| (passed.partition, passed.next))
                .collect(),
        );
        self.holding.set_open(self.buffer.bytes());
        let held = self.holding.seal(sealed.bytes);
        let others = (sealed.undeclared.others() > 0).then(|| (UNDECLARED_REST, sealed.undeclared.others()));
        self.telemetry
            .on_undeclared(sealed.undeclared.by_name().chain(others));
        self.send(Job::Roll {
            id,
            generation: flow.generation,
            sealed: Box::new(sealed),
            held,
        });
    }

    fn send(&self, job: Job) {
        // A committer ends only after its pipeline, but for a panic, which its reports' end then tells.
        let _ = self.jobs.send(job);
    }

    /// Waits a moment for a report or a command, whichever comes first.
    fn wait(&mut self, longest: Duration, flow: &mut Flow) -> Result<Next, String> {
        let (commands, reports) = (self.commands.clone(), self.reports.clone());
        select! {
            recv(reports) -> report => self.hear(report.map_err(|_| COMMITTER_GONE)?, flow).map(|()| Next::GoOn),
            recv(commands) -> command => match command {
                Ok(command) => self.obey(command, flow),
                Err(_) => Err("the assigning thread has ended".to_owned()),
            },
            default(longest.min(Duration::from_millis(50))) => Ok(Next::GoOn),
        }
    }

    fn hear(&mut self, report: Report, flow: &mut Flow) -> Result<(), String> {
        match report {
            Report::Landed(id) => {
                if let Some(job) = flow.answered(id) {
                    let ours = |partition| self.buffer.position(partition).is_some();
                    let ends = job.ends.into_iter().filter(|(partition, _)| ours(*partition));
                    flow.landed.extend(ends);
                }
                Ok(())
            }
            Report::Rewind(id) => {
                if flow.answered(id).is_some() {
                    self.go_back(flow);
                }
                Ok(())
            }
            Report::Generation(current) => {
                if current != flow.generation {
                    self.go_back(flow);
                }
                Ok(())
            }
            Report::Failed { why } => Err(why),
        }
    }

    /// Seals and sends what is buffered of these and waits until nothing is under way.
    fn settle(&mut self, share: Share<'_>, reason: RollReason, flow: &mut Flow) -> Result<(), String> {
        loop {
            if flow.under_way.is_none() {
                self.roll(share, reason, flow);
                if flow.under_way.is_none() {
                    return Ok(());
                }
            }
            let report = self.reports.recv().map_err(|_| COMMITTER_GONE)?;
            self.hear(report, flow)?;
        }
    }

    fn obey(&mut self, command: Command, flow: &mut Flow) -> Result<Next, String> {
        match command {
            Command::Assignment(news) => self.take_note(news, flow),
            Command::Revoke {
                partitions,
                keep,
                done,
            } => {
                self.revoke(&partitions.into_iter().collect(), keep, flow)?;
                drop(done);
            }
            Command::Abandon { done } => {
                self.drop_all(flow);
                drop(done);
            }
            Command::Fail { why } => return Err(why),
            Command::Stop => {
                flow.stopping = true;
                self.settle(Share::All, RollReason::Shutdown, flow)?;
                return Ok(Next::End);
            }
        }
        Ok(Next::GoOn)
    }

    fn take_note(&mut self, news: AssignmentNews, flow: &mut Flow) {
        match news {
            AssignmentNews::Assigned {
                generation,
                partitions,
                gaps,
            } => self.assign(generation, partitions, gaps, flow),
            AssignmentNews::Rebalancing => self.buffer.doubt_gaps(),
            AssignmentNews::Nothing => self.running(flow),
        }
    }

    /// Lets go of partitions, and of what is held of them. What is held of the others is left alone.
    fn revoke(&mut self, gone: &BTreeSet<PartitionId>, keep: bool, flow: &mut Flow) -> Result<(), String> {
        if keep {
            self.settle(Share::Of(gone), RollReason::Revoke, flow)?;
        } else {
            let _dropped = self.buffer.seal_partitions(gone, RollReason::Revoke);
            self.holding.set_open(self.buffer.bytes());
        }
        for partition in gone {
            self.buffer.release(*partition);
            self.telemetry.on_unassigned(*partition);
            flow.landed.remove(partition);
        }
        Ok(())
    }

    fn assign(
        &mut self,
        generation: GenerationOrdinal,
        partitions: Vec<(PartitionId, Offset)>,
        gaps: Gaps,
        flow: &mut Flow,
    ) {
        let retained = self.buffer.positions().next().is_some();
        if retained && generation != flow.generation {
            // Positions of two generations cannot stand side by side: all of them start over.
            self.drop_all(flow);
            self.ask_to_be_reassigned();
            return;
        }
        flow.generation = generation;
        for (partition, position) in partitions {
            self.buffer.assign(partition, position, gaps);
            self.telemetry.on_assigned(partition, position);
            flow.landed.insert(partition, position);
        }
        self.running(flow);
    }

    fn running(&self, flow: &mut Flow) {
        flow.assigned_once = true;
        self.telemetry.set_state(TopicState::Running);
    }

    /// Drops everything held, to be assigned anew from the checkpoint.
    fn go_back(&mut self, flow: &mut Flow) {
        if self.drop_all(flow) {
            self.telemetry.on_rewound();
            self.ask_to_be_reassigned();
        }
    }

    fn ask_to_be_reassigned(&self) {
        // The assigning thread outlives the pipelines.
        let _ = self.reassigns.send(Reassign { topic: self.index });
    }

    /// Drops the open rows and all positions. A roll under way stays with the committer: it lands or is void.
    /// Returns whether any partition was assigned.
    fn drop_all(&mut self, flow: &mut Flow) -> bool {
        let partitions = self.buffer.abandon();
        for partition in &partitions {
            self.telemetry.on_unassigned(*partition);
        }
        flow.under_way = None;
        flow.landed.clear();
        self.holding.set_open(0);
        !partitions.is_empty()
    }

    /// For `--until-end`: rolls at once when everything ours is read to its target, and says when it has landed.
    fn watch_end(&mut self, flow: &mut Flow) -> Result<(), String> {
        let Some(end) = self.end.clone() else {
            return Ok(());
        };
        if !flow.assigned_once {
            return Ok(());
        }
        let ends = end.aim().ends;
        let target = |partition| ends.get(&partition).copied().unwrap_or(Offset::ZERO);
        let ahead = self.buffer.positions().find(|(partition, position)| {
            *position > target(*partition)
                && flow.landed.get(partition) == Some(position)
                && !flow.questioned.contains(partition)
        });
        if let Some((partition, position)) = ahead {
            flow.questioned.insert(partition);
            let detail = format!(
                "it ended at {} when this run began, before {position}",
                target(partition)
            );
            return self.investigate(partition, detail, flow);
        }
        let read = self
            .buffer
            .positions()
            .all(|(partition, position)| position >= target(partition));
        flow.ending = read && self.buffer.positions().next().is_some();
        let landed = flow
            .landed
            .iter()
            .all(|(partition, landed)| *landed >= target(*partition));
        if read && landed && !self.buffer.is_pending() && flow.under_way.is_none() {
            end.reached.store(true, Relaxed);
        }
        Ok(())
    }

    fn tell(&self, now: Instant, flow: &mut Flow) {
        if flow
            .told_at
            .is_some_and(|told| now.duration_since(told) < TELL_EVERY)
        {
            return;
        }
        flow.told_at = Some(now);
        self.telemetry
            .set_buffered(self.buffer.rows(), self.buffer.bytes());
        self.telemetry.set_read_next(self.buffer.positions());
    }
}

const COMMITTER_GONE: &str = "the topic's committer has ended unexpectedly";
