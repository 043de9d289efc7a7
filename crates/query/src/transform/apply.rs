//! A transform at work: batches of events to rows and verdicts, and which event it failed for.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, BooleanArray, RecordBatch};
use arrow::compute::{
    CastOptions, cast_with_options, concat_batches, filter_record_batch, prep_null_mask_filter,
};
use arrow::error::ArrowError;
use datafusion::common::DataFusionError;
use datafusion::physical_expr::PhysicalExpr;
use eventlake_core::violation::{Code, Verdict, Violation};

use super::{Column, RowTransform};
use crate::fault::{root, tidy};

/// Characters of an error that a violation keeps.
const FOUND_MAX: usize = 300;
/// A value that does not fit is an error, never null.
const CAST: CastOptions<'_> = CastOptions {
    safe: false,
    format_options: arrow::util::display::FormatOptions::new(),
};

impl RowTransform {
    /// The rows that stay, in their order, and the verdict on every event.
    ///
    /// SQL fails a whole batch for one of its rows. A batch that fails is halved until the rows are found that fail by
    /// themselves; all others are as if those had not been there.
    ///
    /// # Panics
    /// When the batch is not of the columns that the transform was compiled for.
    #[must_use]
    pub fn apply(&self, events: &RecordBatch) -> (RecordBatch, Vec<Verdict>) {
        let mut made = Made {
            parts: Vec::new(),
            verdicts: vec![Verdict::Accepted; events.num_rows()],
        };
        if events.num_rows() > 0 {
            self.apply_to(events, 0..events.num_rows(), &mut made);
        }
        let rows = match made.parts.len() {
            0 => RecordBatch::new_empty(self.schema()),
            1 => made.parts.remove(0),
            _ => concat_batches(&self.schema, &made.parts).expect("parts of one schema"),
        };
        (rows, made.verdicts)
    }

    fn apply_to(&self, events: &RecordBatch, range: Range<usize>, made: &mut Made) {
        let batch = events.slice(range.start, range.len());
        match self.rows_of(&batch) {
            Ok((rows, stays)) => {
                if let Some(stays) = stays {
                    let left_out = (0..stays.len()).filter(|row| !stays.value(*row));
                    left_out.for_each(|row| made.verdicts[range.start + row] = Verdict::Filtered);
                }
                if rows.num_rows() > 0 {
                    made.parts.push(rows);
                }
            }
            Err(failure) if range.len() == 1 => {
                made.verdicts[range.start] = Verdict::Rejected(failure.violation());
            }
            Err(_) => {
                let middle = range.start + range.len() / 2;
                self.apply_to(events, range.start..middle, made);
                self.apply_to(events, middle..range.end, made);
            }
        }
    }

    /// The rows that a batch becomes, and which of its events stay; all where there is no condition.
    fn rows_of(&self, batch: &RecordBatch) -> Result<(RecordBatch, Option<BooleanArray>), Failure<'_>> {
        let (stays, kept) = match &self.condition {
            None => (None, batch.clone()),
            Some(condition) => {
                let stays = holds(condition, batch).map_err(|error| Failure::new(None, &error))?;
                let kept = filter_record_batch(batch, &stays)
                    .map_err(|error| Failure::new(None, &DataFusionError::from(error)))?;
                (Some(stays), kept)
            }
        };
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.schema.fields().len());
        for (column, field) in self.columns.iter().zip(self.schema.fields()) {
            let failed = |error: &DataFusionError| Failure::new(Some(column), error);
            let array = values(column, &kept).map_err(|error| failed(&error))?;
            if array.null_count() > 0 && !field.is_nullable() {
                return Err(failed(&DataFusionError::Execution(
                    "null, where it cannot be".to_owned(),
                )));
            }
            arrays.push(array);
        }
        let all = kept.num_columns();
        arrays.extend(kept.columns()[all - self.traced..].iter().cloned());
        let rows = RecordBatch::try_new(Arc::clone(&self.schema), arrays)
            .map_err(|error| Failure::new(None, &DataFusionError::from(error)))?;
        Ok((rows, stays))
    }
}

/// What was made so far.
struct Made {
    parts: Vec<RecordBatch>,
    verdicts: Vec<Verdict>,
}

/// Of each event, whether the condition holds; null is no.
fn holds(condition: &Arc<dyn PhysicalExpr>, batch: &RecordBatch) -> Result<BooleanArray, DataFusionError> {
    let array = condition.evaluate(batch)?.into_array(batch.num_rows())?;
    Ok(match array.as_boolean_opt() {
        None => BooleanArray::from(vec![false; batch.num_rows()]), // NULL, of no type
        Some(held) if held.null_count() > 0 => prep_null_mask_filter(held),
        Some(held) => held.clone(),
    })
}

fn values(column: &Column, batch: &RecordBatch) -> Result<ArrayRef, DataFusionError> {
    let array = column.expression.evaluate(batch)?.into_array(batch.num_rows())?;
    if *array.data_type() == column.kept_as {
        return Ok(array);
    }
    Ok(cast_with_options(&array, &column.kept_as, &CAST).map_err(|error: ArrowError| error)?)
}

/// Why SQL has no answer for a batch.
struct Failure<'c> {
    /// None: the condition.
    column: Option<&'c Column>,
    text: String,
}

impl<'c> Failure<'c> {
    fn new(column: Option<&'c Column>, error: &DataFusionError) -> Failure<'c> {
        let text = tidy(&root(error).strip_backtrace());
        let line = text.lines().next().unwrap_or_default();
        Failure {
            column,
            text: line.chars().take(FOUND_MAX).collect(),
        }
    }

    fn violation(self) -> Violation {
        Violation {
            code: Code::Transform,
            field: self.column.map_or(String::new(), |column| column.name.clone()),
            expected: match self.column {
                Some(_) => "a value by transform.select".to_owned(),
                None => "true, false or null by transform.where".to_owned(),
            },
            found: self.text,
        }
    }
}
