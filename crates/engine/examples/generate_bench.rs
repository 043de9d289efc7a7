//! Compares the generator with a bare librdkafka producer that sends the same bytes to the same cluster.
//!
//! `cargo run --release -p eventlake-engine --example generate_bench -- BROKERS [EVENTS] [ROUNDS]`
//!
//! The topic `generate-bench` is used, and created with four partitions where it is missing. Runs take turns, so
//! that both meet the same conditions; the last line is the ratio of the medians.

#![allow(clippy::print_stdout)]

use std::error::Error;
use std::ffi::CString;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use eventlake_core::config::{KafkaConfig, TopicCreation};
use eventlake_engine::generate::{self, Kind, Options, Progress};
use eventlake_engine::kafka::admin::create_topics;
use rdkafka::bindings as ffi;
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, Producer};

const TOPIC: &str = "generate-bench";

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let brokers = arguments
        .next()
        .ok_or("usage: generate_bench BROKERS [EVENTS] [ROUNDS]")?;
    let events: u64 = arguments.next().unwrap_or_else(|| "1000000".to_owned()).parse()?;
    let rounds: usize = arguments.next().unwrap_or_else(|| "3".to_owned()).parse()?;
    let kafka = KafkaConfig {
        brokers,
        group: "generate-bench".to_owned(),
        properties: Default::default(),
    };
    let creation = TopicCreation {
        partitions: 4,
        replication: -1,
        retention: None,
    };
    create_topics(&kafka, &[(TOPIC, creation)], Duration::from_secs(10))?;
    let mut options = Options::new(42);
    options.topics = vec![(Kind::Clicks, TOPIC.to_owned())];
    options.count = Some(events);

    let mut bytes = Vec::new();
    let stop = AtomicBool::new(false);
    generate::write_lines(&options, &mut bytes, || 1_767_225_600_000_000, &stop)?;
    let payloads: Vec<&[u8]> = bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .collect();
    println!("{events} events, {} bytes each", bytes.len() as u64 / events);

    let (mut generated, mut bare) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        let started = Instant::now();
        let report = generate::run(&options, &kafka, &Arc::new(Progress::new(&options.topics)), &stop)?;
        assert_eq!(report.total().delivered, events, "{:?}", report.failures);
        generated.push(events as f64 / started.elapsed().as_secs_f64());
        bare.push(events as f64 / produce_bare(&kafka.brokers, &payloads)?.as_secs_f64());
        println!(
            "round {round}: generate {:.0}/s, bare librdkafka {:.0}/s",
            generated[round - 1],
            bare[round - 1]
        );
    }
    println!("ratio {:.2}", median(&mut generated) / median(&mut bare));
    Ok(())
}

/// `rd_kafka_produce` in a loop, with the generator's settings, the payload copied as every real sender has it, and
/// keys as the generator has them.
fn produce_bare(brokers: &str, payloads: &[&[u8]]) -> Result<Duration, Box<dyn Error>> {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("enable.idempotence", "true")
        .set("compression.codec", "lz4")
        .set("linger.ms", "20")
        .create()?;
    let topic_name = CString::new(TOPIC)?;
    let started = Instant::now();
    // SAFETY: the topic handle is made of a live client and destroyed before it. Payload and key are copied.
    unsafe {
        let rk = producer.client().native_ptr();
        let topic = ffi::rd_kafka_topic_new(rk, topic_name.as_ptr(), std::ptr::null_mut());
        for (at, payload) in payloads.iter().enumerate() {
            let key = key_of(payload);
            while ffi::rd_kafka_produce(
                topic,
                -1,
                ffi::RD_KAFKA_MSG_F_COPY,
                payload.as_ptr().cast_mut().cast(),
                payload.len(),
                key.as_ptr().cast(),
                key.len(),
                std::ptr::null_mut(),
            ) != 0
            {
                producer.poll(Duration::from_millis(1));
            }
            if at % 256 == 0 {
                producer.poll(Duration::ZERO);
            }
        }
        producer.flush(Duration::from_secs(60))?;
        ffi::rd_kafka_topic_destroy(topic);
    }
    Ok(started.elapsed())
}

fn key_of(payload: &[u8]) -> &[u8] {
    let field = b"\"user_id\":";
    let from = payload
        .windows(field.len())
        .position(|window| window == field)
        .expect("every click has a user");
    let digits = &payload[from + field.len()..];
    let end = digits
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(digits.len());
    &digits[..end]
}

fn median(rates: &mut [f64]) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}
