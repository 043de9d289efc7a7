//! The commit log's pure half: its records, their bytes, and the fold that alone says what is true.
//!
//! A log is a chain of numbered commits, each a proposal. `Fold` judges every proposal by the commits before it, so no
//! writer has to be trusted to have looked. Reading, creating and deleting files is the engine's business; what the
//! bytes mean, and what may be created, published or deleted, is decided here. `docs/commit-log.md` is the format.

mod account;
mod clean;
mod codec;
mod fold;
mod ids;
mod judge;
mod manifest;
mod publish;
mod record;
mod snapshot;

pub use account::{Account, AccountedAppend, AccountedGeneration, Named, Taken};
pub use clean::{StageFate, StagedFileFate, file_fate, names_of_stages, plan_fate, stage_fate};
pub use codec::{DecodeFault, FORMAT, decode_record, decode_record_in, encode_record};
pub use fold::{
    ChainFault, Counts, Fold, Generation, PartitionState, RowChange, SetTotals, Totals, Unfinished, Verdict,
};
pub use ids::{
    AttemptId, BadId, Checksum, ClusterId, CommitNumber, GenerationOrdinal, LogId, Moment, SchemaVersion,
    StageId, TopicId, WriterId,
};
pub use judge::VoidReason;
pub use manifest::{Manifest, Owner, StagePlan};
pub use publish::{Folder, FolderStep, FolderWork, live_in, step, unfinished_folders};
pub use record::{
    Append, Body, Commit, File, FileKey, FileOffsets, FileSet, GenerationReason, OpenGeneration,
    PartitionAppend, PartitionStart, Replace, ReplaceReason, TimeSpan,
};
pub use snapshot::{Snapshot, Truncation, expired, snapshot_due, truncation};

#[cfg(test)]
mod tests;
