//! After a roll, and once at the start: what crashes left is cleaned, counted and said; snapshots, and old commits go.

use std::sync::Arc;

use crate::ingest::start::now;
use crate::lake::{Cleaned, LakeError, SnapshotPolicy, TopicLog};
use crate::telemetry::TopicTelemetry;

/// Looks after a topic's log. What cannot be tidied now is tidied later: it is said once.
#[derive(Debug)]
pub struct Tidier {
    telemetry: Arc<TopicTelemetry>,
    policy: SnapshotPolicy,
    trouble: bool,
}

impl Tidier {
    #[must_use]
    pub fn new(telemetry: Arc<TopicTelemetry>, policy: SnapshotPolicy) -> Tidier {
        Tidier {
            telemetry,
            policy,
            trouble: false,
        }
    }

    /// Staged leftovers, a snapshot if one is due, and old commits.
    pub fn tidy(&mut self, log: &mut TopicLog) {
        let cleaned = self.try_to_clean(log);
        let snapshot = log.snapshot(&self.policy, now()).map(|_| ());
        self.tell(cleaned.and(snapshot));
    }

    /// Staged leftovers alone.
    pub fn clean(&mut self, log: &mut TopicLog) {
        let cleaned = self.try_to_clean(log);
        self.tell(cleaned);
    }

    fn tell(&mut self, outcome: Result<(), LakeError>) {
        match outcome {
            Ok(()) if self.trouble => {
                self.trouble = false;
                tracing::info!(topic = %self.telemetry.name(), "tidied up again");
            }
            Err(error) if !self.trouble => {
                self.trouble = true;
                let error = error.to_string().replace('\n', "; ");
                tracing::warn!(
                    topic = %self.telemetry.name(),
                    "could not tidy up, trying again after each roll; landing goes on: {error}"
                );
            }
            Ok(()) | Err(_) => {}
        }
    }

    fn try_to_clean(&self, log: &mut TopicLog) -> Result<(), LakeError> {
        let cleaned = log.clean()?;
        self.report(&cleaned);
        Ok(())
    }

    fn report(&self, cleaned: &Cleaned) {
        let (files, bytes) = (cleaned.files + cleaned.temporaries, cleaned.bytes);
        if files == 0 {
            return;
        }
        self.telemetry.on_cleaned(files, bytes);
        tracing::info!(
            topic = %self.telemetry.name(),
            staged = cleaned.files,
            temporary = cleaned.temporaries,
            bytes,
            "cleaned {files} leftover files of {bytes} bytes, which no commit can name any more"
        );
    }
}
