//! The check `text` under libFuzzer.

#![no_main]

use eventlake_oracle::checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::text::check(input));
