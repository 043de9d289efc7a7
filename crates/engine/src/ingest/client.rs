//! How the ingester's consumers are configured: what exactly-once needs, and the shares of the memory limit.

use eventlake_core::config::KafkaConfig;
use rdkafka::config::ClientConfig;

use crate::ingest::memory::Shares;
use crate::kafka::client::client_config;

/// From so many partitions on, librdkafka's statistics come less often.
const MANY_PARTITIONS: usize = 100;

/// How long a fetch waits where nothing comes. Not more: while it waits, those partitions whose queues were full when it was sent
/// wait with it, so one topic's backlog among many idle ones is read the more slowly.
const FETCH_WAIT_MILLIS: usize = 200;
const FETCH_WAIT_MILLIS_MAX: usize = 500;

/// Slows down what goes through every partition, whether or not anything comes: the statistics, with the lag that librdkafka keeps on
/// their account, and fetches that find nothing. All that is lost is that a broker that is back may be said to be so some seconds
/// later, and that a full queue may be filled again after half a second: so a partition that is alone among thousands is read at
/// two of its fetches a second ([`Shares::fetch_bytes_per_partition`]).
pub fn pace(config: &mut ClientConfig, kafka: &KafkaConfig, partitions: usize) {
    let times = partitions.div_ceil(MANY_PARTITIONS).max(1);
    let fetch_wait = (FETCH_WAIT_MILLIS + partitions * 3 / 10).min(FETCH_WAIT_MILLIS_MAX);
    let paced = [
        ("statistics.interval.ms", (2_000 * times).min(30_000)),
        ("fetch.wait.max.ms", fetch_wait),
    ];
    for (name, millis) in paced {
        if !kafka.properties.contains_key(name) {
            config.set(name, millis.to_string());
        }
    }
}

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
        ("fetch.wait.max.ms", FETCH_WAIT_MILLIS.to_string()),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_partitions_are_asked_less_often_and_what_the_user_says_stays() {
        let mut kafka = KafkaConfig {
            brokers: "127.0.0.1:9092".to_owned(),
            group: "g".to_owned(),
            properties: Default::default(),
        };
        let paced = |kafka: &KafkaConfig, partitions, name| {
            let mut config = ClientConfig::new();
            pace(&mut config, kafka, partitions);
            config.get(name).map(str::to_owned)
        };
        for (partitions, statistics, fetch) in [
            (0, "2000", "200"),
            (100, "2000", "230"),
            (101, "4000", "230"),
            (1_000, "20000", "500"),
            (100_000, "30000", "500"),
        ] {
            let found =
                ["statistics.interval.ms", "fetch.wait.max.ms"].map(|name| paced(&kafka, partitions, name));
            assert_eq!(
                found,
                [statistics, fetch].map(|millis| Some(millis.to_owned())),
                "{partitions}"
            );
        }
        for name in ["statistics.interval.ms", "fetch.wait.max.ms"] {
            kafka.properties.insert(name.to_owned(), "7".to_owned());
            assert_eq!(paced(&kafka, 1000, name), None);
        }
    }
}
