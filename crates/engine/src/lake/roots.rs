//! Where the lake lies: the two roots of data files, each with its staging folder, and the logs.

use std::path::{Path, PathBuf};

use eventlake_core::commit::{FileKey, FileSet, Folder};
use eventlake_core::names::{StagingPaths, TableName};

/// The folders of a lake, as `[lake]` in the configuration names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LakePaths {
    pub data: PathBuf,
    pub rejected: PathBuf,
    pub checkpoints: PathBuf,
}

/// The roots of one table's two sets.
#[derive(Clone, Debug)]
pub(super) struct Roots {
    roots: [PathBuf; 2],
    staging: [StagingPaths; 2],
}

impl Roots {
    pub fn new(paths: &LakePaths, table: &TableName) -> Roots {
        Roots {
            roots: [paths.data.clone(), paths.rejected.clone()],
            staging: [
                StagingPaths::new(&paths.data, table),
                StagingPaths::new(&paths.rejected, table),
            ],
        }
    }

    pub fn root(&self, set: FileSet) -> &Path {
        &self.roots[set as usize]
    }

    pub fn staging(&self, set: FileSet) -> &StagingPaths {
        &self.staging[set as usize]
    }

    /// A file's final place.
    pub fn published(&self, key: &FileKey) -> PathBuf {
        self.root(key.set).join(key.path.as_str())
    }

    pub fn staged(&self, key: &FileKey) -> PathBuf {
        self.staging(key.set).staged(&key.path)
    }

    pub fn folder(&self, folder: &Folder) -> PathBuf {
        self.root(folder.set).join(folder.path.as_str())
    }
}
