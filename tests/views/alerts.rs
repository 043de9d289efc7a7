//! Alerts as a receiver gets them: each once for a key and window, repeats after a kill known by their key.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::post::Post;
use crate::stream::Stream;
use crate::wait::wait_until;

/// Takes every post, one request a connection.
fn receiver() -> (String, Arc<Mutex<Vec<Post>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let posts = Arc::new(Mutex::new(Vec::new()));
    let taken = Arc::clone(&posts);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.expect("a client");
            // Who was killed in the midst of a request has told nothing.
            if let Some(post) = Post::take(&stream) {
                taken.lock().expect("held shortly").push(post);
            }
            let _ = (&stream).write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
        }
    });
    (format!("http://{address}/alerts"), posts)
}

fn views(url: &str) -> String {
    format!(
        r#"
[[views]]
name = "minutes"
sql = "SELECT item, count(*) AS n FROM clicks GROUP BY item"
window = {{ size = "60s", lateness = "1h" }}
outputs = [{{ to = "jsonl", path = "out/minutes.jsonl" }}]

[[alerts]]
name = "busy"
view = "minutes"
when = "n > 3"
severity = "critical"
cooldown = "0s"
resolve = false
outputs = [{{ to = "webhook", url = "{url}" }}, {{ to = "log" }}]
"#
    )
}

#[test]
fn each_window_is_told_once_and_a_repeat_after_a_kill_is_known() {
    let (url, posts) = receiver();
    let mut stream = Stream::new(&views(&url));
    stream.some_are_late = false;
    stream.send(300);
    for kill in 0..8 {
        let daemon = stream.start();
        let before = stream.commits();
        wait_until("a commit", || {
            stream.send(20);
            stream.commits() > before
        });
        std::thread::sleep(std::time::Duration::from_millis(kill * 97 % 500));
        drop(daemon); // killed
    }
    stream.send(200);
    let said = stream.ingest();
    assert!(said.contains("alert [critical] busy firing: "), "{said}");

    let clicks = stream.sent.iter().filter(|sent| sent.topic == "clicks");
    let mut minutes: BTreeMap<(i64, &str), u64> = BTreeMap::new();
    for click in clicks.clone() {
        *minutes
            .entry((click.at.div_euclid(60) * 60, &click.item))
            .or_default() += 1;
    }
    let newest = |partition| {
        let of = clicks.clone().filter(|sent| sent.partition == partition);
        of.map(|sent| sent.at).max().expect("every partition has clicks")
    };
    let closed = (0..crate::stream::PARTITIONS)
        .map(newest)
        .min()
        .expect("partitions");
    let expected: BTreeSet<(i64, String, u64)> = minutes
        .iter()
        .filter(|((start, _), n)| **n > 3 && start + 60 <= closed)
        .map(|((start, item), n)| (*start, (*item).to_owned(), *n))
        .collect();
    assert!(expected.len() > 20, "a test of nothing: {expected:?}");

    let posts = posts.lock().expect("held shortly");
    let mut by_key: BTreeMap<&str, Value> = BTreeMap::new();
    let mut told = BTreeSet::new();
    for post in posts.iter() {
        let key = post.header("idempotency-key").expect("a key");
        let said = post.json();
        let (alert, status) = (said["alert"].as_str(), said["status"].as_str());
        assert_eq!((alert, status), (Some("busy"), Some("firing")), "{said}");
        let time = said["window_start"].as_str().expect("a window");
        let start = chrono::DateTime::parse_from_rfc3339(time)
            .expect("a time")
            .timestamp();
        let item = said["key"]["item"].as_str().expect("an item").to_owned();
        let n = said["row"]["n"].as_u64().expect("a count");
        if let Some(before) = by_key.insert(key, said.clone()) {
            assert_eq!(
                (&before["key"], &before["window_start"]),
                (&said["key"], &said["window_start"])
            );
        } else {
            assert!(
                told.insert((start, item, n)),
                "{said} once more, under another key"
            );
        }
    }
    assert_eq!(told, expected);
    // One process repeats nothing: repeats are as many as processes at most, for each what it was telling when it was killed.
    assert!(posts.len() <= told.len() + 8 * 32, "{} posts", posts.len());
}
