//! Publishing, as the engine's `lake/publish.rs`: live files get their final names, whoever committed them.

use std::collections::BTreeSet;

use eventlake_core::commit::{File, FileKey, Folder, FolderStep, FolderWork, step, unfinished_folders};

use super::log::Log;
use crate::coverage::{Situation, Transition};
use crate::fence::Fence;
use crate::task::Trouble;
use crate::world::store::{LockKind, Moved, Name, Slot};
use crate::world::{file_name, oracle, short_key, staged_slot, table_slot};

/// Where a live file was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Final,
    Nowhere,
}

#[derive(Default)]
struct Pass {
    published: Vec<FileKey>,
    removed: Vec<FileKey>,
    missing: Vec<FileKey>,
    to_exchange: bool,
    touched: BTreeSet<Slot>,
    /// Folders whose own names another may have changed and not made durable.
    above: BTreeSet<Slot>,
}

impl Log {
    /// Publishes every valid commit there is. The files that are nowhere, though a fold begun after the search has them.
    pub async fn publish(&mut self) -> Result<Vec<File>, Trouble> {
        let me = self.thread.me;
        if !self.thread.with(|world| world.holds(Fence::PublishFold)) {
            self.refresh().await?;
        }
        let lock = self.lock(LockKind::Shared).await?;
        if self.thread.with(|world| world.holds(Fence::PublishFold)) {
            self.refresh().await?;
        }
        let number = self.fold.number();
        let mut pass = Pass::default();
        for (folder, work) in unfinished_folders(&self.fold) {
            self.visit(&folder, &work, &mut pass).await?;
        }
        self.make_durable(&pass).await?;
        self.fold.mark_published(&pass.published);
        self.fold.mark_removed(&pass.removed);
        drop(lock);
        if pass.to_exchange
            && let Some(lost) = self.exchange_folders().await?
        {
            return Ok(vec![lost]);
        }
        let missing = self.still_missing(pass.missing).await?;
        if missing.is_empty() {
            self.published_through = self.published_through.max(number);
            self.thread.with(|world| {
                world.processes[me]
                    .unpublished
                    .retain(|commit| *commit > number.0)
            });
        }
        Ok(missing)
    }

    async fn visit(&mut self, folder: &Folder, work: &FolderWork, pass: &mut Pass) -> Result<(), Trouble> {
        let slot = Slot::Table(folder.clone());
        let present = if work.remove.is_empty() {
            BTreeSet::new()
        } else {
            self.names_in(folder).await?
        };
        let in_place = !self.thread.with(|world| world.holds(Fence::ExchangeFolders));
        if step(work, &present) == FolderStep::Exchange && !in_place {
            pass.to_exchange = true;
            return Ok(());
        }
        for key in &work.publish {
            let is_rewritten = |process: &crate::world::Process| process.rewriting.contains(key);
            self.thread.with(|world| {
                let others = world
                    .processes
                    .iter()
                    .enumerate()
                    .filter(|(other, _)| *other != self.thread.me);
                if others
                    .filter(|(_, other)| other.is_alive)
                    .any(|(_, other)| is_rewritten(other))
                {
                    world.met(Situation::RewrittenWhilePublished);
                }
            });
            match self.settle_file(key).await? {
                Place::Nowhere => pass.missing.push(key.clone()),
                Place::Final => {
                    pass.touched.insert(slot.clone());
                    pass.published.push(key.clone());
                }
            }
        }
        if in_place {
            for key in &work.remove {
                let name = file_name(key);
                self.thread
                    .call(Transition::RemoveFolder, |world| {
                        world.store.remove(&slot, &name);
                        oracle::check_table(world);
                    })
                    .await?;
            }
        }
        if !work.remove.is_empty() {
            pass.above.insert(slot);
            pass.removed.extend_from_slice(&work.remove);
        }
        Ok(())
    }

    pub async fn names_in(&self, folder: &Folder) -> Result<BTreeSet<String>, Trouble> {
        let slot = Slot::Table(folder.clone());
        let names = self
            .thread
            .call(Transition::ListFolder, |world| {
                world.store.list(&slot).unwrap_or_default()
            })
            .await?;
        let text = |name| {
            if let Name::File(text) = name {
                Some(text.to_string())
            } else {
                None
            }
        };
        Ok(names.into_iter().filter_map(text).collect())
    }

    /// Looks first for the staged file, then for the final one: files move only that way.
    async fn settle_file(&mut self, key: &FileKey) -> Result<Place, Trouble> {
        let (from, to, name) = (staged_slot(key), table_slot(key), file_name(key));
        if !self.thread.with(|world| world.holds(Fence::LostStagedFirst))
            && self.is_at(Transition::SeekFinal, &to, &name).await?
        {
            return Ok(Place::Final);
        }
        let mut moved = self.rename(key, &from, &to, &name).await?;
        let was_staged = moved == Moved::Missing && self.is_at(Transition::SeekStaged, &from, &name).await?;
        if was_staged {
            self.thread
                .call(Transition::MakeFolder, |world| {
                    world.store.make_folder(&to);
                    world.store.sync_parent(to.parent());
                })
                .await?;
            moved = self.rename(key, &from, &to, &name).await?;
        }
        if moved != Moved::Missing {
            return Ok(Place::Final);
        }
        if !self.thread.with(|world| world.holds(Fence::LostStagedFirst)) {
            return Ok(Place::Nowhere);
        }
        let is_final = self.is_at(Transition::SeekFinal, &to, &name).await?;
        if is_final && was_staged {
            self.thread
                .with(|world| world.met(Situation::MissingWhileRenamed));
        }
        Ok(if is_final { Place::Final } else { Place::Nowhere })
    }

    async fn is_at(&self, transition: Transition, slot: &Slot, name: &Name) -> Result<bool, Trouble> {
        self.thread
            .call(transition, |world| world.store.inode(slot, name).is_some())
            .await
    }

    async fn rename(&mut self, key: &FileKey, from: &Slot, to: &Slot, name: &Name) -> Result<Moved, Trouble> {
        let me = self.thread.me;
        let two_steps = self.thread.with(|world| world.profile.two_step_rename);
        let moved = self
            .thread
            .call(Transition::RenameStaged, |world| {
                let moved = if two_steps {
                    world.store.link(from, to, name)
                } else {
                    world.store.rename(from, to, name)
                };
                if moved == Moved::Moved {
                    let how = if two_steps { "links" } else { "renames" };
                    world.tell_of(me, || {
                        format!("{how} staged {} to its final name", short_key(key))
                    });
                    oracle::check_table(world);
                }
                moved
            })
            .await?;
        if two_steps && moved == Moved::Moved {
            if self.thread.with(|world| world.holds(Fence::LinkSync)) {
                self.thread
                    .call(Transition::SyncFolder, |world| world.store.sync_folder(to))
                    .await?;
            }
            let stays = self.thread.with(|world| world.strikes(300));
            if stays {
                self.thread.with(|world| {
                    world.fired(Transition::CallFails);
                    world.tell_of(me, || format!("fails to unlink staged {}", short_key(key)));
                });
                return Err(Trouble::NotNow);
            }
            self.thread
                .call(Transition::UnlinkStaged, |world| {
                    world.store.remove(from, name);
                    oracle::check_live(world);
                })
                .await?;
        }
        Ok(moved)
    }

    async fn make_durable(&mut self, pass: &Pass) -> Result<(), Trouble> {
        let removal = self.thread.with(|world| world.holds(Fence::RemovalSync));
        for slot in &pass.touched {
            let is_new = self.durable_folders.insert(slot.clone());
            self.thread
                .call(Transition::SyncFolder, |world| {
                    world.store.sync_folder(slot);
                    if is_new {
                        world.store.sync_parent(slot.parent());
                    }
                })
                .await?;
        }
        for slot in pass.above.iter().filter(|_| removal) {
            self.thread
                .call(Transition::SyncFolder, |world| {
                    world.store.sync_parent(slot.parent())
                })
                .await?;
        }
        Ok(())
    }

    /// Files found nowhere are lost if they are still live in a fold begun after the search.
    async fn still_missing(&mut self, missing: Vec<FileKey>) -> Result<Vec<File>, Trouble> {
        if missing.is_empty() {
            return Ok(Vec::new());
        }
        if self.thread.with(|world| world.holds(Fence::LostFoldAfter)) {
            self.refresh().await?;
        }
        let known = self.fold.files();
        let files: Vec<File> = missing.iter().filter_map(|key| known.get(key)).cloned().collect();
        for file in &files {
            let key = file.key();
            self.thread.with(|world| {
                let name = file_name(&key);
                let there = [staged_slot(&key), table_slot(&key)]
                    .iter()
                    .any(|slot| world.store.inode(slot, &name).is_some());
                let is_live = world.oracle.fold.files().contains_key(&key);
                let put_back = world.robbed.contains(&key);
                if there && is_live && !put_back {
                    world.violate(|| format!("{} is taken for lost, and is there", short_key(&key)));
                } else if !is_live && !world.holds(Fence::LostFoldAfter) {
                    world.violate(|| {
                        format!(
                            "{} is taken for lost, and was replaced before it was sought",
                            short_key(&key)
                        )
                    });
                }
            });
        }
        Ok(files)
    }
}
