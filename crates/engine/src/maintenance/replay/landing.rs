//! The second pass: the inputs' records, staged as accepted and as rejected rows.

use std::collections::{BTreeMap, BTreeSet};

use eventlake_core::commit::{File, GenerationOrdinal, StagePlan};
use eventlake_core::violation::Verdict;

use super::{ReplayError, Table};
use crate::ingest::rejected::{RejectedRow, RejectedRows, read_whole};
use crate::ingest::{FileFacts, Intake, Record, SealedRows, now, write_files};
use crate::lake::{Stage, TopicLog};
use crate::status::rejected_file;

/// Stages the files that take the inputs' place: one stage a generation, since files carry their topic's id.
pub(super) fn write(
    table: &Table<'_>,
    log: &mut TopicLog,
    inputs: &[File],
) -> Result<Vec<File>, ReplayError> {
    let mut by_generation: BTreeMap<GenerationOrdinal, Vec<&File>> = BTreeMap::new();
    for input in inputs {
        by_generation.entry(input.generation).or_default().push(input);
    }
    let mut files = Vec::new();
    for (generation, inputs) in by_generation {
        let plan = StagePlan::Replace {
            generation,
            inputs: inputs.iter().map(|input| input.key()).collect(),
        };
        let mut stage = log.stage(plan, now())?;
        let written = write_generation(table, &stage, &inputs, &mut files);
        if let Err(error) = written {
            // Half a replay must not fill the disk until the next one. What stays anyway goes by the rule.
            let _ = stage.start_over();
            return Err(error);
        }
    }
    Ok(files)
}

fn write_generation(
    table: &Table<'_>,
    stage: &Stage,
    inputs: &[&File],
    files: &mut Vec<File>,
) -> Result<(), ReplayError> {
    let facts = FileFacts::of(table.topic, table.rules);
    let mut open = OpenRows::new(table);
    for input in inputs {
        let place = rejected_file(table.lake, table.topic, input);
        read_whole(&place, table.rows_at_a_time(), |rows| {
            open.take(&rows);
            if open.bytes() >= table.chunk_bytes() {
                files.extend(write_files(stage, &open.seal(), &facts)?);
            }
            Ok::<(), ReplayError>(())
        })?;
    }
    files.extend(write_files(stage, &open.seal(), &facts)?);
    stage.sync()?;
    Ok(())
}

/// Rows on their way into the next files.
struct OpenRows<'a> {
    table: &'a Table<'a>,
    intake: Intake,
    rejected: RejectedRows,
}

impl<'a> OpenRows<'a> {
    fn new(table: &'a Table<'a>) -> OpenRows<'a> {
        OpenRows {
            table,
            intake: Intake::new(table.rules),
            rejected: RejectedRows::new(),
        }
    }

    /// What does not pass stays exactly as it is, with the reason it was refused for.
    fn take(&mut self, rows: &[RejectedRow]) {
        let mut passed = BTreeSet::new();
        let mut judge = |record: &dyn Record, verdict: Verdict| {
            if verdict == Verdict::Accepted {
                passed.insert((record.meta().partition, record.meta().offset));
            }
        };
        for row in rows {
            if self.table.filter.passes(&row.code, row.timestamp_micros) {
                self.intake.take(row, &mut judge);
            }
        }
        self.intake.settle(&mut judge);
        for row in rows {
            if !passed.contains(&(row.partition, row.offset)) {
                self.rejected.push_row(row);
            }
        }
    }

    fn bytes(&self) -> u64 {
        (self.intake.bytes() + self.rejected.bytes()) as u64
    }

    fn seal(&mut self) -> SealedRows {
        SealedRows {
            events: self.intake.take_rows(),
            rejected: std::mem::take(&mut self.rejected).finish(),
        }
    }
}
