//! A real S3, which the environment names; the case that freezes and kills its server starts one of its own:
//!
//! `EVENTLAKE_TEST_S3=$(scripts/s3.sh start --port 0) cargo test --release --bin eventlake object -- --ignored`

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

#[allow(dead_code, reason = "others need more of it")]
#[path = "../../../../../tests/support/bucket.rs"]
mod bucket;

use bucket::Bucket;

fn at(bucket: &Bucket, name: &str) -> Object {
    let variables = bucket.variables();
    let borrowed: Vec<(&str, &str)> = variables
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    output(&format!("{}{name}", bucket.url), &borrowed)
}

/// The mark that a view's beginning is kept with.
fn begun() -> Mark {
    beginning()
}

#[test]
#[ignore = "needs an S3 server: EVENTLAKE_TEST_S3"]
fn whoever_reads_sees_one_state_and_never_parts_of_two() {
    let bucket = Bucket::shared();
    let endpoint = bucket.endpoint.clone();
    let name = bucket.url.clone();
    let mut object = at(&bucket, "x.json");
    let states: Vec<Vec<i64>> = (1..40)
        .map(|n| vec![n; usize::try_from(n * 400).expect("small")])
        .collect();
    Shown::whole(1, &states[0]).to(&mut object, None).expect("shown");
    let ended = Arc::new(AtomicBool::new(false));
    let reading = {
        let ended = Arc::clone(&ended);
        std::thread::spawn(move || {
            let reader = Bucket::named(&endpoint, &name);
            let mut seen = std::collections::BTreeSet::new();
            while !ended.load(Ordering::Relaxed) {
                let text = reader.text("x.json");
                let count = text.lines().count();
                let state = text.lines().next().expect("rows");
                let state: Value = serde_json::from_str(state).expect("a row");
                let state = state["n"].as_u64().expect("a number");
                assert_eq!(count as u64, state * 400, "half of a state");
                let of_state = format!("\"n\":{state}}}");
                assert!(text.lines().all(|line| line.ends_with(&of_state)), "parts of two");
                seen.insert(state);
            }
            seen.len()
        })
    };
    for (as_of, state) in states.iter().enumerate() {
        Shown::whole(as_of as u64 + 1, state)
            .to(&mut object, None)
            .expect("shown");
    }
    ended.store(true, Ordering::Relaxed);
    let seen = reading.join().expect("each state was whole");
    assert!(seen > 2, "the reader has seen {seen} states");
    assert_eq!(bucket.text("x.json").lines().count(), 39 * 400);
}

#[test]
#[ignore = "needs an S3 server: EVENTLAKE_TEST_S3"]
fn an_older_state_never_takes_a_newer_ones_place() {
    let bucket = Bucket::shared();
    let mut ahead = at(&bucket, "x.json");
    let mut behind = at(&bucket, "x.json");
    Shown::whole(5, &[5]).to(&mut behind, None).expect("shown");
    Shown::whole(9, &[9]).to(&mut ahead, None).expect("shown");
    // It knows the object as of 5, which is another one now.
    Shown::whole(6, &[6]).to(&mut behind, None).expect("passed over");
    assert_eq!(bucket.text("x.json"), "{\"type\":\"type 0\",\"n\":9}\n");
    assert_eq!(bucket.noted("x.json", AS_OF).as_deref(), Some("9"));
    Shown::whole(10, &[10]).to(&mut behind, None).expect("shown");
    assert_eq!(bucket.text("x.json"), "{\"type\":\"type 0\",\"n\":10}\n");
    let others = Shown::whole(11, &[1]).to_of(&mut at(&bucket, "x.json"), None, "others");
    assert!(
        others
            .expect_err("another's")
            .contains("it shows the view totals")
    );
    // Somebody else's object at that name is replaced, as a file is.
    bucket.put("mine.json", "mine");
    Shown::whole(1, &[1])
        .to(&mut at(&bucket, "mine.json"), None)
        .expect("shown");
    assert_eq!(bucket.text("mine.json"), "{\"type\":\"type 0\",\"n\":1}\n");
    // One that was deleted meanwhile is put anew.
    bucket.delete("x.json");
    Shown::whole(12, &[12]).to(&mut behind, None).expect("shown");
    assert_eq!(bucket.text("x.json"), "{\"type\":\"type 0\",\"n\":12}\n");
}

#[test]
#[ignore = "needs an S3 server: EVENTLAKE_TEST_S3"]
fn each_row_is_in_one_part_whatever_is_shown_again() {
    let bucket = Bucket::shared();
    let part = |number: u64| format!("p/{}", name_of_part(number, ObjectFormat::JsonLines));
    let mut object = at(&bucket, "p/");
    let start = begun();
    let first = Shown::new_rows(&[1, 2])
        .to(&mut object, start.clone())
        .expect("shown");
    let second = Shown::new_rows(&[3])
        .to(&mut object, first.clone())
        .expect("shown");
    let third = Shown::new_rows(&[4])
        .to(&mut object, second.clone())
        .expect("shown");
    assert_eq!(third.expect("a mark")["next"], 3);
    // Nothing is no object.
    let none = Shown::new_rows(&[])
        .to(&mut object, second.clone())
        .expect("nothing");
    assert_eq!(none, second);
    // A process that was killed after all three, of which the first was kept: the others come again, divided otherwise.
    let mut object = at(&bucket, "p/");
    Shown::new_rows(&[3, 4, 5]).to(&mut object, first).expect("shown");
    assert_eq!(
        bucket.names("p/"),
        [
            "part-00000000000000000000.jsonl",
            "part-00000000000000000001.jsonl"
        ]
    );
    assert_eq!(bucket.text(&part(1)).lines().count(), 3);
    // A reply that got lost: the same part again, by the same process.
    Shown::new_rows(&[1])
        .to(&mut object, second.clone())
        .expect("shown");
    Shown::new_rows(&[1, 2]).to(&mut object, second).expect("shown");
    assert_eq!(bucket.text(&part(2)).lines().count(), 2);

    // A view that began anew knows nothing of them, and neither overwrites them nor shows its rows twice.
    let before = bucket.text(&part(0));
    let anew = Shown::new_rows(&[9]).to(&mut at(&bucket, "p/"), begun());
    let said = anew.expect_err("parts are there");
    assert!(
        said.contains("there are parts already") && said.contains("hint: set the url to a prefix of its own"),
        "{said}"
    );
    assert_eq!(bucket.text(&part(0)), before);
    // And so where the first ones are gone.
    bucket.delete(&part(0));
    let mut anew = at(&bucket, "p/");
    let next = Shown::new_rows(&[9]).to(&mut anew, begun()).expect("shown");
    assert!(Shown::new_rows(&[9]).to(&mut anew, next).is_err());
    assert_eq!(bucket.text(&part(1)).lines().count(), 3);
}

#[test]
#[ignore = "needs an S3 server: EVENTLAKE_TEST_S3"]
fn each_window_is_an_object_and_the_newest_one_is_where_there_is_one() {
    let bucket = Bucket::shared();
    let mut each = at(&bucket, "w/");
    let mut newest = at(&bucket, "newest.json");
    let shown = Shown::windows(3, &[60, 120, 120]);
    assert_eq!(shown.to(&mut each, None), Ok(None));
    let mark = shown.to(&mut newest, None).expect("shown");
    assert_eq!(mark, Some(json!(120 * S)));
    assert_eq!(bucket.text("newest.json").lines().count(), 2);
    // A row came late.
    let late = Shown {
        windows: vec![60 * S, 180 * S],
        ..Shown::windows(4, &[60, 60])
    };
    late.to(&mut each, None).expect("shown");
    let mark = late.to(&mut newest, mark).expect("an older window");
    assert_eq!(mark, Some(json!(120 * S)));
    assert_eq!(bucket.text("newest.json").lines().count(), 2);
    let names = [
        "window-19700101T000100Z.jsonl",
        "window-19700101T000200Z.jsonl",
        "window-19700101T000300Z.jsonl",
    ];
    assert_eq!(bucket.names("w/"), names);
    let lines = names.map(|name| bucket.text(&format!("w/{name}")).lines().count());
    assert_eq!(lines, [2, 2, 0], "the last one has no rows, and says so");
    // Older ones come late from another process.
    Shown::windows(3, &[60])
        .to(&mut at(&bucket, "w/"), None)
        .expect("passed over");
    assert_eq!(bucket.text("w/window-19700101T000100Z.jsonl").lines().count(), 2);
}

#[test]
#[ignore = "needs an S3 server: EVENTLAKE_TEST_S3"]
fn csv_and_parquet_are_whole_files() {
    let bucket = Bucket::shared();
    let shown = Shown::whole(1, &[1, 2]);
    shown.to(&mut at(&bucket, "x.csv"), None).expect("shown");
    assert_eq!(bucket.text("x.csv"), "type,n\ntype 0,1\ntype 1,2\n");
    shown.to(&mut at(&bucket, "x.parquet"), None).expect("shown");
    let bytes = bytes::Bytes::from(bucket.get("x.parquet").expect("an object"));
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReader::try_new(bytes, 10).expect("Parquet");
    let batches: Vec<RecordBatch> = reader.map(|batch| batch.expect("rows")).collect();
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 2);
}

#[test]
#[ignore = "needs an S3 server: EVENTLAKE_TEST_S3"]
fn a_store_without_conditional_writes_is_looked_at_each_time() {
    let bucket = Bucket::shared();
    let open = |name: &str| {
        let mut variables = bucket.variables();
        variables.push(("AWS_CONDITIONAL_PUT", "disabled".to_owned()));
        let borrowed: Vec<(&str, &str)> = variables
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        output(&format!("{}{name}", bucket.url), &borrowed)
    };
    let mut object = open("x.json");
    for as_of in [5, 6] {
        Shown::whole(as_of, &[as_of as i64])
            .to(&mut object, None)
            .expect("shown");
    }
    Shown::whole(9, &[9])
        .to(&mut open("x.json"), None)
        .expect("shown");
    Shown::whole(7, &[7]).to(&mut object, None).expect("passed over");
    assert_eq!(bucket.text("x.json"), "{\"type\":\"type 0\",\"n\":9}\n");
    let mut parts = open("p/");
    let mark = Shown::new_rows(&[1]).to(&mut parts, begun()).expect("shown");
    Shown::new_rows(&[2]).to(&mut parts, mark).expect("shown");
    assert!(Shown::new_rows(&[1]).to(&mut open("p/"), begun()).is_err());
    assert_eq!(bucket.names("p/").len(), 2);
}

#[test]
#[ignore = "needs an S3 server: EVENTLAKE_TEST_S3"]
fn wrong_credentials_and_a_missing_bucket_are_told_apart() {
    let bucket = Bucket::shared();
    let shown = Shown::whole(1, &[1]);
    let with = |url: &str, key: &str, secret: &str| {
        let variables = [
            ("AWS_ENDPOINT_URL", bucket.endpoint.as_str()),
            ("AWS_ACCESS_KEY_ID", key),
            ("AWS_SECRET_ACCESS_KEY", secret),
        ];
        let said = shown.to(&mut output(url, &variables), None).expect_err("refused");
        assert!(!said.contains(secret), "{said}");
        said
    };
    let (key, secret) = (&bucket.variables()[1].1, &bucket.variables()[2].1);
    let object = format!("{}x.json", bucket.url);
    let hint = "hint: are AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY those of this store?";
    let said = with(&object, key, "wrong+secret/of-mine");
    assert!(
        said.contains("403 Forbidden (SignatureDoesNotMatch)") && said.ends_with(hint),
        "{said}"
    );
    let said = with(&object, "nobody", secret);
    assert!(
        said.contains("No user exists with the provided access key ID") && said.ends_with(hint),
        "{said}"
    );
    let said = with("s3://no-such-bucket-here/x.json", key, secret);
    assert!(
        said.contains("404 Not Found (NoSuchBucket)")
            && said.ends_with("hint: make the bucket, or correct the url"),
        "{said}"
    );
    assert_eq!(bucket.get("x.json"), None);
}

/// A server of the case's own.
struct Server {
    folder: tempfile::TempDir,
}

impl Server {
    fn start() -> (Server, Bucket) {
        let server = Server {
            folder: tempfile::tempdir().expect("a folder"),
        };
        let bucket = Bucket::at(&server.run(&["start", "--port", "0"]));
        (server, bucket)
    }

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
fn a_server_that_freezes_or_dies_is_given_up_and_found_again() {
    let (server, bucket) = Server::start();
    let mut object = at(&bucket, "x.json");
    Shown::whole(1, &[1]).to(&mut object, None).expect("shown");
    server.run(&["freeze"]);
    let began = Instant::now();
    let said = Shown::whole(2, &[2]).to(&mut object, None).expect_err("frozen");
    assert!(said.contains("it did not answer in time"), "{said}");
    assert!(began.elapsed() < Duration::from_secs(45), "{:?}", began.elapsed());
    server.run(&["thaw"]);
    Shown::whole(3, &[3]).to(&mut object, None).expect("shown");
    // What it was sent while it was frozen comes late, and is not taken.
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(bucket.text("x.json"), "{\"type\":\"type 0\",\"n\":3}\n");
    server.run(&["crash"]);
    let began = Instant::now();
    let said = Shown::whole(4, &[4]).to(&mut object, None).expect_err("dead");
    assert!(said.contains("it cannot be reached"), "{said}");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    server.run(&["start"]);
    Shown::whole(5, &[5]).to(&mut object, None).expect("shown");
    assert_eq!(bucket.text("x.json"), "{\"type\":\"type 0\",\"n\":5}\n");
}
