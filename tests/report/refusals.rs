//! What cannot be is refused before any work, with what was most likely meant.

use crate::shop::shared;

#[track_caller]
fn refused(arguments: &[&str], said: &[&str]) {
    let ended = shared().run(&[&["report"], arguments].concat());
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (Some(2), ""),
        "{}",
        ended.stderr
    );
    for part in said {
        assert!(
            ended.stderr.contains(part),
            "expected {part:?} in\n{}",
            ended.stderr
        );
    }
}

#[test]
fn unknown_tables_and_columns_are_named_with_the_nearest() {
    refused(
        &["--table", "oders"],
        &[
            "no table \"oders\"",
            "did you mean orders?",
            "the tables are orders, idle",
        ],
    );
    refused(
        &["--key", "oders=id"],
        &["--key: no table \"oders\"", "did you mean orders?"],
    );
    refused(
        &["--key", "orders=pric"],
        &["has no column \"pric\"", "did you mean price?", "place.city"],
    );
    refused(&["--key", "orders=tags"], &["is a list"]);
    refused(&["--key", "orders"], &["expected TABLE=COLUMN"]);
    refused(
        &["--key", "orders=id", "--key", "orders=at"],
        &["given twice", "joined by commas"],
    );
    refused(&["--table", "idle", "--key", "orders=id"], &["none of --table"]);
}

#[test]
fn a_period_that_cannot_be_is_refused() {
    refused(
        &["--from", "yesterday"],
        &["--from \"yesterday\"", "expected a time"],
    );
    refused(
        &["--from", "2026-11-22", "--to", "2026-11-21"],
        &["--from must lie before --to"],
    );
    refused(&["--last", "soon"], &["--last \"soon\""]);
}
