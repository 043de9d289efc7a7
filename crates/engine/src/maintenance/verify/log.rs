//! The log as one number pins it: the fold that says which files are live, checked against every snapshot on the way.
//!
//! The fold starts from as far back as there are commits, so that a snapshot is believed only where nothing is left to
//! check it by. Whatever is wrong is noted, and the reading goes on where it can.

use std::path::PathBuf;

use eventlake_core::commit::{Checksum, Commit, CommitNumber, Fold, Snapshot, decode_record};
use eventlake_core::names::{AccountRange, LogPaths, TopicName, number_in};

use super::findings::Findings;
use super::report::{Code, Finding};
use crate::lake::store::{Store, StoreError};

/// How often the reading starts over because a snapshot was written meanwhile.
const TRIES: usize = 20;

const RESTORE_COMMIT: &str =
    "put the file back from a backup; do not delete it, what it committed would be landed twice";
const SET_SNAPSHOT_ASIDE: &str =
    "move the snapshot aside while another one, or the commits from 1 on, are there: they say the same";

/// The log of one topic, up to the commit it was pinned at.
#[derive(Debug)]
pub(super) struct PinnedLog {
    pub store: Store,
    pub paths: LogPaths,
    pub topic: TopicName,
    /// After the pinned commit.
    pub fold: Fold,
    /// The last commit file there was. Above the fold's number only where the log is broken in between.
    pub last_listed: CommitNumber,
}

/// Why a topic's log cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub(super) enum PinError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "the log in {} cannot be folded: neither commit 1 nor a snapshot that can be read is there\n\
         hint: put checkpoints/ back from a backup", .0.display()
    )]
    NoBase(PathBuf),
    #[error("the log in {} does not keep still: a snapshot was written at each of {TRIES} tries", .0.display())]
    Restless(PathBuf),
}

impl PinnedLog {
    /// Pins the log at its last commit. None: the topic has no log.
    pub fn pin(
        store: &Store,
        paths: &LogPaths,
        topic: &TopicName,
        findings: &Findings,
    ) -> Result<Option<PinnedLog>, PinError> {
        let reader = Reader { store, paths, topic };
        for _ in 0..TRIES {
            let noted = Findings::default();
            let snapshots = reader.snapshots()?;
            let commits = reader.commits()?;
            if snapshots.is_empty() && commits.is_empty() {
                return Ok(None);
            }
            let folded = reader.fold(&snapshots, &commits, &noted)?;
            // The look: numbers that a newer snapshot covers may have been freed and mean nothing by now.
            if reader.snapshots()?.last() > snapshots.last() {
                continue;
            }
            for finding in noted.into_found().examples {
                findings.add(finding);
            }
            let fold = folded.ok_or_else(|| PinError::NoBase(paths.folder().to_owned()))?;
            let last_listed = commits.last().copied().unwrap_or_default();
            return Ok(Some(PinnedLog {
                store: store.clone(),
                paths: paths.clone(),
                topic: topic.clone(),
                last_listed: last_listed.max(fold.number()),
                fold,
            }));
        }
        Err(PinError::Restless(paths.folder().to_owned()))
    }

    /// Whether commits lie behind the fold's last one, and one in between is gone or damaged.
    pub fn is_broken(&self) -> bool {
        // A commit that came after the listing is none of this proof's business.
        let behind = self.fold.number().following();
        behind <= self.last_listed
    }

    /// The accounts there are now, in the order of their first commits.
    pub fn accounts(&self) -> Result<Vec<AccountRange>, StoreError> {
        let entries = self.store.list(&self.paths.accounts())?.unwrap_or_default();
        let mut ranges: Vec<_> = entries
            .iter()
            .filter_map(|entry| AccountRange::in_name(&entry.name))
            .collect();
        ranges.sort_unstable();
        Ok(ranges)
    }

    /// The commit in the file of this number; None where there is no such file.
    pub fn commit(&self, number: CommitNumber) -> Result<CommitRead, StoreError> {
        read_commit(&self.store, &self.paths, &self.topic, number)
    }
}

/// What stands in the file of one commit; None where there is no such file.
pub(super) type CommitRead = Option<Result<(Commit, Checksum), Damage>>;

/// What is wrong with the file of one commit.
#[derive(Debug)]
pub(super) struct Damage {
    pub code: Code,
    pub what: String,
}

impl Damage {
    pub fn finding(self, number: CommitNumber) -> Finding {
        Finding::new(
            self.code,
            format!("commit {number}: {}", self.what),
            RESTORE_COMMIT,
        )
        .of_commit(number)
    }
}

pub(super) fn missing_commit(number: CommitNumber) -> Finding {
    let what = format!("commit {number} is not there, and no account speaks of it");
    Finding::new(Code::CommitMissing, what, RESTORE_COMMIT).of_commit(number)
}

fn read_commit(
    store: &Store,
    paths: &LogPaths,
    topic: &TopicName,
    number: CommitNumber,
) -> Result<CommitRead, StoreError> {
    let Some(bytes) = store.read(&paths.commit(number))? else {
        return Ok(None);
    };
    let damage = |code, what| Ok(Some(Err(Damage { code, what })));
    match decode_record::<Commit>(&bytes) {
        Err(fault) => damage(Code::CommitDamaged, fault.to_string()),
        Ok((commit, _)) if commit.number != number => damage(
            Code::CommitMisplaced,
            format!(
                "it states number {}: files were swapped or renamed",
                commit.number
            ),
        ),
        Ok((commit, _)) if commit.topic != *topic => damage(
            Code::CommitMisplaced,
            format!("it is of the log of topic {}", commit.topic),
        ),
        Ok(read) => Ok(Some(Ok(read))),
    }
}

/// Reads the files of one log.
struct Reader<'a> {
    store: &'a Store,
    paths: &'a LogPaths,
    topic: &'a TopicName,
}

impl Reader<'_> {
    fn snapshots(&self) -> Result<Vec<CommitNumber>, StoreError> {
        self.numbers(&self.paths.snapshots())
    }

    fn commits(&self) -> Result<Vec<CommitNumber>, StoreError> {
        self.numbers(self.paths.folder())
    }

    fn numbers(&self, folder: &std::path::Path) -> Result<Vec<CommitNumber>, StoreError> {
        let entries = self.store.list(folder)?.unwrap_or_default();
        let mut numbers: Vec<_> = entries
            .iter()
            .filter_map(|entry| number_in(&entry.name))
            .collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// The fold of all that is there; None where there is nothing to start from.
    fn fold(
        &self,
        snapshots: &[CommitNumber],
        commits: &[CommitNumber],
        noted: &Findings,
    ) -> Result<Option<Fold>, StoreError> {
        let newest = snapshots.last().copied().unwrap_or_default();
        let last = commits.last().copied().unwrap_or_default().max(newest);
        // Where commits were deleted, a file with the number of the first one is none of the log.
        let accounts = self.store.list(&self.paths.accounts())?.unwrap_or_default();
        let is_truncated = accounts
            .iter()
            .any(|entry| AccountRange::in_name(&entry.name).is_some());
        let starts_at_one = commits.first() == Some(&CommitNumber(1)) || snapshots.is_empty();
        let mut fold = if starts_at_one && !is_truncated {
            Some(Fold::empty(self.topic.clone()))
        } else {
            self.first_snapshot(snapshots, CommitNumber(0), noted)?
        };
        let mut base = fold.as_ref().map(Fold::number).unwrap_or_default();
        while let Some(at) = &mut fold {
            let number = at.number().following();
            if at.number() > base && snapshots.contains(&at.number()) {
                self.compare(at, noted)?;
            }
            let read = read_commit(self.store, self.paths, self.topic, number)?;
            let is_end = read.is_none() && number > last;
            let applied = match read {
                Some(Ok((commit, checksum))) => at.apply(commit, checksum).is_ok(),
                Some(Err(_)) | None => false,
            };
            if applied {
                continue;
            }
            if is_end {
                break;
            }
            // What is wrong with this commit the walk over the log reports. A snapshot behind it knows more.
            match self.first_snapshot(snapshots, number, noted)? {
                Some(later) => {
                    base = later.number();
                    fold = Some(later);
                }
                None => break,
            }
        }
        Ok(fold)
    }

    /// The fold of the first snapshot from `from` on that can be read.
    fn first_snapshot(
        &self,
        snapshots: &[CommitNumber],
        from: CommitNumber,
        noted: &Findings,
    ) -> Result<Option<Fold>, StoreError> {
        for number in snapshots.iter().filter(|number| **number >= from) {
            if let Some(fold) = self.snapshot(*number, noted)? {
                return Ok(Some(fold));
            }
        }
        Ok(None)
    }

    /// The fold in a snapshot; None where it is gone or damaged.
    fn snapshot(&self, number: CommitNumber, noted: &Findings) -> Result<Option<Fold>, StoreError> {
        let Some(bytes) = self.store.read(&self.paths.snapshot(number))? else {
            return Ok(None);
        };
        let fault = match decode_record::<Snapshot>(&bytes) {
            Ok((snapshot, _)) if snapshot.number == number && *snapshot.topic == *self.topic => {
                match snapshot.fault() {
                    None => return Ok(Some(Fold::from_snapshot(snapshot))),
                    Some(fault) => fault,
                }
            }
            Ok((snapshot, _)) => {
                format!(
                    "it states number {} and topic {}",
                    snapshot.number, snapshot.topic
                )
            }
            Err(fault) => fault.to_string(),
        };
        let what = format!("snapshot {number}: {fault}");
        noted.add(Finding::new(Code::SnapshotDamaged, what, SET_SNAPSHOT_ASIDE).of_commit(number));
        Ok(None)
    }

    /// Holds a snapshot against the fold of the commits. From a snapshot that differs on, the writers' view counts: the
    /// snapshot.
    fn compare(&self, fold: &mut Fold, noted: &Findings) -> Result<(), StoreError> {
        let number = fold.number();
        let Some(snapshot) = self.snapshot(number, noted)? else {
            return Ok(());
        };
        let difference = if snapshot.files() != fold.files() {
            "the live files"
        } else if snapshot.generations() != fold.generations() {
            "the generations and checkpoints"
        } else if snapshot.totals() != fold.totals() {
            "the totals"
        } else if snapshot.checksum() != fold.checksum() || snapshot.log() != fold.log() {
            "the checksum of its last commit, or the log's id"
        } else {
            return Ok(());
        };
        let what = format!("snapshot {number} differs from what the commits up to it say in {difference}");
        noted.add(Finding::new(Code::SnapshotDiffers, what, SET_SNAPSHOT_ASIDE).of_commit(number));
        *fold = snapshot;
        Ok(())
    }
}
