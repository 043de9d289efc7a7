//! Waiting in tests: for what holds sooner or later, with a limit.

use std::time::{Duration, Instant};

/// Waits until it holds.
pub fn wait_until(what: &str, holds: impl FnMut() -> bool) {
    wait_up_to(Duration::from_secs(60), what, holds);
}

/// Waits until it holds, for what takes its time by itself.
pub fn wait_up_to(limit: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !holds() {
        assert!(Instant::now() < deadline, "still not: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
