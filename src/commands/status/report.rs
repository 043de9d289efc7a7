//! What `status` finds out, and the JSON object it prints.

use std::time::Duration;

use eventlake_core::config::{Config, ListenAddress, TopicConfig};
use eventlake_core::names::{TableName, TopicName};
use eventlake_engine::lake::read_fold;
use eventlake_engine::status::{
    BrokerTopic, Brokers, Lag, LakeStatus, RejectedByCode, RejectedCodes, lag, lake_status,
};
use eventlake_engine::telemetry::{RateMeter, TopicSnapshot, TopicState, ViewSnapshot};
use serde::Serialize;

use super::{ByTopic, live};
use crate::server::LiveStatus;

/// How long the brokers may take to answer.
const BROKER_WAIT: Duration = Duration::from_secs(3);
/// How long counting rejected records by code may take, a topic and look.
const CODES_WAIT: Duration = Duration::from_secs(1);

/// One look at everything. The field names are a public format: fields may be added, none is renamed.
#[derive(Debug, Serialize)]
pub struct Report {
    pub format: u32,
    pub version: &'static str,
    pub as_of_unix_millis: i64,
    pub kafka: KafkaReport,
    pub daemon: DaemonReport,
    pub topics: Vec<TopicReport>,
    /// The live views of the ingester here.
    pub views: Vec<ViewSnapshot>,
}

#[derive(Debug, Serialize)]
pub struct KafkaReport {
    pub brokers: String,
    pub reachable: bool,
    /// Why not, when it is not.
    pub why: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct DaemonReport {
    /// The `[http] listen` address; none when it is "off".
    pub address: Option<String>,
    pub answered: bool,
    /// Why it did not answer, where it is not just that nobody listens.
    pub why: Option<String>,
    pub writer: Option<String>,
    pub ready: Option<bool>,
    pub not_ready: Vec<String>,
    pub started_unix_millis: Option<i64>,
    pub memory_used_bytes: Option<u64>,
    pub memory_limit_bytes: Option<u64>,
}

#[derive(Debug, Serialize)]
pub struct TopicReport {
    pub topic: TopicName,
    pub table: TableName,
    /// `starting`, `running`, `paused` or `stopped` by the ingester here, or `no_daemon` where none answers.
    pub state: &'static str,
    /// Why it is paused or stopped.
    pub why: Option<String>,
    /// Records that Kafka has and the lake does not; none while the brokers do not answer.
    pub lag_records: Option<u64>,
    /// Read by the ingester here, else landed of late by any.
    pub records_per_sec: Option<f64>,
    /// None when nothing was ever committed, or the lake cannot be read.
    pub lake: Option<LakeStatus>,
    /// Why the lake cannot be read.
    pub lake_fault: Option<String>,
    pub rejected_by_code: RejectedByCode,
    pub lag: Option<Lag>,
    /// What the brokers have; none when they do not answer or have no such topic.
    pub broker: Option<BrokerTopic>,
    /// What the ingester here counts, as `/api/v1/status` answers it.
    pub live: Option<TopicSnapshot>,
}

impl Report {
    /// Whether a topic's lake could not be read.
    pub fn faults(&self) -> bool {
        self.topics.iter().any(|topic| topic.lake_fault.is_some())
    }
}

/// Looks again and again, keeping what need not be found out anew.
pub struct Reporter {
    brokers: Result<Brokers, String>,
    codes: ByTopic<RejectedCodes>,
    landed: ByTopic<RateMeter>,
}

impl Reporter {
    pub fn new(config: &Config) -> Reporter {
        Reporter {
            brokers: Brokers::new(&config.kafka).map_err(|error| error.to_string()),
            codes: ByTopic::new(),
            landed: ByTopic::new(),
        }
    }

    pub fn look(&mut self, config: &Config, now_micros: i64) -> Report {
        let names: Vec<&TopicName> = config.topics.iter().map(|topic| &topic.name).collect();
        let asked = match &self.brokers {
            Ok(brokers) => brokers.ask(&names, BROKER_WAIT),
            Err(why) => Err(why.clone()),
        };
        let live = match config.http.listen {
            ListenAddress::At(address) => live::ask(address),
            ListenAddress::Off => Ok(None),
        };
        let kafka = KafkaReport {
            brokers: config.kafka.brokers.clone(),
            reachable: asked.is_ok(),
            why: asked.as_ref().err().cloned(),
        };
        let daemon = daemon(config, &live);
        let (asked, mut live) = (asked.ok(), live.ok().flatten());
        let views = live.as_mut().map(|live| std::mem::take(&mut live.process.views));
        let topics = config.topics.iter().map(|topic| {
            let broker = asked.as_ref().and_then(|topics| topics.get(&topic.name)).cloned();
            let live = live.as_mut().and_then(|live| take_topic(live, topic));
            self.topic(config, topic, broker, live, now_micros)
        });
        let topics = topics.collect();
        Report {
            format: 1,
            version: env!("CARGO_PKG_VERSION"),
            as_of_unix_millis: now_micros.div_euclid(1000),
            kafka,
            daemon,
            topics,
            views: views.unwrap_or_default(),
        }
    }

    fn topic(
        &mut self,
        config: &Config,
        topic: &TopicConfig,
        broker: Option<BrokerTopic>,
        live: Option<TopicSnapshot>,
        now_micros: i64,
    ) -> TopicReport {
        let (lake, rejected_by_code, lake_fault) = match self.lake(config, topic, now_micros) {
            Ok((lake, codes)) => (lake, codes, None),
            Err(fault) => (None, RejectedByCode::default(), Some(fault)),
        };
        let (state, why) = match live.as_ref().map(|live| live.state.clone()) {
            None => ("no_daemon", None),
            Some(TopicState::Starting) => ("starting", None),
            Some(TopicState::Running) => ("running", None),
            Some(TopicState::Paused { why }) => ("paused", Some(why)),
            Some(TopicState::Stopped { why }) => ("stopped", Some(why)),
        };
        let lag = broker
            .as_ref()
            .filter(|_| lake_fault.is_none())
            .map(|broker| lag(lake.as_ref(), broker));
        let reading = live.as_ref().and_then(|live| live.consumed_per_sec);
        TopicReport {
            topic: topic.name.clone(),
            table: topic.table.clone(),
            state,
            why,
            lag_records: lag.as_ref().map(|lag| lag.records),
            records_per_sec: reading.or_else(|| self.landed_per_sec(topic, lake.as_ref(), now_micros)),
            lake,
            lake_fault,
            rejected_by_code,
            lag,
            broker,
            live,
        }
    }

    fn lake(
        &mut self,
        config: &Config,
        topic: &TopicConfig,
        now_micros: i64,
    ) -> Result<(Option<LakeStatus>, RejectedByCode), String> {
        let Some(fold) =
            read_fold(&config.lake.checkpoints, &topic.name).map_err(|error| error.to_string())?
        else {
            return Ok((
                None,
                RejectedByCode {
                    complete: true,
                    ..RejectedByCode::default()
                },
            ));
        };
        let lake = lake_status(&config.lake, &fold, now_micros).map_err(|error| error.to_string())?;
        let codes = self.codes.entry(topic.name.clone()).or_default();
        let counted = codes
            .count(&config.lake, topic, &fold, CODES_WAIT)
            .map_err(|error| error.to_string())?;
        Ok((lake, counted))
    }

    /// By what this process saw since its first look, when it looks again and again; else by the log's last minute.
    fn landed_per_sec(
        &mut self,
        topic: &TopicConfig,
        lake: Option<&LakeStatus>,
        now_micros: i64,
    ) -> Option<f64> {
        let lake = lake?;
        let totals = lake.totals;
        let landed = totals.accepted + totals.rejected + totals.tombstones + totals.filtered;
        let meter = self.landed.entry(topic.name.clone()).or_default();
        meter.sample(now_micros.div_euclid(1000), landed);
        lake.landed_per_sec.or_else(|| meter.per_sec())
    }
}

fn daemon(config: &Config, live: &Result<Option<LiveStatus>, String>) -> DaemonReport {
    let process = live
        .as_ref()
        .ok()
        .and_then(Option::as_ref)
        .map(|live| &live.process);
    DaemonReport {
        address: match config.http.listen {
            ListenAddress::At(address) => Some(address.to_string()),
            ListenAddress::Off => None,
        },
        answered: process.is_some(),
        why: live.as_ref().err().cloned(),
        writer: process.map(|process| process.writer.clone()),
        ready: process.map(|process| process.ready),
        not_ready: process
            .map(|process| process.not_ready.clone())
            .unwrap_or_default(),
        started_unix_millis: process.map(|process| process.started_unix_millis),
        memory_used_bytes: process.map(|process| process.memory.used_bytes),
        memory_limit_bytes: process.map(|process| process.memory.limit_bytes),
    }
}

/// An ingester of another configuration may answer at the address: only what lands in the same table is this topic.
fn take_topic(live: &mut LiveStatus, topic: &TopicConfig) -> Option<TopicSnapshot> {
    let same = |live: &TopicSnapshot| live.topic == topic.name && live.table == topic.table;
    let place = live.process.topics.iter().position(same)?;
    Some(live.process.topics.swap_remove(place))
}
