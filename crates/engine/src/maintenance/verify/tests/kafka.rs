//! Lakes held against a broker that has the same records, or others.

use eventlake_core::position::OffsetRange;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use super::super::{Code, KafkaReport, TopicReport, Verdict};
use super::lake::{Lake, START, payload};
use crate::kafka::builtin::BuiltinBroker;
use crate::kafka::client::{client_config, metadata_client};
use crate::kafka::topics::describe;

/// A broker that has these records in partition 0, and an empty lake of its topic.
fn broker_with(letters: &str) -> (BuiltinBroker, Lake) {
    let broker = BuiltinBroker::start(&[("clicks", 1)]).expect("a broker");
    let config: ClientConfig = client_config(&Lake::of(&broker.brokers(), "any").config.kafka);
    let producer: BaseProducer = config.create().expect("a producer");
    for (offset, letter) in (0..).zip(letters.chars()) {
        let text = payload(letter, offset);
        let record = BaseRecord::<(), str>::to("clicks").partition(0);
        let mut record = record.timestamp(START / 1_000 + offset);
        if letter != 't' {
            record = record.payload(&text);
        }
        producer.send(record).map_err(|(error, _)| error).expect("sent");
    }
    producer
        .flush(std::time::Duration::from_secs(20))
        .expect("delivered");
    let any = Lake::of(&broker.brokers(), "any");
    let client = metadata_client(&any.config.kafka).expect("a client");
    let client = rdkafka::consumer::Consumer::client(&client);
    let described = describe(client, "clicks", std::time::Duration::from_secs(10)).expect("described");
    let lake = Lake::of(&broker.brokers(), &described.topic_id.expect("an id"));
    (broker, lake)
}

fn land(lake: &mut Lake, letters: &str) -> TopicReport {
    lake.land(&[(0, letters)]);
    lake.publish();
    lake.verify_with_kafka()
}

#[track_caller]
fn assert_refuted(report: &TopicReport, code: Code, offset: i64, says: &str) {
    assert_eq!(report.verdict, Verdict::Refuted, "{report:#?}");
    assert_eq!(
        report.refuted.keys().copied().collect::<Vec<_>>(),
        [code],
        "{report:#?}"
    );
    let refutation = &report.refutations[0];
    let offset = eventlake_core::position::Offset(offset);
    assert_eq!(refutation.offsets, [OffsetRange::one(offset)], "{report:#?}");
    assert!(refutation.what.contains(says), "{report:#?}");
    assert_eq!(refutation.commit.map(|commit| commit.0), Some(2), "{report:#?}");
}

#[test]
fn a_lake_that_holds_what_kafka_has_is_proven_value_by_value() {
    let letters = "aabrtarb";
    let (_broker, mut lake) = broker_with(letters);
    let report = land(&mut lake, letters);
    assert_eq!(report.verdict, Verdict::Proven, "{report:#?}");
    let expected = KafkaReport {
        compared: 8,
        rows: 7,
        ..KafkaReport::of_nothing()
    };
    assert_eq!(report.kafka, Some(expected));
}

/// More than fits one stretch, in several commits, read beside compaction.
#[test]
fn a_topic_larger_than_the_memory_is_compared_in_stretches() {
    let letters = "aabra".repeat(4_000);
    let (_broker, mut lake) = broker_with(&letters);
    for _ in 0..3 {
        lake.land(&[(0, &letters[..5_000])]);
    }
    let report = land(&mut lake, &letters[..5_000]);
    assert_eq!(report.verdict, Verdict::Proven, "{report:#?}");
    let kafka = report.kafka.expect("asked");
    assert_eq!(
        (kafka.compared, kafka.rows, kafka.not_checkable),
        (20_000, 20_000, 0)
    );
}

#[test]
fn whatever_differs_is_named_by_its_offset() {
    let differs = |kafka: &str, lake: &str, code: Code, offset: i64, says: &str| {
        let (_broker, mut at) = broker_with(kafka);
        let report = land(&mut at, lake);
        assert_refuted(&report, code, offset, says);
    };
    differs("aaca", "aaaa", Code::KafkaDiffers, 2, "column n");
    differs(
        "aara",
        "aaaa",
        Code::KafkaDiffers,
        2,
        "schema or transform refuses",
    );
    differs("aaaa", "aara", Code::KafkaDiffers, 2, "an event");
    differs("aata", "aaaa", Code::KafkaDiffers, 2, "a tombstone");
    differs("aaaa", "aata", Code::KafkaDiffers, 2, "the lake a tombstone");
    differs("aaaa", "axaa", Code::KafkaHasMore, 1, "as absent");
}

#[test]
fn what_kafka_has_no_more_is_not_refuted() {
    let (_broker, mut lake) = broker_with("aa");
    let report = land(&mut lake, "aara");
    assert_eq!(report.verdict, Verdict::Proven, "{report:#?}");
    let kafka = report.kafka.expect("asked");
    assert_eq!((kafka.compared, kafka.not_checkable), (2, 2));
    assert!(kafka.reasons[0].contains("gone from Kafka"), "{kafka:?}");

    let (_broker, lake) = broker_with("aa");
    let mut other = Lake::of(&lake.config.kafka.brokers, "another-life");
    let report = land(&mut other, "aa");
    assert_eq!(report.verdict, Verdict::Proven, "{report:#?}");
    let kafka = report.kafka.expect("asked");
    assert_eq!((kafka.compared, kafka.not_checkable), (0, 2));
    assert!(kafka.reasons[0].contains("created again"), "{kafka:?}");
}

#[test]
fn without_a_broker_nothing_is_called_proven() {
    let mut lake = Lake::of("127.0.0.1:1", "topic-one");
    let report = land(&mut lake, "aa");
    assert_eq!(report.verdict, Verdict::Unchecked, "{report:#?}");
    assert!(report.unchecked[0].contains("127.0.0.1:1"), "{report:#?}");
}
