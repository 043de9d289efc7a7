//! Live views: where their rows go.
#![allow(dead_code)]

pub mod output;
