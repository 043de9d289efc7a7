//! Snapshots of the fold, and deleting the commits they make superfluous.

use std::time::Duration;

use eventlake_core::commit::{CommitNumber, Moment, Truncation, encode_record, snapshot_due, truncation};

use super::error::LakeError;
use super::log::TopicLog;
use super::site::Site;

/// When snapshots are written and how long commits are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotPolicy {
    /// A snapshot every so many commits.
    pub every: u64,
    pub log_retention: Duration,
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshotted {
    /// The snapshot that was written.
    pub written: Option<CommitNumber>,
    pub commits_deleted: u64,
    pub snapshots_deleted: u64,
}

impl TopicLog {
    /// Writes a snapshot if one is due, then deletes what it makes superfluous: fully published commits that are older
    /// than the log retention.
    ///
    /// # Errors
    /// When the disk refuses, or the log is damaged.
    pub fn snapshot(&mut self, policy: &SnapshotPolicy, now: Moment) -> Result<Snapshotted, LakeError> {
        self.refresh()?;
        let mut done = Snapshotted::default();
        let fold = self.follower.fold();
        if snapshot_due(fold.number(), Some(self.follower.base()), policy.every) {
            let number = fold.number();
            let (bytes, _) = encode_record(&fold.snapshot(&self.writer, now));
            // Where the name is taken, another writer has just written the same.
            self.store.create_exclusive(
                Site::Snapshot,
                &self.paths.snapshot(number),
                &bytes,
                &self.paths.staging(),
            )?;
            self.follower.rest_on(number);
            self.truncation_due = true;
            done.written = Some(number);
        }
        if self.truncation_due {
            // The numbers below are freed only once every newcomer is sure to see the snapshot.
            self.store
                .sync_folder(Site::SnapshotNames, &self.paths.snapshots())?;
            self.truncate(policy.log_retention, now, &mut done)?;
            self.truncation_due = false;
        }
        Ok(done)
    }

    fn truncate(
        &self,
        log_retention: Duration,
        now: Moment,
        done: &mut Snapshotted,
    ) -> Result<(), LakeError> {
        let Truncation {
            commits_through,
            snapshots,
        } = truncation(&self.follower.snapshots()?, self.published_through);
        for number in snapshots {
            done.snapshots_deleted += u64::from(
                self.store
                    .remove(Site::OldSnapshot, &self.paths.snapshot(number))?,
            );
        }
        done.commits_deleted = self.delete_commits(commits_through, log_retention, now)?;
        Ok(())
    }
}
