//! What eventlake's readers of foreign bytes are held against, and a check for each of them that takes any input.
//!
//! `decode` is the decoder's oracle: serde_json and the `jsonschema` crate, with the differences that are meant
//! applied. `checks` has one function for each reader: whatever the bytes, it must end, not panic, and its promises
//! must hold. The same functions run under libFuzzer (`fuzz/`) and over the seeds in `cargo test`; see docs/testing.md.

pub mod checks;
pub mod choices;
pub mod decode;
