//! Creating topics, and listing what is in them.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use eventlake_core::config::{KafkaConfig, TopicCreation};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::{Client, ClientContext};
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;

use super::builtin::is_builtin;
use super::client::{ClientLog, ConnectError, client_config, client_creation_reason, metadata_client};
use super::topics::{self, DescribeError, TopicDescription};

/// What became of one topic that was to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Creation {
    Created,
    /// It was there already, with so many partitions, and was left as it is.
    Exists {
        partitions: usize,
    },
    /// The cluster refused, for this reason.
    Refused(String),
}

#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// As the built-in broker, which has the topics it was started with.
    #[error(
        "this broker cannot create topics\nhint: a built-in broker (eventlake demo) makes its own topics when it starts; \
         they are there already"
    )]
    NotSupported,
    #[error("the cluster did not create topics: {reason}")]
    NoAnswer { reason: String },
    #[error("a Kafka client cannot be made from [kafka]: {reason}")]
    Client { reason: String },
}

/// Creates topics, each with its own settings; one outcome for each, in the order given.
///
/// # Errors
/// When the request as a whole failed. A topic that exists or is refused is its own outcome.
pub fn create_topics(
    kafka: &KafkaConfig,
    wanted: &[(&str, TopicCreation)],
    timeout: Duration,
) -> Result<Vec<Creation>, CreateError> {
    let admin: AdminClient<ClientLog> = client_config(kafka)
        .create_with_context(ClientLog::default())
        .map_err(|error| CreateError::Client {
            reason: client_creation_reason(&error),
        })?;
    // It names a controller that does not exist, for which the request would wait in vain.
    if topics::cluster_id(admin.inner(), timeout).is_some_and(|id| is_builtin(&id)) {
        return Err(CreateError::NotSupported);
    }
    let retentions: Vec<Option<String>> = wanted
        .iter()
        .map(|(_, creation)| {
            creation
                .retention
                .map(|retention| retention.as_millis().to_string())
        })
        .collect();
    let topics: Vec<NewTopic<'_>> = wanted
        .iter()
        .zip(&retentions)
        .map(|((name, creation), retention)| {
            let replication = TopicReplication::Fixed(creation.replication);
            let topic = NewTopic::new(name, creation.partitions, replication);
            match retention {
                Some(millis) => topic.set("retention.ms", millis),
                None => topic,
            }
        })
        .collect();
    let options = AdminOptions::new()
        .request_timeout(Some(timeout))
        .operation_timeout(Some(timeout));
    let results = block_on(admin.create_topics(&topics, &options)).map_err(create_error)?;
    wanted
        .iter()
        .zip(results)
        .map(|((name, _), result)| match result {
            Ok(_) => Ok(Creation::Created),
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {
                let there = topics::describe(admin.inner(), name, timeout);
                let there = there.map_err(|error| CreateError::NoAnswer {
                    reason: error.to_string(),
                })?;
                Ok(Creation::Exists {
                    partitions: there.partitions.len(),
                })
            }
            Err((_, code)) if is_unsupported(code) => Err(CreateError::NotSupported),
            Err((_, code)) => Ok(Creation::Refused(refusal(code))),
        })
        .collect()
}

fn is_unsupported(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::UnsupportedVersion | RDKafkaErrorCode::UnsupportedFeature
    )
}

fn create_error(error: KafkaError) -> CreateError {
    match error.rdkafka_error_code() {
        Some(code) if is_unsupported(code) => CreateError::NotSupported,
        Some(code) => CreateError::NoAnswer {
            reason: code.to_string(),
        },
        None => CreateError::NoAnswer {
            reason: error.to_string(),
        },
    }
}

fn refusal(code: RDKafkaErrorCode) -> String {
    let hint = match code {
        RDKafkaErrorCode::InvalidReplicationFactor => "; are there as many brokers as replicas wanted?",
        RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::ClusterAuthorizationFailed => {
            "; this user may not create topics here"
        }
        _ => "",
    };
    format!("{code}{hint}")
}

/// A topic with what is in it.
#[derive(Clone, Debug)]
pub struct TopicContent {
    pub description: TopicDescription,
    /// In the order of the partitions.
    pub watermarks: Vec<Watermarks>,
}

/// Where a partition begins and ends now: `[low, high)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermarks {
    pub partition: i32,
    pub low: i64,
    pub high: i64,
}

impl TopicContent {
    /// Offsets between the watermarks: the records, give or take what compaction and transactions left out.
    #[must_use]
    pub fn records(&self) -> i64 {
        self.watermarks.iter().map(|marks| marks.high - marks.low).sum()
    }

    /// The replicas of each partition; the least where they differ.
    #[must_use]
    pub fn replication(&self) -> usize {
        let replicas = self
            .description
            .partitions
            .iter()
            .map(|partition| partition.replicas);
        replicas.min().unwrap_or(0)
    }
}

/// Why topics could not be listed.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    #[error(transparent)]
    Client(#[from] ConnectError),
    #[error(transparent)]
    Describe(#[from] DescribeError),
}

/// Describes topics and asks for the watermarks of their partitions; one answer for each, in the order asked, None
/// for a topic that does not exist.
///
/// # Errors
/// When the cluster did not answer, or would not describe one of them.
pub fn list_topics(
    kafka: &KafkaConfig,
    names: &[&str],
    timeout: Duration,
) -> Result<Vec<Option<TopicContent>>, ListError> {
    let consumer = metadata_client(kafka)?;
    let mut contents = Vec::with_capacity(names.len());
    for description in topics::describe_all(consumer.client(), names, timeout)? {
        contents.push(match description {
            Ok(description) => Some(TopicContent {
                watermarks: watermarks(consumer.client(), &description, timeout)?,
                description,
            }),
            Err(DescribeError::UnknownTopic { .. }) => None,
            Err(error) => return Err(error.into()),
        });
    }
    Ok(contents)
}

fn watermarks<C: ClientContext>(
    client: &Client<C>,
    description: &TopicDescription,
    timeout: Duration,
) -> Result<Vec<Watermarks>, DescribeError> {
    let topic = &description.name;
    let of = |partition: i32| match client.fetch_watermarks(topic, partition, timeout) {
        Ok((low, high)) => Ok(Watermarks { partition, low, high }),
        Err(error) => Err(DescribeError::NoAnswer {
            topics: format!("{topic}/{partition}"),
            reason: error.to_string(),
        }),
    };
    description
        .partitions
        .iter()
        .map(|partition| of(partition.partition))
        .collect()
}

/// Runs one future to its end on this thread. rdkafka's admin calls are futures that its own thread completes; for
/// one call from a command no runtime is worth starting.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}
