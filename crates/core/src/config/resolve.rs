//! From the configuration as written to the one resolved: defaults, comparisons, secrets and schemas.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::alerts::resolve as alerts;
use super::fault::{Fault, Place};
use super::paths::{Overlap, beside, overlap};
use super::properties::Properties;
use super::reader::{Given, Reader};
use super::views::resolve::{self as views, Known};
use super::written::{Written, WrittenLake, WrittenTopic};
use super::{
    Config, HttpConfig, KafkaConfig, LakeConfig, ListenAddress, OnDataLoss, PartitionBy, Start, Surroundings,
    TopicConfig, TopicCreation, TransformConfig, TransformPart, settings, values,
};
use crate::names::{TableName, TopicName};
use crate::schema::{self, DecodeRules, RECORD_BYTES_MAX_DEFAULT, Schema};

const GROUP_DEFAULT: &str = "eventlake";
const MEMORY_LIMIT_DEFAULT: u64 = 512 << 20;
const ROLL_SIZE_DEFAULT: u64 = 128 << 20;
const PARTITIONS_DEFAULT: i32 = 4;

/// Resolves what was written. Every fault ends up in the reader; the result counts only when there is none.
pub(super) fn resolve(
    reader: &mut Reader<'_>,
    written: Written,
    around: &Surroundings<'_>,
    file: &Path,
) -> Config {
    let mut warnings = Vec::new();
    let kafka = resolve_kafka(reader, &written, around, file);
    let lake = resolve_lake(reader, &written.lake);
    let http = resolve_http(&written.listen, &mut warnings);
    let limits = Limits {
        record_bytes_max: lake_max_record(reader, &written.lake),
        future_micros_max: written.lake.max_future.value().map(|max_future| {
            i64::try_from(max_future.as_micros()).expect("durations are at most a hundred years")
        }),
    };
    let topics = resolve_topics(reader, &written, around, file, limits);
    let known = Known {
        around,
        file,
        lake: &lake,
        topics: &topics,
    };
    let views = views::resolve(reader, written.views, &known);
    let known = alerts::Known {
        around,
        file,
        topics: &topics,
        views: &views,
    };
    let alerts = alerts::resolve(reader, written.alerts, &known);
    Config {
        file: file.to_owned(),
        kafka,
        lake,
        http,
        topics: topics.configs,
        views: views.configs,
        alerts,
        warnings,
    }
}

fn resolve_kafka(
    reader: &mut Reader<'_>,
    written: &Written,
    around: &Surroundings<'_>,
    file: &Path,
) -> KafkaConfig {
    if matches!(written.brokers, Given::Absent) {
        let setting = settings::BROKERS;
        let message = format!(
            "{setting} is missing: expected {}, here or in EVENTLAKE_KAFKA_BROKERS",
            setting.expected
        );
        reader.fault(written.kafka_place.clone(), message);
    }
    let mut properties = Properties::default();
    for property in &written.properties {
        let value = property.source.text(around, file);
        match value.and_then(|value| (around.property)(&property.name, &value).map(|()| value)) {
            Ok(value) => properties.insert(&property.name, value),
            Err(reason) => {
                reader.fault(
                    property.place.clone(),
                    format!("kafka.properties.{}: {reason}", property.name),
                );
            }
        }
    }
    KafkaConfig {
        brokers: written.brokers.clone().or(String::new()),
        group: written.group.clone().or(GROUP_DEFAULT.to_owned()),
        properties,
    }
}

fn resolve_lake(reader: &mut Reader<'_>, written: &WrittenLake) -> LakeConfig {
    let memory_limit_bytes = written.memory_limit.clone().or(MEMORY_LIMIT_DEFAULT);
    if let Given::Value { value, place } = &written.roll_size
        && *value > memory_limit_bytes
    {
        let (size, limit) = (values::show_size(*value), values::show_size(memory_limit_bytes));
        reader.fault(
            place.clone(),
            format!("lake.roll_size: {size} is more than memory_limit ({limit})"),
        );
    }
    let day = Duration::from_secs(86_400);
    let lake = LakeConfig {
        data: written.data.clone().or("data/parquet".into()),
        rejected: written.rejected.clone().or("data/rejected".into()),
        checkpoints: written.checkpoints.clone().or("checkpoints".into()),
        roll_interval: written.roll_interval.clone().or(Duration::from_secs(10)),
        roll_bytes: written.roll_size.clone().or(ROLL_SIZE_DEFAULT),
        memory_limit_bytes,
        on_data_loss: written.on_data_loss.clone().or(OnDataLoss::Fail),
        log_retention: written.log_retention.clone().or(7 * day),
        snapshot_every: written.snapshot_every.clone().or(100),
    };
    let folders = [
        (settings::DATA, &written.data, &lake.data),
        (settings::REJECTED, &written.rejected, &lake.rejected),
        (settings::CHECKPOINTS, &written.checkpoints, &lake.checkpoints),
    ];
    for (index, (setting, given, path)) in folders.iter().enumerate() {
        for (other_setting, other_given, other_path) in &folders[..index] {
            let relation = match overlap(path, other_path) {
                None => continue,
                Some(Overlap::Same) => "is the same folder as",
                Some(Overlap::Inside) => "lies inside",
                Some(Overlap::Around) => "contains",
            };
            // The default of one may lie in what is written for the other: the one written is at fault.
            let place = given.place().or(other_given.place()).cloned();
            let place = place.unwrap_or_else(|| reader.places.whole_file());
            let (path, other_path) = (path.display(), other_path.display());
            let message = format!(
                "{setting} ({path}) {relation} {other_setting} ({other_path}); expected folders apart from each other"
            );
            reader.fault(place, message);
        }
    }
    lake
}

fn resolve_http(listen: &Given<ListenAddress>, warnings: &mut Vec<Fault>) -> HttpConfig {
    if let Given::Value {
        value: ListenAddress::At(address),
        place,
    } = listen
        && !address.ip().is_loopback()
    {
        let message = format!(
            "http.listen: {address} can be reached from other machines; whoever can, sees topics, paths and figures"
        );
        warnings.push(Fault {
            place: place.clone(),
            message,
        });
    }
    let default = ListenAddress::At(std::net::SocketAddr::from(([127, 0, 0, 1], 8088)));
    HttpConfig {
        listen: listen.clone().or(default),
    }
}

/// The limits of a verdict that the lake sets for all topics.
#[derive(Clone, Copy)]
struct Limits {
    record_bytes_max: usize,
    future_micros_max: Option<i64>,
}

fn lake_max_record(reader: &mut Reader<'_>, written: &WrittenLake) -> usize {
    let bytes = written.max_record.clone().or(RECORD_BYTES_MAX_DEFAULT as u64);
    let limit = written.memory_limit.clone().or(MEMORY_LIMIT_DEFAULT);
    if let Given::Value { value, place } = &written.max_record
        && *value > limit / 4
    {
        let (size, limit) = (values::show_size(*value), values::show_size(limit));
        reader.fault(
            place.clone(),
            format!("lake.max_record: {size} is more than a quarter of memory_limit ({limit})"),
        );
    }
    usize::try_from(bytes).unwrap_or(RECORD_BYTES_MAX_DEFAULT)
}

/// Names or tables that are taken, with where.
pub(super) type Taken = BTreeMap<String, Place>;

/// The topics, and what views must know of them.
pub(super) struct Topics {
    pub configs: Vec<TopicConfig>,
    /// In small letters.
    pub tables: Taken,
    /// False when there is a fault in any: then tables may be missing, and columns of those that are there.
    pub are_known: bool,
}

fn resolve_topics(
    reader: &mut Reader<'_>,
    written: &Written,
    around: &Surroundings<'_>,
    file: &Path,
    limits: Limits,
) -> Topics {
    let faults_before = reader.faults.len();
    if written.topics.is_empty() && !written.names_topics {
        let place = reader.places.whole_file();
        reader.fault(
            place,
            "no [[topics]]: expected at least one, with a name and a schema",
        );
    }
    let mut names = Taken::new();
    let mut tables = Taken::new();
    let mut schemas = Schemas {
        around,
        compiled: BTreeMap::new(),
    };
    let mut configs = Vec::new();
    for topic in &written.topics {
        let name = topic_name(reader, topic, &mut names);
        let table = table_name(reader, topic, &mut tables);
        let schema = schemas.of(reader, topic, file);
        let rules = schema
            .as_ref()
            .map(|(_, schema)| rules_of(reader, topic, schema.clone(), limits));
        let transform = transform_of(reader, topic, rules.as_ref(), around);
        if let (Some(name), Some(table), Some((schema_file, _)), Some(rules)) = (name, table, schema, rules) {
            configs.push(TopicConfig {
                name,
                table,
                schema_file,
                rules,
                transform,
                start: topic.start.clone().or(Start::Earliest),
                partition_by: topic.partition_by.clone().or(PartitionBy::Hour),
                creation: creation_of(topic),
            });
        }
    }
    Topics {
        configs,
        tables,
        are_known: !written.topics_at_fault && reader.faults.len() == faults_before,
    }
}

fn creation_of(topic: &WrittenTopic) -> TopicCreation {
    let number = |given: &Given<u64>| given.value().and_then(|number| i32::try_from(*number).ok());
    TopicCreation {
        partitions: number(&topic.partitions).unwrap_or(PARTITIONS_DEFAULT),
        replication: number(&topic.replication).unwrap_or(-1),
        retention: topic.retention.value().copied(),
    }
}

fn topic_name(reader: &mut Reader<'_>, topic: &WrittenTopic, names: &mut Taken) -> Option<TopicName> {
    let (text, place) = match &topic.name {
        Given::Value { value, place } => (value, place),
        Given::Refused => return None,
        Given::Absent => {
            reader.missing(&topic.place, &settings::NAME);
            return None;
        }
    };
    if let Some(first) = names.get(text) {
        let message = format!(
            "topics.name: {text:?} is declared twice, first at {}",
            first.short()
        );
        reader.fault(place.clone(), message);
        return None;
    }
    names.insert(text.clone(), place.clone());
    match TopicName::new(text) {
        Ok(name) => Some(name),
        Err(bad) => {
            reader.fault(place.clone(), format!("topics.name: {bad}"));
            None
        }
    }
}

fn table_name(reader: &mut Reader<'_>, topic: &WrittenTopic, tables: &mut Taken) -> Option<TableName> {
    let (text, place, advice) = match (&topic.table, &topic.name) {
        (Given::Value { value, place }, _) => (value, place, ""),
        (Given::Absent, Given::Value { value, place }) => {
            // A topic whose name is refused, or declared twice, is told so once.
            if TopicName::new(value).is_err() || tables.get(value).is_some_and(|taken| taken == place) {
                return None;
            }
            (value, place, "; set the topic's table")
        }
        _ => return None,
    };
    // On many file systems, names that differ only in case are one folder.
    let folder = text.to_lowercase();
    if let Some(first) = tables.get(&folder) {
        let message = format!(
            "topics.table: {text:?} is already the table of the topic at {}; expected a table for each topic{advice}",
            first.short()
        );
        reader.fault(place.clone(), message);
        return None;
    }
    tables.insert(folder, place.clone());
    match TableName::new(text) {
        Ok(table) => Some(table),
        Err(bad) => {
            reader.fault(place.clone(), format!("topics.table: {bad}{advice}"));
            None
        }
    }
}

/// Schema files, each read and compiled once however many topics share it.
struct Schemas<'a> {
    around: &'a Surroundings<'a>,
    compiled: BTreeMap<PathBuf, Option<Schema>>,
}

impl Schemas<'_> {
    /// The topic's schema and the path it came from; none when there is a fault, which is then recorded.
    fn of(
        &mut self,
        reader: &mut Reader<'_>,
        topic: &WrittenTopic,
        file: &Path,
    ) -> Option<(PathBuf, Schema)> {
        let (path, place) = match &topic.schema {
            Given::Value { value, place } => (beside(file, value), place),
            Given::Refused => return None,
            Given::Absent => {
                reader.missing(&topic.place, &settings::SCHEMA);
                return None;
            }
        };
        if let Some(compiled) = self.compiled.get(&path) {
            return compiled.clone().map(|schema| (path, schema));
        }
        let compiled = match (self.around.read)(&path) {
            Err(reason) => {
                reader.fault(
                    place.clone(),
                    format!("topics.schema: cannot read {}: {reason}", path.display()),
                );
                None
            }
            Ok(text) => compile(reader, &path, &text),
        };
        self.compiled.insert(path.clone(), compiled.clone());
        compiled.map(|schema| (path, schema))
    }
}

fn compile(reader: &mut Reader<'_>, path: &Path, text: &str) -> Option<Schema> {
    match schema::compile(text) {
        Ok(schema) => Some(schema),
        Err(faults) => {
            for fault in faults {
                let place = match fault.line {
                    Some(line) => Place::Line {
                        file: path.to_owned(),
                        line,
                    },
                    None => Place::WholeFile {
                        file: path.to_owned(),
                    },
                };
                let pointer = if fault.pointer.is_empty() {
                    String::new()
                } else {
                    format!("{}: ", fault.pointer)
                };
                reader.fault(place, format!("{pointer}{}", fault.message));
            }
            None
        }
    }
}

fn rules_of(reader: &mut Reader<'_>, topic: &WrittenTopic, schema: Schema, limits: Limits) -> DecodeRules {
    let mut rules = DecodeRules::new(schema);
    rules.record_bytes_max = limits.record_bytes_max;
    rules.future_micros_max = limits.future_micros_max.unwrap_or(rules.future_micros_max);
    rules.extra = topic.extra.clone().or(false);
    rules.time_zone_offset_secs = topic.time_zone.clone().or(0);
    match &topic.event_time {
        Given::Value { value: field, place } => {
            // A refused unit is unknown, not absent: what the schema says about the field would mislead.
            if !matches!(topic.event_time_unit, Given::Refused) {
                match rules
                    .schema
                    .event_time_of(field, topic.event_time_unit.value().copied())
                {
                    Ok(event_time) => rules.event_time = event_time,
                    Err(reason) => reader.fault(place.clone(), format!("topics.event_time: {reason}")),
                }
            }
        }
        Given::Absent => {
            if let Some(place) = topic.event_time_unit.place() {
                let reason = "it says what event_time counts, but the topic has no event_time";
                reader.fault(place.clone(), format!("topics.event_time_unit: {reason}"));
            }
        }
        Given::Refused => {}
    }
    if let Some(reason) = rules.fault() {
        let place = topic.extra.place().unwrap_or(&topic.place).clone();
        reader.fault(place, format!("topics: {reason}"));
    }
    rules
}

/// The topic's transform. Its columns are known only where the schema is.
fn transform_of(
    reader: &mut Reader<'_>,
    topic: &WrittenTopic,
    rules: Option<&DecodeRules>,
    around: &Surroundings<'_>,
) -> Option<TransformConfig> {
    if matches!(topic.select, Given::Absent) && matches!(topic.condition, Given::Absent) {
        return None;
    }
    let transform = TransformConfig {
        select: topic.select.clone().ok(),
        condition: topic.condition.clone().ok(),
    };
    // What is refused is unknown, and so are the columns where the event time is not known.
    let refused = matches!(topic.select, Given::Refused)
        || matches!(topic.condition, Given::Refused)
        || matches!(topic.event_time, Given::Refused);
    let Some(rules) = rules.filter(|_| !refused) else {
        return Some(transform);
    };
    for fault in (around.transform)(&transform, rules) {
        let (setting, text) = match fault.part {
            TransformPart::Select => (settings::TRANSFORM_SELECT, &transform.select),
            TransformPart::Where => (settings::TRANSFORM_WHERE, &transform.condition),
        };
        let text = text.as_ref().expect("a fault is in a piece that is there");
        reader.fault(text.place_of(fault.at), format!("{setting}: {}", fault.message));
    }
    Some(transform)
}
