//! The ingester as a whole: wires clients, pipelines and committers together, and ends them in order.
//!
//! Stop order: pipelines roll and wait for their committers; then the committers end; then the consumer leaves the
//! group. The assigning thread serves the group throughout.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, Sender, bounded, unbounded};
use eventlake_core::commit::WriterId;
use eventlake_core::config::{Config, KafkaConfig, TopicConfig};
use eventlake_core::flush::Limits;
use eventlake_core::names::TopicName;
use eventlake_core::position::PartitionId;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;

use crate::failpoint::Failpoints;
use crate::failpoint::step::Step;
use crate::ingest::assignment::{Assignment, TopicLink, cached_end};
use crate::ingest::buffer::OpenBuffer;
use crate::ingest::client::{consumer_config, pace};
use crate::ingest::committer::Committer;
use crate::ingest::context::{IngestContext, Protocol};
use crate::ingest::file_writer::FileFacts;
use crate::ingest::memory::{Budget, ClusterShape, Shares};
use crate::ingest::pause::Pause;
use crate::ingest::pipeline::{Pipeline, Reassign};
use crate::ingest::rewrite::Rewriter;
use crate::ingest::source::topic_queue;
use crate::ingest::start::{TopicStart, identities};
use crate::ingest::tidy::Tidier;
use crate::ingest::transform::Transforms;
use crate::ingest::until_end::{EndTarget, NoAim, aim_at};
use crate::kafka::client::{CONNECT_TIMEOUT, Cluster, ConnectError, client_creation_reason, connect};
use crate::kafka::topics::DescribeError;
use crate::lake::{LakeError, LakePaths, SnapshotPolicy, TopicLog};
use crate::telemetry::{KafkaState, Telemetry, TopicState, TopicTelemetry};

/// How long a stop waits for the last rolls before it gives them up: they are read again at the next start.
const STOP_WAIT: Duration = Duration::from_secs(60);
/// Between two tries to open a log whose disk refuses.
const OPEN_WAIT: Duration = Duration::from_millis(500);
/// How long the client may take to leave the group and end.
const CLOSE_WAIT: Duration = Duration::from_secs(10);
/// How long the group may take to hand out partitions before that is said.
const GROUP_WAIT: Duration = Duration::from_secs(5);
const POLL_WAIT: Duration = Duration::from_millis(100);
const TELL_EVERY: Duration = Duration::from_secs(1);
/// How often each partition is looked after: so long for each of them, between `TELL_EVERY` and the longest.
const TEND_PARTITION: Duration = Duration::from_millis(5);
const TEND_EVERY_MAX: Duration = Duration::from_secs(5);
/// How long a run with an end to reach waits for a topic that is gone: it may be about to be created again.
const MISSING_WAIT: Duration = Duration::from_secs(15);
const FOLLOW_WAIT: Duration = Duration::from_secs(2);

/// An id for this process as a writer: no two runs share one, and a person can tell where it ran.
#[must_use]
pub fn writer_id() -> WriterId {
    let host = rustix::system::uname();
    let host: String = host
        .nodename()
        .to_string_lossy()
        .chars()
        .filter(|c| !c.is_control())
        .take(100)
        .collect();
    let text = format!("{host}-{}-{}", std::process::id(), uuid::Uuid::now_v7().simple());
    WriterId::new(&text).expect("short and printable")
}

/// How an ingester runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct IngestOptions {
    /// Take what is in the topics now, commit it, and end.
    pub until_end: bool,
}

/// Why an ingester could not run, or ended on its own.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("kafka: {0}")]
    Kafka(String),
    /// Why each of them has stopped was logged when it did.
    #[error("topics have stopped, each for the reason logged above: {}", .0.join(", "))]
    Topics(Vec<String>),
}

/// Runs until `stop` is set, or until the end of the topics where the options say so.
///
/// # Errors
/// When the cluster does not answer at the start, or when every topic (with `until_end`: any topic) has stopped.
pub fn run(
    config: &Config,
    transforms: &Transforms,
    options: IngestOptions,
    telemetry: &Arc<Telemetry>,
    stop: &AtomicBool,
) -> Result<(), IngestError> {
    run_with(
        config,
        transforms,
        options,
        telemetry,
        stop,
        &Failpoints::default(),
    )
}

/// As `run`, with failpoints: for tests.
///
/// # Errors
/// As `run`.
pub fn run_with(
    config: &Config,
    transforms: &Transforms,
    options: IngestOptions,
    telemetry: &Arc<Telemetry>,
    stop: &AtomicBool,
    failpoints: &Failpoints,
) -> Result<(), IngestError> {
    let cluster = connect(&config.kafka, CONNECT_TIMEOUT)?;
    telemetry.set_kafka(KafkaState::Connected);
    if options.until_end {
        all_there(config, &cluster)?;
    }
    let partitions = config
        .topics
        .iter()
        .filter_map(|topic| cluster.topics.get(topic.name.as_str()))
        .sum::<usize>();
    let shares = Shares::of(
        config.lake.memory_limit_bytes,
        ClusterShape {
            brokers: cluster.brokers.len(),
            topics: config.topics.len(),
            partitions,
        },
    );
    let consumer = consumer(&config.kafka, &shares, partitions)?;
    let ends = options.until_end.then(|| ends(config, &consumer)).transpose()?;
    let surroundings = Surroundings {
        config,
        transforms,
        shares: &shares,
        consumer: &consumer,
        stop,
        failpoints,
    };
    let mut ingester = Ingester::start(&surroundings, telemetry, ends.as_deref());
    if ingester.topics.is_empty() {
        return outcome(telemetry, options);
    }
    ingester
        .assignment
        .subscribe()
        .map_err(|error| IngestError::Kafka(error.to_string()))?;
    let served = ingester.serve_until(stop);
    ingester.end(telemetry);
    drop(ingester);
    close(consumer);
    served.and_then(|()| outcome(telemetry, options))
}

/// Leaves the group and ends the client, on a thread of its own: librdkafka loses an answer that it is given while it closes, and
/// then waits for it for good. All that was read is committed by now, so the group may as well find out by itself.
fn close(consumer: Arc<BaseConsumer<IngestContext>>) {
    consumer.context().set_closing();
    let (done, closed) = bounded::<()>(0);
    let closing = move || {
        drop(consumer);
        drop(done);
    };
    let thread = std::thread::Builder::new()
        .name("close".to_owned())
        .spawn(closing);
    thread.expect("the system has a thread for the end");
    if closed.recv_timeout(CLOSE_WAIT) == Err(RecvTimeoutError::Timeout) {
        tracing::warn!("the kafka client does not close; it is left behind, with everything committed");
    }
}

/// A daemon waits for topics that are not there yet; who wants all there is now has named the wrong ones.
fn all_there(config: &Config, cluster: &Cluster) -> Result<(), IngestError> {
    let gone = |topic: &&TopicConfig| !cluster.topics.contains_key(topic.name.as_str());
    let missing: Vec<&str> = config
        .topics
        .iter()
        .filter(gone)
        .map(|topic| topic.name.as_str())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(IngestError::Kafka(format!(
        "the cluster at {} has no topic {}; hint: create it with `eventlake topics create`, or correct [[topics]]",
        config.kafka.brokers,
        missing.join(", "),
    )))
}

fn outcome(telemetry: &Telemetry, options: IngestOptions) -> Result<(), IngestError> {
    let stopped: Vec<String> = telemetry
        .topics()
        .iter()
        .filter_map(|topic| match topic.state() {
            TopicState::Stopped { .. } => Some(topic.name().to_string()),
            _ => None,
        })
        .collect();
    let all = stopped.len() == telemetry.topics().len();
    if !stopped.is_empty() && (all || options.until_end) {
        return Err(IngestError::Topics(stopped));
    }
    Ok(())
}

fn consumer(
    kafka: &KafkaConfig,
    shares: &Shares,
    partitions: usize,
) -> Result<Arc<BaseConsumer<IngestContext>>, IngestError> {
    let mut client = consumer_config(kafka, shares);
    pace(&mut client, kafka, partitions);
    client
        .create_with_context(IngestContext::new(Protocol::of_strategy(
            kafka.properties.get("partition.assignment.strategy"),
        )))
        .map(Arc::new)
        .map_err(|error: KafkaError| IngestError::Kafka(client_creation_reason(&error)))
}

/// Where each topic ends now, in the order of the configuration.
fn ends(config: &Config, consumer: &BaseConsumer<IngestContext>) -> Result<Vec<Arc<EndTarget>>, IngestError> {
    let target =
        |topic| aim_at(topic, consumer, Duration::from_secs(30)).map(|aim| Arc::new(EndTarget::new(aim)));
    let targets: Result<Vec<_>, NoAim> = config.topics.iter().map(target).collect();
    targets.map_err(|error| IngestError::Kafka(error.to_string()))
}

/// What all topics are built from.
struct Surroundings<'a> {
    config: &'a Config,
    transforms: &'a Transforms,
    shares: &'a Shares,
    consumer: &'a Arc<BaseConsumer<IngestContext>>,
    stop: &'a AtomicBool,
    failpoints: &'a Failpoints,
}

/// Everything one topic is built from.
struct Wiring<'a> {
    around: &'a Surroundings<'a>,
    topic: &'a TopicConfig,
    index: usize,
    telemetry: Arc<TopicTelemetry>,
    writer: &'a WriterId,
    budget: &'a Arc<Budget>,
    give_up: &'a Arc<AtomicBool>,
    end: Option<Arc<EndTarget>>,
}

impl Wiring<'_> {
    /// Opens the topic's log, with a handle for each of the two threads that read it, and starts its pipeline and committer.
    fn start(self, reassigns: Sender<Reassign>) -> Result<(TopicLink, TopicThreads), LakeError> {
        let Surroundings {
            config,
            transforms,
            shares,
            consumer,
            failpoints,
            ..
        } = *self.around;
        let lake = &config.lake;
        let rules = transforms.rules_of(self.topic);
        let rewriter = Rewriter {
            kafka: config.kafka.clone(),
            shares: *shares,
            topic: self.topic.clone(),
            facts: FileFacts::of(self.topic, &rules),
            rules: rules.clone(),
        };
        let tidier = || {
            let policy = SnapshotPolicy {
                every: lake.snapshot_every,
                log_retention: lake.log_retention,
            };
            Tidier::new(Arc::clone(&self.telemetry), policy)
        };
        let opened = self.open_log()?;
        let log = opened.another();
        // The handle that was opened is the start's: it tells what the opening tidied away.
        let start = TopicStart::new(
            opened,
            rewriter.clone(),
            tidier(),
            failpoints.clone(),
            lake.data.clone(),
        );
        let (queue, handle) = topic_queue(consumer, &self.topic.name);
        let (command, commands) = unbounded();
        let (job, jobs) = bounded(1);
        let (report, reports) = unbounded();
        let holding = self.budget.holding(self.index);
        let pipeline = Pipeline {
            index: self.index,
            queue: Some(queue),
            buffer: OpenBuffer::new(&rules),
            limits: Limits {
                roll_interval: lake.roll_interval,
                roll_bytes: shares.roll_bytes(lake.roll_bytes),
                budget_bytes: shares.buffer_bytes,
            },
            budget: Arc::clone(self.budget),
            holding,
            telemetry: Arc::clone(&self.telemetry),
            commands,
            jobs: job,
            reports,
            reassigns,
            end: self.end.clone(),
        };
        let committer = Committer {
            topic: self.topic.clone(),
            lake: lake.clone(),
            log,
            consumer: Arc::clone(consumer),
            queue: handle.clone(),
            telemetry: Arc::clone(&self.telemetry),
            rewriter,
            tidier: tidier(),
            failpoints: failpoints.clone(),
            jobs,
            reports: report,
            give_up: Arc::clone(self.give_up),
            failed: false,
        };
        let threads = TopicThreads {
            pipeline: spawn("consume", &self.topic.name, move || pipeline.run()),
            committer: spawn("commit", &self.topic.name, move || committer.run()),
            end: self.end,
            telemetry: Arc::clone(&self.telemetry),
            missing_since: None,
        };
        let link = TopicLink {
            index: self.index,
            name: self.topic.name.clone(),
            commands: command,
            queue: handle,
            start,
            telemetry: self.telemetry,
            pause: None,
        };
        Ok((link, threads))
    }

    /// A disk that is full, read-only or failing is waited for, as it is later on; anything else is for a person.
    fn open_log(&self) -> Result<TopicLog, LakeError> {
        let lake = &self.around.config.lake;
        let paths = LakePaths {
            data: lake.data.clone(),
            rejected: lake.rejected.clone(),
            checkpoints: lake.checkpoints.clone(),
        };
        let mut pause: Option<Pause> = None;
        loop {
            let store = self.around.failpoints.store();
            let opened = TopicLog::open_with(store, &paths, &self.topic.name, &self.topic.table, self.writer);
            match opened {
                Err(LakeError::Io(error)) if error.may_pass() && !self.around.stop.load(Relaxed) => {
                    let now = Instant::now();
                    pause.get_or_insert_with(|| Pause::begin(now)).go_on(
                        &error.to_string(),
                        &self.telemetry,
                        now,
                    );
                    std::thread::sleep(OPEN_WAIT);
                }
                outcome => {
                    if let (Some(pause), Ok(_)) = (pause, &outcome) {
                        pause.end(&self.telemetry, TopicState::Starting);
                    }
                    return outcome;
                }
            }
        }
    }
}

fn spawn(stage: &str, topic: &TopicName, work: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    let name = format!("{stage}-{topic}");
    std::thread::Builder::new()
        .name(name)
        .spawn(work)
        .expect("the system has a thread for each topic")
}

/// One topic's threads and how far they must get.
struct TopicThreads {
    pipeline: JoinHandle<()>,
    committer: JoinHandle<()>,
    end: Option<Arc<EndTarget>>,
    telemetry: Arc<TopicTelemetry>,
    /// The cluster says that there is no such topic.
    missing_since: Option<Instant>,
}

fn has_panicked(topic: &TopicTelemetry) {
    let why = "a thread of it ended in a panic; hint: this is a fault of eventlake, please report it with the lines above; \
               nothing is lost, a restart reads on from the checkpoint";
    tracing::error!(topic = %topic.name(), "topic stopped: {why}");
    topic.set_state(TopicState::Stopped { why: why.to_owned() });
}

struct Ingester {
    assignment: Assignment,
    topics: Vec<TopicThreads>,
    consumer: Arc<BaseConsumer<IngestContext>>,
    budget: Arc<Budget>,
    telemetry: Arc<Telemetry>,
    /// Set when the last rolls have had their time.
    give_up: Arc<AtomicBool>,
    failpoints: Failpoints,
}

impl Ingester {
    fn start(
        around: &Surroundings<'_>,
        telemetry: &Arc<Telemetry>,
        ends: Option<&[Arc<EndTarget>]>,
    ) -> Ingester {
        let Surroundings { config, consumer, .. } = *around;
        let budget = Arc::new(Budget::new(
            config.topics.len(),
            config.lake.memory_limit_bytes,
            around.shares,
        ));
        let give_up = Arc::new(AtomicBool::new(false));
        let (reassign, reassigns) = unbounded();
        let writer = WriterId::new(telemetry.writer()).expect("made by writer_id");
        let mut links = Vec::new();
        let mut topics = Vec::new();
        for (index, topic) in config.topics.iter().enumerate() {
            let wiring = Wiring {
                around,
                topic,
                index,
                telemetry: Arc::clone(&telemetry.topics()[index]),
                writer: &writer,
                budget: &budget,
                give_up: &give_up,
                end: ends.map(|ends| Arc::clone(&ends[index])),
            };
            match wiring.start(reassign.clone()) {
                Ok((link, threads)) => {
                    links.push(link);
                    topics.push(threads);
                }
                Err(error) => {
                    tracing::error!(topic = %topic.name, "topic stopped: {error}");
                    telemetry.topics()[index].set_state(TopicState::Stopped {
                        why: error.to_string(),
                    });
                }
            }
        }
        let assignment = Assignment::new(
            Arc::clone(consumer),
            links,
            Arc::clone(telemetry),
            reassigns,
            around.failpoints.clone(),
        );
        Ingester {
            assignment,
            topics,
            consumer: Arc::clone(consumer),
            budget,
            telemetry: Arc::clone(telemetry),
            give_up,
            failpoints: around.failpoints.clone(),
        }
    }

    fn serve_until(&mut self, stop: &AtomicBool) -> Result<(), IngestError> {
        let (mut told_at, mut tended_at) = (None::<Instant>, None::<Instant>);
        let (began, mut is_wait_told) = (Instant::now(), false);
        while !stop.load(Relaxed) {
            self.assignment.serve(POLL_WAIT);
            self.budget.watch();
            if told_at.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
                told_at = Some(Instant::now());
                self.notice_panics();
                self.tell();
                if tended_at.is_none_or(|tended| tended.elapsed() >= self.tend_every()) {
                    tended_at = Some(Instant::now());
                    self.tend_partitions();
                }
                self.still_a_member()?;
                self.follow_topics()?;
                if !is_wait_told && began.elapsed() >= GROUP_WAIT && !self.telemetry.is_assigned() {
                    is_wait_told = true;
                    tracing::info!(
                        "waiting for the group to hand out partitions; a member that died keeps its own until its session.timeout.ms \
                         is over"
                    );
                }
            }
            let over = |topic: &TopicThreads| {
                let reached = topic.end.as_ref().is_some_and(|end| end.reached.load(Relaxed));
                reached || matches!(topic.telemetry.state(), TopicState::Stopped { .. })
            };
            if self.topics.iter().all(over) && self.all_landed() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// After a fatal error librdkafka does nothing more, whatever is asked of it.
    fn still_a_member(&self) -> Result<(), IngestError> {
        let Some((code, reason)) = self.consumer.client().fatal_error() else {
            return Ok(());
        };
        let hint = if code == RDKafkaErrorCode::FencedInstanceId {
            "; hint: if another ingester runs under the same group.instance.id, give each its own; if this one was away for \
             longer than its session.timeout.ms, start it again"
        } else {
            ""
        };
        Err(IngestError::Kafka(format!(
            "the consumer group has no place for this ingester any more: {reason}{hint}"
        )))
    }

    /// With an end to reach: a topic that was created again has other ends, one that is gone has none.
    fn follow_topics(&mut self) -> Result<(), IngestError> {
        let mut on_their_way = Vec::new();
        for link in self.assignment.topics() {
            let is_own = |topic: &TopicThreads| Arc::ptr_eq(&topic.telemetry, &link.telemetry);
            let Some(index) = self.topics.iter().position(is_own) else {
                continue;
            };
            let Some(end) = &self.topics[index].end else {
                continue;
            };
            let stopped = matches!(link.telemetry.state(), TopicState::Stopped { .. });
            if !stopped && !link.start.has_landed(&end.aim()) {
                on_their_way.push((index, link.start.topic().clone(), Arc::clone(end)));
            }
        }
        if on_their_way.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = on_their_way
            .iter()
            .map(|(_, topic, _)| topic.name.as_str())
            .collect();
        // One request for all of them: each waits behind a fetch.
        let seen = match identities(&names, &self.consumer) {
            Ok(seen) => seen,
            Err(error) => {
                tracing::debug!("cannot look after the topics' ends: {error}");
                return Ok(());
            }
        };
        for ((index, config, end), seen) in on_their_way.into_iter().zip(seen) {
            let topic = &mut self.topics[index];
            let another = match seen {
                Ok((seen, _)) if seen.topic_id == end.aim().topic_id => Ok(None),
                Ok(_) => aim_at(&config, &self.consumer, FOLLOW_WAIT).map(Some),
                Err(error) => Err(error.into()),
            };
            match another {
                Ok(None) => topic.missing_since = None,
                Ok(Some(now)) => {
                    topic.missing_since = None;
                    tracing::warn!(topic = %config.name, "the topic was created again during this run: its end is that of now");
                    end.aim_anew(now);
                }
                Err(NoAim::Describe(missing @ DescribeError::UnknownTopic { .. })) => {
                    if topic.missing_since.get_or_insert_with(Instant::now).elapsed() >= MISSING_WAIT {
                        // What was read of it cannot be committed any more: its generation is not to be had.
                        self.give_up.store(true, Relaxed);
                        return Err(IngestError::Kafka(format!(
                            "{missing}: it was deleted during this run, before all of it had landed"
                        )));
                    }
                }
                Err(error) => {
                    tracing::debug!(topic = %config.name, "cannot look after the topic's end: {error}")
                }
            }
        }
        Ok(())
    }

    /// With an end to reach: whether the checkpoints have reached it, whichever member of the group committed.
    fn all_landed(&mut self) -> bool {
        let topics = &self.topics;
        self.assignment.topics().iter_mut().all(|link| {
            let stopped = matches!(link.telemetry.state(), TopicState::Stopped { .. });
            let mut own = topics
                .iter()
                .filter(|topic| Arc::ptr_eq(&topic.telemetry, &link.telemetry));
            let end = own.next().and_then(|topic| topic.end.as_ref());
            stopped || end.is_none_or(|end| link.start.has_landed(&end.aim()))
        })
    }

    /// A thread that ended without being told to has panicked: its topic has stopped, and nobody else has. Only until the
    /// stop: from then on threads end by themselves, in an order that nobody can see from here.
    fn notice_panics(&self) {
        for topic in &self.topics {
            let ended = topic.pipeline.is_finished() || topic.committer.is_finished();
            if ended && !matches!(topic.telemetry.state(), TopicState::Stopped { .. }) {
                has_panicked(&topic.telemetry);
            }
        }
    }

    fn tell(&self) {
        self.telemetry.set_memory_used(self.budget.used_bytes());
        let away = self.consumer.context().log.brokers_away();
        match (away.is_empty(), self.telemetry.kafka()) {
            (true, _) => self.telemetry.set_kafka(KafkaState::Connected),
            (false, KafkaState::Away { .. }) => {}
            (false, _) => self.telemetry.set_kafka(KafkaState::Away {
                since_unix_millis: chrono::Utc::now().timestamp_millis(),
                why: format!("{} cannot be reached", away.join(", ")),
            }),
        }
    }

    /// With many partitions the walk over all of them is what an idle daemon would mostly do.
    fn tend_every(&self) -> Duration {
        let held: usize = self
            .assignment
            .held()
            .map(|(_, partitions)| partitions.len())
            .sum();
        let paced = TEND_PARTITION.saturating_mul(u32::try_from(held).unwrap_or(u32::MAX));
        paced.clamp(TELL_EVERY, TEND_EVERY_MAX)
    }

    fn tend_partitions(&self) {
        for (topic, partitions) in self.assignment.held() {
            // A partition that was taken out and put in again may have lost its way while it stopped.
            partitions
                .iter()
                .for_each(|partition| topic.queue.forward(*partition));
            let end = |partition: &PartitionId| {
                cached_end(&self.consumer, &topic.name, *partition).map(|end| (*partition, end))
            };
            topic.telemetry.set_end(partitions.iter().filter_map(end));
        }
    }

    /// Rolls, commits and ends every topic; serves the group meanwhile.
    fn end(&mut self, telemetry: &Telemetry) {
        self.failpoints.pass(Step::StopAsked);
        telemetry.set_stopping();
        self.assignment.stop();
        let started = Instant::now();
        while self.topics.iter().any(|topic| !topic.pipeline.is_finished()) {
            if started.elapsed() >= STOP_WAIT && !self.give_up.swap(true, Relaxed) {
                tracing::warn!(
                    "the last rolls could not be committed in time; they are read again at the next start"
                );
            }
            self.assignment.serve(POLL_WAIT);
        }
        for topic in self.topics.drain(..) {
            for thread in [topic.pipeline, topic.committer] {
                if thread.join().is_err() {
                    has_panicked(&topic.telemetry);
                }
            }
        }
        self.failpoints.pass(Step::StopRolled);
    }
}
