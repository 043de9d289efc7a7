//! The records beside a log, manifests of staged files and owners of tables, and what is decided by them.

use eventlake_core::commit::{Body, Commit, Manifest, Owner};

use super::record;

/// Input: a record on the first line, a commit on the second, both without their checksums.
pub fn check(input: &[u8]) {
    let mut lines = input.splitn(2, |byte| *byte == b'\n');
    let first = lines.next().expect("a split has a first part");
    let _ = record::read::<Owner>(first);
    let Some((manifest, _)) = record::read::<Manifest>(first) else {
        return;
    };
    let Some((commit, _)) = record::read::<Commit>(lines.next().unwrap_or_default()) else {
        return;
    };
    if manifest.plan.is_kept_by(&commit.body) {
        match &commit.body {
            Body::Append(append) => assert_eq!(append.generation, manifest.plan.generation()),
            Body::Replace(replace) => assert!(!replace.removed.is_empty()),
            Body::Generation(_) => panic!("no stage waits for a generation"),
        }
    }
}
