//! The ingester against the built-in broker, in one process: what was produced is what landed, whatever stops it.

#![allow(clippy::disallowed_methods, reason = "a test damages files on purpose")]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arrow::array::AsArray;
use arrow::datatypes::{Int32Type, Int64Type};
use eventlake_core::commit::Fold;
use eventlake_core::config::{
    Config, HttpConfig, KafkaConfig, LakeConfig, ListenAddress, OnDataLoss, PartitionBy, Properties, Start,
    TopicConfig, TopicCreation,
};
use eventlake_core::names::{TableName, TopicName};
use eventlake_core::schema::{DecodeRules, compile};
use eventlake_engine::ingest::{self, IngestOptions, Transforms};
use eventlake_engine::kafka::builtin::BuiltinBroker;
use eventlake_engine::lake::read_fold;
use eventlake_engine::telemetry::{Telemetry, TopicState};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

const SCHEMA: &str = r#"{
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "id": {"type": "integer", "minimum": 0},
        "timestamp": {"type": "string", "format": "date-time"}
    },
    "required": ["id", "timestamp"]
}"#;

struct Lake {
    _folder: tempfile::TempDir,
    config: Config,
}

fn lake(broker: &BuiltinBroker, topics: &[&str]) -> Lake {
    let folder = tempfile::tempdir().expect("a folder");
    let schema = compile(SCHEMA).expect("a schema");
    let event_time = schema.event_time_of("timestamp", None).expect("an event time");
    let mut rules = DecodeRules::new(schema);
    rules.event_time = event_time;
    let topic = |name: &&str| TopicConfig {
        name: TopicName::new(name).expect("a name"),
        table: TableName::new(name).expect("a name"),
        schema_file: PathBuf::from("schema.json"),
        rules: rules.clone(),
        transform: None,
        start: Start::Earliest,
        partition_by: PartitionBy::Hour,
        creation: TopicCreation {
            partitions: 2,
            replication: 1,
            retention: None,
        },
    };
    let config = Config {
        file: PathBuf::from("eventlake.toml"),
        kafka: KafkaConfig {
            brokers: broker.brokers(),
            group: "test".to_owned(),
            // The built-in broker waits that long (less a second) for a member that has left.
            properties: Properties::from([("session.timeout.ms", "1500")]),
        },
        lake: LakeConfig {
            data: folder.path().join("data"),
            rejected: folder.path().join("rejected"),
            checkpoints: folder.path().join("checkpoints"),
            roll_interval: Duration::from_millis(300),
            roll_bytes: 64 << 20,
            memory_limit_bytes: 256 << 20,
            on_data_loss: OnDataLoss::Fail,
            log_retention: Duration::from_secs(86_400),
            snapshot_every: 4,
        },
        http: HttpConfig {
            listen: ListenAddress::Off,
        },
        topics: topics.iter().map(topic).collect(),
        views: Vec::new(),
        alerts: Vec::new(),
        warnings: Vec::new(),
    };
    Lake {
        _folder: folder,
        config,
    }
}

fn produce(broker: &BuiltinBroker, topic: &str, ids: std::ops::Range<i64>) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", broker.brokers())
        .set("enable.idempotence", "true")
        .create()
        .expect("a producer");
    for id in ids {
        let payload = if id % 10 == 9 {
            format!("{{\"id\": -{id}")
        } else {
            format!(
                "{{\"id\":{id},\"timestamp\":\"2026-11-21T{:02}:00:00Z\"}}",
                id % 3
            )
        };
        let record = BaseRecord::to(topic)
            .partition(i32::try_from(id % 2).expect("0 or 1"))
            .key("k")
            .payload(&payload);
        producer.send(record).expect("room in the queue");
    }
    producer.flush(Duration::from_secs(30)).expect("delivered");
}

fn telemetry(config: &Config) -> Arc<Telemetry> {
    let topics = config
        .topics
        .iter()
        .map(|topic| (topic.name.clone(), topic.table.clone()));
    Arc::new(Telemetry::new(ingest::writer_id().to_string(), 0, 1, topics))
}

fn run_to_the_end(config: &Config) {
    let stop = AtomicBool::new(false);
    ingest::run(
        config,
        &Transforms::default(),
        IngestOptions { until_end: true },
        &telemetry(config),
        &stop,
    )
    .expect("it runs");
}

fn fold(config: &Config, topic: &str) -> Fold {
    let topic = TopicName::new(topic).expect("a name");
    read_fold(&config.lake.checkpoints, &topic)
        .expect("a log")
        .expect("commits")
}

/// Every row under a folder, as (partition, offset), in order; read from the files alone.
fn rows(root: &Path) -> Vec<(i32, i64)> {
    let mut rows = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "parquet") {
                let file = File::open(&path).expect("a file");
                for batch in ParquetRecordBatchReaderBuilder::try_new(file)
                    .expect("parquet")
                    .build()
                    .expect("rows")
                {
                    let batch = batch.expect("a batch");
                    let partition = batch.column_by_name("_kafka_partition").expect("a column");
                    let offset = batch.column_by_name("_kafka_offset").expect("a column");
                    let partitions = partition.as_primitive::<Int32Type>().values();
                    let offsets = offset.as_primitive::<Int64Type>().values();
                    rows.extend(partitions.iter().copied().zip(offsets.iter().copied()));
                }
            }
        }
    }
    rows.sort_unstable();
    rows
}

#[test]
fn what_was_produced_is_what_landed_and_a_second_run_changes_nothing() {
    let broker = BuiltinBroker::start(&[("events", 2)]).expect("a broker");
    let lake = lake(&broker, &["events"]);
    produce(&broker, "events", 0..1000);
    run_to_the_end(&lake.config);
    let accepted = rows(&lake.config.lake.data);
    let rejected = rows(&lake.config.lake.rejected);
    assert_eq!((accepted.len(), rejected.len()), (900, 100));
    let mut all: Vec<_> = accepted.iter().chain(&rejected).copied().collect();
    all.sort_unstable();
    let expected: Vec<(i32, i64)> = (0..2).flat_map(|p| (0..500).map(move |o| (p, o))).collect();
    assert_eq!(all, expected);

    let number = fold(&lake.config, "events").number();
    run_to_the_end(&lake.config);
    assert_eq!(fold(&lake.config, "events").number(), number);

    produce(&broker, "events", 1000..1200);
    run_to_the_end(&lake.config);
    assert_eq!(
        rows(&lake.config.lake.data).len() + rows(&lake.config.lake.rejected).len(),
        1200
    );
}

#[test]
fn a_stop_commits_what_was_read() {
    let broker = BuiltinBroker::start(&[("one", 2), ("two", 2)]).expect("a broker");
    let mut lake = lake(&broker, &["one", "two"]);
    lake.config.lake.roll_interval = Duration::from_secs(600);
    produce(&broker, "one", 0..500);
    produce(&broker, "two", 0..300);
    let running = start(&lake.config);
    let consumed = || {
        running
            .telemetry
            .snapshot()
            .topics
            .iter()
            .map(|topic| topic.consumed_records)
            .sum::<u64>()
    };
    for _ in 0..600 {
        if consumed() >= 800 {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(consumed(), 800);
    assert!(
        rows(&lake.config.lake.data).is_empty(),
        "nothing rolls before the interval"
    );
    running.stop.store(true, Ordering::Relaxed);
    running.thread.join().expect("no panic").expect("it ends well");
    let all = rows(&lake.config.lake.data).len() + rows(&lake.config.lake.rejected).len();
    assert_eq!(all, 800);
}

/// An ingester on a thread of its own.
struct Running {
    stop: Arc<AtomicBool>,
    telemetry: Arc<Telemetry>,
    thread: std::thread::JoinHandle<Result<(), ingest::IngestError>>,
}

fn start(config: &Config) -> Running {
    let (stop, telemetry) = (Arc::new(AtomicBool::new(false)), telemetry(config));
    let thread = {
        let (config, stop, telemetry) = (config.clone(), Arc::clone(&stop), Arc::clone(&telemetry));
        std::thread::spawn(move || {
            ingest::run(
                &config,
                &Transforms::default(),
                IngestOptions::default(),
                &telemetry,
                &stop,
            )
        })
    };
    Running {
        stop,
        telemetry,
        thread,
    }
}

impl Running {
    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("no panic").expect("it ends well");
    }

    fn partitions(&self) -> usize {
        self.telemetry
            .snapshot()
            .topics
            .iter()
            .map(|topic| topic.partitions.len())
            .sum()
    }
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..1200 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("waited a minute in vain: {what}");
}

fn writers_come_and_go(strategy: &str) {
    let broker = BuiltinBroker::start(&[("events", 2)]).expect("a broker");
    let mut lake = lake(&broker, &["events"]);
    lake.config
        .kafka
        .properties
        .insert("partition.assignment.strategy", strategy);
    let first = start(&lake.config);
    produce(&broker, "events", 0..400);
    wait_until("the first writer has both partitions", || first.partitions() == 2);
    let second = start(&lake.config);
    produce(&broker, "events", 400..800);
    wait_until("each writer has a partition", || {
        first.partitions() == 1 && second.partitions() == 1
    });
    produce(&broker, "events", 800..1000);
    first.end();
    wait_until("the second writer has both partitions", || {
        second.partitions() == 2
    });
    produce(&broker, "events", 1000..1200);
    let read = || rows(&lake.config.lake.data).len() + rows(&lake.config.lake.rejected).len();
    wait_until("all has landed", || read() >= 1200);
    second.end();
    let mut all = rows(&lake.config.lake.data);
    all.extend(rows(&lake.config.lake.rejected));
    all.sort_unstable();
    let expected: Vec<(i32, i64)> = (0..2).flat_map(|p| (0..600).map(move |o| (p, o))).collect();
    assert_eq!(all, expected, "{strategy}");
}

#[test]
fn writers_that_come_and_go_lose_and_double_nothing_under_the_cooperative_protocol() {
    writers_come_and_go("cooperative-sticky");
}

#[test]
fn writers_that_come_and_go_lose_and_double_nothing_under_the_eager_protocol() {
    writers_come_and_go("range");
}

#[test]
fn a_topic_whose_log_is_damaged_stops_alone() {
    let broker = BuiltinBroker::start(&[("good", 2), ("bad", 2)]).expect("a broker");
    let lake = lake(&broker, &["good", "bad"]);
    produce(&broker, "good", 0..100);
    produce(&broker, "bad", 0..100);
    run_to_the_end(&lake.config);
    let commit = lake.config.lake.checkpoints.join("bad/00000000000000000002.json");
    let text = std::fs::read_to_string(&commit).expect("a commit");
    std::fs::write(&commit, text.replacen("\"accepted\"", "\"Accepted\"", 1)).expect("written");
    produce(&broker, "good", 100..200);
    let running = start(&lake.config);
    let landed = || rows(&lake.config.lake.data.join("good")).len();
    wait_until("the good topic goes on", || landed() == 180);
    let snapshot = running.telemetry.snapshot();
    let bad = snapshot
        .topics
        .iter()
        .find(|topic| topic.topic.as_str() == "bad")
        .expect("the topic");
    assert!(
        matches!(&bad.state, TopicState::Stopped { why } if why.contains("00000000000000000002.json")),
        "{:?}",
        bad.state
    );
    running.end();
}

/// The Parquet files under a folder.
fn files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "parquet") {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn a_committed_file_that_is_gone_is_written_again_from_kafka() {
    let broker = BuiltinBroker::start(&[("events", 2)]).expect("a broker");
    let lake = lake(&broker, &["events"]);
    produce(&broker, "events", 0..600);
    run_to_the_end(&lake.config);
    let (accepted, rejected) = (rows(&lake.config.lake.data), rows(&lake.config.lake.rejected));
    let gone = [
        files(&lake.config.lake.data).remove(0),
        files(&lake.config.lake.rejected).remove(0),
    ];
    for path in &gone {
        std::fs::remove_file(path).expect("removed");
    }
    assert_ne!(rows(&lake.config.lake.data), accepted);
    run_to_the_end(&lake.config);
    assert_eq!(rows(&lake.config.lake.data), accepted);
    assert_eq!(rows(&lake.config.lake.rejected), rejected);
    assert!(
        gone.iter().all(|path| !path.exists()),
        "names are never used twice"
    );
}

#[test]
fn a_committed_file_of_a_topic_that_is_gone_is_data_loss_and_explained() {
    let broker = BuiltinBroker::start(&[("events", 2)]).expect("a broker");
    let mut lake = lake(&broker, &["events"]);
    produce(&broker, "events", 0..100);
    run_to_the_end(&lake.config);
    let gone = files(&lake.config.lake.data).remove(0);
    std::fs::remove_file(&gone).expect("removed");
    drop(broker);
    let other = BuiltinBroker::start(&[("events", 2)]).expect("a broker");
    lake.config.kafka.brokers = other.brokers();
    let (telemetry, stop) = (telemetry(&lake.config), AtomicBool::new(false));
    let ended = ingest::run(
        &lake.config,
        &Transforms::default(),
        IngestOptions { until_end: true },
        &telemetry,
        &stop,
    );
    assert!(ended.is_err());
    let TopicState::Stopped { why } = telemetry.topics()[0].state() else {
        panic!("it goes on")
    };
    let name = gone.file_name().expect("a name").to_string_lossy().into_owned();
    assert!(
        why.contains("data loss") && why.contains(&name) && why.contains("hint:"),
        "{why}"
    );
}

#[test]
fn a_stop_in_the_middle_of_a_backlog_is_heard() {
    let broker = BuiltinBroker::start(&[("events", 2)]).expect("a broker");
    let mut lake = lake(&broker, &["events"]);
    // Small enough that the pipeline is waiting for its committer nearly all the time.
    lake.config.lake.roll_bytes = 16 << 10;
    produce(&broker, "events", 0..20_000);
    let running = start(&lake.config);
    let consumed = || {
        running
            .telemetry
            .snapshot()
            .topics
            .iter()
            .map(|topic| topic.consumed_records)
            .sum::<u64>()
    };
    wait_until("reading has begun", || consumed() > 0);
    running.stop.store(true, Ordering::Relaxed);
    wait_until("the ingester ends", || running.thread.is_finished());
    let landed = rows(&lake.config.lake.data).len() + rows(&lake.config.lake.rejected).len();
    running.end();
    run_to_the_end(&lake.config);
    let all = rows(&lake.config.lake.data).len() + rows(&lake.config.lake.rejected).len();
    assert_eq!(all, 20_000, "{landed} before the stop");
}
