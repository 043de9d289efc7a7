//! Where a topic's time goes, stage by stage, in wall time: added up once a batch or a roll, never once a record.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// What a topic's two threads do. Taking runs beside the others; those follow one another within a roll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Records handed out by librdkafka, decoded, checked and buffered.
    Take,
    /// A roll's rows sorted, encoded as Parquet, written to staged files and made durable.
    Write,
    /// Asking who the topic is, and creating the commit.
    Commit,
    /// Giving the files their final names.
    Publish,
}

impl Work {
    pub const ALL: [Work; 4] = [Work::Take, Work::Write, Work::Commit, Work::Publish];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Work::Take => "take",
            Work::Write => "write",
            Work::Commit => "commit",
            Work::Publish => "publish",
        }
    }
}

/// Microseconds of each kind of work.
#[derive(Debug, Default)]
pub(super) struct WorkTimes([AtomicU64; Work::ALL.len()]);

impl WorkTimes {
    pub(super) fn add(&self, work: Work, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.0[work as usize].fetch_add(micros, Relaxed);
    }

    /// Seconds of each, by its name.
    pub(super) fn secs(&self) -> BTreeMap<String, f64> {
        let secs = |work: Work| self.0[work as usize].load(Relaxed) as f64 / 1e6;
        Work::ALL
            .into_iter()
            .map(|work| (work.as_str().to_owned(), secs(work)))
            .collect()
    }
}
