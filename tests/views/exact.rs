//! Every kind of view is exact after kills at any moment, and with three writers.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::daemon::Daemon;
use crate::stream::{Sent, Stream};
use crate::wait::wait_until;

const VIEWS: &str = r#"
[[views]]
name = "by_item"
sql = "SELECT item, count(*) AS n, count(DISTINCT \"user\") AS users, min(at) AS first FROM clicks GROUP BY item"
outputs = [{ to = "json", path = "out/by_item.json" }, { to = "jsonl", path = "out/by_item.jsonl" }]

[[views]]
name = "chosen"
sql = "SELECT \"user\", item || '!' AS item FROM clicks WHERE \"user\" > 3"
outputs = [{ to = "jsonl", path = "out/chosen.jsonl" }, { to = "csv", path = "out/chosen.csv" }]

[[views]]
name = "minutes"
sql = "SELECT item, count(*) AS n FROM clicks GROUP BY item"
window = { size = "60s", slide = "20s", lateness = "1h" }
outputs = [{ to = "jsonl", path = "out/minutes.jsonl" }, { to = "json", path = "out/minutes.json" }]

[[views]]
name = "led"
sql = "SELECT c.\"user\", count(*) AS n FROM clicks c JOIN ratings r ON c.\"user\" = r.\"user\" AND c.at <= r.at GROUP BY c.\"user\""
window = { size = "60s", lateness = "1h" }
outputs = [{ to = "jsonl", path = "out/led.jsonl" }]

[[views]]
name = "stretches"
sql = "SELECT item, sum(n) AS total, max(n) AS most FROM minutes GROUP BY item"
window = { size = "80s", slide = "20s", lateness = "1h" }
outputs = [{ to = "jsonl", path = "out/stretches.jsonl" }]
"#;

/// How often the daemon is killed; a long run sets it higher: `EVENTLAKE_VIEW_KILLS=300 cargo test --release --test views kills`.
fn kills() -> u64 {
    match std::env::var("EVENTLAKE_VIEW_KILLS") {
        Ok(text) => text.parse().expect("EVENTLAKE_VIEW_KILLS is a number"),
        Err(_) => 12,
    }
}

#[test]
fn views_are_exact_after_kills_at_any_moment() {
    let mut stream = Stream::new(VIEWS);
    stream.send(400);
    for kill in 0..kills() {
        let daemon = stream.start();
        // At other moments each time: before the first commit, and up to some after it.
        let before = stream.commits();
        if kill % 4 > 0 {
            wait_until("a commit", || {
                stream.send(10);
                stream.commits() > before
            });
            std::thread::sleep(std::time::Duration::from_millis(kill * 89 % 700));
        } else {
            std::thread::sleep(std::time::Duration::from_millis(kill * 53 % 500));
        }
        drop(daemon); // killed
    }
    stream.send(300);
    stream.ingest();
    assert_exact(&stream);
    // Nothing is shown once more when there is nothing new.
    let before = std::fs::read(stream.path("out/chosen.jsonl")).expect("rows");
    stream.ingest();
    assert_eq!(
        std::fs::read(stream.path("out/chosen.jsonl")).expect("rows"),
        before
    );
}

#[test]
fn views_of_three_writers_are_as_exact_as_of_one() {
    let mut stream = Stream::new(VIEWS);
    stream.send(300);
    let mut daemons: Vec<Daemon> = (0..3).map(|_| stream.start()).collect();
    for _ in 0..4 {
        let before = stream.commits();
        wait_until("several commits", || {
            stream.send(5);
            stream.commits() > before + 4
        });
        drop(daemons.remove(0)); // killed
        daemons.push(stream.start());
    }
    for daemon in daemons {
        daemon.stop();
    }
    stream.send(100);
    stream.ingest();
    assert_exact(&stream);
}

fn assert_exact(stream: &Stream) {
    let clicks: Vec<&Sent> = stream.sent.iter().filter(|sent| sent.topic == "clicks").collect();
    let landed = stream.query("SELECT count(*) AS n FROM clicks");
    assert_eq!(landed, [json!({"n": clicks.len()})]);
    stream.run(&["verify", "--quiet"]);
    assert_groups_are_exact(stream, &clicks);
    assert_rows_are_exact(stream, &clicks);
    assert_windows_are_exact(stream, &clicks);
    assert_joins_are_exact(stream, &clicks);
    assert_windows_of_windows_are_exact(stream, &clicks);
}

fn assert_groups_are_exact(stream: &Stream, clicks: &[&Sent]) {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for click in clicks {
        *counts.entry(&click.item).or_default() += 1;
    }
    let shown = by(&stream.rows("out/by_item.json"), &["item"]);
    let asked = stream.query(
        "SELECT item, count(*) AS n, count(DISTINCT \"user\") AS users, min(at) AS first FROM clicks GROUP BY item",
    );
    assert_eq!(shown, by(&asked, &["item"]));
    let told: BTreeMap<&str, u64> = shown
        .values()
        .map(|row| {
            (
                row["item"].as_str().expect("an item"),
                row["n"].as_u64().expect("a count"),
            )
        })
        .collect();
    assert_eq!(told, counts, "by the records that were sent");

    // The file of changes ends with the same, and no state in it follows a newer one.
    let mut newest: BTreeMap<String, Value> = BTreeMap::new();
    for row in stream.rows("out/by_item.jsonl") {
        let item = row["item"].as_str().expect("an item").to_owned();
        if let Some(before) = newest.get(&item) {
            assert!(
                row["n"].as_u64() >= before["n"].as_u64(),
                "{before} and then {row}"
            );
        }
        newest.insert(item, row);
    }
    let newest: Vec<Value> = newest.into_values().collect();
    assert_eq!(by(&newest, &["item"]), shown);
}

fn assert_rows_are_exact(stream: &Stream, clicks: &[&Sent]) {
    let expected: BTreeMap<(i64, i64), (i64, String)> = clicks
        .iter()
        .filter(|click| click.user > 3)
        .map(|click| {
            (
                (click.partition, click.offset),
                (click.user, format!("{}!", click.item)),
            )
        })
        .collect();
    let mut shown = BTreeMap::new();
    for row in stream.rows("out/chosen.jsonl") {
        let number = |name: &str| row[name].as_i64().unwrap_or_else(|| panic!("{name}: {row}"));
        assert_eq!(number("_kafka_generation"), 1);
        let position = (number("_kafka_partition"), number("_kafka_offset"));
        let item = row["item"].as_str().expect("an item").to_owned();
        assert!(
            shown.insert(position, (number("user"), item)).is_none(),
            "{row} twice"
        );
    }
    assert_eq!(shown, expected);

    let csv = std::fs::read_to_string(stream.path("out/chosen.csv")).expect("rows");
    let mut lines = csv.lines();
    assert_eq!(
        lines.next(),
        Some("user,item,_kafka_partition,_kafka_offset,_kafka_generation")
    );
    let told: BTreeSet<&str> = lines.clone().collect();
    assert_eq!(told.len(), lines.count(), "a line twice");
    let row = |((partition, offset), (user, item)): (&(i64, i64), &(i64, String))| {
        format!("{user},{item},{partition},{offset},1")
    };
    assert_eq!(
        told,
        expected
            .iter()
            .map(row)
            .collect::<BTreeSet<_>>()
            .iter()
            .map(String::as_str)
            .collect()
    );
}

/// The newest event time that every partition has come to.
fn watermark(records: &[&Sent]) -> i64 {
    let newest = |partition| {
        let of = records.iter().filter(|sent| sent.partition == partition);
        of.map(|sent| sent.at).max().expect("every partition has records")
    };
    (0..crate::stream::PARTITIONS)
        .map(newest)
        .min()
        .expect("partitions")
}

fn assert_windows_are_exact(stream: &Stream, clicks: &[&Sent]) {
    let mut expected: BTreeMap<(i64, String), u64> = BTreeMap::new();
    let closed = watermark(clicks);
    for click in clicks {
        for start in (click.at - 59..=click.at).filter(|start| start.rem_euclid(20) == 0) {
            if start + 60 <= closed {
                *expected.entry((start, click.item.clone())).or_default() += 1;
            }
        }
    }
    let mut shown: BTreeMap<(i64, String), u64> = BTreeMap::new();
    for row in stream.rows("out/minutes.jsonl") {
        let start = seconds(&row["window_start"]);
        assert_eq!(seconds(&row["window_end"]), start + 60);
        let item = row["item"].as_str().expect("an item").to_owned();
        shown.insert((start, item), row["n"].as_u64().expect("a count"));
    }
    assert_eq!(shown, expected);
    let newest: BTreeMap<String, u64> = stream
        .rows("out/minutes.json")
        .iter()
        .map(|row| {
            let start = seconds(&row["window_start"]);
            assert_eq!(start, (closed - 60).div_euclid(20) * 20, "not the newest window");
            (
                row["item"].as_str().expect("an item").to_owned(),
                row["n"].as_u64().expect("a count"),
            )
        })
        .collect();
    let last = expected.keys().map(|(start, _)| *start).max().expect("windows");
    let of_last = expected.iter().filter(|((start, _), _)| *start == last);
    assert_eq!(newest, of_last.map(|((_, item), n)| (item.clone(), *n)).collect());
}

/// Each sees the four windows of a minute that begin within it, once all of them are closed.
fn assert_windows_of_windows_are_exact(stream: &Stream, clicks: &[&Sent]) {
    let mut minutes: BTreeMap<(i64, &str), u64> = BTreeMap::new();
    for click in clicks {
        for start in (click.at - 59..=click.at).filter(|start| start.rem_euclid(20) == 0) {
            *minutes.entry((start, &click.item)).or_default() += 1;
        }
    }
    let closed = watermark(clicks);
    let mut expected: BTreeMap<(i64, String), (u64, u64)> = BTreeMap::new();
    for ((minute, item), n) in &minutes {
        for start in (0..4).map(|back| minute - back * 20) {
            if start + 60 + 60 <= closed {
                let seen = expected.entry((start, (*item).to_owned())).or_default();
                *seen = (seen.0 + n, seen.1.max(*n));
            }
        }
    }
    let mut shown: BTreeMap<(i64, String), (u64, u64)> = BTreeMap::new();
    for row in stream.rows("out/stretches.jsonl") {
        let start = seconds(&row["window_start"]);
        assert_eq!(seconds(&row["window_end"]), start + 80);
        let item = row["item"].as_str().expect("an item").to_owned();
        let number = |name: &str| row[name].as_u64().unwrap_or_else(|| panic!("{name}: {row}"));
        shown.insert((start, item), (number("total"), number("most")));
    }
    assert_eq!(shown, expected);
}

fn assert_joins_are_exact(stream: &Stream, clicks: &[&Sent]) {
    let ratings: Vec<&Sent> = stream
        .sent
        .iter()
        .filter(|sent| sent.topic == "ratings")
        .collect();
    let closed = watermark(clicks).min(watermark(&ratings));
    let mut expected: BTreeMap<(i64, i64), u64> = BTreeMap::new();
    for click in clicks {
        let start = click.at.div_euclid(60) * 60;
        let led = ratings.iter().filter(|rating| {
            rating.user == click.user && rating.at >= click.at && rating.at.div_euclid(60) * 60 == start
        });
        let led = led.count() as u64;
        if led > 0 && start + 60 <= closed {
            *expected.entry((start, click.user)).or_default() += led;
        }
    }
    let mut shown: BTreeMap<(i64, i64), u64> = BTreeMap::new();
    for row in stream.rows("out/led.jsonl") {
        let key = (
            seconds(&row["window_start"]),
            row["user"].as_i64().expect("a user"),
        );
        shown.insert(key, row["n"].as_u64().expect("a count"));
    }
    assert_eq!(shown, expected);
}

/// Rows by their key.
fn by(rows: &[Value], key: &[&str]) -> BTreeMap<String, Value> {
    let named = |row: &Value| {
        let values: Vec<String> = key.iter().map(|name| row[name].to_string()).collect();
        (values.join(" "), row.clone())
    };
    rows.iter().map(named).collect()
}

/// A time of JSON, in seconds since 1970.
fn seconds(time: &Value) -> i64 {
    let text = time.as_str().unwrap_or_else(|| panic!("a time: {time}"));
    let time = chrono::DateTime::parse_from_rfc3339(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    time.timestamp()
}
