//! The exactly-once protocol of eventlake as a model: writers, a store and a Kafka that one schedule drives.
//!
//! The pure half is core's own: the fold and its judge, snapshots and truncation, which folders are exchanged, what
//! cleaning may delete, when a topic is another one. Around it, writers whose steps are the engine's (`writer/`, file by
//! file), in a world (`world/`) where calls are slow, fail, or lose their replies, writers die, and the power goes.
//! A schedule is a list of decisions (`choice`); many are drawn from seeds (`explore`), and one that breaks a promise
//! is made small (`shrink`). `docs/decisions/protocol-model.md` says what it covers and shows that it can fail.

pub mod choice;
pub mod coverage;
pub mod explore;
pub mod fence;
pub mod schedule;
pub mod shrink;
pub mod task;
pub mod world;
pub mod writer;
