//! The commit logs that views follow, each read once for all of them.

use std::collections::BTreeSet;
use std::path::Path;

use eventlake_core::commit::{Body, File, FileSet, Fold, ReplaceReason};
use eventlake_core::config::TopicConfig;
use eventlake_core::names::TableName;
use eventlake_engine::lake::{CommitReader, LakeError, LogPlace, Onward, ValidCommit};

use super::state::Positions;

/// One topic's log, and how far it was read.
pub struct Followed<'c> {
    pub topic: &'c TopicConfig,
    reader: CommitReader,
}

/// What a view takes in at once: the rows that a commit has added to one of its tables.
#[derive(Clone, Debug)]
pub struct Addition {
    /// Which of the followed topics.
    pub topic: usize,
    /// The place in its log after it.
    pub place: LogPlace,
    /// When it was committed, in microseconds since 1970.
    pub committed: i64,
    pub files: Vec<File>,
}

impl<'c> Followed<'c> {
    /// # Errors
    /// When the log cannot be read, or is damaged.
    pub fn open(checkpoints: &Path, topic: &'c TopicConfig) -> Result<Followed<'c>, LakeError> {
        Ok(Followed {
            topic,
            reader: CommitReader::at_newest(checkpoints, &topic.name)?,
        })
    }

    pub fn fold(&self) -> &Fold {
        self.reader.fold()
    }

    pub fn place(&self) -> LogPlace {
        self.reader.place()
    }

    /// The commits since; None when the log no longer tells and was begun anew at its newest.
    ///
    /// # Errors
    /// When the log cannot be read, or is damaged.
    pub fn read_on(&mut self, checkpoints: &Path) -> Result<Option<Vec<ValidCommit>>, LakeError> {
        match self.reader.read_on()? {
            Onward::Commits(commits) => Ok(Some(commits)),
            Onward::Gone => {
                self.reader = CommitReader::at_newest(checkpoints, &self.topic.name)?;
                Ok(None)
            }
        }
    }

    /// The commits between a place and this one; None when the log does not, or no longer, tell.
    ///
    /// # Errors
    /// When the log cannot be read, or is damaged.
    pub fn since(&self, checkpoints: &Path, place: &LogPlace) -> Result<Option<Vec<ValidCommit>>, LakeError> {
        let here = self.place();
        if *place == here {
            return Ok(Some(Vec::new()));
        }
        if place.number >= here.number {
            return Ok(None);
        }
        let Some(mut reader) = CommitReader::at(checkpoints, &self.topic.name, place)? else {
            return Ok(None);
        };
        let Onward::Commits(mut commits) = reader.read_on()? else {
            return Ok(None);
        };
        // Newer ones come by the way that all others come.
        commits.retain(|commit| commit.place.number <= here.number);
        Ok(Some(commits))
    }

    /// The next offset of every partition of every generation.
    pub fn positions(&self) -> Positions {
        let of = |generation: &eventlake_core::commit::Generation| {
            let ordinal = generation.ordinal;
            let partitions = generation.partitions.iter();
            partitions
                .map(move |(partition, state)| (ordinal, *partition, state.next))
                .collect::<Vec<_>>()
        };
        Positions(self.fold().generations().iter().flat_map(of).collect())
    }

    /// The accepted files that are live, or those of them that hold rows from these positions on.
    ///
    /// A file is all before them or all after: they are those of a commit, and no file reaches over one.
    pub fn live<'f>(&'f self, since: Option<&'f Positions>) -> impl Iterator<Item = &'f File> {
        let is_after = move |file: &&File| since.is_none_or(|since| since.are_before(file));
        let files = self.fold().files().values();
        files
            .filter(|file| file.set == FileSet::Accepted)
            .filter(is_after)
    }
}

/// The rows that a commit adds for the first time. What moves rows, or takes them away, adds none: a view is of all rows ever
/// committed.
pub fn added_files(body: &Body) -> Vec<File> {
    let is_new = match body {
        Body::Append(_) => true,
        Body::Replace(replace) => replace.reason == ReplaceReason::Replay,
        Body::Generation(_) => false,
    };
    let files = body.files().iter().filter(|file| file.set == FileSet::Accepted);
    files.filter(|_| is_new).cloned().collect()
}

/// Which of the followed topics land in these tables.
pub fn topics_of(followed: &[Followed<'_>], tables: &BTreeSet<&TableName>) -> Vec<usize> {
    let indexed = followed.iter().enumerate();
    indexed
        .filter(|(_, followed)| tables.contains(&followed.topic.table))
        .map(|(index, _)| index)
        .collect()
}
