//! A view as one file of JSON, a row a line, that is replaced as a whole: whoever opens it finds one state, never parts of two.

use std::path::PathBuf;

use anyhow::Context as _;
use arrow::array::{AsArray as _, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::TimestampMicrosecondType;
use eventlake_query::{Format, Writer};
use serde_json::Value;

use super::{Covers, Emission, Mark, Output, create_folder_of};
use crate::sql::outward;
use crate::views::state::replace_file;

pub struct JsonFile {
    path: PathBuf,
}

impl JsonFile {
    pub fn new(path: PathBuf) -> JsonFile {
        JsonFile { path }
    }
}

impl Output for JsonFile {
    /// Of windows it shows the newest one; its mark is when that begins, so that an older one never takes its place.
    fn emit(&mut self, emission: &Emission<'_>, mark: Mark) -> anyhow::Result<Mark> {
        let (rows, newest) = match emission.covers {
            Covers::Everything | Covers::NewRows => (emission.rows.to_vec(), mark),
            Covers::Windows => {
                let Some(newest) = starts(emission.rows).max() else {
                    return Ok(mark);
                };
                let shown = mark.as_ref().and_then(Value::as_i64);
                if shown.is_some_and(|shown| shown > newest) {
                    return Ok(mark);
                }
                (of_window(emission.rows, newest)?, Some(newest.into()))
            }
        };
        let mut writer = Writer::new(Format::JsonLines, emission.columns).map_err(outward)?;
        let mut bytes = Vec::new();
        for batch in &rows {
            bytes.extend(writer.write(batch).map_err(outward)?);
        }
        bytes.extend(writer.finish().map_err(outward)?);
        create_folder_of(&self.path)?;
        replace_file(&self.path, &bytes).with_context(|| self.path.display().to_string())?;
        Ok(newest)
    }
}

/// When the window of each row begins, in microseconds since 1970.
fn starts(rows: &[RecordBatch]) -> impl Iterator<Item = i64> {
    rows.iter().flat_map(|batch| {
        let starts = batch.column(0).as_primitive::<TimestampMicrosecondType>();
        starts.values().iter().copied()
    })
}

fn of_window(rows: &[RecordBatch], start: i64) -> anyhow::Result<Vec<RecordBatch>> {
    let chosen = rows.iter().map(|batch| {
        let starts = batch.column(0).as_primitive::<TimestampMicrosecondType>();
        let rows = (0..batch.num_rows()).filter(|row| starts.value(*row) == start);
        let rows: UInt32Array = rows
            .map(|row| u32::try_from(row).expect("rows of a batch"))
            .collect();
        take_record_batch(batch, &rows)
    });
    Ok(chosen.collect::<Result<_, _>>()?)
}
