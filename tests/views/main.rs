//! Live views as users meet them: what outputs hold after kills and with several writers, held against a query over the lake and
//! against the records that were sent.

#[path = "../support/mod.rs"]
mod support;

mod alerts;
mod exact;
mod settings;
mod stream;
