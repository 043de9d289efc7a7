//! What a view's settings do: where it begins, how much it may keep, what comes of changing it, and every fault of its SQL.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::stream::Stream;
use crate::wait::wait_until;

fn counting(settings: &str) -> String {
    format!(
        "[[views]]\nname = \"total\"\nsql = \"SELECT count(*) AS n FROM clicks\"\n{settings}\n\
         outputs = [{{ to = \"json\", path = \"out/total.json\" }}]\n"
    )
}

#[test]
fn a_view_begins_with_the_whole_lake_or_with_what_comes_now() {
    let mut stream = Stream::new("");
    stream.send(100);
    stream.ingest();
    stream.set_views(&counting("start = \"now\""));
    stream.ingest();
    assert!(!stream.path("out/total.json").exists(), "nothing came since");
    stream.send(50);
    stream.ingest();
    assert_eq!(stream.rows("out/total.json"), [json!({"n": 40})]);
    stream.set_views(&counting(""));
    stream.ingest();
    assert_eq!(
        stream.rows("out/total.json"),
        [json!({"n": 40})],
        "it has begun already"
    );
    std::fs::remove_dir_all(stream.path("checkpoints/+views")).expect("removed");
    stream.ingest();
    assert_eq!(stream.rows("out/total.json"), [json!({"n": 120})]);
}

#[test]
fn another_sql_is_another_view() {
    let mut stream = Stream::new(&counting(""));
    stream.send(100);
    stream.ingest();
    let other = counting("").replace("count(*)", "max(n)");
    stream.set_views(&other);
    stream.ingest();
    assert_eq!(stream.rows("out/total.json"), [json!({"n": 98})]);
}

#[test]
fn a_view_with_too_many_groups_stops_and_ingestion_does_not() {
    let view = "[[views]]\nname = \"items\"\nsql = \"SELECT item, count(*) AS n FROM clicks GROUP BY item\"\nmax_groups = 5\n\
                outputs = [{ to = \"json\", path = \"out/items.json\" }]\n";
    let mut stream = Stream::new(view);
    stream.send(100);
    let said = stream.ingest();
    assert!(said.contains("it has 13 groups, and max_groups is 5"), "{said}");
    assert_eq!(
        stream.query("SELECT count(*) AS n FROM clicks"),
        [json!({"n": 80})]
    );
    stream.set_views(&view.replace("max_groups = 5", "max_groups = 13"));
    stream.ingest();
    assert_eq!(stream.rows("out/items.json").len(), 13);
}

#[test]
fn an_output_that_cannot_be_written_holds_up_nothing_and_catches_up() {
    let views = counting("").replace(
        "outputs = [",
        "outputs = [{ to = \"jsonl\", path = \"out/taken\" }, ",
    );
    let mut stream = Stream::new(&views);
    std::fs::create_dir_all(stream.path("out/taken")).expect("a folder in its place");
    stream.send(100);
    let said = stream.ingest();
    assert!(said.contains("the output does not take rows"), "{said}");
    assert_eq!(stream.rows("out/total.json"), [json!({"n": 80})]);
    std::fs::remove_dir(stream.path("out/taken")).expect("removed");
    stream.ingest();
    assert_eq!(stream.rows("out/taken"), [json!({"n": 80})]);
}

#[test]
fn a_file_that_is_replaced_while_its_rows_wait_for_an_output_is_found_again() {
    let view = "[[views]]\nname = \"all\"\nsql = \"SELECT n FROM clicks\"\noutputs = [{ to = \"jsonl\", path = \"out/taken\" }]\n";
    let mut stream = Stream::new(view);
    std::fs::create_dir_all(stream.path("out/taken")).expect("a folder in its place");
    stream.send(100);
    let daemon = stream.start();
    let all = [json!({"n": 80})];
    let count = "SELECT count(*) AS n FROM clicks";
    wait_until("all are committed", || {
        stream.commits() > 0 && stream.query(count) == all
    });
    // The view looks at the log ten times a second, and the output has failed then.
    std::thread::sleep(std::time::Duration::from_secs(1));
    let lost = files_of(&stream.path("data/parquet/clicks"));
    std::fs::remove_file(&lost[0]).expect("removed");
    stream.ingest();
    assert_eq!(stream.query(count), all, "another process has written it again");
    assert!(!lost[0].exists(), "under another name");
    std::fs::remove_dir(stream.path("out/taken")).expect("removed");
    wait_until("the rows are shown", || stream.path("out/taken").exists());
    daemon.stop();
    let mut shown: Vec<_> = stream
        .rows("out/taken")
        .iter()
        .map(|row| row["n"].as_i64())
        .collect();
    shown.sort_unstable();
    shown.dedup();
    assert_eq!((shown.len(), stream.rows("out/taken").len()), (80, 80));
}

/// The Parquet files below a folder.
fn files_of(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths
        .flat_map(|path| {
            if path.is_dir() {
                files_of(&path)
            } else {
                vec![path]
            }
        })
        .filter(|path| path.extension().is_some_and(|extension| extension == "parquet"))
        .collect()
}

#[test]
fn a_file_that_was_there_before_is_kept() {
    let view = "[[views]]\nname = \"all\"\nsql = \"SELECT item FROM clicks\"\noutputs = [{ to = \"csv\", path = \"mine.csv\" }]\n";
    let mut stream = Stream::new(view);
    std::fs::write(stream.path("mine.csv"), "precious\n").expect("written");
    stream.send(10);
    stream.ingest();
    let kept = std::fs::read_to_string(stream.path("mine.csv.before-1")).expect("kept");
    assert_eq!(kept, "precious\n");
    let rows = std::fs::read_to_string(stream.path("mine.csv")).expect("rows");
    assert_eq!(rows.lines().count(), 9);
}

#[test]
fn check_tells_what_views_and_alerts_there_are() {
    let alert = "[[alerts]]\nname = \"much\"\nview = \"total\"\nwhen = \"n > 3\"\n";
    let stream =
        Stream::new(&(counting("every = \"5s\"\nwindow = { size = \"60s\", slide = \"10s\" }") + alert));
    let said = stream.run(&["check"]);
    let said = String::from_utf8_lossy(&said.stdout);
    let cells = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let line = |name: &str| {
        cells(
            said.lines()
                .find(|line| line.starts_with(name))
                .unwrap_or_else(|| panic!("{said}")),
        )
    };
    assert_eq!(
        line("total "),
        ["total", "1m", "every", "10s", "every", "5s", "json"]
    );
    assert_eq!(line("much "), ["much", "total", "warning", "log"]);
    let report: serde_json::Value =
        serde_json::from_slice(&stream.run(&["check", "--json"]).stdout).expect("an object");
    assert_eq!(report["views"][0]["window"]["slide_seconds"], json!(10.0));
    assert_eq!(report["alerts"][0]["outputs"], json!(["log"]));
}

#[test]
fn check_points_at_what_is_wrong_with_a_view() {
    let cases = [
        ("SELECT itm FROM clicks", "no column itm", "did you mean item?"),
        ("SELECT item FROM click", "no table click", "did you mean clicks?"),
        (
            "SELECT c.item FROM clicks c JOIN ratings r ON c.item = r.item",
            "a join needs a window",
            "window.size",
        ),
        ("SELECT item, count(*) AS n FROM clicks", "GROUP BY", "item"),
    ];
    for (sql, message, hint) in cases {
        let stream = Stream::new(&counting("").replace("SELECT count(*) AS n FROM clicks", sql));
        let output = stream.command(&["check"]).output().expect("the program starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{sql}: {said}");
        assert!(
            said.contains("eventlake.toml:") && said.contains(message) && said.contains(hint),
            "{sql}: {said}"
        );
    }
    let alert = "[[alerts]]\nname = \"much\"\nview = \"total\"\nwhen = \"m > 3\"\n";
    let output = Stream::new(&(counting("") + alert))
        .command(&["check"])
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("no column m") && said.contains("did you mean n?"),
        "{said}"
    );
    let above = "[[views]]\nname = \"above\"\nsql = \"SELECT max(n) AS n FROM total\"\nwindow.size = \"60s\"\n\
                 outputs = [{ to = \"console\" }]\n";
    let output = Stream::new(&(above.to_owned() + &counting("")))
        .command(&["check"])
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("view total has no windows"), "{said}");
    let below = counting("window = { size = \"50s\", slide = \"25s\" }");
    let output = Stream::new(&(above.to_owned() + &below))
        .command(&["check"])
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("must be multiples of the slide of total, which is 25 s"),
        "{said}"
    );
    let rows = counting("").replace("count(*) AS n", "item");
    let output = Stream::new(&rows)
        .command(&["check"])
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("grows for ever"), "{said}");
}
