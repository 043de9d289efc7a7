//! The words and pure decisions of eventlake: positions, schemas, violations, names, commits, configuration.
//!
//! Nothing here does I/O, reads a clock, or knows Arrow or Kafka: every rule can be tested by calling it.

mod checked_text;
pub mod commit;
pub mod config;
pub mod continuity;
pub mod coverage;
pub mod flush;
pub mod grouped;
pub mod names;
pub mod position;
pub mod schema;
pub mod violation;
