//! Failpoints as the environment names them: by them tests make this very program die, or its disk fail.

use eventlake_engine::failpoint::{self, Failpoints};

/// None are armed unless the variable is set, which is said loudly.
///
/// # Errors
/// When its value cannot be understood.
pub fn from_environment() -> anyhow::Result<Failpoints> {
    let value = std::env::var(failpoint::VARIABLE).ok();
    let failpoints = Failpoints::parse(value.as_deref())?;
    if failpoints.are_armed() {
        tracing::warn!(
            "{} is set: this process will die, or its disk will fail, where that says; it is for tests alone",
            failpoint::VARIABLE
        );
    }
    Ok(failpoints)
}
