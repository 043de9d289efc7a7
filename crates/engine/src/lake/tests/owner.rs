//! One table, one log.

use super::super::store::Store;
use super::super::{LakeError, LakePaths, TopicLog};
use super::support::{Lake, append, open_first_generation, stage_append, table, topic};
use eventlake_core::commit::WriterId;
use eventlake_core::names::TableName;

fn assert_conflict(lake: &Lake, found: &str) {
    let before = lake.tree();
    let error = lake
        .try_writer(Store::new())
        .expect_err("the table is not this log's");
    assert!(matches!(error, LakeError::Owner { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains(found) && text.contains("hint: "), "{text}");
    assert_eq!(lake.tree(), before);
}

fn landed() -> Lake {
    let lake = Lake::opened();
    let mut log = lake.writer();
    append(&mut log, 4).expect("appended");
    log.publish().expect("published");
    lake
}

#[test]
fn deleting_the_checkpoints_alone_does_not_land_everything_twice() {
    let lake = landed();
    std::fs::remove_dir_all(&lake.paths.checkpoints).expect("removed");
    assert_conflict(&lake, "has no log in this configuration's checkpoints");
    // Without the owner files the table's content still tells.
    std::fs::remove_dir_all(lake.paths.data.join("_staging")).expect("removed");
    std::fs::remove_dir_all(lake.paths.rejected.join("_staging")).expect("removed");
    assert_conflict(&lake, "already holds files");
    std::fs::remove_dir_all(lake.paths.data.join("clicks_table")).expect("removed");
    assert_conflict(&lake, "already holds files");
    std::fs::remove_dir_all(lake.paths.rejected.join("clicks_table")).expect("removed");
    open_first_generation(&mut lake.writer()).expect("proposed");
    lake.assert_exact();
}

#[test]
fn another_log_cannot_take_the_table() {
    let mut lake = landed();
    lake.paths.checkpoints = lake.paths.checkpoints.with_file_name("other");
    assert_conflict(&lake, "says that it belongs to log");
}

#[test]
fn two_new_logs_cannot_both_take_a_table() {
    let lake = Lake::new();
    let other = LakePaths {
        checkpoints: lake.paths.checkpoints.with_file_name("other"),
        ..lake.paths.clone()
    };
    let writer = WriterId::new("other").expect("an id");
    let mut first = lake.writer();
    let mut second = TopicLog::open(&other, &topic(), &table(), &writer).expect("nobody owns it yet");
    open_first_generation(&mut first).expect("proposed");
    open_first_generation(&mut second).expect("proposed");
    stage_append(&mut first, &[(0, 0, 1)]).expect("the first to stage owns it");
    let error = stage_append(&mut second, &[(0, 0, 1)]).expect_err("it is owned");
    assert!(error.to_string().contains("belongs to log"), "{error}");
}

#[test]
fn a_topic_keeps_its_table_and_its_roots() {
    let mut lake = landed();
    let writer = WriterId::new("writer").expect("an id");
    let other = TableName::new("other").expect("a name");
    let error = TopicLog::open(&lake.paths, &topic(), &other, &writer).expect_err("its files are elsewhere");
    assert!(
        error.to_string().contains("hint: set table = \"clicks_table\""),
        "{error}"
    );
    lake.paths.data = lake.paths.data.with_file_name("elsewhere");
    assert_conflict(&lake, "none of the topic's accepted files are under");
}
