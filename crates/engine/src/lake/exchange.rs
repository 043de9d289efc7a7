//! Exchanging folders: a time partition's folder swapped, at one instant, for one that holds exactly the live set.
//!
//! The new folder is prepared beside the log, not in the lake: its files have their final names already, and a reader's
//! `**/*.parquet` would find them twice.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use eventlake_core::commit::{
    FileKey, FileSet, Folder, FolderStep, FolderWork, StageId, live_in, step, unfinished_folders,
};
use eventlake_core::names::{FilePath, LogPaths, Twin};

use super::error::LakeError;
use super::log::TopicLog;
use super::publish::parent;
use super::site::Site;
use super::store::{Exchanged, LockKind, Moved};

const OTHER_DEVICE: &str = "it lies on another file system than its commit log";
const NO_SWAP: &str = "its file system cannot swap two folders at one instant";

fn unsupported(folder: &Path, fault: &'static str) -> LakeError {
    LakeError::Exchange {
        folder: folder.to_owned(),
        fault,
        remedy: "keep the lake and checkpoints/ together on a file system that can, as ext4, xfs, btrfs and tmpfs do",
    }
}

impl TopicLog {
    /// Exchanges every folder that holds files no longer live. How many there were.
    pub(super) fn exchange_folders(&mut self) -> Result<u64, LakeError> {
        let _lock = self
            .store
            .lock(Site::ExchangeLock, &self.paths.lock(), LockKind::Exclusive)?;
        self.refresh()?;
        let mut exchanged = 0;
        for (folder, work) in unfinished_folders(self.follower.fold()) {
            if work.remove.is_empty() {
                continue;
            }
            let present = self.names_in(&folder)?;
            if step(&work, &present) == FolderStep::Exchange {
                self.exchange_folder(&folder, &work, &present)?;
                exchanged += 1;
            }
        }
        Ok(exchanged)
    }

    /// Whether the folders of these files can be exchanged at all, so that a commit which asks for it is not proposed
    /// where nobody could ever publish it.
    ///
    /// # Errors
    /// `Exchange` where a folder holds folders as well, or its file system cannot swap two folders at one instant;
    /// `Io` when it refuses.
    pub fn check_exchange(&self, removed: &[FileKey]) -> Result<(), LakeError> {
        let _lock = self
            .store
            .lock(Site::TrialLock, &self.paths.lock(), LockKind::Shared)?;
        let mut tried = BTreeSet::new();
        let mut folders = BTreeSet::new();
        for key in removed {
            let published = self.roots.published(key);
            let path = parent(&published);
            if folders.insert(path.to_owned()) {
                self.refuse_folders_in(path)?;
            }
            if tried.insert(key.set) {
                self.try_exchange(key, path)?;
            }
        }
        Ok(())
    }

    fn refuse_folders_in(&self, path: &Path) -> Result<(), LakeError> {
        let entries = self.store.list(path)?.unwrap_or_default();
        if entries.iter().any(|entry| entry.is_folder) {
            return Err(LakeError::Exchange {
                folder: path.to_owned(),
                fault: "it holds folders as well as files",
                remedy: "was partition_by changed? a table keeps its first one",
            });
        }
        Ok(())
    }

    /// Swaps two folders beside the log, one of which holds a link to a file of the table. What a crash leaves of them,
    /// cleaning takes for an exchange that was never finished.
    fn try_exchange(&self, key: &FileKey, path: &Path) -> Result<(), LakeError> {
        let twins = [(); 2].map(|()| {
            let id = StageId::from_u128(uuid::Uuid::now_v7().as_u128());
            self.paths.exchange_twin(key.set, id)
        });
        for twin in &twins {
            self.store.create_folders(Site::TrialFolder, twin)?;
        }
        let name = key.path.file_name();
        let linked = self
            .store
            .link(Site::TrialFile, &self.roots.published(key), &twins[0].join(name));
        let outcome = match linked {
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                Err(unsupported(path, OTHER_DEVICE))
            }
            Err(error) => Err(error.into()),
            Ok(_) => match self.store.exchange(Site::TrialExchange, &twins[0], &twins[1])? {
                Exchanged::Unsupported => Err(unsupported(path, NO_SWAP)),
                Exchanged::Exchanged => Ok(()),
            },
        };
        for twin in &twins {
            self.store.remove(Site::TrialFileGone, &twin.join(name))?;
            self.store.remove_folder(Site::TrialFolderGone, twin)?;
        }
        outcome
    }

    fn exchange_folder(
        &mut self,
        folder: &Folder,
        work: &FolderWork,
        present: &BTreeSet<String>,
    ) -> Result<(), LakeError> {
        let path = self.roots.folder(folder);
        self.refuse_folders_in(&path)?;
        let live: Vec<FileKey> = live_in(self.follower.fold(), folder)
            .map(|file| file.key())
            .collect();
        let twin = self
            .paths
            .exchange_twin(folder.set, StageId::from_u128(uuid::Uuid::now_v7().as_u128()));
        self.store.create_folders(Site::Twin, &twin)?;
        self.swap(&path, &live, present, &twin)?;
        self.finish_exchange(folder, work, &live, present)
    }

    /// Fills the twin with the live set and swaps it in, durably.
    fn swap(
        &self,
        path: &Path,
        live: &[FileKey],
        present: &BTreeSet<String>,
        twin: &Path,
    ) -> Result<(), LakeError> {
        for key in live {
            let from = if is_present(key, present) {
                self.roots.published(key)
            } else {
                self.roots.staged(key)
            };
            match self
                .store
                .link(Site::TwinFile, &from, &twin.join(key.path.file_name()))
            {
                Ok(Moved::Moved | Moved::Taken) => {}
                Ok(Moved::Missing) => return Err(self.lost(key)),
                Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                    return Err(unsupported(path, OTHER_DEVICE));
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.store.sync_folder(Site::TwinNames, twin)?;
        if self.store.exchange(Site::Exchange, twin, path)? == Exchanged::Unsupported {
            return Err(unsupported(path, NO_SWAP));
        }
        self.store.sync_folder(Site::ExchangedTable, parent(path))?;
        self.store.sync_folder(Site::ExchangedLog, parent(twin))?;
        Ok(())
    }

    /// Under the exclusive lock no file moves, so one that is nowhere is lost.
    fn lost(&self, key: &FileKey) -> LakeError {
        let files = self
            .follower
            .fold()
            .files()
            .get(key)
            .cloned()
            .into_iter()
            .collect();
        LakeError::MissingFiles {
            topic: self.topic.clone(),
            files,
        }
    }

    /// The new folder stands: the staged names of what is in it may go. The old one is left to cleaning.
    fn finish_exchange(
        &mut self,
        folder: &Folder,
        work: &FolderWork,
        live: &[FileKey],
        present: &BTreeSet<String>,
    ) -> Result<(), LakeError> {
        let fold = self.follower.fold_mut();
        fold.mark_published(live);
        fold.mark_removed(&work.remove);
        for key in live.iter().filter(|key| !is_present(key, present)) {
            self.store
                .remove(Site::ExchangedStaged, &self.roots.staged(key))?;
        }
        if live.is_empty() {
            let path = self.roots.folder(folder);
            self.store.remove_folder(Site::EmptyFolder, &path)?;
            self.durable_folders.remove(&path);
        }
        Ok(())
    }

    pub(super) fn has_exchange_leftovers(&self) -> Result<bool, LakeError> {
        Ok(self
            .store
            .list(&self.paths.exchange())?
            .is_some_and(|entries| !entries.is_empty()))
    }

    /// Tidies away folders that were exchanged out of the table, or never got into it. Only under the exclusive lock,
    /// where no exchange is under way.
    ///
    /// A folder goes when it is met for the second time, so a roll later than it was exchanged: a reader that had just
    /// opened it must not find it half empty and take that for the table.
    pub(super) fn remove_exchange_leftovers(&self) -> Result<(), LakeError> {
        let exchange = self.paths.exchange();
        for entry in self.store.list(&exchange)?.unwrap_or_default() {
            let path = exchange.join(&entry.name);
            match LogPaths::twin_named(&entry.name) {
                Some(Twin {
                    set,
                    is_retired: true,
                }) => self.empty_twin(set, &path)?,
                Some(Twin {
                    is_retired: false, ..
                }) => {
                    self.store.rename(
                        Site::Retire,
                        &path,
                        &exchange.join(LogPaths::retired(&entry.name)),
                    )?;
                }
                None => {}
            }
        }
        Ok(())
    }

    /// Removes second names of files that lie in the table or are staged, and our files that are live no longer. Anything
    /// else was put into the table by somebody else, and stays here for its owner.
    fn empty_twin(&self, set: FileSet, twin: &Path) -> Result<(), LakeError> {
        let entries = self.store.list(twin)?.unwrap_or_default();
        let fold = self.follower.fold();
        let mut live: BTreeMap<&str, &FileKey> = BTreeMap::new();
        if !entries.is_empty() {
            let keys = fold.files().keys().filter(|key| key.set == set);
            live.extend(keys.map(|key| (key.path.file_name(), key)));
        }
        let mut superfluous = Vec::new();
        let mut holders = BTreeSet::new();
        for entry in entries {
            let name = entry.name.as_str();
            if self.is_superfluous(name, live.get(name).copied(), &mut holders)? {
                superfluous.push(twin.join(name));
            } else {
                tracing::warn!(
                    path = %twin.join(name).display(),
                    "not a file of the table: left here when its folder was exchanged"
                );
            }
        }
        // The other names must outlast a power cut that comes right after these are gone.
        for folder in holders {
            self.store.sync_folder(Site::OtherNames, &folder)?;
        }
        for path in superfluous {
            self.store.remove(Site::RetiredFile, &path)?;
        }
        self.store.remove_folder(Site::RetiredFolder, twin)?;
        Ok(())
    }

    /// Whether a file in a twin may go. Adds the folders that hold its other name.
    fn is_superfluous(
        &self,
        name: &str,
        live: Option<&FileKey>,
        holders: &mut BTreeSet<PathBuf>,
    ) -> Result<bool, LakeError> {
        let Some(key) = live else {
            return Ok(FilePath::is_file_name(name));
        };
        for path in [self.roots.published(key), self.roots.staged(key)] {
            if self.store.length(&path)?.is_some() {
                let folder = parent(&path);
                holders.insert(parent(folder).to_owned());
                holders.insert(folder.to_owned());
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn is_present(key: &FileKey, present: &BTreeSet<String>) -> bool {
    present.contains(key.path.file_name())
}
