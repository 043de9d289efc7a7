//! `eventlake query` on a real lake: landed by the program from the built-in broker, asked as users ask.

#![allow(clippy::disallowed_methods, reason = "tests")]

mod answers;
mod formats;
mod limits;
mod refusals;
mod shell;
#[allow(dead_code, reason = "the report's cases need more of it")]
#[path = "../support/shop.rs"]
mod shop;
mod snapshot;
#[path = "../support/mod.rs"]
mod support;
