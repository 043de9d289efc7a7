//! The examples of `config/examples` as a reader would run them, on the built-in broker: every output by value, held against a count
//! over the records that were generated.

#[path = "../support/mod.rs"]
mod support;

#[allow(dead_code, reason = "others need more of it")]
#[path = "../support/bucket.rs"]
mod bucket;
#[path = "../support/daemon.rs"]
mod daemon;
mod parquet;
mod place;
mod platform;
#[path = "../support/post.rs"]
mod post;
mod receiver;
mod s3;
#[allow(dead_code, reason = "others need servers of their own")]
#[path = "../support/postgres.rs"]
mod server;
mod tickets;
#[path = "../support/wait.rs"]
mod wait;
