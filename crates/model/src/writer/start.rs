//! Where reading starts, as the engine's `ingest/start.rs`: the generation, and the checkpoint in it.

use std::collections::BTreeSet;

use eventlake_core::commit::{
    Body, ClusterId, GenerationOrdinal, GenerationReason, OpenGeneration, PartitionStart, TopicId,
};
use eventlake_core::continuity::{Life, life};
use eventlake_core::position::{Offset, PartitionId};

use super::log::Log;
use crate::coverage::{Situation, Transition};
use crate::fence::Fence;
use crate::task::{Thread, Trouble};
use crate::world::World;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    AsItWas,
    Opened,
}

/// Who the topic is, as some broker says.
pub async fn identity(thread: &Thread) -> TopicId {
    let me = thread.me;
    thread
        .step(Transition::Describe, |world| {
            let (floor, stale) = (world.holds(Fence::FreshTopicId), world.profile.stale_metadata);
            let World { kafka, choices, .. } = world;
            let told = kafka.describe(me, floor, stale, choices);
            if told < world.kafka.current() {
                world.met(Situation::StaleMetadata);
                world.tell_of(me, || {
                    format!("is told by stale metadata that the topic is life {told}")
                });
            }
            world.kafka.lives[told].id.clone()
        })
        .await
}

/// A partition's first offset and its end.
pub async fn watermarks(thread: &Thread, partition: i32) -> (i64, i64) {
    let me = thread.me;
    thread
        .step(Transition::Watermarks, |world| {
            world.kafka.watermarks(me, partition)
        })
        .await
}

/// Makes sure that the log's current generation is the topic that is there.
pub async fn settle_generation(log: &mut Log) -> Result<Settled, Trouble> {
    let mut settled = Settled::AsItWas;
    loop {
        let topic_id = identity(&log.thread).await;
        log.refresh().await?;
        let current = log.fold.generation();
        let ordinal = GenerationOrdinal(current.map_or(1, |generation| generation.ordinal.0 + 1));
        let reason = match life(current.map(|generation| &generation.topic_id), &topic_id) {
            Life::Same => return Ok(settled),
            Life::First => GenerationReason::FirstStart,
            Life::Other => GenerationReason::TopicRecreated,
        };
        let mut fresh = Vec::new();
        let partitions: Vec<i32> = log.thread.with(|world| world.kafka.partitions().collect());
        for partition in partitions {
            let from = match reason {
                GenerationReason::FirstStart => watermarks(&log.thread, partition).await.0,
                _ => 0,
            };
            fresh.push(PartitionStart {
                partition: PartitionId(partition),
                from: Offset(from),
            });
        }
        let resumes = log.thread.with(|world| world.holds(Fence::GenerationResumes));
        let starts = if resumes {
            log.fold.resume(&topic_id, &fresh)
        } else {
            fresh
        };
        let body = Body::Generation(OpenGeneration {
            ordinal,
            cluster_id: ClusterId::new("cluster").expect("a cluster"),
            topic_id,
            reason,
            starts,
            after: None,
        });
        log.propose(&body).await?;
        settled = Settled::Opened;
    }
}

/// Publishes what is committed, sees to the generation, and reads the checkpoint of these partitions.
pub async fn positions(
    log: &mut Log,
    partitions: &BTreeSet<i32>,
) -> Result<(GenerationOrdinal, Vec<(i32, i64)>), Trouble> {
    settle_generation(log).await?;
    log.publish_all().await?;
    log.refresh().await?;
    let Some(generation) = log.fold.generation() else {
        return Err(Trouble::NotNow);
    };
    let point = |partition: &i32| {
        let next = generation.next(PartitionId(*partition)).0;
        let told = log.thread.with(|world| {
            let told = world.kafka.committed.get(partition).copied();
            told.filter(|_| !world.holds(Fence::StartAtCheckpoint))
        });
        (*partition, told.unwrap_or(next))
    };
    Ok((generation.ordinal, partitions.iter().map(point).collect()))
}
