//! The examples of `config/examples` as a reader would run them, on the built-in broker: every output by value, held against a count
//! over the records that were generated.

#[path = "../support/mod.rs"]
mod support;

mod parquet;
mod place;
mod platform;
mod receiver;
mod tickets;
