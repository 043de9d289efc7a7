//! The configuration as written: every value has its type and its place, nothing is yet compared or looked up.

use std::path::PathBuf;
use std::time::Duration;

use toml::de::DeTable;

use super::alerts::written::{self as written_alerts, WrittenAlert};
use super::fault::Place;
use super::named::{self, Named};
use super::properties::{self, WrittenProperty};
use super::reader::{Given, Reader, Table};
use super::settings::{self, Section};
use super::transform::SqlText;
use super::values;
use super::views::written::{self as written_views, WrittenViews};
use super::{EventTimeUnit, ListenAddress, OnDataLoss, PartitionBy, Start};

pub(super) struct Written {
    pub brokers: Given<String>,
    pub group: Given<String>,
    pub properties: Vec<WrittenProperty>,
    pub lake: WrittenLake,
    pub listen: Given<ListenAddress>,
    pub topics: Vec<WrittenTopic>,
    /// True when something in `[[topics]]` is refused or not known: what is left may not be all that was meant.
    pub topics_at_fault: bool,
    pub views: WrittenViews,
    pub alerts: Vec<WrittenAlert>,
    /// Where `[kafka]` stands, or the whole file when it is not there.
    pub kafka_place: Place,
    /// True when something stands under `topics`, right or wrong.
    pub names_topics: bool,
}

pub(super) struct WrittenLake {
    pub data: Given<PathBuf>,
    pub rejected: Given<PathBuf>,
    pub checkpoints: Given<PathBuf>,
    pub roll_interval: Given<Duration>,
    pub roll_size: Given<u64>,
    pub memory_limit: Given<u64>,
    pub max_record: Given<u64>,
    pub max_future: Given<Duration>,
    pub on_data_loss: Given<OnDataLoss>,
    pub log_retention: Given<Duration>,
    pub snapshot_every: Given<u64>,
}

pub(super) struct WrittenTopic {
    /// Where its `[[topics]]` stands.
    pub place: Place,
    pub name: Given<String>,
    pub table: Given<String>,
    pub schema: Given<PathBuf>,
    pub event_time: Given<String>,
    pub event_time_unit: Given<EventTimeUnit>,
    pub time_zone: Given<i32>,
    pub start: Given<Start>,
    pub partition_by: Given<PartitionBy>,
    pub extra: Given<bool>,
    pub select: Given<SqlText>,
    pub condition: Given<SqlText>,
    pub partitions: Given<u64>,
    pub replication: Given<u64>,
    pub retention: Given<Duration>,
}

/// Reads a parsed document. Faults are left in the reader; what is right is there all the same.
pub(super) fn read(reader: &mut Reader<'_>, document: &DeTable<'_>) -> Written {
    reader.unknown_sections(document);
    let kafka = reader.section(document, Section::Kafka);
    reader.unknown_keys(&kafka);
    let kafka_header = document.get(Section::Kafka.key()).map(|value| value.span().start);
    let properties = properties::read(reader, &kafka);
    let lake = reader.section(document, Section::Lake);
    reader.unknown_keys(&lake);
    let http = reader.section(document, Section::Http);
    reader.unknown_keys(&http);
    let faults_before = reader.faults.len();
    let topics = read_topics(reader, document);
    let topics_at_fault = reader.faults.len() > faults_before;
    Written {
        brokers: reader.setting(&kafka, &settings::BROKERS, values::brokers),
        group: reader.setting(&kafka, &settings::GROUP, values::text),
        properties,
        lake: read_lake(reader, &lake),
        listen: reader.setting(&http, &settings::LISTEN, values::listen),
        topics,
        topics_at_fault,
        views: written_views::read(reader, document),
        alerts: written_alerts::read(reader, document),
        kafka_place: kafka_header.map_or_else(|| reader.places.whole_file(), |start| reader.places.at(start)),
        names_topics: document.contains_key(Section::Topics.key()),
    }
}

fn read_lake(reader: &mut Reader<'_>, lake: &Table<'_, '_>) -> WrittenLake {
    let day = Duration::from_secs(86_400);
    WrittenLake {
        data: reader.setting(lake, &settings::DATA, values::folder),
        rejected: reader.setting(lake, &settings::REJECTED, values::folder),
        checkpoints: reader.setting(lake, &settings::CHECKPOINTS, values::folder),
        roll_interval: reader.setting(lake, &settings::ROLL_INTERVAL, |raw| {
            values::duration_within(raw, Duration::from_millis(100), day)
        }),
        roll_size: reader.setting(lake, &settings::ROLL_SIZE, |raw| {
            values::size_within(raw, 1 << 20, u64::MAX)
        }),
        memory_limit: reader.setting(lake, &settings::MEMORY_LIMIT, |raw| {
            values::size_within(raw, 64 << 20, u64::MAX)
        }),
        max_record: reader.setting(lake, &settings::MAX_RECORD, |raw| {
            values::size_within(raw, 1 << 10, 1_000_000_000)
        }),
        max_future: reader.setting(lake, &settings::MAX_FUTURE, values::duration),
        on_data_loss: reader.setting(lake, &settings::ON_DATA_LOSS, values::on_data_loss),
        log_retention: reader.setting(lake, &settings::LOG_RETENTION, values::duration),
        snapshot_every: reader.setting(lake, &settings::SNAPSHOT_EVERY, |raw| {
            values::whole_number(raw, 1, 100_000)
        }),
    }
}

fn read_topics(reader: &mut Reader<'_>, document: &DeTable<'_>) -> Vec<WrittenTopic> {
    let topics = named::read(reader, document, Section::Topics, &settings::NAME);
    topics
        .into_iter()
        .map(|topic| read_topic(reader, topic))
        .collect()
}

fn read_topic(reader: &mut Reader<'_>, topic: Named<'_, '_>) -> WrittenTopic {
    let Named {
        place, name, table, ..
    } = topic;
    WrittenTopic {
        place,
        name,
        table: reader.setting(&table, &settings::TABLE, values::text),
        schema: reader.setting(&table, &settings::SCHEMA, values::path),
        event_time: reader.setting(&table, &settings::EVENT_TIME, values::text),
        event_time_unit: reader.setting(&table, &settings::EVENT_TIME_UNIT, values::event_time_unit),
        time_zone: reader.setting(&table, &settings::TIME_ZONE, values::time_zone),
        start: reader.setting(&table, &settings::START, values::start),
        partition_by: reader.setting(&table, &settings::PARTITION_BY, values::partition_by),
        extra: reader.setting(&table, &settings::EXTRA, values::flag),
        select: reader.sql(&table, &settings::TRANSFORM_SELECT),
        condition: reader.sql(&table, &settings::TRANSFORM_WHERE),
        partitions: reader.setting(&table, &settings::PARTITIONS, |raw| {
            values::whole_number(raw, 1, 10_000)
        }),
        replication: reader.setting(&table, &settings::REPLICATION, |raw| {
            values::whole_number(raw, 1, 100)
        }),
        retention: reader.setting(&table, &settings::RETENTION, |raw| {
            values::duration_within(raw, Duration::from_secs(1), Duration::MAX)
        }),
    }
}
