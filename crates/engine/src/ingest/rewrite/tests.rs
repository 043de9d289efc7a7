//! A lost file is written again only from the life of the topic that it came from.

#![allow(clippy::disallowed_methods, reason = "a test removes files on purpose")]

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use eventlake_core::commit::{
    Append, ClusterId, FileOffsets, GenerationOrdinal, GenerationReason, OpenGeneration, PartitionAppend,
    PartitionStart, WriterId,
};
use eventlake_core::config::{PartitionBy, Properties, Start, TopicCreation};
use eventlake_core::names::{TableName, TopicName};
use eventlake_core::position::IntervalSet;
use eventlake_core::schema::{DecodeRules, compile};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::*;
use crate::ingest::memory::ClusterShape;
use crate::kafka::builtin::BuiltinBroker;
use crate::lake::{FileContents, LakePaths};

const SCHEMA: &str = r#"{
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {"id": {"type": "integer"}},
    "required": ["id"]
}"#;

fn topic() -> TopicConfig {
    TopicConfig {
        name: TopicName::new("clicks").expect("a name"),
        table: TableName::new("clicks").expect("a name"),
        schema_file: PathBuf::from("schema.json"),
        rules: DecodeRules::new(compile(SCHEMA).expect("a schema")),
        transform: None,
        start: Start::Earliest,
        partition_by: PartitionBy::Day,
        creation: TopicCreation {
            partitions: 1,
            replication: 1,
            retention: None,
        },
    }
}

/// Two records, one millisecond apart.
fn produce(broker: &BuiltinBroker) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", broker.brokers())
        .create()
        .expect("a producer");
    for id in 0..2_i64 {
        let payload = format!("{{\"id\":{id}}}");
        let record = BaseRecord::<(), str>::to("clicks").payload(&payload).partition(0);
        producer.send(record.timestamp(1_000 + id)).expect("queued");
    }
    producer.flush(Duration::from_secs(30)).expect("delivered");
}

/// A log whose generation is of this topic id, with one file of two rows that somebody has removed.
fn log_with_a_lost_file(paths: &LakePaths, rewriter: &Rewriter, topic_id: TopicId) -> TopicLog {
    let topic = &rewriter.topic;
    let writer = WriterId::new("test").expect("a writer");
    let mut log = TopicLog::open(paths, &topic.name, &topic.table, &writer).expect("opened");
    let generation = GenerationOrdinal(1);
    let opened = OpenGeneration {
        ordinal: generation,
        cluster_id: ClusterId::new("cluster").expect("an id"),
        topic_id,
        reason: GenerationReason::FirstStart,
        starts: vec![],
        after: None,
    };
    log.propose(Body::Generation(opened), now()).expect("opened");
    let (partition, from, next) = (PartitionId(0), Offset(0), Offset(2));
    let starts = vec![PartitionStart { partition, from }];
    let plan = StagePlan::Append {
        generation,
        from: starts,
    };
    let stage = log.stage(plan, now()).expect("staged");
    let day = TimePartition::of(1_000_000, PartitionBy::Day).expect("a day");
    let mut file = stage.create_file(FileSet::Accepted, day).expect("created");
    file.write_all(b"of no interest").expect("written");
    let contents = FileContents {
        rows: 2,
        offsets: vec![FileOffsets {
            partition,
            from,
            next,
            rows: 2,
        }],
        times: None,
        schema_version: rewriter.facts.accepted_version.clone(),
    };
    let file = file.finish(contents).expect("finished");
    stage.sync().expect("synced");
    let taken = PartitionAppend {
        partition,
        from,
        next,
        leader_epoch: None,
        accepted: 2,
        rejected: 0,
        tombstones: IntervalSet::new(),
        filtered: IntervalSet::new(),
        absent: IntervalSet::new(),
        lost: IntervalSet::new(),
    };
    let append = Append {
        generation,
        partitions: vec![taken],
        files: vec![file],
    };
    log.propose(Body::Append(append), now()).expect("appended");
    let staged = paths.data.join("_staging/clicks").join(stage.id().to_string());
    std::fs::remove_dir_all(staged).expect("the staged file is there");
    log
}

/// What becomes of the lost file when the log is of this life of the topic, or of another one.
fn publish(of_this_life: bool) -> (Result<(), Trouble>, u64) {
    let broker = BuiltinBroker::start(&[("clicks", 1)]).expect("a broker");
    produce(&broker);
    let folder = tempfile::tempdir().expect("a folder");
    let paths = LakePaths {
        data: folder.path().join("data"),
        rejected: folder.path().join("rejected"),
        checkpoints: folder.path().join("checkpoints"),
    };
    let kafka = KafkaConfig {
        brokers: broker.brokers(),
        group: "test".to_owned(),
        properties: Properties::default(),
    };
    let shape = ClusterShape {
        topics: 1,
        partitions: 1,
        brokers: 1,
    };
    let topic = topic();
    let rules = RowRules::from(topic.rules.clone());
    let rewriter = Rewriter {
        kafka,
        shares: Shares::of(64 << 20, shape),
        facts: FileFacts::of(&topic, &rules),
        rules,
        topic,
    };
    let client: BaseConsumer<IngestContext> = consumer_config(&rewriter.kafka, &rewriter.shares)
        .create_with_context(IngestContext::default())
        .expect("a client");
    let topic_id = if of_this_life {
        identity(&rewriter.topic, &client).expect("described").0.topic_id
    } else {
        TopicId::new("an-earlier-life").expect("an id")
    };
    let mut log = log_with_a_lost_file(&paths, &rewriter, topic_id);
    let done = rewriter.publish(&mut log);
    let rewritten = log.fold().expect("a fold").totals().replaced.len() as u64;
    (done, rewritten)
}

#[test]
fn a_lost_file_is_written_again_from_its_own_life_of_the_topic() {
    let (done, rewritten) = publish(true);
    assert!(done.is_ok(), "{done:?}");
    assert_eq!(rewritten, 1);
}

#[test]
fn records_of_another_life_are_never_taken_for_those_of_a_lost_file() {
    let (done, rewritten) = publish(false);
    let why = done.expect_err("the file is lost").to_string();
    assert!(why.contains("deleted and created again"), "{why}");
    assert_eq!(rewritten, 0);
}
