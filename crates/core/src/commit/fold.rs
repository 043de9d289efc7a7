//! The fold: all that a log of commits says, and the one judge of what may follow.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::ids::{Checksum, ClusterId, CommitNumber, GenerationOrdinal, LogId, SchemaVersion, TopicId};
use super::judge::{self, VoidReason};
use super::record::{
    Append, Body, Commit, File, FileKey, FileSet, GenerationReason, OpenGeneration, PartitionAppend,
    PartitionStart, Replace, ReplaceReason,
};
use crate::names::TopicName;
use crate::position::{IntervalSet, Offset, OffsetRange, PartitionId};

/// The state of a topic's log after its commits up to `number`.
///
/// Everything that judges is a pure function of those commits. `unfinished` alone is not: it remembers which of the
/// live files and removals are known to be done on disk, and it never decides what is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fold {
    pub(super) topic: TopicName,
    pub(super) number: CommitNumber,
    pub(super) checksum: Checksum,
    pub(super) log: Option<LogId>,
    /// In the order they were opened; the last one is current.
    pub(super) generations: Vec<Generation>,
    pub(super) files: BTreeMap<FileKey, File>,
    pub(super) live: [SetTotals; 2],
    pub(super) totals: Totals,
    pub(super) schema_version: Option<SchemaVersion>,
    pub(super) unfinished: Unfinished,
}

/// One life of the topic, with the checkpoint it has or had at its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generation {
    pub ordinal: GenerationOrdinal,
    pub cluster_id: ClusterId,
    pub topic_id: TopicId,
    pub reason: GenerationReason,
    /// The commit that opened it.
    pub opened: CommitNumber,
    /// By partition; one that is not here was never seen and starts at 0.
    #[serde(with = "by_partition")]
    pub partitions: BTreeMap<PartitionId, PartitionState>,
}

/// What a generation has taken from one partition: every offset of `[start, next)`, once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartitionState {
    pub start: Offset,
    /// The checkpoint: the next offset to read.
    pub next: Offset,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader_epoch: Option<i32>,
    pub counts: Counts,
    /// The offsets that were committed as lost.
    #[serde(default, skip_serializing_if = "IntervalSet::is_empty")]
    pub lost: IntervalSet,
}

/// What became of offsets, as the appends counted them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    pub accepted: u64,
    pub rejected: u64,
    pub tombstones: u64,
    pub filtered: u64,
    pub absent: u64,
    pub lost: u64,
}

/// What the log's valid commits add up to, over all generations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Totals {
    pub valid_commits: u64,
    pub void_commits: u64,
    pub appended: Counts,
    /// The rows that replaces took out and put in, by reason: live rows are the appended ones and these.
    pub replaced: BTreeMap<ReplaceReason, RowChange>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowChange {
    pub accepted_removed: u64,
    pub accepted_added: u64,
    pub rejected_removed: u64,
    pub rejected_added: u64,
}

/// The live files of one set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetTotals {
    pub files: u64,
    pub rows: u64,
    pub bytes: u64,
}

impl SetTotals {
    pub(super) fn add(&mut self, file: &File) {
        self.files += 1;
        add(&mut self.rows, file.rows);
        add(&mut self.bytes, file.bytes);
    }
}

/// Work that the log implies and the disk may still lack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unfinished {
    /// Live files that are not known to have their final names.
    pub publish: BTreeSet<FileKey>,
    /// Files that are live no longer and not known to be gone.
    pub remove: BTreeSet<FileKey>,
}

impl Unfinished {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.publish.is_empty() && self.remove.is_empty()
    }
}

/// What the fold makes of a proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Valid,
    Void(VoidReason),
}

/// A commit that cannot stand where it was found: the log is damaged, and nothing may be built on it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainFault {
    #[error("it states number {found}, expected {expected}")]
    Number {
        expected: CommitNumber,
        found: CommitNumber,
    },
    #[error("it states the topic {found}, expected {expected}")]
    Topic { expected: TopicName, found: TopicName },
    #[error("it follows a commit with the checksum {found}, but commit {before} has {expected}")]
    Previous {
        before: CommitNumber,
        expected: Checksum,
        found: Checksum,
    },
}

impl Fold {
    /// The fold of an empty log.
    #[must_use]
    pub fn empty(topic: TopicName) -> Fold {
        Fold {
            topic,
            number: CommitNumber::default(),
            checksum: Checksum::NONE,
            log: None,
            generations: Vec::new(),
            files: BTreeMap::new(),
            live: [SetTotals::default(); 2],
            totals: Totals::default(),
            schema_version: None,
            unfinished: Unfinished::default(),
        }
    }

    /// Whether this body would be valid as the next commit.
    #[must_use]
    pub fn judge(&self, body: &Body) -> Verdict {
        match judge::body(self, body) {
            Ok(()) => Verdict::Valid,
            Err(reason) => Verdict::Void(reason),
        }
    }

    /// Folds the next commit. A void one takes its number and its place in the chain, and changes nothing else.
    ///
    /// # Errors
    /// When the commit does not follow this fold's last one; the fold is then as it was.
    pub fn apply(&mut self, commit: Commit, checksum: Checksum) -> Result<Verdict, ChainFault> {
        self.check_chain(&commit)?;
        let verdict = self.judge(&commit.body);
        if commit.number == CommitNumber(1) {
            self.log = Some(LogId::from_u128(commit.attempt.as_u128()));
        }
        self.number = commit.number;
        self.checksum = checksum;
        if verdict == Verdict::Valid {
            self.totals.valid_commits += 1;
            match commit.body {
                Body::Append(append) => self.append(append),
                Body::Replace(replace) => self.replace(replace),
                Body::Generation(generation) => self.open(generation),
            }
        } else {
            self.totals.void_commits += 1;
        }
        Ok(verdict)
    }

    fn check_chain(&self, commit: &Commit) -> Result<(), ChainFault> {
        let expected = self.number.following();
        if commit.number != expected {
            return Err(ChainFault::Number {
                expected,
                found: commit.number,
            });
        }
        if commit.topic != self.topic {
            return Err(ChainFault::Topic {
                expected: self.topic.clone(),
                found: commit.topic.clone(),
            });
        }
        if commit.previous != self.checksum {
            return Err(ChainFault::Previous {
                before: self.number,
                expected: self.checksum,
                found: commit.previous,
            });
        }
        Ok(())
    }

    fn append(&mut self, append: Append) {
        let generation = self
            .generations
            .last_mut()
            .expect("judged: the generation is the current one");
        for taken in append.partitions {
            self.totals.appended.add(taken.counts());
            generation
                .partitions
                .entry(taken.partition)
                .or_insert_with(|| PartitionState::at(Offset::ZERO))
                .take(taken);
        }
        self.note_schema_version(&append.files);
        for file in append.files {
            self.add(file);
        }
    }

    fn replace(&mut self, replace: Replace) {
        let mut change = self
            .totals
            .replaced
            .get(&replace.reason)
            .copied()
            .unwrap_or_default();
        for key in replace.removed {
            let file = self
                .files
                .remove(&key)
                .expect("judged: every removed file is live");
            let live = &mut self.live[key.set as usize];
            live.files -= 1;
            live.rows = live.rows.wrapping_sub(file.rows);
            live.bytes = live.bytes.wrapping_sub(file.bytes);
            match key.set {
                FileSet::Accepted => add(&mut change.accepted_removed, file.rows),
                FileSet::Rejected => add(&mut change.rejected_removed, file.rows),
            }
            self.unfinished.publish.remove(&key);
            self.unfinished.remove.insert(key);
        }
        if replace.reason == ReplaceReason::Replay {
            self.note_schema_version(&replace.files);
        }
        for file in replace.files {
            match file.set {
                FileSet::Accepted => add(&mut change.accepted_added, file.rows),
                FileSet::Rejected => add(&mut change.rejected_added, file.rows),
            }
            self.add(file);
        }
        self.totals.replaced.insert(replace.reason, change);
    }

    /// Rows that were just decoded have the topic's present columns; the table's next version is held against those.
    fn note_schema_version(&mut self, files: &[File]) {
        let last = files.iter().rev().find(|file| file.set == FileSet::Accepted);
        if let Some(file) = last {
            self.schema_version = Some(file.schema_version.clone());
        }
    }

    fn open(&mut self, opened: OpenGeneration) {
        let states = opened
            .starts
            .iter()
            .map(|start| (start.partition, PartitionState::at(start.from)));
        self.generations.push(Generation {
            ordinal: opened.ordinal,
            cluster_id: opened.cluster_id,
            topic_id: opened.topic_id,
            reason: opened.reason,
            opened: self.number,
            partitions: states.collect(),
        });
    }

    fn add(&mut self, file: File) {
        self.live[file.set as usize].add(&file);
        let key = file.key();
        self.unfinished.publish.insert(key.clone());
        self.files.insert(key, file);
    }
}

/// What a fold says.
impl Fold {
    #[must_use]
    pub fn topic(&self) -> &TopicName {
        &self.topic
    }

    /// The number of the last commit folded; 0 for the empty log.
    #[must_use]
    pub fn number(&self) -> CommitNumber {
        self.number
    }

    /// The checksum of the last commit folded.
    #[must_use]
    pub fn checksum(&self) -> Checksum {
        self.checksum
    }

    /// Which log this is; None for the empty one.
    #[must_use]
    pub fn log(&self) -> Option<LogId> {
        self.log
    }

    /// The current generation; None before the first was opened.
    #[must_use]
    pub fn generation(&self) -> Option<&Generation> {
        self.generations.last()
    }

    /// Every generation there was, the current one last.
    #[must_use]
    pub fn generations(&self) -> &[Generation] {
        &self.generations
    }

    /// The next offset to read of a partition in the current generation; 0 for one never seen.
    #[must_use]
    pub fn next(&self, partition: PartitionId) -> Offset {
        self.generation()
            .map_or(Offset::ZERO, |generation| generation.next(partition))
    }

    /// The files that make up the table, by set and path.
    #[must_use]
    pub fn files(&self) -> &BTreeMap<FileKey, File> {
        &self.files
    }

    #[must_use]
    pub fn live(&self, set: FileSet) -> SetTotals {
        self.live[set as usize]
    }

    #[must_use]
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// The schema version of the last accepted file that was appended, or added by a replay.
    #[must_use]
    pub fn schema_version(&self) -> Option<&SchemaVersion> {
        self.schema_version.as_ref()
    }

    #[must_use]
    pub fn unfinished(&self) -> &Unfinished {
        &self.unfinished
    }

    /// What a generation commit has to state as starts for this topic id: where it ended when it was open before, and
    /// `fresh` for the partitions it has not seen.
    #[must_use]
    pub fn resume(&self, topic_id: &TopicId, fresh: &[PartitionStart]) -> Vec<PartitionStart> {
        let mut starts: BTreeMap<_, _> = fresh.iter().map(|start| (start.partition, start.from)).collect();
        if let Some(before) = self.last_life(topic_id) {
            starts.extend(
                before
                    .partitions
                    .iter()
                    .map(|(partition, state)| (*partition, state.next)),
            );
        }
        starts
            .into_iter()
            .map(|(partition, from)| PartitionStart { partition, from })
            .collect()
    }

    /// The latest generation with this topic id.
    #[must_use]
    pub fn last_life(&self, topic_id: &TopicId) -> Option<&Generation> {
        self.generations
            .iter()
            .rev()
            .find(|generation| generation.topic_id == *topic_id)
    }
}

/// What a fold knows of the disk.
impl Fold {
    /// These live files were seen under their final names.
    pub fn mark_published<'a>(&mut self, keys: impl IntoIterator<Item = &'a FileKey>) {
        let mut done: Vec<&FileKey> = keys.into_iter().collect();
        let unknown = &mut self.unfinished.publish;
        if done.len() < unknown.len() / 16 {
            for key in done {
                unknown.remove(key);
            }
            return;
        }
        // At a start all live files are unknown: one walk over both, in order, instead of a search for each.
        done.sort();
        let mut done = done.into_iter().peekable();
        unknown.retain(|key| {
            while done.next_if(|done| *done < key).is_some() {}
            done.peek() != Some(&key)
        });
    }

    /// These files, live no longer, were seen to be gone from the table.
    pub fn mark_removed<'a>(&mut self, keys: impl IntoIterator<Item = &'a FileKey>) {
        for key in keys {
            self.unfinished.remove.remove(key);
        }
    }

    /// Takes over what an earlier fold of the same log knew to be done. A published file stays published while it is
    /// live, and a removed one never comes back: names do not recur.
    pub fn inherit(&mut self, earlier: &Fold) {
        let published =
            |key: &FileKey| earlier.files.contains_key(key) && !earlier.unfinished.publish.contains(key);
        self.unfinished.publish.retain(|key| !published(key));
        let removed = |key: &FileKey| {
            earlier.log == self.log
                && earlier.number >= self.number
                && !earlier.files.contains_key(key)
                && !earlier.unfinished.remove.contains(key)
        };
        self.unfinished.remove.retain(|key| !removed(key));
    }
}

impl Generation {
    /// The next offset to read of a partition; 0 for one never seen.
    #[must_use]
    pub fn next(&self, partition: PartitionId) -> Offset {
        self.partitions
            .get(&partition)
            .map_or(Offset::ZERO, |state| state.next)
    }
}

impl PartitionState {
    fn at(start: Offset) -> PartitionState {
        PartitionState {
            start,
            next: start,
            leader_epoch: None,
            counts: Counts::default(),
            lost: IntervalSet::new(),
        }
    }

    fn take(&mut self, taken: PartitionAppend) {
        self.next = taken.next;
        self.leader_epoch = taken.leader_epoch;
        self.counts.add(taken.counts());
        self.lost.extend(&taken.lost);
    }
}

impl PartitionAppend {
    /// The range it takes; None when `from` and `next` are no range.
    #[must_use]
    pub fn range(&self) -> Option<OffsetRange> {
        OffsetRange::new(self.from, self.next).ok()
    }

    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            accepted: self.accepted,
            rejected: self.rejected,
            tombstones: self.tombstones.count(),
            filtered: self.filtered.count(),
            absent: self.absent.count(),
            lost: self.lost.count(),
        }
    }
}

impl Counts {
    pub fn add(&mut self, more: Counts) {
        add(&mut self.accepted, more.accepted);
        add(&mut self.rejected, more.rejected);
        add(&mut self.tombstones, more.tombstones);
        add(&mut self.filtered, more.filtered);
        add(&mut self.absent, more.absent);
        add(&mut self.lost, more.lost);
    }

    /// All of them together: how many offsets they are.
    #[must_use]
    pub fn offsets(&self) -> u128 {
        let counts = [
            self.accepted,
            self.rejected,
            self.tombstones,
            self.filtered,
            self.absent,
            self.lost,
        ];
        counts.into_iter().map(u128::from).sum()
    }
}

/// Sums go around at 2^64: no log of real files comes near, and one that claims to must not stop its readers.
fn add(sum: &mut u64, more: u64) {
    *sum = sum.wrapping_add(more);
}

/// JSON object keys are texts, so a map by partition is written as an object of decimal keys.
mod by_partition {
    use std::collections::BTreeMap;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use super::PartitionState;
    use crate::position::PartitionId;

    pub fn serialize<S: Serializer>(
        map: &BTreeMap<PartitionId, PartitionState>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(
            map.iter()
                .map(|(partition, state)| (partition.0.to_string(), state)),
        )
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<PartitionId, PartitionState>, D::Error> {
        BTreeMap::<String, PartitionState>::deserialize(deserializer)?
            .into_iter()
            .map(|(key, state)| Ok((PartitionId(key.parse().map_err(D::Error::custom)?), state)))
            .collect()
    }
}
