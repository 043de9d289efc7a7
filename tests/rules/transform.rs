//! A transform in the daemon: rows by its SQL, every offset accounted for after kills, and what comes of changing it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::workspace::{MENDED, Workspace, parquet_below};

/// Fails where seven divides; lets through what three does not.
const SETTINGS: &str = "transform.select = \"* EXCLUDE (note), note || '-' || CAST(n AS VARCHAR) AS label, 100 / (n % 7) AS share\"\n\
                        transform.where = \"n % 3 <> 0\"";

/// What becomes of number `n`, by arithmetic of our own.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Becomes {
    Row { label: String, share: i64 },
    Filtered,
    Failed,
    Malformed,
}

fn becomes(n: i64) -> Becomes {
    if n % 10 == 0 {
        Becomes::Malformed
    } else if n % 3 == 0 {
        Becomes::Filtered
    } else if n % 7 == 0 {
        Becomes::Failed
    } else {
        Becomes::Row {
            label: format!("x-{n}"),
            share: 100 / (n % 7),
        }
    }
}

fn count(workspace: &Workspace, of: impl Fn(&Becomes) -> bool) -> u64 {
    (0..workspace.sent).filter(|n| of(&becomes(*n))).count() as u64
}

fn workspace() -> Workspace {
    let workspace = Workspace::new();
    workspace.set_schema(MENDED);
    workspace.set_topic(SETTINGS);
    workspace
}

/// The table's rows by `n`, each once, with where they came from.
fn rows(workspace: &Workspace) -> BTreeMap<i64, Becomes> {
    let output = workspace.run(&["query", "SELECT * FROM figures", "--format", "json"]);
    let mut rows = BTreeMap::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let row: Value = serde_json::from_str(line).expect("JSON");
        let number = |key: &str| row[key].as_i64().unwrap_or_else(|| panic!("{key}: {row}"));
        assert!(row.get("note").is_none(), "{row}");
        let n = number("n");
        assert_eq!(
            (number("_kafka_partition"), number("_kafka_offset")),
            (n % 2, n / 2)
        );
        let label = row["label"].as_str().expect("a label").to_owned();
        let share = number("share");
        assert!(
            rows.insert(n, Becomes::Row { label, share }).is_none(),
            "{n} twice"
        );
    }
    rows
}

fn assert_rows_are_right(workspace: &Workspace) {
    let expected: BTreeMap<i64, Becomes> = (0..workspace.sent)
        .map(|n| (n, becomes(n)))
        .filter(|(_, becomes)| matches!(becomes, Becomes::Row { .. }))
        .collect();
    assert_eq!(rows(workspace), expected);
}

fn assert_proven(workspace: &Workspace, arguments: &[&str]) -> Value {
    let arguments: Vec<&str> = ["verify", "--json"].iter().chain(arguments).copied().collect();
    let proof = workspace.json(&arguments);
    assert_eq!(proof["verdict"], "proven", "{proof}");
    let filtered = count(workspace, |becomes| *becomes == Becomes::Filtered);
    assert_eq!(proof["offsets"]["filtered"], json!(filtered), "{proof}");
    proof
}

#[test]
fn every_offset_is_a_row_or_accounted_for_after_kills() {
    let mut workspace = workspace();
    workspace.send(2_000);
    for _ in 0..4 {
        let log = workspace.folder.path().join("checkpoints/numbers");
        let before = if log.exists() { workspace.commits() } else { 0 };
        let mut daemon = workspace.start();
        let deadline = Instant::now() + Duration::from_secs(60);
        while !log.exists() || workspace.commits() < before + 2 {
            assert!(Instant::now() < deadline, "nothing is committed");
            workspace.send(100);
        }
        daemon.0.kill().expect("killed");
        daemon.0.wait().expect("gone");
    }
    workspace.send(1_000);
    workspace.run(&["ingest", "--until-end"]);
    assert_rows_are_right(&workspace);
    assert_proven(&workspace, &[]);
    let proof = assert_proven(&workspace, &["--kafka"]);
    assert_eq!(proof["kafka_checked"], true, "{proof}");
    let status = workspace.json(&["status", "--json"]);
    let filtered = count(&workspace, |becomes| *becomes == Becomes::Filtered);
    assert_eq!(
        status["topics"][0]["lake"]["totals"]["filtered"],
        json!(filtered),
        "{status}"
    );

    // `tail` gives each record the same verdict.
    let tail = workspace.run(&["tail", "--from", "earliest", "--until-end", "--json"]);
    let mut verdicts: BTreeMap<String, u64> = BTreeMap::new();
    for line in String::from_utf8_lossy(&tail.stdout).lines() {
        let line: Value = serde_json::from_str(line).expect("JSON");
        let code = line["violation"]["code"].as_str().unwrap_or_default();
        let verdict = line["verdict"].as_str().expect("a verdict");
        *verdicts
            .entry(format!("{verdict} {code}").trim_end().to_owned())
            .or_default() += 1;
    }
    let expected = [
        (
            "accepted",
            count(&workspace, |becomes| matches!(becomes, Becomes::Row { .. })),
        ),
        ("filtered", filtered),
        (
            "rejected malformed_json",
            count(&workspace, |becomes| *becomes == Becomes::Malformed),
        ),
        (
            "rejected transform",
            count(&workspace, |becomes| *becomes == Becomes::Failed),
        ),
    ];
    assert_eq!(
        verdicts,
        BTreeMap::from(expected.map(|(verdict, times)| (verdict.to_owned(), times)))
    );
}

/// What it failed for lands once it is mended; what the new one does not let through stays where it is.
#[test]
fn a_replay_goes_by_the_present_transform() {
    let mut workspace = workspace();
    workspace.send(600);
    workspace.run(&["ingest", "--until-end"]);
    let failed: Vec<i64> = (0..600).filter(|n| becomes(*n) == Becomes::Failed).collect();
    let code: Value = workspace.json(&["rejected", "list", "--json", "--limit", "0"]);
    assert_eq!(code["total"], json!(failed.len() + 60), "{code}");
    workspace.set_topic(
        &SETTINGS
            .replace("(n % 7)", "(n % 7 + 1)")
            .replace("n % 3 <> 0", "n % 2 = 1"),
    );
    let replayed = workspace.json(&["rejected", "replay", "--json"]);
    let odd = failed.iter().filter(|n| **n % 2 == 1).count();
    let table = &replayed["tables"][0];
    assert_eq!(table["landed"], json!(odd), "{replayed}");
    assert_eq!(table["filtered"], json!(failed.len() - odd), "{replayed}");
    assert_eq!(
        table["still_rejected"],
        json!({ "malformed_json": 60 }),
        "{replayed}"
    );
    assert_eq!(workspace.json(&["verify", "--json"])["verdict"], "proven");
    let mut rows = rows(&workspace);
    for n in failed.iter().filter(|n| **n % 2 == 1) {
        assert_eq!(
            rows.remove(n),
            Some(Becomes::Row {
                label: format!("x-{n}"),
                share: 100
            })
        );
    }
    assert_eq!(
        rows.len() as u64,
        count(&workspace, |becomes| matches!(becomes, Becomes::Row { .. }))
    );
    // Kafka now makes other rows of the same records: that is said, and not taken for damage without a word of the cause.
    let output = workspace
        .command(&["verify", "--kafka"])
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        said.contains("transform") && said.contains("were changed"),
        "{said}"
    );
}

#[test]
fn a_file_that_is_gone_is_written_again_with_the_same_rows() {
    let mut workspace = workspace();
    workspace.send(400);
    workspace.run(&["ingest", "--until-end"]);
    let files = parquet_below(&workspace.folder.path().join("data/parquet"));
    for file in &files {
        std::fs::remove_file(file).expect("removed");
    }
    workspace.run(&["ingest", "--until-end"]);
    assert_rows_are_right(&workspace);
    assert_proven(&workspace, &["--kafka"]);
}

#[test]
fn sql_that_cannot_be_is_refused_where_it_stands_and_so_is_a_column_that_goes() {
    let mut workspace = workspace();
    workspace.send(100);
    workspace.run(&["ingest", "--until-end"]);
    let fails = |arguments: &[&str], words: &[&str]| {
        let output = workspace.command(arguments).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{arguments:?}");
        for word in words {
            assert!(said.contains(word), "{arguments:?}: {said}");
        }
    };
    workspace.set_topic(
        "transform.select = \"\"\"\n*,\n  lower(nota) AS small\"\"\"\ntransform.where = \"m > 1\"",
    );
    let text = std::fs::read_to_string(workspace.folder.path().join("eventlake.toml")).expect("there");
    let line = text
        .lines()
        .position(|line| line.contains("lower(nota)"))
        .expect("written")
        + 1;
    let (select, condition) = (
        format!("eventlake.toml:{line}:9: "),
        format!("eventlake.toml:{}:20: ", line + 1),
    );
    let words = [
        &select[..],
        "topics.transform.select: no column nota",
        "did you mean note?",
        &condition,
        "topics.transform.where: no column m",
    ];
    fails(&["check"], &words);
    fails(&["ingest", "--until-end"], &words);
    workspace.set_topic("transform.select = \"n\"");
    fails(&["ingest", "--until-end"], &["column label is gone", "hint: "]);
}
