//! The commands, one file each.

mod bytes;
pub mod check;
pub mod cluster;
pub mod completions;
pub mod demo;
pub mod generate;
pub mod ingest;
pub mod query;
pub mod rejected;
pub mod report;
pub mod schema;
pub mod status;
pub mod tail;
#[cfg(test)]
mod test_lake;
pub mod topics;
mod unfinished;
pub mod verify;
