//! The protocol keeps its promises in seeded schedules, and breaks them when a rule is taken away.

use std::collections::BTreeSet;

use eventlake_model::choice::Choices;
use eventlake_model::explore::explore;
use eventlake_model::fence::{Fence, Worth};
use eventlake_model::schedule::run;
use eventlake_model::shrink::shrink;

/// Schedules from seed 1 that must keep every promise. The long form is a command: see the decision page.
const SCHEDULES: u64 = 3_000;

/// A seed for each fence whose schedule breaks a promise without it, as `eventlake-model --fences` finds them.
const BREAKS: &[(Fence, u64)] = &[
    (Fence::AppendFrom, 52),
    (Fence::AppendGeneration, 71),
    (Fence::ReplaceLive, 5),
    (Fence::GenerationOrdinal, 44),
    (Fence::GenerationResumes, 126),
    (Fence::ExclusiveCreate, 1),
    (Fence::LookAfterRead, 5),
    (Fence::LookAfterCreate, 1014),
    (Fence::FreshListing, 5),
    (Fence::BorrowedSync, 648),
    (Fence::ManifestFirst, 5),
    (Fence::StageSync, 1),
    (Fence::PlanKept, 3443),
    (Fence::PublishFold, 1058),
    (Fence::TableLock, 353),
    (Fence::ExchangeFolders, 1),
    (Fence::FinalBeforeReplace, 11),
    (Fence::TwinSync, 1),
    (Fence::LinkSync, 1183),
    (Fence::ExchangeSync, 1),
    (Fence::RemovalSync, 78069),
    (Fence::LostStagedFirst, 5),
    (Fence::LostFoldAfter, 5),
    (Fence::CleanFold, 611),
    (Fence::CleanManifestAfter, 57),
    (Fence::CleanAppend, 5),
    (Fence::CleanReplace, 5),
    (Fence::CleanNamed, 7),
    (Fence::SnapshotDurable, 226),
    (Fence::SnapshotRemovals, 10),
    (Fence::TopicIdAfter, 1),
    (Fence::TopicIdRewrite, 2181),
    (Fence::TopicIdLoss, 10866),
    (Fence::FreshTopicId, 63),
    (Fence::RewindIdle, 1171),
    (Fence::RewindKept, 6),
    (Fence::StartAtCheckpoint, 2),
    (Fence::DoubtGaps, 57),
    (Fence::DoubtReplaced, 39),
    (Fence::OutOfRange, 6),
    (Fence::EndOfPartition, 3),
];

#[test]
fn no_schedule_breaks_a_promise() {
    let explored = explore(1, SCHEDULES, None);
    if let Some((seed, ended)) = explored.broken {
        let small = shrink(ended, None, 500);
        panic!("seed {seed}:\n{}", small.story.join("\n"));
    }
    let lacking = explored.lacking(1, 0);
    assert!(lacking.is_empty(), "never came to pass: {lacking:?}");
}

#[test]
fn each_fence_taken_away_breaks_a_promise() {
    let mut useless = Vec::new();
    for (fence, seed) in BREAKS {
        let without = run(Choices::seeded(*seed), Some(*fence), false);
        let with = run(Choices::seeded(*seed), None, false);
        assert_eq!(
            with.violation, None,
            "seed {seed} breaks a promise with every rule in place"
        );
        if without.violation.is_none() {
            useless.push(fence.name());
        }
    }
    assert!(
        useless.is_empty(),
        "these break nothing at their seeds any more: {useless:?}; hint: where the model has changed, \
         `cargo run --release -p eventlake-model -- --fences` finds other seeds"
    );
}

#[test]
fn every_fence_has_a_counter_example() {
    let shown: BTreeSet<Fence> = BREAKS.iter().map(|(fence, _)| *fence).collect();
    let fences = Fence::ALL
        .iter()
        .copied()
        .filter(|fence| fence.worth() == Worth::Fence);
    assert_eq!(shown, fences.collect());
}

#[test]
fn a_counter_example_made_small_still_breaks_a_promise_and_can_be_replayed() {
    let (fence, seed) = BREAKS[0];
    let ended = run(Choices::seeded(seed), Some(fence), false);
    let before = ended.decisions.len();
    let small = shrink(ended, Some(fence), 300);
    assert!(small.violation.is_some());
    assert!(
        small.decisions.len() < before,
        "{} of {before} decisions left",
        small.decisions.len()
    );
    let again = run(Choices::replaying(small.decisions.clone()), Some(fence), true);
    assert_eq!((again.violation, again.story), (small.violation, small.story));
}
