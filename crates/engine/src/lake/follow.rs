//! Following a log: from the newest snapshot and the commits after it to a fold, always ending with the look.

use std::collections::BTreeSet;
use std::path::Path;

use eventlake_core::commit::{
    AttemptId, Commit, CommitNumber, Fold, Snapshot, Verdict, decode_record, decode_record_in,
};
use eventlake_core::names::{LogPaths, TopicName, number_in};

use super::error::LakeError;
use super::site::Site;
use super::store::Store;

/// A fold that is kept and continued.
///
/// It is only as good as its last look: numbers that truncation freed would come back to life for one who did not see
/// the snapshot. So every way to continue it ends by looking for a snapshot newer than the one it rests on.
#[derive(Clone, Debug)]
pub(super) struct Follower {
    store: Store,
    paths: LogPaths,
    topic: TopicName,
    fold: Fold,
    /// The snapshot the fold rests on; 0 for none.
    base: CommitNumber,
    /// Attempts whose fate is wanted.
    watched: BTreeSet<AttemptId>,
    /// The first watched attempt that turned out to be in the log.
    found: Option<Found>,
    /// Commits were read that somebody else created, and perhaps did not yet make durable.
    borrowed: bool,
}

/// A watched attempt in the log.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub number: CommitNumber,
    pub verdict: Verdict,
}

/// The bytes at a number do not continue the log, or would not if the look did not show better.
struct Damage {
    number: CommitNumber,
    fault: String,
}

impl Follower {
    /// The fold of the log as it is now. Creates nothing: a log that does not exist is an empty one.
    pub fn load(store: &Store, paths: &LogPaths, topic: &TopicName) -> Result<Follower, LakeError> {
        let mut follower = Follower {
            store: store.clone(),
            paths: paths.clone(),
            topic: topic.clone(),
            fold: Fold::empty(topic.clone()),
            base: CommitNumber(0),
            watched: BTreeSet::new(),
            found: None,
            borrowed: false,
        };
        if let Some(newest) = follower.snapshots()?.last().copied() {
            follower.start_over(newest)?;
        }
        follower.catch_up()?;
        follower.check_gaps()?;
        Ok(follower)
    }

    pub fn fold(&self) -> &Fold {
        &self.fold
    }

    /// For noting what was seen to be done on disk.
    pub fn fold_mut(&mut self) -> &mut Fold {
        &mut self.fold
    }

    /// The snapshot the fold rests on.
    pub fn base(&self) -> CommitNumber {
        self.base
    }

    /// The fold rests on this snapshot from now on: it was made of it.
    pub fn rest_on(&mut self, number: CommitNumber) {
        self.base = self.base.max(number);
    }

    pub fn watch(&mut self, attempt: AttemptId) {
        self.watched.insert(attempt);
    }

    pub fn found(&self) -> Option<&Found> {
        self.found.as_ref()
    }

    pub fn unwatch(&mut self) {
        self.watched.clear();
        self.found = None;
    }

    /// Folds what was committed since, and looks. Afterwards the fold may be used.
    pub fn catch_up(&mut self) -> Result<(), LakeError> {
        loop {
            let read = self.read_on()?;
            match self.snapshots()?.last() {
                Some(newest) if *newest > self.base => self.start_over(*newest)?,
                _ => return read.map_err(|damage| self.corrupt(damage)),
            }
        }
    }

    /// What is read from now on may not be durable, whoever created it.
    pub fn distrust(&mut self) {
        self.borrowed = true;
    }

    /// Makes commits that others created durable before anything is done on their strength: a file must not be in the
    /// table after a power cut that took its commit.
    pub fn settle(&mut self) -> Result<(), LakeError> {
        if self.borrowed {
            make_durable(&self.store, &self.paths)?;
            self.borrowed = false;
        }
        Ok(())
    }

    /// The numbers of the snapshots there are, ascending.
    pub fn snapshots(&self) -> Result<Vec<CommitNumber>, LakeError> {
        match snapshot_numbers(&self.store, &self.paths)? {
            Some(numbers) => Ok(numbers),
            None if self.base == CommitNumber(0) && self.has_folder()? => Ok(Vec::new()),
            None => Err(LakeError::Corrupt {
                topic: self.topic.clone(),
                path: self.paths.folder().to_owned(),
                fault: "the log, or the folder of its snapshots, is gone".to_owned(),
                remedy: "put checkpoints/ back as it was, from a backup; without it the table cannot go on"
                    .to_owned(),
            }),
        }
    }

    /// Whether the log is where it was; an empty one need not be anywhere.
    fn has_folder(&self) -> Result<bool, LakeError> {
        Ok(self.fold.number() == CommitNumber(0) || self.store.length(self.paths.folder())?.is_some())
    }

    fn read_on(&mut self) -> Result<Result<(), Damage>, LakeError> {
        loop {
            let number = self.fold.number().following();
            let Some(bytes) = self.store.read(&self.paths.commit(number))? else {
                return Ok(Ok(()));
            };
            if let Err(fault) = self.fold_bytes(number, &bytes) {
                return Ok(Err(Damage { number, fault }));
            }
        }
    }

    fn fold_bytes(&mut self, number: CommitNumber, bytes: &[u8]) -> Result<(), String> {
        let (commit, checksum) = decode_record::<Commit>(bytes).map_err(|fault| fault.to_string())?;
        let attempt = commit.attempt;
        let verdict = self
            .fold
            .apply(commit, checksum)
            .map_err(|fault| fault.to_string())?;
        if !self.watched.contains(&attempt) {
            self.borrowed = true;
        } else if self.found.is_none() {
            self.found = Some(Found { number, verdict });
        }
        Ok(())
    }

    /// Starts over from a snapshot. One that is gone by now has made room for a newer one.
    fn start_over(&mut self, number: CommitNumber) -> Result<(), LakeError> {
        let Some(mut fold) = read_snapshot_at(&self.store, &self.paths, number, &self.topic)? else {
            return Ok(());
        };
        fold.inherit(&self.fold);
        self.fold = fold;
        self.base = number;
        // A watched commit below the snapshot counts as dropped.
        self.found = self.found.take().filter(|found| found.number > number);
        self.borrowed = true;
        Ok(())
    }

    /// A commit that is missing while later ones are there looks like the end of the log, so a start lists the folder.
    fn check_gaps(&mut self) -> Result<(), LakeError> {
        loop {
            let entries = self.store.list(self.paths.folder())?.unwrap_or_default();
            let last = entries.iter().filter_map(|entry| number_in(&entry.name)).max();
            let number = self.fold.number();
            if last.unwrap_or_default() <= number {
                return Ok(());
            }
            self.catch_up()?;
            if self.fold.number() == number {
                let fault = format!(
                    "it is missing, though commit {} is there",
                    last.unwrap_or_default()
                );
                return Err(self.corrupt(Damage {
                    number: number.following(),
                    fault,
                }));
            }
        }
    }

    fn corrupt(&self, damage: Damage) -> LakeError {
        LakeError::Corrupt {
            topic: self.topic.clone(),
            path: self.paths.commit(damage.number),
            fault: damage.fault,
            remedy:
                "put this file back from a backup; do not delete it: what it committed would be landed twice"
                    .to_owned(),
        }
    }
}

/// Makes the commits that are in the log durable, whoever created them.
pub(super) fn make_durable(store: &Store, paths: &LogPaths) -> Result<(), LakeError> {
    Ok(store.sync_folder(Site::Borrowed, paths.folder())?)
}

/// The numbers of the snapshots there are, ascending; None where their folder is not there.
pub(super) fn snapshot_numbers(
    store: &Store,
    paths: &LogPaths,
) -> Result<Option<Vec<CommitNumber>>, LakeError> {
    let entries = store.list(&paths.snapshots())?;
    Ok(entries.map(|entries| {
        let mut numbers: Vec<_> = entries
            .iter()
            .filter_map(|entry| number_in(&entry.name))
            .collect();
        numbers.sort_unstable();
        numbers
    }))
}

/// The fold that a snapshot holds; None when it is gone by now.
pub(super) fn read_snapshot_at(
    store: &Store,
    paths: &LogPaths,
    number: CommitNumber,
    topic: &TopicName,
) -> Result<Option<Fold>, LakeError> {
    let path = paths.snapshot(number);
    let Some(bytes) = store.read(&path)? else {
        return Ok(None);
    };
    let fold = read_snapshot(bytes, number, topic).map_err(|fault| LakeError::Corrupt {
        topic: topic.clone(),
        path,
        fault,
        remedy: "move this snapshot aside: the one before it and the commits since then say the same"
            .to_owned(),
    })?;
    Ok(Some(fold))
}

fn read_snapshot(bytes: Vec<u8>, number: CommitNumber, topic: &TopicName) -> Result<Fold, String> {
    let (snapshot, _) = decode_record_in::<Snapshot>(bytes).map_err(|fault| fault.to_string())?;
    if snapshot.number != number {
        return Err(format!("it states number {}, expected {number}", snapshot.number));
    }
    if *snapshot.topic != *topic {
        return Err(format!(
            "it states the topic {}, expected {topic}",
            snapshot.topic
        ));
    }
    match snapshot.fault() {
        Some(fault) => Err(fault),
        None => Ok(Fold::from_snapshot(snapshot)),
    }
}

/// The fold of a topic's log, for commands that only read; None when the topic has no log. Changes nothing on disk.
///
/// # Errors
/// When the log cannot be read, or is damaged.
pub fn read_fold(checkpoints: &Path, topic: &TopicName) -> Result<Option<Fold>, LakeError> {
    let follower = Follower::load(&Store::new(), &LogPaths::new(checkpoints, topic), topic)?;
    Ok((follower.fold.number() > CommitNumber(0)).then_some(follower.fold))
}
