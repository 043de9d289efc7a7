//! What bounds a query: memory, with spilling below it; Ctrl-C; a reader that leaves.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::shop::{code_within, shared};

/// Longer than what is stopped takes to stop.
const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn a_sort_that_does_not_fit_into_memory_is_spilt() {
    let sort = "SELECT * FROM (SELECT value, value * 7919 % 4000037 AS key FROM generate_series(1, 4000000)) ORDER BY key";
    let spill = tempfile::tempdir().expect("a folder");
    let plan = shared()
        .command(&["query", &format!("EXPLAIN ANALYZE {sort}")])
        .env("EVENTLAKE_LAKE_MEMORY_LIMIT", "64MiB")
        .env("EVENTLAKE_LAKE_ROLL_SIZE", "16MiB")
        .env("TMPDIR", spill.path())
        .output()
        .expect("the program starts");
    let plan = String::from_utf8_lossy(&plan.stdout).into_owned();
    let spilt = plan.split("spill_count=").skip(1);
    let spilt: u32 = spilt
        .map(|rest| {
            rest.split(|c: char| !c.is_ascii_digit())
                .next()
                .expect("a number")
        })
        .map(|number| number.parse::<u32>().expect("a number"))
        .sum();
    assert!(spilt > 0, "{plan}");
    let output = shared()
        .command(&["query", sort, "--format", "csv"])
        .env("EVENTLAKE_LAKE_MEMORY_LIMIT", "64MiB")
        .env("EVENTLAKE_LAKE_ROLL_SIZE", "16MiB")
        .env("TMPDIR", spill.path())
        .output()
        .expect("the program starts");
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let mut rows = 0;
    let mut last = -1;
    for line in text.lines().skip(1) {
        let (value, key) = line.split_once(',').expect("two columns");
        let (value, key): (i64, i64) = (value.parse().expect("a number"), key.parse().expect("a number"));
        assert_eq!(value * 7919 % 4_000_037, key);
        assert!(key >= last, "{key} after {last}");
        (last, rows) = (key, rows + 1);
    }
    assert_eq!(rows, 4_000_000);
    assert_eq!(
        spill.path().read_dir().expect("a folder").count(),
        0,
        "nothing is left"
    );
}

#[test]
fn a_query_that_cannot_be_spilt_is_told_so() {
    let ended: crate::shop::Ended = shared()
        .command(&[
            "query",
            "SELECT array_agg(value || 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx') FROM generate_series(1, 4000000)",
        ])
        .env("EVENTLAKE_LAKE_MEMORY_LIMIT", "64MiB")
        .env("EVENTLAKE_LAKE_ROLL_SIZE", "16MiB")
        .output()
        .expect("the program starts")
        .into();
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    assert!(ended.stderr.contains("needs more memory"), "{}", ended.stderr);
    assert!(ended.stderr.contains("memory_limit"), "{}", ended.stderr);
}

fn started(sql: &str) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut child = shared()
        .command(&["query", sql, "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let stdout = child.stdout.take().expect("piped");
    (child, BufReader::new(stdout))
}

#[test]
fn ctrl_c_ends_a_query_that_streams_and_one_that_counts() {
    for sql in [
        "SELECT value FROM generate_series(1, 100000000000)",
        // The first row comes at once, the second never.
        "SELECT 1 AS n UNION ALL SELECT count(*) AS n FROM generate_series(1, 10000000) a CROSS JOIN generate_series(1, 10000000) b WHERE a.value % 7 = b.value % 5",
    ] {
        let (mut child, mut rows) = started(sql);
        let mut first = String::new();
        rows.read_line(&mut first).expect("a line");
        assert!(first.starts_with('{'), "{sql}: {first}");
        let process = Pid::from_child(&child);
        kill_process(process, Signal::INT).expect("a signal");
        // The pipe is emptied, or the program would wait for that.
        let reader = std::thread::spawn(move || rows.read_to_end(&mut Vec::new()));
        assert_eq!(code_within(LIMIT, &mut child), Some(130), "{sql}");
        reader.join().expect("no panic").expect("read");
    }
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let (mut child, mut rows) = started("SELECT value FROM generate_series(1, 100000000000)");
    let mut first = String::new();
    rows.read_line(&mut first).expect("a line");
    drop(rows);
    let mut said = child.stderr.take().expect("piped");
    assert_eq!(code_within(LIMIT, &mut child), Some(0));
    let mut text = String::new();
    said.read_to_string(&mut text).expect("read");
    assert_eq!(text, "");
}
