//! `eventlake report` on a real lake: every figure is held against a count over the orders that were sent.

#![allow(clippy::disallowed_methods, reason = "tests")]

mod figures;
mod odd;
mod refusals;
#[allow(dead_code, reason = "the queries' cases need more of it")]
#[path = "../support/shop.rs"]
mod shop;
#[path = "../support/mod.rs"]
mod support;
mod texts;
