//! Snapshots: a fold as one record, when one is due, and what may be deleted below it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::codec::Format;
use super::fold::{Counts, Fold, Generation, PartitionState, SetTotals, Totals, Unfinished};
use super::ids::{Checksum, CommitNumber, GenerationOrdinal, LogId, Moment, SchemaVersion, WriterId};
use super::record::{File, FileKey, FileSet};
use crate::names::TopicName;
use crate::position::OffsetRange;

/// The fold after commit `number`. Whoever folds the log from here gets what folding it from the start gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot<'a> {
    format: Format,
    pub number: CommitNumber,
    pub topic: Cow<'a, TopicName>,
    pub writer: Cow<'a, WriterId>,
    pub time: Moment,
    pub log: Option<LogId>,
    /// The checksum of commit `number`, which commit `number + 1` states as its predecessor's.
    pub commit_checksum: Checksum,
    pub generations: Cow<'a, [Generation]>,
    pub totals: Cow<'a, Totals>,
    pub schema_version: Option<Cow<'a, SchemaVersion>>,
    /// Files that were replaced and may still lie in the table.
    pub unfinished_removals: Vec<Cow<'a, FileKey>>,
    /// The live files, by set and path.
    pub files: Vec<Cow<'a, File>>,
}

impl Fold {
    #[must_use]
    pub fn snapshot<'a>(&'a self, writer: &'a WriterId, time: Moment) -> Snapshot<'a> {
        Snapshot {
            format: Format,
            number: self.number,
            topic: Cow::Borrowed(&self.topic),
            writer: Cow::Borrowed(writer),
            time,
            log: self.log,
            commit_checksum: self.checksum,
            generations: Cow::Borrowed(&self.generations),
            totals: Cow::Borrowed(&self.totals),
            schema_version: self.schema_version.as_ref().map(Cow::Borrowed),
            unfinished_removals: self.unfinished.remove.iter().map(Cow::Borrowed).collect(),
            files: self.files.values().map(Cow::Borrowed).collect(),
        }
    }

    /// The fold that a snapshot holds. Which of its files are published it does not know.
    #[must_use]
    pub fn from_snapshot(snapshot: Snapshot<'_>) -> Fold {
        let mut fold = Fold {
            topic: snapshot.topic.into_owned(),
            number: snapshot.number,
            checksum: snapshot.commit_checksum,
            log: snapshot.log,
            generations: snapshot.generations.into_owned(),
            files: BTreeMap::new(),
            live: [SetTotals::default(); 2],
            totals: snapshot.totals.into_owned(),
            schema_version: snapshot.schema_version.map(Cow::into_owned),
            unfinished: Unfinished::default(),
        };
        fold.unfinished.remove = snapshot
            .unfinished_removals
            .into_iter()
            .map(Cow::into_owned)
            .collect();
        for file in &snapshot.files {
            fold.live[file.set as usize].add(file);
        }
        // They are in order: collected at once, nothing is searched for.
        fold.unfinished.publish = snapshot.files.iter().map(|file| file.key()).collect();
        let files = snapshot.files.into_iter().map(Cow::into_owned);
        fold.files = files.map(|file| (file.key(), file)).collect();
        fold
    }
}

impl Snapshot<'_> {
    /// Why this is the fold of no log; none when all it states agrees. Ask before a fold is made of it: a checksum finds
    /// damage, this a writer that was wrong.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        let commits = u128::from(self.totals.valid_commits) + u128::from(self.totals.void_commits);
        if self.number.0 == 0 || self.number.0 == u64::MAX || commits != u128::from(self.number.0) {
            return Some(format!(
                "it is of commit {} and counts {commits} commits",
                self.number
            ));
        }
        if self.log.is_none() {
            return Some("it names no log".to_owned());
        }
        let generations = self
            .generations
            .iter()
            .zip(1..)
            .find_map(|(generation, ordinal)| {
                if generation.ordinal != GenerationOrdinal(ordinal) || generation.opened > self.number {
                    return Some(format!(
                        "its generation {ordinal} states ordinal {}",
                        generation.ordinal
                    ));
                }
                let mut partitions = generation.partitions.iter();
                partitions.find_map(|(partition, state)| {
                    let fault = partition_fault(state)?;
                    Some(format!("generation {ordinal}, partition {partition}: {fault}"))
                })
            });
        generations
            .or_else(|| self.files_fault())
            .or_else(|| self.totals_fault())
    }

    fn files_fault(&self) -> Option<String> {
        let place = |file: &'_ File| (file.set, file.path.clone());
        let mut pairs = self.files.windows(2);
        if let Some(pair) = pairs.find(|pair| place(&pair[0]) >= place(&pair[1])) {
            return Some(format!("{} is named after {}", pair[1].key(), pair[0].key()));
        }
        let opened = 1..=self.generations.len();
        let fits = |file: &File| file.rows > 0 && opened.contains(&(file.generation.0 as usize));
        let misfit = self.files.iter().find(|file| !fits(file))?;
        Some(format!("{} has no rows or no generation", misfit.key()))
    }

    /// What was appended, and the rows that are live after all replaces, as the totals have it.
    fn totals_fault(&self) -> Option<String> {
        let mut appended = Counts::default();
        let states = self
            .generations
            .iter()
            .flat_map(|generation| generation.partitions.values());
        states.for_each(|state| appended.add(state.counts));
        if appended != self.totals.appended {
            return Some("what its partitions counted is not what its totals say was appended".to_owned());
        }
        let mut expected = [appended.accepted, appended.rejected];
        for change in self.totals.replaced.values() {
            let changes = [
                (change.accepted_added, change.accepted_removed),
                (change.rejected_added, change.rejected_removed),
            ];
            for (rows, (added, removed)) in expected.iter_mut().zip(changes) {
                *rows = rows.wrapping_add(added).wrapping_sub(removed);
            }
        }
        let rows = FileSet::ALL.map(|set| {
            let files = self.files.iter().filter(|file| file.set == set);
            files.fold(0_u64, |rows, file| rows.wrapping_add(file.rows))
        });
        let [accepted, rejected] = expected;
        (rows != expected).then(|| {
            format!("its files hold {rows:?} accepted and rejected rows, its totals come to [{accepted}, {rejected}]")
        })
    }
}

fn partition_fault(state: &PartitionState) -> Option<String> {
    let Ok(range) = OffsetRange::new(state.start, state.next) else {
        return Some(format!(
            "[{}, {}) is not a range of offsets",
            state.start, state.next
        ));
    };
    let counted = state.counts.offsets();
    if counted != u128::from(range.count()) {
        return Some(format!(
            "it counts {counted} offsets of the {} in {range}",
            range.count()
        ));
    }
    let lost = state.lost.ranges();
    let is_outside = |lost: &OffsetRange| lost.from() < range.from() || lost.next() > range.next();
    if lost.iter().any(is_outside) || state.lost.count() != state.counts.lost {
        return Some(format!(
            "it names {} lost offsets in {range} and counts {}",
            state.lost.count(),
            state.counts.lost
        ));
    }
    None
}

/// Whether the fold has moved on far enough since the newest snapshot.
#[must_use]
pub fn snapshot_due(number: CommitNumber, newest: Option<CommitNumber>, every: u64) -> bool {
    number.0 > 0 && number.0 - newest.unwrap_or_default().0.min(number.0) >= every.max(1)
}

/// What snapshots make superfluous.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truncation {
    /// Commits up to this one may be deleted once they are older than the log retention.
    pub commits_through: CommitNumber,
    pub snapshots: Vec<CommitNumber>,
}

/// What may be deleted. The two newest snapshots stay, and every commit above the older of them, so that one damaged
/// snapshot can be put aside without losing the log; no commit above `published_through` goes, the last one whose files
/// and removals are known to be done on disk. `snapshots` ascend.
#[must_use]
pub fn truncation(snapshots: &[CommitNumber], published_through: CommitNumber) -> Truncation {
    let kept_from = snapshots.len().saturating_sub(2);
    let covered = if snapshots.len() < 2 {
        CommitNumber(0)
    } else {
        snapshots[kept_from]
    };
    Truncation {
        commits_through: covered.min(published_through),
        snapshots: snapshots[..kept_from].to_vec(),
    }
}

/// Whether a commit of this time is older than the log retention.
#[must_use]
pub fn expired(time: Moment, now: Moment, log_retention: Duration) -> bool {
    let age_micros = i128::from(now.unix_micros()) - i128::from(time.unix_micros());
    age_micros > i128::try_from(log_retention.as_micros()).unwrap_or(i128::MAX)
}
