//! Exchanging folders, as the engine's `lake/exchange.rs`: a folder swapped for one of exactly the live set.

use std::collections::BTreeSet;

use eventlake_core::commit::{
    File, FileKey, Folder, FolderStep, FolderWork, live_in, step, unfinished_folders,
};

use super::log::Log;
use crate::coverage::Transition;
use crate::fence::Fence;
use crate::task::Trouble;
use crate::world::store::{LockKind, Moved, Name, Parent, Slot};
use crate::world::{World, file_name, oracle, short_key, staged_slot, table_slot};

impl Log {
    /// Exchanges every folder that holds files no longer live. A live file that is gone stops it: under the exclusive
    /// lock no file moves, so it is lost.
    pub async fn exchange_folders(&mut self) -> Result<Option<File>, Trouble> {
        let _lock = self.lock(LockKind::Exclusive).await?;
        if self.thread.with(|world| world.holds(Fence::ExchangeFold)) {
            self.refresh().await?;
        }
        for (folder, work) in unfinished_folders(&self.fold) {
            if work.remove.is_empty() {
                continue;
            }
            let present = self.names_in(&folder).await?;
            if step(&work, &present) == FolderStep::Exchange {
                let lost = self.exchange_folder(&folder, &work, &present).await?;
                if lost.is_some() {
                    return Ok(lost);
                }
            }
        }
        Ok(None)
    }

    async fn exchange_folder(
        &mut self,
        folder: &Folder,
        work: &FolderWork,
        present: &BTreeSet<String>,
    ) -> Result<Option<File>, Trouble> {
        let me = self.thread.me;
        let live: Vec<FileKey> = live_in(&self.fold, folder).map(File::key).collect();
        let is_present = |key: &FileKey| present.contains(key.path.file_name());
        let (id, path) = (self.thread.with(World::next_stage), Slot::Table(folder.clone()));
        let twin = Slot::Twin(id, folder.set);
        for key in &live {
            let from = if is_present(key) {
                table_slot(key)
            } else {
                staged_slot(key)
            };
            let name = file_name(key);
            let linked = self
                .thread
                .call(Transition::LinkTwin, |world| {
                    world.store.make_folder(&twin);
                    world.store.link(&from, &twin, &name)
                })
                .await?;
            if linked == Moved::Missing {
                let robbed = self.thread.with(|world| world.robbed.contains(key));
                if !robbed {
                    self.thread.with(|world| {
                        world.violate(|| format!("{} is not there to be kept", short_key(key)))
                    });
                }
                return Ok(self.fold.files().get(key).cloned());
            }
        }
        self.thread.with(|world| world.store.make_folder(&twin));
        if self.thread.with(|world| world.holds(Fence::TwinSync)) {
            self.thread
                .call(Transition::SyncTwin, |world| {
                    world.store.sync_folder(&twin);
                    world.store.sync_parent(Parent::Exchange);
                })
                .await?;
        }
        let names: Vec<String> = live.iter().map(short_key).collect();
        self.thread
            .call(Transition::Exchange, |world| {
                world.tell_of(me, || {
                    format!("exchanges a folder for one of [{}]", names.join(" "))
                });
                world.store.swap(&twin, &path);
                oracle::check_table(world);
                oracle::check_live(world);
            })
            .await?;
        if self.thread.with(|world| world.holds(Fence::ExchangeSync)) {
            self.thread
                .call(Transition::SyncExchange, |world| {
                    world.store.sync_parent(path.parent())
                })
                .await?;
        }
        self.fold.mark_published(&live);
        self.fold.mark_removed(&work.remove);
        for key in live.iter().filter(|key| !is_present(key)) {
            self.remove_staged(Transition::UnlinkStaged, &staged_slot(key), &file_name(key))
                .await?;
        }
        if live.is_empty() {
            self.durable_folders.remove(&path);
            self.thread
                .call(Transition::RemoveFolder, |world| world.store.remove_folder(&path))
                .await?;
        }
        Ok(None)
    }

    pub async fn remove_staged(
        &self,
        transition: Transition,
        slot: &Slot,
        name: &Name,
    ) -> Result<bool, Trouble> {
        let me = self.thread.me;
        self.thread
            .call(transition, |world| {
                let removed = world.store.remove(slot, name);
                if removed {
                    let Name::File(text) = name else {
                        unreachable!("a data file")
                    };
                    world.tell_of(me, || format!("deletes staged {}", crate::world::short(text)));
                    oracle::check_live(world);
                }
                removed
            })
            .await
    }

    /// Tidies away folders that were exchanged out of the table, when they are met for the second time.
    pub async fn remove_exchange_leftovers(&mut self) -> Result<(), Trouble> {
        let found: Vec<Slot> = self.thread.with(|world| {
            let slots = world.store.folders().map(|(slot, _)| slot.clone());
            slots.filter(|slot| slot.parent() == Parent::Exchange).collect()
        });
        if found.is_empty() {
            return Ok(());
        }
        let _lock = self.lock(LockKind::Exclusive).await?;
        self.refresh().await?;
        for slot in found {
            match &slot {
                Slot::Twin(id, set) => {
                    let retired = Slot::Retired(*id, *set);
                    self.thread
                        .call(Transition::RetireTwin, |world| {
                            world.store.rename_folder(&slot, &retired)
                        })
                        .await?;
                }
                Slot::Retired(..) => self.empty_twin(&slot).await?,
                _ => {}
            }
        }
        Ok(())
    }

    async fn empty_twin(&mut self, twin: &Slot) -> Result<(), Trouble> {
        for name in self
            .thread
            .with(|world| world.store.list(twin))
            .unwrap_or_default()
        {
            let key = self
                .fold
                .files()
                .keys()
                .find(|key| file_name(key) == name)
                .cloned();
            self.thread
                .call(Transition::EmptyTwin, |world| {
                    let stays = key.is_some_and(|key| {
                        let places = [table_slot(&key), staged_slot(&key)];
                        let held = places
                            .iter()
                            .find(|place| world.store.inode(place, &name).is_some());
                        if let Some(place) = held {
                            world.store.sync_folder(place);
                            world.store.sync_parent(place.parent());
                        }
                        held.is_none()
                    });
                    if !stays {
                        world.store.remove(twin, &name);
                    }
                })
                .await?;
        }
        self.thread.with(|world| world.store.remove_folder(twin));
        Ok(())
    }
}
