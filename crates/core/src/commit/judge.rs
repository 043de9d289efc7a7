//! Which proposals are valid: a pure function of the commits before them.

use std::collections::{BTreeMap, BTreeSet};

use super::fold::{Fold, Generation};
use super::ids::GenerationOrdinal;
use super::record::{
    Append, Body, File, FileKey, FileSet, GenerationReason, OpenGeneration, PartitionAppend, PartitionStart,
    Replace, ReplaceReason,
};
use crate::position::{IntervalSet, Offset, OffsetRange, PartitionId};

/// Why a commit is void.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VoidReason {
    #[error("it belongs to generation {found}, the current one is {}", or_none(*current))]
    LateGeneration {
        current: Option<GenerationOrdinal>,
        found: GenerationOrdinal,
    },
    #[error("partition {partition} is taken from offset {from}, its checkpoint is {checkpoint}")]
    NotTheCheckpoint {
        partition: PartitionId,
        checkpoint: Offset,
        from: Offset,
    },
    #[error("partition {partition}: [{from}, {next}) takes nothing")]
    EmptyRange {
        partition: PartitionId,
        from: Offset,
        next: Offset,
    },
    #[error("partition {0} is named twice, or not in ascending order")]
    PartitionOrder(PartitionId),
    #[error("it takes no partition")]
    NoPartition,
    #[error("partition {partition}: what it counts adds up to {counted}, its range holds {range}")]
    CountsDiffer {
        partition: PartitionId,
        range: u64,
        counted: u128,
    },
    #[error("partition {partition}: the interval {interval} is outside of its range, or named twice")]
    IntervalMisplaced {
        partition: PartitionId,
        interval: OffsetRange,
    },
    #[error("partition {partition}: it counts {counted} {set} rows, its files hold {held}")]
    RowsDiffer {
        partition: PartitionId,
        set: FileSet,
        counted: u64,
        held: u64,
    },
    #[error("{0} is live already, or named twice")]
    FileRecurs(FileKey),
    #[error("{file} does not fit its commit: {fault}")]
    FileMisfits { file: FileKey, fault: &'static str },
    #[error("{0} is not live")]
    NotLive(FileKey),
    #[error("it removes nothing")]
    RemovesNothing,
    #[error(
        "{reason} keeps every row: partition {partition} had {removed} {set} rows and would have {added}"
    )]
    RowsNotKept {
        reason: ReplaceReason,
        partition: PartitionId,
        set: FileSet,
        removed: u64,
        added: u64,
    },
    #[error("a replay takes rejected files alone, and {0} is none")]
    ReplayTakesEvents(FileKey),
    #[error(
        "a replay keeps every record: partition {partition} of generation {generation} had {removed} rejected rows \
         and would have {added} rows of either set"
    )]
    RecordsNotKept {
        generation: GenerationOrdinal,
        partition: PartitionId,
        removed: u64,
        added: u64,
    },
    #[error("generation {found} is not the next one, {expected}")]
    NotTheNextGeneration {
        expected: GenerationOrdinal,
        found: GenerationOrdinal,
    },
    #[error("the reason {0} does not fit: {1}")]
    WrongReason(GenerationReason, &'static str),
    #[error("partition {partition} was left at offset {left} and would start at {}", or_none(*start))]
    NotResumed {
        partition: PartitionId,
        left: Offset,
        start: Option<Offset>,
    },
    #[error("partition {partition} cannot start at offset {from}")]
    BadStart { partition: PartitionId, from: Offset },
}

fn or_none<T: std::fmt::Display>(value: Option<T>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| value.to_string())
}

pub(super) fn body(fold: &Fold, body: &Body) -> Result<(), VoidReason> {
    match body {
        Body::Append(append) => judge_append(fold, append),
        Body::Replace(replace) => judge_replace(fold, replace),
        Body::Generation(opened) => judge_generation(fold, opened),
    }
}

fn judge_append(fold: &Fold, append: &Append) -> Result<(), VoidReason> {
    let current = fold
        .generation()
        .filter(|current| current.ordinal == append.generation);
    let Some(current) = current else {
        return Err(VoidReason::LateGeneration {
            current: fold.generation().map(|current| current.ordinal),
            found: append.generation,
        });
    };
    if append.partitions.is_empty() {
        return Err(VoidReason::NoPartition);
    }
    let mut ranges = BTreeMap::new();
    let mut last = None;
    for taken in &append.partitions {
        if last >= Some(taken.partition) {
            return Err(VoidReason::PartitionOrder(taken.partition));
        }
        last = Some(taken.partition);
        let checkpoint = current.next(taken.partition);
        if taken.from != checkpoint {
            return Err(VoidReason::NotTheCheckpoint {
                partition: taken.partition,
                checkpoint,
                from: taken.from,
            });
        }
        ranges.insert(taken.partition, judge_counts(taken)?);
    }
    judge_new_files(fold, &append.files, &BTreeSet::new())?;
    for file in &append.files {
        judge_appended_file(file, current, &ranges)?;
    }
    judge_rows(append)
}

/// The range of a partition whose counts add up.
fn judge_counts(taken: &PartitionAppend) -> Result<OffsetRange, VoidReason> {
    let partition = taken.partition;
    let range = taken.range().filter(|range| !range.is_empty());
    let Some(range) = range else {
        return Err(VoidReason::EmptyRange {
            partition,
            from: taken.from,
            next: taken.next,
        });
    };
    judge_intervals(taken, range)?;
    let counted = taken.counts().offsets();
    if counted != u128::from(range.count()) {
        return Err(VoidReason::CountsDiffer {
            partition,
            range: range.count(),
            counted,
        });
    }
    Ok(range)
}

/// The four interval sets lie within the range and share no offset.
fn judge_intervals(taken: &PartitionAppend, range: OffsetRange) -> Result<(), VoidReason> {
    let sets = [&taken.tombstones, &taken.filtered, &taken.absent, &taken.lost];
    let mut intervals: Vec<OffsetRange> = sets.into_iter().flat_map(IntervalSet::ranges).copied().collect();
    intervals.sort_unstable();
    let mut free_from = range.from();
    for interval in intervals {
        if interval.from() < free_from || interval.next() > range.next() {
            return Err(VoidReason::IntervalMisplaced {
                partition: taken.partition,
                interval,
            });
        }
        free_from = interval.next();
    }
    Ok(())
}

/// No file is live already, or named twice. (A path that was live once and is no longer cannot recur either: it carries
/// the id of its stage, and a stage is committed once. The fold need not remember every path there ever was.)
fn judge_new_files(fold: &Fold, files: &[File], removed: &BTreeSet<&FileKey>) -> Result<(), VoidReason> {
    let mut seen = BTreeSet::new();
    for file in files {
        let key = file.key();
        if fold.files.contains_key(&key) || removed.contains(&key) || !seen.insert(key.clone()) {
            return Err(VoidReason::FileRecurs(key));
        }
        judge_file(fold, file)?;
    }
    Ok(())
}

/// What a file says of itself agrees.
fn judge_file(fold: &Fold, file: &File) -> Result<(), VoidReason> {
    let misfit = |fault| {
        Err(VoidReason::FileMisfits {
            file: file.key(),
            fault,
        })
    };
    let generation = fold
        .generations
        .iter()
        .find(|generation| generation.ordinal == file.generation);
    let Some(generation) = generation else {
        return misfit("its generation was never opened");
    };
    if file.path.topic_id() != generation.topic_id.as_str() {
        return misfit("its name carries another topic id than its generation's");
    }
    if file.path.stage() != file.stage {
        return misfit("its name carries another stage");
    }
    if file.rows == 0 {
        return misfit("it holds no row");
    }
    if file
        .times
        .is_some_and(|times| times.max_micros < times.min_micros)
    {
        return misfit("its latest time is before its earliest");
    }
    let mut last = None;
    let mut rows = 0u128;
    for offsets in &file.offsets {
        let range = OffsetRange::new(offsets.from, offsets.next);
        if last >= Some(offsets.partition) {
            return misfit("its partitions are not in ascending order");
        }
        if offsets.rows == 0 || range.map_or(0, OffsetRange::count) < offsets.rows {
            return misfit("it claims more rows than offsets, or none");
        }
        last = Some(offsets.partition);
        rows += u128::from(offsets.rows);
    }
    if rows != u128::from(file.rows) {
        return misfit("its rows a partition do not add up to its rows");
    }
    Ok(())
}

fn judge_appended_file(
    file: &File,
    current: &Generation,
    ranges: &BTreeMap<PartitionId, OffsetRange>,
) -> Result<(), VoidReason> {
    let misfit = |fault| {
        Err(VoidReason::FileMisfits {
            file: file.key(),
            fault,
        })
    };
    if file.generation != current.ordinal {
        return misfit("it is of another generation");
    }
    for offsets in &file.offsets {
        let within = |range: &OffsetRange| range.from() <= offsets.from && offsets.next <= range.next();
        if !ranges.get(&offsets.partition).is_some_and(within) {
            return misfit("it holds offsets that the commit does not take");
        }
    }
    Ok(())
}

/// Each partition has as many accepted and rejected rows in the files as it counts.
fn judge_rows(append: &Append) -> Result<(), VoidReason> {
    let held = rows_by_partition(&append.files);
    for taken in &append.partitions {
        for (set, counted) in [
            (FileSet::Accepted, taken.accepted),
            (FileSet::Rejected, taken.rejected),
        ] {
            let key = (set, append.generation, taken.partition);
            let held = held.get(&key).copied().unwrap_or_default();
            if held != counted {
                return Err(VoidReason::RowsDiffer {
                    partition: taken.partition,
                    set,
                    counted,
                    held,
                });
            }
        }
    }
    Ok(())
}

type RowsByPartition = BTreeMap<(FileSet, GenerationOrdinal, PartitionId), u64>;

fn rows_by_partition<'a>(files: impl IntoIterator<Item = &'a File>) -> RowsByPartition {
    let mut rows = RowsByPartition::new();
    for file in files {
        for offsets in &file.offsets {
            let sum = rows
                .entry((file.set, file.generation, offsets.partition))
                .or_default();
            *sum = sum.saturating_add(offsets.rows);
        }
    }
    rows
}

fn judge_replace(fold: &Fold, replace: &Replace) -> Result<(), VoidReason> {
    if replace.removed.is_empty() {
        return Err(VoidReason::RemovesNothing);
    }
    let mut removed = BTreeSet::new();
    for key in &replace.removed {
        if !fold.files.contains_key(key) {
            return Err(VoidReason::NotLive(key.clone()));
        }
        if !removed.insert(key) {
            return Err(VoidReason::FileRecurs(key.clone()));
        }
    }
    judge_new_files(fold, &replace.files, &removed)?;
    match replace.reason {
        ReplaceReason::Compaction | ReplaceReason::Rewrite => judge_rows_kept(fold, replace),
        ReplaceReason::Replay => judge_records_kept(fold, replace),
        ReplaceReason::Retention | ReplaceReason::Erasure => Ok(()),
    }
}

/// A replay moves records from rejected to accepted: none goes, none is new, and no event is touched.
fn judge_records_kept(fold: &Fold, replace: &Replace) -> Result<(), VoidReason> {
    let event = replace.removed.iter().find(|key| key.set == FileSet::Accepted);
    if let Some(key) = event {
        return Err(VoidReason::ReplayTakesEvents(key.clone()));
    }
    let before = records_by_partition(replace.removed.iter().map(|key| &fold.files[key]));
    let after = records_by_partition(&replace.files);
    let keys: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    for key in keys {
        let (generation, partition) = *key;
        let removed = before.get(key).copied().unwrap_or_default();
        let added = after.get(key).copied().unwrap_or_default();
        if removed != added {
            return Err(VoidReason::RecordsNotKept {
                generation,
                partition,
                removed,
                added,
            });
        }
    }
    Ok(())
}

/// Rows by generation and partition, whichever set they are in.
fn records_by_partition<'a>(
    files: impl IntoIterator<Item = &'a File>,
) -> BTreeMap<(GenerationOrdinal, PartitionId), u64> {
    let mut records = BTreeMap::new();
    for ((_, generation, partition), rows) in rows_by_partition(files) {
        let sum: &mut u64 = records.entry((generation, partition)).or_default();
        *sum = sum.saturating_add(rows);
    }
    records
}

fn judge_rows_kept(fold: &Fold, replace: &Replace) -> Result<(), VoidReason> {
    let before = rows_by_partition(replace.removed.iter().map(|key| &fold.files[key]));
    let after = rows_by_partition(&replace.files);
    let keys: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    for key in keys {
        let (set, _, partition) = *key;
        let removed = before.get(key).copied().unwrap_or_default();
        let added = after.get(key).copied().unwrap_or_default();
        if removed != added {
            return Err(VoidReason::RowsNotKept {
                reason: replace.reason,
                partition,
                set,
                removed,
                added,
            });
        }
    }
    Ok(())
}

fn judge_generation(fold: &Fold, opened: &OpenGeneration) -> Result<(), VoidReason> {
    let expected = fold.generation().map_or(GenerationOrdinal(1), |current| {
        GenerationOrdinal(current.ordinal.0 + 1)
    });
    if opened.ordinal != expected {
        return Err(VoidReason::NotTheNextGeneration {
            expected,
            found: opened.ordinal,
        });
    }
    judge_generation_reason(fold, opened)?;
    let mut starts = BTreeMap::new();
    let mut last = None;
    for start in &opened.starts {
        let PartitionStart { partition, from } = *start;
        if last >= Some(partition) {
            return Err(VoidReason::PartitionOrder(partition));
        }
        if from < Offset::ZERO {
            return Err(VoidReason::BadStart { partition, from });
        }
        last = Some(partition);
        starts.insert(partition, from);
    }
    let resumes = opened.reason != GenerationReason::OffsetsReset;
    let before = fold.last_life(&opened.topic_id).filter(|_| resumes);
    for (partition, state) in before.iter().flat_map(|before| &before.partitions) {
        let start = starts.get(partition).copied();
        if start != Some(state.next) {
            return Err(VoidReason::NotResumed {
                partition: *partition,
                left: state.next,
                start,
            });
        }
    }
    Ok(())
}

fn judge_generation_reason(fold: &Fold, opened: &OpenGeneration) -> Result<(), VoidReason> {
    let wrong = |fault| Err(VoidReason::WrongReason(opened.reason, fault));
    match (opened.reason, fold.generation()) {
        (GenerationReason::FirstStart, None) => Ok(()),
        (GenerationReason::FirstStart, Some(_)) => wrong("there is a generation already"),
        (_, None) => wrong("there is no generation before it"),
        (GenerationReason::TopicRecreated, Some(current)) if current.topic_id == opened.topic_id => {
            wrong("the topic id is the current one's")
        }
        (GenerationReason::OffsetsReset, Some(current)) if current.topic_id != opened.topic_id => {
            wrong("the topic id is not the current one's")
        }
        (GenerationReason::OffsetsReset, Some(_)) if opened.after != Some(fold.number()) => {
            wrong("it was computed from another state of the log")
        }
        (GenerationReason::TopicRecreated | GenerationReason::OffsetsReset, Some(_)) => Ok(()),
    }
}
