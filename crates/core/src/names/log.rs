//! Names in the commit log of one topic, `checkpoints/<topic>/`.

use std::path::{Path, PathBuf};

use super::TopicName;
use crate::commit::{CommitNumber, FileSet, StageId};

pub const SNAPSHOTS_FOLDER: &str = "snapshots";
/// What deleted commits said of offsets.
pub const ACCOUNTS_FOLDER: &str = "accounts";
pub const STAGING_FOLDER: &str = "staging";
/// Where folders are prepared that will be exchanged for one of the table. Their files have their final names already,
/// so it cannot lie where a reader's `**/*.parquet` looks.
pub const EXCHANGE_FOLDER: &str = "exchange";
/// The table lock: shared to add files to the table, exclusive to exchange a folder.
pub const LOCK_FILE: &str = "lock";
/// Files being written, before they get their name. A crash may leave them; they may be deleted at any time, because
/// a writer that misses its own writes it again.
pub const TEMPORARY_SUFFIX: &str = ".tmp";

const RETIRED_SUFFIX: &str = ".retired";

/// A folder that was prepared to be exchanged, or was exchanged out of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Twin {
    pub set: FileSet,
    /// Cleaning has met it before.
    pub is_retired: bool,
}

/// Every path in one topic's log.
#[derive(Clone, Debug)]
pub struct LogPaths {
    folder: PathBuf,
}

impl LogPaths {
    #[must_use]
    pub fn new(checkpoints: &Path, topic: &TopicName) -> LogPaths {
        LogPaths {
            folder: checkpoints.join(topic.as_str()),
        }
    }

    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    #[must_use]
    pub fn snapshots(&self) -> PathBuf {
        self.folder.join(SNAPSHOTS_FOLDER)
    }

    #[must_use]
    pub fn staging(&self) -> PathBuf {
        self.folder.join(STAGING_FOLDER)
    }

    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.folder.join(LOCK_FILE)
    }

    #[must_use]
    pub fn commit(&self, number: CommitNumber) -> PathBuf {
        self.folder.join(numbered(number))
    }

    #[must_use]
    pub fn snapshot(&self, number: CommitNumber) -> PathBuf {
        self.snapshots().join(numbered(number))
    }

    #[must_use]
    pub fn accounts(&self) -> PathBuf {
        self.folder.join(ACCOUNTS_FOLDER)
    }

    /// The account of the commits `first` to `last`, both included.
    #[must_use]
    pub fn account(&self, numbers: AccountRange) -> PathBuf {
        self.accounts().join(numbers.file_name())
    }

    #[must_use]
    pub fn manifest(&self, stage: StageId) -> PathBuf {
        self.staging().join(format!("{stage}.json"))
    }

    #[must_use]
    pub fn exchange(&self) -> PathBuf {
        self.folder.join(EXCHANGE_FOLDER)
    }

    /// A folder to be exchanged for one of this set. The id never recurs.
    #[must_use]
    pub fn exchange_twin(&self, set: FileSet, id: StageId) -> PathBuf {
        self.exchange().join(format!("{set}-{id}"))
    }

    /// What a folder beside the twins is, by its name.
    #[must_use]
    pub fn twin_named(folder_name: &str) -> Option<Twin> {
        let (name, is_retired) = match folder_name.strip_suffix(RETIRED_SUFFIX) {
            Some(name) => (name, true),
            None => (folder_name, false),
        };
        let set = FileSet::ALL.into_iter().find(|set| {
            let id = name
                .strip_prefix(&set.to_string())
                .and_then(|rest| rest.strip_prefix('-'));
            id.is_some_and(|id| id.parse::<StageId>().is_ok())
        });
        set.map(|set| Twin { set, is_retired })
    }

    /// The name a twin gets when it was found left over.
    #[must_use]
    pub fn retired(twin_name: &str) -> String {
        format!("{twin_name}{RETIRED_SUFFIX}")
    }

    /// The stage whose manifest has this file name.
    #[must_use]
    pub fn stage_of_manifest(file_name: &str) -> Option<StageId> {
        file_name.strip_suffix(".json")?.parse().ok()
    }
}

fn numbered(number: CommitNumber) -> String {
    format!("{:020}.json", number.0)
}

/// Which commits an account is of, both ends included. Orders by the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AccountRange {
    pub first: CommitNumber,
    pub last: CommitNumber,
}

impl AccountRange {
    /// `00000000000000000001-00000000000000001000.json`
    #[must_use]
    pub fn file_name(self) -> String {
        format!("{:020}-{:020}.json", self.first.0, self.last.0)
    }

    /// Reads what `file_name` writes, and nothing else.
    #[must_use]
    pub fn in_name(file_name: &str) -> Option<AccountRange> {
        let (first, last) = file_name.strip_suffix(".json")?.split_once('-')?;
        let range = AccountRange {
            first: CommitNumber(first.parse().ok()?),
            last: CommitNumber(last.parse().ok()?),
        };
        (range.first <= range.last && range.file_name() == file_name).then_some(range)
    }

    #[must_use]
    pub fn contains(self, number: CommitNumber) -> bool {
        self.first <= number && number <= self.last
    }
}

/// The number of the commit or snapshot with this file name.
#[must_use]
pub fn number_in(file_name: &str) -> Option<CommitNumber> {
    let digits = file_name.strip_suffix(".json")?;
    let number = CommitNumber(digits.parse().ok()?);
    (numbered(number) == file_name).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_sort_as_their_names_do() {
        let paths = LogPaths::new(
            Path::new("checkpoints"),
            &TopicName::new("clicks").expect("a name"),
        );
        assert_eq!(
            paths.commit(CommitNumber(42)),
            Path::new("checkpoints/clicks/00000000000000000042.json")
        );
        assert_eq!(number_in("00000000000000000042.json"), Some(CommitNumber(42)));
        for name in [
            "42.json",
            "00000000000000000042",
            "+0000000000000000042.json",
            "x.json",
            "lock",
        ] {
            assert_eq!(number_in(name), None, "{name}");
        }
    }
}
