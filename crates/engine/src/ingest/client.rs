//! How the ingester's consumers are configured: what exactly-once needs, and the shares of the memory limit.

use eventlake_core::config::KafkaConfig;
use rdkafka::config::ClientConfig;

use crate::ingest::memory::Shares;
use crate::kafka::client::client_config;

/// From so many partitions on, what librdkafka does for each of them again and again is done less often.
const MANY_PARTITIONS: usize = 100;

/// Slows down what costs the same for each partition whether or not anything comes: one fetch asks for all of them, and the
/// statistics, and the lag that librdkafka asks for on their account, list all of them. A fetch is answered as soon as there is
/// anything, so no record waits for it; that a broker is back may be said some seconds later.
pub fn pace(config: &mut ClientConfig, kafka: &KafkaConfig, partitions: usize) {
    let times = partitions.div_ceil(MANY_PARTITIONS).max(1);
    let paced = [
        ("fetch.wait.max.ms", (200 * times).min(500)),
        ("statistics.interval.ms", (2_000 * times).min(30_000)),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn paced(kafka: &KafkaConfig, partitions: usize) -> [Option<String>; 2] {
        let mut config = ClientConfig::new();
        pace(&mut config, kafka, partitions);
        ["fetch.wait.max.ms", "statistics.interval.ms"].map(|name| config.get(name).map(str::to_owned))
    }

    #[test]
    fn many_partitions_are_looked_after_less_often_and_what_the_user_says_stays() {
        let mut kafka = KafkaConfig {
            brokers: "127.0.0.1:9092".to_owned(),
            group: "g".to_owned(),
            properties: Default::default(),
        };
        let of = |wait: &str, statistics: &str| [Some(wait.to_owned()), Some(statistics.to_owned())];
        assert_eq!(paced(&kafka, 0), of("200", "2000"));
        assert_eq!(paced(&kafka, 100), of("200", "2000"));
        assert_eq!(paced(&kafka, 101), of("400", "4000"));
        assert_eq!(paced(&kafka, 100_000), of("500", "30000"));
        kafka
            .properties
            .insert("fetch.wait.max.ms".to_owned(), "7".to_owned());
        assert_eq!(paced(&kafka, 1000), [None, Some("20000".to_owned())]);
    }
}
