//! What every test that runs the program needs.

use std::process::Command;

/// Takes the caller's own `EVENTLAKE_` variables away from a program that is about to start.
pub fn without_settings(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("EVENTLAKE_") {
            command.env_remove(name);
        }
    }
    command
}
