//! How the ingester's consumers are configured: what exactly-once needs, and the shares of the memory limit.

use eventlake_core::config::KafkaConfig;
use rdkafka::config::ClientConfig;

use crate::ingest::memory::Shares;
use crate::kafka::client::client_config;

/// The configuration of a consumer in the configured group.
#[must_use]
pub fn consumer_config(kafka: &KafkaConfig, shares: &Shares) -> ClientConfig {
    let mut config = client_config(kafka);
    let defaults = [
        ("partition.assignment.strategy", "cooperative-sticky".to_owned()),
        ("session.timeout.ms", "45000".to_owned()),
        ("topic.metadata.refresh.interval.ms", "10000".to_owned()),
        // Without it a full queue is looked at again only after a second, and throughput saw-tooths.
        ("fetch.queue.backoff.ms", "5".to_owned()),
        ("fetch.wait.max.ms", "200".to_owned()),
        ("queued.min.messages", "1000000".to_owned()),
        (
            "queued.max.messages.kbytes",
            (shares.queue_bytes_per_topic >> 10).max(1).to_string(),
        ),
        (
            "max.partition.fetch.bytes",
            shares.fetch_bytes_per_partition.to_string(),
        ),
        ("fetch.max.bytes", shares.fetch_bytes.to_string()),
    ];
    for (name, value) in defaults {
        if !kafka.properties.contains_key(name) {
            config.set(name, value);
        }
    }
    config
        .set("group.id", &kafka.group)
        // The checkpoints decide where reading starts; Kafka is told afterwards, for lag tools.
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // A position outside of the partition is data loss, never a reason to jump.
        .set("auto.offset.reset", "error")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        .set("check.crcs", "true")
        .set("allow.auto.create.topics", "false");
    config
}
