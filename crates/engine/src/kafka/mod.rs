//! Kafka as this program uses it: clients, topics and their ids, and a broker built in for trying things out.

pub mod admin;
pub mod builtin;
mod certificate;
pub mod client;
pub mod offsets;
pub mod property;
pub mod topics;
