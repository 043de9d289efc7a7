//! From assigned partitions to committed files: one pipeline a topic.
//!
//! The files, in the order of the flow: `source` (records from librdkafka), `intake` (records to rows, by `decode` and `transform`), `rejected`,
//! `buffer` and `split` (rows and the offsets they came from), `pipeline` (the thread that owns a buffer), `time_partitions`,
//! `distinct`, `encode` and `file_writer` (a sealed buffer to staged files), `open` (a file read back), `committer` (files to a commit),
//! and around them `assignment`, `start`, `client` and `context` (the consumer group), `rewrite` (files that are gone),
//! `tidy` (what crashes left), `pause` (what waits), `memory` (the budget), `until_end` (runs that end), `run` (the wiring).

mod assignment;
mod buffer;
mod client;
mod committer;
mod context;
pub mod decode;
mod distinct;
mod encode;
mod evolution;
mod file_writer;
mod intake;
mod memory;
mod open;
mod pause;
mod pipeline;
pub mod rejected;
mod rewrite;
mod run;
mod source;
mod split;
mod start;
mod tidy;
mod time_partitions;
mod transform;
mod until_end;

pub(crate) use buffer::SealedRows;
pub(crate) use client::consumer_config;
pub(crate) use context::IngestContext;
pub use encode::{footer, write_parquet, writer_properties};
pub(crate) use evolution::check as check_evolution;
pub use evolution::schema_version;
pub(crate) use file_writer::write_files;
pub use file_writer::{FileFacts, write_set};
pub use intake::{Delivery, Headers, Intake, Record};
pub(crate) use memory::{ClusterShape, Shares};
pub use open::{DataFile, open_data_file};
pub use run::{IngestError, IngestOptions, run, run_with, writer_id};
pub use source::SourceRecord;
pub(crate) use source::{SourceItem, TopicQueue, topic_queue};
pub use start::Trouble;
pub(crate) use start::{identity, now};
pub use transform::{RowRules, Transform, Transforms};
