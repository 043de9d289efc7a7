//! What the running process counts: written by the pipelines, read by the HTTP server, the demo and the logs.
//!
//! Nothing here does I/O or reads a clock, and no writer ever waits for a reader: counters are relaxed atomics, and
//! the few locks (a state's text, the partitions' positions, names of undeclared fields) are held for a copy only.
//! `landed` counts are as of commits, so they never count a record twice; `consumed` counts what was read, and a
//! rewind reads again.

mod counts;
mod rate;
mod snapshot;
mod views;
mod work;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use eventlake_core::names::{TableName, TopicName};
use eventlake_core::position::{Offset, PartitionId};
use serde::{Deserialize, Serialize};

pub use counts::{CodeCounts, RollReason, UNDECLARED_NAMES_MAX, UNDECLARED_REST};
pub use rate::RateMeter;
pub use snapshot::{
    KafkaSnapshot, LastCommit, MemorySnapshot, PartitionSnapshot, TelemetrySnapshot, TopicSnapshot,
};

pub use views::{OutputSnapshot, ViewSnapshot, ViewState};
pub use work::Work;

use counts::AtomicCodeCounts;
use work::WorkTimes;

/// No commit, no event yet: a time that no record can carry, so that one atomic can say "none".
const NO_TIME: i64 = i64::MIN;

/// How a topic's pipeline is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum TopicState {
    /// Waiting for its first assignment, or reading its log.
    Starting,
    Running,
    /// The disk or the cluster refuses, or the topic is not there yet; goes on by itself.
    Paused {
        why: String,
    },
    /// A person must act: schema, disk, data loss. The other topics go on.
    Stopped {
        why: String,
    },
}

/// How the cluster looks from here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum KafkaState {
    Connecting,
    Connected,
    /// No broker answers; librdkafka keeps trying.
    Away {
        since_unix_millis: i64,
        why: String,
    },
}

/// What one valid commit of this writer landed.
#[derive(Clone, Debug)]
pub struct CommittedRoll {
    pub number: u64,
    pub at_unix_millis: i64,
    pub reason: RollReason,
    /// From sealing the buffers to the end of publishing.
    pub took: Duration,
    pub accepted: u64,
    /// Rejected records by code; their sum is the commit's `rejected`.
    pub rejected: CodeCounts,
    pub tombstones: u64,
    pub filtered: u64,
    pub absent: u64,
    pub lost: u64,
    /// Data files and files of rejected records together.
    pub files: u64,
    pub file_bytes: u64,
    /// The newest event time among the accepted rows, microseconds since 1970.
    pub newest_event_micros: Option<i64>,
    /// The checkpoint after this commit, of the partitions it covers.
    pub checkpoint: Vec<(PartitionId, Offset)>,
}

/// The whole process: one an ingester, shared by everything that reports on it.
#[derive(Debug)]
pub struct Telemetry {
    writer: String,
    started_unix_millis: i64,
    topics: Vec<Arc<TopicTelemetry>>,
    memory_used_bytes: AtomicU64,
    memory_limit_bytes: u64,
    kafka: Mutex<KafkaState>,
    /// Set by the first assignment, an empty one too.
    assigned: AtomicBool,
    stopping: AtomicBool,
    views: Mutex<Vec<ViewSnapshot>>,
}

impl Telemetry {
    /// `writer` is the writer's id; the topics stand in the order of the configuration.
    #[must_use]
    pub fn new(
        writer: impl Into<String>,
        started_unix_millis: i64,
        memory_limit_bytes: u64,
        topics: impl IntoIterator<Item = (TopicName, TableName)>,
    ) -> Telemetry {
        let topics = topics
            .into_iter()
            .map(|(topic, table)| Arc::new(TopicTelemetry::new(topic, table)))
            .collect();
        Telemetry {
            writer: writer.into(),
            started_unix_millis,
            topics,
            memory_used_bytes: AtomicU64::new(0),
            memory_limit_bytes,
            kafka: Mutex::new(KafkaState::Connecting),
            assigned: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            views: Mutex::new(Vec::new()),
        }
    }

    /// How the views are doing now.
    pub fn set_views(&self, views: Vec<ViewSnapshot>) {
        *held(&self.views) = views;
    }

    #[must_use]
    pub fn writer(&self) -> &str {
        &self.writer
    }

    #[must_use]
    pub fn topics(&self) -> &[Arc<TopicTelemetry>] {
        &self.topics
    }

    #[must_use]
    pub fn topic(&self, name: &TopicName) -> Option<&Arc<TopicTelemetry>> {
        self.topics.iter().find(|topic| topic.name == *name)
    }

    /// Bytes of the one budget in use now.
    pub fn set_memory_used(&self, bytes: u64) {
        self.memory_used_bytes.store(bytes, Relaxed);
    }

    /// Notes how far each topic has read, so that snapshots can tell a rate. Call it about once a second.
    pub fn sample(&self, now_unix_millis: i64) {
        for topic in &self.topics {
            let consumed = topic.consumed_records.load(Relaxed);
            held(&topic.consumed_rate).sample(now_unix_millis, consumed);
        }
    }

    pub fn set_kafka(&self, state: KafkaState) {
        *held(&self.kafka) = state;
    }

    #[must_use]
    pub fn kafka(&self) -> KafkaState {
        held(&self.kafka).clone()
    }

    /// The group has given this member its partitions (perhaps none), or has taken membership away.
    pub fn set_assigned(&self, assigned: bool) {
        self.assigned.store(assigned, Relaxed);
    }

    /// Whether the group has ever given this process partitions, or told it that there are none for it.
    #[must_use]
    pub fn is_assigned(&self) -> bool {
        self.assigned.load(Relaxed)
    }

    /// The process rolls for the last time and ends: no longer ready.
    pub fn set_stopping(&self) {
        self.stopping.store(true, Relaxed);
    }

    /// Why the process is not ready to be relied on, one line a reason; empty when it is.
    #[must_use]
    pub fn not_ready(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.stopping.load(Relaxed) {
            reasons.push("the ingester is stopping".to_owned());
        }
        if let KafkaState::Away { why, .. } = &*held(&self.kafka) {
            reasons.push(format!("kafka is away: {why}"));
        }
        if !self.is_assigned() {
            reasons.push("no partitions assigned by the consumer group yet".to_owned());
        }
        for topic in &self.topics {
            match &*held(&topic.state) {
                TopicState::Stopped { why } => {
                    reasons.push(format!("topic {} has stopped: {why}", topic.name))
                }
                TopicState::Starting => reasons.push(format!("topic {} is starting", topic.name)),
                TopicState::Paused { why } => reasons.push(format!("topic {} is paused: {why}", topic.name)),
                TopicState::Running => {}
            }
        }
        reasons
    }
}

/// One topic's counters.
#[derive(Debug)]
pub struct TopicTelemetry {
    name: TopicName,
    table: TableName,
    state: Mutex<TopicState>,

    consumed_records: AtomicU64,
    consumed_bytes: AtomicU64,
    consumed_rate: Mutex<RateMeter>,

    accepted: AtomicU64,
    rejected: AtomicCodeCounts,
    tombstones: AtomicU64,
    filtered: AtomicU64,
    absent: AtomicU64,
    lost: AtomicU64,

    rolls: [AtomicU64; RollReason::ALL.len()],
    roll_micros: AtomicU64,
    work: WorkTimes,
    dropped_rolls: AtomicU64,
    rewinds: AtomicU64,
    cleaned_files: AtomicU64,
    cleaned_bytes: AtomicU64,
    files: AtomicU64,
    file_bytes: AtomicU64,

    buffered_rows: AtomicU64,
    buffered_bytes: AtomicU64,

    last_commit_number: AtomicU64,
    last_commit_unix_millis: AtomicI64,
    newest_event_micros: AtomicI64,

    partitions: Mutex<BTreeMap<PartitionId, Positions>>,
    undeclared: Mutex<BTreeMap<String, u64>>,
}

/// Where one assigned partition stands.
#[derive(Clone, Copy, Debug, Default)]
struct Positions {
    /// The next offset to read.
    read_next: Option<Offset>,
    /// The next offset to land: the checkpoint.
    landed_next: Option<Offset>,
    /// The offset after the last record a `read_committed` consumer may read now.
    end: Option<Offset>,
}

impl TopicTelemetry {
    /// For [`Telemetry::new`], and for tests of a pipeline that has no process around it.
    #[must_use]
    pub fn new(name: TopicName, table: TableName) -> TopicTelemetry {
        TopicTelemetry {
            name,
            table,
            state: Mutex::new(TopicState::Starting),
            consumed_records: AtomicU64::new(0),
            consumed_bytes: AtomicU64::new(0),
            consumed_rate: Mutex::new(RateMeter::default()),
            accepted: AtomicU64::new(0),
            rejected: AtomicCodeCounts::default(),
            tombstones: AtomicU64::new(0),
            filtered: AtomicU64::new(0),
            absent: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            rolls: Default::default(),
            roll_micros: AtomicU64::new(0),
            work: WorkTimes::default(),
            dropped_rolls: AtomicU64::new(0),
            rewinds: AtomicU64::new(0),
            cleaned_files: AtomicU64::new(0),
            cleaned_bytes: AtomicU64::new(0),
            files: AtomicU64::new(0),
            file_bytes: AtomicU64::new(0),
            buffered_rows: AtomicU64::new(0),
            buffered_bytes: AtomicU64::new(0),
            last_commit_number: AtomicU64::new(0),
            last_commit_unix_millis: AtomicI64::new(NO_TIME),
            newest_event_micros: AtomicI64::new(NO_TIME),
            partitions: Mutex::new(BTreeMap::new()),
            undeclared: Mutex::new(BTreeMap::new()),
        }
    }

    #[must_use]
    pub fn name(&self) -> &TopicName {
        &self.name
    }

    #[must_use]
    pub fn table(&self) -> &TableName {
        &self.table
    }

    /// `Running` from the first assignment on, even when it gives this writer none of the topic's partitions.
    pub fn set_state(&self, state: TopicState) {
        let mut current = held(&self.state);
        // A stopped topic stays stopped: who still works on its last roll does not know.
        if !matches!(*current, TopicState::Stopped { .. }) {
            *current = state;
        }
    }

    #[must_use]
    pub fn state(&self) -> TopicState {
        held(&self.state).clone()
    }

    /// A batch was read: its records and the bytes of their payloads. Once a batch, not once a record.
    pub fn on_consumed(&self, records: u64, payload_bytes: u64) {
        self.consumed_records.fetch_add(records, Relaxed);
        self.consumed_bytes.fetch_add(payload_bytes, Relaxed);
    }

    /// A valid commit of this writer. Call it after publishing, once a commit.
    pub fn on_committed(&self, roll: &CommittedRoll) {
        self.accepted.fetch_add(roll.accepted, Relaxed);
        self.rejected.add(&roll.rejected);
        self.tombstones.fetch_add(roll.tombstones, Relaxed);
        self.filtered.fetch_add(roll.filtered, Relaxed);
        self.absent.fetch_add(roll.absent, Relaxed);
        self.lost.fetch_add(roll.lost, Relaxed);
        self.files.fetch_add(roll.files, Relaxed);
        self.file_bytes.fetch_add(roll.file_bytes, Relaxed);
        self.rolls[roll.reason as usize].fetch_add(1, Relaxed);
        let micros = u64::try_from(roll.took.as_micros()).unwrap_or(u64::MAX);
        self.roll_micros.fetch_add(micros, Relaxed);
        self.last_commit_number.store(roll.number, Relaxed);
        self.last_commit_unix_millis.store(roll.at_unix_millis, Relaxed);
        if let Some(micros) = roll.newest_event_micros {
            self.newest_event_micros.fetch_max(micros, Relaxed);
        }
        let mut partitions = held(&self.partitions);
        for (partition, next) in &roll.checkpoint {
            if let Some(positions) = partitions.get_mut(partition) {
                positions.landed_next = Some(*next);
            }
        }
    }

    /// So long did one batch or roll take in this.
    pub fn on_worked(&self, work: Work, took: Duration) {
        self.work.add(work, took);
    }

    /// A sealed roll was given up: its commit was void or dropped, or its partitions were taken away.
    pub fn on_roll_dropped(&self) {
        self.dropped_rolls.fetch_add(1, Relaxed);
    }

    /// Partitions were set back to the checkpoint.
    pub fn on_rewound(&self) {
        self.rewinds.fetch_add(1, Relaxed);
    }

    /// Files that a crash or a dropped roll had left behind were deleted.
    pub fn on_cleaned(&self, files: u64, bytes: u64) {
        self.cleaned_files.fetch_add(files, Relaxed);
        self.cleaned_bytes.fetch_add(bytes, Relaxed);
    }

    /// What the open buffers hold now.
    pub fn set_buffered(&self, rows: u64, bytes: u64) {
        self.buffered_rows.store(rows, Relaxed);
        self.buffered_bytes.store(bytes, Relaxed);
    }

    /// A partition is ours, and reading starts at its checkpoint. A rewind says the same again.
    pub fn on_assigned(&self, partition: PartitionId, checkpoint: Offset) {
        let mut partitions = held(&self.partitions);
        let positions = partitions.entry(partition).or_default();
        positions.read_next = Some(checkpoint);
        positions.landed_next = Some(checkpoint);
    }

    /// A partition is no longer ours: its lag is another writer's to report.
    pub fn on_unassigned(&self, partition: PartitionId) {
        held(&self.partitions).remove(&partition);
    }

    /// The next offset to read of each of these partitions; those not assigned are passed over.
    pub fn set_read_next(&self, positions: impl IntoIterator<Item = (PartitionId, Offset)>) {
        let mut partitions = held(&self.partitions);
        for (partition, next) in positions {
            if let Some(positions) = partitions.get_mut(&partition) {
                positions.read_next = Some(next);
            }
        }
    }

    /// The end of each of these partitions (the last stable offset); those not assigned are passed over.
    pub fn set_end(&self, ends: impl IntoIterator<Item = (PartitionId, Offset)>) {
        let mut partitions = held(&self.partitions);
        for (partition, end) in ends {
            if let Some(positions) = partitions.get_mut(&partition) {
                positions.end = Some(end);
            }
        }
    }

    /// Undeclared root fields seen since the last call, by name.
    ///
    /// At most [`UNDECLARED_NAMES_MAX`] names are kept; later ones count as [`UNDECLARED_REST`].
    pub fn on_undeclared<S: AsRef<str>>(&self, counts: impl IntoIterator<Item = (S, u64)>) {
        let mut undeclared = held(&self.undeclared);
        for (name, count) in counts {
            counts::add_bounded(&mut undeclared, name.as_ref(), count);
        }
    }
}

/// The value behind a lock. A panic elsewhere must not take the reports down with it, and each update here is whole.
fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
