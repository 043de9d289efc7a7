//! The consumer's context: hands the group's rebalances to the assigning thread, and logs.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};

use crate::kafka::client::ClientLog;
use crate::kafka::topics::{AskedBroker, Asking};

/// What the group wants, with the partitions it is about.
#[derive(Debug)]
pub enum Rebalance {
    Assign(TopicPartitionList),
    Revoke(TopicPartitionList),
}

/// How the group hands partitions over. Known from the configuration: librdkafka's own answer comes from a thread that may be
/// closing, and then never comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// Each assignment takes the place of the one before.
    Eager,
    /// Assignments add to what is there, and what goes is asked for by name.
    #[default]
    Cooperative,
}

impl Protocol {
    /// The protocol of the one strategy that librdkafka has for partitions that stay.
    #[must_use]
    pub fn of_strategy(strategy: Option<&str>) -> Protocol {
        match strategy {
            None | Some("cooperative-sticky") => Protocol::Cooperative,
            Some(_) => Protocol::Eager,
        }
    }
}

/// Keeps rebalances until the thread that polls takes them, which it does before it polls again: librdkafka waits for
/// its answer, so acting on them right behind the callback is the same as acting inside of it.
#[derive(Default)]
pub struct IngestContext {
    pub log: ClientLog,
    protocol: Protocol,
    rebalances: Mutex<Vec<Rebalance>>,
    closing: AtomicBool,
    rebalancing: AtomicBool,
}

impl IngestContext {
    #[must_use]
    pub fn new(protocol: Protocol) -> IngestContext {
        IngestContext {
            protocol,
            ..IngestContext::default()
        }
    }

    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    pub fn take_rebalances(&self) -> Vec<Rebalance> {
        std::mem::take(&mut self.rebalances.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// As when a member falls out of the group before it has answered an assignment: it is given it again, and asked for nothing
    /// back. For failpoints alone.
    pub fn assign_again(&self, partitions: &TopicPartitionList) {
        self.push(Rebalance::Assign(partitions.clone()));
    }

    fn push(&self, rebalance: Rebalance) {
        let mut rebalances = self.rebalances.lock().unwrap_or_else(PoisonError::into_inner);
        rebalances.push(rebalance);
    }

    /// True from a revoke until the assignment that follows it.
    #[must_use]
    pub fn is_rebalancing(&self) -> bool {
        self.rebalancing.load(Relaxed)
    }

    pub fn set_rebalancing(&self, rebalancing: bool) {
        self.rebalancing.store(rebalancing, Relaxed);
    }

    /// From now on partitions are given back as soon as the group asks: everything has been committed.
    pub fn set_closing(&self) {
        self.closing.store(true, Relaxed);
    }
}

impl ClientContext for IngestContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.log.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::UnknownTopicOrPartition) {
            return; // The poll that brings it says so, once.
        }
        self.log.error(error, reason);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.log.stats_raw(statistics);
    }
}

impl Asking for IngestContext {
    fn asked(&self) -> &AskedBroker {
        self.log.asked()
    }
}

impl ConsumerContext for IngestContext {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        code: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        if self.closing.load(Relaxed) {
            match code {
                RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => decline(consumer, partitions),
                _ => give_back(consumer, partitions),
            }
            return;
        }
        let rebalance = match code {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => Rebalance::Assign(partitions.clone()),
            // An error of the rebalance itself takes everything away, too.
            _ => {
                self.set_rebalancing(true);
                Rebalance::Revoke(partitions.clone())
            }
        };
        self.push(rebalance);
    }
}

/// Answers an assignment that came too late. librdkafka closes only once it has an answer, and takes for one what fits the
/// question: under the cooperative protocol partitions are taken, and given back when it asks for them in closing.
fn decline(consumer: &BaseConsumer<IngestContext>, partitions: &TopicPartitionList) {
    let outcome = match consumer.context().protocol() {
        Protocol::Cooperative => consumer.incremental_assign(partitions),
        Protocol::Eager => consumer.unassign(),
    };
    if let Err(error) = outcome {
        tracing::warn!("kafka did not take the answer to its last assignment: {error}");
    }
}

/// Tells librdkafka that these partitions are given back, by the protocol that the group speaks.
pub fn give_back(consumer: &BaseConsumer<IngestContext>, partitions: &TopicPartitionList) {
    let outcome = match consumer.context().protocol() {
        Protocol::Cooperative => consumer.incremental_unassign(partitions),
        Protocol::Eager => consumer.unassign(),
    };
    if let Err(error) = outcome {
        tracing::warn!("kafka did not take partitions back: {error}");
    }
}
