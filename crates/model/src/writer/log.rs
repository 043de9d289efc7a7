//! A writer's handle on the log, as the engine's `lake/log.rs` and `lake/follow.rs`: the fold, the look, proposing.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use eventlake_core::commit::{
    AttemptId, Body, Commit, CommitNumber, Fold, ReplaceReason, Snapshot, StageFate, StageId, StagePlan,
    Verdict, WriterId, decode_record, encode_record, plan_fate,
};

use super::rule;
use crate::coverage::{Situation, Transition};
use crate::fence::Fence;
use crate::task::{Thread, Trouble};
use crate::world::store::{Content, Created, LockKind, Name, Slot};
use crate::world::{DelayedPut, World, body_in_short, oracle};

/// What became of a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Committed { number: u64 },
    Refused,
    Void,
    Dropped,
}

/// One thread's handle.
pub struct Log {
    pub thread: Thread,
    pub fold: Fold,
    /// The snapshot that the fold rests on.
    pub base: u64,
    watched: BTreeSet<AttemptId>,
    found: Option<(u64, Verdict)>,
    borrowed: bool,
    pub published_through: CommitNumber,
    pub plans: BTreeMap<StageId, StagePlan>,
    pub truncation_due: bool,
    /// Folders of the table whose own names this handle has made durable.
    pub durable_folders: BTreeSet<Slot>,
    undecided: Option<Body>,
    pub writer: WriterId,
}

impl Log {
    #[must_use]
    pub fn new(thread: &Thread) -> Log {
        let (topic, name) =
            thread.with(|world| (world.topic.clone(), world.processes[thread.me].name.clone()));
        Log {
            thread: thread.clone(),
            fold: Fold::empty(topic),
            base: 0,
            watched: BTreeSet::new(),
            found: None,
            borrowed: false,
            published_through: CommitNumber(0),
            plans: BTreeMap::new(),
            truncation_due: true,
            durable_folders: BTreeSet::new(),
            undecided: None,
            writer: WriterId::new(&name).expect("a writer"),
        }
    }

    /// Continues the fold, looks, and makes what it rests on durable.
    pub async fn refresh(&mut self) -> Result<(), Trouble> {
        self.catch_up().await?;
        if self.borrowed {
            if self.thread.with(|world| world.holds(Fence::BorrowedSync)) {
                self.thread
                    .call(Transition::SyncLog, |world| world.store.sync_folder(&Slot::Log))
                    .await?;
            }
            self.borrowed = false;
        }
        let fold = &self.fold;
        self.thread.with(|world| oracle::check_fold(world, fold));
        Ok(())
    }

    async fn catch_up(&mut self) -> Result<(), Trouble> {
        loop {
            let damage = self.read_on().await?;
            if self.thread.with(|world| world.holds(Fence::LookAfterRead)) || self.fold.number().0 == 0 {
                let newest = self.snapshots().await?.last().copied().unwrap_or(0);
                let has_it_already = newest <= self.fold.number().0
                    && !self.thread.with(|world| world.holds(Fence::StartOver));
                if newest > self.base && !has_it_already {
                    self.start_over(newest).await?;
                    continue;
                }
                self.base = self.base.max(newest);
            }
            match damage {
                Some(fault) => {
                    self.thread
                        .with(|world| world.violate(|| format!("a reader finds the log damaged: {fault}")));
                    return Err(Trouble::Fatal(fault));
                }
                None => return Ok(()),
            }
        }
    }

    /// The numbers of the snapshots, ascending.
    pub async fn snapshots(&mut self) -> Result<Vec<u64>, Trouble> {
        let me = self.thread.me;
        let names = self
            .thread
            .call(Transition::Look, |world| {
                if world.holds(Fence::FreshListing) {
                    world.store.list(&Slot::Snapshots).unwrap_or_default()
                } else {
                    let World { store, choices, .. } = world;
                    store.list_past(&Slot::Snapshots, choices)
                }
            })
            .await?;
        let numbers: Vec<u64> = names
            .into_iter()
            .filter_map(|name| {
                if let Name::Number(number) = name {
                    Some(number)
                } else {
                    None
                }
            })
            .collect();
        self.thread.with(|world| {
            if let Some(created) = world.processes[me].created.take()
                && numbers.last().is_some_and(|newest| *newest >= created)
            {
                world.met(Situation::SnapshotBeforeLook);
            }
        });
        Ok(numbers)
    }

    /// What is wrong with the log, as far as can be told before the look.
    async fn read_on(&mut self) -> Result<Option<String>, Trouble> {
        loop {
            let number = self.fold.number().0 + 1;
            let read = self
                .thread
                .call(Transition::ReadCommit, |world| {
                    if number <= world.oracle.freed_to() && number > 1 {
                        world.met(Situation::FoldAcrossTruncation);
                    }
                    world.store.read(&Slot::Log, &Name::Number(number)).cloned()
                })
                .await?;
            let Some(Content::Commit(commit, checksum)) = read else {
                return Ok(None);
            };
            let verdict = self
                .thread
                .with(|world| rule::apply(world, &mut self.fold, &commit, checksum));
            let verdict = match verdict {
                Ok(verdict) => verdict,
                Err(fault) => return Ok(Some(fault.to_string())),
            };
            if !self.watched.contains(&commit.attempt) {
                self.borrowed = true;
            } else if self.found.is_none() {
                self.found = Some((number, verdict));
            }
        }
    }

    async fn start_over(&mut self, number: u64) -> Result<(), Trouble> {
        let read = self
            .thread
            .call(Transition::ReadSnapshot, |world| {
                world.store.read(&Slot::Snapshots, &Name::Number(number)).cloned()
            })
            .await?;
        let Some(Content::Snapshot(bytes)) = read else {
            return Ok(());
        };
        let (snapshot, _) = decode_record::<Snapshot<'_>>(&bytes).expect("a snapshot is written whole");
        let mut fold = Fold::from_snapshot(snapshot);
        fold.inherit(&self.fold);
        self.fold = fold;
        self.base = number;
        self.found = self.found.take().filter(|(found, _)| *found > number);
        self.borrowed = true;
        Ok(())
    }

    /// Announces what is about to be staged.
    pub async fn stage(&mut self, plan: StagePlan) -> Result<super::stage::Stage, Trouble> {
        self.plans
            .retain(|_, plan| plan_fate(plan, &self.fold) == StageFate::Waiting);
        let id = self.thread.with(World::next_stage);
        self.plans.insert(id, plan.clone());
        let stage = super::stage::Stage::new(self, id, plan);
        if self.thread.with(|world| world.holds(Fence::ManifestFirst)) {
            stage.announce().await?;
        }
        Ok(stage)
    }

    /// Proposes a commit until the log shows what became of it.
    pub async fn propose(&mut self, body: &Body) -> Result<Outcome, Trouble> {
        self.check_plans(body);
        if self.undecided.as_ref() != Some(body) {
            self.undecided = None;
            self.unwatch();
        }
        let outcome = Box::pin(self.try_to_commit(body)).await;
        match outcome {
            Ok(outcome) => {
                self.settle(body, outcome);
                self.undecided = None;
                self.unwatch();
                for file in body.files() {
                    self.plans.remove(&file.stage);
                }
            }
            Err(_) => self.undecided = Some(body.clone()),
        }
        outcome
    }

    fn unwatch(&mut self) {
        self.watched.clear();
        self.found = None;
    }

    fn settle(&self, body: &Body, outcome: Outcome) {
        let me = self.thread.me;
        let watched = &self.watched;
        self.thread.with(|world| {
            world.fired(match outcome {
                Outcome::Committed { .. } => Transition::Committed,
                Outcome::Refused => Transition::Refused,
                Outcome::Void => Transition::VoidCommit,
                Outcome::Dropped => Transition::Dropped,
            });
            if let Outcome::Committed { number } = outcome {
                oracle::check_acknowledged(world, number, watched);
                world.processes[me].unpublished.insert(number);
            } else {
                world.tell_of(me, || {
                    format!("is told {outcome:?} for the {}", body_in_short(body))
                });
            }
        });
    }

    /// A commit that does otherwise than its stage planned is a fault of the program, which the engine refuses.
    fn check_plans(&self, body: &Body) {
        if !self.thread.with(|world| world.holds(Fence::PlanKept)) {
            return;
        }
        for file in body.files() {
            let is_kept = self
                .plans
                .get(&file.stage)
                .is_some_and(|plan| plan.is_kept_by(body));
            assert!(is_kept, "{} is committed otherwise than planned", file.key());
        }
    }

    async fn try_to_commit(&mut self, body: &Body) -> Result<Outcome, Trouble> {
        self.refresh().await?;
        if self.replaces_unpublished(body) {
            self.thread.with(|world| world.met(Situation::ReplaceNotFinal));
            if self.thread.with(|world| world.holds(Fence::FinalBeforeReplace)) {
                self.publish_or_wait().await?;
            }
        }
        loop {
            if let Some((number, verdict)) = &self.found {
                return Ok(match verdict {
                    Verdict::Valid => Outcome::Committed { number: *number },
                    Verdict::Void(_) => Outcome::Void,
                });
            }
            if let Verdict::Void(_) = self.thread.with(|world| rule::judge(world, &self.fold, body))
                && self
                    .thread
                    .with(|world| world.holds(Fence::JudgeFirst) && !world.profile.careless)
            {
                return Ok(Outcome::Refused);
            }
            let created = self.create(body).await?;
            let number = self.fold.number().0 + 1;
            if created == Created::Created && !self.thread.with(|world| world.holds(Fence::LookAfterCreate)) {
                return Ok(Outcome::Committed { number });
            }
            self.refresh().await?;
            if created == Created::Created && self.found.is_none() {
                return Ok(Outcome::Dropped);
            }
        }
    }

    /// The publishing before a replace: files that are missing are for the next roll to see to.
    async fn publish_or_wait(&mut self) -> Result<(), Trouble> {
        match self.publish().await? {
            missing if missing.is_empty() => Ok(()),
            _ => Err(Trouble::NotNow),
        }
    }

    fn replaces_unpublished(&self, body: &Body) -> bool {
        let Body::Replace(replace) = body else {
            return false;
        };
        let unpublished = &self.fold.unfinished().publish;
        replace.reason != ReplaceReason::Rewrite
            && replace.removed.iter().any(|key| unpublished.contains(key))
    }

    async fn create(&mut self, body: &Body) -> Result<Created, Trouble> {
        let me = self.thread.me;
        let attempt = self.thread.with(World::next_attempt);
        let commit = Commit {
            number: self.fold.number().following(),
            topic: self.fold.topic().clone(),
            writer: self.writer.clone(),
            attempt,
            time: self.thread.with(|world| world.now()),
            previous: self.fold.checksum(),
            body: body.clone(),
        };
        let (_, checksum) = encode_record(&commit);
        let number = commit.number.0;
        if self.thread.with(|world| world.holds(Fence::AttemptKnown)) {
            self.watched.insert(attempt);
        }
        let content = Content::Commit(Rc::new(commit), checksum);
        // Its own commit is borrowed until it is known to be durable.
        self.borrowed = true;
        let created = self
            .thread
            .call(Transition::Create, |world| put(world, me, number, content))
            .await??;
        if created == Created::Taken {
            self.thread.with(|world| world.fired(Transition::CreateTaken));
            return Ok(created);
        }
        self.thread
            .call(Transition::SyncCreated, |world| {
                world.store.sync_folder(&Slot::Log)
            })
            .await?;
        self.borrowed = false;
        let lost = self.thread.with(|world| {
            world.processes[me].created = Some(number);
            let rate = world.profile.reply_lost;
            world.strikes(rate)
        });
        if lost {
            self.borrowed = true;
            self.thread.with(|world| {
                world.fired(Transition::ReplyLost);
                world.met(Situation::ReplyLostFound);
                world.tell_of(me, || format!("does not get the reply for commit {number}"));
            });
            return Err(Trouble::NotNow);
        }
        Ok(created)
    }

    /// Takes the table lock; it is given back when the guard is dropped, or the process dies.
    pub async fn lock(&self, kind: LockKind) -> Result<Locked, Trouble> {
        if !self.thread.with(|world| world.holds(Fence::TableLock)) {
            return Ok(Locked {
                thread: self.thread.clone(),
                id: None,
            });
        }
        self.thread.turn().await;
        if !self.thread.with(|world| world.store.may_lock(kind)) {
            self.thread.with(|world| {
                if kind == LockKind::Exclusive || !world.store.may_lock(LockKind::Shared) {
                    world.met(Situation::ExchangeBesidePublisher);
                }
            });
        }
        self.thread.until(move |world| world.store.may_lock(kind)).await;
        let transition = match kind {
            LockKind::Shared => Transition::LockShared,
            LockKind::Exclusive => Transition::LockExclusive,
        };
        let id = self.thread.with(|world| {
            world.fired(transition);
            world.store.lock(kind)
        });
        Ok(Locked {
            thread: self.thread.clone(),
            id: Some(id),
        })
    }
}

/// The put may be given up while it is under way.
fn put(world: &mut World, me: usize, number: u64, content: Content) -> Result<Created, Trouble> {
    let rate = world.profile.put_delayed;
    if world.strikes(rate) {
        world.fired(Transition::PutDelayed);
        world.tell_of(me, || {
            format!("gives up its put of commit {number}, which is still under way")
        });
        world.delayed.push(DelayedPut { number, content });
        return Err(Trouble::NotNow);
    }
    Ok(world.create_commit(Some(me), number, content))
}

/// A lock held.
pub struct Locked {
    thread: Thread,
    id: Option<u64>,
}

impl Drop for Locked {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.thread.with(|world| world.store.unlock(id));
        }
    }
}
