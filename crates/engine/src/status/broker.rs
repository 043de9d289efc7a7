//! What the brokers say of topics: their ids, and where each partition begins and ends.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use eventlake_core::config::KafkaConfig;
use eventlake_core::names::TopicName;
use eventlake_core::position::{Offset, PartitionId};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::metadata::Metadata;
use serde::Serialize;

use crate::kafka::client::{ClientLog, ConnectError, metadata_client};
use crate::kafka::offsets::{Which, list_offsets};
use crate::kafka::topics::describe_all;

/// How long one question for the cluster's topics may take before it is asked again.
const METADATA_WAIT: Duration = Duration::from_millis(500);
/// How long brokers that refuse connections are tried.
const REFUSED_WAIT: Duration = Duration::from_millis(900);

/// A client that asks, joins no group and reads nothing.
pub struct Brokers {
    client: BaseConsumer<ClientLog>,
}

/// One topic as the cluster has it now. The field names are a public format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BrokerTopic {
    /// None: the brokers know no topic ids.
    pub topic_id: Option<String>,
    pub partitions: Vec<BrokerPartition>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct BrokerPartition {
    pub partition: PartitionId,
    /// The first offset that Kafka still has.
    pub start: Offset,
    /// The offset after the last record of a finished transaction.
    pub end: Offset,
}

impl Brokers {
    /// # Errors
    /// When librdkafka refuses a property of `[kafka]`.
    pub fn new(kafka: &KafkaConfig) -> Result<Brokers, ConnectError> {
        Ok(Brokers {
            client: metadata_client(kafka)?,
        })
    }

    /// Asks for these topics. One that the cluster does not have is not in the answer.
    ///
    /// That nobody answers is the answer, to be shown by the caller, so it is not logged as well.
    ///
    /// # Errors
    /// In words, when nobody answered within `timeout`.
    pub fn ask(
        &self,
        topics: &[&TopicName],
        timeout: Duration,
    ) -> Result<BTreeMap<TopicName, BrokerTopic>, String> {
        let nobody = tracing::subscriber::NoSubscriber::new();
        tracing::subscriber::with_default(nobody, || self.ask_aloud(topics, timeout))
    }

    fn ask_aloud(
        &self,
        topics: &[&TopicName],
        timeout: Duration,
    ) -> Result<BTreeMap<TopicName, BrokerTopic>, String> {
        let deadline = Instant::now() + timeout;
        let outcome = self.partitions(topics, deadline).and_then(|partitions| {
            let all = || {
                let each = partitions.iter();
                each.flat_map(|(topic, ids)| ids.iter().map(move |id| (topic, *id)))
            };
            let starts = list_offsets(&self.client, all(), Which::First, remaining(deadline))?;
            let ends = list_offsets(&self.client, all(), Which::Last, remaining(deadline))?;
            Ok((partitions, starts, ends))
        });
        let (partitions, starts, ends) = outcome.map_err(|error| self.explain(&error))?;
        let names: Vec<&str> = partitions.keys().map(|topic| topic.as_str()).collect();
        let ids: Vec<Option<String>> = match describe_all(self.client.client(), &names, remaining(deadline)) {
            Ok(answers) => {
                let ids = answers
                    .into_iter()
                    .map(|answer| answer.ok().and_then(|topic| topic.topic_id));
                ids.collect()
            }
            // Offsets tell the lag; an old broker or a missing permission must not hide it.
            Err(_) => vec![None; names.len()],
        };
        let topics = partitions.into_iter().zip(ids).map(|((topic, ids), topic_id)| {
            let known = |partition: PartitionId| {
                let key = (topic.clone(), partition);
                Some(BrokerPartition {
                    partition,
                    start: *starts.get(&key)?,
                    end: *ends.get(&key)?,
                })
            };
            let partitions = ids.into_iter().filter_map(known).collect();
            (topic.clone(), BrokerTopic { topic_id, partitions })
        });
        Ok(topics.collect())
    }

    fn partitions(
        &self,
        topics: &[&TopicName],
        deadline: Instant,
    ) -> Result<BTreeMap<TopicName, Vec<PartitionId>>, KafkaError> {
        let metadata = self.metadata(deadline)?;
        let mut found = BTreeMap::new();
        for topic in topics {
            let described = metadata
                .topics()
                .iter()
                .find(|described| described.name() == topic.as_str());
            if let Some(described) = described.filter(|described| !described.partitions().is_empty()) {
                let mut ids: Vec<_> = described
                    .partitions()
                    .iter()
                    .map(|partition| PartitionId(partition.id()))
                    .collect();
                ids.sort_unstable();
                found.insert((*topic).clone(), ids);
            }
        }
        Ok(found)
    }

    /// Asks until somebody answers. A refused connection is refused again, so it is not waited on to the end.
    fn metadata(&self, deadline: Instant) -> Result<Metadata, KafkaError> {
        let patience = Instant::now() + REFUSED_WAIT;
        loop {
            let error = match self
                .client
                .fetch_metadata(None, remaining(deadline).min(METADATA_WAIT))
            {
                Ok(metadata) => return Ok(metadata),
                Err(error) => error,
            };
            self.serve_logs();
            let refused = Instant::now() >= patience && !self.client.context().brokers_away().is_empty();
            if refused || Instant::now() >= deadline {
                return Err(error);
            }
        }
    }

    /// librdkafka's reasons wait in a queue until somebody polls.
    fn serve_logs(&self) {
        while self.client.poll(Duration::from_millis(20)).is_some() {}
    }

    fn explain(&self, error: &KafkaError) -> String {
        self.serve_logs();
        match self.client.context().last_failure() {
            Some(failure) => format!("{}: {}", failure.broker, failure.reason),
            None => error.to_string(),
        }
    }
}

fn remaining(deadline: Instant) -> Duration {
    deadline
        .saturating_duration_since(Instant::now())
        .max(Duration::from_millis(100))
}
