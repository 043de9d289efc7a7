//! A view as one file of JSON, a row a line, that is replaced as a whole: whoever opens it finds one state, never parts of two.

use std::path::PathBuf;

use anyhow::Context as _;
use arrow::array::{AsArray as _, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
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
    fn emit(&mut self, emission: &Emission<'_>, mark: Mark) -> anyhow::Result<Mark> {
        let shown = mark.as_ref().and_then(Value::as_i64);
        let Some((rows, newest)) = newest(emission, shown)? else {
            return Ok(mark);
        };
        let bytes = whole(Format::JsonLines, emission.columns, &rows)?;
        create_folder_of(&self.path)?;
        replace_file(&self.path, &bytes).with_context(|| self.path.display().to_string())?;
        Ok(newest.map(Value::from).or(mark))
    }
}

/// What takes the place of all that was shown. Of windows it is the newest one, with when that begins: in the place of `shown` and
/// later ones alone.
pub(super) fn newest(
    emission: &Emission<'_>,
    shown: Option<i64>,
) -> anyhow::Result<Option<(Vec<RecordBatch>, Option<i64>)>> {
    if emission.covers != Covers::Windows {
        return Ok(Some((emission.rows.to_vec(), None)));
    }
    let newest = starts(emission.rows).max();
    let newest = newest.filter(|newest| shown.is_none_or(|shown| shown <= *newest));
    let of = |newest| anyhow::Ok((of_window(emission.rows, newest)?, Some(newest)));
    newest.map(of).transpose()
}

/// All of a file or an object.
pub(super) fn whole(format: Format, columns: &SchemaRef, rows: &[RecordBatch]) -> anyhow::Result<Vec<u8>> {
    let mut writer = Writer::new(format, columns).map_err(outward)?;
    let mut bytes = Vec::new();
    for batch in rows {
        bytes.extend(writer.write(batch).map_err(outward)?);
    }
    bytes.extend(writer.finish().map_err(outward)?);
    Ok(bytes)
}

/// When the window of each row begins, in microseconds since 1970.
fn starts(rows: &[RecordBatch]) -> impl Iterator<Item = i64> {
    rows.iter().flat_map(|batch| {
        let starts = batch.column(0).as_primitive::<TimestampMicrosecondType>();
        starts.values().iter().copied()
    })
}

pub(super) fn of_window(rows: &[RecordBatch], start: i64) -> anyhow::Result<Vec<RecordBatch>> {
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
