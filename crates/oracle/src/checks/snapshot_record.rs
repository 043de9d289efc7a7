//! Snapshots of a log: reading them, and folding commits after them.
//!
//! Input: a snapshot on the first line, then a commit a line, all without their checksums.

use eventlake_core::commit::{Commit, Fold, Snapshot};

use super::{commit_record, record};

const COMMITS_MAX: usize = 4;

pub fn check(input: &[u8]) {
    let mut lines = input.split(|byte| *byte == b'\n');
    let first = lines.next().expect("a split has a first part");
    let Some((snapshot, _)) = record::read::<Snapshot<'static>>(first) else {
        return;
    };
    if snapshot.fault().is_some() {
        return;
    }
    let mut fold = Fold::from_snapshot(snapshot);
    commit_record::check_snapshot(&fold);
    for line in lines.take(COMMITS_MAX) {
        if let Some((commit, _)) = record::read::<Commit>(line) {
            commit_record::apply_as_next(&mut fold, commit);
        }
    }
    commit_record::check_snapshot(&fold);
}
