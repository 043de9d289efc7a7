//! Reading a log's valid commits one after the other, each once: for who keeps a state of his own that follows from them.

use std::path::Path;

use eventlake_core::commit::{
    Body, Checksum, Commit, CommitNumber, Fold, LogId, Moment, Verdict, decode_record,
};
use eventlake_core::names::{LogPaths, TopicName};
use serde::{Deserialize, Serialize};

use super::error::LakeError;
use super::follow::{Follower, make_durable, read_snapshot_at, snapshot_numbers};
use super::store::Store;

/// A place in one log, to be found again. Another log, or this one with another past, does not have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogPlace {
    pub log: Option<LogId>,
    pub number: CommitNumber,
    pub checksum: Checksum,
}

/// A commit that the fold of those before it calls valid.
#[derive(Clone, Debug)]
pub struct ValidCommit {
    /// The place after it.
    pub place: LogPlace,
    pub time: Moment,
    pub body: Body,
}

/// What follows a place in a log.
#[derive(Debug)]
pub enum Onward {
    /// Every valid commit since, perhaps none.
    Commits(Vec<ValidCommit>),
    /// The log no longer tells: its commits were deleted after a snapshot. The reader is of no more use.
    Gone,
}

/// A reader at a place in a log. It changes nothing on disk.
#[derive(Debug)]
pub struct CommitReader {
    store: Store,
    paths: LogPaths,
    fold: Fold,
    /// The newest snapshot that this fold is known to agree with.
    agreed: CommitNumber,
}

impl CommitReader {
    /// A reader that goes on after the newest commit there is.
    ///
    /// # Errors
    /// When the log cannot be read, or is damaged.
    pub fn at_newest(checkpoints: &Path, topic: &TopicName) -> Result<CommitReader, LakeError> {
        let (store, paths) = (Store::new(), LogPaths::new(checkpoints, topic));
        let follower = Follower::load(&store, &paths, topic)?;
        let (fold, agreed) = (follower.fold().clone(), follower.base());
        let reader = CommitReader {
            store,
            paths,
            fold,
            agreed,
        };
        reader.settle()?;
        Ok(reader)
    }

    /// A reader that goes on after this place; None when the log does not, or no longer, tell how it got there.
    ///
    /// # Errors
    /// When the log cannot be read, or is damaged.
    pub fn at(
        checkpoints: &Path,
        topic: &TopicName,
        place: &LogPlace,
    ) -> Result<Option<CommitReader>, LakeError> {
        let (store, paths) = (Store::new(), LogPaths::new(checkpoints, topic));
        let numbers = snapshot_numbers(&store, &paths)?.unwrap_or_default();
        let base = numbers.into_iter().rev().find(|number| *number <= place.number);
        let fold = match base {
            None => Some(Fold::empty(topic.clone())),
            Some(base) => read_snapshot_at(&store, &paths, base, topic)?,
        };
        let Some(fold) = fold else {
            return Ok(None);
        };
        let agreed = fold.number();
        let mut reader = CommitReader {
            store,
            paths,
            fold,
            agreed,
        };
        while reader.fold.number() < place.number {
            if reader.fold_next()?.is_none() {
                return Ok(None);
            }
        }
        Ok((reader.place() == *place).then_some(reader))
    }

    /// What the log says up to here.
    #[must_use]
    pub fn fold(&self) -> &Fold {
        &self.fold
    }

    #[must_use]
    pub fn place(&self) -> LogPlace {
        LogPlace {
            log: self.fold.log(),
            number: self.fold.number(),
            checksum: self.fold.checksum(),
        }
    }

    /// Reads all that was committed since.
    ///
    /// # Errors
    /// When the log cannot be read, or is damaged.
    pub fn read_on(&mut self) -> Result<Onward, LakeError> {
        let mut passed: Vec<(CommitNumber, Checksum)> = Vec::new();
        let mut commits = Vec::new();
        loop {
            while let Some(read) = self.fold_next()? {
                passed.push((self.fold.number(), self.fold.checksum()));
                commits.extend(read.valid);
            }
            // The look: where a snapshot has freed numbers, a writer that was long away may have used them again.
            let newest = snapshot_numbers(&self.store, &self.paths)?;
            let newest = newest.and_then(|numbers| numbers.last().copied());
            match newest {
                Some(newest) if newest > self.fold.number() => {
                    // It was made meanwhile, of commits that are there, or are already gone.
                    match self.fold_next()? {
                        None => return Ok(Onward::Gone),
                        Some(read) => {
                            passed.push((self.fold.number(), self.fold.checksum()));
                            commits.extend(read.valid);
                        }
                    }
                }
                Some(newest) if newest > self.agreed => {
                    let passed = passed.iter().find(|(number, _)| *number == newest);
                    if let Some((_, checksum)) = passed
                        && !self.agrees(newest, checksum)?
                    {
                        return Ok(Onward::Gone);
                    }
                    self.agreed = newest;
                }
                _ => break,
            }
        }
        if !commits.is_empty() {
            self.settle()?;
        }
        Ok(Onward::Commits(commits))
    }

    /// Whether the snapshot of this number follows from the commit with this checksum.
    fn agrees(&self, number: CommitNumber, checksum: &Checksum) -> Result<bool, LakeError> {
        let snapshot = read_snapshot_at(&self.store, &self.paths, number, self.fold.topic())?;
        Ok(snapshot.is_some_and(|fold| fold.checksum() == *checksum))
    }

    fn fold_next(&mut self) -> Result<Option<Folded>, LakeError> {
        let number = self.fold.number().following();
        let path = self.paths.commit(number);
        let Some(bytes) = self.store.read(&path)? else {
            return Ok(None);
        };
        let topic = self.fold.topic().clone();
        let corrupt = |fault: String| LakeError::Corrupt {
            topic,
            path,
            fault,
            remedy: "put this file back from a backup; eventlake verify tells more".to_owned(),
        };
        let (commit, checksum) = match decode_record::<Commit>(&bytes) {
            Ok(decoded) => decoded,
            Err(fault) => return Err(corrupt(fault.to_string())),
        };
        let (time, body) = (commit.time, commit.body.clone());
        let verdict = self.fold.apply(commit, checksum);
        let verdict = verdict.map_err(|fault| corrupt(fault.to_string()))?;
        let place = self.place();
        let valid = (verdict == Verdict::Valid).then_some(ValidCommit { place, time, body });
        Ok(Some(Folded { valid }))
    }

    /// Makes what was read durable, whoever committed it: what follows from it may outlive a power cut.
    fn settle(&self) -> Result<(), LakeError> {
        if self.fold.number() > CommitNumber(0) {
            make_durable(&self.store, &self.paths)?;
        }
        Ok(())
    }
}

/// A commit that was read; void ones only take their number.
struct Folded {
    valid: Option<ValidCommit>,
}
