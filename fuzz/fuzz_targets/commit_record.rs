//! The check `commit_record` under libFuzzer.

#![no_main]

use eventlake_oracle::checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::commit_record::check(input));
