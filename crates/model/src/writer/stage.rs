//! Staging, as the engine's `lake/stage.rs`: the manifest, then the files, all durable before the commit.

use std::rc::Rc;

use eventlake_core::commit::{
    Checksum, File, FileOffsets, FileSet, GenerationOrdinal, Manifest, SchemaVersion, StageId, StagePlan,
    TopicId,
};
use eventlake_core::names::FilePath;
use eventlake_core::position::{Offset, PartitionId};

use super::log::Log;
use crate::coverage::Transition;
use crate::fence::Fence;
use crate::task::{Thread, Trouble};
use crate::world::store::{Content, Name, Row, Slot};
use crate::world::{file_name, hour, short_key, staged_slot};

/// One set of files on its way into a commit.
pub struct Stage {
    thread: Thread,
    pub id: StageId,
    generation: GenerationOrdinal,
    topic_id: TopicId,
    plan: StagePlan,
    manifest: Rc<Manifest>,
    sequence: u32,
    used: [bool; 2],
}

impl Stage {
    pub(super) fn new(log: &Log, id: StageId, plan: StagePlan) -> Stage {
        let generation = plan.generation();
        let known = log
            .fold
            .generations()
            .iter()
            .find(|known| known.ordinal == generation);
        let topic_id = known
            .expect("a stage's generation was read from the fold")
            .topic_id
            .clone();
        let (topic, table, now) = log
            .thread
            .with(|world| (world.topic.clone(), world.table.clone(), world.now()));
        let manifest = Rc::new(Manifest::new(
            id,
            topic,
            table,
            log.writer.clone(),
            now,
            plan.clone(),
        ));
        Stage {
            thread: log.thread.clone(),
            id,
            generation,
            topic_id,
            plan,
            manifest,
            sequence: 0,
            used: [false, false],
        }
    }

    /// Makes the manifest durable.
    pub async fn announce(&self) -> Result<(), Trouble> {
        let (manifest, name) = (Content::Manifest(Rc::clone(&self.manifest)), Name::Stage(self.id));
        let (me, plan) = (self.thread.me, self.plan.clone());
        self.thread
            .step(Transition::WriteManifest, |world| {
                world.store.create(&Slot::Manifests, name, manifest, false);
                world.store.sync_folder(&Slot::Manifests);
                world.tell_of(me, || {
                    format!("announces stage f{}: {}", self.id.as_u128(), planned(&plan))
                });
            })
            .await;
        Ok(())
    }

    /// Writes one file of these rows, and makes its content durable.
    pub async fn write(&mut self, set: FileSet, in_hour: u8, rows: Vec<Row>) -> Result<File, Trouble> {
        let table = self.thread.with(|world| world.table.clone());
        let path = FilePath::new(&table, hour(in_hour), self.id, self.sequence, &self.topic_id);
        self.sequence += 1;
        self.used[set as usize] = true;
        let mut file = File {
            set,
            path,
            generation: self.generation,
            stage: self.id,
            bytes: rows.len() as u64,
            rows: rows.len() as u64,
            sha256: Checksum::NONE,
            offsets: offsets(&rows),
            times: None,
            schema_version: SchemaVersion::new("1").expect("a version"),
        };
        file.sha256 = Checksum::of(format!("{rows:?}").as_bytes());
        let key = file.key();
        let (slot, name) = (staged_slot(&key), file_name(&key));
        let me = self.thread.me;
        self.thread
            .call(Transition::WriteStaged, |world| {
                world.store.make_folder(&slot);
                world.store.sync_parent(slot.parent());
                world
                    .store
                    .create(&slot, name.clone(), Content::Rows(Rc::new(rows)), false);
                world.tell_of(me, || format!("stages {}", short_key(&key)));
            })
            .await?;
        if self.thread.with(|world| world.holds(Fence::StageSync)) {
            self.thread
                .call(Transition::SyncStaged, |world| {
                    world.store.sync_file(&slot, &name)
                })
                .await?;
        }
        Ok(file)
    }

    /// After files could not be written: the half-written ones go.
    pub async fn start_over(&mut self) -> Result<(), Trouble> {
        for set in FileSet::ALL {
            if !self.used[set as usize] {
                continue;
            }
            let slot = Slot::Stage(set, self.id);
            self.thread
                .call(Transition::StartStageOver, |world| {
                    for name in world.store.list(&slot).unwrap_or_default() {
                        world.store.remove(&slot, &name);
                    }
                })
                .await?;
        }
        Ok(())
    }

    /// Makes the names of all files durable; the last step before the commit.
    pub async fn sync(&self) -> Result<(), Trouble> {
        if !self.thread.with(|world| world.holds(Fence::ManifestFirst)) {
            self.announce().await?;
        }
        if !self.thread.with(|world| world.holds(Fence::StageSync)) {
            return Ok(());
        }
        for set in FileSet::ALL {
            if self.used[set as usize] {
                let slot = Slot::Stage(set, self.id);
                self.thread
                    .call(Transition::SyncStage, |world| world.store.sync_folder(&slot))
                    .await?;
            }
        }
        Ok(())
    }
}

fn planned(plan: &StagePlan) -> String {
    match plan {
        StagePlan::Append { from, .. } => {
            let starts: Vec<String> = from
                .iter()
                .map(|start| format!("p{} from {}", start.partition, start.from))
                .collect();
            format!("append {}", starts.join(" "))
        }
        StagePlan::Replace { inputs, .. } => {
            format!(
                "replace {}",
                inputs.iter().map(short_key).collect::<Vec<_>>().join(" ")
            )
        }
    }
}

/// What a file's rows are of, a partition ascending.
fn offsets(rows: &[Row]) -> Vec<FileOffsets> {
    let mut found: Vec<FileOffsets> = Vec::new();
    let mut sorted = rows.to_vec();
    sorted.sort_by_key(|row| (row.partition, row.offset));
    for row in sorted {
        let (partition, from, next) = (
            PartitionId(row.partition),
            Offset(row.offset),
            Offset(row.offset + 1),
        );
        match found.last_mut().filter(|last| last.partition == partition) {
            Some(last) => {
                last.next = next;
                last.rows += 1;
            }
            None => found.push(FileOffsets {
                partition,
                from,
                next,
                rows: 1,
            }),
        }
    }
    found
}
