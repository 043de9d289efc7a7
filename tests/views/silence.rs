//! A silence of everything: the last windows close, empty ones are shown and told, and rows that come after it count.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::stream::{Stream, objects};
use crate::wait::wait_up_to;

const VIEWS: &str = r#"
[[views]]
name = "flow"
sql = "SELECT count(*) AS n FROM clicks"
window = { size = "10s", lateness = "1h" }
outputs = [{ to = "jsonl", path = "out/flow.jsonl" }]

[[alerts]]
name = "no_clicks"
view = "flow"
when = "n = 0"
cooldown = "1h"
outputs = [{ to = "log" }]
"#;

/// A stream whose daemon keeps its place in the group while nothing comes.
fn stream() -> Stream {
    let mut stream = Stream::new(VIEWS);
    stream.some_are_late = false;
    let path = stream.path("eventlake.toml");
    let text = std::fs::read_to_string(&path).expect("read");
    let (before, after) = (
        "session.timeout.ms = 1500",
        "session.timeout.ms = 1500, heartbeat.interval.ms = 300",
    );
    assert!(text.contains(before), "{text}");
    std::fs::write(&path, text.replace(before, after)).expect("written");
    stream
}

fn counts(stream: &Stream) -> BTreeMap<i64, u64> {
    let text = std::fs::read_to_string(stream.path("out/flow.jsonl")).unwrap_or_default();
    // A daemon may be in the midst of a line.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    // The last row of a window counts.
    let count = |row: serde_json::Value| {
        let start = row["window_start"].as_str().expect("a window");
        let start = chrono::DateTime::parse_from_rfc3339(start).expect("a time");
        (start.timestamp(), row["n"].as_u64().expect("a count"))
    };
    objects(whole).into_iter().map(count).collect()
}

fn sent(stream: &Stream) -> BTreeMap<i64, u64> {
    let mut windows = BTreeMap::new();
    for click in stream.sent.iter().filter(|sent| sent.topic == "clicks") {
        *windows.entry(click.at.div_euclid(10) * 10).or_default() += 1;
    }
    windows
}

#[test]
fn a_silence_closes_the_last_windows_and_shows_empty_ones() {
    let mut stream = stream();
    stream.send(300);
    let expected = sent(&stream);
    let daemon = stream.start();
    // Partitions are waited for at least 30 s.
    wait_up_to(Duration::from_secs(120), "a window without clicks", || {
        counts(&stream).values().any(|n| *n == 0)
    });
    drop(daemon); // killed
    let mut shown = counts(&stream);
    let first_empty = shown.iter().find(|(_, n)| **n == 0).map(|(start, _)| *start);
    assert_eq!(first_empty, Some(300), "{shown:?}");
    shown.retain(|_, n| *n > 0);
    assert_eq!(shown, expected);

    // These come into windows that were shown as empty.
    stream.send(100);
    let said = stream.ingest();
    assert!(!said.contains("started over"), "{said}");
    let shown = counts(&stream);
    let expected = sent(&stream);
    let closed = shown.keys().next_back().expect("windows");
    assert!(*closed > 300, "{shown:?}");
    for (start, n) in expected.range(..=closed) {
        assert_eq!(shown.get(start), Some(n), "window {start} of {shown:?}");
    }
}

#[test]
fn a_backlog_is_no_silence() {
    let mut stream = stream();
    stream.send(300);
    stream.ingest();
    let before = counts(&stream);
    stream.ingest();
    assert_eq!(counts(&stream), before, "a start alone lets no time pass");
    assert!(before.values().all(|n| *n > 0), "{before:?}");
}
