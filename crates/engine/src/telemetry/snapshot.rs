//! One look at everything the process counts: what `/api/v1/status` answers and `eventlake status` shows.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;

use eventlake_core::names::{TableName, TopicName};
use eventlake_core::position::{Offset, PartitionId};
use serde::{Deserialize, Serialize};

use super::counts::RollReason;
use super::views::ViewSnapshot;
use super::{KafkaState, NO_TIME, Positions, Telemetry, TopicState, TopicTelemetry, held};

/// How many names of undeclared fields a snapshot lists: those seen most often.
const UNDECLARED_LISTED_MAX: usize = 20;

/// The process at one moment. The field names are a public format.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TelemetrySnapshot {
    pub writer: String,
    pub started_unix_millis: i64,
    pub ready: bool,
    /// Why it is not ready; empty when it is.
    pub not_ready: Vec<String>,
    pub kafka: KafkaSnapshot,
    pub memory: MemorySnapshot,
    pub topics: Vec<TopicSnapshot>,
    /// Nothing from a writer too old to tell.
    #[serde(default)]
    pub views: Vec<ViewSnapshot>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KafkaSnapshot {
    #[serde(flatten)]
    pub connection: KafkaState,
    pub assigned: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemorySnapshot {
    pub used_bytes: u64,
    pub limit_bytes: u64,
}

/// One topic at one moment, since the start of the process. `landed` counts are as of this writer's commits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TopicSnapshot {
    pub topic: TopicName,
    pub table: TableName,
    #[serde(flatten)]
    pub state: TopicState,

    pub consumed_records: u64,
    pub consumed_bytes: u64,
    /// Over the last ten seconds or so; none before two samples were taken.
    pub consumed_per_sec: Option<f64>,
    pub accepted: u64,
    pub rejected: u64,
    /// Only codes that were seen.
    pub rejected_by_code: BTreeMap<String, u64>,
    pub tombstones: u64,
    pub filtered: u64,
    pub absent: u64,
    pub lost: u64,

    pub commits: u64,
    pub rolls_by_reason: BTreeMap<String, u64>,
    pub dropped_rolls: u64,
    pub rewinds: u64,
    /// Files deleted that a crash or a dropped roll had left behind, and what they held.
    pub cleaned_files: u64,
    pub cleaned_bytes: u64,
    /// Seconds spent from sealing to publishing, all rolls together.
    pub roll_secs: f64,
    /// Seconds of each kind of work (see `Work`), by its name. Nothing from a writer too old to tell.
    #[serde(default)]
    pub work_secs: BTreeMap<String, f64>,
    pub files: u64,
    pub file_bytes: u64,

    pub buffered_rows: u64,
    pub buffered_bytes: u64,
    pub last_commit: Option<LastCommit>,
    pub newest_event_unix_micros: Option<i64>,

    /// Records of the assigned partitions that have not landed; none while the end of one is unknown.
    pub lag_records: Option<u64>,
    /// Records of the assigned partitions that have not been read; none while the end of one is unknown.
    pub unread_records: Option<u64>,
    pub partitions: Vec<PartitionSnapshot>,

    pub undeclared_fields: u64,
    /// The names seen most often.
    pub undeclared_by_name: BTreeMap<String, u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastCommit {
    pub number: u64,
    pub unix_millis: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionSnapshot {
    pub partition: PartitionId,
    pub read_next: Option<Offset>,
    pub landed_next: Option<Offset>,
    pub end: Option<Offset>,
}

impl Telemetry {
    #[must_use]
    pub fn snapshot(&self) -> TelemetrySnapshot {
        let not_ready = self.not_ready();
        TelemetrySnapshot {
            writer: self.writer.clone(),
            started_unix_millis: self.started_unix_millis,
            ready: not_ready.is_empty(),
            not_ready,
            kafka: KafkaSnapshot {
                connection: self.kafka(),
                assigned: self.assigned.load(Relaxed),
            },
            memory: MemorySnapshot {
                used_bytes: self.memory_used_bytes.load(Relaxed),
                limit_bytes: self.memory_limit_bytes,
            },
            topics: self.topics.iter().map(|topic| topic.snapshot()).collect(),
            views: held(&self.views).clone(),
        }
    }
}

impl TopicTelemetry {
    #[must_use]
    pub fn snapshot(&self) -> TopicSnapshot {
        let rejected = self.rejected.load();
        let rolls_by_reason: BTreeMap<String, u64> = RollReason::ALL
            .iter()
            .map(|reason| {
                (
                    reason.as_str().to_owned(),
                    self.rolls[*reason as usize].load(Relaxed),
                )
            })
            .collect();
        let positions = held(&self.partitions).clone();
        let (undeclared_fields, undeclared_by_name) = self.most_undeclared();
        TopicSnapshot {
            topic: self.name.clone(),
            table: self.table.clone(),
            state: self.state(),
            consumed_records: self.consumed_records.load(Relaxed),
            consumed_bytes: self.consumed_bytes.load(Relaxed),
            consumed_per_sec: held(&self.consumed_rate).per_sec(),
            accepted: self.accepted.load(Relaxed),
            rejected: rejected.total(),
            rejected_by_code: rejected
                .iter()
                .filter(|(_, count)| *count > 0)
                .map(|(code, count)| (code.as_str().to_owned(), count))
                .collect(),
            tombstones: self.tombstones.load(Relaxed),
            filtered: self.filtered.load(Relaxed),
            absent: self.absent.load(Relaxed),
            lost: self.lost.load(Relaxed),
            commits: rolls_by_reason.values().sum(),
            rolls_by_reason,
            dropped_rolls: self.dropped_rolls.load(Relaxed),
            rewinds: self.rewinds.load(Relaxed),
            cleaned_files: self.cleaned_files.load(Relaxed),
            cleaned_bytes: self.cleaned_bytes.load(Relaxed),
            roll_secs: self.roll_micros.load(Relaxed) as f64 / 1e6,
            work_secs: self.work.secs(),
            files: self.files.load(Relaxed),
            file_bytes: self.file_bytes.load(Relaxed),
            buffered_rows: self.buffered_rows.load(Relaxed),
            buffered_bytes: self.buffered_bytes.load(Relaxed),
            last_commit: some_time(self.last_commit_unix_millis.load(Relaxed)).map(|unix_millis| {
                LastCommit {
                    number: self.last_commit_number.load(Relaxed),
                    unix_millis,
                }
            }),
            newest_event_unix_micros: some_time(self.newest_event_micros.load(Relaxed)),
            lag_records: behind(positions.values(), |positions| positions.landed_next),
            unread_records: behind(positions.values(), |positions| positions.read_next),
            partitions: positions
                .iter()
                .map(|(id, positions)| partition_snapshot(*id, positions))
                .collect(),
            undeclared_fields,
            undeclared_by_name,
        }
    }

    /// All undeclared fields counted, and the names seen most often.
    fn most_undeclared(&self) -> (u64, BTreeMap<String, u64>) {
        let mut named: Vec<(String, u64)> = held(&self.undeclared)
            .iter()
            .map(|(name, count)| (name.clone(), *count))
            .collect();
        let total = named.iter().map(|(_, count)| count).sum();
        named.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
        named.truncate(UNDECLARED_LISTED_MAX);
        (total, named.into_iter().collect())
    }
}

fn partition_snapshot(partition: PartitionId, positions: &Positions) -> PartitionSnapshot {
    PartitionSnapshot {
        partition,
        read_next: positions.read_next,
        landed_next: positions.landed_next,
        end: positions.end,
    }
}

/// How far `next` lies behind the end, over all partitions; none while one of them is unknown.
fn behind<'a>(
    partitions: impl Iterator<Item = &'a Positions>,
    next: impl Fn(&Positions) -> Option<Offset>,
) -> Option<u64> {
    let mut records = 0;
    for positions in partitions {
        let distance = positions.end?.0 - next(positions)?.0;
        records += u64::try_from(distance).unwrap_or(0); // the end was asked for before the last read
    }
    Some(records)
}

fn some_time(time: i64) -> Option<i64> {
    (time != NO_TIME).then_some(time)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use eventlake_core::violation::Code;

    use super::super::{CodeCounts, CommittedRoll, Work};
    use super::*;

    fn process() -> Telemetry {
        let named = |name: &str| {
            (
                TopicName::new(name).expect("a topic's name"),
                TableName::new(name).expect("a table's name"),
            )
        };
        Telemetry::new("writer-1", 1_000, 256 << 20, [named("clicks"), named("views")])
    }

    fn roll(number: u64, newest_event_micros: i64) -> CommittedRoll {
        let mut rejected = CodeCounts::default();
        rejected.add(Code::Minimum, 2);
        rejected.add(Code::MalformedJson, 1);
        CommittedRoll {
            number,
            at_unix_millis: 5_000,
            reason: RollReason::Interval,
            took: Duration::from_millis(250),
            accepted: 10,
            rejected,
            tombstones: 1,
            filtered: 1,
            absent: 4,
            lost: 0,
            files: 2,
            file_bytes: 900,
            newest_event_micros: Some(newest_event_micros),
            checkpoint: vec![(PartitionId(0), Offset(18)), (PartitionId(7), Offset(3))],
        }
    }

    #[test]
    fn commits_add_up_and_freshness_never_goes_back() {
        let process = process();
        let topic = &process.topics()[0];
        topic.on_consumed(18, 1_800);
        topic.on_committed(&roll(41, 9_000_000));
        topic.on_committed(&roll(42, 8_000_000));
        topic.on_worked(Work::Write, Duration::from_millis(300));
        topic.on_worked(Work::Write, Duration::from_millis(200));
        let seen = topic.snapshot();
        assert_eq!(
            (
                seen.accepted,
                seen.rejected,
                seen.tombstones,
                seen.filtered,
                seen.absent
            ),
            (20, 6, 2, 2, 8)
        );
        assert_eq!(seen.rejected_by_code["minimum"], 4);
        assert_eq!(seen.rejected_by_code.len(), 2, "codes never seen are not listed");
        assert_eq!((seen.commits, seen.rolls_by_reason["interval"]), (2, 2));
        assert_eq!(
            seen.last_commit,
            Some(LastCommit {
                number: 42,
                unix_millis: 5_000
            })
        );
        assert_eq!(seen.newest_event_unix_micros, Some(9_000_000));
        assert_eq!(seen.roll_secs, 0.5);
        assert_eq!((seen.work_secs["write"], seen.work_secs["take"]), (0.5, 0.0));
        assert_eq!(process.snapshot().topics[1].last_commit, None);
    }

    #[test]
    fn lag_is_known_only_when_every_assigned_partition_is() {
        let process = process();
        let topic = &process.topics()[0];
        topic.on_assigned(PartitionId(0), Offset(10));
        topic.on_assigned(PartitionId(1), Offset(0));
        topic.set_end([(PartitionId(0), Offset(30)), (PartitionId(9), Offset(500))]);
        assert_eq!(
            topic.snapshot().lag_records,
            None,
            "the end of partition 1 is not known"
        );
        topic.set_end([(PartitionId(1), Offset(5))]);
        topic.set_read_next([(PartitionId(0), Offset(25))]);
        let seen = topic.snapshot();
        assert_eq!((seen.lag_records, seen.unread_records), (Some(25), Some(10)));
        topic.on_committed(&roll(1, 0));
        assert_eq!(
            topic.snapshot().lag_records,
            Some(17),
            "partition 0 has landed up to 18"
        );
        topic.on_unassigned(PartitionId(0));
        let seen = topic.snapshot();
        assert_eq!((seen.lag_records, seen.partitions.len()), (Some(5), 1));
    }

    #[test]
    fn ready_means_assigned_connected_and_no_topic_stopped_or_paused() {
        let process = process();
        assert_eq!(process.not_ready().len(), 3, "unassigned, two topics starting");
        process.set_assigned(true);
        for topic in process.topics() {
            topic.set_state(TopicState::Running);
        }
        assert!(process.snapshot().ready);
        process.topics()[1].set_state(TopicState::Paused { why: "memory".into() });
        assert_eq!(process.not_ready(), ["topic views is paused: memory"]);
        process.topics()[1].set_state(TopicState::Running);
        process.set_kafka(KafkaState::Away {
            since_unix_millis: 1,
            why: "connection refused".into(),
        });
        assert_eq!(process.not_ready(), ["kafka is away: connection refused"]);
        process.set_kafka(KafkaState::Connected);
        process.topics()[1].set_state(TopicState::Stopped {
            why: "the disk is full".into(),
        });
        process.topics()[1].set_state(TopicState::Running);
        assert_eq!(
            process.not_ready(),
            ["topic views has stopped: the disk is full"],
            "and stays so"
        );
    }

    #[test]
    fn a_snapshot_survives_json() {
        let process = process();
        process.topics()[0].on_committed(&roll(41, 9_000_000));
        process.topics()[0].on_undeclared([("utm_source", 3), ("ref", 1)]);
        process.topics()[0].set_state(TopicState::Stopped {
            why: "a \"quoted\" reason".into(),
        });
        let seen = process.snapshot();
        let text = serde_json::to_string(&seen).expect("json");
        assert!(
            text.contains(r#""state":"stopped","why":"a \"quoted\" reason""#),
            "{text}"
        );
        assert_eq!(
            serde_json::from_str::<TelemetrySnapshot>(&text).expect("a snapshot"),
            seen
        );
    }
}
