//! Reading commits on: each valid one once, from a place that is found again, and never one that was put where another had been.

use eventlake_core::commit::{Commit, CommitNumber, Moment, decode_record, encode_record};

use super::super::{CommitReader, LogPlace, Onward};
use super::support::{Lake, append, roll, topic};

fn at_newest(lake: &Lake) -> CommitReader {
    CommitReader::at_newest(&lake.paths.checkpoints, &topic()).expect("a reader")
}

fn at(lake: &Lake, place: &LogPlace) -> Option<CommitReader> {
    CommitReader::at(&lake.paths.checkpoints, &topic(), place).expect("a log that can be read")
}

/// The numbers of what is read on; None when the log no longer tells.
fn read(reader: &mut CommitReader) -> Option<Vec<u64>> {
    match reader.read_on().expect("a log that can be read") {
        Onward::Commits(commits) => Some(commits.iter().map(|commit| commit.place.number.0).collect()),
        Onward::Gone => None,
    }
}

#[test]
fn what_every_writer_commits_is_read_once() {
    let lake = Lake::opened();
    let (mut one, mut other) = (lake.writer(), lake.writer());
    let mut reader = at_newest(&lake);
    assert_eq!(read(&mut reader), Some(vec![]));
    append(&mut one, 2).expect("appended");
    append(&mut other, 2).expect("appended");
    assert_eq!(read(&mut reader), Some(vec![2, 3]));
    assert_eq!(read(&mut reader), Some(vec![]));
    roll(&mut one, 2).expect("rolled");
    assert_eq!(read(&mut reader), Some(vec![4]));
    assert_eq!(reader.place(), at_newest(&lake).place());
}

#[test]
fn a_place_is_found_again_and_what_follows_it() {
    let lake = Lake::opened();
    let mut log = lake.writer();
    append(&mut log, 2).expect("appended");
    let place = at_newest(&lake).place();
    append(&mut log, 2).expect("appended");
    append(&mut log, 2).expect("appended");
    let mut reader = at(&lake, &place).expect("it is in the log");
    assert_eq!(reader.place(), place);
    assert_eq!(read(&mut reader), Some(vec![3, 4]));

    let elsewhere = Lake::opened();
    append(&mut elsewhere.writer(), 2).expect("appended");
    assert!(at(&elsewhere, &place).is_none(), "another log");
    let later = LogPlace {
        number: CommitNumber(9),
        ..place
    };
    assert!(at(&lake, &later).is_none(), "it was never there");
}

#[test]
fn where_commits_were_deleted_the_log_no_longer_tells() {
    let lake = Lake::opened();
    let mut log = lake.writer();
    let mut reader = at_newest(&lake);
    let place = reader.place();
    for _ in 0..20 {
        roll(&mut log, 1).expect("rolled");
    }
    assert!(!lake.commit_path(2).exists(), "freed");
    assert_eq!(read(&mut reader), None);
    assert!(at(&lake, &place).is_none_or(|mut reader| read(&mut reader).is_none()));
}

/// A writer that was away for long puts its commit where another one had been: the chain from the place leads to it.
#[test]
fn a_number_that_was_freed_and_used_again_is_not_believed() {
    let lake = Lake::opened();
    let mut reader = at_newest(&lake);
    let mut log = lake.writer();
    append(&mut log, 3).expect("appended");
    let bytes = std::fs::read(lake.commit_path(2)).expect("a commit");
    let (mut commit, _) = decode_record::<Commit>(&bytes).expect("a commit");
    for _ in 0..20 {
        roll(&mut log, 1).expect("rolled");
    }
    assert!(!lake.commit_path(2).exists(), "freed");
    commit.time = Moment::from_unix_micros(commit.time.unix_micros() + 1_000_000);
    let (bytes, _) = encode_record(&commit);
    std::fs::write(lake.commit_path(2), bytes).expect("written");
    assert_eq!(read(&mut reader), None);
}
