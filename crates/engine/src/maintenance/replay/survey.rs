//! The first pass: which rejected records pass by the present rules, and which files hold them.

use eventlake_core::commit::{File, FileSet, Fold};

use super::{ReplayError, Replayed, Table};
use crate::ingest::decode::{Decoder, EventRows};
use crate::ingest::rejected::read_whole;
use crate::status::rejected_file;

/// What a replay would move, and out of which files.
pub(super) fn survey(table: &Table<'_>, fold: &Fold) -> Result<(Replayed, Vec<File>), ReplayError> {
    let rules = &table.topic.rules;
    let mut decoder = Decoder::new(rules);
    let mut replayed = Replayed::default();
    let mut inputs = Vec::new();
    let rejected = fold.files().values().filter(|file| file.set == FileSet::Rejected);
    for file in rejected {
        let place = rejected_file(table.lake, table.topic, file);
        if !table.filter.may_pass(&place) {
            continue;
        }
        let landed_before = replayed.landed;
        read_whole(&place, table.rows_at_a_time(), |rows| {
            // The rows are not wanted yet: they go with each chunk.
            let mut events = EventRows::new(rules);
            for row in &rows {
                if !table.filter.passes(&row.code, row.timestamp_micros) {
                    continue;
                }
                replayed.examined += 1;
                match decoder.decode(&row.payload, &row.meta(), &mut events) {
                    Ok(()) => replayed.landed += 1,
                    Err(violation) => {
                        let code = violation.code.as_str().to_owned();
                        *replayed.still_rejected.entry(code).or_default() += 1;
                    }
                }
            }
            Ok::<(), ReplayError>(())
        })?;
        if replayed.landed > landed_before {
            inputs.push(file.clone());
        }
    }
    Ok((replayed, inputs))
}
