//! Live views as users meet them: what outputs hold after kills and with several writers, held against a query over the lake and
//! against the records that were sent.

#[path = "../support/mod.rs"]
mod support;

mod alerts;
#[allow(dead_code, reason = "others need more of it")]
#[path = "../support/bucket.rs"]
mod bucket;
#[path = "../support/daemon.rs"]
mod daemon;
mod exact;
mod objects;
#[path = "../support/post.rs"]
mod post;
mod postgres;
#[path = "../support/postgres.rs"]
mod server;
mod settings;
mod silence;
mod stream;
#[path = "../support/wait.rs"]
mod wait;
