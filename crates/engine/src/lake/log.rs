//! A topic's log and table on disk: opening them, the fold, proposing commits.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32};

use eventlake_core::commit::{
    AttemptId, Body, Commit, CommitNumber, Fold, Manifest, Moment, ReplaceReason, StageFate, StageId,
    StagePlan, Verdict, VoidReason, WriterId, encode_record, plan_fate,
};
use eventlake_core::names::{LogPaths, TEMPORARY_SUFFIX, TableName, TopicName};

use super::clean::Cleaned;
use super::error::LakeError;
use super::follow::{Follower, Found};
use super::owner;
use super::roots::{LakePaths, Roots};
use super::site::Site;
use super::stage::Stage;
use super::store::{Created, Store};

/// One writer's handle on a topic's log and table. Any number of handles, in any number of processes, may be used at
/// the same time; the log alone decides between them.
#[derive(Debug)]
pub struct TopicLog {
    pub(super) store: Store,
    pub(super) paths: LogPaths,
    pub(super) roots: Roots,
    pub(super) topic: TopicName,
    pub(super) table: TableName,
    pub(super) writer: WriterId,
    pub(super) follower: Follower,
    /// The table's owner files are known to name this log.
    pub(super) owned: bool,
    /// Every file and removal up to this commit is known to be done on disk.
    pub(super) published_through: CommitNumber,
    /// Folders of the table whose own names this handle has made durable.
    pub(super) durable_folders: HashSet<PathBuf>,
    /// What the stages of this handle wait for.
    plans: BTreeMap<StageId, StagePlan>,
    /// A snapshot was written and what it makes superfluous is not deleted yet.
    pub(super) truncation_due: bool,
    /// What was deleted at the opening, for the next cleaning to tell.
    pub(super) tidied: Cleaned,
    /// A proposal whose reply was an error: it may stand in the log all the same.
    undecided: Option<Body>,
}

/// What became of a proposal. Where it did not come true, the caller's buffers go, later ones of their partitions too,
/// and reading goes on from the checkpoint of `TopicLog::fold`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is true.
    Committed { number: CommitNumber },
    /// The log already shows that it would be void, so it was not created.
    Refused { reason: VoidReason },
    /// It was created, and it is void.
    Void {
        number: CommitNumber,
        reason: VoidReason,
    },
    /// Its number was covered by a newer snapshot by the time it was created, so it is not in the log, or others have
    /// long built on it. The fold knows which.
    Dropped,
}

impl TopicLog {
    /// Opens a topic's log, creating the folders it needs.
    ///
    /// # Errors
    /// When the log is damaged, the table belongs to another log, or a folder cannot be written. In the first two cases
    /// nothing was changed on disk.
    pub fn open(
        paths: &LakePaths,
        topic: &TopicName,
        table: &TableName,
        writer: &WriterId,
    ) -> Result<TopicLog, LakeError> {
        TopicLog::open_with(Store::new(), paths, topic, table, writer)
    }

    /// As `open`, by a store of the caller's: for tests with faults.
    ///
    /// # Errors
    /// As `open`.
    pub fn open_with(
        store: Store,
        paths: &LakePaths,
        topic: &TopicName,
        table: &TableName,
        writer: &WriterId,
    ) -> Result<TopicLog, LakeError> {
        let log_paths = LogPaths::new(&paths.checkpoints, topic);
        let roots = Roots::new(paths, table);
        let follower = Follower::load(&store, &log_paths, topic)?;
        owner::check(&store, &roots, table, follower.fold())?;
        owner::prepare_roots(&store, &roots)?;
        store.create_folders(Site::SnapshotsFolder, &log_paths.snapshots())?;
        store.create_folders(Site::ManifestsFolder, &log_paths.staging())?;
        let mut log = TopicLog {
            store,
            paths: log_paths,
            roots,
            topic: topic.clone(),
            table: table.clone(),
            writer: writer.clone(),
            follower,
            owned: false,
            published_through: CommitNumber(0),
            durable_folders: HashSet::new(),
            plans: BTreeMap::new(),
            truncation_due: true,
            tidied: Cleaned::default(),
            undecided: None,
        };
        log.remove_temporaries()?;
        log.refresh()?;
        Ok(log)
    }

    /// A second handle on the same log, as if it had been opened now: it starts from what this one has read, and looks before
    /// it uses that, as every handle does. Reading the log anew would cost a start as much once more.
    #[must_use]
    pub fn another(&self) -> TopicLog {
        let mut follower = self.follower.clone();
        follower.unwatch();
        TopicLog {
            store: self.store.clone(),
            paths: self.paths.clone(),
            roots: self.roots.clone(),
            topic: self.topic.clone(),
            table: self.table.clone(),
            writer: self.writer.clone(),
            follower,
            owned: self.owned,
            published_through: self.published_through,
            durable_folders: self.durable_folders.clone(),
            plans: BTreeMap::new(),
            truncation_due: true,
            tidied: Cleaned::default(),
            undecided: None,
        }
    }

    #[must_use]
    pub fn topic(&self) -> &TopicName {
        &self.topic
    }

    #[must_use]
    pub fn table(&self) -> &TableName {
        &self.table
    }

    /// The fold of the log as of now: with every commit since the last call, and after the look.
    ///
    /// # Errors
    /// When the log cannot be read, or is damaged.
    pub fn fold(&mut self) -> Result<&Fold, LakeError> {
        self.refresh()?;
        Ok(self.follower.fold())
    }

    /// The fold as it was last seen: to show it, never to act on it.
    #[must_use]
    pub fn last_fold(&self) -> &Fold {
        self.follower.fold()
    }

    /// Makes known, durably, which files are about to be staged and for what; then they may be written.
    ///
    /// # Errors
    /// When the manifest cannot be written, or the table turns out to belong to another log.
    ///
    /// # Panics
    /// When the plan's generation was never opened.
    pub fn stage(&mut self, plan: StagePlan, now: Moment) -> Result<Stage, LakeError> {
        self.claim()?;
        let generation = plan.generation();
        let known = self
            .follower
            .fold()
            .generations()
            .iter()
            .find(|known| known.ordinal == generation);
        let topic_id = known
            .expect("a stage's generation was read from the fold")
            .topic_id
            .clone();
        self.plans
            .retain(|_, plan| plan_fate(plan, self.follower.fold()) == StageFate::Waiting);
        let id = StageId::from_u128(uuid::Uuid::now_v7().as_u128());
        self.plans.insert(id, plan.clone());
        let manifest = Manifest::new(
            id,
            self.topic.clone(),
            self.table.clone(),
            self.writer.clone(),
            now,
            plan,
        );
        let (bytes, _) = encode_record(&manifest);
        let path = self.paths.manifest(id);
        if self
            .store
            .create_exclusive(Site::Manifest, &path, &bytes, &self.paths.staging())?
            == Created::Taken
        {
            // No other stage has this id: a reply got lost.
            self.store
                .sync_folder(Site::ManifestSettled, &self.paths.staging())?;
        }
        Ok(Stage {
            store: self.store.clone(),
            roots: self.roots.clone(),
            table: self.table.clone(),
            id,
            generation,
            topic_id,
            sequence: AtomicU32::new(0),
            has_folder: [AtomicBool::new(false), AtomicBool::new(false)],
        })
    }

    /// Proposes a commit under the next free number until the log shows what became of it.
    ///
    /// # Errors
    /// When the disk refuses, or the log is damaged. Whether the commit stands is then unknown: calling again with the
    /// same body settles it, and so does going on from the checkpoint of the next `fold`.
    ///
    /// # Panics
    /// When the body names files that this handle did not stage, or does not do what their stage's plan said: such files
    /// might be deleted before their commit comes true.
    pub fn propose(&mut self, body: Body, now: Moment) -> Result<Outcome, LakeError> {
        self.check_plans(&body);
        if self.undecided.as_ref() != Some(&body) {
            self.undecided = None;
            self.follower.unwatch();
        }
        let outcome = self.try_to_commit(&body, now);
        match outcome {
            Ok(_) => {
                self.undecided = None;
                self.follower.unwatch();
                for file in body.files() {
                    self.plans.remove(&file.stage);
                }
            }
            Err(_) => self.undecided = Some(body),
        }
        outcome
    }

    fn check_plans(&self, body: &Body) {
        for file in body.files() {
            let plan = self.plans.get(&file.stage);
            let is_kept = plan.is_some_and(|plan| plan.is_kept_by(body));
            assert!(
                is_kept,
                "{} is committed otherwise than its stage planned: {plan:?}",
                file.key()
            );
        }
    }

    fn try_to_commit(&mut self, body: &Body, now: Moment) -> Result<Outcome, LakeError> {
        self.refresh()?;
        if self.replaces_unpublished(body) {
            self.publish()?;
        }
        loop {
            if let Some(found) = self.follower.found() {
                return Ok(outcome(found));
            }
            if let Verdict::Void(reason) = self.follower.fold().judge(body) {
                return Ok(Outcome::Refused { reason });
            }
            let created = self.create(body, now)?;
            // What stands at the number now, mine or another's, is read as anybody would read it.
            self.refresh()?;
            if created == Created::Created && self.follower.found().is_none() {
                return Ok(Outcome::Dropped);
            }
        }
    }

    /// A file that is replaced must have its final name, or whoever still holds it for live might publish it later. One
    /// that is written again has none to get.
    fn replaces_unpublished(&self, body: &Body) -> bool {
        let Body::Replace(replace) = body else {
            return false;
        };
        let unpublished = &self.follower.fold().unfinished().publish;
        replace.reason != ReplaceReason::Rewrite
            && replace.removed.iter().any(|key| unpublished.contains(key))
    }

    fn create(&mut self, body: &Body, now: Moment) -> Result<Created, LakeError> {
        let fold = self.follower.fold();
        let attempt = AttemptId::from_u128(uuid::Uuid::now_v7().as_u128());
        let commit = Commit {
            number: fold.number().following(),
            topic: self.topic.clone(),
            writer: self.writer.clone(),
            attempt,
            time: now,
            previous: fold.checksum(),
            body: body.clone(),
        };
        let (bytes, _) = encode_record(&commit);
        self.follower.watch(attempt);
        let path = self.paths.commit(commit.number);
        let created = self
            .store
            .create_exclusive(Site::Commit, &path, &bytes, &self.paths.staging());
        if !matches!(created, Ok(Created::Created)) {
            // It may stand there all the same, and nobody has made it durable.
            self.follower.distrust();
        }
        Ok(created?)
    }

    /// Continues the fold, looks, and makes what it rests on durable.
    pub(super) fn refresh(&mut self) -> Result<(), LakeError> {
        self.follower.catch_up()?;
        self.follower.settle()
    }

    /// Writes this log's name into the table's owner files, once it has one.
    pub(super) fn claim(&mut self) -> Result<(), LakeError> {
        if !self.owned && self.follower.fold().log().is_some() {
            owner::claim(&self.store, &self.roots, &self.table, self.follower.fold())?;
            self.owned = true;
        }
        Ok(())
    }

    fn remove_temporaries(&mut self) -> Result<(), LakeError> {
        let folders: Vec<PathBuf> = [self.paths.staging()]
            .into_iter()
            .chain(owner::staging_folders(&self.roots))
            .collect();
        for folder in folders {
            for entry in self.store.list(&folder)?.unwrap_or_default() {
                if !entry.name.ends_with(TEMPORARY_SUFFIX) || entry.is_folder {
                    continue;
                }
                let path = folder.join(entry.name);
                let bytes = self.store.length(&path)?.unwrap_or_default();
                if self.store.remove(Site::Temporary, &path)? {
                    self.tidied.temporaries += 1;
                    self.tidied.bytes += bytes;
                }
            }
        }
        Ok(())
    }
}

fn outcome(found: &Found) -> Outcome {
    match &found.verdict {
        Verdict::Valid => Outcome::Committed { number: found.number },
        Verdict::Void(reason) => Outcome::Void {
            number: found.number,
            reason: reason.clone(),
        },
    }
}
