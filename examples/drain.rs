//! Reads topics to their ends with bare librdkafka, one message at a time: the yardstick that `ingest` is held against.
//!
//! `cargo run --release --example drain -- 127.0.0.1:9092 clicks,views` prints one JSON object on stdout.

#![allow(clippy::print_stdout, reason = "a program of its own")]

use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [brokers, topics] = arguments.as_slice() else {
        anyhow::bail!("expected BROKERS TOPIC,..., found {arguments:?}");
    };
    let began = Instant::now();
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "drain")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .create()?;
    let metadata = consumer.fetch_metadata(None, Duration::from_secs(10))?;
    let mut start = TopicPartitionList::new();
    for name in topics.split(',') {
        let topic = metadata.topics().iter().find(|topic| topic.name() == name);
        let partitions = topic.map_or(0, |topic| topic.partitions().len());
        anyhow::ensure!(partitions > 0, "topic {name} does not exist at {brokers}");
        for partition in 0..partitions {
            start.add_partition_offset(name, i32::try_from(partition)?, rdkafka::Offset::Beginning)?;
        }
    }
    let partitions = start.count();
    consumer.assign(&start)?;

    let (mut events, mut payload_bytes, mut ended) = (0_u64, 0_u64, 0);
    while ended < partitions {
        match consumer.poll(Duration::from_secs(10)) {
            Some(Ok(message)) => {
                events += 1;
                payload_bytes += message.payload().map_or(0, <[u8]>::len) as u64;
            }
            Some(Err(KafkaError::PartitionEOF(_))) => ended += 1,
            Some(Err(error)) => return Err(error.into()),
            None => anyhow::bail!("nothing came for 10 s, {ended} of {partitions} partitions at their end"),
        }
    }
    let wall_secs = began.elapsed().as_secs_f64();
    println!("{{\"events\":{events},\"payload_bytes\":{payload_bytes},\"wall_secs\":{wall_secs:.3}}}");
    Ok(())
}
