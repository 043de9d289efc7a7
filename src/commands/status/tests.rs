//! Status of real lakes: with brokers and without, with an ingester, damaged, and always without a trace.

use std::io::Read as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use eventlake_core::names::{TableName, TopicName};
use eventlake_core::violation::Code;
use eventlake_engine::kafka::builtin::BuiltinBroker;
use eventlake_engine::kafka::topics::describe;
use eventlake_engine::telemetry::{Telemetry, TopicState};
use rdkafka::consumer::Consumer as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use super::report::Reporter;
use super::view::to_text;
use crate::commands::test_lake::{Refused, TestLake, config_in};
use crate::server;

/// A port of this machine on which nobody listens.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address").to_string()
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files_below(&path));
        }
        found.push(path);
    }
    found.sort();
    found
}

const NOW: i64 = 1_795_222_800_000_000;

#[test]
fn a_lake_that_never_was_is_shown_and_not_made() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = config_in(folder.path(), &nobody(), &nobody());
    let report = Reporter::new(&config).look(&config, NOW);
    assert!(!report.faults() && !report.kafka.reachable && !report.daemon.answered);
    assert_eq!(
        report.daemon.why, None,
        "that nobody listens needs no explanation"
    );
    let topic = &report.topics[0];
    assert_eq!((topic.state, topic.lag_records), ("no_daemon", None));
    assert!(topic.lake.is_none());
    let text = to_text(&report, NOW);
    assert!(
        text.contains("clicks  -        -      -     -         -      -     -        never\n"),
        "{text}"
    );
    assert!(
        text.contains("! kafka does not answer, so the lag is not known: 127.0.0.1:"),
        "{text}"
    );
    assert_eq!(
        files_below(folder.path()),
        [] as [PathBuf; 0],
        "looking leaves no trace"
    );
}

#[test]
fn status_adds_lake_and_brokers_and_changes_nothing() {
    let broker = BuiltinBroker::start(&[("clicks", 1)]).expect("a broker");
    let folder = tempfile::tempdir().expect("a folder");
    let config = config_in(folder.path(), &broker.brokers(), "off");
    let producer: BaseProducer = eventlake_engine::kafka::client::client_config(&config.kafka)
        .create()
        .expect("a producer");
    for _ in 0..50 {
        producer
            .send(BaseRecord::<(), [u8]>::to("clicks").payload(b"{}"))
            .expect("queued");
    }
    producer.flush(Duration::from_secs(20)).expect("delivered");
    let client = eventlake_engine::kafka::client::metadata_client(&config.kafka).expect("a client");
    let topic = describe(client.client(), "clicks", Duration::from_secs(20)).expect("described");

    let mut lake = TestLake::start(&config, &topic.topic_id.expect("a topic id"), NOW - 40_000_000);
    let refused = |offset, code| Refused {
        offset,
        payload: b"{",
        code,
        found: "nothing",
    };
    lake.land(
        20,
        &[refused(3, Code::Minimum), refused(4, Code::Type)],
        NOW - 20_000_000,
    );
    lake.publish();
    lake.land(12, &[refused(30, Code::Minimum)], NOW - 10_000_000);

    let before = files_below(folder.path());
    let mut reporter = Reporter::new(&config);
    let report = reporter.look(&config, NOW);
    assert_eq!(files_below(folder.path()), before, "looking leaves no trace");
    assert!(report.kafka.reachable, "{:?}", report.kafka.why);
    let json = serde_json::to_value(&report).expect("json");
    let topic = &json["topics"][0];
    assert_eq!(topic["lag_records"], 50 - 32, "{topic}");
    assert_eq!(topic["lag"]["recreated"], false);
    assert_eq!(topic["table"], "taps");
    assert_eq!(topic["lake"]["accepted"]["rows"], 29);
    assert_eq!(topic["lake"]["rejected"]["rows"], 3);
    assert_eq!(topic["lake"]["totals"]["rejected"], 3);
    assert_eq!(topic["lake"]["last_commit_number"], 3);
    assert_eq!(
        topic["lake"]["last_commit_unix_millis"],
        (NOW - 10_000_000) / 1000
    );
    assert_eq!(topic["lake"]["newest_event_unix_micros"], NOW - 10_000_000);
    assert_eq!(topic["lake"]["checkpoint"][0]["next"], 32);
    assert_eq!(
        topic["lake"]["landed_per_sec"],
        32.0 / 40.0,
        "32 records since the log began 40 s ago"
    );
    assert_eq!(topic["rejected_by_code"]["records"]["minimum"], 2);
    assert_eq!(topic["rejected_by_code"]["records"]["type"], 1);
    assert_eq!(topic["rejected_by_code"]["complete"], true);
    assert_eq!(topic["broker"]["partitions"][0]["end"], 50);

    let text = to_text(&report, NOW);
    assert!(
        text.contains("\ntaps   10 s ago      minimum 2, type 1\n"),
        "{text}"
    );
    assert!(text.contains("#3 10 s ago"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    assert!(!text.contains('!'), "nothing needs attention:\n{text}");

    // A second look of the same reporter reads only what is new, and says the same.
    let again = serde_json::to_value(reporter.look(&config, NOW)).expect("json");
    assert_eq!(again["topics"], json["topics"]);
}

#[test]
fn where_an_ingester_answers_its_live_state_is_added() {
    let folder = tempfile::tempdir().expect("a folder");
    let named = (
        TopicName::new("clicks").expect("a name"),
        TableName::new("taps").expect("a name"),
    );
    let telemetry = Arc::new(Telemetry::new(
        "writer-7",
        NOW / 1000 - 90_000,
        512 << 20,
        [named],
    ));
    telemetry.topics()[0].set_state(TopicState::Stopped {
        why: "retention passed\nthe checkpoint\x1b[2J".into(),
    });
    telemetry.topics()[0].on_consumed(77, 7_700);
    let any = config_in(folder.path(), "127.0.0.1:1", "127.0.0.1:0").http.listen;
    let server = server::serve(any, Arc::clone(&telemetry)).expect("served");
    let address = server.address().expect("an address").to_string();

    let config = config_in(folder.path(), &nobody(), &address);
    let report = Reporter::new(&config).look(&config, NOW);
    assert!(report.daemon.answered, "{:?}", report.daemon);
    assert_eq!(report.daemon.writer.as_deref(), Some("writer-7"));
    assert_eq!(report.topics[0].state, "stopped");
    let json = serde_json::to_value(&report).expect("json");
    let live = serde_json::to_value(telemetry.topics()[0].snapshot()).expect("json");
    assert_eq!(
        json["topics"][0]["live"], live,
        "the same object that /api/v1/status answers"
    );
    let text = to_text(&report, NOW);
    assert!(
        text.contains("started 90 s ago, memory 0 B of 512.0 MiB"),
        "{text}"
    );
    assert!(
        text.contains("! clicks is stopped: retention passed\n    the checkpoint\\x1b[2J\n"),
        "{text}"
    );
}

#[test]
fn a_stranger_at_the_address_costs_little_time_and_is_told_apart() {
    let folder = tempfile::tempdir().expect("a folder");
    let stranger = TcpListener::bind("127.0.0.1:0").expect("a port");
    let config = config_in(
        folder.path(),
        &nobody(),
        &stranger.local_addr().expect("an address").to_string(),
    );
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let silent = std::thread::spawn(move || {
        let (mut stream, _) = stranger.accept().expect("a client");
        let mut request = [0; 512];
        let _ = stream.read(&mut request);
        let _ = stopped.recv();
    });
    let started = Instant::now();
    let report = Reporter::new(&config).look(&config, NOW);
    assert!(
        started.elapsed() < Duration::from_secs(8),
        "{:?}",
        started.elapsed()
    );
    assert!(!report.daemon.answered && report.daemon.why.is_some());
    assert!(!report.faults(), "a stranger is no fault of the lake's");
    drop(stop);
    silent.join().expect("the stranger ends");
}

#[test]
fn a_damaged_log_is_a_fault_that_names_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = config_in(folder.path(), &nobody(), "off");
    TestLake::start(&config, "id", NOW).land(5, &[], NOW);
    let commit = folder.path().join("checkpoints/clicks/00000000000000000002.json");
    let text = std::fs::read_to_string(&commit).expect("a commit");
    std::fs::write(&commit, text.replace("\"accepted\":5", "\"accepted\":6")).expect("altered");
    let report = Reporter::new(&config).look(&config, NOW);
    assert!(report.faults());
    let text = to_text(&report, NOW);
    assert!(text.contains("! clicks: the lake cannot be read: "), "{text}");
    assert!(text.contains("00000000000000000002.json"), "{text}");
}

#[test]
fn a_full_table_fits_a_hundred_columns() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = config_in(folder.path(), &nobody(), "off");
    let mut report = Reporter::new(&config).look(&config, NOW);
    TestLake::start(&config, "id", NOW).land(5, &[], NOW);
    let mut topic = Reporter::new(&config).look(&config, NOW).topics.swap_remove(0);
    topic.topic = TopicName::new("client_tickets").expect("a name");
    topic.state = "running";
    topic.lag_records = Some(1_234_567);
    topic.records_per_sec = Some(123_456.0);
    let lake = topic.lake.as_mut().expect("a lake");
    lake.accepted.rows = 123_456_789;
    lake.rejected.rows = 12_345;
    lake.accepted.files = 12_345;
    lake.accepted.bytes = 123 << 30;
    topic.rejected_by_code.records = Code::ALL.iter().map(|code| (code.to_string(), 12_345)).collect();
    report.topics = vec![topic];
    let text = to_text(&report, NOW + 3_000_000);
    let widest = text
        .lines()
        .filter(|line| !line.starts_with('!'))
        .map(|line| line.chars().count())
        .max();
    assert!(widest <= Some(100), "{widest:?}\n{text}");
}
