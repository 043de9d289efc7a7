//! SIGINT and SIGTERM: the first asks for an orderly end, the second ends at once.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context as _;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// The shell's convention for a process that SIGINT ended.
pub(super) const INTERRUPTED: u8 = 130;

/// A flag that the first signal sets. Commands look at it where they can stop with nothing half done.
///
/// # Errors
/// When the operating system refuses the handlers.
pub fn stop_flag() -> anyhow::Result<Arc<AtomicBool>> {
    flag_of(&[SIGINT, SIGTERM])
}

/// A flag that Ctrl-C sets, and only that: whoever takes it back may be interrupted again. SIGTERM ends at once.
///
/// # Errors
/// As for [`stop_flag`].
pub fn interrupt_flag() -> anyhow::Result<Arc<AtomicBool>> {
    flag_of(&[SIGINT])
}

fn flag_of(signals: &[i32]) -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in signals {
        // In this order: at the first signal the flag is not yet set, so only the second ends the process.
        flag::register_conditional_shutdown(*signal, i32::from(INTERRUPTED), Arc::clone(&stop))
            .and_then(|_| flag::register(*signal, Arc::clone(&stop)))
            .context("the signal handlers cannot be set")?;
    }
    Ok(stop)
}
