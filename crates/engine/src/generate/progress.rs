//! How far a run is: plain counters that the producer writes and anybody may read, and the report at the end.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::event::Kind;

/// The counters of a run, shared with whoever shows them. They only grow.
#[derive(Debug)]
pub struct Progress {
    pub topics: Vec<TopicProgress>,
}

#[derive(Debug, Default)]
pub struct TopicProgress {
    pub topic: String,
    /// Handed to the producer.
    pub produced: AtomicU64,
    /// Of these: confirmed by the cluster.
    pub delivered: AtomicU64,
    /// Of these: given up, each with a reason in the report.
    pub failed: AtomicU64,
    /// Of the produced: broken on purpose.
    pub invalid: AtomicU64,
    /// Of the produced: late on purpose.
    pub late: AtomicU64,
    /// Payload bytes produced.
    pub bytes: AtomicU64,
}

/// The counters at one moment; or, at the end, what came of the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub produced: u64,
    pub delivered: u64,
    pub failed: u64,
    pub invalid: u64,
    pub late: u64,
    pub bytes: u64,
}

impl Progress {
    #[must_use]
    pub fn new(topics: &[(Kind, String)]) -> Progress {
        let topic = |(_, topic): &(Kind, String)| TopicProgress {
            topic: topic.clone(),
            ..TopicProgress::default()
        };
        Progress {
            topics: topics.iter().map(topic).collect(),
        }
    }

    /// Over all topics.
    #[must_use]
    pub fn total(&self) -> Counts {
        self.topics
            .iter()
            .map(TopicProgress::counts)
            .fold(Counts::default(), Counts::plus)
    }
}

impl TopicProgress {
    #[must_use]
    pub fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            produced: read(&self.produced),
            delivered: read(&self.delivered),
            failed: read(&self.failed),
            invalid: read(&self.invalid),
            late: read(&self.late),
            bytes: read(&self.bytes),
        }
    }
}

impl Counts {
    #[must_use]
    pub fn plus(self, other: Counts) -> Counts {
        Counts {
            produced: self.produced + other.produced,
            delivered: self.delivered + other.delivered,
            failed: self.failed + other.failed,
            invalid: self.invalid + other.invalid,
            late: self.late + other.late,
            bytes: self.bytes + other.bytes,
        }
    }
}

/// What came of a run. `produced = delivered + failed`: nothing is left without a word.
#[derive(Clone, Debug)]
pub struct Report {
    pub topics: Vec<(String, Counts)>,
    /// Why records failed, and how many for each reason.
    pub failures: BTreeMap<String, u64>,
    pub elapsed: Duration,
    /// Ended by the stop flag, not by its count.
    pub stopped: bool,
}

impl Report {
    #[must_use]
    pub fn total(&self) -> Counts {
        self.topics
            .iter()
            .map(|(_, counts)| *counts)
            .fold(Counts::default(), Counts::plus)
    }
}
