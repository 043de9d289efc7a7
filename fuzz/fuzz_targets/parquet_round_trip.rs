//! The check `parquet_round_trip` under libFuzzer.

#![no_main]

use eventlake_oracle::checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::parquet_round_trip::check(input));
