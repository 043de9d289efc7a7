//! The endpoints over real connections: what they answer, and what a hostile client gets.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use eventlake_core::config::ListenAddress;
use eventlake_core::names::{TableName, TopicName};
use eventlake_core::position::{Offset, PartitionId};
use eventlake_core::violation::Code;
use eventlake_engine::telemetry::{
    CodeCounts, CommittedRoll, KafkaState, RollReason, Telemetry, TopicState, Work,
};

use super::endpoints::LiveStatus;
use super::{CONNECTIONS_MAX, ServerHandle, serve};

fn process() -> Arc<Telemetry> {
    let named = |name: &str| {
        (
            TopicName::new(name).expect("a topic's name"),
            TableName::new(name).expect("a table's name"),
        )
    };
    Arc::new(Telemetry::new(
        "writer-1",
        1_700_000_000_000,
        512 << 20,
        [named("clicks"), named("client.tickets")],
    ))
}

fn served(telemetry: &Arc<Telemetry>) -> (ServerHandle, SocketAddr) {
    let any = ListenAddress::At("127.0.0.1:0".parse().expect("an address"));
    let server = serve(any, Arc::clone(telemetry)).expect("served");
    let address = server.address().expect("an address");
    (server, address)
}

/// Sends one request as it stands and reads all of the answer.
fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("connected");
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("a timeout");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer that ends");
    answer
}

fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let answer = exchange(
        address,
        &format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n"),
    );
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head
        .split(' ')
        .nth(1)
        .expect("a status")
        .parse()
        .expect("a number");
    (status, body.to_owned())
}

fn roll() -> CommittedRoll {
    let mut rejected = CodeCounts::default();
    rejected.add(Code::ExclusiveMinimum, 2);
    rejected.add(Code::MalformedJson, 5);
    CommittedRoll {
        number: 42,
        at_unix_millis: 1_700_000_010_500,
        reason: RollReason::Size,
        took: Duration::from_millis(1500),
        accepted: 93,
        rejected,
        tombstones: 1,
        filtered: 3,
        absent: 3,
        lost: 0,
        files: 2,
        file_bytes: 4096,
        newest_event_micros: Some(1_700_000_009_250_000),
        checkpoint: vec![(PartitionId(0), Offset(104))],
    }
}

#[test]
fn readyz_follows_the_assignment_and_every_topic() {
    let telemetry = process();
    let (_server, address) = served(&telemetry);
    assert_eq!(get(address, "/healthz"), (200, "ok\n".to_owned()));
    let (status, body) = get(address, "/readyz");
    assert_eq!(status, 503);
    assert!(
        body.contains("not ready: no partitions assigned by the consumer group yet\n"),
        "{body}"
    );

    telemetry.set_assigned(true);
    telemetry.set_kafka(KafkaState::Connected);
    telemetry
        .topics()
        .iter()
        .for_each(|topic| topic.set_state(TopicState::Running));
    assert_eq!(get(address, "/readyz"), (200, "ready\n".to_owned()));

    let why = "retention passed the checkpoint\r\nof partition 3".to_owned();
    telemetry.topics()[1].set_state(TopicState::Stopped { why });
    let expected =
        "not ready: topic client.tickets has stopped: retention passed the checkpoint  of partition 3\n";
    assert_eq!(get(address, "/readyz"), (503, expected.to_owned()));
    assert_eq!(
        get(address, "/healthz").0,
        200,
        "a stopped topic is no reason to kill the process"
    );

    telemetry.topics()[1].set_state(TopicState::Running);
    assert_eq!(get(address, "/readyz").0, 503, "a stopped topic stays stopped");
    telemetry.set_stopping();
    let (status, body) = get(address, "/readyz");
    assert_eq!(status, 503);
    assert!(body.contains("not ready: the ingester is stopping\n"), "{body}");
}

/// Samples by name and labels, by the rules of the format; a line that breaks a rule fails.
fn parsed(text: &str) -> (BTreeMap<String, f64>, BTreeMap<String, String>) {
    let (mut samples, mut kinds, mut helped) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
    let mut current = String::new();
    assert!(text.ends_with('\n'), "the last line ends in a newline");
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, words) = help.split_once(' ').expect("a name and words");
            assert!(
                !words.is_empty() && helped.insert(name.to_owned()),
                "{name} is explained once"
            );
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect("a name and a kind");
            assert!(
                helped.contains(name) && ["counter", "gauge"].contains(&kind),
                "{line}"
            );
            assert!(
                kinds.insert(name.to_owned(), kind.to_owned()).is_none(),
                "{name} has one group of lines"
            );
            name.clone_into(&mut current);
        } else {
            let (series, value) = line.rsplit_once(' ').expect("a series and a value");
            let name = series.split('{').next().expect("a name");
            assert_eq!(name, current, "samples stand below their TYPE line");
            assert!(
                name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'),
                "{name}"
            );
            assert_eq!(
                kinds[name] == "counter",
                name.ends_with("_total"),
                "{name} is named by its kind"
            );
            if let Some(labels) = series.strip_prefix(&format!("{name}{{")) {
                let labels = labels.strip_suffix("\"}").expect("labels end");
                for label in labels.split("\",") {
                    let (label, value) = label.split_once("=\"").expect("a label and its value");
                    assert!(
                        ["topic", "code", "reason", "state", "version", "work"].contains(&label),
                        "{label}"
                    );
                    assert!(!value.contains('"'), "{line}");
                }
            }
            let value: f64 = value.parse().expect("a number");
            assert!(
                samples.insert(series.to_owned(), value).is_none(),
                "{series} stands once"
            );
        }
    }
    (samples, kinds)
}

#[test]
fn metrics_are_prometheus_text_and_count_every_refused_record_by_code() {
    let telemetry = process();
    let topic = &telemetry.topics()[0];
    topic.on_assigned(PartitionId(0), Offset(0));
    topic.set_end([(PartitionId(0), Offset(204))]);
    topic.on_consumed(101, 16_000);
    topic.on_committed(&roll());
    topic.on_worked(Work::Write, Duration::from_millis(250));
    topic.on_undeclared([("a\"} evil{x=\"", 3)]);
    let (_server, address) = served(&telemetry);
    let answer = exchange(address, "GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n");
    assert!(
        answer.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"),
        "{answer}"
    );
    let (status, body) = get(address, "/metrics");
    assert_eq!(status, 200);
    assert!(!body.contains("evil"), "names from records are no labels");
    let (samples, kinds) = parsed(&body);
    assert!(
        kinds
            .keys()
            .all(|name| name.starts_with("eventlake_") || name == "process_resident_memory_bytes")
    );
    let of = |name: &str| samples[&format!("eventlake_{name}")];
    assert_eq!(
        of("rejected_records_total{topic=\"clicks\",code=\"exclusiveMinimum\"}"),
        2.0
    );
    assert_eq!(
        of("rejected_records_total{topic=\"clicks\",code=\"malformed_json\"}"),
        5.0
    );
    for topic in ["clicks", "client.tickets"] {
        for code in Code::ALL {
            of(&format!(
                "rejected_records_total{{topic=\"{topic}\",code=\"{code}\"}}"
            ));
        }
    }
    assert_eq!(of("accepted_records_total{topic=\"clicks\"}"), 93.0);
    assert_eq!(of("consumed_records_total{topic=\"clicks\"}"), 101.0);
    assert_eq!(of("rolls_total{topic=\"clicks\",reason=\"size\"}"), 1.0);
    assert_eq!(of("roll_seconds_total{topic=\"clicks\"}"), 1.5);
    assert_eq!(of("work_seconds_total{topic=\"clicks\",work=\"write\"}"), 0.25);
    assert_eq!(
        of("last_commit_timestamp_seconds{topic=\"clicks\"}"),
        1_700_000_010.5
    );
    assert_eq!(of("lag_records{topic=\"clicks\"}"), 100.0);
    assert_eq!(
        of("topic_state{topic=\"client.tickets\",state=\"starting\"}"),
        1.0
    );
    assert_eq!(of("start_time_seconds"), 1_700_000_000.0);
    assert!(
        !samples.contains_key("eventlake_last_commit_number{topic=\"client.tickets\"}"),
        "no commit yet"
    );
}

#[test]
fn status_answers_the_snapshot_as_json() {
    let telemetry = process();
    telemetry.topics()[0].on_committed(&roll());
    let (_server, address) = served(&telemetry);
    let (status, body) = get(address, "/api/v1/status");
    assert_eq!(status, 200);
    let live: LiveStatus = serde_json::from_str(&body).expect("a status");
    assert_eq!(live.process.topics[0], telemetry.topics()[0].snapshot());
    assert_eq!(live.process.writer, "writer-1");
    assert!(live.as_of_unix_millis > 1_700_000_000_000);
}

#[test]
fn only_get_and_head_are_taken_and_unknown_paths_say_what_there_is() {
    let telemetry = process();
    let (_server, address) = served(&telemetry);
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let answer = exchange(address, &format!("{method} /metrics HTTP/1.1\r\nhost: x\r\n\r\n"));
        assert!(answer.starts_with("HTTP/1.1 405 "), "{method}: {answer}");
    }
    let answer = exchange(address, "HEAD /healthz HTTP/1.1\r\nhost: x\r\n\r\n");
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\n"),
        "{answer}"
    );
    let (status, body) = get(address, "/nowhere");
    assert!(
        status == 404 && body.contains("/api/v1/status"),
        "{status} {body}"
    );
}

#[test]
fn a_port_in_use_is_no_reason_to_stop() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address");
    let server = serve(ListenAddress::At(address), process()).expect("goes on");
    assert_eq!(server.address(), None);
    server.stop();
    assert_eq!(
        serve(ListenAddress::Off, process()).expect("goes on").address(),
        None
    );
}

#[test]
fn clients_that_never_finish_are_cut_off_and_others_get_through() {
    let telemetry = process();
    let (_server, address) = served(&telemetry);
    let started = Instant::now();
    let slow: Vec<TcpStream> = (0..CONNECTIONS_MAX + 8)
        .map(|_| {
            let mut stream = TcpStream::connect(address).expect("connected");
            stream
                .write_all(b"GET /metrics HTTP/1.1\r\nx-slow: ")
                .expect("sent");
            stream
        })
        .collect();
    assert_eq!(get(address, "/healthz").0, 200);
    assert!(
        started.elapsed() < Duration::from_secs(15),
        "{:?}",
        started.elapsed()
    );
    for mut stream in slow {
        stream
            .set_read_timeout(Some(Duration::from_secs(15)))
            .expect("a timeout");
        let mut rest = Vec::new();
        // An end of the stream or a reset: either way the server has let go. A time-out of ours is a failure.
        if let Err(error) = stream.read_to_end(&mut rest) {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
        }
    }
}

#[test]
fn a_head_without_end_is_refused() {
    let telemetry = process();
    let (_server, address) = served(&telemetry);
    let mut stream = TcpStream::connect(address).expect("connected");
    stream
        .set_read_timeout(Some(Duration::from_secs(15)))
        .expect("a timeout");
    let line = format!("x-filler: {}\r\n", "y".repeat(4000));
    // Sending may fail once the server has hung up; what it says, if anything, is a refusal.
    let _ = stream.write_all(b"GET / HTTP/1.1\r\n");
    for _ in 0..64 {
        if stream.write_all(line.as_bytes()).is_err() {
            break;
        }
    }
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 431 "),
        "{answer}"
    );
}

#[test]
fn stopping_frees_the_port() {
    let (server, address) = served(&process());
    server.stop();
    TcpListener::bind(address).expect("the port is free again");
}
