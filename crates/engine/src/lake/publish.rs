//! Publishing: live files get their final names; a folder with files no longer live is exchanged for the live set.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use eventlake_core::commit::{
    File, FileKey, FileSet, Folder, FolderStep, FolderWork, step, unfinished_folders,
};

use super::error::LakeError;
use super::log::TopicLog;
use super::site::Site;
use super::store::{LockKind, Moved};

/// From so many unknown files in one folder on, one listing is cheaper than a look at each.
const LISTED_FROM: usize = 8;

/// What publishing did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// Staged files that got their final names.
    pub files: u64,
    /// Folders exchanged for their live set.
    pub exchanged: u64,
}

/// Where a live file was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// It was staged, and has its final name now.
    Renamed,
    /// It had its final name.
    Final,
    Nowhere,
}

/// What one pass over the folders found and did.
#[derive(Debug, Default)]
struct Pass {
    renamed: u64,
    published: Vec<FileKey>,
    removed: Vec<FileKey>,
    missing: Vec<FileKey>,
    to_exchange: bool,
    /// Folders whose content changed, or may have been changed by one who did not come to syncing.
    touched: BTreeSet<PathBuf>,
}

impl TopicLog {
    /// Publishes every valid commit there is, whoever made it. Idempotent; with nothing to do it costs a lock and a look.
    ///
    /// # Errors
    /// `MissingFiles` when live files are neither staged nor in the table (all others were published), `Exchange` when
    /// the file system cannot swap folders, `Io` when it refuses.
    pub fn publish(&mut self) -> Result<Published, LakeError> {
        let lock = self
            .store
            .lock(Site::PublishLock, &self.paths.lock(), LockKind::Shared)?;
        self.refresh()?;
        self.claim()?;
        let number = self.follower.fold().number();
        let mut pass = Pass::default();
        for (folder, work) in unfinished_folders(self.follower.fold()) {
            self.visit(&folder, &work, &mut pass)?;
        }
        self.make_durable(&pass.touched)?;
        let fold = self.follower.fold_mut();
        fold.mark_published(&pass.published);
        fold.mark_removed(&pass.removed);
        drop(lock);
        let exchanged = if pass.to_exchange {
            self.exchange_folders()?
        } else {
            0
        };
        self.report_missing(pass.missing)?;
        self.published_through = self.published_through.max(number);
        Ok(Published {
            files: pass.renamed,
            exchanged,
        })
    }

    fn visit(&self, folder: &Folder, work: &FolderWork, pass: &mut Pass) -> Result<(), LakeError> {
        let listed = !work.remove.is_empty() || work.publish.len() >= LISTED_FROM;
        let present = if listed {
            self.names_in(folder)?
        } else {
            BTreeSet::new()
        };
        if step(work, &present) == FolderStep::Exchange {
            pass.to_exchange = true;
            return Ok(());
        }
        let path = self.roots.folder(folder);
        let mut is_there = false;
        for key in &work.publish {
            let place = if present.contains(key.path.file_name()) {
                Place::Final
            } else {
                self.settle_file(key)?
            };
            if place == Place::Nowhere {
                pass.missing.push(key.clone());
            } else {
                is_there = true;
                pass.renamed += u64::from(place == Place::Renamed);
                pass.published.push(key.clone());
            }
        }
        if is_there {
            pass.touched.insert(path.clone());
        }
        if !work.remove.is_empty() {
            // Whoever exchanged the folder may not have come to syncing, and a power cut would bring the old one back.
            let above = parent(&path);
            if self.store.length(above)?.is_some() {
                pass.touched.insert(above.to_owned());
            }
            pass.removed.extend_from_slice(&work.remove);
        }
        Ok(())
    }

    pub(super) fn names_in(&self, folder: &Folder) -> Result<BTreeSet<String>, LakeError> {
        let entries = self.store.list(&self.roots.folder(folder))?.unwrap_or_default();
        Ok(entries
            .into_iter()
            .filter(|entry| !entry.is_folder)
            .map(|entry| entry.name)
            .collect())
    }

    /// Looks first for the staged file, then for the final one: files move only that way, so none slips through.
    fn settle_file(&self, key: &FileKey) -> Result<Place, LakeError> {
        let (staged, published) = (self.roots.staged(key), self.roots.published(key));
        let mut moved = self.store.rename(Site::Publish, &staged, &published)?;
        if moved == Moved::Missing && self.store.length(&staged)?.is_some() {
            self.store
                .create_folders(Site::TimePartition, parent(&published))?;
            moved = self.store.rename(Site::PublishAnew, &staged, &published)?;
        }
        Ok(match moved {
            Moved::Moved => Place::Renamed,
            // A rename of two steps was cut short between them: both are names of one file, and cleaning takes the first.
            Moved::Taken => Place::Final,
            Moved::Missing if self.store.length(&published)?.is_some() => Place::Final,
            Moved::Missing => Place::Nowhere,
        })
    }

    /// Makes the names in these folders of the table durable, and, once each, the folders' own names: another writer may
    /// just have created them.
    fn make_durable(&mut self, folders: &BTreeSet<PathBuf>) -> Result<(), LakeError> {
        let mut above = BTreeSet::new();
        let mut new = Vec::new();
        for folder in folders {
            let roots = [FileSet::Accepted, FileSet::Rejected].map(|set| self.roots.root(set).to_owned());
            let within = |path: &&Path| roots.iter().any(|root| path.starts_with(root) && *path != root);
            for path in folder.ancestors().take_while(within) {
                if self.durable_folders.contains(path) {
                    break;
                }
                above.insert(parent(path).to_owned());
                new.push(path.to_owned());
            }
        }
        for path in folders.union(&above) {
            self.store.sync_folder(Site::PublishedNames, path)?;
        }
        self.durable_folders.extend(new);
        Ok(())
    }

    /// Files found nowhere are lost if they are still live in a fold begun after the search.
    pub(super) fn report_missing(&mut self, missing: Vec<FileKey>) -> Result<(), LakeError> {
        if missing.is_empty() {
            return Ok(());
        }
        self.refresh()?;
        let fold = self.follower.fold();
        let files: Vec<File> = missing
            .iter()
            .filter_map(|key| fold.files().get(key))
            .cloned()
            .collect();
        if files.is_empty() {
            return Ok(());
        }
        Err(LakeError::MissingFiles {
            topic: self.topic.clone(),
            files,
        })
    }
}

pub(super) fn parent(path: &Path) -> &Path {
    path.parent().expect("a file of the lake lies in a folder")
}
