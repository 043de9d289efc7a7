//! Snapshots, deleted commits, and folds kept in memory across both.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use eventlake_core::commit::{CommitNumber, Counts, Fold, Snapshot, decode_record, encode_record};
use eventlake_core::position::{Offset, PartitionId};

use super::super::access::{Call, Moment};
use super::super::store::Store;
use super::super::{Outcome, SnapshotPolicy, read_fold};
use super::support::{Lake, OFTEN, append, later, now, roll, stage_append, topic};

#[test]
fn only_published_commits_older_than_the_retention_are_deleted() {
    let lake = Lake::opened();
    let mut log = lake.writer();
    for _ in 0..8 {
        append(&mut log, 2).expect("appended");
    }
    let every = |every| SnapshotPolicy {
        every,
        log_retention: Duration::ZERO,
    };
    log.snapshot(&every(4), later()).expect("a snapshot");
    append(&mut log, 2).expect("appended");
    let done = log.snapshot(&every(1), later()).expect("a snapshot");
    assert_eq!(
        (done.written, done.commits_deleted),
        (Some(CommitNumber(10)), 0),
        "nothing is published"
    );
    log.publish().expect("published");
    append(&mut log, 2).expect("appended");
    let keep = SnapshotPolicy {
        every: 1,
        log_retention: Duration::from_secs(1),
    };
    let done = log.snapshot(&keep, later()).expect("a snapshot");
    assert_eq!(
        (done.written, done.commits_deleted),
        (Some(CommitNumber(11)), 0),
        "all are too young"
    );
    log.publish().expect("published");
    append(&mut log, 2).expect("appended");
    let done = log.snapshot(&every(1), later()).expect("a snapshot");
    // The snapshots 11 and 12 stay; so do the commits that the older one does not hold.
    assert_eq!((done.commits_deleted, done.snapshots_deleted), (11, 1));
    assert!(lake.commit_path(12).exists() && !lake.commit_path(11).exists());
    lake.assert_exact();
}

/// The account that should speak of the commits is damaged: they stay, and nothing that they said is lost.
#[test]
fn commits_are_not_deleted_on_the_strength_of_a_damaged_account() {
    let lake = Lake::opened();
    let mut log = lake.writer();
    let every = SnapshotPolicy {
        every: 1,
        log_retention: Duration::ZERO,
    };
    let accounts = lake.log_folder().join("accounts");
    std::fs::create_dir_all(&accounts).expect("created");
    let damaged = accounts.join("00000000000000000001-00000000000000000002.json");
    std::fs::write(&damaged, b"{\"format\":1").expect("written");
    for _ in 0..2 {
        append(&mut log, 2).expect("appended");
        log.publish().expect("published");
        log.snapshot(&every, later()).expect("a snapshot");
    }
    assert!(
        lake.commit_path(1).exists() && lake.commit_path(2).exists(),
        "they stay"
    );
    // Put aside, the next truncation writes it anew.
    std::fs::remove_file(&damaged).expect("removed");
    append(&mut log, 2).expect("appended");
    log.publish().expect("published");
    let done = log.snapshot(&every, later()).expect("a snapshot");
    assert_eq!(done.commits_deleted, 3);
    assert!(!lake.commit_path(2).exists());
    lake.assert_exact();
}

#[test]
fn a_kept_fold_never_brings_a_freed_number_back_to_life() {
    let lake = Lake::opened();
    let mut stale = lake.writer();
    let mut other = lake.writer();
    for _ in 0..20 {
        roll(&mut other, 1).expect("rolled");
    }
    assert!(!lake.commit_path(2).exists(), "freed");
    assert_eq!(stale.last_fold().number(), CommitNumber(1));
    let outcome = append(&mut stale, 5).expect("appended");
    assert_eq!(
        outcome,
        Outcome::Committed {
            number: CommitNumber(22)
        }
    );
    assert!(!lake.commit_path(2).exists());
    lake.assert_exact();
}

#[test]
fn a_freed_number_created_in_between_counts_as_dropped() {
    let lake = Arc::new(Lake::opened());
    let (inner, other) = (Arc::clone(&lake), Mutex::new(lake.writer()));
    // Between the look of the slow writer and its create, another goes on for long and truncates.
    let faults = super::support::Once {
        call: Call::Link,
        around: Moment::Before,
        path_ends: "00000000000000000002.json",
        run: move || {
            let mut other = other.lock().expect("unpoisoned");
            // Its own first create is of the same number, by a store without faults.
            for _ in 0..20 {
                roll(&mut other, 1).expect("rolled");
            }
            assert!(!inner.commit_path(2).exists(), "freed");
            Ok(())
        },
        armed: AtomicBool::new(true),
    };
    let mut slow = lake
        .try_writer(Store::with_faults(Arc::new(faults)))
        .expect("opened");
    let body = stage_append(&mut slow, &[(0, 0, 7)]).expect("staged");
    assert_eq!(slow.propose(body, now()).expect("settled"), Outcome::Dropped);
    assert!(
        lake.commit_path(2).exists(),
        "it was created, in a place that no fold reads"
    );
    assert_eq!(slow.fold().expect("a fold").next(PartitionId(0)).0, 20);
    lake.assert_exact();
    let mut heir = lake.writer();
    heir.clean().expect("cleaned");
    assert_eq!(
        lake.leftovers(),
        Vec::<std::path::PathBuf>::new(),
        "its files are over"
    );
    roll(&mut heir, 1).expect("rolled");
    assert_eq!(
        roll(&mut slow, 1).expect("rolled"),
        Outcome::Committed {
            number: CommitNumber(23)
        }
    );
    for _ in 0..6 {
        roll(&mut heir, 1).expect("rolled");
    }
    assert!(!lake.commit_path(2).exists(), "the next truncation takes it");
    lake.assert_exact();
}

#[test]
fn a_snapshot_after_truncation_gives_the_same_fold_as_the_whole_log() {
    let (whole, short) = (Lake::opened(), Lake::opened());
    let (mut with_all, mut truncated) = (whole.writer(), short.writer());
    for _ in 0..10 {
        append(&mut with_all, 3).expect("appended");
        append(&mut truncated, 3).expect("appended");
        truncated.publish().expect("published");
        truncated.snapshot(&OFTEN, later()).expect("a snapshot");
    }
    let counts = |fold: &Fold| {
        (
            fold.number(),
            fold.totals().clone(),
            fold.generations().to_vec(),
            fold.files().len(),
        )
    };
    let fresh = read_fold(&short.paths.checkpoints, &topic())
        .expect("a fold")
        .expect("a log");
    assert_eq!(counts(&fresh), counts(with_all.fold().expect("a fold")));
    assert_eq!(fresh.checksum(), truncated.fold().expect("a fold").checksum());
}

/// What this thread has used of a processor: other tests run beside it.
fn cpu_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("linux");
    Duration::from_nanos(
        text.split(' ')
            .next()
            .and_then(|nanos| nanos.parse().ok())
            .expect("a number"),
    )
}

/// The figure the design asks for: a start after 100,000 commits takes at most a second, given a snapshot.
#[test]
fn a_start_after_a_hundred_thousand_commits_is_quick() {
    let lake = Lake::opened();
    let mut log = lake.writer();
    append(&mut log, 2).expect("appended");
    let snapshot = big_snapshot(&mut log);
    std::fs::write(
        lake.log_folder().join("snapshots/00000000000000100000.json"),
        &snapshot,
    )
    .expect("written");
    let before = cpu_time();
    let fold = read_fold(&lake.paths.checkpoints, &topic())
        .expect("a fold")
        .expect("a log");
    let cpu = cpu_time() - before;
    assert_eq!(
        (fold.number(), fold.files().len()),
        (CommitNumber(100_000), 100_000)
    );
    assert!(
        cpu < Duration::from_secs(1),
        "{cpu:?} for a snapshot of {} bytes",
        snapshot.len()
    );
}

fn big_snapshot(log: &mut super::super::TopicLog) -> Vec<u8> {
    let fold = log.fold().expect("a fold").clone();
    let writer = eventlake_core::commit::WriterId::new("writer").expect("an id");
    let (bytes, _) = encode_record(&fold.snapshot(&writer, now()));
    let (mut snapshot, _) = decode_record::<Snapshot>(&bytes).expect("a snapshot");
    let file = fold.files().values().next().expect("a file").clone();
    snapshot.number = CommitNumber(100_000);
    let rows = 100_000 * file.rows;
    let totals = snapshot.totals.to_mut();
    totals.valid_commits = 100_000;
    totals.appended = Counts {
        accepted: rows,
        ..Counts::default()
    };
    let partitions = &mut snapshot.generations.to_mut()[0].partitions;
    let state = partitions.values_mut().next().expect("a partition");
    state.counts = snapshot.totals.appended;
    state.next = Offset(state.start.0 + i64::try_from(rows).expect("few rows"));
    snapshot.files = (0..100_000u128)
        .map(|index| {
            let mut file = file.clone();
            let stage = eventlake_core::commit::StageId::from_u128(index << 64 | 7);
            let path = file
                .path
                .as_str()
                .replace(&file.stage.to_string(), &stage.to_string());
            file.path = eventlake_core::names::FilePath::parse(&path).expect("a path");
            file.stage = stage;
            std::borrow::Cow::Owned(file)
        })
        .collect();
    encode_record(&snapshot).0
}

/// What a roll costs the file system in steady state, syncs and the staged files' own calls included.
#[test]
fn a_roll_in_steady_state_is_a_handful_of_calls() {
    let counter = super::support::AtStrike::new(usize::MAX, super::support::Then::FailOnce);
    let lake = Lake::opened();
    let mut log = lake
        .try_writer(Store::with_faults(counter.clone()))
        .expect("opened");
    let seldom = SnapshotPolicy {
        every: 1_000,
        log_retention: Duration::ZERO,
    };
    let mut calls = Vec::new();
    for _ in 0..5 {
        let before = counter.calls();
        append(&mut log, 2).expect("appended");
        log.publish().expect("published");
        log.clean().expect("cleaned");
        log.snapshot(&seldom, later()).expect("nothing due");
        calls.push(counter.calls() - before);
    }
    assert_eq!(calls[2], calls[4], "{calls:?}");
    assert!(calls[4] <= 65, "{calls:?}");
}

/// A second handle starts from what the first one had read, and looks like any other before it uses that.
#[test]
fn a_second_handle_sees_what_was_committed_and_truncated_since() {
    let lake = Lake::opened();
    let mut log = lake.writer();
    let mut second = log.another();
    let policy = SnapshotPolicy {
        every: 1,
        log_retention: Duration::ZERO,
    };
    for _ in 0..4 {
        append(&mut log, 2).expect("appended");
        log.publish().expect("published");
        log.snapshot(&policy, later()).expect("a snapshot");
    }
    assert!(!lake.commit_path(2).exists(), "the number is free again");
    let outcome = append(&mut second, 2).expect("appended");
    assert!(matches!(outcome, Outcome::Committed { .. }), "{outcome:?}");
    second.publish().expect("published");
    assert_eq!(
        second.fold().expect("a fold").number(),
        log.fold().expect("a fold").number()
    );
    lake.assert_exact();
}
