//! The commit rule as a writer applies it: core's own fold, but for the rule that this run has taken away.

use eventlake_core::commit::{
    Body, ChainFault, Checksum, Commit, Fold, Generation, PartitionState, Verdict, VoidReason, WriterId,
};
use eventlake_core::position::{IntervalSet, Offset};

use crate::fence::Fence;
use crate::world::World;

/// Which fence makes a body void for this reason.
fn fence_of(reason: &VoidReason) -> Option<Fence> {
    match reason {
        VoidReason::NotTheCheckpoint { .. } => Some(Fence::AppendFrom),
        VoidReason::LateGeneration { .. } => Some(Fence::AppendGeneration),
        VoidReason::NotLive(_) => Some(Fence::ReplaceLive),
        VoidReason::NotTheNextGeneration { .. } => Some(Fence::GenerationOrdinal),
        VoidReason::NotResumed { .. } => Some(Fence::GenerationResumes),
        _ => None,
    }
}

pub fn judge(world: &World, fold: &Fold, body: &Body) -> Verdict {
    match fold.judge(body) {
        Verdict::Void(reason) if fence_of(&reason).is_some_and(|fence| !world.holds(fence)) => Verdict::Valid,
        verdict => verdict,
    }
}

pub fn apply(
    world: &World,
    fold: &mut Fold,
    commit: &Commit,
    checksum: Checksum,
) -> Result<Verdict, ChainFault> {
    let verdict = judge(world, fold, &commit.body);
    if verdict == Verdict::Valid && fold.judge(&commit.body) != Verdict::Valid {
        *fold = forced(fold, commit, checksum);
        return Ok(verdict);
    }
    let mut commit = commit.clone();
    if !world.holds(Fence::PreviousChecksum) {
        commit.previous = fold.checksum();
    }
    fold.apply(commit, checksum)
}

/// The fold as it were if a commit that core finds void had its effects: by way of a snapshot, whose members are open.
fn forced(fold: &Fold, commit: &Commit, checksum: Checksum) -> Fold {
    let writer = WriterId::new("forced").expect("a writer");
    let mut snapshot = fold.snapshot(&writer, commit.time);
    snapshot.number = commit.number;
    snapshot.commit_checksum = checksum;
    match &commit.body {
        Body::Append(append) => {
            let generations = snapshot.generations.to_mut();
            let meant = generations
                .iter_mut()
                .find(|known| known.ordinal == append.generation);
            if let Some(generation) = meant {
                for taken in &append.partitions {
                    let state =
                        generation
                            .partitions
                            .entry(taken.partition)
                            .or_insert_with(|| PartitionState {
                                start: Offset::ZERO,
                                next: Offset::ZERO,
                                leader_epoch: None,
                                counts: taken.counts(),
                                lost: IntervalSet::new(),
                            });
                    state.next = taken.next;
                }
            }
        }
        Body::Replace(replace) => {
            snapshot
                .files
                .retain(|file| !replace.removed.contains(&file.key()));
            let removed = replace.removed.iter().cloned().map(std::borrow::Cow::Owned);
            snapshot.unfinished_removals.extend(removed);
        }
        Body::Generation(opened) => {
            let states = opened.starts.iter().map(|start| {
                let state = PartitionState {
                    start: start.from,
                    next: start.from,
                    leader_epoch: None,
                    counts: eventlake_core::commit::Counts::default(),
                    lost: IntervalSet::new(),
                };
                (start.partition, state)
            });
            snapshot.generations.to_mut().push(Generation {
                ordinal: opened.ordinal,
                cluster_id: opened.cluster_id.clone(),
                topic_id: opened.topic_id.clone(),
                reason: opened.reason,
                opened: commit.number,
                partitions: states.collect(),
            });
        }
    }
    let added = commit
        .body
        .files()
        .iter()
        .filter(|file| !fold.files().contains_key(&file.key()));
    snapshot.files.extend(added.cloned().map(std::borrow::Cow::Owned));
    let mut forced = Fold::from_snapshot(snapshot);
    forced.inherit(fold);
    forced
}
