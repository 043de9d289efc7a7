//! Replay: rejected records are held against the present rules again, and those that pass move to the accepted rows.
//!
//! A table's replay is one replace commit: it removes the rejected files that hold a record which passes now, and adds
//! the files of those that pass and of those that do not. So a record is in one set or the other at every instant, a
//! replay that is cut short has done nothing, and one that is run again finds nothing to do.
//!
//! Two passes. `survey` only reads: which files hold a record that passes. Those are the inputs, which the manifest must
//! name before the first data byte. `landing` reads them again and writes. Verdicts depend on the record and the rules
//! alone, so both passes agree. Whether the inputs are still live by then, the fold judges.

mod landing;
mod survey;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use eventlake_core::commit::{Body, CommitNumber, File, FileKey, FileSet, Fold, Replace, ReplaceReason};
use eventlake_core::config::{LakeConfig, TopicConfig};

use crate::ingest::rejected::{RejectedFilter, ScanError};
use crate::ingest::{RowRules, Trouble, check_evolution, now};
use crate::lake::{LakeError, Outcome, TopicLog};
use survey::survey;

/// Others may replace the same files meanwhile. So often it is looked again at what is left.
const TRIES: usize = 5;
/// A part of the memory limit: the rows read at a time, and the rows held until they are written, each get so much. The
/// rest is for the copies that sorting and encoding take.
const MEMORY_PART: u64 = 8;

/// What a replay of one table did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Rejected records that the filter let pass.
    pub examined: u64,
    /// Those of them that are accepted now.
    pub landed: u64,
    /// Others, by the reason they are refused for by the present rules.
    pub still_rejected: BTreeMap<String, u64>,
    /// The rest: events that the present transform does not let through. They stay where they are, so that no record vanishes.
    pub filtered: u64,
    /// None where nothing was to be moved, and in a dry run.
    pub commit: Option<CommitNumber>,
}

#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error(transparent)]
    Lake(#[from] LakeError),
    #[error(transparent)]
    Read(#[from] ScanError),
    /// The present schema makes columns that the table cannot take, or its files could not be written.
    #[error("{0}")]
    Refused(String),
    #[error(
        "{tries} times others replaced the files of table {table} first\nhint: another replay or a compaction is at \
         work; run this again when it is done"
    )]
    Outrun { table: String, tries: usize },
}

/// What a replay has to know of its table.
pub(super) struct Table<'a> {
    pub lake: &'a LakeConfig,
    pub topic: &'a TopicConfig,
    pub rules: &'a RowRules,
    pub filter: &'a RejectedFilter,
}

impl Table<'_> {
    /// Whole records read at a time: each may be as large as `max_record`.
    fn rows_at_a_time(&self) -> usize {
        let record_bytes = self.topic.rules.record_bytes_max.max(1) as u64;
        usize::try_from(self.chunk_bytes() / record_bytes).map_or(1, |rows| rows.clamp(1, 1024))
    }

    fn chunk_bytes(&self) -> u64 {
        (self.lake.memory_limit_bytes / MEMORY_PART).clamp(1 << 20, 512 << 20)
    }
}

/// What a replay would do, by a fold that was just read. Changes nothing.
///
/// # Errors
/// When a file cannot be read, or the schema no longer fits the table.
pub fn foresee(
    lake: &LakeConfig,
    topic: &TopicConfig,
    rules: &RowRules,
    filter: &RejectedFilter,
    fold: &Fold,
) -> Result<Replayed, ReplayError> {
    let table = Table {
        lake,
        topic,
        rules,
        filter,
    };
    let (replayed, _) = survey(&table, fold)?;
    if replayed.landed > 0 {
        check_schema(&table, fold)?;
    }
    Ok(replayed)
}

/// Replays the rejected records of a table that the filter lets pass.
///
/// # Errors
/// When a file cannot be read or written, the schema no longer fits the table, or others are always faster. Nothing was
/// moved then, or, where the last step failed alone, a commit stands that the next writer publishes.
pub fn replay(
    lake: &LakeConfig,
    topic: &TopicConfig,
    rules: &RowRules,
    filter: &RejectedFilter,
    log: &mut TopicLog,
) -> Result<Replayed, ReplayError> {
    let table = Table {
        lake,
        topic,
        rules,
        filter,
    };
    for _ in 0..TRIES {
        // A replace is proposed only for files seen under their final names.
        log.publish()?;
        let fold = log.fold()?;
        let surveyed = survey(&table, fold);
        let (replayed, inputs) = match surveyed {
            // Another may have replaced the file since: then it is live no longer.
            Err(ReplayError::Read(error)) if is_gone(log, &error)? => continue,
            other => other?,
        };
        if inputs.is_empty() {
            log.clean()?;
            return Ok(replayed);
        }
        check_schema(&table, log.last_fold())?;
        let removed: Vec<FileKey> = inputs.iter().map(File::key).collect();
        log.check_exchange(&removed)?;
        let files = match landing::write(&table, log, &inputs) {
            Err(ReplayError::Read(error)) if is_gone(log, &error)? => continue,
            other => other?,
        };
        let reason = ReplaceReason::Replay;
        let body = Body::Replace(Replace {
            reason,
            removed,
            files,
        });
        let outcome = log.propose(body, now())?;
        if let Outcome::Committed { number } = outcome {
            log.publish()?;
            log.clean()?;
            let commit = Some(number);
            return Ok(Replayed { commit, ..replayed });
        }
        // Another took an input first, so what was staged here is over.
        log.clean()?;
    }
    Err(ReplayError::Outrun {
        table: topic.table.to_string(),
        tries: TRIES,
    })
}

/// The rows that are about to be accepted have the present columns: the table must be able to take them.
fn check_schema(table: &Table<'_>, fold: &Fold) -> Result<(), ReplayError> {
    check_evolution(fold, &table.lake.data, &table.rules.schema()).map_err(ReplayError::Refused)
}

/// Whether the files that the fold held live are not so any more.
fn is_gone(log: &mut TopicLog, error: &ScanError) -> Result<bool, LakeError> {
    let ScanError::Open { path, .. } = error else {
        return Ok(false);
    };
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let mut live = log.fold()?.files().keys();
    Ok(!live.any(|key| key.set == FileSet::Rejected && Some(key.path.file_name()) == name.as_deref()))
}

impl From<Trouble> for ReplayError {
    fn from(trouble: Trouble) -> ReplayError {
        ReplayError::Refused(trouble.to_string())
    }
}
