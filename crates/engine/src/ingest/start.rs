//! Where a topic starts: the checkpoint of its current generation, which is opened here when there is none or the
//! topic is another than the log knows.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use eventlake_core::commit::{
    Body, CommitNumber, Fold, Generation, GenerationOrdinal, GenerationReason, Moment, OpenGeneration,
    PartitionStart,
};
use eventlake_core::config::{Start, TopicConfig};
use eventlake_core::continuity::{Identity, Life, life};
use eventlake_core::position::{Offset, PartitionId};
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::failpoint::Failpoints;
use crate::failpoint::step::Step;
use crate::ingest::context::IngestContext;
use crate::ingest::evolution;
use crate::ingest::rewrite::Rewriter;
use crate::ingest::tidy::Tidier;
use crate::ingest::until_end::Aim;
use crate::kafka::offsets::{Which, list_offsets};
use crate::kafka::topics::{self, DescribeError, TopicDescription};
use crate::lake::{LakeError, TopicLog};

/// How long one question to the cluster may take.
pub const ASK_WAIT: Duration = Duration::from_secs(10);

/// Why something with the lake or the cluster did not work.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The cluster, or the disk, does not answer right now; trying again may help.
    #[error("{0}")]
    NotNow(String),
    /// A person must act.
    #[error("{0}")]
    Fatal(String),
}

impl From<LakeError> for Trouble {
    fn from(error: LakeError) -> Self {
        match error {
            LakeError::Io(_) => Trouble::NotNow(error.to_string()),
            _ => Trouble::Fatal(error.to_string()),
        }
    }
}

impl From<DescribeError> for Trouble {
    fn from(error: DescribeError) -> Self {
        match error {
            DescribeError::UnknownTopic { .. } => Trouble::NotNow(format!(
                "{error}; hint: create it, for example with `eventlake topics create`"
            )),
            DescribeError::NoAnswer { .. } => Trouble::NotNow(error.to_string()),
            DescribeError::Refused { .. } => Trouble::Fatal(error.to_string()),
        }
    }
}

/// One partition's place to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartPoint {
    pub partition: PartitionId,
    pub next: Offset,
    pub leader_epoch: Option<i32>,
}

#[derive(Clone, Debug)]
pub struct StartPoints {
    pub generation: GenerationOrdinal,
    pub points: Vec<StartPoint>,
}

/// A topic's log as the assigning thread sees it.
pub struct TopicStart {
    log: TopicLog,
    topic: TopicConfig,
    rewriter: Rewriter,
    tidier: Tidier,
    failpoints: Failpoints,
    data: PathBuf,
    /// What crashes left was cleaned, and the schema compared with the table's.
    checked: bool,
}

impl TopicStart {
    #[must_use]
    pub fn new(
        log: TopicLog,
        rewriter: Rewriter,
        tidier: Tidier,
        failpoints: Failpoints,
        data: PathBuf,
    ) -> TopicStart {
        TopicStart {
            log,
            topic: rewriter.topic.clone(),
            rewriter,
            tidier,
            failpoints,
            data,
            checked: false,
        }
    }

    /// Sees to the generation, publishes what any writer has committed, the first time also cleans up what crashes left, and
    /// reads the checkpoint of these partitions.
    ///
    /// # Errors
    /// As [`Trouble`] says.
    pub fn positions(
        &mut self,
        consumer: &BaseConsumer<IngestContext>,
        partitions: &BTreeSet<PartitionId>,
    ) -> Result<StartPoints, Trouble> {
        settle_generation(&mut self.log, &self.topic, consumer)?;
        self.failpoints.pass(Step::GenerationSettled);
        self.rewriter.publish(&mut self.log)?;
        self.failpoints.pass(Step::RecoveryPublished);
        if !self.checked {
            self.tidier.clean(&mut self.log);
            self.failpoints.pass(Step::RecoveryCleaned);
            let schema = self.rewriter.rules.schema();
            evolution::check(self.log.fold()?, &self.data, &schema).map_err(Trouble::Fatal)?;
            self.checked = true;
        }
        let fold = self.log.fold()?;
        let generation = fold
            .generation()
            .ok_or_else(|| Trouble::NotNow("the log has no generation".to_owned()))?;
        let point = |partition: &PartitionId| StartPoint {
            partition: *partition,
            next: generation.next(*partition),
            leader_epoch: generation
                .partitions
                .get(partition)
                .and_then(|state| state.leader_epoch),
        };
        Ok(StartPoints {
            generation: generation.ordinal,
            points: partitions.iter().map(point).collect(),
        })
    }

    /// True when the log's checkpoint has reached all these ends of this very topic, whoever committed.
    pub fn has_landed(&mut self, aim: &Aim) -> bool {
        let Ok(fold) = self.log.fold() else { return false };
        let current = fold.generation();
        current.is_some_and(|generation| {
            let mut ends = aim.ends.iter();
            generation.topic_id == aim.topic_id
                && ends.all(|(partition, end)| generation.next(*partition) >= *end)
        })
    }

    #[must_use]
    pub fn topic(&self) -> &TopicConfig {
        &self.topic
    }
}

/// Whether the generation had to be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    AsItWas,
    Opened,
}

/// Makes sure that the log's current generation is the topic that is there now, opening one where it is not.
///
/// # Errors
/// As [`Trouble`] says.
pub fn settle_generation(
    log: &mut TopicLog,
    topic: &TopicConfig,
    consumer: &BaseConsumer<IngestContext>,
) -> Result<Settled, Trouble> {
    let mut settled = Settled::AsItWas;
    loop {
        let (identity, description) = identity(topic, consumer)?;
        let fold = log.fold()?;
        let current = fold.generation();
        let reason = match life(current.map(|generation| &generation.topic_id), &identity.topic_id) {
            Life::Same => return Ok(settled),
            Life::First => GenerationReason::FirstStart,
            Life::Other => GenerationReason::TopicRecreated,
        };
        let ordinal = following(current);
        let fresh = match reason {
            GenerationReason::FirstStart => first_starts(topic, &description, consumer)?,
            // Nothing of a topic that took another's place has been seen: all of it counts.
            _ => from_zero(&description),
        };
        let open = opening(fold, ordinal, identity, reason, &fresh);
        // Refused or void: another writer was faster. Either way the next look tells.
        log.propose(Body::Generation(open), now())?;
        tracing::info!(topic = %topic.name, generation = ordinal.0, %reason, "generation opened");
        settled = Settled::Opened;
    }
}

/// Opens a generation of the same topic that starts where the caller says, as computed from the log up to `after`.
///
/// # Errors
/// As [`Trouble`] says.
pub fn reset_generation(
    log: &mut TopicLog,
    topic: &TopicConfig,
    consumer: &BaseConsumer<IngestContext>,
    starts: Vec<PartitionStart>,
    after: CommitNumber,
) -> Result<(), Trouble> {
    let (identity, _) = identity(topic, consumer)?;
    let ordinal = following(log.fold()?.generation());
    let Identity { cluster_id, topic_id } = identity;
    let reason = GenerationReason::OffsetsReset;
    log.propose(
        Body::Generation(OpenGeneration {
            ordinal,
            cluster_id,
            topic_id,
            reason,
            starts,
            after: Some(after),
        }),
        now(),
    )?;
    Ok(())
}

/// The time that commits and manifests carry: for people and retention, never for a decision on what is true.
#[must_use]
pub fn now() -> Moment {
    Moment::from_unix_micros(chrono::Utc::now().timestamp_micros())
}

fn following(current: Option<&Generation>) -> GenerationOrdinal {
    GenerationOrdinal(current.map_or(1, |generation| generation.ordinal.0 + 1))
}

fn opening(
    fold: &Fold,
    ordinal: GenerationOrdinal,
    identity: Identity,
    reason: GenerationReason,
    fresh: &[PartitionStart],
) -> OpenGeneration {
    let starts = fold.resume(&identity.topic_id, fresh);
    let Identity { cluster_id, topic_id } = identity;
    OpenGeneration {
        ordinal,
        cluster_id,
        topic_id,
        reason,
        starts,
        after: None,
    }
}

/// Who a topic is, and what else the cluster says of it.
pub type Described = Result<(Identity, TopicDescription), DescribeError>;

/// Who the topic is right now, as the cluster says.
///
/// # Errors
/// As [`DescribeError`] says.
pub fn identity(topic: &TopicConfig, consumer: &BaseConsumer<IngestContext>) -> Described {
    let mut identities = identities(&[topic.name.as_str()], consumer)?;
    identities.pop().expect("one answer for the one topic asked for")
}

/// Who each of these topics is right now, in one request.
///
/// # Errors
/// When the request as a whole failed. A topic that is missing or refused is its own answer's error.
pub fn identities(
    topics: &[&str],
    consumer: &BaseConsumer<IngestContext>,
) -> Result<Vec<Described>, DescribeError> {
    let described = topics::describe_all(consumer.client(), topics, ASK_WAIT)?;
    let cluster_id = topics::cluster_id(consumer.client(), ASK_WAIT);
    let identity = |description: TopicDescription| {
        let identity = Identity::of(cluster_id.as_deref(), description.topic_id.as_deref());
        (identity, description)
    };
    Ok(described.into_iter().map(|one| one.map(identity)).collect())
}

fn from_zero(description: &TopicDescription) -> Vec<PartitionStart> {
    let start = |partition: i32| PartitionStart {
        partition: PartitionId(partition),
        from: Offset::ZERO,
    };
    description
        .partitions
        .iter()
        .map(|partition| start(partition.partition))
        .collect()
}

/// Where a topic that was never seen starts, as its `start` says.
fn first_starts(
    topic: &TopicConfig,
    description: &TopicDescription,
    consumer: &BaseConsumer<IngestContext>,
) -> Result<Vec<PartitionStart>, Trouble> {
    let list = |which| {
        let partitions = description.partitions.iter();
        let partitions = partitions.map(|one| (&topic.name, PartitionId(one.partition)));
        list_offsets(consumer, partitions, which, ASK_WAIT).map_err(|error| {
            Trouble::NotNow(format!(
                "the offsets of topic {} are not to be had: {error}",
                topic.name
            ))
        })
    };
    let found = match topic.start {
        Start::Earliest => list(Which::First)?,
        Start::Latest => list(Which::Last)?,
        Start::At { unix_millis } => {
            // A partition that has nothing that young starts at its end: what comes will be.
            let mut found = list(Which::Last)?;
            found.extend(list(Which::Since { unix_millis })?);
            found
        }
    };
    let start = |((_, partition), from)| PartitionStart { partition, from };
    Ok(found.into_iter().map(start).collect())
}
