//! A committer's thread, as the engine's `ingest/committer.rs`: a sealed buffer becomes files, a commit, a table.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use eventlake_core::commit::{
    Append, Body, File, FileSet, GenerationOrdinal, PartitionStart, StagePlan, TopicId,
};
use eventlake_core::continuity::{Place, place};
use eventlake_core::position::{IntervalSet, Offset, OffsetRange, PartitionId};

use super::buffer::{Passed, empty_append};
use super::log::{Log, Outcome};
use super::stage::Stage;
use super::start::{Settled, identity, settle_generation, watermarks};
use crate::coverage::Situation;
use crate::fence::Fence;
use crate::task::{Thread, Trouble};
use crate::world::World;
use crate::world::store::Row;

#[derive(Debug)]
pub enum Job {
    Roll {
        id: u64,
        generation: GenerationOrdinal,
        sealed: Vec<Passed>,
    },
    Investigate {
        id: u64,
        partition: i32,
    },
}

#[derive(Clone, Debug)]
pub enum Report {
    Landed(u64),
    Rewind(u64),
    Generation(GenerationOrdinal),
    Failed(String),
}

/// The channels between a consumer's thread and its committer's.
#[derive(Debug, Default)]
pub struct Link {
    pub jobs: VecDeque<Job>,
    pub reports: VecDeque<Report>,
}

/// Why a job did not end as wished.
enum Setback {
    Rewind,
    Fatal(String),
}

/// Tries until it works, as the engine's `persist`.
macro_rules! persist {
    ($work:expr) => {
        loop {
            match $work.await {
                Ok(done) => break done,
                Err(Trouble::Fatal(why)) => return Err(Setback::Fatal(why)),
                Err(Trouble::NotNow) => {}
            }
        }
    };
}

pub struct Committer {
    pub log: Log,
    pub link: Rc<RefCell<Link>>,
}

impl Committer {
    pub async fn run(mut self) {
        let thread: Thread = self.log.thread.clone();
        let mut failed = false;
        loop {
            let (link, heard) = (Rc::clone(&self.link), thread.with(|world| world.ticks));
            thread
                .until(move |world| !link.borrow().jobs.is_empty() || world.ticks > heard)
                .await;
            let job = self.link.borrow_mut().jobs.pop_front();
            let report = match job {
                Some(Job::Roll {
                    id,
                    generation,
                    sealed,
                }) => Some(answer(id, self.land(generation, sealed).await)),
                Some(Job::Investigate { id, partition }) => {
                    Some(answer(id, self.investigate(partition).await))
                }
                None if failed => None,
                None => self.look().await,
            };
            if let Some(report) = report {
                failed |= matches!(report, Report::Failed(_));
                self.link.borrow_mut().reports.push_back(report);
            }
        }
    }

    /// What is done when there is nothing to land.
    async fn look(&mut self) -> Option<Report> {
        if settle_generation(&mut self.log).await.is_err() {
            return None;
        }
        match self.log.publish_all().await {
            Ok(()) | Err(Trouble::NotNow) => self
                .log
                .fold
                .generation()
                .map(|generation| Report::Generation(generation.ordinal)),
            Err(Trouble::Fatal(why)) => Some(Report::Failed(why)),
        }
    }

    async fn land(&mut self, generation: GenerationOrdinal, sealed: Vec<Passed>) -> Result<(), Setback> {
        note_lives(&self.log.thread, &sealed);
        let topic_id = self.topic_id_of(generation).await?;
        let files = self.write(generation, &sealed).await?;
        self.still_the_same(&topic_id).await?;
        let (partitions, files) = self.what_is_still_ours(&sealed, files);
        let taken: Vec<i32> = partitions.iter().map(|passed| passed.partition).collect();
        let partitions = partitions.iter().map(Passed::append).collect();
        self.commit(
            Body::Append(Append {
                generation,
                partitions,
                files,
            }),
            &taken,
        )
        .await?;
        self.tell_kafka(&sealed);
        persist!(self.log.publish_all());
        let _ = self.log.clean().await;
        let _ = self.log.snapshot().await;
        Ok(())
    }

    async fn topic_id_of(&mut self, generation: GenerationOrdinal) -> Result<TopicId, Setback> {
        persist!(self.log.refresh());
        let current = self
            .log
            .fold
            .generation()
            .filter(|current| current.ordinal == generation);
        current
            .map(|current| current.topic_id.clone())
            .ok_or(Setback::Rewind)
    }

    async fn write(
        &mut self,
        generation: GenerationOrdinal,
        sealed: &[Passed],
    ) -> Result<Vec<File>, Setback> {
        let groups = grouped(
            sealed,
            !self.log.thread.with(|world| world.holds(Fence::PlanKept)),
        );
        if groups.is_empty() {
            return Ok(Vec::new());
        }
        let from = sealed
            .iter()
            .map(|passed| PartitionStart {
                partition: PartitionId(passed.partition),
                from: Offset(passed.from),
            })
            .collect();
        let plan = StagePlan::Append { generation, from };
        let mut stage = persist!(self.log.stage(plan.clone()));
        Ok(persist!(write_all(&mut stage, &groups)))
    }

    async fn still_the_same(&mut self, topic_id: &TopicId) -> Result<(), Setback> {
        if !self.log.thread.with(|world| world.holds(Fence::TopicIdAfter)) {
            return Ok(());
        }
        if identity(&self.log.thread).await == *topic_id {
            return Ok(());
        }
        persist!(settle_generation(&mut self.log));
        Err(Setback::Rewind)
    }

    /// All that was sealed; in a run where a commit need not do what was planned, what the group has not taken away.
    fn what_is_still_ours(&self, sealed: &[Passed], files: Vec<File>) -> (Vec<Passed>, Vec<File>) {
        let me = self.log.thread.me;
        let ours: Vec<Passed> = self.log.thread.with(|world| {
            let is_ours = |passed: &&Passed| world.kafka.owners.get(&passed.partition) == Some(&me);
            if world.holds(Fence::PlanKept) {
                sealed.to_vec()
            } else {
                sealed.iter().filter(is_ours).cloned().collect()
            }
        });
        if ours.is_empty() || ours.len() == sealed.len() {
            return (sealed.to_vec(), files);
        }
        let is_ours = |file: &File| {
            let taken = |partition: i32| ours.iter().any(|passed| passed.partition == partition);
            file.offsets.iter().all(|offsets| taken(offsets.partition.0))
        };
        (ours.clone(), files.into_iter().filter(is_ours).collect())
    }

    async fn commit(&mut self, body: Body, taken: &[i32]) -> Result<(), Setback> {
        let outcome = persist!(self.log.propose(&body));
        if let Outcome::Committed { .. } = outcome {
            return Ok(());
        }
        let me = self.log.thread.me;
        self.log.thread.with(|world| {
            let kept = taken
                .iter()
                .filter(|partition| world.kafka.owners.get(partition) == Some(&me))
                .count();
            if kept > 0 && kept < taken.len() {
                world.met(Situation::RefusedHoldsKept);
            }
        });
        Err(Setback::Rewind)
    }

    fn tell_kafka(&self, sealed: &[Passed]) {
        self.log.thread.with(|world| {
            for passed in sealed {
                if world.choices.pick(2) == 0 {
                    world.kafka.committed.insert(passed.partition, passed.next);
                }
            }
        });
    }

    /// The position lies outside of its partition.
    async fn investigate(&mut self, partition: i32) -> Result<(), Setback> {
        if persist!(settle_generation(&mut self.log)) == Settled::Opened {
            return Err(Setback::Rewind);
        }
        persist!(self.log.refresh());
        let Some(generation) = self.log.fold.generation().cloned() else {
            return Err(Setback::Rewind);
        };
        let (low, end) = watermarks(&self.log.thread, partition).await;
        // The ends were those of the generation's topic if it is still the same one after they were told.
        if self.log.thread.with(|world| world.holds(Fence::TopicIdLoss)) {
            self.still_the_same(&generation.topic_id).await?;
        }
        let checkpoint = generation.next(PartitionId(partition));
        if let Place::Passed { low } = place(checkpoint, Offset(low), Offset(end)) {
            self.log
                .thread
                .with(|world| world.met(Situation::RetentionPassesPaused));
            let mut lost = IntervalSet::new();
            lost.push(OffsetRange::new(checkpoint, low).expect("retention passed the checkpoint"));
            let mut append = empty_append(partition, checkpoint.0, low.0);
            append.lost = lost;
            let body = Body::Append(Append {
                generation: generation.ordinal,
                partitions: vec![append],
                files: Vec::new(),
            });
            self.commit(body, &[partition]).await?;
        }
        Err(Setback::Rewind)
    }
}

fn answer(id: u64, done: Result<(), Setback>) -> Report {
    match done {
        Ok(()) => Report::Landed(id),
        Err(Setback::Rewind) => Report::Rewind(id),
        Err(Setback::Fatal(why)) => Report::Failed(why),
    }
}

type Groups = BTreeMap<(FileSet, u8, Option<i32>), Vec<Row>>;

/// The rows of each file to be.
fn grouped(sealed: &[Passed], by_partition: bool) -> Groups {
    let mut groups = Groups::new();
    for passed in sealed {
        let partition = by_partition.then_some(passed.partition);
        for (hour, row) in &passed.accepted {
            groups
                .entry((FileSet::Accepted, *hour, partition))
                .or_default()
                .push(*row);
        }
        for row in &passed.rejected {
            groups
                .entry((FileSet::Rejected, 0, partition))
                .or_default()
                .push(*row);
        }
    }
    groups
}

async fn write_all(stage: &mut Stage, groups: &Groups) -> Result<Vec<File>, Trouble> {
    stage.start_over().await?;
    let mut files = Vec::new();
    for ((set, hour, _), rows) in groups {
        files.push(stage.write(*set, *hour, rows.clone()).await?);
    }
    stage.sync().await?;
    Ok(files)
}

/// Notes the situations that a roll with records of several lives is.
fn note_lives(thread: &Thread, sealed: &[Passed]) {
    let lives: BTreeSet<usize> = sealed.iter().flat_map(Passed::lives).collect();
    thread.with(|world: &mut World| {
        if lives.len() > 1 {
            world.met(Situation::RecreatedInRoll);
        }
        if let (Some(first), Some(last)) = (lives.first(), lives.last())
            && (last - first >= 2 || (last > first && world.kafka.current() > *last))
        {
            world.met(Situation::RecreatedTwice);
        }
    });
}
