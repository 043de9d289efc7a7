//! Cleaning, decided: which staged files may be deleted, judged from one fold begun after they were listed.

use std::collections::BTreeSet;

use super::fold::Fold;
use super::ids::StageId;
use super::manifest::{Manifest, StagePlan};
use super::record::FileSet;

/// Whether the commit that a stage waits for can still become valid, or has been.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StageFate {
    /// It may still be committed.
    Waiting,
    /// Whatever of it is not live by now never will be.
    Over,
}

/// What happens to one staged file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StagedFileFate {
    Keep,
    Delete,
    /// A valid commit names it. It stays until it has its final name; where it has, this is a second name of the file.
    Named,
}

/// `manifest` is None where none was found after the stage's files were listed. As a manifest is durable before the first
/// byte of a file and deleted after the last, such files are what a crash left of a finished stage.
#[must_use]
pub fn stage_fate(manifest: Option<&Manifest>, fold: &Fold) -> StageFate {
    manifest.map_or(StageFate::Over, |manifest| plan_fate(&manifest.plan, fold))
}

/// Whether the planned commit can still come true.
#[must_use]
pub fn plan_fate(plan: &StagePlan, fold: &Fold) -> StageFate {
    let over = match plan {
        StagePlan::Append { generation, from } => match fold.generation() {
            None => false,
            Some(current) if current.ordinal != *generation => current.ordinal > *generation,
            Some(current) => from
                .iter()
                .any(|start| current.next(start.partition) > start.from),
        },
        StagePlan::Replace { inputs, .. } => inputs.iter().any(|input| !fold.files().contains_key(input)),
    };
    if over { StageFate::Over } else { StageFate::Waiting }
}

/// `named` holds the live files of the stages at hand, by set and file name: see `names_of_stages`.
#[must_use]
pub fn file_fate(
    stage: StageFate,
    set: FileSet,
    file_name: &str,
    named: &BTreeSet<(FileSet, String)>,
) -> StagedFileFate {
    if named.contains(&(set, file_name.to_owned())) {
        return StagedFileFate::Named;
    }
    match stage {
        StageFate::Waiting => StagedFileFate::Keep,
        StageFate::Over => StagedFileFate::Delete,
    }
}

/// The live files that came out of these stages.
#[must_use]
pub fn names_of_stages(fold: &Fold, stages: &BTreeSet<StageId>) -> BTreeSet<(FileSet, String)> {
    if stages.is_empty() {
        return BTreeSet::new();
    }
    let ours = fold.files().values().filter(|file| stages.contains(&file.stage));
    ours.map(|file| (file.set, file.path.file_name().to_owned()))
        .collect()
}
