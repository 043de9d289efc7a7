//! The generator against the built-in broker and against the daemon's own decoder.

#![allow(clippy::disallowed_methods, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use eventlake_core::config::{self, Config, KafkaConfig};
use eventlake_core::position::{Offset, PartitionId};
use eventlake_engine::generate::{self, Fault, GenerateError, Kind, Nature, Options, Progress, Source};
use eventlake_engine::ingest::decode::{Decoder, EventRows, RecordMeta};
use eventlake_engine::kafka::builtin::BuiltinBroker;
use eventlake_engine::kafka::client::client_config;
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{Offset as KafkaOffset, TopicPartitionList};

/// 2026-11-01T00:00:00Z
const START: i64 = 1_793_491_200_000_000;
const DAY: i64 = 86_400_000_000;
const ALL: [(&str, i32); 4] = [("clicks", 2), ("views", 2), ("ratings", 2), ("client_tickets", 2)];

fn kafka(brokers: &str) -> KafkaConfig {
    KafkaConfig {
        brokers: brokers.to_owned(),
        group: "test".to_owned(),
        properties: Default::default(),
    }
}

fn spread_over_a_day(seed: u64, count: u64) -> Options {
    Options {
        count: Some(count),
        spread: Some((START, DAY)),
        ..Options::new(seed)
    }
}

type Owned = (usize, Vec<u8>, Vec<u8>, Option<i64>, Nature);

fn records(options: &Options) -> Vec<Owned> {
    let mut source = Source::new(&options.plan());
    let count = options.count.expect("a count") as usize * options.topics.len();
    (0..count)
        .map(|_| {
            let record = source.next_record(START);
            let (key, payload) = (record.key.to_vec(), record.payload.to_vec());
            (record.kind, key, payload, record.timestamp_millis, record.nature)
        })
        .collect()
}

fn shipped_config() -> Config {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let file = root.join("config/eventlake.toml");
    let read = |path: &Path| std::fs::read_to_string(path).map_err(|error| error.to_string());
    let text = read(&file).expect("the shipped configuration");
    config::resolve(&text, &file, &|_| None, &read).expect("the shipped configuration is right")
}

#[test]
fn a_seed_with_a_start_and_a_span_repeats_every_byte() {
    let mut options = spread_over_a_day(7, 2_000);
    (options.invalid, options.late) = (0.05, 0.05);
    let first = records(&options);
    assert!(first == records(&options), "the same seed gave other records");
    options.seed = 8;
    assert!(first != records(&options), "another seed gave the same records");
}

#[test]
fn a_topics_events_are_the_same_whatever_is_generated_beside_them() {
    let mut options = spread_over_a_day(7, 500);
    let all = records(&options);
    let tickets_of_all: Vec<&Owned> = all.iter().filter(|record| record.0 == 3).collect();
    options.topics = vec![(Kind::Tickets, "client_tickets".to_owned())];
    let alone = records(&options);
    assert_eq!(alone.len(), 500);
    assert!(
        alone
            .iter()
            .zip(tickets_of_all)
            .all(|(alone, of_all)| alone.2 == of_all.2 && alone.1 == of_all.1)
    );
}

#[test]
fn broken_and_late_shares_leave_the_other_events_as_they_are() {
    let mut options = spread_over_a_day(7, 2_000);
    let clean = records(&options);
    (options.invalid, options.late) = (0.1, 0.1);
    let mixed = records(&options);
    for (clean, mixed) in clean
        .iter()
        .zip(&mixed)
        .filter(|(_, mixed)| mixed.4 == Nature::OnTime)
    {
        assert_eq!(clean.2, mixed.2);
    }
}

/// The decoder of the daemon under the shipped schemas is the judge of what is valid.
#[test]
fn every_valid_event_is_accepted_and_every_broken_one_rejected() {
    let config = shipped_config();
    let mut options = spread_over_a_day(11, 20_000);
    (options.invalid, options.late) = (0.25, 0.05);
    let mut judges: Vec<(Decoder, EventRows)> = options
        .topics
        .iter()
        .map(|(_, topic)| {
            let topic = config
                .topics
                .iter()
                .find(|configured| configured.name.as_str() == topic);
            let rules = &topic
                .expect("the shipped configuration has the generator's topics")
                .rules;
            (Decoder::new(rules), EventRows::new(rules))
        })
        .collect();
    let mut kinds_of_fault: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (at, (kind, _, payload, timestamp, nature)) in records(&options).iter().enumerate() {
        let (decoder, rows) = &mut judges[*kind];
        let meta = RecordMeta {
            partition: PartitionId(0),
            offset: Offset(at as i64),
            timestamp_micros: timestamp.map(|millis| millis * 1_000),
        };
        let verdict = decoder.decode(payload, &meta, rows);
        let text = String::from_utf8_lossy(payload);
        match nature {
            Nature::OnTime | Nature::Late => assert!(verdict.is_ok(), "{verdict:?}: {text}"),
            Nature::Broken(fault) => {
                let violation = verdict
                    .err()
                    .unwrap_or_else(|| panic!("{fault:?} was accepted: {text}"));
                kinds_of_fault
                    .entry(fault.as_str())
                    .or_default()
                    .insert(violation.code.as_str());
            }
        }
    }
    assert_eq!(kinds_of_fault.len(), Fault::ALL.len(), "{kinds_of_fault:?}");
    let expect = |fault: Fault, code: &str| {
        let codes = &kinds_of_fault[fault.as_str()];
        assert!(codes.contains(code), "{fault:?}: {code} is not among {codes:?}");
    };
    expect(Fault::Empty, "malformed_json");
    expect(Fault::InvalidUtf8, "invalid_unicode");
    expect(Fault::LoneSurrogate, "invalid_unicode");
    expect(Fault::TooDeep, "too_deep");
    expect(Fault::DuplicateField, "duplicate_field");
    expect(Fault::MissingField, "required");
    expect(Fault::HugeInteger, "out_of_range");
    expect(Fault::OutOfRange, "minimum");
    expect(Fault::UnknownValue, "enum");
    expect(Fault::BadTime, "format");
    expect(Fault::FutureTime, "event_time_in_future");
}

#[test]
fn shares_of_broken_and_late_records_are_near_what_was_asked() {
    let mut options = spread_over_a_day(3, 50_000);
    (options.invalid, options.late) = (0.01, 0.02);
    let records = records(&options);
    for kind in 0..4 {
        let of_kind = || records.iter().filter(|record| record.0 == kind);
        let broken = of_kind()
            .filter(|record| matches!(record.4, Nature::Broken(_)))
            .count();
        let late = of_kind().filter(|record| record.4 == Nature::Late).count();
        assert!((400..600).contains(&broken), "{broken} of 50,000 are broken");
        assert!((850..1_150).contains(&late), "{late} of 50,000 are late");
    }
}

#[test]
fn late_events_are_older_than_their_record_and_the_others_are_not() {
    let mut options = spread_over_a_day(3, 5_000);
    options.late = 0.1;
    for (kind, _, payload, timestamp, nature) in records(&options) {
        let event: serde_json::Value = serde_json::from_slice(&payload).expect("valid JSON");
        let time = event[options.topics[kind].0.time_field()]
            .as_str()
            .expect("a time")
            .to_owned();
        let time = chrono::DateTime::parse_from_rfc3339(&time)
            .expect("RFC 3339")
            .timestamp_millis();
        let behind = timestamp.expect("a spread has times") - time;
        if nature == Nature::Late {
            assert!((60_000..14 * 3_600_000).contains(&behind), "{behind} ms");
        } else {
            assert_eq!(behind, 0, "{event}");
            assert!((START / 1_000..(START + DAY) / 1_000).contains(&time));
        }
    }
}

#[test]
fn fields_look_like_a_shops() {
    let options = spread_over_a_day(5, 20_000);
    let mut counts: HashMap<(usize, String), u64> = HashMap::new();
    let mut tickets = BTreeSet::new();
    let (mut reviews, mut durations, mut requests) = (BTreeSet::new(), Vec::new(), BTreeSet::new());
    for (kind, key, payload, ..) in records(&options) {
        let event: serde_json::Value = serde_json::from_slice(&payload).expect("valid JSON");
        let user = &event[options.topics[kind].0.key_field()];
        assert_eq!(key, user.to_string().as_bytes(), "the key is the user");
        for field in ["device_type", "rating", "type", "priority"] {
            if let Some(value) = event.get(field) {
                *counts.entry((kind, format!("{field}={value}"))).or_default() += 1;
            }
        }
        if let Some(ticket) = event.get("ticket_id") {
            assert!(tickets.insert(ticket.to_string()), "{ticket} twice");
            requests.insert(event["request"].to_string());
        }
        if let Some(review) = event.get("review_text") {
            reviews.insert(review.to_string());
        }
        if let Some(duration) = event.get("view_duration") {
            durations.push(duration.as_f64().expect("a number"));
        }
    }
    let share = |kind: usize, what: &str| counts[&(kind, what.to_owned())] as f64 / 20_000.0;
    assert!((0.5..0.65).contains(&share(1, "device_type=\"mobile\"")));
    assert!((0.4..0.5).contains(&share(2, "rating=5")) && share(2, "rating=2") < 0.1);
    assert!((0.35..0.5).contains(&share(3, "type=\"support\"")));
    assert!((0.02..0.15).contains(&share(3, "priority=\"critique\"")));
    assert!(reviews.len() > 1_000, "{} different reviews", reviews.len());
    assert!(requests.len() > 5_000, "{} different requests", requests.len());
    assert!(reviews.iter().any(|review| !review.is_ascii()));
    durations.sort_by(f64::total_cmp);
    assert!(
        (17.0..21.0).contains(&durations[10_000]),
        "median {}",
        durations[10_000]
    );
}

/// Partition, offset, key, payload, timestamp in milliseconds.
type ReadBack = (i32, i64, Vec<u8>, Vec<u8>, i64);

/// Reads a topic from its start until `count` records were seen.
fn read_back(kafka: &KafkaConfig, topic: &str, partitions: i32, count: usize) -> Vec<ReadBack> {
    let consumer: BaseConsumer = client_config(kafka)
        .set("group.id", "reader")
        .set("enable.auto.commit", "false")
        .create()
        .expect("a consumer");
    let mut assignment = TopicPartitionList::new();
    for partition in 0..partitions {
        assignment
            .add_partition_offset(topic, partition, KafkaOffset::Beginning)
            .expect("an assignment");
    }
    consumer.assign(&assignment).expect("assigned");
    let (mut read, deadline) = (Vec::new(), Instant::now() + Duration::from_secs(60));
    while read.len() < count {
        assert!(
            Instant::now() < deadline,
            "{topic}: {} of {count} records",
            read.len()
        );
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            let message = message.expect("a record");
            let payload = message.payload().expect("never a tombstone").to_vec();
            let key = message.key().expect("keyed").to_vec();
            let timestamp = message.timestamp().to_millis().expect("a timestamp");
            read.push((message.partition(), message.offset(), key, payload, timestamp));
        }
    }
    read
}

#[test]
fn every_record_is_delivered_and_reads_back_as_it_was_made_and_logged() {
    let broker = BuiltinBroker::start(&ALL).expect("a broker");
    let kafka = kafka(&broker.brokers());
    let folder = tempfile::tempdir().expect("a folder");
    let mut options = spread_over_a_day(7, 3_000);
    (options.invalid, options.late) = (0.05, 0.05);
    options.deliveries = Some(folder.path().join("deliveries.jsonl"));
    let progress = Arc::new(Progress::new(&options.topics));
    let report = generate::run(&options, &kafka, &progress, &AtomicBool::new(false)).expect("a report");
    let total = report.total();
    assert_eq!(
        (total.produced, total.delivered, total.failed),
        (12_000, 12_000, 0),
        "{:?}",
        report.failures
    );
    assert!(!report.stopped);

    let log = std::fs::read_to_string(folder.path().join("deliveries.jsonl")).expect("a delivery log");
    let mut logged = BTreeMap::new();
    for line in log.lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("a JSON line");
        let place = (
            line["topic"].as_str().expect("a topic").to_owned(),
            line["partition"].as_i64().expect("a partition"),
            line["offset"].as_i64().expect("an offset"),
        );
        assert!(logged.insert(place, line).is_none(), "an offset was logged twice");
    }
    assert_eq!(logged.len(), 12_000);

    let made = records(&options);
    for (index, (topic, partitions)) in ALL.into_iter().enumerate() {
        let of_topic: Vec<&Owned> = made.iter().filter(|record| record.0 == index).collect();
        for (partition, offset, key, payload, timestamp) in read_back(&kafka, topic, partitions, 3_000) {
            let line = &logged[&(topic.to_owned(), i64::from(partition), offset)];
            let sequence = line["sequence"].as_u64().expect("a sequence") as usize;
            let (_, made_key, made_payload, made_timestamp, nature) = of_topic[sequence];
            assert_eq!((&key, &payload), (made_key, made_payload));
            assert_eq!(Some(timestamp), *made_timestamp);
            assert_eq!(
                line["valid"].as_bool(),
                Some(!matches!(nature, Nature::Broken(_)))
            );
            match line["payload"].as_str() {
                Some(text) => assert_eq!(text.as_bytes(), payload),
                None => assert!(line["payload_base64"].is_string() && std::str::from_utf8(&payload).is_err()),
            }
        }
    }
}

#[test]
fn a_stop_flushes_and_accounts_for_every_record() {
    let broker = BuiltinBroker::start(&ALL).expect("a broker");
    let kafka = kafka(&broker.brokers());
    let mut options = Options::new(7);
    options.rate = Some(500.0);
    let progress = Arc::new(Progress::new(&options.topics));
    let stop = AtomicBool::new(false);
    let started = Instant::now();
    let report = std::thread::scope(|scope| {
        let run = scope.spawn(|| generate::run(&options, &kafka, &progress, &stop));
        while progress.total().delivered < 1_000 {
            assert!(
                started.elapsed() < Duration::from_secs(30),
                "{:?}",
                progress.total()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        stop.store(true, Ordering::Relaxed);
        run.join().expect("no panic").expect("a report")
    });
    let total = report.total();
    assert!(report.stopped);
    assert!(
        total.delivered >= 1_000 && total.delivered == total.produced && total.failed == 0,
        "{total:?}"
    );
    // Four topics at 500 a second each; a busy machine may be slower, but never faster.
    let most = report.elapsed.as_secs_f64() * 4.0 * 500.0 + 8.0;
    assert!(
        (total.produced as f64) <= most,
        "{} in {:?}",
        total.produced,
        report.elapsed
    );
}

#[test]
fn a_cluster_that_goes_away_is_reported_and_nothing_is_left_without_a_word() {
    let broker = BuiltinBroker::start(&ALL).expect("a broker");
    let mut kafka = kafka(&broker.brokers());
    kafka.properties = [("message.timeout.ms", "1000")].into();
    let mut options = Options::new(7);
    (options.count, options.rate) = (Some(100), Some(1_000.0));
    drop(broker);
    let progress = Arc::new(Progress::new(&options.topics));
    let report = generate::run(&options, &kafka, &progress, &AtomicBool::new(false)).expect("a report");
    let total = report.total();
    assert_eq!((total.produced, total.delivered, total.failed), (400, 0, 400));
    assert_eq!(
        report.failures.values().sum::<u64>(),
        400,
        "{:?}",
        report.failures
    );
}

#[test]
fn a_delivery_log_that_cannot_be_written_is_said_before_anything_is_sent() {
    let broker = BuiltinBroker::start(&ALL).expect("a broker");
    let mut options = spread_over_a_day(7, 10);
    options.deliveries = Some("/no/such/folder/deliveries.jsonl".into());
    let progress = Arc::new(Progress::new(&options.topics));
    let error = generate::run(
        &options,
        &kafka(&broker.brokers()),
        &progress,
        &AtomicBool::new(false),
    )
    .expect_err("there is no such folder");
    assert!(matches!(error, GenerateError::DeliveryLog(_)), "{error}");
    assert_eq!(progress.total().produced, 0);
}

#[test]
fn printed_events_are_one_a_line() {
    let mut options = spread_over_a_day(7, 2_000);
    options.invalid = 0.2;
    let mut out = Vec::new();
    let written =
        generate::write_lines(&options, &mut out, || START, &AtomicBool::new(false)).expect("written");
    assert_eq!(written, 8_000);
    assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 8_000);
}
