//! The check `format` under libFuzzer.

#![no_main]

use eventlake_oracle::checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::format::check(input));
