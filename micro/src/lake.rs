//! A stage in a lake of its own, in memory where there is such a file system: what a disk does is not what is measured.

use std::path::Path;

use eventlake_core::commit::{
    Body, ClusterId, GenerationOrdinal, GenerationReason, Moment, OpenGeneration, StagePlan, TopicId,
    WriterId,
};
use eventlake_core::config::PartitionBy;
use eventlake_core::names::{TableName, TopicName};
use eventlake_engine::ingest::decode::arrow_schema;
use eventlake_engine::ingest::{FileFacts, rejected, schema_version};
use eventlake_engine::lake::{LakePaths, Stage, TopicLog};

use crate::records::Records;

const GOOD: &str = "the lake is new and the names are good ones";

/// A folder for what is written, gone when it is dropped.
///
/// # Panics
/// When there can be none.
#[must_use]
pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .expect("a folder can be made")
}

/// A stage that files may be written under.
///
/// # Panics
/// When the folder cannot be written.
#[must_use]
pub fn stage(folder: &Path) -> Stage {
    let paths = LakePaths {
        data: folder.join("data"),
        rejected: folder.join("rejected"),
        checkpoints: folder.join("checkpoints"),
    };
    let (topic, table) = (
        TopicName::new("micro").expect(GOOD),
        TableName::new("micro").expect(GOOD),
    );
    let writer = WriterId::new("micro").expect(GOOD);
    let mut log = TopicLog::open(&paths, &topic, &table, &writer).expect(GOOD);
    let now = Moment::from_unix_micros(1_795_222_800_000_000);
    let generation = GenerationOrdinal(1);
    log.propose(
        Body::Generation(OpenGeneration {
            ordinal: generation,
            cluster_id: ClusterId::new("5L6g3nShT-eMCtK--X86sw").expect(GOOD),
            topic_id: TopicId::new("kRy2mkLrQJmdc3ZNdm1bAQ").expect(GOOD),
            reason: GenerationReason::FirstStart,
            starts: vec![],
            after: None,
        }),
        now,
    )
    .expect(GOOD);
    log.fold().expect(GOOD);
    log.stage(
        StagePlan::Append {
            generation,
            from: vec![],
        },
        now,
    )
    .expect(GOOD)
}

/// What a topic's files have in common.
#[must_use]
pub fn facts(records: &Records) -> FileFacts {
    FileFacts {
        topic: TopicName::new("micro").expect(GOOD),
        partition_by: PartitionBy::Hour,
        accepted_version: schema_version(&arrow_schema(&records.rules)),
        rejected_version: schema_version(&rejected::arrow_schema()),
    }
}
