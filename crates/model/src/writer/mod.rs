//! Writers, call by call as the engine's: one file here for each of its files.

pub mod buffer;
pub mod clean;
pub mod commit;
pub mod consume;
pub mod exchange;
pub mod log;
pub mod maintain;
pub mod publish;
pub mod rewrite;
pub mod rule;
pub mod snapshot;
pub mod stage;
pub mod start;
