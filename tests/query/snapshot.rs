//! A query sees what the log says, whatever lies in the folders; what it cannot see is an error, never a wrong answer.

use std::fs;
use std::path::{Path, PathBuf};

use eventlake_core::names::{FilePath, StagingPaths, TableName};

use crate::shop::{Shop, accepted, shared};

const COUNT: &str = "SELECT count(id + 0) FROM orders";

#[test]
fn a_file_that_no_commit_names_is_not_there() {
    let shop = shared().copy();
    let files = shop.files("data/parquet");
    let stray = files[0].with_file_name("stray.parquet");
    fs::copy(&files[0], stray).expect("copied");
    fs::copy(&files[0], files[1].with_file_name("another.parquet")).expect("copied");
    assert_eq!(shop.files("data/parquet").len(), files.len() + 2);
    assert_eq!(shop.value(COUNT), accepted().count());
}

#[test]
fn a_committed_file_counts_before_it_has_its_final_name() {
    let shop = shared().copy();
    let root = shop.path("data/parquet");
    let file = &shop.files("data/parquet")[0];
    let relative = file.strip_prefix(&root).expect("below the root");
    let path = FilePath::parse(&relative.to_string_lossy()).expect("a data file's name");
    let staged = StagingPaths::new(&root, &TableName::new("orders").expect("a name")).staged(&path);
    fs::create_dir_all(staged.parent().expect("a folder")).expect("made");
    fs::rename(file, staged).expect("moved");
    assert_eq!(shop.value(COUNT), accepted().count());
}

#[test]
fn a_live_file_that_is_gone_is_an_error() {
    let shop = shared().copy();
    let lost = shop.files("data/parquet")[3].clone();
    fs::remove_file(&lost).expect("removed");
    let ended = shop.run(&["query", COUNT]);
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    let name = lost.file_name().expect("a name").to_string_lossy();
    assert!(ended.stderr.contains(&*name), "{}", ended.stderr);
    assert!(ended.stderr.contains("the live file is gone"), "{}", ended.stderr);
    assert!(ended.stderr.contains("hint: "), "{}", ended.stderr);
    assert_eq!(ended.stdout, "", "no part of an answer");
}

#[test]
fn a_live_file_that_is_not_what_was_committed_is_an_error() {
    let shop = shared().copy();
    let files = shop.files("data/parquet");
    let bytes = fs::read(&files[4]).expect("read");
    fs::write(&files[4], &bytes[..bytes.len() - 1]).expect("written");
    let ended = shop.run(&["query", COUNT]);
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    assert!(ended.stderr.contains("were committed"), "{}", ended.stderr);
}

#[test]
fn a_damaged_log_is_an_error() {
    let shop = shared().copy();
    let commit = shop.path("checkpoints/orders/00000000000000000002.json");
    let mut bytes = fs::read(&commit).expect("a commit");
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    fs::write(&commit, bytes).expect("written");
    let ended = shop.run(&["query", COUNT]);
    assert_eq!(ended.code, Some(3), "{}", ended.stdout);
    assert!(
        ended.stderr.contains("00000000000000000002.json"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_query_changes_nothing() {
    let shop = shared().copy();
    let before = listing(&shop);
    shop.rows("SELECT * FROM orders ORDER BY price, id");
    shop.rows("SELECT * FROM rejected.orders");
    assert_eq!(listing(&shop), before);
}

#[test]
fn columns_that_came_later_are_null_before_and_a_changed_type_is_an_error() {
    let shop = shared().copy();
    let schema = fs::read_to_string(shop.path("orders.json")).expect("a schema");
    let later = schema.replacen("\"price\":", "\"colour\": {\"type\": \"string\"}, \"price\":", 1);
    fs::write(shop.path("orders.json"), later).expect("written");
    let rows = shop.rows("SELECT count(*) AS n, count(colour) AS coloured, sum(id) AS ids FROM orders");
    let ids: i64 = accepted().map(|order| order.id).sum();
    let expected = serde_json::json!({"n": accepted().count(), "coloured": 0, "ids": ids});
    assert_eq!(rows, [expected]);
    let other = schema.replacen("[\"number\", \"null\"]", "\"string\"", 1);
    fs::write(shop.path("orders.json"), other).expect("written");
    let ended = shop.run(&["query", "SELECT max(price) FROM orders"]);
    assert_eq!(ended.code, Some(3), "{}", ended.stdout);
    assert!(
        ended.stderr.contains("column price is Float64"),
        "{}",
        ended.stderr
    );
}

/// Every file with its length and time of change.
fn listing(shop: &Shop) -> Vec<(PathBuf, u64, std::time::SystemTime)> {
    fn below(folder: &Path, found: &mut Vec<(PathBuf, u64, std::time::SystemTime)>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                below(&path, found);
            } else {
                let metadata = fs::metadata(&path).expect("a file");
                found.push((path, metadata.len(), metadata.modified().expect("a time")));
            }
        }
    }
    let mut found = Vec::new();
    below(&shop.path(""), &mut found);
    found.sort();
    found
}
