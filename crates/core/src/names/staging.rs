//! Names of what is staged: `<root>/_staging/<table>/`, beside the tables and matched by no `*.parquet` glob.

use std::path::{Path, PathBuf};

use super::{FilePath, TableName};
use crate::commit::StageId;

/// Names the log that owns the table.
pub const OWNER_FILE: &str = "owner.json";
const ROOT_FOLDER: &str = "_staging";
const STAGED_SUFFIX: &str = ".staged";

/// Every path below `<root>/_staging/<table>/`, for one root: that of the accepted or that of the rejected files.
#[derive(Clone, Debug)]
pub struct StagingPaths {
    folder: PathBuf,
}

/// What an entry of the folder is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StagingEntry {
    Owner,
    Stage(StageId),
    Temporary,
    Unknown,
}

impl StagingPaths {
    #[must_use]
    pub fn new(root: &Path, table: &TableName) -> StagingPaths {
        StagingPaths {
            folder: root.join(ROOT_FOLDER).join(table.as_str()),
        }
    }

    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    #[must_use]
    pub fn owner(&self) -> PathBuf {
        self.folder.join(OWNER_FILE)
    }

    #[must_use]
    pub fn stage(&self, stage: StageId) -> PathBuf {
        self.folder.join(stage.to_string())
    }

    /// Where a file lies until it is published.
    #[must_use]
    pub fn staged(&self, path: &FilePath) -> PathBuf {
        self.stage(path.stage())
            .join(format!("{}{STAGED_SUFFIX}", path.file_name()))
    }
}

#[must_use]
pub fn staging_entry(name: &str) -> StagingEntry {
    if name == OWNER_FILE {
        StagingEntry::Owner
    } else if let Ok(stage) = name.parse() {
        StagingEntry::Stage(stage)
    } else if name.ends_with(super::TEMPORARY_SUFFIX) {
        StagingEntry::Temporary
    } else {
        StagingEntry::Unknown
    }
}

/// The name a staged file gets when it is published.
#[must_use]
pub fn file_name_of_staged(name: &str) -> Option<&str> {
    name.strip_suffix(STAGED_SUFFIX)
}
