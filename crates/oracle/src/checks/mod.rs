//! One check for each reader of bytes that come from outside. Each takes any input; what it may not do is panic.

pub mod commit_record;
pub mod config;
pub mod decoder;
pub mod format;
pub mod number;
pub mod parquet_hostile;
pub mod parquet_round_trip;
pub mod pattern;
pub mod record;
pub mod schema_compile;
pub mod schema_infer;
pub mod snapshot_record;
pub mod stage_record;
mod subjects;
pub mod text;

/// A check by the name of its target in `fuzz/` and of its folder of seeds.
pub type Check = (&'static str, fn(&[u8]));

pub const ALL: &[Check] = &[
    ("commit_record", commit_record::check),
    ("config", config::check),
    ("decoder", decoder::check),
    ("format", format::check),
    ("number", number::check),
    ("parquet_hostile", parquet_hostile::check),
    ("parquet_round_trip", parquet_round_trip::check),
    ("pattern", pattern::check),
    ("schema_compile", schema_compile::check),
    ("schema_infer", schema_infer::check),
    ("snapshot_record", snapshot_record::check),
    ("stage_record", stage_record::check),
    ("text", text::check),
];
