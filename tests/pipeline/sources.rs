//! Topics whose offsets have holes: transactions, control records at the end, compaction.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;

use crate::cluster::Cluster;
use crate::events::{assert_landed, good, mixed_stream};
use crate::landing::assert_exactly;
use crate::log::fold;
use crate::producer::{Sent, TestProducer};
use crate::wait::until;
use crate::workspace::{Topic, Workspace};

pub fn aborted_transactions_never_land(cluster: &Cluster) {
    let topic = cluster.topic("payments");
    cluster.create_topic(&topic, 2);
    let space = Workspace::new(
        cluster,
        vec![Topic::new(&topic, "payments").with("event_time = \"at\"")],
    );
    let id = format!("tx-{topic}");
    let producer = TestProducer::with(cluster, &topic, &[("transactional.id", &id)]);
    let mut kept = Vec::new();
    producer.begin_first_transaction();
    for round in 0..6 {
        if round > 0 {
            producer.begin_transaction();
        }
        producer.send_all(mixed_stream(round * 200, 200, 2));
        let sent = producer.take_account();
        if round % 3 == 1 {
            producer.abort_transaction();
        } else {
            producer.commit_transaction();
            kept.extend(sent);
        }
    }
    // The last transaction is aborted: the topic ends in records that no reader is ever given.
    producer.begin_transaction();
    producer.send_all(mixed_stream(5000, 100, 2));
    producer.take_account();
    producer.abort_transaction();

    space.ingest_until_end().expect_code(0);
    assert_exactly(&space, &topic, "payments", &kept);
    let folded = fold(&space, &topic);
    let ends = high_watermarks(cluster, &topic, 2);
    assert_eq!(
        folded.next, ends,
        "the checkpoint follows the end past control records"
    );
    // Two aborted rounds of 200, the last 100, and a marker a partition for each of the seven transactions.
    assert_eq!(folded.absent, 2 * 200 + 100 + 7 * 2);

    let before = (space.contents("data"), space.contents("checkpoints"));
    space.ingest_until_end().expect_code(0);
    assert!(
        before == (space.contents("data"), space.contents("checkpoints")),
        "a run with nothing new changed the lake"
    );
}

/// Records behind an open transaction are not stable yet: `--until-end` does not wait for them.
pub fn an_open_transaction_is_left_for_later(cluster: &Cluster) {
    let topic = cluster.topic("open");
    cluster.create_topic(&topic, 1);
    let space = Workspace::new(
        cluster,
        vec![Topic::new(&topic, "open").with("event_time = \"at\"")],
    );
    let id = format!("tx-{topic}");
    let producer = TestProducer::with(cluster, &topic, &[("transactional.id", &id)]);
    producer.begin_first_transaction();
    let first = producer.send_all(mixed_stream(0, 100, 1));
    producer.commit_transaction();
    producer.begin_transaction();
    let all = producer.send_all(mixed_stream(100, 100, 1));
    space.ingest_until_end().expect_code(0);
    assert_exactly(&space, &topic, "open", &first);
    producer.commit_transaction();
    space.ingest_until_end().expect_code(0);
    assert_exactly(&space, &topic, "open", &all);
}

pub fn a_compacted_topic_lands_what_compaction_left(cluster: &Cluster) {
    let topic = cluster.topic("profiles");
    let settings = [
        ("cleanup.policy", "compact"),
        ("segment.bytes", "1048576"),
        ("min.cleanable.dirty.ratio", "0.01"),
        ("max.compaction.lag.ms", "1000"),
        ("segment.ms", "1000"),
        ("delete.retention.ms", "0"),
    ];
    cluster.create_topic_with(&topic, 1, &settings);
    let space = Workspace::new(
        cluster,
        vec![Topic::new(&topic, "profiles").with("event_time = \"at\"")],
    );
    // 3,000 versions of 20 keys. No Kafka timestamps of the past: the cleaner goes by them.
    let keyed = |n: i64| {
        let mut record = good(n, 0);
        record.key = Some(format!("user-{}", n % 20).into_bytes());
        record.timestamp_millis = Some(chrono::Utc::now().timestamp_millis());
        record
    };
    let mut sent = TestProducer::new(cluster, &topic).send_all((0..3000).map(keyed));
    let began = Instant::now();
    let mut next = 3000;
    // New segments roll only when something is produced.
    until(
        "compaction has left less than half",
        Duration::from_secs(90),
        || {
            sent.extend(TestProducer::new(cluster, &topic).send_all([keyed(next)]));
            next += 1;
            std::thread::sleep(Duration::from_millis(700));
            read_all(cluster, &topic).len() < 1500
        },
    );
    println!("compacted after {:?}", began.elapsed());
    let left = read_all(cluster, &topic);
    space.ingest_until_end().expect_code(0);
    let landed = fold(&space, &topic);
    // The cleaner may have gone on between the two readings: what is left now is in the lake, and all the lake holds was sent.
    let still = read_all(cluster, &topic);
    let rows = crate::lake::rows_by_position(&space.table("profiles"));
    assert!(
        rows.len() <= left.len() && rows.len() >= still.len(),
        "{} rows, {} records",
        rows.len(),
        left.len()
    );
    assert!(still.keys().all(|offset| rows.contains_key(&(0, *offset))));
    let kept: Vec<Sent> = sent
        .iter()
        .filter(|sent| rows.contains_key(&(0, sent.offset)))
        .cloned()
        .collect();
    assert_landed(&space, "profiles", &kept);
    assert_eq!(
        landed.accepted + landed.absent,
        sent.len() as u64,
        "every offset is accounted for"
    );
    assert!(
        landed.absent > 1400,
        "only {} offsets were absent: was there any compaction?",
        landed.absent
    );
}

fn consumer(cluster: &Cluster) -> BaseConsumer {
    ClientConfig::new()
        .set("bootstrap.servers", cluster.brokers())
        .set("group.id", "independent-reader")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .create()
        .expect("a consumer can be made")
}

/// The offsets that a plain consumer is given from partition 0, and the bytes of their payloads.
fn read_all(cluster: &Cluster, topic: &str) -> BTreeMap<i64, Option<Vec<u8>>> {
    let consumer = consumer(cluster);
    let mut from_start = TopicPartitionList::new();
    from_start
        .add_partition_offset(topic, 0, rdkafka::Offset::Beginning)
        .expect("an offset can be named");
    consumer.assign(&from_start).expect("a partition can be assigned");
    let mut found = BTreeMap::new();
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match consumer.poll(Duration::from_secs(1)) {
            Some(Ok(message)) => {
                found.insert(message.offset(), message.payload().map(<[u8]>::to_vec));
            }
            Some(Err(rdkafka::error::KafkaError::PartitionEOF(_))) => return found,
            Some(Err(error)) => panic!("the topic cannot be read: {error}"),
            None => assert!(Instant::now() < deadline, "the end of the topic was not reached"),
        }
    }
}

pub fn high_watermarks(cluster: &Cluster, topic: &str, partitions: i32) -> BTreeMap<i64, i64> {
    let consumer = consumer(cluster);
    let end = |partition| {
        let marks = consumer
            .fetch_watermarks(topic, partition, Duration::from_secs(10))
            .expect("watermarks");
        (i64::from(partition), marks.1)
    };
    (0..partitions).map(end).collect()
}
