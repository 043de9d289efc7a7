//! An answer as a table for people: columns as wide as the first rows need, long cells cut, every cell harmless.

use arrow::array::{Array, BinaryArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::cli::visible;

/// Rows that are waited for before the widths are settled.
const FIRST_ROWS: usize = 1_000;
/// Characters of a cell.
const CELL_MAX: usize = 100;
const NULL: &str = "NULL";

pub struct Text {
    names: Vec<String>,
    aligned_right: Vec<bool>,
    /// Rows that came before the widths were settled.
    waiting: Vec<Vec<String>>,
    widths: Option<Vec<usize>>,
    is_plan: bool,
}

impl Text {
    pub fn new(columns: &SchemaRef) -> Text {
        let fields = columns.fields();
        let names: Vec<String> = fields.iter().map(|field| visible::line(field.name())).collect();
        Text {
            is_plan: names == ["plan_type", "plan"],
            names,
            aligned_right: fields
                .iter()
                .map(|field| field.data_type().is_numeric())
                .collect(),
            waiting: Vec::new(),
            widths: None,
        }
    }

    /// What can be shown now that these rows were added.
    ///
    /// # Errors
    /// When a value has no text.
    pub fn write(&mut self, batch: &RecordBatch) -> anyhow::Result<String> {
        let rows = cells(batch)?;
        if self.is_plan {
            return Ok(rows.iter().map(|row| plan(row)).collect());
        }
        let rows = rows
            .into_iter()
            .map(|row| row.iter().map(|cell| shown(cell)).collect());
        self.waiting.extend(rows);
        if self.widths.is_none() && self.waiting.len() < FIRST_ROWS {
            return Ok(String::new());
        }
        Ok(self.release())
    }

    /// What is left to show.
    pub fn finish(mut self) -> String {
        if self.is_plan {
            String::new()
        } else {
            self.release()
        }
    }

    fn release(&mut self) -> String {
        let mut text = String::new();
        let rows = std::mem::take(&mut self.waiting);
        if self.widths.is_none() {
            let width = |column: usize| {
                let cells = rows.iter().map(|row| row[column].chars().count());
                cells
                    .chain([self.names[column].chars().count()])
                    .max()
                    .unwrap_or(0)
            };
            let widths: Vec<usize> = (0..self.names.len()).map(width).collect();
            text.push_str(&self.line(&self.names, &widths));
            let rules: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
            text.push_str(&self.line(&rules, &widths));
            self.widths = Some(widths);
        }
        let widths = self.widths.as_deref().expect("settled above");
        for row in &rows {
            text.push_str(&self.line(row, widths));
        }
        text
    }

    fn line(&self, cells: &[String], widths: &[usize]) -> String {
        let mut line = String::new();
        for (index, cell) in cells.iter().enumerate() {
            let width = widths[index];
            line.push_str(if index == 0 { "" } else { "  " });
            line.push_str(&if self.aligned_right[index] {
                format!("{cell:>width$}")
            } else {
                format!("{cell:<width$}")
            });
        }
        line.truncate(line.trim_end().len());
        line.push('\n');
        line
    }
}

fn shown(cell: &str) -> String {
    visible::cut(&visible::line(cell), CELL_MAX)
}

/// A plan is a tree: it keeps its lines.
fn plan(row: &[String]) -> String {
    format!(
        "{}\n{}\n",
        visible::line(&row[0]),
        visible::text(row[1].trim_end())
    )
}

/// The rows' values as text. Bytes are shown as the text they mostly are.
fn cells(batch: &RecordBatch) -> anyhow::Result<Vec<Vec<String>>> {
    let options = FormatOptions::default().with_null(NULL).with_display_error(true);
    let mut rows = vec![Vec::with_capacity(batch.num_columns()); batch.num_rows()];
    for column in batch.columns() {
        if matches!(column.data_type(), DataType::Binary | DataType::BinaryView) {
            let bytes = cast(column, &DataType::Binary)?;
            let bytes = bytes
                .as_any()
                .downcast_ref::<BinaryArray>()
                .expect("cast to it above");
            for (index, row) in rows.iter_mut().enumerate() {
                row.push(if bytes.is_null(index) {
                    NULL.to_owned()
                } else {
                    visible::bytes(bytes.value(index))
                });
            }
            continue;
        }
        let formatter = ArrayFormatter::try_new(column, &options)?;
        for (index, row) in rows.iter_mut().enumerate() {
            row.push(formatter.value(index).to_string());
        }
    }
    Ok(rows)
}
