//! What records become under a topic's rules, as users run the program: a schema that is mended, a transform.

#![allow(clippy::disallowed_methods, reason = "tests")]

#[path = "../support/daemon.rs"]
mod daemon;
mod replay;
#[path = "../support/mod.rs"]
mod support;
mod transform;
mod workspace;
