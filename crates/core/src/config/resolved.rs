//! The configuration as resolved: defaults filled in, names and schemas checked, ready to act on.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::Fault;
use super::alerts::AlertConfig;
use super::properties::Properties;
use super::transform::TransformConfig;
use super::views::ViewConfig;
use crate::names::{TableName, TopicName};
use crate::schema::DecodeRules;

#[derive(Clone, Debug)]
pub struct Config {
    /// The file it was read from, as given.
    pub file: PathBuf,
    pub kafka: KafkaConfig,
    pub lake: LakeConfig,
    pub http: HttpConfig,
    pub topics: Vec<TopicConfig>,
    pub views: Vec<ViewConfig>,
    pub alerts: Vec<AlertConfig>,
    /// What is allowed and yet worth a word, in the file's order.
    pub warnings: Vec<Fault>,
}

#[derive(Clone, Debug)]
pub struct KafkaConfig {
    /// librdkafka's `bootstrap.servers`: host:port, comma-separated.
    pub brokers: String,
    pub group: String,
    /// Passed to librdkafka as they stand; those that would break exactly-once are refused when resolving.
    pub properties: Properties,
}

#[derive(Clone, Debug)]
pub struct LakeConfig {
    pub data: PathBuf,
    pub rejected: PathBuf,
    pub checkpoints: PathBuf,
    pub roll_interval: Duration,
    /// Buffered Arrow bytes of one topic at which it rolls before the interval ends.
    pub roll_bytes: u64,
    /// The one budget of the process, in bytes.
    pub memory_limit_bytes: u64,
    pub on_data_loss: OnDataLoss,
    /// Commits below a snapshot are kept this long.
    pub log_retention: Duration,
    /// A snapshot of the fold is written every so many commits.
    pub snapshot_every: u64,
}

/// What happens when records that were never landed are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDataLoss {
    /// The topic stops, with an explanation.
    Fail,
    /// The interval is committed as lost and the topic goes on.
    Record,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    Off,
    At(SocketAddr),
}

#[derive(Clone, Debug)]
pub struct HttpConfig {
    pub listen: ListenAddress,
}

/// One topic, the table it lands in, and how its records are read.
#[derive(Clone, Debug)]
pub struct TopicConfig {
    pub name: TopicName,
    pub table: TableName,
    pub schema_file: PathBuf,
    /// Everything the decoder needs: the compiled schema, event time, limits.
    pub rules: DecodeRules,
    pub transform: Option<TransformConfig>,
    pub start: Start,
    pub partition_by: PartitionBy,
    pub creation: TopicCreation,
}

/// Where a topic that was never seen before starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    Earliest,
    Latest,
    /// The first record whose Kafka timestamp is at or after this time, in milliseconds since 1970.
    At {
        unix_millis: i64,
    },
}

/// How fine the time partitions are: `date=2026-11-21/hour=01/` or `date=2026-11-21/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartitionBy {
    Hour,
    Day,
}

/// The unit of an integer event time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventTimeUnit {
    Seconds,
    Millis,
    Micros,
}

/// What `eventlake topics create` asks of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicCreation {
    pub partitions: i32,
    /// -1: the cluster's own default.
    pub replication: i32,
    /// None: the cluster's own default.
    pub retention: Option<Duration>,
}
