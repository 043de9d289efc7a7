//! The commit behind a finding: the one that names its file, or that took its offsets.

use std::collections::BTreeMap;

use eventlake_core::commit::{CommitNumber, FileKey};

use super::log::PinnedLog;
use super::report::Finding;
use super::walk::walk;
use crate::lake::store::StoreError;

/// Fills in the commits that findings do not state yet.
pub(super) fn name_commits(log: &PinnedLog, findings: &mut [Finding]) -> Result<(), StoreError> {
    if findings.iter().all(|finding| finding.commit.is_some()) {
        return Ok(());
    }
    let wanted = findings.iter().filter(|finding| finding.commit.is_none());
    let mut by_file: BTreeMap<FileKey, Option<CommitNumber>> = wanted
        .flat_map(|finding| &finding.files)
        .map(|key| (key.clone(), None))
        .collect();
    if !by_file.is_empty() {
        for number in (1..=log.last_listed.0).rev().map(CommitNumber) {
            let Some(Ok((commit, _))) = log.commit(number)? else {
                continue;
            };
            for file in commit.body.files() {
                if let Some(named) = by_file.get_mut(&file.key()) {
                    *named = Some(number);
                }
            }
        }
    }
    for finding in findings.iter_mut().filter(|finding| finding.commit.is_none()) {
        finding.commit = finding
            .files
            .iter()
            .find_map(|key| by_file.get(key).copied().flatten());
    }
    walk(log, None, |append| {
        for taken in &append.append.taken {
            for finding in findings.iter_mut().filter(|finding| finding.commit.is_none()) {
                if took(log, finding, append.append.generation, taken) {
                    finding.commit = Some(append.append.number);
                }
            }
        }
    })?;
    Ok(())
}

/// Whether the append took the finding's first offset, or its file's where it has none.
fn took(
    log: &PinnedLog,
    finding: &Finding,
    generation: eventlake_core::commit::GenerationOrdinal,
    taken: &eventlake_core::commit::Taken,
) -> bool {
    let within = |offset| taken.from <= offset && offset < taken.next;
    match (finding.place, finding.offsets.first()) {
        (Some(place), Some(range)) => place == (generation, taken.partition) && within(range.from()),
        _ => {
            let files = finding.files.iter().filter_map(|key| log.fold.files().get(key));
            let mut offsets = files
                .filter(|file| file.generation == generation)
                .flat_map(|file| &file.offsets);
            offsets.any(|offsets| offsets.partition == taken.partition && within(offsets.from))
        }
    }
}
