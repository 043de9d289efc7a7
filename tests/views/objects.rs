//! Views in a real S3: exact after kills at any moment, and after the store was away.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::bucket::Bucket;
use crate::stream::{Sent, Stream, objects};
use crate::wait::wait_until;

const VIEWS: &str = r#"
[[views]]
name = "by_item"
sql = "SELECT item, count(*) AS n FROM clicks GROUP BY item ORDER BY item"
outputs = [{ to = "object", url = "BUCKET/by_item.json" }, { to = "json", path = "out/by_item.json" }]

[[views]]
name = "chosen"
sql = "SELECT \"user\", item FROM clicks WHERE \"user\" > 3"
outputs = [{ to = "object", url = "BUCKET/chosen/", format = "jsonl" }]

[[views]]
name = "minutes"
sql = "SELECT item, count(*) AS n FROM clicks GROUP BY item"
window = { size = "60s", lateness = "1h" }
outputs = [{ to = "object", url = "BUCKET/minutes/", format = "jsonl" }]
"#;

fn stream(bucket: &Bucket) -> Stream {
    let mut stream = Stream::new(&VIEWS.replace("BUCKET/", &bucket.url));
    stream.variables = bucket.variables();
    stream
}

#[test]
#[ignore = "needs an S3 server: EVENTLAKE_TEST_S3"]
fn objects_are_exact_after_kills_at_any_moment() {
    let bucket = Bucket::shared();
    let mut stream = stream(&bucket);
    stream.send(400);
    let kills: u64 = match std::env::var("EVENTLAKE_VIEW_KILLS") {
        Ok(text) => text.parse().expect("EVENTLAKE_VIEW_KILLS is a number"),
        Err(_) => 16,
    };
    for kill in 0..kills {
        let daemon = stream.start();
        let before = stream.commits();
        if kill % 4 > 0 {
            wait_until("a commit", || {
                stream.send(10);
                stream.commits() > before
            });
            std::thread::sleep(Duration::from_millis(kill * 89 % 700));
        } else {
            std::thread::sleep(Duration::from_millis(kill * 53 % 500));
        }
        drop(daemon); // killed
    }
    stream.send(300);
    stream.ingest();
    assert_exact(&stream, &bucket);
    // Nothing is put once more when there is nothing new.
    let before = bucket.names("chosen/");
    stream.ingest();
    assert_eq!(bucket.names("chosen/"), before);
    assert_exact(&stream, &bucket);
}

fn assert_exact(stream: &Stream, bucket: &Bucket) {
    let clicks: Vec<&Sent> = stream.sent.iter().filter(|sent| sent.topic == "clicks").collect();
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for click in &clicks {
        *counts.entry(&click.item).or_default() += 1;
    }
    let expected: Vec<Value> = counts
        .iter()
        .map(|(item, n)| json!({"item": item, "n": n}))
        .collect();
    let shown = bucket.text("by_item.json");
    assert_eq!(objects(&shown), expected);
    let file = std::fs::read_to_string(stream.path("out/by_item.json")).expect("a file");
    assert_eq!(shown, file, "the object has the bytes of the file");

    let mut rows = BTreeMap::new();
    for name in bucket.names("chosen/") {
        for row in objects(&bucket.text(&format!("chosen/{name}"))) {
            let number = |name: &str| row[name].as_i64().unwrap_or_else(|| panic!("{name}: {row}"));
            let position = (number("_kafka_partition"), number("_kafka_offset"));
            let item = row["item"].as_str().expect("an item").to_owned();
            let before = rows.insert(position, (number("user"), item));
            assert_eq!(before, None, "{row} twice");
        }
    }
    let chosen = clicks.iter().filter(|click| click.user > 3);
    let expected: BTreeMap<(i64, i64), (i64, String)> = chosen
        .map(|click| ((click.partition, click.offset), (click.user, click.item.clone())))
        .collect();
    assert_eq!(rows, expected);
    assert_windows_are_exact(&clicks, bucket);
}

/// Each object is the window of its name.
fn assert_windows_are_exact(clicks: &[&Sent], bucket: &Bucket) {
    let newest = |partition| {
        let of = clicks.iter().filter(|sent| sent.partition == partition);
        of.map(|sent| sent.at).max().expect("every partition has records")
    };
    let closed = (0..crate::stream::PARTITIONS)
        .map(newest)
        .min()
        .expect("partitions");
    let mut expected: BTreeMap<(String, String), u64> = BTreeMap::new();
    for click in clicks {
        let start = click.at.div_euclid(60) * 60;
        if start + 60 <= closed {
            let start = chrono::DateTime::from_timestamp(start, 0).expect("a time");
            let name = start.format("window-%Y%m%dT%H%M%SZ.jsonl").to_string();
            *expected.entry((name, click.item.clone())).or_default() += 1;
        }
    }
    let mut shown = BTreeMap::new();
    for name in bucket.names("minutes/") {
        for row in objects(&bucket.text(&format!("minutes/{name}"))) {
            let item = row["item"].as_str().expect("an item").to_owned();
            let before = shown.insert((name.clone(), item), row["n"].as_u64().expect("a count"));
            assert_eq!(before, None, "{row} twice");
        }
    }
    assert_eq!(shown, expected);
}

/// A server of the case's own.
struct Server {
    folder: tempfile::TempDir,
}

impl Server {
    fn run(&self, arguments: &[&str]) -> String {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/s3.sh");
        let mut command = Command::new(script);
        command.args(arguments).arg("--dir").arg(self.folder.path());
        let ran = command.stdin(Stdio::null()).output().expect("the script starts");
        assert!(
            ran.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&ran.stderr)
        );
        String::from_utf8(ran.stdout).expect("UTF-8").trim().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.run(&["stop", "--wipe"]);
    }
}

#[test]
#[ignore = "needs versitygw: scripts/s3.sh install"]
fn objects_catch_up_after_the_store_was_away_and_ingestion_waits_for_none() {
    let server = Server {
        folder: tempfile::tempdir().expect("a folder"),
    };
    let bucket = Bucket::at(&server.run(&["start", "--port", "0"]));
    let mut stream = stream(&bucket);
    stream.send(200);
    let daemon = stream.start();
    wait_until("the first objects", || bucket.get("by_item.json").is_some());
    server.run(&["crash"]);
    for _ in 0..3 {
        let before = stream.commits();
        wait_until("commits without the store", || {
            stream.send(10);
            stream.commits() > before
        });
    }
    let clicks = |stream: &Stream| stream.sent.iter().filter(|sent| sent.topic == "clicks").count();
    wait_until("all rows in the lake", || {
        stream.query("SELECT count(*) AS n FROM clicks") == [json!({"n": clicks(&stream)})]
    });
    // The file beside it does not wait either.
    let total = |rows: &[Value]| {
        rows.iter()
            .map(|row| row["n"].as_u64().expect("a count"))
            .sum::<u64>()
    };
    wait_until("all rows in the file", || {
        total(&stream.rows("out/by_item.json")) == clicks(&stream) as u64
    });
    server.run(&["start"]);
    wait_until("all rows in the object", || {
        total(&objects(&bucket.text("by_item.json"))) == clicks(&stream) as u64
    });
    daemon.stop();
    stream.send(300);
    stream.ingest();
    assert_exact(&stream, &bucket);
}

#[test]
#[ignore = "needs an S3 server: EVENTLAKE_TEST_S3"]
fn a_view_that_lost_its_state_overwrites_no_part_and_says_so() {
    let bucket = Bucket::shared();
    let mut stream = stream(&bucket);
    stream.send(200);
    stream.ingest();
    let names = bucket.names("chosen/");
    let parts = || {
        names
            .iter()
            .map(|name| bucket.text(&format!("chosen/{name}")))
            .collect::<Vec<_>>()
    };
    let before = parts();
    std::fs::remove_dir_all(stream.path("checkpoints/+views/chosen")).expect("removed");
    let said = stream.ingest();
    assert!(
        said.contains("there are parts already that this view has not put since it began"),
        "{said}"
    );
    assert_eq!((bucket.names("chosen/"), parts()), (names.clone(), before));
    // Once they are away, it has all rows again.
    for name in &names {
        bucket.delete(&format!("chosen/{name}"));
    }
    stream.send(100);
    stream.ingest();
    assert_exact(&stream, &bucket);
}
