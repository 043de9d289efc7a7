//! The thread that polls the group: answers its rebalances, with start offsets from the checkpoints alone.
//!
//! Nothing here ever seeks. A topic that must go back is taken out of the assignment and put in again at its
//! checkpoint, which also makes librdkafka discard whatever it fetched before.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use eventlake_core::names::TopicName;
use eventlake_core::position::{Offset, PartitionId};
use rdkafka::bindings as rd;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::topic_partition_list::{Offset as RdOffset, TopicPartitionList};
use rdkafka::types::RDKafkaErrorCode;

use crate::failpoint::Failpoints;
use crate::failpoint::step::Step;
use crate::ingest::buffer::Gaps;
use crate::ingest::context::{IngestContext, Protocol, Rebalance, give_back};
use crate::ingest::pause::Pause;
use crate::ingest::pipeline::{AssignmentNews, Command, Reassign};
use crate::ingest::source::QueueHandle;
use crate::ingest::start::{ASK_WAIT, StartPoint, TopicStart, Trouble};
use crate::kafka::topics::{self, DescribeError};
use crate::telemetry::{Telemetry, TopicState, TopicTelemetry};

/// How long a revoke waits for what is buffered to be committed. Well below `max.poll.interval.ms`, past which the
/// group takes the partitions anyway.
const REVOKE_WAIT: Duration = Duration::from_secs(45);
/// Beyond every partition's end.
const NOWHERE: RdOffset = RdOffset::Offset(i64::MAX / 2);
/// Between two tries to start a topic that is not to be had right now.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// The assigning thread's end of one topic.
pub struct TopicLink {
    /// Its place in the configuration, by which it asks to be assigned anew.
    pub index: usize,
    pub name: TopicName,
    pub commands: Sender<Command>,
    pub queue: QueueHandle<IngestContext>,
    pub start: TopicStart,
    pub telemetry: Arc<TopicTelemetry>,
    /// Why it cannot start yet.
    pub pause: Option<Pause>,
}

/// What this member of the group holds, and how its topics are told.
pub struct Assignment {
    consumer: Arc<BaseConsumer<IngestContext>>,
    topics: Vec<TopicLink>,
    telemetry: Arc<Telemetry>,
    /// By topic index.
    held: BTreeMap<usize, BTreeSet<PartitionId>>,
    reassigns: Receiver<Reassign>,
    /// Topics to be assigned anew, and when to try.
    due: BTreeMap<usize, Instant>,
    failpoints: Failpoints,
}

impl Assignment {
    #[must_use]
    pub fn new(
        consumer: Arc<BaseConsumer<IngestContext>>,
        topics: Vec<TopicLink>,
        telemetry: Arc<Telemetry>,
        reassigns: Receiver<Reassign>,
        failpoints: Failpoints,
    ) -> Assignment {
        Assignment {
            consumer,
            topics,
            telemetry,
            held: BTreeMap::new(),
            reassigns,
            due: BTreeMap::new(),
            failpoints,
        }
    }

    /// Subscribes to every topic.
    ///
    /// # Errors
    /// When librdkafka refuses the subscription.
    pub fn subscribe(&self) -> KafkaResult<()> {
        let names: Vec<&str> = self.topics.iter().map(|topic| topic.name.as_str()).collect();
        self.consumer.subscribe(&names)
    }

    /// Polls the group for at most `wait` and answers what it wants, then serves topics that ask to go back.
    pub fn serve(&mut self, wait: Duration) {
        match self.consumer.poll(wait) {
            Some(Err(error)) if is_unknown_topic(&error) => self.tell_missing(),
            // librdkafka's log says it once for each broker, by name; here it would come many times a second.
            Some(Err(error)) if is_broker_away(&error) => tracing::debug!("kafka: {error}"),
            Some(Err(error)) => tracing::warn!("kafka: {error}"),
            Some(Ok(_)) | None => {}
        }
        for rebalance in self.consumer.context().take_rebalances() {
            match rebalance {
                Rebalance::Assign(partitions) => self.assign(&partitions),
                Rebalance::Revoke(partitions) => self.revoke(&partitions),
            }
        }
        let now = Instant::now();
        for reassign in self.reassigns.try_iter() {
            let found = self.topics.iter().position(|topic| topic.index == reassign.topic);
            if let Some(topic) = found {
                self.due.entry(topic).or_insert(now);
            }
        }
        let due: Vec<usize> = self
            .due
            .iter()
            .filter(|(_, at)| **at <= now)
            .map(|(topic, _)| *topic)
            .collect();
        for topic in due {
            self.due.remove(&topic);
            self.assign_anew(topic);
        }
    }

    /// Tells every pipeline to commit what it has and end.
    pub fn stop(&self) {
        for topic in &self.topics {
            let _ = topic.commands.send(Command::Stop);
            topic.queue.wake();
        }
    }

    /// The topics, by index.
    #[must_use]
    pub fn topics(&mut self) -> &mut [TopicLink] {
        &mut self.topics
    }

    /// The partitions held, by topic index.
    pub fn held(&self) -> impl Iterator<Item = (&TopicLink, &BTreeSet<PartitionId>)> {
        self.held
            .iter()
            .map(|(topic, partitions)| (&self.topics[*topic], partitions))
    }

    /// A subscribed topic is not there: says which, once, and goes on; it is taken up when it is created.
    fn tell_missing(&self) {
        for topic in &self.topics {
            if topic.telemetry.state() != TopicState::Starting {
                continue;
            }
            let described = topics::describe(self.consumer.client(), topic.name.as_str(), ASK_WAIT);
            if let Err(missing @ DescribeError::UnknownTopic { .. }) = described {
                let why = format!("{missing}; hint: create it, for example with `eventlake topics create`");
                tracing::warn!(topic = %topic.name, "waiting for the topic: {why}");
                topic.telemetry.set_state(TopicState::Paused { why });
            }
        }
    }

    /// Before any change of the assignment: librdkafka pauses and resumes all partitions for it.
    fn tell_rebalancing(&self) {
        for topic in &self.topics {
            let _ = topic
                .commands
                .send(Command::Assignment(AssignmentNews::Rebalancing));
        }
    }

    fn by_topic(&self, partitions: &TopicPartitionList) -> BTreeMap<usize, BTreeSet<PartitionId>> {
        let mut by_topic: BTreeMap<usize, BTreeSet<PartitionId>> = BTreeMap::new();
        for element in partitions.elements() {
            let found = self
                .topics
                .iter()
                .position(|topic| topic.name.as_str() == element.topic());
            if let Some(topic) = found {
                by_topic
                    .entry(topic)
                    .or_default()
                    .insert(PartitionId(element.partition()));
            }
        }
        by_topic
    }

    fn assign(&mut self, partitions: &TopicPartitionList) {
        self.failpoints.pass(Step::AssignAsked);
        self.tell_rebalancing();
        let by_topic = self.by_topic(partitions);
        let replaced = self.drop_replaced(&by_topic);
        let mut starts = TopicPartitionList::new();
        for topic in 0..self.topics.len() {
            let mine = by_topic.get(&topic).cloned().unwrap_or_default();
            // librdkafka goes on fetching for the assignment before, into the same queue, until it is handed the new one below.
            let gaps = match replaced.contains(&topic) {
                true => Gaps::Doubted,
                false => Gaps::Trusted,
            };
            self.start_topic(topic, &mine, gaps, &mut starts);
            self.held.entry(topic).or_default().extend(mine);
        }
        let count = starts.count();
        match self.take_assignment(&starts) {
            Ok(()) => tracing::info!(partitions = count, "partitions assigned"),
            Err(error) => {
                tracing::warn!("kafka did not take the assignment, trying again: {error}");
                let again = Instant::now() + RETRY_AFTER;
                self.due.extend(by_topic.keys().map(|topic| (*topic, again)));
            }
        }
        self.consumer.context().set_rebalancing(false);
        self.telemetry.set_assigned(true);
        if self.failpoints.pass_and_repeat(Step::Assigned) {
            self.consumer.context().assign_again(partitions);
        }
    }

    fn take_assignment(&self, starts: &TopicPartitionList) -> Result<(), String> {
        let step = self.failpoints.try_step(Step::TakeAssignment);
        step.map_err(|error| error.to_string())?;
        match self.consumer.context().protocol() {
            Protocol::Cooperative => self.consumer.incremental_assign(starts),
            Protocol::Eager => self.consumer.assign(starts),
        }
        .map_err(|error| error.to_string())
    }

    /// Finds where a topic's partitions start, tells its pipeline, and adds them to the list for librdkafka.
    ///
    /// A topic that cannot start keeps its partitions, without anybody reading: taking them is what
    /// the group waits for. It is tried again when that may help.
    fn start_topic(
        &mut self,
        index: usize,
        partitions: &BTreeSet<PartitionId>,
        gaps: Gaps,
        starts: &mut TopicPartitionList,
    ) {
        let topic = &mut self.topics[index];
        if matches!(topic.telemetry.state(), TopicState::Stopped { .. }) {
            park(starts, &topic.name, partitions);
            return;
        }
        if partitions.is_empty() {
            let _ = topic.commands.send(Command::Assignment(AssignmentNews::Nothing));
            topic.queue.wake();
            return;
        }
        match topic.start.positions(&self.consumer, partitions) {
            Ok(start) => {
                self.failpoints.pass(Step::CheckpointRead);
                if let Some(pause) = topic.pause.take() {
                    pause.end(&topic.telemetry, TopicState::Starting);
                }
                for point in &start.points {
                    topic.queue.forward(point.partition);
                    add_start(starts, &topic.name, point);
                }
                let positions = start
                    .points
                    .iter()
                    .map(|point| (point.partition, point.next))
                    .collect();
                let news = AssignmentNews::Assigned {
                    generation: start.generation,
                    partitions: positions,
                    gaps,
                };
                let _ = topic.commands.send(Command::Assignment(news));
            }
            Err(Trouble::NotNow(why)) => {
                let now = Instant::now();
                topic
                    .pause
                    .get_or_insert_with(|| Pause::begin(now))
                    .go_on(&why, &topic.telemetry, now);
                park(starts, &topic.name, partitions);
                self.due.insert(index, Instant::now() + RETRY_AFTER);
            }
            Err(Trouble::Fatal(why)) => {
                let _ = topic.commands.send(Command::Fail { why });
                park(starts, &topic.name, partitions);
            }
        }
        topic.queue.wake();
    }

    fn revoke(&mut self, partitions: &TopicPartitionList) {
        self.failpoints.pass(Step::RevokeAsked);
        let keep = !self.consumer.assignment_lost();
        self.tell_rebalancing();
        self.let_go(&self.by_topic(partitions), keep);
        self.failpoints.pass(Step::RevokeRolled);
        give_back(&self.consumer, partitions);
        self.failpoints.pass(Step::RevokeGiven);
        let how = if keep { "revoked" } else { "lost to the group" };
        tracing::info!(partitions = partitions.count(), "partitions {how}");
    }

    /// Has the pipelines commit what they hold of these partitions, or drop it, and waits for that.
    fn let_go(&mut self, by_topic: &BTreeMap<usize, BTreeSet<PartitionId>>, keep: bool) {
        let (done, all_done) = bounded(0);
        for (index, gone) in by_topic {
            let topic = &self.topics[*index];
            let partitions = gone.iter().copied().collect();
            let _ = topic.commands.send(Command::Revoke {
                partitions,
                keep,
                done: done.clone(),
            });
            topic.queue.wake();
            if let Some(held) = self.held.get_mut(index) {
                held.retain(|partition| !gone.contains(partition));
            }
        }
        drop(done);
        if !wait_for(&all_done, REVOKE_WAIT) {
            tracing::warn!(
                "gave partitions back before all of it was committed; their new owner reads it again from the checkpoint"
            );
        }
    }

    /// Drops what an assignment takes the place of, and says of which topics that was. When a member falls out of the group
    /// before its last assignment was answered, librdkafka asks for none of it back and assigns again.
    fn drop_replaced(&mut self, by_topic: &BTreeMap<usize, BTreeSet<PartitionId>>) -> BTreeSet<usize> {
        let whole = self.consumer.context().protocol() == Protocol::Eager;
        let mut replaced = BTreeMap::new();
        for (topic, held) in &self.held {
            let again = by_topic.get(topic);
            let again =
                |partition: &&PartitionId| whole || again.is_some_and(|again| again.contains(partition));
            let gone: BTreeSet<PartitionId> = held.iter().filter(again).copied().collect();
            if !gone.is_empty() {
                replaced.insert(*topic, gone);
            }
        }
        if !replaced.is_empty() {
            self.let_go(&replaced, false);
        }
        replaced.into_keys().collect()
    }

    /// Takes one topic's partitions out of the assignment and puts them in again at the checkpoint.
    fn assign_anew(&mut self, index: usize) {
        let partitions = self.held.get(&index).cloned().unwrap_or_default();
        let topic = &self.topics[index];
        if matches!(topic.telemetry.state(), TopicState::Stopped { .. }) {
            return;
        }
        let (done, all_done) = bounded(0);
        let _ = topic.commands.send(Command::Abandon { done });
        topic.queue.wake();
        if !wait_for(&all_done, REVOKE_WAIT) {
            self.due.insert(index, Instant::now() + RETRY_AFTER);
            return;
        }
        if self.consumer.context().protocol() == Protocol::Eager {
            // Under the eager protocol single partitions cannot be taken out: join the group again instead.
            self.consumer.unsubscribe();
            if let Err(error) = self.subscribe() {
                tracing::error!("kafka refused the subscription: {error}");
            }
            return;
        }
        self.tell_rebalancing();
        if let Err(error) = self.take_out(index) {
            tracing::debug!(
                "a rebalance is under way, its assignment will start from the checkpoint: {error}"
            );
            self.due.insert(index, Instant::now() + RETRY_AFTER);
            return;
        }
        self.failpoints.pass(Step::ReassignOut);
        let mut starts = TopicPartitionList::new();
        self.start_topic(index, &partitions, Gaps::Trusted, &mut starts);
        if let Err(error) = self.put_in(&starts) {
            tracing::warn!("kafka did not take the assignment, trying again: {error}");
            self.due.insert(index, Instant::now() + RETRY_AFTER);
        }
    }

    /// Takes out of the assignment what librdkafka has of the topic. That may be less than the group gave: an assignment
    /// may have been refused, and what is not in it cannot be taken out of it.
    fn take_out(&self, index: usize) -> KafkaResult<()> {
        let name = self.topics[index].name.as_str();
        let mut list = TopicPartitionList::new();
        for element in self.consumer.assignment()?.elements() {
            if element.topic() == name {
                list.add_partition(name, element.partition());
            }
        }
        if list.count() == 0 {
            return Ok(());
        }
        self.consumer.incremental_unassign(&list)
    }

    fn put_in(&self, starts: &TopicPartitionList) -> Result<(), String> {
        let step = self.failpoints.try_step(Step::ReassignIn);
        step.map_err(|error| error.to_string())?;
        if starts.count() == 0 {
            return Ok(());
        }
        let put_in = self.consumer.incremental_assign(starts);
        put_in.map_err(|error| error.to_string())
    }
}

fn is_broker_away(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{AllBrokersDown, BrokerTransportFailure, Resolve};
    matches!(
        error.rdkafka_error_code(),
        Some(AllBrokersDown | BrokerTransportFailure | Resolve)
    )
}

fn is_unknown_topic(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::UnknownTopicOrPartition)
}

/// Waits until every sender is dropped; false when the time is over first.
fn wait_for(all_done: &Receiver<()>, longest: Duration) -> bool {
    !matches!(all_done.recv_timeout(longest), Err(RecvTimeoutError::Timeout))
}

fn add_start(list: &mut TopicPartitionList, topic: &TopicName, point: &StartPoint) {
    let offset = RdOffset::Offset(point.next.0);
    list.add_partition_offset(topic.as_str(), point.partition.0, offset)
        .expect("an offset from 0 on is valid");
    let Some(epoch) = point.leader_epoch else { return };
    let name = CString::new(topic.as_str()).expect("a topic's name has no NUL");
    // SAFETY: the list and the name are alive; the element found belongs to the list and was added just now.
    unsafe {
        let element = rd::rd_kafka_topic_partition_list_find(list.ptr(), name.as_ptr(), point.partition.0);
        if !element.is_null() {
            rd::rd_kafka_topic_partition_set_leader_epoch(element, epoch);
        }
    }
}

/// Adds partitions that nobody will read, at an offset that no partition has: librdkafka asks for it once, is refused, and rests.
///
/// Never at a logical offset such as the end. librdkafka looks that up, and when the answer comes late, after the partition was
/// assigned anew at its checkpoint, it looks it up once more and goes on from there: what lies between would seem absent.
fn park(list: &mut TopicPartitionList, topic: &TopicName, partitions: &BTreeSet<PartitionId>) {
    for partition in partitions {
        list.add_partition_offset(topic.as_str(), partition.0, NOWHERE)
            .expect("an offset from 0 on is valid");
    }
}

/// The end of each partition as librdkafka last heard it, without asking the network.
pub fn cached_end(
    consumer: &BaseConsumer<IngestContext>,
    topic: &TopicName,
    partition: PartitionId,
) -> Option<Offset> {
    let name = CString::new(topic.as_str()).expect("a topic's name has no NUL");
    let (mut low, mut high) = (-1_i64, -1_i64);
    // SAFETY: client and name are alive, and the two places are valid to write to.
    let code = unsafe {
        rd::rd_kafka_get_watermark_offsets(
            consumer.client().native_ptr(),
            name.as_ptr(),
            partition.0,
            &raw mut low,
            &raw mut high,
        )
    };
    let known = code == rdkafka::types::RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR && high >= 0;
    known.then_some(Offset(high))
}
