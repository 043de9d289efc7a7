//! The built-in broker: librdkafka's mock cluster in this process, for `demo` and for tests.
//!
//! It speaks the real protocol over TCP, so that other processes can join, and has topic ids, consumer groups and
//! idempotent producers. It is no place to keep anything: it listens on a port of its own choosing on 127.0.0.1, keeps
//! about 5 MB or 100,000 records a partition in memory, and knows neither CreateTopics nor DeleteTopics.

use rdkafka::bindings;
use rdkafka::client::{Client, DefaultClientContext};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaType;

/// A running built-in broker; dropping it ends the broker and everything in it.
pub struct BuiltinBroker {
    /// Made with `test.mock.num.brokers`: librdkafka starts the cluster with this client and destroys it with it.
    client: Client<DefaultClientContext>,
}

#[derive(Debug, thiserror::Error)]
#[error("the built-in broker cannot {what}: {source}")]
pub struct BuiltinBrokerError {
    what: String,
    source: KafkaError,
}

/// Is this the cluster id of a built-in broker, in this process or in another?
#[must_use]
pub fn is_builtin(cluster_id: &str) -> bool {
    cluster_id.starts_with("mockCluster")
}

impl BuiltinBroker {
    /// Starts a broker that has these topics, each with its number of partitions.
    ///
    /// # Errors
    /// When no port or thread was to be had, or a topic's name or number of partitions is refused.
    pub fn start(topics: &[(&str, i32)]) -> Result<BuiltinBroker, BuiltinBrokerError> {
        let failed = |source| BuiltinBrokerError {
            what: "start".to_owned(),
            source,
        };
        let mut config = ClientConfig::new();
        config.set("test.mock.num.brokers", "1");
        // Nobody polls this client: what it logs would only pile up.
        config.set_log_level(RDKafkaLogLevel::Emerg);
        let native_config = config.create_native_config().map_err(failed)?;
        let client = Client::new(
            &config,
            native_config,
            RDKafkaType::RD_KAFKA_PRODUCER,
            DefaultClientContext,
        )
        .map_err(failed)?;
        let broker = BuiltinBroker { client };
        broker.assign_groups_at_once();
        for (name, partitions) in topics {
            broker.create_topic(name, *partitions)?;
        }
        Ok(broker)
    }

    /// Its address as a client's `bootstrap.servers`: `127.0.0.1:PORT`.
    #[must_use]
    pub fn brokers(&self) -> String {
        self.client
            .mock_cluster()
            .expect("the client was made with test.mock.num.brokers")
            .bootstrap_servers()
    }

    /// # Errors
    /// When the topic is there already, or its name or number of partitions is refused.
    pub fn create_topic(&self, name: &str, partitions: i32) -> Result<(), BuiltinBrokerError> {
        self.client
            .mock_cluster()
            .expect("the client was made with test.mock.num.brokers")
            .create_topic(name, partitions, 1)
            .map_err(|source| BuiltinBrokerError {
                what: format!("create topic {name} with {partitions} partitions"),
                source,
            })
    }

    /// Its groups would wait 3 s for more members before the first assignment.
    fn assign_groups_at_once(&self) {
        // SAFETY: `native_ptr` is a live client, borrowed for the call. The handle is null or the cluster that the
        // client owns and frees only when it is destroyed itself, which `self` outlives; it is checked for null, and
        // the setter takes the cluster's own lock.
        unsafe {
            let cluster = bindings::rd_kafka_handle_mock_cluster(self.client.native_ptr());
            assert!(
                !cluster.is_null(),
                "the client was made with test.mock.num.brokers"
            );
            bindings::rd_kafka_mock_group_initial_rebalance_delay_ms(cluster, 0);
        }
    }
}
