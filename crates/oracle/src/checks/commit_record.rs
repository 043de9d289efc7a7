//! Commits of a log: reading them, and folding whatever they propose.
//!
//! Input: a commit a line, without its checksum. Each is folded as it stands, and once more as if it had the number and
//! the predecessor that the fold expects, so that what it proposes is judged.

use eventlake_core::commit::{Body, Commit, CommitNumber, FileSet, Fold, SetTotals, Verdict, encode_record};

use super::record;

const COMMITS_MAX: usize = 12;

pub fn check(input: &[u8]) {
    let mut lines = input.split(|byte| *byte == b'\n').take(COMMITS_MAX);
    let mut fold = None;
    for line in &mut lines {
        let Some((commit, checksum)) = record::read::<Commit>(line) else {
            continue;
        };
        let fold: &mut Fold = fold.get_or_insert_with(|| Fold::empty(commit.topic.clone()));
        let before = fold.clone();
        if fold.apply(commit.clone(), checksum).is_err() {
            assert_eq!(
                *fold, before,
                "a commit that does not follow leaves the fold as it was"
            );
            apply_as_next(fold, commit);
        }
    }
    if let Some(fold) = fold {
        check_snapshot(&fold);
    }
}

/// Folds a commit as if it followed, and holds what became of it against its verdict.
///
/// # Panics
/// When the fold breaks one of its promises.
pub fn apply_as_next(fold: &mut Fold, commit: Commit) {
    let next = Commit {
        number: fold.number().following(),
        previous: fold.checksum(),
        topic: fold.topic().clone(),
        ..commit
    };
    let before = fold.clone();
    let body = next.body.clone();
    let judged = fold.judge(&body);
    let (number, checksum) = (next.number, encode_record(&next).1);
    let verdict = fold
        .apply(next, checksum)
        .expect("it has the number and the predecessor");
    assert_eq!(verdict, judged);
    assert_eq!((fold.number(), fold.checksum()), (number, checksum));
    match verdict {
        Verdict::Void(reason) => {
            assert!(!reason.to_string().contains('\n'));
            assert_eq!(fold.files(), before.files());
            assert_eq!(fold.generations(), before.generations());
            assert_eq!(fold.totals().appended, before.totals().appended);
        }
        Verdict::Valid => check_effects(&before, fold, &body),
    }
}

fn check_effects(before: &Fold, after: &Fold, body: &Body) {
    match body {
        Body::Append(append) => {
            for taken in &append.partitions {
                assert_eq!(before.next(taken.partition), taken.from);
                assert_eq!(after.next(taken.partition), taken.next);
            }
        }
        Body::Replace(replace) => {
            assert!(replace.removed.iter().all(|key| !after.files().contains_key(key)));
            assert_eq!(after.generations(), before.generations());
        }
        Body::Generation(opened) => {
            let current = after.generation().expect("it was just opened");
            assert_eq!(current.ordinal, opened.ordinal);
            assert_eq!(after.files(), before.files());
        }
    }
    assert!(
        body.files()
            .iter()
            .all(|file| after.files().contains_key(&file.key()))
    );
    for set in FileSet::ALL {
        let mut live = SetTotals::default();
        for file in after.files().values().filter(|file| file.set == set) {
            live.files += 1;
            live.rows = live.rows.wrapping_add(file.rows);
            live.bytes = live.bytes.wrapping_add(file.bytes);
        }
        assert_eq!(after.live(set), live);
    }
    assert!(after.judge(body) != Verdict::Valid, "nothing is taken twice");
}

/// Whoever goes on from a fold's snapshot has the same fold.
///
/// # Panics
/// When a snapshot loses something.
pub fn check_snapshot(fold: &Fold) {
    if fold.number() == CommitNumber(0) {
        return;
    }
    let writer = eventlake_core::commit::WriterId::new("check").expect("a writer");
    let time = eventlake_core::commit::Moment::from_unix_micros(0);
    let (bytes, _) = encode_record(&fold.snapshot(&writer, time));
    let json = bytes[..bytes.len() - 80].to_vec();
    let Some((snapshot, _)) = record::read::<eventlake_core::commit::Snapshot<'static>>(&json) else {
        panic!("a snapshot is not read: {}", String::from_utf8_lossy(&bytes));
    };
    assert_eq!(snapshot.fault(), None);
    let again = Fold::from_snapshot(snapshot);
    assert_eq!(again.generations(), fold.generations());
    assert_eq!(again.files(), fold.files());
    assert_eq!(again.totals(), fold.totals());
    assert_eq!(
        (again.number(), again.checksum()),
        (fold.number(), fold.checksum())
    );
    assert!(FileSet::ALL.iter().all(|set| again.live(*set) == fold.live(*set)));
}
