//! Cleaning, as the engine's `lake/clean.rs`: the staged files, then the manifests, then the fold that judges.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use eventlake_core::commit::{
    FileSet, Manifest, StageFate, StageId, StagePlan, StagedFileFate, file_fate, names_of_stages, stage_fate,
};

use super::log::Log;
use crate::coverage::{Situation, Transition};
use crate::fence::Fence;
use crate::task::Trouble;
use crate::world::store::{Content, Name, Slot};
use crate::world::{World, file_name, table_slot};

type Staged = BTreeMap<StageId, Vec<(FileSet, Name)>>;

impl Log {
    /// Deletes what no commit can name any more.
    pub async fn clean(&mut self) -> Result<(), Trouble> {
        if self
            .thread
            .with(|world| !world.profile.tidies && !world.choices.is_calm())
        {
            return Ok(());
        }
        let fold_after = self.thread.with(|world| world.holds(Fence::CleanFold));
        if !fold_after {
            self.refresh().await?;
        }
        let manifests_after = self.thread.with(|world| world.holds(Fence::CleanManifestAfter));
        let before = if manifests_after {
            None
        } else {
            Some(self.manifests().await?)
        };
        let staged = self.staged_files().await?;
        let manifests = match before {
            Some(manifests) => manifests,
            None => self.manifests().await?,
        };
        if fold_after {
            self.refresh().await?;
        }
        let mut stages: BTreeMap<StageId, Option<Rc<Manifest>>> =
            staged.keys().map(|stage| (*stage, None)).collect();
        stages.extend(
            manifests
                .into_iter()
                .map(|(stage, manifest)| (stage, Some(manifest))),
        );
        let named = names_of_stages(&self.fold, &staged.keys().copied().collect());
        for (stage, manifest) in stages {
            let fate = self.fate(stage, manifest.as_deref());
            for (set, name) in staged.get(&stage).into_iter().flatten() {
                self.clean_file(stage, fate, *set, name, &named).await?;
            }
            if fate == StageFate::Over {
                self.forget_stage(stage).await?;
            }
        }
        self.remove_exchange_leftovers().await
    }

    fn fate(&self, stage: StageId, manifest: Option<&Manifest>) -> StageFate {
        let fate = stage_fate(manifest, &self.fold);
        let Some(manifest) = manifest.filter(|_| fate == StageFate::Waiting) else {
            return fate;
        };
        let is_append = matches!(manifest.plan, StagePlan::Append { .. });
        let is_own = self.plans.contains_key(&stage);
        self.thread.with(|world| {
            let (fence, situation) = if is_append {
                (Fence::CleanAppend, Situation::CleanBesideAppend)
            } else {
                (Fence::CleanReplace, Situation::CleanBesideReplace)
            };
            if !is_own {
                world.met(situation);
            }
            if world.holds(fence) { fate } else { StageFate::Over }
        })
    }

    async fn staged_files(&self) -> Result<Staged, Trouble> {
        self.thread
            .call(Transition::ListStaged, |world| {
                let mut staged = Staged::new();
                for (slot, names) in world.store.folders() {
                    if let Slot::Stage(set, stage) = slot {
                        let files = staged.entry(*stage).or_default();
                        files.extend(names.into_iter().map(|name| (*set, name.clone())));
                    }
                }
                staged
            })
            .await
    }

    async fn manifests(&self) -> Result<BTreeMap<StageId, Rc<Manifest>>, Trouble> {
        let names = self
            .thread
            .call(Transition::ListManifests, |world| {
                if world.holds(Fence::FreshListing) {
                    world.store.list(&Slot::Manifests).unwrap_or_default()
                } else {
                    let World { store, choices, .. } = world;
                    store.list_past(&Slot::Manifests, choices)
                }
            })
            .await?;
        let mut found = BTreeMap::new();
        for name in names {
            let read = self
                .thread
                .call(Transition::ReadManifest, |world| {
                    world.store.read(&Slot::Manifests, &name).cloned()
                })
                .await?;
            if let (Some(Content::Manifest(manifest)), Name::Stage(stage)) = (read, name) {
                found.insert(stage, manifest);
            }
        }
        Ok(found)
    }

    async fn clean_file(
        &self,
        stage: StageId,
        fate: StageFate,
        set: FileSet,
        name: &Name,
        named: &BTreeSet<(FileSet, String)>,
    ) -> Result<(), Trouble> {
        let Name::File(text) = name else { return Ok(()) };
        let deletes = match file_fate(fate, set, text, named) {
            StagedFileFate::Keep => false,
            StagedFileFate::Delete => true,
            StagedFileFate::Named if self.thread.with(|world| world.holds(Fence::CleanNamed)) => {
                let key = self
                    .fold
                    .files()
                    .keys()
                    .find(|key| key.set == set && file_name(key) == *name);
                match key {
                    Some(key) => {
                        let slot = table_slot(key);
                        self.thread
                            .call(Transition::SeekFinal, |world| {
                                let is_final = world.store.inode(&slot, name).is_some();
                                if is_final {
                                    world.store.sync_folder(&slot);
                                    world.store.sync_parent(slot.parent());
                                }
                                is_final
                            })
                            .await?
                    }
                    None => false,
                }
            }
            StagedFileFate::Named => true,
        };
        if deletes {
            self.remove_staged(Transition::RemoveStaged, &Slot::Stage(set, stage), name)
                .await?;
        }
        Ok(())
    }

    async fn forget_stage(&self, stage: StageId) -> Result<(), Trouble> {
        self.thread
            .call(Transition::ForgetStage, |world| {
                let gone = FileSet::ALL.map(|set| world.store.remove_folder(&Slot::Stage(set, stage)));
                if gone == [true, true] {
                    world.store.remove(&Slot::Manifests, &Name::Stage(stage));
                }
            })
            .await
    }
}
