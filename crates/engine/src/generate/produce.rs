//! The producer: sends a source's records as fast as the cluster takes them, or at a rate, and accounts for each.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use eventlake_core::config::KafkaConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext, PurgeConfig};
use rdkafka::types::RDKafkaErrorCode;

use super::broken::Fault;
use super::deliveries::{Delivery, DeliveryLog};
use super::progress::{Progress, Report};
use super::source::{Nature, Record, Source};
use super::{GenerateError, Options};
use crate::kafka::client::{ClientLog, client_config, client_creation_reason};

/// After a stop, this long is left for the cluster to confirm what it was sent.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// Delivery reports wait for a poll; so many records are sent between two.
const RECORDS_PER_POLL: u64 = 256;

/// Generates to a cluster until the count is reached or `stop` is set, then waits for every confirmation.
///
/// # Errors
/// When no producer can be made, the delivery log cannot be written, or the cluster has no such topic. Records that
/// could not be delivered are no error here: the report counts them by reason.
pub fn run(
    options: &Options,
    kafka: &KafkaConfig,
    progress: &Arc<Progress>,
    stop: &AtomicBool,
) -> Result<Report, GenerateError> {
    let log = options
        .deliveries
        .as_deref()
        .map(DeliveryLog::create)
        .transpose()?;
    let context = Deliveries {
        log: ClientLog::default(),
        progress: Arc::clone(progress),
        delivery_log: log.map(Mutex::new),
        failures: Mutex::default(),
    };
    let producer: BaseProducer<Deliveries> =
        producer_config(kafka)
            .create_with_context(context)
            .map_err(|error| GenerateError::Client {
                reason: client_creation_reason(&error),
            })?;
    let started = Instant::now();
    let outcome = send_all(options, &producer, progress, stop);
    settle(&producer, progress, stop, outcome.is_err());
    outcome?;
    let context = producer.context();
    let report = Report {
        topics: progress
            .topics
            .iter()
            .map(|topic| (topic.topic.clone(), topic.counts()))
            .collect(),
        failures: lock(&context.failures).clone(),
        elapsed: started.elapsed(),
        stopped: stop.load(Ordering::Relaxed),
    };
    if let Some(log) = &context.delivery_log {
        lock(log).finish()?;
    }
    Ok(report)
}

/// What is good for throughput without giving up order or confirmation. [`client_config`]'s properties come first,
/// so that what the operator sets in `[kafka.properties]` wins.
fn producer_config(kafka: &KafkaConfig) -> ClientConfig {
    let mut config = client_config(kafka);
    for (name, value) in [
        ("enable.idempotence", "true"),
        ("acks", "all"),
        ("compression.codec", "lz4"),
        ("linger.ms", "20"),
        ("batch.size", "1000000"),
        ("queue.buffering.max.messages", "200000"),
        ("queue.buffering.max.kbytes", "131072"),
        // The partition that Java's clients would choose for the same key.
        ("partitioner", "murmur2_random"),
    ] {
        if !kafka.properties.contains_key(name) {
            config.set(name, value);
        }
    }
    config
}

fn send_all(
    options: &Options,
    producer: &BaseProducer<Deliveries>,
    progress: &Progress,
    stop: &AtomicBool,
) -> Result<(), GenerateError> {
    let mut source = Source::new(&options.plan());
    let mut pace = Pace::new(options.rate);
    let mut records: u64 = 0;
    for visit in 0..options.count.unwrap_or(u64::MAX) {
        pace.wait(visit, |time| producer.poll(time), stop);
        if stop.load(Ordering::Relaxed) {
            break;
        }
        for topic in &progress.topics {
            let record = source.next_record(now_micros());
            topic.produced.fetch_add(1, Ordering::Relaxed);
            topic
                .bytes
                .fetch_add(record.payload.len() as u64, Ordering::Relaxed);
            match record.nature {
                Nature::OnTime => {}
                Nature::Late => _ = topic.late.fetch_add(1, Ordering::Relaxed),
                Nature::Broken(_) => _ = topic.invalid.fetch_add(1, Ordering::Relaxed),
            }
            send(producer, &topic.topic, &record, visit, stop)?;
            records += 1;
            if records.is_multiple_of(RECORDS_PER_POLL) {
                producer.poll(Duration::ZERO);
            }
        }
    }
    Ok(())
}

fn send(
    producer: &BaseProducer<Deliveries>,
    topic: &str,
    record: &Record<'_>,
    sequence: u64,
    stop: &AtomicBool,
) -> Result<(), GenerateError> {
    let opaque = Tag::pack(record.kind, record.nature, sequence);
    let mut attempt = BaseRecord::with_opaque_to(topic, opaque)
        .key(record.key)
        .payload(record.payload);
    attempt.timestamp = record.timestamp_millis;
    loop {
        let (error, back) = match producer.send(attempt) {
            Ok(()) => return Ok(()),
            Err(refused) => refused,
        };
        match error.rdkafka_error_code() {
            // The cluster is slower than we are: wait until it has confirmed some.
            Some(RDKafkaErrorCode::QueueFull) if !stop.load(Ordering::Relaxed) => {
                producer.poll(Duration::from_millis(1));
                attempt = back;
            }
            Some(RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownPartition) => {
                producer.context().failed(record.kind, &error);
                return Err(GenerateError::UnknownTopic {
                    topic: topic.to_owned(),
                });
            }
            _ => {
                producer.context().failed(record.kind, &error);
                return Ok(());
            }
        }
    }
}

/// Waits until every record is confirmed or given up. After a stop no longer than the grace; what is left then is
/// purged, which reports it as failed. Counts for itself: librdkafka's own count includes what it merely has to say.
fn settle(producer: &BaseProducer<Deliveries>, progress: &Progress, stop: &AtomicBool, abandon: bool) {
    let mut stopped_at = None;
    loop {
        let total = progress.total();
        if total.delivered + total.failed >= total.produced {
            return;
        }
        if abandon || stop.load(Ordering::Relaxed) {
            let since: &mut Instant = stopped_at.get_or_insert_with(Instant::now);
            if abandon || since.elapsed() > STOP_GRACE {
                producer.purge(PurgeConfig::default().queue().inflight());
            }
        }
        producer.poll(Duration::from_millis(5));
    }
}

/// Spaces visits evenly. A producer that fell behind catches up on a second at most, so that a cluster that comes
/// back after an hour is not met by an hour's records at once.
struct Pace {
    per_second: Option<f64>,
    started: Instant,
}

impl Pace {
    const BEHIND_MAX: Duration = Duration::from_secs(1);

    fn new(per_second: Option<f64>) -> Pace {
        Pace {
            per_second,
            started: Instant::now(),
        }
    }

    fn wait(&mut self, visit: u64, rest: impl Fn(Duration), stop: &AtomicBool) {
        let Some(per_second) = self.per_second else { return };
        let due = Duration::from_secs_f64(visit as f64 / per_second);
        while !stop.load(Ordering::Relaxed) {
            let elapsed = self.started.elapsed();
            if elapsed >= due {
                let behind = elapsed - due;
                self.started += behind.saturating_sub(Self::BEHIND_MAX);
                return;
            }
            // Short enough to hear a stop; long enough that a high rate comes in bursts of a millisecond.
            rest((due - elapsed).clamp(Duration::from_millis(1), Duration::from_millis(50)));
        }
    }
}

fn now_micros() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Counts and a file: whole after each statement, whatever a panic elsewhere left behind.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What librdkafka carries along with a record, in one machine word, so that nothing is allocated for it:
/// the topic's index in 8 bits, the nature in 8, the sequence number in 48.
struct Tag;

impl Tag {
    fn pack(kind: usize, nature: Nature, sequence: u64) -> usize {
        let nature = match nature {
            Nature::OnTime => 0,
            Nature::Late => 1,
            Nature::Broken(fault) => 2 + fault as usize,
        };
        (sequence as usize) << 16 | nature << 8 | kind
    }

    fn unpack(tag: usize) -> (usize, Nature, u64) {
        let nature = match tag >> 8 & 0xff {
            0 => Nature::OnTime,
            1 => Nature::Late,
            fault => Nature::Broken(Fault::ALL[fault - 2]),
        };
        (tag & 0xff, nature, (tag >> 16) as u64)
    }
}

/// Hears of every record's fate, on the thread that polls.
struct Deliveries {
    log: ClientLog,
    progress: Arc<Progress>,
    delivery_log: Option<Mutex<DeliveryLog>>,
    failures: Mutex<BTreeMap<String, u64>>,
}

impl Deliveries {
    fn failed(&self, kind: usize, error: &KafkaError) {
        self.progress.topics[kind].failed.fetch_add(1, Ordering::Relaxed);
        let reason = match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight) => {
                "not confirmed before the end".to_owned()
            }
            Some(code) => code.to_string(),
            None => error.to_string(),
        };
        *lock(&self.failures).entry(reason).or_insert(0) += 1;
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, log_message: &str) {
        self.log.log(level, fac, log_message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.log.error(error, reason);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.log.stats_raw(statistics);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, tag: usize) {
        let (kind, nature, sequence) = Tag::unpack(tag);
        let message = match result {
            Ok(message) => message,
            Err((error, _)) => return self.failed(kind, error),
        };
        let topic = &self.progress.topics[kind];
        topic.delivered.fetch_add(1, Ordering::Relaxed);
        if let Some(log) = &self.delivery_log {
            lock(log).write(&Delivery {
                topic: &topic.topic,
                partition: message.partition(),
                offset: message.offset(),
                timestamp_millis: message.timestamp().to_millis(),
                sequence,
                nature,
                key: message.key().unwrap_or_default(),
                payload: message.payload().unwrap_or_default(),
            });
        }
    }
}
