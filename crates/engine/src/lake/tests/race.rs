//! Several handles at one topic at the same time.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use eventlake_core::position::PartitionId;

use super::super::access::{Call, Moment};
use super::super::site::Site;
use super::super::store::{LockKind, Store};
use super::super::{LakeError, Outcome};
use super::support::{Lake, Once, append, compact, hour, open_first_generation, roll, stage_append};

fn has_vanished(error: &(dyn std::error::Error + 'static)) -> bool {
    let io = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    let store = error.downcast_ref::<LakeError>().and_then(|error| match error {
        LakeError::Io(error) => Some(error.kind()),
        _ => None,
    });
    io.or(store) == Some(std::io::ErrorKind::NotFound)
}

#[test]
fn racing_writers_take_each_offset_exactly_once() {
    let lake = Lake::new();
    const OFFSETS: i64 = 400;
    let (committed, dropped) = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let lake = &lake;
                scope.spawn(move || {
                    let mut log = lake.writer();
                    open_first_generation(&mut log).expect("proposed");
                    let (mut committed, mut dropped) = (0, 0);
                    while log.fold().expect("a fold").next(PartitionId(0)).0 < OFFSETS {
                        match roll(&mut log, 1 + writer) {
                            Ok(Outcome::Committed { .. }) => committed += 1,
                            Ok(Outcome::Refused { .. }) => {}
                            Ok(Outcome::Dropped) => dropped += 1,
                            Ok(Outcome::Void { reason, .. }) => {
                                panic!("created what the log showed void: {reason}")
                            }
                            // Another was quicker, and has cleaned this one's files away already.
                            Err(error) => assert!(has_vanished(&*error), "{error}"),
                        }
                    }
                    (committed, dropped)
                })
            })
            .collect();
        let ends = writers.into_iter().map(|writer| writer.join().expect("no panic"));
        ends.fold((0u64, 0u64), |(committed, dropped), end| {
            (committed + end.0, dropped + end.1)
        })
    });
    lake.assert_exact();
    let mut log = lake.writer();
    log.clean().expect("cleaned");
    assert_eq!(lake.leftovers(), Vec::<std::path::PathBuf>::new());
    let fold = log.fold().expect("a fold");
    // One of them opened the generation. What was dropped may be in the log: others had built on it before the look.
    let certain = committed + 1;
    let valid = fold.totals().valid_commits;
    assert!(
        (certain..=certain + dropped).contains(&valid),
        "{valid} of {certain} and {dropped} dropped"
    );
    assert!(
        !lake.commit_path(1).exists(),
        "the log was truncated while they raced"
    );
}

#[test]
fn compaction_races_with_appends_and_with_itself() {
    let lake = Lake::opened();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut log = lake.writer();
                while log.fold().expect("a fold").next(PartitionId(0)).0 < 150 {
                    if let Err(error) = roll(&mut log, 2) {
                        assert!(has_vanished(&*error), "{error}");
                    }
                }
            });
            scope.spawn(|| {
                let mut log = lake.writer();
                while log.fold().expect("a fold").next(PartitionId(0)).0 < 150 {
                    // Where the other was quicker, its inputs are gone: reading them fails.
                    let _ = compact(&lake, &mut log, hour(0));
                    log.publish().expect("published");
                    log.clean().expect("cleaned");
                }
            });
        }
    });
    lake.assert_exact();
    let mut log = lake.writer();
    assert!(
        log.fold().expect("a fold").totals().replaced.len() == 1,
        "something was compacted"
    );
}

#[test]
fn a_reader_sees_the_old_or_the_new_set_while_folders_are_exchanged() {
    let lake = Lake::opened();
    let mut log = lake.writer();
    let hour_folder = lake.paths.data.join("clicks_table/date=1970-01-01/hour=00");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut readings = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let Ok(entries) = std::fs::read_dir(&hour_folder) else {
                    continue;
                };
                let paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
                // A file that is gone by the time it is read is an error to a reader, not an answer.
                let contents: Result<Vec<_>, _> = paths.iter().map(std::fs::read_to_string).collect();
                let Ok(contents) = contents else { continue };
                let mut rows: Vec<_> = contents
                    .iter()
                    .flat_map(|content| super::support::ranges_in(content))
                    .collect();
                rows.sort_unstable();
                let whole: Vec<_> = (0..rows.len() as i64).map(|row| (0, row, row + 1)).collect();
                assert_eq!(rows, whole, "a gap or a row twice");
                readings += 1;
            }
            readings
        });
        for _ in 0..40 {
            for _ in 0..3 {
                append(&mut log, 1).expect("appended");
                log.publish().expect("published");
            }
            compact(&lake, &mut log, hour(0)).expect("compacted");
            log.publish().expect("published");
            log.clean().expect("cleaned");
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(reader.join().expect("the reader saw whole sets") > 0);
    });
    lake.assert_exact();
}

#[test]
fn a_lost_reply_is_no_second_commit() {
    for lost_as in [std::io::ErrorKind::AlreadyExists, std::io::ErrorKind::Other] {
        let lake = Lake::opened();
        let faults = Once {
            call: Call::Link,
            around: Moment::After,
            path_ends: "00000000000000000002.json",
            run: move || Err(lost_as.into()),
            armed: AtomicBool::new(true),
        };
        let mut log = lake
            .try_writer(Store::with_faults(Arc::new(faults)))
            .expect("opened");
        let body = stage_append(&mut log, &[(0, 0, 4)]).expect("staged");
        let first = log.propose(body.clone(), super::support::now());
        let outcome = match lost_as {
            std::io::ErrorKind::AlreadyExists => first,
            _ => {
                first.expect_err("the reply was lost");
                log.propose(body, super::support::now())
            }
        };
        let number = eventlake_core::commit::CommitNumber(2);
        assert_eq!(
            outcome.expect("settled"),
            Outcome::Committed { number },
            "{lost_as:?}"
        );
        assert!(!lake.commit_path(3).exists());
        lake.assert_exact();
    }
}

#[test]
fn a_proposal_that_loses_its_number_to_another_is_refused_and_not_created() {
    let lake = Lake::opened();
    let other = std::sync::Mutex::new(lake.writer());
    let faults = Once {
        call: Call::Link,
        around: Moment::Before,
        path_ends: "00000000000000000002.json",
        run: move || {
            append(&mut other.lock().expect("unpoisoned"), 3).expect("appended");
            Ok(())
        },
        armed: AtomicBool::new(true),
    };
    let mut log = lake
        .try_writer(Store::with_faults(Arc::new(faults)))
        .expect("opened");
    let outcome = append(&mut log, 5).expect("proposed");
    assert!(matches!(outcome, Outcome::Refused { .. }), "{outcome:?}");
    assert!(!lake.commit_path(3).exists());
    assert_eq!(log.fold().expect("a fold").next(PartitionId(0)).0, 3);
    lake.assert_exact();
}

#[test]
fn publishing_waits_for_an_exchange_under_way() {
    let lake = Lake::opened();
    let mut log = lake.writer();
    append(&mut log, 4).expect("appended");
    let lock = Store::new()
        .lock(
            Site::ExchangeLock,
            &lake.log_folder().join("lock"),
            LockKind::Exclusive,
        )
        .expect("locked");
    std::thread::scope(|scope| {
        let publisher = scope.spawn(|| log.publish().expect("published"));
        std::thread::sleep(std::time::Duration::from_millis(100));
        assert!(!publisher.is_finished());
        assert!(lake.visible().is_empty());
        drop(lock);
        publisher.join().expect("no panic");
    });
    lake.assert_exact();
}
