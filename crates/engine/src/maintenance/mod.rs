//! Work on tables that have landed.

pub mod replay;
pub mod verify;
