//! The lake on a file system: each topic's commit log and table, by the rules of `docs/commit-log.md`.
//!
//! A whole roll, from staging to cleaning:
//!
//! ```
//! # use std::collections::BTreeMap;
//! # use std::io::Write;
//! # use std::time::Duration;
//! # use eventlake_core::commit::*;
//! # use eventlake_core::config::PartitionBy;
//! # use eventlake_core::names::*;
//! # use eventlake_core::position::*;
//! # use eventlake_engine::lake::*;
//! # let folder = tempfile::tempdir()?;
//! # let paths = LakePaths {
//! #     data: folder.path().join("data"),
//! #     rejected: folder.path().join("rejected"),
//! #     checkpoints: folder.path().join("checkpoints"),
//! # };
//! # let (topic, table) = (TopicName::new("clicks")?, TableName::new("clicks")?);
//! # let now = Moment::from_unix_micros(1_795_222_800_000_000);
//! let mut log = TopicLog::open(&paths, &topic, &table, &WriterId::new("host-1/4711")?)?;
//!
//! // Once, on an empty log: open the first generation. Others may be quicker, so what counts is the fold afterwards.
//! if log.fold()?.generation().is_none() {
//!     log.propose(
//!         Body::Generation(OpenGeneration {
//!             ordinal: GenerationOrdinal(1),
//!             cluster_id: ClusterId::new("5L6g3nShT-eMCtK--X86sw")?,
//!             topic_id: TopicId::new("kRy2mkLrQJmdc3ZNdm1bAQ")?,
//!             reason: GenerationReason::FirstStart,
//!             starts: vec![],
//!             after: None,
//!         }),
//!         now,
//!     )?;
//! }
//!
//! // On assignment: publish what others left behind, then read from the checkpoint.
//! log.publish()?;
//! let generation = log.fold()?.generation().expect("opened above").ordinal;
//! let from = log.last_fold().next(PartitionId(0));
//!
//! // A roll. First the manifest, which names where each partition's buffer starts ...
//! let starts = vec![PartitionStart { partition: PartitionId(0), from }];
//! let stage = log.stage(StagePlan::Append { generation, from: starts }, now)?;
//! // ... then the files: a `StagedFile` is a `Write`, to be handed to a Parquet writer.
//! let hour = TimePartition::of(now.unix_micros(), PartitionBy::Hour).expect("a year of four digits");
//! let mut file = stage.create_file(FileSet::Accepted, hour)?;
//! file.write_all(b"PAR1 ...")?;
//! let next = Offset(from.0 + 3);
//! let file = file.finish(FileContents {
//!     rows: 2,
//!     offsets: vec![FileOffsets { partition: PartitionId(0), from, next, rows: 2 }],
//!     times: None,
//!     schema_version: SchemaVersion::new("3fd0a1c2")?,
//! })?;
//! stage.sync()?;
//!
//! let mut tombstones = IntervalSet::new();
//! tombstones.push(OffsetRange::one(Offset(from.0 + 1)));
//! let taken = PartitionAppend {
//!     partition: PartitionId(0),
//!     from,
//!     next,
//!     leader_epoch: None,
//!     accepted: 2,
//!     rejected: 0,
//!     tombstones,
//!     filtered: IntervalSet::new(),
//!     absent: IntervalSet::new(),
//!     lost: IntervalSet::new(),
//! };
//! match log.propose(Body::Append(Append { generation, partitions: vec![taken], files: vec![file] }), now)? {
//!     Outcome::Committed { .. } => {}
//!     // Drop these buffers and later ones of their partitions, and read on from `log.fold()?.next(partition)`.
//!     Outcome::Refused { .. } | Outcome::Void { .. } | Outcome::Dropped => {}
//! }
//! // Each of these looks at the log first, and does the same for what other writers left.
//! log.publish()?;
//! log.clean()?;
//! log.snapshot(&SnapshotPolicy { every: 1_000, log_retention: Duration::from_secs(7 * 86_400) }, now)?;
//! # assert_eq!(log.fold()?.next(PartitionId(0)), next);
//! # assert!(log.fold()?.unfinished().is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A roll that takes absent, lost or filtered offsets alone needs no stage and has no files.

pub mod access;
mod account;
mod clean;
mod commits;
mod error;
mod exchange;
mod follow;
mod log;
mod owner;
mod publish;
mod roots;
pub mod site;
mod snapshot;
mod stage;
pub mod store;
#[cfg(test)]
pub(crate) mod tests;

pub use clean::Cleaned;
pub use commits::{CommitReader, LogPlace, Onward, ValidCommit};
pub use error::LakeError;
pub use follow::read_fold;
pub use log::{Outcome, TopicLog};
pub use publish::Published;
pub use roots::LakePaths;
pub use snapshot::{SnapshotPolicy, Snapshotted};
pub use stage::{FileContents, Stage, StagedFile};
