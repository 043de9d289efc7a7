//! The broker under a case: the built-in one, of the case's own, or the real Kafka that the environment names.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use eventlake_engine::kafka::builtin::BuiltinBroker;
use rdkafka::TopicPartitionList;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;

use crate::wait::until;

pub struct Cluster {
    kind: Kind,
    brokers: String,
    /// Set apart the topics of one case on a cluster that all share.
    run: String,
}

enum Kind {
    Builtin(BuiltinBroker),
    Shared,
    /// A Kafka of the case's own, which it may stop; the folder is its `--dir`.
    Own(tempfile::TempDir),
}

impl Cluster {
    pub fn builtin() -> Cluster {
        let broker = BuiltinBroker::start(&[]).expect("the built-in broker starts");
        let brokers = broker.brokers();
        Cluster {
            kind: Kind::Builtin(broker),
            brokers,
            run: String::new(),
        }
    }

    /// # Panics
    /// Where the environment names no Kafka: a case that was asked for is never skipped.
    pub fn real() -> Cluster {
        let brokers = std::env::var("EVENTLAKE_TEST_BROKERS").unwrap_or_else(|_| {
            panic!(
                "EVENTLAKE_TEST_BROKERS is not set, so there is no real Kafka to test against\n\
                 hint: EVENTLAKE_TEST_BROKERS=$(scripts/kafka.sh start) cargo test --release --test pipeline -- --ignored"
            )
        });
        Cluster {
            kind: Kind::Shared,
            brokers,
            run: unique(),
        }
    }

    /// A real Kafka that no other case sees.
    pub fn own() -> Cluster {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let brokers = kafka_script(&["start", "--port", "0", "--heap", "512m"], folder.path());
        Cluster {
            kind: Kind::Own(folder),
            brokers,
            run: String::new(),
        }
    }

    pub fn brokers(&self) -> &str {
        &self.brokers
    }

    /// The name under which this case's topic `base` lives on the cluster.
    pub fn topic(&self, base: &str) -> String {
        if self.run.is_empty() {
            base.to_owned()
        } else {
            format!("{base}-{}", self.run)
        }
    }

    pub fn create_topic(&self, name: &str, partitions: i32) {
        self.create_topic_with(name, partitions, &[]);
    }

    pub fn create_topic_with(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) {
        if let Kind::Builtin(broker) = &self.kind {
            assert!(settings.is_empty(), "the built-in broker has no topic settings");
            broker
                .create_topic(name, partitions)
                .expect("the built-in broker takes the topic");
            return;
        }
        let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        for (key, value) in settings {
            topic = topic.set(key, value);
        }
        let results =
            block_on(self.admin().create_topics([&topic], &options())).expect("CreateTopics is answered");
        for result in results {
            result.unwrap_or_else(|(topic, code)| panic!("topic {topic} cannot be created: {code}"));
        }
    }

    /// Deletes a topic and waits until the cluster has forgotten it.
    pub fn delete_topic(&self, name: &str) {
        let results =
            block_on(self.admin().delete_topics(&[name], &options())).expect("DeleteTopics is answered");
        for result in results {
            result.unwrap_or_else(|(topic, code)| panic!("topic {topic} cannot be deleted: {code}"));
        }
        until("the topic is gone", Duration::from_secs(20), || {
            let admin = self.admin();
            let metadata = admin
                .inner()
                .fetch_metadata(None, Duration::from_secs(5))
                .expect("metadata is answered");
            metadata.topics().iter().all(|topic| topic.name() != name)
        });
    }

    pub fn has_topic(&self, name: &str) -> bool {
        let admin = self.admin();
        let metadata = admin
            .inner()
            .fetch_metadata(None, Duration::from_secs(10))
            .expect("metadata is answered");
        metadata.topics().iter().any(|topic| topic.name() == name)
    }

    pub fn grow_topic(&self, name: &str, partitions: usize) {
        let grown = NewPartitions::new(name, partitions);
        let results = block_on(self.admin().create_partitions([&grown], &options()))
            .expect("CreatePartitions is answered");
        for result in results {
            result.unwrap_or_else(|(topic, code)| panic!("topic {topic} cannot grow: {code}"));
        }
    }

    /// What retention does: every record before `before` is gone.
    pub fn delete_records(&self, topic: &str, partition: i32, before: i64) {
        let mut positions = TopicPartitionList::new();
        positions
            .add_partition_offset(topic, partition, rdkafka::Offset::Offset(before))
            .expect("an offset can be named");
        let answer =
            block_on(self.admin().delete_records(&positions, &options())).expect("DeleteRecords is answered");
        for element in answer.elements() {
            element
                .error()
                .unwrap_or_else(|error| panic!("records cannot be deleted: {error}"));
        }
    }

    /// The folder of a Kafka of the case's own.
    pub fn folder(&self) -> &Path {
        match &self.kind {
            Kind::Own(folder) => folder.path(),
            _ => panic!("only a Kafka of one's own has a folder"),
        }
    }

    pub fn stop(&self) {
        kafka_script(&["stop"], self.folder());
    }

    pub fn crash(&self) {
        kafka_script(&["crash"], self.folder());
    }

    /// Starts a stopped Kafka again, at the address it had.
    pub fn start(&self) {
        let brokers = kafka_script(&["start", "--heap", "512m"], self.folder());
        assert_eq!(
            brokers, self.brokers,
            "a Kafka that is started again keeps its address"
        );
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .create()
            .expect("an admin client can be made")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Kind::Own(folder) = &self.kind {
            kafka_script(&["stop"], folder.path());
        }
    }
}

fn options() -> AdminOptions {
    let wait = Some(Duration::from_secs(20));
    AdminOptions::new().operation_timeout(wait).request_timeout(wait)
}

fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime can be made");
    runtime.block_on(future)
}

fn unique() -> String {
    let mut name = String::new();
    for byte in uuid_bytes() {
        write!(name, "{byte:02x}").expect("writing to a string cannot fail");
    }
    name
}

fn uuid_bytes() -> [u8; 5] {
    use std::hash::{BuildHasher as _, Hasher as _};
    let random = std::collections::hash_map::RandomState::new()
        .build_hasher()
        .finish()
        .to_le_bytes();
    [random[0], random[1], random[2], random[3], random[4]]
}

/// Runs `scripts/kafka.sh` and gives back what it printed: the address.
fn kafka_script(arguments: &[&str], folder: &Path) -> String {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scripts/kafka.sh");
    let output = Command::new(script)
        .args(arguments)
        .arg("--dir")
        .arg(folder)
        .stderr(Stdio::piped())
        .output()
        .expect("scripts/kafka.sh can be run");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "scripts/kafka.sh {arguments:?}: {said}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
