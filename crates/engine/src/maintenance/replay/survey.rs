//! The first pass: which rejected records pass by the present rules, and which files hold them.

use eventlake_core::commit::{File, FileSet, Fold};
use eventlake_core::violation::Verdict;

use super::{ReplayError, Replayed, Table};
use crate::ingest::Intake;
use crate::ingest::rejected::read_whole;
use crate::status::rejected_file;

/// What a replay would move, and out of which files.
pub(super) fn survey(table: &Table<'_>, fold: &Fold) -> Result<(Replayed, Vec<File>), ReplayError> {
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
            let mut intake = Intake::new(table.rules);
            let chosen = rows
                .iter()
                .filter(|row| table.filter.passes(&row.code, row.timestamp_micros));
            for row in chosen {
                replayed.examined += 1;
                intake.take(row, |_, verdict| replayed.count(&verdict));
            }
            intake.settle(|_, verdict| replayed.count(&verdict));
            Ok::<(), ReplayError>(())
        })?;
        if replayed.landed > landed_before {
            inputs.push(file.clone());
        }
    }
    Ok((replayed, inputs))
}

impl Replayed {
    fn count(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Accepted => self.landed += 1,
            Verdict::Filtered => self.filtered += 1,
            Verdict::Rejected(violation) => {
                let code = violation.code.as_str().to_owned();
                *self.still_rejected.entry(code).or_default() += 1;
            }
        }
    }
}
