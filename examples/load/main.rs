//! Fills topics with events for the benchmark: clicks or orders of about 1 KB, shuffled over hours or happening now.
//!
//! `cargo run --release --example load -- --brokers 127.0.0.1:9092 --topics clicks --count 17000000 --partitions 16
//! --hours 200` sends that many clicks to 16 partitions, their event times shuffled over 200 hours: the backlog that
//! strains memory most. It prints one JSON object on stdout. The topics must be there.

#![allow(clippy::print_stdout, reason = "a program of its own")]

mod events;

use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use events::{click, mixed, order};

/// 2026-03-01T00:00:00Z, in seconds.
const FIRST_HOUR: i64 = 1_772_323_200;

#[derive(Debug, Parser)]
struct Args {
    #[arg(long)]
    brokers: String,
    /// They get the events in turn
    #[arg(long, value_delimiter = ',')]
    topics: Vec<String>,
    /// Of all topics together
    #[arg(long)]
    count: u64,
    /// Of each topic
    #[arg(long, default_value_t = 4)]
    partitions: u64,
    /// Event times shuffled over so many hours; 0: each event happens as it is sent
    #[arg(long, default_value_t = 0)]
    hours: u64,
    #[arg(long, value_enum, default_value_t = Shape::Click)]
    shape: Shape,
    /// Events a second; without it as fast as the cluster takes them
    #[arg(long)]
    rate: Option<f64>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shape {
    /// As config/schemas/clicks.schema.json has it
    Click,
    /// As scripts/bench/orders.schema.json has it: nested objects and an array of them
    Order,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &args.brokers)
        .set("enable.idempotence", "true")
        // A paced event is to be measured on its way through the lake, not in this producer's queue.
        .set("linger.ms", if args.rate.is_some() { "5" } else { "50" })
        .set("batch.size", "1000000")
        .set("queue.buffering.max.messages", "1000000")
        .create()?;

    let began = Instant::now();
    let mut payload = Vec::new();
    let mut payload_bytes = 0;
    let topics = args.topics.len() as u64;
    for n in 0..args.count {
        let noise = mixed(n);
        event(&mut payload, n, noise, &args)?;
        payload_bytes += payload.len() as u64;
        let topic = &args.topics[usize::try_from(n % topics)?];
        // The lowest bits choose the partition, higher ones the time: every partition has every hour.
        let partition = i32::try_from(noise % args.partitions)?;
        send(&producer, topic, partition, &payload)?;
        if n % 10_000 == 0 {
            producer.poll(Duration::ZERO);
        }
        if let Some(rate) = args.rate {
            pace(&producer, began, (n + 1) as f64 / rate);
        }
    }
    producer.flush(Duration::from_secs(120))?;
    let (count, wall_secs) = (args.count, began.elapsed().as_secs_f64());
    println!("{{\"events\":{count},\"payload_bytes\":{payload_bytes},\"wall_secs\":{wall_secs:.3}}}");
    Ok(())
}

fn send(producer: &BaseProducer, topic: &str, partition: i32, payload: &[u8]) -> anyhow::Result<()> {
    let mut record = BaseRecord::<(), [u8]>::to(topic)
        .partition(partition)
        .payload(payload);
    while let Err((error, unsent)) = producer.send(record) {
        anyhow::ensure!(
            error == KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull),
            "a record cannot be sent: {error}"
        );
        producer.poll(Duration::from_millis(20));
        record = unsent;
    }
    Ok(())
}

/// Waits until `due_secs` after the beginning, when that is at least a millisecond away: events go in small bursts.
fn pace(producer: &BaseProducer, began: Instant, due_secs: f64) {
    let ahead = due_secs - began.elapsed().as_secs_f64();
    if ahead > 0.001 {
        producer.poll(Duration::ZERO);
        std::thread::sleep(Duration::from_secs_f64(ahead));
    }
}

fn event(payload: &mut Vec<u8>, n: u64, noise: u64, args: &Args) -> anyhow::Result<()> {
    let time = if args.hours == 0 {
        chrono::Utc::now()
    } else {
        let secs = FIRST_HOUR + i64::try_from((noise >> 8) % (args.hours * 3600))?;
        let nanos = u32::try_from(n % 1_000_000)? * 1000;
        chrono::DateTime::from_timestamp(secs, nanos).ok_or_else(|| anyhow::anyhow!("no such time"))?
    };
    let time = time.format("%Y-%m-%dT%H:%M:%S%.6fZ");
    payload.clear();
    match args.shape {
        Shape::Click => click(payload, noise, time)?,
        Shape::Order => order(payload, n, noise, time)?,
    }
    Ok(())
}
