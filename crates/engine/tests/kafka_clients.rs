//! Clients against the built-in broker: topic ids, errors told apart, a wrong address said in time.

use std::time::{Duration, Instant};

use eventlake_core::config::{KafkaConfig, TopicCreation};
use eventlake_engine::kafka::admin::{CreateError, create_topics, list_topics};
use eventlake_engine::kafka::builtin::BuiltinBroker;
use eventlake_engine::kafka::client::{ConnectError, connect, metadata_client};
use eventlake_engine::kafka::topics::{DescribeError, cluster_id, describe, describe_all};
use rdkafka::consumer::Consumer;

const TIMEOUT: Duration = Duration::from_secs(10);

fn kafka(brokers: &str) -> KafkaConfig {
    KafkaConfig {
        brokers: brokers.to_owned(),
        group: "test".to_owned(),
        properties: Default::default(),
    }
}

#[test]
fn the_built_in_broker_has_topics_with_ids_that_differ() {
    let broker = BuiltinBroker::start(&[("clicks", 4), ("views", 1)]).expect("a broker");
    let client = metadata_client(&kafka(&broker.brokers())).expect("a client");
    let described = describe_all(client.client(), &["views", "nowhere", "clicks"], TIMEOUT).expect("answers");
    let [views, nowhere, clicks] = &described[..] else {
        panic!("one answer each, not {described:?}")
    };
    let (views, clicks) = (views.as_ref().expect("views"), clicks.as_ref().expect("clicks"));
    assert_eq!((views.partitions.len(), clicks.partitions.len()), (1, 4));
    assert!(
        clicks
            .partitions
            .iter()
            .enumerate()
            .all(|(at, p)| p.partition as usize == at)
    );
    assert!(
        clicks
            .partitions
            .iter()
            .all(|p| p.leader.is_some() && p.replicas == 1)
    );
    let id = clicks
        .topic_id
        .as_ref()
        .expect("the built-in broker has topic ids");
    assert_eq!(id.len(), 22);
    assert_ne!(clicks.topic_id, views.topic_id);
    let unknown = DescribeError::UnknownTopic {
        topic: "nowhere".to_owned(),
    };
    assert_eq!(nowhere.as_ref(), Err(&unknown));
    assert_eq!(
        describe(client.client(), "nowhere", TIMEOUT),
        Err(unknown),
        "asking must not create it"
    );
    assert_eq!(
        describe(client.client(), "clicks", TIMEOUT)
            .expect("again")
            .topic_id
            .as_ref(),
        Some(id)
    );
    assert!(cluster_id(client.client(), TIMEOUT).is_some());
}

#[test]
fn many_threads_may_describe_through_one_client() {
    let broker = BuiltinBroker::start(&[("a", 1), ("b", 2), ("c", 3)]).expect("a broker");
    let client = metadata_client(&kafka(&broker.brokers())).expect("a client");
    std::thread::scope(|scope| {
        for (topic, partitions) in [("a", 1), ("b", 2), ("c", 3)] {
            let client = &client;
            scope.spawn(move || {
                for _ in 0..50 {
                    let description = describe(client.client(), topic, TIMEOUT).expect("a description");
                    assert_eq!(
                        (description.name.as_str(), description.partitions.len()),
                        (topic, partitions)
                    );
                }
            });
        }
    });
}

#[test]
fn a_broker_that_is_away_is_no_answer_and_not_an_unknown_topic() {
    let client = metadata_client(&kafka("127.0.0.1:1")).expect("a client");
    let started = Instant::now();
    let error = describe(client.client(), "clicks", Duration::from_millis(300)).expect_err("nobody is there");
    assert!(matches!(error, DescribeError::NoAnswer { .. }), "{error}");
    assert!(started.elapsed() < Duration::from_secs(3));
}

#[test]
fn a_wrong_address_is_explained_in_time() {
    let started = Instant::now();
    let error = connect(&kafka("127.0.0.1:1"), Duration::from_secs(2)).expect_err("nobody is there");
    assert!(
        started.elapsed() < Duration::from_secs(4),
        "{:?}",
        started.elapsed()
    );
    let ConnectError::NoAnswer {
        brokers,
        reason,
        hint,
    } = &error
    else {
        panic!("{error}")
    };
    assert_eq!(
        (brokers.as_str(), reason.as_str()),
        ("127.0.0.1:1", "connection refused")
    );
    assert!(hint.contains("EVENTLAKE_KAFKA_BROKERS"), "{hint}");
    let error =
        connect(&kafka("no-such-host.invalid:9092"), Duration::from_secs(2)).expect_err("no such host");
    assert!(error.to_string().contains("host name"), "{error}");
}

#[test]
fn connecting_tells_the_cluster_and_its_topics() {
    let broker = BuiltinBroker::start(&[("clicks", 4)]).expect("a broker");
    let cluster = connect(&kafka(&broker.brokers()), TIMEOUT).expect("the cluster answers");
    assert_eq!(cluster.topics.get("clicks"), Some(&4));
    assert_eq!(cluster.brokers.len(), 1);
    assert!(cluster.cluster_id.is_some());
}

#[test]
fn a_broker_that_cannot_create_topics_is_recognised() {
    let broker = BuiltinBroker::start(&[("clicks", 4)]).expect("a broker");
    let creation = TopicCreation {
        partitions: 2,
        replication: -1,
        retention: None,
    };
    let error = create_topics(&kafka(&broker.brokers()), &[("views", creation)], TIMEOUT)
        .expect_err("the built-in broker has no CreateTopics");
    assert!(matches!(error, CreateError::NotSupported), "{error}");
}

#[test]
fn listing_tells_what_is_there_and_what_is_missing() {
    let broker = BuiltinBroker::start(&[("clicks", 4)]).expect("a broker");
    let listed = list_topics(&kafka(&broker.brokers()), &["nowhere", "clicks"], TIMEOUT).expect("a listing");
    assert!(listed[0].is_none());
    let clicks = listed[1].as_ref().expect("clicks is there");
    assert_eq!(
        (clicks.watermarks.len(), clicks.replication(), clicks.records()),
        (4, 1, 0)
    );
}
