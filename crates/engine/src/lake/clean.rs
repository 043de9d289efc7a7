//! Cleaning: staged files whose commit can no longer come true are deleted, and finished stages' manifests.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use eventlake_core::commit::{
    FileKey, FileSet, Manifest, StageFate, StageId, StagedFileFate, decode_record, file_fate,
    names_of_stages, stage_fate,
};
use eventlake_core::names::{LogPaths, file_name_of_staged};

use super::error::LakeError;
use super::log::TopicLog;
use super::owner::stage_named;
use super::publish::parent;
use super::site::Site;
use super::store::{FolderRemoval, LockKind};

/// What cleaning did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// Staged files deleted.
    pub files: u64,
    /// Temporary files deleted, when the log was opened.
    pub temporaries: u64,
    /// What all of these held.
    pub bytes: u64,
    /// Stages done with.
    pub stages: u64,
    /// Manifests that cannot be read: their stages stay as they are.
    pub unreadable: Vec<PathBuf>,
}

/// A staged file as listed.
struct StagedName {
    set: FileSet,
    /// The name in the stage's folder.
    staged: String,
    /// The name in the table.
    file_name: String,
}

impl TopicLog {
    /// Deletes what no commit can name any more. Never by age, never because a writer looks dead.
    ///
    /// # Errors
    /// When the disk refuses, or the log is damaged.
    pub fn clean(&mut self) -> Result<Cleaned, LakeError> {
        // The order is the rule: the staged files, then the manifests, then the fold that judges.
        let staged = self.staged_files()?;
        let mut cleaned = std::mem::take(&mut self.tidied);
        let mut stages: BTreeMap<StageId, Option<Manifest>> =
            staged.keys().map(|stage| (*stage, None)).collect();
        let mut unreadable = BTreeSet::new();
        for entry in self.store.list(&self.paths.staging())?.unwrap_or_default() {
            let Some(stage) = LogPaths::stage_of_manifest(&entry.name) else {
                continue;
            };
            let path = self.paths.manifest(stage);
            let Some(bytes) = self.store.read(&path)? else {
                continue;
            };
            match decode_record::<Manifest>(&bytes) {
                Ok((manifest, _)) if manifest.stage == stage => {
                    stages.insert(stage, Some(manifest));
                }
                _ => {
                    unreadable.insert(stage);
                    cleaned.unreadable.push(path);
                }
            }
        }
        stages.retain(|stage, _| !unreadable.contains(stage));
        self.refresh()?;
        let named = names_of_stages(self.follower.fold(), &staged.keys().copied().collect());
        for (stage, manifest) in stages {
            let fate = stage_fate(manifest.as_ref(), self.follower.fold());
            for file in staged.get(&stage).into_iter().flatten() {
                if let Some(bytes) = self.clean_file(stage, fate, file, &named)? {
                    cleaned.files += 1;
                    cleaned.bytes += bytes;
                }
            }
            if fate == StageFate::Over && self.forget_stage(stage)? {
                cleaned.stages += 1;
            }
        }
        if self.has_exchange_leftovers()? {
            let _lock = self
                .store
                .lock(Site::CleanLock, &self.paths.lock(), LockKind::Exclusive)?;
            self.refresh()?;
            self.remove_exchange_leftovers()?;
        }
        Ok(cleaned)
    }

    /// The staged files there are, by stage; a stage's empty folder counts as a stage.
    fn staged_files(&self) -> Result<BTreeMap<StageId, Vec<StagedName>>, LakeError> {
        let mut staged: BTreeMap<StageId, Vec<StagedName>> = BTreeMap::new();
        for set in FileSet::ALL {
            let staging = self.roots.staging(set);
            for folder in self.store.list(staging.folder())?.unwrap_or_default() {
                let Some(stage) = stage_named(&folder.name) else {
                    continue;
                };
                let files = staged.entry(stage).or_default();
                for entry in self.store.list(&staging.stage(stage))?.unwrap_or_default() {
                    if let Some(file_name) = file_name_of_staged(&entry.name).map(str::to_owned) {
                        files.push(StagedName {
                            set,
                            staged: entry.name,
                            file_name,
                        });
                    }
                }
            }
        }
        Ok(staged)
    }

    /// The bytes that were deleted; none when the file stays.
    fn clean_file(
        &self,
        stage: StageId,
        fate: StageFate,
        file: &StagedName,
        named: &BTreeSet<(FileSet, String)>,
    ) -> Result<Option<u64>, LakeError> {
        let deletes = match file_fate(fate, file.set, &file.file_name, named) {
            StagedFileFate::Keep => false,
            StagedFileFate::Delete => true,
            StagedFileFate::Named => {
                let is_it = |key: &&FileKey| key.set == file.set && key.path.file_name() == file.file_name;
                let key = self.follower.fold().files().keys().find(is_it);
                match key.map(|key| self.roots.published(key)) {
                    Some(published) if self.store.length(&published)?.is_some() => {
                        self.store.sync_folder(Site::SecondName, parent(&published))?;
                        true
                    }
                    _ => false,
                }
            }
        };
        if !deletes {
            return Ok(None);
        }
        let path = self.roots.staging(file.set).stage(stage).join(&file.staged);
        let bytes = self.store.length(&path)?;
        let removed = self.store.remove(Site::CleanFile, &path)?;
        Ok(bytes.filter(|_| removed))
    }

    /// Removes an over stage's folders and then its manifest, unless a file is left. Only a fold that already showed the
    /// stage to be over makes an empty folder final: nobody can commit what is put there from now on.
    fn forget_stage(&self, stage: StageId) -> Result<bool, LakeError> {
        for set in FileSet::ALL {
            if self
                .store
                .remove_folder(Site::CleanFolder, &self.roots.staging(set).stage(stage))?
                == FolderRemoval::NotEmpty
            {
                return Ok(false);
            }
        }
        self.store
            .remove(Site::CleanManifest, &self.paths.manifest(stage))?;
        Ok(true)
    }
}
