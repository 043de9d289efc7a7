//! Live views.
#![allow(dead_code)]

pub mod output;
