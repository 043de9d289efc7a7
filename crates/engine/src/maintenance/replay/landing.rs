//! The second pass: the inputs' records, staged as accepted and as rejected rows.

use std::collections::BTreeMap;

use eventlake_core::commit::{File, GenerationOrdinal, StagePlan};

use super::{ReplayError, Table};
use crate::ingest::decode::{Decoder, EventRows};
use crate::ingest::rejected::{RejectedRow, RejectedRows, read_whole};
use crate::ingest::{FileFacts, SealedRows, now, write_files};
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
    let facts = FileFacts::of(table.topic);
    let mut open = OpenRows::new(table);
    for input in inputs {
        let place = rejected_file(table.lake, table.topic, input);
        read_whole(&place, table.rows_at_a_time(), |rows| {
            rows.iter().for_each(|row| open.take(row));
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
    decoder: Decoder,
    events: EventRows,
    rejected: RejectedRows,
}

impl<'a> OpenRows<'a> {
    fn new(table: &'a Table<'a>) -> OpenRows<'a> {
        let rules = &table.topic.rules;
        OpenRows {
            table,
            decoder: Decoder::new(rules),
            events: EventRows::new(rules),
            rejected: RejectedRows::new(),
        }
    }

    /// What does not pass stays exactly as it is, with the reason it was refused for.
    fn take(&mut self, row: &RejectedRow) {
        let is_chosen = self.table.filter.passes(&row.code, row.timestamp_micros);
        let passes = is_chosen
            && self
                .decoder
                .decode(&row.payload, &row.meta(), &mut self.events)
                .is_ok();
        if !passes {
            self.rejected.push_row(row);
        }
    }

    fn bytes(&self) -> u64 {
        (self.events.bytes() + self.rejected.bytes()) as u64
    }

    fn seal(&mut self) -> SealedRows {
        let events = std::mem::replace(&mut self.events, EventRows::new(&self.table.topic.rules));
        SealedRows {
            events: events.finish(),
            rejected: std::mem::take(&mut self.rejected).finish(),
        }
    }
}
