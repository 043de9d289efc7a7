//! A plain librdkafka producer, and its own account of what it delivered where.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer};

use crate::cluster::Cluster;

/// What a record must become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Accepted,
    /// With this reason code; any, where the code is empty.
    Rejected(&'static str),
    Tombstone,
}

/// A record as it is sent.
#[derive(Clone, Debug)]
pub struct Record {
    pub partition: i32,
    pub key: Option<Vec<u8>>,
    pub payload: Option<Vec<u8>>,
    /// Kafka's timestamp in milliseconds; none: the producer's clock.
    pub timestamp_millis: Option<i64>,
    pub verdict: Verdict,
}

/// A record whose delivery the broker confirmed.
#[derive(Clone, Debug)]
pub struct Sent {
    pub record: Record,
    pub offset: i64,
}

type Deliveries = Arc<Mutex<Vec<Sent>>>;

struct Account(Deliveries);

impl ClientContext for Account {}

impl ProducerContext for Account {
    type DeliveryOpaque = Box<Record>;

    fn delivery(&self, result: &DeliveryResult<'_>, record: Self::DeliveryOpaque) {
        let delivered = result
            .as_ref()
            .unwrap_or_else(|(error, _)| panic!("not delivered: {error}"));
        assert_eq!(delivered.partition(), record.partition);
        let sent = Sent {
            record: *record,
            offset: delivered.offset(),
        };
        self.0.lock().expect("no other thread panics").push(sent);
    }
}

pub struct TestProducer {
    producer: ThreadedProducer<Account>,
    deliveries: Deliveries,
    topic: String,
}

impl TestProducer {
    pub fn new(cluster: &Cluster, topic: &str) -> TestProducer {
        TestProducer::with(cluster, topic, &[])
    }

    pub fn with(cluster: &Cluster, topic: &str, properties: &[(&str, &str)]) -> TestProducer {
        let deliveries = Deliveries::default();
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", cluster.brokers())
            .set("acks", "all")
            .set("linger.ms", "5");
        for (name, value) in properties {
            config.set(*name, *value);
        }
        let producer = config
            .create_with_context(Account(Arc::clone(&deliveries)))
            .expect("a producer can be made");
        TestProducer {
            producer,
            deliveries,
            topic: topic.to_owned(),
        }
    }

    pub fn send(&self, record: Record) {
        let kept = Box::new(record.clone());
        let mut message = BaseRecord::<[u8], [u8], Box<Record>>::with_opaque_to(&self.topic, kept)
            .partition(record.partition);
        if let Some(key) = &record.key {
            message = message.key(key);
        }
        if let Some(payload) = &record.payload {
            message = message.payload(payload);
        }
        if let Some(millis) = record.timestamp_millis {
            message = message.timestamp(millis);
        }
        self.producer
            .send(message)
            .unwrap_or_else(|(error, _)| panic!("cannot be sent: {error}"));
    }

    /// Waits until everything is confirmed, and gives back the whole account so far.
    pub fn flush(&self) -> Vec<Sent> {
        self.producer
            .flush(Duration::from_secs(60))
            .expect("everything is delivered");
        self.deliveries.lock().expect("no other thread panics").clone()
    }

    pub fn send_all(&self, records: impl IntoIterator<Item = Record>) -> Vec<Sent> {
        records.into_iter().for_each(|record| self.send(record));
        self.flush()
    }

    /// Forgets the deliveries so far and gives them back: those of a transaction that is about to be aborted.
    pub fn take_account(&self) -> Vec<Sent> {
        std::mem::take(&mut *self.deliveries.lock().expect("no other thread panics"))
    }

    pub fn begin_first_transaction(&self) {
        self.producer
            .init_transactions(Duration::from_secs(30))
            .expect("transactions can be had");
        self.begin_transaction();
    }

    pub fn begin_transaction(&self) {
        self.producer.begin_transaction().expect("a transaction begins");
    }

    pub fn commit_transaction(&self) {
        self.producer
            .commit_transaction(Duration::from_secs(30))
            .expect("the transaction commits");
    }

    pub fn abort_transaction(&self) {
        self.producer
            .abort_transaction(Duration::from_secs(30))
            .expect("the transaction aborts");
    }
}

/// One producer's worth of records to one topic.
pub fn produce(cluster: &Cluster, topic: &str, records: impl IntoIterator<Item = Record>) -> Vec<Sent> {
    TestProducer::new(cluster, topic).send_all(records)
}
