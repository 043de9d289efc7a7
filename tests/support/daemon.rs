//! The ingester as a process of a test.

use std::process::{Child, Command, Stdio};

/// Ended at the latest with its test.
pub struct Daemon(pub Child);

impl Daemon {
    /// Starts a command that runs until it is told to stop.
    pub fn of(mut command: Command) -> Daemon {
        let daemon = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Daemon(daemon.expect("the program starts"))
    }

    /// Asks it to stop, and waits until it has.
    pub fn stop(mut self) {
        let process = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(process, rustix::process::Signal::TERM).expect("asked to stop");
        assert!(self.0.wait().expect("it ends").success());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
