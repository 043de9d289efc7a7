//! Exchanging folders for their live set, and cleaning.

use eventlake_core::commit::{Body, FileSet, Replace, ReplaceReason};

use super::super::{LakeError, Outcome, Published};
use super::support::{Lake, append, compact, hour, now, open_first_generation, stage_append};

fn rolled(rolls: usize) -> Lake {
    let lake = Lake::opened();
    let mut log = lake.writer();
    for _ in 0..rolls {
        append(&mut log, 4).expect("appended");
        log.publish().expect("published");
    }
    lake
}

#[test]
fn compacted_files_take_the_place_of_their_inputs() {
    let lake = rolled(3);
    let mut log = lake.writer();
    let outcome = compact(&lake, &mut log, hour(0)).expect("compacted");
    assert!(matches!(outcome, Some(Outcome::Committed { .. })), "{outcome:?}");
    assert_eq!(lake.visible().len(), 6, "not published yet");
    // Whoever comes next does it.
    let mut other = lake.writer();
    assert_eq!(
        other.publish().expect("published"),
        Published {
            files: 0,
            exchanged: 1
        }
    );
    assert_eq!(lake.visible().len(), 4, "one large file and three rejected ones");
    lake.assert_exact();
    assert_eq!(log.publish().expect("published"), Published::default());
    log.clean().expect("cleaned");
    log.clean().expect("cleaned");
    assert_eq!(lake.leftovers(), Vec::<std::path::PathBuf>::new());
    lake.assert_exact();
}

#[test]
fn a_folder_whose_files_all_go_is_gone() {
    let lake = rolled(2);
    let mut log = lake.writer();
    let keys: Vec<_> = log.fold().expect("a fold").files().keys().cloned().collect();
    let removed: Vec<_> = keys
        .into_iter()
        .filter(|key| key.set == FileSet::Rejected)
        .collect();
    let body = Replace {
        reason: ReplaceReason::Retention,
        removed,
        files: vec![],
    };
    log.propose(Body::Replace(body), now()).expect("proposed");
    log.publish().expect("published");
    assert!(
        !lake
            .paths
            .rejected
            .join("clicks_table/date=1970-01-01/hour=00")
            .exists()
    );
    assert!(lake.visible().iter().all(|(set, _)| *set == FileSet::Accepted));
    append(&mut log, 4).expect("appended");
    log.publish().expect("published");
    assert_eq!(lake.visible().len(), 4, "it comes back with the next file");
}

#[test]
fn what_somebody_else_put_into_a_folder_is_not_destroyed() {
    let lake = rolled(2);
    let folder = lake.paths.data.join("clicks_table/date=1970-01-01/hour=00");
    std::fs::write(folder.join("notes.txt"), "mine").expect("written");
    let mut log = lake.writer();
    compact(&lake, &mut log, hour(0)).expect("compacted");
    log.publish().expect("published");
    log.clean().expect("cleaned");
    log.clean().expect("cleaned");
    log.clean().expect("cleaned");
    lake.assert_exact();
    let left = lake.leftovers();
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(std::fs::read_to_string(&left[0]).expect("there"), "mine");
}

#[test]
fn a_folder_of_folders_is_not_exchanged() {
    let lake = rolled(2);
    let folder = lake.paths.data.join("clicks_table/date=1970-01-01/hour=00");
    std::fs::create_dir(folder.join("inner")).expect("created");
    let mut log = lake.writer();
    compact(&lake, &mut log, hour(0)).expect("compacted");
    let before = lake.visible();
    let error = log.publish().expect_err("it holds a folder");
    assert!(matches!(error, LakeError::Exchange { .. }), "{error}");
    assert_eq!(lake.visible(), before);
    std::fs::remove_dir(folder.join("inner")).expect("removed");
    log.publish().expect("published");
    lake.assert_exact();
}

#[test]
fn cleaning_takes_what_no_commit_can_name_and_nothing_else() {
    let lake = Lake::opened();
    let (mut slow, mut quick) = (lake.writer(), lake.writer());
    let body = stage_append(&mut slow, &[(0, 0, 4), (1, 0, 4)]).expect("staged");
    let staged = lake.leftovers();
    quick.clean().expect("cleaned");
    assert_eq!(lake.leftovers(), staged, "its commit may still come");

    // Another partition moves on: it has nothing to do with this stage.
    let other = stage_append(&mut quick, &[(2, 0, 4)]).expect("staged");
    quick.propose(other, now()).expect("proposed");
    let with_other = lake.leftovers();
    quick.clean().expect("cleaned");
    assert_eq!(
        lake.leftovers(),
        with_other,
        "a valid commit names the one, the other may still come"
    );
    quick.publish().expect("published");
    quick.clean().expect("cleaned");
    assert_eq!(lake.leftovers(), staged);

    // One of its two partitions moves on: now it can never be valid.
    let overtaking = stage_append(&mut quick, &[(1, 0, 1)]).expect("staged");
    quick.propose(overtaking, now()).expect("proposed");
    quick.publish().expect("published");
    assert_eq!(
        quick.clean().expect("cleaned").stages,
        2,
        "its own and the overtaken one"
    );
    assert_eq!(lake.leftovers(), Vec::<std::path::PathBuf>::new());
    let outcome = slow.propose(body, now()).expect("settled");
    assert!(matches!(outcome, Outcome::Refused { .. }), "{outcome:?}");
    lake.assert_exact();
}

#[test]
fn staged_files_without_a_manifest_go() {
    let lake = Lake::opened();
    let mut log = lake.writer();
    stage_append(&mut log, &[(0, 0, 4)]).expect("staged");
    for path in super::support::files_below(&lake.log_folder().join("staging")) {
        std::fs::remove_file(path).expect("removed");
    }
    assert_eq!(log.clean().expect("cleaned").files, 2);
    assert_eq!(lake.leftovers(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_manifest_that_cannot_be_read_keeps_its_stage() {
    let lake = Lake::opened();
    let mut log = lake.writer();
    stage_append(&mut log, &[(0, 0, 4)]).expect("staged");
    for path in super::support::files_below(&lake.log_folder().join("staging")) {
        std::fs::write(path, "{}").expect("written");
    }
    append(&mut log, 4).expect("appended");
    log.publish().expect("published");
    let cleaned = log.clean().expect("cleaned");
    assert_eq!((cleaned.files, cleaned.unreadable.len()), (0, 1));
    assert_eq!(lake.leftovers().len(), 3, "two files and the manifest");
}

#[test]
#[should_panic(expected = "committed otherwise than its stage planned")]
fn a_commit_that_takes_less_than_its_stage_planned_is_refused() {
    let lake = Lake::opened();
    let mut log = lake.writer();
    let Body::Append(mut body) = stage_append(&mut log, &[(0, 0, 4), (1, 0, 4)]).expect("staged") else {
        panic!("an append");
    };
    body.partitions.pop();
    body.files.retain(|file| file.offsets[0].partition.0 == 0);
    let _ = log.propose(Body::Append(body), now());
}

#[test]
fn a_file_is_replaced_only_under_its_final_name() {
    let lake = Lake::opened();
    let mut log = lake.writer();
    open_first_generation(&mut log).expect("proposed");
    append(&mut log, 4).expect("appended");
    append(&mut log, 4).expect("appended");
    let keys: Vec<_> = log.fold().expect("a fold").files().keys().cloned().collect();
    assert!(lake.visible().is_empty());
    let body = Replace {
        reason: ReplaceReason::Retention,
        removed: keys,
        files: vec![],
    };
    log.propose(Body::Replace(body), now()).expect("proposed");
    assert_eq!(lake.visible().len(), 4, "published before they were replaced");
    log.publish().expect("published");
    assert!(lake.visible().is_empty());
}
