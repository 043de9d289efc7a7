//! Snapshots and truncation, as the engine's `lake/snapshot.rs`.

use std::rc::Rc;
use std::time::Duration;

use eventlake_core::commit::{CommitNumber, Truncation, encode_record, expired, snapshot_due, truncation};

use super::log::Log;
use crate::coverage::{Situation, Transition};
use crate::fence::Fence;
use crate::task::Trouble;
use crate::world::store::{Content, Name, Slot};

impl Log {
    /// Writes a snapshot if one is due, then deletes what it makes superfluous.
    pub async fn snapshot(&mut self) -> Result<(), Trouble> {
        self.refresh().await?;
        let (every, now) = self
            .thread
            .with(|world| (world.profile.snapshot_every, world.now()));
        if snapshot_due(self.fold.number(), Some(CommitNumber(self.base)), every) {
            let number = self.fold.number();
            let bytes = self.snapshot_bytes(now);
            let to_remove = !self.fold.unfinished().remove.is_empty();
            let me = self.thread.me;
            let durable = self.thread.with(|world| world.holds(Fence::SnapshotDurable));
            self.thread
                .call(Transition::WriteSnapshot, |world| {
                    if to_remove
                        && world
                            .store
                            .folders()
                            .any(|(slot, _)| matches!(slot, Slot::Twin(..)))
                    {
                        world.met(Situation::ExchangeHalfDone);
                    }
                    let content = Content::Snapshot(Rc::new(bytes));
                    world
                        .store
                        .create(&Slot::Snapshots, Name::Number(number.0), content, false);
                    world.tell_of(me, || format!("writes snapshot {number}"));
                    if durable {
                        world.store.sync_folder(&Slot::Snapshots);
                    }
                })
                .await?;
            self.base = self.base.max(number.0);
            self.truncation_due = true;
        }
        if self.truncation_due {
            if self.thread.with(|world| world.holds(Fence::SnapshotDurable)) {
                self.thread
                    .call(Transition::SyncSnapshots, |world| {
                        world.store.sync_folder(&Slot::Snapshots)
                    })
                    .await?;
            }
            self.truncate().await?;
            self.truncation_due = false;
        }
        Ok(())
    }

    fn snapshot_bytes(&self, now: eventlake_core::commit::Moment) -> Vec<u8> {
        let mut snapshot = self.fold.snapshot(&self.writer, now);
        if !self.thread.with(|world| world.holds(Fence::SnapshotRemovals)) {
            snapshot.unfinished_removals.clear();
        }
        encode_record(&snapshot).0
    }

    async fn truncate(&mut self) -> Result<(), Trouble> {
        let me = self.thread.me;
        let numbers: Vec<CommitNumber> = self.snapshots().await?.into_iter().map(CommitNumber).collect();
        let published_through = if self.thread.with(|world| world.holds(Fence::TruncatePublished)) {
            self.published_through
        } else {
            CommitNumber(u64::MAX)
        };
        let Truncation {
            commits_through,
            snapshots,
        } = truncation(&numbers, published_through);
        for number in snapshots {
            self.thread
                .call(Transition::RemoveSnapshot, |world| {
                    world.store.remove(&Slot::Snapshots, &Name::Number(number.0))
                })
                .await?;
        }
        let commits = self
            .thread
            .with(|world| world.store.list(&Slot::Log))
            .unwrap_or_default();
        for name in commits {
            let Name::Number(number) = name else { continue };
            if number > commits_through.0 {
                break;
            }
            let (retention, now) = self
                .thread
                .with(|world| (world.profile.log_retention, world.now()));
            let Some(Content::Commit(commit, _)) = self
                .thread
                .with(|world| world.store.read(&Slot::Log, &name).cloned())
            else {
                continue;
            };
            if !expired(commit.time, now, Duration::from_micros(retention)) {
                break;
            }
            self.thread
                .call(Transition::RemoveCommit, |world| {
                    world.store.remove(&Slot::Log, &name);
                    world.oracle.free(number);
                    world.tell_of(me, || format!("deletes commit {number}"));
                })
                .await?;
        }
        Ok(())
    }
}
