//! The truth: what the log really says, by core's fold, and the promises that are held against it.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::rc::Rc;

use eventlake_core::commit::{
    Append, AttemptId, Body, Checksum, Commit, File, FileKey, FileSet, Fold, ReplaceReason, Verdict,
};
use eventlake_core::names::TopicName;
use eventlake_core::position::Offset;

use super::kafka::Entry;
use super::store::{Name, Row, Slot};
use super::{World, file_name, short, short_key, staged_slot, table_slot};
use crate::coverage::Transition;
use crate::writer::rule;

/// A commit as it was first created at its number, with what it made of the log.
#[derive(Clone, Debug)]
struct Told {
    commit: Rc<Commit>,
    checksum: Checksum,
    /// A digest of the fold after it.
    digest: u64,
}

#[derive(Clone, Debug)]
pub struct Oracle {
    pub fold: Fold,
    log: Vec<Told>,
    /// Every file that a valid commit ever named, by where it lies in the table.
    ever: BTreeMap<(Slot, Name), File>,
    /// What writers were told to have committed.
    acknowledged: Vec<(u64, AttemptId)>,
    freed: BTreeSet<u64>,
    /// What became of files that are live no longer.
    replaced: BTreeMap<FileKey, ReplaceReason>,
}

impl Oracle {
    #[must_use]
    pub fn new(topic: TopicName) -> Oracle {
        Oracle {
            fold: Fold::empty(topic),
            log: Vec::new(),
            ever: BTreeMap::new(),
            acknowledged: Vec::new(),
            freed: BTreeSet::new(),
            replaced: BTreeMap::new(),
        }
    }

    #[must_use]
    pub fn number(&self) -> u64 {
        self.fold.number().0
    }

    /// A commit was deleted: its number is free again.
    pub fn free(&mut self, number: u64) {
        self.freed.insert(number);
    }

    #[must_use]
    pub fn was_freed(&self, number: u64) -> bool {
        self.freed.contains(&number)
    }

    #[must_use]
    pub fn freed_to(&self) -> u64 {
        self.freed.last().copied().unwrap_or(0)
    }

    /// For what a file was taken out of the live ones.
    #[must_use]
    pub fn replaced_by(&self, key: &FileKey) -> Option<ReplaceReason> {
        self.replaced.get(key).copied()
    }

    fn told(&self, number: u64) -> Option<&Told> {
        self.log.get(usize::try_from(number).ok()?.checked_sub(1)?)
    }

    /// The name of a file that was live once.
    #[must_use]
    pub fn file_at(&self, slot: &Slot, name: &Name) -> Option<&File> {
        self.ever.get(&(slot.clone(), name.clone()))
    }
}

/// What two folds of one log must agree on.
#[must_use]
pub fn digest(fold: &Fold) -> u64 {
    let mut hasher = DefaultHasher::new();
    fold.checksum().to_string().hash(&mut hasher);
    for generation in fold.generations() {
        (generation.ordinal, &generation.topic_id).hash(&mut hasher);
        for (partition, state) in &generation.partitions {
            (partition, state.start, state.next).hash(&mut hasher);
        }
    }
    fold.files().keys().for_each(|key| key.hash(&mut hasher));
    hasher.finish()
}

/// A commit's file was created.
pub fn on_created(world: &mut World, number: u64, commit: &Rc<Commit>, checksum: Checksum) {
    if number != world.oracle.number() + 1 {
        return;
    }
    apply(world, commit, checksum);
}

fn apply(world: &mut World, commit: &Rc<Commit>, checksum: Checksum) {
    let number = commit.number;
    let mut fold = world.oracle.fold.clone();
    let verdict = rule::apply(world, &mut fold, commit, checksum);
    world.oracle.fold = fold;
    match verdict {
        Ok(Verdict::Valid) => {
            for file in commit.body.files() {
                let key = file.key();
                world
                    .oracle
                    .ever
                    .insert((table_slot(&key), file_name(&key)), file.clone());
            }
            match &commit.body {
                Body::Append(append) => check_append(world, append),
                Body::Replace(replace) => {
                    let transition = match replace.reason {
                        ReplaceReason::Compaction => Transition::CompactionValid,
                        ReplaceReason::Replay => Transition::ReplayValid,
                        ReplaceReason::Retention | ReplaceReason::Erasure => Transition::RetentionValid,
                        ReplaceReason::Rewrite => Transition::RewriteValid,
                    };
                    world.fired(transition);
                    let removed = replace.removed.iter().map(|key| (key.clone(), replace.reason));
                    world.oracle.replaced.extend(removed);
                    check_added(world, &replace.files);
                }
                Body::Generation(_) => world.fired(Transition::GenerationValid),
            }
        }
        Ok(Verdict::Void(reason)) => world.tell(|| format!("  (commit {number} is void: {reason})")),
        Err(fault) => world.violate(|| format!("commit {number} does not follow the log: {fault}")),
    }
    let digest = digest(&world.oracle.fold);
    let (commit, checksum) = (Rc::clone(commit), checksum);
    world.oracle.log.push(Told {
        commit,
        checksum,
        digest,
    });
    check_live(world);
}

/// The rows that a file holds under whichever name it has.
fn rows_of(world: &World, key: &FileKey) -> Option<Rc<Vec<Row>>> {
    let name = file_name(key);
    let staged = world.store.rows(&staged_slot(key), &name);
    staged.or_else(|| world.store.rows(&table_slot(key), &name))
}

/// Every offset of the append is accounted for as what Kafka really had there, in the generation's life of the topic.
fn check_append(world: &mut World, append: &Append) {
    world.fired(Transition::AppendValid);
    check_added(world, &append.files);
    let generations = world.oracle.fold.generations();
    let Some(generation) = generations
        .iter()
        .find(|known| known.ordinal == append.generation)
    else {
        return;
    };
    let Some(life) = world.kafka.life_of(&generation.topic_id) else {
        return;
    };
    let mut rows: BTreeMap<(i32, i64), FileSet> = BTreeMap::new();
    for file in &append.files {
        for row in rows_of(world, &file.key()).iter().flat_map(|rows| rows.iter()) {
            rows.insert((row.partition, row.offset), file.set);
        }
    }
    for taken in &append.partitions {
        let partition = taken.partition.0;
        for offset in taken.from.0..taken.next.0 {
            let entry = world.kafka.lives[life].at(partition, offset);
            let is_gone = life < world.kafka.current() || offset < world.kafka.lives[life].low(partition);
            let fits = if taken.lost.contains(Offset(offset)) {
                is_gone && entry.is_some()
            } else if taken.absent.contains(Offset(offset)) {
                entry == Some(Entry::Control)
            } else if taken.tombstones.contains(Offset(offset)) {
                entry == Some(Entry::Tombstone)
            } else {
                match rows.get(&(partition, offset)) {
                    Some(FileSet::Accepted) => matches!(entry, Some(Entry::Event { .. })),
                    Some(FileSet::Rejected) => entry == Some(Entry::Refused),
                    None => false,
                }
            };
            if !fits {
                world.violate(|| {
                    format!(
                        "a valid append accounts for offset {offset} of partition {partition} otherwise than life {life} \
                         of the topic has it ({entry:?})"
                    )
                });
            }
        }
    }
}

/// Files that became live hold what they say, of the life that they say.
fn check_added(world: &mut World, files: &[File]) {
    for file in files {
        let key = file.key();
        let Some(rows) = rows_of(world, &key) else {
            if !world.robbed.contains(&key) {
                world.violate(|| format!("{} is live and its file is gone or torn", short_key(&key)));
            }
            continue;
        };
        let generations = world.oracle.fold.generations();
        let generation = generations.iter().find(|known| known.ordinal == file.generation);
        let life = generation.and_then(|generation| world.kafka.life_of(&generation.topic_id));
        if let Some(row) = rows.iter().find(|row| Some(row.life) != life) {
            let row = *row;
            world.violate(|| {
                format!(
                    "{} holds a record of life {} as one of life {life:?} of the topic",
                    short_key(&key),
                    row.life
                )
            });
        }
        if rows.len() as u64 != file.rows {
            world.violate(|| format!("{} holds other rows than its commit says", short_key(&key)));
        }
    }
}

/// Every live file is there, under one name at least.
pub fn check_live(world: &mut World) {
    let gone = world
        .oracle
        .fold
        .files()
        .keys()
        .find(|key| !world.robbed.contains(*key) && rows_of(world, key).is_none());
    if let Some(key) = gone.cloned() {
        world.violate(|| format!("{} is live and its file is gone or torn", short_key(&key)));
    }
}

/// What a reader's glob sees at this instant: no row twice, none that was not committed, no torn file.
pub fn check_table(world: &mut World) {
    let mut seen: BTreeSet<(FileSet, Row)> = BTreeSet::new();
    let mut fault = None;
    for (slot, names) in world.store.folders() {
        let Slot::Table(folder) = slot else { continue };
        for name in names {
            let Name::File(text) = name else { continue };
            let Some(rows) = world.store.rows(slot, name) else {
                fault = Some(format!("a reader finds {} torn", short(text)));
                continue;
            };
            if world.oracle.file_at(slot, name).is_none() {
                fault = Some(format!(
                    "a reader finds {}, which no valid commit names",
                    short(text)
                ));
            }
            for row in rows.iter() {
                if !seen.insert((folder.set, *row)) {
                    fault = Some(format!(
                        "a reader finds offset {} of partition {} twice",
                        row.offset, row.partition
                    ));
                }
            }
        }
    }
    if let Some(fault) = fault {
        world.violate(|| fault);
    }
}

/// A reader is about to use its fold: it says what the log says.
pub fn check_fold(world: &mut World, fold: &Fold) {
    let number = fold.number().0;
    if number == 0 {
        return;
    }
    let agrees = world
        .oracle
        .told(number)
        .is_some_and(|told| told.digest == digest(fold));
    if !agrees {
        world.violate(|| {
            format!("a fold that was looked after says otherwise than the log after commit {number}")
        });
    }
}

/// A writer is told that its proposal is true.
pub fn check_acknowledged(world: &mut World, number: u64, attempts: &BTreeSet<AttemptId>) {
    let told = world.oracle.told(number).map(|told| told.commit.attempt);
    match told.filter(|attempt| attempts.contains(attempt)) {
        Some(attempt) => world.oracle.acknowledged.push((number, attempt)),
        None => world
            .violate(|| format!("a writer takes commit {number} for its own, and the log has another there")),
    }
}

/// The power came back: the log is what a reader who starts now finds. Nothing that was told may be missing.
pub fn on_power_cut(world: &mut World) {
    let numbers = |slot| -> BTreeSet<u64> {
        let names = world.store.list(&slot).unwrap_or_default();
        names
            .into_iter()
            .filter_map(|name| {
                if let Name::Number(number) = name {
                    Some(number)
                } else {
                    None
                }
            })
            .collect()
    };
    let (commits, snapshots) = (numbers(Slot::Log), numbers(Slot::Snapshots));
    let mut last = snapshots.last().copied().unwrap_or(0);
    while commits.contains(&(last + 1)) {
        last += 1;
    }
    if let Some(beyond) = commits.last().filter(|number| **number > last) {
        world.violate(|| {
            format!(
                "after a power cut commit {} is missing and commit {beyond} is there",
                last + 1
            )
        });
    }
    let lost = world
        .oracle
        .acknowledged
        .iter()
        .find(|(number, _)| *number > last)
        .copied();
    if let Some((number, _)) = lost {
        world.violate(|| format!("a power cut took commit {number}, which its writer was told"));
    }
    if last < world.oracle.number() {
        let kept = world.oracle.log[..usize::try_from(last).expect("few commits")].to_vec();
        let mut fold = Fold::empty(world.topic.clone());
        world.oracle.ever.clear();
        for told in &kept {
            if rule::apply(world, &mut fold, &told.commit, told.checksum) == Ok(Verdict::Valid) {
                for file in told.commit.body.files() {
                    let key = file.key();
                    world
                        .oracle
                        .ever
                        .insert((table_slot(&key), file_name(&key)), file.clone());
                }
            }
        }
        world.oracle.fold = fold;
        world.oracle.log = kept;
    }
    check_table(world);
    check_live(world);
}

/// After the faults have stopped and everybody had time: why the lake is not what Kafka has, if so.
#[must_use]
pub fn unsettled(world: &World) -> Option<String> {
    let fold = &world.oracle.fold;
    let life = world.kafka.life();
    let Some(generation) = fold.generation() else {
        return Some("no generation was opened".to_owned());
    };
    if generation.topic_id != life.id {
        return Some("the generation is not that of the topic that is there".to_owned());
    }
    for partition in world.kafka.partitions() {
        let next = fold.next(eventlake_core::position::PartitionId(partition)).0;
        if next != life.end(partition) {
            return Some(format!(
                "the checkpoint of partition {partition} is {next}, its end {}",
                life.end(partition)
            ));
        }
    }
    let mut visible = BTreeSet::new();
    for (slot, names) in world
        .store
        .folders()
        .filter(|(slot, _)| matches!(slot, Slot::Table(_)))
    {
        for name in names {
            match world.oracle.file_at(slot, name).map(File::key) {
                Some(key) if fold.files().contains_key(&key) => {
                    visible.insert(key);
                }
                _ => return Some(format!("the table holds {name:?}, which is not live")),
            }
        }
    }
    let hidden = fold
        .files()
        .keys()
        .find(|key| !visible.contains(*key) && !world.robbed.contains(*key));
    hidden.map(|key| format!("{} is live and not in the table", short_key(key)))
}
