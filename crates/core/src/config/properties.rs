//! librdkafka's properties: passed through, except those that something here decides; their values are never shown.

use std::collections::BTreeMap;
use std::fmt;

use toml::de::{DeTable, DeValue};

use super::fault::Place;
use super::reader::{Reader, Table};
use super::settings;
use super::source::Source;
use super::values::Raw;

/// Properties for librdkafka, name to value. Debug shows the names only: any value may be a secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Properties(BTreeMap<String, String>);

impl Properties {
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.insert(name.into(), value.into());
    }

    pub fn iter(&self) -> std::collections::btree_map::Iter<'_, String, String> {
        self.0.iter()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[must_use]
    pub fn contains_key(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}

impl<'a> IntoIterator for &'a Properties {
    type Item = (&'a String, &'a String);
    type IntoIter = std::collections::btree_map::Iter<'a, String, String>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<K: Into<String>, V: Into<String>, const N: usize> From<[(K, V); N]> for Properties {
    fn from(properties: [(K, V); N]) -> Self {
        Self(
            properties
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Properties that are decided elsewhere: passing them would break a promise, so they are refused with the reason.
const DECIDED_ELSEWHERE: &[(&str, &str)] = &[
    ("bootstrap.servers", "set [kafka] brokers instead"),
    ("metadata.broker.list", "set [kafka] brokers instead"),
    ("group.id", "set [kafka] group instead"),
    (
        "group.protocol",
        "partitions are handed over by the classic protocol",
    ),
    (
        "group.remote.assignor",
        "partitions are handed over by the classic protocol",
    ),
    ("enable.auto.commit", OFFSETS),
    ("auto.commit.enable", OFFSETS),
    ("auto.commit.interval.ms", OFFSETS),
    ("enable.auto.offset.store", OFFSETS),
    ("offset.store.method", OFFSETS),
    (
        "auto.offset.reset",
        "reading starts at the checkpoint; for a partition never seen, set the topic's start",
    ),
    (
        "isolation.level",
        "only committed records land: it is always read_committed",
    ),
    ("enable.partition.eof", "the ingester itself relies on it"),
    ("queued.max.messages.kbytes", MEMORY),
    ("check.crcs", "every record's checksum is always checked"),
    ("fetch.message.max.bytes", MEMORY),
    ("max.partition.fetch.bytes", MEMORY),
    ("fetch.max.bytes", MEMORY),
    ("receive.message.max.bytes", MEMORY),
    ("enable.idempotence", PRODUCER),
    ("acks", PRODUCER),
    ("request.required.acks", PRODUCER),
    ("transactional.id", PRODUCER),
    ("enable.gapless.guarantee", PRODUCER),
    (
        "allow.auto.create.topics",
        "a topic is created by eventlake topics create, never by looking at it",
    ),
    (
        "test.mock.num.brokers",
        "the built-in broker is started by eventlake demo",
    ),
];

const OFFSETS: &str =
    "where reading goes on is decided by the commits in the lake, never by offsets kept in Kafka";
const MEMORY: &str = "[lake] memory_limit and max_record decide it";
const PRODUCER: &str = "the generator's deliveries are always idempotent and confirmed";

/// Properties that can be set by a variable alone, without a line in the file.
pub(super) const BY_VARIABLE: [&str; 14] = [
    "client.id",
    "debug",
    "enable.ssl.certificate.verification",
    "group.instance.id",
    "sasl.mechanism",
    "sasl.password",
    "sasl.username",
    "security.protocol",
    "socket.keepalive.enable",
    "ssl.ca.location",
    "ssl.certificate.location",
    "ssl.endpoint.identification.algorithm",
    "ssl.key.location",
    "ssl.key.password",
];

#[derive(Clone)]
pub(super) struct WrittenProperty {
    pub name: String,
    pub source: Source,
    pub place: Place,
}

/// Reads `[kafka.properties]`, then the variables over it. Names may be quoted (`"sasl.password"`) or not.
pub(super) fn read(reader: &mut Reader<'_>, kafka: &Table<'_, '_>) -> Vec<WrittenProperty> {
    let mut found = Vec::new();
    if let Some(value) = kafka
        .entries
        .and_then(|entries| entries.get(settings::PROPERTIES.key))
    {
        let place = reader.places.at(value.span().start);
        match value.get_ref() {
            DeValue::Table(entries) => flatten(reader, "", entries, &mut found),
            other => {
                let (setting, raw) = (settings::PROPERTIES, Raw::of(other));
                reader.fault(
                    place,
                    format!("{setting}: expected {}, found {}", setting.expected, raw.kind()),
                );
            }
        }
    }
    let mut names: Vec<String> = found.iter().map(|property| property.name.clone()).collect();
    names.extend(BY_VARIABLE.map(str::to_owned));
    names.sort();
    names.dedup();
    for name in names {
        let variable = variable_of(&name);
        if let Some(value) = reader.variable(&variable) {
            found.retain(|property| property.name != name);
            let place = Place::Variable { name: variable };
            found.push(WrittenProperty {
                name,
                source: Source::Plain(value),
                place,
            });
        }
    }
    refuse_those_decided_elsewhere(reader, &mut found);
    found
}

/// `sasl.password` is set by `EVENTLAKE_KAFKA_PROPERTIES_SASL_PASSWORD`.
pub(super) fn variable_of(property: &str) -> String {
    format!("EVENTLAKE_KAFKA_PROPERTIES_{}", settings::shouted(property))
}

/// Unquoted, `sasl.password = "x"` is a table in a table to TOML; here it is one name.
fn flatten(reader: &mut Reader<'_>, prefix: &str, entries: &DeTable<'_>, found: &mut Vec<WrittenProperty>) {
    for (key, value) in entries {
        let name = format!("{prefix}{}", key.get_ref());
        let place = reader.places.at(value.span().start);
        let source = match value.get_ref() {
            DeValue::Table(inner) => match secret(inner) {
                Some(source) => source,
                None => {
                    flatten(reader, &format!("{name}."), inner, found);
                    continue;
                }
            },
            simple => match Raw::of(simple).plain() {
                Some(text) => Source::Plain(text),
                None => {
                    let kind = Raw::of(simple).kind();
                    let expected =
                        "expected a text, a number, true or false, { env = \"NAME\" } or { file = \"PATH\" }";
                    reader.fault(
                        place,
                        format!("kafka.properties.{name}: {expected}, found {kind}"),
                    );
                    continue;
                }
            },
        };
        if found.iter().any(|property| property.name == name) {
            reader.fault(place, format!("kafka.properties.{name}: it is set twice"));
            continue;
        }
        found.push(WrittenProperty { name, source, place });
    }
}

/// `{ env = "NAME" }` or `{ file = "PATH" }`.
fn secret(table: &DeTable<'_>) -> Option<Source> {
    let text = |key: &str| {
        table
            .get(key)
            .and_then(|value| value.get_ref().as_str())
            .map(str::to_owned)
    };
    if table.len() != 1 {
        return None;
    }
    text("env")
        .map(Source::Variable)
        .or_else(|| text("file").map(|path| Source::File(path.into())))
}

fn refuse_those_decided_elsewhere(reader: &mut Reader<'_>, found: &mut Vec<WrittenProperty>) {
    found.retain(|property| {
        let decided = DECIDED_ELSEWHERE.iter().find(|(name, _)| *name == property.name);
        if let Some((name, reason)) = decided {
            reader.fault(
                property.place.clone(),
                format!("kafka.properties.{name} cannot be set: {reason}"),
            );
        }
        decided.is_none()
    });
}
