//! How every Kafka client is configured, how its logs reach ours, and whether the cluster answers at all.
//!
//! librdkafka reports a broker that is away again and again, on several channels. [`ClientLog`] turns that storm
//! into one line when a broker goes, a reminder now and then, and one line when it is back.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::certificate::certificate_fault;
use super::topics::{AskedBroker, Asking};
use eventlake_core::config::KafkaConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::producer::{DeliveryResult, ProducerContext};

/// How long a command waits at start for the cluster's first answer.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(9);

/// Seconds for which a refusal has to stand before it is believed: another of the brokers may have been the one to answer.
const HOPELESS_LOOKS: usize = 2;
const HANGS_UP: &str = "it closes the connection at the first request";
/// librdkafka's words for a certificate that it does not trust; it does not say why.
const UNTRUSTED: &str = "certificate could not be verified";

/// A broker that stays away is mentioned again after this long, then after twice as long, and so on.
const REMINDER_FIRST: Duration = Duration::from_secs(60);
const REMINDER_MAX: Duration = Duration::from_secs(960);

/// The configuration that every client of this program starts from; its owner adds what is its own (the group,
/// acknowledgements, queue bounds). The properties of `[kafka.properties]` are passed through as they stand. They
/// may hold secrets: never log the result.
#[must_use]
pub fn client_config(kafka: &KafkaConfig) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &kafka.brokers)
        .set("client.id", "eventlake")
        // Brokers close idle connections as a matter of course.
        .set("log.connection.close", "false");
    for (name, value) in &kafka.properties {
        config.set(name, value);
    }
    // The statistics tell when a broker is back: librdkafka logs that only under `debug = broker`, whose lines keep
    // a producer's flush from ever ending.
    if !kafka.properties.contains_key("statistics.interval.ms") {
        config.set("statistics.interval.ms", "2000");
    }
    config.set_log_level(if kafka.properties.contains_key("debug") {
        RDKafkaLogLevel::Debug
    } else {
        RDKafkaLogLevel::Info
    });
    config
}

/// Routes what librdkafka has to say to `tracing`. A context of one's own keeps one and hands `log`,
/// `error` and `stats_raw` on.
#[derive(Debug, Default)]
pub struct ClientLog {
    watch: Mutex<BrokerWatch>,
    /// Its owner waits for the answer and tells what became of it: no line for a broker that cannot be reached.
    owner_tells: bool,
    asked: AskedBroker,
}

#[derive(Debug, Default)]
struct BrokerWatch {
    away: HashMap<String, Away>,
    last_failure: Option<BrokerFailure>,
}

#[derive(Debug)]
struct Away {
    since: Instant,
    said: Instant,
    next_reminder: Duration,
}

/// Why a broker could not be reached, in librdkafka's words without its decoration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerFailure {
    /// host:port
    pub broker: String,
    pub reason: String,
}

/// What one line of librdkafka's means for the state of a broker.
#[derive(Debug, PartialEq, Eq)]
enum BrokerNews {
    /// A connection that stood was closed; librdkafka connects again at once.
    Closed,
    /// It could not be connected to, or did not answer.
    Failed(BrokerFailure),
}

/// The part of librdkafka's statistics that says which brokers are there.
#[derive(serde::Deserialize)]
struct BrokerStatistics {
    #[serde(default)]
    brokers: HashMap<String, BrokerState>,
}

#[derive(serde::Deserialize)]
struct BrokerState {
    /// host:port
    nodename: String,
    state: String,
}

impl ClientLog {
    /// For the first question to a cluster, whose failure is told in one error.
    #[must_use]
    pub fn for_a_first_question() -> ClientLog {
        ClientLog {
            owner_tells: true,
            ..ClientLog::default()
        }
    }

    /// The last reason for which a broker could not be reached, whether or not it is back.
    #[must_use]
    pub fn last_failure(&self) -> Option<BrokerFailure> {
        self.watch().last_failure.clone()
    }

    /// Are any brokers away right now? Their addresses, in order.
    #[must_use]
    pub fn brokers_away(&self) -> Vec<String> {
        let mut away: Vec<String> = self.watch().away.keys().cloned().collect();
        away.sort();
        away
    }

    fn watch(&self) -> MutexGuard<'_, BrokerWatch> {
        // A panic elsewhere leaves the map usable: every update of it is a single insert or remove.
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, failure: BrokerFailure, now: Instant) {
        let mut watch = self.watch();
        let BrokerFailure { broker, reason } = &failure;
        if self.owner_tells {
            watch.last_failure = Some(failure);
            return;
        }
        match watch.away.get_mut(broker) {
            None => {
                tracing::warn!(broker, "broker {broker} cannot be reached: {reason}; retrying");
                let away = Away {
                    since: now,
                    said: now,
                    next_reminder: REMINDER_FIRST,
                };
                watch.away.insert(broker.clone(), away);
            }
            Some(away) if now.duration_since(away.said) >= away.next_reminder => {
                let secs = now.duration_since(away.since).as_secs();
                tracing::warn!(
                    broker,
                    "broker {broker} still cannot be reached after {secs} s: {reason}; retrying"
                );
                away.said = now;
                away.next_reminder = (away.next_reminder * 2).min(REMINDER_MAX);
            }
            Some(_) => {}
        }
        watch.last_failure = Some(failure);
    }

    fn up(&self, broker: &str, now: Instant) {
        if let Some(away) = self.watch().away.remove(broker) {
            let secs = now.duration_since(away.since).as_secs_f64();
            tracing::info!(broker, "broker {broker} is back after {secs:.1} s");
        }
    }

    fn note(&self, news: BrokerNews) {
        match news {
            BrokerNews::Closed => {}
            BrokerNews::Failed(failure) => self.failed(failure, Instant::now()),
        }
    }
}

impl ClientContext for ClientLog {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, log_message: &str) {
        if let Some(news) = broker_news(fac, log_message) {
            self.note(news);
            return;
        }
        // One [kafka.properties] serves consumers and producers; librdkafka remarks on those that are the other's.
        if fac == "CONFWARN" && log_message.contains("will be ignored by this") {
            return;
        }
        let shown = without_values(fac, log_message);
        let log_message = shown.as_ref();
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error => {
                tracing::error!(target: "librdkafka", facility = fac, "{log_message}");
            }
            RDKafkaLogLevel::Warning => {
                tracing::warn!(target: "librdkafka", facility = fac, "{log_message}");
            }
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
                tracing::info!(target: "librdkafka", facility = fac, "{log_message}");
            }
            RDKafkaLogLevel::Debug => {
                tracing::debug!(target: "librdkafka", facility = fac, "{log_message}");
            }
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        use rdkafka::types::RDKafkaErrorCode as Code;
        let code = error.rdkafka_error_code();
        if code == Some(Code::AllBrokersDown) {
            return; // Each of them was reported by name.
        }
        match broker_news("FAIL", reason) {
            Some(news) => self.note(news),
            None => tracing::error!(target: "librdkafka", "{reason}"),
        }
    }

    fn stats_raw(&self, statistics: &[u8]) {
        if self.watch().away.is_empty() {
            return;
        }
        // Only ever librdkafka's own JSON; were it unreadable, a broker's return would go unsaid and nothing else.
        let Ok(statistics) = serde_json::from_slice::<BrokerStatistics>(statistics) else {
            return;
        };
        for broker in statistics
            .brokers
            .into_values()
            .filter(|broker| broker.state == "UP")
        {
            self.up(&broker.nodename, Instant::now());
        }
    }
}

/// With `debug = conf` (or `all`) librdkafka logs every property it was given, and hides only those it knows for secrets.
fn without_values<'a>(facility: &str, message: &'a str) -> Cow<'a, str> {
    match message.split_once(" = ") {
        Some((name, _)) if facility == "CONF" => Cow::Owned(format!("{name} = (not shown)")),
        _ => Cow::Borrowed(message),
    }
}

impl Asking for ClientLog {
    fn asked(&self) -> &AskedBroker {
        &self.asked
    }
}

impl ConsumerContext for ClientLog {}

impl ProducerContext for ClientLog {
    type DeliveryOpaque = ();

    fn delivery(&self, _result: &DeliveryResult<'_>, _opaque: Self::DeliveryOpaque) {}
}

/// Reads librdkafka's lines about one broker: `[thrd:NAME]: HOST:PORT/ID: REASON (after 0ms in state CONNECT)`
/// with facility `FAIL` or `ERROR`.
fn broker_news(facility: &str, message: &str) -> Option<BrokerNews> {
    if !matches!(facility, "FAIL" | "ERROR") {
        return None;
    }
    let message = match message.strip_prefix("[thrd:") {
        Some(rest) => rest.split_once("]: ")?.1,
        None => message,
    };
    let (broker, text) = broker_and_text(message)?;
    let (reason, state) = match text.rsplit_once(" (after ") {
        Some((reason, rest)) => (reason, rest),
        None => (text, ""),
    };
    // One that hangs up on the first request speaks something else: TLS, most likely.
    let hangs_up = state.contains("in state APIVERSION_QUERY");
    if reason.contains("handle is terminating")
        || reason.starts_with("Disconnected") && !hangs_up
        || state.contains("in state UP")
    {
        return Some(BrokerNews::Closed);
    }
    let reason = match hangs_up && reason.starts_with("Disconnected") {
        true => HANGS_UP.to_owned(),
        false => plain_reason(reason),
    };
    Some(BrokerNews::Failed(BrokerFailure { broker, reason }))
}

/// Splits `host:9092/1: text` or `GroupCoordinator: host:9092: text` into host:port and text.
fn broker_and_text(message: &str) -> Option<(String, &str)> {
    let mut rest = message;
    for _ in 0..2 {
        let (name, text) = rest.split_once(": ")?;
        let address = name.rsplit("://").next().unwrap_or(name);
        let address = address.split('/').next().unwrap_or(address);
        let is_address = address.rsplit_once(':').is_some_and(|(host, port)| {
            !host.contains(' ') && port.bytes().all(|byte| byte.is_ascii_digit())
        });
        if is_address {
            return Some((address.to_owned(), text));
        }
        rest = text;
    }
    None
}

/// `Connect to ipv4#127.0.0.1:9092 failed: Connection refused` says no more than `connection refused`.
fn plain_reason(reason: &str) -> String {
    let reason = match reason.split_once(" failed: ") {
        Some((head, tail)) if head.starts_with("Connect to ") => tail,
        _ => reason,
    };
    let reason = reason.split(" (_").next().unwrap_or(reason);
    let mut chars = reason.chars();
    match (chars.next(), chars.next()) {
        (Some(first), Some(second)) if second.is_lowercase() => {
            first.to_lowercase().chain(reason.chars().skip(1)).collect()
        }
        _ => reason.to_owned(),
    }
}

/// What the cluster said to the first question.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// None: a broker that has no notion of it.
    pub cluster_id: Option<String>,
    /// host:port of each broker, by its id.
    pub brokers: BTreeMap<i32, String>,
    /// The partitions of each topic that may be seen.
    pub topics: BTreeMap<String, usize>,
}

/// The cluster did not answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("no answer from Kafka at {brokers}: {reason}\nhint: {hint}")]
    NoAnswer {
        brokers: String,
        reason: String,
        hint: String,
    },
    #[error("a Kafka client cannot be made from [kafka]: {reason}")]
    Client { reason: String },
}

/// Asks the cluster for its metadata, so that a wrong address is said at start and not hours later.
///
/// # Errors
/// When no broker answered within `timeout`; the message says the last reason and what to check.
pub fn connect(kafka: &KafkaConfig, timeout: Duration) -> Result<Cluster, ConnectError> {
    let consumer = metadata_client_with(kafka, ClientLog::for_a_first_question())?;
    let mut hopeless = 0;
    let deadline = Instant::now() + timeout;
    loop {
        let remaining = deadline.saturating_duration_since(Instant::now());
        let slice = remaining.min(Duration::from_millis(1_000));
        let outcome = consumer.client().fetch_metadata(None, slice);
        serve_logs(&consumer, Duration::from_millis(50));
        let error = match outcome {
            Ok(metadata) => {
                let brokers = metadata.brokers().iter();
                let topics = metadata.topics().iter();
                return Ok(Cluster {
                    cluster_id: super::topics::cluster_id(consumer.client(), remaining),
                    brokers: brokers
                        .map(|b| (b.id(), format!("{}:{}", b.host(), b.port())))
                        .collect(),
                    topics: topics
                        .map(|t| (t.name().to_owned(), t.partitions().len()))
                        .collect(),
                });
            }
            Err(error) => error,
        };
        let failure = consumer.context().last_failure();
        hopeless += usize::from(failure.is_some_and(|failure| is_hopeless(&failure.reason)));
        if Instant::now() >= deadline || hopeless >= HOPELESS_LOOKS {
            return Err(no_answer(kafka, consumer.context(), &error, timeout));
        }
    }
}

/// Whether trying again with the same configuration gives the same: the broker is there and refuses this client, or this
/// client refuses the broker.
fn is_hopeless(reason: &str) -> bool {
    reason.contains("SASL authentication error")
        || reason.contains(UNTRUSTED)
        || reason.contains("connecting to a PLAINTEXT broker listener")
}

/// librdkafka's logs and errors wait in a queue until somebody polls.
fn serve_logs(consumer: &BaseConsumer<ClientLog>, time: Duration) {
    let until = Instant::now() + time;
    while Instant::now() < until {
        consumer.poll(until.saturating_duration_since(Instant::now()));
    }
}

/// A client that asks questions only: it joins no group and reads nothing.
///
/// # Errors
/// When librdkafka refuses a property.
pub fn metadata_client(kafka: &KafkaConfig) -> Result<BaseConsumer<ClientLog>, ConnectError> {
    metadata_client_with(kafka, ClientLog::default())
}

fn metadata_client_with(
    kafka: &KafkaConfig,
    log: ClientLog,
) -> Result<BaseConsumer<ClientLog>, ConnectError> {
    let mut config = client_config(kafka);
    config.set("allow.auto.create.topics", "false");
    if log.owner_tells {
        // A port that wants TLS closes the connection, and says nothing else.
        config.set("log.connection.close", "true");
    }
    config
        .create_with_context(log)
        .map_err(|error| ConnectError::Client {
            reason: client_creation_reason(&error),
        })
}

/// Why librdkafka would not make a client, with a hint where there is one. Names the property but never a value: that may be a
/// secret.
#[must_use]
pub fn client_creation_reason(error: &KafkaError) -> String {
    let reason = match error {
        KafkaError::ClientConfig(_, reason, property, _value) => format!("{property}: {reason}"),
        other => other.to_string(),
    };
    let file = ["ssl.ca.location", "ssl.certificate.location", "ssl.key.location"]
        .into_iter()
        .find(|property| reason.contains(&format!("{property} failed")));
    if let Some(property) = file {
        return format!("{reason}\nhint: is there a file in PEM format at {property}, and may it be read?");
    }
    if !cfg!(feature = "tls") && needs_tls(&reason) {
        return format!("{reason}\nhint: {BUILD_WITH_TLS}");
    }
    reason
}

/// What to do where librdkafka says that it was built without OpenSSL.
pub const BUILD_WITH_TLS: &str =
    "build the program with `--features tls` (needs OpenSSL's headers); the container image has it";

/// Whether librdkafka complains that it was built without OpenSSL.
#[must_use]
pub fn needs_tls(reason: &str) -> bool {
    [
        "OpenSSL not available",
        "not available at build time",
        "built without SSL",
        "SASL_SCRAM",
    ]
    .iter()
    .any(|words| reason.contains(words))
}

fn no_answer(
    kafka: &KafkaConfig,
    log: &Arc<ClientLog>,
    error: &KafkaError,
    timeout: Duration,
) -> ConnectError {
    let failure = log.last_failure();
    let reason = match &failure {
        Some(failure) if kafka.brokers.contains(&failure.broker) => failure.reason.clone(),
        Some(BrokerFailure { broker, reason }) => format!("{broker}: {reason}"),
        None => {
            let code = error.rdkafka_error_code().map(|code| code.to_string());
            format!("{} after {} s", code.unwrap_or_default(), timeout.as_secs())
        }
    };
    let brokers = kafka.brokers.clone();
    if reason.contains(UNTRUSTED)
        && let Some(fault) = certificate_fault(kafka)
    {
        return ConnectError::NoAnswer {
            brokers,
            reason: fault.what.to_owned(),
            hint: fault.hint.to_owned(),
        };
    }
    ConnectError::NoAnswer {
        brokers,
        hint: connect_hint(&reason),
        reason,
    }
}

fn connect_hint(reason: &str) -> String {
    let reason = reason.to_lowercase();
    let address = "[kafka] brokers in the configuration (or EVENTLAKE_KAFKA_BROKERS)";
    if reason.contains("resolve") {
        format!("this machine does not know that host name; check {address}")
    } else if reason.contains("plaintext broker listener") {
        format!("that port does not speak TLS; check security.protocol in [kafka.properties], and {address}")
    } else if reason.contains(HANGS_UP) {
        format!(
            "that port may want TLS or SASL, or be no Kafka at all: check security.protocol in [kafka.properties], and {address}"
        )
    } else if reason.contains("sasl") || reason.contains("authenticat") {
        "check the sasl.* properties in [kafka.properties] and the secrets they name".to_owned()
    } else if reason.contains("ssl") || reason.contains("certificate") {
        "check security.protocol and the ssl.* properties in [kafka.properties]".to_owned()
    } else {
        format!("is Kafka running there? check {address}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(broker: &str, reason: &str) -> Option<BrokerNews> {
        Some(BrokerNews::Failed(BrokerFailure {
            broker: broker.to_owned(),
            reason: reason.to_owned(),
        }))
    }

    #[test]
    fn librdkafkas_lines_are_read_for_broker_and_reason() {
        let cases = [
            (
                "FAIL",
                "[thrd:127.0.0.1:9092/bootstrap]: 127.0.0.1:9092/bootstrap: Connect to ipv4#127.0.0.1:9092 failed: \
                 Connection refused (after 0ms in state CONNECT)",
                failed("127.0.0.1:9092", "connection refused"),
            ),
            (
                "FAIL",
                "nohost:9092/bootstrap: Failed to resolve 'nohost:9092': Name or service not known (after 5ms in state CONNECT)",
                failed(
                    "nohost:9092",
                    "failed to resolve 'nohost:9092': Name or service not known",
                ),
            ),
            (
                "FAIL",
                "sasl_ssl://kafka:9093/2: SSL handshake failed: Disconnected: connecting to a PLAINTEXT broker listener? \
                 (after 3ms in state SSL_HANDSHAKE)",
                failed(
                    "kafka:9093",
                    "SSL handshake failed: Disconnected: connecting to a PLAINTEXT broker listener?",
                ),
            ),
            (
                "FAIL",
                "GroupCoordinator: 127.0.0.1:9092: Connect to ipv4#127.0.0.1:9092 failed: Connection refused \
                 (after 1ms in state CONNECT, 3 identical error(s) suppressed)",
                failed("127.0.0.1:9092", "connection refused"),
            ),
            (
                "FAIL",
                "127.0.0.1:9092/1: Disconnected (after 9ms in state UP)",
                Some(BrokerNews::Closed),
            ),
            (
                "FAIL",
                "127.0.0.1:9093/bootstrap: Disconnected: connection closed by peer: receive 0 after POLLIN \
                 (after 1ms in state APIVERSION_QUERY)",
                failed("127.0.0.1:9093", HANGS_UP),
            ),
            (
                "CONFWARN",
                "[thrd:app]: Configuration property x is deprecated",
                None,
            ),
        ];
        for (facility, line, expected) in cases {
            assert_eq!(broker_news(facility, line), expected, "{line}");
        }
    }

    #[test]
    fn a_property_librdkafka_refuses_is_named_and_its_value_is_not() {
        let kafka = KafkaConfig {
            brokers: "127.0.0.1:1".to_owned(),
            group: "g".to_owned(),
            properties: [("sasl.pasword".to_owned(), "hunter2".to_owned())].into(),
        };
        let error = metadata_client(&kafka)
            .err()
            .expect("an unknown property is refused")
            .to_string();
        assert!(error.contains("sasl.pasword"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}
