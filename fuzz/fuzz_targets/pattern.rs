//! The check `pattern` under libFuzzer.

#![no_main]

use eventlake_oracle::checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::pattern::check(input));
