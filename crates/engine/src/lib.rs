//! The machine of eventlake: Kafka clients, ingestion, the lake and its commit log, the generator.

// Tests change files as a user would: clippy.toml's ban is for the machine.
#![cfg_attr(test, allow(clippy::disallowed_methods))]

pub mod failpoint;
pub mod generate;
pub mod ingest;
pub mod kafka;
pub mod lake;
pub mod maintenance;
pub mod resident;
pub mod status;
pub mod tail;
pub mod telemetry;
